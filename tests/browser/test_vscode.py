"""The widgets in a notebook webview of VS Code, with a real kernel, in each kind of theme."""

from __future__ import annotations

from pathlib import Path

import pytest
from attention_view import opened, toggle
from checks import axe_violations, expect_no_sideways_scrolling, screenshot
from contrast import hard_to_read
from playwright.sync_api import Locator, expect
from views import cell, choose, enter, expect_status, part, place_in, place_of
from vscode import THEMES, Webview

# A widget of each kind, which only the tests of themes and of the page's width look at.
SHOWN = """
shown_heatmap, shown_lens = hs.PatchHeatmap(model, pair), hs.LogitLensGrid(model, pair)
shown_circuit, shown_features = hs.CircuitGraph(model, pair), hs.FeatureGraph(model, pair)
shown_heatmap.wait(), shown_lens.wait(), shown_circuit.wait(), shown_features.wait()
shown_heatmap.selection, shown_lens.selection = {"layer": 3, "position": 5}, {"layer": 2, "position": 5}
with_warning = pair.model_copy(update={"corrupt": "The capital of Italy is "})
"""
ALL = {
    "heatmap": "shown_heatmap",
    "editor": "hs.PromptPairEditor(model, with_warning)",
    "lens": "shown_lens",
    "attention": "hs.AttentionViewer(model, pair)",
    "circuit": "shown_circuit",
    "features": "shown_features",
}


@pytest.fixture(scope="module")
def views(webview: Webview) -> dict[str, Locator]:
    webview.python(SHOWN)
    shown = {name: webview.show(code) for name, code in ALL.items()}
    for name in ("heatmap", "lens", "attention", "circuit", "features"):
        expect_status(shown[name], "done")
    expect(part(shown["heatmap"], "pin")).to_have_count(1)
    expect(part(shown["lens"], "lines")).to_be_visible()
    expect(part(shown["editor"], "fix").first).to_be_visible()
    expect(part(shown["editor"], "top-corrupt").locator("tr").first).not_to_have_text("")
    return shown


@pytest.fixture
def heatmap(vscode: Webview) -> Locator:
    view = vscode.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    expect_status(view, "done")
    return view


def test_a_sweep_runs_and_a_click_reaches_python(vscode: Webview, heatmap: Locator):
    choose(heatmap, "direction", "corrupt → clean")
    expect(cell(heatmap, 23)).to_contain_text("changes")
    expect_status(heatmap, "done")
    part(heatmap, "cells").click(position=place_of(heatmap, 3, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "23")
    vscode.expect("heatmap.selection", {"activation": "resid_pre", "layer": 3, "position": 5, "side": "clean"})


def test_typing_shows_tokens_and_what_the_model_says(vscode: Webview):
    editor = vscode.show("editor = hs.PromptPairEditor(model, pair)\neditor")
    part(editor, "input-corrupt").fill("The capital of Italy is ")
    expect(part(editor, "tokens-corrupt")).to_contain_text("Italy")
    expect(part(editor, "fix").first).to_be_visible()
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")
    expect(part(editor, "top-corrupt").locator("tr").first).not_to_have_text("")


def test_a_lens_follows_a_token_and_a_click_reaches_python(vscode: Webview):
    lens = vscode.show("lens = hs.LogitLensGrid(model, pair)\nlens")
    expect_status(lens, "done")
    enter(lens, "input-follow", " Paris")
    expect(part(lens, "target")).to_have_count(3)
    part(lens, "cells").click(position=place_in(lens, 3, 5))
    expect(part(lens, "line")).to_have_count(5)
    vscode.expect("lens.selection", {"activation": "resid_post", "layer": 2, "position": 5, "side": "clean"})


def test_an_attention_head_opens_and_a_click_reaches_python(vscode: Webview):
    attention = vscode.show("attention = hs.AttentionViewer(model, pair)\nattention")
    expect_status(attention, "done")
    toggle(attention, 2, 1)
    expect(opened(attention, "2.1")).to_be_visible()
    part(attention, "token").nth(5).click()
    expect(part(attention, "token").nth(5)).to_have_attribute("aria-selected", "true")
    vscode.expect("attention.opened[-1], attention.selection", "[2, 1] {'position': 5, 'side': 'clean'}")
    choose(attention, "kind", "scores")
    expect(part(attention, "subtitle")).to_contain_text("scores · clean")
    expect_status(attention, "done")


def test_a_path_is_followed_in_a_circuit_graph(vscode: Webview):
    graph = vscode.show("graph = hs.CircuitGraph(model, pair)\ngraph")
    expect_status(graph, "done")
    graph.get_by_role("tab", name="Paths").click()
    part(graph, "senders").locator("li", has_text="mlp 3").locator("button").click()
    expect(part(graph, "senders").locator("h3")).to_contain_text("Into MLP 3")
    vscode.expect("graph.trail, graph.selection", "[['logits'], ['m3']] {'activation': 'mlp_out', 'layer': 3}")
    expect(part(graph, "senders").locator("li").first).to_contain_text("mlp 0")
    vscode.expect("graph.wait() and graph.status", "done")


def test_a_feature_is_pinned_and_switched_off_in_the_model(vscode: Webview):
    features = vscode.show("features = hs.FeatureGraph(model, pair)\nfeatures")
    expect_status(features, "done")
    features.locator('[data-node="3_560_5"]').click()
    expect(part(features, "card-title")).to_contain_text("feature 560 of layer 3")
    part(features, "change-off").click()
    vscode.expect("features.changes", [{"node": "3_560_5", "scale": 0.0, "positions": "here"}])
    expect(part(features, "effects-said")).to_contain_text("the model did")


@pytest.mark.parametrize("theme", THEMES)
def test_everything_is_readable_and_accessible_in_the_theme(vscode: Webview, views: dict[str, Locator], theme: str):
    vscode.set_theme(theme)
    for name, view in views.items():
        expect(view).to_have_attribute("data-hs-theme", "light" if "light" in theme else "dark")
        screenshot(view, f"vscode-{name}-{theme}")
        assert axe_violations(view) == []
        if name != "attention":  # the numbers in its small pictures are no text
            assert hard_to_read(view) == []


def test_nothing_is_wider_than_a_narrow_page(vscode: Webview, views: dict[str, Locator]):
    for view in views.values():
        expect(view).to_be_visible()
    expect_no_sideways_scrolling(vscode.page)
    screenshot(vscode.page.locator("body"), "vscode-narrow")
    vscode.page.set_viewport_size({"width": 1100, "height": 1400})


def test_while_a_cell_runs_the_widget_says_that_it_waits(vscode: Webview, heatmap: Locator, tmp_path: Path):
    with vscode.busy(tmp_path / "over"):
        choose(heatmap, "direction", "corrupt → clean")
        expect(part(heatmap, "waiting")).to_contain_text("Waiting for the running cell")
    expect(part(heatmap, "waiting")).to_have_count(0)
    expect(cell(heatmap, 23)).to_contain_text("changes")
    expect_status(heatmap, "done")
    vscode.expect("heatmap.direction", "noise")


def test_a_picture_is_stored_below_the_view_which_hides_it_as_long_as_it_lives(vscode: Webview, heatmap: Locator):
    picture = vscode.page.locator(f"img.{vscode.value('heatmap._picture')}")
    expect(picture).to_have_count(1)
    expect(picture).to_be_hidden()
    vscode.python("heatmap.close()")
    expect(heatmap).to_have_count(0)
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => getComputedStyle(image).filter").startswith("invert(1)")  # the page is dark
    screenshot(vscode.page.locator("body"), "vscode-picture")
