"""The attention viewer's Python side, driven as a view would: traits, requests, large results, prompts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets
from attention_widgets import PROMPT, TWICE, UNEQUAL, as_sent, run_code, scores_by_name, sent, wire_of
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope import attention_frame, head_answers
from interp_backend.common.head_measures import MEASURES, head_measures
from interp_backend.results.codec import decode_array
from interp_backend.results.thumbnails import MASKED, NOT_A_NUMBER, thumbnails
from tiny_models import INDUCTION, PAIR, PREVIOUS, bridge, induction_model

# What is shown


def test_a_viewer_reads_its_pair_at_once(viewer, embedded, capitals):
    assert viewer.status == "done" and viewer.error is None and viewer.side == "clean" and viewer.prompt is None
    alone, frame = ib.attention_patterns(embedded, capitals), wire_of(viewer)
    assert frame["whole"] and viewer.thumbs is None and frame["kept"] == {} and frame["id"]
    assert list(frame["values"]) == ["clean", "corrupt", "difference"]
    for side in frame["values"]:
        np.testing.assert_array_equal(viewer.result.values_of(side), alone.values_of(side))
        values = decode_array(frame["values"][side])
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, as_sent(alone, side))
    assert frame["sides"]["corrupt"] == {
        "text": capitals.corrupt,
        "ids": embedded.to_ids(capitals.corrupt),
        "tokens": alone.sides["corrupt"].tokens,
    }
    assert (frame["layers"], frame["heads"]) == ([0, 1, 2, 3], [0, 1, 2, 3]) and frame["key_value_heads"] is None
    assert frame["quantity"] == "attention" and not frame["signed"] and frame["names"] is None
    assert frame["counterparts"] is None and frame["warnings"] == [] and frame["params"] == alone.params
    difference = np.nanmax(np.abs(alone.values_of("difference")))
    assert frame["high"] == {"clean": 1.0, "corrupt": 1.0, "difference": pytest.approx(difference)}
    assert frame["low"] == {side: -high for side, high in frame["high"].items()}


@pytest.mark.parametrize("kind", ["value_weighted", "scores", "output_norm"])
def test_another_kind_from_a_view(viewer, embedded, capitals, kind):
    ask(viewer, "attention_patterns", kind=kind)
    assert viewer.error is None and viewer.kind == kind and events(viewer, "view:1") == ["accepted", "result"]
    frame = wire_of(viewer)
    assert frame["id"] == "view:1" and frame["kind"] == kind and frame["signed"] == (kind != "value_weighted")
    alone = ib.attention_patterns(embedded, capitals, kind)
    for side in ("clean", "corrupt", "difference"):
        np.testing.assert_array_equal(decode_array(frame["values"][side]), as_sent(alone, side))
        assert frame["high"][side] == pytest.approx(np.nanmax(np.abs(alone.values_of(side))))
    again = run_code(viewer.code)
    np.testing.assert_array_equal(again.values_of("difference"), alone.values_of("difference"))


def test_a_kind_set_in_python_runs(one):
    before = one.result
    one.kind = "value_weighted"
    assert one.wait(60) and one.result is not before and one.result.kind == "value_weighted"
    with pytest.raises(traitlets.TraitError):
        one.kind = "weights"
    assert one.kind == "value_weighted"


def test_menus_offer_what_there_is(viewer, one):
    info = viewer.info
    assert [kind["name"] for kind in info["kinds"]] == ["pattern", "value_weighted", "scores", "output_norm"]
    assert [scale["name"] for scale in info["scales"]] == ["linear", "log", "row", "head"]
    assert [mark["name"] for mark in info["marks"]] == ["induction", "previous", "duplicate"]
    for entry in [*info["kinds"], *info["scales"], *info["marks"], *info["actions"]["patch"]]:
        assert entry["label"] and entry["help"]
    assert info["model"]["n_heads"] == 4 and info["actions"]["patch_reason"] is None
    assert [(entry["name"], entry["reason"]) for entry in info["actions"]["patch"]] == [("z", None), ("pattern", None)]
    assert "two prompts" in one.info["actions"]["patch_reason"]


def test_menus_say_what_can_not_be(embedded):
    dead = Watched(hs.AttentionViewer, bridge("gpt_neo"), ib.PromptPair(clean=PAIR.clean, corrupt=PAIR.corrupt))
    z, pattern = dead.info["actions"]["patch"]
    assert z["reason"] is None and "never reach the output" in pattern["reason"]
    assert "answers" in dead.info["actions"]["patch_reason"]
    assert any("patching them can't work" in warning for warning in wire_of(dead)["warnings"])
    before = dead.result
    ask(dead, "attention_patterns", kind="scores")
    assert dead.status == "error" and "does not give this model's attention scores" in dead.error["message"]
    assert dead.result is before and events(dead, "view:1")[-1] == "error"
    ask(dead, "attention_patterns", id="view:2", kind="output_norm")
    assert dead.status == "done" and dead.error is None and dead.result.kind == "output_norm"
    dead.close()


def test_heads_that_share_keys_say_so_in_the_frame():
    widget = Watched(hs.AttentionViewer, bridge("llama"), "hello there", layers=[0, 2], heads=[1, 2, 3])
    frame = wire_of(widget)
    assert (frame["layers"], frame["heads"], frame["key_value_heads"]) == ([0, 2], [1, 2, 3], [0, 1, 1])
    assert decode_array(frame["values"]["prompt"]).shape[:2] == (2, 3)
    assert widget.opened[0][0] in (0, 2) and widget.opened[0][1] in (1, 2, 3)
    widget.close()


def test_of_a_pair_of_unequal_prompts_what_has_no_counterpart_is_not_a_number(embedded):
    widget = Watched(hs.AttentionViewer, embedded, UNEQUAL, side="difference", kind="scores")
    frame = wire_of(widget)
    assert widget.side == "difference" and frame["counterparts"] == widget.result.counterparts
    values = decode_array(frame["values"]["difference"])
    lost = frame["counterparts"].index(None)
    length = len(frame["counterparts"])
    for d, s in np.ndindex(length, length):
        cell = values[:, :, d, s]
        if s > d:
            assert (cell == np.inf).all()
        else:
            assert np.isnan(cell).all() == (lost in (d, s))
    widget.close()


def test_heads_are_named_by_random_tokens_and_the_induction_head_is_opened():
    widget = Watched(hs.AttentionViewer, induction_model(), "aa aa aa", kind="value_weighted")
    roles = {(one["layer"], one["head"]): (one["role"], one["score"] > 0.9) for one in widget.head_roles}
    assert roles == {PREVIOUS: ("previous token", True), INDUCTION: ("induction", True)}
    assert widget.opened == [list(INDUCTION)]
    assert widget.status == "done" and widget.progress["done"] == widget.progress["total"]
    widget.opened = [[0, 0]]
    ask(widget, "show", text="other words")
    assert widget.opened == [[0, 0]]
    widget.close()


def test_a_model_whose_heads_can_not_be_named_opens_a_head_by_the_prompt(monkeypatch, embedded):
    class Refusing:
        def steps(self, *_, **__):
            raise ValueError("The context is too short.")

    monkeypatch.setattr(head_answers, "induction_heads", Refusing())
    widget = Watched(hs.AttentionViewer, embedded, "Oslo is in Norway. Oslo is in")
    induction = widget.result.sides["prompt"].scores["induction"]
    assert widget.head_roles == [] and widget.error is None and widget.status == "done"
    assert widget.opened == [[int(i) for i in np.unravel_index(np.nanargmax(induction), induction.shape)]]
    widget.close()


def test_scores_of_the_prompt_are_what_its_patterns_say(one):
    scores = scores_by_name(one)
    assert list(scores) == list(MEASURES) and all(score["on"] == "prompt" for score in scores.values())
    for layer in range(4):
        expected = head_measures(one.result.values[layer][:, :, :].copy(), one.result.sides["prompt"].ids)
        for name in ("previous_token", "first_token"):
            np.testing.assert_allclose(decode_array(scores[name]["values"])[layer], expected[name], atol=1e-6)
    for name, score in scores.items():
        assert (score["label"], score["help"], score["unit"]) == (
            MEASURES[name].label,
            MEASURES[name].help,
            MEASURES[name].unit,
        )
        assert score["descending"] == (name != "entropy") and score["spread"] is None
    induction = decode_array(scores["induction"]["values"])
    assert one.opened == [list(map(int, np.unravel_index(induction.argmax(), induction.shape)))]


def test_scores_follow_the_side(embedded):
    pair = ib.PromptPair(clean=TWICE, corrupt=PROMPT)
    widget = Watched(hs.AttentionViewer, embedded, pair)
    assert "induction" in scores_by_name(widget)
    widget.side = "corrupt"
    assert "induction" not in scores_by_name(widget) and "entropy" in scores_by_name(widget)
    widget.side = "difference"
    np.testing.assert_array_equal(
        decode_array(scores_by_name(widget)["induction"]["values"]), widget.result.sides["clean"].scores["induction"]
    )
    widget.close()


# What a view may set


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("side", "prompt", "sides are clean, corrupt, difference"),
        ("side", 5, "side"),
        ("scale", "javascript:", "scale"),
        ("sort", "nonsense", "Heads are sorted by layer, "),
        ("shown_layers", [9], "layers are 0 to 3"),
        ("shown_layers", [], "layers are 0 to 3"),
        ("shown_layers", "all", "shown_layers"),
        ("marks", ["x"], "marks"),
        ("opened", [[9, 0]], "Head 9.0 is not among"),
        ("opened", [[0]], "at most 12 heads"),
        ("opened", [[0, 1, 2]], "at most 12 heads"),
        ("opened", [[0, 0]] * 13, "at most 12 heads"),
        ("opened", [["a", "b"]], "opened"),
        ("layer_zero", "<b>", "layer_zero"),
        ("selection", {"position": 99}, "The displayed result has no place {'position': 99}"),
        ("selection", {"position": True}, "The position of a place can't be True"),
        ("selection", {"position": 1.0}, "The position of a place can't be 1.0"),
        ("selection", {"layer": 0, "head": 7}, "The displayed result has no place"),
        ("selection", {"row": 0}, "A place has no row"),
        ("result", None, "can't be set from a view"),
        ("thumbs", None, "can't be set from a view"),
        ("scores", [], "can't be set from a view"),
        ("prompt", "x", "can't be set from a view"),
        ("pair", {}, "can't be set from a view"),
        ("kind", "scores", "can't be set from a view"),
        ("code", "import os", "can't be set from a view"),
        ("head_patch", {}, "can't be set from a view"),
        ("head_circuits", {}, "can't be set from a view"),
        ("head_attribution", {}, "can't be set from a view"),
        ("info", {}, "can't be set from a view"),
    ],
)
def test_what_a_view_may_not_set_is_refused_in_a_sentence(viewer, name, value, sentence):
    before = getattr(viewer, name)
    viewer.set_state({name: value})
    assert sentence in viewer.error["message"] and viewer.error["field"] == name
    assert getattr(viewer, name) is before or getattr(viewer, name) == before


@pytest.mark.parametrize(
    "name, value, kept",
    [
        ("side", "difference", None),
        ("scale", "log", None),
        ("sort", "entropy", None),
        ("shown_layers", [3, 1, 3], [1, 3]),
        ("marks", ["previous", "induction"], None),
        ("opened", [[3, 1], [0, 0], [3, 1]], [[3, 1], [0, 0]]),
        ("opened", [], None),
        ("layer_zero", "top", None),
        ("selection", {"position": 3}, None),
        ("selection", {"layer": 0}, None),
        ("selection", {"activation": "mlp_post", "layer": 1, "neuron": 7, "position": 3}, None),
        ("selection", {"layer": 1, "head": 2, "position": 5, "source": 0}, None),
        ("selection", None, None),
    ],
)
def test_what_a_view_may_set_python_has_and_nothing_runs(viewer, name, value, kept):
    before, told = viewer.result, len(viewer.sent)
    viewer.set_state({name: value})
    assert getattr(viewer, name) == (value if kept is None else kept)
    assert viewer.error is None and viewer.result is before and len(viewer.sent) == told


@pytest.mark.parametrize(
    "options",
    [
        {"sort": 5},
        {"scale": "x"},
        {"marks": ["x"]},
        {"opened": [[1]]},
        {"layer_zero": "left"},
        {"side": "x"},
        {"kind": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(embedded, options):
    with pytest.raises((traitlets.TraitError, ValueError)):
        hs.AttentionViewer(embedded, PROMPT, **options)


def test_options_are_kept(embedded, capitals):
    options = {
        "kind": "output_norm",
        "side": "corrupt",
        "scale": "row",
        "marks": ["duplicate"],
        "opened": [[1, 2], [3, 0]],
        "layer_zero": "top",
        "sort": "entropy",
    }
    widget = Watched(hs.AttentionViewer, embedded, capitals, **options)
    assert widget.status == "done" and {name: getattr(widget, name) for name in options} == options
    widget.close()


def test_chosen_layers_are_in_order_and_once_and_there(embedded):
    widget = Watched(hs.AttentionViewer, embedded, PROMPT, shown_layers=[2, 1, 2, 9])
    assert widget.shown_layers == [1, 2]
    widget.close()
    with pytest.raises(traitlets.TraitError, match="None for all"):
        hs.AttentionViewer(embedded, PROMPT, shown_layers=[])


def test_what_is_pinned_in_one_prompt_is_in_the_other_or_goes(embedded):
    widget = Watched(hs.AttentionViewer, embedded, UNEQUAL)
    last = len(widget.result.tokens) - 1
    widget.set_state({"selection": {"layer": 1, "head": 1, "position": last, "source": 0}})
    widget.set_state({"side": "corrupt"})
    shorter = len(widget.result.sides["corrupt"].ids)
    assert last >= shorter
    assert widget.selection is None or widget.selection.get("position", 0) < shorter
    widget.close()


# Messages


@pytest.mark.parametrize(
    "method, params, sentence",
    [
        ("attention_patterns", {"kind": "x"}, "kind"),
        ("attention_patterns", {"kind": "pattern", "last": 0}, "last"),
        ("attention_patterns", {"nonsense": 1}, "nonsense"),
        ("show", {"text": "x"}, "shows a pair"),
        ("heads", {"heads": []}, "heads"),
        ("heads", {"heads": [[0, 0]] * 13}, "heads"),
        ("heads", {"heads": [[0, 9]]}, "Head 0.9 is not among"),
        ("heads", {"heads": [[-1, 0]]}, "Head -1.0 is not among"),
        ("heads", {"heads": [[0]]}, "heads"),
        ("heads", {"side": "prompt"}, "not 'prompt'"),
        ("heads", {"result": "other"}, "no longer shown"),
        ("patch_head", {"layer": 9, "head": 0}, "Head 9.0 is not among"),
        ("patch_head", {"layer": 0, "head": 0, "activation": "resid_pre"}, "activation"),
        ("attribute_head", {"layer": 0, "head": 9}, "Head 0.9 is not among"),
        ("attribute_head", {"layer": 0, "head": 0, "answer": ""}, "answer"),
        ("attribute_head", {"layer": 0, "head": 0, "answer": " Oslo Paris"}, "2 tokens"),
        ("head_circuits", {"layer": 0, "head": 0, "circuit": "x"}, "circuit"),
        ("head_circuits", {"layer": 0, "head": 0, "tokens": "x"}, "tokens"),
        ("head_circuits", {"layer": 4, "head": 0}, "Head 4.0 is not among"),
        ("head_scores", {"seeds": 10**9}, "seeds"),
        ("nonsense", {}, "nonsense"),
    ],
)
def test_what_can_not_be_asked_is_refused_in_a_sentence(viewer, method, params, sentence):
    before = viewer.result
    if method == "heads":
        params = {"result": wire_of(viewer)["id"], "side": "clean", "heads": [[0, 0]]} | params
    ask(viewer, method, **params)
    assert sentence in viewer.error["message"] and events(viewer, "view:1")[-1] == "error"
    assert (
        viewer.result is before and viewer.kind == "pattern" and viewer.status == "done" and not sent(viewer, "heads")
    )
    assert viewer.head_patch is None and viewer.head_attribution is None and viewer.head_circuits is None
    ask(viewer, "attention_patterns", id="view:2", kind="pattern")
    assert viewer.error is None and viewer.status == "done"


@pytest.mark.parametrize(
    "message", [None, 5, [], {}, {"kind": "request"}, {"kind": "request", "id": 1, "method": "heads"}]
)
def test_forged_messages_are_answered_in_a_sentence(viewer, message):
    viewer.take_message(message)
    assert viewer.error["message"] and viewer.status == "done"


@pytest.mark.parametrize("side", ["clean", "corrupt", "difference"])
def test_opened_heads_come_with_their_exact_numbers(viewer, few, side):
    ask(viewer, "attention_patterns", kind="scores")
    frame = wire_of(viewer)
    assert not frame["whole"] and frame["values"] == {} and frame["kept"] == {}
    assert len(json.dumps(frame)) < 5000
    heads = [[3, 1], [0, 2], [3, 1]]
    ask(viewer, "heads", id="view:2", result="view:1", side=side, heads=heads)
    [event] = sent(viewer, "heads")
    assert (event["result"], event["side"], event["heads"]) == ("view:1", side, heads)
    values = decode_array(event["values"])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [as_sent(viewer.result, side)[layer, head] for layer, head in heads])
    assert events(viewer, "view:2") == ["accepted", "heads", "result"]


def expected_thumbs(widget, size):
    result, side, frame = widget.result, widget.side, wire_of(widget)
    return thumbnails(
        result.values_of(side),
        result.masked_of(side),
        widget.scale,
        frame["low"][side],
        frame["high"][side],
        size,
        frame["signed"] or side == "difference",
        without_first=widget.without_first,
    )


def test_thumbnails_of_a_large_result_follow_side_and_scale(viewer, few):
    ask(viewer, "attention_patterns", kind="value_weighted")
    looks = [
        *(("side", "corrupt"), ("scale", "log"), ("side", "difference"), ("scale", "row"), ("side", "clean")),
        *(("scale", "head"), ("without_first", True)),
    ]
    seen = set()
    for name, value in looks:
        viewer.set_state({name: value})
        thumbs = viewer.thumbs
        assert (thumbs["result"], thumbs["side"], thumbs["scale"]) == ("view:1", viewer.side, viewer.scale)
        assert thumbs["without_first"] == viewer.without_first
        assert thumbs["size"] == 6
        codes = decode_array(thumbs["codes"])
        assert codes.shape == (4, 4, 6, 6) and codes.dtype == np.uint8
        np.testing.assert_array_equal(codes, expected_thumbs(viewer, 6))
        seen.add(codes.tobytes())
    assert len(seen) == len(looks)
    assert (decode_array(viewer.thumbs["codes"])[:, :, np.triu(np.ones((6, 6)), 1) == 1] == MASKED).all()


def test_the_first_row_of_a_difference_is_zero_on_every_scale(viewer, few):
    ask(viewer, "attention_patterns", kind="pattern")
    viewer.set_state({"side": "difference"})
    for scale in ("linear", "log", "row", "head"):
        viewer.set_state({"scale": scale})
        codes = decode_array(viewer.thumbs["codes"])
        assert (codes[:, :, 0, 0] == 125).all() and not (codes == NOT_A_NUMBER).any()


def test_a_result_that_is_whole_again_has_no_thumbnails(one, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(attention_frame, "MOST_SENT", 100)
        ask(one, "attention_patterns", kind="scores")
        assert one.thumbs is not None
    ask(one, "show", id="view:2", text=PROMPT)
    assert wire_of(one)["whole"] and one.thumbs is None


def test_many_heads_have_small_thumbnails(one, few, monkeypatch):
    monkeypatch.setattr("interp_backend.results.thumbnails.LARGEST", 5)
    ask(one, "attention_patterns", kind="output_norm")
    assert one.thumbs["size"] == 5
    np.testing.assert_array_equal(decode_array(one.thumbs["codes"]), expected_thumbs(one, 5))
