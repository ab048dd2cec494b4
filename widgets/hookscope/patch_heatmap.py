"""The patch heatmap: activation patching by clicking."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import traitlets

from interp_backend import protocol
from interp_backend.methods.activation_patching import (
    Direction,
    Step,
    activation_patching_steps,
    axes_of,
    choose_axes,
)
from interp_backend.metrics import METRICS, name_of
from interp_backend.model import ACTIVATIONS, load_model
from interp_backend.prompts import PromptPair
from interp_backend.protocol import BadRequest, Request
from interp_backend.results import Result

from ._base import STATIC, HookscopeWidget, progress
from .prompt_pair_editor import PromptPairEditor
from .report import View, write_page
from .traits import PairTrait, ResultTrait

CHOICES = ("activation", "axes", "metric", "direction")  # in this order: which axes fit depends on the activation
TOP_K = 10
SECONDS_BETWEEN_PARTIALS = 0.04  # a view draws no faster, and a slow host chokes on more

DIRECTIONS = [
    {
        "name": "denoise",
        "label": "clean \u2192 corrupt",
        "help": "patch clean activations into the corrupt run: what is enough to bring the answer back",
    },
    {
        "name": "noise",
        "label": "corrupt \u2192 clean",
        "help": "patch corrupt activations into the clean run: what the answer can't do without",
    },
]


class PatchHeatmap(HookscopeWidget):
    """A map of what each place in the model does to the answer, by activation patching.

    It starts its first sweep at once, and another one whenever the activation, the axes, the metric, the
    direction or the pair changes, from Python or in the view.

    Args:
        model: what `load_model` gives or takes.
        pair: a PromptPair, or a PromptPairEditor whose pair is then followed.
        activation, axes, metric, direction: as in `interp_backend.activation_patching`.
        layer_zero: "bottom" or "top".

    Attributes:
        result: the last sweep's `Result`, filling while it runs. Set it to show another one.
        selection: the pinned cell, such as `{"layer": 2, "position": 5}`, or None. Set it to pin.
        status, progress, error: how the sweep is doing.
    """

    _esm = STATIC / "patch_heatmap.js"
    _editor: PromptPairEditor | None = None

    activation = traitlets.Unicode("resid_pre", help="Which activation is patched.").tag(sync=True)
    axes = traitlets.List(traitlets.Unicode(), help="The axes of the sweep.").tag(sync=True)
    metric = traitlets.Union(
        [traitlets.Unicode(), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    direction = traitlets.Enum(["denoise", "noise"], "denoise", help="Which run is patched into which.").tag(sync=True)
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(sync=True)
    pair = PairTrait(help="The two prompts.")
    result = ResultTrait(help="The last sweep.")

    def __init__(
        self,
        model: Any,
        pair: PromptPair | PromptPairEditor,
        *,
        activation: str = "resid_pre",
        axes: Sequence[str] | None = None,
        metric: str | Callable[..., Any] = "logit_diff",
        direction: str = "denoise",
        layer_zero: str = "bottom",
    ) -> None:
        editor = pair if isinstance(pair, PromptPairEditor) else None
        model = load_model(model)
        self._own_metric = metric if callable(metric) else None
        self._settling = threading.local()  # by thread: changes of traits start no sweep until all are in place
        self._settling.on = True
        self._unsent: list[int] = []
        self._last_sent = 0.0
        self.sweep_id = ""
        super().__init__(
            model,
            pair=editor.pair if editor else pair,
            activation=activation,
            axes=list(choose_axes(model, activation, axes)),
            metric=metric,
            direction=direction,
            layer_zero=layer_zero,
            info={
                "model": model.describe(),
                "activations": _activation_menu(model.unavailable),
                "metrics": _metric_menu(self._own_metric),
                "directions": DIRECTIONS,
            },
        )
        self._settling.on = False
        self._editor = editor
        if editor is not None:
            editor.observe(self._follow, "pair")
        self.run()

    def close(self) -> None:
        """Close the widget: it stops what it was running, and following its editor."""
        if self._editor is not None:
            self._editor.unobserve(self._follow, "pair")
            self._editor = None
        super().close()

    def _follow(self, change: Any) -> None:
        self.pair = change["new"]

    def run(self) -> None:
        """Start the sweep that the traits describe, in place of one that is running."""
        self._sweep(self._new_id())

    def save(self, path: str | Path) -> Path:
        """Write the map as one self-contained HTML page that opens offline and still hovers and pins.

        Raises:
            ValueError: there is no result yet.
        """
        if self.result is None:
            raise ValueError("There is no sweep to save yet. Call .wait() first.")
        clean, corrupt = (self.result.prompts[side] for side in ("clean", "corrupt"))
        title = f"“{clean.text}” against “{corrupt.text}”"
        return write_page(path, [View("patch_heatmap", _caption(self.result), self)], title)

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
    def _valid_result(self, proposal: Any) -> Result | None:
        result = proposal["value"]
        if result is not None and not self._is_settling():
            _checked(lambda: choose_axes(self.model, result.params.get("activation"), result.axes))
            if result.params.get("direction") not in ("denoise", "noise") or "metric" not in result.params:
                raise traitlets.TraitError("This result does not say which direction and which metric it is of.")
            result.params.update(axes=list(result.axes))
        return result

    @traitlets.observe("pair", "activation", "axes", "metric", "direction")
    def _on_change(self, change: Any) -> None:
        if self._is_settling():
            return
        with self._settled():
            if change["name"] == "activation":
                self.axes = list(axes_of(self.activation)[0])
            if change["name"] == "metric" and callable(self.metric):
                self._own_metric = self.metric
                self.info = {**dict(self.info), "metrics": _metric_menu(self._own_metric)}
        self.run()

    @traitlets.observe("result")
    def _on_result(self, change: Any) -> None:
        """A result that a user puts here is shown with its own choices, and stops the sweep that would replace it."""
        if self._is_settling() or change["new"] is None:
            return
        self.cancel()
        self._current = object()
        with self._settled():
            for name in CHOICES:
                setattr(self, name, change["new"].params[name])
            self.pair = _pair_of(change["new"])
            self.info = {**dict(self.info), "metrics": _metric_menu(self.metric)}
        self.selection = None
        self.error = None
        self.status = "done"

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
        if request.method != "activation_patching":
            return super()._answer(request)
        wanted = request.params.model_dump()
        before = {name: getattr(self, name) for name in CHOICES}
        with self._settled():
            for name in CHOICES:
                try:
                    setattr(self, name, list(wanted[name]) if name == "axes" else wanted[name])
                except traitlets.TraitError as problem:
                    for kept, value in before.items():  # all of a choice or none of it
                        setattr(self, kept, value)
                    raise BadRequest(str(problem), name, request.id) from None
        self._sweep(request.id)

    # The sweep

    def _sweep(self, id: str) -> None:
        steps = partial(
            activation_patching_steps,
            self.model,
            self.pair,
            activation=self.activation,
            direction=cast(Direction, self.direction),
            metric=self.metric,
            axes=tuple(self.axes),
            top_k=TOP_K,
        )
        self.progress = progress(0, 0)
        self._submit(id, steps, lambda step: self._on_step(step, id))

    def _on_step(self, step: Step, id: str) -> None:
        if step.done == 0:  # the frame of the map, and the cells that need no run
            self._unsent = []
            self.sweep_id = id
            self._show(step.result)
        self._unsent += step.cells if step.done else []
        now = time.perf_counter()
        if now - self._last_sent >= SECONDS_BETWEEN_PARTIALS or step.done in (0, step.total):
            self._last_sent = now
            self.progress = progress(step.done, step.total, step.seconds_left)
            if self._unsent:
                self.send(protocol.partial(id, self.sweep_id, step.result, self._unsent))
                self._unsent = []

    def _finished(self) -> None:
        if self.result is not None:
            self._show(self.result.model_copy())  # another object, so that the view gets all of it

    def _show(self, result: Result) -> None:
        with self._settled():
            if self.selection is not None and not _fits(self.selection, result):
                self.selection = None
            self.result = result


def valid_selection(selection: Any, result: Result | None) -> dict[str, int] | None:
    """A selection that names a cell of the result, or None. Raises TraitError for any other."""
    if selection is None:
        return None
    if result is None:
        raise traitlets.TraitError("Nothing can be pinned before there is a result.")
    if not _fits(selection, result):
        ranges = ", ".join(f"{axis} 0 to {n - 1}" for axis, n in zip(result.axes, result.values.shape))
        raise traitlets.TraitError(f"There is no cell {selection}. Name {ranges}.")
    return {axis: operator.index(selection[axis]) for axis in result.axes}


def _fits(selection: dict[str, Any], result: Result) -> bool:
    sizes = dict(zip(result.axes, result.values.shape))
    whole = all(hasattr(index, "__index__") and not isinstance(index, bool) for index in selection.values())
    return set(selection) == set(sizes) and whole and all(0 <= selection[axis] < sizes[axis] for axis in sizes)


def _pair_of(result: Result) -> PromptPair:
    """The pair that a result is of; its answers were scored by their first tokens."""
    clean, corrupt = result.prompts["clean"], result.prompts["corrupt"]
    return PromptPair(
        clean=clean.text,
        corrupt=corrupt.text,
        clean_answer=clean.answer or "",
        corrupt_answer=corrupt.answer or "",
    )


def _caption(result: Result) -> str:
    """Which model and answers a saved map is about. A result from a file may say less than ours do."""
    model = result.provenance.get("model", {})
    answers = [f"“{prompt.answer}” ({side})" for side, prompt in result.prompts.items() if prompt.answer is not None]
    parts = [str(model.get("name", "")), f"weights {model['weights']}" if "weights" in model else ""]
    return " · ".join(filter(None, [*parts, f"answers {' and '.join(answers)}" if answers else ""]))


def _checked(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except ValueError as problem:
        raise traitlets.TraitError(str(problem)) from None


def _activation_menu(unavailable: dict[str, str]) -> list[dict[str, Any]]:
    menu = []
    for name, activation in ACTIVATIONS.items():
        for axes in axes_of(name):
            by = " and ".join(axis for axis in axes if axis != "layer")
            menu.append(
                {
                    "activation": name,
                    "axes": list(axes),
                    "label": f"{name}, by {by}" if activation.per_head else name,
                    "help": activation.help,
                    "reason": unavailable.get(name),
                }
            )
    return menu


def _metric_menu(own: Callable[..., Any] | str | None) -> list[dict[str, str]]:
    menu = [{"name": metric.name, "label": metric.label, "help": metric.help} for metric in METRICS.values()]
    if own is not None and own not in METRICS:
        menu.append({"name": name_of(own), "label": name_of(own), "help": "your own function of the logits"})
    return menu
