"""One metric of a sweep: raw values, the unpatched runs that they are compared with, and the values of each pair."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .codec import Floats, encode_array
from .envelope import Record

BOOTSTRAP_SAMPLES = 1000
CELLS_AT_ONCE = 4000  # of the bootstrap: 1,000 samples of each cell are in memory at a time

Baselines = Mapping[str, float | None]


class PairValues(Record):
    """One metric of every pair of a data set.

    Attributes:
        labels: a short text for each pair.
        values: raw values, [pair, *axes]; NaN where a pair has not been run, or does not have that cell.
        estimates: raw values that were estimated from gradients, [pair, *axes]; None if there are none.
        clean, corrupt: the metric of each pair's two unpatched runs; None before they are run, and where the metric
            is not finite.
        base: which of the two runs is patched.
    """

    derived = frozenset({"normalized", "low", "high", "agree", "known", "done"})

    labels: list[str]
    values: Floats
    estimates: Floats | None = None
    clean: list[float | None]
    corrupt: list[float | None]
    base: Literal["clean", "corrupt"]

    @model_validator(mode="after")
    def _lengths_agree(self) -> PairValues:
        if self.values.ndim == 0:
            raise ValueError("the values of a data set are [pair, *axes]")
        if not len(self.labels) == len(self.values) == len(self.clean) == len(self.corrupt) > 0:
            raise ValueError("a data set has a label, values and both baselines for each of its pairs, and a pair")
        if self.estimates is not None and self.estimates.shape != self.values.shape:
            raise ValueError("the estimates of a data set have to be shaped like its values")
        return self

    def _effects_and_gaps(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The effect of each cell and the gap between the two runs, [pair, cell]; both are 0 where unknown.

        Args:
            numbers: `values` or `estimates`.
        """
        known = self._known_of(numbers).reshape(len(self.labels), -1)
        clean, corrupt = (np.array(side, np.float64)[:, None] for side in (self.clean, self.corrupt))
        effects = np.where(known, numbers.reshape(known.shape) - (corrupt if self.base == "corrupt" else clean), 0)
        return effects, np.where(known, clean - corrupt, 0)

    def _known_of(self, numbers: np.ndarray) -> np.ndarray:
        sides = np.array([self.clean, self.corrupt], np.float64)
        return np.isfinite(numbers) & np.isfinite(sides).all(0).reshape(-1, *[1] * (numbers.ndim - 1))

    @property
    def known(self) -> np.ndarray:
        """How many pairs each cell is the mean of, [*axes]: the pairs that have the cell, with finite numbers."""
        return self._known_of(self.values).sum(0).astype(np.int32)

    @property
    def done(self) -> int:
        """How many pairs have been run."""
        return int(self._were_run().sum())

    def _were_run(self) -> np.ndarray:
        """Which pairs have been run, [pair]: those with any value or baseline, even an infinite one."""
        has_value = ~np.isnan(self.values.reshape(len(self.values), -1)).all(1)
        return has_value | np.array([a is not None or b is not None for a, b in zip(self.clean, self.corrupt)])

    @property
    def mean(self) -> np.ndarray:
        """The mean effect over the pairs that have the cell, divided by their mean gap, [*axes]."""
        return self._mean_of(self.values)

    @property
    def mean_estimate(self) -> np.ndarray | None:
        """The mean of the estimated effects in the same units as `mean`, [*axes]; None if there are no estimates."""
        return None if self.estimates is None else self._mean_of(self.estimates)

    def _mean_of(self, numbers: np.ndarray) -> np.ndarray:
        effects, gaps = self._effects_and_gaps(numbers)
        return _ratio(effects.sum(0), gaps.sum(0)).reshape(numbers.shape[1:])

    @property
    def normalized(self) -> np.ndarray:
        """The effect in each pair, divided by the mean gap of the pairs that have the cell, [pair, *axes].

        The mean over those pairs is `mean`; for the other pairs it is NaN.
        """
        effects, gaps = self._effects_and_gaps(self.values)
        known = self._known_of(self.values).reshape(effects.shape)
        gap = gaps.sum(0) / np.maximum(known.sum(0), 1)
        return np.where(known, _ratio(effects, gap), np.nan).astype(np.float32).reshape(self.values.shape)

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% bootstrap interval of `mean` over pairs (Efron 1979), [*axes] each; NaN for fewer than two pairs."""
        effects, gaps = self._effects_and_gaps(self.values)
        ends = np.full((2, effects.shape[1]), np.nan, np.float32)
        if self.done > 1:
            drawn = _resamples(self._were_run().tobytes()).astype(np.float64)
            several = np.flatnonzero(self.known.ravel() > 1)  # a single pair, drawn again and again, would look certain
            for start in range(0, len(several), CELLS_AT_ONCE):
                cells = several[start : start + CELLS_AT_ONCE]
                samples = _ratio(effects[:, cells].T @ drawn, gaps[:, cells].T @ drawn)
                ends[:, cells] = _percentiles(samples)
        low, high = ends.reshape(2, *self.values.shape[1:])
        return low, high

    @property
    def agree(self) -> np.ndarray:
        """How many pairs have an effect with the sign of the mean, [*axes]."""
        return (np.sign(self.normalized) == np.sign(self.mean)).sum(0).astype(np.int32)

    def to_wire(self, draft: bool = False) -> dict[str, Any]:
        """One object of plain JSON values, derived ones among them.

        Args:
            draft: leave out the interval, and the estimates, of which a view needs only the mean.
        """
        nothing = np.full(self.values.shape[1:], np.nan, np.float32)
        low, high = (nothing, nothing) if draft else self.interval
        return {
            **self.model_dump(mode="json", exclude={"estimates"} if draft else None),
            "normalized": encode_array(self.normalized),
            "low": encode_array(low),
            "high": encode_array(high),
            "agree": encode_array(self.agree),
            "known": encode_array(self.known),
            "done": self.done,
        }


def finite_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the pairs that have a finite value, [*axes], from [pair, *axes]; NaN if no pair has."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values, 0).sum(0) / known.sum(0)


@lru_cache(maxsize=1)
def _resamples(were_run: bytes) -> np.ndarray:
    """How often each pair is in each sample of the bootstrap, [pair, sample].

    The last ones are kept for the next metric and the next update: to draw them takes longer than all that follows.

    Args:
        were_run: which pairs have been run, one byte each.
    """
    run = np.frombuffer(were_run, bool)
    done = int(run.sum())
    return np.random.default_rng(0).multinomial(done, run / done, BOOTSTRAP_SAMPLES).T.astype(np.uint16)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The quotient, float32; NaN where it is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    return np.where(np.isfinite(ratio), ratio, np.nan).astype(np.float32)


def _percentiles(samples: np.ndarray) -> np.ndarray:
    """The 2.5th and 97.5th percentile of each cell's finite samples, [2, cell], from [cell, sample]."""
    complete = ~np.isnan(samples).any(1)
    ends = np.full((2, len(samples)), np.nan)
    if complete.any():
        ends[:, complete] = np.percentile(samples[complete], [2.5, 97.5], axis=1)
    some = ~complete & ~np.isnan(samples).all(1)
    if some.any():
        ends[:, some] = np.nanpercentile(samples[some], [2.5, 97.5], axis=1)
    return ends


