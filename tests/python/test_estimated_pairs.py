"""Data sets whose mean effects are estimated first, and then run for all pairs, the largest first."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from driven_widgets import Watched, ask

import hookscope as hs
import interp_backend as ib
from hookscope import map_call
from interp_backend.common import estimated_pairs, estimates, sweep
from interp_backend.engine.backward import RULES
from interp_backend.engine.watch import Cancelled, run_watched
from interp_backend.methods import activation_patching as method
from interp_backend.results.effect_map import CellState
from tiny_models import PAIR, bridge

COMPUTED, ESTIMATE, UNCHANGED, NO_COUNTERPART = (
    CellState.COMPUTED, CellState.ESTIMATE, CellState.UNCHANGED, CellState.NO_COUNTERPART
)  # fmt: skip
# Their first differences are at different positions, so that a cell may change in one pair alone.
EQUAL = [
    PAIR,
    PAIR.model_copy(update={"clean": "hallo there", "clean_answer": "c"}),
    PAIR.model_copy(update={"clean": "hellu thyre", "corrupt_answer": "d"}),
]
MIXED = [
    *EQUAL,
    ib.PromptPair(clean="oh hello there", corrupt="oh hellu theru", clean_answer="a", corrupt_answer="b"),
    ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b"),
]
HEADS = {"activation": "z", "axes": ("layer", "head", "position")}
OPTIONS = [
    {},
    {**HEADS, "direction": "noise"},
    {"activation": "mlp_post", "axes": ("layer", "neuron"), "metric": ["prob", "logit_diff"]},
    {"activation": "mlp_out", "value": "zero", "positions": {"first": [1], "rest": [2, 3]}},
    {"activation": "attn_out", "positions": [-3, -1], "value": ib.Add(factor=0.5), "window": 2},
]


@pytest.fixture(autouse=True)
def any_sweep_is_estimated(monkeypatch):
    monkeypatch.setattr(method, "FEWEST_ESTIMATED", 1)


@pytest.fixture(scope="module")
def tiny():
    return ib.load_model(bridge("gpt2"))


@pytest.fixture
def recorded(monkeypatch):
    """How often each prompt of a pair has been run unpatched."""
    counts: Counter[tuple[int, ...]] = Counter()
    record = sweep.record

    def counting(turn, prompts, *args, **kwargs):
        counts.update(map(tuple, prompts))
        return record(turn, prompts, *args, **kwargs)

    monkeypatch.setattr(sweep, "record", counting)
    return counts


def laid_out(maps, shape):
    """The raw values of each pair's map in cells that are counted from the ends of the prompts, [pair, *shape]."""
    values = np.full((len(maps), *shape), np.nan, np.float32)
    for i, one in enumerate(maps):
        values[(i, *(slice(whole - own, whole) for own, whole in zip(one.values.shape, shape)))] = one.values
    return values


def mean_effect(values, maps, side):
    """The mean of the pairs' effects over the mean of their gaps, of the pairs that have the cell."""
    above, below = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for own, one in zip(values, maps):
        there = np.isfinite(own)
        above += np.where(there, own - one.baselines[side], 0)
        below += np.where(there, one.baselines["clean"] - one.baselines["corrupt"], 0)
    return above / np.where(below == 0, np.nan, below)


def sizes_of(result):
    return np.abs(result.normalized_estimates)


