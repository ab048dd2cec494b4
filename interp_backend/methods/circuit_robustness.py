"""The faithfulness of one circuit under every ablation, since the number depends on it.

After Miller, Chughtai and Saunders 2024 (arXiv:2407.08734).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np

from ..common.circuits import (
    ABLATIONS,
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
from ..common.signatures import AskedAs, Count, Local
from ..common.sweep import BaseRuns, Sweep
from ..engine.circuit_runs import why_not_packed
from ..engine.turn import Turn
from ..engine.wiring import wiring_of, writers
from ..language.interventions import FromOther
from ..language.loading import load_model
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair
from ..results.codec import finite_or_none
from ..results.graph import Graph
from ..results.metric_values import PairValues
from ..results.robustness import Robustness
from ..results.step import Step, remaining
from .activation_patching import Metrics, readings_of, tokenize_all
from .edge_attribution import one_measure

T = TypeVar("T")


@method
def circuit_robustness(
    model: Any,
    pair: PromptPair | PromptPairs,
    circuit: Annotated[Graph, AskedAs(dict[str, Any], lambda _: {"own": "circuit"})],
    *,
    metric: Metrics = "logit_diff",
    at: int | None = None,
    seed: Annotated[int, Count("the seed of everything that is drawn", 0)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[Robustness]]:
    """Run one circuit under every ablation, as edges and as nodes, everywhere and at some positions alone.

    Takes five runs of the clean prompt for each pair, ablation and choice of positions, together in one pass.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`.
        circuit: a graph of which some edges are chosen, as by `Graph.greedy`.
        metric: one metric, as in `activation_patching`.
        at, memory: as in `activation_patching`.
        seed: for resampled prompts.

    Returns:
        A `Robustness`: f of the circuit and of everything but it, [ablation, level, positions], for what `faithfulness`
        calls ablation, level and positions. What can't be done with these prompts is NaN, and `reasons` says why: to
        ablate with a mean or to resample takes several clean prompts. Each step has the result so far.

    Raises:
        ValueError: as in `activation_patching`; or all edges of the graph are chosen, or none; or the graph is not of
            this model; or single edges of the model can't be run.
    """
    model = load_model(model)
    measure, many = one_measure(metric), isinstance(pair, PromptPairs)
    tokenized = tokenize_all(model, pair, [measure])
    readings = readings_of(tokenized, "clean", at, [measure], many)
    _refuse_no_circuit(circuit)
    began = time.perf_counter()
    edges = np.stack([*_circuits(circuit)])
    result = _empty(circuit, [one.pair.clean for one in tokenized], measure.label)
    made = {name: _tried(result, name, partial(ablation_value, name, tokenized, seed)) for name in ABLATIONS}
    values = {name: value for name, value in made.items() if value is not None}
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        refuse_other_model(circuit, wiring)
        uses = [(name, FromOther()) for name in dict.fromkeys(name for name, _ in writers(wiring))]
        runs = BaseRuns(turn, tokenized, readings, uses, 0)
        result.provenance = provenance(turn)
        done, total = 0, len(tokenized) * len(values) * len(POSITIONS)
        for i, one in enumerate(tokenized):
            with naming(i, one.pair, many):
                sweep = Sweep(runs, i, 0, memory, began)
                reason = why_not_packed(turn, sweep.binding.base)
            result.provenance.update(executor="hooks" if reason else "packed", executor_reason=reason)
            clean = sweep.empty_measures(())[measure.name].baselines["clean"]
            places = {
                name: _tried(result, name, partial(ablated_at, sweep, name), naming(i, one.pair, many))
                for name in POSITIONS
            }
            for ablation, value in values.items():
                outside = _tried(result, ablation, partial(ablated, sweep, value), naming(i, one.pair, many))
                for name, place in places.items():
                    if outside is not None and place is not None:
                        found = measured(sweep, edges, outside.only(place))
                        into = result.values[ablation][name]
                        into.values[i] = found[1:].reshape(into.values.shape[1:])
                        into.clean[i], into.corrupt[i] = clean, finite_or_none(float(found[0]))
                    done += 1
                    seconds = time.perf_counter() - began
                    result.provenance.update(complete=done == total, seconds=seconds)
                    yield Step(done, total, remaining(seconds, done, total), result)


def _refuse_no_circuit(circuit: Any) -> None:
    refuse_no_graph(circuit)
    if circuit.size in (0, circuit.edges):
        which = "No edge" if circuit.size == 0 else "Every edge"
        raise ValueError(
            f"{which} of this graph is in its circuit, so there is nothing to compare. Choose some, for example with "
            "circuit.greedy(100)."
        )


def _circuits(circuit: Graph) -> Iterator[np.ndarray]:
    """The edges of nothing, and for each level of the circuit and of everything but it, [sender, receiver] each."""
    yield np.zeros_like(circuit.real)
    for level in LEVELS:
        kept = parts_kept(circuit, level)
        yield edges_of(kept, circuit, level)
        yield edges_of(every_part(circuit, level) & ~kept, circuit, level)


def _empty(circuit: Graph, labels: list[str], metric_label: str) -> Robustness:
    """The result before anything was run."""

    def unknown() -> PairValues:
        values = np.full((len(labels), len(LEVELS), 2), np.nan, np.float32)
        clean, corrupt = ([None] * len(labels) for _ in range(2))
        return PairValues(labels=labels, values=values, clean=[*clean], corrupt=[*corrupt], base="corrupt")

    def count(of: Callable[[Graph, str], np.ndarray]) -> np.ndarray:
        return np.array([of(circuit, level).sum() for level in LEVELS], np.int32)

    return Robustness(
        params={},
        ablations=list(ABLATIONS),
        levels=list(LEVELS),
        positions=list(POSITIONS),
        values={ablation: {name: unknown() for name in POSITIONS} for ablation in ABLATIONS},
        counts=count(parts_kept),
        totals=count(every_part),
        reasons={},
        metric_label=metric_label,
    )


def _tried(
    result: Robustness, name: str, found: Callable[[], T], named: AbstractContextManager[None] | None = None
) -> T | None:
    """What a function gives. Where it can't, the result says why, and leaves out this ablation or choice of positions
    in all pairs, since a mean over fewer of them would be compared with others."""
    if name in result.reasons:
        return None
    try:
        with named or nullcontext():
            return found()
    except ValueError as problem:
        result.reasons[name] = str(problem)
        for ablation, some in result.values.items():
            for positions, one in some.items():
                if name in (ablation, positions):
                    one.values[...] = np.nan
                    one.clean[:] = one.corrupt[:] = [None] * len(one.labels)
        return None
