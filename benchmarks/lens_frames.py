"""Whether a long lens scrolls and hovers smoothly: 1,000 tokens by 48 layers in a real JupyterLab, headless Chromium.

- Scrolling: every frame moves the grid, as a wheel or a finger would, and the time between frames is measured; once
  over columns that the view has to ask the kernel for as they come into sight, and once more over the same.
- The work of one of these frames as Chromium counts it, of which a frame has 16.7 ms: all of the page's thread, and the
  scripts alone. What is between the two is mostly Chromium painting text without a GPU.
- Hovering: from the pointer's move to the next frame that shows the cell's words.

Several runs; median and 95th percentile over all of them. Headless Chromium paints without a GPU, so what is measured
here is slower than on a desktop. Prints a table and writes build/bench/lens_frames.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from playwright.sync_api import CDPSession, ElementHandle, Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

from lab import Lab
from labs import labs

RUNS = 4
FRAMES = 180
# Pixels a frame: a column of a thousand is 52 wide, so this passes one in a bit more than a frame.
STEP = 40
SETUP = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests/python")!r})
import torch
import transformers
import hookscope as hs
from tiny_models import boot

torch.manual_seed(0)
sizes = dict(n_layer=48, n_head=2, n_embd=16, vocab_size=257, n_positions=1024)
deep = boot(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)), "deep")
text = ("The quick brown fox jumps over the lazy dog. " * 30)[:999]
"""

# Milliseconds between the frames of a scroll from `from` on.
SCROLL = """async ([root, from, step, frames]) => {
  const scroller = root.querySelector('[data-hs=scroller]');
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  scroller.scrollLeft = from;
  for (let i = 0; i < 20; i++) await frame();
  const gaps = [];
  let before = await frame();
  for (let i = 0; i < frames; i++) {
    scroller.scrollLeft += step;
    const now = await frame();
    gaps.push(now - before);
    before = now;
  }
  return gaps;
}"""

# Milliseconds from a move of the pointer until the detail area names the cell, frame by frame.
HOVER = """async ([root, moves]) => {
  const cells = root.querySelector('[data-hs=cells]');
  const view = root.querySelector('[data-hs=scroller]').getBoundingClientRect();
  const place = () => root.querySelector('[data-hs=detail-cell]').textContent;
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const took = [];
  for (let i = 0; i < moves; i++) {
    await frame();
    const before = place();
    const at = { clientX: view.left + 80 + (i % 12) * 60, clientY: view.top + 30 + (i % 20) * 14, bubbles: true };
    const start = performance.now();
    cells.dispatchEvent(new PointerEvent('pointermove', at));
    while (place() === before) {
      await Promise.race([frame(), new Promise((resolve) => setTimeout(resolve, 1))]);
      if (performance.now() - start > 500) break;
    }
    took.push(performance.now() - start);
  }
  return took;
}"""


def main() -> None:
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()[0], **measure()}
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "lens_frames.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"Measured on {report['machine']}, load {report['load']:.1f} at the start; {RUNS} runs, ms.\n")
    print(f"{'':44} {'median':>8} {'p95':>8} {'most':>8}")
    for name, times in report.items():
        if isinstance(times, dict):
            print(f"{name:44} {times['median']:8.1f} {times['p95']:8.1f} {times['most']:8.1f}")
    print(f"\nWritten: {out / 'lens_frames.json'}")


def measure() -> dict[str, Any]:
    with labs() as open_lab:
        lab = open_lab("bench", SETUP)
        found = in_view(lab)
    return {name: summed(runs) for name, runs in found.items()}


def in_view(lab: Lab) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {
        "a frame of nothing": [],
        "between frames, columns on the way": [],
        "between frames, columns there": [],
        "all work a frame, columns on the way": [],
        "all work a frame, columns there": [],
        "scripts' work a frame, columns on the way": [],
        "scripts' work a frame, columns there": [],
        "hover to the cell's words": [],
    }
    cdp = lab.page.context.new_cdp_session(lab.page)
    cdp.send("Performance.enable")
    for _ in range(RUNS):
        lab.command("notebook:clear-all-cell-outputs")
        root = lab.show("grid = hs.LogitLensGrid(deep, text)\ngrid.wait()\ngrid").element_handle()
        root.wait_for_selector("[data-hs=cells]")
        idle, _ = scrolled(lab.page, cdp, root, 0, 0)
        found["a frame of nothing"].append(idle)
        for name in ("columns on the way", "columns there"):
            gaps, work = scrolled(lab.page, cdp, root, 3000, STEP)
            found[f"between frames, {name}"].append(gaps)
            for part, time in work.items():
                found[f"{part} a frame, {name}"].append([time])
        found["hover to the cell's words"].append(lab.page.evaluate(HOVER, [root, 60]))
    return found


def scrolled(
    page: Page, cdp: CDPSession, root: ElementHandle, start: int, step: int
) -> tuple[list[float], dict[str, float]]:
    """Times between frames, and how long the page's thread worked for one."""
    before = working(cdp)
    gaps = page.evaluate(SCROLL, [root, start, step, FRAMES])
    return gaps, {part: (time - before[part]) / (FRAMES + 20) for part, time in working(cdp).items()}


def working(cdp: CDPSession) -> dict[str, float]:
    """Milliseconds that the page's thread has worked so far."""
    metrics = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return {"all work": 1000 * metrics["TaskDuration"], "scripts' work": 1000 * metrics["ScriptDuration"]}


def summed(runs: list[list[float]]) -> dict[str, Any]:
    """Over all runs; `medians` tells how noisy the machine was."""
    times = sorted(time for run in runs for time in run)
    return {
        "median": statistics.median(times),
        "p95": times[min(len(times) - 1, int(0.95 * len(times)))],
        "most": times[-1],
        "medians": [statistics.median(run) for run in runs],
    }


if __name__ == "__main__":
    main()
