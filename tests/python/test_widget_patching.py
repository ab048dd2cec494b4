"""The heatmap's further gestures, driven as a view would: values, several cells, opened cells, pairs, and the code."""

from __future__ import annotations

import ast
import threading

import numpy as np
import pytest
import traitlets
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from interp_backend.engine.turn import Turn
from interp_backend.results.codec import encode_array
from tiny_models import PAIR, bridge

SWEEP = {"activation": "resid_pre", "axes": ["layer", "position"], "metric": "logit_diff", "direction": "denoise"}


@pytest.fixture
def heatmap(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals)
    yield widget
    widget.close()


def run_code(code: str, **names) -> ib.EffectMap:
    """What a user gets who pastes the code into a cell."""
    exec(code, names)
    return names["result"]


def assert_same_numbers(result, other):
    # Which cells were estimated before they were run does not change a number.
    order = {name: result.params.get(name) for name in ("top_k", "estimate", "exact")}
    assert result.axes == other.axes and result.params == {**other.params, **order}
    np.testing.assert_allclose(result.values, other.values, atol=1e-4 * np.nanmax(np.abs(other.values)))
    np.testing.assert_array_equal(result.state, other.state)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"activation": "z", "axes": ["layer", "head", "position"], "metric": "kl", "direction": "noise"},
        {"activation": "embed", "metric": "prob"},
        {"activation": "mlp_out", "window": 3, "at": 4},
        {"activation": "mlp_post", "axes": ["layer", "neuron"]},
        {"value": {"kind": "zero"}},
        {"value": {"kind": "scale", "factor": 0.5}, "direction": "noise"},
        {"value": {"kind": "add", "factor": -2.0}},
        {"value": {"kind": "prompt", "text": "The capital of Japan is"}},
    ],
)
def test_the_copied_code_gives_the_numbers_that_are_shown(heatmap, choice):
    ask(heatmap, "activation_patching", **{**SWEEP, **choice})
    assert heatmap.error is None and heatmap.status == "done"
    assert_same_numbers(heatmap.result, run_code(heatmap.code))


def test_the_code_of_a_data_set_of_sets_of_answers_and_of_an_alignment(embedded, capitals):
    odd = ib.PromptPair(
        clean='The capital of "Norway"\n is',
        corrupt="The capital of the Sweden\u200b is",
        clean_answer=(" Oslo", " Bergen"),
        corrupt_answer=" Stockholm",
        score_first_token=True,
        alignment=((0, 0), (2, 3), (4, 5)),
    )
    pairs = ib.PromptPairs([capitals, odd])
    widget = Watched(
        hs.PatchHeatmap, embedded, pairs, value=ib.Mean(prompts=("The capital of", "Oslo"), by_position=False)
    )
    assert widget.status == "done" and "PromptPairs" in widget.code
    assert_same_numbers(widget.result, run_code(widget.code))
    widget.close()
    widget = Watched(hs.PatchHeatmap, embedded, odd, positions={"country": [4, 5], "last": [-1]}, layers=[0, 2])
    assert_same_numbers(widget.result, run_code(widget.code))
    widget.close()


def test_the_code_of_a_users_own_model_and_metric_names_both(capitals):
    def oslo(logits):
        return logits[:, 97]

    raw = bridge("gpt2")
    widget = Watched(hs.PatchHeatmap, raw, PAIR, metric=oslo)
    assert "# model: your own model object" in widget.code and "metric=oslo" in widget.code
    assert_same_numbers(widget.result, run_code(widget.code, model=raw, oslo=oslo))
    widget.close()


def test_a_metric_that_was_measured_needs_no_further_run(heatmap, monkeypatch):
    shown = heatmap.result
    assert set(shown.measures) == set(ib.METRICS) - {"answer_log_prob"}

    def never(*_, **__):
        raise AssertionError("a sweep was run")

    monkeypatch.setattr("hookscope.patch_heatmap.activation_patching.steps", never)
    ask(heatmap, "activation_patching", **{**SWEEP, "metric": "prob"})
    assert heatmap.error is None and events(heatmap, "view:1") == ["accepted", "result"]
    assert heatmap.result.params["metric"] == "prob" == heatmap.metric
    np.testing.assert_array_equal(heatmap.result.values, shown.measures["prob"].values)
    heatmap.metric = "rank"
    assert heatmap.wait(60) and heatmap.result.params["metric"] == "rank" and "metric='rank'" in heatmap.code


