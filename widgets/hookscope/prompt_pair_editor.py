"""The prompt pair editor: type two prompts, and see at once what the model predicts after them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from interp_backend import load_model
from interp_backend.language.metrics import METRICS, as_measures, name_of
from interp_backend.language.prompts import PromptPair, tokenize
from interp_backend.language.tasks import templates
from interp_backend.methods.read_pair import PairReading, read_pair
from interp_backend.place import Place
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Asker, Want
from .output import Pictured
from .panel import action
from .traits import PairTrait


class PromptPairEditor(Pictured):
    """Two prompts and their answers, as text and as tokens, with the model's predictions for both.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: the initial pair; by default the first of the model's templates.
        metric: the metric whose baselines are shown: a name, or a function of logits.

    Attributes:
        pair: the live `PromptPair`. Set it to change the view; observe it to follow the typing.
        result: the `PairReading` of the pair, or None while the model still runs.
        selection: the token that is pinned, as `{"position": 4}`, or None.
        status, progress, error: the state of the run.
    """

    bundle = "prompt_pair_editor"
    _reading_id = ""

    pair = PairTrait(help="The live pair.")
    metric = traitlets.Union(
        [traitlets.Enum(list(METRICS)), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    tokens = traitlets.Dict(help="The tokenised pair, aligned and checked.").tag(sync=True)
    reading: traitlets.Instance[PairReading | None] = traitlets.Instance(
        PairReading, allow_none=True, help="The model's predictions for the pair."
    ).tag(
        sync=True,
        to_json=lambda reading, editor: reading and {**reading.model_dump(mode="json"), "id": editor._reading_id},
    )

    def __init__(
        self,
        model: Any,
        pair: PromptPair | None = None,
        *,
        metric: str | Callable[..., Any] = "logit_diff",
    ) -> None:
        model = load_model(model)
        choices = templates(model)
        super().__init__(
            pair=pair if pair is not None else choices[0].pairs[0],
            metric=metric,
            info={
                "model": model.describe(),
                "templates": [
                    {"name": t.name, "label": t.label, "pairs": [p.model_dump() for p in t.pairs]} for t in choices
                ],
            },
        )
        self._asker = Asker(self, model, main="reading")
        self._on_change()

    @property
    def result(self) -> PairReading | None:
        """The model's predictions for the pair; None while it still runs."""
        return self.reading

    def wants(self) -> dict[str, Want]:
        call = read_pair.call(self.model, self.pair, metric=self.metric)
        return {"reading": Want(call, self._take, priority=0, keep=True)}

    def _take(self, id: str, step: Step[PairReading]) -> None:
        self._reading_id = id
        self.reading = step.result

    def _placed(self, place: Place) -> Place:
        side = place.side or "clean"
        length = len(self.tokens[side]["ids"]) if self.tokens else 0
        if place.position is not None and place.position not in range(length):
            raise ValueError(f"There is no token {place.position}: the {side} prompt has {length}.")
        return place

    @traitlets.observe("pair", "metric")
    def _on_change(self, change: Any = None) -> Task | None:
        """Show the tokens at once, and the model's predictions as soon as its worker is free."""
        asker = self._asker
        if asker is None:
            return None
        [measure] = as_measures(self.metric)
        tokenized = tokenize(asker.model, self.pair, measure.whole_answer)
        self.tokens = tokenized.to_json()
        self._unpin_what_is_gone()
        return asker.refresh()

    @action("edit")
    def _on_edit(self, id: str, pair: PromptPair) -> Task | None:
        """Set another pair."""
        with self._asking().defer():
            self.pair = pair
        return self._asking().refresh(id)
