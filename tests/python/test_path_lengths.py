"""How deep attribution graphs are: paths one by one, and a chain of two MLPs that cross-layer features make shallow."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import transformers
from graph_cases import random_transcoders

import interp_backend as ib
from interp_backend.language.transcoders import Activation, Coder, Matrix, Target, Transcoders
from tiny_models import boot, loud_bridge

TEXTS = ["the quick brown fox", "jumps over the lazy dog", "what a day it was"]


def paths_one_by_one(graph):
    """The share of each path by the number of features on it and what it begins at, every path followed by itself."""
    found = {}

    def follow(node, share, features):
        row = graph._row(graph._at(node.id))
        if row is None:
            found[features, node.kind] = found.get((features, node.kind), 0.0) + share
            return
        weights, size = np.abs(graph.edges[row, :-1]).astype(float), float(graph.sizes[row])
        found[features, "unknown"] = found.get((features, "unknown"), 0.0) + share * (1 - weights.sum() / (size or 1))
        for at in np.flatnonzero(weights):
            follow(nodes[at], share * weights[at] / size, features + (nodes[at].kind == "feature"))

    nodes = graph.nodes
    for node, p in zip(nodes[-len(graph.probabilities) :], graph.probabilities):
        follow(node, p / graph.probabilities.sum(), 0)
    return found


def check_against_paths(graph):
    lengths, found = graph.path_lengths(), paths_one_by_one(graph)
    for count in range(len(lengths.inputs)):
        begun = {kind: share for (features, kind), share in found.items() if features == count}
        inputs = begun.get("token", 0) + begun.get("position", 0)
        row = (lengths.inputs[count], lengths.errors[count], lengths.unknown[count])
        assert row == pytest.approx((inputs, begun.get("error", 0), begun.get("unknown", 0)), abs=1e-5)
    assert max(features for features, _ in found) < len(lengths.inputs) <= graph.n_layers + 1
    assert sum(lengths.to_dataframe().sum()) == pytest.approx(1, abs=1e-5)
    return lengths


@pytest.mark.parametrize(("architecture", "cross"), [("gpt2", False), ("llama", True), ("gpt_neox", True)])
def test_lengths_are_those_of_all_paths_one_by_one(architecture, cross):
    raw = loud_bridge(architecture)
    graph = ib.attribution_graph(raw, "hey", random_transcoders(raw, cross=cross, features=6), logits=3)
    lengths = check_against_paths(graph)
    assert lengths.inputs[1] > 0 and lengths.unknown.sum() < 1e-5
    entered, missed = lengths.inputs.sum(), lengths.errors.sum()
    assert graph.replacement == pytest.approx(entered / (entered + missed), rel=1e-4)  # as circuit-tracer has it


def test_paths_that_leave_the_graph_are_unknown():
    raw = loud_bridge("gpt2")
    transcoders = random_transcoders(raw, features=6)
    whole, *_ = steps = [step.result for step in ib.attribution_graph.steps(raw, "hey", transcoders, logits=3)]
    assert whole.features_traced == 0 and steps[-1].features_traced
    few = ib.attribution_graph(raw, "hey", transcoders, logits=3, features=8)
    assert check_against_paths(few).unknown.sum() > 0.01
    assert check_against_paths(steps[-1].pruned(0.5, 0.8)).unknown.sum() > 0.1
    untraced = whole.path_lengths()
    assert untraced.inputs[1:].sum() == 0 and untraced.unknown[1] > 0.1


# A chain of two MLPs


@cache
def chain_model():
    """Two layers in which MLP 0 writes one direction for each token, MLP 1 reads it and writes another one, and the
    unembedding reads that. Attention is zero."""
    vocabulary = 257
    config = transformers.GPT2Config(
        n_layer=2,
        n_head=4,
        n_embd=772,
        n_inner=vocabulary,
        vocab_size=vocabulary,
        n_positions=32,
        activation_function="relu",
        tie_word_embeddings=False,
    )
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if "ln" not in name:
            parameter.data.zero_()
    eye, blocks = torch.eye(vocabulary), [slice(i * vocabulary, (i + 1) * vocabulary) for i in range(3)]
    model.transformer.wte.weight.data[:, blocks[0]] = eye
    model.lm_head.weight.data[:, blocks[2]] = eye
    for layer, block in enumerate(model.transformer.h):
        block.mlp.c_fc.weight.data[blocks[layer]] = eye * 0.1
        block.mlp.c_proj.weight.data[:, blocks[layer + 1]] = eye
    return boot(model, "chain")


def transcoders_of_the_chain(cross):
    """Its own neurons as features; or those of layer 0 alone, which write what MLP 1 writes as well."""
    raw = chain_model()
    coders, ends = {}, {}
    [at_0], [at_1] = (active_neurons(raw, layer) for layer in range(2))
    for layer, block in enumerate(raw.original_model.transformer.h):
        encoder, decoder = block.mlp.c_fc.weight.data.T.contiguous(), block.mlp.c_proj.weight.data
        decoders = {layer: Matrix.of(decoder, "decoder")}
        bias = torch.zeros(len(encoder))
        if cross and layer == 0:
            later = raw.original_model.transformer.h[1].mlp.c_proj.weight.data * (at_1 / at_0)
            decoders[1] = Matrix.of(later, "decoder")
        if cross and layer == 1:
            bias -= 1e3
        coders[layer] = Coder(Matrix.of(encoder, "encoder"), bias, decoders, Activation("relu"))
        ends[layer] = Target(torch.zeros(772))
    return Transcoders("chain", "trained", 772, "mlp_in", "mlp_out", coders, ends)


def active_neurons(raw, layer):
    """The activations of the active neurons of an MLP at one token."""
    _, cache = raw.run_with_cache(torch.tensor([[3]]), names_filter=[f"blocks.{layer}.mlp.hook_post"])
    values = cache[f"blocks.{layer}.mlp.hook_post"][0, 0]
    return values[values > 0]


def test_cross_layer_features_make_a_deep_circuit_shallow():
    """Both sets are exact; the path of the model's own computation has two features on it."""
    per_layer, cross = (
        ib.attribution_graph(chain_model(), "x", transcoders_of_the_chain(cross), answers=["x"])
        for cross in (False, True)
    )
    for graph, features in ((per_layer, 2), (cross, 1)):
        lengths = graph.path_lengths()
        assert graph.active == features * 2 and graph.replacement > 0.99  # at two tokens
        assert lengths.inputs[features] == pytest.approx(1, abs=5e-3)
        assert lengths.mean == pytest.approx(features, abs=5e-3)


def test_trained_cross_layer_features_find_the_short_way(monkeypatch):
    monkeypatch.setattr("interp_backend.methods.train_transcoders.POSITIONS_A_STEP", 64)
    means = []
    for cross in (False, True):
        options = {"features": 100, "active": 2, "activation": "topk", "steps": 200, "progress": False}
        found = ib.train_transcoders(chain_model(), TEXTS, **options, cross_layer=cross)
        assert found.cross_layer is cross and min(found.fit.explained.values()) > 0.95
        lengths = ib.attribution_graph(chain_model(), "the fox", found, answers=["x"]).path_lengths()
        means.append(lengths.mean)
    assert means[1] < means[0] - 0.2
