"""Attribution graphs: which features made a model expect its next tokens, and which features made those (Ameisen et al.
2025, "Circuit Tracing", transformer-circuits.pub/2025/attribution-graphs/methods.html).

With attention patterns and the scales of norms frozen, and each MLP replaced by its transcoder and what that misses,
the model is linear in its nodes. What a node adds to another is then a number, and everything that is added to a node
sums to its pre-activation. Targets are taken one batch after another, the most influential first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.prompts import Last, ReadPrompts, read_prompts
from ..common.provenance import provenance
from ..common.signatures import Count, Local
from ..engine.frozen_linear import FrozenRun, Start, TooManyActive
from ..engine.turn import Turn
from ..engine.watch import check
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.prompts import PromptPair
from ..language.transcoders import Transcoders, embedded_transcoders
from ..refusal import Refused
from ..results.attribution_graph import BIAS, ERROR, FEATURE, LOGIT, POSITION, TOKEN, AttributionGraph
from ..results.influence import Flow, graph_scores
from ..results.sides import Prompt
from ..results.step import Step, remaining

MOST_ACTIVE = 40_000  # features: all edges between them are in memory
MOST_KEPT = 4000  # features in a result
BATCH = 256  # targets that are pulled back together
FIRST = 256  # targets of the first round after the logits; each later round has as many as are done


@method
def attribution_graph(
    model: Any,
    prompt: str | PromptPair,
    transcoders: Annotated[Transcoders | None, Local()] = None,
    *,
    answers: Sequence[str | int] | None = None,
    logits: Annotated[int, Count("how many of the likeliest tokens to explain", 1, 100)] = 10,
    mass: float = 0.95,
    features: Annotated[int, Count("how many features the graph keeps", 1, MOST_KEPT)] = 1000,
    last: Last = None,
    prepend_bos: bool | None = None,
) -> Iterator[Step[AttributionGraph]]:
    """Which features made the model expect its next tokens, through which other features, from which tokens.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text; or a pair, of which the clean prompt is read and the answers of both are explained.
        transcoders: of every layer of this model, as `load_transcoders` reads them; the embedded model has its own.
        answers: the tokens whose logits are explained, as texts of one token or as ids. By default the likeliest ones.
        logits: explain at most this many of the likeliest tokens.
        mass: explain the likeliest tokens up to this probability in all.
        features: how many features the graph keeps, the most influential. The edges of all active ones are computed,
            and what those that are not kept add is kept as one number for each target.
        last: read only this many tokens from the end of the prompt, after the token that begins the text.
        prepend_bos: whether the prompt begins with the beginning-of-text token, as in `PromptPair`.

    Returns:
        An `AttributionGraph`. Steps come with the logits' edges first; stopped early, the graph says of how many of the
        active features the edges are known.

    Raises:
        ValueError: the transcoders are not for this model, a layer of it is not understood, an answer has several
            tokens, or more than 40,000 features are active.
    """
    model = load_model(model)
    transcoders = transcoders_for(model, transcoders)
    if isinstance(mass, bool) or not isinstance(mass, (int, float)) or not 0 < mass <= 1:
        raise ValueError(f"mass is the probability that the explained tokens have in all, up to 1, not {mass!r:.40}.")
    prompts = read_prompts(model, prompt, last, prepend_bos)
    given = _given(model, prompts, answers)
    began = time.perf_counter()
    with Turn(model) as turn:
        run = frozen_run(turn, next(iter(prompts.ids.values())), transcoders)
        origin = provenance(turn)
    tokens = given or likeliest(run.shown_logits, logits, mass)
    growing = _Growing(run, tokens, features, prompts, began, origin)
    total = len(run.feature) + len(tokens)
    growing.trace_logits()
    while (chosen := growing.next_features()) is not None:
        done = len(tokens) + growing.features_traced
        yield Step(done, total, remaining(time.perf_counter() - began, done, total), growing.result())
        for batch in chosen:
            check()
            growing.trace(batch)
    yield Step(total, total, 0.0, growing.result())


def transcoders_for(model: LanguageModel, transcoders: Transcoders | None) -> Transcoders:
    """The transcoders that are given, or those that come with the embedded model.

    Raises:
        ValueError: none are given, and the model has none of its own.
    """
    found = embedded_transcoders(model) if transcoders is None else transcoders
    if found is None:
        raise ValueError(
            f"Say which transcoders of {model.name}: transcoders=load_transcoders(...) reads a set, "
            "and train_transcoders(model, texts) makes some."
        )
    if not isinstance(found, Transcoders):
        raise ValueError(f"transcoders are what load_transcoders returns, not {found!r:.60}.")
    return found


def frozen_run(turn: Turn, ids: list[int], transcoders: Transcoders) -> FrozenRun:
    """The run of a prompt as a linear map.

    Raises:
        ValueError: as `FrozenRun`; too many active features are refused with the remedy.
    """
    try:
        return FrozenRun(turn, ids, transcoders, MOST_ACTIVE)
    except TooManyActive as problem:
        most = max(1, int(len(ids) * 0.9 * MOST_ACTIVE / max(problem.count, MOST_ACTIVE)) - 1)
        count = f"{'About ' if problem.guessed else ''}{problem.count:,}"
        raise Refused(
            f"{count} features are active on these {len(ids)} tokens, and a graph holds the edges between "
            f"{MOST_ACTIVE:,} at most. Shorten the prompt, or read its last {most} tokens: last={most}.",
            f"Read the last {most} tokens",
            last=most,
        ) from None


def likeliest(logits: Tensor, most: int, mass: float) -> list[int]:
    """The ids of the likeliest tokens, up to a probability in all."""
    probabilities, ids = logits.softmax(-1).topk(min(most, len(logits)))
    enough = int(torch.searchsorted(probabilities.cumsum(0), mass)) + 1
    return ids[:enough].tolist()


def _given(model: LanguageModel, prompts: ReadPrompts, answers: Sequence[str | int] | None) -> list[int]:
    """The tokens that are asked for; none if they are not."""
    if answers is not None:
        several = [answers] if isinstance(answers, (str, int)) else list(answers)
        if not several:
            raise ValueError("The list of answers is empty. Give one token or more, or leave it out.")
        return list(dict.fromkeys(model.one_token(one, prompts.first_text) for one in several))
    if prompts.pair is None:
        return []
    every = [token for side in ("clean", "corrupt") for token in prompts.pair.answer_ids(side)]
    return list(dict.fromkeys(every))


class _Growing:
    """The edges that are known so far. Targets are the active features in the run's order, then the logits."""

    def __init__(
        self,
        run: FrozenRun,
        tokens: list[int],
        kept: int,
        prompts: ReadPrompts,
        began: float,
        origin: dict[str, Any],
    ):
        self.run, self.tokens, self.kept = run, tokens, kept
        self.prompts, self.began, self.origin = prompts, began, origin
        features, targets, sources = len(run.feature), len(run.feature) + len(tokens), len(run.kinds)
        # Zeros that are never written take no memory, and edges from later layers are never written.
        self.edges = np.zeros((targets, sources), np.float32)
        self.bias, self.sizes = np.zeros(targets), np.zeros(targets)
        self.traced = np.zeros(targets, np.uint8)
        self.values = np.append(run.values.numpy(), np.zeros(len(tokens), np.float32))
        self.gap = 0.0
        self.probabilities = run.shown_logits.double().softmax(-1)[tokens].float().numpy()
        n_layers = len(run.layers)
        self.level = np.append(run.layer.numpy(), np.full(len(tokens), n_layers))
        self.node = np.append(np.arange(features), sources + np.arange(len(tokens)))
        self.weights = np.zeros(sources + len(tokens))
        self.weights[sources:] = self.probabilities

    @property
    def features_traced(self) -> int:
        return int(self.traced[: len(self.run.feature)].sum())

    # Edges

    def trace_logits(self) -> None:
        start, bias, values = self.run.logit_start(self.tokens)
        at = np.arange(len(self.run.feature), len(self.traced))
        self.values[at] = values.cpu().numpy()
        self._note(at, [start], bias)

    def next_features(self) -> list[Tensor] | None:
        """The features of most influence of which the edges are not known, in batches; None if all are."""
        waiting = np.flatnonzero(self.traced[: len(self.run.feature)] == 0)
        if not len(waiting):
            return None
        self.influence = self._flow().influence()
        most = max(FIRST, self.features_traced)
        chosen = torch.from_numpy(waiting[np.argsort(-self.influence[waiting], kind="stable")[:most]])
        # A batch is as long as its last position, so targets at similar positions go together.
        chosen = chosen[self.run.position[chosen].argsort(stable=True)]
        return [*chosen.split(BATCH)]

    def trace(self, features: Tensor) -> None:
        """Find the edges into some features."""
        layers = self.run.layer[features]
        order = layers.argsort(descending=True, stable=True)
        features, layers = features[order], layers[order]
        starts: list[Start] = []
        biases: list[Tensor] = []
        for layer in layers.unique().flip(0).tolist():
            start, bias = self.run.feature_start(layer, features[layers == layer])
            starts.append(start)
            biases.append(bias)
        self._note(features.numpy(), starts, torch.cat(biases))

    def _note(self, at: np.ndarray, starts: list[Start], bias: Tensor) -> None:
        found, below = self.run.edges(starts)
        rows = found.numpy()
        self.edges[at] = rows
        self.bias[at] = (below + bias.cpu()).double().numpy()
        self.sizes[at] = np.abs(rows).sum(1, dtype=np.float64)
        self.traced[at] = 1
        whole = rows.sum(1, dtype=np.float64) + self.bias[at]
        largest = np.maximum(np.abs(rows).max(1), np.abs(self.values[at]))
        self.gap = max(self.gap, float((np.abs(whole - self.values[at]) / np.maximum(largest, 1e-30)).max()))

    def _flow(self) -> Flow:
        return Flow(self.edges, self.sizes, self.node, self.level, self.weights)

    # A result

    def result(self) -> AttributionGraph:
        """The graph of the features of most influence."""
        run, flow = self.run, self._flow()
        influence = flow.influence()
        features, sources = len(run.feature), len(run.kinds)
        errors, inputs = slice(run.first[ERROR], run.first[TOKEN]), slice(run.first[TOKEN], sources)
        replacement, completeness = graph_scores(flow, influence, errors, inputs)
        kept = np.sort(np.argsort(-influence[:features], kind="stable")[: self.kept])
        columns = np.append(kept, np.arange(features, sources))
        rows = np.append(kept, np.arange(features, len(self.traced)))
        edges = np.column_stack([self.edges[np.ix_(rows, columns)], self.bias[rows].astype(np.float32)])
        gone = self.edges[rows].sum(1, dtype=np.float64) - edges[:, :-1].sum(1, dtype=np.float64)
        logits, ids = len(self.tokens), np.array(run.tokens)
        nodes = self._nodes(columns, ids)
        whole = bool(self.traced.all())
        [(side, texts)] = list(self.prompts.tokens.items())[:1]
        return AttributionGraph(
            prompt=Prompt(text=self.prompts.texts[side], ids=run.tokens, tokens=texts),
            n_layers=len(run.layers),
            transcoders=described(run.transcoders),
            **nodes,
            values=np.concatenate(
                [self.values[kept], np.full(len(columns) - len(kept) + 1, np.nan), self.values[features:]]
            ).astype(np.float32),
            edges=edges,
            rest=gone.astype(np.float32),
            sizes=self.sizes[rows].astype(np.float32),
            traced=self.traced[rows],
            influence=np.concatenate([influence[columns], [0.0], np.zeros(logits)]).astype(np.float32),
            total_influence=float(influence.sum()),
            probabilities=self.probabilities,
            logit_tokens=run.model.token_texts(self.tokens),
            replacement=replacement,
            completeness=completeness,
            active=features,
            features_traced=self.features_traced,
            largest_gap=self.gap,
            provenance={
                **self.origin,
                "warnings": [*self.origin["warnings"], *self.prompts.warnings, *self._warnings()],
                "complete": whole,
                "seconds": time.perf_counter() - self.began,
            },
        )

    def _nodes(self, columns: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
        run, logits = self.run, len(self.tokens)
        kinds = np.array([FEATURE, ERROR, TOKEN, POSITION])[run.kinds.numpy()[columns]]
        position = run.column_position.numpy()[columns]
        feature = np.full(len(columns), -1)
        of_features = kinds == FEATURE
        feature[of_features] = run.feature.numpy()[columns[of_features]]
        feature[kinds == TOKEN] = ids[position[kinds == TOKEN]]
        last = np.full(logits, len(ids) - 1)
        nodes = {
            "kind": [kinds, [BIAS], np.full(logits, LOGIT)],
            "layer": [run.column_layer.numpy()[columns], [-1], np.full(logits, -1)],
            "position": [position, [-1], last],
            "feature": [feature, [-1], self.tokens],
        }
        return {name: np.concatenate(parts).astype(np.int32) for name, parts in nodes.items()}

    def _warnings(self) -> list[str]:
        found = []
        if self.run.capped:
            found.append("The logits are those before the model's final softcap.")
        if self.gap > 1e-3:
            found.append(
                f"What enters some node differs from its value by {self.gap:.1e} of it: the model computes in "
                f"{self.run.model.dtype}. Load it in float32."
            )
        return found


def described(transcoders: Transcoders) -> dict[str, str | bool]:
    """A set of transcoders as a result names it."""
    return {
        "name": transcoders.name,
        "layout": transcoders.layout,
        "hash": transcoders.weights_hash,
        "cross_layer": transcoders.cross_layer,
    }
