"""One sweep for each pair of a data set, and their mean."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from ..engine.watch import Cancelled
from ..language.metrics import baseline_warnings
from ..language.prompts import PromptPair
from ..results.effect_map import COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED, EffectMap
from ..results.metric_values import MetricValues, PairValues, finite_mean
from ..results.step import Step, remaining

SECONDS_BETWEEN = 0.25  # updates of a mean within its first pair
FROM_END = ("position", "source")  # axes that pairs of different lengths share from their ends


class PairSweep(Protocol):
    """The sweep of one pair."""

    def steps(self) -> Iterator[Step[EffectMap]]: ...


def steps_over_pairs(
    sweeps: Sequence[PairSweep], tokens: Sequence[list[str]], pairs: Sequence[PromptPair]
) -> Iterator[Step[EffectMap]]:
    """Steps of a result that is the mean over pairs: when the axes are known, after each pair, and within each pair.

    While the first pair is run, the result fills with its cells; those of a later pair are added when it is finished.

    Args:
        sweeps: one for each pair.
        tokens: the token texts of each pair's patched prompt. Prompts of different lengths are aligned at their ends,
            so position -1 is the last position of every prompt.
        pairs: the pairs.
    """
    began = started = taken = time.perf_counter()
    mean: PairMean | None = None
    for i, sweep in enumerate(sweeps):
        step: Step[EffectMap] | None = None
        with naming(i, pairs[i]):
            try:
                for step in sweep.steps():
                    assert step.result is not None
                    if mean is None:
                        mean = PairMean(step.result, tokens, pairs)
                        yield mean.step([], 0, began, None)
                        started = time.perf_counter()
                    elif step.cells:
                        now, within = time.perf_counter(), step.done / max(1, step.total)
                        fills = i == 0 and now - taken > SECONDS_BETWEEN
                        if fills:
                            taken = now
                            mean.take(i, step.result)
                        left = remaining(now - started, i + within, len(pairs))
                        yield mean.step(list(step.cells) if fills else [], i, began, left, within)
            except (GeneratorExit, Cancelled):
                # Cells of the first pair are kept. With a later pair, some cells would be means of one pair more.
                if i == 0 and mean is not None and step is not None and step.done and step.result is not None:
                    mean.take(i, step.result)
                raise
        assert step is not None and step.result is not None and mean is not None
        mean.take(i, step.result)
        left = remaining(time.perf_counter() - started, i + 1, len(pairs))
        yield mean.step(list(range(mean.result.values.size)), i + 1, began, left)


@contextmanager
def naming(i: int, pair: PromptPair, many: bool = True) -> Iterator[None]:
    """Name the pair of a data set that raised an error."""
    try:
        yield
    except ValueError as problem:
        if type(problem) is not ValueError or not many:  # a metric's own failure is not the pair's
            raise
        raise ValueError(f"Pair {i} (“{pair.clean}”): {problem}") from None


def _names(pairs: Sequence[PromptPair]) -> list[str]:
    """Each pair's clean prompt, followed by its corrupt prompt if several pairs share the clean one."""
    often = Counter(pair.clean for pair in pairs)
    return [pair.clean if often[pair.clean] == 1 else f"{pair.clean} / {pair.corrupt}" for pair in pairs]


def _token_of_all(tokens: Sequence[list[str]], place: Any) -> str:
    """The token at a position if all prompts have the same token there, else the position's number."""
    texts = {prompt[place] for prompt in tokens if -len(prompt) <= place < len(prompt)}
    return texts.pop() if len(texts) == 1 else f"[{place}]".replace("-", "\u2212")


