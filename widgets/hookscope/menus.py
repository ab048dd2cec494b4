"""Menus for views, made from tables of names and, for a patch heatmap, from the methods' JSON schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from interp_backend import METHODS
from interp_backend.common.cells import opens
from interp_backend.common.method import Method
from interp_backend.common.signatures import listed_help
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.model import ACTIVATIONS, LanguageModel
from interp_backend.results.effect_map import EffectMap

# Arguments that have a control of their own; other arguments get a control by their type.
SHARED = ("activation", "axes", "metric", "direction", "value", "window", "at")
# Arguments that the widget chooses by itself.
_OWN = ("top_k",)
# Arguments whose default in a heatmap is another than in Python.
DEFAULTS = {"estimate": "gradient"}
_PLAIN = ("integer", "number", "boolean")
# The labels of directions for values that do not come from the other run: they name the run that is changed.
_CHANGED = {"denoise": "in the corrupt run", "noise": "in the clean run"}


def choices(table: Mapping[str, tuple[str, str]], reasons: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """The entries of a menu.

    Args:
        table: the label and the help of each entry, by name.
        reasons: why an entry can't be chosen, by name.
    """
    return [
        {"name": name, "label": label, "help": help, "reason": reasons.get(name)}
        for name, (label, help) in table.items()
    ]


def offered() -> dict[str, Method[..., Any]]:
    """The methods that return an effect map of a pair and have no other required argument."""
    return {
        name: method
        for name, method in METHODS.items()
        if gives_map(method) and method.subject == "pair" and not method.schema.get("required")
    }


def gives_map(method: Method[..., Any]) -> bool:
    """Whether a method returns an effect map, if perhaps several of them for some arguments."""
    return EffectMap in (method.result_type, *get_args(method.result_type))


def menus_of(
    method: Method[..., Any],
    model: LanguageModel | None,
    own: Callable[..., Any] | str | None,
    has_data_set: bool,
) -> dict[str, Any]:
    """The menus for one method, and its arguments as fields: `window`, `at`, and `fields` for all others.

    Args:
        has_data_set: whether there are prompts to take values from.

    Every entry of `methods` has the names of its `arguments`, of which a view's request may hold no others.
    """
    properties = method.schema["properties"]
    return {
        "model": None if model is None else model.describe(),
        "methods": [_method(one) for one in offered().values()],
        "activations": list(_activations(properties, model)),
        "metrics": metric_menu(own),
        "directions": _choices(properties.get("direction", {})),
        "values": list(_values(method.schema, has_data_set)),
        **{name: _field(name, properties[name]) if name in properties else None for name in ("window", "at")},
        "fields": [
            _field(name, {**one, "default": DEFAULTS.get(name, one.get("default"))})
            for name, one in properties.items()
            if name not in (*SHARED, *_OWN) and _has_field(one)
        ],
    }


def field_of(method: Method[..., Any], name: str) -> dict[str, Any]:
    """One argument of a method as a control."""
    return _field(name, method.schema["properties"][name])


def metric_menu(own: Callable[..., Any] | str | None) -> list[dict[str, str]]:
    menu = [{"name": metric.name, "label": metric.label, "help": metric.help} for metric in METRICS.values()]
    if own is not None and own not in METRICS:
        menu.append({"name": name_of(own), "label": name_of(own), "help": "your own function of the logits"})
    return menu


def for_value(directions: list[dict[str, str]], kind: str) -> list[dict[str, str]]:
    """The directions, with labels that fit the kind of value."""
    if kind in ("other", "add"):
        return directions
    return [{**one, "label": _CHANGED.get(one["name"], one["label"])} for one in directions]


def _method(method: Method[..., Any]) -> dict[str, Any]:
    return {
        "name": method.name,
        "label": method.label,
        "help": method.summary,
        "arguments": [name for name in method.schema["properties"] if name not in _OWN],
    }


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": one["const"], "label": one["title"], "help": one["description"]} for one in schema.get("oneOf", [])
    ]


def _activations(properties: dict[str, Any], model: LanguageModel | None) -> Iterable[dict[str, Any]]:
    by_activation = properties.get("axes", {}).get("choicesBy", {}).get("choices", {})
    for choice in _choices(properties.get("activation", {})):
        name = choice["name"]
        if name not in ACTIVATIONS:
            continue  # all activations at once are several maps
        choices = by_activation.get(name, [["layer", "position"]])
        for axes in choices:
            if "neuron" in axes and "position" in axes:
                continue  # millions of cells: neurons at a position are opened from a map by position
            by = " and ".join(axis for axis in axes if axis != "layer")
            yield {
                "activation": name,
                "axes": list(axes),
                "label": f"{name}, by {by}" if len(choices) > 1 else name,
                "help": choice["help"],
                "reason": None if model is None else model.why_not(name),
                "opens": opens(name, axes),
            }


def _values(schema: dict[str, Any], has_data_set: bool) -> Iterable[dict[str, Any]]:
    needs = "Give prompts to take values from: PatchHeatmap(..., dataset=[...])."
    for reference in schema["properties"].get("value", {}).get("oneOf", []):
        value = schema["$defs"][reference["$ref"].rsplit("/", 1)[-1]]
        about = listed_help(value["description"], "Attributes:")
        fields = {name: one for name, one in value["properties"].items() if name not in ("kind", "prompts", "vector")}
        yield {
            "kind": value["properties"]["kind"]["const"],
            "label": value["title"],
            "help": value["description"].split("\n")[0],
            "fields": [_field(name, {"description": about.get(name, ""), **one}) for name, one in fields.items()],
            "reason": needs if "prompts" in value["properties"] and not has_data_set else None,
        }


def _has_field(schema: dict[str, Any]) -> bool:
    """Whether an argument is a choice, a number or a boolean, or perhaps None in place of these."""
    return "oneOf" in schema or [one.get("type") in _PLAIN for one in _not_none(schema)] == [True]


def _not_none(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]


def _field(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One argument as a control: its type, bounds, choices, and when it applies."""
    plain = _not_none(schema)[0]
    return {
        "name": name,
        "label": schema.get("title", name.replace("_", " ")).lower(),
        "help": schema.get("description", ""),
        "type": "choice" if "oneOf" in schema else plain["type"],
        "choices": _choices(schema),
        "least": plain.get("minimum"),
        "most": plain.get("maximum"),
        "default": schema.get("default"),
        "optional": {"type": "null"} in schema.get("anyOf", []),
        "applies": schema.get("appliesTo"),
    }
