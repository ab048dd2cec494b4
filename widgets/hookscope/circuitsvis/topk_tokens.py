"""Tokens at which neurons are most and least active: `circuitsvis.topk_tokens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_backend.results.codec import encode_array

from .inputs import menus, numbers, parts, same_count, texts, wire
from .token_values import Parts, TokenValues


def topk_tokens(
    tokens: Sequence[Sequence[str]],
    activations: Sequence[Any],
    max_k: int = 10,
    first_dimension_name: str = "Layer",
    third_dimension_name: str = "Neuron",
    sample_labels: Sequence[str] | None = None,
    first_dimension_labels: Sequence[str] | None = None,
) -> TokenValues:
    """Show each neuron's top and bottom tokens in a table: the counterpart of `circuitsvis.topk_tokens.topk_tokens`.

    Args:
        tokens: texts [sample][token].
        activations: of each sample, numbers [layer, token, neuron]; samples may have different neurons.
        max_k: how many of the top, and how many of the bottom tokens can be shown.
        first_dimension_name, third_dimension_name: the names for layers and neurons.
        sample_labels, first_dimension_labels: what samples and layers are called; by default numbers.

    Raises:
        TypeError: tokens are not texts, or activations are not real numbers.
        ValueError: there is not one activation for each token, samples have different numbers of layers, or `max_k` is
            below 1.
    """
    samples = [texts(sample, f"tokens[{i}]") for i, sample in enumerate(parts(tokens, "tokens"))]
    found = [
        numbers(sample, f"activations[{i}]", ("layer", "token", "neuron"))
        for i, sample in enumerate(parts(activations, "activations"))
    ]
    _check(samples, found, max_k)
    layers = len(found[0])
    most = [min(int(max_k), len(sample)) for sample in samples]
    layer_name = first_dimension_name or "Layer"
    return TokenValues(
        {
            "kind": "tops",
            "title": "Top and bottom tokens",
            **menus(("Sample", sample_labels, len(samples)), (layer_name, first_dimension_labels, layers)),
            "names": [layer_name, third_dimension_name or "Neuron"],
            "tokens": samples,
            "columns": [values.shape[2] for values in found],
            "k": max(most),
        },
        Parts(
            (len(samples), layers),
            sum(4 * k * layers * values.shape[2] for k, values in zip(most, found)),
            lambda sample, layer: _ends(found[sample][layer], most[sample]),
        ),
    )


def _check(samples: list[list[str]], found: list[np.ndarray], max_k: int) -> None:
    if len(samples) != len(found):
        raise ValueError(f"There are {len(samples)} samples of tokens and {len(found)} of activations; give as many.")
    if not found or not all(values.size for values in found):
        raise ValueError("There is nothing to show; give at least one sample, with a layer, a token and a neuron.")
    if max_k < 1:
        raise ValueError(f"max_k is {max_k}; give at least 1.")
    for i, (texts_of, values) in enumerate(zip(samples, found)):
        same_count(texts_of, values.shape[1], "columns of activations [layer × token × neuron]", f" in sample {i}")
        if len(values) != len(found[0]):
            raise ValueError(f"Sample {i} has {len(values)} layers, the first has {len(found[0])}; give as many.")


def _ends(values: np.ndarray, k: int) -> dict[str, Any]:
    """The k largest and the k smallest of each column of [token, neuron], both from large to small; NaN is neither."""
    top = np.argsort(-values, axis=0, kind="stable")[:k]
    bottom = np.argsort(values, axis=0, kind="stable")[:k][::-1]
    return {
        "top": wire(np.take_along_axis(values, top, axis=0)),
        "top_at": encode_array(top.astype(np.int32)),
        "bottom": wire(np.take_along_axis(values, bottom, axis=0)),
        "bottom_at": encode_array(bottom.astype(np.int32)),
    }