@pytest.mark.parametrize("pairs", [EQUAL, MIXED], ids=["equal", "mixed"])
@pytest.mark.parametrize("options", OPTIONS)
def test_estimates_are_the_mean_of_the_pairs_estimates_and_cells_those_of_a_plain_sweep(tiny, pairs, options):
    many = ib.PromptPairs(pairs)
    plain = ib.activation_patching(tiny, many, **options)
    result = ib.activation_patching(tiny, many, **options, estimate="gradient")
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_allclose(result.pairs.values, plain.pairs.values, atol=1e-5)
    np.testing.assert_allclose(result.values, plain.values, atol=1e-5)
    np.testing.assert_allclose(result.normalized, plain.normalized, atol=1e-5)
    np.testing.assert_allclose(result.pairs.interval, plain.pairs.interval, rtol=1e-4, atol=1e-4)
    assert (result.places, result.labels) == (plain.places, plain.labels)
    assert (result.unpatched is None) == (plain.unpatched is None)
    np.testing.assert_array_equal(result.unpatched, plain.unpatched)
    assert result.complete and result.provenance["complete"]
    assert (result.baselines, result.pairs.clean) == (plain.baselines, plain.pairs.clean)
    each = [ib.attribution_patching(tiny, pair, **options) for pair in pairs]
    values = laid_out(each, plain.values.shape)
    np.testing.assert_allclose(result.pairs.estimates, values, atol=1e-5)
    np.testing.assert_allclose(result.estimates, np.nanmean(values, 0), atol=1e-5)
    np.testing.assert_allclose(
        result.normalized_estimates, mean_effect(values, each, plain.patched_side), atol=1e-5, rtol=1e-4
    )
    assert result.agreement.cells == (plain.state == COMPUTED).sum() > 0 and plain.agreement is None


@pytest.mark.parametrize("rule", RULES)
def test_the_estimates_are_those_of_attribution_patching(tiny, rule):
    many = ib.PromptPairs(MIXED)
    result = ib.activation_patching(tiny, many, **HEADS, estimate=rule, exact=0)
    expected = ib.attribution_patching(tiny, many, **HEADS, rules=rule)
    np.testing.assert_array_equal(result.estimates, expected.values)
    np.testing.assert_array_equal(result.normalized_estimates, expected.normalized)
    np.testing.assert_array_equal(result.state, expected.state)
    assert not (result.state == COMPUTED).any() and result.agreement.pearson is None


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt_neox"])
def test_a_share_is_run_in_every_pair_and_the_rest_is_estimated_in_every_pair(architecture):
    model, many = ib.load_model(bridge(architecture)), ib.PromptPairs(MIXED)
    plain = ib.activation_patching(model, many, **HEADS)
    result = ib.activation_patching(model, many, **HEADS, estimate="relp", exact=0.3)
    run, left = result.state == COMPUTED, result.state == ESTIMATE
    assert run.sum() == np.ceil(0.3 * (run.sum() + left.sum())) and left.any()
    assert sizes_of(result)[run].min() >= sizes_of(result)[left].max()
    np.testing.assert_allclose(result.pairs.values[:, run], plain.pairs.values[:, run], atol=1e-4)
    np.testing.assert_array_equal(result.pairs.values[:, left], result.pairs.estimates[:, left])
    np.testing.assert_allclose(result.values[run], plain.values[run], atol=1e-4)
    np.testing.assert_array_equal(result.values[left], result.estimates[left])
    assert result.provenance["complete"] and result.agreement.recall is None


def test_one_pair_as_a_data_set_is_estimated_as_the_pair(tiny):
    alone = ib.activation_patching(tiny, PAIR, **HEADS, estimate="gradient", exact=0.1)
    many = ib.activation_patching(tiny, ib.PromptPairs([PAIR]), **HEADS, estimate="gradient", exact=0.1)
    np.testing.assert_array_equal(many.state, alone.state)
    np.testing.assert_allclose(many.normalized, alone.normalized, atol=1e-5)
    assert many.agreement.cells == alone.agreement.cells > 2
    assert many.agreement.pearson == pytest.approx(alone.agreement.pearson, abs=1e-5)


def test_values_that_are_drawn_at_random(tiny):
    prompts = ["jello there", "hello where", "cello there", "hullo their"]
    options = {**HEADS, "value": ib.Resample(prompts=prompts, draws=2)}
    plain = ib.activation_patching(tiny, ib.PromptPairs(EQUAL), **options)
    result = ib.activation_patching(tiny, ib.PromptPairs(EQUAL), **options, estimate="gradient")
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_allclose(result.pairs.values, plain.pairs.values, atol=1e-5)


