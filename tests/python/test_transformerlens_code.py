"""Results printed as scripts over TransformerLens alone: each script is run, and gives the result's own numbers."""

from __future__ import annotations

import ast
import builtins
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from driven_widgets import Watched, ask, events
from hypothesis import given, settings
from hypothesis import strategies as st
from script_values import same, same_values

import hookscope as hs
import interp_backend as ib
from executor_cases import PAIR, activations_of
from interp_backend import Add, Intervention, Mean, PromptPairs, Resample, Scale, Zero
from interp_backend.results.effect_map import COMPUTED
from interp_backend.scripts.parts import _METRICS, WRITERS
from intervention_loop import DATA, LOOSE, VECTOR
from plain_loop import PER_HEAD
from tiny_models import boot, bridge, byte_tokenizer, random_model

ARCHITECTURES = ["gpt2", "llama", "gpt_neox", "gemma2", "qwen2"]
# The clean prompt is longer, and not at its end alone.
LONGER = ib.PromptPair(clean="hello my fox", corrupt="hexlo your fox", clean_answer="a", corrupt_answer="b")
SHORTER = PAIR.model_copy(update={"corrupt": "hexl"})
TWO = PromptPairs([PAIR, PAIR.model_copy(update={"clean": "hello"})])
MIXED = PromptPairs([PAIR, LONGER, SHORTER])


@cache
def folded_bridge(architecture):
    raw = boot(random_model(architecture), f"{architecture}-folded")
    raw.enable_compatibility_mode(disable_warnings=True)
    return raw


def model_of(architecture, folded=False):
    return ib.load_model(folded_bridge(architecture) if folded else bridge(architecture))


def values_of(code, model, **names):
    """What a script ends with, with a model in place of the line that says where it goes."""
    space = {"model": model.raw, **names}
    assert "interp_backend" not in code and "hookscope" not in code and "# model: your own" in code
    with torch.set_grad_enabled(True):  # scripts switch gradients off for good
        exec(compile(code, "script", "exec"), space)
    return space["values"]


def check(result, model, **names):
    """The script of a result gives the result's values."""
    same_values(values_of(ib.transformerlens_code(result, model), model, **names), result)


# On every kind of model


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_activation_can_be_patched_and_estimated(architecture, folded):
    model = model_of(architecture, folded)
    for activation in activations_of(architecture):
        some = {} if activation in ("embed", *PER_HEAD) else {"layers": [1, 2]}
        check(ib.activation_patching(model, PAIR, activation=activation, **some), model)
        estimates = ib.attribution_patching(model, PAIR, activation=activation, direction="noise")
        check(estimates, model)
        if activation in PER_HEAD:
            some = {"axes": ("layer", "head", "position"), "layers": [1], "heads": [0, 1]}
            check(ib.activation_patching(model, PAIR, activation=activation, direction="noise", **some), model)


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_reads_a_run(architecture, folded):
    model = model_of(architecture, folded)
    for pair in (PAIR.clean, LONGER):
        check(ib.logit_lens(model, pair, targets=["a", "q"]), model)
        for kind in ("pattern", "scores", "value_weighted", "output_norm"):
            check(ib.attention_patterns(model, pair, kind, heads=[0, 2]), model)
        check(ib.head_scores(model, "hello hello"), model)
        for unit in ("layer", "component", "head", "neuron"):
            result = ib.direct_logit_attribution(model, pair, "a", "b", unit=unit)
            if architecture == "gemma2" and unit in ("head", "neuron"):
                with pytest.raises(ValueError, match="more than a matrix"):
                    ib.transformerlens_code(result, model)
            else:
                check(result, model)


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_paths_and_edges(architecture, folded):
    model = model_of(architecture, folded)
    check(ib.path_patching(model, PAIR, None, ["a2.h0", "m1"]), model)
    check(ib.path_patching(model, PAIR, None, ["logits", "a2.h2<q>"], mlps="recomputed", direction="noise"), model)
    check(ib.path_patching(model, LONGER, ["a0.h0", "a0.h1", "m0"], ["logits"], together=True), model)
    for pair in (PAIR, LONGER):
        for direction in ("noise", "denoise"):
            graph = ib.edge_attribution(model, pair, direction=direction)
            if architecture == "gemma2":
                with pytest.raises(ValueError, match="norms follow attention"):
                    ib.transformerlens_code(graph, model)
            else:
                check(graph, model)


