"""GradDrop of AtP* (Kramár et al. 2024, section 3.1.2), against models in which each layer is a constant in turn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from architectures import booted
from test_backward import Detached, double
from test_qk_fix import BY_POSITION

import interp_backend as ib
from plain_loop import assert_close, token
from tiny_models import PAIR, boot, bridge, random_model

NAMES = ["resid_pre", "resid_mid", "attn_out", "mlp_out", "mlp_post", "z", "q", "pattern"]
LAYERS = 3


@cache
def written_out(architecture, rule, text, drop):
    """Activations by name and layer, and the gradients of the logit difference."""
    raw = bridge(architecture)
    made = Detached(architecture, rule, raw.to_tokens(text)[0].tolist(), drop)
    names = [f"{layer}.{name}" for layer in range(LAYERS) for name in NAMES]
    grads = made.grads(names)  # of the logits of the two answers, which are tokens 70 and 71
    return {name: made.at[name].detach() for name in names}, grads


def combined(plain, dropped):
    """Equation 11 of the paper, with the sign of the plain estimate."""
    return np.where(plain < 0, -1, 1) * np.abs(dropped).sum(0) / (LAYERS - 1)


def summed(name, one, axes):
    """A product of gradient and change [position, ...] summed over what is no axis."""
    if name == "pattern":
        return one.sum((-1, -2))[:, None] if axes == ("layer", "head") else one
    if axes == BY_POSITION:
        return one.sum(-1).T
    return one.sum(tuple(range(1, one.ndim)))


@pytest.mark.parametrize("rule", ["gradient", "relp", "gim"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_equals_the_paper_written_out(architecture, rule):
    raw, model = bridge(architecture), double(architecture)
    assert (token(raw, "a"), token(raw, "b")) == (64, 65)
    clean, corrupt = (written_out(architecture, rule, text, None)[0] for text in (PAIR.clean, PAIR.corrupt))
    axes = {"z": BY_POSITION, "q": BY_POSITION, "pattern": (*BY_POSITION, "source")}
    pair = PAIR.model_copy(update={"clean_answer": "g", "corrupt_answer": "h"})
    assert (token(raw, "g"), token(raw, "h")) == (70, 71)
    for name in NAMES:
        found = ib.attribution_patching(model, pair, activation=name, rules=rule, grad_drop=True, axes=axes.get(name))
        expected = []
        for layer in range(LAYERS):
            key = f"{layer}.{name}"
            change = clean[key] - corrupt[key]

            def estimate(drop, key=key, change=change, name=name):
                grad = written_out(architecture, rule, PAIR.corrupt, drop)[1][key]
                return summed(name, (grad * change).numpy(), axes.get(name))

            expected.append(combined(estimate(None), np.stack([estimate(drop) for drop in range(LAYERS)])))
        scale = np.abs(expected).max()
        effects = found.values - found.baselines["corrupt"]
        np.testing.assert_allclose(effects, np.stack(expected), atol=2e-4 * scale, err_msg=name)
        if not name.startswith("resid"):  # nothing flows back to a layer's own parts if the layer is dropped
            own = [
                written_out(architecture, rule, PAIR.corrupt, layer)[1][f"{layer}.{name}"] for layer in range(LAYERS)
            ]
            assert not any(one.any() for one in own)


# What each layer adds to the residual stream, in transformers' own modules.
ADDED = {
    "gpt2": ("transformer.h", "attn", "mlp"),
    "llama": ("model.layers", "self_attn", "mlp"),
    "gemma2": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "gptj": ("transformer.h", "attn", "mlp"),
    "gpt_neox": ("gpt_neox.layers", "attention", "mlp"),
    "phi": ("model.layers", "self_attn", "mlp"),
}


@pytest.mark.parametrize("architecture", ADDED)
def test_parallel_blocks_and_norms_after_attention(architecture):
    """The residual stream before each layer of a plain transformers model, some outputs of modules detached."""
    plain, raw = random_model(architecture).eval(), bridge(architecture)
    layers, *parts = ADDED[architecture]
    blocks = list(plain.get_submodule(layers))

    def run(text, drop):
        seen, handles = {}, []

        def keep(at, args, kwargs):
            x = args[0] if args else kwargs["hidden_states"]
            seen[at] = x if x.requires_grad else x.requires_grad_()

        def detached(module, args, out):
            return (out[0].detach(), *out[1:]) if isinstance(out, tuple) else out.detach()

        for at, block in enumerate(blocks):
            handles.append(
                block.register_forward_pre_hook(lambda _, args, kwargs, at=at: keep(at, args, kwargs), with_kwargs=True)
            )
            if at == drop:
                handles += [block.get_submodule(part).register_forward_hook(detached) for part in parts]
        for parameter in plain.parameters():
            parameter.requires_grad_(False)
        logits = plain(raw.to_tokens(text)).logits[0, -1]
        for handle in handles:
            handle.remove()
        at = [seen[layer] for layer in range(LAYERS)]
        grads = torch.autograd.grad(logits[token(raw, "a")] - logits[token(raw, "b")], at)
        return [x[0].detach() for x in at], [grad[0] for grad in grads]

    (clean, _), (corrupt, plain_grads) = run(PAIR.clean, None), run(PAIR.corrupt, None)

    def estimate(grads):
        return np.stack([((a - b) * grad).sum(-1).numpy() for a, b, grad in zip(clean, corrupt, grads)])

    dropped = np.stack([estimate(run(PAIR.corrupt, drop)[1]) for drop in range(LAYERS)])
    found = ib.attribution_patching(ib.load_model(raw), PAIR, grad_drop=True)
    assert_close(found.values - found.baselines["corrupt"], combined(estimate(plain_grads), dropped), 1e-3)


def test_with_the_qk_fix_the_change_of_the_pattern_takes_the_place_of_its_slope():
    raw, model = bridge("gpt2"), double("gpt2")
    pair = PAIR.model_copy(update={"clean_answer": "g", "corrupt_answer": "h"})
    clean, corrupt = (written_out("gpt2", "gradient", text, None)[0] for text in (PAIR.clean, PAIR.corrupt))
    expected = []
    for layer in range(LAYERS):
        seen = {}
        hooks = [
            (f"blocks.{layer}.attn.hook_q", lambda v, hook, at=layer: clean[f"{at}.q"].to(v.dtype)[None].clone()),
            (f"blocks.{layer}.attn.hook_pattern", lambda v, hook, seen=seen: seen.update(p=v[0].double())),
        ]
        with torch.no_grad():
            raw.run_with_hooks(raw.to_tokens(PAIR.corrupt), fwd_hooks=hooks)
        change = seen["p"] - corrupt[f"{layer}.pattern"]
        estimates = [
            (written_out("gpt2", "gradient", PAIR.corrupt, drop)[1][f"{layer}.pattern"] * change).sum(-1).numpy()
            for drop in (None, *range(LAYERS))
        ]
        expected.append(combined(estimates[0], np.stack(estimates[1:])))
    found = ib.attribution_patching(model, pair, activation="q", axes=BY_POSITION, qk_fix=True, grad_drop=True)
    effects = found.values - found.baselines["corrupt"]
    np.testing.assert_allclose(effects, np.stack(expected), atol=1e-3 * np.abs(expected).max())
    without = ib.attribution_patching(model, pair, activation="q", axes=BY_POSITION, grad_drop=True)
    assert not np.allclose(without.values, found.values, atol=1e-3 * np.abs(expected).max())


def test_with_integrated_gradients_each_layer_is_dropped_on_the_whole_path():
    model = ib.load_model(bridge("llama"))
    one = ib.attribution_patching(model, PAIR, grad_drop=True)
    mib = ib.attribution_patching(model, PAIR, grad_drop=True, ig_steps=1, ig_points="mib")  # at the corrupt prompt
    assert_close(mib.values, one.values)
    many = ib.attribution_patching(model, PAIR, grad_drop=True, ig_steps=4)
    assert not np.allclose(many.values, one.values, atol=1e-3)
    over = ib.attribution_patching(model, PAIR, activation="z", grad_drop=True, ig_steps=1, ig_over="activations")
    assert np.isfinite(over.values).all()


def test_all_activations_and_a_data_set():
    model, pairs = ib.load_model(bridge("gpt2")), [PAIR, PAIR.model_copy(update={"clean": "hallo there"})]
    every = ib.attribution_patching(model, PAIR, activation="all", grad_drop=True, metric=["logit_diff", "prob"])
    alone = ib.attribution_patching(model, PAIR, activation="z", grad_drop=True, metric="prob")
    assert_close(every["z"].by_metric("prob").values, alone.values)
    many = ib.attribution_patching(model, ib.PromptPairs(pairs), activation="z", grad_drop=True)
    each = [ib.attribution_patching(model, pair, activation="z", grad_drop=True) for pair in pairs]
    assert_close(many.values, np.mean([one.values for one in each], 0))
    again = ib.read_result(alone.to_json())
    assert "grad_drop=True" in ib.attribution_patching.code(again.params)


@pytest.mark.parametrize("name", ["MambaForCausalLM", "OpenAIGPTLMHeadModel", "FalconH1ForCausalLM"])
def test_layers_that_are_more_than_attention_an_mlp_and_a_skip_connection_are_refused(name):
    with pytest.raises(ValueError, match=r"through layer 0 can't be dropped.*Leave grad_drop out"):
        ib.attribution_patching(ib.load_model(booted(name)), PAIR, grad_drop=True)


def test_a_model_of_one_layer_is_refused():
    plain = random_model("gpt2")
    plain.transformer.h = plain.transformer.h[:1]
    plain.config.n_layer = 1
    with pytest.raises(ValueError, match="for a model of one"):
        ib.attribution_patching(ib.load_model(boot(plain, "single")), PAIR, grad_drop=True)
