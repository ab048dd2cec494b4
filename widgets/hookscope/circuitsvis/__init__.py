"""CircuitsVis's functions, shown by Hookscope's views.

    import hookscope.circuitsvis as cv      # in place of: import circuitsvis as cv

Every function takes the same arguments as CircuitsVis's, in the same order, and returns a widget that is also HTML
(`str(figure)`, `figure._repr_html_()`), needs no network, and shows tokens as text and never as HTML.
"""

from .. import __version__
from . import activations, attention, examples, logits, tokens, topk_samples, topk_tokens

__all__ = [
    "__version__",
    "activations",
    "attention",
    "examples",
    "logits",
    "tokens",
    "topk_samples",
    "topk_tokens",
]
