"""Attention patterns: `circuitsvis.attention`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..attention_arrays import AttentionArrays
from .inputs import color, number, numbers, same_count, texts
from .rendered import RenderedHTML

_AXES = ("head", "destination", "source")


class AttentionFigure(RenderedHTML, AttentionArrays):
    """Attention patterns that are also HTML."""

    bundle = "attention_viewer"
    title = "Attention"


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
    """Show the patterns of some heads: stands for `circuitsvis.attention.attention_heads`.

    Args:
        attention: numbers [head, destination token, source token].
        tokens: texts [token].
        attention_head_names: what the heads are called; by default their numbers.
        max_value, min_value: where the colours are strongest; by default at the largest size of a value.
        negative_color, positive_color: CSS colours; by default the theme's orange and blue.
        mask_upper_tri: leave out what a causal model can't look at, above the diagonal; True by default.

    Raises:
        TypeError: tokens that are no texts, attention that is no real numbers.
        ValueError: patterns that are not as many tokens high and wide, or not one name for each head.
    """
    return _figure(
        numbers(attention, "attention", _AXES),
        tokens,
        names=None if attention_head_names is None else [str(name) for name in attention_head_names],
        max_value=number(max_value, "max_value"),
        min_value=number(min_value, "min_value"),
        negative_color=color(negative_color, "negative_color"),
        positive_color=color(positive_color, "positive_color"),
        causal=mask_upper_tri is None or bool(mask_upper_tri),
    )


def attention_patterns(tokens: Sequence[str], attention: Any) -> AttentionFigure:
    """Show the patterns of some heads, whole: stands for `circuitsvis.attention.attention_patterns`.

    CircuitsVis has deprecated it: use `attention_heads`.

    Args:
        tokens: texts [token].
        attention: numbers [head, destination token, source token].

    Raises:
        TypeError, ValueError: as `attention_heads`.
    """
    return _figure(numbers(attention, "attention", _AXES), tokens, causal=False)


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
    """Show one head's pattern: stands for `circuitsvis.attention.attention_pattern`.

    Args:
        tokens: texts [token].
        attention: numbers [destination token, source token].
        show_axis_labels: whether the tokens are written beside the pattern; True by default.
        max_value, min_value, negative_color, positive_color, mask_upper_tri: as in `attention_heads`.

    Raises:
        TypeError, ValueError: as `attention_heads`.
    """
    return _figure(
        numbers(attention, "attention", _AXES[1:])[None],
        tokens,
        max_value=number(max_value, "max_value"),
        min_value=number(min_value, "min_value"),
        negative_color=color(negative_color, "negative_color"),
        positive_color=color(positive_color, "positive_color"),
        causal=mask_upper_tri is None or bool(mask_upper_tri),
        axis_labels=show_axis_labels is None or bool(show_axis_labels),
    )


def _figure(attention: np.ndarray, tokens: Sequence[str], **options: Any) -> AttentionFigure:
    tokens = texts(tokens, "tokens")
    same_count(tokens, attention.shape[1], "rows of attention")
    same_count(tokens, attention.shape[2], "columns of attention")
    return AttentionFigure(attention.astype(np.float32), tokens, **options)
