"""The attention viewer's gestures and readouts, for the tests of a notebook and of a saved page."""

from __future__ import annotations

import re

import numpy as np
from contrast import hard_to_read
from lab import Notebook
from playwright.sync_api import Locator, expect
from views import part, place_of

TWICE = "The capital of Norway is Oslo. The capital of Norway is"
HOSTILE = "</script><img src=x onerror=alert(1)> \u202e \u05e9 The capital of Norway is"

# 0.5888 or −1.2e-7: as a view writes a number.
NUMBER = r"[\u2212\d][\d.e\u2212+-]*"
CELL = re.compile(rf"\((\d+)\) attends (?:most )?to .*\((\d+)\): ({NUMBER})")


def opened(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-hs="opened-head"][data-head="{name}"]')


def toggle(view: Locator, layer: int, head: int, modifiers: list[str] | None = None) -> None:
    """Click on a head's small picture, which opens or closes the head; with Shift, pin it."""
    part(view, "cells").click(position=place_of(view, layer, head, "heads-grid"), modifiers=modifiers)


def point_away(view: Locator) -> None:
    """Point at nothing, until nothing is read out. Nothing may be pinned, since that is always read out."""
    view.page.mouse.move(0, 0)
    expect(view.locator(".hs-at")).to_have_count(0)


def point_at_token(view: Locator, position: int) -> None:
    """Point at a token, after pointing at nothing: what is read out from now on is about this token."""
    point_away(view)
    part(view, "token").nth(position).hover()


def share(matrix: Locator, x: float, y: float) -> dict[str, float]:
    """A place in a matrix, in shares of its size."""
    box = matrix.bounding_box()
    assert box
    return {"x": x * box["width"], "y": y * box["height"]}


def point_in_matrix(view: Locator, name: str, x: float, y: float) -> Locator:
    """Point at a place in the matrix of an opened head, after pointing at nothing; returns what reads the cell out."""
    point_away(view)
    matrix = part(opened(view, name), "matrix")
    matrix.hover(position=share(matrix, x, y))
    return part(opened(view, name), "cell-said")


def expect_number(notebook: Notebook, words: Locator, values: str) -> tuple[int, int]:
    """Expect a cell with the kernel's number, to four digits, in an empty readout; returns the cell."""
    expect(words).to_contain_text(CELL)
    found = CELL.search(words.inner_text())
    assert found
    position, source = int(found[1]), int(found[2])
    true = notebook.value(f"repr(float({values}[{position}, {source}]))")
    assert np.isclose(float(found[3].replace("\u2212", "-")), float(true), rtol=1e-4, atol=5.1e-5)
    return position, source


def open_panel(head: Locator, name: str) -> None:
    """Open what is asked about a head: its patch, its attribution, its circuits."""
    button = part(head, f"action-{name}")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")


def stand_side_by_side(view: Locator, *names: str) -> bool:
    left, right = (opened(view, name).bounding_box() for name in names)
    assert left and right
    return left["y"] == right["y"] and left["x"] + left["width"] < right["x"]


def unreadable(view: Locator) -> list[str]:
    """Texts alone: the small pictures of the heads have none, though they are cells."""
    return [line for line in hard_to_read(view) if not re.match(r"'Head \d+\.\d+, ", line)]
