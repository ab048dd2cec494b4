"""Attention from anywhere, without a model: what the CircuitsVis functions of the same names show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_backend.methods.given_attention import given_attention
from interp_backend.results.attention import AttentionPatterns

from .attention_board import MARKS, SCALES, AttentionBoard

MOST_NUMBERS = 1 << 30  # 4 GB of them


class AttentionArrays(AttentionBoard):
    """All heads of an array small, some of them large, and the text they look at.

    Args:
        attention: [head, destination, source].
        tokens: the texts of the tokens, as many as destinations and sources.
        names: what each head is called; by default Head 0, Head 1, ...
        max_value, min_value: the ends of the colour scale; by default the largest size of a value, and its negative.
        positive_color, negative_color: CSS colours; by default those of the theme.
        causal: whether what is above the diagonal is masked.
        axis_labels: whether the large matrices have the tokens beside them.
    """

    def __init__(
        self,
        attention: np.ndarray,
        tokens: Sequence[str],
        *,
        names: Sequence[str] | None = None,
        max_value: float | None = None,
        min_value: float | None = None,
        positive_color: str | None = None,
        negative_color: str | None = None,
        causal: bool = True,
        axis_labels: bool = True,
        marks: Sequence[str] = (),
    ) -> None:
        attention = np.ascontiguousarray(attention, np.float32)
        _refuse(attention, tokens, names)
        self._names = [f"Head {i}" for i in range(len(attention))] if names is None else [str(name) for name in names]
        self._colors = {"positive": positive_color, "negative": negative_color}
        self._axis_labels = axis_labels
        result, least, most = given_attention(attention, list(tokens), self._names, causal)
        self._signed = least < 0
        high = max_value if max_value is not None and max_value > 0 else max(most, -least) or 1.0
        self._ends = float(high), float(min_value if min_value is not None and min_value < 0 else -high)
        super().__init__(
            info={
                "model": None,
                "kinds": [],
                "scales": [{"name": name, "label": label, "help": help} for name, label, help in SCALES],
                "marks": [{"name": name, "label": label, "help": help} for name, label, help in MARKS],
                "actions": None,
            },
            marks=[marks] if isinstance(marks, str) else list(marks),
        )
        self.show("given", result)

    def name_of(self, layer: int, head: int) -> str:
        return self._names[head]

    def look(self, result: AttentionPatterns) -> dict[str, Any]:
        high, low = self._ends
        return {
            **super().look(result),
            "quantity": "value",
            "signed": self._signed,
            "high": {"prompt": high},
            "low": {"prompt": low},
            "names": self._names,
            "colors": self._colors,
            "axis_labels": self._axis_labels,
        }


def _refuse(attention: np.ndarray, tokens: Sequence[str], names: Sequence[str] | None) -> None:
    """Raise ValueError for what does not fit together, or is too large."""
    if attention.ndim != 3 or attention.shape[1] != attention.shape[2]:
        raise ValueError(
            f"attention has the shape {attention.shape}; it has to be [head, destination, source], with as many "
            "destinations as sources."
        )
    if not attention.size:
        raise ValueError(f"attention has the shape {attention.shape}: there is nothing to show.")
    if len(tokens) != attention.shape[1]:
        raise ValueError(
            f"There are {len(tokens)} tokens, and the attention has {attention.shape[1]} destinations and sources. "
            "Give as many tokens."
        )
    if names is not None and len(names) != len(attention):
        raise ValueError(f"There are {len(names)} names and {len(attention)} heads. Give as many names.")
    if attention.size > MOST_NUMBERS:
        raise ValueError(
            f"{len(attention)} heads at {len(tokens)} tokens are {attention.size * 4 / 2**30:.1f} GB, and at most "
            f"{MOST_NUMBERS >> 28} GB are shown. Give fewer heads or tokens."
        )
