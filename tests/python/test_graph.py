"""Graphs: names, circuits, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

import interp_backend as ib
from interp_backend.results.graph import edges_between, every_name, parse_edge, parse_node
from interp_backend.results.pictures import BLUE, ORANGE


def graph(layers=2, heads=3, key_heads=None, parallel=False, seed=0):
    """A graph with random scores."""
    senders, receivers = every_name(layers, heads, key_heads)
    scores = np.random.default_rng(seed).normal(size=(len(senders), len(receivers))).astype(np.float32)
    real = edges_between(senders, receivers, parallel)
    return ib.Graph(
        senders=senders,
        receivers=receivers,
        parallel=parallel,
        scores=np.where(real, scores, np.float32("nan")),
        kept=real.astype(np.uint8),
    )


numbers = st.integers(0, 99999)
sender_names = st.one_of(
    st.just("input"), numbers.map("m{}".format), st.tuples(numbers, numbers).map(lambda at: "a{}.h{}".format(*at))
)
receiver_names = st.one_of(
    st.just("logits"),
    numbers.map("m{}".format),
    st.tuples(numbers, numbers, st.sampled_from("qkv")).map(lambda at: "a{}.h{}<{}>".format(*at)),
)


@given(sender_names, receiver_names)
def test_the_name_of_an_edge_is_read_back(sender, receiver):
    made, read = parse_edge(f"{sender}->{receiver}")
    assert (made.name, read.name) == (sender, receiver)
    for node in (made, read):
        rebuilt = f"a{node.layer}.h{node.head}" if node.head is not None else f"m{node.layer}"
        assert node.name in ("input", "logits", f"{rebuilt}<{node.part}>" if node.part else rebuilt)


@given(st.text(max_size=12) | st.from_regex(r"[am]\d?\.?h?\d?(<[qkv]>)?(->)?[am]?\d?", fullmatch=True))
def test_any_other_text_is_no_edge(text):
    try:
        made, read = parse_edge(text)
    except ValueError as problem:
        assert str(problem).endswith(".")
    else:
        assert f"{made.name}->{read.name}" == text


@given(st.text(max_size=8))
def test_any_other_text_is_no_node(text):
    try:
        assert parse_node(text).name == text
    except ValueError as problem:
        assert "nodes are input" in str(problem)


@pytest.mark.parametrize("name", ["a0.h1", "input->input", "logits->m0", "a0.h1->a1.h2", "a0.h1<q>->m0", "m01->m2", 3])
def test_what_is_no_edge_is_refused(name):
    with pytest.raises(ValueError, match=r"is no edge|is no node|writes nothing|reads nothing"):
        parse_edge(name)


@given(
    st.integers(1, 3), st.sampled_from([(1, 1), (2, 2), (2, 1), (4, 2)]), st.booleans(), st.integers(0, 99), st.data()
)
def test_mib_reads_what_was_written(layers, heads, parallel, seed, data):
    made = graph(layers, heads[0], heads[1], parallel, seed)
    made = made.greedy(data.draw(st.integers(0, made.edges)))
    again = ib.Graph.from_mib(made.to_mib(), key_heads=heads[1])
    np.testing.assert_allclose(again.scores, made.scores, rtol=1e-6)
    np.testing.assert_array_equal(again.kept, made.kept)
    assert (again.senders, again.receivers, again.parallel) == (made.senders, made.receivers, parallel)


def test_the_graph_of_mib_has_its_edges():
    """Counted by hand: the first layer's heads read one node each in three parts, its MLP the two heads as well."""
    wire = json.loads(graph(2, 2).to_mib())
    assert wire["cfg"] == {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False}
    assert len(wire["edges"]) == 3 * 2 * 1 + 3 + 3 * 2 * 4 + 6 + 7
    assert [*wire["nodes"]] == ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1", "logits"]
    assert {"input->a0.h0<q>", "a0.h1->m0", "m0->a1.h0<v>", "a1.h1->m1", "m1->logits"} <= set(wire["edges"])
    assert all(node["in_graph"] for node in wire["nodes"].values())
    parallel = json.loads(graph(2, 2, parallel=True).to_mib())["edges"]
    assert "a0.h1->m0" not in parallel and "a0.h1->m1" in parallel


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda wire: wire.pop("edges"), "no graph of MIB"),
        (lambda wire: wire["cfg"].pop("n_heads"), "say n_heads"),
        (lambda wire: wire["cfg"].update(n_layers=True), "say n_layers"),
        (lambda wire: wire["edges"].update({"m1->m0": {"score": 1.0, "in_graph": True}}), "no edge 'm1->m0'"),
        (lambda wire: wire["edges"].update({"m0->m9": {"score": 1.0, "in_graph": True}}), "no edge 'm0->m9'"),
        (lambda wire: wire["edges"]["input->m0"].update(score="1"), 'a number "score"'),
        (lambda wire: wire["edges"]["input->m0"].update(in_graph=1), 'a Boolean "in_graph"'),
        (lambda wire: wire["edges"].update({"input": {}}), "is no edge"),
    ],
)
def test_damaged_json_of_mib_is_refused(change, words):
    wire = json.loads(graph().to_mib())
    change(wire)
    with pytest.raises(ValueError, match=words):
        ib.Graph.from_mib(json.dumps(wire))


