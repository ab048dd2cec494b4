"""What direct logit attribution found: the components of a logit difference, which sum to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .effect_map import SCHEMA_VERSION, Array, Part, Whole, check_version
from .lens import check_counterparts

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure
    from typing_extensions import Self

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
    "bias": "bias",
}


class AttributionSide(Part):
    """One prompt, taken apart.

    Attributes:
        position: whose next token is meant.
        values: what each component adds, [component]; they sum to `total`.
        total: the model's own logit difference, or logit.
        by_source: what each head brings from each position, [layer, head, source]; None if it was not asked for.
    """

    text: str
    ids: list[int]
    tokens: list[str]
    position: int
    values: Array
    total: float
    by_source: Array | None = None


class Attribution(Whole):
    """What `direct_logit_attribution` returns.

    Attributes:
        quantity: "logit difference" or "logit".
        note: what to know about the sum, such as "before the final softcap"; mostly empty.
        kinds: names of kinds of components.
        kind: of each component its place in `kinds`, [component].
        layer, index: its layer, and the number of a head or neuron; -1 where it has none, [component].
        sides: "prompt"; or, of a pair, "clean" and "corrupt".
        counterparts: for each position of the clean prompt that of the corrupt one; None if all are themselves.
        values, total, by_source: those of the prompt; of a pair those of the clean one.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Literal["direct_logit_attribution"] = "direct_logit_attribution"
    params: dict[str, Any]
    quantity: str
    note: str
    kinds: list[str]
    kind: Array
    layer: Array
    index: Array
    sides: dict[str, AttributionSide]
    counterparts: list[int | None] | None = None
    warnings: list[str] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Attribution:
        if set(self.sides) not in ({"prompt"}, {"clean", "corrupt"}):
            raise ValueError('the sides of an attribution are "prompt", or "clean" and "corrupt"')
        if (
            sorted(self.kinds) != sorted(_WORDS)
            or self.kind.max(initial=0) >= len(self.kinds)
            or self.kind.min(initial=0) < 0
        ):
            raise ValueError(f"the kinds of components are {', '.join(_WORDS)}")
        check_counterparts(self.counterparts, self.sides)
        shape = self.kind.shape
        arrays = [self.layer, self.index, *(side.values for side in self.sides.values())]
        if len(shape) != 1 or any(array.shape != shape for array in arrays):
            raise ValueError("kind, layer, index and values have to be of one length, that of the components")
        if any(array.dtype != np.int32 for array in (self.kind, self.layer, self.index)):
            raise ValueError("kind, layer and index are int32")
        heads = (
            int(self.layer.max(initial=-1)) + 1,
            int(self.index[self.kind == self.kinds.index("head")].max(initial=-1)) + 1,
        )
        for side in self.sides.values():
            if not len(side.tokens) == len(side.ids) > side.position >= 0 or side.values.dtype != np.float32:
                raise ValueError("a prompt has a text for each token, a position among them, and values of float32")
            sources = side.by_source
            if sources is not None and (
                sources.ndim != 3
                or sources.dtype != np.float32
                or sources.shape[2] != side.position + 1
                or len(sources) != heads[0]
                or heads[1] not in (0, sources.shape[1])
            ):
                raise ValueError(
                    "by_source is [layer, head, source] of float32, with the positions up to the one meant"
                )
        return self

    def _first(self) -> AttributionSide:
        return next(iter(self.sides.values()))

    @property
    def values(self) -> np.ndarray:
        return self._first().values

    @property
    def total(self) -> float:
        return self._first().total

    @property
    def by_source(self) -> np.ndarray | None:
        return self._first().by_source

    @property
    def labels(self) -> list[str]:
        """Each component in words: "head 2.1", "mlp 3"."""
        places = zip(self.kind.tolist(), self.layer.tolist(), self.index.tolist())
        return [_WORDS[self.kinds[kind]].format(layer=layer, index=index) for kind, layer, index in places]

    def to_wire(self, *, by_source: bool = True) -> dict[str, Any]:
        """The result as one object of plain JSON values, with the labels for those who only read it."""
        bare = {} if by_source else {name: {"by_source"} for name in self.sides}
        return {**self.model_dump(mode="json", exclude={"sides": bare} if bare else None), "labels": self.labels}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        check_version(wire)
        return cls.model_validate({name: part for name, part in wire.items() if name != "labels"})

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

    def plot(self) -> Figure:
        """A still picture: the twenty largest components as bars. Needs matplotlib."""
        from .plot import plot_attribution

        return plot_attribution(self)
