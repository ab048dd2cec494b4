"""Changes of features: the model's run by hand, and what the graph predicts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from graph_cases import centred_and_scale, random_transcoders, rescaled
from test_attribution_graph import PROMPT, graph_of

import interp_backend as ib
from interp_backend.methods.feature_interventions import FROZEN
from tiny_models import loud_bridge

CHANGES = [{"layer": 0, "feature": 3, "scale": 0.0}, {"layer": 1, "feature": 5, "position": (2, -1), "value": 4.0}]


def run_by_hand(raw, ids, transcoders, changes, length=None, patterns=None, scales=None):
    """Logits of the last position, with the vectors added by hooks."""
    read = {}
    hooks = [
        (f"blocks.{at}.mlp.hook_in", lambda v, hook, at=at: read.__setitem__(at, v[0].detach())) for at in range(3)
    ]
    raw.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)
    hooks = []
    for one in changes:
        rows = transcoders.decoder_rows(one["layer"], torch.tensor([one["feature"]]))
        now = transcoders.encode(one["layer"], read[one["layer"]]).dense()[:, one["feature"]]
        where = one.get("position", tuple(range(len(ids))))
        where = [at % (length or len(ids)) for at in (where if isinstance(where, tuple) else (where,))]
        new = now * one["scale"] if "scale" in one else torch.full_like(now, one["value"])
        for target, row in rows.items():
            added = torch.zeros(len(ids), len(row[0]))
            added[where] = ((new - now)[:, None] * row)[where]
            hooks.append((f"blocks.{target}.hook_mlp_out", lambda v, hook, added=added: v + added))
    for layer, pattern in (patterns or {}).items():
        hooks.append((f"blocks.{layer}.attn.hook_pattern", lambda v, hook, pattern=pattern: pattern))
    handles = [norm.register_forward_hook(keeping(scale)) for norm, scale in (scales or {}).items()]
    try:
        return raw.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)[0, -1].detach()
    finally:
        for handle in handles:
            handle.remove()


def keeping(kept):
    return lambda norm, args, out: rescaled(norm, out, centred_and_scale(norm, args[0])[1], kept)


def patterns_and_scales(raw, ids):
    """Of a run without changes, by layer and by norm."""
    patterns, scales, norms = {}, {}, [module for module in raw.modules() if hasattr(module, "uses_rms_norm")]
    names = [
        (f"blocks.{at}.attn.hook_pattern", lambda v, hook, at=at: patterns.__setitem__(at, v.detach()))
        for at in range(3)
    ]

    def note(norm, args, out):
        scales[norm] = centred_and_scale(norm, args[0])[1].detach()

    handles = [norm.register_forward_hook(note) for norm in norms]
    raw.run_with_hooks(torch.tensor([ids]), fwd_hooks=names)
    for handle in handles:
        handle.remove()
    assert len(scales) == len(norms) > 6
    return patterns, scales


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("frozen", list(FROZEN))
def test_the_run_is_the_models_own_with_the_vectors_added(architecture, cross, frozen):
    raw = loud_bridge(architecture)
    transcoders = random_transcoders(raw, cross=cross)
    found = ib.feature_interventions(raw, PROMPT, CHANGES, transcoders, frozen=frozen)
    ids = raw.to_tokens(PROMPT)[0].tolist()
    patterns, scales = patterns_and_scales(raw, ids) if frozen != "nothing" else (None, None)
    scales = scales if frozen == "attention and norms" else None
    after = run_by_hand(raw, ids, transcoders, CHANGES, patterns=patterns, scales=scales)
    before = raw(torch.tensor([ids]))[0, -1].detach()
    np.testing.assert_allclose(found.after, after.softmax(-1)[found.tokens], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.before, before.softmax(-1)[found.tokens], rtol=1e-3, atol=1e-6)
    moved = (after - after.mean()) - (before - before.mean())
    np.testing.assert_allclose(found.measured, moved[found.tokens], rtol=1e-3, atol=1e-3)
    assert np.isnan(found.predicted).all() and found.agreement is None
    assert found.activations[1, 1] == 4.0 and found.activations[0, 1] == 0.0


def test_the_graph_predicts_by_all_of_its_paths():
    graph = graph_of("gpt2", cross=True)
    one, other = [node for node in graph.nodes if node.kind == "feature" and node.layer == 0][:2]
    features, values = graph._features, graph.values[graph._targets].astype(np.float64)
    relative = np.zeros(graph.edges.shape[1])
    relative[[graph.ids.index(one.id), graph.ids.index(other.id)]] = -1.0, 0.5
    step = graph.edges[:features, :features] / values[:features, None]
    paths = np.linalg.inv(np.eye(features) - step) @ relative[:features]
    wanted = graph.edges[features:, :features].astype(np.float64) @ paths
    found = graph.predicted([*graph.changes(one.id, scale=0.0), *graph.changes(other.id, value=1.5 * other.value)])
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-4, atol=1e-6)
    assert list(found) == [node.feature for node in graph.nodes if node.kind == "logit"]


def test_a_small_change_of_the_last_layer_moves_logits_as_predicted():
    """Nothing but the final norm's scale is between the last MLP and the logits."""
    raw, graph = loud_bridge("gpt2"), graph_of("gpt2")
    last = len(graph.prompt.ids) - 1
    feature = next(node for node in graph.nodes if node.kind == "feature" and (node.layer, node.position) == (2, last))
    found = ib.feature_interventions(
        raw, PROMPT, graph.changes(feature.id, scale=1.01), random_transcoders(raw), graph=graph
    )
    known = np.isfinite(found.predicted)
    assert known.sum() == len(graph.probabilities)
    size = np.abs(found.measured[known]).max()
    np.testing.assert_allclose(found.predicted[known], found.measured[known], atol=0.35 * size)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen3", "gpt_neox", "bloom", "gemma2"])