# Arguments


@pytest.mark.parametrize(
    "value",
    [
        "zero",
        Scale(factor=0.5),
        Add(factor=2.0),
        Add(vector=VECTOR[:32], factor=0.3),
        ib.FromPrompt(text="qwert"),
        Mean(prompts=DATA),
        Mean(prompts=LOOSE, by_position=False),
        Resample(prompts=DATA),
        Resample(prompts=DATA, draws=3, seed=4),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("activation", ["resid_post", "embed"])
def test_every_value(value, activation):
    model = model_of("gpt2")
    check(ib.activation_patching(model, PAIR, activation=activation, value=value), model)
    check(ib.attribution_patching(model, PAIR, activation=activation, value=value), model)
    if activation == "resid_post" and not isinstance(value, ib.FromPrompt):
        whole = PAIR.model_copy(update={"clean_answer": "abc"})
        if value == "zero" or not isinstance(value, Mean) or value.by_position:
            check(ib.activation_patching(model, whole, metric="answer_log_prob", value=value), model)


def own_metric(logits):
    return 2 * logits[:, 3]


def test_every_metric():
    assert set(_METRICS) == set(ib.METRICS)
    model = model_of("llama")
    for metric in [*ib.METRICS, ("prob", 3), ("kl", -2), ["kl", "rank"]]:
        for direction in ("denoise", "noise"):
            pair = PAIR.model_copy(update={"clean_answer": "abc" if metric == "answer_log_prob" else ("a", "c")})
            check(ib.activation_patching(model, pair, metric=metric, direction=direction, layers=[1]), model)
    result = ib.activation_patching(model, PAIR, metric=own_metric)
    assert "# own_metric: your own function" in ib.transformerlens_code(result, model)
    check(result, model, own_metric=own_metric)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "z", "window": 2},
        {"activation": "z", "window": 3, "value": "zero", "heads": [1], "layers": [0, 2]},
        {"positions": [-1, 2], "layers": [1]},
        {"positions": {"middle": [2, 3], "last": [-1]}},
        {"activation": "k", "axes": ("layer", "head", "position"), "positions": {"middle": [2, 3], "last": [-1]}},
        {"activation": "pattern", "axes": ("layer", "head", "position"), "positions": {"middle": [2, 3]}},
        {
            "activation": "pattern",
            "axes": ("layer", "head", "position", "source"),
            "layers": [1],
            "positions": [3, -1],
            "sources": [-2, 1],
        },
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "layers": [0]},
        {"activation": "mlp_post", "axes": ("layer", "position", "neuron"), "neurons": [3, 5], "layers": [0]},
        {"at": 3, "metric": "kl"},
    ],
    ids=str,
)
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_choice_of_places(architecture, options):
    check(ib.activation_patching(model_of(architecture), PAIR, **options), model_of(architecture))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "z"},
        {"activation": "v", "axes": ("layer", "head", "position"), "direction": "noise"},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "layers": [1]},
        {"positions": {"some": [1, 6, 7], "last": [-1]}},
        {"activation": "z", "value": "zero"},
        {"value": Add(factor=0.5), "window": 2},
        {"at": 3, "metric": "kl"},
        {"at": -2, "metric": "kl", "direction": "noise"},
    ],
    ids=str,
)
def test_prompts_of_different_lengths(options):
    model = model_of("gpt2")
    result = ib.activation_patching(model, LONGER, **options)
    assert result.counterparts is not None
    check(result, model)


