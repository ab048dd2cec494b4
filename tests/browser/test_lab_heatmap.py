"""The patch heatmap in JupyterLab, with a real kernel and the embedded model."""

from __future__ import annotations

import re

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import NOTEBOOK_KEYS, PAUSED, Lab
from playwright.sync_api import Locator, expect
from views import cell, choose, expect_status, part, place_of, point_at, tab_to

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


STREAMED = """
heatmap = hs.PatchHeatmap(model, long, activation="z", axes=["layer", "head", "position"], metric=paused)
heatmap
"""


@pytest.fixture
def heatmap(lab: Lab) -> Locator:
    view = lab.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    expect_status(view, "done")
    return view


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
    lab.expect("heatmap.selection", {"activation": "resid_pre", "layer": 2, "position": 5, "side": "corrupt"})
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    expect(part(heatmap, "pin")).to_have_count(0)
    lab.expect("heatmap.selection", None)


def test_hover_reads_a_cell_without_pinning_it(lab: Lab, heatmap: Locator):
    point_at(heatmap, place_of(heatmap, 0, 1))
    expect(part(heatmap, "detail-cell")).to_contain_text("clean and corrupt are equal here")
    expect(part(heatmap, "pin")).to_have_count(0)
    lab.expect("heatmap.selection", None)


def test_what_python_sets_shows(lab: Lab, heatmap: Locator):
    lab.python("heatmap.selection = {'layer': 0, 'position': 4}")
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "4")
    lab.python("heatmap.direction = 'noise'\nheatmap.wait()")
    expect(part(heatmap, "direction")).to_have_value("1")
    expect(heatmap).to_contain_text("corrupt into clean")
    expect_status(heatmap, "done")
    first = heatmap.locator(".hs-row-labels span").first
    expect(first).to_have_text("0")
    expect(first).not_to_have_css("top", "0px")
    lab.python("heatmap.layer_zero = 'top'")
    expect(first).to_have_css("top", "0px")


def test_menus_run_another_sweep(lab: Lab, heatmap: Locator):
    choose(heatmap, "activation", "z, by head —")
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", lab.value("model.n_heads"))
    choose(heatmap, "direction", "corrupt → clean")
    choose(heatmap, "metric", "probability")
    asked = "*(heatmap.result.params[name] for name in ('activation', 'direction', 'metric'))"
    lab.expect(asked, "z noise prob")
    lab.python("heatmap.wait()")
    value = lab.value("f'{heatmap.result.normalized[0, 0]:.2f}'").replace("-", "\u2212")
    expect(cell(heatmap, 0)).to_contain_text(f"changes {value}")
    expect_status(heatmap, "done")


def test_cells_stream_in_until_the_sweep_is_cancelled(lab: Lab):
    lab.python(PAUSED + LONG)
    heatmap = lab.show(STREAMED)
    expect(part(heatmap, "grid")).to_have_attribute("aria-rowcount", lab.value("model.n_layers * model.n_heads"))
    expect_status(heatmap, "running")
    lab.expect("heatmap.result is not None and (heatmap.result.state == 1).any()", True)
    expect(part(heatmap, "progress-text")).to_contain_text(" of ")
    part(heatmap, "cancel").click()
    lab.python("go_on.set()")
    expect_status(heatmap, "cancelled")
    expect(part(heatmap, "summary")).to_contain_text("cancelled at")
    for state, words in ((1, "recovers"), (4, "estimated from gradients")):
        lab.python(
            f"heatmap.selection = heatmap.result.place_of(int((heatmap.result.state == {state}).argmax())).to_json()"
        )
        expect(part(heatmap, "detail-cell")).to_contain_text(words)
    lab.expect("heatmap.status, heatmap.result.provenance['complete']", "cancelled False")
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
    assert lab.value("heatmap.activation, heatmap.direction") == "resid_pre denoise"


def test_the_grid_by_keyboard_alone(lab: Lab, heatmap: Locator):
    press = lab.page.keyboard.press
    part(heatmap, "direction").focus()
    tab_to(heatmap, "grid")
    press("ArrowDown")  # enters at the upper left, the last layer
    press("ArrowDown")
    press("ArrowRight")
    index = 2 * 6 + 1
    expect(part(heatmap, "active")).to_have_attribute("data-cell", str(index))
    named = part(heatmap, "grid").get_attribute("aria-activedescendant")
    expect(cell(heatmap, index)).to_have_attribute("id", named or "")
    press("Enter")
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", str(index))
    lab.expect("heatmap.selection", {"activation": "resid_pre", "layer": 2, "position": 1, "side": "corrupt"})
    press("Escape")
    expect(part(heatmap, "pin")).to_have_count(0)
    lab.expect("heatmap.selection", None)


