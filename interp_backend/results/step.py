"""How far a method has come: what its generator yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Step(Generic[R_co]):
    """One step of a method. The last step of every method has the whole result.

    Attributes:
        done, total: how many units of work are finished, out of how many.
        seconds_left: an estimate, or None before there is one.
        result: the result so far; None while there is nothing to show.
        cells: of a result that fills cell by cell, the cells (flat, in C order) that are new since the last step.
        within: how much of the next unit is finished, from 0 to 1, where a unit takes long.
    """

    done: int
    total: int
    seconds_left: float | None = None
    result: R_co | None = None
    cells: Sequence[int] = ()
    within: float = 0.0


def remaining(seconds: float, done: float, total: int) -> float | None:
    """An estimate of the seconds left after `done` of `total` units took `seconds`."""
    return seconds / done * (total - done) if done else None


def last_result(steps: Iterator[Step[R]]) -> R:
    """The result of a method, once all of its steps are done."""
    result = None
    for step in steps:
        result = step.result
    assert result is not None, "a method ended without a result"
    return result
