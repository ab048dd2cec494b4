"""Attribution graphs as the JSON that circuit-tracer writes, and that its and Neuronpedia's pages show.

That JSON knows features, errors, tokens and logits. What a graph has beside them is written so that it opens there:

- the embedding of a position is a node of the kind "embedding", as a token's is;
- the biases are no node, which would be an unknown kind and change the scores; what they add, and the rest that pruned
  nodes add, is written into each node, in fields that the pages ignore, as are values and sizes;
- `influence` is there the share of all influence that a node and all nodes of more influence have.

circuit-tracer gives the error of a layer and position the name that a feature of layer 0 can have too. Names that are
written here never collide, and a file in which two nodes have one name is refused.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .attribution_graph import BIAS, ERROR, FEATURE, KINDS, LOGIT, POSITION, TOKEN, AttributionGraph
from .envelope import parse_json, refuse_what_json_cannot_hold
from .sides import Prompt

TYPES = {
    FEATURE: "cross layer transcoder",  # also of per-layer ones
    ERROR: "mlp reconstruction error",
    TOKEN: "embedding",
    POSITION: "embedding",
    LOGIT: "logit",
}
MOST_NODES, MOST_LINKS = 20_000, 20_000_000
_FEATURE = re.compile(r"(\d{1,5})_(\d{1,9})_(\d{1,6})", re.ASCII)
_TOKEN = re.compile(r"E_(\d{1,9})_(\d{1,6})", re.ASCII)
_LOGIT = re.compile(r"(\d{1,5})_(-?\d{1,9})_(\d{1,6})", re.ASCII)

Number = Annotated[float, Field(allow_inf_nan=False, ge=-3e38, le=3e38)]
Index = Annotated[int, Field(ge=0, le=10**6)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=False)


class _Metadata(_Part):
    slug: str = ""
    scan: Any = None
    prompt_tokens: list[str] = Field(min_length=1, max_length=100_000)
    prompt: str = ""
    hookscope: dict[str, Any] | None = None


class _Parameters(_Part):
    supernodes: list[list[str]] = Field(default_factory=list)


class _Node(_Part):
    node_id: str = Field(max_length=200)
    layer: str | int
    ctx_idx: Index
    feature_type: str
    token_prob: Annotated[float, Field(ge=0, le=1)] = 0.0
    clerp: str | None = ""
    activation: Number | None = None
    hookscope: dict[str, Any] | None = None


class _Link(_Part):
    source: str
    target: str
    weight: Number


class _File(_Part):
    metadata: _Metadata
    qParams: _Parameters = Field(default_factory=_Parameters)
    nodes: list[_Node] = Field(max_length=MOST_NODES)
    links: list[_Link] = Field(max_length=MOST_LINKS)


class _OfWhole(_Part):
    """What the whole graph has that the format can't say."""

    model_config = ConfigDict(extra="forbid")
    n_layers: Annotated[int, Field(ge=1, le=10_000)]
    ids: list[Index]
    total_influence: Annotated[float, Field(ge=0, le=3e38)]
    replacement: Number
    completeness: Number
    active: Index
    features_traced: Index
    largest_gap: Annotated[float, Field(ge=0, le=3e38)]
    transcoders: dict[str, str | bool]


