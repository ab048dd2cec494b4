"""The feature graph in JupyterLab: picture, sliders, subgraph, changes in the model, against the kernel's numbers."""

from __future__ import annotations

import re

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Locator, expect
from views import enter, expect_status, part

SHOWN = """graph = hs.FeatureGraph(model, "The capital of Norway is")
graph"""

STRONGEST = """
def strongest(at):
    nodes = sorted((node for node in graph.result.nodes if node.kind == "feature"), key=lambda node: -node.influence)
    return nodes[at].id
"""


@pytest.fixture
def graph(lab: Lab) -> Locator:
    view = lab.show(SHOWN)
    expect_status(view, "done")
    expect(part(view, "graph")).to_have_attribute("data-nodes", re.compile("[1-9]"))
    lab.python(STRONGEST)
    return view


def node(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-node="{name}"]')


def first(lab: Lab, at: int = 0) -> str:
    return lab.value(f"strongest({at})")


def drawn(view: Locator) -> list[str]:
    return sorted(view.locator("[data-node]").evaluate_all("(nodes) => nodes.map(({ dataset }) => dataset.node)"))


def kernels(lab: Lab) -> list[str]:
    """The biases stand at no token, and are in the card alone."""
    return sorted(set(lab.value("*graph.shown.ids").split()) - {"bias"})


def test_what_is_drawn_is_the_kernels_pruned_graph(lab: Lab, graph: Locator):
    shown = drawn(graph)
    assert "3_560_5" in shown and shown == kernels(lab)
    slider = part(graph, "node_share")
    slider.focus()
    before = part(graph, "graph").get_attribute("data-nodes")
    slider.press("Home")
    expect(part(graph, "graph")).not_to_have_attribute("data-nodes", str(before))
    lab.expect("graph.node_share", 0.0)
    assert drawn(graph) == kernels(lab)
    for step in range(1, 4):
        slider.press("PageUp")
        lab.expect(f"graph.node_share > {0.1 * step - 0.11}", True)
    expect(node(graph, "3_560_5")).to_have_count(1)
    assert drawn(graph) == kernels(lab)


def test_what_is_under_the_pointer_stands_out_and_moves_nothing(lab: Lab, graph: Locator):
    lab.page.mouse.move(0, 0)
    dim = graph.locator('[data-dim="true"]')
    expect(dim).to_have_count(0)
    height = graph.evaluate("(view) => view.clientHeight")
    name = first(lab)
    node(graph, name).hover()
    expect(dim).not_to_have_count(0)
    expect(node(graph, name)).to_have_attribute("data-dim", "false")
    # Whatever has an edge to it or from it stands out with it.
    ends = set(lab.value(f"*(one for one, _ in graph.shown.inputs({name!r}))").split())
    ends |= set(lab.value(f"*(one for one, _ in graph.shown.outputs({name!r}))").split())
    bright = graph.locator('[data-dim="false"]').evaluate_all("(nodes) => nodes.map(({ dataset }) => dataset.node)")
    assert set(bright) == (ends | {name}) - {"bias"}
    assert graph.evaluate("(view) => view.clientHeight") == height
    lab.page.mouse.move(0, 0)
    expect(dim).to_have_count(0)


def test_a_node_is_pinned_by_a_click_by_keys_and_from_python(lab: Lab, graph: Locator):
    cells, name = lab.cells(), first(lab)
    node(graph, name).click()
    expect(node(graph, name)).to_have_attribute("aria-pressed", "true")
    expect(part(graph, "card-title")).to_contain_text("feature 560 of layer 3")
    lab.expect("graph.pinned", name)
    lab.expect("graph.selection == graph.result.place_of(graph.pinned).to_json()", True)
    lab.page.keyboard.press("ArrowLeft")
    focused = graph.locator("[data-node]:focus")
    expect(focused).to_have_count(1)
    other = str(focused.get_attribute("data-node"))
    assert other != name
    for key in ("a", "b", "Enter"):
        lab.page.keyboard.press(key)
    lab.expect("graph.pinned", other)
    lab.page.keyboard.press("Escape")
    expect(part(graph, "card")).to_have_count(0)
    lab.expect("graph.pinned, graph.selection", "None None")
    lab.python(f"graph.pinned = {name!r}")
    expect(part(graph, "card-title")).to_contain_text("feature 560 of layer 3")
    lab.python("graph.pinned = 'bias'")
    expect(part(graph, "card-title")).to_contain_text("all biases together")
    assert lab.cells() == cells


