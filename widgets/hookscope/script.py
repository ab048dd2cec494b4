"""What was computed in a workbench, as one Python script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interp_backend import transformerlens_code
from interp_backend.common.code import Said, session_code
from interp_backend.common.method import Call
from interp_backend.language.model import LanguageModel
from interp_backend.results.attribution_graph import AttributionGraph
from interp_backend.results.envelope import BaseResult
from interp_backend.results.graph import Graph
from interp_backend.results.step import last_result

from .history import Entry


def session_script(entries: Sequence[Entry], model: LanguageModel, over: str) -> str:
    """Every call that the entries led to, each once.

    Args:
        over: "interp_backend" or "transformerlens".
    """
    runs = runs_of(entries)
    if over == "interp_backend":
        said = [
            Said(
                words, call.method, _params(call, result), _graphs_of(call, [(one, made) for _, one, made in runs[:at]])
            )
            for at, (words, call, result) in enumerate(runs)
        ]
        return session_code(said, model.code)
    return "\n\n".join(_plain_script(words, call, result, model) for words, call, result in runs)


def _plain_script(words: str, call: Call, result: BaseResult | None, model: LanguageModel) -> str:
    """The script of one call over TransformerLens alone, which stands for itself; or why there is none."""
    try:
        made = result or last_result(call.steps())
        script = transformerlens_code(made if isinstance(made, BaseResult) else call, model)
    except ValueError as problem:
        script = f"# No script over TransformerLens alone: {problem}"
    return "\n".join([*(f"# {line}" for line in words.splitlines()), script])


def runs_of(entries: Sequence[Entry]) -> list[tuple[str, Call, BaseResult | None]]:
    """Every call that the entries led to, each once: what was done, the call, and its result if that is known."""
    known: list[Any] = []
    runs: list[tuple[str, Call, BaseResult | None]] = []
    for entry in entries:
        words = f"{entry.command.view}: {entry.words}" if entry.command.view else entry.words
        for call, result in entry.runs():
            if (key := _key(call)) not in known:
                known.append(key)
                runs.append((words, call, result))
                words = ""
    return runs


def _key(call: Call) -> tuple[Any, ...]:
    """What tells calls apart: of the graphs that they take, JSON has only the names."""
    graphs = [(name, one) for name, one in call.arguments.items() if isinstance(one, Graph)]
    return call.to_json(), [(name, one.kept.tobytes(), one.scores.tobytes()) for name, one in graphs]


def _graphs_of(call: Call, before: Sequence[tuple[Call, Any]]) -> list[str]:
    """The lines that define the graphs that a call takes, from results that were computed before."""
    lines: list[str] = []
    for name in ("circuit", "start", "beside"):
        graph = call.arguments.get(name)
        if not isinstance(graph, Graph):
            continue
        made = [at for at, (one, _) in enumerate(before) if one.method.name == graph.method]
        same = [at for at in made if _has_scores_of(before[at][1], graph)] or made
        if same:
            lines += _graph_lines(name, graph, f"results[{same[-1]}]")
    traced = call.arguments.get("graph")
    if isinstance(traced, AttributionGraph):
        same = [at for at, (_, made) in enumerate(before) if _is_graph(made, traced)]
        lines += [f"graph = results[{at}]" for at in same[-1:]]
    return lines


def _is_graph(result: Any, graph: AttributionGraph) -> bool:
    return (
        isinstance(result, AttributionGraph) and result.ids == graph.ids and np.array_equal(result.edges, graph.edges)
    )


def _has_scores_of(result: Any, graph: Graph) -> bool:
    return isinstance(result, Graph) and np.array_equal(result.scores, graph.scores, equal_nan=True)


def _graph_lines(name: str, graph: Any, result: str) -> list[str]:
    if graph.size == graph.edges:
        return [f"{name} = {result}"]
    if graph.thresholds:
        found = (one for one in graph.thresholds if (graph.at(one).kept == graph.kept).all())
        return [f"{name} = {result}.at({next(found)!r})"]
    names = [f"        {edge!r}," for edge in graph.names]
    return [f"{name} = {result}.with_edges(", "    [", *names, "    ]", ")"]


def _params(call: Call, result: BaseResult | None) -> Mapping[str, Any]:
    """The arguments of a call, with the share of the cells that were run if a long sweep ended early."""
    asked = call.method.to_params(call.arguments)
    early = {} if result is None else {name: some for name, some in result.params.items() if name == "exact"}
    return {**asked, **early}