def test_keys_inside_a_widget_are_no_commands_of_the_notebook(lab: Lab, heatmap: Locator):
    part(heatmap, "grid").focus()  # which selects the cell
    before = lab.cells()
    for name in ("grid", "activation", "copy"):
        part(heatmap, name).focus()
        for key in NOTEBOOK_KEYS:
            lab.page.keyboard.press(key)
        assert lab.cells() == before
        expect(part(heatmap, name)).to_be_focused()


def test_a_kept_map_is_subtracted_from_the_next_one(lab: Lab, heatmap: Locator):
    part(heatmap, "keep").focus()
    lab.page.keyboard.press("Enter")
    expect(part(heatmap, "kept-words")).to_have_text("kept: resid_pre, logit difference, clean → corrupt")
    choose(heatmap, "activation", "attn_out")
    lab.expect("heatmap.difference.terms[0].name, heatmap.difference.complete", "attn_out True")
    choose(heatmap, "shows", "difference")
    lab.expect("heatmap.shows", "difference")
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    numbers = (
        "[one[2, 5] for one in (heatmap.result.normalized, heatmap.kept.normalized, heatmap.difference.normalized)]"
    )
    words = lab.value(f"'{{:.2f}} − {{:.2f}} = {{:+.2f}}'.format(*{numbers})").replace("-", "−")
    expect(part(heatmap, "detail-cell")).to_contain_text(words)
    lab.expect("heatmap.selection", {"activation": "attn_out", "layer": 2, "position": 5, "side": "corrupt"})
    for theme in ("dark", "light"):
        lab.set_theme(theme)
        expect(heatmap).to_have_attribute("data-hs-theme", theme)
        screenshot(heatmap, f"heatmap-difference-{theme}")
        assert axe_violations(heatmap) == [] and hard_to_read(heatmap) == []
    choose(heatmap, "activation", "z, by head —")
    expect(part(heatmap, "no-difference")).to_contain_text("One map is by layer and head")
    expect(cell(heatmap, 0)).to_contain_text("recovers")


BARE = "import interp_backend as ib\nbare = ib.activation_patching(model, pair, top_k=10)\n"


def test_a_result_without_a_model_is_hovered_and_pinned_and_has_no_controls(lab: Lab):
    heatmap = lab.show(f"{BARE}bare = hs.PatchHeatmap(result=bare)\nbare")
    point_at(heatmap, place_of(heatmap, 3, 5))
    expect(part(heatmap, "detail-cell")).to_contain_text(lab.value("f'recovers {bare.result.normalized[3, 5]:.2f}'"))
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    expect(part(heatmap, "pin")).to_have_attribute("data-cell", "17")
    lab.expect("bare.selection", {"activation": "resid_pre", "layer": 2, "position": 5, "side": "corrupt"})
    for name in ("activation", "direction", "more", "run"):
        expect(part(heatmap, name)).to_have_count(0)
    expect(part(heatmap, "sweep")).to_have_attribute("data-stale", "false")
    screenshot(heatmap, "heatmap-bare")


def test_a_result_at_the_end_of_a_cell_shows_its_picture(lab: Lab):
    cell = lab.run(f"{BARE}bare")
    picture = cell.locator("figure img")
    expect(picture).to_have_attribute("alt", re.compile("^EffectMap: "))
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("(image) => image.naturalWidth") > 100
    expect(cell.locator("figcaption")).to_contain_text(lab.value("bare.provenance_line()"))
    screenshot(picture, "result-picture")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, heatmap: Locator, theme: str):
    lab.set_theme(theme)
    expect(heatmap).to_have_attribute("data-hs-theme", theme)
    lab.python("heatmap.selection = {'layer': 1, 'position': 5}")
    expect(part(heatmap, "pin")).to_have_count(1)
    screenshot(heatmap, f"heatmap-{theme}")
    assert axe_violations(heatmap) == []
    assert hard_to_read(heatmap) == []
