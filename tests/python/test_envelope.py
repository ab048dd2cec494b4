"""What all results share: one JSON text for wire, notebook and file; a short text; a picture with its provenance."""

from __future__ import annotations

import copy
import json
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hookscope as hs
import interp_backend as ib
from interp_backend.results.codec import encode_array
from interp_backend.results.envelope import excerpt
from interp_backend.results.read import FAMILIES, result_from_wire

PAIR = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
MAKE = {
    "effect_map": lambda model: ib.activation_patching(model, PAIR, metric=["logit_diff", "prob"], top_k=2),
    "mean_map": lambda model: ib.activation_patching(model, ib.PromptPairs([PAIR, PAIR])),
    "joint_map": lambda model: ib.patch_together(model, PAIR, [ib.Intervention("z", 1, head=2)]),
    "path_map": lambda model: ib.path_patching(model, PAIR, ["a0.h1", "m0"], ["logits"]),
    "logit_lens": lambda model: ib.logit_lens(model, PAIR, top_k=2),
    "attribution": lambda model: ib.direct_logit_attribution(model, PAIR, unit="head", by_source=True),
    "attention": lambda model: ib.attention_patterns(model, PAIR),
    "head_scores": lambda model: ib.head_scores(model, seeds=1),
    "head_pairs": lambda model: ib.head_circuits(model, 1, 1),
    "graph": lambda model: ib.edge_attribution(model, PAIR, keep_pairs=True),
    "circuit": lambda model: ib.edge_attribution(model, PAIR).greedy(150),
    "faithfulness": lambda model: ib.faithfulness(model, PAIR, ib.edge_attribution(model, PAIR).greedy(20)),
    "robustness": lambda model: ib.circuit_robustness(model, PAIR, ib.edge_attribution(model, PAIR).greedy(20)),
    "attribution_graph": lambda model: ib.attribution_graph(model, "The capital of", features=20),
    "feature_effects": lambda model: ib.feature_interventions(
        model, "The capital of", [{"layer": 1, "feature": 3, "value": 1.0}], generate=1
    ),
    "feature_description": lambda model: ib.describe_feature(model, 3, 560, [PAIR.clean, PAIR.corrupt]),
    "scrubbing": lambda model: ib.causal_scrubbing(
        model, ib.Hypothesis(edges=["m2->logits"]), ib.PromptPairs([PAIR, PAIR]), sides="both", samples=1
    ),
}


@cache
def made(name):
    return MAKE[name](ib.load_model())


every_result = pytest.mark.parametrize("name", MAKE)


