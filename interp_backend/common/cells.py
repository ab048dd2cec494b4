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
from ..place import Place
from ..results.effect_map import EffectMap

Positions = Sequence[int] | Mapping[str, Sequence[int]]
AXES = ("layer", "head", "position", "source", "neuron")


class Where(BaseModel):
    """Restricts a sweep to parts of its axes; None sweeps a whole axis.

    Attributes:
        layers, heads, neurons: their indices.
        positions: positions of the patched prompt, negative if counted from the end; or named sets of positions, each
            of which is patched in one run.
        sources: source positions of single entries of an attention pattern.
        window: how many neighbouring layers are patched together, centred on the cell's own layer (Meng et al. 2022,
            arXiv:2202.05262, use 10); fewer near the first and the last layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    positions: tuple[int, ...] | dict[str, tuple[int, ...]] | None = None
    sources: tuple[int, ...] | None = None
    neurons: tuple[int, ...] | None = None
    window: int = 1


def axes_of(activation: str) -> list[tuple[str, ...]]:
    """The axes along which an activation can be swept, the usual choice first."""
    if ACTIVATIONS[activation].pattern:
        by_head = [("layer", "head"), ("layer", "head", "position")]
        return [*by_head, ("layer", "head", "position", "source")]
    if ACTIVATIONS[activation].per_head:
        return [("layer", "head"), ("layer", "head", "position")]
    if activation == "mlp_post":
        return [("layer", "position"), ("layer", "neuron"), ("layer", "position", "neuron")]
    return [("layer", "position")]


def choose_axes(model: LanguageModel | None, activation: Any, axes: Any) -> tuple[str, ...]:
    """The axes of a sweep: the requested axes if they fit the activation, or its first choice if none are requested.

    Without a model, it is not checked whether the model has the activation.

    Raises:
        ValueError: the activation can't be patched in this model, or the axes don't fit it.
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
        axes: the names of the axes.
        places: for each axis, the index of each entry in the model, or a list of positions.
        labels: the same as text.
        layers: the layers that have the activation.
    """

    activation: str
    axes: tuple[str, ...]
    value: Value
    window: int
    places: dict[str, list[int | list[int]]]
    labels: dict[str, list[str]]
    layers: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.places[axis]) for axis in self.axes)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """The index of every cell, in C order."""
        return itertools.product(*map(range, self.shape))

    def edits(self, binding: Binding, index: tuple[int, ...], draw: int) -> list[Edit]:
        """The edits of one cell; none if the other prompt has no corresponding token."""
        at: dict[str, Any] = {axis: self.places[axis][i] for axis, i in zip(self.axes, index)}
        positions = self._positions(binding, at)
        entry = at.get("source", at.get("neuron"))
        entries = None if entry is None else (entry,)
        edits = [
            binding.edit(self.activation, layer, positions, at.get("head"), entries, self.value, draw)
            for layer in layers_of(at["layer"], self.window, self.layers)
            if "neuron" not in at or at["neuron"] < binding.entries_of(self.activation, layer)
        ]
        return [edit for edit in edits if edit is not None]

    def left_out(self, binding: Binding, index: tuple[int, ...]) -> int:
        """How many positions of a cell are not patched, because they have no counterpart."""
        at = {axis: self.places[axis][i] for axis, i in zip(self.axes, index)}
        return binding.left_out(self._positions(binding, at), self.value)

    @staticmethod
    def _positions(binding: Binding, at: Mapping[str, Any]) -> tuple[int, ...]:
        position = at.get("position")
        if position is None:
            return tuple(range(len(binding.base.tokens)))
        return tuple(position) if isinstance(position, list) else (position,)


def layers_of(layer: Any, window: int, known: Sequence[int]) -> list[int]:
    """The layers that a cell patches together, of those that have the activation."""
    first = layer - window // 2
    return [other for other in known if first <= other < first + window]


def cells_of(
    binding: Binding,
    activation: str,
    axes: tuple[str, ...],
    value: Any,
    where: Where,
    texts: Sequence[str],
) -> Cells:
    """The cells of a sweep over a prompt.

    Args:
        texts: the texts of the prompt's tokens.

    Raises:
        ValueError: the model or the prompt has no such place, or the window is too large.
    """
    length, n_layers = len(texts), binding.model.n_layers
    if not 1 <= where.window <= n_layers:
        raise ValueError(f"A window has 1 to {n_layers} layers in this model, not {where.window}.")
    if where.window > 1 and activation == "embed":
        raise ValueError("The embeddings are no layer: leave the window at 1.")
    _refuse_unused(axes, where)
    layers = binding.model.layers_with(activation)
    for layer in where.layers or ():
        if -1 < layer < n_layers and (why := binding.model.why_not(activation, layer)):
            raise ValueError(why)
    sizes = {
        "layer": 1 if activation == "embed" else n_layers,
        "head": binding.heads_of(activation) if "head" in axes else 0,
        "position": length,
        "source": length,
        "neuron": max(binding.entries_of(activation, layer) for layer in layers) if "neuron" in axes else 0,
    }
    places: dict[str, list[Any]] = {}
    labels: dict[str, list[Any]] = {}
    for axis in axes:
        wanted = getattr(where, f"{axis}s")
        negative = axis in ("position", "source")
        if isinstance(wanted, dict):
            places[axis] = [[in_range(axis, p, length, negative=True) for p in named] for named in wanted.values()]
            labels[axis] = list(wanted)
            continue
        everything = layers if axis == "layer" else range(sizes[axis])
        chosen = everything if wanted is None else wanted
        places[axis] = [in_range(axis, i, sizes[axis], negative=negative) for i in chosen]
        labels[axis] = [texts[i] if negative else str(i) for i in places[axis]]
    if activation == "embed":
        labels["layer"] = ["emb"]
    if not all(places.values()) or any(p == [] for p in places.get("position", [])):
        raise ValueError("There is nothing to sweep: a list of layers, heads, positions or neurons is empty.")
    return Cells(activation, axes, as_value(value), where.window, places, labels, layers)


def _refuse_unused(axes: tuple[str, ...], where: Where) -> None:
    for axis in AXES:
        if getattr(where, f"{axis}s") is not None and axis not in axes:
            raise ValueError(
                f"{axis}s= chooses among the {axis}s of a sweep, and this one has none: its axes are {', '.join(axes)}."
            )


def interventions_of(result: EffectMap, cell: Place, model: LanguageModel) -> list[Intervention]:
    """The interventions that one cell of a sweep's result made.

    Raises:
        ValueError: the result has no such cell.
    """
    at: dict[str, Any] = {axis: part_of(result, axis, getattr(cell, axis)) for axis in result.axes}
    layers = layers_of(at.pop("layer"), result.params.get("window", 1), model.layers_with(result.params["activation"]))
    fields = {axis: tuple(place) if isinstance(place, list) else place for axis, place in at.items()}
    value = result.params.get("value", {"kind": "other"})
    return [Intervention(result.params["activation"], layer, value=value, **fields) for layer in layers]


def part_of(result: EffectMap, axis: str, part: Any) -> int | list[int]:
    """What a part of a place names on one axis of a result: a number in the model, or a named set of positions.

    Raises:
        ValueError: the axis does not have it.
    """
    for known in result.places.get(axis) or range(len(result.labels[axis])):
        if part == known or (isinstance(part, tuple) and isinstance(known, list) and list(part) == known):
            return known
    raise ValueError(f"There is no {axis} {part!r} in this map.")


# The sweep that opens a cell: it patches each part of the cell's place alone. Values: words, activation, axes.
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
    """The parts into which a cell of such a map can be opened, in words; None if it can't be opened."""
    found = _OPENS.get((activation, tuple(axes)))
    return found[0] if found else None


def opened(result: EffectMap, cell: Place) -> dict[str, Any]:
    """Arguments of the sweep over the parts of one cell: activation, axes, and the layers, heads and positions.

    Raises:
        ValueError: the cells of this map can't be opened, or the map has no such cell.
    """
    found = _OPENS.get((result.params.get("activation", ""), result.axes))
    if found is None:
        raise ValueError("A cell of this map can't be opened: it has no parts that are patched by themselves.")
    arguments: dict[str, Any] = {"activation": found[1], "axes": found[2]}
    for axis in result.axes:
        place = part_of(result, axis, getattr(cell, axis))
        arguments[f"{axis}s"] = place if isinstance(place, list) else [place]
    return arguments
