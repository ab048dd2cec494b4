"""The widgets in marimo: inside shadow roots, with cells that run again when a place is pinned."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import complaints_of, screenshot
from lab import free_port, wait_until_it_answers
from playwright.sync_api import Browser, Page, expect
from views import choose, expect_linked_views, expect_sweeps_and_pins, expect_the_error, part, place_of

APP = Path(__file__).parent / "marimo_app.py"


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("marimo")
    settings = directory / "marimo" / "marimo.toml"
    settings.parent.mkdir()
    settings.write_text('[display]\ntheme = "system"\n', encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "marimo", "--yes", "run", str(APP), "--headless", "--no-token"]
    homes = {name: str(directory) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--port={port}"],
            env={**os.environ, **homes},
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
            page = browser.new_page(viewport={"width": 1280, "height": 2400})
            complaints = complaints_of(page)
            elsewhere: list[str] = []
            page.on("request", lambda request: "//127.0.0.1" in request.url or elsewhere.append(request.url))
            page.goto(f"http://127.0.0.1:{port}/")
            yield page
            assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []
            assert complaints == []
            page.close()
        finally:
            process.terminate()
            process.wait(60)


def test_views_work_in_their_shadow_roots_and_cells_react(page: Page):
    heatmap, broken, lens, bench = (page.locator(".hs-root").nth(at) for at in range(4))
    expect(bench).to_have_attribute("data-hs", "workbench")
    in_shadow = "(root) => [root.getRootNode() instanceof ShadowRoot, getComputedStyle(root).paddingLeft]"
    for view in (heatmap, broken, lens, bench):
        assert view.evaluate(in_shadow) == [True, "16px"]
    pinned = page.get_by_text(re.compile("^pinned: "))
    expect(pinned).to_have_text("pinned: None")
    expect_sweeps_and_pins(heatmap)
    expect(pinned).to_have_text("pinned: {'activation': 'z', 'layer': 3, 'head': 1}")
    expect_the_error(broken)
    choose(heatmap, "activation", "resid_pre")
    column = 5
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", str(column + 1))
    part(heatmap, "cells").click(position=place_of(heatmap, 2, column))
    expect(pinned).to_contain_text("'layer': 2, 'position': 5")
    expect(part(lens, "detail-cell")).to_contain_text("layer 2")  # by `hs.link`, from another cell
    expect_linked_views(bench)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_takes_the_theme(page: Page, theme: str):
    page.emulate_media(color_scheme=theme)
    for at in range(4):
        expect(page.locator(".hs-root").nth(at)).to_have_attribute("data-hs-theme", theme)
    screenshot(page, f"marimo-{theme}")
