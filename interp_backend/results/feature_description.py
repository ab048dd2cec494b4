"""What one transcoder feature writes and reads, and where in some texts it is active."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .codec import Floats, Ints
from .envelope import BaseResult, Record

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 5  # tokens of a kind, and examples, in a printed result
SHOWN_BEFORE, SHOWN_AFTER = 40, 16  # characters around the token of a printed example
KINDS = ("promoted", "suppressed", "excited_by", "inhibited_by")


class WeighedToken(Record):
    """A token of the vocabulary, its text, and a number about it."""

    id: int
    text: str
    value: float


class Example(Record):
    """A place where a feature is active, with the tokens around it.

    Attributes:
        text: the index of the text.
        start: the position in that text of the first token here, counting the token that begins a text if there is one.
        at: the index, among the tokens here, of the one where the feature is strongest.
        ids, tokens: the token ids and their texts.
        activations: of the feature at each of these tokens, [token].
    """

    text: int = Field(ge=0)
    start: int = Field(ge=0)
    at: int = Field(ge=0)
    ids: list[int]
    tokens: list[str]
    activations: Floats

    @model_validator(mode="after")
    def _makes_sense(self) -> Example:
        if not self.at < len(self.ids) == len(self.tokens) or self.activations.shape != (len(self.ids),):
            raise ValueError("an example has an id, a text and an activation for each token, and one of them is `at`")
        if not np.isfinite(self.activations).all():
            raise ValueError("activations are finite")
        return self

    @property
    def position(self) -> int:
        """The position in the text where the feature is strongest."""
        return self.start + self.at

    @property
    def value(self) -> float:
        """The activation there."""
        return float(self.activations[self.at])

    def marked(self) -> str:
        """The tokens on one line, the strongest in brackets."""
        before, after = "".join(self.tokens[: self.at]), "".join(self.tokens[self.at + 1 :])
        before = before if len(before) <= SHOWN_BEFORE else f"…{before[-SHOWN_BEFORE:]}"
        after = after if len(after) <= SHOWN_AFTER else f"{after[:SHOWN_AFTER]}…"
        return " ".join(f"{before}[{self.tokens[self.at]}]{after}".splitlines())


class FeatureDescription(BaseResult):
    """What `describe_feature` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        layer, feature: which feature.
        transcoders: the name, the layout and the hash of its set, and whether that is cross-layer.
        writes_to: the layers that it writes into.
        promoted, suppressed: the tokens whose logits its decoder raises and lowers most, by how much for each unit of
            its activation, the largest first; see `note`.
        excited_by, inhibited_by: the tokens whose embeddings its encoder reads most, by how much they add to its
            pre-activation, the largest first; see `note`. Empty where it does not read the residual stream.
        note: what these numbers leave out.
        examples: where it is strongest, at most once in a window of a text, the strongest first.
        texts, positions: how many texts there are, and how many of their tokens were read so far.
        active: at how many of these it is active.
        at_start: its activation at the token that begins every text, which is not among `positions`; None if texts
            begin without one, or before any was read.
        counts, edges: a histogram of its activations where it is active, [bin] and [bin + 1]; empty if it never is.
        warnings: what has to be known before these numbers are used.
    """

    derived = BaseResult.derived | {"share"}

    family: Literal["feature_description"] = "feature_description"
    method: str = "describe_feature"
    params: dict[str, Any] = Field(default_factory=dict)
    layer: int = Field(ge=0)
    feature: int = Field(ge=0)
    transcoders: dict[str, str | bool]
    writes_to: list[int]
    promoted: list[WeighedToken]
    suppressed: list[WeighedToken]
    excited_by: list[WeighedToken]
    inhibited_by: list[WeighedToken]
    note: str
    examples: list[Example] = Field(default_factory=list)
    texts: int = Field(default=0, ge=0)
    positions: int = Field(default=0, ge=0)
    active: int = Field(default=0, ge=0)
    at_start: float | None = None
    counts: Ints
    edges: Floats
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _makes_sense(self) -> FeatureDescription:
        bins = len(self.counts) if self.counts.ndim == 1 else -1
        if self.edges.shape != (bins + 1 if bins else 0,) or not np.isfinite(self.edges).all():
            raise ValueError("a histogram has a count for each bin, and finite edges, one more than bins")
        if int(self.counts.sum()) != self.active or (self.counts < 0).any() or self.active > self.positions:
            raise ValueError("the counts of a histogram sum to `active`, which is at most `positions`")
        return self

    @property
    def share(self) -> float | None:
        """The share of positions at which it is active; None before any was read."""
        return self.active / self.positions if self.positions else None

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each token that is written or read, and for each example, which has a text and a position."""
        import pandas

        rows: list[dict[str, Any]] = [
            {"kind": kind.replace("_", " "), "token": one.text, "id": one.id, "value": one.value}
            for kind in KINDS
            for one in getattr(self, kind)
        ]
        for one in self.examples:
            token = {"kind": "example", "token": one.tokens[one.at], "id": one.ids[one.at], "value": one.value}
            rows.append({**token, "text": one.text, "position": one.position, "around": "".join(one.tokens)})
        columns = ["kind", "token", "id", "value", "text", "position", "around"]
        return pandas.DataFrame(rows, columns=columns).astype({"text": "Int64", "position": "Int64"})

    def plot(self) -> Picture:
        """The tokens that it writes and reads, and its strongest examples. Needs matplotlib."""
        from .pictures import BarPanel, bar_panels, visible

        panels = []
        for title, kinds in (("adds to the logit of", KINDS[:2]), ("reads the embedding of", KINDS[2:])):
            ends = [*getattr(self, kinds[0]), *reversed(getattr(self, kinds[1]))]
            if ends:
                values = np.array([one.value for one in ends], np.float32)
                panels.append(BarPanel(title, [visible(one.text) for one in ends], values))
        if self.examples:
            values = np.array([one.value for one in self.examples], np.float32)
            panels.append(BarPanel("is strongest at", [_ending(one) for one in self.examples], values))
        return bar_panels(panels)

    def headline(self) -> str:
        return f"feature {self.feature} of layer {self.layer} of {self.transcoders.get('name', 'a set')}"

    def summary(self) -> Iterator[str]:
        yield f"promotes {_listed(self.promoted)}"
        yield f"suppresses {_listed(self.suppressed)}"
        if self.excited_by:
            yield f"reads {_listed(self.excited_by)}, against {_listed(self.inhibited_by)}"
        if self.positions and not self.active:
            yield f"active nowhere in {self.positions:,} positions"
        elif self.positions:
            yield f"active at {self.share:.2%} of {self.positions:,} positions"
        for one in self.examples[:SUMMARISED]:
            yield f"  {one.value:.2f}  {one.marked()}"


def _listed(tokens: list[WeighedToken]) -> str:
    return ", ".join(repr(one.text) for one in tokens[:SUMMARISED])


def _ending(example: Example) -> str:
    """The last characters up to the token of an example, in a label's length."""
    whole = "".join(example.tokens[: example.at + 1]).replace("\n", " ")
    return whole if len(whole) <= 28 else f"…{whole[-27:]}"
