"""Converts attention for a view: all heads as thumbnails, and the numbers of the opened heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from interp_backend.common.head_measures import MEASURES
from interp_backend.results.attention import AttentionPatterns
from interp_backend.results.codec import encode_array, encode_rounded
from interp_backend.results.head_table import HeadScores, Score
from interp_backend.results.thumbnails import Scale, size_for, thumbnails

MOST_SENT = 300_000  # numbers in one message; larger results are sent head by head, as heads are opened
MOST_EXACT = 3_000_000  # numbers in a page as they are; more are rounded to what nobody can see
MOST_SAVED = 6_000_000  # numbers in a page; larger results have only those of the opened heads
ROUNDED = (
    "So that this page stays small, its numbers are rounded to a thousandth of the largest in each row of a head. Run "
    "the cell again for the exact ones."
)


@dataclass
class Look:
    """How a result is drawn, if that does not follow from the result itself.

    Attributes:
        ends: the high and the low end of the colour scale; None finds them.
        signed, quantity, names: whether values have a sign, what the values are, and the names of the heads.
        colors: CSS colours of positive and negative values; None takes the theme's.
        axis_labels: whether tokens are shown beside the large matrices.
    """

    ends: tuple[float, float] | None = None
    signed: bool | None = None
    quantity: str | None = None
    names: list[str] | None = None
    colors: dict[str, str | None] = field(default_factory=lambda: {"positive": None, "negative": None})
    axis_labels: bool = True


class Frame:
    """One result, converted for views.

    Args:
        result: the result.
        look: how it is drawn.
    """

    def __init__(self, result: AttentionPatterns, look: Look):
        self.result, self.look = result, look
        self.sides = ["clean", "corrupt", "difference"] if "clean" in result.sides else ["prompt"]
        self._highs: dict[str, float] = {}  # cached ends of scales, which are slow to compute

    def ends(self, side: str) -> tuple[float, float]:
        """The high and the low end of a side's colour scale."""
        if self.look.ends is not None:
            return self.look.ends
        if side not in self._highs:
            self._highs[side] = self._high(side)
        return self._highs[side], -self._highs[side]

    def _high(self, side: str) -> float:
        if self.result.kind == "pattern" and side != "difference":
            return 1.0
        heads = range(len(self.result.heads))
        layers = [np.abs(self.result.values_at(side, [i], heads)) for i in range(len(self.result.layers))]
        return max(float(np.fmax.reduce(part, axis=None, initial=0)) for part in layers) or 1.0

    @property
    def signed(self) -> bool:
        return self.result.signed if self.look.signed is None else self.look.signed

    def is_whole(self, saving: bool) -> bool:
        """Whether all numbers are sent at once."""
        return self._numbers() <= (MOST_SAVED if saving else MOST_SENT)

    def _numbers(self) -> int:
        return sum(side.values.size for side in self.result.sides.values())

    def to_wire(self, opened: Sequence[Sequence[int]], saving: bool) -> dict[str, Any]:
        """The result for a view. A large result goes without its numbers, which a view requests head by head; on a
        page, where none can be requested, they are rounded if that makes them fit."""
        result, whole = self.result, self.is_whole(saving)
        every = range(len(result.layers)), range(len(result.heads))
        rounded = saving and whole and self._numbers() > MOST_EXACT
        encode = encode_rounded if rounded else encode_array
        kept = {}
        for layer, head in opened if saving and not whole else ():
            i, j = result.index_of(layer, head)
            for side in self.sides:
                kept[f"{side}:{layer}.{head}"] = encode_array(result.values_for_view(side, [i], [j])[0, 0])
        return {
            **result.model_dump(mode="json", exclude={"sides"}),
            "quantity": self.look.quantity or result.quantity,
            "signed": self.signed,
            "high": {side: self.ends(side)[0] for side in self.sides},
            "low": {side: self.ends(side)[1] for side in self.sides},
            "names": self.look.names,
            "colors": self.look.colors,
            "axis_labels": self.look.axis_labels,
            "sides": {n: {"text": s.text, "ids": s.ids, "tokens": s.tokens} for n, s in result.sides.items()},
            "whole": whole,
            "complete": whole,
            "values": {s: encode(result.values_for_view(s, *every)) for s in self.sides if whole},
            "kept": kept,
            "warnings": [*result.warnings, *([ROUNDED] if rounded else [])],
        }

    def thumbs(self, side: str, scale: str, without_first: bool) -> dict[str, Any] | None:
        """All heads of one side as thumbnails; None if a view computes them itself."""
        result = self.result
        if self.is_whole(False):
            return None
        every = range(len(result.layers)), range(len(result.heads))
        size = size_for(result.masked_of(side).shape[-1], len(result.layers) * len(result.heads))
        high, low = self.ends(side)
        signed = self.signed or side == "difference"
        values, masked = result.values_at(side, *every), result.masked_of(side)
        codes = thumbnails(values, masked, cast(Scale, scale), low, high, size, signed, without_first=without_first)
        shown = {"side": side, "scale": scale, "without_first": without_first}
        return {"result": result.id, **shown, "size": size, "codes": encode_array(codes)}

    def scores(self, side: str, table: HeadScores | None) -> list[dict[str, Any]]:
        """The scores by which heads can be sorted: on the shown prompt, and on random tokens."""
        result = self.result
        shown = result.sides["clean" if side == "difference" else side]
        known = {name: part for name, part in shown.scores.items() if np.isfinite(part).any()}
        rows = [score_to_wire(name, MEASURES[name], "prompt", part) for name, part in known.items()]
        for name, part in {} if table is None else table.scores.items():
            assert table is not None
            where = np.ix_(result.layers, result.heads)
            spread = table.spread[name][where] if name in table.spread else None
            rows.append(score_to_wire(f"random:{name}", table.about[name], "random", part[where], spread))
        return rows

    def most_remarkable_head(self, roles: Sequence[dict[str, Any]]) -> list[int]:
        """The strongest induction head or else previous-token head, by its role if it has one, or on this prompt.

        Args:
            roles: as in `AttentionViewer.head_roles`.
        """
        there = [one for one in roles if one["layer"] in self.result.layers and one["head"] in self.result.heads]
        if there:
            best = max(there, key=lambda one: (one["role"] == "induction", one["score"]))
            return [best["layer"], best["head"]]
        result, scores = self.result, next(iter(self.result.sides.values())).scores
        for name in ("induction", "previous_token"):
            if name in scores and np.isfinite(scores[name]).any():
                i, j = np.unravel_index(int(np.nanargmax(scores[name])), scores[name].shape)
                return [result.layers[i], result.heads[j]]
        return [result.layers[0], result.heads[0]]


def score_to_wire(
    name: str, about: Score, on: str, values: np.ndarray, spread: np.ndarray | None = None
) -> dict[str, Any]:
    """A score of the heads for a view.

    Args:
        on: "prompt", or "random" tokens.
        values, spread: [layer, head].
    """
    return {
        **about.model_dump(),
        "name": name,
        "on": on,
        "values": encode_array(values),
        "spread": None if spread is None else encode_array(spread),
    }
