"""Attention patterns against plain transformers, TransformerLens's cache and loops written out."""

from __future__ import annotations

import json
import re
from functools import cache

import numpy as np
import pytest
import torch
from test_model import hooks_on
from transformer_lens.model_bridge import TransformerBridge

import interp_backend as ib
from interp_backend.common.head_measures import head_measures
from interp_backend.common.top_tokens import likeliest_next
from interp_backend.engine.recording import record
from interp_backend.engine.turn import Turn
from interp_backend.methods import attention_patterns as attention_module
from interp_backend.methods.attention_patterns import attention_patterns
from plain_loop import Plain
from tiny_models import CONFIGS, PAIR, boot, bridge, byte_tokenizer, hand_written, loud_bridge, loud_model, random_model

TEXT = "hello there"
UNEQUAL = PAIR.model_copy(update={"corrupt": "hellu"})
WINDOW = 4  # of every architecture that has one
WINDOWED = {"mistral": (0, 1, 2), "gemma2": (0, 2), "gpt_neo": (1,)}  # layers
DEAD = ("gpt_neo", "gptj", "opt")  # TransformerLens does not have their scores, and drops edits of their patterns
GROUPED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3")
KINDS = ("pattern", "value_weighted", "scores", "output_norm")
EXACT = {"atol": 2e-6, "rtol": 1e-5}


@cache
def attention_of(architecture, kind="pattern"):
    return ib.attention_patterns(loud_bridge(architecture), TEXT, kind)


@cache
def plain_of(architecture):
    return Plain(loud_model(architecture), architecture, attention_of(architecture).sides["prompt"].ids)


def kinds_of(architecture):
    return [kind for kind in KINDS if kind != "scores" or architecture not in DEAD]


def window_of(architecture, layer):
    return WINDOW if layer in WINDOWED.get(architecture, ()) else None


def may_look(architecture, layer, destination, source):
    window = window_of(architecture, layer)
    return source <= destination and (window is None or destination - source < window)


def brought(plain, layer, head):
    """One head's values through its rows of the output matrix, [source, d_model]."""
    module = plain.o[layer]
    weight = module.weight.detach().double()
    weight = weight if type(module).__name__ == "Conv1D" else weight.T  # [entry, d_model]
    d_head = plain.v[layer].shape[-1]
    return plain.v[layer][:, head] @ weight[head * d_head : (head + 1) * d_head]


def by_hand(architecture, kind):
    """[layer, head, destination, source], one entry after another; NaN where no number is."""
    plain = plain_of(architecture)
    n_layers, (n_heads, length, _) = len(plain.patterns), plain.patterns[0].shape
    values = np.full((n_layers, n_heads, length, length), np.nan)
    for layer, head in np.ndindex(n_layers, n_heads):
        pattern, vectors = plain.patterns[layer][head], brought(plain, layer, head)
        for destination in range(length):
            seen = [s for s in range(length) if may_look(architecture, layer, destination, s)]
            whole = sum(pattern[destination, s] * vectors[s] for s in seen)
            for source in seen:
                weight, vector = float(pattern[destination, source]), vectors[source]
                values[layer, head, destination, source] = {
                    "pattern": weight,
                    "value_weighted": weight * float(vector.norm()),
                    "output_norm": weight * float(vector @ whole / whole.norm()),
                }[kind]
    return values


# Numbers


