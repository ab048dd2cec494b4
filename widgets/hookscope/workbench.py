"""The workbench: a pair in all views at once, with one pinned place."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import traitlets
from pydantic import Field

from interp_backend import load_model
from interp_backend.language.prompts import PromptPair
from interp_backend.place import Place, as_place
from interp_backend.results.envelope import BaseResult
from interp_backend.results.step import Step
from interp_backend.service import protocol

from .asking import Asker, Want
from .attention_viewer import AttentionViewer
from .circuit_graph import CircuitGraph
from .commands import Command, as_commands, as_file
from .feature_graph import FeatureGraph
from .history import History
from .links import link
from .logit_lens_grid import LogitLensGrid
from .markdown import fenced, tree
from .output import Pictured
from .page import visible
from .panel import Index, Panel, action, whole_characters
from .patch_heatmap import PatchHeatmap
from .place_card import PlaceCard, what_to_change
from .prompt_pair_editor import PromptPairEditor
from .replays import Replayed, replaying
from .report import Report
from .script import session_script
from .states import State, choices_of, choose, restore, state_of
from .subject import ResultPanel

KINDS: dict[str, tuple[type[ResultPanel], str, str]] = {
    "heatmap": (PatchHeatmap, "Patching", "where the difference between the prompts lives"),
    "lens": (LogitLensGrid, "Lens", "what each layer would predict, and who wrote the answer"),
    "attention": (AttentionViewer, "Attention", "where heads look"),
    "circuit": (CircuitGraph, "Circuit", "edges, paths and faithfulness"),
    "features": (FeatureGraph, "Features", "which transcoder features made the prediction"),
}
DEFAULT = ("heatmap", "lens", "attention")
LONGEST_NOTES = 20_000  # characters; they are read again while one types
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


class Workbench(Pictured):
    """Editor, patch heatmap, logit lens and attention of one pair, side by side, with one pinned place.

    A click in any view pins the same place in all of them, and a card says what patching, zeroing and averaging that
    place does. Views can be added, doubled, enlarged and closed.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a PromptPair; by default the first of the model's templates.
        views: which views to begin with, of "heatmap", "lens", "attention", "circuit" and "features"; the last takes
            a model with transcoders of its own, as the embedded one.

    Attributes:
        editor: the `PromptPairEditor`, whose pair all views follow.
        panels: the views, in their order.
        selection: the pinned place, such as `{"layer": 2, "position": 5}`, or None.
        card: what changing the pinned place does, or None.
        notes: text in Markdown, which a report begins with.
        commands: what was done, as JSON that `replay` and `hookscope run` take.
        snapshots: the names of the kept states.
    """

    bundle = "workbench"
    _own_places = ("logits",)

    panels: traitlets.List[Panel] = traitlets.List(traitlets.Instance(Panel), help="The views.").tag(
        sync=True, to_json=lambda panels, _: [f"anywidget:{panel.model_id}" for panel in panels]
    )
    names = traitlets.List(traitlets.Unicode(), help="The views' names.").tag(sync=True)
    split = traitlets.Float(0.5, help="The first column's part of the width, from 0.25 to 0.75.").tag(
        sync=True, set_by_view=True
    )
    enlarged = traitlets.Int(None, allow_none=True, help="Which view fills the width, or None.").tag(
        sync=True, set_by_view=True
    )
    card = traitlets.Instance(dict, allow_none=True, help="What changing the pinned place does.").tag(sync=True)
    steps = traitlets.List(traitlets.Dict(), help="What was done, with what was undone after it.").tag(sync=True)
    at = traitlets.Int(0, help="The step whose state is shown.").tag(sync=True)
    snapshots = traitlets.List(traitlets.Unicode(), help="The names of the kept states.").tag(sync=True)
    notes = traitlets.Unicode(help="Notes in Markdown.").tag(sync=True, set_by_view=True)
    prose = traitlets.List(help="The notes as a tree of elements.").tag(sync=True)

    def __init__(self, model: Any, pair: PromptPair | None = None, *, views: Sequence[str] = DEFAULT) -> None:
        # First, because close() clears them whatever fails below.
        self._history = History(self)
        self._states: dict[str, State] = {}
        # What `states` knows of the views: a key that stays, and the kind of those that can be made again.
        self.view_keys: weakref.WeakKeyDictionary[Panel, str] = weakref.WeakKeyDictionary()
        self.made: weakref.WeakKeyDictionary[Panel, str] = weakref.WeakKeyDictionary()
        known = load_model(model)
        for name in views:
            _kind(name)
        self._editor = PromptPairEditor(known, pair)
        super().__init__(
            info={
                "model": known.describe(),
                "kinds": [
                    {"name": name, "label": label, "help": help, "reason": kind.missing(known)}
                    for name, (kind, label, help) in KINDS.items()
                ],
            },
        )
        self._asker = Asker(self, known, main="card")
        opening = {"pair": self._editor.pair.model_dump(mode="json", exclude_defaults=True), "views": list(views)}
        self._recorder = self._history
        self._history.begin(Command(do="open", params=opening))
        self.show([self.make(name) for name in views])
        self._history.entries[0].state = state_of(self)
        self._tell_history()
        found = weakref.ref(self)
        self._editor.observe(lambda change: (bench := found()) is not None and bench._on_pair(), "pair")

    # For users

    @property
    def editor(self) -> PromptPairEditor:
        return self._editor

    def add(self, panel: ResultPanel | str) -> ResultPanel:
        """Add a view: a name ("heatmap", "lens", "attention", "circuit", "features"), or a view of your own, such as
        of another model. It is linked with the others. Returns the view."""
        self._asking()
        if isinstance(panel, str):
            panel = self.make(panel)
        if not isinstance(panel, ResultPanel):
            raise ValueError(f"add takes one of {', '.join(KINDS)}, or a view, not {panel!r:.60}.")
        if panel._recorder is not None:
            raise ValueError("This view is on a workbench already. Make another one, or double it there.")
        self.show([*self.panels[1:], panel])
        return panel

    def remove(self, panel: Panel) -> None:
        """Take a view off the workbench, and close it. The editor stays."""
        if panel is self._editor or panel not in self.panels:
            raise ValueError("This view is not on the workbench, or it is the editor, which stays.")
        self.show([one for one in self.panels[1:] if one is not panel])

    def report(self, title: str = "", notes: str | None = None) -> Report:
        """A report of all views, under notes in Markdown, with the commands at its end; save it with `.save(path)`.

        Args:
            title: by default the two prompts.
            notes: by default those of the workbench.
        """
        pair, notes = self._editor.pair, self.notes if notes is None else notes
        title = title or f"“{pair.clean}” against “{pair.corrupt}”"
        done = fenced(as_file([entry.command for entry in self._history.done]))
        commands = f"## What was done\n\nIn a file, `hookscope run` does it again.\n\n{done}"
        return Report([*([notes] if notes.strip() else []), *self.panels, commands], title=title)

    def save(self, path: str | Path) -> Path:
        """Write a report of all views as one HTML page; see `Report.save`."""
        return self.report().save(path)

    # What was done

    @property
    def commands(self) -> list[dict[str, Any]]:
        """What was done in the views, step by step, as JSON; not what was set from Python."""
        return [entry.command.to_json() for entry in self._history.done]

    def undo(self) -> None:
        """Go back to the state before the last step."""
        self.go_to(max(0, self.at - 1))

    def redo(self) -> None:
        """Go forward to the state that was undone last."""
        self.go_to(min(len(self.steps) - 1, self.at + 1))

    def go_to(self, step: int) -> None:
        """Show the state after a step, counted from 0, the opening. Later steps can be redone until something new is
        done.

        Raises:
            ValueError: there is no such step.
        """
        self._asking()
        history = self._history
        if not 0 <= step < len(history.entries):
            raise ValueError(f"There is no step {step}: the steps are 0 to {len(history.entries) - 1}.")
        history.update()
        history.at = step
        with history.silent():
            restore(self, history.entries[step].state)
        self._tell_history()

    def snapshot(self, name: str) -> None:
        """Keep what is shown now under a name of at most 100 characters; an earlier state of that name is replaced."""
        self.perform("snapshot", {"name": name})

    def restore(self, name: str) -> None:
        """Show a kept state again, as a step that can be undone.

        Raises:
            ValueError: there is no snapshot of this name.
        """
        self.perform("restore", {"name": name})

    def forget(self, name: str) -> None:
        """Drop a kept state."""
        self.perform("forget", {"name": name})

    def replay(self, commands: Any, *, keep_pair: bool = True) -> list[Replayed]:
        """Do what commands say in this workbench, one after another, each waited for.

        Args:
            commands: `commands` of a workbench, or JSON text of such a list.
            keep_pair: leave out the commands that set the pair.

        Returns:
            Each command with the results that it led to.

        Raises:
            ValueError: a command can't be carried out here; those before it have been.
        """
        return list(replaying(self, as_commands(commands), keep_pair))

    def code(self, over: Literal["interp_backend", "transformerlens"] = "interp_backend") -> str:
        """What was computed, step by step, as a Python script.

        Args:
            over: "interp_backend" for Hookscope's own functions, or "transformerlens" for TransformerLens alone.

        Raises:
            ValueError: a call has no such form.
        """
        return session_script(self._history.done, self._asking().model, over)

    def wait(self, timeout: float | None = None) -> bool:
        return all([panel.wait(timeout) for panel in self.panels]) and super().wait(timeout)

    def cancel(self) -> None:
        for panel in [*self.panels]:
            panel.cancel()
        super().cancel()

    def close(self) -> None:
        for panel in [*self.panels]:
            panel.close()
        self._history.entries, self._states = [], {}
        super().close()

    def pictured(self) -> list[BaseResult]:
        panels = [panel for panel in self.panels if isinstance(panel, ResultPanel)]
        if any(panel.status in ("queued", "running") for panel in panels):
            return []  # the view of the last of them will ask once more
        return [result for panel in panels for result in panel.pictured()]

    # What is shown

    def make(self, kind: str) -> ResultPanel:
        """A view of the pair, not shown yet."""
        panel = _kind(kind)(self.model, self._editor)
        self.made[panel] = kind
        return panel

    def show(self, views: Sequence[Panel]) -> None:
        """Show these views below the editor, and close those that are not among them."""
        panels, before = [self._editor, *views], self.panels
        if panels == before:
            return
        for panel in panels:
            self._watch(panel)
        with self.hold_trait_notifications():
            self.enlarged = None
            self.names = _names(panels)
            self.panels = panels
        link(self, *panels)
        for panel in panels:
            if isinstance(panel, ResultPanel):
                panel._inside = {self, *panel._inside}
        for panel in before:
            if panel not in panels:
                panel._recorder = None
                panel.close()

    def _watch(self, panel: Panel) -> None:
        """Note what a view asks for, and pin the place in what it shows next."""
        if panel._recorder is not None:
            return
        panel._recorder = self._history
        self.view_keys.setdefault(panel, secrets.token_hex(6))
        for asked in panel._asker.asked_now if panel._asker is not None else ():
            self._history.note(asked)
        bench, found = weakref.ref(self), weakref.ref(panel)

        def pin(change: Any) -> None:
            here, there = bench(), found()
            if here is not None and there is not None and here.selection is not None and there.selection is None:
                with suppress(traitlets.TraitError):  # it has no such place
                    there.selection = here.selection

        if panel.has_trait("result"):
            panel.observe(pin, "result")

    @property
    def kinds(self) -> list[str]:
        """The kinds of the views."""
        return [kind for kind in map(_kind_name, self.panels) if kind]

    def name_of(self, panel: Panel) -> str | None:
        """The name of a view, by which commands call it; None for the workbench itself."""
        return None if panel is self else self.names[self.panels.index(panel)]

    def view_for(self, command: Command) -> Panel:
        """The view that a command is for: by its name or, without one, the first that knows the request, which is added
        if it is missing.

        Raises:
            ValueError: there is none.
        """
        if command.view is not None:
            if command.view not in self.names:
                raise ValueError(f"There is no view {command.view!r}. There are {', '.join(self.names)}.")
            return self.panels[self.names.index(command.view)]
        known = [panel for panel in (self, *self.panels) if command.do == "set" or command.do in panel._methods()]
        if known:
            return known[0]
        kind = next((name for name, (kind, *_) in KINDS.items() if command.do in kind.requests()), None)
        if kind is None:
            raise ValueError(f"No view knows the request {command.do!r}.")
        return self.add(kind)

    def _tell_history(self) -> None:
        self.steps, self.at = self._history.to_json(), self._history.at

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

    @traitlets.observe("notes")
    def _on_notes(self, change: Any) -> None:
        self.prose = tree(whole_characters(visible(self.notes)))

    @traitlets.validate("notes")
    def _valid_notes(self, proposal: Any) -> str:
        if len(proposal["value"]) > LONGEST_NOTES:
            raise traitlets.TraitError(f"Notes have at most {LONGEST_NOTES:,} characters. Put the rest into a report.")
        return proposal["value"]

    @traitlets.validate("split")
    def _valid_split(self, proposal: Any) -> float:
        if not 0.25 <= proposal["value"] <= 0.75:
            raise traitlets.TraitError("The first column has 0.25 to 0.75 of the width.")
        return proposal["value"]

    @traitlets.validate("enlarged")
    def _valid_enlarged(self, proposal: Any) -> int | None:
        at = proposal["value"]
        if at is None or 0 <= at < len(self.panels):
            return at
        raise traitlets.TraitError(f"There is no view {at}: this workbench has {len(self.panels)}.")

    # Requests

    @action("add_view")
    def _on_add_view(self, id: str, kind: Literal["heatmap", "lens", "attention", "circuit", "features"]) -> None:
        """Add a view of the pair."""
        self.add(kind)

    @action("double_view")
    def _on_double_view(self, id: str, at: Index) -> None:
        """Add a view with the same choices beside one, to compare another choice with it."""
        panel = self._at(at)
        kind = _kind_name(panel)
        twin: Any = self.make(kind) if panel.model is self.model else _kind(kind)(panel.model, self._editor)
        asker = twin._asking()
        with asker.defer():
            choose(twin, choices_of(panel))
        asker.refresh()
        self.show([*self.panels[1 : at + 1], twin, *self.panels[at + 1 :]])

    @action("close_view")
    def _on_close_view(self, id: str, at: Index) -> None:
        """Take a view off the workbench."""
        self.remove(self._at(at))

    @action("undo", command=False)
    def _on_undo(self, id: str) -> None:
        """Go back by one step."""
        self.undo()

    @action("redo", command=False)
    def _on_redo(self, id: str) -> None:
        """Go forward by one step."""
        self.redo()

    @action("go_to", command=False)
    def _on_go_to(self, id: str, step: Index) -> None:
        """Show the state after a step."""
        self.go_to(step)

    @action("snapshot")
    def _on_snapshot(self, id: str, name: Name) -> None:
        """Keep what is shown under a name."""
        self._states.pop(name, None)
        self._states[name] = state_of(self)
        self.snapshots = list(self._states)

    @action("restore")
    def _on_restore(self, id: str, name: Name) -> None:
        """Show a kept state again."""
        if name not in self._states:
            raise ValueError(f"There is no snapshot {name!r}. There are {', '.join(self._states) or 'none'}.")
        restore(self, self._states[name])

    @action("forget")
    def _on_forget(self, id: str, name: Name) -> None:
        """Drop a kept state."""
        self._states.pop(name, None)
        self.snapshots = list(self._states)

    @action("script", command=False)
    def _on_script(self, id: str, form: Literal["commands", "interp_backend", "transformerlens"]) -> None:
        """Send what was done as the content of a file: as JSON, or as Python."""
        text = as_file([entry.command for entry in self._history.done]) if form == "commands" else self.code(form)
        self.send(protocol.event(id, "file", format="json" if form == "commands" else "py", text=text))

    @action("save_report", command=False)
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


def _kind_name(panel: Panel) -> str:
    # anywidget gives each widget a class of its own.
    return next((name for name, (kind, *_) in KINDS.items() if isinstance(panel, kind)), "")


def _names(panels: Sequence[Panel]) -> list[str]:
    """The views' names, numbered where there are several of a kind."""
    names: list[str] = []
    for panel in panels:
        kind = _kind_name(panel)
        label = KINDS[kind][1] if kind else panel.title or "Prompts"
        again = sum(name.startswith(label) for name in names)
        names.append(f"{label} {again + 1}" if again else label)
    return names
