"""The widgets by their parts, and the few gestures that take more than a line.

An expectation after a gesture has to fail in the state before the gesture, or a test on a slow machine goes on with the
old state. So each test begins with a new widget, points at cells with `point_at`, and first expects what only the new
state has: a value, a count, an attribute that differed before. A status that was "done" before proves nothing.
"""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect


def part(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-hs="{name}"]')


def cell(view: Locator, index: int) -> Locator:
    """A cell of the grid in words, by its flat index."""
    return view.locator(f'[data-hs="cell"][data-cell="{index}"]')


def expect_status(view: Locator, status: str) -> None:
    expect(part(view, "state")).to_have_attribute("data-status", status)


def place_of(view: Locator, row: int, column: int, grid: str = "grid") -> dict[str, float]:
    """The middle of a cell within the painted cells; row 0 is the lowest."""
    rows, columns = (int(part(view, grid).get_attribute(f"aria-{axis}count") or 0) for axis in ("row", "col"))
    box = part(view, "cells").bounding_box()
    assert box
    return {"x": (column + 0.5) * box["width"] / columns, "y": (rows - row - 0.5) * box["height"] / rows}


def place_in(view: Locator, row: int, column: int) -> dict[str, float]:
    """The same where the painted cells are themselves the grid, as those of the lens are."""
    return place_of(view, row, column, "cells")


def point_at(view: Locator, place: dict[str, float]) -> None:
    """Point at a painted cell, after pointing at none: what the view reads out from now on is about this cell."""
    view.page.mouse.move(0, 0)
    expect(part(view, "active")).to_have_count(0)
    part(view, "cells").hover(position=place)
    expect(part(view, "active")).to_have_count(1)


def choose(view: Locator, menu: str, label: str) -> None:
    """Choose a menu's entry by what it begins with."""
    select = part(view, menu)
    entry = select.locator("option", has_text=re.compile(f"^{re.escape(label)}")).first
    select.select_option(entry.get_attribute("value"))


def enter(view: Locator, field: str, text: str) -> None:
    """Type into a field, and press Enter."""
    part(view, field).fill(text)
    part(view, field).press("Enter")


def tab_to(view: Locator, name: str) -> None:
    """Press Tab until a part of the view has the focus."""
    keyboard = view.page.keyboard
    for _ in range(20):
        if part(view, name).evaluate("(element) => element === document.activeElement"):
            return
        keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name}")


# What every host has to show: cells of a notebook that begins with `SETUP`, and what has to work in what they show.
HEATMAP = "heatmap = hs.PatchHeatmap(model, pair)\nheatmap"
BENCH = "bench = hs.Workbench(model, pair)\nbench"
BROKEN = """def broken(logits):
    raise ValueError("this metric is broken on purpose")

hs.PatchHeatmap(model, pair, metric=broken)"""


def expect_sweeps_and_pins(heatmap: Locator) -> None:
    """Of a new heatmap: another activation is swept, and a click pins."""
    expect_status(heatmap, "done")
    choose(heatmap, "activation", "z, by head —")
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", "4")
    expect(part(heatmap, "cell").filter(has_text="not computed yet")).to_have_count(0)
    expect_status(heatmap, "done")
    part(heatmap, "cells").click(position=place_of(heatmap, 3, 1))
    expect(part(heatmap, "pin")).to_have_count(1)
    expect(part(heatmap, "detail-cell")).to_contain_text("layer 3")


def expect_linked_views(bench: Locator) -> None:
    """Of a new workbench: a click in its heatmap pins in its lens, and the card tells what the place does."""
    heatmap, lens = part(bench, "patch-heatmap"), part(bench, "logit-lens-grid")
    for view in (heatmap, lens):
        expect_status(view, "done")
    column = int(part(heatmap, "grid").get_attribute("aria-colcount") or 0) - 1
    part(heatmap, "cells").first.click(position=place_of(heatmap, 2, column))
    expect(part(lens, "detail-cell")).to_contain_text("layer 2")
    expect(part(bench, "card")).to_contain_text("patched 0.84")


def expect_the_error(broken: Locator) -> None:
    expect(part(broken, "error")).to_contain_text(
        "The metric broken failed: ValueError: this metric is broken on purpose"
    )