class PairMean:
    """The mean over all pairs, and the position of each pair's cells in it.

    Args:
        first: the map of one pair, which may be empty: its axes, cells, metrics and parameters.
        tokens, every_pair: as in `steps_over_pairs`.
    """

    def __init__(self, first: EffectMap, tokens: Sequence[list[str]], every_pair: Sequence[PromptPair]):
        labels = _names(every_pair)
        longest = max(map(len, tokens))
        mixed = len({len(texts) for texts in tokens}) > 1
        chosen = {axis: first.params.get(f"{axis}s") for axis in first.axes if axis in FROM_END and mixed}
        self._spread = {axis for axis, asked in chosen.items() if asked is None}
        places, names = dict(first.places), dict(first.labels)
        for axis, asked in chosen.items():
            if asked is not None:  # as requested: -1 is a different position in a prompt of another length
                places[axis] = list(asked.values() if isinstance(asked, dict) else asked)
        for axis in self._spread:
            places[axis] = list(range(-longest, 0))
        for axis in places.keys() & set(FROM_END):
            if not isinstance(first.params.get(f"{axis}s"), dict):
                names[axis] = [_token_of_all(tokens, place) for place in places[axis]]
        shape = tuple(len(names[axis]) for axis in first.axes)
        side = "corrupt" if first.params["direction"] == "denoise" else "clean"
        measures = {name: self._empty(measured, shape, labels, side) for name, measured in first.measures.items()}
        self._metric = first.params["metric"]
        shown = measures[self._metric]
        self._states = np.full((len(labels), *shape), NOT_COMPUTED, np.uint8)
        self._warnings, self._executors, self._reasons = dict[str, None](), dict[str, None](), dict[str, None]()
        self.result = first.model_copy(
            update={
                "places": places,
                "labels": names,
                "values": shown.values,
                "state": np.full(shape, NOT_COMPUTED, np.uint8),
                "baselines": shown.baselines,
                "measures": measures,
                "pairs": shown.pairs,
                "counterparts": None,
                "unpatched": None,
                "top": None,
                "top_runs": {},
                "tokens": {},
                "provenance": {**first.provenance, "warnings": []},
            }
        )

    @staticmethod
    def _empty(measured: MetricValues, shape: tuple[int, ...], labels: list[str], side: Any) -> MetricValues:
        nothing = np.full((len(labels), *shape), np.nan, np.float32)
        none: list[float | None] = [None] * len(labels)
        pairs = PairValues(labels=labels, values=nothing, clean=none, corrupt=list(none), base=side)
        empty = np.full(shape, np.nan, np.float32)
        return MetricValues(
            label=measured.label, values=empty, baselines=dict.fromkeys(("clean", "corrupt")), pairs=pairs
        )

    def take(self, i: int, result: EffectMap) -> None:
        """Add one pair's sweep, and update the means, which are over the pairs up to this one."""
        self.put(i, result)
        self.update(i + 1)

    def put(self, i: int, result: EffectMap) -> None:
        """Add one pair's sweep; the means stay as they are until `update`."""
        at = self._part(result.values.shape)
        self._states[(i, *at)] = result.state
        missing = np.ones(self.result.values.shape, bool)
        missing[at] = False
        self._states[i][missing] = NO_COUNTERPART
        for name, measured in result.measures.items():
            pairs = self.result.measures[name].pairs
            assert pairs is not None
            pairs.values[(i, *at)] = measured.values
            pairs.clean[i], pairs.corrupt[i] = measured.baselines["clean"], measured.baselines["corrupt"]
        if result.unpatched is not None:
            if self.result.unpatched is None:
                self.result.unpatched = np.zeros(self.result.values.shape, np.int32)
            self.result.unpatched[at] = np.maximum(self.result.unpatched[at], result.unpatched)
        # Warnings about the scale are those of the mean: the warnings of single pairs would hide them.
        own = result.provenance
        self._warnings |= dict.fromkeys(
            warning for warning in own["warnings"] if warning not in result.measures[self._metric].warnings
        )
        self._executors |= dict.fromkeys([own["executor"]])
        self._reasons |= dict.fromkeys([own["executor_reason"]] if own["executor_reason"] else [])

    def update(self, done: int) -> None:
        """Make the means those over the first `done` pairs."""
        for name, measured in self.result.measures.items():
            assert measured.pairs is not None
            measured.values[...] = finite_mean(measured.pairs.values[:done])
            for side in ("clean", "corrupt"):
                finite = [value for value in getattr(measured.pairs, side)[:done] if value is not None]
                measured.baselines[side] = float(np.mean(finite)) if finite else None
            measured.warnings = baseline_warnings(name, measured.label, **measured.baselines)
        self.result.state[...] = _of_all(self._states[:done])
        self.result.provenance.update(
            warnings=[*self._warnings, *self.result.measures[self._metric].warnings],
            executor=" and ".join(self._executors),
            executor_reason="; ".join(self._reasons) or None,
        )

    # Cells that are the mean over all pairs

    def cells_of(self, shape: tuple[int, ...]) -> np.ndarray:
        """For each cell of the mean, flat, the cell of a pair whose map has this shape; -1 where the pair lacks it."""
        own = np.full(self.result.values.shape, -1)
        own[self._part(shape)] = np.arange(np.prod(shape)).reshape(shape)
        return own.ravel()

    def write(self, cells: list[int], values: dict[str, np.ndarray], states: np.ndarray) -> None:
        """Replace some cells of every pair, and their means.

        Args:
            cells: of the mean, flat.
            values: by metric, [pair, cell].
            states: [pair, cell].
        """
        self._states.reshape(len(states), -1)[:, cells] = states
        self.result.state.flat[cells] = _of_all(states)
        for name, measured in self.result.measures.items():
            assert measured.pairs is not None
            measured.pairs.values.reshape(len(states), -1)[:, cells] = values[name]
            measured.values.flat[cells] = finite_mean(values[name])

    def _part(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Where the cells of a pair's map are in the mean."""
        return tuple(
            slice(size - own, size) if axis in self._spread else slice(size)
            for axis, size, own in zip(self.result.axes, self.result.values.shape, shape)
        )

    def step(
        self, cells: list[int], done: int, began: float, left: float | None, within: float = 0.0
    ) -> Step[EffectMap]:
        result = self.result
        result.provenance.update(complete=result.complete, seconds=time.perf_counter() - began)
        return Step(done, len(self._states), left, result, cells, within)


def _of_all(states: np.ndarray) -> np.ndarray:
    """The state of each cell of a mean, from its states in the pairs, [pair, ...]."""
    now = np.full(states.shape[1:], COMPUTED, np.uint8)
    now[(states == ESTIMATE).any(0)] = ESTIMATE
    now[np.isin(states, (UNCHANGED, NO_COUNTERPART)).all(0)] = UNCHANGED
    now[(states == NO_COUNTERPART).all(0)] = NO_COUNTERPART
    now[(states == NOT_COMPUTED).any(0)] = NOT_COMPUTED
    return now
