"""Causal scrubbing: against the paper's recursion, on a known circuit, and at its ends."""

from __future__ import annotations

import json
import random
import string
from functools import cache, partial

import numpy as np
import pytest
import torch
from architectures import booted
from scrub_loop import ScrubLoop
from test_backward import state_of
from test_interrupts import own_on

import interp_backend as ib
from edge_loop import EdgeLoop
from interp_backend.methods.activation_patching import tokenize_all
from interp_backend.results.codec import decode_array
from interp_backend.results.hypothesis import value_of
from interp_backend.results.scrubbing import CONSTANT, FIRST_NODE, SCRUBBED
from plain_loop import assert_close
from tiny_models import (
    INDUCTION,
    PARALLEL,
    PREVIOUS,
    boot,
    bridge,
    induction_model,
    loud_bridge,
    random_model,
)

WORDS = ["hello", "house", "chair", "horse", "sheep", "hound", "ahead", "cello", "chase", "shelf"]
ANSWERS = "aeioaeioae"


def pairs_of(texts, answers):
    others = [*zip(texts[1:], answers[1:]), (texts[0], answers[0])]
    return ib.PromptPairs(
        [
            ib.PromptPair(clean=text, corrupt=other, clean_answer=answer, corrupt_answer=another)
            for (text, answer), (other, another) in zip(zip(texts, answers), others)
        ]
    )


PAIRS = pairs_of(WORDS, ANSWERS)


def vowels(datum):
    return sum(letter in "aeiou" for letter in datum.text)


# Heads that are read twice, heads that share keys, an MLP and heads inside, inputs with features of their own.
DEEP = ib.Hypothesis(
    edges=[
        "a2.h1->logits", "a1.h2->logits", "m1->logits", "input->logits",
        "a1.h2->a2.h1<k>", "a1.h3->a2.h1<k>", "m0->a2.h1<v>", "input->a2.h1<q>",
        "a0.h1->a1.h2", "input->a1.h3<v>", "a0.h0->a1.h3<k>",
        "a0.h0->m1", "m0->m1", "input->a0.h1<v>",
    ],
    agree={
        "a2.h1": "answer", "a1.h2": "token@1", "m1": vowels, "a1.h3<q>": "class@-1", "a0.h1": "previous",
        "a2.h1<v>": "side", "a0.h0": "anything", "a0.h1<k>": "position@-2",
    },
)  # fmt: skip


edge_loop = cache(EdgeLoop)


def expected(model, found, pairs, parallel, sample, separately=False, unscrubbed=None):
    """The log-probability of each datum's answer by the recursion."""
    prompts = [model.to_ids(datum.text) for datum in found.data]
    drawn = {node.path: found.sources[sample, at] for at, node in enumerate(found.tree)}
    edges, agree = DEEP.edges, DEEP.agree
    loops = [edge_loop(model.raw, tuple(prompt), parallel) for prompt in prompts]
    loop = ScrubLoop(loops, edges, agree, drawn, separately, unscrubbed)
    values = []
    for i, datum in enumerate(found.data):
        (answer,) = model.answer_ids(datum.answers[0], datum.text)
        values.append(float(loop.logits(i).float().log_softmax(-1)[answer]))
    assert loop.runs > 3 * len(prompts)
    return np.array(values)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "gpt_neo", "gemma2"])
def test_equals_the_recursion(architecture):
    model, parallel = ib.load_model(loud_bridge(architecture)), architecture in PARALLEL
    few = ib.PromptPairs(PAIRS[:3])
    found = ib.causal_scrubbing(model, DEEP, few, samples=2, sides="both", seed=1)
    loops = [expected(model, found, few, parallel, sample) for sample in (0, 1)]
    values = found.values.values
    assert_close(values[:, SCRUBBED], np.mean(loops, 0), 1e-4)
    assert np.abs(values[:, SCRUBBED] - np.array(found.values.clean)).max() > 0.05
    assert found.nodes[0] == "input" and len(found.nodes) == 11
    for node in ("a1.h2", "a2.h1<v>"):
        ours = values[:, FIRST_NODE + found.nodes.index(node)]
        each = [expected(model, found, few, parallel, sample, unscrubbed=node) for sample in (0, 1)]
        assert_close(ours, np.mean(each, 0), 1e-4)
        assert np.abs(ours - values[:, SCRUBBED]).max() > 1e-3, node


