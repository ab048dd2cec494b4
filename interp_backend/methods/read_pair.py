"""The model's predictions for a pair before anything is patched, and the metric of both runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import BaseModel

from ..common.method import method
from ..common.signatures import AskedAs, Count
from ..common.top_tokens import texts_of, top_tokens
from ..engine.recording import record
from ..engine.turn import Turn
from ..language.loading import load_model
from ..language.metrics import (
    AskedMetric,
    Measure,
    MetricFunction,
    Reference,
    as_measures,
    baseline_warnings,
    favour_warning,
    metric_to_json,
)
from ..language.prompts import SIDES, PairWarning, PromptPair, TokenizedPair, as_pair, tokenize
from ..results.codec import finite_or_none
from ..results.effect_map import TopTokens
from ..results.step import Step


class PairReading(BaseModel):
    """Both unpatched runs of a pair.

    Attributes:
        pair: the pair that was read.
        metric: the name of the metric; None if the pair lacks an answer that the metric needs.
        label: the metric in words, with the answers' tokens.
        baselines: the metric of the clean and of the corrupt run; empty without a metric.
        top_runs: the likeliest next tokens of the clean and the corrupt run, [k].
        tokens: the text of every token id in `top_runs`.
        warnings: warnings about the predictions; `TokenizedPair` has the warnings about the texts.
    """

    pair: PromptPair
    metric: str | None
    label: str
    baselines: dict[str, float | None]
    top_runs: dict[str, TopTokens]
    tokens: dict[int, str]
    warnings: list[PairWarning]


@method
def read_pair(
    model: Any,
    pair: PromptPair,
    *,
    metric: Annotated[str | MetricFunction, AskedAs(AskedMetric, metric_to_json)] = "logit_diff",
    top_k: Annotated[int, Count("how many of the likeliest tokens to list", 1, 100)] = 5,
) -> Iterator[Step[PairReading]]:
    """Run both prompts of a pair, and list the likeliest next tokens.

    The prompts may have different lengths. A prompt that can't be run because it is empty or too long is left out.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: the pair.
        metric: as in `activation_patching`; left out of the reading if the pair lacks an answer that it needs.
        top_k: how many likely tokens to list for each prompt.
    """
    model = load_model(model)
    [measure] = as_measures(metric)
    tokenized = tokenize(model, as_pair(pair), measure.whole_answer)
    scored = _scored(tokenized, measure, model.n_ctx)
    run = scored or tokenized
    blocked = {w.field for w in tokenized.warnings if w.code in ("empty_prompt", "too_long")}
    sides = [side for side in SIDES if side not in blocked]
    with Turn(model) as turn:
        # the positions that predict the next token and, of a whole answer, the tokens after it
        read = [range(len(tokenized.ids[side]) - 1, len(run.ids[side])) for side in sides]
        runs = record(turn, [run.ids[side] for side in sides], [], read)
    each = {side: torch.stack([one.logits[at] for at in places]) for side, one, places in zip(sides, runs, read)}
    top_runs = {side: top_tokens(logits[0], top_k) for side, logits in each.items()}
    name: str | None = None
    label, baselines, warnings = "", {}, []
    if scored and len(each) == 2:
        both = each if measure.whole_answer else {side: logits[0] for side, logits in each.items()}
        answers = {f"{side}_answer": tokenized.answer_ids(side) for side in SIDES}
        whole = tokenized.whole_answer() if measure.whole_answer else ()
        reference = Reference(**answers, clean_logits=both["clean"], corrupt_logits=both["corrupt"], whole_answer=whole)
        clean, corrupt = map(finite_or_none, measure.of(torch.stack(list(both.values())), reference).tolist())
        name, baselines = measure.name, {"clean": clean, "corrupt": corrupt}
        sentences = baseline_warnings(measure.name, measure.label, clean, corrupt)
        warnings = [PairWarning(code="baselines", level="warning", message=s) for s in sentences]
        label = _with_answers(measure, tokenized)
        unfavoured = favour_warning(answers["clean_answer"], each["clean"][0], model.token_text)
        if unfavoured and not warnings:  # which would say why
            warnings.append(PairWarning(code="unfavoured", level="warning", message=unfavoured, field="clean_answer"))
    reading = PairReading(
        pair=pair,
        metric=name,
        label=label,
        baselines=baselines,
        top_runs=top_runs,
        tokens=texts_of(model, *(top.ids for top in top_runs.values())),
        warnings=warnings,
    )
    yield Step(1, 1, 0.0, reading)


def _scored(tokenized: TokenizedPair, measure: Measure, n_ctx: int) -> TokenizedPair | None:
    """The pair as the metric reads it; None if it can't be measured on this pair."""
    if not all(tokenized.answer_ids("clean" if need == "clean_answer" else "corrupt") for need in measure.needs):
        return None
    if measure.whole_answer:
        try:
            return tokenized.with_answer(n_ctx)
        except ValueError:
            return None
    several = any(w.code == "several_tokens" and w.field in measure.needs for w in tokenized.warnings)
    return None if several else tokenized


def _with_answers(measure: Measure, tokenized: TokenizedPair) -> str:
    if measure.whole_answer:
        return f"{measure.label}, “{''.join(tokenized.texts['clean_answer']).strip()}”"
    clean, corrupt = (
        " or ".join(tokenized.texts[f"{side}_answer"][start].strip() for start in tokenized.starts[f"{side}_answer"])
        for side in SIDES
    )
    if measure.name == "logit_diff":
        return f"{measure.label}, {clean} \u2212 {corrupt}"
    return f"{measure.label} of {clean}" if measure.needs else measure.label
