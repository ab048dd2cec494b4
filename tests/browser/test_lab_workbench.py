"""The workbench and linked views in JupyterLab: one pin everywhere, a card, views that come and go, and pictures."""

from __future__ import annotations

import re

import pytest
from checks import axe_violations, screenshot
from lab import Lab
from playwright.sync_api import Locator, expect
from views import choose, expect_status, part, place_of

PINNED = "{'activation': 'resid_pre', 'layer': 2, 'position': 5, 'side': 'corrupt'}"


@pytest.fixture
def bench(lab: Lab) -> Locator:
    lab.page.set_viewport_size({"width": 1600, "height": 1400})
    view = lab.show("bench = hs.Workbench(model, pair)\nbench")
    expect(part(view, "slot")).to_have_count(4)
    for name in ("patch-heatmap", "logit-lens-grid"):
        expect_status(part(view, name), "done")
    yield view
    lab.page.set_viewport_size({"width": 1280, "height": 900})


def pin(heatmap: Locator, row: int, column: int) -> None:
    part(heatmap, "cells").first.click(position=place_of(heatmap, row, column))


def test_one_click_pins_everywhere_and_says_what_the_place_does(lab: Lab, bench: Locator):
    heatmap = part(bench, "patch-heatmap")
    expect(part(bench, "card")).to_contain_text("Nothing pinned")
    column = int(part(heatmap, "grid").get_attribute("aria-colcount") or 0) - 1
    pin(heatmap, 2, column)
    card = part(bench, "card")
    expect(card).to_contain_text(re.compile(r"layer 2, position 5.*patched 0\.84.*zeroed.*averaged"))
    expect(part(part(bench, "logit-lens-grid"), "detail-cell")).to_contain_text("layer 2")
    lab.expect("bench.selection", PINNED)
    lab.expect("[panel.selection == bench.selection for panel in bench.panels]", [True] * 4)
    lab.expect(
        "round(float(bench.panels[1].result.normalized[2, 5]), 4) == round(bench.card['patched']['effect'], 4)", True
    )
    assert axe_violations(card) == []
    for theme in ("light", "dark"):
        lab.set_theme(theme)
        screenshot(bench, f"workbench-{theme}")


def test_python_pins_too(lab: Lab, bench: Locator):
    lab.python("bench.selection = {'layer': 1, 'head': 3}")
    expect(part(bench, "card")).to_contain_text("layer 1, head 3")
    expect(part(bench, "card")).to_contain_text("z, all positions")


def test_views_are_doubled_enlarged_and_closed(lab: Lab, bench: Locator):
    slot = bench.locator('[data-hs="slot"][data-at="1"]')
    slot.hover()
    slot.locator('[data-hs="double"]').click()
    expect(part(bench, "slot")).to_have_count(5)
    expect(part(bench, "patch-heatmap")).to_have_count(2)
    lab.expect("bench.names", "['Prompts', 'Patching', 'Patching 2', 'Lens', 'Attention']")
    slot.locator('[data-hs="enlarge"]').click()
    expect(part(bench, "slot")).to_have_count(1)
    slot.locator('[data-hs="enlarge"]').click()
    expect(part(bench, "slot")).to_have_count(5)
    slot.locator('[data-hs="close"]').click()
    expect(part(bench, "slot")).to_have_count(4)
    expect(part(bench, "patch-heatmap")).to_have_count(1)


def test_it_fits_a_narrow_cell_as_tabs(lab: Lab, bench: Locator):
    lab.page.set_viewport_size({"width": 700, "height": 1000})
    tabs = bench.get_by_role("tablist", name="Views").first
    expect(tabs.get_by_role("tab")).to_have_count(4)
    tabs.get_by_role("tab", name="Attention").click()
    expect(part(bench, "attention-viewer")).to_be_visible()
    expect(part(bench, "patch-heatmap")).to_have_count(0)
    box, inside = bench.bounding_box(), part(bench, "attention-viewer").bounding_box()
    assert box and inside and inside["width"] <= box["width"] + 1
    screenshot(bench, "workbench-narrow")


def test_the_report_is_saved_from_the_toolbar(lab: Lab, bench: Locator):
    with lab.page.expect_download() as download:
        part(bench, "report").click()
    assert download.value.suggested_filename == "report.html"
    text = download.value.path().read_text("utf-8")
    assert text.count("data-view=") == 4 and "How this was made" in text


