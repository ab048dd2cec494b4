"""Traits that hold the backend's objects and cross to a view as JSON."""

from __future__ import annotations

from typing import Any

import traitlets
from pydantic import ValidationError

from interp_backend.prompts import PromptPair
from interp_backend.results import Result


class PairTrait(traitlets.Instance):
    """A PromptPair, or a dictionary of its fields."""

    def __init__(self, **options: Any) -> None:
        super().__init__(PromptPair, **options)
        self.tag(sync=True, to_json=lambda pair, _: pair and pair.model_dump())

    def validate(self, obj: Any, value: Any) -> Any:
        if isinstance(value, dict):
            try:
                value = PromptPair.model_validate(value)
            except ValidationError as problem:
                first = problem.errors()[0]
                raise traitlets.TraitError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return super().validate(obj, value)


class ResultTrait(traitlets.Instance):
    """A Result or None. It goes to the view with the id of the sweep that fills it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Result, allow_none=True, **options)
        self.tag(sync=True, to_json=_to_wire)


def _to_wire(result: Result | None, widget: Any) -> dict[str, Any] | None:
    return None if result is None else {**result.to_wire(), "sweep": widget.sweep_id}
