"""Activations that are not what their name says, or are in some layers only, and models of unusual makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from architectures import N_HEADS, NATIVE, booted, config_of, decoder

import interp_backend as ib
from executor_cases import PAIR
from hookscope.menus import menus_of
from interp_backend.engine.dead_hooks import find_dead_hooks
from plain_loop import assert_close, logit_diff
from tiny_models import CONFIGS, boot, random_model

MLA, EXPERTS, SOME_EXPERTS, HYBRID = (f"{name}ForCausalLM" for name in ("DeepseekV2", "Mixtral", "Qwen2Moe", "Lfm2"))


def reasons(name):
    """What a menu shows of each activation."""
    menus = menus_of(ib.activation_patching, ib.load_model(booted(name)), None, False)
    return {one["activation"]: one["reason"] for one in menus["activations"]}


# Multi-head latent attention


@pytest.mark.parametrize("activation", ["z", "q", "k", "v"])
def test_heads_that_are_not_the_models_are_refused(activation):
    with pytest.raises(
        ValueError, match=f"This model has no {activation}: TransformerLens gives .* not .position, 4 heads"
    ):
        ib.activation_patching(booted(MLA), PAIR, activation=activation)
    assert "4 heads" in reasons(MLA)[activation]


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: ib.direct_logit_attribution(model, PAIR, unit="head"),
        lambda model: ib.direct_logit_attribution(model, PAIR, by_source=True),
        lambda model: ib.attention_patterns(model, PAIR, "value_weighted"),
        lambda model: ib.attention_patterns(model, PAIR, "output_norm"),
        lambda model: ib.head_circuits(model, 0, 0),
        lambda model: ib.patch_together(model, PAIR, [ib.Intervention("z", 0, head=7)]),
    ],
)
def test_methods_that_read_such_heads_say_so(ask):
    with pytest.raises(ValueError, match=r"This model has no [zv]: TransformerLens gives"):
        ask(booted(MLA))


def test_what_is_known_of_such_heads_is_shown():
    assert ib.attention_patterns(booted(MLA), PAIR).heads == list(range(N_HEADS))
    assert "copying" not in ib.head_scores(booted(MLA), seeds=1, length=4).scores


# Experts


def test_neurons_of_experts_are_refused():
    with pytest.raises(ValueError, match=r"This model has no mlp_post: .* mixture of experts"):
        ib.activation_patching(booted(EXPERTS), PAIR, activation="mlp_post")
    assert "experts" in reasons(EXPERTS)["mlp_post"]
    with pytest.raises(ValueError, match="no mlp_post"):
        ib.direct_logit_attribution(booted(EXPERTS), PAIR, unit="neuron")


def test_neurons_of_the_dense_layers_alone_are_patched():
    model = booted(SOME_EXPERTS)
    result = ib.activation_patching(model, PAIR, activation="mlp_post", axes=("layer", "neuron"))
    assert result.places == {"layer": [0], "neuron": list(range(48))}
    plain, made = decoder(SOME_EXPERTS), []
    down = plain.model.layers[0].mlp.down_proj
    clean, corrupt = model.to_tokens(PAIR.clean), model.to_tokens(PAIR.corrupt)
    handle = down.register_forward_pre_hook(lambda module, args: made.append(args[0].clone()))
    with torch.no_grad():
        plain(clean)
        handle.remove()
        expected = []
        for neuron in range(48):

            def put(module, args, at=neuron):
                args[0][..., at] = made[0][..., at]

            handle = down.register_forward_pre_hook(put)
            expected.append(logit_diff(model, plain(corrupt).logits[0, -1], PAIR))
            handle.remove()
    assert_close(result.values[0], expected)


def test_a_layer_of_experts_is_refused_by_its_number():
    model, sentence = booted(SOME_EXPERTS), "There is no mlp_post in layer 1: .*experts.* have it: 0"
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(model, PAIR, activation="mlp_post", layers=[1])
    with pytest.raises(ValueError, match=sentence):
        ib.patch_together(model, PAIR, [ib.Intervention("mlp_post", 1)])
    apart = ib.direct_logit_attribution(model, PAIR, unit="neuron")
    assert "neuron 0.0" in apart.labels and "mlp 1" in apart.labels and "neuron 1.0" not in apart.labels
    assert apart.values.sum() == pytest.approx(apart.total, abs=1e-5)


def test_layers_with_fewer_neurons_have_no_more_cells():
    config = config_of("Qwen2ForCausalLM")
    torch.manual_seed(0)
    plain = transformers.Qwen2ForCausalLM(config)
    narrow = type(config)(**{**config.to_dict(), "intermediate_size": 20})
    plain.model.layers[1].mlp = type(plain.model.layers[1].mlp)(narrow)
    result = ib.activation_patching(boot(plain, "narrow"), PAIR, activation="mlp_post", axes=("layer", "neuron"))
    assert result.values.shape == (2, 48)
    assert (result.state[1, 20:] == 3).all() and np.isnan(result.values[1, 20:]).all()
    assert (result.state[0] != 3).all() and (result.state[1, :20] != 3).all()


# TransformerLens's own models


@pytest.mark.parametrize("name", NATIVE)
def test_every_method_runs_a_native_model(name):
    model = booted(name)
    patched = ib.activation_patching(model, PAIR, activation="z")
    assert patched.provenance["executor"] == "hooks" and patched.values.shape == (2, N_HEADS)
    for unit in ("component", "head"):
        apart = ib.direct_logit_attribution(model, PAIR, unit=unit)
        assert apart.values.sum() == pytest.approx(apart.total, abs=1e-4)
    assert ("mlp 0" in apart.labels) == ("attention only" not in name) and "mixer 0" not in apart.labels
    lens = ib.logit_lens(model, PAIR)
    with torch.no_grad():
        last = int(model(PAIR.clean)[0, -1].argmax())
    assert lens.top_ids[-1, -1, 0] == last
    assert ib.attention_patterns(model, PAIR, "output_norm").values.shape[:2] == (2, N_HEADS)
    assert ib.head_scores(model, seeds=1, length=4).scores["induction"].shape == (2, N_HEADS)
    ib.head_circuits(model, 1, 1)
    ib.read_pair(model, PAIR)


# Layers without attention


def test_layers_without_attention_are_left_out():
    model = booted(HYBRID)
    assert ib.activation_patching(model, PAIR, activation="pattern").places["layer"] == [1]
    patterns = ib.attention_patterns(model, PAIR)
    assert patterns.layers == [1]
    np.testing.assert_array_equal(patterns.values, ib.attention_patterns(model, PAIR, layers=1).values)
    scores = ib.head_scores(model, seeds=1, length=4)
    assert scores.layers == [1] and scores.scores["copying"].shape == (1, N_HEADS)
    assert set(ib.induction_heads(model, seeds=2, length=4)["layer"]) == {1}
    lens = ib.logit_lens(model, PAIR, stream="attn_out")
    assert [(place.activation, place.layer) for place in lens.row_places[1:]] == [("attn_out", 1), ("resid_post", 1)]
    assert reasons(HYBRID)["z"] is None


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: ib.activation_patching(model, PAIR, activation="z", layers=[0, 1]),
        lambda model: ib.attention_patterns(model, PAIR, layers=[0]),
        lambda model: ib.head_circuits(model, 0, 1),
        lambda model: ib.patch_together(model, PAIR, [ib.Intervention("z", 0)]),
    ],
)
def test_a_layer_without_attention_is_refused_by_its_number(ask):
    with pytest.raises(ValueError, match=r"There is no (z|pattern) in layer 0: TransformerLens shows no attention"):
        ask(booted(HYBRID))


def test_windows_patch_the_layers_that_have_the_activation():
    one, two = (ib.activation_patching(booted(HYBRID), PAIR, activation="z", window=size) for size in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("name", [HYBRID, "MambaForCausalLM", "FalconH1ForCausalLM", "Qwen3NextForCausalLM"])
@pytest.mark.parametrize("unit", ["layer", "component"])
def test_what_other_layers_write_is_their_mixers(name, unit):
    result = ib.direct_logit_attribution(booted(name), PAIR, unit=unit)
    assert result.values.sum() == pytest.approx(result.total, abs=1e-4)
    assert ("mixer 0" in result.labels) == (unit == "component") and "attn 0" not in result.labels
    assert ib.read_result(result.to_json()).labels == result.labels


def test_heads_of_a_hybrid_are_told_apart():
    result = ib.direct_logit_attribution(booted(HYBRID), PAIR, unit="head", by_source=True)
    assert {"mixer 0", "head 1.0", "head 1.3"} <= {*result.labels}
    assert np.isnan(result.by_source[0]).all()
    heads = [value for label, value in zip(result.labels, result.values) if label.startswith("head 1.")]
    np.testing.assert_allclose(result.by_source[1].sum(-1), heads, atol=1e-5)


def test_gpt1_runs_and_lacks_what_its_norms_take():
    model = booted("OpenAIGPTLMHeadModel")
    assert ib.activation_patching(model, PAIR, activation="mlp_out").complete
    for activation in ("resid_mid", "resid_post"):
        with pytest.raises(ValueError, match=f"This model has no {activation}: "):
            ib.activation_patching(model, PAIR, activation=activation)
    with pytest.raises(ValueError, match="This model has no resid_post"):
        ib.logit_lens(model, PAIR)


# Logits that are scaled, contexts that are stretched


@pytest.mark.parametrize("name", ["GraniteForCausalLM", "CohereForCausalLM"])
@pytest.mark.parametrize("unit", ["component", "head", "neuron"])
def test_attribution_knows_the_scale_of_the_logits(name, unit):
    result = ib.direct_logit_attribution(booted(name), PAIR.clean, "a", unit=unit)
    with torch.no_grad():
        logit = decoder(name)(booted(name).to_tokens(PAIR.clean)).logits[
            0, -1, booted(name).tokenizer("a")["input_ids"][-1]
        ]
    assert result.values.sum() == pytest.approx(float(logit), rel=1e-3)


def test_dynamic_rope_reads_as_far_as_it_is_stretched():
    config = CONFIGS["llama"]()
    config.max_position_embeddings, config.rope_parameters = (
        8,
        {
            "rope_type": "dynamic",
            "factor": 4.0,
            "rope_theta": 10000.0,
        },
    )
    torch.manual_seed(0)
    raw = boot(transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager"), "stretched")
    assert ib.load_model(raw).n_ctx == 32
    pair = ib.PromptPair(clean="hello there you", corrupt="hellu there you", clean_answer="a", corrupt_answer="b")
    result = ib.activation_patching(raw, pair)
    with torch.no_grad():
        logits = raw(raw.to_tokens(pair.corrupt, truncate=False))[0, -1]
    assert result.baselines["corrupt"] == pytest.approx(logit_diff(raw, logits, pair), abs=1e-5)
    with pytest.raises(ValueError, match="at most 32"):
        ib.logit_lens(raw, "x" * 40)


# Unusual modes of torch


def test_a_model_made_in_inference_mode_is_taken_apart():
    with torch.inference_mode():
        raw = boot(random_model("gpt2"), "inference")
    usual = boot(random_model("gpt2"), "usual")
    for unit in ("head", "neuron"):
        made = [ib.direct_logit_attribution(model, PAIR, unit=unit).values for model in (raw, usual)]
        np.testing.assert_allclose(*made, atol=1e-5)
    with pytest.raises(ValueError, match="inference_mode"):
        ib.train_tuned_lens(raw, ["hello there"], steps=1, progress=False)


def test_double_precision_as_the_default_changes_nothing():
    raw = boot(random_model("gpt2"), "double")
    expected = ib.head_scores(raw, seeds=1, length=4)
    torch.set_default_dtype(torch.float64)
    try:
        scores = ib.head_scores(raw, seeds=1, length=4)
        circuits = ib.head_circuits(raw, 1, 1, top_k=1)
        lens = ib.train_tuned_lens(raw, ["hello there"], steps=1, progress=False)
        apart = ib.direct_logit_attribution(raw, PAIR, unit="neuron")
    finally:
        torch.set_default_dtype(torch.float32)
    for name, values in expected.scores.items():
        np.testing.assert_allclose(scores.scores[name], values, atol=1e-5)
    assert circuits.pairs and lens.weights.dtype == torch.float32
    assert apart.values.sum() == pytest.approx(apart.total, abs=1e-4)


# The check itself


def test_a_users_hooks_do_not_decide_what_is_there():
    raw = boot(random_model("gpt2"), "hooked")
    raw.add_hook("blocks.0.attn.hook_z", lambda value, hook: value * 0)
    assert ib.load_model(raw).unavailable == {}
    raw.reset_hooks()
    assert ib.load_model(raw).unavailable == {} and find_dead_hooks(ib.load_model(raw)) == []


def test_lengths_that_coincide_do_not_hide_another_value(monkeypatch):
    """Neurons as wide as the residual stream, and a hook that gives the MLP's output in their place."""
    config = transformers.GPT2Config(n_layer=2, n_head=4, n_embd=32, n_inner=32, vocab_size=257, n_positions=64)
    model = ib.load_model(boot(transformers.GPT2LMHeadModel(config), "coinciding"))
    real = ib.LanguageModel.hook_name

    def other(model, activation, layer):
        return real(model, "mlp_out" if (activation, layer) == ("mlp_post", 1) else activation, layer)

    monkeypatch.setattr(ib.LanguageModel, "hook_name", other)
    assert model.absent == {
        "mlp_post": {1: "what its hook gives in layer 1 is not what the model's own modules compute there"}
    }
