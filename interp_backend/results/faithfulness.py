"""How much of a model's behaviour its circuits keep, by their size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import model_validator

from .codec import Ints, encode_array, finite_or_none
from .envelope import BaseResult
from .metric_values import PairValues

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SAMPLES = 1000  # of the bootstrap
SIGNED, ABSOLUTE, COMPLEMENT, RANDOM = "signed", "absolute", "complement", "random"


class Faithfulness(BaseResult):
    """What `faithfulness` returns: a metric of the runs of circuits of several sizes.

    A circuit's faithfulness f is 1 where it gives the model's own metric, and 0 where it gives that of a run in which
    everything is ablated. Over pairs it is a ratio of means.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        sizes: the part of all edges (or nodes) that each circuit may have, ascending.
        curves: what each row of circuits is: "signed" has the largest scores, "absolute" those of either sign,
            "complement" all but those, and "random 0", "random 1", ... come from random scores.
        counts: how many edges (or nodes) each circuit has in all, [curve, size].
        total: how many edges (or nodes) the model has.
        level: "edge" or "node".
        values: the metric, [pair, curve, size]; its `clean` is the model's own, its `corrupt` that of the run in which
            everything is ablated.
        chosen: the same, [pair, 2], for the circuit that the graph came with and for all other edges; None if that
            was all of the model.
        chosen_count: how many edges (or nodes) that circuit has.
        jaccard: for each size, the mean Jaccard index of the circuit of largest scores and of those from resampled
            pairs; None without the scores of each pair, and for circuits that grew greedily.
        metric_label: the metric in words.
    """

    derived = BaseResult.derived | {"cpr", "cmd", "random_cpr", "areas", "mean", "low", "high"}

    family: Literal["faithfulness"] = "faithfulness"
    method: Literal["faithfulness"] = "faithfulness"
    sizes: list[float]
    curves: list[str]
    counts: Ints
    total: int
    level: Literal["edge", "node"]
    values: PairValues
    chosen: PairValues | None = None
    chosen_count: int = 0
    jaccard: list[float] | None = None
    metric_label: str

    @model_validator(mode="after")
    def _makes_sense(self) -> Faithfulness:
        shape = (len(self.curves), len(self.sizes))
        if self.counts.shape != shape or self.values.values.shape[1:] != shape:
            raise ValueError(f"counts are [curve, size] and values [pair, curve, size], {list(shape)}")
        if not {SIGNED, ABSOLUTE, COMPLEMENT} <= set(self.curves) or len(set(self.curves)) < len(self.curves):
            raise ValueError("the curves are signed, absolute, complement and random ones, each once")
        if len(self.sizes) < 2 or sorted({*self.sizes}) != self.sizes or not 0 < self.sizes[0] <= self.sizes[-1] <= 1:
            raise ValueError("sizes are parts of the model from 0 to 1, two or more, ascending")
        if self.jaccard is not None and len(self.jaccard) != len(self.sizes):
            raise ValueError("jaccard has a number for each size")
        if self.chosen is not None and self.chosen.values.shape[1:] != (2,):
            raise ValueError("chosen is [pair, 2], the circuit and its complement")
        return self

    @property
    def mean(self) -> np.ndarray:
        """The faithfulness of each circuit, [curve, size]; NaN where the model and the ablated run score the same."""
        return self.values.mean

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% bootstrap interval of `mean` over pairs, [curve, size] each; NaN for a single pair."""
        return self.values.interval

    def curve(self, name: str) -> np.ndarray:
        """The faithfulness of one row of circuits, [size].

        Raises:
            ValueError: there is no such row.
        """
        if name not in self.curves:
            raise ValueError(f"There is no curve {name!r}. Choose one of {', '.join(self.curves)}.")
        return self.mean[self.curves.index(name)]

    @property
    def cpr(self) -> float:
        """Circuit performance ratio: the area under f of the circuits with the largest signed scores, over their sizes.
        Larger is better, and can exceed 1 where a circuit outdoes the model: read it together with `cmd`."""
        return float(area(self.sizes, self.curve(SIGNED)))

    @property
    def cmd(self) -> float:
        """Circuit-model distance: the area between 1 and f of the circuits with the largest absolute scores. 0 is a
        circuit that does what the model does, at every size."""
        return float(area(self.sizes, np.abs(1 - self.curve(ABSOLUTE))))

    @property
    def random_cpr(self) -> float | None:
        """The area under f of random circuits, the mean of all; None if there are none. About a quarter with the usual
        sizes, since almost all random circuits do nothing but the last one, which is the model."""
        rows = [row for row, name in enumerate(self.curves) if name.startswith(RANDOM)]
        return float(np.mean([area(self.sizes, self.mean[row]) for row in rows])) if rows else None

    @cached_property
    def areas(self) -> dict[str, tuple[float, float]]:
        """The 95% bootstrap intervals of `cpr` and `cmd` over pairs; NaN for a single pair."""
        known = np.isfinite(self.values.values).all((1, 2))
        ends = np.array([self.values.clean, self.values.corrupt], np.float64)
        known &= np.isfinite(ends).all(0)
        count = int(known.sum())
        if count < 2:
            return dict.fromkeys(("cpr", "cmd"), (float("nan"), float("nan")))
        effects = self.values.values[known].astype(np.float64) - ends[1, known, None, None]
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), SAMPLES).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            f = np.einsum("sp,pcx->scx", drawn, effects) / (drawn @ (ends[0] - ends[1])[known])[:, None, None]
        cpr = area(self.sizes, f[:, self.curves.index(SIGNED)])
        cmd = area(self.sizes, np.abs(1 - f[:, self.curves.index(ABSOLUTE)]))
        low_high = {name: np.nanpercentile(one, [2.5, 97.5]) for name, one in (("cpr", cpr), ("cmd", cmd))}
        return {name: (float(low), float(high)) for name, (low, high) in low_high.items()}

    # Ways out

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each circuit: curve, size, count, faithfulness and the ends of its interval."""
        import pandas

        low, high = self.interval
        curve, size = (index.ravel() for index in np.indices(self.counts.shape))
        return pandas.DataFrame(
            {
                "curve": np.array(self.curves, dtype=object)[curve],
                "size": np.array(self.sizes)[size],
                "count": self.counts.ravel(),
                "faithfulness": self.mean.ravel(),
                "low": low.ravel(),
                "high": high.ravel(),
            }
        )

    def to_wire(self) -> dict[str, Any]:
        areas = {name: getattr(self, name) for name in ("cpr", "cmd", "random_cpr")}
        finite = {name: None if one is None else finite_or_none(one) for name, one in areas.items()}
        ends = {name: [*map(finite_or_none, one)] for name, one in self.areas.items()}
        arrays = zip(("mean", "low", "high"), (self.mean, *self.interval))
        return {**super().to_wire(), **finite, "areas": ends, **{name: encode_array(one) for name, one in arrays}}

    def plot(self) -> Picture:
        """Faithfulness over sizes, logarithmic, with intervals. Needs matplotlib."""
        from .pictures import curves

        low, high = self.interval
        names = [self._in_words(name) for name in self.curves]
        label = f"part of all {self.level}s"
        return curves(self.sizes, self.mean, low, high, names, title=self.headline(), label=label)

    def _in_words(self, name: str) -> str:
        areas = {SIGNED: f"CPR {self.cpr:.2f}", ABSOLUTE: f"CMD {self.cmd:.2f}"}
        return f"{name}, {areas[name]}" if name in areas else name

    def headline(self) -> str:
        ablation = self.params.get("ablation", "")
        return f"faithfulness of {self.level} circuits, {ablation} ablation, {self.metric_label}"

    def summary(self) -> Iterator[str]:
        ends = self.areas.items()
        spread = {name: f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else "" for name, (low, high) in ends}
        by_chance = "" if self.random_cpr is None else f"; CPR of random circuits {self.random_cpr:.3f}"
        first, last = self.sizes[0], self.sizes[-1]
        over = "" if first <= 0.001 and last == 1 else f" (areas from {first:g} to {last:g}: not the benchmark's)"
        yield f"CPR {self.cpr:.3f}{spread['cpr']}, CMD {self.cmd:.3f}{spread['cmd']}{by_chance}{over}"
        pairs = "one pair" if self.values.done == 1 else f"{self.values.done} pairs"
        yield f"{pairs}, {self.total} {self.level}s; size: signed, absolute, complement"
        rows = [self.curve(name) for name in (SIGNED, ABSOLUTE, COMPLEMENT)]
        for at, size in enumerate(self.sizes[:12]):
            stable = "" if self.jaccard is None else f"  Jaccard {self.jaccard[at]:.2f}"
            yield f"  {size:<6g} {'  '.join(f'{row[at]:+.3f}' for row in rows)}{stable}"
        if self.chosen is not None:
            f, rest = self.chosen.mean
            yield f"the graph's own circuit of {self.chosen_count} {self.level}s: {f:+.3f}, all others {rest:+.3f}"


def area(sizes: list[float], values: np.ndarray) -> np.ndarray:
    """The area under values [..., size] by trapezoids, from the first size to the last."""
    return (np.diff(sizes) * (values[..., 1:] + values[..., :-1]) / 2).sum(-1)
