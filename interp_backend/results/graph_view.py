"""The part of an attribution graph that a view is sent: its most influential nodes, with all edges between them, from
which a view can prune further by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from .attribution_graph import TOKEN, AttributionGraph
from .codec import encode_array
from .influence import threshold_of

SHARE = 0.95  # of the influence, that the nodes of a view have
MOST_NODES = 300  # features and errors in a view


def part_of(graph: AttributionGraph) -> AttributionGraph:
    """The most influential features and errors, with all tokens, positions and logits. What the others add is in
    `rest`."""
    least = threshold_of(graph.influence, SHARE, graph.total_influence)
    inner = np.flatnonzero((graph.kind < TOKEN) & (graph.influence >= least))
    largest = inner[np.argsort(-graph.influence[inner], kind="stable")][:MOST_NODES]
    return graph.subgraph([graph.ids[at] for at in largest])


def to_view(graph: AttributionGraph) -> dict[str, Any]:
    """The part as JSON, which `read_result` reads, with what a view needs beside it: the nodes' `ids` and `cumulative`
    shares, and in `share` by how much of the influence a view can prune as `pruned` would."""
    part = part_of(graph)
    inner = graph.influence[graph.kind < TOKEN]
    kept = part.influence[part.kind < TOKEN]
    reached = 1.0
    if len(kept) < len(inner):  # all nodes of as much influence are here, of whatever kind
        largest = graph.influence[graph.influence >= kept.min(initial=np.inf)]
        reached = float(largest.sum(dtype=np.float64)) / max(graph.total_influence, 1e-30)
    here = np.isin(graph.ids, part.ids)
    return {
        **part.to_wire(),
        "ids": part.ids,
        "cumulative": encode_array(graph.cumulative[here].astype(np.float32)),
        "share": min(1.0, reached),
    }
