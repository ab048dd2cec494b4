"""Errors that carry their remedy as data, so that a view can offer it as a button."""

from __future__ import annotations

from typing import Any


class Refused(ValueError):
    """A call that can't run with these arguments, but can run with others.

    Attributes:
        label: the text of the button that runs the call with the changed arguments.
        change: the arguments to change, with their new values.
    """

    def __init__(self, message: str, label: str, **change: Any):
        super().__init__(message)
        self.label, self.change = label, change
