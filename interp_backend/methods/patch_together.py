"""Several interventions at once, and each of them alone: do their effects add up?"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.over_pairs import steps_over_pairs
from ..common.sweep import BaseRuns, Step, Sweep
from ..engine.binding import Binding
from ..engine.edits import Edit
from ..engine.executor import Limits
from ..engine.turn import Turn
from ..language.interventions import Intervention, as_tuple, check_activation
from ..language.loading import load_model
from ..language.metrics import MetricLike, as_measures
from ..language.model import LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side
from ..results.effect_map import EffectMap
from .activation_patching import STREAMING, Direction, readings_of, tokenize_all

MOST = 2000


def patch_together(
    model: Any,
    pair: PromptPair | PromptPairs,
    interventions: Sequence[Intervention | Sequence[Intervention]],
    *,
    direction: Direction = "denoise",
    metric: MetricLike | Sequence[MetricLike] = "logit_diff",
    at: int | None = None,
    top_k: int = 0,
    memory: int | None = None,
) -> EffectMap:
    """Make all interventions in one run, and each in a run of its own.

    Args:
        model, pair, direction, metric, at, top_k, memory: as in `activation_patching`.
        interventions: one or more; several in a list count as one.

    Returns:
        An `EffectMap` with the one axis `run`: index 0 is all of them together, the others are each alone, in order.
        `result.normalized[0] - result.normalized[1:].sum()` is what the effects of the parts leave unexplained.

    Raises:
        ValueError: as `activation_patching`, or no intervention at all.
    """
    limits = Limits(memory)
    steps = patch_together_steps(
        model, pair, interventions, direction=direction, metric=metric, at=at, top_k=top_k, limits=limits
    )
    return deque(steps, maxlen=1)[0].result


def patch_together_steps(
    model: Any,
    pair: PromptPair | PromptPairs,
    interventions: Sequence[Intervention | Sequence[Intervention]],
    *,
    direction: Direction = "denoise",
    metric: MetricLike | Sequence[MetricLike] = "logit_diff",
    at: int | None = None,
    top_k: int = 0,
    limits: Limits | None = None,
) -> Iterator[Step]:
    """`patch_together` in steps, like `activation_patching_steps`."""
    model = load_model(model)
    parts = _parts(model, interventions)
    if direction not in ("denoise", "noise"):
        raise ValueError(f"There is no direction {direction!r}. Choose denoise or noise.")
    measures = as_measures(metric)
    many = isinstance(pair, PromptPairs)
    side: Side = "corrupt" if direction == "denoise" else "clean"
    tokenized = tokenize_all(model, pair, measures)
    readings = readings_of(tokenized, side, at, measures, many)
    params = {
        "direction": direction,
        "at": None if at is None else int(at),
        "top_k": 0 if many else top_k,
        "interventions": [[one.model_dump(mode="json") for one in part] for part in parts],
    }
    with Turn(model) as turn:
        uses = [(one.activation, one.value) for part in parts for one in part]
        runs = BaseRuns(turn, tokenized, readings, uses, params["top_k"])
        tokens = [one.texts[side] for one in tokenized]
        longest = max(map(len, tokens))
        sweeps = [
            _TogetherSweep(runs, i, _fitting(parts, len(own), longest), params, limits or STREAMING)
            for i, own in enumerate(tokens)
        ]
        if many:
            yield from steps_over_pairs(sweeps, tokens, [one.pair for one in tokenized])
        else:
            yield from sweeps[0].steps()


def _fitting(parts: list[list[Intervention]], length: int, longest: int) -> list[list[Intervention]]:
    """The parts without positions, counted from the end, that a longer prompt of the data set has and this one not."""

    def here(position: int) -> bool:
        return not -longest <= position < -length

    def fitting(one: Intervention) -> Intervention | None:
        several = one.position if isinstance(one.position, tuple) else (one.position,)
        kept = tuple(p for p in several if p is None or here(p))
        if len(kept) == len(several):
            return one
        return one.model_copy(update={"position": kept}) if kept else None

    return [[made for one in part if (made := fitting(one)) is not None] for part in parts]


def _parts(model: LanguageModel, interventions: Any) -> list[list[Intervention]]:
    """The interventions, those that count as one in a list.

    Raises:
        ValueError: none, too many, something that is no intervention, or an activation that can't be patched.
    """
    several = isinstance(interventions, (list, tuple))
    parts = [list(part) if isinstance(part, (list, tuple)) else [part] for part in interventions] if several else []
    if not 0 < len(parts) <= MOST or not all(parts):
        raise ValueError(f"Give a list of 1 to {MOST} interventions to make together, none of them empty.")
    for one in (one for part in parts for one in part):
        if not isinstance(one, Intervention):
            raise ValueError(f"An intervention is an Intervention(activation, layer, ...), not {one!r}.")
        check_activation(model, one.activation)
    return parts


@dataclass
class _TogetherSweep:
    """The joint and the single runs of one pair."""

    runs: BaseRuns
    pair: int
    parts: list[list[Intervention]]
    params: dict[str, Any]
    limits: Limits

    def steps(self) -> Iterator[Step]:
        sweep = Sweep(self.runs, self.pair, self.params["top_k"], self.limits, time.perf_counter())
        activations = sorted({activation for activation, _ in self.runs.uses})
        trials = [trial for activation in activations for trial in sweep.binding.trials(activation)]
        params = {"pair": self.runs.tokenized[self.pair].pair.model_dump(mode="json"), **self.params}
        yield from sweep.steps("patch_together", params, _Runs(self.parts), trials, tuple(activations))


@dataclass
class _Runs:
    """All parts together, then each alone."""

    parts: list[list[Intervention]]

    @property
    def axes(self) -> tuple[str, ...]:
        return ("run",)

    @property
    def places(self) -> dict[str, list[int | list[int]]]:
        return {"run": list(range(len(self.parts) + 1))}

    @property
    def labels(self) -> dict[str, list[str]]:
        return {"run": ["together", *(" and ".join(map(_words, part)) for part in self.parts)]}

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parts) + 1,)

    def indices(self) -> Iterator[tuple[int, ...]]:
        return ((i,) for i in range(len(self.parts) + 1))

    def edits(self, binding: Binding, index: tuple[int, ...], draw: int) -> list[Edit]:
        return binding.together(self._chosen(index), draw)

    def left_out(self, binding: Binding, index: tuple[int, ...]) -> int:
        length = len(binding.base.tokens)
        return sum(
            binding.left_out([p % length for p in as_tuple(one.position, length)], one.value)
            for one in self._chosen(index)
        )

    def _chosen(self, index: tuple[int, ...]) -> list[Intervention]:
        if index[0]:
            return self.parts[index[0] - 1]
        return [one for part in self.parts for one in part]


def _words(one: Intervention) -> str:
    """An intervention in a few words: "z, layer 2, head 1"."""
    named = {name: getattr(one, name) for name in ("layer", "head", "position", "source", "neuron")}
    return ", ".join([one.activation, *(f"{name} {value}" for name, value in named.items() if value is not None)])
