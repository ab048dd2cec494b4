"""What changes of features do to a model's next token, and whether its attribution graph said so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .codec import Floats, Ints
from .envelope import BaseResult, excerpt
from .sides import Prompt

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 8  # tokens in a printed result


class FeatureEffects(BaseResult):
    """What `feature_interventions` returns.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        prompt: the prompt as it was run.
        tokens, texts: the next tokens that are listed: those of the graph, and the likeliest before and after, [token].
        before, after: their probabilities without and with the changes, [token].
        measured: by how much the changes move each token's logit minus the mean logit, in the model itself and before
            a final softcap, [token].
        predicted: the same as the graph says it; NaN for tokens that are not in it, and without a graph, [token].
        activations: of each change, at each of its positions, the activation before and after: [change, 2], the mean
            over positions.
        without, with_changes: the texts of the tokens that were generated.
        agreement: the correlation between predicted and measured, if three tokens or more have both.
        warnings: what has to be known before these numbers are used.
    """

    derived = BaseResult.derived | {"agreement"}

    family: Literal["feature_effects"] = "feature_effects"
    method: str = "feature_interventions"
    params: dict[str, Any] = Field(default_factory=dict)
    prompt: Prompt
    tokens: Ints
    texts: list[str]
    before: Floats
    after: Floats
    measured: Floats
    predicted: Floats
    activations: Floats
    without: list[str] = Field(default_factory=list)
    with_changes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _makes_sense(self) -> FeatureEffects:
        shape = self.tokens.shape
        arrays = (self.before, self.after, self.measured, self.predicted)
        if len(shape) != 1 or any(one.shape != shape for one in arrays) or len(self.texts) != shape[0]:
            raise ValueError("tokens, texts, before, after, measured and predicted have one entry for each token")
        if self.activations.ndim != 2 or self.activations.shape[1] != 2:
            raise ValueError("activations are [change, 2]")
        if not all(np.isfinite(one).all() for one in (self.before, self.after, self.measured, self.activations)):
            raise ValueError("probabilities, measured changes and activations are finite")
        return self

    @property
    def agreement(self) -> float | None:
        """The correlation between what the graph predicts and what was measured, over the tokens that have both."""
        both = np.isfinite(self.predicted)
        predicted, measured = self.predicted[both].astype(np.float64), self.measured[both].astype(np.float64)
        if both.sum() < 3 or not predicted.std() or not measured.std():
            return None
        return float(np.corrcoef(predicted, measured)[0, 1])

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each token: its probability before and after, and by how much its logit changed."""
        import pandas

        columns = {"token": self.texts, "id": self.tokens, "before": self.before, "after": self.after}
        return pandas.DataFrame({**columns, "measured": self.measured, "predicted": self.predicted})

    def plot(self) -> Picture:
        """The changes of the logits, as measured, and as the graph predicts them. Needs matplotlib."""
        from .pictures import BarPanel, bar_panels

        panels = [BarPanel("measured change of the logit", self.texts, self.measured)]
        if (known := np.flatnonzero(np.isfinite(self.predicted))).size:
            texts = [self.texts[at] for at in known]
            panels.append(BarPanel("as the graph predicts it", texts, self.predicted[known]))
        return bar_panels(panels)

    def headline(self) -> str:
        changes = len(self.activations)
        count = f"{changes} change{'s' if changes > 1 else ''} of features"
        return f"{count} on “{excerpt(self.prompt.text, 40)}”"

    def summary(self) -> Iterator[str]:
        agrees = "" if self.agreement is None else f", correlation {self.agreement:.2f}"
        yield f"token: probability before → after, change of its logit measured (and predicted{agrees})"
        for at in range(min(SUMMARISED, len(self.texts))):
            predicted = "" if np.isnan(self.predicted[at]) else f" ({self.predicted[at]:+.2f})"
            chances = f"{self.before[at]:.1%} → {self.after[at]:.1%}"
            yield f"  {self.texts[at]!r}: {chances}, {self.measured[at]:+.2f}{predicted}"
        if self.with_changes:
            yield f"without: {''.join(self.without)!r}"
            yield f"with: {''.join(self.with_changes)!r}"
