"""Heads in attribution graphs: their shares of an edge, and the features behind an attention score."""

from __future__ import annotations

import pytest
import torch
from graph_cases import random_transcoders
from test_attribution_graph import PROMPT, graph_of

import interp_backend as ib
from interp_backend.engine.frozen_linear import FrozenRun
from interp_backend.engine.turn import Turn
from interp_backend.language.loading import load_model
from tiny_models import loud_bridge

IDS = [256, 72, 101, 108, 108]


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox"])
@pytest.mark.parametrize("skip", [False, True])
def test_heads_and_the_direct_path_sum_to_the_edge(architecture, skip):
    raw = loud_bridge(architecture)
    with Turn(load_model(raw)) as turn:
        run = FrozenRun(turn, IDS, random_transcoders(raw, skip=skip))
    last = int((run.layer == 2).nonzero()[-1])
    for start in (run.logit_start([7])[0], run.feature_start(2, [last])[0]):
        direct, heads = run.by_last_head(start)
        whole = run.edges([start])[0][0]
        torch.testing.assert_close(direct + heads.sum((0, 1)), whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))
        assert heads.abs().amax(2).min() > 0 or start.layer < 3


def test_a_head_that_is_switched_off_takes_its_share():
    """The same run with one head's output matrix at zero in the linear map: what is gone is what passes it at all, so
    the shares of the highest layer, after which there is no other head, are gone exactly."""
    raw = loud_bridge("gpt2")
    with Turn(load_model(raw)) as turn:
        run = FrozenRun(turn, IDS, random_transcoders(raw))
    start = run.logit_start([7])[0]
    whole, (_, heads) = run.edges([start])[0][0], run.by_last_head(start)
    for head in range(4):
        write = run.layers[2].write
        run.layers[2].__dict__["write"] = write * (torch.arange(4) != head)[:, None, None]
        without = run.edges([start])[0][0]
        run.layers[2].__dict__["write"] = write
        torch.testing.assert_close(whole - without, heads[2, head], rtol=1e-3, atol=1e-5)


def test_an_edge_of_a_graph_is_opened():
    raw, graph = loud_bridge("gpt2"), graph_of("gpt2")
    target = next(node.id for node in graph.nodes if node.kind == "logit")
    source, weight = next(one for one in graph.inputs(target) if one[0] != "bias")
    found = ib.edge_heads(raw, PROMPT, random_transcoders(raw), source=source, target=target)
    assert found.edge == pytest.approx(weight, rel=1e-4) and "direct" in str(found)
    assert found.direct + found.heads.sum() == pytest.approx(weight, rel=1e-3, abs=1e-5)
    for names in ({"source": "bias", "target": target}, {"source": source, "target": source[:-1] + "x"}):
        with pytest.raises(ValueError, match="no node"):
            ib.edge_heads(raw, PROMPT, random_transcoders(raw), **names)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "bloom"])
def test_both_sides_of_a_score_sum_to_it(architecture):
    raw = loud_bridge(architecture)
    found = ib.score_features(raw, PROMPT, random_transcoders(raw), layer=2, head=3, query=-1, key=2)
    seen = {}
    name = "blocks.2.attn.hook_attn_scores"
    raw.run_with_hooks(
        raw.to_tokens(PROMPT), fwd_hooks=[(name, lambda v, hook: seen.__setitem__(0, v[0, 3, -1, 2].detach()))]
    )
    assert found.score == pytest.approx(float(seen[0]), rel=1e-4)
    assert sum(found.of_query.values()) + found.query_bias == pytest.approx(found.score, rel=1e-3, abs=1e-3)
    assert sum(found.of_key.values()) + found.key_bias == pytest.approx(found.score, rel=1e-3, abs=1e-3)
    assert len(found.of_key) < len(found.of_query) and "score" in str(found)


def test_scores_without_exact_parts_are_refused():
    with pytest.raises(ValueError, match="not linear"):
        ib.score_features(
            loud_bridge("qwen3"), PROMPT, random_transcoders(loud_bridge("qwen3")), layer=1, head=0, query=3, key=1
        )
    with pytest.raises(ValueError, match="comes after"):
        ib.score_features(
            loud_bridge("gpt2"), PROMPT, random_transcoders(loud_bridge("gpt2")), layer=1, head=0, query=1, key=3
        )
