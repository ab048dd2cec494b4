"""ACDC: edge for edge the circuit of a plain sequential loop, known circuits recovered, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from acdc_loop import SlowSearch, from_the_logits_down, kl
from test_backward import state_of
from test_interrupts import own_on

import interp_backend as ib
from edge_loop import EdgeLoop
from interp_backend.methods import acdc as module
from plain_loop import logit_diff
from tiny_models import (
    INDUCTION,
    PAIR,
    PARALLEL,
    PREVIOUS,
    boot,
    bridge,
    compiled_model,
    induction_model,
    loud_bridge,
    random_model,
)

PAIRS = ib.PromptPairs([PAIR, PAIR.model_copy(update={"clean": "jello shere", "corrupt": "jelly shore"})])


def loops_of(raw, pairs, parallel=False):
    """For each pair its loop, and what the senders write in the corrupt run."""
    return [
        (EdgeLoop(raw, raw.to_tokens(pair.clean), parallel), EdgeLoop(raw, raw.to_tokens(pair.corrupt), parallel).wrote)
        for pair in pairs
    ]


def kl_at_the_end(logits, loop):
    return kl(logits[-1], loop.logits[-1])


def edges_of(graph):
    return from_the_logits_down([tuple(name.split("->")) for name in graph.names])


def same(found, slow):
    """The same circuit, and the same numbers by which it was found."""
    assert {tuple(name.split("->")) for name in found.names} == slow.kept
    for edge, growth in slow.growth.items():
        assert found.scores[found.index("->".join(edge))] == pytest.approx(growth, abs=2e-5), edge


def searched_slowly(loops, start, threshold, loss=kl_at_the_end, edges=None):
    """The loop's circuit, of which no decision is so near the threshold that rounding could turn it."""
    slow = SlowSearch(loops, edges or edges_of(start), threshold, loss)
    assert slow.margin(threshold) > 2e-6 and 1 < len(slow.kept) < len(edges_of(start)) - 1
    return slow


THRESHOLDS = {"gpt2": 5e-5, "llama": 2.5e-3, "gpt_neox": 1.3e-4, "gemma2": 7e-4, "qwen2": 9e-4}


@pytest.mark.parametrize("architecture", THRESHOLDS)
def test_equals_the_loop(architecture):
    raw, threshold = loud_bridge(architecture), THRESHOLDS[architecture]
    start = ib.edge_attribution(raw, PAIRS).greedy(60)
    slow = searched_slowly(loops_of(raw, PAIRS, architecture in PARALLEL), start, threshold)
    found = ib.acdc(raw, PAIRS, threshold=threshold, start=start)
    same(found, slow)
    assert found.provenance["complete"] and found.baselines["clean"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("ablation", "order"), [("zero", "reverse"), ("counterfactual", "forward")])
def test_other_ablations_orders_and_metrics_equal_the_loop(ablation, order):
    """The loss of a logit difference is how far it falls."""
    raw = loud_bridge("llama")
    start = ib.edge_attribution(raw, PAIR).greedy(60)
    loops = loops_of(raw, [PAIR])
    if ablation == "zero":
        loops = [(loop, {name: torch.zeros_like(one) for name, one in loop.wrote.items()}) for loop, _ in loops]
    edges = edges_of(start)
    if order == "forward":
        receivers = list(dict.fromkeys(receiver for _, receiver in edges))
        edges = sorted(reversed(edges), key=lambda edge: receivers.index(edge[1]))
    slow = searched_slowly(loops, start, 0.02, lambda logits, _: -logit_diff(raw, logits[-1], PAIR), edges)
    options = {"metric": "logit_diff", "ablation": ablation, "order": order}
    found = ib.acdc(raw, PAIR, threshold=0.02, start=start, **options)
    same(found, slow)
    assert found.metric_label == "loss of logit difference" and found.size == len(slow.kept)


def test_the_embedded_model_equals_the_loop(embedded, capitals):
    start = ib.edge_attribution(embedded, capitals, ig_steps=5).greedy(60)
    slow = searched_slowly(loops_of(embedded.raw, [capitals]), start, 0.05)
    same(ib.acdc(embedded, capitals, threshold=0.05, start=start), slow)


