"""The logit lens: for every row of the stack and every position, the next tokens that the model would predict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Floats, Ints
from .envelope import Record, shape_words
from .sides import Prompt, SidedResult, index_along

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 14  # rows in a printed result


class Token(Record):
    """A token of the vocabulary, and its text."""

    id: int
    text: str


class LensArrays(Record):
    """What the lens read from one prompt, or from some of its columns.

    Attributes:
        top_ids, top_logits, top_probs: the likeliest tokens, likeliest first, [row, position, k].
        entropy: the entropy of the whole next-token distribution, in nats, [row, position].
        kl_to_final: how far the row's distribution is from the model's own output, KL(final || row) in nats,
            [row, position].
        target_logit, target_prob, target_rank: the followed tokens, [row, position, target]; rank 0 is the likeliest.
    """

    top_ids: Ints
    top_logits: Floats
    top_probs: Floats
    entropy: Floats
    kl_to_final: Floats
    target_logit: Floats
    target_prob: Floats
    target_rank: Ints

    def columns(self, start: int, stop: int) -> LensArrays:
        """The same arrays for the positions from start up to stop alone."""
        return LensArrays.model_construct(
            **{name: getattr(self, name)[:, start:stop] for name in LensArrays.model_fields}
        )

    @model_validator(mode="after")
    def _shapes_agree(self) -> LensArrays:
        cells = self.entropy.shape
        tops = {part.shape for part in (self.top_ids, self.top_logits, self.top_probs)}
        targets = {part.shape for part in (self.target_logit, self.target_prob, self.target_rank)}
        fits = all(len(some) == 1 and next(iter(some))[:-1] == cells for some in (tops, targets))
        if len(cells) != 2 or self.kl_to_final.shape != cells or not fits:
            raise ValueError("the arrays of a lens are [row, position], with one axis more for tokens")
        return self


class LensSide(Prompt):
    """One prompt and what the lens read from it; `arrays` is None where they were too large to send."""

    arrays: LensArrays | None


_LAYER = re.compile("[0-9]{1,6}")  # a row's label begins with it


class LogitLens(SidedResult[LensSide]):
    """What `logit_lens` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        sides, counterparts, warnings: see `SidedResult`.
        labels: a text for each row: the embedding first, the model's own output last; see `row_places`.
        targets: the followed tokens.
        tokens: the text of every token id among the likeliest tokens.
        top_ids, top_logits, ..., target_rank: the arrays of the prompt; of a pair those of the clean prompt. See
            `LensArrays` and `arrays_of`.
    """

    derived = SidedResult.derived | {"places"}

    family: Literal["logit_lens"] = "logit_lens"
    method: Literal["logit_lens"] = "logit_lens"
    labels: list[str]
    targets: list[Token] = Field(default_factory=list)
    tokens: dict[int, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shapes_agree(self) -> LogitLens:
        if not all(map(_LAYER.match, self.labels[1:-1])):
            raise ValueError("the rows of a lens between the first and the last are labelled with their layers")
        for side in self.sides.values():
            cells = (len(self.labels), len(side.ids))
            if side.arrays is not None:
                if side.arrays.entropy.shape != cells:
                    raise ValueError(f"the arrays of a lens have to be shaped {cells}, rows and positions")
                if side.arrays.target_rank.shape[-1] != len(self.targets):
                    raise ValueError("the arrays of a lens have as many targets as are named")
        return self

    def arrays_of(self, side: str) -> LensArrays:
        """The arrays of one prompt.

        Raises:
            ValueError: a side that this result does not have, or whose arrays were too large to keep.
        """
        if side not in self.sides:
            raise ValueError(f"This lens has {' and '.join(self.sides)}, and not {side!r}.")
        arrays = self.sides[side].arrays
        if arrays is None:
            raise ValueError("The arrays of this lens were too large to be saved with it. Run it again.")
        return arrays

    def __getattr__(self, name: str) -> Any:
        if name in LensArrays.model_fields:
            return getattr(self.arrays_of(next(iter(self.sides))), name)
        return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue]

    # Places

    @property
    def row_places(self) -> list[Place]:
        """Which activation each row reads: the embedding first, the model's output last, between them the stream."""
        stream = str(self.params.get("stream", "resid_post"))
        numbers = [int(found[0]) for label in self.labels[1:] if (found := _LAYER.match(label))]
        layers = numbers[: len(self.labels) - 2]  # a layer that lacks the stream has no row
        last = numbers[-1] if numbers else 0
        return [
            Place(activation="resid_pre", layer=0),
            *(Place(activation=stream, layer=layer) for layer in layers),
            Place(activation="resid_post", layer=last),
        ][: len(self.labels)]

    def place_of(self, row: int, position: int, side: str | None = None) -> Place:
        """Which place a cell is.

        Args:
            side: the prompt that positions are counted in; of a pair the clean prompt if None.
        """
        where = None if "prompt" in self.sides else "corrupt" if side == "corrupt" else "clean"
        return self.row_places[row].model_copy(update={"position": position, "side": where})

    def find(self, place: PlaceLike, side: str | None = None) -> tuple[int | slice, ...] | None:
        """Where a place is in the arrays of a side, [row, position]; a slice where the place names no row or position.

        A row is found by its activation and layer, or else by its layer: what a head or an MLP of a layer does is seen
        in the stream after it.

        Args:
            side: the side whose arrays are meant, "difference" too; None is the place's own, or the first.
        """
        place = as_place(place) or Place()
        name, here = self.side_for(place, side)
        if here is None:
            return None
        row = slice(None) if place.layer is None else self._row_of(place)
        column = index_along(here.position, range(len(self.sides[name].ids)))
        if row is None or column is None or row == column == slice(None):
            return None
        return row, column

    def _row_of(self, place: Place) -> int | None:
        rows = self.row_places
        exactly = place.within("activation", "layer")
        stream = Place(activation=str(self.params.get("stream")), layer=place.layer)
        same_layer = [row for row in reversed(rows) if row.layer == place.layer]
        return next((rows.index(row) for row in (exactly, stream, *same_layer) if row in rows), None)

    # Ways out

    def to_wire(self, *, arrays: bool = True) -> dict[str, Any]:
        """The result as one object of plain JSON values, derived ones among them; without the arrays it is a frame,
        whose columns are sent later."""
        shown = self
        if not arrays:
            bare = {name: side.model_copy(update={"arrays": None}) for name, side in self.sides.items()}
            shown = self.model_copy(update={"sides": bare, "tokens": {}})
        return {**shown.model_dump(mode="json"), "places": [place.to_json() for place in self.row_places]}

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each prompt, row of the stack and position: the likeliest token, and the other readings."""
        import pandas

        frames = []
        for name, side in self.sides.items():
            arrays = self.arrays_of(name)
            row, position = (index.ravel() for index in np.indices(arrays.entropy.shape))
            columns: dict[str, Any] = {
                "side": name,
                "row": np.array(self.labels, object)[row],
                "position": position,
                "token": np.array(side.tokens, object)[position],
                "top": [self.tokens.get(int(token), "") for token in arrays.top_ids[..., 0].ravel()],
                "prob": arrays.top_probs[..., 0].ravel(),
                "logit": arrays.top_logits[..., 0].ravel(),
                "entropy": arrays.entropy.ravel(),
                "kl_to_final": arrays.kl_to_final.ravel(),
            }
            for i, target in enumerate(self.targets):
                for kind in ("logit", "prob", "rank"):
                    columns[f"{kind} of {target.text!r}"] = getattr(arrays, f"target_{kind}")[..., i].ravel()
            frames.append(pandas.DataFrame(columns))
        return pandas.concat(frames, ignore_index=True)

    def plot(self) -> Picture:
        """A still picture: the likeliest token of every cell, coloured by its probability. Needs matplotlib."""
        from .pictures import WordPanel, word_panels

        panels = []
        for name, side in self.sides.items():
            arrays = self.arrays_of(name)
            texts = [[self._text(token) for token in row] for row in arrays.top_ids[..., 0]]
            panels.append(WordPanel("" if name == "prompt" else name, texts, arrays.top_probs[..., 0], side.tokens))
        return word_panels(panels, self.labels)

    def _text(self, token: int) -> str:
        return self.tokens.get(int(token), f"[{token}]")

    def headline(self) -> str:
        tuned = "tuned lens" if self.params.get("lens") == "tuned" else "logit lens"
        return f"{tuned} on {self.params.get('stream', 'the residual stream')}, {self.prompts_in_words()}"

    def summary(self) -> Iterator[str]:
        for name, side in self.sides.items():
            shape = shape_words(("row", "position"), (len(self.labels), len(side.ids)))
            if side.arrays is None:
                yield f"{name}: {shape}, without its arrays, which were too large to keep"
            else:
                yield f"{name}: top tokens, entropy and KL {shape}"
        side = self.first
        if side.arrays is not None and side.ids:
            yield f"likeliest next token after {side.tokens[-1]!r}, from the last row down:"
            rows = range(len(self.labels))[::-1]
            for row in rows[:SUMMARISED]:
                token, prob = side.arrays.top_ids[row, -1, 0], side.arrays.top_probs[row, -1, 0]
                yield f"  {self.labels[row]:>7}  {self._text(token)!r} {prob:.1%}"
