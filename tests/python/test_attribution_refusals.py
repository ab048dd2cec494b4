"""What direct logit attribution refuses, and the sentence that it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from test_attribution import TEXT, UNEQUAL, attributed
from test_model import hooks_on

import interp_backend as ib
from tiny_models import (
    PAIR,
    boot,
    bridge,
    loud_bridge,
    loud_model,
    random_encoder,
    random_model,
)

# Bad input


@pytest.mark.parametrize(
    "prompt, answers, options, sentence",
    [
        ("", ["a"], {}, "prompt is empty"),
        ("x" * 64, ["a"], {}, "65 tokens and the model reads at most 64"),
        ("x", [None], {}, "Say which answer"),
        ("x", [None, "a"], {}, "Say which answer"),
        ("x", ["ab"], {}, "“ab” is 2 tokens .*Give one of them"),
        ("x", ["a", "bc"], {}, "“bc” is 2 tokens"),
        ("x", [""], {}, "0 tokens"),
        ("x", [[]], {}, "list of answers is empty"),
        ("x", ["a", []], {}, "list of answers is empty"),
        ("x", [257], {}, "There is no token 257"),
        ("x", ["a", "a"], {}, "always zero"),
        ("x", [["a", "c"], ["b", "c"]], {}, "always zero"),
        ("x", ["a"], {"position": 2}, "position"),
        ("x", ["a"], {"position": -3}, "position"),
        ("x", ["a"], {"position": 1.5}, "position"),
        ("x", ["a"], {"position": True}, "position"),
        ("x", ["a"], {"unit": "heads"}, "no unit 'heads'. Choose one of layer"),
        (PAIR.model_copy(update={"clean_answer": "abc"}), [], {}, "clean answer is 3 tokens"),
        (UNEQUAL, [], {"position": 8}, "position"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(prompt, answers, options, sentence):
    raw = bridge("gpt2")
    attributed(raw, "x", "a", "b")
    hooks = hooks_on(raw)
    with pytest.raises(ValueError, match=sentence):
        ib.direct_logit_attribution(raw, prompt, *answers, **options)
    assert hooks_on(raw) == hooks
    assert attributed(raw, "x", "a", "b").values.size


@pytest.mark.parametrize(
    "pair, wrong, sentence",
    [
        (PAIR.model_copy(update={"corrupt_answer": "bcd"}), None, "3 tokens"),  # scored by its first, unsaid
        (PAIR.model_copy(update={"corrupt_answer": "a"}), None, "same|zero"),  # a difference of nothing
        (PAIR, "a", "same|zero"),
        (PAIR.model_copy(update={"clean_answer": ""}), None, "[Aa]nswer"),  # the model is blamed
    ],
)
def test_answers_of_a_pair_that_make_no_sense_are_refused(pair, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.direct_logit_attribution(bridge("gpt2"), pair, wrong_answer=wrong)


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_what_is_no_decoder_is_refused(architecture):
    with pytest.raises(ValueError, match="decoder-only"):
        attributed(boot(random_encoder(architecture), architecture), "x", "a", None)


def test_training_mode_is_refused():
    raw = boot(random_model("gpt2"), "training")
    model = ib.load_model(raw)
    raw.original_model.train()
    with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
        attributed(model, "x", "a", None)


@pytest.mark.parametrize("part", [".h.1.mlp", "lm_head", "ln_f"])
def test_activations_that_are_no_numbers_are_refused(part):
    model = random_model("gpt2")
    raw = boot(model, "gpt2")
    attributed(raw, "x", "a", None)
    hooks = hooks_on(raw)
    name = next(name for name, _ in model.named_parameters(remove_duplicate=False) if part in name)
    dict(model.named_parameters(remove_duplicate=False))[name].data[:1] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        attributed(raw, "xyz", "a", None)
    assert hooks_on(raw) == hooks


def test_a_layer_that_writes_nothing_adds_nothing():
    model = loud_model("gemma2")
    model.model.layers[1].self_attn.o_proj.weight.data.zero_()
    result = attributed(boot(model, "silent"), TEXT, [64], [65], unit="head")
    assert [v for label, v in zip(result.labels, result.values) if label.startswith("head 1.")] == [0] * 4


def test_neurons_of_a_mixture_of_experts_are_refused_in_a_sentence():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.MixtralConfig(
        vocab_size=257, max_position_embeddings=64, intermediate_size=64, num_local_experts=4, **sizes
    )
    raw = boot(transformers.MixtralForCausalLM(config), "mixtral")
    assert attributed(raw, "x", "a", "b", unit="head").values.size
    with pytest.raises(ValueError, match="Choose the unit"):
        attributed(raw, "x", "a", "b", unit="neuron")


def test_in_inference_mode_the_numbers_are_the_same():
    plain = attributed(loud_bridge("gemma2"), TEXT, [64], [65], unit="head")
    with torch.inference_mode():
        result = attributed(loud_bridge("gemma2"), TEXT, [64], [65], unit="head")
    np.testing.assert_allclose(result.values, plain.values, atol=1e-6)
