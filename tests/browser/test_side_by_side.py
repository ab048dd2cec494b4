"""The same calls of CircuitsVis and of hookscope.circuitsvis show the same tables, attention patterns and words."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from circuitsvis_figures import IDS, LOGITS, RNG, TEXT, TOPS, entries, hover_theirs, minus, plain
from playwright.sync_api import Locator, Page, expect
from views import part


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
        (d, s): (plain(a), plain(b), None if v is None else pytest.approx(v, rel=5.1e-4, abs=5.1e-5))
        for d, s, a, b, v in shown.theirs.locator("canvas").last.evaluate(BLOCKS)
    }
    # A read-out has four digits.
    assert ours == {place: cell for place, cell in theirs.items() if cell[2] is not None}


def read_attention(view: Locator) -> dict[tuple[int, int], tuple[str, str, float]]:
    """All cells that are not masked, with the keyboard, row by row from the last to the first."""
    said = part(view, "said-cell").first
    matrix = part(view, "matrix").first
    for key in ("ArrowRight", "ArrowDown", "End", "ArrowDown", "ArrowDown"):
        matrix.press(key)
    steps = ["ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowLeft"]
    cells = [(2, 2), (2, 1), (2, 0), (1, 0), (1, 1), (1, 2), (0, 2), (0, 1), (0, 0)]
    found = {}
    for step, (destination, source) in zip([None, *steps], cells):
        if step:
            matrix.press(step)
        words = re.compile(rf"^(.*) \({destination}\) attends to (.*) \({source}\): ([^ ]+)$")
        expect(said).to_have_text(words)
        read = words.match(said.inner_text())
        assert read
        if read[3] != "masked":
            found[destination, source] = (plain(read[1]), plain(read[2]), float(minus(read[3])))
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
