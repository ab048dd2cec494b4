"""The attention viewer's Python side, driven as a view would: traits, requests, large results, prompts."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import traitlets
from attention_widgets import PROMPT, TWICE, UNEQUAL, as_sent, run_code, scores_by_name, sent, wire_of
from driven_widgets import LONG, Watched, ask, events
from test_model import hooks_on

import hookscope as hs
import interp_backend as ib
from hookscope import attention_frame
from interp_backend.common.head_measures import MEASURES, head_measures
from interp_backend.results.codec import decode_array
from interp_backend.results.thumbnails import MASKED, NOT_A_NUMBER, thumbnails
from tiny_models import PAIR, bridge

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
        ("selection", {"position": 99}, "There is no {'position': 99} in what is shown"),
        ("selection", {"position": True}, "The position of a place can't be True"),
        ("selection", {"position": 1.0}, "The position of a place can't be 1.0"),
        ("selection", {"layer": 0, "head": 7}, "There is no"),
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
    )


def test_thumbnails_of_a_large_result_follow_side_and_scale(viewer, few):
    ask(viewer, "attention_patterns", kind="value_weighted")
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
    ask(viewer, "attention_patterns", kind="pattern")
    viewer.set_state({"side": "difference"})
    for scale in ("linear", "log", "row"):
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


# Prompts


def test_another_prompt_is_read_and_what_was_pinned_in_the_old_one_is_put_away(one):
    one.selection, one.opened = {"position": 5}, [[2, 2], [0, 1]]
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
    ask(one, "attention_patterns", id="view:2", last=127)
    assert one.status == "done" and len(one.result.tokens) == embedded.n_ctx and one.kind == "pattern"
    ask(one, "attention_patterns", id="view:3", kind="value_weighted")  # another kind of what is shown
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
        one.take_message({"kind": "request", "id": kind, "method": "attention_patterns", "params": {"kind": kind}})
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


@pytest.mark.parametrize("method, params", [("attention_patterns", {"kind": "scores"}), ("head_scores", {})])
def test_a_cancel_while_the_model_is_taken_leaves_the_last_result(viewer, method, params):
    before = viewer.result
    over, thread = hold(viewer.model)
    viewer.take_message({"kind": "request", "id": "view:1", "method": method, "params": params})
    viewer.take_message({"kind": "request", "id": "view:2", "method": "cancel", "params": {}})
    over.set()
    thread.join(10)
    assert viewer.wait(60) and viewer.result is before and viewer.head_scores is None
    assert viewer.status == ("cancelled" if method == "attention_patterns" else "done")
    assert events(viewer, "view:1")[-1] == "cancelled"


def test_an_action_about_an_older_prompt_is_not_shown(one):
    over, thread = hold(one.model)
    for id, method, params in [
        ("view:1", "attribute_head", {"layer": 0, "head": 0}),
        ("view:2", "show", {"text": PROMPT}),
    ]:
        one.take_message({"kind": "request", "id": id, "method": method, "params": params})
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
        one.take_message({"kind": "request", "id": id, "method": method, "params": params})
    over.set()
    thread.join(10)
    assert one.wait(60) and one.prompt == PROMPT and one.head_scores is not None
    assert events(one, "view:1")[-1] == "result" and "random:induction" in scores_by_name(one)


def test_thumbnails_of_the_last_result_never_get_the_next_ones_name(one, few, monkeypatch):
    """Another scale is being drawn on the main thread while the next result arrives on the worker's."""
    drawing, came = threading.Event(), threading.Event()
    draw = attention_frame.thumbnails

    def slow(*asked):
        codes = draw(*asked)
        if threading.current_thread() is threading.main_thread():
            drawing.set()
            came.wait(0.5)  # the result does not come: it waits until this is shown
        return codes

    monkeypatch.setattr(attention_frame, "thumbnails", slow)
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
    for method in (widget.run, widget.measure):
        with pytest.raises(ValueError, match="This widget is closed"):
            method()
    assert widget.wait(60) and len(widget.sent) == told


def test_a_list_of_positions_stays_pinned_while_the_shown_side_has_them(embedded):
    widget = Watched(hs.AttentionViewer, embedded, UNEQUAL)
    for position, kept in [([3], True), ([len(widget.result.sides["corrupt"].ids)], False)]:
        widget.side = "clean"
        widget.selection = {"position": position}
        widget.side = "corrupt"
        assert (widget.selection is not None) == kept
    widget.close()


def test_a_result_alone_begins_with_the_side_that_is_asked_for(embedded, capitals):
    widget = hs.AttentionViewer(result=ib.attention_patterns(embedded, capitals), side="corrupt")
    assert widget.side == "corrupt" and widget.pair == capitals
    widget.close()
