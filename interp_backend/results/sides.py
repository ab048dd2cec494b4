"""Prompts as they were run, and results that have one prompt or the two prompts of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import Field, model_validator

from ..place import Place, Side
from .envelope import BaseResult, Record, excerpt


class Prompt(Record):
    """A prompt as it was run.

    Attributes:
        text, ids, tokens: the prompt, its token ids and their texts.
    """

    text: str
    ids: list[int]
    tokens: list[str]

    @model_validator(mode="after")
    def _a_text_for_each_token(self) -> Prompt:
        if len(self.tokens) != len(self.ids):
            raise ValueError("a prompt has as many texts of tokens as token ids")
        return self


class AnsweredPrompt(Prompt):
    """A prompt of a pair; `answers` are the tokens that it was scored by, `answer` the first of them or None."""

    answer: str | None
    answers: list[str] = Field(default_factory=list)


SideT = TypeVar("SideT", bound=Prompt)


class SidedResult(BaseResult, Generic[SideT]):
    """A result of one prompt, or of both prompts of a pair.

    Attributes:
        sides: "prompt"; or, of a pair, "clean" and "corrupt".
        counterparts: for each position of the clean prompt the corresponding position of the corrupt one, or None;
            None if all positions correspond to themselves.
        warnings: what has to be known before these numbers are used.
    """

    sides: dict[str, SideT]
    counterparts: list[int | None] | None = None
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_prompt_or_a_pair(self) -> SidedResult[SideT]:
        if set(self.sides) not in ({"prompt"}, {"clean", "corrupt"}):
            raise ValueError('the sides of a result are "prompt", or "clean" and "corrupt"')
        refuse_odd_counterparts(self.counterparts, self.sides, "clean")
        return self

    @property
    def first(self) -> SideT:
        """The prompt; of a pair the clean one."""
        return next(iter(self.sides.values()))

    def side_for(self, place: Place, side: str | None) -> tuple[str, Place | None]:
        """Which side's arrays a place is looked up in, and the place on that side; None if it has no counterpart.

        Args:
            side: the side that is asked for; None is the place's own, or the first.
        """
        if "clean" not in self.sides:
            return "prompt", place
        side = "clean" if side == "difference" else side or place.side or "clean"
        if place.side is None:
            return side, place
        return side, across(place, side, "clean", self.counterparts, len(self.sides["corrupt"].ids))

    def prompts_in_words(self) -> str:
        """The texts of the prompts, for a printed result."""
        return " against ".join(f"“{excerpt(side.text, 40)}”" for side in self.sides.values())


def refuse_odd_counterparts(
    counterparts: list[int | None] | None, prompts: Mapping[str, Prompt], counted: Side
) -> None:
    """Raise ValueError for counterparts that are not positions of the two prompts.

    Args:
        counted: the side whose positions `counterparts` lists.
    """
    if counterparts is None:
        return
    other: Side = "clean" if counted == "corrupt" else "corrupt"
    here, there = (len(prompts[side].ids) if side in prompts else 0 for side in (counted, other))
    if len(counterparts) != here or not all(at is None or 0 <= at < there for at in counterparts):
        raise ValueError(f"counterparts are, for each {counted} token, a position of the {other} prompt or null")


def across(place: Place, side: Any, counted: str, counterparts: list[int | None] | None, length: int) -> Place | None:
    """A place of a pair on the given side; None where a position has no counterpart there.

    Args:
        counted: the side whose positions `counterparts` lists.
        length: how many tokens the other side has.
    """
    if counterparts is not None and place.side != counted:
        back = {there: here for here, there in enumerate(counterparts) if there is not None}
        counterparts = [back.get(position) for position in range(length)]
    there = place.across(side, counterparts)
    lost = any(getattr(place, part) is not None and getattr(there, part) is None for part in ("position", "source"))
    return None if lost else there


def indices(place: Place, **numbers: Sequence[Any]) -> tuple[int | slice, ...] | None:
    """Where a place is along some axes: an index for each part that the place has, a slice for the others.

    Args:
        numbers: for each part of a place, its number at each index of the axis; a list of positions is a named set.
            A range is all of an axis, of which a place may count from the end.

    Returns:
        An index into an array with those axes; None where the array has no such place, or the place has none of
        these parts.
    """
    found = [index_along(getattr(place, part), along) for part, along in numbers.items()]
    if None in found or all(isinstance(index, slice) for index in found):
        return None
    return tuple(index for index in found if index is not None)


def index_along(wanted: Any, along: Sequence[Any]) -> int | slice | None:
    """Where one part of a place is on its axis; a slice if the place does not have that part, None if the axis lacks
    it."""
    if wanted is None:
        return slice(None)
    if isinstance(along, range) and isinstance(wanted, int):
        return wanted % len(along) if -len(along) <= wanted < len(along) else None
    several = set(wanted) if isinstance(wanted, tuple) else {wanted}
    for index, number in enumerate(along):
        if several == (set(number) if isinstance(number, (list, tuple)) else {number}):
            return index
    # A single position is in the first named set that has it.
    return next((i for i, number in enumerate(along) if isinstance(number, (list, tuple)) and wanted in number), None)
