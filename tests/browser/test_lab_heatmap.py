"""The patch heatmap in JupyterLab, with a real kernel and the embedded model."""

from __future__ import annotations

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import NOTEBOOK_KEYS, Lab
from playwright.sync_api import Locator, expect
from views import cell, choose, expect_status, part, place_of, tab_to

# Two long prompts that differ early: some hundred cells of z by head and position, each a run of its own.
LONG = """
facts = [("Norway", "Oslo"), ("France", "Paris"), ("Japan", "Tokyo"), ("Italy", "Rome")] * 3
rest = " ".join(f"The capital of {country} is {capital}." for country, capital in facts)
long = hs.PromptPair(
    clean=f"The capital of Norway is Oslo. {rest} The capital of Norway is",
    corrupt=f"The capital of Sweden is Oslo. {rest} The capital of Sweden is",
    clean_answer=" Oslo", corrupt_answer=" Stockholm",
)
"""


@pytest.fixture(scope="module")
def shown(notebook: Lab) -> Locator:
    return notebook.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")


@pytest.fixture
def heatmap(lab: Lab, shown: Locator) -> Locator:
    """The heatmap with the sweep that it began with, done, and nothing pinned."""
    lab.python(
        """
with heatmap._settled():  # one sweep, not one for each change
    heatmap.pair, heatmap.activation, heatmap.axes = pair, "resid_pre", ["layer", "position"]
    heatmap.metric, heatmap.direction, heatmap.layer_zero = "logit_diff", "denoise", "bottom"
heatmap.run()
heatmap.wait()
heatmap.selection = None
"""
    )
    expect_status(shown, "done")
    return shown


def test_cells_show_what_python_computed(lab: Lab, heatmap: Locator):
    shape = lab.python("print(heatmap.result.values.size, *heatmap.result.values.shape)")
    size, rows, columns = (int(number) for number in shape.split())
    expect(part(heatmap, "grid")).to_have_attribute("aria-rowcount", str(rows))
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", str(columns))
    expect(part(heatmap, "cell")).to_have_count(size)
    value = lab.python("print(f'{heatmap.result.normalized[3, 5]:.2f}')")
    expect(cell(heatmap, 3 * columns + 5)).to_have_text(f"layer 3, position 5 ' is', recovers {value}")


def test_click_pins_a_cell_with_its_top_tokens_and_python_sees_it(lab: Lab, heatmap: Locator):
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", str(2 * 6 + 5))
    expect(part(heatmap, "detail-cell")).to_contain_text("layer 2")
    expect(part(heatmap, "top-patched").locator("tr")).to_have_count(10)
    best = lab.python("r = heatmap.result\nprint(r.tokens[int(r.top.ids[2, 5, 0])])")
    expect(part(heatmap, "top-patched").locator("tr").first).to_contain_text(best)
    assert lab.python("print(heatmap.selection)") == "{'layer': 2, 'position': 5}"
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    expect(part(heatmap, "pin")).to_have_count(0)
    assert lab.python("print(heatmap.selection)") == "None"


def test_hover_reads_a_cell_without_pinning_it(lab: Lab, heatmap: Locator):
    part(heatmap, "cells").hover(position=place_of(heatmap, 0, 1))
    expect(part(heatmap, "detail-cell")).to_contain_text("clean and corrupt are equal here")
    assert lab.python("print(heatmap.selection)") == "None"


def test_what_python_sets_shows(lab: Lab, heatmap: Locator):
    lab.python("heatmap.selection = {'layer': 0, 'position': 4}")
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "4")
    lab.python("heatmap.direction = 'noise'\nheatmap.wait()")
    expect_status(heatmap, "done")
    expect(part(heatmap, "direction")).to_have_value("1")
    expect(heatmap).to_contain_text("corrupt into clean")
    lab.python("heatmap.layer_zero = 'top'")
    first = heatmap.locator(".hs-row-labels span").first
    expect(first).to_have_css("top", "0px")
    expect(first).to_have_text("0")


def test_menus_run_another_sweep(lab: Lab, heatmap: Locator):
    choose(heatmap, "activation", "z, by head —")
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", lab.python("print(model.n_heads)"))
    choose(heatmap, "direction", "corrupt → clean")
    choose(heatmap, "metric", "probability")
    expect_status(heatmap, "done")
    lab.python("heatmap.wait()")
    seen = lab.python("p = heatmap.result.params\nprint(p['activation'], *p['axes'], p['direction'], p['metric'])")
    assert seen == "z layer head noise prob"


