"""Tasks: one at a time a model, the most urgent and newest first; each ends, and the worker goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from test_interrupts import Interrupter, is_free

import interp_backend as ib
from hookscope.asking import Once
from interp_backend.common.method import Call
from interp_backend.service import tasks
from interp_backend.service.tasks import Task, Worker, worker_of
from tiny_models import PAIR, boot, bridge, random_model

ROOT = Path(__file__).parents[2]


class Recorder:
    """A listener that remembers what it was told."""

    def __init__(self):
        self.heard = []

    def __call__(self, task, step):
        self.heard.append(task.status if step is None else step)


class Held:
    """Steps that wait in the middle, so that a test decides when they go on."""

    def __init__(self):
        self.entered, self.go, self.closed = threading.Event(), threading.Event(), threading.Event()

    def steps(self):
        try:
            yield "first"
            self.entered.set()
            assert self.go.wait(20)
            yield "second"
        finally:
            self.closed.set()


def task(text="x", hear=lambda *_: None, priority=1):
    return Task(text, Once(lambda: iter(text)), hear, priority)


def broken():
    yield 1
    raise RuntimeError("from a method")


def test_a_task_tells_its_steps_and_its_end():
    hear = Recorder()
    asked = task("ab", hear)
    assert asked.status == "queued" and not asked.over
    assert Worker().submit(asked).wait(20)
    assert hear.heard == ["running", "a", "b", "done"] and asked.status == "done" and asked.progress == "b"


def test_urgent_tasks_go_first_and_among_equals_the_newest():
    worker, held, order = Worker(), Held(), []
    first = worker.submit(Task("held", held, lambda *_: None))
    assert held.entered.wait(20)

    def hear(task, step):
        order.append(task.id) if step is None and task.status == "running" else None

    waiting = [worker.submit(task(name, hear, priority)) for name, priority in [("a", 1), ("b", 2), ("c", 1), ("d", 0)]]
    held.go.set()
    assert all(one.wait(20) for one in (first, *waiting))
    assert order == ["d", "c", "a", "b"]


def test_a_task_that_is_cancelled_while_it_waits_is_over_at_once():
    worker, held, hear = Worker(), Held(), Recorder()
    running = worker.submit(Task("held", held, lambda *_: None))
    assert held.entered.wait(20)
    waiting = worker.submit(task("x", hear))
    waiting.cancel()
    assert waiting.over and waiting.status == "cancelled" and hear.heard == ["cancelled"]
    held.go.set()
    assert running.wait(20) and running.status == "done"


def test_a_task_that_is_cancelled_while_it_runs_keeps_its_last_step_and_closes_its_steps():
    held, hear = Held(), Recorder()
    running = Worker().submit(Task("held", held, hear))
    assert held.entered.wait(20)
    running.cancel()
    held.go.set()
    assert running.wait(20) and running.status == "cancelled" and held.closed.is_set()
    assert running.progress == "second" and hear.heard[-1] == "cancelled"


def test_a_sweep_that_is_cancelled_inside_a_pass_ends_before_the_next_block(warm):
    call = ib.activation_patching.call(warm, PAIR, activation="z", axes=("layer", "head", "position"))
    running = Task("sweep", call, lambda task, step: task.cancel())
    assert worker_of(warm).submit(running).wait(60) and running.status == "cancelled"
    assert running.progress is None and not any(point.fwd_hooks for point in warm.raw.hook_dict.values())


def test_an_error_ends_the_task_and_not_the_worker():
    worker, hear = Worker(), Recorder()
    failed = worker.submit(Task("broken", Once(broken), hear))
    assert failed.wait(20) and failed.status == "error" and str(failed.error) == "from a method"
    assert hear.heard == ["running", 1, "error"]
    assert worker.submit(task()).wait(20)


def test_a_listener_that_fails_ends_its_task_and_not_the_worker():
    def deaf(task, step):
        raise RuntimeError("from a view")

    worker = Worker()
    failed = worker.submit(task("x", deaf))
    assert failed.wait(20) and failed.status == "error" and str(failed.error) == "from a view"
    assert worker.submit(task()).wait(20)


def test_cancel_after_the_end_changes_nothing():
    done = Worker().submit(task())
    assert done.wait(20)
    done.cancel()
    assert done.status == "done"


def test_a_task_that_is_over_holds_no_listener():
    class Panel:
        def hear(self, task, step):
            pass

    panel = Panel()
    done = Worker().submit(task("x", panel.hear))
    assert done.wait(20)
    held = weakref.ref(panel)
    del panel
    assert held() is None


def test_waiting_on_the_worker_itself_is_refused_at_once():
    worker, refused = Worker(), []

    def wait_for_itself(running, step):
        if step is not None:
            with pytest.raises(RuntimeError, match=r"wait\(\) was called from code that runs as part of this model's"):
                running.wait()
            refused.append(step)

    assert worker.submit(task("x", wait_for_itself)).wait(20) and refused == ["x"]


def test_an_idle_worker_ends_its_thread_and_begins_another_one(monkeypatch):
    monkeypatch.setattr(tasks, "LINGER", 0.01)
    worker, threads = Worker(), []
    for _ in range(2):
        seen = task("x", lambda *_: threads.append(threading.current_thread()))
        assert worker.submit(seen).wait(20)
        threads[-1].join(20)
        assert not threads[-1].is_alive()
    assert threads[0] is not threads[-1]


def test_a_worker_that_is_stopped_ends_what_waits_and_what_runs():
    worker, held = Worker(), Held()
    running = worker.submit(Task("held", held, lambda *_: None))
    assert held.entered.wait(20)
    waiting = worker.submit(task())
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert waiting.wait(20)
    held.go.set()
    stopping.join(20)
    assert not stopping.is_alive() and (running.status, waiting.status) == ("cancelled", "cancelled")


def test_a_task_for_a_worker_that_was_stopped_ends_with_an_error():
    worker, hear = Worker(), Recorder()
    worker.stop()
    late = worker.submit(task("x", hear))
    assert late.over and late.status == "error" and hear.heard == ["error"]
    assert "Python is exiting" in str(late.error)


def test_an_interrupt_of_a_cancel_or_a_wait_leaves_a_worker_that_goes_on():
    """At any line; a second cancel then ends the task."""
    worker, held, interrupter = Worker(), Held(), Interrupter({tasks.__file__, threading.__file__})
    running = worker.submit(Task("held", held, lambda *_: None))
    assert held.entered.wait(20)

    def cancel(waiting):
        worker.submit(waiting).wait(0)
        waiting.cancel()
        waiting.wait()

    interrupter.run(lambda: cancel(task()))
    for place in list(interrupter.seen):
        waiting = task()
        with suppress(KeyboardInterrupt):
            interrupter.run(lambda one=waiting: cancel(one), at=place)
        assert is_free(worker._lock), place
        waiting.cancel()
        assert waiting.worker is None or waiting.wait(20), place
    held.go.set()
    assert running.wait(20) and running.status == "done"


IN_A_SCRIPT = """
import hookscope as hs

