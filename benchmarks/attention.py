"""Attention against CircuitsVis, side by side in one headless Chromium, in a real JupyterLab. `make bench` runs it.

The same arrays go through the same function of both packages, `attention.attention_heads`: CircuitsVis's own, without
its look for a network, and the drop-in of `hookscope.circuitsvis`. Measured are

- bytes from the kernel to the browser until the view is complete: what the kernel's session puts on the wire;
- from the click that runs the cell to the first canvas with something on it, and to the last one;
- hovering over an opened head of 500 tokens: the time between frames while the pointer moves in each of them, which is
  16.7 ms where each is on time, and how long the page's main thread works for a frame; on a plain and on a dense
  screen, since without a GPU the browser paints every pixel on the same two cores;
- in a process without a browser: GPT-2 small's shape with random weights, 200 tokens, from a prompt to what the view is
  sent, against TransformerLens's `run_with_cache` of the patterns alone.

CircuitsVis's 144 heads at 500 tokens are half a billion characters of HTML. Showing them here ended the connection to
the browser, so what is recorded is how long the text is, and how long it takes to make.

Prints a table and writes build/bench/attention.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"


ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

from lab import Lab
from labs import labs

RUNS = 5
FRAMES = 240
PATIENCE = 120  # seconds for a view that may never come

SETUP = """
import circuitsvis.attention
import numpy as np
import hookscope.circuitsvis as drop_in
from hookscope.circuitsvis.offline import offline

def causal(heads, length):
    scores = np.random.default_rng(0).normal(size=(heads, length, length)).astype(np.float32) * 2
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32), [f" t{i % 40}" for i in range(length)]

session, sent = get_ipython().kernel.session, [0]
serialize = session.serialize
def counted(message, ident=None):
    frames = serialize(message, ident)
    sent[0] += sum(map(len, frames))
    return frames
