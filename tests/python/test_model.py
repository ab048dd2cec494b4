"""Loading and wrapping: nothing that a user hands in is changed, and what can't work is said."""

from __future__ import annotations

import copy
import threading
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import interp_backend as ib
from interp_backend.language.loading import PRETRAINED
from interp_backend.methods.activation_patching import activation_patching
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
    with pytest.raises(ValueError, match=r"no weights in safetensors.*allow_pickle"):
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
    with pytest.raises(ValueError, match="no weights in safetensors"):
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
    assert not [warning for warning in plain.provenance["warnings"] if "hooks" in warning]
    calls = []
    raw.hook_dict["blocks.1.hook_mlp_out"].add_perma_hook(lambda value, hook: calls.append(1) or value * 0)
    result = ib.activation_patching(raw, PAIR)
    assert calls and not (result.values == plain.values).all()
    assert "hooks of your own" in result.provenance["warnings"][0]
    assert ib.load_model(raw).users_hooks() == ["blocks.1.mlp.hook_out"]


@pytest.mark.parametrize("ending", ["success", "error", "stopped", "interrupt"])
def test_no_hook_is_left_behind(ending):
    raw = bridge("gpt2")
    raw(torch.tensor([[1, 2]]))  # the bridge adds hooks of its own at its first run
    hooks = hooks_on(raw)

    def metric(logits):
        if ending == "error" and len(logits) > 2:  # not at the two baselines
            raise RuntimeError("from a user's metric")
        if ending == "interrupt" and len(logits) > 2:
            raise KeyboardInterrupt
        return logits[:, 0]

    steps = activation_patching.steps(raw, PAIR, activation="attn_out", metric=metric)
    next(steps)
    if ending == "success":
        list(steps)
    elif ending == "stopped":
        next(steps)
        steps.close()
    else:
        with pytest.raises(ValueError if ending == "error" else KeyboardInterrupt):
            list(steps)
    assert hooks_on(raw) == hooks
    free = []

    def try_lock():
        with ib.load_model(raw).lock:
            free.append(True)

    thread = threading.Thread(target=try_lock, daemon=True)
    thread.start()
    thread.join(20)
    assert free == [True]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_dead_and_missing_activations_are_known(architecture):
    model = ib.load_model(bridge(architecture))
    dead = ["pattern"] if architecture in ("gpt_neo", "gptj", "opt") else []
    assert model.dead_hooks == dead
    assert set(model.unavailable) == ({"resid_mid"} if architecture in PARALLEL else set())
    assert model.users_hooks() == []  # opt carries some of TransformerLens's own


def test_another_threads_runs_stay_apart_from_a_sweep():
    """The next cell runs the model, plainly and with a cache, while a widget sweeps it."""
    raw = boot(random_model("gpt2"), "shared")
    model = ib.load_model(raw)
    options = {"activation": "z", "axes": ("layer", "head", "position")}
    alone = ib.activation_patching(model, PAIR, **options)
    prompt = raw.to_tokens("hello world")  # as long as the pair's: a mix-up would not even raise
    with torch.no_grad():
        logits, cache = raw.run_with_cache(prompt)
    results, sweeping = [], threading.Event()

    def sweep():
        for _ in range(3):
            results.append(ib.activation_patching(model, PAIR, **options))
        sweeping.set()

    thread = threading.Thread(target=sweep)
    thread.start()
    runs = 0
    while not sweeping.is_set() or runs < 3:
        with torch.no_grad():
            torch.testing.assert_close(raw(prompt), logits)
            again, fresh = raw.run_with_cache(prompt)
        torch.testing.assert_close(again, logits)
        for name in cache:
            torch.testing.assert_close(fresh[name], cache[name], msg=name)
        runs += 1
    thread.join()
    for result in results:
        assert abs(result.values - alone.values).max() < 1e-5
    assert len(results) == 3


def test_resetting_the_models_hooks_during_a_sweep_is_noticed():
    raw = boot(random_model("gpt2"), "reset")
    steps = activation_patching.steps(raw, PAIR, activation="attn_out")
    next(steps)
    reset = raw.blocks[0].register_forward_pre_hook(lambda module, args: raw.reset_hooks() and None)
    with pytest.raises(RuntimeError, match="Run this again"):
        list(steps)
    reset.remove()


@pytest.mark.parametrize("where", ["blocks.1.attn.hook_z", "ln_final.hook_normalized"])
def test_with_a_users_hook_each_cell_is_what_a_plain_loop_gives(where):
    """Such a hook may mean the first row of a batch, or a position of the whole prompt."""
    raw = boot(random_model("gpt2"), "hooked")

    def users(value, hook):
        value[0, 4] = 0
        return value

    raw.hook_dict[where].add_perma_hook(users)
    result = ib.activation_patching(raw, PAIR, activation="mlp_out")
    a, b = (raw.tokenizer(t, add_special_tokens=False)["input_ids"][0] for t in ("a", "b"))
    with torch.no_grad():
        _, cache = raw.run_with_cache(raw.to_tokens(PAIR.clean))
        for layer, position in [(0, 5), (1, 8), (2, 11)]:

            def put(value, hook, layer=layer, position=position):
                value[:, position] = cache[f"blocks.{layer}.hook_mlp_out"][:, position]
                return value

            hooks = [(f"blocks.{layer}.hook_mlp_out", put)]
            logits = raw.run_with_hooks(raw.to_tokens(PAIR.corrupt), fwd_hooks=hooks)[0, -1]
            assert result.values[layer, position] == pytest.approx(float(logits[a] - logits[b]), abs=1e-5)
    assert result.provenance["executor"] == "hooks"


def test_a_tokenizer_that_puts_a_space_before_every_text_scores_the_right_token():
    raw = boot(random_model("llama"), "sentencepiece")
    pieces = ["<unk>", "<s>", "\u2581", "\u2581is", "\u2581Oslo", "\u2581Rome"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    raw.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    model = ib.load_model(raw)
    assert model.token_texts(model.answer_ids(" Oslo")) == [" ", " Oslo"]  # by itself
    assert model.token_texts(model.answer_ids(" Oslo", "Rome is")) == [" Oslo"]  # where it stands
    pair = ib.PromptPair(
        clean="Rome is", corrupt="Oslo is", clean_answer=" Rome", corrupt_answer=" Oslo", prepend_bos=False
    )
    assert ib.tokenize(model, pair).warnings == []


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


def test_a_name_that_leads_nowhere_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"(?s)Can't load a model from 'no-such-model'.*save_pretrained"):
        ib.load_model("no-such-model")


@pytest.mark.parametrize("source", ["/no/such/dir", "./no/such/dir", "~/dir", "a/b/c", Path("gpt2")])
def test_a_directory_that_does_not_exist_is_refused_by_its_name(source):
    with pytest.raises(ValueError, match=f"There is no directory '{source}'. Give the path of a directory that save_p"):
        ib.load_model(source)


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_what_is_no_decoder_is_refused_in_a_sentence(architecture):
    with pytest.raises(ValueError, match="decoder-only"):
        ib.load_model(boot(random_encoder(architecture), architecture))


def test_logits_that_are_no_numbers_are_refused_in_a_sentence():
    raw = boot(random_model("gpt2"), "overflowing")
    raw.original_model.lm_head.weight.data[:, 0] = float("nan")
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
    files = [path for path in PRETRAINED.iterdir() if path.is_file()]  # the tuned lens has a test of its own
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
