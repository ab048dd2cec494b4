"""How much of the loss is left when everything is resampled that a hypothesis says doesn't matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import model_validator

from .codec import Ints, encode_array, finite_or_none
from .envelope import BaseResult, excerpt
from .hypothesis import Datum, Hypothesis, TreeNode, as_hypothesis
from .metric_values import PairValues

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SCRUBBED, CONSTANT, FIRST_NODE = 0, 1, 2  # what the columns of `values` are; the nodes follow
MOST_SUMMARISED = 12  # nodes in a printed result


class Scrubbing(BaseResult):
    """What `causal_scrubbing` returns: the metric in scrubbed runs, between that of the model and of shuffled outputs.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        scrubbed: the hypothesis as JSON values; `hypothesis` is the hypothesis itself.
        data: the data, in their order.
        values: the metric, [datum, 2 + node]: of the scrubbed runs (the mean over samples), of the best output that is
            the same for all data, and of the runs in which one node is not scrubbed. `clean` is that of the model, and
            `corrupt` that of the model's outputs on other data. NaN where it has not been run.
        nodes: the nodes that are left unscrubbed, each alone.
        tree: the hypothesis unfolded: a node for each time that one is read.
        sources: [sample, node of the tree, datum]: the datum that stood in for each datum at that node.
        metric_label: the metric in words.
    """

    derived = BaseResult.derived | {
        *("recovered", "low", "high", "constant", "baselines", "done"),
        *("shares", "share_low", "share_high"),
    }

    family: Literal["scrubbing"] = "scrubbing"
    method: Literal["causal_scrubbing"] = "causal_scrubbing"
    scrubbed: dict[str, Any]
    data: list[Datum]
    values: PairValues
    nodes: list[str]
    tree: list[TreeNode]
    sources: Ints
    metric_label: str

    @model_validator(mode="after")
    def _makes_sense(self) -> Scrubbing:
        as_hypothesis(self.scrubbed)
        count = len(self.data)
        if self.values.values.shape != (count, FIRST_NODE + len(self.nodes)):
            raise ValueError(f"values are [datum, 2 + node], [{count}, {FIRST_NODE + len(self.nodes)}]")
        if self.sources.ndim != 3 or self.sources.shape[1:] != (len(self.tree), count) or not len(self.sources):
            raise ValueError(f"sources are [sample, node of the tree, datum], [..., {len(self.tree)}, {count}]")
        if self.sources.size and not 0 <= self.sources.min() <= self.sources.max() < count:
            raise ValueError("sources are numbers of data")
        if any(not -1 <= one.reader < i for i, one in enumerate(self.tree)):
            raise ValueError("every node of the tree comes after the one that reads it")
        return self

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis; functions by their names."""
        return as_hypothesis(self.scrubbed)

    # Per cent of the loss

    @property
    def recovered(self) -> float:
        """The scrubbed runs' per cent: 100 is the model, 0 are shuffled outputs. A ratio of means over data."""
        return float(100 * self.values.mean[SCRUBBED])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% bootstrap interval of `recovered` over data; NaN for fewer than two."""
        low, high = self.values.interval
        return float(100 * low[SCRUBBED]), float(100 * high[SCRUBBED])

    @property
    def constant(self) -> float:
        """The per cent that the best constant output reaches."""
        return float(100 * self.values.mean[CONSTANT])

    @property
    def baselines(self) -> dict[str, float | None]:
        """The mean metric of the model, of the scrubbed runs, of shuffled outputs, and of the best constant output."""
        done = self._done
        columns = {
            "model": self.values.clean,
            "scrubbed": self.values.values[:, SCRUBBED],
            "shuffled": self.values.corrupt,
            "constant": self.values.values[:, CONSTANT],
        }
        of = {name: np.array(one, np.float64)[done] for name, one in columns.items()}
        return {name: finite_or_none(float(one.mean())) if done.any() else None for name, one in of.items()}

    @property
    def done(self) -> int:
        """How many data have been scrubbed."""
        return int(self._done.sum())

    @property
    def _done(self) -> np.ndarray:
        return np.isfinite(self.values.values[:, SCRUBBED])

    @property
    def shares(self) -> np.ndarray:
        """By how many per cent `recovered` grows if one node is not scrubbed, [node]."""
        return 100 * self._gains.mean

    @property
    def share_interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% bootstrap interval of `shares` over data, [node] each."""
        low, high = self._gains.interval
        return 100 * low, 100 * high

    @property
    def _gains(self) -> PairValues:
        """What leaving one node unscrubbed adds, as if to shuffled outputs."""
        shuffled = np.array(self.values.corrupt, np.float64)[:, None]
        added = self.values.values[:, FIRST_NODE:] - self.values.values[:, [SCRUBBED]] + shuffled
        return self.values.model_copy(update={"values": added.astype(np.float32)})

    def stand_ins(self, datum: int, sample: int = 0) -> pandas.DataFrame:
        """Which data stood in for one, a row for each node of the tree: path, agrees, datum, text.

        Raises:
            ValueError: there is no such datum or sample.
        """
        import pandas

        for name, value, count in (("datum", datum, len(self.data)), ("sample", sample, len(self.sources))):
            if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= value < count:
                raise ValueError(f"{name} is a number from 0 to {count - 1}, not {value!r:.40}.")
        drawn = self.sources[sample, :, datum]
        rows = [(one.path, one.agrees, int(at), self.data[at].text) for one, at in zip(self.tree, drawn)]
        return pandas.DataFrame(rows, columns=["path", "agrees", "datum", "text"])

    # Ways out

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each kind of run (the model, the scrubbed ones, those with one node unscrubbed, the best constant
        output, shuffled outputs), with the mean metric, the per cent recovered and its interval: run, metric,
        recovered, low, high."""
        import pandas

        means, known = self.baselines, np.isfinite(self.values.values)
        recovered, (low, high) = 100 * self.values.mean, (100 * end for end in self.values.interval)
        rows: list[tuple[str, float | None, float, float, float]] = [("model", means["model"], 100.0, np.nan, np.nan)]
        for at, name in enumerate(["scrubbed", "constant", *(f"{node} unscrubbed" for node in self.nodes)]):
            metric = float(self.values.values[known[:, at], at].mean()) if known[:, at].any() else None
            rows.append((name, metric, float(recovered[at]), float(low[at]), float(high[at])))
        rows.append(("shuffled", means["shuffled"], 0.0, np.nan, np.nan))
        return pandas.DataFrame(rows, columns=["run", "metric", "recovered", "low", "high"])

    def to_wire(self) -> dict[str, Any]:
        return {**super().to_wire(), **self._numbers()}

    def to_view(self, most: int, draft: bool = False) -> dict[str, Any]:
        """What a view draws, without the metric of each datum.

        Args:
            most: how many stand-ins; where there are more, they are those of the first samples, or else of the first
                data.
            draft: none, nor the data, as long as the scrubbed runs are under way.
        """
        samples, nodes, count = self.sources.shape
        samples = max(1, min(samples, most // (nodes * count)))
        sources = self.sources[:samples, :, : max(1, most // (nodes * samples))]
        heavy = {"values", "sources", *(("data", "tree") if draft else ())}
        return {
            **self.model_dump(mode="json", exclude={*heavy, "params"}),
            "params": {name: one for name, one in self.params.items() if name not in ("hypothesis", "data")},
            "complete": False,
            **({} if draft else {"sources": encode_array(np.ascontiguousarray(sources, np.int32))}),
            **self._numbers(),
        }

    def _numbers(self) -> dict[str, Any]:
        """What is derived from the metric of each datum."""
        (low, high), (share_low, share_high) = self.interval, self.share_interval
        numbers = {"recovered": self.recovered, "low": low, "high": high, "constant": self.constant}
        shares = {"shares": self.shares, "share_low": share_low, "share_high": share_high}
        return {
            **{name: finite_or_none(one) for name, one in numbers.items()},
            "baselines": self.baselines,
            "done": self.done,
            **{name: encode_array(np.asarray(one, np.float32)) for name, one in shares.items()},
        }

    def plot(self) -> Picture:
        """What is recovered, as bars: the model, the scrubbed runs, those with one node unscrubbed, the best constant
        output and shuffled outputs. Needs matplotlib."""
        from .pictures import BarPanel, bar_panels

        table = self.to_dataframe()
        recovered, low, high = (table[name].to_numpy(float) for name in ("recovered", "low", "high"))
        return bar_panels([BarPanel(self.headline(), list(table["run"]), recovered, low, high)])

    def headline(self) -> str:
        return f"causal scrubbing, {self.recovered:.1f}% of {self.metric_label} recovered"

    def summary(self) -> Iterator[str]:
        (low, high), means = self.interval, self.baselines
        samples = "one sample" if len(self.sources) == 1 else f"{len(self.sources)} samples"
        many = f"{len(self.data)} data, {samples} of each, {len(self.tree)} nodes of the tree"
        yield f"{many}; recovered {self.recovered:.1f}% [{low:.1f}, {high:.1f}]"
        said = [f"{name} {value:.3f}" for name, value in means.items() if value is not None]
        yield f"{', '.join(said)}; the best constant output recovers {self.constant:.1f}%"
        for node, share in list(zip(self.nodes, self.shares))[:MOST_SUMMARISED]:
            yield f"  {share:+.1f}%  if {node} is not scrubbed"
        if self.data:
            yield f"the first datum: {excerpt(self.data[0].text, 60)}"