def test_separately_equals_the_recursion():
    model = ib.load_model(loud_bridge("llama"))
    few = ib.PromptPairs(PAIRS[:3])
    found = ib.causal_scrubbing(model, DEEP, few, samples=1, sides="both", others="separately", unscrub="none")
    loop = expected(model, found, few, False, 0, separately=True)
    assert_close(found.values.values[:, SCRUBBED], loop, 1e-4)
    together = ib.causal_scrubbing(model, DEEP, few, samples=1, sides="both", unscrub="none")
    assert np.abs(together.values.values[:, SCRUBBED] - loop).max() > 1e-3


def test_what_is_not_named_can_be_left_unscrubbed_too():
    model = ib.load_model(loud_bridge("gpt2"))
    few = ib.PromptPairs(PAIRS[:3])
    found = ib.causal_scrubbing(model, DEEP, few, samples=1, sides="both", unscrub="all")
    assert {*found.nodes} == {*DEEP.nodes} | {
        "input",
        *(f"a{i}.h{j}" for i in range(3) for j in range(4)),
        "m0",
        "m1",
        "m2",
    }
    for node in ("a2.h2", "m2", "a0.h1<k>"):
        loop = expected(model, found, few, False, 0, unscrubbed=node)
        assert_close(found.values.values[:, FIRST_NODE + found.nodes.index(node)], loop, 1e-4)


@pytest.mark.parametrize("raw", [partial(bridge, "qwen2"), partial(booted, "boot_native, attention only")])
def test_everything_exact_is_the_model(raw):
    """Every node is put together from all that it reads; of the larger model, some are taken whole."""
    model = ib.load_model(raw())
    senders = ib.edge_attribution(model, PAIRS[0]).senders
    first = [name for name in senders if name == "input" or name[1] == "0"]
    edges = [f"{name}->logits" for name in senders] + [f"{name}->a1.h{head}" for name in first for head in range(4)]
    found = ib.causal_scrubbing(model, ib.Hypothesis(edges=edges), PAIRS, unscrub="none", samples=1)
    assert len(found.tree) > 80
    assert_close(found.values.values[:, SCRUBBED], found.values.clean, 1e-4)
    assert found.recovered == pytest.approx(100, abs=1e-2) and found.interval == pytest.approx((100, 100), abs=1e-2)


def test_a_graph_is_the_hypothesis_that_its_circuit_is_all():
    model = ib.load_model(bridge("llama"))
    graph = ib.edge_attribution(model, PAIRS[0]).greedy(12)
    found = ib.causal_scrubbing(model, graph, PAIRS, unscrub="none", samples=1)
    assert found.hypothesis == ib.Hypothesis.of(graph) and {*found.hypothesis.nodes} <= {*graph.senders}
    same = ib.causal_scrubbing(model, ib.Hypothesis.of(graph), PAIRS, unscrub="none", samples=1)
    np.testing.assert_array_equal(found.values.values, same.values.values)


def test_all_nodes_whole_and_exact_is_the_model():
    model = ib.load_model(bridge("gpt2"))
    every = [f"{name}->logits" for name in ib.edge_attribution(model, PAIRS[0]).senders]
    found = ib.causal_scrubbing(model, ib.Hypothesis(edges=every), PAIRS, samples=1)
    assert found.recovered == pytest.approx(100, abs=1e-2)
    np.testing.assert_allclose(found.shares, 0, atol=1e-2)


def test_an_empty_hypothesis_recovers_what_shuffling_gives():
    model = ib.load_model(bridge("gpt2"))
    found = ib.causal_scrubbing(model, ib.Hypothesis(), PAIRS, samples=3)
    np.testing.assert_allclose(found.values.values[:, SCRUBBED], found.values.corrupt, atol=1e-4)
    assert found.recovered == pytest.approx(0, abs=1e-2) and found.nodes == [] and len(found.tree) == 2


def repeats(count=16, length=6):
    """Random letters of which the first comes again, so that the second is next."""
    rng = random.Random(0)
    texts = ["".join(rng.sample(string.ascii_lowercase, length)) for _ in range(count)]
    return pairs_of([text + text[0] for text in texts], [text[1] for text in texts])


