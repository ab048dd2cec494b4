"""Attention patterns: `circuitsvis.attention`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_backend.methods.given_attention import given_attention

from ..attention_frame import Look
from ..attention_viewer import AttentionViewer
from .inputs import color, number, numbers, same_count, texts
from .rendered import RenderedHTML

MOST_NUMBERS = 1 << 30  # 4 GB
_AXES = ("head", "destination", "source")


class AttentionFigure(RenderedHTML, AttentionViewer):
    """Attention patterns that are also HTML."""

    title = "Attention"

    def __init__(
        self,
        attention: Any,
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
        """Shows an array.

        Args:
            attention: numbers [head, destination, source].
            tokens: the texts of the tokens, as many as destinations and sources.
            names: what each head is called; by default Head 0, Head 1, ...
            max_value, min_value: the ends of the colour scale; by default the largest size of a value, and its
                negative.
            positive_color, negative_color: CSS colours; by default those of the theme.
            causal: whether entries above the diagonal are masked.
            axis_labels: whether the large matrices have the tokens beside them.
            marks: as in `AttentionViewer`.
        """
        array = np.ascontiguousarray(numbers(attention, "attention", _AXES), np.float32)
        tokens = texts(tokens, "tokens")
        called = [f"Head {i}" for i in range(len(array))] if names is None else [str(name) for name in names]
        _refuse(array, tokens, called)
        max_value, min_value = number(max_value, "max_value"), number(min_value, "min_value")
        result, least, most = given_attention(array, tokens, called, causal)
        result.id = "given"
        high = max_value if max_value is not None and max_value > 0 else max(most, -least) or 1.0
        low = min_value if min_value is not None and min_value < 0 else -high
        look = Look(
            ends=(float(high), float(low)),
            signed=least < 0,
            quantity="value",
            names=called,
            colors={
                "positive": color(positive_color, "positive_color"),
                "negative": color(negative_color, "negative_color"),
            },
            axis_labels=axis_labels,
        )
        super().__init__(result=result, look=look, marks=marks)


def attention_heads(
    attention: Any,
    tokens: Sequence[str],
    attention_head_names: Sequence[str] | None = None,
    max_value: float | None = None,
    min_value: float | None = None,
    negative_color: str | None = None,
    positive_color: str | None = None,
    mask_upper_tri: bool | None = None,
) -> AttentionFigure:
    """Show the patterns of some heads: the counterpart of `circuitsvis.attention.attention_heads`.

    Args:
        attention: numbers [head, destination token, source token].
        tokens: texts [token].
        attention_head_names: what the heads are called; by default their numbers.
        max_value, min_value: where the colours are strongest; by default at the largest absolute value.
        negative_color, positive_color: CSS colours; by default the theme's orange and blue.
        mask_upper_tri: mask the entries above the diagonal, which a causal model can't attend to; True by default.

    Raises:
        TypeError: tokens are not texts, or attention is not real numbers.
        ValueError: the patterns are not as high and wide as there are tokens, or there is not one name for each head.
    """
    return AttentionFigure(
        attention,
        tokens,
        names=attention_head_names,
        max_value=max_value,
        min_value=min_value,
        negative_color=negative_color,
        positive_color=positive_color,
        causal=mask_upper_tri is None or bool(mask_upper_tri),
    )


def attention_patterns(tokens: Sequence[str], attention: Any) -> AttentionFigure:
    """Show the patterns of some heads, whole: the counterpart of `circuitsvis.attention.attention_patterns`.

    CircuitsVis has deprecated it: use `attention_heads`.

    Args:
        tokens: texts [token].
        attention: numbers [head, destination token, source token].

    Raises:
        TypeError, ValueError: as `attention_heads`.
    """
    return AttentionFigure(attention, tokens, causal=False)


def attention_pattern(
    tokens: Sequence[str],
    attention: Any,
    max_value: float | None = None,
    min_value: float | None = None,
    negative_color: str | None = None,
    show_axis_labels: bool | None = None,
    positive_color: str | None = None,
    mask_upper_tri: bool | None = None,
) -> AttentionFigure:
    """Show one head's pattern: the counterpart of `circuitsvis.attention.attention_pattern`.

    Args:
        tokens: texts [token].
        attention: numbers [destination token, source token].
        show_axis_labels: whether the tokens are written beside the pattern; True by default.
        max_value, min_value, negative_color, positive_color, mask_upper_tri: as in `attention_heads`.

    Raises:
        TypeError, ValueError: as `attention_heads`.
    """
    return AttentionFigure(
        numbers(attention, "attention", _AXES[1:])[None],
        tokens,
        max_value=max_value,
        min_value=min_value,
        negative_color=negative_color,
        positive_color=positive_color,
        causal=mask_upper_tri is None or bool(mask_upper_tri),
        axis_labels=show_axis_labels is None or bool(show_axis_labels),
    )


def _refuse(attention: np.ndarray, tokens: list[str], names: list[str]) -> None:
    """Raise ValueError if the arguments don't fit together or are too large."""
    same_count(tokens, attention.shape[1], "rows of attention")
    same_count(tokens, attention.shape[2], "columns of attention")
    if not attention.size:
        raise ValueError(f"attention has the shape {list(attention.shape)}: there is nothing to show.")
    if len(names) != len(attention):
        raise ValueError(f"There are {len(names)} names and {len(attention)} heads. Give one name for each head.")
    if attention.size > MOST_NUMBERS:
        raise ValueError(
            f"{len(attention)} heads at {len(tokens)} tokens are {attention.size * 4 / 2**30:.1f} GB, and at most "
            f"{MOST_NUMBERS >> 28} GB are shown. Give fewer heads or tokens."
        )
