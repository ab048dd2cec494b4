"""How far a method has come: what its generator yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Step(Generic[R_co]):
    """One step of a method. The last step of every method has the whole result.

    Attributes:
        done, total: how many units of work are finished, out of how many.
        seconds_left: an estimate, or None before there is one.
        result: the result so far; None while there is nothing to show.
        cells: of a result that fills cell by cell, the cells (flat, in C order) that are new since the last step.
    """

    done: int
    total: int
    seconds_left: float | None = None
    result: R_co | None = None
    cells: Sequence[int] = ()


def remaining(seconds: float, done: int, total: int) -> float | None:
    """An estimate of the seconds left after `done` of `total` units took `seconds`."""
    return seconds / done * (total - done) if done else None
