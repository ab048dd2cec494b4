"""Errors that carry their remedy as data, so that a view can offer it as a button."""

from __future__ import annotations

from typing import Any


class Refused(ValueError):
    """A call that can't be run as it stands, but could with other arguments.

    Attributes:
        label: what a button says that runs it so.
        change: the arguments to change.
    """

    def __init__(self, message: str, label: str, **change: Any):
        super().__init__(message)
        self.label, self.change = label, change
