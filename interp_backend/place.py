"""Where in a model something is: the one vocabulary that results, selections and views share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

Side = Literal["clean", "corrupt"]
# The parts of a place that are numbered, in the order in which people say them.
NUMBERED = ("layer", "head", "neuron", "feature", "position", "source")


class Place(BaseModel):
    """A place in a model's run. What is None is not said: `Place(layer=3)` is all of layer 3.

    Attributes:
        activation: a TransformerLens short name, such as "resid_pre" or "z".
        layer, head, neuron, feature: their numbers in the model, from 0.
        position: a token's position in the prompt, negative from its end; several for a named set of them. For
            attention the destination, the position that looks.
        source: for attention, the position that is looked at.
        side: which prompt of a pair positions are counted in; None for a single prompt.
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
        if activation is not None and not activation.isascii():
            raise ValueError("the name of an activation has no such characters")
        return activation

    def to_json(self) -> dict[str, Any]:
        """The parts that are said, as plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)

    def within(self, *parts: str) -> Place:
        """The same place with these parts alone: what a view that lacks the others can show."""
        return Place(**{name: value for name, value in self if name in parts})

    def across(self, side: Side | None, counterparts: Sequence[int | None] | None) -> Place:
        """The corresponding place in the other prompt of a pair.

        Args:
            side: the prompt to cross to; a place that is on it already, or on none, stays as it is.
            counterparts: for each position of this place's prompt that of the other; None where all correspond to
                themselves. A position without a counterpart is left out of the place.
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


def as_place(value: Place | Mapping[str, Any] | None) -> Place | None:
    """A place from itself or from a dictionary of its parts; None stays None.

    Raises:
        ValueError: a part that a place does not have, or a value that is no number, with a sentence.
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
    """NumPy's whole numbers as Python's, lists of positions as tuples."""
    if isinstance(part, (list, tuple)):
        return tuple(map(_plain, part))
    return int(part) if isinstance(part, Integral) and not isinstance(part, bool) else part
