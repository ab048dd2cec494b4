"""What is put where: every value, several at once, and their way through JSON."""

from __future__ import annotations

from functools import cache
from unittest import mock

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformer_lens import patching

import interp_backend as ib
from interp_backend import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from interp_backend.language.interventions import as_value
from interp_backend.results.effect_map import UNCHANGED
from plain_loop import EVERYTHING, HOOKS, PER_HEAD, Change, Run, assert_close, logit_diff, put_other, runs_of, token
from tiny_models import bridge

PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")
LENGTH = 6  # with the token that begins the text
DATA = ("qwert", "zzyxw", "ha ha", "o-o-o")  # as long as the pair
LOOSE = ("ab", "cdefghij", "k")  # of other lengths
VECTOR = tuple(np.random.default_rng(0).normal(size=128).round(3).tolist())

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


@cache
def model_of(architecture):
    return ib.load_model(bridge(architecture))


@cache
def run_of(architecture, prompt):
    return Run(bridge(architecture), prompt)


def mean_of(architecture, value, activation, layer):
    """The mean over a data set, spelled out: [position, ...]."""
    runs = [run_of(architecture, text).activation(activation, layer) for text in value.prompts]
    if value.by_position:
        return torch.stack(runs).mean(0)
    everywhere = torch.cat([run[1:] for run in runs])  # both models here begin a text with a token of its own
    return everywhere.mean(0, keepdim=True).expand(LENGTH, *everywhere.shape[1:])


def new_of(architecture, base, other, activation, layer, value):
    """A `Change`'s `new` for a value, spelled out. All runs are made here: later this run's hooks would act on them."""
    now, there = base.activation(activation, layer), other.activation(activation, layer)
    if isinstance(value, FromPrompt):
        there = run_of(architecture, value.text).activation(activation, layer)
    if isinstance(value, Mean):
        there = mean_of(architecture, value, activation, layer)
    if isinstance(value, Add):
        shift = (there - now if value.vector is None else torch.tensor(value.vector).expand_as(now)) * value.factor
        return lambda old, pick: old + pick(shift)
    if isinstance(value, (Zero, Scale)):
        factor = getattr(value, "factor", 0)
        return lambda old, pick: old * factor
    return lambda old, pick: pick(there)


def change_of(architecture, base, other, one):
    """An intervention as a `Change`."""
    new = new_of(architecture, base, other, one.activation, one.layer, one.value)
    positions = range(len(base)) if one.position is None else one.position
    positions = [positions] if isinstance(positions, int) else positions
    entries = one.source if one.activation == "pattern" else one.neuron
    entries = EVERYTHING if entries is None else list(entries) if isinstance(entries, tuple) else entries
    head = EVERYTHING if one.head is None else one.head
    if one.activation == "pattern" and one.head is None and entries is not EVERYTHING:
        raise AssertionError("the loop's index would pair heads with sources")
    return Change(one.activation, one.layer, new, dict.fromkeys(p % len(base) for p in positions), head, entries)


def cells_of(result):
    for index in np.ndindex(result.values.shape):
        yield index, {axis: result.places[axis][i] for axis, i in zip(result.axes, index)}


def logits_of(architecture, base, other, interventions):
    """Of one run with all of them, at the last position."""
    return base.changed(*(change_of(architecture, base, other, one) for one in interventions))[-1]


def vector_for(architecture, activation):
    return VECTOR[: run_of(architecture, PAIR.clean).activation(activation, 0).shape[-1]]


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
        (Mean(prompts=DATA + LOOSE), {}, "needs prompts of 6 tokens .* data set's have 2, 3, 6, 9"),
        (Mean(prompts=DATA, by_position=False), {"activation": "pattern"}, "only be averaged at each position"),
        (Resample(prompts=LOOSE), {}, "No other prompt of the data set has 6 tokens"),
        (Add(vector=(1.0,)), {}, "has 1 numbers, and this activation has 32"),
        (Add(vector=VECTOR[:32]), {"activation": "z"}, "has 32 numbers, and this activation has 8"),
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


