"""`RenderedHTML`, where type hints of CircuitsVis's users look for it."""

from ..rendered import RenderedHTML

__all__ = ["RenderedHTML"]
