"""Sets of nodes in the circuit graph, driven as a view would: edits, groups, and what is asked of some nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib


@pytest.fixture
def view(embedded, capitals):
    widget = Watched(hs.CircuitGraph, embedded, capitals)
    yield widget
    widget.close()


def heads_of(view, n):
    """Nodes of the circuit without which some of it is left."""
    return [name for name in view.circuit.nodes if name != "input" and view.circuit.without_nodes([name]).size][:n]


def run_code(code):
    names: dict = {}
    exec(code, names)
    return names


def test_nodes_are_removed_and_come_back(view):
    whole, gone = view.circuit, heads_of(view, 2)
    view.set_state({"chosen": gone[:1]})
    ask(view, "remove_nodes", nodes=gone[:1])
    assert view.circuit.names == whole.without_nodes(gone[:1]).names and view.chosen == []
    ask(view, "remove_nodes", nodes=gone[1:])
    assert view.circuit.names == whole.without_nodes(gone).names
    assert run_code(view.code)["circuit"].names == view.circuit.names
    ask(view, "undo_edit")
    ask(view, "undo_edit")
    assert view.circuit.names == whole.names and view.edits == []
    ask(view, "undo_edit")
    assert view.error["message"] == "The circuit has no edit that could be undone."


def test_nodes_are_kept_also_when_the_slider_moves(view):
    kept = view.circuit.top(12).nodes
    ask(view, "keep_nodes", nodes=kept)
    assert set(view.circuit.nodes) <= {*kept, "input"}
    view.edges = 200
    assert view.circuit.names == view.result.reduced(200).within(kept).names
    assert json.loads(json.dumps(view.get_state("edits")))["edits"] == [{"keep": kept}]


def test_an_edit_that_leaves_nothing_or_all_is_refused(view):
    before = view.circuit.names
    ask(view, "remove_nodes", nodes=[name for name in view.circuit.nodes if name != "input"])
    assert "No path would be left" in view.error["message"]
    ask(view, "keep_nodes", nodes=view.result.senders)
    assert view.error["message"] == "That would leave the circuit as it is."
    ask(view, "remove_nodes", nodes=["input"])
    assert "Every path leads through the input" in view.error["message"]
    ask(view, "remove_nodes", nodes=["a77.h0"])
    assert "This graph has no node 'a77.h0'" in view.error["message"]
    assert view.circuit.names == before and view.edits == []


def test_only_nodes_of_the_graph_are_chosen(view):
    view.set_state({"chosen": ["a1.h1", "m0", "a1.h1"]})
    assert view.chosen == ["a1.h1", "m0"]
    view.set_state({"chosen": ["a1.h1", "<b>"]})
    assert view.chosen == ["a1.h1", "m0"] and view.error["field"] == "chosen"


def test_groups_have_names_and_their_own_nodes(view):
    ask(view, "group_nodes", nodes=["a1.h1", "m0"], name="movers")
    ask(view, "group_nodes", nodes=["m0", "a2.h2"], name="early <b>")
    assert view.groups == {"movers": ["a1.h1"], "early <b>": ["m0", "a2.h2"]}
    ask(view, "group_nodes", nodes=["a1.h1"], name="one")
    assert [*view.groups] == ["early <b>", "one"]
    ask(view, "ungroup_nodes", name="one")
    assert [*view.groups] == ["early <b>"]
    for nodes, name, said in [
        (["input"], "x", "can't be part of a group"),
        (["m0"], " x", "begins and ends with no space"),
        (["m0"], "a\nb", "printable"),
        (["m99"], "x", "no node 'm99'"),
    ]:
        ask(view, "group_nodes", nodes=nodes, name=name)
        assert said in view.error["message"]
    ask(view, "ungroup_nodes", name="one")
    assert "There is no group 'one'." in view.error["message"]
    assert view.groups == {"early <b>": ["m0", "a2.h2"]}


NODES = ["a1.h1", "m2"]


def of_nodes(model, pair, what, nodes):
    """What the view asks, asked by hand."""
    whole = ib.edge_attribution(model, pair)
    if what == "patch":
        places = [ib.Intervention("z", 1, head=1), ib.Intervention("mlp_out", 2)]
        return ib.patch_together(model, pair, places, direction="noise")
    if what == "paths":
        return ib.path_patching(model, pair, nodes, ["logits"], together=True, direction="noise")
    kept = (
        np.array([name not in nodes for name in whole.senders]) if what == "ablate" else np.isin(whole.senders, nodes)
    )
    edges = [
        name
        for name in whole.names
        for sender, receiver in [name.split("->")]
        if (kept[whole.senders.index(sender)] or (what != "ablate" and sender == "input"))
        and (receiver == "logits" or kept[whole.senders.index(receiver.partition("<")[0])])
    ]
    return ib.circuit_robustness(model, pair, whole.with_edges(edges).pruned())


@pytest.mark.parametrize("what", ["patch", "paths", "ablate", "faithfulness"])
def test_what_nodes_do_is_what_the_methods_say(view, embedded, capitals, what):
    ask(view, "ask_of_nodes", what=what, nodes=NODES)
    assert events(view, "view:1")[-1] == "result" and view.error is None
    expected = of_nodes(embedded, capitals, what, NODES)
    numbers = ["values"] if what in ("patch", "paths") else ["circuit", "complement"]
    for found in (view.answer, run_code(view.code)["result"]):
        for name in numbers:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert view.get_state("answer")["answer"]["id"] == "view:1"
    ask(view, "close_answer")
    assert view.answer is None and view.question is None and "result =" not in view.code


def test_a_question_without_an_answer_is_refused(view):
    ask(view, "ask_of_nodes", what="faithfulness", nodes=["m1"])
    before = view.question
    ask(view, "ask_of_nodes", what="patch", nodes=["logits"])
    assert "The logits are what is measured." in view.error["message"]
    ask(view, "ask_of_nodes", what="ablate", nodes=view.result.senders)
    assert "Every path leads through the input" in view.error["message"]
    ask(view, "ask_of_nodes", what="nonsense", nodes=["m1"])
    assert view.error["field"] == "what" and view.question == before


def test_the_answer_goes_when_the_pair_does_and_comes_again(view):
    ask(view, "ask_of_nodes", what="patch", nodes=NODES)
    first = view.answer
    view.pair = ib.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Italy is",
        clean_answer=" Oslo",
        corrupt_answer=" Rome",
    )
    assert view.wait(60)
    assert view.answer is not None and view.answer.values[0] != first.values[0]


def test_a_saved_page_has_the_answer_and_the_edits(view, tmp_path):
    ask(view, "remove_nodes", nodes=heads_of(view, 1))
    ask(view, "ask_of_nodes", what="ablate", nodes=NODES)
    state = view.page_state()
    assert state["edits"] and state["answer"]["method"] == "circuit_robustness" and state["question"]["nodes"] == NODES
    assert view.save(tmp_path / "circuit.html").exists()