def put_in(lab: Lab, view: Locator, count: int) -> list[str]:
    """Put the strongest features into the subgraph, by Shift and click, the last by Shift and Enter."""
    names = [first(lab, at) for at in range(count)]
    for name in names[:-1]:
        node(view, name).click(modifiers=["Shift"])
        expect(node(view, name)).to_have_attribute("data-kept", "true")
    node(view, names[-1]).focus()
    lab.page.keyboard.press("Shift+Enter")
    expect(node(view, names[-1])).to_have_attribute("data-kept", "true")
    lab.expect("graph.subgraph", names)
    return names


def test_a_subgraph_has_its_scores_and_its_supernodes(lab: Lab, graph: Locator):
    names = put_in(lab, graph, 4)
    lab.expect("graph.pinned", None)
    replacement, completeness = lab.value("*(f'{one:.2f}' for one in graph.result.scores(graph.subgraph))").split()
    bar = part(graph, "subgraph")
    expect(bar).to_contain_text(f"4 nodes, replacement {replacement}, completeness {completeness}")
    part(graph, "shows").click()
    lab.expect("graph.shows", "subgraph")
    expect(node(graph, names[0])).to_have_text("3/560")
    assert set(names) <= set(drawn(graph)) <= set(kernels(lab))
    for name in names[:2]:
        node(graph, name).click(modifiers=["Shift"])
    expect(part(graph, "member").and_(graph.locator('[aria-pressed="true"]'))).to_have_count(2)
    enter(graph, "group-name", "say Oslo")
    lab.expect("graph.supernodes", {"say Oslo": names[:2]})
    group = graph.locator('[data-kind="group"][data-node]')
    expect(group).to_have_text(re.compile("say Oslo"))
    expect(node(graph, names[0])).to_have_count(0)
    screenshot(graph, "features-subgraph")
    part(graph, "supernode").click()
    part(graph, "ungroup").click()
    lab.expect("graph.supernodes", {})
    expect(node(graph, names[0])).to_have_count(1)
    part(graph, "clear-subgraph").click()
    lab.expect("graph.subgraph, graph.shows", "[] graph")
    expect(node(graph, first(lab, 20))).to_have_count(1)


def test_a_feature_has_its_name_wherever_it_is(lab: Lab, graph: Locator):
    name = first(lab)
    node(graph, name).click()
    enter(graph, "feature-name", "say a capital")
    lab.expect("graph.names", {"3/560": "say a capital"})
    expect(part(graph, "card-title")).to_contain_text("say a capital")
    expect(node(graph, name)).to_have_attribute("aria-label", re.compile("^say a capital"))


def numbers(view: Locator, column: int) -> Locator:
    return part(view, "effects").locator(f"tbody td:nth-of-type({column})")


SIGNED = """
def signed(value):
    return f"{value:+.2f}".replace("-", "\\u2212")

def effects():
    found = graph.effects
    order = sorted(range(len(found.tokens)), key=lambda at: -max(found.before[at], found.after[at]))
    return " ".join(signed(found.measured[at]) for at in order[:3])
"""


# The changes are known a moment before their effects are asked for.
MEASURED = "graph.wait() and graph.effects is not None and graph._call_of_effects == graph._effects_call()"


