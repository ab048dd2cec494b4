"""What a feature writes and reads, and its strongest examples: against plain loops and folded weights."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from graph_cases import random_transcoders
from hypothesis import given
from hypothesis import strategies as st
from test_model import hooks_on
from test_transcoders import folded, random_set

import interp_backend as ib
from interp_backend.engine.watch import Cancelled, run_watched
from interp_backend.language.transcoders import Activation, Coder, Matrix, Target, Transcoders
from interp_backend.methods import describe_feature as describing
from interp_backend.results.feature_description import Example, FeatureDescription
from tiny_models import CONFIGS, boot, bridge, loud_bridge, loud_model

TEXTS = ["hello there", "general kenobi, hello", "hello there", "a", "so uncivilised!!"]
HOOKS = {"mlp_in": "blocks.{}.mlp.hook_in", "resid_mid": "blocks.{}.hook_resid_mid"}


def activations_by_hand(raw, transcoders, layer, feature, ids):
    """The activation at every token of a prompt, from TransformerLens's own cache and all features encoded."""
    hook = HOOKS[transcoders.reads].format(layer)
    _, kept = raw.run_with_cache(torch.tensor([ids]), names_filter=[hook])
    return transcoders.encode(layer, kept[hook][0]).dense()[:, feature].detach().numpy()


def compared(raw, transcoders, layer, feature, texts, top_k=3, context=2):
    """Describe a feature, and compare all that comes from texts with a plain loop."""
    found = ib.describe_feature(raw, layer, feature, texts, transcoders, top_k=top_k, context=context)
    model = ib.load_model(raw)
    begins, places, values = len(model.prefix()), [], []
    for number, text in enumerate(texts):
        ids = model.to_ids(text)
        whole = activations_by_hand(raw, transcoders, layer, feature, ids)
        own = whole[begins:]
        values += [float(value) for value in own]
        at = max(range(len(own)), key=lambda i: (abs(own[i]), -i)) + begins
        if whole[at]:
            places.append((-abs(float(whole[at])), number, at, ids, whole))
        if begins:
            assert found.at_start == pytest.approx(float(whole[0]), rel=1e-3, abs=1e-5)
    assert found.positions == len(values)
    active = [value for value in values if value]
    assert found.active == len(active) == int(found.counts.sum())
    assert len(found.examples) == min(top_k, len(places))
    # Equal texts differ by rounding where they ran in other batches.
    places.sort(key=lambda one: (round(one[0], 4), one[1]))
    for example, (size, number, at, ids, whole) in zip(found.examples, places):
        assert (example.text, example.position) == (number, at) and abs(example.value) == pytest.approx(-size, 1e-3)
        around = slice(max(begins, at - context), at + context + 1)
        assert example.ids == ids[around] and example.tokens == model.token_texts(ids[around])
        np.testing.assert_allclose(example.activations, whole[around], rtol=1e-3, atol=1e-4)
    if active:
        span = (min(0.0, *active), max(0.0, *active))
        assert found.edges[[0, -1]] == pytest.approx(span, rel=1e-3)
        assert found.share == len(active) / len(values)
    return found


# Examples


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox"])
@pytest.mark.parametrize("kind", ["relu", "jumprelu", "topk", "signed topk"])
def test_examples_are_those_of_a_plain_loop(architecture, kind):
    raw = loud_bridge(architecture)
    for layer, feature in ((0, 3), (2, 5)):
        compared(raw, random_transcoders(raw, kind=kind, cross=layer == 2), layer, feature, TEXTS)


def test_examples_of_the_embedded_model(embedded):
    texts = [f"The capital of {country} is" for country in ("Norway", "Sweden", "Denmark", "France", "Japan")]
    found = compared(embedded.raw, ib.load_transcoders(), 3, 560, texts, top_k=10, context=20)
    assert found.examples[0].marked() == "The capital of Norway[ is]" and len(found.examples) == 4


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_run_stops_at_the_layer_and_reads_the_same(architecture):
    raw = bridge(architecture)
    ran = []
    handles = [block.register_forward_pre_hook(lambda *_, at=at: ran.append(at)) for at, block in enumerate(raw.blocks)]
    try:
        found = ib.describe_feature(raw, 1, 4, "hello there", random_transcoders(raw))
    finally:
        for handle in handles:
            handle.remove()
    assert 1 in ran and ran.count(2) < ran.count(1)  # whatever else runs the model runs it whole
    model = ib.load_model(raw)
    own = activations_by_hand(raw, random_transcoders(raw), 1, 4, model.to_ids("hello there"))[len(model.prefix()) :]
    assert found.active == (own != 0).sum()
    assert [example.value for example in found.examples] == pytest.approx([own.max()] if own.any() else [], rel=1e-3)