def leaves(value, path=()):
    """Paths to everything inside a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from leaves(part, (*path, key))


@cache
def paths(name):
    return list(leaves(made(name).to_wire()))


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
odd_values = any_json | st.sampled_from(
    [
        True,
        [],
        {},
        -1,
        2**70,
        [True],
        "\ud800",
        encode_array(np.zeros(2, np.float32)),
        encode_array(np.zeros((), np.uint8)),
    ]
)


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


# One text


@every_result
def test_any_result_is_read_by_its_family(name):
    text = made(name).to_json()
    again = ib.read_result(text)
    assert type(again) is type(made(name)) and again.to_json() == text
    older = {field: value for field, value in json.loads(text).items() if field not in ("family", "id", "places")}
    if name.endswith("map"):
        older["places"] = made(name).places
    assert ib.read_result(json.dumps(older)).to_json() == text


def test_families_are_named_once():
    assert len(FAMILIES) == 13 and all(
        family.model_fields["family"].default == name for name, family in FAMILIES.items()
    )


def test_a_family_of_a_later_version_is_refused_in_a_sentence():
    wire = made("head_pairs").to_wire()
    for family in ("trace", ["trace"], 7):
        with pytest.raises(ValueError, match="Update Hookscope"):
            result_from_wire(wire | {"family": family})


def test_a_result_keeps_the_id_of_the_task_that_made_it():
    result = made("effect_map").model_copy(update={"id": "view:7"})
    assert ib.read_result(result.to_json()).id == "view:7" and made("effect_map").id == ""


@every_result
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_result_is_refused_or_is_whole(name, data):
    wire = copy.deepcopy(made(name).to_wire())
    path = data.draw(st.sampled_from(paths(name)[1:]))
    parent = wire
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(odd_values)
    try:
        result = ib.read_result(json.dumps(wire))
    except ValueError as problem:
        assert str(problem).endswith(".") and "pydantic" not in str(problem)
        return
    text = result.to_json()
    assert ib.read_result(text).to_json() == text
    assert len(repr(result).splitlines()) < 25


@pytest.mark.parametrize(
    "value, sentence",
    [
        (nested(5000), "levels deep"),
        ("half a \ud83d", "half a character"),
        ({"\udc00": 1}, "half a character"),
        (float("inf"), "too large"),
        ({1, 2}, "not one"),
    ],
)
def test_what_json_cannot_hold_is_refused_in_a_sentence(value, sentence):
    wire = made("head_pairs").to_wire()
    for field in ("params", "note"):
        with pytest.raises(ValueError, match=sentence):
            result_from_wire(wire | {field: {"x": value}})


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_no_json_are_refused(constant):
    with pytest.raises(ValueError, match="not JSON"):
        ib.read_result(made("head_pairs").to_json().replace('"copying": ', f'"copying": {constant}, "x": '))


# What widgets sync


def test_what_a_widget_synced_is_read_again():
    model = ib.load_model()
    heatmap = hs.PatchHeatmap(model, PAIR)
    lens = hs.LogitLensGrid(model, PAIR)
    viewer = hs.AttentionViewer(model, PAIR)
    for widget in (heatmap, lens, viewer):
        widget.wait()
    lens.attribute()
    lens.wait()
    for widget, trait in [(heatmap, "result"), (lens, "result"), (lens, "attribution"), (viewer, "result")]:
        ours = getattr(widget, trait)
        synced = json.loads(json.dumps(widget.get_state(trait)[trait], allow_nan=False))
        for again in (type(ours).from_wire(synced), ib.read_result(json.dumps(synced))):
            assert type(again) is type(ours)
            for name in ("values", "top_probs", "counterparts"):
                if name in type(ours).model_fields or hasattr(ours, name):
                    np.testing.assert_array_equal(getattr(again, name), getattr(ours, name))
            assert again.provenance == ours.provenance
    again = ib.AttentionPatterns.from_wire(viewer.get_state("result")["result"])
    np.testing.assert_array_equal(again.masked, viewer.result.masked)
    np.testing.assert_array_equal(again.values_of("difference"), viewer.result.values_of("difference"))


def test_a_frame_without_its_numbers_is_refused_in_a_sentence():
    wire = made("attention").to_wire() | {"values": {}, "whole": False}
    with pytest.raises(ValueError, match="Run it again"):
        ib.AttentionPatterns.from_wire(wire)


# What a notebook and a terminal show


@every_result
def test_a_printed_result_fits_a_screen_and_says_where_it_comes_from(name):
    lines = repr(made(name)).splitlines()
    assert 3 <= len(lines) < 25 and max(map(len, lines)) <= 110
    assert lines[0].startswith(f"{type(made(name)).__name__}: ") and "array(" not in repr(made(name))
    if name != "head_pairs":
        assert lines[-1].strip().startswith("hookscope-tiny · weights ")


def test_a_printed_map_names_its_largest_cells():
    result = made("effect_map")
    largest = result.top_cells(1).iloc[0]
    [line] = [line for line in repr(result).splitlines() if line.startswith("    ")][:1]
    assert line.split() == [
        f"{largest.normalized:+.3f}",
        *f"layer {largest.layer}, position {largest.position} {largest.token!r}".split(),
    ]


@every_result
def test_a_bare_result_shows_its_picture_and_its_provenance(name):
    result = made(name)
    bundle = result._repr_mimebundle_()
    assert bundle["text/plain"] == repr(result)
    if name in ("head_scores", "head_pairs", "graph"):  # tables, and a graph that is no circuit yet
        assert "<img" not in bundle["text/html"] and (result.plot() is None) == (name != "graph")
    else:
        assert '<img src="data:image/png;base64,iVBORw0K' in bundle["text/html"]
        assert "hookscope-tiny" in bundle["text/html"]
        png, size = result.plot()._repr_png_()
        drawn = int.from_bytes(png[16:20], "big")  # the width in the file's header
        assert png.startswith(b"\x89PNG") and drawn == pytest.approx(2 * size["width"], abs=2)
        assert len(bundle["text/html"]) < 300_000


def test_a_picture_of_a_pair_shows_both_tokens_where_the_prompts_differ(embedded):
    ticks = ib.activation_patching(embedded, PAIR).plot().axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks][-2:] == ["␣Sweden/␣Norway", "␣is"]


HOSTILE = '</figcaption><script>alert("x")</script>\n\' & $x^2$ " onerror="y'


class Markup(HTMLParser):
    """The tags and the names of the attributes of some HTML."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def hostile(value):
    """The same JSON with every text replaced, but for those that are numbers or names of the format."""
    if isinstance(value, dict):
        fixed = ("dtype", "shape", "data", "base") if {"data", "base"} & set(value) else ()
        return {key: part if key in fixed else hostile(part) for key, part in value.items()}
    return (
        [hostile(part) for part in value] if isinstance(value, list) else HOSTILE if isinstance(value, str) else value
    )


@every_result
@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_text_of_a_result_becomes_markup(name):
    wire = made(name).to_wire()
    texts = (
        "provenance",
        "prompts",
        "sides",
        "labels",
        "metric_label",
        "quantity",
        "note",
        "pairs",
        "tokens",
        "params",
    )
    changed = {field: hostile(part) if field in texts else part for field, part in wire.items()}
    if name == "logit_lens":  # which refuses rows that are not labelled with their layers
        changed["labels"] = [f"{layer}{HOSTILE}" for layer in range(len(wire["labels"]))]
    result = result_from_wire(changed)
    shown = Markup(result._repr_mimebundle_()["text/html"])
    assert shown.tags <= {"figure", "img", "figcaption", "small", "pre"}
    assert shown.attributes <= {"alt", "src", "style", "width"}


@settings(max_examples=100)
@given(st.text(), st.text())
def test_no_text_of_a_table_becomes_markup(model, token):
    made_ = made("head_pairs")
    pair = made_.pairs[0].model_copy(update={"source": token})
    result = made_.model_copy(update={"pairs": [pair], "provenance": {"model": {"name": model}}})
    html = result._repr_mimebundle_()["text/html"]
    assert Markup(html).tags == {"pre"} and html.count("<") == 2


@given(st.text(max_size=300), st.integers(20, 100))
def test_an_excerpt_fits_and_has_both_ends_of_the_text(text, most):
    line = " ".join(text.splitlines())
    shown = excerpt(text, most)
    assert len(shown) <= most
    if shown != line:
        begin, end = shown.split(" … ", 1) if "…" not in line else (shown[:5], shown[-5:])
        assert line.startswith(begin) and line.endswith(end)
