"""Edge attribution: against finite differences, exact patching of a linear model, TransformerLens, a known circuit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from architectures import NATIVE, booted
from test_attribution_patching import linear_model
from test_backward import double, state_of
from test_interrupts import own_on

import interp_backend as ib
from edge_loop import EdgeLoop
from interp_backend.engine import edges
from interp_backend.engine.backward import RULES
from interp_backend.engine.edges import Prompts, edge_effects
from interp_backend.engine.turn import Turn
from interp_backend.engine.wiring import receiver_names, sender_names, wiring_of, writers
from interp_backend.results.graph import edges_between
from plain_loop import assert_close, token
from tiny_models import CONFIGS, INDUCTION, PAIR, PARALLEL, PREVIOUS, boot, bridge, induction_model, random_model

TOKENS = [256, 70, 71, 72, 70, 73]
A, B = 70, 71
STEP = 1e-2


def some_edges(senders, receivers, parallel):
    """One edge for each kind of sender and receiver, from a lower layer and from the own layer."""
    real = edges_between(senders, receivers, parallel)
    ends = [("input", "a0.h0<v>"), ("input", "m1"), ("input", "logits"), ("a1.h3", "logits"), ("m2", "logits")]
    ends += [("m0", "a1.h2<q>"), ("a0.h1", "a2.h2<k>"), ("a1.h0", "a2.h0<v>"), ("m1", "m2"), ("a0.h2", "m1")]
    ends += [("a1.h1", "m1")]
    return [(s, r) for s, r in ends if r in receivers and real[senders.index(s), receivers.index(r)]]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_kind_of_edge_equals_finite_differences(architecture):
    model = double(architecture)
    loop = EdgeLoop(model.raw, TOKENS, architecture in PARALLEL)
    generator = torch.Generator().manual_seed(0)
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        hooks = {one: model.hook_name(*one) for one in writers(wiring)}
        changes = {one: torch.randn(loop.at(hook).shape, generator=generator).double() for one, hook in hooks.items()}
        changes["resid_pre", 0] *= 0.1  # embeddings are small
        prompt = Prompts([TOKENS], [5], [A, B], lambda logits: (logits[:, 0, 0] - logits[:, 0, 1])[None], "gradient")
        [scores] = edge_effects(turn, prompt, [changes])
    senders, receivers = sender_names(wiring), receiver_names(wiring)
    size = 0.01 if architecture == "opt" else 1.0  # its ReLUs have kinks
    for sender, receiver in some_edges(senders, receivers, architecture in PARALLEL):
        if sender.startswith("a"):
            layer, head = map(int, sender[1:].split(".h"))
            moved = loop.head(layer, head, changes["z", layer])
        else:
            moved = changes[("resid_pre", 0) if sender == "input" else ("mlp_out", int(sender[1:]))]

        def ends(step, sender=sender, receiver=receiver, moved=moved):
            logits = loop.logits_with({receiver: loop.change(sender, step * STEP * size * moved)})
            return float(logits[A] - logits[B])

        slope = (8 * (ends(1) - ends(-1)) - (ends(2) - ends(-2))) / (12 * STEP * size)
        found = float(scores[senders.index(sender), receivers.index(receiver)])
        assert slope == pytest.approx(found, rel=2e-3, abs=2e-3), (sender, receiver)


@cache
def exact_edges():
    """What patching each single edge of the linear model from the corrupt run does to the clean run."""
    raw = linear_model()
    clean, corrupt = (EdgeLoop(raw, raw.to_tokens(prompt), False) for prompt in (PAIR.clean, PAIR.corrupt))
    graph = ib.edge_attribution(raw, PAIR)
    a, b = token(raw, "a"), token(raw, "b")
    effects = np.full(graph.scores.shape, np.nan)
    for i, j in zip(*np.nonzero(graph.real)):
        moved = corrupt.wrote[graph.senders[i]] - clean.wrote[graph.senders[i]]
        logits = clean.logits_with({graph.receivers[j]: moved}) - clean.logits[-1]
        effects[i, j] = float(logits[a] - logits[b])
    return effects


@pytest.mark.parametrize(
    "options",
    [{"rules": rule} for rule in RULES if rule != "gim"]  # which halves what flows through values by design
    + [{"direction": "denoise"}, {"ig_steps": 3}, {"ig_steps": 2, "ig_points": "mib", "direction": "denoise"}],
)
def test_equals_exact_patching_of_each_edge_on_a_linear_model(options):
    graph = ib.edge_attribution(linear_model(), PAIR, **options)
    # What is patched takes away from the clean run's metric what the edge carries.
    assert_close(np.nan_to_num(graph.scores), np.nan_to_num(-exact_edges()), 1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox"])
def test_equals_transformer_lens(architecture):
    analysis = pytest.importorskip("transformer_lens.tools.analysis.attribution_patching")
    raw = boot(random_model(architecture), architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    config = analysis.EdgeAttributionConfig(granularity="edge")
    theirs = analysis.attribution_patch(raw, clean, corrupt, lambda logits: logits[0, -1, a] - logits[0, -1, b], config)
    raw.zero_grad(set_to_none=True)  # theirs leaves gradients
    ours = ib.edge_attribution(raw, PAIR, direction="denoise")
    expected = np.zeros(ours.scores.shape)
    for (writer, reader), score in theirs.edge_scores.items():
        sender = {"embed": "input", "mlp_out": f"m{writer.layer}"}.get(writer.kind, f"a{writer.layer}.h{writer.head}")
        receiver = {"logits": "logits", "mlp_in": f"m{reader.layer}"}.get(
            reader.kind, f"a{reader.layer}.h{reader.head}<{reader.kind[0]}>"
        )
        expected[ours.index(f"{sender}->{receiver}")] += float(score)
    assert_close(np.nan_to_num(ours.scores), expected)


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_the_edges_out_of_a_node_add_up_to_attribution_patching(architecture, direction):
    model, options = ib.load_model(bridge(architecture)), {"direction": direction}
    graph = ib.edge_attribution(model, PAIR, **options)
    sums, sign = dict(zip(graph.senders, np.nansum(graph.scores, 1))), 1 if direction == "denoise" else -1
    for activation, name in (("z", "a{}.h{}"), ("mlp_out", "m{}")):
        nodes = ib.attribution_patching(model, PAIR, activation=activation, **options)
        effects = sign * (nodes.values - nodes.baselines["corrupt" if direction == "denoise" else "clean"])
        for at in np.ndindex(effects.shape[: 2 if activation == "z" else 1]):
            assert sums[name.format(*at)] == pytest.approx(float(np.sum(effects[at])), abs=1e-4), at


def test_integrated_gradients_find_the_induction_circuit_and_nothing_else():
    """The two heads, the token before through the first head's output, and the answer from the second one's values."""
    model = ib.load_model(induction_model())
    (a, b), (c, d) = PREVIOUS, INDUCTION
    chain = {f"input->a{a}.h{b}<v>", f"a{a}.h{b}->a{c}.h{d}<k>", f"a{c}.h{d}->logits"}
    before = ib.PromptPair(clean="abca", corrupt="ebca", clean_answer="b", corrupt_answer="a")
    found = ib.edge_attribution(model, before, ig_steps=10)
    assert set(found.top(3).names) == chain == set(found.above(1.0).names)
    after = ib.PromptPair(clean="abca", corrupt="adca", clean_answer="b", corrupt_answer="d")
    found = ib.edge_attribution(model, after)
    assert set(found.above(1.0).names) == {f"input->a{c}.h{d}<v>", f"a{c}.h{d}->logits"}


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_integrated_gradients_into_the_first_nodes_are_complete(architecture):
    """What leaves the input is the whole difference between the two runs."""
    graph = ib.edge_attribution(ib.load_model(bridge(architecture)), PAIR, ig_steps=32)
    gap = graph.baselines["clean"] - graph.baselines["corrupt"]
    assert float(np.nansum(graph.scores[0])) == pytest.approx(gap, abs=0.01 * abs(gap))


def test_a_data_set_is_the_mean_of_its_pairs():
    model = ib.load_model(bridge("llama"))
    pairs = [PAIR, PAIR.model_copy(update={"clean": "hallo there", "clean_answer": "c"})]
    many = ib.edge_attribution(model, ib.PromptPairs(pairs), keep_pairs=True)
    each = [ib.edge_attribution(model, pair) for pair in pairs]
    np.testing.assert_allclose(many.by_pair, [one.scores for one in each], atol=1e-5)
    np.testing.assert_allclose(many.scores, np.mean([one.scores for one in each], 0), atol=1e-5)
    assert many.baselines["clean"] == pytest.approx(np.mean([one.baselines["clean"] for one in each]), abs=1e-5)
    assert "mean of 2 pairs" in many.headline() and each[0].by_pair is None
    longer = [*pairs, PAIR.model_copy(update={"clean": "hello there!", "corrupt": "hellu theru!"})]
    steps = [*ib.edge_attribution.steps(model, ib.PromptPairs(longer), keep_pairs=True)]
    assert [step.done for step in steps] == [2, 3]  # those of one length are differentiated together
    np.testing.assert_allclose(steps[-1].result.by_pair[2], ib.edge_attribution(model, longer[2]).scores, atol=1e-5)


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("options", [{}, {"ig_steps": 2}, {"rules": "relp", "direction": "denoise"}])
def test_pairs_that_are_differentiated_together_have_their_own_scores(architecture, options):
    model = ib.load_model(bridge(architecture))
    pairs = [PAIR, PAIR.model_copy(update={"clean": "hallo there", "clean_answer": "c"})]
    many = ib.edge_attribution(model, ib.PromptPairs(pairs), keep_pairs=True, **options)
    each = [ib.edge_attribution(model, pair, **options).scores for pair in pairs]
    np.testing.assert_allclose(many.by_pair, each, atol=1e-5)


def test_prompts_of_different_lengths_change_what_has_a_counterpart():
    longer = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")
    for direction in ("noise", "denoise"):
        graph = ib.edge_attribution(ib.load_model(bridge("llama")), longer, direction=direction)
        assert np.isfinite(graph.scores[graph.real]).all() and np.nanmax(np.abs(graph.scores)) > 0


def test_heads_that_share_keys_share_their_inputs():
    graph = ib.edge_attribution(ib.load_model(bridge("llama")), PAIR)
    assert {"a1.h0<k>", "a1.h2<k>", "a1.h3<q>"} <= set(graph.receivers)
    assert "a1.h1<k>" not in graph.receivers and "a1.h3<v>" not in graph.receivers


@pytest.mark.parametrize("name", NATIVE)
def test_transformer_lens_own_models(name):
    """The edges out of each head add up to its estimate, also in a model without MLPs."""
    model = ib.load_model(booted(name))
    graph = ib.edge_attribution(model, PAIR)
    nodes = ib.attribution_patching(model, PAIR, activation="z", direction="noise")
    sums = dict(zip(graph.senders, np.nansum(graph.scores, 1)))
    for layer, head in np.ndindex(nodes.values.shape):
        expected = float(nodes.baselines["clean"] - nodes.values[layer, head])
        assert sums[f"a{layer}.h{head}"] == pytest.approx(expected, abs=1e-4)
    assert ("m0" in graph.senders) == ("attention only" not in name)
    if "m0" not in graph.senders:
        with pytest.raises(ValueError, match="an MLP in every layer"):
            graph.to_mib()


def test_a_few_positions_at_a_time_give_the_same_scores(monkeypatch):
    model = ib.load_model(bridge("gemma2"))
    at_once = ib.edge_attribution(model, PAIR).scores
    monkeypatch.setattr(edges, "NUMBERS_AT_ONCE", 1)
    np.testing.assert_allclose(ib.edge_attribution(model, PAIR).scores, at_once, atol=1e-5)


def test_half_precision_weights_give_scores_near_those_of_float32():
    full = ib.edge_attribution(bridge("llama"), PAIR).scores
    half = ib.edge_attribution(boot(random_model("llama").bfloat16(), "half"), PAIR).scores
    assert np.linalg.norm(np.nan_to_num(half - full)) < 0.1 * np.linalg.norm(np.nan_to_num(full))


def test_other_metrics_and_positions():
    model = ib.load_model(bridge("gpt2"))

    def margin(logits):
        return logits[:, token(model.raw, "a")] - logits[:, token(model.raw, "b")]

    plain = ib.edge_attribution(model, PAIR).scores
    np.testing.assert_allclose(ib.edge_attribution(model, PAIR, metric=margin).scores, plain, atol=1e-6)
    assert not np.allclose(ib.edge_attribution(model, PAIR, metric="prob").scores, plain, equal_nan=True)
    assert not np.allclose(ib.edge_attribution(model, PAIR, at=-2).scores, plain, equal_nan=True)


def test_a_graph_survives_its_file_and_prints_its_call():
    graph = ib.edge_attribution(ib.load_model(bridge("gpt2")), PAIR, rules="relp")
    again = ib.read_result(graph.to_json())
    assert isinstance(again, ib.Graph) and again.to_json() == graph.to_json()
    assert 'rules="relp"' in ib.edge_attribution.code(graph.params).replace("'", '"')


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": ["logit_diff", "prob"]}, "scores of one metric"),
        ({"metric": "rank"}, "rank has no gradient"),
        ({"metric": "kl"}, "none at the patched run"),
        ({"rules": "lrp"}, "There is no rule 'lrp'"),
    ],
)
def test_what_can_not_be_estimated_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ib.edge_attribution(ib.load_model(bridge("gpt2")), PAIR, **options)


def test_a_model_that_is_not_understood_is_refused(monkeypatch):
    model = ib.load_model(boot(random_model("gpt2"), "odd"))

    def doubled(module, args, out):
        return (out[0] * 2, *out[1:]) if isinstance(out, tuple) else out * 2

    model.raw.blocks[1].register_forward_hook(doubled)
    monkeypatch.setattr(type(model), "users_hooks", lambda self: [])
    with pytest.raises(ValueError, match=r"not known, because .*layer 1.* Use activation patching"):
        ib.edge_attribution(model, PAIR)


def test_a_gate_that_reads_the_residual_stream_is_refused():
    with pytest.raises(ValueError, match="something beside queries, keys, values, MLPs and logits"):
        ib.edge_attribution(ib.load_model(booted("AfmoeForCausalLM")), PAIR)


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gemma2"), "left")
    model = ib.load_model(raw)
    ib.edge_attribution(model, PAIR)
    before = state_of(raw)
    with torch.no_grad():
        ib.edge_attribution(model, PAIR, rules="relp")
    with torch.inference_mode():
        ib.edge_attribution(model, PAIR, ig_steps=2)
    assert state_of(raw) == before and not own_on(raw)
