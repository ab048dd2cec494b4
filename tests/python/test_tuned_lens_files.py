"""Files of tuned lenses: what is written is read again, and what is no lens is refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_model import hooks_on
from test_tuned_lens import TEXT, TEXTS, hash_of, lens_of

import interp_backend as ib
from interp_backend.language.tuned_lens import TunedLens, unembed_hash
from tiny_models import boot, loud_bridge, loud_model

# Files


def write(directory, state, **config):
    whole = {"d_model": 2, "num_hidden_layers": 1, "unembed_hash": "x", "base_model_name_or_path": "m", **config}
    (directory / "config.json").write_text(json.dumps(whole))
    torch.save(state, directory / "params.pt")
    return directory


def good():
    return {"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)}


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
    with pytest.raises(ValueError, match=r"is damaged|not a lens of the type linear_tuned_lens"):
        TunedLens.load(write(tmp_path, good(), **config))


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", "3", "[" * 100_000, '{"d_model": 1e400}'])
def test_a_damaged_config_is_refused(tmp_path, text):
    write(tmp_path, good())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"can't be read|not a lens of the type|is damaged"):
        TunedLens.load(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ValueError, match="can't be read"):
        TunedLens.load(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "params.pt"])
def test_a_missing_file_is_named(tmp_path, missing):
    write(tmp_path, good())
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=f"not a tuned lens: there is no {missing}"):
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


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
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


def test_a_config_that_speaks_of_countless_layers_is_refused_at_once(tmp_path):
    directory = write(tmp_path, good())
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**12}))
    with pytest.raises(ValueError, match="is damaged"):
        TunedLens.load(directory)
