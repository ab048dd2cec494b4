"""What a notebook stores of a view for readers without a kernel: a picture, beside the view itself."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from typing import Any

from interp_backend.results.envelope import BaseResult

LARGEST = 200_000  # bytes; a notebook stores the picture of each view
COLORS = 128


def nobody_watches() -> bool:
    """Whether the running cell was sent by a program such as nbconvert, which executes cells and shows nothing.

    Such programs, and consoles, send it by jupyter_client, which names a message by its session, its process and a
    number; notebooks name it by a UUID. Voila is such a program, and yet shows a page.
    """
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return False
    ipython: Any = sys.modules.get("IPython")
    kernel = getattr(ipython and ipython.get_ipython(), "kernel", None)
    if kernel is None:
        return False
    name = kernel.get_parent("shell").get("header", {}).get("msg_id", "")
    return re.search(r"_\d+_\d+$", str(name)) is not None


def picture_of(result: BaseResult) -> dict[str, Any]:
    """A result's picture as a part of an output; empty if it has none, or a very large one."""
    picture = result.plot()
    if picture is None:
        return {}
    from PIL import Image

    png, _ = picture._repr_png_()
    stream = io.BytesIO()
    # A picture of few colours is a quarter as large.
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS).save(stream, format="png", optimize=True)
    content = stream.getvalue()
    return {} if len(content) > LARGEST else {"image/png": base64.b64encode(content).decode("ascii")}


def without_view(data: dict[str, Any]) -> dict[str, Any]:
    return {kind: content for kind, content in data.items() if kind != "application/vnd.jupyter.widget-view+json"}
