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
