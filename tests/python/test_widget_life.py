"""What a panel asks and when: whatever changes meanwhile, in the end it shows what its traits describe, at no more work
than that takes."""

from __future__ import annotations

import gc
import json
import threading
import weakref

import numpy as np
import pytest
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from interp_backend.results.attention import AttentionPatterns
from interp_backend.results.attribution import Attribution
from interp_backend.results.lens import LogitLens
from interp_backend.service import tasks
from interp_backend.service.tasks import Task, Worker, worker_of
from tiny_models import PAIR, bridge

FRANCE = ib.PromptPair(
    clean="The capital of France is",
    corrupt="The capital of Sweden is",
    clean_answer=" Paris",
    corrupt_answer=" Stockholm",
)
KINDS = [hs.PatchHeatmap, hs.LogitLensGrid, hs.AttentionViewer, hs.CircuitGraph]


@pytest.fixture
def submitted(monkeypatch):
    """Every task that a worker was given."""
    every: list[Task] = []
    submit = Worker.submit
    monkeypatch.setattr(Worker, "submit", lambda worker, task: every.append(task) or submit(worker, task))
    return every


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def widget(request, embedded, capitals):
    made = Watched(request.param, embedded, capitals)
    yield made
    made.close()


@pytest.fixture
def heatmap(embedded, capitals):
    made = Watched(hs.PatchHeatmap, embedded, capitals)
    yield made
    made.close()


@pytest.fixture
def editor(embedded, capitals):
    made = Watched(hs.PromptPairEditor, embedded, capitals)
    yield made
    made.close()


def clean_of(result):
    """The clean prompt that a result is about."""
    if isinstance(result, ib.Graph):
        return result.params["pair"]["clean"]
    return (result.prompts if isinstance(result, ib.EffectMap) else result.sides)["clean"].text


# One life cycle


def test_wait_waits_for_the_open_tab_too(embedded, capitals):
    grid = Watched(hs.LogitLensGrid, embedded, capitals, targets=[" Oslo"])
    grid.tab = "attribution"
    assert grid.wait(60)
    first = grid.attribution
    grid.run()
    assert grid.wait(60) and grid.attribution is not None and grid.attribution is not first
    for pair in (FRANCE, capitals) * 3:
        grid.pair = pair
        assert grid.wait(60) and grid.attribution is not None
        assert clean_of(grid.attribution) == clean_of(grid.result) == pair.clean
    grid.close()


@pytest.mark.parametrize("moment", ["result", "progress", "status", "code"])
def test_a_pair_that_another_thread_sets_while_a_result_arrives_is_shown(widget, moment):
    set_there = []

    def set_pair(change):
        if threading.current_thread() is not threading.main_thread() and not set_there:
            set_there.append(threading.Thread(target=lambda: setattr(widget, "pair", FRANCE)))
            set_there[0].start()
            set_there[0].join(20)

    widget.observe(set_pair, moment)
    widget.pair = widget.pair.model_copy(update={"clean": "The capital of Spain is", "clean_answer": " Madrid"})
    assert widget.wait(60) and set_there
    assert widget.pair == FRANCE and clean_of(widget.result) == FRANCE.clean and widget.status == "done"


def test_a_thread_that_is_late_does_not_ask_for_an_older_pair(widget, monkeypatch):
    real, computed, released = widget.wants, threading.Event(), threading.Event()

    def wants():
        found = real()
        if threading.current_thread() is late and not computed.is_set():
            computed.set()
            assert released.wait(20)
        return found

    monkeypatch.setattr(widget, "wants", wants)
    spain = widget.pair.model_copy(update={"clean": "The capital of Spain is", "clean_answer": " Madrid"})
    late = threading.Thread(target=lambda: setattr(widget, "pair", FRANCE))
    late.start()
    assert computed.wait(20)
    widget.pair = spain
    released.set()
    late.join(20)
    assert widget.wait(60) and widget.pair == spain and clean_of(widget.result) == spain.clean


def test_status_says_done_only_when_what_was_asked_for_is_shown(viewer):
    seen, running = [], threading.Event()

    def note(change):
        seen.append((change["new"], viewer.result.kind))
        if change["new"] == "running":
            running.set()

    viewer.observe(note, "status")
    with viewer.model.lock:
        viewer.measure()
        assert running.wait(20)  # the scores have the worker
        viewer.kind = "scores"
        assert viewer.status in ("queued", "running")
    assert viewer.wait(60) and viewer.result.kind == "scores" and viewer.head_scores is not None
    assert {kind for status, kind in seen if status == "done"} == {"scores"}


