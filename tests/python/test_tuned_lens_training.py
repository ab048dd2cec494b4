"""Training a tuned lens."""

from __future__ import annotations

import pytest
import torch
from test_model import hooks_on
from test_tuned_lens import N_LAYERS, TEXT, TEXTS, hash_of, zeros

import interp_backend as ib
from executor_cases import is_free
from interp_backend.methods import train_tuned_lens as training
from interp_backend.methods.train_tuned_lens import train_tuned_lens
from plain_loop import Plain
from tiny_models import PARALLEL, boot, bridge, loud_bridge, loud_model, random_model

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
    assert is_free(model)
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
        ([], {}, "nothing to train on: give one or more texts"),
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


def test_it_trains_in_inference_mode():
    with torch.inference_mode():
        lens = ib.train_tuned_lens(loud_bridge("gpt2"), TEXTS, steps=2, progress=False)
    assert lens.weights.abs().max() > 0
