"""The picture that a notebook stores below a view: unseen while the view lives, shown in its place when it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from checks import complaints_of, screenshot
from conftest import SETUP
from lab import WAIT_UNTIL_READY, JupyterServer, Lab
from playwright.sync_api import Browser, Locator, Page, expect
from views import choose, expect_status, part

NAME = "pictures"
PICTURE = "img[class^='hookscope-picture']"
SHOWN = "heatmap = hs.PatchHeatmap(model, pair)\nheatmap"
OF_NBCONVERT = (
    "cdnjs.cloudflare.com",
    "unpkg.com",
    "cdn.jsdelivr.net",
    "fonts.googleapis.com",
)  # its own scripts and styles
OUTPUTS = "() => jupyterapp.shell.currentWidget.content.model.toJSON().cells.flatMap(({ outputs = [] }) => outputs)"
RESTORED = """async () => {
  while (!window.jupyterapp) await new Promise((resolve) => setTimeout(resolve, 50));
  await jupyterapp.restored;
}"""


@pytest.fixture(scope="module")
def pictures(browser: Browser, jupyter: JupyterServer) -> Iterator[Lab]:
    """A notebook of its own, since these tests open it anew."""
    lab = Lab(browser, jupyter, NAME, SETUP, density=1)
    view = lab.show(SHOWN)
    expect_status(view, "done")
    bench = lab.show("bench = hs.Workbench(model, pair)\nbench")
    expect(part(bench, "slot")).to_have_count(4)
    yield lab
    lab.page.close()


def pictures_of(page: Page) -> Locator:
    return page.locator(f".jp-OutputArea {PICTURE}")


def test_it_comes_and_changes_without_a_trace_on_the_page(pictures: Lab):
    expect(pictures_of(pictures.page)).to_have_count(2)
    view = pictures.page.locator("#shown-1")
    view.locator(".hs-root").evaluate("(root) => { root.remembered = true }")
    heights = "(cell) => [...cell.querySelectorAll('.jp-OutputArea-child')].map((child) => child.offsetHeight)"
    before, source = view.evaluate(heights), view.locator(PICTURE).get_attribute("src")
    assert before[0] > 100 and before[1:] == [0]
    choose(view, "direction", "corrupt → clean")
    expect(view.locator(PICTURE)).not_to_have_attribute("src", str(source))
    assert view.locator(".hs-root").evaluate("(root) => root.remembered === true")
    assert view.evaluate(heights) == before
    stored = [output for output in pictures.page.evaluate(OUTPUTS) if "image/png" in output["data"]]
    assert [len(json.dumps(output)) < size for output, size in zip(stored, (40_000, 120_000))] == [True, True]


def test_after_a_reload_the_views_are_alive_and_the_pictures_hidden(pictures: Lab):
    pictures.command("docmanager:save")
    pictures.page.reload()
    pictures.page.evaluate(WAIT_UNTIL_READY, 60)
    expect(pictures.page.locator("[data-hs=workbench] [data-hs=slot]")).to_have_count(4)
    for picture in pictures_of(pictures.page).all():
        expect(picture).to_be_hidden()
    heatmap = pictures.page.locator("[data-hs=patch-heatmap]").first
    choose(heatmap, "direction", "clean → corrupt")
    expect(heatmap).to_contain_text("clean into corrupt")
    pictures.expect("heatmap.wait() and heatmap.direction", "denoise")


def opened(browser: Browser, server: JupyterServer, name: str) -> Page:
    page = browser.new_page(viewport={"width": 1200, "height": 1600})
    page.goto(f"{server.url}/lab/workspaces/{name}/tree/{name}.ipynb?reset&token={server.token}")
    page.evaluate(RESTORED)
    return page


def test_without_a_kernel_the_notebook_shows_the_pictures_alone(
    pictures: Lab, browser: Browser, jupyter: JupyterServer
):
    pictures.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page = opened(browser, jupyter, NAME)
    for picture in (pictures_of(page).nth(0), pictures_of(page).nth(1)):
        expect(picture).to_be_visible()
        assert picture.evaluate("(image) => image.complete && image.naturalWidth > 300")
    lost = page.get_by_text("Error displaying widget: model not found", exact=True)
    expect(lost).to_have_count(2)  # JupyterLab waits for two seconds
    for sentence in lost.all():
        expect(sentence).to_be_hidden()
    screenshot(page, "notebook-without-kernel")
    page.close()


@pytest.mark.parametrize("options", ["html", "html --template=classic", "html --theme=dark", "slides"])
def test_converted_to_a_page_it_shows_the_pictures_offline(browser: Browser, jupyter: JupyterServer, options: str):
    command = [sys.executable, "-m", "nbconvert", f"{NAME}.ipynb", "--to", *options.split(), "--output=converted"]
    subprocess.run(command, cwd=jupyter.notebooks, check=True, capture_output=True, timeout=300)
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 1600})
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: request.url.startswith("http") and elsewhere.append(request.url))
    page.goto(next(jupyter.notebooks.glob("converted*.html")).as_uri())
    for at in (0, 1):
        expect(page.locator(PICTURE).nth(at)).to_be_visible()
        assert page.locator(PICTURE).nth(at).evaluate("(image) => image.naturalWidth > 300")
    assert page.get_by_text("Loading widget").count() == 0
    assert [url for url in elsewhere if not urlsplit(url).hostname.startswith(OF_NBCONVERT)] == []
    screenshot(page, f"converted-{'-'.join(options.replace('=', '-').replace(' --', '-').split())}")
    context.close()
    for file in jupyter.notebooks.glob("converted*.html"):
        file.unlink()


def test_a_notebook_without_trust_shows_the_pictures_too(pictures: Lab, browser: Browser, jupyter: JupyterServer):
    notebook = json.loads((jupyter.notebooks / f"{NAME}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        cell["source"] += "\n# changed by another hand"
        for output in cell["outputs"]:
            output["metadata"]["changed"] = True
    (jupyter.notebooks / "strange.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    page = opened(browser, jupyter, "strange")
    complaints = complaints_of(page)
    for picture in (page.locator(".jp-OutputArea img").nth(0), page.locator(".jp-OutputArea img").nth(1)):
        expect(picture).to_be_visible()
    expect(page.get_by_text("trust this notebook or run the cell again").first).to_be_visible()
    screenshot(page, "notebook-without-trust")
    assert complaints == []
    page.close()
