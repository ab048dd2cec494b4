"""The scripts that `npm run build` makes of js/: what each view runs in the browser."""

from __future__ import annotations

import os
from pathlib import Path

STATIC = Path(__file__).parent / "static"


def script(name: str) -> str:
    """The text of a bundle.

    Raises:
        FileNotFoundError: it was not built.
    """
    return _built(name).read_text("utf-8")


def bundle(name: str) -> str | Path:
    """A view's bundle for `_esm`: its text, because anywidget keeps every widget whose `_esm` is a file alive for good.

    With ANYWIDGET_HMR=1 it is the file all the same, so that developers see what they build without a restart.
    """
    return _built(name) if os.environ.get("ANYWIDGET_HMR") == "1" else script(name)


def _built(name: str) -> Path:
    path = STATIC / f"{name}.js"
    if not path.is_file():
        raise FileNotFoundError(f"The bundle {path} has not been built: run `npm ci && npm run build` at the root.")
    return path
