"""From a function's signature and docstring to the pydantic model of what it may be asked, and to its JSON schema."""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model


@dataclass(frozen=True)
class Local:
    """Marks an argument that stays in Python: an object, or a choice about this machine. No view may ask for it."""


@dataclass(frozen=True)
class AskedAs:
    """Marks an argument whose JSON form differs from what Python takes.

    Attributes:
        type: what a request may hold; None for the names of a `OneOf` beside it.
        to_json: the argument as plain JSON values, for a result's parameters.
    """

    type: Any
    to_json: Callable[[Any], Any]


@dataclass(frozen=True)
class OneOf:
    """Marks an argument that is a name out of a table.

    Attributes:
        choices: for each name its label and what it means, in a few words.
        noun: what the names are names of, for the error sentence.
    """

    choices: Mapping[str, tuple[str, str]] = field(hash=False)
    noun: str

    def check(self, value: Any) -> Any:
        """The value, if it is one of the names.

        Raises:
            ValueError: any other value.
        """
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(f"There is no {self.noun} {value!r}. Choose one of {', '.join(self.choices)}.")
        return value

    def to_schema(self) -> dict[str, Any]:
        return {"oneOf": [{"const": n, "title": t, "description": d} for n, (t, d) in self.choices.items()]}


@dataclass(frozen=True)
class Count:
    """Marks an argument that is a whole number within bounds.

    Attributes:
        counted: what it counts, for the error sentence.
    """

    counted: str
    least: int = 1
    most: int | None = None

    def check(self, name: str, value: Any) -> int:
        """The value as an int.

        Raises:
            ValueError: any value that is not a whole number within the bounds.
        """
        whole = hasattr(value, "__index__") and not isinstance(value, bool)
        if not whole or value < self.least or (self.most is not None and value > self.most):
            bounds = f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"
            raise ValueError(f"{name} is {self.counted}, {bounds}, not {value!r}.")
        return operator.index(value)


@dataclass(frozen=True)
class ChoicesBy:
    """Marks an argument whose choices depend on another one.

    Attributes:
        argument: the other argument.
        choices: by the other argument's value, what this one can be; the first is the default.
    """

    argument: str
    choices: Mapping[str, Sequence[Any]] = field(hash=False)


@dataclass(frozen=True)
class AppliesTo:
    """Marks an argument that means something only where another one has certain values.

    Attributes:
        argument: the other argument.
        values: the values of that argument with which this one applies.
    """

    argument: str
    values: tuple[Any, ...]


def options_of(function: Callable[..., Any], *without: str) -> dict[str, inspect.Parameter]:
    """The parameters of a function by name, their annotations resolved, apart from some."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in parameters.items()
        if name not in without
    }


def marker(annotation: Any, kind: type) -> Any:
    """The marker of a kind in an `Annotated` type, or None."""
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((one for one in metadata if isinstance(one, kind)), None)


def request_model(function: Callable[..., Any], *without: str) -> type[BaseModel]:
    """What a request for a function may hold: a pydantic model with a field for each argument that can be JSON.

    Labels, help, bounds, choices and what applies when come from annotations and from the docstring's list of
    arguments; they end up in `model_json_schema()`.
    """
    about = argument_help(function)
    fields: dict[str, Any] = {}
    for name, parameter in options_of(function, *without).items():
        if marker(parameter.annotation, Local) is not None:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        extra = _schema_extra(parameter.annotation)
        info = Field(default, title=name.replace("_", " "), description=about.get(name), json_schema_extra=extra)
        fields[name] = (_asked_type(parameter.annotation), info)
    title = "".join(part.capitalize() for part in function.__name__.split("_"))
    return create_model(f"{title}Request", __config__=ConfigDict(extra="forbid"), **fields)


def _asked_type(annotation: Any) -> Any:
    asked, one_of, count = (marker(annotation, kind) for kind in (AskedAs, OneOf, Count))
    if asked is not None and asked.type is not None:
        return asked.type
    if count is not None:
        return Annotated[get_args(annotation)[0], Field(ge=count.least, le=count.most)]
    return Annotated[str, AfterValidator(one_of.check)] if one_of is not None else annotation


def _schema_extra(annotation: Any) -> dict[str, Any]:
    one_of, applies, by = (marker(annotation, kind) for kind in (OneOf, AppliesTo, ChoicesBy))
    extra: dict[str, Any] = {} if one_of is None else one_of.to_schema()
    if by is not None:
        choices = {name: [list(one) for one in some] for name, some in by.choices.items()}
        extra["choicesBy"] = {"argument": by.argument, "choices": choices}
    if applies is not None:
        extra["appliesTo"] = {"argument": applies.argument, "values": list(applies.values)}
    return extra


_ITEM = re.compile(r"^    (?:    )?(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")


def argument_help(function: Callable[..., Any]) -> dict[str, str]:
    """The text on each argument in the "Args:" section of a docstring, by name."""
    return listed_help(function.__doc__ or "", "Args:")


def listed_help(docstring: str, section: str) -> dict[str, str]:
    """The text on each name in one section of a docstring."""
    found: dict[str, str] = {}
    lines = inspect.cleandoc(docstring).splitlines()
    if section not in lines:
        return found
    names: list[str] = []
    for line in lines[lines.index(section) + 1 :]:
        if line and not line.startswith(" "):
            break
        item = _ITEM.match(line) if line.startswith("    ") and not line.startswith("     ") else None
        if item:
            names = item["names"].split(", ")
            found.update(dict.fromkeys(names, item["text"]))
        else:
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    return found
