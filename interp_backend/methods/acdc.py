"""ACDC: find a circuit by removing edges one after another, from the logits down.

After Conmy et al. 2023 (arXiv:2304.14997).

The search is greedy and sequential: whether an edge goes depends on all that went before it. It is run ahead of its own
decisions: what the next edges will do is guessed, all runs that these guesses lead to are made together, and the
decisions are then taken one after another, up to the first that was guessed wrong. So the circuit is that of a plain
loop, edge for edge, and only the number of runs depends on the guesses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np

from ..common.circuits import ABLATIONS, Ablated, ablated, ablation_value, measured, refuse_no_graph, refuse_other_model
from ..common.method import method
from ..common.over_pairs import naming
from ..common.provenance import provenance
from ..common.signatures import AskedAs, Count, Local, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.circuit_runs import why_not_packed
from ..engine.turn import Turn
from ..engine.wiring import receiver_names, sender_names, wiring_of, writers
from ..language.loading import load_model
from ..language.metrics import METRICS, Measure
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair
from ..results.graph import Graph, edges_between, is_number
from ..results.step import Step, remaining
from .activation_patching import Metrics, readings_of, tokenize_all
from .edge_attribution import mean_of, one_measure

MOST_THRESHOLDS = 100
MOST_RUNS = 256  # that are made together
PASS = 128  # what a pass costs beside its runs, in rows of a run
REMEMBERED = 128  # edges by which the share of wrong guesses is judged
ORDERS = {
    "reverse": ("last first", "the senders of the last layer are tried first, as in the paper's code"),
    "forward": ("first first", "the senders of the first layer are tried first"),
    "random": ("random", "the senders of each receiver in an order of its own, drawn with the seed"),
}


def _own_graph(name: str) -> AskedAs:
    """A graph as a result's parameter: the user's own object, by the argument's name."""
    return AskedAs(dict[str, Any] | None, lambda graph: None if graph is None else {"own": name})


