"""Traits that hold the backend's objects and are sent to views as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import traitlets
from pydantic import TypeAdapter, ValidationError

from interp_backend.common.method import Method, to_json
from interp_backend.common.signatures import Count, OneOf, argument_help, marker
from interp_backend.language.interventions import as_value
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import as_pair


class PairTrait(traitlets.Instance):
    """A PromptPair or a dictionary of its fields; with `many`, also PromptPairs."""

    def __init__(self, *, many: bool = False, **options: Any) -> None:
        super().__init__(object, **options)
        self._many = many
        self.tag(sync=True, to_json=_pair_to_json)

    def validate(self, obj: Any, value: Any) -> Any:
        if self._many and isinstance(value, PromptPairs):
            return value
        return checked(lambda: as_pair(value))


def _pair_to_json(pair: Any, _: Any) -> dict[str, Any] | None:
    if isinstance(pair, PromptPairs):
        return {"pairs": [one.model_dump(mode="json") for one in pair]}
    return pair and pair.model_dump(mode="json")


class Argument(traitlets.TraitType):
    """A trait for an argument of a method. Its type, default and help come from the method's signature.

    Args:
        method: the method.
        name: the name of the argument.
        check: a further check, called with the widget and the value; it returns the value.
    """

    def __init__(self, method: Method[..., Any], name: str, check: Callable[[Any, Any], Any] | None = None) -> None:
        parameter = method.options[name]
        super().__init__(parameter.default, allow_none=parameter.default is None, help=argument_help(method).get(name))
        self._one_of = marker(parameter.annotation, OneOf)
        self._count = marker(parameter.annotation, Count)
        self._type = None if self._one_of else TypeAdapter(parameter.annotation)
        self._check = check
        self.tag(sync=True, to_json=lambda value, _: to_json(value))

    def validate(self, obj: Any, value: Any) -> Any:
        one_of, count, check = self._one_of, self._count, self._check
        if one_of is not None:
            value = checked(lambda: one_of.check(value))
        elif count is not None:
            value = checked(lambda: count.check(self.name, value))
        elif self._type is not None:
            if isinstance(value, Integral) and not isinstance(value, bool):
                value = int(value)  # such as NumPy's scalars
            try:
                value = self._type.validate_python(value, strict=True)
            except ValidationError as problem:
                message = problem.errors(include_url=False)[0]["msg"]
                raise traitlets.TraitError(f"{self.name}: {message}, not {value!r}.") from None
        return value if check is None else checked(lambda: check(obj, value))


class ValueTrait(traitlets.TraitType):
    """The value that is patched in. A view gets it without its large fields, such as the prompts of a data set."""

    def __init__(self, **options: Any) -> None:
        super().__init__(as_value("other"), **options)
        self.tag(sync=True, to_json=lambda value, _: value.to_view())

    def validate(self, obj: Any, value: Any) -> Any:
        return checked(lambda: as_value(value))


def checked(check: Callable[[], Any], words: str | None = None) -> Any:
    """Return what the check returns, and raise its error as a TraitError, perhaps in other words."""
    try:
        return check()
    except (ValueError, TypeError) as problem:
        raise traitlets.TraitError(words or str(problem)) from None


def finite(proposal: Any) -> float:
    """The number of a proposal, of which a trait's bounds let NaN through."""
    if not math.isfinite(proposal["value"]):
        raise traitlets.TraitError(f"{proposal['trait'].name} is a finite number, not {proposal['value']}.")
    return proposal["value"]
