"""Runs with transcoders: what their features read, and what becomes of the model if they write in place of its MLPs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from ..language.model import Hook, LanguageModel
from ..language.transcoders import READS, Transcoders, norm_centres
from .edits import Edit
from .executor import run_edited
from .own import Own
from .recording import record
from .turn import Turn

Vectors = dict[int, Tensor]  # by layer, [position, d_model]


def read_hooks(reads: str, layer: int) -> list[str]:
    """The hooks from which what a layer's features read is made."""
    own = f"blocks.{layer}.{READS[reads][1]}"
    return [f"blocks.{layer}.{READS['resid_mid'][1]}", own] if reads == "normalized" else [own]


def what_is_read(model: LanguageModel, reads: str, layer: int, values: Sequence[Tensor]) -> Tensor:
    """What a layer's features read, [..., d_model], in float32, from the values of its `read_hooks`."""
    x = values[0].float()
    if reads != "normalized":
        return x
    x = x - x.mean(-1, keepdim=True) if norm_centres(model, layer) else x
    return x / values[1].float()


def read_transcoded(
    turn: Turn, prompts: Sequence[Sequence[int]], transcoders: Transcoders
) -> list[tuple[Vectors, Vectors]]:
    """For each prompt, what the features of each layer read, and what their outputs stand for.

    The second has the model's own values, also where transcoders are made for centred ones.
    """
    return read_places(turn, prompts, transcoders.reads, transcoders.layers, transcoders.writes, transcoders.written)


def read_places(
    turn: Turn, prompts: Sequence[Sequence[int]], reads: str, layers: Iterable[int], writes: str, written: Iterable[int]
) -> list[tuple[Vectors, Vectors]]:
    """As `read_transcoded`, of places that are given by name."""
    hooks = {layer: read_hooks(reads, layer) for layer in layers}
    ends = {layer: f"blocks.{layer}.{READS[writes][1]}" for layer in written}
    names = sorted({*ends.values(), *(name for each in hooks.values() for name in each)})
    found = []
    for run in record(turn, prompts, names, [[]] * len(prompts)):
        values = {
            layer: what_is_read(turn.model, reads, layer, [run.activations[name] for name in each])
            for layer, each in hooks.items()
        }
        found.append((values, {layer: run.activations[name].float() for layer, name in ends.items()}))
    return found


def read_layer(turn: Turn, prompts: Sequence[Sequence[int]], reads: str, layer: int) -> list[Tensor]:
    """What the features of one layer read in each prompt, [position, d_model]. The model runs no further than to there.

    Args:
        prompts: the token ids of prompts of one length, which run together.

    Raises:
        ValueError: the model is in training mode, the device can't compute in the weights' precision, or a hook never
            fires.
    """
    turn.model.refuse_training_mode()
    turn.model.refuse_dtype()
    names = read_hooks(reads, layer)
    # The user's hooks may be written for the first row of a batch.
    parts = [[prompt] for prompt in prompts] if turn.users_hooks else [prompts]
    found: list[Tensor] = []
    for part in parts:
        values = turn.run(lambda part=part: _until_read(turn.model, part, names))
        found += what_is_read(turn.model, reads, layer, values)
    return found


class _Read(Exception):
    """All that is wanted of a run has been read."""


def _until_read(model: LanguageModel, prompts: Sequence[Sequence[int]], names: Sequence[str]) -> list[Tensor]:
    seen: dict[str, Tensor] = {}

    def keeping(name: str) -> Hook:
        def keep(value: Tensor, hook: Any) -> None:
            seen[name] = value.detach().clone()
            if len(seen) == len(names):
                raise _Read

        return Own(keep)

    tokens = torch.tensor([list(ids) for ids in prompts], device=model.device)
    with suppress(_Read), torch.no_grad(), model.raw.hooks(fwd_hooks=[(name, keeping(name)) for name in names]):
        model.raw(tokens)
    if silent := [name for name in names if name not in seen]:
        raise ValueError(f"The hook {silent[0]} never fires in this model. Choose other transcoders.")
    return [seen[name] for name in names]


def replaced_logits(turn: Turn, ids: Sequence[int], transcoders: Transcoders) -> Tensor:
    """Logits [position, d_vocab] of a run in which the transcoders write in place of the MLPs that they stand for.

    Each layer's features read the replaced run itself, so errors build up from layer to layer.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
    """
    tokens = torch.tensor([list(ids)], device=turn.model.device)

    def run() -> Tensor:
        hooks = _Replacing(turn.model, transcoders).hooks()
        with torch.no_grad(), turn.model.raw.hooks(fwd_hooks=hooks):
            return turn.model.raw(tokens)[0]

    return turn.run(run)


def zeroed_logits(turn: Turn, ids: Sequence[int], layers: Iterable[int]) -> Tensor:
    """Logits [position, d_vocab] of a run in which the MLPs of some layers write zeros."""
    everywhere = tuple(range(len(ids)))
    return run_edited(turn, ids, [Edit("mlp_out", layer, everywhere, "scale", factor=0.0) for layer in layers])


class _Replacing:
    """What the features of one run have written so far."""

    def __init__(self, model: LanguageModel, transcoders: Transcoders):
        self.model, self.transcoders = model, transcoders
        self.inputs: Vectors = {}
        self.written: Vectors = {}
        self.seen: dict[str, Tensor] = {}

    def hooks(self) -> list[tuple[str, Hook]]:
        """Hooks that read for every layer, and then write."""
        hooks: list[tuple[str, Hook]] = []
        for layer in sorted({*self.transcoders.layers, *self.transcoders.written}):
            if layer in self.transcoders.coders:
                *first, last = read_hooks(self.transcoders.reads, layer)
                hooks += [(name, self._keeping(name)) for name in first]
                hooks.append((last, self._reading(layer, [*first, last])))
            if layer in self.transcoders.ends:
                hooks.append((f"blocks.{layer}.{READS['mlp_out'][1]}", self._writing(layer)))
        return hooks

    def _keeping(self, name: str) -> Hook:
        return Own(lambda value, hook: self.seen.__setitem__(name, value[0].clone()))

    def _reading(self, layer: int, names: list[str]) -> Hook:
        def read(value: Tensor, hook: Any) -> None:
            values = [*(self.seen.pop(name) for name in names[:-1]), value[0]]
            x = self.inputs[layer] = what_is_read(self.model, self.transcoders.reads, layer, values)
            for target, part in self.transcoders.decode(layer, self.transcoders.encode(layer, x)).items():
                self.written[target] = self.written[target] + part if target in self.written else part

        return Own(read)

    def _writing(self, layer: int) -> Hook:
        def write(value: Tensor, hook: Any) -> Tensor:
            whole = self.transcoders.bias(layer).to(value.device) + self.written.pop(layer)
            if (matrix := self.transcoders.skip(layer)) is not None:
                whole = whole + self.inputs[layer] @ matrix.to(value.device).T
            value[0] = whole.to(value.dtype)
            return value

        return Own(write)
