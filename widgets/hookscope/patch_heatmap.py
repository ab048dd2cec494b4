"""The patch heatmap: activation patching by clicking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import traitlets

from interp_backend.common.cells import axes_of, choose_axes, interventions_of, opened
from interp_backend.common.code import python_code
from interp_backend.common.sweep import Step
from interp_backend.language.interventions import Add, Mean, Resample
from interp_backend.language.loading import load_model
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import PromptPair
from interp_backend.methods.activation_patching import activation_patching_steps
from interp_backend.methods.patch_together import patch_together_steps
from interp_backend.results.codec import finite_or_none
from interp_backend.results.effect_map import EffectMap
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest, Request

from ._base import STATIC, progress
from .following import FollowsEditor
from .menus import activation_menu, direction_menu, metric_menu, value_menu
from .prompt_pair_editor import PromptPairEditor
from .report import View, write_page
from .shown_map import caption_of, fits, pair_of, pair_params, prompts_of, refuse_overlap, title_of, valid_selection
from .sweep_feed import SweepFeed
from .traits import PairTrait, ResultTrait, ValueTrait

# In this order: which axes fit depends on the activation.
CHOICES = ("activation", "axes", "metric", "direction", "value", "window", "at")
WHERE = ("layers", "heads", "positions", "sources", "neurons")
TOP_K = 10


class PatchHeatmap(FollowsEditor):
    """A map of what each place in the model does to the answer, by activation patching.

    It starts its first sweep at once, and another one whenever a choice or the pair changes, from Python or in the
    view.

    Args:
        model: what `load_model` gives or takes.
        pair: a PromptPair; a PromptPairEditor whose pair is then followed; or PromptPairs, for their mean.
        activation, axes, metric, direction, value, at, window: as in `interp_backend.activation_patching`.
        layers, heads, positions, sources, neurons: sweep these alone, where the map has that axis.
        dataset: prompts (or PromptPairs) from which means and samples are taken; those of `pair` if it has several.
        layer_zero: "bottom" or "top".

    Attributes:
        result: the last sweep's `EffectMap`, filling while it runs. Set it to show another one.
        selection: the pinned cell, such as `{"layer": 2, "position": 5}`, or None. Set it to pin.
        together: what patching several cells in one run did, after `patch_together`.
        opened: the `EffectMap` of the parts of one cell, after `open_cell`.
        code: Python code that computes exactly what is shown.
        status, progress, error: how the sweep is doing.
    """

    _esm = STATIC / "patch_heatmap.js"
    draft = False  # whether the result that is put into its trait is still being filled

    activation = traitlets.Unicode("resid_pre", help="Which activation is patched.").tag(sync=True)
    axes = traitlets.List(traitlets.Unicode(), help="The axes of the sweep.").tag(sync=True)
    metric = traitlets.Union(
        [traitlets.Unicode(), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    direction = traitlets.Enum(["denoise", "noise"], "denoise", help="Which run is patched into which.").tag(sync=True)
    value = ValueTrait(help="What is patched in.")
    window = traitlets.Int(1, min=1, help="How many neighbouring layers are patched together.").tag(sync=True)
    at = traitlets.Int(None, allow_none=True, help="Where the metric is read; None is the end.").tag(sync=True)
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(sync=True)
    pair = PairTrait(many=True, help="The two prompts, or many pairs of them.")
    result = ResultTrait(help="The last sweep.")
    together = traitlets.Instance(dict, allow_none=True, help="The joint effect of several cells.").tag(sync=True)
    opened = ResultTrait(help="The parts of one cell.")
    code = traitlets.Unicode(help="Python code of what is shown.").tag(sync=True)

    def __init__(
        self,
        model: Any,
        pair: PromptPair | PromptPairs | PromptPairEditor,
        *,
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
    ) -> None:
        editor = pair if isinstance(pair, PromptPairEditor) else None
        model = load_model(model)
        self._own_metric = metric if callable(metric) else None
        self._where = {name: some for name, some in zip(WHERE, (layers, heads, positions, sources, neurons))}
        self._dataset = prompts_of(dataset if dataset is not None else pair)
        self._settling = threading.local()  # by thread: changes of traits start no sweep until all are in place
        self._settling.on = True
        self._swept: dict[str, Any] = {}  # choices of the shown sweep
        self._swept_own = self._own_metric
        self.sweep_id = ""
        super().__init__(
            model,
            pair=editor.pair if editor else pair,
            activation=activation,
            axes=list(choose_axes(model, activation, axes)),
            metric=metric,
            direction=direction,
            value=value,
            window=window,
            at=at,
            layer_zero=layer_zero,
            info={
                "model": model.describe(),
                "activations": activation_menu(model),
                "metrics": metric_menu(self._own_metric),
                "directions": direction_menu("other"),
                "values": value_menu(bool(self._dataset)),
            },
        )
        self._settling.on = False
        self._follow(pair)
        self.run()

    def run(self) -> None:
        """Start the sweep that the traits describe, in place of one that is running."""
        self._sweep(self._new_id(), again=True)

    def patch_together(self, cells: Sequence[dict[str, int]]) -> None:
        """Patch several cells of the map in one run, and each alone; `together` has what came of it after `wait()`.

        Raises:
            ValueError: there is no result yet, or no such cell.
        """
        self._patch_together(self._new_id(), list(cells))

    def open_cell(self, cell: dict[str, int]) -> None:
        """Patch the parts of one cell, each alone (a head's positions, a layer's neurons); `opened` has the result.

        Raises:
            ValueError: there is no result yet, no such cell, or one without parts.
        """
        self._open_cell(self._new_id(), cell)

    def save(self, path: str | Path) -> Path:
        """Write the map as one self-contained HTML page that opens offline and still hovers and pins.

        Raises:
            ValueError: there is no result yet.
        """
        return write_page(path, [View("patch_heatmap", caption_of(self._shown()), self)], title_of(self._shown()))

    def _shown(self) -> EffectMap:
        if self.result is None:
            raise ValueError("There is no sweep yet. Call .wait() first.")
        return self.result

    # Traits and requests

    @traitlets.validate("activation")
    def _valid_activation(self, proposal: Any) -> str:
        return _checked(lambda: choose_axes(self.model, proposal["value"], None) and proposal["value"])

    @traitlets.validate("axes")
    def _valid_axes(self, proposal: Any) -> list[str]:
        return _checked(lambda: list(choose_axes(self.model, self.activation, proposal["value"])))

    @traitlets.validate("metric")
    def _valid_metric(self, proposal: Any) -> Any:
        metric = proposal["value"]
        if self._own_metric is not None and metric == name_of(self._own_metric):
            return self._own_metric  # a view knows it by its name alone
        if self.result is not None and metric == self.result.params.get("metric"):
            return metric  # that of the result that is shown, perhaps a function from another day
        if not callable(metric) and metric not in METRICS:
            raise traitlets.TraitError(f"There is no metric {metric!r}. Choose one of {', '.join(METRICS)}.")
        return metric

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, int] | None:
        return valid_selection(proposal["value"], self.result)

    @traitlets.validate("result")
    def _valid_result(self, proposal: Any) -> EffectMap | None:
        result = proposal["value"]
        if result is not None and not self._is_settling():
            _checked(lambda: choose_axes(self.model, result.params.get("activation"), result.axes))
            if result.params.get("direction") not in ("denoise", "noise") or "metric" not in result.params:
                raise traitlets.TraitError("This result does not say which direction and which metric it is of.")
            _checked(lambda: python_code(self.model.code, {**result.params, "axes": list(result.axes)}))
            result.params.update(axes=list(result.axes))
        return result

    @traitlets.observe("pair", "activation", "axes", "metric", "direction", "value", "window", "at")
    def _on_change(self, change: Any) -> None:
        if self._is_settling():
            return
        with self._settled():
            if change["name"] == "activation":
                self.axes = list(axes_of(self.activation)[0])
                self.window = 1 if self.activation == "embed" else self.window
            if change["name"] == "pair":
                self.at = None  # a position of other prompts
            if change["name"] == "metric" and callable(self.metric):
                self._own_metric = self.metric
                self.info = {**dict(self.info), "metrics": metric_menu(self._own_metric)}
        self._sweep(self._new_id())

    @traitlets.observe("result")
    def _on_result(self, change: Any) -> None:
        """A result that a user puts here is shown with its own choices, and stops the sweep that would replace it."""
        if self._is_settling() or change["new"] is None:
            return
        self.cancel()
        self._current = object()
        params = change["new"].params
        with self._settled():
            for name in CHOICES:
                if name in params:
                    setattr(self, name, params[name])
            self.pair = pair_of(change["new"])
            self.info = {**dict(self.info), "metrics": metric_menu(self.metric)}
        self._swept = self._choices()
        self._put_away()
        self.selection = None
        self.error = None
        self.code = python_code(self.model.code, {**params, **pair_params(self.pair)})
        self.status = self._shown_status = "done"

    @contextmanager
    def _settled(self) -> Iterator[None]:
        before, self._settling.on = self._is_settling(), True
        try:
            yield
        finally:
            self._settling.on = before

    def _is_settling(self) -> bool:
        return getattr(self._settling, "on", False)

    def _answer(self, request: Request) -> None:
        try:
            if request.method == "activation_patching":
                self._choose(request)
            elif request.method == "patch_together":
                self._patch_together(request.id, request.params.cells)
            elif request.method == "open":
                self._open_cell(request.id, request.params.cell)
            elif request.method == "close_opened":
                self._cancel_aside()
                self.opened = None
                self.send(protocol.event(request.id, "result"))
            else:
                super()._answer(request)
        except (ValueError, traitlets.TraitError) as problem:
            raise BadRequest(str(problem), getattr(problem, "field", None), request.id) from None

    def _choose(self, request: Request) -> None:
        wanted = request.params.model_dump()
        wanted["value"] = self._value_of(request.params.value)
        before = {name: getattr(self, name) for name in CHOICES}
        if wanted["activation"] == "embed":
            wanted["window"] = 1  # it is no layer; the view's field for it is hidden then
        with self._settled():
            for name in CHOICES:
                try:
                    setattr(self, name, list(wanted[name]) if name == "axes" else wanted[name])
                except traitlets.TraitError as problem:
                    for kept, value in before.items():  # all of a choice or none of it
                        setattr(self, kept, value)
                    raise BadRequest(str(problem), name, request.id) from None
        self._sweep(request.id)

    def _value_of(self, value: Any) -> Any:
        """What a view asks to patch in: it knows that there is a data set, and not its prompts."""
        if isinstance(value, protocol.AddVector):
            if not isinstance(self.value, Add) or self.value.vector is None:
                raise ValueError("There is no vector to add. Give one: PatchHeatmap(..., value=Add(vector=[...])).")
            return self.value.model_copy(update={"factor": value.factor})
        if not isinstance(value, protocol.FromMean | protocol.FromSamples):
            return value
        prompts = getattr(self.value, "prompts", None) or self._dataset
        if not prompts:
            raise ValueError("There is no data set to take it from. Give one: PatchHeatmap(..., dataset=[...]).")
        if value.kind == "mean":
            return Mean(prompts=prompts, by_position=value.by_position)
        return Resample(prompts=prompts, draws=value.draws, seed=value.seed)

    # The sweep

    def _choices(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("pair", *CHOICES) if name != "metric"}

    def _sweep(self, id: str, *, again: bool = False) -> None:
        name = name_of(self.metric)
        choices = self._choices()
        self.info = {**dict(self.info), "directions": direction_menu(self.value.kind)}
        if not again and self.status == "done" and self._swept == choices and self._has_measured(name):
            return self._show_metric(id, name)
        self._swept, self._swept_own = choices, self._own_metric
        axes = tuple(self.axes)
        steps = partial(
            activation_patching_steps,
            self.model,
            self.pair,
            activation=self.activation,
            direction=self.direction,
            metric=self._metrics(),
            axes=axes,
            value=self.value,
            window=self.window,
            at=self.at,
            top_k=TOP_K,
            **{name: some for name, some in self._where.items() if name[:-1] in axes and some is not None},
        )
        self.progress = progress(0, 0)
        self._put_away()
        feed = SweepFeed(self, id)
        self._submit(id, steps, feed.take, feed.end)

    def _has_measured(self, name: str) -> bool:
        """Whether the shown sweep has this metric; of the user's own the very function, not another of its name."""
        same = name in METRICS or self._swept_own is self.metric
        return self.result is not None and name in self.result.measures and same

    def _put_away(self) -> None:
        """What belonged to the map that was shown."""
        self.together = None
        self.opened = None

    def _metrics(self) -> list[Any]:
        """The chosen metric, and all others that the pair has answers for: they cost no run."""
        pairs = list(self.pair) if isinstance(self.pair, PromptPairs) else [self.pair]
        answered = {f"{side}_answer" for side in ("clean", "corrupt") if all(pair.answers(side) for pair in pairs)}
        others = [name for name, metric in METRICS.items() if answered.issuperset(metric.needs)]
        return [self.metric, *(name for name in others if name != name_of(self.metric))]

    def _show_metric(self, id: str, name: str) -> None:
        """The sweep that is shown has measured this too."""
        self.show(self._shown().by_metric(name))
        self.together = None  # in units of the other metric
        if self.opened is not None:
            self.opened = self.opened.by_metric(name)
        self.send(protocol.event(id, "result"))

    def show(self, result: EffectMap, draft: bool = False) -> None:
        """Show a result; as a draft, while it fills, without what takes long to derive."""
        with self._settled():
            self.draft = draft
            if self.selection is not None and not fits(self.selection, result):
                self.selection = None
            self.result = result
            self.draft = False
        self.code = python_code(self.model.code, result.params)

    # Beside the sweep

    def _patch_together(self, id: str, cells: list[dict[str, int]]) -> None:
        result = self._shown()
        parts = [interventions_of(result, cell, self.model.n_layers) for cell in cells]
        refuse_overlap(parts)
        steps = partial(
            patch_together_steps,
            self.model,
            pair_of(result),
            parts,
            direction=result.params["direction"],
            metric=self.metric,
            at=result.params.get("at"),
        )

        def show(step: Step) -> None:
            effects = [finite_or_none(effect) for effect in step.result.normalized]
            known = [effect for effect in effects[1:] if effect is not None]
            self.together = {
                "cells": cells,
                "metric": step.result.params["metric"],
                "value": finite_or_none(step.result.values[0]),
                "normalized": effects[0],
                "singles": effects[1:],
                "sum": sum(known) if len(known) == len(cells) else None,
            }

        self._submit_aside(id, steps, show)

    def _open_cell(self, id: str, cell: dict[str, int]) -> None:
        result = self._shown()
        steps = partial(
            activation_patching_steps,
            self.model,
            pair_of(result),
            **opened(result, cell),
            direction=result.params["direction"],
            metric=self._metrics(),
            value=result.params.get("value", "other"),
            at=result.params.get("at"),
        )

        def show(step: Step) -> None:
            self.opened = step.result

        self._submit_aside(id, steps, show)


def _checked(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except ValueError as problem:
        raise traitlets.TraitError(str(problem)) from None
