"""A sweep: many patched runs of one prompt, the metrics that they are measured by, and a result that fills."""

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
from ..engine.executor import FIRST_ROWS, Pass, run_patched, why_not_packed
from ..engine.recording import Recording, record
from ..engine.turn import Turn
from ..language.interventions import Value
from ..language.metrics import Measure, Reference, baseline_warnings, favour_warning
from ..language.prompts import Side, TokenizedPair
from ..results.codec import finite_or_none
from ..results.effect_map import COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED, EffectMap, TopTokens
from ..results.metric_values import MetricValues, finite_mean
from ..results.sides import AnsweredPrompt
from ..results.step import Step, remaining
from .provenance import provenance
from .top_tokens import texts_of, top_tokens

TOKENS_AHEAD = 512  # the most tokens of later pairs that are run together with a pair


class AnyFrame(Protocol):
    """The cells of a result: named axes, and what each index is."""

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


class AnyCells(AnyFrame, Protocol):
    """The cells of a sweep: also the edits at each index."""

    def edits(self, binding: Binding, index: tuple[int, ...], draw: int) -> list[Edit]: ...


@dataclass(frozen=True)
class Readings:
    """The metrics of a sweep, the positions in both prompts where they are read, and the tokens that they need.

    Attributes:
        side: the prompt that is patched.
        measures: the metrics, the displayed metric first.
        base, other: for each metric, its positions in the patched prompt and in the other prompt: one, or as many as
            a whole answer has tokens.
        base_at, other_at: the default position in each prompt, where the likeliest tokens are kept.
        answers: the token ids of each side's answers.
    """

    side: Side
    measures: list[Measure]
    base: list[list[int]]
    other: list[list[int]]
    base_at: int
    other_at: int
    answers: dict[Side, tuple[int, ...]]
    whole_answer: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenized: TokenizedPair, side: Side, at: int | None, measures: list[Measure]) -> Readings:
        """Raises ValueError: a position is not in the prompt, or has no counterpart in the other prompt."""
        counterparts = tokenized.counterparts(side)
        length = len(counterparts)
        other_length = len(tokenized.ids["clean" if side == "corrupt" else "corrupt"])
        whole = measures[0].whole_answer
        if whole and at is not None:
            raise ValueError(f"The {measures[0].label} is read where the answer begins. Leave at out.")

        def both(position: int | None) -> tuple[int, int]:
            if position is None:
                appended = len(tokenized.appended)
                return length - 1 - appended, other_length - 1 - appended
            if position in (-1, length - 1):
                return length - 1, other_length - 1  # both last positions predict the next token, so they correspond
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
        tokens = len(tokenized.appended) + 1  # that a metric reads the predictions of
        base, other = ([list(range(place[i], place[i] + tokens)) for place in places] for i in (0, 1))
        base_at, other_at = both(at)
        answers: dict[Side, tuple[int, ...]] = {
            "clean": tokenized.answer_ids("clean"),
            "corrupt": tokenized.answer_ids("corrupt"),
        }
        whole_answer = tokenized.whole_answer() if whole else ()
        return cls(side, measures, base, other, base_at, other_at, answers, whole_answer)

    @property
    def base_positions(self) -> list[int]:
        return sorted({self.base_at}.union(*self.base))

    @property
    def other_positions(self) -> list[int]:
        return sorted({self.other_at}.union(*self.other))

    def vocabulary(self, top_k: int) -> list[int] | None:
        """The tokens whose logits are needed; None means the whole vocabulary."""
        if top_k or any(measure.all_tokens for measure in self.measures):
            return None
        return sorted({token for answers in self.answers.values() for token in answers}) or None

    def references(self, base: Recording, other: Recording) -> list[Reference]:
        """The reference of each metric."""
        references = []
        for measure, b, o in zip(self.measures, self.base, self.other):
            read = [torch.stack([run.logits[at] for at in places]) for run, places in ((base, b), (other, o))]
            here, there = read if measure.whole_answer else (logits[0] for logits in read)
            clean, corrupt = (there, here) if self.side == "corrupt" else (here, there)
            answers = self.answers["clean"], self.answers["corrupt"]
            references.append(Reference(*answers, clean, corrupt, self.whole_answer))
        return references


