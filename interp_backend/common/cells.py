"""The cells of a sweep: which places of a model its axes run over, and what is patched in each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..engine.binding import Binding
from ..engine.edits import Edit
from ..language.interventions import Intervention, Value, as_value, check_activation, in_range
from ..language.model import ACTIVATIONS, LanguageModel
from ..results.effect_map import EffectMap

Positions = Sequence[int] | Mapping[str, Sequence[int]]
AXES = ("layer", "head", "position", "source", "neuron")


class Where(BaseModel):
    """Which part of a sweep's axes is swept; None is all of one.

    Attributes:
        layers, heads, neurons: their numbers.
        positions: positions of the patched prompt, negative ones from its end; or named sets of them, each patched
            together.
        sources: positions that a single entry of an attention pattern looks at.
        window: how many neighbouring layers are patched together, with the cell's own in the middle (Meng et al. 2022,
            arXiv:2202.05262, use 10); fewer at the first and the last layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    positions: tuple[int, ...] | dict[str, tuple[int, ...]] | None = None
    sources: tuple[int, ...] | None = None
    neurons: tuple[int, ...] | None = None
    window: int = 1


def axes_of(activation: str) -> list[tuple[str, ...]]:
    """The ways in which one kind of activation can be swept, the usual one first."""
    if ACTIVATIONS[activation].pattern:
        by_head = [("layer", "head"), ("layer", "head", "position")]
        return [*by_head, ("layer", "head", "position", "source")]
    if ACTIVATIONS[activation].per_head:
        return [("layer", "head"), ("layer", "head", "position")]
    if activation == "mlp_post":
        return [("layer", "position"), ("layer", "neuron"), ("layer", "position", "neuron")]
    return [("layer", "position")]


def choose_axes(model: LanguageModel, activation: Any, axes: Any) -> tuple[str, ...]:
    """The axes of a sweep: those asked for if they fit the activation, else the activation's first choice.

    Raises:
        ValueError: an activation that can't be patched in this model, or axes that don't fit.
    """
    choices = axes_of(check_activation(model, activation))
    if axes is None:
        return choices[0]
    if not isinstance(axes, (list, tuple)) or tuple(axes) not in choices:
        fitting = " or ".join(str(choice) for choice in choices)
        raise ValueError(f"The axes of {activation} are {fitting}, not {axes!r}.")
    return tuple(axes)


@dataclass
class Cells:
    """The cells of one sweep on one prompt.

    Attributes:
        axes: their names.
        places: for each axis, what each index is: a number, or a list of positions.
        labels: the same as text.
    """

    activation: str
    axes: tuple[str, ...]
    value: Value
    window: int
    places: dict[str, list[int | list[int]]]
    labels: dict[str, list[str]]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.places[axis]) for axis in self.axes)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Index of every cell, in C order."""
        return itertools.product(*map(range, self.shape))

    def edits(self, binding: Binding, index: tuple[int, ...], draw: int) -> list[Edit]:
        """What is patched in one cell; nothing where the other prompt has no token that corresponds."""
        at: dict[str, Any] = {axis: self.places[axis][i] for axis, i in zip(self.axes, index)}
        positions = self._positions(binding, at)
        entry = at.get("source", at.get("neuron"))
        entries = None if entry is None else (entry,)
        made = [
            binding.edit(self.activation, layer, positions, at.get("head"), entries, self.value, draw)
            for layer in layers_of(at["layer"], self.window, binding.model.n_layers)
        ]
        return [edit for edit in made if edit is not None]

    def left_out(self, binding: Binding, index: tuple[int, ...]) -> int:
        """How many of a cell's positions are left as they are, since nothing corresponds to them."""
        at = {axis: self.places[axis][i] for axis, i in zip(self.axes, index)}
        return binding.left_out(self._positions(binding, at), self.value)

    @staticmethod
    def _positions(binding: Binding, at: Mapping[str, Any]) -> tuple[int, ...]:
        position = at.get("position")
        if position is None:
            return tuple(range(len(binding.base.tokens)))
        return tuple(position) if isinstance(position, list) else (position,)


def layers_of(layer: Any, window: int, n_layers: int) -> range:
    """The layers that are patched together in a cell."""
    first = layer - window // 2
    return range(max(0, first), min(n_layers, first + window))


