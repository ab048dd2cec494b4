"""Attention arrays of anybody's own, without a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from attention_widgets import circuitsvis_of, find, scores_by_name, sent, state_in, wire_of
from driven_widgets import Watched, ask

import hookscope as hs
from hookscope import attention_frame
from hookscope.circuitsvis import handover
from hookscope.circuitsvis.attention import AttentionFigure
from interp_backend.common.head_measures import head_measures
from interp_backend.results.codec import decode_array
from interp_backend.results.thumbnails import MASKED, NOT_A_NUMBER
from tiny_models import bridge

# Arrays without a model


def rows(heads, length, seed=0):
    made = np.tril(np.random.default_rng(seed).random((heads, length, length)).astype(np.float32))
    return made / made.sum(-1, keepdims=True)


def arrays_of(*args, **options):
    """The view of arrays, with what it sends kept."""
    sent = []

    class Watching(AttentionFigure):
        def send(self, content, buffers=None):
            json.dumps(content, allow_nan=False)
            sent.append(content)

    widget = Watching(*args, **options)
    widget.sent = sent
    return widget


def test_arrays_are_shown_as_they_are_given():
    given = rows(3, 5)
    kept = given.copy()
    widget = arrays_of(given, list("abcab"), marks=["previous"])
    frame = wire_of(widget)
    assert frame["whole"] and frame["names"] == ["Head 0", "Head 1", "Head 2"] and frame["layers"] == [0]
    values = decode_array(frame["values"]["prompt"])
    above = np.triu(np.ones((5, 5)), 1) == 1
    assert (values[0][:, above] == np.inf).all()
    np.testing.assert_array_equal(values[0][:, ~above], given[:, ~above])
    np.testing.assert_array_equal(given, kept)
    assert frame["sides"]["prompt"]["tokens"] == list("abcab") and frame["sides"]["prompt"]["ids"] == [0, 1, 2, 0, 1]
    assert not frame["signed"] and frame["high"]["prompt"] == pytest.approx(given.max()) and frame["axis_labels"]
    assert widget.info["model"] is None and widget.info["actions"] is None and widget.info["kinds"] == []
    assert frame["warnings"] == [] and widget.marks == ["previous"] and widget.thumbs is None
    expected = head_measures(given, [0, 1, 2, 0, 1])
    for name, score in scores_by_name(widget).items():
        np.testing.assert_allclose(decode_array(score["values"])[0], expected[name], atol=1e-6)
    assert widget.status == "done" and widget.pair is None and widget.model is None and widget.code == ""


def test_arrays_that_look_both_ways_are_not_masked():
    given = np.random.default_rng(1).random((2, 3, 3))
    given /= given.sum(-1, keepdims=True)
    widget = arrays_of(given, list("abc"), causal=False, names=["x", "y"], axis_labels=False)
    frame = wire_of(widget)
    np.testing.assert_array_equal(decode_array(frame["values"]["prompt"])[0], given.astype(np.float32))
    assert frame["names"] == ["x", "y"] and frame["axis_labels"] is False and not widget.result.masked.any()
    assert frame["warnings"] == []


@pytest.mark.parametrize(
    "ends, expected",
    [
        ({}, (2.0, -2.0)),
        ({"max_value": 4}, (4.0, -4.0)),
        ({"min_value": -0.5}, (2.0, -0.5)),
        ({"max_value": 3, "min_value": -7}, (3.0, -7.0)),
        ({"max_value": -1, "min_value": 1}, (2.0, -2.0)),
    ],
)
def test_the_ends_of_the_scale_are_those_given_or_the_largest_value(ends, expected, monkeypatch):
    monkeypatch.setattr(attention_frame, "MOST_SENT", 1)
    given = np.array([[[1.0, 99.0], [-2.0, 0.5]]])  # what is masked does not count
    colors = {"positive_color": "red", "negative_color": "#00f"}
    widget = arrays_of(given, ["a", "b"], **ends, **colors)
    frame = wire_of(widget)
    assert frame["signed"] and (frame["high"]["prompt"], frame["low"]["prompt"]) == expected
    assert frame["colors"] == {"positive": "red", "negative": "#00f"}
    codes = decode_array(widget.thumbs["codes"])[0, 0]
    assert codes[0, 1] == MASKED and codes[0, 0] == round(125 + 125 * min(1, 1 / expected[0]))
    assert codes[1, 0] == round(125 + 125 * max(-1, 2 / expected[1]))


def test_what_is_odd_about_arrays_is_said_and_shown_as_it_is():
    given = rows(6, 4)
    given[1, 2, 1], given[2, 3, 0], given[4, 3, 2] = np.nan, np.inf, -np.inf
    given[3] *= 0.5
    for few_numbers in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if few_numbers:
                patch.setattr(attention_frame, "MOST_SENT", 10)
            widget = arrays_of(given, list("abcd"), names=list("ABCDEF"))
            numbers, sums = wire_of(widget)["warnings"]
            assert numbers.startswith("Not numbers") and "B, C, E" in numbers
            assert sums.startswith("Rows that do not sum to one") and "D" in sums and "as given" in sums
            if few_numbers:
                codes = decode_array(widget.thumbs["codes"])[0]
                assert codes[1, 2, 1] == codes[2, 3, 0] == codes[4, 3, 2] == NOT_A_NUMBER
                assert (codes == NOT_A_NUMBER).sum() == 3
            else:
                values = decode_array(wire_of(widget)["values"]["prompt"])[0]
                assert np.isnan(values[[1, 2, 4], [2, 3, 3], [1, 0, 2]]).all() and np.isnan(values).sum() == 3
                np.testing.assert_array_equal(values[3][np.tri(4) == 1], given[3][np.tri(4) == 1])
            assert np.isfinite(wire_of(widget)["high"]["prompt"])


def test_nothing_but_what_is_no_number_is_shown_too():
    widget = arrays_of(np.full((1, 3, 3), np.nan), list("abc"))
    assert wire_of(widget)["high"]["prompt"] == 1.0 and "Not numbers" in wire_of(widget)["warnings"][0]
    assert widget.opened == [[0, 0]]


def test_negative_values_are_no_weights_and_sum_to_what_they_like():
    widget = arrays_of(np.random.default_rng(2).normal(size=(2, 4, 4)), list("abcd"))
    assert wire_of(widget)["signed"] and wire_of(widget)["warnings"] == []


@pytest.mark.parametrize(
    "attention, tokens, options, sentence",
    [
        (np.zeros((3, 3)), "abc", {}, r"shape \[3, 3\]; give \[head × destination × source\]"),
        (np.zeros((1, 3, 2)), "abc", {}, "3 tokens and 2 columns of attention"),
        (np.zeros((0, 3, 3)), "abc", {}, "nothing to show"),
        (np.zeros((1, 0, 0)), "", {}, "nothing to show"),
        (np.zeros((1, 3, 3)), "abcd", {}, "4 tokens and 3 rows of attention"),
        (np.zeros((2, 3, 3)), "abc", {"names": ["x"]}, "1 names and 2 heads"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(attention, tokens, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        AttentionFigure(attention, list(tokens), **options)


def test_arrays_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr("hookscope.circuitsvis.attention.MOST_NUMBERS", 17)
    with pytest.raises(ValueError, match="Give fewer heads or tokens"):
        AttentionFigure(rows(2, 3), list("abc"))
    AttentionFigure(rows(1, 4), list("abcd"))


def test_large_arrays_send_the_heads_that_are_opened(few):
    given = rows(4, 70)
    widget = arrays_of(given, [str(i % 7) for i in range(70)])
    frame = wire_of(widget)
    assert not frame["whole"] and frame["values"] == {} and widget.thumbs["size"] == 64
    ask(widget, "heads", result=frame["id"], side="prompt", heads=[[0, 3]])
    [event] = sent(widget, "heads")
    values = decode_array(event["values"])[0]
    np.testing.assert_array_equal(values[np.tri(70) == 1], given[3][np.tri(70) == 1])
    assert (values[np.tri(70) == 0] == np.inf).all()
    ask(widget, "attention_patterns", id="w", kind="scores")
    assert "shows a result and has no model to ask" in widget.error["message"]
    assert [event["event"] for event in widget.sent if event["id"] == "w"] == ["accepted", "error"]
    for name, value in [
        ("side", "clean"),
        ("opened", [[1, 0]]),
        ("sort", "random:entropy"),
        ("names", []),
        ("result", None),
    ]:
        widget.error = None
        widget.set_state({name: value})
        assert widget.error["field"] == name


def test_arrays_become_a_page_and_circuitsvis_again(tmp_path):
    given = rows(3, 4)
    options = {"max_value": 0.5, "min_value": -0.25, "positive_color": "red", "negative_color": "blue"}
    widget = arrays_of(given, ["<b>", "</script>", "c", "d"], names=["one", "two", "three"], **options)
    page = widget.save(tmp_path / "arrays.html").read_text("utf-8")
    [frame] = [part for part in find(state_in(page), "result") if isinstance(part, dict) and "whole" in part]
    assert frame["names"] == ["one", "two", "three"] and frame["sides"]["prompt"]["tokens"][1] == "</script>"
    handed = circuitsvis_of(widget.to_circuitsvis([(0, 2)]))
    np.testing.assert_allclose(handed["attention"], given[2:], atol=1e-6)
    assert handed["attentionHeadNames"] == ["three"] and handed["tokens"][1] == "</script>"
    assert (handed["maxValue"], handed["minValue"]) == (0.5, -0.25)
    assert (handed["positiveColor"], handed["negativeColor"]) == ("red", "blue")


def test_what_circuitsvis_can_not_show_is_said(monkeypatch):
    widget = Watched(hs.AttentionViewer, bridge("mistral"), "hello there")  # its window is four tokens
    with pytest.warns(UserWarning, match=r"36 entries that are masked .* become zeros"):
        widget.to_circuitsvis([(0, 0)])
    monkeypatch.setattr(handover, "MOST_HANDED_OVER", 200)
    for heads in ([], None):
        with pytest.raises(ValueError, match=r"export one head or more, and at most"):
            widget.to_circuitsvis(heads)
    for heads in (3, [3], "0.1", [(0, 1, 2)]):
        with pytest.raises(ValueError, match=r"a list of \(layer, head\)"):
            widget.to_circuitsvis(heads)
    widget.close()


def test_a_head_with_negative_weights_has_no_entropy():
    given = np.stack([rows(1, 4)[0], -rows(1, 4)[0]])
    widget = arrays_of(given, list("abcd"), marks="induction")
    entropy = widget.result.sides["prompt"].scores["entropy"][0]
    assert np.isfinite(entropy[0]) and np.isnan(entropy[1]) and widget.marks == ["induction"]
    widget.close()
