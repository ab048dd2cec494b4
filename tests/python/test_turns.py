"""Who may run a model: one thread at a time, which may begin a turn inside another; whoever drops a turn ends it."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from test_interrupts import is_free

import interp_backend as ib
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.service.tasks import Task, worker_of
from tiny_models import PAIR, boot, bridge, random_model


def elsewhere(call):
    """What a call gives on another thread."""
    given = []
    thread = threading.Thread(target=lambda: given.append(call()), daemon=True)
    thread.start()
    thread.join(20)
    assert given, "the other thread waits for ever"
    return given[0]


@pytest.fixture
def model():
    return ib.load_model(boot(random_model("gpt2"), "turns"))


def test_steps_that_another_thread_collects_release_the_model(model):
    steps = activation_patching.steps(model, PAIR)
    next(steps)
    assert not is_free(model.lock)
    loop = [steps]
    loop.append(loop)
    del steps, loop
    elsewhere(gc.collect)
    assert is_free(model.lock)
    elsewhere(lambda: ib.activation_patching(model, PAIR))


def test_steps_may_move_to_another_thread(model):
    """As with `asyncio.to_thread`. A metric that calls a method is then on the new thread too."""

    def metric(logits):
        ib.logit_lens(model, "hollo")
        return logits[:, 0]

    steps = activation_patching.steps(model, PAIR, metric=metric)
    next(steps)
    values = elsewhere(lambda: list(steps)[-1].result.values)
    np.testing.assert_array_equal(values, ib.activation_patching(model, PAIR, metric=metric).values)
    assert is_free(model.lock)


@pytest.mark.parametrize("first", [0, 1])
def test_turns_of_one_thread_end_in_any_order(model, first):
    both = [activation_patching.steps(model, PAIR) for _ in range(2)]
    for steps in both:
        next(steps)
    both.pop(first).close()
    assert not is_free(model.lock)
    list(both.pop())
    assert is_free(model.lock)


# Methods inside methods


def maps(model, inner):
    """A sweep whose metric calls `inner` on every batch."""

    def metric(logits):
        inner()
        return logits[:, 0] - logits[:, 1]

    return activation_patching.call(model, PAIR, activation="z", axes=("layer", "head"), metric=metric)


@pytest.mark.parametrize("where", ["metric", "observer"])
def test_a_method_inside_another_gives_the_numbers_of_both_alone(where):
    model = ib.load_model(bridge("gpt2"))
    inside = []

    def inner():
        inside.append(ib.activation_patching(model, PAIR, activation="mlp_out").values)

    alone = list(maps(model, lambda: None).steps())[-1].result.values
    other = ib.activation_patching(model, PAIR, activation="mlp_out").values
    if where == "metric":
        call, hear = maps(model, inner), lambda task, step: None
    else:
        call, hear = maps(model, lambda: None), lambda task, step: step is not None and inner()
    task = worker_of(model).submit(Task("outer", call, hear))
    assert task.wait(60) and task.status == "done" and len(inside) > 1
    np.testing.assert_array_equal(task.result.values, alone)
    for values in inside:
        np.testing.assert_allclose(values, other, atol=1e-5)
    assert is_free(model.lock)
