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
    tokenized = tokenize(model, as_pair(pair))
    blocked = {w.field for w in tokenized.warnings if w.code in ("empty_prompt", "too_long")}
    sides = [side for side in SIDES if side not in blocked]
    with Turn(model) as turn:
        ends = [[len(tokenized.ids[side]) - 1] for side in sides]
        runs = record(turn, [tokenized.ids[side] for side in sides], [], ends)
    logits = {side: run.logits[end] for side, run, [end] in zip(sides, runs, ends)}
    top_runs = {side: top_tokens(run, top_k) for side, run in logits.items()}
    [measure] = as_measures(metric)
    name: str | None = None
    label, baselines, warnings = "", {}, []
    unscored = any(w.code == "several_tokens" and w.field in measure.needs for w in tokenized.warnings)
    answers = {f"{side}_answer": tokenized.answer_ids(side) for side in SIDES}
    if len(logits) == 2 and not unscored and all(answers[need] for need in measure.needs):
        reference = Reference(**answers, clean_logits=logits["clean"], corrupt_logits=logits["corrupt"])
        clean, corrupt = map(finite_or_none, measure.of(torch.stack(list(logits.values())), reference).tolist())
        name, baselines = measure.name, {"clean": clean, "corrupt": corrupt}
        sentences = baseline_warnings(measure.name, measure.label, clean, corrupt)
        warnings = [PairWarning(code="baselines", level="warning", message=s) for s in sentences]
        label = _with_answers(measure, tokenized)
        unfavoured = favour_warning(answers["clean_answer"], logits["clean"], model.token_text)
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


def _with_answers(measure: Measure, tokenized: TokenizedPair) -> str:
    clean, corrupt = (
        " or ".join(tokenized.texts[f"{side}_answer"][start].strip() for start in tokenized.starts[f"{side}_answer"])
        for side in SIDES
    )
    if measure.name == "logit_diff":
        return f"{measure.label}, {clean} \u2212 {corrupt}"
    return f"{measure.label} of {clean}" if measure.needs else measure.label
