"""hookscope.circuitsvis takes what CircuitsVis takes, computes what it does, and refuses the rest in a sentence."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import importlib
import inspect
import json
import re

import circuitsvis
import circuitsvis.utils.render
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

import hookscope.circuitsvis as cv
from hookscope.circuitsvis import token_values
from hookscope.circuitsvis.inputs import wire
from hookscope.circuitsvis.offline import call_offline, offline
from hookscope.page import read_page
from interp_backend.results.codec import decode_array

FUNCTIONS = [
    "activations.text_neuron_activations",
    "attention.attention_heads",
    "attention.attention_pattern",
    "attention.attention_patterns",
    "examples.hello",
    "logits.token_log_probs",
    "tokens.colored_tokens",
    "tokens.colored_tokens_multi",
    "tokens.visualize_model_performance",
    "topk_samples.topk_samples",
    "topk_tokens.topk_tokens",
]
TEXT = ["<bos>", "The", " capital", " of", " Norway", " is"]


def function(package, name):
    module, _, function = name.partition(".")
    return getattr(importlib.import_module(f"{package.__name__}.{module}"), function)


def decoded(json):
    """What `wire` sent."""
    array = decode_array(json)
    return array if array.dtype == np.float32 else array.view("<f8")


def props(rendered):
    """What CircuitsVis hands to its front end."""
    return json.loads(re.search(r"^      (\{.*\})\n    \)", rendered.cdn_src, re.M)[1])


def page_of(figure):
    """The page in a figure's frame, as a browser reads it."""
    return html.unescape(re.search(r'srcdoc="([^"]*)"', str(figure))[1])


# Drop-in


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_arguments_are_those_of_circuitsvis(name):
    def arguments(package):
        return [(it.name, it.kind, it.default) for it in inspect.signature(function(package, name)).parameters.values()]

    assert arguments(cv) == arguments(circuitsvis)


def test_every_module_and_function_of_circuitsvis_is_there():
    theirs = {
        f"{name}.{what.__name__}"
        for name in [*circuitsvis.__all__, "logits"]
        for what in vars(getattr(circuitsvis, name)).values()
        if inspect.isfunction(what) and what.__module__ == f"circuitsvis.{name}"
    }
    assert theirs == set(FUNCTIONS)
    assert [name for name in circuitsvis.__all__ if not hasattr(cv, name)] == []


def test_type_hints_find_rendered_html():
    from hookscope.circuitsvis.utils.render import RenderedHTML

    assert isinstance(cv.examples.hello("Bob"), RenderedHTML)
    assert isinstance(cv.attention.attention_pattern(["a"], [[1.0]]), RenderedHTML)