def test_a_chosen_alignment_and_no_token_in_front():
    model = model_of("llama")
    pair = PAIR.model_copy(update={"alignment": ((0, 0), (1, 1), (3, 2), (4, 4)), "prepend_bos": False})
    check(ib.activation_patching(model, pair), model)
    check(ib.attribution_patching(model, pair), model)


def test_answers_of_several_tokens_are_scored_by_their_first():
    model = model_of("gpt2")
    pair = PAIR.model_copy(update={"clean_answer": ("abc", "d", "a"), "score_first_token": True})
    check(ib.activation_patching(model, pair, metric="prob"), model)


@pytest.mark.parametrize("pairs", [TWO, MIXED], ids=["one length", "several lengths"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "z"},
        {"activation": "z", "axes": ("layer", "head", "position")},
        {"positions": [-1, -2]},
        {"positions": {"some": [1, -1]}},
        {"metric": "kl", "direction": "noise"},
        {"value": Zero()},
    ],
    ids=str,
)
def test_data_sets(pairs, options):
    model = model_of("gpt2")
    for method in (ib.activation_patching, ib.attribution_patching):
        if method is ib.activation_patching or options.get("metric") != "kl":
            result = method(model, pairs, **options)
            check(result, model)


def test_paths_edges_and_draws_of_data_sets():
    model = model_of("gpt2")
    check(ib.path_patching(model, MIXED, ["input", "a1.h0"], ["a2.h0"]), model)
    check(ib.edge_attribution(model, MIXED), model)
    check(ib.activation_patching(model, TWO, value=Resample(prompts=DATA, draws=2)), model)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_several_changes_in_one_run(architecture):
    model = model_of(architecture)
    parts = [
        Intervention("z", 2, head=1),
        [Intervention("mlp_out", 1, value=Zero(), position=(1, 2)), Intervention("embed", 0, position=3)],
        Intervention("resid_post", 0, value=Scale(factor=0.5)),
        Intervention("resid_pre", 1, value=Add(factor=0.5), position=-1),
    ]
    for pair in (PAIR, LONGER, TWO):
        check(ib.patch_together(model, pair, parts), model)
    parts += [
        Intervention("mlp_post", 0, position=(2, 3), neuron=(1, 4), value=Mean(prompts=DATA)),
        Intervention("pattern", 1, position=(3, 4), source=(0, 2)),
        Intervention("k", 1, head=0, value=Resample(prompts=DATA, draws=2)),
    ]
    check(ib.patch_together(model, PAIR, parts), model)
    with pytest.raises(ValueError, match="different lengths"):
        ib.transformerlens_code(ib.patch_together(model, MIXED, parts[:1]), model)


def test_a_change_without_a_counterpart():
    model = model_of("gpt2")
    alone = ib.tokenize(model, SHORTER).counterparts("clean").index(None)
    parts = [Intervention("z", 2, position=alone), Intervention("z", 1)]
    result = ib.patch_together(model, SHORTER, parts, direction="noise")
    assert np.isnan(result.values[1])
    check(result, model)


