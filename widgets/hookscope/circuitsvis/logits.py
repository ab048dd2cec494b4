"""A model's predictions at each token: `circuitsvis.logits`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from interp_backend.results.codec import encode_array

from .inputs import numbers, same_count, texts, token_ids, wire
from .token_values import TokenValues

_ABOVE_ONE = 1e-3  # above this, rounding can't explain a log probability


def token_log_probs(
    token_indices: Any, log_probs: Any, to_string: Callable[[int], str], top_k: int = 10
) -> TokenValues:
    """Show how likely each token was, and which were likelier: the counterpart of `circuitsvis.logits.token_log_probs`.

    Args:
        token_indices: token ids [token] or [1, token]; the first is the beginning of the sequence.
        log_probs: log probabilities (nats) of the next token [token, vocabulary] or [1, token, vocabulary].
        to_string: the text of a token id.
        top_k: how many of the likeliest tokens are shown; at most the vocabulary.

    Raises:
        TypeError: ids or log probabilities are not real numbers, or `to_string` does not give text.
        ValueError: counts differ, ids are outside the vocabulary, or `top_k` is negative.
    """
    said = numbers(log_probs, "log_probs", ("token", "vocabulary"))
    ids = token_ids(token_indices, "token_indices", said.shape[1])
    same_count(ids, len(said), "rows of log_probs")
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}; give how many of the likeliest tokens are shown.")
    said, after = said[:-1], ids[1:]  # the token after the last one is unknown
    text = cache(lambda id: texts([to_string(id)], "to_string's answer")[0])
    top = _top(said, min(int(top_k), said.shape[1]))
    shown = {id: number for number, id in enumerate(np.unique(top).tolist())}
    likely = said[np.arange(len(after)), after]
    return TokenValues(
        {
            "kind": "predictions",
            "title": "Log probabilities",
            "warnings": _warnings(said),
            "tokens": [text(id) for id in ids.tolist()],
            "log_probs": wire(likely),
            "ranks": encode_array(_ranks(said, likely)),
            "top_log_probs": wire(np.take_along_axis(said, top, axis=1)),
            "top_tokens": encode_array(np.array([[shown[id] for id in row] for row in top.tolist()], np.int32)),
            "strings": [text(id) for id in shown],
        }
    )


def _top(said: np.ndarray, k: int) -> np.ndarray:
    """Ids of the likeliest tokens [token, k], likeliest first; ties are broken by the smaller id."""
    found = np.zeros((len(said), k), np.int64)
    for position, row in enumerate(said):
        some = np.argpartition(-row, k - 1)[:k] if 0 < k < len(row) else np.arange(len(row))[:k]
        found[position] = some[np.lexsort((some, -row[some]))]
    return found


def _ranks(said: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """How many tokens were likelier [token]; 0 is the top, and -1 where there is no number."""
    found = [-1 if np.isnan(value) else (row > value).sum() for row, value in zip(said, likely)]
    return np.array(found, np.int32)


def _warnings(said: np.ndarray) -> list[str]:
    if said.size and np.nanmax(said) > _ABOVE_ONE:
        return ["Some values are above 0, so these are not log probabilities; give logits.log_softmax(-1)."]
    return []
