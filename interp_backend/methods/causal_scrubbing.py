"""Causal scrubbing: resample everything that a hypothesis says doesn't matter, and measure what is left of the loss.

After Chan et al. 2022 (Causal Scrubbing, Redwood Research, Alignment Forum).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.provenance import provenance
from ..common.scrubbed import SHUFFLED, Draws, Prompt, inputs_of, prompts_of, refuse_other_nodes
from ..common.signatures import AskedAs, Count, Local, OneOf
from ..engine.circuit_runs import why_not_packed
from ..engine.recording import Recording, record
from ..engine.sourced_runs import Input, Written, most_data, run_sourced
from ..engine.turn import Turn
from ..engine.wiring import sender_names, wiring_of, writers
from ..language.loading import load_model
from ..language.metrics import METRICS, Measure, Reference, as_measures
from ..language.model import LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import SIDES, PromptPair, Side
from ..results.codec import finite_or_none
from ..results.envelope import shortened
from ..results.hypothesis import ANYTHING, Hypothesis, as_hypothesis
from ..results.metric_values import PairValues
from ..results.scrubbing import CONSTANT, FIRST_NODE, SCRUBBED, Scrubbing
from ..results.step import Step, remaining
from .activation_patching import tokenize_all

LOSSES = {name: (METRICS[name].label, METRICS[name].help) for name in ("log_prob", "logit_diff", "prob", "kl")}
DATA: dict[str, tuple[str, str]] = {
    "clean": ("clean prompts", "the clean prompt of each pair is a datum"),
    "both": ("both prompts", "both prompts of each pair are data, each with its own answer"),
}
RESAMPLED = {
    "together": ("others together", "all nodes that a node is said not to need come from the same datum"),
    "separately": ("others separately", "each from a datum of its own"),
}
UNSCRUBBED = {
    "hypothesis": ("shares of its nodes", "each node of the hypothesis is left unscrubbed alone"),
    "all": ("shares of all nodes", "each node of the model is left unscrubbed alone"),
    "none": ("no shares", "no node is left unscrubbed"),
}
RECORDED_AT_ONCE = 16  # data between two steps
MOST_STEPS_OF_EM = 200


@method
def causal_scrubbing(
    model: Any,
    hypothesis: Annotated[Hypothesis, AskedAs(dict[str, Any], lambda one: as_hypothesis(one).to_wire())],
    data: Annotated[PromptPairs, AskedAs(list[PromptPair], lambda some: _as_json(some))],
    *,
    metric: Annotated[str, OneOf(LOSSES, "metric of scrubbing")] = "log_prob",
    sides: Annotated[str, OneOf(DATA, "choice of prompts")] = "clean",
    others: Annotated[str, OneOf(RESAMPLED, "way to resample")] = "together",
    unscrub: Annotated[str, OneOf(UNSCRUBBED, "choice of nodes")] = "hypothesis",
    samples: Annotated[int, Count("how often each datum is scrubbed", 1, 1000)] = 1,
    seed: Annotated[int, Count("the seed of everything that is drawn", 0)] = 0,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[Scrubbing]]:
    """Run the model with every input resampled as far as a hypothesis allows, and compare the loss with its own.

    The output on a datum is put together from its nodes. What a node is said to need is computed in the same way, on a
    datum drawn from those that agree with it on what must agree there; everything else that it reads is taken from the
    run of any datum.

    Args:
        model: a model that `load_model` returns or accepts.
        hypothesis: an `ib.Hypothesis`, or a `Graph`, whose circuit is then the hypothesis.
        data: `PromptPairs`. Only prompts of the same length stand in for each other.
        metric: what is measured at the last position of each datum, of its own answer.
        sides: which prompts of the pairs are data.
        others: how the nodes are resampled that a node is said not to need.
        unscrub: which nodes are left unscrubbed, each alone: whoever reads one reads what it writes in the reader's own
            datum's run.
        samples: how often each datum is scrubbed, with new draws; a datum's value is the mean.
        seed: of all draws. What is drawn at a node depends on the seed and on the path to it alone.
        memory: how many bytes a pass may take beyond the model; None chooses passes of a good size.

    Returns:
        A `Scrubbing`: per cent of the loss recovered, with its baselines, interval, the share of each node, and which
        datum stood in for which.

    Raises:
        ValueError: the hypothesis is none of this model; a feature fails; data are too few to resample from, or lack
            the answers that the metric needs; or single edges of the model can't be run.
    """
    model, hypothesis, began = load_model(model), as_hypothesis(hypothesis), time.perf_counter()
    (measure,) = as_measures(metric)
    prompts = _prompts_of(model, _as_pairs(data), measure, SIDES if sides == "both" else ("clean",))
    _refuse_unanswered(prompts, measure)
    draws = Draws(prompts, samples, seed)
    with Turn(model) as turn:
        wiring = wiring_of(turn)
        senders, parallel = sender_names(wiring), any(layer.parallel for layer in wiring)
        refuse_other_nodes(hypothesis, senders)
        tree = hypothesis.tree(senders, parallel, others == "separately")
        sources = draws.of_tree(tree, hypothesis)
        shuffled = draws.of(SHUFFLED, ANYTHING, np.broadcast_to(np.arange(len(prompts)), (samples, len(prompts))))
        nodes = {"none": [], "hypothesis": hypothesis.nodes}.get(
            unscrub, [*dict.fromkeys([*senders, *hypothesis.nodes])]
        )
        variants = [inputs_of(tree, wiring, parallel, node) for node in (None, *nodes)]
        runs = _Runs(turn, prompts, measure)
        chunks = [runs.chunks(inputs, memory) for inputs in variants]
        done, total = 0, runs.passes + samples * sum(map(len, chunks))
        for _ in runs.recorded():
            done += 1
            yield Step(done, total, remaining(time.perf_counter() - began, done, total))
        result = Scrubbing(
            params={},
            scrubbed=hypothesis.to_wire(),
            data=[one.datum for one in prompts],
            values=runs.baselines(shuffled, len(nodes)),
            nodes=nodes,
            tree=tree,
            sources=sources,
            metric_label=measure.label,
            provenance=provenance(turn) | {"executor": "batched"},
        )
        result.provenance["warnings"] += draws.warnings
        for column, (inputs, some) in enumerate(zip(variants, chunks)):
            sums, at = np.zeros(len(prompts)), SCRUBBED if column == 0 else FIRST_NODE + column - 1
            for sample in range(samples):  # all data once, and then again, so that an estimate is there early
                for chunk in some:
                    sums[chunk] += runs.scrubbed(inputs, sources[sample], chunk)
                    result.values.values[chunk, at] = sums[chunk] / (sample + 1)
                    done += 1
                    seconds = time.perf_counter() - began
                    result.provenance.update(complete=done == total, seconds=seconds)
                    yield Step(done, total, remaining(seconds, done, total), result)


def _as_pairs(data: Any) -> PromptPairs:
    return data if isinstance(data, PromptPairs) else PromptPairs(data)


_READ: WeakKeyDictionary[LanguageModel, tuple[Any, list[Prompt]]] = WeakKeyDictionary()


def _prompts_of(model: LanguageModel, data: PromptPairs, measure: Measure, sides: Sequence[Side]) -> list[Prompt]:
    """The data as a model reads them.

    To check them takes longer than many a hypothesis, and hypotheses are compared on the same data: each model's last
    ones are kept.
    """
    key = (tuple(data), measure.metric, tuple(sides), id(model.raw.tokenizer), len(model.raw.tokenizer))
    known = _READ.get(model)
    if known is None or known[0] != key:
        known = _READ[model] = key, prompts_of(tokenize_all(model, data, [measure]), sides)
    return known[1]


def _as_json(data: Any) -> list[dict[str, Any]]:
    return [pair.model_dump(mode="json") for pair in _as_pairs(data)]


def _refuse_unanswered(prompts: Sequence[Prompt], measure: Measure) -> None:
    for i, one in enumerate(prompts):
        needs = {"clean_answer": ("answer", one.answers), "corrupt_answer": ("answer to its other prompt", one.others)}
        for name, tokens in (needs[need] for need in measure.needs):
            if not tokens:
                raise ValueError(
                    f"Datum {i} (“{shortened(one.datum.text, 40)}”) has no {name}, which the {measure.label} needs. "
                    "Give it in the pair, or choose the metric kl, which needs none."
                )


class _Runs:
    """The model's own runs on the data, and its scrubbed ones, measured."""

    def __init__(self, turn: Turn, prompts: Sequence[Prompt], measure: Measure):
        self.turn, self.prompts, self.measure = turn, prompts, measure
        needed = {token for one in prompts for token in (*one.answers, *one.others)}
        self.vocabulary = None if measure.all_tokens else sorted(needed)
        self.columns = None if self.vocabulary is None else {token: i for i, token in enumerate(self.vocabulary)}
        lengths = sorted({len(one.ids) for one in prompts})
        self.groups = [[i for i, one in enumerate(prompts) if len(one.ids) == length] for length in lengths]
        self._place = {i: (g, at) for g, group in enumerate(self.groups) for at, i in enumerate(group)}
        self._batches = [
            group[at : at + RECORDED_AT_ONCE] for group in self.groups for at in range(0, len(group), RECORDED_AT_ONCE)
        ]
        self._written: list[Written] = []
        self._logits: list[Tensor] = []

    # The model's own

    @property
    def passes(self) -> int:
        return len(self._batches)

    def recorded(self) -> Iterator[None]:
        """Record the model's own run of each datum, a few at a time."""
        names = [self.turn.model.hook_name(*one) for one in writers(wiring_of(self.turn))]
        found: dict[int, Recording] = {}
        for batch in self._batches:
            ids = [self.prompts[i].ids for i in batch]
            read = [[len(one) - 1] for one in ids]
            made = record(self.turn, ids, names, read, self.vocabulary)
            if not found:
                why_not_packed(self.turn, made[0])  # raises if the wiring is not what the model does
            found.update(zip(batch, (_without_blocks(one) for one in made)))
            yield
        self._written = [Written(self.turn, [found[i] for i in group]) for group in self.groups]
        self._logits = [next(iter(found[i].logits.values())) for i in range(len(self.prompts))]

    def baselines(self, shuffled: np.ndarray, nodes: int) -> PairValues:
        """The values of the model, of its outputs on other data, [sample, datum], and of the best constant output."""
        count = len(self.prompts)
        values = np.full((count, FIRST_NODE + nodes), np.nan, np.float32)
        values[:, CONSTANT] = self._constant()
        own = [self._measured(i, self._logits[i]) for i in range(count)]
        other = [np.mean([self._measured(i, self._logits[at]) for at in shuffled[:, i]]) for i in range(count)]
        return PairValues(
            labels=[one.datum.text for one in self.prompts],
            values=values,
            clean=[finite_or_none(one) for one in own],
            corrupt=[finite_or_none(float(one)) for one in other],
            base="corrupt",
        )

    def _measured(self, i: int, logits: Tensor) -> float:
        """The metric of logits [token] as the output on a datum."""
        one, own = self.prompts[i], self._logits[i]
        return float(self.measure.of(logits[None], Reference(one.answers, one.others, own, own), self.columns)[0])

    def _constant(self) -> np.ndarray:
        """The metric of the best output that is the same for all data, [datum]."""
        return _CONSTANTS[self.measure.name](self)

    # Scrubbed

    def chunks(self, inputs: Sequence[Input], memory: int | None) -> list[list[int]]:
        """The data of each pass: all of one length."""
        made = []
        for group in self.groups:
            length = len(self.prompts[group[0]].ids)
            most = most_data(self.turn, inputs, length, memory)
            made += [group[at : at + most] for at in range(0, len(group), most)]
        return made

    def scrubbed(self, inputs: Sequence[Input], sources: np.ndarray, chunk: Sequence[int]) -> list[float]:
        """The metric of scrubbed runs of some data.

        Args:
            sources: [node, datum]: the datum that stands in for each.
        """
        group = self._place[chunk[0]][0]
        place = np.array([self._place[i][1] for i in range(len(self.prompts))])
        table = torch.from_numpy(place[sources[:, chunk]]).to(self.turn.model.device)
        logits = run_sourced(self._written[group], inputs, table, vocabulary=self.vocabulary)
        return [self._measured(i, one) for i, one in zip(chunk, logits)]


