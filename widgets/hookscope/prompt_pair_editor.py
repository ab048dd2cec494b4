"""The prompt pair editor: type two prompts, and see at once what the model makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import traitlets

from interp_backend.language.loading import load_model
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.prompts import PromptPair, tokenize
from interp_backend.language.tasks import templates
from interp_backend.methods.read_pair import PairReading, read_pair
from interp_backend.service.protocol import Request

from ._base import HookscopeWidget
from .bundles import bundle
from .traits import PairTrait


class PromptPairEditor(HookscopeWidget):
    """Two prompts and their answers, as text and as tokens, with what the model says to them.

    Args:
        model: what `load_model` gives or takes.
        pair: the pair to begin with; by default the first of the model's templates.
        metric: the metric whose baselines are shown: a name, or a function of logits.

    Attributes:
        pair: the live `PromptPair`. Set it to change what is shown; observe it to follow what is typed.
        result: the `PairReading` of the pair, or None while the model still runs.
        selection: the token that is pinned, as `{"position": 4}`, or None.
        status, progress, error: how the reading is doing.
    """

    _esm = bundle("prompt_pair_editor")

    pair = PairTrait(help="The live pair.")
    metric = traitlets.Union(
        [traitlets.Enum(list(METRICS)), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    tokens = traitlets.Dict(help="The pair as the tokenizer has it, aligned and checked.").tag(sync=True)
    reading: traitlets.Instance[PairReading | None] = traitlets.Instance(
        PairReading, allow_none=True, help="What the model says to the pair."
    ).tag(sync=True, to_json=lambda reading, _: reading and reading.model_dump(mode="json"))

    def __init__(
        self,
        model: Any,
        pair: PromptPair | None = None,
        *,
        metric: str | Callable[..., Any] = "logit_diff",
    ) -> None:
        model = load_model(model)
        choices = templates(model)
        self._ready = False  # no reading until all traits are in place
        super().__init__(
            model,
            pair=pair if pair is not None else choices[0].pairs[0],
            metric=metric,
            info={
                "model": model.describe(),
                "templates": [
                    {"name": t.name, "label": t.label, "pairs": [p.model_dump() for p in t.pairs]} for t in choices
                ],
            },
        )
        self._ready = True
        self._read(self._new_id())

    @property
    def result(self) -> PairReading | None:
        """What the model says to the pair; None while it still runs."""
        return self.reading

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, int] | None:
        selection = proposal["value"]
        length = len(self.tokens["clean"]["ids"]) if self.tokens else 0
        if selection is None or (set(selection) == {"position"} and selection["position"] in range(length)):
            return selection
        raise traitlets.TraitError(f'There is no token {selection}. Give {{"position": 0 to {length - 1}}}.')

    @traitlets.observe("pair", "metric")
    def _on_change(self, change: Any) -> None:
        if self._ready:
            self._read(self._new_id())

    def _answer(self, request: Request) -> None:
        if request.method != "edit":
            return super()._answer(request)
        self._ready = False  # the reading of this pair answers the request, so it is asked for here
        try:
            self.pair = request.params.pair
        finally:
            self._ready = True
        self._read(request.id)

    def _read(self, id: str) -> None:
        """Tokens at once; what the model says as soon as its worker is free."""
        tokenized = tokenize(self.model, self.pair)
        if self.selection is not None and self.selection["position"] >= len(tokenized.ids["clean"]):
            self.selection = None
        self.tokens = tokenized.to_json()
        self._submit(id, lambda: self._steps(self.pair, self.metric), self._on_step)

    def _steps(self, pair: PromptPair, metric: Any) -> Iterator[PairReading]:
        yield read_pair(self.model, pair, metric=metric)

    def _on_step(self, reading: PairReading) -> None:
        self.reading = reading
