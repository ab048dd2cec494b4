"""How the parts of the circuit graph work together: sources, edits, questions, searches, hypotheses, scripts."""

from __future__ import annotations

import numpy as np
import pytest
from driven_widgets import Watched, ask

import hookscope as hs
import interp_backend as ib

OTHER = ib.PromptPair(
    clean="The capital of Norway is", corrupt="The capital of Italy is", clean_answer=" Oslo", corrupt_answer=" Rome"
)


@pytest.fixture
def view(embedded, capitals):
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture
def bench(embedded, capitals):
    made = hs.Workbench(embedded, capitals, views=["circuit"])
    yield made
    made.close()


def circuit_of(bench):
    [panel] = [one for one in bench.panels if isinstance(one, hs.CircuitGraph)]
    assert panel.wait(60)
    return panel


def test_edits_are_of_the_largest_edges_whatever_the_other_tabs_are_about(view):
    view.keep(view.result.with_edges(["input->m0", "m0->logits"]))
    view.source = "kept"
    gone = next(name for name in view.result.top(30).nodes if name not in ("input", "m0"))
    ask(view, "remove_nodes", nodes=[gone])
    assert view.error is None and view.edits == [{"remove": [gone]}] and view.circuit.size == 2


def test_an_answer_stays_where_a_change_is_no_other_question(view):
    ask(view, "ask_of_nodes", what="ablate", nodes=["m1"])
    first = view.answer
    ask(view, "path_mlps", mlps="recomputed")
    assert view.answer is first is not None
    for metric in ("prob", "logit_diff"):
        view.metric = metric
        assert view.wait(60) and view.answer is not None


def test_nodes_are_named_once(view):
    ask(view, "ask_of_nodes", what="patch", nodes=["m0", "m0"])
    assert view.question["nodes"] == ["m0"] and len(view.answer.values) == 2
    ask(view, "group_nodes", nodes=["m1", "m1"], name="one")
    assert view.groups == {"one": ["m1"]}


def test_a_kept_circuit_that_is_dropped_or_of_another_pair(view):
    view.keep(view.result.with_edges(["input->m0", "m0->logits"]), "known")
    view.set_state({"source": "kept", "tab": "faithfulness"})
    view.pair = OTHER
    assert view.wait(60) and view.source == "kept" and view.robustness.counts[0] == 2
    ask(view, "drop_circuit")
    assert view.source == "edges" and view.wait(60)
    assert view.robustness.counts[0] == view.circuit.size


def test_another_threshold_of_the_same_circuit_keeps_its_runs(view):
    ask(view, "acdc", threshold=[0.5, 2.0])
    view.source, view.tab = "acdc", "faithfulness"
    assert view.wait(60) and view.robustness is not None
    view.threshold = 0.5
    assert view.wait(60) and view.robustness is not None
    view.threshold = 2.0
    assert view.wait(60) and view.robustness.counts[0] == view.found.pruned().size
    view.set_state({"threshold": 10**400})
    assert view.threshold == 2.0 and view.error["field"] == "threshold"


def test_a_search_that_is_refused_leaves_the_code_of_the_one_before(view):
    ask(view, "acdc", threshold=[0.5], start=60)
    found = view.found.names
    ask(view, "acdc", threshold=[0.5], ablation="mean")
    assert view.error is not None and view.found.names == found
    made: dict = {}
    exec(view.code, made)
    assert made["circuit"].names == found


def test_a_hypothesis_that_cannot_be_run_shows_no_older_result(embedded, tmp_path):
    pairs = hs.PromptPairs(hs.PromptPairs.from_task(embedded, "capitals")[:4])
    view = Watched(hs.CircuitGraph, embedded, pairs, edges=8)
    view.tab = "scrubbing"
    assert view.wait(60) and view.scrubbing is not None
    view.edges = 400
    assert view.wait(60) and view.outline["problem"] and "causal_scrubbing" not in view.code
    assert ib.read_result(view.save(tmp_path / "shown.json").read_text("utf-8")).method == "edge_attribution"
    view.source = "acdc"
    assert "ACDC has found no circuit yet" in view.outline["problem"] and view.outline["fits"] is None
    view.close()


def test_a_scripts_runs_are_those_of_each_circuit(bench):
    panel = circuit_of(bench)
    for do, params in (("set", {"tab": "faithfulness"}), ("set", {"edges": 100}), ("set", {"edges": 20})):
        panel.perform(do, params)
        assert panel.wait(60)
    panel.perform("edge_attribution", {"rules": "relp"})
    assert panel.wait(60)
    panel.perform("edge_attribution", {"rules": "gradient"})
    assert panel.wait(60)
    setting = {"ablation": "zero", "level": "edge", "positions": "all"}
    panel.perform("faithfulness_at", setting)
    assert panel.wait(60)
    made: dict = {}
    exec(bench.code(), made)
    results = made["results"]
    assert len({one.counts[0] for one in results if getattr(one, "method", "") == "circuit_robustness"}) == 4
    np.testing.assert_array_equal(results[-1].mean, panel.faithfulness.mean)


def test_undo_brings_back_the_circuit_that_was_found(bench):
    panel = circuit_of(bench)
    panel.perform("acdc", {"threshold": [0.2, 1.0], "start": 60})
    assert panel.wait(60)
    found = panel.found.names
    panel.perform("edge_attribution", {"rules": "relp"})
    assert panel.wait(60)
    bench.editor.pair = OTHER
    assert panel.wait(60)
    while panel.acdc is None:
        bench.undo()
        assert panel.wait(60)
    assert panel.found.names == found


def test_a_small_file_of_a_huge_graph_is_refused(view):
    ask(view, "read_circuit", text='{"cfg":{"n_layers":1000,"n_heads":1000},"nodes":{},"edges":{}}')
    assert "is too large to be read" in view.error["message"] and view.kept is None


def test_a_metric_that_is_named_as_a_variable_of_the_code_keeps_its_meaning(embedded, capitals):
    def graph(logits):
        return logits.max(-1).values

    view = Watched(hs.CircuitGraph, embedded, capitals, metric=graph)
    assert view.wait(60)
    names = {"my_metric": graph}
    exec(compile(view.code.replace("result.plot()", ""), "view.code", "exec"), names)
    assert np.allclose(names["graph"].scores, view.result.scores, equal_nan=True)
    view.close()
