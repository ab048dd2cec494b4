"""Receiver operating characteristics of graphs: against counting pairs, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

import interp_backend as ib
from interp_backend.results.roc import Roc
from tiny_models import PAIR, bridge


def chance(scores, inside):
    """How often a part of the circuit has a larger score than one of the others, counted."""
    pairs = [(a, b) for a in scores[inside] for b in scores[~inside]]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def test_the_area_is_the_chance_of_the_right_order():
    generator = np.random.default_rng(0)
    for ties in (1, 5, 1000):
        scores = generator.integers(0, ties, 80).astype(np.float32)
        inside = generator.random(80) < 0.3
        found = Roc.of(scores, inside)
        assert found.auc == pytest.approx(chance(scores, inside))
        for least, right, wrong in zip(found.scores, found.found, found.wrong):
            chosen = scores >= least
            assert right == pytest.approx((chosen & inside).sum() / inside.sum())
            assert wrong == pytest.approx((chosen & ~inside).sum() / (~inside).sum())
        assert (found.found[-1], found.wrong[-1]) == (1, 1) and found.found[0] == found.wrong[0] == 0


def test_edges_and_nodes_of_a_graph():
    graph = ib.edge_attribution(bridge("gpt2"), PAIR)
    truth = graph.greedy(20)
    real, scores, kept = graph.real, graph.scores, truth.kept.astype(bool)
    assert graph.roc(truth).auc == pytest.approx(chance(np.abs(scores)[real], kept[real]))
    assert graph.roc(truth.names, signed=True).auc == pytest.approx(chance(scores[real], kept[real]))
    nodes = np.array([np.abs(scores[row, real[row]]).max() for row in range(len(scores))])
    inside = np.isin(graph.senders, truth.nodes)
    assert graph.roc(truth, level="node").auc == pytest.approx(chance(nodes, inside))
    assert graph.roc(truth.nodes, level="node").auc == graph.roc(truth, level="node").auc
    assert "auc=" in repr(graph.roc(truth))


@pytest.mark.parametrize(
    ("truth", "options", "words"),
    [
        ([], {}, "has nothing of the model"),
        (["m9->logits"], {}, "no edge 'm9->logits'"),
        (["m9"], {"level": "node"}, "no node 'm9'"),
        ("m0->logits", {}, "a Graph or a list of names"),
        (["m0->logits"], {"level": "neuron"}, "no level 'neuron'"),
    ],
)
def test_what_is_no_known_circuit_is_refused(truth, options, words):
    graph = ib.edge_attribution(bridge("gpt2"), PAIR)
    with pytest.raises(ValueError, match=words):
        graph.roc(truth, **options)
    with pytest.raises(ValueError, match="of another model"):
        graph.roc(ib.edge_attribution(bridge("llama"), PAIR))
    with pytest.raises(ValueError, match="has everything of the model"):
        graph.roc(graph)
