"""A report opens from disk with the network cut, pins across its views, and runs nothing that a text could bring."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from playwright.sync_api import Browser, expect
from views import expect_status, part, place_of

import hookscope as hs
import interp_backend as ib

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e[x](javascript:alert(3))"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = hs.load_model()
    pair = hs.PromptPair(
        clean=f"{HOSTILE} The capital of Norway is",
        corrupt=f"{HOSTILE} The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    bench = hs.Workbench(model, pair)
    bench.add("circuit")
    report = bench.report(title=HOSTILE, notes=f"# Notes\n\n{HOSTILE}\n\n[a link](https://example.org)")
    report.parts += [ib.head_scores(model), HOSTILE]
    path = report.save(tmp_path_factory.mktemp("report") / "report.html")
    bench.close()
    return path


def test_it_opens_offline_pins_across_views_and_runs_no_text(browser: Browser, saved: Path):
    with offline_page(browser, saved) as page:
        heatmap, lens = page.locator("[data-hs=patch-heatmap]"), page.locator("[data-hs=logit-lens-grid]")
        expect_status(heatmap, "done")
        expect(page.locator(".hs-root")).to_have_count(5)
        column = int(part(heatmap, "grid").get_attribute("aria-colcount") or 0) - 1
        part(heatmap, "cells").first.click(position=place_of(heatmap, 2, column))
        expect(part(lens, "detail-cell")).to_contain_text("layer 2")
        assert page.locator("main script, main img:not([src^='data:'])").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
        expect(page.locator("h1").first).to_contain_text("<script>alert(1)")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("patch-heatmap", "activation_patching"),
        ("logit-lens-grid", "logit_lens"),
        ("attention-viewer", "attention_patterns"),
        ("circuit-graph", "edge_attribution"),
    ],
)
def test_a_view_saves_itself_without_a_kernel(browser: Browser, saved: Path, name: str, method: str):
    with offline_page(browser, saved) as page:
        menu = part(page.locator(f"[data-hs={name}]"), "save")
        entries = menu.locator("option:not([hidden])")
        kinds = ["png", *(["svg"] if name == "circuit-graph" else []), "csv", "json"]
        expect(entries).to_have_count(len(kinds))
        assert sorted(entries.evaluate_all("(all) => all.map((one) => one.value)")) == sorted(kinds)
        files = {}
        for kind in ("png", "csv", "json"):
            with page.expect_download() as download:
                menu.select_option(kind)
            files[kind] = download.value.path().read_bytes()
        assert ib.read_result(files["json"].decode()).method == method
        assert files["png"].startswith(b"\x89PNG") and files["csv"].decode().count("\n") > 3


def test_tabs_of_what_was_never_run_are_absent(browser: Browser, saved: Path):
    with offline_page(browser, saved) as page:
        expect(page.locator(".hs-root")).to_have_count(5)
        expect(part(page.locator("[data-hs=circuit-graph]"), "largest")).to_be_visible()
        expect(page.locator("[role=tab]")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_narrow_page(browser: Browser, saved: Path, scheme: str):
    with offline_page(browser, saved) as page:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".hs-root")).to_have_count(5)
        page.locator(".hs-made summary").first.click()
        expect(page.locator(".hs-made dl").first).to_contain_text("hookscope-tiny")
        assert axe_violations(page.locator("main")) == []
        screenshot(page, f"report-{scheme}")
        expect_no_sideways_scrolling(page)


def test_it_prints(browser: Browser, saved: Path, tmp_path: Path):
    with offline_page(browser, saved) as page:
        expect(page.locator(".hs-root")).to_have_count(5)
        page.emulate_media(media="print")
        expect(page.locator("[data-hs=copy-code]").first).to_be_hidden()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.set_viewport_size({"width": 700, "height": 1000})  # A4
        boxes = page.locator(".hs-report-view").evaluate_all(
            "(views) => views.map((view) => [view.getBoundingClientRect().width, view.scrollWidth - view.clientWidth])"
        )
        assert len(boxes) == 5 and all(600 < width < 681 and cut <= 0 for width, cut in boxes)
        content = page.pdf()
        assert content.startswith(b"%PDF") and len(content) > 20_000
