"""Through how many features the influence on the logits flows: how deep an attribution graph is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .influence import Flow

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture


@dataclass(frozen=True, eq=False)
class PathLengths:
    """All paths to the logits, by the number of features on them. The three arrays together sum to 1.

    A path counts by the product of its edges, each as a share of what enters its target, times the probability of its
    logit: it is what influence is a sum of.

    Attributes:
        inputs: the share of the paths that begin at tokens and positions, [number of features].
        errors: the share of those that begin at errors: nobody knows how deep what a transcoder misses is.
        unknown: the share of those that begin at features that are not in the graph, or whose own edges are not.
    """

    inputs: np.ndarray
    errors: np.ndarray
    unknown: np.ndarray

    @classmethod
    def of(cls, flow: Flow, inputs: np.ndarray, errors: np.ndarray) -> PathLengths:
        """Follow all paths down from the logits at once, one edge at a time.

        Args:
            inputs, errors: which nodes are tokens or positions, and which are errors, [node].
        """
        here = flow.weights / flow.weights.sum()  # the share of all paths that have come to each node
        sizes, width = np.maximum(flow.sizes, 1e-30), flow.edges.shape[1]
        edges, found = np.abs(flow.edges), []
        while (whole := float(here.sum())) > 0:
            before = np.zeros(len(here))
            before[:width] = (here[flow.node] / sizes) @ edges
            found.append((before[inputs].sum(), before[errors].sum(), max(0.0, whole - float(before.sum()))))
            here = np.where(inputs | errors, 0.0, before)
        return cls(*np.array(found).T)

    @property
    def mean(self) -> float:
        """The mean number of features on the paths that begin at tokens and positions; NaN if there are none."""
        whole = float(self.inputs.sum())
        return float(np.arange(len(self.inputs)) @ self.inputs) / whole if whole else float("nan")

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each number of features: the shares of paths from inputs, from errors and from the unknown."""
        import pandas

        columns = {"inputs": self.inputs, "errors": self.errors, "unknown": self.unknown}
        return pandas.DataFrame(columns, index=pandas.RangeIndex(len(self.inputs), name="features"))

    def plot(self) -> Picture:
        """The share of paths from inputs and from errors, by the number of features on them. Needs matplotlib."""
        from .pictures import BarPanel, bar_panels

        counts = [str(count) for count in range(len(self.inputs))]
        parts = {"tokens and positions": self.inputs, "errors": self.errors}
        return bar_panels(
            [BarPanel(f"share of paths from {name}, by features on them", counts, one) for name, one in parts.items()]
        )

    def __repr__(self) -> str:
        shares = ", ".join(f"{count}: {share:.1%}" for count, share in enumerate(self.inputs))
        ends = f"{self.errors.sum():.1%} from errors, {self.unknown.sum():.1%} unknown"
        return f"PathLengths(mean {self.mean:.2f} features from inputs; {shares}; {ends})"
