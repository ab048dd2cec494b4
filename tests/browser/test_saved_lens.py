"""A saved lens opens from disk with the network cut, and still reads cells, draws lines and shows the attribution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attention_view import HOSTILE
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from playwright.sync_api import Browser, Locator, Page, expect
from views import choose, part, place_in, point_at

import hookscope as hs


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lens = hs.LogitLensGrid(hs.load_model(), HOSTILE, targets=[" Oslo"])
    assert lens.wait(60)
    lens.attribute(" Oslo")
    assert lens.wait(60)
    path = lens.save(tmp_path_factory.mktemp("lens") / "lens.html")
    lens.close()
    return path


@pytest.fixture
def page(browser: Browser, saved: Path) -> Iterator[Page]:
    with offline_page(browser, saved) as page:
        yield page


def open_attribution(view: Locator) -> None:
    view.get_by_role("tab", name="Attribution").click()
    expect(part(view, "waterfall")).to_be_visible()


def test_it_works_offline_and_is_text_all_through(page: Page):
    view = page.locator(".hs-root")
    point_at(view, place_in(view, 3, 1))
    expect(part(view, "detail-cell")).to_contain_text("layer 2")
    expect(part(view, "lines")).to_have_count(0)
    part(view, "cells").click(position=place_in(view, 3, 2))
    expect(part(view, "lines")).to_be_visible()
    expect(part(view, "input-follow")).to_have_count(0)
    choose(view, "color", "entropy")
    expect(part(view, "subtitle")).to_contain_text("entropy in nats")
    assert page.locator("main script, main img").count() == 0
    open_attribution(view)
    expect(part(view, "subtitle")).to_contain_text("sums to")
    part(part(view, "by-head"), "cells").click(position={"x": 4, "y": 4})
    expect(part(view, "strip-token").first).to_be_visible()
    screenshot(page, "lens-saved")
    assert axe_violations(page.locator("html")) == []


def test_nothing_is_wider_than_a_narrow_page(page: Page):
    view = page.locator(".hs-root")
    expect(part(view, "cells")).to_be_visible()
    expect_no_sideways_scrolling(page)
    screenshot(page, "lens-narrow")
    open_attribution(view)
    expect_no_sideways_scrolling(page)
    screenshot(page, "lens-attribution-narrow")
