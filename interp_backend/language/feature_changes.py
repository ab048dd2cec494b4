"""What is changed in a run by way of transcoder features: which feature, where, and to which activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .interventions import Finite, in_range

MOST_CHANGES = 2000


class FeatureChange(BaseModel):
    """A change of one transcoder feature's activation.

    Attributes:
        layer, feature: which feature.
        position: where, negative if counted from the end; several positions; or None for everywhere, also in tokens
            that are generated.
        scale: what its activation is multiplied by: 0 switches it off, 2 doubles it.
        value: what its activation is set to. Either this is given or `scale`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: Annotated[int, Field(ge=0)]
    feature: Annotated[int, Field(ge=0)]
    position: int | Annotated[tuple[int, ...], Field(min_length=1, max_length=100_000)] | None = None
    scale: Finite | None = None
    value: Finite | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> FeatureChange:
        if (self.scale is None) == (self.value is None):
            raise ValueError("a change of a feature has a scale or a value, and not both")
        return self

    def new(self, now: float) -> float:
        """The activation after the change."""
        if self.scale is not None:
            return now * self.scale
        assert self.value is not None
        return self.value

    def positions(self, length: int, whole: int) -> list[int]:
        """Where the feature is changed in a prompt.

        Args:
            length: how many tokens the prompt has, from whose end positions count.
            whole: how many there are with those that were generated.

        Raises:
            ValueError: the prompt has no such position.
        """
        if self.position is None:
            return list(range(whole))
        several = self.position if isinstance(self.position, tuple) else (self.position,)
        return [in_range("position", one, length, negative=True) for one in several]


def as_changes(changes: Any) -> list[FeatureChange]:
    """Changes from changes, or from dictionaries of their fields.

    Raises:
        ValueError: there are none or too many, or one of them makes no sense.
    """
    several = [changes] if isinstance(changes, (FeatureChange, dict)) else changes
    if not isinstance(several, Sequence) or isinstance(several, str) or not 0 < len(several) <= MOST_CHANGES:
        raise ValueError(f"changes are 1 to {MOST_CHANGES} of FeatureChange(layer, feature, position, scale=0).")
    try:
        return [one if isinstance(one, FeatureChange) else FeatureChange.model_validate(one) for one in several]
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"This is no change of a feature{f' ({where})' if where else ''}: {said}.") from None
