"""Graphs as a view is sent them, and what `pruned` leaves of them, for the tests of the view's own pruning.

    python tests/python/pruned_graphs.py

writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from interp_backend.results.attribution_graph import AttributionGraph
from interp_backend.results.codec import encode_array
from interp_backend.results.graph_view import to_view

FILE = Path(__file__).parents[1] / "js" / "feature_graph" / "pruned.json"
SHARES = [(0.8, 0.98), (0.4, 0.7), (0.6, 1.0), (0.0, 0.5), (0.9, 0.9)]


def left_of(graph: AttributionGraph, ids: list[str], node: float, edge: float) -> dict[str, Any]:
    """What `pruned` leaves: nodes as indices in `ids`, edges as pairs of them."""
    small = graph.pruned(node, edge)
    at = {name: i for i, name in enumerate(ids)}
    rows, columns = np.nonzero(small.edges[:, :-1])  # influence does not count the bias
    targets = [at[small.ids[i]] for i in small._targets[rows]]
    sources = [at[small.ids[i]] for i in columns]
    return {
        "shares": [node, edge],
        "nodes": [at[name] for name in small.ids],
        "edges": encode_array(np.array(sorted(zip(sources, targets)), dtype=np.int32).reshape(-1, 2)),
    }


def main() -> None:
    from test_attribution_graph import graph_of

    cases = []
    for architecture, cross in (("gpt2", False), ("llama", True)):
        graph = graph_of(architecture, cross=cross, features=8)
        view = to_view(graph) | {"id": f"graph of {architecture}", "provenance": {}}
        cases.append({"graph": view, "left": [left_of(graph, view["ids"], *shares) for shares in SHARES]})
    FILE.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