class _OfNode(_Part):
    """The same for a node."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["feature", "error", "token", "position", "logit"]
    influence: Annotated[float, Field(ge=0, le=3e38)]
    value: Number | None = None
    bias: Number = 0.0
    rest: Number = 0.0
    size: Annotated[float, Field(ge=0, le=3e38)] = 0.0
    traced: bool = False
    token: str | None = None


# Writing


def write(graph: AttributionGraph, slug: str, scan: str | None) -> str:
    """A graph as that JSON.

    Args:
        slug: the graph's name in a list of graphs.
        scan: what a page is to call model and transcoders; on Neuronpedia its name of the model, whose dashboards of
            features are then shown.
    """
    shown = [at for at in range(len(graph.kind)) if graph.kind[at] != BIAS]
    weights = graph.edges[:, :-1]
    rows, columns = np.nonzero(weights)
    links = [
        {"source": graph.ids[column], "target": graph.ids[target], "weight": float(weight)}
        for column, target, weight in zip(columns, graph._targets[rows], weights[rows, columns])
    ]
    pinned = [id for members in graph.supernodes.values() for id in members]
    made = {
        "metadata": {
            "slug": slug,
            "scan": scan or str(graph.transcoders.get("name", "hookscope")),
            "transcoder_list": [],
            "prompt_tokens": graph.prompt.tokens,
            "prompt": graph.prompt.text,
            "node_threshold": 0.8,
            "schema_version": 1,
            "info": {"generator": {"name": "Hookscope"}},
            "hookscope": _whole(graph),
        },
        "qParams": {
            "pinnedIds": pinned,
            "supernodes": [[name, *members] for name, members in graph.supernodes.items()],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": [_written(graph, at) for at in shown],
        "links": links,
    }
    return json.dumps(made, allow_nan=False)


def _whole(graph: AttributionGraph) -> dict[str, Any]:
    names = ("n_layers", "total_influence", "replacement", "completeness", "active", "features_traced", "largest_gap")
    fields = {name: getattr(graph, name) for name in names}
    return {**fields, "ids": graph.prompt.ids, "transcoders": graph.transcoders}


def _written(graph: AttributionGraph, at: int) -> dict[str, Any]:
    node, kind, row = graph.node(graph.ids[at]), int(graph.kind[at]), graph._row(at)
    layers = {TOKEN: "E", POSITION: "E", LOGIT: str(graph.n_layers + 1)}
    features = {ERROR: -1, TOKEN: node.position, POSITION: node.position, LOGIT: node.feature}
    own: dict[str, Any] = {"kind": node.kind, "influence": node.influence, "value": node.value}
    if row is not None:
        own |= {"bias": float(graph.edges[row, -1]), "rest": float(graph.rest[row])}
        own |= {"size": float(graph.sizes[row]), "traced": node.traced}
    first = len(graph.kind) - len(graph.probabilities)
    p = float(graph.probabilities[at - first]) if kind == LOGIT else 0.0
    if kind == LOGIT:
        own["token"] = graph.logit_tokens[at - first]
    return {
        "node_id": node.id,
        "feature": _paired(node.layer or 0, node.feature or 0) if kind == FEATURE else features[kind],
        "layer": layers.get(kind, str(node.layer)),
        "ctx_idx": node.position,
        "feature_type": TYPES[kind],
        "token_prob": p,
        "is_target_logit": at == first,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{node.layer}_{node.feature}-0" if kind == FEATURE else f"{node.id}-0",
        "clerp": f"position {node.position}"
        if kind == POSITION
        else f"{graph.labels[at]} (p={p:.3f})" * (kind == LOGIT),
        "influence": None if kind == LOGIT else float(graph.cumulative[at]),
        "activation": node.value if kind == FEATURE else None,
        "hookscope": own,
    }


def _paired(layer: int, feature: int) -> int:
    """Cantor's number of a pair, by which pages find a feature's dashboard."""
    return (layer + feature) * (layer + feature + 1) // 2 + feature


# Reading


def read(text: str | bytes) -> AttributionGraph:
    """The graph in that JSON, by whichever program it was written.

    Raises:
        ValueError: text that is not such JSON, two nodes of one name, or links that lead nowhere or backwards.
    """
    wire = parse_json(text)
    refuse_what_json_cannot_hold(wire)
    file = _parsed(_File, wire, "This is no attribution graph of circuit-tracer or Neuronpedia")
    return _Reading(file).graph()


def _parsed(model: Any, wire: Any, what: str) -> Any:
    try:
        return model.model_validate(wire)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{what}{f' (at {where[:80]})' if where else ''}: {first['msg'][:200]}.") from None


class _Known(BaseModel):
    """A node, its numbers, and what the file says of it."""

    kind: int
    layer: int
    position: int
    feature: int
    node: _Node
    own: _OfNode | None


class _Reading:
    """A file on its way to a graph."""

    def __init__(self, file: _File):
        self.file = file
        self.own = None
        if file.metadata.hookscope is not None:
            self.own = _parsed(_OfWhole, file.metadata.hookscope, "What Hookscope wrote into this graph is damaged")
            if len(self.own.ids) != len(file.metadata.prompt_tokens):
                raise ValueError("What Hookscope wrote into this graph is damaged: it has not one id for each token.")
        known = [self._known(node) for node in file.nodes]
        self._refuse_collisions(known)
        # Logits stay in their order, which is that of their probabilities.
        self.nodes = sorted(
            known, key=lambda one: (one.kind, one.layer, one.position, one.kind != LOGIT and one.feature)
        )
        if not any(one.kind == LOGIT for one in self.nodes):
            raise ValueError("This graph has no logits, so nothing in it has an influence.")

    def _known(self, node: _Node) -> _Known:
        own = None
        if self.own is not None and node.hookscope is not None:
            own = _parsed(_OfNode, node.hookscope, f"The node {node.node_id!r:.40} is damaged")
        kind = next((at for at, name in TYPES.items() if name == node.feature_type), None)
        if kind is None:
            known = ", ".join(dict.fromkeys(TYPES.values()))
            raise ValueError(f"The node {node.node_id!r:.40} is of the kind {node.feature_type!r:.40}, not of {known}.")
        if own is not None and TYPES[KINDS.index(own.kind)] == node.feature_type:
            kind = KINDS.index(own.kind)
        layer, feature = self._numbers(node, kind)
        return _Known(kind=kind, layer=layer, position=node.ctx_idx, feature=feature, node=node, own=own)

    def _numbers(self, node: _Node, kind: int) -> tuple[int, int]:
        """A node's layer, and the number of its feature or token."""
        layer = str(node.layer)
        if kind in (FEATURE, ERROR) and not re.fullmatch(r"\d{1,4}", layer, re.ASCII):
            raise ValueError(f"The node {node.node_id!r:.40} is in no layer: {layer!r:.20}.")
        pattern = {FEATURE: _FEATURE, TOKEN: _TOKEN, LOGIT: _LOGIT}.get(kind)
        found = None if pattern is None else pattern.fullmatch(node.node_id)
        if pattern is not None and found is None:
            raise ValueError(f"The name of the node {node.node_id!r:.40} does not say which {KINDS[kind]} it is.")
        if kind == FEATURE and found is not None:
            if int(found[1]) != int(layer) or int(found[3]) != node.ctx_idx:
                raise ValueError(f"The node {node.node_id!r:.40} has another name than its layer and position.")
            return int(layer), int(found[2])
        if kind == ERROR or found is None:
            return (int(layer) if kind == ERROR else -1), -1
        return -1, int(found[1] if kind == TOKEN else found[2])

    @staticmethod
    def _refuse_collisions(nodes: list[_Known]) -> None:
        seen: set[str] = set()
        for one in nodes:
            if one.node.node_id in seen:
                raise ValueError(
                    f"Two nodes of this graph have the name {one.node.node_id!r:.40}, so their edges can't be told "
                    "apart: circuit-tracer names errors as features of layer 0."
                )
            seen.add(one.node.node_id)

    def graph(self) -> AttributionGraph:
        nodes = [*(one for one in self.nodes if one.kind != LOGIT), None, *(o for o in self.nodes if o.kind == LOGIT)]
        targets = [at for at, one in enumerate(nodes) if one is not None and one.kind in (FEATURE, LOGIT)]
        logits = [one for one in self.nodes if one.kind == LOGIT]
        columns = len(nodes) - len(logits)
        edges = self._edges(nodes, targets, columns)
        known = [nodes[at] for at in targets]
        owns = [one.own if one is not None and one.own is not None else None for one in known]
        edges[:, -1] = [0.0 if own is None else own.bias for own in owns]
        summed = np.abs(edges[:, :-1]).sum(1)
        values = [_value(one) for one in nodes]
        for at, row in zip(targets, edges.sum(1, dtype=np.float64)):
            if np.isnan(values[at]):
                values[at] = float(row)
        made: dict[str, Any] = {
            name: np.array([-1 if one is None else getattr(one, name) for one in nodes], np.int32)
            for name in ("layer", "position", "feature")
        }
        layers = max([int(made["layer"].max()) + 1, 1])
        whole = self.own
        graph = AttributionGraph(
            method="" if whole is None else "attribution_graph",
            prompt=self._prompt(nodes),
            n_layers=layers if whole is None else whole.n_layers,
            transcoders={"name": str(self.file.metadata.scan)[:200]} if whole is None else whole.transcoders,
            kind=np.array([BIAS if one is None else one.kind for one in nodes], np.int32),
            **made,
            values=np.array(values, np.float32),
            edges=edges,
            rest=np.array([0.0 if own is None else own.rest for own in owns], np.float32),
            sizes=np.array([s if own is None else own.size for own, s in zip(owns, summed)], np.float32),
            traced=np.array([1 if own is None else own.traced for own in owns], np.uint8),
            influence=np.array(
                [0.0 if one is None or one.own is None else one.own.influence for one in nodes], np.float32
            ),
            total_influence=0.0 if whole is None else whole.total_influence,
            probabilities=np.array([one.node.token_prob for one in logits], np.float32),
            logit_tokens=[_token(one) for one in logits],
            replacement=0.0 if whole is None else whole.replacement,
            completeness=0.0 if whole is None else whole.completeness,
            active=sum(one.kind == FEATURE for one in self.nodes) if whole is None else whole.active,
            features_traced=sum(one.kind == FEATURE for one in self.nodes) if whole is None else whole.features_traced,
            largest_gap=0.0 if whole is None else whole.largest_gap,
            supernodes=self._supernodes(nodes),
        )
        return graph if whole is not None else _measured(graph)

    def _edges(self, nodes: list[Any], targets: list[int], columns: int) -> np.ndarray:
        index = {one.node.node_id: at for at, one in enumerate(nodes) if one is not None}
        row = {at: i for i, at in enumerate(targets)}
        edges = np.zeros((len(targets), columns), np.float32)
        for link in self.file.links:
            source, target = index.get(link.source), index.get(link.target)
            if source is None or target is None or source >= columns or target not in row:
                raise ValueError(f"There is no edge from {link.source!r:.40} to {link.target!r:.40} in such a graph.")
            edges[row[target], source] += link.weight
        return edges

    def _prompt(self, nodes: list[Any]) -> Prompt:
        said = self.file.metadata
        if self.own is not None:
            return Prompt(text=said.prompt, ids=self.own.ids, tokens=said.prompt_tokens)
        of = {one.position: one.feature for one in nodes if one is not None and one.kind == TOKEN}
        ids = [of.get(position, 0) for position in range(len(said.prompt_tokens))]
        return Prompt(text=said.prompt, ids=ids, tokens=said.prompt_tokens)

    def _supernodes(self, nodes: list[Any]) -> dict[str, list[str]]:
        """Groups by name, with names as this graph has them; members that it has not are left out."""
        n_layers = self.own.n_layers if self.own is not None else None
        own = {one.node.node_id: one for one in nodes if one is not None}
        groups: dict[str, list[str]] = {}
        for name, *members in (one for one in self.file.qParams.supernodes if one):
            ids = [_named(own[id], n_layers, nodes) for id in members if id in own]
            if ids:
                groups[name] = list(dict.fromkeys([*groups.get(name, []), *ids]))
        return groups


