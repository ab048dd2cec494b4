"""Attribution graphs: which features, and through which others, made a model expect its next tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, as_place
from .codec import Bytes, Floats, Ints
from .envelope import BaseResult, excerpt
from .influence import Flow, cumulative, graph_scores, threshold_of
from .path_lengths import PathLengths
from .sides import Prompt

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

KINDS = ("feature", "error", "token", "position", "bias", "logit")
FEATURE, ERROR, TOKEN, POSITION, BIAS, LOGIT = range(6)
SUMMARISED = 10  # nodes and edges in a printed graph
MOST_DRAWN = 300  # edges in a picture


class GraphNode(NamedTuple):
    """A node of an attribution graph.

    Attributes:
        id: its name, which no other node has.
        kind: "feature", "error" (what a transcoder misses), "token", "position" (the embedding of a position),
            "bias" (all of the biases together) or "logit".
        layer, position: None where it has none.
        feature: the feature's number; of a token or a logit the token's id; None for others.
        label: what to call it.
        value: a feature's activation, which is its pre-activation; a logit minus the mean logit; None for others.
        influence: the sum over all paths to the logits, which count by their probabilities.
        traced: whether the edges into it are known; those of other kinds than features and logits have none.
    """

    id: str
    kind: str
    layer: int | None
    position: int | None
    feature: int | None
    label: str
    value: float | None
    influence: float
    traced: bool

    @property
    def place(self) -> Place:
        """Where in the model it is."""
        activations = {"token": "embed", "position": "pos_embed", "logit": "logits", "bias": None}
        feature = self.feature if self.kind == "feature" else None
        activation = activations.get(self.kind, "mlp_out")
        return Place(activation=activation, layer=self.layer, feature=feature, position=self.position)


class AttributionGraph(BaseResult):
    """What `attribution_graph` returns.

    Nodes are in the order of `KINDS`, features by layer, position and number. Targets are the features and the logits,
    in that order; sources are all nodes but the logits, the bias last.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        prompt: the prompt as it was run.
        n_layers: how many layers the model has.
        transcoders: the name, layout and hash of the transcoders, and whether they are cross-layer ones.
        kind: the index of each node's kind in `KINDS`, [node].
        layer, position, feature: as in `GraphNode`, -1 where a node has none, [node].
        values: as in `GraphNode`, NaN where a node has none, [node].
        edges: what each source adds to each target, [target, source]; zero where there is no edge.
        rest: what features that are not in this graph add to each target, and edges that were pruned, [target]. For
            every traced target, its edges and the rest sum to its value.
        sizes: the sum of the sizes of all edges into each target, but of the bias's, also of edges that are not in this
            graph, [target].
        traced: 1 for the targets whose edges are known, [target].
        influence: of each node, in the whole graph, [node].
        total_influence: the sum over all nodes of the whole graph.
        probabilities: the probability of each logit's token, [logit].
        replacement, completeness: the scores of the whole graph, from 0 to 1.
        active, features_traced: how many features are active on the prompt, and of how many the edges are known.
        largest_gap: the largest difference between what enters a target and its value, relative to the value or to the
            largest edge, whichever is larger.
        supernodes: named groups of nodes.
    """

    derived = BaseResult.derived | {"ids", "cumulative", "share"}  # of a view's part of a graph

    family: Literal["attribution_graph"] = "attribution_graph"
    method: str = "attribution_graph"
    params: dict[str, Any] = Field(default_factory=dict)
    prompt: Prompt
    n_layers: int = Field(ge=1, le=10_000)
    transcoders: dict[str, str | bool] = Field(default_factory=dict)
    kind: Ints
    layer: Ints
    position: Ints
    feature: Ints
    values: Floats
    edges: Floats
    rest: Floats
    sizes: Floats
    traced: Bytes
    influence: Floats
    total_influence: float
    probabilities: Floats
    logit_tokens: list[str]
    replacement: float
    completeness: float
    active: int = Field(ge=0)
    features_traced: int = Field(ge=0)
    largest_gap: float = Field(ge=0)
    supernodes: dict[str, list[str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> AttributionGraph:
        nodes = self.kind.shape
        of_nodes = (self.layer, self.position, self.feature, self.values, self.influence)
        if len(nodes) != 1 or any(one.shape != nodes for one in of_nodes):
            raise ValueError("kind, layer, position, feature, values and influence have one number for each node")
        if self.kind.min(initial=0) < 0 or self.kind.max(initial=0) >= len(KINDS) or (np.diff(self.kind) < 0).any():
            raise ValueError(f"nodes are in the order of their kinds, {', '.join(KINDS)}")
        features, logits = int((self.kind == FEATURE).sum()), int((self.kind == LOGIT).sum())
        if int((self.kind == BIAS).sum()) != 1 or not logits:
            raise ValueError("a graph has one node for the biases, and a logit or more")
        targets = (features + logits,)
        if self.edges.shape != (*targets, nodes[0] - logits):
            raise ValueError(f"edges are [target, source], {[*targets, nodes[0] - logits]}")
        if any(one.shape != targets for one in (self.rest, self.sizes, self.traced)):
            raise ValueError("rest, sizes and traced have one number for each target")
        if self.probabilities.shape != (logits,) or len(self.logit_tokens) != logits:
            raise ValueError("there is one probability and one text for each logit")
        self._refuse_odd_numbers()
        self._refuse_odd_nodes()
        return self

    def _refuse_odd_numbers(self) -> None:
        finite = (self.edges, self.rest, self.sizes, self.influence, self.probabilities, self.values[self._targets])
        if not all(np.isfinite(one).all() for one in finite):
            raise ValueError("edges, rest, sizes, influence, probabilities and the values of targets are finite")
        if (self.sizes < 0).any() or (self.influence < 0).any() or (self.probabilities < 0).any():
            raise ValueError("sizes, influence and probabilities are 0 or more")
        if self.traced.max(initial=0) > 1:
            raise ValueError("traced is 1 for targets whose edges are known, else 0")

    def _refuse_odd_nodes(self) -> None:
        length, placed = len(self.prompt.ids), self.kind != BIAS
        if (self.position[placed] < 0).any() or (self.position >= length).any():
            raise ValueError("the positions of nodes are those of the prompt's tokens")
        layered = self.kind <= ERROR
        if (self.layer[layered] < 0).any() or (self.layer >= self.n_layers).any():
            raise ValueError("the layers of features and errors are those of the model")
        keys = set(zip(*(one.tolist() for one in (self.kind, self.layer, self.position, self.feature))))
        if len(keys) < len(self.kind):
            raise ValueError("no two nodes of a graph are the same")
        later = np.append(self.layer[: self._features], np.full(len(self.probabilities), self.n_layers))
        earlier = self.layer[: self.edges.shape[1]]
        if ((earlier[None] >= later[:, None]) & (self.edges != 0)).any():
            raise ValueError("an edge leads from an earlier layer to a later one")
        known = set(self.ids)
        if any(not set(members) <= known for members in self.supernodes.values()):
            raise ValueError("the nodes of a supernode are nodes of the graph")

    # Nodes

    @cached_property
    def _features(self) -> int:
        return int((self.kind == FEATURE).sum())

    @cached_property
    def _targets(self) -> np.ndarray:
        """Which nodes are targets, [target]."""
        return np.flatnonzero((self.kind == FEATURE) | (self.kind == LOGIT))

    @cached_property
    def ids(self) -> list[str]:
        """The name of each node: `3_120_5` is feature 120 of layer 3 at position 5, `error_3_5` an error,
        `E_464_5` a token, `position_5`, `bias`; a logit is one layer above the last but one, as in circuit-tracer."""
        columns = zip(self.kind.tolist(), self.layer.tolist(), self.position.tolist(), self.feature.tolist())
        return [_id(self.n_layers, *one) for one in columns]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.ids)}

    @cached_property
    def labels(self) -> list[str]:
        """What to call each node."""
        tokens = self.prompt.tokens
        first = len(self.kind) - len(self.probabilities)
        words = []
        for at, (kind, layer, position, feature) in enumerate(zip(self.kind, self.layer, self.position, self.feature)):
            where = f"at {tokens[position]!r} ({position})" if position >= 0 else ""
            texts = {
                FEATURE: f"{layer}/{feature} {where}",
                ERROR: f"error {layer} {where}",
                TOKEN: f"token {where[3:]}",
                POSITION: f"position {position}",
                BIAS: "biases",
                LOGIT: f"logit {self.logit_tokens[at - first]!r}" if kind == LOGIT else "",
            }
            words.append(texts[int(kind)])
        return words

    def node(self, id: str) -> GraphNode:
        """One node by its name.

        Raises:
            ValueError: the graph has no such node.
        """
        return self._node(self._at(id))

    @property
    def nodes(self) -> list[GraphNode]:
        """All nodes, in their order."""
        return [self._node(at) for at in range(len(self.kind))]

    def _node(self, at: int) -> GraphNode:
        def known(value: int) -> int | None:
            return None if value < 0 else value

        kind = int(self.kind[at])
        row = self._row(at)
        return GraphNode(
            id=self.ids[at],
            kind=KINDS[kind],
            layer=known(int(self.layer[at])),
            position=known(int(self.position[at])),
            feature=known(int(self.feature[at])),
            label=self.labels[at],
            value=None if np.isnan(self.values[at]) else float(self.values[at]),
            influence=float(self.influence[at]),
            traced=row is not None and bool(self.traced[row]),
        )

    def _at(self, id: str) -> int:
        if id not in self._index:
            raise ValueError(f"This graph has no node {id!r:.60}. Its `ids` are the names of all nodes.")
        return self._index[id]

    def _row(self, at: int) -> int | None:
        """Which target a node is."""
        if at < self._features:
            return at
        first = len(self.kind) - len(self.probabilities)
        return self._features + at - first if at >= first else None

    def place_of(self, id: str) -> Place:
        """Where in the model a node is."""
        return self.node(id).place

    def find(self, place: PlaceLike) -> list[str] | None:
        """The nodes at a place, by influence; None if there are none. Parts that a place lacks are ignored."""
        place = as_place(place) or Place()
        wanted, length = {"layer": self.layer, "position": self.position}, len(self.prompt.ids)
        mask = self.kind != BIAS
        if place.feature is not None:
            mask &= (self.kind == FEATURE) & (self.feature == place.feature)
        if place.activation in ("embed", "pos_embed", "logits"):
            mask &= self.kind == {"embed": TOKEN, "pos_embed": POSITION, "logits": LOGIT}[place.activation]
        for part, along in wanted.items():
            value = getattr(place, part)
            if value is not None:
                mask &= along >= 0
                values = np.atleast_1d(value)
                if part == "position":
                    values = [at % length for at in values if -length <= at < length]
                mask &= np.isin(along, values)
        found = np.flatnonzero(mask)
        return [self.ids[at] for at in found[np.argsort(-self.influence[found], kind="stable")]] or None

    def inputs(self, id: str) -> list[tuple[str, float]]:
        """The edges into a node, the largest of either sign first: who writes, and what it adds."""
        row = self._row(self._at(id))
        if row is None:
            return []
        order = np.argsort(-np.abs(self.edges[row]), kind="stable")
        return [(self.ids[at], float(self.edges[row, at])) for at in order if self.edges[row, at]]

    def outputs(self, id: str) -> list[tuple[str, float]]:
        """The edges out of a node, the largest of either sign first: who reads, and what is added to it."""
        at = self._at(id)
        if at >= self.edges.shape[1]:
            return []
        order = np.argsort(-np.abs(self.edges[:, at]), kind="stable")
        return [(self.ids[self._targets[row]], float(self.edges[row, at])) for row in order if self.edges[row, at]]

    # Influence

    @property
    def flow(self) -> Flow:
        """The edges as influence flows along them: without the bias's, as in circuit-tracer."""
        level = np.append(self.layer[: self._features], np.full(len(self.probabilities), self.n_layers))
        weights = np.zeros(len(self.kind))
        weights[self.kind == LOGIT] = self.probabilities
        return Flow(self.edges[:, :-1], self.sizes.astype(np.float64), self._targets, level, weights)

    @cached_property
    def cumulative(self) -> np.ndarray:
        """For each node the share of all influence that it and all nodes of more influence have, [node]: what
        circuit-tracer's files call influence."""
        return cumulative(self.influence.astype(np.float64), self.total_influence)

    def pruned(self, node: float = 0.8, edge: float = 0.98) -> AttributionGraph:
        """The graph without nodes and edges of little influence on the logits.

        First the nodes of most influence are kept, until they have a share of all; tokens, positions, the bias and
        logits always. Then the same with edges, and what has lost its inputs or its outputs goes too.

        Args:
            node, edge: the shares of influence to keep, from 0 to 1.

        Raises:
            ValueError: a share is not from 0 to 1.
        """
        for name, share in (("node", node), ("edge", edge)):
            if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise ValueError(f"{name} is a share of the influence, from 0 to 1, not {share!r:.40}.")
        kept = self.influence >= threshold_of(self.influence, node, self.total_influence)
        kept |= self.kind >= TOKEN
        left, flow = self.edges[:, :-1].copy(), self.flow
        left[~kept[self._targets]] = 0
        left[:, ~kept[: left.shape[1]]] = 0
        flow = Flow(left, np.abs(left).sum(1, dtype=np.float64), flow.node, flow.level, flow.weights)
        scores = flow.edge_influence(flow.influence())
        edges = scores >= threshold_of(scores, edge)
        kept, edges = self._connected(kept, edges & (left != 0))
        return self._cut(kept, np.append(edges, np.ones((len(edges), 1), bool), 1))

    def _connected(self, kept: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and edges without features and errors that lead nowhere, and features that nothing leads into."""
        inner = int((self.kind <= ERROR).sum())
        while True:
            before = kept.copy()
            kept[:inner] &= edges[:, :inner].any(0)
            kept[: self._features] &= edges[: self._features].any(1)
            edges = edges & kept[self._targets][:, None] & kept[: edges.shape[1]]
            if (before == kept).all():
                return kept, edges

    def subgraph(self, nodes: Iterable[str], *, inputs: bool = True) -> AttributionGraph:
        """The graph of some nodes, and of the logits and the bias. What the others add is in `rest`.

        Args:
            nodes: their names.
            inputs: with all tokens and positions.

        Raises:
            ValueError: the graph has no such node.
        """
        kept = self.kind >= BIAS
        kept |= inputs & ((self.kind == TOKEN) | (self.kind == POSITION))
        kept[[self._at(id) for id in nodes]] = True
        return self._cut(kept, np.ones(self.edges.shape, bool))

    def _cut(self, kept: np.ndarray, edges: np.ndarray) -> AttributionGraph:
        """The graph of some nodes [node] and edges [target, source]; the rest of each target is kept as a number."""
        rows, columns = kept[self._targets], kept[: self.edges.shape[1]]
        left = np.where(edges, self.edges, 0)[rows][:, columns]
        gone = self.edges.sum(1, dtype=np.float64)[rows] - left.sum(1, dtype=np.float64)
        ids = {name for name, stays in zip(self.ids, kept) if stays}
        groups = {name: [one for one in members if one in ids] for name, members in self.supernodes.items()}
        arrays = {"edges": left, "rest": (self.rest[rows] + gone).astype(np.float32)}
        arrays |= {name: getattr(self, name)[rows] for name in ("sizes", "traced")}
        for name in ("kind", "layer", "position", "feature", "values", "influence"):
            arrays[name] = getattr(self, name)[kept]
        return self._with(**arrays, supernodes={name: members for name, members in groups.items() if members})

    def _with(self, **changed: Any) -> AttributionGraph:
        """The same graph with other fields."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return AttributionGraph(**{**fields, **changed})

    def with_supernodes(self, supernodes: Mapping[str, Sequence[str]]) -> AttributionGraph:
        """The same graph with nodes in named groups, which take the place of earlier ones.

        Raises:
            ValueError: the graph has no such node, a node is in two groups, or a group has the name of a node.
        """
        groups = {name: list(members) for name, members in supernodes.items()}
        if taken := [name for name in groups if name in self._index]:
            raise ValueError(f"{taken[0]} is the name of a node. Give the supernode another name.")
        every = [self.ids[self._at(id)] for members in groups.values() for id in members]
        if twice := [id for id in every if every.count(id) > 1]:
            raise ValueError(f"The node {twice[0]} is in two supernodes. A node is in one at most.")
        return self._with(supernodes=groups)

    def scores(self, pinned: Iterable[str] | None = None) -> tuple[float, float]:
        """Replacement and completeness score of this graph's own edges, or of a part of it.

        Args:
            pinned: the names of some nodes. As on Neuronpedia, every other feature is then an error: what it writes is
                added to the error of its layer and position, and what it reads is dropped.

        Raises:
            ValueError: the graph has no such node.
        """
        edges, flow = self.edges[:, :-1], self.flow
        if pinned is not None:
            edges = self._as_errors(edges.copy(), {self._at(id) for id in pinned})
        flow = Flow(edges, np.abs(edges).sum(1, dtype=np.float64), flow.node, flow.level, flow.weights)
        errors, tokens = (np.flatnonzero(np.isin(self.kind, some)) for some in ([ERROR], [TOKEN, POSITION]))
        errors, tokens = (slice(some[0], some[-1] + 1) if len(some) else slice(0, 0) for some in (errors, tokens))
        return graph_scores(flow, flow.influence(), errors, tokens)

    def path_lengths(self) -> PathLengths:
        """How the influence on the logits is spread over paths with 0, 1, 2, ... features on them.

        Compare it between graphs of one prompt by per-layer and by cross-layer transcoders, with the share that comes
        from errors: a graph can be shallow because its features are, or because most of it is an error.
        """
        return PathLengths.of(self.flow, np.isin(self.kind, [TOKEN, POSITION]), self.kind == ERROR)

    def _as_errors(self, edges: np.ndarray, pinned: set[int]) -> np.ndarray:
        where = {
            (int(self.layer[at]), int(self.position[at])): at for at in np.flatnonzero(self.kind == ERROR).tolist()
        }
        for at in range(self._features):
            if at not in pinned:
                error = where.get((int(self.layer[at]), int(self.position[at])))
                if error is not None:
                    edges[:, error] += edges[:, at]
                edges[:, at] = 0
                edges[at] = 0
        return edges

    # Predictions

    def changes(self, *nodes: str, scale: float | None = None, value: float | None = None) -> list[dict[str, Any]]:
        """The same change of some features, for `feature_interventions`.

        Args:
            nodes: names of features or of supernodes.
            scale, value: what their activations are multiplied by, or set to.

        Raises:
            ValueError: the graph has no such node, or it is no feature; or neither scale nor value is given, or both.
        """
        if (scale is None) == (value is None):
            raise ValueError("A change of a feature has a scale or a value, and not both.")
        ids = [id for name in nodes for id in ([name] if name in self._index else self.supernodes.get(name, [name]))]
        several = [self.node(id) for id in ids]
        if other := [one for one in several if one.kind != "feature"]:
            raise ValueError(f"{other[0].label} is no feature, so it can't be changed.")
        how = {"scale": scale} if scale is not None else {"value": value}
        return [{"layer": one.layer, "feature": one.feature, "position": one.position, **how} for one in several]

    def predicted(self, changes: Iterable[Any]) -> dict[int, float]:
        """By how much changes of features move each logit minus the mean logit, if the graph is the whole truth: what
        is changed changes what it writes into other features, in proportion, and those change others.

        Args:
            changes: `FeatureChange`s, or dictionaries of their fields. Those not in the graph are left out.

        Returns:
            By the id of a logit's token, in the graph's order.

        Raises:
            ValueError: the prompt has no such position.
        """
        features, length = self.kind == FEATURE, len(self.prompt.ids)
        now = np.where(features, self.values, 0).astype(np.float64)
        new = now.copy()  # changes of one feature are made one after the other
        for one in changes:
            fields = one if isinstance(one, Mapping) else dict(one)
            at = features & (self.layer == fields["layer"]) & (self.feature == fields["feature"])
            if (position := fields.get("position")) is not None:
                several = np.atleast_1d(position)
                if (several < -length).any() or (several >= length).any():
                    raise ValueError(f"The prompt has no position {position}: it has {length} tokens, from 0.")
                at &= np.isin(self.position, several % length)
            new[at] = new[at] * fields["scale"] if fields.get("scale") is not None else fields["value"]
        shares = np.divide(new - now, now, out=np.zeros(len(now)), where=now != 0)
        relative = shares[: self.edges.shape[1]]  # the change of each source as a share of what it is
        edges = self.edges.astype(np.float64)
        for layer in np.unique(self.layer[: self._features]):
            rows = np.flatnonzero(self.layer[: self._features] == layer)
            moved, values = edges[rows] @ relative, self.values[rows].astype(np.float64)
            relative[rows] += np.divide(moved, values, out=np.zeros(len(rows)), where=values != 0)
        logits = self.kind == LOGIT
        return dict(zip(self.feature[logits].tolist(), (edges[self._features :] @ relative).tolist()))

    # Ways out

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each edge, the largest first: source, target, their labels, and what is added."""
        import pandas

        rows, columns = np.nonzero(self.edges)
        weights = self.edges[rows, columns]
        order = np.argsort(-np.abs(weights), kind="stable")
        targets = self._targets[rows]
        table = {
            "source": [self.ids[at] for at in columns[order]],
            "target": [self.ids[at] for at in targets[order]],
            "source_label": [self.labels[at] for at in columns[order]],
            "target_label": [self.labels[at] for at in targets[order]],
            "weight": weights[order],
        }
        return pandas.DataFrame(table)

    def nodes_dataframe(self) -> pandas.DataFrame:
        """One row for each node, in their order: the fields of `GraphNode`."""
        import pandas

        return pandas.DataFrame(self.nodes, columns=list(GraphNode._fields))

    def to_circuit_tracer(self, slug: str = "graph", scan: str | None = None) -> str:
        """The graph as JSON that circuit-tracer's and Neuronpedia's pages show: see `results/graph_files.py`."""
        from .graph_files import write

        return write(self, slug, scan)

    @classmethod
    def from_circuit_tracer(cls, text: str | bytes) -> AttributionGraph:
        """Read the JSON of circuit-tracer or of Neuronpedia.

        Raises:
            ValueError: text that is not such JSON, with a sentence that says where.
        """
        from .graph_files import read

        return read(text)

    def plot(self) -> Picture:
        """The pruned graph: tokens across, layers upwards, the logits on top; blue edges add, orange ones take away, as
        wide as they are large. Of a larger graph the 300 edges of most influence are drawn. Needs matplotlib."""
        from .pictures import attribution_graph

        return attribution_graph(*self._drawn(), tokens=self.prompt.tokens, layers=self.n_layers, title=self.headline())

    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Positions of nodes, [node, 2], their kinds, the ends of edges, [edge, 2, 2], and their weights."""
        small = self.pruned()
        flow = small.flow
        scores = flow.edge_influence(small.influence.astype(np.float64))
        largest = np.argsort(-scores, axis=None, kind="stable")[:MOST_DRAWN]
        rows, columns = np.unravel_index(largest, scores.shape)
        real = small.edges[rows, columns] != 0
        rows, columns = rows[real], columns[real]
        shown = np.isin(np.arange(len(small.kind)), [*columns, *small._targets[rows]])
        at = _spread(small, shown)
        ends = np.stack([at[columns], at[small._targets[rows]]], 1)
        return at[shown], small.kind[shown], ends, small.edges[rows, columns]

    def headline(self) -> str:
        features = f"{self._features:,} of {self.active:,} active features"
        return f"{features} on “{excerpt(self.prompt.text, 40)}”, replacement {self.replacement:.2f}"

    def summary(self) -> Iterator[str]:
        tokens = ", ".join(f"{text!r} {p:.1%}" for text, p in zip(self.logit_tokens[:5], self.probabilities))
        yield f"logits: {tokens}"
        traced = f"edges of {self.features_traced:,} of {self.active:,} features"
        yield f"{traced}; completeness {self.completeness:.2f}; largest gap {self.largest_gap:.1e}"
        some = np.argsort(-self.influence, kind="stable")[:SUMMARISED]
        yield "nodes of most influence:"
        for at in some:
            yield f"  {self.influence[at]:.3f}  {self.labels[at]}"


def _id(n_layers: int, kind: int, layer: int, position: int, feature: int) -> str:
    names = {
        FEATURE: f"{layer}_{feature}_{position}",
        ERROR: f"error_{layer}_{position}",
        TOKEN: f"E_{feature}_{position}",
        POSITION: f"position_{position}",
        BIAS: "bias",
        LOGIT: f"{n_layers + 1}_{feature}_{position}",
    }
    return names[kind]


def _spread(graph: AttributionGraph, shown: np.ndarray) -> np.ndarray:
    """Where each node is drawn, [node, 2]: nodes of one token and layer side by side."""
    height = np.where(graph.kind == LOGIT, graph.n_layers, graph.layer).astype(float)
    height[(graph.kind == TOKEN) | (graph.kind == POSITION)] = -1
    at = np.stack([graph.position.astype(float), height + 1], 1)
    cells: dict[tuple[float, float], list[int]] = {}
    for node in np.flatnonzero(shown):
        cells.setdefault((at[node, 0], at[node, 1]), []).append(int(node))
    for members in cells.values():
        at[members, 0] += (np.arange(len(members)) + 0.5) / len(members) * 0.8 - 0.4
    return at
