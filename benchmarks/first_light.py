"""How long a click takes, and how the sweep compares with transformer_lens.patching. `make bench` runs it.

Two parts, both on the embedded model, all layers and all positions:

- in one Python process, side by side: our sweep and TransformerLens's, everything counted on both sides (tokenising,
  the clean and the corrupt run, the sweep), medians and their ratio;
- in a real JupyterLab in headless Chromium: from the click to the first cells on screen, to the last one, and from a
  click on Cancel in a long sweep to the view that says so.

Prints a table and writes build/bench/first_light.json.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformer_lens import patching

import hookscope as hs
import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

from conftest import SETUP
from labs import labs

RUNS = 15
PAIR = hs.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
LONG = """
text = "The capital of Norway is Oslo. " * 14
long = hs.PromptPair(clean=text + "The", corrupt=text.replace("Norway", "Sweden", 1) + "The",
                     clean_answer=" capital", corrupt_answer=" city", score_first_token=True)
"""

# Milliseconds from a choice in a menu until a cell of the new sweep is there, and until it has ended. The cells of
# the two directions read differently, so an old cell can't be taken for a new one.
CLICK = """async ([root, choice, word]) => {
  const select = root.querySelector('[data-hs=direction]');
  const fresh = () => [...root.querySelectorAll('[role=gridcell]')].some((cell) => cell.textContent.includes(word));
  const ended = () => root.querySelector('[data-hs=state]').dataset.status === 'done';
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const start = performance.now();
  select.value = choice;
  select.dispatchEvent(new Event('change', { bubbles: true }));
  while (!fresh()) await frame();
  const first = performance.now() - start;
  while (!ended()) await frame();
  return [first, performance.now() - start];
}"""

# From a click on Cancel, once cells have come, until the view says that it has stopped.
CANCEL = """async ([root, choice]) => {
  const select = root.querySelector('[data-hs=direction]');
  const status = () => root.querySelector('[data-hs=state]').dataset.status;
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  select.value = choice;
  select.dispatchEvent(new Event('change', { bubbles: true }));
  while (!root.querySelector('[data-hs=cancel]')) await frame();
  while (!/^[1-9]/.test(root.querySelector('[data-hs=progress-text]')?.textContent ?? '')) await frame();
  const start = performance.now();
  root.querySelector('[data-hs=cancel]').click();
  while (status() === 'running' || status() === 'queued') await frame();
  return [performance.now() - start, status()];
}"""


def main() -> None:
    torch.set_num_threads(2)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "sweep": side_by_side(),
        "browser": in_jupyterlab(),
    }
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "first_light.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"Measured on {report['machine']}, medians.\n")
    for part in ("sweep", "browser"):
        for name, value in report[part].items():
            print(f"{name:58} {value:10.1f}")
    print(f"\nWritten: {out / 'first_light.json'}")


def side_by_side() -> dict[str, float]:
    model = hs.load_model()
    a, b = (model.answer_ids(answer)[0] for answer in (PAIR.clean_answer, PAIR.corrupt_answer))

    def ours() -> None:
        ib.activation_patching(model, PAIR)

    def theirs() -> None:
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            _, cache = model.raw.run_with_cache(PAIR.clean)
            corrupt = model.raw.to_tokens(PAIR.corrupt)
            patching.get_act_patch_resid_pre(
                model.raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b]
            )

    seconds: dict[Callable[[], None], list[float]] = {ours: [], theirs: []}
    for run in range(RUNS + 1):
        for function, times in seconds.items():  # in turn, so that a slow moment of the machine hits both
            start = time.perf_counter()
            function()
            if run:  # the first is a warm-up
                times.append(time.perf_counter() - start)
    median = {function: 1000 * statistics.median(times) for function, times in seconds.items()}
    return {
        "sweep of resid_pre, ms": median[ours],
        "transformer_lens.patching, ms": median[theirs],
        "times as fast": median[theirs] / median[ours],
    }


def in_jupyterlab() -> dict[str, float]:
    with labs() as open_lab:
        lab = open_lab("bench", SETUP + LONG)
        root = lab.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap").element_handle()
        clicks = []
        for run in range(RUNS + 1):
            choice, word = ("1", "changes") if run % 2 == 0 else ("0", "recovers")
            lab.python("heatmap.run()\nheatmap.wait()")  # forgets the other direction, which would come back at once
            clicks.append(lab.page.evaluate(CLICK, [root, choice, word]))
        axes = 'activation="z", axes=("layer", "head", "position")'
        root = lab.show(f"many = hs.PatchHeatmap(model, long, {axes})\nmany").element_handle()
        cancels = []
        for run in range(RUNS):
            lab.python("many.run()\nmany.cancel()\nmany.wait()")
            cancels.append(lab.page.evaluate(CANCEL, [root, str((run + 1) % 2)]))
        lab.page.close()
    stopped = [milliseconds for milliseconds, status in cancels if status == "cancelled"]
    assert stopped, "no sweep was long enough to be cancelled"
    first, last = ([click[i] for click in clicks[1:]] for i in (0, 1))
    return {
        "click to first cells, ms": statistics.median(first),
        "click to first cells, slowest of 15, ms": max(first),
        "click to the end of the sweep, ms": statistics.median(last),
        "click to the end, slowest of 15, ms": max(last),
        "click on Cancel to cancelled, ms": statistics.median(stopped),
        "click on Cancel to cancelled, slowest, ms": max(stopped),
    }


if __name__ == "__main__":
    main()
