"""Direct logit attribution against plain arithmetic, TransformerLens where it is right, and ablation."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_logit_lens_results import JUNK, damaged, places
from test_model import hooks_on

import interp_backend as ib
from interp_backend.engine.frozen_norm import Frozen
from plain_loop import Plain, assert_close
from tiny_models import (
    CONFIGS,
    PAIR,
    boot,
    copying_model,
    loud_bridge,
    loud_model,
)

TEXT = "hello there"
UNEQUAL = PAIR.model_copy(update={"corrupt": "hellu"})
UNITS = ("layer", "component", "head", "neuron")
# Token ids and what is asked for: a difference, its other sign, one logit, sets of answers.
QUESTIONS = {
    "difference": ([64], [65]),
    "other sign": ([65], [64]),
    "logit": ([70], []),
    "sets": ([64, 70, 3], [65, 256]),
}


@cache
def plain_of(architecture, text=TEXT):
    return Plain(loud_model(architecture), architecture, ib.load_model(loud_bridge(architecture)).to_ids(text))


@cache
def folded(architecture):
    raw = boot(loud_model(architecture), architecture)
    raw.enable_compatibility_mode()
    return raw


def attributed(raw, prompt, right, wrong, **options):
    return ib.direct_logit_attribution(raw, prompt, right, wrong or None, **options)


def own_value(plain, position, right, wrong):
    """Of the whole model, the softcap undone."""
    logits = plain.read(plain.last, capped=False)[position]
    return float(logits[right].mean() - (logits[wrong].mean() if wrong else 0))


# Numbers


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_part_equals_plain_arithmetic_and_they_sum_to_the_models_own(architecture, unit):
    raw, plain = loud_bridge(architecture), plain_of(architecture)
    places_ = [(name, -1) for name in QUESTIONS] + [("difference", at) for at in (0, 5, -3)]
    for name, position in places_:
        if (architecture, unit, position) == ("opt", "neuron", 0):
            continue  # below
        right, wrong = QUESTIONS[name]
        result = attributed(raw, TEXT, right, wrong, unit=unit, position=position)
        at = position % len(plain.ids)
        expected = plain.parts(unit, at, right, wrong)
        assert result.labels == list(expected)
        assert_close(result.values, list(expected.values()), 1e-5)
        for kind in ("head", "neuron"):  # small next to the others, and to be right all the same
            some = [i for i, label in enumerate(result.labels) if label.startswith(kind + " ")]
            assert bool(some) == (kind == unit)
            if some:
                assert_close(result.values[some], [expected[result.labels[i]] for i in some], 1e-4)
        own = own_value(plain, at, right, wrong)
        assert result.values.sum(dtype=np.float64) == pytest.approx(own, abs=1e-4)
        assert result.total == pytest.approx(own, abs=1e-4)
        if architecture == "gemma2":
            assert result.note == "before the final softcap"
        else:
            assert result.note == ""
            logits = plain.logits[at]
            theirs = float(logits[right].mean() - (logits[wrong].mean() if wrong else 0))
            assert result.total == pytest.approx(theirs, abs=1e-4)
        assert result.quantity == ("logit difference" if wrong else "logit")


def test_neurons_of_opt_at_the_first_position():
    plain = plain_of("opt")
    result = attributed(loud_bridge("opt"), TEXT, [64], [65], unit="neuron", position=0)
    assert_close(result.values, list(plain.parts("neuron", 0, [64], [65]).values()), 1e-5)


def test_before_the_cap_is_something_else_than_after_it():
    plain = plain_of("gemma2")
    right, wrong = QUESTIONS["difference"]
    after = float(plain.logits[-1][right].mean() - plain.logits[-1][wrong].mean())
    assert abs(own_value(plain, -1, right, wrong) - after) > 0.01


@pytest.mark.parametrize("architecture", CONFIGS)
def test_sources_equal_plain_arithmetic_and_sum_to_their_head(architecture):
    """Grouped queries (llama, qwen2, ...), windows of 4 (mistral, gemma2, gpt_neo), a norm after the heads (gemma2)."""
    raw, plain = loud_bridge(architecture), plain_of(architecture)
    right, wrong = QUESTIONS["difference"]
    for position in (-1, 6):
        at = position % len(plain.ids)
        result = attributed(raw, TEXT, right, wrong, unit="head", position=position, by_source=True)
        assert result.by_source is not None and result.by_source.shape == (3, 4, at + 1)
        assert_close(result.by_source, plain.sources(at, right, wrong), 1e-4)
        heads = result.values[result.kind == result.kinds.index("head")].reshape(3, 4)
        np.testing.assert_allclose(result.by_source.sum(-1), heads, atol=1e-6 + 1e-4 * np.abs(heads).max())
        if architecture in ("mistral", "gemma2", "gpt_neo"):  # layers with a window bring nothing from before it
            windowed = [layer for layer in range(3) if (result.by_source[layer, :, : at - 3] == 0).all()]
            assert windowed == {"mistral": [0, 1, 2], "gemma2": [0, 2], "gpt_neo": [1]}[architecture]


@pytest.mark.parametrize("unit", UNITS)
def test_sources_do_not_change_the_values(unit):
    raw, (right, wrong) = loud_bridge("qwen2"), QUESTIONS["difference"]
    plain = attributed(raw, TEXT, right, wrong, unit=unit)
    split = attributed(raw, TEXT, right, wrong, unit=unit, by_source=True)
    assert plain.by_source is None and split.by_source is not None
    assert split.labels == plain.labels
    np.testing.assert_allclose(split.values, plain.values, atol=1e-6)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_coarser_units_are_sums_of_finer_ones(architecture):
    tables = {unit: attributed(loud_bridge(architecture), TEXT, [64], [65], unit=unit).to_dataframe() for unit in UNITS}
    for layer in range(3):

        def of(unit, *kinds, layer=layer):
            table = tables[unit]
            return table[(table.layer == layer) & table.kind.isin(kinds)].value.sum()

        attn, mlp = of("component", "attn"), of("component", "mlp")
        assert of("layer", "layer") == pytest.approx(attn + mlp, abs=1e-5)
        assert of("head", "head", "attn_bias") == pytest.approx(attn, abs=1e-5)
        assert of("neuron", "neuron", "mlp_bias") == pytest.approx(mlp, abs=1e-5)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "phi", "gpt_neox"])
def test_folded_weights_sum_to_their_own_logits(architecture, unit):
    raw = folded(architecture)
    assert ib.load_model(raw).weights == "folded"
    result = attributed(raw, TEXT, [64], [65], unit=unit, by_source=unit == "head")
    with torch.no_grad():
        _, seen = raw.run_with_cache(raw.to_tokens(TEXT))
        last = seen["blocks.2.hook_resid_post"]
        logits = (raw.ln_final(last) @ raw.W_U + raw.b_U)[0, -1]  # before a cap
    assert result.total == pytest.approx(float(logits[64] - logits[65]), abs=1e-4)
    assert result.values.sum(dtype=np.float64) == pytest.approx(result.total, abs=1e-4)
    plain = attributed(loud_bridge(architecture), TEXT, [64], [65])
    assert result.total == pytest.approx(plain.total, abs=1e-3)  # a difference is not shifted


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_half_precision_is_close(architecture, dtype):
    raw = boot(loud_model(architecture).to(dtype), architecture)
    plain = plain_of(architecture)
    for unit in UNITS:
        result = attributed(raw, TEXT, [64], [65], unit=unit)
        expected = plain.parts(unit, len(plain.ids) - 1, [64], [65])
        assert_close(result.values, list(expected.values()), 0.1 if dtype is torch.bfloat16 else 0.02)


def test_a_width_that_is_odd_is_taken_apart_too():
    for architecture, config in {
        "gpt2": transformers.GPT2Config(n_layer=3, n_head=3, n_embd=33, vocab_size=257, n_positions=64),
        "gemma2": transformers.Gemma2Config(
            vocab_size=257,
            max_position_embeddings=64,
            hidden_size=33,
            num_hidden_layers=3,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=8,
            intermediate_size=64,
        ),
    }.items():
        made = []
        for _ in range(2):
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
            for parameter in model.parameters():
                parameter.data.add_(torch.randn_like(parameter) * 0.2)
            made.append(model)
        raw = boot(made[0], "odd")
        plain = Plain(made[1], architecture, ib.load_model(raw).to_ids(TEXT))
        for unit in UNITS:
            result = attributed(raw, TEXT, [64], [65], unit=unit)
            expected = plain.parts(unit, len(plain.ids) - 1, [64], [65])
            assert_close(result.values, list(expected.values()), 1e-4)


# TransformerLens


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "qwen2", "opt"])
def test_equals_transformer_lens_where_it_is_right(architecture):
    """With folded weights: of others it leaves out the final norm's gain."""
    raw = folded(architecture)
    with torch.no_grad():
        _, seen = raw.run_with_cache(raw.to_tokens(TEXT))
        stack = seen.stack_head_results(layer=-1, pos_slice=-1)
        heads = seen.logit_attrs(stack, tokens=64, incorrect_tokens=65, pos_slice=-1, has_batch_dim=True)
        split, labels = seen.decompose_resid(layer=-1, pos_slice=-1, return_labels=True)
        parts = seen.logit_attrs(split, tokens=64, incorrect_tokens=65, pos_slice=-1, has_batch_dim=True)
    ours = attributed(raw, TEXT, [64], [65], unit="head")
    assert_close(ours.values[ours.kind == ours.kinds.index("head")], heads[:, 0].numpy(), 1e-3)
    by_label = dict(zip(attributed(raw, TEXT, [64], [65]).labels, attributed(raw, TEXT, [64], [65]).values))
    theirs = {label: float(value) for label, value in zip(labels, parts[:, 0])}
    for layer in range(3):
        for kind in ("attn", "mlp"):
            assert by_label[f"{kind} {layer}"] == pytest.approx(theirs[f"{layer}_{kind}_out"], abs=1e-4)


