"""The feature graph's Python side, driven as a view would: the graph, its subgraph, and changes in the model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask
from hypothesis import given, settings
from hypothesis import strategies as st

import hookscope as hs
import interp_backend as ib
from hookscope.page import read_page
from interp_backend.results.graph_view import MOST_NODES, part_of, to_view
from tiny_models import bridge

PROMPT = "The capital of Norway is"
TEXTS = ["The capital of Sweden is Stockholm.", "Mary gave a drink to John."]


@pytest.fixture(scope="module")
def graph(embedded):
    return ib.attribution_graph(embedded, PROMPT, mass=1.0)


@pytest.fixture
def view(embedded):
    widget = Watched(hs.FeatureGraph, embedded, PROMPT)
    assert widget.wait(60) and widget.error is None
    yield widget
    widget.close()


def strongest(graph, count=6):
    features = [node for node in graph.nodes if node.kind == "feature"]
    return sorted(features, key=lambda node: -node.influence)[:count]


def run_code(code):
    names: dict = {}
    exec(compile(code.replace(".plot()", ""), "view.code", "exec"), names)
    return names


# What a view is sent


def test_a_view_is_sent_the_part_of_most_influence_which_can_be_read_again(graph):
    wire = json.loads(json.dumps(to_view(graph)))
    part = ib.read_result(json.dumps(wire))
    assert part.ids == wire["ids"] and len(part.ids) < len(graph.ids)
    inner = graph.influence[graph.kind <= 1]
    assert part.influence[part.kind <= 1].min() >= np.sort(inner)[::-1][MOST_NODES - 1 :][:1].max(initial=0)
    for at, name in enumerate(part.ids):
        if (row := part._row(at)) is not None:
            everything = part.edges[row].sum() + part.rest[row]
            assert everything == pytest.approx(graph.values[graph.ids.index(name)], abs=2e-4)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("edges", [0.5, 0.98])
def test_the_part_can_be_pruned_as_the_whole(graph, share, edges):
    """As a view does, which has the part alone."""
    assert share <= to_view(graph)["share"]
    whole, part = graph.pruned(share, edges), part_of(graph).pruned(share, edges)
    assert whole.ids == part.ids
    assert np.array_equal(whole.edges, part.edges)


def test_shown_is_what_is_drawn(view):
    view.node_share, view.edge_share = 0.5, 0.9
    assert view.shown.ids == view.result.pruned(0.5, 0.9).ids and view.shown is view.shown
    names = [node.id for node in strongest(view.result)]
    ask(view, "pin_nodes", nodes=names)
    view.shows = "subgraph"
    assert view.shown.ids == view.result.subgraph(names).ids
    ask(view, "unpin_nodes", nodes=names)
    assert view.shows == "graph"


# The subgraph


def test_nodes_are_pinned_scored_and_grouped(view):
    names = [node.id for node in strongest(view.result)]
    ask(view, "pin_nodes", nodes=names)
    replacement, completeness = view.result.scores(names)
    assert view.scores == {"of": names, "replacement": replacement, "completeness": completeness}
    ask(view, "group_features", nodes=names[:2], name="Norway")
    ask(view, "group_features", nodes=names[1:3], name="capital")
    assert view.supernodes == {"Norway": names[:1], "capital": names[1:3]}
    ask(view, "unpin_nodes", nodes=names[:1])
    assert view.supernodes == {"capital": names[1:3]} and names[0] not in view.subgraph
    ask(view, "ungroup_features", name="capital")
    assert view.supernodes == {} and view.subgraph == names[1:]


@pytest.mark.parametrize(
    ("request_name", "params", "words"),
    [
        ("pin_nodes", {"nodes": ["no node"]}, "no node 'no node'"),
        ("pin_nodes", {"nodes": []}, "at least 1"),
        ("group_features", {"nodes": ["bias"], "name": " x "}, "begins and ends with no space"),
        ("ungroup_features", {"name": "x"}, "no supernode 'x'"),
        ("intervene", {"changes": [{"node": "bias", "scale": 0}]}, "is no feature"),
        ("intervene", {"changes": [{"node": "nothing", "scale": 0}]}, "no node 'nothing'"),
        ("intervene", {"changes": [{"node": "bias", "scale": 0, "value": 1}]}, "not both"),
        ("intervene", {"changes": [], "temperature": 1000}, "a number from 0 to 99, not 1000"),
        ("intervene", {"changes": [], "seed": 2**70}, "0 to 4294967295"),
        ("name_feature", {"layer": 0, "feature": 1, "name": "a\nb"}, "printable"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(view, request_name, params, words):
    ask(view, request_name, **params)
    view.wait(60)
    assert view.error is not None and words in view.error["message"]
    view.close()


def test_changes_of_a_graph_of_the_last_tokens_are_run_on_these(embedded):
    view = Watched(hs.FeatureGraph, embedded, PROMPT, last=3)
    one = strongest(view.result)[0]
    ask(view, "intervene", changes=[{"node": one.id, "scale": 0, "positions": [-1]}])
    assert view.error is None and len(view.result.prompt.tokens) == 4
    plain = ib.feature_interventions(
        embedded,
        PROMPT,
        [{"layer": one.layer, "feature": one.feature, "position": 3, "scale": 0}],
        graph=view.result,
        last=3,
    )
    assert np.array_equal(view.effects.measured, plain.measured)
    assert view.effects.predicted[0] == pytest.approx(view.effects.measured[0], rel=0.5)
    assert np.allclose(run_code(view.code)["result"].measured, plain.measured, atol=1e-5)
    view.close()


def test_a_narrower_graph_takes_the_changes_of_a_supernode_back(view):
    features = strongest(view.result, 10_000)
    ask(view, "group_features", nodes=[node.id for node in features[-2:]], name="few")
    ask(view, "intervene", changes=[{"node": "few", "scale": 0}, {"node": features[0].id, "scale": 0}])
    assert view.error is None
    ask(view, "attribution_graph", features=20)
    assert view.status == "done" and view.supernodes == {}
    assert [one["node"] for one in view.changes] == [features[0].id] and view.effects is not None


def test_a_supernode_that_is_gone_by_the_time_its_change_is_set_has_none(view):
    """As if the worker's thread had shown another graph meanwhile."""
    one = strongest(view.result)[0]
    ask(view, "group_features", nodes=[one.id], name="Oslo")
    view.observe(lambda change: setattr(view, "supernodes", {}), "seed")
    ask(view, "intervene", changes=[{"node": "Oslo", "scale": 0}], seed=3)
    assert view.changes == [] and view.effects is None
    assert view.error is not None and "Oslo is not in this graph" in view.error["message"]


