"""A clean answer that the clean run does not favour is warned of."""

from __future__ import annotations

import pytest
import torch

import interp_backend as ib
from interp_backend.language.metrics import favour_warning


def probabilities(*shares: float) -> torch.Tensor:
    return torch.tensor(shares).log()


@pytest.mark.parametrize(
    "answers, words",
    [
        ((0,), None),  # the likeliest itself
        ((1,), None),  # less likely, and not by far
        ((2,), "“t2” has a probability of 2%, and “t0” one of 70%"),
        ((3,), "“t3” has a probability of 0.01%, and “t0” one of 70%"),
        ((2, 3), "“t2” or “t3” has a probability of 2%"),
        ((2, 0), None),
        ((), None),
    ],
)
def test_an_answer_far_less_likely_than_another_token_is_named_with_that_token(answers, words):
    logits = probabilities(0.70, 0.2799, 0.02, 0.0001)
    warning = favour_warning(answers, logits, lambda token: f"t{token}")
    assert warning is None if words is None else words in warning


def test_a_map_and_a_reading_of_such_a_pair_say_so_and_other_maps_do_not(embedded, capitals):
    far = capitals.model_copy(update={"clean": "The capital of France is"})
    words = "does not favour its answer: “ Oslo”"
    [warning] = [w for w in ib.activation_patching(embedded, far, top_k=10).provenance["warnings"] if words in w]
    assert "“ Paris”" in warning
    read = ib.read_pair(embedded, far)
    assert [w.field for w in read.warnings if words in w.message] == ["clean_answer"]
    for pair in (capitals, ib.PromptPairs([far, capitals])):
        found = ib.activation_patching(embedded, pair, metric=["logit_diff", "prob"]).provenance["warnings"]
        assert not any(words in w for w in found)
