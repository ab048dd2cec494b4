"""One effect map minus another: its numbers, its states, what it says of itself, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import interp_backend as ib
from interp_backend.results.effect_map import COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED, EffectMap
from tiny_models import PAIR, bridge

SHAPE = (2, 3)
numbers = arrays.arrays(np.float32, SHAPE, elements=st.floats(-100, 100, width=32) | st.just(float("nan")))
states = arrays.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, 4]))
gaps = st.sampled_from([(1.0, 0.0), (9.0, -7.0), (-1.0, 2.0)])


def map_of(values, state, baselines=(1.0, 0.0), **change) -> EffectMap:
    prompt = {"text": "a b c", "ids": [1, 2, 3], "tokens": ["a", " b", " c"], "answer": " d"}
    fields = {
        "method": "activation_patching",
        "params": {"activation": "resid_pre", "direction": "denoise", "metric": "logit_diff"},
        "axes": ("layer", "position"),
        "labels": {"layer": ["0", "1"], "position": ["a", " b", " c"]},
        "prompts": {"clean": prompt, "corrupt": prompt},
        "baselines": dict(zip(("clean", "corrupt"), baselines)),
        "metric_label": "logit difference",
    }
    return EffectMap.model_validate({**fields, "values": values, "state": state, **change})


maps = st.builds(map_of, numbers, states, gaps)


@pytest.fixture(scope="module")
def run() -> dict[str, EffectMap]:
    model = bridge("gpt2")
    asked = {
        "resid": {},
        "attn": {"activation": "attn_out"},
        "prob": {"metric": "prob", "direction": "noise"},
        "heads": {"activation": "z", "axes": ("layer", "head")},
        "fewer": {"layers": [0, 1]},
        "other": {"layers": [0, 2]},
    }
    return {name: ib.activation_patching(model, PAIR, **options) for name, options in asked.items()}


@given(maps)
def test_a_map_minus_itself_is_zero_wherever_it_has_a_number(one):
    same = one.minus(one)
    known = np.isfinite(one.normalized) & np.isin(one.state, (COMPUTED, UNCHANGED, ESTIMATE))
    np.testing.assert_array_equal(same.normalized[known], 0)
    np.testing.assert_array_equal(same.values[known], 0)
    assert np.isnan(same.normalized[~known]).all()
    np.testing.assert_array_equal(same.state, one.state)


@given(maps, maps)
def test_the_order_of_the_maps_is_the_sign_of_the_difference(one, other):
    there, back = one.minus(other), other.minus(one)
    np.testing.assert_array_equal(there.normalized, -back.normalized)
    np.testing.assert_array_equal(there.values, -back.values)
    np.testing.assert_array_equal(there.state, back.state)


@given(maps, maps)
def test_effects_are_subtracted_as_effects_and_values_as_values(one, other):
    gone = one.minus(other)
    known = np.isin(one.state, (1, 2, 4)) & np.isin(other.state, (1, 2, 4))
    np.testing.assert_array_equal(gone.normalized[known], (one.normalized - other.normalized)[known])
    np.testing.assert_array_equal(gone.values[known], (one.values - other.values)[known])
    assert gone.baselines == {"clean": None, "corrupt": None} and gone.top is None and gone.estimates is None


@given(maps, maps)
def test_a_difference_is_read_again_bit_for_bit(one, other):
    gone = one.minus(other)
    again = ib.read_result(gone.to_json())
    assert isinstance(again, EffectMap) and again.to_json() == gone.to_json() and repr(again) == repr(gone)
    assert again.normalized.tobytes() == gone.normalized.tobytes() and again.values.tobytes() == gone.values.tobytes()


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (COMPUTED, COMPUTED, COMPUTED),
        (UNCHANGED, UNCHANGED, UNCHANGED),
        (COMPUTED, UNCHANGED, COMPUTED),  # what is unchanged has an exact effect too: zero
        (COMPUTED, ESTIMATE, ESTIMATE),
        (UNCHANGED, ESTIMATE, ESTIMATE),
        (COMPUTED, NOT_COMPUTED, NOT_COMPUTED),
        (ESTIMATE, NOT_COMPUTED, NOT_COMPUTED),
        (NOT_COMPUTED, NO_COUNTERPART, NO_COUNTERPART),
        (COMPUTED, NO_COUNTERPART, NO_COUNTERPART),
    ],
)
def test_the_state_of_a_cell(first, second, both):
    one, other = (map_of(np.ones(SHAPE, np.float32), np.full(SHAPE, state, np.uint8)) for state in (first, second))
    for gone in (one.minus(other), other.minus(one)):
        assert (gone.state == both).all()
        assert np.isfinite(gone.normalized).all() == (both in (COMPUTED, UNCHANGED, ESTIMATE))


def test_maps_that_a_model_gave(run):
    gone = run["resid"].minus(run["attn"])
    np.testing.assert_array_equal(gone.normalized, run["resid"].normalized - run["attn"].normalized)
    assert gone.headline() == "resid_pre \u2212 attn_out, clean into corrupt, logit difference"
    assert gone.metric_label == "difference in logit difference" and gone.provenance["model"]["name"]
    assert "0 is no difference" in repr(gone) and "largest differences of effects:" in repr(gone)
    assert gone.place_of((1, 2)) == run["resid"].place_of((1, 2))
    table = gone.to_dataframe()
    np.testing.assert_allclose(table["first"] - table["second"], table["normalized"])
    np.testing.assert_array_equal(table["first"], run["resid"].normalized.ravel())


def test_other_metrics_and_directions_are_compared_by_their_effects_alone(run):
    gone = run["resid"].minus(run["prob"])
    np.testing.assert_array_equal(gone.normalized, run["resid"].normalized - run["prob"].normalized)
    assert np.isnan(gone.values).all()
    assert gone.metric_label == "difference in effect (logit difference \u2212 probability)"
    assert gone.headline() == (
        "(clean into corrupt, logit difference) \u2212 (corrupt into clean, probability), resid_pre"
    )


def test_a_difference_is_saved_as_a_picture_a_table_and_json(run, tmp_path):
    gone = run["resid"].minus(run["attn"])
    assert "resid_pre \u2212 attn_out, clean into corrupt" in gone.save(tmp_path / "a.svg").read_text("utf-8")
    long = run["resid"].minus(run["prob"]).plot().axes[0].get_title("left")
    assert long.splitlines() == [
        "(clean into corrupt, logit difference)",
        "\u2212 (corrupt into clean, probability)",
        "resid_pre",
    ]
    assert "first,second" in gone.save(tmp_path / "a.csv").read_text("utf-8")
    assert ib.read_result(gone.save(tmp_path / "a.json").read_text("utf-8")).headline() == gone.headline()
    image = gone.plot().axes[0].images[0]
    assert image.get_clim() == (-np.nanmax(np.abs(gone.normalized)), np.nanmax(np.abs(gone.normalized)))
    assert run["resid"].minus(run["resid"]).plot().axes[0].images[0].get_clim() == (-0.1, 0.1)


def test_other_pairs_of_the_same_length_are_compared_position_by_position(run):
    pair = PAIR.model_copy(update={"clean": PAIR.corrupt, "corrupt": PAIR.clean})
    gone = run["resid"].minus(ib.activation_patching(bridge("gpt2"), pair))
    assert gone.labels == run["resid"].labels and gone.terms is not None
    assert [term.name for term in gone.terms] == [f"\u201c{PAIR.clean}\u201d", f"\u201c{PAIR.corrupt}\u201d"]


def test_the_mean_of_several_pairs_is_compared_by_its_mean_effect(run):
    mean = ib.activation_patching(bridge("gpt2"), ib.PromptPairs([PAIR, PAIR]), positions=list(range(-2, 0)))
    gone = mean.minus(mean)
    assert gone.pairs is None and np.nanmax(np.abs(gone.normalized)) == 0


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("heads", "One map is by layer and position and the other by layer and head"),
        ("fewer", "The layer axes of these maps have 3 and 2 entries"),
    ],
)
def test_maps_of_other_cells_are_refused(run, other, sentence):
    with pytest.raises(ValueError, match=sentence):
        run["resid"].minus(run[other])


def test_maps_of_other_layers_and_differences_are_refused(run):
    with pytest.raises(ValueError, match="The layers of these maps are not the same"):
        run["fewer"].minus(run["other"])
    gone = run["resid"].minus(run["attn"])
    for one, other in ((gone, run["resid"]), (run["resid"], gone)):
        with pytest.raises(ValueError, match="is a difference itself"):
            one.minus(other)


def test_other_metrics_without_a_scale_are_refused_and_one_metric_is_subtracted_raw():
    ones, computed = np.ones(SHAPE, np.float32), np.full(SHAPE, COMPUTED, np.uint8)
    flat = map_of(3 * ones, computed, (2.0, 2.0))
    with pytest.raises(ValueError, match="no common unit"):
        flat.minus(map_of(ones, computed, metric_label="probability"))
    raw = flat.minus(map_of(ones, computed))
    assert (raw.values == 2).all() and np.isnan(raw.normalized).all() and raw.scale_text == ""
    assert "largest differences of values:" in repr(raw)


def test_terms_of_another_shape_are_refused():
    ones, computed = np.ones(SHAPE, np.float32), np.full(SHAPE, COMPUTED, np.uint8)
    wire = map_of(ones, computed).minus(map_of(ones, computed)).to_wire()
    wire["terms"][0]["effects"]["shape"] = [3, 2]
    with pytest.raises(ValueError, match="the terms of a difference have to be shaped like values"):
        EffectMap.from_wire(wire)
