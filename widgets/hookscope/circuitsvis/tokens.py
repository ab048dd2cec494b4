"""Tokens coloured by their values: `circuitsvis.tokens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .inputs import color, number, numbers, same_count, texts, token_ids, wire
from .token_values import TokenValues


def colored_tokens(
    tokens: Sequence[str],
    values: Any,
    min_value: float | None = None,
    max_value: float | None = None,
    negative_color: str | None = None,
    positive_color: str | None = None,
) -> TokenValues:
    """Show tokens, each coloured by its value: the counterpart of `circuitsvis.tokens.colored_tokens`.

    Args:
        tokens: texts [token].
        values: numbers [token].
        min_value, max_value: where the colours are strongest; by default the least and the largest value.
        negative_color, positive_color: CSS colours; by default the theme's orange and blue.

    Raises:
        TypeError: tokens are not texts, or values are not real numbers.
        ValueError: there is not one value for each token.
    """
    tokens = texts(tokens, "tokens")
    values = numbers(values, "values", ("token",)) if len(tokens) or np.size(values) else np.zeros(0, np.float32)
    same_count(tokens, len(values), "values")
    return TokenValues(
        {
            "kind": "tokens",
            "title": "Token values",
            "warnings": [],
            "tokens": tokens,
            "values": wire(values),
            "low": number(min_value, "min_value"),
            "high": number(max_value, "max_value"),
            "colors": {
                "positive": color(positive_color, "positive_color"),
                "negative": color(negative_color, "negative_color"),
            },
        }
    )


def colored_tokens_multi(tokens: Sequence[str], values: Any, labels: Sequence[str] | None = None) -> TokenValues:
    """Show tokens with several values each: the counterpart of `circuitsvis.tokens.colored_tokens_multi`.

    One value colours the tokens: the one whose name is hovered over, clicked, or chosen with the arrow keys.

    Args:
        tokens: texts [token].
        values: numbers [token, value].
        labels: the names of the values [value]; by default their numbers.

    Raises:
        TypeError: tokens are not texts, or values are not real numbers.
        ValueError: there is not one row for each token, or not one label for each column.
    """
    tokens = texts(tokens, "tokens")
    return _columns("Token values", tokens, numbers(values, "values", ("token", "value")), labels)


def visualize_model_performance(tokens: Any, str_tokens: Sequence[str], logits: Any) -> TokenValues:
    """Show how well each token was predicted: the counterpart of `circuitsvis.tokens.visualize_model_performance`.

    The logit, the log probability (nats) and the probability of each token but the first, given those before it.

    Args:
        tokens: token ids [token] or [1, token].
        str_tokens: their texts [token].
        logits: the model's logits [token, vocabulary] or [1, token, vocabulary].

    Raises:
        TypeError: tokens or logits are not real numbers, or `str_tokens` are not texts.
        ValueError: counts differ, or ids are outside the vocabulary.
    """
    said = numbers(logits, "logits", ("token", "vocabulary"))
    ids = token_ids(tokens, "tokens", said.shape[1])
    str_tokens = texts(str_tokens, "str_tokens")
    same_count(str_tokens, len(ids), "token ids")
    same_count(str_tokens, len(said), "rows of logits")
    found = np.zeros((max(0, len(ids) - 1), 3), np.float32)
    for position, (row, id) in enumerate(zip(said, ids[1:])):  # one by one: a copy of all logits can be large
        log_prob = float(row[id]) - float(np.logaddexp.reduce(row.astype(np.float64)))
        found[position] = float(row[id]), log_prob, np.exp(log_prob)
    return _columns("Model performance", str_tokens[1:], found, ["logits", "log_probs", "probs"])


def _columns(title: str, tokens: list[str], values: np.ndarray, labels: Sequence[str] | None) -> TokenValues:
    same_count(tokens, len(values), "rows of values")
    names = [str(label) or str(i) for i, label in enumerate(labels)] if labels is not None and len(labels) else None
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"There are {len(names)} labels for {values.shape[1]} values a token; give one for each.")
    return TokenValues(
        {
            "kind": "columns",
            "title": title,
            "warnings": [],
            "tokens": tokens,
            "values": wire(values),
            "labels": names or [str(i) for i in range(values.shape[1])],
        }
    )
