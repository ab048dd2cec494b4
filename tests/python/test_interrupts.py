"""Ctrl-C at any line of the engine leaves the model as it was: no hook, no patched method, no lock."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import torch
from test_model import hooks_on

import interp_backend as ib
from interp_backend.engine.own import PATCHED, Own
from interp_backend.engine.turn import Turn
from interp_backend.engine.watch import Watch, current
from tiny_models import boot, random_model

PACKAGE = Path(ib.__file__).parent
# The files that put something on the model or hold a lock, and threading, whose events Ctrl-C can leave locked.
TRACED = {
    str(PACKAGE / "engine" / f"{name}.py")
    for name in ("turn", "own", "fused", "recording", "edits", "kv_cache", "watch", "modules")
} | {str(PACKAGE / "language" / "model.py"), threading.__file__}
PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")


class Interrupter:
    """Runs a call, and raises KeyboardInterrupt when one given line follows another given line of the same frame."""

    def __init__(self, traced=TRACED):
        self.traced = traced
        self.seen: dict[tuple[str, int, int], None] = {}

    def run(self, call, at=None):
        before: dict[int, int] = {}

        def trace(frame, event, arg):
            if frame.f_code.co_filename not in self.traced:
                return None
            if event == "line":
                key = (frame.f_code.co_filename, before.get(id(frame), 0), frame.f_lineno)
                before[id(frame)] = frame.f_lineno
                self.seen.setdefault(key)
                if key == at:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            elif event == "return":
                before.pop(id(frame), None)
            return trace

        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            return call()
        finally:
            sys.settrace(outer)


def is_free(lock):
    """Whether another thread can take a lock."""
    taken = []

    def take():
        taken.append(lock.acquire(blocking=False))
        if taken[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return taken[0]


def own_on(raw):
    """Everything of the engine's that is on a model."""
    return [module for module in raw.modules() if any(isinstance(vars(module).get(name), Own) for name in PATCHED)]


def test_an_interrupt_at_any_line_leaves_nothing_on_the_model():
    def call(model):
        return ib.activation_patching(model, PAIR, activation="z", axes=("layer", "head")).values

    model = ib.load_model(boot(random_model("gpt2"), "interrupted"))
    expected = call(model)
    hooks = hooks_on(model.raw)
    interrupter = Interrupter()
    interrupter.run(lambda: call(model))
    places = list(interrupter.seen)
    assert len(places) > 100
    interrupted = 0
    for place in places:
        try:
            interrupter.run(lambda: call(model), at=place)
        except KeyboardInterrupt:
            interrupted += 1
        assert hooks_on(model.raw) == hooks and not own_on(model.raw), place
        assert model.users_hooks() == [], place
        assert is_free(model.lock) and not model._tokenizer_lock.locked(), place
        assert torch.is_grad_enabled() and current() == Watch(), place
    assert interrupted == len(places)
    np.testing.assert_allclose(call(model), expected, atol=1e-5)


def test_a_turn_removes_what_an_earlier_one_left():
    """Should a removal be interrupted twice, the next turn still begins with a clean model."""
    raw = boot(random_model("gpt2"), "littered")
    model = ib.load_model(raw)
    expected = ib.activation_patching(model, PAIR).values
    hooks = hooks_on(raw)
    zero = Own(lambda value, hook: value * 0)
    raw.blocks[0].register_forward_pre_hook(Own(lambda module, args: None))
    raw.hook_dict["blocks.1.hook_resid_pre"].add_hook(zero)
    raw.hook_dict["blocks.1.attn.hook_z"].register_forward_hook(lambda module, args, out: zero(out, hook=None))
    raw.blocks[2].mlp.forward = Own(lambda *args, **kwargs: None)
    with Turn(model) as turn:
        assert turn.users_hooks == []
    assert hooks_on(raw) == hooks and not own_on(raw)
    np.testing.assert_allclose(ib.activation_patching(model, PAIR).values, expected, atol=1e-6)


def test_a_users_hook_is_not_taken_for_a_leftover():
    raw = boot(random_model("gpt2"), "users")
    model = ib.load_model(raw)
    seen = []
    handle = raw.blocks[0].register_forward_pre_hook(lambda module, args: seen.append(1))
    with Turn(model) as turn:
        assert turn.users_hooks == ["blocks.0"]
    raw(raw.to_tokens("hi"))
    assert seen == [1]
    handle.remove()


def test_a_patch_of_somebody_elses_survives_a_sweep():
    """Libraries that move weights between devices replace `forward` on the module itself."""
    raw = boot(random_model("gpt2"), "moved")
    gelu = next(module for module in raw.modules() if type(module).__name__ == "NewGELUActivation")
    original = gelu.forward
    calls = []
    gelu.forward = lambda x: (calls.append(1), original(x))[1]
    ib.activation_patching(raw, PAIR, activation="mlp_out")
    assert "forward" in vars(gelu) and calls
