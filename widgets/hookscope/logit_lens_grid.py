"""The logit-lens grid: what the model would say after each layer, and which component wrote the answer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import traitlets

from interp_backend.common.code import attribution_code, lens_code
from interp_backend.language.loading import load_model
from interp_backend.language.prompts import PromptPair
from interp_backend.language.tuned_lens import TunedLens, embedded_lens
from interp_backend.methods.direct_logit_attribution import AttributionStep, direct_logit_attribution_steps
from interp_backend.methods.logit_lens import STREAMS, LensStep, logit_lens_steps, trajectory
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array
from interp_backend.results.lens import LogitLens
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest, Request

from ._base import STATIC, progress
from .following import FollowsEditor
from .prompt_pair_editor import PromptPairEditor
from .report import View, write_page
from .traits import PairTrait

# Numbers: more are sent column by column, or head by head, as they are looked at.
MOST_SENT = 300_000
COLORS = [
    ("probability", "probability", "of the likeliest token"),
    ("target", "probability of the followed token", "follow a token first"),
    ("rank", "rank of the followed token", "how many tokens are likelier; 0 is the top"),
    ("entropy", "entropy", "of the next-token distribution, in nats: how unsure it is"),
    ("kl", "KL to the output", "how far the row still is from what the model says in the end, in nats"),
]


class LogitLensGrid(FollowsEditor):
    """What the model would say if it stopped after each layer; and, in a second tab, which component wrote the answer.

    Args:
        model: what `load_model` gives or takes.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        stream, targets, top_k, last: as in `interp_backend.logit_lens`.
        lens: "logit", "tuned" (for the embedded model's own), or a `TunedLens`.
        color: what colours the cells: "probability", "target", "rank", "entropy" or "kl".
        layer_zero: "bottom" or "top".

    Attributes:
        result: the `LogitLens`, or None while the model still runs.
        attribution: the `Attribution` of the second tab, or None before it is asked for.
        selection: the pinned cell, `{"row": 3, "position": 5}`, or None.
        columns: the brushed columns, `[start, stop]`, or None for all.
        code, attribution_code: Python code of what is shown.
        status, progress, error: how the run is doing.
    """

    _esm = STATIC / "logit_lens_grid.js"
    set_by_view: ClassVar[frozenset[str]] = frozenset({"selection", "color", "side", "tab", "columns", "layer_zero"})

    pair = PairTrait(allow_none=True, help="The two prompts, or None.")
    prompt = traitlets.Unicode(None, allow_none=True, help="The one prompt, or None for a pair.").tag(sync=True)
    stream = traitlets.Enum(list(STREAMS), "resid_post", help="Which stream is read.").tag(sync=True)
    lens = traitlets.Enum(["logit", "tuned"], "logit", help="Which lens.").tag(sync=True)
    color = traitlets.Enum([name for name, *_ in COLORS], "probability", help="What colours the cells.").tag(sync=True)
    side = traitlets.Unicode("prompt", help="prompt; or clean, corrupt or difference.").tag(sync=True)
    tab = traitlets.Enum(["lens", "attribution"], "lens", help="Which tab is open.").tag(sync=True)
    columns = traitlets.List(traitlets.Int(), None, allow_none=True, help="The brushed columns.").tag(sync=True)
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(sync=True)
    result: traitlets.Instance[LogitLens | None] = traitlets.Instance(
        LogitLens, allow_none=True, help="What was read."
    ).tag(sync=True, to_json=lambda result, widget: result and widget.lens_to_wire(result))
    attribution: traitlets.Instance[Attribution | None] = traitlets.Instance(
        Attribution, allow_none=True, help="Which components wrote the answer."
    ).tag(sync=True, to_json=lambda found, widget: found and widget.attribution_to_wire(found))
    code = traitlets.Unicode(help="Python code of the lens.").tag(sync=True)
    attribution_code = traitlets.Unicode(help="Python code of the attribution.").tag(sync=True)

    def __init__(
        self,
        model: Any,
        prompt: str | PromptPair | PromptPairEditor,
        *,
        stream: str = "resid_post",
        lens: str | TunedLens = "logit",
        targets: Sequence[str | int] | None = None,
        top_k: int = 10,
        last: int | None = None,
        color: str = "probability",
        layer_zero: str = "bottom",
    ) -> None:
        model = load_model(model)
        editor = prompt if isinstance(prompt, PromptPairEditor) else None
        shown = editor.pair if editor else prompt
        self._own_lens = lens if isinstance(lens, TunedLens) else None
        self._tuned = self._own_lens or embedded_lens(model)
        self._targets, self._top_k, self._last = targets, top_k, last
        self._whole = False  # send a result with all its arrays, however large: for a page
        self._result_id = ""
        self._ready = False
        super().__init__(
            model,
            pair=None if isinstance(shown, str) else shown,
            prompt=shown if isinstance(shown, str) else None,
            side="prompt" if isinstance(shown, str) else "clean",
            stream=stream,
            lens="tuned" if self._own_lens else lens,
            color=color,
            layer_zero=layer_zero,
            info={
                "model": model.describe(),
                "streams": [
                    {"name": name, "label": name, "help": help, "reason": model.unavailable.get(name)}
                    for name, help in STREAMS.items()
                ],
                "lenses": self._lens_menu(),
                "colors": [{"name": name, "label": label, "help": help} for name, label, help in COLORS],
            },
        )
        self._ready = True
        self._follow(prompt)
        self.run()

    def _lens_menu(self) -> list[dict[str, Any]]:
        reason = None if self._tuned else "No tuned lens comes with this model. Give one: LogitLensGrid(..., lens=...)."
        return [
            {
                "name": "logit",
                "label": "logit lens",
                "help": "the model's own final norm and unembedding",
                "reason": None,
            },
            {
                "name": "tuned",
                "label": "tuned lens",
                "help": "after a learnt affine map of each layer",
                "reason": reason,
            },
        ]

    # What users call

    def run(self) -> None:
        """Read the prompt again, as the traits describe."""
        self._read(self._new_id())

    def attribute(self, answer: Any = None, wrong_answer: Any = None, *, position: int = -1) -> None:
        """Take the logit difference of two answers apart; `attribution` has what came of it after `wait()`.

        Args:
            answer, wrong_answer, position: as in `interp_backend.direct_logit_attribution`.
        """
        self._attribute(self._new_id(), answer, wrong_answer, position)

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

    def _shown(self) -> LogitLens:
        if self.result is None:
            raise ValueError("There is no result yet. Call .wait() first.")
        return self.result

    # Traits

    def lens_to_wire(self, result: LogitLens) -> dict[str, Any]:
        """The result for a view: whole, or a frame whose columns it asks for as they are looked at."""
        cells = sum(len(side.ids) for side in result.sides.values()) * len(result.labels)
        numbers = cells * (3 * result.params["top_k"] + 2 + 3 * len(result.targets))
        whole = self._whole or numbers <= MOST_SENT
        return {**result.to_wire(arrays=whole), "id": self._result_id, "complete": True}

    def attribution_to_wire(self, found: Attribution) -> dict[str, Any]:
        """The attribution for a view; a large one without the heads' sources, which it asks for head by head."""
        sources = [side.by_source for side in found.sides.values() if side.by_source is not None]
        wire = found.to_wire(by_source=self._whole or sum(part.size for part in sources) <= MOST_SENT)
        # The view's fields hold one answer each.
        answers = {name: (found.params[name] or [None])[0] for name in ("answer", "wrong_answer")}
        return {**wire, "params": {**wire["params"], **answers}}

    @traitlets.validate("side")
    def _valid_side(self, proposal: Any) -> str:
        sides = ["prompt"] if self.pair is None else ["clean", "corrupt", "difference"]
        if proposal["value"] not in sides:
            raise traitlets.TraitError(f"The sides are {', '.join(sides)}, not {proposal['value']!r}.")
        return proposal["value"]

    @traitlets.validate("columns")
    def _valid_columns(self, proposal: Any) -> list[int] | None:
        columns = proposal["value"]
        longest = self._longest()
        if columns is None or (len(columns) == 2 and 0 <= columns[0] < columns[1] <= longest):
            return columns
        raise traitlets.TraitError(f"The columns are [start, stop] within 0 to {longest}, or None, not {columns!r}.")

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, int] | None:
        selection = proposal["value"]
        if selection is None:
            return None
        rows = len(self.result.labels) if self.result is not None else 0
        sizes = {"row": rows, "position": self._longest()}
        if set(selection) == set(sizes) and all(
            hasattr(index, "__index__") and not isinstance(index, bool) and 0 <= index < sizes[name]
            for name, index in selection.items()
        ):
            return {name: operator.index(index) for name, index in selection.items()}
        raise traitlets.TraitError(
            f'There is no cell {selection}. Give {{"row": 0 to {rows - 1}, "position": 0 to {sizes["position"] - 1}}}.'
        )

    def _longest(self) -> int:
        return max((len(side.ids) for side in self.result.sides.values()), default=0) if self.result else 0

    @traitlets.observe("pair", "prompt", "stream", "lens")
    def _on_change(self, change: Any) -> None:
        if not self._ready:
            return
        if change["name"] in ("pair", "prompt"):
            self._other_prompt(change["name"])
        self._read(self._new_id())

    def _other_prompt(self, changed: str) -> None:
        """What belonged to the one that was shown goes."""
        ready, self._ready = self._ready, False
        try:
            if changed == "pair" and self.pair is not None:
                self.prompt = None
                self.side = self.side if self.side != "prompt" else "clean"
            elif changed == "prompt" and self.prompt is not None:
                self.pair = None
                self.side = "prompt"
            self._last = None
            self.columns = None
            self.selection = None
        finally:
            self._ready = ready

    @traitlets.observe("tab")
    def _on_tab(self, change: Any) -> None:
        known = self.pair is not None and self.pair.answers("clean")
        if change["new"] == "attribution" and self._ready and self.attribution is None and known:
            self.attribute()

    # Requests

    def _answer(self, request: Request) -> None:
        params = request.params
        try:
            if request.method == "lens":
                self._choose(request)
            elif request.method == "show":
                if self.pair is not None:
                    raise ValueError("This view shows a pair: change it in its editor, or set .pair.")
                self._ready, self.prompt = False, params.text
                self._ready = True
                self._other_prompt("prompt")
                self._read(request.id)
            elif request.method == "lens_window":
                self._send_window(request)
            elif request.method == "trajectory":
                self._send_trajectory(request)
            elif request.method == "attribute":
                self._attribute(request.id, params.answer, params.wrong_answer, params.position)
            elif request.method == "sources":
                self._send_sources(request)
            else:
                super()._answer(request)
        except (ValueError, traitlets.TraitError) as problem:
            raise BadRequest(str(problem), getattr(problem, "field", None), request.id) from None

    def _choose(self, request: Request) -> None:
        params = request.params
        before = self.stream, self.lens
        known = {token.text: token.id for token in self.result.targets} if self.result is not None else {}
        after = self._prompt if isinstance(self._prompt, str) else self._prompt.clean
        targets = [known[text] if text in known else self.model.one_token(text, after) for text in params.targets]
        self._ready = False
        try:
            self.stream, self.lens = params.stream, params.lens
        except traitlets.TraitError:
            self.stream, self.lens = before
            raise
        finally:
            self._ready = True
        self._targets, self._top_k, self._last = targets, params.top_k, params.last
        self._read(request.id)

    def _side_of(self, request: Request) -> str:
        if request.params.result != self._result_id or self.result is None:
            raise ValueError("This result is no longer shown.")
        if request.params.side not in self.result.sides:
            raise ValueError(f"This result has no side {request.params.side!r}.")
        return request.params.side

    def _send_window(self, request: Request) -> None:
        side, params, result = self._side_of(request), request.params, self._shown()
        positions = len(result.sides[side].ids)
        if not params.start < min(params.stop, positions):
            raise ValueError(f"There are no columns {params.start} to {params.stop}: this prompt has {positions}.")
        part = result.arrays_of(side).columns(params.start, params.stop)
        shown = {str(token): result.tokens[token] for token in np.unique(part.top_ids).tolist()}
        arrays = {name: encode_array(np.ascontiguousarray(getattr(part, name))) for name in type(part).model_fields}
        stop = params.start + part.entropy.shape[1]
        window = {"side": side, "start": params.start, "stop": stop, "arrays": arrays, "tokens": shown}
        self.send(protocol.event(request.id, "window", **window))
        self.send(protocol.event(request.id, "result"))

    def _send_trajectory(self, request: Request) -> None:
        side, params, result = self._side_of(request), request.params, self._shown()
        ids = [self.model.one_token(token) for token in params.ids]
        if params.position >= len(result.sides[side].ids):
            raise ValueError(f"There is no position {params.position} in this prompt.")
        lens = self._tuned if result.params["lens"] != "logit" else None
        work = partial(trajectory, self.model, result, side, params.position, ids, lens)

        def show(read: Any) -> None:
            parts = {"logits": read.target_logit, "probs": read.target_prob, "ranks": read.target_rank}
            arrays = {name: encode_array(np.ascontiguousarray(part[:, 0])) for name, part in parts.items()}
            event = {"side": side, "position": params.position, "ids": ids, **arrays}
            self.send(protocol.event(request.id, "trajectory", **event))

        self._look_up(request.id, work, show)

    def _send_sources(self, request: Request) -> None:
        layer, head = request.params.layer, request.params.head
        if self.attribution is None:
            raise ValueError("There is no attribution yet.")
        sides = {}
        for name, side in self.attribution.sides.items():
            if side.by_source is None or layer >= len(side.by_source) or head >= side.by_source.shape[1]:
                raise ValueError(f"There is no head {layer}.{head} in this attribution.")
            sides[name] = encode_array(np.ascontiguousarray(side.by_source[layer, head]))
        self.send(protocol.event(request.id, "sources", layer=layer, head=head, sides=sides))
        self.send(protocol.event(request.id, "result"))

    # What runs

    @property
    def _prompt(self) -> str | PromptPair:
        return self.pair if self.pair is not None else self.prompt or ""

    def _read(self, id: str) -> None:
        """Read the prompt, and take it apart again if the second tab showed that."""
        steps = partial(
            logit_lens_steps,
            self.model,
            self._prompt,
            stream=self.stream,
            targets=self._targets,
            top_k=self._top_k,
            lens=self._tuned if self.lens == "tuned" else None,
            last=self._last,
        )
        self.progress = progress(0, 0)
        self.attribution = None
        self._submit(id, steps, partial(self._on_step, id))

    def _on_step(self, id: str, step: LensStep) -> None:
        self.progress = progress(step.done, step.total, step.seconds_left)
        if step.result is None:
            return
        self._result_id = id
        self._put_away(step.result)
        self.result = step.result
        self.code = lens_code(self.model.code, step.result.params, own=self._own_lens is not None)
        if self.tab == "attribution" and self.pair is not None and self.pair.answers("clean"):
            self.attribute()

    def _put_away(self, coming: LogitLens) -> None:
        """Unpin a cell and columns that the coming result does not have."""
        longest = max(len(side.ids) for side in coming.sides.values())
        pinned = self.selection
        if pinned is not None and not (pinned["row"] < len(coming.labels) and pinned["position"] < longest):
            self.selection = None
        if self.columns is not None and self.columns[1] > longest:
            self.columns = None

    def _attribute(self, id: str, answer: Any, wrong_answer: Any, position: int) -> None:
        steps = partial(
            direct_logit_attribution_steps,
            self.model,
            self._prompt,
            answer,
            wrong_answer,
            unit="head",
            position=position,
            by_source=True,
            last=self._last,
        )
        self._submit_aside(id, steps, self._show_attribution)

    def _show_attribution(self, step: AttributionStep) -> None:
        assert step.result is not None
        self.attribution = step.result
        self.attribution_code = attribution_code(self.model.code, step.result.params)
