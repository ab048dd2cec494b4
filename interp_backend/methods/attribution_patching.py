"""Attribution patching: estimate the effect of every patch at once, from gradients.

The effect of a patch is estimated as the change that it makes to an activation, times the gradient of the metric there
(Nanda 2023, "Attribution patching"; Kramár et al. 2024, arXiv:2403.00745). `rules` and `ig_steps` choose what takes the
place of the gradient: see `engine/backward.py`, and on integrated gradients Sundararajan et al. 2017 (arXiv:1703.01365)
and Hanna et al. 2024 (arXiv:2403.17806).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from ..common.cells import Cells, Positions, Where, cells_of, choose_axes
from ..common.method import method
from ..common.over_pairs import naming, steps_over_pairs
from ..common.signatures import Count, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.backward import RULES, gradients, refuse_rule
from ..engine.turn import Turn
from ..language.interventions import FromOther, Value, as_value
from ..language.loading import load_model
from ..language.metrics import Measure, as_measures
from ..language.model import ACTIVATIONS, LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side, TokenizedPair
from ..results.effect_map import ESTIMATE, NO_COUNTERPART, UNCHANGED, EffectMap
from ..results.step import Step, last_result, remaining
from .activation_patching import Axes, Direction, Metrics, ValueLike, readings_of, tokenize_all, where_of

ALL = "all"
CHOICES = {
    **{name: (name, one.help) for name, one in ACTIVATIONS.items()},
    ALL: ("all", "a map of each activation that the model has, all from one pass"),
}
PATHS = {
    "inputs": ("inputs", "the token embeddings go from the patched prompt's to the other's (EAP-IG)"),
    "activations": ("activations", "each layer's own activation goes from one to the other: many more runs"),
}
POINTS = {
    "midpoint": ("midpoint", "the middle of each step"),
    "mib": ("MIB", "the end of each step that is nearer to the corrupt prompt, as in EAP-IG and the MIB benchmark"),
}


@method
def attribution_patching(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    activation: Annotated[str, OneOf(CHOICES, "activation")] = "resid_pre",
    direction: Direction = "denoise",
    metric: Metrics = "logit_diff",
    rules: Annotated[str, OneOf({name: (one.label, one.help) for name, one in RULES.items()}, "rule")] = "gradient",
    ig_steps: Annotated[int, Count("how many steps integrated gradients take", 0, 1000)] = 0,
    ig_over: Annotated[str, OneOf(PATHS, "path")] = "inputs",
    ig_points: Annotated[str, OneOf(POINTS, "choice of points")] = "midpoint",
    axes: Axes = None,
    value: ValueLike = "other",
    at: int | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: Positions | None = None,
    sources: Sequence[int] | None = None,
    neurons: Sequence[int] | None = None,
) -> Iterator[Step[EffectMap | dict[str, EffectMap]]]:
    """Estimate the effect of patching every place of one kind, or of every kind, from gradients.

    Takes three forward runs and one backward run in all, where `activation_patching` takes a run for each cell.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, as in `activation_patching`.
        activation: as in `activation_patching`; or "all", for a map of each activation that the model has, without
            `pattern` where the prompts are not aligned one to one.
        direction: as in `activation_patching`. The gradient is that of the run that is patched.
        metric: as in `activation_patching`. A function has to be differentiable by torch, and `rank` is not. Each
            metric takes a backward run of its own.
        rules: what flows back through the model. "gradient": the derivative. "relp": the scale of norms is a constant,
            an activation function is its input times a constant, and both factors of a gated MLP get half
            (arXiv:2508.21258); "relp_ah": the same with constant attention patterns. "gim": the scale of norms is a
            constant, the softmax has temperature 2 on the way back, queries and keys get a quarter of their gradient,
            and values and the factors of a gated MLP half (arXiv:2505.17630).
        ig_steps: with integrated gradients, the gradient is the mean over this many points between the two runs; 0
            takes it at the patched run alone.
        ig_over: what moves between the points. "inputs" moves the token embeddings, one run for each step.
            "activations" moves one layer's activation at a time, a run for each step, activation and layer; its
            estimates of a layer's positions then add up to the effect of patching them all together.
        ig_points: where the points are. "midpoint": the middle of each step. "mib": k/m of the way from the corrupt
            prompt, k = 0 to m - 1, as in EAP-IG.
        axes, value, at, layers, heads, positions, sources, neurons: as in `activation_patching`. For a value that is
            drawn at random, the change is the mean over the draws.

    Returns:
        An `EffectMap` as of `activation_patching`, whose cells have the state `ESTIMATE`: `values` [*axes] is the
        metric of the patched run, in its own unit, plus the estimated effect. For "all", a dict of them by activation.

    Raises:
        ValueError: as in `activation_patching`; or the model can't be differentiated by these rules; or a metric has
            no gradient at the patched run.
    """
    model = load_model(model)
    refuse_rule(model, rules)
    measures, side = as_measures(metric), "corrupt" if direction == "denoise" else "clean"
    refuse_flat(measures, direction, ig_steps)
    tokenized = tokenize_all(model, pair, measures)
    wanted = _wanted(model, activation, tokenized, axes)
    path = Path(ig_steps, ig_over, ig_points == "mib", direction)
    choices = Choices(
        wanted, side, as_value(value), where_of(layers, heads, positions, sources, neurons, 1), rules, path
    )
    if ig_steps and ig_over == "inputs" and not isinstance(choices.value, FromOther):
        raise ValueError(
            "Integrated gradients over inputs go from one prompt of the pair to the other. Leave value at other, or "
            'set ig_over="activations".'
        )
    many = isinstance(pair, PromptPairs)
    readings = readings_of(tokenized, side, at, measures, many)
    found: list[dict[str, EffectMap]] = []
    with Turn(model) as turn:
        runs = BaseRuns(turn, tokenized, readings, choices.uses, 0)
        began = time.perf_counter()
        for i, one in enumerate(tokenized):
            with naming(i, one.pair, many):
                found.append(_Estimates(runs, i, choices).maps())
            if i + 1 < len(tokenized):
                yield Step(i + 1, len(tokenized), remaining(time.perf_counter() - began, i + 1, len(tokenized)))
    maps = {name: _mean(name, found, tokenized, side) if many else found[0][name] for name in wanted}
    yield Step(len(tokenized), len(tokenized), 0.0, maps if activation == ALL else maps[activation])


@dataclass(frozen=True)
class Path:
    """The points between two runs at which gradients are taken.

    Attributes:
        steps: how many; with 0, only the patched run itself.
        over: a key of `PATHS`.
        from_corrupt: whether the points are the ends of the steps that are nearer to the corrupt prompt.
        direction: "denoise" begins at the corrupt prompt.
    """

    steps: int
    over: str
    from_corrupt: bool
    direction: str

    @property
    def points(self) -> list[float]:
        """The points as shares of the way from the patched run to the other."""
        shift = 0.5 if not self.from_corrupt else 0.0 if self.direction == "denoise" else 1.0
        return [(k + shift) / self.steps for k in range(self.steps)] or [0.0]


@dataclass(frozen=True)
class Choices:
    """The arguments of a call, except the pair and the metrics; `axes` is by activation."""

    axes: dict[str, tuple[str, ...]]
    side: Side
    value: Value
    where: Where
    rule: str
    path: Path

    @property
    def uses(self) -> list[tuple[str, Value]]:
        moved = ["embed"] if self.path.steps and self.path.over == "inputs" else []
        return [(name, self.value) for name in dict.fromkeys([*self.axes, *moved])]


def refuse_flat(measures: Sequence[Measure], direction: str, ig_steps: int) -> None:
    """Raise ValueError for a metric that has no gradient at the patched run."""
    flat = {"rank", "kl" if direction == "noise" else "kl_corrupt"}
    for measure in measures:
        if measure.metric == "rank" or (measure.metric in flat and not ig_steps):
            raise ValueError(
                f"The {measure.label} has no gradient, or none at the patched run. Choose another metric, for example "
                "logit_diff" + (", or set ig_steps." if measure.metric != "rank" else ".")
            )


def _wanted(
    model: LanguageModel, activation: str, tokenized: Sequence[TokenizedPair], axes: Any
) -> dict[str, tuple[str, ...]]:
    """The axes of each activation that is asked for."""
    if activation != ALL:
        return {activation: choose_axes(model, activation, axes)}
    if axes is not None:
        raise ValueError("The axes belong to one activation. Leave them out, or name the activation.")
    aligned = all(one.aligned_one_to_one for one in tokenized)
    there = [name for name, one in ACTIVATIONS.items() if not model.why_not(name) and (aligned or not one.pattern)]
    return {name: choose_axes(model, name, None) for name in there}


class _Estimates:
    """The maps of one pair."""

    def __init__(self, runs: BaseRuns, pair: int, choices: Choices):
        self.choices = choices
        self.sweep = Sweep(runs, pair, 0, None, time.perf_counter())
        self.binding = self.sweep.binding
        self.changes: dict[tuple[str, Any], tuple[str, Tensor]] = {
            (name, layer): self._change(name, layer)
            for name, _ in choices.uses
            for layer in self.binding.model.layers_with(name)
        }

    def _change(self, activation: str, layer: int) -> tuple[str, Tensor]:
        """The hook of an activation and its mean change over all draws; zero where no metric is affected."""
        draws = range(self.binding.draws)
        made = [self.binding.change(activation, layer, self.choices.value, draw) for draw in draws]
        change = torch.stack([change for _, change in made]).mean(0)
        after = max(self.sweep.readings.base_positions) + 1
        axis = 1 if ACTIVATIONS[activation].pattern else 0
        change.narrow(axis, after, change.shape[axis] - after).zero_()
        return made[0][0], change

    def maps(self) -> dict[str, EffectMap]:
        """The map of each activation."""
        grads = self._gradients()
        return {name: self._map(name, axes, grads) for name, axes in self.choices.axes.items()}

    # Gradients

    def _gradients(self) -> list[dict[str, Tensor]]:
        """For each metric, by hook name, the gradient at each place, or its mean over the points of the path."""
        path, base = self.choices.path, self.binding.base.activations
        hooks = {self.changes[name, layer][0] for name, layer in self.changes if name in self.choices.axes}
        if not path.steps:
            return self._run(hooks, None)
        moved = dict(self.changes.values()) if path.over == "activations" else dict([self.changes["embed", 0]])
        total: list[dict[str, Tensor]] = []
        for hook in hooks if path.over == "activations" else moved:
            kept = {hook} if path.over == "activations" else hooks
            for point in path.points:
                found = self._run(kept, (hook, base[hook] + point * moved[hook]))
                total = total or [{} for _ in found]
                for sums, grads in zip(total, found):
                    sums.update({name: sums.get(name, 0) + grad / path.steps for name, grad in grads.items()})
        return total

    def _run(self, hooks: set[str], start: tuple[str, Tensor] | None) -> list[dict[str, Tensor]]:
        sweep, binding = self.sweep, self.binding
        read, tokens = sweep.readings.base_positions, binding.base.tokens.tolist()
        rule = self.choices.rule
        return gradients(binding.turn, tokens, sorted(hooks), read, sweep.vocabulary, sweep.measure, rule, start)

    # Maps

    def _map(self, activation: str, axes: tuple[str, ...], grads: list[dict[str, Tensor]]) -> EffectMap:
        texts, side = self.sweep.tokenized.texts[self.choices.side], self.choices.side
        cells = cells_of(self.binding, activation, axes, self.choices.value, self.choices.where, texts)
        resolved = {"activation": activation, "axes": list(axes)}
        result = self.sweep.empty_result(
            {**resolved, **self.choices.where.model_dump(mode="json", exclude_none=True)}, cells
        )
        changes = [self.changes[activation, layer] for layer in cells.places["layer"]]
        for measured, grad in zip(result.measures.values(), grads):
            effects = torch.stack([_reduced(change * grad[hook], cells) for hook, change in changes])
            base = measured.baselines[side]
            measured.values[...] = (float("nan") if base is None else base) + effects.cpu().numpy()
        kept = [place for place, there in enumerate(self.binding.counterparts) if there is not None]
        there = torch.stack([_reduced(self._patched(change, activation, kept), cells) for _, change in changes])
        changed = torch.stack([_reduced((change != 0).float(), cells) for _, change in changes])
        result.state[...] = ESTIMATE
        result.state[(changed == 0).cpu().numpy()] = UNCHANGED
        result.state[(there == 0).cpu().numpy()] = NO_COUNTERPART
        for measured in result.measures.values():
            measured.values[result.state == NO_COUNTERPART] = float("nan")
        self.sweep.count_left_out(result, cells)
        seconds = time.perf_counter() - self.sweep.began
        result.provenance.update(executor="backward", executor_reason=None, complete=True, seconds=seconds)
        return result

    def _patched(self, change: Tensor, activation: str, kept: list[int]) -> Tensor:
        """One at each entry that is patched, and zero where the position has no counterpart."""
        if not isinstance(self.choices.value, FromOther):
            return torch.ones_like(change, dtype=torch.float32)
        axis = 1 if ACTIVATIONS[activation].pattern else 0
        return torch.zeros_like(change, dtype=torch.float32).index_fill_(axis, torch.tensor(kept), 1)


def _reduced(one: Tensor, cells: Cells) -> Tensor:
    """A number for each entry of one layer's activation, summed over each cell of that layer, [*axes but the first]."""
    kind = ACTIVATIONS[cells.activation]
    names = ["head", "position", "source"] if kind.pattern else ["position", "head"] if kind.per_head else ["position"]
    names += [] if kind.pattern else ["neuron"]  # or the entries of the residual stream or of a head, summed here
    for axis in reversed(names):
        if axis not in cells.axes:
            one = one.sum(names.index(axis))
    left = [axis for axis in names if axis in cells.axes]
    one = one.permute([left.index(axis) for axis in cells.axes[1:]])
    for dim, axis in enumerate(cells.axes[1:]):
        parts = [torch.tensor(place if isinstance(place, list) else [place]) for place in cells.places[axis]]
        short = max(int(part.max()) for part in parts) + 1 - one.shape[dim]
        if short > 0:  # this layer has fewer neurons than others
            one = torch.cat([one, one.new_zeros([short if d == dim else n for d, n in enumerate(one.shape)])], dim)
        if all(len(part) == 1 for part in parts):
            one = one.index_select(dim, torch.cat(parts).to(one.device))
        else:
            one = torch.stack([one.index_select(dim, part.to(one.device)).sum(dim) for part in parts], dim)
    return one


@dataclass
class _Found:
    """A pair's finished map, as a sweep."""

    result: EffectMap

    def steps(self) -> Iterator[Step[EffectMap]]:
        yield Step(1, 1, 0.0, self.result, list(range(self.result.values.size)))


def _mean(
    name: str, found: Sequence[dict[str, EffectMap]], tokenized: Sequence[TokenizedPair], side: Side
) -> EffectMap:
    """The mean of all pairs' maps of one activation."""
    tokens = [one.texts[side] for one in tokenized]
    return last_result(
        steps_over_pairs([_Found(maps[name]) for maps in found], tokens, [one.pair for one in tokenized])
    )
