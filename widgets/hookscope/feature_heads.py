"""What the feature graph says of an edge: which heads carried it, and what made a head look where it looked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import traitlets
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interp_backend.language.transcoders import Transcoders
from interp_backend.methods.edge_heads import EdgeHeads, ScoreFeatures, edge_heads, score_features
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .panel import Index, action
from .subject import ResultPanel

MOST_ROWS = 40  # heads of an edge, and features of a side of a score, that a view is sent
Node = Annotated[str, Field(max_length=60)]


class Edge(BaseModel):
    """An edge of the graph.

    Attributes:
        source, target: the names of its nodes.
        head: the layer and the number of one of the heads that carried it.
    """

    model_config = ConfigDict(extra="forbid")

    source: Node
    target: Node
    head: tuple[Index, Index] | None = None


class FeatureHeads(ResultPanel):
    """The part of `FeatureGraph` that opens an edge into heads."""

    edge: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="The edge that is opened into heads, perhaps with one of its heads, or None."
    ).tag(sync=True)
    heads: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="Which heads carried the opened edge, the largest first."
    ).tag(sync=True)
    score: traitlets.Instance[dict[str, Any] | None] = traitlets.Instance(
        dict, allow_none=True, help="What made the opened head look where it looked, the largest first."
    ).tag(sync=True)

    if TYPE_CHECKING:  # of `FeatureGraph`
        result: Any
        pair: Any
        prompt: Any
        prepend_bos: Any
        _last: int | None
        _transcoders: Transcoders | None

        def _show_code(self) -> None: ...
        def _known_nodes(self, names: Any) -> list[str]: ...
        def _awaits_another(self) -> bool: ...

    def _head_wants(self) -> dict[str, Want]:
        edge: Any = self.edge
        if edge is None or self.result is None or not {edge["source"], edge["target"]} <= set(self.result.ids):
            return {}
        call = edge_heads.call(self.model, *self._subject_of_heads(), **self._ends(), **self._how_of_heads())
        wants = {"heads": Want(call, self._take_heads, keep=True, priority=2, aside=True)}
        if "head" in edge:
            call = score_features.call(self.model, *self._subject_of_heads(), **self._look(), **self._how_of_heads())
            wants["score"] = Want(call, self._take_score, keep=True, priority=2, aside=True)
        return wants

    def _subject_of_heads(self) -> tuple[str, Transcoders | None]:
        return (self.prompt if self.pair is None else self.pair.clean), self._transcoders

    def _how_of_heads(self) -> dict[str, Any]:
        begins = self.prepend_bos if self.pair is None else self.pair.prepend_bos
        return {"last": self._last, "prepend_bos": begins}

    def _ends(self) -> dict[str, str]:
        edge: Any = self.edge
        return {"source": edge["source"], "target": edge["target"]}

    def _look(self) -> dict[str, int]:
        """The last head on the way of an edge looks from its target's position, and from there at its source's."""
        edge: Any = self.edge
        source, target = (self.result.node(edge[end]) for end in ("source", "target"))
        query = len(self.result.prompt.tokens) - 1 if target.position is None else target.position
        layer, head = edge["head"]
        return {"layer": layer, "head": head, "query": query, "key": source.position}

    def _take_heads(self, id: str, step: Step[EdgeHeads]) -> None:
        if step.result is not None:
            self.heads = heads_to_json(step.result)
            self._show_code()

    def _take_score(self, id: str, step: Step[ScoreFeatures]) -> None:
        if step.result is not None:
            self.score = score_to_json(step.result)
            self._show_code()

    def _code_of_heads(self) -> str:
        """Code for the heads of the opened edge, after that of the graph."""
        wants = self._head_wants() if self._asker is not None else {}
        known = {"heads": self.heads, "score": self.score}
        code = ""
        for name, want in wants.items():
            if known[name] is not None:
                call = want.call.to_json()
                made = want.call.method.code(call["params"], self.model and self.model.code)
                made = made.split("\nresult = ", 1)[-1].removesuffix("result.plot()\n")
                code += f"{name} = {made}print({name})\n"
        return code

    @traitlets.validate("edge")
    def _valid_edge(self, proposal: Any) -> dict[str, Any] | None:
        if proposal["value"] is None:
            return None
        try:
            edge = Edge.model_validate(proposal["value"])
        except ValidationError:
            raise traitlets.TraitError(
                'An edge is {"source": ..., "target": ...}, the names of two nodes, and perhaps "head": [layer, head].'
            ) from None
        found = edge.model_dump(mode="json", exclude_none=True)
        if not self._awaits_another():
            self._check_edge(found)
        return found

    def _check_edge(self, edge: Any) -> None:
        """Raise TraitError for an edge that the graph on the screen can't have."""
        if edge is None:
            return
        self._known_nodes([edge["source"], edge["target"]])
        source, target = self.result.node(edge["source"]), self.result.node(edge["target"])
        if source.kind in ("bias", "logit"):
            raise traitlets.TraitError("Biases and logits come through no head. Open the edge of another node.")
        if target.kind not in ("feature", "logit"):
            raise traitlets.TraitError("Only features and logits read. Open an edge into one of these.")
        layers = (source.layer is None or target.kind == "logit") or source.layer < target.layer
        if not layers or source.position > target.position:
            raise traitlets.TraitError(f"No edge leads from {edge['source']} to {edge['target']}, which is earlier.")

    @traitlets.observe("edge")
    def _on_edge(self, change: Any) -> None:
        old, new = change["old"] or {}, change["new"] or {}
        if any(old.get(end) != new.get(end) for end in ("source", "target")):
            self.heads = None
        self.score = None
        if self._asker is not None:
            self._asker.refresh()
            self._show_code()

    @action("open_edge")
    def _on_open_edge(
        self, id: str, source: Node, target: Node, head: tuple[Index, Index] | None = None
    ) -> Task | None:
        """Tell which heads carried an edge, and of one of them what made it look there."""
        asker = self._asking()
        edge = {"source": source, "target": target, **({} if head is None else {"head": list(head)})}
        self._check_edge(edge)
        with asker.defer():
            self.edge = edge
        return asker.refresh(id, of="heads" if head is None else "score")

    @action("close_edge")
    def _on_close_edge(self, id: str) -> None:
        """Put the heads of the opened edge away."""
        self._asking()
        self.edge = None