@pytest.mark.parametrize("kind", ["pattern", "value_weighted", "output_norm"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_equals_plain_transformers_and_loops(architecture, kind):
    result, expected = attention_of(architecture, kind), by_hand(architecture, kind)
    assert result.values.dtype == np.float32 and result.values.shape == expected.shape == (3, 4, *expected.shape[2:])
    scale = np.nanmax(np.abs(expected))
    assert np.nanstd(expected) > 0.01 * scale, "a model that looks everywhere alike tests nothing"
    np.testing.assert_allclose(result.values, expected, atol=2e-6 * max(scale, 1), rtol=1e-5)  # NaN where NaN


@pytest.mark.parametrize("architecture", CONFIGS)
def test_masked_is_what_a_layer_may_not_look_at_and_nothing_else(architecture):
    for kind in kinds_of(architecture):
        result = attention_of(architecture, kind)
        length = len(result.sides["prompt"].ids)
        assert length > 2 * WINDOW
        for layer, destination, source in np.ndindex(3, length, length):
            hidden = not may_look(architecture, layer, destination, source)
            assert result.masked[layer, destination, source] == hidden
            assert np.isnan(result.values[layer, :, destination, source]).all() == hidden


def test_what_no_head_looks_at_is_not_masked_for_that():
    raw = hand_written.__wrapped__(*[(0, head, "back 1") for head in range(4)])
    raw.original_model.transformer.h[0].ln_1.weight.data.mul_(5)  # so sharply that all else is zero
    result = ib.attention_patterns(raw, TEXT, layers=[0])
    length = len(result.tokens)
    np.testing.assert_array_equal(result.masked[0], 1 - np.tri(length))
    assert (result.values[0][:, np.tri(length, k=-2) == 1] == 0).all()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_outputs_share_sums_to_the_length_of_what_a_head_writes(architecture):
    result, plain = attention_of(architecture, "output_norm"), plain_of(architecture)
    d_head = plain.v[0].shape[-1]
    for layer, head in np.ndindex(3, 4):
        entries = torch.zeros_like(plain.z[layer])
        at = slice(head * d_head, (head + 1) * d_head)
        entries[:, at] = plain.z[layer][:, at]  # z itself, not the pattern times the values
        module = plain.o[layer]
        weight = module.weight.detach().double()
        written = entries @ (weight if type(module).__name__ == "Conv1D" else weight.T)
        np.testing.assert_allclose(np.nansum(result.values[layer, head], -1), written.norm(dim=-1), **EXACT)


def test_a_source_that_works_against_a_head_counts_below_zero():
    values = np.concatenate([attention_of(name, "output_norm").values.ravel() for name in CONFIGS])
    assert (values < -1e-3).sum() > 10
    assert all(np.nanmin(attention_of(name, "value_weighted").values) >= 0 for name in CONFIGS)


@pytest.mark.parametrize("architecture", [name for name in CONFIGS if name not in DEAD])
def test_scores_are_transformer_lens_own_and_become_the_pattern(architecture):
    result, raw = attention_of(architecture, "scores"), loud_bridge(architecture)
    with torch.no_grad():
        _, own = raw.run_with_cache(torch.tensor([result.sides["prompt"].ids]))
    for layer in range(3):
        scores = own[f"blocks.{layer}.attn.hook_attn_scores"][0].numpy()
        seen = np.broadcast_to(result.masked[layer] == 0, scores.shape)
        np.testing.assert_allclose(result.values[layer][seen], scores[seen], atol=1e-6, rtol=1e-6)
        weights = np.exp(np.where(seen, result.values[layer].astype(np.float64), -np.inf))
        weights /= weights.sum(-1, keepdims=True)
        np.testing.assert_allclose(weights, plain_of(architecture).patterns[layer], **EXACT)


def test_scores_of_gpt2_are_queries_times_keys_by_the_root_of_the_heads_size():
    result, plain = attention_of("gpt2", "scores"), plain_of("gpt2")
    for layer, block in enumerate(plain.layers):
        normed = plain.normed(block.ln_1, plain.pre[layer]) + block.ln_1.bias.detach().double()
        made = normed @ block.attn.c_attn.weight.detach().double() + block.attn.c_attn.bias.detach().double()
        queries, keys, _ = (part.view(len(made), 4, 8) for part in made.chunk(3, dim=-1))
        for head in range(4):
            for destination in range(len(made)):
                for source in range(destination + 1):
                    score = float(queries[destination, head] @ keys[source, head]) / 8**0.5
                    assert result.values[layer, head, destination, source] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("architecture", DEAD)
def test_scores_that_transformer_lens_does_not_have_are_refused(architecture):
    with pytest.raises(ValueError, match=r"does not give this model's attention scores .* Choose the kind pattern"):
        ib.attention_patterns(loud_bridge(architecture), TEXT, "scores")


@pytest.mark.parametrize("architecture", CONFIGS)
def test_patterns_that_can_not_be_patched_are_shown_and_it_is_said(architecture):
    said = [warning for warning in attention_of(architecture).warnings if "patching them can't work" in warning]
    assert len(said) == (architecture in DEAD)
    if said:
        assert "Patch z, q, k or v instead" in said[0]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_heads_that_share_keys_and_values_say_which(architecture):
    result = attention_of(architecture)
    assert result.key_value_heads == ([0, 0, 1, 1] if architecture in GROUPED else None)
    few = ib.attention_patterns(loud_bridge(architecture), TEXT, heads=[1, 2])
    assert few.key_value_heads == ([0, 1] if architecture in GROUPED else None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "mistral", "phi3", "gpt_neo", "bloom"])
def test_chosen_heads_are_slices_of_all(architecture, kind):
    if kind not in kinds_of(architecture):
        return
    whole = attention_of(architecture, kind)
    few = ib.attention_patterns(loud_bridge(architecture), TEXT, kind, layers=[2, 1, 2], heads=(3, 0))
    assert few.layers == [1, 2] and few.heads == [0, 3]
    np.testing.assert_allclose(few.values, whole.values[1:][:, [0, 3]], atol=1e-7, rtol=1e-6)
    np.testing.assert_array_equal(few.masked, whole.masked[1:])
    for name, part in few.sides["prompt"].scores.items():
        np.testing.assert_allclose(part, whole.sides["prompt"].scores[name][1:][:, [0, 3]], atol=1e-6)
    one = ib.attention_patterns(loud_bridge(architecture), TEXT, kind, layers=1, heads=2)
    assert one.values.shape[:2] == (1, 1)
    np.testing.assert_allclose(one.values[0, 0], whole.values[1, 2], atol=1e-7, rtol=1e-6)
    assert one.index_of(1, 2) == (0, 0) and few.index_of(2, 3) == (1, 1)
    with pytest.raises(ValueError, match=r"1\.2 is not among"):
        few.index_of(1, 2)


def test_scores_of_heads_are_what_the_patterns_say():
    for kind in KINDS:
        side = attention_of("llama", kind).sides["prompt"]
        for layer, pattern in enumerate(plain_of("llama").patterns):
            for name, expected in head_measures(pattern, side.ids).items():
                np.testing.assert_allclose(side.scores[name][layer], expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "mistral"])
