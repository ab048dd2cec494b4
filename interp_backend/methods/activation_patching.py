"""Activation patching: copy an activation from one run into another, and measure the effect.

Also called causal tracing or interchange intervention: Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022
(arXiv:2202.05262); on directions and metrics, Zhang & Nanda 2023 (arXiv:2309.16042) and Heimersheim & Nanda
2024 (arXiv:2404.15255).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from ..common.cells import Cells, Positions, Where, axes_of, cells_of, choose_axes
from ..common.estimated_pairs import KeptRuns, Prepared, estimates_of_all, steps_largest_first
from ..common.estimates import NO_PATH, EstimateChoices, Estimates, refuse_flat, refuse_window, why_not_estimated
from ..common.method import method
from ..common.over_pairs import PairMean, naming, steps_over_pairs
from ..common.signatures import AppliesTo, AskedAs, ChoicesBy, Count, Local, OneOf
from ..common.sweep import BaseRuns, Readings, Sweep
from ..engine.backward import RULES, refuse_rule
from ..engine.executor import why_not_packed
from ..engine.turn import Turn
from ..language.interventions import AskedValue, as_value
from ..language.loading import load_model
from ..language.metrics import AskedMetric, Measure, MetricLike, as_measures, metric_to_json
from ..language.model import ACTIVATIONS, LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side, TokenizedPair, as_pair, tokenize
from ..results.effect_map import EffectMap
from ..results.step import Step

DIRECTIONS = {
    "denoise": ("clean \u2192 corrupt", "patch the corrupt run: which activations are enough to restore the answer"),
    "noise": ("corrupt \u2192 clean", "patch the clean run: which activations the answer can't do without"),
}
Metrics = Annotated[MetricLike | Sequence[MetricLike], AskedAs(AskedMetric, metric_to_json)]
ValueLike = Annotated[Any, AskedAs(AskedValue, lambda value: as_value(value).model_dump(mode="json"))]
Direction = Annotated[str, OneOf(DIRECTIONS, "direction")]
ActivationName = Annotated[str, OneOf({name: (name, one.help) for name, one in ACTIVATIONS.items()}, "activation")]
Axis = Literal["layer", "head", "position", "source", "neuron"]
Axes = Annotated[Sequence[Axis] | None, ChoicesBy("activation", {name: axes_of(name) for name in ACTIVATIONS})]
ESTIMATES = {"none": ("none", "run every cell"), **{name: (one.label, one.help) for name, one in RULES.items()}}
FEWEST_ESTIMATED = 200  # cells of a sweep: one with fewer is over as soon as its estimates would be
IN_LAYERS = AppliesTo("activation", tuple(name for name in ACTIVATIONS if name != "embed"))
Window = Annotated[int, Field(ge=1, le=1000), IN_LAYERS]


@method
def activation_patching(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    activation: ActivationName = "resid_pre",
    direction: Direction = "denoise",
    metric: Metrics = "logit_diff",
    axes: Axes = None,
    value: ValueLike = "other",
    at: int | None = None,
    window: Window = 1,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: Positions | None = None,
    sources: Sequence[int] | None = None,
    neurons: Sequence[int] | None = None,
    estimate: Annotated[str, OneOf(ESTIMATES, "way to estimate")] = "none",
    exact: Annotated[float, Field(ge=0, le=1), AppliesTo("estimate", tuple(RULES))] = 1.0,
    top_k: Annotated[int, Count("how many of the likeliest tokens to keep", 0, 100)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[EffectMap]]:
    """Patch every place of one kind, one at a time, and measure the effect of each patch.

    Equal to the functions of `transformer_lens.patching` (for example `get_act_patch_resid_pre`), cell by cell.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, for which the result is the mean, with every pair's own
            values and an interval. Prompts of different lengths are aligned (`PromptPair.alignment`); a token without
            a counterpart is not patched.
        activation: a key of `ACTIVATIONS`: `embed`, `resid_pre`, `resid_mid`, `resid_post`, `attn_out`, `mlp_out`,
            `mlp_post` (neurons), and by head `z`, `q`, `k`, `v` and `pattern`.
        direction: the run that is patched: "denoise" patches the corrupt run (which activations are enough to restore
            the answer?), "noise" the clean run (which activations does the answer need?).
        metric: one of `METRICS`, or a function of logits [run, d_vocab] that gives one number for each run, [run]; or
            several metrics, which need no further runs. A metric with a position, `("prob", 3)`, is read there.
            "answer_log_prob" scores all tokens of the clean answer: it is appended to both prompts, except for its last
            token. The appended tokens are positions of the map too, and negative positions count from the last of them.
        axes: the axes of the result: `("layer", "position")`; by head `("layer", "head")`, which patches a head at all
            positions at once, or `("layer", "head", "position")`; for a pattern also
            `("layer", "head", "position", "source")`, its single entries; for neurons `("layer", "neuron")` or
            `("layer", "position", "neuron")`. The default is the first of these that fits.
        value: the value that is patched in: "other" (from the pair's other run), "zero", or one of `FromPrompt`,
            `Mean`, `Resample`, `Add`, `Scale`; see `interventions`.
        at: the position of the patched prompt where metrics are read, negative if counted from the end; by default the
            last position.
        window: how many neighbouring layers are patched together in each cell (Meng et al. 2022).
        layers, heads, positions, sources, neurons: restrict the sweep to these; `positions` can be named sets, each of
            which is patched in one run, `{"subject": [3, 4], "last": [-1]}`.
        estimate: estimate every cell first, from gradients by these rules, as `attribution_patching` does, and then run
            the cells in the order of their estimated size. "none" runs them in the order of the axes; so does a sweep
            of fewer than 200 cells, and one whose effects can't be estimated, with a warning that says why. Of a data
            set, the mean over all pairs is estimated first, and then the same cells are run in all pairs. For the first
            metric.
        exact: of the cells that were estimated, the share that is run, largest estimates first, from 0 to 1. The others
            keep the state `ESTIMATE`.
        top_k: how many of each patched run's likeliest next tokens to keep; 0 keeps none.
        memory: bytes that a pass may take beyond the model; None means a quarter of the free memory.

    Returns:
        An `EffectMap` with `values` [*axes] in the metric's own unit (logits, nats, ...) and `normalized`; with
        `estimate`, also `estimates` [*axes] and how well they agree, `agreement`.

    Raises:
        ValueError: the model lacks the activation or ignores edits of it, the axes don't fit the activation, a place
            does not exist, an answer has several tokens and neither is `score_first_token` set nor the metric
            "answer_log_prob", a metric fails or needs a missing answer, or logits are not numbers.
        MemoryError: a single patched run does not fit into memory.
    """
    model = load_model(model)
    choices = Choices(
        activation=activation,
        axes=choose_axes(model, activation, axes),
        direction=direction,
        value=as_value(value),
        at=at,
        where=where_of(layers, heads, positions, sources, neurons, window),
        estimate=estimate,
        exact=exact,
        top_k=top_k,
        memory=memory,
    )
    measures = as_measures(metric)
    many = isinstance(pair, PromptPairs)
    if isinstance(exact, bool) or not isinstance(exact, (int, float, np.floating)) or not 0 <= exact <= 1:
        raise ValueError(f"exact is the share of the estimated cells that is run, from 0 to 1, not {exact!r}.")
    tokenized = tokenize_all(model, pair, measures)
    readings = readings_of(tokenized, choices.base_side, at, measures, many)
    choices = replace(choices, top_k=0) if many else choices
    with Turn(model) as turn:
        runs = BaseRuns(turn, tokenized, readings, [(choices.activation, choices.value)], choices.top_k)
        sweeps = [_PairSweep(runs, i, choices) for i in range(len(tokenized))]
        if many:
            tokens = [one.texts[choices.base_side] for one in tokenized]
            yield from _steps_of_all(sweeps, tokens, [one.pair for one in tokenized], choices)
        else:
            yield from sweeps[0].steps()


@dataclass(frozen=True)
class Choices:
    """The arguments of a sweep, except the pair and the metrics."""

    activation: str
    axes: tuple[str, ...]
    direction: Direction
    value: Any
    at: int | None
    where: Where
    estimate: str
    exact: float
    top_k: int
    memory: int | None

    @property
    def base_side(self) -> Side:
        return "corrupt" if self.direction == "denoise" else "clean"

    @property
    def resolved(self) -> dict[str, Any]:
        """The parameters with their defaults resolved, as plain JSON values."""
        where = self.where.model_dump(mode="json", exclude_none=True)
        return {"axes": list(self.axes), **where}


def where_of(
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
    positions: Positions | None,
    sources: Sequence[int] | None,
    neurons: Sequence[int] | None,
    window: int,
) -> Where:
    """Make a `Where`.

    Raises:
        ValueError: an argument is not a list of whole numbers.
    """
    if isinstance(positions, Mapping):
        positions = {str(name): named for name, named in positions.items()}
    try:
        chosen = {"layers": layers, "heads": heads, "positions": positions, "sources": sources, "neurons": neurons}
        return Where.model_validate({**chosen, "window": window})
    except ValidationError as problem:
        name = str(problem.errors()[0]["loc"][0])
        kinds = {
            "window": "a whole number",
            "positions": "a list of whole numbers, or such lists by name, {name: list}",
        }
        given = positions if name == "positions" else problem.errors()[0]["input"]
        raise ValueError(f"{name} is {kinds.get(name, 'a list of whole numbers')}, not {given!r}.") from None


def tokenize_all(model: LanguageModel, pair: Any, measures: list[Measure]) -> list[TokenizedPair]:
    """Tokenise a pair, or all pairs of a data set.

    Raises:
        ValueError: a pair can't be run with these metrics; for a data set, the message names the pair.
    """
    many = isinstance(pair, PromptPairs)
    whole = measures[0].whole_answer
    tokenized = [tokenize(model, one, whole) for one in (pair.pairs if many else [as_pair(pair)])]
    needs = sorted({need for measure in measures for need in measure.needs})
    for i, one in enumerate(tokenized):
        with naming(i, one.pair, many):
            one.refuse(needs)
            if whole:
                tokenized[i] = one.with_answer(model.n_ctx)
    if len(lengths := sorted({len(one.appended) + 1 for one in tokenized})) > 1:
        # Pairs are aligned at their ends, where the end of one prompt would then meet a token of another's answer.
        raise ValueError(
            f"The clean answers of this data set have {lengths[0]} to {lengths[-1]} tokens. To be scored whole, they "
            "all need the same number: sort the pairs by it, and sweep each group."
        )
    return tokenized


def readings_of(
    tokenized: Sequence[TokenizedPair], side: Side, at: int | None, measures: list[Measure], many: bool
) -> list[Readings]:
    """The readings of each pair.

    Raises:
        ValueError: a prompt has no such position; for a data set, the message names the pair.
    """
    readings = []
    for i, one in enumerate(tokenized):
        with naming(i, one.pair, many):
            readings.append(Readings.of(one, side, at, measures))
    return readings


def _steps_of_all(
    sweeps: list[_PairSweep], tokens: Sequence[list[str]], pairs: Sequence[PromptPair], choices: Choices
) -> Iterator[Step[EffectMap]]:
    """The steps of a data set: estimates and then blocks of cells, or one pair after the other."""
    if choices.estimate != "none":
        began, runs = time.perf_counter(), KeptRuns(sweeps, pairs)
        mean = PairMean(runs[0].empty_result(), tokens, pairs)
        if mean.result.values.size >= FEWEST_ESTIMATED:
            guide = yield from estimates_of_all(sweeps, runs, mean, tokens, pairs)
            if guide is not None:
                yield from steps_largest_first(guide, mean, runs, pairs, choices.exact, began)
                return
        sweeps = [replace(one, choices=replace(choices, estimate="none")) for one in sweeps]
        for i, prepared in runs.kept.items():
            sweeps[i].begun = prepared.sweep
    yield from steps_over_pairs(sweeps, tokens, pairs)


@dataclass
class _PairSweep:
    """The sweep of one pair; `begun` if its unpatched runs are made."""

    runs: BaseRuns
    pair: int
    choices: Choices
    begun: Sweep | None = None

    def steps(self) -> Iterator[Step[EffectMap]]:
        choices, sweep = self.choices, self._begin()
        cells = self._cells(sweep)
        guide = None
        if choices.estimate != "none" and math.prod(cells.shape) >= FEWEST_ESTIMATED:
            try:
                guide = self.guide(sweep)
            except (ValueError, RuntimeError, MemoryError) as problem:
                sweep.notes.append(why_not_estimated(problem))
        resolved = {**choices.resolved, "estimate": "none" if guide is None else choices.estimate}
        trials = sweep.binding.trials(choices.activation)
        yield from sweep.steps(resolved, cells, trials, choices.activation, guide, choices.exact)

    def prepared(self) -> Prepared:
        """The pair of a data set that is estimated first."""
        choices, sweep = self.choices, self._begin()
        binding = sweep.binding
        reason = why_not_packed(binding.turn, binding.base, binding.trials(choices.activation), choices.activation)
        return Prepared(sweep, self._cells(sweep), {**choices.resolved, "estimate": choices.estimate}, reason)

    def _begin(self) -> Sweep:
        begun, self.begun = self.begun, None
        return begun or Sweep(self.runs, self.pair, self.choices.top_k, self.choices.memory, time.perf_counter())

    def _cells(self, sweep: Sweep) -> Cells:
        choices, texts = self.choices, self.runs.tokenized[self.pair].texts[self.choices.base_side]
        return cells_of(sweep.binding, choices.activation, choices.axes, choices.value, choices.where, texts)

    def guide(self, sweep: Sweep) -> EffectMap:
        """Estimates of the displayed metric.

        Raises:
            ValueError, RuntimeError, MemoryError: the effects of this sweep can't be estimated.
        """
        choices = self.choices
        refuse_rule(sweep.binding.model, choices.estimate)
        refuse_flat(sweep.readings.measures[:1], choices.direction, None)
        refuse_window(choices.where.window, choices.value)
        wanted = EstimateChoices(
            {choices.activation: choices.axes},
            choices.base_side,
            choices.value,
            choices.where,
            choices.estimate,
            NO_PATH,
        )
        return Estimates(sweep, wanted, metrics=1).maps()[choices.activation]
