"""Logit lenses as JSON and as tables, and damaged ones."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_logit_lens import TEXT, UNEQUAL, lens_of

import interp_backend as ib
from tiny_models import (
    loud_bridge,
)

# Ways out


def test_a_lens_survives_json_bit_for_bit():
    for result in (lens_of("gpt2"), ib.logit_lens(loud_bridge("gpt2"), UNEQUAL)):
        again = ib.LogitLens.from_json(result.to_json())
        assert again.to_json() == result.to_json()
        for side in result.sides:
            for name in type(result.arrays_of(side)).model_fields:
                ours, theirs = getattr(result.arrays_of(side), name), getattr(again.arrays_of(side), name)
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
        assert again.tokens == result.tokens and again.counterparts == result.counterparts
        assert again.labels == result.labels and again.targets == result.targets


def test_a_lens_without_arrays_is_a_frame_that_says_so():
    frame = ib.LogitLens.model_validate(lens_of("gpt2").to_wire(arrays=False))
    assert frame.labels == lens_of("gpt2").labels and frame.tokens == {}
    with pytest.raises(ValueError, match="Run it again"):
        _ = frame.entropy


def test_a_side_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="prompt, and not 'clean'"):
        lens_of("gpt2").arrays_of("clean")


def places(value, path=()):
    """Every path into a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def damaged(wire, path, change):
    """A copy with another value, or none, at a place."""
    wire = json.loads(json.dumps(wire))
    if not path:
        return None if change is ... else change
    holder = wire
    for key in path[:-1]:
        holder = holder[key]
    if change is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = change
    return wire


SMALL = cache(lambda: json.loads(ib.logit_lens(loud_bridge("gpt2"), UNEQUAL, top_k=2).to_json()))
JUNK = st.sampled_from([..., None, True, -1, 0, 1, 7, 10**20, 1.5, "", "x", "emb", [], [0], {}, {"a": 1}])


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_damaged_lens_is_refused_in_a_sentence_or_is_whole(data):
    wire = SMALL()
    structural = [p for p in places(wire) if not {"params", "provenance"} & set(p[:1])]
    changed = damaged(wire, data.draw(st.sampled_from(structural)), data.draw(JUNK))
    try:
        result = ib.LogitLens.from_json(json.dumps(changed))
    except ValueError as problem:
        assert str(problem)
        return
    # What is let in can be used: every view of it.
    for name, side in result.sides.items():
        assert len(side.tokens) == len(side.ids)
        if side.arrays is None:
            continue
        arrays = result.arrays_of(name)
        assert arrays.entropy.shape == arrays.kl_to_final.shape == (len(result.labels), len(side.ids))
        assert arrays.target_rank.shape[-1] == len(result.targets)
    if all(side.arrays is not None for side in result.sides.values()):
        assert len(result.to_dataframe()) == sum(side.arrays.entropy.size for side in result.sides.values())
    assert ib.LogitLens.from_json(result.to_json()).to_json() == result.to_json()


@pytest.mark.parametrize(
    "path, value, reason",
    [
        (("counterparts",), [0, 1], "fewer than positions"),
        (("counterparts", 0), 99, "no such position"),
        (("counterparts", 0), -1, "no such position"),
        (("sides", "clean", "arrays", "top_ids", "dtype"), "float32", "ids that are no whole numbers"),
        (("sides", "clean", "arrays", "entropy", "dtype"), "int32", "nats that are whole numbers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_lens_that_contradicts_itself_is_refused(path, value, reason):
    with pytest.raises(ValueError):
        ib.LogitLens.from_json(json.dumps(damaged(SMALL(), path, value)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "null", "[" * 100_000])
def test_what_is_no_lens_is_refused(text):
    with pytest.raises(ValueError):
        ib.LogitLens.from_json(text)


def test_one_row_of_the_table_is_one_cell():
    result = ib.logit_lens(loud_bridge("gpt2"), UNEQUAL, targets=["a", "b"])
    table = result.to_dataframe()
    assert len(table) == 4 * (12 + 6)
    some = table[(table.side == "corrupt") & (table.row == "1") & (table.position == 4)].iloc[0]
    arrays = result.arrays_of("corrupt")
    assert some.token == "l" and some.top == result.tokens[int(arrays.top_ids[2, 4, 0])]
    assert (some.prob, some.logit) == (arrays.top_probs[2, 4, 0], arrays.top_logits[2, 4, 0])
    assert (some.entropy, some.kl_to_final) == (arrays.entropy[2, 4], arrays.kl_to_final[2, 4])
    assert some["rank of 'b'"] == arrays.target_rank[2, 4, 1] and some["logit of 'a'"] == arrays.target_logit[2, 4, 0]
    assert some["prob of 'b'"] == arrays.target_prob[2, 4, 1]


def test_it_says_what_was_asked_for():
    result = ib.logit_lens(loud_bridge("gpt2"), TEXT, stream="mlp_out", targets=["a"], top_k=3, last=4)
    wanted = {"stream": "mlp_out", "lens": "logit", "targets": ["a"], "top_k": 3, "last": 4, "prompt": TEXT}
    assert {name: result.params[name] for name in wanted} == wanted
    assert result.provenance["model"]["n_layers"] == 3 and result.provenance["seconds"] > 0
