"""Circuits as files of other tools: graphs of EAP-IG and of the MIB benchmark, edge lists of auto-circuit.

MIB: Mueller et al. 2025, arXiv:2504.13151. auto-circuit: Miller, Chughtai and Saunders 2024, arXiv:2407.08734.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .envelope import parse_json
from .graph import INPUT, LOGITS, Graph, Node, edges_between, every_name, parse_node
from .read import read_result

MOST_ENTRIES = 10**8  # of scores, between every sender and every receiver

# Names of auto-circuit.
START, END = "Resid Start", "Resid End"
_THEIRS = re.compile(r"A(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})(?:\.([QKV]))?|MLP (0|[1-9]\d{0,4})", re.ASCII)


def to_mib(graph: Graph) -> str:
    """See `Graph.to_mib`."""
    layers = len([node for node in graph.sender_nodes if node.name[0] == "m"])
    heads = len([node for node in graph.sender_nodes if node.head is not None and node.layer == 0])
    senders, receivers = every_name(layers, heads)
    if senders != graph.senders:
        raise ValueError("MIB's graphs have the same heads and an MLP in every layer, and this model has not.")
    of, share = _shared(graph.receivers, receivers)
    edges = {
        f"{senders[i]}->{receivers[j]}": {
            "score": float(graph.scores[i, of[j]] / share[j]),
            "in_graph": bool(graph.kept[i, of[j]]),
        }
        for j, i in np.argwhere(edges_between(senders, receivers, graph.parallel).T)
    }
    cfg = {"n_layers": layers, "n_heads": heads, "parallel_attn_mlp": graph.parallel}
    width = graph.provenance.get("model", {}).get("d_model")
    cfg.update({"d_model": width} if width else {})
    inside = {INPUT, LOGITS, *graph.pruned().nodes}
    nodes: dict[str, dict[str, Any]] = {name: {"in_graph": name in inside} for name in [*senders, LOGITS]}
    for name, score in zip(senders, np.nan_to_num(graph.scores).sum(1, dtype=np.float64)):
        nodes[name]["score"] = float(score)
    return json.dumps({"cfg": cfg, "nodes": nodes, "edges": edges})


def from_mib(text: str | bytes | Path, key_heads: int | None) -> Graph:
    """See `Graph.from_mib`."""
    return _graph_of_mib(parse_json(_text_of(text)), key_heads)


def _graph_of_mib(wire: Any, key_heads: int | None) -> Graph:
    if not isinstance(wire, dict) or not all(isinstance(wire.get(k), dict) for k in ("cfg", "nodes", "edges")):
        raise ValueError('This is no graph of MIB: it has to have "cfg", "nodes" and "edges".')
    layers, heads = (_size(wire["cfg"], name) for name in ("n_layers", "n_heads"))
    parallel = wire["cfg"].get("parallel_attn_mlp", False) is True
    whole = type(key_heads) is int and key_heads > 0
    if key_heads is not None and (not whole or heads % key_heads):
        raise ValueError(f"The {heads} heads of this graph can't share the keys of {key_heads!r:.20}.")
    if (layers * (heads + 1) + 1) * (layers * (3 * heads + 1) + 1) > MOST_ENTRIES:
        raise ValueError(f"A graph of {layers} layers of {heads} heads is too large to be read.")
    senders, receivers = every_name(layers, heads)
    shared = every_name(layers, heads, key_heads)[1]
    of, _ = _shared(shared, receivers)
    row, column = ({name: i for i, name in enumerate(names)} for names in (senders, receivers))
    scores = np.where(edges_between(senders, shared, parallel), np.float32(0), np.float32("nan"))
    kept = np.zeros(scores.shape, np.uint8)
    real = edges_between(senders, receivers, parallel)
    for name, edge in wire["edges"].items():
        sender, receiver = _ends(name)
        if sender.name not in row or receiver.name not in column or not real[row[sender.name], column[receiver.name]]:
            raise ValueError(f"A model of {layers} layers of {heads} heads has no edge {name!r:.80}.")
        at = row[sender.name], of[column[receiver.name]]
        scores[at] += _number(name, edge)
        kept[at] |= edge["in_graph"]
    return Graph(method="", senders=senders, receivers=shared, parallel=parallel, scores=scores, kept=kept)


def to_edge_list(graph: Graph) -> str:
    """See `Graph.to_edge_list`."""
    edges = [name.split("->") for name in graph.names]
    read = [(sender, node) for sender, receiver in edges for node in _readers(graph, graph.receivers.index(receiver))]
    return json.dumps([f"{_theirs(parse_node(sender))}->{_theirs(node)}" for sender, node in read])


def _readers(graph: Graph, column: int) -> list[Node]:
    """What is read at one receiver: one input for each head that shares it."""
    node = graph.receiver_nodes[column]
    if not node.part:
        return [node]
    heads = [graph.sender_nodes[row] for row in np.flatnonzero(graph.reads[:, column])]
    return [head._replace(part=node.part) for head in heads]


def _theirs(node: Node) -> str:
    """A node as auto-circuit names it."""
    if node.head is not None:
        return f"A{node.layer}.{node.head}" + (f".{node.part.upper()}" if node.part else "")
    return {INPUT: START, LOGITS: END}.get(node.name) or f"MLP {node.layer}"


def _node(name: str) -> Node:
    """Read the name of a node, in auto-circuit's spelling or in that of a graph."""
    name = name.strip()
    found = _THEIRS.fullmatch(name)
    if found is None:
        return parse_node({START: INPUT, END: LOGITS}.get(name, name))
    layer, head, part, mlp = found.groups()
    return parse_node(f"m{mlp}" if mlp else f"a{layer}.h{head}" + (f"<{part.lower()}>" if part else ""))