# Where


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
        ({"activation": "embed", "layers": [1]}, "There is no layer 1: there is one, so give 0"),
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


# What is read


def test_several_metrics_at_several_positions_need_no_further_run():
    raw, model = bridge("gpt2"), model_of("gpt2")
    base, other = runs_of(raw, PAIR)

    def third_logit(logits):
        return logits[:, 3]

    metrics = ["logit_diff", ("logit", 2), ("logit", -2), ("kl", 3), "rank", (third_logit, 4)]
    from interp_backend.engine.executor import Plan

    with mock.patch.object(Plan, "run_packed", autospec=True, side_effect=Plan.run_packed) as passes:
        result = ib.activation_patching(model, PAIR, activation="attn_out", metric=metrics)
        several = passes.call_count
        ib.activation_patching(model, PAIR, activation="attn_out")
        assert passes.call_count == 2 * several
    assert list(result.measures) == ["logit_diff", "logit@2", "logit@-2", "kl@3", "rank", "third_logit@4"]
    a = token(raw, "a")
    clean = other.logits.log_softmax(-1)
    for layer, position in np.ndindex(result.values.shape):
        logits = base.changed(Change("attn_out", layer, put_other(other, "attn_out", layer), [position]))
        q = logits.log_softmax(-1)
        expected = {
            "logit_diff": logit_diff(raw, logits[-1], PAIR),
            "logit@2": logits[2, a],
            "logit@-2": logits[-2, a],
            "kl@3": (clean[3].exp() * (clean[3] - q[3])).sum(),
            "rank": (logits[-1] > logits[-1, a]).sum(),
            "third_logit@4": logits[4, 3],
        }
        for name, value in expected.items():
            assert result.by_metric(name).values[layer, position] == pytest.approx(float(value), abs=1e-5)
    assert result.by_metric("logit@2").baselines["corrupt"] == pytest.approx(float(base.logits[2, a]), abs=1e-5)
    assert result.by_metric("logit@2").baselines["clean"] == pytest.approx(float(other.logits[2, a]), abs=1e-5)
    assert {"logit@2", "third_logit@4"} <= set(result.to_dataframe())
    with pytest.raises(ValueError, match=r"measured logit_diff.*and not prob"):
        result.by_metric("prob")


@pytest.mark.parametrize("at", [None, 3])
def test_sets_of_answers_average_logits_and_add_probabilities(at):
    raw = bridge("llama")
    pair = PAIR.model_copy(update={"clean_answer": ("a", "c", "d"), "corrupt_answer": ("b", "e")})
    base, other = runs_of(raw, pair)
    result = ib.activation_patching(
        model_of("llama"), pair, activation="mlp_out", at=at, metric=["logit_diff", "logit", "prob", "log_prob", "rank"]
    )
    clean, corrupt = [token(raw, t) for t in "acd"], [token(raw, t) for t in "be"]
    for layer, position in np.ndindex(result.values.shape):
        change = Change("mlp_out", layer, put_other(other, "mlp_out", layer), [position])
        logits = base.changed(change)[-1 if at is None else at]
        probs = logits.softmax(-1)
        expected = {
            "logit_diff": logits[clean].mean() - logits[corrupt].mean(),
            "logit": logits[clean].mean(),
            "prob": probs[clean].sum(),
            "log_prob": probs[clean].sum().log(),
            "rank": (logits > logits[clean].max()).sum(),
        }
        for name, value in expected.items():
            assert result.by_metric(name).values[layer, position] == pytest.approx(float(value), abs=1e-5)
    assert result.prompts["clean"].answers == ["a", "c", "d"]


# Several at once

