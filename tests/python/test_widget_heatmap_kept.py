"""A heatmap's kept map and the difference of the shown map from it, driven as a view would."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope.page import read_page

RESID = {"activation": "resid_pre", "axes": ["layer", "position"], "metric": "logit_diff", "direction": "denoise"}
ATTN = {**RESID, "activation": "attn_out"}
HEADS = {**RESID, "activation": "z", "axes": ["layer", "head"]}


@pytest.fixture
def heatmap(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals)
    yield widget
    widget.close()


def assert_difference(heatmap, first, second):
    assert heatmap.difference is not None and heatmap.why_no_difference == ""
    np.testing.assert_array_equal(heatmap.difference.normalized, first.normalized - second.normalized)


def test_a_kept_map_stays_while_others_are_shown_and_is_subtracted_from_them(heatmap):
    assert heatmap.kept is None and heatmap.difference is None
    ask(heatmap, "keep", id="view:1")
    assert events(heatmap, "view:1") == ["accepted", "result"]
    kept = heatmap.kept
    assert kept.headline() == heatmap.result.headline() and not np.shares_memory(kept.values, heatmap.result.values)
    assert np.nanmax(np.abs(heatmap.difference.normalized)) == 0
    ask(heatmap, "activation_patching", **ATTN)
    assert heatmap.kept is kept and heatmap.difference.headline().startswith("attn_out \u2212 resid_pre")
    assert_difference(heatmap, heatmap.result, kept)


def test_another_metric_direction_pair_and_model_of_the_same_size_can_be_compared(heatmap, embedded, capitals):
    heatmap.keep()
    heatmap.metric = "prob"
    assert_difference(heatmap, heatmap.result, heatmap.kept)
    assert "probability \u2212 logit difference" in heatmap.difference.metric_label
    heatmap.direction = "noise"
    heatmap.wait()
    assert_difference(heatmap, heatmap.result, heatmap.kept)
    heatmap.pair = capitals.model_copy(update={"clean": capitals.corrupt, "corrupt": capitals.clean})
    heatmap.wait()
    assert_difference(heatmap, heatmap.result, heatmap.kept)
    other = ib.activation_patching(embedded, capitals)
    other.provenance["model"] = {"name": "another"}
    heatmap.kept = other
    assert_difference(heatmap, heatmap.result, other)
    assert heatmap.difference_code == ""  # the code of another model is not known here


def test_maps_that_cannot_be_subtracted_say_why_and_the_choice_falls_back(heatmap):
    heatmap.keep()
    heatmap.set_state({"shows": "difference"})
    assert heatmap._of_tab() is heatmap.difference
    ask(heatmap, "activation_patching", **HEADS)
    assert heatmap.difference is None and "One map is by layer and head" in heatmap.why_no_difference
    assert heatmap._of_tab() is heatmap.result and heatmap.shows == "difference"
    ask(heatmap, "activation_patching", **ATTN)
    assert heatmap._of_tab() is heatmap.difference and heatmap.why_no_difference == ""


def test_files_and_the_copied_code_are_of_what_is_shown(heatmap, tmp_path):
    heatmap.keep()
    ask(heatmap, "activation_patching", **ATTN)
    heatmap.set_state({"shows": "difference"})
    read = ib.read_result(heatmap.save(tmp_path / "a.json").read_text("utf-8"))
    np.testing.assert_array_equal(read.normalized, heatmap.difference.normalized)
    heatmap.set_state({"shows": "kept"})
    assert ib.read_result(heatmap.save(tmp_path / "b.json").read_text("utf-8")).params["activation"] == "resid_pre"
    names: dict = {}
    exec(heatmap.difference_code, names)
    np.testing.assert_allclose(names["result"].normalized, heatmap.difference.normalized, atol=1e-5)
    assert heatmap.error is None


def test_without_a_kept_map_the_map_is_shown(heatmap):
    heatmap.keep()
    heatmap.set_state({"shows": "difference"})
    ask(heatmap, "drop_kept")
    assert (heatmap.shows, heatmap.kept, heatmap.difference, heatmap.difference_code) == ("map", None, None, "")
    heatmap.set_state({"shows": "sum"})
    assert "shows" in heatmap.error["message"] and heatmap.shows == "map"
    heatmap.set_state({"kept": None})
    assert "kept can't be set from a view" in heatmap.error["message"]


def test_nothing_can_be_kept_before_there_is_a_map_and_other_results_are_refused(heatmap, embedded, capitals):
    difference = heatmap.result.minus(heatmap.result)
    with pytest.raises(traitlets.TraitError, match="whose results the heatmap does not show"):
        heatmap.kept = difference
    with pytest.raises(traitlets.TraitError):
        heatmap.kept = "map"
    with pytest.raises(ValueError, match="There is no result yet"):
        hs.PatchHeatmap(embedded, capitals.model_copy(update={"clean_answer": ""})).keep()


def test_linked_heatmaps_share_the_kept_map(embedded, capitals):
    first, second = (Watched(hs.PatchHeatmap, embedded, capitals, activation=name) for name in ("mlp_out", "attn_out"))
    first.keep()
    assert second.kept is None
    hs.link(first, second)
    ask(second, "keep")
    assert first.kept is second.kept and first.kept.params["activation"] == "attn_out"
    assert_difference(first, first.result, second.result)
    first.drop_kept()
    assert second.kept is None
    for one in (first, second):
        one.close()


def test_what_is_kept_and_shown_is_a_choice_of_a_workbench(embedded, capitals):
    bench = hs.Workbench(embedded, capitals)
    assert bench.wait(60)
    heatmap = next(panel for panel in bench.panels if isinstance(panel, hs.PatchHeatmap))
    ask(heatmap, "keep")
    ask(heatmap, "activation_patching", **ATTN)
    heatmap.set_state({"shows": "difference"})
    assert [command["do"] for command in bench.commands[1:]] == ["keep", "activation_patching", "set"]
    at = bench.panels.index(heatmap)
    ask(bench, "double_view", at=at)
    twin = bench.panels[at + 1]
    assert twin.wait(60) and twin.shows == "difference" and twin.kept is heatmap.kept
    bench.go_to(0)
    assert bench.wait(60) and heatmap.kept is None and heatmap.shows == "map"
    bench.go_to(3)
    assert bench.wait(60) and heatmap.shows == "difference"
    assert_difference(heatmap, heatmap.result, heatmap.kept)
    bench.close()


def test_a_saved_page_and_a_report_have_both_maps_and_the_difference(heatmap, tmp_path):
    heatmap.keep()
    ask(heatmap, "activation_patching", **ATTN)
    heatmap.set_state({"shows": "difference"})
    page = heatmap.save(tmp_path / "page.html").read_text("utf-8")
    (part,) = read_page(page)
    assert part.state["shows"] == "difference" and part.state["kept"]["method"] == "activation_patching"
    results = hs.load_report(hs.Report([heatmap, heatmap.difference]).save(tmp_path / "report.html"))
    assert [one.method for one in results].count("difference") == 2
    difference = next(one for one in results if one.method == "difference")
    np.testing.assert_array_equal(difference.normalized, heatmap.difference.normalized)


def test_the_difference_of_maps_without_a_model(embedded, capitals):
    first, second = (ib.activation_patching(embedded, capitals, activation=name) for name in ("resid_pre", "attn_out"))
    bare = Watched(hs.PatchHeatmap, result=first)
    ask(bare, "keep")
    bare.result = second
    assert_difference(bare, second, first)
    json.dumps(bare.get_state(["kept", "difference"]), allow_nan=False)
    bare.close()


def test_the_difference_follows_a_sweep_to_its_end(heatmap, embedded, capitals):
    heatmap.keep()
    heatmap.shows = "difference"
    ask(heatmap, "activation_patching", **{**RESID, "activation": "mlp_out"}, estimate="gradient", exact=1.0)
    assert_difference(heatmap, heatmap.result, heatmap.kept)
    assert heatmap.difference.complete