# Whole means only


def assert_whole(result, plain, estimates):
    """Every cell is the mean over all pairs, of their exact values or of their estimates."""
    run, left = result.state == COMPUTED, result.state == ESTIMATE
    np.testing.assert_allclose(result.pairs.values[:, run], plain.pairs.values[:, run], atol=1e-5)
    np.testing.assert_allclose(result.normalized[run], plain.normalized[run], atol=1e-5)
    np.testing.assert_allclose(result.pairs.values[:, left], estimates.pairs.values[:, left], atol=1e-6)
    np.testing.assert_allclose(result.normalized[left], estimates.normalized[left], atol=1e-6)
    assert not (result.state == CellState.NOT_COMPUTED).any()


def test_a_cancel_anywhere_leaves_means_over_all_pairs(tiny):
    many, options = ib.PromptPairs(MIXED), {**HEADS, "metric": ["logit_diff", "prob"]}
    plain = ib.activation_patching(tiny, many, **options)
    estimates = ib.attribution_patching(tiny, many, **HEADS)
    steps = ib.activation_patching.steps(tiny, many, **options, estimate="gradient")
    first = next(step for step in steps if step.result is not None and step.done == 0)
    assert not (first.result.state == COMPUTED).any() and not first.result.provenance["complete"]
    assert_whole(first.result, plain, estimates)
    counts, inside = [], 0
    for step in steps:  # each is what a cancel right after it would leave
        assert step.result is first.result
        assert_whole(step.result, plain, estimates)
        counts.append(int((step.result.state == COMPUTED).sum()))
        if step.cells:
            assert step.done == len(many) * counts[-1] and step.total == len(many) * (plain.state == COMPUTED).sum()
        else:
            inside += 1
            assert counts[-1] == (counts[-2] if len(counts) > 1 else 0)
        shown, left = step.result.state == COMPUTED, step.result.state == ESTIMATE
        if shown.any() and left.any():
            assert sizes_of(step.result)[shown].min() >= sizes_of(step.result)[left].max()
    assert counts == sorted(counts) and inside > 0 and len(set(counts)) > 3
    assert step.done == step.total and step.result.provenance["complete"]


def test_the_first_pairs_estimates_are_shown_while_the_others_are_made(tiny, monkeypatch):
    monkeypatch.setattr(estimated_pairs, "SECONDS_BETWEEN", 0)
    many = ib.PromptPairs(EQUAL)
    steps = ib.activation_patching.steps(tiny, many, **HEADS, estimate="gradient")
    for done in range(1, len(many)):
        step = next(steps)
        assert (step.done, step.total) == (done, len(many)) and not (step.result.state == COMPUTED).any()
        expected = ib.attribution_patching(tiny, ib.PromptPairs(EQUAL[:done]), **HEADS)
        np.testing.assert_allclose(step.result.normalized, expected.normalized, atol=1e-6)
        assert step.result.pairs.done == done and len(step.cells) == step.result.values.size
    steps.close()


def test_a_cancel_between_two_layers_of_a_pass_leaves_means_over_all_pairs(tiny):
    many, asked = ib.PromptPairs(EQUAL), Counter()
    plain, estimates = ib.activation_patching(tiny, many, **HEADS), ib.attribution_patching(tiny, many, **HEADS)
    steps = ib.activation_patching.steps(tiny, many, **HEADS, estimate="gradient")
    result = next(step.result for step in steps if step.done == 0)

    def cancelled():
        asked["blocks"] += 1
        return asked["blocks"] > 60

    with pytest.raises(Cancelled):
        run_watched(lambda: [*steps], cancelled=cancelled)
    assert (result.state == COMPUTED).any() and (result.state == ESTIMATE).any()
    assert_whole(result, plain, estimates)
    assert not result.provenance["complete"]


