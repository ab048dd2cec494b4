"""Make several interventions in one run and each alone, to see whether their effects add up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ..common.method import method
from ..common.over_pairs import steps_over_pairs
from ..common.signatures import AskedAs, Count, Local
from ..common.sweep import BaseRuns, Sweep
from ..engine.binding import Binding
from ..engine.edits import Edit
from ..engine.turn import Turn
from ..language.interventions import Intervention, as_tuple, check_activation
from ..language.loading import load_model
from ..language.metrics import as_measures
from ..language.model import LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side
from ..results.effect_map import EffectMap
from ..results.step import Step
from .activation_patching import Direction, Metrics, readings_of, tokenize_all

MOST = 2000


def _to_json(interventions: Sequence[Any]) -> list[list[dict[str, Any]]]:
    parts = [part if isinstance(part, (list, tuple)) else [part] for part in interventions]
    return [[one.model_dump(mode="json") for one in part] for part in parts]


@method
def patch_together(
    model: Any,
    pair: PromptPair | PromptPairs,
    interventions: Annotated[Sequence[Intervention | Sequence[Intervention]], AskedAs(list[Any], _to_json)],
    *,
    direction: Direction = "denoise",
    metric: Metrics = "logit_diff",
    at: int | None = None,
    top_k: Annotated[int, Count("how many of the likeliest tokens to keep", 0, 100)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[EffectMap]]:
    """Make all interventions in one run, and each in a run of its own.

    Args:
        model, pair, direction, metric, at, top_k, memory: as in `activation_patching`.
        interventions: one or more interventions; a list of several counts as one.

    Returns:
        An `EffectMap` with the one axis `run`: index 0 is the joint run, and the others are the interventions alone, in
        order. `result.normalized[0] - result.normalized[1:].sum()` is the part of the joint effect that the single
        effects leave unexplained.

    Raises:
        ValueError: as in `activation_patching`, or the list of interventions is empty.
    """
    model = load_model(model)
    parts = _parts(model, interventions)
    measures = as_measures(metric)
    many = isinstance(pair, PromptPairs)
    side: Side = "corrupt" if direction == "denoise" else "clean"
    tokenized = tokenize_all(model, pair, measures)
    readings = readings_of(tokenized, side, at, measures, many)
    top_k = 0 if many else top_k
    with Turn(model) as turn:
        uses = [(one.activation, one.value) for part in parts for one in part]
        runs = BaseRuns(turn, tokenized, readings, uses, top_k)
        tokens = [one.texts[side] for one in tokenized]
        longest = max(map(len, tokens))
        sweeps = [
            _TogetherSweep(runs, i, _fitting(parts, len(own), longest), top_k, memory) for i, own in enumerate(tokens)
        ]
        if many:
            yield from steps_over_pairs(sweeps, tokens, [one.pair for one in tokenized])
        else:
            yield from sweeps[0].steps()


def _fitting(parts: list[list[Intervention]], length: int, longest: int) -> list[list[Intervention]]:
    """The parts without those positions, counted from the end, that only longer prompts of the data set have."""

    def here(position: int) -> bool:
        return not -longest <= position < -length

    def fitting(one: Intervention) -> Intervention | None:
        several = one.position if isinstance(one.position, tuple) else (one.position,)
        kept = tuple(p for p in several if p is None or here(p))
        if len(kept) == len(several):
            return one
        return one.model_copy(update={"position": kept}) if kept else None

    return [[kept for one in part if (kept := fitting(one)) is not None] for part in parts]


def _parts(model: LanguageModel, interventions: Any) -> list[list[Intervention]]:
    """The interventions as lists; the members of a list count as one intervention.

    Raises:
        ValueError: there are none or too many, an item is not an intervention, or an activation can't be patched.
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
    top_k: int
    memory: int | None

    def steps(self) -> Iterator[Step[EffectMap]]:
        sweep = Sweep(self.runs, self.pair, self.top_k, self.memory, time.perf_counter())
        activations = sorted({activation for activation, _ in self.runs.uses})
        trials = [trial for activation in activations for trial in sweep.binding.trials(activation)]
        yield from sweep.steps({}, _Runs(self.parts), trials, tuple(activations))


@dataclass
class _Runs:
    """The cells of the sweep: all parts together, then each part alone."""

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