def test_run_sweeps_again_though_nothing_has_changed(heatmap):
    before = heatmap.result
    heatmap.run()
    assert heatmap.wait(60) and heatmap.result.measures["prob"].values is not before.measures["prob"].values


def test_another_function_of_the_same_name_is_another_metric(embedded, capitals):
    def one():
        return lambda logits: logits[:, 0]

    def other():
        return lambda logits: logits[:, 1]

    widget = Watched(hs.PatchHeatmap, embedded, capitals, metric=one())
    first = widget.result.values.copy()
    widget.metric = other()
    assert widget.wait(60) and not np.allclose(first, widget.result.values)
    widget.close()


def test_cells_are_patched_together_beside_the_sum_of_their_effects(heatmap, embedded, capitals):
    cells = [{"layer": 0, "position": 4}, {"layer": 2, "position": 5}]
    before = heatmap.result
    ask(heatmap, "patch_together", cells=cells)
    assert heatmap.error is None and heatmap.status == "done" and heatmap.result is before
    both = ib.patch_together(embedded, capitals, [ib.Intervention("resid_pre", **cell) for cell in cells])
    assert heatmap.together["cells"] == cells and heatmap.together["metric"] == "logit_diff"
    assert heatmap.together["normalized"] == pytest.approx(float(both.normalized[0]), abs=1e-5)
    assert heatmap.together["singles"] == pytest.approx([before.normalized[0, 4], before.normalized[2, 5]], abs=1e-4)
    assert heatmap.together["sum"] == pytest.approx(sum(heatmap.together["singles"]), abs=1e-6)
    kept = ib.patch_together(embedded, capitals, [ib.Intervention("resid_pre", **cell) for cell in cells], top_k=10)
    assert heatmap.together["top"]["ids"] == encode_array(kept.top.ids[0])  # its own tokens, not another cell's
    assert set(heatmap.together["tokens"]) == {str(token) for token in kept.top.ids[0]}
    heatmap.direction = "noise"
    assert heatmap.wait(60) and heatmap.together is None  # it was about another map


@pytest.mark.parametrize(
    "cells", [[{"layer": 0}] * 2, [{"layer": 9, "position": 0}] * 2, [{"layer": 0, "head": 0}] * 2]
)
def test_cells_that_there_are_not_are_refused_in_a_sentence(heatmap, cells):
    ask(heatmap, "patch_together", cells=cells)
    assert "map" in heatmap.error["message"] and heatmap.together is None
    ask(heatmap, "open", id="view:2", cell=cells[0])
    assert heatmap.error["message"] and heatmap.opened is None


@pytest.mark.parametrize(
    "activation, axes, cell, opened",
    [
        ("z", ("layer", "head"), {"layer": 1, "head": 2}, ("layer", "head", "position")),
        ("pattern", ("layer", "head"), {"layer": 1, "head": 2}, ("layer", "head", "position", "source")),
        ("attn_out", ("layer", "position"), {"layer": 1, "position": 5}, ("layer", "head", "position")),
        ("mlp_out", ("layer", "position"), {"layer": 1, "position": 5}, ("layer", "position", "neuron")),
    ],
)
def test_a_cell_opens_into_its_parts(heatmap, embedded, capitals, activation, axes, cell, opened):
    ask(heatmap, "activation_patching", **{**SWEEP, "activation": activation, "axes": list(axes)})
    entry = next(e for e in heatmap.info["activations"] if (e["activation"], tuple(e["axes"])) == (activation, axes))
    assert entry["opens"]
    ask(heatmap, "open", id="view:2", cell=cell)
    assert heatmap.error is None and heatmap.opened.axes == opened
    inner = heatmap.opened.params["activation"]
    whole = ib.activation_patching(embedded, capitals, activation=inner, axes=opened)
    index = tuple(slice(cell[axis], cell[axis] + 1) if axis in cell else slice(None) for axis in opened)
    np.testing.assert_allclose(heatmap.opened.values, whole.values[index], atol=1e-4)
    ask(heatmap, "close_opened", id="view:3")
    assert heatmap.opened is None


