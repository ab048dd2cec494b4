"""The attention viewer in JupyterLab: its heads, their exact numbers, what can be asked of one, and a saved page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks import ROOT, axe_violations, complaints_of, screenshot, wider_than_its_page
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Browser, Locator, Page, expect
from views import cell, choose, expect_status, part, place_of, tab_to

TWICE = "The capital of Norway is Oslo. The capital of Norway is"
HOSTILE = "</script><img src=x onerror=alert(1)> \u202e \u05e9 The capital of Norway is"

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

# 0.5888 or −1.2e-7: as a view writes a number.
NUMBER = r"[\u2212\d][\d.e\u2212+-]*"
CELL = re.compile(rf"\((\d+)\) looks (?:most )?at .*\((\d+)\): ({NUMBER})")


@pytest.fixture(scope="module")
def shown(notebook: Lab) -> Locator:
    return notebook.show(f"viewer = hs.AttentionViewer(model, {TWICE!r})\nviewer")


@pytest.fixture(scope="module")
def shown_pair(notebook: Lab) -> Locator:
    return notebook.show("both = hs.AttentionViewer(model, pair)\nboth")


def as_it_began(lab: Lab, name: str, view: Locator) -> Locator:
    """The patterns in the order of the model, heads 1.2 and 0.0 opened, and nothing pinned."""
    lab.python(
        f"""
{name}.wait()
{name}.kind, {name}.scale, {name}.sort, {name}.marks = "pattern", "linear", "layer", []
{name}.opened, {name}.shown_layers, {name}.layer_zero = [[1, 2], [0, 0]], None, "bottom"
{name}.side = "prompt" if {name}.pair is None else "clean"
{name}.run()
{name}.wait()
"""
    )
    expect_status(view, "done")
    expect(part(view, "opened-head")).to_have_count(2)
    expect(part(view, "kind")).to_have_value("0")
    lab.page.mouse.move(0, 0)
    return view


@pytest.fixture
def one(lab: Lab, shown: Locator) -> Locator:
    lab.python(f"viewer.prompt = {TWICE!r}")
    return as_it_began(lab, "viewer", shown)


@pytest.fixture
def both(lab: Lab, shown_pair: Locator) -> Locator:
    lab.python("both.pair = pair")
    return as_it_began(lab, "both", shown_pair)


def opened(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-hs="opened-head"][data-head="{name}"]')


def toggle(view: Locator, layer: int, head: int, modifiers: list[str] | None = None) -> None:
    place = place_of(view, layer, head, "heads-grid")
    part(view, "cells").click(position=place, modifiers=modifiers)


def expect_python(lab: Lab, code: str, printed: str) -> None:
    """What a gesture tells the kernel may come after what is asked next: the two take different ways."""
    for _ in range(200):
        if (found := lab.python(code)) == printed:
            return
    raise AssertionError(f"{code} prints {found}, not {printed}")


def open_panel(head: Locator, name: str) -> None:
    if part(head, f"action-{name}").get_attribute("aria-expanded") != "true":
        part(head, f"action-{name}").click()


def unreadable(view: Locator) -> list[str]:
    """Texts alone: the small pictures of the heads are none, though they are cells."""
    return [line for line in hard_to_read(view) if not re.match(r"'Head \d+\.\d+, ", line)]


def expect_exact(lab: Lab, words: Locator, values: str) -> tuple[int, int]:
    """What a view says of a cell is the kernel's number, to the last bit; returns the cell."""
    expect(words).to_contain_text(CELL)
    found = CELL.search(words.inner_text())
    assert found
    destination, source = int(found[1]), int(found[2])
    true = lab.python(f"print(repr(float({values}[{destination}, {source}])))")
    assert np.float32(found[3].replace("\u2212", "-")) == np.float32(true)
    return destination, source


def test_pointing_at_a_token_says_where_it_looks_and_what_looks_at_it(lab: Lab, one: Locator):
    part(one, "token").nth(12).hover()
    most = lab.python("row = viewer.result.values[1, 2, 12]\nprint(row.argmax(), f'{row.max():.4f}')").split()
    expect(part(one, "text-said")).to_contain_text(
        re.compile(rf"Head 1\.2: .*is \(12\) looks at .*\({most[0]}\) {most[1]}")
    )
    expect(part(one, "text-said")).to_contain_text("is looked at by nothing")
    expect_exact(lab, part(opened(one, "0.0"), "cell-said"), "viewer.result.values[0, 0]")
    part(one, "token").nth(12).click()
    expect(part(one, "token").nth(12)).to_have_attribute("aria-selected", "true")
    expect_python(lab, "print(viewer.selection)", "{'destination': 12}")
    lab.page.keyboard.press("Escape")
    expect(part(one, "token").nth(12)).to_have_attribute("aria-selected", "false")
    expect_python(lab, "print(viewer.selection)", "None")


