"""How much of what reaches the logits comes through each node of an attribution graph, and what to leave out of it.

The definitions are those of circuit-tracer: each node's incoming edges are divided by the sum of their sizes, and a
node's influence is the sum over all paths from it to the logits, which are weighted by their probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS = 512  # that are read at once


@dataclass(frozen=True)
class Flow:
    """The edges of a graph, in an order in which influence can be summed.

    Attributes:
        edges: [target, source], the sources being the first nodes.
        sizes: the sum of the sizes of all edges into each target, [target]. It may count edges that are not here.
        node: which node each target is, [target].
        level: targets are read from the highest level to the lowest; an edge leads from a lower level to a higher.
        weights: how much each node counts in itself, [node]: the probabilities of the logits.
    """

    edges: np.ndarray
    sizes: np.ndarray
    node: np.ndarray
    level: np.ndarray
    weights: np.ndarray

    def influence(self) -> np.ndarray:
        """The influence of each node, [node], float64: the sum over all paths to the logits."""
        found = np.zeros(len(self.weights))
        width = self.edges.shape[1]
        for level in np.unique(self.level)[::-1]:
            rows = np.flatnonzero((self.level == level) & (self.sizes > 0))
            rows = rows[(found + self.weights)[self.node[rows]] > 0]
            for first in range(0, len(rows), ROWS):
                some = rows[first : first + ROWS]
                share = (found + self.weights)[self.node[some]] / self.sizes[some]
                found[:width] += share.astype(np.float32) @ np.abs(self.edges[some])
        return found

    def edge_influence(self, influence: np.ndarray) -> np.ndarray:
        """The influence that flows through each edge, [target, source], float32."""
        share = (influence + self.weights)[self.node] / np.maximum(self.sizes, 1e-10)
        return np.abs(self.edges) * share[:, None].astype(np.float32)


def threshold_of(scores: np.ndarray, share: float, total: float | None = None) -> float:
    """The least score among the largest that together make up a share of all.

    Args:
        total: the sum of all scores, if some are not among these.
    """
    ordered = np.sort(scores.ravel())[::-1].astype(np.float64)
    whole = ordered.sum() if total is None else total
    if not len(ordered) or whole <= 0:
        return np.inf
    reached = np.cumsum(ordered) / whole
    return float(ordered[min(int(np.searchsorted(reached, share)), len(ordered) - 1)])


def cumulative(influence: np.ndarray, total: float | None = None) -> np.ndarray:
    """For each node the share of all influence that it and all nodes of more influence have, [node]."""
    order = np.argsort(-influence, kind="stable")
    found = np.empty(len(influence))
    found[order] = np.cumsum(influence[order]) / max(influence.sum() if total is None else total, 1e-30)
    return found


def graph_scores(flow: Flow, influence: np.ndarray, errors: slice, inputs: slice) -> tuple[float, float]:
    """Replacement and completeness score, from 0 to 1.

    The first is how much of the influence of inputs and errors is the inputs'. The second is how much of what enters
    the nodes, weighted by their influence, is not from errors.

    Args:
        errors, inputs: which nodes are errors, and which are what enters the model.
    """
    from_inputs, from_errors = float(influence[inputs].sum()), float(influence[errors].sum())
    whole = influence + flow.weights
    wrong = 0.0
    for first in range(0, len(flow.node), ROWS):
        rows = slice(first, first + ROWS)
        sizes = np.maximum(flow.sizes[rows], 1e-10)
        wrong += float(whole[flow.node[rows]] @ (np.abs(flow.edges[rows, errors]).sum(1) / sizes))
    replacement = from_inputs / (from_inputs + from_errors) if from_inputs + from_errors else 0.0
    return replacement, 1 - wrong / float(whole.sum()) if whole.sum() else 0.0
