"""Attention results: JSON, tables, pictures and code."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from test_attention import KINDS, TEXT, UNEQUAL, WINDOW, attention_of
from test_results import strict_json
from transformer_lens.model_bridge import TransformerBridge

import interp_backend as ib
from interp_backend.methods.attention_patterns import attention_patterns
from interp_backend.results.attention import QUANTITIES, AttentionPatterns, AttentionSide
from tiny_models import CONFIGS, boot, byte_tokenizer, loud_bridge, random_model

# What is returned


@st.composite
def any_attention(draw):
    layers, heads = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    two = draw(st.booleans())

    def side():
        length = draw(st.integers(1, 4))
        cells = (layers, heads, length, length)
        return AttentionSide(
            text=draw(st.text(max_size=5)),
            ids=draw(st.lists(st.integers(0, 10**6), min_size=length, max_size=length)),
            tokens=draw(st.lists(st.text(max_size=3), min_size=length, max_size=length)),
            values=draw(arrays.arrays(np.float32, cells)),  # any bits: NaN, infinities, minus zero
            masked=draw(arrays.arrays(np.uint8, (layers, length, length), elements=st.integers(0, 1))),
            scores=draw(st.dictionaries(st.sampled_from("ab"), arrays.arrays(np.float32, (layers, heads)))),
        )

    sides = {"clean": side(), "corrupt": side()} if two else {"prompt": side()}
    counterparts = None
    if two:
        places = st.none() | st.integers(0, len(sides["corrupt"].ids) - 1)
        clean = len(sides["clean"].ids)
        counterparts = draw(st.none() | st.lists(places, min_size=clean, max_size=clean))
    return AttentionPatterns(
        kind=draw(st.sampled_from(KINDS)),
        params={},
        layers=list(range(layers)),
        heads=list(range(heads)),
        key_value_heads=draw(st.none() | st.lists(st.integers(0, 3), min_size=heads, max_size=heads)),
        sides=sides,
        counterparts=counterparts,
        warnings=draw(st.lists(st.text(max_size=5), max_size=2)),
    )


@settings(max_examples=60)
@given(any_attention())
def test_a_result_survives_json_bit_for_bit(result):
    text = result.to_json()
    strict_json(text)
    again = AttentionPatterns.from_json(text)
    assert again.to_json() == text and again.model_dump(exclude={"sides"}) == result.model_dump(exclude={"sides"})
    for name, side in result.sides.items():
        other = again.sides[name]
        assert (other.text, other.ids, other.tokens) == (side.text, side.ids, side.tokens)
        assert other.values.tobytes() == side.values.tobytes() and other.masked.tobytes() == side.masked.tobytes()
        assert {n: p.tobytes() for n, p in other.scores.items()} == {n: p.tobytes() for n, p in side.scores.items()}


def test_a_real_result_survives_json():
    result = ib.attention_patterns(loud_bridge("mistral"), UNEQUAL, "value_weighted")
    again = AttentionPatterns.from_json(result.to_json())
    assert again.to_json() == result.to_json() and again.params == result.params
    np.testing.assert_array_equal(again.values_of("difference"), result.values_of("difference"))
    assert np.isnan(again.values).any() and again.provenance == result.provenance


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda w: w.update(schema_version=2), "version"),
        (lambda w: w.update(kind="x"), "kind"),
        (lambda w: w.update(more=1), "more"),
        (lambda w: w.update(layers=[0, 1]), "layer, head"),
        (lambda w: w.update(key_value_heads=[0]), "key_value_heads"),
        (lambda w: w.update(sides={}), "sides"),
        (lambda w: w.update(sides={"clean": w["sides"]["prompt"]}), "sides"),
        (lambda w: w.update(counterparts=[0]), "counterparts"),
        (lambda w: w["sides"]["prompt"].update(tokens=["a"]), "as many texts"),
        (lambda w: w["sides"]["prompt"].update(values=w["sides"]["prompt"]["masked"]), "float32"),
        (lambda w: w["sides"]["prompt"].update(masked=w["sides"]["prompt"]["values"]), "uint8"),
        (lambda w: w["sides"]["prompt"]["scores"].update(x=w["sides"]["prompt"]["values"]), "scores"),
        (lambda w: w["sides"]["prompt"].pop("masked"), "masked"),
    ],
)
def test_a_damaged_result_is_refused(change, sentence):
    wire = attention_of("gpt2").to_wire()
    AttentionPatterns.from_json(json.dumps(wire))
    change(wire)
    with pytest.raises((ValueError, ValidationError), match=sentence):
        AttentionPatterns.from_json(json.dumps(wire))


def test_quantities_say_what_a_value_is():
    for kind in KINDS:
        result = attention_of("gpt2", kind)
        assert (result.quantity, result.signed) == QUANTITIES[kind] and result.kind == kind
        assert result.signed == (kind in ("scores", "output_norm"))


def test_a_dataframe_has_a_row_for_each_entry_that_is_not_masked():
    result = ib.attention_patterns(loud_bridge("mistral"), UNEQUAL, layers=[1], heads=[1, 3])
    table = result.to_dataframe()
    expected = []
    for name, side in result.sides.items():
        for head in (1, 3):
            for d in range(len(side.ids)):
                for s in range(max(0, d - WINDOW + 1), d + 1):
                    value = side.values[0, [1, 3].index(head), d, s]
                    expected.append((name, 1, head, d, s, side.tokens[d], side.tokens[s], value))
    columns = ["side", "layer", "head", "destination", "source", "destination_token", "source_token", "value"]
    assert list(table.columns) == columns
    assert sorted(table.itertuples(index=False, name=None)) == sorted(expected)


@pytest.mark.parametrize("kind", ["pattern", "scores"])
def test_the_picture_has_every_head_with_layer_0_at_the_bottom(kind):
    result = ib.attention_patterns(loud_bridge("gpt2"), TEXT, kind, layers=[0, 2], heads=[1, 2, 3])
    axes, _ = result.plot().axes
    heads = [text.get_text() for text in axes.get_xticklabels()]
    layers = [text.get_text() for text in axes.get_yticklabels()]
    assert heads == ["1", "2", "3"] and layers == ["2", "0"]  # from the top
    [image] = axes.get_images()
    picture, length = np.ma.filled(image.get_array(), np.nan), len(result.tokens)
    for (i, layer), (j, head) in product(enumerate(layers), enumerate(heads)):
        top, left = (
            round(ticks[at] - length / 2 + 0.5) for ticks, at in ((axes.get_yticks(), i), (axes.get_xticks(), j))
        )
        tile = picture[top : top + length, left : left + length]
        np.testing.assert_array_equal(tile, result.values[result.index_of(int(layer), int(head))])
    reach = np.nanmax(np.abs(result.values))
    assert image.get_clim() == pytest.approx((-reach if kind == "scores" else 0, reach))


@pytest.mark.parametrize("options", [{}, {"kind": "value_weighted", "layers": [1], "heads": [0, 2], "last": 5}])
@pytest.mark.parametrize("prompt", [TEXT, UNEQUAL], ids=["prompt", "pair"])
def test_the_code_of_a_result_makes_it_again(prompt, options):
    result = ib.attention_patterns(loud_bridge("gpt2"), prompt, **options)
    names = {"model": loud_bridge("gpt2")}
    exec(attention_patterns.code(result.params), names)
    again = names["result"]
    assert again.params == result.params
    for side in result.sides:
        np.testing.assert_array_equal(again.values_of(side), result.values_of(side))
    assert "ib.load_model('x')" in attention_patterns.code(result.params, "ib.load_model('x')")


@pytest.mark.parametrize("architecture", ["gpt_neo", "gptj", "opt"])
def test_a_pattern_is_not_taken_for_scores_in_half_precision(architecture):
    raw = TransformerBridge.boot_transformers(
        "local-half",
        hf_model=transformers.AutoModelForCausalLM.from_config(CONFIGS[architecture]()).to(torch.bfloat16).eval(),
        tokenizer=byte_tokenizer(),
        device="cpu",
        dtype=torch.bfloat16,
    )
    with pytest.raises(ValueError, match="does not give this model's attention scores"):
        ib.attention_patterns(raw, TEXT, "scores")


def test_a_mask_does_not_depend_on_the_heads_that_are_chosen():
    model = random_model("gptj")
    sharp = model.transformer.h[1].attn
    sharp.q_proj.weight.data[:8] *= 3000  # head 0: all but one weight of a row underflow
    raw = boot(model, "sharp")
    every, alone = ib.attention_patterns(raw, TEXT), ib.attention_patterns(raw, TEXT, heads=[0])
    assert (every.values[1, 0] == 0).any()
    np.testing.assert_array_equal(every.masked, alone.masked)
    np.testing.assert_array_equal(every.values[:, :1], alone.values)
