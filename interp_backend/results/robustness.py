"""How much the faithfulness of one circuit depends on how everything else is ablated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import model_validator

from .codec import Ints, encode_array
from .envelope import BaseResult
from .metric_values import PairValues

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture


class Robustness(BaseResult):
    """What `circuit_robustness` returns: the faithfulness of one circuit under several ablations.

    Faithfulness f is that of `Faithfulness`: 1 where the circuit gives the model's own metric, and 0 where it gives
    that of a run in which everything is ablated in the same way. Over pairs it is a ratio of means.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        ablations: what the edges outside the circuit carry, as in `faithfulness`.
        levels: whether the circuit is one of edges or of the nodes that they leave.
        positions: where the edges outside are ablated.
        values: by ablation and positions the metric, [pair, level, 2], of the circuit and of everything but it; its
            `clean` is the model's own, its `corrupt` that of the run in which everything is ablated so. NaN where it
            has not been run, or can't be.
        counts, totals: how many edges and nodes the circuit has, and how many the model has, [level].
        reasons: why there is no f for an ablation or for some positions, a sentence by its name.
        metric_label: the metric in words.
    """

    derived = BaseResult.derived | {"circuit", "complement", "low", "high", "complement_low", "complement_high"}

    family: Literal["robustness"] = "robustness"
    method: Literal["circuit_robustness"] = "circuit_robustness"
    ablations: list[str]
    levels: list[str]
    positions: list[str]
    values: dict[str, dict[str, PairValues]]
    counts: Ints
    totals: Ints
    reasons: dict[str, str]
    metric_label: str

    @model_validator(mode="after")
    def _makes_sense(self) -> Robustness:
        every = (self.ablations, self.levels, self.positions)
        if any(not names or len(set(names)) < len(names) for names in every):
            raise ValueError("ablations, levels and positions are names, each once")
        inner = [set(self.values.get(ablation, {})) for ablation in self.ablations]
        if set(self.values) != set(self.ablations) or any(names != set(self.positions) for names in inner):
            raise ValueError("values are by ablation and positions, one for each of them")
        wanted = (len(self.levels), 2)
        if any(one.values.shape[1:] != wanted for some in self.values.values() for one in some.values()):
            raise ValueError(f"values are [pair, level, 2], [..., {wanted[0]}, 2]")
        if len({len(one.labels) for some in self.values.values() for one in some.values()}) > 1:
            raise ValueError("all values are of the same pairs")
        if self.counts.shape != self.totals.shape or self.counts.shape != (len(self.levels),):
            raise ValueError("counts and totals are [level]")
        return self

    # Faithfulness, [ablation, level, positions]

    @property
    def circuit(self) -> np.ndarray:
        """The faithfulness of the circuit, [ablation, level, positions]; NaN where it is unknown."""
        return self._each("mean")[..., 0]

    @property
    def complement(self) -> np.ndarray:
        """The faithfulness of everything but the circuit, [ablation, level, positions]."""
        return self._each("mean")[..., 1]

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% bootstrap interval of `circuit` over pairs, [ablation, level, positions] each; NaN for one pair."""
        return self._each("low")[..., 0], self._each("high")[..., 0]

    @property
    def complement_interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of `complement`."""
        return self._each("low")[..., 1], self._each("high")[..., 1]

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the largest faithfulness of the circuit; NaN if none is known."""
        known = self.circuit[np.isfinite(self.circuit)]
        return (float(known.min()), float(known.max())) if known.size else (float("nan"), float("nan"))

    def of(self, ablation: str, level: str, positions: str) -> tuple[float, float]:
        """The faithfulness of the circuit, and of everything but it.

        Raises:
            ValueError: there is no such ablation, level or choice of positions.
        """
        at = []
        for noun, name, names in zip(
            ("ablation", "level", "choice of positions"), (ablation, level, positions), self._axes
        ):
            if name not in names:
                raise ValueError(f"There is no {noun} {name!r:.40} here. Choose one of {', '.join(names)}.")
            at.append(names.index(name))
        return float(self.circuit[tuple(at)]), float(self.complement[tuple(at)])

    @property
    def _axes(self) -> tuple[list[str], list[str], list[str]]:
        return self.ablations, self.levels, self.positions

    def _each(self, which: str) -> np.ndarray:
        """A number of each run's values, [ablation, level, positions, 2]."""
        of = {"mean": lambda one: one.mean, "low": lambda one: one.interval[0], "high": lambda one: one.interval[1]}
        made = [[of[which](self.values[a][p]) for p in self.positions] for a in self.ablations]
        return np.stack([np.stack(one, 1) for one in made])

    # Ways out

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each ablation, level and choice of positions, with f of the circuit and of everything else, and
        the ends of their intervals: ablation, level, positions, circuit, low, high, complement, complement_low,
        complement_high."""
        import pandas

        names = [np.array(one, dtype=object) for one in self._axes]
        index = [one.ravel() for one in np.indices(self.circuit.shape)]
        columns = dict(zip(("ablation", "level", "positions"), (one[at] for one, at in zip(names, index))))
        return pandas.DataFrame({**columns, **{name: one.ravel() for name, one in self._derived().items()}})

    def _derived(self) -> dict[str, np.ndarray]:
        (low, high), (complement_low, complement_high) = self.interval, self.complement_interval
        return {
            "circuit": self.circuit,
            "low": low,
            "high": high,
            "complement": self.complement,
            "complement_low": complement_low,
            "complement_high": complement_high,
        }

    def to_wire(self) -> dict[str, Any]:
        return {**super().to_wire(), **{name: encode_array(one) for name, one in self._derived().items()}}

    def plot(self) -> Picture:
        """The faithfulness of the circuit, ablations and levels upwards, positions to the right. Needs matplotlib."""
        from .pictures import heatmap

        return heatmap(
            self.circuit,
            signs=np.full(self.circuit.shape, ""),
            axes=("ablation", "level", "positions"),
            labels=self._axes,
            title="faithfulness of one circuit",
            reach=1.0,
        )

    def headline(self) -> str:
        sizes = [f"{count} of {total} {level}s" for count, total, level in zip(self.counts, self.totals, self.levels)]
        return f"faithfulness of one circuit, {', '.join(sizes)}, {self.metric_label}"

    def summary(self) -> Iterator[str]:
        low, high = self.spread
        done = max(one.done for some in self.values.values() for one in some.values())
        pairs = "one pair" if done == 1 else f"{done} pairs"
        if np.isfinite(low):
            known, every = int(np.isfinite(self.circuit).sum()), self.circuit.size
            yield f"{pairs}; f from {low:+.3f} to {high:+.3f} over {known} of {every} ablations"
        yield f"f of the circuit (and of everything else); ablated at {', '.join(self.positions)}"
        for ablation, some, rest in zip(self.ablations, self.circuit, self.complement):
            if ablation in self.reasons:
                yield f"  {ablation}: {self.reasons[ablation]}"
                continue
            for level, f, other in zip(self.levels, some, rest):
                cells = "  ".join(f"{a:+.3f} ({b:+.3f})" for a, b in zip(f, other))
                yield f"  {ablation:<14} {level:<5} {cells}"
        for name in self.positions:
            if name in self.reasons:
                yield f"  {name}: {self.reasons[name]}"
