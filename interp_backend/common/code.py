"""A sweep as Python code: what one would write to get the same numbers without a widget."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from ..language.interventions import as_value
from ..language.metrics import METRICS
from ..language.prompts import PromptPair
from .cells import axes_of

_WHERE = ("layers", "heads", "positions", "sources", "neurons")


def python_code(model_code: str | None, params: Mapping[str, Any]) -> str:
    """Code that makes a result with these parameters.

    Args:
        model_code: an expression that loads the model; None for an object of the user's own, which is then called
            `model`.
        params: of a result of `activation_patching`, perhaps from somebody's file: what is no plain value is refused.

    Raises:
        ValueError: parameters that are none of `activation_patching`.
    """
    lines = _header(model_code)
    if params.get("pairs"):
        lines += ["pairs = ib.PromptPairs(", "    ["]
        lines += [_indented(_pair(PromptPair.model_validate(pair)), 8) + "," for pair in params["pairs"]]
        lines += ["    ]", ")"]
    else:
        lines.append(f"pair = {_pair(PromptPair.model_validate(params['pair']))}")
    if _metric_name(params["metric"]) not in METRICS:
        lines.append(f"# {_metric_name(params['metric'])}: your own function of the logits")
    lines += ["result = ib.activation_patching(", "    model,", "    pairs," if params.get("pairs") else "    pair,"]
    lines += [f"    {name}={text}," for name, text in _arguments(params)]
    return "\n".join([*lines, ")", "result.plot()", ""])


def lens_code(model_code: str | None, params: Mapping[str, Any], own: bool = False) -> str:
    """Code that makes a `LogitLens` with these parameters; its tuned lens may be the user's own, called `lens`."""
    name, lines = _prompt(params)
    tuned = "    lens=lens,  # the one that you gave to the widget" if own else '    lens="tuned",'
    arguments = [f"    stream={params['stream']!r},"] if params["stream"] != "resid_post" else []
    if params["target_ids"] or params["pair"]:  # a pair's own answers are followed if nothing is said
        arguments.append(f"    targets={[int(token) for token in params['target_ids']]!r},")
    arguments += [f"    top_k={params['top_k']!r},"] if params["top_k"] != 10 else []
    arguments += [f"    last={params['last']!r},"] if params.get("last") is not None else []
    arguments += [tuned] if params["lens"] == "tuned" else []
    call = ["result = ib.logit_lens(", "    model,", f"    {name},", *arguments, ")", "result.plot()", ""]
    return "\n".join([*_header(model_code), *lines, *call])


def attribution_code(model_code: str | None, params: Mapping[str, Any]) -> str:
    """Code that makes an `Attribution` with these parameters."""
    name, lines = _prompt(params)
    ids = [[int(token) for token in params[key]] for key in ("answer_ids", "wrong_answer_ids")]
    arguments = [f"    {', '.join(repr(some) for some in ids if some)},"]
    arguments += [f"    unit={params['unit']!r},", f"    position={params['position']!r},"]
    arguments += ["    by_source=True,"] if params["by_source"] else []
    arguments += [f"    last={params['last']!r},"] if params.get("last") is not None else []
    call = ["result = ib.direct_logit_attribution(", "    model,", f"    {name},", *arguments, ")", "result.plot()", ""]
    return "\n".join([*_header(model_code), *lines, *call])


def attention_code(model_code: str | None, params: Mapping[str, Any]) -> str:
    """Code that makes an `Attention` with these parameters."""
    name, lines = _prompt(params)
    arguments = [f"    kind={params['kind']!r},"]
    arguments += [f"    {key}={params[key]!r}," for key in ("layers", "heads", "last") if params.get(key) is not None]
    call = ["result = ib.attention_patterns(", "    model,", f"    {name},", *arguments, ")", "result.plot()", ""]
    return "\n".join([*_header(model_code), *lines, *call])


def _header(model_code: str | None) -> list[str]:
    model = "# model: the one that you gave to the widget" if model_code is None else f"model = {model_code}"
    return ["import interp_backend as ib", "", model]


def _prompt(params: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a prompt or a pair is called, and the lines that make it."""
    if params["pair"] is None:
        return "prompt", [f"prompt = {params['prompt']!r}"]
    return "pair", [f"pair = {_pair(PromptPair.model_validate(params['pair']))}"]


def _arguments(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The arguments that say something: those that differ from the function's own choice."""
    arguments = [(name, repr(params[name])) for name in ("activation", "direction")]
    arguments.append(("metric", _metric(params["metric"])))
    if tuple(params["axes"]) != axes_of(params["activation"])[0]:
        arguments.append(("axes", repr(tuple(params["axes"]))))
    value = as_value(params.get("value", "other"))
    if value.kind != "other":
        fields = ", ".join(f"{name}={getattr(value, name)!r}" for name in sorted(value.model_fields_set - {"kind"}))
        arguments.append(("value", f"ib.{type(value).__name__}({fields})"))
    if params.get("at") is not None:
        arguments.append(("at", repr(params["at"])))
    if params.get("window", 1) != 1:
        arguments.append(("window", repr(params["window"])))
    return arguments + [(name, repr(params[name])) for name in _WHERE if params.get(name) is not None]


def _metric(named: str) -> str:
    """A metric of a result, "name" or "name@position", as an argument."""
    _, at_sign, at = named.partition("@")
    if at_sign and not at.removeprefix("-").isdecimal():
        raise ValueError(f"A metric is read at a position, a whole number, not {at!r}.")
    name = _metric_name(named)
    text = repr(name) if name in METRICS else name
    return f"({text}, {int(at)})" if at_sign else text


def _metric_name(named: str) -> str:
    """What a metric is called in code: as it is, if that can be written there (a lambda has no such name)."""
    name = named.partition("@")[0]
    return name if name.isidentifier() and not iskeyword(name) else "my_metric"


def _pair(pair: PromptPair) -> str:
    fields = {name: getattr(pair, name) for name in PromptPair.model_fields}
    said = [f"    {name}={value!r}," for name, value in fields.items() if value not in ("", False, None)]
    return "\n".join(["ib.PromptPair(", *said, ")"])


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
