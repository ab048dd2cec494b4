"""What the logit lens read: for every row of the stack and every position, the next tokens that would come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .effect_map import SCHEMA_VERSION, Array, Part, Whole

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


def check_counterparts(counterparts: list[int | None] | None, sides: Mapping[str, Any]) -> None:
    """Raise ValueError for counterparts that are not positions of the two prompts' tokens."""
    if counterparts is None:
        return
    clean, corrupt = (len(sides[side].ids) if side in sides else 0 for side in ("clean", "corrupt"))
    if len(counterparts) != clean or not all(at is None or 0 <= at < corrupt for at in counterparts):
        raise ValueError("counterparts are, for each clean token, a position of the corrupt prompt or null")


class Token(Part):
    """A token of the vocabulary, and its text."""

    id: int
    text: str


class LensArrays(Part):
    """What was read of one prompt, or of some of its columns.

    Attributes:
        top_ids, top_logits, top_probs: the likeliest tokens, likeliest first, [row, position, k].
        entropy: of the whole next-token distribution, in nats, [row, position].
        kl_to_final: how far the row still is from what the model says in the end, KL(final || row) in nats,
            [row, position].
        target_logit, target_prob, target_rank: of the followed tokens, [row, position, target]; rank 0 is the top.
    """

    top_ids: Array
    top_logits: Array
    top_probs: Array
    entropy: Array
    kl_to_final: Array
    target_logit: Array
    target_prob: Array
    target_rank: Array

    def columns(self, start: int, stop: int) -> LensArrays:
        """The same of the positions from start up to stop."""
        return LensArrays.model_construct(
            **{name: getattr(self, name)[:, start:stop] for name in LensArrays.model_fields}
        )

    @model_validator(mode="after")
    def _shapes_agree(self) -> LensArrays:
        kinds = {"top_ids": np.int32, "target_rank": np.int32}
        if any(getattr(self, name).dtype != kinds.get(name, np.float32) for name in type(self).model_fields):
            raise ValueError("ids and ranks of a lens are int32, its other arrays float32")
        cells = self.entropy.shape
        tops = {part.shape for part in (self.top_ids, self.top_logits, self.top_probs)}
        targets = {part.shape for part in (self.target_logit, self.target_prob, self.target_rank)}
        fits = all(len(some) == 1 and next(iter(some))[:-1] == cells for some in (tops, targets))
        if len(cells) != 2 or self.kl_to_final.shape != cells or not fits:
            raise ValueError("the arrays of a lens are [row, position], with one axis more for tokens")
        return self


class LensSide(Part):
    """One prompt as it was run, and what was read of it; `arrays` is None where they were too large to send."""

    text: str
    ids: list[int]
    tokens: list[str]
    arrays: LensArrays | None


class LogitLens(Whole):
    """What `logit_lens` returns.

    Attributes:
        labels: of the rows: the embedding first, the model's own output last.
        sides: "prompt"; or, of a pair, "clean" and "corrupt".
        counterparts: for each position of the clean prompt that of the corrupt one; None if all are themselves.
        targets: the followed tokens.
        tokens: text of every token id in the top lists.
        top_ids, top_logits, ..., target_rank: the arrays of the prompt; of a pair those of the clean one (see `of`).
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Literal["logit_lens"] = "logit_lens"
    params: dict[str, Any]
    labels: list[str]
    sides: dict[str, LensSide]
    counterparts: list[int | None] | None = None
    targets: list[Token] = Field(default_factory=list)
    tokens: dict[int, str] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> LogitLens:
        if set(self.sides) not in ({"prompt"}, {"clean", "corrupt"}):
            raise ValueError('the sides of a lens are "prompt", or "clean" and "corrupt"')
        check_counterparts(self.counterparts, self.sides)
        for side in self.sides.values():
            cells = (len(self.labels), len(side.ids))
            if len(side.tokens) != len(side.ids):
                raise ValueError("a prompt has as many texts of tokens as tokens")
            if side.arrays is not None:
                if side.arrays.entropy.shape != cells:
                    raise ValueError(f"the arrays of a lens have to be shaped {cells}, rows and positions")
                if side.arrays.target_rank.shape[-1] != len(self.targets):
                    raise ValueError("the arrays of a lens have as many targets as are named")
        return self

    def of(self, side: str) -> LensArrays:
        """The arrays of one prompt.

        Raises:
            ValueError: a side that there is not, or whose arrays were too large to keep.
        """
        if side not in self.sides:
            raise ValueError(f"This lens has {' and '.join(self.sides)}, and not {side!r}.")
        arrays = self.sides[side].arrays
        if arrays is None:
            raise ValueError("The arrays of this lens were too large to be saved with it. Run it again.")
        return arrays

    def __getattr__(self, name: str) -> Any:
        if name in LensArrays.model_fields:
            return getattr(self.of(next(iter(self.sides))), name)
        return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue]

    def to_wire(self, *, arrays: bool = True) -> dict[str, Any]:
        """The result as one object of plain JSON values; without the arrays a frame, whose columns are sent later."""
        if arrays:
            return self.model_dump(mode="json")
        bare = {name: side.model_copy(update={"arrays": None}) for name, side in self.sides.items()}
        return self.model_copy(update={"sides": bare, "tokens": {}}).model_dump(mode="json")

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each prompt, row of the stack and position: the likeliest token, and what else was read."""
        import pandas

        frames = []
        for name, side in self.sides.items():
            arrays = self.of(name)
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

    def plot(self) -> Figure:
        """A still picture: the likeliest token of every cell, coloured by its probability. Needs matplotlib."""
        from .plot import plot_lens

        return plot_lens(self)
