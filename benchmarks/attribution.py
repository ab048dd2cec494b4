"""What estimates from gradients cost, and how much of a sweep they save. `make bench` runs it.

- GPT-2 small's shape, random weights, 15 tokens, one process, in turn: estimates of all activations at once, by each
  rule, beside what they can't do without: two forward runs and one forward and backward run of the plain model.
- The same model: the scores of all edges of one pair, beside one forward and backward run of the plain model; of eight
  pairs, beside `transformer_lens.tools.analysis.attribution_patch` by edges, of which one pair is run and counted eight
  times; and the faithfulness of circuits of ten sizes on eight pairs, beside its own matrix products alone, recorded
  from one call and made again on other numbers.
- SmolLM2-135M, prompts of about 76 tokens that differ at their first word: the estimate and the exact values of the
  largest 5%, beside the whole exact sweep.
- A real JupyterLab in headless Chromium: from a choice in a menu until the estimates of all cells are on screen.

Everything is counted on our side: tokenising, the unpatched runs, the estimate. Prints a table and writes
build/bench/attribution.json. `python benchmarks/attribution.py rules` measures one part: rules, edges, share or
screen.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformer_lens.tools.analysis.attribution_patching import EdgeAttributionConfig, attribution_patch

import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from activation_patching import RESID, Case, gpt2_small, pair_of

from interp_backend.engine.backward import RULES

RUNS = 7
SENTENCE = " is a country, and many people who live there like to ski in winter."
SETUP = """
import hookscope as hs
from hookscope import map_call

map_call.LONG_SECONDS = 0  # every sweep stops after the largest 5%
text = {!r} + " The capital of this country is"
pair = hs.PromptPair(clean="Norway" + text, corrupt="Sweden" + text, clean_answer=" Oslo",
                     corrupt_answer=" Stockholm")
"""
# Milliseconds from a choice of the direction until the new map is there: its first cells are the estimates of all. The
# cells of the two directions read differently, so an old cell can't be taken for a new one.
CLICK = """async ([root, choice, word]) => {
  const select = root.querySelector('[data-hs=direction]');
  const fresh = () => [...root.querySelectorAll('[role=gridcell]')].some((cell) => cell.textContent.includes(word));
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const start = performance.now();
  select.value = choice;
  select.dispatchEvent(new Event('change', { bubbles: true }));
  while (!fresh()) await frame();
  return performance.now() - start;
}"""


def main() -> None:
    torch.set_num_threads(2)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "rules": rules,
        "edges": edges,
        "share": share,
        "screen": screen,
    }
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
    a_gradient(model, ids["corrupt"])


def a_gradient(model: ib.LanguageModel, ids: torch.Tensor) -> None:
    """One forward and backward run, without gradients of the weights."""

    def start(value: torch.Tensor, hook: Any) -> torch.Tensor:
        return value.detach().requires_grad_()

    with model.raw.hooks(fwd_hooks=[("hook_embed", start)]):
        logits = model.raw(ids)
    (logits[0, -1, 1] - logits[0, -1, 2]).backward()


def edges() -> dict[str, float]:
    model = ib.load_model(gpt2_small("cpu"))
    pairs = ib.PromptPairs([pair_of(Case("", "resid_pre", RESID, 15, 4), number) for number in range(8)])
    clean, corrupt = (torch.tensor([model.to_ids(getattr(pairs[0], side))]) for side in ("clean", "corrupt"))
    config = EdgeAttributionConfig(granularity="edge")

    def theirs() -> None:
        attribution_patch(model.raw, clean, corrupt, lambda logits: logits[0, -1, 1] - logits[0, -1, 2], config)

    began = time.perf_counter()
    theirs()
    peer = 8 * (time.perf_counter() - began)
    for parameter in model.raw.parameters():
        parameter.requires_grad_(False)
    plain = partial(a_gradient, model, clean)
    one, eight = partial(ib.edge_attribution, model, pairs[0]), partial(ib.edge_attribution, model, pairs)
    graph = eight()
    circuits = partial(ib.faithfulness, model, pairs, graph, random_circuits=0)
    with Products() as products:
        circuits()
    seconds = in_turn([plain, one, eight, circuits, products.again], runs=3)
    return {
        "one forward and backward, s": seconds[plain],
        "all edges of one pair, times that": seconds[one] / seconds[plain],
        "all edges of 8 pairs, s": seconds[eight],
        "times as fast as transformer_lens": peer / seconds[eight],
        "faithfulness, 10 sizes, 8 pairs, s": seconds[circuits],
        "times its matrix products": seconds[circuits] / seconds[products.again],
    }


class Products(TorchDispatchMode):
    """Records the matrix products of a block, to make them again."""

    KINDS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm")

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, list[torch.Size]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name().split(".")[0] in self.KINDS:
            self.made.append((torch.bmm if args[-1].ndim == 3 else torch.mm, [one.shape for one in args[-2:]]))
        return func(*args, **(kwargs or {}))

    def again(self) -> None:
        for product, shapes in self.made:
            product(*map(numbers, shapes))


@cache
def numbers(shape: torch.Size) -> torch.Tensor:
    return torch.randn(shape)


def in_turn(functions: list[Callable[[], Any]], runs: int = RUNS) -> dict[Callable[[], Any], float]:
    """The median seconds of each function, so run that a slow moment of the machine hits all of them."""
    taken: dict[Callable[[], Any], list[float]] = {function: [] for function in functions}
    for run in range(runs + 1):
        for function, seconds in taken.items():
            began = time.perf_counter()
            function()
            if run:  # the first is a warm-up
                seconds.append(time.perf_counter() - began)
    return {function: statistics.median(seconds) for function, seconds in taken.items()}


def share() -> dict[str, float]:
    names: dict[str, Any] = {}
    exec(SETUP.format(4 * SENTENCE), names)
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
    sys.path.insert(0, str(ROOT / "tests/browser"))
    from labs import labs

    report = {}
    for name, load, sentences in (("embedded model", "", 3), ("SmolLM2", '"smollm2-135m"', 4)):
        with labs() as open_lab:
            lab = open_lab("bench", f"{SETUP.format(sentences * SENTENCE)}\nmodel = hs.load_model({load})")
            options = 'metric="logit", ' if not load else ""
            code = f"heatmap = hs.PatchHeatmap(model, pair, {options})\nheatmap"
            root = lab.show(code).element_handle()
            clicks = []
            for run in range(RUNS):
                lab.python(
                    "heatmap.run()\nheatmap.wait()"
                )  # forgets the other direction, which would come back at once
                choice, word = ("1", "changes") if run % 2 == 0 else ("0", "recovers")
                clicks.append(lab.page.evaluate(CLICK, [root, choice, word]))
            report[f"{name}, click to all estimates, ms"] = statistics.median(clicks)
            report[f"{name}, click to all estimates, slowest of {RUNS}, ms"] = max(clicks)
    return report


if __name__ == "__main__":
    main()
