"""Scores of heads against loops, TransformerLens's detector and eigenvalues, and a circuit that is written by hand."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_model import hooks_on
from test_results import strict_json
from transformer_lens import FactoredMatrix
from transformer_lens.head_detector import detect_head

import interp_backend as ib
from interp_backend.common.head_measures import MEASURES, head_measures
from interp_backend.methods import head_scores as scores_module
from interp_backend.methods import repeated_tokens
from interp_backend.methods.head_scores import head_scores
from interp_backend.methods.repeated_tokens import random_tokens
from interp_backend.results.head_table import HeadScores
from plain_loop import Plain, PlainHeads
from tiny_models import (
    CONFIGS,
    INDUCTION,
    PREVIOUS,
    boot,
    bridge,
    loud_bridge,
    loud_model,
    random_model,
)

TEXT = "banana and banana band"
ARCHITECTURES = ("gpt2", "gpt_neo", "gpt_neox", "llama", "gemma2", "bloom")
OTHERS = [(layer, head) for layer in range(2) for head in range(4) if (layer, head) not in (PREVIOUS, INDUCTION)]


def measured_by_hand(pattern, ids):
    """One head's measures, entry by entry; pattern is [destination][source]."""
    length = len(ids)
    lists = {name: [] for name in MEASURES}
    for d in range(1, length):
        row = [float(weight) for weight in pattern[d]]
        lists["previous_token"].append(row[d - 1])
        lists["first_token"].append(row[0])
        lists["entropy"].append(-sum(weight * np.log(weight) for weight in row if weight > 0))
        lists["distance"].append(sum(weight * (d - s) for s, weight in enumerate(row[: d + 1])))
        earlier = [s for s in range(d) if ids[s] == ids[d]]
        if earlier:
            lists["duplicate_token"].append(sum(row[s] for s in earlier))
            lists["induction"].append(sum(row[s + 1] for s in earlier))
    return {name: sum(found) / len(found) if found else np.nan for name, found in lists.items()}


# What a pattern by itself says


@settings(max_examples=80)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["soft", "sharp", "both ways"]),
    st.sampled_from([np.float32, np.float64]),
)
def test_measures_equal_loops(ids, heads, seed, kind, dtype):
    rng, length = np.random.default_rng(seed), len(ids)
    weights = rng.random((heads, length, length)) ** (20 if kind == "sharp" else 1)
    if kind != "both ways":
        weights = np.tril(weights)
    pattern = (weights / weights.sum(-1, keepdims=True)).astype(dtype)
    for given_ in (pattern, torch.from_numpy(pattern)):
        found = head_measures(given_, ids)
        assert list(found) == list(MEASURES)
        for name, part in found.items():
            assert part.shape == (heads,) and part.dtype == np.float32
            expected = [measured_by_hand(head, ids)[name] for head in pattern]
            np.testing.assert_allclose(part, expected, atol=1e-5, rtol=1e-5, err_msg=name)


def test_measures_of_heads_that_do_one_thing_are_one():
    ids = [9, 1, 2, 3, 1, 2, 3, 3]
    rows = np.arange(len(ids))
    looks = {
        "previous_token": [0, 0, 1, 2, 3, 4, 5, 6],
        "duplicate_token": [0, 0, 0, 0, 1, 2, 3, 6],
        "induction": [0, 0, 0, 0, 2, 3, 4, 7],
        "first_token": [0] * 8,
    }
    for name, at in looks.items():
        pattern = np.zeros((1, 8, 8))
        pattern[0, rows, at] = 1
        found = head_measures(pattern, ids)
        assert found[name] == 1 and found["entropy"] == 0
        assert found["distance"] == pytest.approx(np.mean((rows - at)[1:]))
    uniform = head_measures(np.tril(np.ones((1, 8, 8))) / (rows + 1)[:, None], ids)
    assert uniform["entropy"] == pytest.approx(np.mean(np.log(rows[1:] + 1)))
    assert uniform["first_token"] == uniform["previous_token"] == pytest.approx(np.mean(1 / (rows[1:] + 1)))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "bloom"])
