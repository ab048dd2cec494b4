"""The feature graph: which transcoder features made the model expect its next token, through which others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import traitlets
from pydantic import Field, TypeAdapter

from interp_backend.common.subject import subject_of
from interp_backend.language.model import LanguageModel
from interp_backend.language.prompts import PromptPair
from interp_backend.language.transcoders import Transcoders
from interp_backend.methods.attribution_graph import attribution_graph, transcoders_for
from interp_backend.place import Place, as_place
from interp_backend.results.attribution_graph import AttributionGraph
from interp_backend.results.envelope import BaseResult, excerpt
from interp_backend.results.graph_view import to_view
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .feature_card import FeatureCard
from .feature_changes import FeatureChanges
from .feature_heads import FeatureHeads
from .panel import action
from .prompt_pair_editor import PromptPairEditor
from .subject import OfPrompt, model_to_ask, model_words, subject_traits
from .traits import checked, finite

MOST_PINNED = 300
SUPERNODES = TypeAdapter(dict[str, list[str]])
SUPERNODES_WORDS = 'Supernodes are names with lists of nodes, such as {"capital": ["2_7_5"]}.'
Node = Annotated[str, Field(max_length=60)]
Nodes = Annotated[list[Node], Field(min_length=1, max_length=MOST_PINNED)]
Name = Annotated[str, Field(min_length=1, max_length=60)]


class FeatureGraph(FeatureChanges, FeatureHeads, FeatureCard, OfPrompt):
    """The attribution graph of a prompt: tokens across, layers upwards, and on top the tokens that the model expects.

    A click on a node pins it, and shows what it reads, what reads it, and, of a feature, what it writes and where it
    is active. Nodes can be put into a subgraph, grouped and named; features can be scaled, set or switched off in the
    model itself, beside what the graph says that this does.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        transcoders: as in `interp_backend.attribution_graph`.
        answers, logits, mass, features, last, prepend_bos: as in `interp_backend.attribution_graph`.
        texts: a text or texts in which a pinned feature's strongest examples are looked for.
        layer_zero: "bottom" or "top".
        result: an `AttributionGraph` to show, instead of a model and a prompt.

    Attributes:
        result: the `AttributionGraph`, or None while the model still runs.
        node_share, edge_share: how much of the influence the shown nodes and edges have, as in
            `AttributionGraph.pruned`.
        pinned: the name of the node in the card, or None.
        subgraph: the names of the nodes in the subgraph.
        supernodes: nodes that are drawn as one, by the supernode's name.
        names: what features are called, by "layer/feature".
        texts: a text or texts in which a pinned feature's strongest examples are looked for.
        edge: the edge that is opened into heads, such as `{"source": "E_5_3", "target": "1_40_5"}`, or None; with
            `"head": [1, 2]`, also what made this head look there.
        description: the `FeatureDescription` of the pinned feature, or None.
        changes: what is changed in the model, by node: see `intervene`.
        effects: the `FeatureEffects` of the changes, or None.
        selection: the place of the pinned node, such as `{"layer": 2, "feature": 40, "position": 5}`, or None.
        code: Python code that computes what is shown.
        status, progress, error: the state of the run.
    """

    bundle = "feature_graph"
    choices = (
        *(
            "_answers",
            "_last",
            "_how",
            "node_share",
            "edge_share",
            "names",
            "subgraph",
            "supernodes",
            "shows",
            "pinned",
        ),
        *("texts", "edge", "changes", "frozen", "generate", "temperature", "seed"),
    )
    quantity = "Attribution graph"
    _parts = ("layer", "feature", "position")
    _own_places = ("logits", "embed", "pos_embed")

    node_share = traitlets.Float(0.8, min=0, max=1, help="How much of the influence the shown nodes have.").tag(
        sync=True, set_by_view=True
    )
    edge_share = traitlets.Float(0.98, min=0, max=1, help="How much of their influence the shown edges have.").tag(
        sync=True, set_by_view=True
    )
    shows = traitlets.Enum(["graph", "subgraph"], "graph", help="Whether the subgraph is shown alone.").tag(
        sync=True, set_by_view=True
    )
    pinned = traitlets.Unicode(None, allow_none=True, help="The node in the card, or None.").tag(
        sync=True, set_by_view=True
    )
    subgraph = traitlets.List(traitlets.Unicode(), help="The nodes in the subgraph.").tag(sync=True)
    supernodes = traitlets.Dict(help="Nodes that are drawn as one, by the supernode's name.").tag(sync=True)
    scores = traitlets.Instance(
        dict, allow_none=True, help="Replacement and completeness of the subgraph, and of which nodes they are."
    ).tag(sync=True)
    result: traitlets.Instance[AttributionGraph | None] = traitlets.Instance(
        AttributionGraph, allow_none=True, help="The attribution graph."
    ).tag(sync=True, to_json=lambda result, _: result and to_view(result))

    _drawn: tuple[AttributionGraph, Any, AttributionGraph] | None = None

    def __init__(
        self,
        model: Any = None,
        prompt: str | PromptPair | PromptPairEditor | None = None,
        transcoders: Transcoders | None = None,
        *,
        answers: Sequence[str | int] | None = None,
        logits: int = 10,
        mass: float = 1.0,
        features: int = 1000,
        last: int | None = None,
        prepend_bos: bool | None = None,
        texts: str | Sequence[str] | None = None,
        layer_zero: str = "bottom",
        result: AttributionGraph | None = None,
    ) -> None:
        known = model_to_ask(model, prompt, result, "a prompt to explain")
        if result is not None and not isinstance(result, AttributionGraph):
            raise ValueError(f"result is what attribution_graph returns, not a {type(result).__name__}.")
        if known is not None:
            transcoders_for(known, transcoders)  # refuses what is none
        self._dropping = threading.RLock()
        self._transcoders = transcoders
        self._answers, self._last = answers, last
        self._how = {"logits": logits, "mass": mass, "features": features}
        super().__init__(
            **subject_traits(prompt, result),
            prepend_bos=prepend_bos,
            layer_zero=layer_zero,
            texts=texts,
            supernodes={} if result is None else result.supernodes,
            info={
                "model": None if known is None else known.describe(),
                **self._change_menus(),
            },
        )
        if known is not None:
            self._start(known, prompt)
        elif result is not None:
            self.result, self.status = result, "done"
            self._show_code()

    # For users

    @classmethod
    def missing(cls, model: LanguageModel) -> str | None:
        try:
            transcoders_for(model, None)
        except ValueError as problem:
            return str(problem)
        return None

    @property
    def shown(self) -> AttributionGraph:
        """The graph as it is drawn: pruned by `node_share` and `edge_share`, or the subgraph.

        Raises:
            ValueError: there is no result yet.
        """
        graph: Any = self._shown()
        wanted = self.shows, self.node_share, self.edge_share, str(self.subgraph), str(self.supernodes)
        if self._drawn is None or self._drawn[:2] != (graph, wanted):
            self._drawn = graph, wanted, self._draw(graph)  # the same object again, or its picture would be stored anew
        return self._drawn[2]

    def _draw(self, graph: AttributionGraph) -> AttributionGraph:
        supernodes: Any = self.supernodes
        if self.shows == "subgraph" and self.subgraph:
            small = graph.subgraph(self.subgraph)
        else:
            small = graph.pruned(self.node_share, self.edge_share)
        here = set(small.ids)
        groups = {name: [one for one in members if one in here] for name, members in supernodes.items()}
        return small.with_supernodes({name: members for name, members in groups.items() if members})

    def further_results(self) -> list[BaseResult]:
        several: list[Any] = [self.description, self.effects]
        return [one for one in several if one is not None]

    def _headings(self, result: Any) -> tuple[str, str]:
        return f"{self.quantity} of “{excerpt(result.prompt.text)}”", " · ".join(model_words(result))

    # What should be shown

    def wants(self) -> dict[str, Want]:
        subject, how = traced = self._traced()
        call = attribution_graph.call(self.model, subject, self._transcoders, **how)
        return {
            "result": Want(call, partial(self._take, traced), keep=True),
            **self._card_wants(),
            **self._head_wants(),
            **self._change_wants(),
        }

    def _traced(self) -> tuple[Any, dict[str, Any]]:
        """What is traced, and how."""
        return self.subject, {
            "answers": self._answers,
            "last": self._last,
            "prepend_bos": self.prepend_bos,
            **self._how,
        }

    def _take(self, traced: Any, id: str, step: Step[AttributionGraph]) -> None:
        result: Any = step.result
        result.id = id
        self.result = result
        with self._dropping:
            if traced != self._traced():
                return  # another thread has chosen another graph meanwhile, and perhaps nodes of that
            with self._asking().defer():  # what is left out in part is not refused
                self._drop_what_is_gone(result)
        if traced == self._traced():  # without the lock: other panels share the selection, and have locks of their own
            self._select_pinned()
            self._unpin_what_is_gone()
            self._pin_at_place()
        self._tell_scores()
        self._show_code()
        self._ask_for_effects()

    def _drop_what_is_gone(self, graph: AttributionGraph) -> None:
        """Leave out of the subgraph and the supernodes what another graph has not."""
        known = set(graph.ids)
        subgraph: Any = self.subgraph
        supernodes: Any = self.supernodes
        self.subgraph = [one for one in subgraph if one in known]
        groups = {name: [one for one in members if one in known] for name, members in supernodes.items()}
        self.supernodes = {name: members for name, members in groups.items() if members}
        self._drop_changes(known)
        try:
            self._check_edge(self.edge)
        except traitlets.TraitError:
            self.edge = None

    def _put_away(self) -> None:
        self._answers = self._last = None
        self.changes, self.edge = [], None
        self.subgraph, self.supernodes, self.shows = [], {}, "graph"
        self.scores = None

    def _tell_scores(self) -> None:
        graph: Any = self.result
        subgraph: Any = self.subgraph
        if graph is None or not subgraph or not set(subgraph) <= set(graph._index):
            self.scores = None
            return
        replacement, completeness = graph.scores(subgraph)
        self.scores = {"of": list(subgraph), "replacement": replacement, "completeness": completeness}

    # Code

    def _show_code(self) -> None:
        if self.result is None:
            return
        known = subject_of(self.result.params) is not None
        code = self._code_of(self.result) if known else ""
        code = code.removesuffix("result.plot()\n").replace("\nresult = ", "\ngraph = ")
        if not code:
            code = "import interp_backend as ib\n# graph: your own graph\n"
        if self.supernodes:
            code += f"graph = graph.with_supernodes({dict(self.supernodes)!r})\n"
        if self.shows == "subgraph" and self.subgraph:
            code += f"shown = graph.subgraph({list(self.subgraph)!r})\n"
        else:
            code += f"shown = graph.pruned({self.node_share!r}, {self.edge_share!r})\n"
        of_prompt = self._code_of_changes() or self._code_of_heads()
        if of_prompt and self.pair is not None:
            code += "prompt = pair.clean\n"
        self.code = code + (of_prompt or self._code_of_card() or "shown.plot()\n")

    def _of_tab(self) -> Any:
        return self.shown

    # Changes

    @traitlets.observe("node_share", "edge_share", "shows", "subgraph", "supernodes")
    def _on_drawn(self, change: Any) -> None:
        if change["name"] == "subgraph":
            self._tell_scores()
            if not self.subgraph:
                self.shows = "graph"
        if change["name"] == "supernodes":
            self._change_members(change["old"] or {})
        self._show_code()

    @traitlets.observe("pinned")
    def _on_pinned(self, change: Any) -> None:
        """Let the selection be the pinned node's place."""
        if self._has_pinned():
            self.selection = self._place_of_pinned()
        self._drop_card()
        self.edge = None
        if self._asker is not None:
            self._asker.refresh()
        self._show_code()

    @traitlets.observe("selection")
    def _on_selection(self, change: Any) -> None:
        if self._has_pinned():
            self._pin_at_place()

    def _has_pinned(self) -> bool:
        """Whether the graph has the node in the card; False for a node of a graph that will come."""
        graph: Any = self.result
        return self.pinned is None or (graph is not None and self.pinned in graph._index)

    def _place_of_pinned(self) -> dict[str, Any] | None:
        graph: Any = self.result
        place = Place() if self.pinned is None else graph.place_of(self.pinned)
        return None if place == Place() else place.to_json()

    def _select_pinned(self) -> None:
        """Select the place of a node that was pinned before its graph came. Panels that share the place have it."""
        if self.pinned is not None and self._has_pinned():
            self._alone = True
            try:
                self.selection = self._place_of_pinned()
            finally:
                self._alone = False

    def _pin_at_place(self) -> None:
        """Let the node in the card be at the pinned place, which another view may have chosen; there it is the one of
        most influence. The biases are at no place."""
        graph: Any = self.result
        pinned, place = self.pinned, as_place(self.selection) or Place()
        if graph is None or (pinned in graph._index and graph.place_of(pinned) == place):
            return
        shown = place.within(*self._parts) != Place() or place.activation in self._own_places
        found = graph.find(place) if shown else None
        self.pinned = found[0] if found else None

    @traitlets.validate("pinned")
    def _valid_pinned(self, proposal: Any) -> str | None:
        if proposal["value"] is not None and not self._awaits_another():
            self._known_nodes([proposal["value"]])
        return proposal["value"]

    @traitlets.validate("node_share", "edge_share")
    def _valid_share(self, proposal: Any) -> float:
        return finite(proposal)

    @traitlets.validate("subgraph")
    def _valid_subgraph(self, proposal: Any) -> list[str]:
        return proposal["value"] if self._awaits_another() else self._known_nodes(proposal["value"])

    @traitlets.validate("supernodes")
    def _valid_supernodes(self, proposal: Any) -> dict[str, list[str]]:
        graph: Any = self.result
        groups = checked(lambda: SUPERNODES.validate_python(proposal["value"]), SUPERNODES_WORDS)
        if not self._awaits_another():
            checked(lambda: graph.with_supernodes(groups))
        return groups

    def _awaits_another(self) -> bool:
        """Whether there is no graph, or traits are being set for one that will come."""
        with self._dropping:  # another thread may be leaving out what the graph before has not
            return self.result is None or (self._asker is not None and self._asker.deferring)

    def _known_nodes(self, names: Sequence[str]) -> list[str]:
        """The nodes, each once, of which all are in the graph.

        Raises:
            TraitError: one is not.
        """
        graph: Any = self.result
        known = () if graph is None else graph._index
        for name in names:
            if name not in known:
                raise traitlets.TraitError(f"The graph on the screen has no node {name!r:.60}.")
        return [*dict.fromkeys(names)]

    # Requests

    @action("attribution_graph", attribution_graph.request)
    def _on_attribution_graph(
        self,
        id: str,
        answers: Sequence[str | int] | None,
        last: int | None,
        logits: int,
        mass: float,
        features: int,
        **_: Any,
    ) -> Task | None:
        """Trace the graph by other choices."""
        self._answers, self._last = answers, last
        self._how = {"logits": logits, "mass": mass, "features": features}
        return self._asking().refresh(id)

    @action("run_again")
    def _on_run_again(self, id: str) -> Task | None:
        """Run what was cancelled, or failed."""
        asker = self._asking()
        stopped = [name for name in self.wants() if asker.stopped(name)]
        return asker.again(*stopped, id=id) if stopped else asker.refresh(id)

    @action("pin_nodes")
    def _on_pin_nodes(self, id: str, nodes: Nodes) -> None:
        """Put nodes into the subgraph."""
        wanted = self._known_nodes(nodes)
        together = [*dict.fromkeys([*self.subgraph, *wanted])]
        if len(together) > MOST_PINNED:
            raise ValueError(f"A subgraph has {MOST_PINNED} nodes at most. Take some out.")
        self.subgraph = together

    @action("unpin_nodes")
    def _on_unpin_nodes(self, id: str, nodes: Nodes) -> None:
        """Take nodes out of the subgraph, and out of their supernodes."""
        supernodes: Any = self.supernodes
        left = {name: [one for one in members if one not in nodes] for name, members in supernodes.items()}
        self.subgraph = [one for one in self.subgraph if one not in nodes]
        self.supernodes = {name: members for name, members in left.items() if members}

    @action("group_features")
    def _on_group_features(self, id: str, nodes: Nodes, name: Name) -> None:
        """Draw nodes as one, under a name; they are in the subgraph then. Nodes of other supernodes leave these."""
        wanted = self._known_nodes(nodes)
        if name != name.strip() or not name.isprintable():
            raise ValueError("A supernode's name is printable and begins and ends with no space.")
        if self.result is not None and name in self.result._index:
            raise ValueError(f"{name!r} is the name of a node. Choose another name.")
        supernodes: Any = self.supernodes
        others: Mapping[str, list[str]] = {
            other: [one for one in members if one not in wanted] for other, members in supernodes.items()
        }
        self._on_pin_nodes(id, wanted)
        self.supernodes = {
            **{other: members for other, members in others.items() if members and other != name},
            name: wanted,
        }

    @action("ungroup_features")
    def _on_ungroup_features(self, id: str, name: Name) -> None:
        """Draw the nodes of a supernode one by one again."""
        supernodes: Any = self.supernodes
        if name not in supernodes:
            raise ValueError(f"There is no supernode {name!r:.60}.")
        self.supernodes = {other: members for other, members in supernodes.items() if other != name}
