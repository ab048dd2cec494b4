"""Transcoders on models: what they read there, what becomes of the model without its MLPs, and whom they are for."""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_model import hooks_on
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

import interp_backend as ib
import transcoder_sets as sets
from interp_backend.engine.transcoded import read_transcoded, replaced_logits, zeroed_logits
from interp_backend.engine.turn import Turn
from interp_backend.language.transcoders import Activation, Coder, Matrix, Target, Transcoders
from plain_loop import HOOKS, Run
from tiny_models import CONFIGS, PARALLEL, boot, bridge, loud_model, random_model

TEXT = "hello there"
N_LAYERS, D_MODEL, FEATURES = 3, 32, 50


def random_set(reads="resid_mid", layers=range(N_LAYERS), cross=False, skip=False, **options) -> Transcoders:
    generator = torch.Generator().manual_seed(1)

    def new(*shape):
        return torch.randn(*shape, generator=generator)

    coders = {
        layer: Coder(
            Matrix.of(new(FEATURES, D_MODEL), "encoder"),
            new(FEATURES),
            {t: Matrix.of(new(FEATURES, D_MODEL) / 9, "to") for t in layers if t == layer or (cross and t > layer)},
            Activation("jumprelu", new(FEATURES).abs()),
            scale=new(D_MODEL),
            shift=new(D_MODEL),
        )
        for layer in layers
    }
    ends = {t: Target(new(D_MODEL), Matrix.of(new(D_MODEL, D_MODEL) / 9, "s") if skip else None) for t in layers}
    return Transcoders("random", "trained", D_MODEL, reads, options.pop("writes", "mlp_out"), coders, ends, **options)


@cache
def folded(architecture="gpt2"):
    raw = boot(loud_model(architecture), f"folded-{architecture}")
    raw.enable_compatibility_mode(disable_warnings=True)
    return raw


# What is read


@pytest.mark.parametrize("architecture", [name for name in CONFIGS if name not in PARALLEL])
@pytest.mark.parametrize("reads", ["resid_mid", "mlp_in", "resid_pre", "mlp_out"])
def test_what_is_read_is_what_the_models_hooks_give(architecture, reads):
    raw = bridge(architecture)
    model = ib.load_model(raw)
    run = Run(raw, TEXT)
    found = random_set(reads, writes=reads if reads in ("resid_pre", "mlp_out") else "mlp_out")
    with Turn(model) as turn:
        [(inputs, outputs)] = read_transcoded(turn, [model.to_ids(TEXT)], found)
    hooks = HOOKS | {"mlp_in": "blocks.{}.mlp.hook_in"}
    for layer in range(N_LAYERS):
        assert_close(inputs[layer], run._cache[hooks[reads].format(layer)][0].float(), rtol=1e-4, atol=1e-5)
        assert_close(outputs[layer], run._cache[hooks[found.writes].format(layer)][0].float(), rtol=1e-4, atol=1e-5)


def test_a_model_as_it_is_gives_what_a_folded_and_centred_one_gives():
    """What gpt2-transcoders were trained on, by TransformerLens's own folding, from a model that is not folded."""
    found = random_set("normalized", centred=True, folded=True)
    raw, whole = boot(loud_model("gpt2"), "as trained"), folded()
    assert ib.load_model(raw).weights == "as trained" and ib.load_model(whole).weights == "folded"
    ids = ib.load_model(raw).to_ids(TEXT)
    with Turn(ib.load_model(raw)) as turn, Turn(ib.load_model(whole)) as other:
        [(inputs, outputs)], [(theirs, written)] = (read_transcoded(one, [ids], found) for one in (turn, other))
    for layer in range(N_LAYERS):
        found.check(raw), found.check(whole)
        assert_close(inputs[layer], theirs[layer], rtol=1e-4, atol=1e-4)
        assert inputs[layer].pow(2).mean(-1).sub(1).abs().max() < 1e-2  # the norm's gain is not in it
        centred = outputs[layer] - outputs[layer].mean(-1, keepdim=True)
        assert_close(centred, written[layer], rtol=1e-4, atol=1e-4)
        assert (outputs[layer] - written[layer]).abs().max() > 1e-2


