"""The scales of a model's norms in one run, and other runs of the same text that keep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..language.model import LanguageModel
from .executor import run_edited
from .frozen_norm import Frozen
from .modules import module_dtype
from .own import Own
from .turn import Turn


class Scales:
    """What every norm multiplies by at each position of a run without edits.

    Args:
        ids: the tokens of the run.

    Raises:
        ValueError: with its scale frozen, a norm of the model is not an affine map.
    """

    def __init__(self, turn: Turn, ids: Sequence[int]):
        self._norms = norms_of(turn, "Freeze attention alone")
        self._factors: dict[nn.Module, Tensor] = {}
        self._inputs: dict[nn.Module, Tensor] = {}
        run_edited(turn, ids, [], prepare=partial(self._hook, self._note))

    def keep(self) -> None:
        """Let the pass that begins compute every norm with these scales."""
        self._hook(self._again)

    def _hook(self, leave: Callable[..., Tensor | None]) -> None:
        for module, frozen in self._norms.items():
            # The input as it was: some models write into it. And the output before the hooks that edit it, as those of
            # a norm after an MLP do.
            module.register_forward_pre_hook(Own(self._enter))
            getattr(module, "hook_out", module).register_forward_hook(Own(partial(leave, module, frozen)))

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._inputs[module] = args[0]

    def _note(self, module: nn.Module, frozen: Frozen, _: Any, args: Any, out: Tensor) -> None:
        self._factors[module] = frozen.taken_apart(self._inputs.pop(module), out)[1]

    def _again(self, module: nn.Module, frozen: Frozen, _: Any, args: Any, out: Tensor) -> Tensor:
        linear, _factor = frozen.taken_apart(self._inputs.pop(module), out)
        return (linear * self._factors[module] + frozen.bias.to(linear.dtype)).to(out.dtype)


def norms_of(turn: Turn, instead: str) -> dict[nn.Module, Frozen]:
    """Every norm of a model as an affine map, measured once in a turn.

    Args:
        instead: what to do if a norm can't be frozen, for the error.

    Raises:
        ValueError: with its scale frozen, a norm is not an affine map.
    """
    if "frozen norms" not in turn.memo:
        with torch.inference_mode(False):  # what is made in inference mode can't take part in a backward run
            turn.memo["frozen norms"] = turn.run(lambda: _measured(turn.model, instead))
    return turn.memo["frozen norms"]


def _measured(model: LanguageModel, instead: str) -> dict[nn.Module, Frozen]:
    dtype, found = module_dtype(model), {}
    for name, module in model.raw.named_modules():
        if "hook_scale" not in module._modules:
            continue
        weight = getattr(module, "weight", None)
        width = weight.numel() if isinstance(weight, Tensor) else model.d_model
        some = torch.linspace(-1, 2, width, device=model.device)
        norm = partial(_rows_through, module, dtype)
        try:
            found[module] = Frozen.of(norm, some, name)
        except (RuntimeError, ValueError):
            raise ValueError(
                f"The norm {name} can't be frozen: with a constant scale it is not an affine map of its last axis. "
                f"{instead}."
            ) from None
    return found


def _rows_through(module: Any, dtype: torch.dtype, rows: Tensor) -> Tensor:
    return module(rows.to(dtype)[None])[0]
