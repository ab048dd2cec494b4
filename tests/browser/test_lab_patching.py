"""What is patched and how, in JupyterLab: values, several cells, opened cells, pairs, alignment, code, saved maps."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from contrast import hard_to_read
from lab import PAUSED, Lab
from playwright.sync_api import Browser, Locator, expect
from views import cell, choose, enter, expect_status, part, place_of

UNEQUAL = """
unequal = hs.PromptPair(
    clean="The capital of Norway is", corrupt="The capital of the Sweden is",
    clean_answer=" Oslo", corrupt_answer=" Stockholm",
)
"""
RAISES = """
def recall(logits):
    return logits[:, 10**6]

failing = hs.PatchHeatmap(model, pair, metric=recall)
failing
"""


@pytest.fixture
def heatmap(lab: Lab) -> Locator:
    view = lab.show('cells = hs.PatchHeatmap(model, pair, dataset=["The capital of Japan is"])\ncells')
    expect_status(view, "done")
    return view


@pytest.fixture
def editor(lab: Lab) -> Locator:
    view = lab.show(f"{UNEQUAL}aligned = hs.PromptPairEditor(model, unequal)\naligned")
    expect(part(view, "tokens-corrupt").get_by_role("button")).to_have_count(7)
    return view


@pytest.fixture
def follower(lab: Lab, editor: Locator) -> Locator:
    view = lab.show("following = hs.PatchHeatmap(model, aligned)\nfollowing")
    expect_status(view, "done")
    return view


@pytest.fixture
def pairs(lab: Lab) -> Locator:
    view = lab.show('many = hs.PatchHeatmap(model, hs.PromptPairs.from_task(model, "capitals"))\nmany')
    expect_status(view, "done")
    return view


def shows(lab: Lab, expression: str, decimals: int = 2) -> str:
    """A number that Python has, as a view writes it."""
    return lab.value(f"f'{{float({expression}):.{decimals}f}}'").replace("-", "\u2212")


def pick(view: Locator, *places: tuple[int, int]) -> None:
    for place in places:
        part(view, "cells").click(position=place_of(view, *place), modifiers=["Shift"])


def chip(editor: Locator, run: str, index: int) -> Locator:
    return editor.locator(f'[data-run="{run}"][data-token="{index}"]')


def choose_heads(lab: Lab, heatmap: Locator) -> None:
    choose(heatmap, "activation", "z, by head —")
    expect(part(heatmap, "grid")).to_have_attribute("aria-colcount", "4")
    expect(part(heatmap, "cell").filter(has_text="not computed yet")).to_have_count(0)
    lab.expect("cells.status", "done")


def open_head(heatmap: Locator) -> Locator:
    part(heatmap, "cells").click(position=place_of(heatmap, 0, 1))
    expect(part(heatmap, "open")).to_have_text("Show its positions")
    part(heatmap, "open").click()
    expect(part(heatmap, "opened")).to_be_visible()
    return part(heatmap, "opened")


def test_cells_picked_one_by_one_are_patched_together(lab: Lab, heatmap: Locator):
    pick(heatmap, (0, 4), (2, 5), (1, 5), (1, 5))
    expect(part(heatmap, "picks")).to_have_attribute("data-count", "2")
    expect(part(heatmap, "pin")).to_have_count(0)
    part(heatmap, "patch-together").click()
    expect(part(heatmap, "together")).to_be_visible()
    joint, total = (shows(lab, f'cells.together["{name}"]') for name in ("normalized", "sum"))
    expect(part(heatmap, "together")).to_have_text(f"together {joint}, sum of single effects {total}")
    assert lab.value("*((c['layer'], c['position']) for c in cells.together['cells'])") == "(0, 4) (2, 5)"
    assert shows(lab, 'cells.together["singles"][1]') == shows(lab, "cells.result.normalized[2, 5]")


def test_cells_are_picked_by_dragging_and_by_keyboard(lab: Lab, heatmap: Locator):
    box = part(heatmap, "cells").bounding_box()
    assert box
    start, end = place_of(heatmap, 3, 3), place_of(heatmap, 1, 5)
    mouse, press = lab.page.mouse, lab.page.keyboard.press
    mouse.move(box["x"] + start["x"], box["y"] + start["y"])
    mouse.down()
    mouse.move(box["x"] + end["x"], box["y"] + end["y"], steps=4)
    expect(part(heatmap, "brush")).to_be_visible()
    mouse.up()
    expect(part(heatmap, "picks")).to_contain_text("9 cells picked")
    part(heatmap, "grid").focus()
    press("Escape")
    expect(part(heatmap, "picked")).to_have_count(0)
    for key in ("ArrowDown", "End", "Shift+Space", "ArrowDown", "Shift+Space"):
        press(key)
    expect(part(heatmap, "picks")).to_contain_text("2 cells picked")


def test_a_head_opens_into_its_positions(lab: Lab, heatmap: Locator):
    choose_heads(lab, heatmap)
    opened = open_head(heatmap)
    expect(opened).to_contain_text("head 0.1 by position")
    lab.python("cells.wait()")
    value = shows(lab, "cells.opened.normalized[0, 0, 4]")
    expect(cell(opened, 4)).to_have_text(f"layer 0, head 1, position 4 ' Norway' / ' Sweden', recovers {value}")
    choose(heatmap, "metric", "probability")
    value = shows(lab, 'cells.opened.by_metric("prob").normalized[0, 0, 5]')
    expect(cell(opened, 5)).to_contain_text(f"recovers {value}")
    part(opened, "close-opened").click()
    expect(opened).to_have_count(0)
    lab.expect("cells.opened", None)


def test_a_layer_opens_into_its_neurons(lab: Lab, heatmap: Locator):
    choose(heatmap, "activation", "mlp_out")
    lab.expect("cells.result.params['activation']", "mlp_out")
    part(heatmap, "cells").click(position=place_of(heatmap, 2, 5))
    expect(part(heatmap, "open")).to_have_text("Show its neurons")
    part(heatmap, "open").click()
    opened = part(heatmap, "opened")
    expect(part(opened, "neurons-line")).to_contain_text("of 512 neurons")
    lab.python("cells.wait()")
    number = lab.python("effects = cells.opened.normalized.ravel()\nprint(abs(effects).argmax())")
    effect = shows(lab, f"effects[{number}]", decimals=3)
    expect(cell(opened, 0)).to_contain_text(f"neuron {number}, recovers {effect}")


def test_another_metric_runs_nothing(lab: Lab, heatmap: Locator):
    before = lab.value("cells.result.id")
    choose(heatmap, "metric", "probability")
    value = shows(lab, 'cells.result.by_metric("prob").normalized[2, 5]')
    expect(cell(heatmap, 17)).to_contain_text(f"recovers {value}")
    lab.expect("cells.result.params['metric']", "prob")
    assert lab.value("cells.result.id") == before


def test_what_is_put_in_is_chosen_and_typed(lab: Lab, heatmap: Locator):
    part(heatmap, "more").click()
    choose(heatmap, "value", "a third prompt")
    enter(heatmap, "value-text", "Norway")
    expect(part(heatmap, "error")).to_contain_text("Give them the same length")
    enter(heatmap, "value-text", "The capital of Finland is")
    expect(part(heatmap, "subtitle")).to_contain_text("a third prompt into corrupt")
    expect(part(heatmap, "error")).to_have_count(0)
    lab.expect("cells.value.text", "The capital of Finland is")
    lab.python("cells.wait()")
    expect(cell(heatmap, 17)).to_contain_text(shows(lab, "cells.result.normalized[2, 5]"))
    choose(heatmap, "value", "mean")
    expect(part(heatmap, "subtitle")).to_contain_text("means into corrupt")
    choose(heatmap, "value", "add the difference")
    expect(part(heatmap, "subtitle")).to_contain_text("the difference added to corrupt")
    enter(heatmap, "value-factor", "much")
    expect(part(heatmap, "complaint")).to_contain_text("must be a number")
    lab.expect("cells.value.factor", 1.0)
    enter(heatmap, "value-factor", "\u22122")
    expect(part(heatmap, "complaint")).to_have_count(0)
    lab.expect("cells.value.factor", -2.0)
    expect(cell(heatmap, 4)).to_contain_text("recovers \u2212")


def test_neighbouring_layers_together_and_read_elsewhere(lab: Lab, heatmap: Locator):
    choose(heatmap, "activation", "attn_out")
    part(heatmap, "more").click()
    enter(heatmap, "window", "5")
    expect(part(heatmap, "complaint")).to_contain_text("must be a whole number from 1 to 4")
    enter(heatmap, "window", "3")
    expect(part(heatmap, "complaint")).to_have_count(0)
    expect(cell(heatmap, 23)).to_contain_text("recovers")
    choose(heatmap, "at", "read at 4")
    expect(cell(heatmap, 23)).to_contain_text("are equal")  # right of where the metric is read
    lab.expect("cells.window, cells.at, cells.result.params['window']", "3 4 3")


def test_pairs_are_told_apart_in_a_strip(lab: Lab, pairs: Locator):
    expect(part(pairs, "subtitle")).to_contain_text("mean of 3 pairs")
    part(pairs, "cells").click(position=place_of(pairs, 2, 5))
    expect(part(pairs, "strip").locator("circle")).to_have_count(3)
    low, high = (shows(lab, f"many.result.pairs.interval[{end}][2, 5]") for end in (0, 1))
    expect(part(pairs, "detail-cell")).to_contain_text(f"{low} to {high}")
    expect(part(pairs, "detail-cell")).to_contain_text("3 of 3 pairs agree in sign")
    part(pairs, "strip").press("Home")
    expect(part(pairs, "pair")).to_contain_text(shows(lab, "min(many.result.pairs.normalized[:, 2, 5])"))
    choose(pairs, "metric", "probability")
    value = shows(lab, 'many.result.by_metric("prob").normalized[2, 5]')
    assert value != shows(lab, 'many.result.by_metric("logit_diff").normalized[2, 5]')
    expect(part(pairs, "detail-cell")).to_contain_text(f"recovers {value}")


def test_a_cancelled_sweep_of_pairs_says_how_many_are_in_the_mean(lab: Lab):
    lab.python(f"{PAUSED}pairs = hs.PromptPairs(list(hs.PromptPairs.from_task(model, 'capitals')) * 20)")
    view = lab.show("many = hs.PatchHeatmap(model, pairs, metric=paused)\nmany")
    expect(part(view, "subtitle")).to_contain_text("of 60 pairs so far")
    part(view, "cancel").click()
    lab.python("go_on.set()")
    expect_status(view, "cancelled")
    done = lab.value("many.result.pairs.done")
    expect(part(view, "summary")).to_have_text(f"cancelled at {done} of 60")


def test_an_alignment_dragged_in_the_editor_reaches_the_heatmap(lab: Lab, editor: Locator, follower: Locator):
    expect(cell(follower, 4)).to_contain_text("no token of the clean prompt corresponds")
    source, target = chip(editor, "clean", 4), chip(editor, "corrupt", 4)
    source.scroll_into_view_if_needed()
    boxes = [box for box in (source.bounding_box(), target.bounding_box()) if box]
    (x0, y0), (x1, y1) = ((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes)
    lab.page.mouse.move(x0, y0)
    lab.page.mouse.down()
    lab.page.mouse.move(x1, y1, steps=4)
    expect(part(editor, "drag")).to_be_visible()
    lab.page.mouse.up()
    expect(part(editor, "subtitle")).to_contain_text("aligned by hand")
    expect(cell(follower, 5)).to_contain_text("no token of the clean prompt corresponds")
    expect(cell(follower, 4)).to_contain_text("' Norway' / ' the', recovers")
    lab.expect("following.result.counterparts", [0, 1, 2, 3, 4, None, 5])
    part(editor, "undo").click()
    expect(cell(follower, 4)).to_contain_text("no token of the clean prompt corresponds")
    lab.expect("aligned.pair.alignment", None)


def test_tokens_are_aligned_by_keyboard(lab: Lab, editor: Locator):
    press = lab.page.keyboard.press
    expect(part(editor, "subtitle")).to_contain_text("aligned automatically")
    part(editor, "align").click()
    chip(editor, "clean", 4).focus()
    for key in ("Enter", "ArrowDown", "ArrowLeft", "Enter"):
        press(key)
    expect(part(editor, "subtitle")).to_contain_text("aligned by hand")
    lab.expect("aligned.pair.alignment[4]", (4, 4))
    part(editor, "align-automatic").click()
    expect(part(editor, "subtitle")).to_contain_text("aligned automatically")
    lab.expect("aligned.pair.alignment", None)


def test_a_set_of_answers_is_typed_one_a_line(lab: Lab, editor: Locator):
    before = lab.cells()
    part(editor, "input-clean_answer").press("Control+End")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.keyboard.type(" Rome")
    expect(part(editor, "tokens-clean_answer").locator(".hs-answer-group")).to_have_count(2)
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")
    lab.expect("aligned.pair.answers('clean')", (" Oslo", " Rome"))
    assert lab.cells() == before


def test_the_copied_code_is_that_of_what_is_shown(lab: Lab, heatmap: Locator):
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.python("cells.value = {'kind': 'scale', 'factor': 0.5}\ncells.metric = 'kl'\ncells.wait()")
    expect(part(heatmap, "metric")).to_have_value("6")
    expect(part(heatmap, "subtitle")).to_contain_text("activations scaled")
    part(heatmap, "copy-code").click()
    expect(part(heatmap, "copy-code")).to_have_text("Copied")
    copied = lab.page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == lab.value("cells.code")
    part(heatmap, "code-form").select_option("transformerlens")
    expect(part(heatmap, "code-form").locator("..")).to_contain_text("Copied")
    script = lab.page.evaluate("navigator.clipboard.readText()")
    form = "__import__('interp_backend').transformerlens_code(cells.result, cells.model)"
    assert script.strip() == lab.value(form).strip()


def test_what_a_metric_raised_is_there_with_its_traceback(lab: Lab):
    failing = lab.show(RAISES)
    expect(part(failing, "error")).to_contain_text("The metric recall failed: IndexError")
    expect(part(failing, "traceback").locator("pre")).to_be_hidden()
    part(failing, "traceback").locator("summary").click()
    expect(part(failing, "traceback").locator("pre")).to_be_visible()
    expect(part(failing, "traceback").locator("pre")).to_contain_text("return logits[:, 10**6]")
    for theme in ("light", "dark"):
        lab.set_theme(theme)
        expect(failing).to_have_attribute("data-hs-theme", theme)
        assert axe_violations(failing) == []
    choose(failing, "metric", "logit difference")
    expect(part(failing, "error")).to_have_count(0)
    expect(cell(failing, 23)).to_contain_text("recovers")
    expect_status(failing, "done")


def test_a_saved_map_keeps_its_metrics(lab: Lab, heatmap: Locator, browser: Browser, tmp_path: Path):
    choose_heads(lab, heatmap)
    open_head(heatmap)
    path = tmp_path / "map.html"
    lab.python(f"cells.wait()\ncells.save({str(path)!r})")
    with offline_page(browser, path, width=400) as page:
        view = page.locator(".hs-root")
        expect(part(view, "opened")).to_be_visible()
        value = shows(lab, 'cells.result.by_metric("prob").normalized[0, 1]')
        expect(cell(view, 1).first).not_to_contain_text(f"recovers {value}")
        choose(view, "metric", "probability")
        expect(cell(view, 1).first).to_contain_text(f"recovers {value}")
        assert axe_violations(page.locator("html")) == []
        expect_no_sideways_scrolling(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_map_and_what_it_is_opened_into_are_readable_and_accessible(lab: Lab, heatmap: Locator, theme: str):
    lab.set_theme(theme)
    choose_heads(lab, heatmap)
    pick(heatmap, (2, 1), (3, 2))
    expect(part(heatmap, "picks")).to_have_attribute("data-count", "2")
    open_head(heatmap)
    part(heatmap, "more").click()
    expect(part(heatmap, "value")).to_be_visible()
    expect_fit(heatmap, theme, "opened")
    part(heatmap, "more").click()
    choose(heatmap, "activation", "z, by head and position")
    expect(heatmap.locator(".hs-panel-title")).to_have_count(4)
    expect(part(heatmap, "cell").filter(has_text="not computed yet")).to_have_count(0)
    screenshot(heatmap, f"multiples-{theme}")
    assert axe_violations(heatmap) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pairs_are_readable_and_accessible(lab: Lab, pairs: Locator, theme: str):
    lab.set_theme(theme)
    lab.python("many.selection = {'layer': 2, 'position': 5}")
    expect(part(pairs, "pin")).to_have_count(1)
    expect_fit(pairs, theme, "pairs")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_alignment_is_readable_and_accessible(lab: Lab, editor: Locator, follower: Locator, theme: str):
    lab.set_theme(theme)
    lab.python("following.selection = {'layer': 1, 'position': 4}")
    expect(part(follower, "pin")).to_have_count(1)
    part(editor, "align").click()
    expect(part(editor, "align-help")).not_to_have_text("")
    expect_fit(editor, theme, "aligning")
    expect_fit(follower, theme, "unequal")


def expect_fit(view: Locator, theme: str, name: str) -> None:
    """Readable and accessible in the theme, with a screenshot."""
    expect(view).to_have_attribute("data-hs-theme", theme)
    screenshot(view, f"{name}-{theme}")
    assert axe_violations(view) == []
    assert hard_to_read(view) == []
