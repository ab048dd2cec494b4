"""The attention viewer in JupyterLab: its heads, their exact numbers, and what is pinned; by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest
from attention_view import (
    TWICE,
    expect_number,
    open_panel,
    opened,
    point_at_token,
    point_in_matrix,
    share,
    stand_side_by_side,
    toggle,
    unreadable,
)
from checks import ROOT, axe_violations, screenshot
from lab import Lab
from playwright.sync_api import Locator, expect
from views import choose, expect_status, part, place_of, point_at, tab_to

# As many heads and tokens as GPT-2 may have: more numbers than are sent at once.
LARGE = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests/python")!r})
import torch
import transformers
from tiny_models import boot

torch.manual_seed(0)
sizes = dict(n_layer=12, n_head=12, n_embd=24, vocab_size=257, n_positions=512)
large = boot(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)), "large")
many = hs.AttentionViewer(large, ("The quick brown fox jumps over the lazy dog. " * 12)[:499], opened=[(3, 4)])
many.wait()
many
"""


def test_pointing_at_a_token_says_where_it_looks_and_what_looks_at_it(lab: Lab, viewer: Locator):
    token = part(viewer, "token").nth(12)
    most = lab.python("row = viewer.result.values[0, 0, 12]\nprint(row.argmax(), f'{row.max():.4f}')").split()
    point_at_token(viewer, 12)
    expect(part(viewer, "text-said")).to_contain_text(
        re.compile(rf"Head 0\.0: .*is \(12\) attends to .*\({most[0]}\) {most[1]}")
    )
    expect(part(viewer, "text-said")).to_contain_text("is attended to by nothing")
    expect_number(lab, part(opened(viewer, "0.0"), "cell-said"), "viewer.result.values[0, 0]")
    token.click()
    expect(token).to_have_attribute("aria-selected", "true")
    lab.expect("viewer.selection", {"position": 12})
    lab.page.keyboard.press("Escape")
    expect(token).to_have_attribute("aria-selected", "false")
    lab.expect("viewer.selection", None)


def test_heads_are_opened_closed_and_pinned_with_the_mouse(lab: Lab, viewer: Locator):
    toggle(viewer, 3, 1)
    expect(opened(viewer, "3.1")).to_be_visible()
    lab.expect("viewer.opened", [[1, 2], [0, 0], [3, 1]])
    toggle(viewer, 3, 1)
    expect(opened(viewer, "3.1")).to_have_count(0)
    part(opened(viewer, "1.2"), "close").click()
    expect(opened(viewer, "1.2")).to_have_count(0)
    lab.expect("viewer.opened", [[0, 0]])
    toggle(viewer, 2, 0, ["Shift"])
    expect(part(viewer, "text-said")).to_contain_text("Head 2.0")
    lab.expect("viewer.selection", {"layer": 2, "head": 0})
    score = lab.value("f\"{viewer.result.first.scores['induction'][1, 3]:.2f}\"")
    point_at(viewer, place_of(viewer, 1, 3, "heads-grid"))
    expect(part(viewer, "head-said")).to_contain_text(re.compile(rf"Head 1\.3.*induction {score}", re.DOTALL))


def test_two_heads_stand_side_by_side(lab: Lab, viewer: Locator):
    assert stand_side_by_side(viewer, "1.2", "0.0")
    lab.python(f"viewer.prompt = {TWICE!r} * 7\nviewer.wait()")
    expect(part(viewer, "token")).to_have_count(85)
    assert stand_side_by_side(viewer, "1.2", "0.0")


@pytest.mark.parametrize("kind", ["pattern", "value_weighted", "scores", "output_norm"])
def test_the_cell_under_the_pointer_has_the_kernels_number(lab: Lab, kind: str):
    first = "scores" if kind == "pattern" else "pattern"
    code = f"viewer = hs.AttentionViewer(model, {TWICE!r}, kind={first!r}, opened=[(1, 2), (0, 0)])\nviewer"
    viewer = lab.show(code)
    expect(part(viewer, "subtitle")).to_contain_text(first)
    choose(viewer, "kind", kind.replace("_", " "))
    expect(part(viewer, "subtitle")).to_contain_text(kind.replace("_", " "))
    expect_status(viewer, "done")
    lab.expect("viewer.result.kind", kind)
    places = ((0.35, 0.2), (0.55, 0.66), (0.4, 0.6))
    values = "viewer.result.values[1, 2]"
    cells = [expect_number(lab, point_in_matrix(viewer, "1.2", *place), values) for place in places]
    assert len(set(cells)) == 3


def test_a_cell_that_is_clicked_is_read_out_wherever_the_pointer_goes(lab: Lab, viewer: Locator):
    matrix = part(opened(viewer, "1.2"), "matrix")
    readout = point_in_matrix(viewer, "1.2", 0.4, 0.6)
    position, source = expect_number(lab, readout, "viewer.result.values[1, 2]")
    words = readout.inner_text()
    matrix.click(position=share(matrix, 0.4, 0.6))
    lab.expect("viewer.selection", {"layer": 1, "head": 2, "position": position, "source": source})
    matrix.hover(position=share(matrix, 0.35, 0.2))
    expect(readout).not_to_have_text(words, use_inner_text=True)
    lab.page.mouse.move(0, 0)
    expect(readout).to_have_text(words, use_inner_text=True)