@method
def acdc(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    threshold: float | Sequence[float],
    metric: Metrics = "kl",
    order: Annotated[str, OneOf(ORDERS, "order")] = "reverse",
    ablation: Annotated[str, OneOf(ABLATIONS, "ablation")] = "counterfactual",
    start: Annotated[Graph | None, _own_graph("start")] = None,
    beside: Annotated[Graph | None, _own_graph("beside")] = None,
    at: int | None = None,
    seed: Annotated[int, Count("the seed of everything that is drawn", 0)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[Graph]]:
    """Remove one edge after another, from the logits down, if the metric grows by less than a threshold.

    Takes a run of the clean prompt for each edge and pair, many in one pass, each from the receiver's layer on.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, over which the metric's mean is taken.
        threshold: an edge is removed if the metric gets worse by less than this, in the metric's own unit; or several
            thresholds, each of which gets a circuit of its own.
        metric: one metric, as in `activation_patching`. "kl" is the divergence from the whole model's output; of others
            the loss counts: how far they fall, or rise where less is better.
        order: the order in which the senders of a receiver are tried: the "reverse" of the model's, "forward" or
            "random". Receivers are always taken from the logits down.
        ablation: what removed edges carry, as in `faithfulness`.
        start: a graph of whose circuit the search begins, such as `edge_attribution(...).above(0.01)`; by default all
            edges.
        beside: a graph, such as `edge_attribution`'s, whose largest edges of either sign are run for comparison: as
            many as the circuit of each threshold has. `values_beside` is their metric.
        at, memory: as in `activation_patching`.
        seed: for a random order and for resampled prompts.

    Returns:
        A `Graph` of which the edges that are left are chosen. With one threshold, `scores` are by how much the metric
        got worse when each edge was tried: those of the circuit are at least the threshold, and what was not tried has
        0. With several, a score is the smallest threshold at which the edge is gone; where none removes it, what
        removing it cost at the largest. `at(threshold)` is the circuit of each, and `kept` that of the smallest.
        Decisions that lie within rounding of a threshold may differ from those of another program. Each step has the
        circuit so far, and `provenance["undecided"]` is how many decisions are to be taken.

    Raises:
        ValueError: as in `faithfulness`; or a threshold is no positive number.
    """
    model = load_model(model)
    measure, many, thresholds = one_measure(metric), isinstance(pair, PromptPairs), ascending(threshold)
    _refuse_no_start(start)
    if beside is not None:
        refuse_no_graph(beside, "beside")
    tokenized = tokenize_all(model, pair, [measure])
    readings = readings_of(tokenized, "clean", at, [measure], many)
    value, began = ablation_value(ablation, tokenized, seed), time.perf_counter()
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        for graph in (start, beside):
            if graph is not None:
                refuse_other_model(graph, wiring)
        uses = [(name, value) for name in dict.fromkeys(name for name, _ in writers(wiring))]
        runs = BaseRuns(turn, tokenized, readings, uses, 0)
        pairs = _Pairs(measure, many)
        for i, one in enumerate(tokenized):
            with naming(i, one.pair, many):
                sweep = Sweep(runs, i, 0, memory, began)
                pairs.add(sweep, ablated(sweep, value))
        reason = why_not_packed(turn, pairs.sweeps[0].binding.base)
        result = _empty(sender_names(wiring), receiver_names(wiring), any(layer.parallel for layer in wiring), start)
        result.thresholds, result.values = thresholds, [None] * len(thresholds)
        result.metric_label = _label(measure, thresholds)
        result.baselines = pairs.baselines
        result.provenance = provenance(turn) | {"executor": "hooks" if reason else "packed", "executor_reason": reason}
        yield from _searched(result, pairs, order, seed, began, beside)


def _refuse_no_start(start: Any) -> None:
    """Raise ValueError for anything but None or a graph with edges in its circuit."""
    if start is not None:
        refuse_no_graph(start, "start")
        if start.size == 0:
            raise ValueError("No edge of start is in its circuit, so there is nothing to remove. Choose some edges.")


def ascending(thresholds: Any) -> list[float]:
    """One or several thresholds as a list, ascending.

    Raises:
        ValueError: anything but positive numbers, each once.
    """
    listed = isinstance(thresholds, (list, tuple, range)) or getattr(thresholds, "ndim", 0) == 1
    several: list[Any] = [*thresholds] if listed else [thresholds]
    made = sorted(float(one) for one in several) if all(map(is_number, several)) else []
    if not made or not all(0 < one < math.inf for one in made):
        raise ValueError(
            f"threshold is a number above 0 (at 0, rounding would decide), or a list of them, not {thresholds!r:.60}."
        )
    if len(set(made)) < len(made) or len(made) > MOST_THRESHOLDS:
        raise ValueError(f"Give each threshold once, and at most {MOST_THRESHOLDS}: here are {len(made)}.")
    return made


def _label(measure: Measure, thresholds: list[float]) -> str:
    growth = f"{'loss' if _sign(measure) < 0 else 'growth'} of {measure.label}"
    return growth if len(thresholds) == 1 else f"threshold at which an edge goes, {growth}"


def _sign(measure: Measure) -> int:
    """By what a metric is multiplied so that more of it is worse. Of a user's own function, less is worse."""
    known = METRICS.get(measure.metric) if isinstance(measure.metric, str) else None
    return 1 if known is not None and not known.higher_is_better else -1


def _empty(senders: list[str], receivers: list[str], parallel: bool, start: Graph | None) -> Graph:
    """The result before anything was removed."""
    real = edges_between(senders, receivers, parallel)
    kept = real.astype(np.uint8) if start is None else start.kept.copy()
    scores = np.where(real, np.float32(0), np.float32("nan"))
    return Graph(params={}, senders=senders, receivers=receivers, parallel=parallel, scores=scores, kept=kept)


@dataclass
class _Pairs:
    """All pairs, and the mean of their metric in runs of circuits."""

    measure: Measure
    many: bool
    sweeps: list[Sweep] = field(default_factory=list)
    outside: list[Ablated] = field(default_factory=list)

    def add(self, sweep: Sweep, outside: Ablated) -> None:
        self.sweeps.append(sweep)
        self.outside.append(outside)

    @property
    def baselines(self) -> dict[str, float | None]:
        each = [sweep.empty_measures(())[self.measure.name].baselines for sweep in self.sweeps]
        return {side: mean_of([one[side] for one in each]) for side in ("clean", "corrupt")}

    @property
    def length(self) -> int:
        """How many tokens the longest clean prompt has."""
        return max(len(sweep.binding.base.tokens) for sweep in self.sweeps)

    def means(self, circuits: np.ndarray) -> np.ndarray:
        """The metric in the run of each circuit, [circuit], from their edges [circuit, sender, receiver].

        Raises:
            ValueError: it is not a finite number.
        """
        total = np.zeros(len(circuits))
        for i, (sweep, outside) in enumerate(zip(self.sweeps, self.outside)):
            values = measured(sweep, circuits, outside)
            if not np.isfinite(values).all():
                with naming(i, sweep.tokenized.pair, self.many):
                    raise ValueError(
                        f"The {self.measure.label} is no finite number in the run of a circuit, so no edge can be "
                        "judged by it. Choose another metric."
                    )
            total += values
        return total / len(self.sweeps)


def _searched(
    result: Graph, pairs: _Pairs, order: str, seed: int, began: float, beside: Graph | None
) -> Iterator[Step[Graph]]:
    """The search for each threshold, the largest first: it ends soonest, and what edges cost there is a guess for the
    next one."""
    first, thresholds, edges = result.kept.astype(bool), result.thresholds, _in_order(result, order, seed)
    circuits = np.repeat(result.kept[None], len(thresholds), 0)
    result.circuits = circuits if len(thresholds) > 1 else None
    mean, sign = float(pairs.means(first[None])[0]), _sign(pairs.measure)
    result.baselines["start"] = mean
    result.values_beside = [] if beside is None else [None] * len(thresholds)
    guesses, largest = _Guesses(np.zeros(first.shape), pairs.length), None
    done, total = 0, len(edges) * len(thresholds)

    def step() -> Step[Graph]:
        seconds = time.perf_counter() - began
        result.provenance.update(complete=None not in result.values, seconds=seconds, undecided=total - done)
        return Step(done, total, remaining(seconds, done, total), result)

    yield step()
    for at in reversed(range(len(thresholds))):
        search = _Search(result.reads, edges, thresholds[at], first.copy(), sign * mean, guesses)
        largest = search.growth if largest is None else largest
        while search.done < len(edges):
            tried = search.ahead()
            runs = [one.circuit for one in tried if one.circuit is not None]
            before = search.done
            search.decide(tried, sign * pairs.means(np.stack(runs)) if runs else np.zeros(0))
            done += search.done - before
            circuits[at] = result.kept[...] = search.kept
            result.scores[first] = _scores(largest, first, circuits[at:], thresholds[at:])[first]
            if search.done == len(edges):
                result.values[at] = sign * search.loss
                if beside is not None:
                    largest_beside = beside.top(result.size, pruned=False).kept.astype(bool)
                    result.values_beside[at] = float(pairs.means(largest_beside[None])[0])
            yield step()
        guesses.growth = search.growth.copy()


def _in_order(graph: Graph, order: str, seed: int) -> list[tuple[int, int]]:
    """The circuit's edges, sender and receiver, in the order in which they are tried."""

    def from_above(receiver: int) -> tuple[float, bool, int, int]:
        node = graph.receiver_nodes[receiver]
        layer = math.inf if node.layer is None else node.layer
        return -layer, node.head is not None, "qkv".find(node.part), -(node.head or 0)

    generator, edges = np.random.default_rng(seed), []
    for receiver in sorted(range(len(graph.receivers)), key=from_above):
        senders = np.flatnonzero(graph.kept[:, receiver])
        if order == "random":
            generator.shuffle(senders)
        edges += [(int(sender), receiver) for sender in (senders[::-1] if order == "reverse" else senders)]
    return edges


def _scores(largest: np.ndarray, first: np.ndarray, circuits: np.ndarray, thresholds: list[float]) -> np.ndarray:
    """What an edge cost at the largest threshold; of several, the smallest one at which it is gone, if it is."""
    if len(thresholds) == 1:
        return largest
    gone = first & (circuits == 0)
    return np.where(gone.any(0), np.array(thresholds)[gone.argmax(0)], largest)


class _Tried(NamedTuple):
    """An edge, and the circuit without it that the guesses before it lead to.

    Attributes:
        removed: whether it is guessed that the edge will go.
        circuit: None where nothing reads the receiver's node, so that the edge changes nothing.
    """

    edge: tuple[int, int]
    removed: bool
    circuit: np.ndarray | None


@dataclass
class _Guesses:
    """What edges will do, and how often that was wrong.

    Attributes:
        growth: by how much the loss is guessed to grow without an edge, [sender, receiver].
        length: how many rows a run has: the tokens of a prompt.
    """

    growth: np.ndarray
    length: int
    tried: float = 16.0
    wrong: float = 1.0

    @property
    def runs(self) -> int:
        """How many runs to make together: as many as make a decision cheapest, with those that come to nothing."""
        right = 1 - min(0.9, self.wrong / self.tried)
        sizes = np.arange(1, MOST_RUNS + 1)
        used = (1 - right**sizes) / (1 - right)  # the expected number of decisions up to the first wrong guess
        return int(sizes[np.argmin((PASS / self.length + sizes) / used)])

    def note(self, tried: int, wrong: bool) -> None:
        faded = min(1.0, REMEMBERED / self.tried)
        self.tried, self.wrong = self.tried * faded + tried, self.wrong * faded + wrong


@dataclass
class _Search:
    """The search for one threshold.

    Attributes:
        reads: which receivers belong to which node, as of `Graph`.
        edges: in the order in which they are tried.
        kept: the circuit so far, [sender, receiver].
        loss: that of the circuit so far; more is worse.
        growth: by how much the loss grew when an edge was tried, [sender, receiver].
        done: how many edges are decided.
    """

    reads: np.ndarray
    edges: list[tuple[int, int]]
    threshold: float
    kept: np.ndarray
    loss: float
    guesses: _Guesses
    done: int = 0

    def __post_init__(self) -> None:
        self.growth = np.zeros(self.kept.shape)

    def ahead(self) -> list[_Tried]:
        """The next edges, as many as are worth running together."""
        tried, circuit, runs, most = list[_Tried](), self.kept.copy(), 0, self.guesses.runs
        for edge in self.edges[self.done :]:
            if runs == most:
                break
            without = circuit.copy()
            without[edge] = False
            # All edges into what stands above are decided, so a node that no edge leaves has no effect.
            read = edge[1] == circuit.shape[1] - 1 or circuit[self.reads[:, edge[1]]].any()
            removed = not read or bool(self.guesses.growth[edge] < self.threshold)
            tried.append(_Tried(edge, removed, without if read else None))
            runs += read
            circuit = without if removed else circuit
        return tried

    def decide(self, tried: list[_Tried], losses: np.ndarray) -> None:
        """Take the decisions up to the first that was guessed wrong, from the losses of the circuits that were run."""
        guessed, at, right = self.loss, iter(losses.tolist()), True
        decided = 0
        for one in tried:
            loss = guessed if one.circuit is None else next(at)
            growth = loss - guessed
            if right:
                removed = growth < self.threshold
                self.growth[one.edge], self.done, decided = growth, self.done + 1, decided + (one.circuit is not None)
                if removed:
                    self.kept[one.edge], self.loss = False, loss
                right = removed == one.removed
            elif one.circuit is not None:
                self.guesses.growth[one.edge] = growth  # measured beside a wrong guess, but better than none
            guessed = loss if one.removed else guessed
        self.guesses.note(decided, not right)