def induction(seen="input->a0.h2<v>"):
    (a, b), (c, d) = PREVIOUS, INDUCTION
    previous, head = f"a{a}.h{b}", f"a{c}.h{d}"
    # The heads look at positions, which are the same in all data: their queries and keys need the input of any datum.
    edges = [f"{head}->logits", f"{previous}->{head}<k>", f"input->{head}<q>", f"input->{head}<v>", seen]
    return ib.Hypothesis(edges=edges)


def test_the_true_hypothesis_of_an_induction_model_recovers_it_and_wrong_ones_do_not():
    model, data = ib.load_model(induction_model()), repeats()
    true = ib.causal_scrubbing(model, induction(), data, metric="prob")
    assert true.recovered == pytest.approx(100, abs=1)
    # The keys need what the previous-token head wrote: without it, or with another head, nothing is found.
    other = ib.Hypothesis(edges=[edge.replace("a0.h2", "a0.h1") for edge in induction().edges])
    blind = ib.Hypothesis(edges=[edge for edge in induction().edges if "a0.h2" not in edge])
    for wrong in (other, blind):
        assert ib.causal_scrubbing(model, wrong, data, metric="prob", unscrub="none").recovered < 40
    # Left unscrubbed, the head that the wrong hypothesis lacks gives everything back.
    found = ib.causal_scrubbing(model, blind, data, metric="prob", unscrub="all")
    shares = dict(zip(found.nodes, found.shares))
    assert shares["a0.h2"] > 30 and abs(shares["a0.h1"]) < 5


def test_a_feature_that_is_enough_recovers_all_and_another_does_not():
    """The queries of the induction head need the last token and nothing else of their datum."""
    model = ib.load_model(induction_model())
    letters, rng = string.ascii_lowercase, random.Random(1)
    bodies = ["".join(rng.sample(letters[4:], 4)) for _ in range(16)]
    # One of four letters comes again at the end; for each of them, four data agree.
    texts = [letters[i % 4] + body + letters[i % 4] for i, body in enumerate(bodies)]
    data, edges = pairs_of(texts, [text[1] for text in texts]), induction().edges
    enough = ib.Hypothesis(edges=edges, agree={f"a{INDUCTION[0]}.h{INDUCTION[1]}<q>": "token@-1"})
    found = ib.causal_scrubbing(model, enough, data, metric="prob")
    assert found.recovered == pytest.approx(100, abs=1)
    at = [node.path for node in found.tree].index("logits/a1.h1/a1.h1<q>")
    assert (found.sources[:, at] != np.arange(16)).any()
    wrong = ib.Hypothesis(edges=edges, agree={f"a{INDUCTION[0]}.h{INDUCTION[1]}<q>": "anything"})
    assert ib.causal_scrubbing(model, wrong, data, metric="prob").recovered < 60


def test_what_stands_in_agrees_with_the_reader():
    model = ib.load_model(bridge("gpt2"))
    found = ib.causal_scrubbing(model, DEEP, PAIRS, samples=3, sides="both", unscrub="none")
    hypothesis = found.hypothesis.with_features({"vowels": vowels})
    assert hypothesis == DEEP and len(found.data) == 20
    for at, node in enumerate(found.tree[1:], 1):
        feature = hypothesis.feature(node.node) if node.named else "anything"
        ours, readers = found.sources[:, at].ravel(), found.sources[:, node.reader].ravel()
        if feature == "exact":
            assert (ours == readers).all(), node.path
        elif feature == "anything":
            assert len(set(ours.tolist())) > 12, node.path
        else:
            for one, other in zip(ours, readers):
                assert value_of(feature, found.data[one], one) == value_of(feature, found.data[other], other), node.path
            assert (ours != readers).any(), node.path
    table = found.stand_ins(3, sample=1)
    assert list(table.columns) == ["path", "agrees", "datum", "text"] and len(table) == len(found.tree)
    row = table[table.path == "logits/m1"].iloc[0]
    assert row.agrees == "vowels" and vowels(found.data[row.datum]) == vowels(found.data[3])
    with pytest.raises(ValueError, match="datum is a number from 0 to 19"):
        found.stand_ins(20)


