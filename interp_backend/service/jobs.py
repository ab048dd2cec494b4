"""One worker a model: a queue of jobs that run one after another, tell how far they are, and can be stopped.

A job is an iterator, made by a method, that yields steps. The worker asks it for one step after another and
looks in between whether the job was cancelled; closing the iterator releases the model and its hooks.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Literal

from ..language.model import LanguageModel

logger = logging.getLogger(__name__)

Status = Literal["queued", "running", "done", "cancelled", "error"]


class Job:
    """Work that was handed to a worker.

    Attributes:
        status: where it is. It ends as done, cancelled or error.
        error: the exception that ended it, if one did.
    """

    def __init__(self, steps: Callable[[], Iterator[Any]], listener: Callable[[Job, Any], None]):
        self.status: Status = "queued"
        self.error: BaseException | None = None
        self._steps = steps
        self._listener = listener
        self._cancelled = threading.Event()
        self._ended = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop. It does before its next step; one that ran to its end stays done."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended and its listener has heard so; False if it took longer."""
        return self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            if not self._cancelled.is_set():
                self._go("running")
                self._drain()
            self._go("cancelled" if self._cancelled.is_set() and self.status != "done" else "done")
        except BaseException as problem:  # a worker outlives whatever a job or its listener raises
            self._fail(problem)
        finally:
            self._ended.set()

    def _fail(self, problem: BaseException) -> None:
        self.error = problem
        try:
            self._go("error")
        except Exception:
            logger.exception("A job failed, and so did the view that was to be told.")

    def _drain(self) -> None:
        steps = self._steps()
        try:
            for step in steps:
                self._listener(self, step)
                if self._cancelled.is_set():
                    return
            self.status = "done"
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                close()

    def _go(self, status: Status) -> None:
        self.status = status
        self._listener(self, None)


class Worker:
    """Runs the jobs of one model, one at a time, on a thread of its own."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._latest: weakref.WeakValueDictionary[Hashable, Job] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(
        self,
        owner: Hashable,
        steps: Callable[[], Iterator[Any]],
        listener: Callable[[Job, Any], None],
    ) -> Job:
        """Queue a job. An earlier job of the same owner is cancelled, whether it waits or runs.

        Args:
            owner: whose job it is; a view has one job at a time.
            steps: called on the worker's thread; gives the iterator.
            listener: called on the worker's thread with the job and a step, or None when its status changed.
        """
        job = Job(steps, listener)
        with self._lock:
            earlier = self._latest.get(owner)
            if earlier is not None:
                earlier.cancel()
            self._latest[owner] = job
            self._queue.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="hookscope worker", daemon=True)
                self._thread.start()
        return job

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            job._run()
            del job  # else the last job, its widget and its result live until the next one


_workers: weakref.WeakKeyDictionary[LanguageModel, Worker] = weakref.WeakKeyDictionary()
_workers_lock = threading.Lock()


def worker_of(model: LanguageModel) -> Worker:
    """The one worker of a model."""
    with _workers_lock:
        if model not in _workers:
            _workers[model] = Worker()
        return _workers[model]
