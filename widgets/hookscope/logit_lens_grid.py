"""The logit-lens grid: the model's prediction after each layer, and which component wrote the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import traitlets
from pydantic import Field

from interp_backend.language.loading import load_model
from interp_backend.language.prompts import PromptPair
from interp_backend.language.tuned_lens import TunedLens, embedded_lens
from interp_backend.methods.direct_logit_attribution import direct_logit_attribution
from interp_backend.methods.logit_lens import LENSES, STREAMS, logit_lens, trajectory
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array
from interp_backend.results.lens import LogitLens
from interp_backend.results.step import Step
from interp_backend.service import protocol
from interp_backend.service.tasks import Task

from .asking import Asker, Once, Want, follow
from .bundles import bundle
from .panel import action
from .prompt_pair_editor import PromptPairEditor
from .report import View, write_page
from .subject import OfPrompt, split_subject
from .traits import Argument

# Numbers: more are sent column by column, or head by head, as they are looked at.
MOST_SENT = 300_000
COLORS = [
    ("probability", "probability", "of the likeliest token"),
    ("target", "probability of the followed token", "follow a token first"),
    ("rank", "rank of the followed token", "how many tokens are likelier; 0 is the top"),
    ("entropy", "entropy", "of the next-token distribution, in nats: how unsure the model is"),
    ("kl", "KL to the output", "how far the row still is from the model's output, in nats"),
]
Word = Annotated[str, Field(min_length=1, max_length=1000)]
Side = Annotated[str, Field(max_length=10)]
Index = Annotated[int, Field(ge=0)]


class LogitLensGrid(OfPrompt):
    """The model's prediction after each layer; and, in a second tab, which component wrote the answer.

    Args:
        model: what `load_model` gives or takes.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        stream, targets, top_k, last: as in `interp_backend.logit_lens`.
        lens: "logit", "tuned" (for the embedded model's own), or a `TunedLens`.
        color: what colours the cells: "probability", "target", "rank", "entropy" or "kl".
        layer_zero: "bottom" or "top".
        result: a `LogitLens` to show, in place of a model and a prompt.

    Attributes:
        result: the `LogitLens`, or None while the model still runs.
        attribution: the `Attribution` of the second tab, or None before it is asked for.
        selection: the pinned place, `{"layer": 3, "position": 5}`, or None.
        columns: the brushed columns, `[start, stop]`, or None for all.
        code, attribution_code: Python code of what is shown.
        status, progress, error: how the run is doing.
    """

    _esm = bundle("logit_lens_grid")
    _parts = ("layer", "position")
    set_by_view: ClassVar[frozenset[str]] = frozenset({"selection", "color", "side", "tab", "columns", "layer_zero"})

    stream = Argument(logit_lens, "stream")
    lens = traitlets.Enum(list(LENSES), "logit", help="Which lens.").tag(sync=True)
    color = traitlets.Enum([name for name, *_ in COLORS], "probability", help="What colours the cells.").tag(sync=True)
    tab = traitlets.Enum(["lens", "attribution"], "lens", help="Which tab is open.").tag(sync=True)
    columns = traitlets.List(traitlets.Int(), None, allow_none=True, help="The brushed columns.").tag(sync=True)
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
        color: str = "probability",
        layer_zero: str = "bottom",
        result: LogitLens | None = None,
    ) -> None:
        if (model is None) != (prompt is None) or (model is None) == (result is None):
            raise ValueError("Give a model and a prompt to read, or a result=... to show.")
        known = None if model is None else load_model(model)
        self._own_lens = lens if isinstance(lens, TunedLens) else None
        self._targets, self._top_k, self._last = targets, top_k, last
        self._answers: tuple[Any, Any, int] | None = None  # what the attribution was asked for; None is the pair's own
        self._whole = False  # send a result with all its arrays, however large: for a page
        has_tuned = self._own_lens is not None or (known is not None and embedded_lens(known) is not None)
        super().__init__(
            **split_subject(prompt),
            stream=stream,
            lens="tuned" if self._own_lens else lens,
            color=color,
            layer_zero=layer_zero,
            info={
                "model": None if known is None else known.describe(),
                "streams": [
                    {"name": name, "label": label, "help": help, "reason": known and known.unavailable.get(name)}
                    for name, (label, help) in STREAMS.items()
                ],
                "lenses": [
                    {"name": name, "label": label, "help": help, "reason": None if has_tuned else NEEDS_LENS.get(name)}
                    for name, (label, help) in LENSES.items()
                ],
                "colors": [{"name": name, "label": label, "help": help} for name, label, help in COLORS],
            },
        )
        if known is None:
            self._show_given(result)
            return
        self._asker = Asker(self, known)
        if isinstance(prompt, PromptPairEditor):
            follow(self, prompt)
        self._asker.refresh()

    def _show_given(self, result: Any) -> None:
        subject = result.params.get("pair") or result.params.get("prompt", "")
        for name, value in split_subject(PromptPair(**subject) if isinstance(subject, dict) else subject).items():
            setattr(self, name, value)
        self.stream = result.params.get("stream", "resid_post")
        self.lens = "logit" if result.params.get("lens", "logit") == "logit" else "tuned"
        self.result, self.status = result, "done"
        self.code = logit_lens.code(result.params)

    # What users call

    def run(self) -> None:
        """Read the prompts again, in both tabs."""
        self._asking().refresh(again=["result", "attribution"], unseen=True)

    def attribute(self, answer: Any = None, wrong_answer: Any = None, *, position: int = -1) -> None:
        """Take the logit difference of two answers apart; `attribution` has what came of it after `wait()`.

        Args:
            answer, wrong_answer, position: as in `interp_backend.direct_logit_attribution`.
        """
        self._attribute(self._asking().new_id(), answer, wrong_answer, position)

    def save(self, path: str | Path) -> Path:
        """Write the grid as one self-contained HTML page that opens offline and still hovers and pins.

        Raises:
            ValueError: there is no result yet.
        """
        result = self._shown()
        texts = " against ".join(f"“{side.text}”" for side in result.sides.values())
        model = result.provenance.get("model", {})
        caption = " · ".join(filter(None, [str(model.get("name", "")), f"weights {model.get('weights', '')}"]))
        return write_page(path, [View("logit_lens_grid", caption, self)], f"Logit lens of {texts}")

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
            )
            wants["attribution"] = Want(call, self._take_attribution, priority=2)
        return wants

    def _take(self, id: str, step: Step[LogitLens]) -> None:
        result = step.result
        if result is None:
            return
        result.id = id
        longest = max(len(side.ids) for side in result.sides.values())
        if self.columns is not None and self.columns[1] > longest:
            self.columns = None
        self.result = result
        self._unpin_what_is_gone()
        self.code = logit_lens.code(result.params, self._asking().model.code)

    def _take_attribution(self, id: str, step: Step[Attribution]) -> None:
        if step.result is not None:
            step.result.id = id
            self.attribution = step.result
            self.attribution_code = direct_logit_attribution.code(step.result.params, self._asking().model.code)

    def _put_away(self) -> None:
        super()._put_away()
        self._last = self._answers = None
        self.columns = None
        self.attribution = None

    def _shown(self) -> LogitLens:
        if self.result is None:
            raise ValueError("There is no result yet. Call .wait() first.")
        return self.result

    # Traits

    def _lens_to_wire(self, result: LogitLens) -> dict[str, Any]:
        """The result for a view: whole, or a frame whose columns it asks for as they are looked at."""
        cells = sum(len(side.ids) for side in result.sides.values()) * len(result.labels)
        numbers = cells * (3 * result.params["top_k"] + 2 + 3 * len(result.targets))
        return {**result.to_wire(arrays=self._whole or numbers <= MOST_SENT), "complete": True}

    def _attribution_to_wire(self, found: Attribution) -> dict[str, Any]:
        """The attribution for a view; a large one without the heads' sources, which it asks for head by head."""
        sources = [side.by_source for side in found.sides.values() if side.by_source is not None]
        wire = found.to_wire(by_source=self._whole or sum(part.size for part in sources) <= MOST_SENT)
        # The view's fields hold one answer each.
        answers = {name: (found.params[name] or [None])[0] for name in ("answer", "wrong_answer")}
        return {**wire, "params": {**wire["params"], **answers}}

    @traitlets.validate("columns")
    def _valid_columns(self, proposal: Any) -> list[int] | None:
        columns = proposal["value"]
        longest = max((len(side.ids) for side in self.result.sides.values()), default=0) if self.result else 0
        if columns is None or (len(columns) == 2 and 0 <= columns[0] < columns[1] <= longest):
            return columns
        raise traitlets.TraitError(f"The columns are [start, stop] within 0 to {longest}, or None, not {columns!r}.")

    @traitlets.observe("stream", "lens", "tab")
    def _on_change(self, change: Any) -> None:
        if self._asker is not None:
            self._asker.refresh()

    # Requests

    @action("logit_lens", logit_lens.request)
    def _on_logit_lens(
        self, id: str, stream: str, lens: str, targets: Sequence[str | int] | None, top_k: int, last: int | None
    ) -> Task | None:
        """Another lens, or other tokens to follow."""
        known = {token.text: token.id for token in self.result.targets} if self.result is not None else {}
        after = self.subject if isinstance(self.subject, str) else self.subject.clean
        model = self._asking().model
        followed = None if targets is None else [known.get(t) or model.one_token(t, after) for t in targets]  # pyright: ignore[reportArgumentType, reportCallIssue]
        before = self.stream, self.lens
        with self._asking().defer():
            try:
                self.stream, self.lens = stream, lens
            except traitlets.TraitError:
                self.stream, self.lens = before
                raise
        self._targets, self._top_k, self._last = followed, top_k, last
        return self._asking().refresh(id)

    @action("lens_window")
    def _on_lens_window(self, id: str, result: str, side: Side, start: Index, stop: Index) -> None:
        """Some columns of the shown lens, from start up to stop."""
        shown = self._still_shown(result, side)
        positions = len(shown.sides[side].ids)
        if not start < min(stop, positions):
            raise ValueError(f"There are no columns {start} to {stop}: this prompt has {positions}.")
        part = shown.arrays_of(side).columns(start, stop)
        tokens = {str(token): shown.tokens[token] for token in np.unique(part.top_ids).tolist()}
        arrays = {name: encode_array(np.ascontiguousarray(getattr(part, name))) for name in type(part).model_fields}
        window = {"side": side, "start": start, "stop": start + part.entropy.shape[1]}
        self.send(protocol.event(id, "window", **window, arrays=arrays, tokens=tokens))

    @action("trajectory")
    def _on_trajectory(
        self,
        id: str,
        result: str,
        side: Side,
        position: Index,
        ids: Annotated[list[int], Field(min_length=1, max_length=50)],
    ) -> Task | None:
        """Some tokens through all rows of one column of the shown lens."""
        shown, model = self._still_shown(result, side), self._asking().model
        tokens = [model.one_token(token) for token in ids]
        if position >= len(shown.sides[side].ids):
            raise ValueError(f"There is no position {position} in this prompt.")
        lens = None if shown.params["lens"] == "logit" else self._own_lens or embedded_lens(model)

        def steps() -> Iterator[Step[Any]]:
            yield Step(1, 1, 0.0, trajectory(model, shown, side, position, tokens, lens))

        def show(_: str, step: Step[Any]) -> None:
            read: Any = step.result
            parts = {"logits": read.target_logit, "probs": read.target_prob, "ranks": read.target_rank}
            arrays = {name: encode_array(np.ascontiguousarray(part[:, 0])) for name, part in parts.items()}
            self.send(protocol.event(id, "trajectory", side=side, position=position, ids=tokens, **arrays))

        return self._asking().ask_once("trajectory", id, Once(steps), show)

    def _still_shown(self, id: str, side: str) -> LogitLens:
        if self.result is None or id != self.result.id:
            raise ValueError("This result is no longer shown.")
        if side not in self.result.sides:
            raise ValueError(f"This result has no side {side!r}.")
        return self.result

    @action("attribute")
    def _on_attribute(self, id: str, answer: Word, wrong_answer: Word | None = None, position: int = -1) -> Task | None:
        """A direct logit attribution of the shown prompts."""
        return self._attribute(id, answer, wrong_answer, position)

    def _attribute(self, id: str, answer: Any, wrong_answer: Any, position: int) -> Task | None:
        self._answers = answer, wrong_answer, position
        return self._asking().refresh(id, again=["attribution"], unseen=True, of="attribution")

    @action("sources")
    def _on_sources(self, id: str, layer: Index, head: Index) -> None:
        """What one head of the shown attribution moved from each position."""
        if self.attribution is None:
            raise ValueError("There is no attribution yet.")
        sides = {}
        for name, side in self.attribution.sides.items():
            if side.by_source is None or layer >= len(side.by_source) or head >= side.by_source.shape[1]:
                raise ValueError(f"There is no head {layer}.{head} in this attribution.")
            sides[name] = encode_array(np.ascontiguousarray(side.by_source[layer, head]))
        self.send(protocol.event(id, "sources", layer=layer, head=head, sides=sides))


NEEDS_LENS = {"tuned": "No tuned lens comes with this model. Give one: LogitLensGrid(..., lens=...)."}
