"""The circuit graph in JupyterLab: its four tabs, by mouse and by keyboard, against the kernel's own numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checks import axe_violations, screenshot
from contrast import hard_to_read
from lab import PAUSED, Lab
from playwright.sync_api import Locator, expect
from views import choose, enter, expect_status, part

# How the view writes a part of the gap, from an effect of "noise", which is the other way round.
PERCENT = """
def percent(share):
    text = f"{100 * share:+.{1 if abs(share) < 0.0995 else 0}f}%"
    return text.replace("-", "\\u2212") if float(text[:-1]) else text[1:]

def percents(effects):
    return [percent(float(share)) for share in sorted(-effects.normalized, key=lambda share: -abs(share))[:12]]
"""


@pytest.fixture
def graph(lab: Lab) -> Locator:
    view = lab.show("graph = hs.CircuitGraph(model, pair)\ngraph")
    expect_status(view, "done")
    expect(part(view, "circuit")).to_have_attribute("data-edges", "25")
    return view


def node(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-node="{name}"]')


def open_tab(view: Locator, name: str) -> None:
    view.get_by_role("tab", name=name).click()


@pytest.fixture
def paths(graph: Locator) -> Locator:
    """The senders into the logits."""
    open_tab(graph, "Paths")
    expect(part(graph, "senders").locator("li")).to_have_count(12)
    expect_status(graph, "done")
    return graph


@pytest.fixture
def faithfulness(graph: Locator) -> Locator:
    open_tab(graph, "Faithfulness")
    expect(part(graph, "robustness").locator("button")).to_have_count(12)
    expect_status(graph, "done")
    return graph


def curves_of(view: Locator) -> Locator:
    """Circuits of every size under the first ablation."""
    part(view, "robustness").locator("button").first.click()
    expect(part(view, "areas")).to_be_visible()
    return part(view, "curves")


def test_the_largest_edges_are_the_kernels(lab: Lab, graph: Locator):
    size, first = lab.value("graph.circuit.size, graph.circuit.names[0]").split()
    expect(part(graph, "circuit")).to_have_attribute("data-edges", size)
    assert first == "m0->logits"
    rows = part(graph, "largest").locator("li")
    expect(rows.locator(".hs-bar-name").first).to_have_text("mlp 0 → logits")
    shares = (
        "graph.circuit.top_edges(12)['score'] / (graph.result.baselines['clean'] - graph.result.baselines['corrupt'])"
    )
    lab.python(PERCENT)
    expect(rows.locator(".hs-bar-number")).to_have_text(lab.value(f"*map(percent, {shares})").split())


def test_the_slider_by_keyboard_changes_the_circuit_there_and_in_python(lab: Lab, graph: Locator):
    slider = part(graph, "edges")
    slider.focus()
    slider.press("Home")
    expect(part(graph, "circuit-size")).to_contain_text("0 edges of 479")
    lab.expect("graph.edges, graph.circuit.size", "1 0")
    for edges in (2, 3, 4):
        slider.press("ArrowRight")
        lab.expect("graph.edges", edges)
    slider.press("End")
    expect(part(graph, "circuit-size")).to_contain_text("479 edges of 479, 22 nodes")
    lab.expect("graph.edges, graph.circuit.size", "479 479")


def test_a_node_is_pinned_by_a_click_and_by_keys(lab: Lab, graph: Locator):
    cells = lab.cells()
    node(graph, "m3").click()
    expect(part(graph, "node")).to_contain_text("MLP 3")
    expect(node(graph, "m3")).to_have_attribute("aria-pressed", "true")
    lab.expect("graph.selection", {"activation": "mlp_out", "layer": 3})
    press = lab.page.keyboard.press
    press("ArrowLeft")
    expect(node(graph, "a3.h3")).to_be_focused()
    for key in ("a", "b", "Enter"):
        press(key)
    expect(node(graph, "a3.h3")).to_have_attribute("aria-pressed", "true")
    lab.expect("graph.selection", {"activation": "z", "layer": 3, "head": 3})
    press("Escape")
    expect(part(graph, "circuit").locator('[aria-pressed="true"]')).to_have_count(0)
    lab.expect("graph.selection", None)
    assert lab.cells() == cells


def test_what_is_under_the_pointer_stands_out_and_moves_nothing(lab: Lab, graph: Locator):
    lab.page.mouse.move(0, 0)
    expect(part(graph, "node")).to_have_count(0)
    height = graph.evaluate("(view) => view.clientHeight")
    node(graph, "a0.h1").hover()
    expect(part(graph, "node")).to_contain_text("head 0.1")
    # No path leads through two heads of a layer; one leads on to the last MLP.
    expect(node(graph, "a0.h2")).to_have_attribute("data-dim", "true")
    expect(node(graph, "m3")).to_have_attribute("data-dim", "false")
    assert graph.evaluate("(view) => view.clientHeight") == height
    lab.page.mouse.move(0, 0)
    expect(part(graph, "node")).to_have_count(0)
    part(graph, "largest").locator("li").first.hover()
    expect(part(graph, "under-pointer")).to_contain_text(re.compile(r"mlp 0 → logits .*% of the gap"))
    assert graph.evaluate("(view) => view.clientHeight") == height


def test_an_edge_under_the_pointer_is_read_out(lab: Lab, graph: Locator):
    lab.page.mouse.move(0, 0)
    expect(part(graph, "under-pointer")).to_contain_text("Blue carries")
    ends = [node(graph, name).bounding_box() for name in ("m0", "m1")]
    assert ends[0] and ends[1]
    # Between the two boxes, in the middle of their column.
    lab.page.mouse.move(ends[0]["x"] + ends[0]["width"] / 2, (ends[1]["y"] + 20 + ends[0]["y"]) / 2)
    expect(part(graph, "under-pointer")).to_contain_text("% of the gap")


def test_another_rule_estimates_again(lab: Lab, graph: Locator):
    part(graph, "rules").select_option(index=1)
    lab.expect("graph.wait() and graph.result.params['rules']", "relp")
    score = lab.value("f\"{graph.circuit.top_edges(1)['score'][0]:+.2f}\"")
    expect(part(graph, "largest").locator("li > *").first).to_have_attribute("title", re.compile(re.escape(score)))


def test_the_strongest_senders_are_followed_and_equal_path_patching(lab: Lab, paths: Locator):
    lab.python(PERCENT)
    lab.python("import interp_backend as ib")
    numbers = part(paths, "senders").locator(".hs-bar-number")
    for receiver in ("logits", None, None):
        if receiver is None:
            first = part(paths, "senders").locator("li").first
            sender = first.locator(".hs-bar-name").inner_text()
            first.click()
            into = sender.replace("mlp", "MLP") if "mlp" in sender else f"head {sender}"
            expect(part(paths, "senders").locator("h3")).to_contain_text(f"Into {into}")
        lab.expect("graph.wait() and graph.status", "done")
        shown = lab.value("*percents(ib.path_patching(model, pair, None, graph.trail[-1], direction='noise'))")
        expect(numbers.first).to_have_text(shown.split()[0])
        expect(numbers).to_have_text(shown.split()[: numbers.count()])
    lab.expect("len(graph.trail)", 3)
    screenshot(paths, "circuit-paths")
    part(paths, "crumb").first.click()
    expect(part(paths, "crumb")).to_have_count(0)
    lab.expect("graph.trail", [["logits"]])
    expect(part(paths, "senders").locator("h3")).to_contain_text("Into the logits")


def test_the_value_of_a_head_alone(lab: Lab, paths: Locator):
    node(paths, "a3.h3").click()
    expect(part(paths, "input-all")).to_have_attribute("aria-pressed", "true")
    part(paths, "input-v").click()
    expect(part(paths, "input-v")).to_have_attribute("aria-pressed", "true")
    expect(part(paths, "senders").locator("h3")).to_contain_text("Into the value of head 3.3")
    lab.expect("graph.wait() and graph.trail", [["logits"], ["a3.h3<v>"]])
    expect(part(paths, "senders").locator("li").first).to_contain_text("mlp 0")


def test_what_the_view_does_not_draw_itself_is_a_picture_of_the_kernel(lab: Lab, faithfulness: Locator):
    with lab.page.expect_download() as download:
        part(faithfulness, "save").select_option("png")
    assert download.value.suggested_filename == "hookscope.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_faithfulness_has_the_kernels_numbers_and_a_click_draws_curves(lab: Lab, faithfulness: Locator):
    buttons = part(faithfulness, "robustness").locator("button")
    shown = lab.value("*(f'{f:.0%}' for f in graph.robustness.circuit[[0, 2]].ravel())").split()
    expect(buttons).to_have_text(shown)
    expect(part(faithfulness, "reason")).to_have_count(2)
    curves_of(faithfulness)
    expect(buttons.first).to_have_attribute("aria-pressed", "true")
    areas = lab.value("f'{graph.faithfulness.cpr:.2f}', f'{graph.faithfulness.cmd:.2f}'").split()
    expect(part(faithfulness, "areas").locator("dd")).to_contain_text(areas)
    chart = part(faithfulness, "curve-chart")
    chart.focus()
    chart.press("Home")
    expect(part(faithfulness, "curve-words")).to_contain_text("0.1% of all edges: signed (CPR) 0%")
    part(faithfulness, "edges").focus()
    part(faithfulness, "edges").press("PageUp")
    expect(part(faithfulness, "spread")).not_to_contain_text("25 edges or")
    expect(buttons).to_have_count(12)
    lab.expect("graph.wait() and graph.faithfulness.chosen_count == graph.circuit.size > 25", True)


def test_a_run_is_cancelled_and_run_again(lab: Lab):
    lab.python(PAUSED.replace("next(calls) > 10", "slow.is_set()") + "slow = threading.Event()\n")
    view = lab.show("graph = hs.CircuitGraph(model, pair, metric=paused)\ngraph")
    expect_status(view, "done")
    lab.python("slow.set()")
    open_tab(view, "Paths")
    expect(part(view, "cancel")).to_be_visible()
    part(view, "cancel").click()
    lab.python("go_on.set()")
    expect(part(view, "run")).to_be_visible()
    part(view, "run").click()
    expect(part(view, "senders").locator("li")).to_have_count(12)
    expect(part(view, "run")).to_have_count(0)
    lab.expect("graph.status", "done")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_accessible_in_the_theme(lab: Lab, graph: Locator, theme: str):
    lab.set_theme(theme)
    expect(graph).to_have_attribute("data-hs-theme", theme)
    screenshot(graph, f"circuit-edges-{theme}")
    node(graph, "a3.h3").click()
    expect(part(graph, "node")).to_be_visible()
    lab.page.mouse.move(0, 0)
    expect(node(graph, "a3.h3")).to_have_attribute("aria-pressed", "true")
    screenshot(graph, f"circuit-pinned-{theme}")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []
    open_tab(graph, "Paths")
    expect(part(graph, "senders").locator("li")).to_have_count(12)
    node(graph, "a3.h3").click()
    expect(part(graph, "input-all")).to_be_visible()
    expect(part(graph, "senders").locator("li").first).to_contain_text("mlp 0")
    lab.page.mouse.move(0, 0)
    screenshot(graph, f"circuit-paths-{theme}")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []
    open_tab(graph, "Faithfulness")
    curves_of(graph)
    lab.page.mouse.move(0, 0)
    screenshot(graph, f"circuit-faithfulness-{theme}")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []


def test_the_arrangement_is_a_command(lab: Lab, graph: Locator):
    part(graph, "arrange").select_option("1")
    expect(part(graph, "circuit")).to_have_attribute("data-arrange", "flow")
    lab.expect("graph.arrange", "flow")
    lab.python("graph.arrange = 'head'")
    expect(part(graph, "circuit")).to_have_attribute("data-arrange", "head")


def test_the_view_makes_the_svg_of_its_circuit(lab: Lab, graph: Locator):
    with lab.page.expect_download() as download:
        part(graph, "save").select_option("svg")
    assert download.value.suggested_filename == "circuit.svg"
    assert "mlp 3</text>" in download.value.path().read_text("utf-8")


def test_nodes_are_chosen_by_shift_and_drawn_as_one(lab: Lab, graph: Locator):
    node(graph, "a0.h1").click(modifiers=["Shift"])
    lab.expect("graph.chosen", ["a0.h1"])
    node(graph, "a0.h2").focus()
    lab.page.keyboard.press("Shift+Enter")
    lab.expect("graph.chosen", ["a0.h1", "a0.h2"])
    expect(node(graph, "a0.h2")).to_have_attribute("data-chosen", "true")
    lab.expect("graph.selection", None)
    # A rectangle around the MLPs, from the ground at the right of the lowest to that above the highest.
    ends = [node(graph, name).bounding_box() for name in ("m0", "m3")]
    assert ends[0] and ends[1]
    lab.page.keyboard.down("Shift")
    lab.page.mouse.move(ends[0]["x"] - 4, ends[0]["y"] + 24)
    lab.page.mouse.down()
    lab.page.mouse.move(ends[1]["x"] + 40, ends[1]["y"] - 8, steps=4)
    expect(part(graph, "band")).to_be_visible()
    screenshot(graph, "circuit-band")
    lab.page.mouse.up()
    lab.page.keyboard.up("Shift")
    expect(part(graph, "band")).to_have_count(0)
    lab.expect("graph.chosen", ["a0.h1", "a0.h2", "m0", "m1", "m2", "m3"])
    lab.python("graph.chosen = ['a2.h2', 'm3']\ngraph.groups = {'early': ['a0.h1', 'a0.h2', 'a0.h3']}")
    group = node(graph, "group early")
    expect(group).to_have_text("early 3")
    group.hover()
    screenshot(graph, "circuit-group")
    assert axe_violations(graph) == []
    assert hard_to_read(graph) == []


# Scrubbing

DATA = """
import interp_backend as ib

