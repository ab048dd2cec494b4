"""Thumbnails against a loop over every entry, as the contract between Python and the views has it."""

from __future__ import annotations

from math import floor, log10

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from interp_backend.results.thumbnails import LARGEST, MASKED, NOT_A_NUMBER, SMALLEST, size_for, thumbnails


def along(value, scale, low, high, others):
    """Where a value is on the scale, from -1 to 1, and by what it is compared; `others` are in its row or head."""
    if scale in ("row", "head"):
        most = max(abs(other) for other in others)
        share = value / most if most > 0 else 0.0
    else:
        share = value / high if value >= 0 else -value / low
    if scale != "log" or share == 0:
        return max(-1.0, min(1.0, share if scale != "log" else 0.0)), abs(share)
    t = min(1.0, max(0.0, 1 + log10(abs(share)) / 4))
    return (t if share > 0 else -t), abs(share)


def by_hand(values, masked, scale, low, high, size, signed):
    """Codes, not rounded, [layer, head, size, size]: a set each, of those entries that could be the one shown."""
    layers, heads, length, _ = values.shape
    made, plain = np.empty((layers, heads, size, size), object), values.tolist()
    for layer, head, i, j in np.ndindex(made.shape):
        destinations = range(floor(i * length / size), floor((i + 1) * length / size))
        sources = range(floor(j * length / size), floor((j + 1) * length / size))
        entries = [(d, s) for d in destinations for s in sources if not masked[layer, d, s]]
        numbers = []
        for d, s in entries:
            rows = plain[layer][head] if scale == "head" else [plain[layer][head][d]]
            others = [v for row in rows for v in row if v == v]  # numbers
            if not np.isnan(values[layer, head, d, s]):
                t, weight = along(float(values[layer, head, d, s]), scale, low, high, others)
                numbers.append((weight, 125 + 125 * t if signed else 250 * t))
        if not entries:
            made[layer, head, i, j] = {MASKED}
        elif not numbers:
            made[layer, head, i, j] = {NOT_A_NUMBER}
        else:
            most = max(weight for weight, _ in numbers)
            made[layer, head, i, j] = {code for weight, code in numbers if weight >= most * (1 - 1e-5) - 1e-30}
    return made


def assert_codes(found, expected):
    assert found.dtype == np.uint8 and found.shape == expected.shape
    for code, possible in zip(found.ravel(), expected.ravel(), strict=True):
        assert any(abs(int(code) - one) <= 0.5 + 1e-3 for one in possible), (code, possible)


@st.composite
def heads_of(draw):
    """Values [layer, head, T, T] of some kind, their mask, the ends of the scale, whether they have a sign."""
    length = draw(st.integers(1, 9))
    layers, heads = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    signed = draw(st.booleans())
    numbers = st.floats(-2 if signed else 0, 2, width=32).filter(lambda v: v == 0 or abs(v) > 1e-9)
    elements = numbers | st.just(np.nan) if draw(st.booleans()) else numbers
    values = draw(arrays.arrays(np.float32, (layers, heads, length, length), elements=elements))
    mask = draw(st.sampled_from(["causal", "none", "any"]))
    masked = {
        "causal": np.broadcast_to(np.triu(np.ones((length, length), np.uint8), 1), (layers, length, length)).copy(),
        "none": np.zeros((layers, length, length), np.uint8),
        "any": draw(arrays.arrays(np.uint8, (layers, length, length), elements=st.integers(0, 1))),
    }[mask]
    values = np.where(masked[:, None] == 1, np.float32(np.nan), values)
    high = draw(st.sampled_from([0.25, 1.0, 2.0]))
    low = -draw(st.sampled_from([high, 0.5, 3.0])) if signed else -high
    return values, masked, low, high, draw(st.integers(1, length)), signed


NOTHING_IN_A_ROW = (np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 2, 2), np.uint8), -1.0, 1.0, 2)


