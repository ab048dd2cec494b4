"""Edge attribution: estimate the effect of every edge of a model at once, from gradients.

Edge attribution patching (Syed et al. 2023, arXiv:2310.10348), with integrated gradients as in EAP-IG (Hanna et al.
2024, arXiv:2403.17806), on the graph of the MIB benchmark (Mueller et al. 2025, arXiv:2504.13151).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.estimates import Path, refuse_flat
from ..common.method import method
from ..common.over_pairs import naming
from ..common.provenance import provenance
from ..common.signatures import Count, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.backward import RULES, refuse_rule
from ..engine.edges import Prompts, edge_effects
from ..engine.turn import Turn
from ..engine.wiring import receiver_names, sender_names, wiring_of, writers
from ..language.interventions import FromOther
from ..language.loading import load_model
from ..language.metrics import Measure, as_measures
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side
from ..results.graph import Graph, edges_between
from ..results.step import Step, remaining
from .activation_patching import Direction, Metrics, readings_of, tokenize_all
from .attribution_patching import POINTS

OTHER = FromOther()
TOKENS_TOGETHER = 256  # of prompts that are differentiated in one pass


@method
def edge_attribution(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    metric: Metrics = "logit_diff",
    direction: Direction = "noise",
    rules: Annotated[str, OneOf({name: (one.label, one.help) for name, one in RULES.items()}, "rule")] = "gradient",
    ig_steps: Annotated[int, Count("how many steps integrated gradients take", 0, 1000)] = 0,
    ig_points: Annotated[str, OneOf(POINTS, "choice of points")] = "midpoint",
    at: int | None = None,
    keep_pairs: bool = False,
) -> Iterator[Step[Graph]]:
    """Estimate what every edge between embedding, heads, MLPs and logits carries of the difference between two prompts.

    Takes two forward runs and one backward run for each pair, and one product of matrices.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, of which the mean is taken.
        metric: one metric, as in `activation_patching`. A function has to be differentiable by torch.
        direction: where the gradient is taken: "noise" in the clean run, into which the corrupt prompt's edges would be
            patched; "denoise" in the corrupt run.
        rules: what flows back through the model, as in `attribution_patching`.
        ig_steps: with integrated gradients, the mean gradient over this many points between the two prompts' inputs of
            the first block; 0 takes it at the one run. With the points "mib", 5 steps are what the MIB benchmark takes.
        ig_points: as in `attribution_patching`.
        at: the position where the metric is read, as in `activation_patching`.
        keep_pairs: keep the scores of each pair too, from which faithfulness tells how stable a circuit is.

    Returns:
        A `Graph`: `scores` [sender, receiver] in the metric's own unit. A positive score is a part of what makes the
        clean prompt's metric larger than the corrupt prompt's. Where a model has a norm after attention, what a head
        adds is taken to first order.

    Raises:
        ValueError: as in `attribution_patching`; or it is not understood how the model's layers read and write.
    """
    model = load_model(model)
    refuse_rule(model, rules)
    measure = one_measure(metric)
    refuse_flat([measure], direction, ig_steps)
    side: Side = "corrupt" if direction == "denoise" else "clean"
    tokenized, many = tokenize_all(model, pair, [measure]), isinstance(pair, PromptPairs)
    readings = readings_of(tokenized, side, at, [measure], many)
    path = Path(ig_steps, "inputs", ig_points == "mib", direction)
    began = time.perf_counter()
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        parallel = any(layer.parallel for layer in wiring)
        uses = [(name, OTHER) for name in dict.fromkeys(name for name, _ in writers(wiring))]
        runs = BaseRuns(turn, tokenized, readings, uses, 0)
        scores: list[Tensor] = []
        baselines: list[dict[str, float | None]] = []
        while len(scores) < len(tokenized):
            sweeps = []
            for i in _together(runs, len(scores)):
                with naming(i, tokenized[i].pair, many):
                    sweeps.append(Sweep(runs, i, 0, None, began))
                    baselines.append(sweeps[-1].empty_measures(())[measure.name].baselines)
            scores += _scores(sweeps, path, rules)
            if len(scores) < len(tokenized):
                left = remaining(time.perf_counter() - began, len(scores), len(tokenized))
                yield Step(len(scores), len(tokenized), left)
        each = np.stack([one.float().cpu().numpy() for one in scores])
        if not np.isfinite(each[:, edges_between(sender_names(wiring), receiver_names(wiring), parallel)]).all():
            raise ValueError(
                f"The {measure.label} has no finite gradient here, so no edge can be estimated. Choose another metric."
            )
        result = Graph(
            senders=sender_names(wiring),
            receivers=receiver_names(wiring),
            parallel=parallel,
            scores=each.mean(0, dtype=np.float64).astype(np.float32),
            kept=np.isfinite(each[0]).astype(np.uint8),
            by_pair=each if keep_pairs else None,
            metric_label=measure.label,
            baselines={side: mean_of([one[side] for one in baselines]) for side in ("clean", "corrupt")},
            provenance=provenance(turn),
        )
    result.provenance.update(executor="backward", complete=True, seconds=time.perf_counter() - began)
    yield Step(len(tokenized), len(tokenized), 0.0, result)


def one_measure(metric: Any) -> Measure:
    """The one metric that edges are scored by.

    Raises:
        ValueError: several metrics, or one that is unknown.
    """
    measures = as_measures(metric)
    if len(measures) > 1:
        raise ValueError("A graph has the scores of one metric. Give one, and make a graph for each.")
    return measures[0]


def mean_of(values: list[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _together(runs: BaseRuns, first: int) -> list[int]:
    """The pairs whose prompts are differentiated in one pass: as long as the first of them, and read where it is."""

    def kind(i: int) -> tuple[int, list[int]]:
        return len(runs.tokenized[i].ids[runs.readings[i].side]), runs.readings[i].base_positions

    # The user's hooks may be written for the first row of a batch.
    most = 1 if runs.turn.users_hooks else max(1, TOKENS_TOGETHER // kind(first)[0])
    after = range(first, min(first + most, len(runs.tokenized)))
    return list(itertools.takewhile(lambda i: kind(i) == kind(first), after))


def _scores(sweeps: Sequence[Sweep], path: Path, rule: str) -> list[Tensor]:
    """The scores of some pairs, [sender, receiver] each: the mean over the points of the path."""
    turn, bindings = sweeps[0].binding.turn, [sweep.binding for sweep in sweeps]
    made = [{one: binding.change(*one, OTHER) for one in writers(wiring_of(turn))} for binding in bindings]
    towards_clean = 1 if path.direction == "denoise" else -1
    changes = [{one: towards_clean * change for one, (_, change) in each.items()} for each in made]

    def score(logits: Tensor) -> Tensor:
        return torch.cat([sweep.measure(logits[i : i + 1]) for i, sweep in enumerate(sweeps)], 1)

    tokens = [binding.base.tokens.tolist() for binding in bindings]
    prompts = Prompts(tokens, sweeps[0].readings.base_positions, sweeps[0].vocabulary, score, rule)
    hook = made[0]["resid_pre", 0][0]
    base = torch.stack([binding.base.activations[hook] for binding in bindings])
    moved = torch.stack([each["resid_pre", 0][1] for each in made])
    starts = [(hook, base + point * moved) for point in path.points] if path.steps else [None]
    total = edge_effects(turn, prompts, changes, starts[0])
    for start in starts[1:]:
        total = [a + b for a, b in zip(total, edge_effects(turn, prompts, changes, start))]
    return [one / len(starts) for one in total]
