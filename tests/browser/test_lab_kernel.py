"""What a widget in JupyterLab shows while its kernel is busy, gone, or has closed it."""

from __future__ import annotations

import re
from pathlib import Path

from attention_view import TWICE, opened, point_at_token, toggle
from checks import screenshot
from lab import JupyterServer, Lab
from playwright.sync_api import Browser, expect
from views import cell, choose, expect_status, part, place_of


def test_while_a_cell_runs_the_widget_says_that_it_waits(lab: Lab, tmp_path: Path):
    heatmap = lab.show("hs.PatchHeatmap(model, pair)")
    expect_status(heatmap, "done")
    with lab.without_subshells(), lab.busy(tmp_path / "over"):
        choose(heatmap, "direction", "corrupt → clean")
        expect(part(heatmap, "waiting")).to_contain_text("Waiting for the running cell")
        expect(part(heatmap, "sweep")).to_have_attribute("data-stale", "true")
        expect(part(heatmap, "faded")).to_contain_text("the last map, resid_pre of “The capital of Norway is”")
        expect(part(heatmap, "subtitle")).to_contain_text("clean into corrupt")
        screenshot(heatmap, "heatmap-faded")
    expect(part(heatmap, "faded")).to_have_count(0)
    expect(part(heatmap, "waiting")).to_have_count(0)
    expect(heatmap).to_contain_text("corrupt into clean")
    expect_status(heatmap, "done")


def test_while_a_cell_runs_subshells_answer_the_widget(lab: Lab, tmp_path: Path):
    heatmap = lab.show("hs.PatchHeatmap(model, pair)")
    expect_status(heatmap, "done")
    with lab.busy(tmp_path / "over"):
        choose(heatmap, "direction", "corrupt → clean")
        expect(cell(heatmap, 23)).to_contain_text("changes")
        expect_status(heatmap, "done")
        assert not (tmp_path / "over").exists()


def test_two_views_of_one_widget_show_the_same(lab: Lab):
    first = lab.show("twice = hs.PatchHeatmap(model, pair)\ntwice")
    second = lab.show("twice")
    for view in (first, second):
        expect_status(view, "done")
    choose(first, "direction", "corrupt → clean")
    expect(cell(second, 23)).to_contain_text("changes")
    part(second, "cells").click(position=place_of(second, 3, 5))
    for view in (first, second):
        expect(part(view, "pin")).to_have_attribute("data-cell", "23")


# The maps that executing a cell again leaves behind follow the editor too.
AGAIN = "maps.append(hs.PatchHeatmap(model, edited))\nmaps[-1]"


def test_of_a_cell_that_was_run_again_only_the_last_map_is_swept_after_an_edit(lab: Lab):
    lab.python("maps = []\nedited = hs.PromptPairEditor(model, pair)")
    heatmap = lab.show(AGAIN)
    expect_status(heatmap, "done")
    for _ in range(2):
        lab.command("notebook:run-cell")
    lab.expect("[one.on_a_page for one in maps]", [False, False, True])
    lab.expect("[one.status for one in maps]", ["done"] * 3)
    lab.python("edited.pair = pair.model_copy(update={'clean': 'The capital of France is', 'clean_answer': ' Paris'})")
    shown = [f"The capital of {country} is" for country in ("Norway", "Norway", "France")]
    lab.expect("[(one.status, one.result.prompts['clean'].text) for one in maps]", [("done", text) for text in shown])
    expect(heatmap.locator(".hs-column-labels")).to_contain_text("France")


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
    expect(part(view, "text-said")).to_contain_text(re.compile(r"\(12\) attends to .*Oslo"))
    toggle(view, 3, 1)
    expect(opened(view, "3.1")).to_be_visible()  # its numbers are here already
    choose(view, "kind", "scores")
    expect(part(view, "kind")).to_have_value("2")
    expect(part(view, "waiting")).to_contain_text(RESTARTED)
    lab.command("notebook:run-all-cells")
    expect(part(view, "kind")).to_have_value("0")
    expect(part(view, "waiting")).to_have_count(0)
    expect_status(view, "done")


# A notebook as an older version has saved it: nothing in the widget's state says which version its traits have.
SAVED_BY_AN_OLDER = """
import ipywidgets
import nbformat
import nbformat.sign

kept = hs.PatchHeatmap(model, pair)
kept.wait()
saved = ipywidgets.Widget.get_manager_state()
del saved["state"][kept.model_id]["state"]["schema"]
shown = {"application/vnd.jupyter.widget-view+json": {"version_major": 2, "model_id": kept.model_id}}
cell = nbformat.v4.new_code_cell("kept", outputs=[nbformat.v4.new_output("display_data", shown)])
metadata = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "widgets": {"application/vnd.jupyter.widget-state+json": saved},
}
notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
nbformat.sign.NotebookNotary().sign(notebook)  # JupyterLab draws widgets of notebooks that it trusts alone
"""


def test_a_notebook_of_an_older_version_says_to_run_the_cell_again(lab: Lab, browser: Browser, jupyter: JupyterServer):
    path = jupyter.notebooks / "older.ipynb"
    lab.python(f"{SAVED_BY_AN_OLDER}\nnbformat.write(notebook, {str(path)!r})")
    page = browser.new_page(viewport={"width": 1360, "height": 700})
    said, lost = page.locator('[data-hs="refused"]'), page.get_by_text("Error displaying widget: model not found")
    # On a busy machine JupyterLab's widget manager now and then draws an output before it has read the saved models.
    for _ in range(3):
        page.goto(f"{jupyter.url}/lab/workspaces/older/tree/{path.name}?reset&token={jupyter.token}")
        expect(said.or_(lost)).to_be_visible()
        if said.count():
            break
    expect(said).to_have_text("This was saved by an older Hookscope; run the cell again.")
    screenshot(page, "older-notebook")
    page.close()