class MetricValues(Record):
    """One metric of a sweep.

    Attributes:
        label: the metric in words.
        values: raw values, [*axes].
        baselines: the metric of the clean and of the corrupt run, unpatched; None where it is not finite.
        warnings: what is wrong with the metric's scale.
        estimates: raw values that were estimated from gradients, [*axes]; None if there are none.
        pairs: the metric of every pair of a data set; `values` and `baselines` are then means.
    """

    derived = frozenset({"normalized", "normalized_estimates", "agreement", "scale_text"})

    label: str
    values: Floats
    baselines: dict[str, float | None]
    warnings: list[str] = Field(default_factory=list)
    estimates: Floats | None = None
    pairs: PairValues | None = None

    def normalized(self, direction: Any) -> np.ndarray:
        """The effects in units of the gap between the two runs, [*axes]; see `EffectMap.normalized`."""
        return self.pairs.mean if self.pairs is not None else normalize(self.values, self.baselines, direction)

    def take_estimates(self, values: np.ndarray, pairs: PairValues | None, cells: np.ndarray) -> None:
        """Keep estimated raw values [*axes], and show them in some cells; of a data set also those of every pair."""
        self.estimates = values.copy()
        self.values[cells] = values[cells]
        if self.pairs is not None and pairs is not None:
            self.pairs.estimates = pairs.values.copy()
            self.pairs.values[:, cells] = pairs.values[:, cells]

    def drop_estimates(self, cells: np.ndarray) -> None:
        """Forget the estimates; the cells that show them become empty."""
        self.estimates = None
        self.values[cells] = np.nan
        if self.pairs is not None:
            self.pairs.estimates = None
            self.pairs.values[:, cells] = np.nan

    def leave_unchanged(self, cells: np.ndarray, side: str, have: PairValues | None) -> None:
        """Give some cells the value of the run that is patched.

        Args:
            side: which run that is.
            have: for a data set, values that are finite where a pair has the cell.
        """
        if self.pairs is None or have is None:
            base = self.baselines[side]
            self.values[cells] = np.nan if base is None else base
            return
        base = np.array(getattr(self.pairs, side), np.float64)[:, None]
        self.pairs.values[:, cells] = np.where(np.isfinite(have.values[:, cells]), base, np.nan)
        self.values[cells] = finite_mean(self.pairs.values[:, cells])

    def to_wire(self, direction: Any) -> dict[str, Any]:
        """One object of plain JSON values, derived ones among them."""
        return {
            **self.model_dump(mode="json", exclude={"pairs"}),
            "pairs": self.pairs and self.pairs.to_wire(),
            "normalized": encode_array(self.normalized(direction)),
            "scale_text": scale_text(self.label, self.baselines, direction, mean=self.pairs is not None),
        }


def normalize(values: np.ndarray, baselines: Baselines, direction: Any) -> np.ndarray:
    """Effects in units of the gap between the two runs, float32; NaN if the two runs score the same."""
    clean, corrupt = baselines.get("clean"), baselines.get("corrupt")
    if clean is None or corrupt is None or clean == corrupt:
        return np.full_like(values, np.nan)
    base = corrupt if direction == "denoise" else clean
    return ((values.astype(np.float64) - base) / (clean - corrupt)).astype(np.float32)


def scale_text(label: str, baselines: Baselines, direction: Any, mean: bool) -> str:
    """Which runs 0 and 1 (or -1) of the normalized values are, as a sentence; empty if there is no scale.

    Args:
        mean: whether the baselines are means over the pairs of a data set.
    """
    clean, corrupt = baselines.get("clean"), baselines.get("corrupt")
    if clean is None or corrupt is None or clean == corrupt:
        return ""
    which = "the pairs' mean " if mean else "the "
    clean_run, corrupt_run = (
        f"{which}{side} run ({value:+.3g})".replace("-", "\u2212")
        for side, value in (("clean", clean), ("corrupt", corrupt))
    )
    if direction == "denoise":
        return f"0 is {corrupt_run}, 1 is {clean_run}; {label}."
    return f"0 is {clean_run}, \u22121 is {corrupt_run}; {label}."
