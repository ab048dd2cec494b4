"""What the feature graph says of a pinned feature: what it writes and reads, where it is active, its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import traitlets
from pydantic import Field

from interp_backend.language.transcoders import Transcoders
from interp_backend.methods.describe_feature import describe_feature
from interp_backend.results.feature_description import FeatureDescription
from interp_backend.results.step import Step

from .asking import Want
from .panel import Index, action
from .subject import ResultPanel

MOST_NAMES = 2000


class FeatureCard(ResultPanel):
    """The part of `FeatureGraph` that describes the pinned feature."""

    names = traitlets.Dict(help='What features are called, by "layer/feature".').tag(sync=True)
    description: traitlets.Instance[FeatureDescription | None] = traitlets.Instance(
        FeatureDescription, allow_none=True, help="What the pinned feature writes and reads, and its examples."
    ).tag(sync=True, to_json=lambda description, _: description and description.to_wire())

    if TYPE_CHECKING:  # of `FeatureGraph`
        pinned: Any
        result: Any
        prepend_bos: Any
        _texts: str | Sequence[str] | None
        _transcoders: Transcoders | None

        def _show_code(self) -> None: ...

    def _card_wants(self) -> dict[str, Want]:
        if self.pinned is None or self.result is None or self.pinned not in self.result._index:
            return {}
        node = self.result.node(self.pinned)
        if node.kind != "feature":
            return {}
        call = describe_feature.call(
            self.model, node.layer, node.feature, self._texts, self._transcoders, prepend_bos=self.prepend_bos
        )
        return {"description": Want(call, self._take_description, keep=True, priority=2)}

    def _take_description(self, id: str, step: Step[FeatureDescription]) -> None:
        if step.result is not None:
            step.result.id = id
            self.description = step.result.model_copy()
            self._show_code()

    def _drop_card(self) -> None:
        self.description = None

    def _code_of_card(self) -> str:
        """Code for the description, after that of the graph."""
        description: Any = self.description
        return "" if description is None else "result = " + self._code_of(description).split("\nresult = ", 1)[-1]

    @action("name_feature")
    def _on_name_feature(
        self, id: str, layer: Index, feature: Index, name: Annotated[str, Field(max_length=200)]
    ) -> None:
        """Call a feature something; an empty name takes its name away."""
        names: Any = self.names
        if name and not name.isprintable():
            raise ValueError("A feature's name is printable.")
        if name and len(names) >= MOST_NAMES:
            raise ValueError(f"There can be {MOST_NAMES} names. Take some away.")
        key = f"{layer}/{feature}"
        others = {other: text for other, text in names.items() if other != key}
        self.names = {**others, key: name.strip()} if name.strip() else others
