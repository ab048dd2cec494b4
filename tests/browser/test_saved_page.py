"""A saved map opens from disk with the network cut, and still hovers and pins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from contrast import hard_to_read
from playwright.sync_api import Browser, Page, expect
from views import cell, expect_status, part, place_of, point_at

import hookscope as hs
import hookscope.circuitsvis as cv
from hookscope.page import View, write_page

HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> The capital of {} is"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pair = hs.PromptPair(
        clean=HOSTILE.format("Norway"),
        corrupt=HOSTILE.format("Sweden"),
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    heatmap = hs.PatchHeatmap(hs.load_model(), pair)
    assert heatmap.wait(60)
    path = heatmap.save(tmp_path_factory.mktemp("saved") / "map.html")
    heatmap.close()
    return path


@pytest.fixture
def page(browser: Browser, saved: Path) -> Iterator[Page]:
    with offline_page(browser, saved) as page:
        expect_status(page.locator(".hs-root"), "done")
        yield page


def test_hover_and_pin_work(page: Page):
    view = page.locator(".hs-root")
    detail = part(view, "detail-cell")
    column = int(part(view, "grid").get_attribute("aria-colcount") or 0) - 1
    part(view, "cells").click(position=place_of(view, 2, column))
    expect(part(view, "top-patched").locator("tr")).to_have_count(10)
    point_at(view, place_of(view, 3, column))
    expect(detail).to_contain_text("layer 3")
    expect(detail).to_contain_text("recovers")
    page.mouse.move(0, 0)
    expect(detail).to_contain_text("layer 2")
    part(view, "grid").press("ArrowUp")
    part(view, "grid").press("Enter")
    expect(part(view, "pin")).to_have_attribute("data-cell", str(3 * (column + 1) + column))


def test_tokens_that_look_like_html_are_text(page: Page):
    view = page.locator(".hs-root")
    part(view, "fold").click()  # they are equal in both prompts
    expect(part(view, "grid").locator(".hs-column-labels")).to_contain_text("</script><script>alert(1)</script>")
    assert page.locator("main script, main img").count() == 0
    expect(cell(view, 1)).to_contain_text("<")


def test_what_needs_a_kernel_is_left_out(page: Page):
    view = page.locator(".hs-root")
    expect(part(view, "params").first).to_contain_text("resid_pre")
    expect(view.locator("select")).to_have_count(3)
    expect(part(view, "metric")).to_be_enabled()  # all metrics are in the page
    expect(part(view, "run")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(page: Page, theme: str):
    view = page.locator(".hs-root")
    page.emulate_media(color_scheme=theme)
    expect(view).to_have_attribute("data-hs-theme", theme)
    screenshot(page, f"saved-page-{theme}")
    assert axe_violations(page.locator("html")) == []
    assert hard_to_read(view) == []


def test_nothing_is_wider_than_a_narrow_page(page: Page):
    expect_no_sideways_scrolling(page)
    screenshot(page, "saved-page-narrow")


# Every element of each view that takes room: its tag, and where it is in its view. A view measures how much room it has
# and renders again, so the places are taken once two frames agree.
PLACES = """async (views) => {
  const placesIn = (view) => {
    const { x, y } = view.getBoundingClientRect();
    return [...view.querySelectorAll('*')].flatMap((element) => {
      const box = element.getBoundingClientRect();
      if (box.width === 0 && box.height === 0) return [];
      const place = [box.x - x, box.y - y, box.width, box.height].map((n) => n.toFixed(1));
      return `${element.tagName} ${element.getAttribute('class')} ${place}`;
    });
  };
  for (let before = ''; ; ) {
    await new Promise(requestAnimationFrame);
    const places = views.map(placesIn);
    const now = JSON.stringify(places);
    if (now === before) return places;
    before = now;
  }
}"""


def test_a_view_looks_the_same_beside_every_other_view(browser: Browser, tmp_path: Path):
    pair = hs.PromptPair(
        clean="The capital of Norway is", corrupt="The capital of Sweden is", clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )  # fmt: skip
    model = hs.load_model()
    lens, heatmap, board = hs.LogitLensGrid(model, pair), hs.PatchHeatmap(model, pair), hs.AttentionViewer(model, pair)
    editor = hs.PromptPairEditor(model, pair)
    for widget in (lens, heatmap, board, editor):
        assert widget.wait(60)
    lens.selection = {"layer": 3, "position": 5}
    heatmap.selection = {"layer": 2, "position": 4}
    board.opened = [[1, 3]]
    tokens = cv.tokens.colored_tokens(["a", " b"] * 10, [0.5, -1.0] * 10)
    widgets = [lens, heatmap, board, editor, tokens]
    views = [View(widget) for widget in widgets]
    page = browser.new_page(viewport={"width": 1100, "height": 6000})  # no scroll bar takes width

    def places(shown: list[View]) -> list[list[str]]:
        page.goto(write_page(tmp_path / "views.html", shown, "Views").as_uri())
        expect(page.locator(".hs-root")).to_have_count(len(shown))
        return page.locator(".hs-root").evaluate_all(PLACES)

    alone = [places([view])[0] for view in views]
    assert all(len(elements) > 20 for elements in alone)
    for shown, expected in ((views, alone), (views[::-1], alone[::-1])):
        for one, other in zip(places(shown), expected):
            assert [line for line in one if line not in other] == []
    for widget in widgets:
        widget.close()
    page.close()
