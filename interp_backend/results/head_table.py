"""Tables of heads: their scores, and the pairs of tokens that a head connects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Floats
from .envelope import BaseResult, Record, shape_words
from .sides import indices

if TYPE_CHECKING:
    import pandas


SUMMARISED = 16  # scores or pairs in a printed result


class Score(Record):
    """What a score means: its name, its definition, whether large values are remarkable, and its unit if it has one."""

    label: str
    help: str
    descending: bool = True
    unit: str = ""


class HeadScores(BaseResult):
    """What `head_scores` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        layers, heads: the model's numbers of the layers and heads.
        scores: by name, [layer, head], float32; NaN where the prompt has no place to measure the score.
        spread: the standard deviation over seeds, of the scores that were measured on several random sequences.
        about: what each score means.
        warnings: what has to be known before these scores are used.
    """

    family: Literal["head_scores"] = "head_scores"
    method: Literal["head_scores"] = "head_scores"
    layers: list[int]
    heads: list[int]
    scores: dict[str, Floats]
    spread: dict[str, Floats] = Field(default_factory=dict)
    about: dict[str, Score]
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _makes_sense(self) -> HeadScores:
        cells = (len(self.layers), len(self.heads))
        for name, part in [*self.scores.items(), *self.spread.items()]:
            if part.shape != cells:
                raise ValueError(f"the score {name} has to be [layer, head], {cells}")
        if set(self.about) != set(self.scores) or not set(self.spread) <= set(self.scores):
            raise ValueError("every score has to be explained, and every spread has to belong to a score")
        return self

    def place_of(self, layer_index: int, head_index: int) -> Place:
        """Which head a cell of the scores is."""
        return Place(layer=self.layers[layer_index], head=self.heads[head_index])

    def find(self, place: PlaceLike) -> tuple[int | slice, ...] | None:
        """Where a place is in the scores, [layer, head]: a slice for an axis that the place does not name; None where
        the table has no such head or layer."""
        place = as_place(place) or Place()
        return indices(place, layer=self.layers, head=self.heads)

    def headline(self) -> str:
        return f"{len(self.scores)} scores of {len(self.layers) * len(self.heads)} heads"

    def summary(self) -> Iterator[str]:
        yield f"scores {shape_words(('layer', 'head'), (len(self.layers), len(self.heads)))}; the most remarkable head:"
        for name, values in [*self.scores.items()][:SUMMARISED]:
            if np.isfinite(values).any():
                pick = np.nanargmax if self.about[name].descending else np.nanargmin
                i, j = np.unravel_index(int(pick(values)), values.shape)
                yield f"  {values[i, j]:+.3f}  head {self.layers[i]}.{self.heads[j]}  {self.about[name].label}"

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each head: a column for each score, and a column "... spread" for each spread."""
        import pandas

        layer, head = (index.ravel() for index in np.indices((len(self.layers), len(self.heads))))
        columns: dict[str, Any] = {"layer": np.array(self.layers)[layer], "head": np.array(self.heads)[head]}
        for name, part in self.scores.items():
            columns[name] = part.ravel()
            if name in self.spread:
                columns[f"{name} spread"] = self.spread[name].ravel()
        return pandas.DataFrame(columns)


class TokenPair(Record):
    """Two tokens that a head connects, and how strongly it does."""

    source_id: int
    source: str
    target_id: int
    target: str
    value: float


class HeadPairs(BaseResult):
    """What `head_circuits` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        pairs, lowest: the pairs with the largest and with the smallest values. In the OV circuit a pair is a source
            token and the token whose logit it raises; in the QK circuit a destination token and the token that it
            attends to.
        copying: for the OV circuit, its eigenvalue score from -1 to 1; see `head_scores`.
        note: what these numbers leave out.
    """

    family: Literal["head_pairs"] = "head_pairs"
    method: Literal["head_circuits"] = "head_circuits"
    pairs: list[TokenPair]
    lowest: list[TokenPair]
    copying: float | None
    note: str

    def headline(self) -> str:
        head = f"{self.params.get('layer')}.{self.params.get('head')}"
        return f"{str(self.params.get('circuit', '')).upper()} circuit of head {head}"

    def summary(self) -> Iterator[str]:
        yield f"{len(self.pairs)} largest and {len(self.lowest)} smallest pairs of tokens; the largest:"
        for pair in self.pairs[:SUMMARISED]:
            yield f"  {pair.value:+.3f}  {pair.source!r} → {pair.target!r}"

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each pair, the largest value first and the smallest last."""
        import pandas

        table = pandas.DataFrame([pair.model_dump() for pair in [*self.pairs, *self.lowest]])
        table = table.drop_duplicates(["source_id", "target_id"])
        return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
