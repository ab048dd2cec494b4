"""Make the pictures of the README from the real widgets, in JupyterLab in headless Chromium: `make pictures`.

`gesture.webp` is a recording: a prompt is typed, the map fills again, a cell is pinned. The others are single views.
"""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from PIL import Image
from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
sys.path.insert(0, str(ROOT / "tests/browser"))

from conftest import SETUP
from lab import Lab
from labs import labs

MOST_BYTES = 2_000_000
REAL = """
import hookscope as hs
model = hs.load_model("smollm2-135m")
pair = hs.PromptPair(clean="The capital of Norway is", corrupt="The capital of Sweden is",
                     clean_answer=" Oslo", corrupt_answer=" Stockholm")
countries = "The capital of Norway is Oslo. The capital of Sweden is Stockholm. The capital of Italy is Rome."
repeated = "The cat sat on the mat and the dog lay on the rug. The cat sat on the mat and the dog lay on the"
"""
VIEWS = {
    "heatmap": "hs.PatchHeatmap(model, pair)",
    "lens": "hs.LogitLensGrid(model, pair)",
    "attention": "hs.AttentionViewer(model, repeated, opened=[(17, 3), (2, 1)])",
    "editor": "hs.PromptPairEditor(model, pair)",
    "circuit": "hs.CircuitGraph(model, pair)",
    "features": "hs.FeatureGraph(hs.load_model(), pair, texts=countries)",  # the model that comes with transcoders
}
# What is done in a view before its picture is taken.
GESTURES = {
    "features": "those = (one for one in features.result.nodes if one.kind == 'feature' and one.layer == 2)\n"
    "features.pinned = max(those, key=lambda one: one.influence).id"
}
POINTER = """() => {
  const dot = document.createElement('div');
  dot.style.cssText = 'position:fixed;z-index:99999;width:14px;height:14px;margin:-7px;border-radius:50%;' +
    'background:rgba(200,60,60,.75);pointer-events:none;left:-50px';
  document.body.append(dot);
  document.addEventListener('mousemove', (event) => {
    dot.style.left = `${event.clientX}px`;
    dot.style.top = `${event.clientY}px`;
  }, true);
}"""


class Film:
    """Frames of a part of a page, each with how long it is shown."""

    def __init__(self, page: Page, views: list[Locator]):
        boxes = [view.bounding_box() for view in views]
        left, top = boxes[0]["x"], boxes[0]["y"]
        bottom = boxes[-1]["y"] + boxes[-1]["height"] + 80  # the readout of a cell is taller than an empty one
        self.page = page
        self.clip = {"x": left, "y": top, "width": boxes[0]["width"], "height": bottom - top}
        self.frames: list[tuple[Image.Image, int]] = []

    def take(self, milliseconds: int) -> None:
        shot = Image.open(io.BytesIO(self.page.screenshot(clip=self.clip))).convert("RGB")
        if self.frames and shot.tobytes() == self.frames[-1][0].tobytes():
            self.frames[-1] = (shot, self.frames[-1][1] + milliseconds)
        else:
            self.frames.append((shot, milliseconds))

    def save(self, path: Path) -> None:
        images, durations = zip(*self.frames)
        for quality in (85, 75, 65, 50):
            images[0].save(
                path, save_all=True, append_images=images[1:], duration=durations, loop=0, quality=quality, method=6
            )
            if path.stat().st_size < MOST_BYTES:
                return
        raise RuntimeError(f"{path.name} is larger than the {MOST_BYTES} bytes that a README may load.")


def gesture(lab: Lab) -> None:
    """Type another country and its capital, let the map fill, and pin the cell where the country is read."""
    page = lab.page
    page.set_viewport_size({"width": 1360, "height": 1300})
    both = lab.run(
        "import ipywidgets\neditor = hs.PromptPairEditor(model, pair)\nheatmap = hs.PatchHeatmap(model, editor)\n"
        "ipywidgets.VBox([editor, heatmap])"
    )
    views = [both.locator(".hs-root").nth(i) for i in range(2)]
    views[1].wait_for()
    lab.python("heatmap.wait()")
    both.locator(".jp-Cell-inputWrapper").evaluate("cell => { cell.style.display = 'none'; }")
    time.sleep(1)
    page.evaluate(POINTER)
    film = Film(page, views)
    film.take(1200)
    for name, word in (("input-clean", "Norway"), ("input-clean_answer", None)):
        field = views[0].locator(f"[data-hs={name}]")
        box = field.bounding_box()
        page.mouse.move(box["x"] + 120, box["y"] + 14, steps=4)
        field.click(position={"x": 120, "y": 14})
        film.take(300)
        field.evaluate(
            """(field, word) => {
              const from = word ? field.value.indexOf(word) : 0;
              field.setSelectionRange(from, word ? from + word.length : field.value.length);
            }""",
            word,
        )
        film.take(300)
        for letter in "Poland" if word else " Warsaw":
            page.keyboard.type(letter)
            time.sleep(0.05)
            film.take(130)
    for _ in range(12):
        time.sleep(0.1)
        film.take(110)
    lab.python("heatmap.wait()")
    time.sleep(0.5)
    film.take(900)
    grid = views[1].locator("[data-hs=cells]").bounding_box()
    for at in (0.3, 0.5, 0.7):
        page.mouse.move(grid["x"] + at * grid["width"], grid["y"] + 0.6 * grid["height"])
        time.sleep(0.15)
        film.take(350)
    page.mouse.move(grid["x"] + 0.74 * grid["width"], grid["y"] + 0.4 * grid["height"])
    time.sleep(0.2)
    film.take(500)
    page.mouse.down()
    page.mouse.up()
    time.sleep(0.6)
    film.take(2600)
    film.save(IMAGES / "gesture.webp")


def main() -> None:
    with labs() as open_lab:
        lab = open_lab("gesture", SETUP, density=1)
        gesture(lab)
        lab.page.close()
        lab = open_lab("views", REAL, density=1)
        lab.page.set_viewport_size({"width": 1180, "height": 1200})
        for name, code in VIEWS.items():
            view = lab.show(f"{name} = {code}\n{name}")
            lab.python(f"{name}.wait()\n{GESTURES.get(name, '')}\n{name}.wait()")
            time.sleep(1)
            view.screenshot(path=IMAGES / f"{name}.png")
            lab.clear()


if __name__ == "__main__":
    main()