def test_the_induction_circuit_is_recovered_and_equals_the_loop():
    raw = induction_model()
    (a, b), (c, d) = PREVIOUS, INDUCTION
    chain = [f"input->a{a}.h{b}<v>", f"a{a}.h{b}->a{c}.h{d}<k>", f"a{c}.h{d}->logits"]
    pair = ib.PromptPair(clean="abca", corrupt="ebca")
    found = ib.acdc(raw, pair, threshold=0.01)
    assert sorted(found.names) == sorted(chain) and found.roc(chain).auc == 1
    every = found.with_edges(found.real).names
    start = found.with_edges(list({*chain, *np.random.default_rng(0).choice(every, 50, replace=False)}))
    slow = searched_slowly(loops_of(raw, [pair]), start, 0.01)
    assert {tuple(name.split("->")) for name in chain} == slow.kept
    same(ib.acdc(raw, pair, threshold=0.01, start=start), slow)


@pytest.mark.parametrize(
    ("program", "pair", "circuit"),
    [
        ("reverse", ("abcdef", "gbcdef"), ["input->m0", "m0->a1.h2<v>", "a1.h2->logits"]),
        ("majority", ("xxaxbx", "xaaxba"), ["input->a0.h1<v>", "a0.h1->m1", "m1->logits"]),
    ],
)
def test_a_compiled_circuit_is_recovered(program, pair, circuit):
    model = ib.load_model(compiled_model(program))
    pair = ib.PromptPair(clean=pair[0], corrupt=pair[1])
    for threshold in (0.001, [1e-4, 1e-3, 1e-2, 0.1]):
        found = ib.acdc(model, pair, threshold=threshold)
        assert sorted(found.names) == sorted(circuit)
        assert found.roc(circuit).auc == 1
        assert found.roc([name.split("->")[0] for name in circuit], level="node").auc == 1


# Guesses


def test_guesses_decide_how_much_is_run_and_not_what_is_found(monkeypatch):
    """However many edges are run ahead, and whatever is guessed of them."""
    model = ib.load_model(loud_bridge("llama"))
    options = {"threshold": 2.5e-3, "start": ib.edge_attribution(model, PAIR).top(80)}
    expected = ib.acdc(model, PAIR, **options)
    assert 10 < expected.size < 60
    for runs in (1, 7):
        with monkeypatch.context() as patch:
            patch.setattr(module, "MOST_RUNS", runs)
            found = ib.acdc(model, PAIR, **options)
        np.testing.assert_array_equal(found.kept, expected.kept)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    real = module._Guesses

    def wild(growth, length):
        return real(np.random.default_rng(0).choice([0.0, 1.0], growth.shape), length)

    monkeypatch.setattr(module, "_Guesses", wild)
    np.testing.assert_array_equal(ib.acdc(model, PAIR, **options).kept, expected.kept)


def test_passes_are_no_more_than_receivers_and_kept_edges(monkeypatch):
    model = ib.load_model(loud_bridge("llama"))
    passes = []
    real = module.measured
    monkeypatch.setattr(
        module, "measured", lambda sweep, edges, outside: (passes.append(len(edges)), real(sweep, edges, outside))[1]
    )
    found = ib.acdc(model, PAIR, threshold=5e-3)
    assert len(passes) <= len(found.receivers) + found.size and sum(passes) < 2 * found.edges


# Several thresholds


def test_each_threshold_has_the_circuit_of_its_own_search():
    model = ib.load_model(loud_bridge("gpt_neox"))
    thresholds = [1e-4, 1e-3, 1e-2]
    found = ib.acdc(model, PAIRS, threshold=[1e-3, 1e-2, 1e-4])
    alone = [ib.acdc(model, PAIRS, threshold=one) for one in thresholds]
    assert found.thresholds == thresholds and found.circuits.shape[0] == 3
    for one, threshold, value in zip(alone, thresholds, found.values):
        circuit = found.at(threshold)
        np.testing.assert_array_equal(circuit.kept, one.kept)
        assert one.values == [pytest.approx(value, abs=1e-6)] and one.at(threshold) is one
    np.testing.assert_array_equal(found.kept, alone[0].kept)
    for at in np.argwhere(found.real):
        gone = [threshold for one, threshold in zip(alone, thresholds) if not one.kept[tuple(at)]]
        expected = gone[0] if gone else alone[-1].scores[tuple(at)]
        assert found.scores[tuple(at)] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ValueError, match=r"no circuit of the threshold 0.5. Choose one of 0.0001, 0.001, 0.01"):
        found.at(0.5)
    with pytest.raises(ValueError, match="of no search"):
        ib.edge_attribution(model, PAIR).at(0.5)


