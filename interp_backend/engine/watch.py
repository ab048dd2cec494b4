"""What the driver of a computation wants of it: how often it yields results, and whether it should stop.

The driver sets a watch around each step, and the engine reads it, so that no method has to pass it on as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


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


_current: ContextVar[Watch] = ContextVar("watch", default=Watch())  # noqa: B039 (a watch is frozen)  # noqa: B039 (it is frozen)


def current() -> Watch:
    """The watch of the step that is running in this thread."""
    return _current.get()


def check() -> None:
    """Raise Cancelled if the driver asked to stop."""
    if _current.get().cancelled():
        raise Cancelled("The computation was cancelled.")


@contextmanager
def watching(*, seconds: float | None = 0.1, cancelled: Callable[[], bool] | None = None) -> Iterator[None]:
    """Set the watch for the steps that are driven inside a `with` block.

    Args:
        seconds: as in `Watch`.
        cancelled: as in `Watch`; None keeps what the surrounding watch has.
    """
    outer = _current.get()
    try:
        _current.set(replace(outer, seconds=seconds, cancelled=cancelled or outer.cancelled))
        yield
    finally:
        _current.set(outer)
