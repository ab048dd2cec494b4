"""An attention viewer whose prompt or pair changes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import traitlets
from attention_widgets import PROMPT, TWICE, UNEQUAL, scores_by_name, wire_of
from driven_widgets import LONG, Watched, ask, events
from test_model import hooks_on
from test_widget_attention import expected_thumbs

import hookscope as hs
import interp_backend as ib
from hookscope import attention_frame
from interp_backend.results.codec import decode_array

# Prompts


def test_another_prompt_is_read_and_actions_on_the_old_one_are_put_away(one):
    one.selection, one.opened = {"position": 5}, [[2, 2], [0, 1]]
    ask(one, "attribute_head", layer=0, head=0)
    assert one.head_attribution is not None
    ask(one, "show", id="view:2", text=PROMPT)
    assert one.error is None and one.prompt == PROMPT and one.result.sides["prompt"].text == PROMPT
    assert one.selection == {"position": 5} and one.opened == [[2, 2], [0, 1]]
    assert one.head_attribution is None and one.attribution is None
    assert wire_of(one)["id"] == "view:2" and events(one, "view:2") == ["accepted", "result"]
    assert "induction" not in scores_by_name(one)
    ask(one, "show", id="view:3", text="Oslo")
    assert one.selection is None  # there is no such position


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

    def slow(*asked, **named):
        codes = draw(*asked, **named)
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
