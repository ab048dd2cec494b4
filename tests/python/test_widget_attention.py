"""The attention views' Python side, driven as a view would: traits, requests, large results, actions, pages."""

from __future__ import annotations

import json
import re
import threading

import numpy as np
import pytest
import torch
import traitlets
from test_model import hooks_on
from test_widgets import LONG, Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope import attention_board
from hookscope.attention_arrays import AttentionArrays
from interp_backend.methods.head_measures import MEASURES, head_measures
from interp_backend.results import decode_array
from interp_backend.thumbnails import MASKED, NOT_A_NUMBER, thumbnails
from tiny_models import PAIR, bridge

PROMPT = "The capital of Norway is"
TWICE = "Oslo is in Norway. Oslo is in"
UNEQUAL = ib.PromptPair(clean="The big capital of Norway is", corrupt="The capital of Norway is")


@pytest.fixture
def viewer(embedded, capitals):
    widget = Watched(hs.AttentionViewer, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture
def one(embedded):
    widget = Watched(hs.AttentionViewer, embedded, TWICE)
    yield widget
    widget.close()


@pytest.fixture
def few(monkeypatch):
    """Results of more than a few numbers are large."""
    monkeypatch.setattr(attention_board, "MOST_SENT", 100)
    monkeypatch.setattr(attention_board, "MOST_SAVED", 100)


def wire_of(widget):
    frame = widget.get_state("result")["result"]
    json.dumps(frame, allow_nan=False)
    return frame


def sent(widget, kind):
    return [event for event in widget.sent if event["event"] == kind]


def as_sent(result, side):
    """Values as they cross: infinity where masked."""
    masked = np.broadcast_to(result.masked_of(side)[:, None] == 1, result.of(side).shape)
    return np.where(masked, np.inf, result.of(side))


def scores_by_name(widget):
    return {score["name"]: score for score in widget.scores}


def run_code(code, **names):
    exec(code, names)
    return names["result"]


# What is shown


def test_a_viewer_reads_its_pair_at_once(viewer, embedded, capitals):
    assert viewer.status == "done" and viewer.error is None and viewer.side == "clean" and viewer.prompt is None
    alone, frame = ib.attention_patterns(embedded, capitals), wire_of(viewer)
    assert frame["whole"] and viewer.thumbs is None and frame["kept"] == {} and frame["id"]
    assert list(frame["values"]) == ["clean", "corrupt", "difference"]
    for side in frame["values"]:
        np.testing.assert_array_equal(viewer.result.of(side), alone.of(side))
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
    difference = np.nanmax(np.abs(alone.of("difference")))
    assert frame["high"] == {"clean": 1.0, "corrupt": 1.0, "difference": pytest.approx(difference)}
    assert frame["low"] == {side: -high for side, high in frame["high"].items()}


@pytest.mark.parametrize("kind", ["value_weighted", "scores", "output_norm"])
def test_another_kind_from_a_view(viewer, embedded, capitals, kind):
    ask(viewer, "attention", kind=kind)
    assert viewer.error is None and viewer.kind == kind and events(viewer, "view:1") == ["accepted", "result"]
    frame = wire_of(viewer)
    assert frame["id"] == "view:1" and frame["kind"] == kind and frame["signed"] == (kind != "value_weighted")
    alone = ib.attention_patterns(embedded, capitals, kind)
    for side in ("clean", "corrupt", "difference"):
        np.testing.assert_array_equal(decode_array(frame["values"][side]), as_sent(alone, side))
        assert frame["high"][side] == pytest.approx(np.nanmax(np.abs(alone.of(side))))
    again = run_code(viewer.code)
    np.testing.assert_array_equal(again.of("difference"), alone.of("difference"))


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
    assert [scale["name"] for scale in info["scales"]] == ["linear", "log", "row"]
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
    ask(dead, "attention", kind="scores")
    assert dead.status == "error" and "does not give this model's attention scores" in dead.error["message"]
    assert dead.result is before and events(dead, "view:1")[-1] == "error"
    ask(dead, "attention", id="view:2", kind="output_norm")
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
        ("selection", {"layer": 0}, "There is no"),
        ("selection", {}, "There is no"),
        ("selection", {"destination": 99}, "from 0 to 5"),
        ("selection", {"destination": -1}, "There is no"),
        ("selection", {"destination": True}, "There is no"),
        ("selection", {"destination": 1.0}, "There is no"),
        ("selection", {"layer": 0, "head": 7}, "There is no"),
        ("selection", {"row": 0}, "There is no"),
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
        ("selection", {"destination": 3}, None),
        ("selection", {"layer": 1, "head": 2, "destination": 5, "source": 0}, None),
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


def test_what_is_pinned_in_one_prompt_is_in_the_other_or_goes(embedded):
    widget = Watched(hs.AttentionViewer, embedded, UNEQUAL)
    last = len(widget.result.tokens) - 1
    widget.set_state({"selection": {"layer": 1, "head": 1, "destination": last, "source": 0}})
    widget.set_state({"side": "corrupt"})
    shorter = len(widget.result.sides["corrupt"].ids)
    assert last >= shorter
    assert widget.selection is None or widget.selection.get("destination", 0) < shorter
    widget.close()


# Messages


@pytest.mark.parametrize(
    "method, params, sentence",
    [
        ("attention", {"kind": "x"}, "kind"),
        ("attention", {"kind": "pattern", "last": 0}, "last"),
        ("attention", {"nonsense": 1}, "nonsense"),
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
    ask(viewer, "attention", id="view:2", kind="pattern")
    assert viewer.error is None and viewer.status == "done"


@pytest.mark.parametrize(
    "message", [None, 5, [], {}, {"kind": "request"}, {"kind": "request", "id": 1, "method": "heads"}]
)
def test_forged_messages_are_answered_in_a_sentence(viewer, message):
    viewer._on_message(viewer, message, [])
    assert viewer.error["message"] and viewer.status == "done"


@pytest.mark.parametrize("side", ["clean", "corrupt", "difference"])
def test_opened_heads_come_with_their_exact_numbers(viewer, few, side):
    ask(viewer, "attention", kind="scores")
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
        result.of(side),
        result.masked_of(side),
        widget.scale,
        frame["low"][side],
        frame["high"][side],
        size,
        frame["signed"] or side == "difference",
    )


def test_thumbnails_of_a_large_result_follow_side_and_scale(viewer, few):
    ask(viewer, "attention", kind="value_weighted")
    looks = [("side", "corrupt"), ("scale", "log"), ("side", "difference"), ("scale", "row"), ("side", "clean")]
    seen = set()
    for name, value in looks:
        viewer.set_state({name: value})
        thumbs = viewer.thumbs
        assert (thumbs["result"], thumbs["side"], thumbs["scale"]) == ("view:1", viewer.side, viewer.scale)
        assert thumbs["size"] == 6
        codes = decode_array(thumbs["codes"])
        assert codes.shape == (4, 4, 6, 6) and codes.dtype == np.uint8
        np.testing.assert_array_equal(codes, expected_thumbs(viewer, 6))
        seen.add(codes.tobytes())
    assert len(seen) == len(looks)
    assert (decode_array(viewer.thumbs["codes"])[:, :, np.triu(np.ones((6, 6)), 1) == 1] == MASKED).all()


def test_the_first_row_of_a_difference_is_zero_on_every_scale(viewer, few):
    ask(viewer, "attention", kind="pattern")
    viewer.set_state({"side": "difference"})
    for scale in ("linear", "log", "row"):
        viewer.set_state({"scale": scale})
        codes = decode_array(viewer.thumbs["codes"])
        assert (codes[:, :, 0, 0] == 125).all() and not (codes == NOT_A_NUMBER).any()


def test_a_result_that_is_whole_again_has_no_thumbnails(one, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(attention_board, "MOST_SENT", 100)
        ask(one, "attention", kind="scores")
        assert one.thumbs is not None
    ask(one, "show", id="view:2", text=PROMPT)
    assert wire_of(one)["whole"] and one.thumbs is None


def test_many_heads_have_small_thumbnails(one, few, monkeypatch):
    monkeypatch.setattr("interp_backend.thumbnails.LARGEST", 5)
    ask(one, "attention", kind="pattern")
    assert one.thumbs["size"] == 5
    np.testing.assert_array_equal(decode_array(one.thumbs["codes"]), expected_thumbs(one, 5))


# Prompts


def test_another_prompt_is_read_and_what_was_pinned_in_the_old_one_is_put_away(one):
    one.selection, one.opened = {"destination": 5}, [[2, 2], [0, 1]]
    ask(one, "attribute_head", layer=0, head=0)
    assert one.head_attribution is not None
    ask(one, "show", id="view:2", text=PROMPT)
    assert one.error is None and one.prompt == PROMPT and one.result.sides["prompt"].text == PROMPT
    assert one.selection is None and one.opened == [[2, 2], [0, 1]]
    assert one.head_attribution is None and one.attribution is None
    assert wire_of(one)["id"] == "view:2" and events(one, "view:2") == ["accepted", "result"]
    assert "induction" not in scores_by_name(one)


@pytest.mark.parametrize("text, sentence", [("", "is empty"), (LONG * 3, "last=127")])
def test_a_prompt_that_can_not_be_read_says_what_to_do(one, text, sentence):
    before = one.result
    ask(one, "show", text=text)
    assert one.status == "error" and sentence in one.error["message"] and one.result is before
    ask(one, "show", id="view:2", text=PROMPT)
    assert one.status == "done" and one.error is None


def test_of_a_prompt_over_the_context_the_last_tokens_are_read(one, embedded):
    ask(one, "show", text=LONG * 3)
    assert one.error["message"].endswith("last=127.")  # the view offers a button by these words
    ask(one, "attention", id="view:2", last=127)
    assert one.status == "done" and len(one.result.tokens) == embedded.n_ctx and one.kind == "pattern"
    ask(one, "attention", id="view:3", kind="value_weighted")  # another kind of what is shown
    assert one.status == "done" and one.result.kind == "value_weighted" and len(one.result.tokens) == embedded.n_ctx
    assert "last=127" in one.code
    ask(one, "head_circuits", id="view:4", layer=1, head=1)
    assert one.error is None and one.head_circuits["pairs"]
    ask(one, "attribute_head", id="view:5", layer=1, head=1)
    assert one.error is None and one.head_attribution["sides"]["prompt"]["tokens"] == one.result.tokens
    ask(one, "show", id="view:6", text=PROMPT)
    assert one.status == "done" and len(one.result.tokens) == 6 and "last" not in one.code


def test_python_may_set_prompt_and_pair_in_turn(one, capitals):
    one.pair = capitals
    assert one.wait(60) and one.prompt is None and one.side == "clean" and set(one.result.sides) == {"clean", "corrupt"}
    assert one.info["actions"]["patch_reason"] is None
    one.side = "difference"
    one.prompt = PROMPT
    assert one.wait(60) and one.pair is None and one.side == "prompt" and set(one.result.sides) == {"prompt"}
    assert "two prompts" in one.info["actions"]["patch_reason"]
    with pytest.raises(traitlets.TraitError, match="sides are prompt"):
        one.side = "clean"


def test_a_viewer_follows_an_editor_and_no_longer_once_it_is_closed(embedded, capitals):
    editor = Watched(hs.PromptPairEditor, embedded, capitals)
    widget = Watched(hs.AttentionViewer, embedded, editor)
    ask(editor, "edit", pair=editor.pair.model_dump() | {"corrupt": "The capital of Italy is"})
    assert widget.wait(60) and widget.result.sides["corrupt"].text == "The capital of Italy is"
    widget.close()
    before = widget.result
    ask(editor, "edit", id="view:2", pair=editor.pair.model_dump() | {"corrupt": "The capital of Chile is"})
    assert widget.result is before
    assert widget.pair.corrupt == "The capital of Italy is" != editor.pair.corrupt
    editor.close()


def test_many_quick_changes_end_with_the_last_one(one):
    for kind in ("scores", "pattern", "output_norm", "value_weighted"):
        one._on_message(one, {"kind": "request", "id": kind, "method": "attention", "params": {"kind": kind}}, [])
    assert one.wait(60)
    assert one.status == "done" and one.kind == one.result.kind == wire_of(one)["id"] == "value_weighted"


def hold(model):
    """The model is taken by somebody else until the event is set."""
    holding, over = threading.Event(), threading.Event()

    def work():
        with model.lock:
            holding.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    holding.wait(10)
    return over, thread


@pytest.mark.parametrize("method, params", [("attention", {"kind": "scores"}), ("head_scores", {})])
def test_a_cancel_while_the_model_is_taken_leaves_the_last_result(viewer, method, params):
    before = viewer.result
    over, thread = hold(viewer.model)
    viewer._on_message(viewer, {"kind": "request", "id": "view:1", "method": method, "params": params}, [])
    viewer._on_message(viewer, {"kind": "request", "id": "view:2", "method": "cancel", "params": {}}, [])
    over.set()
    thread.join(10)
    assert viewer.wait(60) and viewer.result is before and viewer.head_scores is None
    assert viewer.status == ("cancelled" if method == "attention" else "done")
    assert events(viewer, "view:1")[-1] == "cancelled"


def test_an_action_about_an_older_prompt_is_not_shown(one):
    over, thread = hold(one.model)
    for id, method, params in [
        ("view:1", "attribute_head", {"layer": 0, "head": 0}),
        ("view:2", "show", {"text": PROMPT}),
    ]:
        one._on_message(one, {"kind": "request", "id": id, "method": method, "params": params}, [])
    over.set()
    thread.join(10)
    assert one.wait(60) and one.prompt == PROMPT and one.head_attribution is None
    assert events(one, "view:1")[-1] == "cancelled" and events(one, "view:2")[-1] == "result"


def test_actions_are_about_what_is_shown_whatever_was_asked_since(viewer, embedded, capitals):
    over, thread = hold(viewer.model)
    viewer.pair = capitals.model_copy(update={"clean": "The capital of Spain is", "clean_answer": " Madrid"})
    viewer.kind = "scores"
    viewer.cancel()
    over.set()
    thread.join(10)
    assert viewer.wait(60) and viewer.status == "cancelled" and viewer.kind == viewer.result.kind == "pattern"
    ask(viewer, "attribute_head", layer=1, head=2)
    assert viewer.head_attribution["answer"] == [" Oslo"]
    ask(viewer, "patch_head", id="view:2", layer=1, head=2)
    sweep = ib.activation_patching(embedded, capitals, activation="z", axes=("layer", "head"), layers=[1], heads=[2])
    assert viewer.head_patch["all"] == pytest.approx(float(sweep.normalized[0, 0]), abs=1e-5)


def test_an_action_does_not_stop_the_scores_nor_does_another_prompt(one):
    over, thread = hold(one.model)
    for id, method, params in [
        ("view:1", "head_scores", {}),
        ("view:2", "head_circuits", {"layer": 1, "head": 2}),
        ("view:3", "show", {"text": PROMPT}),
    ]:
        one._on_message(one, {"kind": "request", "id": id, "method": method, "params": params}, [])
    over.set()
    thread.join(10)
    assert one.wait(60) and one.prompt == PROMPT and one.head_scores is not None
    assert events(one, "view:1")[-1] == "result" and "random:induction" in scores_by_name(one)


def test_thumbnails_of_the_last_result_never_get_the_next_ones_name(one, few, monkeypatch):
    """Another scale is being drawn on the main thread while the next result arrives on the worker's."""
    drawing, came = threading.Event(), threading.Event()
    draw = attention_board.thumbnails

    def slow(*asked):
        codes = draw(*asked)
        if threading.current_thread() is threading.main_thread():
            drawing.set()
            came.wait(0.5)  # the result does not come: it waits until this is shown
        return codes

    monkeypatch.setattr(attention_board, "thumbnails", slow)
    over, thread = hold(one.model)
    one.kind = "value_weighted"
    one.observe(lambda change: came.set(), "result")
    threading.Thread(target=lambda: (drawing.wait(10), over.set())).start()
    one.scale = "log"
    thread.join(10)
    assert one.wait(60) and one.thumbs["result"] == wire_of(one)["id"] and one.thumbs["scale"] == "log"
    np.testing.assert_array_equal(decode_array(one.thumbs["codes"]), expected_thumbs(one, one.thumbs["size"]))


def test_a_side_of_the_coming_pair_may_be_set_before_it_is_there(one, capitals):
    over, thread = hold(one.model)
    one.pair = capitals
    one.side = "corrupt"
    over.set()
    thread.join(10)
    assert (
        one.wait(60) and one.error is None and one.side == "corrupt" and list(one.result.sides) == ["clean", "corrupt"]
    )


def test_a_sort_that_the_next_prompt_does_not_have_is_put_back(one):
    one.sort = "induction"
    ask(one, "show", text=PROMPT)  # nothing is repeated in it
    assert one.sort == "layer"


def test_how_many_tokens_are_read_holds_for_every_prompt(embedded):
    widget = Watched(hs.AttentionViewer, embedded, TWICE, last=3)
    ask(widget, "show", text=PROMPT)
    assert [side.tokens[1:] for side in widget.result.sides.values()] == [[" of", " Norway", " is"]]
    widget.close()
    pair = ib.PromptPair(clean=PROMPT, corrupt="The capital of Sweden is", clean_answer=" Oslo", corrupt_answer=" Rome")
    widget = Watched(hs.AttentionViewer, embedded, pair, last=3, shown_layers=[1, 2])
    assert widget.shown_layers == [1, 2]
    ask(widget, "patch_head", layer=0, head=0)
    assert "the last 3 tokens" in widget.error["message"] and widget.head_patch is None
    widget.close()


def test_nothing_is_left_of_a_viewer_that_was_closed(embedded, capitals):
    widget = Watched(hs.AttentionViewer, embedded, capitals)
    hooks = hooks_on(embedded.raw)
    for method, params in [
        ("patch_head", {"activation": "pattern"}),
        ("attribute_head", {}),
        ("head_circuits", {}),
    ]:
        ask(widget, method, layer=1, head=2, **params)
    ask(widget, "head_scores", id="view:2")
    assert widget.error is None and hooks_on(embedded.raw) == hooks
    told = len(widget.sent)
    widget.close()
    assert widget.comm is None
    widget.run()
    widget.measure()
    assert widget.wait(60) and len(widget.sent) == told


# Scores and actions


def test_scores_on_random_tokens_come_when_they_are_asked_for(one, embedded):
    ask(one, "head_scores")
    assert one.error is None and events(one, "view:1")[-1] == "result" and one.status == "done"
    alone, scores = ib.head_scores(embedded), scores_by_name(one)
    assert list(scores) == [*MEASURES, *(f"random:{name}" for name in alone.scores)]
    for name, part in alone.scores.items():
        score = scores[f"random:{name}"]
        np.testing.assert_allclose(decode_array(score["values"]), part, atol=1e-6)
        assert score["on"] == "random" and score["label"] == alone.about[name].label
        if name in alone.spread:
            np.testing.assert_allclose(decode_array(score["spread"]), alone.spread[name], atol=1e-6)
        else:
            assert score["spread"] is None
    one.set_state({"sort": "random:induction"})
    assert one.error is None and one.sort == "random:induction"
    before = one.head_scores
    ask(one, "show", id="view:2", text=PROMPT)  # they are of the model, not of the prompt
    assert one.head_scores is before and "random:induction" in scores_by_name(one)


def test_scores_on_random_tokens_of_chosen_heads():
    widget = Watched(hs.AttentionViewer, bridge("gpt2"), "hello there", layers=[1, 2], heads=[0, 3])
    widget.measure()
    assert widget.wait(60) and widget.error is None
    part = decode_array(scores_by_name(widget)["random:entropy"]["values"])
    np.testing.assert_array_equal(part, widget.head_scores.scores["entropy"][1:][:, [0, 3]])
    spread = decode_array(scores_by_name(widget)["random:entropy"]["spread"])
    np.testing.assert_array_equal(spread, widget.head_scores.spread["entropy"][1:][:, [0, 3]])
    widget.close()


def test_scores_can_be_measured_before_there_is_a_result(embedded):
    widget = Watched(hs.AttentionViewer, embedded, "")
    assert widget.result is None and "is empty" in widget.error["message"]
    with pytest.raises(ValueError, match="no result yet"):
        widget.save("/nowhere/page.html")
    with pytest.raises(ValueError, match="no result yet"):
        widget.to_circuitsvis()
    for method in ("patch_head", "attribute_head", "head_circuits"):
        ask(widget, method, layer=0, head=0)
        assert "no result yet" in widget.error["message"]
    widget.measure()
    assert widget.wait(60) and widget.error is None and widget.head_scores is not None
    ask(widget, "show", id="view:2", text=PROMPT)
    assert "random:induction" in scores_by_name(widget)
    widget.close()


@pytest.mark.parametrize("activation", ["z", "pattern"])
def test_a_patched_head_is_the_sweeps_own_number(viewer, embedded, capitals, activation):
    ask(viewer, "patch_head", layer=2, head=1, activation=activation)
    assert viewer.error is None and events(viewer, "view:1")[-1] == "result" and viewer.status == "done"
    shown = viewer.head_patch
    assert (shown["layer"], shown["head"], shown["activation"], shown["direction"]) == (2, 1, activation, "denoise")
    options = {"activation": activation, "layers": [2], "heads": [1]}
    sweep = ib.activation_patching(embedded, capitals, axes=("layer", "head", "position"), **options)
    np.testing.assert_allclose(decode_array(shown["effects"]), sweep.normalized[0, 0], atol=1e-5)
    np.testing.assert_array_equal(decode_array(shown["state"]), sweep.state[0, 0])
    whole = ib.activation_patching(embedded, capitals, axes=("layer", "head"), **options)
    assert shown["all"] == pytest.approx(float(whole.normalized[0, 0]), abs=1e-5) and abs(shown["all"]) > 1e-3
    assert shown["tokens"] == sweep.labels["position"] and shown["label"] == sweep.metric_label
    assert len(shown["tokens"]) == 6 and shown["scale_text"] == sweep.scale_text
    np.testing.assert_allclose(viewer.patch_result.values, sweep.values, atol=1e-4)


def test_patching_that_can_not_be_says_why(one):
    ask(one, "patch_head", layer=0, head=0)
    assert "needs two prompts" in one.error["message"] and one.head_patch is None
    dead = Watched(hs.AttentionViewer, bridge("gptj"), PAIR)
    ask(dead, "patch_head", layer=0, head=0, activation="pattern")
    assert "never reach the output" in dead.error["message"] and dead.head_patch is None
    ask(dead, "patch_head", id="view:2", layer=0, head=0)
    assert dead.error is None and dead.head_patch["activation"] == "z"
    dead.close()
    bare = Watched(hs.AttentionViewer, bridge("gpt2"), ib.PromptPair(clean=PAIR.clean, corrupt=PAIR.corrupt))
    ask(bare, "patch_head", layer=0, head=0)
    assert bare.error["message"] and bare.head_patch is None
    bare.close()


def assert_attributed(shown, found, layer, head):
    """What a view is told of one head is the attribution's own; its rank counted one by one."""
    assert (shown["layer"], shown["head"], shown["quantity"]) == (layer, head, found.quantity)
    here = found.labels.index(f"head {layer}.{head}")
    heads = [at for at, label in enumerate(found.labels) if label.startswith("head ")]
    assert list(shown["sides"]) == list(found.sides)
    for name, side in shown["sides"].items():
        values = found.sides[name].values
        assert side["value"] == pytest.approx(float(values[here]), abs=1e-5)
        assert side["total"] == pytest.approx(float(found.sides[name].total), abs=1e-4)
        assert side["of"] == len(heads)
        assert side["rank"] == 1 + sum(abs(values[at]) > abs(values[here]) for at in heads)
        by_source = decode_array(side["by_source"])
        np.testing.assert_allclose(by_source, found.sides[name].by_source[layer, head], atol=1e-5)
        assert by_source.sum() == pytest.approx(side["value"], abs=1e-4)
        assert side["tokens"] == found.sides[name].tokens and side["position"] == found.sides[name].position


def test_an_attributed_head_of_a_pair_is_of_its_answers(viewer, embedded, capitals):
    ranks = []
    found = ib.direct_logit_attribution(embedded, capitals, unit="head", by_source=True)
    for at, (layer, head) in enumerate([(0, 0), (1, 3), (3, 2)]):
        ask(viewer, "attribute_head", id=f"view:{at}", layer=layer, head=head)
        assert viewer.error is None and viewer.head_attribution["answer"] == found.params["answer"]
        assert viewer.head_attribution["wrong_answer"] == found.params["wrong_answer"]
        assert_attributed(viewer.head_attribution, found, layer, head)
        ranks.append(viewer.head_attribution["sides"]["clean"]["rank"])
    assert len(set(ranks)) == 3


@pytest.mark.parametrize(
    "asked",
    [{}, {"answer": " Norway"}, {"answer": " Norway", "wrong_answer": " Sweden"}],
    ids=["likeliest", "one", "two"],
)
def test_an_attributed_head_of_a_prompt_is_of_the_answer_asked_for_or_the_likeliest(embedded, asked):
    widget = Watched(hs.AttentionViewer, embedded, PROMPT)
    ask(widget, "attribute_head", layer=2, head=1, **asked)
    assert widget.error is None
    likeliest = int(embedded.raw(torch.tensor([embedded.to_ids(PROMPT)]))[0, -1].argmax())
    answer = asked.get("answer", likeliest)
    found = ib.direct_logit_attribution(
        embedded, PROMPT, answer, asked.get("wrong_answer"), unit="head", by_source=True
    )
    assert_attributed(widget.head_attribution, found, 2, 1)
    assert widget.head_attribution["answer"] == found.params["answer"]
    widget.close()


def test_a_pair_without_answers_is_attributed_to_the_likeliest_next(embedded):
    widget = Watched(hs.AttentionViewer, embedded, ib.PromptPair(clean=PROMPT, corrupt="The capital of Sweden is"))
    ask(widget, "attribute_head", layer=2, head=1)
    assert widget.error is None and widget.head_attribution["answer"] == [" Oslo"]
    widget.close()


@pytest.mark.parametrize("circuit", ["ov", "qk"])
@pytest.mark.parametrize("tokens", ["prompt", "all"])
def test_pairs_of_a_head_are_its_circuits_own(viewer, embedded, capitals, circuit, tokens):
    viewer.side = "corrupt"
    ask(viewer, "head_circuits", layer=1, head=2, circuit=circuit, tokens=tokens)
    assert viewer.error is None and events(viewer, "view:1")[-1] == "result"
    text = capitals.corrupt if tokens == "prompt" else None
    alone, shown = ib.head_circuits(embedded, 1, 2, circuit, prompt=text), viewer.head_circuits
    for part in ("pairs", "lowest"):
        assert [(p["source"], p["target"]) for p in shown[part]] == [(p.source, p.target) for p in getattr(alone, part)]
        assert [p["value"] for p in shown[part]] == pytest.approx([p.value for p in getattr(alone, part)], abs=1e-5)
    assert (shown["layer"], shown["head"], shown["circuit"], shown["tokens"]) == (1, 2, circuit, tokens)
    assert shown["note"] == alone.note and shown["copying"] == (
        alone.copying and pytest.approx(alone.copying, abs=1e-5)
    )
    json.dumps(shown, allow_nan=False)
    assert viewer.pairs.pairs == alone.pairs


def test_pairs_of_a_prompts_tokens_go_with_its_side(viewer):
    ask(viewer, "head_circuits", layer=1, head=2, tokens="all")
    viewer.side = "corrupt"
    assert viewer.head_circuits is not None
    ask(viewer, "head_circuits", id="view:2", layer=1, head=2, tokens="prompt")
    viewer.side = "clean"
    assert viewer.head_circuits is None


def test_actions_go_when_another_kind_is_shown(viewer):
    ask(viewer, "patch_head", layer=0, head=1)
    ask(viewer, "head_circuits", id="view:2", layer=0, head=1)
    assert viewer.head_patch and viewer.head_circuits
    ask(viewer, "attention", id="view:3", kind="scores")
    assert viewer.head_patch is None and viewer.head_circuits is None and viewer.pairs is None


# Pages, and CircuitsVis


def state_in(page):
    """What the views of a page begin with."""
    found = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.S)
    return [json.loads(part) for part in found]


def find(value, key):
    """All values of a key, however deep."""
    if isinstance(value, dict):
        yield from (part for name, part in value.items() if name == key)
        for part in value.values():
            yield from find(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from find(part, key)


def test_a_page_has_all_numbers(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(attention_board, "MOST_SENT", 100)
    ask(viewer, "attention", kind="scores")
    assert not wire_of(viewer)["whole"]
    page = viewer.save(tmp_path / "attention.html").read_text("utf-8")
    [frame] = [part for part in find(state_in(page), "result") if isinstance(part, dict) and "whole" in part]
    assert frame["whole"] and frame["kept"] == {}
    for side in ("clean", "corrupt", "difference"):
        np.testing.assert_array_equal(decode_array(frame["values"][side]), as_sent(viewer.result, side))
    assert "http://" not in page.split("<body")[0] and not wire_of(viewer)["whole"]


def test_a_page_of_a_large_result_has_the_opened_heads(viewer, tmp_path, few):
    ask(viewer, "attention", kind="value_weighted")
    viewer.opened = [[1, 2], [3, 0]]
    page = viewer.save(tmp_path / "attention.html").read_text("utf-8")
    state = state_in(page)
    [frame] = [part for part in find(state, "result") if isinstance(part, dict) and "whole" in part]
    assert not frame["whole"] and frame["values"] == {}
    assert sorted(frame["kept"]) == sorted(
        f"{side}:{head}" for side in ("clean", "corrupt", "difference") for head in ("1.2", "3.0")
    )
    for key, array in frame["kept"].items():
        side, head = key.split(":")
        layer, head = map(int, head.split("."))
        np.testing.assert_array_equal(decode_array(array), as_sent(viewer.result, side)[layer, head])
    assert any(thumbs == viewer.thumbs for thumbs in find(state, "thumbs"))
    assert wire_of(viewer)["kept"] == {}


def test_a_saved_page_shows_marks_of_direction_as_numbers(embedded, tmp_path):
    widget = Watched(hs.AttentionViewer, embedded, "The \u202ecapital")
    page = widget.save(tmp_path / "page.html").read_text("utf-8")
    heading = page[page.index("<title>") : page.index("</title>")]
    assert "\u202e" not in heading and "\u27e8202E\u27e9capital" in heading and "Attention" in heading
    widget.close()


def circuitsvis_of(rendered):
    """What is handed to CircuitsVis's own script."""
    from circuitsvis.utils.render import RenderedHTML

    assert isinstance(rendered, RenderedHTML)
    text = str(rendered)
    assert "unpkg" not in text.split("CircuitsVis.render", maxsplit=1)[0][:2000]
    [handed] = re.findall(r"AttentionHeads,\s*(\{.*?\})\s*\)\s*</script>", text, re.S)
    return json.loads(handed)


def test_circuitsvis_gets_the_same_numbers(viewer):
    viewer.side = "difference"
    handed = circuitsvis_of(viewer.to_circuitsvis([(1, 2), (0, 3)]))
    values = np.nan_to_num(viewer.result.of("difference"), nan=0.0)
    np.testing.assert_allclose(handed["attention"], [values[1, 2], values[0, 3]], atol=1e-6)
    assert handed["attentionHeadNames"] == ["1.2", "0.3"] and handed["tokens"] == viewer.result.tokens
    high = wire_of(viewer)["high"]["difference"]
    assert handed["maxValue"] == pytest.approx(high) and handed["minValue"] == pytest.approx(-high)
    assert handed["maskUpperTri"] is True
    viewer.side, viewer.shown_layers = "corrupt", [2]
    handed = circuitsvis_of(viewer.to_circuitsvis())
    assert handed["attentionHeadNames"] == ["2.0", "2.1", "2.2", "2.3"]
    assert handed["tokens"] == viewer.result.sides["corrupt"].tokens
    np.testing.assert_allclose(handed["attention"], np.nan_to_num(viewer.result.of("corrupt")[2]), atol=1e-6)
    with pytest.raises(ValueError, match="no layer 9"):
        viewer.to_circuitsvis([(9, 0)])


# Arrays without a model


def rows(heads, length, seed=0):
    made = np.tril(np.random.default_rng(seed).random((heads, length, length)).astype(np.float32))
    return made / made.sum(-1, keepdims=True)


def arrays_of(*args, **options):
    """The view of arrays, with what it sends kept."""
    sent = []

    class Watching(AttentionArrays):
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
    assert not hasattr(widget, "status") and not hasattr(widget, "pair")


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
    monkeypatch.setattr(attention_board, "MOST_SENT", 1)
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
                patch.setattr(attention_board, "MOST_SENT", 10)
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
        (np.zeros((3, 3)), "abc", {}, r"shape \(3, 3\).*\[head, destination, source\]"),
        (np.zeros((1, 3, 2)), "abc", {}, "as many destinations as sources"),
        (np.zeros((0, 3, 3)), "abc", {}, "nothing to show"),
        (np.zeros((1, 0, 0)), "", {}, "nothing to show"),
        (np.zeros((1, 3, 3)), "abcd", {}, "4 tokens, and the attention has 3"),
        (np.zeros((2, 3, 3)), "abc", {"names": ["x"]}, "1 names and 2 heads"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(attention, tokens, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        AttentionArrays(attention, list(tokens), **options)


def test_arrays_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr("hookscope.attention_arrays.MOST_NUMBERS", 17)
    with pytest.raises(ValueError, match="Give fewer heads or tokens"):
        AttentionArrays(rows(2, 3), list("abc"))
    AttentionArrays(rows(1, 4), list("abcd"))


def test_large_arrays_send_the_heads_that_are_opened(few):
    given = rows(4, 70)
    widget = arrays_of(given, [str(i % 7) for i in range(70)])
    frame = wire_of(widget)
    assert not frame["whole"] and frame["values"] == {} and widget.thumbs["size"] == 64
    widget._on_message(
        widget,
        {
            "kind": "request",
            "id": "v",
            "method": "heads",
            "params": {"result": frame["id"], "side": "prompt", "heads": [[0, 3]]},
        },
        [],
    )
    [event] = sent(widget, "heads")
    values = decode_array(event["values"])[0]
    np.testing.assert_array_equal(values[np.tri(70) == 1], given[3][np.tri(70) == 1])
    assert (values[np.tri(70) == 0] == np.inf).all()
    widget._on_message(widget, {"kind": "request", "id": "w", "method": "attention", "params": {"kind": "scores"}}, [])
    assert "no method 'attention'" in widget.error["message"] and events(widget, "w")[-1] == "error"
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
    with pytest.warns(UserWarning, match=r"36 entries that are masked .* are zeros"):
        widget.to_circuitsvis([(0, 0)])
    monkeypatch.setattr(attention_board, "MOST_HANDED_OVER", 200)
    for heads in ([], None):
        with pytest.raises(ValueError, match=r"hand over one head or more, and at most"):
            widget.to_circuitsvis(heads)
    for heads in (3, [3], "0.1", [(0, 1, 2)]):
        with pytest.raises(ValueError, match=r"a list of \(layer, head\)"):
            widget.to_circuitsvis(heads)
    widget.close()
