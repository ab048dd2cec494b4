"""The attention viewer: where every head attends, and what it does there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import traitlets
from pydantic import Field

from interp_backend.common.head_measures import MEASURES
from interp_backend.common.subject import subject_of
from interp_backend.language.interventions import as_heads
from interp_backend.language.model import LanguageModel
from interp_backend.language.prompts import PromptPair
from interp_backend.methods.attention_patterns import KINDS, attention_patterns
from interp_backend.methods.head_circuits import head_circuits
from interp_backend.methods.head_scores import ABOUT, head_scores
from interp_backend.place import Place, as_place
from interp_backend.results.attention import AttentionPatterns
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.head_table import HeadPairs, HeadScores
from interp_backend.results.step import Step
from interp_backend.service import protocol
from interp_backend.service.tasks import Task

from .asking import Want
from .attention_frame import Frame, Look
from .head_answers import HeadAttribution, HeadPatch, HeadRoles, attributed_to_wire, pairs_to_wire, patched_to_wire
from .menus import choices
from .panel import Index, Side, Word, action
from .prompt_pair_editor import PromptPairEditor
from .subject import OfPrompt, model_to_ask, subject_traits
from .traits import Argument

MOST_OPENED = 12
SCALES = {
    "linear": ("linear", "from zero to the largest value"),
    "log": ("log", "four decades below the largest value"),
    "row": ("per row", "each destination by its own largest value"),
    "head": ("per head", "each head by its own largest value"),
}
MARKS = {
    "induction": ("induction stripe", "where a head would attend that continues what came after the same token"),
    "previous": ("previous token", "the position before"),
    "duplicate": ("duplicate token", "earlier occurrences of the same token"),
}
PATCHED = {"z": ("z", "what the head writes"), "pattern": ("pattern", "where the head attends")}
NEEDS_PAIR = "Patching needs two prompts: AttentionViewer(model, hs.PromptPair(...))."
NEEDS_ANSWERS = "Patching is measured by the answers: give the pair a clean and a corrupt answer."
NO_SCORES = "TransformerLens does not give this model's attention scores."


class AttentionViewer(OfPrompt):
    """Where every head attends: all heads as thumbnails, opened heads large, and the prompt as text.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        kind, layers, heads, last, prepend_bos: as in `interp_backend.attention_patterns`.
        side: of a pair, "clean", "corrupt" or "difference".
        scale: "linear", "log", "row" (each destination by its own largest value) or "head" (each head by its own).
        without_first: leave the first token out of the colours as a source: most heads rest on it.
        sort: "layer", or the name of a score.
        shown_layers: show only these of the layers that were read.
        marks: lines to draw: "induction", "previous", "duplicate".
        opened: heads to show large, [(layer, head), ...]; by default the strongest induction head on random tokens.
        layer_zero: "bottom" or "top".
        result: an `AttentionPatterns` to show, instead of a model and a prompt.
        look: how the result is drawn, if that does not follow from the result itself.

    Attributes:
        result: the `AttentionPatterns`, or None while the model still runs.
        selection: the pinned place: a head ("layer" and "head"), a "position" (destination), a "source", or several.
        head_scores: the `HeadScores` on repeated random tokens, or None before they are requested.
        patch_result, attribution, pairs: the `EffectMap`, `Attribution` and `HeadPairs` of the last actions, or None.
        code: Python code that computes the displayed result.
        head_roles: the heads that repeated random tokens show to be induction or previous-token heads; see
            `interp_backend.induction_heads`. None before they are measured.
        status, progress, error: the state of the run.
    """

    bundle = "attention_viewer"
    choices = ("kind", "_last", "side", "scale", "without_first", "sort", "shown_layers", "marks", "opened")
    quantity = "Attention"
    _parts = ("layer", "head", "position", "source")
    _saving = False
    _frame: Frame | None = None
    head_scores: HeadScores | None = None
    patch_result: EffectMap | None = None
    attribution: Attribution | None = None
    pairs: HeadPairs | None = None
    kind = Argument(attention_patterns, "kind")
    scale = traitlets.Enum(list(SCALES), "linear", help="Which colour scale.").tag(sync=True, set_by_view=True)
    without_first = traitlets.Bool(False, help="Whether the first source is left out of the colours.").tag(
        sync=True, set_by_view=True
    )
    sort = traitlets.Unicode("layer", help="layer, or the name of a score.").tag(sync=True, set_by_view=True)
    shown_layers = traitlets.List(traitlets.Int(), None, allow_none=True, help="Layers shown.").tag(
        sync=True, set_by_view=True
    )
    marks = traitlets.List(traitlets.Enum(list(MARKS)), help="Which lines are drawn.").tag(sync=True, set_by_view=True)
    opened = traitlets.List(traitlets.List(traitlets.Int()), help="Heads shown large.").tag(sync=True, set_by_view=True)
    result: traitlets.Instance[AttentionPatterns | None] = traitlets.Instance(
        AttentionPatterns, allow_none=True, help="Where the heads attend."
    ).tag(sync=True, to_json=lambda result, widget: result and widget._result_to_wire(result))
    thumbs = traitlets.Instance(dict, allow_none=True, help="All heads at the size of a thumbnail.").tag(sync=True)
    scores = traitlets.List(traitlets.Dict(), help="What kind of head each is, by several scores.").tag(sync=True)
    head_roles = traitlets.List(
        traitlets.Dict(), None, allow_none=True, help="What heads do on repeated random tokens."
    ).tag(sync=True)
    head_patch = traitlets.Instance(dict, allow_none=True, help="One head patched.").tag(sync=True)
    head_attribution = traitlets.Instance(dict, allow_none=True, help="What one head writes.").tag(sync=True)
    head_circuits = traitlets.Instance(dict, allow_none=True, help="Pairs of tokens of one head.").tag(sync=True)

    def __init__(
        self,
        model: Any = None,
        prompt: str | PromptPair | PromptPairEditor | None = None,
        *,
        kind: str = "pattern",
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        last: int | None = None,
        prepend_bos: bool | None = None,
        side: str | None = None,
        scale: str = "linear",
        without_first: bool = False,
        sort: str = "layer",
        shown_layers: Sequence[int] | None = None,
        marks: str | Sequence[str] = (),
        opened: Sequence[Sequence[int]] = (),
        layer_zero: str = "bottom",
        result: AttentionPatterns | None = None,
        look: Look | None = None,
    ) -> None:
        known = model_to_ask(model, prompt, result, "a prompt to read")
        self._layers, self._heads, self._last = layers, heads, last
        self._own_last = last  # for every prompt; a view may request another number for one prompt
        self._look = look or Look()
        self._showing = threading.RLock()  # a result may arrive while another side of the last one is drawn
        self._scored = False  # whether the scores on random tokens were requested
        sizes = (1 << 20, 1 << 20) if known is None else (known.n_layers, known.n_heads)
        super().__init__(
            **subject_traits(prompt, result),
            prepend_bos=prepend_bos,
            kind=kind if result is None else result.kind,
            scale=scale,
            without_first=without_first,
            sort=sort,
            shown_layers=None if shown_layers is None else list(shown_layers),
            marks=[marks] if isinstance(marks, str) else list(marks),
            opened=[list(head) for head in as_heads(opened, *sizes)],
            layer_zero=layer_zero,
        )
        self.side = side or self.side
        self.info = self._menus(known)
        if known is not None:
            self._start(known, prompt)
        elif result is not None:
            self._show(result)
            self.status = "done"
            if result.provenance.get("model"):  # a user's own arrays have no call that computes them
                self.code = self._code_of(result)

    def _menus(self, model: LanguageModel | None) -> dict[str, Any]:
        menus = {"scales": choices(SCALES, {}), "marks": choices(MARKS, {})}
        if model is None:
            return {"model": None, "kinds": [], "actions": None, **menus}
        answered = self.pair is not None and self.pair.answers("clean") and self.pair.answers("corrupt")
        return {
            "model": model.describe(),
            "kinds": choices(KINDS, {"scores": NO_SCORES} if "pattern" in model.dead_hooks else {}),
            "actions": {
                "patch": choices(PATCHED, {name: model.why_not(name) for name in PATCHED}),
                "patch_reason": NEEDS_PAIR if self.pair is None else None if answered else NEEDS_ANSWERS,
                "attribution_reason": None,
                "circuits_reason": None,
            },
            **menus,
        }

    # For users

    def measure(self) -> None:
        """Score all heads on repeated random tokens; `head_scores` has them after `wait()`, and `sort` knows them."""
        self._on_head_scores(self._asking().new_id())

    def page_state(self) -> dict[str, Any]:
        with self._showing:  # a page does not need the updates for live views
            self._saving = True
            try:
                state = super().page_state()
                # A view that has all numbers draws the thumbnails itself.
                return {**state, "thumbs": None} if (state["result"] or {}).get("whole") else state
            finally:
                self._saving = False

    def to_circuitsvis(self, heads: Any = None) -> Any:
        """The displayed attention in CircuitsVis, as the object that its `attention_heads` returns.

        It is rendered by CircuitsVis's own script, which comes with the package, so nothing is loaded from the network.
        Its numbers are text in the page: 144 heads at 200 tokens are 117 MB. It masks only entries above the diagonal;
        other masked entries become zeros, with a warning.

        Args:
            heads: (layer, head) of each head to export; None means all that are shown.

        Raises:
            ValueError: there is no result yet, it does not have one of the heads, or there are more numbers than a page
                can hold.
        """
        from .circuitsvis.handover import hand_over

        self._shown()
        assert self._frame is not None
        return hand_over(self._frame, self.side, self.shown_layers, heads)

    # What should be shown

    def wants(self) -> dict[str, Want]:
        call = attention_patterns.call(
            self.model,
            self.subject,
            self.kind,
            layers=self._layers,
            heads=self._heads,
            last=self._last,
            prepend_bos=self.prepend_bos,
        )
        roles = Want(HeadRoles(self.model), self._take_roles, self._end_roles, priority=2, aside=True)
        wants = {"result": Want(call, self._take, self._end, keep=True), "roles": roles}
        if self._scored or self.head_scores is not None or self.sort.startswith("random:"):
            wants["scores"] = Want(head_scores.call(self.model), self._take_scores, priority=2)
        return wants

    def _take(self, id: str, step: Step[AttentionPatterns]) -> None:
        result: Any = step.result
        result.id = id
        self._asking().drop()
        self.head_patch = self.head_attribution = self.head_circuits = None
        self.patch_result = self.attribution = self.pairs = None
        self._show(result)
        self.code = self._code_of(result)

    def _end(self, status: str) -> None:
        """Reset the menu to what is shown after a failure."""
        if status != "done" and self.result is not None and self.kind != self.result.kind:
            asker = self._asking()
            with asker.defer():
                self.kind = self.result.kind
            asker.leave()

    def _show(self, result: AttentionPatterns) -> None:
        """Show a result, and drop pinned, opened or chosen items that are not in it."""
        known = {(layer, head) for layer in result.layers for head in result.heads}
        frame = Frame(result, self._look)
        with self._showing, self.hold_sync():
            self._frame = frame
            self.opened = [head for head in self.opened if tuple(head) in known]
            if self._asker is None or self.head_roles is not None:
                self._open_a_head()
            if self.shown_layers is not None:
                self.shown_layers = sorted(set(self.shown_layers) & set(result.layers)) or None
            if self.side not in frame.sides:
                self.side = frame.sides[0]
            self.result = result
            self._unpin_what_is_gone()
            self._look_again()

    def _take_roles(self, id: str, step: Step[list[dict[str, Any]]]) -> None:
        with self._showing, self.hold_sync():
            self.head_roles = step.result
            self._open_a_head()

    def _end_roles(self, status: str) -> None:
        if status != "done":
            self._open_a_head()

    def _open_a_head(self) -> None:
        """Open a head if none is open."""
        with self._showing:
            if self._frame is not None and not self.opened:
                self.opened = [self._frame.most_remarkable_head(self.head_roles or [])]

    def _take_scores(self, id: str, step: Step[HeadScores]) -> None:
        with self._showing:
            self.head_scores = step.result
            self._show_scores()

    def _put_away(self) -> None:
        self._last = self._own_last
        self._asking().drop()
        self.info = self._menus(self.model)

    # Traits

    def _result_to_wire(self, result: AttentionPatterns) -> dict[str, Any] | None:
        frame = self._frame
        return None if frame is None or frame.result is not result else frame.to_wire(self.opened, self._saving)

    @traitlets.observe("side", "scale", "without_first")
    def _on_look(self, change: Any) -> None:
        circuits: Any = self.head_circuits
        if change["name"] == "side" and circuits is not None and circuits["tokens"] == "prompt":
            self.head_circuits = None  # its tokens are those of the side that was shown
        with self._showing, self.hold_sync():
            # A side that only the next result has can't be shown yet.
            if self._frame is None or change["new"] == change["old"] or self.side not in self._frame.sides:
                return
            pinned = (as_place(self.selection) or Place()).within("position", "source")
            if pinned != Place() and self._frame.result.find(pinned, self.side) is None:
                self.selection = None  # the other prompt is shorter
            self._look_again()

    def _look_again(self) -> None:
        """Thumbnails and scores of what is shown now."""
        assert self._frame is not None
        self.thumbs = self._frame.thumbs(self.side, self.scale, self.without_first)
        self._show_scores()

    def _show_scores(self) -> None:
        if self._frame is not None:
            self.scores = self._frame.scores(self.side, self.head_scores)
            if self.sort not in self._sorts():
                self.sort = "layer"

    @traitlets.observe("kind", "sort")
    def _on_change(self, change: Any) -> None:
        if self._asker is not None:
            if change["name"] == "kind":
                self._asker.drop()
            self._asker.refresh()

    @traitlets.validate("sort")
    def _valid_sort(self, proposal: Any) -> str:
        known = self._sorts()
        if proposal["value"] not in known:
            raise traitlets.TraitError(f"Heads are sorted by {', '.join(known)}, not {proposal['value']!r}.")
        return proposal["value"]

    def _sorts(self) -> list[str]:
        """The names by which heads can be sorted. Sorting by a score on random tokens measures these scores."""
        shown = MEASURES if self.result is None else [score["name"] for score in self.scores]
        measured = self.head_scores is not None or (self._asker is None and self.result is not None)
        random = [] if measured else [f"random:{name}" for name in ABOUT]
        return [*dict.fromkeys(["layer", *shown, *random])]

    @traitlets.validate("shown_layers")
    def _valid_layers(self, proposal: Any) -> list[int] | None:
        layers, result = proposal["value"], self.result
        if layers is None:
            return layers
        if not layers or (result is not None and not set(layers) <= set(result.layers)):
            known = "some of the model's" if result is None else f"{result.layers[0]} to {result.layers[-1]}"
            raise traitlets.TraitError(f"The layers are {known}, or None for all, not {layers!r}.")
        return sorted(set(layers))

    @traitlets.validate("opened")
    def _valid_opened(self, proposal: Any) -> list[list[int]]:
        opened = [list(head) for head in proposal["value"]]
        if len(opened) > MOST_OPENED or any(len(head) != 2 for head in opened):
            raise traitlets.TraitError(f"opened is at most {MOST_OPENED} heads, [[layer, head], ...], not {opened!r}.")
        if self.result is not None:
            try:
                for layer, head in opened:
                    self.result.index_of(layer, head)
            except ValueError as problem:
                raise traitlets.TraitError(str(problem)) from None
        return [head for i, head in enumerate(opened) if head not in opened[:i]]

    # Requests

    @action("attention_patterns", attention_patterns.request)
    def _on_attention_patterns(self, id: str, kind: str, last: int | None, **_: Any) -> Task | None:
        """Read attention of another kind, or of a prompt's last tokens."""
        self._last = self._last if last is None else last
        self._set_together(id, {"kind": kind})
        return self._asking().refresh(id)

    @action("heads", command=False)
    def _on_heads(
        self,
        id: str,
        result: str,
        side: Side,
        heads: Annotated[list[tuple[int, int]], Field(min_length=1, max_length=MOST_OPENED)],
    ) -> None:
        """Send all numbers of some heads of the shown attention, each [layer, head]."""
        shown = self.result
        if shown is None or result != shown.id:
            raise protocol.BadRequest("This result is no longer shown.", "result", id)
        places = [shown.index_of(layer, head) for layer, head in heads]
        values = np.stack([shown.values_for_view(side, [i], [j])[0, 0] for i, j in places])
        content = {"result": result, "side": side, "heads": [list(head) for head in heads]}
        self.send(protocol.event(id, "heads", **content, values=encode_array(values)))

    @action("head_scores")
    def _on_head_scores(self, id: str) -> Task | None:
        """Score all heads on repeated random tokens."""
        asker, self._scored = self._asking(), True
        return asker.again("scores", id=id)

    def _asked_of(self, layer: int, head: int) -> tuple[str | PromptPair, int | None]:
        """The prompt that is shown, and how many of its last tokens were read, whatever has run or failed since.

        Raises:
            ValueError: a head that is not shown.
        """
        result = self._shown()
        result.index_of(layer, head)
        return subject_of(result.params) or "", result.params["last"]  # pyright: ignore[reportReturnType]

    @action("patch_head")
    def _on_patch_head(
        self, id: str, layer: Index, head: Index, activation: Literal["z", "pattern"] = "z"
    ) -> Task | None:
        """Patch one head of the shown pair, at each position and at all of them."""
        pair, last = self._asked_of(layer, head)
        if isinstance(pair, str):
            raise ValueError(NEEDS_PAIR)
        if last is not None:
            raise ValueError(
                f"This view shows the last {last} tokens, and patching runs whole prompts. Show a shorter pair to "
                "patch in it."
            )

        def show(maps: tuple[EffectMap, EffectMap]) -> None:
            self.patch_result = maps[0]
            self.head_patch = patched_to_wire(layer, head, activation, *maps)

        asker = self._asking()
        return asker.detail("head_patch", id, HeadPatch(asker.model, pair, layer, head, activation), show)

    @action("attribute_head")
    def _on_attribute_head(
        self, id: str, layer: Index, head: Index, answer: Word | None = None, wrong_answer: Word | None = None
    ) -> Task | None:
        """Attribute the logits of an answer to one head."""
        prompt, last = self._asked_of(layer, head)

        def show(found: Attribution) -> None:
            self.attribution = found
            self.head_attribution = attributed_to_wire(layer, head, found)

        call = HeadAttribution(self.model, prompt, answer, wrong_answer, last, self.prepend_bos)
        return self._asking().detail("head_attribution", id, call, show)

    @action("head_circuits")
    def _on_head_circuits(
        self,
        id: str,
        layer: Index,
        head: Index,
        circuit: Literal["ov", "qk"] = "ov",
        tokens: Literal["prompt", "all"] = "prompt",
    ) -> Task | None:
        """Find the pairs of tokens that one head connects."""
        _, last = self._asked_of(layer, head)
        text = self._shown().sides["clean" if self.side == "difference" else self.side].text
        call = head_circuits.call(
            self.model, layer, head, circuit, prompt=text if tokens == "prompt" else None, last=last
        )

        def show(found: HeadPairs) -> None:
            self.pairs = found
            self.head_circuits = pairs_to_wire(layer, head, circuit, tokens, found)

        return self._asking().detail("head_circuits", id, call, show)
