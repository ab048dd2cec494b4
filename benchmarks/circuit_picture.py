"""Whether a large circuit moves and answers the pointer smoothly: 500 nodes and 5,000 edges, headless Chromium.

A saved page has a synthetic graph of 24 layers of 20 heads, with MLPs, of which the 5,000 largest edges are drawn. The
mouse moves over it as a person's would, one move a frame:

- hovering from node to node, over edges between: the paths through each node stand out;
- the same, zoomed in;
- dragging the zoomed picture.

Measured are the times between frames, the share of frames on time (16.7 ms, with a tenth of tolerance since the clock
ticks unevenly), and how long the page works for a frame, all of its thread and in scripts alone, as Chromium counts.
The peer is what tutorials of d3 show: the same nodes and curves as SVG elements, of which a hover restyles those of the
node, and a drag moves their group. Headless Chromium paints without a GPU, so all of this is slower than on a desktop.

Prints a table and writes build/bench/circuit_picture.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import CDPSession, Page, sync_playwright

import hookscope as hs

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/browser"), str(ROOT / "tests/python")]

from conftest import FLAGS
from find_chromium import find_chromium
from large_graph import EDGES, large_graph

RUNS, FRAMES = 2, 100
ON_TIME = 1000 / 60 * 1.1

RECORD = """() => {
  window.gaps = [];
  let before = performance.now();
  const tick = (now) => { window.gaps.push(now - before); before = now; window.frame = requestAnimationFrame(tick); };
  window.frame = requestAnimationFrame((now) => { before = now; window.frame = requestAnimationFrame(tick); });
}"""
STOP = "() => { cancelAnimationFrame(window.frame); return window.gaps; }"

# The nodes and curves of the picture as elements of SVG, with a listener on each node.
PEER = """([nodes, edges]) => {
  const at = Object.fromEntries(nodes.map((node) => [node.name, node]));
  const make = (name, attributes) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = make('svg', { width: 900, height: 720 });
  const group = svg.appendChild(make('g', {}));
  const paths = edges.map(({ from, to, width, color }) => {
    const [a, b] = [at[from], at[to]];
    const pull = (a.y - b.y) * 0.45;
    const d = `M${a.x} ${a.y}C${a.x} ${a.y - pull} ${b.x} ${b.y + pull} ${b.x} ${b.y}`;
    const path = make('path', { d, fill: 'none', stroke: color, 'stroke-width': width, opacity: 0.5 });
    path.ends = [from, to];
    return group.appendChild(path);
  });
  for (const { name, x, y } of nodes) {
    const node = group.appendChild(make('g', { transform: `translate(${x - 12} ${y - 7})` }));
    node.appendChild(make('rect', { width: 24, height: 14, rx: 3, fill: 'white', stroke: 'gray' }));
    node.addEventListener('mouseenter', () => {
      for (const path of paths) path.setAttribute('opacity', path.ends.includes(name) ? 0.9 : 0.1);
    });
    node.addEventListener('mouseleave', () => { for (const path of paths) path.setAttribute('opacity', 0.5); });
  }
  let [x, y, from] = [0, 0, null];
  svg.addEventListener('mousedown', (event) => { from = [event.clientX - x, event.clientY - y]; });
  svg.addEventListener('mousemove', (event) => {
    if (!from) return;
    [x, y] = [event.clientX - from[0], event.clientY - from[1]];
    group.setAttribute('transform', `translate(${x} ${y}) scale(2)`);
  });
  svg.addEventListener('mouseup', () => { from = null; });
  document.body.replaceChildren(svg);
}"""
NODES = """() => {
  const { left, top } = document.querySelector('.hs-circuit').getBoundingClientRect();
  return [...document.querySelectorAll('[data-node]')].map((node) => {
    const box = node.getBoundingClientRect();
    return { name: node.dataset.node, x: box.x + box.width / 2 - left, y: box.y + box.height / 2 - top };
  });
}"""


def main() -> None:
    load = os.getloadavg()[0]
    found = measure()
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": load, **found}
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "circuit_picture.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"{found['nodes']} nodes, {found['edges']} edges; {report['machine']}, load {load:.1f}; {RUNS} runs, ms.\n")
    print(f"{'':34}{'frame':>8}{'p95':>8}{'on time':>9}{'work':>8}{'scripts':>9}")
    for name, row in found["rows"].items():
        print(
            f"{name:34}{row['median']:8.1f}{row['p95']:8.1f}{row['on_time']:9.0%}"
            f"{row['work']:8.1f}{row['scripts']:9.1f}"
        )
    for what in ("hovering", "dragging"):
        ratio = found["rows"][f"{what}, as SVG"]["work"] / found["rows"][what]["work"]
        print(f"\nThe work of {what} as SVG is {ratio:.1f} times ours.", end="")
    print(f"\nWritten: {out / 'circuit_picture.json'}")


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        saved = hs.CircuitGraph(result=large_graph(), edges=EDGES).save(Path(directory) / "circuit.html")
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(RUNS):
            page.goto(saved.as_uri())
            picture = page.locator('[data-hs="circuit"]')
            picture.wait_for()
            nodes = page.evaluate(NODES)
            drawn = int(picture.get_attribute("data-edges") or 0)
            box = page.locator(".hs-circuit").bounding_box()
            assert box
            corner = box["x"], box["y"]
            add = lambda name, moves, page=page: runs.setdefault(name, []).append(record(page, cdp, moves))  # noqa: E731
            page.mouse.move(0, 0)
            add("nothing", resting(page))
            add("hovering", over(nodes, corner))
            for _ in range(2):
                page.locator('[data-hs="zoom-in"]').click()
            page.wait_for_timeout(300)
            add("hovering, zoomed in", across(box))
            page.mouse.move(*empty_ground(page, box))
            page.mouse.down()
            add("dragging", around(box))
            page.mouse.up()
            page.goto("about:blank")
            page.evaluate(PEER, [nodes, peer_edges(nodes)])
            add("hovering, as SVG", over(nodes, (8, 8)))
            page.mouse.move(450, 360)
            page.mouse.down()
            add("dragging, as SVG", around({"x": 8, "y": 8, "width": 900, "height": 720}))
            page.mouse.up()
        browser.close()
    return {"nodes": len(nodes), "edges": drawn, "rows": {name: summed(many) for name, many in runs.items()}}


def peer_edges(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    graph, known = large_graph().reduced(EDGES), {node["name"] for node in nodes}
    table = graph.top_edges(EDGES)
    most = float(abs(table["score"]).max())
    rows = zip(table["sender"], table["receiver"], table["score"])
    edges = [(sender, receiver.split("<")[0], float(score)) for sender, receiver, score in rows]
    return [
        {
            "from": sender,
            "to": receiver,
            "width": max(0.7, 7 * abs(score) / most),
            "color": "#1667b7" if score > 0 else "#b5540e",
        }
        for sender, receiver, score in edges
        if {sender, receiver} <= known
    ]


Moves = Iterator[tuple[float, float]]


def resting(page: Page) -> Moves:
    for _ in range(FRAMES):
        yield 0, 0


def over(nodes: list[dict[str, Any]], corner: tuple[float, float]) -> Moves:
    """From node to node, with two stops between."""
    order = np.random.default_rng(1).permutation(len(nodes))
    stops = [(corner[0] + nodes[i]["x"], corner[1] + nodes[i]["y"]) for i in order]
    steps = (
        (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)
        for a, b in pairwise(stops)
        for part in (0, 1 / 3, 2 / 3)
    )
    return islice(steps, FRAMES)


def across(box: Any) -> Moves:
    """Over the view in lines, 17 pixels at a time."""
    for i in range(FRAMES):
        yield box["x"] + 20 + (17 * i) % (box["width"] - 120), box["y"] + 60 + (29 * i) % (box["height"] - 120)


def around(box: Any) -> Moves:
    """In a circle, as a hand that drags."""
    for i in range(FRAMES):
        angle = 2 * np.pi * i / 50
        yield box["x"] + 300 + 120 * np.cos(angle), box["y"] + 300 + 120 * np.sin(angle)


def empty_ground(page: Page, box: Any) -> tuple[float, float]:
    """A point of the view without a button."""
    free = """([x, y]) => !document.elementFromPoint(x, y).closest('button')"""
    tries = ((box["x"] + 300 + 7 * i, box["y"] + 300 + 3 * i) for i in range(100))
    return next(point for point in tries if page.evaluate(free, point))


def record(page: Page, cdp: CDPSession, moves: Moves) -> dict[str, Any]:
    """Times between frames while the mouse moves, and the work of the page's thread for each."""
    page.evaluate(RECORD)
    before = working(cdp)
    wait: Callable[[], Any] = lambda: page.evaluate("() => new Promise(requestAnimationFrame)")  # noqa: E731
    for x, y in moves:
        page.mouse.move(x, y) if (x, y) != (0, 0) else wait()
    after = working(cdp)
    gaps = page.evaluate(STOP)
    return {"gaps": gaps, **{name: (after[name] - before[name]) / max(1, len(gaps)) for name in after}}


def working(cdp: CDPSession) -> dict[str, float]:
    """Milliseconds that the page's thread has worked so far."""
    metrics = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return {"work": 1000 * metrics["TaskDuration"], "scripts": 1000 * metrics["ScriptDuration"]}


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    gaps = sorted(gap for run in runs for gap in run["gaps"])
    return {
        "median": statistics.median(gaps),
        "p95": gaps[min(len(gaps) - 1, int(0.95 * len(gaps)))],
        "on_time": sum(gap <= ON_TIME for gap in gaps) / len(gaps),
        "work": statistics.median(run["work"] for run in runs),
        "scripts": statistics.median(run["scripts"] for run in runs),
    }


if __name__ == "__main__":
    main()
