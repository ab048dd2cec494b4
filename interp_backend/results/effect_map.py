"""A number for each place in a model: what activation patching and its relatives return."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ..place import Place, PlaceLike, Side, as_place
from .agreement import Agreement, agreement
from .codec import Bytes, Floats, Ints, encode_array
from .difference import (
    DIFFERENCE_SCALE,
    Term,
    difference_headline,
    how_words,
    metric_words,
    names_of,
    patched_words,
    refuse_unlike,
    shared_provenance,
)
from .envelope import BaseResult, Record, shape_words
from .graph import parse_node
from .metric_values import MetricValues, PairValues, normalize, scale_text
from .sides import AnsweredPrompt, across, indices, refuse_odd_counterparts

if TYPE_CHECKING:
    import pandas

    from .pictures import Picture

SUMMARISED = 8  # cells in a printed result
LEAST_REACH = 0.1  # of the colours of a difference: smaller ones stay pale
TOGETHER = " + "  # between senders that are patched in one run


class CellState(IntEnum):
    """What is known of a cell of an `EffectMap`.

    UNCHANGED is a cell that was not run, because nothing that the metric reads can change: the two activations are
    equal, or come after the position that is read. Its value is exactly the base run's. NO_COUNTERPART is a cell that
    was not run, because the other prompt has no token there, or the layer no such neuron. ESTIMATE is a cell that was
    not run: its value is the base run's plus an effect that was estimated from gradients.
    """

    NOT_COMPUTED = 0
    COMPUTED = 1
    UNCHANGED = 2
    NO_COUNTERPART = 3
    ESTIMATE = 4

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


NOT_COMPUTED, COMPUTED, UNCHANGED, NO_COUNTERPART, ESTIMATE = CellState


class TopTokens(Record):
    """The likeliest next tokens: `ids`, `logits` and `probs`, each [..., k], likeliest first."""

    ids: Ints
    logits: Floats
    probs: Floats

    @model_validator(mode="after")
    def _shapes_agree(self) -> TopTokens:
        if not self.ids.shape == self.logits.shape == self.probs.shape or self.ids.ndim == 0:
            raise ValueError("likely tokens have ids, logits and probabilities of one shape, [..., k]")
        return self


class EffectMap(BaseResult):
    """A metric of many patched runs, one for each place in the model.

    Attributes:
        method, params, id, provenance: see `BaseResult`.
        axes: the name of each axis of `values`, for example `("layer", "position")`.
        labels: for each axis, a text for each index.
        values: the metric's raw value in each cell, float32; NaN where nothing was computed.
        places: for each axis, what each index is in the model: the number of a layer, head, position (negative from
            the end), neuron or source position; a list of positions for a named set of them. See `place_of`.
        state: for each cell a `CellState`, uint8.
        baselines: the metric of the clean and of the corrupt run, unpatched; None where it is not finite.
        metric_label: the metric in words.
        prompts: "clean" and "corrupt", as they were run.
        counterparts: for each position of the patched prompt the corresponding position of the other prompt, or None;
            None if all positions correspond to themselves.
        unpatched: for each cell, how many of its positions were not patched, since the other prompt has no token
            there; None if all were patched.
        measures: every metric of the sweep by name, among them the metric whose values are in `values`; see
            `by_metric`.
        estimates: raw values of the metric that were estimated from gradients, [*axes]; None if there are none. Cells
            that were run have both, so the two can be compared; see `agreement`.
        pairs: for a data set, the metric of every pair; `values` and `baselines` are then means.
        top: for each cell the likeliest tokens of the patched run, [*axes, k], if they were asked for.
        top_runs: the same for the clean and the corrupt run, [k].
        tokens: the text of every token id in `top` and `top_runs`.
        terms: of a difference that `minus` returned, the two maps: the first minus the second. Its labels, places,
            params and prompts are the first map's.
    """

    # "sweep" is what older versions of the heatmap called the id.
    derived = BaseResult.derived | {
        "normalized",
        "normalized_estimates",
        "agreement",
        "scale_text",
        "headline",
        "sweep",
    }

    family: Literal["effect_map"] = "effect_map"
    method: str = ""
    axes: tuple[str, ...]
    labels: dict[str, list[str]]
    values: Floats
    state: Bytes
    baselines: dict[str, float | None]
    metric_label: str
    prompts: dict[str, AnsweredPrompt]
    places: dict[str, list[int | list[int]]] = Field(default_factory=dict)
    counterparts: list[int | None] | None = None
    unpatched: Ints | None = None
    measures: dict[str, MetricValues] = Field(default_factory=dict)
    estimates: Floats | None = None
    pairs: PairValues | None = None
    top: TopTokens | None = None
    top_runs: dict[str, TopTokens] = Field(default_factory=dict)
    tokens: dict[int, str] = Field(default_factory=dict)
    terms: tuple[Term, Term] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> EffectMap:
        if not self.axes or len(set(self.axes)) != len(self.axes):
            raise ValueError("an effect map has one axis or more, each with a name of its own")
        if set(self.labels) != set(self.axes):
            raise ValueError(f"an effect map has labels for each of its axes, {', '.join(self.axes)}")
        if set(self.prompts) != {"clean", "corrupt"} or set(self.baselines) != {"clean", "corrupt"}:
            raise ValueError("prompts and baselines have to be those of the clean and the corrupt run")
        refuse_odd_counterparts(self.counterparts, self.prompts, self.patched_side)
        if not all(math.isfinite(value) for value in self.baselines.values() if value is not None):
            raise ValueError("a baseline is a finite number or null")
        if self.state.max(initial=0) > max(CellState):
            raise ValueError(f"the state of a cell is a number from 0 to {max(CellState)}")
        return self

    @model_validator(mode="after")
    def _shapes_agree(self) -> EffectMap:
        shape = tuple(len(self.labels.get(axis, ())) for axis in self.axes)
        if self.values.shape != shape or self.state.shape != shape:
            raise ValueError(f"values and state have to be shaped like the labels of the axes, {shape}")
        if any(len(self._numbers(axis)) != len(self.labels[axis]) for axis in self.axes):
            raise ValueError("places have to be as many as the labels of their axis")
        measured = [(part.values.shape, part.pairs) for part in self.measures.values()] + [(shape, self.pairs)]
        if any(s != shape or (p is not None and p.values.shape[1:] != shape) for s, p in measured):
            raise ValueError(f"every metric's values have to be shaped like the labels of the axes, {shape}")
        if self.unpatched is not None and self.unpatched.shape != shape:
            raise ValueError(f"unpatched has to be shaped like values, {shape}")
        if any(one.estimates is not None and one.estimates.shape != shape for one in (self, *self.measures.values())):
            raise ValueError(f"estimates have to be shaped like values, {shape}")
        if self.top is not None and self.top.ids.shape[:-1] != shape:
            raise ValueError(f"top has to be shaped like values, {shape}, with one axis more")
        if any(not term.effects.shape == term.values.shape == shape for term in self.terms or ()):
            raise ValueError(f"the terms of a difference have to be shaped like values, {shape}")
        return self

    # Numbers

    @property
    def normalized(self) -> np.ndarray:
        """The effects in units of the gap between the two runs, shaped like `values`; above 0 is towards clean.

        Denoise (the corrupt run is patched): 0 is the corrupt run, 1 the clean one. Noise (the clean run is patched):
        0 is the clean run, -1 the corrupt one. So 0 is always "no effect". NaN everywhere if the two runs
        score the same. For a data set, the mean effect in units of the mean gap. For a difference, the first map's
        effect in units of its own gap minus the second's in units of its own.
        """
        if self.terms is not None:
            return self.terms[0].effects - self.terms[1].effects
        if self.pairs is not None:
            return self.pairs.mean
        return normalize(self.values, self.baselines, self.params.get("direction"))

    def normalized_cells(self, cells: Sequence[int] | np.ndarray) -> np.ndarray:
        """`normalized` of some cells alone (flat, in C order), [cell]: without the whole map, for one prompt pair."""
        if self.pairs is not None or self.terms is not None:
            return self.normalized.ravel()[cells]
        return normalize(self.values.ravel()[cells], self.baselines, self.params.get("direction"))

    @property
    def complete(self) -> bool:
        """Whether every cell has a value, exact or estimated; a cancelled run keeps the cells that were computed."""
        every = self.pairs is None or self.pairs.done == len(self.pairs.labels)
        return bool((self.state != NOT_COMPUTED).all()) and every

    @property
    def scale_text(self) -> str:
        """Which runs 0 and 1 (or -1) of `normalized` are, as a sentence; empty if there is no scale."""
        if self.terms is not None:
            return DIFFERENCE_SCALE if np.isfinite(self.normalized).any() else ""
        mean = self.pairs is not None
        return scale_text(self.metric_label, self.baselines, self.params.get("direction"), mean=mean)

    def by_metric(self, metric: str) -> EffectMap:
        """The same sweep by another of its metrics; the arrays are shared.

        Raises:
            ValueError: a metric that this sweep did not measure.
        """
        if metric not in self.measures:
            raise ValueError(f"This sweep measured {', '.join(self.measures) or 'one metric'}, and not {metric}.")
        chosen, shown = self.measures[metric], self.measures.get(str(self.params.get("metric")))
        own = shown.warnings if shown is not None else []
        others = [warning for warning in self.provenance.get("warnings", []) if warning not in own]
        return self.model_copy(
            update={
                "values": chosen.values,
                "baselines": chosen.baselines,
                "metric_label": chosen.label,
                "estimates": chosen.estimates,
                "pairs": chosen.pairs,
                "params": {**self.params, "metric": metric},
                "provenance": {**self.provenance, "warnings": others + chosen.warnings},
            }
        )

    # Differences

    def minus(self, other: EffectMap) -> EffectMap:
        """This map minus another, cell by cell: a map that prints, plots, is saved and read as any other.

        Args:
            other: a map with the same axes and, on each of them, the same layers, heads, neurons and positions by
                number. Its activation, method, metric, direction, prompts and model may be others.

        Returns:
            A map shaped like both, [*axes]. `normalized` is the difference of the effects, each in units of the gap
            between its own two runs: above 0, this map's patch moves the model further towards the clean answer.
            `values` is the difference of the raw values, in the unit of the metric; NaN if the two metrics differ.
            `terms` has the numbers of both maps. A cell is computed where both maps have an exact value, unchanged
            where both are unchanged, an estimate where either is one, and without a counterpart where either is.
            There are no baselines, intervals, estimates of exact cells, or likely tokens of a difference.

        Raises:
            ValueError: the maps have other axes or places, they have neither one metric nor a scale each, or one of
                them is a difference itself.
        """
        refuse_unlike(self, other)
        state = _state_of_both(self.state, other.state)
        names = names_of(self, other)
        first, second = self._as_term(names[0]), other._as_term(names[1])
        with np.errstate(invalid="ignore"):  # infinity minus infinity is no number
            values = first.values - second.values
        same = self.metric_label == other.metric_label
        return EffectMap(
            method="difference",
            params=self.params,
            provenance=shared_provenance(self, other),
            axes=self.axes,
            labels=self.labels,
            places=self.places,
            counterparts=self.counterparts,
            prompts=self.prompts,
            values=values if same else np.full_like(values, np.nan),
            state=state,
            baselines={"clean": None, "corrupt": None},
            metric_label=metric_words(self.metric_label, other.metric_label),
            terms=(first, second),
        )

    def _as_term(self, name: str) -> Term:
        known = np.isin(self.state, (COMPUTED, UNCHANGED, ESTIMATE))
        return Term(
            name=name,
            effects=np.where(known, self.normalized, np.float32(np.nan)),
            values=np.where(known, self.values, np.float32(np.nan)),
            metric_label=self.metric_label,
            method=self.method,
            params=self.params,
            provenance=self.provenance,
        )

    def indices_of(self, axis: str) -> list[Any]:
        """What each index of an axis stands for: its number in the model, or the label of what has no number."""
        named = axis in ("run", "sender")
        numbers, labels = self._numbers(axis), self.labels[axis]
        return [number if isinstance(number, int) and not named else label for number, label in zip(numbers, labels)]

    # Estimates

    @property
    def normalized_estimates(self) -> np.ndarray | None:
        """The estimated effects in units of the gap, as `normalized`; None if there are no estimates."""
        if self.pairs is not None:
            return self.pairs.mean_estimate
        if self.estimates is None:
            return None
        return normalize(self.estimates, self.baselines, self.params.get("direction"))

    @property
    def agreement(self) -> Agreement | None:
        """How well the estimates agree with the exact effects; None if there are no estimates."""
        estimates = self.normalized_estimates
        if estimates is None:
            return None
        exact = self.state.ravel() == COMPUTED
        estimated = exact | (self.state.ravel() == ESTIMATE)
        return agreement(estimates.ravel(), self.normalized.ravel(), estimated, exact)

    def take_estimates(self, guide: EffectMap) -> None:
        """Give every cell that was not run the value of an estimated map of the same cells, by that map's metric.

        Estimates by other rules that other metrics have are dropped, since a map names one rule.

        Raises:
            ValueError: the two maps differ in their cells, or this sweep did not measure that metric.
        """
        metric = guide.params["metric"]
        if metric not in self.measures or guide.places != self.places or guide.axes != self.axes:
            raise ValueError("These estimates are of another sweep.")
        measured, not_run = self.measures[metric], np.isin(self.state, (NOT_COMPUTED, ESTIMATE))
        self.state[not_run] = guide.state[not_run]
        unchanged, estimated = not_run & (self.state == UNCHANGED), self.state == ESTIMATE
        for one in self.measures.values():
            one.leave_unchanged(unchanged, self.patched_side, guide.pairs)
        self._note_rule(guide.params.get("rules"), metric)
        measured.take_estimates(guide.values, guide.pairs, estimated)
        if metric == self.params["metric"]:
            self.estimates, self.pairs = measured.estimates, measured.pairs

    def _note_rule(self, rule: str | None, metric: str) -> None:
        """Name the rule of new estimates, and keep in mind by which rule and metric the cells to run were chosen."""
        before = self.params.get("estimate", "none")
        if rule is None or (rule == before and metric == self.params["metric"]):
            return
        if before != "none":
            self.provenance.setdefault("chosen_by", {"estimate": before, "metric": self.params["metric"]})
        if rule != before:
            for one in self.measures.values():
                one.drop_estimates(self.state == ESTIMATE)
            self.estimates = None
        self.params["estimate"] = rule

    # Places

    @property
    def patched_side(self) -> Side:
        """The prompt whose run is patched, and whose positions the map shows."""
        return "corrupt" if self.params.get("direction") == "denoise" else "clean"

    def place_of(self, index: int | Sequence[int]) -> Place:
        """Which place of the model a cell is: its activation, its number on each axis, and the patched side.

        A run of several interventions is the place that they have in common, which may be all of the model. A sender is
        what it writes, and several together again what they have in common.

        Args:
            index: of the cell along each axis, or flat in C order.
        """
        at = np.unravel_index(index, self.values.shape) if isinstance(index, (int, np.integer)) else index
        if "run" in self.axes:
            return self._place_of_run(int(at[self.axes.index("run")]))
        if "sender" in self.axes:
            label = self.labels["sender"][operator.index(at[self.axes.index("sender")])]
            places = [parse_node(name).place for name in label.split(TOGETHER)]
            return Place(**{name: one for name, one in places[0] if all(getattr(p, name) == one for p in places)})
        parts = {axis: self._numbers(axis)[operator.index(i)] for axis, i in zip(self.axes, at, strict=True)}
        return _place(self.params.get("activation"), parts, self.patched_side)

    def find(self, place: PlaceLike) -> tuple[int | slice, ...] | None:
        """Where a place is in `values`: an index for each axis that the place names, a slice for the others.

        The activation is ignored, since a map has only one. A position of the other prompt becomes its counterpart.

        Returns:
            None where the map has no such place.
        """
        place = as_place(place) or Place()
        if "run" in self.axes or "sender" in self.axes:
            return None
        other = self.prompts["clean" if self.patched_side == "corrupt" else "corrupt"]
        here = across(place, self.patched_side, self.patched_side, self.counterparts, len(other.ids))
        if here is None:
            return None
        numbers = {axis: self._numbers(axis) for axis in self.axes}
        length = len(self.prompts[self.patched_side].ids)
        counted = {part: getattr(here, part) for part in ("position", "source")}
        from_start = {part: at + length for part, at in counted.items() if isinstance(at, int) and at < 0}
        # An axis of prompts of different lengths counts from the end itself.
        return indices(here, **numbers) or indices(here.model_copy(update=from_start), **numbers)

    def _numbers(self, axis: str) -> Sequence[int | list[int]]:
        """What each index of an axis is in the model."""
        return self.places.get(axis) or range(len(self.labels[axis]))

    def _place_of_run(self, run: int) -> Place:
        """The place that the interventions of one run have in common; run 0 makes all of them."""
        every = self.params.get("interventions", [])
        made = [one for part in (every[run - 1 : run] if run else every) for one in part]
        first = made[0] if made else {}
        shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in made)}
        return _place(shared.get("activation"), shared, self.patched_side)

    # Ways out

    def top_cells(self, k: int = 20) -> pandas.DataFrame:
        """The k cells with the largest effects (of either sign), largest first: rows of `to_dataframe`."""
        table = self.to_dataframe()
        effect = table["normalized"] if table["normalized"].notna().any() else table["value"]
        return table.loc[effect.abs().sort_values(ascending=False, kind="stable").index[:k]].reset_index(drop=True)

    def to_wire(self, draft: bool = False) -> dict[str, Any]:
        """The result as one object of plain JSON values, derived ones among them.

        Args:
            draft: leave out what takes long, intervals and other metrics, while the result is still being filled.
        """
        direction = self.params.get("direction")
        measures = {
            name: {**part.to_wire(direction), **self.by_metric(name)._estimates_to_wire()}
            for name, part in ({} if draft else self.measures).items()
        }
        return {
            **self.model_dump(mode="json", exclude={"pairs", "measures"}),
            "pairs": self.pairs and self.pairs.to_wire(draft),
            "normalized": encode_array(self.normalized),
            **self._estimates_to_wire(),
            "scale_text": self.scale_text,
            "measures": measures,
            **({} if self.terms is None else {"headline": self.headline()}),
        }

    def _estimates_to_wire(self) -> dict[str, Any]:
        estimates, agree = self.normalized_estimates, self.agreement
        return {
            "normalized_estimates": None if estimates is None else encode_array(estimates),
            "agreement": agree and agree.model_dump(mode="json"),
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each cell: what it is on each axis, value, normalized, state in words.

        An axis gives the model's own number of a layer, head, position, source position or neuron, and beside a
        position its token. Where effects were estimated, `estimate` is the normalized estimate. A data set also has
        the interval, and the number of pairs with the sign of the mean. A difference has the normalized effects of its
        two maps, `first` and `second`. With several metrics, each has a column under its name.
        """
        import pandas

        columns: dict[str, Any] = {}
        for axis, index in zip(self.axes, np.indices(self.values.shape), strict=True):
            labels = np.array(self.labels[axis], dtype=object)[index.ravel()]
            numbers = self._numbers(axis)
            numbered = axis != "sender" and all(isinstance(number, int) for number in numbers)
            columns[axis] = np.array(numbers)[index.ravel()] if numbered else labels
            if axis == "position" and numbered:
                columns["token"] = labels
        columns["value"] = self.values.ravel()
        columns["normalized"] = self.normalized.ravel()
        if self.pairs is not None:
            low, high = self.pairs.interval
            columns.update(low=low.ravel(), high=high.ravel(), agree=self.pairs.agree.ravel())
        if self.terms is not None:
            columns.update(first=self.terms[0].effects.ravel(), second=self.terms[1].effects.ravel())
        if (estimates := self.normalized_estimates) is not None:
            columns["estimate"] = estimates.ravel()
        columns["state"] = np.array([state.words for state in CellState], dtype=object)[self.state.ravel()]
        if len(self.measures) > 1:
            columns.update({name: measured.values.ravel() for name, measured in self.measures.items()})
        return pandas.DataFrame(columns)

    def plot(self) -> Picture:
        """A still picture: the normalized effects, layer 0 at the bottom, blue towards clean. Needs matplotlib."""
        from .pictures import heatmap

        effects, least = self.normalized, 1.0 if self.axes[-1] in ("position", "head") else 1e-6
        return heatmap(
            effects if np.isfinite(effects).any() else self.values,
            signs=np.array(["", "", "=", "/", ""], dtype=object)[self.state],
            axes=self.axes,
            labels=[self._with_counterparts(axis) for axis in self.axes],
            title=self.headline() if self.terms is None else difference_headline(*self.terms, breaks=True),
            # Single neurons and entries do little: the end of their scale is then their own largest effect.
            reach=least if self.terms is None else min(least, LEAST_REACH),
        )

    def _with_counterparts(self, axis: str) -> list[str]:
        """The labels of an axis; a token that differs from its counterpart is followed by its counterpart."""
        labels, here = self.labels[axis], self.prompts[self.patched_side]
        other = self.prompts["clean" if self.patched_side == "corrupt" else "corrupt"]
        if axis != "position" or self.pairs is not None:
            return labels
        both = list(labels)
        for index, position in enumerate(self._numbers(axis)):
            if isinstance(position, int):
                there = self.counterparts[position] if self.counterparts else position
                if there is not None and here.ids[position] != other.ids[there]:
                    both[index] += f"/{other.tokens[there]}"
        return both

    def headline(self) -> str:
        if self.terms is not None:
            return difference_headline(*self.terms)
        estimated = ", estimated" if (self.state == ESTIMATE).any() else ""
        many = f", mean of {self.pairs.done} pairs" if self.pairs is not None else ""
        what = patched_words(self.method, self.params)
        return f"{what}, {how_words(self.params)}, {self.metric_label}{estimated}{many}"

    def summary(self) -> Iterator[str]:
        counts = [(state, int((self.state == state).sum())) for state in CellState]
        states = ", ".join(f"{count} {state.words}" for state, count in counts if count)
        yield f"{self.method}: values {shape_words(self.axes, self.values.shape)}; cells: {states}"
        yield self.scale_text or "no scale: the clean and the corrupt run score the same, or not a finite number"
        effects = self.normalized if np.isfinite(self.normalized).any() else self.values
        sizes = np.nan_to_num(np.abs(effects).ravel(), nan=-1.0)
        largest = np.argsort(-sizes, kind="stable")[:SUMMARISED]
        if (sizes[largest] >= 0).any():
            what = "values" if effects is self.values else "effects"
            yield f"largest {what}:" if self.terms is None else f"largest differences of {what}:"
        for cell in largest[sizes[largest] >= 0]:
            at = np.unravel_index(cell, self.values.shape)
            words = ", ".join(f"{axis} {self._in_words(axis, int(i))}" for axis, i in zip(self.axes, at))
            yield f"  {effects.ravel()[cell]:+.3f}  {words}"

    def _in_words(self, axis: str, index: int) -> str:
        number, label = self._numbers(axis)[index], self.labels[axis][index]
        return f"{number} {label!r}" if isinstance(number, int) and axis in ("position", "source") else label


def _state_of_both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The state of each cell of a difference, from those of its two maps."""
    state = np.full(first.shape, COMPUTED, np.uint8)
    state[(first == UNCHANGED) & (second == UNCHANGED)] = UNCHANGED
    for lesser in (ESTIMATE, NOT_COMPUTED, NO_COUNTERPART):  # the last that either map has
        state[(first == lesser) | (second == lesser)] = lesser
    return state


def _place(activation: Any, parts: Mapping[str, Any], side: Side) -> Place:
    """A place from numbers by axis; what is not a part of a place is left out."""
    named = {name: parts.get(name) for name in ("layer", "head", "neuron", "position", "source")}
    counted = side if named["position"] is not None or named["source"] is not None else None
    place = as_place({"activation": activation, "side": counted, **named})
    assert place is not None
    return place
