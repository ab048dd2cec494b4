"""The widget behind all figures of tokens and their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from interp_backend.service import protocol

from ..panel import Index, action
from .rendered import RenderedHTML

# The most numbers and parts that are sent at once. Otherwise a view requests the parts that it shows.
MOST_NUMBERS = 1_000_000
MOST_PARTS = 20_000

# The choices that a view can make; those that don't apply to a figure have no effect there.
CHOICES: dict[str, tuple[type, ...]] = {
    "first": (int,),  # the layer, or the entry of the first menu
    "second": (int,),  # the neuron
    "start": (int,),  # the first sample, or the first column, that is shown
    "count": (int,),  # how many are shown
    "k": (int,),
    "filter": (str,),
    "scale": (str,),
    "column": (int,),
    "low": (int, float, type(None)),
    "high": (int, float, type(None)),
}


class Parts:
    """The parts of a figure, by two indices, which are made one at a time when a view or a page needs them.

    Args:
        shape: how many there are, by first and by second index.
        size: how many numbers all parts have together.
        make: makes one part as JSON.
    """

    def __init__(self, shape: tuple[int, int], size: int, make: Callable[[int, int], dict[str, Any]]) -> None:
        self.shape, self._make = shape, make
        self.small = size <= MOST_NUMBERS and shape[0] * shape[1] <= MOST_PARTS

    def one(self, first: int, second: int) -> dict[str, Any]:
        if not (0 <= first < self.shape[0] and 0 <= second < self.shape[1]):
            raise ValueError(f"There is no part {first}, {second}: there are {self.shape[0]} × {self.shape[1]}.")
        return self._make(first, second)

    def all(self) -> list[list[dict[str, Any]]]:
        return [[self._make(first, second) for second in range(self.shape[1])] for first in range(self.shape[0])]


class TokenValues(RenderedHTML):
    """Tokens and their values: what the functions of this package return, except those of attention.

    Attributes:
        figure: the displayed figure as JSON.
        chosen: the choices in the menus, such as `{"first": 3, "second": 12}`; a menu that is not named
            keeps its first setting.
        selection: the token that was clicked, such as `{"token": 4}` or `{"sample": 1, "token": 4}`, or None.
    """

    bundle = "circuitsvis"
    figure = traitlets.Dict(help="What is shown.").tag(sync=True)
    chosen = traitlets.Dict(help="What the menus are set to.").tag(sync=True, set_by_view=True)

    def __init__(self, figure: dict[str, Any], parts: Parts | None = None, chosen: dict[str, Any] | None = None):
        self._figure_parts = parts
        self.title = str(figure["title"])
        whole = parts.all() if parts is not None and parts.small else None
        super().__init__(figure=figure if parts is None else {**figure, "parts": whole}, chosen=chosen or {})

    def __repr__(self) -> str:
        return f"<hookscope.circuitsvis: {self.title.lower()}>"

    def page_state(self) -> dict[str, Any]:
        state = super().page_state()
        if self._figure_parts is None or self._figure_parts.small:
            return state
        return {
            **state,
            "figure": {**state["figure"], "parts": self._figure_parts.all()},
        }  # if there is no kernel to ask

    @action("figure_part", command=False)
    def _on_figure_part(self, id: str, first: Index, second: Index) -> None:
        """A part of a large figure: of one layer and neuron, say."""
        if self._figure_parts is None:
            raise ValueError("This figure has no parts; all of it is shown.")
        part = self._figure_parts.one(first, second)
        self.send(protocol.event(id, "figure_part", first=first, second=second, part=part))

    @traitlets.validate("chosen")
    def _valid_chosen(self, proposal: Any) -> dict[str, Any]:
        for name, value in proposal["value"].items():
            types = CHOICES.get(name)
            if types is None:
                raise traitlets.TraitError(f"There is no choice {name!r}; there are {', '.join(CHOICES)}.")
            if (
                not isinstance(value, types)
                or isinstance(value, bool)
                or (isinstance(value, int) and abs(value) > 2**53)
            ):
                raise traitlets.TraitError(f"The choice {name!r} can't be {value!r}.")
        return proposal["value"]

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, int] | None:
        selection = proposal["value"]
        known = selection is None or set(selection) in ({"token"}, {"sample", "token"}, {"row", "column"})
        whole = known and all(type(index) is int and index >= 0 for index in (selection or {}).values())
        if not whole:
            raise traitlets.TraitError(f'There is no token {selection}. Give {{"token": 4}} or None.')
        return selection