def test_a_file_of_mib(tmp_path):
    path = tmp_path / "circuit.json"
    path.write_text(graph().to_mib(), "utf-8")
    assert ib.Graph.from_mib(path).size == graph().size
    with pytest.raises(ValueError, match="can't share the keys of 2"):
        ib.Graph.from_mib(path, key_heads=2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "from text or from the Path of a file, not from None"),
        ({"cfg": {}}, "from text or from the Path of a file"),
        ("circuits/ioi.json", r"'circuits/ioi.json' is the name of a file and no JSON.*Path\('circuits/ioi.json'\)"),
        ("nonsense", "This is not JSON"),
        (b"", "This is not JSON"),
    ],
)
def test_what_holds_no_graph_of_mib_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        ib.Graph.from_mib(given)
    with pytest.raises(ValueError, match="can't share the keys of '2'"):
        ib.Graph.from_mib(graph().to_mib(), key_heads="2")


@pytest.mark.parametrize("key_heads", [None, 1])
def test_the_score_of_a_node_is_the_sum_over_its_edges(key_heads):
    """As in the newer files of EAP-IG, whose other fields of nodes are passed over when a graph is read."""
    made = graph(2, 2, key_heads)
    wire = json.loads(made.to_mib())
    for row, name in enumerate(made.senders):
        assert wire["nodes"][name]["score"] == pytest.approx(np.nansum(made.scores[row]), rel=1e-5)
        from_node = [edge["score"] for edge_name, edge in wire["edges"].items() if edge_name.startswith(f"{name}->")]
        assert wire["nodes"][name]["score"] == pytest.approx(sum(from_node), rel=1e-5)
    assert "score" not in wire["nodes"]["logits"]
    wire["nodes"]["m0"].update(score="unknown", neurons=[True], neurons_scores=[0.5])
    np.testing.assert_allclose(ib.Graph.from_mib(json.dumps(wire), key_heads).scores, made.scores, rtol=1e-6)


# Circuits


def reachable(made):
    """By the definition: every edge of a circuit lies on a path from the input to the logits."""
    edges = [parse_edge(name) for name in made.names]

    def owners(receiver):
        return {made.senders[i] for i in np.flatnonzero(made.reads[:, made.receivers.index(receiver)])}

    fed, used = {"input"}, {"logits"}
    for _ in edges:
        fed |= {owner for sender, receiver in edges if sender.name in fed for owner in owners(receiver.name)}
        for sender, receiver in edges:
            if receiver.name in used or owners(receiver.name) & used:
                used.add(sender.name)
    return all(
        sender.name in fed and (receiver.name in used or owners(receiver.name) & used & fed)
        for sender, receiver in edges
    )


@pytest.mark.parametrize("key_heads", [None, 1])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [0, 1, 5, 20])
def test_circuits_have_no_dangling_nodes(n, seed, key_heads):
    made = graph(3, 2, key_heads, seed=seed)
    for circuit in (made.top(n), made.greedy(n), made.above(1.0), made.top(n, signed=True)):
        assert reachable(circuit)
        assert circuit.pruned().names == circuit.names
    assert made.greedy(n).size <= n and made.top(n, pruned=False).size == n