def test_draws_are_those_of_the_seed_and_of_the_path():
    model = ib.load_model(bridge("gpt2"))

    def sources(hypothesis, **options):
        found = ib.causal_scrubbing(model, hypothesis, PAIRS, unscrub="none", sides="both", **options)
        return {node.path: found.sources[:, at] for at, node in enumerate(found.tree)}, found

    one, found = sources(DEEP, seed=2, samples=2)
    again, same = sources(DEEP, seed=2, samples=2)
    assert all((one[path] == again[path]).all() for path in one)
    np.testing.assert_array_equal(found.values.values, same.values.values)
    other, _ = sources(DEEP, seed=3, samples=2)
    assert (one["logits/others"] != other["logits/others"]).any()
    smaller, _ = sources(ib.Hypothesis(edges=["a2.h1->logits"], agree={"a2.h1": "answer"}), seed=2, samples=1)
    assert (one["logits/a2.h1"][:1] == smaller["logits/a2.h1"]).all()
    assert (one["logits/others"][:1] == smaller["logits/others"]).all()


@pytest.mark.parametrize("metric", ["log_prob", "prob", "logit_diff", "kl"])
def test_baselines(metric):
    model = ib.load_model(loud_bridge("gpt2"))
    found = ib.causal_scrubbing(model, DEEP, PAIRS, metric=metric, samples=2, unscrub="none")
    with torch.no_grad():
        runs = [model.raw(torch.tensor([model.to_ids(datum.text)]))[0, -1] for datum in found.data]
    logits = torch.stack(runs).float()
    answers = [model.answer_ids(datum.answers[0], datum.text)[0] for datum in found.data]
    others = [*answers[1:], answers[0]]
    log, rows = logits.log_softmax(-1), torch.arange(10)

    def of(chosen):
        """The metric of one output [token] on each datum, or of an output for each."""
        chosen = chosen.expand(10, -1)
        if metric == "kl":
            return (log.exp() * (log - chosen.log_softmax(-1))).sum(-1)
        if metric == "logit_diff":
            return chosen[rows, answers] - chosen[rows, others]
        own = chosen.log_softmax(-1)[rows, answers]
        return own if metric == "log_prob" else own.exp()

    np.testing.assert_allclose(found.values.clean, of(logits), atol=1e-5)
    shuffled = found.sources[:, [node.path for node in found.tree].index("logits/others")]
    np.testing.assert_allclose(
        found.values.corrupt, np.mean([of(logits[one]).numpy() for one in shuffled], 0), atol=1e-5
    )
    constant = float(found.values.values[:, CONSTANT].mean())
    if metric == "logit_diff":
        assert constant == pytest.approx(max(float(of(one).mean()) for one in logits), abs=1e-4)
    else:
        sign = -1 if metric == "kl" else 1
        frequencies = torch.full((257,), -30.0)
        for answer in set(answers):
            frequencies[answer] = np.log(answers.count(answer) / 10)
        tried = [*logits, frequencies, log.exp().mean(0).log()]
        best = max(sign * float(of(one).mean()) for one in tried)
        assert sign * constant >= best - 1e-5


def test_several_answers_share_the_best_constant_output():
    model = ib.load_model(bridge("gpt2"))
    pairs = [pair.model_copy(update={"clean_answer": (pair.clean_answer, "z")}) for pair in PAIRS]
    found = ib.causal_scrubbing(model, ib.Hypothesis(), ib.PromptPairs(pairs), samples=1)
    np.testing.assert_allclose(found.values.values[:, CONSTANT], 0, atol=1e-3)  # z is always an answer


def test_prompts_of_several_lengths_stand_in_for_their_own():
    model = ib.load_model(bridge("gpt2"))
    pairs = pairs_of(["hello", "hi", "house", "ho", "ha", "chair"], "aeioae")
    found = ib.causal_scrubbing(model, DEEP.with_features({}), pairs, unscrub="none", sides="both")
    lengths = np.array([len(datum.tokens) for datum in found.data])
    assert (lengths[found.sources] == lengths).all()
    assert np.isfinite(found.values.values).all()


