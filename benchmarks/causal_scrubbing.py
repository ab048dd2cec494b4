"""How long causal scrubbing takes, beside the recursion that defines it. `make bench` runs it.

The induction toy of `tools/train_scrubbing_toys.py`, 500 data of 25 tokens, weights as they begin, since time does not
depend on them. Hypotheses: two heads, each with its queries, keys and values; and all heads of the second layer, each
of which reads what all heads of the first layer make of the input.

- `recursion`: a run of the whole model for each node of the tree whose inputs are put together, as the paper's
  pseudocode has it. A few data are run, and counted for all.
- `from a menu`: in the circuit graph's kernel, from a change of what must agree at a node to the first estimate, and to
  the last share.

Prints a table and writes build/bench/causal_scrubbing.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import hookscope as hs
import interp_backend as ib
from hookscope.scrubbing_tab import ARGUMENTS

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/python")]

from scrub_loop import ScrubLoop
from train_scrubbing_toys import data_of, induction_hypotheses, model_of, tokenizer

from edge_loop import EdgeLoop

RUNS = 3
DATA = 500
LOOPED = 2  # data that the recursion runs
TWO_HEADS = ib.Hypothesis(
    edges=[
        *(f"{head}->logits" for head in ("a1.h3", "a1.h6")),
        *(f"input->{head}<{part}>" for head in ("a1.h3", "a1.h6") for part in "qv"),
        *(f"a0.h0->{head}<k>" for head in ("a1.h3", "a1.h6")),
        "input->a0.h0<v>",
    ]
)


def main() -> None:
    torch.set_num_threads(1)  # so small a model gains nothing from a second
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"}
    print(f"Measured on {report['machine']}, medians.\n")
    model, data = toy(), data_of("induction", DATA)
    scrub = partial(ib.causal_scrubbing, model, data=data)
    for words, hypothesis in {"two heads": TWO_HEADS, "all heads": next(iter(induction_hypotheses().values()))}.items():
        report[f"{words}, s"] = timed(partial(scrub, hypothesis, unscrub="none"))
        found = scrub(hypothesis, unscrub="none")
        loops = [EdgeLoop(model.raw, model.to_ids(datum.text), False) for datum in found.data[:LOOPED]]
        report[f"{words} by the recursion, s"] = timed(partial(recursion, loops, found)) * DATA / LOOPED
    report["two heads, and the share of each node, s"] = timed(partial(scrub, TWO_HEADS))
    first, last = from_a_menu(model, data)
    report["from a menu to the first estimate, s"], report["from a menu to the last share, s"] = first, last
    for name, value in report.items():
        if name != "machine":
            print(f"{name:60} {value:10.2f}")
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "causal_scrubbing.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {out / 'causal_scrubbing.json'}")


def toy() -> ib.LanguageModel:
    made = tokenizer()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model_of("induction", len(made), len(made) - 1).save_pretrained(folder)
        made.save_pretrained(folder)
        return ib.load_model(folder)


def timed(run: Callable[[], Any]) -> float:
    """Seconds, the median."""
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def from_a_menu(model: ib.LanguageModel, data: ib.PromptPairs) -> tuple[float, float]:
    """Seconds to the first estimate and to the end, medians."""
    view: Any = hs.CircuitGraph(model, data[0], data=data, hypothesis=TWO_HEADS)
    view.tab = "scrubbing"
    assert view.wait()
    arrived: list[float] = []
    view.observe(lambda change: arrived.append(time.perf_counter()), "scrubbing")
    ends = []
    for feature in ("token", "anything", "answer"):
        arrived.clear()
        began = time.perf_counter()
        view.perform("scrub", {**{name: getattr(view, name) for name in ARGUMENTS}, "agree": {"a1.h3": feature}})
        assert view.wait() and view.error is None
        ends.append((arrived[0] - began, arrived[-1] - began))
    view.close()
    first, last = (statistics.median(one) for one in zip(*ends))
    return first, last


def recursion(loops: list[EdgeLoop], found: ib.Scrubbing) -> None:
    """The scrubbed outputs of the first data by the tests' recursion; the model's own runs are not counted."""
    drawn = {node.path: found.sources[0, at] % LOOPED for at, node in enumerate(found.tree)}
    loop = ScrubLoop(loops, found.hypothesis.edges, found.hypothesis.agree, drawn)
    for datum in range(LOOPED):
        loop.logits(datum)


if __name__ == "__main__":
    main()
