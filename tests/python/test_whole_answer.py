"""An answer of several tokens, scored by the log-probability of all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from driven_widgets import Watched, ask

import hookscope as hs
import interp_backend as ib
from interp_backend.refusal import Refused
from tiny_models import PAIR, bridge

SIDES = ("clean", "corrupt")
WHOLE = "answer_log_prob"
PAIRS = {
    "one length": PAIR.model_copy(update={"clean_answer": "abc", "corrupt_answer": "xy"}),
    "two lengths": ib.PromptPair(clean="hello there", corrupt="hellu theruu", clean_answer="abc"),
}


def answer_of(raw, text="abc"):
    return raw.tokenizer(text, add_special_tokens=False)["input_ids"]


def with_answer(raw, prompt, answer):
    return torch.cat([raw.to_tokens(prompt), torch.tensor([answer[:-1]], dtype=torch.long)], dim=1)


def score(logits, answer):
    """The log-probability of an answer's tokens in logits [1, position, d_vocab] of a prompt and that answer."""
    start = logits.shape[1] - len(answer)
    return sum(float(logits[0, start + i].log_softmax(-1)[token]) for i, token in enumerate(answer))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_it_equals_a_plain_loop_over_the_prompts_with_the_answer(name, pair, direction):
    raw = bridge(name)
    answer = answer_of(raw)
    tokens = {side: with_answer(raw, getattr(pair, side), answer) for side in SIDES}
    base, other = ("corrupt", "clean") if direction == "denoise" else ("clean", "corrupt")
    result = ib.activation_patching(raw, pair, activation="resid_pre", metric=WHOLE, direction=direction)
    assert result.values.shape == (3, tokens[base].shape[1])
    counterparts = result.counterparts or list(range(tokens[base].shape[1]))
    with torch.no_grad():
        _, cache = raw.run_with_cache(tokens[other])
        for side in SIDES:
            assert result.baselines[side] == pytest.approx(score(raw(tokens[side]), answer), abs=1e-4)
        for layer, position in np.ndindex(result.values.shape):
            if counterparts[position] is None:
                continue

            def put(value, hook, position=position):
                value[:, position] = cache[hook.name][:, counterparts[position]]
                return value

            patched = raw.run_with_hooks(tokens[base], fwd_hooks=[(f"blocks.{layer}.hook_resid_pre", put)])
            assert result.values[layer, position] == pytest.approx(score(patched, answer), abs=1e-4)


def test_the_answers_tokens_are_positions_and_the_last_of_them_is_not(embedded, capitals):
    pair = capitals.model_copy(update={"clean_answer": " Oslo, and"})
    result = ib.activation_patching(embedded, pair, metric=WHOLE, top_k=1)
    assert result.labels["position"][-3:] == [" is", " Oslo", ","]
    assert result.prompts["clean"].answer == " Oslo, and" and result.prompts["corrupt"].answer == " Stockholm"
    # the likeliest next token is that after the prompt, not after the answer
    assert result.tokens[int(result.top_runs["clean"].ids[0])] == " Oslo"


def test_of_one_token_it_is_the_log_probability(embedded, capitals):
    whole = ib.activation_patching(embedded, capitals, metric=WHOLE)
    first = ib.activation_patching(embedded, capitals, metric="log_prob")
    np.testing.assert_allclose(whole.values, first.values, atol=1e-5)


def test_a_patch_of_everything_restores_the_clean_runs_value(embedded, capitals):
    pair = capitals.model_copy(update={"clean_answer": " Oslo, and"})
    every = ib.Intervention(activation="resid_pre", layer=0)
    result = ib.patch_together(embedded, pair, [every], metric=WHOLE)
    assert result.values[0] == pytest.approx(result.baselines["clean"], abs=1e-4)


THIRD = ib.FromPrompt(text="hells thera")
MEAN = ib.Mean(prompts=("hello thers", "hells"), by_position=False)


