"""The same calls of CircuitsVis and of hookscope.circuitsvis show the same: texts, values, menus, tables, colours.

Both are opened without a network: theirs from the script in its package, ours from its own HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import circuitsvis
import numpy as np
import pytest
import torch
from checks import axe_violations, complaints_of, screenshot, wider_than_its_page
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect
from views import choose, part

import hookscope.circuitsvis as cv
from hookscope.circuitsvis.offline import offline

RNG = np.random.default_rng(0)
TEXT = ["<|bos|>", "When", " Mary", " and", " John", " went", " to", " the", "\tstore", "\n", "John", " gave"]
VALUES = RNG.normal(size=len(TEXT)).astype(np.float32)
COLORS = {"negative_color": "#ff0000", "positive_color": "#0000ff"}  # CircuitsVis's own, so that both have the same
SAMPLES = [TEXT[:3], TEXT[2:7], TEXT[5:]]
ACTIVATIONS = [RNG.normal(size=(len(sample), 2, 3)).astype(np.float32) for sample in SAMPLES]
LOGITS = torch.tensor(RNG.normal(size=(1, len(TEXT), 20)) * 3)
IDS = torch.arange(len(TEXT))[None]
HOSTILE = ["</script><script>alert(1)</script>", '<img/src="x"onerror=alert(2)>', "<b>bold</b>", "&lt;"]

# What CircuitsVis's own tests call, and its docstrings, and one of each kind with more in it.
TOKENS = {
    "its test of tokens": lambda lib: lib.tokens.colored_tokens(tokens=["a", "b"], values=[1, 2]),
    "python numbers": lambda lib: lib.tokens.colored_tokens(["a", "b", "c"], [0.1, -1e-7, 16777217]),
    "tensor": lambda lib: lib.tokens.colored_tokens(TEXT, torch.tensor(VALUES)),
    "bounds": lambda lib: lib.tokens.colored_tokens(TEXT, VALUES, -0.5, 3, **COLORS),
    "its test of one text": lambda lib: lib.activations.text_neuron_activations(
        tokens=["a", "b"], activations=np.array([[[0, 1, 0], [0, 1, 1]], [[0, 1, 1], [1, 1, 1]]])
    ),
    "its test of texts": lambda lib: lib.activations.text_neuron_activations(
        tokens=[["a", "b"], ["c", "d", "e"]],
        activations=[
            np.array([[[0, 1, 0], [0, 1, 1]], [[0, 1, 1], [1, 1, 1]]]),
            np.array([[[0, 1, 0], [0, 1, 1]], [[0, 1, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]]]),
        ],
    ),
    "labelled texts": lambda lib: lib.activations.text_neuron_activations(
        SAMPLES, [torch.tensor(sample) for sample in ACTIVATIONS], "Block", "Feature", ["first", "last"], list("xyz")
    ),
    "its test of samples": lambda lib: lib.topk_samples.topk_samples(
        tokens=[
            [
                [["And", " here"], ["This", " is", " another"]],
                [["Another", " example"], ["Weee", " is", " another"]],
            ]
        ],
        activations=[[[[0.2, 1], [1, 0.0, 0]], [[0, 1], [0.5, 1, 1]]]],
    ),
}
MENUS = {
    "first": "#layer-selector",
    "second": "#neuron-selector",
    "pages": "#sample-selector",
    "count": "#samples-per-page-selector",
}


@pytest.fixture(scope="module")
def offline_pages(browser: Browser) -> Iterator[tuple[Page, Page, list[str]]]:
    """A page for theirs and one for ours, without a network, and all that either asked for.

    Each has a window of its own: what lies behind another page waits seconds for a frame.
    """
    contexts = [browser.new_context(offline=True, viewport={"width": 1000, "height": 800}) for _ in range(2)]
    asked: list[str] = []
    for context in contexts:
        context.on("request", lambda request: asked.append(request.url))
    yield contexts[0].new_page(), contexts[1].new_page(), asked
    for context in contexts:
        context.close()


class Both:
    """The same figure in both."""

    def __init__(self, pages: tuple[Page, Page, list[str]], make: Callable[[Any], Any]) -> None:
        self.theirs, self.page, _ = pages
        for page, figure in ((self.theirs, offline(make(circuitsvis))), (self.page, make(cv))):
            page.goto("about:blank")
            page.set_content(str(figure))
        self.frame: FrameLocator = self.page.frame_locator("iframe")
        self.ours: Locator = self.frame.locator(".hs-root")
        expect(self.ours).to_be_visible()


@pytest.fixture
def both(offline_pages: tuple[Page, Page, list[str]]) -> Iterator[Callable[[Callable[[Any], Any]], Both]]:
    complaints = [complaints_of(page) for page in offline_pages[:2]]
    yield lambda make: Both(offline_pages, make)
    assert complaints == [[], []]
    assert offline_pages[2] == []


def plain(text: str) -> str:
    """A token's text, whatever stands for its spaces: CircuitsVis shows all of them as the same."""
    return re.sub(r"[\s\u2423\u23ce\u21e5\xa0]", " ", text)


