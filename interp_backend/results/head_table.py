"""Scores of heads: what `head_scores` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .effect_map import SCHEMA_VERSION, Array, Part, Whole

if TYPE_CHECKING:
    import pandas


class Score(Part):
    """What a score is: its name for people, its definition, whether large is remarkable, its unit (or none)."""

    label: str
    help: str
    descending: bool = True
    unit: str = ""


class HeadScores(Whole):
    """What `head_scores` returns.

    Attributes:
        layers, heads: the model's numbers of the layers and heads.
        scores: by name, [layer, head], float32; NaN where the prompt has no place to measure it.
        spread: the standard deviation over seeds of those that were measured on several random sequences.
        about: what each score is.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Literal["head_scores"] = "head_scores"
    params: dict[str, Any]
    layers: list[int]
    heads: list[int]
    scores: dict[str, Array]
    spread: dict[str, Array] = Field(default_factory=dict)
    about: dict[str, Score]
    warnings: list[str] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> HeadScores:
        cells = (len(self.layers), len(self.heads))
        for name, part in [*self.scores.items(), *self.spread.items()]:
            if part.shape != cells or part.dtype != np.float32:
                raise ValueError(f"the score {name} has to be float32, [layer, head], {cells}")
        if set(self.about) != set(self.scores) or not set(self.spread) <= set(self.scores):
            raise ValueError("every score has to be explained, and every spread to be one of a score")
        return self

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a head: a column for each score, and one "... spread" where there is one."""
        import pandas

        layer, head = (index.ravel() for index in np.indices((len(self.layers), len(self.heads))))
        columns: dict[str, Any] = {"layer": np.array(self.layers)[layer], "head": np.array(self.heads)[head]}
        for name, part in self.scores.items():
            columns[name] = part.ravel()
            if name in self.spread:
                columns[f"{name} spread"] = self.spread[name].ravel()
        return pandas.DataFrame(columns)


class TokenPair(Part):
    """Two tokens that a head connects, and how strongly."""

    source_id: int
    source: str
    target_id: int
    target: str
    value: float


class HeadPairs(Whole):
    """What `head_circuits` returns.

    Attributes:
        pairs, lowest: the pairs with the largest values, and those with the smallest. Of the OV circuit from a source
            token to the token whose logit it raises, of the QK circuit from a destination token to what it looks for.
        copying: of the OV circuit, its eigenvalue score from -1 to 1; see `head_scores`.
        note: what is left out.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Literal["head_circuits"] = "head_circuits"
    params: dict[str, Any]
    pairs: list[TokenPair]
    lowest: list[TokenPair]
    copying: float | None
    note: str

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a pair, the largest first: those of both ends."""
        import pandas

        table = pandas.DataFrame([pair.model_dump() for pair in [*self.pairs, *self.lowest]])
        table = table.drop_duplicates(["source_id", "target_id"])
        return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
