"""The logit-lens grid's Python side, driven as a view would: requests, windows, lines, both tabs, and their code."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import traitlets
from driven_widgets import LONG, Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope import logit_lens_grid
from hookscope.asking import Once
from interp_backend.results.codec import decode_array
from interp_backend.results.lens import LensArrays
from interp_backend.service.tasks import Task, worker_of
from tiny_models import bridge

PROMPT = "The capital of Norway is"
LENS = {"stream": "resid_post", "lens": "logit", "targets": [], "top_k": 10}


@pytest.fixture
def grid(embedded, capitals):
    widget = Watched(hs.LogitLensGrid, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture
def one(embedded):
    widget = Watched(hs.LogitLensGrid, embedded, PROMPT)
    yield widget
    widget.close()


def run_code(code, **names):
    exec(code, names)
    return names["result"]


def look_up(widget, method, **params):
    """Ask, and wait until the model's one thread has nothing more to do."""
    ask(widget, method, **params)
    last = Task("last", Once(lambda: iter(())), lambda *_: None, priority=9)
    assert worker_of(widget.model).submit(last).wait(60)


def sent(widget, kind):
    return [event for event in widget.sent if event["event"] == kind]


def assert_same_lens(result, other):
    assert result.labels == other.labels and result.targets == other.targets
    assert list(result.sides) == list(other.sides)
    for side in result.sides:
        for name in LensArrays.model_fields:
            np.testing.assert_allclose(
                getattr(result.arrays_of(side), name), getattr(other.arrays_of(side), name), atol=1e-4, err_msg=name
            )


def assert_same_attribution(found, other):
    assert found.labels == other.labels
    for name, side in found.sides.items():
        np.testing.assert_allclose(side.values, other.sides[name].values, atol=1e-5)
        np.testing.assert_allclose(side.by_source, other.sides[name].by_source, atol=1e-5)


def test_a_grid_reads_its_pair_at_once(grid, embedded, capitals):
    assert grid.status == "done" and grid.error is None and grid.side == "clean"
    assert_same_lens(grid.result, ib.logit_lens(embedded, capitals))
    wire = grid.get_state("result")["result"]
    assert wire["sides"]["clean"]["arrays"] is not None and wire["complete"] and wire["id"]


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"stream": "attn_out", "targets": [" Paris"]},
        {"lens": "tuned"},
        {"last": 3},
        {"targets": []},
        {"top_k": 3},
    ],
)
def test_the_copied_code_of_the_lens_gives_the_numbers_that_are_shown(grid, choice):
    ask(grid, "logit_lens", **(LENS | {"targets": [" Oslo", " Stockholm"]} | choice))
    assert grid.error is None and events(grid, "view:1") == ["accepted", "result"]
    assert grid.result.params["stream"] == grid.stream == (LENS | choice)["stream"]
    assert_same_lens(grid.result, run_code(grid.code))


def test_every_result_has_an_id_of_its_own(grid):
    before = grid.get_state("result")["result"]["id"]
    ask(grid, "logit_lens", **LENS)
    assert grid.get_state("result")["result"]["id"] == "view:1" != before


