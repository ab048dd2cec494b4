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
ROUNDED = "rounded"  # float32 to a thousandth of the largest size in its row, at less than a third of the bytes
LEVELS, NOT_A_NUMBER, INFINITE = 1000, 4094, 4095  # the codes of rounded numbers are 0 to 2 * LEVELS, and these
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


def encode_rounded(array: np.ndarray) -> dict[str, Any]:
    """Like `encode_array`, of float32 numbers that are only drawn.

    A number is rounded to a thousandth of the largest size in its row, the last axis, or more finely if it is nearer to
    zero: its code is 1000 + 1000 * sqrt(size / largest), with its sign. NaN and infinity are kept. The data are the
    largest size of each row, the low bytes of all codes, and their high bytes, since bytes of a kind compress better.
    """
    finite = np.isfinite(array)
    sizes = np.where(finite, np.abs(array), np.float32(0))
    largest = sizes.max(-1, keepdims=True, initial=0)
    share = np.divide(sizes, largest, out=np.zeros_like(sizes), where=largest > 0)
    codes = np.rint(LEVELS + LEVELS * np.copysign(np.sqrt(share), np.where(finite, array, 0))).astype("<u2")
    codes[~finite] = np.where(np.isposinf(array[~finite]), INFINITE, NOT_A_NUMBER)
    data = largest.astype("<f4").tobytes() + (codes & 255).astype("u1").tobytes() + (codes >> 8).astype("u1").tobytes()
    return {"dtype": ROUNDED, "shape": list(array.shape), "data": base64.b64encode(data).decode("ascii")}


def decode_array(value: Any) -> np.ndarray:
    """The array that `encode_array` wrote; an array is returned as it is. What `encode_rounded` wrote becomes float32.

    Raises:
        ValueError: an object that is not an encoded array, or whose data does not have the length of its shape.
    """
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise ValueError('an array is an object with "dtype", "shape" and "data"')
    if value["dtype"] not in (*DTYPES, ROUNDED):
        raise ValueError(f"the dtype of an array is one of {', '.join(DTYPES)}, not {value['dtype']!r}")
    shape = value["shape"]
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(map(_is_size, shape)):
        raise ValueError("the shape of an array is a list of whole numbers, 0 or more")
    if not isinstance(value["data"], str):
        raise ValueError("the data of an array is base64 text")
    data = base64.b64decode(value["data"], validate=True)
    if value["dtype"] == ROUNDED:
        return _from_rounded(data, shape)
    dtype = np.dtype(value["dtype"]).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"an array of shape {shape} has {expected} bytes of data, not {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape).astype(value["dtype"])


def _from_rounded(data: bytes, shape: list[int]) -> np.ndarray:
    rows, numbers = math.prod(shape[:-1]), math.prod(shape)
    if len(data) != 4 * rows + 2 * numbers or not shape:
        raise ValueError(
            f"a rounded array of shape {shape} has {4 * rows + 2 * numbers} bytes of data, not {len(data)}"
        )
    largest = np.frombuffer(data, "<f4", rows).reshape(*shape[:-1], 1)
    low, high = np.frombuffer(data, np.uint8, 2 * numbers, 4 * rows).reshape(2, *shape)
    codes = low + high.astype(np.int32) * 256
    share = ((codes - LEVELS) / np.float32(LEVELS)).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.copysign(share * share, share) * largest
    values[codes == NOT_A_NUMBER] = np.nan
    values[codes == INFINITE] = np.inf
    return values.astype(np.float32)


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
