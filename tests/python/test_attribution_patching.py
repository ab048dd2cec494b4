"""Attribution patching: against TransformerLens's, against exact patching where it has to be equal, and its states."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import traitlets
import transformers

import hookscope as hs
import interp_backend as ib
from executor_cases import activations_of
from interp_backend.engine.backward import RULES
from interp_backend.results.effect_map import CellState
from plain_loop import PER_HEAD, assert_close, token
from tiny_models import CONFIGS, PAIR, boot, bridge

LONGER = ib.PromptPair(clean="hello there", corrupt="hello you there", clean_answer="a", corrupt_answer="b")


def model_of(architecture):
    return ib.load_model(bridge(architecture))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "qwen2", "gpt_neox"])
def test_equals_transformer_lens(architecture):
    analysis = pytest.importorskip("transformer_lens.tools.analysis.attribution_patching")
    raw = bridge(architecture)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = token(raw, "a"), token(raw, "b")
    theirs = analysis.attribution_patch(raw, clean, corrupt, lambda logits: logits[0, -1, a] - logits[0, -1, b])
    raw.zero_grad(set_to_none=True)  # theirs leaves gradients
    axes = ("layer", "head", "position")
    ours = {
        "embed": ib.attribution_patching(raw, PAIR, activation="embed"),
        "attn_head_out": ib.attribution_patching(raw, PAIR, activation="z", axes=axes),
        "mlp_out": ib.attribution_patching(raw, PAIR, activation="mlp_out"),
    }
    for kind, result in ours.items():
        expected = np.zeros(result.values.shape)
        for node, score in theirs.node_scores.items():
            if node.kind == kind:
                at = [node.layer or 0, *([] if node.head is None else [node.head]), node.position]
                expected[tuple(at)] = float(score)
        assert_close(result.values - result.baselines["corrupt"], expected)


@cache
def linear_model():
    """Two layers in which every activation is a linear function of those before it.

    The norms' epsilon is so large that their scale is constant, the activation function is the identity, and queries
    are zero, so that attention is the mean.
    """
    config = transformers.GPT2Config(
        n_layer=2,
        n_head=4,
        n_embd=32,
        vocab_size=257,
        n_positions=64,
        activation_function="linear",
        layer_norm_epsilon=1e12,
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if "ln_" in name and name.endswith("weight"):
            parameter.data.fill_(1e6)
        else:
            parameter.data.normal_(std=0.2)
        if "c_attn" in name:
            parameter.data[..., :32] = 0
    return boot(model, "linear")


@pytest.mark.parametrize("options", [{"rules": "gradient"}, {"rules": "relp"}, {"rules": "relp_ah"}, {"ig_steps": 3}])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_equals_exact_patching_on_a_linear_model(options, direction):
    """Except for GIM, which halves what flows through values by design."""
    maps = ib.attribution_patching(linear_model(), PAIR, activation="all", direction=direction, **options)
    assert set(maps) == set(ib.ACTIVATIONS) - {"k"}  # no query reads them
    for name, estimate in maps.items():
        exact = ib.activation_patching(linear_model(), PAIR, activation=name, direction=direction)
        assert_close(estimate.values, exact.values, 1e-5)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_all_gives_every_map_that_exact_patching_gives(architecture):
    model = model_of(architecture)
    maps = ib.attribution_patching(model, PAIR, activation="all")
    assert set(maps) == set(activations_of(architecture))
    for name, estimate in maps.items():
        exact = ib.activation_patching(model, PAIR, activation=name)
        if name in ("embed", "z", "mlp_post"):
            alone = ib.attribution_patching(model, PAIR, activation=name)
            np.testing.assert_allclose(estimate.values, alone.values, rtol=1e-5, atol=1e-6)
        assert (estimate.axes, estimate.labels, estimate.places) == (exact.axes, exact.labels, exact.places)
        assert estimate.params["activation"] == name and estimate.method == "attribution_patching"
        words = np.where(exact.state == CellState.COMPUTED, CellState.ESTIMATE, exact.state)
        np.testing.assert_array_equal(estimate.state, words)
        same = exact.state == CellState.UNCHANGED
        np.testing.assert_allclose(estimate.values[same], exact.values[same], atol=1e-5)


@pytest.mark.parametrize("activation, axes", [("mlp_post", ("layer", "neuron")), ("pattern", None), ("z", None)])
def test_finer_cells_add_up(activation, axes):
    """Estimates are sums, so those of the parts of a cell add up to it."""
    model = model_of("llama")
    finest = {"mlp_post": ("layer", "position", "neuron"), "z": ("layer", "head", "position")}
    fine = ib.attribution_patching(
        model, PAIR, activation=activation, axes=finest.get(activation, ("layer", "head", "position", "source"))
    )
    whole = ib.attribution_patching(model, PAIR, activation=activation, axes=axes)
    effects = fine.values - fine.baselines["corrupt"]
    summed = effects.sum(tuple(i for i, axis in enumerate(fine.axes) if axis not in whole.axes))
    assert_close(whole.values - whole.baselines["corrupt"], summed)


def test_parts_of_a_sweep_and_named_positions():
    model = model_of("gpt2")
    every = ib.attribution_patching(model, PAIR).values
    some = ib.attribution_patching(model, PAIR, layers=[2, 0], positions=[-1, 5])
    np.testing.assert_allclose(some.values, every[[2, 0]][:, [-1, 5]], atol=1e-6)
    named = ib.attribution_patching(model, PAIR, positions={"two": [5, -1], "one": [5]})
    base = named.baselines["corrupt"]
    np.testing.assert_allclose(named.values[:, 0] - base, (every[:, [5, -1]] - base).sum(1), atol=1e-5)
    assert named.labels["position"] == ["two", "one"]


@pytest.mark.parametrize("activation", ["resid_pre", "z", "k"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_prompts_of_different_lengths_have_the_states_of_exact_patching(activation, direction):
    model, options = model_of("llama"), {"activation": activation, "direction": direction}
    if activation in PER_HEAD:
        options["axes"] = ("layer", "head", "position")
    estimate, exact = (method(model, LONGER, **options) for method in (ib.attribution_patching, ib.activation_patching))
    assert (estimate.state == CellState.NO_COUNTERPART).any() == (direction == "denoise")
    np.testing.assert_array_equal(estimate.state == CellState.NO_COUNTERPART, exact.state == CellState.NO_COUNTERPART)
    np.testing.assert_array_equal(np.isnan(estimate.values), np.isnan(exact.values))
    assert estimate.counterparts == exact.counterparts
    assert "pattern" not in ib.attribution_patching(model, LONGER, activation="all", direction=direction)


# Integrated gradients


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_integrated_gradients_are_complete(architecture, direction):
    """The estimates of the whole embedding, or of a whole layer, add up to the effect of patching it all."""
    model, options = model_of(architecture), {"direction": direction, "ig_steps": 32}
    sign = 1 if direction == "denoise" else -1
    inputs = ib.attribution_patching(model, PAIR, activation="embed", **options)
    assert inputs.normalized.sum() == pytest.approx(sign, abs=0.01)
    for activation in ("resid_pre", "attn_out", "mlp_post"):
        made = ib.attribution_patching(model, PAIR, activation=activation, ig_over="activations", layers=[1], **options)
        everywhere = {"everywhere": list(range(made.values.shape[1]))}
        exact = ib.activation_patching(model, PAIR, activation=activation, direction=direction, positions=everywhere)
        whole = float(exact.normalized[1, 0])
        assert made.normalized.sum() == pytest.approx(whole, abs=0.01 * max(1, abs(whole))), activation


def test_points_of_the_mib_benchmark_begin_at_the_corrupt_prompt():
    model, one = model_of("gpt2"), {"ig_steps": 1, "ig_points": "mib"}
    plain = ib.attribution_patching(model, PAIR)
    np.testing.assert_allclose(ib.attribution_patching(model, PAIR, **one).values, plain.values, atol=1e-5)
    # With noise the gradient is still that of the corrupt prompt, and the change goes the other way.
    embed, noise = (
        ib.attribution_patching(model, PAIR, activation="embed", direction=direction, **one)
        for direction in ("denoise", "noise")
    )
    here, there = embed.values - embed.baselines["corrupt"], noise.values - noise.baselines["clean"]
    np.testing.assert_allclose(here, -there, atol=1e-5)


# Metrics, values and data sets


def test_several_metrics_and_a_function():
    def margin(logits):
        return logits[:, 70] - logits[:, 71]

    model = model_of("llama")
    together = ib.attribution_patching(model, PAIR, metric=["logit_diff", "prob", "kl", margin])
    for metric in ("prob", "kl", margin):
        alone = ib.attribution_patching(model, PAIR, metric=metric)
        name = metric if isinstance(metric, str) else "margin"
        np.testing.assert_allclose(together.by_metric(name).values, alone.values, atol=1e-6)


def test_other_values():
    model = model_of("gpt2")
    zero = ib.attribution_patching(model, PAIR, activation="z", value="zero")
    assert (zero.state == CellState.ESTIMATE).all()
    doubled = ib.attribution_patching(model, PAIR, activation="z", value=ib.Scale(factor=2.0))
    base = zero.baselines["corrupt"]
    np.testing.assert_allclose(doubled.values - base, base - zero.values, atol=1e-5)


def test_a_data_set_is_the_mean_of_its_pairs():
    model = model_of("llama")
    pairs = [PAIR, PAIR.model_copy(update={"clean": "hallo there", "clean_answer": "c"})]
    for activation in ("mlp_out", "all"):
        found = ib.attribution_patching(model, ib.PromptPairs(pairs), activation=activation)
        many = found["mlp_out"] if isinstance(found, dict) else found
        each = [ib.attribution_patching(model, pair, activation="mlp_out") for pair in pairs]
        np.testing.assert_allclose(many.pairs.values, [one.values for one in each], atol=1e-5)
        np.testing.assert_allclose(many.values, np.mean([one.values for one in each], 0), atol=1e-5)
        assert set(np.unique(many.state)) == {CellState.UNCHANGED, CellState.ESTIMATE} and many.complete
        assert many.pairs.clean == [one.baselines["clean"] for one in each]


def test_a_result_survives_its_file_and_names_what_it_is():
    result = ib.attribution_patching(model_of("gpt2"), PAIR, rules="relp")
    again = ib.read_result(result.to_json())
    np.testing.assert_array_equal(again.values, result.values)
    assert "estimated" in again.headline() and "estimate" in str(again)
    assert set(again.to_dataframe()["state"]) == {"estimate", "unchanged"}
    assert 'rules="relp"' in ib.attribution_patching.code(again.params).replace("'", '"')


# What can't be done


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "rank"}, "rank has no gradient.*logit_diff"),
        ({"metric": "kl", "direction": "noise"}, "none at the patched run.*ig_steps"),
        ({"metric": "kl_corrupt"}, "none at the patched run.*ig_steps"),
        ({"metric": lambda logits: logits.detach()[:, 0]}, "no gradient"),
        ({"rules": "lrp"}, "There is no rule 'lrp'"),
        ({"activation": "all", "axes": ("layer", "position")}, "axes belong to one activation"),
        ({"activation": "resid"}, "There is no activation 'resid'"),
        ({"ig_steps": 3, "value": "zero"}, "Integrated gradients over inputs.*ig_over"),
        ({"ig_steps": -1}, "ig_steps is how many steps"),
    ],
)
def test_what_can_not_be_estimated_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ib.attribution_patching(model_of("gpt2"), PAIR, **options)


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_are_choices_of_the_request(rule):
    assert ib.attribution_patching.request(rules=rule).rules == rule


def test_a_heatmap_shows_and_computes_estimates(embedded, capitals):
    estimate = ib.attribution_patching(embedded, capitals, activation="mlp_out")
    shown = hs.PatchHeatmap(result=estimate)
    assert shown.result is estimate and "attribution_patching" in shown.code
    asked = hs.PatchHeatmap(embedded, capitals, method="attribution_patching", activation="mlp_out")
    assert asked.wait(60) and asked.status == "done"
    np.testing.assert_allclose(asked.result.values, estimate.values, rtol=1e-5)
    assert "all" not in [entry["activation"] for entry in asked.info["activations"]]
    with pytest.raises(traitlets.TraitError, match="no activation 'all'"):
        asked.activation = "all"
