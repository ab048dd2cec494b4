"""Every view in a report: with text twice as large nothing is cut, and nothing moves where that is unwanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checks import screenshot
from playwright.sync_api import Browser, Page, expect

import hookscope as hs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    bench = hs.Workbench(hs.load_model(), pair)
    bench.add("circuit")
    bench.add("features")
    assert bench.wait(60)
    bench.selection = {"layer": 2, "position": 5}
    path = bench.report().save(tmp_path_factory.mktemp("zoom") / "report.html")
    bench.close()
    return path


@contextmanager
def shown(browser: Browser, report: Path, width: int, reduced: bool = False) -> Iterator[Page]:
    """In a browser that can enlarge text alone, as browsers of phones do."""
    context = browser.new_context(
        offline=True,
        is_mobile=True,
        viewport={"width": width, "height": 900},
        reduced_motion="reduce" if reduced else "no-preference",
    )
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.locator(".hs-root")).to_have_count(6)
    yield page
    context.close()


TWICE_AS_LARGE = "html { -webkit-text-size-adjust: 200%; text-size-adjust: 200%; font-size: 200% }"
FONT_SIZE = "() => parseFloat(getComputedStyle(document.querySelector('.hs-title')).fontSize)"
# Controls that are not wholly within their view, or whose text is not within them.
CUT = """() => [...document.querySelectorAll('.hs-root')].flatMap((root) => {
  const room = root.getBoundingClientRect();
  return [...root.querySelectorAll('button, select, input, [role=tab]')].filter((control) => {
    if (control.closest('.hs-fg')) return false; // a node of the feature graph's picture, which scrolls
    const { left, right, width } = control.getBoundingClientRect();
    const cut = control.matches('button') && control.scrollWidth > control.clientWidth + 1;
    return width > 0 && (cut || left < room.left - 1 || right > room.right + 1);
  }).map((control) => `${root.dataset.hs}: ${control.outerHTML.slice(0, 120)}`);
})"""


@pytest.mark.parametrize(("width", "css"), [(400, ""), (800, TWICE_AS_LARGE)])
def test_no_control_is_cut_and_nothing_scrolls_sideways(browser: Browser, report: Path, width: int, css: str):
    with shown(browser, report, width) as page:
        before = page.evaluate(FONT_SIZE)
        if css:
            page.add_style_tag(content=css)
            page.wait_for_function(f"(before) => ({FONT_SIZE})() === 2 * before", arg=before)
        page.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)
        screenshot(page, f"zoom-{width}")
        assert page.evaluate(CUT) == []


# What moves does so for moments only, so each view also gets elements of the kinds that move.
MOVING = """() => [...document.querySelectorAll('.hs-root')].flatMap((root) => {
  root.insertAdjacentHTML('beforeend', '<p class="hs-bar"><i></i></p><p class="hs-stale"></p>');
  return [...root.querySelectorAll('*')].filter((element) => {
    const { transitionDuration, animationName } = getComputedStyle(element);
    return animationName !== 'none' || transitionDuration.split(',').some((time) => parseFloat(time) > 0);
  });
}).length"""


def test_nothing_moves_where_motion_is_unwanted(browser: Browser, report: Path):
    moving = []
    for reduced in (True, False):
        with shown(browser, report, 1000, reduced) as page:
            moving.append(page.evaluate(MOVING))
    assert moving == [0, 14]