V = VECTOR[:32]
TOGETHER = {
    "different layers and positions": [
        Intervention("attn_out", 0, position=3),
        Intervention("mlp_out", 2, position=5),
        Intervention("z", 1, head=2, value=Zero()),
    ],
    "several that count as one": [
        [Intervention("resid_pre", 1, position=2), Intervention("resid_pre", 1, position=4)],
        Intervention("k", 1, head=1, position=(1, 3)),
    ],
    "a later one that puts back what was there": [
        Intervention("resid_pre", 0, position=2),
        Intervention("attn_out", 1, value=FromPrompt(text=PAIR.corrupt)),
        Intervention("mlp_out", 1, value=FromPrompt(text=PAIR.corrupt)),
    ],
    "entries and neurons": [
        Intervention("pattern", 0, head=1, position=3, source=2),
        Intervention("pattern", 1, head=3, position=(4, 5), source=(0, 2), value=Scale(factor=0.5)),
        Intervention("mlp_post", 2, neuron=(3, 5, 60), value=Zero()),
        Intervention("mlp_post", 0, position=-1, neuron=7),
    ],
    "the same twice": [
        Intervention("resid_pre", 1, position=3, value=Add(vector=V)),
        Intervention("resid_pre", 1, position=3, value=Add(vector=V)),
    ],
    "one inside another": [
        Intervention("mlp_out", 1, value=Add(vector=V)),
        Intervention("mlp_out", 1, position=(3, 4), value=Add(vector=V)),
        Intervention("mlp_out", 1, position=4, value=Scale(factor=2)),
    ],
    "zero and then add": [
        Intervention("attn_out", 1, position=3, value=Zero()),
        Intervention("attn_out", 1, position=3, value=Add(vector=V)),
    ],
    "add and then zero": [
        Intervention("attn_out", 1, position=3, value=Add(vector=V)),
        Intervention("attn_out", 1, position=3, value=Zero()),
    ],
    "there and back and there": [
        [Intervention("z", 1, head=0, value=Zero()), Intervention("z", 1, head=0, value=Add(vector=V[:8]))],
        [Intervention("z", 1, head=0, value=Add(vector=V[:8])), Intervention("z", 1, head=0, value=Zero())],
        Intervention("z", 1, head=0, position=3, value=Add(vector=V[:8])),
    ],
    "two pairs that end alike": [
        [
            Intervention("mlp_out", 1, position=3, value=Zero()),
            Intervention("mlp_out", 1, position=3, value=Add(vector=V)),
        ],
        [
            Intervention("mlp_out", 1, position=3, value=FromPrompt(text="third")),
            Intervention("mlp_out", 1, position=3, value=Add(vector=V)),
        ],
    ],
    "what leaves a block and what enters the next": [
        Intervention("resid_pre", 1, position=3, value=Zero()),
        Intervention("resid_post", 0, position=3, value=Add(vector=V)),
        Intervention("resid_post", 0, position=2, value=Add(vector=V)),
    ],
    "two of the embeddings": [
        Intervention("embed", 0, position=(3, 4), value=Add(vector=V)),
        Intervention("embed", 0, position=4, value=Add(vector=V, factor=0.5)),
        Intervention("embed", 0, position=2),
    ],
    "the embeddings and what enters the first block": [
        Intervention("resid_pre", 0, position=4, value=Scale(factor=0.5)),
        Intervention("embed", 0, position=4, value=FromPrompt(text="third")),
        Intervention("embed", 0, position=3, value=Scale(factor=-1)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("case", TOGETHER)
def test_several_interventions_equal_a_plain_loop(architecture, case):
    """Together and each alone; where they meet, one changes what the one before it left."""
    raw = bridge(architecture)
    base, other = runs_of(raw, PAIR)
    parts = [part if isinstance(part, list) else [part] for part in TOGETHER[case]]
    result = ib.patch_together(model_of(architecture), PAIR, TOGETHER[case], top_k=2)
    assert result.axes == ("run",) and result.provenance["executor"] == "packed"
    runs = [[one for part in parts for one in part], *parts]
    expected = [logit_diff(raw, logits_of(architecture, base, other, some), PAIR) for some in runs]
    assert_close(result.values, expected)
    joint = logits_of(architecture, base, other, runs[0])
    np.testing.assert_array_equal(result.top.ids[0], joint.topk(2).indices)
    with mock.patch("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test"):
        whole = ib.patch_together(model_of(architecture), PAIR, TOGETHER[case])
    assert whole.provenance["executor"] == "hooks"
    assert_close(whole.values, expected)


def test_steering_the_same_place_twice_is_steering_it_once_by_twice_as_much():
    once = Intervention("resid_pre", 1, position=3, value=Add(vector=V))
    twice = Intervention("resid_pre", 1, position=3, value=Add(vector=V, factor=2))
    result = ib.patch_together(model_of("gpt2"), PAIR, [once, once])
    assert_close(result.values[0], ib.patch_together(model_of("gpt2"), PAIR, [twice]).values[0])
    assert abs(result.normalized[0] - result.normalized[1]) > 1e-3


def test_a_direction_and_resampling_act_on_several_too():
    model, ones = model_of("llama"), [Intervention("z", 1, head=1), Intervention("mlp_out", 2, position=-1)]
    raw = bridge("llama")
    base, other = runs_of(raw, PAIR, "noise")
    noise = ib.patch_together(model, PAIR, ones, direction="noise", metric=["logit_diff", ("logit", 3)])
    expected = base.changed(*(change_of("llama", base, other, one) for one in ones))
    assert noise.values[0] == pytest.approx(logit_diff(raw, expected[-1], PAIR), abs=1e-5)
    assert noise.by_metric("logit@3").values[0] == pytest.approx(float(expected[3, token(raw, "a")]), abs=1e-5)
    drawn = [one.model_copy(update={"value": Resample(prompts=DATA, draws=4)}) for one in ones]
    each = [
        ib.patch_together(model, PAIR, [one.model_copy(update={"value": FromPrompt(text=t)}) for one in ones])
        for t in DATA
    ]  # both are drawn from one prompt at a time
    assert_close(ib.patch_together(model, PAIR, drawn).values, np.mean([one.values for one in each], axis=0))


@pytest.mark.parametrize(
    "interventions, sentence",
    [
        ([], "Give a list of 1 to 2000"),
        ([[]], "none of them empty"),
        (Intervention("z", 0), "Give a list of 1 to 2000"),
        ("z", "Give a list"),
        ([{"activation": "z", "layer": 0}], "is an Intervention"),
        ([None], "is an Intervention"),
        ([Intervention("resid", 0)], "There is no activation 'resid'"),
        ([Intervention("z", 3)], "There is no layer 3: there are 3, so give 0 to 2"),
        ([Intervention("z", 0, head=4)], "There is no head 4"),
        ([Intervention("z", 0, position=6)], "There is no position 6"),
        ([Intervention("z", 0, neuron=1)], "z has no neuron"),
        ([Intervention("resid_pre", 0, head=1)], "resid_pre has no head"),
        ([Intervention("mlp_post", 0, source=1)], "mlp_post has no source"),
        ([Intervention("mlp_post", 0, neuron=9999)], "There is no neuron 9999"),
        ([Intervention("pattern", 0, source=6)], "There is no source 6"),
        ([Intervention("embed", 1)], "There is no layer 1"),
        ([Intervention("z", 0), Intervention("z", 1, position=())], "an empty list of positions"),
        ([Intervention("mlp_post", 1, neuron=())], "an empty list of neurons"),
        ([Intervention("z", 0, value=Mean(prompts=LOOSE))], "needs prompts of 6 tokens"),
    ],
)
def test_interventions_that_make_no_sense_are_refused_in_a_sentence(interventions, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.patch_together(model_of("gpt2"), PAIR, interventions)


# JSON, and anything at all

numbers = st.floats(-2, 2, allow_subnormal=False).map(lambda x: round(x, 3))
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
prompts = st.lists(texts, min_size=1, max_size=3).map(tuple)
any_value = st.one_of(
    st.just(FromOther()),
    st.just(Zero()),
    st.builds(FromPrompt, text=texts),
    st.builds(Mean, prompts=prompts, by_position=st.booleans()),
    st.builds(Resample, prompts=prompts, draws=st.integers(1, 1000), seed=st.integers(0, 2**40)),
    st.builds(Add, vector=st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple)),
    st.builds(Scale, factor=st.floats(allow_nan=False, allow_infinity=False)),
)
several = st.none() | st.integers(-9, 9) | st.lists(st.integers(-9, 9), max_size=3).map(tuple)


@given(any_value)
def test_a_value_survives_json(value):
    assert as_value(type(value).model_validate_json(value.model_dump_json())) == value
    assert as_value(value.model_dump()) == as_value(value.model_dump(mode="json")) == value


@given(
    st.builds(
        Intervention,
        st.text(max_size=9),
        st.integers(),
        position=several,
        head=st.none() | st.integers(),
        source=several,
        neuron=several,
        value=any_value,
    )
)
def test_an_intervention_survives_json(one):
    again = Intervention.model_validate_json(one.model_dump_json())
    assert again == one and hash(again) == hash(one)
    assert Intervention.model_validate(one.model_dump()) == one
    assert Intervention(**one.model_dump()) == one


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '{"activation": "z"}',
        '{"layer": 0}',
        '{"activation": "z", "layer": 0, "self": 1}',
        '{"activation": "z", "layer": 0, "value": {"kind": "other", "text": "x"}}',
        '{"activation": "z", "layer": 0, "value": {"kind": "scale", "factor": "NaN"}}',
        '{"activation": "z", "layer": 0, "value": {"kind": "mean", "prompts": "abc"}}',
        '{"activation": "z", "layer": 1.5}',
        '{"activation": "z", "layer": 0, "position": "all"}',
    ],
)
def test_what_is_no_intervention_is_refused_by_validation_alone(text):
    with pytest.raises(ValidationError):
        Intervention.model_validate_json(text)


def test_an_intervention_is_written_with_or_without_names():
    assert Intervention("z", 1) == Intervention(activation="z", layer=1) == Intervention("z", layer=1)
    assert Intervention("z", 1).value == FromOther()
    assert Intervention("z", 1, value="zero").value == Zero()
    with pytest.raises(ValidationError):
        Intervention("z")
    with pytest.raises(ValidationError):
        Intervention("z", 0, where=3)


@st.composite
def interventions(draw):
    activation = draw(st.sampled_from(sorted(HOOKS)))
    layer = 0 if activation == "embed" else draw(st.integers(0, 2))
    position = draw(st.none() | st.integers(-LENGTH, LENGTH - 1) | st.sampled_from([(1, 4), (2, 3, -1)]))
    place = {}
    if activation in PER_HEAD:
        place["head"] = draw(st.integers(0, 1) if activation == "pattern" else st.none() | st.integers(0, 1))
    if activation == "pattern":
        place["source"] = draw(st.none() | st.integers(0, LENGTH - 1) | st.just((0, 2)))
    if activation == "mlp_post":
        place["neuron"] = draw(st.none() | st.integers(0, 63) | st.just((1, 2, 40)))
    value = draw(
        st.one_of(
            st.just(FromOther()),
            st.just(Zero()),
            st.builds(Scale, factor=numbers),
            st.builds(Add, factor=numbers),
            st.builds(FromPrompt, text=st.sampled_from(DATA)),
            st.just(Mean(prompts=DATA)),
        )
    )
    return Intervention(activation, layer, position=position, value=value, **place)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["gpt2", "llama", "gemma2"]),
    st.lists(interventions() | st.lists(interventions(), min_size=1, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["denoise", "noise"]),
    st.none() | st.integers(0, LENGTH - 1),
    st.sampled_from([None, 1]),
)
def test_any_interventions_give_what_a_plain_loop_gives_packed_or_not(architecture, parts, direction, at, memory):
    raw = bridge(architecture)
    base, other = runs_of(raw, PAIR, direction)
    options = {"direction": direction, "at": at, "memory": memory}
    packed = ib.patch_together(model_of(architecture), PAIR, parts, **options)
    with mock.patch("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test"):
        whole = ib.patch_together(model_of(architecture), PAIR, parts, **options)
    assert (packed.provenance["executor"], whole.provenance["executor"]) == ("packed", "hooks")
    lists = [part if isinstance(part, list) else [part] for part in parts]
    runs = [[one for part in lists for one in part], *lists]
    read = len(base) - 1 if at is None else at
    for i, some in enumerate(runs):
        logits = base.changed(*(change_of(architecture, base, other, one) for one in some))[read]
        largest = float(logits.abs().max())
        for result in (packed, whole):
            assert abs(result.values[i] - logit_diff(raw, logits, PAIR)) <= 1e-4 * largest


