"""What was done in a workbench: commands with the state after each, to undo, replay and print them."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interp_backend.common.method import Call
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.envelope import BaseResult

from .commands import Command, calls_of, words_of
from .map_call import MapCall
from .panel import Panel
from .states import State, state_of

if TYPE_CHECKING:
    from .workbench import Workbench

WITH_RESULTS = 20  # steps whose results are kept
TOGETHER = 2.0  # seconds within which changes of one choice, such as while typing or dragging, are one step


@dataclass(frozen=True, eq=False)
class Asked:
    """Something that a view asked for.

    Attributes:
        call: the call as it was then: another metric of the same runs changes it later.
        task: what the asker knows of it, with its last step; None once that was let go.
    """

    call: Any
    task: Any

    @property
    def stopped(self) -> bool:
        """Whether it failed, or was given up for something newer."""
        return self.task is not None and self.task.stopped and not self.done

    @property
    def done(self) -> bool:
        """Whether the result is whole."""
        return self.task is not None and (self.task.task is None or self.task.task.status == "done")

    @property
    def result(self) -> Any:
        """The result so far; of a map with several metrics, by the chosen one."""
        found = None if self.task is None or self.task.last is None else self.task.last.result
        if isinstance(found, EffectMap) and isinstance(self.call, MapCall) and self.call.metric in found.measures:
            return found.by_metric(self.call.metric)
        return found


@dataclass(eq=False)
class Entry:
    """A command, and the state after it.

    Attributes:
        asked: what the views asked for because of it.
    """

    command: Command
    words: str
    time: float = field(default_factory=time.time)
    state: State = field(init=False)
    asked: list[Asked] = field(default_factory=list)

    def results(self) -> list[Any]:
        """What the command has computed so far."""
        return [asked.result for asked in self.asked if asked.result is not None]

    def runs(self) -> Iterator[tuple[Call, BaseResult | None]]:
        """The calls that the command led to, each with its result if that is known."""
        for asked in self.asked:
            if asked.stopped:
                continue
            calls, found = calls_of(asked.call), asked.result
            several = found if isinstance(found, tuple) else (found,)
            known = asked.done and len(several) == len(calls) and all(isinstance(one, BaseResult) for one in several)
            yield from zip(calls, several if known else [None] * len(calls))


class History:
    """The entries of one workbench, of which those up to `at` describe what it shows.

    Args:
        bench: the workbench, which is referred to weakly.
    """

    def __init__(self, bench: Workbench):
        self._bench = weakref.ref(bench)
        self._lock = threading.RLock()
        self._replaying = False  # each command is an entry of its own, also one that changes nothing
        self._silent = False  # what is asked for follows from no command
        self.entries: list[Entry] = []
        self.at = -1

    @property
    def done(self) -> list[Entry]:
        """The entries that were not undone."""
        return self.entries[: self.at + 1]

    @contextmanager
    def recording(self, panel: Panel, do: str, params: dict[str, Any]) -> Iterator[None]:
        """Note a command while it is carried out, and forget it if it raises an error."""
        bench = self._bench()
        if bench is None or not self._counts(bench, panel, do, params):
            yield
            return
        command = Command(view=bench.name_of(panel), do=do, params=params)
        self.update()
        before = self._before(panel, command)
        with self._lock:
            entries, at = self.entries, self.at
            last = self.done[-1]
            goes_on = self._goes_on(last, command)
            entry = Entry(command, "")
            entry.asked = list(last.asked) if goes_on else []
            self.entries = [*self.done[: -1 if goes_on else None], entry]
            self.at = len(self.entries) - 1
        try:
            yield
        except BaseException:
            with self._lock:
                self.entries, self.at = entries, at
            raise
        if not entry.asked and (do != "set" or "selection" in params):
            self._note_again(panel)
        entry.words, entry.state = words_of(command, before), state_of(bench)
        for old in self.entries[:-WITH_RESULTS]:
            old.asked = [Asked(asked.call, None) for asked in old.asked if not asked.stopped]
        bench._tell_history()

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """In a `with` block, each command is an entry of its own."""
        before, self._replaying = self._replaying, True
        try:
            yield
        finally:
            self._replaying = before

    @contextmanager
    def silent(self) -> Iterator[None]:
        """In a `with` block, what views ask for is not noted."""
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def update(self) -> None:
        """Let the state after the last command be the present one, with what Python changed since."""
        bench = self._bench()
        if bench is not None and self.entries:
            self.entries[self.at].state = state_of(bench)

    def begin(self, command: Command) -> None:
        """Note the first command, which opens the workbench."""
        self.entries, self.at = [Entry(command, "opened")], 0

    def note(self, asked: Any) -> None:
        """Note something that a view asks for, as a consequence of the last command."""
        with self._lock:
            if self.entries and not self._silent:
                self.entries[self.at].asked.append(Asked(asked.want.call, asked))

    def _note_again(self, panel: Panel) -> None:
        """Note what a view shows anyway, for a command that asks for nothing new, as for another metric of its runs."""
        main = panel._asker and panel._asker.main_asked
        if main is not None:
            self.note(main)

    def to_json(self) -> list[dict[str, Any]]:
        """The entries for a view."""
        return [
            {"view": entry.command.view or "", "words": entry.words, "time": round(entry.time)}
            for entry in self.entries
        ]

    def _counts(self, bench: Workbench, panel: Panel, do: str, params: dict[str, Any]) -> bool:
        if not self.entries or (panel is not bench and panel not in bench.panels):
            return False
        if do == "set" and set(params) == {"notes"}:
            return False  # nothing that is undone may take written text away
        if do == "set" and set(params) == {"selection"}:
            # A click pins its place in all views, and the workbench's own pin stands for all of them.
            return panel is bench and (self._replaying or params["selection"] != bench.selection)
        return True

    def _goes_on(self, last: Entry, command: Command) -> bool:
        """Whether a command changes the choice of the last one once more, as while typing or dragging."""
        if self._replaying or command.do not in ("set", "edit") or "selection" in command.params:
            return False
        return _same_kind(last.command, command) and time.time() - last.time < TOGETHER

    def _before(self, panel: Panel, command: Command) -> dict[str, Any]:
        """What the parameters of a command are before it: the view's choices, and what was said last."""
        same = (one.command for one in reversed(self.done) if _same_kind(one.command, command))
        said = next(same, command.model_copy(update={"params": {}})).params
        shown = panel.get_state([name for name in command.params if panel.has_trait(name)])
        asked: Any = panel.asked
        return {**said, **shown, "method": asked and asked["method"]}


def _same_kind(a: Command, b: Command) -> bool:
    return (a.view, a.do) == (b.view, b.do) and (a.do != "set" or set(a.params) == set(b.params))