# Numbers


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, -3],
        (1.0, 2.5, -3.0),
        [np.float32(1), torch.tensor(2.5), -3],
        [torch.tensor(1.0, requires_grad=True), torch.tensor(2.5), torch.tensor(-3.0)],
        np.array([1, 2.5, -3]),
        np.array([1, 2.5, -3], np.float16),
        torch.tensor([1, 2.5, -3], requires_grad=True),
        torch.tensor([1, 2.5, -3], dtype=torch.bfloat16),
        torch.tensor([[1, 2.5, -3]], dtype=torch.float64),
        torch.tensor([[1], [2.5], [-3]]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_numbers_come_in_any_form(values):
    figure = cv.tokens.colored_tokens(["a", "b", "c"], values).figure
    assert decoded(figure["values"]).tolist() == [1, 2.5, -3]


def test_booleans_whole_numbers_and_none_are_numbers():
    values = cv.tokens.colored_tokens(["a", "b", "c"], [True, 2**53 - 1, None]).figure["values"]
    assert decoded(values)[:2].tolist() == [1, 2**53 - 1]
    assert np.isnan(decoded(values)[2])
    ids = torch.tensor([16_777_217])  # float32 would round it
    assert decoded(cv.tokens.colored_tokens(["a"], ids).figure["values"]).tolist() == [16_777_217]


def test_masked_numbers_are_none():
    values = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    assert np.isnan(decoded(cv.tokens.colored_tokens(["a", "b"], values).figure["values"])[1])


@given(st.lists(st.floats()))
def test_numbers_cross_exactly(values):
    sent = wire(np.array(values, np.float64))
    assert np.array_equal(decoded(sent).astype(np.float64), values, equal_nan=True)


@given(st.lists(st.floats(width=32), min_size=1))
def test_float32_crosses_as_such(values):
    sent = wire(np.array(values, np.float32))
    assert sent["dtype"] == "float32"
    assert np.array_equal(decode_array(sent), np.array(values, np.float32), equal_nan=True)


@given(st.lists(st.text(max_size=5), max_size=8), st.data())
def test_any_texts_are_tokens(tokens, data):
    values = data.draw(st.lists(st.floats(), min_size=len(tokens), max_size=len(tokens)))
    figure = cv.tokens.colored_tokens(tokens, values)
    json.dumps(figure.get_state(), allow_nan=False).encode("utf-8")
    assert figure.figure["tokens"] == [re.sub("[\ud800-\udfff]", "\ufffd", token) for token in tokens]
    figure.close()


# Refusals


def tokens(*args, **options):
    return lambda: cv.tokens.colored_tokens(*args, **options)


LP = np.log(np.full((3, 4), 0.25))
REFUSED = [
    (tokens("ab", [1, 2]), TypeError, "to_str_tokens"),
    (tokens(["a", 7], [1, 2]), TypeError, "tokens[1] is a number"),
    (tokens(None, [1]), TypeError, "tokens is None"),
    (tokens(["a", "b"], [1]), ValueError, "2 tokens and 1 values"),
    (tokens(["a"], ["1"]), TypeError, "real number"),
    (tokens(["a", "b"], [1, "x"]), TypeError, "real number"),
    (tokens(["a"], None), TypeError, "values is None"),
    (tokens(["a"], {"a": 1}), TypeError, "values is of type dict"),
    (tokens(["a"], [1j]), TypeError, "real number"),
    (tokens(["a"], torch.ones(1, dtype=torch.complex64)), TypeError, "complex"),
    (tokens(["a", "b"], [[1, 2], [3]]), ValueError, "ragged"),
    (tokens(["a", "b"], np.ones((2, 2))), ValueError, "shape [2, 2]"),
    (tokens(["a"], [1], min_value=float("nan")), ValueError, "min_value"),
    (tokens(["a"], [1], max_value="much"), TypeError, "max_value"),
    (tokens(["a"], [1], positive_color=3), TypeError, "CSS colour"),
    (lambda: cv.tokens.colored_tokens_multi(["a"], [[1, 2]], ["x"]), ValueError, "1 labels for 2 values"),
    (lambda: cv.tokens.colored_tokens_multi(["a"], [[1], [2]]), ValueError, "1 tokens and 2 rows"),
    (lambda: cv.tokens.visualize_model_performance([1.5], ["a"], LP[:1]), ValueError, "not a whole number"),
    (lambda: cv.logits.token_log_probs([0, 1, 4], LP, str), ValueError, "vocabulary has 4"),
    (lambda: cv.logits.token_log_probs([0, 1], LP, str), ValueError, "2 tokens and 3 rows"),
    (lambda: cv.logits.token_log_probs([0, 1, 2], LP, lambda id: id), TypeError, "to_string's answer"),
    (lambda: cv.logits.token_log_probs([0, 1, 2], LP, str, top_k=-1), ValueError, "top_k"),
    (lambda: cv.activations.text_neuron_activations(["a"], np.ones((2, 1, 1))), ValueError, "in sample 0"),
    (lambda: cv.activations.text_neuron_activations([["a"]], [np.ones((1, 1, 1))] * 2), ValueError, "1 samples"),
    (lambda: cv.activations.text_neuron_activations(["a"], np.ones((1, 0, 3))), ValueError, "0 layers"),
    (
        lambda: cv.activations.text_neuron_activations([["a"], ["b"]], [np.ones((1, 1, 1)), np.ones((1, 1, 2))]),
        ValueError,
        "Sample 1",
    ),
    (lambda: cv.topk_samples.topk_samples([[[["a"]]]], [[[[1, 2]]]]), ValueError, "activations[0][0][0]"),
    (lambda: cv.topk_samples.topk_samples([], []), ValueError, "no neurons"),
    (lambda: cv.topk_samples.topk_samples([[[["a"]]]], [[[[1]], [[2]]]]), ValueError, "tokens[0] has 1"),
    (lambda: cv.topk_tokens.topk_tokens([["a"]], [np.ones((1, 1))]), ValueError, "shape [1, 1]"),
    (lambda: cv.topk_tokens.topk_tokens([["a"]], [np.ones((1, 1, 1))], max_k=0), ValueError, "max_k"),
    (lambda: cv.topk_tokens.topk_tokens([], []), ValueError, "nothing to show"),
    (lambda: cv.attention.attention_heads(np.ones((2, 3, 3)), ["a"]), ValueError, "1 tokens and 3 rows"),
    (lambda: cv.attention.attention_pattern(["a"], [[1, 2]]), ValueError, "1 tokens and 2 columns"),
    (lambda: cv.attention.attention_patterns(["a"], [[1.0]]), ValueError, "head × destination × source"),
]


@pytest.mark.parametrize("call, kind, words", REFUSED, ids=[words for *_, words in REFUSED])
def test_what_cannot_be_shown_is_refused_in_one_sentence(call, kind, words):
    with pytest.raises(kind) as problem:
        call()
    assert words in str(problem.value)
    assert re.fullmatch(r"[^\n]+\.", str(problem.value))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_show_is_shown_as_such(count):
    assert cv.tokens.colored_tokens([], []).figure["tokens"] == []
    assert cv.tokens.visualize_model_performance(torch.zeros(count), TEXT[:count], np.zeros((count, 5)))
    assert cv.logits.token_log_probs(torch.zeros(count), np.zeros((count, 5)), str).figure["ranks"]["shape"] == [0]


def test_labels_that_do_not_fit_are_left_out_with_a_warning():
    figure = cv.activations.text_neuron_activations(["a"], np.ones((1, 2, 1)), first_dimension_labels=["x"]).figure
    assert figure["labels"] == [None, None]
    assert "1 labels for 2" in figure["warnings"][0]


# What is computed


def test_log_probs_are_ranked_as_there():
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (1, 7))
    log_probs = torch.randn(1, 7, 50).log_softmax(-1)
    given = ids, log_probs, lambda id: f" t{id}", 5
    theirs, ours = props(circuitsvis.logits.token_log_probs(*given)), cv.logits.token_log_probs(*given).figure
    assert ours["tokens"] == theirs["prompt"]
    assert decode_array(ours["ranks"]).tolist() == theirs["correctTokenRank"]
    assert decoded(ours["log_probs"]).tolist() == theirs["correctTokenLogProb"]
    assert decoded(ours["top_log_probs"]).tolist() == theirs["topKLogProbs"]
    top = [[ours["strings"][i] for i in row] for row in decode_array(ours["top_tokens"]).tolist()]
    assert top == theirs["topKTokens"]


