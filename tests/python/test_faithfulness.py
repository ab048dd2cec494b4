"""Faithfulness: against a plain loop, patching, TransformerLens and a known circuit; curves and areas by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_backward import state_of
from test_interrupts import own_on
from transformer_lens.tools.analysis import attribution_patching as analysis

import interp_backend as ib
from edge_loop import EdgeLoop, circuit_logits
from interp_backend.results.faithfulness import area
from plain_loop import assert_close, logit_diff, token
from tiny_models import INDUCTION, PAIR, PARALLEL, PREVIOUS, boot, bridge, induction_model, random_model

PAIRS = ib.PromptPairs(
    [
        PAIR,
        PAIR.model_copy(update={"clean": "hallo there", "clean_answer": "c"}),
        PAIR.model_copy(update={"clean": "jello shere", "corrupt": "jelly shore"}),
    ]
)
SIZES = [0.1, 0.4, 1.0]


def fixed_by(ablation, loops, other):
    """What everything outside of a circuit is ablated with, for the first pair."""
    clean = loops[0].wrote
    return {
        "counterfactual": lambda: other.wrote,
        "zero": lambda: {name: torch.zeros_like(one) for name, one in clean.items()},
        "mean": lambda: {name: torch.stack([loop.wrote[name] for loop in loops]).mean(0) for name in clean},
    }[ablation]()


@pytest.mark.parametrize("ablation", ["counterfactual", "zero", "mean"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gptj"])
def test_equals_the_loop(architecture, ablation):
    raw, parallel = bridge(architecture), architecture in PARALLEL
    graph = ib.edge_attribution(raw, PAIRS)
    own = graph.greedy(30)
    found = ib.faithfulness(raw, PAIRS, own, ablation=ablation, sizes=SIZES, random_circuits=0)
    loops = [EdgeLoop(raw, raw.to_tokens(pair.clean), parallel) for pair in PAIRS]
    fixed = fixed_by(ablation, loops, EdgeLoop(raw, raw.to_tokens(PAIR.corrupt), parallel))

    def of(circuit):
        edges = {tuple(name.split("->")) for name in circuit.names}
        return logit_diff(raw, circuit_logits(loops[0], edges, fixed)[-1], PAIR)

    sizes = [int(size * graph.edges) for size in SIZES]
    absolute = [graph.top(n) for n in sizes]
    rows = [[graph.top(n, signed=True) for n in sizes], absolute, [one.complement() for one in absolute]]
    expected = [[of(circuit) for circuit in row] for row in rows]
    assert_close(found.values.values[0], expected)
    assert_close(found.chosen.values[0], [of(own), of(own.complement())])
    assert found.values.clean[0] == pytest.approx(logit_diff(raw, loops[0].logits[-1], PAIR), abs=1e-5)
    assert found.values.corrupt[0] == pytest.approx(of(graph.with_edges([])), abs=1e-4)
    np.testing.assert_array_equal(found.counts, [[circuit.size for circuit in row] for row in rows])
    assert (found.chosen_count, found.total) == (own.size, graph.edges)


@pytest.mark.parametrize("ablation", ["counterfactual", "zero", "mean"])
@pytest.mark.parametrize("positions", ["differing", "last"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gptj"])
def test_ablation_at_some_positions_equals_the_loop(architecture, positions, ablation):
    raw, parallel = bridge(architecture), architecture in PARALLEL
    graph = ib.edge_attribution(raw, PAIRS).greedy(30)
    loops = [EdgeLoop(raw, raw.to_tokens(pair.clean), parallel) for pair in PAIRS]
    ablated = fixed_by(ablation, loops, EdgeLoop(raw, raw.to_tokens(PAIR.corrupt), parallel))
    # "hello there" and "hellu theru" after <bos>; the metric is read at its end, or where it is told.
    for at, places in ((None, {"differing": [5, 11], "last": [11]}), (7, {"differing": [5, 11], "last": [7]})):
        found = ib.faithfulness(
            raw, PAIRS, graph, ablation=ablation, positions=positions, at=at, sizes=SIZES, random_circuits=0
        )

        def of(circuit, fixed_at=places[positions], at=at):
            edges = {tuple(name.split("->")) for name in circuit.names}
            logits = circuit_logits(loops[0], edges, ablated, fixed_at)
            return logit_diff(raw, logits[-1 if at is None else at], PAIR)

        assert_close(found.chosen.values[0], [of(graph), of(graph.complement())])
        assert found.values.corrupt[0] == pytest.approx(of(graph.with_edges([])), abs=1e-4)
        assert found.values.clean[0] == pytest.approx(of(graph.with_edges(graph.real)), abs=1e-4)


def test_where_no_token_differs_nothing_is_ablated_there():
    longer = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")
    model = ib.load_model(bridge("gpt2"))
    graph = ib.edge_attribution(model, longer)
    with pytest.raises(ValueError, match=r"every token of the clean one.*Ablate at all positions"):
        ib.faithfulness(model, longer, graph, positions="differing")
    shorter = ib.PromptPair(clean=longer.corrupt, corrupt=longer.clean, clean_answer="a", corrupt_answer="b")
    found = ib.faithfulness(model, shorter, graph, ablation="zero", positions="differing", sizes=SIZES)
    assert np.isfinite(found.mean).all()


def test_resampling_runs_another_clean_prompt():
    raw = bridge("gpt2")
    two = ib.PromptPairs(PAIRS[:2])
    graph = ib.edge_attribution(raw, two)
    found = ib.faithfulness(raw, two, graph, ablation="resample", sizes=SIZES, random_circuits=0)
    loops = [EdgeLoop(raw, raw.to_tokens(pair.clean), False) for pair in two]
    edges = {tuple(name.split("->")) for name in graph.top(int(0.4 * graph.edges)).names}
    expected = logit_diff(raw, circuit_logits(loops[0], edges, loops[1].wrote)[-1], PAIR)
    assert found.values.values[0, 1, 1] == pytest.approx(expected, abs=1e-5)
    assert found.values.corrupt[0] == pytest.approx(logit_diff(raw, loops[1].logits[-1], PAIR), abs=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
def test_a_circuit_of_all_nodes_but_one_is_that_node_patched(architecture):
    model = ib.load_model(bridge(architecture))
    graph = ib.edge_attribution(model, PAIR)
    nodes = len(graph.senders)
    found = ib.faithfulness(
        model, PAIR, graph, level="node", sizes=[1 / nodes, (nodes - 0.5) / nodes], random_circuits=0
    )
    least = parse(graph.senders[int(np.argmin(np.abs(np.nansum(graph.scores, 1))))])
    patched = ib.activation_patching(
        model, PAIR, activation=least.activation, direction="noise", positions={"all": range(len(PAIR.clean) + 1)},
        **({"axes": ("layer", "head", "position"), "heads": [least.head]} if least.head is not None else {}),
        layers=[least.layer],
    )  # fmt: skip
    row = found.curves.index("absolute")
    assert found.counts[row].tolist() == [1, nodes - 1] and found.total == nodes
    assert found.values.values[0, row, 1] == pytest.approx(float(patched.values.ravel()[0]), abs=1e-5)


def parse(name):
    from interp_backend.results.graph import parse_node

    return parse_node(name).place


def test_equals_transformer_lens():
    raw = boot(random_model("gpt2"), "theirs")
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    graph = ib.edge_attribution(raw, PAIR).top(60)
    found = ib.faithfulness(raw, PAIR, graph, sizes=SIZES, random_circuits=0)
    circuit = []
    for name in graph.names:
        sender, receiver = (parse(end) for end in name.split("->"))
        for at in range(clean.shape[1]):
            kind = {"resid_pre": "embed", "z": "attn_head_out", "mlp_out": "mlp_out"}[sender.activation]
            writer = analysis.Node(kind, at, None if kind == "embed" else sender.layer, sender.head)
            kind = {"logits": "logits", "mlp_out": "mlp_in"}.get(receiver.activation, f"{receiver.activation}_input")
            layer = 2 if kind == "logits" else receiver.layer
            circuit.append((writer, analysis.Node(kind, at, layer, receiver.head)))
    theirs = analysis.faithfulness(raw, clean, corrupt, lambda logits: logits[0, -1, a] - logits[0, -1, b], circuit)
    assert float(found.chosen.mean[0]) == pytest.approx(theirs.recovered, abs=1e-3)


def test_the_induction_circuit_is_faithful_and_needs_each_of_its_edges():
    model = ib.load_model(induction_model())
    (a, b), (c, d) = PREVIOUS, INDUCTION
    chain = [f"input->a{a}.h{b}<v>", f"a{a}.h{b}->a{c}.h{d}<k>", f"a{c}.h{d}->logits"]
    pair = ib.PromptPair(clean="abca", corrupt="ebca", clean_answer="b", corrupt_answer="a")
    graph = ib.edge_attribution(model, pair, ig_steps=10)
    options = {"sizes": [3 / graph.edges, 1.0], "random_circuits": 2}
    found = ib.faithfulness(model, pair, graph.with_edges(chain), **options)
    assert found.chosen.mean == pytest.approx([1, 0], abs=1e-3)
    np.testing.assert_allclose(found.curve("absolute"), 1, atol=1e-3)
    np.testing.assert_allclose([found.curve(f"random {i}")[0] for i in range(2)], 0, atol=1e-3)
    assert (found.cpr, found.cmd) == (pytest.approx(1 - 3 / graph.edges, abs=1e-3), pytest.approx(0, abs=1e-3))
    for edge in chain:
        without = graph.with_edges([one for one in chain if one != edge])
        broken = ib.faithfulness(model, pair, without, **options)
        assert broken.chosen.mean[0] == pytest.approx(0, abs=1e-3), edge


# Curves and areas


def test_areas_and_intervals_by_hand():
    model = ib.load_model(bridge("gpt2"))
    graph = ib.edge_attribution(model, PAIRS, keep_pairs=True)
    found = ib.faithfulness(model, PAIRS, graph, sizes=SIZES)
    values, clean, corrupt = found.values.values, np.array(found.values.clean), np.array(found.values.corrupt)
    f = (values.mean(0) - corrupt.mean()) / (clean.mean() - corrupt.mean())
    np.testing.assert_allclose(found.mean, f, atol=1e-4 * np.abs(f).max())
    signed, absolute = f[0], f[1]
    cpr = 0.3 * (signed[0] + signed[1]) / 2 + 0.6 * (signed[1] + signed[2]) / 2
    off = np.abs(1 - absolute)
    assert found.cpr == pytest.approx(cpr, rel=1e-3)
    assert found.cmd == pytest.approx(0.3 * (off[0] + off[1]) / 2 + 0.6 * (off[1] + off[2]) / 2, rel=1e-3)
    low, high = found.areas["cpr"]
    assert low <= found.cpr <= high
    assert found.curves == ["signed", "absolute", "complement", "random 0", "random 1", "random 2"]
    assert all(0 <= one <= 1 for one in found.jaccard) and found.jaccard[-1] == 1 and found.chosen is None
    assert f"CPR {found.cpr:.3f}" in repr(found) and f"CMD {found.cmd:.3f}" in repr(found)


def test_the_area_of_circuits_that_do_nothing_is_a_quarter():
    sizes = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert area(sizes, np.array([0.0] * 9 + [1.0])) == pytest.approx(0.25)
    assert area(sizes, np.ones((2, 10))).tolist() == pytest.approx([0.999, 0.999])


def test_all_of_a_model_is_faithful_and_nothing_is_not():
    model = ib.load_model(bridge("llama"))
    graph = ib.edge_attribution(model, PAIRS)
    found = ib.faithfulness(model, PAIRS, graph, sizes=[0.001, 1.0], greedy=True)
    for name in found.curves:
        ends = (1, 0) if name == "complement" else (0, 1)
        np.testing.assert_allclose(found.curve(name), ends, atol=1e-3)


def test_equal_circuits_are_run_once(monkeypatch):
    from interp_backend.common import circuits as module

    runs, real = [], module.run_circuits

    def counted(turn, base, circuits, **options):
        runs.append(len(circuits))
        return real(turn, base, circuits, **options)

    monkeypatch.setattr(module, "run_circuits", counted)
    model = ib.load_model(bridge("gpt2"))
    ib.faithfulness(model, PAIR, ib.edge_attribution(model, PAIR), sizes=[0.001, 0.002, 1.0], random_circuits=0)
    assert runs == [2]  # nothing and everything


def test_prompts_of_different_lengths():
    longer = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")
    model = ib.load_model(bridge("llama"))
    found = ib.faithfulness(model, longer, ib.edge_attribution(model, longer), sizes=SIZES)
    assert np.isfinite(found.mean).all()


def test_a_result_survives_its_file():
    model = ib.load_model(bridge("gpt2"))
    found = ib.faithfulness(model, PAIRS, ib.edge_attribution(model, PAIRS).top(20), sizes=SIZES, level="node")
    again = ib.read_result(found.to_json())
    assert again.to_json() == found.to_json() and again.level == "node"
    assert len(again.to_dataframe()) == found.counts.size and "circuit: your own object" in ib.faithfulness.code(
        again.params
    )
    with pytest.raises(ValueError, match="no curve 'greedy'"):
        again.curve("greedy")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ablation": "mean"}, "Mean ablation needs several"),
        ({"ablation": "resample"}, "Resample ablation needs several"),
        ({"positions": "first"}, "There is no choice of positions 'first'"),
        ({"seed": None}, "seed is the seed of everything that is drawn, 0 or more, not None"),
        ({"ablation": "noise"}, "There is no ablation 'noise'"),
        ({"sizes": [0.5]}, "two or more parts"),
        ({"sizes": [0.5, 0.1]}, "ascending"),
        ({"sizes": [0.0, 1.0]}, "from 0 to 1"),
        ({"sizes": 3}, "two or more parts"),
        ({"level": "node", "greedy": True}, "grow greedily by edges"),
        ({"metric": ["logit_diff", "prob"]}, "scores of one metric"),
        ({"circuit": "m0->logits"}, "circuit is a Graph"),
    ],
)
def test_what_can_not_be_tested_is_refused(options, words):
    model = ib.load_model(bridge("gpt2"))
    options = {"circuit": ib.edge_attribution(model, PAIR), **options}
    with pytest.raises(ValueError, match=words):
        ib.faithfulness(model, PAIR, **options)


def test_a_graph_of_another_model_is_refused():
    ungrouped = ib.Graph.from_mib(ib.edge_attribution(bridge("gpt2"), PAIR).to_mib())
    with pytest.raises(ValueError, match=r"of another model.*key_heads=2"):
        ib.faithfulness(bridge("llama"), PAIR, ungrouped)
    shared = ib.Graph.from_mib(ungrouped.to_mib(), key_heads=2)
    assert np.isfinite(ib.faithfulness(bridge("llama"), PAIR, shared, sizes=SIZES).mean).all()


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gpt2"), "left")
    graph = ib.edge_attribution(raw, PAIR)
    ib.faithfulness(raw, PAIR, graph, sizes=SIZES)
    before = state_of(raw)
    ib.faithfulness(raw, PAIR, graph, sizes=SIZES, level="node", ablation="zero")
    assert state_of(raw) == before and not own_on(raw)


def test_a_graph_of_a_model_with_another_wiring_is_refused():
    side_by_side, in_turn = (ib.load_model(bridge(name)) for name in ("gpt_neox", "gpt2"))
    graph = ib.edge_attribution(side_by_side, PAIR)
    with pytest.raises(ValueError, match="attention and MLP side by side, and this model's one after the other"):
        ib.faithfulness(in_turn, PAIR, graph, random_circuits=0)


def test_areas_over_other_sizes_say_that_they_are_not_the_benchmarks():
    model = ib.load_model(bridge("gpt2"))
    graph = ib.edge_attribution(model, PAIR)
    some, usual = (
        ib.faithfulness(model, PAIR, graph, random_circuits=0, **options) for options in ({"sizes": [0.2, 0.5]}, {})
    )
    assert "areas from 0.2 to 0.5: not the benchmark's" in repr(some)
    assert "not the benchmark's" not in repr(usual)
