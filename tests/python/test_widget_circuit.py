"""The circuit graph's Python side, driven as a view would: the graph, the trail of paths, and their code."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope.page import read_page
from interp_backend.results.codec import decode_array


@pytest.fixture
def view(embedded, capitals):
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    yield widget
    widget.close()


def wire(widget, name):
    """A trait as a view gets it."""
    return json.loads(json.dumps(widget.get_state(name)[name]))


def run_code(code, name="result", **names):
    exec(code, names)
    return names[name]


def follow(widget, *receivers, step, id="view:1"):
    ask(widget, "follow", id, receivers=list(receivers), step=step)


def test_the_graph_is_edge_attributions(view, embedded, capitals):
    assert view.status == "done" and view.error is None
    expected = ib.edge_attribution(embedded, capitals)
    np.testing.assert_array_equal(view.result.scores, expected.scores)
    made = run_code(view.code, name="circuit")
    np.testing.assert_array_equal(made.scores, expected.scores)
    assert made.names == view.circuit.names


def test_a_view_is_sent_the_strongest_edges_and_who_reads_what(view):
    sent, graph = wire(view, "result"), view.result
    score = decode_array(sent["strongest"]["score"])
    ends = [decode_array(sent["strongest"][name]) for name in ("sender", "receiver")]
    assert sent["edges"] == sent["size"] == len(score) == graph.edges
    np.testing.assert_array_equal(score, graph.scores[ends[0], ends[1]])
    assert (np.diff(np.abs(score)) <= 0).all()
    for column, readers in enumerate(sent["readers"]):
        assert readers == np.flatnonzero(graph.reads[:, column]).tolist()


def test_no_more_edges_are_sent_than_a_view_can_draw(view, monkeypatch):
    monkeypatch.setattr("hookscope.circuit_graph.MOST_EDGES", 7)
    sent = wire(view, "result")
    assert sent["strongest"]["score"]["shape"] == [7] and sent["size"] == view.result.edges


def test_the_circuit_is_what_the_slider_says(view):
    view.set_state({"edges": 12})
    assert view.circuit.names == view.result.top(12).names
    assert view.circuit is view.circuit
    view.set_state({"edges": 0})
    assert view.edges == 12 and view.error["field"] == "edges"


def test_a_view_may_set_how_the_picture_is_arranged(view):
    view.set_state({"arrange": "flow"})
    assert view.arrange == "flow" and "arrange" in view.choices
    view.set_state({"arrange": "spiral"})
    assert view.arrange == "flow" and view.error["field"] == "arrange"


def test_a_circuit_that_is_given_is_shown_and_reduced(capitals, embedded):
    whole = ib.edge_attribution(embedded, capitals)
    own = whole.top(20)
    view = Watched(hs.CircuitGraph, embedded, capitals, graph=own, edges=1000)
    assert view.info["given"] and view.circuit.names == own.names
    view.edges = 5
    kept = set(view.circuit.names)
    assert kept <= set(own.names[:5])
    view.close()


def test_other_choices_estimate_again(view, embedded, capitals):
    ask(view, "edge_attribution", rules="relp", ig_steps=0, direction="denoise", metric="logit")
    assert (view.rules, view.direction, view.metric) == ("relp", "denoise", "logit")
    expected = ib.edge_attribution(embedded, capitals, rules="relp", direction="denoise", metric="logit")
    np.testing.assert_array_equal(view.result.scores, expected.scores)


def test_a_metric_without_a_gradient_is_refused_and_the_graph_stays(view):
    before = view.result
    ask(view, "edge_attribution", metric="rank")
    assert view.status == "error" and "rank" in view.error["message"]
    assert view.result is before


def test_paths_are_patched_from_the_logits_down(view, embedded, capitals):
    assert view.paths == []
    view.set_state({"tab": "paths"})
    assert view.wait(60)
    first = ib.path_patching(embedded, capitals, None, ["logits"], direction="noise")
    np.testing.assert_array_equal(view.paths[0].values, first.values)
    follow(view, "m3", step=1)
    follow(view, "a2.h1<v>", step=2, id="view:2")
    assert events(view, "view:2")[-1] == "result"
    assert view.trail == [["logits"], ["m3"], ["a2.h1<v>"]]
    last = ib.path_patching(embedded, capitals, None, ["a2.h1<v>"], direction="noise")
    np.testing.assert_array_equal(view.paths[2].values, last.values)
    np.testing.assert_array_equal(run_code(view.code).values, last.values)
    sent = wire(view, "paths")[2]
    np.testing.assert_array_equal(decode_array(sent["carried"]), -last.normalized)
    assert sent["receivers"] == ["a2.h1<v>"] and sent["senders"] == last.labels["sender"]


def test_carried_has_one_sign_in_both_directions(view):
    view.tab = "paths"
    assert view.wait(60)
    noise = decode_array(wire(view, "paths")[0]["carried"])
    view.direction = "denoise"
    assert view.wait(60)
    denoise = decode_array(wire(view, "paths")[0]["carried"])
    strongest = np.argmax(np.abs(noise))
    assert noise[strongest] > 0.1 and denoise[strongest] > 0


def test_going_back_leaves_out_what_came_after_and_runs_nothing(view):
    view.follow("m3")
    view.follow("m2")
    assert view.wait(60)
    first, asked = view.paths[:2], view.asked
    ask(view, "back_to", step=1)
    assert view.trail == [["logits"], ["m3"]] and view.asked == asked
    assert all(a is b for a, b in zip(view.paths, first))
    follow(view, "m1", step=1, id="view:3")
    assert view.trail == [["logits"], ["m1"]]
    assert view.paths[0] is first[0] and view.paths[1].params["receivers"] == ["m1"]


def test_other_mlps_patch_all_steps_again(view, embedded, capitals):
    view.follow("m3")
    assert view.wait(60)
    ask(view, "path_mlps", mlps="recomputed")
    expected = ib.path_patching(embedded, capitals, None, ["m3"], direction="noise", mlps="recomputed")
    np.testing.assert_array_equal(view.paths[1].values, expected.values)


def test_another_pair_starts_from_its_own_numbers(view, embedded):
    view.follow("m3")
    assert view.wait(60)
    view.selection = {"layer": 2, "head": 1}
    other = hs.PromptPair(
        clean="The capital of Spain is",
        corrupt="The capital of Italy is",
        clean_answer=" Madrid",
        corrupt_answer=" Rome",
    )
    view.pair = other
    assert view.wait(60)
    assert view.selection == {"layer": 2, "head": 1} and view.trail == [["logits"], ["m3"]]
    np.testing.assert_array_equal(view.result.scores, ib.edge_attribution(embedded, other).scores)
    expected = ib.path_patching(embedded, other, None, ["m3"], direction="noise")
    np.testing.assert_array_equal(view.paths[1].values, expected.values)


@pytest.mark.parametrize(
    ("receivers", "step", "says"),
    [
        (["a9.h9"], 1, "a9.h9 is no receiver"),
        (["input"], 1, "input is no receiver"),
        (["<img>"], 1, "is no node"),
        (["m1"], 5, "trail has 1 step"),
        (["m1"], 0, "can't be step 0"),
    ],
)
def test_nonsense_gets_a_sentence_and_the_view_goes_on(view, receivers, step, says):
    follow(view, *receivers, step=step)
    assert says in view.error["message"]
    ask(view, "back_to", "view:9", step=0)
    follow(view, "m3", step=1, id="view:10")
    assert view.error is None and view.paths[1] is not None


@pytest.mark.parametrize(
    "params", [{}, {"receivers": []}, {"receivers": [3], "step": 1}, {"receivers": ["m1"], "step": -1}]
)
def test_requests_that_do_not_validate_are_refused(view, params):
    ask(view, "follow", "view:1", **params)
    assert events(view, "view:1") == ["error"] and view.trail == [["logits"]]


def test_places_and_nodes(view):
    for place, name in [
        ({"activation": "z", "layer": 2, "head": 1, "position": 3}, "a2.h1"),
        ({"activation": "mlp_out", "layer": 1}, "m1"),
        ({"activation": "resid_pre", "layer": 0}, "input"),
        ({"activation": "logits"}, "logits"),
    ]:
        view.selection = place
        assert view.result.find(ib.Place(**place)) == [name]
    assert view.result.find(ib.Place(layer=1)) == ["a1.h0", "a1.h1", "a1.h2", "a1.h3", "m1"]
    with pytest.raises(traitlets.TraitError, match="no place"):
        view.selection = {"layer": 40, "head": 1}


def test_many_pairs_keep_the_scores_of_each(embedded):
    pairs = ib.PromptPairs(list(ib.PromptPairs.from_task(embedded, "capitals"))[:3])
    view = Watched(hs.CircuitGraph, embedded, pairs)
    assert view.result.by_pair.shape[0] == 3
    assert "by_pair" not in wire(view, "result")
    assert "3 pairs" in view._headings(view.result)[0]
    view.close()


def test_a_result_is_shown_without_a_model(view):
    bare = Watched(hs.CircuitGraph, result=ib.read_result(view.result.to_json()))
    assert bare.status == "done" and bare.pair == view.pair and bare.circuit.names == view.circuit.names
    with pytest.raises(ValueError, match="no model to ask"):
        bare.follow("m1")
    bare.close()


def test_saved(view, tmp_path):
    view.follow("m3")
    assert view.wait(60)
    (saved,) = read_page(view.save(tmp_path / "circuit.html").read_text("utf-8"))
    assert "Norway" in json.dumps(saved.state["result"]) and saved.state["trail"]


# The third tab

SETTING = {"ablation": "zero", "level": "node", "positions": "all"}


def test_the_circuit_on_the_screen_is_run_under_every_ablation(view, embedded, capitals):
    assert view.robustness is None
    view.set_state({"tab": "faithfulness"})
    assert view.wait(60) and view.faithfulness is None
    circuit = ib.edge_attribution(embedded, capitals).reduced(30)
    expected = ib.circuit_robustness(embedded, capitals, circuit)
    np.testing.assert_array_equal(view.robustness.circuit, expected.circuit)
    np.testing.assert_array_equal(run_code(view.code).circuit, expected.circuit)
    ask(view, "faithfulness_at", **SETTING)
    curves = ib.faithfulness(embedded, capitals, circuit, **SETTING)
    np.testing.assert_array_equal(view.faithfulness.mean, curves.mean)
    np.testing.assert_array_equal(run_code(view.code).mean, curves.mean)
    sent = wire(view, "faithfulness")
    assert (sent["cpr"], sent["cmd"], sent["random_cpr"]) == (curves.cpr, curves.cmd, curves.random_cpr)


def test_another_circuit_is_run_anew(view, embedded, capitals):
    ask(view, "faithfulness_at", **SETTING)
    view.set_state({"edges": 60})
    assert view.wait(60)
    circuit = ib.edge_attribution(embedded, capitals).reduced(60)
    np.testing.assert_array_equal(view.robustness.circuit, ib.circuit_robustness(embedded, capitals, circuit).circuit)
    expected = ib.faithfulness(embedded, capitals, circuit, **SETTING)
    np.testing.assert_array_equal(view.faithfulness.mean, expected.mean)


@pytest.mark.parametrize("change", [{"ablation": "none"}, {"level": "<img>"}, {"positions": ""}, {"ablation": "mean"}])
def test_a_setting_that_can_not_be_run_gets_a_sentence_and_the_view_goes_on(view, change):
    ask(view, "faithfulness_at", **{**SETTING, **change})
    assert view.error["message"] and view.faithfulness is None
    ask(view, "faithfulness_at", "view:2", **SETTING)
    assert view.error is None and view.faithfulness is not None and view.robustness is not None


def test_what_was_cancelled_in_a_tab_can_be_run(view, embedded, capitals):
    started, go_on = threading.Event(), threading.Event()

    def slow(logits):
        if view.tab != "edges":
            started.set()
            assert go_on.wait(60)
        return logits.max(-1).values

    view.metric = slow
    assert view.wait(60)
    view.tab = "paths"
    assert started.wait(60)
    view.cancel()
    go_on.set()
    assert view.wait(60)
    assert not view.paths or view.paths[0] is None or (view.paths[0].state == 0).any()
    ask(view, "run_again")
    expected = ib.path_patching(embedded, capitals, None, ["logits"], direction="noise", metric=slow)
    np.testing.assert_array_equal(view.paths[0].values, expected.values)
    ask(view, "run_again", "view:2")  # everything is there
    assert view.status == "done" and view.error is None


# A graph that the user gave


@pytest.fixture
def given(embedded, capitals):
    whole = ib.edge_attribution(embedded, capitals)
    widget = Watched(hs.CircuitGraph, embedded, capitals, graph=whole.greedy(25))
    yield widget
    widget.close()


def test_code_of_a_given_graph_gives_the_numbers_on_the_screen(given, embedded):
    assert run_code(given.code, name="circuit", graph=given.result).names == given.circuit.names
    given.tab = "faithfulness"
    other = given.pair.model_copy(update={"clean": "The capital of Spain is", "clean_answer": " Madrid"})
    for pair in (given.pair, other):
        given.pair = pair
        assert given.wait(60)
        assert "your own graph" in given.code and pair.clean in given.code
        made = run_code(given.code, graph=given.result)
        np.testing.assert_array_equal(made.circuit, given.robustness.circuit)
    assert "Spain" in given._headings(given.result)[0]


def test_curves_may_come_before_the_table(embedded, capitals):
    """Of a graph without parameters, such as one from a file."""
    whole = ib.edge_attribution(embedded, capitals)
    view = Watched(hs.CircuitGraph, embedded, capitals, graph=ib.Graph.from_mib(whole.greedy(25).to_mib()))
    view.setting, view.tab = SETTING, "faithfulness"
    assert view.wait(60) and view.error is None
    view.edges = 20
    assert view.wait(60) and view.error is None and view.faithfulness is not None
    assert run_code(view.code, graph=view.result).cpr == pytest.approx(view.faithfulness.cpr)
    view.close()


@pytest.mark.parametrize("graph", [5, "m0->logits", {"edges": []}])
def test_what_is_no_graph_is_refused(embedded, capitals, graph):
    with pytest.raises(ValueError, match="graph is a Graph"):
        hs.CircuitGraph(embedded, capitals, graph=graph)


# Errors


def test_an_error_goes_with_what_it_was_about(view):
    view.edges, view.tab = 1, "faithfulness"
    assert view.wait(60) and "in its circuit" in view.error["message"]
    view.tab = "edges"
    assert view.wait(60) and view.error is None


def test_an_error_stays_while_what_it_is_about_is_asked_for(view):
    ask(view, "edge_attribution", metric="rank")
    view.tab = "paths"
    assert view.wait(60)
    view.tab = "edges"
    assert view.wait(60) and view.status == "error" and "rank" in view.error["message"]
    ask(view, "edge_attribution", metric="logit_diff")
    assert view.error is None and view.status == "done"


def test_a_refused_receiver_leaves_the_trail_as_it_was(view):
    for receivers in (["input"], ["a9.h9"], ["a1.h1<k>", "nonsense"]):
        follow(view, *receivers, step=1)
        assert view.error["message"] and view.trail == [["logits"]]


def test_a_metric_without_a_finite_gradient_gets_a_sentence(embedded, capitals):
    with pytest.raises(ValueError, match="no finite gradient"):
        ib.edge_attribution(embedded, capitals, metric=lambda logits: (logits[..., 0] * 0).sqrt() + logits[..., 1])
