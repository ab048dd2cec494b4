"""Several interventions at once, and each of them alone: do their effects add up?"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..binding import Binding
from ..executor import Edit, Limits
from ..interventions import Intervention, check_activation
from ..loading import load_model
from ..metrics import Measure, MetricLike, as_measures
from ..model import LanguageModel
from ..pairs import PromptPairs
from ..prompts import PromptPair, Side, TokenizedPair
from ..results import Result
from ..turn import Turn
from .activation_patching import STREAMING, Direction, tokenize_all
from .over_pairs import steps_over_pairs
from .sweep import Readings, Step, Sweep, bind

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
) -> Result:
    """Make all interventions in one run, and each in a run of its own.

    Args:
        model, pair, direction, metric, at, top_k, memory: as in `activation_patching`.
        interventions: one or more; several in a list count as one.

    Returns:
        A `Result` with the one axis `run`: index 0 is all of them together, the others are each alone, in order.
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
    tokenized = tokenize_all(model, pair, measures)
    with Turn(model) as turn:
        top_k = 0 if many else top_k
        sweeps = [
            _TogetherSweep(turn, one, parts, direction, measures, at, top_k, limits or STREAMING) for one in tokenized
        ]
        if many:
            yield from steps_over_pairs(
                sweeps, [one.texts[s.side] for one, s in zip(tokenized, sweeps)], [one.pair for one in tokenized]
            )
        else:
            yield from sweeps[0].steps()


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

    turn: Turn
    tokenized: TokenizedPair
    parts: list[list[Intervention]]
    direction: Direction
    measures: list[Measure]
    at: int | None
    top_k: int
    limits: Limits

    @property
    def side(self) -> Side:
        return "corrupt" if self.direction == "denoise" else "clean"

    def steps(self) -> Iterator[Step]:
        began = time.perf_counter()
        everything = [one for part in self.parts for one in part]
        readings = Readings.of(self.tokenized, self.side, self.at, self.measures)
        binding = bind(self.turn, self.tokenized, readings, [(one.activation, one.value) for one in everything])
        activations = sorted({one.activation for one in everything})
        trials = [trial for activation in activations for trial in binding.trials(activation)]
        params = {
            "pair": self.tokenized.pair.model_dump(mode="json"),
            "direction": self.direction,
            "at": self.at,
            "top_k": self.top_k,
            "interventions": [[one.model_dump(mode="json") for one in part] for part in self.parts],
        }
        sweep = Sweep(binding, readings, self.tokenized, self.top_k, self.limits, began)
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
        chosen = [one for part in self.parts for one in part] if index[0] == 0 else self.parts[index[0] - 1]
        return binding.together(chosen, draw)


def _words(one: Intervention) -> str:
    """An intervention in a few words: "z, layer 2, head 1"."""
    named = {name: getattr(one, name) for name in ("layer", "head", "position", "source", "neuron")}
    return ", ".join([one.activation, *(f"{name} {value}" for name, value in named.items() if value is not None)])
