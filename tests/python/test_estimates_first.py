"""Sweeps that estimate every cell first and then run the cells with the largest estimates."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
import traitlets
from driven_widgets import Watched, ask, events
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import hookscope as hs
import interp_backend as ib
from hookscope import map_call
from interp_backend.engine.backward import RULES
from interp_backend.methods import activation_patching as method
from interp_backend.results.agreement import LARGE, agreement
from interp_backend.results.effect_map import CellState
from tiny_models import PAIR, bridge

COMPUTED, ESTIMATE, UNCHANGED = CellState.COMPUTED, CellState.ESTIMATE, CellState.UNCHANGED


@pytest.fixture(autouse=True)
def any_sweep_is_estimated(monkeypatch):
    monkeypatch.setattr(method, "FEWEST_ESTIMATED", 1)


@pytest.fixture(scope="module")
def tiny():
    return ib.load_model(bridge("gpt2"))


def sizes_of(result):
    return np.abs(result.estimates - result.baselines[result.patched_side])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "z", "axes": ("layer", "head", "position"), "direction": "noise"},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "metric": "prob"},
        {"activation": "pattern"},
        {"value": "zero", "positions": {"first": [1], "rest": [2, 3]}},
    ],
)
def test_the_cells_are_those_of_a_plain_sweep_and_the_estimates_those_of_attribution_patching(tiny, rule, options):
    plain = ib.activation_patching(tiny, PAIR, **options)
    guided = ib.activation_patching(tiny, PAIR, **options, estimate=rule)
    estimates = ib.attribution_patching(tiny, PAIR, **options, rules=rule)
    np.testing.assert_array_equal(guided.state, plain.state)
    np.testing.assert_allclose(guided.values, plain.values, atol=1e-5)
    np.testing.assert_array_equal(guided.estimates, estimates.values)
    assert guided.agreement.cells == (plain.state == COMPUTED).sum() and guided.provenance["complete"]
    assert plain.estimates is None and plain.agreement is None


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt_neox", "qwen2"])
def test_a_share_runs_the_cells_with_the_largest_estimates(architecture):
    model = ib.load_model(bridge(architecture))
    plain = ib.activation_patching(model, PAIR, activation="mlp_out")
    result = ib.activation_patching(model, PAIR, activation="mlp_out", estimate="relp", exact=0.3)
    run, left = result.state == COMPUTED, result.state == ESTIMATE
    assert run.sum() == np.ceil(0.3 * (run.sum() + left.sum())) and left.any()
    assert sizes_of(result)[run].min() >= sizes_of(result)[left].max()
    np.testing.assert_allclose(result.values[run], plain.values[run], atol=1e-5)
    np.testing.assert_array_equal(result.values[left], result.estimates[left])
    assert result.provenance["complete"] and result.agreement.recall is None


def test_no_share_gives_estimates_alone(tiny):
    result = ib.activation_patching(tiny, PAIR, estimate="gradient", exact=0)
    assert not (result.state == COMPUTED).any() and (result.state == ESTIMATE).any()
    assert result.agreement.pearson is None and "estimated" in result.headline()


def test_estimates_come_first_and_a_cancel_leaves_the_largest_exact(tiny):
    steps = ib.activation_patching.steps(tiny, PAIR, activation="z", axes=("layer", "head", "position"), estimate="gim")
    first = next(steps)
    states = first.result.state.copy()
    assert first.done == 0 and not (states == COMPUTED).any() and not (states == CellState.NOT_COMPUTED).any()
    result = next(step for step in steps if step.done).result
    steps.close()
    run, left = result.state == COMPUTED, result.state == ESTIMATE
    assert run.any() and (not left.any() or sizes_of(result)[run].min() >= sizes_of(result)[left].max())


def test_another_metric_of_the_sweep_has_no_estimates(tiny):
    result = ib.activation_patching(tiny, PAIR, metric=["logit_diff", "prob"], estimate="gradient", exact=0.2)
    other = result.by_metric("prob")
    assert other.estimates is None and other.agreement is None
    assert np.isnan(other.values[other.state == ESTIMATE]).all()
    unchanged = other.state == UNCHANGED
    assert unchanged.any() and (other.values[unchanged] == np.float32(other.baselines["corrupt"])).all()
    assert ib.EffectMap.from_json(result.to_json()).agreement == result.agreement


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "rank"}, "rank has no gradient"),
        ({"window": 2}, "added or scaled"),
        ({"metric": "kl_corrupt"}, "no gradient"),
    ],
)
def test_what_can_not_be_estimated_is_run_as_it_is_and_said(tiny, options, words):
    plain = ib.activation_patching(tiny, PAIR, **options)
    result = ib.activation_patching(tiny, PAIR, **options, estimate="gradient", exact=0.05)
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_allclose(result.values, plain.values, atol=1e-5)
    assert any("can't be estimated first" in one and words in one for one in result.provenance["warnings"])
    assert result.params["estimate"] == "none"


def test_without_the_memory_for_gradients_all_cells_are_run(tiny, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("interp_backend.common.estimates.gradients", full)
    result = ib.activation_patching(tiny, PAIR, estimate="gradient", exact=0.05)
    assert result.estimates is None and not (result.state == ESTIMATE).any()
    assert any("does not fit into memory" in one for one in result.provenance["warnings"])


def test_a_small_sweep_is_not_estimated(tiny, monkeypatch):
    monkeypatch.setattr(method, "FEWEST_ESTIMATED", 10_000)
    assert ib.activation_patching(tiny, PAIR, estimate="gradient").estimates is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimate": "magic"}, "no way to estimate 'magic'"),
        ({"estimate": "gradient", "exact": 1.5}, "from 0 to 1, not 1.5"),
        ({"estimate": "gradient", "exact": "all"}, "from 0 to 1, not 'all'"),
    ],
)
def test_bad_choices_are_refused(tiny, options, words):
    for pair in (PAIR, ib.PromptPairs([PAIR, PAIR])):
        with pytest.raises(ValueError, match=words):
            ib.activation_patching(tiny, pair, **options)


def test_estimates_of_other_cells_are_refused(tiny):
    result = ib.activation_patching(tiny, PAIR, estimate="gradient", exact=0)
    with pytest.raises(ValueError, match="another sweep"):
        result.take_estimates(ib.attribution_patching(tiny, PAIR, layers=[0]))


# How well estimates agree

NUMBERS = arrays(np.float32, 12, elements=st.sampled_from([-2.0, -0.5, -0.05, 0.0, 0.05, 0.1, 0.3, 1.0, np.nan]))
CELLS = arrays(bool, 12)


@given(NUMBERS, NUMBERS, CELLS, CELLS)
def test_the_agreement_is_that_of_pandas(estimates, effects, estimated, run):
    exact = run & estimated
    found = agreement(estimates, effects, estimated, exact)
    both = exact & np.isfinite(estimates) & np.isfinite(effects)
    table = pandas.DataFrame({"estimate": estimates[both], "effect": effects[both]}, dtype=np.float64)
    assert found.cells == len(table)
    for ours, of in ((found.pearson, table), (found.spearman, table.rank())):
        if ours is None:
            assert len(of) < 3 or (of.nunique() == 1).any()
        else:
            assert ours == pytest.approx(of["estimate"].corr(of["effect"]), abs=1e-9)


def test_precision_and_recall_at_the_largest_twentieth():
    estimates = np.zeros(40, np.float32)
    estimates[[3, 7, 9]] = 2.0, -1.0, 0.5  # k is 2: cells 3 and 7
    effects = np.zeros(40, np.float32)
    effects[[3, 20, 21, 22]] = 1.0, -LARGE, LARGE, 0.09
    every = np.ones(40, bool)
    found = agreement(estimates, effects, every, every)
    assert (found.k, found.precision, found.recall) == (2, 0.5, pytest.approx(1 / 3))
    some = every.copy()
    some[30] = False
    assert agreement(estimates, effects, every, some).recall is None
    some[7] = False
    assert agreement(estimates, effects, every, some).precision is None


# In the heatmap


@pytest.fixture
def long_sweep(embedded, capitals, monkeypatch):
    """A heatmap on a sweep that counts as long: it stops after the first passes."""
    monkeypatch.setattr(map_call, "LONG_SECONDS", -1.0)
    widget = Watched(hs.PatchHeatmap, embedded, capitals, activation="z", axes=("layer", "head", "position"))
    yield widget
    widget.close()


ASKED = {"activation": "z", "axes": ["layer", "head", "position"], "metric": "logit_diff", "direction": "denoise"}


def test_a_long_sweep_stops_after_the_largest_and_its_code_gives_the_same_cells(long_sweep):
    result = long_sweep.result
    assert long_sweep.status == "done" and (result.state == ESTIMATE).any() and (result.state == COMPUTED).any()
    names: dict = {}
    exec(long_sweep.code, names)
    np.testing.assert_array_equal(names["result"].state, result.state)
    np.testing.assert_allclose(names["result"].values, result.values, atol=1e-4)


def test_one_request_runs_all_of_its_cells(long_sweep):
    ask(long_sweep, "activation_patching", **ASKED, exact=1)
    assert long_sweep.error is None and long_sweep.result.provenance["complete"]
    assert not (long_sweep.result.state == ESTIMATE).any() and "estimate" not in long_sweep.code


def test_another_rule_changes_the_estimates_and_keeps_what_was_run(long_sweep):
    before = long_sweep.result
    ask(long_sweep, "activation_patching", **ASKED, estimate="relp")
    after = long_sweep.result
    assert after.id == before.id and after.params["estimate"] == "relp" and long_sweep.status == "done"
    run = before.state == COMPUTED
    np.testing.assert_array_equal(after.state == COMPUTED, run)
    np.testing.assert_array_equal(after.values[run], before.values[run])
    expected = ib.attribution_patching(
        long_sweep._model, long_sweep.pair, activation="z", axes=("layer", "head", "position"), rules="relp"
    )
    np.testing.assert_array_equal(after.estimates, expected.values)
    left = after.state == ESTIMATE
    np.testing.assert_array_equal(after.values[left], expected.values[left])
    assert "estimate='relp'" in long_sweep.code


def test_another_metric_of_the_stopped_sweep_gets_estimates_of_its_own(long_sweep):
    before = long_sweep.result
    ask(long_sweep, "activation_patching", **{**ASKED, "metric": "prob"})
    after = long_sweep.result
    assert after.id == before.id and after.params["metric"] == "prob"
    assert np.isfinite(after.values[after.state == ESTIMATE]).all() and after.agreement.cells > 0


# Found by attack


def last_token(logits):
    """A metric without a gradient."""
    return logits.argmax(-1).float()


@pytest.mark.parametrize("metrics", [[last_token, "logit_diff"], [last_token]])
def test_a_metric_without_a_gradient_is_not_estimated_as_no_effect(tiny, metrics):
    result = ib.activation_patching(tiny, PAIR, metric=metrics, estimate="gradient", exact=0.05)
    assert result.estimates is None and any("no gradient" in one for one in result.provenance["warnings"])
    with pytest.raises(ValueError, match="no gradient"):
        ib.attribution_patching(tiny, PAIR, metric=metrics)


def test_a_second_metric_without_a_gradient_does_not_keep_the_first_from_being_estimated(tiny):
    result = ib.activation_patching(tiny, PAIR, metric=["logit_diff", last_token], estimate="gradient", exact=0.05)
    assert result.estimates is not None


def test_warnings_are_said_once_and_a_flat_metric_has_no_precision(tiny):
    def flat(logits):
        return logits.sum(-1) * 0 + 1.0

    result = ib.activation_patching(tiny, PAIR, metric=flat, estimate="gradient")
    warnings = result.provenance["warnings"]
    assert len(warnings) == len(set(warnings)) > 0
    assert result.agreement.precision is None and result.agreement.cells == 0


def test_cells_without_a_counterpart_have_no_number(tiny):
    odd = ib.PromptPair(clean="hello there", corrupt="hell theru", clean_answer="a", corrupt_answer="b")
    options = {"value": ib.Add(factor=2.0), "direction": "noise", "activation": "mlp_out"}
    plain = ib.activation_patching(tiny, odd, **options)
    result = ib.activation_patching(tiny, odd, **options, estimate="gradient")
    assert (plain.state == CellState.NO_COUNTERPART).any()
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_array_equal(np.isnan(result.values), np.isnan(plain.values))


def test_a_rule_names_the_estimates_of_every_metric(long_sweep):
    ask(long_sweep, "activation_patching", **{**ASKED, "metric": "prob"})
    ask(long_sweep, "activation_patching", **{**ASKED, "metric": "prob"}, estimate="relp")
    ask(long_sweep, "activation_patching", **ASKED, estimate="relp")
    expected = ib.attribution_patching(
        long_sweep._model, long_sweep.pair, activation="z", axes=("layer", "head", "position"), rules="relp"
    )
    assert long_sweep.result.params["estimate"] == "relp"
    np.testing.assert_array_equal(long_sweep.result.estimates, expected.values)
    assert long_sweep.code.startswith("# Another rule or metric chose which cells were run.\n")


def test_a_rule_can_be_changed_on_a_finished_map(embedded, capitals):
    heatmap = Watched(hs.PatchHeatmap, embedded, capitals)
    values = heatmap.result.values.copy()
    ask(heatmap, "activation_patching", activation="resid_pre", estimate="relp")
    assert heatmap.result.params["estimate"] == "relp" and heatmap.error is None
    np.testing.assert_array_equal(heatmap.result.values, values)
    assert events(heatmap, "view:1") == ["accepted", "result"] or events(heatmap, "view:1")[-1] == "result"
    assert "cancelled" not in events(heatmap, "view:1")
    heatmap.close()


def test_a_metric_that_can_not_be_estimated_leaves_the_other_cells_empty_and_no_error(long_sweep):
    ask(long_sweep, "activation_patching", **{**ASKED, "metric": "rank"})
    assert long_sweep.error is None and long_sweep.status == "done"
    left = long_sweep.result.state == ESTIMATE
    assert left.any() and np.isnan(long_sweep.result.values[left]).all()
    ask(long_sweep, "activation_patching", **ASKED)
    assert np.isfinite(long_sweep.result.values[long_sweep.result.state == ESTIMATE]).all()


def test_a_result_of_other_layers_is_estimated_again_as_it_was_made(long_sweep, embedded, capitals):
    saved = ib.activation_patching(
        embedded, capitals, activation="z", axes=("layer", "head", "position"), layers=[1, 2],
        metric=["logit_diff", "prob"], estimate="relp", exact=0.05,
    )  # fmt: skip
    long_sweep.result = ib.read_result(saved.to_json())
    assert long_sweep.wait(60)
    long_sweep.metric = "prob"
    assert long_sweep.wait(60) and long_sweep.error is None
    assert long_sweep.result.params["estimate"] == "relp" and np.isfinite(long_sweep.result.estimates).all()


def test_a_chosen_rule_stays_for_a_data_set(embedded, capitals):
    heatmap = Watched(hs.PatchHeatmap, embedded, capitals, estimate="relp")
    heatmap.pair = ib.PromptPairs([capitals, capitals])
    assert heatmap.wait(60) and heatmap.error is None and heatmap.result.pairs is not None
    assert heatmap.result.params["estimate"] == "relp" and heatmap.result.agreement.cells > 0
    heatmap.close()


def test_paths_are_not_shown_as_a_map(embedded, capitals):
    with pytest.raises(traitlets.TraitError, match=r"path_patching.* Draw it with result\.plot\(\)"):
        hs.PatchHeatmap(result=ib.path_patching(embedded, capitals, ["m0"], ["logits"]))
