"""What a printed script leaves in `values`, compared with the result that it was printed from."""

from __future__ import annotations

import numpy as np

import interp_backend as ib


def same(values, expected):
    """Equal to a share of the largest value, and to rounding where all are about zero."""
    values, expected = np.asarray(values, np.float64), np.asarray(expected, np.float64)
    assert values.shape == expected.shape
    largest = np.nanmax(np.abs(expected), initial=0)
    np.testing.assert_allclose(values, expected, atol=max(1e-4 * largest, 2e-6), rtol=0)


def same_values(values, result):
    if isinstance(result, ib.Graph):
        return same(values, np.where(result.real, result.scores, np.nan))
    if isinstance(result, ib.HeadScores):
        assert set(values) == set(result.scores) - {"prefix_matching", "copy", "copying"}
        return [same(values[name], result.scores[name]) for name in values]
    if isinstance(result, ib.EffectMap):
        return same(values, result.values)
    sides = {"prompt": values} if "prompt" in result.sides else values
    assert set(sides) == set(result.sides)
    for name, found in sides.items():
        if isinstance(result, ib.LogitLens):
            for field, array in found.items():
                same(array, getattr(result.sides[name].arrays, field))
        else:
            same(found, result.sides[name].values)
    return None
