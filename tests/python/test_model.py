"""Loading and wrapping: nothing that a user hands in is changed, and what can't work is said."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
import transformers

import interp_backend as ib
from interp_backend.methods.activation_patching import activation_patching_steps
from interp_backend.model import PRETRAINED
from tiny_models import CONFIGS, PAIR, PARALLEL, boot, bridge, byte_tokenizer, random_encoder, random_model


def hooks_on(raw) -> int:
    own = sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in raw.hook_dict.values())
    return own + sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in raw.modules())


@pytest.fixture
def saved(tmp_path):
    """A directory as save_pretrained leaves it."""
    random_model("gpt2").save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_the_embedded_model_needs_no_name_and_is_one_object():
    assert ib.load_model() is ib.load_model()
    assert ib.load_model(ib.load_model().raw) is ib.load_model()
    assert ib.load_model().describe()["name"] == "hookscope-tiny"


def test_a_directory_loads_and_gives_its_models_numbers(saved):
    result = ib.activation_patching(ib.load_model(saved), PAIR)
    same = ib.activation_patching(bridge("gpt2"), PAIR)
    torch.testing.assert_close(torch.tensor(result.values), torch.tensor(same.values))


def test_a_directory_of_pickles_is_refused_until_allowed(saved):
    weights = transformers.AutoModelForCausalLM.from_pretrained(saved).state_dict()
    torch.save(weights, saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"pickled \(pytorch_model.bin\).*allow_pickle"):
        ib.load_model(saved)
    assert ib.load_model(saved, allow_pickle=True).n_layers == 3


def test_pickles_beside_safetensors_are_not_opened(saved):
    (saved / "pytorch_model.bin").write_bytes(b"not a pickle: opening it would fail")
    assert ib.load_model(saved).n_layers == 3


@pytest.mark.parametrize("decoy", ["other.safetensors", "model.safetensors.index.json"])
def test_a_safetensors_file_that_is_not_the_weights_does_not_let_pickles_in(saved, decoy):
    (saved / "model.safetensors").unlink()
    (saved / "pytorch_model.bin").write_bytes(b"")
    (saved / decoy).write_text('{"weight_map": {"lm_head.weight": "pytorch_model.bin"}}')
    with pytest.raises(ValueError, match=r"pickled \(pytorch_model.bin\)"):
        ib.load_model(saved)


def test_wrapping_twice_gives_one_object_and_so_one_lock():
    raw = bridge("gpt2")
    assert ib.load_model(raw) is ib.load_model(raw)
    assert ib.load_model(ib.load_model(raw)) is ib.load_model(raw)


def test_a_users_model_stays_as_it_was():
    raw = boot(random_model("gpt2"), "mine")
    raw(raw.to_tokens("x"))  # TransformerLens wires hooks of its own at the first run
    before, flags, hooks = copy.deepcopy(raw.original_model.state_dict()), dict(vars(raw.cfg)), hooks_on(raw)
    model = ib.load_model(raw)
    assert model.dead_hooks == [] and model.unavailable == {}
    ib.activation_patching(model, PAIR, activation="z", top_k=3)
    ib.read_pair(model, PAIR)
    assert hooks_on(raw) == hooks
    assert dict(vars(raw.cfg)) == flags
    after = raw.original_model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) and before.keys() == after.keys()
    assert all(parameter.grad is None for parameter in raw.parameters())


def test_a_users_own_hook_stays_acts_and_is_mentioned():
    raw = boot(random_model("gpt2"), "hooked")
    plain = ib.activation_patching(raw, PAIR)
    assert plain.provenance["warnings"] == []
    calls = []
    raw.hook_dict["blocks.1.hook_mlp_out"].add_perma_hook(lambda value, hook: calls.append(1) or value * 0)
    result = ib.activation_patching(raw, PAIR)
    assert calls and not (result.values == plain.values).all()
    assert "hooks of your own" in result.provenance["warnings"][0]
    assert ib.load_model(raw).users_hooks() == ["blocks.1.mlp.hook_out"]


@pytest.mark.parametrize("ending", ["success", "error", "stopped", "interrupt"])
def test_no_hook_is_left_behind(ending):
    raw = bridge("gpt2")
    hooks = hooks_on(raw)

    def metric(logits):
        if ending == "error" and len(logits) > 2:  # not at the two baselines
            raise RuntimeError("from a user's metric")
        if ending == "interrupt" and len(logits) > 2:
            raise KeyboardInterrupt
        return logits[:, 0]

    steps = activation_patching_steps(raw, PAIR, activation="attn_out", metric=metric)
    next(steps)
    if ending == "success":
        list(steps)
    elif ending == "stopped":
        next(steps)
        steps.close()
    else:
        with pytest.raises(RuntimeError if ending == "error" else KeyboardInterrupt):
            list(steps)
    assert hooks_on(raw) == hooks
    free = []
    thread = threading.Thread(target=lambda: free.append(ib.load_model(raw).lock.acquire(blocking=False)))
    thread.start()
    thread.join()
    assert free == [True]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_dead_and_missing_activations_are_known(architecture):
    model = ib.load_model(bridge(architecture))
    dead = ["pattern", "attn_scores"] if architecture in ("gpt_neo", "gptj", "opt") else []
    assert model.dead_hooks == dead
    assert set(model.unavailable) == ({"resid_mid"} if architecture in PARALLEL else set())
    assert model.users_hooks() == []  # opt carries some of TransformerLens's own


def test_a_model_in_training_mode_is_refused():
    raw = boot(random_model("gpt2"), "training")
    model = ib.load_model(raw)
    raw.original_model.train()
    with pytest.raises(ValueError, match="training mode"):
        ib.activation_patching(model, PAIR)
    with pytest.raises(ValueError, match="training mode"):
        ib.load_model(raw)


@pytest.mark.parametrize(
    "source, error, sentence",
    [
        (42, TypeError, "Can't make a model from int"),
        (random_model("gpt2"), TypeError, "boot_transformers"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(source, error, sentence):
    with pytest.raises(error, match=sentence):
        ib.load_model(source)


@pytest.mark.parametrize("source", ["no-such-model-anywhere", "./no/such/directory"])
def test_a_name_that_leads_nowhere_is_refused_in_a_sentence(source):
    with pytest.raises(ValueError, match=f"(?s)Can't load a model from '{source}'.*save_pretrained"):
        ib.load_model(source)


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_what_is_no_decoder_is_refused_in_a_sentence(architecture):
    with pytest.raises(ValueError, match="decoder-only"):
        ib.load_model(boot(random_encoder(architecture), architecture))


def test_logits_that_are_no_numbers_are_refused_in_a_sentence():
    raw = boot(random_model("gpt2"), "overflowing")
    raw.original_model.lm_head.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="float32"):
        ib.activation_patching(raw, PAIR)


def test_a_model_without_tokenizer_is_refused():
    raw = boot(random_model("gpt2"), "mute")
    raw.tokenizer = None
    with pytest.raises(ValueError, match="no tokenizer"):
        ib.load_model(raw)


def test_tokens_read_as_text_even_when_they_are_no_whole_character():
    model = ib.load_model(bridge("gpt2"))
    ids = model.to_ids("a é\n")
    assert model.token_texts(ids) == ["<bos>", "a", " ", "\\xc3", "\\xa9", "\n"]
    assert model.token_text(257) == "<257>"


def test_tokens_of_the_embedded_model_keep_their_leading_space(embedded):
    assert embedded.token_texts(embedded.answer_ids(" Oslo")) == [" Oslo"]
    assert "".join(embedded.token_texts(embedded.to_ids("The capital of Norway is")[1:])) == "The capital of Norway is"


def test_the_embedded_weights_are_safetensors_only():
    assert {path.suffix for path in PRETRAINED.iterdir()} <= {".json", ".safetensors", ".md"}
