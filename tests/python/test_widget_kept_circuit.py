"""A kept circuit in the circuit graph: kept, read from a file, compared, and run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched, ask

import hookscope as hs


@pytest.fixture
def view(embedded, capitals):
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    yield widget
    widget.close()


def test_the_circuit_on_the_screen_is_kept_and_forgotten(view):
    ask(view, "keep_circuit")
    kept = view.circuit.names
    view.edges = 100
    assert view.kept.names == kept != view.circuit.names and view.kept_name == f"{len(kept)} edges"
    assert json.loads(json.dumps(view.get_state("kept")))["kept"] == kept
    view.shows = "difference"
    ask(view, "drop_circuit")
    assert (view.kept, view.kept_name, view.shows) == (None, "", "circuit")


def test_a_circuit_is_read_from_a_file_and_run_in_the_other_tabs(view):
    names = view.result.top(12).names
    ask(view, "read_circuit", text=view.result.with_edges(names).to_edge_list(), name="<b>.json")
    assert view.kept.names == names and view.kept_name == "<b>.json"
    view.set_state({"source": "kept", "tab": "faithfulness"})
    assert view.wait(60) and view.circuit.names == names
    found = view.robustness
    made: dict = {}
    exec(view.code, made)
    np.testing.assert_array_equal(made["result"].circuit, found.circuit)
    assert found.counts[0] == len(names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "This is not JSON"),
        ("[]", "A circuit to compare with has 1 to 5000 edges, and this one has 0."),
        ('["A9.9->Resid End"]', "This model has no edge 'A9.9->Resid End'."),
    ],
)
def test_a_file_that_holds_no_circuit_is_refused_and_the_kept_one_stays(view, text, said):
    ask(view, "keep_circuit")
    before = view.kept
    ask(view, "read_circuit", text=text)
    assert said in view.error["message"] and view.kept is before


def test_a_circuit_of_another_model_is_not_kept(view):
    from test_graph import graph

    with pytest.raises(ValueError, match="of another model"):
        view.keep(graph())


def test_a_kept_circuit_is_the_truth_for_areas_under_the_curve(view, embedded, capitals):
    import interp_backend as ib

    known = view.result.top(12)
    view.keep(known)
    assert view.areas == {"attribution": view.result.roc(known).auc}
    ask(view, "acdc", threshold=[0.05, 0.5, 2.0])
    found = ib.acdc(embedded, capitals, threshold=[0.05, 0.5, 2.0])
    assert view.areas["acdc"] == pytest.approx(found.roc(known).auc) and 0 < view.areas["acdc"] < 1
    view.keep(view.result)
    assert view.areas == {}
    view.drop_kept()
    assert view.areas == {}
