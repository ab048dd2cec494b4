"""What the menus of a patch heatmap offer: made of the methods' JSON schemas and of what a model has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from interp_backend.common.cells import opens
from interp_backend.common.method import METHODS, Method
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.model import LanguageModel
from interp_backend.results.effect_map import EffectMap

# Arguments with a control of their own; the others get one after their type.
SHARED = ("activation", "axes", "metric", "direction", "value", "window", "at")
_PLAIN = ("integer", "number", "boolean")
# Where the other run is not involved, a direction says just which run is changed.
_CHANGED = {"denoise": "in the corrupt run", "noise": "in the clean run"}


def offered() -> dict[str, Method[..., Any]]:
    """The methods that give an effect map of a pair, and need nothing else."""
    return {
        name: method
        for name, method in METHODS.items()
        if method.result_type is EffectMap and method.subject == "pair" and not method.schema.get("required")
    }


def menus_of(
    method: Method[..., Any], model: LanguageModel | None, own: Callable[..., Any] | str | None, has_data_set: bool
) -> dict[str, Any]:
    """The menus for one method: `methods`, `activations`, `metrics`, `directions`, `values` and `fields`."""
    properties = method.schema["properties"]
    return {
        "model": None if model is None else model.describe(),
        "methods": [{"name": name, "label": one.label, "help": one.summary} for name, one in offered().items()],
        "activations": list(_activations(properties, model)),
        "metrics": metric_menu(own),
        "directions": _choices(properties.get("direction", {})),
        "values": list(_values(method.schema, has_data_set)),
        "fields": [_field(name, one) for name, one in properties.items() if name not in SHARED and _is_plain(one)],
    }


def metric_menu(own: Callable[..., Any] | str | None) -> list[dict[str, str]]:
    menu = [{"name": metric.name, "label": metric.label, "help": metric.help} for metric in METRICS.values()]
    if own is not None and own not in METRICS:
        menu.append({"name": name_of(own), "label": name_of(own), "help": "your own function of the logits"})
    return menu


def for_value(directions: list[dict[str, str]], kind: str) -> list[dict[str, str]]:
    """The directions in words that fit what is patched in."""
    if kind in ("other", "add"):
        return directions
    return [{**one, "label": _CHANGED.get(one["name"], one["label"])} for one in directions]


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": one["const"], "label": one["title"], "help": one["description"]} for one in schema.get("oneOf", [])
    ]


def _activations(properties: dict[str, Any], model: LanguageModel | None) -> Iterable[dict[str, Any]]:
    by_activation = properties.get("axes", {}).get("choicesBy", {}).get("choices", {})
    for choice in _choices(properties.get("activation", {})):
        name = choice["name"]
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
    for kind, reference in schema["properties"].get("value", {}).get("discriminator", {}).get("mapping", {}).items():
        value = schema["$defs"][reference.rsplit("/", 1)[-1]]
        fields = [name for name in value["properties"] if name not in ("kind", "prompts", "vector")]
        yield {
            "kind": kind,
            "label": value["title"],
            "help": value["description"].split("\n")[0],
            "fields": [_field(name, value["properties"][name]) for name in fields],
            "reason": needs if "prompts" in value["properties"] and not has_data_set else None,
        }


def _is_plain(schema: dict[str, Any]) -> bool:
    return "oneOf" in schema or schema.get("type") in _PLAIN


def _field(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One argument as a control: its type, bounds, choices, and when it applies."""
    return {
        "name": name,
        "label": schema.get("title", name.replace("_", " ")).lower(),
        "help": schema.get("description", ""),
        "type": "choice" if "oneOf" in schema else schema.get("type"),
        "choices": _choices(schema),
        "least": schema.get("minimum"),
        "most": schema.get("maximum"),
        "default": schema.get("default"),
        "applies": schema.get("appliesTo"),
    }
