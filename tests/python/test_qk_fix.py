"""The QK fix of attribution patching, against a run for each query and key of a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp_backend as ib
from plain_loop import token
from tiny_models import PAIR, bridge

BY_POSITION = ("layer", "head", "position")


def plain_loop(raw, part):
    """[layer, head, position]: for each query or key alone, the change of its layer's pattern times the gradient."""
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    patterns = {}

    def keep(value, hook):
        value.retain_grad()
        patterns[hook.name] = value

    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(raw.cfg.n_layers)]
    with torch.enable_grad(), raw.hooks(fwd_hooks=[(name, keep) for name in names]):
        logits = raw(corrupt)
        (logits[0, -1, a] - logits[0, -1, b]).backward()
    raw.zero_grad(set_to_none=True)
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        found = []
        for layer, pattern_name in enumerate(names):
            base, name = patterns[pattern_name], f"blocks.{layer}.attn.hook_{part}"
            values = cache[name][0]
            of_layer = np.zeros((values.shape[1], values.shape[0]))
            for head in range(values.shape[1]):
                for position in range(values.shape[0]):

                    def patch(value, hook, head=head, position=position, values=values):
                        value = value.clone()
                        value[0, position, head] = values[position, head]
                        return value

                    seen = {}
                    hooks = [(name, patch), (pattern_name, lambda value, hook, seen=seen: seen.update(p=value))]
                    with raw.hooks(fwd_hooks=hooks):
                        raw(corrupt)
                    of_layer[head, position] = float(((seen["p"] - base) * base.grad).sum())
            found.append(of_layer)
    return np.stack(found)


@pytest.mark.parametrize("part", ["q", "k"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "qwen2", "gpt_neox", "mistral"])
def test_equals_a_run_for_each_query_and_key(architecture, part):
    raw = bridge(architecture)
    expected = plain_loop(raw, part)
    result = ib.attribution_patching(ib.load_model(raw), PAIR, activation=part, axes=BY_POSITION, qk_fix=True)
    effects = result.values - result.baselines["corrupt"]
    np.testing.assert_allclose(effects, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    plain = ib.attribution_patching(ib.load_model(raw), PAIR, activation=part, axes=BY_POSITION)
    assert not np.array_equal(plain.values, result.values)
    assert not any(parameter.grad is not None for parameter in raw.parameters())


def test_a_head_is_the_sum_over_its_positions_and_other_activations_stay_as_they_are():
    model = ib.load_model(bridge("gpt2"))
    fixed = ib.attribution_patching(model, PAIR, activation="all", qk_fix=True)
    plain = ib.attribution_patching(model, PAIR, activation="all")
    by_position = ib.attribution_patching(model, PAIR, activation="k", axes=BY_POSITION, qk_fix=True)
    base = by_position.baselines["corrupt"]
    np.testing.assert_allclose(fixed["k"].values - base, (by_position.values - base).sum(-1), atol=1e-5)
    assert {name for name in plain if not np.array_equal(plain[name].values, fixed[name].values)} == {"q", "k"}


def test_a_sharp_pattern_has_a_misleading_slope_and_is_still_seen():
    """Scores so far apart that a patched query moves a softmax further than its slope tells."""
    raw = bridge("gpt2")
    weights = {name: parameter.clone() for name, parameter in raw.named_parameters()}
    try:
        with torch.no_grad():
            for name, parameter in raw.named_parameters():
                if "attn.q" in name or "attn.k" in name:
                    parameter.mul_(6)
        model = ib.load_model(raw)
        exact, slope, fixed = (
            (one.values - one.baselines["corrupt"])[-1]  # below it, the slopes of later layers mislead too
            for one in (
                ib.activation_patching(model, PAIR, activation="q", axes=BY_POSITION),
                ib.attribution_patching(model, PAIR, activation="q", axes=BY_POSITION),
                ib.attribution_patching(model, PAIR, activation="q", axes=BY_POSITION, qk_fix=True),
            )
        )
    finally:
        with torch.no_grad():
            for name, parameter in raw.named_parameters():
                parameter.copy_(weights[name])
    assert np.abs(fixed - exact).sum() < 0.25 * np.abs(slope - exact).sum()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": "z", "qk_fix": True}, "for queries and keys, and z is neither"),
        ({"activation": "q", "qk_fix": True, "ig_steps": 2}, "Choose one of the two"),
    ],
)
def test_what_it_is_not_for_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ib.attribution_patching(ib.load_model(bridge("gpt2")), PAIR, **options)
