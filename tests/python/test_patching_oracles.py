"""Patching against TransformerLens's own functions."""

from __future__ import annotations

import pandas
import pytest
import torch
from transformer_lens import patching

import interp_backend as ib
from intervention_loop import PAIR, model_of
from plain_loop import assert_close, token
from tiny_models import bridge

ORACLES = {
    ("q", ("layer", "head")): patching.get_act_patch_attn_head_q_all_pos,
    ("k", ("layer", "head")): patching.get_act_patch_attn_head_k_all_pos,
    ("v", ("layer", "head")): patching.get_act_patch_attn_head_v_all_pos,
    ("pattern", ("layer", "head")): patching.get_act_patch_attn_head_pattern_all_pos,
    ("q", ("layer", "head", "position")): patching.get_act_patch_attn_head_q_by_pos,
    ("k", ("layer", "head", "position")): patching.get_act_patch_attn_head_k_by_pos,
    ("v", ("layer", "head", "position")): patching.get_act_patch_attn_head_v_by_pos,
    ("pattern", ("layer", "head", "position")): patching.get_act_patch_attn_head_pattern_by_pos,
}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("activation, axes", ORACLES)
def test_equals_transformer_lens(architecture, activation, axes):
    raw = bridge(architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = ORACLES[activation, axes](raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b])
    theirs = theirs.numpy()
    if len(axes) == 3 and activation != "pattern":
        theirs = theirs.transpose(0, 2, 1)  # theirs is [layer, position, head]
    ours = ib.activation_patching(model_of(architecture), PAIR, activation=activation, axes=axes)
    assert_close(ours.values, theirs)


def test_entries_of_a_pattern_equal_transformer_lens():
    raw = bridge("gpt2")
    pair = PAIR.model_copy(update={"clean": "hoy", "corrupt": "hey"})
    clean, corrupt = raw.to_tokens(pair.clean), raw.to_tokens(pair.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = patching.get_act_patch_attn_head_pattern_dest_src_pos(
            raw, corrupt, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b]
        )
    axes = ("layer", "head", "position", "source")
    assert_close(ib.activation_patching(model_of("gpt2"), pair, activation="pattern", axes=axes).values, theirs.numpy())


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "bloom"])
def test_embeddings_equal_transformer_lens(architecture):
    raw = bridge(architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    with torch.no_grad():
        _, cache = raw.run_with_cache(clean)
        theirs = patching.generic_activation_patch(
            raw,
            corrupt,
            cache,
            lambda logits: logits[0, -1, a] - logits[0, -1, b],
            patch_setter=patching.layer_pos_patch_setter,
            activation_name="embed",
            index_df=pandas.DataFrame({"layer": None, "pos": range(corrupt.shape[1])}, dtype=object),  # in no layer
        )
    ours = ib.activation_patching(model_of(architecture), PAIR, activation="embed")
    assert ours.values.shape == (1, corrupt.shape[1]) and ours.labels["layer"] == ["emb"]
    assert_close(ours.values[0], theirs.numpy())