def test_cells_stream_in_until_the_sweep_is_cancelled(lab: Lab, heatmap: Locator):
    lab.python(LONG + "heatmap.pair = long")
    choose(heatmap, "activation", "z, by head and position")
    expect(part(heatmap, "grid")).to_have_attribute(
        "aria-rowcount", lab.python("print(model.n_layers * model.n_heads)")
    )
    expect_status(heatmap, "running")
    computed = part(heatmap, "cell").filter(has_text="recovers")
    expect(computed.first).to_be_attached()
    expect(part(heatmap, "progress-text")).to_contain_text(" of ")
    part(heatmap, "cancel").click()
    expect_status(heatmap, "cancelled")
    expect(part(heatmap, "summary")).to_contain_text("cancelled at")
    expect(computed.first).to_be_attached()
    expect(part(heatmap, "cell").filter(has_text="not computed yet").first).to_be_attached()
    assert lab.python("print(heatmap.status, heatmap.result.provenance['complete'])") == "cancelled False"
    expect(part(heatmap, "run")).to_be_enabled()


def test_two_views_of_one_widget_follow_each_other(lab: Lab, heatmap: Locator):
    second = lab.show("heatmap")
    expect(part(second, "cell")).to_have_count(24)
    part(second, "cells").click(position=place_of(second, 3, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "23")
    choose(heatmap, "direction", "corrupt → clean")
    for view in (heatmap, second):
        expect(cell(view, 23)).to_contain_text("changes")
        expect(part(view, "direction")).to_have_value("1")


def test_a_bad_request_from_the_front_end_is_an_error_that_names_the_field(lab: Lab, heatmap: Locator):
    params = {"activation": "resid_everything", "axes": ["layer", "position"], "metric": "prob", "direction": "noise"}
    request = {"kind": "request", "id": "bad", "method": "activation_patching", "params": params}
    lab.send("heatmap", {"method": "custom", "content": request})
    expect(part(heatmap, "error")).to_contain_text("activation")
    expect(part(heatmap, "error")).to_contain_text("resid_everything")
    lab.send("heatmap", {"method": "update", "state": {"direction": "noise"}, "buffer_paths": []})
    expect(part(heatmap, "error")).to_contain_text("direction can't be set from a view")
    assert lab.python("print(heatmap.activation, heatmap.direction)") == "resid_pre denoise"


def test_the_grid_by_keyboard_alone(lab: Lab, heatmap: Locator):
    press = lab.page.keyboard.press
    part(heatmap, "direction").focus()
    tab_to(heatmap, "grid")
    press("ArrowDown")  # enters at layer 0's first position
    press("ArrowUp")
    press("ArrowRight")
    expect(part(heatmap, "active")).to_have_count(1)
    index = int(part(heatmap, "active").get_attribute("data-cell") or -1)
    named = part(heatmap, "grid").get_attribute("aria-activedescendant")
    expect(cell(heatmap, index)).to_have_attribute("id", named or "")
    press("Enter")
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", str(index))
    assert lab.python("print(heatmap.selection['position'])") == str(index % 6)
    press("Escape")
    expect(part(heatmap, "pin")).to_have_count(0)
    assert lab.python("print(heatmap.selection)") == "None"


def test_keys_inside_a_widget_are_no_commands_of_the_notebook(lab: Lab, heatmap: Locator):
    part(heatmap, "grid").focus()  # which selects the cell
    before = lab.cells()
    for name in ("grid", "activation", "copy"):
        part(heatmap, name).focus()
        for key in NOTEBOOK_KEYS:
            lab.page.keyboard.press(key)
        assert lab.cells() == before
        expect(part(heatmap, name)).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, heatmap: Locator, theme: str):
    lab.set_theme(theme)
    expect(heatmap).to_have_attribute("data-hs-theme", theme)
    lab.python("heatmap.selection = {'layer': 1, 'position': 5}")
    expect(part(heatmap, "pin")).to_have_count(1)
    screenshot(heatmap, f"heatmap-{theme}")
    assert axe_violations(heatmap) == []
    assert hard_to_read(heatmap) == []