def test_of_equally_likely_tokens_none_is_before_the_true_one():
    figure = cv.logits.token_log_probs([0, 3, 1], LP, str, top_k=99).figure
    assert decode_array(figure["ranks"]).tolist() == [0, 0]
    assert figure["top_tokens"]["shape"] == [2, 4]


def test_what_has_no_number_has_no_rank():
    said = torch.log_softmax(torch.arange(12.0).reshape(3, 4), -1)
    said[0, 2] = torch.nan
    figure = cv.logits.token_log_probs([0, 2, 3], said, str).figure
    assert decode_array(figure["ranks"]).tolist() == [-1, 0]


def test_logits_in_place_of_log_probs_are_noticed():
    figure = cv.logits.token_log_probs([0, 1, 2], np.eye(3) * 4, str).figure
    assert "log_softmax" in figure["warnings"][0]


def test_model_performance_is_computed_as_there():
    torch.manual_seed(0)
    given = torch.randint(0, 50, (1, 7)), list("abcdefg"), torch.randn(1, 7, 50) * 4
    theirs = props(circuitsvis.tokens.visualize_model_performance(*given))
    figure = cv.tokens.visualize_model_performance(*given).figure
    assert (figure["tokens"], figure["labels"]) == (theirs["tokens"], theirs["labels"])
    np.testing.assert_allclose(decoded(figure["values"]), theirs["values"], rtol=1e-5, atol=1e-7)


