"""The logit lens against TransformerLens' own, and against plain transformers and arithmetic."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from test_model import hooks_on
from transformer_lens.tools import analysis

import interp_backend as ib
from executor_cases import is_free
from interp_backend.methods import logit_lens as lens_module
from interp_backend.methods.logit_lens import STREAMS, logit_lens, trajectory
from plain_loop import Plain
from tiny_models import (
    CONFIGS,
    PAIR,
    PARALLEL,
    boot,
    bridge,
    byte_tokenizer,
    loud_bridge,
    loud_model,
)

TEXT = "hello there"
UNEQUAL = PAIR.model_copy(update={"corrupt": "hellu"})
TARGETS = ["a", "b", 256, 0]
EXACT = {"atol": 2e-5, "rtol": 0}


@cache
def lens_of(architecture, stream="resid_post"):
    return ib.logit_lens(loud_bridge(architecture), TEXT, stream=stream, targets=TARGETS, top_k=12)


@cache
def plain_of(architecture):
    return Plain(loud_model(architecture), architecture, lens_of(architecture).sides["prompt"].ids)


def streams_of(architecture):
    return [stream for stream in STREAMS if stream != "resid_mid" or architecture not in PARALLEL]


def ids_of_targets(result):
    return [target.id for target in result.targets]


def assert_reads(arrays, logits, targets, atol=2e-5):
    """Arrays of a lens are what these logits [row, position, token] say; the last row is the model's own."""
    logits = torch.as_tensor(logits).double()
    log_probs = logits.log_softmax(-1)
    assert logits.std() > 0.1, "a model that says nothing tests nothing"
    close = {"atol": atol, "rtol": 0}
    k = arrays.top_ids.shape[-1]
    top = torch.as_tensor(arrays.top_ids).long()
    assert (np.diff(arrays.top_logits) <= 0).all() and (np.diff(arrays.top_probs) <= 0).all()
    assert all(len(set(cell)) == k for cell in arrays.top_ids.reshape(-1, k).tolist())
    np.testing.assert_allclose(arrays.top_logits, logits.topk(k).values, **close)
    np.testing.assert_allclose(arrays.top_logits, logits.gather(-1, top), **close)
    np.testing.assert_allclose(arrays.top_probs, log_probs.gather(-1, top).exp(), **close)
    np.testing.assert_allclose(arrays.entropy, -(log_probs.exp() * log_probs).sum(-1), **close)
    kl = (log_probs[-1].exp() * (log_probs[-1] - log_probs)).sum(-1)
    assert kl[:-1].max() > 0.1
    np.testing.assert_allclose(arrays.kl_to_final, kl, **close)
    assert (arrays.kl_to_final[-1] == 0).all() and (arrays.kl_to_final >= 0).all()
    np.testing.assert_allclose(arrays.target_logit, logits[..., targets], **close)
    np.testing.assert_allclose(arrays.target_prob, log_probs[..., targets].exp(), **close)
    for i, target in enumerate(targets):
        own = logits[..., target, None]
        fewest = (logits > own + atol).sum(-1).numpy()
        most = (logits > own - atol).sum(-1).numpy() - 1  # without itself
        rank = arrays.target_rank[..., i]
        assert ((fewest <= rank) & (rank <= most)).all()
        assert (most - fewest).mean() < 0.5 or atol > 1e-3, "ranks that nothing pins"


# Numbers


