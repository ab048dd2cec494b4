"""Attribution graphs in the JSON of circuit-tracer and Neuronpedia: there and back, and whatever else is in a file."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_attribution_graph import gap, graph_of
from test_envelope import leaves, odd_values

from interp_backend import AttributionGraph


def whole_graph():
    graph = graph_of()
    some = [node.id for node in graph.nodes if node.kind == "feature"][:3]
    return graph.with_supernodes({"first": some[:2], "second": some[2:]})


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_graph_comes_back_as_it_was(architecture):
    graph = graph_of(architecture).pruned()
    graph = graph.with_supernodes({"some": [node.id for node in graph.nodes if node.kind == "feature"][:2]})
    again = AttributionGraph.from_circuit_tracer(graph.to_circuit_tracer())
    assert again.ids == graph.ids and again.supernodes == graph.supernodes
    assert again.prompt == graph.prompt and again.logit_tokens == graph.logit_tokens
    for name in ("edges", "rest", "sizes", "traced", "influence", "probabilities", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(graph, name), strict=True)
    for name in ("n_layers", "replacement", "completeness", "active", "features_traced", "largest_gap"):
        assert getattr(again, name) == getattr(graph, name)
    assert again.to_circuit_tracer() == graph.to_circuit_tracer()


def test_what_the_pages_need_is_there():
    """The fields that Neuronpedia's schema and circuit-tracer's page require, and only kinds that they know."""
    graph = whole_graph()
    wire = json.loads(graph.to_circuit_tracer("mine", "gpt2"))
    assert set(wire) == {"metadata", "qParams", "nodes", "links"}
    assert wire["metadata"]["slug"] == "mine" and wire["metadata"]["scan"] == "gpt2"
    assert wire["metadata"]["prompt_tokens"] == graph.prompt.tokens and wire["metadata"]["prompt"] == graph.prompt.text
    ids = [node["node_id"] for node in wire["nodes"]]
    assert len(set(ids)) == len(ids) == len(graph.ids) - 1
    for node in wire["nodes"]:
        assert isinstance(node["feature"], int) and isinstance(node["layer"], str) and isinstance(node["clerp"], str)
        assert isinstance(node["ctx_idx"], int) and isinstance(node["jsNodeId"], str)
        assert node["feature_type"] in ("cross layer transcoder", "mlp reconstruction error", "embedding", "logit")
        assert 0 <= (node["influence"] or 0) <= 1.0001
    assert {link["source"] for link in wire["links"]} | {link["target"] for link in wire["links"]} <= set(ids)
    assert wire["qParams"]["supernodes"] == [[name, *ids] for name, ids in graph.supernodes.items()]
    feature = next(node for node in wire["nodes"] if node["feature_type"] == "cross layer transcoder")
    layer, number, _ = map(int, feature["node_id"].split("_"))
    pairs = sorted(((a, b) for a in range(60) for b in range(60)), key=lambda p: (p[0] + p[1], p[1]))
    assert pairs[feature["feature"]] == (layer, number)


def as_written_elsewhere(graph):
    """The same file without anything of ours, and with errors named as circuit-tracer names them."""
    wire = json.loads(graph.to_circuit_tracer())
    del wire["metadata"]["hookscope"]
    renamed = {}
    for node in wire["nodes"]:
        kind = node.pop("hookscope")["kind"]
        if kind == "error":
            renamed[node["node_id"]] = node["node_id"] = f"0_{node['layer']}_{node['ctx_idx']}"
        if kind == "logit":
            node["clerp"] = 'Output "x" (p=0.1)'
    for link in wire["links"]:
        link["source"] = renamed.get(link["source"], link["source"])
    return wire


def test_a_graph_of_another_program_is_measured():
    graph = graph_of("llama")
    wire = as_written_elsewhere(graph)
    ids = [node["node_id"] for node in wire["nodes"]]
    if len(set(ids)) < len(ids):  # a feature of layer 0 has the name of an error
        with pytest.raises(ValueError, match="names errors as features"):
            AttributionGraph.from_circuit_tracer(json.dumps(wire))
        clash = {id for id in ids if ids.count(id) > 1}
        wire["nodes"] = [node for node in wire["nodes"] if node["node_id"] not in clash]
        wire["links"] = [one for one in wire["links"] if not clash & {one["source"], one["target"]}]
    again = AttributionGraph.from_circuit_tracer(json.dumps(wire))
    assert gap(again) < 1e-5 and set(again.logit_tokens) == {"x"}
    assert again.scores() == pytest.approx((again.replacement, again.completeness))
    shared = [id for id in again.ids if id in graph.ids and again.node(id).kind == "feature"]
    assert len(shared) > 30
    for id in shared:
        assert again.node(id).value == pytest.approx(graph.node(id).value)
        edges = dict(graph.inputs(id))
        assert all(edges[source] == pytest.approx(weight) for source, weight in again.inputs(id))


WIRE = {}
PATHS = []


def small():
    if not WIRE:
        graph = whole_graph().pruned(0.3, 0.5)
        WIRE.update(json.loads(graph.to_circuit_tracer()))
        PATHS.extend(list(leaves(WIRE))[1:])
    return copy.deepcopy(WIRE)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_file_is_refused_in_a_sentence_or_is_whole(data):
    wire = small()
    path = data.draw(st.sampled_from(PATHS))
    parent = wire
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(odd_values)
    try:
        text = json.dumps(wire)
    except (TypeError, ValueError):
        return
    try:
        graph = AttributionGraph.from_circuit_tracer(text)
    except ValueError as problem:
        assert str(problem).endswith(".") and len(str(problem)) < 500
    else:
        again = AttributionGraph.from_json(graph.to_json())
        assert again.to_json() == graph.to_json()
        assert AttributionGraph.from_circuit_tracer(graph.to_circuit_tracer()).ids == graph.ids


@pytest.mark.parametrize("text", ["", "[]", "{}", "NaN", '{"nodes": []}', "1e999", '{"metadata": 3}'])
def test_what_is_no_graph_is_refused(text):
    with pytest.raises(ValueError, match=r"This is|too large"):
        AttributionGraph.from_circuit_tracer(text)
