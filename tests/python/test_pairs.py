"""Data sets of pairs: where they come from, and means and intervals over them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas
import pytest

import interp_backend as ib
from interp_backend import PromptPair, PromptPairs
from interp_backend.common import sweep
from interp_backend.engine import binding
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.results.codec import decode_array
from interp_backend.results.effect_map import COMPUTED, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED, EffectMap
from plain_loop import assert_close, logit_diff, loop, runs_of
from tiny_models import boot, bridge, random_model

ANSWERS = {"clean_answer": "a", "corrupt_answer": "b"}
EQUAL = PromptPairs(
    [
        PromptPair(clean=clean, corrupt=corrupt, **ANSWERS)
        for clean, corrupt in [("hollo", "hexlq"), ("qwert", "qwexy"), ("zebra", "zibro"), ("abcde", "abcdf")]
    ]
)
MIXED = PromptPairs(
    [
        PromptPair(clean=clean, corrupt=corrupt, **ANSWERS)
        for clean, corrupt in [("hollo", "hexlq"), ("longer!", "linger?"), ("odd", "add"), ("qwerty", "qwixty")]
    ]
)
LENGTHS = (6, 8, 4, 7)  # of MIXED, with the token that begins the text


@cache
def model():
    return ib.load_model(bridge("gpt2"))


def singles(pairs, **options):
    return [ib.activation_patching(model(), pair, **options) for pair in pairs]


def laid_out(results, shape):
    """Values of several results of different lengths over each other by their ends, NaN elsewhere: [pair, *shape]."""
    values = np.full((len(results), *shape), np.nan)
    for i, one in enumerate(results):
        values[(i, ..., slice(shape[-1] - one.values.shape[-1], None))] = one.values
    return values


def mean_effect(values, results, direction="denoise"):
    """Sum of effects over sum of gaps, of the pairs that have the cell."""
    clean = np.array([one.baselines["clean"] for one in results])
    corrupt = np.array([one.baselines["corrupt"] for one in results])
    base = (corrupt if direction == "denoise" else clean).reshape(-1, *[1] * (values.ndim - 1))
    known = ~np.isnan(values)
    gaps = np.where(known, (clean - corrupt).reshape(base.shape), 0).sum(0)
    return np.where(known, values - base, 0).sum(0) / gaps


# Means


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "resid_pre"},
        {"activation": "z", "axes": ("layer", "head", "position")},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "neurons": [0, 9, 63]},
        {"activation": "attn_out", "value": "zero", "window": 2},
        {"activation": "mlp_out", "metric": "kl"},
    ],
)
def test_the_mean_is_that_of_the_pairs_one_at_a_time(options, direction):
    result = ib.activation_patching(model(), EQUAL, direction=direction, **options)
    each = singles(EQUAL, direction=direction, **options)
    values = np.stack([one.values for one in each])
    np.testing.assert_allclose(result.pairs.values, values, atol=1e-5)
    np.testing.assert_allclose(result.values, values.mean(0), atol=1e-5)
    gap = abs(np.mean([one.baselines["clean"] - one.baselines["corrupt"] for one in each]))
    np.testing.assert_allclose(result.normalized, mean_effect(values, each, direction), atol=2e-5 / gap)
    np.testing.assert_allclose(result.pairs.normalized.mean(0), result.normalized, atol=1e-4)
    agree = (np.sign(result.pairs.normalized) == np.sign(result.normalized)).sum(0)
    np.testing.assert_array_equal(result.pairs.agree, agree)
    for side in ("clean", "corrupt"):
        assert result.baselines[side] == pytest.approx(np.mean([one.baselines[side] for one in each]), abs=1e-5)
        np.testing.assert_allclose(getattr(result.pairs, side), [one.baselines[side] for one in each], atol=1e-5)
    states = np.stack([one.state for one in each])
    np.testing.assert_array_equal(result.state == UNCHANGED, (states == UNCHANGED).all(0))
    assert result.pairs.labels == [pair.clean for pair in EQUAL] and result.pairs.done == 4
    assert result.complete and result.provenance["complete"] and result.provenance["executor"] == "packed"


def test_each_pair_equals_a_plain_loop():
    raw = bridge("gpt2")
    result = ib.activation_patching(model(), EQUAL, activation="z")
    for i, pair in enumerate(EQUAL):
        base, other = runs_of(raw, pair)
        measure = lambda logits, pair=pair: logit_diff(raw, logits, pair)  # noqa: E731
        assert_close(result.pairs.values[i], loop(base, other, "z", ("layer", "head"), measure))


def test_zero_is_exactly_no_effect_in_a_mean_too():
    result = ib.activation_patching(model(), EQUAL)
    assert (result.state[:, 0] == UNCHANGED).all() and (result.normalized[:, 0] == 0).all()
    low, high = result.pairs.interval
    assert (low[:, 0] == 0).all() and (high[:, 0] == 0).all()


def test_pairs_of_different_lengths_meet_at_their_ends():
    result = ib.activation_patching(model(), MIXED, activation="attn_out", metric=["logit_diff", "prob"])
    each = singles(MIXED, activation="attn_out", metric=["logit_diff", "prob"])
    assert [one.values.shape[1] for one in each] == list(LENGTHS)
    assert result.values.shape == (3, 8) and result.places["position"] == list(range(-8, 0))
    for name in ("logit_diff", "prob"):
        values = laid_out([one.by_metric(name) for one in each], (3, 8))
        shown = result.by_metric(name)
        np.testing.assert_allclose(shown.pairs.values, values, atol=1e-5)
        np.testing.assert_allclose(shown.values, np.nanmean(values, 0), atol=1e-5)
        gaps = [one.by_metric(name).baselines["clean"] - one.by_metric(name).baselines["corrupt"] for one in each]
        np.testing.assert_allclose(
            shown.normalized,
            mean_effect(values, [one.by_metric(name) for one in each]),
            rtol=0.01,
            atol=1e-4 / min(map(abs, gaps)),
        )
    assert (result.state == COMPUTED).any() and NOT_COMPUTED not in result.state
    assert NO_COUNTERPART not in result.state  # the longest pair has every place
    # a token is shown where all pairs that reach so far have it, else the place from the end
    assert result.labels["position"][0] == "<bos>" and result.labels["position"][-1] == "[\u22121]"


def test_a_place_that_one_pair_alone_has_has_no_interval():
    """Drawn again and again, one pair agrees with itself: that is no certainty."""
    result = ib.activation_patching(model(), MIXED, activation="attn_out")
    low, high = result.pairs.interval
    assert np.isnan(low[:, 0]).all() and np.isnan(high[:, 0]).all()  # eighth from the end
    assert np.isfinite(low[:, 1:]).all() and (low <= high)[:, 1:].all()
    assert np.isfinite(result.normalized).all()


@pytest.mark.parametrize(
    "positions, places",
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([-1], [-1]),
        ([-4, -3, -2, -1, 0, 1], [-4, -3, -2, -1, 0, 1]),  # as many as the first pair has tokens
        ({"start": [0, 1], "end": [-2, -1]}, [[0, 1], [-2, -1]]),
    ],
)
def test_chosen_positions_of_pairs_of_different_lengths_stay_where_they_were_chosen(positions, places):
    result = ib.activation_patching(model(), MIXED, activation="mlp_out", positions=positions)
    each = singles(MIXED, activation="mlp_out", positions=positions)
    assert result.places["position"] == places
    np.testing.assert_allclose(result.pairs.values, [one.values for one in each], atol=1e-5)
    assert set(result.to_dataframe()["position"]) == set(positions)
    if isinstance(positions, dict):
        assert result.labels["position"] == ["start", "end"]


def test_patterns_of_pairs_of_different_lengths_meet_at_the_ends_of_both_axes():
    axes = ("layer", "head", "position", "source")
    pairs, options = PromptPairs(MIXED.pairs[1:3]), {"activation": "pattern", "axes": axes, "layers": [1], "heads": [2]}
    result = ib.activation_patching(model(), pairs, **options)
    long, short = singles(pairs, **options)
    assert result.values.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(result.pairs.values[0], long.values, atol=1e-5)
    np.testing.assert_allclose(result.pairs.values[1, :, :, 4:, 4:], short.values, atol=1e-5)
    assert np.isnan(result.pairs.values[1, :, :, :4]).all() and np.isnan(result.pairs.values[1, :, :, :, :4]).all()


def test_several_interventions_have_a_mean_over_pairs_too():
    ones = [ib.Intervention("z", 1, head=2), ib.Intervention("mlp_out", 2, position=-1)]
    result = ib.patch_together(model(), MIXED, ones)
    each = [ib.patch_together(model(), pair, ones) for pair in MIXED]
    values = np.stack([one.values for one in each])
    np.testing.assert_allclose(result.pairs.values, values, atol=1e-5)
    assert_close(result.normalized, mean_effect(values, each), 1e-3)


def test_one_pair_has_a_mean_and_no_interval():
    result = ib.activation_patching(model(), PromptPairs(EQUAL.pairs[:1]))
    (one,) = singles(EQUAL.pairs[:1])
    np.testing.assert_allclose(result.normalized, one.normalized, atol=1e-5)
    assert np.isnan(result.pairs.interval).all() and result.complete


# Intervals


def plain_bootstrap(pairs, samples=20_000):
    """Percentiles of the ratio of sums over pairs that are drawn with putting back."""
    rng = np.random.default_rng(7)
    clean, corrupt = np.array(pairs.clean), np.array(pairs.corrupt)
    effects = pairs.values.reshape(len(clean), -1) - (corrupt if pairs.base == "corrupt" else clean)[:, None]
    drawn = rng.integers(0, len(clean), (samples, len(clean)))
    means = effects[drawn].mean(1) / (clean - corrupt)[drawn].mean(1)[:, None]
    return np.percentile(means, [2.5, 97.5], axis=0).reshape(2, *pairs.values.shape[1:])


def test_the_interval_is_that_of_a_plain_bootstrap():
    result = ib.activation_patching(model(), EQUAL, activation="z")
    rng = np.random.default_rng(3)  # made up, with gaps alike and clearly not zero
    made = result.pairs.model_copy(
        update={
            "values": rng.normal(1, 0.5, (8, 3, 4)).astype(np.float32),
            "clean": rng.normal(3, 0.2, 8).tolist(),
            "corrupt": rng.normal(0, 0.2, 8).tolist(),
            "labels": list("abcdefgh"),
        }
    )
    low, high = made.interval
    expected_low, expected_high = plain_bootstrap(made)
    width = expected_high - expected_low
    assert (width > 0.02).all()
    # a percentile of 1000 samples is off by a few hundredths of the width
    assert (np.abs(low - expected_low) < 0.15 * width).all() and (np.abs(high - expected_high) < 0.15 * width).all()
    assert (low < made.mean).all() and (made.mean < high).all()
    np.testing.assert_array_equal(made.interval, (low, high))  # the same each time


def test_an_interval_of_pairs_that_all_agree_is_a_point():
    result = ib.activation_patching(model(), PromptPairs([EQUAL[0]] * 3), activation="mlp_out")
    low, high = result.pairs.interval
    np.testing.assert_allclose(low, result.normalized, atol=1e-5)
    np.testing.assert_allclose(high, result.normalized, atol=1e-5)
    assert (result.pairs.agree == 3).all()


def test_an_interval_contains_zero_where_the_pairs_disagree():
    one = ib.activation_patching(model(), PromptPairs([EQUAL[0]] * 2)).pairs
    values = np.array([[1.0, 1.0, -1.0, 0.0]] * 3 + [[-1.0, 1.0, -1.0, 0.0]] * 3, np.float32)
    made = one.model_copy(update={"values": values, "clean": [1.0] * 6, "corrupt": [0.0] * 6, "labels": list("abcdef")})
    low, high = made.interval
    np.testing.assert_array_equal((low <= 0) & (high >= 0), [True, False, False, True])
    np.testing.assert_allclose(made.mean, [0, 1, -1, 0])
    np.testing.assert_array_equal(made.agree, [0, 6, 6, 6])


# Streaming, failing, JSON


def test_a_cancel_half_way_keeps_the_pairs_that_are_done():
    steps = activation_patching.steps(model(), MIXED, activation="attn_out")
    seen = []
    for step in steps:
        assert step.total == 4 and step.result.pairs.done == step.done
        if step.cells:
            seen.append(step.done)
            assert step.cells == list(range(step.result.values.size))
        if step.done == 2 and step.cells:
            break
    steps.close()
    assert seen == [1, 2]
    result = step.result
    assert not result.complete and result.provenance["complete"] is False and result.pairs.done == 2
    some = singles(MIXED.pairs[:2], activation="attn_out")
    values = laid_out(some, (3, 8))
    np.testing.assert_allclose(result.pairs.values[:2], values, atol=1e-5)
    assert np.isnan(result.pairs.values[2:]).all() and result.pairs.clean[2:] == [None, None]
    np.testing.assert_allclose(result.values, np.nanmean(values, 0), atol=1e-5)
    assert result.pairs.mean.shape == (3, 8) and np.isfinite(result.pairs.mean).all()
    again = EffectMap.from_json(result.to_json())
    assert not again.complete and again.pairs.done == 2
    assert ib.activation_patching(model(), EQUAL).complete  # the model is free


def test_a_cancel_within_the_first_pair_keeps_its_cells():
    steps = activation_patching.steps(model(), EQUAL, activation="resid_pre", memory=1)
    step = next(step for step in steps if 0 < step.within < 1)
    steps.close()
    result, [one] = step.result, singles(EQUAL.pairs[:1], activation="resid_pre")
    known = result.state == COMPUTED
    assert known.any() and (result.state == NOT_COMPUTED).any() and not result.complete
    np.testing.assert_allclose(result.values[known], one.values[known], atol=1e-5)
    assert np.isfinite(result.normalized[known]).all()


def test_a_cancel_before_the_first_pair_keeps_the_frame():
    steps = activation_patching.steps(model(), EQUAL)
    result = next(steps).result
    steps.close()
    assert (result.state == NOT_COMPUTED).all() and np.isnan(result.values).all() and not result.complete
    assert np.isnan(result.normalized).all() and np.isnan(result.pairs.interval).all() and result.pairs.done == 0
    EffectMap.from_json(result.to_json())


def test_there_is_a_chance_to_stop_within_a_pair():
    steps = [step.done for step in activation_patching.steps(model(), EQUAL, activation="resid_pre")]
    assert steps.count(0) >= 2 and steps[-1] == 4 and steps == sorted(steps)


def test_a_pair_without_a_scale_counts_as_done():
    clean = [one.baselines["clean"] for one in singles(EQUAL, metric="logit")]
    between = sum(sorted(clean)[-2:]) / 2
    a = model().answer_ids("a")[0]

    def metric(logits):
        return logits[:, a].masked_fill(logits[:, a] > between, float("inf"))

    result = ib.activation_patching(model(), EQUAL, metric=metric)
    assert result.pairs.clean.count(None) == 1
    assert result.pairs.done == 4 and result.complete and result.provenance["complete"]
    # the mean is that of the others
    kept = [i for i, value in enumerate(clean) if value < between]
    others = singles([EQUAL[i] for i in kept], metric=metric)
    assert np.isfinite(result.normalized).all()
    np.testing.assert_allclose(
        result.normalized[:, 0], mean_effect(np.stack([one.values for one in others]), others)[:, 0], atol=1e-4
    )
    assert EffectMap.from_json(result.to_json()).pairs.done == 4


@pytest.mark.parametrize(
    "pair, options, sentence",
    [
        ({"clean": "x" * 70, "corrupt": "y" * 70}, {}, r"Pair 2 .*71 tokens and the model reads at most 64"),
        ({"clean": "x", "corrupt": "x"}, {}, "Pair 2 .*two prompts are the same"),
        ({"clean": "x", "corrupt": "y", "clean_answer": "b"}, {}, "Pair 2 .*two answers are the same"),
        ({"clean": "xy", "corrupt": "yx"}, {"positions": [4]}, "Pair 2 .*There is no position 4: there are 3"),
        ({"clean": "xy", "corrupt": "yx"}, {"at": 4}, "Pair 2 .*no position 4 to read a metric at"),
        ({"clean": "xy", "corrupt": "yxz"}, {"activation": "pattern"}, "Pair 2 .*same number of tokens"),
        ({"clean": "xy", "corrupt": "yx"}, {"value": ib.FromPrompt(text="12345")}, "Pair 2 .*6 tokens and the patched"),
    ],
)
def test_what_is_wrong_with_one_pair_names_it(pair, options, sentence):
    pairs = PromptPairs([*EQUAL.pairs[:2], PromptPair(**(ANSWERS | pair))])
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        ib.activation_patching(model(), pairs, **options)
    assert ib.activation_patching(model(), EQUAL).complete


def test_a_list_of_pairs_is_pointed_to_a_data_set():
    with pytest.raises(TypeError, match=r"not list\. Several go into a PromptPairs"):
        ib.activation_patching(model(), EQUAL.pairs)


@pytest.mark.parametrize("pairs", [EQUAL, MIXED], ids=["equal", "mixed"])
def test_a_mean_survives_json(pairs):
    result = ib.activation_patching(model(), pairs, activation="k", metric=["logit_diff", ("kl", -2)])
    text = result.to_json()
    again = EffectMap.from_json(text)
    assert again.to_json() == text and again.complete
    for name in ("logit_diff", "kl@-2"):
        np.testing.assert_array_equal(again.by_metric(name).pairs.values, result.by_metric(name).pairs.values)
        np.testing.assert_array_equal(again.by_metric(name).normalized, result.by_metric(name).normalized)
        np.testing.assert_array_equal(again.by_metric(name).pairs.interval, result.by_metric(name).pairs.interval)
    assert [PromptPair.model_validate(pair) for pair in again.params["pairs"]] == pairs.pairs


def test_a_table_of_a_mean_has_its_interval_and_its_largest_effects():
    result = ib.activation_patching(model(), EQUAL, activation="mlp_out", metric=["logit_diff", "kl"])
    table = result.to_dataframe()
    low, high = result.pairs.interval
    assert len(table) == result.values.size
    row = table[(table.layer == 2) & (table.position == 5)].iloc[0]
    assert row["low"] == low[2, 5] and row["high"] == high[2, 5] and row["agree"] == result.pairs.agree[2, 5]
    assert row["value"] == row["logit_diff"] == result.values[2, 5] and row["normalized"] == result.normalized[2, 5]
    assert row["kl"] == result.by_metric("kl").values[2, 5]
    top = result.top_cells(4)
    assert len(top) == 4 and top["normalized"].abs().is_monotonic_decreasing
    assert top["normalized"].abs().iloc[0] == np.abs(result.normalized).max()
    assert len(result.top_cells(10_000)) == result.values.size


def test_what_a_scale_means_is_said_of_the_mean():
    result = ib.activation_patching(model(), EQUAL, metric="log_prob")
    assert "the pairs' mean clean run (\u2212" in result.scale_text
    assert result.scale_text.endswith("log-probability.")  # a hyphen is no minus sign
    assert "\u22121 is" in ib.activation_patching(model(), EQUAL, direction="noise").scale_text


def test_each_pairs_effect_is_in_units_of_the_gap_of_the_pairs_that_have_the_cell():
    pairs = ib.activation_patching(model(), MIXED).pairs
    known = ~np.isnan(pairs.normalized)
    np.testing.assert_array_equal(known.sum(0), pairs.known)
    np.testing.assert_allclose(np.nanmean(pairs.normalized, 0)[pairs.known > 0], pairs.mean[pairs.known > 0], atol=1e-5)
    assert pairs.known.min() == 1 and pairs.known.max() == len(MIXED)
    assert (pairs.agree <= pairs.known).all()


def test_every_metric_crosses_ready_made_and_is_what_the_result_of_it_says():
    result = ib.activation_patching(model(), MIXED, metric=["logit_diff", "log_prob", "kl"])
    wire = result.to_wire()
    for name, measured in wire["measures"].items():
        one = result.by_metric(name)
        np.testing.assert_array_equal(decode_array(measured["normalized"]), one.normalized)
        assert measured["scale_text"] == one.scale_text and measured["warnings"] == result.measures[name].warnings
        for part in ("normalized", "low", "high", "agree", "known"):
            np.testing.assert_array_equal(
                decode_array(measured["pairs"][part]), decode_array(one.to_wire()["pairs"][part])
            )
    draft = result.to_wire(draft=True)
    assert np.isnan(decode_array(draft["pairs"]["low"])).all() and not draft["measures"]


def test_pairs_of_one_length_are_run_together_before_their_turn(monkeypatch):
    batches = []
    record = sweep.record

    def counted(turn, prompts, *rest):
        batches.append(len(prompts))
        return record(turn, prompts, *rest)

    monkeypatch.setattr(sweep, "record", counted)
    both = PromptPairs([*EQUAL.pairs, *MIXED.pairs])
    result = ib.activation_patching(model(), both, positions=[-1, -2])
    assert batches == [10, 2, 2, 2]  # five pairs of six tokens, and each of the others
    alone = singles(both, positions=[-1, -2])
    assert_close(result.pairs.values, np.stack([one.values for one in alone]))


def test_a_pair_that_can_not_be_run_is_named_although_it_ran_ahead_with_others():
    raw = boot(random_model("gpt2"), "gpt2")
    raw.original_model.transformer.wte.weight.data[raw.to_single_token("z")] = float("nan")
    with pytest.raises(ValueError, match=r"Pair 2 .*zebra.*not a number"):
        ib.activation_patching(raw, EQUAL)


def test_resampling_draws_anew_for_every_pair_and_never_the_prompt_itself():
    texts = tuple(text for pair in EQUAL for text in (pair.clean, pair.corrupt))
    value = ib.Resample(prompts=texts, seed=1)
    result = ib.activation_patching(model(), EQUAL, value=value)
    for i, pair in enumerate(EQUAL):
        base = result.pairs.corrupt[i]
        assert not np.allclose(result.pairs.values[i], base)  # it would be, had the pair drawn itself
        others = [
            ib.activation_patching(model(), pair, value=ib.FromPrompt(text=text)).values
            for text in texts
            if text != pair.corrupt
        ]
        assert any(np.allclose(result.pairs.values[i], other, atol=1e-5) for other in others)
    with pytest.raises(ValueError, match="No other prompt"):
        ib.activation_patching(model(), EQUAL[0], value=ib.Resample(prompts=(EQUAL[0].corrupt,)))


def test_a_mean_over_a_data_set_is_taken_once_for_all_pairs(monkeypatch):
    runs = []
    means = binding._mean_activations
    monkeypatch.setattr(binding, "_mean_activations", lambda *rest: runs.append(1) or means(*rest))
    ib.activation_patching(model(), EQUAL, value=ib.Mean(prompts=("other", "words")))
    assert len(runs) == 1


def test_together_skips_a_place_that_a_shorter_prompt_lacks():
    far, near = (ib.Intervention("resid_pre", 1, position=p) for p in (-8, -1))
    result = ib.patch_together(model(), MIXED, [far, near])
    assert_close(result.pairs.values[1], ib.patch_together(model(), MIXED[1], [far, near]).values)
    assert np.isnan(result.pairs.values[0, 1])  # the first has no such place
    assert_close(result.pairs.values[0, [0, 2]], ib.patch_together(model(), MIXED[0], [near]).values)


def test_a_whole_number_in_a_column_with_gaps_stays_one():
    table = pandas.DataFrame({"clean": ["ab", "cd"], "corrupt": ["xb", "xd"], "clean_answer": [4, None]})
    assert PromptPairs.from_dataframe(table)[0].clean_answer == "4"
