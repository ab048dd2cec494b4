"""Sets of nodes and kept circuits in JupyterLab: chosen, asked, grouped, removed, compared and read from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from checks import axe_violations, screenshot
from lab import Lab
from playwright.sync_api import Locator, expect
from views import expect_status, part


@pytest.fixture
def graph(lab: Lab) -> Locator:
    view = lab.show("sets = hs.CircuitGraph(model, pair)\nsets")
    expect_status(view, "done")
    expect(part(view, "circuit")).to_have_attribute("data-edges", "25")
    return view


def node(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-node="{name}"]')


def choose_nodes(view: Locator, *names: str) -> None:
    for name in names:
        node(view, name).click(modifiers=["Shift"])
    expect(part(view, "set")).to_be_visible()


def test_what_chosen_nodes_do_is_what_the_methods_say(lab: Lab, graph: Locator):
    choose_nodes(graph, "a0.h1")
    node(graph, "m1").focus()
    lab.page.keyboard.press("Shift+Enter")
    expect(part(graph, "set")).to_contain_text("0.1, mlp 1")
    lab.expect("sets.chosen", ["a0.h1", "m1"])
    part(graph, "ask-patch").click()
    answer = part(graph, "answer")
    expect(part(answer, "alone").locator("li")).to_have_count(2)
    together = lab.value("f'{-100 * sets.answer.normalized[0]:+.0f}%'")
    expect(answer).to_contain_text(f"Together they carry {together} of the gap")
    lab.python("import interp_backend as ib")
    places = "[ib.Intervention('z', 0, head=1), ib.Intervention('mlp_out', 1)]"
    by_hand = f"ib.patch_together(model, pair, {places}, direction='noise').values[0] == sets.answer.values[0]"
    assert lab.value(by_hand) == "True"
    part(graph, "ask-ablate").click()
    expect(part(answer, "robustness")).to_be_visible()
    expect(answer).to_contain_text(re.compile(r"Without these 2 nodes the model keeps −?\d+% to \d+%"))
    assert axe_violations(graph) == []
    screenshot(graph, "circuit-nodes-ablated")
    part(graph, "close-answer").click()
    expect(answer).to_have_count(0)


def test_nodes_are_grouped_removed_and_brought_back(lab: Lab, graph: Locator):
    choose_nodes(graph, "a0.h1", "a0.h2")
    part(graph, "group").click()
    expect(part(graph, "group-name")).to_be_focused()
    lab.page.keyboard.type("first <b>")
    lab.page.keyboard.press("Enter")
    lab.expect("sets.groups", {"first <b>": ["a0.h1", "a0.h2"]})
    expect(node(graph, "group first <b>")).to_have_text(re.compile("first <b>.*2"))
    expect(node(graph, "a0.h1")).to_have_count(0)
    choose_nodes(graph, "m3")
    part(graph, "remove-nodes").click()
    expect(node(graph, "m3")).to_have_count(0)
    expect(part(graph, "circuit-size")).to_contain_text("20 edges of 479")
    lab.expect("sets.circuit.size, 'm3' in sets.circuit.nodes", "20 False")
    node(graph, "group first <b>").click()
    expect(node(graph, "a0.h1")).to_be_visible()
    part(graph, "undo-edit").click()
    expect(node(graph, "m3")).to_be_visible()
    choose_nodes(graph, *lab.value("*[one for one in sets.circuit.nodes if one != 'input']").split())
    part(graph, "remove-nodes").click()
    expect(part(graph, "error")).to_contain_text("No path would be left from the input to the logits.")
    expect(part(graph, "circuit")).to_have_attribute("data-edges", "25")


def test_a_circuit_is_kept_compared_and_run(lab: Lab, graph: Locator, tmp_path: Path):
    part(graph, "keep").click()
    choose_nodes(graph, "m3")
    part(graph, "remove-nodes").click()
    expect(part(graph, "alike")).to_have_text("kept: 25 edges; 20 edges in both, 0 only here, 5 only there")
    jaccard = lab.value(
        "f'{sets.circuit.jaccard(sets.kept):.2f}, {sets.circuit.jaccard(sets.kept, level=\"node\"):.2f}'"
    )
    edges, nodes = jaccard.split(", ")
    expect(part(graph, "compare")).to_contain_text(f"Jaccard {edges} of edges, {nodes} of nodes")
    part(graph, "shows").select_option("2")
    expect(part(graph, "circuit")).to_have_attribute("data-edges", "5")
    expect(part(graph, "largest").locator("li")).to_have_count(5)
    screenshot(graph, "circuit-difference")
    file = tmp_path / "known.json"
    file.write_text(json.dumps(["Resid Start->MLP 0", "MLP 0->Resid End", "A9.9->Resid End"]), "utf-8")
    part(graph, "circuit-file").set_input_files(file)
    expect(part(graph, "error")).to_have_text(re.compile("This model has no edge 'A9.9->Resid End'."))
    file.write_text(json.dumps(["Resid Start->MLP 0", "MLP 0->Resid End"]), "utf-8")
    part(graph, "circuit-file").set_input_files(file)
    expect(part(graph, "alike")).to_contain_text("kept: known.json; 2 edges in both, 18 only here, 0 only there")
    graph.get_by_role("tab", name="Faithfulness").click()
    part(graph, "source").select_option("1")
    lab.expect("sets.wait() and sets.circuit.names", ["m0->logits", "input->m0"])
    expect(part(graph, "spread")).to_contain_text("The circuit alone, 2 edges or the 2 nodes")
