"""The patch heatmap: activation patching by clicking."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import traitlets
from pydantic import BaseModel, Field

from interp_backend import METHODS
from interp_backend.common.cells import choose_axes, interventions_of, opened
from interp_backend.common.code import Said, session_code
from interp_backend.common.estimates import refuse_flat
from interp_backend.common.subject import subject_of
from interp_backend.language.interventions import as_asked
from interp_backend.language.metrics import METRICS, as_measures, name_of
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import PromptPair, Side
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.methods.attribution_patching import attribution_patching
from interp_backend.methods.patch_together import patch_together
from interp_backend.place import Place
from interp_backend.results.effect_map import ESTIMATE, EffectMap
from interp_backend.results.step import Step
from interp_backend.service import protocol
from interp_backend.service.protocol import Request
from interp_backend.service.tasks import Task

from .asking import Want
from .links import linked_with
from .map_call import MapCall
from .menus import DEFAULTS, SHARED, for_value, gives_map, menus_of, metric_menu, offered
from .panel import action
from .prompt_pair_editor import PromptPairEditor
from .shown_map import answers_of, is_cell, joint_effect, prompts_of, refuse_overlap, title_of
from .subject import ResultPanel, model_to_ask, model_words
from .traits import Argument, PairTrait, ValueTrait, checked

WHERE = ("layers", "heads", "positions", "sources", "neurons")
TOP_K = 10
Text = Annotated[str, Field(max_length=1000)]
Numbers = Annotated[list[int], Field(min_length=1, max_length=10_000)] | None
SECONDS_BETWEEN_PARTIALS = 0.04  # a view draws no faster, and a slow host can't handle more
SECONDS_BETWEEN_MEANS = 0.25  # a mean over pairs goes to the view as a whole


class MapTrait(traitlets.Instance):
    """An `EffectMap` or None."""

    def __init__(self, **options: Any) -> None:
        super().__init__(EffectMap, allow_none=True, **options)
        self.tag(sync=True, to_json=lambda result, widget: result and result.to_wire(draft=widget._draft))


class PatchHeatmap(ResultPanel):
    """A map of the effect of each place in the model on the answer, by activation patching.

    It starts its first sweep at once, and another one whenever a choice or the pair changes, from Python or in the
    view. Without a model it shows a result and requests nothing.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a PromptPair; a PromptPairEditor whose pair is then followed; or PromptPairs, for their mean.
        method: the name of the method that computes the map.
        activation, axes, metric, direction, value, at, window: as in `interp_backend.activation_patching`.
        layers, heads, positions, sources, neurons: restrict the sweep to these, if the map has that axis.
        dataset: prompts (or PromptPairs) from which means and samples are taken; those of `pair` if it has several.
        layer_zero: "bottom" or "top".
        units: "normalized" for effects, or "raw" for the metric's own values.
        color_limit: the effect at the ends of the colour scale; None follows the effects. Maps with the same number
            can be compared, and `traitlets.link((a, "color_limit"), (b, "color_limit"))` keeps two maps together.
        result: an `EffectMap` to show, instead of a model and a pair.
        options: further arguments of the method.

    Attributes:
        result: the last sweep's `EffectMap`, filling while it runs. Set it to show another one.
        selection: the pinned place, such as `{"layer": 2, "position": 5}`, or None. Set it to pin.
        together: the joint effect of several cells that were patched in one run, after `patch_together`.
        opened: the `EffectMap` of the parts of one cell, after `open_cell`.
        kept: the `EffectMap` that later ones are compared with, after `keep`. Set it to compare with any other.
        difference: the shown map minus the kept one, as `EffectMap.minus` gives it; None where there is none.
        shows: what the view shows: "map", "kept" or "difference".
        code: Python code that computes exactly what is shown.
        status, progress, error: the state of the sweep.
    """

    bundle = "patch_heatmap"
    choices = ("method", *SHARED, "options", "narrowed", "units", "color_limit", "kept", "shows")
    _draft = False  # whether the result being put into the trait is still filling
    _shown_as_draft = False  # whether the displayed result was set while it was filling

    method = traitlets.Unicode("activation_patching", help="The method that computes the map.").tag(sync=True)
    activation = Argument(activation_patching, "activation", lambda w, value: w._checked_activation(value))
    axes = Argument(activation_patching, "axes", lambda w, value: w._checked_axes(value))
    metric = traitlets.Union(
        [traitlets.Unicode(), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    direction = Argument(activation_patching, "direction")
    value = ValueTrait(help="The value that is patched in.")
    window = Argument(activation_patching, "window")
    at = Argument(activation_patching, "at")
    options = traitlets.Dict(help="Further arguments of the method.").tag(sync=True)
    narrowed = traitlets.Dict(help="The layers, heads and positions to which a view has narrowed the sweep.").tag(
        sync=True
    )
    units = traitlets.Enum(
        ["normalized", "raw"], "normalized", help="What the cells show: effects, or the metric's own values."
    ).tag(sync=True, set_by_view=True)
    color_limit = traitlets.Float(
        None, allow_none=True, help="The effect at the ends of the colour scale; None follows the effects."
    ).tag(sync=True, set_by_view=True)
    pair = PairTrait(many=True, allow_none=True, help="The two prompts, or many pairs of them.")
    result = MapTrait(help="The map that is shown.")
    together = traitlets.Instance(dict, allow_none=True, help="The joint effect of several cells.").tag(sync=True)
    opened = MapTrait(help="The parts of one cell.")
    kept = MapTrait(help="The map that later ones are compared with.")
    difference = MapTrait(help="The shown map minus the kept one.")
    difference_code = traitlets.Unicode(help="Python code that computes the difference.").tag(sync=True)
    why_no_difference = traitlets.Unicode(help="Why the kept map can't be subtracted from the shown one.").tag(
        sync=True
    )
    shows = traitlets.Enum(
        ["map", "kept", "difference"], "map", help="What is shown: the map, the kept one, or their difference."
    ).tag(sync=True, set_by_view=True)

    def __init__(
        self,
        model: Any = None,
        pair: PromptPair | PromptPairs | PromptPairEditor | None = None,
        *,
        method: str = "activation_patching",
        activation: str = "resid_pre",
        axes: Sequence[str] | None = None,
        metric: str | Callable[..., Any] = "logit_diff",
        direction: str = "denoise",
        value: Any = "other",
        at: int | None = None,
        window: int = 1,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        positions: Any = None,
        sources: Sequence[int] | None = None,
        neurons: Sequence[int] | None = None,
        dataset: Sequence[str] | PromptPairs | None = None,
        layer_zero: str = "bottom",
        units: str = "normalized",
        color_limit: float | None = None,
        result: EffectMap | None = None,
        **options: Any,
    ) -> None:
        self._model = model_to_ask(model, pair, result, "a pair to patch")
        self._own_metric = metric if callable(metric) else None
        self._where = {name: some for name, some in zip(WHERE, (layers, heads, positions, sources, neurons))}
        self._dataset = prompts_of(dataset if dataset is not None else pair)
        self._editor = weakref.ref(pair) if isinstance(pair, PromptPairEditor) else None
        self._sweep: EffectMap | None = None  # the result that is filling, with all its metrics
        self._showing = threading.local()  # `shown`: the map that this thread sets as the result
        self._unsent: list[int] = []
        self._last_sent = self._last_compared = 0.0
        super().__init__(
            pair=pair.pair if isinstance(pair, PromptPairEditor) else pair,
            method=method,
            activation=activation,
            metric=metric,
            direction=direction,
            value=value,
            window=window,
            at=at,
            layer_zero=layer_zero,
            units=units,
            color_limit=color_limit,
            options=self._checked_options(method, options),
        )
        self.axes = list(choose_axes(self._model, activation, axes))
        self._offer()
        if self._model is not None:
            self._start(self._model, pair)
        else:
            self.result = result

    # For users

    def patch_together(self, cells: Sequence[dict[str, int]]) -> None:
        """Patch several cells of the map in one run, and each alone; `together` has the effects after `wait()`.

        Raises:
            ValueError: there is no result yet, or no such cell.
        """
        self._on_patch_together(self._asking().new_id(), list(map(Place.model_validate, cells)))

    def open_cell(self, cell: dict[str, int]) -> None:
        """Patch the parts of one cell, each alone (a head's positions, a layer's neurons); `opened` has the result.

        Raises:
            ValueError: there is no result yet, no such cell, or one without parts.
        """
        self._on_open(self._asking().new_id(), Place.model_validate(cell))

    def keep(self) -> None:
        """Keep the shown map, in this heatmap and in those that are linked with it, to compare others with it.

        Raises:
            ValueError: there is no result yet.
        """
        # A copy, since a sweep goes on filling its map; and of the shown metric alone, since it stays that metric's.
        self._keep(self._shown().model_copy(update={"measures": {}}).model_copy(deep=True))

    def drop_kept(self) -> None:
        """Forget the kept map, in this heatmap and in those that are linked with it."""
        self._keep(None)

    def _keep(self, kept: EffectMap | None) -> None:
        for panel in (self, *linked_with(self)):
            if isinstance(panel, PatchHeatmap):
                panel.kept = kept

    def _headings(self, result: EffectMap) -> tuple[str, str]:
        return title_of(result), " · ".join([*model_words(result), *answers_of(result)])

    # What should be shown

    def wants(self) -> dict[str, Want]:
        return {"result": Want(self._call(), self._take, self._end, keep=True)}

    def _call(self) -> MapCall:
        chosen = {name: getattr(self, name) for name in SHARED if name not in ("axes", "metric")}
        axes = self._fitting_axes()
        chosen.update(axes=axes, metric=self._metrics(), top_k=TOP_K, **{**DEFAULTS, **self.options})
        where = {**self._where, **dict(self.narrowed)}
        chosen.update({name: some for name, some in where.items() if name[:-1] in axes and some is not None})
        method = METHODS[self.method]
        known = {name: value for name, value in chosen.items() if name in method.options}
        return MapCall(method.call(self._model, self.pair, **known), stops="exact" not in self.options)

    def _fitting_axes(self) -> list[str]:
        """The chosen axes, or the activation's default if the chosen axes belong to another activation."""
        try:
            return list(choose_axes(self._model, self.activation, self.axes))
        except ValueError:
            return list(choose_axes(self._model, self.activation, None))

    def _metrics(self) -> list[Any]:
        """The chosen metric, and all others that the pair has answers for, if they need no further runs."""
        whole = self.metric in METRICS and METRICS[self.metric].whole_answer
        if whole or self.method == attribution_patching.name:
            return [self.metric]
        pairs: list[Any] = list(self.pair) if isinstance(self.pair, PromptPairs) else [self.pair]
        answered = {f"{side}_answer" for side in ("clean", "corrupt") if all(pair.answers(side) for pair in pairs)}
        others = [name for name, one in METRICS.items() if answered.issuperset(one.needs) and not one.whole_answer]
        return [self.metric, *(name for name in others if name != name_of(self.metric))]

    # Results

    def _take(self, id: str, step: Step[EffectMap]) -> None:
        """A step of the sweep: the first has the frame of the map and the cells that need no run."""
        result = step.result
        assert result is not None
        result.id = id
        first = self._sweep is not result
        if first:
            self._sweep, self._unsent, self._last_sent = result, [], 0.0
            self._show(draft=True)
        elif result.pairs is None:
            self._unsent += step.cells
        now = time.perf_counter()
        pause = SECONDS_BETWEEN_PARTIALS if result.pairs is None else SECONDS_BETWEEN_MEANS
        if first or (now - self._last_sent < pause and step.done != step.total):
            return
        self._last_sent = now
        if self._unsent:
            self.send(protocol.partial(id, self._shown(), self._unsent))
            self._unsent = []
        elif result.pairs is not None and step.cells and step.done < step.total:
            self._show(draft=True)
        if self.shows == "difference" and now - self._last_compared >= SECONDS_BETWEEN_MEANS:
            self._subtract()

    def _end(self, status: str) -> None:
        if self._shown_as_draft:
            self._show()

    def _show(self, draft: bool = False) -> None:
        """Show the sweep by the chosen metric. While it fills, the values that are slow to derive are left out."""
        sweep, shown, name = self._sweep, None, None
        # Another thread may choose another metric and show it meanwhile.
        while sweep is not None and name != name_of(self.metric):
            name = name_of(self.metric)
            # A new object, so that the whole result is sent to the view.
            shown = sweep.by_metric(name) if name in sweep.measures else sweep.model_copy()
            self._showing.shown, self._draft, self._shown_as_draft = shown, draft, draft
            try:
                self.result = shown
                self._unpin_what_is_gone()
            finally:
                self._draft = False
        if shown is None:
            return
        self.code = self._code_of(shown)
        self._subtract()

    def _is_ours(self, result: EffectMap) -> bool:
        """Whether the panel itself sets this result, and not the user. Another thread may be setting another one."""
        return result is getattr(self._showing, "shown", None)

    def _of_tab(self) -> EffectMap:
        found = {"kept": self.kept, "difference": self.difference}.get(self.shows)
        return self._shown() if found is None else found

    @traitlets.observe("kept", "shows")
    def _on_kept(self, change: Any) -> None:
        if self.kept is None:
            self.shows = "map"
        self._subtract()

    def _subtract(self) -> None:
        """Subtract the kept map from the shown one, or say why that can't be done."""
        self._last_compared = time.perf_counter()
        result, kept = self.result, self.kept
        difference, why = None, ""
        if result is not None and kept is not None:
            try:
                difference = result.minus(kept)
            except ValueError as problem:
                why = str(problem)
        self.difference, self.why_no_difference = difference, why
        self.difference_code = "" if difference is None else self._code_of_difference(difference)

    # Changes

    @traitlets.observe(
        "pair", "method", "activation", "axes", "metric", "direction", "value", "window", "at", "options"
    )
    def _on_change(self, change: Any) -> None:
        if change["name"] == "pair" and self.at is not None:
            self.at = None  # a position of other prompts
        if change["name"] == "pair" and self.narrowed:
            self.narrowed = {name: some for name, some in self.narrowed.items() if name not in ("positions", "sources")}
        if change["name"] == "activation":
            self.axes = self._fitting_axes()
        if self.activation == "embed" and self.window != 1:
            self.window = 1  # the embedding is no layer
        if change["name"] == "metric" and callable(self.metric):
            self._own_metric = self.metric
        if self._asker is not None and not self._asker.adopting:
            self._ask()

    def _ask(self, id: str | None = None) -> Task | None:
        """Request the result that the traits describe, and show the part that exists at once."""
        assert self._asker is not None
        before = self._sweep
        task = self._asker.refresh(id)
        if not self._asker.deferring:
            self._estimate_again()
        asked: Any = self.asked
        id_asked = asked and asked["id"]
        if before is not None and before is self._sweep and id_asked == before.id and self.result is not None:
            if self.result.params.get("metric") != name_of(self.metric):
                self._show(draft=self._shown_as_draft)
                self._asker.drop("together")
                self.together = None  # in units of the other metric
                if self.opened is not None and name_of(self.metric) in self.opened.measures:
                    self.opened = self.opened.by_metric(name_of(self.metric))
        elif asked is not None and (self.result is None or id_asked != self.result.id):
            self._put_away()
        self._offer()
        return task

    def _estimate_again(self) -> None:
        """Estimate the shown sweep by the chosen rule and metric, if it was estimated by others."""
        sweep, asked = self._sweep, cast(Any, self.asked)
        if sweep is None or self._asker is None or asked is None or asked["id"] != sweep.id:
            return
        metric, rule = name_of(self.metric), self._call().arguments.get("estimate", "none")
        estimated = any(one.estimates is not None for one in sweep.measures.values())
        if rule == "none" or not estimated or metric not in sweep.measures:
            return
        if sweep.measures[metric].estimates is not None and sweep.params["estimate"] == rule:
            return
        try:
            refuse_flat(as_measures([self.metric]), sweep.params["direction"], None)
        except ValueError:
            return  # by this metric only what was run has a number
        known = {name: some for name, some in sweep.params.items() if name in attribution_patching.options}
        known.update(metric=self.metric, rules=rule)
        call = attribution_patching.call(self._asker.model, subject_of(sweep.params), **known)

        def show(estimates: EffectMap) -> None:
            if self._sweep is sweep:
                sweep.take_estimates(estimates)
                self._show()

        self._asker.detail("estimates", self._asker.new_id(), call, show)

    def _put_away(self) -> None:
        """Clear what belonged to the previous map."""
        if self._asker is not None:
            self._asker.drop()
        self.together = self.opened = None

    def _offer(self) -> None:
        menus = menus_of(METHODS[self.method], self._model, self._own_metric, bool(self._dataset))
        menus["directions"] = for_value(menus["directions"], self.value.kind)
        if self.info != menus:
            self.info = menus

    @traitlets.observe("result")
    def _on_result(self, change: Any) -> None:
        """Show a result that the user sets, with the choices that gave it. It stops the sweep that would replace it."""
        result = change["new"]
        if result is None or self._is_ours(result):
            return

        def show(*_: Any) -> None:
            self._sweep = self._showing.shown = result
            self._shown_as_draft = False
            self.result = result
            self.code = self._code_of(result)
            self._subtract()

        if self._asker is None:
            show()
            self._describe(result)
            self.status = "done"
        else:
            with self._asker.adopt(Want(None, show, keep=True), result.id, result):
                self._describe(result)
        self.error = None

    def _describe(self, result: EffectMap) -> None:
        """Set the choices to those that gave a result."""
        self._put_away()
        self.selection = None
        for name in ("method", *SHARED):
            wanted = result.method if name == "method" else result.params.get(name)
            if wanted is not None or name in ("at", "axes"):
                setattr(self, name, wanted)
        if result.params.get("estimate", "none") != "none":
            self.options = {**self.options, "estimate": result.params["estimate"]}
        self.pair = subject_of(result.params) or _pair_of(result)
        self.info = {**dict(self.info), "metrics": metric_menu(self.metric)}

    @traitlets.validate("result")
    def _valid_result(self, proposal: Any) -> EffectMap | None:
        result = proposal["value"]
        if result is None or self._is_ours(result):
            return result
        _refuse_unknown(result)
        checked(lambda: choose_axes(self._model, result.params.get("activation"), result.axes))
        checked(lambda: self._code_of(result))
        result.params.update(axes=list(result.axes))
        return result

    @traitlets.validate("kept")
    def _valid_kept(self, proposal: Any) -> EffectMap | None:
        if proposal["value"] is not None:
            _refuse_unknown(proposal["value"])
        return proposal["value"]

    @traitlets.validate("color_limit")
    def _valid_color_limit(self, proposal: Any) -> float | None:
        limit = proposal["value"]
        if limit is not None and not 0 < limit < float("inf"):
            raise traitlets.TraitError(f"color_limit is a number above 0, or None, not {limit!r}.")
        return limit

    @traitlets.validate("method")
    def _valid_method(self, proposal: Any) -> str:
        if proposal["value"] not in offered():
            known = ", ".join(offered())
            raise traitlets.TraitError(f"There is no method {proposal['value']!r} for a heatmap. Known: {known}.")
        return proposal["value"]

    @traitlets.validate("metric")
    def _valid_metric(self, proposal: Any) -> Any:
        metric = proposal["value"]
        if self._own_metric is not None and metric == name_of(self._own_metric):
            return self._own_metric  # a view knows the function only by its name
        if self.result is not None and metric == self.result.params.get("metric"):
            return metric  # the metric of the displayed result, perhaps a function that no longer exists
        if not callable(metric) and metric not in METRICS:
            raise traitlets.TraitError(f"There is no metric {metric!r}. Choose one of {', '.join(METRICS)}.")
        return metric

    def _checked_activation(self, activation: str) -> str:
        if self._model is not None:
            choose_axes(self._model, activation, None)
        return activation

    def _checked_axes(self, axes: Any) -> Any:
        return None if axes is None else list(choose_axes(self._model, self.activation, axes))

    def _checked_options(self, method: str, options: dict[str, Any]) -> dict[str, Any]:
        known = METHODS[method].options if method in METHODS else {}
        for name in options:
            if name not in known or name in SHARED:
                raise TypeError(f"{method} has no argument {name!r}.")
        return options

    def _code_of(self, result: EffectMap) -> str:
        """Code for the shown result; once every cell was run, the estimates before them are of no account."""
        estimated = (result.state == ESTIMATE).any()
        if not estimated:
            plain = {name: part for name, part in result.params.items() if name not in ("estimate", "exact")}
            result = result.model_copy(update={"params": plain})
        code = super()._code_of(result)
        chosen_by_others = estimated and "chosen_by" in result.provenance and code
        return f"# Another rule or metric chose which cells were run.\n{code}" if chosen_by_others else code

    def _code_of_difference(self, difference: EffectMap) -> str:
        """Code for both maps and their difference; empty if no code here makes both."""
        terms = difference.terms or ()
        if len({str(term.provenance.get("model")) for term in terms}) != 1:
            return ""  # a view knows the code of one model
        estimated = (difference.state == ESTIMATE).any()
        dropped = () if estimated else ("estimate", "exact")
        calls = [
            Said(
                term.name,
                METHODS[term.method],
                {name: some for name, some in term.params.items() if name not in dropped},
            )
            for term in terms
        ]
        try:
            both = session_code(calls, self.model and self.model.code)
        except ValueError:
            return ""  # parameters from a file that are no code
        return f"{both}\nresult = results[0].minus(results[1])\nresult.plot()\n"

    @property
    def _parts(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return () if self.result is None else self.result.axes

    # Requests

    @classmethod
    def requests(cls) -> set[str]:
        return {*super().requests(), *offered()}

    def _methods(self) -> dict[str, type[BaseModel]]:
        methods = {} if self._asker is None else {name: method.request for name, method in offered().items()}
        return {**super()._methods(), **methods}

    def _answer(self, request: Request) -> Task | None:
        if request.method not in offered():
            return super()._answer(request)
        params = request.params
        chosen = {name: getattr(params, name) for name in SHARED if name in type(params).model_fields}
        if "value" in chosen:
            kept = {"prompts": getattr(self.value, "prompts", None) or self._dataset}
            kept["vector"] = getattr(self.value, "vector", None) or ()
            chosen["value"] = "other" if chosen["value"] == "other" else as_asked(chosen["value"], kept)
        fields = [name for name in type(params).model_fields if name not in (*SHARED, *WHERE, "top_k")]
        chosen["options"] = {name: getattr(params, name) for name in fields if name in params.model_fields_set}
        self._set_together(request.id, {"method": request.method, **chosen})
        return self._ask(request.id)

    def _cell(self, place: Place) -> Place:
        if not is_cell(self._shown(), place):
            raise ValueError(f"There is no cell {place.to_json()} in this map.")
        return place

    @action("set_answer")
    def _on_set_answer(self, id: str, side: Side, answer: Text) -> Task | None:
        """Make a token the answer of one side of the pair, in the editor if the panel follows one."""
        if not isinstance(self.pair, PromptPair):
            raise ValueError("Each pair of a data set has answers of its own. Change them in Python.")
        editor = self._editor() if self._editor is not None else None
        target = self if editor is None else editor
        with self._asking().defer():
            target.pair = self.pair.model_copy(update={f"{side}_answer": answer})
        return self._ask(id)

    @action("restrict")
    def _on_restrict(
        self,
        id: str,
        layers: Numbers = None,
        heads: Numbers = None,
        positions: Numbers = None,
        sources: Numbers = None,
    ) -> Task | None:
        """Sweep only these layers, heads and positions; what is not given is as it was given in Python."""
        self._asking()
        chosen = {"layers": layers, "heads": heads, "positions": positions, "sources": sources}
        self.narrowed = {name: some for name, some in chosen.items() if some is not None}
        return self._ask(id)

    @action("patch_together")
    def _on_patch_together(self, id: str, cells: list[Place]) -> Task | None:
        """Patch some cells of the shown map in one run."""
        shown, asker = self._shown(), self._asking()
        if not 2 <= len(cells) <= 500:
            raise ValueError("Pick 2 to 500 cells to patch together.")
        parts = [interventions_of(shown, self._cell(cell), asker.model) for cell in cells]
        refuse_overlap(parts)
        call = patch_together.call(
            asker.model, subject_of(shown.params), parts, **_as_in(shown), metric=self.metric, top_k=TOP_K
        )

        def show(result: EffectMap) -> None:
            if result.complete:
                self.together = joint_effect(cells, result)

        return asker.detail("together", id, call, show)

    @action("open")
    def _on_open(self, id: str, cell: Place) -> Task | None:
        """Patch the parts of one cell of the shown map, each alone."""
        shown, asker = self._shown(), self._asking()
        call = activation_patching.call(
            asker.model,
            subject_of(shown.params),
            **opened(shown, self._cell(cell)),
            **_as_in(shown),
            metric=self._metrics(),
            value=shown.params.get("value", "other"),
        )

        def show(result: EffectMap) -> None:
            if result.complete:
                name = name_of(self.metric)
                self.opened = result.by_metric(name) if name in result.measures else result

        return asker.detail("opened", id, MapCall(call), show)

    @action("keep")
    def _on_keep(self, id: str) -> None:
        """Keep the shown map to compare others with it."""
        self.keep()

    @action("drop_kept")
    def _on_drop_kept(self, id: str) -> None:
        """Forget the kept map."""
        self.drop_kept()

    @action("close_opened")
    def _on_close_opened(self, id: str) -> None:
        """Close the opened cell."""
        self._asking().drop("opened")
        self.opened = None


def _refuse_unknown(result: EffectMap) -> None:
    """Raise TraitError for a map that the heatmap does not show."""
    method = METHODS.get(result.method)
    if method is None or not gives_map(method) or "sender" in result.axes:
        raise traitlets.TraitError(
            f"This result comes from {result.method or 'no method'}, whose results the heatmap does not show. "
            "Draw it with result.plot()."
        )
    if result.params.get("direction") not in ("denoise", "noise") or "metric" not in result.params:
        raise traitlets.TraitError("This result does not name its direction and its metric.")


def _as_in(shown: EffectMap) -> dict[str, Any]:
    return {"direction": shown.params["direction"], "at": shown.params.get("at")}


def _pair_of(result: EffectMap) -> PromptPair:
    clean, corrupt = result.prompts["clean"], result.prompts["corrupt"]
    return PromptPair(
        clean=clean.text,
        corrupt=corrupt.text,
        clean_answer=clean.answer or "",
        corrupt_answer=corrupt.answer or "",
    )
