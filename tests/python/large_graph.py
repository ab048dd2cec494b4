"""A graph as large as a view draws, for tests and benchmarks of its picture."""

from __future__ import annotations

import numpy as np

import interp_backend as ib
from interp_backend.results.graph import edges_between, inputs_of

LAYERS, HEADS, EDGES = 24, 20, 5000


def large_graph() -> ib.Graph:
    """A graph with sizes as estimates have them: few large ones, many small ones, of either sign."""
    draws = np.random.default_rng(0)
    layers, heads = range(LAYERS), range(HEADS)
    senders, receivers = ["input"], []
    for layer in layers:
        senders += [*(f"a{layer}.h{head}" for head in heads), f"m{layer}"]
        receivers += [*(f"a{layer}.h{head}<{part}>" for part in "qkv" for head in heads), f"m{layer}"]
    receivers.append("logits")
    real = edges_between(senders, receivers, False)
    sizes = draws.lognormal(-6, 1.2, real.shape) * draws.choice([-1, 1], real.shape)
    # Every node is read and reads, so that none is left out; the other edges are any.
    kept = np.zeros(real.shape, np.uint8)
    reads = inputs_of(senders, receivers)
    for i in range(len(senders)):
        kept[i, draws.choice(np.flatnonzero(real[i]))] = 1
        if i:
            column = draws.choice(np.flatnonzero(reads[i]))
            kept[draws.choice(np.flatnonzero(real[:, column])), column] = 1
    others = np.flatnonzero(real & (kept == 0))
    kept.flat[draws.choice(others, EDGES - int(kept.sum()), replace=False)] = 1
    return ib.Graph(
        senders=senders,
        receivers=receivers,
        scores=np.where(real, sizes, np.nan).astype(np.float32),
        kept=kept,
        metric_label="logit difference",
        baselines={"clean": 3.0, "corrupt": -2.0},
        params={"metric": "logit_diff", "rules": "gradient", "direction": "noise"},
    )