def test_transformer_lens_detects_the_same(architecture):
    """`detect_head` takes the share of all attention, ours is the mean over the destinations that can: they differ by
    the count of destinations alone, theirs being all, the first token (which has no other choice) included."""
    raw = loud_bridge(architecture)
    scores = ib.head_scores(raw, TEXT).scores
    ids = raw.to_tokens(TEXT)[0].tolist()
    again = sum(token in ids[:at] for at, token in enumerate(ids))
    assert 3 < again < len(ids) - 3
    for name, destinations in [("previous_token", len(ids) - 1), ("duplicate_token", again), ("induction", again)]:
        theirs = detect_head(raw, TEXT, f"{name}_head").numpy()
        np.testing.assert_allclose(scores[name], theirs * len(ids) / destinations, atol=1e-5)
        assert np.ptp(scores[name]) > 1e-4


@pytest.mark.parametrize("architecture", CONFIGS)
def test_of_a_prompt_its_patterns_are_scored(architecture):
    result = ib.head_scores(loud_bridge(architecture), TEXT)
    side = ib.attention_patterns(loud_bridge(architecture), TEXT).sides["prompt"]
    plain = Plain(loud_model(architecture), architecture, side.ids)
    assert list(result.scores) == list(MEASURES) == list(side.scores) == list(result.about)
    assert not result.spread and result.params["prompt"] == TEXT and result.params["length"] is None
    for layer, head in np.ndindex(3, 4):
        expected = measured_by_hand(plain.patterns[layer][head], side.ids)
        for name, part in result.scores.items():
            assert part[layer, head] == pytest.approx(expected[name], abs=1e-5)
            assert side.scores[name][layer, head] == pytest.approx(expected[name], abs=1e-5)


def test_a_prompt_without_repeats_has_no_place_to_measure_them():
    result = ib.head_scores(bridge("gpt2"), "abc")
    for name, part in result.scores.items():
        assert np.isnan(part).all() == (name in ("duplicate_token", "induction"))


# On random tokens


@cache
def scored(architecture, seeds=3, length=9):
    """The scores, and the random tokens that were drawn for each seed: those that are repeated, those of the paper."""
    drawn = []

    def spy(model, count, rng, **options):
        drawn.append(random_tokens(model, count, rng, **options))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores_module, "random_tokens", spy)
        result = ib.head_scores(loud_bridge(architecture), length=length, seeds=seeds)
    return result, list(zip(drawn[::2], drawn[1::2], strict=True))


@cache
def plain_on(architecture, ids):
    return Plain(loud_model(architecture), architecture, list(ids))


def text_of(architecture, *parts):
    begin = () if architecture in ("gpt_neox", "bloom") else (256,)  # as TransformerLens begins a prompt
    return (*begin, *(token for part in parts for token in part))


