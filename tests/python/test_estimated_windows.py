"""Estimates of windows of layers: against finite differences of runs in which all layers of a window are patched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_backward import double

import interp_backend as ib
from interp_backend.results.effect_map import CellState
from plain_loop import HOOKS, PER_HEAD, token
from tiny_models import PAIR

STEP = 1e-3
ACTIVATIONS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z", "v")


def slope_of(model, activation, layers, at, write):
    """How fast the logit difference grows as all these layers are patched together, in one run of the corrupt prompt.

    Args:
        at: the index of the patched part of an activation, without its first axis.
        write: from what the activation has become, the layer and the size of the patch, to what is put there.
    """
    raw = model.raw
    tokens, a, b = raw.to_tokens(PAIR.corrupt), token(raw, "a"), token(raw, "b")

    def difference(size):
        def hook_of(layer):
            def hook(value, hook):
                value[0][at] = write(value[0][at], layer, size)
                return value

            return HOOKS[activation].format(layer), hook

        with torch.no_grad():
            logits = raw.run_with_hooks(tokens, fwd_hooks=[hook_of(layer) for layer in layers])[0, -1]
        return float(logits[a] - logits[b])

    ends = [difference(step * STEP) for step in (-2, -1, 1, 2)]
    return (8 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12 * STEP)


def window_around(layer):
    return [other for other in (layer - 1, layer) if other >= 0]


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_sum_is_the_slope_where_a_vector_is_added_to_all_layers(architecture, activation):
    model, per_head = double(architecture), activation in PER_HEAD
    width = 8 if per_head else 32
    vector = torch.linspace(-1, 1, width, dtype=torch.float64)
    value = ib.Add(vector=vector.tolist(), factor=1.0)
    axes = {"axes": ("layer", "head", "position")} if per_head else {}
    options = {"activation": activation, "value": value, **axes}
    result = ib.attribution_patching(model, PAIR, **options, window=2)
    single = ib.attribution_patching(model, PAIR, **options)
    effects = result.values - result.baselines["corrupt"]
    for layer in (0, 1, 2):
        at = (6, 1) if per_head else (6,)
        found = effects[layer, 1, 6] if per_head else effects[layer, 6]
        slope = slope_of(model, activation, window_around(layer), at, lambda now, _, size: now + size * vector)
        assert found == pytest.approx(slope, rel=2e-3, abs=1e-4), layer
    assert np.abs(result.values[1:] - single.values[1:]).max() > 0.01  # the window matters


@pytest.mark.parametrize("activation", ["resid_pre", "attn_out", "mlp_out"])
def test_the_sum_is_the_slope_where_all_layers_are_scaled(activation):
    model = double("gpt2")
    result = ib.attribution_patching(model, PAIR, activation=activation, value=ib.Scale(factor=2.0), window=2)
    effects = result.values - result.baselines["corrupt"]
    for layer in (0, 1, 2):
        slope = slope_of(model, activation, window_around(layer), (6,), lambda now, _, size: now * (1 + size))
        assert effects[layer, 6] == pytest.approx(slope, rel=2e-3, abs=1e-4), layer


@pytest.mark.parametrize("activation", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_the_sum_is_not_the_slope_where_a_later_layer_is_replaced(activation):
    """Why such windows are refused: the sum counts what the later patch overwrites."""
    model = double("gpt2")
    vector = torch.linspace(-1, 1, 32, dtype=torch.float64)
    single = ib.attribution_patching(
        model, PAIR, activation=activation, value=ib.Add(vector=vector.tolist(), factor=1.0)
    )
    total = float((single.values - single.baselines["corrupt"])[[0, 1], 6].sum())
    with torch.no_grad():
        _, cache = model.raw.run_with_cache(model.raw.to_tokens(PAIR.corrupt))
    base = [cache[HOOKS[activation].format(layer)][0, 6].clone() for layer in (0, 1)]
    slope = slope_of(model, activation, [0, 1], (6,), lambda now, layer, size: base[layer] + size * vector)
    added = slope_of(model, activation, [0, 1], (6,), lambda now, layer, size: now + size * vector)
    assert total == pytest.approx(added, rel=2e-3, abs=1e-4)
    assert abs(total - slope) > 0.05 * abs(total)
    with pytest.raises(ValueError, match=r"added or scaled.*window=1, or choose Add"):
        ib.attribution_patching(model, PAIR, activation=activation, window=2)


def test_a_window_takes_the_layers_beside_those_that_are_asked_for():
    model = double("gpt2")
    options = {"activation": "mlp_out", "value": ib.Add(factor=0.5), "window": 3}
    every = ib.attribution_patching(model, PAIR, **options)
    some = ib.attribution_patching(model, PAIR, **options, layers=[2, 0])
    np.testing.assert_array_equal(some.values, every.values[[2, 0]])


def test_a_sweep_of_windows_is_estimated_first_and_its_cells_are_those_of_a_plain_one(monkeypatch):
    monkeypatch.setattr("interp_backend.methods.activation_patching.FEWEST_ESTIMATED", 1)
    model = double("llama")
    options = {"activation": "mlp_out", "value": ib.Add(factor=0.01), "window": 2}
    plain = ib.activation_patching(model, PAIR, **options)
    result = ib.activation_patching(model, PAIR, **options, estimate="gradient")
    np.testing.assert_array_equal(result.state, plain.state)
    np.testing.assert_allclose(result.values, plain.values, atol=1e-5)
    assert result.agreement.pearson > 0.99 and (result.state == CellState.COMPUTED).any()
    assert ib.attribution_patching.code({"window": 2, "activation": "mlp_out"}).count("window=2") == 1
