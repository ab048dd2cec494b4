"""What the driver of a computation wants of it: how often it yields results, and whether it should stop.

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
    """What the driver of a computation wants of it.

    Attributes:
        seconds: how long a pass should take, so that results stream; None makes passes as large as memory allows.
        cancelled: whether to stop. It is called before every block of the model, so it has to be quick.
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
    """Call a function under a watch. It runs in a context of its own, so that the watch ends with the call whatever
    ends the call: undoing a `set` here could itself be interrupted by Ctrl-C.

    Args:
        seconds: as in `Watch`.
        cancelled: as in `Watch`; None keeps what the surrounding watch has.
    """

    def call() -> T:
        outer = _current.get()
        _current.set(Watch(seconds, cancelled or outer.cancelled))
        return function()

    return copy_context().run(call)