def test_it_fills_step_by_step_and_can_be_stopped():
    model = ib.load_model(bridge("gpt2"))
    steps = list(ib.causal_scrubbing.steps(model, DEEP, PAIRS, samples=2, memory=1))
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))
    assert steps[0].result is None and steps[-1].result.provenance["complete"]
    some = ib.causal_scrubbing.steps(model, DEEP, PAIRS, samples=2, memory=1)
    for step in some:
        if step.done == steps[-1].total // 2:
            break
    some.close()
    found = step.result
    assert not found.provenance["complete"] and np.isnan(found.values.values).any()
    assert np.isfinite(found.values.values[:, SCRUBBED]).all() and np.isnan(found.shares[-1])
    assert_close(found.values.values[:, SCRUBBED], steps[-1].result.values.values[:, SCRUBBED])


def test_a_result_survives_its_file():
    model = ib.load_model(bridge("gpt2"))
    found = ib.causal_scrubbing(model, DEEP, PAIRS, samples=2, sides="both")
    again = ib.read_result(found.to_json())
    assert isinstance(again, ib.Scrubbing) and again.to_json() == found.to_json()
    assert again.recovered == found.recovered and again.tree == found.tree
    table = again.to_dataframe()
    assert list(table.run[:3]) == ["model", "scrubbed", "constant"] and table.run.iloc[-1] == "shuffled"
    assert list(table.columns) == ["run", "metric", "recovered", "low", "high"]
    assert table[table.run == "scrubbed"].recovered.iloc[0] == pytest.approx(found.recovered)
    low, high = found.interval
    assert low <= found.recovered <= high and again.plot().axes and "% [" in repr(again)
    shares = table.set_index("run").recovered.filter(like="unscrubbed").to_numpy() - found.recovered
    np.testing.assert_allclose(found.shares, shares, atol=1e-3)
    code = ib.causal_scrubbing.code(again.params)
    assert "ib.Hypothesis(\n        edges=[" in code and "'m1': vowels," in code
    scope = {"model": model, "vowels": vowels}
    exec(code.replace("result.plot()", ""), scope)
    np.testing.assert_array_equal(scope["result"].values.values, found.values.values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hypothesis": "a0.h1"}, r"hypothesis is an ib\.Hypothesis"),
        ({"hypothesis": ib.Hypothesis(edges=["a7.h1->logits"])}, "of another model: it names a7.h1"),
        ({"hypothesis": ib.Hypothesis(edges=["m0->logits"], agree={"m0": lambda datum: 1 / 0})}, "ZeroDivisionError"),
        ({"hypothesis": ib.Hypothesis(edges=["m0->logits"], agree={"m0": lambda datum: []})}, "can't be compared"),
        ({"hypothesis": ib.Hypothesis(edges=["m0->logits"], agree={"m0": "token@9"})}, "no token for datum 0"),
        ({"hypothesis": ib.Hypothesis(edges=["m0->logits"], agree={"m0": {"own": "mine"}})}, "by its name alone"),
        (
            {"hypothesis": ib.Hypothesis(edges=["m0->logits"], agree={"m0": lambda datum: datum.text})},
            "No two data agree by the feature",
        ),
        ({"data": PAIRS[0]}, "A data set is a list"),
        ({"data": ib.PromptPairs(PAIRS[:1])}, "With one datum there is nothing to resample from"),
        ({"data": pairs_of(["hello", "house", "hi"], "aei")}, "Datum 2 .* is the only one of 3 tokens"),
        ({"data": ib.PromptPairs([p.model_copy(update={"clean_answer": ""}) for p in PAIRS])}, "has no answer"),
        ({"metric": "rank"}, "There is no metric of scrubbing 'rank'"),
        ({"samples": 0}, "samples is how often each datum is scrubbed"),
        ({"others": "never"}, "There is no way to resample 'never'"),
    ],
)  # fmt: skip
def test_what_can_not_be_scrubbed_is_refused(change, words):
    model = ib.load_model(bridge("gpt2"))
    call = {"hypothesis": ib.Hypothesis(edges=["m0->logits"]), "data": PAIRS} | change
    with pytest.raises((ValueError, TypeError), match=words):
        ib.causal_scrubbing(model, **call)


