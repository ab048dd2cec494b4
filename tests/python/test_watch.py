"""The driver's watch: a cancel is seen between two blocks, and passes are as long as it wants them."""

from __future__ import annotations

import threading

import pytest
from test_interrupts import is_free
from test_model import hooks_on

import interp_backend as ib
from interp_backend.engine.executor import Plan
from interp_backend.engine.watch import Cancelled, check, current, run_watched
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.methods.attention_patterns import attention_patterns
from interp_backend.methods.logit_lens import Reader, logit_lens
from tiny_models import boot, bridge, random_model

PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")


def counted(raw):
    """The numbers of the blocks that are run from now on."""
    ran = []
    for i, block in enumerate(raw.blocks):
        block.original_component.register_forward_pre_hook(lambda module, args, i=i: ran.append(i))
    return ran


@pytest.mark.parametrize(
    "steps",
    [
        lambda raw: activation_patching.steps(raw, PAIR),
        lambda raw: logit_lens.steps(raw, PAIR),
        lambda raw: attention_patterns.steps(raw, PAIR),
    ],
    ids=["sweep", "lens", "attention"],
)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_cancel_is_seen_between_two_blocks(steps, after):
    raw = boot(random_model("llama"), "cancelled")
    model = ib.load_model(raw)
    list(steps(model))  # finds out what has to be known about the model
    hooks = hooks_on(raw)
    ran = counted(raw)
    iterator = steps(model)
    with pytest.raises(Cancelled):
        run_watched(lambda: list(iterator), cancelled=lambda: len(ran) > after)
    assert ran == list(range(after + 1))
    for block in raw.blocks:
        block.original_component._forward_pre_hooks.clear()
    assert is_free(model.lock) and hooks_on(raw) == hooks
    list(steps(model))


def test_a_cancel_between_two_blocks_of_a_packed_pass_is_no_verdict_on_the_model():
    raw = boot(random_model("gpt2"), "trial")
    model = ib.load_model(raw)
    assert model.dead_hooks == []
    real, plans = Plan.run_packed, []

    def run_packed(plan, chosen):
        plans.append(plan)
        return real(plan, chosen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "run_packed", run_packed)
        with pytest.raises(Cancelled):
            run_watched(lambda: ib.activation_patching(model, PAIR), cancelled=lambda: bool(plans))
    assert len(plans) == 1
    assert ib.activation_patching(model, PAIR).provenance["executor"] == "packed"


def test_the_first_steps_of_a_lens_come_before_and_after_one_forward_pass():
    raw = boot(random_model("gpt2"), "first")
    steps = logit_lens.steps(raw, "hollo")
    ran = counted(raw)
    assert (next(steps).done, ran) == (0, [])
    assert (next(steps).done, ran) == (0, [0, 1, 2])
    assert list(steps)[-1].result is not None


def test_a_lens_sees_a_cancel_between_two_parts_of_its_rows(monkeypatch):
    monkeypatch.setattr("interp_backend.methods.logit_lens.BYTES_AT_ONCE", 1)
    written = []
    real = Reader._write
    monkeypatch.setattr(Reader, "_write", lambda *args: (written.append(1), real(*args))[1])
    with pytest.raises(Cancelled):
        run_watched(lambda: ib.logit_lens(bridge("gpt2"), "hollo"), cancelled=lambda: len(written) == 2)
    assert len(written) == 2


def test_passes_are_small_for_a_stream_and_large_for_a_plain_call(monkeypatch):
    passes = []
    real = Plan.run_packed
    monkeypatch.setattr(Plan, "run_packed", lambda plan, chosen: (passes.append(chosen), real(plan, chosen))[1])
    options = {"activation": "z", "axes": ("layer", "head", "position")}
    model = ib.load_model(bridge("gpt2"))
    ib.activation_patching(model, PAIR, **options)
    passes.clear()
    ib.activation_patching(model, PAIR, **options)
    assert len(passes) == 1
    passes.clear()
    list(activation_patching.steps(model, PAIR, **options))
    assert len(passes) > 1


def test_a_watch_holds_for_its_call_and_keeps_the_outer_cancel():
    stop = threading.Event()

    def inner():
        assert current().seconds is None
        check()
        stop.set()
        with pytest.raises(Cancelled):
            check()

    def outer():
        run_watched(inner, seconds=None)
        assert current().seconds == 2.0

    assert current().seconds == 0.1
    run_watched(outer, seconds=2.0, cancelled=stop.is_set)
    check()
    assert current().seconds == 0.1


def test_another_thread_has_its_own_watch():
    seen = []

    def elsewhere():
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()

    run_watched(elsewhere, seconds=None, cancelled=lambda: True)
    assert seen[0].seconds == 0.1 and not seen[0].cancelled()