def test_of_a_long_prompt_the_last_tokens_are_read(architecture):
    raw = loud_bridge(architecture)
    result = ib.attention_patterns(raw, "x" * 100 + TEXT, "value_weighted", last=len(TEXT))
    np.testing.assert_array_equal(result.sides["prompt"].ids, attention_of(architecture).sides["prompt"].ids)
    np.testing.assert_allclose(result.values, attention_of(architecture, "value_weighted").values, atol=1e-7)
    assert result.params["last"] == len(TEXT)


def test_one_token_looks_at_itself():
    result = ib.attention_patterns(bridge("phi"), "h")
    assert len(result.sides["prompt"].ids) == 1 and (result.values == 1).all() and not result.masked.any()
    assert all(np.isnan(part).all() for part in result.sides["prompt"].scores.values())


# Pairs


@pytest.mark.parametrize("kind", ["pattern", "output_norm"])
@pytest.mark.parametrize("pair", [PAIR, UNEQUAL], ids=["equal", "unequal"])
def test_both_prompts_of_a_pair_are_those_of_each_alone(pair, kind):
    raw = loud_bridge("gemma2")
    result = ib.attention_patterns(raw, pair, kind)
    assert list(result.sides) == ["clean", "corrupt"] and result.first is result.sides["clean"]
    for side in ("clean", "corrupt"):
        alone = ib.attention_patterns(raw, getattr(pair, side), kind)
        np.testing.assert_allclose(result.values_of(side), alone.values, atol=1e-6)
        np.testing.assert_array_equal(result.masked_of(side), alone.masked)
        assert result.sides[side].tokens == alone.tokens and result.sides[side].text == getattr(pair, side)
    assert result.values is result.sides["clean"].values and result.masked is result.sides["clean"].masked
    assert result.params["pair"]["clean"] == pair.clean and "prompt" not in result.params


@pytest.mark.parametrize("last", [None, 4])
@pytest.mark.parametrize("pair", [PAIR, UNEQUAL], ids=["equal", "unequal"])
def test_the_difference_is_clean_minus_corrupt_at_the_counterpart(pair, last):
    result = ib.attention_patterns(loud_bridge("gpt2"), pair, last=last)
    assert result.counterparts == ib.logit_lens(loud_bridge("gpt2"), pair, last=last).counterparts
    clean, corrupt, difference = (result.values_of(side) for side in ("clean", "corrupt", "difference"))
    length = clean.shape[-1]
    there = result.counterparts or list(range(length))
    assert (result.counterparts is None) == (pair is PAIR)
    numbers = 0
    for destination, source in np.ndindex(length, length):
        a, b = there[destination], there[source]
        if a is None or b is None or source > destination:
            assert np.isnan(difference[:, :, destination, source]).all()
            continue
        numbers += 1
        np.testing.assert_array_equal(
            difference[:, :, destination, source], clean[:, :, destination, source] - corrupt[:, :, a, b]
        )
    assert numbers and np.nanmax(np.abs(difference)) > 1e-3
    np.testing.assert_array_equal(result.masked_of("difference"), result.masked_of("clean"))
    some = result.values_at("difference", [2, 0], [1])
    np.testing.assert_array_equal(some, difference[[2, 0]][:, [1]])


