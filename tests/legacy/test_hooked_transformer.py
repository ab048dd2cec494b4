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