def _ends(name: Any) -> tuple[Node, Node]:
    """Read the name of an edge, in either spelling."""
    sender, arrow, receiver = name.partition("->") if isinstance(name, str) else ("", "", "")
    if not arrow:
        raise ValueError(f"{name!r:.60} is no edge: an edge is written a0.h1->a2.h3<q>, or A0.1->A2.3.Q.")
    return _node(sender), _node(receiver)


def read_circuit(graph: Graph, text: str | bytes | Path) -> Graph:
    """See `Graph.read_circuit`."""
    given = _text_of(text, "circuit")
    listed = _lines(given)
    wire = parse_json(given) if listed is None else listed
    if isinstance(wire, dict) and {"cfg", "nodes", "edges"} <= wire.keys():
        keys = sum(node.layer == 0 and node.part == "k" for node in graph.receiver_nodes)
        return _of_same_model(graph, _graph_of_mib(wire, keys or None))
    if isinstance(wire, dict) and "method" in wire:
        return _of_same_model(graph, read_result(given))
    return _listed(graph, wire)


def _lines(text: str | bytes) -> list[str] | None:
    """The lines of a text that lists one edge a line; None for any other, which has to be JSON."""
    read = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = [line.strip() for line in read.splitlines() if line.strip()]
    return lines if lines and all("->" in line and line[0] not in '[{"' for line in lines) else None


def _of_same_model(graph: Graph, found: Any) -> Graph:
    if not isinstance(found, Graph):
        raise ValueError(f"This file is a {type(found).__name__}, and not a graph with a circuit.")
    if (found.senders, found.receivers, found.parallel) != (graph.senders, graph.receivers, graph.parallel):
        raise ValueError(
            f"The circuit in this file is of another model: it has {len(found.senders)} senders and "
            f"{len(found.receivers)} receivers, and this one {len(graph.senders)} and {len(graph.receivers)}."
        )
    return found


