"""What went wrong with commands, undo and scripts once, and must not again."""

from __future__ import annotations

import numpy as np
import pytest
from driven_widgets import Watched, ask

import hookscope as hs
import interp_backend as ib
from hookscope import markdown

UNEQUAL = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The lovely old capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
HEADS = {"activation": "z", "axes": ["layer", "head"]}


@pytest.fixture
def bench(embedded, capitals):
    widget = Watched(hs.Workbench, embedded, capitals)
    yield widget
    widget.close()


def pin(bench, place):
    bench.set_state({"selection": place})
    assert bench.wait(60)


@pytest.mark.parametrize("place", [{"layer": 2, "head": 1}, {"layer": 2, "position": 11, "side": "corrupt"}])
def test_the_card_of_prompts_of_unequal_length_is_whole(bench, embedded, place):
    bench.editor.pair = UNEQUAL
    assert bench.wait(60)
    pin(bench, place)
    assert bench.error is None
    assert all(bench.card[change]["value"] is not None for change in ("patched", "zeroed", "averaged"))
    bench.editor.selection = place
    assert bench.editor.error is None and bench.editor.selection == place
    again = hs.replay(bench.commands, embedded, UNEQUAL)
    assert again[-1].results[0] == bench.card


def test_a_card_that_can_not_be_computed_says_why(bench):
    pin(bench, {"layer": 2, "head": 1})
    bench.editor.pair = UNEQUAL.model_copy(update={"corrupt_answer": " Reykjavik city"})
    bench.wait(60)
    assert bench.status == "error" and "token" in bench.error["message"]


def test_an_opened_cell_is_replayed(bench, embedded):
    ask(bench.panels[1], "activation_patching", "view:1", **HEADS)
    ask(bench.panels[1], "open", "view:2", cell={"layer": 2, "head": 1})
    again = hs.replay(bench.commands, embedded)
    assert np.allclose(again[-1].results[0].values, bench.panels[1].opened.values, atol=1e-5)


def test_each_of_several_pins_has_its_result(bench, embedded):
    pins = [{"do": "set", "params": {"selection": {"layer": layer, "head": 1}}} for layer in (0, 1, 1)]
    cards = [one.results[0] for one in bench.replay(pins)]
    assert [card["place"]["layer"] for card in cards] == [0, 1, 1]
    edits = [{"do": "edit", "params": {"pair": UNEQUAL.model_dump()}}] * 2
    assert all(one.results for one in bench.replay(edits, keep_pair=False))


def test_a_brush_is_no_obstacle(bench):
    ask(bench, "add_view", "view:0", kind="lens")
    bench.panels[-1].set_state({"columns": [1, 4]})
    ask(bench, "double_view", "view:1", at=4)
    assert bench.names[-1] == "Lens 3" and bench.panels[-1].columns == [1, 4]
    ask(bench, "close_view", "view:2", at=4)
    bench.undo()
    assert bench.wait(60) and len(bench.panels) == 6 and bench.at == len(bench.steps) - 2
    ask(bench.editor, "edit", "view:3", pair=UNEQUAL.model_dump())
    bench.panels[1].direction = "noise"
    bench.undo()
    assert bench.wait(60) and bench.panels[1].direction == "denoise"


def test_undo_keeps_what_python_did(bench, embedded, capitals):
    pin(bench, {"layer": 1, "head": 1})
    own = bench.add(hs.PatchHeatmap(embedded, capitals, direction="noise"))
    bench.editor.pair = UNEQUAL
    pin(bench, {"layer": 2, "head": 1})
    bench.undo()
    assert own in bench.panels and not own._closed and bench.editor.pair == UNEQUAL
    bench.go_to(0)
    assert own in bench.panels and bench.editor.pair == capitals
    bench.go_to(2)
    assert bench.editor.pair == UNEQUAL and bench.selection == {"layer": 2, "head": 1}
    assert bench.wait(60)


def test_undo_keeps_the_head_that_was_open(bench):
    opened = bench.panels[3].opened
    assert opened
    pin(bench, {"layer": 1, "position": 1})
    bench.go_to(0)
    assert bench.panels[3].opened == opened