@pytest.mark.parametrize("architecture", CONFIGS)
def test_equals_plain_transformers_in_every_stream(architecture):
    plain = plain_of(architecture)
    for stream in streams_of(architecture):
        result = lens_of(architecture, stream)
        logits = plain.read(plain.rows(stream))
        assert result.top_ids.shape == (len(result.labels), len(plain.ids), 12) == (*logits.shape[:2], 12)
        assert_reads(result.arrays_of("prompt"), logits, ids_of_targets(result))
        np.testing.assert_allclose(result.top_logits[-1], plain.logits.topk(12).values, **EXACT)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_equals_transformer_lens(architecture):
    raw = loud_bridge(architecture)
    tokens = raw.to_tokens(TEXT)
    for stream in ("resid_pre", "resid_mid") if architecture not in PARALLEL else ("resid_pre",):
        result = lens_of(architecture, stream)
        options = {"positions": None, "incl_mid": stream == "resid_mid"}
        theirs = analysis.logit_lens(raw, tokens, targets=ids_of_targets(result), **options)
        suffix = "_mid" if stream == "resid_mid" else "_pre"
        rows = [
            i for i, label in enumerate(theirs.labels) if label.endswith(suffix) or label in ("0_pre", "final_post")
        ]
        assert len(rows) == len(result.labels)
        ranks = theirs.readout.target_ranks
        assert ranks is not None
        np.testing.assert_allclose(result.target_logit, theirs.values[rows, 0], **EXACT)
        np.testing.assert_array_equal(result.target_rank, ranks[rows, 0])
        np.testing.assert_allclose(result.entropy, theirs.readout.entropy[rows, 0], **EXACT)
        top = analysis.logit_lens(raw, tokens, top_k=12, **options)
        assert top.readout.top_ids is not None
        np.testing.assert_allclose(result.top_logits, top.values[rows, 0], **EXACT)
        np.testing.assert_array_equal(result.top_ids, top.readout.top_ids[rows, 0])


@pytest.mark.parametrize("architecture", CONFIGS)
def test_what_a_layer_adds_is_read_by_transformer_lens_alike(architecture):
    raw = loud_bridge(architecture)
    with torch.no_grad():
        own, cache_ = raw.run_with_cache(raw.to_tokens(TEXT))
    for stream in ("attn_out", "mlp_out"):
        result = lens_of(architecture, stream)
        for layer in range(3):
            theirs = analysis.logit_readout(
                raw, cache_[f"blocks.{layer}.hook_{stream}"][0], targets=ids_of_targets(result)
            )
            np.testing.assert_allclose(result.target_logit[1 + layer], theirs.values, **EXACT)
            np.testing.assert_array_equal(result.target_rank[1 + layer], theirs.target_ranks)
        np.testing.assert_allclose(result.target_logit[-1], own[0][:, ids_of_targets(result)], **EXACT)


def test_the_softcap_is_seen_by_these_tests():
    plain = plain_of("gemma2")
    capped, uncapped = (plain.read(plain.rows("resid_post"), capped) for capped in (True, False))
    assert (capped - uncapped).abs().max() > 0.3
    np.testing.assert_allclose(lens_of("gemma2").top_logits, capped.topk(12).values, **EXACT)


@pytest.mark.parametrize(
    "stream, labels",
    [
        ("resid_pre", ["emb", "1", "2", "out"]),
        ("resid_mid", ["emb", "0", "1", "2", "out"]),
        ("resid_post", ["emb", "0", "1", "2 out"]),
        ("attn_out", ["emb", "0", "1", "2", "out"]),
        ("mlp_out", ["emb", "0", "1", "2", "out"]),
    ],
)
def test_rows_are_named_after_what_they_are(stream, labels):
    assert lens_of("gpt2", stream).labels == labels


def test_equal_logits_share_a_rank_and_only_larger_ones_count():
    model = loud_model("llama")
    head = model.get_output_embeddings().weight.data
    head[[9, 77]] = head[5].clone()
    raw = boot(model, "ties")
    result = ib.logit_lens(raw, TEXT, targets=[5, 9, 77, 6], top_k=257)
    assert (result.target_rank[..., 0, None] == result.target_rank[..., :3]).all()
    assert (result.target_logit[..., 0, None] == result.target_logit[..., :3]).all()
    order = result.top_ids
    for index in np.ndindex(order.shape[:2]):
        ties = [int(np.flatnonzero(order[index] == token)[0]) for token in (5, 9, 77)]
        assert min(ties) == result.target_rank[(*index, 0)] and max(ties) == min(ties) + 2
        assert np.flatnonzero(order[index] == 6)[0] == result.target_rank[(*index, 3)]


