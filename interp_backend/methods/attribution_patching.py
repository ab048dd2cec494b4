"""Attribution patching: estimate the effect of every patch at once, from gradients.

The effect of a patch is estimated as the change that it makes to an activation, times the gradient of the metric there
(Nanda 2023, "Attribution patching"; Kramár et al. 2024, arXiv:2403.00745). `rules` and `ig_steps` choose what takes the
place of the gradient: see `engine/backward.py`, and on integrated gradients Sundararajan et al. 2017 (arXiv:1703.01365)
and Hanna et al. 2024 (arXiv:2403.17806).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from ..common.cells import Positions, choose_axes
from ..common.estimates import FIXED, EstimateChoices, Estimates, Path, refuse_flat, refuse_window
from ..common.method import method
from ..common.over_pairs import PairMean, naming
from ..common.signatures import Count, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.backward import RULES, refuse_rule
from ..engine.turn import Turn
from ..language.interventions import FromOther, as_value
from ..language.loading import load_model
from ..language.metrics import as_measures
from ..language.model import ACTIVATIONS, LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, TokenizedPair
from ..results.effect_map import EffectMap
from ..results.step import Step, remaining
from .activation_patching import Axes, Direction, Metrics, ValueLike, Window, readings_of, tokenize_all, where_of

ALL = "all"
CHOICES = {
    **{name: (name, one.help) for name, one in ACTIVATIONS.items()},
    ALL: ("all", "a map of each activation that the model has, all from one pass"),
}
PATHS = {
    "inputs": ("inputs", "the token embeddings go from the patched prompt's to the other's (EAP-IG)"),
    "activations": ("activations", "each layer's own activation goes from one to the other: many more runs"),
}
POINTS = {
    "midpoint": ("midpoint", "the middle of each step"),
    "mib": ("MIB", "the end of each step that is nearer to the corrupt prompt, as in EAP-IG and the MIB benchmark"),
}


@method
def attribution_patching(
    model: Any,
    pair: PromptPair | PromptPairs,
    *,
    activation: Annotated[str, OneOf(CHOICES, "activation")] = "resid_pre",
    direction: Direction = "denoise",
    metric: Metrics = "logit_diff",
    rules: Annotated[str, OneOf({name: (one.label, one.help) for name, one in RULES.items()}, "rule")] = "gradient",
    ig_steps: Annotated[int, Count("how many steps integrated gradients take", 0, 1000)] = 0,
    ig_over: Annotated[str, OneOf(PATHS, "path")] = "inputs",
    ig_points: Annotated[str, OneOf(POINTS, "choice of points")] = "midpoint",
    qk_fix: bool = False,
    grad_drop: bool = False,
    axes: Axes = None,
    value: ValueLike = "other",
    at: int | None = None,
    window: Window = 1,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: Positions | None = None,
    sources: Sequence[int] | None = None,
    neurons: Sequence[int] | None = None,
) -> Iterator[Step[EffectMap | dict[str, EffectMap]]]:
    """Estimate the effect of patching every place of one kind, or of every kind, from gradients.

    Takes three forward runs and one backward run in all, where `activation_patching` takes a run for each cell.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, as in `activation_patching`.
        activation: as in `activation_patching`; or "all", for a map of each activation that the model has, without
            `pattern` where the prompts are not aligned one to one.
        direction: as in `activation_patching`. The gradient is that of the run that is patched.
        metric: as in `activation_patching`. A function has to be differentiable by torch, and `rank` is not. Each
            metric takes a backward run of its own.
        rules: what flows back through the model. "gradient": the derivative. "relp": the scale of norms is a constant,
            an activation function is its input times a constant, and both factors of a gated MLP get half
            (arXiv:2508.21258); "relp_ah": the same with constant attention patterns. "gim": the scale of norms is a
            constant, the softmax has temperature 2 on the way back, queries and keys get a quarter of their gradient,
            and values and the factors of a gated MLP half (arXiv:2505.17630).
        ig_steps: with integrated gradients, the gradient is the mean over this many points between the two runs; 0
            takes it at the patched run alone.
        ig_over: what moves between the points. "inputs" moves the token embeddings, one run for each step.
            "activations" moves one layer's activation at a time, a run for each step, activation and layer; its
            estimates of a layer's positions then add up to the effect of patching them all together.
        ig_points: where the points are. "midpoint": the middle of each step. "mib": k/m of the way from the corrupt
            prompt, k = 0 to m - 1, as in EAP-IG.
        qk_fix: for queries and keys, compute the patched run's attention pattern anew, and take its change times its
            gradient, since a pattern that is saturated has no slope (the QK fix of AtP*, arXiv:2403.00745). Takes one
            more run for queries, and a run of every position for keys.
        grad_drop: the size of an estimate is the sum of its sizes with the gradient through each layer's attention and
            MLP dropped in turn, divided by the number of layers but one, since a direct and an indirect effect may
            cancel in the plain gradient by accident (GradDrop of AtP*). The paper's estimate has no sign; here it has
            that of the plain estimate. Takes a forward and a backward run more for each layer.
        axes, value, at, layers, heads, positions, sources, neurons: as in `activation_patching`. For a value that is
            drawn at random, the change is the mean over the draws.
        window: how many neighbouring layers are patched together in each cell. Their estimates add up only where values
            are added or scaled (`Add`, `Scale`); other values are refused with more than one layer.

    Returns:
        An `EffectMap` as of `activation_patching`, whose cells have the state `ESTIMATE`: `values` [*axes] is the
        metric of the patched run, in its own unit, plus the estimated effect. For "all", a dict of them by activation.

    Raises:
        ValueError: as in `activation_patching`; or the model can't be differentiated by these rules; or a metric has
            no gradient at the patched run.
    """
    model = load_model(model)
    refuse_rule(model, rules)
    measures, side = as_measures(metric), "corrupt" if direction == "denoise" else "clean"
    refuse_flat(measures, direction, ig_steps)
    tokenized = tokenize_all(model, pair, measures)
    wanted = _wanted(model, activation, tokenized, axes)
    path = Path(ig_steps, ig_over, ig_points == "mib", direction)
    choices = EstimateChoices(
        wanted,
        side,
        as_value(value),
        where_of(layers, heads, positions, sources, neurons, window),
        rules,
        path,
        qk_fix,
        grad_drop,
    )
    refuse_window(window, choices.value)
    if grad_drop and (window > 1 or model.n_layers < 2):
        raise ValueError(
            "GradDrop takes the mean over the layers beside the patched one. Leave it out for windows of several "
            "layers, and for a model of one."
        )
    if qk_fix:
        _refuse_fix(model, wanted, ig_steps)
    if ig_steps and ig_over == "inputs" and not isinstance(choices.value, FromOther):
        raise ValueError(
            "Integrated gradients over inputs go from one prompt of the pair to the other. Leave value at other, or "
            'set ig_over="activations".'
        )
    many = isinstance(pair, PromptPairs)
    readings = readings_of(tokenized, side, at, measures, many)
    tokens, pairs = [one.texts[side] for one in tokenized], [one.pair for one in tokenized]
    means: dict[str, PairMean] = {}  # one pair's maps are dropped before the next pair's are made
    maps: dict[str, EffectMap] = {}
    with Turn(model) as turn:
        runs = BaseRuns(turn, tokenized, readings, choices.uses, 0)
        began = time.perf_counter()
        for i, one in enumerate(tokenized):
            with naming(i, one.pair, many):
                sweep = Sweep(runs, i, 0, None, time.perf_counter())
                maps = Estimates(sweep, choices).maps()
            for name, one in maps.items() if many else ():
                means.setdefault(name, PairMean(one, tokens, pairs)).put(i, one)
            if i + 1 < len(tokenized):
                yield Step(i + 1, len(tokenized), remaining(time.perf_counter() - began, i + 1, len(tokenized)))
    for name, mean in means.items():
        mean.update(len(tokenized))
        maps[name] = mean.result
        mean.result.provenance.update(complete=True, seconds=time.perf_counter() - began)
    yield Step(len(tokenized), len(tokenized), 0.0, maps if activation == ALL else maps[activation])


def _refuse_fix(model: LanguageModel, wanted: Mapping[str, Any], ig_steps: int) -> None:
    """Raise ValueError if attention patterns can't be computed anew, or no estimate would use them."""
    if why := model.why_not("pattern"):
        raise ValueError(f"The QK fix reads attention patterns. {why} Leave qk_fix out.")
    if not FIXED.intersection(wanted):
        raise ValueError(f"The QK fix is for queries and keys, and {', '.join(wanted)} is neither. Leave qk_fix out.")
    if ig_steps:
        raise ValueError("The QK fix takes the whole step that integrated gradients divide. Choose one of the two.")


def _wanted(
    model: LanguageModel, activation: str, tokenized: Sequence[TokenizedPair], axes: Any
) -> dict[str, tuple[str, ...]]:
    """The axes of each activation that is asked for."""
    if activation != ALL:
        return {activation: choose_axes(model, activation, axes)}
    if axes is not None:
        raise ValueError("The axes belong to one activation. Leave them out, or name the activation.")
    aligned = all(one.aligned_one_to_one for one in tokenized)
    there = [name for name, one in ACTIVATIONS.items() if not model.why_not(name) and (aligned or not one.pattern)]
    return {name: choose_axes(model, name, None) for name in there}