pair = hs.PromptPair(
    clean="The capital of Norway is " * 12 + "Oslo",
    corrupt="The capital of Sweden is " * 12 + "Oslo",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
heatmap = hs.PatchHeatmap(hs.load_model(), pair, activation="z", axes=["layer", "head", "position"])
import threading
begun = threading.Event()
heatmap.observe(lambda change: begun.set() if change["new"]["done"] else None, "progress")
assert begun.wait(60)
print(heatmap.status)
"""


def test_a_script_that_ends_while_a_task_runs_exits_in_order():
    ended = subprocess.run([sys.executable, "-c", IN_A_SCRIPT], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "running\n", "")


def test_two_wrappings_of_one_model_share_its_worker():
    raw = bridge("gpt2")
    assert worker_of(ib.load_model(raw)) is worker_of(ib.load_model(raw))
    assert worker_of(ib.load_model(raw)) is not worker_of(ib.load_model(boot(random_model("gpt2"), "another")))


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
    submitted: dict[int, Task] = {}
    direct: dict[int, ib.EffectMap] = {}

    def submit(number):
        call: Call = ib.activation_patching.call(model, PAIR, **choices[order[number]])
        submitted[number] = worker_of(model).submit(Task(str(number), call, lambda *_: None))

    def call(number):  # a user's own cell, at the same time as the widgets' tasks
        direct[number] = ib.activation_patching(model, PAIR, **choices[order[number]])

    submitting = [threading.Thread(target=lambda f=first: [submit(n) for n in range(f, 40, 2)]) for first in (0, 1)]
    calling = [threading.Thread(target=lambda f=first: [call(n) for n in range(f, 50, 2)]) for first in (40, 41)]
    for thread in submitting + calling:
        thread.start()
    for thread in submitting + calling:
        thread.join()
    assert all(one.wait(60) and one.status == "done" for one in submitted.values())
    results = direct | {number: one.result for number, one in submitted.items()}
    assert len(results) == 50
    for number, result in results.items():
        np.testing.assert_allclose(result.values, alone[order[number]].values, atol=1e-5)
    assert not any(point.fwd_hooks for point in model.raw.hook_dict.values())


def test_gradients_are_off_in_a_metric_on_the_worker():
    model, seen = ib.load_model(bridge("gpt2")), []

    def metric(logits):
        seen.append(logits.requires_grad)
        return logits[:, 0]

    call = ib.activation_patching.call(model, PAIR, metric=metric)
    asked = worker_of(model).submit(Task("grad", call, lambda *_: None))
    assert asked.wait(60) and seen and not any(seen)
