"""Self-contained pages: text, and panels with their data, in one HTML file that opens anywhere, offline."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_backend.results.envelope import SCHEMA_VERSION, BaseResult
from interp_backend.results.files import write_whole

from .bundles import script as bundled_script
from .panel import Panel

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src '{loads}' '{hash}'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>{style}
</head>
<body>
<main id="hookscope-views">
{body}
</main>
<script type="application/gzip" id="hookscope-page">{data}</script>
<script type="application/gzip" id="hookscope-script">{script}</script>
<script>{loader}</script>
</body>
</html>
"""
# Puts the script on the page. It is compressed, since it is most of a report, and allowed by its hash however it comes.
_LOADER = """
(async () => {
  const packed = atob(document.getElementById("hookscope-script").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.type = "module";
  script.textContent = await new Response(stream).text();
  document.body.append(script);
})();
"""
_DATA = '<script type="application/gzip" id="hookscope-page">'
SHARED_FROM = 500  # characters of JSON from which a value that several views have is stored once
MOST_UNPACKED = 1_000_000_000  # characters of JSON that a page may hold


@dataclass(frozen=True)
class Html:
    """A part of a page that is HTML of our own making: all text in it is escaped.

    Attributes:
        results: what it shows, for `load_report`.
    """

    html: str
    results: Sequence[BaseResult] = ()


@dataclass(frozen=True)
class View:
    """A part of a page that is a panel.

    Attributes:
        caption: plain text above it.
        after: HTML that follows it.
        results: what it shows beside the results in its traits, for `load_report`.
        group: the panels of the page with which it shares its pinned place; by default those of the notebook.
    """

    panel: Panel
    caption: str = ""
    after: str = ""
    results: Sequence[BaseResult] = ()
    group: str | None = None


Part = Html | View


def write_page(path: str | Path, parts: Sequence[Part], title: str) -> Path:
    """Write a page with a heading. Returns the path."""
    # As bytes, because translated newlines would change the script under its hash. Lone surrogates become question
    # marks.
    write_whole(Path(path), titled(parts, title).encode("utf-8", "replace"))
    return Path(path)


def titled(parts: Sequence[Part], title: str) -> str:
    """The HTML of a page with a heading."""
    heading = Html(f"<h1>{escaped(title)}</h1>") if title else Html("")
    return page([heading, *parts], title)


def page(parts: Sequence[Part], title: str, *, style: str = "") -> str:
    """The HTML of one page, with its panels in their current state.

    The script is inlined, compressed, and allowed by its hash, and nothing else may load or connect. The data is inert:
    compressed JSON.
    """
    script = bundled_script("report")
    body, views = [], 0
    for part in parts:
        if isinstance(part, Html):
            body.append(part.html)
            continue
        caption = part.caption and f"<p>{escaped(part.caption)}</p>"
        body.append(f'<section>{caption}<div data-view="{views}"></div>{part.after}</section>')
        views += 1
    return _PAGE.format(
        loads=_hash(_LOADER),
        hash=_hash(script),
        title=escaped(title),
        style=style and f"\n<style>{style}</style>",
        body="\n".join(body),
        data=_packed(parts),
        script=_compressed(script),
        loader=_LOADER,
    )


def _hash(script: str) -> str:
    """By which a page allows a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}"


def _compressed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode("ascii")


@dataclass(frozen=True)
class SavedPart:
    """A part of a page that was read: the state of a view, or None, and the further results that it shows, as JSON."""

    state: dict[str, Any] | None
    results: list[Any]


def read_page(text: str) -> list[SavedPart]:
    """The parts of a page that have data, in their order.

    Raises:
        ValueError: text that is no such page, or one of another version.
    """
    start = text.rfind(_DATA)
    packed = text[start + len(_DATA) :].split("</script>", 1)[0] if start >= 0 else ""
    try:
        with gzip.open(io.BytesIO(base64.b64decode(packed, validate=True))) as stream:
            content = json.loads(stream.read(MOST_UNPACKED))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it has version {content['schema_version']!r:.20}, not {SCHEMA_VERSION}")
        states = [_whole(view["state"], content["shared"]) for view in content["views"]]
        return [SavedPart(None if at is None else states[at], list(more)) for at, more in content["parts"]]
    except DAMAGED as problem:
        raise ValueError(f"This is no page that Hookscope saved, or not all of it: {problem}.") from None


DAMAGED = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)


def _whole(state: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
    return {name: shared[one["shared"]] if "shared" in one else one["own"] for name, one in state.items()}


def _packed(parts: Sequence[Part]) -> str:
    """The states of panels as compressed JSON. What several of them have is in it once."""
    views = [part for part in parts if isinstance(part, View)]
    whole = [{**view.panel.page_state(), **({"group": view.group} if view.group else {})} for view in views]
    states = [{name: json.dumps(value, allow_nan=False) for name, value in state.items()} for state in whole]
    every = [text for state in states for text in state.values() if len(text) >= SHARED_FROM]
    shared = {text: i for i, text in enumerate(dict.fromkeys(text for text in every if every.count(text) > 1))}
    content = {
        "schema_version": SCHEMA_VERSION,
        "shared": [json.loads(text) for text in shared],
        "views": [
            {
                "widget": view.panel.bundle,
                "state": {
                    name: {"shared": shared[text]} if text in shared else {"own": json.loads(text)}
                    for name, text in state.items()
                },
            }
            for view, state in zip(views, states)
        ],
        "parts": [
            [next((i for i, view in enumerate(views) if view is part), None), [one.to_wire() for one in part.results]]
            for part in parts
            if isinstance(part, View) or part.results
        ],
    }
    return _compressed(json.dumps(content, allow_nan=False))


# The characters that change the direction of the text around them.
_MARKS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_TURNS = {mark: f"\u27e8{mark:04X}\u27e9" for mark in _MARKS}


def escaped(text: str) -> str:
    """A text in HTML; see `visible`."""
    return html.escape(visible(text))


def visible(text: str) -> str:
    """A text whose direction marks are visible and have no effect."""
    return text.translate(_TURNS)