# Against TransformerLens

ORACLES = {
    ("q", ("layer", "head")): patching.get_act_patch_attn_head_q_all_pos,
    ("k", ("layer", "head")): patching.get_act_patch_attn_head_k_all_pos,
    ("v", ("layer", "head")): patching.get_act_patch_attn_head_v_all_pos,
    ("pattern", ("layer", "head")): patching.get_act_patch_attn_head_pattern_all_pos,
    ("q", ("layer", "head", "position")): patching.get_act_patch_attn_head_q_by_pos,
    ("k", ("layer", "head", "position")): patching.get_act_patch_attn_head_k_by_pos,
    ("v", ("layer", "head", "position")): patching.get_act_patch_attn_head_v_by_pos,
    ("pattern", ("layer", "head", "position")): patching.get_act_patch_attn_head_pattern_by_pos,
}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("activation, axes", ORACLES)
def test_equals_transformer_lens(architecture, activation, axes):
    raw = bridge(architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = ORACLES[activation, axes](raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b])
    theirs = theirs.numpy()
    if len(axes) == 3 and activation != "pattern":
        theirs = theirs.transpose(0, 2, 1)  # theirs is [layer, position, head]
    ours = ib.activation_patching(model_of(architecture), PAIR, activation=activation, axes=axes)
    assert_close(ours.values, theirs)


