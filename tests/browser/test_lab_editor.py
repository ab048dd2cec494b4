"""The prompt pair editor in JupyterLab, with a real kernel and the embedded model."""

from __future__ import annotations

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import NOTEBOOK_KEYS, Lab
from playwright.sync_api import Locator, expect
from views import cell, part, tab_to


@pytest.fixture
def editor(lab: Lab) -> Locator:
    """The editor, when the model has read its pair."""
    view = lab.show("editor = hs.PromptPairEditor(model, pair)\neditor")
    expect(part(view, "top-corrupt").locator("tr").first).not_to_have_text("")
    expect(part(view, "reading")).to_have_attribute("data-stale", "false")
    return view


def test_typing_shows_tokens_and_what_the_model_says(lab: Lab, editor: Locator):
    part(editor, "input-clean").fill("The capital of France is")
    expect(part(editor, "tokens-clean").get_by_role("button").nth(4)).to_have_text("␣France")
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")
    best = lab.python("editor.wait()\nr = editor.result\nprint(r.tokens[int(r.top_runs['clean'].ids[0])])")
    expect(part(editor, "top-clean").locator("tr").first).to_contain_text(best)
    lab.expect("editor.pair.clean", "The capital of France is")


def test_what_python_sets_shows(lab: Lab, editor: Locator):
    lab.python("editor.pair = {**pair.model_dump(), 'corrupt': 'The capital of Italy is', 'corrupt_answer': ' Rome'}")
    expect(part(editor, "input-corrupt")).to_have_value("The capital of Italy is")
    expect(part(editor, "input-corrupt_answer")).to_have_value(" Rome")
    expect(part(editor, "tokens-corrupt")).to_contain_text("Italy")
    lab.python("editor.selection = {'position': 2}")
    expect(part(editor, "tokens-clean").locator("[aria-pressed=true]")).to_have_text("␣capital")


def test_a_clicked_token_is_pinned_and_python_sees_it(lab: Lab, editor: Locator):
    part(editor, "tokens-corrupt").get_by_role("button").nth(4).click()
    expect(part(editor, "tokens-clean").get_by_role("button").nth(4)).to_have_attribute("aria-pressed", "true")
    lab.expect("editor.selection", {"position": 4, "side": "clean"})


def test_a_trailing_space_is_named_and_mended_by_its_button(lab: Lab, editor: Locator):
    part(editor, "input-clean").fill("The capital of Norway is ")
    warning = part(editor, "warnings").locator('[data-code="trailing_space"]')
    expect(warning).to_be_visible()
    part(warning, "fix").click()
    expect(warning).to_have_count(0)
    expect(part(editor, "input-clean")).to_have_value("The capital of Norway is")
    lab.expect("repr(editor.pair.clean)", "'The capital of Norway is'")


def test_empty_fields_are_said_to_be_empty_and_can_be_filled_again(lab: Lab, editor: Locator):
    for field in ("clean", "corrupt", "clean_answer", "corrupt_answer"):
        part(editor, f"input-{field}").fill("")
    expect(part(editor, "warnings").locator('[data-code="empty_prompt"]').first).to_be_visible()
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")
    part(editor, "input-clean").fill("The capital of Norway is")
    expect(part(editor, "tokens-clean")).to_contain_text("Norway")


def test_text_that_looks_like_html_is_text(lab: Lab, editor: Locator):
    part(editor, "input-clean").fill("<script>alert(1)</script><img src=x onerror=alert(2)>")
    expect(part(editor, "tokens-clean")).to_contain_text("script")
    expect(editor.locator("script, img")).to_have_count(0)


def test_the_editor_by_keyboard_alone(lab: Lab, editor: Locator):
    press = lab.page.keyboard.press
    part(editor, "swap").focus()
    tab_to(editor, "template-induction")
    press("Enter")
    expect(part(editor, "input-clean")).not_to_have_value("The capital of Norway is")
    tab_to(editor, "input-clean")
    press("Control+z")
    expect(part(editor, "input-clean")).to_have_value("The capital of Norway is")
    press("Control+a")
    lab.page.keyboard.type("The capital of Japan is")
    expect(part(editor, "tokens-clean")).to_contain_text("Japan")
    press("Control+z")
    expect(part(editor, "tokens-clean")).to_contain_text("Norway")
    press("Control+Shift+z")
    expect(part(editor, "input-clean")).to_have_value("The capital of Japan is")
    expect(part(editor, "tokens-clean")).to_contain_text("Japan")
    lab.expect("editor.pair.clean", "The capital of Japan is")


def test_keys_inside_the_editor_are_no_commands_of_the_notebook(lab: Lab, editor: Locator):
    part(editor, "swap").focus()  # which selects the cell
    before = lab.cells()
    for name in ("swap", "input-clean"):
        part(editor, name).focus()
        for key in NOTEBOOK_KEYS:
            lab.page.keyboard.press(key)
        assert lab.cells() == before
        expect(part(editor, name)).to_be_focused()
    expect(part(editor, "tokens-clean")).to_contain_text("k")  # typed, for in a field they are letters


def test_two_views_and_a_heatmap_follow_what_is_typed(lab: Lab, editor: Locator):
    second = lab.show("editor")
    heatmap = lab.show("follower = hs.PatchHeatmap(model, editor)\nfollower")
    part(second, "input-corrupt").fill("The capital of Italy is")
    expect(part(editor, "input-corrupt")).to_have_value("The capital of Italy is")
    expect(part(editor, "tokens-corrupt")).to_contain_text("Italy")
    expect(heatmap.locator(".hs-column-labels")).to_contain_text("Italy")
    expect(cell(heatmap, 23)).to_contain_text("recovers")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, editor: Locator, theme: str):
    lab.set_theme(theme)
    expect(editor).to_have_attribute("data-hs-theme", theme)
    part(editor, "input-clean").fill("The capital of Norway is ")  # so that a warning is there too
    expect(part(editor, "fix").first).to_be_visible()
    expect(part(editor, "reading")).to_have_attribute("data-stale", "false")
    screenshot(editor, f"editor-{theme}")
    assert axe_violations(editor) == []
    assert hard_to_read(editor) == []
