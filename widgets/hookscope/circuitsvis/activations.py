"""Activations of neurons at each token: `circuitsvis.activations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .inputs import is_tensor, menus, numbers, parts, same_count, texts, wire
from .token_values import Parts, TokenValues

_AXES = ("token", "layer", "neuron")


def text_neuron_activations(
    tokens: Sequence[str] | Sequence[Sequence[str]],
    activations: Any,
    first_dimension_name: str | None = "Layer",
    second_dimension_name: str | None = "Neuron",
    first_dimension_labels: Sequence[str] | None = None,
    second_dimension_labels: Sequence[str] | None = None,
) -> TokenValues:
    """Show one neuron's activation at each token: the counterpart of `circuitsvis.activations.text_neuron_activations`.

    Args:
        tokens: texts [token] of one sample, or [sample][token].
        activations: numbers [token, layer, neuron], or a list of them, one for each sample.
        first_dimension_name, second_dimension_name: what the two menus choose.
        first_dimension_labels, second_dimension_labels: what their entries are called; by default numbers.

    Raises:
        TypeError: tokens are not texts, or activations are not real numbers.
        ValueError: there is not one activation for each token, or there are samples of different layers or neurons.
    """
    samples = _samples(tokens)
    found = _activations(activations)
    if len(samples) != len(found):
        raise ValueError(f"There are {len(samples)} samples of tokens and {len(found)} of activations; give as many.")
    if not found:
        raise ValueError("There are no samples; give at least one.")
    for i, (texts_of, values) in enumerate(zip(samples, found)):
        same_count(texts_of, len(values), "rows of activations", f" in sample {i}")
        if values.shape[1:] != found[0].shape[1:]:
            raise ValueError(
                f"Sample {i} has {_size(values)}, the first has {_size(found[0])}; give all samples the same ones."
            )
    values = np.concatenate(found)
    layers, neurons = values.shape[1:]
    if layers == 0 or neurons == 0:
        raise ValueError(f"activations has {_size(values)}; give at least one of each.")
    finite = values[np.isfinite(values)]
    return TokenValues(
        {
            "kind": "samples",
            "title": "Activations by token",
            **menus(
                (first_dimension_name or "Layer", first_dimension_labels, layers),
                (second_dimension_name or "Neuron", second_dimension_labels, neurons),
            ),
            "ordered": False,
            "tokens": samples,
            "low": float(finite.min()) if finite.size else 0.0,
            "high": float(finite.max()) if finite.size else 0.0,
        },
        Parts((layers, neurons), values.size, lambda first, second: {"values": wire(values[:, first, second])}),
    )


def _samples(tokens: Any) -> list[list[str]]:
    given = parts(tokens, "tokens")
    if not given or isinstance(given[0], str):
        return [texts(given, "tokens")]
    return [texts(sample, f"tokens[{i}]") for i, sample in enumerate(given)]


def _activations(activations: Any) -> list[np.ndarray]:
    """The activations of each sample, [token, layer, neuron]."""
    if _depth(activations) <= len(_AXES):
        return [numbers(activations, "activations", _AXES)]
    given = parts(activations, "activations")
    return [numbers(sample, f"activations[{i}]", _AXES) for i, sample in enumerate(given)]


def _depth(value: Any) -> int:
    """The number of axes of nested lists, judged by their first entries."""
    if is_tensor(value) or isinstance(value, np.ndarray):
        return value.ndim
    if isinstance(value, (list, tuple)):
        return 1 + (_depth(value[0]) if len(value) else 0)
    return 0


def _size(values: np.ndarray) -> str:
    return f"{values.shape[1]} layers and {values.shape[2]} neurons"
