"""The circuit graph: which edges carry the difference between two prompts, and along which paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import traitlets

from interp_backend.common.circuits import ABLATIONS, LEVELS, POSITIONS
from interp_backend.common.subject import subject_of
from interp_backend.language.metrics import METRICS, name_of
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import PromptPair
from interp_backend.methods.circuit_robustness import circuit_robustness
from interp_backend.methods.edge_attribution import edge_attribution
from interp_backend.methods.faithfulness import faithfulness
from interp_backend.methods.path_patching import path_patching
from interp_backend.results.codec import encode_array
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.envelope import BaseResult, excerpt
from interp_backend.results.faithfulness import Faithfulness
from interp_backend.results.graph import LOGITS, Graph, parse_node
from interp_backend.results.hypothesis import Hypothesis
from interp_backend.results.robustness import Robustness
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .acdc_tab import MOST_EDGES, SECONDS_BETWEEN, AcdcTab
from .asking import Want
from .kept_circuit import KeptCircuit
from .menus import choices, field_of
from .node_sets import QUESTIONS, Nodes, NodeSets
from .panel import Index, action
from .prompt_pair_editor import PromptPairEditor
from .scrubbing_tab import CHOICES, Own, ScrubbingTab, features_of, of_hypothesis, scrubbing_info
from .subject import model_to_ask, model_words
from .traits import Argument, PairTrait

# What changes the circuit that other tabs are about, by its source.
OF_CIRCUIT = {"edges": ("edges", "edits", "result"), "acdc": ("threshold", "acdc"), "kept": ("kept",)}


class CircuitGraph(NodeSets, KeptCircuit, AcdcTab, ScrubbingTab):
    """The edges between embedding, heads, MLPs and logits that carry the difference between two prompts.

    Its first tab shows the largest edges by `edge_attribution`, as many as the slider says. The second removes one edge
    after another by `acdc`, once a search is started. The third follows paths backwards from the logits, each step by
    exact `path_patching`: a click on a sender makes it the next receiver. The fourth runs the circuit alone, under
    every ablation by `circuit_robustness`, and of every size by `faithfulness`. The last takes it for a hypothesis, and
    scrubs it by `causal_scrubbing`.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a PromptPair; a PromptPairEditor whose pair is then followed; or PromptPairs, for their mean.
        graph: the graph to show, such as one from a file; by default its scores are estimated from the pair.
        rules, ig_steps, direction, metric: as in `interp_backend.edge_attribution`.
        mlps: as in `interp_backend.path_patching`.
        edges: how many edges the circuit has before its dangling nodes are removed.
        data: PromptPairs that are scrubbed; by default those of `pair`.
        hypothesis: the `Hypothesis` of the last tab; by default the circuit on the screen, everything exact.
        features: functions of an `ib.Datum` that its menus offer: a list, or a dictionary by name.
        layer_zero: "bottom" or "top".
        result: a `Graph` to show, instead of a model and a pair.

    Attributes:
        result: the `Graph` of all edges, or None while the model still runs.
        circuit: the `Graph` whose chosen edges are those on the screen, or those that ACDC has found, as `source` says.
        search: the settings of ACDC, by the names of its arguments, and `start`, with how many of the largest edges it
            begins; setting it, such as to `{"threshold": [0.1, 1.0]}`, starts a search.
        acdc: the `Graph` that the search fills, or None.
        threshold: whose circuit is shown; None is the smallest.
        found: the `Graph` of ACDC with the circuit of that threshold.
        source: "edges", "acdc" or "kept": whose circuit other tabs run.
        compared: for each threshold, other circuits beside that of the search.
        chosen: the nodes that are chosen in the picture.
        edits: what was done to the circuit since, in order: each is {"keep": nodes} or {"remove": nodes}.
        groups: nodes that are drawn as one, by the group's name.
        question: what is asked of some nodes, as {"what": "ablate", "nodes": ["a2.h1"]}, or None.
        answer: the result that answers it, or None.
        trail: the receivers of each step of the tab of paths, from the logits down.
        paths: the `EffectMap` of each step, or None while it runs.
        robustness: the `Robustness` of the circuit in the tab of faithfulness, or None.
        setting: the ablation, level and positions of `faithfulness` there, or None before one is chosen.
        faithfulness: the `Faithfulness` of circuits of every size for that setting, or None.
        arrange: "head", where a head has its column in every circuit, or "flow", where few edges of this one cross.
        agree: what must agree in the last tab, by node.
        hypothesis: the `Hypothesis` there.
        scrubbing: the `Scrubbing` of it, or None.
        selection: the pinned node as a place, such as `{"layer": 2, "head": 5}`, or None.
        code: Python code that computes what the open tab shows.
        status, progress, error: the state of the run.
    """

    bundle = "circuit_graph"
    choices = (
        *("rules", "ig_steps", "direction", "metric", "mlps", "edges", "arrange", "trail", "setting"),
        *(
            "edits",
            "groups",
            "chosen",
            "question",
            "search",
            "threshold",
            "kept_name",
            "kept",
            "shows",
            "source",
            *CHOICES,
            "tab",
        ),
    )
    _parts = ("layer", "head")
    _own_places = (LOGITS,)

    pair = PairTrait(many=True, allow_none=True, help="The two prompts, or many pairs of them.")
    rules = Argument(edge_attribution, "rules")
    ig_steps = Argument(edge_attribution, "ig_steps")
    direction = Argument(edge_attribution, "direction")
    mlps = Argument(path_patching, "mlps")
    metric = traitlets.Union(
        [traitlets.Unicode(), traitlets.Callable()], help="A metric's name, or a function of logits."
    ).tag(sync=True, to_json=lambda metric, _: name_of(metric))
    edges = traitlets.Int(30, min=1, max=MOST_EDGES, help="How many edges the circuit has before it is pruned.").tag(
        sync=True, set_by_view=True
    )
    arrange = traitlets.Enum(
        ["head", "flow"],
        "head",
        help='Where nodes stand: "head", each in its column, or "flow", so that few edges cross.',
    ).tag(sync=True, set_by_view=True)
    tab = traitlets.Enum(
        ["edges", "acdc", "paths", "faithfulness", "scrubbing"], "edges", help="Which tab is open."
    ).tag(sync=True, set_by_view=True)
    trail = traitlets.List(
        traitlets.List(traitlets.Unicode()), [[LOGITS]], help="The receivers of each step, from the logits down."
    ).tag(sync=True)
    result: traitlets.Instance[Graph | None] = traitlets.Instance(
        Graph, allow_none=True, help="The scores of all edges."
    ).tag(sync=True, to_json=lambda result, widget: result and result.to_view(MOST_EDGES, whole=widget._whole))
    paths = traitlets.List(
        traitlets.Instance(EffectMap, allow_none=True), help="The effects of each step of the trail."
    ).tag(sync=True, to_json=lambda paths, _: [one and _path_to_wire(one) for one in paths])
    robustness: traitlets.Instance[Robustness | None] = traitlets.Instance(
        Robustness, allow_none=True, help="The circuit under every ablation."
    ).tag(sync=True, to_json=lambda result, _: result and result.to_wire())
    setting: traitlets.Instance[dict[str, str] | None] = traitlets.Instance(
        dict, allow_none=True, help="The ablation, level and positions of `faithfulness`, or None."
    ).tag(sync=True)
    faithfulness: traitlets.Instance[Faithfulness | None] = traitlets.Instance(
        Faithfulness, allow_none=True, help="Circuits of every size, for the setting."
    ).tag(sync=True, to_json=lambda result, _: result and result.to_wire())

    def __init__(
        self,
        model: Any = None,
        pair: PromptPair | PromptPairs | PromptPairEditor | None = None,
        *,
        graph: Graph | None = None,
        rules: str = "gradient",
        ig_steps: int = 0,
        direction: str = "noise",
        metric: str | Callable[..., Any] = "logit_diff",
        mlps: str = "frozen",
        edges: int = 30,
        data: PromptPairs | None = None,
        hypothesis: Hypothesis | None = None,
        features: Sequence[Own] | Mapping[str, Own] = (),
        layer_zero: str = "bottom",
        result: Graph | None = None,
    ) -> None:
        known = model_to_ask(model, pair, result, "a pair to compare")
        for name, one in (("graph", graph), ("result", result)):
            if one is not None and not isinstance(one, Graph):
                raise ValueError(f"{name} is a Graph, as edge_attribution returns, not a {type(one).__name__}.")
        self._features = features_of(features, hypothesis)
        self._given = graph
        self._own_metric = metric if callable(metric) else None
        self._circuits: dict[str, tuple[Graph, Any, Graph]] = {}  # by name: of which graph, what was wanted, and it
        self._call_of_result: Any = None
        self._noted: Graph | None = None
        self._last_sent = 0.0
        self._whole = False  # send the graph with all its scores, for a page
        super().__init__(
            pair=pair.pair if isinstance(pair, PromptPairEditor) else pair,
            rules=rules,
            ig_steps=ig_steps,
            direction=direction,
            metric=metric,
            mlps=mlps,
            edges=edges,
            data=data,
            **of_hypothesis(hypothesis),
            layer_zero=layer_zero,
            info={
                "model": None if known is None else known.describe(),
                "metrics": self._metrics(),
                "search": self._search_menus(),
                "given": graph is not None,
                **{name: field_of(edge_attribution, name) for name in ("rules", "ig_steps", "direction")},
                "mlps": field_of(path_patching, "mlps"),
                "questions": choices(QUESTIONS, {}),
                "ablations": choices(ABLATIONS, {}),
                "levels": choices(LEVELS, {}),
                "positions": choices(POSITIONS, {}),
                **scrubbing_info(self._features),
            },
        )
        if known is not None:
            self._start(known, pair)
        elif result is not None:
            self.pair = _subject(result)
            self.result, self.status, self.code = result, "done", self._code_of(result)
            if result.thresholds:  # a search
                self.tab, self.acdc = "acdc", result
                self._show_code()

    # For users

    @property
    def circuit(self) -> Graph:
        """The graph with the circuit that the tabs are about: the largest edges, what ACDC has found, or the kept one,
        as `source` says.

        Raises:
            ValueError: there is no result yet.
        """
        kept: Any = self.kept
        if self.source == "kept" and kept is not None:
            return self._made_once("kept", kept, lambda graph: graph.with_edges(kept.kept.astype(bool)))
        return self.found if self.source == "acdc" else self._largest()

    def _has_other_circuit(self) -> bool:
        """Whether the circuit of the tabs is another one than when this was last asked."""
        before = self._noted
        try:
            self._noted = self.circuit
        except ValueError:
            self._noted = None
        return self._noted is None or self._noted is not before

    def _of_screen(self) -> Graph:
        """The circuit that the open tab draws."""
        return self.found if self.tab == "acdc" else self._largest()

    def _largest(self) -> Graph:
        wanted = self.edges, str(self.edits)
        return self._made_once("largest", wanted, lambda graph: self._edited(graph.reduced(self.edges)))

    def _made_once(self, name: str, wanted: Any, make: Callable[[Graph], Graph]) -> Graph:
        """A circuit of the shown graph, which stays the same object, or it would be another call's."""
        whole: Graph = self._shown()
        known = self._circuits.get(name)
        if known is None or known[0] is not whole or known[1] != wanted:
            known = self._circuits[name] = whole, wanted, make(whole)
        return known[2]

    def follow(self, *receivers: str) -> None:
        """Make some nodes, such as "a5.h1" or "a5.h1<q>", the receivers of a further step of the second tab."""
        self._on_follow(self._asking().new_id(), list(receivers), len(self.trail))

    def further_results(self) -> list[BaseResult]:
        paths: Any = self.paths
        return [one for one in (self.acdc, *paths, self.answer) if one is not None]

    def page_state(self) -> dict[str, Any]:
        self._whole = True
        try:
            return super().page_state()
        finally:
            self._whole = False

    def _headings(self, result: Graph) -> tuple[str, str]:
        subject = self.pair if self._given is not None else _subject(result)
        words = [*model_words(result), result.metric_label]
        if subject is None:
            return "Circuit", " · ".join(words)
        if isinstance(subject, PromptPairs):
            return f"Circuit of {len(subject)} pairs, “{excerpt(subject[0].clean)}” the first", " · ".join(words)
        return f"Circuit of “{excerpt(subject.clean)}” against “{excerpt(subject.corrupt)}”", " · ".join(words)

    # What should be shown

    def wants(self) -> dict[str, Want]:
        how = {"direction": self.direction, "metric": self.metric}
        many = isinstance(self.pair, PromptPairs)
        call: Any = Given(self._given) if self._given is not None else None
        call = call or edge_attribution.call(
            self.model, self.pair, rules=self.rules, ig_steps=self.ig_steps, keep_pairs=many, **how
        )
        wants = {"result": Want(call, partial(self._take, call), keep=True), **self._search_wants(call)}
        if self.tab == "paths":
            for step, receivers in enumerate(self.trail):
                call = path_patching.call(self.model, self.pair, None, list(receivers), mlps=self.mlps, **how)
                wants[_output(step)] = Want(call, partial(self._take_path, step), keep=True, priority=2)
        if self.tab == "edges":
            wants.update(self._wants_of_nodes())
        # The circuit of a graph that is about to be replaced, or of a search that runs, is not run.
        known = {"acdc": self._has_found, "kept": self.kept is not None}
        if known.get(self.source, self._call_of_result == wants["result"].call):
            wants.update(self._runs_of(self.circuit) if self.tab == "faithfulness" else {})
            wants.update(self._scrubbing_wants() if self.tab == "scrubbing" else {})
        return wants

    def _runs_of(self, circuit: Graph) -> dict[str, Want]:
        """The runs of the circuit on the screen."""
        of_circuit = (self.model, self.pair, circuit)
        call: Any = circuit_robustness.call(*of_circuit, metric=self.metric)
        wants = {"robustness": Want(call, partial(self._take_runs, "robustness"), keep=True, priority=2)}
        if self.setting is not None:
            call = faithfulness.call(*of_circuit, metric=self.metric, **self.setting)
            wants["faithfulness"] = Want(call, partial(self._take_runs, "faithfulness"), keep=True, priority=2)
        return wants

    def _take(self, call: Any, id: str, step: Step[Graph]) -> None:
        result: Any = step.result
        result.id = id
        self._call_of_result, self.result = call, result
        self._unpin_what_is_gone()
        self._show_code()
        if self._asker is not None and (self.tab in ("faithfulness", "scrubbing") or self.search is not None):
            self._outline_hypothesis()
            self._asker.refresh()  # the circuit is known now, and what a search begins with

    def _take_path(self, step: int, id: str, found: Step[EffectMap]) -> None:
        """A step of the trail: its first result has the senders that change nothing."""
        effects: Any = found.result
        effects.id = id
        now, ends = time.perf_counter(), found.done in (0, found.total)
        if ends or now - self._last_sent >= SECONDS_BETWEEN:
            self._last_sent = now
            # A new object, so that what has filled is sent to the view.
            paths = [*self.paths, *[None] * len(self.trail)][: len(self.trail)]
            paths[step] = effects.model_copy()
            self.paths = paths
            self._show_code()

    def _take_runs(self, name: str, id: str, found: Step[Any]) -> None:
        """What a run of the circuit gave so far."""
        if found.result is None:
            return
        found.result.id = id
        now, ends = time.perf_counter(), found.done in (0, found.total)
        if ends or now - self._last_sent >= SECONDS_BETWEEN:
            self._last_sent = now
            setattr(self, name, found.result.model_copy())
            self._show_code()

    def _of_tab(self) -> Any:
        """The last result of the open tab; in the first it is the circuit."""
        runs: list[Any] = [self.robustness, self.faithfulness]
        found = [self.found] if self._has_found else []
        others = {"edges": [], "acdc": found, "paths": self.paths, "faithfulness": runs, "scrubbing": self._scrubbed()}
        return next((one for one in reversed(others[self.tab]) if one is not None), None) or self._largest()

    def _show_code(self) -> None:
        if self.tab == "acdc" and self._has_found:
            self.code = self._code_of_found() + "circuit.plot()\n"
        elif self.result is not None:
            shown = self._of_tab()
            alone = shown is self.scrubbing or shown in self.paths
            self.code = self._code_of(shown) if alone else self._code_of_circuit(shown)

    def _code_of_circuit(self, shown: Any) -> str:
        """Code that makes the circuit on the screen, and what is shown of it."""
        plain = isinstance(shown, Graph)
        if plain and self.answer is not None:
            return self._code_of_largest(shown) + self._code_of_nodes()
        code = self._code_of_found() if not plain and self.source == "acdc" else self._code_of_largest(shown)
        if not plain and self.source == "kept":
            code = code.rsplit("circuit = ", 1)[0] + f"circuit = graph.with_edges({self.circuit.names!r})\n"
        return code + ("circuit.plot()\n" if plain else "result = " + self._code_of(shown).split("\nresult = ", 1)[-1])

    def _code_of_largest(self, shown: Any) -> str:
        """A graph that the user gave stays the user's."""
        code = self._code_of(self.result).removesuffix("result.plot()\n").replace("\nresult = ", "\ngraph = ")
        if self._given is not None or not code:
            head = "import interp_backend as ib\n" if isinstance(shown, Graph) else self._code_of(shown)
            code = head.split("\n# circuit: ")[0].split("\nresult = ")[0].rstrip() + "\n# graph: your own graph\n"
        return code + f"circuit = graph.reduced({self.edges}){self._code_of_edits()}\n"

    # Changes

    @traitlets.observe(
        *("pair", "rules", "ig_steps", "direction", "metric", "mlps", "tab", "trail", "edges", "edits", "setting"),
        *("result", "search", "threshold", "source", "acdc", "kept"),
    )
    def _on_change(self, change: Any) -> None:
        name = change["name"]
        if name == "metric" and callable(self.metric):
            self._own_metric = self.metric
        if name in ("pair", "direction", "metric", "mlps"):
            self.paths = []  # these belong to other choices
        self._drop_answer(name)
        of_circuit = name in ("source", *OF_CIRCUIT[self.source]) and self._has_other_circuit()
        if name in ("pair", "metric") or of_circuit:
            self.robustness = self.faithfulness = None
            self._drop_scrubbing(name)
        if name == "pair":
            self.search = None  # what was searched belongs to another pair
            self.source = "edges" if self.source == "acdc" else self.source
        if name == "search" and self.search is None:
            self._drop_found()
        if name == "setting":
            self.faithfulness = None
        if name == "result":
            return
        if name == "trail":
            kept = [a == b for a, b in zip(self.trail, change["old"] or [])]
            self.paths = self.paths[: kept.index(False) if False in kept else len(kept)]
        if self._asker is not None:
            self._outline_hypothesis()
            self._asker.refresh()
        if self._asker is not None or name == "threshold":
            self._show_code()

    @traitlets.validate("setting")
    def _valid_setting(self, proposal: Any) -> dict[str, str] | None:
        setting: Any = proposal["value"]
        known = {"ablation": ABLATIONS, "level": LEVELS, "positions": POSITIONS}
        for name, names in known.items() if setting is not None else ():
            if not isinstance(setting, dict) or setting.get(name) not in names:
                raise traitlets.TraitError(f"The {name} of a setting is one of {', '.join(names)}.")
        if setting is not None and set(setting) != set(known):
            raise traitlets.TraitError(f"A setting has {', '.join(known)}, and nothing else.")
        return setting

    @traitlets.validate("metric")
    def _valid_metric(self, proposal: Any) -> Any:
        metric = proposal["value"]
        if self._own_metric is not None and metric == name_of(self._own_metric):
            return self._own_metric  # a view knows the function only by its name
        if not callable(metric) and metric not in METRICS:
            raise traitlets.TraitError(f"There is no metric {metric!r}. Choose one of {', '.join(METRICS)}.")
        return metric

    # Requests

    @action("edge_attribution", edge_attribution.request)
    def _on_edge_attribution(
        self, id: str, rules: str, ig_steps: int, direction: str, metric: Any, **_: Any
    ) -> Task | None:
        """Estimate the edges by other choices."""
        self._set_together(id, {"rules": rules, "ig_steps": ig_steps, "direction": direction, "metric": metric})
        return self._asking().refresh(id)

    @action("follow")
    def _on_follow(self, id: str, receivers: Nodes, step: Index = 0) -> Task | None:
        """Make some nodes the receivers of a step of the trail, which then ends there."""
        if not 0 < step <= len(self.trail):
            raise ValueError(f"The trail has {len(self.trail)} steps, so the next one can't be step {step}.")
        asker = self._asking()
        self._refuse_receivers(receivers)
        with asker.defer():
            self.tab, self.trail = "paths", [*self.trail[:step], receivers]
        return asker.refresh(id, of=_output(step))

    def _refuse_receivers(self, names: Sequence[str]) -> None:
        """Raise ValueError for a name that nothing of the shown graph reads by."""
        graph: Any = self.result
        for name in names:
            parse_node(name)
            own = graph is not None and name in graph.senders and graph.reads[graph.senders.index(name)].any()
            if graph is not None and name not in graph.receivers and not own:
                raise ValueError(
                    f"{name} is no receiver of this model: receivers are heads, a0.h0<q>, <k> and <v>, m0 and logits. "
                    "Heads that share keys have the input of the first of them."
                )

    @action("back_to")
    def _on_back_to(self, id: str, step: Index) -> None:
        """Leave out the steps of the trail after one of them."""
        self._asking()
        self.trail = self.trail[: step + 1]

    @action("faithfulness_at")
    def _on_faithfulness_at(self, id: str, ablation: str, level: str, positions: str) -> Task | None:
        """Run circuits of every size under one of the ablations."""
        asker = self._asking()
        with asker.defer():
            self.setting = {"ablation": ablation, "level": level, "positions": positions}
            self.tab = "faithfulness"
        return asker.refresh(id, of="faithfulness")

    @action("run_again")
    def _on_run_again(self, id: str) -> Task | None:
        """Run what was cancelled, or failed, of what the open tab shows."""
        asker = self._asking()
        stopped = [name for name in self.wants() if asker.stopped(name)]
        return asker.again(*stopped, id=id) if stopped else asker.refresh(id)

    @action("path_mlps")
    def _on_path_mlps(self, id: str, mlps: str) -> Task | None:
        """Follow paths with MLPs frozen or recomputed."""
        self._set_together(id, {"mlps": mlps})
        return self._asking().refresh(id, of=_output(0))


@dataclass(frozen=True)
class Given:
    """A graph that the user gave, in the place of a call that computes one."""

    graph: Graph

    def steps(self) -> Iterator[Step[Graph]]:
        yield Step(1, 1, 0.0, self.graph.model_copy())

    def to_json(self) -> dict[str, Any]:
        return {"method": "edge_attribution", "params": {}}


def _output(step: int) -> str:
    """The name of a step of the trail among the panel's outputs."""
    return f"path {step}"


def _subject(result: Graph) -> PromptPair | PromptPairs | None:
    subject = subject_of(result.params)
    return None if isinstance(subject, str) else subject


def _path_to_wire(effects: EffectMap) -> dict[str, Any]:
    """One step of the trail: by sender, the part of the gap between the two prompts that it carries."""
    towards_clean = 1 if effects.params["direction"] == "denoise" else -1
    return {
        "id": effects.id,
        "receivers": effects.params["receivers"],
        "senders": effects.labels["sender"],
        "carried": encode_array(towards_clean * effects.normalized),
        "state": encode_array(effects.state),
        "seconds": effects.provenance.get("seconds"),
    }
