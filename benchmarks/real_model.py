"""Whether a real model feels light: SmolLM2-135M in a real JupyterLab, headless Chromium.

- The page: for each view at the size of a real model, the longest task of the page's thread while the view is shown for
  the first time, and while its pointer moves and its grid scrolls. A page stalls for as long as its longest task; tasks
  under 50 ms are not counted by Chromium, and show as 0. A cell that shows a line of text is measured beside them:
  JupyterLab's own share.
- Cancel: from `cancel()` in Python, in the middle of the work, until the status says so, and until the model is free.
- The first step of a lens over a long prompt, in forward passes of the same prompt.

Prints a table and writes build/bench/real_model.json. `python benchmarks/real_model.py page` measures one part: page,
cancel or lens.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from playwright.sync_api import Page

import hookscope as hs
import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

from lab import Lab
from labs import labs

RUNS = 5
CANCELS = 10
TEXT = "The capital of Norway is Oslo, and many people who live there like to ski in winter. " * 6
# 120 tokens that first differ near their end, so that the sweep is short and the map is wide.
SETUP = f"""
import hookscope as hs

model = hs.load_model("smollm2-135m")
text = {TEXT!r}
pair = hs.PromptPair(clean=text + "The capital of Norway is", corrupt=text + "The capital of Sweden is",
                     clean_answer=" Oslo", corrupt_answer=" Stockholm")
"""
VIEWS = {
    "a line of text": None,
    "heatmap": "hs.PatchHeatmap(model, pair)",
    "lens": "hs.LogitLensGrid(model, pair)",
    "attention": "hs.AttentionViewer(model, pair, opened=[(23, 4), (2, 1)])",
}

WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: 'longtask' });
}"""
LONGEST = """async () => {
  const idle = () => new Promise((resolve) => requestIdleCallback(resolve));
  for (let i = 0; i < 5; i++) await idle();
  const longest = Math.max(0, ...window.tasks);
  window.tasks = [];
  return longest;
}"""
USE = """async (root) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const at = root.getBoundingClientRect();
  for (let i = 0; i < 60; i++) {
    const point = { clientX: at.left + 80 + i * 9, clientY: at.top + 120 + i * 5, bubbles: true };
    document.elementFromPoint(point.clientX, point.clientY)?.dispatchEvent(new PointerEvent('pointermove', point));
    await frame();
  }
  for (const scroller of root.querySelectorAll('[data-hs=scroller]')) {
    for (let i = 0; i < 60; i++) {
      scroller.scrollLeft = i * 40;
      await frame();
    }
  }
}"""


def main() -> None:
    torch.set_num_threads(2)
    parts: dict[str, Callable[[], dict[str, float]]] = {"page": page, "cancel": cancel, "lens": lens}
    chosen = sys.argv[1:] or list(parts)
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"}
    print(f"Measured on {report['machine']}, SmolLM2-135M.\n")
    for name in chosen:
        report[name] = parts[name]()
        for words, value in report[name].items():
            print(f"{words:58} {value:10.1f}", flush=True)
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "real_model.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {out / 'real_model.json'}")


def page() -> dict[str, float]:
    with labs() as open_lab:
        lab = open_lab("bench", SETUP, density=1)
        lab.page.evaluate(WATCH)
        measured = {}
        for name, code in VIEWS.items():
            runs = [_shown_and_used(lab, name, code) for _ in range(RUNS)]
            for i, moment in enumerate(("shown", "used")):
                stalls = [run[i] for run in runs]
                measured[f"{name}, longest task when {moment}, median, ms"] = statistics.median(stalls)
                measured[f"{name}, longest task when {moment}, slowest of {RUNS}, ms"] = max(stalls)
    return measured


def _shown_and_used(lab: Lab, name: str, code: str | None) -> tuple[float, float]:
    lab.page.evaluate(LONGEST)
    if code is None:
        lab.run(f"print({name!r})")
        _settle(lab.page)
        shown = lab.page.evaluate(LONGEST)
        lab.clear()
        return shown, 0.0
    root = lab.show(f"{name} = {code}\n{name}")
    lab.python(f"{name}.wait()")
    _settle(lab.page)
    shown = lab.page.evaluate(LONGEST)
    lab.page.evaluate(USE, root.element_handle())
    used = lab.page.evaluate(LONGEST)
    lab.clear()
    return shown, used


def _settle(page: Page) -> None:
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 1000))")


def cancel() -> dict[str, float]:
    model = hs.load_model("smollm2-135m")
    pair = hs.PromptPair(
        clean="The capital of Norway is" + TEXT, corrupt="The capital of Sweden is" + TEXT, clean_answer=" The"
    )
    views = {
        "heatmap": lambda: hs.PatchHeatmap(model, pair, metric="logit"),
        "lens": lambda: hs.LogitLensGrid(model, pair),
        "attention": lambda: hs.AttentionViewer(model, pair),
    }
    measured = {}
    for name, make in views.items():
        said, free = zip(*(_cancelled(model, make, 0.05 + 0.02 * i) for i in range(CANCELS)))
        measured[f"{name}, cancel to its status, slowest of {CANCELS}, ms"] = max(said)
        measured[f"{name}, cancel to a free model, median, ms"] = statistics.median(free)
        measured[f"{name}, cancel to a free model, slowest of {CANCELS}, ms"] = max(free)
    return measured


def _cancelled(model: Any, make: Callable[[], Any], after: float) -> tuple[float, float]:
    """Milliseconds until the status of a view says that it is cancelled, and until the model takes other work."""
    view = make()
    time.sleep(after)
    began = time.perf_counter()
    view.cancel()
    while view.status in ("queued", "running"):
        time.sleep(0.001)
    said = time.perf_counter() - began
    from interp_backend.engine.turn import Turn

    with Turn(model):
        free = time.perf_counter() - began
    view.close()
    return 1000 * said, 1000 * free


def lens() -> dict[str, float]:
    model = hs.load_model("smollm2-135m")
    text = (TEXT * 40)[:8000]
    ids = torch.tensor([model.to_ids(text)])
    firsts, forwards = [], []
    for _ in range(RUNS):
        began = time.perf_counter()
        next(step for step in ib.logit_lens.steps(model, text) if step.done)
        firsts.append(time.perf_counter() - began)
        began = time.perf_counter()
        with torch.no_grad():
            model.raw(ids)
        forwards.append(time.perf_counter() - began)
    return {
        f"lens of {ids.shape[1]} tokens, first step, in forward passes": statistics.median(firsts)
        / statistics.median(forwards)
    }


if __name__ == "__main__":
    main()
