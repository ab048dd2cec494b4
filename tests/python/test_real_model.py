"""A real language model, SmolLM2-135M-Instruct from its GGUF file, against plain transformers with module hooks."""

import numpy as np
import pandas
import pytest
import torch
import transformers

import interp_backend as ib
from interp_backend.language.gguf import packaged
from interp_backend.methods.repeated_tokens import random_tokens
from interp_backend.results.effect_map import CellState
from plain_loop import Plain, PlainHeads, assert_close

NAMES = ib.PromptPair(
    clean="When Mary and John went to the store, John gave a drink to",
    corrupt="When Mary and John went to the store, Mary gave a drink to",
    clean_answer=" Mary",
    corrupt_answer=" John",
    prepend_bos=False,
)
CAPITALS = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
    prepend_bos=False,
)
PAIRS = {"names": NAMES, "capitals": CAPITALS}


@pytest.fixture(scope="module")
def model() -> ib.LanguageModel:
    return ib.load_model("smollm2-135m")


@pytest.fixture(scope="module")
def plain():
    """The same file, read by transformers alone."""
    path = packaged("smollm2-135m")
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.fixture(scope="module")
def tokenizer():
    path = packaged("smollm2-135m")
    return transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


@pytest.fixture(scope="module")
def ids(tokenizer):
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture(scope="module")
def runs(plain, ids):
    """A plain run of every prompt, by name of the pair and side."""
    return {
        (name, side): Plain(plain, "llama", ids(getattr(pair, side)))
        for name, pair in PAIRS.items()
        for side in ("clean", "corrupt")
    }


def test_provenance_says_which_file_and_that_its_weights_are_dequantised(model):
    described = ib.logit_lens(model, "Hello").provenance["model"]
    assert described["origin"] == {
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "quantisation": "Q4_1",
        "dequantised": True,
    }
    assert (described["n_layers"], described["n_heads"], described["d_model"]) == (30, 9, 576)
    assert model.code == "ib.load_model('smollm2-135m')"
    assert ib.load_model(packaged("smollm2-135m")).to_ids("a") == model.to_ids("a")


@pytest.mark.parametrize(
    ("prompt", "answer", "probability"),
    [
        ("The capital of Norway is", " Oslo", 0.21),
        ("The capital of Sweden is", " Stockholm", 0.47),
        ("When Mary and John went to the store, John gave a drink to", " Mary", 0.92),
        ("The Eiffel Tower is in the city of", " Paris", 0.66),
    ],
)
def test_the_model_predicts_what_is_known_of_it(model, plain, ids, prompt, answer, probability):
    lens = ib.logit_lens(model, prompt, targets=[answer], prepend_bos=False)
    with torch.no_grad():
        whole = plain(torch.tensor([ids(prompt)])).logits[0, -1].softmax(-1)
    found = lens.sides["prompt"].arrays.target_prob[-1, -1, 0]
    assert found == pytest.approx(float(whole[ids(answer)[0]]), abs=1e-5)
    assert found == pytest.approx(probability, abs=0.01)
    assert lens.sides["prompt"].arrays.top_ids[-1, -1, 0] == int(whole.argmax())


def test_the_token_in_front_is_transformer_lenss_and_can_be_left_out(model, ids):
    assert model.to_ids("The capital") == [1, *ids("The capital")] and model.token_text(1) == "<|im_start|>"
    assert model.to_ids("The capital", False) == ids("The capital")


# Patching


def modules_of(plain, activation: str, layer: int):
    """The module at which plain transformers has an activation, and whether it is the module's input."""
    block = plain.model.layers[layer]
    return {
        "resid_pre": (block, True),
        "attn_out": (block.self_attn.o_proj, False),
        "mlp_out": (block.mlp.down_proj, False),
        "mlp_post": (block.mlp.down_proj, True),
        "z": (block.self_attn.o_proj, True),
        "q": (block.self_attn.q_proj, False),
        "v": (block.self_attn.v_proj, False),
    }[activation]


