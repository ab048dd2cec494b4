"""Tasks: one at a time for each model, the newest first, a cancel keeps what there is, nothing kills the worker."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import numpy as np
import pytest

import interp_backend as ib
from interp_backend import activation_patching
from interp_backend.results.step import Step
from interp_backend.service import tasks
from interp_backend.service.tasks import Task, Worker, worker_of
from tiny_models import PAIR, boot, bridge, random_model


class Steps:
    """A call whose steps are those that a function yields."""

    def __init__(self, function):
        self.steps = function


def steps_of(*results):
    return Steps(lambda: iter([Step(i + 1, len(results), None, result) for i, result in enumerate(results)]))


class Recorder:
    """A listener that remembers what it was told."""

    def __init__(self):
        self.heard = []

    def __call__(self, task, step):
        self.heard.append(task.status if step is None else step.result)


def submitted(worker, call, hear=None, priority=1, id="id"):
    return worker.submit(Task(id, call, hear or Recorder(), priority))


def blocking(entered: threading.Event, go: threading.Event):
    """Steps that wait in the middle, so that a test decides when they go on."""

    def steps():
        yield Step(1, 2, None, "first")
        entered.set()
        assert go.wait(20)
        yield Step(2, 2, None, "second")

    return Steps(steps)


def test_a_task_tells_its_steps_and_its_end():
    hear = Recorder()
    task = submitted(Worker(), steps_of(1, 2), hear)
    assert task.wait(20)
    assert hear.heard == ["running", 1, 2, "done"] and (task.status, task.result) == ("done", 2)


def test_a_lower_priority_number_goes_first_and_among_equals_the_newest():
    worker, entered, go, order = Worker(), threading.Event(), threading.Event(), []

    def named(name):
        def steps():
            order.append(name)
            yield Step(1, 1)

        return Steps(steps)

    running = submitted(worker, blocking(entered, go))
    assert entered.wait(20)
    waiting = [submitted(worker, named(n), priority=p) for n, p in (("old", 1), ("new", 1), ("aside", 2), ("quick", 0))]
    go.set()
    assert all(task.wait(20) for task in (running, *waiting))
    assert order == ["quick", "new", "old", "aside"]


def test_a_task_that_is_cancelled_while_it_waits_is_over_at_once():
    worker, entered, go, hear = Worker(), threading.Event(), threading.Event(), Recorder()
    running = submitted(worker, blocking(entered, go))
    assert entered.wait(20)
    waiting = submitted(worker, steps_of(1), hear)
    waiting.cancel()
    assert waiting.over and waiting.status == "cancelled" and hear.heard == ["cancelled"]
    go.set()
    assert running.wait(20) and running.status == "done"


def test_steps_are_closed_when_a_task_is_cancelled():
    closed, entered, go = threading.Event(), threading.Event(), threading.Event()

    def steps():
        try:
            yield from blocking(entered, go).steps()
        finally:
            closed.set()

    task = submitted(Worker(), Steps(steps))
    assert entered.wait(20)
    task.cancel()
    go.set()
    assert task.wait(20) and task.status == "cancelled" and closed.is_set() and task.result == "second"


def test_an_error_ends_the_task_and_not_the_worker():
    def broken():
        yield Step(1, 2, None, 1)
        raise RuntimeError("from a method")

    worker, hear = Worker(), Recorder()
    task = submitted(worker, Steps(broken), hear)
    assert task.wait(20) and task.status == "error" and str(task.error) == "from a method"
    assert hear.heard == ["running", 1, "error"]
    assert submitted(worker, steps_of(1)).wait(20)


def test_a_listener_that_fails_does_not_kill_the_worker():
    def deaf(task, step):
        raise RuntimeError("from a view")

    worker = Worker()
    failed = submitted(worker, steps_of(1), deaf)
    assert failed.wait(20) and failed.status == "error"
    assert submitted(worker, steps_of(1)).wait(20)


def test_cancel_after_the_end_changes_nothing():
    task = submitted(Worker(), steps_of(1))
    assert task.wait(20)
    task.cancel()
    assert task.status == "done"


def test_waiting_for_a_task_from_its_own_worker_is_an_error_at_once():
    caught = []

    def wait(task, step):
        if step is not None:
            with pytest.raises(RuntimeError, match="would wait for itself") as problem:
                task.wait()
            caught.append(problem)

    assert submitted(Worker(), steps_of(1), wait).wait(20) and len(caught) == 1


def test_an_idle_worker_gives_its_thread_up(monkeypatch):
    monkeypatch.setattr(tasks, "LINGER", 0.01)
    worker, threads = Worker(), []
    task = submitted(worker, steps_of(1), lambda *_: threads.append(threading.current_thread()))
    assert task.wait(20)
    threads[0].join(20)
    assert not threads[0].is_alive()
    assert submitted(worker, steps_of(1)).wait(20)  # and has a new one when there is work


def test_two_wrappings_of_one_model_share_its_worker():
    raw = bridge("gpt2")
    assert worker_of(ib.load_model(raw)) is worker_of(ib.load_model(raw))
    assert worker_of(ib.load_model(raw)) is not worker_of(ib.load_model(boot(random_model("gpt2"), "another")))


def test_a_script_that_ends_while_a_task_runs_ends_well():
    code = """
import hookscope as hs
model = hs.load_model()
pair = hs.PromptPair(clean="The capital of Norway is" * 9, corrupt="The capital of Sweden is" * 9)
hs.PatchHeatmap(model, pair, metric="kl", activation="mlp_post", axes=["layer", "neuron"])
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_fifty_interleaved_tasks_give_the_numbers_that_they_give_alone():
    model = ib.load_model(bridge("gpt2"))
    choices = [
        {"activation": activation, "direction": direction, "metric": metric}
        for activation in ("resid_pre", "attn_out", "z")
        for direction in ("denoise", "noise")
        for metric in ("logit_diff", "prob")
    ]
    alone = [ib.activation_patching(model, PAIR, **choice) for choice in choices]
    order = random.Random(0).choices(range(len(choices)), k=50)
    done, direct = {}, {}

    def submit(number):
        call = activation_patching.call(model, PAIR, **choices[order[number]])
        done[number] = submitted(worker_of(model), call)

    def call(number):  # a user's own cell, at the same time as the widgets' tasks
        direct[number] = ib.activation_patching(model, PAIR, **choices[order[number]])

    submitting = [threading.Thread(target=lambda f=first: [submit(n) for n in range(f, 40, 2)]) for first in (0, 1)]
    calling = [threading.Thread(target=lambda f=first: [call(n) for n in range(f, 50, 2)]) for first in (40, 41)]
    for thread in submitting + calling:
        thread.start()
    for thread in submitting + calling:
        thread.join()
    assert all(task.wait(60) and task.status == "done" for task in done.values()) and len(done) == 40
    for number, result in ({n: task.result for n, task in done.items()} | direct).items():
        np.testing.assert_allclose(result.values, alone[order[number]].values, atol=1e-5)
    assert len(done | direct) == 50
    assert not any(point.fwd_hooks for point in model.raw.hook_dict.values())


def test_gradients_stay_off_in_the_worker():
    model = ib.load_model(bridge("gpt2"))
    seen = []

    def metric(logits):
        seen.append(logits.requires_grad)
        return logits[:, 0]

    task = submitted(worker_of(model), activation_patching.call(model, PAIR, metric=metric))
    assert task.wait(60) and seen and not any(seen)
