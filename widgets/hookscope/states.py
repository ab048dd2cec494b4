"""States of a workbench: its pair, its views with their choices, and the pinned place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from interp_backend.language.prompts import PromptPair

from .subject import ResultPanel

if TYPE_CHECKING:
    from .workbench import Workbench

OWN = ("split", "enlarged", "selection")  # the traits of the workbench itself


@dataclass(frozen=True)
class ViewState:
    """A view and its choices.

    Attributes:
        key: tells the views of one workbench apart, also after they are closed.
        kind: what to make if the view was closed since; None for a view of the user's own.
    """

    key: str
    kind: str | None
    choices: Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """What a workbench shows."""

    pair: PromptPair
    views: tuple[ViewState, ...]
    own: Mapping[str, Any]


def state_of(bench: Workbench) -> State:
    views = tuple(
        ViewState(bench.view_keys[panel], bench.made.get(panel), choices_of(panel))
        for panel in bench.panels
        if isinstance(panel, ResultPanel)
    )
    return State(bench.editor.pair, views, {name: getattr(bench, name) for name in OWN})


def restore(bench: Workbench, state: State) -> None:
    """Show what was shown. Views that were closed since are made again; views of the user's own stay as they are."""
    there = {bench.view_keys[panel]: panel for panel in bench.panels}
    shown: list[tuple[ResultPanel, ViewState]] = []
    known = {view.key for view in state.views}
    own = [panel for key, panel in there.items() if panel not in bench.made and key not in known]
    for view in state.views:
        panel: Any = there.get(view.key)
        if panel is None and view.kind is not None:
            panel = bench.make(view.kind)
            bench.view_keys[panel] = view.key
        if panel is not None:
            shown.append((panel, view))
    bench.show([*(panel for panel, _ in shown), *(panel for panel in own if panel is not bench.editor)])
    askers = [panel._asker for panel in bench.panels if panel._asker is not None]
    with ExitStack() as stack:
        for asker in askers:
            stack.enter_context(asker.defer())
        bench.editor.pair = state.pair
        for panel, view in shown:
            choose(panel, view.choices)
    for asker in askers:
        asker.refresh()
    for name, value in state.own.items():
        setattr(bench, name, value)


def choices_of(panel: ResultPanel) -> dict[str, Any]:
    return {name: getattr(panel, name) for name in (*panel.choices, "layer_zero")}


def choose(panel: ResultPanel, choices: Mapping[str, Any]) -> None:
    """Set the choices of a view. One that its next result may have, and the shown one has not, is left out."""
    for name, value in choices.items():
        with suppress(traitlets.TraitError):
            setattr(panel, name, value)
