"""What ACDC costs, beside the plain loop whose circuit it finds. `make bench` runs it.

- The embedded model, all edges, eight pairs, one threshold: until the first edge is gone, and until the end.
- GPT-2 small's shape, random weights, all 32,491 edges, one pair of 15 tokens: beside a loop of one run for each edge.
  The loop's matrix products are counted from one run at each layer, and what it takes is extrapolated from some of its
  edges: each run from the receiver's layer on, and each through the whole model, as such a loop is plainly written.
- The circuit graph in JupyterLab, in headless Chromium, with the embedded model and eight pairs: from the click on Run
  until the first edge is gone from the screen, and until the circuit is there.

Prints a table and writes build/bench/acdc.json. `python benchmarks/acdc.py embedded` measures one part: embedded,
shape or view.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from activation_patching import RESID, Case, gpt2_small, pair_of

from interp_backend.engine import circuit_runs
from interp_backend.methods import acdc as module
from interp_backend.results.graph import Graph

COUNTRIES = ("Norway", "Sweden", "France", "Italy", "Japan", "China", "Spain", "Germany")
SAMPLE = 20  # edges of the loop that are run
EMBEDDED, SHAPE = 0.05, 1e-5  # thresholds
SETUP = """
import hookscope as hs
model = hs.load_model()
pairs = hs.PromptPairs(list(hs.PromptPairs.from_task(model, "capitals"))[:8])
"""
# Seconds from a click on Run until fewer edges are drawn, and until the search has ended.
RUN = """async (root) => {
  const there = (name) => root.querySelector(`[data-hs=${name}]`);
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const drawn = () => Number(there('left') && there('circuit').dataset.edges);
  const start = performance.now();
  there('run').click();
  while (!drawn()) await frame();
  const whole = Number(there('left').textContent.match(/of (\\d+)/)[1]);
  while (!(drawn() < whole)) await frame();
  const first = performance.now() - start;
  while (!there('found')) await frame();
  return [first / 1000, (performance.now() - start) / 1000];
}"""


def main() -> None:
    torch.set_num_threads(2)
    parts: dict[str, Callable[[], dict[str, float]]] = {"embedded": embedded, "shape": shape, "view": view}
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"}
    print(f"Measured on {report['machine']}.\n")
    for name in sys.argv[1:] or parts:
        report[name] = parts[name]()
        for words, value in report[name].items():
            print(f"{words:72} {value:10.2f}", flush=True)
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "acdc.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {out / 'acdc.json'}")


def embedded() -> dict[str, float]:
    model = ib.load_model()
    texts = [f"The capital of {country} is" for country in COUNTRIES]
    pairs = ib.PromptPairs(
        [ib.PromptPair(clean=one, corrupt=other) for one, other in zip(texts, [*texts[1:], texts[0]])]
    )
    ib.acdc(model, pairs[0], threshold=1.0)  # the check of a new model
    began = time.perf_counter()
    first = None
    for step in ib.acdc.steps(model, pairs, threshold=EMBEDDED):
        if first is None and step.result.size < step.result.edges:
            first = time.perf_counter() - began
    assert first is not None
    return {
        "embedded model, 8 pairs, edges": float(step.result.edges),
        "edges that are kept": float(step.result.size),
        "first edges gone, s": first,
        "whole search, s": time.perf_counter() - began,
    }


class Products(TorchDispatchMode):
    """Counts the multiplications in the matrix products of a block."""

    KINDS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm")

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name().split(".")[0] in self.KINDS:
            one, other = args[-2:]
            self.made += one.numel() * other.shape[-1]
        return func(*args, **(kwargs or {}))


def shape() -> dict[str, float]:
    model = ib.load_model(gpt2_small("cpu"))
    pair = pair_of(Case("", "resid_pre", RESID, 15, 4), 0)
    ib.acdc(model, pair, threshold=1.0)  # the check of a new model
    runs, seen = Counter[str](), []
    measured = module.measured

    def counting(sweep: Any, edges: np.ndarray, outside: Any) -> np.ndarray:
        runs.update(made=len(edges), passes=1)
        seen[:] = [sweep, outside]
        return measured(sweep, edges, outside)

    with patch.object(module, "measured", counting), Products() as ours:
        began = time.perf_counter()
        found = ib.acdc(model, pair, threshold=SHAPE)
        seconds = time.perf_counter() - began
    # The loop's circuits: all edges above one, as far as they were kept, all below, and that one removed.
    order = module._in_order(found.with_edges(found.real), "reverse", 0)
    used = [edge for edge in order if is_read(found, edge[1])]
    generator = np.random.default_rng(0)

    def run(edges: list[tuple[int, int]]) -> None:
        for edge in edges:
            circuit = found.real.copy()
            before = order[: order.index(edge) + 1]
            circuit[tuple(zip(*before))] = found.kept[tuple(zip(*before))]
            circuit[edge] = False
            with seen[0].binding.turn:
                measured(seen[0], circuit[None], seen[1])

    def sampled(edges: list[tuple[int, int]]) -> tuple[float, float]:
        """The multiplications and the seconds of the loop's runs for these edges, from some of them."""
        some = [edges[i] for i in generator.choice(len(edges), min(SAMPLE, len(edges)), replace=False)]
        run(some[:1])
        began = time.perf_counter()
        run(some)
        taken = time.perf_counter() - began
        with Products() as products:
            run(some)
        return products.made / len(some) * len(edges), taken / len(some) * len(edges)

    all_products, all_seconds = sampled(order)
    used_products, used_seconds = sampled(used)
    with patch.object(circuit_runs, "why_not_packed", lambda *_: "a plain loop"):
        _, plain_seconds = sampled(order)
    return {
        "GPT-2 small's shape, edges": float(found.edges),
        "edges that are kept": float(found.size),
        "edges whose receiver nothing reads by then, gone without a run": float(len(order) - len(used)),
        "runs for each edge that needs one": runs["made"] / len(used),
        "passes": float(runs["passes"]),
        "whole search, s": seconds,
        "matrix products, times those of the loop's runs": ours.made / all_products,
        "the same, of its runs for edges that need one": ours.made / used_products,
        "a loop of runs from the receiver's layer, times as long": all_seconds / seconds,
        "the same, for edges that need a run": used_seconds / seconds,
        "a loop of runs of the whole model, times as long": plain_seconds / seconds,
    }


def view() -> dict[str, float]:
    sys.path.insert(0, str(ROOT / "tests/browser"))  # before the folder of the other tests, which has a conftest too
    from labs import labs

    with labs() as open_lab:
        lab = open_lab("acdc", SETUP)
        shown = lab.show("graph = hs.CircuitGraph(model, pairs)\ngraph.tab = 'acdc'\ngraph")
        lab.expect("graph.wait() and graph.status", "done")
        first, whole = shown.evaluate(RUN)
    return {"view, from the click until the first edge is gone, s": first, "until the circuit is there, s": whole}


def is_read(circuit: Graph, receiver: int) -> bool:
    """Whether what a receiver belongs to has an edge in the circuit that leaves it."""
    return receiver == len(circuit.receivers) - 1 or bool(circuit.kept[circuit.reads[:, receiver]].any())


if __name__ == "__main__":
    main()