def cells_of(
    binding: Binding,
    activation: str,
    axes: tuple[str, ...],
    value: Any,
    where: Where,
    texts: Sequence[str],
) -> Cells:
    """The cells of a sweep over a prompt whose tokens have these texts.

    Raises:
        ValueError: a place that the model or the prompt does not have, or a window that makes no sense.
    """
    length, n_layers = len(texts), binding.model.n_layers
    if not 1 <= where.window <= n_layers:
        raise ValueError(f"A window has 1 to {n_layers} layers in this model, not {where.window}.")
    if where.window > 1 and activation == "embed":
        raise ValueError("The embeddings are no layer: leave the window at 1.")
    _refuse_unused(axes, where)
    sizes = {
        "layer": 1 if activation == "embed" else n_layers,
        "head": binding.heads_of(activation) if "head" in axes else 0,
        "position": length,
        "source": length,
        "neuron": binding.entries_of(activation) if "neuron" in axes else 0,
    }
    places: dict[str, list[Any]] = {}
    labels: dict[str, list[Any]] = {}
    for axis in axes:
        wanted = getattr(where, f"{axis}s")
        negative = axis in ("position", "source")
        if isinstance(wanted, dict):
            places[axis] = [[in_range(axis, p, length, negative=True) for p in some] for some in wanted.values()]
            labels[axis] = list(wanted)
            continue
        chosen = range(sizes[axis]) if wanted is None else wanted
        places[axis] = [in_range(axis, i, sizes[axis], negative=negative) for i in chosen]
        labels[axis] = [texts[i] if negative else str(i) for i in places[axis]]
    if activation == "embed":
        labels["layer"] = ["emb"]
    if not all(places.values()) or any(p == [] for p in places.get("position", [])):
        raise ValueError("There is nothing to sweep: a list of layers, heads, positions or neurons is empty.")
    return Cells(activation, axes, as_value(value), where.window, places, labels)


def _refuse_unused(axes: tuple[str, ...], where: Where) -> None:
    for axis in AXES:
        if getattr(where, f"{axis}s") is not None and axis not in axes:
            raise ValueError(
                f"{axis}s= chooses among the {axis}s of a sweep, and this one has none: its axes are {', '.join(axes)}."
            )


def interventions_of(result: EffectMap, cell: Mapping[str, int], n_layers: int) -> list[Intervention]:
    """What was patched in one cell of a sweep's result.

    Args:
        cell: the model's own number on each axis, as in `result.places`; for a named set of positions its index.

    Raises:
        ValueError: a cell that the result does not have.
    """
    at: dict[str, Any] = {axis: place_of(result, axis, cell.get(axis)) for axis in result.axes}
    if set(cell) != set(at):
        raise ValueError(f"A cell of this map names {', '.join(result.axes)}, not {', '.join(cell) or 'nothing'}.")
    layers = layers_of(at.pop("layer"), result.params.get("window", 1), n_layers)
    fields = {axis: tuple(place) if isinstance(place, list) else place for axis, place in at.items()}
    value = result.params.get("value", {"kind": "other"})
    return [Intervention(result.params["activation"], layer, value=value, **fields) for layer in layers]


def place_of(result: EffectMap, axis: str, number: Any) -> int | list[int]:
    """What a cell's number on one axis is in the model: itself, or the positions of a named set.

    Raises:
        ValueError: a number that the axis does not have.
    """
    places = result.places.get(axis) or list(range(len(result.labels[axis])))
    if isinstance(places[0], list):
        if isinstance(number, int) and 0 <= number < len(places):
            return places[number]
    elif isinstance(number, int) and number in places:
        return number
    raise ValueError(f"There is no {axis} {number!r} in this map.")


# What a cell can be opened into: the parts of the place that it patches, each alone.
_OPENS: dict[tuple[str, tuple[str, ...]], tuple[str, str, tuple[str, ...]]] = {
    **{
        (name, ("layer", "head")): ("its positions", name, ("layer", "head", "position"))
        for name in ("z", "q", "k", "v")
    },
    ("pattern", ("layer", "head")): ("its entries", "pattern", ("layer", "head", "position", "source")),
    ("pattern", ("layer", "head", "position")): ("where it looks", "pattern", ("layer", "head", "position", "source")),
    ("attn_out", ("layer", "position")): ("its heads", "z", ("layer", "head", "position")),
    **{
        (name, ("layer", "position")): ("its neurons", "mlp_post", ("layer", "position", "neuron"))
        for name in ("mlp_out", "mlp_post")
    },
}


def opens(activation: str, axes: Sequence[str]) -> str | None:
    """What a cell of such a map can be opened into, in words; None if into nothing."""
    found = _OPENS.get((activation, tuple(axes)))
    return found[0] if found else None


def opened(result: EffectMap, cell: Mapping[str, int]) -> dict[str, Any]:
    """Arguments of the sweep over the parts of one cell: activation, axes, and which layers, heads and positions.

    Raises:
        ValueError: a map whose cells have no parts to show, or a cell that it does not have.
    """
    found = _OPENS.get((result.params.get("activation", ""), result.axes))
    if found is None:
        raise ValueError("A cell of this map can't be opened: it has no parts that are patched by themselves.")
    arguments: dict[str, Any] = {"activation": found[1], "axes": found[2]}
    for axis in result.axes:
        place = place_of(result, axis, cell.get(axis))
        arguments[f"{axis}s"] = place if isinstance(place, list) else [place]
    return arguments
