"""Every architecture, activation and direction against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import interp_backend as ib
from executor_cases import PAIR, activations_of, expected, finest_axes
from interp_backend.results.effect_map import COMPUTED, UNCHANGED
from plain_loop import HOOKS, PER_HEAD, Change, assert_close, loop, put_other, runs_of
from tiny_models import CONFIGS, boot, bridge, random_model


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_activation_equals_a_plain_loop(architecture, direction):
    raw = bridge(architecture)
    model = ib.load_model(raw)
    for activation in activations_of(architecture):
        axes, heads = finest_axes(activation), None
        if activation in PER_HEAD:  # one direction by position for one head, the other for all heads
            axes, heads = (axes, [1]) if direction == "denoise" else (axes[:2], None)
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes, direction=direction, heads=heads)
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        assert result.provenance["executor_reason"] is None
        assert result.complete and result.axes == axes
        assert_close(result.values, expected(raw, activation, axes, direction, heads=heads))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "bloom", "gpt_neox"])
def test_folded_weights_equal_a_plain_loop(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.enable_compatibility_mode()
    model = ib.load_model(raw)
    assert model.weights == "folded"
    for activation in activations_of(architecture):
        axes = finest_axes(activation)[:2]
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes)
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        assert_close(result.values, expected(raw, activation, axes))


@pytest.mark.parametrize("heads", [4, 2])
def test_a_mask_with_an_axis_of_heads_is_not_taken_for_one_of_prompts(heads):
    """MPT's blocks get a bias [head, 1, key]; a pair of equally long prompts runs as a batch of two."""
    config = transformers.MptConfig(d_model=32, n_heads=heads, n_layers=3, max_seq_len=64, vocab_size=257)
    torch.manual_seed(0)
    raw = boot(transformers.MptForCausalLM(config), "mpt")
    unequal = ib.PromptPair(clean="hi dear you", corrupt="hi sir yu", clean_answer="a", corrupt_answer="b")
    for pair in (unequal, PAIR, unequal, PAIR):  # what was found out on one kind of pair holds for the other
        result = ib.activation_patching(raw, pair, activation="resid_mid")
        assert result.complete
    assert_close(result.values, expected(raw, "resid_mid", result.axes))


# bfloat16 keeps 8 bits of a number: each of some twenty roundings on the way to the logits moves one by up to 1/512 of
# its size, and a loop of single runs is itself that far from the truth, since a batch adds up in another order. 1/32 of
# the largest logit is sixteen such roundings that all go one way.
BFLOAT16 = 1 / 32


@pytest.mark.parametrize("architecture", CONFIGS)
def test_half_precision_stays_within_its_own_rounding(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.original_model.to(torch.bfloat16)
    model = ib.load_model(raw)
    assert model.dtype == "bfloat16"
    base, other = runs_of(raw, PAIR)
    a = model.answer_ids("a")[0]
    largest = float(base.logits[-1].float().abs().max())
    for activation, axes in [("resid_pre", None), ("z", ("layer", "head")), ("mlp_post", None)]:
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes, metric="logit")
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        values = loop(base, other, activation, result.axes, lambda logits: float(logits[a]))
        assert np.ptp(values) > 0
        np.testing.assert_allclose(result.values, values, atol=BFLOAT16 * largest, rtol=0)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom"])
def test_with_and_without_a_token_that_begins_the_text(architecture):
    raw = boot(random_model(architecture), architecture)
    lengths = set()
    model = ib.load_model(raw)
    for prepend in (True, False):
        raw.cfg.default_prepend_bos = prepend
        for activation in ("resid_pre", "z"):
            axes = finest_axes(activation)[:2]
            result = ib.activation_patching(model, PAIR, activation=activation, axes=axes)
            assert (result.prompts["clean"].ids[0] == 256) == prepend
            lengths.add(len(result.prompts["clean"].ids))
            assert result.provenance["executor"] == "packed"
            assert_close(result.values, expected(raw, activation, axes))
    assert lengths == {5, 6}


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom"])
def test_prompts_of_one_token(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.cfg.default_prepend_bos = False
    pair = PAIR.model_copy(update={"clean": "x", "corrupt": "y"})
    for activation in ("resid_pre", "embed", "mlp_out"):
        result = ib.activation_patching(raw, pair, activation=activation)
        assert result.values.shape == (1 if activation == "embed" else 3, 1)
        assert_close(result.values, expected(raw, activation, ("layer", "position"), pair=pair))


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_metric_is_read_at_any_position(architecture):
    """A patch to the right of what is read can't reach it, and a pass may have no row at all that is read."""
    raw = bridge(architecture)
    model = ib.load_model(raw)
    base, other = runs_of(raw, PAIR)
    at = len(base) - 3
    result = ib.activation_patching(model, PAIR, activation="attn_out", at=at, metric="logit_diff")
    assert result.provenance["executor"] == "packed"
    assert (result.state[:, at + 1 :] == UNCHANGED).all() and (result.normalized[:, at + 1 :] == 0).all()
    assert (result.state[:, at] == COMPUTED).all()
    a, b = model.answer_ids("a")[0], model.answer_ids("b")[0]
    for layer in range(3):
        for position in range(len(base)):
            logits = base.changed(Change("attn_out", layer, put_other(other, "attn_out", layer), [position]))[at]
            assert result.values[layer, position] == pytest.approx(float(logits[a] - logits[b]), abs=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "llama", "bloom"])
def test_the_fallback_gives_the_same_for_every_activation(architecture, fallback):
    model = ib.load_model(bridge(architecture))
    # a divergence is a difference of nearly equal numbers: its rounding is absolute
    tolerances = {"logit_diff": 1e-5, "kl": 2e-6, "prob@3": 1e-6}
    options = {"metric": ["logit_diff", "kl", ("prob", 3)], "top_k": 3}
    packed = {name: ib.activation_patching(model, PAIR, activation=name, **options) for name in HOOKS}
    fallback()
    for name, one in packed.items():
        whole = ib.activation_patching(model, PAIR, activation=name, **options)
        assert one.provenance["executor"] == "packed"
        assert (whole.provenance["executor"], whole.provenance["executor_reason"]) == ("hooks", "for a test")
        np.testing.assert_array_equal(whole.state, one.state)
        assert np.ptp(one.values) > 100 * tolerances["logit_diff"]
        for metric, tolerance in tolerances.items():
            values = one.measures[metric].values
            np.testing.assert_allclose(whole.measures[metric].values, values, atol=tolerance, rtol=0)
        np.testing.assert_allclose(whole.top.probs, one.top.probs, atol=1e-5)
    assert set(packed) == set(HOOKS) == set(ib.ACTIVATIONS)
