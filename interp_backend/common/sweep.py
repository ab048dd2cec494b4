"""A sweep: many patched runs of one prompt, what each is judged by, and a result that fills as they come."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..engine.binding import Binding, hook_names
from ..engine.edits import Edit
from ..engine.executor import Pass, run_patched, why_not_packed
from ..engine.recording import Recording, record
from ..engine.turn import Turn
from ..language.interventions import Value
from ..language.metrics import Measure, Reference, baseline_warnings
from ..language.prompts import Side, TokenizedPair
from ..results.codec import finite_or_none
from ..results.effect_map import COMPUTED, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED, EffectMap, TopTokens
from ..results.metric_values import MetricValues
from ..results.sides import AnsweredPrompt
from ..results.step import Step, remaining
from .provenance import provenance
from .top_tokens import texts_of, top_tokens

TOKENS_AHEAD = 512  # of pairs that are run together before their turn


class AnyCells(Protocol):
    """Places of a sweep: named axes, and what is patched at each index."""

    @property
    def axes(self) -> tuple[str, ...]: ...
    @property
    def places(self) -> dict[str, list[int | list[int]]]: ...
    @property
    def labels(self) -> dict[str, list[str]]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def indices(self) -> Iterator[tuple[int, ...]]: ...
    def left_out(self, binding: Binding, index: tuple[int, ...]) -> int: ...
    def edits(self, binding: Binding, index: tuple[int, ...], draw: int) -> list[Edit]: ...


@dataclass(frozen=True)
class Readings:
    """At which positions of both prompts which metrics are read, and which tokens they need.

    Attributes:
        measures: the metrics, the shown one first.
        base, other: for each of them its position in the patched prompt and in the other.
        base_at: the position of the whole sweep, whose likeliest tokens are kept.
    """

    side: Side
    measures: list[Measure]
    base: list[int]
    other: list[int]
    base_at: int
    other_at: int
    answers: dict[Side, tuple[int, ...]]

    @classmethod
    def of(cls, tokenized: TokenizedPair, side: Side, at: int | None, measures: list[Measure]) -> Readings:
        """Raises ValueError: a position that is not in the prompt, or that has no counterpart to compare with."""
        counterparts = tokenized.counterparts(side)
        length = len(counterparts)
        other_length = len(tokenized.ids["clean" if side == "corrupt" else "corrupt"])

        def both(position: int | None) -> tuple[int, int]:
            if position is None or position in (-1, length - 1):
                return length - 1, other_length - 1  # what comes next: the ends of both prompts correspond
            if isinstance(position, bool) or not hasattr(position, "__index__"):
                raise ValueError(f"at is the position where metrics are read, a whole number, not {position!r}.")
            position = operator.index(position)
            if not -length <= position < length:
                raise ValueError(
                    f"There is no position {position} to read a metric at: the {side} prompt, which is patched, has "
                    f"{length} tokens."
                )
            counterpart = counterparts[position % length]
            if counterpart is None:
                raise ValueError(
                    f"Position {position} of the {side} prompt has no counterpart in the other, so a metric read there "
                    "has nothing to be compared with. Choose another, or align the prompts."
                )
            return position % length, counterpart

        places = [both(measure.at if measure.at is not None else at) for measure in measures]
        base_at, other_at = both(at)
        answers: dict[Side, tuple[int, ...]] = {
            "clean": tokenized.answer_ids("clean"),
            "corrupt": tokenized.answer_ids("corrupt"),
        }
        return cls(side, measures, [p for p, _ in places], [p for _, p in places], base_at, other_at, answers)

    @property
    def base_positions(self) -> list[int]:
        return sorted({*self.base, self.base_at})

    @property
    def other_positions(self) -> list[int]:
        return sorted({*self.other, self.other_at})

    def vocabulary(self, top_k: int) -> list[int] | None:
        """The tokens whose logits are needed; None is all of them."""
        if top_k or any(measure.all_tokens for measure in self.measures):
            return None
        return sorted({token for answers in self.answers.values() for token in answers}) or None

    def references(self, base: Recording, other: Recording) -> list[Reference]:
        """What each metric compares with."""
        made = []
        for b, o in zip(self.base, self.other):
            logits = {self.side: base.logits[b], ("clean" if self.side == "corrupt" else "corrupt"): other.logits[o]}
            made.append(Reference(self.answers["clean"], self.answers["corrupt"], logits["clean"], logits["corrupt"]))
        return made


class BaseRuns:
    """Both unpatched runs of one pair or many. Pairs of one length are run together, a few ahead of their turn.

    Args:
        tokenized, readings: of each pair.
        uses: activations and the values that will be put into them.
        top_k: how many likely tokens will be kept.
    """

    def __init__(
        self,
        turn: Turn,
        tokenized: Sequence[TokenizedPair],
        readings: Sequence[Readings],
        uses: Sequence[tuple[str, Value]],
        top_k: int,
    ):
        self.turn, self.tokenized, self.readings, self.uses = turn, tokenized, readings, uses
        needed = [one.vocabulary(top_k) for one in readings]
        # The tokens that any of the pairs needs; None is all of them.
        self.vocabulary = None if None in needed else sorted({token for some in needed if some for token in some})
        self._ready: dict[int, list[Recording]] = {}

    def bind(self, i: int) -> Binding:
        """A pair's runs, bound to what will be put into them."""
        if i not in self._ready:
            ahead = self._like(i)
            try:
                self._record(ahead)
            except ValueError:
                self._record([i])  # whatever is wrong with another one is said at its own turn
        side = self.readings[i].side
        base, other = self._ready.pop(i)
        return Binding(self.turn, base, other, self.tokenized[i].counterparts(side), self.uses)

    def _like(self, i: int) -> list[int]:
        """This pair and others to come whose prompts are as long, as many as may be held at a time."""
        lengths = [tuple(len(one.ids[side]) for side in ("clean", "corrupt")) for one in self.tokenized]
        most = max(1, TOKENS_AHEAD // sum(lengths[i]))
        return [j for j in range(i, len(lengths)) if lengths[j] == lengths[i] and j not in self._ready][:most]

    def _record(self, pairs: list[int]) -> None:
        names = hook_names(self.turn.model, [activation for activation, _ in self.uses])
        prompts, read = [], []
        for i in pairs:
            side, ids = self.readings[i].side, self.tokenized[i].ids
            prompts += [ids[side], ids["clean" if side == "corrupt" else "corrupt"]]
            read += [self.readings[i].base_positions, self.readings[i].other_positions]
        made = record(self.turn, prompts, names, read, self.vocabulary)
        self._ready.update({i: made[2 * at : 2 * at + 2] for at, i in enumerate(pairs)})


class Sweep:
    """Patched runs of one bound prompt, read by some metrics.

    Args:
        runs, pair: the runs behind it, and which pair's.
        top_k: how many likely tokens of each run to keep.
        memory: how many bytes a pass may take beyond the model; None is a quarter of what is free.
        began: when the work began, for the result's account of time.
    """

    def __init__(
        self,
        runs: BaseRuns,
        pair: int,
        top_k: int,
        memory: int | None,
        began: float,
    ):
        self.binding = runs.bind(pair)
        self.readings, self.tokenized, self.vocabulary = runs.readings[pair], runs.tokenized[pair], runs.vocabulary
        self.top_k, self.memory, self.began = top_k, memory, began
        self.references = self.readings.references(self.binding.base, self.binding.other)
        self.columns = None if self.vocabulary is None else {token: i for i, token in enumerate(self.vocabulary)}

    def steps(
        self, resolved: dict[str, Any], cells: AnyCells, trials: list[list[Edit]], key: Any
    ) -> Iterator[Step[EffectMap]]:
        """Go through all cells in C order: first those that need no run, then the others, pass by pass.

        Args:
            resolved: parameters of the call as they were understood, for the result.
            trials, key: see `why_not_packed`.
        """
        binding, turn = self.binding, self.binding.turn
        reason = why_not_packed(turn, binding.base, trials, key)
        result = self._empty_result(resolved, cells)
        result.provenance.update(executor="hooks" if reason else "packed", executor_reason=reason)
        made = [[cells.edits(binding, index, draw) for draw in range(binding.draws)] for index in cells.indices()]
        nowhere = [cell for cell, draws in enumerate(made) if not any(draws)]
        to_run = [cell for cell, draws in enumerate(made) if any(draws)]
        passes = run_patched(
            turn,
            binding.base,
            [edits for cell in to_run for edits in made[cell]],  # one run a cell and draw
            read=self.readings.base_positions,
            vocabulary=self.vocabulary,
            memory=self.memory,
            why_not_packed=reason,
        )
        result.state.flat[nowhere] = NO_COUNTERPART
        if None in binding.counterparts:
            left_out = np.array([cells.left_out(binding, index) for index in cells.indices()], np.int32)
            left_out[nowhere] = 0
            result.unpatched = left_out.reshape(cells.shape) if left_out.any() else None
        pending: dict[int, list[tuple[bool, torch.Tensor]]] = {}
        equal = self._take(result, pending, to_run, next(passes))
        total = len(to_run) - len(equal)
        yield self._step(result, equal + nowhere, 0, total, None)

        started, done = time.perf_counter(), 0
        for one_pass in passes:
            finished = self._take(result, pending, to_run, one_pass)
            done += len(finished)
            now = time.perf_counter()
            yield self._step(result, finished, done, total, remaining(now - started, done, total))

    def _step(self, result: EffectMap, cells: list[int], done: int, total: int, left: float | None) -> Step[EffectMap]:
        result.provenance.update(complete=result.complete, seconds=time.perf_counter() - self.began)
        return Step(done, total, left, result, cells)

    # Measuring

    def _measure(self, logits: torch.Tensor) -> torch.Tensor:
        """Every metric of logits [run, read position, token]: [metric, run]."""
        positions = self.readings.base_positions
        return torch.stack(
            [
                measure.of(logits[:, positions.index(at)], reference, self.columns).cpu()
                for measure, at, reference in zip(self.readings.measures, self.readings.base, self.references)
            ]
        )

    def _take(
        self, result: EffectMap, pending: dict[int, list[tuple[bool, torch.Tensor]]], to_run: list[int], one: Pass
    ) -> list[int]:
        """Measure the runs of a pass, and write the cells all of whose draws are there. Returns those."""
        values = self._measure(one.logits).expand(-1, len(one.runs))
        draws = self.binding.draws
        if draws == 1:
            cells = [to_run[run] for run in one.runs]
            self._write(result, cells, values.numpy(), COMPUTED if one.ran else UNCHANGED)
            self._write_top(result, cells, one.logits)
            return cells
        finished = []
        for column, run in enumerate(one.runs):
            cell = to_run[run // draws]
            pending.setdefault(cell, []).append((one.ran, values[:, column]))
            if len(pending[cell]) == draws:
                ran, each = zip(*pending.pop(cell))
                mean = torch.stack(each).mean(0)[:, None]
                self._write(result, [cell], mean.numpy(), COMPUTED if any(ran) else UNCHANGED)
                finished.append(cell)
        return finished

    def _write(self, result: EffectMap, cells: list[int], values: np.ndarray, state: int) -> None:
        """Values [metric, cell or 1]."""
        for measured, row in zip(result.measures.values(), values):
            measured.values.flat[cells] = row
        result.state.flat[cells] = state

    def _write_top(self, result: EffectMap, cells: list[int], logits: torch.Tensor) -> None:
        if result.top is None or not cells:
            return
        top = top_tokens(logits[:, self.readings.base_positions.index(self.readings.base_at)], self.top_k)
        for name in ("ids", "logits", "probs"):
            getattr(result.top, name).reshape(result.values.size, -1)[cells] = getattr(top, name)
        result.tokens.update(texts_of(self.binding.model, top.ids))

    # The result

    def _empty_result(self, resolved: dict[str, Any], cells: AnyCells) -> EffectMap:
        """A result with no cell computed, and all that is known before the first."""
        binding, readings, shape = self.binding, self.readings, cells.shape
        other_side = "clean" if readings.side == "corrupt" else "corrupt"
        at = {readings.side: binding.base.logits[readings.base_at], other_side: binding.other.logits[readings.other_at]}
        tops = {side: top_tokens(at[side], self.top_k) for side in ("clean", "corrupt")} if self.top_k else {}
        measures = self._empty_measures(shape)
        name, shown = next(iter(measures.items()))
        result = EffectMap(
            params={**resolved, "metric": name},
            axes=cells.axes,
            labels=cells.labels,
            places=cells.places,
            values=shown.values,
            state=np.full(shape, NOT_COMPUTED, np.uint8),
            baselines=shown.baselines,
            metric_label=shown.label,
            measures=measures,
            counterparts=None if self.tokenized.aligned_one_to_one else binding.counterparts,
            prompts={side: prompt_of(self.tokenized, side) for side in ("clean", "corrupt")},
            top=_empty_top(shape, len(tops["clean"].ids)) if tops and binding.draws == 1 else None,
            top_runs=tops,
            tokens=texts_of(binding.model, *(top.ids for top in tops.values())),
            provenance=provenance(binding.turn),
        )
        result.provenance["warnings"] += shown.warnings
        return result

    def _empty_measures(self, shape: tuple[int, ...]) -> dict[str, MetricValues]:
        made = {}
        for measure, reference in zip(self.readings.measures, self.references):
            runs = torch.stack([reference.clean_logits, reference.corrupt_logits])
            both = measure.of(runs, reference, self.columns).tolist()
            baselines = {side: finite_or_none(value) for side, value in zip(("clean", "corrupt"), both)}
            made[measure.name] = MetricValues(
                label=measure.label,
                values=np.full(shape, np.nan, np.float32),
                baselines=baselines,
                warnings=baseline_warnings(measure.name, measure.label, **baselines),
            )
        return made


def prompt_of(tokenized: TokenizedPair, side: Side) -> AnsweredPrompt:
    """A prompt as it was run, with the tokens that its answers were scored by."""
    texts, starts = tokenized.texts[f"{side}_answer"], tokenized.starts[f"{side}_answer"]
    answers = [texts[start] for start in starts]
    return AnsweredPrompt(
        text=getattr(tokenized.pair, side),
        ids=tokenized.ids[side],
        tokens=tokenized.texts[side],
        answer=answers[0] if answers else None,
        answers=answers,
    )


def _empty_top(shape: Sequence[int], k: int) -> TopTokens:
    return TopTokens(
        ids=np.full((*shape, k), -1, np.int32),
        logits=np.full((*shape, k), np.nan, np.float32),
        probs=np.full((*shape, k), np.nan, np.float32),
    )
