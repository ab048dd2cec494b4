"""The feature graph on the workbench: added, linked, undone, replayed, printed as code, in its report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched, ask

import hookscope as hs
import interp_backend as ib
from hookscope.page import read_page
from tiny_models import bridge


@pytest.fixture
def bench(embedded, capitals):
    widget = Watched(hs.Workbench, embedded, capitals, views=["features"])
    assert widget.wait(60)
    yield widget
    widget.close()


def features_of(graph):
    return sorted((node for node in graph.nodes if node.kind == "feature"), key=lambda node: -node.influence)


def explore(panel):
    """What a reader does, as the view sends it."""
    one, two, *_ = features_of(panel.result)
    ask(panel, "pin_nodes", "view:1", nodes=[one.id, two.id])
    ask(panel, "group_features", "view:2", nodes=[one.id, two.id], name="Oslo")
    panel.set_state({"shows": "subgraph"})
    ask(panel, "name_feature", "view:3", layer=one.layer, feature=one.feature, name="say Oslo")
    panel.set_state({"pinned": one.id, "selection": one.place.to_json()})
    ask(panel, "intervene", "view:4", changes=[{"node": "Oslo", "scale": 0}], generate=2)
    assert panel.wait(60) and panel.error is None
    return one


def shown_by(panel):
    """Everything of a view that a gesture decides."""
    effects = panel.effects and (panel.effects.measured.tolist(), panel.effects.with_changes)
    return {name: getattr(panel, name) for name in panel.choices} | {"effects": effects, "drawn": panel.shown.ids}


def test_every_kind_of_view_can_be_added_by_a_click(bench, embedded):
    assert all(one["reason"] is None for one in bench.info["kinds"])
    for one in bench.info["kinds"]:
        ask(bench, "add_view", kind=one["name"])
        assert bench.error is None, one
    assert bench.names[2:] == ["Patching", "Lens", "Attention", "Circuit", "Features 2"]


def test_a_model_without_transcoders_offers_no_feature_graph():
    bench = Watched(hs.Workbench, ib.load_model(bridge("gpt2")), ib.PromptPair(clean="a b", corrupt="a c"), views=[])
    reasons = {one["name"]: one["reason"] for one in bench.info["kinds"]}
    assert [name for name, reason in reasons.items() if reason] == ["features"]
    assert "Say which transcoders" in reasons["features"]
    ask(bench, "add_view", kind="features")
    assert "Say which transcoders" in bench.error["message"] and len(bench.panels) == 1
    bench.close()


def test_a_feature_graph_of_other_transcoders_can_be_added(embedded, capitals):
    bench = Watched(hs.Workbench, embedded, capitals, views=[])
    own = bench.add(hs.FeatureGraph(embedded, bench.editor, transcoders=ib.load_transcoders(), mass=0.5))
    assert bench.wait(60) and own.result is not None and bench.names[-1] == "Features"
    bench.close()


def test_a_pinned_feature_is_pinned_as_a_place_everywhere(bench):
    panel = bench.panels[1]
    one = features_of(panel.result)[0]
    panel.pinned = one.id
    assert bench.wait(60) and bench.error is None
    assert bench.selection == one.place.to_json()
    assert panel.description.feature == one.feature
    bench.selection = {"layer": 1, "position": 4}  # as another view pins it
    assert bench.wait(60)
    node = panel.result.node(panel.pinned)
    assert (node.layer, node.position) == (1, 4) and panel.pinned == panel.result.find(ib.Place(layer=1, position=4))[0]
    panel.pinned = "bias"
    assert bench.selection is None and panel.pinned == "bias"
    bench.selection = {"layer": 1, "position": 4}
    bench.selection = None
    assert panel.pinned is None


def test_gestures_are_undone_one_by_one_and_redone(bench):
    panel = bench.panels[1]
    before = [shown_by(panel)]
    one, two, *_ = features_of(panel.result)
    gestures = [
        lambda: ask(panel, "pin_nodes", "view:1", nodes=[one.id, two.id]),
        lambda: ask(panel, "group_features", "view:2", nodes=[one.id, two.id], name="Oslo"),
        lambda: ask(panel, "intervene", "view:3", changes=[{"node": "Oslo", "scale": 0}]),
        lambda: ask(panel, "ungroup_features", "view:4", name="Oslo"),
        lambda: panel.set_state({"node_share": 0.5}),
        lambda: ask(panel, "unpin_nodes", "view:5", nodes=[one.id]),
    ]
    for gesture in gestures:
        gesture()
        assert bench.wait(60) and panel.error is None
        before.append(shown_by(panel))
    assert len(bench.commands) == 1 + len(gestures)
    for step in reversed(range(len(gestures))):
        bench.undo()
        assert bench.wait(60) and shown_by(panel) == before[step], step
    for step in range(1, len(before)):
        bench.redo()
        assert bench.wait(60) and shown_by(panel) == before[step], step


def test_a_session_is_replayed_in_another_workbench(bench, embedded, capitals):
    explore(bench.panels[1])
    commands = json.loads(json.dumps(bench.commands))
    other = Watched(hs.Workbench, embedded, capitals, views=["features"])
    assert other.wait(60)
    other.replay(commands[1:])
    assert other.wait(60) and shown_by(other.panels[1]) == shown_by(bench.panels[1])
    other.close()


def test_a_session_is_printed_as_a_script_that_computes_the_same(bench):
    explore(bench.panels[1])
    names: dict = {}
    exec(compile(bench.code().replace(".plot()", ""), "session", "exec"), names)
    found = [value for value in names.values() if isinstance(value, ib.FeatureEffects)]
    assert np.allclose(found[-1].measured, bench.panels[1].effects.measured)


def test_a_report_has_the_graph_with_its_subgraph_and_changes(bench, tmp_path):
    explore(bench.panels[1])
    path = bench.save(tmp_path / "report.html")
    saved = [one.state for one in read_page(path.read_text("utf-8")) if "subgraph" in one.state]
    assert len(saved) == 1 and saved[0]["shows"] == "subgraph" and saved[0]["supernodes"].keys() == {"Oslo"}
    families = {one.family for one in hs.load_report(path)}
    assert {"attribution_graph", "feature_effects", "feature_description"} <= families
    assert path.stat().st_size < 1_000_000


def test_a_snapshot_brings_back_subgraph_and_changes(bench):
    panel = bench.panels[1]
    explore(panel)
    kept = shown_by(panel)
    ask(bench, "snapshot", "view:8", name="Oslo off")
    ask(panel, "intervene", "view:9", changes=[])
    ask(panel, "unpin_nodes", "view:10", nodes=list(panel.subgraph))
    assert panel.wait(60) and shown_by(panel) != kept
    ask(bench, "restore", "view:11", name="Oslo off")
    assert bench.wait(60) and shown_by(panel) == kept


SWEDEN = ib.PromptPair(clean="The capital of Sweden is", corrupt="The capital of Norway is")


def test_undo_of_another_prompt_brings_back_the_pinned_node_and_the_opened_edge(bench):
    panel = bench.panels[1]
    error = next(node for node in panel.result.nodes if node.kind == "error" and node.layer == 2)
    panel.pinned = error.id  # at a place where a feature has more influence
    one = features_of(panel.result)[0]
    source = next(id for id, _ in panel.result.inputs(one.id) if panel.result.node(id).kind == "feature")
    ask(panel, "open_edge", "view:1", source=source, target=one.id)
    assert bench.wait(60) and panel.error is None
    kept, heads = shown_by(panel), panel.heads
    ask(bench.editor, "edit", "view:2", pair=SWEDEN.model_dump(mode="json", exclude_defaults=True))
    assert bench.wait(60) and one.id not in panel.result.ids and panel.edge is None
    bench.undo()
    assert bench.wait(60) and shown_by(panel) == kept and panel.heads == heads
    bench.redo()
    assert bench.wait(60) and panel.edge is None and panel.error is None


def test_a_step_of_the_graph_before_takes_nothing_from_what_is_redone(bench):
    """Its step comes in the worker's thread, while another thread goes to another state."""
    panel = bench.panels[1]
    one, two, *_ = features_of(panel.result)
    ask(panel, "group_features", "view:1", nodes=[one.id, two.id], name="Oslo")
    ask(panel, "intervene", "view:2", changes=[{"node": "Oslo", "scale": 0}])
    assert bench.wait(60)
    kept = shown_by(panel)
    bench.undo()
    went: list[bool] = []

    def redo(change):
        if change["new"].prompt.text == SWEDEN.clean and not went:
            went.append(True)
            bench.redo()

    panel.observe(redo, "result")
    bench.editor.pair = SWEDEN
    assert bench.wait(60) and went and shown_by(panel) == kept
