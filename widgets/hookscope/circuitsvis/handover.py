"""Exports the contents of an attention viewer to CircuitsVis itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_backend.language.interventions import as_heads

from ..attention_frame import Frame
from .offline import offline

MOST_HANDED_OVER = 8_000_000  # numbers, which are about 160 MB of text


def hand_over(frame: Frame, side: str, shown_layers: Sequence[int] | None, heads: Any) -> Any:
    """See `AttentionViewer.to_circuitsvis`."""
    import circuitsvis.attention

    result = frame.result
    if heads is None:
        layers = result.layers if shown_layers is None else shown_layers
        heads = [(layer, head) for layer in layers for head in result.heads]
    heads = as_heads(heads, 1 + max(result.layers), 1 + max(result.heads))
    places = [result.index_of(layer, head) for layer, head in heads]
    masked = result.masked_of(side)
    numbers = len(places) * masked[0].size
    if not places or numbers > MOST_HANDED_OVER:
        raise ValueError(
            f"CircuitsVis would get {len(places)} heads, {numbers / 1e6:.1f} million numbers as text; export one "
            f"head or more, and at most {MOST_HANDED_OVER / 1e6:.0f} million: heads=[(layer, head), ...]."
        )
    values = np.stack([result.values_at(side, [i], [j])[0, 0] for i, j in places])
    causal = bool(masked.any())
    lost = int(np.isnan(np.tril(values) if causal else values).sum())
    if lost:
        warnings.warn(f"{lost} entries that are masked or have no number become zeros in CircuitsVis.", stacklevel=3)
    names, (high, low) = frame.look.names, frame.ends(side)
    drawn = circuitsvis.attention.attention_heads(
        attention=np.nan_to_num(values, nan=0.0),
        tokens=result.sides["clean" if side == "difference" else side].tokens,
        attention_head_names=[f"{layer}.{head}" if names is None else names[head] for layer, head in heads],
        max_value=high,
        min_value=low,
        positive_color=frame.look.colors["positive"],
        negative_color=frame.look.colors["negative"],
        mask_upper_tri=causal,
    )
    return offline(drawn)