def test_the_whole_vocabulary_can_be_listed_and_no_more():
    whole = ib.logit_lens(loud_bridge("gpt2"), TEXT, top_k=1000)
    assert whole.top_ids.shape[-1] == 257
    np.testing.assert_allclose(whole.top_probs.sum(-1), 1, atol=1e-5)
    assert (np.sort(whole.top_ids, axis=-1) == np.arange(257)).all()
    one = ib.logit_lens(loud_bridge("gpt2"), TEXT, top_k=1)
    np.testing.assert_array_equal(one.top_ids, whole.top_ids[..., :1])


@pytest.mark.parametrize("at_once", [1, 4 * 257, 4 * 257 * 5, 4 * 257 * 12, 4 * 257 * 25])
@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_read_in_chunks_it_is_the_same(architecture, at_once, monkeypatch):
    whole = lens_of(architecture)  # before anything is changed
    sizes = []

    def spied(real):
        def spy(model, rows, *vocabulary):
            if vocabulary in ((), (None,)):  # all of it
                sizes.append(rows[..., 0].numel())
            return real(model, rows, *vocabulary)

        return spy

    monkeypatch.setattr(lens_module, "BYTES_AT_ONCE", at_once)
    for name in ("read_out_checked", "read_out"):
        monkeypatch.setattr(lens_module, name, spied(getattr(lens_module, name)))
    steps = list(logit_lens.steps(loud_bridge(architecture), TEXT, targets=TARGETS, top_k=12))
    result = steps[-1].result
    assert max(sizes) <= max(1, at_once // (4 * 257)) and sum(sizes) == 4 * 12
    for name in type(whole.arrays_of("prompt")).model_fields:
        np.testing.assert_allclose(getattr(result, name), getattr(whole, name), **EXACT)
    done = [step.done for step in steps]
    assert done == sorted(done) and done[-1] == steps[-1].total == 4 * 12
    assert all(step.result is None for step in steps[:-1])


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2", "llama", "phi", "bloom", "opt"])
def test_half_precision_is_close(architecture):
    raw = boot(loud_model(architecture).to(torch.bfloat16), architecture)
    result = ib.logit_lens(raw, TEXT, targets=TARGETS, top_k=12)
    plain = plain_of(architecture)
    assert_reads(result.arrays_of("prompt"), plain.read(plain.rows("resid_post")), ids_of_targets(result), atol=0.25)
    # And to its own output it is much closer: one rounding of a logit.
    with torch.no_grad():
        own = raw(raw.to_tokens(TEXT))[0].float()
    np.testing.assert_allclose(result.target_logit[-1], own[:, ids_of_targets(result)], atol=0.07, rtol=0)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "llama", "phi", "gpt_neox"])
def test_folded_weights_say_the_same(architecture):
    raw = boot(loud_model(architecture), architecture)
    raw.enable_compatibility_mode()
    assert ib.load_model(raw).weights == "folded"
    folded = ib.logit_lens(raw, TEXT, targets=TARGETS, top_k=12)
    plain = lens_of(architecture)
    np.testing.assert_allclose(folded.top_probs, plain.top_probs, atol=1e-4)
    np.testing.assert_allclose(folded.entropy, plain.entropy, atol=2e-4)
    np.testing.assert_allclose(folded.kl_to_final, plain.kl_to_final, atol=2e-4)
    np.testing.assert_allclose(folded.target_prob, plain.target_prob, atol=1e-4)
    with torch.no_grad():  # its logits are its own, which may be shifted
        own = raw(raw.to_tokens(TEXT))[0]
    np.testing.assert_allclose(folded.target_logit[-1], own[:, ids_of_targets(folded)], atol=1e-4)


def test_a_model_that_expects_no_beginning_of_text_gets_none():
    raw = boot(loud_model("gpt2"), "bare")
    raw.cfg.default_prepend_bos = False
    result = ib.logit_lens(raw, TEXT, targets=TARGETS)
    assert result.sides["prompt"].tokens == list(TEXT)
    plain = Plain(loud_model("gpt2"), "gpt2", result.sides["prompt"].ids)
    assert_reads(result.arrays_of("prompt"), plain.read(plain.rows("resid_post")), ids_of_targets(result))
    assert len(ib.logit_lens(raw, TEXT, last=3).sides["prompt"].ids) == 3


