"""The widgets in Notebook 7."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checks import screenshot
from conftest import SETUP
from lab import WAIT_UNTIL_READY, JupyterServer, Lab, Notebook7
from playwright.sync_api import Browser, expect
from views import (
    BENCH,
    BROKEN,
    HEATMAP,
    expect_linked_views,
    expect_status,
    expect_sweeps_and_pins,
    expect_the_error,
    part,
)

PICTURE = "img[class^='hookscope-picture']"


@pytest.fixture(scope="module")
def host(browser: Browser, jupyter: JupyterServer) -> Iterator[Lab]:
    host = Notebook7(browser, jupyter, "seven", SETUP, density=1)
    host.complaints.clear()  # of its own start: its settings lack a plugin
    yield host
    host.page.close()


def test_views_work_and_are_linked(host: Lab):
    expect_sweeps_and_pins(host.show(HEATMAP))
    host.expect("heatmap.selection", {"activation": "z", "layer": 3, "head": 1})
    expect_the_error(host.show(BROKEN))
    bench = host.show(BENCH)
    expect_linked_views(bench)
    assert host.complaints == []  # before the theme: Notebook 7's own settings complain of its command
    for theme in ("light", "dark"):
        host.set_theme(theme)
        expect(bench).to_have_attribute("data-hs-theme", theme)
        screenshot(host.page, f"notebook7-{theme}")


def test_without_a_kernel_it_shows_the_pictures(host: Lab, browser: Browser, jupyter: JupyterServer):
    pictures = host.page.locator(PICTURE)
    expect(pictures).to_have_count(2)
    expect(pictures.first).to_be_hidden()
    host.command("docmanager:save")
    host.page.reload()
    host.page.evaluate(WAIT_UNTIL_READY, 60)
    expect_status(part(host.page.locator("body"), "patch-heatmap").first, "done")
    expect(pictures.first).to_be_hidden()
    host.page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    page = browser.new_page()
    page.goto(f"{jupyter.url}/notebooks/seven.ipynb?token={jupyter.token}")
    for at in (0, 1):
        expect(page.locator(PICTURE).nth(at)).to_be_visible()
    expect(page.locator("div[class^='hookscope-picture']")).to_contain_text("run the cell again")  # of the broken one
    lost = page.get_by_text("Error displaying widget: model not found", exact=True)
    expect(lost).to_have_count(3)
    for sentence in lost.all():
        expect(sentence).to_be_hidden()
    page.close()