@pytest.fixture
def given(embedded, capitals):
    """A result that a user has."""
    return ib.activation_patching(embedded, capitals, activation="z", metric="prob")


def elsewhere(call):
    """What a call gives on another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join(20)
    return found[0]


def assert_shown(heatmap, given):
    for _ in range(2):
        assert heatmap.result is given and heatmap.code == heatmap._code_of(given)
        assert (heatmap.activation, heatmap.metric, heatmap.status) == ("z", "prob", "done")
        assert heatmap.asked["id"] == given.id and heatmap.wait(60)


def test_a_result_that_is_set_while_a_sweep_runs_stays(heatmap, given, submitted):
    waited = []

    def let_the_sweep_end(change):
        heatmap.model.lock.release()
        assert submitted[0].wait(20)
        waited.append(elsewhere(lambda: heatmap.wait(0)))

    heatmap.model.lock.acquire()
    heatmap.activation = "mlp_out"
    heatmap.observe(let_the_sweep_end, "activation")
    heatmap.result = given
    assert submitted[0].status == "cancelled" and len(submitted) == 1
    assert waited == [False]  # what is shown is not described yet
    assert_shown(heatmap, given)


@pytest.mark.parametrize("moment", ["result", "code", "progress"])
def test_a_result_that_another_thread_sets_while_a_step_is_shown_stays(heatmap, given, submitted, moment):
    def give(change):
        heatmap.unobserve(give, moment)
        elsewhere(lambda: setattr(heatmap, "result", given))

    heatmap.model.lock.acquire()
    heatmap.activation = "mlp_out"
    heatmap.observe(give, moment)
    heatmap.model.lock.release()
    assert submitted[0].wait(20) and submitted[0].status == "cancelled"
    assert_shown(heatmap, given)


def test_wait_is_false_if_the_traits_describe_no_call(heatmap, monkeypatch):
    def refused():
        raise ValueError("There is no such call.")

    with monkeypatch.context() as patch:
        patch.setattr(heatmap, "wants", refused)
        assert heatmap.wait(60) is False and heatmap.error["message"] == "There is no such call."
    assert heatmap.wait(60)


def test_what_a_widget_synced_is_read_as_the_result_that_it_shows(embedded, capitals):
    heatmap, grid, viewer = (Watched(kind, embedded, capitals) for kind in KINDS[:3])
    grid.attribute()
    assert grid.wait(60)
    pairs = Watched(hs.PatchHeatmap, embedded, ib.PromptPairs([capitals, FRANCE]))
    for widget, family, trait in [
        (heatmap, ib.EffectMap, "result"),
        (pairs, ib.EffectMap, "result"),
        (grid, LogitLens, "result"),
        (grid, Attribution, "attribution"),
        (viewer, AttentionPatterns, "result"),
    ]:
        wire = json.loads(json.dumps(widget.get_state()[trait], allow_nan=False))
        read, shown = family.from_wire(wire), getattr(widget, trait)
        assert (read.id, read.method, read.provenance) == (shown.id, shown.method, shown.provenance)
        if family is LogitLens:
            np.testing.assert_array_equal(read.arrays_of("corrupt").entropy, shown.arrays_of("corrupt").entropy)
        else:
            np.testing.assert_array_equal(read.values, shown.values)
    for widget in (heatmap, pairs, grid, viewer):
        widget.close()


def test_waiting_in_an_observer_is_refused_at_once(widget):
    refused = []

    def wait_inside(change):
        with pytest.raises(RuntimeError, match="an observer or a metric"):
            widget.wait()
        refused.append(change)

    widget.observe(wait_inside, "result")
    widget.pair = FRANCE
    assert widget.wait(60) and refused and widget.status == "done"


def test_waiting_in_a_metric_becomes_an_error_of_the_metric(heatmap):
    def impatient(logits):
        heatmap.wait()
        return logits[:, 0]

    heatmap.metric = impatient
    assert heatmap.wait(60) and heatmap.status == "error"
    assert "The metric impatient failed: RuntimeError: wait() was called from code" in heatmap.error["message"]


def test_status_changes_as_soon_as_the_work_is_cancelled(widget):
    with widget.model.lock:
        widget.pair = FRANCE
        assert widget.status in ("queued", "running")
        widget.cancel()
        assert widget.status == "cancelled"
    assert widget.wait(60) and widget.status == "cancelled"


# No more work than it takes


def test_coming_back_to_an_earlier_choice_is_instant(heatmap, submitted):
    shown, values = heatmap.result, heatmap.result.values.copy()
    for direction, activation in [("noise", "resid_pre"), ("noise", "z"), ("denoise", "z")]:
        ask(heatmap, "activation_patching", activation=activation, axes=None, direction=direction)
        assert heatmap.error is None and (heatmap.direction, heatmap.activation) == (direction, activation)
    assert len(submitted) == 3
    with heatmap.model.lock:  # nothing can run
        heatmap.activation = "resid_pre"
        assert heatmap.status == "done" and heatmap.result.params["activation"] == "resid_pre"
        assert heatmap.result.id == shown.id == heatmap.asked["id"]
        np.testing.assert_array_equal(heatmap.result.values, values)
    assert len(submitted) == 3
    heatmap.run()  # the user changed something in the model, perhaps
    assert heatmap.wait(60) and len(submitted) == 4
    heatmap.direction = "noise"
    assert heatmap.wait(60) and len(submitted) == 5


def test_a_change_while_a_widget_closes_asks_for_nothing(heatmap, submitted):
    model = heatmap.model
    with model.lock:  # nothing can run
        heatmap.direction = "noise"
        heatmap.observe(lambda change: setattr(heatmap, "activation", "z"), "status")
        heatmap.close()
    assert heatmap.activation == "z" and len(submitted) == 1 and submitted[0].is_cancelled()


def test_another_prompt_and_back_is_instant_in_every_view(widget, submitted):
    own = widget.pair
    widget.pair = FRANCE
    assert widget.wait(60) and len(submitted) == 1
    with widget.model.lock:
        widget.pair = own
        assert widget.status == "done" and clean_of(widget.result) == own.clean
    assert len(submitted) == 1


def test_an_edit_after_a_cell_ran_sixty_times_costs_one_sweep(embedded, editor, submitted):
    maps = []
    for number in range(60):
        if maps:
            ask_view(maps[-1], "hidden", number - 1)
            maps[-1].cancel()
        maps.append(hs.PatchHeatmap(embedded, editor))
        ask_view(maps[-1], "shown", number)
    assert maps[-1].wait(60)
    submitted.clear()
    editor.pair = FRANCE
    assert editor.wait(60) and worker_is_idle(embedded)
    asked = sorted(task.call.method.name for task in submitted if task.id != "last")
    assert asked == ["activation_patching", "read_pair"]
    assert clean_of(maps[-1].result) == FRANCE.clean and maps[0].pair == FRANCE
    ask_view(maps[0], "shown", "again")  # the reader scrolls back to the output of an earlier run
    assert maps[0].wait(60) and clean_of(maps[0].result) == FRANCE.clean
    for heatmap in maps:
        heatmap.close()


def ask_view(widget, what, view):
    widget.take_message({"kind": "request", "id": f"{what}:{view}", "method": what, "params": {"view": str(view)}})


def worker_is_idle(model):
    """Whether everything that the model's worker was given is over; it is waited for."""
    last = Task("last", ib.read_pair.call(model, FRANCE), lambda *_: None, priority=9)
    return worker_of(model).submit(last).wait(60)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_editor_does_not_keep_what_followed_it(kind, embedded, editor):
    follower = kind(embedded, editor)
    assert follower.wait(60)
    held = weakref.ref(follower)
    follower.close()
    del follower
    assert worker_is_idle(embedded)
    gc.collect()
    assert held() is None
    editor.pair = FRANCE
    assert editor.wait(60) and editor.status == "done"


