"""Attention in attribution graphs: which head carried an edge, and which features made a head look where it looked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from ..common.method import method
from ..common.prompts import Last, read_prompts
from ..common.signatures import Count, Local
from ..engine.frozen_linear import ERROR, FEATURE, POSITION, TOKEN, FrozenRun, Start
from ..engine.score_gradient import score_gradient
from ..engine.turn import Turn
from ..language.interventions import in_range
from ..language.loading import load_model
from ..language.transcoders import Transcoders
from ..results.step import Step
from .attribution_graph import frozen_run, transcoders_for

SUMMARISED = 8  # heads or features in a printed result


@dataclass(frozen=True, eq=False)
class EdgeHeads:
    """Through which head an edge of an attribution graph comes.

    Attributes:
        source, target: the names of the nodes.
        edge: what the source adds to the target.
        direct: the part that comes through no head.
        heads: the part whose last head is this one, [layer, head]. With `direct` they sum to `edge`.
    """

    source: str
    target: str
    edge: float
    direct: float
    heads: np.ndarray

    def __str__(self) -> str:
        largest = np.argsort(-np.abs(self.heads), axis=None)[:SUMMARISED]
        lines = [f"{self.source} -> {self.target}: {self.edge:+.4f}, of which direct {self.direct:+.4f}"]
        for at in largest:
            layer, head = np.unravel_index(at, self.heads.shape)
            if self.heads.flat[at]:
                lines.append(f"  {self.heads.flat[at]:+.4f}  head {layer}.{head}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ScoreFeatures:
    """What made a head look from one position at another.

    Attributes:
        layer, head, query, key: which head, and the positions it looks from and at.
        score: its attention score there, before the softmax.
        of_query: what each node adds to the score by what it writes at the query, with the key as it is: by name.
        of_key: the same at the key, with the query as it is.
        query_bias, key_bias: what biases add. Each side sums to `score`.
    """

    layer: int
    head: int
    query: int
    key: int
    score: float
    of_query: dict[str, float]
    of_key: dict[str, float]
    query_bias: float
    key_bias: float

    def __str__(self) -> str:
        lines = [f"head {self.layer}.{self.head} from position {self.query} at {self.key}: score {self.score:+.4f}"]
        for side, parts, bias in (("query", self.of_query, self.query_bias), ("key", self.of_key, self.key_bias)):
            lines.append(f"  by the {side}: biases {bias:+.4f}")
            largest = sorted(parts.items(), key=lambda one: -abs(one[1]))[:SUMMARISED]
            lines += [f"    {value:+.4f}  {name}" for name, value in largest]
        return "\n".join(lines)


@method
def edge_heads(
    model: Any,
    prompt: str,
    transcoders: Annotated[Transcoders | None, Local()] = None,
    *,
    source: str,
    target: str,
    last: Last = None,
    prepend_bos: bool | None = None,
) -> Iterator[Step[EdgeHeads]]:
    """Through which attention heads an edge of an attribution graph comes, exactly.

    Args:
        model, transcoders, last, prepend_bos: as in `attribution_graph`.
        prompt: the text of the graph.
        source, target: the names of the edge's nodes, as in `AttributionGraph.ids`.

    Returns:
        An `EdgeHeads`: what comes directly, and what has each head as the last one on its way. They sum to the edge.

    Raises:
        ValueError: there is no such node on this prompt.
    """
    model = load_model(model)
    transcoders = transcoders_for(model, transcoders)
    prompts = read_prompts(model, prompt, last, prepend_bos)
    with Turn(model) as turn:
        run = frozen_run(turn, prompts.ids["prompt"], transcoders)
    column, start = _column(run, source), _reader(run, target)
    direct, heads = run.by_last_head(start)
    whole, _ = run.edges([start])
    each = heads[:, :, column].numpy()
    yield Step(1, 1, 0.0, EdgeHeads(source, target, float(whole[0, column]), float(direct[column]), each))


@method
def score_features(
    model: Any,
    prompt: str,
    transcoders: Annotated[Transcoders | None, Local()] = None,
    *,
    layer: Annotated[int, Count("the head's layer", 0)],
    head: Annotated[int, Count("the number of the head", 0)],
    query: int,
    key: int,
    last: Last = None,
    prepend_bos: bool | None = None,
) -> Iterator[Step[ScoreFeatures]]:
    """Which features made a head look from one position at another: its attention score, by who wrote its query, and by
    who wrote its key.

    Args:
        model, prompt, transcoders, last, prepend_bos: as in `edge_heads`.
        layer, head: which head.
        query, key: the positions that it looks from and at, negative if counted from the end.

    Returns:
        A `ScoreFeatures`. The score is linear in the query if the key is fixed, and the reverse, so that each side
        sums to it, with the biases.

    Raises:
        ValueError: there is no such head or position, the key comes after the query, or the model's scores are not
            linear in queries and keys.
    """
    model = load_model(model)
    transcoders = transcoders_for(model, transcoders)
    prompts = read_prompts(model, prompt, last, prepend_bos)
    ids = prompts.ids["prompt"]
    in_range("layer", layer, model.n_layers)
    in_range("head", head, model.n_heads)
    query, key = (in_range("position", at, len(ids), negative=True) for at in (query, key))
    if key > query:
        raise ValueError(f"A head looks back: the key's position {key} comes after the query's, {query}.")
    with Turn(model) as turn:
        run = frozen_run(turn, ids, transcoders)
        found = score_gradient(turn, ids, layer, head, query, key)
    names = _names(run)
    sides = []
    for part, position, onto, rest in (
        ("q", query, found.query, found.query_rest),
        ("k", key, found.key, found.key_rest),
    ):
        start, bias = run.head_start(layer, part, head, position, onto)
        edges, below = run.edges([start])
        parts = {name: value for name, value in zip(names, edges[0].tolist()) if value}
        sides.append((parts, float(bias[0]) + float(below[0]) + rest))
    (of_query, query_bias), (of_key, key_bias) = sides
    yield Step(1, 1, 0.0, ScoreFeatures(layer, head, query, key, found.score, of_query, of_key, query_bias, key_bias))


def _names(run: FrozenRun) -> list[str]:
    """The name of each column, as in an `AttributionGraph`."""
    features = torch.full((len(run.kinds),), -1)
    features[: len(run.feature)] = run.feature
    columns = zip(run.kinds.tolist(), run.column_layer.tolist(), run.column_position.tolist(), features.tolist())
    names = {
        FEATURE: "{layer}_{feature}_{position}",
        ERROR: "error_{layer}_{position}",
        TOKEN: "E_{token}_{position}",
        POSITION: "position_{position}",
    }
    return [
        names[kind].format(layer=layer, feature=feature, position=position, token=run.tokens[position])
        for kind, layer, position, feature in columns
    ]


def _column(run: FrozenRun, name: str) -> int:
    names = _names(run)
    if name not in names:
        raise ValueError(f"There is no node {name!r:.60} that writes on this prompt. `AttributionGraph.ids` names all.")
    return names.index(name)


def _reader(run: FrozenRun, name: str) -> Start:
    """A feature or a logit as a reader."""
    names = _names(run)[: len(run.feature)]
    if name in names:
        at = names.index(name)
        return run.feature_start(int(run.layer[at]), torch.tensor([at]))[0]
    layer, *numbers = name.split("_") if isinstance(name, str) else [""]
    if layer == str(len(run.layers) + 1) and len(numbers) == 2 and all(one.isdecimal() for one in numbers):
        token, position = map(int, numbers)
        if position == len(run.tokens) - 1 and token < len(run.logits):
            return run.logit_start([token])[0]
    raise ValueError(f"There is no node {name!r:.60} that reads on this prompt: features and logits do.")