def test_top_and_above_take_the_largest_of_either_sign_unless_asked():
    made = graph()
    values = made.scores[made.real]
    assert made.top(made.edges).size == made.edges == made.greedy(made.edges).size
    assert made.above(0.5, pruned=False).size == (np.abs(values) >= 0.5).sum()
    assert made.above(0.5, signed=True, pruned=False).size == (values >= 0.5).sum()
    largest = made.top(1, pruned=False).names[0]
    assert abs(made.scores[made.index(largest)]) == np.abs(values).max()
    assert made.scores[made.index(made.top(1, signed=True, pruned=False).names[0])] == values.max()


def test_pruning_by_hand():
    chain = ["input->a0.h0<v>", "a0.h0->a1.h1<k>", "a1.h1->logits"]
    made = graph()
    for extra in ([], ["m0->logits"], ["input->a1.h2<q>"], ["input->m0", "m0->a1.h0<q>"]):
        assert set(made.with_edges([*chain, *extra]).pruned().names) == set(chain)
    assert made.with_edges(chain[1:]).pruned().size == 0
    assert made.with_edges(chain).nodes == ["input", "a0.h0", "a1.h1"]
    assert set(made.with_edges(chain).complement().names) == set(made.names) - set(chain)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 99))
def test_two_circuits_are_compared_by_their_names(n, m, seed):
    one, other = (graph(seed=seed + i).top(size, pruned=False) for i, size in enumerate((n, m)))
    mine, theirs = set(one.names), set(other.names)
    assert set(one.without(other).names) == mine - theirs == set(one.without(other.names).names)
    assert one.without(other).scores is one.scores
    for level, (a, b) in {"edge": (mine, theirs), "node": (set(one.nodes), set(other.nodes))}.items():
        assert one.jaccard(other, level=level) == (len(a & b) / len(a | b) if a | b else 1)
    assert one.jaccard(other.nodes, level="node") == one.jaccard(other, level="node")


@pytest.mark.parametrize(
    ("circuit", "options", "words"),
    [
        (5, {}, "a Graph or a list of names"),
        ("m0->logits", {}, "a Graph or a list of names"),
        (["m9->logits"], {}, "no edge"),
        (["m9"], {"level": "node"}, "no node"),
        (graph(layers=3), {}, "of another model"),
        ([], {"level": "layer"}, "no level 'layer'"),
    ],
)
def test_what_is_no_circuit_of_the_model_is_not_compared(circuit, options, words):
    with pytest.raises(ValueError, match=words):
        graph().jaccard(circuit, **options)
    if not options:
        with pytest.raises(ValueError, match=words):
            graph().without(circuit)


def test_greedy_grows_from_the_logits():
    made = graph()
    scores = np.where(made.real, np.float32(0), np.float32("nan"))
    for name, score in {"input->a0.h0<q>": 9, "a0.h0->m1": 5, "m1->logits": 1, "a1.h0->logits": 0.5}.items():
        scores[made.index(name)] = score
    made = made.model_copy(update={"scores": scores})
    assert set(made.greedy(3).names) == {"input->a0.h0<q>", "a0.h0->m1", "m1->logits"}
    assert made.greedy(2).size == 0 and made.top(2).size == 0


@pytest.mark.parametrize("n", [-1, 1.5, True, "3"])
def test_n_is_a_number_of_edges(n):
    with pytest.raises(ValueError, match="how many edges"):
        graph().top(n)


@pytest.mark.parametrize("threshold", ["x", None, True, [1.0], float("nan")])
def test_a_threshold_is_a_number(threshold):
    with pytest.raises(ValueError, match="the least score of the circuit's edges, a number, not"):
        graph().above(threshold)
    assert graph().above(np.float32(0.5)).names == graph().above(0.5).names


def test_places():
    made = graph()
    assert made.place_of("a1.h2<k>") == ib.Place(activation="k", layer=1, head=2)
    assert made.place_of("a1.h2") == ib.Place(activation="z", layer=1, head=2)
    assert made.place_of("m1") == ib.Place(activation="mlp_out", layer=1)
    assert made.place_of("input") == ib.Place(activation="resid_pre", layer=0)
    with pytest.raises(ValueError, match="no node 'm7'"):
        made.place_of("m7")
    with pytest.raises(ValueError, match="no edge 'm1->m0'"):
        made.index("m1->m0")