def test_a_mean_needs_a_data_set_and_takes_the_widgets_own(heatmap, embedded, capitals):
    ask(heatmap, "activation_patching", **{**SWEEP, "value": {"kind": "mean", "by_position": True}})
    assert "dataset=" in heatmap.error["message"]
    assert next(v for v in heatmap.info["values"] if v["kind"] == "mean")["reason"]
    prompts = ["The capital of Japan is", "The capital of Italy is"]
    widget = Watched(hs.PatchHeatmap, embedded, capitals, dataset=prompts)
    for value, same in [
        ({"kind": "mean", "by_position": True}, ib.Mean(prompts=tuple(prompts))),
        ({"kind": "resample"}, ib.Resample(prompts=tuple(prompts))),
    ]:
        ask(widget, "activation_patching", **{**SWEEP, "value": value})
        assert widget.error is None
        expected = ib.activation_patching(embedded, capitals, value=same)
        np.testing.assert_allclose(widget.result.values, expected.values, atol=1e-4)
        assert widget.get_state("value")["value"]["prompts"] is True  # that there are some, and not which
    widget.close()


def test_pairs_stream_one_by_one_and_cancel_keeps_those_that_are_done(embedded):
    pairs = ib.PromptPairs(list(ib.PromptPairs.from_task(embedded, "capitals")) * 40)
    widget = hs.PatchHeatmap(embedded, pairs, activation="z", axes=("layer", "head", "position"))
    widget.observe(lambda change: widget.cancel() if change["new"]["done"] > 0 else None, "progress")
    assert widget.wait(60) and widget.status == "cancelled"
    done = widget.result.pairs.done
    assert 0 < done < len(pairs) and not widget.result.complete
    assert np.isfinite(widget.result.pairs.values[:done]).all() and np.isnan(widget.result.pairs.values[done:]).all()
    assert np.isfinite(widget.result.normalized).all()
    widget.close()


def test_a_cancelled_sweep_says_how_far_it_came_whatever_runs_beside_it(embedded):
    pairs = ib.PromptPairs(list(ib.PromptPairs.from_task(embedded, "capitals")) * 40)
    widget = hs.PatchHeatmap(embedded, pairs)
    stop = lambda change: widget.cancel() if change["new"]["done"] > 0 else None  # noqa: E731
    widget.observe(stop, "progress")
    assert widget.wait(60) and widget.status == "cancelled"
    widget.unobserve(stop, "progress")
    came = {"done": widget.result.pairs.done, "total": len(pairs), "seconds_left": None}
    came["within"] = widget.progress["within"]
    assert widget.progress == came
    widget.patch_together([{"layer": 0, "position": 4}, {"layer": 2, "position": 5}])
    assert widget.wait(60) and widget.together is not None
    assert widget.status == "cancelled" and widget.progress == came
    widget.close()


def test_a_result_of_pairs_can_be_shown_again_and_run_again(embedded, heatmap):
    pairs = ib.PromptPairs.from_task(embedded, "years")
    result = ib.EffectMap.from_json(ib.activation_patching(embedded, pairs, value="zero", direction="noise").to_json())
    heatmap.result = result
    assert heatmap.value.kind == "zero" and len(heatmap.pair) == len(pairs)
    heatmap.run()
    assert heatmap.wait(60)
    np.testing.assert_allclose(heatmap.result.values, result.values, atol=1e-4)


