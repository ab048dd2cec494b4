"""What all widgets share: state of the running job, requests in, results out, errors."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import anywidget
import traitlets

from interp_backend.language.loading import load_model
from interp_backend.language.model import LanguageModel
from interp_backend.service import protocol
from interp_backend.service.jobs import Job, worker_of
from interp_backend.service.protocol import BadRequest, Request

# The version of the traits below and of their like in every widget; the same as SCHEMA in js/lib/schema.ts. A view that
# finds another one in a saved notebook says to run the cell again.
SCHEMA = 1
# State of the kernel's side that a page has no use for.
_NOT_ON_A_PAGE = {"layout", "tabbable", "tooltip", "comm"}


class View(anywidget.AnyWidget):
    """What every view has: requests that are checked, errors, a selection. It needs no model."""

    _closed = False

    # The only traits that a view may set; everything else comes as a request, or not at all.
    set_by_view: ClassVar[frozenset[str]] = frozenset({"selection"})

    schema = traitlets.Int(SCHEMA, read_only=True, help="The version of these traits.").tag(sync=True)
    info = traitlets.Dict(help="What the view's menus offer; constant.").tag(sync=True)
    error = traitlets.Instance(
        dict, allow_none=True, help="`field`, `message` and `traceback` of the last error; two of them may be None."
    ).tag(sync=True)
    selection = traitlets.Instance(dict, allow_none=True, help="What is pinned, by axis, or None.").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def close(self) -> None:
        """Close the widget."""
        self._closed = True
        super().close()

    def page_state(self) -> dict[str, Any]:
        """The traits as a saved page gets them, where no kernel can be asked for more."""
        state = self.get_state()
        return {name: value for name, value in state.items() if name[0] != "_" and name not in _NOT_ON_A_PAGE}

    # What comes from a view

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what a view has set, if it may set it and it is valid; say so in the widget if not."""
        for name, value in sync_data.items():
            if name not in self.set_by_view:
                self._fail(f"{name} can't be set from a view.", name)
                continue
            try:
                super().set_state({name: value})
            except (traitlets.TraitError, ValueError) as problem:
                self._fail(str(problem), name)
                self.send_state(name)  # other views may have heard of what is refused

    def _on_message(self, _: Any, message: Any, __: Any) -> None:
        try:
            request = protocol.parse(message)
            self.send(protocol.event(request.id, "accepted"))
            self._answer(request)
        except BadRequest as problem:
            self._fail(str(problem), problem.field, problem.id)
        except Exception as problem:  # it would end in the kernel's log, where nobody looks
            self._fail(_sentence(problem), None, message["id"])

    def _answer(self, request: Request) -> None:
        """Do what a view asks for. Widgets add their own methods."""
        raise BadRequest(f"This widget has no method {request.method!r}.", "method", request.id)

    def _fail(self, message: str, field: str | None = None, id: str = "", traceback: str | None = None) -> None:
        self.error = {"field": field, "message": message, "traceback": traceback}
        self.send(protocol.event(id, "error", message=message, field=field))


