"""The same calls of CircuitsVis and of hookscope.circuitsvis show the same tokens: texts, values, menus, colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from circuitsvis_figures import (
    ACTIVATIONS,
    IDS,
    LOGITS,
    RNG,
    SAMPLES,
    TEXT,
    VALUES,
    entries,
    hover_theirs,
    minus,
    plain,
)
from playwright.sync_api import Locator, Page, expect
from views import part

COLORS = {"negative_color": "#ff0000", "positive_color": "#0000ff"}  # CircuitsVis's own, so that both have the same
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
