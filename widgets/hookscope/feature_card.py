"""What the feature graph says of a pinned feature: what it writes and reads, where it is active, its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import traitlets
from pydantic import Field, TypeAdapter, ValidationError

from interp_backend.language.transcoders import Transcoders
from interp_backend.methods.describe_feature import describe_feature
from interp_backend.results.feature_description import FeatureDescription
from interp_backend.results.step import Step
from interp_backend.service.tasks import Task

from .asking import Want
from .panel import Index, action
from .subject import ResultPanel
from .traits import checked

MOST_NAMES = 2000
LONGEST_TEXTS = 2_000_000  # characters of all texts that a view sends: each is in a command, and in its undo
Called = Annotated[str, Field(max_length=200)]
NAMES = TypeAdapter(dict[Annotated[str, Field(pattern=r"^\d{1,4}/\d{1,9}$")], Called])


class FeatureCard(ResultPanel):
    """The part of `FeatureGraph` that describes the pinned feature."""

    names = traitlets.Dict(help='What features are called, by "layer/feature".').tag(sync=True)
    texts = traitlets.Union(  # not sent to views, which know from the description how many there are
        [traitlets.Unicode(), traitlets.List(traitlets.Unicode())],
        allow_none=True,
        default_value=None,
        help="A text or texts in which the pinned feature's strongest examples are looked for.",
    )
    description: traitlets.Instance[FeatureDescription | None] = traitlets.Instance(
        FeatureDescription, allow_none=True, help="What the pinned feature writes and reads, and its examples."
    ).tag(sync=True, to_json=lambda description, _: description and description.to_wire())

    if TYPE_CHECKING:  # of `FeatureGraph`
        pinned: Any
        result: Any
        prepend_bos: Any
        _transcoders: Transcoders | None

        def _show_code(self) -> None: ...

    def _card_wants(self) -> dict[str, Want]:
        if self.pinned is None or self.result is None or self.pinned not in self.result._index:
            return {}
        node = self.result.node(self.pinned)
        if node.kind != "feature":
            return {}
        call = describe_feature.call(
            self.model, node.layer, node.feature, self.texts, self._transcoders, prepend_bos=self.prepend_bos
        )
        return {"description": Want(call, self._take_description, keep=True, priority=2)}

    def _take_description(self, id: str, step: Step[FeatureDescription]) -> None:
        if step.result is not None:
            step.result.id = id
            self.description = step.result.model_copy()
            self._show_code()

    def _drop_card(self) -> None:
        """Forget the description if it is of another feature than the pinned node's."""
        description: Any = self.description
        graph: Any = self.result
        node = graph.node(self.pinned) if graph is not None and self.pinned in graph._index else None
        if description and not (node and (description.layer, description.feature) == (node.layer, node.feature)):
            self.description = None

    def _code_of_card(self) -> str:
        """Code for the description, after that of the graph."""
        description: Any = self.description
        return "" if description is None else "result = " + self._code_of(description).split("\nresult = ", 1)[-1]

    @traitlets.validate("names")
    def _valid_names(self, proposal: Any) -> dict[str, str]:
        return checked_names(proposal["value"])

    @traitlets.observe("texts")
    def _on_texts(self, change: Any) -> None:
        if self._asker is not None:
            self._asker.refresh()

    # Requests

    @action("name_feature")
    def _on_name_feature(self, id: str, layer: Index, feature: Index, name: Called) -> None:
        """Call a feature something; an empty name takes its name away."""
        names: Any = self.names
        self.names = {**names, f"{layer}/{feature}": name}

    @action("read_names")
    def _on_read_names(self, id: str, text: Annotated[str, Field(max_length=LONGEST_TEXTS)]) -> None:
        """Take names from JSON, such as {"2/40": "say a capital"}, beside those that there are."""
        names: Any = self.names
        try:
            read = NAMES.validate_json(text)
        except ValidationError:
            raise ValueError(NO_NAMES) from None
        self.names = {**names, **read}

    @action("read_texts")
    def _on_read_texts(self, id: str, texts: Annotated[list[str], Field(max_length=1000)]) -> Task | None:
        """Look for a feature's strongest examples in these texts; no texts put the last ones away."""
        asker = self._asking()
        if sum(map(len, texts)) > LONGEST_TEXTS:
            raise ValueError(
                f"A view reads {LONGEST_TEXTS:,} characters at most. Give longer texts in Python: view.texts = ..."
            )
        if texts and not any(text.strip() for text in texts):
            raise ValueError("There is nothing to read in this text. Paste one that has words.")
        with asker.defer():
            self.texts = texts or None
        return asker.refresh(id, of="description")


NO_NAMES = (
    'Names are JSON with a name for each "layer/feature", such as {"2/40": "say a capital"}, of at most 200 characters.'
)


def checked_names(given: Mapping[str, str]) -> dict[str, str]:
    """Names of features without spaces around them; empty ones are left out.

    Raises:
        TraitError: there are too many, or something is no name of a feature.
    """
    names = {key: name.strip() for key, name in checked(lambda: _names(given)).items()}
    if any(not name.isprintable() for name in names.values()):
        raise traitlets.TraitError("A feature's name is printable.")
    if len(names) > MOST_NAMES:
        raise traitlets.TraitError(f"There can be {MOST_NAMES} names. Take some away.")
    return {key: name for key, name in names.items() if name}


def _names(given: Any) -> dict[str, str]:
    try:
        return NAMES.validate_python(given)
    except ValidationError:
        raise ValueError(NO_NAMES) from None
