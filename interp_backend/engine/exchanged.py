"""Passes in which a model's own modules read what somebody else says, and hand over what they wrote.

The linear modules that make queries, keys and values give those of other inputs, an input for each head; an MLP gets
another input; and the module that writes the heads' outputs hands them over. Everything else (norms, rotary angles,
masks, softmax, MLPs, softcaps) is the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..language.model import LanguageModel
from .own import Own
from .wiring import PARTS, Layer, Reading, readings, through


class Exchanged:
    """One pass of a model. A subclass says what is read, and takes what is written.

    Its patches and hooks stay on the model until the pass ends, when the turn removes them.
    """

    def __init__(self, model: LanguageModel, wiring: Sequence[Layer]):
        self.model, self.wiring = model, wiring
        self._readings = readings(wiring)
        self._fired: set[tuple[int, str]] = set()

    def read(self, reading: Reading) -> Tensor:
        """What some receivers read, [receiver, run, position, d_model]."""
        raise NotImplementedError

    def heads_wrote(self, reading: Reading, layer: Layer, z: Tensor) -> None:
        """Take the mixed values of a layer's heads, [run, position, head, d_head]."""
        raise NotImplementedError

    def mlp_wrote(self, reading: Reading, out: Tensor) -> None:
        """Take what an MLP writes, [run, position, d_model]."""
        raise NotImplementedError

    @property
    def rows(self) -> tuple[int, int]:
        """How many runs there are in what a module gets, and how many positions of each."""
        raise NotImplementedError

    def patch(self) -> None:
        """Until this pass ends, make the model's modules read what `read` says."""
        for reading in self._readings[:-1]:
            layer = self.wiring[reading.layer]
            if reading.part == "mlp":
                module = layer.mlp_norm if layer.own_norm else layer.mlp
                module.register_forward_pre_hook(Own(partial(self._into_mlp, reading, layer)))
                continue
            self._replace(layer.linears[reading.part], partial(self._project, reading, layer))
            if reading.part == "q":
                self._replace(layer.linears["o"], partial(self._hand_over, reading, layer))

    @staticmethod
    def _replace(module: Any, function: Callable[..., Any]) -> None:
        module.forward = Own(function, otherwise=module.forward)

    def hooks(self) -> list[tuple[str, Any]]:
        """The hooks that note what MLPs write."""
        mlps = [reading for reading in self._readings if reading.part == "mlp"]
        return [(self.model.hook_name("mlp_out", one.layer), Own(partial(self._from_mlp, one))) for one in mlps]

    def _project(self, reading: Reading, layer: Layer, rows: Tensor) -> Tensor:
        """A layer's queries, keys or values, each head's from what it reads; shaped like the linear module's output."""
        self._fired.add((reading.layer, reading.part))
        normed = through(layer.norm, self.read(reading)).flatten(1, 2)
        made = torch.baddbmm(layer.read_bias[reading.part][:, None], normed, layer.read[reading.part])
        return made.transpose(0, 1).reshape(*rows.shape[:-1], -1)

    def _hand_over(self, reading: Reading, layer: Layer, rows: Tensor) -> Tensor:
        """Note what each head writes. The model's own stream gets nothing: no receiver reads it."""
        self._fired.add((reading.layer, "o"))
        self.heads_wrote(reading, layer, rows.reshape(*self.rows, layer.heads["q"], -1))
        return rows.new_zeros(*rows.shape[:-1], self.model.d_model)

    def _into_mlp(self, reading: Reading, layer: Layer, module: Any, args: tuple[Any, ...]) -> Any:
        self._fired.add((reading.layer, "mlp"))
        mixed = self.read(reading)[0]
        mixed = mixed if layer.own_norm else through(layer.mlp_norm, mixed)
        return (mixed.reshape(args[0].shape), *args[1:])

    def _from_mlp(self, reading: Reading, value: Tensor, hook: Any) -> None:
        self.mlp_wrote(reading, value.reshape(*self.rows, -1))

    def refuse_missed(self, first: int) -> None:
        """Raise RuntimeError if a module that should have read something else was never called."""
        for at, layer in enumerate(self.wiring[first:], first):
            parts = {*PARTS, "o"} | ({"mlp"} if layer.mlp is not None else set())
            if missed := {part for part in parts if (at, part) not in self._fired}:
                raise RuntimeError(f"what layer {at} reads for {min(missed)} can't be exchanged")
