"""How one attention score depends on its query and on its key, whatever the model does between them (rotary angles)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..language.model import Hook
from .own import Own
from .turn import Turn

TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ScoreGradient:
    """One attention score.

    Attributes:
        score: before the softmax.
        query, key: what the score gains per unit of the query, with the key as it is, and the reverse, [d_head].
        query_rest, key_rest: what the score has beside that times the query, or the key: a bias of positions.
    """

    score: float
    query: Tensor
    key: Tensor
    query_rest: float
    key_rest: float


def score_gradient(turn: Turn, ids: Sequence[int], layer: int, head: int, query: int, key: int) -> ScoreGradient:
    """How a head's score at two positions depends on its query and on its key.

    Raises:
        ValueError: the model does not show its scores, or a score is not linear in the query, as where queries are
            normalised.
    """
    model, tokens = turn.model, torch.tensor([list(ids)], device=turn.model.device)
    hook = f"blocks.{layer}.attn.hook_attn_scores"
    if hook not in model.raw.hook_dict:
        raise ValueError(f"This model does not show the attention scores of layer {layer}.")

    def run(scale: dict[str, float]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        leaves: dict[str, Tensor] = {}
        seen: dict[str, Tensor] = {}

        def leaf(part: str) -> Hook:
            def make(value: Tensor, hook: Any) -> Tensor:
                leaves[part] = value.detach().mul(scale.get(part, 1.0)).requires_grad_()
                return leaves[part]

            return Own(make)

        hooks = [(model.hook_name(part, layer), leaf(part)) for part in ("q", "k")]
        for name, at in (("scores", hook), ("pattern", model.hook_name("pattern", layer))):
            hooks.append((at, Own(lambda value, hook, name=name: seen.__setitem__(name, value[0]))))
        with torch.inference_mode(False), torch.enable_grad(), model.raw.hooks(fwd_hooks=hooks):
            model.raw(tokens)
        if set(seen) != {"scores", "pattern"}:
            raise ValueError(f"This model does not show the attention scores of layer {layer}.")
        score = seen["scores"][head, query, key]
        row = seen["scores"][head, query, : query + 1].detach().softmax(-1)
        return score, leaves, (row - seen["pattern"][head, query, : query + 1]).abs().max().detach()

    def taken() -> ScoreGradient:
        score, leaves, off = run({})
        own, without = float(score.detach()), {part: float(run({part: 0.0})[0].detach()) for part in ("q", "k")}
        if not score.requires_grad:
            raise ValueError(f"The attention scores of layer {layer} can't be followed back in this model.")
        gradients = torch.autograd.grad(score, [leaves["q"], leaves["k"]], allow_unused=True)
        parts: dict[str, tuple[Tensor, float]] = {}
        for part, position, gradient in zip(("q", "k"), (query, key), gradients):
            if gradient is None:
                raise ValueError(f"The attention scores of layer {layer} can't be followed back in this model.")
            at = gradient[0, position].float()
            values = leaves[part][0, position].detach().float()
            which = head * len(at) // model.n_heads
            gained = float(at[which] @ values[which])
            if abs(own - gained - without[part]) > TOLERANCE * max(1.0, abs(own)):
                raise ValueError(
                    f"A score of layer {layer} is not linear in its {'query' if part == 'q' else 'key'} in this model "
                    "(queries and keys are normalised, or scores are capped), so it has no exact parts."
                )
            parts[part] = at[which], own - gained
        if float(off) > TOLERANCE:
            raise ValueError(f"The scores that layer {layer} shows are not those of its pattern in this model.")
        return ScoreGradient(own, parts["q"][0], parts["k"][0], parts["q"][1], parts["k"][1])

    return turn.run(taken)
