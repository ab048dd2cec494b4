"""Attention patterns that are computed again from patched queries or keys, to see what a gradient can't: a softmax that
saturates (Kramár et al. 2024, arXiv:2403.00745, call the correction QK fix).

A run patches every layer at once: each layer's pattern is read, and then replaced by the unpatched run's, so that the
next layer reads what it always reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from ..language.model import Hook
from .own import Own
from .turn import Turn

ROWS = 33  # of a run: the unpatched prompt, and patched ones


def effects_through_patterns(
    turn: Turn,
    tokens: Sequence[int],
    part: Literal["q", "k"],
    patched: Mapping[int, Tensor],
    gradients: Mapping[int, Tensor],
) -> dict[int, Tensor]:
    """The change of a metric by each patch of a query or a key: the change of the pattern, times its gradient.

    Args:
        tokens: the prompt's token ids.
        patched: for each layer the values that are patched in, [position, head, d_head]; key heads for keys.
        gradients: of the metric by each layer's pattern, [head, position, source position].

    Returns:
        For each layer, [position, head], in float32 or better.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
    """
    found = {layer: gradients[layer].new_zeros(values.shape[:2]) for layer, values in patched.items()}
    # A query changes its own row of the pattern alone, so that all of them can be patched in one run.
    every: list[list[int]] = [[position] for position in range(len(tokens))]
    patches = [list(range(len(tokens)))] if part == "q" else every
    for start in range(0, len(patches), ROWS - 1):
        run = _Run(part, patches[start : start + ROWS - 1], patched, gradients, found)
        turn.run(partial(run, turn.model, tokens))
    return found


class _Run:
    """One run of the unpatched prompt and of some patched ones side by side."""

    def __init__(
        self,
        part: str,
        patches: list[list[int]],
        patched: Mapping[int, Tensor],
        gradients: Mapping[int, Tensor],
        found: dict[int, Tensor],
    ):
        self.part, self.patches, self.patched, self.gradients, self.found = part, patches, patched, gradients, found

    def __call__(self, model: Any, tokens: Sequence[int]) -> None:
        ids = torch.tensor([list(tokens)] * (1 + len(self.patches)), device=model.device)
        hooks: list[tuple[str, Hook]] = []
        for layer in self.patched:
            hooks.append((model.hook_name(self.part, layer), Own(partial(self._patch, layer))))
            hooks.append((model.hook_name("pattern", layer), Own(partial(self._read, layer))))
        with torch.no_grad(), model.raw.hooks(fwd_hooks=hooks):
            model.raw(ids)

    def _patch(self, layer: int, value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        for row, positions in enumerate(self.patches, 1):
            value[row, positions] = self.patched[layer][positions].to(value.dtype)
        return value

    def _read(self, layer: int, pattern: Tensor, hook: Any) -> Tensor:
        gradient, found = self.gradients[layer], self.found[layer]
        change = (pattern[1:] - pattern[:1]).to(gradient.dtype) * gradient  # [row, head, position, source]
        for row, positions in enumerate(self.patches):
            if self.part == "q":
                found[:] = change[row].sum(-1).T
            else:
                heads = change[row].sum((-1, -2)).unflatten(0, (found.shape[1], -1)).sum(-1)
                found[positions[0]] = heads
        return pattern[:1].expand_as(pattern)