def test_views_in_two_cells_pin_together(lab: Lab):
    first = lab.show("first = hs.PatchHeatmap(model, pair)\nfirst")
    second = lab.show("second = hs.LogitLensGrid(model, pair)\nhs.link(first, second)\nsecond")
    expect_status(first, "done")
    expect_status(second, "done")
    column = int(part(first, "grid").get_attribute("aria-colcount") or 0) - 1
    pin(first, 2, column)
    expect(part(second, "detail-cell")).to_contain_text("layer 2")
    lab.expect("second.selection", PINNED)


def test_files_come_from_the_menu(lab: Lab):
    view = lab.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    expect_status(view, "done")
    for kind, begins in {"svg": "<?xml", "json": "{", "csv": "layer,", "png": None}.items():
        with lab.page.expect_download() as download:
            part(view, "save").select_option(kind)
        assert download.value.suggested_filename.endswith(f".{kind}")
        if begins is not None:
            assert download.value.path().read_text("utf-8").startswith(begins)


def test_what_was_done_is_listed_undone_kept_and_copied(lab: Lab, bench: Locator):
    heatmap = part(bench, "patch-heatmap")
    choose(heatmap, "activation", "z")
    lab.expect("bench.panels[1].activation", "z")
    expect_status(heatmap, "done")
    column = int(part(heatmap, "grid").get_attribute("aria-colcount") or 0) - 1
    pin(heatmap, 2, column)
    expect(part(bench, "undo-step")).to_have_attribute("title", re.compile("pinned layer"))
    part(bench, "record-toggle").click()
    record = part(bench, "record")
    expect(part(record, "steps").get_by_role("listitem")).to_have_count(3)
    part(record, "input-snapshot").fill("heads")
    part(record, "keep").click()
    expect(part(record, "restore")).to_have_text("heads")
    part(record, "input-notes").fill("# Seen\n\nIt is **head** 2.1. <img src=x onerror=alert(1)>")
    expect(part(record, "prose").locator("strong")).to_have_text("head")
    assert part(record, "prose").locator("img").count() == 0
    assert axe_violations(record) == []
    for theme in ("light", "dark"):
        lab.set_theme(theme)
        screenshot(bench, f"workbench-record-{theme}")
    part(bench, "undo-step").click()  # the snapshot
    part(bench, "undo-step").click()  # the pin
    expect(part(bench, "card")).to_contain_text("Nothing pinned")
    heatmap.press("Control+z")
    lab.expect("bench.panels[1].activation", "resid_pre")
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", "6")
    part(record, "restore").click()
    lab.expect("(bench.panels[1].activation, bench.selection['layer'])", "('z', 2)")
    expect(part(bench, "card")).to_contain_text("layer 2")
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    part(record, "copy-interp_backend").click()
    expect(part(record, "copy-interp_backend")).to_have_text("Copied")
    code = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert code.startswith("import interp_backend as ib") and "activation='z'" in code


def test_prompts_of_unequal_length_are_followed_by_their_alignment(lab: Lab):
    lab.page.set_viewport_size({"width": 1600, "height": 1400})
    lab.python(
        "unequal = hs.PromptPair(clean='The capital of Norway is', corrupt='The lovely old capital of Sweden is',"
        " clean_answer=' Oslo', corrupt_answer=' Stockholm')"
    )
    view = lab.show("bench = hs.Workbench(model, unequal)\nbench")
    heatmap, lens = part(view, "patch-heatmap"), part(view, "logit-lens-grid")
    for panel in (heatmap, lens):
        expect_status(panel, "done")
    before, after = (
        lab.value("len(bench.editor.tokens['clean']['ids'])"),
        lab.value("len(bench.editor.tokens['corrupt']['ids'])"),
    )
    assert int(before) < int(after)
    pin(heatmap, 2, int(part(heatmap, "grid").get_attribute("aria-colcount") or 0) - 1)
    lab.expect("(bench.selection['position'], bench.selection['side'])", f"({int(after) - 1}, 'corrupt')")
    expect(part(lens, "detail-cell")).to_contain_text(f"position {int(before) - 1}")
    part(lens, "side").select_option(label=None, index=1)
    expect(part(lens, "detail-cell")).to_contain_text(f"position {int(after) - 1}")