@pytest.mark.parametrize("cross", [False, True])
def test_with_attention_and_norms_frozen_the_last_layer_does_what_the_graph_says(architecture, cross):
    """Everything between the last MLP and the logits is then as linear as in the graph."""
    raw, graph = loud_bridge(architecture), graph_of(architecture, cross=cross)
    last = len(graph.prompt.ids) - 1
    some = [node for node in graph.nodes if node.kind == "feature" and (node.layer, node.position) == (2, last)]
    changes = [*graph.changes(some[0].id, value=20.0), *graph.changes(*(one.id for one in some[1:3]), scale=-3.0)]
    transcoders = random_transcoders(raw, cross=cross)

    def moved(frozen):
        found = ib.feature_interventions(raw, PROMPT, changes, transcoders, graph=graph, frozen=frozen)
        known = np.isfinite(found.predicted)
        return found.predicted[known], found.measured[known]

    predicted, measured = moved("attention and norms")
    size = np.abs(measured).max()
    assert len(predicted) == len(graph.probabilities) and size > 0.1
    np.testing.assert_allclose(predicted, measured, rtol=0, atol=1e-4 * size)
    assert np.abs(np.subtract(*moved("attention"))).max() > 0.01 * size  # the final norm's scale moves


def test_changes_of_one_feature_are_made_one_after_the_other():
    raw, graph = loud_bridge("gpt2"), graph_of("gpt2")
    one = next(node for node in graph.nodes if node.kind == "feature" and node.layer == 0)
    at = {"layer": 0, "feature": one.feature, "position": one.position}

    def moved(*changes):
        several = [{**at, **change} for change in changes]
        return ib.feature_interventions(raw, PROMPT, several, random_transcoders(raw), graph=graph)

    def same(found, wanted):
        np.testing.assert_allclose(found.measured, wanted.measured, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.predicted, wanted.predicted, rtol=1e-4, atol=1e-5)

    off = moved({"scale": 0.0})
    assert np.abs(off.measured).max() > 0.01
    same(moved({"scale": 0.0}, {"scale": 0.0}), off)
    same(moved({"value": 7.0}, {"scale": 0.0}), off)
    same(moved({"scale": 0.5}, {"scale": 0.5}), moved({"scale": 0.25}))
    same(moved({"position": (one.position, one.position), "scale": 0.0}), off)
    everywhere = moved({"position": None, "scale": 0.0})
    same(moved({"position": None, "scale": 0.0}, {"scale": 0.0}), everywhere)


