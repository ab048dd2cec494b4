"""Interrupt runs with SIGINT at random moments, and check after each that nothing of ours is left on the model.

    python tools/interrupt_storm.py [how many, 2000 by default] [seed, 0 by default]

Half of the signals come at a random time, from a timer, and half at a random line of the backend's own code, from a
trace function. It ends with status 1 if any check failed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch

import interp_backend as ib
from interp_backend.engine.own import PATCHED, Own

PACKAGE = str(Path(ib.__file__).parent)
PAIR = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)


def jobs(model: ib.LanguageModel) -> dict[str, Callable[[], np.ndarray]]:
    """What is interrupted: calls that give an array."""
    return {
        "sweep": lambda: ib.activation_patching(model, PAIR, metric=["logit_diff", "kl"]).values,
        "heads": lambda: ib.activation_patching(model, PAIR, activation="z", axes=("layer", "head")).values,
        "embeddings": lambda: ib.activation_patching(model, PAIR, activation="embed").values,
        "lens": lambda: ib.logit_lens(model, PAIR, top_k=3).sides["clean"].arrays.entropy,
        "attention": lambda: ib.attention_patterns(model, PAIR, "output_norm").sides["clean"].values,
        "attribution": lambda: ib.direct_logit_attribution(model, PAIR).sides["clean"].values,
        "losses": lambda: ib.repeated_token_loss(model, [(1, 0)], length=8, seeds=2).to_numpy(),
    }


def hooks_of(model: ib.LanguageModel) -> set[tuple[str, int]]:
    """Every hook on the model, by the name of its module; transformers adds some at the first run."""
    return {
        (name, id(hook))
        for name, module in model.raw.named_modules()
        for hook in [
            *module._forward_hooks.values(),
            *module._forward_pre_hooks.values(),
            *getattr(module, "fwd_hooks", ()),
        ]
    }


def leftovers(model: ib.LanguageModel, before: set[tuple[str, int]]) -> list[str]:
    """What is on the model that was not there before a run, and what else is not as it was."""
    found = [f"a hook on {name or 'the model'}" for name, _ in hooks_of(model) - before]
    for name, module in model.raw.named_modules():
        if any(isinstance(vars(module).get(method), Own) for method in PATCHED):
            found.append(f"a patched method of {name}")
    found += [f"users_hooks() names {name}" for name in model.users_hooks()]
    taken: list[bool] = []

    def take() -> None:
        taken.append(model.lock.acquire(timeout=0.5))
        if taken[0]:
            model.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    if not taken[0]:
        found.append("the model's lock is held")
    if model._tokenizer_lock.locked():
        found.append("the tokenizer's lock is held")
    if not torch.is_grad_enabled():
        found.append("gradients are off")
    if torch._C._len_torch_function_stack():
        found.append("a torch function mode is on")
    return found


def at_random_time(call: Callable[[], Any], seconds: float) -> bool:
    """Whether a signal after at most so many seconds interrupted the call."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, seconds))
            call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return True
    return False


def at_random_line(call: Callable[[], Any], lines: int) -> bool:
    """Whether a signal at one of so many traced lines interrupted the call."""
    left = random.randrange(lines)

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    try:
        try:
            sys.settrace(trace)
            call()
        finally:
            sys.settrace(None)
    except KeyboardInterrupt:
        return True
    return False


def count_lines(call: Callable[[], Any]) -> int:
    """How many lines of the backend a call runs through."""
    lines = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return lines


def main(wanted: int = 2000, seed: int = 0) -> int:
    random.seed(seed)
    torch.set_num_threads(1)
    for number in (signal.SIGALRM, signal.SIGINT):  # a shell's background job begins with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    model = ib.load_model()
    calls = jobs(model)
    expected = {name: call() for name, call in calls.items()}
    before, seconds, lines = hooks_of(model), {}, {}
    for name, call in calls.items():
        began = time.perf_counter()
        call()
        seconds[name], lines[name] = time.perf_counter() - began, count_lines(call)
    print("seconds and lines of each call:", {name: (round(seconds[name], 3), lines[name]) for name in calls})
    signals, tried, failures = Counter[str](), 0, 0
    while sum(signals.values()) < wanted:
        name, tried = random.choice(list(calls)), tried + 1
        by_time = tried % 2 == 0
        hit = at_random_time(calls[name], seconds[name]) if by_time else at_random_line(calls[name], lines[name])
        if not hit:
            continue
        signals["at a time" if by_time else "at a line"] += 1
        found = leftovers(model, before)
        if not np.allclose(calls[name](), expected[name], atol=1e-4, equal_nan=True):
            found.append("the next run gives other numbers")
        if sum(signals.values()) % 100 == 0:
            print(f"{sum(signals.values())} interrupts, {failures} failures", flush=True)
        if found:
            failures += 1
            print(f"{name}, {'time' if by_time else 'line'}: {found[:3]}", flush=True)
    print(f"{failures} failures in {sum(signals.values())} interrupts ({dict(signals)})")
    return min(failures, 1)


if __name__ == "__main__":
    try:
        sys.exit(main(*map(int, sys.argv[1:])))
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.exit(130)
