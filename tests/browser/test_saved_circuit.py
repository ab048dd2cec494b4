"""A saved circuit graph opens from disk with the network cut, in each of its tabs, and still answers the pointer."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from playwright.sync_api import Browser, expect
from views import part

import hookscope as hs
import interp_backend as ib

TABS = {"edges": "largest", "paths": "senders", "faithfulness": "robustness", "scrubbing": "inspector"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    words = [
        {"country": country, "capital": capital} for country, capital in (("Norway", "Oslo"), ("Sweden", "Stockholm"))
    ]
    data = ib.PromptPairs.from_template("The capital of {country} is", words, answer=" {capital}")
    said = {node: "answer" for node in ("m1", "m2")}
    hypothesis = ib.Hypothesis(edges=["m1->logits", "m2->logits", "m3->logits"], agree=said)
    graph = hs.CircuitGraph(hs.load_model(), pair, data=data, hypothesis=hypothesis)
    graph.follow("m3")
    assert graph.wait(60)
    graph.tab, graph.setting = "faithfulness", {"ablation": "zero", "level": "edge", "positions": "all"}
    assert graph.wait(60)
    folder, pages = tmp_path_factory.mktemp("circuit"), {}
    for tab in TABS:
        graph.tab = tab
        assert graph.wait(60)
        pages[tab] = graph.save(folder / f"{tab}.html")
    graph.close()
    return pages


@pytest.mark.parametrize("tab", TABS)
def test_it_works_offline_and_fits_a_narrow_page(browser: Browser, saved: dict[str, Path], tab: str):
    with offline_page(browser, saved[tab]) as page:
        view = page.locator(".hs-root")
        expect(part(view, TABS[tab])).to_be_visible()
        for name in ("run", "cancel", "metric", "crumb"):
            expect(part(view, name)).to_have_count(0)
        assert axe_violations(page.locator("html")) == []
        if tab == "scrubbing":
            expect(part(view, "scrub-words")).to_contain_text("The hypothesis keeps")
            expect(part(view, "stand-ins").locator("li")).to_have_count(4)
            part(view, "datum-next").click()
            expect(part(view, "inspected")).to_contain_text("Sweden")
        elif tab == "faithfulness":
            part(view, "curve-chart").hover(position={"x": 60, "y": 60})
            expect(part(view, "curve-words")).not_to_contain_text("100% of all")
            expect(part(view, "areas")).to_contain_text("CMD")
        else:
            dim = view.locator('[data-dim="true"]')
            expect(dim).to_have_count(0)
            view.locator('[data-node="m1"]').hover()
            expect(dim).not_to_have_count(0)
        screenshot(page, f"circuit-saved-{tab}")
        expect_no_sideways_scrolling(page)
        screenshot(page, f"circuit-narrow-{tab}")


def test_tabs_pins_and_the_slider_work_without_a_kernel(browser: Browser, saved: dict[str, Path]):
    with offline_page(browser, saved["edges"]) as page:
        view = page.locator(".hs-root")
        view.locator('[data-node="m3"]').click()
        expect(part(view, "node")).to_contain_text("MLP 3")
        part(view, "edges").focus()
        part(view, "edges").press("Home")
        expect(part(view, "circuit-size")).to_contain_text("0 edges of 479")
        view.get_by_role("tab", name="Paths").click()
        expect(part(view, "senders")).to_contain_text("Into MLP 3")
        view.get_by_role("tab", name="Faithfulness").click()
        expect(part(view, "robustness")).to_be_visible()
