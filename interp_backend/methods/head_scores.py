"""Scores of every head for known kinds of heads, on repeated random tokens or on a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import pandas
import torch

from ..common.head_measures import MEASURES, head_measures
from ..common.method import method
from ..common.provenance import provenance
from ..common.signatures import Count
from ..engine.recording import record
from ..engine.turn import Turn
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..results.head_table import HeadScores, Score
from ..results.step import Step, remaining
from .attention_patterns import refuse_missing, refuse_no_numbers
from .head_circuits import Circuits
from .logit_lens import ids_of
from .repeated_tokens import DRAWN, Length, Seeds, fitting_length, random_tokens, sequence

PAPER_TOKENS, PAPER_REPEATS = 25, 4
TAILS = 0.04  # the share of the vocabulary at each end that counts as the most and the least common tokens
ROLE_FROM = 0.5  # a previous-token head gives more than half of its attention to the previous position
ABOVE = 2.0  # the threshold as a multiple of the largest score by chance


@method
def head_scores(
    model: Any, prompt: str | None = None, *, length: Length = 50, seeds: Seeds = 5
) -> Iterator[Step[HeadScores]]:
    """Scores of every head: where it attends, and whether it copies.

    With a prompt, only its patterns are scored. Without a prompt, random tokens are used, where meaning can't help:
    each sequence is the token that begins a text, `length` different random tokens, and the same tokens again. A share
    of attention is a number from 0 to 1. Each score is a mean over destinations, and then over seeds.

    previous_token: attention to the previous position.
    duplicate_token: attention to earlier occurrences of the same token.
    induction: attention to the tokens right after earlier occurrences of the same token.
    first_token: attention to the first position.
    entropy: the entropy of the attention, in nats.
    distance: how many tokens back a destination attends on average.
    prefix_matching: as `induction`, on the data of Olsson et al. (2022, "In-context learning and induction heads",
        arXiv:2209.11895, appendix "Head activation evaluators"): the token that begins a text, if the model has one,
        then 25 random tokens (fewer if the context is shorter), four times. For each token of the second to fourth
        repeat, the attention to the tokens that followed it in earlier repeats is summed, so that a head which does
        nothing else scores 1. Bansal et al. (2023, arXiv:2212.09095) compute the same; the appendix describes the
        average of these entries, which is half of it.
    copy: after the same appendix: whether a head raises the logit of the token that it attends to. The value of each of
        the 25 tokens goes through the output matrix and the unembedding; its logits for the 25 tokens are centred, and
        negative logits are dropped. The share of the rest that falls on the token itself, weighted by the attention to
        it, is rescaled from 0..1 to -1..1. NaN for a head that writes nothing.
        Both scores leave out the most and the least common tokens as Bansal et al. do: 4% of the vocabulary at each
        end, in the order of the ids, which is the order of the merges in a byte-pair encoding.
    copying: from the weights alone (Elhage et al. 2021, "A mathematical framework for transformer circuits"): the sum
        of the eigenvalues of W_E W_V W_O W_U over the sum of their absolute values, from -1 to 1; above 0, tokens raise
        their own logits. The norms' gains are folded in and the unembedding is centred over the vocabulary; the norms'
        scales and all biases are left out.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text whose patterns are scored.
        length: how many random tokens are repeated; fewer if the context is shorter.
        seeds: how many random sequences are drawn.

    Returns:
        A `HeadScores`: `scores[name]` [layer, head]; `spread[name]`, the standard deviation over seeds, for scores that
        were measured on random tokens; `to_dataframe()` has one row for each head.

    Raises:
        ValueError: the context or the vocabulary is too small, or the prompt is empty or too long.
    """
    model = load_model(model)
    refuse_missing(model)
    length = fitting_length(model, length)
    ids = None if prompt is None else ids_of(model, "prompt", prompt)
    began = time.perf_counter()
    measured: list[dict[str, np.ndarray]] = []
    weights: dict[str, np.ndarray] = {}
    notes: list[str] = []
    layers = model.layers_with("pattern")
    done, total = 0, seeds + len(layers) if ids is None else 1
    with Turn(model) as turn:
        if ids is not None:
            measured.append(_on(turn, ids))
        else:
            circuits, notes = _circuits(model)
            total = seeds + (len(layers) if circuits else 0)
            copying = []
            for seed in range(seeds):
                measured.append(_of_seed(turn, circuits, seed, length))
                done += 1
                yield Step(done, total, remaining(time.perf_counter() - began, done, total))
            for layer in layers if circuits else ():
                assert circuits is not None
                copying.append(circuits.copying(layer))
                done += 1
                yield Step(done, total, remaining(time.perf_counter() - began, done, total))
            weights = {"copying": np.stack(copying)} if copying else {}
        said = provenance(turn)
    warnings = said.pop("warnings")
    every = {name: np.stack([one[name] for one in measured]) for name in measured[0]}
    result = HeadScores(
        params={"length": None if prompt is not None else length, "seeds": len(measured)},
        layers=layers,
        heads=list(range(model.n_heads)),
        scores={**{name: part.mean(0) for name, part in every.items()}, **weights},
        spread={name: part.std(0, ddof=1) for name, part in every.items()} if len(measured) > 1 else {},
        about={name: ABOUT[name] for name in [*every, *weights]},
        warnings=warnings + notes,
        provenance={**said, "seconds": time.perf_counter() - began},
    )
    yield Step(total, total, 0.0, result)


ABOUT: dict[str, Score] = {
    **MEASURES,
    "prefix_matching": Score(
        label="prefix matching",
        help="attention to what followed the token in earlier repeats of 25 random tokens, summed over the repeats",
    ),
    "copy": Score(
        label="copy", help="share of what it raises that falls on the token it attends to, from \u22121 to 1"
    ),
    "copying": Score(label="copying (OV)", help="eigenvalues of its OV circuit: above 0, tokens raise themselves"),
}


def patterns_of(turn: Turn, ids: Sequence[int]) -> list[torch.Tensor]:
    """The patterns of a sequence, [head, destination, source] for each layer that has one, float32."""
    model = turn.model
    names = [model.hook_name("pattern", layer) for layer in model.layers_with("pattern")]
    [run] = record(turn, [ids], names, [[]])
    for name in names:
        refuse_no_numbers(run.activations[name], name)
    return [run.activations[name].float() for name in names]


def _on(turn: Turn, ids: list[int]) -> dict[str, np.ndarray]:
    """The scores from the patterns of a sequence, [layer, head]."""
    layers = [head_measures(pattern, ids) for pattern in patterns_of(turn, ids)]
    return {name: np.stack([one[name] for one in layers]) for name in MEASURES}


def _circuits(model: LanguageModel) -> tuple[Circuits | None, list[str]]:
    """The matrices for the copying scores, or None with a sentence that says why the model has none."""
    try:
        return Circuits(model), []
    except ValueError as problem:
        return None, [str(problem)]


def _of_seed(turn: Turn, circuits: Circuits | None, seed: int, length: int) -> dict[str, np.ndarray]:
    """All scores on the random tokens of one seed, [layer, head]."""
    model, rng = turn.model, np.random.default_rng(seed)
    tokens = random_tokens(model, length, rng)
    made = _on(turn, sequence(model, tokens, tokens))
    count = min(PAPER_TOKENS, (model.n_ctx - 1) // PAPER_REPEATS)
    if count < 2:
        return made
    few = random_tokens(model, count, rng, tails=TAILS)
    made["prefix_matching"] = _prefix_matching(turn, few)
    if circuits is not None:
        made["copy"] = _copy(turn, circuits, few)
    return made


def _prefix_matching(turn: Turn, tokens: list[int]) -> np.ndarray:
    repeated = sequence(turn.model, *[tokens] * PAPER_REPEATS)
    count, begin = len(tokens), len(repeated) - len(tokens) * PAPER_REPEATS
    followed = torch.zeros(len(repeated), len(repeated), device=turn.model.device, dtype=torch.float32)
    for destination in range(begin + count, len(repeated)):
        followed[destination, list(range(destination - count + 1, begin, -count))] = 1
    layers = [(pattern * followed)[:, begin + count :].sum(-1).mean(-1) for pattern in patterns_of(turn, repeated)]
    return torch.stack(layers).cpu().numpy()


def _copy(turn: Turn, circuits: Circuits, tokens: list[int]) -> np.ndarray:
    model, ids = turn.model, sequence(turn.model, tokens)
    begin = len(ids) - len(tokens)
    layers = model.layers_with("pattern")
    names = [[model.hook_name(what, layer) for what in ("pattern", "v")] for layer in layers]
    [run] = record(turn, [ids], [name for layer in names for name in layer], [[]])
    made = []
    for layer, layer_names in zip(layers, names):
        pattern, value = (run.activations[name].float() for name in layer_names)
        refuse_no_numbers(pattern, layer_names[0])
        value = value[begin:]  # [source, kv head, d_head]
        value = value.repeat_interleave(model.n_heads // value.shape[1], dim=1)
        logits = torch.einsum("she,hev->hsv", value, circuits.written(layer, tokens))
        raised = (logits - logits.mean(-1, keepdim=True)).clamp(min=0)
        total = raised.sum(-1)  # [head, source]
        itself = raised.diagonal(dim1=1, dim2=2) / total.clamp(min=1e-30)
        # A source whose value is zero raises nothing.
        looked = pattern[:, begin:, begin:].sum(1) * (total > 0)
        share = (looked * itself).sum(-1) / looked.sum(-1)  # NaN for a head that raises nothing at all
        made.append((2 * share - 1).cpu().numpy())
    return np.stack(made)


@method
def induction_heads(
    model: Any, *, length: Length = 40, seeds: Annotated[int, Count(DRAWN, 2, 1000)] = 8
) -> Iterator[Step[pandas.DataFrame]]:
    """Find induction heads: a table of all heads, sorted by their attention to what followed the same token before.

    Each seed draws its own number of random tokens, from half of `length` to all of it, and repeats them: `induction`
    is the mean attention from each token of the second half to the token that followed it in the first half.
    `baseline` is the attention to the same positions when the second half consists of other random tokens. Because the
    numbers of tokens differ, a head can't score by always attending equally far back. A head is an induction head if
    its score is more than twice the largest baseline of any head: once for what chance and position give the luckiest
    head, and once more as a margin for sequences that were not drawn. A head that gives more than half of its attention
    to the previous position, in a layer below an induction head, is a previous-token head: the induction head needs its
    output (Olsson et al. 2022, arXiv:2209.11895).

    Args:
        model: a model that `load_model` returns or accepts.
        length: the largest number of repeated tokens; fewer if the context is shorter.
        seeds: how many sequences are drawn, 2 or more.

    Returns:
        One row for each head, the largest induction score first: layer, head, role ("induction", "previous token" or
        ""), induction and its spread (standard deviation over seeds), baseline, threshold (the same in all rows),
        previous_token.

    Raises:
        ValueError: the context or the vocabulary is too small.
    """
    model = load_model(model)
    refuse_missing(model)
    length = fitting_length(model, length)
    repeated, fresh, before = [], [], []
    began = time.perf_counter()
    with Turn(model) as turn:
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            count = int(rng.integers(max(2, length // 2), length + 1))
            drawn = random_tokens(model, 2 * count, rng)
            first, other = drawn[:count], drawn[count:]
            again = patterns_of(turn, sequence(model, first, first))
            repeated.append(_following(again, count))
            before.append(np.stack([layer.diagonal(-1, 1, 2).mean(-1).cpu().numpy() for layer in again]))
            fresh.append(_following(patterns_of(turn, sequence(model, first, other)), count))
            yield Step(seed + 1, seeds, remaining(time.perf_counter() - began, seed + 1, seeds))
    induction, baseline, previous = (np.mean(part, axis=0) for part in (repeated, fresh, before))
    threshold = ABOVE * float(baseline.max())
    layer, head = (index.ravel() for index in np.indices(induction.shape))
    table = pandas.DataFrame(
        {
            "layer": np.array(model.layers_with("pattern"))[layer],
            "head": head,
            "role": _roles(induction > threshold, previous > ROLE_FROM).ravel(),
            "induction": induction.ravel(),
            "spread": np.std(repeated, axis=0, ddof=1).ravel(),
            "baseline": baseline.ravel(),
            "threshold": threshold,
            "previous_token": previous.ravel(),
        }
    )
    table = table.sort_values("induction", ascending=False, kind="stable", ignore_index=True)
    yield Step(seeds, seeds, 0.0, table)


def _following(patterns: list[torch.Tensor], count: int) -> np.ndarray:
    """Mean attention from each token of the second half to the token `count - 1` before it, [layer, head]."""
    return np.stack([layer.diagonal(-(count - 1), 1, 2)[:, -count:].mean(-1).cpu().numpy() for layer in patterns])


def _roles(induces: np.ndarray, steps_back: np.ndarray) -> np.ndarray:
    roles = np.full(induces.shape, "", object)
    found = np.flatnonzero(induces.any(1))
    if found.size:
        below = np.arange(len(induces))[:, None] < found.max()
        roles[steps_back & below] = "previous token"
    roles[induces] = "induction"
    return roles
