"""Ten thousand random and hostile strings, in every field that a user or a model can fill: a real browser runs none of
them, asks no one, and keeps them in their places."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import expect_no_sideways_scrolling, offline_page, screenshot
from hostile import Filled, Strings
from playwright.sync_api import Browser, Page, expect

import hookscope as hs
import hookscope.circuitsvis as cv
import interp_backend as ib
from hookscope.page import View, write_page
from hookscope.report import _made

WANTED = 10_000

# Texts that are outside of the part of the page to which they belong, and not cut off there.
ASTRAY = """() => [...document.querySelectorAll('main > *')].flatMap((part) => {
  const outer = part.getBoundingClientRect();
  const cuts = (element) => {
    const { overflowX, clipPath } = getComputedStyle(element);
    return overflowX !== 'visible' || clipPath !== 'none';
  };
  const cut = (element) => element !== part && (cuts(element) || cut(element.parentElement));
  const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (cut(node.parentElement)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const { left, right, top, bottom } of range.getClientRects()) {
      const out = [outer.left - left, right - outer.right, outer.top - top, bottom - outer.bottom].map(Math.round);
      if (Math.max(...out) > 1) found.push(`${node.parentElement.outerHTML.slice(0, 200)} ${out}`);
    }
  }
  return found.slice(0, 3);
})"""


@pytest.fixture(scope="module")
def panels() -> list[Any]:
    model = hs.load_model()
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    bench = hs.Workbench(model, pair)
    bench.add("circuit").follow("m3")
    bench.panels[2].tab = "attribution"
    bench.wait()
    return bench.panels


def write(panels: list[Any], strings: Strings, path: Path) -> None:
    """A page of views that are filled with strings: those of a workbench, and figures of many tokens."""
    tokens = [strings.one() for _ in range(600)]
    figures = [
        cv.tokens.colored_tokens(tokens, [(i % 21) / 10 - 1 for i in range(len(tokens))]),
        cv.attention.attention_heads(np.tri(24, dtype=np.float32)[None] / 24, tokens[:24], [strings.one()]),
    ]
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    views = [View(panel, strings.one()) for panel in figures]
    for panel in panels:
        result = panel.reading if panel is panels[0] else panel.result
        made = ""
        if panel is not panels[0]:
            given = {strings.one(): strings.one() for _ in range(5)}
            said = strings.fill({**result.provenance, "warnings": [""]})
            made = _made(result.model_copy(update={"params": given, "provenance": said}), now, strings.one())
        views.append(View(Filled(panel, strings), strings.one(), made))  # pyright: ignore[reportArgumentType]
    write_page(path, views, strings.one())
    for figure in figures:
        figure.close()


def write_texts(model: Any, strings: Strings, path: Path) -> None:
    """A report of texts in Markdown and a result that no view shows."""
    scores = ib.head_scores(model)
    scores.provenance = strings.fill({**scores.provenance, "warnings": [""]})
    hs.Report([*(strings.one() for _ in range(1500)), scores], title=strings.one()).save(path)


def expect_texts_in_place(page: Page, parts: int) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for width in (800, 400):
        expect_no_sideways_scrolling(page, width)
        assert page.evaluate(ASTRAY) == []
    assert page.evaluate("window.pwned") is None
    assert (
        page.locator("main script, main iframe, main img:not([src^='data:']), main a[href^='javascript']").count() == 0
    )
    assert page.locator("main > *").count() == parts


def test_no_string_is_more_than_text(browser: Browser, panels: list[Any], tmp_path: Path):
    strings, pages = Strings(), 0
    while strings.made < WANTED:
        pages += 1
        write(panels, strings, tmp_path / f"{pages}.html")
        with offline_page(browser, tmp_path / f"{pages}.html", width=800) as page:
            expect(page.locator(".hs-root")).to_have_count(7)
            for view in ("logit-lens-grid", "attention-viewer", "patch-heatmap"):
                page.locator(f"[data-hs={view}] [data-hs=cells]").first.hover(position={"x": 60, "y": 20})
            expect_texts_in_place(page, 8)
            screenshot(page, "random-strings")


def test_no_markdown_is_more_than_text(browser: Browser, panels: list[Any], tmp_path: Path):
    strings, path = Strings(1), tmp_path / "texts.html"
    write_texts(panels[0].model, strings, path)
    with offline_page(browser, path, width=800) as page:
        expect(page.locator("main > .hs-prose")).to_have_count(1501)
        expect_texts_in_place(page, 1502)
