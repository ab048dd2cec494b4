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
from .panel import sentence

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
    opening = _opening(listed[0]) if listed and is_opening(listed[0]) else Opening()
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
            yield _replayed(bench, command, keep_pair)
        except (ValueError, TypeError, traitlets.TraitError, RecursionError) as problem:
            where = f"{command.view}, {command.do}" if command.view else command.do
            raise ValueError(f"Command {number} ({where}): {sentence(problem)}") from None


def _replayed(bench: Workbench, command: Command, keep_pair: bool) -> Replayed:
    history = bench._history
    before = history.done
    known = len(before[-1].asked) if len(before) > 1 or command.do != "open" else 0
    old = {panel: panel.error for panel in (bench, *bench.panels)}
    with history.replaying():
        if is_opening(command):
            _open(bench, _opening(command), keep_pair)
        else:
            panel = bench.view_for(command)
            bench.wait()  # a view that was added for it, and whose first result is none of the command's
            known = len(before[-1].asked)
            panel.perform(command.do, command.params)
        whole = bench.wait()
    problem: Any = next((one.error for one in (bench, *bench.panels) if one.error not in (None, old.get(one))), None)
    if problem is not None or not whole:
        raise ValueError(problem["message"] if problem is not None else "It asks for nothing that could be computed.")
    asked = [*before[-1].asked[known:], *(one for entry in history.done[len(before) :] for one in entry.asked)]
    return Replayed(command, [one.result for one in asked if one.result is not None])


def is_opening(command: Command) -> bool:
    """Whether a command opens a workbench; a view has a request of this name too."""
    return command.do == "open" and command.view is None


def _open(bench: Workbench, opening: Opening, keep_pair: bool) -> None:
    if opening.pair is not None and not keep_pair:
        bench.editor.pair = opening.pair
    for kind in opening.views:
        if kind not in bench.kinds:
            bench.add(kind)


def _opening(command: Command) -> Opening:
    try:
        return Opening.model_validate(command.params)
    except ValidationError as problem:
        raise ValueError(
            f"The command that opens can't be read: {problem.errors(include_url=False)[0]['msg']}."
        ) from None