def test_the_token_that_is_put_in_has_no_counterpart(embedded):
    pair = ib.PromptPair(clean="The big capital of Norway is", corrupt="The capital of Norway is")
    result = ib.attention_patterns(embedded, pair)
    at = result.tokens.index(" big") if " big" in result.tokens else 2
    assert result.counterparts is not None and result.counterparts[at] is None
    assert result.counterparts[-1] == len(result.sides["corrupt"].ids) - 1
    assert np.isnan(result.values_of("difference")[:, :, at]).all()
    last = result.values_of("difference")[:, :, -1, -1]
    np.testing.assert_array_equal(
        last, result.values_of("clean")[:, :, -1, -1] - result.values_of("corrupt")[:, :, -1, -1]
    )


def test_sides_that_there_are_not_are_refused():
    one, two = attention_of("gpt2"), ib.attention_patterns(loud_bridge("gpt2"), PAIR)
    for result, side in [(one, "clean"), (one, "difference"), (two, "prompt"), (two, "x")]:
        for ask in (result.values_of, result.masked_of):
            with pytest.raises(ValueError, match=f"and not '{side}'"):
                ask(side)


# Users, precision, what is odd


def test_a_users_hook_acts_and_rows_that_do_not_sum_to_one_are_said():
    raw = boot(random_model("gpt2"), "hooked")

    def halve(value, hook):
        value = value.clone()
        value[:, 1] = value[:, 1] / 2
        return value

    raw.add_perma_hook("blocks.1.attn.hook_pattern", halve)
    result = ib.attention_patterns(raw, TEXT)
    before = hooks_on(raw)  # after a first run, at which transformers wires some of its own
    sums = np.nansum(result.values, -1)
    np.testing.assert_allclose(sums[1, 1], 0.5, atol=1e-6)
    sums[1, 1] *= 2
    np.testing.assert_allclose(sums, 1, atol=1e-6)
    [odd] = [warning for warning in result.warnings if "sum to one" in warning]
    assert odd.startswith("Layer 1:") and "in 1 of the heads" in odd and "0.5" in odd
    assert any("hook" in warning.lower() and "blocks.1" in warning for warning in result.warnings)
    pair = ib.attention_patterns(raw, PAIR)
    assert [w.split(":")[0] for w in pair.warnings if "sum to one" in w] == ["Clean", "Corrupt"]
    assert hooks_on(raw) == before


def test_rows_that_sum_to_one_are_not_complained_of():
    assert not [warning for name in CONFIGS for warning in attention_of(name).warnings if "sum to one" in warning]


def test_a_pattern_that_is_not_a_number_is_refused():
    raw = boot(random_model("gpt_neo"), "nan")  # here edits of a pattern go no further: the logits are numbers

    def spoil(value, hook):
        value = value.clone()
        value[0, 2, 3, 1] = torch.nan
        return value

    raw.add_perma_hook("blocks.1.attn.hook_pattern", spoil)
    with (
        pytest.warns(UserWarning, match="discarded"),
        pytest.raises(ValueError, match=r"blocks.1.attn.hook_pattern is not a number .* float32"),
    ):
        ib.attention_patterns(raw, TEXT)