def test_a_refused_change_leaves_the_effects_of_those_that_there_are(view):
    """Of its arguments, some come before the one that is refused."""
    one = strongest(view.result)[0]
    ask(view, "intervene", changes=[{"node": one.id, "scale": 0}])
    effects = view.effects
    ask(view, "intervene", changes=[{"node": one.id, "scale": 2}], frozen="attention", generate=3, temperature=-1)
    assert view.error is not None and view.error["field"] == "temperature"
    assert (view.changes, view.frozen, view.generate) == (
        [{"node": one.id, "scale": 0.0, "positions": "here"}],
        "nothing",
        0,
    )
    assert effects is not None and view.effects is effects


def test_traits_refuse_what_is_not_in_the_graph(view):
    for name, value in [("pinned", "no node"), ("node_share", 2.0), ("shows", "else")]:
        with pytest.raises(traitlets.TraitError):
            setattr(view, name, value)


def test_another_prompt_keeps_names_and_drops_the_rest(view):
    first = strongest(view.result, 1)[0]
    ask(view, "pin_nodes", nodes=[first.id])
    ask(view, "name_feature", layer=first.layer, feature=first.feature, name="say a capital")
    ask(view, "intervene", changes=[{"node": first.id, "scale": 0}])
    view.pinned = first.id
    assert view.wait(60) and view.effects is not None and view.description is not None
    ask(view, "show", text="The capital of Sweden is")
    assert view.wait(60) and view.error is None
    assert view.result.prompt.text == "The capital of Sweden is"
    assert (view.subgraph, view.changes, view.effects, view.scores) == ([], [], None, None)
    assert view.names == {f"{first.layer}/{first.feature}": "say a capital"}


# Changes in the model


def test_changes_give_the_numbers_of_a_plain_call(view, embedded):
    one, two, *_ = strongest(view.result)
    ask(view, "group_features", nodes=[one.id, two.id], name="both")
    ask(view, "intervene", changes=[{"node": "both", "scale": -1.5}], frozen="attention", generate=3)
    assert view.wait(60) and view.error is None
    changes = view.result.changes(one.id, two.id, scale=-1.5)
    plain = ib.feature_interventions(embedded, PROMPT, changes, graph=view.result, frozen="attention", generate=3)
    for name in ("tokens", "before", "after", "measured", "predicted"):
        assert np.allclose(getattr(view.effects, name), getattr(plain, name), equal_nan=True), name
    assert view.effects.with_changes == plain.with_changes and len(plain.without) == 3
    names = run_code(view.code)
    assert np.allclose(names["result"].measured, plain.measured)


