"""The tab of the circuit graph that scrubs: its hypothesis begins as the circuit on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import traitlets
from pydantic import Field

from interp_backend.common.scrubbed import prompts_of, refuse_other_nodes
from interp_backend.language.metrics import as_measures
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import SIDES
from interp_backend.methods.activation_patching import tokenize_all
from interp_backend.methods.causal_scrubbing import causal_scrubbing
from interp_backend.results.graph import parse_node
from interp_backend.results.hypothesis import (
    ANYTHING,
    AT_POSITION,
    EXACT,
    FEATURES,
    Datum,
    Hypothesis,
    feature_name,
    parse_feature,
    value_of,
)
from interp_backend.results.scrubbing import Scrubbing
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .menus import choices, field_of
from .panel import action
from .subject import ResultPanel
from .traits import Argument, checked

if TYPE_CHECKING:
    from interp_backend.results.graph import Graph

# The traits that are arguments of `causal_scrubbing`, by the names that they have there.
ARGUMENTS = {
    "loss": "metric",
    "sides": "sides",
    "others": "others",
    "unscrub": "unscrub",
    "samples": "samples",
    "seed": "seed",
}
CHOICES = ("hypothesis_edges", "agree", *ARGUMENTS)
MOST_SENT = 300_000  # stand-ins that a view is sent
MOST_ON_A_PAGE = 3_000_000
SECONDS_BETWEEN = 0.25  # between two updates of the estimate
LONGEST_JSON = 2_000_000  # characters
Own = Callable[[Datum], Hashable]
Agree = Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(max_length=10_000)]


class ScrubbingTab(ResultPanel):
    """What the circuit graph adds for its tab of causal scrubbing."""

    hypothesis_edges = traitlets.Instance(
        list, allow_none=True, help="The edges of a hypothesis of its own; None are those of the circuit on the screen."
    ).tag(sync=True)
    agree = traitlets.Dict(help="What must agree, by node: the name of a feature. The others are exact.").tag(sync=True)
    loss = Argument(causal_scrubbing, "metric")
    sides = Argument(causal_scrubbing, "sides")
    others = Argument(causal_scrubbing, "others")
    unscrub = Argument(causal_scrubbing, "unscrub")
    samples = Argument(causal_scrubbing, "samples")
    seed = Argument(causal_scrubbing, "seed")
    data = traitlets.Instance(PromptPairs, allow_none=True, help="The data; None are the pairs of the graph.")
    outline: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="The hypothesis as a view lists it, and why it can't be run."
    ).tag(sync=True)
    scrubbing: traitlets.Instance[Scrubbing | None] = traitlets.Instance(
        Scrubbing, allow_none=True, help="What the hypothesis recovers."
    ).tag(sync=True, to_json=lambda result, widget: result and widget._scrubbing_to_view(result))

    said = traitlets.Dict(help="What each feature of `scrubbing` says of each datum, by its name.").tag(sync=True)

    _features: Mapping[str, Own] = {}  # the user's functions, by name
    _scrubbed_last = 0.0  # when the last estimate was sent
    _over = ""  # the id of the run that ended before it was complete
    if TYPE_CHECKING:  # what the circuit graph has
        pair: Any
        tab: Any
        edges: Any
        _whole: bool

        @property
        def circuit(self) -> Graph: ...

        def _show_code(self) -> None: ...

    # For users

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis that is scrubbed: the circuit on the screen, or one that was given, and what must agree.

        Raises:
            ValueError: there is no circuit yet, or it has too many edges.
        """
        given: Any = self.hypothesis_edges
        bare = Hypothesis.of(self.circuit) if given is None else Hypothesis(edges=given)
        return bare.with_agree({node: self._features.get(name, name) for node, name in self.agree.items()})

    @hypothesis.setter
    def hypothesis(self, given: Hypothesis) -> None:
        self._features, info = features_of(self._features, given), dict(self.info)
        self.info = {**info, **scrubbing_info(self._features)}
        chosen = of_hypothesis(given)
        with self._asking().defer():
            self.hypothesis_edges, self.agree = chosen["hypothesis_edges"], chosen["agree"]
        self._asking().refresh()

    # What should be shown

    def _scrubbing_wants(self) -> dict[str, Want]:
        outline: Any = self.outline
        if outline is None or outline["problem"] is not None:
            return {}
        arguments = {argument: getattr(self, name) for name, argument in ARGUMENTS.items()}
        call: Any = causal_scrubbing.call(self.model, self.hypothesis, self._data_to_scrub(), **arguments)
        return {"scrubbing": Want(call, self._take_scrubbing, self._end_scrubbing, keep=True, priority=2)}

    def _data_to_scrub(self) -> PromptPairs | None:
        """The data; None if there is but one pair."""
        if self.data is not None:
            return self.data  # pyright: ignore[reportReturnType]
        return self.pair if isinstance(self.pair, PromptPairs) else None

    def _take_scrubbing(self, id: str, found: Step[Scrubbing]) -> None:
        """What the runs gave so far."""
        result: Any = found.result
        result.id = id
        shown: Any = self.scrubbing
        now, is_new, ends = time.perf_counter(), shown is None or shown.id != id, found.done == found.total
        if is_new or ends or now - self._scrubbed_last >= SECONDS_BETWEEN:
            self._scrubbed_last = now
            if ends:
                self.said = self._said(result)
            self.scrubbing = result.model_copy()
            if is_new or ends:
                self._show_code()

    def _end_scrubbing(self, status: str) -> None:
        """After a run that was cancelled, what is there can be inspected too."""
        shown: Any = self.scrubbing
        if shown is not None and status != "done":
            self._over, self.said = shown.id, self._said(shown)
            self.send_state("scrubbing")

    def _scrubbing_to_view(self, result: Scrubbing) -> dict[str, Any]:
        over = bool(result.provenance.get("complete")) or self._over == result.id
        whole = self._whole and result.sources.size <= MOST_ON_A_PAGE
        return result.to_wire() if whole else result.to_view(MOST_SENT, draft=not over)

    def _said(self, result: Scrubbing) -> dict[str, list[str]]:
        """What each feature says of each datum, by the feature's name."""
        names = {node.agrees for node in result.tree} - {EXACT, ANYTHING}
        known = [name for name in names if name in self._features or _is_feature(name)]
        return {
            name: [_words(value_of(self._features.get(name, name), one, i)) for i, one in enumerate(result.data)]
            for name in sorted(known)
        }

    def _outline_hypothesis(self) -> None:
        """Describe the hypothesis for the view, if its tab is open and there is a circuit."""
        if self.tab != "scrubbing" or self._asker is None or getattr(self, "result", None) is None:
            return
        problem, fits, hypothesis, tree = None, None, None, 0
        data = self._data_to_scrub()
        try:
            hypothesis = self.hypothesis
            tree = self._tree_of(hypothesis)
        except ValueError as found:
            problem = str(found)
            if self.hypothesis_edges is None and self._has_circuit():
                fits = self._edges_that_fit()
                problem = "A node is scrubbed once for each path on which it is read, and this circuit has too many."
        datum = self._first_datum(data)
        self.outline = {
            "hypothesis": None if hypothesis is None else hypothesis.to_wire(),
            "nodes": [] if hypothesis is None else hypothesis.nodes,
            "tree": tree,
            "data": 0 if data is None else len(data) * (2 if self.sides == "both" else 1),
            "problem": TOO_FEW if data is None and problem is None else problem,
            "fits": fits,
            "tokens": [] if datum is None else datum.tokens,
            "examples": {} if datum is None else self._examples(datum),
        }

    def _scrubbed(self) -> list[Scrubbing | None]:
        """What the tab shows: no result of another hypothesis than one that can't be run."""
        outline: Any = self.outline
        shown: Any = self.scrubbing
        return [] if outline is not None and outline["problem"] is not None else [shown]

    def _has_circuit(self) -> bool:
        try:
            return self.circuit is not None
        except ValueError:
            return False

    def _tree_of(self, hypothesis: Hypothesis) -> int:
        """How many nodes the hypothesis has, unfolded.

        Raises:
            ValueError: too many, or some that the model lacks.
        """
        graph: Any = getattr(self, "result", None)
        refuse_other_nodes(hypothesis, graph.senders)
        return len(hypothesis.tree(graph.senders, graph.parallel, self.others == "separately"))

    def _edges_that_fit(self) -> int:
        """How many of the largest edges make a hypothesis that can be run."""
        fits, most = 0, self.edges
        while most - fits > 1:
            middle = (fits + most) // 2
            graph: Any = getattr(self, "result", None)
            try:
                self._tree_of(Hypothesis.of(graph.reduced(middle)))
                fits = middle
            except ValueError:
                most = middle
        return fits

    def _first_datum(self, data: PromptPairs | None) -> Datum | None:
        """The datum by which features are explained; None if it can't be read."""
        try:
            first: Any = PromptPairs([self.pair if data is None else data[0]])
            tokenized = tokenize_all(self._asking().model, first, as_measures("kl"))
        except (TypeError, ValueError):
            return None
        return prompts_of(tokenized, SIDES[:1])[0].datum

    def _examples(self, datum: Datum) -> dict[str, list[str]]:
        """What each feature says of a datum, for those with a position at each."""
        found: dict[str, list[str]] = {}
        for name in (*FEATURES, *self._features):
            if name in (EXACT, ANYTHING):
                continue
            asked = [f"{name}@{at}" for at in range(len(datum.tokens))] if name in AT_POSITION else [name]
            try:
                found[name] = [_words(value_of(self._features.get(one, one), datum, 0)) for one in asked]
            except ValueError:
                continue  # what the run will say
        return found

    # Changes

    def _drop_scrubbing(self, changed: str) -> None:
        """Forget a result of another circuit; while its tab is open, it stays until the next one has come."""
        own = self.hypothesis_edges is not None
        is_others = (changed == "pair" and self.data is None) or (changed == "result" and not own)
        if is_others or (not own and self.tab != "scrubbing"):
            self.scrubbing = None

    @traitlets.observe(*CHOICES, "data")
    def _on_scrubbing_change(self, change: Any) -> None:
        if self._asker is not None:
            self._outline_hypothesis()
            self._asker.refresh()

    @traitlets.validate("hypothesis_edges")
    def _valid_edges(self, proposal: Any) -> list[str] | None:
        edges: Any = proposal["value"]
        return None if edges is None else checked(lambda: [*Hypothesis(edges=edges).edges])

    @traitlets.validate("agree")
    def _valid_agree(self, proposal: Any) -> dict[str, str]:
        agree: Any = proposal["value"]
        return checked(lambda: {parse_node(node).name: self._known(feature) for node, feature in agree.items()})

    def _known(self, feature: Any) -> str:
        """The name of a feature.

        Raises:
            ValueError: there is none of this name.
        """
        name = feature_name(feature)
        if name not in self._features:
            if not isinstance(feature, str):
                raise ValueError(
                    f"The feature {name} is a function that this view was not given: CircuitGraph(..., "
                    f"features=[{name}])."
                )
            parse_feature(feature)
        return name

    # Requests

    @action("scrub")
    def _on_scrub(
        self, id: str, agree: Agree, loss: str, sides: str, others: str, unscrub: str, samples: int, seed: int
    ) -> Task | None:
        """Scrub what is said of the nodes, by these choices."""
        chosen = {"loss": loss, "sides": sides, "others": others, "unscrub": unscrub, "samples": samples, "seed": seed}
        self._set_together(id, {"agree": agree, **chosen})
        return self._asking().refresh(id, of="scrubbing")

    @action("load_hypothesis")
    def _on_load_hypothesis(self, id: str, text: Annotated[str, Field(max_length=LONGEST_JSON)]) -> Task | None:
        """Scrub a hypothesis from JSON."""
        asker, hypothesis = self._asking(), Hypothesis.from_json(text)
        agree = {node: self._known(feature) for node, feature in hypothesis.agree.items()}
        if getattr(self, "result", None) is not None:
            self._tree_of(hypothesis)
        with asker.defer():
            self.tab, self.hypothesis_edges, self.agree = "scrubbing", [*hypothesis.edges], agree
        return asker.refresh(id, of="scrubbing")

    @action("scrub_circuit")
    def _on_scrub_circuit(self, id: str) -> Task | None:
        """Take the circuit on the screen for the hypothesis again."""
        self.hypothesis_edges = None
        return self._asking().refresh(id, of="scrubbing")