def test_a_feature_is_switched_off_scaled_and_set_by_pointing(lab: Lab, graph: Locator):
    lab.python(SIGNED)
    node(graph, first(lab)).click()
    part(graph, "change-off").click()
    expect(part(graph, "effects")).to_be_visible()
    lab.expect("graph.changes", [{"node": "3_560_5", "scale": 0.0, "positions": "here"}])
    off = lab.value("effects()")
    expect(numbers(graph, 3).first).to_have_text(off.split()[0])
    assert numbers(graph, 3).all_inner_texts()[:3] == off.split()
    enter(graph, "amount", "×-2")
    lab.expect(f"{MEASURED} and graph.changes[0]['scale']", -2.0)
    inverted = lab.value("effects()")
    assert inverted != off
    expect(numbers(graph, 3).first).to_have_text(inverted.split()[0])
    part(graph, "where").select_option(index=2)
    expect(part(graph, "where-tokens").locator("[aria-pressed=true]")).to_have_attribute("title", "position 5")
    part(graph, "where-tokens").get_by_title("position 2").click()
    lab.expect(f"{MEASURED} and graph.changes[0]['positions']", [2, 5])
    part(graph, "where").select_option(index=1)
    lab.expect(f"{MEASURED} and graph.changes[0]['positions']", "all")
    part(graph, "factor").focus()
    part(graph, "factor").press("ArrowRight")
    lab.expect(f"{MEASURED} and graph.changes[0]['scale']", -1.9)
    expect(part(graph, "amount")).to_have_value("×-1.9")
    enter(graph, "amount", "=3")
    lab.expect(f"{MEASURED} and graph.changes", [{"node": "3_560_5", "value": 3.0, "positions": "all"}])
    expect(numbers(graph, 3).first).to_have_text(lab.value("effects()").split()[0])
    enter(graph, "amount", "much")
    expect(part(graph, "complaint")).to_contain_text("Write a factor")
    part(graph, "reset-changes").click()
    expect(part(graph, "effects")).to_have_count(0)
    lab.expect("graph.changes, graph.effects", "[] None")


def test_the_graphs_prediction_is_beside_what_was_measured(lab: Lab, graph: Locator):
    lab.python(SIGNED)
    node(graph, first(lab)).click()
    part(graph, "change-off").click()
    said = part(graph, "effects-said")
    expect(said).to_be_visible()
    predicted, measured = lab.value("signed(graph.effects.predicted[0]), signed(graph.effects.measured[0])").split()
    expect(said).to_contain_text(f"predicted {predicted} for")
    expect(said).to_contain_text(f"the model did {measured}")
    agreement = lab.value("f'{graph.effects.agreement:.2f}'")
    expect(said).to_contain_text(f"correlation is {agreement}")
    expect(said).to_contain_text("Attention and norms respond")
    part(graph, "frozen").select_option(index=1)
    expect(said).not_to_contain_text("Attention and norms respond")
    lab.expect("graph.wait() and graph.frozen == 'nothing'", False)


def test_text_is_generated_token_by_token_beside_the_run_without_changes(lab: Lab, graph: Locator):
    lab.python(
        "seen = []\ngraph.observe(lambda change: change.new and seen.append(len(change.new.with_changes)), 'effects')"
    )
    node(graph, first(lab)).click()
    part(graph, "change-invert").click()
    expect(part(graph, "effects")).to_be_visible()
    part(graph, "where").select_option(index=1)
    enter(graph, "amount", "×-9")
    lab.expect("graph.wait() and graph.changes[0]", {"node": "3_560_5", "scale": -9.0, "positions": "all"})
    enter(graph, "generate", "8")
    expect(part(graph, "generated-with").locator("> *")).to_have_count(8)
    expect(part(graph, "generated-without").locator("> *")).to_have_count(8)
    lab.expect("seen[-9:]", list(range(9)))
    for name, tokens in (("generated-without", "without"), ("generated-with", "with_changes")):
        text = lab.value(f"repr(''.join(graph.effects.{tokens}))")
        assert repr(part(graph, name).inner_text().replace("\u2423", " ")) == text
    screenshot(graph, "features-generated")


def test_another_prompt_is_typed_and_traced(lab: Lab, graph: Locator):
    part(graph, "input-prompt").fill("The capital of Sweden is")
    part(graph, "input-prompt").press("Enter")
    lab.expect("graph.wait() and graph.result.prompt.text", "The capital of Sweden is")
    expect(part(graph, "outputs")).to_contain_text("Stockholm")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, graph: Locator, theme: str):
    lab.set_theme(theme)
    expect(graph).to_have_attribute("data-hs-theme", theme)
    screenshot(graph, f"features-{theme}")
    put_in(lab, graph, 3)
    node(graph, first(lab)).click()
    part(graph, "change-off").click()
    expect(part(graph, "effects")).to_be_visible()
    lab.page.mouse.move(0, 0)
    screenshot(graph, f"features-pinned-{theme}")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []
    part(graph, "shows").click()
    expect(node(graph, first(lab))).to_have_text("3/560")
    screenshot(graph, f"features-subgraph-{theme}")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []
