"""What a notebook stores of a view for readers without a kernel: a picture, in an output of its own below the view."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import secrets
import sys
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import traitlets

from interp_backend.results.envelope import BaseResult

from .panel import Panel, action

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 200_000  # bytes; a notebook stores the picture of each view
COLORS = 64  # of one result's picture; one of few colours is a quarter as large
OUTPUTS = 4  # of one view, the last ones, that get its picture

# Where the view is alive, it hides the picture. Where it is not, its output has an error text of JupyterLab and nothing
# else, or the sentence that stands in for it on a page of nbconvert, and the picture hides that. On a dark page the
# picture is dark too: black and white change places, and blue stays blue.
STYLE = """\
<style>
.jp-OutputArea-child:is(:has(> [data-mime-type="text/plain"]), :not(:has(.jp-OutputArea-output *))):has(
  + .jp-OutputArea-child .{name}
) {{ display: none }}
:is([data-jp-theme-light="false"], .vscode-dark, .vscode-high-contrast:not(.vscode-high-contrast-light)) img.{name} {{
  filter: invert(1) hue-rotate(180deg)
}}
</style>
"""
SENTENCE = '<div class="{name}">{text}</div>'
PICTURE = (
    '<img class="{name}" alt="{alt}" width="{width}" style="max-width: 100%" src="data:image/{kind};base64,{data}">'
)


class Pictured(Panel):
    """A panel whose picture a notebook stores."""

    _picture = traitlets.Unicode(help="The class of the picture in a page, by which a view hides it.").tag(sync=True)
    _outputs: Sequence[str] = ()  # the ids of the outputs that have the picture
    _kept: Sequence[BaseResult] = ()  # the results that the picture shows
    _inside: Set[Pictured] = frozenset()  # the panels that show this one

    @traitlets.default("_picture")
    def _default_picture(self) -> str:
        return f"hookscope-picture-{secrets.token_hex(6)}"

    def pictured(self) -> list[BaseResult]:
        """The complete results that are shown."""
        return []

    def without_view(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is shown, as an output and its metadata: a picture, or else a sentence."""
        results = self.pictured()
        return self._output(results) if results else (self._without_results(), {})

    def _ipython_display_(self) -> None:
        """Show the view, and below it an output for its picture; to a program that runs cells, the picture alone."""
        from IPython.display import display

        if nobody_watches():
            self.wait()
            data, metadata = self.without_view()  # nothing that opens the notebook later has the view's model
            display(data, raw=True, metadata=metadata)
            return
        data, metadata = self._repr_mimebundle_() or (self._without_results(), {})
        display(data, raw=True, metadata=metadata)
        if _kernel() is not None:
            empty = {**self._without_results(), "text/plain": ""}  # the view has this text already
            shown: Any = display(empty, raw=True, display_id=True)
            self._outputs = [*self._outputs, shown.display_id][-OUTPUTS:]
            self._kept = ()

    @action("picture", command=False)
    def _on_picture(self, id: str) -> None:
        """Store a picture of what is shown. A view asks for it when nothing has changed for a while."""
        for panel in (self, *self._inside):
            panel.store_picture()

    def store_picture(self) -> None:
        from IPython.display import update_display

        results = self.pictured()
        known = len(results) == len(self._kept) and all(a is b for a, b in zip(results, self._kept))
        if self._outputs and results and not known:
            data, metadata = self._output(results)
            for output in self._outputs:
                update_display(data, raw=True, metadata=metadata, display_id=output)
            self._kept = results

    def _output(self, results: Sequence[BaseResult]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Results as an output and its metadata: a picture as HTML and PNG, unless it is very large."""
        data, metadata = {"text/plain": "\n".join(map(repr, results))}, {}
        picture = picture_of(results)
        png = "" if picture is None else encoded(picture, "png")
        if picture is not None and len(png) <= LARGEST:
            from PIL import features

            alt = "; ".join(f"{type(result).__name__}: {result.headline()}" for result in results)
            kind = "webp" if features.check("webp") else "png"
            of_page = {"alt": html.escape(alt), "width": picture.width // 2, "kind": kind}
            data["image/png"] = png
            shown = PICTURE.format(name=self._picture, data=encoded(picture, kind), **of_page)
            data["text/html"] = STYLE.format(name=self._picture) + shown
            metadata["image/png"] = {"alt": alt}
        return data, metadata

    def _without_results(self) -> dict[str, Any]:
        """A sentence as an output, which stands there until there is a picture."""
        shown = SENTENCE.format(name=self._picture, text=html.escape(self.stand_in))
        return {"text/plain": self.stand_in, "text/html": STYLE.format(name=self._picture) + shown}


def picture_of(results: Sequence[BaseResult]) -> Image | None:
    """One picture of all results that have one, each below the other, with two pixels for each of the page's."""
    from PIL import Image

    pictures = [picture for result in results if (picture := result.plot()) is not None]
    drawn = [Image.open(io.BytesIO(picture._repr_png_()[0])).convert("RGB") for picture in pictures]
    if not drawn:
        return None
    whole = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        whole.paste(one, (0, top))
        top += one.height
    return whole.quantize(min(256, COLORS * len(drawn)))


def encoded(picture: Image, kind: str) -> str:
    stream = io.BytesIO()
    if kind == "webp":  # about half as large
        picture.convert("RGB").save(stream, format=kind, lossless=True)
    else:
        picture.save(stream, format=kind, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def nobody_watches() -> bool:
    """Whether the running cell was sent by a program such as nbconvert, which executes cells and shows nothing.

    Such programs, and consoles, send it by jupyter_client, which names a message by its session, its process and a
    number; notebooks name it by a UUID. Voila is such a program, and yet shows a page. What Colab sends is not known.
    """
    kernel = _kernel()
    on_a_page = os.environ.get("SERVER_SOFTWARE", "").startswith("voila") or "google.colab" in sys.modules
    if kernel is None or on_a_page:
        return False
    name = kernel.get_parent("shell").get("header", {}).get("msg_id", "")
    return re.search(r"_\d+_\d+$", str(name)) is not None


def _kernel() -> Any:
    ipython: Any = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None)