def over_seeds(values):
    """Mean and standard deviation, [seed] first."""
    values = np.array(values, np.float64)
    return values.mean(0), values.std(0, ddof=1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_means_over_seeds_and_spread_is_their_deviation(architecture):
    result, drawn = scored(architecture)
    assert len(drawn) == 3 and result.params["seeds"] == 3 and result.params["length"] == 9
    for tokens, paper in drawn:
        assert (
            len(set(tokens)) == 9
            and len(set(paper)) == (25 if architecture == "bloom" else 15)
            and 256 not in {*tokens, *paper}
            and {*paper} <= {*range(10, 246)}  # 4% of 256 are left out at each end
        )
    assert len({tuple(tokens) for tokens, _ in drawn}) == 3
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        by_seed = [
            measured_by_hand(
                plain_on(architecture, text_of(architecture, tokens, tokens)).patterns[layer][head],
                text_of(architecture, tokens, tokens),
            )
            for tokens, _ in drawn
        ]
        for name in MEASURES:
            mean, deviation = over_seeds([one[name] for one in by_seed])
            assert result.scores[name][layer, head] == pytest.approx(mean, abs=1e-5, rel=1e-5)
            assert result.spread[name][layer, head] == pytest.approx(deviation, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_prefix_matching_is_attention_to_what_followed_in_earlier_repeats(architecture):
    result, drawn = scored(architecture)
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        by_seed = []
        begin = len(text_of(architecture))
        for _, paper in drawn:
            ids = text_of(architecture, *[paper] * 4)
            pattern = plain_on(architecture, ids).patterns[layer][head]
            rows = []
            for d in range(begin + len(paper), len(ids)):
                rows.append(sum(float(pattern[d, s]) for s in range(1 + begin, d) if ids[s - 1] == ids[d]))
                # the last token of a repeat is followed by the next repeat's first: also at d + 1 - d = itself never
                assert ids[d] in ids[:d]
            by_seed.append(sum(rows) / len(rows))
        mean, deviation = over_seeds(by_seed)
        assert result.scores["prefix_matching"][layer, head] == pytest.approx(mean, abs=1e-5, rel=1e-5)
        # As the paper has it, the mean of all those entries: of 1, 2 and 3 of each token.
        entries = [
            np.mean(
                [float(pattern[d, s]) for d in range(len(ids)) for s in range(1 + begin, d) if ids[s - 1] == ids[d]]
            )
            for ids in [text_of(architecture, *[paper] * 4) for _, paper in drawn]
            for pattern in [plain_on(architecture, ids).patterns[layer][head]]
        ]
        assert np.mean(entries) == pytest.approx(mean / 2, abs=1e-5, rel=1e-5)
        assert result.spread["prefix_matching"][layer, head] == pytest.approx(deviation, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_copy_is_the_share_of_what_is_raised_that_is_the_token_itself(architecture):
    result, drawn = scored(architecture)
    circuits = PlainHeads(loud_model(architecture), architecture)
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        by_seed = []
        for _, paper in drawn:
            plain = plain_on(architecture, text_of(architecture, paper))
            above = below = 0.0
            for source, token in enumerate(paper, start=len(text_of(architecture))):
                logits = circuits.written(layer, head, plain.v[layer][source, head])[list(paper)]
                raised = (logits - logits.mean()).clamp(min=0)
                share = float(raised[paper.index(token)] / raised.sum())
                for destination in range(len(text_of(architecture)), len(text_of(architecture, paper))):
                    weight = float(plain.patterns[layer][head][destination, source])
                    above, below = above + weight * share, below + weight
            by_seed.append(2 * above / below - 1)
        mean, deviation = over_seeds(by_seed)
        assert result.scores["copy"][layer, head] == pytest.approx(mean, abs=1e-4)
        assert result.spread["copy"][layer, head] == pytest.approx(deviation, abs=1e-4)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_copying_is_the_eigenvalue_score_of_the_whole_matrix(architecture):
    result = ib.head_scores(loud_bridge(architecture), length=2, seeds=1)
    circuits = PlainHeads(loud_model(architecture), architecture)
    found = result.scores["copying"]
    assert (np.abs(found) <= 1).all() and np.ptp(found) > 0.1
    for layer, head in [(0, 1), (2, 2)]:
        assert found[layer, head] == pytest.approx(circuits.copying(layer, head), abs=1e-3)
    assert "copying" not in result.spread and not result.spread


def test_copying_is_transformer_lens_eigenvalue_score_of_folded_weights_and_of_those_as_trained():
    model = random_model("gpt2")
    for name, parameter in model.named_parameters():
        if "ln" in name:
            torch.manual_seed(len(name))
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    raw = boot(model, "folding")
    trained = ib.head_scores(raw, length=2, seeds=1).scores["copying"]
    raw.enable_compatibility_mode()
    folded = ib.head_scores(raw, length=2, seeds=1).scores["copying"]
    with torch.no_grad():
        for layer, head in np.ndindex(3, 4):
            attention = raw.blocks[layer].attn
            circuit = FactoredMatrix(raw.W_E @ attention.W_V[head], attention.W_O[head] @ raw.W_U)
            eigenvalues = circuit.eigenvalues
            theirs = float(eigenvalues.sum().real / eigenvalues.abs().sum())
            assert folded[layer, head] == pytest.approx(theirs, abs=2e-3)
    np.testing.assert_allclose(trained, folded, atol=2e-3)


def test_a_head_that_writes_nothing_copies_nothing():
    model = random_model("gpt2")
    model.transformer.h[1].attn.c_proj.weight.data[8:16] = 0
    result = ib.head_scores(boot(model, "silent"), length=5, seeds=2)
    assert not (result.scores["copy"][1, 1] < 0) and result.scores["copying"][1, 1] == 0
    others = np.delete(result.scores["copy"].ravel(), 5)
    assert np.isfinite(others).all()


def test_one_seed_has_no_spread_and_the_same_seeds_give_the_same():
    one, other = (ib.head_scores(bridge("gpt2"), length=5, seeds=1) for _ in range(2))
    assert not one.spread
    for name, part in one.scores.items():
        np.testing.assert_array_equal(part, other.scores[name])
    many = ib.head_scores(bridge("gpt2"), length=5, seeds=2)
    assert any((many.scores[name] != part).any() for name, part in one.scores.items())


def test_a_short_context_repeats_fewer_tokens():
    result = ib.head_scores(bridge("gpt2"), length=50, seeds=1)
    assert result.params["length"] == 31  # 1 + 2 * 31 = 63 of 64


def test_steps_say_how_far_they_are_and_leave_no_hook():
    raw = loud_bridge("llama")
    before = hooks_on(raw)
    steps = list(head_scores.steps(raw, length=3, seeds=2))
    # two seeds, then the weights of three layers
    assert [(step.done, step.total) for step in steps] == [*((done, 5) for done in range(1, 6)), (5, 5)]
    assert [step.result is None for step in steps] == [*[True] * 5, False] and hooks_on(raw) == before


def test_scores_survive_json_and_become_a_dataframe():
    result, _ = scored("gpt2")
    text = result.to_json()
    strict_json(text)
    again = HeadScores.from_json(text)
    assert again.to_json() == text
    for part in ("scores", "spread"):
        for name, array in getattr(result, part).items():
            assert getattr(again, part)[name].tobytes() == array.tobytes()
    table = result.to_dataframe()
    assert len(table) == 12 and list(table.columns[:2]) == ["layer", "head"]
    for row in table.to_dict("records"):
        for name in result.scores:
            assert row[name] == result.scores[name][row["layer"], row["head"]]
            if name in result.spread:
                assert row[f"{name} spread"] == result.spread[name][row["layer"], row["head"]]
    assert "copying spread" not in table and list(again.to_dataframe().columns) == list(table.columns)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda w: w.update(schema_version=5), "version"),
        (lambda w: w.update(heads=[0]), "layer, head"),
        (lambda w: w["about"].pop("entropy"), "explained"),
        (lambda w: w["spread"].update(x=w["spread"]["entropy"]), "spread"),
        (lambda w: w.update(method="x"), "method"),
        (lambda w: w.pop("scores"), "scores"),
    ],
)
def test_damaged_scores_are_refused(change, sentence):
    wire = json.loads(scored("gpt2")[0].to_json())
    change(wire)
    with pytest.raises((ValueError, ValidationError), match=sentence):
        HeadScores.from_json(json.dumps(wire))


