"""Runs of circuits in which everything else is ablated: with what, of which parts, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.circuit_runs import Circuits, run_circuits, what_senders_write
from ..engine.wiring import Layer, receiver_names, sender_names, wiring_of, writers
from ..language.interventions import FromOther, Mean, Resample, Value, Zero
from ..language.prompts import TokenizedPair
from ..results.graph import Graph
from .sweep import Sweep

ABLATIONS = {
    "counterfactual": ("counterfactual", "what is not in the circuit comes from the corrupt prompt"),
    "mean": ("mean", "from the mean over the clean prompts of the data set"),
    "zero": ("zero", "from zeros"),
    "resample": ("resample", "from another clean prompt of the data set, drawn at random"),
}
LEVELS = {
    "edge": ("edge", "each edge is in the circuit or not"),
    "node": ("node", "what a node writes is in the circuit for all that read it, or for none"),
}
ALL, DIFFERING, LAST = "all", "differing", "last"
POSITIONS = {
    ALL: ("all", "at every position"),
    DIFFERING: ("differing", "where the tokens of the two prompts differ"),
    LAST: ("last", "where the metric is read"),
}


def ablation_value(ablation: str, tokenized: Sequence[TokenizedPair], seed: int) -> Value:
    """What everything outside of a circuit is ablated with.

    Raises:
        ValueError: there is no data set to take a mean of or to draw from.
    """
    prompts = tuple(dict.fromkeys(one.pair.clean for one in tokenized))
    if ablation in ("mean", "resample") and len(prompts) < 2:
        raise ValueError(
            f"{ablation.capitalize()} ablation needs several clean prompts, and there is one. Give PromptPairs."
        )
    if ablation == "mean":
        return Mean(prompts=prompts, by_position=len({len(one.ids["clean"]) for one in tokenized}) == 1)
    if ablation == "resample":
        return Resample(prompts=prompts, seed=seed)
    return Zero() if ablation == "zero" else FromOther()


def refuse_no_graph(circuit: Any, name: str = "circuit") -> None:
    """Raise ValueError for anything that is not a graph."""
    if not isinstance(circuit, Graph):
        raise ValueError(f"{name} is a Graph with scores, as edge_attribution returns, not {circuit!r:.60}.")


def refuse_other_model(circuit: Graph, wiring: Sequence[Layer]) -> None:
    """Raise ValueError for a graph that is not of the model with this wiring."""
    senders, receivers = sender_names(wiring), receiver_names(wiring)
    if circuit.senders != senders or circuit.receivers != receivers:
        key_heads = len([name for name in receivers if name.startswith("a0.") and name.endswith("<k>")])
        raise ValueError(
            f"This graph is of another model: it has {len(circuit.senders)} senders and {len(circuit.receivers)} "
            f"receivers and this model {len(senders)} and {len(receivers)}. A file of MIB is read for a model whose "
            f"heads share keys by Graph.from_mib(file, key_heads={key_heads})."
        )
    if circuit.parallel != any(layer.parallel for layer in wiring):
        one, other = ("one after the other", "side by side")[:: -1 if circuit.parallel else 1]
        raise ValueError(
            f"This graph is of another model: its layers run attention and MLP {one}, and this model's {other}."
        )


def every_part(graph: Graph, level: str) -> np.ndarray:
    """Which parts of a model there are: edges [sender, receiver], or nodes [sender]."""
    return graph.real if level == "edge" else np.ones(len(graph.senders), bool)


def parts_kept(graph: Graph, level: str) -> np.ndarray:
    """Which edges [sender, receiver] or nodes [sender] are in a graph's own circuit."""
    return graph.kept.astype(bool) if level == "edge" else np.asarray(graph.kept.any(1))


def edges_of(parts: np.ndarray, graph: Graph, level: str) -> np.ndarray:
    """The edges of circuits, [..., sender, receiver], from their edges or nodes."""
    return parts if level == "edge" else parts[..., None] & graph.real


@dataclass(frozen=True, eq=False)
class Ablated:
    """What edges outside of a circuit carry.

    Attributes:
        change: by how much it differs from what every sender writes in the patched prompt's own run, [sender, position,
            d_model].
        is_run: whether it is a run of the model.
        at: the positions at which they carry it; at others they carry what is written in the very run. None is all.
    """

    change: Tensor
    is_run: bool
    at: Sequence[int] | None = None

    def only(self, positions: Sequence[int]) -> Ablated:
        """The same at some positions alone."""
        if len(positions) == self.change.shape[1]:
            return self
        change = torch.zeros_like(self.change)
        change[:, positions] = self.change[:, positions]
        return Ablated(change, False, positions)


def ablated(sweep: Sweep, value: Value) -> Ablated:
    """What the edges outside of a pair's circuits carry, at every position.

    Raises:
        ValueError: the data set has nothing to ablate this pair with.
    """
    wiring = wiring_of(sweep.binding.turn)
    changes = {one: sweep.binding.change(*one, value)[1] for one in writers(wiring)}
    is_run = isinstance(value, Resample) or (isinstance(value, FromOther) and sweep.tokenized.aligned_one_to_one)
    return Ablated(what_senders_write(wiring, changes), is_run)


def ablated_at(sweep: Sweep, positions: str) -> list[int]:
    """The positions that a key of `POSITIONS` stands for in a pair.

    Raises:
        ValueError: there are none.
    """
    if positions == LAST:
        return sweep.readings.base[0]
    tokens, others = sweep.binding.base.tokens.tolist(), sweep.binding.other.tokens.tolist()
    if positions == ALL:
        return list(range(len(tokens)))
    there = [None if at is None else others[at] for at in sweep.binding.counterparts]
    differing = [at for at, token in enumerate(tokens) if token != there[at]]
    if not differing:
        raise ValueError(
            "The corrupt prompt has every token of the clean one and others, so at no position of the clean one do "
            "they differ. Ablate at all positions."
        )
    return differing


def measured(sweep: Sweep, edges: np.ndarray, outside: Ablated) -> np.ndarray:
    """A pair's first metric in the run of each circuit, [circuit], from their edges [circuit, sender, receiver]."""
    binding = sweep.binding
    live = torch.from_numpy(edges).to(binding.model.device)
    values = np.empty(len(edges), np.float32)
    for one in run_circuits(
        binding.turn,
        binding.base,
        Circuits(live, outside.change, outside.is_run, fixed_at=outside.at),
        read=sweep.readings.base_positions,
        vocabulary=sweep.vocabulary,
        memory=sweep.memory,
    ):
        values[one.runs] = sweep.measure(one.logits)[0].numpy()
    return values
