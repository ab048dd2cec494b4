"""Attention at the resolution of a thumbnail: 8 bits a cell, with the scale that they are on.

An array of many heads is far too large to send to a view that draws each of them in a few dozen pixels. What is sent
instead is, for each cell of a thumbnail, the most remarkable value in it, as its place on the colour scale. Nobody can
see the difference of 1/250; the numbers themselves stay here, and are asked for.
"""

from __future__ import annotations

from math import isqrt
from typing import Literal

import numpy as np

Scale = Literal["linear", "log", "row", "head"]
MASKED, NOT_A_NUMBER = 255, 254  # codes that are no values
STEPS = 250  # from the lowest to the highest value
DECADES = 4  # of the logarithmic scale
LARGEST, SMALLEST = 64, 16  # cells a side
MOST_CELLS = 1_600_000  # of all thumbnails together, where their size can be chosen


def size_for(length: int, heads: int) -> int:
    """How many cells a side thumbnails of so many tokens and heads have."""
    return min(length, LARGEST, max(SMALLEST, isqrt(MOST_CELLS // max(heads, 1))))


def thumbnails(
    values: np.ndarray,
    masked: np.ndarray,
    scale: Scale,
    low: float,
    high: float,
    size: int,
    signed: bool,
    *,
    without_first: bool = False,
) -> np.ndarray:
    """Codes of what a thumbnail of each head shows, [layer, head, size, size], uint8.

    A cell shows the value, of those it covers that are not masked, that is furthest along the scale, so that a stripe
    one token wide survives. 255 is masked, 254 not a number; else an unsigned t is t * 250, a signed one
    125 + t * 125.

    Args:
        values: [layer, head, destination, source]; NaN where masked, and where there is no number.
        masked: [layer, destination, source], 1 where a destination may not look.
        scale: "linear", t = value / its end of the scale; "log", t = 1 + log10 of that / 4, not below 0, with the
            value's sign; "row", t = value / the largest size in its row; "head", the same in its head.
        low, high: the ends of the scale, below and above zero.
        size: cells a side, at most as many as tokens.
        signed: whether values may be negative.
        without_first: leave out the first source, as if it were masked.
    """
    if without_first:
        masked = masked.copy()
        masked[..., 0] = 1
    edges = np.arange(size) * values.shape[-1] // size
    codes = np.empty((*values.shape[:2], size, size), np.uint8)
    hidden = np.minimum.reduceat(np.minimum.reduceat(masked, edges, axis=1), edges, axis=2)
    for layer, heads in enumerate(values):  # one layer after another: few copies of large arrays at a time
        if without_first:
            heads = heads.copy()
            heads[..., 0] = np.nan
        if scale in ("row", "head"):
            most = np.fmax.reduce(np.abs(heads), axis=-1 if scale == "row" else (-2, -1), keepdims=True)
            heads = heads / np.where(most > 0, most, 1)
        elif signed and low != -high:
            heads = np.where(heads < 0, heads * np.float32(-high / low), heads)
        furthest = pooled(heads, edges, signed)
        t = _placed(furthest, scale, high)
        zero, unit = (STEPS // 2, STEPS // 2) if signed else (0, STEPS)
        with np.errstate(invalid="ignore"):
            layer_codes = np.clip(np.rint(zero + unit * t), 0, STEPS).astype(np.uint8)
        layer_codes[np.isnan(t)] = NOT_A_NUMBER
        codes[layer] = np.where(hidden[layer] == 1, np.uint8(MASKED), layer_codes)
    return codes


def pooled(heads: np.ndarray, edges: np.ndarray, signed: bool) -> np.ndarray:
    """The value furthest from zero in each cell, NaN where none is a number, [..., size, size].

    Args:
        heads: [..., destination, source].
        edges: the first token of each cell.
    """
    if len(edges) == heads.shape[-1]:
        return heads
    most = _in_cells(np.fmax, heads, edges)
    if not signed:
        return most
    least = _in_cells(np.fmin, heads, edges)
    return np.where(-least > most, least, most)


def _in_cells(choose: np.ufunc, heads: np.ndarray, edges: np.ndarray) -> np.ndarray:
    # Rows first, whole ones at a time: four times as fast as reduceat, which takes entry after entry.
    stops = [*edges[1:], heads.shape[-2]]
    rows = [choose.reduce(heads[..., start:stop, :], axis=-2) for start, stop in zip(edges, stops)]
    return choose.reduceat(np.stack(rows, -2), edges, axis=-1)


def _placed(values: np.ndarray, scale: Scale, high: float) -> np.ndarray:
    """Where values are on the scale, from -1 to 1; those of "row" and "head" are already."""
    if scale in ("row", "head") or high <= 0:
        return np.clip(values, -1, 1)
    if scale == "linear":
        return np.clip(values / high, -1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.clip(1 + np.log10(np.abs(values) / high) / DECADES, 0, 1)
    return np.copysign(t, values)