def test_an_edge_that_side_by_side_layers_lack_is_refused():
    model = ib.load_model(bridge("gpt_neox"))
    with pytest.raises(ValueError, match=r"This model has no edge a0\.h1->m0"):
        ib.causal_scrubbing(model, ib.Hypothesis(edges=["m0->logits", "a0.h1->m0"]), PAIRS)


def test_features_that_say_too_much_or_nothing_are_said():
    model = ib.load_model(bridge("gpt2"))
    alone = ib.Hypothesis(edges=["m0->logits"], agree={"m0": lambda datum: datum.text[:1] == "h" or datum.text})
    found = ib.causal_scrubbing(model, alone, PAIRS, unscrub="none", samples=1)
    assert "agree with no other" in found.every_warning()[0]
    nothing = ib.Hypothesis(edges=["m0->logits"], agree={"m0": "side"})
    found = ib.causal_scrubbing(model, nothing, PAIRS, unscrub="none", samples=1)
    assert "says no more than anything" in found.every_warning()[0]


def test_a_warning_is_given_once_however_often_a_feature_is_named():
    model = ib.load_model(bridge("gpt2"))
    text = '{"edges": ["m0->logits", "m1->logits"], "agree": {"m0": "side", "m1": "side"}}'
    found = ib.causal_scrubbing(model, ib.Hypothesis.from_json(text), PAIRS, unscrub="none")
    assert len(found.every_warning()) == 1


def test_an_estimate_over_all_data_comes_with_the_first_sample():
    model, hypothesis = ib.load_model(bridge("gpt2")), ib.Hypothesis(edges=["m0->logits", "input->m0"])
    call = ib.causal_scrubbing.call(model, hypothesis, PAIRS, samples=6, unscrub="none", memory=1)
    estimates = []
    for step in call.steps():
        if step.result is not None:
            estimates.append((step.result.done, step.result.values.values[:, SCRUBBED].copy()))
    assert [done for done, _ in estimates] == [*range(1, 11), *[10] * 50]
    for samples in (1, 6):
        found = ib.causal_scrubbing(model, hypothesis, PAIRS, samples=samples, unscrub="none")
        assert_close(estimates[10 * samples - 1][1], found.values.values[:, SCRUBBED], 1e-4)
    assert np.abs(estimates[9][1] - estimates[59][1]).max() > 1e-3


def test_a_view_gets_the_numbers_and_only_as_many_stand_ins_as_it_can_take():
    model = ib.load_model(bridge("gpt2"))
    found = ib.causal_scrubbing(model, DEEP, PAIRS, samples=2)
    sent, draft = found.to_view(10**6), found.to_view(10**6, draft=True)
    assert json.loads(json.dumps(sent, allow_nan=False))["recovered"] == found.recovered
    np.testing.assert_array_equal(decode_array(sent["sources"]), found.sources)
    assert set(sent) - set(draft) == {"sources", "data", "tree"} and not {"values", "data"} & {*draft, *sent["params"]}
    few = decode_array(found.to_view(3 * len(found.tree))["sources"])
    np.testing.assert_array_equal(few, found.sources[:1, :, :3])


def test_data_are_read_again_where_anything_about_them_differs(monkeypatch):
    model = ib.load_model(boot(random_model("gpt2"), "read"))
    read = []

    def reading(*given):
        read.append(given)
        return tokenize_all(*given)

    monkeypatch.setattr("interp_backend.methods.causal_scrubbing.tokenize_all", reading)
    hypothesis = ib.Hypothesis(edges=["m0->logits"])
    scrub = partial(ib.causal_scrubbing, model, hypothesis, unscrub="none")
    first = scrub(PAIRS)
    assert scrub(ib.PromptPairs([*PAIRS])).recovered == first.recovered and len(read) == 1
    scrub(PAIRS, sides="both")
    scrub(PAIRS, metric="kl")
    scrub(ib.PromptPairs([*PAIRS][:-1]))
    assert len(read) == 4
    assert scrub(PAIRS).recovered == first.recovered


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gpt2"), "left")
    ib.causal_scrubbing(raw, DEEP, PAIRS, samples=1)
    before = state_of(raw)
    ib.causal_scrubbing(raw, DEEP, PAIRS, samples=1)
    assert state_of(raw) == before and not own_on(raw)
