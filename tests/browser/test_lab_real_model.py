"""Every view on a real language model, in JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checks import axe_violations
from lab import JupyterServer, Lab
from playwright.sync_api import Browser, expect
from views import expect_status, part

SETUP = """
import hookscope as hs
import hookscope.circuitsvis as cv
import interp_backend as ib

model = hs.load_model("smollm2-135m")
pair = hs.PromptPair(
    clean="The capital of Norway is", corrupt="The capital of Sweden is",
    clean_answer=" Oslo", corrupt_answer=" Stockholm", prepend_bos=False,
)
"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, jupyter: JupyterServer) -> Iterator[Lab]:
    lab = Lab(browser, jupyter, "real_model_views", SETUP)
    yield lab
    lab.page.close()


def test_the_editor_says_what_stands_in_front_and_what_the_model_predicts(lab: Lab):
    editor = lab.show("editor = hs.PromptPairEditor(model, pair)\neditor")
    box = part(editor, "prepend-bos")
    expect(box).not_to_be_checked()
    expect(editor).to_contain_text("<|im_start|>")
    lab.expect("editor.wait() and repr(model.token_text(editor.result.top_runs['clean'].ids[0]))", "' Oslo'")
    box.check()
    lab.expect("editor.tokens['clean']['tokens'][0]", "<|im_start|>")


def test_the_heatmap_has_a_cell_for_each_layer_and_the_crossing_at_layer_24(lab: Lab):
    heatmap = lab.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    expect_status(heatmap, "done")
    lab.expect("heatmap.result.values.shape", (30, 5))
    lab.expect("[round(float(heatmap.result.normalized[at]), 1) for at in ((23, 3), (24, 4))]", [1.1, 1.3])
    expect(part(heatmap, "grid")).to_have_attribute("aria-rowcount", "30")


def test_270_heads_are_estimated_run_and_compared_and_a_rule_is_changed(lab: Lab):
    heatmap = lab.show('heads = hs.PatchHeatmap(model, pair, activation="z", axes=("layer", "head"))\nheads')
    expect_status(heatmap, "done")
    scatter = part(heatmap, "scatter")
    expect(scatter).to_have_attribute("data-points", "270")
    expect(part(heatmap, "estimated")).to_have_count(0)  # every cell is exact
    lab.expect("heads.result.agreement.recall is not None", True)
    scatter.focus()
    scatter.press("End")
    expect(part(heatmap, "scatter-cell")).to_contain_text("layer 23, head 4")
    scatter.press("Enter")
    lab.expect("(heads.selection['layer'], heads.selection['head'])", (23, 4))
    before = lab.value("heads.result.agreement.spearman")
    part(heatmap, "estimate-rule").select_option(index=1)
    expect(part(heatmap, "estimate-rule")).to_have_value("1")
    lab.expect("heads.wait() and heads.result.params['estimate']", "relp")
    assert lab.value("heads.result.agreement.spearman") != before
    assert axe_violations(heatmap) == []


def test_the_lens_shows_thirty_layers_and_the_answer_in_the_last(lab: Lab):
    grid = lab.show("grid = hs.LogitLensGrid(model, pair)\ngrid")
    expect_status(grid, "done")
    lab.expect("repr(grid.result.tokens[int(grid.result.sides['clean'].arrays.top_ids[-1, -1, 0])])", "' Oslo'")
    lab.python("grid.attribute(); grid.wait()")
    lab.expect("grid.attribution.sides['clean'].total > 3", True)


def test_the_attention_viewer_opens_the_head_that_reads_the_country(lab: Lab):
    viewer = lab.show("viewer = hs.AttentionViewer(model, pair, opened=[(23, 4)])\nviewer")
    expect(part(viewer, "matrix")).to_have_count(1)
    lab.expect("viewer.wait() and round(float(viewer.result.sides['clean'].values[23, 4, 4, 3]), 2)", 0.93)


def test_the_circuit_graph_has_70651_edges_and_a_sender_is_followed(lab: Lab):
    graph = lab.show("graph = hs.CircuitGraph(model, pair)\ngraph")
    expect_status(graph, "done")
    expect(part(graph, "circuit-size")).to_contain_text("of 70,651")
    lab.expect("graph.result.scores.shape, graph.circuit.size > 5", "(301, 481) True")
    expect(part(graph, "circuit")).to_have_attribute("data-edges", lab.value("graph.circuit.size"))
    graph.get_by_role("tab", name="Paths").click()
    senders = part(graph, "senders").locator("li")
    lab.expect("graph.wait() and len(graph.paths)", 1)
    first = lab.value("graph.paths[0].labels['sender'][abs(graph.paths[0].normalized).argmax()]")
    senders.first.locator("button").click()
    lab.expect("graph.trail", [["logits"], [first]])
    assert axe_violations(graph) == []


def test_circuitsviss_functions_show_the_models_attention(lab: Lab):
    view = lab.show(
        "found = ib.attention_patterns(model, pair.clean, layers=23, prepend_bos=False).sides['prompt']\n"
        "cv.attention.attention_patterns(tokens=found.tokens, attention=found.values[0])"
    )
    expect(view).to_be_visible()
    expect(view).to_contain_text("Norway")
