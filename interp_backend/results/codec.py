"""Arrays as JSON: base64 text beside a dtype and a shape.

Not-a-number and infinity need no place in JSON this way, a view decodes an array without parsing a list, and the same
text serves the wire, a saved notebook, a page and a file.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator

DTYPES = ("float32", "int32", "uint8")
LONGEST_AXIS = 2**31  # beyond it NumPy's own errors are not ValueErrors
MOST_AXES = 16


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """`{"dtype", "shape", "data"}` with the values as base64, little-endian, in C order.

    Raises:
        ValueError: a dtype that views do not read.
    """
    if array.dtype.name not in DTYPES:
        raise ValueError(f"Arrays of {array.dtype} can't be serialised; convert to one of {', '.join(DTYPES)}.")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def decode_array(value: Any) -> np.ndarray:
    """The array that `encode_array` wrote; an array is returned as it is.

    Raises:
        ValueError: an object that is not an encoded array, or whose data does not have the length of its shape.
    """
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise ValueError('an array is an object with "dtype", "shape" and "data"')
    if value["dtype"] not in DTYPES:
        raise ValueError(f"the dtype of an array is one of {', '.join(DTYPES)}, not {value['dtype']!r}")
    shape = value["shape"]
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(map(_is_size, shape)):
        raise ValueError("the shape of an array is a list of whole numbers, 0 or more")
    if not isinstance(value["data"], str):
        raise ValueError("the data of an array is base64 text")
    dtype = np.dtype(value["dtype"]).newbyteorder("<")
    data = base64.b64decode(value["data"], validate=True)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"an array of shape {shape} has {expected} bytes of data, not {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape).astype(value["dtype"])


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < LONGEST_AXIS  # JSON's true is a Python int too


def _of(dtype: str) -> Callable[[Any], np.ndarray]:
    """Decodes an array and checks its dtype."""

    def decode(value: Any) -> np.ndarray:
        array = decode_array(value)
        if array.dtype != dtype:
            raise ValueError(f"this array has to be {dtype}, not {array.dtype}")
        return array

    return decode


_ENCODED = PlainSerializer(encode_array, return_type=dict)
Floats = Annotated[np.ndarray, PlainValidator(_of("float32")), _ENCODED]
Ints = Annotated[np.ndarray, PlainValidator(_of("int32")), _ENCODED]
Bytes = Annotated[np.ndarray, PlainValidator(_of("uint8")), _ENCODED]


def finite_or_none(value: float) -> float | None:
    """A number as JSON can hold it: not-a-number and infinity become null."""
    return float(value) if math.isfinite(value) else None