def heads_to_json(found: EdgeHeads) -> dict[str, Any]:
    """The largest heads of an edge, and what all others add."""
    named = [([int(layer), int(head)], float(value)) for (layer, head), value in np.ndenumerate(found.heads)]
    rows, others = _largest(named)
    ends = {"source": found.source, "target": found.target}
    return {**ends, "edge": _finite(found.edge), "direct": _finite(found.direct), "heads": rows, "others": others}


def score_to_json(found: ScoreFeatures) -> dict[str, Any]:
    """The largest parts of a score on each side, and what all others add."""
    sides = {}
    for side, parts, bias in (
        ("query", found.of_query, found.query_bias),
        ("key", found.of_key, found.key_bias),
    ):
        rows, others = _largest(parts.items())
        sides[f"of_{side}"] = {"rows": rows, "others": others, "bias": _finite(bias)}
    head = {"layer": found.layer, "head": found.head, "query": found.query, "key": found.key}
    return {**head, "score": _finite(found.score), **sides}


def _largest(parts: Iterable[tuple[Any, float]]) -> tuple[list[list[Any]], float]:
    """The largest parts that are not zero, each with its name, and the sum of the others."""
    rows = sorted(([name, _finite(value)] for name, value in parts if value), key=lambda row: -abs(row[1]))
    return rows[:MOST_ROWS], sum((value for _, value in rows[MOST_ROWS:]), 0.0)


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("This edge has no finite numbers: the model's own run on this prompt is not finite.")
    return float(value)
