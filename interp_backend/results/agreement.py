"""How well estimates of effects agree with the exact effects."""

from __future__ import annotations

import math

import numpy as np

from .envelope import Record

LARGE = 0.1  # an effect from which on a cell counts as large, in units of the gap between the two runs
TOP_SHARE = 0.05  # of the estimated cells: those that a long sweep runs by default


class Agreement(Record):
    """How well estimates agree with exact effects, over the cells that have both.

    Attributes:
        cells: how many cells have both.
        pearson, spearman: correlations of estimate and effect; None for fewer than three cells, or if one of the two
            is constant.
        k: how many cells the largest 5% of the estimates are.
        precision: the share of these k cells whose effect is 0.1 of the gap or more, of either sign; None unless all
            k are exact, or if no effect that is known is as large.
        recall: the share of the cells with such an effect that are among the k; None unless every cell is exact, or
            if there are none.
    """

    cells: int
    pearson: float | None
    spearman: float | None
    k: int
    precision: float | None
    recall: float | None


def agreement(estimates: np.ndarray, effects: np.ndarray, estimated: np.ndarray, exact: np.ndarray) -> Agreement:
    """Compare estimates with effects, both in units of the gap.

    Args:
        estimates, effects: [cell].
        estimated: which cells were estimated, [cell].
        exact: which of them were run as well, [cell].
    """
    both = exact & estimated & np.isfinite(estimates) & np.isfinite(effects)
    ours, theirs = (part[both].astype(np.float64) for part in (estimates, effects))
    k = math.ceil(TOP_SHARE * int(estimated.sum()))
    sizes = np.where(estimated, np.nan_to_num(np.abs(estimates), nan=np.inf), -1.0)
    top = np.argsort(-sizes, kind="stable")[:k]
    large = both & (np.abs(effects) >= LARGE)
    known, every = bool(both[top].all() and large.any()), bool(exact[estimated].all())
    return Agreement(
        cells=int(both.sum()),
        pearson=_correlation(ours, theirs),
        spearman=_correlation(_ranks(ours), _ranks(theirs)),
        k=k,
        precision=float(large[top].mean()) if known else None,
        recall=float(large[top].sum() / large.sum()) if every and large.any() else None,
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's correlation."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value; equal values share the mean of their ranks."""
    _, place, often = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(often)
    return (last - (often - 1) / 2)[place]