def _listed(graph: Graph, wire: Any) -> Graph:
    """The circuit of a list of edges, or of the edges that JSON says something of."""
    if not isinstance(wire, (list, dict)):
        raise ValueError(
            "This is no circuit: a circuit is a graph as JSON, or a list of edges such as a0.h1->a2.h3<q>."
        )
    kept, scores = np.zeros(graph.kept.shape, bool), np.where(graph.real, np.float32(0), np.float32("nan"))
    said = wire if isinstance(wire, dict) else dict.fromkeys(_texts(wire), True)
    scored = bool(said) and all(type(one) in (int, float) for one in said.values())
    for name, value in said.items():
        for at in _indices(graph, name):
            kept[at] |= _inside(name, value)
            scores[at] += _finite(name, value) if scored else 0
    made = graph.with_edges(kept)
    return made.model_copy(update={"scores": scores}) if scored else made


def _texts(names: Sequence[Any]) -> Iterator[str]:
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{name!r:.60} is no edge: an edge is written a0.h1->a2.h3<q>, or A0.1->A2.3.Q.")
        yield name


def _indices(graph: Graph, name: str) -> list[tuple[int, int]]:
    """Where an edge is in the graph; a head that reads without saying for what has three inputs."""
    sender, receiver = _ends(name)
    rows = [row for row, node in enumerate(graph.sender_nodes) if node == sender]
    head = receiver._replace(name=receiver.name.partition("<")[0], part="")
    reads = {node.name: graph.reads[row] for row, node in enumerate(graph.sender_nodes)}.get(head.name)
    if reads is None:
        reads = np.array([one == receiver for one in graph.receiver_nodes])
    found = [int(at) for at in np.flatnonzero(reads) if receiver.part in ("", graph.receiver_nodes[at].part)]
    if not rows or not found or not graph.real[rows[0], found].all():
        raise ValueError(f"This model has no edge {name!r:.80}.")
    return [(rows[0], column) for column in found]


def _inside(name: str, value: Any) -> bool:
    """Whether an edge is in the circuit: by a Boolean, a score, or the positions that it is at."""
    if isinstance(value, (bool, int, float)):
        return value is not False
    if isinstance(value, list) and all(type(one) is int for one in value):
        return bool(value)
    raise ValueError(f"The edge {name!r:.80} has to have a number, true or false, or a list of positions.")


def _finite(name: str, value: float) -> float:
    if not abs(value) < 3e38:
        raise ValueError(f"The score of the edge {name!r:.80} is too large.")
    return float(value)


def _text_of(given: Any, what: str = "graph of MIB") -> str | bytes:
    """JSON text, or that of a file.

    Raises:
        ValueError: neither text nor a path; or a file's name as text.
    """
    if isinstance(given, Path):
        return given.read_text("utf-8")
    if not isinstance(given, (str, bytes)):
        raise ValueError(f"A {what} is read from text or from the Path of a file, not from {given!r:.60}.")
    if isinstance(given, str) and "{" not in given and given.strip().endswith(".json"):
        raise ValueError(f"{given!r:.80} is the name of a file and no JSON. Give its path: Path({given!r:.80}).")
    return given


def _size(cfg: dict[str, Any], name: str) -> int:
    size = cfg.get(name)
    if type(size) is not int or not 0 < size <= 1000:
        raise ValueError(f"This is no graph of MIB: its cfg has to say {name}.")
    return size


def _number(name: str, edge: Any) -> float:
    """The score of an edge of MIB's JSON."""
    fields = edge if isinstance(edge, dict) else {}
    score, inside = fields.get("score"), fields.get("in_graph")
    number = isinstance(score, (int, float)) and not isinstance(score, bool) and abs(score) < 3e38
    if not number or not isinstance(inside, bool):
        raise ValueError(f'The edge {name!r:.80} has to have a number "score" and a Boolean "in_graph".')
    assert score is not None
    return float(score)


def _shared(receivers: Sequence[str], every: Sequence[str]) -> tuple[list[int], np.ndarray]:
    """For each of all receivers the one that stands for it, and how many share that one."""
    column = {name: i for i, name in enumerate(receivers)}
    of: list[int] = []
    last: dict[tuple[int | None, str], int] = {}
    for node in map(parse_node, every):
        own = column.get(node.name)
        key = (node.layer, node.part)
        last[key] = own if own is not None else last[key]
        of.append(last[key])
    return of, np.bincount(of, minlength=len(receivers))[of]
