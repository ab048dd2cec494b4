"""CircuitsVis itself, without the network.

Its `RenderedHTML` asks google.com at every display whether there is a network, and if there is, loads its script from
a CDN. Here its own script, which is in the package, is always used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

_ID = re.compile(r'<div id="([\w-]+)"')
_END = ")\n    </script>"


def offline(rendered: Any) -> Any:
    """A `RenderedHTML` of CircuitsVis that shows its own script, whether there is a network or not.

    Args:
        rendered: the object that a function of CircuitsVis returned.

    Returns:
        A `circuitsvis.utils.render.RenderedHTML` that is otherwise equal. A token that holds a closing script tag
        no longer ends the script; CircuitsVis still shows tokens as HTML, so give it only tokens that you trust.

    Raises:
        TypeError: the object is not a `RenderedHTML`.
    """
    source = getattr(rendered, "local_src", None)
    if not isinstance(source, str):
        raise TypeError(
            f"This is of type {type(rendered).__name__}; give the object that a function of CircuitsVis returned."
        )
    return _offline_class()(_guarded(source), rendered.cdn_src)


def call_offline(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function of CircuitsVis, and show its result without the network: `offline(function(...))`.

    Args:
        function: a function such as `circuitsvis.tokens.colored_tokens`.
        args, options: its arguments.
    """
    return offline(function(*args, **options))


@cache
def _offline_class() -> type:
    from circuitsvis.utils.render import RenderedHTML  # slow, because it imports torch

    class OfflineHTML(RenderedHTML):
        """CircuitsVis's HTML, with its script in it."""

        def _repr_html_(self) -> str:
            return self.local_src

        def show_code(self) -> str:
            return self.local_src

        def __str__(self) -> str:
            return self.local_src

    return OfflineHTML


def _guarded(source: str) -> str:
    """The same HTML, with every `<` of the data escaped, so that the data can't end the script."""
    id = _ID.match(source)
    call = source.find(f'CircuitsVis.render(\n      "{id[1]}"') if id else -1
    end = source.rfind(_END)
    if call < 0 or end < call:
        return source
    return source[:call] + source[call:end].replace("<", "\\u003c") + source[end:]
