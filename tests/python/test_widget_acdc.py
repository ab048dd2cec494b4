"""ACDC in the circuit graph, driven as a view would: the search, its stream, what it is compared with, and its code."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask, events
from hypothesis import given
from hypothesis import strategies as st
from test_widget_circuit import run_code, wire

import hookscope as hs
import interp_backend as ib
from hookscope.acdc_tab import SearchRequest
from interp_backend.results.codec import decode_array

SWEEP = [0.05, 0.2, 1.0]


@pytest.fixture(scope="module")
def view(embedded, capitals):
    """Searched from the largest edges, and then from all."""
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    ask(widget, "acdc", "view:1", threshold=SWEEP, start=120)
    ask(widget, "acdc", "view:2", threshold=SWEEP[::-1])
    yield widget
    widget.close()


@pytest.fixture(autouse=True)
def _as_it_was(view):
    yield
    view.threshold, view.source, view.tab = None, "edges", "acdc"


@pytest.fixture
def own(embedded, capitals):
    """A panel for a test that changes it."""
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture(scope="module")
def bare(expected):
    widget = Watched(hs.CircuitGraph, result=ib.read_result(expected.to_json()))
    yield widget
    widget.close()


@pytest.fixture(scope="module")
def expected(embedded, capitals):
    return ib.acdc(embedded, capitals, threshold=SWEEP)


def test_a_search_is_acdcs_own(view, expected):
    assert view.error is None and view.status == "done" and view.searching is None
    np.testing.assert_array_equal(view.acdc.circuits, expected.circuits)
    np.testing.assert_allclose(view.acdc.scores, expected.scores, atol=1e-5)
    assert view.search == {
        **{"threshold": SWEEP, "metric": "kl", "order": "reverse", "ablation": "counterfactual", "seed": 0},
        "start": None,
    }
    assert view.acdc.provenance["complete"] and view.acdc.provenance["undecided"] == 0


def test_the_threshold_chooses_the_circuit_and_the_code_makes_it(view, expected):
    assert view.found.names == expected.at(0.05).names  # the smallest, at first
    view.set_state({"threshold": 0.2})
    assert view.found.names == expected.at(0.2).names and view.found is view.found
    made = run_code(view.code, name="circuit")
    np.testing.assert_array_equal(made.kept, view.found.kept)
    view.set_state({"threshold": 7.0})  # of another search
    assert view.found.names == expected.at(0.05).names
    view.set_state({"threshold": -1.0})
    assert view.threshold == 7.0 and view.error["field"] == "threshold"
    view.threshold = None


def test_the_circuits_are_sent_as_bits_of_the_strongest_edges(view, expected):
    sent = wire(view, "acdc")
    assert "scores" not in sent and "kept" not in sent
    ends = [decode_array(sent["strongest"][name]) for name in ("sender", "receiver")]
    bits = np.unpackbits(decode_array(sent["circuits"]), axis=1, bitorder="little")[:, : len(ends[0])].astype(bool)
    assert sent["sizes"] == [expected.at(one).size for one in SWEEP] == bits.sum(1).tolist()
    for row, one in zip(bits, SWEEP):
        np.testing.assert_array_equal(np.argwhere(expected.at(one).kept), sorted(zip(ends[0][row], ends[1][row])))


def test_no_more_edges_are_sent_than_a_view_can_draw(view, monkeypatch):
    monkeypatch.setattr("hookscope.acdc_tab.MOST_EDGES", 3)
    sent = wire(view, "acdc")
    assert sent["strongest"]["score"]["shape"] == [3] and sent["circuits"]["shape"] == [3, 1]
    assert sent["sizes"][0] > 3


def test_what_beginning_with_the_largest_changes_and_what_the_largest_alone_do(view, embedded, capitals, expected):
    other, top = view.compared
    graph = view.result
    part = ib.acdc(embedded, capitals, threshold=SWEEP, start=graph.reduced(120))
    assert (other["name"], top["name"]) == ("other", "top")
    for at, threshold in enumerate(SWEEP):
        here, there, largest = expected.at(threshold), part.at(threshold), graph.top(expected.at(threshold).size)
        assert other["sizes"][at] == there.size and other["values"][at] == pytest.approx(part.values[at], abs=1e-5)
        assert other["jaccard"][at] == here.jaccard(there)
        assert other["alone"][at] == [here.without(there).size, there.without(here).size]
        run = ib.acdc(embedded, capitals, threshold=1e3, start=largest, metric="kl")
        assert top["values"][at] == pytest.approx(run.baselines["start"], abs=1e-4)


def test_a_search_of_other_settings_is_not_compared(own):
    ask(own, "acdc", threshold=1.0)
    ask(own, "acdc", "view:2", threshold=2.0, start=60)
    assert [one["name"] for one in own.compared] == ["top"]
    ask(own, "acdc", "view:3", threshold=1.0, start=60)
    assert [one["name"] for one in own.compared] == ["other", "top"]


def test_the_code_of_a_search_from_the_largest_edges(own):
    ask(own, "acdc", threshold=1.0, start=60, metric="prob")
    made = run_code(own.code, name="circuit")
    np.testing.assert_array_equal(made.kept, own.found.kept)
    assert "own object" not in own.code and own.found.params["metric"] == "prob"


def test_nothing_but_a_request_starts_a_search(own):
    own.tab = "acdc"
    assert own.wait(60) and own.acdc is None and own.search is None
    ask(own, "acdc", threshold=1.0)
    first = own.acdc
    ask(own, "edge_attribution", "view:2", rules="relp")
    own.edges = 12
    assert own.wait(60) and own.acdc is first


def test_the_same_search_again_runs_nothing(own):
    ask(own, "acdc", threshold=1.0)
    before = own.acdc
    ask(own, "acdc", "view:2", threshold=1.0)
    assert own.acdc is before and events(own, "view:2")[-1] == "result"


def test_another_pair_forgets_what_was_searched(own):
    ask(own, "acdc", threshold=1.0)
    own.source, own.threshold = "acdc", 1.0
    own.pair = own.pair.model_copy(update={"clean": "The capital of Spain is", "clean_answer": " Madrid"})
    assert own.wait(60) and own.error is None
    assert own.acdc is own.search is own.searching is None and own.source == "edges" and own.compared == []


def test_found_circuits_are_those_of_the_other_tabs(view, embedded, capitals, expected):
    view.set_state({"source": "acdc"})
    view.set_state({"threshold": 0.2})
    assert view.circuit is view.found
    view.set_state({"tab": "faithfulness"})
    assert view.wait(60) and view.error is None
    robustness = ib.circuit_robustness(embedded, capitals, expected.at(0.2))
    np.testing.assert_allclose(view.robustness.circuit, robustness.circuit, atol=1e-5)
    made = run_code(view.code)
    np.testing.assert_allclose(made.circuit, robustness.circuit, atol=1e-5)
    before = view.robustness
    view.edges = 31  # of the other circuit
    assert view.wait(60) and view.robustness is before
    view.set_state({"threshold": 1.0})
    assert view.wait(60) and view.robustness is not before
    view.set_state({"source": "edges"})
    assert view.wait(60) and view.circuit.names == view.result.reduced(31).names
    assert view.robustness is not None and "reduced(31)" in view.code


def test_without_a_search_there_is_no_found_circuit(own):
    own.source = "acdc"
    with pytest.raises(ValueError, match="found no circuit yet"):
        _ = own.circuit
    own.tab = "faithfulness"
    assert own.wait(60) and own.error is None and own.robustness is None
    ask(own, "acdc", threshold=1.0)
    own.tab = "faithfulness"
    assert own.wait(60) and own.robustness is not None


def _paused(view, after):
    """A metric that waits once it was called so often, and the events that say it does and let it go on."""
    calls, reached, go_on = iter(range(10**6)), threading.Event(), threading.Event()

    def metric(logits):
        if view and view[0].search is not None and next(calls) == after:
            reached.set()
            assert go_on.wait(60)
        return logits.max(-1).values

    return metric, reached, go_on


def test_edges_vanish_and_a_cancelled_search_keeps_what_is_left(embedded, capitals):
    made: list = []
    metric, reached, go_on = _paused(made, 6)
    view = Watched(hs.CircuitGraph, embedded, capitals, metric=metric)
    seen: list = []
    view.observe(lambda change: seen.append(change["new"]), "searching")
    made.append(view)
    view.take_message(
        {"kind": "request", "id": "v:1", "method": "acdc", "params": {"threshold": 0.3, "metric": "metric"}}
    )
    assert reached.wait(60)
    with pytest.raises(ValueError, match="found no circuit yet"):
        _ = view.found
    view.cancel()
    go_on.set()
    assert view.wait(60)
    assert seen[0]["tried"] == 0 and seen[0]["size"] == view.result.edges and seen[-1] is None
    vanishing = [one["size"] for one in seen[:-1]]
    assert vanishing == sorted(vanishing, reverse=True) and vanishing[-1] < vanishing[0]
    last = seen[-2]
    kept = np.unpackbits(decode_array(last["kept"]), bitorder="little")[: view.acdc.kept.size]
    assert kept.sum() == last["size"]
    assert not view.acdc.provenance["complete"] and 0 < view.acdc.provenance["undecided"] < view.result.edges
    assert view.acdc.values == [None] and view.found.size == view.acdc.size and view.compared == []
    ask(view, "acdc", "view:2", threshold=0.3, metric="metric")
    assert view.acdc.provenance["complete"] and view.error is None
    assert "metric: your own function" in view.code
    view.close()


def test_what_is_left_has_the_costs_of_what_stays(view, embedded, capitals):
    from hookscope.acdc_tab import _left

    for step in ib.acdc.steps(embedded, capitals, threshold=0.05):
        if step.done > step.total / 2:
            break
    left, graph = json.loads(json.dumps(_left(step.result, step))), step.result
    stays, cost = decode_array(left["stays"]), decode_array(left["cost"])
    assert len(stays) and (cost >= 0.05).all() and (graph.kept.ravel()[stays] == 1).all()
    np.testing.assert_array_equal(cost, graph.scores.ravel()[stays])


def test_a_given_search_opens_its_tab_without_a_model(bare, embedded, expected):
    assert bare.tab == "acdc" and bare.found.names == expected.at(0.05).names
    bare.threshold = 1.0
    assert bare.found.names == expected.at(1.0).names
    np.testing.assert_array_equal(run_code(bare.code, name="circuit", model=embedded).kept, bare.found.kept)
    with pytest.raises(ValueError, match="no model to ask"):
        bare._on_acdc("a", threshold=0.1)


def test_a_saved_page_has_all_circuits(view, tmp_path):
    page = view.save(tmp_path / "acdc.html")
    [again] = [one for one in hs.load_report(page) if getattr(one, "thresholds", None)]
    np.testing.assert_array_equal(again.circuits, view.acdc.circuits)
    assert view.save(tmp_path / "acdc.json").exists() and view.save(tmp_path / "acdc.svg").exists()


def test_an_own_graph_can_be_begun_with(embedded, capitals):
    graph = ib.edge_attribution(embedded, capitals).greedy(80)
    view = Watched(hs.CircuitGraph, embedded, capitals, graph=graph)
    ask(view, "acdc", threshold=1.0, start=40)
    made = run_code(view.code, name="circuit", graph=graph)
    np.testing.assert_array_equal(made.kept, view.found.kept)
    view.close()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "required"),
        ({"threshold": 0}, "number above 0"),
        ({"threshold": [0.1, 0.1]}, "each threshold once"),
        ({"threshold": [0.1, "<img>"]}, "number"),
        ({"threshold": 0.1, "metric": "nothing"}, "There is no metric"),
        ({"threshold": 0.1, "order": "up"}, "There is no order"),
        ({"threshold": 0.1, "start": 0}, "greater than or equal to 1"),
        ({"threshold": 0.1, "beside": {"own": "x"}}, "not permitted"),
        ({"threshold": 0.1, "ablation": "mean"}, "Mean ablation needs several"),
    ],
)
def test_what_can_not_be_searched_gets_a_sentence_and_the_view_goes_on(own, params, words):
    ask(own, "acdc", **params)
    assert words in own.error["message"] and own.acdc is None
    ask(own, "acdc", "view:2", threshold=1.0)
    assert own.error is None and own.acdc is not None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_a_search_is_settings_or_refused(bare, threshold):
    try:
        bare.search = {"threshold": threshold}
    except traitlets.TraitError as problem:
        assert len(str(problem)) < 300
    else:
        assert all(one > 0 for one in bare.search["threshold"]) and len(bare.search["threshold"]) <= 100


def test_requests_are_acdcs_own_arguments():
    asked, methods = SearchRequest.model_json_schema()["properties"], ib.acdc.schema["properties"]
    for name in set(asked) - {"start"}:
        assert asked[name] == methods[name]


def test_a_search_in_a_workbench_is_undone_replayed_and_printed(embedded, capitals):
    bench = Watched(hs.Workbench, embedded, capitals, views=["circuit"])
    [panel] = [one for one in bench.panels if isinstance(one, hs.CircuitGraph)]
    ask(panel, "acdc", "view:1", threshold=[0.2, 1.0], start=60)
    panel.set_state({"threshold": 1.0})
    panel.set_state({"source": "acdc"})
    panel.set_state({"tab": "faithfulness"})
    assert bench.wait(60)
    found, robustness = panel.found, panel.robustness
    names = {}
    exec(bench.code(), names)
    [search] = [one for one in names["results"] if getattr(one, "method", "") == "acdc"]
    np.testing.assert_array_equal(search.circuits, panel.acdc.circuits)
    np.testing.assert_allclose(names["results"][-1].circuit, robustness.circuit, atol=1e-6)
    done = [one["do"] for one in bench.commands]
    assert done == ["open", "acdc", "set", "set", "set"]
    for _ in done[1:]:
        bench.undo()
    assert bench.wait(60) and panel.search is None and panel.acdc is None and panel.circuit.names != found.names
    for _ in done[1:]:
        bench.redo()
    assert bench.wait(60) and panel.found.names == found.names and panel.circuit is panel.found
    again = hs.Workbench(embedded, capitals, views=["circuit"])
    again.replay(bench.commands[1:])
    [other] = [one for one in again.panels if isinstance(one, hs.CircuitGraph)]
    assert again.wait(60) and other.circuit.names == found.names
    np.testing.assert_allclose(other.robustness.circuit, robustness.circuit, atol=1e-6)
    bench.close()
    again.close()