def minus(text: str) -> str:
    return text.replace("\u2212", "-").replace("\u2013", "-").replace("#", "")


def hover_theirs(page: Page, element: Locator) -> None:
    """Their tooltips lie over other tokens, and stay while the pointer is on them."""
    page.mouse.move(990, 790)
    element.hover()


def read_theirs(page: Page) -> list[tuple[str, np.float32]]:
    """Each token as it is shown, and the value in its tooltip."""
    read = []
    for token in page.locator(".colored-tokens > span").all():
        hover_theirs(page, token)
        tooltip = token.locator("xpath=following-sibling::*[1][self::div]")
        expect(tooltip).to_be_visible()
        value = tooltip.evaluate("(tooltip) => tooltip.lastChild.textContent")
        read.append((plain(token.locator("span").inner_text()), np.float32(value)))
    return read


def read_ours(view: Locator) -> list[tuple[str, np.float32]]:
    """Each token as it is shown, and the value in the line above."""
    read = []
    for token in view.locator("[data-token]").all():
        token.hover()
        expect(token).to_have_attribute("data-active", "true")
        value = minus(part(view, "value").inner_text())
        assert np.float32(value) == np.float32(token.get_attribute("data-value"))
        read.append((plain(token.inner_text()), np.float32(value)))
    return read


def entries(select: Locator, *names: str) -> list[str]:
    """A menu's entries without the name of what it chooses."""
    found = [minus(text) for text in select.locator("option").all_text_contents()]
    return [re.sub(rf"^({'|'.join(map(re.escape, names))}):? ", "", text) for text in found]


@pytest.mark.parametrize("make", TOKENS.values(), ids=TOKENS.keys())
def test_tokens_and_values_are_the_same(both, make):
    shown = both(make)
    theirs = read_theirs(shown.theirs)
    assert len(theirs) > 1
    assert read_ours(shown.ours) == theirs


@pytest.mark.parametrize("name", ["its test of one text", "its test of texts", "labelled texts", "its test of samples"])
def test_menus_offer_and_choose_the_same(both, name):
    shown = both(TOKENS[name])
    words = ["Layer", "Neuron", "Block", "Feature", "Samples per page", "Samples (descending)", "Samples"]
    for ours, theirs in MENUS.items():
        if shown.theirs.locator(theirs).count() == 0:
            expect(part(shown.ours, ours)).to_have_count(0)
            continue
        offered = entries(shown.theirs.locator(theirs))
        assert entries(part(shown.ours, ours), *words) == offered
        for select in (shown.theirs.locator(theirs), part(shown.ours, ours)):
            select.select_option(index=len(offered) - 1)
    assert read_ours(shown.ours) == read_theirs(shown.theirs)


def brightness(tokens: Locator) -> np.ndarray:
    """Of what is painted behind each token."""
    script = "(all) => all.map((it) => getComputedStyle(it).backgroundColor.match(/[0-9.]+/g).slice(0, 3).map(Number))"
    return np.array(tokens.evaluate_all(script)) @ [0.2126, 0.7152, 0.0722]