class HookscopeWidget(View):
    """A view on one model. Work runs on the model's worker thread; the cell that asks for it returns at once."""

    _shown_status = "idle"  # of the work whose result is shown
    _job: Job | None = None  # also for a widget whose __init__ failed, which is closed all the same
    _aside: Job | None = None  # smaller work beside it, which leaves what is shown as it is
    _lasting: Job | None = None  # the same, of what does not depend on what is shown

    status = traitlets.Unicode("idle", help="idle, queued, running, done, cancelled or error.").tag(sync=True)
    progress = traitlets.Dict(help="Cells `done` of `total`, and `seconds_left` or None.").tag(sync=True)

    def __init__(self, model: Any, **traits: Any) -> None:
        self.model: LanguageModel = load_model(model)
        # Of jobs: a widget has one of each at a time.
        self._owner, self._aside_owner, self._lasting_owner, self._look_owner = object(), object(), object(), object()
        self._current = object()  # changes with every job; what an older one still says is stale
        self._hearing = threading.RLock()
        self._counter = itertools.count(1)
        super().__init__(progress=progress(0, 0), **traits)

    # What users call

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the running work has ended; False if that takes longer than `timeout` seconds.

        Interrupting the wait cancels the work.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        try:
            for job in filter(None, (self._job, self._aside, self._lasting)):
                if not job.wait(None if give_up is None else max(0.0, give_up - time.monotonic())):
                    return False
            return True
        except KeyboardInterrupt:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Stop the running work; what has been computed stays."""
        for job in filter(None, (self._job, self._aside, self._lasting)):
            job.cancel()

    def close(self) -> None:
        """Close the widget, and stop what it was running."""
        self.cancel()
        super().close()

    def _answer(self, request: Request) -> None:
        if request.method != "cancel":
            super()._answer(request)
            return
        self.cancel()
        self.send(protocol.event(request.id, "result"))

    # What runs

    def _new_id(self) -> str:
        """An id for work that Python itself asks for."""
        return f"py-{next(self._counter)}"

    def _submit(
        self,
        id: str,
        steps: Callable[[], Iterator[Any]],
        on_step: Callable[[Any], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Queue work in place of what this widget was doing. Its steps and its end arrive on the worker's thread."""

        if self._closed:
            return
        self._cancel_aside()
        current = object()
        with self._hearing:  # not between a step of the earlier work and the question whether it is still wanted
            self._current = current

        def heard(job: Job, step: Any) -> None:
            with self._hearing:
                if self._current is not current:
                    return
                if step is not None:
                    on_step(step)
                else:
                    self._on_status(job, id, on_end)

        self.error = None
        self.status = "queued"
        self._job = worker_of(self.model).submit(self._owner, steps, heard)

    def _submit_aside(
        self, id: str, steps: Callable[[], Iterator[Any]], show: Callable[[Any], None], *, lasting: bool = False
    ) -> None:
        """Queue work beside what this widget shows, and show its last step once all of it is done.

        Args:
            lasting: it is about the model, whatever is shown; else it ends when something else is shown or asked aside.
        """
        if self._closed:
            return
        current, before, last = self._current, [], []

        def heard(job: Job, step: Any) -> None:
            if self._current is not current and not lasting:  # what it is about is no longer shown
                if step is None and job.status not in ("queued", "running"):
                    self.send(protocol.event(id, "cancelled"))
                return
            if step is not None:
                before[:] = before or [self.progress]  # how far what is shown came
                last[:] = [step]
                self.progress = progress(step.done, step.total, step.seconds_left)
                return
            if job.status == "error":
                self._fail_of(job, id)
            elif job.status == "done" and last:
                show(last[0])
            if job.status in ("done", "cancelled"):
                self.send(protocol.event(id, "result" if job.status == "done" else "cancelled"))
            over = job.status not in ("queued", "running")
            if over and before:
                self.progress = before[0]
            self.status = self._shown_status if over else job.status

        self.error = None
        job = worker_of(self.model).submit(self._lasting_owner if lasting else self._aside_owner, steps, heard)
        if lasting:
            self._lasting = job
        else:
            self._aside = job

    def _look_up(self, id: str, work: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Ask the model something small for a view, aside from status and result. A newer one replaces it."""
        if self._closed:
            return
        current = self._current

        def heard(job: Job, answer: Any) -> None:
            if answer is not None and self._current is current:
                show(answer)
            elif answer is None and job.status == "error":
                self._fail_of(job, id)
            elif answer is None and job.status in ("done", "cancelled"):
                self.send(protocol.event(id, "result" if job.status == "done" else "cancelled"))

        worker_of(self.model).submit(self._look_owner, lambda: iter([work()]), heard)

    def _fail_of(self, job: Job, id: str) -> None:
        self._fail(_sentence(job.error), None, id, getattr(job.error, "traceback", None))

    def _cancel_aside(self) -> None:
        if self._aside is not None:
            self._aside.cancel()

    def _on_status(self, job: Job, id: str, on_end: Callable[[], None]) -> None:
        self._shown_status = job.status
        if job.status == "error":
            self._fail_of(job, id)
        elif job.status in ("done", "cancelled"):
            if job.status == "cancelled":
                self.status = job.status  # the answer to an impatient click goes ahead of the data
            on_end()
            self.send(protocol.event(id, "result" if job.status == "done" else "cancelled"))
        self.status = job.status


def progress(done: int, total: int, seconds_left: float | None = None) -> dict[str, Any]:
    return {"done": done, "total": total, "seconds_left": seconds_left}


def _sentence(problem: BaseException | None) -> str:
    """An exception for a person: its own words where it was written for one, else with its name."""
    if isinstance(problem, (ValueError, TypeError, traitlets.TraitError)) and str(problem):
        return str(problem)
    return f"{type(problem).__name__}: {problem}"
