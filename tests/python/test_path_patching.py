"""Path patching: against a plain loop, TransformerLens, a linear model, and a known circuit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_attribution_patching import linear_model
from test_backward import state_of
from test_interrupts import own_on
from transformer_lens import patching

import interp_backend as ib
from edge_loop import EdgeLoop
from interp_backend.results.effect_map import CellState
from plain_loop import assert_close, logit_diff, token
from tiny_models import CONFIGS, INDUCTION, PAIR, PARALLEL, PREVIOUS, boot, bridge, induction_model, random_model

RECEIVERS = {"queries": ["a2.h1<q>"], "two heads and an MLP": ["a1.h0", "a2.h3<v>", "m1"], "logits": ["logits"]}


def loops(raw, parallel, direction="denoise"):
    both = [EdgeLoop(raw, raw.to_tokens(text), parallel) for text in (PAIR.corrupt, PAIR.clean)]
    return both if direction == "denoise" else both[::-1]


def inputs_of(raw, receivers, sender, graph):
    """The receivers' inputs by name that a sender writes into."""
    names = []
    for name in receivers:
        head = name.startswith("a") and not name.endswith(">")
        shared = raw.cfg.n_heads // (getattr(raw.cfg, "n_key_value_heads", None) or raw.cfg.n_heads)
        layer, own = name.split(".h") if head else ("", "0")
        first = int(own.split("<")[0]) // shared * shared
        parts = [f"{name}<q>", f"{layer}.h{first}<k>", f"{layer}.h{first}<v>"] if head else [name]
        names += [part for part in parts if f"{sender}->{part}" in graph]
    return names


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("receivers", RECEIVERS.values(), ids=RECEIVERS)
def test_equals_the_loop(architecture, receivers):
    raw = bridge(architecture)
    # Keys and values of the first of the heads that share them, in all architectures.
    receivers = [name.replace("h3<v>", "h2<v>") for name in receivers]
    base, other = loops(raw, architecture in PARALLEL)
    graph = set(ib.edge_attribution(raw, PAIR).names)
    found = ib.path_patching(raw, PAIR, None, receivers)
    expected = []
    for sender in found.labels["sender"]:
        moved = base.change(sender, other.wrote[sender] - base.wrote[sender])
        added = {name: moved for name in inputs_of(raw, receivers, sender, graph)}
        assert (found.state[len(expected)] == CellState.UNCHANGED) == (not added)
        expected.append(logit_diff(raw, base.logits_with(added, frozen=True), PAIR))
    same_effects(found, expected)


