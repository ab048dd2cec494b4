"""What the model says to a pair before anything is patched: likeliest tokens and the metric of both runs."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel

from ..executor import record
from ..metrics import MetricFunction, Reference, baseline_warnings, needs_of, resolve
from ..model import load_model
from ..prompts import PairWarning, PromptPair, as_pair, tokenize
from ..results import TopTokens, finite_or_none
from ..turn import Turn
from .top_tokens import texts_of, top_tokens


class PairReading(BaseModel):
    """Both unpatched runs of a pair.

    Attributes:
        pair: the pair that was read.
        metric: name of the metric; None if the pair lacks what it needs.
        label: the metric in words, with the answers' tokens.
        baselines: the metric of the clean and of the corrupt run; empty without a metric.
        top_runs: likeliest next tokens of the clean and the corrupt run, [k].
        tokens: the text of every token id in `top_runs`.
        warnings: about what the model says, not about the text.
    """

    pair: PromptPair
    metric: str | None
    label: str
    baselines: dict[str, float | None]
    top_runs: dict[str, TopTokens]
    tokens: dict[int, str]
    warnings: list[PairWarning]


def read_pair(
    model: Any, pair: PromptPair, *, metric: str | MetricFunction = "logit_diff", top_k: int = 5
) -> PairReading:
    """Run both prompts of a pair and say what comes next.

    The prompts may have different lengths here. A prompt that can't be run (empty, too long) is left out.

    Args:
        model: what `load_model` gives or takes.
        pair: the pair.
        metric: as in `activation_patching`; left out of the reading if the pair lacks the answer it needs.
        top_k: how many likely tokens to list for each prompt.
    """
    model = load_model(model)
    tokenized = tokenize(model, as_pair(pair))
    blocked = {w.field for w in tokenized.warnings if w.code in ("empty_prompt", "too_long")}
    with Turn(model) as turn:
        logits = {
            side: record(turn, tokenized.ids[side]).logits for side in ("clean", "corrupt") if side not in blocked
        }
    top_runs = {side: top_tokens(run, top_k) for side, run in logits.items()}
    name: str | None = None
    label, baselines, warnings = "", {}, []
    unscored = any(w.code == "several_tokens" and w.field in needs_of(metric) for w in tokenized.warnings)
    if len(logits) == 2 and not unscored:
        reference = Reference(tokenized.answer_id("clean"), tokenized.answer_id("corrupt"), logits["clean"])
        try:
            name, label, measure = resolve(metric, reference)
        except ValueError:
            pass  # no answer yet: the editor already says so
        else:
            values = measure(torch.stack([logits["clean"], logits["corrupt"]])).tolist()
            baselines = {"clean": finite_or_none(values[0]), "corrupt": finite_or_none(values[1])}
            sentences = baseline_warnings(name, label, *values)
            warnings = [PairWarning(code="baselines", level="warning", message=s) for s in sentences]
            label = _with_answers(name, label, tokenized.texts)
    return PairReading(
        pair=pair,
        metric=name,
        label=label,
        baselines=baselines,
        top_runs=top_runs,
        tokens=texts_of(model, *(top.ids for top in top_runs.values())),
        warnings=warnings,
    )


def _with_answers(name: str, label: str, texts: dict[str, list[str]]) -> str:
    clean, corrupt = (texts[f"{side}_answer"] for side in ("clean", "corrupt"))
    if name == "logit_diff":
        return f"{label}, {clean[0].strip()} \u2212 {corrupt[0].strip()}"
    return f"{label} of {clean[0].strip()}" if name != "kl" and clean else label
