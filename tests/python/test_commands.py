"""What is done in a workbench as commands: listed, undone, kept, replayed, printed, and run from a shell."""

from __future__ import annotations

import contextlib
import io
import json
import sys

import numpy as np
import pytest
import torch
from driven_widgets import Watched, ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from script_values import same_values

import hookscope as hs
import interp_backend as ib
from hookscope import cli, commands, history, markdown, script, states
from interp_backend.results.step import last_result
from interp_backend.scripts.parts import WRITERS

HEADS = {"activation": "z", "axes": ["layer", "head"], "direction": "noise", "metric": "logit_diff"}
OTHER = ib.PromptPair(
    clean="The capital of Spain is",
    corrupt="The capital of Norway is",
    clean_answer=" Madrid",
    corrupt_answer=" Oslo",
)


@pytest.fixture
def bench(embedded, capitals):
    widget = Watched(hs.Workbench, embedded, capitals)
    yield widget
    widget.close()


def do_things(bench):
    """One gesture of each sort, as views send them."""
    ask(bench.panels[1], "activation_patching", "view:1", **HEADS)
    ask(bench.panels[1], "activation_patching", "view:2", **{**HEADS, "metric": "prob"})
    bench.set_state({"selection": {"layer": 2, "head": 1}})
    ask(bench.panels[2], "attribute", "view:3", answer=" Oslo", wrong_answer=" Rome")
    bench.panels[2].set_state({"tab": "attribution"})
    ask(bench.panels[3], "patch_head", "view:4", layer=1, head=2)
    ask(bench, "add_view", "view:5", kind="circuit")
    assert bench.wait(120)


def numbers(results):
    """All arrays of what commands computed, whatever they are in."""
    found = []
    for result in results:
        if isinstance(result, (tuple, list)):
            found += numbers(result)
        elif isinstance(result, ib.EffectMap):
            found.append(result.values)
        elif isinstance(result, dict):
            found.append(
                np.array([result[name]["value"] for name in ("patched", "zeroed", "averaged") if name in result])
            )
        elif isinstance(result, ib.Attribution):
            found += [side.logits for side in result.sides.values() if hasattr(side, "logits")]
            found.append(result.to_dataframe().select_dtypes("number").to_numpy(float))
        elif hasattr(result, "to_dataframe"):
            found.append(result.to_dataframe().select_dtypes("number").to_numpy(float))
    return found


def test_gestures_are_listed_as_small_json(bench):
    do_things(bench)
    listed = bench.commands
    assert json.loads(json.dumps(listed)) == listed
    assert [one["do"] for one in listed] == [
        *("open", "activation_patching", "activation_patching", "set", "attribute", "set", "patch_head", "add_view")
    ]
    assert listed[1] == {"view": "Patching", "do": "activation_patching", "params": HEADS}
    assert listed[3] == {"do": "set", "params": {"selection": {"layer": 2, "head": 1}}}
    assert max(len(json.dumps(one)) for one in listed) < 300
    words = [f"{step['view']}: {step['words']}" for step in bench.steps]
    assert words[1:4] == [
        "Patching: activation z, direction noise, axes layer, head",
        "Patching: metric prob",
        ": pinned layer 2, head 1",
    ]
    assert [step["words"] for step in bench.steps][-1] == "add view kind circuit"


def test_what_is_refused_or_only_fetches_is_no_command(bench):
    ask(bench.panels[1], "activation_patching", "view:1", activation="nonsense")
    bench.panels[1].set_state({"units": "furlongs", "result": None})
    ask(bench, "close_view", "view:2", at=40)
    ask(bench.panels[1], "file", "view:3", format="json")
    ask(bench.panels[1], "shown", "view:4", view="v")
    bench.panels[2].set_state({"selection": {"layer": 1, "position": 2}})  # the workbench's own pin stands for it
    assert len(bench.commands) == 1 and len(bench.steps) == 1


def test_a_click_is_one_step_however_many_views_pin_it(bench):
    place = {"layer": 1, "position": 2}
    for panel in (bench, *bench.panels):
        panel.set_state({"selection": place})
    assert [one["do"] for one in bench.commands] == ["open", "set"]
    bench.set_state({"selection": None})
    assert bench.steps[-1]["words"] == "unpinned"