def test_transformer_lens_own_heads_are_wrong_behind_a_norm_and_these_are_not():
    raw, plain = folded("gemma2"), plain_of("gemma2")
    with torch.no_grad():
        _, seen = raw.run_with_cache(raw.to_tokens(TEXT))
        stack = seen.stack_head_results(layer=-1, pos_slice=-1)
        theirs = seen.logit_attrs(stack, tokens=64, incorrect_tokens=65, pos_slice=-1, has_batch_dim=True)[:, 0]
    ours = attributed(raw, TEXT, [64], [65], unit="head")
    heads = ours.values[ours.kind == ours.kinds.index("head")]
    attn = [plain.parts("component", len(plain.ids) - 1, [64], [65])[f"attn {layer}"] for layer in range(3)]
    np.testing.assert_allclose(heads.reshape(3, 4).sum(1), attn, atol=1e-3)  # o_proj has no bias: heads are all
    assert np.abs(theirs.numpy().reshape(3, 4).sum(1) - attn).max() > 0.05 * np.abs(attn).max()
    assert np.abs(heads - theirs.numpy()).max() > 0.05 * np.abs(heads).max()


# Known circuits and ablation


def test_the_hand_written_head_is_found_and_nothing_else():
    pair = ib.PromptPair(clean="xay", corrupt="xby", clean_answer="a", corrupt_answer="b")
    result = ib.direct_logit_attribution(copying_model(), pair, unit="head", by_source=True)
    found = dict(zip(result.labels, result.values))
    assert found["head 1.2"] == pytest.approx(result.total, abs=1e-4) and result.total > 1
    assert max(abs(value) for label, value in found.items() if label != "head 1.2") < 1e-4
    corrupt = result.sides["corrupt"]
    assert corrupt.total == pytest.approx(-result.total, abs=1e-4)
    assert corrupt.values[result.labels.index("head 1.2")] == pytest.approx(corrupt.total, abs=1e-4)
    expected = np.zeros((2, 4, 4))
    expected[1, 2, 2] = result.total
    np.testing.assert_allclose(result.by_source, expected, atol=1e-3)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom"])