# Prompts


@pytest.mark.parametrize("pair", [PAIR, UNEQUAL], ids=["equal", "unequal"])
def test_a_pair_is_two_prompts_side_by_side(pair):
    raw = loud_bridge("gpt2")
    result = ib.logit_lens(raw, pair, stream="resid_pre")
    assert list(result.sides) == ["clean", "corrupt"] and [t.text for t in result.targets] == ["a", "b"]
    for side in result.sides:
        alone = ib.logit_lens(raw, getattr(pair, side), stream="resid_pre", targets=["a", "b"])
        assert result.sides[side].ids == alone.sides["prompt"].ids
        assert result.sides[side].tokens == ["<bos>", *getattr(pair, side)]
        for name in type(result.arrays_of(side)).model_fields:
            np.testing.assert_allclose(getattr(result.arrays_of(side), name), getattr(alone, name), atol=2e-6)
    assert result.top_ids is result.arrays_of("clean").top_ids
    if pair is PAIR:
        assert result.counterparts is None
    else:
        assert result.counterparts == ib.tokenize(ib.load_model(raw), pair).counterparts("clean")
        assert len(result.counterparts) == 12 and result.counterparts[0] == 0


def test_a_pair_can_be_a_dictionary_and_its_targets_others():
    result = ib.logit_lens(loud_bridge("gpt2"), PAIR.model_dump(), targets=["z", "z", 5])
    assert [token.id for token in result.targets] == [ib.load_model(bridge("gpt2")).answer_ids("z")[0], 5]
    assert result.target_rank.shape[-1] == 2


def test_the_last_tokens_are_read_after_the_one_that_begins_the_text():
    raw = loud_bridge("gpt2")
    long = "".join(chr(ord("a") + i % 26) for i in range(90))
    result = ib.logit_lens(raw, long, last=7, targets=["a"])
    alone = ib.logit_lens(raw, long[-7:], targets=["a"])
    assert result.sides["prompt"].ids == alone.sides["prompt"].ids and len(result.sides["prompt"].ids) == 8
    np.testing.assert_array_equal(result.target_logit, alone.target_logit)
    with pytest.raises(ValueError, match=r"91 tokens.*at most 64.*last=63"):
        ib.logit_lens(raw, long)
    assert len(ib.logit_lens(raw, long, last=63).sides["prompt"].ids) == 64
    assert len(ib.logit_lens(raw, "short", last=63).sides["prompt"].ids) == 6


def test_counterparts_of_the_last_tokens_are_positions_among_them():
    result = ib.logit_lens(loud_bridge("gpt2"), UNEQUAL, last=3)
    clean, corrupt = (len(result.sides[side].ids) for side in ("clean", "corrupt"))
    assert (clean, corrupt) == (4, 4)
    known = result.counterparts or list(range(clean))
    assert len(known) == clean and all(at is None or at < corrupt for at in known)


def test_a_pair_over_the_context_names_the_prompt():
    with pytest.raises(ValueError, match=r"corrupt prompt has 91 tokens.*last=63"):
        ib.logit_lens(bridge("gpt2"), PAIR.model_copy(update={"corrupt": "y" * 90}))


@pytest.mark.parametrize("architecture", ["gpt2", "mistral", "gemma2", "bloom"])
@pytest.mark.parametrize("stream", ["resid_pre", "mlp_out"])
def test_a_trajectory_is_a_column_of_the_whole(architecture, stream):
    result = lens_of(architecture, stream)
    ids = ids_of_targets(result)
    for position in (0, 4, len(result.sides["prompt"].ids) - 1):
        column = trajectory(loud_bridge(architecture), result, "prompt", position, ids, None)
        assert column.target_logit.shape == (len(result.labels), 1, len(ids))
        for name in ("target_logit", "target_prob", "entropy", "kl_to_final"):
            whole = getattr(result, name)[:, position : position + 1]
            np.testing.assert_allclose(getattr(column, name), whole, **EXACT)
        np.testing.assert_array_equal(column.target_rank, result.target_rank[:, position : position + 1])
        np.testing.assert_array_equal(column.top_ids[..., 0], result.top_ids[:, position : position + 1, 0])