def _named(one: _Known, n_layers: int | None, nodes: list[Any]) -> str:
    from .attribution_graph import _id

    layers = max(max((n.layer for n in nodes if n is not None), default=0) + 1, 1) if n_layers is None else n_layers
    return _id(layers, one.kind, one.layer, one.position, one.feature)


def _value(one: _Known | None) -> float:
    if one is None or one.kind not in (FEATURE, LOGIT):
        return np.nan
    value = one.own.value if one.own is not None else one.node.activation if one.kind == FEATURE else None
    return np.nan if value is None else value


def _token(one: _Known) -> str:
    if one.own is not None and one.own.token is not None:
        return one.own.token
    quoted = re.search('"(.*)"', one.node.clerp or "", re.DOTALL)  # circuit-tracer: Output "token" (p=0.9)
    return quoted[1] if quoted else str(one.feature)


def _measured(graph: AttributionGraph) -> AttributionGraph:
    """A graph of another program with its influence, its scores, and what its edges leave out of the values.

    What is left out is mostly what the biases add, of which such files say nothing.
    """
    influence = graph.flow.influence()
    replacement, completeness = graph.scores()
    gone = graph.values[graph._targets].astype(np.float64) - graph.edges.sum(1, dtype=np.float64)
    return graph._with(
        influence=influence.astype(np.float32),
        total_influence=float(influence.sum()),
        replacement=replacement,
        completeness=completeness,
        rest=gone.astype(np.float32),
    )
