"""Scores of a head from its attention pattern alone: previous-token, duplicate-token and induction attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..results.head_table import Score

MEASURES = {
    "previous_token": Score(label="previous token", help="attention to the position before, mean over destinations"),
    "duplicate_token": Score(label="duplicate token", help="attention to earlier occurrences of the same token"),
    "induction": Score(
        label="induction", help="attention to what came right after earlier occurrences of the same token"
    ),
    "first_token": Score(label="first token", help="attention to the first position, where heads rest"),
    "entropy": Score(
        label="entropy",
        help="in nats, mean over destinations; 0 where all attention is on one position",
        descending=False,
        unit="nats",
    ),
    "distance": Score(
        label="distance", help="how many tokens back the head attends, mean over destinations", unit="tokens"
    ),
}


def head_measures(pattern: Tensor | np.ndarray, ids: Sequence[int]) -> dict[str, np.ndarray]:
    """Each of `MEASURES` for a layer's heads, [head], float32; NaN where the prompt has no place to measure it.

    All scores are means over destinations, except the first position, which can only attend to itself.
    `duplicate_token` and `induction` sum the attention to all matching sources, and average over the destinations whose
    token has occurred before. Where a token occurs twice in a row, its second occurrence is what followed the first.

    Args:
        pattern: [head, destination, source].
        ids: the tokens, [position].
    """
    pattern = torch.as_tensor(pattern)
    length = len(ids)
    if length < 2:
        return {name: np.full(len(pattern), np.nan, np.float32) for name in MEASURES}
    tokens = torch.tensor(list(ids), device=pattern.device)
    back = torch.arange(length, device=pattern.device)
    distance = (back[:, None] - back).clamp(min=0).to(pattern.dtype)
    same = (tokens[:, None] == tokens).tril(-1)  # [destination, source]: the same token, earlier
    after = torch.zeros_like(same)
    after[:, 1:] = same[:, :-1]
    later = pattern[:, 1:]
    scores = {
        "previous_token": later.diagonal(dim1=1, dim2=2).mean(-1),
        "duplicate_token": _at(pattern, same),
        "induction": _at(pattern, after),
        "first_token": later[:, :, 0].mean(-1),
        "entropy": torch.special.entr(later).sum(-1).mean(-1),
        "distance": torch.einsum("hds,ds->hd", later, distance[1:]).mean(-1),
    }
    # Arrays that are not attention weights, with negative entries for example, can give infinite scores.
    return {name: value.float().nan_to_num(*[torch.nan] * 3).cpu().numpy() for name, value in scores.items()}


def _at(pattern: Tensor, places: Tensor) -> Tensor:
    """Attention summed over the marked sources of each destination; the mean over destinations with a marked source.

    Args:
        places: which entries are marked, [destination, source].
    """
    destination, source = places.nonzero(as_tuple=True)  # far fewer than all entries
    if not len(destination):
        return pattern.new_full((len(pattern),), torch.nan)
    return pattern[:, destination, source].sum(-1) / int(places.any(1).sum())
