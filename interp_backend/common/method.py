"""A public method is one generator function. Everything else about it is derived from its signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, ParamSpec, TypeVar, get_args, get_type_hints

from pydantic import BaseModel

from ..engine.watch import run_watched
from ..results.step import Step, last_result
from .code import python_code
from .signatures import AskedAs, Count, Local, OneOf, marker, options_of, request_model
from .subject import subject_to_json

P = ParamSpec("P")
R = TypeVar("R")

METHODS: dict[str, Method[..., Any]] = {}  # every decorated method, by name


class Method(Generic[P, R]):
    """A function that returns its result when it is called, and streams steps from `.steps`.

    Attributes:
        name: the function's name, by which requests and results refer to the method.
        result_type: the class of the result; a union where a call can give a dict of several.
        subject: the name of the second argument if that is the prompt or pair that the method runs on, else "".
    """

    def __init__(self, function: Callable[P, Iterator[Step[R]]]):
        functools.update_wrapper(self, function)
        self.name = function.__name__
        self._function = function
        hints = get_type_hints(function)
        self.result_type: type[R] = get_args(get_args(hints["return"])[0])[0]
        second = [*inspect.signature(function).parameters][1:2]
        self.subject = second[0] if second and second[0] in ("pair", "prompt") else ""
        self.__signature__ = inspect.signature(function).replace(return_annotation=self.result_type)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # Nobody sees the steps, so passes may be as large as memory allows.
        return run_watched(lambda: last_result(self.steps(*args, **kwargs)), seconds=None)

    def steps(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[Step[R]]:
        """Make the call step by step. The model is locked from the first step until the iterator ends or is closed.

        A caller that stops early keeps the last step's result, whose `provenance["complete"]` is then False.

        Raises:
            ValueError: an argument is not one of its choices, or not within its bounds. The method itself may raise
                other errors.
        """
        bound = inspect.signature(self._function).bind(*args, **kwargs)
        bound.apply_defaults()
        self._check(bound.arguments)
        asked: dict[str, Any] | None = None
        for step in self._function(*bound.args, **bound.kwargs):
            results: list[Any] = [*step.result.values()] if isinstance(step.result, dict) else [step.result]
            for result in results:
                if hasattr(result, "params"):
                    asked = self.to_params(bound.arguments) if asked is None else asked
                    result.method, result.params = self.name, {**asked, **result.params}
            yield step

    def _check(self, arguments: dict[str, Any]) -> None:
        """Raise ValueError for an argument that is not one of its choices, or not within its bounds."""
        for name, parameter in self.options.items():
            one_of, count, asked = (marker(parameter.annotation, kind) for kind in (OneOf, Count, AskedAs))
            if one_of is not None and asked is None:
                one_of.check(arguments[name])
            if count is not None and not (arguments[name] is None and _may_be_none(parameter.annotation)):
                arguments[name] = count.check(name, arguments[name])

    # Derived from the signature

    @cached_property
    def options(self) -> dict[str, inspect.Parameter]:
        """All parameters except the model and the subject, with their annotations resolved."""
        return options_of(self._function, "model", self.subject)

    @cached_property
    def request(self) -> type[BaseModel]:
        """The pydantic model that checks a request: it has a field for every option that can be JSON."""
        return request_model(self._function, "model", self.subject)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a request, from which menus are made."""
        return self.request.model_json_schema()

    @property
    def label(self) -> str:
        """The name of the method in a menu."""
        return self.name.replace("_", " ")

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.__doc__ or "").strip().split("\n")[0]

    def call(self, model: Any, *args: Any, **kwargs: Any) -> Call:
        """Describe a call without making it. Two calls are equal if they would give the same result."""
        bound = inspect.signature(self._function).bind(model, *args, **kwargs)
        bound.apply_defaults()
        return Call(self, model, {name: value for name, value in bound.arguments.items() if name != "model"})

    def to_params(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, except the model, as plain JSON values for a result and for a view. An object that
        stays in Python is named, and a choice about the machine left out."""
        params = subject_to_json(self.subject, arguments[self.subject]) if self.subject else {}
        for name, parameter in self.options.items():
            if name not in arguments:
                continue
            if marker(parameter.annotation, Local) is not None:
                if arguments[name] is not None and not isinstance(arguments[name], (int, float, str)):
                    params[name] = {"own": name}
                continue
            asked = marker(parameter.annotation, AskedAs)
            params[name] = to_json(arguments[name]) if asked is None else asked.to_json(arguments[name])
        return params

    def code(self, params: Mapping[str, Any], model_code: str | None = None) -> str:
        """Python code that makes the call again, with the arguments that differ from their defaults.

        Args:
            params: the parameters of a result, perhaps from somebody else's file, so values that are not plain JSON
                are refused.
            model_code: an expression that loads the model; None for the user's own object, which the code calls
                `model`.

        Raises:
            ValueError: a parameter can't be printed as code.
        """
        return python_code(self, params, model_code)


@dataclass(frozen=True)
class Call:
    """A method with its arguments. A view asks for calls; they can be compared, printed and run.

    Attributes:
        arguments: by name, without the model and including defaults.
    """

    method: Method[..., Any]
    model: Any
    arguments: dict[str, Any]

    def steps(self) -> Iterator[Step[Any]]:
        return self.method.steps(self.model, **self.arguments)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method.name, "params": self.method.to_params(self.arguments)}

    def __hash__(self) -> int:
        return hash(self.method.name)


def method(function: Callable[P, Iterator[Step[R]]]) -> Method[P, R]:
    """Turn a generator function into a public method. It yields `Step`s, and the last step holds the result."""
    decorated = Method(function)
    METHODS[decorated.name] = decorated
    return decorated


def _may_be_none(annotated: Any) -> bool:
    """Whether a type with markers is one of some type or None."""
    return type(None) in get_args(get_args(annotated)[0])


def to_json(value: Any) -> Any:
    """An argument as plain JSON values; the user's own objects are represented by their names."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [to_json(part) for part in value]
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if hasattr(value, "tolist"):  # arrays and NumPy's numbers
        return to_json(value.tolist())
    if hasattr(value, "__index__"):
        return int(value)
    if hasattr(value, "__float__") and not callable(value):
        return float(value)
    return {"own": getattr(value, "__name__", type(value).__name__)}