def test_scripts_run_whatever_was_asked_for(bench):
    ask(bench.panels[3], "head_circuits", "view:1", layer=1, head=1, circuit="qk")
    ask(bench, "add_view", "view:2", kind="circuit")
    circuit = bench.panels[-1]
    circuit.set_state({"edges": 12})
    ask(circuit, "faithfulness_at", "view:3", ablation="zero", level="edge", positions="all")
    ask(bench.editor, "edit", "view:4", pair={**UNEQUAL.model_dump(), "corrupt_answer": " Reykjavik city"})
    bench.wait(60)
    shown = {}
    exec(bench.code(), shown)
    results = [one for entry in bench._history.done for one in entry.results()]
    [first], [again] = (
        [one for one in some if isinstance(one, ib.Faithfulness)] for some in (results, shown["results"])
    )
    assert np.allclose(first.mean, again.mean, atol=1e-5, equal_nan=True) and first.sizes == again.sizes


def test_a_detail_can_come_first_in_a_list(embedded, capitals):
    [done] = hs.replay([{"do": "patch_head", "params": {"layer": 1, "head": 1}}], embedded, capitals)
    assert len(done.results) == 1 and isinstance(done.results[0], tuple)
    [done] = hs.replay([{"do": "activation_patching", "params": HEADS}], embedded, capitals)
    assert [result.axes for result in done.results] == [("layer", "head")]


def test_an_old_error_does_not_stop_a_replay(bench):
    bench.set_state({"split": float("nan")})
    assert "0.25 to 0.75" in bench.error["message"]
    bench.replay([{"do": "set", "params": {"selection": {"layer": 1, "head": 1}}}])


def test_opening_sets_the_pair_if_it_may(bench):
    bench.replay([{"do": "open", "params": {"pair": UNEQUAL.model_dump(), "views": ["circuit"]}}], keep_pair=False)
    assert bench.editor.pair == UNEQUAL and bench.names[-1] == "Circuit"


def test_a_view_is_on_one_workbench(bench, embedded):
    other = hs.Workbench(embedded, UNEQUAL)
    with pytest.raises(ValueError, match="on a workbench already"):
        other.add(bench.panels[1])
    other.close()


@pytest.mark.parametrize("do", ["undo", "cancel", "save_report", "shown"])
def test_requests_of_a_view_itself_are_no_commands(bench, do):
    with pytest.raises(ValueError, match="Command 1"):
        bench.replay([{"do": do, "params": {"view": "x"} if do == "shown" else {}}])


@pytest.mark.parametrize("place", ["abc", [1], 3, {"layer": "x"}])
def test_a_place_that_is_none_is_a_sentence(bench, place):
    with pytest.raises(ValueError, match="Command 1"):
        bench.replay([{"do": "set", "params": {"selection": place}}])
    bench.set_state({"selection": place})
    assert bench.error and len(bench.steps) == 1


def test_a_closed_workbench_says_so(embedded, capitals):
    bench = hs.Workbench(embedded, capitals)
    bench.close()
    for use in (bench.undo, lambda: bench.snapshot("x"), lambda: bench.restore("x"), lambda: bench.add("lens")):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_linked_views_bring_their_partners(embedded, capitals):
    views = [hs.LogitLensGrid(embedded, capitals) for _ in range(4)]
    assert all(view.wait(60) for view in views)
    hs.link(*views[:2])
    hs.link(*views[2:])
    hs.link(views[1], views[2])
    views[0].selection = {"layer": 1, "position": 2}
    assert [view.selection for view in views] == [{"layer": 1, "position": 2}] * 4
    for view in views:
        view.close()


@pytest.mark.parametrize("link", ["command:x", "/api/kernels", "javascript:alert(1)", "file:///etc/passwd", "#here"])
def test_links_of_notes_lead_to_pages_alone(link):
    assert "href" not in str(markdown.tree(f"[a]({link})")) and "href" not in markdown.MARKDOWN.render(f"[a]({link})")
    assert "href" in str(markdown.tree("[a](https://example.org)"))


def test_notes_have_a_length_that_can_be_typed_in(bench):
    bench.set_state({"notes": "x" * 20_001})
    assert "20,000 characters" in bench.error["message"] and bench.notes == ""
