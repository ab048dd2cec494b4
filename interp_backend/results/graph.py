"""A model as a graph: what embedding, heads and MLPs write, who reads it, and a weight for each edge.

Names are those of EAP-IG and of the MIB benchmark (Mueller et al. 2025, arXiv:2504.13151): `input`, `a0.h1`, `m0`,
`logits`; an edge is `a0.h1->a2.h3<q>`, since a head reads queries, keys and values apart.
"""

from __future__ import annotations

import heapq
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Bytes, Floats, encode_array
from .envelope import BaseResult
from .roc import Roc

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 12  # edges in a printed graph
MOST_DRAWN = 200  # edges in a picture
INPUT, LOGITS = "input", "logits"
_NAME = re.compile(r"(?:input|logits|m(0|[1-9]\d{0,4})|a(0|[1-9]\d{0,4})\.h(0|[1-9]\d{0,4})(?:<([qkv])>)?)", re.ASCII)


class Node(NamedTuple):
    """A node, or what a node reads: layer and head as numbers, and which input of a head.

    Attributes:
        name: as in the graph.
        layer, head: None where the node has none.
        part: "q", "k" or "v" for what a head reads; else empty.
    """

    name: str
    layer: int | None = None
    head: int | None = None
    part: str = ""

    @property
    def place(self) -> Place:
        """Where in the model it is: what a sender writes, or what a receiver reads it for."""
        if self.head is not None:
            return Place(activation=self.part or "z", layer=self.layer, head=self.head)
        kinds = {INPUT: ("resid_pre", 0), LOGITS: ("logits", None)}
        activation, layer = kinds.get(self.name, ("mlp_out", self.layer))
        return Place(activation=activation, layer=layer)


def parse_node(name: str) -> Node:
    """Read the name of a node, or of what a node reads.

    Raises:
        ValueError: any other text.
    """
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"{name!r:.60} is no node: nodes are input, a0.h1, a0.h1<q>, m0 and logits.")
    mlp, layer, head, part = found.groups()
    if mlp is not None:
        return Node(name, int(mlp))
    return Node(name) if layer is None else Node(name, int(layer), int(head), part or "")


def parse_edge(name: str) -> tuple[Node, Node]:
    """Read the name of an edge, `a0.h1->a2.h3<q>`: who writes and who reads.

    Raises:
        ValueError: any other text, or a head that reads without saying for what.
    """
    sender, arrow, receiver = name.partition("->") if isinstance(name, str) else ("", "", "")
    if not arrow:
        raise ValueError(f"{name!r:.60} is no edge: an edge is written a0.h1->a2.h3<q>.")
    ends = parse_node(sender), parse_node(receiver)
    _refuse_sender(ends[0])
    _refuse_receiver(ends[1])
    return ends


def _refuse_sender(node: Node) -> None:
    if node.part or node.name == LOGITS:
        raise ValueError(f"{node.name} writes nothing that others read. Senders are input, heads and MLPs.")


def _refuse_receiver(node: Node) -> None:
    if node.name == INPUT or (node.head is not None and not node.part):
        raise ValueError(f"{node.name} reads nothing. Receivers are a0.h1<q>, <k> or <v>, MLPs and logits.")


