"""Activation patching: put an activation of one run into another, and see what comes back.

Also called causal tracing or interchange intervention: Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022
(arXiv:2202.05262); on directions and metrics, Zhang & Nanda 2023 (arXiv:2309.16042) and Heimersheim & Nanda
2024 (arXiv:2404.15255).
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from ..executor import Patch, Run, record, run_patches, unchanged, why_not_by_hand
from ..metrics import MetricFunction, Reference, baseline_warnings, needs_of, resolve
from ..model import ACTIVATIONS, LanguageModel, load_model
from ..prompts import PromptPair, TokenizedPair, as_pair, tokenize
from ..results import COMPUTED, NOT_COMPUTED, UNCHANGED, Prompt, Result, TopTokens, finite_or_none
from ..turn import Turn
from .provenance import provenance
from .top_tokens import texts_of, top_tokens

Direction = Literal["denoise", "noise"]


@dataclass(frozen=True)
class Step:
    """Some way into a sweep: the result so far, and which cells (flat, in C order) are new since the last step."""

    result: Result
    cells: list[int]
    done: int
    total: int
    seconds_left: float | None


def activation_patching(
    model: Any,
    pair: PromptPair,
    *,
    activation: str = "resid_pre",
    direction: Direction = "denoise",
    metric: str | MetricFunction = "logit_diff",
    axes: Sequence[str] | None = None,
    top_k: int = 0,
) -> Result:
    """Patch every place of one kind, one at a time, and measure what each does.

    Equal to the functions of `transformer_lens.patching` (for example `get_act_patch_resid_pre`), cell by cell.

    Args:
        model: what `load_model` gives or takes.
        pair: the clean and the corrupt prompt, equally many tokens.
        activation: `resid_pre`, `resid_mid`, `resid_post`, `attn_out`, `mlp_out` or `z` (per head).
        direction: "denoise" patches clean into corrupt (what is enough to restore the answer), "noise"
            patches corrupt into clean (what is needed for it).
        metric: one of `metrics.METRICS`, or a function of logits [run, d_vocab] at the last position that
            gives one number a run, [run].
        axes: `("layer", "position")`; for z `("layer", "head")`, which patches a head at all positions at once,
            or `("layer", "head", "position")`. By default the first of these that fits.
        top_k: how many of each patched run's likeliest next tokens to keep; 0 keeps none.

    Returns:
        A `Result` with `values` [*axes] in the metric's own unit (logits, nats, ...) and `normalized`.

    Raises:
        ValueError: prompts of unequal length, an answer of several tokens that is not to be scored by its
            first, an activation that this model does not have, axes that don't fit the activation, a metric
            that needs a missing answer.
    """
    steps = activation_patching_steps(
        model, pair, activation=activation, direction=direction, metric=metric, axes=axes, top_k=top_k
    )
    return deque(steps, maxlen=1)[0].result  # the last step; there is always a first


def activation_patching_steps(
    model: Any,
    pair: PromptPair,
    *,
    activation: str = "resid_pre",
    direction: Direction = "denoise",
    metric: str | MetricFunction = "logit_diff",
    axes: Sequence[str] | None = None,
    top_k: int = 0,
) -> Iterator[Step]:
    """`activation_patching` in steps; all of them share one result, filled as it goes.

    The first step has the cells that need no run. Whoever stops early keeps the last step's result, with
    `complete` False. The model's lock is held from the first step until the iterator ends or is closed.
    """
    model = load_model(model)
    if top_k < 0:
        raise ValueError(f"top_k is how many tokens to keep, 0 or more, not {top_k}.")
    tokenized = tokenize(model, as_pair(pair))
    tokenized.refuse(needs_of(metric), equal_lengths=True)
    axes = choose_axes(model, activation, axes)
    if direction not in get_args(Direction):
        raise ValueError(f"There is no direction {direction!r}. Choose denoise or noise.")
    began = time.perf_counter()
    with Turn(model) as turn:
        clean = record(turn, tokenized.ids["clean"], [activation])
        corrupt = record(turn, tokenized.ids["corrupt"], [activation])
        base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
        reference = Reference(tokenized.answer_id("clean"), tokenized.answer_id("corrupt"), clean.logits)
        name, label, measure = resolve(metric, reference)
        result = _empty_result(turn, tokenized, axes, clean, corrupt, measure, top_k)
        result.params.update(activation=activation, axes=list(axes), direction=direction, metric=name)
        result.metric_label = label
        result.provenance["executor"] = "blocks" if why_not_by_hand(turn, base) is None else "hooks"
        result.provenance["executor_reason"] = why_not_by_hand(turn, base)
        result.provenance["warnings"] += baseline_warnings(name, label, *result.baselines.values())
        yield from _sweep(turn, base, source, result, measure, top_k, began)


def choose_axes(model: LanguageModel, activation: str, axes: Sequence[str] | None) -> tuple[str, ...]:
    """The axes of a sweep: those asked for if they fit the activation, else the activation's first choice.

    Raises:
        ValueError: an activation that doesn't exist or that this model doesn't have, or axes that don't fit.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"There is no activation {activation!r}. Choose one of {', '.join(ACTIVATIONS)}.")
    if activation in model.unavailable:
        raise ValueError(model.unavailable[activation])
    choices = axes_of(activation)
    if axes is None:
        return choices[0]
    if not isinstance(axes, (list, tuple)) or tuple(axes) not in choices:
        fitting = " or ".join(str(choice) for choice in choices)
        raise ValueError(f"The axes of {activation} are {fitting}, not {axes!r}.")
    return tuple(axes)


