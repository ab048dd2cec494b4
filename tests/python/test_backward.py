"""Gradients at chosen places: against finite differences, and each rule against its paper, written out."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import booted
from test_interrupts import Interrupter, is_free, own_on
from test_model import hooks_on
from torch import Tensor

import interp_backend as ib
from executor_cases import DEAD_PATTERN, activations_of
from interp_backend.engine import backward
from interp_backend.engine.backward import RULES, gradients
from interp_backend.engine.turn import Turn
from plain_loop import HOOKS
from tiny_models import CONFIGS, boot, bridge, random_model

TOKENS = [256, 70, 71, 72, 70, 73]
A, B = 70, 71
STEP = 2e-3


@cache
def double(architecture: str) -> ib.LanguageModel:
    """A random model in float64; parts of it still compute in float32 (softmax, and some norms)."""
    return ib.load_model(boot(random_model(architecture).double(), architecture))


def places_of(model, architecture):
    names = activations_of(architecture)
    return [(name, model.hook_name(name, layer)) for name in names for layer in model.layers_with(name)]


def found(model, names, rule="gradient", score=None, tokens=TOKENS):
    """The gradient of a logit difference at each hook."""
    score = score or (lambda logits: (logits[:, 0, 0] - logits[:, 0, 1])[None])
    with Turn(model) as turn:
        return gradients(turn, tokens, names, [len(tokens) - 1], [A, B], score, rule)[0]


def difference(raw, hook, change) -> float:
    """The logit difference with a change added to one activation in place."""

    def add(value, hook):
        value += change
        return value

    with torch.no_grad():
        logits = raw.run_with_hooks(torch.tensor([TOKENS]), fwd_hooks=[(hook, add)])[0, -1]
    return float(logits[A] - logits[B])


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_gradient_equals_finite_differences(architecture):
    model = double(architecture)
    places = places_of(model, architecture)
    grads = found(model, [hook for _, hook in places])
    for name, hook in places:
        grad = grads[hook].double()
        along = torch.linspace(-1, 1, grad.numel(), dtype=torch.float64).view_as(grad)
        # Embeddings are small, and OPT's ReLUs have kinks.
        along *= 0.1 if hook in ("hook_embed", "blocks.0.hook_resid_pre") or architecture == "opt" else 1
        ends = [difference(model.raw, hook, step * STEP * along) for step in (-2, -1, 1, 2)]
        slope = (8 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12 * STEP)
        # Rounding of the parts in float32, divided by the step.
        assert slope == pytest.approx(float((grad * along).sum()), rel=1e-3, abs=1e-3), (name, hook)


def test_one_run_gives_the_gradient_of_several_metrics():
    model, hook = ib.load_model(bridge("gpt2")), "blocks.1.hook_resid_pre"

    def both(logits: Tensor) -> Tensor:
        return torch.stack([logits[:, 0, 0], logits[:, 0, 1]])

    with Turn(model) as turn:
        a, b = gradients(turn, TOKENS, [hook], [len(TOKENS) - 1], [A, B], both)
    torch.testing.assert_close(a[hook] - b[hook], found(model, [hook])[hook])


# The rules, written out for a model of gpt2's kind and one of llama's kind


class Detached:
    """The forward run of a plain transformers model, in which each rule is written as what its paper detaches."""

    def __init__(self, architecture: str, rule: str, tokens=TOKENS, drop=None):
        self.model, self.rule, self.at = random_model(architecture).double().eval(), rule, {}
        self.architecture, self.tokens, self.drop = architecture, list(tokens), drop

    def added(self, layer: int, out: Tensor) -> Tensor:
        """What a layer adds to the residual stream; the layer `drop` adds it as a constant."""
        return out.detach() if layer == self.drop else out

    def keep(self, name: str, value: Tensor) -> Tensor:
        self.at[name] = value
        if not value.requires_grad:
            value.requires_grad_()
        return value

    def grads(self, names) -> dict[str, Tensor]:
        logits = getattr(self, self.architecture)()
        made = torch.autograd.grad(logits[A] - logits[B], [self.at[name] for name in names], allow_unused=True)
        return {name: torch.zeros_like(self.at[name]) if g is None else g for name, g in zip(names, made)}

    def norm(self, module, x):
        if isinstance(module, torch.nn.LayerNorm):
            x = x - x.mean(-1, keepdim=True)
            scale = (x.pow(2).mean(-1, keepdim=True) + module.eps).sqrt()
            return x / self.constant(scale) * module.weight + module.bias
        scale = (x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon).sqrt()
        return x / self.constant(scale) * module.weight

    def constant(self, scale):
        return scale if self.rule == "gradient" else scale.detach()

    def act(self, function, x):
        return x * (function(x) / x).detach() if self.rule.startswith("relp") else function(x)

    def half(self, x):
        return x if self.rule == "gradient" else Scaled.apply(x, 0.5)

    def attend(self, q, k, v, at, rotate=lambda x: x, scale=None, window=None):
        """q, k, v are [position, head, entry]; returns [position, head * entry]."""
        q, k, v = (self.keep(f"{at}.{name}", x) for name, x in zip("qkv", (q, k, v)))
        if self.rule == "gim":
            q, k, v = Scaled.apply(q, 0.25), Scaled.apply(k, 0.25), Scaled.apply(v, 0.5)
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        q, k = rotate(q), rotate(k)
        k, v = (x.repeat_interleave(len(q) // len(x), 0) for x in (k, v))
        scores = q @ k.transpose(1, 2) / (scale or q.shape[-1] ** 0.5)
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        if window is not None:
            later |= torch.ones(scores.shape[1:], dtype=torch.bool).tril(-window)
        scores = scores.masked_fill(later, torch.finfo(torch.float64).min)
        pattern = Softer.apply(scores) if self.rule == "gim" else scores.softmax(-1)
        pattern = self.keep(f"{at}.pattern", pattern.detach() if self.rule == "relp_ah" else pattern)
        return self.keep(f"{at}.z", (pattern @ v).transpose(0, 1)).flatten(1)

    def gpt2(self):
        gpt = self.model.transformer
        x = self.keep("embed", gpt.wte.weight[self.tokens].detach()) + gpt.wpe.weight[: len(self.tokens)]
        for layer, block in enumerate(gpt.h):
            x = self.keep(f"{layer}.resid_pre", x)
            heads = block.attn.c_attn(self.norm(block.ln_1, x)[None])[0].view(len(x), 3, 4, 8)
            out = block.attn.c_proj(self.attend(*heads.unbind(1), str(layer))[None])[0]
            x = self.keep(f"{layer}.resid_mid", x + self.added(layer, self.keep(f"{layer}.attn_out", out)))
            neurons = self.act(block.mlp.act, block.mlp.c_fc(self.norm(block.ln_2, x)[None])[0])
            out = block.mlp.c_proj(self.keep(f"{layer}.mlp_post", neurons)[None])[0]
            x = x + self.added(layer, self.keep(f"{layer}.mlp_out", out))
        return self.model.lm_head(self.norm(gpt.ln_f, x))[-1]

    def llama(self):
        llama = self.model.model
        x = self.keep("embed", llama.embed_tokens.weight[self.tokens].detach())
        cos, sin = (one.double()[0] for one in llama.rotary_emb(x[None], torch.arange(len(x))[None]))

        def rotate(one: Tensor) -> Tensor:
            first, second = one.chunk(2, -1)
            return one * cos + torch.cat([-second, first], -1) * sin

        for layer, block in enumerate(llama.layers):
            x, attn, mlp = self.keep(f"{layer}.resid_pre", x), block.self_attn, block.mlp
            normed = self.norm(block.input_layernorm, x)
            heads = [proj(normed).view(len(x), -1, 8) for proj in (attn.q_proj, attn.k_proj, attn.v_proj)]
            out = attn.o_proj(self.attend(*heads, str(layer), rotate))
            x = self.keep(f"{layer}.resid_mid", x + self.added(layer, self.keep(f"{layer}.attn_out", out)))
            normed = self.norm(block.post_attention_layernorm, x)
            gate, up = self.act(mlp.act_fn, self.half(mlp.gate_proj(normed))), self.half(mlp.up_proj(normed))
            out = mlp.down_proj(self.keep(f"{layer}.mlp_post", gate * up))
            x = x + self.added(layer, self.keep(f"{layer}.mlp_out", out))
        return self.model.lm_head(self.norm(llama.norm, x))[-1]

    def heads(self, attn, x):
        """Queries, keys and values [position, head, entry] of separate matrices."""
        return [proj(x).view(len(x), 4, 8) for proj in (attn.q_proj, attn.k_proj, attn.v_proj)]

    def gpt_neo(self):
        """Scores are not scaled, and every second layer looks back over a window."""
        neo = self.model.transformer
        x = self.keep("embed", neo.wte.weight[self.tokens].detach()) + neo.wpe.weight[: len(self.tokens)]
        for layer, block in enumerate(neo.h):
            x, attn = self.keep(f"{layer}.resid_pre", x), block.attn.attention
            heads = self.heads(attn, self.norm(block.ln_1, x))
            out = attn.out_proj(self.attend(*heads, str(layer), scale=1.0, window=4 if layer == 1 else None))
            x = self.keep(f"{layer}.resid_mid", x + self.added(layer, self.keep(f"{layer}.attn_out", out)))
            neurons = self.act(block.mlp.act, block.mlp.c_fc(self.norm(block.ln_2, x)))
            out = block.mlp.c_proj(self.keep(f"{layer}.mlp_post", neurons))
            x = x + self.added(layer, self.keep(f"{layer}.mlp_out", out))
        return self.model.lm_head(self.norm(neo.ln_f, x))[-1]

    def gptj(self):
        """Attention and MLP side by side; four of eight entries are rotated, in pairs of neighbours."""
        gptj = self.model.transformer
        x = self.keep("embed", gptj.wte.weight[self.tokens].detach())
        angles = torch.arange(len(x)).double()[:, None] / 10000 ** (torch.arange(0, 4, 2).double() / 4)
        cos, sin = (f(angles).repeat_interleave(2, -1) for f in (torch.cos, torch.sin))

        def rotate(one: Tensor) -> Tensor:
            turned, rest = one[..., :4], one[..., 4:]
            crossed = torch.stack([-turned[..., 1::2], turned[..., ::2]], -1).flatten(-2)
            return torch.cat([turned * cos + crossed * sin, rest], -1)

        for layer, block in enumerate(gptj.h):
            x = self.keep(f"{layer}.resid_pre", x)
            normed = self.norm(block.ln_1, x)
            out = block.attn.out_proj(self.attend(*self.heads(block.attn, normed), str(layer), rotate))
            neurons = self.act(block.mlp.act, block.mlp.fc_in(normed))
            wrote = block.mlp.fc_out(self.keep(f"{layer}.mlp_post", neurons))
            x = x + self.added(layer, self.keep(f"{layer}.attn_out", out))
            x = x + self.added(layer, self.keep(f"{layer}.mlp_out", wrote))
        return self.model.lm_head(self.norm(gptj.ln_f, x))[-1]

    def opt(self):
        opt = self.model.model.decoder
        x = self.keep("embed", opt.embed_tokens.weight[self.tokens].detach())
        x = x + opt.embed_positions.weight[2 : 2 + len(x)]
        for layer, block in enumerate(opt.layers):
            x, attn = self.keep(f"{layer}.resid_pre", x), block.self_attn
            out = attn.out_proj(self.attend(*self.heads(attn, self.norm(block.self_attn_layer_norm, x)), str(layer)))
            x = self.keep(f"{layer}.resid_mid", x + self.added(layer, self.keep(f"{layer}.attn_out", out)))
            neurons = self.act(block.activation_fn, block.fc1(self.norm(block.final_layer_norm, x)))
            out = block.fc2(self.keep(f"{layer}.mlp_post", neurons))
            x = x + self.added(layer, self.keep(f"{layer}.mlp_out", out))
        return self.model.lm_head(self.norm(opt.final_layer_norm, x))[-1]


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return ctx.factor * grad, None


class Softer(torch.autograd.Function):
    """The softmax, and on the way back one of temperature 2 (without the factor 1/2, as in the authors' code)."""

    @staticmethod
    def forward(ctx, scores):
        ctx.save_for_backward(scores)
        return scores.softmax(-1)

    @staticmethod
    def backward(ctx, grad):
        softer = (ctx.saved_tensors[0] / 2).softmax(-1)
        return softer * (grad - (softer * grad).sum(-1, keepdim=True))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neo", "gptj", "opt"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_equals_its_paper_written_out(architecture, rule):
    """Also where TransformerLens shows a pattern too late to be edited."""
    layers, shown = range(3), activations_of(architecture)
    names = {f"{layer}.{name}": HOOKS[name].format(layer) for layer in layers for name in shown}
    names = {"embed": "hook_embed"} | {k: hook for k, hook in names.items() if not k.endswith((".embed", "resid_post"))}
    expected = Detached(architecture, rule).grads(names)
    grads = found(double(architecture), list(names.values()), rule)
    for name, hook in names.items():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(grads[hook].double(), expected[name], atol=1e-4 * scale + 1e-6, rtol=1e-3, msg=name)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_with_frozen_norms_and_half_products_the_run_is_what_it_was(architecture):
    """A rule changes no value, and it changes the gradient in every architecture."""
    model, hook = ib.load_model(bridge(architecture)), "blocks.0.hook_resid_pre"
    seen = []

    def score(logits: Tensor) -> Tensor:
        seen.append(logits.detach())
        return (logits[:, 0, 0] - logits[:, 0, 1])[None]

    made = [found(model, [hook], rule, score)[hook] for rule in RULES]
    for logits in seen[1:]:
        torch.testing.assert_close(logits, seen[0], atol=1e-5, rtol=1e-5)
    assert all(not torch.allclose(grad, made[0], rtol=1e-3) for grad in made[1:])


# What can't be done


@pytest.mark.parametrize("architecture", sorted(DEAD_PATTERN))
@pytest.mark.parametrize("rule", ["gim", "relp_ah"])
def test_rules_about_patterns_are_refused_where_the_shown_pattern_mixes_nothing(architecture, rule, monkeypatch):
    """TransformerLens shows another tensor than the one by which the values were mixed."""
    raw = boot(random_model(architecture), "copies")
    for block in raw.blocks:
        fire = block.attn._fire_post_hoc_hook
        monkeypatch.setattr(
            block.attn, "_fire_post_hoc_hook", lambda hook, tensor, label, fire=fire: fire(hook, tensor * 1.0, label)
        )
    with pytest.raises(ValueError, match=r"patterns of layer 0 .* not those by which values are mixed.*relp"):
        found(ib.load_model(raw), ["hook_embed"], rule)


@pytest.mark.parametrize("rule", ["gim", "relp_ah"])
def test_rules_about_patterns_are_refused_where_nothing_shows_when_values_are_mixed(rule, monkeypatch):
    model = ib.load_model(boot(random_model("gptj"), "silent"))
    assert "pattern" in model.dead_hooks
    monkeypatch.setattr(backward._Run, "_note", lambda self, name, value: value)
    with pytest.raises(ValueError, match="not those by which values are mixed"):
        found(model, ["hook_embed"], rule)


@pytest.mark.parametrize("trains", [True, False])
def test_rules_about_patterns_above_a_layer_in_which_differentiation_begins(trains):
    """Weights that train have a gradient of their own, also below the activation that moves along the path."""
    model = ib.load_model(boot(random_model("gptj"), "path").requires_grad_(trains))
    pair = ib.PromptPair(clean="hello", corrupt="hallo", clean_answer="a", corrupt_answer="b")
    for name in ("z", "q"):
        made = ib.attribution_patching(model, pair, activation=name, rules="gim", ig_steps=1, ig_over="activations")
        assert np.isfinite(made.values).all() and np.ptp(made.values) > 0


def test_rules_about_patterns_are_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"The rule gim changes what flows back.*Or use relp"):
        found(ib.load_model(booted("MambaForCausalLM")), ["hook_embed"], "gim")


