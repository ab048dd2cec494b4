"""What the menus of a patch heatmap offer, and why some of it can't be chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interp_backend.common.cells import axes_of, opens
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.model import ACTIVATIONS, LanguageModel

# kind, label, help, fields that a view asks for
_VALUES = [
    ("other", "the other run", "the pair's other run, at the corresponding position", []),
    ("prompt", "a third prompt", "the run of any third prompt of as many tokens", ["text"]),
    ("zero", "zero", "zeros: far from what the model has seen, so read with care", []),
    ("mean", "mean", "the mean over a data set of prompts", ["by_position"]),
    ("resample", "resample", "random prompts of a data set", ["draws", "seed"]),
    ("add", "add the difference", "steering: the other run minus this one, times a factor, added", ["factor"]),
    ("scale", "scale", "the activation itself times a factor", ["factor"]),
]


def activation_menu(model: LanguageModel) -> list[dict[str, Any]]:
    menu = []
    for name, activation in ACTIVATIONS.items():
        choices = axes_of(name)
        for axes in choices:
            if "neuron" in axes and "position" in axes:
                continue  # millions of cells: neurons at a position are opened from a map by position
            by = " and ".join(axis for axis in axes if axis != "layer")
            menu.append(
                {
                    "activation": name,
                    "axes": list(axes),
                    "label": f"{name}, by {by}" if len(choices) > 1 else name,
                    "help": activation.help,
                    "reason": model.why_not(name),
                    "opens": opens(name, axes),
                }
            )
    return menu


def metric_menu(own: Callable[..., Any] | str | None) -> list[dict[str, str]]:
    menu = [{"name": metric.name, "label": metric.label, "help": metric.help} for metric in METRICS.values()]
    if own is not None and own not in METRICS:
        menu.append({"name": name_of(own), "label": name_of(own), "help": "your own function of the logits"})
    return menu


def direction_menu(value: str) -> list[dict[str, str]]:
    """Which run is patched: from the other one, or where the value is of another kind just that run."""
    if value in ("other", "add"):
        return [
            {
                "name": "denoise",
                "label": "clean \u2192 corrupt",
                "help": "patch clean activations into the corrupt run: what is enough to bring the answer back",
            },
            {
                "name": "noise",
                "label": "corrupt \u2192 clean",
                "help": "patch corrupt activations into the clean run: what the answer can't do without",
            },
        ]
    return [
        {"name": "denoise", "label": "in the corrupt run", "help": "change the corrupt run"},
        {
            "name": "noise",
            "label": "in the clean run",
            "help": "change the clean run: what the answer can't do without",
        },
    ]


def value_menu(has_data_set: bool) -> list[dict[str, Any]]:
    needs = "Give prompts to take it from: PatchHeatmap(..., dataset=[...])."
    return [
        {
            "kind": kind,
            "label": label,
            "help": help,
            "fields": fields,
            "reason": needs if kind in ("mean", "resample") and not has_data_set else None,
        }
        for kind, label, help, fields in _VALUES
    ]
