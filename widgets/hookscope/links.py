"""Panels that share their pinned place."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable
from typing import Any

import traitlets

from .panel import Panel


def link(*panels: Panel) -> Callable[[], None]:
    """Let panels share their pinned place: a click in one pins the same place in the others.

    A panel that has no such place pins none; positions are followed through the alignment of a pair. On a page this
    needs no kernel, so linked panels stay linked in a saved page. Panels that were linked with others stay linked with
    them too.

    Args:
        panels: two or more, also such whose views are in different cells.

    Returns:
        A function that ends the link of these panels.

    Raises:
        ValueError: less than two panels, or something that is no panel.
    """
    if len(panels) < 2 or not all(isinstance(panel, Panel) for panel in panels):
        raise ValueError("link takes two or more of Hookscope's views, such as link(heatmap, lens).")
    # Two notebooks can be on one page, and each counts for itself.
    group = next((panel.group for panel in panels if panel.group), None) or secrets.token_hex(6)
    for panel in panels:
        _join(panel, group)
    _share(next((panel for panel in panels if panel.selection is not None), panels[0]))

    def unlink() -> None:
        for panel in panels:
            panel.group = None

    return unlink


_members: weakref.WeakSet[Panel] = weakref.WeakSet()
_taking = threading.local()  # whether this thread is pinning in others what was pinned in one panel


def _join(panel: Panel, group: str) -> None:
    """Let a panel, and those that it was linked with, join a group."""
    if panel not in _members:
        _members.add(panel)
        panel.observe(_on_selection, "selection")
    before = panel.group
    for one in (panel, *(other for other in _members if before is not None and other.group == before)):
        one.group = group


def _on_selection(change: Any) -> None:
    if not change["owner"]._alone and not getattr(_taking, "now", False):
        _share(change["owner"])


def linked_with(panel: Panel) -> list[Panel]:
    """The other panels of its group."""
    if panel.group is None:
        return []
    return [other for other in _members if other is not panel and other.group == panel.group and not other._closed]


def _share(panel: Panel) -> None:
    """Pin the place of one panel in the others of its group."""
    others = linked_with(panel)
    _taking.now = True
    try:
        for other in others:
            try:
                other.selection = panel.selection
            except traitlets.TraitError:  # it has no such place
                other.selection = None
    finally:
        _taking.now = False
