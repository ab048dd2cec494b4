"""The widgets in a notebook webview of VS Code, with a real kernel, in each kind of theme."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import axe_violations, screenshot, wider_than_its_page
from contrast import hard_to_read
from playwright.sync_api import Locator, expect
from views import cell, choose, expect_status, part, place_in, place_of
from vscode import THEMES, Webview


@pytest.fixture(scope="module")
def heatmap(webview: Webview) -> Locator:
    return webview.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")


@pytest.fixture(scope="module")
def editor(webview: Webview) -> Locator:
    return webview.show("editor = hs.PromptPairEditor(model, pair)\neditor")


@pytest.fixture(scope="module")
def lens(webview: Webview) -> Locator:
    return webview.show("lens = hs.LogitLensGrid(model, pair)\nlens")


@pytest.fixture(scope="module")
def attention(webview: Webview) -> Locator:
    return webview.show("attention = hs.AttentionViewer(model, pair)\nattention")


def test_a_sweep_runs_and_a_click_reaches_python(vscode: Webview, heatmap: Locator):
    expect_status(heatmap, "done")
    choose(heatmap, "direction", "corrupt → clean")
    expect(cell(heatmap, 23)).to_contain_text("changes")
    expect_status(heatmap, "done")
    part(heatmap, "cells").click(position=place_of(heatmap, 3, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "23")
    assert vscode.python("print(heatmap.selection)") == "{'layer': 3, 'position': 5}"


def test_typing_shows_tokens_and_what_the_model_says(vscode: Webview, editor: Locator):
    part(editor, "input-corrupt").fill("The capital of Italy is ")
    expect(part(editor, "tokens-corrupt")).to_contain_text("Italy")
    expect(part(editor, "fix").first).to_be_visible()
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")


def test_a_lens_follows_a_token_and_a_click_reaches_python(vscode: Webview, lens: Locator):
    expect_status(lens, "done")
    part(lens, "input-follow").fill(" Paris")
    part(lens, "input-follow").press("Enter")
    expect(part(lens, "target")).to_have_count(3)
    part(lens, "cells").click(position=place_in(lens, 3, 5))
    expect(part(lens, "line")).to_have_count(5)
    assert vscode.python("print(lens.selection)") == "{'row': 3, 'position': 5}"


def test_an_attention_head_opens_and_a_click_reaches_python(vscode: Webview, attention: Locator):
    expect_status(attention, "done")
    part(attention, "cells").click(position=place_of(attention, 2, 1, "heads-grid"))
    expect(attention.locator('[data-hs="opened-head"][data-head="2.1"]')).to_be_visible()
    part(attention, "token").nth(5).click()
    expect(part(attention, "token").nth(5)).to_have_attribute("aria-selected", "true")
    assert vscode.python("print(attention.opened[-1], attention.selection)") == "[2, 1] {'destination': 5}"
    choose(attention, "kind", "scores")
    expect(part(attention, "subtitle")).to_contain_text("scores · clean")
    expect_status(attention, "done")


@pytest.mark.parametrize("theme", THEMES)
def test_everything_is_readable_in_the_theme(
    vscode: Webview, heatmap: Locator, editor: Locator, lens: Locator, theme: str
):
    expect_status(heatmap, "done")
    vscode.set_theme(theme)
    for name, view in (("heatmap", heatmap), ("editor", editor), ("lens", lens)):
        expect(view).to_have_attribute("data-hs-theme", "light" if "light" in theme else "dark")
        screenshot(view, f"vscode-{name}-{theme}")
        assert hard_to_read(view) == []
        assert axe_violations(view) == []


@pytest.mark.parametrize("theme", THEMES)
def test_attention_is_accessible_in_the_theme(vscode: Webview, attention: Locator, theme: str):
    expect_status(attention, "done")
    vscode.set_theme(theme)
    expect(attention).to_have_attribute("data-hs-theme", "light" if "light" in theme else "dark")
    screenshot(attention, f"vscode-attention-{theme}")
    assert axe_violations(attention) == []


def test_nothing_is_wider_than_a_narrow_page(
    vscode: Webview, heatmap: Locator, editor: Locator, lens: Locator, attention: Locator
):
    vscode.page.set_viewport_size({"width": 400, "height": 1400})
    for view in (heatmap, editor, lens, attention):
        expect(view).to_be_visible()
    assert wider_than_its_page(vscode.page) == 0
    screenshot(vscode.page.locator("body"), "vscode-narrow")
    vscode.page.set_viewport_size({"width": 1100, "height": 1400})


def test_while_a_cell_runs_the_widget_says_that_it_waits(vscode: Webview, heatmap: Locator, tmp_path: Path):
    with vscode.busy(tmp_path / "over"):
        choose(heatmap, "metric", "probability")
        expect(part(heatmap, "waiting")).to_contain_text("Waiting for the running cell")
    expect(part(heatmap, "waiting")).to_have_count(0)
    expect_status(heatmap, "done")
    assert vscode.python("heatmap.wait()\nprint(heatmap.metric)") == "prob"