def _without_blocks(one: Recording) -> Recording:
    """A recording without what only patched runs need."""
    return replace(one, blocks=[], keys_and_values=[], last_resid=one.last_resid[:0])


# The best constant output


def _by_frequency(runs: _Runs) -> np.ndarray:
    """The log-probability of each datum's answers where tokens are as likely as makes the mean largest (by EM)."""
    tokens = sorted({token for one in runs.prompts for token in one.answers})
    member = np.array([[token in one.answers for token in tokens] for one in runs.prompts], float)
    chances = np.full(len(tokens), 1 / len(tokens))
    for _ in range(MOST_STEPS_OF_EM):
        parts = member * chances
        chances = (parts / parts.sum(1, keepdims=True)).mean(0)
    return np.log(member @ chances)


def _by_likeliest(runs: _Runs) -> np.ndarray:
    """The probability of each datum's answers if the token is certain that most of them have."""
    tokens = sorted({token for one in runs.prompts for token in one.answers})
    member = np.array([[token in one.answers for token in tokens] for one in runs.prompts], float)
    return member[:, member.sum(0).argmax()]


def _by_mean(runs: _Runs) -> np.ndarray:
    """The divergence from each of the model's outputs to their mean, to which they are nearest in the mean."""
    mean = torch.stack([one.float().softmax(-1) for one in runs._logits]).mean(0).log()
    return np.array([runs._measured(i, mean) for i in range(len(runs.prompts))])


def _by_own_outputs(runs: _Runs) -> np.ndarray:
    """The logit difference of that of the model's outputs with which it is largest: a free one would have no bound."""
    logits = torch.stack(runs._logits).float()
    weights = torch.zeros_like(logits)
    assert runs.columns is not None
    for row, one in zip(weights, runs.prompts):
        for tokens, sign in ((one.answers, 1.0), (one.others, -1.0)):
            for token in tokens:
                row[runs.columns[token]] += sign / len(tokens)
    values = weights @ logits.T
    return values[:, values.mean(0).argmax()].cpu().numpy()


_CONSTANTS: Mapping[str, Callable[[_Runs], np.ndarray]] = {
    "log_prob": _by_frequency,
    "prob": _by_likeliest,
    "kl": _by_mean,
    "logit_diff": _by_own_outputs,
}