def test_of_the_same_colours_the_stronger_is_the_stronger(both):
    shown = both(lambda lib: lib.tokens.colored_tokens(TEXT, VALUES, **COLORS))
    theirs = brightness(shown.theirs.locator(".colored-tokens > span > span"))
    ours = brightness(shown.ours.locator("[data-token]"))
    for side in (VALUES > 0, VALUES < 0):
        assert side.sum() > 3
        by_size = np.argsort(-np.abs(VALUES[side])).tolist()
        assert np.argsort(theirs[side]).tolist() == by_size
        assert np.argsort(ours[side]).tolist() == by_size
    strongest = [int(VALUES.argmax()), int(VALUES.argmin())]
    np.testing.assert_allclose(ours[strongest], theirs[strongest], atol=1)  # the given colours themselves


COLUMNS = {
    "columns": lambda lib: lib.tokens.colored_tokens_multi(
        TEXT, torch.tensor(RNG.normal(size=(len(TEXT), 3)).astype(np.float32)), ["one", "two", "<b>three</b>"]
    ),
    "performance": lambda lib: lib.tokens.visualize_model_performance(IDS, TEXT, LOGITS),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_all_values_of_a_token_are_the_same(both, name):
    state = RNG.bit_generator.state

    def make(lib):
        RNG.bit_generator.state = state  # the same numbers for both
        return COLUMNS[name](lib)

    shown = both(make)
    chips = shown.theirs.locator(".colored-tokens > span")
    for i in range(chips.count()):
        hover_theirs(shown.theirs, chips.nth(i))
        rows = chips.nth(i).locator("xpath=following-sibling::*[1][self::div]//tr")
        theirs = [row.locator("td").all_inner_texts() for row in rows.all()]
        token = shown.ours.locator(f'[data-token="{i}"]')
        token.hover()
        expect(token).to_have_attribute("data-active", "true")
        values = part(shown.ours, "values")
        ours = [values.locator(tag).all_text_contents() for tag in ("dt", "dd")]
        assert [name for name, _ in theirs] == ours[0]
        np.testing.assert_allclose([float(minus(it)) for it in ours[1]], [float(it) for _, it in theirs], atol=2e-6)
        assert plain(token.inner_text()) == plain(chips.nth(i).locator("span").inner_text())
    bounds = [float(minus(part(shown.ours, bound).input_value())) for bound in ("high", "low")]
    theirs = [float(field.input_value()) for field in shown.theirs.locator("input").all()]
    np.testing.assert_allclose(bounds, theirs, rtol=1e-5, atol=1e-6)


def test_what_was_expected_is_the_same(both):
    shown = both(
        lambda lib: lib.logits.token_log_probs(
            IDS, LOGITS.log_softmax(-1), lambda id: TEXT[id] if id < 12 else f" t{id}", 4
        )
    )
    chips = shown.theirs.locator("[id^=circuits-vis] > div > span")
    assert chips.count() == len(TEXT) - 1
    for i in range(chips.count()):
        hover_theirs(shown.theirs, chips.nth(i))
        rows = chips.nth(i).locator("xpath=following-sibling::*[1][self::div]//tr[td]")
        expect(rows).to_have_count(5)
        theirs = [[minus(plain(it)) for it in row.locator("td").all_inner_texts()] for row in rows.all()]
        token = shown.ours.locator(f'[data-token="{i}"]')
        token.hover()
        expect(token).to_have_attribute("data-active", "true")
        ours = []
        for row in part(shown.ours, "expected").locator("tbody tr").all():
            rank, text, prob, log_prob = row.locator("td").all_inner_texts()
            ours.append([rank, minus(prob), minus(log_prob), plain(text)])
        assert ours == theirs


Table = list[list[tuple[str, np.float32 | None]]]


def tops_theirs(page: Page, values: bool = False) -> Table:
    """The table's tokens, and of the first and the last row the values out of the tooltips."""
    found: Table = []
    rows = page.locator("tbody tr").all()
    for row in rows:
        read: list[tuple[str, np.float32 | None]] = []
        for cell in row.locator('td[style*="background-color"]').all():
            value = None
            if values and row in (rows[0], rows[-1]):
                hover_theirs(page, cell.locator("span"))
                value = np.float32(cell.locator("div").evaluate("(tooltip) => tooltip.lastChild.textContent"))
            read.append((plain(cell.locator("span").inner_text()), value))
        found += [read] if read else []
    return found


def tops_ours(view: Locator, values: bool = False) -> Table:
    found: Table = []
    rows = part(view, "tops").locator("tbody tr").all()
    for row in rows:
        read: list[tuple[str, np.float32 | None]] = []
        for cell in row.locator("td").all():
            value = None
            if values and row in (rows[0], rows[-1]):
                cell.hover()
                expect(cell).to_have_attribute("data-active", "true")
                value = np.float32(minus(part(view, "value").inner_text()))
            read.append((plain(cell.inner_text()), value))
        found.append(read)
    return found


TOPS = {
    "its test": lambda lib: lib.topk_tokens.topk_tokens(
        tokens=[["a", "b", "c", "d", "e"], ["f", "g", "h"]],
        activations=[np.arange(30).reshape(2, 5, 3), np.arange(12).reshape(2, 3, 2)],
    ),
    "pages": lambda lib: lib.topk_tokens.topk_tokens(
        SAMPLES,
        [sample.transpose(1, 0, 2).repeat(3, axis=2) for sample in ACTIVATIONS],
        2,
        "Block",
        "Feature",
        list("xyz"),
    ),
}


@pytest.mark.parametrize("make", TOPS.values(), ids=TOPS.keys())
def test_top_and_bottom_tokens_are_the_same(both, make):
    shown = both(make)
    assert tops_ours(shown.ours, values=True) == tops_theirs(shown.theirs, values=True)
    words = ["Sample", "Layer", "Neuron", "Block", "Feature", "Neurons to show", "Features to show", "k"]
    menus = {
        "first": "#sample-selector",
        "second": "#layer-selector",
        "pages": "#neuron-selector",
        "count": "#visible-cols-selector",
        "k": "#k-selector",
    }
    for ours, theirs in menus.items():
        select = shown.theirs.locator(theirs)
        offered = entries(part(shown.ours, ours), *words)
        if len(entries(select)) == 1 or ours in ("second", "k", "pages"):  # where both begin with the same
            assert offered == entries(select)
    for select in (shown.theirs.locator("#layer-selector"), part(shown.ours, "second")):
        select.select_option(index=1)
    assert tops_ours(shown.ours) == tops_theirs(shown.theirs)
    shown.theirs.locator("#filter-select").select_option("bottomk")
    part(shown.ours, "filter").select_option(label="bottom")
    lowest = tops_ours(shown.ours)
    assert lowest == tops_theirs(shown.theirs)
    for select in (shown.theirs.locator("#k-selector"), part(shown.ours, "k")):
        select.select_option(index=0)
    assert tops_ours(shown.ours) == lowest[-1:]  # CircuitsVis shows the first of the lowest here, not the lowest
    shown.theirs.locator("#filter-select").select_option("topk")
    part(shown.ours, "filter").select_option(label="top")
    assert tops_ours(shown.ours) == tops_theirs(shown.theirs)


# The last chart's cells, as they are given to it and painted by it, out of React's own tree.
BLOCKS = """
(canvas) => {
  let node = canvas[Object.keys(canvas).find((key) => key.startsWith('__reactFiber'))];
  while (!node.memoizedProps?.data?.datasets) node = node.return;
  const [dataset] = node.memoizedProps.data.datasets;
  return dataset.data.map(({ srcIdx, destIdx, srcToken, destToken, v }, dataIndex) => {
    const masked = dataset.backgroundColor({ dataset, dataIndex }) === 'rgb(200, 200, 200)';
    return [destIdx, srcIdx, destToken, srcToken, masked ? null : v];
  });
}
"""
PATTERN = np.tril(RNG.random((2, 3, 3))).astype(np.float32)
ATTENTION = {
    "heads": lambda lib: lib.attention.attention_heads(PATTERN, TEXT[1:4]),
    "one head": lambda lib: lib.attention.attention_pattern(TEXT[1:4], torch.tensor(PATTERN[0])),
    "unmasked": lambda lib: lib.attention.attention_pattern(TEXT[1:4], PATTERN[1].T, mask_upper_tri=False),
}


@pytest.mark.parametrize("make", ATTENTION.values(), ids=ATTENTION.keys())
def test_attention_is_the_same(both, make):
    shown = both(make)
    ours = read_attention(shown.ours)
    title = part(shown.ours, "opened-head").first.inner_text()
    heads = shown.theirs.locator("h4")
    if heads.count():  # the head that ours has opened
        heads.get_by_text(title.split("\n")[0], exact=True).click()
    theirs = {
        (d, s): (plain(a), plain(b), None if v is None else np.float32(v))
        for d, s, a, b, v in shown.theirs.locator("canvas").last.evaluate(BLOCKS)
    }
    assert ours == {place: cell for place, cell in theirs.items() if cell[2] is not None}


def read_attention(view: Locator) -> dict[tuple[int, int], tuple[str, str, np.float32]]:
    """All cells that are not masked, with the keyboard, from the last to the first."""
    said = part(view, "said-cell").first
    matrix = part(view, "matrix").first
    found = {}
    for _ in range(4):
        for key in ("ArrowRight", "ArrowDown"):
            matrix.press(key)
    for row in range(3):
        for step in range(3):
            words = re.fullmatch(r"(.*) \((\d)\) looks at (.*) \((\d)\): ([^ ]+)", said.inner_text())
            if words and words[5] != "masked":
                a, d, b, s, value = words.groups()
                found[int(d), int(s)] = (plain(a), plain(b), np.float32(minus(value)))
            if step < 2:
                matrix.press("ArrowLeft" if row % 2 == 0 else "ArrowRight")
        matrix.press("ArrowUp")
    return found


def test_attention_patterns_and_hello_are_shown_too(both):
    shown = both(
        lambda lib: lib.attention.attention_patterns(tokens=["a", "b"], attention=np.array([[[0, 1], [0, 1]]]))
    )
    assert shown.theirs.locator(".tokens button").all_inner_texts() == ["a", "b"]
    expect(shown.ours).to_contain_text("a")
    shown = both(lambda lib: lib.examples.hello("<i>Bob</i>"))
    expect(shown.theirs.locator("body")).to_contain_text("Hello, <i>Bob</i>!")
    assert plain(part(shown.ours, "text").inner_text()).replace("  ", " ") == "Hello, <i>Bob</i>!"


# Ours alone


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


def test_the_frame_is_as_high_as_its_view_and_on_its_page_s_ground(offline_pages):
    page = offline_pages[1]
    figure = cv.activations.text_neuron_activations(SAMPLES, ACTIVATIONS)
    page.set_content(f'<body style="background: #1e1e1e">{figure}</body>')
    view = page.frame_locator("iframe").locator(".hs-root")
    expect(view).to_have_attribute("data-hs-theme", "dark")
    page.evaluate("document.body.style.background = '#fff7e0'")
    expect(view).to_have_attribute("data-hs-theme", "light")
    assert view.evaluate("(view) => getComputedStyle(view).backgroundColor") == "rgb(255, 247, 224)"
    height = "(frame) => [frame.clientHeight, Math.ceil(frame.contentDocument.body.getBoundingClientRect().height)]"
    tall = page.locator("iframe").evaluate(height)
    choose(view, "count", "Samples per page: 1")
    expect(part(view, "sample")).to_have_count(1)
    page.wait_for_function("(before) => document.querySelector('iframe').clientHeight < before", arg=tall[0])
    low = page.locator("iframe").evaluate(height)
    assert [tall[0], low[0]] == [tall[1], low[1]]


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
    page.set_viewport_size({"width": 400, "height": 800})
    assert wider_than_its_page(page) == 0
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
    assert lab.python("print(large.chosen, large.selection, large.figure['parts'])").strip() == (
        "{'second': 2} {'sample': 0, 'token': 1} None"
    )
