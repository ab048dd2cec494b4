"""The feature graph's subgraph, driven as a view would, and the graphs by which the view's own pruning is tested."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched, ask
from pruned_graphs import FILE, left_of

import hookscope as hs
from interp_backend.results.attribution_graph import AttributionGraph

CASES = json.loads(FILE.read_text())


@pytest.fixture
def view(embedded):
    widget = Watched(hs.FeatureGraph, embedded, "The capital of Norway is")
    yield widget
    widget.close()


def strongest(view, count):
    features = [node for node in view.result.nodes if node.kind == "feature"]
    return [node.id for node in sorted(features, key=lambda node: -node.influence)[:count]]


@pytest.mark.parametrize("case", CASES, ids=[case["graph"]["id"] for case in CASES])
def test_the_view_is_tested_by_what_pruned_leaves(case):
    graph = AttributionGraph.from_json(json.dumps(case["graph"]))
    assert graph.ids == case["graph"]["ids"]
    for left in case["left"]:
        assert left_of(graph, graph.ids, *left["shares"]) == left


def test_a_supernode_is_renamed_by_grouping_its_nodes_again(view):
    a, b, c = strongest(view, 3)
    ask(view, "pin_nodes", nodes=[a, b, c])
    ask(view, "group_features", nodes=[a, b], name="capital")
    ask(view, "group_features", nodes=[a, b], name="say a capital")
    assert view.supernodes == {"say a capital": [a, b]} and view.subgraph == [a, b, c]
    ask(view, "group_features", nodes=[b, c], name="of Norway")
    assert view.supernodes == {"say a capital": [a], "of Norway": [b, c]}
    names: dict = {}
    exec(view.code, names)
    assert names["graph"].supernodes == view.supernodes


def test_what_leaves_the_subgraph_leaves_its_supernode(view):
    a, b, c = strongest(view, 3)
    ask(view, "group_features", nodes=[a, b], name="two")
    ask(view, "pin_nodes", nodes=[c])
    view.shows = "subgraph"
    assert view.shown.supernodes == {"two": [a, b]}
    ask(view, "unpin_nodes", nodes=[a])
    assert view.supernodes == {"two": [b]} and view.subgraph == [b, c]
    ask(view, "unpin_nodes", nodes=[b, c])
    assert view.supernodes == {} and view.shows == "graph" and view.scores is None


def test_the_scores_are_those_of_the_subgraph(view):
    some = strongest(view, 4)
    ask(view, "pin_nodes", nodes=some)
    before = view.scores
    assert before["of"] == some
    np.testing.assert_allclose([before["replacement"], before["completeness"]], view.result.scores(some))
    ask(view, "pin_nodes", nodes=strongest(view, 30))
    assert view.scores["completeness"] > before["completeness"]


def test_what_is_done_to_the_subgraph_is_undone_in_a_workbench(embedded, capitals):
    bench = Watched(hs.Workbench, embedded, capitals)
    ask(bench, "add_view", kind="features")
    view = bench.panels[-1]
    a, b = strongest(view, 2)
    ask(view, "pin_nodes", nodes=[a, b])
    scores = view.scores
    ask(view, "group_features", nodes=[a, b], name="two")
    ask(view, "unpin_nodes", nodes=[a, b])
    bench.undo()
    assert bench.wait(60)
    assert (view.subgraph, view.supernodes, view.scores) == ([a, b], {"two": [a, b]}, scores)
    bench.undo()
    bench.undo()
    assert bench.wait(60)
    assert (view.subgraph, view.supernodes, view.scores) == ([], {}, None)
    bench.close()


def test_odd_groups_are_refused_in_a_sentence(view):
    a, b = strongest(view, 2)
    for name, words in (("two ", "ends with no space"), ("a\u202eb", "printable"), (a, "the name of a node")):
        ask(view, "group_features", nodes=[a, b], name=name)
        assert words in view.error["message"] and view.supernodes == {}
    ask(view, "group_features", nodes=[a, "9_9_9"], name="two")
    assert "no node '9_9_9'" in view.error["message"]
    ask(view, "ungroup_features", name="two")
    assert "There is no supernode 'two'" in view.error["message"]