def axes_of(activation: str) -> list[tuple[str, ...]]:
    """The ways in which one kind of activation can be swept, the usual one first."""
    if ACTIVATIONS[activation].per_head:
        return [("layer", "head"), ("layer", "head", "position")]
    return [("layer", "position")]


def _empty_result(
    turn: Turn,
    tokenized: TokenizedPair,
    axes: tuple[str, ...],
    clean: Run,
    corrupt: Run,
    measure: MetricFunction,
    top_k: int,
) -> Result:
    """A result with no cell computed, and all that is known before the first."""
    model, texts = turn.model, tokenized.texts
    all_labels = {
        "layer": [str(i) for i in range(model.n_layers)],
        "head": [str(i) for i in range(model.n_heads)],
        "position": texts["clean"],
    }
    shape = tuple(len(all_labels[axis]) for axis in axes)
    baselines = measure(torch.stack([clean.logits, corrupt.logits])).tolist()
    tops = {side: top_tokens(run.logits, top_k) for side, run in (("clean", clean), ("corrupt", corrupt))}
    top = None
    if top_k:
        k = tops["clean"].ids.shape[0]
        top = TopTokens(
            ids=np.full((*shape, k), -1, np.int32),
            logits=np.full((*shape, k), np.nan, np.float32),
            probs=np.full((*shape, k), np.nan, np.float32),
        )
    return Result(
        method="activation_patching",
        params={"top_k": top_k},
        axes=axes,
        labels={axis: all_labels[axis] for axis in axes},
        values=np.full(shape, np.nan, np.float32),
        state=np.full(shape, NOT_COMPUTED, np.uint8),
        baselines={"clean": finite_or_none(baselines[0]), "corrupt": finite_or_none(baselines[1])},
        metric_label="",
        prompts={side: _prompt(tokenized, side) for side in ("clean", "corrupt")},
        top=top,
        top_runs=tops if top_k else {},
        tokens=texts_of(model, *(t.ids for t in tops.values())),
        provenance=provenance(turn),
    )


def _prompt(tokenized: TokenizedPair, side: Literal["clean", "corrupt"]) -> Prompt:
    answer = tokenized.texts[f"{side}_answer"]
    return Prompt(
        text=getattr(tokenized.pair, side),
        ids=tokenized.ids[side],
        tokens=tokenized.texts[side],
        answer=answer[0] if answer else None,
    )


def _sweep(
    turn: Turn,
    base: Run,
    source: Run,
    result: Result,
    measure: MetricFunction,
    top_k: int,
    began: float,
) -> Iterator[Step]:
    places = [dict(zip(result.axes, index)) for index in itertools.product(*map(range, result.values.shape))]
    patches = [Patch(result.params["activation"], **place) for place in places]
    equal = [cell for cell, patch in enumerate(patches) if unchanged(base, source, turn.model, patch)]
    to_run = sorted(set(range(len(patches))) - set(equal))
    _fill(turn.model, result, equal, base.logits[None], measure, top_k, UNCHANGED)
    result.provenance.update(complete=result.complete, seconds=time.perf_counter() - began)
    yield Step(result, equal, 0, len(to_run), None)

    started, done = time.perf_counter(), 0
    for chosen, logits in run_patches(turn, base, source, [patches[cell] for cell in to_run]):
        cells = [to_run[i] for i in chosen]
        _fill(turn.model, result, cells, logits, measure, top_k, COMPUTED)
        done += len(cells)
        now = time.perf_counter()
        result.provenance.update(complete=result.complete, seconds=now - began)
        yield Step(result, cells, done, len(to_run), (now - started) / done * (len(to_run) - done))


def _fill(
    model: LanguageModel,
    result: Result,
    cells: list[int],
    logits: torch.Tensor,
    measure: MetricFunction,
    top_k: int,
    state: int,
) -> None:
    """Write cells (flat indices) from their runs' logits [cell or 1, d_vocab]."""
    result.values.flat[cells] = measure(logits).cpu().numpy()
    result.state.flat[cells] = state
    if result.top is not None and cells:
        top = top_tokens(logits, top_k)
        for name in ("ids", "logits", "probs"):
            flat = getattr(result.top, name).reshape(result.values.size, -1)
            flat[cells] = getattr(top, name)
        result.tokens.update(texts_of(model, top.ids))
