"""Self-contained pages: views with their data in one HTML file that opens anywhere, offline."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .bundles import script as bundled_script

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src '{hash}'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>{style}
</head>
<body>
<main id="hookscope-views"></main>
<script type="application/json" id="hookscope-page">{state}</script>
<script type="module">{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class View:
    """A widget on a page: the name of its bundle, a caption in plain text, and the widget itself."""

    name: str
    caption: str
    widget: Any


def write_page(path: str | Path, views: list[View], title: str) -> Path:
    """Write some widgets, as they are now, into one page. Returns its path."""
    path = Path(path)
    title = _visible(title)
    text = page([replace(view, caption=_visible(view.caption)) for view in views], title, heading=title)
    # As bytes: no newline is translated, which would change the script under its hash. Lone surrogates, which are no
    # text, become question marks. And an older page stays whole until the new one is.
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(text.encode("utf-8", "replace"))
    os.replace(unfinished, path)
    return path


def page(views: list[View], title: str, *, heading: str = "", style: str = "") -> str:
    """Some widgets, as they are now, as the HTML of one page.

    The script is inlined and allowed by its hash alone, and nothing else may load or connect; the data is
    inert JSON in which no tag can close.
    """
    script = bundled_script("report")
    if "</script" in script.lower():
        raise ValueError("The bundle report.js can't be inlined: it holds a closing script tag.")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    content = {
        "schema_version": 1,
        "title": heading,
        "views": [{"widget": view.name, "caption": view.caption, "state": view.widget.page_state()} for view in views],
    }
    return _PAGE.format(
        hash=f"sha256-{digest}",
        title=html.escape(title),
        style=style and f"\n<style>{style}</style>",
        state=json.dumps(content, allow_nan=False).replace("<", "\\u003c"),
        script=script,
    )


# What turns the direction of the text around it, quotation marks included.
_MARKS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_TURNS = {mark: f"\u27e8{mark:04X}\u27e9" for mark in _MARKS}


def _visible(text: str) -> str:
    """A heading in which a prompt's own marks of direction are seen, and do nothing."""
    return text.translate(_TURNS)