def same_effects(found, expected):
    """Some random models hardly use a head's queries: then the difference is that of rounding."""
    effects = np.array(expected) - found.baselines["corrupt"]
    np.testing.assert_allclose(
        found.values - found.baselines["corrupt"], effects, atol=1e-6 + 1e-4 * np.abs(effects).max()
    )
    assert np.abs(effects).max() > 2e-5


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "gptj"])
@pytest.mark.parametrize("receivers", [["a2.h0", "a2.h2"], ["logits"]])
def test_with_recomputed_mlps_equals_three_runs(architecture, receivers):
    """Wang et al.: heads are frozen and MLPs are not, while the receivers' inputs are computed."""
    raw = bridge(architecture)
    base, other = loops(raw, architecture in PARALLEL)
    found = ib.path_patching(raw, PAIR, ["a0.h1", "a1.h2", "a2.h3"], receivers, mlps="recomputed")
    direct, graph = ib.path_patching(raw, PAIR, ["a0.h1", "a1.h2", "a2.h3"], receivers), ib.edge_attribution(raw, PAIR)
    expected, seen = [], {}
    for sender in found.labels["sender"]:
        layer, head = map(int, sender[1:].split(".h"))

        def freeze(value, hook, at, layer=layer, head=head):
            z = base.at(f"blocks.{at}.attn.hook_z").clone()
            if at == layer:
                z[:, head] = other.at(f"blocks.{at}.attn.hook_z")[:, head]
            return z[None]

        hooks = [(f"blocks.{at}.attn.hook_z", lambda v, hook, at=at: freeze(v, hook, at)) for at in range(3)]
        reads = "blocks.2.hook_resid_post" if receivers == ["logits"] else "blocks.2.hook_resid_pre"
        hooks.append((reads, lambda v, hook: seen.__setitem__("read", v[0].clone())))
        with torch.no_grad():
            raw.run_with_hooks(base.tokens, fwd_hooks=hooks)
        moved = seen["read"] - base.at(reads)
        names = inputs_of(raw, receivers, sender, set(graph.names))
        logits = base.logits_with({name: moved for name in names}, frozen=True)
        expected.append(logit_diff(raw, logits, PAIR))
    same_effects(found, expected)
    assert not np.allclose(found.values[:2], direct.values[:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("receivers", RECEIVERS.values(), ids=RECEIVERS)
def test_senders_together_equal_the_loop(architecture, receivers):
    """Two heads of one layer, whose outputs a norm may mix, one that is above some receivers, an MLP and the input."""
    raw = bridge(architecture)
    receivers = [name.replace("h3<v>", "h2<v>") for name in receivers]
    base, other = loops(raw, architecture in PARALLEL)
    graph = set(ib.edge_attribution(raw, PAIR).names)
    senders = ["input", "a0.h1", "a0.h3", "m0", "a1.h2"]
    if architecture == "gemma2" and receivers == ["a2.h1<q>"]:
        receivers = ["a2.h1"]  # this model hardly uses that head's queries
    found = ib.path_patching(raw, PAIR, senders, receivers, together=True)
    assert found.labels["sender"] == ["input + a0.h1 + a0.h3 + m0 + a1.h2"] and found.state.tolist() == [1]
    change = {name: other.wrote[name] - base.wrote[name] for name in senders}
    moved = {name: base.change(name, change[name]) for name in ("input", "m0", "a1.h2")}
    moved["a0.h1"] = base.change("a0.h1", change["a0.h1"] + change["a0.h3"])  # both
    added = {}
    for name, one in moved.items():
        for receiver in inputs_of(raw, receivers, name, graph):
            added[receiver] = added.get(receiver, 0) + one
    same_effects(found, [logit_diff(raw, base.logits_with(added, frozen=True), PAIR)])


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gptj"])
def test_senders_together_with_recomputed_mlps_equal_three_runs(architecture):
    raw, senders = bridge(architecture), ["a0.h1", "a0.h2", "m0", "a1.h2"]
    base, other = loops(raw, architecture in PARALLEL)
    found = ib.path_patching(raw, PAIR, senders, ["a2.h0"], together=True, mlps="recomputed")
    seen, hooks = {}, []
    for at in range(3):
        z = base.at(f"blocks.{at}.attn.hook_z").clone()
        for head in [int(name[-1]) for name in senders if name.startswith(f"a{at}.")]:
            z[:, head] = other.at(f"blocks.{at}.attn.hook_z")[:, head]
        hooks.append((f"blocks.{at}.attn.hook_z", lambda v, hook, z=z: z[None].clone()))
    hooks.append(("blocks.0.hook_mlp_out", lambda v, hook: other.at("blocks.0.hook_mlp_out")[None].clone()))
    hooks.append(("blocks.2.hook_resid_pre", lambda v, hook: seen.__setitem__("read", v[0].clone())))
    with torch.no_grad():
        raw.run_with_hooks(base.tokens, fwd_hooks=hooks)
    moved = seen["read"] - base.at("blocks.2.hook_resid_pre")
    names = inputs_of(raw, ["a2.h0"], "m1", set(ib.edge_attribution(raw, PAIR).names))
    same_effects(found, [logit_diff(raw, base.logits_with({name: moved for name in names}, frozen=True), PAIR)])


def test_one_sender_together_is_that_sender_and_several_share_a_place():
    model = ib.load_model(bridge("llama"))
    alone, one = (ib.path_patching(model, PAIR, ["a0.h1"], ["logits"], together=way) for way in (False, True))
    assert_close(one.values, alone.values, 1e-6)
    assert one.labels == alone.labels and one.place_of(0) == ib.Place(activation="z", layer=0, head=1)
    several = ib.read_result(ib.path_patching(model, PAIR, ["a0.h1", "a0.h2"], ["logits"], together=True).to_json())
    assert several.place_of(0) == ib.Place(activation="z", layer=0)
    assert "together=True" in ib.path_patching.code(several.params)
    none = ib.path_patching(model, PAIR, ["m1", "m2"], ["a1.h0"], together=True)
    assert none.state.tolist() == [CellState.UNCHANGED]


@pytest.mark.parametrize("component", "qkv")
def test_equals_transformer_lens(component):
    raw = boot(random_model("gpt2"), "direct")
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    caches = [raw.run_with_cache(tokens)[1] for tokens in (clean, corrupt)]
    a, b = token(raw, "a"), token(raw, "b")
    theirs = patching.get_act_patch_direct_path(
        raw, corrupt, *caches, lambda logits: logits[0, -1, a] - logits[0, -1, b], 0, 2, component, verbose=False
    )
    for layer in (1, 2):
        ours = [
            ib.path_patching(raw, PAIR, ["a0.h2"], [f"a{layer}.h{head}<{component}>"]).values[0] for head in range(4)
        ]
        np.testing.assert_allclose(ours, theirs[layer].detach().numpy(), atol=1e-5)


def test_estimates_of_a_linear_model_are_its_path_patching():
    raw = linear_model.__wrapped__().double()
    graph = ib.edge_attribution(raw, PAIR, direction="denoise")
    for receiver in ("a1.h2<v>", "m1", "logits"):
        exact = ib.path_patching(raw, PAIR, None, [receiver])
        effects = exact.values - exact.baselines["corrupt"]
        assert_close(effects, np.nan_to_num(graph.scores[:, graph.receivers.index(receiver)]), 1e-5)


def test_the_paths_of_the_induction_circuit_and_no_others():
    model = ib.load_model(induction_model())
    (a, b), (c, d) = PREVIOUS, INDUCTION
    pair = ib.PromptPair(clean="abca", corrupt="ebca", clean_answer="b", corrupt_answer="a")
    true = {f"a{a}.h{b}<v>": "input", f"a{c}.h{d}<k>": f"a{a}.h{b}", "logits": f"a{c}.h{d}"}
    for receiver in [f"a1.h{head}<{part}>" for head in range(4) for part in "qkv"] + [*true, "m0", "m1"]:
        found = ib.path_patching(model, pair, None, [receiver])
        carried = [name for name, effect in zip(found.labels["sender"], found.normalized) if abs(effect) > 0.01]
        assert carried == ([true[receiver]] if receiver in true else []), receiver


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_the_logits_that_read_everything_from_the_other_run_are_its_logits(direction):
    """Patching each sender into the logits moves the final stream to the other run's, whose norm makes them differ."""
    raw = bridge("llama")
    base, other = loops(raw, False, direction)
    found = ib.path_patching(raw, PAIR, ["m2"], ["logits"], direction=direction)
    moved = other.wrote["m2"] - base.wrote["m2"]
    expected = logit_diff(raw, base.logits_with({"logits": moved}, frozen=True), PAIR)
    assert found.values[0] == pytest.approx(expected, abs=1e-5)


def test_a_data_set_is_the_mean_of_its_pairs_and_several_metrics_are_measured():
    model = ib.load_model(bridge("gpt2"))
    pairs = [PAIR, PAIR.model_copy(update={"clean": "hallo there"})]
    many = ib.path_patching(model, ib.PromptPairs(pairs), ["a0.h1", "m1"], ["a2.h0"], metric=["logit_diff", "kl"])
    each = [ib.path_patching(model, pair, ["a0.h1", "m1"], ["a2.h0"], metric=["logit_diff", "kl"]) for pair in pairs]
    np.testing.assert_allclose(many.values, np.mean([one.values for one in each], 0), atol=1e-5)
    np.testing.assert_allclose(many.by_metric("kl").pairs.values[1], each[1].by_metric("kl").values, atol=1e-5)


def test_prompts_of_different_lengths():
    longer = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")
    found = ib.path_patching(ib.load_model(bridge("llama")), longer, ["a0.h1", "m1"], ["a2.h0"])
    assert np.isfinite(found.values).all() and found.unpatched is not None


def test_a_result_survives_its_file_and_names_its_places():
    found = ib.path_patching(ib.load_model(bridge("gpt2")), PAIR, ["a0.h1", "m1", "input"], ["logits"])
    again = ib.read_result(found.to_json())
    np.testing.assert_array_equal(again.values, found.values)
    assert again.place_of(0) == ib.Place(activation="z", layer=0, head=1)
    assert again.place_of(1) == ib.Place(activation="mlp_out", layer=1)
    assert set(again.to_dataframe()["sender"]) == {"a0.h1", "m1", "input"}
    assert '["a0.h1", "m1", "input"]' in ib.path_patching.code(again.params).replace("'", '"')
    assert again.find(ib.Place(layer=1)) is None


@pytest.mark.parametrize(
    ("senders", "receivers", "words"),
    [
        (["a9.h1"], ["logits"], "a9.h1 is no sender"),
        (["logits"], ["logits"], "logits is no sender"),
        (["head 1"], ["logits"], "is no node"),
        (None, ["a1.h9"], "a1.h9 is no receiver"),
        (None, ["input"], "input is no receiver"),
        (None, ["a1.h1<k>"], "have the input of the first"),
        (None, [], "receivers is a list of names"),
        ("a0.h1", ["logits"], "senders is a list of names"),
        (["m0", "m0"], ["logits"], "named twice"),
    ],
)
def test_unknown_nodes_are_refused(senders, receivers, words):
    with pytest.raises(ValueError, match=words):
        ib.path_patching(ib.load_model(bridge("llama")), PAIR, senders, receivers)


def test_nothing_is_left_on_the_model():
    raw = boot(random_model("gpt2"), "left")
    ib.path_patching(raw, PAIR, None, ["logits"])
    before = state_of(raw)
    ib.path_patching(raw, PAIR, None, ["a1.h1"], mlps="recomputed")
    assert state_of(raw) == before and not own_on(raw)