def test_heads_are_opened_closed_and_pinned_with_the_mouse(lab: Lab, one: Locator):
    toggle(one, 3, 1)
    expect(opened(one, "3.1")).to_be_visible()
    expect_python(lab, "print(viewer.opened)", "[[1, 2], [0, 0], [3, 1]]")
    toggle(one, 3, 1)
    expect(opened(one, "3.1")).to_have_count(0)
    part(opened(one, "1.2"), "close").click()
    expect(opened(one, "1.2")).to_have_count(0)
    expect_python(lab, "print(viewer.opened)", "[[0, 0]]")
    toggle(one, 2, 0, ["Shift"])
    expect(part(one, "text-said")).to_contain_text("Head 2.0")
    expect_python(lab, "print(viewer.selection)", "{'layer': 2, 'head': 0}")
    part(one, "cells").hover(position=place_of(one, 1, 3, "heads-grid"))
    score = lab.python("print(f\"{viewer.result.first.scores['induction'][1, 3]:.2f}\")")
    expect(part(one, "head-said")).to_contain_text(re.compile(rf"Head 1\.3.*induction {score}", re.DOTALL))


def stand_side_by_side(view: Locator) -> bool:
    left, right = (opened(view, name).bounding_box() for name in ("1.2", "0.0"))
    assert left and right
    return left["y"] == right["y"] and left["x"] + left["width"] < right["x"]


def test_two_heads_stand_side_by_side(lab: Lab, one: Locator):
    assert stand_side_by_side(one)
    lab.python(f"viewer.prompt = {TWICE!r} * 7\nviewer.wait()")
    expect(part(one, "token")).to_have_count(85)
    assert stand_side_by_side(one)


@pytest.mark.parametrize("kind", ["pattern", "value_weighted", "scores", "output_norm"])
def test_the_cell_under_the_pointer_has_the_kernels_number(lab: Lab, one: Locator, kind: str):
    choose(one, "kind", kind.replace("_", " "))
    expect(part(one, "subtitle")).to_contain_text(kind.replace("_", " "))
    expect_status(one, "done")
    head = opened(one, "1.2")
    box = part(head, "matrix").bounding_box()
    assert box
    seen = set()
    for x, y in ((0.35, 0.2), (0.4, 0.6), (0.55, 0.66)):
        part(head, "matrix").hover(position={"x": x * box["width"], "y": y * box["height"]})
        expect(part(head, "cell-said")).to_contain_text(" looks at ")
        seen.add(expect_exact(lab, part(head, "cell-said"), "viewer.result.values[1, 2]"))
    assert len(seen) == 3
    assert lab.python("print(viewer.result.kind)") == kind
    part(head, "matrix").click(position={"x": 0.4 * box["width"], "y": 0.6 * box["height"]})
    lab.page.mouse.move(0, 0)
    locked = expect_exact(lab, part(head, "cell-said"), "viewer.result.values[1, 2]")
    selection = {"layer": 1, "head": 2, "destination": locked[0], "source": locked[1]}
    expect_python(lab, "print(viewer.selection)", str(selection))


def test_a_pair_shows_each_side_and_their_difference(lab: Lab, both: Locator):
    expect(part(both, "token").nth(4)).to_contain_text("Norway")
    choose(both, "side", "corrupt")
    expect(part(both, "token").nth(4)).to_contain_text("Sweden")
    part(both, "token").nth(5).hover()
    expect_exact(lab, part(opened(both, "1.2"), "cell-said"), "both.result.sides['corrupt'].values[1, 2]")
    choose(both, "side", "clean −")
    expect(part(both, "subtitle")).to_contain_text("clean − corrupt")
    expect(part(opened(both, "1.2"), "scores")).to_contain_text("clean: previous token")
    part(both, "token").nth(5).hover()
    sides = "both.result.sides['clean'].values[3, 1] - both.result.sides['corrupt'].values[3, 1]"
    toggle(both, 3, 1)
    part(both, "token").nth(5).hover()
    expect_exact(lab, part(opened(both, "3.1"), "cell-said"), f"({sides})")
    screenshot(both, "attention-difference")


