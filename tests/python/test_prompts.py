"""Pairs: what the tokenizer makes of them, how they are aligned, and every warning with its remedy."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import interp_backend as ib
from interp_backend.language.prompts import align
from interp_backend.language.tasks import templates
from tiny_models import bridge


def warnings_of(model, **fields):
    pair = {
        "clean": "The capital of Norway is",
        "corrupt": "The capital of Sweden is",
        "clean_answer": " Oslo",
        "corrupt_answer": " Stockholm",
    }
    tokenized = ib.tokenize(model, ib.PromptPair(**(pair | fields)))
    return {warning.code: warning for warning in tokenized.warnings}


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 5), max_size=12))
def test_an_alignment_holds_every_token_once_and_in_order(clean, corrupt):
    columns = align(clean, corrupt)
    assert [c.clean for c in columns if c.clean is not None] == list(range(len(clean)))
    assert [c.corrupt for c in columns if c.corrupt is not None] == list(range(len(corrupt)))
    for column in columns:
        both = column.clean is not None and column.corrupt is not None
        assert both or not column.same
        assert column.same == (both and clean[column.clean] == corrupt[column.corrupt])


def test_prompts_of_one_length_are_aligned_position_by_position():
    columns = align([1, 2, 3, 1], [1, 3, 2, 1])
    assert [(c.clean, c.corrupt, c.same) for c in columns] == [(0, 0, True), (1, 1, False), (2, 2, False), (3, 3, True)]


def test_a_word_more_leaves_a_gap_on_the_other_side():
    columns = align([1, 2, 3], [1, 9, 2, 3])
    assert [(c.clean, c.corrupt) for c in columns] == [(0, 0), (None, 1), (1, 2), (2, 3)]


@settings(max_examples=60)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=8), st.text(max_size=8))
def test_any_text_is_tokenised_without_complaint(clean, corrupt, a, b):
    model = ib.load_model(bridge("gpt2"))
    # lone surrogates are no text; what comes from a view or a file is UTF-8
    texts = [text.encode("utf-8", "ignore").decode("utf-8") for text in (clean, corrupt, a, b)]
    pair = ib.PromptPair(clean=texts[0], corrupt=texts[1], clean_answer=texts[2], corrupt_answer=texts[3])
    tokenized = ib.tokenize(model, pair)
    for name, ids in tokenized.ids.items():
        assert len(ids) == len(tokenized.texts[name])
    assert all(warning.message.endswith((".", "?")) or "”" in warning.message for warning in tokenized.warnings)


def test_a_good_pair_has_no_warnings(embedded):
    assert warnings_of(embedded) == {}


def test_unequal_token_counts(embedded):
    warning = warnings_of(embedded, corrupt="The capital of the Sweden is")["unequal_lengths"]
    assert warning.level == "note" and "6 tokens and the corrupt one 7" in warning.message


def test_a_trailing_space_can_be_removed(embedded):
    warning = warnings_of(embedded, clean="The capital of Norway is ")["trailing_space"]
    assert warning.field == "clean" and warning.fix.pair.clean == "The capital of Norway is"
    assert "own token" in warning.message


def test_an_answer_without_its_leading_space_can_get_it(embedded):
    warning = warnings_of(embedded, clean_answer="Oslo")["no_leading_space"]
    assert warning.fix.pair.clean_answer == " Oslo"


def test_digits_that_continue_a_year_need_no_space(embedded):
    year = "The war lasted from the year 1743 to the year 17"
    assert "no_leading_space" not in warnings_of(embedded, clean=year, clean_answer="58")


def test_an_answer_of_several_tokens_is_scored_by_its_first_only_if_told_so(embedded):
    several = "xylophone quartz"
    warning = warnings_of(embedded, clean_answer=f" {several}")["several_tokens"]
    assert warning.level == "error" and warning.fix.pair.score_first_token
    told = warnings_of(embedded, clean_answer=f" {several}", score_first_token=True)
    assert "several_tokens" not in told and told["first_token"].level == "note"


def test_answers_that_share_their_first_token(embedded):
    same = warnings_of(embedded, clean_answer=" Oslo.", corrupt_answer=" Oslo!", score_first_token=True)
    assert same["equal_first_tokens"].level == "error"


def test_equal_prompts_and_equal_answers(embedded):
    same = warnings_of(embedded, corrupt="The capital of Norway is", corrupt_answer=" Oslo")
    assert {"equal_prompts", "equal_answers"} <= set(same)


def test_a_doubled_bos_can_be_removed(embedded):
    bos = embedded.bos[1]
    warning = warnings_of(embedded, clean=f"{bos}The capital of Norway is")["doubled_bos"]
    assert warning.fix.pair.clean == "The capital of Norway is"


@pytest.mark.parametrize("method", [ib.logit_lens, ib.attention_patterns, ib.direct_logit_attribution])
def test_every_method_that_reads_prompts_warns_of_a_doubled_bos(embedded, capitals, method):
    bos = embedded.bos[1]
    pair = capitals.model_copy(update={"corrupt": bos + capitals.corrupt})
    [warning] = [w for w in method(embedded, pair).warnings if "twice" in w]
    assert warning.startswith(f"The corrupt prompt begins with {bos}")
    assert not any("twice" in warning for warning in method(embedded, capitals).warnings)


def test_a_bos_in_the_text_that_is_not_read_is_not_doubled(embedded):
    text = f"{embedded.bos[1]}The capital of Norway is"
    assert any("twice" in warning for warning in ib.logit_lens(embedded, text).warnings)
    assert not any("twice" in warning for warning in ib.logit_lens(embedded, text, last=3).warnings)


def test_more_tokens_than_the_context(embedded):
    warning = warnings_of(embedded, clean="one two " * embedded.n_ctx)["too_long"]
    assert warning.level == "error" and f"at most {embedded.n_ctx}" in warning.message


def test_empty_prompts_and_missing_answers(embedded):
    found = warnings_of(embedded, clean="", clean_answer="")
    assert found["empty_prompt"].field == "clean" and found["no_answer"].field == "clean_answer"


def test_a_clean_run_that_is_no_better_than_the_corrupt_one(embedded, capitals):
    swapped = capitals.model_copy(update={"clean": capitals.corrupt, "corrupt": capitals.clean})
    (warning,) = ib.read_pair(embedded, swapped).warnings
    assert warning.code == "baselines" and "swapped" in warning.message
    assert ib.activation_patching(embedded, swapped).provenance["warnings"] == [warning.message]
    assert ib.read_pair(embedded, capitals).warnings == []


def test_a_reading_has_both_baselines_and_the_likeliest_tokens(embedded, capitals):
    reading = ib.read_pair(embedded, capitals)
    assert reading.label == "logit difference, Oslo − Stockholm"
    assert reading.baselines["clean"] > 0 > reading.baselines["corrupt"]
    assert reading.tokens[int(reading.top_runs["clean"].ids[0])] == " Oslo"
    assert reading.tokens[int(reading.top_runs["corrupt"].ids[0])] == " Stockholm"
    assert reading.top_runs["clean"].ids.shape == (5,)


def test_a_reading_of_half_a_pair_shows_the_other_half(embedded, capitals):
    reading = ib.read_pair(embedded, capitals.model_copy(update={"corrupt": ""}))
    assert set(reading.top_runs) == {"clean"} and reading.baselines == {}


def test_an_unknown_field_of_a_pair_is_refused():
    with pytest.raises(ValidationError):
        ib.PromptPair(clean="a", corrupt="b", answer=" c")


def test_a_pair_of_unnamed_texts_is_refused_in_a_sentence():
    with pytest.raises(TypeError, match=r"takes its texts by name: PromptPair\(clean=\.\.\., corrupt=\.\.\., "):
        ib.PromptPair("a", "b", " x", " y")
    pair = ib.PromptPair(clean="a", corrupt="b")
    assert pickle.loads(pickle.dumps(pair)) == copy.deepcopy(pair) == pair.model_copy() == pair


def test_every_template_is_a_pair_that_the_embedded_model_gets_right(embedded):
    for template in templates(embedded):
        for pair in template.pairs:
            errors = [w.message for w in ib.tokenize(embedded, pair).warnings if w.level != "note"]
            assert errors == [], (template.name, pair)
            assert ib.read_pair(embedded, pair).warnings == [], (template.name, pair)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_templates_exist_for_any_tokenizer(architecture):
    model = ib.load_model(bridge(architecture))
    assert all(template.pairs for template in templates(model))
