"""Replaying commands: in a workbench that there is, or in one of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas
import traitlets
from pydantic import BaseModel, ConfigDict, ValidationError

from interp_backend.language.prompts import PromptPair
from interp_backend.results.codec import finite_or_none
from interp_backend.results.envelope import BaseResult

from .commands import Command, as_commands

if TYPE_CHECKING:
    from .workbench import Workbench

SETS_PAIR = ("edit", "set_answer")


class Opening(BaseModel):
    """The parameters of the command that opens a workbench."""

    model_config = ConfigDict(extra="forbid")

    pair: PromptPair | None = None
    views: list[Literal["heatmap", "lens", "attention", "circuit"]] = []


@dataclass
class Replayed:
    """A command that was replayed.

    Attributes:
        results: what it computed, in the order in which the views asked for it: results of methods, and what a view
            derived from several of them.
    """

    command: Command
    results: list[Any] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON, with the numbers of each result as rows of a table."""
        return {"command": self.command.to_json(), "results": [result_to_json(one) for one in self.results]}


def result_to_json(result: Any) -> Any:
    """A result for scripts: what was computed and, as rows, the table of `to_dataframe`."""
    if isinstance(result, BaseResult):
        rows = getattr(result, "to_dataframe", pandas.DataFrame)()
        shown = {
            "method": getattr(result, "method", ""),
            "headline": result.headline(),
            "warnings": result.every_warning(),
        }
        return {**shown, "rows": _rows(rows)}
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, (tuple, list)):
        return [result_to_json(one) for one in result]
    return result


def _rows(table: pandas.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(cell) for name, cell in row.items()} for row in table.to_dict("records")]


def _plain(cell: Any) -> Any:
    cell = cell.item() if hasattr(cell, "item") else cell
    return finite_or_none(cell) if isinstance(cell, float) else cell


def replay(commands: Any, model: Any = None, pair: PromptPair | None = None) -> list[Replayed]:
    """Do again what was done in a workbench, on the same or on another model or pair.

    Args:
        commands: `commands` of a workbench, or JSON text of such a list.
        model: a model that `load_model` returns or accepts; by default the embedded one.
        pair: the pair, in place of all pairs in the commands; by default that of the commands.

    Returns:
        Each command with the results that it led to.

    Raises:
        ValueError: a command can't be read, or can't be carried out on this model or pair.
    """
    return list(replaying_anew(commands, model, pair))


def replaying_anew(commands: Any, model: Any = None, pair: PromptPair | None = None) -> Iterator[Replayed]:
    """As `replay`, each command as soon as it is done."""
    from interp_backend import load_model

    from .workbench import Workbench

    listed = as_commands(commands)
    opening = _opening(listed[0]) if listed and listed[0].do == "open" else Opening()
    bench = Workbench(load_model() if model is None else model, pair or opening.pair, views=opening.views)
    try:
        yield from replaying(bench, listed, keep_pair=pair is not None)
    finally:
        bench.close()


def replaying(bench: Workbench, commands: Sequence[Command], keep_pair: bool) -> Iterator[Replayed]:
    """Do what commands say in a workbench, each waited for."""
    for number, command in enumerate(commands, 1):
        if keep_pair and command.do in SETS_PAIR:
            continue
        try:
            yield _replayed(bench, command)
        except (ValueError, traitlets.TraitError) as problem:
            where = f"{command.view}, {command.do}" if command.view else command.do
            raise ValueError(f"Command {number} ({where}): {problem}") from None


def _replayed(bench: Workbench, command: Command) -> Replayed:
    history = bench._history
    before = len(history.done)
    if command.do == "open":
        before -= 1  # the workbench's own opening stands for it
        for kind in _opening(command).views:
            if kind not in bench.kinds:
                bench.add(kind)
    else:
        bench.view_for(command).perform(command.do, command.params)
    whole = bench.wait()
    problem: Any = next((panel.error for panel in (bench, *bench.panels) if panel.error), None)
    if problem is not None or not whole:
        raise ValueError(problem["message"] if problem is not None else "It asks for nothing that could be computed.")
    return Replayed(command, [result for entry in history.done[before:] for result in entry.results()])


def _opening(command: Command) -> Opening:
    try:
        return Opening.model_validate(command.params)
    except ValidationError as problem:
        raise ValueError(
            f"The command that opens can't be read: {problem.errors(include_url=False)[0]['msg']}."
        ) from None
