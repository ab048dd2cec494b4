"""What a method returns: arrays with named axes, where they come from, and ways out of here.

A result is one JSON object. Its arrays are base64 text beside their type and shape, so that not-a-number
and infinity need no place in JSON, a view decodes them without parsing a list, and the same text serves the
wire, a saved notebook, a report and a file.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, model_validator

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure
    from typing_extensions import Self

SCHEMA_VERSION = 1
DTYPES = ("float32", "int32", "uint8")
NOT_COMPUTED, COMPUTED, UNCHANGED, NO_COUNTERPART = 0, 1, 2, 3
STATES = ("not computed", "computed", "unchanged", "no counterpart")
_DERIVED = ("pairs", "normalized", "scale_text")  # of a metric, which a result has for the one that it shows
SHOWN_ITEMS = 16  # of a list, when a result is printed
BOOTSTRAP_SAMPLES = 1000
CELLS_AT_ONCE = 4000  # of the bootstrap: 1,000 samples of each are held at a time


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """`{"dtype", "shape", "data"}` with the values as base64, little-endian, in C order."""
    if array.dtype.name not in DTYPES:
        raise ValueError(f"Arrays of {array.dtype} don't cross; convert to one of {', '.join(DTYPES)}.")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def decode_array(value: Any) -> np.ndarray:
    """The array of `encode_array`'s object; arrays pass as they are.

    Raises:
        ValueError: an object that is no such array, or whose data is not as long as its shape says.
    """
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise ValueError('an array is an object with "dtype", "shape" and "data"')
    if value["dtype"] not in DTYPES:
        raise ValueError(f"the type of an array is one of {', '.join(DTYPES)}, not {value['dtype']!r}")
    shape = value["shape"]
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("the shape of an array is a list of whole numbers")
    if not isinstance(value["data"], str):
        raise ValueError("the data of an array is base64 text")
    dtype = np.dtype(value["dtype"]).newbyteorder("<")
    data = base64.b64decode(value["data"], validate=True)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"the array's data has {len(data)} bytes, its shape {shape} calls for another number")
    return np.frombuffer(data, dtype).reshape(shape).astype(value["dtype"])


Array = Annotated[np.ndarray, PlainValidator(decode_array), PlainSerializer(encode_array, return_type=dict)]


def finite_or_none(value: float) -> float | None:
    """A number as JSON can hold it: not-a-number and infinity become null."""
    return float(value) if math.isfinite(value) else None


def read_wire(text: str | bytes) -> Any:
    """The object in a result's JSON text.

    Raises:
        ValueError: no JSON, or another schema version.
    """
    try:
        wire = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"This is no JSON: {problem}") from None
    check_version(wire)
    return wire


def check_version(wire: Any) -> None:
    """Raise ValueError for an object that is no result, or one of another schema version."""
    if not isinstance(wire, dict) or "schema_version" not in wire:
        raise ValueError("This JSON is no Hookscope result: it has no schema_version.")
    if wire["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"This result has schema version {wire['schema_version']!r}, and this Hookscope reads version "
            f"{SCHEMA_VERSION}. Update Hookscope, or run the method again."
        )


class Part(BaseModel):
    """Of what results are made: fields that are known, and no others."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What a notebook prints: arrays by their shapes, long lists by their lengths."""
        return ((name, _brief(value)) for name, value in super().__repr_args__())


class _Words(str):
    """Printed without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _brief(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Words(f"{value.dtype}{list(value.shape)}")
    if isinstance(value, dict):
        many = len(value) > SHOWN_ITEMS
        return _Words(f"{{{len(value)} items}}") if many else {name: _brief(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return _Words(f"[{len(value)} items]") if len(value) > SHOWN_ITEMS else [_brief(part) for part in value]
    return value


class Whole(Part):
    """A result as a method returns it.

    Two are equal only if they are one: arrays compare cell by cell, and the trait of a widget must notice that a result
    was replaced.
    """

    def to_wire(self) -> dict[str, Any]:
        """The result as one object of plain JSON values."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The result as JSON text; `from_json` of its class reads it again, bit for bit."""
        return json.dumps(self.to_wire(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: no JSON, another schema version, or a field that is missing, unknown or wrong.
        """
        return cls.from_wire(read_wire(text))

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """`from_json` for an object that is already parsed."""
        check_version(wire)
        return cls.model_validate(wire)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class Prompt(Part):
    """A prompt as it was run, and the tokens that its answers were scored by; `answer` is the first, or None."""

    text: str
    ids: list[int]
    tokens: list[str]
    answer: str | None
    answers: list[str] = Field(default_factory=list)


class TopTokens(Part):
    """The likeliest next tokens: `ids`, `logits` and `probs`, each [..., k], likeliest first."""

    ids: Array
    logits: Array
    probs: Array


class PairValues(Part):
    """One metric of every pair of a data set.

    Attributes:
        labels: a short text for each pair.
        values: raw values, [pair, *axes]; NaN where a pair is not done, or has no such place.
        clean, corrupt: the metric of each pair's two unpatched runs; None where it is not done or not finite.
        base: which of the two is patched.
    """

    labels: list[str]
    values: Array
    clean: list[float | None]
    corrupt: list[float | None]
    base: Literal["clean", "corrupt"]

    @model_validator(mode="after")
    def _as_many(self) -> PairValues:
        if not len(self.labels) == len(self.values) == len(self.clean) == len(self.corrupt) > 0:
            raise ValueError("labels, values and baselines of a data set have to be as many as its pairs, one or more")
        return self

    def _effects_and_gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Each pair's effect in each cell and the gap between its two runs, [pair, cell]; both 0 where not known."""
        known = self._known.reshape(len(self.labels), -1)
        clean, corrupt = (np.array(side, np.float64)[:, None] for side in (self.clean, self.corrupt))
        values = self.values.reshape(known.shape)
        effects = np.where(known, values - (corrupt if self.base == "corrupt" else clean), 0)
        return effects, np.where(known, clean - corrupt, 0)

    @property
    def _known(self) -> np.ndarray:
        sides = np.array([self.clean, self.corrupt], np.float64)
        return np.isfinite(self.values) & np.isfinite(sides).all(0).reshape(-1, *[1] * (self.values.ndim - 1))

    @property
    def known(self) -> np.ndarray:
        """Of how many pairs each cell is the mean, [*axes]: those that have such a place, and finite numbers."""
        return self._known.sum(0).astype(np.int32)

    @property
    def done(self) -> int:
        """How many pairs have been run."""
        return int(self._run().sum())

    def _run(self) -> np.ndarray:
        """Which pairs have been run: those of which anything is known, if only that it is infinite."""
        some = ~np.isnan(self.values.reshape(len(self.values), -1)).all(1)
        return some | np.array([a is not None or b is not None for a, b in zip(self.clean, self.corrupt)])

    @property
    def mean(self) -> np.ndarray:
        """Mean effect over the pairs that have a cell in units of the mean gap between their two runs, [*axes]."""
        effects, gaps = self._effects_and_gaps()
        return _ratio(effects.sum(0), gaps.sum(0)).reshape(self.values.shape[1:])

    @property
    def normalized(self) -> np.ndarray:
        """Each pair's effect in units of the mean gap of the pairs that have the cell, [pair, *axes].

        Over those pairs its mean is `mean`; NaN for the others.
        """
        effects, gaps = self._effects_and_gaps()
        known = self._known.reshape(effects.shape)
        gap = gaps.sum(0) / np.maximum(known.sum(0), 1)
        return np.where(known, _ratio(effects, gap), np.nan).astype(np.float32).reshape(self.values.shape)

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% bootstrap interval of `mean` over pairs (Efron 1979), [*axes] each; NaN for fewer than two pairs."""
        effects, gaps = self._effects_and_gaps()
        ends = np.full((2, effects.shape[1]), np.nan, np.float32)
        if self.done > 1:
            chances = self._run() / self.done
            drawn = np.random.default_rng(0).multinomial(self.done, chances, BOOTSTRAP_SAMPLES).T.astype(np.float64)
            several = np.flatnonzero(self.known.ravel() > 1)  # one pair drawn again and again looks certain
            for start in range(0, len(several), CELLS_AT_ONCE):
                cells = several[start : start + CELLS_AT_ONCE]
                samples = _ratio(effects[:, cells].T @ drawn, gaps[:, cells].T @ drawn)
                ends[:, cells] = _percentiles(samples)
        low, high = ends.reshape(2, *self.values.shape[1:])
        return low, high

    @property
    def agree(self) -> np.ndarray:
        """How many pairs have an effect of the mean's sign, [*axes]."""
        return (np.sign(self.normalized) == np.sign(self.mean)).sum(0).astype(np.int32)

    def to_wire(self, draft: bool = False) -> dict[str, Any]:
        """As one object of plain JSON values, with what is derived; the interval only if this is no draft."""
        nothing = np.full(self.values.shape[1:], np.nan, np.float32)
        low, high = (nothing, nothing) if draft else self.interval
        return {
            **self.model_dump(mode="json"),
            "normalized": encode_array(self.normalized),
            "low": encode_array(low),
            "high": encode_array(high),
            "agree": encode_array(self.agree),
            "known": encode_array(self.known),
            "done": self.done,
        }

    @classmethod
    def from_wire(cls, wire: Any) -> Any:
        """`to_wire`'s object without what is derived."""
        derived = ("normalized", "low", "high", "agree", "known", "done")
        return {name: part for name, part in wire.items() if name not in derived} if isinstance(wire, dict) else wire


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """One through the other, float32; NaN where that is no number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    return np.where(np.isfinite(ratio), ratio, np.nan).astype(np.float32)


def _percentiles(samples: np.ndarray) -> np.ndarray:
    """2.5 and 97.5% of [cell, sample], [2, cell]: of those samples that are numbers."""
    whole = ~np.isnan(samples).any(1)
    ends = np.full((2, len(samples)), np.nan)
    if whole.any():
        ends[:, whole] = np.percentile(samples[whole], [2.5, 97.5], axis=1)
    some = ~whole & ~np.isnan(samples).all(1)
    if some.any():
        ends[:, some] = np.nanpercentile(samples[some], [2.5, 97.5], axis=1)
    return ends


class Measured(Part):
    """One metric of a sweep: its raw values [*axes], those of the two unpatched runs, and those of each pair.

    `warnings` say what is wrong with its scale.
    """

    label: str
    values: Array
    baselines: dict[str, float | None]
    warnings: list[str] = Field(default_factory=list)
    pairs: PairValues | None = None

    def normalized(self, direction: Any) -> np.ndarray:
        """Effects in units of the gap between the two runs: `EffectMap.normalized` of this metric."""
        if self.pairs is not None:
            return self.pairs.mean
        clean, corrupt = self.baselines.get("clean"), self.baselines.get("corrupt")
        if clean is None or corrupt is None or clean == corrupt:
            return np.full_like(self.values, np.nan)
        base = corrupt if direction == "denoise" else clean
        return ((self.values.astype(np.float64) - base) / (clean - corrupt)).astype(np.float32)

    def scale_text(self, direction: Any) -> str:
        """What 0 and 1 (or -1) of `normalized` are, with the two baselines, as a sentence; empty without a scale."""
        clean, corrupt = self.baselines.get("clean"), self.baselines.get("corrupt")
        if clean is None or corrupt is None or clean == corrupt:
            return ""
        mean = "the pairs' mean " if self.pairs is not None else "the "
        ends = [f"{end:+.3g}".replace("-", "\u2212") for end in (clean, corrupt)]
        said = f"{mean}clean run ({ends[0]})", f"{mean}corrupt run ({ends[1]})"
        if direction == "denoise":
            return f"0 is {said[1]}, 1 is {said[0]}; {self.label}."
        return f"0 is {said[0]}, \u22121 is {said[1]}; {self.label}."

    def to_wire(self, direction: Any, draft: bool = False) -> dict[str, Any]:
        """As one object of plain JSON values, with what is derived."""
        return {
            **self.model_dump(mode="json", exclude={"pairs"}),
            "pairs": self.pairs and self.pairs.to_wire(draft),
            "normalized": encode_array(self.normalized(direction)),
            "scale_text": self.scale_text(direction),
        }

    @classmethod
    def from_wire(cls, wire: Any) -> Any:
        """`to_wire`'s object without what is derived."""
        if not isinstance(wire, dict):
            return wire
        kept = {name: part for name, part in wire.items() if name not in ("normalized", "scale_text")}
        return {**kept, "pairs": PairValues.from_wire(kept.get("pairs"))}


class EffectMap(Whole):
    """What a method measured.

    Attributes:
        method: the function that made it.
        params: what it was asked, by parameter name.
        axes: name of each axis of `values`, for example `("layer", "position")`.
        labels: for each axis, a text for each index.
        values: the metric's raw value in each cell, float32; NaN where `state` is 0.
        places: for each axis, what each index is in the model: the number of a layer, head, position (from the end,
            if negative), neuron or source position; a list of positions for a named set of them.
        state: for each cell 0 not computed, 1 computed, 2 not run because nothing that is read can change (the two
            activations are equal, or come after the position that is read), so that the value is exactly the base
            run's, 3 not run because the other prompt has no token there.
        baselines: the metric of the clean and of the corrupt run; None where it is not a finite number.
        metric_label: the metric in words.
        prompts: "clean" and "corrupt", as they were run.
        counterparts: for each position of the patched prompt, the position of the other prompt that corresponds to it;
            None if all correspond to themselves.
        unpatched: for each cell, how many of its positions were left as they are, since the other prompt has no token
            there; None if that happened in none.
        measures: every metric of the sweep by name, the one in `values` among them; see `of`.
        pairs: for a data set, the metric of every pair; `values` and `baselines` are then means.
        top: for each cell the likeliest tokens of the patched run, [*axes, k], if they were asked for.
        top_runs: the same for the clean and the corrupt run, [k].
        tokens: text of every token id in `top` and `top_runs`.
        provenance: model, versions, how it was run, for how long, whether it is complete, warnings.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str = ""
    method: str = ""
    params: dict[str, Any]
    axes: tuple[str, ...]
    labels: dict[str, list[str]]
    values: Array
    state: Array
    baselines: dict[str, float | None]
    metric_label: str
    prompts: dict[str, Prompt]
    places: dict[str, list[int | list[int]]] = Field(default_factory=dict)
    counterparts: list[int | None] | None = None
    unpatched: Array | None = None
    measures: dict[str, Measured] = Field(default_factory=dict)
    pairs: PairValues | None = None
    top: TopTokens | None = None
    top_runs: dict[str, TopTokens] = Field(default_factory=dict)
    tokens: dict[int, str] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> EffectMap:
        if not self.axes or len(set(self.axes)) != len(self.axes):
            raise ValueError("a result has one axis or more, of different names")
        if set(self.prompts) != {"clean", "corrupt"} or set(self.baselines) != {"clean", "corrupt"}:
            raise ValueError("prompts and baselines have to be those of the clean and the corrupt run")
        if not all(math.isfinite(value) for value in self.baselines.values() if value is not None):
            raise ValueError("a baseline is a finite number or null")
        if self.state.dtype != np.uint8 or self.state.max(initial=0) > NO_COUNTERPART:
            raise ValueError("a cell's state is 0, 1, 2 or 3, in an array of uint8")
        if not isinstance(self.provenance.get("model", {}), dict):
            raise ValueError("provenance.model has to be an object")
        return self

    @model_validator(mode="after")
    def _shapes_agree(self) -> EffectMap:
        shape = tuple(len(self.labels.get(axis, ())) for axis in self.axes)
        if self.values.shape != shape or self.state.shape != shape:
            raise ValueError(f"values and state have to be shaped like the labels of the axes, {shape}")
        if any(len(self.places.get(axis, self.labels[axis])) != len(self.labels[axis]) for axis in self.axes):
            raise ValueError("places have to be as many as the labels of their axis")
        measured = [(part.values.shape, part.pairs) for part in self.measures.values()] + [(shape, self.pairs)]
        if any(s != shape or (p is not None and p.values.shape[1:] != shape) for s, p in measured):
            raise ValueError(f"every metric's values have to be shaped like the labels of the axes, {shape}")
        if self.unpatched is not None and self.unpatched.shape != shape:
            raise ValueError(f"unpatched has to be shaped like values, {shape}")
        if self.top is not None:
            shapes = {part.shape for part in (self.top.ids, self.top.logits, self.top.probs)}
            if len(shapes) != 1 or next(iter(shapes))[:-1] != shape:
                raise ValueError(f"top has to be shaped like values, {shape}, with one axis more")
        return self

    @property
    def normalized(self) -> np.ndarray:
        """Effects in units of the gap between the two runs, shaped like `values`; above 0 is towards clean.

        Denoise (the corrupt run is patched): 0 is the corrupt run, 1 the clean one. Noise (the clean run is patched):
        0 is the clean run, -1 the corrupt one. So 0 is always "no effect". NaN everywhere if the two runs
        score the same. For a data set, the mean effect in units of the mean gap.
        """
        return self._shown.normalized(self.params.get("direction"))

    @property
    def _shown(self) -> Measured:
        return Measured(
            label=self.metric_label, values=self.values, baselines=self.baselines, warnings=[], pairs=self.pairs
        )

    @property
    def complete(self) -> bool:
        """Whether every cell has its value; a cancelled run keeps those that it had."""
        every = self.pairs is None or self.pairs.done == len(self.pairs.labels)
        return bool((self.state != NOT_COMPUTED).all()) and every

    @property
    def scale_text(self) -> str:
        """What 0 and 1 (or -1) of `normalized` are, with the two baselines, as a sentence; empty without a scale."""
        return self._shown.scale_text(self.params.get("direction"))

    def by_metric(self, metric: str) -> EffectMap:
        """The same sweep judged by another of its metrics; the arrays are shared.

        Raises:
            ValueError: a metric that this sweep did not measure.
        """
        if metric not in self.measures:
            raise ValueError(f"This sweep measured {', '.join(self.measures) or 'one metric'}, and not {metric}.")
        chosen, shown = self.measures[metric], self.measures[self.params["metric"]]
        others = [said for said in self.provenance.get("warnings", []) if said not in shown.warnings]
        return self.model_copy(
            update={
                "values": chosen.values,
                "baselines": chosen.baselines,
                "metric_label": chosen.label,
                "pairs": chosen.pairs,
                "params": {**self.params, "metric": metric},
                "provenance": {**self.provenance, "warnings": others + chosen.warnings},
            }
        )

    def top_cells(self, k: int = 20) -> pandas.DataFrame:
        """The k cells with the largest effects (of either sign), largest first: rows of `to_dataframe`."""
        table = self.to_dataframe()
        effect = table["normalized"] if table["normalized"].notna().any() else table["value"]
        return table.loc[effect.abs().sort_values(ascending=False, kind="stable").index[:k]].reset_index(drop=True)

    def to_wire(self, draft: bool = False) -> dict[str, Any]:
        """The result as one object of plain JSON values, with what is derived, for those who only read it.

        Args:
            draft: leave out what takes long, intervals and other metrics, while the result still fills.
        """
        direction = self.params.get("direction")
        shown = {name: part for name, part in self._shown.to_wire(direction, draft).items() if name in _DERIVED}
        measures = {} if draft else {name: part.to_wire(direction) for name, part in self.measures.items()}
        return {**self.model_dump(mode="json", exclude={"pairs", "measures"}), **shown, "measures": measures}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        check_version(wire)
        kept = {name: value for name, value in wire.items() if name not in ("normalized", "scale_text")}
        kept["pairs"] = PairValues.from_wire(kept.get("pairs"))
        if isinstance(kept.get("measures"), dict):
            kept["measures"] = {name: Measured.from_wire(part) for name, part in kept["measures"].items()}
        return cls.model_validate(kept)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a cell: what it is on each axis, value, normalized, state in words.

        An axis gives the model's own number of a layer, head, position, source position or neuron, and a position's
        token beside it. A data set has the interval and the number of pairs of the mean's sign too; with several
        metrics, each has a column of its name.
        """
        import pandas

        columns: dict[str, Any] = {}
        for axis, index in zip(self.axes, np.indices(self.values.shape), strict=True):
            labels = np.array(self.labels[axis], dtype=object)[index.ravel()]
            places = self.places.get(axis, list(range(len(self.labels[axis]))))
            numbered = all(isinstance(place, int) for place in places)
            columns[axis] = np.array(places)[index.ravel()] if numbered else labels
            if axis == "position" and numbered:
                columns["token"] = labels
        columns["value"] = self.values.ravel()
        columns["normalized"] = self.normalized.ravel()
        if self.pairs is not None:
            low, high = self.pairs.interval
            columns.update(low=low.ravel(), high=high.ravel(), agree=self.pairs.agree.ravel())
        columns["state"] = np.array(STATES, dtype=object)[self.state.ravel()]
        if len(self.measures) > 1:
            columns.update({name: measured.values.ravel() for name, measured in self.measures.items()})
        return pandas.DataFrame(columns)

    def plot(self) -> Figure:
        """A still picture: the normalized effects, layer 0 at the bottom, blue towards clean. Needs matplotlib."""
        from .plot import plot_heatmap

        return plot_heatmap(self)
