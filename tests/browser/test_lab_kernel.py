"""What a widget in JupyterLab shows while its kernel is busy, gone, or has closed it."""

from __future__ import annotations

from pathlib import Path

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


def test_after_a_restart_the_widget_says_what_to_do_and_its_cell_brings_it_back(lab: Lab):
    heatmap = lab.show("hs.PatchHeatmap(model, pair)")
    editor = lab.show("hs.PromptPairEditor(model, pair)")
    expect_status(heatmap, "done")
    lab.restart()
    choose(heatmap, "direction", "corrupt → clean")
    part(heatmap, "cells").click(position=place_of(heatmap, 3, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "23")
    part(editor, "input-clean").fill("The capital of France is")
    for view in (heatmap, editor):
        expect(part(view, "waiting")).to_contain_text("If the kernel was restarted, run this cell again.")
    lab.command("notebook:run-all-cells")
    expect_status(heatmap, "done")
    expect(part(heatmap, "waiting")).to_have_count(0)
