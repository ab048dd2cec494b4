"""The widgets' Python side, driven as a view would drive it: messages in, traits and events out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets
from driven_widgets import LONG, Watched, ask, events

import hookscope as hs
import interp_backend as ib
from interp_backend.results.effect_map import EffectMap
from interp_backend.service.tasks import Task, worker_of
from tiny_models import bridge


@pytest.fixture
def heatmap(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture
def editor(embedded):
    widget = Watched(hs.PromptPairEditor, embedded)
    yield widget
    widget.close()


def test_a_heatmap_sweeps_at_once(heatmap, embedded, capitals):
    assert heatmap.status == "done" and heatmap.error is None
    alone = ib.activation_patching(embedded, capitals)
    np.testing.assert_allclose(heatmap.result.values, alone.values, atol=1e-5)
    assert heatmap.result.top is not None


def test_a_sweep_from_a_view_is_accepted_streams_and_ends(heatmap):
    ask(heatmap, "activation_patching", activation="z", axes=["layer", "head"], metric="prob", direction="noise")
    found = events(heatmap, "view:1")
    assert found[0] == "accepted" and "partial" in found and found[-1] == "result"
    assert heatmap.result.params["metric"] == "prob" and heatmap.result.axes == ("layer", "head")
    assert (heatmap.activation, heatmap.axes, heatmap.direction) == ("z", ["layer", "head"], "noise")


def test_the_cells_of_the_partials_are_those_of_the_result(heatmap):
    from interp_backend.results.codec import decode_array

    axes = ["layer", "head", "position"]
    ask(heatmap, "activation_patching", activation="z", axes=axes, metric="kl", direction="denoise")
    partials = [event for event in heatmap.sent if event["event"] == "partial" and event["id"] == "view:1"]
    cells = np.concatenate([decode_array(event["cells"]) for event in partials])
    values = np.concatenate([decode_array(event["values"]) for event in partials])
    assert sorted(cells) == sorted(np.flatnonzero(heatmap.result.state == 1))
    np.testing.assert_array_equal(heatmap.result.values.ravel()[cells], values)


@pytest.mark.parametrize(
    "name, value", [("activation", "mlp_out"), ("metric", "rank"), ("direction", "noise"), ("activation", "z")]
)
def test_a_trait_set_in_python_starts_a_sweep(heatmap, name, value):
    before = heatmap.result
    setattr(heatmap, name, value)
    assert heatmap.wait(60) and heatmap.result is not before
    assert heatmap.result.params[name] == value
    if value == "z":
        assert heatmap.axes == ["layer", "head"]


@pytest.mark.parametrize(
    "name, value", [("activation", "resid"), ("metric", "loss"), ("direction", "up"), ("axes", ["layer", "head"])]
)
def test_a_trait_that_makes_no_sense_is_refused_and_the_widget_stays_as_it_was(heatmap, name, value):
    before = heatmap.result
    with pytest.raises(traitlets.TraitError):
        setattr(heatmap, name, value)
    assert heatmap.result is before and heatmap.status == "done"


@pytest.mark.parametrize(
    "params, field",
    [
        ({"activation": "nonsense"}, "activation"),
        ({"metric": "__import__('os')"}, "metric"),
        ({"axes": ["layer", "head"]}, "axes"),
    ],
)
def test_a_bad_request_becomes_an_error_that_names_the_field(heatmap, params, field):
    good = {"activation": "resid_pre", "axes": ["layer", "position"], "metric": "kl", "direction": "noise"}
    ask(heatmap, "activation_patching", **(good | params))
    assert heatmap.error["field"] == field and events(heatmap, "view:1")[-1] == "error"
    ask(heatmap, "activation_patching", id="view:2", **good)
    assert heatmap.error is None and heatmap.status == "done"


@pytest.mark.parametrize("message", [None, "x", {"kind": "request"}, {"kind": "request", "id": "1", "method": "close"}])
def test_a_message_that_is_no_request_becomes_an_error(heatmap, message):
    heatmap.take_message(message)
    assert heatmap.error["message"]


def test_what_goes_wrong_while_a_request_is_answered_becomes_an_error(editor, monkeypatch):
    def broken(*_):
        raise RuntimeError("Already borrowed")

    monkeypatch.setattr(editor.model, "to_ids", broken)
    ask(editor, "edit", pair=editor.pair.model_dump() | {"clean": "The capital of France is"})
    assert editor.error["message"] == "RuntimeError: Already borrowed" and events(editor, "view:1")[-1] == "error"


def test_a_view_may_set_the_selection_and_nothing_else(heatmap):
    heatmap.set_state({"selection": {"layer": 0, "position": 0}})
    assert heatmap.selection == {"layer": 0, "position": 0} and heatmap.error is None
    heatmap.set_state({"status": "hacked"})
    assert heatmap.status == "done" and heatmap.error["field"] == "status"


@pytest.mark.parametrize(
    "selection, sentence",
    [
        ({"layer": 4, "position": 0}, "The displayed result has no place {'layer': 4, 'position': 0}"),
        ({"layer": -1, "position": 0}, "The displayed result has no place {'layer': -1, 'position': 0}"),
        ({"layer": True, "position": 0}, "The layer of a place can't be True"),
        ({"row": 0}, "A place has no row. Its parts are activation, layer"),
        ({"activation": "zzz"}, "There is no activation 'zzz'. Choose one of embed, resid_pre"),
        ({"activation": "zzz", "layer": 0}, "There is no activation 'zzz'"),
    ],
)
def test_a_selection_that_names_no_place_is_refused(heatmap, selection, sentence, monkeypatch):
    with pytest.raises(traitlets.TraitError, match=sentence):
        heatmap.selection = selection
    again = []
    monkeypatch.setattr(heatmap, "send_state", lambda key=None: again.append(key))
    heatmap.set_state({"selection": selection})
    assert heatmap.selection is None and heatmap.error["field"] == "selection"
    assert again[-1] == "selection"  # so that no view goes on with what was refused


def test_a_selection_stays_while_it_fits_the_result(heatmap):
    heatmap.selection = {"layer": 2, "position": 5}
    heatmap.activation = "z"  # by head: of this place the map shows the layer
    assert heatmap.wait(60) and heatmap.selection == {"layer": 2, "position": 5}
    heatmap.activation = "mlp_out"
    heatmap.pair = {"clean": "Oslo is", "corrupt": "Rome is", "clean_answer": " in", "corrupt_answer": " the"}
    assert heatmap.wait(60) and heatmap.status == "done" and heatmap.selection is None


def test_a_place_may_name_less_or_more_than_the_map_shows(heatmap):
    for place in ({"layer": 2}, {"activation": "z", "layer": 2, "head": 3, "position": 5}):
        heatmap.set_state({"selection": place})
        assert heatmap.error is None and heatmap.selection == place


def test_cancel_keeps_the_cells_so_far(embedded):
    pair = hs.PromptPair(
        clean=LONG, corrupt=LONG.replace("Norway", "Sweden", 1), clean_answer=" The", corrupt_answer=" A"
    )
    widget = Watched(hs.PatchHeatmap, embedded, pair)
    seen = []

    def stop(event):
        seen.append(event)
        widget.cancel()

    original = widget.send
    widget.send = lambda content, buffers=None: (
        original(content),
        stop(content) if content["event"] == "partial" else None,
    )
    ask(
        widget,
        "activation_patching",
        activation="z",
        axes=["layer", "head", "position"],
        metric="kl",
        direction="noise",
    )
    assert widget.status == "cancelled" and events(widget, "view:1")[-1] == "cancelled"
    assert 0 < (widget.result.state == 1).sum() < widget.result.values.size
    assert widget.result.provenance["complete"] is False
    widget.close()


def test_a_pair_that_cannot_be_patched_becomes_a_sentence(heatmap, capitals):
    heatmap.pair = capitals.model_copy(update={"corrupt": capitals.clean})
    assert heatmap.wait(60) and heatmap.status == "error"
    assert "two prompts are the same" in heatmap.error["message"]
    heatmap.pair = capitals
    assert heatmap.wait(60) and heatmap.status == "done" and heatmap.error is None


def test_a_result_from_a_file_can_be_shown(heatmap, embedded, capitals):
    other = ib.activation_patching(embedded, capitals, activation="z", metric="prob")
    heatmap.result = EffectMap.from_json(other.to_json())
    assert (heatmap.activation, heatmap.axes, heatmap.metric) == ("z", ["layer", "head"], "prob")
    np.testing.assert_array_equal(heatmap.result.values, other.values)


def test_a_metric_of_the_users_own_is_in_the_menu_and_can_be_asked_for_again(embedded, capitals):
    def surprise(logits):
        return -logits.logsumexp(-1)

    widget = Watched(hs.PatchHeatmap, embedded, capitals, metric=surprise)
    assert widget.info["metrics"][-1]["name"] == "surprise"
    ask(widget, "activation_patching", activation="z", axes=["layer", "head"], metric="surprise", direction="noise")
    assert widget.status == "done" and widget.result.params["metric"] == "surprise"
    ask(widget, "activation_patching", activation="z", axes=["layer", "head"], metric="kl", direction="noise")
    assert widget.metric == "kl"
    widget.close()


def test_unknown_options_are_refused(embedded, capitals):
    with pytest.raises(TypeError, match="colour"):
        hs.PatchHeatmap(embedded, capitals, colour="red")


def test_an_activation_that_the_model_lacks_is_in_the_menu_with_its_reason(capitals):
    from tiny_models import PAIR

    widget = Watched(hs.PatchHeatmap, bridge("gpt_neox"), PAIR)
    reasons = {entry["activation"]: entry["reason"] for entry in widget.info["activations"]}
    assert "side by side" in reasons["resid_mid"] and reasons["resid_pre"] is None
    widget.close()


def test_all_state_is_strict_json(heatmap, editor):
    for widget in (heatmap, editor):
        state = {name: value for name, value in widget.get_state().items() if name not in ("layout",)}
        json.dumps(state, allow_nan=False)


def test_the_editor_shows_tokens_and_reading(editor):
    assert editor.tokens["clean"]["tokens"][-2:] == [" Norway", " is"]
    assert [column["same"] for column in editor.tokens["columns"]].count(False) == 1
    assert editor.result is editor.reading and editor.reading.baselines["clean"] > 0


def test_typing_in_a_view_changes_the_pair_in_python(editor):
    pair = editor.pair.model_dump() | {"clean": "The capital of France is"}
    ask(editor, "edit", pair=pair)
    assert editor.pair.clean == "The capital of France is"
    assert editor.tokens["clean"]["tokens"][-2] == " France" and editor.reading.pair == editor.pair
    assert events(editor, "view:1") == ["accepted", "result"]


def test_tokens_are_there_before_the_model_has_run(embedded, editor):
    with embedded.lock:  # as if a long sweep had it
        editor.pair = editor.pair.model_copy(update={"clean": "The capital of France is"})
        assert editor.tokens["clean"]["tokens"][-2] == " France"
        assert editor.status in ("queued", "running")
    assert editor.wait(60) and editor.status == "done"


def test_a_heatmap_follows_an_editor(embedded, editor):
    heatmap = Watched(hs.PatchHeatmap, embedded, editor)
    editor.pair = editor.pair.model_copy(update={"clean": "The capital of France is", "clean_answer": " Paris"})
    assert heatmap.wait(60) and heatmap.result.prompts["clean"].text == "The capital of France is"
    heatmap.close()


def test_a_closed_heatmap_no_longer_follows_its_editor(embedded, editor):
    heatmap = Watched(hs.PatchHeatmap, embedded, editor)
    shown = heatmap.result
    heatmap.close()
    editor.pair = editor.pair.model_copy(update={"clean": "The capital of France is", "clean_answer": " Paris"})
    assert heatmap.pair.clean == "The capital of Norway is"
    with pytest.raises(ValueError, match=r"This widget is closed. Make another one: .*\(model, \.\.\.\)"):
        heatmap.run()
    assert heatmap.wait(60) and heatmap.result is shown


def test_a_request_is_taken_as_a_whole_or_not_at_all(heatmap):
    ask(heatmap, "activation_patching", activation="z", axes=["layer", "position"], metric="kl", direction="noise")
    assert heatmap.error["field"] == "axes"
    assert (heatmap.activation, heatmap.axes, heatmap.metric, heatmap.direction) == (
        "resid_pre",
        ["layer", "position"],
        "logit_diff",
        "denoise",
    )


def test_a_shown_result_brings_its_pair_and_its_metric_even_of_another_day(heatmap, embedded):
    def mine(logits):
        return logits[:, 7]

    pair = hs.PromptPair(clean="The key to the cabinet", corrupt="The keys to the cabinet")
    loaded = EffectMap.from_json(ib.activation_patching(embedded, pair, metric=mine).to_json())
    heatmap.result = loaded
    assert heatmap.pair.clean == "The key to the cabinet" and heatmap.metric == "mine"
    heatmap.run()
    assert heatmap.wait(60) and "no metric 'mine'" in heatmap.error["message"]
    broken = loaded.model_copy(update={"params": {**loaded.params, "direction": "up"}})
    with pytest.raises(traitlets.TraitError, match="direction"):
        heatmap.result = broken
    assert heatmap.result is loaded


def test_a_selection_may_come_from_a_dataframe(heatmap):
    heatmap.selection = {"layer": np.int64(1), "position": np.int64(5)}
    assert heatmap.selection == {"layer": 1, "position": 5}
    json.dumps(heatmap.selection)


def test_a_page_that_cannot_be_written_leaves_the_old_one_whole(heatmap, tmp_path, monkeypatch):
    page = heatmap.save(tmp_path / "map.html")
    before = page.read_bytes()
    heatmap.layer_zero = "top"

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("interp_backend.results.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        heatmap.save(page)
    assert page.read_bytes() == before and list(tmp_path.iterdir()) == [page]


def test_a_pair_can_be_set_as_a_dictionary_and_a_bad_one_is_refused(editor):
    editor.pair = {"clean": "a b", "corrupt": "a c"}
    assert editor.wait(60) and editor.pair == hs.PromptPair(clean="a b", corrupt="a c")
    with pytest.raises(traitlets.TraitError, match="corrupt"):
        editor.pair = {"clean": "a b"}
    assert editor.pair.clean == "a b"


def test_a_token_can_be_selected_and_is_let_go_when_the_prompt_gets_shorter(editor):
    editor.selection = {"position": 5}
    editor.pair = {"clean": "a", "corrupt": "b"}
    assert editor.wait(60) and editor.selection is None
    with pytest.raises(traitlets.TraitError):
        editor.selection = {"position": 50}


def test_closing_a_widget_stops_its_work(embedded):
    pair = hs.PromptPair(
        clean=LONG, corrupt=LONG.replace("Norway", "Sweden", 1), clean_answer=" The", corrupt_answer=" A"
    )
    with embedded.lock:
        widget = hs.PatchHeatmap(embedded, pair)
        task = worker_of(embedded).submit(Task("last", ib.read_pair.call(embedded, pair), lambda *_: None, priority=9))
        widget.close()
    assert task.wait(60) and widget.status == "cancelled" and widget.result is None


def test_interrupting_a_wait_cancels_the_work(heatmap, monkeypatch):
    def interrupted(task, timeout=None):
        raise KeyboardInterrupt

    with heatmap.model.lock:
        heatmap.direction = "noise"
        monkeypatch.setattr(Task, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            heatmap.wait()
        assert heatmap.status == "cancelled"
    monkeypatch.undo()
    assert heatmap.wait(60) and heatmap.status == "cancelled"


def test_a_saved_page_holds_no_tag_of_its_data_and_no_address(embedded, tmp_path):
    pair = hs.PromptPair(
        clean="<script>alert(1)</script>a",
        corrupt="<script>alert(1)</script>b",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    widget = Watched(hs.PatchHeatmap, embedded, pair)
    assert widget.error is None
    text = widget.save(tmp_path / "map.html").read_text("utf-8")
    assert text.count("<script") == 3  # the data, the page's own script, and what loads it
    assert "alert(1)</script>" not in text
    assert "default-src 'none'" in text and "_esm" not in text
    widget.close()
