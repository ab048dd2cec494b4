"""Checks of arguments: numbers become NumPy arrays, and tokens lists of texts. Errors are one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Sized
from contextlib import suppress
from typing import Any

import numpy as np

from interp_backend.results.codec import encode_array

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # lone surrogates are not text and would break the message
_HINT = "give texts, such as model.to_str_tokens(prompt)"


def numbers(value: Any, name: str, axes: Sequence[str]) -> np.ndarray:
    """Numbers as a float32 or float64 array with these axes; further axes must be of length one.

    Args:
        value: nested lists, a numpy array, a tensor of any device and type, or lists of them. None and NaN mean that
            there is no number.
        name: the name of the argument.
        axes: the names of the axes, such as ("token", "layer", "neuron").

    Raises:
        TypeError: the value holds something that is not a real number.
        ValueError: the value is ragged, or has another number of axes.
    """
    wanted = f"give [{' × '.join(axes)}]"
    array = _real(_array(value, name, wanted), name)
    while array.ndim > len(axes) and array.shape[0] == 1:
        array = array[0]  # a batch of one
    while array.ndim > len(axes) and array.shape[-1] == 1:
        array = array[..., 0]  # a column
    if array.ndim != len(axes):
        raise ValueError(f"{name} has the shape {list(array.shape)}; {wanted}.")
    return array


def _array(value: Any, name: str, wanted: str) -> np.ndarray:
    if value is None or isinstance(value, (str, bytes, dict, set)):
        raise TypeError(f"{name} is {_kind(value)}; {wanted}: a list, a numpy array or a tensor.")
    if is_tensor(value) and value.is_complex():
        raise TypeError(f"{name} is complex; give its real part or its size.")
    for thorough in (False, True):  # the second attempt is slow
        with suppress(ValueError, TypeError, RuntimeError):
            return np.asarray(_without_tensors(value, thorough))
    raise ValueError(f"{name} is ragged: its parts are not equally long; {wanted}.")


def is_tensor(value: Any) -> bool:
    """A torch tensor, without importing torch."""
    return hasattr(value, "detach") and hasattr(value, "cpu")


def _without_tensors(value: Any, thorough: bool) -> Any:
    if isinstance(value, (list, tuple)):
        return [_without_tensors(part, thorough) for part in value] if thorough or _holds_tensors(value) else value
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype(float), np.nan)
    if not is_tensor(value):
        return value
    here = value.detach().cpu()
    # numpy lacks bfloat16, and half precision is too coarse to compute with; whole numbers stay exact as doubles.
    exact = str(here.dtype) in ("torch.float64", "torch.int64", "torch.int32")
    return (here.double() if exact else here.float()).numpy()


def _holds_tensors(value: Any) -> bool:
    """Whether the first number is a tensor or masked: lists are searched only if necessary."""
    while isinstance(value, (list, tuple)):
        if len(value) == 0:
            return False
        value = value[0]
    return is_tensor(value) or isinstance(value, np.ma.MaskedArray)


def _real(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.float32:
        return array
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind == "O" and not any(isinstance(item, (str, bytes)) for item in array.flat):
        with suppress(TypeError, ValueError):
            return array.astype(np.float64)
    raise TypeError(f"{name} holds something that is not a real number; give numbers.")


def texts(value: Any, name: str) -> list[str]:
    """A list of tokens.

    Raises:
        TypeError: the value is a single text, or holds something that is not text.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {_kind(value)} and not a list; {_HINT}.")
    return [_text(item, f"{name}[{i}]") for i, item in enumerate(value)]


def _text(item: Any, name: str) -> str:
    if not isinstance(item, str):
        raise TypeError(f"{name} is {_kind(item)}; {_HINT}.")
    return _LONE_SURROGATE.sub("\ufffd", item)


def parts(value: Any, name: str) -> list[Any]:
    """The parts of a list, an array or a tensor, along its first axis.

    Raises:
        TypeError: the value is none of these.
    """
    if isinstance(value, (str, bytes, dict, set)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {_kind(value)} and not a list.")
    return list(value)


def menus(*axes: tuple[str, Sequence[str] | None, int]) -> dict[str, Any]:
    """The menus of a figure, as JSON: their names, the labels of their entries, and how many entries they have.

    As in CircuitsVis, labels that are not as many as the entries are left out, with a warning.
    """
    labels: list[list[str] | None] = []
    warnings: list[str] = []
    for name, given, count in axes:
        texts_of = None if given is None else [str(label) for label in given]
        fits = texts_of is None or len(texts_of) == count
        labels.append(texts_of if fits else None)
        if texts_of is not None and not fits:
            warnings.append(f"There are {len(texts_of)} labels for {count} of {name!r}, so numbers are shown instead.")
    names, _, sizes = zip(*axes)
    return {"names": list(names), "labels": labels, "sizes": list(sizes), "warnings": warnings}


def same_count(tokens: Sized, found: int, what: str, where: str = "") -> None:
    """Raise ValueError unless there is one of `what` for each token."""
    if len(tokens) != found:
        raise ValueError(f"There are {len(tokens)} tokens and {found} {what}{where}; give one for each token.")


def token_ids(value: Any, name: str, vocabulary: int) -> np.ndarray:
    """Token ids [token] as int64.

    Raises:
        TypeError: the ids are not numbers.
        ValueError: the ids are not whole numbers, or not below the size of the vocabulary.
    """
    found = numbers(value, name, ("token",))
    if not np.array_equal(found, np.round(found)):
        raise ValueError(f"{name} holds something that is not a whole number; give token ids.")
    if found.size and not (found.min() >= 0 and found.max() < vocabulary):
        raise ValueError(
            f"{name} goes from {found.min():.0f} to {found.max():.0f}, and the vocabulary has {vocabulary}."
        )
    return found.astype(np.int64)


def number(value: Any, name: str) -> float | None:
    """One finite number, or None.

    Raises:
        TypeError: the value is not a number.
        ValueError: the number is not finite.
    """
    if value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {_kind(value)}; give a number or None.") from None
    if not np.isfinite(found):
        raise ValueError(f"{name} is {found}; give a finite number or None.")
    return found


def color(value: Any, name: str) -> str | None:
    """A CSS colour, as text that only a browser checks.

    Raises:
        TypeError: the value is not text.
    """
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{name} is {_kind(value)}; give a CSS colour as text, such as 'teal' or '#008080'.")


def wire(array: np.ndarray) -> dict[str, Any]:
    """Numbers for a view, exactly: as float32 where that loses nothing, else the bytes of float64 as pairs of int32."""
    with np.errstate(over="ignore"):  # the next line detects values that are too large for float32
        single = array.astype(np.float32)
    if np.array_equal(single.astype(np.float64), array, equal_nan=True):
        return encode_array(single)
    return encode_array(np.ascontiguousarray(array, "<f8").view("<i4").astype(np.int32))


def _kind(value: Any) -> str:
    names = {"NoneType": "None", "str": "one text", "bytes": "bytes", "int": "a number", "float": "a number"}
    return names.get(type(value).__name__, f"of type {type(value).__name__}")