cities = {"Norway": "Oslo", "Egypt": "Cairo", "France": "Paris", "Japan": "Tokyo"}
rows = [{"country": country, "capital": capital} for country, capital in cities.items()]
phrasings = ["The capital city of {country} is", "In {country}, the capital is"]
data = ib.PromptPairs(
    [pair for text in phrasings for pair in ib.PromptPairs.from_template(text, rows, answer=" {capital}")]
)

def name_length(datum):
    return len(datum.answers[0])
"""
SHOWN = """
def shown():
    found = graph.scrubbing
    return f"{found.recovered:.1f}%"
"""


@pytest.fixture
def scrubbed(lab: Lab) -> Locator:
    """The circuit of a few edges as a hypothesis."""
    lab.python(DATA + SHOWN)
    view = lab.show("graph = hs.CircuitGraph(model, data, edges=10, features=[name_length])\ngraph")
    expect_status(view, "done")
    open_tab(view, "Scrubbing")
    expect(part(view, "stand-ins")).to_be_visible()
    expect_status(view, "done")
    return view


def row(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-hs="scrub-node"][data-name="{name}"]')


def test_a_circuit_is_scrubbed_and_the_bar_moves_as_choices_change(lab: Lab, scrubbed: Locator):
    words, m2 = part(scrubbed, "scrub-words"), row(scrubbed, "m2")
    before = lab.value("shown()")
    expect(words.locator("b")).to_have_text(before)
    node(scrubbed, "m2").click()
    expect(part(m2, "agrees")).to_be_focused()
    expect(m2).to_have_attribute("data-pinned", "true")
    choose(m2, "agrees", "answer")
    lab.expect("graph.wait() and graph.agree", {"m2": "answer"})
    expect(words).to_contain_text(f"Before the last change it was {before}.")
    expect(words.locator("b")).to_have_text(lab.value("shown()"))
    expect(node(scrubbed, "m2")).to_have_attribute("data-agrees", "feature")
    share = lab.value("f'{dict(zip(graph.scrubbing.nodes, graph.scrubbing.shares))[\"m2\"]:+.1f}'")
    expect(m2.locator(".hs-bar-number")).to_have_text(share.replace("-", "\u2212") + "%")
    choose(m2, "agrees", "name_length")
    lab.expect("graph.wait() and graph.agree", {"m2": "name_length"})
    choose(m2, "agrees", "token")
    choose(m2, "agrees-at", "5")
    lab.expect("graph.wait() and graph.agree", {"m2": "token@5"})
    expect(words.locator("b")).to_have_text(lab.value("shown()"))


def test_the_inspector_has_the_kernels_stand_ins(lab: Lab, scrubbed: Locator):
    choose(row(scrubbed, "m2"), "agrees", "answer")
    lab.expect("graph.wait() and graph.agree", {"m2": "answer"})
    enter(scrubbed, "datum", "3")
    expect(part(scrubbed, "inspected")).to_contain_text("Japan")
    part(scrubbed, "drawn").check()
    lines = part(scrubbed, "stand-ins").locator("li")
    table = "graph.scrubbing.stand_ins(3)"
    lab.python(f"drawn = {table}\ndrawn = drawn[drawn.agrees != 'exact'].sort_values('path')")
    expect(lines).to_have_count(int(lab.value("len(drawn)")))
    expect(lines.filter(has_text="answer:  Tokyo")).to_have_count(int(lab.value("(drawn.agrees == 'answer').sum()")))
    numbers = sorted(int(text) for text in lines.locator(".hs-number").all_inner_texts())
    assert numbers == sorted(int(text) for text in lab.value("*drawn.datum").split())


def test_a_hypothesis_is_saved_and_loaded_and_a_bad_one_loses_nothing(lab: Lab, scrubbed: Locator, tmp_path: Path):
    choose(row(scrubbed, "m2"), "agrees", "answer")
    lab.expect("graph.wait() and graph.agree", {"m2": "answer"})
    with lab.page.expect_download() as download:
        part(scrubbed, "save-hypothesis").click()
    assert download.value.suggested_filename == "hypothesis.json"
    kept = download.value.path().read_text("utf-8")
    lab.expect(f"ib.Hypothesis.from_json({kept!r}) == graph.hypothesis", True)
    part(scrubbed, "load-hypothesis").click()
    part(scrubbed, "load-text").fill('{"edges": ["m9->logits"]}')
    part(scrubbed, "load-use").click()
    expect(part(scrubbed, "error")).to_contain_text("This hypothesis is of another model: it names m9")
    lab.expect("graph.agree", {"m2": "answer"})
    own = tmp_path / "own.json"
    own.write_text('{"edges": ["m3->logits", "m2->logits"], "agree": {"m3": {"own": "name_length"}}}', "utf-8")
    part(scrubbed, "load-file").set_input_files(own)
    expect(part(scrubbed, "own-hypothesis")).to_contain_text("2 edges")
    expect(part(scrubbed, "error")).to_have_count(0)
    lab.expect("graph.wait() and graph.hypothesis.agree['m3'] is name_length", True)
    expect(part(scrubbed, "scrub-node")).to_have_count(2)
    part(scrubbed, "scrub-circuit").click()
    expect(part(scrubbed, "own-hypothesis")).to_have_count(0)
    lab.expect("graph.wait() and graph.hypothesis_edges", None)


def test_one_pair_is_too_few_and_a_large_circuit_offers_what_fits(lab: Lab, graph: Locator):
    open_tab(graph, "Scrubbing")
    expect(part(graph, "refused")).to_contain_text("this graph has one pair")
    expect(part(graph, "run")).to_have_count(0)
    lab.python(DATA + "graph.data = data")
    expect(part(graph, "scrub-words")).to_contain_text("The hypothesis keeps")
    part(graph, "edges").focus()
    part(graph, "edges").press("End")
    expect(part(graph, "refused")).to_contain_text("too many")
    part(graph, "cancel").click() if part(graph, "cancel").count() else None
    fits = int(lab.value("graph.outline['fits']"))
    expect(part(graph, "fits")).to_have_text(f"Take the {fits} largest edges")


def test_scrubbing_is_cancelled_and_what_is_there_stays(lab: Lab):
    lab.python(DATA + SLOW)
    view = lab.show("graph = hs.CircuitGraph(model, data, edges=10, features=[waits])\ngraph")
    expect_status(view, "done")
    open_tab(view, "Scrubbing")
    expect(part(view, "stand-ins")).to_be_visible()
    expect_status(view, "done")
    words = part(view, "scrub-words").inner_text()
    choose(row(view, "m2"), "agrees", "waits")
    part(view, "cancel").click()
    lab.python("go_on.set()")
    expect(part(view, "run")).to_be_visible()
    expect(part(view, "scrub-words")).to_have_text(words)
    part(view, "run").click()
    expect(part(view, "scrub-words")).to_contain_text("Before the last change")
    expect(part(view, "run")).to_have_count(0)


# A feature that lets a run be cancelled: the kernel's own thread asks it for an example, and waits for nothing.
SLOW = """
import threading

go_on, main = threading.Event(), threading.current_thread()

def waits(datum):
    if threading.current_thread().name.startswith("hookscope"):
        go_on.wait(60)
    return datum.answers[0]
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_scrubbing_is_readable_and_accessible(lab: Lab, scrubbed: Locator, theme: str):
    lab.set_theme(theme)
    expect(scrubbed).to_have_attribute("data-hs-theme", theme)
    choose(row(scrubbed, "m2"), "agrees", "token")
    expect(part(scrubbed, "scrub-before")).to_have_count(1)
    node(scrubbed, "m0").click()
    lab.expect("graph.wait() and graph.status", "done")
    part(scrubbed, "load-hypothesis").click()
    lab.page.mouse.move(0, 0)
    screenshot(scrubbed, f"circuit-scrubbing-{theme}")
    assert axe_violations(scrubbed) == []
    assert hard_to_read(scrubbed) == []