def test_top_and_bottom_tokens_are_those_of_circuitsvis():
    rng = np.random.default_rng(0)
    activations = [rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3, 2))]
    given = [list("abcde"), list("fgh")], activations, 4
    theirs, ours = props(circuitsvis.topk_tokens.topk_tokens(*given)), cv.topk_tokens.topk_tokens(*given).figure
    assert (ours["k"], ours["columns"]) == (4, [3, 2])
    for name in ("top", "bottom"):
        for sample, layer in [(0, 0), (0, 1), (1, 0), (1, 1)]:
            part = ours["parts"][sample][layer]
            shape = np.shape(theirs[f"{name}kVals"][sample][layer])
            values = decoded(part[name]).reshape(shape)
            assert values.tolist() == theirs[f"{name}kVals"][sample][layer]
            assert decode_array(part[f"{name}_at"]).tolist() == theirs[f"{name}kIdxs"][sample][layer]


def test_numbers_that_are_none_are_neither_top_nor_bottom():
    part = cv.topk_tokens.topk_tokens([list("abc")], [torch.tensor([[[1.0], [np.nan], [2.0]]])], 2).figure["parts"][0][
        0
    ]
    assert decode_array(part["top_at"]).ravel().tolist() == [2, 0]
    assert decode_array(part["bottom_at"]).ravel().tolist() == [2, 0]


def test_activations_are_cut_by_layer_and_neuron():
    first, second = np.arange(12).reshape(2, 2, 3), np.arange(12, 30).reshape(3, 2, 3)
    figure = cv.activations.text_neuron_activations([["a", "b"], ["c", "d", "e"]], [first, torch.tensor(second)]).figure
    assert figure["sizes"] == [2, 3]
    assert decoded(figure["parts"][1][2]["values"]).tolist() == [5, 11, 17, 23, 29]
    assert (figure["low"], figure["high"]) == (0, 29)
    nested = cv.activations.text_neuron_activations(["a", "b"], first.tolist()).figure
    assert decoded(nested["parts"][0][1]["values"]).tolist() == [1, 7]


def test_samples_of_any_length():
    figure = cv.topk_samples.topk_samples([[[["a", "b"], []], [["c"]]]], [[[[1, 0.5], []], [torch.tensor([2])]]]).figure
    assert figure["parts"][0][0]["tokens"] == [["a", "b"], []]
    assert decoded(figure["parts"][0][0]["values"]).tolist() == [1, 0.5]
    assert decoded(figure["parts"][0][1]["values"]).tolist() == [2]


def test_attention_goes_to_the_attention_view():
    values = torch.tensor([[[1.0, 0.0], [0.25, 0.75]]], dtype=torch.bfloat16, requires_grad=True)
    heads = cv.attention.attention_heads(values, ["a", "b"], ["L0H1"], max_value=0.5, positive_color="teal")
    wire = heads.get_state()["result"]
    assert (wire["names"], wire["colors"]["positive"], wire["high"]["prompt"]) == (["L0H1"], "teal", 0.5)
    shown = decode_array(wire["values"]["prompt"])[0, 0]
    assert shown[1].tolist() == [0.25, 0.75]
    assert np.isposinf(shown[0, 1])  # masked
    plain = cv.attention.attention_patterns(["a", "b"], values).get_state()["result"]
    assert decode_array(plain["values"]["prompt"])[0, 0].tolist() == [[1, 0], [0.25, 0.75]]
    one = cv.attention.attention_pattern(["a", "b"], values[0], show_axis_labels=False, mask_upper_tri=False)
    assert one.get_state()["result"]["axis_labels"] is False


# The widget


@pytest.fixture
def watched(monkeypatch):
    """A large figure whose messages to its view are kept."""
    monkeypatch.setattr(token_values, "MOST_NUMBERS", 5)
    figure = cv.activations.text_neuron_activations(["a", "b"], np.arange(12.0).reshape(2, 2, 3))
    sent = []
    monkeypatch.setattr(figure, "send", lambda content, buffers=None: sent.append(content))
    yield figure, sent
    figure.close()


def ask(figure, **params):
    figure.take_message({"kind": "request", "id": "r", "method": "figure_part", "params": params})


def test_of_a_large_figure_a_view_asks_for_what_it_shows(watched):
    figure, sent = watched
    assert figure.figure["parts"] is None
    ask(figure, first=1, second=2)
    assert [event["event"] for event in sent] == ["accepted", "figure_part", "result"]
    assert decoded(sent[1]["part"]["values"]).tolist() == [5, 11]
    [part] = read_page(page_of(figure))
    assert np.shape(part.state["figure"]["parts"]) == (2, 3)