# Ablation, and what is refused


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_loss_is_that_of_a_model_whose_heads_write_nothing(architecture, monkeypatch):
    drawn = []

    def spy(model, count, rng, **options):
        drawn.append(random_tokens(model, count, rng, **options))
        return drawn[-1]

    monkeypatch.setattr(repeated_tokens, "random_tokens", spy)
    raw = loud_bridge(architecture)
    before = hooks_on(raw)
    table = ib.repeated_token_loss(raw, [(1, 2), (0, 3)], length=7, seeds=2)
    assert hooks_on(raw) == before
    model = loud_model(architecture)
    for layer, head in [(1, 2), (0, 3)]:
        at = slice(head * 8, head * 8 + 8)
        if architecture == "gpt2":
            model.transformer.h[layer].attn.c_proj.weight.data[at] = 0
        else:
            model.model.layers[layer].self_attn.o_proj.weight.data[:, at] = 0
    for row, tokens in zip(table.itertuples(), drawn, strict=True):
        assert len(set(tokens)) == 7
        ids = [256, *tokens, *tokens]
        with torch.no_grad():
            log_probs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        losses = [-float(log_probs[at, ids[at + 1]]) for at in range(14)]
        assert row.first == pytest.approx(np.mean(losses[:7]), abs=1e-5)
        assert row.second == pytest.approx(np.mean(losses[8:]), abs=1e-5)  # where it begins can not be known
    assert abs(table["second"] - ib.repeated_token_loss(raw, length=7, seeds=2)["second"]).max() > 1e-4


