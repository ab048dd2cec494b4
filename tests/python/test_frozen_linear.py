"""The linear map of a run, with autograd on the model itself as the oracle."""

from __future__ import annotations

import pytest
import torch
from architectures import EVERY, booted
from graph_cases import edges_by_autograd, random_transcoders

from interp_backend.engine.frozen_linear import FrozenRun
from interp_backend.engine.turn import Turn
from interp_backend.language.loading import load_model
from tiny_models import bridge, loud_bridge

IDS = [256, 72, 101, 108, 108, 111]


def compare(raw, transcoders, ids=IDS):
    """Edges into every feature and into three logits, against autograd; and whether they sum to what is read."""
    tokens = [5, 97, 200]
    with Turn(load_model(raw)) as turn:
        run = FrozenRun(turn, ids, transcoders)
    every = range(len(run.feature))
    starts, biases, values = [], [], []
    start, bias, logits = run.logit_start(tokens)
    starts, biases, values = [start], [bias], [logits]
    order = []
    for layer in reversed(range(raw.cfg.n_layers)):
        some = torch.tensor([column for column in every if run.layer[column] == layer])
        if len(some):
            start, bias = run.feature_start(layer, some)
            starts.append(start), biases.append(bias), values.append(run.values[some]), order.append(some)
    found, below = run.edges(starts)
    features = torch.cat(order)
    oracle, _sums = edges_by_autograd(raw, ids, transcoders, run, features.tolist(), tokens)
    oracle = torch.cat([oracle[len(features) :], oracle[: len(features)]])
    scale = oracle.abs().amax(1, keepdim=True)
    assert len(features) > 10
    torch.testing.assert_close(found / scale, oracle / scale, rtol=0, atol=2e-4)
    values = torch.cat(values)
    gap = (found.sum(1) + below + torch.cat(biases) - values).abs()
    assert float((gap / torch.maximum(values.abs(), scale[:, 0])).max()) < 1e-4
    return run


def can_be_run(name):
    """Whether an architecture's layers are understood; if not, a graph is refused in a sentence."""
    try:
        model = load_model(booted(name))
        with Turn(model) as turn:
            FrozenRun(turn, IDS, random_transcoders(booted(name)))
    except (ValueError, RuntimeError) as problem:
        return str(problem)
    return None


@pytest.mark.parametrize("name", EVERY)
def test_every_architecture(name):
    if why := can_be_run(name):
        assert why.endswith(".") and len(why) > 40
        pytest.skip(why)
    compare(booted(name), random_transcoders(booted(name)))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom"])
@pytest.mark.parametrize("kind", ["jumprelu", "topk", "signed topk"])
def test_cross_layer_and_skip(name, kind):
    compare(loud_bridge(name), random_transcoders(loud_bridge(name), kind=kind, cross=True, skip=True))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_features_that_read_before_the_norm(name):
    compare(loud_bridge(name), random_transcoders(loud_bridge(name), skip=True, reads="resid_mid"))


@pytest.mark.parametrize("name", ["gpt2", "bloom", "llama", "gemma2", "qwen3"])
@pytest.mark.parametrize("cross", [False, True])
def test_features_that_read_the_norm_before_its_gain_and_bias(name, cross):
    """As the files of the 2024 GPT-2 transcoders, which were made for a model with its norms folded."""
    compare(loud_bridge(name), random_transcoders(loud_bridge(name), skip=True, cross=cross, reads="normalized"))


def test_one_token():
    compare(bridge("gpt2"), random_transcoders(bridge("gpt2"), features=40), [72])