def test_a_long_text_is_cut_into_windows():
    raw, text = loud_bridge("gpt2"), "".join(chr(97 + i * i % 26) for i in range(150))
    model = ib.load_model(raw)
    transcoders, room = random_transcoders(raw), model.n_ctx - 1
    [begin, *ids] = model.to_ids(text)
    found = ib.describe_feature(raw, 1, 4, text, transcoders, top_k=10, context=3)
    expected = {}
    for start in range(0, len(ids), room):
        whole = activations_by_hand(raw, transcoders, 1, 4, [begin, *ids[start : start + room]])
        at = int(whole[1:].argmax())
        expected[1 + start + at] = float(whole[1 + at])
    assert found.positions == len(ids) == 150 and found.texts == 1
    got = {example.position: example.value for example in found.examples}
    assert got == pytest.approx({at: value for at, value in expected.items() if value}, rel=1e-3)
    for example in found.examples:
        assert example.ids == ids[example.start - 1 :][: len(example.ids)]
    bare = ib.describe_feature(raw, 1, 4, text, transcoders, prepend_bos=False)
    assert bare.positions == 150 and bare.at_start is None


def test_no_hook_stays_behind():
    raw = loud_bridge("gpt2")
    found = []
    for _ in range(2):  # a first run adds hooks of TransformerLens's own
        ib.describe_feature(raw, 1, 4, TEXTS, random_transcoders(raw))
        found.append(hooks_on(raw))
    assert found[0] == found[1]


def test_what_equals_comes_in_the_order_of_the_texts():
    raw = loud_bridge("gpt2")
    found = ib.describe_feature(raw, 1, 4, ["hello", "hello", "hello", "hello"], random_transcoders(raw), top_k=2)
    assert [example.text for example in found.examples] == [0, 1]


def constant_set(raw, bias):
    """One feature for each layer that is as active everywhere as its bias says."""
    width, layers = raw.cfg.d_model, range(raw.cfg.n_layers)
    coders = {
        layer: Coder(
            Matrix.of(torch.zeros(1, width), "e"),
            torch.tensor([bias]),
            {layer: Matrix.of(torch.eye(width)[:1], "d")},
            Activation("relu"),
        )
        for layer in layers
    }
    return Transcoders("c", "t", width, "mlp_in", "mlp_out", coders, {at: Target(torch.zeros(width)) for at in layers})


def test_a_dead_feature_is_a_result():
    raw = loud_bridge("gpt2")
    dead = ib.describe_feature(raw, 1, 0, TEXTS, constant_set(raw, -1.0))
    assert (dead.active, dead.examples, dead.share) == (0, [], 0.0) and len(dead.counts) == len(dead.edges) == 0
    assert "active nowhere in these texts" in dead.every_warning()[0] and "active nowhere" in repr(dead)
    assert ib.read_result(dead.to_json()).to_json() == dead.to_json()
    everywhere = ib.describe_feature(raw, 1, 0, TEXTS, constant_set(raw, 1.5))
    assert everywhere.share == 1.0 and everywhere.at_start == 1.5 and not everywhere.every_warning()
    assert [example.position for example in everywhere.examples] == [1] * len(TEXTS)


def test_without_texts_the_weights_are_read():
    raw = loud_bridge("gpt2")
    found = ib.describe_feature(raw, 1, 4, transcoders=random_transcoders(raw))
    assert found.share is None and found.positions == found.texts == 0 and len(found.promoted) == 10
    assert not found.every_warning() and found.provenance["complete"] is True and found.plot() is not None


def test_steps_begin_with_the_weights_and_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(describing, "POSITIONS_A_PASS", 1)
    raw = loud_bridge("gpt2")
    steps = list(ib.describe_feature.steps(raw, 1, 4, TEXTS, random_transcoders(raw)))
    assert steps[0].done == 0 and steps[0].result.promoted and not steps[0].result.examples
    assert [step.done for step in steps] == sorted(step.done for step in steps) and len(steps) == len(TEXTS) + 1
    assert {step.total for step in steps} == {steps[-1].done} == {steps[-1].result.positions}
    assert [step.result.provenance["complete"] for step in steps] == [False] * len(TEXTS) + [True]
    together = ib.describe_feature(raw, 1, 4, TEXTS, random_transcoders(raw))
    assert [one.position for one in together.examples] == [one.position for one in steps[-1].result.examples]
    streaming = ib.describe_feature.steps(raw, 1, 4, TEXTS, random_transcoders(raw))
    next(streaming)
    with pytest.raises(Cancelled):
        run_watched(lambda: next(streaming), cancelled=lambda: True)


