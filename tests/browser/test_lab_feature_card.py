"""The card of a feature in JupyterLab: a text is pasted, a name given with Enter, and an edge opened into heads."""

from __future__ import annotations

import pytest
from checks import axe_violations, screenshot
from lab import Lab
from playwright.sync_api import Locator, expect
from views import expect_status, part


@pytest.fixture
def graph(lab: Lab) -> Locator:
    view = lab.show("card = hs.FeatureGraph(model, 'The capital of Norway is')\ncard")
    expect_status(view, "done")
    lab.python("strongest = max((n for n in card.result.nodes if n.kind == 'feature'), key=lambda n: n.influence)")
    lab.python("card.pinned, card.selection = strongest.id, strongest.place.to_json()")
    expect(part(view, "texts")).to_be_visible()
    return view


def test_a_feature_is_found_in_a_pasted_text_and_named(lab: Lab, graph: Locator):
    part(graph, "texts-text").fill("The capital of Norway is Oslo. The capital of Sweden is <b>Stockholm</b>.")
    screenshot(graph, "feature-card-empty")
    part(graph, "read-texts").click()
    expect(part(graph, "active")).to_contain_text("Active at")
    lab.expect("card.description.texts", 1)
    part(graph, "example").first.click()
    expect(part(graph, "example").first).to_have_attribute("aria-expanded", "true")
    field = part(graph, "feature-name")
    field.fill("say a capital")
    field.press("Enter")
    expect(part(graph, "card-title")).to_contain_text("say a capital: feature")
    lab.expect("[*card.names.values()]", ["say a capital"])
    part(graph, "names-file").set_input_files(
        {"name": "names.json", "mimeType": "application/json", "buffer": b'{"0/1": "first"}'}
    )
    lab.expect("card.names['0/1']", "first")
    part(graph, "names-file").set_input_files({"name": "x.json", "mimeType": "text/plain", "buffer": b"[1]"})
    expect(part(graph, "error")).to_contain_text("Names are JSON")


def test_an_edge_opens_into_the_heads_that_carried_it(lab: Lab, graph: Locator):
    part(graph, "reads-all").click()
    row = part(graph, "reads").locator("li.hs-bar-item", has_text="Norway").first
    part(row, "open-heads").click()
    heads = part(graph, "heads")
    expect(heads).to_contain_text("through no head")
    largest = lab.value("'head %d.%d' % tuple(card.heads['heads'][0][0])")
    expect(heads.locator(".hs-bar-name").first).to_have_text(largest)
    heads.locator(".hs-bar-row").first.click()
    expect(part(graph, "score")).to_contain_text("looks from")
    assert axe_violations(graph) == []
    screenshot(graph, "feature-card-heads")
    part(graph, "open-heads").and_(graph.locator('[aria-expanded="true"]')).click()
    expect(heads).to_have_count(0)
    lab.expect("card.edge", None)
