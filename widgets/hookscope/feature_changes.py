"""What the feature graph changes in the model itself: features scaled, set or switched off, and what that does."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import traitlets
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from interp_backend.language.interventions import Finite
from interp_backend.language.transcoders import Transcoders
from interp_backend.methods.feature_interventions import FROZEN, feature_interventions
from interp_backend.results.feature_effects import FeatureEffects
from interp_backend.results.step import Step
from interp_backend.service.protocol import BadRequest
from interp_backend.service.tasks import Task

from .asking import Want
from .menus import choices, field_of
from .panel import action
from .subject import ResultPanel
from .traits import Argument, checked, finite

MOST_CHANGED = 200


class NodeChange(BaseModel):
    """A change of a feature, or of all features of a supernode.

    Attributes:
        node: the name of either.
        scale: what the activations are multiplied by.
        value: what they are set to. Either this is given or `scale`.
        positions: "here", where the nodes are; "all", also in tokens that are generated; or which positions.
    """

    model_config = ConfigDict(extra="forbid")

    node: Annotated[str, Field(min_length=1, max_length=60)]
    scale: Finite | None = None
    value: Finite | None = None
    positions: Literal["here", "all"] | Annotated[list[int], Field(min_length=1, max_length=10_000)] = "here"

    @model_validator(mode="after")
    def _one_of_two(self) -> NodeChange:
        if (self.scale is None) == (self.value is None):
            raise ValueError("a change has a scale or a value, and not both")
        return self


CHANGES = TypeAdapter(list[NodeChange])
CHANGES_WORDS = 'A change is {"node": ..., "scale": ...} or {"node": ..., "value": ...}, and perhaps "positions".'


class FeatureChanges(ResultPanel):
    """The part of `FeatureGraph` that changes features."""

    changes = traitlets.List(traitlets.Dict(), help="What is changed in the model, by node.").tag(sync=True)
    frozen = Argument(feature_interventions, "frozen")
    generate = Argument(feature_interventions, "generate")
    seed = Argument(feature_interventions, "seed")
    temperature = traitlets.Float(0.0, help="0 takes the likeliest token each time.").tag(sync=True)
    effects: traitlets.Instance[FeatureEffects | None] = traitlets.Instance(
        FeatureEffects, allow_none=True, help="What the changes do to the next token."
    ).tag(sync=True, to_json=lambda effects, _: effects and effects.to_wire())

    _call_of_effects: Any = None

    if TYPE_CHECKING:  # of `FeatureGraph`
        result: Any
        pair: Any
        prompt: Any
        prepend_bos: Any
        supernodes: Any
        _last: int | None
        _transcoders: Transcoders | None

        def _show_code(self) -> None: ...
        def _awaits_another(self) -> bool: ...

    def _change_menus(self) -> dict[str, Any]:
        fields = {name: field_of(feature_interventions, name) for name in ("generate", "temperature", "seed")}
        return {"frozen": choices(FROZEN, {}), **fields}

    def _effects_call(self) -> Any:
        """The call for the changes; None without any, and while the graph is not whole."""
        graph: Any = self.result
        if not self.changes or graph is None or not graph.provenance.get("complete", True):
            return None
        try:
            changes = self._feature_changes(self.changes)
        except ValueError:
            return None  # they are for a graph that is about to come
        return feature_interventions.call(
            self.model,
            self.pair.clean if self.pair is not None else self.prompt,
            changes,
            self._transcoders,
            graph=graph,
            frozen=self.frozen,
            generate=self.generate,
            temperature=self.temperature,
            seed=self.seed,
            last=self._last,
            prepend_bos=self.prepend_bos if self.pair is None else self.pair.prepend_bos,
        )

    def _change_wants(self) -> dict[str, Want]:
        call = self._effects_call()
        return {} if call is None else {"effects": Want(call, partial(self._take_effects, call), keep=True, priority=2)}

    def _feature_changes(self, changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The changes as `feature_interventions` takes them.

        Raises:
            ValueError: one is of no feature and of no supernode of the graph.
        """
        graph = self.result.with_supernodes(self.supernodes)
        found: list[dict[str, Any]] = []
        for change in map(NodeChange.model_validate, changes):
            how = {"scale": change.scale} if change.scale is not None else {"value": change.value}
            several = graph.changes(change.node, **how)
            if change.positions != "here":
                where = None if change.positions == "all" else tuple(change.positions)
                several = [{**one, "position": where} for one in several]
                several = [*{(one["layer"], one["feature"]): one for one in several}.values()]
            found += several
        return found

    def _take_effects(self, call: Any, id: str, step: Step[FeatureEffects]) -> None:
        if step.result is not None:
            step.result.id = id
            self._call_of_effects = call
            self.effects = step.result.model_copy()
            self._show_code()

    def _code_of_changes(self) -> str:
        """Code for the effects, after that of the graph."""
        effects: Any = self.effects
        return "" if effects is None else "result = " + self._code_of(effects).split("\nresult = ", 1)[-1]

    def _drop_changes(self, known: Container[str]) -> None:
        """Take back the changes of nodes that are gone."""
        gone = [one["node"] for one in self.changes if one["node"] not in known and one["node"] not in self.supernodes]
        if gone:
            self.changes = [one for one in self.changes if one["node"] not in gone]
            self.fail(f"{gone[0]} is not in this graph, so its change was taken back.", "changes")

    def _change_members(self, before: Mapping[str, list[str]]) -> None:
        """Let a change of a supernode that was opened be one of each of its nodes, and run changes of others again."""
        several: list[dict[str, Any]] = []
        for one in self.changes:
            opened = one["node"] in before and one["node"] not in self.supernodes
            several += [{**one, "node": id} for id in before[one["node"]]] if opened else [one]
        several = [*{one["node"]: one for one in several}.values()]  # a node has one change, as in the view
        if several != self.changes:
            self.changes = several
        else:
            self._ask_for_effects()

    @traitlets.validate("changes")
    def _valid_changes(self, proposal: Any) -> list[dict[str, Any]]:
        changes: Any = proposal["value"]
        checked(lambda: CHANGES.validate_python(changes), CHANGES_WORDS)
        if not self._awaits_another():
            checked(lambda: self._feature_changes(changes))
        return changes

    @traitlets.validate("temperature")
    def _valid_temperature(self, proposal: Any) -> float:
        if not 0 <= finite(proposal) <= 99:
            raise traitlets.TraitError(f"The temperature is a number from 0 to 99, not {proposal['value']:g}.")
        return proposal["value"]

    @traitlets.observe("changes", "frozen", "generate", "temperature", "seed")
    def _on_changes(self, change: Any) -> None:
        self._ask_for_effects()
        self._show_code()

    def _ask_for_effects(self) -> None:
        """Ask for the effects if those that are shown are of another call."""
        if self.effects is not None and self._effects_call() != self._call_of_effects:
            self.effects = None
        if self._asker is not None:
            self._asker.refresh()

    @action("intervene")
    def _on_intervene(
        self,
        id: str,
        changes: Annotated[list[NodeChange], Field(max_length=MOST_CHANGED)],
        frozen: str = "nothing",
        generate: int = 0,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Task | None:
        """Change features in the model's own run; no changes put the last effects away."""
        asker = self._asking()
        plain = [change.model_dump(mode="json", exclude_none=True) for change in changes]
        if self.result is not None:
            self._feature_changes(plain)  # refuses what is no node of the graph
        drawn = {"generate": generate, "temperature": temperature, "seed": seed}
        shown = self.effects
        try:
            with asker.defer():
                self._set_together(id, {"frozen": frozen, **drawn, "changes": plain})
        except BadRequest:
            self.effects = shown  # what was accepted before the refusal had put them away
            raise
        task = asker.refresh(id, of="effects")
        if self.result is not None:
            self._drop_changes(self.result._index)  # another graph may have come since they were accepted
        return task