def test_a_graph_prints_itself():
    made = graph().greedy(12)
    text = repr(made)
    assert f"{made.size} of {made.edges} edges" in text and made.names[0] in text
    bundle = made._repr_mimebundle_()
    assert bundle["text/plain"] == text and f'alt="Graph: {made.headline()}"' in bundle["text/html"]
    assert list(made.top_edges(2)["edge"]) == made.names[:2]


def lines_of(picture):
    """Each edge of a picture: where it begins and ends, its colour and its width."""
    lines = picture.axes[0].collections[0]
    ends = [segment.round(3).tolist() for segment in lines.get_segments()]
    return list(zip(ends, map(to_hex, lines.get_colors()), lines.get_linewidths()))


def test_a_picture_of_a_circuit_by_hand():
    made = graph()
    chain = {"input->a0.h1<v>": 2.0, "a0.h1->m0": -4.0, "m0->a1.h2<q>": 1.0, "a1.h2->logits": 0.5}
    scores = np.where(made.real, np.float32(0), np.float32("nan"))
    for name, score in chain.items():
        scores[made.index(name)] = score
    made = made.model_copy(update={"scores": scores}).with_edges([*chain])
    picture = made.plot()
    drawn = lines_of(picture)
    # Heads are at 0, 1 and 2, MLPs at 3.5; the first layer is row 1. The largest edge is drawn last.
    assert [ends for ends, _, _ in drawn] == [
        [[2, 2], [1, 3]],
        [[3.5, 1.4], [1.8, 2]],
        [[1, 0], [1.2, 1]],
        [[1, 1], [3.5, 1.4]],
    ]
    assert [color for _, color, _ in drawn] == [BLUE, BLUE, BLUE, ORANGE]
    widths = np.array([width for _, _, width in drawn]) - 0.3
    np.testing.assert_allclose(widths / widths[-1], [0.125, 0.25, 0.5, 1], rtol=1e-5)
    assert picture.axes[0].get_title("left") == "4 of 75 edges"
    ticks = [tick.get_text() for tick in picture.axes[0].get_xticklabels()]
    assert ticks == ["0", "1", "2", "MLP"]
    assert [tick.get_text() for tick in picture.axes[0].get_yticklabels()] == ["input", "0", "1", "logits"]


def test_a_picture_shows_the_200_largest_edges_and_says_so():
    whole = graph(6, 6)
    picture = whole.plot()
    assert picture.axes[0].get_title("left").endswith("edges, the 200 largest are drawn")
    assert len(lines_of(picture)) == 200
    largest = whole.top(200, pruned=False)
    np.testing.assert_allclose(
        sorted(width for _, _, width in lines_of(picture)), sorted(width for _, _, width in lines_of(largest.plot()))
    )
    assert "drawn" not in largest.plot().axes[0].get_title("left")


@pytest.mark.parametrize("made", [graph().with_edges([]), graph(1, 1), graph(3, 4, 2)])
def test_every_graph_has_a_picture(made):
    png, _ = made.plot()._repr_png_()
    assert png.startswith(b"\x89PNG") and len(lines_of(made.plot())) == made.size


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"senders": ["input", "m0", "a0.h0"]}, "order in which"),
        ({"receivers": ["m0", "m0", "logits"]}, "order in which"),
        ({"receivers": ["m0", "logits"]}, "receivers for their queries"),
        ({"senders": ["m0"]}, "first sender is input"),
        ({"scores": np.zeros((2, 2), np.float32)}, "sender, receiver"),
        ({"kept": np.full((3, 5), 7, np.uint8)}, "kept is 1"),
        ({"scores": np.full((3, 5), np.inf, np.float32)}, "finite for every edge"),
        ({"by_pair": np.zeros((2, 2, 2), np.float32)}, "by_pair"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(change, words):
    good = graph(1, 1)
    parts = {name: getattr(good, name) for name in ("senders", "receivers", "scores", "kept")}
    with pytest.raises(ValueError, match=words):
        ib.Graph(**{**parts, **change})


def test_an_array_of_edges_is_boolean_and_of_the_graph_s_shape_and_names_may_be_an_array():
    some = graph()
    name = some.names[0]
    assert some.with_edges(np.array([name])).names == [name]
    with pytest.raises(ValueError, match=r"shaped \[sender, receiver\]"):
        some.with_edges(np.ones(some.scores.shape[1], bool))
