"""A saved circuit graph opens from disk with the network cut, in each of its tabs, and still answers the pointer."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from large_graph import EDGES, large_graph
from playwright.sync_api import Browser, Locator, expect
from views import part

import hookscope as hs
import interp_backend as ib

TABS = {
    "edges": "largest",
    "acdc": "found",
    "paths": "senders",
    "faithfulness": "robustness",
    "scrubbing": "inspector",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    cities = {"Norway": "Oslo", "Egypt": "Cairo", "France": "Paris", "Japan": "Tokyo"}
    words = [{"country": country, "capital": capital} for country, capital in cities.items()]
    phrasings = ("The capital city of {country} is", "In {country}, the capital is")
    several = [ib.PromptPairs.from_template(text, words, answer=" {capital}") for text in phrasings]
    data = ib.PromptPairs([pair for pairs in several for pair in pairs])
    said = {node: "answer" for node in ("m1", "m2")}
    hypothesis = ib.Hypothesis(edges=["m1->logits", "m2->logits", "m3->logits"], agree=said)
    graph = hs.CircuitGraph(hs.load_model(), pair, data=data, hypothesis=hypothesis)
    graph.follow("m3")
    graph.search = {"threshold": [0.1, 1.0], "start": 60}
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
            expect(part(view, "inspected")).to_contain_text("Egypt")
        elif tab == "faithfulness":
            part(view, "curve-chart").hover(position={"x": 60, "y": 60})
            expect(part(view, "curve-words")).not_to_contain_text("100% of all")
            expect(part(view, "areas")).to_contain_text("CMD")
        elif tab == "acdc":
            first = part(view, "circuit").get_attribute("data-edges")
            part(view, "threshold").focus()
            part(view, "threshold").press("End")
            expect(part(view, "threshold-shown")).to_have_text("1")
            expect(part(view, "circuit")).not_to_have_attribute("data-edges", str(first))
        else:
            dim = view.locator('[data-dim="true"]')
            expect(dim).to_have_count(0)
            # No path leads through two heads of a layer, nor through what is written after the last one.
            view.locator('[data-node="m3"]').hover()
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


SCALE = "(picture) => new DOMMatrix(getComputedStyle(picture).transform).a"


def scale_of(view: Locator) -> float:
    return part(view, "circuit").evaluate(SCALE)


def test_ctrl_and_the_wheel_enlarge_the_circuit_and_a_drag_moves_it(browser: Browser, saved: dict[str, Path]):
    with offline_page(browser, saved["edges"]) as page:
        view = page.locator(".hs-root")
        picture = part(view, "circuit")
        page.set_viewport_size({"width": 900, "height": 300})
        view.locator('[data-node="m1"]').hover()
        page.mouse.wheel(0, 100)  # the page's own
        page.wait_for_function("scrollY > 0")
        assert scale_of(view) == 1
        expect(part(view, "zoom-in")).to_have_count(0)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        expect(part(view, "zoom-fit")).to_be_visible()
        assert scale_of(view) > 1
        page.set_viewport_size({"width": 900, "height": 1000})
        expect(part(view, "zoom-fit")).to_be_visible()
        before = picture.bounding_box()
        view_box = view.locator(".hs-circuit").bounding_box()
        assert before and view_box
        free = "([x, y]) => !document.elementFromPoint(x, y).closest('button')"
        middle = view_box["x"] + view_box["width"] / 2
        heights = (view_box["y"] + view_box["height"] / 2 + 5 * i for i in range(20))
        y = next(y for y in heights if page.evaluate(free, [middle, y]))
        page.mouse.move(middle, y)
        page.mouse.down()
        page.mouse.move(middle + 30, y, steps=3)
        page.mouse.up()
        after = picture.bounding_box()
        assert after and after["x"] != before["x"]
        part(view, "zoom-fit").click()
        expect(part(view, "zoom-fit")).to_have_count(0)
        assert scale_of(view) == 1


def test_the_circuit_by_flow_its_table_and_its_svg_without_a_kernel(browser: Browser, saved: dict[str, Path]):
    with offline_page(browser, saved["edges"]) as page:
        view = page.locator(".hs-root")
        part(view, "arrange").select_option(label=BY_FLOW)
        expect(part(view, "circuit")).to_have_attribute("data-arrange", "flow")
        part(view, "table").click()
        edges = int(part(view, "circuit").get_attribute("data-edges") or 0)
        expect(part(view, "edge-table").locator("tbody tr")).to_have_count(edges)
        part(view, "edge-table").focus()
        assert axe_violations(page.locator("html")) == []
        with page.expect_download() as download:
            part(view, "save").select_option("svg")
        assert download.value.suggested_filename == "circuit.svg"
        picture = xml.parse(download.value.path()).getroot()
        names = {"path": "{http://www.w3.org/2000/svg}path", "text": "{http://www.w3.org/2000/svg}text"}
        titled = [one for one in picture.iter(names["path"]) if len(one)]
        assert len(titled) == edges
        words = [one.text for one in picture.iter(names["text"])]
        assert {"Circuit", "embed", "logits", "mlp 0", "the reverse"} <= set(words)
        screenshot(page, "circuit-flow")
        expect_no_sideways_scrolling(page)
        screenshot(page, "circuit-flow-narrow")


BY_FLOW = "by flow \u2014 few edges cross; layers stay in their order"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hs.CircuitGraph(result=large_graph(), edges=EDGES).save(tmp_path_factory.mktemp("large") / "large.html")


@pytest.mark.parametrize("dark", [False, True])
def test_500_nodes_fit_at_first_and_can_be_read_closer(browser: Browser, large: Path, dark: bool):
    with offline_page(browser, large) as page:
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_viewport_size({"width": 1100, "height": 1100})
        view = page.locator(".hs-root")
        expect(part(view, "circuit")).to_have_attribute("data-nodes", "506")
        for name in ("input", "logits", "a0.h0", "a23.h19"):
            expect(view.locator(f'[data-node="{name}"]')).to_be_in_viewport(ratio=1)
        assert scale_of(view) < 1
        assert part(view, "arrange").locator("option").last.is_disabled()
        expect(view.locator('[data-dim="true"]')).to_have_count(0)
        view.locator('[data-node="a12.h7"]').hover()
        # Once the pointer rests, what no path through the head leads through is dimmed.
        expect(view.locator('[data-dim="true"]')).not_to_have_count(0)
        expect(view.locator('[data-node="a12.h8"]')).to_have_attribute("data-dim", "true")
        screenshot(page, f"circuit-large-{'dark' if dark else 'light'}")
        for _ in range(3):
            part(view, "zoom-in").click()
        expect(view.locator('[data-node="a0.h0"]')).not_to_be_in_viewport()
        view.locator('[data-node="logits"]').focus()
        expect(view.locator('[data-node="logits"]')).to_be_in_viewport(ratio=0.99)
        screenshot(page, f"circuit-large-closer-{'dark' if dark else 'light'}")
        page.mouse.move(0, 0)
        assert axe_violations(view) == []


def test_on_a_narrow_screen_the_large_circuit_fits_too(browser: Browser, large: Path):
    with offline_page(browser, large, width=400) as page:
        view = page.locator(".hs-root")
        page.set_viewport_size({"width": 400, "height": 900})
        expect(view.locator('[data-node="a23.h19"]')).to_be_in_viewport(ratio=1)
        expect_no_sideways_scrolling(page)
        screenshot(page, "circuit-large-narrow")
