"""The effects of a sweep's patches, estimated from gradients, for all of its cells at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

from ..engine.backward import gradients
from ..engine.executor import is_out_of_memory
from ..engine.patched_patterns import effects_through_patterns
from ..language.interventions import Add, Scale, Value
from ..language.metrics import Measure
from ..language.model import ACTIVATIONS
from ..language.prompts import Side
from ..results.effect_map import ESTIMATE, NO_COUNTERPART, UNCHANGED, EffectMap
from .cells import Cells, Where, cells_of, layers_of
from .sweep import Sweep


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


FIXED: set[Literal["q", "k"]] = {"q", "k"}
NO_PATH = Path(0, "inputs", False, "denoise")  # the gradient at the patched run alone


@dataclass(frozen=True)
class EstimateChoices:
    """What to estimate, and how; `axes` is by activation."""

    axes: dict[str, tuple[str, ...]]
    side: Side
    value: Value
    where: Where
    rule: str
    path: Path
    qk_fix: bool = False
    grad_drop: bool = False

    @property
    def uses(self) -> list[tuple[str, Value]]:
        moved = ["embed"] if self.path.steps and self.path.over == "inputs" else []
        return [(name, self.value) for name in dict.fromkeys([*self.axes, *moved])]


def refuse_flat(measures: Sequence[Measure], direction: str, ig_steps: int | None) -> None:
    """Raise ValueError for a metric that has no gradient at the patched run.

    Args:
        ig_steps: of integrated gradients; None where they can't be chosen.
    """
    flat = {"rank", "kl" if direction == "noise" else "kl_corrupt"}
    for measure in measures:
        if measure.metric == "rank" or (measure.metric in flat and not ig_steps):
            raise ValueError(
                f"The {measure.label} has no gradient, or none at the patched run. Choose another metric, for example "
                "logit_diff" + (", or set ig_steps." if measure.metric != "rank" and ig_steps is not None else ".")
            )


def why_not_estimated(problem: Exception) -> str:
    """A warning that the effects of a sweep can't be estimated. What is no reason for that is raised again."""
    if not isinstance(problem, ValueError) and not is_out_of_memory(problem):
        raise problem
    # A backward run keeps the activations of all layers, and so takes more memory than any patched run.
    why = problem if isinstance(problem, ValueError) else "A run with gradients does not fit into memory."
    return f"The effects can't be estimated first, so all cells are run. {why}"


def refuse_window(window: int, value: Value) -> None:
    """Raise ValueError for a window whose effect is not the sum of its layers' estimates.

    Let a window write into the activations a_1, ..., a_w of neighbouring layers. A layer's gradient g_k has all paths
    to the metric, also those through a_(k+1). If every layer adds its change d_k to what has become of a_k, those paths
    stay, and to first order the effect is the sum of g_k d_k; scaling by a factor near 1 adds (factor - 1) a_k. But a
    value that replaces a_(k+1) overwrites what the change of a_k has made there, so the sum counts the paths through
    patched places that the run does not have. In the residual stream these are most of all paths. The
    right number needs the Jacobians between the patched places, which differ for every cell: a run with gradients for
    each, and so more than the patched run that it is to replace.
    """
    if window > 1 and not isinstance(value, Add | Scale):
        raise ValueError(
            "Estimates of several layers add up only where values are added or scaled: a value that replaces a later "
            "layer's activation overwrites what the change of an earlier one does to it. Set window=1, or choose Add."
        )


