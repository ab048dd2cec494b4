"""A greeting: `circuitsvis.examples`."""

from __future__ import annotations

from .token_values import TokenValues
from .tokens import colored_tokens


def hello(name: str) -> TokenValues:
    """Say hello, to see whether figures are shown at all: the counterpart of `circuitsvis.examples.hello`.

    Args:
        name: whom to greet.
    """
    return colored_tokens(["Hello,", f" {name}!"], [0.0, 0.0])
