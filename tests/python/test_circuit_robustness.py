"""One circuit under every ablation: against `faithfulness`, a plain loop, and a known circuit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from test_backward import state_of
from test_faithfulness import PAIRS, SIZES
from test_interrupts import own_on

import interp_backend as ib
from edge_loop import EdgeLoop, circuit_logits
from interp_backend.common.circuits import ABLATIONS, LEVELS, POSITIONS
from plain_loop import assert_close, logit_diff
from tiny_models import INDUCTION, PAIR, PREVIOUS, boot, bridge, induction_model, random_model

LONGER = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_each_combination_is_faithfulness_with_the_same_arguments(architecture):
    model = ib.load_model(bridge(architecture))
    graph = ib.edge_attribution(model, PAIRS).greedy(30)
    found = ib.circuit_robustness(model, PAIRS, graph, seed=3)
    assert found.reasons == {} and found.provenance["complete"]
    for a, b, c in itertools.product(range(4), range(2), range(3)):
        ablation, level, positions = list(ABLATIONS)[a], list(LEVELS)[b], list(POSITIONS)[c]
        one = ib.faithfulness(
            model, PAIRS, graph, ablation=ablation, level=level, positions=positions, seed=3, sizes=SIZES,
            random_circuits=0,
        )  # fmt: skip
        ours = found.values[ablation][positions]
        assert_close(ours.values[:, b], one.chosen.values)
        np.testing.assert_allclose(ours.corrupt, one.chosen.corrupt, atol=1e-4)
        np.testing.assert_allclose(ours.clean, one.chosen.clean, atol=1e-4)
        f, rest = one.chosen.mean
        expected = pytest.approx(f, rel=1e-2, abs=1e-3), pytest.approx(rest, rel=1e-2, abs=1e-3)
        assert found.of(ablation, level, positions) == expected
        assert (found.circuit[a, b, c], found.complement[a, b, c]) == found.of(ablation, level, positions)
        low, high = one.chosen.interval
        for (ours_low, ours_high), i in ((found.interval, 0), (found.complement_interval, 1)):
            assert (ours_low[a, b, c], ours_high[a, b, c]) == (
                pytest.approx(low[i], rel=1e-2, abs=1e-2),
                pytest.approx(high[i], rel=1e-2, abs=1e-2),
            )
        assert (found.counts[b], found.totals[b]) == (one.chosen_count, one.total)


def test_equals_the_loop():
    """Nodes, ablated by zeros at the positions that differ."""
    raw = bridge("llama")
    graph = ib.edge_attribution(raw, PAIR).greedy(20)
    found = ib.circuit_robustness(raw, PAIR, graph)
    loop = EdgeLoop(raw, raw.to_tokens(PAIR.clean), False)
    fixed = {name: torch.zeros_like(one) for name, one in loop.wrote.items()}
    every = {tuple(name.split("->")) for name in graph.with_edges(graph.real).names}

    def of(nodes):
        edges = {edge for edge in every if edge[0] in nodes}
        return logit_diff(raw, circuit_logits(loop, edges, fixed, [5, 11])[-1], PAIR)

    others = set(graph.senders) - set(graph.nodes)
    nothing, own, rest, clean = of([]), of(graph.nodes), of(others), logit_diff(raw, loop.logits[-1], PAIR)
    values = found.values["zero"]["differing"]
    assert_close(values.values[0, 1], [own, rest])
    assert found.of("zero", "node", "differing") == (
        pytest.approx((own - nothing) / (clean - nothing), rel=1e-3),
        pytest.approx((rest - nothing) / (clean - nothing), rel=1e-3),
    )


def test_the_induction_circuit_is_faithful_as_edges_and_its_edges_alone_are_not_robust():
    """With zeros, the biases and the position that the circuit leaves out are missing: the number moves."""
    model = ib.load_model(induction_model())
    (a, b), (c, d) = PREVIOUS, INDUCTION
    chain = [f"input->a{a}.h{b}<v>", f"a{a}.h{b}->a{c}.h{d}<k>", f"a{c}.h{d}->logits"]
    pair = ib.PromptPair(clean="abca", corrupt="ebca", clean_answer="b", corrupt_answer="a")
    found = ib.circuit_robustness(model, pair, ib.edge_attribution(model, pair, ig_steps=10).with_edges(chain))
    assert found.of("counterfactual", "edge", "all") == pytest.approx((1, 0), abs=1e-3)
    assert found.of("counterfactual", "node", "all") == pytest.approx((1, 0), abs=1e-3)
    assert found.counts.tolist() == [3, 3]
    low, high = found.spread
    assert low < 0.9 and high == pytest.approx(np.nanmax(found.circuit))


def test_with_one_clean_prompt_two_ablations_are_absent():
    model = ib.load_model(bridge("gpt2"))
    graph = ib.edge_attribution(model, PAIR).greedy(20)
    found = ib.circuit_robustness(model, PAIR, graph)
    assert set(found.reasons) == {"mean", "resample"} and "Mean ablation needs several" in found.reasons["mean"]
    known = np.isfinite(found.circuit).all((1, 2))
    assert known.tolist() == [name not in found.reasons for name in found.ablations]
    assert np.isnan(found.interval[0]).all() and "mean: Mean ablation needs" in repr(found)


def test_a_pair_in_which_no_token_differs_leaves_these_positions_out():
    model = ib.load_model(bridge("gpt2"))
    pairs = ib.PromptPairs([PAIR, LONGER])  # the first one has been run by the time that this is known
    found = ib.circuit_robustness(model, pairs, ib.edge_attribution(model, PAIR).greedy(20))
    assert set(found.reasons) == {"differing", "mean", "resample"}
    assert found.reasons["differing"].startswith("Pair 1 (“hello there”)")
    assert np.isnan(found.circuit[:, :, 1]).all() and np.isfinite(found.circuit[[0, 2]][:, :, [0, 2]]).all()
    assert found.values["zero"]["differing"].done == 0 and found.values["zero"]["all"].done == 2


def test_a_prompt_of_its_own_length_can_not_be_resampled():
    model = ib.load_model(bridge("gpt2"))
    other = ib.PromptPair(clean="hi there", corrupt="hu there", clean_answer="a", corrupt_answer="b")
    found = ib.circuit_robustness(model, ib.PromptPairs([*PAIRS[:2], other]), ib.edge_attribution(model, PAIR).top(20))
    assert list(found.reasons) == ["resample"] and "Pair 2" in found.reasons["resample"]
    assert np.isfinite(found.circuit[:3]).all() and np.isnan(found.circuit[3]).all()


def test_it_fills_step_by_step():
    model = ib.load_model(bridge("gpt2"))
    graph = ib.edge_attribution(model, PAIRS).greedy(20)
    known, complete = [], []
    for step in ib.circuit_robustness.steps(model, PAIRS, graph):
        values = [one.values for some in step.result.values.values() for one in some.values()]
        known.append(int(np.isfinite(values).sum()) // 4)
        complete.append(step.result.provenance["complete"])
        assert step.done == known[-1] and step.total == 4 * 3 * 3
    assert known == list(range(1, 37)) and complete == [False] * 35 + [True]


def test_a_result_survives_its_file():
    model = ib.load_model(bridge("gpt2"))
    found = ib.circuit_robustness(model, PAIRS, ib.edge_attribution(model, PAIRS).greedy(20))
    again = ib.read_result(found.to_json())
    assert isinstance(again, ib.Robustness) and again.to_json() == found.to_json()
    table = again.to_dataframe()
    assert len(table) == 24 and list(table.columns[:4]) == ["ablation", "level", "positions", "circuit"]
    row = table[(table.ablation == "zero") & (table.level == "node") & (table.positions == "last")].iloc[0]
    assert (row.circuit, row.complement) == found.of("zero", "node", "last") and row.low <= row.circuit <= row.high
    assert "circuit: your own object" in ib.circuit_robustness.code(again.params)
    assert again.plot().axes and "3 pairs; f from" in repr(again)
    with pytest.raises(ValueError, match="no ablation 'noise' here"):
        again.of("noise", "edge", "all")


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda graph: graph, "Every edge of this graph is in its circuit"),
        (lambda graph: graph.with_edges([]), "No edge of this graph is in its circuit"),
        (lambda graph: "m0->logits", "circuit is a Graph"),
    ],
)
def test_what_is_no_circuit_is_refused(choose, words):
    model = ib.load_model(bridge("gpt2"))
    with pytest.raises(ValueError, match=words):
        ib.circuit_robustness(model, PAIR, choose(ib.edge_attribution(model, PAIR)))


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gpt2"), "left")
    graph = ib.edge_attribution(raw, PAIR).greedy(20)
    ib.circuit_robustness(raw, PAIR, graph)
    before = state_of(raw)
    ib.circuit_robustness(raw, PAIR, graph)
    assert state_of(raw) == before and not own_on(raw)