def test_taking_the_largest_component_away_takes_its_value_away(architecture):
    """With the final norm's scale as it was; what later layers make of the loss does not count."""
    raw, plain = loud_bridge(architecture), plain_of(architecture)
    right, wrong = QUESTIONS["difference"]
    result = attributed(raw, TEXT, right, wrong)
    table = result.to_dataframe()
    table = table[table.kind.isin(["attn", "mlp"])]
    largest = table.iloc[table.value.abs().argmax()]
    part = {"attn": plain.attn, "mlp": plain.mlp}[largest.kind][largest.layer][-1]
    last = plain.last[-1]
    before, after = (float(plain.difference(x, -1, right, wrong)) for x in (last, last - part))
    assert abs(largest.value) > 0.1
    assert before - after == pytest.approx(largest.value, abs=1e-4)
    assert before + plain.bias(right, wrong) == pytest.approx(result.total, abs=1e-4)


def test_removing_a_head_of_the_last_layer_removes_its_value_from_a_model_without_more_after_it():
    """By patching, with a norm that does not rescale: the head's value is what the logit loses."""
    model = loud_model("gpt_neox")  # parallel: nothing reads the last layer's heads but the final norm
    raw = boot(model, "gpt_neox")
    result = attributed(raw, TEXT, [64], [65], unit="head")
    plain = plain_of("gpt_neox")
    for head in range(4):
        written, _ = plain.written(plain.o, plain.z, 2, len(plain.ids) - 1, 0)
        gone = plain.last[-1] - written.view(4, -1, 32)[head].sum(0)
        patched = ib.patch_together(
            raw, PAIR, [ib.Intervention("z", 2, head=head, value=ib.Zero())], metric="logit_diff", direction="noise"
        )
        logits = plain.read(gone)
        assert float(patched.values[0]) == pytest.approx(float(logits[64] - logits[65]), abs=1e-4)
        scale = gone.std(unbiased=False) / plain.last[-1].std(unbiased=False)
        bias = plain.bias([64], [65])
        value = result.values[result.labels.index(f"head 2.{head}")]
        assert result.total - bias - value == pytest.approx(float(scale) * (float(patched.values[0]) - bias), abs=1e-3)


