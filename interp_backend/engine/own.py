"""Functions that the engine attaches to a model, marked so that they can be found again and removed.

An interrupt can come between any two lines, even while hooks are being added or removed. So removal does not rely on
handles that may never have been returned: it looks for the mark on every module, and can be repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import CellType
from typing import Any

from torch import nn

PATCHED = ("forward", "_python_norm_forward")  # the methods of modules that `fused.py` replaces


class Own:
    """One of the engine's hooks or methods on a user's model. It acts only in the thread that made it.

    Args:
        function: the function to call in that thread.
        otherwise: the function to call in other threads; None does nothing there, like a hook without effect.
    """

    def __init__(self, function: Callable[..., Any], otherwise: Callable[..., Any] | None = None):
        self._function, self._otherwise = function, otherwise
        self._thread = threading.get_ident()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == self._thread:
            return self._function(*args, **kwargs)
        return None if self._otherwise is None else self._otherwise(*args, **kwargs)


def remove_own(modules: Iterable[nn.Module]) -> None:
    """Remove all of the engine's hooks and patched methods from these modules."""
    for module in modules:
        own = vars(module)  # not getattr, because a bridge searches several other places for missing attributes
        for name in PATCHED:
            if isinstance(own.get(name), Own):
                del own[name]
        if own["_forward_pre_hooks"]:
            _remove(own["_forward_pre_hooks"], own["_forward_pre_hooks_with_kwargs"])
        if own["_forward_hooks"]:
            _remove(own["_forward_hooks"], own["_forward_hooks_with_kwargs"], own["_forward_hooks_always_called"])
        if handles := own.get("fwd_hooks"):  # a hook point keeps a list of its own
            handles[:] = [handle for handle in handles if not _is_dead(handle, module)]


def _remove(hooks: Any, *notes: Any) -> None:
    """Remove the engine's hooks from a module's hooks by id, and the module's other records of them."""
    for at, hook in list(hooks.items()):
        if _is_own(hook):
            for note in notes:
                note.pop(at, None)
            hooks.pop(at, None)


def _is_own(hook: Any) -> bool:
    """Whether a hook is the engine's, by itself or inside the function that a hook point wraps around it."""
    return isinstance(hook, Own) or any(map(_holds_own, getattr(hook, "__closure__", None) or ()))


def _holds_own(cell: CellType) -> bool:
    try:
        return isinstance(cell.cell_contents, Own)
    except ValueError:  # the cell is still empty
        return False


def _is_dead(handle: Any, point: Any) -> bool:
    """Whether a hook point's handle is the engine's, and its hook is gone."""
    # TransformerLens 2 does not keep the hook itself, so there any handle without its hook is dropped.
    own = isinstance(getattr(handle, "user_hook", None), Own) or not hasattr(handle, "user_hook")
    return own and handle.hook.id not in point._forward_hooks
