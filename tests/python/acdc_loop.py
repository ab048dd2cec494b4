"""ACDC the slow way: one edge at a time, and a run of the whole model for each, in which every input is spelled out.

Nothing here is shared with interp_backend but the names of edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from edge_loop import EdgeLoop, circuit_logits

Edge = tuple[str, str]


def layer_of(node: str) -> float:
    """The layer of a node, half a layer more for an MLP."""
    if node in ("input", "logits"):
        return -1 if node == "input" else math.inf
    return float(node[1:].split(".", maxsplit=1)[0]) + (0.5 if node[0] == "m" else 0)


def head_of(node: str) -> int:
    return int(node.split(".h")[1].split("<", maxsplit=1)[0]) if ".h" in node else 0


def from_the_logits_down(edges: Sequence[Edge]) -> list[Edge]:
    """Receivers from above: an MLP before the heads of its layer, then all queries, all keys and all values, the last
    head first. Of each receiver the senders from the last one down."""
    parts = {"q": 0, "k": 1, "v": 2, "": 0}

    def place(edge: Edge) -> Any:
        sender, receiver = edge
        part = receiver[-2] if receiver.endswith(">") else ""
        return (-layer_of(receiver), parts[part], -head_of(receiver), -layer_of(sender), -head_of(sender))

    return sorted(edges, key=place)


def kl(logits: Tensor, whole: Tensor) -> float:
    expected = whole.double().log_softmax(-1)
    return float((expected.exp() * (expected - logits.double().log_softmax(-1))).sum())


class SlowSearch:
    """The circuit of one threshold.

    Args:
        prompts: for each pair its loop and what removed edges carry in it.
        loss: of the logits [position, token] of a circuit, and of the loop; more is worse.

    Attributes:
        kept: the edges of the circuit.
        growth: by how much the mean loss grew when each edge was tried.
    """

    def __init__(
        self,
        prompts: Sequence[tuple[EdgeLoop, dict[str, Tensor]]],
        edges: Sequence[Edge],
        threshold: float,
        loss: Callable[[Tensor, EdgeLoop], float],
    ):
        self.kept, self.growth = set(edges), dict[Edge, float]()

        def mean(circuit: set[Edge]) -> float:
            return sum(loss(circuit_logits(loop, circuit, fixed), loop) for loop, fixed in prompts) / len(prompts)

        now = mean(self.kept)
        for edge in edges:
            without = mean(self.kept - {edge})
            self.growth[edge] = without - now
            if self.growth[edge] < threshold:
                self.kept.remove(edge)
                now = without

    def margin(self, threshold: float) -> float:
        """How near any decision came to the threshold."""
        return min(abs(growth - threshold) for growth in self.growth.values())