class Estimates:
    """The estimated effects of one pair.

    Args:
        sweep: the pair's unpatched runs and metrics.
        metrics: how many of the metrics to estimate, from the first, since each takes a backward run.
    """

    def __init__(self, sweep: Sweep, choices: EstimateChoices, metrics: int | None = None):
        self.sweep, self.choices, self.metrics = sweep, choices, metrics
        self.binding = sweep.binding
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
        cells = {name: self._cells(name, axes) for name, axes in self.choices.axes.items()}
        effects = self._effects(cells, None)
        if self.choices.grad_drop:
            effects = self._dropped(cells, effects)
        return {name: self._map(cells[name], effects[name]) for name in cells}

    def _cells(self, activation: str, axes: tuple[str, ...]) -> Cells:
        texts = self.sweep.tokenized.texts[self.choices.side]
        return cells_of(self.binding, activation, axes, self.choices.value, self.choices.where, texts)

    # Effects

    def _effects(self, cells: dict[str, Cells], drop: int | None) -> dict[str, list[Tensor]]:
        """The effects of each activation's cells, [*axes] for each metric.

        Args:
            drop: a layer through whose attention and MLP nothing flows back.
        """
        grads = self._gradients(drop)
        fixed = self._fixed(grads) if self.choices.qk_fix else {}

        def effect(activation: str, i: int, layer: int) -> Tensor:
            hook, change = self.changes[activation, layer]
            return fixed.get((i, activation, layer), change * grads[i][hook])

        return {
            name: [self._of_cells(some, partial(effect, name, i)) for i in range(len(grads))]
            for name, some in cells.items()
        }

    def _of_cells(self, cells: Cells, of: Callable[[int], Tensor]) -> Tensor:
        """What each cell has of something that layers have for each entry, summed over its entries and layers."""
        patched = [layers_of(layer, cells.window, cells.layers) for layer in cells.places["layer"]]
        each = {layer: _reduced(of(layer), cells) for layer in dict.fromkeys(chain(*patched))}
        return torch.stack([torch.stack([each[layer] for layer in layers]).sum(0) for layers in patched])

    def _dropped(self, cells: dict[str, Cells], plain: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
        """GradDrop: the sum of the sizes of the effects with each layer dropped, divided by how many layers there are
        beside a cell's own, with the signs of the plain effects."""
        layers = self.binding.model.n_layers
        sizes = {name: [torch.zeros_like(one) for one in effects] for name, effects in plain.items()}
        for layer in range(layers):
            for name, effects in self._effects(cells, layer).items():
                for size, one in zip(sizes[name], effects):
                    size += one.abs() / (layers - 1)
        return {
            name: [torch.where(one < 0, -size, size) for one, size in zip(effects, sizes[name])]
            for name, effects in plain.items()
        }

    def _gradients(self, drop: int | None) -> list[dict[str, Tensor]]:
        """For each metric, by hook name, the gradient at each place, or its mean over the points of the path."""
        path, base = self.choices.path, self.binding.base.activations
        hooks = {self.changes[name, layer][0] for name, layer in self.changes if name in self.choices.axes}
        if self.choices.qk_fix:
            model = self.binding.model
            hooks |= {model.hook_name("pattern", layer) for name, layer in self.changes if name in FIXED}
        if not path.steps:
            return self._run(hooks, None, drop)
        moved = dict(self.changes.values()) if path.over == "activations" else dict([self.changes["embed", 0]])
        total: list[dict[str, Tensor]] = []
        for hook in hooks if path.over == "activations" else moved:
            kept = {hook} if path.over == "activations" else hooks
            for point in path.points:
                found = self._run(kept, (hook, base[hook] + point * moved[hook]), drop)
                total = total or [{} for _ in found]
                for sums, grads in zip(total, found):
                    sums.update({name: sums.get(name, 0) + grad / path.steps for name, grad in grads.items()})
        return total

    def _run(self, hooks: set[str], start: tuple[str, Tensor] | None, drop: int | None) -> list[dict[str, Tensor]]:
        sweep, binding = self.sweep, self.binding
        read, tokens = sweep.readings.base_positions, binding.base.tokens.tolist()

        def score(logits: Tensor) -> Tensor:
            return sweep.measure(logits, self.metrics)

        rule = self.choices.rule
        return gradients(binding.turn, tokens, sorted(hooks), read, sweep.vocabulary, score, rule, start, drop)

    def _fixed(self, grads: list[dict[str, Tensor]]) -> dict[tuple[int, str, Any], Tensor]:
        """The effects of queries and keys through their patterns, computed anew, instead of along the slope of the
        softmax: by metric, activation and layer."""
        model, base = self.binding.model, self.binding.base
        made: dict[tuple[int, str, Any], Tensor] = {}
        for part in FIXED.intersection(self.choices.axes):
            ours = {layer: self.changes[part, layer] for layer in model.layers_with(part)}
            patched = {layer: base.activations[hook] + change for layer, (hook, change) in ours.items()}
            for i, grad in enumerate(grads):
                patterns = {layer: grad[model.hook_name("pattern", layer)] for layer in ours}
                found = effects_through_patterns(self.binding.turn, base.tokens.tolist(), part, patched, patterns)
                made.update({(i, part, layer): effect[..., None] for layer, effect in found.items()})
        return made

    # Maps

    def _map(self, cells: Cells, effects: list[Tensor]) -> EffectMap:
        side, activation = self.choices.side, cells.activation
        resolved = {"activation": activation, "axes": list(cells.axes)}
        result = self.sweep.empty_result(
            {**resolved, **self.choices.where.model_dump(mode="json", exclude_none=True)}, cells
        )
        for measured, one in zip(result.measures.values(), effects):
            base = measured.baselines[side]
            measured.values[...] = (float("nan") if base is None else base) + one.cpu().numpy()
        kept = [place for place, there in enumerate(self.binding.counterparts) if there is not None]
        there = self._of_cells(cells, lambda layer: self._patched(self.changes[activation, layer][1], activation, kept))
        changed = self._of_cells(cells, lambda layer: (self.changes[activation, layer][1] != 0).float())
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
        if not self.binding.reads_other(self.choices.value):
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