@pytest.mark.parametrize("stream", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_every_stream_of_the_lens(stream):
    model = model_of("gemma2")
    check(ib.logit_lens(model, PAIR, stream=stream, top_k=3, last=2), model)


def test_a_cropped_prompt():
    model = model_of("mistral")  # attention reaches four positions back
    check(ib.attention_patterns(model, "hello there", layers=[1], last=9), model)
    check(ib.direct_logit_attribution(model, "hello there", "a", position=3, last=9), model)


def test_what_runs_on_random_tokens():
    model = model_of("gpt2")
    check(ib.head_scores(model, length=8, seeds=2), model)
    for heads in ((), [(1, 1), (2, 0)]):
        call = ib.repeated_token_loss.call(model, heads, length=8, seeds=2)
        values = values_of(ib.transformerlens_code(call), model)
        table = ib.repeated_token_loss(model, heads, length=8, seeds=2)
        for name in ("first", "second"):
            same(values[name], table[name])
    values = values_of(ib.transformerlens_code(ib.induction_heads.call(model, length=8, seeds=2)), model)
    table = ib.induction_heads(model, length=8, seeds=2).sort_values(["layer", "head"])
    for name in ("induction", "baseline", "previous_token"):
        same(values[name].ravel(), table[name])
    same(values["threshold"], table["threshold"].iloc[0])


# The model


def test_the_embedded_model_loads_itself_without_this_package(embedded, capitals, tmp_path):
    result = ib.activation_patching(embedded, capitals, activation="z")
    code = ib.transformerlens_code(result, embedded)
    assert "'The capital of Norway is'" in code and "model.to_single_token(' Oslo')" in code
    script = tmp_path / "script.py"
    kept = f"np.save({str(tmp_path / 'values.npy')!r}, values)"
    alone = "import sys; assert not {'interp_backend', 'hookscope'} & set(sys.modules)"
    script.write_text(f"{code}{kept}\n{alone}\n", "utf-8")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    same(np.load(tmp_path / "values.npy"), result.values)
    assert str(np.load(tmp_path / "values.npy"))[:20] in run.stdout


def test_a_model_is_loaded_as_it_was(tmp_path):
    directory = tmp_path / "it's mine"
    random_model("gpt2").save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    model = ib.load_model(str(directory), device="cpu", dtype="bfloat16")
    code = ib.transformerlens_code(ib.activation_patching(model, PAIR), model)
    assert f"boot_transformers({str(directory)!r}, device='cpu', dtype=torch.bfloat16)" in code
    assert "enable_compatibility_mode" not in code
    model.raw.enable_compatibility_mode(disable_warnings=True)
    assert "model.enable_compatibility_mode()" in ib.transformerlens_code(ib.activation_patching(model, PAIR), model)


def test_without_the_model_tokens_are_those_of_the_result():
    model = model_of("gpt2")
    for pair in (PAIR, LONGER):
        result = ib.EffectMap.from_json(ib.activation_patching(model, pair).to_json())
        code = ib.transformerlens_code(result)
        assert "# model: your own" in code
        same(values_of(code, model), result.values)
    for needs in (
        ib.activation_patching(model, TWO),
        ib.activation_patching(model, PAIR, value=Resample(prompts=DATA)),
        ib.edge_attribution(model, PAIR),
    ):
        with pytest.raises(ValueError, match=r"Give the model too: transformerlens_code\(result, model\)"):
            ib.transformerlens_code(needs)


def test_a_result_of_another_model_is_refused(embedded):
    result = ib.activation_patching(model_of("gpt2"), PAIR)
    with pytest.raises(ValueError, match="Give the model it is of"):
        ib.transformerlens_code(result, embedded)


# What has no form


def test_what_has_no_form_is_refused_in_a_sentence(embedded):
    model = model_of("gpt2")
    graph = ib.edge_attribution(model, PAIR)
    for made in (
        ib.attribution_patching(model, PAIR, rules="relp"),
        ib.attribution_patching(model, PAIR, ig_steps=3),
        ib.edge_attribution(model, PAIR, ig_steps=3),
        ib.logit_lens(embedded, "The capital", lens="tuned"),
        ib.faithfulness(model, PAIR, graph),
    ):
        with pytest.raises(ValueError, match=r"can't be printed over TransformerLens alone.*interp_backend\.$"):
            ib.transformerlens_code(made, model if made.method != "logit_lens" else embedded)
    with pytest.raises(ValueError, match=r"A DataFrame does not say .*repeated_token_loss\.call"):
        ib.transformerlens_code(ib.repeated_token_loss(model, length=8, seeds=1), model)


def test_estimated_cells_are_said_to_be_run():
    model = model_of("gpt2")
    axes = ("layer", "head", "position")
    pair = ib.PromptPair(clean="hello there and so", corrupt="hellu there and so", clean_answer="a", corrupt_answer="b")
    result = ib.activation_patching(model, pair, activation="z", axes=axes, estimate="gradient", exact=0.1)
    code = ib.transformerlens_code(result, model)
    assert "cells were not run, or only estimated" in code
    ran = result.state == COMPUTED
    same(values_of(code, model)[ran], result.values[ran])


# Files of strangers


def names_of(tree):
    """What a script calls and imports."""
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return imported, called


@cache
def foreign():
    model = model_of("gpt2")
    return [
        ib.activation_patching(model, PAIR, activation="z"),
        ib.activation_patching(model, PAIR, positions={"x": [1]}),
        ib.activation_patching(model, PAIR, value=Mean(prompts=DATA)),
        ib.patch_together(model, PAIR, [Intervention("z", 1)]),
        ib.attribution_patching(model, PAIR),
        ib.path_patching(model, PAIR, ["a0.h1"], ["m2"]),
        ib.logit_lens(model, "hello", targets=["a"]),
        ib.attention_patterns(model, "hello"),
        ib.head_scores(model, "hello"),
    ]


HOSTILE = st.one_of(
    st.text(max_size=30).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)),
    st.sampled_from(
        [
            "'''",
            '"""',
            "\\",
            "'",
            "\nimport os\n",
            "\r__import__('os')",
            "$base",
            "{layer}",
            "exit",
            "a\u2028b",
            "__import__",
        ]
    ),
)


