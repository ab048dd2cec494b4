"""HookedTransformer, as TransformerLens had it up to version 3: the same numbers as transformer_lens.patching."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching
from transformers import PreTrainedTokenizerFast

import interp_backend as ib

PAIR = ib.PromptPair(clean="hello there", corrupt="hellu theru", clean_answer="a", corrupt_answer="b")
GPT2 = {"normalization_type": "LNPre"}
LLAMA = {
    "normalization_type": "RMS",
    "positional_embedding_type": "rotary",
    "rotary_dim": 8,
    "gated_mlp": True,
    "n_key_value_heads": 2,
    "output_logits_soft_cap": 5.0,
}
ORACLES = {
    ("resid_pre", None): patching.get_act_patch_resid_pre,
    ("resid_mid", None): patching.get_act_patch_resid_mid,
    ("attn_out", None): patching.get_act_patch_attn_out,
    ("mlp_out", None): patching.get_act_patch_mlp_out,
    ("z", ("layer", "head")): patching.get_act_patch_attn_head_out_all_pos,
    ("z", ("layer", "head", "position")): patching.get_act_patch_attn_head_out_by_pos,
    ("q", ("layer", "head")): patching.get_act_patch_attn_head_q_all_pos,
    ("v", ("layer", "head", "position")): patching.get_act_patch_attn_head_v_by_pos,
    ("pattern", ("layer", "head")): patching.get_act_patch_attn_head_pattern_all_pos,
}


def hooked(shape: dict) -> HookedTransformer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={**{c: i for i, c in enumerate(alphabet)}, "<bos>": 256}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<bos>")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, name_or_path="local", add_bos_token=True, **special)
    sizes = {"n_layers": 3, "n_heads": 4, "d_model": 32, "d_head": 8, "n_ctx": 64, "d_vocab": 257}
    config = HookedTransformerConfig(**sizes, act_fn="gelu_new", seed=0, device="cpu", **shape)
    model = HookedTransformer(config, tokenizer=fast).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("shape", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_equals_transformer_lens_for_every_activation(shape):
    raw = hooked(shape)
    model = ib.load_model(raw)
    assert model.weights == ("folded" if shape is GPT2 else "as trained")
    a, b = (model.answer_ids(answer)[0] for answer in ("a", "b"))
    with torch.no_grad():
        _, cache = raw.run_with_cache(PAIR.clean)
    for (activation, axes), oracle in ORACLES.items():
        if activation == "v" and shape is LLAMA:
            continue  # TransformerLens's own sweep counts more heads than there are of keys and values
        result = ib.activation_patching(raw, PAIR, activation=activation, axes=axes)
        with torch.no_grad():
            corrupt = raw.to_tokens(PAIR.corrupt)
            expected = oracle(raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b]).numpy()
        expected = expected.transpose(0, 2, 1) if expected.ndim == 3 else expected
        assert result.provenance["executor"] == "hooks"
        np.testing.assert_allclose(result.values, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    assert model.dead_hooks == [] and model.unavailable == {}
    assert not any(point.fwd_hooks for point in raw.hook_dict.values())


def test_the_embedded_model_says_which_version_it_needs():
    with pytest.raises(ImportError, match="TransformerLens 3"):
        ib.load_model()


@pytest.mark.parametrize("shape", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_attention_is_that_of_transformer_lens_cache(shape):
    raw = hooked(shape)
    with torch.no_grad():
        _, cache = raw.run_with_cache(PAIR.clean)
    for kind in ("pattern", "scores", "value_weighted", "output_norm"):
        result = ib.attention_patterns(raw, PAIR, kind)
        assert result.key_value_heads == (None if shape is GPT2 else [0, 0, 1, 1]) and not result.warnings
        length = len(result.tokens)
        np.testing.assert_array_equal(result.masked, np.broadcast_to(1 - np.tri(length), (3, length, length)))
        for layer, head in np.ndindex(3, 4):
            pattern = cache["pattern", layer][0, head].double()
            vectors = cache["v", layer][0, :, head if shape is GPT2 else head // 2].double()
            brought = vectors @ raw.blocks[layer].attn.W_O[head].detach().double()
            written = pattern @ brought
            expected = {
                "pattern": pattern,
                "scores": cache["attn_scores", layer][0, head].double(),
                "value_weighted": pattern * brought.norm(dim=-1),
                "output_norm": pattern * (written @ brought.T) / written.norm(dim=-1, keepdim=True),
            }[kind].numpy()
            expected[np.triu_indices(length, 1)] = np.nan
            np.testing.assert_allclose(result.values[layer, head], expected, atol=1e-5, rtol=1e-4)
    assert not any(point.fwd_hooks for point in raw.hook_dict.values())


@pytest.mark.parametrize("shape", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_heads_are_scored(shape):
    raw = hooked(shape)
    scores = ib.head_scores(raw, length=6, seeds=2).scores
    assert all(np.isfinite(part).all() for part in scores.values()) and "copying" in scores
    unembed = raw.W_U.detach().double() - raw.W_U.detach().double().mean(1, keepdim=True)
    for layer, head in [(0, 1), (2, 3)]:
        attention = raw.blocks[layer].attn
        read, write = (w.detach().double() for w in (attention.W_V[head], attention.W_O[head]))
        if shape is LLAMA:
            read = read * raw.blocks[layer].ln1.w.detach().double()[:, None]
            write = write * raw.ln_final.w.detach().double()
        else:  # LayerNorm without a gain centres what it reads
            read, write = read - read.mean(0), write - write.mean(1, keepdim=True)
        circuit = raw.W_E.detach().double() @ read @ write @ unembed
        eigenvalues = torch.linalg.eigvals(circuit)
        expected = float(eigenvalues.real.sum() / eigenvalues.abs().sum())
        assert scores["copying"][layer, head] == pytest.approx(expected, abs=1e-3)
        pairs = ib.head_circuits(raw, layer, head, top_k=5).pairs
        np.testing.assert_allclose([pair.value for pair in pairs], circuit.flatten().topk(5).values, rtol=1e-3)
    assert len(ib.induction_heads(raw, length=6, seeds=2)) == 12
    assert (ib.repeated_token_loss(raw, [(0, 1)], length=6, seeds=2)["second"] > 0).all()
    assert not any(point.fwd_hooks for point in raw.hook_dict.values())
