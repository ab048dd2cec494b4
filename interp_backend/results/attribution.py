"""Direct logit attribution: the components of a logit difference, which sum to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Floats, Ints
from .sides import Prompt, SidedResult

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 12  # components in a printed result
DRAWN = 20  # components in a picture
_WORDS = {
    "embed": "embed",
    "pos_embed": "pos_embed",
    "layer": "layer {layer}",
    "attn": "attn {layer}",
    "head": "head {layer}.{index}",
    "attn_bias": "attn bias {layer}",
    "mlp": "mlp {layer}",
    "neuron": "neuron {layer}.{index}",
    "mlp_bias": "mlp bias {layer}",
    "mixer": "mixer {layer}",
    "bias": "bias",
}


# The activation that a kind of component is, and which part of a place its index numbers. Biases are no place.
_PLACES = {
    "embed": ("embed", None),
    "attn": ("attn_out", None),
    "head": ("z", "head"),
    "mlp": ("mlp_out", None),
    "neuron": ("mlp_post", "neuron"),
}
# The kinds of components that an activation without head or neuron belongs to.
_KINDS = {"embed": "embed", "attn_out": "attn", "mlp_out": "mlp", "mlp_post": "mlp"}


class AttributionSide(Prompt):
    """One prompt, taken apart.

    Attributes:
        position: the position whose next token is predicted.
        values: what each component adds, [component]; the values sum to `total`.
        total: the model's own logit difference, or logit.
        by_source: what each head moves from each position, [layer, head, source]; None if it was not asked for.
    """

    position: int
    values: Floats
    total: float
    by_source: Floats | None = None


class Attribution(SidedResult[AttributionSide]):
    """What `direct_logit_attribution` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        sides, counterparts, warnings: see `SidedResult`.
        quantity: "logit difference" or "logit".
        note: what to know about the sum, such as "before the final softcap"; usually empty.
        kinds: names of kinds of components.
        kind: for each component the index of its kind in `kinds`, [component].
        layer, index: its layer, and the number of a head or neuron; -1 where it has none, [component].
        values, total, by_source: those of the prompt; of a pair those of the clean prompt.
    """

    derived = SidedResult.derived | {"labels", "places"}

    family: Literal["attribution"] = "attribution"
    method: Literal["direct_logit_attribution"] = "direct_logit_attribution"
    quantity: str
    note: str
    kinds: list[str]
    kind: Ints
    layer: Ints
    index: Ints

    @model_validator(mode="after")
    def _makes_sense(self) -> Attribution:
        if (
            sorted({*self.kinds, "mixer"}) != sorted(_WORDS)  # older results have no mixers
            or len({*self.kinds}) < len(self.kinds)
            or self.kind.max(initial=0) >= len(self.kinds)
            or self.kind.min(initial=0) < 0
        ):
            raise ValueError(f"the kinds of components are {', '.join(_WORDS)}")
        shape = self.kind.shape
        arrays = [self.layer, self.index, *(side.values for side in self.sides.values())]
        if len(shape) != 1 or any(array.shape != shape for array in arrays):
            raise ValueError("kind, layer, index and values have to be of one length, that of the components")
        heads = (
            int(self.layer.max(initial=-1)) + 1,
            int(self.index[self.kind == self.kinds.index("head")].max(initial=-1)) + 1,
        )
        for side in self.sides.values():
            if not len(side.ids) > side.position >= 0:
                raise ValueError("the position of an attribution is one of its prompt's tokens")
            sources = side.by_source
            if sources is not None and (
                sources.ndim != 3
                or sources.shape[2] != side.position + 1
                or len(sources) != heads[0]
                or heads[1] not in (0, sources.shape[1])
            ):
                raise ValueError("by_source is [layer, head, source], with the positions up to the predicted one")
        return self

    @property
    def values(self) -> np.ndarray:
        return self.first.values

    @property
    def total(self) -> float:
        return self.first.total

    @property
    def by_source(self) -> np.ndarray | None:
        return self.first.by_source

    @property
    def labels(self) -> list[str]:
        """Each component in words: "head 2.1", "mlp 3"."""
        return [_WORDS[kind].format(layer=layer, index=index) for kind, layer, index in self._components()]

    def _components(self) -> Iterator[tuple[str, int, int]]:
        """Kind, layer and index of each component."""
        for kind, layer, index in zip(self.kind.tolist(), self.layer.tolist(), self.index.tolist()):
            yield self.kinds[kind], layer, index

    # Places

    @property
    def places(self) -> list[Place]:
        """Which place each component is, [component]; a bias has a layer at most."""
        return [Place(**parts) for parts in self._place_parts()]

    def _place_parts(self) -> list[dict[str, Any]]:
        every = []
        for kind, layer, index in self._components():
            activation, numbered = _PLACES.get(kind, (None, None))
            parts = {"activation": activation, "layer": layer if layer >= 0 else None}
            every.append({name: part for name, part in {**parts, numbered: index}.items() if name and part is not None})
        return every

    def find(self, place: PlaceLike) -> int | None:
        """The index of the component that a place belongs to: its head or neuron, else its attention or MLP, else its
        layer. None where the attribution has no such component."""
        place = as_place(place) or Place()
        if place.head is not None:
            kinds = [("head", place.head), ("attn", -1)]
        elif place.neuron is not None:
            kinds = [("neuron", place.neuron), ("mlp", -1)]
        else:
            kinds = [(_KINDS.get(place.activation or "", ""), -1)]
        layer = -1 if place.activation == "embed" or place.layer is None else place.layer
        components = list(self._components())
        wanted = [(kind, layer, index) for kind, index in [*kinds, ("layer", -1)]]
        return next((components.index(one) for one in wanted if one in components), None)

    # Ways out

    def to_wire(self, *, by_source: bool = True) -> dict[str, Any]:
        """The result as one object of plain JSON values, derived ones among them.

        Args:
            by_source: whether to have the heads' sources, which are most of a long prompt's numbers.
        """
        bare = {} if by_source else {name: {"by_source"} for name in self.sides}
        wire = self.model_dump(mode="json", exclude={"sides": bare} if bare else None)
        return {**wire, "labels": self.labels, "places": self._place_parts()}

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each component: kind, layer, index, label, and what it adds in each prompt."""
        import pandas

        columns: dict[str, Any] = {
            "kind": [self.kinds[kind] for kind in self.kind],
            "layer": self.layer,
            "index": self.index,
            "label": self.labels,
        }
        for name, side in self.sides.items():
            columns["value" if len(self.sides) == 1 else name] = side.values
        return pandas.DataFrame(columns)

    def plot(self) -> Picture:
        """A still picture: the twenty largest components as bars. Needs matplotlib."""
        from .pictures import BarPanel, bar_panels

        labels, panels = self.labels, []
        for name, side in self.sides.items():
            largest = self._largest(side)[:DRAWN]
            what = f"{self.quantity} {side.total:+.2f}".replace("-", "\u2212")
            title = what if name == "prompt" else f"{name}: {what}"
            panels.append(BarPanel(title, [labels[i] for i in largest], side.values[largest]))
        return bar_panels(panels)

    @staticmethod
    def _largest(side: AttributionSide) -> np.ndarray:
        return np.argsort(-np.abs(side.values), kind="stable")

    def headline(self) -> str:
        note = f" {self.note}" if self.note else ""
        return f"{self.quantity}{note} by {self.params.get('unit', 'component')}, {self.prompts_in_words()}"

    def summary(self) -> Iterator[str]:
        labels = self.labels
        totals = ", ".join(f"{name} {side.total:+.3f}" for name, side in self.sides.items())
        yield f"{len(labels)} components, which sum to {totals}; the largest:"
        for i in self._largest(self.first)[:SUMMARISED]:
            yield f"  {'  '.join(f'{side.values[i]:+.3f}' for side in self.sides.values())}  {labels[i]}"
