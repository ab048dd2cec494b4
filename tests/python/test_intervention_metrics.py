"""What is read of patched runs: several metrics, positions and answers at once."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

import interp_backend as ib
from intervention_loop import PAIR, model_of
from plain_loop import Change, logit_diff, put_other, runs_of, token
from tiny_models import bridge


def test_several_metrics_at_several_positions_need_no_further_run():
    raw, model = bridge("gpt2"), model_of("gpt2")
    base, other = runs_of(raw, PAIR)

    def third_logit(logits):
        return logits[:, 3]

    metrics = ["logit_diff", ("logit", 2), ("logit", -2), ("kl", 3), "rank", (third_logit, 4)]
    from interp_backend.engine.executor import Plan

    ib.activation_patching(model, PAIR, activation="attn_out")  # tries once whether this model can be run packed
    with mock.patch.object(Plan, "run_packed", autospec=True, side_effect=Plan.run_packed) as passes:
        result = ib.activation_patching(model, PAIR, activation="attn_out", metric=metrics)
        several = passes.call_count
        ib.activation_patching(model, PAIR, activation="attn_out")
        assert passes.call_count == 2 * several
    assert list(result.measures) == ["logit_diff", "logit@2", "logit@-2", "kl@3", "rank", "third_logit@4"]
    a = token(raw, "a")
    clean = other.logits.log_softmax(-1)
    for layer, position in np.ndindex(result.values.shape):
        logits = base.changed(Change("attn_out", layer, put_other(other, "attn_out", layer), [position]))
        q = logits.log_softmax(-1)
        expected = {
            "logit_diff": logit_diff(raw, logits[-1], PAIR),
            "logit@2": logits[2, a],
            "logit@-2": logits[-2, a],
            "kl@3": (clean[3].exp() * (clean[3] - q[3])).sum(),
            "rank": (logits[-1] > logits[-1, a]).sum(),
            "third_logit@4": logits[4, 3],
        }
        for name, value in expected.items():
            assert result.by_metric(name).values[layer, position] == pytest.approx(float(value), abs=1e-5)
    assert result.by_metric("logit@2").baselines["corrupt"] == pytest.approx(float(base.logits[2, a]), abs=1e-5)
    assert result.by_metric("logit@2").baselines["clean"] == pytest.approx(float(other.logits[2, a]), abs=1e-5)
    assert {"logit@2", "third_logit@4"} <= set(result.to_dataframe())
    with pytest.raises(ValueError, match=r"measured logit_diff.*and not prob"):
        result.by_metric("prob")


@pytest.mark.parametrize("at", [None, 3])
def test_sets_of_answers_average_logits_and_add_probabilities(at):
    raw = bridge("llama")
    pair = PAIR.model_copy(update={"clean_answer": ("a", "c", "d"), "corrupt_answer": ("b", "e")})
    base, other = runs_of(raw, pair)
    result = ib.activation_patching(
        model_of("llama"), pair, activation="mlp_out", at=at, metric=["logit_diff", "logit", "prob", "log_prob", "rank"]
    )
    clean, corrupt = [token(raw, t) for t in "acd"], [token(raw, t) for t in "be"]
    for layer, position in np.ndindex(result.values.shape):
        change = Change("mlp_out", layer, put_other(other, "mlp_out", layer), [position])
        logits = base.changed(change)[-1 if at is None else at]
        probs = logits.softmax(-1)
        expected = {
            "logit_diff": logits[clean].mean() - logits[corrupt].mean(),
            "logit": logits[clean].mean(),
            "prob": probs[clean].sum(),
            "log_prob": probs[clean].sum().log(),
            "rank": (logits > logits[clean].max()).sum(),
        }
        for name, value in expected.items():
            assert result.by_metric(name).values[layer, position] == pytest.approx(float(value), abs=1e-5)
    assert result.prompts["clean"].answers == ["a", "c", "d"]


def test_answers_that_share_their_token_count_once():
    once = PAIR.model_copy(update={"clean_answer": "a"})
    twice = PAIR.model_copy(update={"clean_answer": ("a", "a")})
    metrics = ["prob", "log_prob", "logit_diff"]
    one, two = (ib.activation_patching(model_of("gpt2"), pair, metric=metrics) for pair in (once, twice))
    for metric in metrics:
        assert one.by_metric(metric).baselines == two.by_metric(metric).baselines
        np.testing.assert_array_equal(one.by_metric(metric).values, two.by_metric(metric).values)
