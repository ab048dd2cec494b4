"""What estimates from gradients cost, and how much of a sweep they save. `make bench` runs it.

- GPT-2 small's shape, random weights, 15 tokens, one process, in turn: estimates of all activations at once, by each
  rule, beside what they can't do without: two forward runs and one forward and backward run of the plain model.
- SmolLM2-135M, prompts of about 76 tokens that differ at their first word: the estimate and the exact values of the
  largest 5%, beside the whole exact sweep.
- A real JupyterLab in headless Chromium: from a choice in a menu until the estimates of all cells are on screen.

Everything is counted on our side: tokenising, the unpatched runs, the estimate. Prints a table and writes
build/bench/attribution.json. `python benchmarks/attribution.py rules` measures one part: rules, share or screen.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/browser"), str(ROOT / "tests/python"), str(ROOT / "benchmarks")]

from activation_patching import RESID, Case, gpt2_small, pair_of
from labs import labs

from interp_backend.engine.backward import RULES

RUNS = 7
TEXT = " is a country, and many people who live there like to ski in winter." * 4
SETUP = f"""
import hookscope as hs

text = {TEXT!r} + " The capital of this country is"
pair = hs.PromptPair(clean="Norway" + text, corrupt="Sweden" + text, clean_answer=" Oslo",
                     corrupt_answer=" Stockholm")
"""
# Milliseconds from a choice of the direction until the view says that its cells are estimates.
CLICK = """async ([root, choice]) => {
  const select = root.querySelector('[data-hs=direction]');
  const words = () => root.querySelector('[data-hs=estimated]')?.textContent ?? '';
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const start = performance.now();
  select.value = choice;
  select.dispatchEvent(new Event('change', { bubbles: true }));
  while (!words().includes('replace them')) await frame();
  return performance.now() - start;
}"""


def main() -> None:
    torch.set_num_threads(2)
    parts: dict[str, Callable[[], dict[str, float]]] = {"rules": rules, "share": share, "screen": screen}
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"}
    print(f"Measured on {report['machine']}, medians.\n")
    for name in sys.argv[1:] or parts:
        report[name] = parts[name]()
        for words, value in report[name].items():
            print(f"{words:72} {value:10.2f}", flush=True)
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "attribution.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {out / 'attribution.json'}")


def rules() -> dict[str, float]:
    model = ib.load_model(gpt2_small("cpu"))
    pair = pair_of(Case("", "resid_pre", RESID, 15, 4), 0)
    ids = {
        side: torch.tensor([model.to_ids(text)]) for side, text in (("clean", pair.clean), ("corrupt", pair.corrupt))
    }
    for parameter in model.raw.parameters():
        parameter.requires_grad_(False)
    plain = partial(two_runs_and_a_gradient, model, ids)
    ours = {name: partial(ib.attribution_patching, model, pair, activation="all", rules=name) for name in RULES}
    seconds = in_turn([plain, *ours.values()])
    report = {"two forwards, one forward and backward, s": seconds[plain]}
    report |= {f"all activations by {name}, times that": seconds[run] / seconds[plain] for name, run in ours.items()}
    return report


def two_runs_and_a_gradient(model: ib.LanguageModel, ids: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for one in ids.values():
            model.raw(one)

    def start(value: torch.Tensor, hook: Any) -> torch.Tensor:
        return value.detach().requires_grad_()

    with model.raw.hooks(fwd_hooks=[("hook_embed", start)]):
        logits = model.raw(ids["corrupt"])
    (logits[0, -1, 1] - logits[0, -1, 2]).backward()


def in_turn(functions: list[Callable[[], Any]]) -> dict[Callable[[], Any], float]:
    """The median seconds of each function, so run that a slow moment of the machine hits all of them."""
    taken: dict[Callable[[], Any], list[float]] = {function: [] for function in functions}
    for run in range(RUNS + 1):
        for function, seconds in taken.items():
            began = time.perf_counter()
            function()
            if run:  # the first is a warm-up
                seconds.append(time.perf_counter() - began)
    return {function: statistics.median(seconds) for function, seconds in taken.items()}


def share() -> dict[str, float]:
    names: dict[str, Any] = {}
    exec(SETUP, names)
    model, pair = ib.load_model("smollm2-135m"), names["pair"]
    ib.activation_patching(model, pair, layers=[0])  # the check of a new model
    began = time.perf_counter()
    part = ib.activation_patching(model, pair, estimate="gradient", exact=0.05)
    middle = time.perf_counter()
    whole = ib.activation_patching(model, pair, estimate="gradient")
    ended = time.perf_counter()
    assert whole.agreement is not None
    return {
        "cells that differ": float(whole.agreement.cells),
        "the largest 5% exact, s": middle - began,
        "all exact, s": ended - middle,
        "share of the time, %": 100 * (middle - began) / (ended - middle),
        "precision at 5%": whole.agreement.precision or 0.0,
        "recall at 5%": whole.agreement.recall or 0.0,
        "tokens": float(part.values.shape[1]),
    }


def screen() -> dict[str, float]:
    report = {}
    for name, load in (("embedded model", ""), ("SmolLM2", '"smollm2-135m"')):
        with labs() as open_lab:
            lab = open_lab("bench", f"{SETUP}\nmodel = hs.load_model({load})")
            options = 'metric="logit", ' if not load else ""
            code = f"heatmap = hs.PatchHeatmap(model, pair, {options})\nheatmap"
            root = lab.show(code).element_handle()
            clicks = []
            for run in range(RUNS):
                lab.python(
                    "heatmap.run()\nheatmap.wait()"
                )  # forgets the other direction, which would come back at once
                clicks.append(lab.page.evaluate(CLICK, [root, str((run + 1) % 2)]))
            report[f"{name}, click to all estimates, ms"] = statistics.median(clicks)
            report[f"{name}, click to all estimates, slowest of {RUNS}, ms"] = max(clicks)
    return report


if __name__ == "__main__":
    main()
