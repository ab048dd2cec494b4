"""How large reports are, and how soon they answer. `make bench` runs it.

- A full workbench, the editor and all four views, on the embedded model; and on SmolLM2-135M, a pair of 15 tokens with
  its 30 layers and 270 heads.
- Attention of GPT-2 small's shape with random weights, 144 heads at 200 tokens; random patterns compress worst.
- Each page is opened from disk in headless Chromium without a network, in a window of its own: milliseconds from the
  start of the navigation until its first view has answered a click, medians.

Prints a table and writes build/bench/reports.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from playwright.sync_api import Browser, sync_playwright

import hookscope as hs
import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from activation_patching import gpt2_small

sys.path.insert(0, str(ROOT / "tests/browser"))  # before tests/python, which that adds

from conftest import FLAGS
from find_chromium import find_chromium

from hookscope.workbench import KINDS

RUNS = 5
CAPITALS = hs.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
DRINK = hs.PromptPair(
    clean="When Mary and John went to the store, John gave a drink to",
    corrupt="When Mary and John went to the store, Mary gave a drink to",
    clean_answer=" Mary",
    corrupt_answer=" John",
)
# Clicks on the first grid of cells as soon as there is one, and notes when the page has answered: a cell is pinned, or
# a head has been opened or closed.
CLICK = """() => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const answered = () => document.querySelectorAll('[data-hs=pin], [data-hs=opened-head]').length;
  (async () => {
    let cells;
    while (!cells?.getBoundingClientRect().height) {
      await frame();
      cells = document.querySelector('.hs-root:not([data-hs=prompt-pair-editor]) [data-hs=cells]');
    }
    const before = answered();
    while (answered() === before) {
      const { right, bottom } = cells.getBoundingClientRect();
      cells.dispatchEvent(new MouseEvent('click', { clientX: right - 10, clientY: bottom - 10, bubbles: true }));
      await frame();
      await frame();
    }
    window.answered = performance.now();
  })();
}"""


def main() -> None:
    torch.set_num_threads(2)
    cases: dict[str, tuple[Callable[[], hs.Report], float]] = {
        "embedded model, full workbench": (lambda: workbench(hs.load_model(), CAPITALS), 0.4),
        "SmolLM2, full workbench, 15 tokens": (lambda: workbench(hs.load_model("smollm2-135m"), DRINK), 2.0),
        "attention, 144 heads at 200 tokens": (attention, 8.0),
    }
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    report: dict[str, Any] = {"machine": machine}
    print(f"{'report':38} {'MB':>6} {'wanted':>7} {'answers a click after':>24}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for name, (make, wanted) in cases.items():
            path = make().save(Path(folder) / "report.html")
            size, times = path.stat().st_size / 1e6, [opened(browser, path) for _ in range(RUNS)]
            report[name] = {"MB": size, "ms": statistics.median(times), "slowest_ms": max(times)}
            print(
                f"{name:38} {size:6.2f} {wanted:7.1f} {statistics.median(times):9.0f} ({max(times):.0f}) ms", flush=True
            )
        browser.close()
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "reports.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nMeasured on {machine}. Written: {out / 'reports.json'}")


def workbench(model: ib.LanguageModel, pair: hs.PromptPair) -> hs.Report:
    bench = hs.Workbench(model, pair, views=list(KINDS))
    bench.wait()
    return bench.report()


def attention() -> hs.Report:
    text = ("The quick brown fox jumps over the lazy dog. " * 5)[:199]  # a token a letter, after the first
    return hs.Report([hs.AttentionViewer(ib.load_model(gpt2_small("cpu")), text)])


def opened(browser: Browser, path: Path) -> float:
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.add_init_script(f"({CLICK})()")
    page.goto(path.as_uri())
    page.wait_for_function("() => window.answered")
    answered = page.evaluate("window.answered")
    context.close()
    return answered


if __name__ == "__main__":
    main()