def test_changes_that_are_too_large_are_refused_in_a_sentence():
    raw = loud_bridge("gpt2")
    for change in ({"value": 1e300}, {"scale": 1e300}):
        with pytest.raises(ValueError, match="too large to be computed with"):
            ib.feature_interventions(raw, PROMPT, [{"layer": 0, "feature": 3, **change}], random_transcoders(raw))


@pytest.mark.parametrize("frozen", list(FROZEN))
def test_generated_tokens_are_those_of_runs_with_the_vectors_added(frozen):
    """Beyond the prompt, what is frozen is that of the unchanged model on the same text."""
    raw = loud_bridge("gpt2")
    transcoders = random_transcoders(raw)
    steps = list(ib.feature_interventions.steps(raw, PROMPT, CHANGES, transcoders, generate=3, frozen=frozen))
    assert [len(step.result.with_changes) for step in steps] == [0, 1, 2, 3]
    texts = [raw.to_tokens(PROMPT)[0].tolist() for _ in range(2)]
    length = len(texts[0])
    for _ in range(3):
        texts[0].append(int(raw(torch.tensor([texts[0]]))[0, -1].argmax()))
        patterns, scales = patterns_and_scales(raw, texts[1]) if frozen != "nothing" else (None, None)
        scales = scales if frozen == "attention and norms" else None
        after = run_by_hand(raw, texts[1], transcoders, CHANGES, length, patterns, scales)
        texts[1].append(int(after.argmax()))
    model = ib.load_model(raw)
    result = steps[-1].result
    assert result.without == model.token_texts(texts[0][length:])
    assert result.with_changes == model.token_texts(texts[1][length:])
    assert "with:" in repr(result)


def test_drawn_tokens_depend_on_the_seed_alone():
    raw = loud_bridge("gpt2")

    def drawn(seed):
        found = ib.feature_interventions(
            raw, PROMPT, CHANGES[:1], random_transcoders(raw), generate=4, temperature=2.0, seed=seed
        )
        return found.without, found.with_changes

    assert drawn(1) == drawn(1) and len({str(drawn(seed)) for seed in range(3)}) > 1


def test_odd_changes_are_refused():
    raw, graph = loud_bridge("gpt2"), graph_of("gpt2")
    transcoders = random_transcoders(raw)

    def refused(words, changes, prompt=PROMPT, **options):
        with pytest.raises(ValueError, match=words):
            ib.feature_interventions(raw, prompt, changes, transcoders, **options)

    refused("changes are 1 to", [])
    refused("changes are 1 to", "all")
    refused("a scale or a value", [{"layer": 0, "feature": 0}])
    refused("a scale or a value", [{"layer": 0, "feature": 0, "scale": 1.0, "value": 2.0}])
    refused("no change of a feature", [{"layer": -1, "feature": 0, "scale": 0}])
    refused("no change of a feature", [{"layer": 0, "feature": 0, "scale": float("nan")}])
    refused("no features in layer 9", [{"layer": 9, "feature": 0, "scale": 0}])
    refused("numbered from 0 to 11", [{"layer": 0, "feature": 12, "scale": 0}])
    refused("no position 50", [{"layer": 0, "feature": 1, "position": 50, "scale": 0}])
    refused("of another prompt", CHANGES, prompt="another", graph=graph)
    refused("temperature is", CHANGES, temperature=-1)
    refused("longer than the 64", CHANGES, generate=100)
    quiet = ib.feature_interventions(raw, PROMPT, [{"layer": 0, "feature": 3, "scale": 1.0}], transcoders)
    assert "stays the same" in quiet.every_warning()[0] and np.abs(quiet.measured).max() == 0


def test_frozen_attention_needs_patterns_that_can_be_edited():
    raw = loud_bridge("opt")
    with pytest.raises(ValueError, match="can't be frozen"):
        ib.feature_interventions(raw, PROMPT, CHANGES, random_transcoders(raw), frozen="attention")


def test_a_result_comes_back_as_it_was():
    graph, raw = graph_of("gpt2"), loud_bridge("gpt2")
    found = ib.feature_interventions(raw, PROMPT, CHANGES, random_transcoders(raw), graph=graph)
    assert ib.read_result(found.to_json()).to_json() == found.to_json()
    assert found.agreement is None or -1 <= found.agreement <= 1
    assert len(found.to_dataframe()) == len(found.tokens) and found.plot() is not None
