"""Attention arrays that were computed elsewhere, as a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..common.head_measures import head_measures
from ..results.attention import AttentionPatterns, AttentionSide

HEADS_AT_ONCE = 12


def given_attention(
    attention: np.ndarray, tokens: Sequence[str], names: list[str], causal: bool
) -> tuple[AttentionPatterns, float, float]:
    """Make a result with one layer from an array of attention. Also returns the lowest and the highest value.

    Infinite values become NaN, and the result's warnings say so. They also name rows that do not sum to one, unless
    there are negative values, since such an array does not hold attention weights.

    Args:
        attention: [head, destination, source], float32.
        tokens: the texts of the tokens, [position].
        names: the names of the heads in warnings.
        causal: whether sources after the destination are masked.
    """
    given = torch.from_numpy(np.ascontiguousarray(attention))
    plain = given.tril() if causal else given.clone()  # zeros where masked, for sums
    ends = [head.aminmax() for head in plain]
    wrong = [i for i, (low, high) in enumerate(ends) if not (torch.isfinite(low) and torch.isfinite(high))]
    for i in wrong:
        plain[i] = torch.where(torch.isfinite(plain[i]), plain[i], torch.nan)
        ends[i] = plain[i].nan_to_num().aminmax()
    least, most = min(float(low) for low, _ in ends), max(float(high) for _, high in ends)
    warnings = _warnings(plain, wrong, names, weights=least >= 0)
    ids, text = _ids(tokens), "".join(tokens)
    parts = [head_measures(part, ids) for part in plain.split(HEADS_AT_ONCE)]
    scores = {name: np.concatenate([part[name] for part in parts])[None] for name in parts[0]}
    masked = torch.ones(plain.shape[1:], dtype=torch.bool).triu(1) if causal else torch.zeros(plain.shape[1:]).bool()
    side = AttentionSide(
        text=text,
        ids=ids,
        tokens=list(tokens),
        values=plain.masked_fill_(masked, torch.nan)[None].numpy(),
        masked=masked[None].numpy().astype(np.uint8),
        scores=scores,
    )
    result = AttentionPatterns(
        kind="pattern",
        params={"kind": "pattern", "prompt": text, "pair": None, "layers": None, "heads": None, "last": None},
        layers=[0],
        heads=list(range(len(plain))),
        sides={"prompt": side},
        warnings=warnings,
    )
    return result, least, most


def _warnings(plain: Tensor, wrong: list[int], names: list[str], weights: bool) -> list[str]:
    """Warnings about values that are not finite, and about rows of weights that do not sum to one."""
    warnings = []
    if wrong:
        warnings.append(f"Not numbers (NaN or infinite), hatched: some entries of {_few([names[i] for i in wrong])}.")
    odd = (plain.sum(-1) - 1).abs() > 0.02  # [head, destination]; false for rows with NaN
    if weights and odd.any():
        off = [names[i] for i in odd.any(1).nonzero()[:, 0].tolist()]
        warnings.append(
            f"Rows that do not sum to one: {int(odd.sum())} of {odd.numel()}, in {_few(off)}. They are shown as given."
        )
    return warnings


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _ids(tokens: Sequence[str]) -> list[int]:
    """A number for each token; equal texts have equal numbers."""
    known: dict[str, int] = {}
    return [known.setdefault(token, len(known)) for token in tokens]
