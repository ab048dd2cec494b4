"""The scripts that `npm run build` makes from js/, which run in the browser."""

from __future__ import annotations

import base64
import gzip
import os
from pathlib import Path

STATIC = Path(__file__).parent / "static"

# A notebook stores the code of every widget that it shows. Compressed code takes half the space, and unpacks itself
# without another widget, a network or a kernel.
_UNPACKS_ITSELF = """// Hookscope's {name}.js, compressed: see js/{name}/ in its repository for the source.
const packed = "{packed}";
export default async () => {{
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(text, {{ headers: {{ "Content-Type": "text/javascript" }} }}).blob();
  const url = URL.createObjectURL(source);
  try {{
    return (await import(/* webpackIgnore: true */ url)).default();
  }} finally {{
    URL.revokeObjectURL(url);
  }}
}};
"""


def script(name: str) -> str:
    """The text of a bundle.

    Raises:
        FileNotFoundError: the bundle was not built.
    """
    return _built(name).read_text("utf-8")


def bundle(name: str) -> str | Path:
    """A view's bundle for `_esm`. It is text: anywidget keeps every widget whose `_esm` is a file alive forever.

    With ANYWIDGET_HMR=1 it is the file, so that developers see a new build without a restart.
    """
    if os.environ.get("ANYWIDGET_HMR") == "1":
        return _built(name)
    packed = base64.b64encode(gzip.compress(script(name).encode("utf-8"), mtime=0)).decode("ascii")
    return _UNPACKS_ITSELF.format(name=name, packed=packed)


def _built(name: str) -> Path:
    path = STATIC / f"{name}.js"
    if not path.is_file():
        raise FileNotFoundError(f"The bundle {path} has not been built: run `npm ci && npm run build` at the root.")
    return path
