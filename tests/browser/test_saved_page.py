"""A saved map opens from disk with the network cut, and still hovers and pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks import axe_violations, complaints_of, screenshot, wider_than_its_page
from contrast import hard_to_read
from playwright.sync_api import Browser, Page, expect
from views import cell, expect_status, part, place_of

import hookscope as hs
import hookscope.circuitsvis as cv
from hookscope.attention_arrays import AttentionArrays
from hookscope.report import View, write_page

HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> The capital of {} is"

# A page tells of what its policy stopped only to those who listened before it began.
LISTEN = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective))"


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
    """The page in a browser without a network; by the end it has asked for itself alone, and complained of nothing."""
    context = browser.new_context(offline=True, viewport={"width": 1100, "height": 800}, device_scale_factor=2)
    page = context.new_page()
    page.add_init_script(LISTEN)
    complaints = complaints_of(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.goto(saved.as_uri())
    expect_status(page.locator(".hs-root"), "done")
    yield page
    context.close()
    assert requests == [saved.as_uri()]
    assert complaints == []


def test_hover_and_pin_work(page: Page):
    view = page.locator(".hs-root")
    column = int(part(view, "grid").get_attribute("aria-colcount") or 0) - 1
    part(view, "cells").hover(position=place_of(view, 3, column))
    expect(part(view, "detail-cell")).to_contain_text("layer 3")
    expect(part(view, "detail-cell")).to_contain_text("recovers")
    part(view, "cells").click(position=place_of(view, 2, column))
    page.mouse.move(0, 0)
    expect(part(view, "detail-cell")).to_contain_text("layer 2")
    expect(part(view, "top-patched").locator("tr")).to_have_count(10)
    part(view, "grid").press("ArrowUp")
    part(view, "grid").press("Enter")
    expect(part(view, "pin")).to_have_attribute("data-cell", str(3 * (column + 1) + column))


def test_tokens_that_look_like_html_are_text(page: Page):
    view = page.locator(".hs-root")
    expect(part(view, "grid").locator(".hs-column-labels")).to_contain_text("</script><script>alert(1)</script>")
    assert page.locator("main script, main img").count() == 0
    expect(cell(view, 1)).to_contain_text("<")


def test_what_needs_a_kernel_is_left_out(page: Page):
    view = page.locator(".hs-root")
    expect(part(view, "params").first).to_contain_text("resid_pre")
    expect(view.locator("select")).to_have_count(1)
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
    page.set_viewport_size({"width": 400, "height": 800})
    expect(part(page.locator(".hs-root"), "grid")).to_be_visible()
    assert wider_than_its_page(page) == 0
    screenshot(page, "saved-page-narrow")


def test_a_page_of_many_numbers_keeps_those_of_the_opened_heads(browser: Browser, tmp_path: Path):
    rows = np.random.default_rng(0).random((48, 256, 256), np.float32)
    board = AttentionArrays(rows, [f"t{i}" for i in range(256)])
    board.opened = [[0, 7]]
    saved = board.save(tmp_path / "arrays.html")
    board.close()
    assert saved.stat().st_size < 2_000_000  # all of them were 12 MB
    page = browser.new_page()
    complaints = complaints_of(page)
    page.goto(saved.as_uri())
    view = page.locator(".hs-root")
    box = part(view, "matrix").bounding_box()
    assert box
    part(view, "matrix").hover(position={"x": 0.3 * box["width"], "y": 0.7 * box["height"]})
    said = part(view, "cell-said")
    expect(said).to_contain_text(" looks at ")
    found = re.search(r"\((\d+)\) looks at .*\((\d+)\): (.*)", said.inner_text())
    assert found
    assert np.float32(found[3]) == rows[7, int(found[1]), int(found[2])]
    part(view, "cells").click(position={"x": 10, "y": 40})
    expect(part(view, "missing")).to_contain_text("not saved")
    assert complaints == []
    page.close()


# Every element of each view that takes room: its tag, and where it is in its view.
PLACES = """(views) => views.map((view) => {
  const { x, y } = view.getBoundingClientRect();
  return [...view.querySelectorAll('*')].flatMap((element) => {
    const box = element.getBoundingClientRect();
    if (box.width === 0 && box.height === 0) return [];
    const place = [box.x - x, box.y - y, box.width, box.height].map((n) => n.toFixed(1));
    return `${element.tagName} ${element.getAttribute('class')} ${place}`;
  });
})"""


def test_a_view_looks_the_same_beside_every_other_view(browser: Browser, tmp_path: Path):
    pair = hs.PromptPair(
        clean="The capital of Norway is", corrupt="The capital of Sweden is", clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )  # fmt: skip
    model = hs.load_model()
    lens, heatmap, board = hs.LogitLensGrid(model, pair), hs.PatchHeatmap(model, pair), hs.AttentionViewer(model, pair)
    editor = hs.PromptPairEditor(model, pair)
    for widget in (lens, heatmap, board):
        assert widget.wait(60)
    lens.selection = {"row": 4, "position": 5}
    heatmap.selection = {"layer": 2, "position": 4}
    board.opened = [[1, 3]]
    tokens = cv.tokens.colored_tokens(["a", " b"] * 10, [0.5, -1.0] * 10)
    widgets = [lens, heatmap, board, editor, tokens]
    names = ["logit_lens_grid", "patch_heatmap", "attention_viewer", "prompt_pair_editor", "circuitsvis"]
    views = [View(name, "", widget) for name, widget in zip(names, widgets)]
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