def run_with(plain, ids, activation, layer, write):
    """Logits of the last position while `write` changes [position, entry] in place."""
    module, into = modules_of(plain, activation, layer)

    def before(module, args, kwargs):
        if args:
            return (write(args[0].clone()), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": write(kwargs["hidden_states"].clone())}

    def after(module, args, out):
        return write(out.clone())

    handle = module.register_forward_pre_hook(before, with_kwargs=True) if into else module.register_forward_hook(after)
    try:
        with torch.no_grad():
            return plain(torch.tensor([ids])).logits[0, -1]
    finally:
        handle.remove()


def seen(plain, ids, activation, layer):
    kept = []

    def keep(value):
        kept.append(value[0].clone())
        return value

    run_with(plain, ids, activation, layer, keep)
    return kept[0]


LAYERS = (0, 3, 11, 18, 25, 29)
WHOLE = ("resid_pre", "attn_out", "mlp_out", "mlp_post")


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("activation", WHOLE)
def test_patching_by_position_equals_module_hooks(model, plain, ids, name, activation):
    pair = PAIRS[name]
    result = ib.activation_patching(model, pair, activation=activation, axes=("layer", "position"))
    clean, corrupt = ids(pair.clean), ids(pair.corrupt)
    right, wrong = ids(pair.clean_answer)[0], ids(pair.corrupt_answer)[0]
    first = next(i for i, (a, b) in enumerate(zip(clean, corrupt)) if a != b)
    places = [(layer, position) for layer in LAYERS for position in (first, len(clean) - 1)]
    expected = []
    for layer, position in places:
        source = seen(plain, clean, activation, layer)

        def write(value, position=position, source=source):
            value[0, position] = source[position]
            return value

        logits = run_with(plain, corrupt, activation, layer, write)
        expected.append(float(logits[right] - logits[wrong]))
    assert result.provenance["executor"] == "packed"
    assert_close([result.values[place] for place in places], expected)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("activation", ["z", "q", "v"])
def test_patching_heads_equals_module_hooks(model, plain, ids, name, activation):
    """Nine heads of queries over three of keys and values."""
    pair, size = PAIRS[name], 64
    result = ib.activation_patching(model, pair, activation=activation, axes=("layer", "head"))
    heads = 3 if activation == "v" else 9
    assert result.values.shape == (30, heads)
    clean, corrupt = ids(pair.clean), ids(pair.corrupt)
    right, wrong = ids(pair.clean_answer)[0], ids(pair.corrupt_answer)[0]
    places = [(layer, head) for layer in LAYERS for head in (0, heads - 1)]
    expected = []
    for layer, head in places:
        source, at = seen(plain, clean, activation, layer), slice(head * size, (head + 1) * size)

        def write(value, at=at, source=source):
            value[0, :, at] = source[:, at]
            return value

        logits = run_with(plain, corrupt, activation, layer, write)
        expected.append(float(logits[right] - logits[wrong]))
    assert_close([result.values[place] for place in places], expected)


def test_patching_several_places_together_equals_module_hooks(model, plain, ids):
    right, wrong = ids(" Oslo")[0], ids(" Stockholm")[0]
    clean, corrupt = ids(CAPITALS.clean), ids(CAPITALS.corrupt)
    effect = ib.patch_together(
        model, CAPITALS, [ib.Intervention("attn_out", layer=20), ib.Intervention("mlp_out", layer=5, position=3)]
    )
    attention, mlp = seen(plain, clean, "attn_out", 20), seen(plain, clean, "mlp_out", 5)

    def write_mlp(module, args, out):
        out = out.clone()
        out[0, 3] = mlp[3]
        return out

    handle = modules_of(plain, "mlp_out", 5)[0].register_forward_hook(write_mlp)
    logits = run_with(plain, corrupt, "attn_out", 20, lambda value: attention[None].clone())
    handle.remove()
    assert float(effect.values.reshape(-1)[0]) == pytest.approx(float(logits[right] - logits[wrong]), abs=1e-3)


def test_a_whole_answer_equals_a_run_with_module_hooks_for_each_of_its_tokens(model, plain, ids):
    pair = CAPITALS.model_copy(update={"clean": "The capital of Iceland is", "clean_answer": " Reykjavik"})
    result = ib.activation_patching(model, pair, metric="answer_log_prob")
    clean, corrupt, answer = ids(pair.clean), ids(pair.corrupt), ids(pair.clean_answer)
    assert len(answer) > 2 and len(clean) == len(corrupt)
    places = [(layer, position) for layer in LAYERS for position in (3, len(clean) - 1)]
    expected = []
    for layer, position in places:
        source = seen(plain, clean, "resid_pre", layer)

        def write(value, position=position, source=source):
            value[0, position] = source[position]
            return value

        each = [run_with(plain, corrupt + answer[:i], "resid_pre", layer, write) for i in range(len(answer))]
        expected.append(sum(float(logits.log_softmax(-1)[token]) for logits, token in zip(each, answer)))
    assert_close([result.values[place] for place in places], expected)


def test_a_pair_is_read_as_plain_transformers_reads_it(model, runs):
    reading = ib.read_pair(model, NAMES)
    for side in ("clean", "corrupt"):
        probabilities, tokens = runs["names", side].logits[-1].softmax(-1).topk(5)
        assert list(reading.top_runs[side].ids) == tokens.tolist()
        np.testing.assert_allclose(reading.top_runs[side].probs, probabilities, atol=1e-5)


# Lens, attribution, attention


@pytest.mark.parametrize("stream", ["resid_post", "resid_mid", "attn_out", "mlp_out"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_lens_equals_the_models_own_norm_and_unembedding(model, runs, name, stream):
    lens = ib.logit_lens(model, PAIRS[name], stream=stream, top_k=3)
    for side in ("clean", "corrupt"):
        run, arrays, some = runs[name, side], lens.sides[side].arrays, [0, 3, -1]
        logits = run.read(run.rows(stream)[:, some])  # [row, position, token]
        log_probs = logits.log_softmax(-1)
        close = 5e-4 if stream in ("attn_out", "mlp_out") else 1e-4  # a small vector's norm magnifies its rounding
        assert_close(arrays.top_probs[:, some], log_probs.topk(3).values.exp(), close)
        assert_close(arrays.entropy[:, some], -(log_probs.exp() * log_probs).sum(-1), close)
        for i, target in enumerate(lens.targets):
            assert_close(arrays.target_logit[:, some, i], logits[..., target.id], close)


@pytest.mark.parametrize("unit", ["layer", "component", "head"])
@pytest.mark.parametrize("name", PAIRS)
def test_attribution_equals_what_each_part_writes(model, ids, runs, name, unit):
    pair = PAIRS[name]
    answers = [ids(pair.clean_answer)], [ids(pair.corrupt_answer)]
    attribution = ib.direct_logit_attribution(model, pair, unit=unit)
    for side in ("clean", "corrupt"):
        run, found = runs[name, side], attribution.sides[side]
        parts = run.parts(unit, len(run.ids) - 1, answers[0][0], answers[1][0])
        labels = [label for label in attribution.labels if label in parts]
        assert set(labels) >= {label for label, value in parts.items() if value != 0}
        assert_close(
            [found.values[attribution.labels.index(label)] for label in labels], [parts[one] for one in labels]
        )
        difference = run.logits[-1][answers[0][0]].mean() - run.logits[-1][answers[1][0]].mean()
        assert float(found.values.sum()) == pytest.approx(float(difference), abs=1e-3)


def test_attribution_by_source_equals_what_each_head_brings_from_each_position(model, ids, runs):
    attribution = ib.direct_logit_attribution(model, CAPITALS, unit="head", by_source=True)
    run = runs["capitals", "clean"]
    expected = run.sources(len(run.ids) - 1, ids(" Oslo"), ids(" Stockholm"))
    assert_close(attribution.sides["clean"].by_source, expected)


@pytest.mark.parametrize("name", PAIRS)
def test_attention_equals_the_models_own(model, runs, name):
    attention = ib.attention_patterns(model, PAIRS[name])
    for side in ("clean", "corrupt"):
        expected = np.stack([pattern.numpy() for pattern in runs[name, side].patterns])
        found = np.nan_to_num(attention.sides[side].values)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert attention.key_value_heads == [0, 0, 0, 1, 1, 1, 2, 2, 2]


# Heads


def test_the_induction_heads_are_those_of_plain_attention_to_repeated_tokens(model, plain):
    found = ib.induction_heads(model)
    best = [(row.layer, row.head) for row in found.head(5).itertuples()]
    assert set(best) == {(18, 6), (17, 4), (17, 3), (17, 5), (18, 7)}
    tokens = random_tokens(model, 50, np.random.default_rng(0))
    run = Plain(plain, "llama", [1, *tokens, *tokens])
    scores = {
        (layer, head): float(pattern[head].diagonal(-49)[-50:].mean())
        for layer, pattern in enumerate(run.patterns)
        for head in range(9)
    }
    assert set(sorted(scores, key=lambda head: -scores[head])[:4]) <= set(best)
    by_seed = ib.head_scores(model, seeds=2).scores["induction"]
    assert by_seed[18, 6] == pytest.approx(scores[18, 6], abs=0.1)


def test_an_ablated_head_costs_what_module_hooks_say(model, plain):
    [row] = ib.repeated_token_loss(model, [(18, 6)], length=20, seeds=1).itertuples()
    tokens = random_tokens(model, 20, np.random.default_rng(0))
    whole = [1, *tokens, *tokens]

    def ablate(module, args):
        value = args[0].clone()
        value[..., 6 * 64 : 7 * 64] = 0
        return (value, *args[1:])

    handle = plain.model.layers[18].self_attn.o_proj.register_forward_pre_hook(ablate)
    with torch.no_grad():
        log_probs = plain(torch.tensor([whole])).logits[0].log_softmax(-1)
    handle.remove()
    losses = [-float(log_probs[at, whole[at + 1]]) for at in range(len(whole) - 1)]
    assert row.first == pytest.approx(np.mean(losses[:20]), abs=1e-3)
    assert row.second == pytest.approx(np.mean(losses[21:]), abs=1e-3)


def test_the_circuit_of_a_head_is_its_weights(model, plain):
    pairs = ib.head_circuits(model, 18, 6, "ov", prompt="When Mary and John went", top_k=5).pairs
    plain_heads = PlainHeads(plain, "llama")
    values = plain_heads.part(18, "v")
    for pair in pairs:
        logits = plain_heads.written(18, 6, values[pair.source_id, 6])
        assert pair.value == pytest.approx(float(logits[pair.target_id]), rel=1e-3)


# Estimates


# Pearson's and Spearman's correlation with exact patching over the cells that a patch can change, with the start token
# that TransformerLens prepends. Other code had given the same figures, to 0.01, before this method was written.
CORRELATIONS = {
    "names": {
        "resid_pre": {"gradient": (0.73, 0.98), "relp": (0.96, 0.83)},
        "attn_out": {"gradient": (0.94, 0.95), "relp": (0.99, 0.58)},
        "mlp_out": {"gradient": (0.56, 0.91), "relp": (0.91, 0.66)},
    },
    "capitals": {
        "resid_pre": {"gradient": (0.97, 0.88), "relp": (0.94, 0.73)},
        "attn_out": {"gradient": (1.0, 0.99), "relp": (1.0, 0.71)},
        "mlp_out": {"gradient": (1.0, 1.0), "relp": (0.98, 0.87)},
    },
}


@pytest.mark.parametrize("name", CORRELATIONS)
def test_estimates_agree_with_exact_patching_as_far_as_is_known(model, name):
    pair = PAIRS[name].model_copy(update={"prepend_bos": None})
    maps = {rule: ib.attribution_patching(model, pair, activation="all", rules=rule) for rule in ("gradient", "relp")}
    for activation, known in CORRELATIONS[name].items():
        exact = ib.activation_patching(model, pair, activation=activation)
        changed = exact.state == CellState.COMPUTED
        for rule, figures in known.items():
            both = pandas.DataFrame(
                {"exact": exact.values[changed], "estimate": maps[rule][activation].values[changed]}
            )
            found = [table.corr().loc["exact", "estimate"] for table in (both, both.rank())]
            assert found == pytest.approx(figures, abs=0.02), (activation, rule)


def test_its_script_loads_the_file_and_gives_the_same_numbers(model):
    result = ib.activation_patching(model, CAPITALS, activation="z", layers=[10, 20], heads=[0, 1])
    made = {}
    with torch.set_grad_enabled(True):  # the script switches gradients off for good
        exec(ib.transformerlens_code(result, model), made)
    assert made["model"] is not model.raw
    assert_close(made["values"], result.values)
