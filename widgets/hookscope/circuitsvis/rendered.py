"""Widgets as self-contained HTML, with the interface of CircuitsVis's `RenderedHTML`, even without a notebook.

The HTML is one frame that holds a whole page (`srcdoc`): the data as inert JSON and our script, allowed by its hash
alone. A frame, because it also works where HTML is put in by `innerHTML`, which starts no script of its own; because
the styles and scripts of two pages don't meet; and because the policy of the page in it forbids whatever a token's
text could try. The script fits the frame to its view, and its colours to the page around it
(js/panels/circuitsvis/frame.ts).
"""

from __future__ import annotations

import html
from typing import Any

from ..output import Pictured
from ..page import View, page

_FRAME = """<iframe class="hookscope-frame" title="{title}" srcdoc="{page}"
  style="display: block; width: 100%; height: 420px; margin: 0; border: 0"></iframe>
"""

# A figure fills its frame.
_STYLE = "main#hookscope-views { max-width: none; padding: 0 }"


class RenderedHTML(Pictured):
    """A widget that is also HTML, as CircuitsVis's are: self-contained, without the network, without a kernel."""

    def _repr_html_(self) -> str:
        """The HTML, with all of the data in it."""
        whole = page([View(self)], self.title, style=_STYLE)
        frame = _FRAME.format(title=html.escape(self.title), page=html.escape(whole))
        # ASCII only, so that a file without a declared encoding can't change the script under its hash.
        return frame.encode("ascii", "xmlcharrefreplace").decode("ascii")

    # The same under other names, for tools and for CircuitsVis's users. In CircuitsVis, `show_code` and `cdn_src` load
    # a script from the network; here nothing does.
    __html__ = __str__ = show_code = _repr_html_
    local_src = cdn_src = property(_repr_html_)

    def without_view(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"text/plain": self.stand_in, "text/html": self._repr_html_()}, {}
