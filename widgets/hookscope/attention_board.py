"""What both attention views have: all heads small, some of them large, and their numbers on request."""

from __future__ import annotations

import operator
import threading
import warnings
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import traitlets

from interp_backend.common.head_measures import MEASURES
from interp_backend.language.interventions import as_heads
from interp_backend.results.attention import AttentionPatterns
from interp_backend.results.codec import encode_array
from interp_backend.results.thumbnails import Scale, size_for, thumbnails
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest, Request

from ._base import STATIC, View
from .report import View as PageView
from .report import write_page

MOST_SENT = 300_000  # numbers: more are sent head by head, as they are opened
MOST_SAVED = 3_000_000  # in a page; of more, those of the opened heads alone
MOST_OPENED = 12
MOST_HANDED_OVER = 8_000_000  # numbers, to CircuitsVis: some 160 MB of text
SCALES = [
    ("linear", "linear", "from zero to the largest value"),
    ("log", "log", "four decades below the largest value"),
    ("row", "per row", "each destination by its own largest value"),
]
MARKS = [
    ("induction", "induction stripe", "where a head would look that continues what came after the same token"),
    ("previous", "previous token", "the position before"),
    ("duplicate", "duplicate token", "earlier occurrences of the same token"),
]


class AttentionBoard(View):
    """The traits of an attention view, and how its numbers reach it. Not used by itself.

    Attributes:
        result: the `AttentionPatterns` that is shown, or None.
        side: which prompt's: "prompt"; of a pair "clean", "corrupt" or "difference".
        scale: "linear", "log" or "row".
        sort: "layer", or the name of a score.
        shown_layers: the layers that are shown, or None for all.
        marks: which lines are drawn: "induction", "previous", "duplicate".
        opened: the heads that are shown large, [[layer, head], ...].
        selection: what is pinned: a head ("layer" and "head"), a "destination", a "source", or several of these.
    """

    _esm = STATIC / "attention_viewer.js"
    _saving = False
    _result_id = ""
    set_by_view: ClassVar[frozenset[str]] = frozenset(
        {"selection", "side", "scale", "sort", "shown_layers", "marks", "opened", "layer_zero"}
    )

    side = traitlets.Unicode("prompt", help="prompt; or clean, corrupt or difference.").tag(sync=True)
    scale = traitlets.Enum([name for name, *_ in SCALES], "linear", help="Which colour scale.").tag(sync=True)
    sort = traitlets.Unicode("layer", help="layer, or the name of a score.").tag(sync=True)
    shown_layers = traitlets.List(traitlets.Int(), None, allow_none=True, help="Layers shown.").tag(sync=True)
    marks = traitlets.List(traitlets.Enum([name for name, *_ in MARKS]), help="Which lines are drawn.").tag(sync=True)
    opened = traitlets.List(traitlets.List(traitlets.Int()), help="Heads shown large.").tag(sync=True)
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(sync=True)
    result: traitlets.Instance[AttentionPatterns | None] = traitlets.Instance(
        AttentionPatterns, allow_none=True, help="Where the heads look."
    ).tag(sync=True, to_json=lambda result, widget: result and widget.frame(result))
    thumbs = traitlets.Instance(dict, allow_none=True, help="All heads at the size of a thumbnail.").tag(sync=True)
    scores = traitlets.List(traitlets.Dict(), help="What kind of head each is, by several scores.").tag(sync=True)

    def __init__(self, *args: Any, **traits: Any) -> None:
        self._highs: dict[tuple[AttentionPatterns, str], float] = {}  # the ends of scales, which take a while to find
        self._showing = threading.RLock()  # a result may come while another side of the last one is drawn
        super().__init__(*args, **traits)

    # What users call

    def save(self, path: str | Path) -> Path:
        """Write the view as one self-contained HTML page that opens offline and still hovers and pins.

        Of a large result the page has all heads as thumbnails, and the numbers of the opened ones.

        Raises:
            ValueError: there is no result yet.
        """
        result = self._shown()
        title = "Attention of " + " against ".join(f"“{side.text}”" for side in result.sides.values())
        return write_page(path, [PageView("attention_viewer", self._caption(result), self)], title)

    def page_state(self) -> dict[str, Any]:
        with self._showing:  # what live views get while a result comes is not for a page
            self._saving = True
            try:
                return super().page_state()
            finally:
                self._saving = False

    def to_circuitsvis(self, heads: Any = None) -> Any:
        """What is shown, as CircuitsVis shows it: the object that its `attention_heads` returns.

        It is rendered from CircuitsVis's own script, which comes with the package: nothing is loaded from the network,
        and none is looked for. Its numbers are text in the page: 144 heads at 200 tokens are 117 MB. It knows no masked
        entries but those after the diagonal: others become zeros, and a warning says so.

        Args:
            heads: (layer, head) of each head to hand over; None is all that are shown.

        Raises:
            ValueError: there is no result yet, a head that it does not have, or more numbers than a page can hold.
        """
        import circuitsvis.attention

        from .circuitsvis.offline import offline

        result, side = self._shown(), self.side
        if heads is None:
            layers = result.layers if self.shown_layers is None else self.shown_layers
            heads = [(layer, head) for layer in layers for head in result.heads]
        heads = as_heads(heads, 1 + max(result.layers), 1 + max(result.heads))
        places = [result.index_of(layer, head) for layer, head in heads]
        masked, numbers = result.masked_of(side), len(places) * result.masked_of(side)[0].size
        if not places or numbers > MOST_HANDED_OVER:
            raise ValueError(
                f"CircuitsVis would get {len(places)} heads, {numbers / 1e6:.1f} million numbers as text; hand over "
                f"one head or more, and at most {MOST_HANDED_OVER / 1e6:.0f} million: heads=[(layer, head), ...]."
            )
        values = np.stack([result.values_at(side, [i], [j])[0, 0] for i, j in places])
        causal = bool(masked.any())
        lost = int(np.isnan(np.tril(values) if causal else values).sum())
        if lost:
            warnings.warn(
                f"{lost} entries that are masked or have no number are zeros in what CircuitsVis shows.", stacklevel=2
            )
        look = self.look(result)
        drawn = circuitsvis.attention.attention_heads(
            attention=np.nan_to_num(values, nan=0.0),
            tokens=result.sides["clean" if side == "difference" else side].tokens,
            attention_head_names=[self.name_of(*head) for head in heads],
            max_value=look["high"][side],
            min_value=look["low"][side],
            positive_color=look["colors"]["positive"],
            negative_color=look["colors"]["negative"],
            mask_upper_tri=causal,
        )
        return offline(drawn)

    def name_of(self, layer: int, head: int) -> str:
        """What a head is called."""
        return f"{layer}.{head}"

    def _shown(self) -> AttentionPatterns:
        if self.result is None:
            raise ValueError("There is no result yet. Call .wait() first.")
        return self.result

    def _caption(self, result: AttentionPatterns) -> str:
        model = result.provenance.get("model", {})
        weights = f"weights {model['weights']}" if model.get("weights") else ""
        return " · ".join(filter(None, [str(model.get("name", "")), weights]))

    # What a view gets

    def look(self, result: AttentionPatterns) -> dict[str, Any]:
        """How values are drawn: their name, whether they have a sign, the ends of the scale by side."""
        high = {side: self._high(result, side) for side in self._sides(result)}
        return {
            "quantity": result.quantity,
            "signed": result.signed,
            "high": high,
            "low": {side: -end for side, end in high.items()},
            "names": None,
            "colors": {"positive": None, "negative": None},
            "axis_labels": True,
        }

    def _high(self, result: AttentionPatterns, side: str) -> float:
        if result.kind == "pattern" and side != "difference":
            return 1.0
        if (result, side) not in self._highs:
            heads = range(len(result.heads))
            layers = [np.abs(result.values_at(side, [i], heads)) for i in range(len(result.layers))]
            self._highs[result, side] = max(float(np.fmax.reduce(part, axis=None, initial=0)) for part in layers) or 1.0
        return self._highs[result, side]

    def _sides(self, result: AttentionPatterns) -> list[str]:
        return ["clean", "corrupt", "difference"] if "clean" in result.sides else ["prompt"]

    def _is_whole(self, result: AttentionPatterns) -> bool:
        """Whether all numbers are sent at once."""
        numbers = sum(side.values.size for side in result.sides.values())
        return numbers <= (MOST_SAVED if self._saving else MOST_SENT)

    def frame(self, result: AttentionPatterns) -> dict[str, Any]:
        """The result for a view: whole, or without its numbers, of which a view asks for those it shows."""
        bare = {
            name: {"text": side.text, "ids": side.ids, "tokens": side.tokens} for name, side in result.sides.items()
        }
        wire = result.model_dump(mode="json", exclude={"sides"})
        whole = self._is_whole(result)
        every = range(len(result.layers)), range(len(result.heads))
        values = {side: encode_array(result.values_for_view(side, *every)) for side in self._sides(result) if whole}
        kept = {}
        if self._saving and not whole:
            for layer, head in self.opened:
                i, j = result.index_of(layer, head)
                for side in self._sides(result):
                    kept[f"{side}:{layer}.{head}"] = encode_array(result.values_for_view(side, [i], [j])[0, 0])
        return {
            **wire,
            **self.look(result),
            "sides": bare,
            "id": self._result_id,
            "whole": whole,
            "values": values,
            "kept": kept,
        }

    def show(self, id: str, result: AttentionPatterns) -> None:
        """Show a result, and put away what was pinned, opened or chosen and is not in it."""
        known = {(layer, head) for layer in result.layers for head in result.heads}
        with self._showing, self.hold_sync():
            self._result_id = id
            self._highs = {}
            self.selection = None
            self.opened = [head for head in self.opened if tuple(head) in known] or self._first_opened(result)
            if self.shown_layers is not None:
                self.shown_layers = sorted(set(self.shown_layers) & set(result.layers)) or None
            if self.side not in self._sides(result):
                self.side = self._sides(result)[0]
            self.result = result
            self._look_again()
            if self.sort not in self._sorts():
                self.sort = "layer"

    def _first_opened(self, result: AttentionPatterns) -> list[list[int]]:
        """The head that most looks as if it did something: at what came after the same token, or one position back."""
        scores = result.first.scores
        for name in ("induction", "previous_token"):
            if name in scores and np.isfinite(scores[name]).any():
                i, j = np.unravel_index(int(np.nanargmax(scores[name])), scores[name].shape)
                return [[result.layers[i], result.heads[j]]]
        return [[result.layers[0], result.heads[0]]]

    @traitlets.observe("side", "scale")
    def _on_look(self, change: Any) -> None:
        with self._showing, self.hold_sync():
            result = self.result
            # Of a side that only the coming result has, nothing can be shown yet.
            if result is None or change["new"] == change["old"] or self.side not in self._sides(result):
                return
            length = result.masked_of(self.side).shape[-1]
            pinned = self.selection or {}
            if any(pinned.get(end, 0) >= length for end in ("destination", "source")):
                self.selection = None  # the other prompt is shorter
            self._look_again()

    def _look_again(self) -> None:
        """Thumbnails and scores of what is shown now."""
        result = self._shown()
        self.scores = self.scores_of(result)
        if self._is_whole(result):
            self.thumbs = None
            return
        side, look = self.side, self.look(result)
        every = range(len(result.layers)), range(len(result.heads))
        size = size_for(result.masked_of(side).shape[-1], len(result.layers) * len(result.heads))
        signed = look["signed"] or side == "difference"
        values, masked = result.values_at(side, *every), result.masked_of(side)
        ends = look["low"][side], look["high"][side]
        codes = thumbnails(values, masked, cast(Scale, self.scale), *ends, size, signed)
        self.thumbs = {
            "result": self._result_id,
            "side": side,
            "scale": self.scale,
            "size": size,
            "codes": encode_array(codes),
        }

    def scores_of(self, result: AttentionPatterns) -> list[dict[str, Any]]:
        """The scores by which heads can be sorted: what the patterns of the shown prompt say."""
        side = result.sides["clean" if self.side == "difference" else self.side]
        measured = {name: part for name, part in side.scores.items() if np.isfinite(part).any()}
        return [score_to_wire(name, MEASURES[name], "prompt", part) for name, part in measured.items()]

    # What a view may set

    @traitlets.validate("side")
    def _valid_side(self, proposal: Any) -> str:
        sides = self._known_sides()
        if proposal["value"] not in sides:
            raise traitlets.TraitError(f"The sides are {', '.join(sides)}, not {proposal['value']!r}.")
        return proposal["value"]

    def _known_sides(self) -> list[str]:
        return ["prompt"] if self.result is None else self._sides(self.result)

    @traitlets.validate("sort")
    def _valid_sort(self, proposal: Any) -> str:
        known = self._sorts()
        if proposal["value"] not in known:
            raise traitlets.TraitError(f"Heads are sorted by {', '.join(known)}, not {proposal['value']!r}.")
        return proposal["value"]

    def _sorts(self) -> list[str]:
        if self.result is None:
            return ["layer", *MEASURES]
        return ["layer", *(score["name"] for score in self.scores)]

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

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, int] | None:
        selection = proposal["value"]
        if selection is None:
            return None
        if self.result is None:
            raise traitlets.TraitError("There is nothing to pin yet. Call .wait() first.")
        length = len(self.result.masked_of(self.side)[0])
        known = {
            "layer": self.result.layers,
            "head": self.result.heads,
            "destination": range(length),
            "source": range(length),
        }
        if (
            selection
            and set(selection) <= set(known)
            and ("layer" in selection) == ("head" in selection)
            and all(_is_in(index, known[name]) for name, index in selection.items())
        ):
            return {name: operator.index(index) for name, index in selection.items()}
        raise traitlets.TraitError(
            f"There is no {selection}. Pin a head (layer and head), a destination and a source from 0 to {length - 1}, "
            "or some of these."
        )

    # Requests

    def _answer(self, request: Request) -> None:
        if request.method != "heads":
            super()._answer(request)
            return
        params, result = request.params, self.result
        if result is None or params.result != self._result_id:
            raise BadRequest("This result is no longer shown.", "result", request.id)
        try:
            places = [result.index_of(layer, head) for layer, head in params.heads]
            values = np.stack([result.values_for_view(params.side, [i], [j])[0, 0] for i, j in places])
        except ValueError as problem:
            raise BadRequest(str(problem), "heads", request.id) from None
        content = {"result": params.result, "side": params.side, "heads": [list(head) for head in params.heads]}
        self.send(protocol.event(request.id, "heads", **content, values=encode_array(values)))
        self.send(protocol.event(request.id, "result"))


def _is_in(index: Any, known: Any) -> bool:
    return hasattr(index, "__index__") and not isinstance(index, bool) and index in known


def score_to_wire(
    name: str, about: Any, on: str, values: np.ndarray, spread: np.ndarray | None = None
) -> dict[str, Any]:
    """A score of the heads for a view.

    Args:
        about: a `Measure` or a `Score`: its label, help, unit, and whether large is remarkable.
        on: "prompt", or "random" tokens.
        values, spread: [layer, head].
    """
    return {
        "name": name,
        "label": about.label,
        "help": about.help,
        "unit": about.unit,
        "on": on,
        "descending": about.descending,
        "values": encode_array(np.ascontiguousarray(values)),
        "spread": None if spread is None else encode_array(np.ascontiguousarray(spread)),
    }
