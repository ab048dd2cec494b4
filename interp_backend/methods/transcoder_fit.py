"""How well transcoders stand in for a model's MLPs: sparsity, explained variance, and the loss with MLPs replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from ..common.method import method
from ..common.signatures import Local
from ..engine.edits import Edit
from ..engine.executor import run_edited
from ..engine.transcoded import read_transcoded, replaced_logits, zeroed_logits
from ..engine.turn import Turn
from ..language.loading import load_model
from ..language.transcoders import TranscoderFit, Transcoders
from ..results.step import Step, remaining
from .train_tuned_lens import prompts_of

NO_EDITS: list[Edit] = []


@method
def transcoder_fit(
    model: Any, transcoders: Annotated[Transcoders, Local()], texts: Sequence[str]
) -> Iterator[Step[TranscoderFit]]:
    """Measure how well transcoders stand in for a model's MLPs, on your own texts.

    Args:
        model: a model that `load_model` returns or accepts.
        transcoders: transcoders of this model, of all layers or of some.
        texts: texts that they were not trained on; those longer than the model's context are truncated.

    Returns:
        A `TranscoderFit`. The first position of each text counts for the loss alone: many models write enormous vectors
        there, which are easily learned and would make up most of the variance.

    Raises:
        ValueError: there are no texts, or the transcoders are not for this model.
    """
    model = load_model(model)
    if transcoders.writes != "mlp_out" or transcoders.reads == transcoders.writes:
        raise ValueError(f"{transcoders.name} are sparse autoencoders, which replace no MLP. Give transcoders.")
    transcoders.check(model, whole=False)
    prompts = prompts_of(model, texts)
    sums = _Sums(transcoders)
    began = time.perf_counter()
    with Turn(model) as turn:
        for done, ids in enumerate(prompts, 1):
            sums.add(turn, ids)
            left = remaining(time.perf_counter() - began, done, len(prompts))
            yield Step(done, len(prompts), left, sums.fit())


def fit_on(turn: Turn, transcoders: Transcoders, prompts: list[list[int]]) -> TranscoderFit:
    """How well transcoders fit on prompts of at least two tokens."""
    sums = _Sums(transcoders)
    for ids in prompts:
        sums.add(turn, ids)
    return sums.fit()


class _Sums:
    """Sums over the positions so far."""

    def __init__(self, transcoders: Transcoders):
        self.transcoders = transcoders
        self.active = dict.fromkeys(transcoders.layers, 0)
        self.ever = {layer: torch.zeros(transcoders.n_features(layer)).bool() for layer in transcoders.layers}
        self.moments = {layer: torch.zeros(2, transcoders.d_model).double() for layer in transcoders.written}
        self.missed = dict.fromkeys(transcoders.written, 0.0)
        self.losses = torch.zeros(3).double()
        self.tokens = 0

    def add(self, turn: Turn, ids: list[int]) -> None:
        transcoders = self.transcoders
        [(inputs, outputs)] = read_transcoded(turn, [ids], transcoders)
        active = {layer: transcoders.encode(layer, inputs[layer]) for layer in transcoders.layers}
        for layer, found in active.items():
            counted = found.positions > 0
            self.active[layer] += int(counted.sum())
            self.ever[layer][found.features[counted].cpu()] = True
        written = transcoders.reconstruct(inputs, active)
        for layer, whole in outputs.items():
            there = whole - whole.mean(-1, keepdim=True) if transcoders.centred else whole
            self.missed[layer] += float((there - written[layer])[1:].double().pow(2).sum())
            counted = there[1:].double().cpu()
            self.moments[layer] += torch.stack([counted.sum(0), counted.pow(2).sum(0)])
        whole, replaced = run_edited(turn, ids, NO_EDITS), replaced_logits(turn, ids, transcoders)
        zeroed = zeroed_logits(turn, ids, transcoders.written)
        self.losses += torch.stack([_loss(logits, ids) for logits in (whole, replaced, zeroed)])
        self.tokens += len(ids) - 1

    def fit(self) -> TranscoderFit:
        explained = {}
        for layer, (total, squares) in self.moments.items():
            variance = float((squares - total.pow(2) / self.tokens).sum())
            explained[layer] = 1 - self.missed[layer] / max(variance, 1e-30)
        loss, replaced, zeroed = (self.losses / self.tokens).tolist()
        return TranscoderFit(
            l0={layer: count / self.tokens for layer, count in self.active.items()},
            explained=explained,
            dead={layer: int((~ever).sum()) for layer, ever in self.ever.items()},
            loss=loss,
            replaced=replaced,
            zeroed=zeroed,
            tokens=self.tokens,
        )


def _loss(logits: Tensor, ids: list[int]) -> Tensor:
    """The sum of the losses of all tokens except the first, in nats."""
    targets = torch.tensor(ids[1:], device=logits.device)
    return torch.nn.functional.cross_entropy(logits[:-1].float(), targets, reduction="sum").double().cpu()
