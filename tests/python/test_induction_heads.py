"""The induction heads of hand-written models and of the embedded one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_head_scores import OTHERS, plain_on

import interp_backend as ib
from interp_backend.methods import head_scores as scores_module
from interp_backend.methods.repeated_tokens import random_tokens
from tiny_models import (
    INDUCTION,
    PREVIOUS,
    hand_written,
    induction_model,
    loud_bridge,
)

# The circuit that is written by hand


def test_the_hand_written_model_continues_what_comes_again():
    raw = induction_model()
    ids = [256, 7, 8, 9, 10, 11, 7, 8, 9]
    with torch.no_grad():
        probs = raw(torch.tensor([ids]))[0].softmax(-1)
    assert [int(row.argmax()) for row in probs[6:]] == [8, 9, 10] and probs[6:].amax(-1).min() > 0.95
    assert probs[1:5].amax(-1).max() < 0.1  # nothing has come twice


@pytest.mark.parametrize("length, seeds", [(40, 8), (6, 2), (31, 3)])
def test_its_two_heads_are_found_and_nothing_else(length, seeds):
    table = ib.induction_heads(induction_model(), length=length, seeds=seeds)
    roles = {(row.layer, row.head): row.role for row in table.itertuples()}
    assert {head: role for head, role in roles.items() if role} == {PREVIOUS: "previous token", INDUCTION: "induction"}
    assert len(table) == 8 and (table["layer"][0], table["head"][0]) == INDUCTION
    assert table["induction"][0] > 0.99 and (table["induction"][1:] < 0.5).all()
    assert (np.diff(table["induction"]) <= 0).all() and table["threshold"].nunique() == 1
    assert table["threshold"][0] == pytest.approx(2 * table["baseline"].max())
    before = table.set_index(["layer", "head"])["previous_token"]
    assert before[PREVIOUS] > 0.99 and before.drop([PREVIOUS]).max() < 0.5


def test_its_scores_are_near_one_and_those_of_the_others_are_not():
    scores = ib.head_scores(induction_model(), seeds=2).scores
    for name, head in [
        ("previous_token", PREVIOUS),
        ("induction", INDUCTION),
        ("prefix_matching", INDUCTION),
        ("copy", INDUCTION),
        ("copying", INDUCTION),
    ]:
        assert scores[name][head] > 0.98, name
        others = np.delete(scores[name].ravel(), np.ravel_multi_index(head, (2, 4)))
        assert np.nanmax(others) < 0.2, name
    assert scores["duplicate_token"].max() < 0.1
    assert scores["entropy"][PREVIOUS] < 0.01 and scores["entropy"][INDUCTION] < 0.1
    assert scores["distance"][PREVIOUS] == pytest.approx(1, abs=0.01)


def test_each_of_its_heads_is_needed_and_no_other_is():
    raw = induction_model()

    def second(*heads):
        table = ib.repeated_token_loss(raw, heads, length=20, seeds=2)
        assert list(table.columns) == ["seed", "first", "second"] and list(table["seed"]) == [0, 1]
        assert (table["first"] > 5).all()  # log 257 is 5.5
        return table["second"]

    whole = second()
    assert (whole < 0.01).all()
    for head in (PREVIOUS, INDUCTION):
        assert (second(head) > 5).all()
    for head in OTHERS:
        np.testing.assert_allclose(second(head), whole, atol=0.01)
    np.testing.assert_allclose(second(*OTHERS), whole, atol=0.01)


def test_uniform_attention_is_no_induction():
    table = ib.induction_heads(hand_written(), seeds=3)
    assert not any(table["role"]) and (table["previous_token"] < 0.5).all()


@pytest.mark.parametrize("distances", [range(14, 22), range(22, 30), [1, 2, 3, 5, 7, 11, 13, 30]])
def test_heads_that_always_look_equally_far_back_are_no_induction_heads(distances):
    heads = [(at // 4, at % 4, f"back {distance}") for at, distance in enumerate(distances)]
    raw = hand_written(*heads)
    pattern = ib.attention_patterns(raw, "x" * 40).values
    for layer, head, what in heads:
        back = int(what.split()[1])
        assert np.diagonal(pattern[layer, head], -back).min() > 0.99
    assert not any(ib.induction_heads(raw, length=6, seeds=2)["role"])
    assert not any(ib.induction_heads(raw)["role"])


def test_a_duplicate_token_head_is_none_either():
    raw = hand_written((0, 1, "duplicate"), (1, 2, "duplicate"))
    assert not any(ib.induction_heads(raw, seeds=3)["role"])
    scores = ib.head_scores(raw, seeds=2).scores  # it looks at both, the earlier one and itself
    assert scores["duplicate_token"][0, 1] == pytest.approx(0.5, abs=0.01) and scores["induction"][0, 1] < 0.01


def test_an_induction_head_is_found_beside_one_that_looks_equally_far_back():
    heads = [(*PREVIOUS, "previous"), (*INDUCTION, "induction"), (0, 0, "back 20"), (1, 3, "back 1")]
    table = ib.induction_heads(hand_written(*heads), seeds=4)
    roles = {(row.layer, row.head): row.role for row in table.itertuples() if row.role}
    # One that looks back in the induction head's own layer is too late to feed it.
    assert roles == {PREVIOUS: "previous token", INDUCTION: "induction"}


def test_without_an_induction_head_a_previous_token_head_has_no_role():
    assert not any(ib.induction_heads(hand_written((*PREVIOUS, "previous")), seeds=3)["role"])
    alone = ib.induction_heads(hand_written((*INDUCTION, "induction")), seeds=3)  # nothing notes the token before
    assert not any(alone["role"])


def test_induction_equals_loops_over_the_sequences_that_are_drawn(monkeypatch):
    raw, drawn = induction_model(), []

    def spy(model, count, rng, **options):
        drawn.append(random_tokens(model, count, rng, **options))
        return drawn[-1]

    monkeypatch.setattr(scores_module, "random_tokens", spy)
    raw = loud_bridge("gemma2")
    table = ib.induction_heads(raw, length=12, seeds=4).set_index(["layer", "head"])
    halves = [len(tokens) // 2 for tokens in drawn]
    assert len(drawn) == 4 and all(6 <= half <= 12 for half in halves) and len(set(halves)) > 1
    for layer, head in [(0, 0), (1, 2), (2, 3)]:
        found = {"induction": [], "baseline": [], "previous_token": []}
        for tokens, half in zip(drawn, halves):
            first, other = tokens[:half], tokens[half:]
            assert len(set(tokens)) == 2 * half
            for name, ids in [("induction", [256, *first, *first]), ("baseline", [256, *first, *other])]:
                pattern = plain_on("gemma2", tuple(ids)).patterns[layer][head]
                seconds = range(1 + half, 1 + 2 * half)
                found[name].append(np.mean([float(pattern[d, d - half + 1]) for d in seconds]))
                if name == "induction":
                    found["previous_token"].append(np.mean([float(pattern[d, d - 1]) for d in range(1, len(ids))]))
        for name, by_seed in found.items():
            assert table[name][layer, head] == pytest.approx(np.mean(by_seed), abs=1e-5), name
        assert table["spread"][layer, head] == pytest.approx(np.std(found["induction"], ddof=1), abs=1e-5)


def test_the_embedded_model_has_induction_heads(embedded):
    table = ib.induction_heads(embedded)
    found = table[table["role"] == "induction"]
    assert len(found) and (found["induction"] > found["threshold"]).all()
    heads = list(zip(found["layer"], found["head"]))
    whole = ib.repeated_token_loss(embedded, seeds=2)["second"].mean()
    assert ib.repeated_token_loss(embedded, heads, seeds=2)["second"].mean() > whole + 0.5