def test_entries_of_a_pattern_equal_transformer_lens():
    raw = bridge("gpt2")
    pair = PAIR.model_copy(update={"clean": "hoy", "corrupt": "hey"})
    clean, corrupt = raw.to_tokens(pair.clean), raw.to_tokens(pair.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = patching.get_act_patch_attn_head_pattern_dest_src_pos(
            raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b]
        )
    axes = ("layer", "head", "position", "source")
    assert_close(ib.activation_patching(model_of("gpt2"), pair, activation="pattern", axes=axes).values, theirs.numpy())


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "bloom"])
def test_embeddings_equal_transformer_lens(architecture):
    raw = bridge(architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = patching.generic_activation_patch(
            raw,
            corrupt,
            cache,
            lambda logits: logits[0, -1, a] - logits[0, -1, b],
            patch_setter=patching.layer_pos_patch_setter,
            activation_name="embed",
            index_df=pandas.DataFrame({"layer": None, "pos": range(corrupt.shape[1])}, dtype=object),  # in no layer
        )
    ours = ib.activation_patching(model_of(architecture), PAIR, activation="embed")
    assert ours.values.shape == (1, corrupt.shape[1]) and ours.labels["layer"] == ["emb"]
    assert_close(ours.values[0], theirs.numpy())


def test_answers_that_share_their_token_count_once():
    once = PAIR.model_copy(update={"clean_answer": "a"})
    twice = PAIR.model_copy(update={"clean_answer": ("a", "a")})
    metrics = ["prob", "log_prob", "logit_diff"]
    one, two = (ib.activation_patching(model_of("gpt2"), pair, metric=metrics) for pair in (once, twice))
    for metric in metrics:
        assert one.by_metric(metric).baselines == two.by_metric(metric).baselines
        np.testing.assert_array_equal(one.by_metric(metric).values, two.by_metric(metric).values)
