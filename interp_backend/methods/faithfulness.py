"""Faithfulness: how much of what a model does its circuits do, when everything else is ablated.

Sizes, curves and the two areas are those of the MIB benchmark (Mueller et al. 2025, arXiv:2504.13151); circuits are run
exactly, edge by edge (Hanna et al. 2024, arXiv:2403.17806).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from ..common.circuits import (
    ABLATIONS,
    ALL,
    LEVELS,
    POSITIONS,
    ablated,
    ablated_at,
    ablation_value,
    edges_of,
    every_part,
    measured,
    parts_kept,
    refuse_no_graph,
    refuse_other_model,
)
from ..common.method import method
from ..common.over_pairs import naming
from ..common.provenance import provenance
from ..common.signatures import AskedAs, Count, Local, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.circuit_runs import why_not_packed
from ..engine.turn import Turn
from ..engine.wiring import wiring_of, writers
from ..language.loading import load_model
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair
from ..results.codec import finite_or_none
from ..results.faithfulness import ABSOLUTE, COMPLEMENT, RANDOM, SIGNED, Faithfulness
from ..results.graph import Graph
from ..results.metric_values import PairValues
from ..results.step import Step, remaining
from .activation_patching import Metrics, readings_of, tokenize_all
from .edge_attribution import one_measure

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
RESAMPLES = 20  # of the pairs, for the Jaccard index


@method
def faithfulness(
    model: Any,
    pair: PromptPair | PromptPairs,
    circuit: Annotated[Graph, AskedAs(dict[str, Any], lambda _: {"own": "circuit"})],
    *,
    ablation: Annotated[str, OneOf(ABLATIONS, "ablation")] = "counterfactual",
    level: Annotated[str, OneOf(LEVELS, "level")] = "edge",
    positions: Annotated[str, OneOf(POSITIONS, "choice of positions")] = ALL,
    metric: Metrics = "logit_diff",
    sizes: Sequence[float] = SIZES,
    greedy: bool = False,
    random_circuits: Annotated[int, Count("how many random circuits there are of each size", 0, 100)] = 3,
    at: int | None = None,
    seed: Annotated[int, Count("the seed of everything that is drawn", 0)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[Faithfulness]]:
    """Run circuits of several sizes, everything outside of them ablated, and compare them with the whole model.

    Takes a run of the clean prompt for each circuit and pair, many in one pass.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`.
        circuit: a graph with scores, as of `edge_attribution`. If some of its edges are chosen, that circuit and all
            other edges are run too.
        ablation: what the edges outside a circuit carry: what the sender writes in the run of the corrupt prompt
            ("counterfactual"), its mean over the data set's clean prompts ("mean"), nothing ("zero"), or what it writes
            in the run of another clean prompt ("resample").
        level: whether circuits are made of edges, or of nodes, each with the sum of the scores of its outgoing edges.
        positions: where edges outside of a circuit are ablated: at "all" positions, at those whose tokens are
            "differing" between the two prompts, or at the "last" one, where the metric is read. Elsewhere all
            edges are in the circuit.
        metric: one metric, as in `activation_patching`.
        sizes: the circuits' sizes, as parts of all edges or nodes, ascending.
        greedy: grow circuits of edges from the logits; by default they have the edges with the largest scores. Both
            are without dangling nodes.
        random_circuits: how many circuits with random scores are run at each size, as a control.
        at, memory: as in `activation_patching`.
        seed: for random circuits, resampled prompts and resampled pairs.

    Returns:
        A `Faithfulness`: f of each circuit over pairs, with the areas `cpr` and `cmd` and their intervals.

    Raises:
        ValueError: as in `activation_patching`; or the graph is not of this model; or there is no data set to take a
            mean of or to draw from; or single edges of the model can't be run.
    """
    model = load_model(model)
    measure, many = one_measure(metric), isinstance(pair, PromptPairs)
    tokenized = tokenize_all(model, pair, [measure])
    readings = readings_of(tokenized, "clean", at, [measure], many)
    value, began = ablation_value(ablation, tokenized, seed), time.perf_counter()
    plan = Plan.make(circuit, level, _sizes(sizes), greedy, random_circuits, seed)
    found: list[np.ndarray] = []
    clean: list[float | None] = []
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        refuse_other_model(circuit, wiring)
        uses = [(name, value) for name in dict.fromkeys(name for name, _ in writers(wiring))]
        runs = BaseRuns(turn, tokenized, readings, uses, 0)
        sweep: Any = None
        for i, one in enumerate(tokenized):
            with naming(i, one.pair, many):
                sweep = Sweep(runs, i, 0, memory, began)
                outside = ablated(sweep, value).only(ablated_at(sweep, positions))
                edges, which = plan.masks
                found.append(measured(sweep, edges, outside)[which])
                clean.append(sweep.empty_measures(())[measure.name].baselines["clean"])
            if i + 1 < len(tokenized):
                left = remaining(time.perf_counter() - began, i + 1, len(tokenized))
                yield Step(i + 1, len(tokenized), left)
        result = plan.result(np.stack(found), clean, [one.pair.clean for one in tokenized], measure.label)
        reason = why_not_packed(turn, sweep.binding.base)
        result.provenance = provenance(turn) | {"executor": "hooks" if reason else "packed", "executor_reason": reason}
    result.provenance.update(complete=True, seconds=time.perf_counter() - began)
    yield Step(len(tokenized), len(tokenized), 0.0, result)


def _sizes(sizes: Any) -> list[float]:
    try:
        made = [float(size) for size in sizes]
    except (TypeError, ValueError):
        made = []
    if len(made) < 2 or sorted(set(made)) != made or not 0 < made[0] <= made[-1] <= 1:
        raise ValueError(f"sizes are two or more parts of the model, from 0 to 1 and ascending, not {sizes!r:.60}.")
    return made


@dataclass(frozen=True)
class Plan:
    """The circuits of a call.

    Attributes:
        curves: the names of the rows of circuits.
        inside: which edges [sender, receiver] or nodes [sender] each circuit has: none; each curve at each size; and,
            if some were chosen, the graph's own circuit and all others.
    """

    graph: Graph
    level: str
    sizes: list[float]
    curves: list[str]
    inside: np.ndarray
    greedy: bool
    seed: int

    @classmethod
    def make(cls, graph: Any, level: str, sizes: list[float], greedy: bool, random_circuits: int, seed: int) -> Plan:
        refuse_no_graph(graph)
        if greedy and level == "node":
            raise ValueError("Circuits grow greedily by edges. Leave greedy out, or set level to edge.")
        every = every_part(graph, level)
        absolute = [_chosen(graph, level, size, greedy, False) for size in sizes]
        rows = {
            SIGNED: [_chosen(graph, level, size, greedy, True) for size in sizes],
            ABSOLUTE: absolute,
            COMPLEMENT: [every & ~one for one in absolute],
        }
        generator = np.random.default_rng(seed)
        for i in range(random_circuits):
            noise = generator.normal(size=graph.scores.shape).astype(np.float32)
            other = graph.model_copy(update={"scores": np.where(graph.real, noise, np.float32("nan"))})
            rows[f"{RANDOM} {i}"] = [_chosen(other, level, size, greedy, False) for size in sizes]
        inside = [np.zeros_like(every), *(one for row in rows.values() for one in row)]
        if graph.size < graph.edges:
            own = parts_kept(graph, level)
            inside += [own, every & ~own]
        return cls(graph, level, sizes, list(rows), np.stack(inside), greedy, seed)

    @cached_property
    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """The different circuits by their edges, [circuit, sender, receiver], and for each of `inside` which it is."""
        flat = self.inside.reshape(len(self.inside), -1)
        different, which = np.unique(flat, axis=0, return_inverse=True)
        different = different.reshape(-1, *self.inside.shape[1:])
        return edges_of(different, self.graph, self.level), which.ravel()

    def result(self, found: np.ndarray, clean: list[float | None], names: list[str], label: str) -> Faithfulness:
        """The result, from the metric of each of `inside` in each pair, [pair, circuit], and in the whole model."""
        shape = (len(self.curves), len(self.sizes))
        corrupt = [finite_or_none(float(value)) for value in found[:, 0]]
        own = 1 + shape[0] * shape[1]

        def of(values: np.ndarray) -> PairValues:
            return PairValues(labels=names, values=values, clean=clean, corrupt=corrupt, base="corrupt")

        counts = self.inside.reshape(len(self.inside), -1).sum(1).astype(np.int32)
        return Faithfulness(
            params={},
            sizes=self.sizes,
            curves=self.curves,
            counts=counts[1:own].reshape(shape),
            total=int(every_part(self.graph, self.level).sum()),
            level="node" if self.level == "node" else "edge",
            values=of(found[:, 1:own].reshape(-1, *shape)),
            chosen=of(found[:, own:]) if found.shape[1] > own else None,
            chosen_count=int(counts[own]) if found.shape[1] > own else 0,
            jaccard=self._jaccard(),
            metric_label=label,
        )

    def _jaccard(self) -> list[float] | None:
        """The mean overlap of the circuits of largest scores with those of resampled pairs, for each size."""
        each = self.graph.by_pair
        if each is None or len(each) < 2 or self.greedy:
            return None  # to grow a circuit anew for each resample would take longer than all runs
        generator, count, overlaps = np.random.default_rng(self.seed), len(each), []
        own = [_chosen(self.graph, self.level, size, False, False) for size in self.sizes]
        for _ in range(RESAMPLES):
            mean = each[generator.integers(count, size=count)].mean(0)
            drawn = self.graph.model_copy(update={"scores": mean})
            other = [_chosen(drawn, self.level, size, False, False) for size in self.sizes]
            overlaps.append(
                [(a & b).sum() / max(1, (a | b).sum()) if (a | b).any() else 1.0 for a, b in zip(own, other)]
            )
        return [float(value) for value in np.mean(overlaps, 0)]


def _chosen(graph: Graph, level: str, size: float, greedy: bool, signed: bool) -> np.ndarray:
    """The edges or nodes of the circuit of one size."""
    if level == "edge":
        count = int(size * graph.edges)
        return (graph.greedy(count, signed=signed) if greedy else graph.top(count, signed=signed)).kept.astype(bool)
    scores = np.nansum(graph.scores, 1)
    inside = np.zeros(len(scores), bool)
    inside[np.argsort(-(scores if signed else np.abs(scores)), kind="stable")[: int(size * len(scores))]] = True
    return inside
