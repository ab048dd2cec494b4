"""What is done with nodes that were chosen in a circuit: keep, remove, group, patch, ablate, run, follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import traitlets
from pydantic import Field

from interp_backend.common.signatures import OneOf
from interp_backend.language.interventions import Intervention
from interp_backend.methods.circuit_robustness import circuit_robustness
from interp_backend.methods.patch_together import patch_together
from interp_backend.methods.path_patching import path_patching
from interp_backend.results.envelope import BaseResult
from interp_backend.results.graph import INPUT, LOGITS, Graph, parse_node
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .panel import action
from .subject import ResultPanel

MOST_EDITS, MOST_GROUPS = 200, 100
QUESTIONS = {
    "patch": ("patch", "what the answer gets from these nodes, all patched in one run, and each alone"),
    "paths": ("direct paths", "what these nodes write straight into the logits, patched in one run"),
    "ablate": ("ablate", "how much of the answer is left without these nodes"),
    "faithfulness": ("run alone", "how much of the answer these nodes give without the rest of the model"),
}
# What an answer depends on, beside the nodes; of ablated nodes both directions are one.
DEPENDS_ON = {
    "patch": ("pair", "metric", "direction"),
    "paths": ("pair", "metric", "direction", "mlps"),
    "ablate": ("pair", "metric"),
    "faithfulness": ("pair", "metric"),
}
Nodes = Annotated[list[Annotated[str, Field(max_length=20)]], Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=40)]


class NodeSets(ResultPanel):
    """The part of `CircuitGraph` that changes the circuit node by node, and asks what some nodes do."""

    chosen = traitlets.List(traitlets.Unicode(), help="The nodes that are chosen in the picture.").tag(
        sync=True, set_by_view=True
    )
    edits = traitlets.List(
        traitlets.Dict(), help='What was done to the circuit, in order: {"keep": nodes} or {"remove": nodes}.'
    ).tag(sync=True)
    groups = traitlets.Dict(help="Nodes that are drawn as one, by the group's name.").tag(sync=True)
    question: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help='What is asked of some nodes: {"what": ..., "nodes": ...}.'
    ).tag(sync=True)
    answer: traitlets.Instance[BaseResult | None] = traitlets.Instance(
        BaseResult, allow_none=True, help="The result that answers the question."
    ).tag(sync=True, to_json=lambda answer, _: answer and answer.to_wire())

    if TYPE_CHECKING:  # of `CircuitGraph`
        pair: Any
        mlps: Any
        metric: Any
        direction: Any
        result: Any

        def _largest(self) -> Graph: ...

        def _made_once(self, name: str, wanted: Any, make: Callable[[Graph], Graph]) -> Graph: ...

        def _show_code(self) -> None: ...

    def _edited(self, circuit: Graph) -> Graph:
        edits: Any = self.edits
        return edited(circuit, edits)

    def _wants_of_nodes(self) -> dict[str, Want]:
        question: Any = self.question
        if question is None or self.result is None:
            return {}
        call = self._call_of(question["what"], question["nodes"])
        return {"answer": Want(call, self._take_answer, keep=True, priority=2)}

    def _call_of(self, what: str, nodes: list[str]) -> Any:
        how = {"direction": self.direction, "metric": self.metric}
        if what == "patch":
            return patch_together.call(self.model, self.pair, [at_all_positions(name) for name in nodes], **how)
        if what == "paths":
            receivers = [LOGITS]
            return path_patching.call(self.model, self.pair, nodes, receivers, together=True, mlps=self.mlps, **how)
        circuit = self._made_once("asked", (what, nodes), lambda graph: circuit_of(what, nodes, graph))
        return circuit_robustness.call(self.model, self.pair, circuit, metric=self.metric)

    def _take_answer(self, id: str, found: Step[Any]) -> None:
        if found.result is not None:
            found.result.id = id
            self.answer = found.result.model_copy()
            self._show_code()

    def _code_of_edits(self) -> str:
        """The edits as calls on a circuit."""
        edits: Any = self.edits
        calls = {"keep": "within", "remove": "without_nodes"}
        return "".join(f".{calls[kind]}({nodes!r})" for edit in edits for kind, nodes in edit.items())

    def _code_of_nodes(self) -> str:
        """Code for the answer, after that of the graph."""
        question: Any = self.question
        if question is None or self.answer is None:
            return ""
        how = {
            "ablate": f"circuit = graph.with_edges(graph.real).without_nodes({question['nodes']!r})\n",
            "faithfulness": f"circuit = graph.with_edges(graph.real).within({question['nodes']!r})\n",
        }
        return how.get(question["what"], "") + "result = " + self._code_of(self.answer).split("\nresult = ", 1)[-1]

    @traitlets.validate("chosen")
    def _valid_chosen(self, proposal: Any) -> list[str]:
        return self._nodes_of_graph(proposal["value"])

    def _nodes_of_graph(self, names: Sequence[str]) -> list[str]:
        """The nodes, of which all are in the shown graph.

        Raises:
            TraitError: one is not.
        """
        known = () if self.result is None else (*self.result.senders, LOGITS)
        for name in names:
            if name not in known:
                raise traitlets.TraitError(f"The graph on the screen has no node {name!r:.40}.")
        return [*dict.fromkeys(names)]

    @traitlets.observe("question")
    def _on_question(self, change: Any) -> None:
        self.answer = None
        if self._asker is not None:
            self._asker.refresh()
            self._show_code()

    def _drop_answer(self, changed: str) -> None:
        """Forget an answer that a change has made another question's."""
        question: Any = self.question
        if question is not None and changed in DEPENDS_ON[question["what"]]:
            self.answer = None

    # Requests

    @action("keep_nodes")
    def _on_keep_nodes(self, id: str, nodes: Nodes) -> Task | None:
        """Keep the edges between some nodes, the input and the logits."""
        return self._edit(id, {"keep": nodes})

    @action("remove_nodes")
    def _on_remove_nodes(self, id: str, nodes: Nodes) -> Task | None:
        """Remove nodes from the circuit."""
        return self._edit(id, {"remove": nodes})

    def _edit(self, id: str, edit: dict[str, list[str]]) -> Task | None:
        asker = self._asking()
        if len(self.edits) >= MOST_EDITS:
            raise ValueError(f"A circuit can be edited {MOST_EDITS} times. Undo some edits.")
        before = self._largest()
        left = edited(before, [edit])
        if left.size == 0:
            raise ValueError("No path would be left from the input to the logits. Choose other nodes.")
        if left.size == before.size:
            raise ValueError("That would leave the circuit as it is.")
        with asker.defer():
            self.edits, self.chosen = [*self.edits, edit], []
        return asker.refresh(id)

    @action("undo_edit")
    def _on_undo_edit(self, id: str) -> Task | None:
        """Take back the last edit."""
        if not self.edits:
            raise ValueError("The circuit has no edit that could be undone.")
        self.edits = self.edits[:-1]
        return self._asking().refresh(id)

    @action("group_nodes")
    def _on_group_nodes(self, id: str, nodes: Nodes, name: Name) -> None:
        """Draw nodes as one, under a name. Nodes of other groups leave these."""
        self._asking()
        wanted = self._nodes_of_graph(nodes)
        if ends := [one for one in (INPUT, LOGITS) if one in wanted]:
            raise ValueError(f"The {ends[0]} is where paths begin or end, and can't be part of a group.")
        if name != name.strip() or not name.isprintable():
            raise ValueError("A group's name is printable and begins and ends with no space.")
        groups: Any = self.groups
        others = {other: [one for one in members if one not in wanted] for other, members in groups.items()}
        made = {**{other: members for other, members in others.items() if members and other != name}, name: wanted}
        if len(made) > MOST_GROUPS:
            raise ValueError(f"There can be {MOST_GROUPS} groups. Open some of them.")
        self.groups, self.chosen = made, []

    @action("ungroup_nodes")
    def _on_ungroup_nodes(self, id: str, name: Name) -> None:
        """Draw the nodes of a group one by one again."""
        self._asking()
        groups: Any = self.groups
        if name not in groups:
            raise ValueError(f"There is no group {name!r:.60}.")
        self.groups = {other: nodes for other, nodes in groups.items() if other != name}

    @action("ask_of_nodes")
    def _on_ask_of_nodes(
        self, id: str, what: Annotated[str, OneOf(QUESTIONS, "question")], nodes: Nodes
    ) -> Task | None:
        """Ask what some nodes do."""
        asker = self._asking()
        wanted = self._nodes_of_graph(nodes)
        if LOGITS in wanted:
            raise ValueError("The logits are what is measured. Choose nodes that write.")
        if what in ("ablate", "faithfulness"):
            refuse_no_circuit(what, circuit_of(what, wanted, self.result))
        with asker.defer():
            self.question = {"what": what, "nodes": wanted}
        return asker.refresh(id, of="answer")

    @action("close_answer")
    def _on_close_answer(self, id: str) -> None:
        """Put the answer away."""
        self._asking()
        self.question = None


def edited(circuit: Graph, edits: Sequence[Mapping[str, list[str]]]) -> Graph:
    """A circuit after edits."""
    for edit in edits:
        [(kind, nodes)] = edit.items()
        circuit = circuit.within(nodes) if kind == "keep" else circuit.without_nodes(nodes)
    return circuit


def circuit_of(what: str, nodes: Sequence[str], graph: Graph) -> Graph:
    """The edges of the whole model among some nodes, or without them."""
    whole = graph.with_edges(graph.real)
    return whole.within(nodes) if what == "faithfulness" else whole.without_nodes(nodes)


def refuse_no_circuit(what: str, circuit: Graph) -> None:
    """Raise ValueError for a circuit without edges."""
    if circuit.size == 0:
        alone = what == "faithfulness"
        raise ValueError(
            f"No path leads from the input to the logits {'through these nodes' if alone else 'without these nodes'}."
        )


def at_all_positions(name: str) -> Intervention:
    """What a node writes, patched at all positions."""
    place = parse_node(name).place
    assert place.activation is not None and place.layer is not None
    return Intervention(activation=place.activation, layer=place.layer, head=place.head)
