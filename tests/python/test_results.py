"""Results: what goes into JSON comes out bit for bit, and nothing else gets in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import interp_backend as ib
from interp_backend.results.codec import decode_array, encode_array, encode_rounded
from interp_backend.results.effect_map import CellState, EffectMap

any_array = st.sampled_from([np.float32, np.int32, np.uint8]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@given(any_array)
def test_an_array_survives_json_bit_for_bit(array):
    decoded = decode_array(strict_json(json.dumps(encode_array(array), allow_nan=False)))
    assert decoded.dtype == array.dtype and decoded.shape == array.shape
    assert decoded.tobytes() == array.tobytes()


@given(
    arrays.arrays(
        np.float32, arrays.array_shapes(max_dims=3, min_side=0, max_side=4), elements=st.floats(width=32)
    ).map(lambda array: np.where(np.isneginf(array), np.nan, array).astype(np.float32))
)
def test_a_rounded_array_is_near_by_a_thousandth_of_its_row(array):
    decoded = decode_array(strict_json(json.dumps(encode_rounded(array), allow_nan=False)))
    assert decoded.dtype == np.float32 and decoded.shape == array.shape
    finite = np.isfinite(array)
    np.testing.assert_array_equal(decoded[~finite], array[~finite])
    largest = np.where(finite, np.abs(array), 0).max(-1, keepdims=True, initial=0).astype(np.float64)
    allowed = 0.00101 * largest + 1e-44  # the smallest numbers have no thousandth
    error = np.abs(decoded[finite].astype(np.float64) - array[finite])
    assert (error <= np.broadcast_to(allowed, array.shape)[finite]).all()
    assert (np.where(finite, np.abs(decoded), 0).max(-1, initial=0) == largest[..., 0]).all()


def test_small_numbers_of_a_row_are_rounded_more_finely():
    row = np.array([1, 1e-2, 1e-4, -1e-4], np.float32)
    np.testing.assert_allclose(decode_array(encode_rounded(row)), row, rtol=0.05)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_no_array_is_refused(value):
    with pytest.raises(ValueError):
        decode_array(value)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"dtype": "float64"},
        {"shape": [3]},
        {"shape": [-2, -1]},
        {"shape": "2"},
        {"shape": [True, 2]},
        {"shape": [2.0]},
        {"shape": [10**30, 0]},
        {"shape": [1] * 100 + [2]},
        {"data": "not base64!"},
        {"data": 5},
        {"more": 1},
    ],
)
@pytest.mark.parametrize("encode", [encode_array, encode_rounded])
def test_a_damaged_array_is_refused(encode, change):
    with pytest.raises(ValueError):
        decode_array(encode(np.zeros(2, np.float32)) | change)


@pytest.fixture
def result(embedded, capitals):
    return ib.activation_patching(embedded, capitals, top_k=3)


def test_a_result_survives_json(result):
    text = result.to_json()
    again = EffectMap.from_json(text)
    assert again.to_json() == text
    np.testing.assert_array_equal(again.values, result.values)
    assert again.labels == result.labels and again.tokens == result.tokens


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_counterparts_are_positions_of_the_prompt_that_is_not_patched(embedded, direction):
    pair = ib.PromptPair(clean="The capital of Norway is", corrupt="The big capital of Sweden is")
    result = ib.activation_patching(embedded, pair, metric="kl", direction=direction)
    wire = json.loads(result.to_json())
    assert EffectMap.from_wire(wire).counterparts == result.counterparts
    swapped = {"noise": "denoise", "denoise": "noise"}[direction]
    with pytest.raises(ValueError, match="counterparts are, for each"):
        EffectMap.from_wire(wire | {"params": wire["params"] | {"direction": swapped}})


def test_nan_and_infinity_never_reach_json(result):
    result.values[0, 0], result.values[0, 1] = np.nan, np.inf
    wire = strict_json(result.to_json())
    assert decode_array(wire["values"])[0, 1] == np.inf


def test_infinite_baselines_become_null(embedded, capitals):
    def metric(logits):
        return logits[:, 0] * float("inf")

    result = ib.activation_patching(embedded, capitals, metric=metric)
    assert None in strict_json(result.to_json())["baselines"].values()
    assert np.isnan(result.normalized).all()


def test_an_unknown_schema_version_is_refused(result):
    wire = json.loads(result.to_json()) | {"schema_version": 2}
    with pytest.raises(ValueError, match="schema version 2"):
        EffectMap.from_json(json.dumps(wire))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "not json", "null"])
def test_what_is_no_result_is_refused(text):
    with pytest.raises(ValueError):
        EffectMap.from_json(text)


def test_arrays_that_do_not_fit_the_labels_are_refused(result):
    wire = json.loads(result.to_json())
    wire["labels"]["position"] = wire["labels"]["position"][1:]
    with pytest.raises(ValueError, match="shaped like"):
        EffectMap.from_json(json.dumps(wire))


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": {}},
        {"axes": ["layer", "layer"]},
        {"baselines": {"clean": 1.0}},
        {"provenance": {"model": "a text"}},
        {"state": encode_array(np.full((4, 6), 7, np.uint8))},
        {"state": encode_array(np.zeros((4, 6), np.float32))},
        {"counterparts": [0]},
        {"counterparts": [0, 1, 2, 3, 4, 6]},
        {"counterparts": [0, 1, 2, 3, 4, -1]},
    ],
)
def test_results_that_make_no_sense_are_refused(result, change):
    with pytest.raises(ValueError):
        EffectMap.from_json(json.dumps(json.loads(result.to_json()) | change))


def test_json_that_is_nested_without_end_is_refused():
    with pytest.raises(ValueError, match="not JSON"):
        EffectMap.from_json("[" * 100_000)


def test_normalized_means_the_same_in_both_directions(embedded, capitals):
    denoise = ib.activation_patching(embedded, capitals)
    noise = ib.activation_patching(embedded, capitals, direction="noise")
    gap = denoise.baselines["clean"] - denoise.baselines["corrupt"]
    np.testing.assert_allclose(denoise.normalized, (denoise.values - denoise.baselines["corrupt"]) / gap, atol=1e-6)
    np.testing.assert_allclose(noise.normalized, (noise.values - noise.baselines["clean"]) / gap, atol=1e-6)
    # the last block's output at the last position is all there is: patching it gives the other run
    post = {
        d: ib.activation_patching(embedded, capitals, activation="resid_post", direction=d)
        for d in ("denoise", "noise")
    }
    assert post["denoise"].normalized[-1, -1] == pytest.approx(1, abs=1e-4)
    assert post["noise"].normalized[-1, -1] == pytest.approx(-1, abs=1e-4)


def test_a_dataframe_has_one_row_a_cell(result):
    frame = result.to_dataframe()
    assert len(frame) == result.values.size
    row = frame[(frame.layer == 1) & (frame.position == 5)].iloc[0]
    assert row.value == result.values[1, 5] and row.normalized == result.normalized[1, 5]
    assert row.token == " is" and row.state == "computed"


@pytest.mark.parametrize(
    "options", [{}, {"activation": "z"}, {"activation": "z", "axes": ("layer", "head", "position")}]
)
def test_a_plot_has_every_cell_and_its_number(embedded, capitals, options):
    result = ib.activation_patching(embedded, capitals, **options)
    axes = result.plot().axes[0]
    assert len(axes.texts) == result.values.size
    assert {"=", "1.00"} <= {text.get_text() for text in axes.texts} or options
    assert not axes.yaxis_inverted()  # layer 0 at the bottom


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_normalized_cells_are_those_of_the_whole_map(embedded, capitals, direction):
    result = ib.activation_patching(embedded, capitals, direction=direction)
    cells = [3, 23, 0]
    np.testing.assert_array_equal(result.normalized_cells(cells), result.normalized.ravel()[cells])
    pairs = ib.activation_patching(embedded, ib.PromptPairs([capitals, capitals]), direction=direction)
    np.testing.assert_array_equal(pairs.normalized_cells(cells), pairs.normalized.ravel()[cells])


def test_normalized_cells_look_at_no_other_cell(result):
    result.values.ravel()[1:] = np.nan
    gap = result.baselines["clean"] - result.baselines["corrupt"]
    [effect] = result.normalized_cells([0])
    assert effect == pytest.approx((result.values[0, 0] - result.baselines["corrupt"]) / gap, abs=1e-6)


def test_states_are_numbers_on_the_wire_and_words_in_a_table(result):
    assert [(int(state), state.words) for state in CellState] == [
        (0, "not computed"),
        (1, "computed"),
        (2, "unchanged"),
        (3, "no counterpart"),
        (4, "estimate"),
    ]
    assert set(result.to_dataframe().state) == {"computed", "unchanged"}