@settings(max_examples=100)
@example((*NOTHING_IN_A_ROW, True), "row")
@example((*NOTHING_IN_A_ROW, False), "row")
@example((*NOTHING_IN_A_ROW, True), "log")
@given(heads_of(), st.sampled_from(["linear", "log", "row", "head"]))
def test_equals_a_loop(given_, scale):
    values, masked, low, high, size, signed = given_
    before = values.copy(), masked.copy()
    found = thumbnails(values, masked, scale, low, high, size, signed)
    assert_codes(found, by_hand(values, masked, scale, low, high, size, signed))
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(masked, before[1])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("scale", ["linear", "log", "row", "head"])
def test_equals_a_loop_at_the_sizes_that_are_sent(scale, signed):
    rng = np.random.default_rng(3)
    length, size = 75, size_for(75, 10**6)
    assert size == SMALLEST
    values = (rng.random((1, 1, length, length)) ** 12).astype(np.float32)
    values = values - values.transpose(0, 1, 3, 2) if signed else values
    masked = np.triu(np.ones((1, length, length), np.uint8), 1)
    masked[0][np.tril_indices(length, -30)] = 1  # a window
    values[:, :, masked[0] == 1] = np.nan
    found = thumbnails(values, masked, scale, -1.0, 1.0, size, signed)
    assert_codes(found, by_hand(values, masked, scale, -1.0, 1.0, size, signed))
    assert (found == MASKED).any() and not (found == NOT_A_NUMBER).any()


@pytest.mark.parametrize("scale", ["linear", "log", "row", "head"])
@pytest.mark.parametrize("size", [3, 5])
def test_without_the_first_source_it_is_as_if_it_were_masked(scale, size):
    values = np.random.default_rng(0).random((2, 2, 5, 5), np.float32)
    values[..., 0] = 9
    masked = np.triu(np.ones((2, 5, 5), np.uint8), 1)
    values = np.where(masked[:, None] == 1, np.float32(np.nan), values)
    found = thumbnails(values, masked, scale, -1.0, 1.0, size, False, without_first=True)
    values[..., 0], masked[..., 0] = np.nan, 1
    assert_codes(found, by_hand(values, masked, scale, -1.0, 1.0, size, False))


def test_a_stripe_one_token_wide_survives():
    length = 500
    values = np.zeros((1, 1, length, length), np.float32)
    rows = np.arange(200, length)
    values[0, 0, rows, rows - 131] = 0.9
    masked = np.triu(np.ones((1, length, length), np.uint8), 1)
    found = thumbnails(values, masked, "linear", -1.0, 1.0, 64, False)[0, 0]
    cells = {(np.searchsorted(np.arange(65) * length // 64, d, "right") - 1) for d in rows}
    for cell in cells:
        assert (found[cell] == 225).any()
    assert set(np.unique(found)) == {0, 225, MASKED}
    assert (np.diag(found) == 0).all()  # partly masked is not masked


def test_signs_are_kept_where_cells_cover_several_entries():
    values = np.array([[[[0.2, 0.5], [-0.75, 0.1]]]], np.float32)
    open_ = np.zeros((1, 2, 2), np.uint8)
    assert thumbnails(values, open_, "linear", -1.0, 1.0, 1, True).item() == round(125 - 125 * 0.75)
    assert thumbnails(values, open_, "linear", -3.0, 1.0, 1, True).item() == round(125 + 125 * 0.5)
    assert thumbnails(-values, open_, "linear", -1.0, 1.0, 1, True).item() == round(125 + 125 * 0.75)
    assert thumbnails(values, open_, "row", -1.0, 1.0, 1, True).item() in (0, 250)


def test_the_ends_of_the_scales():
    values = np.array([1e-9, 1e-4, 1e-3, 1e-2, 0.1, 1, 5, 0, 0], np.float32).reshape(1, 1, 3, 3)
    open_ = np.zeros((1, 3, 3), np.uint8)
    log = thumbnails(values, open_, "log", -1.0, 1.0, 3, False).ravel()
    np.testing.assert_array_equal(log[[0, 1, 3, 5, 6, 7]], [0, 0, 125, 250, 250, 0])
    np.testing.assert_allclose(log[[2, 4]].astype(float), [62.5, 187.5], atol=0.5)
    linear = thumbnails(values, open_, "linear", -1.0, 1.0, 3, False).ravel()
    np.testing.assert_array_equal(linear, [0, 0, 0, 2, 25, 250, 250, 0, 0])
    signed = thumbnails(-values, open_, "log", -1.0, 1.0, 3, True).ravel()
    np.testing.assert_array_equal(signed[[0, 5, 6, 7]], [125, 0, 0, 125])


@pytest.mark.parametrize(
    "length, heads, size",
    [
        (1, 4, 1),
        (20, 144, 20),
        (64, 144, 64),
        (500, 144, 64),
        (500, 2304, 26),
        (500, 10**6, 16),
        (10, 10**6, 10),
        (9, 0, 9),
    ],
)
def test_sizes_fit_what_is_sent(length, heads, size):
    assert size_for(length, heads) == size <= LARGEST
    assert heads * size**2 <= 1_600_000 or size <= SMALLEST