def test_the_thread_of_a_model_that_is_gone_ends(monkeypatch):
    monkeypatch.setattr(tasks, "LINGER", 0.01)
    model = ib.load_model(bridge("gpt2"))
    threads = []
    call = ib.read_pair.call(model, PAIR)
    done = worker_of(model).submit(Task("x", call, lambda *_: threads.append(threading.current_thread())))
    assert done.wait(60)
    held = weakref.ref(model)
    del model, call, done
    threads[0].join(20)
    gc.collect()
    assert not threads[0].is_alive()
    assert held() is None, gc.get_referrers(held())


# A result and no model


def test_a_result_alone_is_shown_and_asks_for_nothing(embedded, capitals, submitted):
    for kind, result, change in [
        (hs.PatchHeatmap, ib.activation_patching(embedded, capitals, activation="z"), ("direction", "noise")),
        (hs.LogitLensGrid, ib.logit_lens(embedded, capitals, stream="attn_out"), ("stream", "resid_pre")),
        (hs.AttentionViewer, ib.attention_patterns(embedded, capitals, "scores"), ("kind", "pattern")),
        (hs.CircuitGraph, ib.edge_attribution(embedded, capitals), ("tab", "faithfulness")),
    ]:
        widget = Watched(kind, result=type(result).from_json(result.to_json()))
        assert widget.status == "done" and widget.model is None and widget.error is None
        assert widget.pair == capitals and "# model: your own model object" in widget.code
        assert json.loads(json.dumps(widget.get_state()["result"], allow_nan=False))["params"] == result.params
        widget.selection = {"layer": 2, "head": 1, "position": 4}
        setattr(widget, *change)
        assert widget.wait(1) and not submitted
        for method in (widget.run, lambda w=widget: ask(w, "cancel")):
            if method == widget.run:
                with pytest.raises(ValueError, match=r"shows a result and has no model to ask: .*\(model, \.\.\.\)"):
                    method()
            else:
                method()
        assert widget.error is None and events(widget, "view:1") == ["accepted", "result"]
        widget.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_widget_is_made_of_a_model_and_a_subject_or_of_a_result(kind, embedded, capitals):
    for arguments in [(), (embedded,), (None, capitals)]:
        with pytest.raises(ValueError, match=r"Give a model and .*, or a result=\.\.\. to show"):
            kind(*arguments)