@pytest.mark.parametrize("params", [{"first": 2, "second": 0}, {"first": 0}, {"first": -1, "second": 0}])
def test_a_part_that_is_not_there_is_refused(watched, params):
    figure, sent = watched
    ask(figure, **params)
    assert sent[-1]["event"] == "error"


@pytest.mark.parametrize(
    "state, bad",
    [
        ({"chosen": {"first": 1, "filter": "top"}}, False),
        ({"chosen": {"first": "1"}}, True),
        ({"chosen": {"first": True}}, True),
        ({"chosen": {"other": 1}}, True),
        ({"selection": {"sample": 0, "token": 1}}, False),
        ({"selection": {"token": -1}}, True),
        ({"selection": {"token": 1.5}}, True),
        ({"selection": {"head": 1}}, True),
        ({"figure": {}}, True),
    ],
)
def test_a_view_may_set_choices_and_the_pin(watched, state, bad):
    figure, _ = watched
    figure.set_state(state)
    assert (figure.error is not None) == bad
    assert figure.figure["kind"] == "samples"


def test_a_notebook_keeps_the_widget_and_no_html_beside_it(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    figure = cv.examples.hello("Bob")
    assert DisplayFormatter().format(figure) == ({}, {})
    [(data, options)] = shown
    assert options["raw"]
    assert sorted(data) == ["application/vnd.jupyter.widget-view+json", "text/plain"]
    assert len(data["text/plain"]) < 100


# HTML


def test_html_is_whole_and_allows_its_own_script_alone():
    figure = cv.tokens.colored_tokens(["</script><script>alert(1)</script>", '"'], [1, 2])
    page = page_of(figure)
    assert figure._repr_html_() == figure.__html__() == figure.show_code() == figure.local_src == figure.cdn_src
    assert str(figure).isascii()  # a file that doesn't say how it is encoded shows it all the same
    assert page.count("</script>") == 3
    packed = re.search(r'id="hookscope-script">([A-Za-z0-9+/=]*)</script>', page)[1]
    scripts = [re.search(r"<script>(.*)</script>", page, re.S)[1], gzip.decompress(base64.b64decode(packed)).decode()]
    loads, whole = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    assert f"default-src 'none'; script-src 'sha256-{loads}' 'sha256-{whole}';" in page
    assert not re.findall(r"https?://(?!www\.w3\.org/)[^\"'`\s]+", page)


def test_html_shows_what_was_chosen():
    figure = cv.activations.text_neuron_activations(["a"], np.ones((1, 2, 3)))
    figure.chosen = {"second": 2}
    [part] = read_page(page_of(figure))
    assert part.state["chosen"] == {"second": 2}


# CircuitsVis itself


@pytest.fixture
def cut_off(monkeypatch):
    def called(*_, **__):
        raise AssertionError("the network was looked for")

    monkeypatch.setattr("urllib.request.urlopen", called)
    monkeypatch.setattr(circuitsvis.utils.render, "internet_on", called)


def test_circuitsvis_shows_its_own_script_without_looking_for_a_network(cut_off):
    rendered = circuitsvis.tokens.colored_tokens(["a", "b"], [1, 2])
    ours = offline(rendered)
    assert isinstance(ours, circuitsvis.utils.render.RenderedHTML)
    assert ours._repr_html_() == ours.__html__() == str(ours) == ours.show_code() == rendered.local_src
    assert offline(ours)._repr_html_() == rendered.local_src
    assert call_offline(circuitsvis.examples.hello, name="Bob").local_src.startswith('<div id="circuits-vis-')


def test_a_token_does_not_end_circuitsvis_s_script():
    token = 'CircuitsVis.render(\n      "</script><script>alert(1)</script>'
    rendered = circuitsvis.tokens.colored_tokens([token], [1])
    source = offline(rendered).local_src
    assert rendered.local_src.count("</script>") == 3
    assert source.count("</script>") == 1
    assert json.loads(re.search(r"(\{.*\})\n    \)\n    </script>$", source)[1])["tokens"] == [token]


def test_only_what_circuitsvis_returned_can_be_taken_offline():
    with pytest.raises(TypeError, match="of type str"):
        offline("<p>")