def test_typing_is_one_step_until_one_pauses(bench, monkeypatch):
    for text in ("The capital of Spa", "The capital of Spain", "The capital of Spain is"):
        ask(bench.editor, "edit", "view:1", pair={**OTHER.model_dump(), "clean": text})
    assert len(bench.commands) == 2 and bench.commands[-1]["params"]["pair"]["clean"].endswith("Spain is")
    monkeypatch.setattr(history, "TOGETHER", -1.0)
    ask(bench.editor, "edit", "view:2", pair=OTHER.model_dump())
    assert len(bench.commands) == 3
    bench.undo()
    bench.undo()
    assert bench.editor.pair.clean == "The capital of Norway is"


def test_undo_and_redo_bring_back_choices_views_and_the_pin(bench):
    do_things(bench)
    last = len(bench.steps) - 1
    bench.undo()
    assert "Circuit" not in bench.names
    bench.go_to(1)
    assert bench.wait(60)
    assert (bench.panels[1].metric, bench.panels[1].activation, bench.selection) == ("logit_diff", "z", None)
    assert bench.panels[2].tab == "lens" and bench.panels[2]._answers is None
    bench.go_to(last)
    assert bench.wait(120)
    assert bench.names[-1] == "Circuit" and bench.panels[-1].selection == {"layer": 2, "head": 1}
    assert (bench.panels[1].metric, bench.panels[2].tab) == ("prob", "attribution")
    bench.redo()
    assert bench.at == last
    bench.go_to(0)
    ask(bench.panels[1], "activation_patching", "view:9", activation="mlp_out")
    assert [one["do"] for one in bench.commands] == ["open", "activation_patching"]
    assert len(bench.steps) == 2  # what was undone is gone
    with pytest.raises(ValueError, match="no step 40"):
        bench.go_to(40)


def test_a_closed_view_comes_back_with_its_choices(bench):
    ask(bench.panels[1], "activation_patching", "view:1", **HEADS)
    ask(bench, "close_view", "view:2", at=1)
    assert bench.names == ["Prompts", "Lens", "Attention"]
    bench.undo()
    assert bench.names == ["Prompts", "Patching", "Lens", "Attention"] and bench.wait(60)
    assert bench.panels[1].result.axes == ("layer", "head")
    bench.undo()
    assert bench.panels[1].activation == "resid_pre"  # the view that was made again stands for the closed one


def test_snapshots_keep_a_state_under_a_name(bench):
    ask(bench.panels[1], "activation_patching", "view:1", **HEADS)
    ask(bench, "snapshot", "view:2", name="heads")
    bench.editor.pair = OTHER
    bench.panels[1].activation = "mlp_out"
    assert bench.snapshots == ["heads"]
    ask(bench, "restore", "view:3", name="heads")
    assert bench.wait(60)
    assert bench.panels[1].activation == "z" and bench.editor.pair.clean == "The capital of Norway is"
    assert [step["words"] for step in bench.steps[-2:]] == ["kept as heads", "back to heads"]
    ask(bench, "restore", "view:4", name="nothing")
    assert bench.error["message"] == "There is no snapshot 'nothing'. There are heads."
    ask(bench, "forget", "view:5", name="heads")
    assert bench.snapshots == []
    with pytest.raises(ValueError, match="name"):
        bench.snapshot("  ")


def test_a_new_view_has_the_place_that_is_pinned(bench):
    bench.selection = {"layer": 2, "head": 1}
    view = bench.add("heatmap")
    view.activation = "z"
    assert bench.wait(60) and view.selection == {"layer": 2, "head": 1}


def test_replayed_commands_give_the_same_numbers(bench, embedded):
    do_things(bench)
    first = [entry.results() for entry in bench._history.done]
    again = hs.replay(json.dumps(bench.commands), embedded)
    assert [one.command.to_json() for one in again] == bench.commands
    for before, after in zip(first, again):
        pairs = list(zip(numbers(before), numbers(after.results), strict=True))
        assert all(np.allclose(one, two, atol=1e-5, equal_nan=True) for one, two in pairs)
    assert sum(len(numbers(one.results)) for one in again) >= 10


