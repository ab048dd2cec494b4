"""The tab of the circuit graph that searches by ACDC: edges go one after another, beside what attribution finds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import traitlets
from pydantic import ConfigDict, Field, ValidationError, create_model

from interp_backend.language.metrics import METRICS, name_of
from interp_backend.methods.acdc import acdc, ascending
from interp_backend.results.codec import encode_array
from interp_backend.results.graph import Graph
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .menus import field_of, metric_menu
from .panel import action
from .subject import ResultPanel
from .traits import checked

MOST_EDGES = 5000  # of a search that a view is sent
MOST_PAST = 20  # searches whose beginnings are remembered
SECONDS_BETWEEN = 0.25  # between two updates of what is left
# By metric, the threshold that is offered at first, in its unit: a loss that one would hardly notice in a prompt.
THRESHOLDS = {"prob": 0.01, "log_prob": 0.05, "answer_log_prob": 0.05, "kl": 0.05, "rank": 1.0}
OTHER_THRESHOLD = 0.1

SETTINGS = ("threshold", "metric", "order", "ablation", "seed")

_START: Any = Field(None, ge=1, description="how many edges to begin with, the largest by attribution; None is all")
_FIELDS: dict[str, Any] = {
    name: (acdc.request.model_fields[name].annotation, acdc.request.model_fields[name]) for name in SETTINGS
}
# What a view may ask of `acdc`.
SearchRequest = create_model(
    "SearchRequest", __config__=ConfigDict(extra="forbid"), **_FIELDS, start=(int | None, _START)
)


class _Asked(NamedTuple):
    """The call of a search, with what it was made from."""

    search: dict[str, Any]
    pair: Any
    graph: Graph | None
    call: Any


class AcdcTab(ResultPanel):
    """What a circuit graph searches by ACDC. `search` are the settings of the last search that was started; changing
    them starts the next one, and nothing else does."""

    search: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="The settings of the last search, or None before one is started."
    ).tag(sync=True)
    threshold = traitlets.Float(
        None, allow_none=True, help="The threshold whose circuit is shown; None is the smallest."
    ).tag(sync=True, set_by_view=True)
    source = traitlets.Enum(
        ["edges", "acdc", "kept"],
        "edges",
        help="Which circuit the other tabs are about: the largest edges, ACDC's, or the kept one.",
    ).tag(sync=True, set_by_view=True)
    acdc: traitlets.Instance[Graph | None] = traitlets.Instance(
        Graph, allow_none=True, help="What the search has found so far."
    ).tag(sync=True, to_json=lambda found, _: found and found.to_search_view(MOST_EDGES))
    searching: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="While a search runs, which edges are left."
    ).tag(sync=True)
    compared = traitlets.List(help="Beside the search's circuits, others of the same sizes or thresholds.").tag(
        sync=True
    )

    _asked_search: _Asked | None = None
    _found_by: _Asked | None = None  # of `acdc`: a search that was refused leaves the result of the one before
    _past: Sequence[_Asked] = ()
    _found: tuple[Graph, float, Graph] | None = None  # `found`, with the search and the threshold that it is of
    _under_way: Graph | None = None  # the graph of the search, which fills while it runs
    # When a view was last sent what is left, how many edges that were, and how many at the beginning.
    _sent_at, _sent_size, _begun_with = 0.0, 0, 0

    # Of the panel

    _call_of_result: Any
    _own_metric: Callable[..., Any] | None
    pair: Any
    result: Any

    def __init__(self, **traits: Any) -> None:
        self._searches: dict[bool, Graph] = {}  # the last one from all edges, and the last one from some of them
        super().__init__(**traits)

    @property
    def found(self) -> Graph:
        """What the search has found, with the circuit of the threshold that is shown.

        Raises:
            ValueError: no search has ended.
        """
        graph: Any = self.acdc
        if graph is None or not self._has_found:
            raise ValueError("ACDC has found no circuit yet: start a search in its tab, or set source to 'edges'.")
        at: Any = self.threshold if self.threshold in graph.thresholds else graph.thresholds[0]
        found = self._found
        if found is None or found[:2] != (graph, at):
            found = self._found = graph, at, graph.at(at)
        return found[2]

    @property
    def _has_found(self) -> bool:
        """Whether there is a search, and it does not run."""
        return self.acdc is not None and self.searching is None

    def _search_menus(self) -> dict[str, Any]:
        offered = {metric["name"]: THRESHOLDS.get(metric["name"], OTHER_THRESHOLD) for metric in self._metrics()}
        fields = {name: field_of(acdc, name) for name in ("order", "ablation", "seed")}
        return {"metric": acdc.options["metric"].default, "thresholds": offered, **fields}

    def _metrics(self) -> list[dict[str, str]]:
        return metric_menu(self._own_metric)

    # What is asked for

    def _search_wants(self, graph_call: Any) -> dict[str, Want]:
        """The search, also in a closed tab: it was asked for, and may take long."""
        search: Any = self.search
        if search is None:
            return {}
        asked = self._asked_search
        if asked is None or (asked.search, asked.pair) != (search, self.pair):
            asker = self._asker
            if self._call_of_result != graph_call and asker is not None and not asker.stopped("result"):
                return {}  # its scores are coming
            graph: Any = self.result if self._call_of_result == graph_call else None
            # What was searched before and comes back, as by undo, began with the scores that there were then.
            same = [one for one in self._past if (one.search, one.pair) == (search, self.pair)]
            asked = same[-1] if same and graph is not None else None
            asked = asked or _Asked(search, self.pair, graph, self._search_call(search, graph))
            self._asked_search, self._past = asked, [*self._past, asked][-MOST_PAST:]
            self._under_way = None
        return {
            "acdc": Want(asked.call, partial(self._take_search, asked), end=self._end_search, keep=True, priority=2)
        }

    def _search_call(self, search: dict[str, Any], graph: Graph | None) -> Any:
        thresholds, metric, start = search["threshold"], search["metric"], search["start"]
        if start is not None and graph is None:
            raise ValueError(
                "The edges have no scores to begin with the largest. Begin with all edges, or see the Edges tab."
            )
        own = self._own_metric
        return acdc.call(
            self.model,
            self.pair,
            threshold=thresholds[0] if len(thresholds) == 1 else thresholds,
            metric=own if own is not None and metric == name_of(own) else metric,
            order=search["order"],
            ablation=search["ablation"],
            seed=search["seed"],
            start=None if start is None or graph is None else graph.reduced(start),
            beside=graph,
        )

    def _take_search(self, asked: _Asked, id: str, step: Step[Graph]) -> None:
        """What is left so far: the whole graph at first, then which edges of it."""
        graph: Any = step.result
        if self.search is None:
            return
        graph.id = id
        new, now = graph is not self._under_way, time.perf_counter()
        if new:
            self._under_way, self._found_by = graph, asked
            self._sent_at, self._sent_size, self._begun_with = 0.0, graph.size, graph.size
        first_is_gone = self._sent_size == self._begun_with > graph.size
        if step.done < step.total and (first_is_gone or now - self._sent_at >= SECONDS_BETWEEN):
            self._sent_at, self._sent_size = now, graph.size
            self.searching = _left(graph, step)
        if new:  # after `searching`, which says that it is no circuit yet
            self.compared, self.acdc = [], graph

    def _end_search(self, status: str) -> None:
        graph: Any = self._under_way
        self.searching = None
        if graph is None or self.search is None:
            return
        if graph.provenance.get("complete"):
            self._searches[graph.params.get("start") is None] = graph
        self.acdc = graph.model_copy()  # a new object, so that a view is sent all of it
        self.compared = self._comparison() if graph.provenance.get("complete") else []

    def _comparison(self) -> list[dict[str, Any]]:
        """For each threshold the circuit of the other search, if that had the same settings, and the largest edges."""
        graph: Any = self.acdc
        other, asked = self._searches.get(graph.params.get("start") is not None), self._found_by
        rows = []
        if other is not None and _settings(other) == _settings(graph):
            circuits = [other.at(one) for one in graph.thresholds]
            rows.append(_compared("other", graph, circuits, other.values))
        if asked is not None and asked.graph is not None and graph.values_beside:
            sizes = [graph.at(one).size for one in graph.thresholds]
            circuits = [asked.graph.top(size, pruned=False) for size in sizes]
            rows.append(_compared("top", graph, circuits, graph.values_beside))
        return rows

    def _drop_found(self) -> None:
        self.acdc = self.searching = self._under_way = None
        self.compared = []

    # Code

    def _code_of_found(self) -> str:
        """Code that makes the search again, and takes the circuit that is shown."""
        found: Any = self.found
        code = self._code_of(found).removesuffix("result.plot()\n")
        if not code:
            return "import interp_backend as ib\n# found: your own graph\n" + _taken(found, self._found)
        asked = self._found_by
        start = None if asked is None else asked.search["start"]
        code = code.replace("# beside: your own object\n", "").replace("    beside=beside,\n", "")
        if start is not None and asked is not None and asked.graph is not None:
            graph = self._code_of(asked.graph).removesuffix("result.plot()\n").replace("\nresult = ", "\ngraph = ")
            code = code.replace("start=start", f"start=graph.reduced({start})")
            head = graph or code.split("\n# start: ")[0] + "\n# graph: your own graph\n"
            code = head + "result = " + code.split("\nresult = ", 1)[1]
        return code.replace("\nresult = ", "\nfound = ") + _taken(found, self._found)

    # Changes and requests

    @traitlets.validate("search")
    def _valid_search(self, proposal: Any) -> dict[str, Any] | None:
        search: Any = proposal["value"]
        if search is None:
            return None
        try:
            asked = SearchRequest.model_validate(search).model_dump()
        except ValidationError as problem:
            first = problem.errors(include_url=False)[0]
            raise traitlets.TraitError(f"{'.'.join(map(str, first['loc']))} of a search: {first['msg']}.") from None
        own = self._own_metric
        if asked["metric"] not in METRICS and (own is None or asked["metric"] != name_of(own)):
            raise traitlets.TraitError(
                f"There is no metric {asked['metric']!r:.40}. Choose one of {', '.join(METRICS)}."
            )
        asked["threshold"] = checked(lambda: ascending(asked["threshold"]))
        return asked

    @traitlets.validate("threshold")
    def _valid_threshold(self, proposal: Any) -> float | None:
        threshold: Any = proposal["value"]
        if threshold is not None and not 0 < threshold < math.inf:
            raise traitlets.TraitError(f"threshold is a number above 0, not {threshold!r}.")
        return threshold

    @action("acdc", SearchRequest)
    def _on_acdc(self, id: str, **search: Any) -> Task | None:
        """Search a circuit by removing edges one after another."""
        asker = self._asking()
        with asker.defer():
            self.search = search
            asked = self._asked_search
            if asked is not None and asked.graph is not self.result:
                self._asked_search = None  # the scores have changed since
                self._past = [one for one in self._past if one.search != self.search]
            self.tab = "acdc"
        return asker.refresh(id, of="acdc")


def _left(graph: Graph, step: Step[Graph]) -> dict[str, Any]:
    """While a search runs, which edges are left, as bits in the order of `scores`, and what those that stay cost."""
    at = next((at for at in reversed(range(len(graph.values))) if graph.values[at] is None), 0)
    stays = np.flatnonzero(graph.kept.astype(bool) & (np.nan_to_num(graph.scores) > 0))[:MOST_EDGES]
    return {
        "id": graph.id,
        "at": at,
        "size": graph.size,
        "tried": step.done,
        "kept": encode_array(np.packbits(graph.kept, bitorder="little")),
        "stays": encode_array(stays.astype(np.int32)),
        "cost": encode_array(graph.scores.ravel()[stays]),
    }


def _settings(graph: Graph) -> dict[str, Any]:
    """The parameters of a search, but for the edges that it began with."""
    return {name: one for name, one in graph.params.items() if name not in ("start", "beside")}


def _compared(name: str, graph: Graph, circuits: list[Graph], values: list[float | None]) -> dict[str, Any]:
    """Another circuit for each threshold of a search."""
    pairs = [(graph.at(one), other) for one, other in zip(graph.thresholds, circuits)]
    return {
        "name": name,
        "sizes": [other.size for other in circuits],
        "values": values,
        "jaccard": [own.jaccard(other) for own, other in pairs],
        "alone": [[own.without(other).size, other.without(own).size] for own, other in pairs],
    }


def _taken(found: Graph, shown: Any) -> str:
    """The line that takes the circuit of one threshold."""
    return f"circuit = found.at({shown[1]!r})\n" if len(found.thresholds) > 1 else "circuit = found\n"