def test_heads_are_sorted_also_by_what_they_do_on_random_tokens(lab: Lab, one: Locator):
    names = one.locator(".hs-thumb-caption")
    part(one, "sort").select_option("previous_token")
    best = "import numpy as np\nprint(*np.unravel_index({}.argmax(), (4, 4)), sep='.')"
    expect(names.first).to_contain_text(lab.python(best.format("viewer.result.first.scores['previous_token']")))
    if lab.python("print(viewer.head_scores is None)") == "True":
        part(one, "sort").select_option("+")
    expect(part(one, "sort").locator('option[value="random:induction"]')).to_have_count(1)
    part(one, "sort").select_option("random:induction")
    expect(names.first).to_contain_text(lab.python(best.format("viewer.head_scores.scores['induction']")))
    highest = lab.python("print(f\"{viewer.head_scores.scores['induction'].max():.2f}\")")
    expect(names.first).to_contain_text(highest)
    expect(names).to_have_count(16)
    expect_python(lab, "print(viewer.sort)", "random:induction")
    expect(part(opened(one, "1.2"), "random-scores")).to_have_count(1)
    screenshot(one, "attention-sorted")


def test_layers_are_chosen_and_what_is_wrong_is_said(lab: Lab, one: Locator):
    part(one, "more").click()
    part(one, "layers").fill("3, 0-1")
    part(one, "layers").press("Enter")
    expect(part(one, "heads-grid")).to_have_attribute("aria-rowcount", "3")
    expect_python(lab, "print(viewer.shown_layers)", "[0, 1, 3]")
    part(one, "layers").fill("7")
    part(one, "layers").press("Enter")
    expect(part(one, "complaint")).to_contain_text("Layers are 0-3")
    expect_python(lab, "print(viewer.shown_layers)", "[0, 1, 3]")
    part(one, "layer-zero").click()
    expect(cell(one, 0)).to_contain_text(re.compile(r"Head [03]\.0"))
    expect_python(lab, "print(viewer.layer_zero)", "top")
    part(one, "more").click()
    for mark in ("induction", "previous", "duplicate"):
        part(one, f"mark-{mark}").check()
    expect_python(lab, "print(viewer.marks)", "['induction', 'previous', 'duplicate']")


def test_one_head_is_patched_attributed_and_read(lab: Lab, both: Locator):
    head = opened(both, "1.2")
    open_panel(head, "patch")
    part(head, "run-patch").click()
    whole = "print(f\"{both.head_patch['all']:.2f}\".replace('-', '\\u2212'))"
    expect(part(head, "patch-result")).to_be_visible()
    expect(part(head, "patch-all")).to_have_text(lab.python(whole))
    expect(part(head, "patch-effects").locator('[data-hs="strip-token"]')).to_have_count(6)
    open_panel(head, "attribute")
    part(head, "run-attribute").click()
    value = "print(f\"{both.head_attribution['sides']['clean']['value']:+.2f}\".replace('-', '\\u2212'))"
    expect(part(head, "attribution-result")).to_contain_text("␣Oslo against ␣Stockholm")
    expect(part(head, "attributed-clean")).to_contain_text(lab.python(value))
    open_panel(head, "circuits")
    choose(head, "circuit", "QK")
    part(head, "run-circuits").click()
    expect(part(head, "circuits-result")).to_contain_text("QK")
    pair = "print(f\"{both.head_circuits['pairs'][0]['value']:+.2f}\".replace('-', '\\u2212'))"
    expect(part(head, "pairs-largest").locator("tr").first).to_contain_text(lab.python(pair))
    # Answers are of one prompt: another takes them away.
    lab.python("both.pair = hs.PromptPair(clean='A is', corrupt='B is', clean_answer=' Oslo', corrupt_answer=' Rome')")
    expect(part(both, "token")).to_have_count(3)
    expect(part(both, "circuits-result")).to_have_count(0)
    assert lab.python("print(both.head_patch, both.head_attribution, both.head_circuits)") == "None None None"


def test_a_prompt_is_typed_refused_and_read_from_its_end(lab: Lab, one: Locator):
    part(one, "input-prompt").fill("")
    part(one, "input-prompt").press("Enter")
    expect(part(one, "error")).to_contain_text("empty")
    expect(part(one, "attention-result")).to_have_attribute("data-stale", "true")
    expect(part(one, "faded")).to_contain_text(TWICE)
    part(one, "input-prompt").fill(HOSTILE)
    part(one, "input-prompt").press("Enter")
    expect(part(one, "text")).to_contain_text("onerror")
    expect(part(one, "error")).to_have_count(0)
    assert one.locator("img, script").count() == 0
    part(one, "input-prompt").fill("The capital of Norway is Oslo. " * 20)
    part(one, "input-prompt").press("Enter")
    expect(part(one, "error")).to_contain_text("at most 128")
    part(one, "read-last").click()
    expect(part(one, "token")).to_have_count(128)
    choose(one, "kind", "value weighted")
    expect(part(one, "subtitle")).to_contain_text("value weighted · 16 heads · 128 tokens")


