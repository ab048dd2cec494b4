"""Tensors in files that come from anywhere: names and shapes are read at first, values when they are needed.

Safetensors are memory-mapped; `.pt` files too, by torch's unpickler for tensors alone, which runs no code of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from ..transcoders import Matrix

LONGEST_CONFIG = 4_000_000  # bytes; norm_stats.json has a mean and a deviation for each entry of each layer
LONGEST_YAML, DEEPEST_YAML = 100_000, 20  # its reader is slow
FLOATS = {"F64", "F32", "F16", "BF16"}


class Config(BaseModel):
    """What a configuration file has to say. Fields that nobody reads are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, protected_namespaces=())


C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Stored:
    """The tensors of one file.

    Attributes:
        path: a `.safetensors` or `.pt` file.
        shapes: by name.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            ValueError: there is no such tensor.
        """
        if name not in self.shapes:
            raise ValueError(f"{self.path.name} has no {name}: it is damaged, or of another layout.")
        return self.shapes[name]

    def tensor(self, name: str) -> Tensor:
        """A tensor, memory-mapped, in its own precision."""
        self.shape(name)
        return _opened(self.path, name)

    def vector(self, name: str) -> Tensor:
        """A small tensor in float32, without axes of length 1, read at once."""
        return self.tensor(name).float().clone().reshape(-1)

    def matrix(self, name: str, *, transposed: bool = False, of_target: int | None = None) -> Matrix:
        """A matrix that stays in the file.

        Args:
            transposed: whether the file has its columns as rows.
            of_target: the number of the matrix on the second axis of [row, target, column].

        Raises:
            ValueError: the tensor is no matrix.
        """
        shape = self.shape(name)
        if of_target is not None and len(shape) == 3:
            shape = (shape[0], shape[2])
        if len(shape) != 2:
            raise ValueError(f"{self.path.name} is damaged: {name} has the shape {self.shape(name)}.")

        def opened() -> Tensor:
            tensor = self.tensor(name)
            tensor = tensor if of_target is None else tensor[:, of_target]
            return tensor.T if transposed else tensor

        rows, columns = reversed(shape) if transposed else shape
        return Matrix(opened, (rows, columns), f"{name} in {self.path.name}")

    def decoder(self, name: str, features: int, width: int, *, transposed: bool) -> Matrix:
        """A decoder [feature, d_model], which some files have transposed.

        Args:
            transposed: which way it is where the shape does not tell.
        """
        if features != width:
            transposed = self.shape(name) == (width, features)
        return self.matrix(name, transposed=transposed)


# Opening


def stored(path: Path) -> Stored:
    """The names and shapes in a file.

    Raises:
        ValueError: it is missing or damaged, or has something else than numbers in it.
    """
    try:
        if path.suffix == ".safetensors":
            return Stored(path, _safetensors_shapes(path))
        state, _ = unpickled(path)
        return Stored(path, {name: tuple(value.shape) for name, value in state.items()})
    except FileNotFoundError:
        raise ValueError(f"There is no {path.name} in {path.parent}.") from None
    except ValueError:
        raise
    except Exception as problem:  # a damaged file can make its reader raise any error
        raise ValueError(f"{path.name} can't be read: {first_line(problem)}. Get the file again.") from None


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    shapes = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  (it is no dict)
            part = file.get_slice(name)
            if part.get_dtype() in FLOATS or not part.get_shape():
                shapes[name] = tuple(part.get_shape())
    return shapes


def _opened(path: Path, name: str) -> Tensor:
    if path.suffix != ".safetensors":
        return unpickled(path)[0][name]
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.get_tensor(name)


# The class of the configuration in the files of Dunefsky et al., as a class that does nothing.
_INERT = type("LanguageModelSAERunnerConfig", (), {"__module__": "sae_training.config"})


def unpickled(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a `.pt` file, memory-mapped, and the fields of its configuration.

    Raises:
        ValueError: it holds other things than tensors and plain values; no code of the file is run to find out.
    """
    allowing = getattr(torch.serialization, "safe_globals", None)  # since torch 2.5
    with nullcontext() if allowing is None else allowing([_INERT]):
        try:
            whole = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except FileNotFoundError:
            raise
        except Exception as problem:
            raise ValueError(
                f"{path.name} can't be read as tensors and plain values alone: {first_line(problem)}. It is damaged, "
                "or holds objects, which are never loaded, since that can run code. Save it as safetensors."
            ) from None
    state = whole.get("state_dict", whole) if isinstance(whole, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) and _is_plain(v) for name, v in state.items()):
        raise ValueError(f"{path.name} does not hold tensors by name.")
    config = whole.get("cfg", {}) if isinstance(whole, dict) else {}
    fields = config if isinstance(config, dict) else vars(config) if type(config) is _INERT else {}
    return state, fields


def _is_plain(value: Any) -> bool:
    plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
    return plain and value.is_floating_point()


# Configurations


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is missing, damaged or too long.
    """
    text = _text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{path.name} in {path.parent} is not JSON: {first_line(problem)}.") from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of plain values.

    Raises:
        ValueError: it is missing, damaged, too long or too deep, or uses aliases, with which a few lines can stand for
            gigabytes.
    """
    import yaml

    text = _text(path, LONGEST_YAML)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST_YAML:
                raise ValueError("it uses aliases, or lists within lists within lists")
        return yaml.safe_load(text)
    except Exception as problem:  # PyYAML raises errors of its own, and others for odd numbers and dates
        raise ValueError(f"{path.name} in {path.parent} is not YAML of plain values: {first_line(problem)}.") from None


def parsed(kind: type[C], data: Any, path: Path) -> C:
    """The content of a configuration file, checked.

    Raises:
        ValueError: something is missing, or not what it has to be.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} in {path.parent} is damaged: it holds no names with values.")
    try:
        return kind.model_validate(data)
    except ValidationError as problem:
        [first, *_] = problem.errors(include_input=False, include_url=False)
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path.name} in {path.parent} is damaged: {where}: {first['msg']}.") from None


def _text(path: Path, longest: int = LONGEST_CONFIG) -> str:
    try:
        if path.stat().st_size > longest:
            raise ValueError(f"{path.name} in {path.parent} is too long for a configuration.")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path.name} in {path.parent} can't be read: {first_line(problem)}.") from None


def first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
