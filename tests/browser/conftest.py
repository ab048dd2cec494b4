"""One Chromium and one Jupyter server for all browser tests; a failing test leaves pictures of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import SCREENSHOTS, screenshot
from find_chromium import find_chromium
from lab import JupyterServer, Lab, jupyter_server
from playwright.sync_api import Browser, expect, sync_playwright
from vscode import Webview, build_harness, install_parts, webview_server

SECONDS = 30  # to wait for what a page should show; generous, since nothing here measures speed
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
        picture.unlink()  # of an earlier run
    assert path, "There is no Chromium: run tests/browser/find_chromium.py, or set HOOKSCOPE_CHROMIUM."
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        pytestconfig.stash[BROWSER] = chromium
        yield chromium
        chromium.close()


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
    """The notebook, in the light theme; nothing may have been said on the console by the end of the test."""
    notebook.complaints.clear()
    notebook.set_theme("light")
    yield notebook
    assert notebook.complaints == []


@pytest.fixture(scope="session")
def webview(browser: Browser, webview_files: Path, webview_origin: str, jupyter: JupyterServer) -> Webview:
    install_parts()
    build_harness(webview_files)
    return Webview(browser, webview_origin, jupyter, SETUP)


@pytest.fixture
def vscode(webview: Webview) -> Iterator[Webview]:
    """The webview, in the dark theme; nothing may have been said on the console by the end of the test."""
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