def test_what_was_cancelled_leaves_the_last_result_faded(lab: Lab, both: Locator):
    lab.python(
        """
import threading
from interp_backend.service.jobs import worker_of
held = threading.Event()
worker_of(both.model).submit(object(), lambda: iter([held.wait(60)]), lambda *_: None)
"""
    )
    try:
        choose(both, "kind", "scores")
        part(both, "cancel").click()
    finally:
        lab.python("held.set()\nboth.wait()")
    expect_status(both, "cancelled")
    # What is shown is not what was asked for, and says so.
    expect(part(both, "subtitle")).to_contain_text("pattern · clean")
    expect(part(both, "attention-result")).to_have_attribute("data-stale", "true")
    expect(part(both, "faded")).to_contain_text("The capital of Norway is")
    choose(both, "kind", "scores")
    expect(part(both, "subtitle")).to_contain_text("scores · clean")
    expect(part(both, "attention-result")).to_have_attribute("data-stale", "false")


def test_by_keyboard_alone(lab: Lab, one: Locator):
    press = lab.page.keyboard.press
    part(one, "text").focus()
    cells = lab.cells()
    for key in ("End", "a", "b", "Enter"):
        press(key)
    expect(part(one, "token").nth(12)).to_have_attribute("aria-selected", "true")
    press("Escape")
    expect(part(one, "token").nth(12)).to_have_attribute("aria-selected", "false")
    tab_to(one, "heads-grid")
    for key in ("ArrowRight", "ArrowUp", "j", "Enter"):
        press(key)
    expect(part(one, "opened-head")).to_have_count(3)
    press("Shift+Enter")
    expect(part(one, "pin")).to_have_count(1)
    name = part(one, "opened-head").last.get_attribute("data-head")
    assert name
    layer, head = name.split(".")
    expect_python(lab, "print(viewer.opened)", f"[[1, 2], [0, 0], [{layer}, {head}]]")
    expect_python(lab, "print(viewer.selection)", f"{{'layer': {layer}, 'head': {head}}}")
    matrix = part(opened(one, name), "matrix")
    matrix.focus()
    for key in ("End", "Home", "ArrowRight", "Enter"):
        press(key)
    place = expect_exact(lab, part(opened(one, name), "cell-said"), f"viewer.result.values[{layer}, {head}]")
    expect(part(opened(one, name), "said-cell")).to_contain_text("looks at")
    there = "print(viewer.selection.get('destination'), viewer.selection.get('source'))"
    expect_python(lab, there, f"{place[0]} {place[1]}")
    assert lab.cells() == cells


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, both: Locator, theme: str):
    head = opened(both, "0.0")
    open_panel(head, "attribute")
    part(head, "run-attribute").click()
    expect(part(head, "attribution-result")).to_be_visible()
    part(both, "mark-previous").check()
    part(both, "token").nth(5).click()
    lab.set_theme(theme)
    expect(both).to_have_attribute("data-hs-theme", theme)
    screenshot(both, f"attention-{theme}")
    assert axe_violations(both) == []
    assert unreadable(both) == []


def test_many_large_heads_are_asked_for_one_by_one_and_are_exact(lab: Lab):
    view = lab.show(LARGE)
    expect(part(view, "token")).to_have_count(500)
    matrix = part(opened(view, "3.4"), "matrix")
    box = matrix.bounding_box()
    assert box
    for x, y in ((0.3, 0.5), (0.61, 0.79)):
        matrix.hover(position={"x": x * box["width"], "y": y * box["height"]})
        expect(part(view, "cell-said")).to_contain_text(" looks at ")
        expect_exact(lab, part(view, "cell-said"), "many.result.values[3, 4]")
    toggle(view, 11, 11)
    part(opened(view, "11.11"), "matrix").hover(position={"x": 0.3 * box["width"], "y": 0.5 * box["height"]})
    expect_exact(lab, part(opened(view, "11.11"), "cell-said"), "many.result.values[11, 11]")
    choose(view, "scale", "log")
    expect(part(view, "thumbs")).to_have_attribute("data-stale", "false")
    assert lab.python("print(many.thumbs['scale'], many.result is not None)") == "log True"
    screenshot(view, "attention-large")
    lab.python("many.close()")


