"""Training transcoders."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from test_model import hooks_on

import interp_backend as ib
from executor_cases import is_free
from interp_backend.methods import train_transcoders as training
from interp_backend.methods.train_transcoders import train_transcoders
from tiny_models import PARALLEL, boot, bridge, loud_bridge, random_model

TEXTS = ["hello there", "the quick brown fox", "jumps over the lazy dog", "a", "what a day it was"]
OPTIONS = {"features": 48, "active": 6, "progress": False}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(training, "POSITIONS_A_STEP", 64)


def weights_of(found):
    everything = torch.arange(OPTIONS["features"])
    return torch.stack([found.encoder_rows(layer, everything) for layer in found.layers])


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
@pytest.mark.parametrize("activation", ["jumprelu", "topk"])
def test_training_explains_more_and_says_how_far_it_is(architecture, activation):
    assert "gpt_neox" in PARALLEL
    raw = loud_bridge(architecture)
    steps = train_transcoders.steps(raw, TEXTS, **OPTIONS, activation=activation, steps=120, seed=3)
    first = next(steps).result
    early = ib.transcoder_fit(raw, first, TEXTS)
    seen = list(steps)
    assert [step.done for step in seen] == list(range(2, 121)) and {step.total for step in seen} == {120}
    assert seen[-1].seconds_left == 0 and first.fit is None
    found = seen[-1].result
    assert found.layers == (0, 1, 2) and found.n_features(1) == 48 and not found.cross_layer
    assert found.coders[1].activation.kind == activation and found.reads == "mlp_in"
    found.check(raw)
    for layer in range(3):
        assert found.fit.explained[layer] > max(0.4, early.explained[layer])
        assert 1 < found.fit.l0[layer] < (6.01 if activation == "topk" else 15)
    assert ib.transcoder_fit(raw, found, TEXTS) == found.fit  # of so few texts, none is held out


def test_features_from_the_residual_stream():
    raw = loud_bridge("gpt2")
    found = ib.train_transcoders(raw, TEXTS, **OPTIONS, reads="resid_mid", layers=[2, 0], steps=60)
    assert found.reads == "resid_mid" and found.layers == (0, 2)
    assert found.fit.explained[0] > 0.3 and set(found.fit.explained) == {0, 2}


def test_what_is_trained_survives_its_files(tmp_path):
    raw = loud_bridge("gpt2")
    found = ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=20)
    again = ib.load_transcoders(found.save(tmp_path))
    assert again.fit == found.fit and again.model_hash == ib.load_model(raw).weights_hash
    assert again.model_name == found.model_name
    x = torch.randn(5, 32)
    for layer in range(3):
        torch.testing.assert_close(again.encode(layer, x).dense(), found.encode(layer, x).dense(), rtol=1e-4, atol=1e-4)
    for layer, whole in found.reconstruct(dict.fromkeys(range(3), x)).items():
        torch.testing.assert_close(again.reconstruct(dict.fromkeys(range(3), x))[layer], whole, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="trained on another model"):
        again.check(bridge("gpt2"))


def test_a_seed_makes_it_repeatable():
    raw = loud_bridge("gpt2")
    one, two, other = (ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(weights_of(one), weights_of(two)) and not torch.equal(weights_of(one), weights_of(other))


def test_texts_that_do_not_fit_are_recorded_a_part_at_a_time(monkeypatch):
    """And all of them, each time in another order."""
    monkeypatch.setattr(training, "NUMBERS_KEPT", 1)
    monkeypatch.setattr(training, "PASSES", 2)
    monkeypatch.setattr(training, "PROMPTS_AT_ONCE", 2)
    real, seen = training.read_places, []

    def read_places(turn, prompts, *rest):
        seen.append([len(ids) for ids in prompts])
        return real(turn, prompts, *rest)

    monkeypatch.setattr(training, "read_places", read_places)
    ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **OPTIONS, steps=12)
    assert [len(each) for each in seen] == [2, 2, 1, 2, 2, 1]
    lengths = sorted(len(text) + 1 for text in TEXTS)
    assert sorted(chain(*seen[:3])) == sorted(chain(*seen[3:])) == lengths


def test_some_texts_are_held_out():
    texts = [f"{i} and {i + 1}" for i in range(40)]
    found = ib.train_transcoders(loud_bridge("gpt2"), texts, **OPTIONS, steps=2)
    model = ib.load_model(loud_bridge("gpt2"))
    assert found.fit.tokens == sum(len(model.to_ids(text)) - 1 for text in texts[:2])


def test_dead_features_learn_from_the_error(monkeypatch):
    """They get no other gradient."""
    monkeypatch.setattr(training, "DEAD_AFTER", 5)
    raw = loud_bridge("gpt2")
    with_it = ib.train_transcoders(raw, TEXTS, features=300, active=3, steps=100, progress=False)
    monkeypatch.setattr(training, "AUXILIARY", 0.0)
    without = ib.train_transcoders(raw, TEXTS, features=300, active=3, steps=100, progress=False)
    assert sum(with_it.fit.dead.values()) < sum(without.fit.dead.values())


def state_of(raw):
    return hooks_on(raw), [p.requires_grad for p in raw.parameters()], [p.grad is None for p in raw.parameters()]


@pytest.mark.parametrize("ending", ["success", "stopped", "interrupt", "error"])
def test_training_leaves_the_model_as_it_was(ending, monkeypatch):
    raw = boot(random_model("gpt2"), "mine")
    raw(raw.to_tokens("x"))
    next(iter(raw.parameters())).requires_grad_(False)  # a mix, to be left as it is
    before, weights = state_of(raw), {k: v.clone() for k, v in raw.original_model.state_dict().items()}
    real, calls = training._Training._optimise, []

    def optimise(*arguments):
        calls.append(1)
        if len(calls) == 3 and ending in ("interrupt", "error"):
            raise KeyboardInterrupt if ending == "interrupt" else RuntimeError("broken")
        return real(*arguments)

    monkeypatch.setattr(training._Training, "_optimise", optimise)
    found = None
    if ending == "stopped":
        steps = train_transcoders.steps(raw, TEXTS, **OPTIONS, steps=6)
        next(steps)
        found = next(steps).result
        steps.close()
    elif ending == "error":
        with pytest.raises(RuntimeError, match="broken"):
            ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=6)
    else:
        found = ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=6)
    assert len(calls) == {"success": 6, "stopped": 2}.get(ending, 3)
    assert state_of(raw) == before and is_free(ib.load_model(raw))
    after = raw.original_model.state_dict()
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    if found is not None:  # an interrupt keeps what was learnt
        assert ib.transcoder_fit(raw, found, TEXTS).explained[0] < 1
    calls[:] = [1, 1]
    if ending == "interrupt":  # before anything is learnt there is nothing to keep
        with pytest.raises(KeyboardInterrupt):
            ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=6)


def test_it_trains_where_gradients_are_off():
    with torch.no_grad():
        found = ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **OPTIONS, steps=3)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        same = ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **OPTIONS, steps=3)
    assert torch.equal(weights_of(found), weights_of(same))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"texts": "hello"}, "texts is a list of texts"),
        ({"texts": [""]}, "nothing to train on"),
        ({"features": 0}, "features is how many features each layer gets, 1 or more"),
        ({"features": 10**9}, "too many to train here"),
        ({"features": 10**7, "cross_layer": True}, "6 decoders in memory at once.*1,388,888 features at most"),
        ({"layers": [1], "cross_layer": True}, "layer 1 is the only one"),
        ({"active": 0}, "active is how many"),
        ({"activation": "gelu"}, "no activation 'gelu'"),
        ({"reads": "z"}, "no input of transcoders 'z'"),
        ({"layers": [7]}, r"layers with an MLP, \[0, 1, 2\], not \[7\]"),
        ({"layers": []}, "layers with an MLP"),
    ],
)
def test_what_can_not_be_trained_is_refused(options, sentence):
    arguments = {"texts": TEXTS, **OPTIONS, "steps": 1, **options}
    with pytest.raises(ValueError, match=sentence):
        ib.train_transcoders(loud_bridge("gpt2"), arguments.pop("texts"), **arguments)


def test_a_folded_model_is_refused():
    raw = boot(random_model("gpt2"), "folded")
    raw.enable_compatibility_mode(disable_warnings=True)
    with pytest.raises(ValueError, match="this one's are folded"):
        ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=1)


def test_no_residual_stream_between_attention_and_mlp():
    with pytest.raises(ValueError, match="resid_mid"):
        ib.train_transcoders(bridge("phi"), TEXTS, **OPTIONS, reads="resid_mid", steps=1)


# Across layers


@pytest.mark.parametrize("activation", ["jumprelu", "topk"])
def test_features_that_write_into_later_layers_explain_more(activation):
    raw = loud_bridge("gpt2")
    options = {**OPTIONS, "activation": activation, "steps": 150}
    alone, across = (ib.train_transcoders(raw, TEXTS, **options, cross_layer=cross) for cross in (False, True))
    assert across.cross_layer and [across.targets(layer) for layer in range(3)] == [(0, 1, 2), (1, 2), (2,)]
    assert "cross-layer transcoders" in repr(across) and across.coders[1].activation.kind == activation
    explained = [sum(one.fit.explained.values()) / 3 for one in (alone, across)]
    assert explained[1] > explained[0] > 0.4
    assert across.fit.explained[2] > alone.fit.explained[2]  # into which three layers write
    assert all(1 < count < 15 for count in across.fit.l0.values())


def test_what_is_optimised_across_layers_is_what_is_written():
    """The sum over layers of the misses, from the transcoders themselves."""
    raw = loud_bridge("gpt2")
    model = ib.load_model(raw)
    prompts = [model.to_ids(text) for text in TEXTS]
    trained = training._Training(model, prompts, 20, 4, "topk", "mlp_in", [0, 2], True, 5, 0)
    with training.Turn(model) as turn:
        trained.step(turn)
    x = trained.x[:7]
    found = trained.result()
    assert found.targets(0) == (0, 2) and found.targets(2) == (2,)
    written = found.reconstruct({layer: x[:, i] for i, layer in enumerate((0, 2))})
    z = ((x.transpose(0, 1) - trained.x_mean) / trained.x_size) @ trained.encoder.transpose(1, 2)
    with torch.no_grad():
        inside = trained._written(trained._activations(z + trained.bias[:, None])) + trained.end
        assert float(inside.norm()) > 0
        for i, layer in enumerate((0, 2)):
            whole = inside[i] * trained.y_size[i] + trained.y_mean[i]
            torch.testing.assert_close(written[layer], whole, rtol=1e-4, atol=1e-4)
    lengths = torch.stack([one.pow(2).sum(-1) for one in trained.decoder])
    torch.testing.assert_close(lengths[0] + lengths[1], torch.ones(20), rtol=1e-4, atol=1e-4)  # a feature of layer 0
    torch.testing.assert_close(lengths[2], torch.ones(20), rtol=1e-4, atol=1e-4)


def test_a_cross_layer_set_survives_its_files_and_replaces_the_mlps(tmp_path):
    raw = loud_bridge("gpt2")
    one, two = (ib.train_transcoders(raw, TEXTS, **OPTIONS, steps=8, cross_layer=True, seed=4) for _ in range(2))
    assert torch.equal(weights_of(one), weights_of(two)) and one.fit == two.fit
    again = ib.load_transcoders(one.save(tmp_path))
    assert again.cross_layer and again.fit == one.fit and again.targets(0) == (0, 1, 2)
    fit = ib.transcoder_fit(raw, again, TEXTS)
    assert fit.replaced == pytest.approx(one.fit.replaced, rel=1e-4) and fit.l0 == pytest.approx(one.fit.l0, rel=1e-3)


def test_an_interrupt_keeps_what_was_trained_across_layers(monkeypatch):
    real, calls = training._Training._optimise, []

    def optimise(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training._Training, "_optimise", optimise)
    found = ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **OPTIONS, steps=6, cross_layer=True)
    assert found.cross_layer and found.fit is None and len(calls) == 3


def test_layers_that_are_not_the_first_are_saved_unless_they_write_across(tmp_path):
    options = {**OPTIONS, "layers": [1, 2], "steps": 1}
    alone = ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **options)
    assert ib.load_transcoders(alone.save(tmp_path)).layers == (1, 2)
    with pytest.raises(ValueError, match="cross-layer ones of all layers from 0 on"):
        ib.train_transcoders(loud_bridge("gpt2"), TEXTS, **options, cross_layer=True).save(tmp_path)