def test_a_head_that_puts_out_something_else_has_no_value_weights():
    raw = boot(random_model("gpt2"), "edited")
    raw.add_perma_hook("blocks.2.attn.hook_z", lambda value, hook: value + 1)
    for kind in ("value_weighted", "output_norm"):
        with pytest.raises(ValueError, match="layer 2 times its values is not the output of its heads"):
            ib.attention_patterns(raw, TEXT, kind)
        ib.attention_patterns(raw, TEXT, kind, layers=[0, 1])
    ib.attention_patterns(raw, TEXT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
def test_in_half_precision_it_is_nearly_the_same(architecture, dtype):
    model = random_model(architecture).to(dtype)
    raw = TransformerBridge.boot_transformers(
        "local-half", hf_model=model.eval(), tokenizer=byte_tokenizer(), device="cpu", dtype=dtype
    )
    for kind in kinds_of(architecture):
        result = ib.attention_patterns(raw, TEXT, kind)
        full = ib.attention_patterns(bridge(architecture), TEXT, kind)
        assert result.values.dtype == np.float32 and not result.warnings
        np.testing.assert_array_equal(result.masked, full.masked)
        np.testing.assert_allclose(result.values, full.values, atol=2e-2 * np.nanmax(np.abs(full.values)))
        assert np.nanmax(np.abs(result.values - full.values)) > 0


def test_too_many_numbers_are_refused_and_the_advice_helps(monkeypatch):
    raw = bridge("gpt2")
    monkeypatch.setattr(attention_module, "MOST_BYTES", 4 * 12 * 100)
    with pytest.raises(ValueError, match=r"12 heads at 12 tokens .*layers=.*heads=.*last=9\.") as refusal:
        ib.attention_patterns(raw, TEXT)
    advised = int(re.findall(r"last=(\d+)", str(refusal.value))[0])
    assert len(ib.attention_patterns(raw, TEXT, last=advised).tokens) == 10
    with pytest.raises(ValueError, match="12 heads at 11 tokens"):
        ib.attention_patterns(raw, TEXT, last=advised + 1)
    ib.attention_patterns(raw, TEXT, layers=[0, 1])
    with pytest.raises(ValueError, match="last=6"):  # both prompts are kept
        ib.attention_patterns(raw, PAIR)
    ib.attention_patterns(raw, PAIR, last=6)


def test_what_can_not_be_read_is_refused_in_a_sentence():
    raw = bridge("gpt2")
    for options, sentence in [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": "x" * 100}, "at most 64.*last=63"),
        ({"kind": "weights"}, "no kind 'weights'.*value_weighted"),
        ({"layers": 3}, "no layer 3"),
        ({"layers": [-1]}, "no layer -1"),
        ({"heads": [4]}, "no head 4"),
        ({"heads": "all"}, "whole number"),
        ({"layers": []}, "layer"),
        ({"heads": ()}, "head"),
        ({"last": 0}, "last is how many"),
        ({"prompt": PAIR.model_copy(update={"corrupt": ""})}, "corrupt prompt is empty"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            ib.attention_patterns(raw, **({"prompt": TEXT} | options))
    model = loud_model("gpt2")
    training = boot(model, "training")
    model.train()
    with pytest.raises(ValueError, match="training mode"):
        ib.attention_patterns(training, TEXT)


def test_numpys_numbers_are_numbers():
    result = ib.attention_patterns(bridge("gpt2"), TEXT, layers=np.int64(1), heads=np.arange(2))
    assert result.layers == [1] and result.heads == [0, 1]
    json.dumps(result.params)


def test_steps_say_how_far_they_are_and_nothing_is_left_behind():
    raw = loud_bridge("llama")
    before = hooks_on(raw)
    steps = list(attention_patterns.steps(raw, PAIR))
    assert [(step.done, step.total, step.result is None) for step in steps] == [
        (1, 2, True),
        (2, 2, True),
        (2, 2, False),
    ]
    assert steps[-1].result.provenance["seconds"] > 0 and steps[-1].result.provenance["model"]["n_layers"] == 3
    stopped = attention_patterns.steps(raw, PAIR)
    next(stopped)
    stopped.close()
    assert hooks_on(raw) == before


def test_recordings_keep_what_they_are_asked_to_reduce(embedded):
    names = [embedded.hook_name("pattern", 0), embedded.hook_name("pattern", 1)]
    ids = [embedded.to_ids("The capital of Norway"), embedded.to_ids("The capital of Sweden")]
    with Turn(embedded) as turn:
        whole = record(turn, ids, names, [[], []])
        part = record(turn, ids, names[:1], [[], []], reduced={names[1]: lambda value: value[:, 1:3].sum(-2)})
    for one, other in zip(whole, part):
        assert torch.equal(one.activations[names[0]], other.activations[names[0]])
        assert torch.equal(one.activations[names[1]][1:3].sum(-2), other.activations[names[1]])


def test_the_likeliest_next_token_is_the_models_own(embedded):
    ids = embedded.to_ids("The capital of Norway is")
    assert likeliest_next(embedded, ids) == int(embedded.raw(torch.tensor([ids]))[0, -1].argmax())
    assert embedded.token_text(likeliest_next(embedded, ids)) == " Oslo"