# Weights


def ends_of(values, count):
    order = sorted(range(len(values)), key=lambda i: -values[i])
    return order[:count], order[::-1][:count]


@pytest.mark.parametrize("cross", [False, True])
def test_what_is_written_is_the_decoder_through_folded_weights(cross):
    raw = boot(loud_model("gpt2"), "as trained")
    transcoders = random_transcoders(raw, cross=cross)
    found = ib.describe_feature(raw, 0, 7, transcoders=transcoders, tokens=5)
    row = sum(transcoders.coders[0].decoders[layer].opened()[7] for layer in ([0, 1, 2] if cross else [0]))
    logits = (row @ folded().W_U).detach().double()[:256]  # centred over the vocabulary, the final norm's gain in it
    for tokens, ids in zip((found.promoted, found.suppressed), ends_of(logits.tolist(), 5)):
        assert [one.id for one in tokens] == ids
        shift = float((row @ folded().W_U.detach()).mean())
        assert [one.value for one in tokens] == pytest.approx((logits[ids] - shift).tolist(), rel=1e-3, abs=1e-3)
    assert found.writes_to == ([0, 1, 2] if cross else [0])


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom", "gemma"])
@pytest.mark.parametrize("reads", ["mlp_in", "resid_mid"])
def test_what_is_read_is_what_embeddings_add_to_the_pre_activation(architecture, reads):
    raw = loud_bridge(architecture)
    if architecture == "gpt_neox" and reads == "resid_mid":
        pytest.skip("attention and MLP side by side: there is nothing between them")
    transcoders = random_transcoders(raw, reads=reads)
    found = ib.describe_feature(raw, 0, 7, transcoders=transcoders, tokens=100)
    values = {one.id: one.value for one in [*found.excited_by, *found.inhibited_by]}
    encoder = transcoders.coders[0].encoder.opened()[7]

    def read(x):
        if reads == "resid_mid":
            return encoder @ x
        centred = x - x.mean() if architecture in ("gpt2", "gpt_neox", "bloom") else x
        gain = raw.blocks[0].ln2.original_component.weight.detach() + architecture.startswith("gemma")
        return encoder @ (gain * centred)

    for token, value in values.items():
        assert value == pytest.approx(float(read(entering(raw, token))), rel=1e-3, abs=1e-3), token
    assert [one.value for one in found.excited_by] == sorted((o.value for o in found.excited_by), reverse=True)


@cache
def entering(raw, token):
    """What a token adds to the stream that enters the first layer, without its position."""
    _, kept = raw.run_with_cache(torch.tensor([[token]]))
    positions = kept["hook_pos_embed"][0, 0] if "hook_pos_embed" in kept else 0
    return (kept["blocks.0.hook_resid_pre"][0, 0] - positions).detach()


def test_an_input_that_is_scaled_and_shifted_is_read_as_one_that_is_not():
    found = ib.describe_feature(bridge("gpt2"), 0, 7, "hello there", random_set("resid_mid"), tokens=3)
    set_ = random_set("resid_mid")
    row = set_.coders[0].encoder.opened()[7] * set_.coders[0].scale
    added = (bridge("gpt2").W_E @ row)[:256].tolist()
    assert [one.id for one in found.excited_by] == ends_of(added, 3)[0]
    assert [one.value for one in found.inhibited_by] == pytest.approx(
        [added[i] for i in ends_of(added, 3)[1]], rel=1e-3
    )


def test_a_model_as_it_is_and_a_folded_one_are_described_alike():
    found = random_set("normalized", centred=True, folded=True)
    raw = boot(loud_model("gpt2"), "as trained")
    one, other = (ib.describe_feature(which, 1, 7, TEXTS, found, tokens=5) for which in (raw, folded()))
    for kind in ("promoted", "suppressed", "excited_by", "inhibited_by"):
        a, b = getattr(one, kind), getattr(other, kind)
        assert [x.id for x in a] == [x.id for x in b]
        assert [x.value for x in a] == pytest.approx([x.value for x in b], rel=1e-3, abs=1e-3)
    assert [e.position for e in one.examples] == [e.position for e in other.examples]
    assert [e.value for e in one.examples] == pytest.approx([e.value for e in other.examples], rel=1e-2)
    assert one.at_start == pytest.approx(other.at_start, rel=1e-2)


