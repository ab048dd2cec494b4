"""Data sets of which every cell is estimated first, and then run for all pairs, the largest mean estimates first."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np

from ..engine.executor import LEAST_ROWS, SHARE_OF_MEMORY, free_memory
from ..engine.recording import storages
from ..language.prompts import PromptPair
from ..results.agreement import TOP_SHARE
from ..results.effect_map import ESTIMATE, NO_COUNTERPART, EffectMap
from ..results.step import Step, remaining
from .estimates import why_not_estimated
from .over_pairs import PairMean, naming
from .sweep import AnyCells, Sweep, largest_first

SECONDS_BETWEEN = 0.5  # between two means of estimates, each of which goes to a view as a whole
FIRST_CELLS = 16  # of every pair, before the first exact means are shown: fewer would not fill a pass


@dataclass(frozen=True)
class Prepared:
    """One pair whose unpatched runs are made.

    Attributes:
        resolved: parameters of the call with their defaults resolved, for the result.
        reason: the answer of `why_not_packed`.
    """

    sweep: Sweep
    cells: AnyCells
    resolved: dict[str, Any]
    reason: str | None

    def empty_result(self) -> EffectMap:
        result = self.sweep.empty_result(self.resolved, self.cells)
        result.provenance.update(executor="hooks" if self.reason else "packed", executor_reason=self.reason)
        return result


class PairToEstimate(Protocol):
    """The sweep of one pair."""

    def prepared(self) -> Prepared: ...
    def guide(self, sweep: Sweep) -> EffectMap: ...


class KeptRuns:
    """The pairs of a data set, prepared, each once if memory allows.

    The activations of all pairs may be more than fits into memory, and each pair is needed again for every block of
    cells. So those of the first pairs are kept, until they take a quarter of what was free in the beginning; the
    unpatched runs of later pairs are made again for each block, of which there are few. What else is held grows with
    the pairs as their values in the result do: gradients and changes are dropped after each pair.
    """

    def __init__(self, pairs: Sequence[PairToEstimate], prompts: Sequence[PromptPair]):
        self._pairs, self._prompts = pairs, prompts
        self.kept: dict[int, Prepared] = {}
        self._held: dict[int, int] = {}  # bytes by address: recordings of pairs that were run together share memory
        self._budget: float | None = None

    def __getitem__(self, i: int) -> Prepared:
        if i in self.kept:
            return self.kept[i]
        with naming(i, self._prompts[i]):
            made = self._pairs[i].prepared()
        if i == len(self.kept):  # later pairs than the first that is not kept are not kept either
            binding = made.sweep.binding
            if self._budget is None:
                self._budget = SHARE_OF_MEMORY * free_memory(binding.base.tokens.device)
            held = {**self._held, **dict(chain(*(storages(run).items() for run in binding.recordings())))}
            # Twice, since patched runs write copies of the activations, which a binding keeps.
            if i == 0 or 2 * sum(held.values()) <= self._budget:
                self.kept[i], self._held = made, held
        return made

    def take(self, i: int) -> Prepared:
        """A pair that is needed for the last time."""
        made = self[i]
        self.kept.pop(i, None)
        return made


def estimates_of_all(
    pairs: Sequence[PairToEstimate],
    runs: KeptRuns,
    mean: PairMean,
    tokens: Sequence[list[str]],
    prompts: Sequence[PromptPair],
) -> Generator[Step[EffectMap], None, EffectMap | None]:
    """Estimate every cell in every pair. The steps show the mean of the estimates of the pairs so far.

    Returns:
        The mean of the estimates; None, and a note in the first pair's sweep, if the effects can't be estimated.
    """
    began, shown = time.perf_counter(), float("-inf")
    guides: PairMean | None = None
    for i, pair in enumerate(pairs):
        prepared = runs[i]
        try:
            guide = pair.guide(prepared.sweep)
        except (ValueError, RuntimeError, MemoryError) as problem:
            runs[0].sweep.notes.append(why_not_estimated(problem))
            return None
        metric = guide.params["metric"]
        guide.measures = {metric: guide.measures[metric]}
        guides = guides or PairMean(guide, tokens, prompts)
        guides.put(i, guide)
        mean.put(i, prepared.empty_result())
        now = time.perf_counter()
        left = remaining(now - began, i + 1, len(pairs))
        if now - shown < SECONDS_BETWEEN and i + 1 < len(pairs):
            yield Step(i + 1, len(pairs), left)
            continue
        shown = now
        for one in (guides, mean):
            one.update(i + 1)
        # A copy so far: what is equal in these pairs may differ in the next.
        result = mean.result if i + 1 == len(pairs) else mean.result.model_copy(deep=True)
        result.take_estimates(guides.result)
        result.unpatched = guides.result.unpatched
        if result is not mean.result:
            yield _step(result, [*range(result.values.size)], i + 1, len(pairs), left, began)
    assert guides is not None
    return guides.result


def steps_largest_first(
    guide: EffectMap, mean: PairMean, runs: KeptRuns, prompts: Sequence[PromptPair], share: float, began: float
) -> Iterator[Step[EffectMap]]:
    """Steps of a result that has the estimates at first, and then, block by block of cells, the exact means.

    A block is run for all pairs before any of its cells is replaced, so that every mean is over all pairs, and over
    estimates alone or exact values alone. Units of work are patched runs, one for each cell and pair.

    Args:
        guide, mean: of `estimates_of_all`.
        share: of the estimated cells, how many to run, from 0 to 1.
        began: when the work began.
    """
    # What no pair changes is known from the unpatched runs.
    chosen = [cell for cell in largest_first(guide, share) if guide.state.flat[cell] == ESTIMATE]
    total = len(chosen) * len(prompts)
    yield _step(mean.result, [], 0, total, None, began)
    started, done = time.perf_counter(), 0
    frames: dict[tuple[int, ...], EffectMap] = {}
    ends = _block_ends(len(chosen))
    for begin, end in zip([0, *ends], ends):
        block = sorted(chosen[begin:end])  # within a block the order is free, and layer by layer is fastest
        taken = _Block(mean, block, len(prompts), frames)
        for i in range(len(prompts)):
            prepared = runs.take(i) if end == ends[-1] else runs[i]
            with naming(i, prompts[i]):
                for finished in taken.run(i, prepared):
                    done = begin * len(prompts) + i * len(block) + finished
                    left = remaining(time.perf_counter() - started, done, total)
                    if done < end * len(prompts):
                        yield _step(mean.result, [], done, total, left, began)
        mean.write(block, taken.values, taken.states)
        done = end * len(prompts)
        left = remaining(time.perf_counter() - started, done, total)
        yield _step(mean.result, block, done, total, left, began)


def _step(
    result: EffectMap, cells: list[int], done: int, total: int, left: float | None, began: float
) -> Step[EffectMap]:
    result.provenance.update(complete=result.complete and done == total, seconds=time.perf_counter() - began)
    return Step(done, total, left, result, cells)


def _block_ends(cells: int) -> list[int]:
    """How many cells are exact after each block. Blocks double, and one ends where a long sweep may stop."""
    ends = {max(FIRST_CELLS, int(np.ceil(TOP_SHARE * 2.0**k * cells))) for k in range(-2, 6)}
    return sorted({min(end, cells) for end in ends}) if cells else []


class _Block:
    """Some cells of the mean, and their values in every pair so far, by metric [pair, cell].

    Args:
        frames: by the shape of a pair's map, one that all pairs of that shape fill and leave to the next.
    """

    def __init__(self, mean: PairMean, cells: list[int], pairs: int, frames: dict[tuple[int, ...], EffectMap]):
        self.mean, self.cells, self.frames = mean, cells, frames
        self.values = {name: np.full((pairs, len(cells)), np.nan, np.float32) for name in mean.result.measures}
        self.states = np.full((pairs, len(cells)), NO_COUNTERPART, np.uint8)

    def run(self, i: int, prepared: Prepared) -> Iterator[int]:
        """Run the cells in one pair. Yields how many are finished."""
        shape = prepared.cells.shape
        if shape not in self.frames:
            self.frames[shape] = prepared.empty_result()
        result = self.frames[shape]
        own = self.mean.cells_of(shape)[self.cells]
        there = own >= 0
        if not there.any():
            return
        done = 0
        chosen = own[there].tolist()
        # Nothing is shown before the block is done, so its first pass need not be a small one.
        for finished in prepared.sweep.fill(result, prepared.cells, chosen, prepared.reason, LEAST_ROWS):
            done += len(finished)
            yield done
        self.states[i, there] = result.state.ravel()[own[there]]
        for name, measured in result.measures.items():
            self.values[name][i, there] = measured.values.ravel()[own[there]]
