"""Several interventions in one run, and anything at all."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interp_backend as ib
from interp_backend import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from intervention_loop import DATA, LENGTH, LOOSE, PAIR, VECTOR, change_of, logits_of, model_of
from plain_loop import HOOKS, PER_HEAD, assert_close, logit_diff, runs_of, token
from tiny_models import bridge

V = VECTOR[:32]
TOGETHER = {
    "different layers and positions": [
        Intervention("attn_out", 0, position=3),
        Intervention("mlp_out", 2, position=5),
        Intervention("z", 1, head=2, value=Zero()),
    ],
    "several that count as one": [
        [Intervention("resid_pre", 1, position=2), Intervention("resid_pre", 1, position=4)],
        Intervention("k", 1, head=1, position=(1, 3)),
    ],
    "a later one that puts back what was there": [
        Intervention("resid_pre", 0, position=2),
        Intervention("attn_out", 1, value=FromPrompt(text=PAIR.corrupt)),
        Intervention("mlp_out", 1, value=FromPrompt(text=PAIR.corrupt)),
    ],
    "entries and neurons": [
        Intervention("pattern", 0, head=1, position=3, source=2),
        Intervention("pattern", 1, head=3, position=(4, 5), source=(0, 2), value=Scale(factor=0.5)),
        Intervention("mlp_post", 2, neuron=(3, 5, 60), value=Zero()),
        Intervention("mlp_post", 0, position=-1, neuron=7),
    ],
    "the same twice": [
        Intervention("resid_pre", 1, position=3, value=Add(vector=V)),
        Intervention("resid_pre", 1, position=3, value=Add(vector=V)),
    ],
    "one inside another": [
        Intervention("mlp_out", 1, value=Add(vector=V)),
        Intervention("mlp_out", 1, position=(3, 4), value=Add(vector=V)),
        Intervention("mlp_out", 1, position=4, value=Scale(factor=2)),
    ],
    "zero and then add": [
        Intervention("attn_out", 1, position=3, value=Zero()),
        Intervention("attn_out", 1, position=3, value=Add(vector=V)),
    ],
    "add and then zero": [
        Intervention("attn_out", 1, position=3, value=Add(vector=V)),
        Intervention("attn_out", 1, position=3, value=Zero()),
    ],
    "there and back and there": [
        [Intervention("z", 1, head=0, value=Zero()), Intervention("z", 1, head=0, value=Add(vector=V[:8]))],
        [Intervention("z", 1, head=0, value=Add(vector=V[:8])), Intervention("z", 1, head=0, value=Zero())],
        Intervention("z", 1, head=0, position=3, value=Add(vector=V[:8])),
    ],
    "two pairs that end alike": [
        [
            Intervention("mlp_out", 1, position=3, value=Zero()),
            Intervention("mlp_out", 1, position=3, value=Add(vector=V)),
        ],
        [
            Intervention("mlp_out", 1, position=3, value=FromPrompt(text="third")),
            Intervention("mlp_out", 1, position=3, value=Add(vector=V)),
        ],
    ],
    "what leaves a block and what enters the next": [
        Intervention("resid_pre", 1, position=3, value=Zero()),
        Intervention("resid_post", 0, position=3, value=Add(vector=V)),
        Intervention("resid_post", 0, position=2, value=Add(vector=V)),
    ],
    "two of the embeddings": [
        Intervention("embed", 0, position=(3, 4), value=Add(vector=V)),
        Intervention("embed", 0, position=4, value=Add(vector=V, factor=0.5)),
        Intervention("embed", 0, position=2),
    ],
    "the embeddings and what enters the first block": [
        Intervention("resid_pre", 0, position=4, value=Scale(factor=0.5)),
        Intervention("embed", 0, position=4, value=FromPrompt(text="third")),
        Intervention("embed", 0, position=3, value=Scale(factor=-1)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("case", TOGETHER)
def test_several_interventions_equal_a_plain_loop(architecture, case):
    """Together and each alone; where they meet, one changes what the one before it left."""
    raw = bridge(architecture)
    base, other = runs_of(raw, PAIR)
    parts = [part if isinstance(part, list) else [part] for part in TOGETHER[case]]
    result = ib.patch_together(model_of(architecture), PAIR, TOGETHER[case], top_k=2)
    assert result.axes == ("run",) and result.provenance["executor"] == "packed"
    runs = [[one for part in parts for one in part], *parts]
    expected = [logit_diff(raw, logits_of(architecture, base, other, some), PAIR) for some in runs]
    assert_close(result.values, expected)
    joint = logits_of(architecture, base, other, runs[0])
    np.testing.assert_array_equal(result.top.ids[0], joint.topk(2).indices)
    with mock.patch("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test"):
        whole = ib.patch_together(model_of(architecture), PAIR, TOGETHER[case])
    assert whole.provenance["executor"] == "hooks"
    assert_close(whole.values, expected)


def test_steering_the_same_place_twice_is_steering_it_once_by_twice_as_much():
    once = Intervention("resid_pre", 1, position=3, value=Add(vector=V))
    twice = Intervention("resid_pre", 1, position=3, value=Add(vector=V, factor=2))
    result = ib.patch_together(model_of("gpt2"), PAIR, [once, once])
    assert_close(result.values[0], ib.patch_together(model_of("gpt2"), PAIR, [twice]).values[0])
    assert abs(result.normalized[0] - result.normalized[1]) > 1e-3


def test_a_direction_and_resampling_act_on_several_too():
    model, ones = model_of("llama"), [Intervention("z", 1, head=1), Intervention("mlp_out", 2, position=-1)]
    raw = bridge("llama")
    base, other = runs_of(raw, PAIR, "noise")
    noise = ib.patch_together(model, PAIR, ones, direction="noise", metric=["logit_diff", ("logit", 3)])
    expected = base.changed(*(change_of("llama", base, other, one) for one in ones))
    assert noise.values[0] == pytest.approx(logit_diff(raw, expected[-1], PAIR), abs=1e-5)
    assert noise.by_metric("logit@3").values[0] == pytest.approx(float(expected[3, token(raw, "a")]), abs=1e-5)
    drawn = [one.model_copy(update={"value": Resample(prompts=DATA, draws=4)}) for one in ones]
    each = [
        ib.patch_together(model, PAIR, [one.model_copy(update={"value": FromPrompt(text=t)}) for one in ones])
        for t in DATA
    ]  # both are drawn from one prompt at a time
    assert_close(ib.patch_together(model, PAIR, drawn).values, np.mean([one.values for one in each], axis=0))


@pytest.mark.parametrize(
    "interventions, sentence",
    [
        ([], "Give a list of 1 to 2000"),
        ([[]], "none of them empty"),
        (Intervention("z", 0), "Give a list of 1 to 2000"),
        ("z", "Give a list"),
        ([{"activation": "z", "layer": 0}], "is an Intervention"),
        ([None], "is an Intervention"),
        ([Intervention("resid", 0)], "There is no activation 'resid'"),
        ([Intervention("z", 3)], "There is no layer 3: there are 3, so give 0 to 2"),
        ([Intervention("z", 0, head=4)], "There is no head 4"),
        ([Intervention("z", 0, position=6)], "There is no position 6"),
        ([Intervention("z", 0, neuron=1)], "z has no neuron"),
        ([Intervention("resid_pre", 0, head=1)], "resid_pre has no head"),
        ([Intervention("mlp_post", 0, source=1)], "mlp_post has no source"),
        ([Intervention("mlp_post", 0, neuron=9999)], "There is no neuron 9999"),
        ([Intervention("pattern", 0, source=6)], "There is no source 6"),
        ([Intervention("embed", 1)], "There is no layer 1"),
        ([Intervention("z", 0), Intervention("z", 1, position=())], "an empty list of positions"),
        ([Intervention("mlp_post", 1, neuron=())], "an empty list of neurons"),
        ([Intervention("z", 0, value=Mean(prompts=LOOSE))], "needs prompts of 6 tokens"),
    ],
)
def test_interventions_that_make_no_sense_are_refused_in_a_sentence(interventions, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.patch_together(model_of("gpt2"), PAIR, interventions)


numbers = st.floats(-2, 2, allow_subnormal=False).map(lambda x: round(x, 3))


@st.composite
def interventions(draw):
    activation = draw(st.sampled_from(sorted(HOOKS)))
    layer = 0 if activation == "embed" else draw(st.integers(0, 2))
    position = draw(st.none() | st.integers(-LENGTH, LENGTH - 1) | st.sampled_from([(1, 4), (2, 3, -1)]))
    place = {}
    if activation in PER_HEAD:
        place["head"] = draw(st.integers(0, 1) if activation == "pattern" else st.none() | st.integers(0, 1))
    if activation == "pattern":
        place["source"] = draw(st.none() | st.integers(0, LENGTH - 1) | st.just((0, 2)))
    if activation == "mlp_post":
        place["neuron"] = draw(st.none() | st.integers(0, 63) | st.just((1, 2, 40)))
    value = draw(
        st.one_of(
            st.just(FromOther()),
            st.just(Zero()),
            st.builds(Scale, factor=numbers),
            st.builds(Add, factor=numbers),
            st.builds(FromPrompt, text=st.sampled_from(DATA)),
            st.just(Mean(prompts=DATA)),
        )
    )
    return Intervention(activation, layer, position=position, value=value, **place)


@settings(max_examples=20)
@given(
    st.sampled_from(["gpt2", "llama", "gemma2"]),
    st.lists(interventions() | st.lists(interventions(), min_size=1, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["denoise", "noise"]),
    st.none() | st.integers(0, LENGTH - 1),
    st.sampled_from([None, 1]),
)
def test_any_interventions_give_what_a_plain_loop_gives_packed_or_not(architecture, parts, direction, at, memory):
    raw = bridge(architecture)
    base, other = runs_of(raw, PAIR, direction)
    options = {"direction": direction, "at": at, "memory": memory}
    packed = ib.patch_together(model_of(architecture), PAIR, parts, **options)
    with mock.patch("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test"):
        whole = ib.patch_together(model_of(architecture), PAIR, parts, **options)
    assert (packed.provenance["executor"], whole.provenance["executor"]) == ("packed", "hooks")
    lists = [part if isinstance(part, list) else [part] for part in parts]
    runs = [[one for part in lists for one in part], *lists]
    read = len(base) - 1 if at is None else at
    for i, some in enumerate(runs):
        logits = base.changed(*(change_of(architecture, base, other, one) for one in some))[read]
        largest = float(logits.abs().max())
        for result in (packed, whole):
            assert abs(result.values[i] - logit_diff(raw, logits, PAIR)) <= 1e-4 * largest