def test_a_second_view_shows_the_same(lab: Lab, one: Locator):
    second = lab.show("viewer")
    expect(part(second, "opened-head")).to_have_count(2)
    toggle(second, 2, 2)
    expect(opened(one, "2.2")).to_have_count(1)
    part(second, "token").nth(3).click()
    expect(part(one, "token").nth(3)).to_have_attribute("aria-selected", "true")
    choose(second, "scale", "per row")
    expect(part(one, "subtitle")).to_contain_text("each row by its largest")


@pytest.fixture(scope="module")
def saved(notebook: Lab, shown: Locator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attention") / "attention.html"
    notebook.python(
        f"page = hs.AttentionViewer(model, {HOSTILE!r}, opened=[(1, 2), (0, 0)])\npage.wait()\n"
        f"page.save({str(path)!r})\npage.close()"
    )
    return path


@pytest.fixture
def page(browser: Browser, saved: Path) -> Iterator[Page]:
    """The page in a browser without a network; by the end it has asked for itself alone, and complained of nothing."""
    context = browser.new_context(offline=True, viewport={"width": 1100, "height": 800}, device_scale_factor=2)
    page = context.new_page()
    complaints = complaints_of(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.goto(saved.as_uri())
    yield page
    context.close()
    assert requests == [saved.as_uri()]
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_saved_page_works_offline_and_is_text_all_through(page: Page, theme: str):
    view = page.locator(".hs-root")
    page.emulate_media(color_scheme=theme)
    assert stand_side_by_side(view)
    expect(view).to_have_attribute("data-hs-theme", theme)
    part(view, "token").nth(4).hover()
    expect(part(view, "text-said")).to_contain_text("Head 1.2")
    toggle(view, 3, 3)
    expect(part(opened(view, "3.3"), "matrix")).to_be_visible()
    part(opened(view, "3.3"), "matrix").hover()
    expect(part(opened(view, "3.3"), "cell-said")).to_contain_text("looks at")
    part(view, "sort").select_option("previous_token")
    choose(view, "scale", "log")
    expect(part(view, "subtitle")).to_contain_text("log scale")
    for gone in ("input-prompt", "kind", "actions"):
        expect(part(view, gone)).to_have_count(0)
    assert page.locator("main script, main img").count() == 0
    screenshot(page, f"attention-saved-{theme}")
    assert axe_violations(page.locator("html")) == []
    assert unreadable(view) == []


def test_nothing_is_wider_than_a_narrow_page(page: Page):
    page.set_viewport_size({"width": 400, "height": 900})
    view = page.locator(".hs-root")
    expect(part(view, "matrix").first).to_be_visible()
    assert wider_than_its_page(page) == 0
    screenshot(page, "attention-narrow")


def test_after_a_restart_the_view_still_reads_and_says_what_to_do(lab: Lab, shown: Locator):
    view = lab.show(f"again = hs.AttentionViewer(model, {TWICE!r}, opened=[(1, 2)])\nagain")
    expect_status(view, "done")
    lab.restart()
    part(view, "token").nth(12).hover()
    expect(part(view, "text-said")).to_contain_text(re.compile(r"\(12\) looks at .*Oslo"))
    toggle(view, 3, 1)
    expect(opened(view, "3.1")).to_be_visible()  # its numbers are here already
    choose(view, "kind", "scores")
    expect(part(view, "waiting")).to_contain_text("If the kernel was restarted, run this cell again.")
    lab.command("notebook:run-all-cells")
    expect(part(view, "waiting")).to_have_count(0)
    expect_status(view, "done")


# The mean of what is painted, from 0 to 255.
BRIGHTNESS = """(canvas) => {
  const sheet = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  sheet.drawImage(canvas, 0, 0);
  const { data } = sheet.getImageData(0, 0, canvas.width, canvas.height);
  const painted = data.filter((_, i) => data[i - (i % 4) + 3] === 255 && i % 4 < 3);
  return painted.reduce((sum, value) => sum + value, 0) / painted.length;
}"""


# Not the fixture that has just chosen the light theme: JupyterLab itself stumbles over two changes at once.
def test_a_view_that_begins_in_the_dark_is_dark(notebook: Lab):
    notebook.set_theme("dark")
    view = notebook.show("begun = hs.AttentionViewer(model, 'The capital of Norway is')\nbegun")
    notebook.python("begun.wait()")
    expect(view).to_have_attribute("data-hs-theme", "dark")
    canvas = part(view, "matrix").locator("canvas").element_handle()
    notebook.page.wait_for_function(f"(canvas) => ({BRIGHTNESS})(canvas) < 110", arg=canvas)
