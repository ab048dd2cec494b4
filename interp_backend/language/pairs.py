"""Data sets of prompt pairs, made from Python objects, a table, a file, a template, or the built-in tasks."""

from __future__ import annotations

import csv
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model import LanguageModel
from .prompts import PromptPair, as_pair
from .tasks import templates

if TYPE_CHECKING:
    import pandas

FIELDS = ("clean", "corrupt", "clean_answer", "corrupt_answer", "score_first_token")
MOST = 10_000


class PromptPairs:
    """A data set of prompt pairs, for means and intervals over them.

    Args:
        pairs: `PromptPair`s, or dictionaries of their fields.

    Raises:
        ValueError: the list is empty, or a dictionary has fields that a pair does not have.
    """

    def __init__(self, pairs: Sequence[PromptPair | Mapping[str, Any]]):
        if isinstance(pairs, (str, PromptPair, Mapping)) or not isinstance(pairs, Iterable):
            raise TypeError(f"A data set is a list of PromptPair or of dictionaries, not {type(pairs).__name__}.")
        self.pairs = [_pair(i, pair) for i, pair in enumerate(pairs)]
        if not self.pairs:
            raise ValueError("The data set is empty: give one pair or more.")
        if len(self.pairs) > MOST:
            raise ValueError(f"The data set has {len(self.pairs)} pairs, and at most {MOST} can be run at once.")

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[PromptPair]:
        return iter(self.pairs)

    def __getitem__(self, index: int) -> PromptPair:
        return self.pairs[index]

    def __repr__(self) -> str:
        return f"PromptPairs({len(self.pairs)} pairs, the first {self.pairs[0]!r})"

    @classmethod
    def from_dataframe(cls, table: pandas.DataFrame) -> PromptPairs:
        """Make one pair from each row. Columns are named like the fields of a pair; `clean` and `corrupt` are required.

        Raises:
            ValueError: a column is missing, or a prompt is empty.
        """
        columns = [name for name in FIELDS if name in table.columns]
        for name in ("clean", "corrupt"):
            if name not in columns:
                found = ", ".join(map(str, table.columns)) or "none"
                raise ValueError(f"The table has no column {name!r}; its columns are {found}. Rename one.")
            if list(table.columns).count(name) > 1:
                raise ValueError(f"The table has several columns {name!r}. Rename or drop all but one.")
            empty = table[name].isna() | (table[name] == "")
            if empty.any():
                row = table.index[empty][0]
                raise ValueError(f"The column {name!r} is empty in row {row}. Fill it in, or drop the row.")
        rows = table[columns].itertuples(index=False, name=None)
        records = [dict(zip(columns, row)) for row in rows]
        return cls([{k: _cell(k, v) for k, v in record.items() if not _missing(v)} for record in records])

    @classmethod
    def from_csv(cls, path: str | Path) -> PromptPairs:
        """Read a CSV file in UTF-8, as `from_dataframe` does. Leading spaces of answers are kept.

        Raises:
            ValueError: the file can't be read as a table, or a row has more or fewer fields than the header.
        """
        import pandas

        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
        except (OSError, ValueError, csv.Error) as problem:
            raise ValueError(f"Can't read {path} as a table: {problem}") from None
        # pandas.read_csv would take the first fields of longer rows as row names, and so misread a prompt with a comma.
        for i, row in enumerate(rows):
            if len(row) != len(header):
                raise ValueError(
                    f"Row {i} of {path} has {len(row)} fields and the header {len(header)}. Put texts with commas "
                    "in double quotes."
                )
        return cls.from_dataframe(pandas.DataFrame(rows, columns=header))

    @classmethod
    def from_template(
        cls,
        template: str,
        rows: Sequence[Mapping[str, str]],
        *,
        answer: str,
        corrupt_template: str | None = None,
        corrupt_answer: str | None = None,
    ) -> PromptPairs:
        """Make one pair from each row. The clean prompt is the template filled with the row's words. The corrupt prompt
        is the template filled with the next row's words (the last row takes the first row's), or another template
        filled with the same row.

        Args:
            template: a prompt with slots, such as `"The capital of {country} is"`.
            rows: the words for the slots of each pair, such as `{"country": "Norway", "capital": "Oslo"}`.
            answer: the answer to the clean prompt, with slots: `" {capital}"`.
            corrupt_template: another template for the corrupt prompt.
            corrupt_answer: the answer to the corrupt prompt, with slots; by default `answer`.

        Raises:
            ValueError: a row has no word for a slot, or there are too few rows.
        """
        rows = list(rows)
        if corrupt_template is None and len(rows) < 2:
            raise ValueError("Give two rows or more: each is paired with the next, unless there is a corrupt_template.")
        pairs = []
        for i, row in enumerate(rows):
            other = row if corrupt_template is not None else rows[(i + 1) % len(rows)]
            pairs.append(
                {
                    "clean": _filled(template, row, i),
                    "corrupt": _filled(corrupt_template or template, other, i),
                    "clean_answer": _filled(answer, row, i),
                    "corrupt_answer": _filled(corrupt_answer or answer, other, i),
                }
            )
        return cls(pairs)

    @classmethod
    def from_task(cls, model: LanguageModel, task: str) -> PromptPairs:
        """The pairs of a built-in task: capitals, indirect_objects, induction, years or agreement.

        Raises:
            ValueError: there is no task of this name.
        """
        tasks = {template.name: template.pairs for template in templates(model)}
        if task not in tasks:
            raise ValueError(f"There is no task {task!r}. Choose one of {', '.join(tasks)}.")
        return cls(tasks[task])


def _pair(index: int, pair: Any) -> PromptPair:
    try:
        return as_pair(dict(pair) if isinstance(pair, Mapping) else pair)
    except (TypeError, ValueError) as problem:
        raise type(problem)(f"Pair {index}: {problem}") from None


def _missing(value: Any) -> bool:
    import pandas

    return not isinstance(value, (list, tuple)) and bool(pandas.isna(value))  # the value of an empty cell in a table


def _cell(name: str, value: Any) -> Any:
    if name != "score_first_token":
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas turns a column of whole numbers with gaps into floats
        return value if isinstance(value, (list, tuple)) else str(value)
    return str(value).strip().lower() in ("true", "1", "yes")


def _filled(template: str, row: Mapping[str, str], index: int) -> str:
    """Fill a template with a row's words, without evaluating anything."""
    text = ""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as problem:
        raise ValueError(f"The template {template!r} can't be read: {problem}. Write {{{{ for a brace.") from None
    for literal, slot, _, _ in parts:
        text += literal
        if slot is None:
            continue
        if slot not in row:
            raise ValueError(f"Row {index} has no word for the slot {{{slot}}}; it has {', '.join(row) or 'none'}.")
        text += str(row[slot])
    return text
