"""The figures of hookscope.circuitsvis on pages of their own, and in JupyterLab."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from checks import axe_violations, complaints_of, expect_no_sideways_scrolling, screenshot
from circuitsvis_figures import ACTIVATIONS, IDS, LOGITS, SAMPLES, TEXT, TOPS, VALUES
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Browser, expect
from views import choose, part

import hookscope.circuitsvis as cv

HOSTILE = ["</script><script>alert(1)</script>", '<img/src="x"onerror=alert(2)>', "<b>bold</b>", "&lt;"]


def test_tokens_are_never_html(offline_pages):
    page = offline_pages[1]
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for figure in (
        cv.tokens.colored_tokens(HOSTILE, [1, 2, 3, 4]),
        cv.tokens.colored_tokens_multi(HOSTILE, np.ones((4, 4)), HOSTILE),
        cv.logits.token_log_probs(range(4), np.log(np.full((4, 4), 0.25)), lambda id: HOSTILE[id]),
        cv.topk_tokens.topk_tokens([HOSTILE], [np.ones((1, 4, 1))], 4, HOSTILE[0], HOSTILE[1], [HOSTILE[2]]),
        cv.activations.text_neuron_activations(HOSTILE, np.ones((4, 1, 1)), *HOSTILE[:2], [HOSTILE[2]]),
        cv.attention.attention_heads(np.ones((1, 4, 4)), HOSTILE, [HOSTILE[0]]),
    ):
        page.set_content(str(figure))
        view = page.frame_locator("iframe").locator(".hs-root")
        expect(view).to_contain_text("alert(2)")
        assert view.locator("img, b:text('bold'), script").count() == 0
    assert said == []


# The frame's height once it is that of its content, and lower than before.
HEIGHT = """(before) => {
  const { clientHeight, contentDocument } = document.querySelector('iframe');
  const { height } = contentDocument.body.getBoundingClientRect();
  return clientHeight === Math.ceil(height) && clientHeight < before && clientHeight;
}"""


def test_the_frame_is_as_high_as_its_view_and_on_its_page_s_ground(offline_pages):
    page = offline_pages[1]
    figure = cv.activations.text_neuron_activations(SAMPLES, ACTIVATIONS)
    page.set_content(f'<body style="background: #1e1e1e">{figure}</body>')
    view = page.frame_locator("iframe").locator(".hs-root")
    expect(view).to_have_attribute("data-hs-theme", "dark")
    page.evaluate("document.body.style.background = '#fff7e0'")
    expect(view).to_have_attribute("data-hs-theme", "light")
    assert view.evaluate("(view) => getComputedStyle(view).backgroundColor") == "rgb(255, 247, 224)"
    tall = page.wait_for_function(HEIGHT, arg=10_000).json_value()
    choose(view, "count", "Samples per page: 1")
    expect(part(view, "sample")).to_have_count(1)
    page.wait_for_function(HEIGHT, arg=tall)


def test_html_in_a_file_without_a_head_works(offline_pages, tmp_path: Path):
    page, file = offline_pages[1], tmp_path / "figure.html"
    file.write_text(str(cv.tokens.colored_tokens(["naïve", " 東京"], [1, 2])), "utf-8")
    page.goto(file.as_uri())
    view = page.frame_locator("iframe").locator(".hs-root")
    expect(view.locator("[data-token]")).to_have_text(["naïve", "␣東京"])


FIGURES = {
    "tokens": lambda: cv.tokens.colored_tokens(TEXT, [*VALUES[:-1], np.nan]),
    "columns": lambda: cv.tokens.visualize_model_performance(IDS, TEXT, LOGITS),
    "samples": lambda: cv.activations.text_neuron_activations(SAMPLES, ACTIVATIONS),
    "predictions": lambda: cv.logits.token_log_probs(IDS, LOGITS.log_softmax(-1), lambda id: f" token {id}"),
    "tops": lambda: TOPS["pages"](cv),
}


@pytest.mark.parametrize("name", FIGURES)
def test_readable_and_accessible_in_both_themes_and_on_a_narrow_page(browser: Browser, tmp_path: Path, name: str):
    page = browser.new_page(viewport={"width": 900, "height": 700}, device_scale_factor=2)
    complaints = complaints_of(page)
    source = re.search(r'srcdoc="([^"]*)"', str(FIGURES[name]()))
    assert source
    file = tmp_path / "page.html"
    file.write_bytes(html.unescape(source[1]).encode("utf-8"))
    page.goto(file.as_uri())
    view = page.locator(".hs-root")
    view.locator("[data-token], [data-row]").nth(1).hover()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(view).to_have_attribute("data-hs-theme", theme)
        screenshot(page, f"circuitsvis-{name}-{theme}")
        assert axe_violations(view) == []
        assert hard_to_read(view) == []
    expect_no_sideways_scrolling(page)
    screenshot(page, f"circuitsvis-{name}-narrow")
    page.close()
    assert complaints == []


LARGE = """
import numpy as np
import hookscope.circuitsvis as cv
from hookscope.circuitsvis import token_values

token_values.MOST_NUMBERS = 5  # so that a view asks for its parts
large = cv.activations.text_neuron_activations(["a", " b"], np.arange(12.0).reshape(2, 2, 3))
large
"""


def test_in_jupyterlab_a_large_figure_is_fetched_as_it_is_looked_at(lab: Lab):
    view = lab.show(LARGE)
    token = view.locator('[data-token="1"]')
    expect(token).to_have_attribute("data-value", "6")
    choose(view, "second", "Neuron 2")
    expect(token).to_have_attribute("data-value", "8")
    token.click()
    expect(part(view, "readout")).to_contain_text("token 1")
    lab.expect("large.chosen, large.selection", "{'second': 2} {'sample': 0, 'token': 1}")
    assert lab.value("large.figure['parts']") == "None"