def test_a_pair_shows_each_side_and_their_difference(lab: Lab, pair_viewer: Locator):
    expect(part(pair_viewer, "token").nth(4)).to_contain_text("Norway")
    choose(pair_viewer, "side", "corrupt")
    expect(part(pair_viewer, "token").nth(4)).to_contain_text("Sweden")
    point_at_token(pair_viewer, 5)
    values = "pair_viewer.result.sides['{}'].values[{}]"
    expect_number(lab, part(opened(pair_viewer, "1.2"), "cell-said"), values.format("corrupt", "1, 2"))
    choose(pair_viewer, "side", "clean −")
    expect(part(pair_viewer, "subtitle")).to_contain_text("clean − corrupt")
    expect(part(opened(pair_viewer, "1.2"), "scores")).to_contain_text("on the clean prompt: previous token")
    toggle(pair_viewer, 3, 1)
    expect(opened(pair_viewer, "3.1")).to_be_visible()
    point_at_token(pair_viewer, 5)
    difference = f"({values.format('clean', '3, 1')} - {values.format('corrupt', '3, 1')})"
    expect_number(lab, part(opened(pair_viewer, "3.1"), "cell-said"), difference)
    screenshot(pair_viewer, "attention-difference")


def test_by_keyboard_alone(lab: Lab, viewer: Locator):
    press = lab.page.keyboard.press
    part(viewer, "text").focus()
    cells = lab.cells()
    for key in ("End", "a", "b", "Enter"):
        press(key)
    expect(part(viewer, "token").nth(12)).to_have_attribute("aria-selected", "true")
    press("Escape")
    expect(part(viewer, "token").nth(12)).to_have_attribute("aria-selected", "false")
    tab_to(viewer, "heads-grid")
    for key in ("ArrowRight", "ArrowUp", "j", "Enter"):
        press(key)
    expect(part(viewer, "opened-head")).to_have_count(3)
    press("Shift+Enter")
    expect(part(viewer, "pin")).to_have_count(1)
    name = part(viewer, "opened-head").last.get_attribute("data-head")
    assert name
    layer, head = (int(number) for number in name.split("."))
    lab.expect("viewer.opened", [[1, 2], [0, 0], [layer, head]])
    lab.expect("viewer.selection", {"layer": layer, "head": head})
    expect(part(opened(viewer, name), "cell-said")).to_contain_text("Hover over a cell")
    part(opened(viewer, name), "matrix").focus()
    for key in ("End", "Home", "ArrowRight", "Enter"):
        press(key)
    there = "viewer.selection.get('position'), viewer.selection.get('source')"
    lab.expect(there, "12 1")
    place = expect_number(lab, part(opened(viewer, name), "cell-said"), f"viewer.result.values[{layer}, {head}]")
    assert place == (12, 1)
    expect(part(opened(viewer, name), "said-cell")).to_contain_text(re.compile(r"\(12\) attends to .*\(1\)"))
    assert lab.cells() == cells


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, pair_viewer: Locator, theme: str):
    head = opened(pair_viewer, "0.0")
    open_panel(head, "attribute")
    part(head, "run-attribute").click()
    expect(part(head, "attribution-result")).to_be_visible()
    part(pair_viewer, "mark-previous").check()
    part(pair_viewer, "token").nth(5).click()
    expect(part(pair_viewer, "token").nth(5)).to_have_attribute("aria-selected", "true")
    lab.set_theme(theme)
    expect(pair_viewer).to_have_attribute("data-hs-theme", theme)
    screenshot(pair_viewer, f"attention-{theme}")
    assert axe_violations(pair_viewer) == []
    assert unreadable(pair_viewer) == []


def test_many_large_heads_are_asked_for_one_by_one_and_are_exact(lab: Lab):
    view = lab.show(LARGE)
    expect(part(view, "token")).to_have_count(500)
    for place in ((0.3, 0.5), (0.61, 0.79)):
        expect_number(lab, point_in_matrix(view, "3.4", *place), "many.result.values[3, 4]")
    toggle(view, 11, 11)
    expect(part(opened(view, "11.11"), "matrix")).to_be_visible()
    expect_number(lab, point_in_matrix(view, "11.11", 0.3, 0.5), "many.result.values[11, 11]")
    choose(view, "scale", "log")
    expect(part(view, "subtitle")).to_contain_text("log scale")
    expect(part(view, "thumbs")).to_have_attribute("data-stale", "false")
    lab.expect("many.thumbs['scale'], many.result is not None", "log True")
    screenshot(view, "attention-large")


def test_a_second_view_shows_the_same(lab: Lab, viewer: Locator):
    second = lab.show("viewer")
    expect(part(second, "opened-head")).to_have_count(2)
    toggle(second, 2, 2)
    expect(opened(viewer, "2.2")).to_have_count(1)
    part(second, "token").nth(3).click()
    expect(part(viewer, "token").nth(3)).to_have_attribute("aria-selected", "true")
    choose(second, "scale", "per row")
    expect(part(viewer, "subtitle")).to_contain_text("each row by its largest")


# The mean of what is painted, from 0 to 255.
BRIGHTNESS = """(canvas) => {
  const sheet = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  sheet.drawImage(canvas, 0, 0);
  const { data } = sheet.getImageData(0, 0, canvas.width, canvas.height);
  const painted = data.filter((_, i) => data[i - (i % 4) + 3] === 255 && i % 4 < 3);
  return painted.reduce((sum, value) => sum + value, 0) / painted.length;
}"""


def test_a_view_that_begins_in_the_dark_is_dark(lab: Lab):
    lab.set_theme("dark")
    view = lab.show("begun = hs.AttentionViewer(model, 'The capital of Norway is')\nbegun")
    lab.python("begun.wait()")
    expect(view).to_have_attribute("data-hs-theme", "dark")
    canvas = part(view, "matrix").locator("canvas").element_handle()
    lab.page.wait_for_function(f"(canvas) => ({BRIGHTNESS})(canvas) < 110", arg=canvas)
