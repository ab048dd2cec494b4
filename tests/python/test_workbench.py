"""The workbench's Python side: its views, the pinned place and its card, and its report."""

from __future__ import annotations

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib


@pytest.fixture
def bench(embedded, capitals):
    widget = Watched(hs.Workbench, embedded, capitals)
    yield widget
    widget.close()


def test_it_begins_with_the_editor_and_three_views(bench):
    assert bench.names == ["Prompts", "Patching", "Lens", "Attention"]
    refs = bench.get_state("panels")["panels"]
    assert refs == [f"anywidget:{panel.model_id}" for panel in bench.panels]
    assert all(panel.result is not None for panel in bench.panels)


def test_without_a_pair_it_takes_the_models_first_template(embedded):
    bench = hs.open(embedded)
    assert bench.wait(60) and bench.panels[1].result is not None
    assert bench.editor.pair.clean in bench.report().title
    bench.close()


def test_all_views_follow_the_editor(bench):
    change = {"clean": "The capital of Spain is", "clean_answer": " Madrid"}
    other = bench.editor.pair.model_copy(update=change)
    bench.editor.pair = other
    assert bench.wait(60)
    assert [panel.pair.clean for panel in bench.panels] == [other.clean] * 4
    assert bench.panels[1].result.prompts["clean"].text == other.clean


def test_a_pinned_place_is_pinned_everywhere_and_has_a_card(bench, embedded, capitals):
    bench.panels[1].selection = {"layer": 2, "position": 5}
    assert bench.wait(60)
    assert all(panel.selection == {"layer": 2, "position": 5} for panel in [bench, *bench.panels])
    patched = ib.activation_patching(embedded, capitals, activation="resid_post")
    assert bench.card["patched"]["effect"] == pytest.approx(float(patched.normalized[2, 5]), abs=1e-5)
    zeroed = ib.activation_patching(embedded, capitals, activation="resid_post", direction="noise", value="zero")
    assert bench.card["zeroed"]["value"] == pytest.approx(float(zeroed.values[2, 5]), abs=1e-4)
    mean = ib.Mean(prompts=(capitals.clean, capitals.corrupt))
    averaged = ib.activation_patching(embedded, capitals, activation="resid_post", direction="noise", value=mean)
    assert bench.card["averaged"]["effect"] == pytest.approx(float(averaged.normalized[2, 5]), abs=1e-5)


def test_a_head_is_changed_at_all_positions_or_at_the_pinned_one(bench, embedded, capitals):
    bench.selection = {"layer": 1, "head": 3}
    assert bench.wait(60)
    expected = ib.activation_patching(embedded, capitals, activation="z", axes=("layer", "head"))
    assert not bench.card["positions"] and bench.card["activation"] == "z"
    assert bench.card["patched"]["effect"] == pytest.approx(float(expected.normalized[1, 3]), abs=1e-5)
    bench.selection = {"layer": 1, "head": 3, "position": 5}
    assert bench.wait(60) and bench.card["positions"]


@pytest.mark.parametrize("place", [{"position": 3}, {"activation": "logits"}, None])
def test_a_place_without_a_layer_has_no_card(bench, place):
    bench.selection = {"layer": 1, "position": 3}
    assert bench.wait(60) and bench.card
    bench.selection = place
    assert bench.wait(60) and bench.card is None and bench.error is None


def test_views_are_added_doubled_enlarged_and_closed(bench):
    ask(bench, "add_view", "view:1", kind="circuit")
    assert bench.names[-1] == "Circuit" and bench.panels[-1].group == bench.group
    bench.panels[1].direction = "noise"
    ask(bench, "double_view", "view:2", at=1)
    assert bench.names[1:3] == ["Patching", "Patching 2"] and bench.panels[2].direction == "noise"
    bench.panels[2].direction = "denoise"
    assert bench.wait(60)
    assert not np.array_equal(bench.panels[1].result.values, bench.panels[2].result.values)
    bench.set_state({"enlarged": 2})
    closed = bench.panels[2]
    ask(bench, "close_view", "view:3", at=2)
    assert bench.enlarged is None and closed not in bench.panels and closed._closed
    assert events(bench, "view:3") == ["accepted", "result"]


def test_two_models_side_by_side(bench, capitals):
    other = ib.load_model(ib.load_model().raw)
    twin = bench.add(hs.PatchHeatmap(other, bench.editor))
    assert bench.wait(60) and twin.result is not None
    bench.panels[1].selection = {"layer": 2, "position": 5}
    assert twin.selection == {"layer": 2, "position": 5}


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("close_view", {"at": 0}, "could be doubled or closed"),
        ("double_view", {"at": 0}, "could be doubled or closed"),
        ("close_view", {"at": 99}, "no view 99"),
        ("add_view", {"kind": "nonsense"}, "kind"),
        ("close_view", {"at": -1}, "at"),
    ],
)
def test_nonsense_is_refused(bench, method, params, says):
    before = list(bench.panels)
    ask(bench, method, "view:1", **params)
    assert events(bench, "view:1")[-1] == "error" and says in f"{bench.error['field']} {bench.error['message']}"
    assert bench.panels == before


def test_nonsense_from_python(bench, embedded, capitals):
    with pytest.raises(ValueError, match="There is no view 'maps'"):
        hs.Workbench(embedded, capitals, views=["maps"])
    with pytest.raises(ValueError, match="add takes one of"):
        bench.add(3)
    with pytest.raises(ValueError, match="the editor, which stays"):
        bench.remove(bench.editor)
    with pytest.raises(traitlets.TraitError, match="no view 9"):
        bench.enlarged = 9


def test_its_report_has_all_views(bench, tmp_path):
    path = bench.report(notes="What **I** think").save(tmp_path / "report.html")
    text = path.read_text("utf-8")
    assert "<strong>I</strong>" in text and text.count("data-view=") == 4
    assert len(hs.load_report(path)) == 3
    ask(bench, "save_report", "view:1")
    [sent] = [event for event in bench.sent if event["event"] == "file"]
    assert sent["format"] == "html" and sent["text"].startswith("<!doctype html>")


def test_the_embedded_workbench_is_small(bench, tmp_path):
    bench.add("circuit")
    assert bench.wait(60)
    assert bench.report().save(tmp_path / "report.html").stat().st_size < 400_000


def test_closing_closes_everything(embedded, capitals):
    bench = Watched(hs.Workbench, embedded, capitals)
    panels = list(bench.panels)
    bench.close()
    assert all(panel._closed for panel in panels)
