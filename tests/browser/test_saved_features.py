"""A saved feature graph opens from disk with the network cut, and still answers the pointer and the sliders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from playwright.sync_api import Browser, Locator, expect
from views import part

import hookscope as hs


@pytest.fixture(scope="module")
def graph() -> Iterator[hs.FeatureGraph]:
    """With a subgraph, a supernode, a name, changes and what was generated with them."""
    texts = ["The capital of Sweden is Stockholm.", "Mary gave a drink to John."]
    view = hs.FeatureGraph(hs.load_model(), "The capital of Norway is", texts=texts)
    assert view.wait(60)
    found = sorted(view.result.nodes, key=lambda node: -node.influence)
    first, second, third, *_ = (node.id for node in found if node.kind == "feature")
    view.perform("pin_nodes", {"nodes": [first, second, third]})
    view.perform("group_features", {"nodes": [second, third], "name": "</script><b>Norway"})
    view.perform("name_feature", {"layer": 3, "feature": 560, "name": "say a capital"})
    view.perform("intervene", {"changes": [{"node": first, "scale": 0}], "generate": 3})
    view.pinned = first
    assert view.wait(60) and view.error is None
    yield view
    view.close()


@pytest.fixture(scope="module")
def saved(graph: hs.FeatureGraph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, pages = tmp_path_factory.mktemp("features"), {}
    for shows in ("graph", "subgraph"):
        graph.shows = shows
        pages[shows] = graph.save(folder / f"{shows}.html")
    return pages


def node(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-node="{name}"]')


@pytest.mark.parametrize("shows", ["graph", "subgraph"])
def test_it_works_offline_and_fits_a_narrow_page(browser: Browser, saved: dict[str, Path], shows: str):
    with offline_page(browser, saved[shows]) as page:
        view = page.locator(".hs-root")
        expect(node(view, "3_560_5")).to_have_attribute("aria-pressed", "true")
        expect(part(view, "card-title")).to_contain_text("say a capital: feature 560 of layer 3")
        expect(part(view, "effects").locator("tbody tr")).not_to_have_count(0)
        expect(part(view, "generated-with").locator("> *")).to_have_count(3)
        for name in ("run", "cancel", "prompt", "amount", "change-off", "feature-name", "group-name", "add-strongest"):
            expect(part(view, name)).to_have_count(0)
        assert axe_violations(page.locator("html")) == []
        screenshot(page, f"features-saved-{shows}")
        expect_no_sideways_scrolling(page)
        screenshot(page, f"features-narrow-{shows}")


def test_pointer_pin_and_slider_work_without_a_kernel(browser: Browser, saved: dict[str, Path], graph: hs.FeatureGraph):
    with offline_page(browser, saved["graph"]) as page:
        view = page.locator(".hs-root")
        dim = view.locator('[data-dim="true"]')
        node(view, "3_560_5").click()
        expect(part(view, "card")).to_have_count(0)
        page.mouse.move(0, 0)
        expect(dim).to_have_count(0)
        node(view, "0_592_5").hover()
        expect(dim).not_to_have_count(0)
        node(view, "0_592_5").click()
        expect(part(view, "card-title")).to_contain_text("feature 592 of layer 0")
        before = part(view, "graph").get_attribute("data-nodes")
        part(view, "node_share").focus()
        part(view, "node_share").press("Home")
        expect(part(view, "graph")).not_to_have_attribute("data-nodes", str(before))
        part(view, "shows").click()
        kept = part(view, "graph").locator('[data-kind="feature"], [data-kind="group"]')
        expect(kept).to_have_count(2)
        expect(kept.filter(has_text="</script><b>Norway")).to_have_count(1)


def test_a_report_has_it_too(browser: Browser, graph: hs.FeatureGraph, tmp_path: Path):
    graph.shows = "graph"
    report = hs.Report(["# Norway", graph], title="Norway").save(tmp_path / "report.html")
    with offline_page(browser, report) as page:
        view = part(page.locator("body"), "feature-graph")
        expect(part(view, "card-title")).to_contain_text("say a capital")
        expect(part(view, "subgraph")).to_contain_text("3 nodes")
        assert axe_violations(page.locator("html")) == []
        expect_no_sideways_scrolling(page)
