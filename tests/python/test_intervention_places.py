"""Where it is put: windows, sets of positions, entries of a pattern, neurons."""

from __future__ import annotations

import numpy as np
import pytest

import interp_backend as ib
from interp_backend import Intervention
from interp_backend.results.effect_map import UNCHANGED
from intervention_loop import LENGTH, PAIR, cells_of, logits_of, model_of
from plain_loop import PER_HEAD, Change, assert_close, logit_diff, put_other, runs_of
from tiny_models import bridge


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("activation, window", [("attn_out", 2), ("mlp_out", 3), ("z", 2), ("resid_post", 2)])
def test_a_window_patches_neighbouring_layers_together(architecture, activation, window):
    raw = bridge(architecture)
    base, other = runs_of(raw, PAIR)
    chosen = {"heads": [1]} if activation == "z" else {"positions": [2, 5]}
    result = ib.activation_patching(model_of(architecture), PAIR, activation=activation, window=window, **chosen)
    # with the cell's own layer in the middle, or just right of it; fewer at the ends
    layers = {2: {0: [0], 1: [0, 1], 2: [1, 2]}, 3: {0: [0, 1], 1: [0, 1, 2], 2: [1, 2]}}[window]
    expected = np.empty(result.values.shape)
    for index, at in cells_of(result):
        place = {axis: i for axis, i in at.items() if axis != "layer"}
        ones = [Intervention(activation, layer, **place) for layer in layers[at["layer"]]]
        expected[index] = logit_diff(raw, logits_of(architecture, base, other, ones), PAIR)
    assert_close(result.values, expected)


@pytest.mark.parametrize("window", [0, -1, 4])
def test_a_window_that_does_not_fit_is_refused(window):
    with pytest.raises(ValueError, match="A window has 1 to 3 layers"):
        ib.activation_patching(model_of("gpt2"), PAIR, window=window)


@pytest.mark.parametrize("activation", ["resid_mid", "k", "embed", "pattern"])
def test_named_sets_of_positions_are_patched_as_one(activation):
    raw = bridge("gpt2")
    base, other = runs_of(raw, PAIR)
    sets = {"middle": [2, 3], "last": [-1], "all": range(LENGTH), "the first": [0]}
    axes = ("layer", "head", "position") if activation in PER_HEAD else ("layer", "position")
    result = ib.activation_patching(model_of("gpt2"), PAIR, activation=activation, axes=axes, positions=sets)
    assert result.labels["position"] == list(sets) and result.places["position"] == [
        [2, 3],
        [5],
        [0, 1, 2, 3, 4, 5],
        [0],
    ]
    expected = np.empty(result.values.shape)
    for index, at in cells_of(result):
        ones = [Intervention(activation, at["layer"], position=tuple(at["position"]), head=at.get("head"))]
        expected[index] = logit_diff(raw, logits_of("gpt2", base, other, ones), PAIR)
    assert_close(result.values, expected)
    assert (result.state[..., 3] == UNCHANGED).all()
    assert set(result.to_dataframe()["position"]) == set(sets)


def test_single_entries_of_a_pattern():
    raw = bridge("llama")
    base, other = runs_of(raw, PAIR)
    axes = ("layer", "head", "position", "source")
    result = ib.activation_patching(
        model_of("llama"),
        PAIR,
        activation="pattern",
        axes=axes,
        layers=[1],
        heads=[0, 2],
        positions=[3, 5],
        sources=[0, 2, 4],
    )
    expected = np.empty(result.values.shape)
    for index, at in cells_of(result):
        new = put_other(other, "pattern", 1)
        change = Change("pattern", 1, new, [at["position"]], at["head"], at["source"])
        expected[index] = logit_diff(raw, base.changed(change)[-1], PAIR)
    assert_close(result.values, expected)
    assert (result.state[:, :, 0, 2] == UNCHANGED).all()  # position 3 can't look at position 4


def test_the_neurons_with_the_largest_effects():
    raw = bridge("gpt2")
    base, other = runs_of(raw, PAIR)
    result = ib.activation_patching(model_of("gpt2"), PAIR, activation="mlp_post", axes=("layer", "neuron"))
    n_neurons = base.activation("mlp_post", 0).shape[-1]
    assert result.values.shape == (3, n_neurons)
    top = result.top_cells(5)
    effects = np.sort(np.abs(result.normalized).ravel())[::-1]
    np.testing.assert_allclose(top["normalized"].abs(), effects[:5])
    for row in top.itertuples():
        one = Intervention("mlp_post", int(row.layer), neuron=int(row.neuron))
        assert row.value == pytest.approx(logit_diff(raw, logits_of("gpt2", base, other, [one]), PAIR), abs=1e-5)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"layers": 1}, "layers is a list of whole numbers, not 1"),
        ({"layers": [0.5]}, "layers is a list of whole numbers"),
        ({"layers": []}, "nothing to sweep"),
        ({"positions": {"a": 3}}, "positions is a list of whole numbers, or such lists by name"),
        ({"positions": {"a": ["x"]}}, "positions is a list"),
        ({"positions": {"a": []}}, "nothing to sweep"),
        ({"positions": {"a": [6]}}, "There is no position 6: there are 6, so give -6 to 5"),
        ({"positions": [-7]}, "There is no position -7"),
        ({"layers": [-1]}, "There is no layer -1: there are 3, so give 0 to 2"),
        ({"window": "two"}, "window is a whole number, not 'two'"),
        ({"heads": [0]}, "heads= chooses among the heads"),
        ({"activation": "embed", "layers": [1]}, "There is no layer 1: there is only one, so give 0"),
        ({"activation": "embed", "window": 2}, "embeddings are no layer"),
        ({"activation": ["z"]}, "no activation"),
        ({"at": "last"}, "at is the position"),
        ({"at": True}, "at is the position"),
        ({"at": 6}, "no position 6 to read"),
        ({"metric": ("prob", True)}, "no metric"),
        ({"metric": []}, "not none"),
        ({"metric": ["prob", "prob"]}, "several different ones, not prob, prob"),
        ({"top_k": -1}, "top_k"),
    ],
)
def test_a_place_that_does_not_exist_is_refused_in_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(model_of("gpt2"), PAIR, **options)


def test_whole_numbers_of_any_make_choose_places():
    plain = ib.activation_patching(model_of("gpt2"), PAIR, layers=[1, 2], positions=[2, 3])
    for layers, positions in [(range(1, 3), range(2, 4)), (np.arange(1, 3), np.array([2, 3]))]:
        same = ib.activation_patching(model_of("gpt2"), PAIR, layers=layers, positions=positions)
        np.testing.assert_array_equal(same.values, plain.values)
        assert same.places == plain.places
        same.to_json()
