"""The logit-lens grid in JupyterLab: both tabs, by mouse and by keyboard, with a pair and with a long prompt."""

from __future__ import annotations

import re

import pytest
from checks import ROOT, axe_violations, screenshot
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Locator, expect
from views import choose, enter, expect_status, part, place_in, point_at

# A thousand tokens by 48 layers: more than is sent at once. `asked` has the columns that the view asks for.
DEEP = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests/python")!r})
import torch
import transformers
from tiny_models import boot

torch.manual_seed(0)
sizes = dict(n_layer=48, n_head=2, n_embd=16, vocab_size=257, n_positions=1024)
deep = boot(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)), "deep")
asked = []

class Asked(hs.LogitLensGrid):
    def _answer(self, request):
        if request.method == "lens_window":
            asked.append((request.params.start, request.params.stop))
        return super()._answer(request)

long = Asked(deep, ("The quick brown fox jumps over the lazy dog. " * 30)[:999])
long.wait()
long
"""


@pytest.fixture
def grid(lab: Lab) -> Locator:
    """The clean side of a pair in probabilities, with the pair's answers followed."""
    view = lab.show("lens = hs.LogitLensGrid(model, pair)\nlens")
    expect_status(view, "done")
    expect(part(view, "target")).to_have_count(2)
    return view


def pin(view: Locator, row: int, column: int) -> None:
    part(view, "cells").click(position=place_in(view, row, column))


def said(view: Locator, row: int, column: int) -> Locator:
    """A cell in words."""
    columns = int(part(view, "cells").get_attribute("aria-colcount") or 0)
    return view.locator(f'[data-hs="cell"][data-cell="{row * columns + column}"]')


def expect_followed(view: Locator, token: str) -> None:
    """Expect a token among the results: its name beside the field only says that it was asked for."""
    expect(part(view, "detail-cell").locator(".hs-followed", has_text=token)).to_have_count(1)


def open_tab(view: Locator, name: str) -> None:
    view.get_by_role("tab", name=name).click()


def attribution_of(grid: Locator) -> Locator:
    open_tab(grid, "Attribution")
    expect(part(grid, "attribution")).to_be_visible()
    return part(grid, "attribution")


def open_head(attribution: Locator) -> None:
    """Click on the first head of the last layer, for the tokens that it takes its part from."""
    part(attribution, "cells").click(position={"x": 4, "y": 4})
    expect(part(attribution, "strip-token")).to_have_count(6)


def test_every_layer_says_its_token_and_hovering_reads_a_cell(grid: Locator):
    expect(said(grid, 4, 5)).to_contain_text("layer 3 out, position 5 ' is', ' Oslo' 1.00")
    expect(said(grid, 0, 4)).to_contain_text("emb, position 4 ' Norway'")
    point_at(grid, place_in(grid, 2, 4))
    expect(part(grid, "detail-cell")).to_contain_text(re.compile("layer 1, .*Norway.*KL to the end"))
    expect(part(grid, "top-clean").or_(part(grid, "top-prompt")).locator("tr")).to_have_count(10)


def test_a_pinned_cell_draws_lines_with_the_kernels_numbers(lab: Lab, grid: Locator):
    pin(grid, 3, 5)
    expect(part(grid, "line")).to_have_count(4)
    lab.expect("lens.selection", {"activation": "resid_post", "layer": 2, "position": 5, "side": "clean"})
    # " Stockholm" is in no top list: only the kernel knows its numbers.
    choose(grid, "quantity", "rank")
    ranks = lab.value("*lens.result.arrays_of('clean').target_rank[:, 5, 1]").split()
    row = part(grid, "lines").locator("tbody tr", has_text="Stockholm")
    expect(row.locator("td")).to_have_text(ranks)
    third = lab.value("lens.result.tokens[int(lens.result.arrays_of('clean').top_ids[3, 5, 2])]")
    expect(part(grid, "lines").locator("tbody tr", has_text=third.strip()).locator("td").first).not_to_have_text("–")
    part(grid, "cells").press("Escape")
    expect(part(grid, "lines")).to_have_count(0)
    lab.expect("lens.selection", None)


