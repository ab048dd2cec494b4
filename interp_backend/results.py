"""What a method returns: arrays with named axes, where they come from, and ways out of here.

A result is one JSON object. Its arrays are base64 text beside their type and shape, so that not-a-number
and infinity need no place in JSON, a view decodes them without parsing a list, and the same text serves the
wire, a saved notebook, a report and a file.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, model_validator

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1
DTYPES = ("float32", "int32", "uint8")
NOT_COMPUTED, COMPUTED, UNCHANGED = 0, 1, 2


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


class _Part(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")


class Prompt(_Part):
    """A prompt as it was run; `answer` is None where there was none."""

    text: str
    ids: list[int]
    tokens: list[str]
    answer: str | None


class TopTokens(_Part):
    """The likeliest next tokens: `ids`, `logits` and `probs`, each [..., k], likeliest first."""

    ids: Array
    logits: Array
    probs: Array


class Result(_Part):
    """What a method measured.

    Attributes:
        method: the function that made it.
        params: what it was asked, by parameter name.
        axes: name of each axis of `values`, for example `("layer", "position")`.
        labels: for each axis, a text for each index.
        values: the metric's raw value in each cell, float32; NaN where `state` is 0.
        state: for each cell 0 not computed, 1 computed, 2 not run because the two activations are equal,
            so that the value is exactly the base run's.
        baselines: the metric of the clean and of the corrupt run; None where it is not a finite number.
        metric_label: the metric in words.
        prompts: "clean" and "corrupt", as they were run.
        top: for each cell the likeliest tokens of the patched run, [*axes, k], if they were asked for.
        top_runs: the same for the clean and the corrupt run, [k].
        tokens: text of every token id in `top` and `top_runs`.
        provenance: model, versions, how it was run, for how long, whether it is complete, warnings.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str
    params: dict[str, Any]
    axes: tuple[str, ...]
    labels: dict[str, list[str]]
    values: Array
    state: Array
    baselines: dict[str, float | None]
    metric_label: str
    prompts: dict[str, Prompt]
    top: TopTokens | None = None
    top_runs: dict[str, TopTokens] = Field(default_factory=dict)
    tokens: dict[int, str] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    # Two results are equal only if they are one: arrays compare cell by cell, and the trait of a widget must
    # notice that a result was replaced.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @model_validator(mode="after")
    def _makes_sense(self) -> Result:
        if len(self.axes) < 2 or len(set(self.axes)) != len(self.axes):
            raise ValueError("a result has two axes or more, of different names")
        if set(self.prompts) != {"clean", "corrupt"} or set(self.baselines) != {"clean", "corrupt"}:
            raise ValueError("prompts and baselines have to be those of the clean and the corrupt run")
        if not all(math.isfinite(value) for value in self.baselines.values() if value is not None):
            raise ValueError("a baseline is a finite number or null")
        if self.state.dtype != np.uint8 or self.state.max(initial=0) > UNCHANGED:
            raise ValueError("a cell's state is 0, 1 or 2, in an array of uint8")
        if not isinstance(self.provenance.get("model", {}), dict):
            raise ValueError("provenance.model has to be an object")
        return self

    @model_validator(mode="after")
    def _shapes_agree(self) -> Result:
        shape = tuple(len(self.labels.get(axis, ())) for axis in self.axes)
        if self.values.shape != shape or self.state.shape != shape:
            raise ValueError(f"values and state have to be shaped like the labels of the axes, {shape}")
        if self.top is not None:
            shapes = {part.shape for part in (self.top.ids, self.top.logits, self.top.probs)}
            if len(shapes) != 1 or next(iter(shapes))[:-1] != shape:
                raise ValueError(f"top has to be shaped like values, {shape}, with one axis more")
        return self

    @property
    def normalized(self) -> np.ndarray:
        """Effects in units of the gap between the two runs, shaped like `values`; above 0 is towards clean.

        Denoise (clean into corrupt): 0 is the corrupt run, 1 the clean one. Noise (corrupt into clean):
        0 is the clean run, -1 the corrupt one. So 0 is always "no effect". NaN everywhere if the two runs
        score the same.
        """
        clean, corrupt = self.baselines.get("clean"), self.baselines.get("corrupt")
        if clean is None or corrupt is None or clean == corrupt:
            return np.full_like(self.values, np.nan)
        base = corrupt if self.params.get("direction") == "denoise" else clean
        return ((self.values.astype(np.float64) - base) / (clean - corrupt)).astype(np.float32)

    @property
    def complete(self) -> bool:
        """Whether every cell has its value; a cancelled run keeps those that it had."""
        return bool((self.state != NOT_COMPUTED).all())

    def to_wire(self) -> dict[str, Any]:
        """The result as one object of plain JSON values, with `normalized` for those who only read it."""
        return {**self.model_dump(mode="json"), "normalized": encode_array(self.normalized)}

    def to_json(self) -> str:
        """The result as JSON text; `Result.from_json` reads it again, bit for bit."""
        return json.dumps(self.to_wire(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Result:
        """Read what `to_json` wrote.

        Raises:
            ValueError: no JSON, another schema version, or a field that is missing, unknown or wrong.
        """
        try:
            wire = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"This is no JSON: {problem}") from None
        return cls.from_wire(wire)

    @classmethod
    def from_wire(cls, wire: Any) -> Result:
        """`from_json` for an object that is already parsed."""
        if not isinstance(wire, dict) or "schema_version" not in wire:
            raise ValueError("This JSON is no Hookscope result: it has no schema_version.")
        if wire["schema_version"] != SCHEMA_VERSION:
            raise ValueError(
                f"This result has schema version {wire['schema_version']!r}, and this Hookscope reads version "
                f"{SCHEMA_VERSION}. Update Hookscope, or run the method again."
            )
        return cls.model_validate({name: value for name, value in wire.items() if name != "normalized"})

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a cell: an index and a label for each axis, value, normalized, state in words."""
        import pandas

        columns: dict[str, Any] = {}
        for axis, index in zip(self.axes, np.indices(self.values.shape), strict=True):
            columns[axis] = index.ravel()
            if axis == "position":
                columns["token"] = np.array(self.labels[axis], dtype=object)[index.ravel()]
        columns["value"] = self.values.ravel()
        columns["normalized"] = self.normalized.ravel()
        columns["state"] = np.array(["not computed", "computed", "unchanged"], dtype=object)[self.state.ravel()]
        return pandas.DataFrame(columns)

    def plot(self) -> Figure:
        """A still picture: the normalized effects, layer 0 at the bottom, blue towards clean. Needs matplotlib."""
        from .plot import plot_heatmap

        return plot_heatmap(self)