class BaseRuns:
    """The unpatched runs of one pair or many. A few pairs of the same length are run together.

    Args:
        tokenized, readings: one for each pair.
        uses: the activations that will be patched, each with the value that is patched in.
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
        needed = [reading.vocabulary(top_k) for reading in readings]
        # The tokens that any pair needs; None means the whole vocabulary.
        self.vocabulary = None if None in needed else sorted({token for tokens in needed for token in tokens or ()})
        self._ready: dict[int, list[Recording]] = {}

    def bind(self, i: int) -> Binding:
        """A pair's unpatched runs, bound to the values that will be patched in."""
        if i not in self._ready:
            ahead = self._like(i)
            try:
                self._record(ahead)
            except ValueError:
                self._record([i])  # another pair may have failed, which is reported when it is bound
        side = self.readings[i].side
        base, other = self._ready.pop(i)
        pair = self.tokenized[i]
        after = pair.appended
        return Binding(self.turn, base, other, pair.counterparts(side), self.uses, pair.pair.prepend_bos, after)

    def _like(self, i: int) -> list[int]:
        """This pair, and later pairs of the same lengths, up to `TOKENS_AHEAD` tokens."""
        lengths = [tuple(len(pair.ids[side]) for side in ("clean", "corrupt")) for pair in self.tokenized]
        most = max(1, TOKENS_AHEAD // sum(lengths[i]))
        return [j for j in range(i, len(lengths)) if lengths[j] == lengths[i] and j not in self._ready][:most]

    def _record(self, pairs: list[int]) -> None:
        names = hook_names(self.turn.model, [activation for activation, _ in self.uses])
        prompts, read = [], []
        for i in pairs:
            side, ids = self.readings[i].side, self.tokenized[i].ids
            prompts += [ids[side], ids["clean" if side == "corrupt" else "corrupt"]]
            read += [self.readings[i].base_positions, self.readings[i].other_positions]
        runs = record(self.turn, prompts, names, read, self.vocabulary)
        self._ready.update({i: runs[2 * at : 2 * at + 2] for at, i in enumerate(pairs)})


class Sweep:
    """The patched runs of one pair, measured by its metrics.

    Args:
        runs, pair: the unpatched runs, and the index of the pair.
        top_k: how many likely tokens of each run to keep.
        memory: how many bytes a pass may take beyond the model; None means a quarter of the free memory.
        began: when the work began, for `provenance["seconds"]`.
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
        self.alone = len(runs.tokenized) == 1
        self.notes: list[str] = []  # warnings for the result
        self.columns = None if self.vocabulary is None else {token: i for i, token in enumerate(self.vocabulary)}

    def steps(
        self,
        resolved: dict[str, Any],
        cells: AnyCells,
        trials: list[list[Edit]],
        key: Any,
        guide: EffectMap | None = None,
        share: float = 1.0,
    ) -> Iterator[Step[EffectMap]]:
        """Compute all cells: first the cells that need no run, then the others in C order, pass by pass.

        Args:
            resolved: parameters of the call with their defaults resolved, for the result.
            trials, key: see `why_not_packed`.
            guide: estimates of the same cells. They come first, and the cells are run in order of their size.
            share: of the cells that the guide estimates, how many to run, from 0 to 1.
        """
        binding, turn = self.binding, self.binding.turn
        result = self.empty_result(resolved, cells)
        if guide is not None:
            result.take_estimates(guide)
            known = result.provenance["warnings"]
            known += [warning for warning in guide.provenance["warnings"] if warning not in known]
            yield self.step(result, [], 0, int(np.ceil(share * (result.state == ESTIMATE).sum())), None)
        reason = why_not_packed(turn, binding.base, trials, key)
        result.provenance.update(executor="hooks" if reason else "packed", executor_reason=reason)
        chosen = list(range(result.values.size)) if guide is None else largest_first(guide, share)
        passes = self.fill(result, cells, chosen, reason)
        not_run = next(passes)
        self.count_left_out(result, cells)
        total = len(chosen) - len(not_run)
        yield self.step(result, not_run, 0, total, None)

        started, done = time.perf_counter(), 0
        for finished in passes:
            done += len(finished)
            now = time.perf_counter()
            yield self.step(result, finished, done, total, remaining(now - started, done, total))

    def fill(
        self,
        result: EffectMap,
        cells: AnyCells,
        chosen: list[int],
        reason: str | None,
        first_rows: int = FIRST_ROWS,
    ) -> Iterator[list[int]]:
        """Compute some cells (flat), in the order given. Yields those that need no run, and then those of each pass.

        Args:
            reason: the answer of `why_not_packed`.
            first_rows: see `run_patched`.
        """
        binding = self.binding
        at = zip(*np.unravel_index(np.array(chosen, int), cells.shape))
        draws = range(binding.draws)
        edits = {
            cell: [cells.edits(binding, tuple(map(int, index)), draw) for draw in draws]
            for cell, index in zip(chosen, at)
        }
        nowhere = [cell for cell in chosen if not any(edits[cell])]
        to_run = [cell for cell in chosen if any(edits[cell])]
        passes = run_patched(
            binding.turn,
            binding.base,
            [draw for cell in to_run for draw in edits[cell]],  # one run for each cell and draw
            read=self.readings.base_positions,
            vocabulary=self.vocabulary,
            memory=self.memory,
            why_not_packed=reason,
            first_rows=first_rows,
        )
        result.state.flat[nowhere] = NO_COUNTERPART
        for measured in result.measures.values():
            measured.values.flat[nowhere] = np.nan
        pending: dict[int, list[tuple[bool, torch.Tensor]]] = {}
        yield self._take(result, pending, to_run, next(passes)) + nowhere
        for one_pass in passes:
            yield self._take(result, pending, to_run, one_pass)

    def step(self, result: EffectMap, cells: list[int], done: int, total: int, left: float | None) -> Step[EffectMap]:
        complete = result.complete and done == total  # cells with estimates may be left to run
        result.provenance.update(complete=complete, seconds=time.perf_counter() - self.began)
        return Step(done, total, left, result, cells)

    # Measuring

    def measure(self, logits: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """Every metric of logits [run, read position, token]: [metric, run].

        Args:
            most: how many metrics to measure, from the first; None measures all.

        Raises:
            ValueError: the logits have a gradient, and a metric of them has none.
        """
        positions = self.readings.base_positions
        measured = []
        for measure, at, reference in list(zip(self.readings.measures, self.readings.base, self.references))[:most]:
            read = logits[:, [positions.index(position) for position in at]]
            read = read if measure.whole_answer else read[:, 0]
            measured.append(measure.of(read, reference, self.columns).cpu())
            if logits.requires_grad and not measured[-1].requires_grad:
                raise ValueError(
                    f"The {measure.label} has no gradient. Choose another metric, for example logit_diff or kl."
                )
        return torch.stack(measured)

    def _take(
        self, result: EffectMap, pending: dict[int, list[tuple[bool, torch.Tensor]]], to_run: list[int], one: Pass
    ) -> list[int]:
        """Measure the runs of a pass, and write the cells whose draws are now complete. Returns these cells."""
        values = self.measure(one.logits).expand(-1, len(one.runs))
        draws = self.binding.draws
        if draws == 1:
            cells = [to_run[run] for run in one.runs]
            self.write(result, cells, values.numpy(), COMPUTED if one.ran else UNCHANGED)
            self._write_top(result, cells, one.logits)
            return cells
        finished = []
        for column, run in enumerate(one.runs):
            cell = to_run[run // draws]
            pending.setdefault(cell, []).append((one.ran, values[:, column]))
            if len(pending[cell]) == draws:
                ran, each = zip(*pending.pop(cell))
                mean = torch.stack(each).mean(0)[:, None]
                self.write(result, [cell], mean.numpy(), COMPUTED if any(ran) else UNCHANGED)
                finished.append(cell)
        return finished

    def write(self, result: EffectMap, cells: list[int], values: np.ndarray, state: int) -> None:
        """Write values [metric, cell or 1] into some cells."""
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

    def count_left_out(self, result: EffectMap, cells: AnyFrame) -> None:
        """Set how many positions of each cell are not patched, once the cells without any counterpart are known."""
        if None not in self.binding.counterparts:
            return
        left_out = np.array([cells.left_out(self.binding, index) for index in cells.indices()], np.int32)
        left_out[result.state.ravel() == NO_COUNTERPART] = 0
        result.unpatched = left_out.reshape(cells.shape) if left_out.any() else None

    def empty_result(self, resolved: dict[str, Any], cells: AnyFrame) -> EffectMap:
        """A result whose cells are still empty, with everything that is known before the first patched run."""
        binding, readings, shape = self.binding, self.readings, cells.shape
        other_side = "clean" if readings.side == "corrupt" else "corrupt"
        at = {readings.side: binding.base.logits[readings.base_at], other_side: binding.other.logits[readings.other_at]}
        tops = {side: top_tokens(at[side], self.top_k) for side in ("clean", "corrupt")} if self.top_k else {}
        measures = self.empty_measures(shape)
        name, shown = next(iter(measures.items()))
        result = EffectMap(
            params={**resolved, "direction": "noise" if readings.side == "clean" else "denoise", "metric": name},
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
        result.provenance["warnings"] += [*self.notes, *(shown.warnings or self._favour_warnings(at["clean"]))]
        return result

    def _favour_warnings(self, clean: torch.Tensor) -> list[str]:
        """A warning if the clean run does not favour its answer, where the whole vocabulary's logits are known."""
        answers = self.readings.answers["clean"]
        if not self.alone or not answers or self.vocabulary is not None:
            return []
        warning = favour_warning(answers, clean, self.binding.model.token_text)
        return [warning] if warning else []

    def empty_measures(self, shape: tuple[int, ...]) -> dict[str, MetricValues]:
        """Each metric by name, with the unpatched runs' values and none of the patched runs'."""
        measures = {}
        for measure, reference in zip(self.readings.measures, self.references):
            runs = torch.stack([reference.clean_logits, reference.corrupt_logits])
            both = measure.of(runs, reference, self.columns).tolist()
            baselines = {side: finite_or_none(value) for side, value in zip(("clean", "corrupt"), both)}
            measures[measure.name] = MetricValues(
                label=measure.label,
                values=np.full(shape, np.nan, np.float32),
                baselines=baselines,
                warnings=baseline_warnings(measure.name, measure.label, **baselines),
            )
        return measures


def largest_first(guide: EffectMap, share: float) -> list[int]:
    """The cells (flat) that nothing changes, and then a share of the others, those with the largest estimates first."""
    estimated = guide.state.ravel() == ESTIMATE
    sizes = np.nan_to_num(np.abs(_estimated_effects(guide)), nan=np.inf)  # what has no estimate may be large
    others = sorted(np.flatnonzero(estimated).tolist(), key=lambda cell: -sizes[cell])
    return np.flatnonzero(~estimated).tolist() + others[: int(np.ceil(share * len(others)))]


def _estimated_effects(guide: EffectMap) -> np.ndarray:
    """The estimated effects of a map's cells, flat, in any unit that all cells share."""
    if guide.pairs is not None:
        # The mean base run differs between cells that not every pair has, so effects are taken pair by pair. In units
        # of the gap, because these are what is shown; without a gap, as they are.
        normalized = guide.normalized
        if np.isfinite(normalized).any():
            return normalized.ravel()
        base = np.array(getattr(guide.pairs, guide.patched_side), np.float64)
        return finite_mean(guide.pairs.values.reshape(len(base), -1) - base[:, None])
    base = guide.baselines[guide.patched_side]
    return guide.values.ravel() - (base or 0.0)


def prompt_of(tokenized: TokenizedPair, side: Side) -> AnsweredPrompt:
    """A prompt as it was run, with the tokens by which its answers were scored."""
    texts, starts = tokenized.texts[f"{side}_answer"], tokenized.starts[f"{side}_answer"]
    # A whole answer has all tokens from its start; otherwise an answer's first token stands for it.
    answers = ["".join(texts)] if tokenized.appended and side == "clean" else [texts[start] for start in starts]
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