def test_a_typed_token_is_followed_and_one_of_several_is_refused_in_a_sentence(lab: Lab, grid: Locator):
    enter(grid, "input-follow", "Oslo")
    expect(part(grid, "error")).to_contain_text("“Oslo” is 3 tokens")
    expect(part(grid, "target")).to_have_count(2)
    enter(grid, "input-follow", "\u2423Paris")
    expect(part(grid, "target")).to_have_text([re.compile("Oslo"), re.compile("Stockholm"), re.compile("Paris")])
    expect_followed(grid, "Paris")
    expect(part(grid, "error")).to_have_count(0)
    choose(grid, "color", "rank")
    part(grid, "target").last.get_by_title("Colour by this token").click()
    expect(part(grid, "subtitle")).to_contain_text("rank of ␣Paris")
    rank = lab.value("lens.result.arrays_of('clean').target_rank[2, 5, 2]")
    expect(said(grid, 2, 5)).to_contain_text(f"rank {rank}")
    part(grid, "unfollow").last.click()
    expect(part(grid, "target")).to_have_count(2)


def test_a_pair_shows_each_side_and_their_difference(lab: Lab, grid: Locator):
    choose(grid, "side", "corrupt")
    expect(said(grid, 4, 5)).to_contain_text("' Stockholm' 0.99")
    choose(grid, "side", "clean −")
    expect(said(grid, 4, 5)).to_contain_text(
        "clean ' Oslo' 1.00, corrupt ' Stockholm' 0.99, probability differs by 0.0"
    )
    pin(grid, 3, 5)
    expect(part(grid, "line")).to_have_count(6)  # of each side its likeliest token and the followed ones
    expect(part(grid, "detail")).to_have_attribute("data-sides", "2")
    screenshot(grid, "lens-difference")
    lab.expect("lens.side", "difference")


def test_streams_and_the_tuned_lens(lab: Lab, grid: Locator):
    choose(grid, "stream", "attn_out")
    expect(part(grid, "cells")).to_have_attribute("aria-rowcount", "6")  # what is added up after the last layer, too
    expect(part(grid, "stream")).to_have_value("3")
    lab.expect("lens.result.params['stream']", "attn_out")
    choose(grid, "stream", "resid_post")
    expect(part(grid, "cells")).to_have_attribute("aria-rowcount", "5")
    choose(grid, "lens", "tuned")
    expect(grid.get_by_role("heading", level=2)).to_contain_text("Tuned lens")
    lab.expect("lens.result.params['lens'] != 'logit', lens.lens", "True tuned")


def test_columns_are_brushed_with_the_mouse_and_with_keys(lab: Lab, grid: Locator):
    part(grid, "axis").scroll_into_view_if_needed()
    box = part(grid, "axis").bounding_box()
    assert box
    width, mouse, y = box["width"] / 6, lab.page.mouse, box["y"] + 8
    mouse.move(box["x"] + 2.5 * width, y)
    mouse.down()
    mouse.move(box["x"] + 4.5 * width, y, steps=3)
    mouse.up()
    expect(part(grid, "cells")).to_have_attribute("aria-colcount", "3")
    lab.expect("lens.columns", [2, 5])
    part(grid, "all-columns").click()
    expect(part(grid, "cells")).to_have_attribute("aria-colcount", "6")
    part(grid, "axis").focus()
    for key in ("End", "Shift+ArrowLeft"):
        lab.page.keyboard.press(key)
    expect(part(grid, "axis")).to_have_attribute("aria-valuetext", re.compile("2 columns chosen"))
    lab.page.keyboard.press("Enter")
    expect(part(grid, "all-columns")).to_have_text("Show all 6")
    lab.expect("lens.columns", [4, 6])


def test_the_attribution_sums_and_a_heads_sources_are_shown(lab: Lab, grid: Locator):
    attribution = attribution_of(grid)
    value = "f'{{lens.attribution.sides[\"clean\"].{}:{}.2f}}'.replace('-', '\u2212')"
    total = lab.value(value.format("total", "+"))
    expect(part(grid, "subtitle")).to_have_text(f"sums to {total} logit difference")
    expect(part(attribution, "components-up").locator("tr").first).to_contain_text("mlp 3")
    open_head(attribution)
    expect(part(attribution, "sources")).to_contain_text("Head 3.0")
    part(grid, "strip-token").nth(4).hover()
    expect(part(grid, "strip-token").nth(4)).to_have_attribute("data-active", "true")
    expect(part(attribution, "sources")).to_contain_text(lab.value(value.format("by_source[3, 0, 4]", "+")))
    choose(grid, "side", "clean −")
    expect(part(grid, "subtitle")).to_contain_text("clean − corrupt")
    enter(grid, "input-wrong", "")
    expect(part(grid, "subtitle")).to_contain_text(re.compile(r"logit, clean"))
    enter(grid, "input-answer", "Oslo Paris")
    expect(part(grid, "error")).to_contain_text("tokens")


