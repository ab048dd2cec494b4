"""The tuned lens: its files, what it refuses, its numbers in plain torch, and its training."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
import torch
from test_logit_lens import assert_reads

import interp_backend as ib
from interp_backend.language.tuned_lens import TunedLens, unembed_hash
from interp_backend.methods.logit_lens import trajectory
from plain_loop import Plain
from tiny_models import CONFIGS, PAIR, boot, loud_bridge, loud_model

TEXT = "hello there"
TEXTS = ["hello there", "the quick brown fox", "jumps over the lazy dog", "a"]
N_LAYERS, D_MODEL = 3, 32


@cache
def hash_of(architecture):
    return unembed_hash(ib.load_model(loud_bridge(architecture)))


def lens_of(architecture, seed=0, size=0.3):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(N_LAYERS, D_MODEL, D_MODEL, generator=generator) * size / D_MODEL**0.5
    biases = torch.randn(N_LAYERS, D_MODEL, generator=generator) * size
    return TunedLens(weights, biases, hash_of(architecture), "by hand")


def zeros(architecture):
    return lens_of(architecture, size=0)


# Numbers


@pytest.mark.parametrize("stream", ["resid_pre", "resid_post"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_translator_made_by_hand_equals_plain_arithmetic(architecture, stream):
    raw, lens = loud_bridge(architecture), lens_of(architecture)
    result = ib.logit_lens(raw, TEXT, stream=stream, lens=lens, targets=["a", "b"], top_k=8)
    plain = Plain(loud_model(architecture), architecture, result.sides["prompt"].ids)
    rows = plain.rows(stream)
    assert len(rows) == N_LAYERS + 1
    translated = [h + h @ w.double().T + b.double() for h, w, b in zip(rows, lens.weights, lens.biases)]
    logits = plain.read(torch.stack([*translated, rows[-1]]))
    assert_reads(result.arrays_of("prompt"), logits, [64, 65])
    np.testing.assert_allclose(result.top_logits[-1], plain.logits.topk(8).values, atol=2e-5)
    assert result.params["lens"] == {"own": "lens"}
    logit = ib.logit_lens(raw, TEXT, stream=stream, top_k=8)
    assert np.abs(result.entropy - logit.entropy)[:-1].max() > 0.1
    column = trajectory(raw, result, "prompt", 4, [64, 65], lens)
    np.testing.assert_allclose(column.target_logit[:, 0], result.target_logit[:, 4], atol=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom", "phi"])
def test_a_translator_of_zeros_is_the_logit_lens(architecture):
    raw = loud_bridge(architecture)
    for stream in ("resid_pre", "resid_post"):
        tuned = ib.logit_lens(raw, PAIR, stream=stream, lens=zeros(architecture))
        plain = ib.logit_lens(raw, PAIR, stream=stream)
        for side in ("clean", "corrupt"):
            for name in type(plain.arrays_of(side)).model_fields:
                np.testing.assert_array_equal(
                    getattr(tuned.arrays_of(side), name), getattr(plain.arrays_of(side), name)
                )


def test_read_in_chunks_it_is_the_same(monkeypatch):
    raw, lens = loud_bridge("gemma2"), lens_of("gemma2")
    whole = ib.logit_lens(raw, TEXT, lens=lens, targets=["a"])
    monkeypatch.setattr("interp_backend.methods.logit_lens.BYTES_AT_ONCE", 4 * 257 * 5)
    chunked = ib.logit_lens(raw, TEXT, lens=lens, targets=["a"])
    for name in type(whole.arrays_of("prompt")).model_fields:
        np.testing.assert_allclose(getattr(chunked, name), getattr(whole, name), atol=2e-5)


def test_half_precision_is_close():
    raw = boot(loud_model("gpt2").bfloat16(), "half")
    base = lens_of("gpt2")
    lens = TunedLens(base.weights, base.biases, unembed_hash(ib.load_model(raw)), "half")
    result = ib.logit_lens(raw, TEXT, lens=lens)
    whole = ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=base)
    np.testing.assert_allclose(result.entropy, whole.entropy, atol=0.2)


# The hash


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "phi"])
def test_the_hash_is_the_tuned_lens_packages(architecture):
    weight = loud_model(architecture).get_output_embeddings().weight.detach().numpy()
    assert weight.shape == (257, D_MODEL)
    expected = hashlib.sha256(np.array_str(weight, precision=1).encode()).hexdigest()
    assert hash_of(architecture) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"edgeitems": 1, "linewidth": 200, "threshold": 10},
        {"suppress": True, "sign": "+", "floatmode": "fixed"},
        {"formatter": {"float": lambda x: "?"}},
        {"legacy": "1.13"},
    ],
    ids=["short", "signed", "formatter", "legacy"],
)
def test_how_a_notebook_prints_arrays_does_not_matter(options):
    with np.printoptions(**options):
        assert unembed_hash(ib.load_model(loud_bridge("gpt2"))) == hash_of("gpt2")


def test_another_unembedding_has_another_hash():
    assert len({hash_of(name) for name in ("gpt2", "gemma2", "llama", "phi")}) == 4


# The one that comes along


def test_the_embedded_lens_fits_and_is_nearer_to_the_end_than_the_logit_lens(embedded, capitals):
    tuned = ib.logit_lens(embedded, capitals, lens="tuned")
    plain = ib.logit_lens(embedded, capitals)
    assert tuned.params["lens"] == "tuned"
    for row in range(embedded.n_layers):
        assert tuned.kl_to_final[row].mean() < plain.kl_to_final[row].mean()
    np.testing.assert_array_equal(tuned.top_logits[-1], plain.top_logits[-1])
