"""The card of a node in the feature graph, driven as a view would: descriptions, texts, names, and edges into heads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched, ask
from hypothesis import given, settings
from hypothesis import strategies as st
from traitlets import TraitError

import hookscope as hs
import interp_backend as ib
from hookscope.feature_card import LONGEST_TEXTS, checked_names
from hookscope.feature_heads import MOST_ROWS, heads_to_json, score_to_json
from interp_backend.methods.edge_heads import EdgeHeads, ScoreFeatures

PROMPT = "The capital of Norway is"
TEXT = "The capital of Norway is Oslo. The capital of Sweden is Stockholm."


@pytest.fixture
def view(embedded):
    widget = Watched(hs.FeatureGraph, embedded, PROMPT)
    node = strongest(widget)
    widget.set_state({"pinned": node.id})
    assert widget.wait(60), widget.error
    yield widget
    widget.close()


def strongest(view):
    """The most influential feature, and the highest of those."""
    return max((node for node in view.result.nodes if node.kind == "feature"), key=lambda node: node.influence)


def run_code(code):
    names: dict = {}
    exec(code, names)
    return names


def test_a_feature_is_described_and_then_looked_for_in_texts(view, embedded):
    node = view.result.node(view.pinned)
    assert view.description.texts == 0 and view.description.promoted
    ask(view, "read_texts", texts=[TEXT])
    expected = ib.describe_feature(embedded, node.layer, node.feature, [TEXT])
    assert view.description.active == expected.active > 0
    assert [one.marked() for one in view.description.examples] == [one.marked() for one in expected.examples]
    assert run_code(view.code)["result"].active == expected.active
    ask(view, "read_texts", texts=[])
    assert view.texts is None and view.description.examples == [] and view.error is None


@pytest.mark.parametrize(
    ("texts", "words"),
    [(["", " \n"], "nothing to read"), (["a" * LONGEST_TEXTS, "b"], "view.texts ="), ("text", "list")],
)
def test_texts_that_cannot_be_read_are_refused(view, texts, words):
    ask(view, "read_texts", texts=texts)
    assert words in view.error["message"] and view.texts is None


def test_long_texts_are_named_and_not_spelled_out_in_code(view):
    ask(view, "read_texts", texts=[TEXT * 400])
    assert view.description.texts == 1 and len(view.code) < 2000 and "texts" in view.code


def test_names_are_given_taken_away_and_read_from_a_file(view):
    ask(view, "name_feature", layer=2, feature=7, name=" capitals ")
    ask(view, "read_names", text=json.dumps({"3/560": "say Oslo", "0/1": " "}))
    assert view.names == {"2/7": "capitals", "3/560": "say Oslo"}
    ask(view, "name_feature", layer=2, feature=7, name="")
    ask(view, "show", text="The capital of Japan is")
    assert view.names == {"3/560": "say Oslo"}  # kept over prompts
    assert view.page_state()["names"] == view.names


@pytest.mark.parametrize(
    "text", ["[", '{"a": "b"}', '{"1/2": 3}', '["1/2"]', '{"1/2": "' + "x" * 201 + '"}', '{"1/2": "\\u0007"}']
)
def test_what_is_no_name_is_refused(view, text):
    view.names = {"1/1": "kept"}
    ask(view, "read_names", text=text)
    assert "name" in view.error["message"] and view.names == {"1/1": "kept"}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8) | st.from_regex(r"\d{1,3}/\d{1,4}", fullmatch=True), st.text(max_size=12)))
def test_names_are_checked_once_and_for_all(given_names):
    """What is accepted is accepted again as it is, also through JSON; what is not is refused with a sentence."""
    try:
        names = checked_names(given_names)
    except TraitError as problem:
        assert str(problem).endswith(".")
        return
    assert checked_names(json.loads(json.dumps(names))) == names
    assert all(name == name.strip() != "" for name in names.values())


def test_an_edge_is_opened_into_heads_that_sum_to_it(view):
    source, weight = next(one for one in view.result.inputs(view.pinned) if one[0].startswith("E_"))
    ask(view, "open_edge", source=source, target=view.pinned)
    found = view.heads
    assert found["edge"] == pytest.approx(weight, rel=1e-4)
    whole = found["direct"] + found["others"] + sum(value for _, value in found["heads"])
    assert whole == pytest.approx(weight, rel=1e-3, abs=1e-5)
    sizes = [abs(value) for _, value in found["heads"]]
    assert sizes == sorted(sizes, reverse=True) and view.score is None
    head = found["heads"][0][0]
    ask(view, "open_edge", source=source, target=view.pinned, head=head)
    score = view.score
    assert (score["layer"], score["head"]) == tuple(head) and view.heads == found
    assert (score["query"], score["key"]) == (view.result.node(view.pinned).position, view.result.node(source).position)
    for side in (score["of_query"], score["of_key"]):
        parts = side["bias"] + side["others"] + sum(value for _, value in side["rows"])
        assert parts == pytest.approx(score["score"], rel=1e-3, abs=1e-3)
    made = run_code(view.code)
    assert made["heads"].edge == pytest.approx(weight, rel=1e-4) and made["score"].score == pytest.approx(
        score["score"]
    )
    json.dumps(view.page_state()["heads"], allow_nan=False)


def test_an_edge_closes_with_its_card(view):
    source = next(one for one, _ in view.result.inputs(view.pinned) if one.startswith("E_"))
    ask(view, "open_edge", source=source, target=view.pinned)
    view.set_state({"pinned": None})
    assert (view.edge, view.heads, view.score) == (None, None, None)
    ask(view, "close_edge")
    assert view.error is None


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        ({"source": "bias"}, "no head"),
        ({"source": "nobody"}, "no node"),
        ({"target": "E_0_0"}, "Only features and logits read"),
        ({"head": [1, 2, 3]}, "head"),
        ({"head": [-1, 2]}, "head"),
        ({"head": [90, 2]}, "layer"),
    ],
)
def test_edges_that_cannot_be_opened_are_refused(view, edge, words):
    ask(view, "open_edge", **{"source": "E_0_0", "target": view.pinned, **edge})
    assert words in view.error["message"] and view.score is None


def test_an_edge_is_no_trait_of_the_view(view):
    view.set_state({"edge": {"source": "E_0_0", "target": view.pinned}})
    assert "can't be set" in view.error["message"] and view.edge is None
    with pytest.raises(TraitError, match="names of two nodes"):
        view.edge = {"source": "E_0_0"}


def test_what_is_not_listed_is_summed():
    values = np.arange(1.0, 61.0).reshape(10, 6)
    found = heads_to_json(EdgeHeads("a", "b", 2000.0, 170.0, values))
    assert [name for name, _ in found["heads"][:2]] == [[9, 5], [9, 4]] and len(found["heads"]) == MOST_ROWS
    assert found["others"] == sum(range(1, 61 - MOST_ROWS))
    with pytest.raises(ValueError, match="not finite"):
        score_to_json(ScoreFeatures(0, 0, 1, 0, float("nan"), {}, {}, 0.0, 0.0))


def test_texts_and_edges_are_undone(embedded, capitals):
    bench = Watched(hs.Workbench, embedded, capitals)
    bench.add("features")
    [panel] = [one for one in bench.panels if isinstance(one, hs.FeatureGraph)]
    assert bench.wait(60)
    node = strongest(panel).id
    panel.set_state({"pinned": node})
    ask(panel, "read_texts", texts=[TEXT])
    source = next(one for one, _ in panel.result.inputs(node) if one.startswith("E_"))
    ask(panel, "open_edge", source=source, target=node)
    assert panel.heads is not None and bench.commands[-2]["params"] == {"texts": [TEXT]}
    bench.undo()
    assert (panel.edge, panel.heads, panel.texts) == (None, None, [TEXT])
    bench.undo()
    assert bench.wait(60) and panel.texts is None and panel.description.texts == 0
    bench.redo()
    bench.redo()
    assert bench.wait(60) and panel.heads["source"] == source and panel.description.texts == 1
    bench.close()