def test_scores_are_what_each_edge_cost():
    model = ib.load_model(loud_bridge("llama"))
    found = ib.acdc(model, PAIR, threshold=5e-3)
    kept = found.kept.astype(bool)
    assert (found.scores[kept] >= 5e-3).all() and (found.scores[found.real & ~kept] < 5e-3).all()
    np.testing.assert_array_equal(found.above(5e-3, signed=True, pruned=False).kept, found.kept)
    clean = found.baselines["clean"]
    removed = found.scores[found.real & ~kept].sum(dtype=np.float64)
    assert clean == 0 and found.values[0] == pytest.approx(removed, rel=1e-3)  # what was removed is all that it lost


def test_a_random_order_is_the_seeds():
    model = ib.load_model(loud_bridge("llama"))
    some = [ib.acdc(model, PAIR, threshold=5e-3, order="random", seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(some[0].kept, some[1].kept)
    assert (some[0].scores != some[2].scores)[some[0].real].any()


def test_the_largest_of_another_graph_are_run_beside_each_circuit():
    model = ib.load_model(loud_bridge("llama"))
    graph = ib.edge_attribution(model, PAIR)
    for threshold in (5e-3, [1e-3, 5e-3]):
        found = ib.acdc(model, PAIR, threshold=threshold, beside=graph)
        alone = ib.acdc(model, PAIR, threshold=threshold)
        np.testing.assert_array_equal(found.kept, alone.kept)
        assert alone.values_beside == [] and len(found.values_beside) == len(found.thresholds)
        for at, value in zip(found.thresholds, found.values_beside):
            largest = graph.top(found.at(at).size, pruned=False)
            own = ib.faithfulness(model, PAIR, largest, metric="kl", sizes=[0.5, 1.0], random_circuits=0)
            assert value == pytest.approx(float(own.chosen.values[0, 0]), rel=1e-3)
    assert "beside: your own object" in ib.acdc.code(found.params)
    assert ib.read_result(found.to_json()).values_beside == found.values_beside


# Steps


def test_edges_vanish_step_by_step_and_a_stop_keeps_the_circuit_so_far():
    model = ib.load_model(loud_bridge("llama"))
    whole = ib.acdc(model, PAIR, threshold=5e-3)
    sizes, steps = [], ib.acdc.steps(model, PAIR, threshold=5e-3)
    for step in steps:
        sizes.append(step.result.size)
        assert step.done <= step.total == whole.edges
        if step.done > whole.edges / 3:
            break
    steps.close()
    assert sizes[0] == whole.edges and sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 2
    found = step.result
    assert not found.provenance["complete"] and found.values == [None]
    assert found.provenance["undecided"] == step.total - step.done and whole.provenance["undecided"] == 0
    assert whole.size < found.size < whole.edges and (found.kept >= whole.kept).all()


# The result


def test_a_result_survives_its_file_and_is_drawn():
    import hookscope as hs

    model = ib.load_model(loud_bridge("gpt2"))
    for threshold in (1e-3, [1e-4, 1e-3]):
        found = ib.acdc(model, PAIRS, threshold=threshold)
        again = ib.read_result(found.to_json())
        assert again.to_json() == found.to_json() and again.thresholds == found.thresholds
        code = ib.acdc.code(again.params)
        assert f"threshold={threshold}," in code and "start" not in code
        assert ib.Graph.from_mib(found.to_mib()).names and again.plot().axes
        view = hs.CircuitGraph(result=found)
        assert view.result is found and view.circuit.size > 0
        assert set(view.circuit.names) <= set(found.names)
        sent = view.get_state("result")["result"]
        assert "circuits" not in sent and sent["size"] == found.size
        view.close()
    names = {"model": model}
    exec(code.replace("result.plot()", ""), names)
    np.testing.assert_array_equal(names["result"].circuits, found.circuits)
    assert "edges by threshold: 0.0001: " in repr(found)
    start = ib.acdc(model, PAIRS, threshold=1e-3, start=found)
    assert "start: your own object" in ib.acdc.code(start.params)


def test_a_search_from_a_circuit_stays_in_it():
    model = ib.load_model(loud_bridge("llama"))
    start = ib.edge_attribution(model, PAIR).top(50)
    found = ib.acdc(model, PAIR, threshold=5e-3, start=start)
    assert found.size < start.size and (found.kept <= start.kept).all()
    assert (found.scores[found.real & (start.kept == 0)] == 0).all()
    own = ib.faithfulness(model, PAIR, start, metric="kl", sizes=[0.5, 1.0], random_circuits=0)
    assert found.baselines["start"] == pytest.approx(float(own.chosen.values[0, 0]), rel=1e-3)
    again = ib.faithfulness(model, PAIR, found, metric="kl", sizes=[0.5, 1.0], random_circuits=0)
    assert found.values == [pytest.approx(float(again.chosen.values[0, 0]), rel=1e-3)]


def test_prompts_of_different_lengths():
    longer = ib.PromptPair(clean="hello there", corrupt="hello you there")
    model = ib.load_model(bridge("llama"))
    found = ib.acdc(model, ib.PromptPairs([longer, longer.model_copy(update={"clean": "hi there"})]), threshold=1e-3)
    assert found.provenance["complete"] and found.size < found.edges


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 0}, "a number above 0"),
        ({"threshold": -0.1}, "a number above 0"),
        ({"threshold": float("nan")}, "a number above 0"),
        ({"threshold": True}, "a number above 0"),
        ({"threshold": "0.1"}, "a number above 0"),
        ({"threshold": []}, "a number above 0"),
        ({"threshold": [0.1, None]}, "a number above 0"),
        ({"threshold": [0.1, 0.1]}, "each threshold once"),
        ({"threshold": np.array([[0.1, 0.2]])}, "a number above 0"),
        ({"threshold": np.array(0.0)}, "a number above 0"),
        ({"threshold": np.linspace(0.1, 1, 101)}, "at most 100: here are 101"),
        ({"order": "upwards"}, "There is no order 'upwards'"),
        ({"ablation": "noise"}, "There is no ablation 'noise'"),
        ({"ablation": "mean"}, "Mean ablation needs several"),
        ({"metric": ["kl", "prob"]}, "scores of one metric"),
        ({"metric": lambda logits: logits[:, 0] * float("nan")}, "no finite number in the run of a circuit"),
        ({"start": "m0->logits"}, "start is a Graph"),
        ({"beside": 5}, "beside is a Graph"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_what_can_not_be_searched_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ib.acdc(bridge("gpt2"), PAIR, **{"threshold": 0.1, **options})


def test_a_metric_of_an_answer_needs_one():
    with pytest.raises(ValueError, match="clean answer"):
        ib.acdc(bridge("gpt2"), ib.PromptPair(clean="hello", corrupt="hallo"), threshold=0.1, metric="logit_diff")


def test_a_circuit_of_another_model_or_of_nothing_is_refused():
    other = ib.edge_attribution(bridge("gpt2"), PAIR)
    with pytest.raises(ValueError, match="No edge of start is in its circuit"):
        ib.acdc(bridge("gpt2"), PAIR, threshold=0.1, start=other.with_edges([]))
    for name in ("start", "beside"):
        with pytest.raises(ValueError, match="of another model"):
            ib.acdc(bridge("llama"), PAIR, threshold=0.1, **{name: other})


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gpt2"), "left")
    ib.acdc(raw, PAIR, threshold=1e-3)
    before = state_of(raw)
    ib.acdc(raw, PAIR, threshold=1e-3, ablation="zero")
    assert state_of(raw) == before and not own_on(raw)
