"""Hypotheses of causal scrubbing: what they say, their JSON and their code, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interp_backend as ib
from interp_backend.results.graph import every_name
from interp_backend.results.hypothesis import FEATURES, as_hypothesis, parse_feature, value_of

LAYERS, HEADS = 3, 2
SENDERS, _ = every_name(LAYERS, HEADS)


def own(datum):
    return datum.text


features = st.one_of(
    st.sampled_from(list(FEATURES)),
    st.builds("{}@{}".format, st.sampled_from(["token", "class", "previous", "position"]), st.integers(-99, 99)),
    st.just(own),
)


@st.composite
def hypotheses(draw):
    """Nodes that are each read by the logits, and some edges between them."""
    nodes = draw(st.lists(st.sampled_from(SENDERS), unique=True, max_size=6))
    edges = [f"{node}->logits" for node in nodes]
    for sender in draw(st.lists(st.sampled_from(SENDERS), max_size=5)):
        for node in nodes:
            receiver = node if node.startswith("m") else f"{node}{draw(st.sampled_from(['', '<q>', '<k>', '<v>']))}"
            if node != "input" and SENDERS.index(sender) < SENDERS.index(f"a{node[1]}.h0" if node[0] == "a" else node):
                edges.append(f"{sender}->{receiver}")
                nodes = [*dict.fromkeys([*nodes, sender])]
                break
    agree = {name: draw(features) for name in draw(st.lists(st.sampled_from(nodes or ["input"]), unique=True))}
    return ib.Hypothesis(edges=draw(st.permutations(edges)), agree=agree if nodes else {})


@settings(max_examples=100, deadline=None)
@given(hypotheses())
def test_json_and_code_give_the_same_hypothesis(hypothesis):
    again = ib.Hypothesis.from_json(hypothesis.to_json())
    assert again.to_wire() == hypothesis.to_wire()
    assert again.with_features({"own": own}) == hypothesis
    assert eval(hypothesis.code(), {"ib": ib, "own": own}) == hypothesis


@settings(max_examples=100, deadline=None)
@given(hypotheses(), st.booleans(), st.booleans())
def test_the_tree_reads_everything_once(hypothesis, parallel, separately):
    try:
        tree = hypothesis.tree(SENDERS, parallel, separately)
    except ValueError as problem:
        assert "has no edge" in str(problem) and parallel
        return
    assert len({node.path for node in tree}) == len(tree)
    for i, node in enumerate(tree[1:], 1):
        assert node.reader < i and node.path.startswith(f"{tree[node.reader].path}/")
        children = [one for one in tree if one.reader == i]
        assert not (node.whole and children)
        if node.node in SENDERS and node.node != "input" and not node.whole and node.node.startswith("a"):
            assert [one.node for one in children] == [f"{node.node}<{part}>" for part in "qkv"]
    named = {node.node for node in tree if node.named and "<" not in node.node} - {"logits"}
    assert named == {name for name in hypothesis.nodes if "<" not in name}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_feature_or_is_refused(text):
    try:
        name, at = parse_feature(text)
    except ValueError as problem:
        assert "feature" in str(problem)
    else:
        assert name in FEATURES and text == (name if at is None else f"{name}@{text.partition('@')[2]}")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda of: st.lists(of) | st.dictionaries(st.text(), of),
)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional={"edges": json_values, "agree": json_values, "more": json_values}))
def test_any_json_is_a_hypothesis_or_is_refused_in_a_sentence(wire):
    try:
        made = as_hypothesis(wire)
    except ValueError as problem:
        assert type(problem) is ValueError and str(problem).endswith(".")
    else:
        assert as_hypothesis(made.to_wire()) == made


@pytest.mark.parametrize(
    ("edges", "agree", "words"),
    [
        (["a1.h1->a0.h2<k>", "a0.h2->logits"], {}, "would make a cycle: a0.h2 is computed before a1.h1"),
        (["m0->a0.h1", "a0.h1->logits"], {}, "would make a cycle"),
        (["m0->m0", "m0->logits"], {}, "would make a cycle"),
        (["a0.h1->a1.h1<q>"], {}, "Nothing reads a1.h1 here"),
        (["a0.h1"], {}, "is no edge"),
        (["a0.h1<q>->logits"], {}, "writes nothing that others read"),
        (["a0.h1->input"], {}, "input reads nothing"),
        (["a0.h1->logit"], {}, "is no node"),
        ("a0.h1->logits", {}, "edges are a list"),
        (["m0->logits"], {"m1": "answer"}, "agree names m1, which no edge of this hypothesis comes from"),
        (["m0->logits"], {"logits": "answer"}, "agree names logits"),
        (["m0->logits"], {"m0": "colour"}, "There is no feature 'colour'"),
        (["m0->logits"], {"m0": "answer@3"}, "takes no position: write answer"),
        (["m0->logits"], {"m0": 3}, "a feature's name or a function"),
        (["m0->logits"], ["m0"], "agree says for each node"),
    ],
)
def test_what_is_no_hypothesis_is_refused(edges, agree, words):
    with pytest.raises(ValueError, match=words):
        ib.Hypothesis(edges=edges, agree=agree)


def test_an_edge_into_a_head_is_three():
    hypothesis = ib.Hypothesis(edges=["input->a1.h0", "a1.h0->logits", "input->a1.h0<k>"])
    assert hypothesis.edges == ("input->a1.h0<q>", "input->a1.h0<k>", "input->a1.h0<v>", "a1.h0->logits")
    assert hypothesis.nodes == ["input", "a1.h0"]


def test_what_is_said_of_one_input_of_a_head_is_said_of_the_others():
    tree = ib.Hypothesis(edges=["a1.h0->logits"], agree={"a1.h0<k>": "answer"}).tree(SENDERS, False, False)
    said = {node.path.removeprefix("logits/"): (node.agrees, node.whole) for node in tree}
    assert said["a1.h0"] == ("exact", False)
    assert said["a1.h0/a1.h0<k>"] == ("answer", True)
    assert said["a1.h0/a1.h0<q>"] == ("exact", False)
    assert said["a1.h0/a1.h0<q>/others"] == ("anything", True)


def test_features_of_a_datum():
    datum = ib.Datum(
        text="Oslo x 17 Oslo", tokens=["Oslo", " x", " 17", " ,", " ", "Oslo"], answers=["b"], side="clean", pair=0
    )
    expected = {
        "token": "Oslo",
        "token@2": " 17",
        "class": "capitalised word",
        "class@1": "word",
        "class@2": "number",
        "class@3": "mark",
        "class@4": "space",
        "previous": " ",
        "previous@0": "",
        "position": 0,
        "position@2": -1,
        "answer": ("b",),
        "side": "clean",
    }
    assert {name: value_of(name, datum, 0) for name in expected} == expected


def test_a_tree_that_grows_too_large_is_refused():
    senders, _ = every_name(4, 4)
    edges = [f"{node}->logits" for node in senders]
    edges += [f"{a}->{b}" for b in senders[1:] for a in senders if a[1] < b[1] or a == "input"]
    with pytest.raises(ValueError, match="more than 5,000 nodes"):
        ib.Hypothesis(edges=edges).tree(senders, False, True)


def test_what_is_said_of_nodes_that_are_not_there_is_left_out():
    bare = ib.Hypothesis(edges=["m1->logits", "a1.h1->logits", "input->a1.h1<v>"])
    said = {"m1": "answer", "m0": "answer", "a1.h1<q>": "token", "a0.h1<q>": "token", "logits": "side"}
    assert bare.with_agree(said) == ib.Hypothesis(edges=bare.edges, agree={"m1": "answer", "a1.h1<q>": "token"})
    with pytest.raises(ValueError, match="no feature"):
        bare.with_agree({"m1": "shape"})
