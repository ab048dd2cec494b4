"""The tuned lens: its files, what it refuses, its numbers in plain torch, and its training."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_logit_lens import assert_reads
from test_model import hooks_on

import interp_backend as ib
from interp_backend.language.tuned_lens import TunedLens, unembed_hash
from interp_backend.methods import train_tuned_lens as training
from interp_backend.methods.logit_lens import trajectory
from interp_backend.methods.train_tuned_lens import train_tuned_lens
from plain_loop import Plain
from tiny_models import CONFIGS, PAIR, PARALLEL, boot, bridge, loud_bridge, loud_model, random_model

TEXT = "hello there"
TEXTS = ["hello there", "the quick brown fox", "jumps over the lazy dog", "a"]
N_LAYERS, D_MODEL = 3, 32


@cache
def hash_of(architecture):
    return unembed_hash(ib.load_model(loud_bridge(architecture)))


def lens_of(architecture, seed=0, size=0.3):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(N_LAYERS, D_MODEL, D_MODEL, generator=generator) * size / D_MODEL**0.5
    biases = torch.randn(N_LAYERS, D_MODEL, generator=generator) * size
    return TunedLens(weights, biases, hash_of(architecture), "by hand")


def zeros(architecture):
    return lens_of(architecture, size=0)


# Numbers


@pytest.mark.parametrize("stream", ["resid_pre", "resid_post"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_translator_made_by_hand_equals_plain_arithmetic(architecture, stream):
    raw, lens = loud_bridge(architecture), lens_of(architecture)
    result = ib.logit_lens(raw, TEXT, stream=stream, lens=lens, targets=["a", "b"], top_k=8)
    plain = Plain(loud_model(architecture), architecture, result.sides["prompt"].ids)
    rows = plain.rows(stream)
    assert len(rows) == N_LAYERS + 1
    translated = [h + h @ w.double().T + b.double() for h, w, b in zip(rows, lens.weights, lens.biases)]
    logits = plain.read(torch.stack([*translated, rows[-1]]))
    assert_reads(result.arrays_of("prompt"), logits, [64, 65])
    np.testing.assert_allclose(result.top_logits[-1], plain.logits.topk(8).values, atol=2e-5)
    assert result.params["lens"] == {"own": "lens"}
    logit = ib.logit_lens(raw, TEXT, stream=stream, top_k=8)
    assert np.abs(result.entropy - logit.entropy)[:-1].max() > 0.1
    column = trajectory(raw, result, "prompt", 4, [64, 65], lens)
    np.testing.assert_allclose(column.target_logit[:, 0], result.target_logit[:, 4], atol=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom", "phi"])
def test_a_translator_of_zeros_is_the_logit_lens(architecture):
    raw = loud_bridge(architecture)
    for stream in ("resid_pre", "resid_post"):
        tuned = ib.logit_lens(raw, PAIR, stream=stream, lens=zeros(architecture))
        plain = ib.logit_lens(raw, PAIR, stream=stream)
        for side in ("clean", "corrupt"):
            for name in type(plain.arrays_of(side)).model_fields:
                np.testing.assert_array_equal(
                    getattr(tuned.arrays_of(side), name), getattr(plain.arrays_of(side), name)
                )


def test_read_in_chunks_it_is_the_same(monkeypatch):
    raw, lens = loud_bridge("gemma2"), lens_of("gemma2")
    whole = ib.logit_lens(raw, TEXT, lens=lens, targets=["a"])
    monkeypatch.setattr("interp_backend.methods.logit_lens.BYTES_AT_ONCE", 4 * 257 * 5)
    chunked = ib.logit_lens(raw, TEXT, lens=lens, targets=["a"])
    for name in type(whole.arrays_of("prompt")).model_fields:
        np.testing.assert_allclose(getattr(chunked, name), getattr(whole, name), atol=2e-5)


def test_half_precision_is_close():
    raw = boot(loud_model("gpt2").bfloat16(), "half")
    base = lens_of("gpt2")
    lens = TunedLens(base.weights, base.biases, unembed_hash(ib.load_model(raw)), "half")
    result = ib.logit_lens(raw, TEXT, lens=lens)
    whole = ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=base)
    np.testing.assert_allclose(result.entropy, whole.entropy, atol=0.2)


# The hash


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "phi"])
def test_the_hash_is_the_tuned_lens_packages(architecture):
    weight = loud_model(architecture).get_output_embeddings().weight.detach().numpy()
    assert weight.shape == (257, D_MODEL)
    expected = hashlib.sha256(np.array_str(weight, precision=1).encode()).hexdigest()
    assert hash_of(architecture) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"edgeitems": 1, "linewidth": 200, "threshold": 10},
        {"suppress": True, "sign": "+", "floatmode": "fixed"},
        {"formatter": {"float": lambda x: "?"}},
        {"legacy": "1.13"},
    ],
    ids=["short", "signed", "formatter", "legacy"],
)
def test_how_a_notebook_prints_arrays_does_not_matter(options):
    with np.printoptions(**options):
        assert unembed_hash(ib.load_model(loud_bridge("gpt2"))) == hash_of("gpt2")


def test_another_unembedding_has_another_hash():
    assert len({hash_of(name) for name in ("gpt2", "gemma2", "llama", "phi")}) == 4


# Files


def test_a_lens_survives_its_files(tmp_path):
    lens = lens_of("gpt2")
    directory = lens.save(tmp_path / "deep" / "lens")
    again = TunedLens.load(str(directory))
    assert torch.equal(again.weights, lens.weights) and torch.equal(again.biases, lens.biases)
    assert (again.unembed_hash, again.name) == (lens.unembed_hash, lens.name)
    lens.save(directory)  # over itself
    ours = ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=lens)
    theirs = ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=again)
    np.testing.assert_array_equal(ours.top_logits, theirs.top_logits)


def test_the_files_are_in_the_tuned_lens_format(tmp_path):
    lens_of("gpt2").save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {
        "base_model_name_or_path": "by hand",
        "d_model": 32,
        "num_hidden_layers": 3,
        "bias": True,
        "base_model_revision": None,
        "unembed_hash": hash_of("gpt2"),
        "lens_type": "linear_tuned_lens",
    }
    state = torch.load(tmp_path / "params.pt", weights_only=True)
    assert set(state) == {f"{i}.{part}" for i in range(3) for part in ("weight", "bias")}
    assert state["1.weight"].shape == (32, 32) and state["1.bias"].shape == (32,)
    assert (tmp_path / "params.pt").stat().st_size < 3 * 33 * 32 * 4 + 5000  # each part by itself, not three times all


def write(directory, state, **config):
    whole = {"d_model": 2, "num_hidden_layers": 1, "unembed_hash": "x", "base_model_name_or_path": "m", **config}
    (directory / "config.json").write_text(json.dumps(whole))
    torch.save(state, directory / "params.pt")
    return directory


def good():
    return {"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)}


def test_the_smallest_lens_of_the_package_is_read(tmp_path):
    lens = TunedLens.load(write(tmp_path, good()))
    assert lens.weights.shape == (1, 2, 2) and lens.name == "m"


@pytest.mark.parametrize(
    "state",
    [
        {},
        [1],
        torch.zeros(2),
        {"0.weight": torch.zeros(2, 2)},
        good() | {"1.weight": torch.zeros(2, 2)},
        good() | {"0.bias": torch.zeros(3)},
        good() | {"0.bias": torch.zeros(2, 1)},
        good() | {"0.weight": torch.zeros(2, 3)},
        good() | {"0.weight": torch.full((2, 2), float("nan"))},
        good() | {"0.bias": torch.tensor([0.0, float("inf")])},
        good() | {"0.bias": [0.0, 0.0]},
        good() | {"0.bias": "zeros"},
        {0: torch.zeros(2), "0.bias": torch.zeros(2)},
    ],
    ids=lambda state: str(list(state))[:40],
)
def test_parameters_that_are_no_lens_are_refused(tmp_path, state):
    with pytest.raises(ValueError, match=r"is damaged"):
        TunedLens.load(write(tmp_path, state))


@pytest.mark.parametrize(
    "part",
    [
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, 2, device="meta"),
        torch.zeros(2, 2) + 1j,
        torch.full((2, 2), 1e300, dtype=torch.float64),
    ],
    ids=["sparse", "meta", "complex", "too large for float32"],
)
def test_tensors_of_odd_kinds_are_refused_in_a_sentence(tmp_path, part):
    with pytest.raises(ValueError, match=r"is damaged|can't be read"):
        TunedLens.load(write(tmp_path, good() | {"0.weight": part}))


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 2},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "1"},
        {"num_hidden_layers": None},
        {"d_model": 3},
        {"d_model": "2"},
        {"d_model": None},
        {"lens_type": "mlp_tuned_lens"},
        {"lens_type": ["linear_tuned_lens"]},
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused(tmp_path, config):
    with pytest.raises(ValueError, match=r"is damaged|no lens of the type linear_tuned_lens"):
        TunedLens.load(write(tmp_path, good(), **config))


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", "3", "[" * 100_000, '{"d_model": 1e400}'])
def test_a_damaged_config_is_refused(tmp_path, text):
    write(tmp_path, good())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"can't be read|no lens of the type|is damaged"):
        TunedLens.load(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ValueError, match="can't be read"):
        TunedLens.load(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "params.pt"])
def test_a_missing_file_is_named(tmp_path, missing):
    write(tmp_path, good())
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=f"no tuned lens: there is no {missing}"):
        TunedLens.load(tmp_path)


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["whole", "value"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, where, zipped):
    mark = tmp_path / "ran"
    bomb = Malicious(mark)
    write(tmp_path, good())
    torch.save(
        bomb if where == "whole" else {**good(), "0.bias": bomb},
        tmp_path / "params.pt",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ValueError, match=r"The tuned lens in .* can't be read") as caught:
        TunedLens.load(tmp_path)
    assert not mark.exists() and "\n" not in str(caught.value)
    # It would have run: the test is one.
    torch.load(tmp_path / "params.pt", weights_only=False)
    assert mark.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_file_with_flipped_bytes_is_refused_or_is_a_lens(tmp_path_factory, data):
    directory = write(tmp_path_factory.mktemp("lens"), good())
    content = bytearray((directory / "params.pt").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (directory / "params.pt").write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    try:
        lens = TunedLens.load(directory)
    except ValueError as problem:
        assert "can't be read" in str(problem) or "is damaged" in str(problem)
        return
    assert lens.weights.shape == (1, 2, 2) and lens.biases.shape == (1, 2)
    assert lens.weights.isfinite().all() and lens.biases.isfinite().all()


# Other models


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"weights": torch.zeros(3, 16, 16), "biases": torch.zeros(3, 16)}, "3 layers, 16 wide, and this one has 3"),
        ({"weights": torch.zeros(4, 32, 32), "biases": torch.zeros(4, 32)}, "4 layers, 32 wide"),
        ({"unembed_hash": "0" * 64}, r"another model \(by hand\).*train_tuned_lens"),
        ({"unembed_hash": "None"}, "hash of its unembedding differs"),
    ],
)
def test_a_lens_of_another_model_is_refused(change, sentence):
    raw, base = loud_bridge("gpt2"), lens_of("gpt2")
    parts = {name: getattr(base, name) for name in ("weights", "biases", "unembed_hash", "name")}
    hooks = hooks_on(raw)
    with pytest.raises(ValueError, match=sentence):
        ib.logit_lens(raw, TEXT, lens=TunedLens(**(parts | change)))
    assert hooks_on(raw) == hooks and ib.logit_lens(raw, TEXT, lens=base).labels


def test_a_lens_of_the_same_size_is_refused_by_its_hash():
    with pytest.raises(ValueError, match="hash"):
        ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=lens_of("gptj"))


@pytest.mark.parametrize("stream", ["resid_mid", "attn_out", "mlp_out"])
def test_a_stream_that_it_was_not_trained_on_is_refused(stream):
    with pytest.raises(ValueError, match=f"reads resid_pre or resid_post, .*not {stream}"):
        ib.logit_lens(loud_bridge("gpt2"), TEXT, stream=stream, lens=lens_of("gpt2"))


def test_a_folded_model_is_refused():
    raw = boot(loud_model("gpt2"), "folded")
    raw.enable_compatibility_mode()
    lens = lens_of("gpt2")
    same = TunedLens(lens.weights, lens.biases, unembed_hash(ib.load_model(raw)), "folded")
    for one in (lens, same):
        with pytest.raises(ValueError, match=r"folded into its weights.*Load the model without folding"):
            ib.logit_lens(raw, TEXT, lens=one)
    with pytest.raises(ValueError, match="folded"):
        ib.train_tuned_lens(raw, TEXTS, steps=1, progress=False)


def test_what_is_no_lens_is_refused():
    for lens in ("golden", 5, {"weights": 1}, torch.zeros):
        with pytest.raises(ValueError, match="TunedLens"):
            ib.logit_lens(loud_bridge("gpt2"), TEXT, lens=lens)
    with pytest.raises(ValueError, match="No tuned lens comes with this model"):
        ib.logit_lens(loud_bridge("gpt2"), TEXT, lens="tuned")


# Training


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(training, "POSITIONS_A_STEP", 100)


def loss_of(architecture, lens):
    """Mean KL(final || lens) over layers and positions of all texts, by plain arithmetic."""
    losses = []
    for text in TEXTS:
        ids = ib.load_model(loud_bridge(architecture)).to_ids(text)
        plain = Plain(loud_model(architecture), architecture, ids)
        rows = plain.rows("resid_pre")
        final = plain.logits.log_softmax(-1)
        for h, w, b in zip(rows, lens.weights, lens.biases):
            log_probs = plain.read(h + h @ w.double().T + b.double()).log_softmax(-1)
            losses.append((final.exp() * (final - log_probs)).sum(-1).mean())
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
def test_training_lowers_the_loss_and_says_how_far_it_is(architecture):
    assert "gpt_neox" in PARALLEL
    steps = list(train_tuned_lens.steps(loud_bridge(architecture), TEXTS, steps=40, seed=3))
    assert [step.done for step in steps] == list(range(1, 41)) and {step.total for step in steps} == {40}
    assert steps[-1].seconds_left == 0
    before, after = loss_of(architecture, zeros(architecture)), loss_of(architecture, steps[-1].result)
    assert steps[0].result.loss == pytest.approx(before, rel=0.5)  # other texts than all of them, once each
    assert after < 0.8 * before and steps[-1].result.loss < 0.8 * steps[0].result.loss
    lens = steps[-1].result
    assert lens.unembed_hash == hash_of(architecture) and not lens.weights.requires_grad
    read = ib.logit_lens(loud_bridge(architecture), TEXTS[1], lens=lens)
    plain = ib.logit_lens(loud_bridge(architecture), TEXTS[1])
    assert read.kl_to_final[:-1].mean() < 0.8 * plain.kl_to_final[:-1].mean()
    for row in range(N_LAYERS):  # each layer learns
        assert lens.weights[row].abs().max() > 1e-3 and lens.biases[row].abs().max() > 1e-3


def test_the_loss_of_the_first_step_is_that_of_the_logit_lens():
    only = next(train_tuned_lens.steps(loud_bridge("gemma2"), [TEXT], steps=5))
    lens = ib.logit_lens(loud_bridge("gemma2"), TEXT)
    assert only.result.loss == pytest.approx(float(lens.kl_to_final[:-1].mean()), abs=1e-5)


def test_a_seed_makes_it_repeatable():
    raw = loud_bridge("gpt2")
    one, two, other = (ib.train_tuned_lens(raw, TEXTS, steps=3, seed=seed, progress=False) for seed in (1, 1, 2))
    assert torch.equal(one.weights, two.weights) and not torch.equal(one.weights, other.weights)


def state_of(raw):
    return (
        hooks_on(raw),
        dict(vars(raw.cfg)),
        [p.requires_grad for p in raw.parameters()],
        [p.grad is None for p in raw.parameters()],
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("ending", ["success", "stopped", "interrupt", "error"])
def test_training_leaves_the_model_as_it_was(ending, monkeypatch):
    raw = boot(random_model("gpt2"), "mine")
    model = ib.load_model(raw)
    raw(raw.to_tokens("x"))
    next(iter(raw.parameters())).requires_grad_(False)  # a mix, to be left as it is
    before, weights = state_of(raw), {k: v.clone() for k, v in raw.original_model.state_dict().items()}
    real, calls = training._step, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == 3 and ending in ("interrupt", "error"):
            raise KeyboardInterrupt if ending == "interrupt" else RuntimeError("broken")
        return real(*arguments)

    monkeypatch.setattr(training, "_step", step)
    if ending == "stopped":
        steps = train_tuned_lens.steps(model, TEXTS, steps=6)
        next(steps)
        lens = next(steps).result
        steps.close()
    elif ending == "error":
        with pytest.raises(RuntimeError, match="broken"):
            ib.train_tuned_lens(model, TEXTS, steps=6, progress=False)
        lens = None
    else:
        lens = ib.train_tuned_lens(model, TEXTS, steps=6, progress=False)
    assert len(calls) == {"success": 6, "stopped": 2}.get(ending, 3)
    assert state_of(raw) == before
    after = raw.original_model.state_dict()
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    free = []

    def try_lock():
        with model.lock:
            free.append(True)

    thread = threading.Thread(target=try_lock, daemon=True)
    thread.start()
    thread.join(20)
    assert free == [True]
    if lens is not None:
        assert lens.weights.abs().max() > 0 and ib.logit_lens(raw, TEXT, lens=lens).labels


def test_an_interrupt_keeps_what_was_learnt(monkeypatch):
    raw = loud_bridge("gpt2")
    real, calls = training._step, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    steps = train_tuned_lens.steps(raw, TEXTS, steps=9)
    next(steps)
    expected = next(steps).result.weights.clone()
    steps.close()
    monkeypatch.setattr(training, "_step", step)
    assert torch.equal(ib.train_tuned_lens(raw, TEXTS, steps=9, progress=False).weights, expected)
    calls[:] = [1, 1]  # before anything is learnt there is nothing to keep
    with pytest.raises(KeyboardInterrupt):
        ib.train_tuned_lens(raw, TEXTS, steps=9, progress=False)


def test_between_two_steps_the_callers_gradients_are_as_they_were():
    with torch.no_grad():
        steps = train_tuned_lens.steps(loud_bridge("gpt2"), TEXTS, steps=3)
        next(steps)
        enabled = torch.is_grad_enabled()
        steps.close()
        assert not enabled


def test_the_lens_of_a_step_stays_what_it_was():
    steps = train_tuned_lens.steps(loud_bridge("gpt2"), TEXTS, steps=3)
    lens = next(steps).result
    kept = lens.weights.clone()
    next(steps)
    steps.close()
    assert torch.equal(lens.weights, kept)


def test_it_trains_where_gradients_are_off():
    with torch.no_grad():
        lens = ib.train_tuned_lens(loud_bridge("gpt2"), TEXTS, steps=2, progress=False)
        assert not torch.is_grad_enabled()
    assert lens.weights.abs().max() > 0


def test_it_trains_a_model_in_half_precision():
    raw = boot(loud_model("gpt2").bfloat16(), "half")
    lens = ib.train_tuned_lens(raw, TEXTS, steps=5, progress=False)
    assert lens.weights.dtype == torch.float32 and lens.weights.isfinite().all() and lens.weights.abs().max() > 0
    assert ib.logit_lens(raw, TEXT, lens=lens).labels


@pytest.mark.parametrize(
    "texts, options, sentence",
    [
        ([], {}, "nothing to train on: give one text or more"),
        ([""], {}, "nothing to train on"),
        ("one text", {}, "a list of texts"),
        ([1, 2], {}, "a list of texts"),
        (None, {}, "a list of texts"),
        (TEXTS, {"steps": 0}, "steps is how many .*not 0"),
        (TEXTS, {"steps": True}, "steps is how many"),
        (TEXTS, {"steps": 1.5}, "steps is how many"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(texts, options, sentence):
    raw = bridge("gpt2")
    hooks = hooks_on(raw)
    with pytest.raises(ValueError, match=sentence):
        ib.train_tuned_lens(raw, texts, progress=False, **options)
    assert hooks_on(raw) == hooks


def test_a_model_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(training, "MOST_PARAMETERS", 3 * 32 * 32 - 1)
    with pytest.raises(ValueError, match=r"3 layers, 32 wide, is too large.*load it"):
        ib.train_tuned_lens(bridge("gpt2"), TEXTS, progress=False)


def test_texts_over_the_context_are_cut():
    lens = ib.train_tuned_lens(loud_bridge("gpt2"), ["x" * 500], steps=1, progress=False)
    assert lens.weights.shape == (3, 32, 32)


def test_training_mode_is_refused():
    raw = boot(random_model("gpt2"), "training")
    model = ib.load_model(raw)
    raw.original_model.train()
    with pytest.raises(ValueError, match="training mode"):
        ib.train_tuned_lens(model, TEXTS, steps=1, progress=False)


# The one that comes along


def test_the_embedded_lens_fits_and_is_nearer_to_the_end_than_the_logit_lens(embedded, capitals):
    tuned = ib.logit_lens(embedded, capitals, lens="tuned")
    plain = ib.logit_lens(embedded, capitals)
    assert tuned.params["lens"] == "tuned"
    for row in range(embedded.n_layers):
        assert tuned.kl_to_final[row].mean() < plain.kl_to_final[row].mean()
    np.testing.assert_array_equal(tuned.top_logits[-1], plain.top_logits[-1])


def test_it_trains_in_inference_mode():
    with torch.inference_mode():
        lens = ib.train_tuned_lens(loud_bridge("gpt2"), TEXTS, steps=2, progress=False)
    assert lens.weights.abs().max() > 0


def test_a_config_that_speaks_of_countless_layers_is_refused_at_once(tmp_path):
    directory = write(tmp_path, good())
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**12}))
    with pytest.raises(ValueError, match="is damaged"):
        TunedLens.load(directory)
