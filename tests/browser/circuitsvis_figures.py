"""The same figure by CircuitsVis and by hookscope.circuitsvis, each in a page of its own, and what both are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import circuitsvis
import numpy as np
import torch
from playwright.sync_api import FrameLocator, Locator, Page, expect

import hookscope.circuitsvis as cv
from hookscope.circuitsvis.offline import offline

RNG = np.random.default_rng(0)
TEXT = ["<|bos|>", "When", " Mary", " and", " John", " went", " to", " the", "\tstore", "\n", "John", " gave"]
VALUES = RNG.normal(size=len(TEXT)).astype(np.float32)
SAMPLES = [TEXT[:3], TEXT[2:7], TEXT[5:]]
ACTIVATIONS = [RNG.normal(size=(len(sample), 2, 3)).astype(np.float32) for sample in SAMPLES]
LOGITS = torch.tensor(RNG.normal(size=(1, len(TEXT), 20)) * 3)
IDS = torch.arange(len(TEXT))[None]
TOPS = {
    "its test": lambda lib: lib.topk_tokens.topk_tokens(
        tokens=[["a", "b", "c", "d", "e"], ["f", "g", "h"]],
        activations=[np.arange(30).reshape(2, 5, 3), np.arange(12).reshape(2, 3, 2)],
    ),
    "pages": lambda lib: lib.topk_tokens.topk_tokens(
        SAMPLES,
        [sample.transpose(1, 0, 2).repeat(3, axis=2) for sample in ACTIVATIONS],
        2,
        "Block",
        "Feature",
        list("xyz"),
    ),
}


class Both:
    """The same figure in both."""

    def __init__(self, pages: tuple[Page, Page], make: Callable[[Any], Any]) -> None:
        self.theirs, self.page = pages
        for page, figure in ((self.theirs, offline(make(circuitsvis))), (self.page, make(cv))):
            page.goto("about:blank")
            page.set_content(str(figure))
        self.frame: FrameLocator = self.page.frame_locator("iframe")
        self.ours: Locator = self.frame.locator(".hs-root")
        expect(self.ours).to_be_visible()


def plain(text: str) -> str:
    """A token's text, whatever stands for its spaces: CircuitsVis shows all of them as the same."""
    return re.sub(r"[\s\u2423\u23ce\u21e5\xa0]", " ", text)


def minus(text: str) -> str:
    return text.replace("\u2212", "-").replace("\u2013", "-").replace("#", "")


def hover_theirs(page: Page, element: Locator) -> None:
    """Their tooltips lie over other tokens, and stay while the pointer is on them."""
    page.mouse.move(990, 790)
    element.hover()


def entries(select: Locator, *names: str) -> list[str]:
    """A menu's entries without the name of what it chooses."""
    found = [minus(text) for text in select.locator("option").all_text_contents()]
    return [re.sub(rf"^({'|'.join(map(re.escape, names))}):? ", "", text) for text in found]
