"""The circuits of heads against the whole matrices of plain transformers, and on a model whose circuit is known."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from pydantic import ValidationError
from test_model import hooks_on
from test_results import strict_json

import interp_backend as ib
from interp_backend.methods import head_circuits as circuits_module
from interp_backend.methods.head_circuits import head_circuits
from interp_backend.results.head_table import HeadPairs
from plain_loop import PlainHeads
from tiny_models import (
    CONFIGS,
    INDUCTION,
    PREVIOUS,
    boot,
    bridge,
    hand_written,
    induction_model,
    loud_bridge,
    loud_model,
    random_model,
)

TEXT = "hello there"


@cache
def plain_of(architecture):
    return PlainHeads(loud_model(architecture), architecture)


@cache
def matrix_of(architecture, layer, head, circuit):
    return getattr(plain_of(architecture), circuit)(layer, head).numpy()


def assert_extremes(found, matrix, rows, columns, k):
    """The k largest and smallest entries of some rows and columns, each with its value, in order."""
    part = matrix[np.ix_(rows, columns)]
    scale = np.abs(part).max()
    assert scale > 0 and part.std() > 0
    ordered = np.sort(part, axis=None)
    for pairs, expected in [(found.pairs, ordered[::-1][:k]), (found.lowest, ordered[:k])]:
        assert len(pairs) == min(k, part.size) and len({(p.source_id, p.target_id) for p in pairs}) == len(pairs)
        values = [pair.value for pair in pairs]
        np.testing.assert_allclose(values, expected, atol=2e-5 * scale)
        own = [matrix[pair.source_id, pair.target_id] for pair in pairs]
        np.testing.assert_allclose(values, own, atol=2e-5 * scale)
        assert all(pair.source_id in rows and pair.target_id in columns for pair in pairs)
    assert (np.diff([pair.value for pair in found.pairs]) <= 0).all()
    assert (np.diff([pair.value for pair in found.lowest]) >= 0).all()


@pytest.mark.parametrize("circuit", ["ov", "qk"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_pairs_are_the_extremes_of_the_whole_matrix(architecture, circuit):
    raw = loud_bridge(architecture)
    if (architecture, circuit) == ("qwen3", "qk"):
        with pytest.raises(ValueError, match=r"norm of their own.*circuit ov"):
            ib.head_circuits(raw, 1, 2, circuit)
        return
    for layer, head in [(0, 0), (1, 2), (2, 3)]:
        found = ib.head_circuits(raw, layer, head, circuit, top_k=12)
        matrix = matrix_of(architecture, layer, head, circuit)
        assert_extremes(found, matrix, range(257), range(257), 12)
        expected = plain_of(architecture).copying(layer, head) if circuit == "ov" else None
        assert found.copying == (None if expected is None else pytest.approx(expected, abs=1e-3))


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "mistral"])
def test_of_a_text_the_tokens_are_its_own(architecture):
    raw = loud_bridge(architecture)
    own = sorted(set(ib.load_model(raw).to_ids(TEXT)))
    assert len(own) < len(TEXT)
    ov = ib.head_circuits(raw, 1, 1, prompt=TEXT)
    assert_extremes(ov, matrix_of(architecture, 1, 1, "ov"), own, range(257), 10)
    qk = ib.head_circuits(raw, 1, 1, "qk", prompt=TEXT, top_k=1000)
    assert len(qk.pairs) == len(own) ** 2
    assert_extremes(qk, matrix_of(architecture, 1, 1, "qk"), own, own, 1000)
    short = ib.head_circuits(raw, 1, 1, "qk", prompt="x" * 100 + TEXT, top_k=1000, last=len(TEXT))
    assert [p.model_dump() for p in short.pairs] == [p.model_dump() for p in qk.pairs]


@pytest.mark.parametrize("at_once", [1, 257 * 10, 257 * 100])
def test_in_parts_it_is_the_same(at_once, monkeypatch):
    raw = loud_bridge("gpt2")
    whole = ib.head_circuits(raw, 2, 1, top_k=300)
    monkeypatch.setattr(circuits_module, "NUMBERS_AT_ONCE", at_once)
    before = hooks_on(raw)
    steps = list(head_circuits.steps(raw, 2, 1, top_k=300))
    assert hooks_on(raw) == before
    rows = max(1, at_once // 257)
    assert [step.done for step in steps] == [*range(min(16, rows), 257, rows), 257, 257]
    assert all(step.total == 257 and (step.result is None) == (step is not steps[-1]) for step in steps)
    for part in ("pairs", "lowest"):
        one, other = ([(p.source_id, p.target_id) for p in getattr(r, part)] for r in (whole, steps[-1].result))
        assert len(set(one) & set(other)) > 295  # but for ties to the last bit
        values = ([p.value for p in getattr(r, part)] for r in (whole, steps[-1].result))
        np.testing.assert_allclose(*values, atol=1e-6)


def test_pairs_have_the_texts_of_their_tokens(embedded):
    found = ib.head_circuits(embedded, 1, 2, prompt="The capital of Norway is")
    texts = set(embedded.token_texts(embedded.to_ids("The capital of Norway is")))
    for pair in [*found.pairs, *found.lowest]:
        assert pair.source == embedded.token_text(pair.source_id) and pair.source in texts
        assert pair.target == embedded.token_text(pair.target_id)
    assert found.params["prompt"] == "The capital of Norway is" and found.params["circuit"] == "ov"
    assert (found.params["layer"], found.params["head"], found.params["top_k"]) == (1, 2, 10)


def test_the_induction_heads_ov_circuit_copies():
    found = ib.head_circuits(induction_model(), *INDUCTION, top_k=256)
    assert found.copying == pytest.approx(1, abs=1e-3)
    assert sorted(pair.source_id for pair in found.pairs) == list(range(256))
    assert all(pair.source_id == pair.target_id for pair in found.pairs)
    values = [pair.value for pair in found.pairs]
    assert min(values) > 0.9 * max(values) and abs(found.lowest[0].value) < 0.1 * max(values)
    back = ib.head_circuits(induction_model(), *PREVIOUS)  # it writes to where nothing is unembedded
    assert abs(back.pairs[0].value) < 1e-3 * max(values)


def test_a_duplicate_token_heads_qk_circuit_looks_for_the_token_itself():
    raw = hand_written((0, 3, "duplicate"))
    found = ib.head_circuits(raw, 0, 3, "qk", top_k=256)
    assert sorted(pair.source_id for pair in found.pairs) == list(range(256))
    assert all(pair.source_id == pair.target_id for pair in found.pairs) and found.copying is None
    values = [pair.value for pair in found.pairs]
    assert min(values) > 0.9 * max(values) > 10 * abs(found.lowest[0].value)
    # What the induction head looks for is made by the layer below, which the weights of tokens do not show.
    assert ib.head_circuits(induction_model(), *INDUCTION, "qk").pairs[0].value < 0.01 * max(values)


def test_what_is_left_out_is_said():
    ov, qk = (ib.head_circuits(bridge("gpt2"), 0, 0, circuit) for circuit in ("ov", "qk"))
    assert "biases" in ov.note and "positions" not in ov.note and "positions" in qk.note


def test_pairs_survive_json_and_become_a_dataframe():
    found = ib.head_circuits(loud_bridge("gpt2"), 0, 1, top_k=3)
    text = found.to_json()
    strict_json(text)
    again = HeadPairs.from_json(text)
    assert again.to_json() == text and again.pairs == found.pairs and again.copying == found.copying
    for change in ({"more": 1}, {"schema_version": 9}, {"pairs": [{}]}):
        with pytest.raises((ValueError, ValidationError)):
            HeadPairs.from_json(json.dumps(json.loads(text) | change))
    table = found.to_dataframe()
    assert list(table["value"]) == [pair.value for pair in [*found.pairs, *found.lowest[::-1]]]
    assert (np.diff(table["value"]) <= 0).all() and list(table.columns)[:2] == ["source_id", "source"]


@pytest.mark.parametrize(
    "arguments, options, sentence",
    [
        ((3, 0), {}, "no layer 3"),
        ((0, 4), {}, "no head 4"),
        ((0, -1), {}, "no head -1"),
        ((0, True), {}, "whole number"),
        ((0, 0, "vo"), {}, "There is no circuit 'vo'"),
        ((0, 0), {"top_k": 0}, "top_k is how many"),
        ((0, 0), {"top_k": 1001}, "top_k is how many"),
        ((0, 0), {"top_k": True}, "top_k is how many"),
        ((0, 0), {"prompt": ""}, "prompt is empty"),
        ((0, 0), {"prompt": "x" * 99}, "at most 64"),
    ],
)
def test_what_there_is_not_is_refused(arguments, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ib.head_circuits(bridge("gpt2"), *arguments, **options)


def test_folded_weights_have_the_same_circuits():
    model = random_model("gpt2")
    for name, parameter in model.named_parameters():
        if "ln" in name:
            torch.manual_seed(len(name))
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    raw = boot(model, "folded")
    before = [ib.head_circuits(raw, layer, 1, circuit, top_k=30) for layer in range(3) for circuit in ("ov", "qk")]
    raw.enable_compatibility_mode()
    assert ib.load_model(raw).weights == "folded"
    after = [ib.head_circuits(raw, layer, 1, circuit, top_k=30) for layer in range(3) for circuit in ("ov", "qk")]
    for one, other in zip(before, after):
        values = np.array([[pair.value for pair in found.pairs] for found in (one, other)])
        np.testing.assert_allclose(values[0], values[1], atol=1e-4 * values.max())
        if one.copying is not None:
            assert other.copying == pytest.approx(one.copying, abs=1e-3)


def test_rows_of_no_token_are_left_out():
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_head=4, n_embd=32, vocab_size=300, n_positions=64)
    raw = boot(transformers.GPT2LMHeadModel(config), "padded")  # its tokenizer knows 257
    for circuit in ("ov", "qk"):
        found = ib.head_circuits(raw, 1, 2, circuit, top_k=1000)
        assert max(max(pair.source_id, pair.target_id) for pair in [*found.pairs, *found.lowest]) < 257


def test_a_table_of_pairs_has_each_once():
    found = ib.head_circuits(bridge("gpt2"), 1, 2, "qk", prompt="ab")
    table = found.to_dataframe()
    assert len(table) == 9 and not table.duplicated(["source_id", "target_id"]).any()
    assert table["value"].is_monotonic_decreasing
