"""The workbench: a pair in all views at once, with one pinned place."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import traitlets

from interp_backend import load_model
from interp_backend.language.prompts import PromptPair
from interp_backend.place import Place, as_place
from interp_backend.results.envelope import BaseResult
from interp_backend.results.step import Step
from interp_backend.service import protocol

from .asking import Asker, Want
from .attention_viewer import AttentionViewer
from .circuit_graph import CircuitGraph
from .links import link
from .logit_lens_grid import LogitLensGrid
from .output import Pictured
from .panel import Index, Panel, action
from .patch_heatmap import PatchHeatmap
from .place_card import PlaceCard, what_to_change
from .prompt_pair_editor import PromptPairEditor
from .report import Report
from .subject import ResultPanel

KINDS: dict[str, tuple[type[ResultPanel], str, str]] = {
    "heatmap": (PatchHeatmap, "Patching", "where the difference between the prompts lives"),
    "lens": (LogitLensGrid, "Lens", "what each layer would predict, and who wrote the answer"),
    "attention": (AttentionViewer, "Attention", "where heads look"),
    "circuit": (CircuitGraph, "Circuit", "edges, paths and faithfulness"),
}
DEFAULT = ("heatmap", "lens", "attention")


class Workbench(Pictured):
    """Editor, patch heatmap, logit lens and attention of one pair, side by side, with one pinned place.

    A click in any view pins the same place in all of them, and a card says what patching, zeroing and averaging that
    place does. Views can be added, doubled, enlarged and closed.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a PromptPair; by default the first of the model's templates.
        views: which views to begin with, of "heatmap", "lens", "attention" and "circuit".

    Attributes:
        editor: the `PromptPairEditor`, whose pair all views follow.
        panels: the views, in their order.
        selection: the pinned place, such as `{"layer": 2, "position": 5}`, or None.
        card: what changing the pinned place does, or None.
    """

    bundle = "workbench"
    _own_places = ("logits",)

    panels: traitlets.List[Panel] = traitlets.List(traitlets.Instance(Panel), help="The views.").tag(
        sync=True, to_json=lambda panels, _: [f"anywidget:{panel.model_id}" for panel in panels]
    )
    names = traitlets.List(traitlets.Unicode(), help="The views' names.").tag(sync=True)
    split = traitlets.Float(0.5, min=0.25, max=0.75, help="The first column's part of the width.").tag(
        sync=True, set_by_view=True
    )
    enlarged = traitlets.Int(None, allow_none=True, help="Which view fills the width, or None.").tag(
        sync=True, set_by_view=True
    )
    card = traitlets.Instance(dict, allow_none=True, help="What changing the pinned place does.").tag(sync=True)

    def __init__(self, model: Any, pair: PromptPair | None = None, *, views: Sequence[str] = DEFAULT) -> None:
        known = load_model(model)
        for name in views:
            _kind(name)
        self._editor = PromptPairEditor(known, pair)
        super().__init__(
            info={
                "model": known.describe(),
                "kinds": [{"name": name, "label": label, "help": help} for name, (_, label, help) in KINDS.items()],
            },
        )
        self._asker = Asker(self, known, main="card")
        made = [_kind(name)(known, self._editor) for name in views]
        self._show([self._editor, *made])
        found = weakref.ref(self)
        self._editor.observe(lambda change: (bench := found()) is not None and bench._on_pair(), "pair")

    # For users

    @property
    def editor(self) -> PromptPairEditor:
        return self._editor

    def add(self, panel: ResultPanel | str) -> ResultPanel:
        """Add a view: a name ("heatmap", "lens", "attention", "circuit"), or a view of your own, such as of another
        model. It is linked with the others. Returns the view."""
        if isinstance(panel, str):
            panel = _kind(panel)(self.model, self._editor)
        if not isinstance(panel, ResultPanel):
            raise ValueError(f"add takes one of {', '.join(KINDS)}, or a view, not {panel!r:.60}.")
        self._show([*self.panels, panel])
        return panel

    def remove(self, panel: Panel) -> None:
        """Take a view off the workbench, and close it. The editor stays."""
        if panel is self._editor or panel not in self.panels:
            raise ValueError("This view is not on the workbench, or it is the editor, which stays.")
        self._show([one for one in self.panels if one is not panel])
        panel.close()

    def report(self, title: str = "", notes: str = "") -> Report:
        """A report of all views, under notes in Markdown; save it with `.save(path)`."""
        pair = self._editor.pair
        title = title or f"“{pair.clean}” against “{pair.corrupt}”"
        return Report([*([notes] if notes else []), *self.panels], title=title)

    def save(self, path: str | Path) -> Path:
        """Write a report of all views as one HTML page; see `Report.save`."""
        return self.report().save(path)

    def wait(self, timeout: float | None = None) -> bool:
        return all([panel.wait(timeout) for panel in self.panels]) and super().wait(timeout)

    def cancel(self) -> None:
        for panel in [*self.panels]:
            panel.cancel()
        super().cancel()

    def close(self) -> None:
        for panel in [*self.panels]:
            panel.close()
        super().close()

    def pictured(self) -> list[BaseResult]:
        panels = [panel for panel in self.panels if isinstance(panel, ResultPanel)]
        if any(panel.status in ("queued", "running") for panel in panels):
            return []  # the view of the last of them will ask once more
        return [result for panel in panels for result in panel.pictured()]

    # What is shown

    def _show(self, panels: Sequence[Panel]) -> None:
        with self.hold_trait_notifications():
            self.enlarged = None
            self.names = _names(panels)
            self.panels = list(panels)
        link(self, *self.panels)
        for panel in panels:
            if isinstance(panel, ResultPanel):
                panel._inside = {self, *panel._inside}

    def _placed(self, place: Place) -> Place:
        return place  # each view says for itself whether it has the place

    def wants(self) -> dict[str, Want]:
        place = as_place(self.selection)  # pyright: ignore[reportArgumentType]
        pair = self._editor.pair
        if place is None or not (pair.answers("clean") and pair.answers("corrupt")):
            return {}
        try:
            what_to_change(place)
        except ValueError:
            return {}
        call = PlaceCard(self._asking().model, pair, place, (pair.clean, pair.corrupt))
        return {"card": Want(call, self._take_card, keep=True, priority=2)}

    def _take_card(self, id: str, step: Step[dict[str, Any]]) -> None:
        self.card = step.result

    @traitlets.observe("selection")
    def _on_selection(self, change: Any) -> None:
        self._ask_for_card()

    def _on_pair(self) -> None:
        self._ask_for_card()

    def _ask_for_card(self) -> None:
        self.card = None
        if self._asker is not None:
            self._asker.refresh()

    @traitlets.validate("enlarged")
    def _valid_enlarged(self, proposal: Any) -> int | None:
        at = proposal["value"]
        if at is None or 0 <= at < len(self.panels):
            return at
        raise traitlets.TraitError(f"There is no view {at}: this workbench has {len(self.panels)}.")

    # Requests

    @action("add_view")
    def _on_add_view(self, id: str, kind: Literal["heatmap", "lens", "attention", "circuit"]) -> None:
        """Add a view of the pair."""
        self.add(kind)

    @action("double_view")
    def _on_double_view(self, id: str, at: Index) -> None:
        """Add a view with the same choices beside one, to compare another choice with it."""
        panel = self._at(at)
        made: Any = next(kind for kind, _, _ in KINDS.values() if isinstance(panel, kind))
        twin = made(panel.model, self._editor)
        asker = twin._asking()
        with asker.defer():
            for name in panel.choices:
                setattr(twin, name, getattr(panel, name))
        asker.refresh()
        self._show([*self.panels[: at + 1], twin, *self.panels[at + 1 :]])

    @action("close_view")
    def _on_close_view(self, id: str, at: Index) -> None:
        """Take a view off the workbench."""
        self.remove(self._at(at))

    @action("save_report")
    def _on_save_report(self, id: str) -> None:
        """Send a report of all views as the content of a file."""
        self.send(protocol.event(id, "file", format="html", text=self.report().html()))

    def _at(self, at: int) -> ResultPanel:
        if at >= len(self.panels) or not isinstance(self.panels[at], ResultPanel):
            raise ValueError(f"There is no view {at} that could be doubled or closed.")
        return self.panels[at]  # pyright: ignore[reportReturnType]


def open(model: Any = None) -> Workbench:
    """A `Workbench` on a model, with the first of its templates; by default on the embedded model."""
    return Workbench(load_model() if model is None else model)


def _kind(name: Any) -> Any:
    if name not in KINDS:
        raise ValueError(f"There is no view {name!r:.40}. Choose of {', '.join(KINDS)}.")
    return KINDS[name][0]


def _names(panels: Sequence[Panel]) -> list[str]:
    """The views' names, numbered where there are several of a kind."""
    names: list[str] = []
    for panel in panels:
        # anywidget gives each widget a class of its own.
        label = next((label for kind, label, _ in KINDS.values() if isinstance(panel, kind)), panel.title or "Prompts")
        again = sum(name.startswith(label) for name in names)
        names.append(f"{label} {again + 1}" if again else label)
    return names
