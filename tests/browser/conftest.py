"""One Chromium and one Jupyter server for all browser tests; a failing test leaves pictures of its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attention_view import TWICE
from checks import SCREENSHOTS, complaints_of, screenshot
from find_chromium import find_chromium
from lab import OF_A_RESTART, JupyterServer, Lab, jupyter_server
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from views import expect_status, part
from vscode import Webview, build_harness, install_parts, webview_server

if TYPE_CHECKING:
    from circuitsvis_figures import Both

SECONDS = 60  # to wait for what a page should show; generous, since nothing here measures speed
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
BROWSER = pytest.StashKey[Browser]()

SETUP = """
import hookscope as hs

model = hs.load_model()
pair = hs.PromptPair(
    clean="The capital of Norway is", corrupt="The capital of Sweden is",
    clean_answer=" Oslo", corrupt_answer=" Stockholm",
)
"""


@pytest.fixture(scope="session")
def browser(pytestconfig: pytest.Config) -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    path = find_chromium()
    for picture in SCREENSHOTS.glob("failed-*.png"):
        picture.unlink(missing_ok=True)  # of an earlier run
    assert path, "There is no Chromium: run tests/browser/find_chromium.py, or set HOOKSCOPE_CHROMIUM."
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        pytestconfig.stash[BROWSER] = chromium
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def offline_pages(browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Two pages without a network.

    Each has a window of its own: what lies behind another page waits seconds for a frame.
    """
    contexts = [browser.new_context(offline=True, viewport={"width": 1000, "height": 800}) for _ in range(2)]
    yield contexts[0].new_page(), contexts[1].new_page()
    for context in contexts:
        context.close()


@pytest.fixture
def both(offline_pages: tuple[Page, Page]) -> Iterator[Callable[[Callable[[Any], Any]], Both]]:
    """Shows a figure as CircuitsVis and as Hookscope make it. By the end neither has loaded anything or had errors."""
    from circuitsvis_figures import Both

    complaints = [complaints_of(page) for page in offline_pages]
    asked: list[str] = []
    for page in offline_pages:
        page.on("request", lambda request: asked.append(request.url))
    yield lambda make: Both(offline_pages, make)
    assert complaints == [[], []]
    assert asked == []


@pytest.fixture(scope="session")
def webview_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webview")


@pytest.fixture(scope="session")
def webview_origin(webview_files: Path) -> Iterator[str]:
    with webview_server(webview_files) as origin:
        yield origin


@pytest.fixture(scope="session")
def jupyter(webview_origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), webview_origin) as server:
        yield server


@pytest.fixture(scope="session")
def notebook(browser: Browser, jupyter: JupyterServer) -> Lab:
    return Lab(browser, jupyter, "notebook", SETUP)


@pytest.fixture
def lab(notebook: Lab) -> Iterator[Lab]:
    """The notebook with its first cell alone, in the light theme; by the end its console has no errors.

    Each test shows its own widgets, so that it never sees what an earlier test has left in one.
    """
    notebook.complaints.clear()
    notebook.set_theme("light")
    notebook.page.mouse.move(0, 0)
    yield notebook
    notebook.clear()
    assert [one for one in notebook.complaints if not one.startswith(OF_A_RESTART)] == []


@pytest.fixture
def viewer(lab: Lab) -> Locator:
    """Attention on one prompt, with two heads opened."""
    view = lab.show(f"viewer = hs.AttentionViewer(model, {TWICE!r}, opened=[(1, 2), (0, 0)])\nviewer")
    return with_two_heads(view)


@pytest.fixture
def pair_viewer(lab: Lab) -> Locator:
    """Attention on both prompts of a pair, with two heads opened."""
    view = lab.show("pair_viewer = hs.AttentionViewer(model, pair, opened=[(1, 2), (0, 0)])\npair_viewer")
    return with_two_heads(view)


def with_two_heads(view: Locator) -> Locator:
    expect_status(view, "done")
    expect(part(view, "matrix")).to_have_count(2)
    return view


@pytest.fixture(scope="session")
def webview(browser: Browser, webview_files: Path, webview_origin: str, jupyter: JupyterServer) -> Webview:
    install_parts()
    build_harness(webview_files)
    return Webview(browser, webview_origin, jupyter, SETUP)


@pytest.fixture
def vscode(webview: Webview) -> Iterator[Webview]:
    """The webview, in the dark theme; by the end its console has no errors."""
    webview.complaints.clear()
    webview.set_theme("dark")
    yield webview
    assert webview.complaints == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed and BROWSER in item.config.stash:
        pages = [page for context in item.config.stash[BROWSER].contexts for page in context.pages]
        for number, page in enumerate(pages):
            screenshot(page, f"failed-{item.name}-{number}")
    return report