def test_what_a_metric_raised_is_shown_with_its_traceback(embedded, capitals):
    def mine(logits):
        return logits[:, 10**6]

    widget = Watched(hs.PatchHeatmap, embedded, capitals, metric=mine)
    assert widget.status == "error" and "The metric mine failed: IndexError" in widget.error["message"]
    assert "return logits[:, 10**6]" in widget.error["traceback"] and "metrics.py" not in widget.error["traceback"]
    widget.metric = "kl"
    assert widget.wait(60) and widget.status == "done" and widget.error is None
    widget.close()


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("value", "nonsense", "not understood"),
        ("value", {"kind": "scale"}, "not understood"),
        ("window", 0, "window: .* greater than or equal to 1, not 0"),
        ("activation", "attn_scores", "no activation"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(heatmap, name, value, sentence):
    with pytest.raises(traitlets.TraitError, match=sentence):
        setattr(heatmap, name, value)
    assert heatmap.wait(60) and heatmap.status == "done"


@pytest.mark.parametrize("choice, sentence", [({"at": 40}, "no position 40"), ({"window": 9}, "1 to 4 layers")])
def test_a_choice_beyond_the_model_becomes_an_error_and_the_widget_goes_on(heatmap, choice, sentence):
    ask(heatmap, "activation_patching", **SWEEP, **choice)
    assert heatmap.status == "error" and sentence in heatmap.error["message"]
    ask(heatmap, "activation_patching", id="view:2", **SWEEP)
    assert heatmap.status == "done" and heatmap.error is None


def test_an_activation_that_the_model_ignores_is_in_the_menu_with_its_reason():
    widget = Watched(hs.PatchHeatmap, bridge("gptj"), PAIR)
    reasons = {entry["activation"]: entry["reason"] for entry in widget.info["activations"]}
    assert "never reach the output" in reasons["pattern"] and reasons["z"] is None
    ask(widget, "activation_patching", **{**SWEEP, "activation": "pattern", "axes": ["layer", "head"]})
    assert "never reach the output" in widget.error["message"]
    widget.close()


def test_code_writes_only_what_differs_from_the_functions_own_choice(embedded, capitals):
    result = ib.activation_patching(embedded, capitals)
    code = ib.activation_patching.code(result.params)
    assert "axes" not in code and "value" not in code and "window" not in code


def test_a_step_of_an_earlier_sweep_never_ends_up_under_the_choices_of_a_later_one(heatmap, monkeypatch):
    """The worker is held between two steps while the choice changes."""
    holding, go_on = threading.Event(), threading.Event()
    take = hs.PatchHeatmap._take

    def slow(widget, id, step):
        if not holding.is_set():
            holding.set()
            go_on.wait(10)
        take(widget, id, step)

    monkeypatch.setattr(hs.PatchHeatmap, "_take", slow)
    heatmap.wait(60)
    heatmap.run()
    assert holding.wait(10)
    changing = threading.Thread(target=lambda: setattr(heatmap, "direction", "noise"))
    changing.start()
    go_on.set()
    changing.join(10)
    heatmap.wait(60)
    assert heatmap.status == "done" and heatmap.result.complete
    assert heatmap.result.params["direction"] == "noise"
    alone = ib.activation_patching(heatmap.model, heatmap.pair, direction="noise")
    np.testing.assert_allclose(heatmap.result.values, alone.values, atol=1e-4)


def test_a_new_sweep_ends_what_runs_beside_the_old_one(heatmap):
    heatmap.wait(60)
    ask(heatmap, "activation_patching", **{**SWEEP, "activation": "z", "axes": ["layer", "head"]})
    heatmap.open_cell({"layer": 1, "head": 0})
    heatmap.direction = "noise"
    assert heatmap.wait(60) and heatmap.status == "done" and heatmap.opened is None
    assert "cancelled" in {event["event"] for event in heatmap.sent}
    assert heatmap.result.params["direction"] == "noise"


@pytest.mark.parametrize(
    "metric", ["logit_diff@__import__('os').getcwd()", "__import__('os')", "print()", "logit_diff@-1-1", "lambda x: x"]
)
def test_code_of_a_foreign_result_evaluates_nothing(heatmap, metric):
    heatmap.wait(60)
    foreign = heatmap.result.model_copy(update={"params": {**heatmap.result.params, "metric": metric}})
    try:
        code = ib.activation_patching.code(foreign.params)
    except ValueError:
        code = ""
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}
    assert called <= {"ib.PromptPair", "ib.activation_patching", "result.plot"}


def test_a_metric_function_may_not_be_called_as_a_metric(embedded, capitals):
    def rank(logits):
        return logits[:, 0]

    with pytest.raises(ValueError, match=r"Your function is called rank.*Rename the function"):
        ib.activation_patching(embedded, capitals, metric=rank)


def test_an_empty_list_of_layers_is_refused_and_an_array_is_fine(embedded, capitals):
    widget = hs.PatchHeatmap(embedded, capitals, layers=[])
    widget.wait(60)
    assert widget.status == "error" and "layers" in widget.error["message"]
    widget.close()
    widget = hs.PatchHeatmap(embedded, capitals, layers=np.arange(2), at=np.int64(-1))
    widget.wait(60)
    assert widget.result.values.shape[0] == 2 and widget.result.to_json()
    widget.close()


def test_a_window_is_put_away_where_there_are_no_layers(heatmap):
    ask(heatmap, "activation_patching", **{**SWEEP, "activation": "mlp_out", "window": 3})
    ask(heatmap, "activation_patching", **{**SWEEP, "activation": "embed", "window": 3})
    assert heatmap.error is None and heatmap.window == 1


