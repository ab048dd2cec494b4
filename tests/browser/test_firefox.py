"""A report in Firefox: it opens from disk with the network cut, and everything that needs no kernel responds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import SCREENSHOTS
from firefox import Firefox, find_firefox, firefox

import hookscope as hs


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    bench = hs.Workbench(hs.load_model(), pair)
    circuit = bench.add("circuit")
    assert isinstance(circuit, hs.CircuitGraph)
    circuit.follow("m3")
    path = bench.report(title="In Firefox").save(tmp_path_factory.mktemp("firefox") / "report.html")
    bench.close()
    return path


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = find_firefox()
    if program is None:
        pytest.skip("There is no Firefox on this machine: install one, or set HOOKSCOPE_FIREFOX.")
    with firefox(program, tmp_path_factory.mktemp("profile")) as driven:
        yield driven


@pytest.fixture
def page(driven: Firefox, saved: Path) -> Iterator[Firefox]:
    """The report; by the end it has loaded nothing, asked nothing, and had no error."""
    driven.open(saved)
    driven.wait_for("document.querySelectorAll('.hs-root').length === 5")
    yield driven
    assert driven.complaints(saved) == []


def test_a_click_pins_in_all_views(page: Firefox):
    page.wait_for("document.querySelector('[data-hs=patch-heatmap] [data-hs=cell]')")
    cells = "[data-hs=patch-heatmap] [data-hs=cells]"
    page.click(cells, 0.95, 0.4)
    page.wait_for("document.querySelector('[data-hs=logit-lens-grid] [data-hs=pin]')")
    page.wait_for("/layer 2/.test(document.querySelector('[data-hs=patch-heatmap] [data-hs=detail-cell]').textContent)")
    page.move(cells, 0.95, 0.1)
    page.wait_for("/layer 3/.test(document.querySelector('[data-hs=patch-heatmap] [data-hs=detail-cell]').textContent)")
    page.screenshot(SCREENSHOTS / "firefox-report.png")


def test_heads_are_chosen_and_read(page: Firefox):
    view = "[data-hs=attention-viewer]"
    page.wait_for(f"document.querySelector('{view} [data-hs=matrix]')")
    page.click(f"{view} [data-hs=cells]", 0.1, 0.1)
    page.wait_for(f"document.querySelectorAll('{view} [data-hs=opened-head]').length === 2")
    page.move(f"{view} [data-hs=matrix]", 0.6, 0.4)
    page.wait_for(f"/attends to/.test(document.querySelector('{view} [data-hs=cell-said]').textContent)")


def test_tabs_and_menus_switch_what_was_computed(page: Firefox):
    page.click("[data-hs=tab-paths]")
    page.wait_for("/Into MLP 3/.test(document.querySelector('[data-hs=senders]').textContent)")
    page.click("[data-hs=tab-edges]")
    page.wait_for("document.querySelector('[data-hs=largest]')")
    page.choose("[data-hs=logit-lens-grid] [data-hs=color]", "entropy")
    page.wait_for("/entropy/.test(document.querySelector('[data-hs=logit-lens-grid] [data-hs=subtitle]').textContent)")
