"""Attention from anywhere, without a model: what the CircuitsVis functions of the same names show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_backend.attention import Attention, AttentionSide
from interp_backend.methods.head_measures import head_measures

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
        seen = np.tri(attention.shape[1], dtype=bool) if causal else np.ones(attention.shape[1:], bool)
        plain = np.where(seen, attention, np.float32(0))  # zeros where masked, for sums
        np.copyto(plain, np.nan, where=~np.isfinite(plain))
        least, most = (float(end.reduce(plain, axis=None, initial=0)) for end in (np.fmin, np.fmax))
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
            marks=list(marks),
        )
        self.show("given", self._result_of(plain, seen, list(tokens)))

    def _result_of(self, plain: np.ndarray, seen: np.ndarray, tokens: list[str]) -> Attention:
        """These numbers as a result."""
        ids, text = _ids(tokens), "".join(tokens)
        scores = {name: part[None] for name, part in head_measures(plain, ids).items()}
        warnings = _warnings(plain, self._names, weights=not self._signed)
        np.copyto(plain, np.nan, where=~seen)
        masked = (~seen).astype(np.uint8)[None]
        side = AttentionSide(text=text, ids=ids, tokens=tokens, values=plain[None], masked=masked, scores=scores)
        params = {"kind": "pattern", "prompt": text, "pair": None, "layers": None, "heads": None, "last": None}
        heads = list(range(len(plain)))
        return Attention(
            kind="pattern", params=params, layers=[0], heads=heads, sides={"prompt": side}, warnings=warnings
        )

    def name_of(self, layer: int, head: int) -> str:
        return self._names[head]

    def look(self, result: Attention) -> dict[str, Any]:
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
            f"{MOST_NUMBERS >> 28} are shown. Give fewer heads or tokens."
        )


def _ids(tokens: Sequence[str]) -> list[int]:
    """A number for each token, the same for the same text."""
    known: dict[str, int] = {}
    return [known.setdefault(token, len(known)) for token in tokens]


def _warnings(plain: np.ndarray, names: list[str], weights: bool) -> list[str]:
    """What is odd about these numbers: some that are none, and rows of weights that do not sum to one.

    Args:
        plain: [head, destination, source], zero where masked.
    """
    with np.errstate(over="ignore"):  # a sum that is too large is not one either
        sums = plain.sum(-1)
    wrong = [names[i] for i in np.flatnonzero(np.isnan(sums).any(1))]
    said = [f"Not numbers (NaN or infinite), hatched: some entries of {_few(wrong)}."] if wrong else []
    odd = np.abs(sums - 1) > 0.02
    if weights and odd.any():
        off = [names[i] for i in np.flatnonzero(odd.any(1))]
        said.append(
            f"Rows that do not sum to one: {int(odd.sum())} of {odd.size}, in {_few(off)}. They are shown as given."
        )
    return said


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
