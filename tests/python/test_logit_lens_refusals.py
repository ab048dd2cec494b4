"""What the logit lens refuses, and the sentence that it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_logit_lens import TEXT
from test_model import hooks_on

import interp_backend as ib
from tiny_models import (
    PAIR,
    PARALLEL,
    boot,
    bridge,
    loud_model,
    random_encoder,
    random_model,
)

# Bad input


@pytest.mark.parametrize(
    "prompt, options, sentence",
    [
        ("", {}, "prompt is empty. Type a text"),
        (PAIR.model_copy(update={"corrupt": ""}), {}, "corrupt prompt is empty. Type a text"),
        ("x" * 64, {}, r"65 tokens and the model reads at most 64\. Shorten it, .*last=63"),
        ("x" * 99, {"last": 64}, r"65 tokens .*last=63"),
        ("x", {"last": 0}, "last is how many tokens"),
        ("x", {"last": -3}, "last is how many tokens"),
        ("x", {"last": True}, "last is how many tokens"),
        ("x", {"last": 2.5}, "last is how many tokens"),
        ("x", {"targets": ["ab"]}, "“ab” is 2 tokens .*Give one of them"),
        ("x", {"targets": [""]}, "0 tokens"),
        ("x", {"targets": "a"}, r"targets is a list of tokens to follow, such as \['a'\]"),
        ("x", {"targets": [257]}, "There is no token 257: the vocabulary has 257"),
        ("x", {"targets": [-1]}, "There is no token -1"),
        ("x", {"targets": [1.0]}, "as its text or its id"),
        ("x", {"targets": [True]}, "as its text or its id"),
        ("x", {"stream": "resid"}, "no stream 'resid'. Choose one of resid_pre, resid_mid"),
        ("x", {"top_k": 0}, "1 to 1000, not 0"),
        ("x", {"top_k": True}, "1 to 1000, not True"),
        ("x", {"top_k": 2.0}, "1 to 1000, not 2.0"),
        ("x", {"lens": "golden"}, "lens is None"),
        ({"clean": "x"}, {}, "corrupt: Field required"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(prompt, options, sentence):
    raw = bridge("gpt2")
    ib.logit_lens(raw, "x")
    hooks = hooks_on(raw)
    with pytest.raises(ValueError, match=sentence):
        ib.logit_lens(raw, prompt, **options)
    assert hooks_on(raw) == hooks
    assert ib.logit_lens(raw, "x").entropy.shape == (4, 2)


@pytest.mark.parametrize("prompt", [5, None, ["a", "b"]])
def test_what_is_no_prompt_is_refused(prompt):
    with pytest.raises((ValueError, TypeError), match="PromptPair"):
        ib.logit_lens(bridge("gpt2"), prompt)


@pytest.mark.parametrize("architecture", sorted(PARALLEL))
def test_a_stream_between_parallel_parts_is_refused(architecture):
    with pytest.raises(ValueError, match=r"side by side.* resid_pre"):
        ib.logit_lens(bridge(architecture), "x", stream="resid_mid")


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_what_is_no_decoder_is_refused(architecture):
    with pytest.raises(ValueError, match="decoder-only"):
        ib.logit_lens(boot(random_encoder(architecture), architecture), "x")


def test_training_mode_is_refused():
    raw = boot(random_model("gpt2"), "training")
    model = ib.load_model(raw)
    raw.original_model.train()
    for source in (raw, model):
        with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
            ib.logit_lens(source, "x")
    raw.original_model.eval()
    assert ib.logit_lens(raw, "x").labels


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_activations_that_are_no_numbers_are_refused_with_their_layer(architecture):
    raw = boot(random_model(architecture), architecture)
    ib.logit_lens(raw, "x")
    hooks = hooks_on(raw)
    weight = next(p for name, p in raw.original_model.named_parameters() if ".1." in name and p.ndim == 2)
    kept = weight.data[0, 0].clone()
    weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"\(NaN, or infinite\) from blocks\.1\.hook_resid_post on .*float32"):
        ib.logit_lens(raw, "xyz")
    assert hooks_on(raw) == hooks
    weight.data[0, 0] = kept
    assert np.isfinite(ib.logit_lens(raw, "xyz").entropy).all()


@pytest.mark.parametrize("part", ["lm_head.weight", "model.norm.weight"])
def test_an_output_that_is_no_number_is_refused(part):
    model = random_model("llama")
    model.get_parameter(part).data[:2] = float("nan")
    raw = boot(model, "llama")
    with pytest.raises(ValueError, match="NaN"):
        ib.logit_lens(raw, "x")


def test_an_infinite_activation_is_refused():
    model = random_model("gpt2")
    model.transformer.h[2].mlp.c_proj.bias.data[0] = float("inf")
    raw = boot(model, "gpt2")
    with pytest.raises(ValueError):
        ib.logit_lens(raw, "x")


@pytest.mark.parametrize("token", [0, 7])
def test_a_token_that_the_model_rules_out_spoils_no_number(token):
    model = loud_model("phi")
    model.lm_head.bias.data[token] = -float("inf")
    raw = boot(model, "phi")
    result = ib.logit_lens(raw, TEXT, targets=["a"])
    with torch.no_grad():
        log_probs = raw(raw.to_tokens(TEXT))[0].double().log_softmax(-1)
    expected = torch.distributions.Categorical(logits=log_probs.clamp(min=-1e9)).entropy()
    np.testing.assert_allclose(result.entropy[-1], expected, atol=1e-4)
    assert np.isfinite(result.top_logits).all() and np.isfinite(result.kl_to_final).all()


def test_a_pairs_answer_of_several_tokens_is_followed_by_its_first_and_that_is_said():
    result = ib.logit_lens(bridge("gpt2"), PAIR.model_copy(update={"corrupt_answer": "bcd"}))
    assert [token.text for token in result.targets] == ["a", "b"]
    assert any("“bcd” is 3 tokens; its first, “b”" in said for said in result.warnings)
