"""Circuits in the files of other tools, and circuits of chosen nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_graph import graph

shapes = st.sampled_from([(1, 1, None), (2, 3, None), (2, 4, 2), (3, 2, 1)])


def chosen(draw_from, seed, share=0.3):
    """A graph with a random circuit."""
    picked = np.random.default_rng(seed).random(draw_from.scores.shape) < share
    return draw_from.with_edges(picked & draw_from.real)


@given(shapes, st.booleans(), st.integers(0, 99))
def test_an_edge_list_is_read_back(shape, parallel, seed):
    whole = graph(*shape, parallel=parallel)
    made = chosen(whole, seed)
    again = whole.read_circuit(made.to_edge_list())
    assert (again.kept == made.kept).all() and np.array_equal(again.scores, whole.scores, equal_nan=True)
    own = whole.read_circuit(json.dumps(made.names))
    lines = whole.read_circuit("\n".join(made.names) or "[]")
    assert (own.kept == made.kept).all() and (lines.kept == made.kept).all()
    assert whole.read_circuit(made.to_mib()).names == made.names or shape[2]
    assert (whole.read_circuit(made.to_json()).kept == made.kept).all()


def test_names_are_those_of_auto_circuit():
    made = graph().with_edges(["input->a0.h1<q>", "a0.h1->a1.h2<k>", "a0.h0->m1", "m1->logits"])
    names = {"Resid Start->A0.1.Q", "A0.1->A1.2.K", "A0.0->MLP 1", "MLP 1->Resid End"}
    assert set(json.loads(made.to_edge_list())) == names


def test_a_shared_input_is_listed_for_each_head_that_reads_it():
    made = graph(2, 4, 2).with_edges(["input->a1.h2<k>"])
    assert json.loads(made.to_edge_list()) == ["Resid Start->A1.2.K", "Resid Start->A1.3.K"]


def test_an_edge_list_may_say_scores_positions_or_whether():
    whole = graph()
    scored = whole.read_circuit('{"A0.1->A1.2.K": -0.5, "m0->logits": 2}')
    assert scored.names == ["m0->logits", "a0.h1->a1.h2<k>"]
    assert scored.scores[scored.index("a0.h1->a1.h2<k>")] == np.float32(-0.5)
    assert np.nansum(np.abs(scored.scores)) == 2.5
    placed = whole.read_circuit('{"A0.1->A1.2.K": [3, 4], "MLP 0->Resid End": [], "m1->logits": true, "m0->m1": false}')
    assert set(placed.names) == {"a0.h1->a1.h2<k>", "m1->logits"}
    assert set(whole.read_circuit('["A0.1->A1.2"]').names) == {f"a0.h1->a1.h2<{part}>" for part in "qkv"}


def test_a_circuit_is_read_from_a_path(tmp_path):
    path = tmp_path / "circuit.json"
    path.write_text('["MLP 0->Resid End"]', "utf-8")
    assert graph().read_circuit(path).names == ["m0->logits"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["A9.0->Resid End"]', "This model has no edge 'A9.0->Resid End'."),
        ('["A1.0->A0.1.Q"]', "This model has no edge 'A1.0->A0.1.Q'."),
        ('["Resid End->MLP 0"]', "This model has no edge"),
        ('["MLP 0->Resid Start"]', "This model has no edge"),
        ("[3]", "3 is no edge: an edge is written"),
        ('["A0.0"]', "'A0.0' is no edge"),
        ("3", "This is no circuit: a circuit is"),
        ('{"m0->logits": "yes"}', "has to have a number, true or false, or a list of positions."),
        ('{"m0->logits": 1e39}', "The score of the edge 'm0->logits' is too large."),
        ("m0->logits\nx->y", "'x' is no node"),
        ("nonsense", "This is not JSON"),
        (graph(3).to_mib(), "is of another model: it has 13 senders and 31 receivers, and this one 9 and 21."),
        (graph(3).to_json(), "is of another model"),
        (3.5, "A circuit is read from text or from the Path of a file, not from 3.5."),
    ],
)
def test_any_other_text_is_refused_in_a_sentence(text, said):
    with pytest.raises(ValueError) as refused:
        graph().read_circuit(text)
    assert said in str(refused.value)


edges = st.sampled_from(["A0.1->A1.2.K", "m0->logits", "Resid Start->MLP 1", "a->b", "->", "A0.0->A0.1.Q"])
values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4)


@given(st.text(max_size=40) | st.one_of(st.lists(edges), st.dictionaries(edges, values), values).map(json.dumps))
def test_whatever_is_read_is_a_circuit_or_refused(text):
    try:
        made = graph().read_circuit(text)
    except ValueError as problem:
        assert str(problem)
    else:
        assert (made.kept <= made.real).all() and np.isfinite(made.scores[made.real]).all()


def plainly_pruned(names):
    """Edges on a path from the input to the logits."""

    def node(receiver):
        return receiver.partition("<")[0]

    ends = [tuple(name.split("->")) for name in names]
    while True:
        left = [
            (sender, receiver)
            for sender, receiver in ends
            if (sender == "input" or any(node(other) == sender for _, other in ends))
            and (receiver == "logits" or any(other == node(receiver) for other, _ in ends))
        ]
        if left == ends:
            return {"->".join(one) for one in ends}
        ends = left


@given(
    st.integers(0, 99), st.sets(st.sampled_from(["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h2", "m1", "logits"]))
)
def test_a_circuit_of_nodes_has_the_edges_between_them(seed, nodes):
    made = chosen(graph(), seed, 0.8)
    ends = {name: (name.split("->")[0], name.split("->")[1].partition("<")[0]) for name in made.names}
    inside = {*nodes, "input", "logits"}
    assert set(made.within(nodes).names) == plainly_pruned([name for name, both in ends.items() if {*both} <= inside])
    gone = nodes - {"input", "logits"}
    left = [name for name, both in ends.items() if not {*both} & gone]
    assert set(made.without_nodes(gone).names) == plainly_pruned(left)


def test_heads_that_share_an_input_keep_it_while_one_of_them_is_there():
    whole = graph(2, 4, 2)
    assert "input->a1.h2<k>" in whole.without_nodes(["a1.h3"]).names
    assert "input->a1.h2<k>" not in whole.without_nodes(["a1.h2", "a1.h3"]).names
    assert "input->a1.h2<k>" in whole.within(["a1.h3"]).names


def test_a_node_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no node 'a9\.h0'"):
        graph().within(["a9.h0"])
    with pytest.raises(ValueError, match="no node 'm7'"):
        graph().without_nodes(["m7"])
    with pytest.raises(ValueError, match="Every path leads through the input"):
        graph().without_nodes(["input"])
