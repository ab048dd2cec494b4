"""The widgets in Voila, which runs a notebook and serves what it shows as a page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import nbformat
import pytest
from checks import complaints_of, screenshot
from conftest import SETUP
from lab import JupyterServer
from playwright.sync_api import Browser, Page, Route, expect
from views import BENCH, BROKEN, HEATMAP, expect_linked_views, expect_sweeps_and_pins, expect_the_error

# Voila's own page asks for fonts and styles there.
OF_VOILA = {"cdn.jsdelivr.net", "cdnjs.cloudflare.com"}


@pytest.fixture(scope="module", params=["light", "dark"])
def page(browser: Browser, jupyter: JupyterServer, request: pytest.FixtureRequest) -> Iterator[Page]:
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, HEATMAP, BROKEN, BENCH)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), jupyter.notebooks / "voila.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    refused: list[str] = []

    def only_here(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.hostname in (None, "127.0.0.1"):
            route.continue_()
        else:
            refused.append(str(address.hostname))
            route.abort()

    page.route("**/*", only_here)
    complaints = complaints_of(page)
    page.goto(f"{jupyter.url}/voila/render/voila.ipynb?token={jupyter.token}&theme={request.param}")
    yield page
    screenshot(page, f"voila-{request.param}")
    assert set(refused) <= OF_VOILA
    # Of those requests, and of extensions of JupyterLab that Voila's own script can't load.
    assert [one for one in complaints if "ERR_FAILED" not in one and "/static/" not in one] == []
    page.close()


def test_views_work_and_are_linked(page: Page):
    theme = "dark" if "theme=dark" in page.url else "light"
    heatmap, broken, bench = (page.locator(".hs-root").nth(at) for at in (0, 1, 2))
    expect(bench).to_have_attribute("data-hs", "workbench")
    expect_sweeps_and_pins(heatmap)
    expect_the_error(broken)
    expect_linked_views(bench)
    for view in (heatmap, broken, bench):
        expect(view).to_have_attribute("data-hs-theme", theme)
    expect(page.locator("img[class^='hookscope-picture']")).to_have_count(0)
