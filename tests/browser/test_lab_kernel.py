"""What a widget in JupyterLab shows while its kernel is busy, gone, or has closed it."""

from __future__ import annotations

import re
from pathlib import Path

from attention_view import TWICE, opened, point_at_token, toggle
from lab import Lab
from playwright.sync_api import expect
from views import choose, expect_status, part, place_of


def test_while_a_cell_runs_the_widget_says_that_it_waits(lab: Lab, tmp_path: Path):
    heatmap = lab.show("hs.PatchHeatmap(model, pair)")
    expect_status(heatmap, "done")
    with lab.without_subshells(), lab.busy(tmp_path / "over"):
        choose(heatmap, "direction", "corrupt → clean")
        expect(part(heatmap, "waiting")).to_contain_text("Waiting for the running cell")
    expect(part(heatmap, "waiting")).to_have_count(0)
    expect(heatmap).to_contain_text("corrupt into clean")
    expect_status(heatmap, "done")


def test_a_closed_widget_leaves_the_page_alone(lab: Lab):
    heatmap = lab.show("closing = hs.PatchHeatmap(model, pair)\nclosing")
    editor = lab.show("other = hs.PromptPairEditor(model, pair)\nother")
    lab.python("closing.close()\nother.close()")
    expect(heatmap).to_have_count(0)
    expect(editor).to_have_count(0)


RESTARTED = "If the kernel was restarted, run this cell again."


def test_after_a_restart_the_widget_says_what_to_do_and_its_cell_brings_it_back(lab: Lab):
    heatmap = lab.show("hs.PatchHeatmap(model, pair)")
    editor = lab.show("hs.PromptPairEditor(model, pair)")
    expect_status(heatmap, "done")
    lab.restart()
    choose(heatmap, "direction", "corrupt → clean")
    expect(part(heatmap, "direction")).to_have_value("1")
    part(heatmap, "cells").click(position=place_of(heatmap, 3, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "23")
    part(editor, "input-clean").fill("The capital of France is")
    for view in (heatmap, editor):
        expect(part(view, "waiting")).to_contain_text(RESTARTED)
    lab.command("notebook:run-all-cells")
    expect(part(heatmap, "direction")).to_have_value("0")
    expect(part(editor, "input-clean")).to_have_value("The capital of Norway is")
    for view in (heatmap, editor):
        expect(part(view, "waiting")).to_have_count(0)
    expect_status(heatmap, "done")


def test_after_a_restart_attention_is_still_read(lab: Lab):
    view = lab.show(f"again = hs.AttentionViewer(model, {TWICE!r}, opened=[(1, 2)])\nagain")
    expect_status(view, "done")
    lab.restart()
    point_at_token(view, 12)
    expect(part(view, "text-said")).to_contain_text(re.compile(r"\(12\) looks at .*Oslo"))
    toggle(view, 3, 1)
    expect(opened(view, "3.1")).to_be_visible()  # its numbers are here already
    choose(view, "kind", "scores")
    expect(part(view, "kind")).to_have_value("2")
    expect(part(view, "waiting")).to_contain_text(RESTARTED)
    lab.command("notebook:run-all-cells")
    expect(part(view, "kind")).to_have_value("0")
    expect(part(view, "waiting")).to_have_count(0)
    expect_status(view, "done")
