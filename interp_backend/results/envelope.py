"""What all results have in common: one JSON object, a short text, a picture with its provenance.

The JSON object is the same on the wire, in a saved notebook and in a file. Beside a result's own fields it may hold
derived ones, such as normalized effects, for readers that do not compute; `from_wire` ignores those.
"""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from typing_extensions import Self

    from .pictures import Picture

SCHEMA_VERSION = 1
DEEPEST = 40  # levels of lists and objects; ours have about ten
LISTED = 16  # items of a list that a printed record shows
WIDEST = 110  # characters of a printed line


def refuse_other_version(wire: Any) -> None:
    """Raise ValueError for an object that is not a result, or that has another schema version."""
    if not isinstance(wire, dict) or "schema_version" not in wire:
        raise ValueError("This JSON is not a Hookscope result: it has no schema_version.")
    version = wire["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ValueError(
            f"This result has schema version {shortened(repr(version), 20)}, and this Hookscope reads version "
            f"{SCHEMA_VERSION}. Update Hookscope, or run the method again."
        )


def parse_json(text: str | bytes) -> Any:
    """The object in a result's JSON text.

    Raises:
        ValueError: text that is not JSON, or a constant such as NaN that is not JSON either.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"This is not JSON: {problem}") from None


def refuse_what_json_cannot_hold(value: Any) -> None:
    """Raise ValueError for values that would get in and not out again: half characters, infinite numbers, endless
    nesting."""
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"This JSON is nested more than {DEEPEST} levels deep, so it is not a Hookscope result.")
        if isinstance(one, str):
            _refuse_half_characters(one)
        elif isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            waiting += [(part, depth + 1) for part in one]
        elif isinstance(one, float) and not math.isfinite(one):
            raise ValueError("A number in this result is too large for JSON, which has no infinity.")
        elif one is not None and not isinstance(one, (bool, int, float)):
            raise ValueError(f"A result is read from JSON values, and {type(one).__name__} is not one.")


def _refuse_half_characters(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(
            f"The text {shortened(text, 40)!a} in this result has half a character (a lone surrogate), so it "
            "can't be saved again. Repair the file, or run the method again."
        )


class Record(BaseModel):
    """A part of a result: known fields and no others, but for derived ones, which readers ignore."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    derived: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_derived(cls, wire: Any) -> Any:
        if not isinstance(wire, dict) or cls.derived.isdisjoint(wire):
            return wire
        return {name: value for name, value in wire.items() if name not in cls.derived}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Prints arrays by their shapes and long lists by their lengths."""
        return ((name, _brief(value)) for name, value in super().__repr_args__())


class BaseResult(Record):
    """What every method returns. A subclass is a family of results: it names itself in the field `family`, and in
    `method` the function that made the result.

    Two results are equal only if they are the same object: arrays compare cell by cell, and a widget's trait must
    notice that its result was replaced.

    Attributes:
        id: the id of the task that made this result; empty for a plain call.
        params: the arguments it was made with, by name.
        provenance: the model, versions, the executor, seconds, warnings.
    """

    derived = frozenset({"complete"})

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str = ""
    params: dict[str, Any]
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _provenance_makes_sense(self) -> Self:
        if not isinstance(self.provenance.get("model", {}), dict):
            raise ValueError("provenance.model has to be an object")
        warnings = self.provenance.get("warnings", [])
        if not isinstance(warnings, list) or not all(isinstance(warning, str) for warning in warnings):
            raise ValueError("provenance.warnings has to be a list of sentences")
        return self

    # JSON

    def to_wire(self) -> dict[str, Any]:
        """The result as one object of plain JSON values."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The result as JSON text, which `read_result` or `from_json` of its class reads again, bit for bit."""
        return json.dumps(self.to_wire(), allow_nan=False)

    def save(self, path: str | Path, *, width: float | None = None, font_size: float | None = None) -> Path:
        """Write the result into a file, of the kind that its name ends with.

        Args:
            path: `.svg`, `.png` or `.pdf` for the picture of `plot`, with text as text; `.csv` for the table of
                `to_dataframe`, in which texts that a spreadsheet would take for a formula begin with an apostrophe;
                `.json` for what `read_result` reads again. A file that is there already is replaced.
            width: of a picture, in inches: 3.3 is a column of many papers.
            font_size: of most of a picture's text, in points.

        Returns:
            The path.

        Raises:
            ValueError: another kind of file, a result without a picture or a table, or a size that makes no sense.
        """
        from .files import save_result

        return save_result(self, path, width, font_size)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote, or what a widget or a page stored.

        Raises:
            ValueError: text that is not JSON, another schema version, or a missing, unknown or wrong field.
        """
        return cls.from_wire(parse_json(text))

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """`from_json` for an object that is already parsed."""
        refuse_other_version(wire)
        refuse_what_json_cannot_hold(wire)
        try:
            return cls.model_validate(wire)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"]))
            where = f" at {shortened(field, 60)}" if field else ""
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"This JSON does not hold a whole {cls.__name__}{where}: {said}.") from None

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    # What a notebook or a terminal shows

    def headline(self) -> str:
        """What was measured, in a few words."""
        return type(self).__name__

    def summary(self) -> Iterator[str]:
        """The shape and the most remarkable numbers, a line each."""
        yield from ()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}: {self.headline()}", *(f"  {line}" for line in self.summary())]
        return "\n".join(shortened(line, WIDEST) for line in [*lines, f"  {self.provenance_line()}"])

    __str__ = __repr__

    def provenance_line(self) -> str:
        """The model, how the result was computed, for how long, and how many warnings there are."""
        said, model = self.provenance, self.provenance.get("model", {})
        seconds = said.get("seconds")
        warnings = self.every_warning()
        parts = [
            str(model.get("name") or ""),
            f"weights {model['weights']}" if model.get("weights") else "",
            str(said.get("executor") or ""),
            f"{seconds:.2f} s" if isinstance(seconds, (int, float)) else "",
            "incomplete" if said.get("complete") is False else "",
            f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}: {warnings[0]}" if warnings else "",
        ]
        return " · ".join(filter(None, parts)) or "provenance unknown"

    def every_warning(self) -> list[str]:
        """What has to be known before these numbers are used."""
        own = [getattr(self, "warnings", None), self.provenance.get("warnings")]
        return [str(warning) for some in own if isinstance(some, list) for warning in some]

    def plot(self) -> Picture | None:
        """A still picture that draws itself in a notebook; None for results that are a table."""
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The picture and the provenance as HTML, the summary as text."""
        return {"text/plain": repr(self), "text/html": self._as_html()}

    def _as_html(self) -> str:
        picture, words = self.plot(), html.escape(self.provenance_line())
        if picture is None:
            return f"<pre>{html.escape(repr(self))}</pre>"
        png, size = picture._repr_png_()
        alt = html.escape(f"{type(self).__name__}: {self.headline()}", quote=True)
        source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
        image = f'<img src="{source}" alt="{alt}" width="{size["width"]}" style="max-width: 100%">'
        return f"<figure>{image}<figcaption><small>{words}</small></figcaption></figure>"


def shortened(text: str, most: int) -> str:
    """A text on one line, cut where it is too long."""
    text = " ".join(text.splitlines())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def excerpt(text: str, most: int = 80) -> str:
    """A prompt on one line, without its middle where it is too long: its beginning and its end say what it asks."""
    text = " ".join(text.splitlines())
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half].rstrip()} … {text[-half:].lstrip()}"


def shape_words(axes: Iterable[str], shape: Iterable[int]) -> str:
    """`[layer 4, position 6]`."""
    return f"[{', '.join(f'{axis} {size}' for axis, size in zip(axes, shape))}]"


class _Bare(str):
    """Printed without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _brief(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Bare(f"{value.dtype}{list(value.shape)}")
    if isinstance(value, dict):
        many = len(value) > LISTED
        return _Bare(f"{{{len(value)} items}}") if many else {name: _brief(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return _Bare(f"[{len(value)} items]") if len(value) > LISTED else [_brief(part) for part in value]
    return value
