"""Who looks on while a model runs: how often they want to hear, and whether they have cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


class Cancelled(Exception):
    """The work was cancelled."""


@dataclass(frozen=True)
class Watch:
    """What the engine is told about those who wait for it.

    Attributes:
        seconds: how long a pass should take, so that results stream; None makes passes as large as fit.
        cancelled: whether the work was cancelled.
    """

    seconds: float | None = 0.1
    cancelled: Callable[[], bool] = lambda: False


_watch: ContextVar[Watch] = ContextVar("watch", default=Watch())  # noqa: B039 (it is frozen)


def current() -> Watch:
    return _watch.get()


@contextmanager
def watching(seconds: float | None = 0.1, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Sets the watch for what is run inside."""
    token = _watch.set(Watch(seconds, cancelled))
    try:
        yield
    finally:
        _watch.reset(token)