def test_a_trajectory_of_the_last_tokens_is_of_the_same_column():
    raw = loud_bridge("gpt2")
    result = ib.logit_lens(raw, UNEQUAL, targets=["a"], last=4)
    for side in ("clean", "corrupt"):
        column = trajectory(raw, result, side, 3, [result.targets[0].id], None)
        np.testing.assert_allclose(column.target_logit[:, 0], result.arrays_of(side).target_logit[:, 3], **EXACT)


# The model


def test_nothing_of_the_model_is_changed():
    raw = boot(loud_model("gemma2"), "mine")
    model = ib.load_model(raw)
    raw(raw.to_tokens("x"))
    before = {name: value.clone() for name, value in raw.original_model.state_dict().items()}
    hooks, flags = hooks_on(raw), dict(vars(raw.cfg))
    for stream in STREAMS:
        ib.logit_lens(raw, PAIR, stream=stream, targets=["a"])
    steps = logit_lens.steps(raw, PAIR)
    next(steps)
    steps.close()
    after = raw.original_model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert hooks_on(raw) == hooks and dict(vars(raw.cfg)) == flags
    assert all(parameter.grad is None for parameter in raw.parameters()) and torch.is_grad_enabled()
    assert is_free(model)


def test_a_users_own_hook_acts_and_is_mentioned():
    raw = boot(loud_model("gpt2"), "hooked")
    assert ib.logit_lens(raw, TEXT).warnings == []
    raw.hook_dict["blocks.1.hook_mlp_out"].add_perma_hook(lambda value, hook: value * 0)
    result = ib.logit_lens(raw, TEXT, stream="resid_post")
    assert "hooks of your own" in result.warnings[0]
    with torch.no_grad():
        np.testing.assert_allclose(result.top_logits[-1], raw(raw.to_tokens(TEXT))[0].topk(10).values, **EXACT)
    np.testing.assert_array_equal(result.top_ids[:2], lens_of("gpt2").top_ids[:2, :, :10])
    assert np.abs(result.top_logits[2] - lens_of("gpt2").top_logits[2, :, :10]).max() > 0.1


MEMORY = """
import resource, sys, torch, transformers
sys.path[:0] = [{root!r}, {tests!r}]
torch.set_num_threads(1)
import interp_backend as ib
import tiny_models
config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=200_000, n_positions=512)
raw = tiny_models.boot(transformers.GPT2LMHeadModel(config), "wide")
ib.logit_lens(raw, "warm", targets=["a"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = ib.logit_lens(raw, "x" * {length}, targets=["a"])
assert result.top_ids.shape == (3, {length} + 1, 10)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_large_vocabulary_takes_less_than_a_gigabyte():
    root = Path(__file__).resolve().parents[2]
    code = MEMORY.format(root=str(root), tests=str(root / "tests/python"), length=500)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    assert int(out.stdout.split()[-1]) < 1e9  # all logits at once are 1.2 GB, and several such tensors


# Text


def test_every_token_of_a_byte_vocabulary_has_a_text_of_its_own():
    model = ib.load_model(bridge("gpt2"))
    texts = [model.token_text(token) for token in range(257)]
    assert len(set(texts)) == 257 and all(texts)
    tokenizer = byte_tokenizer()
    table = {character: token for token, character in enumerate(tokenizer.convert_ids_to_tokens(range(256)))}
    assert len(table) == 256
    for byte in range(128):  # whole characters are themselves
        (token,) = tokenizer(chr(byte), add_special_tokens=False)["input_ids"]
        assert model.token_text(token) == chr(byte)
    escaped = {f"\\x{byte:02x}" for byte in range(128, 256)}  # parts of characters are spelt
    assert escaped <= set(texts)
    # What is left to a view to make visible: these alone.
    unseen = {text for text in texts if not text.isprintable() or text.isspace()}
    assert unseen == {chr(byte) for byte in [*range(32), 127]} | {" "}