class Graph(BaseResult):
    """The edges of a model and a weight for each; some of them may be chosen as a circuit.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        senders: the nodes that write, in the order in which the model computes them: "input" (what enters the first
            block), heads such as "a0.h1", MLPs such as "m0".
        receivers: what is read: "a0.h1<q>", "<k>" and "<v>" of each head, "m0", "logits". Heads that share keys and
            values also share these inputs, which have the number of the first of them.
        parallel: whether the MLPs of a model do not read what the attention of their own layer writes.
        scores: [sender, receiver], float32; NaN where there is no edge, since the reader comes first.
        kept: [sender, receiver], uint8: 1 for the edges in the circuit, at first all of them.
        by_pair: the scores of each pair of a data set, [pair, sender, receiver], if they were asked for.
        thresholds: of a search such as `acdc`, the thresholds that it was made for, ascending.
        circuits: the circuit of each threshold, [threshold, sender, receiver], uint8, if there are several.
        values: for each threshold the mean of the metric in the run of its circuit; None before its search has ended.
        values_beside: of a search beside which another graph's largest edges were run, as many as each threshold's
            circuit has, their mean.
        metric_label: the metric in words; its unit is that of the scores.
        baselines: the mean of the metric in the clean and in the corrupt runs, and of a search in the run of the
            circuit that it begins with ("start"); None where it is not finite.
    """

    derived = BaseResult.derived | {"edges", "size", "readers", "strongest"}

    family: Literal["graph"] = "graph"
    method: str = "edge_attribution"
    params: dict[str, Any] = Field(default_factory=dict)
    senders: list[str]
    receivers: list[str]
    parallel: bool = False
    scores: Floats
    kept: Bytes
    by_pair: Floats | None = None
    thresholds: list[float] = Field(default_factory=list)
    circuits: Bytes | None = None
    values: list[float | None] = Field(default_factory=list)
    values_beside: list[float | None] = Field(default_factory=list)
    metric_label: str = ""
    baselines: dict[str, float | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Graph:
        _refuse_unordered(self.senders, self.receivers)
        shape = (len(self.senders), len(self.receivers))
        if self.scores.shape != shape or self.kept.shape != shape:
            raise ValueError(f"scores and kept are [sender, receiver], {list(shape)}")
        if self.by_pair is not None and self.by_pair.shape[1:] != shape:
            raise ValueError(f"by_pair is [pair, sender, receiver], [..., {shape[0]}, {shape[1]}]")
        _refuse_other_circuits(self)
        real = self.real
        if not np.array_equal(np.isfinite(self.scores), real) or np.isinf(self.scores).any():
            raise ValueError("scores are finite for every edge, and NaN where a reader comes before the writer")
        if (self.kept > real).any():
            raise ValueError("kept is 1 for edges in the circuit, else 0")
        return self

    # Nodes

    @cached_property
    def sender_nodes(self) -> list[Node]:
        return [parse_node(name) for name in self.senders]

    @cached_property
    def receiver_nodes(self) -> list[Node]:
        return [parse_node(name) for name in self.receivers]

    @cached_property
    def real(self) -> np.ndarray:
        """Which entries are edges, [sender, receiver]: those whose reader comes after the writer."""
        return edges_between(self.senders, self.receivers, self.parallel)

    @cached_property
    def reads(self) -> np.ndarray:
        """Which receivers belong to which node, [sender, receiver]: a head has three, which it may share."""
        return inputs_of(self.senders, self.receivers)

    def place_of(self, name: str) -> Place:
        """Where in the model a node or a receiver is.

        Raises:
            ValueError: the graph has no such node.
        """
        if name not in self.senders and name not in self.receivers:
            raise ValueError(f"This graph has no node {name!r:.60}.")
        return parse_node(name).place

    def find(self, place: PlaceLike) -> list[str] | None:
        """The nodes that a place names, in any of its positions; None if there are none.

        A place without a head is the layer's MLP if its activation is one of an MLP, and else all of its nodes.
        """
        place = as_place(place) or Place()
        if place.activation == LOGITS:
            return [LOGITS]
        of_mlp = place.neuron is not None or (place.activation or "").startswith("mlp")
        enters = place.activation in ("resid_pre", "embed") and place.layer in (0, None)

        def named(node: Node) -> bool:
            if node.layer is None or enters:
                return node.name == INPUT and enters
            if node.layer != place.layer:
                return False
            return node.head == place.head if of_mlp or place.head is not None else True

        return [node.name for node in self.sender_nodes if named(node)] or None

    def index(self, edge: str) -> tuple[int, int]:
        """Where an edge is in `scores`, by its name.

        Raises:
            ValueError: the graph has no such edge.
        """
        sender, receiver = parse_edge(edge)
        if sender.name in self.senders and receiver.name in self.receivers:
            at = self.senders.index(sender.name), self.receivers.index(receiver.name)
            if self.real[at]:
                return at
        raise ValueError(f"This graph has no edge {edge!r:.80}.")

    def name(self, sender: int, receiver: int) -> str:
        """The name of an edge."""
        return f"{self.senders[sender]}->{self.receivers[receiver]}"

    @property
    def edges(self) -> int:
        """How many edges the model has."""
        return int(self.real.sum())

    @property
    def size(self) -> int:
        """How many edges are in the circuit."""
        return int(self.kept.sum())

    @property
    def names(self) -> list[str]:
        """The names of the edges in the circuit, the largest score of either sign first."""
        return [self._name_at(at) for at in self._largest(self.kept)]

    @property
    def nodes(self) -> list[str]:
        """The senders that an edge of the circuit comes from."""
        return [self.senders[at] for at in np.flatnonzero(self.kept.sum(1))]

    # Circuits

    def with_edges(self, edges: Sequence[str] | np.ndarray) -> Graph:
        """The same graph with other edges in the circuit.

        Args:
            edges: their names, or which they are, boolean, [sender, receiver].

        Raises:
            ValueError: the graph has no such edge, or the array has another shape.
        """
        kept = np.zeros(self.scores.shape, np.uint8)
        if isinstance(edges, np.ndarray) and edges.dtype == bool:
            if edges.shape != kept.shape:
                raise ValueError(f"Edges are shaped [sender, receiver], {kept.shape}, not {edges.shape}.")
            kept[...] = edges & self.real
        else:
            for name in edges:
                kept[self.index(name)] = 1
        return self.model_copy(update={"kept": kept})

    def top(self, n: int, *, signed: bool = False, pruned: bool = True) -> Graph:
        """The circuit of the n edges with the largest scores.

        Args:
            signed: the largest scores themselves; by default the largest of either sign.
            pruned: then remove dangling nodes, so that the circuit may have fewer than n edges.
        """
        kept = np.zeros(self.scores.shape, bool)
        kept.flat[self._largest(self.real, signed)[: _count(n)]] = True
        made = self.with_edges(kept)
        return made.pruned() if pruned else made

    def above(self, threshold: float, *, signed: bool = False, pruned: bool = True) -> Graph:
        """The circuit of all edges whose scores are at least a threshold; arguments as of `top`.

        Raises:
            ValueError: the threshold is no number.
        """
        if not is_number(threshold):
            raise ValueError(f"threshold is the least score of the circuit's edges, a number, not {threshold!r:.60}.")
        made = self.with_edges(self.real & (np.nan_to_num(self._sizes(signed), nan=-np.inf) >= threshold))
        return made.pruned() if pruned else made

    def reduced(self, n: int) -> Graph:
        """The n edges of this circuit with the largest scores of either sign, without dangling nodes; the circuit as it
        is if it has no more than n."""
        if self.size <= _count(n):
            return self
        kept = np.zeros(self.scores.shape, bool)
        kept.flat[self._largest(self.kept)[:n]] = True
        return self.with_edges(kept).pruned()

    def greedy(self, n: int, *, signed: bool = False) -> Graph:
        """The circuit that grows from the logits: n times the largest edge into a node that is already in it.

        No edge leads nowhere that way; nodes that nothing leads into are then removed, as in `pruned`.
        """
        sizes, kept, inside = self._sizes(signed), np.zeros(self.scores.shape, bool), set[int]()
        waiting: list[tuple[float, int, int]] = []

        def enter(receivers: np.ndarray) -> None:
            for receiver in receivers:
                if int(receiver) not in inside:
                    inside.add(int(receiver))
                    senders = np.flatnonzero(self.real[:, receiver])
                    for sender in senders:
                        heapq.heappush(waiting, (-float(sizes[sender, receiver]), int(sender), int(receiver)))

        enter(np.flatnonzero([name == LOGITS for name in self.receivers]))
        for _ in range(min(_count(n), self.edges)):
            if not waiting:
                break
            _, sender, receiver = heapq.heappop(waiting)
            kept[sender, receiver] = True
            enter(np.flatnonzero(self.reads[sender]))
        return self.with_edges(kept).pruned()

    def pruned(self) -> Graph:
        """The circuit without dangling nodes: those that nothing leads into, and those that lead nowhere."""
        kept: np.ndarray = self.kept.astype(bool)
        source = np.array(self.senders) == INPUT
        sink = np.array(self.receivers) == LOGITS
        while True:
            fed = (self.reads & kept.any(0)).any(1) | source
            used = kept.any(1)
            wanted = sink | (self.reads & (fed & used)[:, None]).any(0)
            left = kept & (fed & used)[:, None] & wanted
            if (left == kept).all():
                return self.with_edges(kept)
            kept = left

    def within(self, nodes: Sequence[str]) -> Graph:
        """The circuit's edges between some nodes, the input and the logits, without dangling nodes.

        Raises:
            ValueError: the graph has no such node.
        """
        return self.with_edges(
            self.kept.astype(bool) & np.logical_and(*self._ends_in({INPUT, LOGITS, *nodes}))
        ).pruned()

    def without_nodes(self, nodes: Sequence[str]) -> Graph:
        """The circuit without the edges into and out of some nodes, and without what then dangles.

        Raises:
            ValueError: the graph has no such node, or one of them is the input or the logits.
        """
        if ends := [name for name in (INPUT, LOGITS) if name in nodes]:
            raise ValueError(f"Every path leads through the {ends[0]}, so no circuit is without it.")
        others = {*self.senders, LOGITS} - {*self._known(nodes)}
        return self.with_edges(self.kept.astype(bool) & np.logical_and(*self._ends_in(others))).pruned()

    def _known(self, nodes: Sequence[str]) -> Sequence[str]:
        """The nodes, of which all are in this graph."""
        if unknown := [name for name in nodes if name not in self.senders and name != LOGITS]:
            raise ValueError(f"This graph has no node {unknown[0]!r:.60}. Nodes are input, a0.h1, m0 and logits.")
        return nodes

    def _ends_in(self, nodes: set[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which edges come from some nodes, [sender, 1], and which are read by one of them, [1, receiver]."""
        self._known([*nodes])
        inside = np.isin(self.senders, list(nodes))
        read = self.reads[inside].any(0) | np.isin(self.receivers, list(nodes & {LOGITS}))
        return inside[:, None], read[None]

    def at(self, threshold: float) -> Graph:
        """The circuit of one threshold of a search.

        Raises:
            ValueError: the search was not made for this threshold.
        """
        if not self.thresholds:
            raise ValueError("This graph is of no search over thresholds. Circuits of its scores: above(threshold).")
        if not is_number(threshold) or float(threshold) not in self.thresholds:
            known = ", ".join(f"{one:g}" for one in self.thresholds)
            raise ValueError(f"There is no circuit of the threshold {threshold!r:.40}. Choose one of {known}.")
        if self.circuits is None:
            return self
        return self.model_copy(update={"kept": self.circuits[self.thresholds.index(float(threshold))]})

    def roc(self, truth: Graph | Sequence[str], *, level: str = "edge", signed: bool = False) -> Roc:
        """How well the scores tell the edges of a known circuit from all others.

        Args:
            truth: the known circuit: a graph of the same model, or names of edges; of nodes, at the level of nodes.
            level: "edge", or "node": a node has the largest score among the edges that leave it, and is in a circuit if
                one of them is.
            signed: rank by the scores themselves; by default by their size, and those of a search as they are.

        Raises:
            ValueError: the truth is not of this model, or has all of its edges or none; or there is no such level.
        """
        scores = self.scores if signed or self.thresholds else np.abs(self.scores)
        inside = self._parts_of(truth, level)
        if level == "edge":
            return Roc.of(scores[self.real], inside[self.real])
        return Roc.of(np.where(self.real, scores, -np.inf).max(1), inside)

    def jaccard(self, other: Graph | Sequence[str], *, level: str = "edge") -> float:
        """The edges, or nodes, that are in both of two circuits, as a part of those that are in either: 1 if the two
        are equal. Arguments as of `roc`."""
        mine, theirs = self._parts_of(self, level), self._parts_of(other, level)
        either = int((mine | theirs).sum())
        return int((mine & theirs).sum()) / either if either else 1.0

    def without(self, other: Graph | Sequence[str]) -> Graph:
        """The edges of this circuit that are not in another one, which may be names of edges.

        Raises:
            ValueError: the other circuit is not of this model.
        """
        return self.with_edges(self.kept.astype(bool) & ~self._parts_of(other, "edge"))

    def _parts_of(self, circuit: Graph | Sequence[str], level: str) -> np.ndarray:
        """Which edges [sender, receiver] or nodes [sender] a circuit has."""
        if level not in ("edge", "node"):
            raise ValueError(f"There is no level {level!r:.40}. Choose one of edge, node.")
        if isinstance(circuit, Graph):
            if (circuit.senders, circuit.receivers, circuit.parallel) != (self.senders, self.receivers, self.parallel):
                raise ValueError("This circuit is of another model than the graph.")
            kept = circuit.kept.astype(bool)
            return kept if level == "edge" else np.asarray(kept.any(1))
        if isinstance(circuit, str) or not isinstance(circuit, Iterable):
            raise ValueError(f"A circuit is a Graph or a list of names, not {circuit!r:.60}.")
        if level == "edge":
            return self.with_edges(list(circuit)).kept.astype(bool)
        if unknown := [name for name in circuit if name not in self.senders]:
            raise ValueError(f"This graph has no node {unknown[0]!r:.60} that writes.")
        return np.isin(self.senders, list(circuit))

    def complement(self) -> Graph:
        """The circuit of all other edges."""
        return self.with_edges(self.real & ~self.kept.astype(bool))

    def _sizes(self, signed: bool) -> np.ndarray:
        return self.scores if signed else np.abs(self.scores)

    def _largest(self, among: np.ndarray, signed: bool = False) -> np.ndarray:
        """Some edges as flat indices, the largest scores first; equal ones in the order of the model."""
        flat = np.flatnonzero(among)
        return flat[np.argsort(-self._sizes(signed).ravel()[flat], kind="stable")]

    def _name_at(self, flat: int) -> str:
        return self.name(*divmod(int(flat), len(self.receivers)))

    # Ways out and in

    def to_view(self, most: int, whole: bool = False) -> dict[str, Any]:
        """What a view draws: the envelope, which nodes read each receiver, and the circuit's strongest edges.

        Args:
            most: how many edges, the largest scores of either sign first; the others are counted in `size` alone.
            whole: with everything that `read_result` needs, which no view does.
        """
        at = self._largest(self.kept)[:most]
        sender, receiver = np.divmod(at, len(self.receivers))
        arrays = {"sender": sender.astype(np.int32), "receiver": receiver.astype(np.int32)}
        arrays["score"] = self.scores.ravel()[at]
        readers = [np.flatnonzero(self.reads[:, column]).tolist() for column in range(len(self.receivers))]
        return {
            **self.model_dump(mode="json", exclude=None if whole else {"scores", "kept", "by_pair", "circuits"}),
            "complete": whole,
            "size": self.size,
            "edges": self.edges,
            "readers": readers,
            "strongest": {name: encode_array(one) for name, one in arrays.items()},
        }

    def to_search_view(self, most: int) -> dict[str, Any]:
        """What a view draws of a search: as `to_view`, of all edges that are in the circuit of any threshold, and for
        each threshold the size of its circuit and which of the strongest edges it has, as bits, the lowest first."""
        circuits = self.kept[None] if self.circuits is None else self.circuits
        every = self.with_edges(np.asarray(circuits.any(0)))
        at = every._largest(every.kept)[:most]
        bits = np.packbits(circuits.reshape(len(circuits), -1)[:, at], axis=1, bitorder="little")
        sizes = circuits.sum((1, 2), dtype=np.int64).tolist()
        return {**every.to_view(most), "complete": False, "sizes": sizes, "circuits": encode_array(bits)}

    def top_edges(self, k: int = 20) -> pandas.DataFrame:
        """The k largest edges of the circuit, of either sign: rows of `to_dataframe`."""
        return self.to_dataframe().head(k)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each edge of the circuit, the largest score first: edge, sender, receiver, score."""
        import pandas

        at = self._largest(self.kept)
        ends = [self._name_at(one).split("->") for one in at]
        rows = [("->".join(names), *names, float(score)) for names, score in zip(ends, self.scores.ravel()[at])]
        return pandas.DataFrame(rows, columns=["edge", "sender", "receiver", "score"])

    def to_mib(self) -> str:
        """The graph as JSON that EAP-IG and the MIB benchmark read.

        There every head has its own keys and values. Heads that share them get equal parts of the shared edge's score.
        A node's score is the sum over the edges that leave it.

        Raises:
            ValueError: the graph lacks heads or MLPs, which that format can't say.
        """
        from .circuit_files import to_mib

        return to_mib(self)

    @classmethod
    def from_mib(cls, text: str | bytes | Path, key_heads: int | None = None) -> Graph:
        """Read the JSON of EAP-IG or of the MIB benchmark. What it says of nodes beside their edges is not read.

        Args:
            text: the JSON, or the `Path` of a file that holds it.
            key_heads: how many heads have their own keys and values in the model; None is all. The scores of heads
                that share them are added, and a shared edge is in the circuit if one of theirs is.

        Raises:
            ValueError: text that is not such JSON, with a sentence that says where.
        """
        from .circuit_files import from_mib

        return from_mib(text, key_heads)

    def to_edge_list(self) -> str:
        """The circuit as a JSON list of edges, as auto-circuit writes them: "A0.1->A2.3.Q", "Resid Start->MLP 0". There
        every head has its own keys and values, so an edge into shared ones is listed for each head that reads them."""
        from .circuit_files import to_edge_list

        return to_edge_list(self)

    def read_circuit(self, text: str | bytes | Path) -> Graph:
        """The circuit of a file, in this graph.

        Args:
            text: a graph as JSON, as `to_json` or `to_mib` writes it; or edges as in auto-circuit or as in this graph,
                one a line, as a JSON list, or as JSON that gives each a score, true or false, or the positions that it
                is at. Or the `Path` of a file that holds one of these.

        Returns:
            The graph in the file; if that only lists edges, this graph with them as its circuit, and with their scores
            if they have some.

        Raises:
            ValueError: the text is none of these, or of a model with other nodes.
        """
        from .circuit_files import read_circuit

        return read_circuit(self, text)

    # What a notebook or a terminal shows

    def plot(self) -> Picture:
        """The circuit: layers upwards, heads across and MLPs to their right, a line for each edge, blue for a positive
        score and orange for a negative one, as wide as the score is large. A line into a head ends at its left for
        queries, in the middle for keys, at its right for values. Of a larger circuit the 200 largest edges are drawn.
        Needs matplotlib."""
        from .pictures import BAR, circuit

        layers = 1 + max((node.layer for node in self.sender_nodes if node.layer is not None), default=-1)
        heads = 1 + max((node.head for node in self.sender_nodes if node.head is not None), default=-1)

        def at(node: Node) -> tuple[float, float]:
            if node.layer is None:
                return ((heads - 1) / 2, 0.0 if node.name == INPUT else layers + 1.0)
            # An MLP is to the right of the heads, and above them, since it reads what they write.
            return (node.head, node.layer + 1.0) if node.head is not None else (heads + 0.5, node.layer + 1.4)

        drawn = self._largest(self.kept)[:MOST_DRAWN]
        rows, columns = np.unravel_index(drawn, self.kept.shape)
        from_ = np.array([at(self.sender_nodes[row]) for row in rows]).reshape(-1, 2)
        to = np.array([at(self.receiver_nodes[column]) for column in columns]).reshape(-1, 2)
        parts = {"": 0.0, "q": -BAR, "k": 0.0, "v": BAR}
        to[:, 0] += [parts[self.receiver_nodes[column].part] for column in columns]
        nodes = [*self.sender_nodes, Node(LOGITS)]
        inside = {INPUT, LOGITS, *self.nodes}
        cut = f", the {MOST_DRAWN} largest are drawn" if self.size > MOST_DRAWN else ""
        return circuit(
            np.array([at(node) for node in nodes]),
            np.array([node.name in inside for node in nodes]),
            np.array([node.head is not None for node in nodes]),
            np.stack([from_, to], 1),
            self.scores.ravel()[drawn],
            layers=layers,
            heads=heads,
            title=self.headline() + cut,
        )

    def _as_html(self) -> str:
        # Of a whole model the list of its largest edges says more than a picture.
        return super()._as_html() if self.size <= MOST_DRAWN else f"<pre>{html.escape(repr(self))}</pre>"

    def headline(self) -> str:
        words = f"{self.size} of {self.edges} edges"
        many = f", mean of {len(self.params['pairs'])} pairs" if isinstance(self.params.get("pairs"), list) else ""
        return f"{words}, {self.metric_label}{many}" if self.metric_label else words

    def summary(self) -> Iterator[str]:
        yield f"{len(self.senders)} senders, {len(self.receivers)} receivers; the largest edges of the circuit:"
        for at in self._largest(self.kept)[:SUMMARISED]:
            yield f"  {self.scores.flat[at]:+.4f}  {self._name_at(at)}"
        if self.circuits is not None:
            sizes = self.circuits.sum((1, 2), dtype=np.int64)
            yield "edges by threshold: " + ", ".join(f"{one:g}: {n}" for one, n in zip(self.thresholds, sizes))


def edges_between(senders: Sequence[str], receivers: Sequence[str], parallel: bool) -> np.ndarray:
    """Which senders each receiver reads, [sender, receiver]."""
    written = np.array([_written_at(parse_node(name)) for name in senders])
    read = np.array([_read_at(parse_node(name), parallel) for name in receivers])
    return written[:, None] < read[None]


def _written_at(node: Node) -> float:
    """When a node writes: attention before the MLP of the same layer."""
    return -1.0 if node.layer is None else node.layer + (0.25 if node.head is not None else 0.75)


def _read_at(node: Node, parallel: bool) -> float:
    if node.layer is None:
        return float("inf")
    return node.layer + (0.0 if node.head is not None or parallel else 0.5)


def inputs_of(senders: Sequence[str], receivers: Sequence[str]) -> np.ndarray:
    """Which receivers are inputs of which node, [sender, receiver]."""
    column = {name: i for i, name in enumerate(receivers)}
    reads = np.zeros((len(senders), len(receivers)), bool)
    first: dict[tuple[int | None, str], int] = {}  # the number that heads share, so far
    for row, node in enumerate(map(parse_node, senders)):
        if node.head is None:
            if node.name in column:
                reads[row, column[node.name]] = True
            continue
        for part in "qkv":
            own = column.get(f"{node.name}<{part}>")
            first[node.layer, part] = own if own is not None else first.get((node.layer, part), -1)
            if first[node.layer, part] >= 0:
                reads[row, first[node.layer, part]] = True
    return reads


def every_name(layers: int, heads: int, key_heads: int | None = None) -> tuple[list[str], list[str]]:
    """The senders and receivers of a model with equal layers, in the order of MIB.

    Args:
        key_heads: how many heads have their own keys and values; None is all.
    """
    senders, receivers = [INPUT], []
    for layer in range(layers):
        senders += [*(f"a{layer}.h{head}" for head in range(heads)), f"m{layer}"]
        for part in "qkv":
            step = 1 if part == "q" else heads // (key_heads or heads)
            receivers += [f"a{layer}.h{head}<{part}>" for head in range(0, heads, step)]
        receivers.append(f"m{layer}")
    return senders, [*receivers, LOGITS]


def _refuse_unordered(senders: Sequence[str], receivers: Sequence[str]) -> None:
    """Raise ValueError for nodes that are not those of a model, each once and in its order."""
    made, read = [*map(parse_node, senders)], [*map(parse_node, receivers)]
    for node in made:
        _refuse_sender(node)
    for node in read:
        _refuse_receiver(node)
    order = [(_written_at(node), node.head or 0) for node in made]
    wanted = [(_read_at(node, False), "qkv".find(node.part), node.head or 0) for node in read]
    if sorted(set(order)) != order or sorted(set(wanted)) != wanted:
        raise ValueError("senders and receivers are listed once, in the order in which the model computes them")
    if senders[:1] != [INPUT] or receivers[-1:] != [LOGITS]:
        raise ValueError("the first sender is input, and the last receiver is logits")
    shared = {(node.layer, node.part) for node in read if node.part}
    first = {(node.layer, part) for node in made if node.head is not None for part in "qkv"}
    if shared != first:
        raise ValueError("every layer with heads has receivers for their queries, keys and values")


def _refuse_other_circuits(graph: Graph) -> None:
    """Raise ValueError for circuits that are not those of a graph's thresholds."""
    known = graph.thresholds
    if sorted(set(known)) != known or len(graph.values) != len(known):
        raise ValueError("thresholds are ascending numbers, each once, and values are one for each of them")
    if len(graph.values_beside) not in (0, len(known)):
        raise ValueError("values_beside, if they are given, are one for each threshold")
    if (graph.circuits is not None) != (len(known) > 1):
        raise ValueError("circuits are given if there are several thresholds")
    if graph.circuits is not None and graph.circuits.shape != (len(known), *graph.kept.shape):
        raise ValueError(f"circuits are [threshold, sender, receiver], {[len(known), *graph.kept.shape]}")
    if graph.circuits is not None and (graph.circuits > graph.real).any():
        raise ValueError("circuits are 1 for edges in the circuit of a threshold, else 0")


def _count(n: Any) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
        raise ValueError(f"n is how many edges the circuit gets, a whole number, not {n!r}.")
    return int(n)


def is_number(value: Any) -> bool:
    """Whether a value is a number other than NaN, also one of NumPy's."""
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        return False
    return np.ndim(value) == 0 and float(value) == float(value)
