"""ACDC in JupyterLab: edges vanish while it runs, and the circuits of all thresholds are the kernel's own."""

from __future__ import annotations

import re

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import PAUSED, Lab
from playwright.sync_api import Locator, expect
from views import expect_status, part


@pytest.fixture
def graph(lab: Lab) -> Locator:
    view = lab.show("graph = hs.CircuitGraph(model, pair)\ngraph")
    expect_status(view, "done")
    view.get_by_role("tab", name="ACDC").click()
    expect(part(view, "nothing")).to_contain_text("Press Run")
    return view


def threshold(view: Locator, text: str) -> None:
    field = part(view, "search-threshold")
    field.fill(text)
    field.press("Enter")


@pytest.fixture
def swept(graph: Locator) -> Locator:
    """Searched from the largest edges, and from all."""
    threshold(graph, "0.05, 0.2, 1")
    part(graph, "start").select_option(index=1)
    part(graph, "run").click()
    expect(part(graph, "found")).to_be_visible()
    part(graph, "start").select_option(index=0)
    part(graph, "run").click()
    expect(part(graph, "compared").locator("tbody tr")).to_have_count(3)
    expect_status(graph, "idle")
    return graph


def test_a_search_gives_the_kernels_circuit(lab: Lab, graph: Locator):
    part(graph, "run").click()
    expect(part(graph, "found-size")).to_contain_text(re.compile(r"\d+ of 479 edges"))
    lab.python("import interp_backend as ib\nown = ib.acdc(model, pair, threshold=0.05)")
    lab.expect("graph.acdc.names == own.names", True)
    size, value = lab.value("own.size, f'{own.values[0]:.2f}'").split()
    expect(part(graph, "found-size")).to_contain_text(f"{size} of 479 edges")
    expect(part(graph, "found-size")).to_contain_text(f"KL divergence {value.strip(chr(39))}")
    expect(part(graph, "circuit")).to_have_attribute("data-edges", size)
    rows = part(graph, "costs").locator("li")
    expect(rows.locator(".hs-bar-number").first).to_have_text(lab.value("f'{own.scores[own.kept > 0].max():.2f}'"))


def test_edges_vanish_while_it_runs_and_a_cancel_keeps_what_is_left(lab: Lab):
    lab.python(PAUSED.replace("next(calls) > 10", "slow.is_set() and next(calls) > 14") + "slow = threading.Event()\n")
    graph = lab.show("graph = hs.CircuitGraph(model, pair, metric=paused)\ngraph.tab = 'acdc'\ngraph")
    expect_status(graph, "idle")
    lab.python("slow.set()")
    part(graph, "search-metric").select_option(label="paused — your own function of the logits")
    part(graph, "run").click()
    left = part(graph, "left")
    expect(left).to_contain_text(re.compile(r"(?!479)\d+ of 479 edges left · [1-9]\d* tried"))
    expect(part(graph, "circuit")).not_to_have_attribute("data-edges", "479")
    part(graph, "cancel").click()
    lab.python("go_on.set()")
    expect(part(graph, "found-size")).to_contain_text(re.compile(r"stopped: \d+ edges undecided"))
    part(graph, "run").click()
    expect(part(graph, "found-size")).to_contain_text("paused")
    expect(part(graph, "found-size")).not_to_contain_text("stopped")


def test_thresholds_by_slider_and_chart_and_what_other_ways_find(lab: Lab, swept: Locator):
    sizes = lab.value("*(graph.acdc.at(one).size for one in graph.acdc.thresholds)").split()
    picture = part(swept, "circuit")
    expect(picture).to_have_attribute("data-edges", sizes[0])
    slider = part(swept, "threshold")
    slider.focus()
    slider.press("End")
    expect(picture).to_have_attribute("data-edges", sizes[2])
    lab.expect("graph.threshold", 1.0)
    chart = part(swept, "threshold-chart")
    chart.focus()
    chart.press("ArrowLeft")
    expect(part(swept, "threshold-shown")).to_have_text("0.2")
    lab.expect("graph.threshold, graph.found.size", f"0.2 {sizes[1]}")
    chart.click(position={"x": 50, "y": 30})
    expect(picture).to_have_attribute("data-edges", sizes[0])
    jaccard = lab.value("*(f\"{one['jaccard'][0]:.2f}\" for one in graph.compared)").split()
    expect(part(swept, "compared").locator("tbody td:nth-of-type(3)")).to_have_text(["", *jaccard])


def test_the_found_circuit_is_run_by_another_tab(lab: Lab, swept: Locator):
    part(swept, "use").click()
    lab.expect("graph.circuit is graph.found", True)
    swept.get_by_role("tab", name="Faithfulness").click()
    expect(part(swept, "spread")).to_contain_text(f"{lab.value('graph.found.size')} edges")
    expect(part(swept, "edges")).to_have_count(0)
    part(swept, "source").select_option(index=0)
    expect(part(swept, "edges")).to_be_visible()
    expect(part(swept, "spread")).to_contain_text("25 edges")


def test_what_is_no_threshold_gets_a_sentence(graph: Locator):
    for text in ("0", "-1", "abc", "1 to 0.1"):
        threshold(graph, text)
        expect(part(graph, "complaint")).to_contain_text("Type a threshold above 0")
    threshold(graph, "0.01 to 1")
    expect(part(graph, "complaint")).to_have_count(0)
    expect(part(graph, "search-threshold")).to_have_value("0.01, 0.019, 0.037, 0.072, 0.14, 0.27, 0.52, 1")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, swept: Locator, theme: str):
    lab.set_theme(theme)
    expect(swept).to_have_attribute("data-hs-theme", theme)
    swept.locator('[data-node="m0"]').click()
    lab.page.mouse.move(0, 0)
    screenshot(swept, f"circuit-acdc-{theme}")
    assert axe_violations(swept) == []
    assert hard_to_read(swept) == []
