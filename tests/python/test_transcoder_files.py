"""Files of transcoders: each layout is read as its own software reads it, and what can't be read is refused."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

import interp_backend as ib
import transcoder_sets as sets
from interp_backend.language import transcoders as module
from transcoder_sets import D, F, L

LAYOUTS = {
    "circuit-tracer": (sets.circuit_tracer, "resid_mid"),
    "circuit-tracer relu": (partial(sets.circuit_tracer, activation="relu", hook="mlp.hook_in"), "mlp_in"),
    "circuit-tracer topk": (partial(sets.circuit_tracer, activation="topk"), "resid_mid"),
    "circuit-tracer clt": (sets.circuit_tracer_clt, "resid_mid"),
    "sweep": (sets.sweep, "resid_mid"),
    "sweep clt": (sets.sweep_clt, "resid_mid"),
    "gpt2-transcoders": (sets.gpt2_transcoders, "normalized"),
    "gpt2-clts": (sets.gpt2_clts, "resid_mid"),
    "gpt2-clts topk": (partial(sets.gpt2_clts, activation="topk", tying="per_source"), "resid_mid"),
    "gpt2-clts tied": (partial(sets.gpt2_clts, activation="relu", tying="per_target"), "resid_mid"),
    "sparsify": (sets.sparsify, "mlp_in"),
    "sparsify sae": (partial(sets.sparsify, transcode=False), "resid_post"),
    "saelens": (sets.saelens, "resid_pre"),
    "saelens jumprelu": (partial(sets.saelens, architecture="jumprelu", hook="hook_mlp_out"), "mlp_out"),
    "saelens topk": (partial(sets.saelens, architecture="topk"), "resid_pre"),
}
CLOSE = {"rtol": 1e-5, "atol": 1e-4}


def inputs(layers, centred=False, positions=5):
    generator = torch.Generator().manual_seed(9)
    found = {layer: torch.randn(positions, D, generator=generator) for layer in layers}
    # Of a model whose norm has just divided: its mean is zero.
    return {layer: x - x.mean(-1, keepdim=True) if centred else x for layer, x in found.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("at_once", [2**23, 3 * D])
def test_a_layout_is_read_as_its_software_reads_it(layout, at_once, tmp_path, monkeypatch):
    """Also in blocks of three features, which differ from the whole in rounding alone."""
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", at_once)
    write, reads = LAYOUTS[layout]
    plain = write(tmp_path)
    found = ib.load_transcoders(tmp_path)
    assert found.reads == reads and found.writes == ("mlp_out" if "sae" not in layout else reads)
    assert found.cross_layer == ("clt" in layout) and found.d_model == D
    assert found.layers == ((1,) if layout.startswith("saelens") else tuple(range(L)))
    xs = inputs(found.layers, centred=reads == "normalized")
    for layer, x in xs.items():
        active, expected = found.encode(layer, x), plain.acts(layer, x.double())
        assert active.shape == (5, F) == (5, found.n_features(layer))
        assert_close(active.dense().double(), expected, **CLOSE)
        assert torch.equal(active.positions * F + active.features, (expected.flatten() != 0).nonzero()[:, 0])
        # The rows are the whole of it: an active feature's activation is their product with x.
        rows = found.encoder_rows(layer, active.features) * x[active.positions]
        assert_close(rows.sum(-1) + found.encoder_bias(layer, active.features), active.values, **CLOSE)
    expected = plain.outs({layer: x.double() for layer, x in xs.items()})
    written = found.reconstruct(xs)
    assert set(written) == set(expected) == set(found.written)
    for target in found.written:
        assert_close(written[target].double(), expected[target], **CLOSE)
        by_rows = found.bias(target).double().expand_as(xs[target]).clone()
        if (skip := found.skip(target)) is not None:
            by_rows += xs[target].double() @ skip.double().T
        for layer in found.layers:
            if target in found.targets(layer):
                whole = found.decoder_rows(layer, torch.arange(F))[target].double()
                by_rows += plain.acts(layer, xs[layer].double()) @ whole
        assert_close(by_rows, expected[target], **CLOSE)


@pytest.mark.parametrize(
    "layout", ["circuit-tracer", "circuit-tracer topk", "circuit-tracer clt", "sparsify", "gpt2-clts"]
)
def test_what_is_saved_is_read_again(layout, tmp_path):
    (tmp_path / "from").mkdir()
    LAYOUTS[layout][0](tmp_path / "from")
    found = ib.load_transcoders(tmp_path / "from")
    again = ib.load_transcoders(found.save(tmp_path / "deep" / "to"))
    xs = inputs(found.layers)
    assert (again.reads, again.writes, again.layers, again.cross_layer) == (
        (found.reads, found.writes, found.layers, found.cross_layer)
    )
    for layer, x in xs.items():
        assert_close(again.encode(layer, x).dense(), found.encode(layer, x).dense(), **CLOSE)
    for target, whole in found.reconstruct(xs).items():
        assert_close(again.reconstruct(xs)[target], whole, **CLOSE)
    assert again.weights_hash == ib.load_transcoders(again.save(tmp_path / "deep" / "again")).weights_hash
    assert (again.weights_hash == found.weights_hash) == (layout != "gpt2-clts")  # which standardises its input


def test_half_precision_is_half_the_size(tmp_path):
    sets.circuit_tracer(tmp_path)
    found = ib.load_transcoders(tmp_path)
    half = ib.load_transcoders(found.save(tmp_path / "half", dtype=torch.float16))
    x = inputs([1])[1]
    assert_close(half.encode(1, x).dense(), found.encode(1, x).dense(), rtol=1e-2, atol=2e-2)
    whole, less = (
        one.stat().st_size for one in (tmp_path / "layer_1.safetensors", tmp_path / "half/layer_1.safetensors")
    )
    assert less < 0.6 * whole
    with pytest.raises(ValueError, match=r"too large for torch\.float16\. Save the transcoders in float32"):
        state = load_file(tmp_path / "layer_1.safetensors")
        save_file(state | {"W_dec": state["W_dec"] * 1e6}, tmp_path / "layer_1.safetensors")
        ib.load_transcoders(tmp_path).save(tmp_path / "half", dtype=torch.float16)


@pytest.mark.parametrize("write", [sets.gpt2_transcoders, sets.sweep_clt, sets.saelens])
def test_what_the_layout_can_not_say_is_not_written(write, tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="circuit-tracer's layout can't hold"):
        ib.load_transcoders(tmp_path).save(tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_one_pt_file_is_a_set_of_one_layer(tmp_path):
    sets.gpt2_transcoders(tmp_path)
    found = ib.load_transcoders(tmp_path / "final_1.pt")
    assert found.layers == (1,) and found.model_name == "gpt2-small" and found.centred and found.folded


def test_the_statistics_may_lie_above(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    plain = sets.gpt2_clts(folder)
    shutil.move(folder / "norm_stats.json", tmp_path)
    found, x = ib.load_transcoders(folder), inputs([0])[0]
    assert_close(found.encode(0, x).dense().double(), plain.acts(0, x.double()), **CLOSE)


def test_a_repository_of_the_hub_is_asked_for_by_name_alone(tmp_path, monkeypatch):
    import huggingface_hub

    (tmp_path / "folder").mkdir()
    sets.circuit_tracer(tmp_path / "folder")
    asked = []

    def snapshot_download(repo_id, revision=None, allow_patterns=None):
        asked.append((repo_id, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert ib.load_transcoders("someone/transcoders/folder@v1").layers == (0, 1, 2)
    [(repo, revision, patterns)] = asked
    assert (repo, revision) == ("someone/transcoders", "v1") and "folder/*.safetensors" in patterns
    for path in (tmp_path / "nowhere", "./nowhere", "../a/b", "nowhere"):
        with pytest.raises(ValueError, match=r"There is no directory .* Give a directory with transcoders"):
            ib.load_transcoders(path)
    assert len(asked) == 1


def test_a_repository_that_can_not_be_had_is_refused():
    with pytest.raises(ValueError, match=r"no such repository can be had from the model hub: .* Check the name"):
        ib.load_transcoders("nobody/nothing")  # tests run offline


# What can't be read


def change(path, **parts):
    state = load_file(path)
    save_file({k: v.contiguous() for k, v in (state | parts).items() if v is not None}, path)


def rewrite(path, **fields):
    read, write = (yaml.safe_load, yaml.safe_dump) if path.suffix == ".yaml" else (json.loads, json.dumps)
    path.write_text(write(read(path.read_text()) | fields))


DAMAGED = [
    (sets.circuit_tracer, "layer_1", {"b_enc": torch.zeros(F + 1)}, "layer 1 do not fit together"),
    (sets.circuit_tracer, "layer_1", {"W_dec": torch.zeros(F + 1, D)}, "layer 1 do not fit together"),
    (sets.circuit_tracer, "layer_1", {"W_enc": torch.zeros(F, D + 1)}, "do not fit together"),
    (sets.circuit_tracer, "layer_1", {"W_enc": torch.zeros(F)}, "W_enc has the shape"),
    (sets.circuit_tracer, "layer_1", {"W_enc": None}, "layer_1.safetensors has no W_enc: it is damaged"),
    (sets.circuit_tracer, "layer_1", {"W_enc": torch.zeros(F, D).int()}, "has no W_enc"),
    (sets.circuit_tracer, "layer_1", {"b_enc": torch.full((F,), torch.nan)}, "bias of layer 1 is not finite"),
    (sets.circuit_tracer, "layer_1", {"b_dec": torch.zeros(D + 1)}, f"bias of layer 1 is not {D} wide"),
    (sets.circuit_tracer, "layer_1", {"W_skip": torch.zeros(D, D + 1)}, "skip of layer 1 is not d_model"),
    (sets.circuit_tracer_clt, "W_dec_1", {"W_dec_1": torch.zeros(F, L, D)}, "not .feature, 2 targets, d_model"),
    (sets.circuit_tracer_clt, "W_enc_1", {"W_skip_1": torch.zeros(D, D)}, "no cross-layer skip"),
    (sets.sweep_clt, "decoder_layer_2", {"W_dec_from_0": None}, "has no W_dec_from_0"),
    (sets.gpt2_clts, "clt", {"theta_manager.log_threshold": torch.zeros(F)}, "a threshold for each of"),
    (sets.gpt2_clts, "clt", {"decoder_module.feature_offset.0": torch.zeros(F)}, "feature_offset.0, which Hook"),
]


@pytest.mark.parametrize(("write", "name", "parts", "sentence"), DAMAGED)
def test_damaged_tensors_are_refused(write, name, parts, sentence, tmp_path):
    write(tmp_path)
    change(tmp_path / f"{name}.safetensors", **parts)
    with pytest.raises(ValueError, match=sentence):
        ib.load_transcoders(tmp_path)


def test_numbers_that_are_not_finite_are_found_when_they_are_read(tmp_path):
    sets.circuit_tracer(tmp_path)
    change(tmp_path / "layer_1.safetensors", W_enc=torch.full((F, D), torch.inf), W_dec=torch.full((F, D), torch.nan))
    found = ib.load_transcoders(tmp_path)  # the matrices are not read yet
    for read in (lambda: found.encode(1, inputs([1])[1]), lambda: found.decoder_rows(1, torch.tensor([3]))):
        with pytest.raises(ValueError, match=r"W_\w+ in layer_1.safetensors is damaged: .* not finite"):
            read()


CONFIGS = [
    (sets.circuit_tracer, "config.yaml", {"model_kind": "other"}, "config.yaml in .* is damaged: model_kind"),
    (sets.circuit_tracer, "config.yaml", {"feature_input_hook": "hook_z"}, "reads hook_z and writes hook_mlp_out"),
    (sets.circuit_tracer, "config.yaml", {"feature_input_hook": 3}, "is damaged: feature_input_hook"),
    (sets.circuit_tracer, "config.yaml", {"activation": "topk"}, "does not say which k"),
    (sets.circuit_tracer, "config.yaml", {"activation": "topk", "k": 0}, "is damaged: k: .*greater than 0"),
    (sets.circuit_tracer, "config.yaml", {"transcoders": ["../layer_0.safetensors"]}, "Only safetensors in the same"),
    (sets.circuit_tracer, "config.yaml", {"transcoders": ["/etc/passwd"]}, "Only safetensors in the same"),
    (sets.circuit_tracer, "config.yaml", {"transcoders": ["hf://a/b/layer_0.safetensors"]}, "Only safetensors in the"),
    (sets.circuit_tracer, "config.yaml", {"transcoders": ["params.npz"]}, "Only safetensors in the same"),
    (sets.circuit_tracer, "config.yaml", {"transcoders": ["layer_7.safetensors"]}, "There is no layer_7"),
    (sets.circuit_tracer, "config.yaml", {"model_kind": "cross_layer_transcoder"}, "for every layer i from 0 on"),
    (sets.circuit_tracer_clt, "config.yaml", {"model_kind": "transcoder_set"}, "but no layer_0.safetensors"),
    (partial(sets.circuit_tracer, activation="relu"), "config.yaml", {"activation": "jumprelu"}, "asks for JumpReLU"),
    (sets.gpt2_clts, "cfg.json", {"activation_fn": "batchtopk"}, "Convert them to JumpReLU"),
    (sets.gpt2_clts, "cfg.json", {"activation_fn": "topk", "topk_mode": "global"}, "all layers together"),
    (sets.gpt2_clts, "cfg.json", {"activation_fn": "topk", "topk_k": None}, "how many features are active"),
    (sets.gpt2_clts, "cfg.json", {"normalization_method": "sqrt_d_model"}, "normalises by sqrt_d_model"),
    (sets.gpt2_clts, "cfg.json", {"tl_input_template": "blocks.{}.hook_z"}, "which Hookscope does not know"),
    (sets.gpt2_clts, "cfg.json", {"num_layers": L + 1}, "norm_stats.json has no mean and deviation"),
    (sets.gpt2_clts, "norm_stats.json", {"1": {"inputs": [1]}}, "a mean and a deviation for each layer"),
    (sets.gpt2_clts, "cfg.json", {"skip_connection": True}, "skips between different layers"),
    (sets.saelens, "cfg.json", {"normalize_activations": "layer_norm"}, "normalises its input .layer_norm.*Fold that"),
    (sets.saelens, "cfg.json", {"architecture": "gated"}, "architecture 'gated'"),
    (sets.saelens, "cfg.json", {"activation_fn_str": "tanh-relu"}, "'tanh-relu'. Only ReLU"),
    (sets.saelens, "cfg.json", {"hook_name": "blocks.1.attn.hook_z"}, "reads 'blocks.1.attn.hook_z'"),
    (sets.saelens, "cfg.json", {"d_in": "8"}, "cfg.json in .* is damaged: d_in"),
    (partial(sets.saelens, architecture="topk"), "cfg.json", {"k": None}, "how many features are active"),
    (sets.sparsify, "h.1.mlp/cfg.json", {"activation": "groupmax"}, "the activation 'groupmax'"),
    (sets.sparsify, "h.1.mlp/cfg.json", {"n_targets": 3}, "cross-layer targets"),
    (sets.sparsify, "h.1.mlp/cfg.json", {"transcode": False}, "coders of different places"),
]


@pytest.mark.parametrize(("write", "name", "fields", "sentence"), CONFIGS)
def test_configurations_that_ask_for_something_else_are_refused(write, name, fields, sentence, tmp_path):
    write(tmp_path)
    rewrite(tmp_path / name, **fields)
    with pytest.raises(ValueError, match=sentence):
        ib.load_transcoders(tmp_path)


def test_files_that_are_no_set_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no transcoders in a layout that Hookscope knows"):
        ib.load_transcoders(tmp_path)
    sets.sparsify(tmp_path)
    shutil.move(tmp_path / "h.1.mlp", tmp_path / "one")
    with pytest.raises(ValueError, match="'one' is not the name of a layer or of its MLP"):
        ib.load_transcoders(tmp_path)
    with pytest.raises(ValueError, match=r"sae.safetensors is one file of a set\. Give the directory"):
        ib.load_transcoders(tmp_path / "one" / "sae.safetensors")


def test_pt_files_of_other_things_are_refused(tmp_path):
    sets.gpt2_transcoders(tmp_path, out_hook_point="blocks.9.hook_mlp_out")
    with pytest.raises(ValueError, match=r"transcoders from ln2\.hook_normalized to hook_mlp_out of the same layer"):
        ib.load_transcoders(tmp_path)
    sets.gpt2_transcoders(tmp_path, hook_point="blocks.1.ln2.hook_normalized", out_hook_point="blocks.1.hook_mlp_out")
    with pytest.raises(ValueError, match=r"Several files of .* are of layer 1"):
        ib.load_transcoders(tmp_path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("whole", [Evil(), {"state_dict": Evil()}, {"cfg": Evil(), "state_dict": {"W": torch.ones(1)}}])
def test_no_code_of_a_file_runs(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(whole, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="objects, which are never loaded"):
        ib.load_transcoders(tmp_path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "whole", [[1], {"state_dict": [1]}, {"state_dict": {"a": 1}}, {"a": torch.ones(1).to_sparse()}, {1: torch.ones(1)}]
)
def test_pt_files_without_tensors_by_name_are_refused(whole, tmp_path):
    torch.save(whole, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="does not hold tensors by name"):
        ib.load_transcoders(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "!!python/object/apply:os.mkdir [evil]",
        "- 1",
        "",
        "a: &x [1]\nb: [*x, *x]",
        "\x00",
        "[" * 5000,
        "a: " + "9" * 5000,
    ],
    ids=["broken", "code", "list", "empty", "alias", "nul", "deep", "long"],
)
def test_yaml_is_plain_values(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml in .* is (not YAML of plain values|damaged)"):
        ib.load_transcoders(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_a_configuration_without_end_is_not_read(tmp_path):
    (tmp_path / "config.yaml").write_text("a" * 5_000_000)
    with pytest.raises(ValueError, match="too long for a configuration"):
        ib.load_transcoders(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(layout=st.sampled_from(["circuit-tracer", "gpt2-clts", "saelens"]), data=st.data())
def test_any_configuration_is_read_or_refused_in_a_sentence(layout, data, tmp_path_factory):
    to = tmp_path_factory.mktemp("set")
    LAYOUTS[layout][0](to)
    path = to / ("config.yaml" if layout == "circuit-tracer" else "cfg.json")
    config = yaml.safe_load(path.read_text())
    config[data.draw(st.sampled_from(sorted(config)))] = data.draw(VALUES)
    path.write_text(yaml.safe_dump(config) if path.suffix == ".yaml" else json.dumps(config))
    try:
        found = ib.load_transcoders(to)
    except ValueError as problem:
        assert str(problem)
    else:
        assert found.d_model == D


@settings(max_examples=60, deadline=None)
@given(layout=st.sampled_from(["circuit-tracer", "gpt2-transcoders", "sparsify"]), data=st.data())
def test_truncated_and_altered_files_are_read_or_refused_in_a_sentence(layout, data, tmp_path_factory):
    to = tmp_path_factory.mktemp("set")
    LAYOUTS[layout][0](to)
    path = data.draw(st.sampled_from(sorted(one for one in to.rglob("*") if one.suffix in (".safetensors", ".pt"))))
    whole = path.read_bytes()
    at, new = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.binary(max_size=8))
    path.write_bytes(whole[:at] + (new + whole[at + len(new) :] if data.draw(st.booleans()) else new))
    try:
        found = ib.load_transcoders(to)
        found.encode(0, torch.zeros(2, found.d_model))
        found.reconstruct(inputs(found.layers))
    except ValueError as problem:
        assert str(problem)
