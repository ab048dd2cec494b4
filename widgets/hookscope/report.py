"""Self-contained pages: panels with their data in one HTML file that opens anywhere, offline."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path

from interp_backend.results.envelope import SCHEMA_VERSION
from interp_backend.results.files import write_whole

from .bundles import script as bundled_script
from .panel import Panel

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


def write_page(path: str | Path, views: list[tuple[Panel, str]], title: str) -> Path:
    """Write panels in their current state into one page, each below a caption in plain text. Returns the path."""
    path = Path(path)
    title = _visible(title)
    text = page([(panel, _visible(caption)) for panel, caption in views], title, heading=title)
    # As bytes, because translated newlines would change the script under its hash. Lone surrogates become question
    # marks.
    write_whole(path, text.encode("utf-8", "replace"))
    return path


def page(views: list[tuple[Panel, str]], title: str, *, heading: str = "", style: str = "") -> str:
    """The HTML of one page with panels in their current state, and their captions.

    The script is inlined and allowed by its hash, and nothing else may load or connect. The data is inert JSON that
    can't close its tag.
    """
    script = bundled_script("report")
    if "</script" in script.lower():
        raise ValueError("The bundle report.js can't be inlined: it holds a closing script tag.")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    content = {
        "schema_version": SCHEMA_VERSION,
        "title": heading,
        "views": [
            {"widget": panel.bundle, "caption": caption, "state": panel.page_state()} for panel, caption in views
        ],
    }
    return _PAGE.format(
        hash=f"sha256-{digest}",
        title=html.escape(title),
        style=style and f"\n<style>{style}</style>",
        state=json.dumps(content, allow_nan=False).replace("<", "\\u003c"),
        script=script,
    )


# The characters that change the direction of the text around them.
_MARKS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_TURNS = {mark: f"\u27e8{mark:04X}\u27e9" for mark in _MARKS}


def _visible(text: str) -> str:
    """A heading in which a prompt's direction marks are visible and have no effect."""
    return text.translate(_TURNS)