def test_replayed_on_another_pair_they_are_what_the_methods_give(bench, embedded):
    do_things(bench)
    ask(bench.editor, "edit", "view:8", pair={**OTHER.model_dump(), "clean": "Not this"})
    again = hs.replay(bench.commands, embedded, OTHER)
    assert [one.command.do for one in again] == [one["do"] for one in bench.commands if one["do"] != "edit"]
    heads = ib.activation_patching(embedded, OTHER, **HEADS)
    assert np.allclose(again[1].results[0].values, heads.values, atol=1e-5)
    probs = ib.activation_patching(embedded, OTHER, **{**HEADS, "metric": "prob"})
    assert np.allclose(again[2].results[0].values, probs.values, atol=1e-6)
    card = ib.activation_patching(embedded, OTHER, activation="z", axes=("layer", "head"))
    assert again[3].results[0]["patched"]["value"] == pytest.approx(card.values[2, 1], abs=1e-4)


def test_replay_and_both_scripts_give_the_same_numbers(bench, embedded):
    do_things(bench)
    hs.replay(bench.commands, embedded)  # as replayed numbers are compared with the first ones above
    shown, printed = {}, []
    exec(bench.code(), shown)
    code = bench.code("transformerlens")
    with torch.set_grad_enabled(True):  # scripts switch gradients off for good
        exec(compile(code, "script", "exec"), {"print": printed.append})
    printed = iter(printed)
    runs = script.runs_of(bench._history.done)
    assert len(runs) == len(shown["results"]) > 10
    compared = 0
    for (_, call, result), by_script in zip(runs, shown["results"], strict=True):
        result = last_result(call.steps()) if result is None else result
        for one, two in zip(numbers([result]), numbers([by_script]), strict=True):
            assert np.allclose(one, two, atol=1e-5, equal_nan=True)
        if call.method.name in WRITERS:
            same_values(next(printed), result)
            compared += 1
    assert compared > 9 and next(printed, None) is None
    assert "# No script over TransformerLens alone: 'read_pair'" in code


def test_a_workbench_takes_the_commands_of_another(bench, embedded):
    do_things(bench)
    other = hs.Workbench(embedded, OTHER, views=["lens"])
    with pytest.raises(ValueError, match=r"Command 1 \(Patching, activation_patching\): There is no view 'Patching'"):
        other.replay(bench.commands[1:])
    other.replay(bench.commands)
    assert other.editor.pair == OTHER and other.panels[-1].selection == bench.selection
    other.close()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"do": "nonsense"}, "No view knows the request 'nonsense'"),
        ({"do": "activation_patching", "params": {"activation": "y"}}, "activation"),
        ({"do": "set", "params": {"result": 3}}, "result can't be set from a view"),
        ({"view": "Lens", "do": "set", "params": {"color": "mauve"}}, "color"),
        ({"do": "open", "params": {"views": ["cinema"]}}, "can't be read"),
        ({"view": "Lens", "do": "attribute", "params": {"answer": "no such token at all"}}, "token"),
        ({"do": 3}, "can't be read"),
        ("do", "can't be read"),
    ],
)
def test_a_command_that_can_t_be_carried_out_is_named(bench, command, message):
    with pytest.raises(ValueError, match=f"Command 1.*{message}"):
        bench.replay([command])