TOO_FEW = (
    "Scrubbing puts other data in the place of a datum, and this graph has one pair. Give it more: "
    "hs.CircuitGraph(model, pair, data=ib.PromptPairs([...])), or PromptPairs in place of the pair."
)


def scrubbing_info(features: Mapping[str, Own]) -> dict[str, Any]:
    """The entries of the tab's menus."""
    own = {name: (name, "your own function of the datum") for name in features}
    table = {**{name: words for name, words in FEATURES.items() if name != ANYTHING}, **own}
    return {
        "features": choices({**table, ANYTHING: FEATURES[ANYTHING]}, {}),
        "at_position": [*AT_POSITION],
        "scrubbing": {name: field_of(causal_scrubbing, argument) for name, argument in ARGUMENTS.items()},
    }


def features_of(given: Sequence[Own] | Mapping[str, Own], hypothesis: Hypothesis | None) -> dict[str, Own]:
    """The user's functions by name, those of a hypothesis among them.

    Raises:
        ValueError: something else; a name that is a feature's already; or `hypothesis` is none.
    """
    if hypothesis is not None and not isinstance(hypothesis, Hypothesis):
        raise ValueError(f"hypothesis is an ib.Hypothesis(edges=[...], agree={{...}}), not {hypothesis!r:.60}.")
    named = [*given.items()] if isinstance(given, Mapping) else [(feature_name(one), one) for one in given]
    own = [] if hypothesis is None else [one for one in hypothesis.agree.values() if callable(one)]
    found: dict[str, Own] = {}
    for name, one in [*named, *((feature_name(one), one) for one in own)]:
        if not callable(one):
            raise ValueError(
                f"features are functions of an ib.Datum, or a dictionary of such by name, not {one!r:.60}."
            )
        if name.partition("@")[0] in FEATURES:
            raise ValueError(
                f"There is a feature {name} already. Call the function something else: {{'my_{name}': ...}}."
            )
        if found.setdefault(name, one) is not one:
            raise ValueError(f"Two functions are called {name}, and a view knows them by their names. Rename one.")
    return found


def of_hypothesis(hypothesis: Hypothesis | None) -> dict[str, Any]:
    """The traits for a hypothesis of its own."""
    if hypothesis is None:
        return {}
    agree = {node: feature_name(one) for node, one in hypothesis.agree.items()}
    return {"hypothesis_edges": [*hypothesis.edges], "agree": agree}


def _is_feature(name: str) -> bool:
    try:
        parse_feature(name)
    except ValueError:
        return False
    return True


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