@pytest.mark.parametrize(
    "choice, sentence",
    [
        ({"targets": [" Oslo Stockholm"]}, "is 2 tokens"),
        ({"targets": ["zzz"]}, "is 3 tokens"),
        ({"targets": [""]}, "is 0 tokens"),
        ({"targets": ["a"] * 51}, "at most 50"),
        ({"top_k": 0}, "top_k"),
        ({"stream": "javascript:"}, "stream"),
        ({"lens": "x"}, "lens"),
        ({"last": 0}, "last"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_lens_that_can_not_be_is_refused_and_nothing_changes(grid, choice, sentence):
    before = grid.result
    ask(grid, "logit_lens", **(LENS | choice))
    assert sentence in grid.error["message"] and events(grid, "view:1")[-1] == "error"
    assert grid.result is before and grid.stream == "resid_post" and grid.lens == "logit" and grid.status == "done"
    ask(grid, "logit_lens", id="view:2", **LENS)
    assert grid.error is None


def test_the_tuned_lens_of_another_model_is_neither_offered_nor_taken():
    raw = bridge("gpt2")
    widget = Watched(hs.LogitLensGrid, raw, "hello")
    assert next(entry for entry in widget.info["lenses"] if entry["name"] == "tuned")["reason"]
    ask(widget, "logit_lens", **(LENS | {"lens": "tuned"}))
    assert widget.result.params["lens"] == "logit" or widget.error is not None
    widget.close()


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("columns", [5, 2], "start, stop"),
        ("columns", ["a"], "int"),
        ("columns", [0, 99], "within 0 to 6"),
        ("side", "x", "sides are"),
        ("side", "prompt", "sides are"),
        ("color", "javascript:", "color"),
        ("tab", 5, "tab"),
        ("layer_zero", "<b>", "layer_zero"),
        ("selection", {"layer": 99, "position": 0}, "The displayed result has no place {'layer': 99, 'position': 0}"),
        ("selection", {"layer": 0, "position": True}, "can't be True"),
        ("selection", {"row": 0, "position": 0}, "A place has no row"),
        ("result", None, "can't be set from a view"),
        ("prompt", "x", "can't be set from a view"),
        ("code", "import os", "can't be set from a view"),
    ],
)
def test_what_a_view_may_not_set_is_refused_in_a_sentence(grid, name, value, sentence):
    before = getattr(grid, name)
    grid.set_state({name: value})
    assert sentence in grid.error["message"] and grid.error["field"] == name
    assert getattr(grid, name) is before or getattr(grid, name) == before


@pytest.mark.parametrize(
    "name, value",
    [
        ("columns", [2, 5]),
        ("side", "difference"),
        ("color", "kl"),
        ("layer_zero", "top"),
        ("selection", {"layer": 3, "position": 5}),
        ("selection", {"activation": "z", "layer": 3, "head": 1, "position": 5}),
    ],
)
def test_what_a_view_may_set_python_has_and_nothing_runs(grid, name, value):
    before = grid.result
    grid.set_state({name: value})
    assert getattr(grid, name) == value and grid.error is None and grid.result is before


def test_the_lines_of_a_cell_are_the_lens_own_numbers(grid, embedded, capitals):
    ids = [embedded.one_token(" Oslo"), embedded.one_token(" the")]
    shown = grid.get_state("result")["result"]["id"]
    look_up(grid, "trajectory", result=shown, side="corrupt", position=4, ids=ids)
    [event] = sent(grid, "trajectory")
    alone = ib.logit_lens(embedded, capitals, targets=ids).arrays_of("corrupt")
    assert (event["side"], event["position"], event["ids"]) == ("corrupt", 4, ids)
    for name, values in [("logits", "target_logit"), ("probs", "target_prob"), ("ranks", "target_rank")]:
        np.testing.assert_allclose(decode_array(event[name]), getattr(alone, values)[:, 4], atol=1e-4)
    assert events(grid, "view:1") == ["accepted", "trajectory", "result"] and grid.status == "done"


@pytest.mark.parametrize(
    "method, params, sentence",
    [
        ("trajectory", {"position": 99, "ids": [1]}, "no position 99"),
        ("trajectory", {"position": 1, "ids": [10**9]}, "no token 1000000000"),
        ("trajectory", {"position": 1, "ids": list(range(1000))}, "at most 50"),
        ("trajectory", {"position": -1, "ids": [1]}, "position"),
        ("trajectory", {"side": "prompt", "position": 1, "ids": [1]}, "no side"),
        ("trajectory", {"result": "other", "position": 1, "ids": [1]}, "no longer shown"),
        ("lens_window", {"start": 4, "stop": 2}, "columns"),
        ("lens_window", {"start": 40, "stop": 50}, "columns"),
        ("lens_window", {"result": "other", "start": 0, "stop": 2}, "no longer shown"),
    ],
)
def test_what_is_asked_of_the_result_must_be_in_it(grid, method, params, sentence):
    shown = grid.get_state("result")["result"]["id"]
    look_up(grid, method, **({"result": shown, "side": "clean"} | params))
    assert sentence in grid.error["message"] and events(grid, "view:1")[-1] == "error"
    assert not sent(grid, "trajectory") and not sent(grid, "window")


def test_a_long_prompt_is_sent_column_by_column(one, monkeypatch):
    monkeypatch.setattr(logit_lens_grid, "MOST_SENT", 100)
    ask(one, "logit_lens", **LENS)
    wire = one.get_state("result")["result"]
    assert wire["sides"]["prompt"]["arrays"] is None and wire["sides"]["prompt"]["tokens"][-1] == " is"
    ask(one, "lens_window", id="view:2", result="view:1", side="prompt", start=2, stop=5)
    [window] = sent(one, "window")
    assert (window["start"], window["stop"]) == (2, 5)
    for name in LensArrays.model_fields:
        got = decode_array(window["arrays"][name])
        np.testing.assert_array_equal(got, getattr(one.result.arrays_of("prompt"), name)[:, 2:5])
    ids = {str(token) for token in np.unique(one.result.arrays_of("prompt").top_ids[:, 2:5]).tolist()}
    assert set(window["tokens"]) == ids


def test_a_page_has_all_columns_however_many(one, monkeypatch, tmp_path):
    monkeypatch.setattr(logit_lens_grid, "MOST_SENT", 100)
    ask(one, "logit_lens", **LENS)
    one.attribute(" Oslo")
    assert one.wait(60)
    page = one.save(tmp_path / "lens.html").read_text("utf-8")
    assert '"arrays": null' not in page and '"arrays":null' not in page and '"by_source":null' not in page
    assert one.get_state("result")["result"]["sides"]["prompt"]["arrays"] is None


def test_another_prompt_is_read_and_the_pin_stays_where_it_has_such_a_place(one):
    one.selection, one.columns = {"layer": 2, "position": 5}, [1, 4]
    ask(one, "show", text="Oslo is in")
    assert one.error is None and one.prompt == "Oslo is in"
    assert one.result.sides["prompt"].text == "Oslo is in" and one.columns is None
    assert one.selection == {"layer": 2, "position": 5}
    ask(one, "show", text="Oslo")
    assert len(one.result.sides["prompt"].ids) <= 5 and one.selection is None


@pytest.mark.parametrize("text, sentence", [("", "is empty"), (LONG * 3, "last=127")])
def test_a_prompt_that_can_not_be_read_says_what_to_do(one, text, sentence):
    before = one.result
    ask(one, "show", text=text)
    assert one.status == "error" and sentence in one.error["message"] and one.result is before


def test_of_a_prompt_over_the_context_the_last_tokens_are_read_from_a_view_and_from_python(one, embedded):
    text = LONG * 3
    ask(one, "show", text=text)
    assert one.error["message"].endswith("last=127.")  # the view offers a button by these words
    ask(one, "logit_lens", id="view:2", **LENS, last=127)
    assert one.status == "done" and len(one.result.sides["prompt"].ids) == embedded.n_ctx
    assert_same_lens(one.result, run_code(one.code))
    widget = Watched(hs.LogitLensGrid, embedded, text, last=20)
    assert widget.status == "done" and len(widget.result.sides["prompt"].ids) == 21
    ask(one, "show", id="view:3", text=PROMPT)
    assert len(one.result.sides["prompt"].ids) == 6 and "last" not in one.code
    widget.close()


def test_a_pair_is_not_changed_by_a_prompt(grid):
    ask(grid, "show", text="x")
    assert "pair" in grid.error["message"] and grid.prompt is None


def test_an_attribution_sums_to_the_models_own_difference_and_its_code_gives_the_same(grid, embedded, capitals):
    grid.set_state({"tab": "attribution"})
    assert grid.wait(60) and grid.attribution is not None and grid.error is None
    for side in grid.attribution.sides.values():
        assert side.values.sum() == pytest.approx(side.total, abs=1e-3)
    answers = [embedded.one_token(answer) for answer in (" Oslo", " Stockholm")]
    logits = [embedded.raw(text)[0, -1].detach() for text in (capitals.clean, capitals.corrupt)]
    totals = [float(row[answers[0]] - row[answers[1]]) for row in logits]
    assert [side.total for side in grid.attribution.sides.values()] == pytest.approx(totals, abs=1e-3)
    assert_same_attribution(grid.attribution, run_code(grid.attribution_code))


def test_an_answer_without_another_at_a_position_from_a_view(one):
    ask(one, "attribute", answer=" Norway", wrong_answer=None, position=3)
    assert one.error is None and events(one, "view:1")[-1] == "result"
    assert one.attribution.sides["prompt"].position == 3 and one.attribution.quantity == "logit"
    assert one.get_state("attribution")["attribution"]["params"]["wrong_answer"] is None
    assert_same_attribution(one.attribution, run_code(one.attribution_code))
    ask(one, "logit_lens", id="view:2", **LENS)
    assert one.attribution.sides["prompt"].position == 3  # another lens changes nothing in it


@pytest.mark.parametrize(
    "params, sentence",
    [
        ({"answer": " Oslo Paris"}, "2 tokens"),
        ({"answer": ""}, "answer"),
        ({"answer": " Oslo", "wrong_answer": ""}, "wrong_answer"),
        ({"answer": " Oslo", "position": 99}, "no position 99"),
        ({"answer": " Oslo", "position": 10**30}, "position"),
    ],
)
def test_an_attribution_that_can_not_be_is_refused(one, params, sentence):
    ask(one, "attribute", **params)
    assert sentence in one.error["message"] and one.attribution is None
    ask(one, "attribute", id="view:2", answer=" Oslo")
    assert one.error is None and one.attribution is not None


def test_the_sources_of_a_head_sum_to_what_it_writes(grid):
    ask(grid, "sources", layer=0, head=0)
    assert "no attribution yet" in grid.error["message"]
    grid.attribute()
    assert grid.wait(60)
    ask(grid, "sources", id="view:2", layer=1, head=2)
    [event] = sent(grid, "sources")
    component = grid.attribution.labels.index("head 1.2")
    for name, sources in event["sides"].items():
        side = grid.attribution.sides[name]
        assert decode_array(sources).sum() == pytest.approx(float(side.values[component]), abs=1e-4)
    ask(grid, "sources", id="view:3", layer=9, head=0)
    assert "no head 9.0" in grid.error["message"]


def test_a_grid_follows_an_editor_and_no_longer_once_it_is_closed(embedded, capitals):
    editor = Watched(hs.PromptPairEditor, embedded, capitals)
    widget = Watched(hs.LogitLensGrid, embedded, editor)
    ask(editor, "edit", pair=editor.pair.model_dump() | {"corrupt": "The capital of Italy is"})
    assert widget.wait(60) and widget.result.sides["corrupt"].text == "The capital of Italy is"
    widget.close()
    before = widget.result
    ask(editor, "edit", id="view:2", pair=editor.pair.model_dump() | {"corrupt": "The capital of Chile is"})
    assert widget.result is before
    editor.close()


def test_many_quick_changes_end_with_the_last_one(grid):
    for stream in ("resid_pre", "mlp_out", "attn_out", "resid_mid"):
        params = {**LENS, "stream": stream}
        grid.take_message({"kind": "request", "id": stream, "method": "logit_lens", "params": params})
    assert grid.wait(60)
    assert grid.status == "done" and grid.stream == grid.result.params["stream"] == "resid_mid"
    assert grid.get_state("result")["result"]["id"] == "resid_mid"


def test_a_cancel_while_the_model_is_taken_leaves_the_last_result(grid):
    before, holding, over = grid.result, threading.Event(), threading.Event()

    def hold():
        with grid.model.lock:
            holding.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    grid.take_message({"kind": "request", "id": "view:1", "method": "logit_lens", "params": LENS})
    grid.take_message({"kind": "request", "id": "view:2", "method": "cancel", "params": {}})
    over.set()
    thread.join(10)
    assert grid.wait(60) and grid.status == "cancelled" and grid.result is before
    assert events(grid, "view:1")[-1] == "cancelled"


def test_python_may_set_prompt_and_pair_in_turn(one, capitals):
    one.pair = capitals
    assert one.wait(60) and one.prompt is None and one.side == "clean" and set(one.result.sides) == {"clean", "corrupt"}
    one.prompt = PROMPT
    assert one.wait(60) and one.pair is None and one.side == "prompt" and set(one.result.sides) == {"prompt"}
    with pytest.raises(traitlets.TraitError, match="sides are prompt"):
        one.side = "clean"


def test_nothing_is_left_of_a_grid_that_was_closed(embedded, capitals):
    hooks = len(embedded.hook_handles())
    widget = Watched(hs.LogitLensGrid, embedded, capitals)
    widget.tab = "attribution"
    assert widget.wait(60)
    told = len(widget.sent)
    widget.close()
    assert len(embedded.hook_handles()) == hooks and widget.comm is None
    for method in (widget.run, widget.attribute):
        with pytest.raises(ValueError, match="This widget is closed"):
            method()
    assert widget.wait(60) and len(widget.sent) == told


def test_the_attribution_of_a_long_prompt_is_of_the_tokens_that_are_read(embedded):
    text = f"{PROMPT} Oslo. " * 40
    widget = hs.LogitLensGrid(embedded, text, last=20)
    widget.wait(60)
    widget.attribute(" Oslo")
    widget.wait(60)
    assert widget.error is None
    alone = ib.direct_logit_attribution(embedded, text, " Oslo", unit="head", last=20)
    np.testing.assert_array_equal(widget.attribution.values, alone.values)
    assert len(widget.attribution.sides["prompt"].ids) == len(widget.result.sides["prompt"].ids) == 21
    assert "last=20" in widget.attribution_code
    widget.close()


def test_a_mark_of_direction_turns_nothing_in_a_saved_pages_heading(embedded, tmp_path):
    widget = hs.LogitLensGrid(embedded, "The \u202ecapital")
    widget.wait(60)
    page = widget.save(tmp_path / "page.html").read_text("utf-8")
    heading = page[page.index("<title>") : page.index("</title>")]
    assert "\u202e" not in heading and "\u27e8202E\u27e9capital" in heading
    widget.close()
