"""What the tests of the executor share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

import interp_backend as ib
from interp_backend.engine.executor import Plan
from plain_loop import HOOKS, PER_HEAD, logit_diff, loop, runs_of
from tiny_models import PARALLEL

# Six tokens, or five without the one that begins the text: more than the window of 4 of mistral and gemma2. The first
# difference is at the second letter, and a letter after it is equal.
PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")
DEAD_PATTERN = {"gpt_neo", "gptj", "opt"}


def activations_of(architecture):
    """What can be patched, known from the architecture and not from what the backend says."""
    missing = ({"resid_mid"} if architecture in PARALLEL else set()) | (
        {"pattern"} if architecture in DEAD_PATTERN else set()
    )
    return [name for name in HOOKS if name not in missing]


def finest_axes(activation):
    return ("layer", "head", "position") if activation in PER_HEAD else ("layer", "position")


def expected(raw, activation, axes, direction="denoise", pair=PAIR, heads=None):
    base, other = runs_of(raw, pair, direction)
    return loop(base, other, activation, axes, lambda logits: logit_diff(raw, logits, pair), heads)


def is_free(model):
    """Whether another thread could take its turn."""
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(model.lock.acquire, blocking=False).result()
        if taken:
            pool.submit(model.lock.release).result()
        return taken


def ran(monkeypatch):
    """Patched runs of each pass from now on."""
    passes = []
    real = Plan.run_packed
    monkeypatch.setattr(Plan, "run_packed", lambda plan, chosen: (passes.append(list(chosen)), real(plan, chosen))[1])
    return passes


def exhausted(monkeypatch, most, method="run_packed", problem=torch.OutOfMemoryError):
    """From now on a pass of more than so many rows of patched runs fails. Returns the rows of each that was tried."""
    tried = []
    real = getattr(Plan, method)

    def limited(plan, chosen):
        tried.append(plan.rows_of(chosen, method == "run_packed"))
        if tried[-1] > most:
            raise problem("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(plan, chosen)

    monkeypatch.setattr(Plan, method, limited)
    return tried
