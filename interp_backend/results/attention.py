"""Where the heads of a model attend: what `attention_patterns` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Bytes, Floats, decode_array
from .envelope import shape_words
from .sides import Prompt, SidedResult, indices

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 12  # heads in a printed result

Kind = Literal["pattern", "value_weighted", "scores", "output_norm"]
# What a value of each kind of attention is, and whether it can be negative.
QUANTITIES: dict[str, tuple[str, bool]] = {
    "pattern": ("attention", False),
    "value_weighted": ("attention × ‖value through O‖", False),
    "scores": ("attention score", True),
    "output_norm": ("share of ‖head output‖", True),
}


class AttentionSide(Prompt):
    """One prompt as it was run.

    Attributes:
        values: [layer, head, destination, source], float32; NaN where it is masked.
        masked: [layer, destination, source], uint8: 1 where a destination may not attend. That is not a zero: no
            number was computed there.
        scores: head scores measured on the patterns of this prompt, by name, [layer, head]; see `head_scores`. NaN
            where the prompt has no place to measure the score.
    """

    values: Floats
    masked: Bytes
    scores: dict[str, Floats] = Field(default_factory=dict)


class AttentionPatterns(SidedResult[AttentionSide]):
    """What `attention_patterns` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        sides, counterparts, warnings: see `SidedResult`.
        kind: what the values are; see `attention_patterns`.
        layers, heads: the model's numbers of the layers and heads along the first two axes.
        key_value_heads: for each head the key-value head that it reads, in a model where heads share them; else None.
        values, masked: the arrays of the prompt; of a pair those of the clean prompt (see `values_of`).
    """

    # What an attention view is sent beside a result, to draw it; `quantity` and `signed` follow from `kind`.
    derived = SidedResult.derived | {
        *("quantity", "signed", "high", "low", "names", "colors", "axis_labels", "whole", "values", "kept"),
    }

    family: Literal["attention"] = "attention"
    method: Literal["attention_patterns"] = "attention_patterns"
    kind: Kind
    layers: list[int]
    heads: list[int]
    key_value_heads: list[int] | None = None

    @model_validator(mode="before")
    @classmethod
    def _values_of_a_view(cls, wire: Any) -> Any:
        """A view holds the values beside the sides, infinite where they are masked."""
        if not isinstance(wire, dict) or not isinstance(wire.get("values"), dict):
            return wire
        if not wire["values"]:
            raise ValueError("the numbers of this attention were too large to be saved with it. Run it again")
        sides = wire.get("sides")
        named = sides.items() if isinstance(sides, dict) else ()
        return {**wire, "sides": {name: _from_view(side, wire["values"].get(name)) for name, side in named}}

    @model_validator(mode="after")
    def _makes_sense(self) -> AttentionPatterns:
        if self.key_value_heads is not None and len(self.key_value_heads) != len(self.heads):
            raise ValueError("key_value_heads have to be as many as the heads")
        for side in self.sides.values():
            length, cells = len(side.ids), (len(self.layers), len(self.heads))
            if side.values.shape != (*cells, length, length):
                raise ValueError(
                    f"the values have to be [layer, head, destination, source], {(*cells, length, length)}"
                )
            if side.masked.shape != (cells[0], length, length):
                raise ValueError("masked has to be [layer, destination, source]")
            if any(part.shape != cells for part in side.scores.values()):
                raise ValueError(f"scores have to be [layer, head], {cells}")
        return self

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

    def values_of(self, side: str) -> np.ndarray:
        """The values of one prompt [layer, head, destination, source]; "difference" is clean minus corrupt.

        The difference is on the clean prompt's tokens: each destination and source is compared with its counterpart,
        and is NaN where either has none.

        Raises:
            ValueError: a side that this result does not have.
        """
        return self.values_at(side, range(len(self.layers)), range(len(self.heads)))

    def values_at(self, side: str, layers: Sequence[int], heads: Sequence[int]) -> np.ndarray:
        """`values_of` for some indices along the first two axes, each once and ascending."""
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

    def values_for_view(self, side: str, layers: Sequence[int], heads: Sequence[int]) -> np.ndarray:
        """`values_at` as one array: infinite where it is masked, NaN where there is no number."""
        values = self.values_at(side, layers, heads)
        masked = self.masked_of(side)[list(layers)][:, None] == 1
        return np.where(masked, np.float32(np.inf), np.where(np.isfinite(values), values, np.float32(np.nan)))

    def masked_of(self, side: str) -> np.ndarray:
        """Where a destination may not attend, [layer, destination, source], on the side's own tokens.

        Raises:
            ValueError: a side that this result does not have.
        """
        known = [*self.sides, "difference"] if "clean" in self.sides else list(self.sides)
        if side not in known:
            raise ValueError(f"This attention has {', '.join(known)}, and not {side!r}.")
        return self.sides["clean" if side == "difference" else side].masked

    def index_of(self, layer: int, head: int) -> tuple[int, int]:
        """The indices of a head of the model along the first two axes.

        Raises:
            ValueError: a head that was not read.
        """
        if layer not in self.layers or head not in self.heads:
            raise ValueError(f"Head {layer}.{head} is not among the heads that were read.")
        return self.layers.index(layer), self.heads.index(head)

    # Places

    def place_of(self, index: Sequence[int], side: str | None = None) -> Place:
        """Which place an entry is: head, destination (its `position`) and source.

        Args:
            index: along [layer, head, destination, source]; a layer and head alone are the head.
            side: the prompt that positions are counted in; of a pair the clean prompt if None.
        """
        layer, head, *entry = (int(i) for i in index)
        where = None if "prompt" in self.sides else "corrupt" if side == "corrupt" else "clean"
        return Place(
            activation="pattern",
            layer=self.layers[layer],
            head=self.heads[head],
            position=entry[0] if entry else None,
            source=entry[1] if len(entry) > 1 else None,
            side=where if entry else None,
        )

    def find(self, place: PlaceLike, side: str | None = None) -> tuple[int | slice, ...] | None:
        """Where a place is in the values of a side, [layer, head, destination, source]: a slice for each axis that
        the place does not name; None where this result has no such place.

        Args:
            side: the side whose values are meant, "difference" too; None is the place's own, or the first.
        """
        place = as_place(place) or Place()
        name, here = self.side_for(place, side)
        length = range(len(self.sides[name].ids))
        return here and indices(here, layer=self.layers, head=self.heads, position=length, source=length)

    # Ways out

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each prompt, layer, head, destination and source that it may attend to."""
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

    def plot(self) -> Picture:
        """A still picture: every head, layer 0 at the bottom; of a pair the clean prompt's. Needs matplotlib."""
        from .pictures import tiles

        title = "clean" if "clean" in self.sides else ""
        return tiles(self.values, self.layers, self.heads, self.signed, self.quantity, title)

    def headline(self) -> str:
        return f"{self.quantity}, {self.prompts_in_words()}"

    def summary(self) -> Iterator[str]:
        axes = ("layer", "head", "destination", "source")
        for name, side in self.sides.items():
            yield f"{name}: {self.kind} {shape_words(axes, side.values.shape)}"
        side = self.first
        for name, scores in [*side.scores.items()][:SUMMARISED]:
            if np.isfinite(scores).any():
                i, j = np.unravel_index(int(np.nanargmax(scores)), scores.shape)
                yield f"  {scores[i, j]:+.3f}  head {self.layers[i]}.{self.heads[j]}, the largest score of {name}"


def _from_view(side: Any, encoded: Any) -> Any:
    """A side with the arrays that `values_for_view` made into one."""
    values = decode_array(encoded)
    if not isinstance(side, dict) or values.ndim != 4 or values.dtype != np.float32 or not values.shape[1]:
        raise ValueError("the values of attention are float32, [layer, head, destination, source]")
    hidden = np.isinf(values)
    return {
        **side,
        "values": np.where(hidden, np.float32(np.nan), values),
        "masked": hidden[:, 0].astype(np.uint8),
    }
