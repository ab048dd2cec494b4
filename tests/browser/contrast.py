"""How readable the text of a view is: its contrast ratio (WCAG 2) against what is painted behind it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator

TEXT = 4.5
SIGNS = 3.0  # of what is a graphic and not text: the box that stands for a space, the "=" of a cell without effect
MEASURE = (Path(__file__).parent / "contrast.js").read_text("utf-8")


def hard_to_read(view: Locator) -> list[str]:
    """What in a view has too little contrast, one line for each text."""
    found = view.evaluate(MEASURE)
    assert len(found) > 10, "the view shows next to no text"
    low = {f"{it['text']!r} {it['ratio']:.2f}" for it in found if it["ratio"] < (SIGNS if it["sign"] else TEXT)}
    return sorted(low)
