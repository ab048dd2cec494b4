"""Hypotheses of causal scrubbing: which nodes matter for which others, and what must agree when inputs are resampled.

Nodes are named as in a `Graph`. A hypothesis is unfolded into a tree before it is run: a node that several others read
stands there once for each, since its input is resampled for each of them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .envelope import Record, parse_json, refuse_what_json_cannot_hold, shortened
from .graph import INPUT, LOGITS, Graph, Node, edges_between, parse_node

PARTS = ("q", "k", "v")
EXACT, ANYTHING, OTHERS = "exact", "anything", "others"
MOST_EDGES = 10_000
MOST_NODES = 5_000  # of the tree


class Datum(Record):
    """One prompt of a data set, as features see it.

    Attributes:
        text, tokens: the prompt, and the texts of its tokens.
        answers: the answers that should follow; none if there are none.
        side: which prompt of its pair it is, "clean" or "corrupt".
        pair: the number of its pair.
    """

    text: str
    tokens: list[str]
    answers: list[str]
    side: str
    pair: int


# What must agree


def _token(datum: Datum, at: int) -> str:
    return datum.tokens[at]


def _class(datum: Datum, at: int) -> str:
    text = datum.tokens[at].strip()
    if not text:
        return "space"
    if text.isalpha():
        return "capitalised word" if text[0].isupper() else "word"
    return "number" if text.isnumeric() else "mark" if not any(map(str.isalnum, text)) else "mixed"


def _previous(datum: Datum, at: int) -> str:
    at = range(len(datum.tokens))[at]
    return datum.tokens[at - 1] if at else ""


def _position(datum: Datum, at: int) -> int:
    at = range(len(datum.tokens))[at]
    earlier = [i for i in range(at) if datum.tokens[i] == datum.tokens[at]]
    return earlier[-1] if earlier else -1


FEATURES = {
    EXACT: ("the same datum", "the input is that of the node that reads"),
    "token": ("token", "the token at a position: token@3, or the last one"),
    "class": ("class of the token", "whether it is a word, capitalised, a number, a mark or space: class@3"),
    "previous": ("previous token", "the token before a position: previous@3"),
    "position": ("position", "where the token at a position stood before, if it did: position@3"),
    "answer": ("answer", "the answers that should follow"),
    "side": ("side", "which prompt of its pair it is"),
    ANYTHING: ("anything", "the input is any datum's"),
}
AT_POSITION: dict[str, Callable[[Datum, int], Hashable]] = {
    "token": _token,
    "class": _class,
    "previous": _previous,
    "position": _position,
}
_WHOLE: dict[str, Callable[[Datum], Hashable]] = {
    "answer": lambda datum: tuple(datum.answers),
    "side": lambda datum: datum.side,
}
_FEATURE = re.compile(r"([a-z]+)(?:@(-?\d{1,6}))?", re.ASCII)
Feature = str | Callable[[Datum], Hashable]


def parse_feature(name: str) -> tuple[str, int | None]:
    """Read the name of a feature, perhaps with a position: "token@-1".

    Raises:
        ValueError: there is no such feature, or it takes no position.
    """
    found = _FEATURE.fullmatch(name) if isinstance(name, str) else None
    feature, at = found.groups() if found is not None else ("", None)
    if feature not in FEATURES:
        raise ValueError(
            f"There is no feature {name!r:.60}. Choose one of {', '.join(FEATURES)}, or give a function of the datum."
        )
    if at is not None and feature not in AT_POSITION:
        raise ValueError(f"The feature {feature} takes no position: write {feature}, not {name!r:.60}.")
    return feature, None if at is None else int(at)


def feature_name(feature: Any) -> str:
    """A feature's name: itself, or its function's."""
    if isinstance(feature, dict):
        return str(feature["own"])
    return feature if isinstance(feature, str) else getattr(feature, "__name__", type(feature).__name__)


def value_of(feature: Any, datum: Datum, number: int) -> Hashable:
    """What a feature says of a datum.

    Args:
        number: the datum's number, for the error sentence.

    Raises:
        ValueError: a function failed, or gave something that can't be compared; there is no such position; or the
            function is known by its name alone.
    """
    where = f"for datum {number} (“{shortened(datum.text, 40)}”)"
    if isinstance(feature, dict):
        name = feature["own"]
        raise ValueError(
            f"The feature {name!r:.60} is a function that this hypothesis knows by its name alone. Give it: "
            f"hypothesis.with_features({{{name!r:.60}: function}})."
        )
    if not isinstance(feature, str):
        name = feature_name(feature)
        try:
            value = feature(datum)
        except Exception as problem:
            raise ValueError(f"The feature {name} failed {where}: {type(problem).__name__}: {problem}") from problem
        try:
            hash(value)
        except TypeError:
            raise ValueError(
                f"The feature {name} gave a {type(value).__name__} {where}, which can't be compared. Return text, a "
                "number or a tuple of such."
            ) from None
        return value
    name, at = parse_feature(feature)
    if name in _WHOLE:
        return _WHOLE[name](datum)
    at, length = -1 if at is None else at, len(datum.tokens)
    if not -length <= at < length:
        raise ValueError(f"The feature {feature} has no token {where}, which has {length}.")
    return AT_POSITION[name](datum, at)


# Hypotheses


class TreeNode(Record):
    """A node of a hypothesis where one other node reads it.

    Attributes:
        path: the nodes from the logits to this one, with slashes between them.
        node: its name, or "others" for all nodes together that the hypothesis does not name there.
        reader: the number of the tree's node that reads it; -1 for the logits.
        agrees: what its datum has in common with that of its reader.
        whole: whether it writes what it writes in its datum's own run. Otherwise its inputs are put together.
        named: whether the hypothesis names it there.
    """

    path: str
    node: str
    reader: int
    agrees: str
    whole: bool
    named: bool


class Hypothesis(BaseModel):
    """Which nodes matter for which others, and what must agree when the input of a node is resampled.

    `Hypothesis(edges=["a1.h1->logits", "input->a1.h1<q>"], agree={"a1.h1": "answer"})` says that the output depends on
    head a1.h1 alone, on what it writes only through the answer, and of its queries that they read the token and
    nothing else. A node into which no edge leads is taken whole, with everything below it. Once something is said of
    one of a head's queries, keys and values, those of which nothing is said don't matter.

    Attributes:
        edges: names of edges as in a `Graph`; a receiver without a part, `a0.h2->a1.h1`, is all three of a head.
        agree: for nodes, and for what heads read (`a1.h1<k>`), what the datum that is put in has in common with that of
            the node that reads: a name of `FEATURES`, with a position where it takes one (`token@-1`), or a function
            of a `Datum`. A node that is not listed is `exact`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    edges: tuple[str, ...] = Field(default=(), max_length=MOST_EDGES)
    agree: dict[str, Any] = Field(default_factory=dict)

    @field_validator("edges", mode="before")
    @classmethod
    def _each_once(cls, edges: Any) -> Any:
        if isinstance(edges, str) or not isinstance(edges, Sequence):
            raise ValueError(f"edges are a list of names such as a0.h1->a2.h3<q>, not {edges!r:.60}")
        return tuple(dict.fromkeys(name for edge in edges for name in _spelled_out(edge)))

    @field_validator("agree", mode="before")
    @classmethod
    def _known(cls, agree: Any) -> Any:
        if not isinstance(agree, Mapping):
            raise ValueError(f"agree says for each node what must agree, {{'a0.h1': 'answer'}}, not {agree!r:.60}")
        return {name: _checked(name, feature) for name, feature in agree.items()}

    @model_validator(mode="after")
    def _holds_together(self) -> Hypothesis:
        used = self._reached()
        for edge in self.edges:
            reader = _node_of(parse_node(edge.partition("->")[2]))
            if reader not in used:
                raise ValueError(
                    f"Nothing reads {reader} here, so {edge} says nothing. Add an edge from {reader}, such as "
                    f"{reader}->logits, or leave it out."
                )
        for name in self.agree:
            if _node_of(parse_node(name)) not in used or name == LOGITS:
                raise ValueError(f"agree names {name}, which no edge of this hypothesis comes from. Add one.")
        return self

    def _reached(self) -> set[str]:
        """The nodes from which a path leads to the logits."""
        used, waiting = set[str](), [LOGITS]
        while waiting:
            node = waiting.pop()
            if node not in used:
                used.add(node)
                waiting += [sender for one in self._inputs_of(node) for sender in self._senders.get(one, [])]
        return used

    @staticmethod
    def of(graph: Graph, agree: Mapping[str, Feature] | None = None) -> Hypothesis:
        """The hypothesis that a graph's circuit, without its dangling nodes, is all that matters."""
        circuit, edges = graph.pruned(), []
        for row, column in zip(*circuit.kept.nonzero()):
            reader = graph.receiver_nodes[column]
            if not reader.part:
                edges.append(graph.name(row, column))
                continue
            sharing = [graph.senders[at] for at in graph.reads[:, column].nonzero()[0]]
            edges += [f"{graph.senders[row]}->{head}<{reader.part}>" for head in sharing if head in circuit.nodes]
        return Hypothesis(edges=tuple(edges), agree=dict(agree or {}))

    # Nodes

    @cached_property
    def _senders(self) -> dict[str, list[str]]:
        """Who is read, by receiver, in the order of the model."""
        found: dict[str, list[str]] = {}
        for edge in self.edges:
            sender, _, receiver = edge.partition("->")
            found.setdefault(receiver, []).append(sender)
        return {receiver: sorted(some, key=lambda name: _order(parse_node(name))) for receiver, some in found.items()}

    @property
    def nodes(self) -> list[str]:
        """The nodes that are read, and what heads read where something must agree there, in the order of the model."""
        senders = {sender for some in self._senders.values() for sender in some}
        parts = {name for name in self.agree if parse_node(name).part}
        return sorted(senders | parts, key=lambda name: _order(parse_node(name)))

    def feature(self, node: str) -> Any:
        """What must agree when the input of a node is resampled."""
        return self.agree.get(node, EXACT)

    def with_agree(self, agree: Mapping[str, Feature]) -> Hypothesis:
        """The same edges, and what must agree at their nodes; what is said of other nodes is left out."""
        used = self._reached() - {LOGITS}
        kept = {name: one for name, one in agree.items() if _node_of(parse_node(name)) in used}
        return Hypothesis(edges=self.edges, agree=kept)

    def with_features(self, own: Mapping[str, Callable[[Datum], Hashable]]) -> Hypothesis:
        """The same hypothesis with functions in place of their names, as after reading it from JSON."""
        agree = {name: own.get(feature_name(one), one) for name, one in self.agree.items()}
        return Hypothesis(edges=self.edges, agree=agree)

    def _inputs_of(self, node: str) -> list[str]:
        """What a node reads."""
        return [f"{node}<{part}>" for part in PARTS] if parse_node(node).head is not None else [node]

    def _is_whole(self, node: str) -> bool:
        return not any(one in self._senders or (one in self.agree and one != node) for one in self._inputs_of(node))

    def tree(self, senders: Sequence[str], parallel: bool, separately: bool) -> list[TreeNode]:
        """The hypothesis unfolded, each node after the one that reads it.

        Args:
            senders: all nodes of the model that write.
            parallel: see `Graph`.
            separately: whether nodes that the hypothesis does not name are resampled one by one.

        Raises:
            ValueError: the model has no such node or edge, or the tree is too large.
        """
        made = [TreeNode(path=LOGITS, node=LOGITS, reader=-1, agrees=EXACT, whole=False, named=True)]
        waiting = [0]

        def add(reader: int, node: str, agrees: str, whole: bool, named: bool = True) -> None:
            if len(made) >= MOST_NODES:
                raise ValueError(
                    f"Unfolded into a tree, this hypothesis has more than {MOST_NODES:,} nodes: one for each path to "
                    "the logits. Take nodes whole, by leaving out the edges into them, or resample the others together."
                )
            step = node if named else OTHERS if node == OTHERS else f"{OTHERS}/{node}"
            path = f"{made[reader].path}/{step}"
            made.append(TreeNode(path=path, node=node, reader=reader, agrees=agrees, whole=whole, named=named))
            if not whole:
                waiting.append(len(made) - 1)

        while waiting:
            at = waiting.pop(0)
            node = parse_node(made[at].node)
            if node.head is not None and not node.part:
                for part in self._inputs_of(node.name):
                    said = part in self.agree and part not in self._senders
                    add(at, part, feature_name(self.feature(part)), said)
                continue
            there = [one for one, read in zip(senders, edges_between(senders, [node.name], parallel)[:, 0]) if read]
            for sender in self._senders.get(node.name, []):
                if sender not in there:
                    raise ValueError(f"This model has no edge {sender}->{node.name}, which the hypothesis names.")
                add(at, sender, feature_name(self.feature(sender)), self._is_whole(sender))
            rest = [one for one in there if one not in self._senders.get(node.name, [])]
            for one in rest if separately else [OTHERS] * bool(rest):
                add(at, one, ANYTHING, whole=True, named=False)
        return made

    # Ways out and in

    def to_wire(self) -> dict[str, Any]:
        """The hypothesis as plain JSON values; functions are represented by their names."""
        agree = {name: one if isinstance(one, (str, dict)) else _own(one) for name, one in self.agree.items()}
        return {"edges": list(self.edges), "agree": agree}

    def to_json(self) -> str:
        return json.dumps(self.to_wire(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Hypothesis:
        """Read what `to_json` wrote. Functions come back by their names; give them with `with_features`.

        Raises:
            ValueError: text that is not such JSON, or that is no hypothesis.
        """
        return as_hypothesis(parse_json(text))

    def code(self) -> str:
        """The hypothesis as Python; functions by their names."""
        edges = [f"        {edge!r}," for edge in self.edges]
        agree = []
        for name, one in self.agree.items():
            said = repr(one) if isinstance(one, str) else _identifier(feature_name(one))
            agree.append(f"        {name!r}: {said},")
        lines = ["ib.Hypothesis("]
        lines += ["    edges=[", *edges, "    ],"] if edges else []
        lines += ["    agree={", *agree, "    },"] if agree else []
        return "\n".join([*lines, ")"])


def as_hypothesis(given: Any) -> Hypothesis:
    """A hypothesis from itself, from a graph's circuit, or from the JSON values that describe one.

    Raises:
        ValueError: anything else, with a sentence that says what is wrong.
    """
    if isinstance(given, Hypothesis):
        return given
    if isinstance(given, Graph):
        return Hypothesis.of(given)
    if not isinstance(given, Mapping):
        raise ValueError(f"hypothesis is an ib.Hypothesis(edges=[...], agree={{...}}) or a Graph, not {given!r:.60}.")
    refuse_what_json_cannot_hold(given)
    try:
        return Hypothesis.model_validate(given)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ValueError(f"This is no hypothesis{f' ({shortened(field, 40)})' if field else ''}: {said}.") from None


class _Spelled(NamedTuple):
    sender: Node
    receiver: Node


def _parsed(edge: Any) -> _Spelled:
    sender, arrow, receiver = edge.partition("->") if isinstance(edge, str) else ("", "", "")
    if not arrow:
        raise ValueError(f"{edge!r:.60} is no edge: an edge is written a0.h1->a2.h3<q>.")
    return _Spelled(parse_node(sender), parse_node(receiver))


def _spelled_out(edge: Any) -> list[str]:
    """An edge, or those into the queries, keys and values of a head.

    Raises:
        ValueError: it is no edge, or leads backwards.
    """
    sender, receiver = _parsed(edge)
    if sender.part or sender.name == LOGITS:
        raise ValueError(f"{sender.name} writes nothing that others read. Senders are input, heads and MLPs.")
    if receiver.name == INPUT:
        raise ValueError("input reads nothing. Receivers are heads, their <q>, <k> or <v>, MLPs and logits.")
    parts = PARTS if receiver.head is not None and not receiver.part else ("",)
    names = [f"{receiver.name}<{part}>" if part else receiver.name for part in parts]
    if not edges_between([sender.name], names[:1], False)[0, 0]:
        raise ValueError(
            f"The edge {edge} would make a cycle: {_node_of(receiver)} is computed before {sender.name} has written. "
            "Edges lead from the input towards the logits."
        )
    return [f"{sender.name}->{name}" for name in names]


def _checked(name: Any, feature: Any) -> Any:
    """What must agree for a node, if both can be."""
    node = parse_node(name)
    if isinstance(feature, str):
        parse_feature(feature)
        return feature
    if isinstance(feature, Mapping) and set(feature) == {"own"} and isinstance(feature["own"], str):
        return dict(feature)
    if not callable(feature):
        raise ValueError(f"What must agree for {node.name} is a feature's name or a function, not {feature!r:.60}.")
    return feature


def _own(feature: Any) -> dict[str, str]:
    return {"own": feature_name(feature)}


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "my_feature"  # a lambda has no name that could be written


def _node_of(node: Node) -> str:
    """The node that a receiver belongs to."""
    return node.name if not node.part else f"a{node.layer}.h{node.head}"


def _order(node: Node) -> tuple[float, int, str]:
    """When a node writes, as the model computes; what a head reads comes before the head."""
    if node.layer is None:
        return (-1.0 if node.name == INPUT else float("inf"), 0, "")
    at = node.layer + (0.75 if node.head is None else 0.0 if node.part else 0.25)
    return (at, node.head or 0, node.part)
