"""A turn on a model: the right to run it while a user's own cells may run it too.

Hooks are global state of a model, and a widget patches on its own thread while the next cell already runs. So a turn
keeps three things apart. Our hooks do nothing in other threads. A run that another thread begins waits for the one
pass that is under way, so that what its hooks see last is its own. And a pass during which somebody else's hooks came
or went is thrown away and run again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ..language.model import Hook, LanguageModel

PATIENCE = 30.0  # seconds to wait for another thread's hooked run
SETTLING = 0.5  # seconds to wait at the start for hooks that are about to be removed
T = TypeVar("T")


class Turn:
    """`with Turn(model) as turn:` holds the model's lock; `turn.run(pass_)` runs one pass.

    Attributes:
        model: whose turn it is.
        users_hooks: names of hook points and modules that carried hooks of a user's own when the turn began. They act
            on every run, as they would on the user's own.
        memo: what was computed in this turn and is wanted again, for another pair, say.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        self.memo: dict[Any, Any] = {}

    def __enter__(self) -> Turn:
        self._gates: list[Any] = []
        self.model.lock.acquire()
        try:
            self._begin()
        except BaseException:  # an interrupt, too: a model that stays locked hangs every widget
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        raw = self.model.raw
        entrances = [raw.embed, raw.blocks[0]] if hasattr(raw, "embed") else [raw.blocks[0]]
        self._owner = threading.get_ident()
        give_up = time.monotonic() + SETTLING
        while self.model.hook_handles(temporary=True) and time.monotonic() < give_up:
            time.sleep(0.005)  # perhaps another thread's run with hooks, which is over soon
        self._hooks = self.model.hook_handles()
        self.users_hooks = self.model.users_hooks()
        for module in entrances:
            self._gates.append(module.register_forward_pre_hook(self._wait))

    def __exit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.remove()
        self.model.lock.release()

    def run(self, pass_: Callable[[], T]) -> T:
        """Run one pass while no other thread's hooks act on the model; again, if some came in between.

        Raises:
            RuntimeError: a user's hooks came to stay, or went, since the turn began.
        """
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            with self.model.pass_lock:
                if self.model.hook_handles() == self._hooks:
                    result = pass_()
                    if self.model.hook_handles() == self._hooks:
                        return result
            if not self._hooks <= self.model.hook_handles():
                break
            time.sleep(0.005)  # somebody's hooked run is under way; it removes its hooks when it is over
        raise RuntimeError(
            "Hooks were added to the model, or removed from it, while it was being run. Run this again now."
        )

    def _wait(self, module: Any, args: Any) -> None:
        if threading.get_ident() != self._owner:
            with self.model.pass_lock:
                pass


def of_this_thread(hook: Hook) -> Hook:
    """A hook that does nothing when another thread runs the model."""
    owner = threading.get_ident()

    @wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return hook(*args, **kwargs) if threading.get_ident() == owner else None

    return guarded