def test_autoencoders_of_what_an_mlp_writes_read_no_embeddings():
    found = ib.describe_feature(bridge("gpt2"), 1, 7, TEXTS, random_set("mlp_out"))
    assert found.excited_by == found.inhibited_by == [] and "embeddings say nothing" in found.note
    assert found.promoted and found.positions == sum(map(len, TEXTS)) and "reads" not in repr(found)


# Refusals, JSON, printing


def test_odd_arguments_are_refused():
    raw = loud_bridge("gpt2")

    def refused(words, *arguments, **options):
        with pytest.raises(ValueError, match=words):
            ib.describe_feature(raw, *arguments, transcoders=random_transcoders(raw), **options)

    refused("no layer 3: there are 3", 3, 0)
    refused("no layer -1", -1, 0)
    refused("no feature 12: there are 12", 0, 12)
    refused("A feature is a whole number", 0, "3")
    refused("texts is a text or a list of texts, not 5", 0, 0, 5)
    refused("texts is a text or a list of texts", 0, 0, ["a", 5])
    refused("nothing to read", 0, 0, "")
    refused("nothing to read", 0, 0, ["", ""])
    refused("top_k is how many examples", 0, 0, top_k=0)
    refused("context is how many", 0, 0, context=-1)
    with pytest.raises(ValueError, match="Say which transcoders"):
        ib.describe_feature(raw, 0, 0)
    with pytest.raises(ValueError, match="no features in layer 0, only in 1"):
        ib.describe_feature(raw, 0, 0, transcoders=random_set(layers=[1]))


def test_a_book_is_not_kept_among_the_parameters():
    raw = loud_bridge("gpt2")
    short = ib.describe_feature(raw, 0, 3, TEXTS, random_transcoders(raw))
    book = ib.describe_feature(raw, 0, 3, ["hello there. " * 2000], random_transcoders(raw))
    assert short.params["texts"] == TEXTS and f"texts={TEXTS!r}" in ib.describe_feature.code(short.params)
    assert book.params["texts"] == {"own": "texts"} and "texts=texts" in ib.describe_feature.code(book.params)
    compile(ib.describe_feature.code(book.params), "code", "exec")


def test_a_table_has_a_row_for_each_token_and_example():
    raw = loud_bridge("gpt2")
    found = ib.describe_feature(raw, 1, 4, TEXTS, random_transcoders(raw), tokens=3)
    table = found.to_dataframe()
    assert table.kind.value_counts().to_dict() == dict.fromkeys(
        ["promoted", "suppressed", "excited by", "inhibited by"], 3
    ) | {"example": len(found.examples)}
    last = table.iloc[-1]
    assert (last.text, last.position, last.value) == (
        found.examples[-1].text,
        found.examples[-1].position,
        found.examples[-1].value,
    )


numbers = st.floats(-1e6, 1e6, width=32)
letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def examples(draw):
    length = draw(st.integers(1, 6))
    return Example(
        text=draw(st.integers(0, 9)),
        start=draw(st.integers(0, 10**6)),
        at=draw(st.integers(0, length - 1)),
        ids=draw(st.lists(st.integers(0, 10**5), min_size=length, max_size=length)),
        tokens=draw(st.lists(letters, min_size=length, max_size=length)),
        activations=np.array(draw(st.lists(numbers, min_size=length, max_size=length)), np.float32),
    )


@given(st.lists(examples(), max_size=4), st.lists(st.integers(0, 99), max_size=5), st.none() | numbers, letters)
def test_a_result_comes_back_bit_for_bit(some, counts, at_start, text):
    token = {"id": 3, "text": text, "value": 0.5}
    found = FeatureDescription(
        layer=1,
        feature=2,
        transcoders={"name": text, "cross_layer": True},
        writes_to=[1],
        promoted=[token],
        suppressed=[],
        excited_by=[token],
        inhibited_by=[],
        note=text,
        examples=some,
        positions=1000,
        active=sum(counts),
        at_start=at_start,
        counts=np.array(counts, np.int32),
        edges=np.arange(len(counts) + 1 if counts else 0, dtype=np.float32),
    )
    again = ib.read_result(found.to_json())
    assert again.to_json() == found.to_json() and type(again) is FeatureDescription
    for one, other in zip(again.examples, some):
        np.testing.assert_array_equal(one.activations, other.activations)
    assert max(map(len, repr(again).splitlines())) <= 110
