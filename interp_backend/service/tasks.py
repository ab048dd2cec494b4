"""Work for a model: one `Task` for each request, and one worker for each model, which runs its tasks.

A task goes from queued to running to done, cancelled or error, and never back. The worker takes one step after another
from the task's generator. The engine checks between two blocks whether the task was cancelled (`engine/watch.py`), and
closing the generator releases the model and its hooks.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import Any, Literal

from ..engine.watch import Cancelled, run_watched
from ..language.model import LanguageModel
from ..results.step import Step

logger = logging.getLogger(__name__)

Status = Literal["queued", "running", "done", "cancelled", "error"]
Listener = Callable[["Task", "Step[Any] | None"], None]
LINGER = 2.0  # seconds after which an idle worker gives up its thread


class Task:
    """One request, with its status and its result.

    Attributes:
        id: the id of the request.
        call: an object with `steps()`, such as a `Call` of a method.
        priority: tasks with a lower number run first, and the newest first among equals.
        status: queued, running, done, cancelled or error.
        progress: the last step.
        result: the last step's result.
        error: the exception that ended the task, if one did.
    """

    def __init__(self, id: str, call: Any, listener: Listener, priority: int = 1):
        self.id, self.call, self.priority = id, call, priority
        self.status: Status = "queued"
        self.progress: Step[Any] | None = None
        self.error: BaseException | None = None
        self.worker: Worker | None = None
        self._listener: Listener | None = listener
        self._cancelled = False
        self._over = False
        # A lock in C, because Ctrl-C inside threading.Event would leave the event's own lock held forever.
        self._gate = threading.Lock()
        self._gate.acquire()

    @property
    def result(self) -> Any:
        return None if self.progress is None else self.progress.result

    @property
    def over(self) -> bool:
        return self._over

    def cancel(self) -> None:
        """Ask the task to stop. A queued task ends at once, and a running task at the end of the current block."""
        self._cancelled = True
        if self.worker is not None:
            self.worker.drop(self)

    def is_cancelled(self) -> bool:
        return self._cancelled

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the task is over and its listener has been told; False after `timeout` seconds.

        Raises:
            RuntimeError: the caller is on the worker that has to run the task, in an observer or a metric for example.
        """
        if self.worker is not None and self.worker.is_this_thread() and not self.over:
            raise RuntimeError(
                "wait() was called from code that runs as part of this model's work (an observer or a metric), and "
                "would wait for itself. Call it from a cell, or use the result that the observer was given."
            )
        try:
            if not self.over:
                self._gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        finally:
            self._open_gate()  # for others who wait
        return self.over

    def run(self) -> None:
        """Run to the end, on the worker's thread. An error of the call or of the listener ends only this task."""
        try:
            self.status = "running"
            self._tell(None)
            self._drain()
            self.finish("cancelled" if self.is_cancelled() and self.status != "done" else "done")
        except Cancelled:
            self.finish("cancelled")
        except BaseException as problem:
            self.error = problem
            self.finish("error")

    def _drain(self) -> None:
        steps: Iterator[Step[Any]] = self.call.steps()
        try:
            while not self.is_cancelled():
                step = run_watched(lambda: next(steps, None), cancelled=self.is_cancelled)
                if step is None:
                    self.status = "done"
                    return
                self.progress = step
                self._tell(step)
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                close()

    def finish(self, status: Status) -> None:
        """End the task, and tell its listener."""
        try:
            try:
                self.status = status
                self._tell(None)
            except BaseException as problem:
                self.status, self.error = "error", self.error or problem
                logger.exception("A listener failed when its task ended.")
            finally:
                self._end()
        finally:
            self._end()  # an interrupt may have cut the first call short

    def _end(self) -> None:
        """Let everybody go on who waits. It may be called again at any time."""
        self._listener = None  # so that the task does not keep the view alive
        self._over = True
        self._open_gate()

    def _open_gate(self) -> None:
        if self._over:
            with suppress(RuntimeError):  # it is open
                self._gate.release()

    def _tell(self, step: Step[Any] | None) -> None:
        if self._listener is not None:
            self._listener(self, step)

    def __lt__(self, other: Task) -> bool:
        return self.priority < other.priority


class Worker:
    """Runs the tasks of one model, one at a time, on a thread that ends when the queue stays empty."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Task]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)  # entered by the worker alone: Ctrl-C could leave it locked
        self._thread: threading.Thread | None = None
        self._running: Task | None = None
        self._closed = False

    def submit(self, task: Task) -> Task:
        """Queue a task. Once the worker was stopped, the task ends at once with an error."""
        with self._lock, nullcontext():  # as for the locks of `LanguageModel`
            task.worker = self
            if not self._closed:
                heapq.heappush(self._waiting, (task.priority, -next(self._order), task))
                if self._thread is None:
                    self._thread = threading.Thread(target=_work, args=(self,), name="hookscope worker", daemon=True)
                    self._thread.start()
                self._changed.notify()
                return task
        task.error = RuntimeError("This was not run, because Python is exiting and has stopped the model's worker.")
        task.finish("error")
        return task

    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def drop(self, task: Task) -> None:
        """End a task that is still queued; a running task is not affected."""
        with self._lock, nullcontext():
            if task is self._running or task.over:
                return
            self._waiting = [entry for entry in self._waiting if entry[2] is not task]
            heapq.heapify(self._waiting)
        task.finish("cancelled")

    def stop(self) -> None:
        """Cancel all tasks, and wait until the running pass is over."""
        with self._lock, nullcontext():
            self._closed = True
            tasks = [task for *_, task in self._waiting] + ([self._running] if self._running else [])
            thread = self._thread
            self._changed.notify()
        for task in tasks:
            task.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def next(self) -> Task | None:
        """The next task; None if the queue stayed empty for `LINGER` seconds, and then the thread ends."""
        with self._changed:
            self._running = None
            if not self._waiting and not self._closed:
                self._changed.wait(LINGER)
            if not self._waiting or self._closed:
                self._thread = None
                return None
            self._running = heapq.heappop(self._waiting)[2]
            return self._running


def _work(worker: Worker) -> None:
    while (task := worker.next()) is not None:
        task.run()
        del task  # otherwise the last task and its result would live until the next task


_workers: weakref.WeakKeyDictionary[LanguageModel, Worker] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def worker_of(model: LanguageModel) -> Worker:
    """The one worker of a model."""
    with _lock:
        if model not in _workers:
            _workers[model] = Worker()
        return _workers[model]


@atexit.register
def _stop_all() -> None:
    """Stop all workers at exit: a thread that is inside torch when the interpreter shuts down aborts the process."""
    with _lock:
        workers = list(_workers.values())
    for worker in workers:
        worker.stop()