def test_an_rms_norm_does_not_centre():
    found = random_set("normalized", folded=True)
    raw = bridge("llama")
    with Turn(ib.load_model(raw)) as turn:
        [(inputs, _)] = read_transcoded(turn, [ib.load_model(raw).to_ids(TEXT)], found)
    mid = Run(raw, TEXT).activation("resid_mid", 1)
    assert_close(inputs[1], mid / (mid.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt(), rtol=1e-4, atol=1e-4)


# What becomes of the model


def replaced_by_hand(raw, found: Transcoders):
    """Logits with the MLPs' outputs replaced, written out: dense activations, one layer after the other."""
    acts, xs = {}, {}

    def read(value, hook, layer):
        x = xs[layer] = value[0].double()
        coder = found.coders[layer]
        z = x * coder.scale.double() + coder.shift.double()
        pre = z @ coder.encoder.opened().double().T + coder.bias.double()
        acts[layer] = pre * (pre > coder.activation.threshold)

    def write(value, hook, layer):
        end, coder = found.ends[layer], found.coders[layer]
        y = end.bias.double().expand_as(xs[layer]).clone()
        for source, act in acts.items():
            if layer in found.coders[source].decoders:
                y += act @ found.coders[source].decoders[layer].opened().double()
        if end.skip is not None:
            y += (xs[layer] * coder.scale.double() + coder.shift.double()) @ end.skip.opened().double().T
        return y.float()[None].to(value.dtype)

    place = "hook_resid_mid" if found.reads == "resid_mid" else "mlp.hook_in"
    hooks = [(f"blocks.{i}.{place}", partial(read, layer=i)) for i in found.layers]
    hooks += [(f"blocks.{i}.hook_mlp_out", partial(write, layer=i)) for i in found.written]
    with torch.no_grad():
        return raw.run_with_hooks(raw.to_tokens(TEXT), fwd_hooks=hooks)[0]


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "opt"])
@pytest.mark.parametrize(
    "options",
    [{}, {"reads": "mlp_in", "skip": True}, {"cross": True, "skip": True}, {"layers": [1]}],
    ids=["plain", "skip", "cross-layer", "one layer"],
)
def test_replaced_mlps_equal_a_run_by_hand(architecture, options):
    raw = bridge(architecture)
    found, before = random_set(**options), hooks_on(raw)
    with Turn(ib.load_model(raw)) as turn:
        logits = replaced_logits(turn, ib.load_model(raw).to_ids(TEXT), found)
    expected = replaced_by_hand(raw, found)
    assert_close(logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert (logits - Run(raw, TEXT).logits).abs().max() > 1e-2
    assert hooks_on(raw) == before


def test_transcoders_that_are_exact_change_nothing():
    """Features that read each entry of the MLP's output from the input exactly: here of an MLP that is linear."""
    model = random_model("gpt2")
    for block in model.transformer.h:
        block.mlp.act = torch.nn.Identity()
    raw = boot(model, "linear")
    coders, ends = {}, {}
    for layer, block in enumerate(model.transformer.h):
        whole = (block.mlp.c_fc.weight @ block.mlp.c_proj.weight).detach()
        both = torch.cat([whole.T, -whole.T])
        bias = (block.mlp.c_fc.bias @ block.mlp.c_proj.weight + block.mlp.c_proj.bias).detach()
        signs = torch.cat([torch.eye(D_MODEL), -torch.eye(D_MODEL)])
        bias = torch.cat([bias, -bias])
        coders[layer] = Coder(Matrix.of(both, "e"), bias, {layer: Matrix.of(signs, "d")}, Activation("relu"))
        ends[layer] = Target(torch.zeros(D_MODEL))
    found = Transcoders("exact", "trained", D_MODEL, "mlp_in", "mlp_out", coders, ends)
    fit = ib.transcoder_fit(raw, found, [TEXT, "general kenobi"])
    assert fit.loss == pytest.approx(fit.replaced, abs=1e-5) and abs(fit.zeroed - fit.loss) > 1e-3
    assert fit.recovered == pytest.approx(1, abs=1e-2)
    assert all(share == pytest.approx(1, abs=1e-6) for share in fit.explained.values())
    assert all(count == pytest.approx(D_MODEL, abs=0.01) for count in fit.l0.values())  # one of each two


def test_the_fit_is_what_plain_sums_give():
    raw, found = bridge("gpt2"), random_set("mlp_in", cross=True)
    model, texts = ib.load_model(bridge("gpt2")), [TEXT, "general kenobi!"]
    fit = ib.transcoder_fit(raw, found, texts)
    runs = [Run(raw, text) for text in texts]
    for layer in range(N_LAYERS):
        dense = [found.encode(layer, run._cache[f"blocks.{layer}.mlp.hook_in"][0]).dense()[1:] for run in runs]
        assert fit.l0[layer] == pytest.approx(float((torch.cat(dense) > 0).sum(-1).float().mean()))
        assert fit.dead[layer] == int((~(torch.cat(dense) > 0).any(0)).sum())
        ys = torch.cat([run.activation("mlp_out", layer)[1:] for run in runs]).double()
        xs = [{i: run._cache[f"blocks.{i}.mlp.hook_in"][0] for i in range(N_LAYERS)} for run in runs]
        whole = torch.cat([found.reconstruct(x)[layer][1:] for x in xs]).double()
        expected = 1 - float((ys - whole).pow(2).sum() / (ys - ys.mean(0)).pow(2).sum())
        assert fit.explained[layer] == pytest.approx(expected, rel=1e-4)
    losses = {"loss": [], "replaced": [], "zeroed": []}
    with Turn(model) as turn:
        for run, text in zip(runs, texts):
            ids = model.to_ids(text)
            logits = {"loss": run.logits, "replaced": replaced_logits(turn, ids, found)}
            logits["zeroed"] = zeroed_logits(turn, ids, found.written)
            for name, values in logits.items():
                losses[name].append(cross_entropy(values[:-1], run.tokens[0, 1:], reduction="none"))
    for name, each in losses.items():
        assert getattr(fit, name) == pytest.approx(float(torch.cat(each).mean()), rel=1e-5)
    assert fit.tokens == sum(len(run) - 1 for run in runs)
    assert "explained" in str(fit) and f"({fit.tokens} tokens)".replace("(", "") in str(fit)
    hooks = [(f"blocks.{i}.hook_mlp_out", lambda value, hook: value * 0) for i in range(N_LAYERS)]
    with torch.no_grad(), Turn(model) as turn:
        assert_close(zeroed_logits(turn, model.to_ids(TEXT), [0, 1, 2]), raw.run_with_hooks(TEXT, fwd_hooks=hooks)[0])


def test_the_fit_streams():
    steps = list(ib.transcoder_fit.steps(bridge("gpt2"), random_set(), [TEXT, "general kenobi!"]))
    assert [step.done for step in steps] == [1, 2] and steps[0].result.tokens < steps[1].result.tokens
    with pytest.raises(ValueError, match="sparse autoencoders, which replace no MLP"):
        ib.transcoder_fit(bridge("gpt2"), random_set("mlp_out"), [TEXT])


# Activations


@given(
    st.integers(1, 6),
    st.sampled_from(["relu", "jumprelu", "topk", "signed topk"]),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_active_features_are_those_of_the_dense_formula(positions, kind, seed, centred):
    generator = torch.Generator().manual_seed(seed)
    x, encoder = (torch.randn(*shape, generator=generator) for shape in ((positions, 5), (13, 5)))
    threshold = torch.randn(13, generator=generator) if kind == "jumprelu" else None
    activation = Activation(kind, threshold, 4 if "topk" in kind else None)
    coder = Coder(Matrix.of(encoder, "e"), torch.zeros(13), {0: Matrix.of(encoder, "d")}, activation)
    found = Transcoders(
        "t", "trained", 5, "resid_mid", "mlp_out", {0: coder}, {0: Target(torch.zeros(5))}, centred=centred
    )
    pre = (x - x.mean(-1, keepdim=True) if centred else x).double() @ encoder.double().T
    if "topk" in kind:
        expected = sets.topk(pre, 4, relu=kind == "topk")
    else:
        expected = pre * (pre > (0 if threshold is None else threshold))
    active = found.encode(0, x)
    assert_close(active.dense().double(), expected, rtol=1e-4, atol=1e-5)
    assert len(active) == len(active.values)
    assert_close(found.decode(0, active)[0].double(), expected @ encoder.double(), rtol=1e-4, atol=1e-4)


def test_features_that_were_changed_write_what_they_were_changed_to():
    found, x = random_set(), torch.randn(4, D_MODEL)
    active = found.encode(1, x)
    changed = type(active)(active.positions, active.features, active.values * 0, active.shape)
    assert_close(found.reconstruct({1: x}, {1: changed})[1], found.bias(1).expand(4, D_MODEL))


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        (lambda t: t.encode(7, torch.zeros(1, D_MODEL)), "has no features in layer 7, only in 0, 1, 2"),
        (lambda t: t.encode(0, torch.zeros(1, 3)), r"reads \[position, 32\] in layer 0, not \(1, 3\)"),
        (lambda t: t.encode(0, torch.full((1, D_MODEL), torch.nan)), "are not numbers"),
        (lambda t: t.encoder_rows(0, torch.tensor([FEATURES])), f"numbered from 0 to {FEATURES - 1}"),
        (lambda t: t.decoder_rows(0, torch.tensor([-1])), f"numbered from 0 to {FEATURES - 1}"),
        (lambda t: t.encoder_bias(0, torch.tensor([[1]])), f"numbered from 0 to {FEATURES - 1}"),
    ],
)
def test_what_is_not_there_is_refused(read, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(random_set())


# Whom they are for


def test_transcoders_of_the_model_pass():
    for architecture in ("gpt2", "llama", "gemma2"):
        random_set().check(bridge(architecture))
        random_set("mlp_in", cross=True).check(bridge(architecture))
    random_set(layers=[1]).check(bridge("gpt2"), whole=False)
    random_set("mlp_in").check(bridge("phi"))


@pytest.mark.parametrize(
    ("architecture", "found", "sentence"),
    [
        ("gpt2", lambda: random_set(layers=[0, 2]), "no transcoder for layer 1 of .* Load the whole set"),
        ("gpt2", lambda: random_set(layers=range(4)), "4 layers or more, 32 wide, and .* has 3 layers, 32 wide"),
        ("gpt2", lambda: random_set(model_hash="0" * 32, model_name="other"), r"another model \(other\).*train_tr"),
        ("gpt2", lambda: random_set("mlp_out"), "sparse autoencoders of mlp_out, which replace no MLP"),
        ("gpt2", lambda: random_set("normalized"), "some versions of TransformerLens give before its gain"),
        ("llama", lambda: random_set(centred=True), "the norms of .* do not centre.*centred=False"),
        ("gemma2", lambda: random_set(before_post_norm=True), "before its post-norm"),
        ("phi", lambda: random_set("resid_mid"), "can't read this model.*resid_mid"),
    ],
)
def test_other_models_are_refused(architecture, found, sentence):
    with pytest.raises(ValueError, match=sentence):
        found().check(bridge(architecture))


def test_a_folded_model_is_refused_unless_the_files_are_of_one():
    for reads in ("resid_mid", "mlp_in"):
        with pytest.raises(ValueError, match=r"norms are folded into its weights .* Load the model without folding"):
            random_set(reads).check(folded())
    random_set("resid_mid", centred=True, folded=True).check(folded())


def test_they_say_what_they_are():
    assert repr(random_set()) == "3 transcoders ('random'), 50 features each, reading resid_mid"
    assert repr(random_set(cross=True, model_name="m")).startswith("3 cross-layer transcoders of m")
    assert repr(random_set("mlp_out")).startswith("3 sparse autoencoders")
    one, two = random_set(), random_set("mlp_in")
    assert one.weights_hash == random_set().weights_hash != two.weights_hash
