"""Saved attention opens from disk with the network cut: its heads still open, and its cells are exact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from attention_view import HOSTILE, opened, point_at_token, point_in_matrix, stand_side_by_side, toggle, unreadable
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from playwright.sync_api import Browser, Locator, Page, expect
from views import choose, part

import hookscope as hs
from hookscope import attention_frame
from hookscope.circuitsvis.attention import AttentionFigure


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    viewer = hs.AttentionViewer(hs.load_model(), HOSTILE, opened=[(1, 2), (0, 0)])
    assert viewer.wait(60)
    path = viewer.save(tmp_path_factory.mktemp("attention") / "attention.html")
    viewer.close()
    return path


@pytest.fixture
def page(browser: Browser, saved: Path) -> Iterator[Page]:
    with offline_page(browser, saved) as page:
        yield page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_works_offline_and_is_text_all_through(page: Page, theme: str):
    view = page.locator(".hs-root")
    page.emulate_media(color_scheme=theme)
    expect(view).to_have_attribute("data-hs-theme", theme)
    # A page unpacks its data, and draws its views as wide as the page, after it was loaded.
    expect(part(view, "matrix")).to_have_count(2)
    page.wait_for_function("() => document.querySelector('.hs-root').getBoundingClientRect().width > 1000")
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert stand_side_by_side(view, "1.2", "0.0")
    point_at_token(view, 4)
    expect(part(view, "text-said")).to_contain_text(re.compile(r"Head 0\.0: .*\(4\) attends to"))
    toggle(view, 3, 3)
    expect(part(opened(view, "3.3"), "matrix")).to_be_visible()
    expect(point_in_matrix(view, "3.3", 0.5, 0.5)).to_contain_text("attends to")
    part(view, "sort").select_option("previous_token")
    expect(view.locator(".hs-thumb-caption")).to_have_count(16)
    choose(view, "scale", "log")
    expect(part(view, "subtitle")).to_contain_text("log scale")
    for gone in ("input-prompt", "kind", "actions"):
        expect(part(view, gone)).to_have_count(0)
    assert page.locator("main script, main img").count() == 0
    screenshot(page, f"attention-saved-{theme}")
    assert axe_violations(page.locator("html")) == []
    assert unreadable(view) == []


def test_nothing_is_wider_than_a_narrow_page(page: Page):
    expect(page.locator(".hs-root [data-hs=matrix]").first).to_be_visible()
    expect_no_sideways_scrolling(page)
    screenshot(page, "attention-narrow")


def saved_arrays(tmp_path: Path, rows: np.ndarray) -> Path:
    board = AttentionFigure(rows, [f"t{i}" for i in range(rows.shape[-1])])
    board.opened = [[0, 7]]
    saved = board.save(tmp_path / "arrays.html")
    board.close()
    return saved


def expect_cell_of(view: Locator, name: str, values: np.ndarray, tolerance: float) -> None:
    said = point_in_matrix(view, name, 0.3, 0.7)
    expect(said).to_contain_text(" attends to ")
    found = re.search(r"\((\d+)\) attends to .*\((\d+)\): (.*)", said.inner_text())
    assert found
    assert np.isclose(float(found[3]), values[int(found[1]), int(found[2])], rtol=0, atol=tolerance)


def test_a_page_of_too_many_numbers_keeps_those_of_the_opened_heads(browser: Browser, tmp_path: Path):
    rows = np.random.default_rng(0).random((96, 256, 256), np.float32)
    saved = saved_arrays(tmp_path, rows)
    assert saved.stat().st_size < 2_000_000  # all of them were 25 MB
    with offline_page(browser, saved) as page:
        view = page.locator(".hs-root")
        name = part(view, "opened-head").get_attribute("data-head")
        assert name
        expect_cell_of(view, name, rows[7], 5.1e-5)
        part(view, "cells").click(position={"x": 10, "y": 40})
        expect(part(view, "missing")).to_contain_text("not saved")


def test_a_page_of_many_numbers_has_all_heads_rounded_and_says_so(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = np.random.default_rng(0).random((8, 16, 16), np.float32)
    monkeypatch.setattr(attention_frame, "MOST_SENT", 1000)
    monkeypatch.setattr(attention_frame, "MOST_EXACT", 1000)
    with offline_page(browser, saved_arrays(tmp_path, rows)) as page:
        view = page.locator(".hs-root")
        expect(view).to_contain_text("rounded to a thousandth")
        part(view, "cells").click(position={"x": 10, "y": 40})
        expect(part(view, "matrix")).to_have_count(2)
        names = part(view, "opened-head").evaluate_all("(heads) => heads.map((head) => head.dataset.head)")
        expect_cell_of(view, names[-1], rows[0], 1.1e-3)
        choose(view, "scale", "log")
        expect(part(view, "subtitle")).to_contain_text("log scale")