@pytest.mark.parametrize("centres", [True, False])
@pytest.mark.parametrize("width", [8, 9])
def test_a_norm_is_found_by_experiment(centres, width):
    torch.manual_seed(0)
    gain, bias, x = torch.randn(3, width)
    gain[3] = 0

    def norm(rows):
        if centres:
            return torch.nn.functional.layer_norm(rows, (width,), gain, bias, 1e-5)
        return rows / (rows.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias

    found = Frozen.of(norm, x, "a norm")
    assert found.centres == centres
    torch.testing.assert_close(found.gain, gain, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.bias, bias, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.whole(x), norm(x[None])[0], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="the final norm is not an affine map"):
        Frozen.of(lambda rows: norm(rows).tanh(), x, "the final norm")


# Prompts and answers


@pytest.mark.parametrize("pair", [PAIR, UNEQUAL], ids=["equal", "unequal"])
def test_a_pair_is_its_two_prompts_and_asks_for_its_answers(pair):
    raw = loud_bridge("llama")
    result = ib.direct_logit_attribution(raw, pair, unit="head", by_source=True)
    assert (result.params["answer_ids"], result.params["wrong_answer_ids"]) == ([64], [65])
    for side in ("clean", "corrupt"):
        alone = attributed(raw, getattr(pair, side), ["a"], ["b"], unit="head", by_source=True)
        one = result.sides[side]
        np.testing.assert_allclose(one.values, alone.values, atol=1e-6)
        np.testing.assert_allclose(one.by_source, alone.by_source, atol=1e-6)
        assert one.total == pytest.approx(alone.total, abs=1e-6) and one.position == len(one.ids) - 1
    assert result.values is result.sides["clean"].values
    assert (result.counterparts is None) == (pair is PAIR)


def test_answers_of_a_pair_can_be_given():
    raw = loud_bridge("llama")
    given_ = ib.direct_logit_attribution(raw, PAIR, "z")
    assert given_.quantity == "logit" and given_.params["wrong_answer"] == []
    both = ib.direct_logit_attribution(raw, PAIR, "z", ["q", "r"])
    assert both.params["answer"] == ["z"] and both.params["wrong_answer"] == ["q", "r"]
    wrong = ib.direct_logit_attribution(raw, PAIR, wrong_answer="q")
    assert wrong.params["answer"] == ["a"] and wrong.params["wrong_answer"] == ["q"]


def test_sets_of_answers_are_averaged_and_each_counts_once():
    raw = loud_bridge("gpt2")
    several = attributed(raw, TEXT, ["a", "c", "a", 64], ["b", "d"])
    each = [attributed(raw, TEXT, answer, None).values for answer in "acbd"]
    np.testing.assert_allclose(several.values, (each[0] + each[1] - each[2] - each[3]) / 2, atol=1e-5)
    pair = PAIR.model_copy(update={"clean_answer": ("a", "c"), "corrupt_answer": ("b", "d")})
    np.testing.assert_array_equal(ib.direct_logit_attribution(raw, pair).values, several.values)


def test_the_other_sign_is_the_negative():
    raw = loud_bridge("gemma2")
    there, back = (attributed(raw, TEXT, *sides, unit="neuron") for sides in (([5], [6]), ([6], [5])))
    np.testing.assert_allclose(there.values, -back.values, atol=1e-6)


def test_what_comes_later_changes_nothing():
    raw = loud_bridge("qwen3")
    short = attributed(raw, TEXT[:5], [64], [65], unit="head", by_source=True)
    long = attributed(raw, TEXT, [64], [65], unit="head", position=len(short.sides["prompt"].ids) - 1, by_source=True)
    np.testing.assert_allclose(long.values, short.values, atol=1e-5)
    np.testing.assert_allclose(long.by_source, short.by_source, atol=1e-5)
    assert len(long.sides["prompt"].ids) > len(short.sides["prompt"].ids) == long.by_source.shape[-1]


# The model


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom"])
def test_nothing_of_the_model_is_changed(architecture):
    raw = boot(loud_model(architecture), "mine")
    raw(raw.to_tokens("x"))
    before = {name: value.clone() for name, value in raw.original_model.state_dict().items()}
    hooks, flags, grads = hooks_on(raw), dict(vars(raw.cfg)), [p.requires_grad for p in raw.parameters()]
    for unit in UNITS:
        ib.direct_logit_attribution(raw, PAIR, unit=unit, by_source=True)
    after = raw.original_model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert hooks_on(raw) == hooks and dict(vars(raw.cfg)) == flags
    assert all(p.grad is None for p in raw.parameters()) and [p.requires_grad for p in raw.parameters()] == grads


def test_it_works_where_gradients_are_off():
    raw = loud_bridge("gemma2")
    with_grad = ib.direct_logit_attribution(raw, PAIR, unit="neuron").values
    with torch.no_grad():
        np.testing.assert_array_equal(ib.direct_logit_attribution(raw, PAIR, unit="neuron").values, with_grad)


def test_a_users_own_hook_acts_and_is_mentioned():
    raw = boot(loud_model("gpt2"), "hooked")
    assert attributed(raw, TEXT, [64], [65]).warnings == []
    raw.hook_dict["blocks.1.hook_mlp_out"].add_perma_hook(lambda value, hook: value * 0)
    result = attributed(raw, TEXT, [64], [65])
    assert "hooks of your own" in result.warnings[0]
    assert result.values[result.labels.index("mlp 1")] == pytest.approx(0, abs=1e-6)
    assert result.values.sum(dtype=np.float64) == pytest.approx(result.total, abs=1e-4)


def test_what_a_users_hook_puts_between_heads_and_stream_is_not_given_to_heads():
    raw = boot(loud_model("gpt2"), "hooked")
    raw.hook_dict["blocks.1.hook_attn_out"].add_perma_hook(lambda value, hook: value * -3)
    with pytest.raises(ValueError, match=r"layer 1's heads .* can't be told apart.*Choose the unit component or layer"):
        attributed(raw, TEXT, [64], [65], unit="head")
    assert attributed(raw, TEXT, [64], [65]).values.size


def test_heads_are_refused_where_what_they_write_is_small_and_not_what_is_added():
    """However small: with a tolerance that is absolute, they would pass and their values be wrong."""
    model = loud_model("gpt2")
    for layer in model.transformer.h:
        layer.attn.c_proj.weight.data.mul_(1e-3)
        layer.attn.c_proj.bias.data.zero_()
    raw = boot(model, "quiet")
    honest = attributed(raw, TEXT, [64], [65], unit="head")
    raw.hook_dict["blocks.1.hook_attn_out"].add_perma_hook(lambda value, hook: value * -3)
    try:
        result = attributed(raw, TEXT, [64], [65], unit="head")
    except ValueError:
        return
    heads = [i for i, label in enumerate(result.labels) if label.startswith("head 1.")]
    bias = result.labels.index("attn bias 1")
    assert abs(result.values[bias]) < 0.01 * np.abs(honest.values[heads]).max()


# Ways out


def test_it_survives_json_bit_for_bit():
    result = ib.direct_logit_attribution(loud_bridge("gpt2"), UNEQUAL, unit="head", by_source=True)
    again = ib.Attribution.from_json(result.to_json())
    assert again.to_json() == result.to_json() and again.labels == result.labels
    for name in ("kind", "layer", "index"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    for side in result.sides:
        np.testing.assert_array_equal(again.sides[side].values, result.sides[side].values)
        np.testing.assert_array_equal(again.sides[side].by_source, result.sides[side].by_source)
        assert again.sides[side].total == result.sides[side].total
    frame = result.to_wire(by_source=False)
    assert "by_source" not in frame["sides"]["clean"] and frame["labels"] == result.labels


def test_the_table_has_a_row_for_each_component():
    table = ib.direct_logit_attribution(loud_bridge("gpt2"), UNEQUAL, unit="head").to_dataframe()
    assert list(table.columns) == ["kind", "layer", "index", "label", "clean", "corrupt"]
    assert len(table) == 2 + 3 * (4 + 2) + 1
    row = table[table.label == "head 2.3"].iloc[0]
    assert (row.kind, row["layer"], row["index"]) == ("head", 2, 3)
    one = attributed(loud_bridge("gpt2"), TEXT, [64], [65], unit="head").to_dataframe()
    np.testing.assert_allclose(one.value, table.clean, atol=1e-6)


SMALL = cache(
    lambda: json.loads(ib.direct_logit_attribution(loud_bridge("gpt2"), UNEQUAL, unit="head", by_source=True).to_json())
)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_damaged_attribution_is_refused_in_a_sentence_or_is_whole(data):
    wire = SMALL()
    structural = [p for p in places(wire) if not {"params", "provenance", "labels"} & set(p[:1])]
    path = data.draw(st.sampled_from(structural).filter(lambda p: p not in KNOWN))
    changed = damaged(wire, path, data.draw(JUNK))
    try:
        result = ib.Attribution.from_json(json.dumps(changed))
    except ValueError as problem:
        assert str(problem)
        return
    assert len(result.labels) == len(result.to_dataframe()) == len(result.values)
    again = ib.Attribution.from_json(result.to_json())
    assert again.to_json() == result.to_json()


KNOWN = {
    ("kind", "dtype"): "float32",
    ("layer", "dtype"): "float32",
    ("index", "dtype"): "float32",
    ("sides", "clean", "values", "dtype"): "int32",
    ("sides", "clean", "by_source", "shape"): [3, 12, 4],
    ("sides", "clean", "position"): 99,
    ("sides", "clean", "tokens"): ["x"],
    ("counterparts",): [0],
    ("kinds", 0): "embed",
}


@pytest.mark.parametrize(
    "path, value", [*list(KNOWN.items())[:-1], (("kinds",), "doubled")], ids=lambda value: str(value)[:40]
)
def test_an_attribution_that_contradicts_itself_is_refused(path, value):
    if value == "doubled":
        value = [*SMALL()["kinds"], "embed"]
    with pytest.raises(ValueError):
        ib.Attribution.from_json(json.dumps(damaged(SMALL(), path, value)))
