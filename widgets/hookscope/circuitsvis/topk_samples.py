"""Samples that activate a neuron most: `circuitsvis.topk_samples`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .inputs import is_tensor, menus, numbers, parts, same_count, texts, wire
from .token_values import Parts, TokenValues


def topk_samples(
    tokens: Sequence[Sequence[Sequence[Sequence[str]]]],
    activations: Any,
    zeroth_dimension_name: str | None = "Layer",
    first_dimension_name: str | None = "Neuron",
    zeroth_dimension_labels: Sequence[str] | None = None,
    first_dimension_labels: Sequence[str] | None = None,
) -> TokenValues:
    """Show the samples of each neuron, in the given order: the counterpart of `circuitsvis.topk_samples.topk_samples`.

    Args:
        tokens: texts [layer][neuron][sample][token].
        activations: numbers [layer][neuron][sample][token]; samples may be of any length.
        zeroth_dimension_name, first_dimension_name: what the two menus choose.
        zeroth_dimension_labels, first_dimension_labels: what their entries are called; by default numbers.

    Raises:
        TypeError: tokens are not texts, or activations are not real numbers.
        ValueError: there is not one activation for each token, or there are layers with different numbers of neurons.
    """
    if is_tensor(activations):
        activations = numbers(activations, "activations", ("layer", "neuron", "sample", "token"))
    found = [
        [_neuron(*both, f"[{layer}][{neuron}]") for neuron, both in enumerate(_paired(*of_layer, f"[{layer}]"))]
        for layer, of_layer in enumerate(_paired(tokens, activations, ""))
    ]
    layers, neurons = len(found), len(found[0]) if found else 0
    if neurons == 0:
        raise ValueError("There are no neurons; give at least one layer with one.")
    for layer, of_layer in enumerate(found):
        if len(of_layer) != neurons:
            raise ValueError(f"Layer {layer} has {len(of_layer)} neurons, the first has {neurons}; give as many.")
    return TokenValues(
        {
            "kind": "samples",
            "title": "Top samples",
            **menus(
                (zeroth_dimension_name or "Layer", zeroth_dimension_labels, layers),
                (first_dimension_name or "Neuron", first_dimension_labels, neurons),
            ),
            "ordered": True,
            "tokens": None,
            "low": None,
            "high": None,
        },
        Parts(
            (layers, neurons),
            sum(len(values) for of_layer in found for _, values in of_layer),
            lambda first, second: {"tokens": found[first][second][0], "values": wire(found[first][second][1])},
        ),
    )


def _paired(tokens: Any, activations: Any, where: str) -> list[tuple[Any, Any]]:
    texts_of, values_of = parts(tokens, f"tokens{where}"), parts(activations, f"activations{where}")
    if len(texts_of) != len(values_of):
        raise ValueError(
            f"tokens{where} has {len(texts_of)} entries and activations{where} {len(values_of)}; give as many."
        )
    return list(zip(texts_of, values_of))


def _neuron(tokens: Any, activations: Any, where: str) -> tuple[list[list[str]], np.ndarray]:
    """Its samples, and their activations laid end to end."""
    samples: list[list[str]] = []
    values = [np.zeros(0, np.float32)]
    for i, (texts_of, values_of) in enumerate(_paired(tokens, activations, where)):
        samples.append(texts(texts_of, f"tokens{where}[{i}]"))
        values.append(numbers(values_of, f"activations{where}[{i}]", ("token",)))
        same_count(samples[-1], len(values[-1]), "activations", f" in activations{where}[{i}]")
    return samples, np.concatenate(values)
