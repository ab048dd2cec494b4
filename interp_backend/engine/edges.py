"""Estimated effects of every edge between what heads and MLPs write and what others read, from one gradient.

The effect of an edge is estimated as the change of what its sender writes, times the gradient of the metric by what its
receiver reads (Syed et al. 2023, arXiv:2310.10348). The gradient by what a head reads comes from the gradients of its
queries, keys and values, pulled back through the head's own matrix and the norm before it. So all edges into a layer
are one product of matrices, senders by receivers, summed over positions and the residual stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..language.model import LanguageModel
from .backward import Score, differentiated
from .turn import Turn
from .wiring import (
    PARTS,
    Layer,
    Reading,
    mlp_input,
    readings,
    receiver_names,
    sender_names,
    wiring_of,
    writers,
)

NUMBERS_AT_ONCE = 1 << 25  # of what senders write, over as many positions as that makes: 128 MB


@dataclass(frozen=True)
class Prompts:
    """The runs that are differentiated: tokens of one length, and the others as in `gradients`."""

    tokens: Sequence[Sequence[int]]
    read: Sequence[int]
    vocabulary: Sequence[int] | None
    score: Score
    rule: str


def edge_effects(
    turn: Turn,
    prompts: Prompts,
    changes: Sequence[dict[tuple[str, int], Tensor]],
    start: tuple[str, Tensor] | None = None,
) -> list[Tensor]:
    """The estimated effect on the first metric of a change along every edge, [sender, receiver] for each prompt.

    Memory is that of a run with gradients, of one layer's receivers, and of the senders over a part of the positions.

    Args:
        changes: for each prompt and each of `writers` how much its activation changes, [position, ...].
        start: a hook and the activation [prompt, position, ...] that is written there, as in `gradients`.

    Returns:
        NaN where there is no edge.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
        ValueError: as `gradients`, or the model's wiring is not understood.
    """
    wiring, model = wiring_of(turn), turn.model
    names = [model.hook_name(*one) for one in writers(wiring)]
    for at, layer in enumerate(wiring):
        names += [model.hook_name(part, at) for part in ("resid_pre", *PARTS)]
        names += [mlp_input(at)] if layer.mlp is not None else []
    names.append(model.hook_name("resid_post", model.n_layers - 1))
    made = partial(_effects, model, wiring, changes, len(prompts.tokens[0]), max(prompts.read) + 1)
    return differentiated(
        turn,
        prompts.tokens,
        list(dict.fromkeys(names)),
        prompts.read,
        prompts.vocabulary,
        prompts.score,
        prompts.rule,
        start or (model.hook_name("resid_pre", 0), None),
        made,
    )


def _effects(
    model: LanguageModel,
    wiring: Sequence[Layer],
    changes: Sequence[dict[tuple[str, int], Tensor]],
    length: int,
    end: int,
    found: list[dict[str, Tensor]],
    seen: dict[str, Tensor],
) -> list[Tensor]:
    def of(values: dict[str, Tensor], i: int) -> dict[str, Tensor]:
        # Some models show the rows of all prompts as one sequence.
        return {name: one.reshape(len(changes), length, *one.shape[2:])[i] for name, one in values.items()}

    return [_effects_of(model, wiring, changes[i], end, of(found[0], i), of(seen, i)) for i in range(len(changes))]


def _effects_of(
    model: LanguageModel,
    wiring: Sequence[Layer],
    changes: dict[tuple[str, int], Tensor],
    end: int,
    grads: dict[str, Tensor],
    seen: dict[str, Tensor],
) -> Tensor:
    """The effects in one prompt."""
    senders, receivers = len(sender_names(wiring)), len(receiver_names(wiring))
    some = changes["resid_pre", 0]
    dtype = some.dtype if some.dtype == torch.float64 else torch.float32
    scores = some.new_full((senders, receivers), float("nan"), dtype=dtype)
    moved = torch.stack([(one != 0).flatten(1).any(1) for one in changes.values()]).any(0)
    positions = moved[:end].nonzero().flatten()
    for part in positions.split(max(1, NUMBERS_AT_ONCE // (senders * model.d_model))) or [positions]:
        run = _Part(model, wiring, part, grads, seen)
        wrote, whole = run.written(changes).to(dtype), 0
        for reading in readings(wiring):
            received = run.received(reading).to(dtype)
            whole = whole + received.sum(0)
            into = scores[: reading.before, reading.columns]
            into.copy_(into.nan_to_num(0.0) + wrote[: reading.before].flatten(1) @ received.flatten(1).T)
        run.refuse_other_readers(whole)
    return scores


@dataclass(frozen=True)
class _Part:
    """Some positions of a run that was differentiated."""

    model: LanguageModel
    wiring: Sequence[Layer]
    positions: Tensor
    grads: dict[str, Tensor]
    seen: dict[str, Tensor]

    def _of(self, source: dict[str, Tensor], name: str) -> Tensor:
        return source[name][self.positions]

    def _hook(self, source: dict[str, Tensor], activation: str, layer: int) -> Tensor:
        return self._of(source, self.model.hook_name(activation, layer))

    def written(self, changes: dict[tuple[str, int], Tensor]) -> Tensor:
        """The change of what every sender writes, [sender, position, d_model]."""
        made = [changes["resid_pre", 0][self.positions][None]]
        for at, layer in enumerate(self.wiring):
            heads = layer.written(changes["z", at][self.positions])
            if layer.after is not None:
                whole = layer.written(self._hook(self.seen, "z", at)).sum(0) + layer.write_bias
                heads = _pushed(layer.after, whole, heads)
            made.append(heads)
            if layer.mlp is not None:
                made.append(changes["mlp_out", at][self.positions][None])
        return torch.cat(made).detach()

    def received(self, reading: Reading) -> Tensor:
        """The gradients by what some receivers read, [receiver, position, d_model]."""
        if reading.part == "logits":
            return self._hook(self.grads, "resid_post", len(self.wiring) - 1)[None]
        at = reading.layer
        layer, pre = self.wiring[at], self._hook(self.seen, "resid_pre", at)
        if reading.part == "mlp":
            x = pre if layer.parallel else pre + self._attention_out(layer, at)
            return _pulled(layer.mlp_norm, x, self._of(self.grads, mlp_input(at))[None])
        grads = self._hook(self.grads, reading.part, at)
        return _pulled(layer.norm, pre, torch.einsum("the,hde->htd", grads, layer.read[reading.part].to(grads.dtype)))

    def refuse_other_readers(self, whole: Any) -> None:
        """Raise ValueError if the gradients by what all receivers read do not add up to that by the input, which all of
        them read."""
        grad = self._hook(self.grads, "resid_pre", 0)
        half = self._hook(self.seen, "resid_pre", 0).dtype.itemsize < 4
        if (whole - grad).norm() > (0.2 if half else 1e-2) * grad.norm() + 1e-6:
            raise ValueError(
                "The edges of this model are not known, because something beside queries, keys, values, MLPs and "
                "logits reads the residual stream: a gate, for example. Use attribution patching."
            )

    def _attention_out(self, layer: Layer, at: int) -> Tensor:
        with torch.no_grad():
            return layer.attention_out(layer.written(self._hook(self.seen, "z", at)).sum(0))


def _pulled(norm: Any, x: Tensor, grads: Tensor) -> Tensor:
    """Gradients by a norm's input x [position, d_model], from gradients by its output [..., position, d_model]."""
    if norm is None:
        return grads
    x = x.expand_as(grads).detach().requires_grad_()
    (pulled,) = torch.autograd.grad(norm(x), x, grads.to(x.dtype))
    return pulled


def _pushed(norm: Any, x: Tensor, changes: Tensor) -> Tensor:
    """To first order, how much a norm's output at x [position, d_model] changes with its input."""
    x = x.expand_as(changes).detach().requires_grad_()
    out = norm(x)
    along = torch.zeros_like(out, requires_grad=True)
    (pulled,) = torch.autograd.grad(out, x, along, create_graph=True)
    (pushed,) = torch.autograd.grad(pulled, along, changes.to(pulled.dtype))
    return pushed