def test_a_view_resamples_with_draws_and_a_seed_and_steers_with_the_given_vector(embedded, capitals):
    prompts = ["The capital of Japan is", "The capital of Chile is", "The capital of Egypt is"]
    widget = Watched(hs.PatchHeatmap, embedded, capitals, dataset=prompts)
    ask(widget, "activation_patching", **SWEEP, value={"kind": "resample", "draws": 2, "seed": 5})
    alone = ib.activation_patching(embedded, capitals, value=ib.Resample(prompts=prompts, draws=2, seed=5))
    np.testing.assert_allclose(widget.result.values, alone.values, atol=1e-4)
    vector = tuple(float(i % 3) for i in range(embedded.d_model))
    widget.value = ib.Add(vector=vector)
    assert widget.get_state("value")["value"] == {"kind": "add", "factor": 1.0, "vector": True}
    ask(widget, "activation_patching", **SWEEP, value={"kind": "add", "factor": 3.0, "vector": True})
    assert widget.value == ib.Add(vector=vector, factor=3.0) and widget.error is None
    widget.close()


def test_an_interrupt_while_a_turn_begins_leaves_the_model_free(embedded, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "hook_handles", interrupted)
    with pytest.raises(KeyboardInterrupt), Turn(embedded):
        pass
    taken = []

    def take():
        taken.append(embedded.lock.acquire(timeout=1))
        embedded.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert taken == [True]


def test_a_pinned_set_of_positions_stays_pinned_under_another_metric(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals, positions={"country": [4, 5], "last": [-1]})
    widget.selection = {"layer": 1, "position": [4, 5]}
    widget.metric = "prob"
    assert widget.wait(60) and widget.result.params["metric"] == "prob"
    assert widget.selection == {"layer": 1, "position": [4, 5]}
    widget.close()


def test_the_numbers_and_colours_of_maps_can_be_chosen_and_shared(embedded, capitals):
    a, b = (hs.PatchHeatmap(embedded, capitals, units="raw", color_limit=0.5) for _ in range(2))
    link = traitlets.link((a, "color_limit"), (b, "color_limit"))
    a.set_state({"color_limit": 0.25, "units": "normalized"})
    assert (b.color_limit, a.units, b.units) == (0.25, "normalized", "raw")
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(traitlets.TraitError, match="above 0"):
            a.color_limit = wrong
    link.unlink()


def test_a_likely_token_becomes_the_answer_of_the_pair_or_of_the_editor(embedded, capitals):
    alone = Watched(hs.PatchHeatmap, embedded, capitals)
    ask(alone, "set_answer", side="clean", answer=" Paris")
    assert (
        alone.error is None and alone.pair.clean_answer == " Paris" and alone.result.prompts["clean"].answer == " Paris"
    )
    editor = hs.PromptPairEditor(embedded, capitals)
    following = Watched(hs.PatchHeatmap, embedded, editor)
    ask(following, "set_answer", side="corrupt", answer=" Rome")
    assert (editor.pair.corrupt_answer, following.pair.corrupt_answer) == (" Rome", " Rome")
    assert following.result.prompts["corrupt"].answer == " Rome"
    many = Watched(hs.PatchHeatmap, embedded, ib.PromptPairs([capitals] * 2))
    ask(many, "set_answer", side="clean", answer=" Paris")
    assert "answers of its own" in many.error["message"]
    for widget in (alone, following, many, editor):
        widget.close()


def test_a_view_narrows_the_sweep_and_widens_it_again(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals, layers=[0, 2])
    whole = widget.result
    ask(widget, "restrict", layers=[2], positions=[4, 5])
    assert widget.error is None and widget.result.places == {"layer": [2], "position": [4, 5]}
    np.testing.assert_allclose(widget.result.values, whole.values[1:, 4:6], atol=1e-4)
    assert "layers=[2]" in widget.code and "positions=[4, 5]" in widget.code
    widget.pair = capitals.model_copy(
        update={"clean": "The capital of Norway now is", "corrupt": "The capital of Sweden now is"}
    )
    assert widget.wait(60) and len(widget.result.places["position"]) > 2  # positions of other prompts mean nothing
    ask(widget, "restrict")
    assert widget.narrowed == {} and widget.result.places["layer"] == [0, 2]  # as it was given in Python
    widget.close()