def test_other_metrics_of_the_sweep_have_no_mean_where_any_pair_was_not_run(tiny):
    many = ib.PromptPairs(EQUAL)
    plain = ib.activation_patching(tiny, many, metric=["logit_diff", "prob"])
    result = ib.activation_patching(tiny, many, metric=["logit_diff", "prob"], estimate="gradient", exact=0.2)
    other, expected = result.by_metric("prob"), plain.by_metric("prob")
    run, left, equal = (other.state == state for state in (COMPUTED, ESTIMATE, UNCHANGED))
    assert other.estimates is None and other.agreement is None and left.any() and equal.any()
    assert np.isnan(other.values[left]).all() and np.isnan(other.pairs.values[:, left]).all()
    np.testing.assert_allclose(other.values[run | equal], expected.values[run | equal], atol=1e-6)
    # Also before anything was run, when what no pair changes is known from the two unpatched runs.
    steps = ib.activation_patching.steps(tiny, many, metric=["logit_diff", "prob"], estimate="gradient")
    first = next(step.result for step in steps if step.done == 0 and step.result is not None).by_metric("prob")
    np.testing.assert_allclose(first.values[equal], expected.values[equal], atol=1e-6)
    np.testing.assert_allclose(first.pairs.values[:, equal], expected.pairs.values[:, equal], atol=1e-6)
    steps.close()


def test_a_result_survives_its_file(tiny):
    result = ib.activation_patching(tiny, ib.PromptPairs(MIXED), estimate="gradient", exact=0.3)
    again = ib.read_result(result.to_json())
    assert again.agreement == result.agreement and again.agreement.cells > 2
    np.testing.assert_array_equal(again.normalized_estimates, result.normalized_estimates)
    np.testing.assert_array_equal(again.to_dataframe()["estimate"], result.normalized_estimates.ravel())
    relp = ib.attribution_patching(tiny, ib.PromptPairs(MIXED), rules="relp")
    again.take_estimates(relp)
    assert again.params["estimate"] == "relp"
    left = again.state == ESTIMATE
    np.testing.assert_array_equal(again.normalized[left], relp.normalized[left])
    np.testing.assert_array_equal(again.normalized[~left], result.normalized[~left])


def test_estimates_have_to_be_shaped_like_values(tiny):
    pairs = ib.activation_patching(tiny, ib.PromptPairs(EQUAL), estimate="gradient").pairs
    with pytest.raises(ValueError, match="shaped like its values"):
        type(pairs).model_validate({**dict(pairs), "estimates": pairs.estimates[1:]})


# Runs


@pytest.mark.parametrize("exact", [0.0, 1.0])
def test_no_unpatched_run_is_made_twice(tiny, recorded, exact):
    pairs = [pair.model_copy(update={"clean": f"{c}{pair.clean}", "corrupt": f"{c}{pair.corrupt}"})
             for c in "xyz" for pair in MIXED[::2]]  # fmt: skip
    ib.activation_patching(tiny, ib.PromptPairs(pairs), **HEADS, estimate="gradient", exact=exact)
    assert len(recorded) == len({p.clean for p in pairs} | {p.corrupt for p in pairs})
    assert sum(recorded.values()) == 2 * len(pairs)


def test_without_memory_for_all_pairs_later_ones_are_run_again_with_the_same_numbers(tiny, recorded, monkeypatch):
    many = ib.PromptPairs(MIXED)
    plain = ib.activation_patching(tiny, many, **HEADS)
    recorded.clear()
    monkeypatch.setattr(estimated_pairs, "free_memory", lambda device: 0)
    result = ib.activation_patching(tiny, many, **HEADS, estimate="gradient")
    np.testing.assert_allclose(result.pairs.values, plain.pairs.values, atol=1e-5)
    np.testing.assert_array_equal(result.state, plain.state)
    assert max(recorded.values()) > 2  # the first pair is kept whatever it takes


