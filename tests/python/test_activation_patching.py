"""Activation patching against transformer_lens.patching, a plain loop, and a circuit written by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from transformer_lens import patching

import interp_backend as ib
from interp_backend.engine import executor
from interp_backend.language.metrics import METRICS
from interp_backend.results.effect_map import COMPUTED, UNCHANGED
from tiny_models import CONFIGS, PAIR, PARALLEL, boot, bridge, copying_model, random_model

_RESID_POST = partial(
    patching.generic_activation_patch,
    patch_setter=patching.layer_pos_patch_setter,
    activation_name="resid_post",
    index_axis_names=("layer", "pos"),
)
ORACLES = {
    ("resid_pre", None): patching.get_act_patch_resid_pre,
    ("resid_mid", None): patching.get_act_patch_resid_mid,
    ("resid_post", None): _RESID_POST,
    ("attn_out", None): patching.get_act_patch_attn_out,
    ("mlp_out", None): patching.get_act_patch_mlp_out,
    ("z", ("layer", "head")): patching.get_act_patch_attn_head_out_all_pos,
    ("z", ("layer", "head", "position")): patching.get_act_patch_attn_head_out_by_pos,
}


def oracle(raw, activation, axes, direction):
    """The raw logit difference in each cell, as transformer_lens.patching has it."""
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    a, b = (
        raw.tokenizer(t, add_special_tokens=False)["input_ids"][0] for t in (PAIR.clean_answer, PAIR.corrupt_answer)
    )
    with torch.no_grad():
        _, cache = raw.run_with_cache(source)
        values = ORACLES[activation, axes](raw, base, cache, lambda logits: logits[0, -1, a] - logits[0, -1, b])
    values = values.numpy()
    return values.transpose(0, 2, 1) if values.ndim == 3 else values  # theirs is [layer, position, head]


def assert_equal(values, expected):
    scale = np.abs(expected).max()
    assert scale > 1e-3, "a model in which nothing happens tests nothing"
    np.testing.assert_allclose(values, expected, atol=1e-4 * scale, rtol=0)


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "gemma2", "qwen2"])
def test_equals_transformer_lens_for_every_activation(architecture, direction):
    raw = bridge(architecture)
    for activation, axes in ORACLES:
        if activation == "resid_mid" and architecture in PARALLEL:
            continue
        result = ib.activation_patching(raw, PAIR, activation=activation, axes=axes, direction=direction)
        assert result.provenance["executor"] == "packed"
        assert_equal(result.values, oracle(raw, activation, axes, direction))


@pytest.mark.parametrize("architecture", sorted(set(CONFIGS) - {"gpt2", "llama", "gpt_neox", "gemma2", "qwen2"}))
def test_equals_transformer_lens_on_other_architectures(architecture):
    raw = bridge(architecture)
    for activation, axes in [("resid_pre", None), ("z", ("layer", "head"))]:
        result = ib.activation_patching(raw, PAIR, activation=activation, axes=axes)
        assert result.provenance["executor"] == "packed"
        assert_equal(result.values, oracle(raw, activation, axes, "denoise"))


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_equals_transformer_lens_on_folded_weights(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.enable_compatibility_mode()
    assert ib.load_model(raw).weights == "folded"
    for activation, axes in ORACLES:
        result = ib.activation_patching(raw, PAIR, activation=activation, axes=axes)
        assert_equal(result.values, oracle(raw, activation, axes, "denoise"))


@pytest.mark.parametrize("activation, axes", ORACLES)
def test_the_fallback_through_the_whole_model_gives_the_same(activation, axes, monkeypatch):
    raw = bridge("gpt2")
    by_hand = ib.activation_patching(raw, PAIR, activation=activation, axes=axes, top_k=3)
    monkeypatch.setattr("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test")
    whole = ib.activation_patching(raw, PAIR, activation=activation, axes=axes, top_k=3)
    assert (whole.provenance["executor"], whole.provenance["executor_reason"]) == ("hooks", "for a test")
    assert_equal(whole.values, by_hand.values)
    np.testing.assert_array_equal(whole.state, by_hand.state)
    np.testing.assert_allclose(whole.top.probs, by_hand.top.probs, atol=1e-5)


def test_a_model_whose_blocks_run_differently_alone_falls_back_by_itself(monkeypatch):
    raw = boot(random_model("gemma2"), "gemma2")
    # As if a model did something after its blocks that we don't know of.
    real = executor.read_out
    monkeypatch.setattr(executor, "read_out", lambda *arguments: real(*arguments) * 1.01)
    result = ib.activation_patching(raw, PAIR)
    assert result.provenance["executor"] == "hooks"
    assert "called one by one differ from the whole model by" in result.provenance["executor_reason"]
    assert_equal(result.values, oracle(raw, "resid_pre", None, "denoise"))


def test_finds_the_hand_written_head_and_nothing_else():
    pair = ib.PromptPair(clean="xay", corrupt="xby", clean_answer="a", corrupt_answer="b")
    raw = copying_model()
    heads = ib.activation_patching(raw, pair, activation="z").normalized
    np.testing.assert_allclose(heads, [[0, 0, 0, 0], [0, 0, 1, 0]], atol=1e-4)
    stream = ib.activation_patching(raw, pair, activation="resid_pre").normalized
    np.testing.assert_allclose(stream, [[0, 0, 1, 0], [0, 0, 1, 0]], atol=1e-4)
    after = ib.activation_patching(raw, pair, activation="resid_post").normalized
    np.testing.assert_allclose(after, [[0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-4)
    mlps = ib.activation_patching(raw, pair, activation="mlp_out")
    assert (mlps.state == UNCHANGED).all() and (mlps.normalized == 0).all()


def test_noising_the_hand_written_head_destroys_the_answer():
    pair = ib.PromptPair(clean="xay", corrupt="xby", clean_answer="a", corrupt_answer="b")
    heads = ib.activation_patching(copying_model(), pair, activation="z", direction="noise").normalized
    np.testing.assert_allclose(heads, [[0, 0, 0, 0], [0, 0, -1, 0]], atol=1e-4)


def test_cells_before_the_first_difference_are_unchanged_and_not_run(embedded, capitals):
    result = ib.activation_patching(embedded, capitals)
    first = 4  # <bos> The capital of | Norway
    assert (result.state[:, :first] == UNCHANGED).all()
    assert (result.values[:, :first] == np.float32(result.baselines["corrupt"])).all()
    assert (result.state[:, first + 1 :][1:] == COMPUTED).all()
    assert result.state[0, first] == COMPUTED and result.normalized[0, first] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_equals_a_plain_loop(metric):
    raw = bridge("gpt2")
    model = ib.load_model(raw)
    result = ib.activation_patching(raw, PAIR, activation="attn_out", metric=metric)
    clean, corrupt = raw.to_tokens(PAIR.clean), raw.to_tokens(PAIR.corrupt)
    a, b = model.answer_ids("a")[0], model.answer_ids("b")[0]
    with torch.no_grad():
        clean_logits, cache = raw.run_with_cache(clean)
        corrupt_logits = raw(corrupt)
        for layer, position in np.ndindex(result.values.shape):
            name = f"blocks.{layer}.hook_attn_out"

            def put(value, hook, name=name, position=position):
                value[:, position] = cache[name][:, position]
                return value

            logits = raw.run_with_hooks(corrupt, fwd_hooks=[(name, put)])[0, -1]
            p, q, r = clean_logits[0, -1].softmax(-1), logits.softmax(-1), corrupt_logits[0, -1].softmax(-1)
            expected = {
                "logit_diff": logits[a] - logits[b],
                "logit": logits[a],
                "log_prob": q[a].log(),
                "prob": q[a],
                "answer_log_prob": q[a].log(),  # of one token
                "rank": (logits > logits[a]).sum(),
                "kl": (p * (p / q).log()).sum(),
                "kl_corrupt": (r * (r / q).log()).sum(),
            }[metric]
            assert result.values[layer, position] == pytest.approx(float(expected), abs=1e-5)


def test_a_function_of_the_users_own_is_a_metric(embedded, capitals):
    oslo = embedded.answer_ids(" Oslo")[0]

    def oslo_logit(logits):
        return logits[:, oslo]

    own = ib.activation_patching(embedded, capitals, metric=oslo_logit)
    named = ib.activation_patching(embedded, capitals, metric="logit")
    np.testing.assert_allclose(own.values, named.values, atol=1e-5)
    assert own.params["metric"] == "oslo_logit"


def test_a_metric_of_the_wrong_shape_is_refused(embedded, capitals):
    with pytest.raises(ValueError, match=r"one number for each run"):
        ib.activation_patching(embedded, capitals, metric=lambda logits: logits)


def test_a_metric_may_write_into_what_it_gets_and_carry_gradients():
    probe = torch.nn.Linear(257, 1)

    def vandal(logits):
        values = probe(logits)[:, 0]
        logits[:] = 0
        return values

    result = ib.activation_patching(bridge("gpt2"), PAIR, metric=vandal, top_k=3)
    plain = ib.activation_patching(bridge("gpt2"), PAIR, top_k=3)
    np.testing.assert_allclose(result.top.logits, plain.top.logits, atol=1e-5)


def test_what_is_wrong_with_an_answer_that_the_metric_does_not_read_forbids_nothing():
    pair = PAIR.model_copy(update={"corrupt_answer": "several letters"})
    assert ib.activation_patching(bridge("gpt2"), pair, metric="prob").complete
    assert ib.activation_patching(bridge("gpt2"), pair, metric="kl").complete
    with pytest.raises(ValueError, match="corrupt answer is 15 tokens"):
        ib.activation_patching(bridge("gpt2"), pair)


def test_a_scale_with_close_ends_is_said_to_be_short(embedded):
    pair = ib.PromptPair(clean="The key to", corrupt="The keys to", clean_answer=" are", corrupt_answer=" is")
    result = ib.activation_patching(embedded, pair, metric=lambda logits: 100 + 1e-3 * logits[:, 5].abs())
    assert len(result.provenance["warnings"]) == 1


def test_top_tokens_are_those_of_the_patched_run():
    raw = bridge("gpt2")
    result = ib.activation_patching(raw, PAIR, top_k=4)
    layer, position = 1, 9
    corrupt = raw.to_tokens(PAIR.corrupt)
    name = f"blocks.{layer}.hook_resid_pre"
    with torch.no_grad():
        _, cache = raw.run_with_cache(raw.to_tokens(PAIR.clean))

        def put(value, hook):
            value[:, position] = cache[name][:, position]
            return value

        logits = raw.run_with_hooks(corrupt, fwd_hooks=[(name, put)])[0, -1]
    top = logits.topk(4)
    np.testing.assert_array_equal(result.top.ids[layer, position], top.indices)
    np.testing.assert_allclose(result.top.logits[layer, position], top.values, atol=1e-5)
    np.testing.assert_allclose(result.top.probs[layer, position], logits.softmax(-1)[top.indices], atol=1e-6)
    assert {int(i) for i in np.unique(result.top.ids)} <= set(result.tokens)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"clean_answer": "ab"}, "one forward pass scores one"),
        ({"corrupt_answer": "a"}, "two answers are the same"),
        ({"corrupt": "hello there"}, "two prompts are the same"),
        ({"clean": ""}, "clean prompt is empty"),
        ({"clean_answer": ""}, "needs the clean answer"),
        ({"clean": "x" * 80, "corrupt": "y" * 80}, "81 tokens and the model reads at most 64"),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(bridge("gpt2"), PAIR.model_copy(update=change))


def test_an_answer_of_several_tokens_counts_by_its_first_if_told_so():
    pair = PAIR.model_copy(update={"clean_answer": "ax", "corrupt_answer": "by", "score_first_token": True})
    first = ib.activation_patching(bridge("gpt2"), pair)
    np.testing.assert_allclose(first.values, ib.activation_patching(bridge("gpt2"), PAIR).values, atol=1e-5)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"activation": "resid"}, "no activation 'resid'"),
        ({"axes": ("layer", "head")}, "axes of resid_pre are"),
        ({"direction": "sideways"}, "no direction 'sideways'"),
        ({"metric": "loss"}, "no metric 'loss'"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(bridge("gpt2"), PAIR, **options)


def test_an_activation_that_the_model_lacks_is_refused():
    with pytest.raises(ValueError, match="side by side"):
        ib.activation_patching(bridge("gpt_neox"), PAIR, activation="resid_mid")


def test_steps_can_be_stopped_and_keep_their_cells(embedded, capitals):
    from interp_backend import activation_patching

    steps = activation_patching.steps(embedded, capitals, activation="z", axes=("layer", "head", "position"))
    next(steps)
    step = next(steps)
    steps.close()
    result = step.result
    assert not result.complete and result.provenance["complete"] is False
    assert 0 < (result.state == COMPUTED).sum() < result.values.size
    assert np.isnan(result.values[result.state == 0]).all() and np.isfinite(result.values[result.state != 0]).all()
    whole = ib.activation_patching(embedded, capitals, activation="z", axes=("layer", "head", "position"))
    known = result.state == COMPUTED
    np.testing.assert_allclose(result.values[known], whole.values[known], atol=1e-5)