def test_a_model_made_in_inference_mode_is_refused():
    with torch.inference_mode():
        model = ib.load_model(boot(random_model("gpt2"), "inference"))
    with pytest.raises(ValueError, match="or use activation patching"):
        found(model, ["hook_embed"])


def test_a_metric_without_a_gradient_is_refused():
    with pytest.raises(ValueError, match="This metric has no gradient"):
        found(ib.load_model(bridge("gpt2")), ["hook_embed"], score=lambda logits: logits.detach()[None, :, 0, 0])


# Nothing is left


def state_of(raw):
    """What a run has to leave as it was."""
    parameters = list(raw.parameters())
    return (
        hooks_on(raw),
        [(one.requires_grad, one.grad is None) for one in parameters],
        [module.training for module in raw.modules()],
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("trains", [True, False])
def test_nothing_is_left_on_the_model(trains):
    raw = boot(random_model("llama"), "left").requires_grad_(trains)
    model = ib.load_model(raw)
    found(model, ["blocks.1.attn.hook_q"])
    before = state_of(raw)
    for rule in RULES:
        with torch.no_grad():
            found(model, ["blocks.1.attn.hook_q"], rule)
    with torch.inference_mode():
        found(model, ["blocks.1.attn.hook_q"], "gim")
    assert state_of(raw) == before and not own_on(raw)


def test_an_interrupt_at_any_line_leaves_nothing():
    model = ib.load_model(boot(random_model("llama"), "interrupted"))

    def call():
        return found(model, ["blocks.1.attn.hook_q"], "gim", tokens=TOKENS[:3])["blocks.1.attn.hook_q"]

    expected = call()
    before = state_of(model.raw)
    interrupter = Interrupter({str(Path(backward.__file__))})
    interrupter.run(call)
    places = list(interrupter.seen)
    assert len(places) > 40
    for place in places:
        with pytest.raises(KeyboardInterrupt):
            interrupter.run(call, at=place)
        assert state_of(model.raw) == before and not own_on(model.raw), place
        assert is_free(model.lock), place
    sys.settrace(None)
    torch.testing.assert_close(call(), expected)


def test_half_precision_weights_give_gradients_near_those_of_float32():
    hook = "blocks.0.hook_resid_pre"
    full = found(ib.load_model(bridge("llama")), [hook])[hook]
    half = ib.load_model(boot(random_model("llama").bfloat16(), "half"))
    for rule in RULES:
        exact = found(ib.load_model(bridge("llama")), [hook], rule)[hook]
        grad = found(half, [hook], rule)[hook]
        assert grad.dtype == full.dtype == torch.float32
        assert float((grad - exact).norm() / exact.norm()) < 0.1, rule
