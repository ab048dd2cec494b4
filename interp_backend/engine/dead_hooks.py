"""Which hooks are dead: edits there never reach the logits, so that patching them would show a false zero."""

from __future__ import annotations

from typing import Any

import torch

from ..language.model import ACTIVATIONS, Hook, LanguageModel
from .own import Own
from .turn import Turn
from .watch import Cancelled


def find_dead_hooks(model: LanguageModel) -> list[str] | None:
    """The activations whose edits never reach the logits; None if one of the user's hooks makes it impossible to tell.

    They are found by experiment, in one run of a batch of four-token prompts: row i has activation i perturbed in
    every layer, and the last row is unperturbed. On gpt_neo, gptj and opt, for example, TransformerLens ignores
    edits of the attention pattern.
    """
    tested = [name for name in ACTIVATIONS if name not in model.unavailable]
    tokens = (torch.arange(4, device=model.device) % int(model.raw.cfg.d_vocab)).repeat(len(tested) + 1, 1)
    hooks = [
        (hook_name, hook)
        for hook, name in ((_disturbing(row), name) for row, name in enumerate(tested))
        for hook_name in {model.hook_name(name, layer) for layer in model.layers_with(name)}
    ]

    def run() -> torch.Tensor:
        with torch.no_grad(), model.raw.hooks(fwd_hooks=hooks):
            return model.raw(tokens).float()

    with Turn(model) as turn:
        try:
            logits = turn.run(run)
        except Exception as problem:
            if turn.users_hooks and not isinstance(problem, Cancelled):
                return None  # the user's hook may be written for a single prompt
            raise
    shift = (logits[:-1] - logits[-1]).abs().amax((1, 2)) / logits[-1].abs().max()
    noise = 1e-2 if model.dtype in ("bfloat16", "float16") else 1e-5
    return [name for name, moved in zip(tested, shift.tolist()) if moved <= noise]


def _disturbing(row: int) -> Hook:
    """A hook that changes one row of a batch."""

    def disturb(value: torch.Tensor, hook: Any) -> torch.Tensor:
        # Each entry changes by a different amount, because softmax and LayerNorm undo a uniform shift.
        amount = torch.linspace(0.1, 1.0, value[row].numel(), device=value.device, dtype=value.dtype)
        value[row] += amount.view_as(value[row])
        return value

    return Own(disturb)


# Only the engine runs models, and `model.dead_hooks` asks it here.
LanguageModel.find_dead_hooks = staticmethod(find_dead_hooks)
