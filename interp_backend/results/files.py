"""Results as files: pictures for papers, tables for spreadsheets, JSON to read again."""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from .envelope import BaseResult
    from .pictures import Picture

PICTURES = ("svg", "png", "pdf")
KINDS = (*PICTURES, "csv", "json")


def save_result(
    result: BaseResult, path: str | Path, width: float | None = None, font_size: float | None = None
) -> Path:
    """Write a result into a file; see `BaseResult.save`."""
    path = Path(path)
    write_whole(path, content_of(result, kind_of(path, KINDS), width, font_size))
    return path


def kind_of(path: Path, kinds: tuple[str, ...]) -> str:
    """The kind of file that a name asks for.

    Raises:
        ValueError: none of these kinds.
    """
    kind = path.suffix[1:].lower()
    if kind not in kinds:
        known = ", ".join(f".{one}" for one in kinds)
        raise ValueError(f"{path.name!r:.80} says no kind of file that can be written. End it with one of {known}.")
    return kind


def content_of(result: BaseResult, kind: str, width: float | None = None, font_size: float | None = None) -> bytes:
    """A result as the content of a file.

    Raises:
        ValueError: the result has no picture or no table, or a size that no picture can have.
    """
    if kind == "json":
        return result.to_json().encode("utf-8")
    if kind == "csv":
        table: Any = getattr(result, "to_dataframe", None)
        if table is None:
            raise ValueError(f"A {type(result).__name__} is no table. Save it as .json.")
        return _as_csv(table())
    picture = result.plot()
    if picture is None:
        raise ValueError(f"A {type(result).__name__} has no picture. Save it as .csv or .json.")
    _fit(picture, width, font_size)
    return _drawn(picture, kind)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file. An older one is replaced only when the new one is complete."""
    unfinished = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _as_csv(table: pandas.DataFrame) -> bytes:
    # A spreadsheet would take a token such as "=" for the start of a formula.
    for name in table.select_dtypes(["object", "string"]):
        table[name] = [
            f"'{text}" if isinstance(text, str) and text[:1] in "=+-@" and text else text for text in table[name]
        ]
    return table.to_csv(index=False, lineterminator="\n").encode("utf-8", "replace")


def _fit(picture: Picture, width: float | None, font_size: float | None) -> None:
    """Give a picture a width in inches, keeping its shape, and its median text a size in points."""
    from matplotlib.text import Text

    for name, size in (("width", width), ("font_size", font_size)):
        if size is not None and not 0 < size <= 100:
            raise ValueError(
                f"{name} is a positive number of {'inches' if name == 'width' else 'points'}, not {size!r}."
            )
    if width is not None:
        old_width, old_height = picture.get_size_inches()
        picture.set_size_inches(width, old_height * width / old_width)
    if font_size is not None:
        texts: list[Any] = [one for one in picture.findobj(Text) if one.get_text()]  # pyright: ignore[reportArgumentType]
        sizes = sorted(one.get_fontsize() for one in texts)
        for one in texts:
            one.set_fontsize(one.get_fontsize() * font_size / sizes[len(sizes) // 2])


def _drawn(picture: Picture, kind: str) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    # Text stays text, and the same result gives the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "hookscope"}):
        picture.savefig(stream, format=kind, dpi=300, metadata=metadata)
    return stream.getvalue()