def test_without_a_token_that_begins_a_text_the_very_first_is_not_counted():
    raw = boot(random_model("gpt2"), "no bos")
    raw.cfg.default_prepend_bos = False
    assert ib.load_model(raw).prefix() == []
    [row] = ib.repeated_token_loss(raw, length=5, seeds=1).itertuples()
    tokens = random_tokens(ib.load_model(raw), 5, np.random.default_rng(0))
    with torch.no_grad():
        log_probs = random_model("gpt2").eval()(torch.tensor([[*tokens, *tokens]])).logits[0].log_softmax(-1)
    losses = [-float(log_probs[at, (tokens + tokens)[at + 1]]) for at in range(9)]
    assert row.first == pytest.approx(np.mean(losses[:4]), abs=1e-4)
    assert row.second == pytest.approx(np.mean(losses[5:]), abs=1e-4)


def test_random_tokens_are_ordinary_and_different():
    model = ib.load_model(bridge("gpt2"))
    drawn = random_tokens(model, 256, np.random.default_rng(1))
    assert sorted(drawn) == list(range(256))
    with pytest.raises(ValueError, match="256 ordinary tokens, but 257"):
        random_tokens(model, 257, np.random.default_rng(1))


@pytest.mark.parametrize("function", [ib.head_scores, ib.induction_heads, ib.repeated_token_loss])
def test_numbers_that_make_no_sense_are_refused(function):
    least = 2 if function is ib.induction_heads else 1
    for options, sentence in [
        ({"length": 1}, "length is how many"),
        ({"length": 2.5}, "length is how many"),
        ({"length": True}, "length is how many"),
        ({"seeds": least - 1}, f"seeds is how many random sequences are drawn, {least} to 1000"),
        ({"seeds": 1001}, "seeds is how many"),
        ({"seeds": "2"}, "seeds is how many"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            function(bridge("gpt2"), **options)


@pytest.mark.parametrize("function", [ib.head_scores, ib.induction_heads, ib.repeated_token_loss])
def test_a_model_that_can_not_read_a_repeat_is_refused(function):
    raw = boot(random_model("gpt2"), "short")
    raw.cfg.n_ctx = 4
    with pytest.raises(ValueError, match="reads 4 tokens at once, too few"):
        function(raw)


def test_a_prompt_or_head_that_is_none_is_refused():
    raw = bridge("gpt2")
    with pytest.raises(ValueError, match="prompt is empty"):
        ib.head_scores(raw, "")
    with pytest.raises(ValueError, match="at most 64"):
        ib.head_scores(raw, "x" * 99)
    for head in [(3, 0), (0, 4), (-1, 0)]:
        with pytest.raises(ValueError, match="There is no"):
            ib.repeated_token_loss(raw, [head])
    model = random_model("gpt2")
    training = boot(model, "training")
    model.train()
    for function in (ib.head_scores, ib.induction_heads, ib.repeated_token_loss):
        with pytest.raises(ValueError, match="training mode"):
            function(training)


def test_scores_of_what_is_not_a_number_are_refused():
    model = random_model("gpt2")
    model.transformer.h[1].attn.c_attn.weight.data[:] = torch.nan
    raw = boot(model, "nan")
    for method in (ib.head_scores, ib.induction_heads, ib.repeated_token_loss):
        with pytest.raises(ValueError, match="not a number"):
            method(raw, length=5)


@pytest.mark.parametrize("heads", [(0, 1), [3], 5, "0.1", [(0, 1, 2)]])
def test_heads_to_ablate_are_pairs(heads):
    with pytest.raises(ValueError, match=r"a list of \(layer, head\)"):
        ib.repeated_token_loss(bridge("gpt2"), heads, length=3)


@pytest.mark.parametrize("prompt", [5, b"text", ["a", "b"]])
def test_a_prompt_that_is_no_text_is_refused(prompt):
    with pytest.raises(ValueError, match="is a text"):
        ib.head_scores(bridge("gpt2"), prompt)
