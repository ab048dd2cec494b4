"""Which patched runs are made, in which order and in how much memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_model import hooks_on

import interp_backend as ib
from executor_cases import PAIR, exhausted, ran
from interp_backend.engine.executor import Plan
from interp_backend.language.metrics import METRICS
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.results.effect_map import COMPUTED, NOT_COMPUTED, UNCHANGED
from plain_loop import assert_close
from tiny_models import boot, bridge, random_model


def test_what_changes_nothing_is_not_run(warm, monkeypatch):
    """Left of the first difference nothing can differ; after it in the first layer equal letters have equal inputs."""
    passes = ran(monkeypatch)
    result = ib.activation_patching(warm, PAIR)
    same = np.array([True, True, False, False, True, False])  # <bos> h o/e l/x l o/q
    np.testing.assert_array_equal(result.state[0] == UNCHANGED, same)
    assert (result.state[1:, :2] == UNCHANGED).all() and (result.state[1:, 2:] == COMPUTED).all()
    assert sum(map(len, passes)) == (result.state == COMPUTED).sum() == 3 + 2 * 4
    assert (result.values[result.state == UNCHANGED] == np.float32(result.baselines["corrupt"])).all()


def test_a_sweep_of_nothing_but_equal_activations_runs_no_pass(warm, monkeypatch):
    passes = ran(monkeypatch)
    result = ib.activation_patching(warm, PAIR, activation="z", axes=("layer", "head", "position"), positions=[0, 1])
    assert passes == [] and (result.state == UNCHANGED).all() and (result.normalized == 0).all() and result.complete


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_what_is_not_run_has_exactly_no_effect_on_any_metric(metric, direction):
    axes = ("layer", "head", "position")
    result = ib.activation_patching(bridge("gpt2"), PAIR, activation="q", axes=axes, direction=direction, metric=metric)
    assert (result.state[:, :, :2] == UNCHANGED).all()
    base = np.float32(result.baselines["corrupt" if direction == "denoise" else "clean"])
    assert (result.values[result.state == UNCHANGED] == base).all()


def test_cells_come_in_the_order_of_the_axes_as_given(warm):
    steps = activation_patching.steps(warm, PAIR, layers=[2, 0, 1], positions=[4, 5, 2, 0], memory=1)
    first, *others = steps
    seen = [cell for step in others for cell in step.cells]
    assert len(others) > 5 and seen == sorted(seen)
    assert sorted(first.cells + seen) == list(range(12))
    assert [step.done for step in others] == list(np.cumsum([len(step.cells) for step in others]))
    assert all(step.total == len(seen) for step in others)
    assert others[-1].result.places == {"layer": [2, 0, 1], "position": [4, 5, 2, 0]}
    whole = ib.activation_patching(warm, PAIR)
    np.testing.assert_allclose(first.result.values, whole.values[[2, 0, 1]][:, [4, 5, 2, 0]], atol=1e-5)


def test_each_step_has_the_values_of_its_cells_and_of_no_others(warm):
    known: set[int] = set()
    for step in activation_patching.steps(warm, PAIR, activation="mlp_out", memory=1):
        assert not known & set(step.cells)
        known |= set(step.cells)
        state = step.result.state.ravel()
        assert {i for i, s in enumerate(state) if s != NOT_COMPUTED} == known
        assert np.isnan(step.result.values.ravel()[state == NOT_COMPUTED]).all()
        assert np.isfinite(step.result.values.ravel()[state != NOT_COMPUTED]).all()
        assert step.result.complete == step.result.provenance["complete"] == (step.done == step.total)


@pytest.mark.parametrize(
    "activation, axes", [("resid_pre", None), ("pattern", ("layer", "head", "position", "source"))]
)
def test_little_memory_makes_small_passes_and_the_same_numbers(warm, activation, axes, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation=activation, axes=axes)
    passes = ran(monkeypatch)
    little = ib.activation_patching(warm, PAIR, activation=activation, axes=axes, memory=1)
    assert {len(runs) for runs in passes} == {1}
    assert_close(little.values, plenty.values)
    np.testing.assert_array_equal(little.state, plenty.state)


def test_passes_grow_with_the_memory_that_they_get(warm, monkeypatch):
    passes = ran(monkeypatch)
    counts = []
    for memory in (1, 200_000, None):
        passes.clear()
        ib.activation_patching(warm, PAIR, activation="z", axes=("layer", "head", "position"), memory=memory)
        counts.append(len(passes))
    assert counts[0] > counts[1] > counts[2] == 1


@pytest.mark.parametrize("memory", [0, -1, "much", True])
def test_memory_that_is_no_number_of_bytes_is_refused(memory):
    with pytest.raises(ValueError, match="how many bytes"):
        ib.activation_patching(bridge("gpt2"), PAIR, memory=memory)


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_a_pass_that_does_not_fit_is_halved_and_run_again(warm, problem, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation="attn_out")
    hooks = hooks_on(warm.raw)
    tried = exhausted(monkeypatch, 9, problem=problem)
    result = ib.activation_patching(warm, PAIR, activation="attn_out")
    assert max(tried) > 9 and tried[0] > 2 * 9
    failed = [rows for rows in tried if rows > 9]
    assert all(after <= before // 2 for before, after in zip(failed, tried[1:])) and len(failed) < 5
    assert_close(result.values, plenty.values)
    np.testing.assert_array_equal(result.state, plenty.state)
    assert result.complete and result.provenance["executor"] == "packed" and hooks_on(warm.raw) == hooks


def test_the_fallback_shrinks_too(warm, fallback, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation="k")
    fallback()
    tried = exhausted(monkeypatch, 14, method="run_whole")
    result = ib.activation_patching(warm, PAIR, activation="k")
    assert max(tried) > 14 and result.complete
    assert_close(result.values, plenty.values)


def test_one_run_that_does_not_fit_alone_is_said_in_a_sentence(warm, monkeypatch):
    hooks = hooks_on(warm.raw)
    exhausted(monkeypatch, 3)  # the run that begins at the third position has four rows
    with pytest.raises(MemoryError, match=r"One patched run alone does not fit into memory\. Shorten the prompts"):
        ib.activation_patching(warm, PAIR)
    assert hooks_on(warm.raw) == hooks
    monkeypatch.undo()
    assert ib.activation_patching(warm, PAIR).complete


def test_another_error_of_a_pass_is_not_taken_for_a_lack_of_memory(warm, monkeypatch):
    hooks = hooks_on(warm.raw)

    def broken(plan, chosen):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Plan, "run_packed", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ib.activation_patching(warm, PAIR)
    assert hooks_on(warm.raw) == hooks


def test_a_lack_of_memory_at_the_first_try_says_nothing_about_the_model(monkeypatch):
    raw = ib.load_model(boot(random_model("gpt2"), "gpt2"))
    exhausted(monkeypatch, 0)
    once = ib.activation_patching(raw, PAIR)
    assert once.provenance["executor"] == "hooks" and "memory" in once.provenance["executor_reason"]
    monkeypatch.undo()
    again = ib.activation_patching(raw, PAIR)
    assert again.provenance["executor"] == "packed"
    assert_close(once.values, again.values)
