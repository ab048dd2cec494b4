"""Activation patching: put an activation of one run into another, and see what comes back.

Also called causal tracing or interchange intervention: Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022
(arXiv:2202.05262); on directions and metrics, Zhang & Nanda 2023 (arXiv:2309.16042) and Heimersheim & Nanda
2024 (arXiv:2404.15255).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import ValidationError

from ..common.cells import Positions, Where, cells_of, choose_axes
from ..common.over_pairs import naming, steps_over_pairs
from ..common.sweep import BaseRuns, Readings, Step, Sweep
from ..engine.executor import Limits
from ..engine.turn import Turn
from ..language.interventions import as_value
from ..language.loading import load_model
from ..language.metrics import Measure, MetricLike, as_measures
from ..language.model import LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side, TokenizedPair, as_pair, tokenize
from ..results.effect_map import EffectMap

Direction = Literal["denoise", "noise"]
STREAMING = Limits(seconds=0.1)  # so that cells come while one looks on, and a cancel is quick


def activation_patching(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    activation: str = "resid_pre",
    direction: Direction = "denoise",
    metric: MetricLike | Sequence[MetricLike] = "logit_diff",
    axes: Sequence[str] | None = None,
    value: Any = "other",
    at: int | None = None,
    window: int = 1,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: Positions | None = None,
    sources: Sequence[int] | None = None,
    neurons: Sequence[int] | None = None,
    top_k: int = 0,
    memory: int | None = None,
) -> EffectMap:
    """Patch every place of one kind, one at a time, and measure what each does.

    Equal to the functions of `transformer_lens.patching` (for example `get_act_patch_resid_pre`), cell by cell.

    Args:
        model: what `load_model` gives or takes.
        pair: a clean and a corrupt prompt, or a `PromptPairs` of many: the result is then their mean, with every pair's
            own values and an interval. Prompts of different length are aligned (`PromptPair.alignment`); where a token
            has no counterpart nothing is patched.
        activation: a key of `ACTIVATIONS`: `embed`, `resid_pre`, `resid_mid`, `resid_post`, `attn_out`, `mlp_out`,
            `mlp_post` (neurons), and by head `z`, `q`, `k`, `v` and `pattern`.
        direction: which run is patched: "denoise" the corrupt one (what is enough to restore the answer), "noise" the
            clean one (what is needed for it).
        metric: one of `METRICS`, or a function of logits [run, d_vocab] that gives one number a run, [run]; or several,
            at no further run. A metric with a position, `("prob", 3)`, is read there.
        axes: the axes of the result. `("layer", "position")`; by head `("layer", "head")`, which patches a head at all
            positions at once, or `("layer", "head", "position")`; for a pattern also
            `("layer", "head", "position", "source")`, its single entries; for neurons `("layer", "neuron")` or
            `("layer", "position", "neuron")`. By default the first of these that fits.
        value: what is put in: "other" (the pair's other run), "zero", or one of `FromPrompt`, `Mean`, `Resample`,
            `Add`, `Scale`; see `interventions`.
        at: the position of the patched prompt at which metrics are read, negative from its end; None is the last.
        window: how many neighbouring layers are patched together in each cell (Meng et al. 2022).
        layers, heads, positions, sources, neurons: sweep these alone; `positions` can be named sets, each patched as
            one, `{"subject": [3, 4], "last": [-1]}`.
        top_k: how many of each patched run's likeliest next tokens to keep; 0 keeps none.
        memory: bytes that a pass may take beyond the model; None is a quarter of what is free.

    Returns:
        An `EffectMap` with `values` [*axes] in the metric's own unit (logits, nats, ...) and `normalized`.

    Raises:
        ValueError: an activation that this model does not have or whose edits it ignores, axes that don't fit the
            activation, a place that does not exist, an answer of several tokens that is not to be scored by its first,
            a metric that needs a missing answer or fails, logits that are not numbers.
        MemoryError: one patched run alone does not fit into memory.
    """
    steps = activation_patching_steps(
        model,
        pair,
        activation=activation,
        direction=direction,
        metric=metric,
        axes=axes,
        value=value,
        at=at,
        window=window,
        layers=layers,
        heads=heads,
        positions=positions,
        sources=sources,
        neurons=neurons,
        top_k=top_k,
        limits=Limits(memory),
    )
    return deque(steps, maxlen=1)[0].result  # the last step; there is always a first


def activation_patching_steps(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    activation: str = "resid_pre",
    direction: Direction = "denoise",
    metric: MetricLike | Sequence[MetricLike] = "logit_diff",
    axes: Sequence[str] | None = None,
    value: Any = "other",
    at: int | None = None,
    window: int = 1,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: Positions | None = None,
    sources: Sequence[int] | None = None,
    neurons: Sequence[int] | None = None,
    top_k: int = 0,
    limits: Limits | None = None,
) -> Iterator[Step]:
    """`activation_patching` in steps; all of them share one result, filled as it goes.

    The first step has the cells that need no run. Whoever stops early keeps the last step's result, with
    `complete` False. The model's lock is held from the first step until the iterator ends or is closed.
    """
    model = load_model(model)
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 0:
        raise ValueError(f"top_k is how many tokens to keep, 0 or more, not {top_k!r}.")
    if direction not in get_args(Direction):
        raise ValueError(f"There is no direction {direction!r}. Choose denoise or noise.")
    fixed = Fixed(
        activation=activation,
        axes=choose_axes(model, activation, axes),
        direction=direction,
        value=as_value(value),
        at=at,
        where=where_of(layers, heads, positions, sources, neurons, window),
        top_k=top_k,
        limits=limits or STREAMING,
    )
    measures = as_measures(metric)
    many = isinstance(pair, PromptPairs)
    tokenized = tokenize_all(model, pair, measures)
    readings = readings_of(tokenized, fixed.base_side, at, measures, many)
    fixed = replace(fixed, top_k=0) if many else fixed
    with Turn(model) as turn:
        runs = BaseRuns(turn, tokenized, readings, [(fixed.activation, fixed.value)], fixed.top_k)
        sweeps = [_PairSweep(runs, i, fixed) for i in range(len(tokenized))]
        if many:
            tokens = [one.texts[fixed.base_side] for one in tokenized]
            yield from steps_over_pairs(sweeps, tokens, [one.pair for one in tokenized])
        else:
            yield from sweeps[0].steps()


@dataclass(frozen=True)
class Fixed:
    """What a sweep is asked for, apart from the pair and the metrics."""

    activation: str
    axes: tuple[str, ...]
    direction: Direction
    value: Any
    at: int | None
    where: Where
    top_k: int
    limits: Limits

    @property
    def base_side(self) -> Side:
        return "corrupt" if self.direction == "denoise" else "clean"

    def params(self, pair: PromptPair) -> dict[str, Any]:
        """The same as plain JSON values, for the result."""
        return {
            "pair": pair.model_dump(mode="json"),
            "activation": self.activation,
            "axes": list(self.axes),
            "direction": self.direction,
            "value": self.value.model_dump(mode="json"),
            "at": None if self.at is None else int(self.at),
            "top_k": self.top_k,
            **self.where.model_dump(mode="json", exclude_none=True),
        }


def where_of(
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
    positions: Positions | None,
    sources: Sequence[int] | None,
    neurons: Sequence[int] | None,
    window: int,
) -> Where:
    """These as a `Where`, or a ValueError that names the one that is no list of whole numbers."""
    if isinstance(positions, Mapping):
        positions = {str(name): some for name, some in positions.items()}
    try:
        some = {"layers": layers, "heads": heads, "positions": positions, "sources": sources, "neurons": neurons}
        return Where.model_validate({**some, "window": window})
    except ValidationError as problem:
        name = str(problem.errors()[0]["loc"][0])
        kinds = {
            "window": "a whole number",
            "positions": "a list of whole numbers, or such lists by name, {name: list}",
        }
        given = positions if name == "positions" else problem.errors()[0]["input"]
        raise ValueError(f"{name} is {kinds.get(name, 'a list of whole numbers')}, not {given!r}.") from None


def tokenize_all(model: LanguageModel, pair: Any, measures: list[Measure]) -> list[TokenizedPair]:
    """A pair, or all of a data set, tokenised.

    Raises:
        ValueError: a pair that forbids a run with these metrics; of a data set, which one.
    """
    many = isinstance(pair, PromptPairs)
    tokenized = [tokenize(model, one) for one in (pair.pairs if many else [as_pair(pair)])]
    needs = sorted({need for measure in measures for need in measure.needs})
    for i, one in enumerate(tokenized):
        with naming(i, one.pair, many):
            one.refuse(needs)
    return tokenized


def readings_of(
    tokenized: Sequence[TokenizedPair], side: Side, at: int | None, measures: list[Measure], many: bool
) -> list[Readings]:
    """What is read of each pair.

    Raises:
        ValueError: a position that a prompt does not have; of a data set, which pair's.
    """
    made = []
    for i, one in enumerate(tokenized):
        with naming(i, one.pair, many):
            made.append(Readings.of(one, side, at, measures))
    return made


@dataclass
class _PairSweep:
    """One pair's sweep: `steps` binds it to its runs and goes through its cells."""

    runs: BaseRuns
    pair: int
    fixed: Fixed

    def steps(self) -> Iterator[Step]:
        began = time.perf_counter()
        fixed, tokenized = self.fixed, self.runs.tokenized[self.pair]
        sweep = Sweep(self.runs, self.pair, fixed.top_k, fixed.limits, began)
        texts = tokenized.texts[fixed.base_side]
        cells = cells_of(sweep.binding, fixed.activation, fixed.axes, fixed.value, fixed.where, texts)
        trials = sweep.binding.trials(fixed.activation)
        yield from sweep.steps("activation_patching", fixed.params(tokenized.pair), cells, trials, fixed.activation)
