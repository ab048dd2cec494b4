"""The logit-lens grid: the model's prediction after each layer, and which component wrote the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import traitlets
from pydantic import Field

from interp_backend.language.prompts import PromptPair
from interp_backend.language.tuned_lens import TunedLens, embedded_lens
from interp_backend.methods.direct_logit_attribution import direct_logit_attribution
from interp_backend.methods.logit_lens import LENSES, STREAMS, logit_lens, trajectory
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array
from interp_backend.results.lens import LensArrays, LogitLens
from interp_backend.results.step import Step
from interp_backend.service import protocol
from interp_backend.service.tasks import Task

from .asking import Once, Want
from .menus import choices
from .panel import Index, Side, Word, action
from .prompt_pair_editor import PromptPairEditor
from .subject import OfPrompt, model_to_ask, subject_traits
from .traits import Argument

# Numbers in one message. Larger results are sent column by column, or head by head, as they are viewed.
MOST_SENT = 300_000
COLORS = {
    "probability": ("probability", "of the likeliest token"),
    "target": ("probability of the followed token", "follow a token first"),
    "rank": ("rank of the followed token", "how many tokens are likelier; 0 is the top"),
    "entropy": ("entropy", "of the next-token distribution, in nats: how unsure the model is"),
    "kl": ("KL to the output", "how far the row still is from the model's output, in nats"),
}
NO_TUNED_LENS = "No tuned lens comes with this model. Give one: LogitLensGrid(..., lens=...)."


class LogitLensGrid(OfPrompt):
    """The model's prediction after each layer; and, in a second tab, which component wrote the answer.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        stream, targets, top_k, last, prepend_bos: as in `interp_backend.logit_lens`.
        lens: "logit", "tuned" (for the embedded model's own), or a `TunedLens`.
        color: what colours the cells: "probability", "target", "rank", "entropy" or "kl".
        layer_zero: "bottom" or "top".
        result: a `LogitLens` to show, instead of a model and a prompt.

    Attributes:
        result: the `LogitLens`, or None while the model still runs.
        attribution: the `Attribution` of the second tab, or None before it is asked for.
        selection: the pinned place, `{"layer": 3, "position": 5}`, or None.
        columns: the brushed columns, `[start, stop]`, or None for all.
        code, attribution_code: Python code that computes what is shown.
        status, progress, error: the state of the run.
    """

    bundle = "logit_lens_grid"
    choices = ("stream", "lens", "_targets", "_top_k", "_last", "_answers", "color", "side", "tab", "columns")
    quantity = "Logit lens"
    _parts = ("layer", "position")
    stream = Argument(logit_lens, "stream")
    lens = traitlets.Enum(list(LENSES), "logit", help="Which lens.").tag(sync=True)
    color = traitlets.Enum(list(COLORS), "probability", help="What colours the cells.").tag(sync=True, set_by_view=True)
    tab = traitlets.Enum(["lens", "attribution"], "lens", help="Which tab is open.").tag(sync=True, set_by_view=True)
    columns = traitlets.List(traitlets.Int(), None, allow_none=True, help="The brushed columns.").tag(
        sync=True, set_by_view=True
    )
    result: traitlets.Instance[LogitLens | None] = traitlets.Instance(
        LogitLens, allow_none=True, help="The lens's readings."
    ).tag(sync=True, to_json=lambda result, widget: result and widget._lens_to_wire(result))
    attribution: traitlets.Instance[Attribution | None] = traitlets.Instance(
        Attribution, allow_none=True, help="Which components wrote the answer."
    ).tag(sync=True, to_json=lambda found, widget: found and widget._attribution_to_wire(found))
    attribution_code = traitlets.Unicode(help="Python code of the attribution.").tag(sync=True)

    def __init__(
        self,
        model: Any = None,
        prompt: str | PromptPair | PromptPairEditor | None = None,
        *,
        stream: str = "resid_post",
        lens: str | TunedLens = "logit",
        targets: Sequence[str | int] | None = None,
        top_k: int = 10,
        last: int | None = None,
        prepend_bos: bool | None = None,
        color: str = "probability",
        layer_zero: str = "bottom",
        result: LogitLens | None = None,
    ) -> None:
        known = model_to_ask(model, prompt, result, "a prompt to read")
        if result is not None:
            stream, lens = result.params.get("stream", stream), result.params.get("lens", "logit")
        self._own_lens = lens if isinstance(lens, TunedLens) else None
        self._targets, self._top_k, self._last = targets, top_k, last
        self._answers: tuple[Any, Any, int] | None = None  # the requested answers; None means the pair's own
        self._whole = False  # send a result with all its arrays, however large, for a page
        has_tuned = self._own_lens is not None or (known is not None and embedded_lens(known) is not None)
        super().__init__(
            **subject_traits(prompt, result),
            prepend_bos=prepend_bos,
            stream=stream,
            lens=lens if isinstance(lens, str) else "tuned",
            color=color,
            layer_zero=layer_zero,
            info={
                "model": None if known is None else known.describe(),
                "streams": choices(STREAMS, {} if known is None else known.unavailable),
                "lenses": choices(LENSES, {} if has_tuned else {"tuned": NO_TUNED_LENS}),
                "colors": choices(COLORS, {}),
            },
        )
        if known is not None:
            self._start(known, prompt)
        elif result is not None:
            self.result, self.status, self.code = result, "done", self._code_of(result)

    # For users

    def run(self) -> None:
        """Read the prompts again, in both tabs."""
        self._asking().again("result", "attribution")

    def attribute(self, answer: Any = None, wrong_answer: Any = None, *, position: int = -1) -> None:
        """Decompose the logit difference of two answers; `attribution` has the result after `wait()`.

        Args:
            answer, wrong_answer, position: as in `interp_backend.direct_logit_attribution`.
        """
        self._on_attribute(self._asking().new_id(), answer, wrong_answer, position)

    def page_state(self) -> dict[str, Any]:
        self._whole = True
        try:
            return super().page_state()
        finally:
            self._whole = False

    # What should be shown

    def wants(self) -> dict[str, Want]:
        lens = self._own_lens or "tuned" if self.lens == "tuned" else "logit"
        call = logit_lens.call(
            self.model,
            self.subject,
            stream=self.stream,
            targets=self._targets,
            top_k=self._top_k,
            lens=lens,
            last=self._last,
            prepend_bos=self.prepend_bos,
        )
        wants = {"result": Want(call, self._take, keep=True)}
        own = self.tab == "attribution" and self.pair is not None and bool(self.pair.answers("clean"))
        if self._answers is not None or own:
            answer, wrong_answer, position = self._answers or (None, None, -1)
            call = direct_logit_attribution.call(
                self.model,
                self.subject,
                answer,
                wrong_answer,
                unit="head",
                position=position,
                by_source=True,
                last=self._last,
                prepend_bos=self.prepend_bos,
            )
            wants["attribution"] = Want(call, self._take_attribution, priority=2)
        return wants

    def _take(self, id: str, step: Step[LogitLens]) -> None:
        result: Any = step.result
        result.id = id
        longest = max(len(side.ids) for side in result.sides.values())
        if self.columns is not None and self.columns[1] > longest:
            self.columns = None
        self.result = result
        self._unpin_what_is_gone()
        self.code = self._code_of(result)

    def _take_attribution(self, id: str, step: Step[Attribution]) -> None:
        found: Any = step.result
        found.id = id
        self.attribution, self.attribution_code = found, self._code_of(found)

    def _put_away(self) -> None:
        self._last = self._answers = None
        self.columns = self.attribution = None

    # Traits

    def _lens_to_wire(self, result: LogitLens) -> dict[str, Any]:
        """The result for a view: whole, or a frame whose columns the view requests as they are viewed."""
        cells = sum(len(side.ids) for side in result.sides.values()) * len(result.labels)
        numbers = cells * (3 * result.params["top_k"] + 2 + 3 * len(result.targets))
        return {**result.to_wire(arrays=self._whole or numbers <= MOST_SENT), "complete": True}

    def _attribution_to_wire(self, found: Attribution) -> dict[str, Any]:
        """The attribution for a view; a large one without the heads' sources, which the view requests head by head."""
        sources = [side.by_source for side in found.sides.values() if side.by_source is not None]
        wire = found.to_wire(by_source=self._whole or sum(part.size for part in sources) <= MOST_SENT)
        # The view's fields hold one answer each.
        answers = {name: (found.params[name] or [None])[0] for name in ("answer", "wrong_answer")}
        return {**wire, "params": {**wire["params"], **answers}}

    @traitlets.validate("columns")
    def _valid_columns(self, proposal: Any) -> list[int] | None:
        columns = proposal["value"]
        if self.result is None:  # a result that has fewer will brush all of them
            longest = max(columns or [0])
        else:
            longest = max(len(side.ids) for side in self.result.sides.values())
        if columns is None or (len(columns) == 2 and 0 <= columns[0] < columns[1] <= longest):
            return columns
        raise traitlets.TraitError(f"The columns are [start, stop] within 0 to {longest}, or None, not {columns!r}.")

    @traitlets.observe("stream", "lens", "tab")
    def _on_change(self, change: Any) -> None:
        if self._asker is not None:
            self._asker.refresh()

    def _of_tab(self) -> Any:
        shown = self._shown()
        return self.attribution if self.tab == "attribution" and self.attribution is not None else shown

    # Requests

    @action("logit_lens", logit_lens.request)
    def _on_logit_lens(
        self,
        id: str,
        stream: str,
        lens: str,
        targets: Sequence[str | int] | None,
        top_k: int,
        last: int | None,
        **_: Any,
    ) -> Task | None:
        """Read the prompts with another lens, or follow other tokens."""
        model = self._asking().model
        after = self.subject if isinstance(self.subject, str) else self.subject.clean
        known: dict[Any, int] = {} if self.result is None else {token.text: token.id for token in self.result.targets}
        followed = targets and [known[t] if t in known else model.one_token(t, after) for t in targets]
        self._set_together(id, {"stream": stream, "lens": lens})
        self._targets, self._top_k, self._last = followed, top_k, last
        return self._asking().refresh(id)

    @action("lens_window", command=False)
    def _on_lens_window(self, id: str, result: str, side: Side, start: Index, stop: Index) -> None:
        """Send some columns of the shown lens, from start up to stop."""
        shown = self._still_shown(result, side)
        positions = len(shown.sides[side].ids)
        if not start < min(stop, positions):
            raise ValueError(f"There are no columns {start} to {stop}: this prompt has {positions}.")
        part = shown.arrays_of(side).columns(start, stop)
        tokens = {str(token): shown.tokens[token] for token in np.unique(part.top_ids).tolist()}
        arrays = {name: encode_array(getattr(part, name)) for name in type(part).model_fields}
        window = {"side": side, "start": start, "stop": start + part.entropy.shape[1]}
        self.send(protocol.event(id, "window", **window, arrays=arrays, tokens=tokens))

    @action("trajectory", command=False)
    def _on_trajectory(
        self,
        id: str,
        result: str,
        side: Side,
        position: Index,
        ids: Annotated[list[int], Field(min_length=1, max_length=50)],
    ) -> Task | None:
        """Read some tokens in all rows of one column of the shown lens."""
        shown, model = self._still_shown(result, side), self._asking().model
        tokens = [model.one_token(token) for token in ids]
        if position >= len(shown.sides[side].ids):
            raise ValueError(f"There is no position {position} in this prompt.")
        lens = None if shown.params["lens"] == "logit" else self._own_lens or embedded_lens(model)

        def steps() -> Iterator[Step[Any]]:
            yield Step(1, 1, 0.0, trajectory(model, shown, side, position, tokens, lens))

        def show(read: LensArrays) -> None:
            parts = {"logits": read.target_logit, "probs": read.target_prob, "ranks": read.target_rank}
            arrays = {name: encode_array(part[:, 0]) for name, part in parts.items()}
            self.send(protocol.event(id, "trajectory", side=side, position=position, ids=tokens, **arrays))

        return self._asking().detail("trajectory", id, Once(steps), show, priority=0, aside=True)

    def _still_shown(self, id: str, side: str) -> LogitLens:
        if self.result is None or id != self.result.id:
            raise ValueError("This result is no longer shown.")
        if side not in self.result.sides:
            raise ValueError(f"This result has no side {side!r}.")
        return self.result

    @action("attribute")
    def _on_attribute(self, id: str, answer: Word, wrong_answer: Word | None = None, position: int = -1) -> Task | None:
        """Attribute the logits of an answer in the shown prompts."""
        asker = self._asking()
        self._answers = answer, wrong_answer, position
        return asker.again("attribution", id=id)

    @action("sources", command=False)
    def _on_sources(self, id: str, layer: Index, head: Index) -> None:
        """Send what one head of the shown attribution moved from each position."""
        if self.attribution is None:
            raise ValueError("There is no attribution yet.")
        sides = {}
        for name, side in self.attribution.sides.items():
            if side.by_source is None or layer >= len(side.by_source) or head >= side.by_source.shape[1]:
                raise ValueError(f"There is no head {layer}.{head} in this attribution.")
            sides[name] = encode_array(side.by_source[layer, head])
        self.send(protocol.event(id, "sources", layer=layer, head=head, sides=sides))