def test_by_keyboard_alone(lab: Lab, grid: Locator):
    press = lab.page.keyboard.press
    cells = lab.cells()
    grid.get_by_role("tab", name="Lens").focus()
    press("ArrowRight")
    expect(part(grid, "attribution")).to_be_visible()
    press("ArrowLeft")
    expect(part(grid, "lens-result")).to_be_visible()
    part(grid, "cells").focus()
    expect(part(grid, "cells")).to_be_focused()
    for key in ("ArrowUp", "End", "ArrowUp", "a", "b", "j", "Enter"):
        press(key)
    expect(part(grid, "lines")).to_be_visible()
    lab.expect("lens.selection", {"activation": "resid_post", "layer": 3, "position": 5, "side": "clean"})
    press("Escape")
    expect(part(grid, "lines")).to_have_count(0)
    assert lab.cells() == cells


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, grid: Locator, theme: str):
    pin(grid, 3, 5)
    expect(part(grid, "line")).to_have_count(4)
    expect(part(grid, "lines").locator("tbody td", has_text="–")).to_have_count(0)  # all numbers have come
    lab.set_theme(theme)
    expect(grid).to_have_attribute("data-hs-theme", theme)
    screenshot(grid, f"lens-{theme}")
    assert axe_violations(grid) == []
    assert hard_to_read(grid) == []
    attribution = attribution_of(grid)
    open_head(attribution)
    screenshot(grid, f"lens-attribution-{theme}")
    assert axe_violations(grid) == []
    assert hard_to_read(grid) == []


def test_a_prompt_over_the_context_offers_its_last_tokens(lab: Lab):
    view = lab.show("one = hs.LogitLensGrid(model, 'The capital of Norway is')\none")
    expect_status(view, "done")
    enter(view, "input-prompt", "The capital of Norway is Oslo. " * 20)
    expect(part(view, "error")).to_contain_text("the model reads at most 128")
    part(view, "remedy").click()
    expect(part(view, "cells")).to_have_attribute("aria-colcount", "128")
    expect(part(view, "error")).to_have_count(0)
    enter(view, "input-follow", " Oslo")
    expect_followed(view, "Oslo")
    expect(part(view, "target")).to_have_count(1)
    expect(part(view, "error")).to_have_count(0)
    expect(part(view, "cells")).to_have_attribute("aria-colcount", "128")


def test_a_long_prompt_scrolls_and_asks_only_for_what_is_seen(lab: Lab):
    view = lab.show(DEEP)
    expect(part(view, "cells")).to_have_attribute("aria-colcount", "1000")
    detail = part(view, "detail-cell")
    expect(detail).to_contain_text("position 999")
    part(view, "scroller").evaluate("(element) => { element.scrollLeft = 0; }")
    point_at(view, place_in(view, 20, 3))
    expect(detail).to_contain_text("position 3")
    expect(detail).to_contain_text("entropy")
    lab.page.mouse.move(0, 0)
    expect(part(view, "active")).to_have_count(0)
    part(view, "scroller").evaluate("(element) => { element.scrollLeft = element.scrollWidth; }")
    box = part(view, "scroller").bounding_box()
    assert box
    part(view, "scroller").hover(position={"x": box["width"] - 20, "y": 100})
    expect(part(view, "active")).to_have_attribute("data-cell", re.compile("999$"))
    expect(detail).to_contain_text("position 999")
    expect(detail).to_contain_text("entropy")
    asked = lab.value("sum(stop - start for start, stop in asked), max(stop for _, stop in asked)").split()
    assert int(asked[0]) < 200 and asked[1] == "1000"
    screenshot(view, "lens-long")
