"""What the attention viewer asks of its kernel in JupyterLab: scores, one head's answers, other prompts, a cancel."""

from __future__ import annotations

from attention_view import HOSTILE, TWICE, open_panel, opened
from checks import screenshot
from lab import Lab
from playwright.sync_api import Locator, expect
from views import choose, enter, expect_status, part


def test_heads_are_sorted_also_by_what_they_do_on_random_tokens(lab: Lab, viewer: Locator):
    names = viewer.locator(".hs-thumb-caption")
    best = "np.unravel_index({}.argmax(), (4, 4))"
    lab.python("import numpy as np")
    expect(names).to_have_count(0)
    part(viewer, "sort").select_option("previous_token")
    layer_head = best.format("viewer.result.first.scores['previous_token']")
    expect(names.first).to_contain_text(lab.value(f"'{{}}.{{}}'.format(*{layer_head})"))
    part(viewer, "sort").select_option("+")
    expect(part(viewer, "sort").locator('option[value="random:induction"]')).to_have_count(1)
    part(viewer, "sort").select_option("random:induction")
    highest = lab.value("f\"{viewer.head_scores.scores['induction'].max():.2f}\"")
    layer_head = best.format("viewer.head_scores.scores['induction']")
    expect(names.first).to_have_text(lab.value(f"'{{}}.{{}} {highest}'.format(*{layer_head})"))
    expect(names).to_have_count(16)
    lab.expect("viewer.sort", "random:induction")
    expect(part(opened(viewer, "1.2"), "random-scores")).to_have_count(1)
    screenshot(viewer, "attention-sorted")


def test_layers_are_chosen_and_what_is_wrong_is_said(lab: Lab, viewer: Locator):
    part(viewer, "more").click()
    enter(viewer, "layers", "3, 0-1")
    expect(part(viewer, "heads-grid")).to_have_attribute("aria-rowcount", "3")
    lab.expect("viewer.shown_layers", [0, 1, 3])
    enter(viewer, "layers", "7")
    expect(part(viewer, "complaint")).to_contain_text("Layers are 0-3")
    lab.expect("viewer.shown_layers", [0, 1, 3])
    lowest = part(viewer, "heads-grid").get_by_title("layer 0", exact=True)
    expect(lowest).not_to_have_css("top", "0px")
    part(viewer, "layer-zero").click()
    expect(lowest).to_have_css("top", "0px")
    lab.expect("viewer.layer_zero", "top")
    for mark in ("induction", "previous", "duplicate"):
        part(viewer, f"mark-{mark}").check()
    lab.expect("viewer.marks", ["induction", "previous", "duplicate"])


def test_one_head_is_patched_attributed_and_read(lab: Lab, pair_viewer: Locator):
    head = opened(pair_viewer, "1.2")
    signed = "f\"{{{}:{}.2f}}\".replace('-', '\\u2212')"
    open_panel(head, "patch")
    part(head, "run-patch").click()
    expect(part(head, "patch-result")).to_be_visible()
    expect(part(head, "patch-all")).to_have_text(lab.value(signed.format("pair_viewer.head_patch['all']", "")))
    expect(part(head, "patch-effects").locator('[data-hs="strip-token"]')).to_have_count(6)
    open_panel(head, "attribute")
    part(head, "run-attribute").click()
    expect(part(head, "attribution-result")).to_contain_text("␣Oslo against ␣Stockholm")
    value = signed.format("pair_viewer.head_attribution['sides']['clean']['value']", "+")
    expect(part(head, "attributed-clean")).to_contain_text(lab.value(value))
    open_panel(head, "circuits")
    choose(head, "circuit", "QK")
    part(head, "run-circuits").click()
    expect(part(head, "circuits-result")).to_contain_text("QK")
    largest = lab.value(signed.format("pair_viewer.head_circuits['pairs'][0]['value']", "+"))
    expect(part(head, "pairs-largest").locator("tr").first).to_contain_text(largest)
    # Answers are about one prompt: another prompt takes them away.
    lab.python(
        "pair_viewer.pair = hs.PromptPair(clean='A is', corrupt='B is', clean_answer=' Oslo', corrupt_answer=' Rome')"
    )
    expect(part(pair_viewer, "token")).to_have_count(3)
    expect(part(pair_viewer, "circuits-result")).to_have_count(0)
    answers = [f"pair_viewer.head_{name}" for name in ("patch", "attribution", "circuits")]
    assert lab.value(", ".join(answers)) == "None None None"


def test_a_prompt_is_typed_refused_and_read_from_its_end(lab: Lab, viewer: Locator):
    enter(viewer, "input-prompt", "")
    expect(part(viewer, "error")).to_contain_text("empty")
    expect(part(viewer, "attention-result")).to_have_attribute("data-stale", "true")
    expect(part(viewer, "faded")).to_contain_text(TWICE)
    enter(viewer, "input-prompt", HOSTILE)
    expect(part(viewer, "text")).to_contain_text("onerror")
    expect(part(viewer, "error")).to_have_count(0)
    assert viewer.locator("img, script").count() == 0
    enter(viewer, "input-prompt", "The capital of Norway is Oslo. " * 20)
    expect(part(viewer, "error")).to_contain_text("at most 128")
    part(viewer, "remedy").click()
    expect(part(viewer, "token")).to_have_count(128)
    choose(viewer, "kind", "value weighted")
    expect(part(viewer, "subtitle")).to_contain_text("value weighted · 16 heads · 128 tokens")


# The model's worker has other work until `held` is set.
HOLD = """
import threading
from interp_backend.service.tasks import Task, worker_of
held = threading.Event()
class Holding:
    def steps(self):
        held.wait(60)
        return iter([])

worker_of(pair_viewer.model).submit(Task("held", Holding(), lambda *_: None))
"""


def test_what_was_cancelled_leaves_the_last_result_faded(lab: Lab, pair_viewer: Locator):
    lab.python(HOLD)
    try:
        choose(pair_viewer, "kind", "scores")
        part(pair_viewer, "cancel").click()
    finally:
        lab.python("held.set()")
    expect_status(pair_viewer, "cancelled")
    # What is shown is not what was asked for, and says so.
    expect(part(pair_viewer, "subtitle")).to_contain_text("pattern · clean")
    expect(part(pair_viewer, "attention-result")).to_have_attribute("data-stale", "true")
    expect(part(pair_viewer, "faded")).to_contain_text("The capital of Norway is")
    choose(pair_viewer, "kind", "scores")
    expect(part(pair_viewer, "subtitle")).to_contain_text("scores · clean")
    expect(part(pair_viewer, "attention-result")).to_have_attribute("data-stale", "false")