@pytest.mark.parametrize("positions", ["here", "all", [0, 4]])
@pytest.mark.parametrize("how", [{"scale": 0.0}, {"value": 3.0}])
def test_changes_apply_where_they_say(view, embedded, positions, how):
    node = strongest(view.result, 1)[0]
    ask(view, "intervene", changes=[{"node": node.id, "positions": positions, **how}])
    assert view.wait(60) and view.error is None
    where = {"here": node.position, "all": None}.get(positions if isinstance(positions, str) else "", positions)
    change = ib.FeatureChange(layer=node.layer, feature=node.feature, position=where, **how)
    plain = ib.feature_interventions(embedded, PROMPT, [change], graph=view.result)
    assert np.allclose(view.effects.after, plain.after) and np.allclose(view.effects.measured, plain.measured)


def test_a_supernode_that_is_opened_leaves_no_stale_effects(view):
    one, two, *_ = strongest(view.result)
    ask(view, "group_features", nodes=[one.id], name="both")
    ask(view, "intervene", changes=[{"node": "both", "scale": 0}])
    assert view.wait(60)
    alone = view.effects
    ask(view, "group_features", nodes=[one.id, two.id], name="both")
    assert view.wait(60) and view.effects is not None and view.effects is not alone
    assert len(view.effects.activations) == 2
    measured = view.effects.measured
    ask(view, "ungroup_features", name="both")
    assert view.changes == [{"node": node.id, "scale": 0.0, "positions": "here"} for node in (one, two)]
    assert np.allclose(view.effects.measured, measured)


def test_a_member_with_a_change_of_its_own_has_one_change_once_its_supernode_is_opened(view):
    one, two, *_ = strongest(view.result)
    ask(view, "group_features", nodes=[one.id, two.id], name="both")
    ask(view, "intervene", changes=[{"node": "both", "scale": 0}, {"node": one.id, "scale": 2}])
    ask(view, "ungroup_features", name="both")
    assert {change["node"]: change["scale"] for change in view.changes} == {one.id: 2.0, two.id: 0.0}
    assert len(view.changes) == 2 and view.error is None


# The whole view


def test_a_feature_is_described_once_it_is_pinned(embedded):
    view = Watched(hs.FeatureGraph, embedded, PROMPT, texts=TEXTS)
    assert view.wait(60)
    node = strongest(view.result, 1)[0]
    view.pinned = node.id
    assert view.wait(60)
    plain = ib.describe_feature(embedded, node.layer, node.feature, TEXTS)
    assert [one.text for one in view.description.promoted] == [one.text for one in plain.promoted]
    assert view.description.positions == plain.positions > 0
    assert "describe_feature" in view.code
    elsewhere = [one for one in view.result.nodes if (one.layer, one.feature) == (node.layer, node.feature)]
    for one in (*elsewhere, node):  # the same feature at other positions
        view.pinned = one.id
        assert view.wait(60) and (view.description.layer, view.description.feature) == (one.layer, one.feature)
    view.pinned = "bias"
    assert view.description is None
    view.close()


def test_a_page_and_a_report_hold_it(view, tmp_path):
    node = strongest(view.result, 1)[0]
    ask(view, "pin_nodes", nodes=[node.id])
    ask(view, "intervene", changes=[{"node": node.id, "scale": 0}])
    view.pinned = node.id
    assert view.wait(60)
    text = view.save(tmp_path / "graph.html").read_text("utf-8")
    (saved,) = read_page(text)
    assert saved.state["subgraph"] == [node.id] and saved.state["effects"]["family"] == "feature_effects"
    assert len(text) < 400_000
    found = hs.load_report(hs.Report([view], title="x").save(tmp_path / "report.html"))
    assert {one.family for one in found} >= {"attribution_graph", "feature_effects", "feature_description"}


def test_a_graph_is_shown_without_a_model(graph):
    small = ib.AttributionGraph.from_circuit_tracer(graph.pruned().to_circuit_tracer())
    bare = Watched(hs.FeatureGraph, result=small)
    assert bare.status == "done" and bare.shown.ids
    ask(bare, "intervene", changes=[{"node": strongest(small, 1)[0].id, "scale": 0}])
    assert "no model to ask" in bare.error["message"]
    bare.close()


def test_a_model_without_transcoders_is_refused():
    with pytest.raises(ValueError, match="Say which transcoders"):
        hs.FeatureGraph(ib.load_model(bridge("gpt2")), "x")