@pytest.mark.parametrize("text", ["{", "3", '{"do": "open"}', "[" * 100_000])
def test_what_is_no_list_of_commands_is_refused(text):
    with pytest.raises(ValueError, match=r"[Cc]ommands are"):
        commands.as_commands(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_any_json_is_commands_or_a_sentence(value):
    try:
        listed = commands.as_commands(value)
    except ValueError as problem:
        assert str(problem)[0].isupper()
    else:
        assert all(isinstance(one, commands.Command) for one in listed)
        assert all(
            isinstance(commands.words_of(one, {}), str)
            for one in listed
            if one.do not in ("set", "edit", *commands.KEPT)
        )


GESTURES = st.lists(
    st.sampled_from(
        [
            ("Patching", "activation_patching", HEADS),
            ("Patching", "activation_patching", {"activation": "mlp_out", "direction": "denoise"}),
            ("Patching", "set", {"units": "raw"}),
            ("Lens", "logit_lens", {"stream": "resid_pre", "targets": [" Oslo"]}),
            ("Lens", "set", {"color": "entropy"}),
            (None, "set", {"selection": {"layer": 1, "head": 2}}),
            (None, "set", {"selection": None}),
            (None, "add_view", {"kind": "lens"}),
            (None, "close_view", {"at": 1}),
            ("Prompts", "edit", {"pair": OTHER.model_dump()}),
        ]
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GESTURES)
def test_undoing_everything_and_doing_it_again_changes_nothing(embedded, capitals, gestures):
    def shown(bench):
        state = states.state_of(bench)
        return state.pair, [(view.kind, dict(view.choices)) for view in state.views], bench.selection

    bench = hs.Workbench(embedded, capitals, views=["heatmap", "lens"])
    try:
        first = shown(bench)
        for view, do, params in gestures:
            with contextlib.suppress(ValueError):  # there is no such view any more
                bench.view_for(commands.Command(view=view, do=do, params=params)).perform(do, params)
        last = shown(bench)
        bench.go_to(0)
        assert shown(bench) == first
        bench.go_to(len(bench.steps) - 1)
        assert shown(bench) == last
        replayed = hs.Workbench(embedded, capitals, views=["heatmap", "lens"])
        replayed.replay(bench.commands, keep_pair=False)
        assert shown(replayed) == last
        replayed.close()
    finally:
        bench.close()


def test_a_shell_runs_commands_and_prints_json(tmp_path, capsys, monkeypatch, bench):
    do_things(bench)
    path = tmp_path / "commands.json"
    path.write_text(commands.as_file(commands.as_commands(bench.commands)), "utf-8")
    monkeypatch.setattr(sys, "argv", ["hookscope", "run", str(path)])
    cli.main()
    printed = json.loads(capsys.readouterr().out)
    assert [one["command"] for one in printed] == bench.commands
    rows = printed[1]["results"][0]["rows"]
    expected = bench._history.done[1].results()[0].to_dataframe()
    assert [row["value"] for row in rows] == pytest.approx(expected["value"].tolist(), abs=1e-5)


def test_a_shell_gets_json_and_a_sentence_for_what_fails(capsys, monkeypatch):
    pair = ["--clean", OTHER.clean, "--corrupt", OTHER.corrupt, "--answer", " Madrid", "--wrong", " Oslo"]
    monkeypatch.setattr(sys, "argv", ["hookscope", "run", "-", *pair])
    monkeypatch.setattr(sys, "stdin", io.StringIO('[{"do": "activation_patching"}, {"do": "nonsense"}]'))
    with pytest.raises(SystemExit, match="Command 2"):
        cli.main()
    first, second = json.loads(capsys.readouterr().out)
    assert first["results"][0]["method"] == "activation_patching" and "nonsense" in second["error"]
    monkeypatch.setattr(sys, "argv", ["hookscope", "run", "-", "--clean", "only this"])
    with pytest.raises(SystemExit, match="both --clean and --corrupt"):
        cli.main()


def test_notes_are_shown_as_text_and_begin_the_report(bench):
    bench.set_state(
        {"notes": "# Seen\n\n<script>alert(1)</script> [x](javascript:alert(1)) **here**\n\n```\n</pre>\n```"}
    )
    assert bench.prose[0] == ["h1", {}, ["Seen"]]
    assert json.dumps(bench.prose).count("href") == 0 and "<script>" in bench.prose[1][2][0]
    assert len(bench.commands) == 1  # no step: undoing must not take text away
    page = bench.report().html()
    assert "<h1>Seen</h1>" in page and "hookscope run" in page
    assert "<script>alert" not in page


@given(st.text(max_size=300))
def test_notes_are_elements_that_a_view_knows(text):
    def check(part):
        if not isinstance(part, str):
            tag, attributes, inside = part
            assert tag.isalnum() and set(attributes) <= {"href"}
            assert not attributes.get("href", "").lower().startswith(("javascript:", "data:", "vbscript:"))
            for one in inside:
                check(one)

    for part in markdown.tree(text):
        check(part)
    assert "```" not in markdown.fenced("x").strip("`\n")
