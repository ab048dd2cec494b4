"""A circuit that is kept, or read from a file, to compare others with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import traitlets
from pydantic import Field

from interp_backend.results.graph import Graph

from .acdc_tab import MOST_EDGES
from .panel import action
from .subject import ResultPanel

Text = Annotated[str, Field(max_length=20_000_000)]
Named = Annotated[str, Field(max_length=200)]


class KeptCircuit(ResultPanel):
    """The part of `CircuitGraph` that compares two circuits."""

    kept: traitlets.Instance[Graph | None] = traitlets.Instance(
        Graph, allow_none=True, help="The circuit that others are compared with."
    ).tag(sync=True, to_json=lambda kept, _: kept and kept.names)
    kept_name = traitlets.Unicode(help="What the kept circuit is called.").tag(sync=True)
    shows = traitlets.Enum(
        ["circuit", "kept", "difference"],
        "circuit",
        help="What the view shows: the circuit, the kept one, or the edges that only one of them has.",
    ).tag(sync=True, set_by_view=True)

    areas = traitlets.Dict(
        help="The area under the ROC curve of ACDC's and of attribution's scores, if the kept circuit is the truth."
    ).tag(sync=True)

    if TYPE_CHECKING:  # of `CircuitGraph`
        acdc: Any
        source: Any
        result: Any

        def _of_screen(self) -> Graph: ...

    def keep(self, circuit: Graph | None = None, name: str = "") -> None:
        """Keep a circuit, to compare others with it, or to run it in other tabs.

        Args:
            circuit: a graph of this model with some edges chosen; by default the circuit on the screen.
            name: what the view calls it.

        Raises:
            ValueError: there is no result yet, or the circuit is of another model, or it has no edges or too many.
        """
        kept = self._of_screen() if circuit is None else circuit
        self._shown().jaccard(kept)  # refuses a circuit of another model
        if not 0 < kept.size <= MOST_EDGES:
            raise ValueError(f"A circuit to compare with has 1 to {MOST_EDGES} edges, and this one has {kept.size:,}.")
        with self.hold_trait_notifications():
            self.kept, self.kept_name = kept, name or f"{kept.size} edges"

    def drop_kept(self) -> None:
        """Forget the kept circuit."""
        if self.source == "kept":
            self.source = "edges"
        self.kept, self.kept_name, self.shows = None, "", "circuit"

    @traitlets.observe("kept", "acdc", "result")
    def _on_truth(self, change: Any) -> None:
        kept, sweep = self.kept, self.acdc
        self.areas = {}
        if kept is None or kept.size == kept.edges:
            return  # a circuit of all edges tells none apart
        if self.result is not None:
            self.areas = {"attribution": self.result.roc(kept).auc}
        # A search that was stopped has scores for some edges alone.
        if sweep is not None and len(sweep.thresholds) > 1 and sweep.provenance.get("complete"):
            self.areas = {**self.areas, "acdc": sweep.roc(kept).auc}

    @action("keep_circuit")
    def _on_keep_circuit(self, id: str) -> None:
        """Keep the circuit on the screen."""
        self._asking()
        self.keep()

    @action("read_circuit")
    def _on_read_circuit(self, id: str, text: Text, name: Named = "") -> None:
        """Keep the circuit in the text of a file."""
        self._asking()
        self.keep(self._shown().read_circuit(text), name)

    @action("drop_circuit")
    def _on_drop_circuit(self, id: str) -> None:
        """Forget the kept circuit."""
        self._asking()
        self.drop_kept()
