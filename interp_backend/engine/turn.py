"""A turn on a model: exclusive use of it, although the user's own cells may run it at the same time.

Hooks are global state of a model, and a widget patches on its own thread while the next cell already runs. A turn keeps
the two apart in three ways. The engine's hooks do nothing in other threads. A run that another thread begins waits
until the engine's pass is over, so that the last activations that its hooks see are its own. A pass during which other
code's hooks were added or removed is discarded and run again.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch.overrides import _pop_mode

from ..language.model import LanguageModel
from .own import Own, remove_own
from .watch import check

PATIENCE = 30.0  # seconds to wait for another thread's run with hooks
SETTLING = 0.5  # seconds to wait at the start for hooks that are about to be removed
T = TypeVar("T")


class Turn:
    """`with Turn(model) as turn:` holds the model's lock; `turn.run(pass_)` runs one pass. A thread may begin one turn
    inside another.

    Attributes:
        model: the model that is run.
        users_hooks: names of hook points and modules that carried the user's own hooks when the turn began. Those
            hooks act on every run, as they would on the user's own runs.
        memo: results that several parts of one turn need, such as the token ids of a prompt.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        self.memo: dict[Any, Any] = {}

    def __enter__(self) -> Turn:
        try:
            self._hold = _held_here(self.model)
            if self._hold is None:
                self._hold = _holding(self.model.lock)
                next(self._hold)
            self._claim()
            self._begin()
            return self
        except BaseException:  # also on an interrupt, because a model that stays locked blocks every widget
            self._hold = None
            raise

    def __exit__(self, *_: object) -> None:
        self._hold = None

    def _claim(self) -> None:
        """Let further turns of this thread share the lock."""
        self.model.held = weakref.ref(self._hold), threading.current_thread()

    def _begin(self) -> None:
        raw = self.model.raw
        self._modules, self._points = [*raw.modules()], [*raw.hook_dict.values()]  # faster than looking it up each time
        remove_own(self._modules)  # left behind by an interrupted turn
        give_up = time.monotonic() + SETTLING
        while self.model.hook_handles(temporary=True) and time.monotonic() < give_up:
            time.sleep(0.005)  # perhaps another thread's run with hooks, which is over soon
        self._hooks = self._hooks_now()
        self.users_hooks = self.model.users_hooks()

    def _hooks_now(self) -> set[int]:
        """All hooks on hook points, told apart by identity."""
        return {id(handle) for point in self._points for handle in point.fwd_hooks}

    def run(self, pass_: Callable[[], T]) -> T:
        """Run one pass while no other thread's hooks act on the model, and again if some did.

        Raises:
            Cancelled: the driver asked to stop; this is checked before each block of the model.
            RuntimeError: since the turn began, user hooks were removed, or were added and stayed.
        """
        self._claim()  # the steps may have moved to another thread
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            outcome = self._attempt(pass_)
            if outcome is not None:
                return outcome[0]
            if not self._hooks <= self._hooks_now():
                break
            time.sleep(0.005)  # another thread's run with hooks is under way, and its hooks are removed when it is over
        raise RuntimeError(
            "Hooks were added to the model, or removed from it, while it was being run. Run this again now."
        )

    def _attempt(self, pass_: Callable[[], T]) -> tuple[T] | None:
        """The result of one pass, or None if another thread's hooks were on the model at its beginning or end."""
        # A lock in C, because Ctrl-C inside threading.Event would leave the event's own lock held forever.
        passing = threading.RLock()
        passing.acquire()
        grad, modes = torch.is_grad_enabled(), torch._C._len_torch_function_stack()
        restored = False
        try:
            try:
                self._add_gates(passing)
                if self._hooks_now() != self._hooks:
                    return None
                result = pass_()
                return (result,) if self._hooks_now() == self._hooks else None
            finally:
                self._restore(passing, grad, modes)
                restored = True
        finally:
            if not restored:  # an interrupt cut it short
                self._restore(passing, grad, modes)

    def _add_gates(self, passing: Any) -> None:
        """Stop this thread's pass before a block if it is cancelled, and other threads' runs before they begin."""
        raw = self.model.raw

        def stop_if_cancelled(module: Any, args: Any) -> None:
            check()

        def wait(module: Any, args: Any) -> None:
            with passing:
                pass

        entrances = [raw.embed, raw.blocks[0]] if hasattr(raw, "embed") else [raw.blocks[0]]
        for module in entrances:
            module.register_forward_pre_hook(Own(stop_if_cancelled, otherwise=wait))
        for block in raw.blocks[1:]:
            block.register_forward_pre_hook(Own(stop_if_cancelled))

    def _restore(self, passing: Any, grad: bool, modes: int) -> None:
        """Undo whatever a pass changed in the model and in torch. It may be called again at any time."""
        remove_own(self._modules)
        torch.set_grad_enabled(grad)
        while torch._C._len_torch_function_stack() > modes:
            _pop_mode()
        with suppress(RuntimeError):  # the first call has released it
            passing.release()


def _holding(lock: Any) -> Generator[None, None, None]:
    """Hold a lock from the first `next` until nothing refers to this generator.

    The turns of a thread, of which one may begin inside another, refer to the same generator. So the last one releases
    the lock, in whatever order and on whatever thread they end: steps that were given up half way are collected
    anywhere. All this on one line can't be interrupted.
    """
    with lock: yield  # noqa: E701  # fmt: skip


def _held_here(model: LanguageModel) -> Generator[None, None, None] | None:
    """What holds the model's lock for this thread."""
    hold, thread = model.held
    return hold() if thread is threading.current_thread() else None
