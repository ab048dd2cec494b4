"""What is put in: every value against a plain loop, and values that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp_backend as ib
from interp_backend import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from interp_backend.results.effect_map import UNCHANGED
from intervention_loop import DATA, LOOSE, PAIR, VECTOR, cells_of, logits_of, mean_of, model_of, run_of, vector_for
from plain_loop import assert_close, logit_diff, runs_of
from tiny_models import bridge

# An activation, a few of its cells: what the sweep is asked for, and in which order the loop goes through them.
SITES = {
    "embed": {"positions": [2, 5]},
    "resid_pre": {"layers": [0, 2], "positions": [1, -3]},
    "resid_post": {"layers": [0, 2], "positions": [1, 5]},
    "attn_out": {"layers": [1], "positions": [0, 4]},
    "mlp_post": {"axes": ("layer", "neuron"), "layers": [0, 2], "neurons": [0, 63]},
    "z": {"axes": ("layer", "head", "position"), "layers": [1], "heads": [0, 3], "positions": [2, 5]},
    "k": {"layers": [0], "heads": [0, 1]},
    "v": {"axes": ("layer", "head", "position"), "layers": [2], "heads": [1], "positions": [3]},
    "pattern": {"axes": ("layer", "head", "position"), "layers": [1], "heads": [2], "positions": [3, 5]},
}


def values_for(architecture, activation):
    yield FromOther()
    yield FromPrompt(text="third")
    yield Zero()
    yield Mean(prompts=DATA)
    yield Add(vector=vector_for(architecture, activation), factor=-1.5)
    yield Add(factor=0.5)
    yield Scale(factor=-0.5)
    if activation != "pattern":
        yield Mean(prompts=DATA + LOOSE, by_position=False)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("activation", SITES)
def test_every_value_equals_a_plain_loop(architecture, activation):
    raw, model = bridge(architecture), model_of(architecture)
    directions = ("denoise", "noise") if activation == "z" else ("denoise",)
    for direction in directions:
        base, other = runs_of(raw, PAIR, direction)
        for value in values_for(architecture, activation):
            result = ib.activation_patching(
                model, PAIR, activation=activation, value=value, direction=direction, **SITES[activation]
            )
            assert result.provenance["executor"] == "packed"
            assert result.params["value"] == value.model_dump(mode="json")
            expected = np.empty(result.values.shape)
            for index, at in cells_of(result):
                where = {axis: place for axis, place in at.items() if axis != "layer"}
                one = Intervention(activation, at["layer"], value=value, **where)
                logits = logits_of(architecture, base, other, [one])
                expected[index] = logit_diff(raw, logits, PAIR)
            assert_close(result.values, expected)


def test_keys_and_values_of_grouped_heads_have_their_own_number():
    for activation, heads in [("k", 2), ("v", 2), ("q", 4), ("z", 4), ("pattern", 4)]:
        result = ib.activation_patching(model_of("llama"), PAIR, activation=activation)
        assert result.values.shape == (3, heads)
    with pytest.raises(ValueError, match="There is no head 2: there are 2"):
        ib.activation_patching(model_of("llama"), PAIR, activation="k", heads=[2])


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_mean_over_all_positions_leaves_out_the_token_that_begins_the_text(architecture):
    """Its activation is unlike others: with it the mean would be another number."""
    value = Mean(prompts=LOOSE, by_position=False)
    mean = mean_of(architecture, value, "resid_pre", 1)[0]
    runs = [run_of(architecture, text).activation("resid_pre", 1) for text in LOOSE]
    torch.testing.assert_close(mean, torch.cat([run[1:] for run in runs]).mean(0))
    assert (mean - torch.cat(runs).mean(0)).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("activation", ["embed", "z", "mlp_out", "pattern"])
def test_resampling_from_all_is_the_mean_over_patching_from_each(architecture, activation):
    options = {"activation": activation, "metric": ["logit_diff", "prob"]}
    model = model_of(architecture)
    each = [ib.activation_patching(model, PAIR, value=FromPrompt(text=text), **options) for text in DATA]
    drawn = ib.activation_patching(model, PAIR, value=Resample(prompts=DATA + LOOSE, draws=len(DATA)), **options)
    for metric in ("logit_diff", "prob"):
        assert_close(drawn.by_metric(metric).values, np.mean([one.by_metric(metric).values for one in each], axis=0))


def test_resampling_draws_the_same_prompts_for_every_cell_and_by_its_seed():
    model = model_of("gpt2")
    each = {t: ib.activation_patching(model, PAIR, value=FromPrompt(text=t)).values for t in DATA}
    seen = set()
    for seed in range(12):
        value = Resample(prompts=DATA, draws=2, seed=seed)
        values = ib.activation_patching(model, PAIR, value=value).values
        np.testing.assert_array_equal(values, ib.activation_patching(model, PAIR, value=value).values)
        fitting = [
            (a, b)
            for i, a in enumerate(DATA)
            for b in DATA[i + 1 :]  # two different ones: nothing is put back
            if np.allclose(values, (each[a] + each[b]) / 2, atol=1e-5)
        ]
        assert len(fitting) == 1
        seen.add(fitting[0])
    assert len(seen) > 2


def test_more_draws_than_prompts_draw_some_again():
    value = Resample(prompts=DATA[:1], draws=3)
    drawn = ib.activation_patching(model_of("gpt2"), PAIR, value=value)
    one = ib.activation_patching(model_of("gpt2"), PAIR, value=FromPrompt(text=DATA[0]))
    assert_close(drawn.values, one.values)
    np.testing.assert_array_equal(drawn.state == UNCHANGED, one.state == UNCHANGED)


def test_scaling_by_one_and_adding_nothing_is_not_run():
    for value in (Scale(factor=1), Add(vector=(0.0,) * 32), Add(vector=VECTOR[:32], factor=0)):
        for activation in ("resid_pre", "embed"):
            result = ib.activation_patching(model_of("gpt2"), PAIR, activation=activation, value=value)
            assert (result.state == UNCHANGED).all() and (result.normalized == 0).all()


def test_adding_the_difference_of_equal_activations_is_not_run():
    for activation, axes in [("attn_out", None), ("embed", None), ("v", ("layer", "head", "position"))]:
        result = ib.activation_patching(model_of("llama"), PAIR, activation=activation, axes=axes, value=Add())
        assert (result.state[..., :2] == UNCHANGED).all()
        assert not (result.state[..., 2] == UNCHANGED).any()


def test_scaling_to_nothing_is_putting_zeros():
    for activation in ("mlp_post", "embed", "z", "pattern"):
        zero, scaled = (
            ib.activation_patching(model_of("llama"), PAIR, activation=activation, value=value)
            for value in ("zero", Scale(factor=0))
        )
        assert_close(scaled.values, zero.values, 1e-6)


@pytest.mark.parametrize(
    "value, options, sentence",
    [
        (FromPrompt(text="longer"), {}, "“longer” has 7 tokens and the patched one 6"),
        (Mean(prompts=DATA + LOOSE), {}, "needs prompts of 6 tokens.*data set's prompts have 2, 3, 6, 9"),
        (Mean(prompts=DATA, by_position=False), {"activation": "pattern"}, "only be averaged at each position"),
        (Resample(prompts=LOOSE), {}, "No other prompt of the data set has 6 tokens"),
        (Add(vector=(1.0,)), {}, "has 1 numbers, but this activation has 32"),
        (Add(vector=VECTOR[:32]), {"activation": "z"}, "has 32 numbers, but this activation has 8"),
        ("mean", {}, "mean.prompts"),
        ("steer", {}, "'steer'.*FromPrompt"),
        ({"kind": "scale"}, {}, "scale.factor"),
        ({"kind": "scale", "factor": float("nan")}, {}, "finite"),
        ({"kind": "mean", "prompts": []}, {}, "at least 1 item"),
        (3, {}, "FromOther"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_a_sentence(value, options, sentence):
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        ib.activation_patching(model_of("gpt2"), PAIR, value=value, **options)
