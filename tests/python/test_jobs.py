"""Jobs: one at a time a model, the newest of an owner wins, cancel keeps what there is, nothing kills the worker."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

import interp_backend as ib
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.service.tasks import Worker, worker_of
from tiny_models import PAIR, boot, bridge, random_model


class Recorder:
    """A listener that remembers, for tests."""

    def __init__(self):
        self.heard = []

    def __call__(self, job, step):
        self.heard.append(job.status if step is None else step)


def blocking(entered: threading.Event, go: threading.Event):
    """Steps that wait in the middle, so that a test decides when they go on."""

    def steps():
        yield "first"
        entered.set()
        assert go.wait(20)
        yield "second"

    return steps


def test_a_job_tells_its_steps_and_its_end():
    hear = Recorder()
    job = Worker().submit("me", lambda: iter([1, 2]), hear)
    assert job.wait(20)
    assert hear.heard == ["running", 1, 2, "done"] and job.status == "done"


def test_a_newer_job_of_one_owner_replaces_those_that_wait_and_stops_the_one_that_runs():
    worker, entered, go = Worker(), threading.Event(), threading.Event()
    hears = [Recorder() for _ in range(4)]
    running = worker.submit("me", blocking(entered, go), hears[0])
    assert entered.wait(20)
    waiting = worker.submit("me", lambda: iter("a"), hears[1])
    other = worker.submit("somebody else", lambda: iter("b"), hears[2])
    newest = worker.submit("me", lambda: iter("c"), hears[3])
    go.set()
    assert all(job.wait(20) for job in (running, waiting, other, newest))
    assert [job.status for job in (running, waiting, other, newest)] == ["cancelled", "cancelled", "done", "done"]
    assert hears[0].heard[:2] == ["running", "first"] and hears[1].heard == ["cancelled"]
    assert hears[3].heard == ["running", "c", "done"]


def test_an_error_ends_the_job_and_not_the_worker():
    def broken():
        yield 1
        raise RuntimeError("from a method")

    worker, hear = Worker(), Recorder()
    job = worker.submit("me", broken, hear)
    assert job.wait(20) and job.status == "error" and str(job.error) == "from a method"
    assert hear.heard == ["running", 1, "error"]
    assert worker.submit("me", lambda: iter("x"), Recorder()).wait(20)


def test_a_listener_that_fails_does_not_kill_the_worker():
    def deaf(job, step):
        raise RuntimeError("from a view")

    worker = Worker()
    assert worker.submit("me", lambda: iter("x"), deaf).wait(20)
    assert worker.submit("me", lambda: iter("x"), Recorder()).wait(20)


def test_steps_are_closed_when_a_job_is_cancelled():
    closed, entered, go = threading.Event(), threading.Event(), threading.Event()

    def steps():
        try:
            yield from blocking(entered, go)()
        finally:
            closed.set()

    job = Worker().submit("me", steps, Recorder())
    assert entered.wait(20)
    job.cancel()
    go.set()
    assert job.wait(20) and job.status == "cancelled" and closed.is_set()


def test_cancel_after_the_end_changes_nothing():
    job = Worker().submit("me", lambda: iter("x"), Recorder())
    assert job.wait(20)
    job.cancel()
    assert job.status == "done"


def test_two_wrappings_of_one_model_share_its_worker():
    raw = bridge("gpt2")
    assert worker_of(ib.load_model(raw)) is worker_of(ib.load_model(raw))
    assert worker_of(ib.load_model(raw)) is not worker_of(ib.load_model(boot(random_model("gpt2"), "another")))


def test_fifty_interleaved_jobs_give_the_numbers_that_they_give_alone():
    model = ib.load_model(bridge("gpt2"))
    choices = [
        {"activation": activation, "direction": direction, "metric": metric}
        for activation in ("resid_pre", "attn_out", "z")
        for direction in ("denoise", "noise")
        for metric in ("logit_diff", "prob")
    ]
    alone = [ib.activation_patching(model, PAIR, **choice) for choice in choices]
    order = random.Random(0).choices(range(len(choices)), k=50)
    last, jobs, direct = {}, [], {}

    def submit(number):
        def hear(job, step):
            if step is not None:
                last[number] = step.result

        choice = choices[order[number]]
        jobs.append(worker_of(model).submit(number, lambda: activation_patching.steps(model, PAIR, **choice), hear))

    def call(number):  # a user's own cell, at the same time as the widgets' jobs
        direct[number] = ib.activation_patching(model, PAIR, **choices[order[number]])

    submitting = [threading.Thread(target=lambda f=first: [submit(n) for n in range(f, 40, 2)]) for first in (0, 1)]
    calling = [threading.Thread(target=lambda f=first: [call(n) for n in range(f, 50, 2)]) for first in (40, 41)]
    for thread in submitting + calling:
        thread.start()
    for thread in submitting + calling:
        thread.join()
    assert all(job.wait(60) and job.status == "done" for job in jobs) and len(jobs) == 40
    for number, result in (last | direct).items():
        np.testing.assert_allclose(result.values, alone[order[number]].values, atol=1e-5)
    assert len(last | direct) == 50
    assert not any(point.fwd_hooks for point in model.raw.hook_dict.values())


@pytest.mark.parametrize("name", ["grad", "no_grad"])
def test_gradients_stay_off_in_the_worker_whatever_the_thread_has(name):
    model = ib.load_model(bridge("gpt2"))
    seen = []

    def metric(logits):
        seen.append(logits.requires_grad)
        return logits[:, 0]

    job = worker_of(model).submit(name, lambda: activation_patching.steps(model, PAIR, metric=metric), Recorder())
    assert job.wait(60) and seen and not any(seen)
