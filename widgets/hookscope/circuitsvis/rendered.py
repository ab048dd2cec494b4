"""Widgets as self-contained HTML, with the interface of CircuitsVis's `RenderedHTML`, even without a notebook.

The HTML is one frame that holds a whole page (`srcdoc`): the data as inert JSON and our script, allowed by its hash
alone. A frame, because it also works where HTML is put in by `innerHTML`, which starts no script of its own; because
the styles and scripts of two pages don't meet; and because the policy of the page in it forbids whatever a token's
text could try. The script fits the frame to its view, and its colours to the page around it
(js/panels/circuitsvis/frame.ts).
"""

from __future__ import annotations

import html

from ..page import View, page
from ..panel import Panel

_FRAME = """<iframe class="hookscope-frame" title="{title}" srcdoc="{page}"
  style="display: block; width: 100%; height: 420px; margin: 0; border: 0"></iframe>
"""

# A figure fills its frame.
_STYLE = "main#hookscope-views { max-width: none; padding: 0 }"


class RenderedHTML(Panel):
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

    def _ipython_display_(self) -> None:
        # IPython would put the HTML into the notebook beside the widget: a second copy of about 300 KB.
        from IPython.display import display

        data, metadata = self._repr_mimebundle_() or ({"text/plain": repr(self)}, {})
        display(data, metadata=metadata, raw=True)
