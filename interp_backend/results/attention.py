"""Where the heads of a model looked: what `attention_patterns` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .effect_map import SCHEMA_VERSION, Array, Part, Whole
from .lens import check_counterparts

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

Kind = Literal["pattern", "value_weighted", "scores", "output_norm"]
# What a value of each kind is, and whether it can be negative.
QUANTITIES: dict[str, tuple[str, bool]] = {
    "pattern": ("attention", False),
    "value_weighted": ("attention × ‖value through O‖", False),
    "scores": ("attention score", True),
    "output_norm": ("share of ‖head output‖", True),
}


class AttentionSide(Part):
    """One prompt as it was run.

    Attributes:
        text, ids, tokens: the prompt, its token ids and their texts.
        values: [layer, head, destination, source], float32; NaN where it is masked.
        masked: [layer, destination, source], uint8: 1 where a destination may not look. That is not a zero: no number
            was computed there.
        scores: what the patterns themselves say of each head on this prompt, by name, [layer, head]; see `head_scores`.
            NaN where the prompt has no place to measure it.
    """

    text: str
    ids: list[int]
    tokens: list[str]
    values: Array
    masked: Array
    scores: dict[str, Array] = Field(default_factory=dict)


class Attention(Whole):
    """What `attention_patterns` returns.

    Attributes:
        kind: what the values are; see `attention_patterns`.
        layers, heads: the model's numbers of the layers and heads along the first two axes.
        key_value_heads: for each head the key-value head that it reads, in a model where heads share them; else None.
        sides: "prompt"; or, of a pair, "clean" and "corrupt".
        counterparts: for each position of the clean prompt that of the corrupt one; None if all are themselves.
        warnings: what should be known before these numbers are used.
        values, masked: the arrays of the prompt; of a pair those of the clean one (see `of`).
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Literal["attention_patterns"] = "attention_patterns"
    kind: Kind
    params: dict[str, Any]
    layers: list[int]
    heads: list[int]
    key_value_heads: list[int] | None = None
    sides: dict[str, AttentionSide]
    counterparts: list[int | None] | None = None
    warnings: list[str] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Attention:
        if set(self.sides) not in ({"prompt"}, {"clean", "corrupt"}):
            raise ValueError('the sides of attention are "prompt", or "clean" and "corrupt"')
        check_counterparts(self.counterparts, self.sides)
        if self.key_value_heads is not None and len(self.key_value_heads) != len(self.heads):
            raise ValueError("key_value_heads have to be as many as the heads")
        for side in self.sides.values():
            length, cells = len(side.ids), (len(self.layers), len(self.heads))
            if len(side.tokens) != length:
                raise ValueError("a prompt has as many texts of tokens as tokens")
            if side.values.shape != (*cells, length, length) or side.values.dtype != np.float32:
                raise ValueError(f"the values have to be float32, [layer, head, destination, source], {cells}")
            if side.masked.shape != (cells[0], length, length) or side.masked.dtype != np.uint8:
                raise ValueError("masked has to be uint8, [layer, destination, source]")
            if any(part.shape != cells for part in side.scores.values()):
                raise ValueError(f"scores have to be [layer, head], {cells}")
        return self

    @property
    def first(self) -> AttentionSide:
        """The prompt; of a pair the clean one."""
        return next(iter(self.sides.values()))

    @property
    def values(self) -> np.ndarray:
        return self.first.values

    @property
    def masked(self) -> np.ndarray:
        return self.first.masked

    @property
    def tokens(self) -> list[str]:
        return self.first.tokens

    @property
    def quantity(self) -> str:
        """What a value is, in words."""
        return QUANTITIES[self.kind][0]

    @property
    def signed(self) -> bool:
        """Whether a value can be negative."""
        return QUANTITIES[self.kind][1]

    def of(self, side: str) -> np.ndarray:
        """The values of one prompt [layer, head, destination, source]; "difference" is clean minus corrupt.

        The difference is on the clean prompt's tokens: each destination and source is compared with its counterpart,
        and is NaN where one of them has none.

        Raises:
            ValueError: a side that there is not.
        """
        return self.heads_of(side, range(len(self.layers)), range(len(self.heads)))

    def heads_of(self, side: str, layers: Any, heads: Any) -> np.ndarray:
        """`of` for some of the first two axes' indices, each once and ascending."""
        self.masked_of(side)
        where = np.ix_(list(layers), list(heads))
        every = len(where[0]) == len(self.layers) and where[1].size == len(self.heads)  # then nothing is copied

        def chosen(name: str) -> np.ndarray:
            values = self.sides[name].values
            return values if every else values[where]

        if side != "difference":
            return chosen(side)
        clean, corrupt = chosen("clean"), chosen("corrupt")
        if self.counterparts is None:
            return clean - corrupt
        at = np.array([-1 if position is None else position for position in self.counterparts])
        there = corrupt[:, :, np.maximum(at, 0)][..., np.maximum(at, 0)]
        there[:, :, at < 0] = np.nan
        there[..., at < 0] = np.nan
        return clean - there

    def masked_of(self, side: str) -> np.ndarray:
        """Where a destination may not look, [layer, destination, source], on the side's own tokens.

        Raises:
            ValueError: a side that there is not.
        """
        known = [*self.sides, "difference"] if "clean" in self.sides else list(self.sides)
        if side not in known:
            raise ValueError(f"This has {', '.join(known)}, and not {side!r}.")
        return self.sides["clean" if side == "difference" else side].masked

    def index_of(self, layer: int, head: int) -> tuple[int, int]:
        """Where a head of the model is along the first two axes.

        Raises:
            ValueError: a head that was not read.
        """
        if layer not in self.layers or head not in self.heads:
            raise ValueError(f"Head {layer}.{head} is not among the heads that were read.")
        return self.layers.index(layer), self.heads.index(head)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each prompt, layer, head, destination and source that it may look at."""
        import pandas

        frames = []
        for name, side in self.sides.items():
            open_ = np.broadcast_to(side.masked[:, None] == 0, side.values.shape)
            layer, head, destination, source = np.nonzero(open_)
            tokens = np.array(side.tokens, object)
            columns = {
                "side": name,
                "layer": np.array(self.layers)[layer],
                "head": np.array(self.heads)[head],
                "destination": destination,
                "source": source,
                "destination_token": tokens[destination],
                "source_token": tokens[source],
                "value": side.values[open_],
            }
            frames.append(pandas.DataFrame(columns))
        return pandas.concat(frames, ignore_index=True)

    def plot(self) -> Figure:
        """A still picture: every head, layer 0 at the bottom. Needs matplotlib."""
        from .plot import plot_attention

        return plot_attention(self)
