"""Where in a model something is: the one vocabulary that results, selections and views share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

Side = Literal["clean", "corrupt"]
# The parts of a place that are indices, from the largest part of a model to the smallest.
NUMBERED = ("layer", "head", "neuron", "feature", "position", "source")


class Place(BaseModel):
    """A place in a model's run. A part that is None is not specified: `Place(layer=3)` is all of layer 3.

    Attributes:
        activation: TransformerLens's short name of the activation, such as "resid_pre" or "z".
        layer, head, neuron, feature: their indices in the model, counted from 0.
        position: a token's position in the prompt, negative if counted from the end; several positions for a named
            set. In attention, the destination.
        source: in attention, the position that is attended to.
        side: the prompt of a pair in which positions are counted; None for a single prompt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    activation: str | None = None
    layer: int | None = None
    head: int | None = None
    neuron: int | None = None
    feature: int | None = None
    position: int | tuple[int, ...] | None = None
    source: int | tuple[int, ...] | None = None
    side: Side | None = None

    @field_validator("activation")
    @classmethod
    def _whole_characters(cls, activation: str | None) -> str | None:
        if activation is not None and any("\ud800" <= character <= "\udfff" for character in activation):
            raise ValueError("half a character (a lone surrogate) can't be sent to a view")
        return activation

    def to_json(self) -> dict[str, Any]:
        """The parts that are specified, as plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)

    def within(self, *parts: str) -> Place:
        """The same place with only these parts, for a view that does not show the others."""
        return Place(**{name: value for name, value in self if name in parts})

    def across(self, side: Side | None, counterparts: Sequence[int | None] | None) -> Place:
        """The corresponding place in the other prompt of a pair.

        Args:
            side: the prompt to cross to; a place that is already on that side, or on no side, does not change.
            counterparts: for each position of this place's prompt, the corresponding position of the other prompt; None
                if all positions correspond to themselves. A position without a counterpart is dropped from the place.
        """
        if self.side is None or side is None or side == self.side:
            return self
        moved = {name: _crossed(getattr(self, name), counterparts) for name in ("position", "source")}
        return self.model_copy(update={**moved, "side": side})


def _crossed(position: Any, counterparts: Sequence[int | None] | None) -> Any:
    if counterparts is None or position is None:
        return position
    if isinstance(position, tuple):
        there = tuple(other for other in (_crossed(p, counterparts) for p in position) if other is not None)
        return there or None
    return counterparts[position] if -len(counterparts) <= position < len(counterparts) else None


PlaceLike = Place | Mapping[str, Any]
"""A place, or its parts in a dictionary, as views have them."""


def as_place(value: PlaceLike | None) -> Place | None:
    """A place from a place or from a dictionary of its parts; None stays None.

    Raises:
        ValueError: a place has no such part, or its value is not a number.
    """
    if value is None or isinstance(value, Place):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f'A place is a dictionary such as {{"layer": 2, "position": 5}}, not {value!r}.')
    for part in value:
        if part not in Place.model_fields:
            raise ValueError(f"A place has no {part}. Its parts are {', '.join(Place.model_fields)}.")
    try:
        return Place.model_validate({name: _plain(part) for name, part in value.items()})
    except ValidationError as problem:
        part = str(problem.errors()[0]["loc"][0])
        raise ValueError(f"The {part} of a place can't be {value[part]!r}.") from None


def _plain(part: Any) -> Any:
    """Convert NumPy integers to Python integers, and lists of positions to tuples."""
    if isinstance(part, (list, tuple)):
        return tuple(map(_plain, part))
    return int(part) if isinstance(part, Integral) and not isinstance(part, bool) else part