@pytest.mark.parametrize("value", ["zero", THIRD, MEAN], ids=["zero", "third", "mean"])
def test_values_of_other_prompts_are_aligned_with_the_prompt_and_the_answer(value):
    raw = bridge("gpt2")
    result = ib.activation_patching(raw, PAIRS["one length"], activation="mlp_out", metric=WHOLE, value=value)
    assert np.isfinite(result.values).all() and result.values.shape == (3, 14)
    if value is THIRD:
        answer = answer_of(raw)
        with torch.no_grad():
            _, cache = raw.run_with_cache(with_answer(raw, THIRD.text, answer))

            def put(at, hook):
                at[:, 13] = cache[hook.name][:, 13]
                return at

            hooks = [("blocks.1.hook_mlp_out", put)]
            patched = raw.run_with_hooks(with_answer(raw, PAIR.corrupt, answer), fwd_hooks=hooks)
        assert result.values[1, 13] == pytest.approx(score(patched, answer), abs=1e-4)


def test_a_data_sets_answers_have_one_length_so_that_their_positions_correspond(embedded, capitals):
    pairs = [capitals.model_copy(update={"clean_answer": text}) for text in (" Oslo, and", " Oslo, the")]
    mean = ib.activation_patching(embedded, ib.PromptPairs(pairs), metric=WHOLE)
    each = [ib.activation_patching(embedded, pair, metric=WHOLE).values for pair in pairs]
    np.testing.assert_allclose(mean.values, np.mean(each, 0), atol=1e-4)
    with pytest.raises(ValueError, match=r"have 1 to 3 tokens.*same number"):
        ib.activation_patching(embedded, ib.PromptPairs([*pairs, capitals]), metric=WHOLE)


def test_the_pairs_reading_has_it_of_both_runs():
    raw, pair = bridge("gpt2"), PAIRS["two lengths"]
    reading = ib.read_pair(raw, pair, metric=WHOLE)
    answer = answer_of(raw)
    with torch.no_grad():
        expected = {side: score(raw(with_answer(raw, getattr(pair, side), answer)), answer) for side in SIDES}
    assert reading.baselines == pytest.approx(expected, abs=1e-4)
    assert reading.label == "log-probability of the whole answer, “abc”"
    first = ib.read_pair(raw, pair.model_copy(update={"clean_answer": "a"}))
    assert list(reading.top_runs["corrupt"].ids) == list(first.top_runs["corrupt"].ids)
    several = pair.model_copy(update={"clean_answer": ("abc", "d")})
    assert ib.read_pair(raw, several, metric=WHOLE).metric is None


def test_what_it_does_not_fit_is_refused_with_a_sentence(embedded, capitals):
    several = capitals.model_copy(update={"clean_answer": (" Oslo,", " Bergen")})
    long = capitals.model_copy(update={"clean_answer": " Oslo" * embedded.n_ctx})
    for pair, options, words in (
        (several, {"metric": WHOLE}, "2 clean answers, and only one can be scored whole"),
        (long, {"metric": WHOLE}, "with the answer after it has"),
        (capitals, {"metric": [WHOLE, "logit"]}, "can't be measured together"),
        (capitals, {"metric": (WHOLE, 2)}, "Leave its position out"),
        (capitals, {"metric": WHOLE, "at": 2}, "Leave at out"),
        (capitals.model_copy(update={"clean_answer": ""}), {"metric": WHOLE}, "needs the clean answer"),
    ):
        with pytest.raises(ValueError, match=words):
            ib.activation_patching(embedded, pair, **options)


def test_the_heatmap_offers_it_where_an_answer_has_several_tokens(embedded, capitals):
    pair = capitals.model_copy(update={"clean_answer": " Oslo, and"})
    with pytest.raises(Refused) as refused:
        ib.activation_patching(embedded, pair)
    assert refused.value.change == {"metric": WHOLE}
    heatmap = Watched(hs.PatchHeatmap, embedded, pair)
    assert heatmap.error["remedy"]["label"] == "Score the whole clean answer"
    remedy = heatmap.error["remedy"]
    ask(heatmap, remedy["method"], **remedy["params"])
    assert heatmap.wait(60) and heatmap.result.params["metric"] == WHOLE
    assert "metric='answer_log_prob'" in heatmap.code
    heatmap.close()


def test_the_editor_warns_of_an_answer_of_several_tokens_only_if_its_metric_reads_one(embedded, capitals):
    editor = Watched(hs.PromptPairEditor, embedded, capitals.model_copy(update={"clean_answer": " Oslo, and"}))
    codes = [warning["code"] for warning in editor.tokens["warnings"]]
    assert codes == ["several_tokens"]
    editor.metric = WHOLE
    assert editor.wait(60) and editor.tokens["warnings"] == [] and editor.result.metric == WHOLE
    editor.close()