def test_what_is_kept_grows_up_to_a_share_of_the_free_memory(tiny, recorded, monkeypatch):
    pairs = [PAIR.model_copy(update={"clean": f"hello th{a}r{b}"}) for a in "abcdefgh" for b in "aeiou"]
    kept, made = [], estimated_pairs.KeptRuns.__getitem__

    def watching(self, i):
        prepared = made(self, i)
        held = {}
        for one in self.kept.values():
            for run in (one.sweep.binding.base, one.sweep.binding.other):
                held |= estimated_pairs.storages(run)
        kept.append((len(self.kept), sum(held.values())))
        return prepared

    monkeypatch.setattr(estimated_pairs.KeptRuns, "__getitem__", watching)
    monkeypatch.setattr(estimated_pairs, "free_memory", lambda device: 4e6)
    ib.activation_patching(tiny, ib.PromptPairs(pairs), **HEADS, estimate="gradient", exact=0)
    most, held = max(kept)
    assert 1 < most < len(pairs) and 2 * held <= 0.25 * 4e6
    assert kept[-1] == (most, held)


# What can't be estimated


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "rank"}, "rank has no gradient"),
        ({"window": 2}, "added or scaled"),
        ({"metric": lambda logits: logits.argmax(-1).float()}, "no gradient"),
    ],
)
def test_what_can_not_be_estimated_is_run_as_it_is_and_said_once(tiny, recorded, options, words):
    many = ib.PromptPairs(MIXED)
    plain = ib.activation_patching(tiny, many, **options)
    recorded.clear()
    result = ib.activation_patching(tiny, many, **options, estimate="gradient", exact=0.05)
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_allclose(result.values, plain.values, atol=1e-5)
    said = [one for one in result.provenance["warnings"] if "can't be estimated first" in one]
    assert len(said) == 1 and words in said[0] and "Pair 0" not in said[0]
    assert result.params["estimate"] == "none" and result.estimates is None and result.pairs.estimates is None
    assert sum(recorded.values()) == 2 * len(many)