@pytest.mark.parametrize(
    "kind, trait, method, params",
    [
        (hs.PatchHeatmap, "result", "patch_together", {"cells": [{"layer": 0, "position": 4}] * 2}),
        (hs.PatchHeatmap, "result", "open", {"cell": {"layer": 0, "position": 4}}),
        (hs.LogitLensGrid, "result", "logit_lens", {"stream": "attn_out"}),
        (hs.LogitLensGrid, "result", "attribute", {"answer": " Oslo"}),
        (hs.AttentionViewer, "result", "head_scores", {}),
        (hs.AttentionViewer, "result", "patch_head", {"layer": 0, "head": 0}),
        (hs.CircuitGraph, "result", "follow", {"receivers": ["m3"], "step": 1}),
        (hs.CircuitGraph, "result", "run_again", {}),
    ],
)
def test_what_needs_a_model_is_refused_in_a_sentence_without_one(embedded, capitals, kind, trait, method, params):
    made = {
        hs.PatchHeatmap: ib.activation_patching,
        hs.LogitLensGrid: ib.logit_lens,
        hs.AttentionViewer: ib.attention_patterns,
        hs.CircuitGraph: ib.edge_attribution,
    }
    widget = Watched(kind, result=made[kind](embedded, capitals))
    ask(widget, method, **params)
    assert "shows a result and has no model to ask" in widget.error["message"]
    assert events(widget, "view:1") == ["accepted", "error"]
    widget.close()


# What a view sends


def nested(levels):
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "state, field, sentence",
    [
        (None, "state", "A view's state is an object"),
        ([1], "state", "A view's state is an object"),
        ({"selection": nested(5000)}, "selection", "nested too deeply"),
        ({"selection": {"layer": nested(5000)}}, "selection", "nested too deeply"),
        ({"selection": {"activation": "half \ud800"}}, "selection", "can't be 'half \\ud800'"),
        ({"selection": {"\ud800": 1}}, "selection", "A place has no ?"),
        ({"\ud800": 1}, "?", "can't be set from a view"),
        ({"asked": {}}, "asked", "asked can't be set from a view"),
    ],
)
def test_a_state_that_makes_no_sense_becomes_a_sentence(widget, state, field, sentence):
    widget.set_state(state)
    assert sentence in widget.error["message"] and widget.error["field"] == field
    json.dumps(widget.get_state(), ensure_ascii=False, default=str).encode("utf-8")
    assert widget.selection is None


def test_a_notebook_that_runs_no_scripts_says_how_to_see_the_widget(widget):
    outputs, _ = widget._repr_mimebundle_()
    text = f"Hookscope {type(widget).__mro__[1].__name__}: to see it, trust this notebook or run the cell again."
    assert outputs["text/plain"] == text
    assert widget.model_id == outputs["application/vnd.jupyter.widget-view+json"]["model_id"]