def test_a_pair_explains_both_answers(embedded, capitals):
    view = Watched(hs.FeatureGraph, embedded, capitals)
    assert view.wait(60) and view.error is None
    assert view.result.logit_tokens == [" Oslo", " Stockholm"]
    ask(view, "intervene", changes=[{"node": strongest(view.result, 1)[0].id, "scale": 0}])
    assert view.wait(60) and view.error is None and np.isfinite(view.effects.predicted[:2]).all()
    view.close()


GESTURES = st.lists(
    st.tuples(st.sampled_from(["pin", "unpin", "group", "ungroup", "change", "share", "name"]), st.integers(0, 5)),
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(gestures=GESTURES)
def test_any_gestures_leave_a_graph_that_python_can_draw(embedded, gestures):
    view = Watched(hs.FeatureGraph, embedded, PROMPT)
    assert view.wait(60)
    names = [node.id for node in strongest(view.result)]
    for kind, at in gestures:
        node = view.result.node(names[at])
        if kind in ("pin", "unpin"):
            ask(view, f"{kind}_nodes", nodes=[node.id])
        elif kind == "group":
            ask(view, "group_features", nodes=names[: at + 1], name=f"group {at % 2}")
        elif kind == "ungroup":
            ask(view, "ungroup_features", name=f"group {at % 2}")
        elif kind == "change":
            ask(view, "intervene", changes=[{"node": node.id, "scale": at - 2}])
        elif kind == "share":
            view.node_share, view.shows = at / 6, ["graph", "subgraph"][at % 2 if view.subgraph else 0]
        else:
            ask(view, "name_feature", layer=node.layer, feature=node.feature, name="n" * at)
    view.wait(60)
    kept = set(view.subgraph)
    assert all(set(members) <= kept for members in view.supernodes.values())
    assert view.scores is None if not kept else view.scores["of"] == view.subgraph
    assert (view.effects is None) == (not view.changes)
    names = run_code(view.code)
    assert names["shown"].ids == view.shown.ids
    view.close()


# What an attack has found


def test_an_opened_edge_goes_with_its_graph(view):
    node = strongest(view.result, 1)[0]
    token = next(one.id for one in view.result.nodes if one.kind == "token")
    ask(view, "open_edge", source=token, target=node.id)
    assert view.heads is not None
    view.prompt = "Mary"
    assert view.wait(60) and view.edge is None and view.heads is None
    ask(view, "open_edge", source=view.result.ids[0], target=view.result.ids[0])
    assert "No edge leads" in view.error["message"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("subgraph", ["nonsense"], "no node 'nonsense'"),
        ("supernodes", {"x": ["nonsense"]}, "no node 'nonsense'"),
        ("supernodes", {"x": 3}, "lists of nodes"),
        ("changes", [{"node": "x"}], "A change is"),
        ("node_share", float("nan"), "finite"),
        ("edge_share", float("nan"), "finite"),
        ("temperature", float("nan"), "finite"),
    ],
)
def test_a_refused_trait_stays_as_it_was(view, name, value, words):
    before = getattr(view, name)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(view, name, value)
    assert getattr(view, name) == before
    names = [node.id for node in strongest(view.result, 2)]
    ask(view, "pin_nodes", nodes=names)
    assert view.error is None and view.subgraph == names


def test_code_has_supernodes_and_names_a_graph_from_elsewhere(view, graph):
    names = [node.id for node in strongest(view.result)]
    ask(view, "pin_nodes", nodes=names)
    ask(view, "group_features", nodes=names[:2], name="two")
    for shows in ("graph", "subgraph"):
        view.shows = shows
        assert run_code(view.code)["shown"].supernodes == view.shown.supernodes == {"two": names[:2]}
    foreign = ib.AttributionGraph.from_circuit_tracer(graph.to_circuit_tracer())
    bare = Watched(hs.FeatureGraph, result=foreign)
    assert "# graph: your own graph" in bare.code and "attribution_graph(" not in bare.code
    bare.close()


def test_undo_over_another_prompt_brings_back_the_subgraph(embedded):
    bench = hs.Workbench(embedded, views=["features"])
    assert bench.wait(60)
    view = bench.panels[1]
    assert view.wait(60)
    names = [node.id for node in strongest(view.result, 3)]
    view.perform("pin_nodes", {"nodes": names})
    view.perform("intervene", {"changes": [{"node": names[0], "scale": 0}]})
    assert view.wait(60)
    other = {"clean": "The capital of Italy is", "corrupt": "The capital of Sweden is"}
    bench.editor.pair = ib.PromptPair(**other, clean_answer=" Rome", corrupt_answer=" Stockholm")
    assert bench.wait(60) and view.wait(60) and view.changes == [] and view.subgraph == []
    bench.undo()
    assert bench.wait(60) and view.wait(60)
    assert view.subgraph == names and view.changes == []
    bench.close()