session.serialize = counted
"""
OURS = "sent[0] = 0\ndrop_in.attention.attention_heads(attention, tokens)"
THEIRS = "sent[0] = 0\noffline(circuitsvis.attention.attention_heads(attention, tokens))"

# Runs code in a new cell; milliseconds until the first canvas in its output has something on it, and until as many as
# are wanted have.
PAINT = """([code, id, wanted, seconds]) => void (async () => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  await jupyterapp.commands.execute('notebook:insert-cell-below');
  notebook.activeCell.node.id = id;
  notebook.activeCell.model.sharedModel.setSource(code);
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const small = new OffscreenCanvas(64, 64).getContext('2d', { willReadFrequently: true });
  const drawn = (canvas) => {
    if (!canvas.width || !canvas.height) return false;
    small.clearRect(0, 0, 64, 64);
    small.drawImage(canvas, 0, 0, 64, 64);
    return small.getImageData(0, 0, 64, 64).data.some((value, i) => i % 4 === 3 && value > 0);
  };
  await frame();
  window.painted = null;
  const start = performance.now();
  jupyterapp.commands.execute('notebook:run-cell');
  let first = null;
  while (performance.now() - start < 1000 * seconds) {
    await frame();
    const painted = [...document.querySelectorAll(`#${id} .jp-OutputArea canvas`)].filter(drawn).length;
    const now = performance.now() - start;
    if (painted) first ??= now;
    if (painted >= wanted) break;
  }
  window.painted = [first, performance.now() - start];
})()"""

HOVER = """async ([root, moves]) => {
  const matrix = root.querySelector('[data-hs=matrix] canvas');
  matrix.scrollIntoView({ block: 'center' });
  const box = matrix.getBoundingClientRect();
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const gaps = [];
  let [said, changed] = ['', 0];
  let before = await frame();
  for (let i = 0; i < moves; i++) {
    const [x, y] = [((i * 37) % 100) / 101, 0.3 + 0.69 * (((i * 53) % 100) / 100)];
    const at = { clientX: box.left + x * y * box.width, clientY: box.top + y * box.height, bubbles: true };
    matrix.dispatchEvent(new PointerEvent('pointermove', at));
    const now = await frame();
    gaps.push(now - before);
    before = now;
    const words = root.querySelector('[data-hs=cell-said]').textContent;
    changed += words !== said;
    said = words;
  }
  if (changed < moves / 3) throw new Error(`Only ${changed} of ${moves} moves were read out.`);
  return gaps;
}"""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--only", choices=["kernel", "too_large"], help="measure this alone, and print it")
    if only := options.parse_args().only:
        return print(json.dumps({"kernel": kernel, "too_large": too_large}[only]()))
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()[0]}
    report.update(**in_a_process("kernel"), **in_a_browser(), too_large=in_a_process("too_large"))
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "attention.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    tell(report)
    print(f"\nWritten: {out / 'attention.json'}")


def in_a_process(name: str) -> dict[str, float]:
    """What this program measures in a process of its own."""
    command = [sys.executable, __file__, "--only", name]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def kernel() -> dict[str, float]:
    """Seconds from a prompt to the patterns, to all that a view is sent, and of the peer; medians of runs in turn."""
    import torch
    import transformers

    sys.path.insert(0, str(ROOT / "tests/python"))
    import hookscope as hs
    import interp_backend as ib
    from tiny_models import boot

    torch.set_num_threads(2)
    torch.manual_seed(0)
    raw = boot(transformers.GPT2LMHeadModel(transformers.GPT2Config()), "gpt2-shape")
    model, text = ib.load_model(raw), ("The quick brown fox jumps over the lazy dog. " * 5)[:199]
    ids = raw.to_tokens(text)

    def peer() -> None:
        with torch.no_grad():
            raw.run_with_cache(ids, names_filter=lambda name: name.endswith("hook_pattern"))

    def view() -> None:
        viewer = hs.AttentionViewer(model, text)
        sent = threading.Event()  # what the heads do on random tokens comes later, and is not waited for
        viewer.observe(lambda _: sent.set(), "scores")
        if not viewer.scores:
            sent.wait()
        json.dumps(viewer.get_state(["result", "thumbs", "scores"]))
        viewer.close()

    def patterns() -> None:
        ib.attention_patterns(model, text)

    times: dict[str, list[float]] = {"peer": [], "view": [], "patterns": []}
    for run in range(-1, 9):  # the first is not counted
        for name, work in (("peer", peer), ("view", view), ("patterns", patterns)):
            began = time.perf_counter()
            work()
            if run >= 0:
                times[name].append(time.perf_counter() - began)
    return {f"kernel_{name}": statistics.median(part) for name, part in times.items()}


def in_a_browser() -> dict[str, Any]:
    with labs() as open_lab:
        lab = open_lab("bench", SETUP)
        report = {
            "small": in_turn(lab, 12, 128),
            "bytes": on_the_wire(lab, 144, 200),
            "large": painted(lab, OURS, 144, 500, RUNS),
            "many": painted(lab, OURS, 2304, 100, RUNS),
            "hover": {"dense": hovered(lab), "plain": hovered(open_lab("hover", SETUP, density=1))},
        }
    return report


def in_turn(lab: Lab, heads: int, length: int) -> dict[str, Any]:
    """Both packages, one run of each after the other."""
    found: dict[str, list[Any]] = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        for name, code in (("ours", OURS), ("theirs", THEIRS)):
            found[name].append(painted(lab, code, heads, length, 1))
    return {name: {key: statistics.median(run[key] for run in part) for key in part[0]} for name, part in found.items()}


def painted(lab: Lab, code: str, heads: int, length: int, runs: int) -> dict[str, float]:
    """Milliseconds to the first canvas and to the last, and bytes; medians."""
    lab.python(f"attention, tokens = causal({heads}, {length})")
    found = []
    for _ in range(runs):
        lab.command("notebook:clear-all-cell-outputs")
        wanted = 2 if code is OURS else heads + 1  # one for all heads, or one each; and one for that which is large
        id = f"paint-{time.time_ns()}"
        first, last = paint(lab, [code, id, wanted])
        found.append({"first": first, "last": last, "bytes": int(lab.python("print(sent[0])"))})
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def paint(lab: Lab, asked: list[Any]) -> list[float]:
    """Milliseconds to the first canvas and to all that are wanted; a page that hangs is waited for in vain."""
    lab.page.evaluate(PAINT, [*asked, PATIENCE])
    return lab.page.wait_for_function("() => window.painted", timeout=1000 * PATIENCE).json_value()


def on_the_wire(lab: Lab, heads: int, length: int) -> dict[str, dict[str, int]]:
    """Bytes of the complete view; of CircuitsVis, which draws so many for minutes, those of its one message."""
    ours = painted(lab, OURS, heads, length, 1)["bytes"]
    lab.python(
        f"drawn = {THEIRS.splitlines()[1]}\ndata, metadata = get_ipython().display_formatter.format(drawn)\n"
        "content = {'data': data, 'metadata': metadata, 'transient': {}}\nsent[0] = 0\n"
        "_ = session.serialize(session.msg('display_data', content))\nbytes_of_theirs = sent[0]\ndel drawn, data"
    )
    return {"ours": {"bytes": int(ours)}, "theirs": {"bytes": int(lab.python("print(bytes_of_theirs)"))}}


def hovered(lab: Lab) -> dict[str, float]:
    """Milliseconds between frames, and of work a frame, while the pointer moves over an opened head of 500 tokens."""
    lab.python("attention, tokens = causal(144, 500)")
    lab.command("notebook:clear-all-cell-outputs")
    root = lab.show("drop_in.attention.attention_heads(attention, tokens)").element_handle()
    root.wait_for_selector("[data-hs=matrix] canvas")
    devtools = lab.page.context.new_cdp_session(lab.page)
    devtools.send("Performance.enable")

    def worked() -> float:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return next(1e3 * metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    gaps, work = [], []
    for _ in range(RUNS):
        before = worked()
        gaps += lab.page.evaluate(HOVER, [root, FRAMES])[20:]
        work.append((worked() - before) / FRAMES)
    gaps.sort()
    return {
        "median": statistics.median(gaps),
        "p95": gaps[int(0.95 * len(gaps))],
        "most": gaps[-1],
        "work": statistics.median(work),
    }


def too_large() -> dict[str, float]:
    """How much text CircuitsVis makes of 144 heads at 500 tokens, and how long that takes."""
    import circuitsvis.attention
    import numpy as np

    scores = np.random.default_rng(0).normal(size=(144, 500, 500)).astype(np.float32)
    weights = np.exp(np.where(np.tri(500, dtype=bool), scores, -np.inf))
    weights /= weights.sum(-1, keepdims=True)
    began = time.perf_counter()
    drawn = circuitsvis.attention.attention_heads(weights, [f" t{i % 40}" for i in range(500)])
    return {"seconds": time.perf_counter() - began, "characters": len(drawn.local_src)}


def tell(report: dict[str, Any]) -> None:
    print(f"Measured on {report['machine']}, load {report['load']:.1f} at the start; medians.\n")
    small, wire = report["small"], report["bytes"]
    ours, theirs = (wire[name]["bytes"] / 1e6 for name in ("ours", "theirs"))
    print(f"144 heads at 200 tokens: {ours:.2f} MB against {theirs:.1f} MB, 1/{theirs / ours:.0f} (wanted 1/15)")
    first = [small[name]["first"] for name in ("ours", "theirs")]
    print(
        f"12 heads at 128 tokens, first paint: {first[0]:.0f} ms against {first[1]:.0f} ms, "
        f"{first[0] / first[1]:.2f} (wanted 0.33)"
    )
    large, text = report["large"], report["too_large"]
    print(f"144 heads at 500 tokens, first paint: {large['first']:.0f} ms, all {large['last']:.0f} ms (wanted 1000)")
    print(f"  CircuitsVis: {text['characters'] / 1e6:.0f} million characters after {text['seconds']:.0f} s, not shown")
    print(f"2,304 heads at 100 tokens, first paint: {report['many']['first']:.0f} ms")
    for screen, hover in report["hover"].items():
        print(
            f"hover at 500 tokens, {screen} screen, between frames: median {hover['median']:.1f} ms, 95th percentile "
            f"{hover['p95']:.1f}, most {hover['most']:.1f} (wanted 16.7); {hover['work']:.1f} ms of work a frame"
        )
    for name, what in (("patterns", "the patterns"), ("view", "all that the view is sent")):
        mine, peer = (1e3 * report[f"kernel_{whose}"] for whose in (name, "peer"))
        print(f"200 tokens, {what}: {mine:.0f} ms, {mine / peer:.2f} of run_with_cache's {peer:.0f} (wanted 1.2)")


if __name__ == "__main__":
    main()