def test_a_later_pair_without_the_memory_for_gradients(tiny, recorded, monkeypatch):
    many, gradients, calls = ib.PromptPairs(MIXED), estimates.gradients, []
    plain = ib.activation_patching(tiny, many)
    recorded.clear()

    def full(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return gradients(*args, **kwargs)

    monkeypatch.setattr(estimates, "gradients", full)
    result = ib.activation_patching(tiny, many, estimate="gradient")
    assert len(calls) == 3 and result.estimates is None
    np.testing.assert_allclose(result.values, plain.values, atol=1e-5)
    assert any("does not fit into memory" in one for one in result.provenance["warnings"])
    assert sum(recorded.values()) == 2 * len(many)


def test_a_pair_that_can_not_be_run_is_named_as_in_a_plain_sweep(tiny):
    many = ib.PromptPairs([PAIR, MIXED[-1]])
    for estimate in ("none", "gradient"):
        with pytest.raises(ValueError, match=r"Pair 1 .*aligned one to one"):
            ib.activation_patching(tiny, many, activation="pattern", estimate=estimate)


def test_a_small_data_set_is_not_estimated(tiny, recorded, monkeypatch):
    monkeypatch.setattr(method, "FEWEST_ESTIMATED", 10_000)
    result = ib.activation_patching(tiny, ib.PromptPairs(EQUAL), estimate="gradient")
    assert result.estimates is None and result.params["estimate"] == "none"
    assert sum(recorded.values()) == 2 * len(EQUAL)


# In the heatmap


ASKED = {"activation": "z", "axes": ["layer", "head", "position"], "metric": "logit_diff", "direction": "denoise"}


@pytest.fixture
def few(capitals):
    other = {"clean": "The capital of France is", "corrupt": "The capital of Italy is"}
    return ib.PromptPairs(
        [capitals, capitals.model_copy(update={**other, "clean_answer": " Paris", "corrupt_answer": " Rome"})]
    )


@pytest.fixture
def long_sweep(embedded, few, monkeypatch):
    """A heatmap of a data set whose sweep counts as long."""
    monkeypatch.setattr(map_call, "LONG_SECONDS", -1.0)
    widget = Watched(hs.PatchHeatmap, embedded, few, activation="z", axes=("layer", "head", "position"))
    yield widget
    widget.close()


def test_a_heatmap_of_a_data_set_offers_estimates_and_begins_with_them(long_sweep):
    fields = {field["name"]: field["default"] for field in long_sweep.info["fields"]}
    assert (fields["estimate"], fields["exact"]) == ("gradient", 1.0)
    assert long_sweep.result.params["estimate"] == "gradient" and long_sweep.error is None
    shown = long_sweep.result.to_wire()
    assert shown["normalized_estimates"] is not None and shown["agreement"]["cells"] > 0


def test_a_long_sweep_stops_after_whole_cells_and_its_code_gives_the_same(long_sweep):
    result = long_sweep.result
    run, left = result.state == COMPUTED, result.state == ESTIMATE
    assert long_sweep.status == "done" and run.any() and left.any()
    assert run.sum() == estimated_pairs.FIRST_CELLS  # more than 5% of the 32 cells, and the first block
    names: dict = {}
    exec(long_sweep.code, names)
    np.testing.assert_array_equal(names["result"].state, result.state)
    np.testing.assert_allclose(names["result"].values, result.values, atol=1e-4)


def test_one_request_runs_all_of_its_cells(long_sweep):
    ask(long_sweep, "activation_patching", **ASKED, exact=1)
    assert long_sweep.error is None and long_sweep.result.provenance["complete"]
    assert not (long_sweep.result.state == ESTIMATE).any() and "estimate" not in long_sweep.code


def test_another_rule_and_another_metric_keep_what_was_run(long_sweep, embedded, few):
    before = long_sweep.result
    run, left = before.state == COMPUTED, before.state == ESTIMATE
    values = before.pairs.values[:, run].copy()
    ask(long_sweep, "activation_patching", **ASKED, estimate="relp")
    after = long_sweep.result
    assert after.id == before.id and after.params["estimate"] == "relp"
    np.testing.assert_array_equal(after.pairs.values[:, run], values)
    expected = ib.attribution_patching(embedded, few, **HEADS, rules="relp")
    np.testing.assert_array_equal(after.normalized_estimates, expected.normalized)
    np.testing.assert_array_equal(after.normalized[left], expected.normalized[left])
    ask(long_sweep, "activation_patching", **{**ASKED, "metric": "prob"}, estimate="relp")
    after = long_sweep.result
    assert after.params["metric"] == "prob" and np.isfinite(after.values[left]).all() and after.agreement.cells > 0


def test_a_window_is_estimated_again_with_its_window(embedded, few, monkeypatch):
    monkeypatch.setattr(map_call, "LONG_SECONDS", -1.0)
    add = ib.Add(factor=0.5)
    heatmap = Watched(
        hs.PatchHeatmap, embedded, few, activation="z", axes=("layer", "head", "position"), value=add, window=2
    )
    ask(heatmap, "activation_patching", **ASKED, value={"kind": "add", "factor": 0.5}, window=2, estimate="relp")
    expected = ib.attribution_patching(embedded, few, **HEADS, value=add, window=2, rules="relp")
    assert heatmap.error is None and heatmap.result.params["estimate"] == "relp"
    np.testing.assert_array_equal(heatmap.result.normalized_estimates, expected.normalized)
    heatmap.close()


def test_estimates_can_be_switched_off(embedded, few):
    heatmap = Watched(hs.PatchHeatmap, embedded, few, estimate="none")
    assert heatmap.error is None and heatmap.result.estimates is None
    heatmap.close()
