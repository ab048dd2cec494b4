"""The driver's instructions to a computation: how often to yield results, and whether to stop.

The driver sets a watch around each step, and the engine reads it, so that no method has to pass it on as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Cancelled(Exception):
    """The driver of a computation asked it to stop."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """The driver's instructions to a computation.

    Attributes:
        seconds: how long a pass should take, so that results stream; None makes passes as large as memory allows.
        cancelled: whether to stop. It is called before every block of the model, so it must be fast.
    """

    seconds: float | None = 0.1
    cancelled: Callable[[], bool] = _never


_current: ContextVar[Watch] = ContextVar("watch", default=Watch())  # noqa: B039 (a watch is frozen)


def current() -> Watch:
    """The watch of the step that is running in this thread."""
    return _current.get()


def check() -> None:
    """Raise Cancelled if the driver asked to stop."""
    if _current.get().cancelled():
        raise Cancelled("The computation was cancelled.")


def run_watched(
    function: Callable[[], T], *, seconds: float | None = 0.1, cancelled: Callable[[], bool] | None = None
) -> T:
    """Call a function under a watch. It runs in its own context, so that the watch always ends with the call; resetting
    a variable here could itself be interrupted by Ctrl-C.

    Args:
        seconds: as in `Watch`.
        cancelled: as in `Watch`; None keeps the surrounding watch's.
    """

    def call() -> T:
        outer = _current.get()
        _current.set(Watch(seconds, cancelled or outer.cancelled))
        return function()

    return copy_context().run(call)