# What other metrics, values and lengths of prompts call.
CALLED = {"enumerate", "logits.log_softmax", "logits.softmax", "torch.tensor", "model.to_tokens", "model"}


def spoiled(value, text):
    """A copy of a JSON value with a text in place of every text."""
    if isinstance(value, dict):
        return {name: spoiled(part, text) for name, part in value.items()}
    if isinstance(value, list):
        return [spoiled(part, text) for part in value]
    return text if isinstance(value, str) else value


@settings(max_examples=60)
@given(text=HOSTILE, which=st.integers(0, 8), field=st.integers(0, 40))
def test_the_script_of_a_foreign_file_is_inert(text, which, field):
    result = foreign()[which]
    wire = result.model_dump(mode="json")
    every = [("params", name) for name in wire["params"]] + [
        (name, None) for name in ("labels", "sides", "prompts", "targets", "provenance") if name in wire
    ]
    name, inner = every[field % len(every)]
    wire[name] = {**wire[name], inner: spoiled(wire[name][inner] or text, text)} if inner else spoiled(wire[name], text)
    known = names_of(ast.parse(ib.transformerlens_code(result)))
    try:
        code = ib.transformerlens_code(type(result).from_json(json.dumps(wire)))
    except ValueError:
        return
    imported, called = names_of(ast.parse(code))
    assert imported <= known[0]
    new = called - known[1] - CALLED
    if (name, inner) == ("params", "metric"):  # the name of a user's own function, or what stands in for it
        assert new <= {"my_metric", text.partition("@")[0]} and not any(hasattr(builtins, one) for one in new)
    else:
        assert not new


# In a view


def test_a_view_asks_for_the_script(embedded, capitals):
    heatmap = Watched(hs.PatchHeatmap, embedded, capitals)
    ask(heatmap, "transformerlens_code")
    assert events(heatmap, "view:1") == ["accepted", "file", "result"]
    [answer] = [event for event in heatmap.sent if event["event"] == "file"]
    assert answer["format"] == "py" and answer["text"] == ib.transformerlens_code(heatmap.result, embedded)
    heatmap.close()


def test_a_view_says_why_there_is_no_script(embedded):
    grid = Watched(hs.LogitLensGrid, embedded, "The capital of Norway is", lens="tuned")
    ask(grid, "transformerlens_code")
    assert events(grid, "view:1") == ["accepted", "error"]
    assert "can't be printed over TransformerLens alone" in grid.error["message"]
    grid.close()


def test_the_page_lists_the_methods_that_have_the_form():
    from docs_pages import DOCS

    page = (DOCS / "from_transformerlens.md").read_text("utf-8")
    section = page[page.index("## A result as a script") :]
    rows = {line.split("`")[1].removeprefix("ib.") for line in section.splitlines() if line.startswith("| `ib.")}
    assert rows == set(WRITERS)
