"""Requests the results that a panel should show from a model.

The asker is level-triggered: after any change it gets from the panel the calls whose results should be shown now, and
makes a task only for a call that differs from the last one."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import traitlets

from interp_backend.language.model import LanguageModel
from interp_backend.results.step import Step
from interp_backend.service import protocol
from interp_backend.service.tasks import Task, worker_of

from .panel import Panel, progress, sentence

SECONDS_BETWEEN = 0.04  # seconds between two progress updates: a view draws no faster, and a slow host falls behind
KEPT_RESULTS = 8  # how many finished results a panel keeps, so that returning to their settings is instant


@dataclass
class Want:
    """An output that should be shown, and the call that computes it.

    Attributes:
        call: compared with the last call; `steps()` runs it.
        show: takes each step that has a result, with the id of its task; for a cached result, its last step.
        end: called with the way the task ended: done, cancelled or error.
        priority: of the task; see `Task`.
        keep: keep the result, so that returning to its settings is instant.
        aside: the work is too small to change the panel's status.
    """

    call: Any
    show: Callable[[str, Step[Any]], None]
    end: Callable[[str], None] = lambda status: None
    priority: int = 1
    keep: bool = False
    aside: bool = False


@dataclass(eq=False)
class Once:
    """Work that never equals other work, so that it always becomes a new task."""

    steps: Callable[[], Iterator[Step[Any]]]


@dataclass(eq=False)
class _Asked:
    """The last call for one output. `task` is None for a cached result."""

    want: Want
    id: str
    task: Task | None
    last: Step[Any] | None = None

    def show(self) -> None:
        """Show the last step, if it has a result."""
        if self.last is not None and self.last.result is not None:
            self.want.show(self.id, self.last)

    @property
    def over(self) -> bool:
        return self.task is None or self.task.over

    @property
    def stopped(self) -> bool:
        """Whether the task ended, or will end, without its result."""
        task = self.task
        return task is not None and task.status != "done" and (task.is_cancelled() or task.status == "error")

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


@dataclass(eq=False)
class Asker:
    """The tasks of one panel on one model: at most one for each output of the panel.

    Args:
        panel: the panel, which is referred to weakly.
        model: the model.
        main: the output that the panel's trait `asked` describes.
    """

    panel: Panel
    model: LanguageModel
    main: str = "result"
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _kept: list[tuple[Any, str, Step[Any]]] = field(default_factory=list)
    _details: dict[str, Want] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._panel = weakref.ref(self.panel)
        del self.panel
        self._lock = threading.RLock()
        self._refreshes = 0  # how many times wants were computed, to notice that others are newer
        self._adopting: Task | None = None  # ends when the panel's traits describe the result that it was given
        self._refused = False  # whether the panel's traits describe no call that could be made
        self._failed: tuple[_Asked, Any] | None = None  # the last call that failed, and its error
        self._counter = itertools.count(1)
        self._last_told = 0.0
        self._deferring = threading.local()  # by thread: whether `refresh` waits until several traits have changed

    # For panels

    def refresh(
        self, id: str | None = None, *, again: Sequence[str] = (), unseen: bool = False, of: str = ""
    ) -> Task | None:
        """Request each output whose call has changed. Returns the new task, if there is one.

        Args:
            id: the id of the request that caused the change; by default a new id. A request also asks again if its
                output was cancelled or failed.
            again: outputs to ask for although nothing changed.
            unseen: ask although no page shows the panel.
            of: the output that the request is about, and whose task is returned; by default the main one.
        """
        panel = self._panel()
        if panel is None or panel._closed or self.deferring:
            return None
        if not (unseen or panel.on_a_page):
            return None  # `refresh` is called again once a page shows the panel
        old: list[_Asked] = []
        new: list[_Asked] = []
        while True:
            with self._lock:
                self._refreshes = latest = self._refreshes + 1
            wants, refused = {}, None
            try:
                wants = {**panel.wants(), **self._details}
            except (ValueError, traitlets.TraitError) as problem:
                refused = problem
            with self._lock:
                if panel._closed or self._adopting:
                    return None
                if latest != self._refreshes:  # a change in another thread may be missing from these wants
                    continue
                self._refused = refused is not None
                if refused is not None:
                    break
                dropped = [name for name in self._asked if name not in wants]
                old += [self._asked.pop(name) for name in dropped]
                for name, want in wants.items():
                    asked = self._asked.get(name)
                    stopped = id is not None and name == (of or self.main) and asked is not None and asked.stopped
                    if asked is not None and name not in again and not stopped and asked.want.call == want.call:
                        asked.want = want
                        continue
                    old += [asked] if asked is not None else []
                    new.append(self._ask(name, want, id or self.new_id(), again=name in again))
            break
        if refused is not None:
            panel.fail(sentence(refused), getattr(refused, "field", None), id or "")
            return None
        if id is not None:
            self._settle_error(panel)  # a valid request clears the error of the last one
        self._start(panel, old, new)
        asked = self._asked.get(of or self.main)
        return asked.task if asked is not None and asked in new else None

    def again(self, *names: str, id: str | None = None) -> Task | None:
        """Request these outputs even if nothing has changed and no page shows the panel."""
        return self.refresh(id, again=names, unseen=True, of=names[0])

    def detail(self, name: str, id: str, call: Any, show: Callable[[Any], None], **options: Any) -> Task | None:
        """Request a detail of the displayed result. It stays requested until it is dropped or replaced.

        Args:
            call, options: as in `Want`.
            show: takes each result of the call.
        """
        self._details[name] = Want(call, lambda _, step: show(step.result), **{"priority": 2, **options})
        return self.again(name, id=id)

    @contextmanager
    def adopt(self, given: Want, id: str, result: Any) -> Iterator[None]:
        """Accept a result that the panel was given, and show it in place of what was asked for before.

        The block sets the traits to those that describe the result. The work on the last call is cancelled first, so
        that none of its steps can replace the result, and nothing is asked for until the block ends. Until then,
        `wait()` on other threads waits.

        Args:
            given: shows the result; its call is the one that the traits describe in the end.
        """
        panel = self._panel()
        assert panel is not None
        ours, adopting = _Asked(given, id, None, Step(1, 1, result=result)), Task(id, None, lambda *_: None)
        with self._lock:
            old, outer = self._asked.get(self.main), self._adopting
            self._asked[self.main], self._adopting = ours, adopting
        try:
            if old is not None:
                old.cancel()
            with self.defer():
                ours.show()
                yield
                ours.show()  # a step of the old work may have been on its way
                given.call = panel.wants()[self.main].call
            panel.asked = {"id": id, **given.call.to_json()}
        finally:
            with self._lock:
                self._adopting = outer
                self._refused = False
            adopting.finish("done")
        self._settle(panel)

    def stopped(self, name: str) -> bool:
        """Whether the work on an output ended, or will end, without its result."""
        with self._lock:
            asked = self._asked.get(name)
            return asked is not None and asked.stopped

    @property
    def asked_now(self) -> list[_Asked]:
        """What is asked for, or was answered, of all outputs."""
        with self._lock:
            return [*self._asked.values()]

    @property
    def main_asked(self) -> _Asked | None:
        with self._lock:
            return self._asked.get(self.main)

    @property
    def adopting(self) -> bool:
        """Whether the panel's traits are being set to those of a result that it was given."""
        return self._adopting is not None

    @property
    def deferring(self) -> bool:
        """Whether this thread is in a `with asker.defer():` block."""
        return getattr(self._deferring, "on", False)

    def drop(self, *names: str) -> None:
        """Stop the work on these details, by default on all, and forget them."""
        with self._lock:
            dropped = [name for name in names or [*self._details] if self._details.pop(name, None)]
            old = [self._asked.pop(name) for name in dropped if name in self._asked]
        for asked in old:
            asked.cancel()

    def leave(self) -> None:
        """Treat the current calls as requested already, so that resetting traits after a failure requests nothing."""
        panel = self._panel()
        with self._lock:
            asked = self._asked.get(self.main)
            if panel is not None and asked is not None:
                asked.want = panel.wants()[self.main]

    def new_id(self) -> str:
        """A new id for work that Python requests, and not a view."""
        return f"py-{next(self._counter)}"

    @contextmanager
    def defer(self) -> Iterator[None]:
        """In a `with asker.defer():` block, `refresh` does nothing, so that several traits can change together."""
        outer = self.deferring
        self._deferring.on = True
        try:
            yield
        finally:
            self._deferring.on = outer

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every requested call is answered; False as in `Panel.wait`."""
        give_up = None if timeout is None else time.monotonic() + timeout
        self.refresh(unseen=True)
        try:
            while (task := self._unfinished()) is not None:
                if not task.wait(None if give_up is None else max(0.0, give_up - time.monotonic())):
                    return False
        except KeyboardInterrupt:
            self.cancel()
            raise
        return not self._refused

    def cancel(self) -> None:
        """Cancel all running and queued work; cells that have been computed are kept."""
        with self._lock:
            every = [*self._asked.values()]
        for asked in every:
            asked.cancel()
        panel = self._panel()
        if panel is not None:
            self._settle(panel)

    def _unfinished(self) -> Task | None:
        with self._lock:
            if self._adopting is not None and not self.deferring:
                return self._adopting
            return next((asked.task for asked in self._asked.values() if asked.task and not asked.over), None)

    # Tasks

    def _ask(self, name: str, want: Want, id: str, *, again: bool = False) -> _Asked:
        if again and name == self.main:
            self._kept.clear()  # a user who runs the same call again has changed something outside it
        kept = None if again else next((one for one in self._kept if one[0] == want.call), None)
        if want.keep and kept is not None:
            asked = _Asked(want, kept[1], None, kept[2])
        else:
            task = Task(id, want.call, lambda task, step: self._hear(name, task, step), want.priority)
            asked = _Asked(want, id, task)
        self._asked[name] = asked
        return asked

    def _start(self, panel: Panel, old: list[_Asked], new: list[_Asked]) -> None:
        """Cancel old tasks and submit new ones. Call this without the lock, because observers may call `refresh`."""
        for asked in old:
            asked.cancel()
        if old or new:
            self._settle_error(panel)
        main = self._asked.get(self.main)
        if main is not None and main in new:
            panel.asked = {"id": main.id, **main.want.call.to_json()}
        for asked in new:
            if panel._recorder is not None:
                panel._recorder.note(asked)
            if asked.task is not None:
                worker_of(self.model).submit(asked.task)
            else:
                asked.show()
                asked.want.end("done")
        self._settle(panel)

    def _hear(self, name: str, task: Task, step: Step[Any] | None) -> None:
        panel = self._panel()
        if panel is None or panel._closed:
            return
        with self._lock:
            asked = self._asked.get(name)
            if asked is not None and asked.task is not task:
                asked = None
            if asked is not None and step is not None:
                asked.last = step
        if asked is None:  # another call has replaced this one
            if step is None and task.status not in ("queued", "running"):
                panel.send(protocol.event(task.id, "cancelled"))
            return
        if step is not None:
            asked.show()
            self._tell_progress(panel, step)
        elif task.status not in ("queued", "running"):
            self._end(panel, asked, task)
        self._settle(panel)
        with self._lock:
            now = self._asked.get(name)
        if now is not None and now is not asked:
            now.show()  # another result replaced this one while the step was shown

    def _end(self, panel: Panel, asked: _Asked, task: Task) -> None:
        asked.want.end(task.status)
        with self._lock:
            main = self._asked.get(self.main)
        if main is not None and main.last is not None:
            panel.progress = progress(main.last.done, main.last.total, within=main.last.within)
        if task.status == "error":
            panel.fail_of(task.error, task.id)
            with self._lock:
                self._failed = asked, panel.error
            return
        if task.status == "done" and asked.want.keep and task.progress is not None:
            with self._lock:
                others = [one for one in self._kept if one[0] != asked.want.call]
                self._kept = [*others, (asked.want.call, task.id, task.progress)][-KEPT_RESULTS:]
        panel.send(protocol.event(task.id, "result" if task.status == "done" else "cancelled"))

    def _tell_progress(self, panel: Panel, step: Step[Any]) -> None:
        now = time.perf_counter()
        ends = step.done in (0, step.total) and not step.within
        if now - self._last_told >= SECONDS_BETWEEN or ends:
            self._last_told = now
            panel.progress = progress(step.done, step.total, step.seconds_left, step.within)

    def _settle_error(self, panel: Panel) -> None:
        """Set the panel's error to that of the last call that failed, as long as the panel wants it; else to none. The
        next request clears the error of a detail."""
        with self._lock:
            wanted = [asked for name, asked in self._asked.items() if name not in self._details]
            if self._failed is not None and self._failed[0] not in wanted:
                self._failed = None
            failed = self._failed
        panel.error = None if failed is None else failed[1]

    def _settle(self, panel: Panel) -> None:
        """Set the panel's status to that of its tasks; repeat if their status changed meanwhile."""
        while panel.status != (status := self._status()):
            panel.status = status

    def _status(self) -> str:
        with self._lock:
            tasks = [asked.task for asked in self._asked.values() if asked.task is not None and not asked.want.aside]
            main = self._asked.get(self.main)
        under_way = [task.status for task in tasks if not task.is_cancelled() and task.status in ("queued", "running")]
        if under_way:
            return "running" if "running" in under_way else "queued"
        if main is None:
            return "idle"
        if main.task is None:
            return "done"
        stopped = main.task.is_cancelled() and main.task.status in ("queued", "running")
        return "cancelled" if stopped else main.task.status


def follow(panel: Panel, editor: Any) -> None:
    """Keep a panel's `pair` equal to an editor's pair. The editor refers to the panel weakly."""
    found = weakref.ref(panel)

    def take(change: Any) -> None:
        follower = found()
        if follower is None or follower._closed:
            editor.unobserve(take, "pair")
        else:
            follower.pair = change["new"]  # pyright: ignore[reportAttributeAccessIssue]

    editor.observe(take, "pair")
