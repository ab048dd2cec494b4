"""Attribution graphs: their numbers, what they leave out, and circuit-tracer's definitions as plain loops."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_cases import random_transcoders

import interp_backend as ib
from interp_backend.engine.own import Own
from interp_backend.engine.watch import Cancelled, run_watched
from interp_backend.language.transcoders import Matrix, Target
from interp_backend.results.attribution_graph import FEATURE
from tiny_models import PAIR, loud_bridge

PROMPT = "hello there"


@cache
def graph_of(architecture="gpt2", cross=False, features=12):
    transcoders = random_transcoders(loud_bridge(architecture), cross=cross, features=features)
    return ib.attribution_graph(loud_bridge(architecture), PROMPT, transcoders)


def gap(graph):
    """The largest difference between what enters a traced target and its value, relative to the larger."""
    traced = graph.traced == 1
    whole = graph.edges[traced].sum(1, dtype=np.float64) + graph.rest[traced]
    values = graph.values[graph._targets][traced]
    return float((np.abs(whole - values) / np.maximum(np.abs(graph.edges[traced]).max(1), np.abs(values))).max())


# Completeness


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom", "qwen3"])
@pytest.mark.parametrize("cross", [False, True])
def test_what_enters_a_node_sums_to_its_value(architecture, cross):
    graph = graph_of(architecture, cross=cross)
    assert graph.features_traced == graph.active == (graph.kind == FEATURE).sum() > 40
    assert gap(graph) < 1e-4 and graph.largest_gap < 1e-4
    positions = [node for node in graph.nodes if node.kind == "position"]
    assert len(positions) == (len(graph.prompt.ids) if architecture == "gpt2" else 0)
    assert graph.provenance["complete"] is True


def test_logits_are_those_of_the_model_minus_their_mean():
    graph = graph_of()
    logits = loud_bridge("gpt2")(torch.tensor([graph.prompt.ids]))[0, -1].detach()
    for node, p in zip(graph.nodes[-len(graph.probabilities) :], graph.probabilities):
        assert node.kind == "logit" and node.value == pytest.approx(
            float(logits[node.feature] - logits.mean()), rel=1e-4
        )
        assert p == pytest.approx(float(logits.softmax(-1)[node.feature]), rel=1e-4)


def test_few_features_are_kept_and_what_the_others_add_is_one_number():
    raw = loud_bridge("gpt2")
    whole, small = graph_of(), ib.attribution_graph(raw, PROMPT, random_transcoders(raw), features=20)
    assert (small.kind == FEATURE).sum() == 20 and small.active == whole.active and np.abs(small.rest).max() > 0
    assert gap(small) < 1e-4
    least = min(node.influence for node in small.nodes if node.kind == "feature")
    others = [node.influence for node in whole.nodes if node.kind == "feature" and node.id not in small.ids]
    assert least >= max(others) - 1e-6
    assert (small.replacement, small.completeness) == (whole.replacement, whole.completeness)
    for node in small.nodes:
        assert node.influence == pytest.approx(whole.node(node.id).influence, rel=1e-5)


def test_answers_are_explained_in_place_of_the_likeliest_tokens():
    raw = loud_bridge("gpt2")
    transcoders = random_transcoders(raw)
    assert ib.attribution_graph(raw, PROMPT, transcoders, answers=["a", 66]).logit_tokens == [
        "a",
        raw.tokenizer.decode([66]),
    ]
    assert ib.attribution_graph(raw, PAIR, transcoders).logit_tokens == ["a", "b"]
    few = ib.attribution_graph(raw, PROMPT, transcoders, logits=3, mass=1.0)
    many = ib.attribution_graph(raw, PROMPT, transcoders, logits=100, mass=0.5)
    assert len(few.probabilities) == 3 and sum(many.probabilities) >= 0.5 > sum(many.probabilities[:-1])


# Steps


def test_the_most_influential_features_come_first(monkeypatch):
    monkeypatch.setattr("interp_backend.methods.attribution_graph.FIRST", 10)
    raw = loud_bridge("gpt2")
    steps = [step.result for step in ib.attribution_graph.steps(raw, PROMPT, random_transcoders(raw))]
    traced = [one.features_traced for one in steps]
    assert traced[:3] == [0, 10, 20] and traced[-1] == steps[0].active and steps[0].provenance["complete"] is False
    first, second, last = steps[0], steps[1], steps[-1]
    ranked = [n.id for n in sorted(first.nodes, key=lambda n: -n.influence) if n.kind == "feature"][:10]
    assert {n.id for n in second.nodes if n.traced and n.kind == "feature"} == set(ranked)
    for graph in steps:
        assert gap(graph) < 1e-4
        for node in graph.nodes:
            if node.traced:
                assert dict(graph.inputs(node.id)) == pytest.approx(dict(last.inputs(node.id)), rel=1e-3, abs=1e-5)


def test_a_cancelled_computation_stops():
    raw = loud_bridge("gpt2")
    steps = ib.attribution_graph.steps(raw, PROMPT, random_transcoders(raw))
    kept = next(steps).result
    with pytest.raises(Cancelled):
        run_watched(lambda: next(steps), cancelled=lambda: True)
    assert kept.features_traced == 0 and "incomplete" in repr(kept)
    assert not any(
        isinstance(h, Own) for m in raw.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
    )
    assert gap(ib.attribution_graph(raw, PROMPT, random_transcoders(raw))) < 1e-4


# What is refused


def test_odd_calls_are_refused(monkeypatch):
    raw, transcoders = loud_bridge("gpt2"), random_transcoders(loud_bridge("gpt2"))

    def refused(words, prompt=PROMPT, given=transcoders, **options):
        with pytest.raises(ValueError, match=words):
            ib.attribution_graph(raw, prompt, given, **options)

    refused("Say which transcoders", given=None)
    refused("load_transcoders returns", given="gpt2")
    refused("mass is", mass=0)
    refused("list of answers is empty", answers=[])
    refused("must be one", answers=["no token"])
    refused("features is how many", features=0)
    refused("3 layers, 32 wide", given=of_other_width())
    monkeypatch.setattr("interp_backend.methods.attribution_graph.MOST_ACTIVE", 40)
    refused(r"features are active on these 12 tokens.*last=\d")


def of_other_width():
    one = random_transcoders(loud_bridge("gpt2"))
    coders = {
        layer: dataclasses.replace(
            coder,
            encoder=Matrix.of(torch.ones(12, 8), "encoder"),
            decoders={layer: Matrix.of(torch.ones(12, 8), "decoder")},
        )
        for layer, coder in one.coders.items()
    }
    return dataclasses.replace(
        one, d_model=8, coders=coders, ends={layer: Target(torch.zeros(8)) for layer in one.ends}
    )


def test_a_prompt_of_one_token():
    raw = loud_bridge("gpt2")
    graph = ib.attribution_graph(raw, "a", random_transcoders(raw, features=40), prepend_bos=False)
    assert len(graph.prompt.ids) == 1 and gap(graph) < 1e-4


def test_no_active_feature_at_all():
    """What is left is errors, tokens and positions, in every part and every file."""
    raw, one = loud_bridge("gpt2"), random_transcoders(loud_bridge("gpt2"))
    coders = {at: dataclasses.replace(coder, bias=coder.bias - 1e4) for at, coder in one.coders.items()}
    graph = ib.attribution_graph(raw, PROMPT, dataclasses.replace(one, coders=coders))
    assert graph.active == 0 and gap(graph) < 1e-4
    for part in (graph, graph.pruned(), graph.subgraph([], inputs=False)):
        assert gap(part) < 1e-4 and all(0 <= score <= 1 for score in part.scores())
        assert ib.read_result(part.to_json()).to_json() == part.to_json()
        assert ib.AttributionGraph.from_circuit_tracer(part.to_circuit_tracer()).ids == part.ids


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("prompt", ["a", "ab", "é🙂漢", "\x00\n\t"])
def test_odd_prompts(architecture, prompt):
    raw = loud_bridge(architecture)
    graph = ib.attribution_graph(raw, prompt, random_transcoders(raw, features=40), prepend_bos=False)
    assert gap(graph) < 1e-4 and ib.read_result(graph.to_json()).to_json() == graph.to_json()
    assert ib.AttributionGraph.from_circuit_tracer(graph.to_circuit_tracer()).prompt == graph.prompt


# Influence, as circuit-tracer defines it: plain loops on the square matrix


def square(graph):
    """The adjacency matrix [target node, source node] without the bias, and the weights of nodes."""
    nodes = [at for at in range(len(graph.kind)) if graph.nodes[at].kind != "bias"]
    matrix = torch.zeros(len(graph.kind), len(graph.kind))
    for row, node in enumerate(graph._targets):
        matrix[node, : graph.edges.shape[1]] = torch.from_numpy(graph.edges[row])
    weights = torch.zeros(len(graph.kind))
    weights[-len(graph.probabilities) :] = torch.from_numpy(graph.probabilities)
    return matrix[nodes][:, nodes], weights[nodes], nodes


def shares(matrix):
    return matrix.abs() / matrix.abs().sum(1, keepdim=True).clamp(min=1e-10)


def all_paths(matrix, weights):
    """Weights times the sum of all powers of the matrix."""
    total, one = torch.zeros_like(weights), weights
    for _ in range(len(weights)):
        one = one @ matrix
        if not one.any():
            break
        total = total + one
    return total


def least_of(scores, share):
    ordered = scores.flatten().sort(descending=True).values
    reached = ordered.cumsum(0) / ordered.sum()
    return ordered[min(int((reached < share).sum()), len(ordered) - 1)]


def pruned_by_hand(graph, node, edge):
    """Ids of the nodes and edges that are left."""
    matrix, weights, nodes = square(graph)
    kinds = [graph.nodes[at].kind for at in nodes]
    influence = all_paths(shares(matrix), weights)
    keep = influence >= least_of(influence, node)
    inner = torch.tensor([kind in ("feature", "error") for kind in kinds])
    features = torch.tensor([kind == "feature" for kind in kinds])
    keep |= ~inner
    left = matrix * keep[:, None] * keep
    flowing = shares(left) * (all_paths(shares(left), weights) + weights)[:, None]
    edges = flowing >= least_of(flowing, edge)
    edges &= left != 0
    while True:
        before = keep.clone()
        keep &= ~inner | edges.any(0)
        keep &= ~features | edges.any(1)
        edges = edges & keep[:, None] & keep
        if (before == keep).all():
            break
    ids = [graph.ids[at] for at in nodes]
    return {name for name, stays in zip(ids, keep) if stays}, {(ids[s], ids[t]) for t, s in edges.nonzero().tolist()}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize(("node", "edge"), [(0.8, 0.98), (0.4, 0.7), (0.0, 1.0)])
def test_pruning_as_circuit_tracer_defines_it(architecture, node, edge):
    graph = graph_of(architecture)
    small = graph.pruned(node, edge)
    nodes, edges = pruned_by_hand(graph, node, edge)
    assert set(small.ids) - {"bias"} == nodes
    table = small.to_dataframe()
    assert {(s, t) for s, t in zip(table.source, table.target) if s != "bias"} == edges
    assert gap(small) < 1e-4


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_scores_as_circuit_tracer_defines_them(architecture):
    graph = graph_of(architecture, cross=True)
    matrix, weights, nodes = square(graph)
    kinds = np.array([graph.nodes[at].kind for at in nodes])
    influence = all_paths(shares(matrix), weights)
    np.testing.assert_allclose(graph.influence[nodes], influence, rtol=1e-4, atol=1e-6)
    entered = influence[np.isin(kinds, ["token", "position"])].sum()
    missed = influence[kinds == "error"].sum()
    assert graph.replacement == pytest.approx(float(entered / (entered + missed)), rel=1e-5)
    whole = influence + weights
    good = 1 - shares(matrix)[:, kinds == "error"].sum(1)
    assert graph.completeness == pytest.approx(float((good * whole).sum() / whole.sum()), rel=1e-5)
    assert graph.scores() == pytest.approx((graph.replacement, graph.completeness), rel=1e-5)


def test_scores_of_a_pinned_part_as_neuronpedia_defines_them():
    """What is not pinned becomes an error of its layer and position."""
    graph = graph_of()
    features = [node for node in graph.nodes if node.kind == "feature"]
    pinned = [node.id for node in features[::2]]
    matrix, weights, nodes = square(graph)
    at = {graph.ids[node]: i for i, node in enumerate(nodes)}
    for node in features[1::2]:
        error = at[f"error_{node.layer}_{node.position}"]
        matrix[:, error] += matrix[:, at[node.id]]
        matrix[at[node.id]] = 0
        matrix[:, at[node.id]] = 0
    influence = all_paths(shares(matrix), weights)
    kinds = np.array([graph.nodes[one].kind for one in nodes])
    entered = influence[np.isin(kinds, ["token", "position"])].sum()
    missed = influence[kinds == "error"].sum()
    whole, good = influence + weights, 1 - shares(matrix)[:, kinds == "error"].sum(1)
    found = graph.scores(pinned)
    assert found == pytest.approx(
        (float(entered / (entered + missed)), float((good * whole).sum() / whole.sum())), rel=1e-4
    )
    assert graph.scores([node.id for node in features]) == pytest.approx(graph.scores(), rel=1e-6)


def test_scores_of_circuit_tracer_itself():
    """Its own functions, in the environment that HOOKSCOPE_CIRCUIT_TRACER names: a Python that can import it."""
    python = os.environ.get("HOOKSCOPE_CIRCUIT_TRACER")
    if not python:
        pytest.skip("HOOKSCOPE_CIRCUIT_TRACER names no Python that has circuit-tracer")
    check = Path(__file__).parents[2] / "tools/check_circuit_tracer.py"
    subprocess.run([sys.executable, check, python], check=True)


# Parts


def test_a_subgraph_keeps_what_the_others_add():
    graph = graph_of()
    some = [node.id for node in sorted(graph.nodes, key=lambda n: -n.influence) if node.kind in ("feature", "error")][
        :5
    ]
    part = graph.subgraph(some)
    assert {node.id for node in part.nodes if node.kind in ("feature", "error")} == set(some)
    assert gap(part) < 1e-4
    weights = {(s, t): w for s, t, w in zip(*(graph.to_dataframe()[c] for c in ("source", "target", "weight")))}
    for row in part.to_dataframe().itertuples():
        assert weights[row.source, row.target] == row.weight
    bare = graph.subgraph(some, inputs=False)
    assert not [node for node in bare.nodes if node.kind in ("token", "position")] and gap(bare) < 1e-4
    with pytest.raises(ValueError, match="no node '9_9_9'"):
        graph.subgraph(["9_9_9"])


def test_supernodes_go_with_their_nodes():
    graph = graph_of()
    a, b, c = [node.id for node in graph.nodes if node.kind == "feature"][:3]
    named = graph.with_supernodes({"first": [a, b], "second": [c]})
    assert named.subgraph([a]).supernodes == {"first": [a]} and graph.supernodes == {}
    assert ib.read_result(named.to_json()).supernodes == named.supernodes
    assert named.changes("first", scale=0) == [*graph.changes(a, scale=0), *graph.changes(b, scale=0)]
    with pytest.raises(ValueError, match="in two supernodes"):
        graph.with_supernodes({"first": [a], "second": [a]})
    with pytest.raises(ValueError, match="is the name of a node"):
        graph.with_supernodes({a: [b]})
    for both in ({}, {"scale": 0.0, "value": 1.0}):
        with pytest.raises(ValueError, match="a scale or a value"):
            graph.changes(a, **both)
    with pytest.raises(ValueError, match="no position 99"):
        graph.predicted([{**graph.changes(a, scale=0.0)[0], "position": 99}])
    with pytest.raises(ValueError, match="is no feature"):
        graph.changes("bias", scale=0)


def test_names_never_collide_and_places_are_found():
    graph = graph_of(features=30)
    assert len(set(graph.ids)) == len(graph.ids)
    for node in graph.nodes:
        if node.kind == "feature":
            assert node.id in graph.find(node.place)
            assert all(graph.node(one).feature == node.feature for one in graph.find(node.place))
        assert graph.place_of(node.id) == node.place
    assert graph.find(ib.Place(layer=7)) is None and graph.find(ib.Place(layer=-1)) is None
    length = len(graph.prompt.ids)
    assert graph.find({"position": length}) is None and graph.find({"position": -length - 1}) is None
    assert graph.find({"position": -1}) == graph.find(ib.Place(position=length - 1))
    logits = graph.find(ib.Place(activation="logits", position=-1))
    assert logits is not None and set(logits) == {node.id for node in graph.nodes if node.kind == "logit"}
    for id in graph.ids:
        for other, weight in graph.outputs(id):
            assert dict(graph.inputs(other))[id] == weight


def test_words_and_pictures():
    graph = graph_of("llama")
    assert "largest gap" in repr(graph) and "active features" in repr(graph)
    assert graph.plot()._repr_png_()[0][:4] == b"\x89PNG"
    assert len(graph.nodes_dataframe()) == len(graph.ids)
