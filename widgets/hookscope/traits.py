"""Traits that hold the backend's objects and cross to a view as JSON."""

from __future__ import annotations

from typing import Any

import traitlets

from interp_backend.language.interventions import FromOther, as_value
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import as_pair
from interp_backend.results.effect_map import EffectMap


class PairTrait(traitlets.Instance):
    """A PromptPair, or a dictionary of its fields; where `many` are allowed also PromptPairs."""

    def __init__(self, *, many: bool = False, **options: Any) -> None:
        super().__init__(object, **options)
        self._many = many
        self.tag(sync=True, to_json=_pair_to_json)

    def validate(self, obj: Any, value: Any) -> Any:
        if self._many and isinstance(value, PromptPairs):
            return value
        try:
            return as_pair(value)
        except (ValueError, TypeError) as problem:
            raise traitlets.TraitError(str(problem)) from None


def _pair_to_json(pair: Any, _: Any) -> dict[str, Any] | None:
    if isinstance(pair, PromptPairs):
        return {"pairs": [one.model_dump(mode="json") for one in pair]}
    return pair and pair.model_dump(mode="json")


class ValueTrait(traitlets.TraitType):
    """What is patched in: a value of `interventions`. A view gets it without a data set's prompts, which are many."""

    default_value = FromOther()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tag(sync=True, to_json=_value_to_json)

    def validate(self, obj: Any, value: Any) -> Any:
        try:
            return as_value(value)
        except ValueError as problem:
            raise traitlets.TraitError(str(problem)) from None


def _value_to_json(value: Any, _: Any) -> dict[str, Any]:
    """Without a data set's prompts, which are many, and with a vector only as the news that there is one."""
    wire = value.model_dump(mode="json", exclude={"prompts", "vector"})
    return {**wire, "vector": True} if getattr(value, "vector", None) is not None else wire


class ResultTrait(traitlets.Instance):
    """An EffectMap or None. It goes to the view with the id of the sweep that fills it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(EffectMap, allow_none=True, **options)
        self.tag(sync=True, to_json=_to_wire)


def _to_wire(result: EffectMap | None, widget: Any) -> dict[str, Any] | None:
    return None if result is None else {**result.to_wire(draft=widget.draft), "sweep": widget.sweep_id}
