"""What happens when a pass fails, falls back or is stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_model import hooks_on

import interp_backend as ib
from executor_cases import DEAD_PATTERN, PAIR, expected, is_free
from interp_backend.engine import executor
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.results.effect_map import NO_COUNTERPART, NOT_COMPUTED
from plain_loop import Run, assert_close, logit_diff
from tiny_models import boot, bridge, random_model


def test_blocks_that_can_not_be_called_alone_fall_back_and_say_why(monkeypatch):
    raw = boot(random_model("llama"), "llama")

    def refuses(*_, **__):
        raise TypeError("needs a friend")

    monkeypatch.setattr(executor, "run_packed", refuses)
    result = ib.activation_patching(raw, PAIR, activation="z")
    assert result.provenance["executor"] == "hooks"
    assert result.provenance["executor_reason"] == "its blocks can't be called one by one (TypeError: needs a friend)"
    assert_close(result.values, expected(raw, "z", ("layer", "head")))


def test_one_activation_that_differs_does_not_slow_down_the_others(monkeypatch):
    raw = ib.load_model(boot(random_model("gpt2"), "gpt2"))
    real = executor.difference
    monkeypatch.setattr(executor, "difference", lambda a, b: 1.0)
    assert ib.activation_patching(raw, PAIR, activation="q").provenance["executor"] == "hooks"
    monkeypatch.setattr(executor, "difference", real)
    assert ib.activation_patching(raw, PAIR, activation="k").provenance["executor"] == "packed"
    assert ib.activation_patching(raw, PAIR, activation="q").provenance["executor"] == "hooks"  # tried once


def test_a_model_without_calls_to_its_blocks_falls_back(monkeypatch):
    raw = boot(random_model("gpt2"), "gpt2")
    monkeypatch.setattr("interp_backend.engine.recording._RecordedRun.complete", lambda run: False)
    result = ib.activation_patching(raw, PAIR, activation="mlp_post")
    assert result.provenance["executor"] == "hooks" and "one after another" in result.provenance["executor_reason"]
    assert_close(result.values, expected(raw, "mlp_post", ("layer", "position")))


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_not_a_number_names_the_layer_where_it_begins(architecture):
    raw = boot(random_model(architecture), architecture)
    hooks = hooks_on(raw)
    model = ib.load_model(raw)
    assert model.dead_hooks == []  # looked up while the model is well
    hooks = hooks_on(raw)
    weight = next(p for name, p in raw.original_model.named_parameters() if ".1." in name and p.ndim == 2)
    weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"not a number \(NaN\) from layer 1 on .* float32"):
        ib.activation_patching(model, PAIR)
    with pytest.raises(ValueError, match="from layer 1 on"):
        ib.patch_together(model, PAIR, [ib.Intervention("z", 0)])
    assert hooks_on(raw) == hooks


def test_not_a_number_in_the_unembedding_blames_no_layer():
    raw = boot(random_model("llama"), "llama")
    raw.original_model.lm_head.weight.data[:, 0] = float("nan")
    with pytest.raises(ValueError, match="in the unembedding"):
        ib.activation_patching(raw, PAIR)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_precision_that_the_device_lacks_is_refused_in_a_sentence(dtype):
    raw = boot(random_model("gpt2"), "gpt2")
    model = ib.load_model(raw)
    assert ib.activation_patching(model, PAIR).complete
    raw.original_model.to(dtype)
    for source in (raw, model):
        with pytest.raises(ValueError, match=r"cpu can't compute in float8.*Load the model in float32 or bfloat16\."):
            ib.activation_patching(source, PAIR)


def test_a_metric_that_raises_keeps_its_own_traceback_and_leaves_no_hook(warm):
    hooks = hooks_on(warm.raw)

    def metric(logits):
        if len(logits) == 2:  # the two unpatched runs
            return logits[:, 0]
        return logits[:, 10_000]

    with pytest.raises(ValueError, match="The metric metric failed: IndexError") as caught:
        ib.activation_patching(warm, PAIR, metric=metric)
    assert "return logits[:, 10_000]" in caught.value.traceback and "_measured" not in caught.value.traceback
    assert hooks_on(warm.raw) == hooks and ib.activation_patching(warm, PAIR).complete


@pytest.mark.parametrize("way", ["packed", "hooks"])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_early_leaves_no_hook_and_a_free_model(warm, way, taken, fallback):
    if way == "hooks":
        fallback()
    hooks = hooks_on(warm.raw)
    steps = activation_patching.steps(warm, PAIR, activation="v", memory=1)
    got = [next(steps) for _ in range(taken)]
    if got:
        assert got[-1].result.provenance["executor"] == way
    steps.close()
    assert hooks_on(warm.raw) == hooks
    assert is_free(warm)
    if got:
        result = got[-1].result
        assert not result.complete and result.provenance["complete"] is False
        assert ((result.state == NOT_COMPUTED) == np.isnan(result.values)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "z", "heads": [4]},
        {"activation": "resid_pre", "layers": [3]},
        {"activation": "resid_pre", "positions": [6]},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "neurons": [9999]},
        {"activation": "pattern", "axes": ("layer", "head", "position", "source"), "sources": [-7]},
        {"activation": "resid_pre", "window": 4},
        {"at": 6},
        {"value": ib.FromPrompt(text="longer than the pair")},
        {"value": ib.Add(vector=(1.0, 2.0))},
        {"metric": lambda logits: logits[0]},
    ],
)
def test_what_is_refused_on_the_way_leaves_no_hook_and_a_free_model(warm, options):
    hooks = hooks_on(warm.raw)
    with pytest.raises(ValueError) as caught:
        ib.activation_patching(warm, PAIR, **options)
    assert str(caught.value).endswith(".") and len(str(caught.value)) > 20
    assert hooks_on(warm.raw) == hooks
    assert is_free(warm)


@pytest.mark.parametrize("architecture", sorted(DEAD_PATTERN))
def test_a_dead_hook_names_the_models_that_have_it(architecture):
    for call in (
        lambda: ib.activation_patching(bridge(architecture), PAIR, activation="pattern"),
        lambda: ib.patch_together(bridge(architecture), PAIR, [ib.Intervention("pattern", 0)]),
    ):
        with pytest.raises(ValueError, match=r"never reach the output.*gpt_neo, gptj and opt.*Patch z, q, k or v"):
            call()


def test_a_run_is_the_models_own_whatever_is_read(warm):
    """The unpatched runs are the model's: baselines equal a plain run's."""
    result = ib.activation_patching(warm, PAIR)
    for side in ("clean", "corrupt"):
        value = logit_diff(warm.raw, Run(warm.raw, getattr(PAIR, side)).logits[-1], PAIR)
        assert result.baselines[side] == pytest.approx(value, abs=1e-5)
    assert NO_COUNTERPART not in result.state
