"""A call as Python code: what one would write to get the same numbers without a widget."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..language.interventions import Intervention, as_value
from ..language.metrics import METRICS
from ..language.pairs import PromptPairs
from ..language.prompts import as_pair
from ..results.hypothesis import as_hypothesis
from .signatures import ChoicesBy, marker
from .subject import subject_code, subject_of

if TYPE_CHECKING:
    from .method import Method


# Variables of the code, which no function of the user's may have for its name there.
OWN_VARIABLES = {"ib", "model", "prompt", "pair", "pairs", "data", "graph", "circuit", "found", "result", "results"}


def python_code(method: Method[..., Any], params: Mapping[str, Any], model_code: str | None) -> str:
    """Code that makes a call again; see `Method.code`."""
    variable, lines = _subject(method, params)
    return "\n".join([*_head(model_code), *lines, *_call_lines(method, params, variable), "result.plot()", ""])


@dataclass(frozen=True)
class Said:
    """A call in the code of several.

    Attributes:
        words: what is said above it.
        before: lines that define what its arguments need.
    """

    words: str
    method: Method[..., Any]
    params: Mapping[str, Any]
    before: Sequence[str] = ()


def session_code(calls: Sequence[Said], model_code: str | None) -> str:
    """Code that makes several calls again, one after another, with their results in `results`.

    Args:
        model_code: as in `Method.code`.
    """
    lines, shown = [*_head(model_code), "results = []"], []
    for said in calls:
        variable, defined = _subject(said.method, said.params)
        lines += ["", *(f"# {line}" for line in said.words.splitlines())]
        lines += defined if defined != shown else []
        shown = defined or shown
        named = [line.split(" = ")[0] for line in said.before]
        lines += [*said.before, *_call_lines(said.method, said.params, variable, named), "results.append(result)"]
    return "\n".join([*lines, ""])


def _subject(method: Method[..., Any], params: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The variable of the prompt or pair that a method runs on, and the lines that define it."""
    subject = subject_of(params) if method.subject else None
    return ("", []) if subject is None else subject_code(subject)


def _head(model_code: str | None) -> list[str]:
    model = "# model: your own model object" if model_code is None else f"model = {model_code}"
    return ["import interp_backend as ib", "", model]


def _call_lines(
    method: Method[..., Any], params: Mapping[str, Any], variable: str, named: Sequence[str] = ()
) -> list[str]:
    """The call, and what has to be said about its arguments but those that lines before it have named."""
    notes: list[str] = []
    arguments = [f"    {variable},"] if variable else []
    for name, parameter in method.options.items():
        value = _value(name, params)
        if name not in params or _is_default(value, parameter, params):
            continue
        text, note = _printed(name, value)
        notes += [f"# {note}"] if note and name not in named else []
        by_place = parameter.default is inspect.Parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
        arguments.append(f"    {text}," if by_place else f"    {name}={text},")
    return [*notes, f"result = ib.{method.name}(", "    model,", *arguments, ")"]


def _value(name: str, params: Mapping[str, Any]) -> Any:
    # A token's text need not become the same token again: where a result names the ids, they are printed.
    return params.get(f"{name}_ids", params.get(name))


def _is_default(value: Any, parameter: inspect.Parameter, params: Mapping[str, Any]) -> bool:
    default, by = parameter.default, marker(parameter.annotation, ChoicesBy)
    if by is not None and value is not None:
        return list(value) == list(by.choices.get(params.get(by.argument, ""), [[]])[0])
    if isinstance(value, dict) and isinstance(default, str):
        return value == {"kind": default}
    return value == (list(default) if isinstance(default, tuple) else default)


def _printed(name: str, value: Any) -> tuple[str, str | None]:
    """An argument as code, and what has to be said about it if that is not all."""
    if isinstance(value, dict) and set(value) == {"own"}:
        return name, f"{name}: your own object"
    if name == "metric":
        return _metric(value)
    if name == "hypothesis":
        hypothesis = as_hypothesis(value)
        own = any(not isinstance(feature, str) for feature in hypothesis.agree.values())
        return _further_in(hypothesis.code()), "the functions of the hypothesis: your own" if own else None
    if name == "data":
        _, lines = subject_code(PromptPairs([as_pair(pair) for pair in value]))
        return _further_in("\n".join(lines).removeprefix("pairs = ")), None
    if name == "value":
        return _constructor(as_value(value)), None
    if name == "interventions":
        parts = [[_constructor(Intervention.model_validate(one)) for one in part] for part in value]
        return _list([part[0] if len(part) == 1 else _list(part) for part in parts]), None
    return repr(_plain(value)), None


def _further_in(text: str) -> str:
    return text.replace("\n", "\n    ")


def _list(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def _constructor(model: BaseModel) -> str:
    """A value or an intervention as the call that makes it, with the fields that are not defaults."""
    fields = {name: getattr(model, name) for name in type(model).model_fields if name != "kind"}
    said = [
        f"{name}={_constructor(value) if isinstance(value, BaseModel) else repr(value)}"
        for name, value in fields.items()
        if type(model).model_fields[name].is_required() or value != type(model).model_fields[name].default
    ]
    return f"ib.{type(model).__name__}({', '.join(said)})"


def _metric(named: Any) -> tuple[str, str | None]:
    """A metric of a result as an argument, and what has to be said about it."""
    name, at, own = metric_parts(named)
    text = name if own else repr(name)
    return text if at is None else f"({text}, {at})", f"{name}: your own function of the logits" if own else None


def metric_parts(named: Any) -> tuple[str, int | None, bool]:
    """A metric of a result, "name" or "name@position": its name, its position, and whether it is the user's own.

    Raises:
        ValueError: it is no text, or its position is no whole number.
    """
    if not isinstance(named, str):
        raise ValueError(f"A metric is named by text, not {named!r}.")
    name, at_sign, at = named.partition("@")
    if at_sign and not at.removeprefix("-").isdecimal():
        raise ValueError(f"A metric is read at a position, a whole number, not {at!r}.")
    own = name not in METRICS
    taken = name in OWN_VARIABLES or name == "metric" or hasattr(builtins, name)
    if own and (taken or not name.isidentifier() or iskeyword(name)):
        name = "my_metric"  # a lambda, for example, has no name that could be written
    return name, int(at) if at_sign else None, own


def _plain(value: Any) -> Any:
    """JSON values as they are; whatever else a file holds is refused.

    Raises:
        ValueError: a value that is no plain JSON.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    raise ValueError(f"A parameter can't be written as code: {value!r}.")
