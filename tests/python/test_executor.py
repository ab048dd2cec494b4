"""Every architecture, activation and direction against a plain loop; what happens when a pass fails or is stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from test_model import hooks_on

import interp_backend as ib
from interp_backend.engine import executor
from interp_backend.engine.executor import Plan
from interp_backend.language.metrics import METRICS
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.results.effect_map import COMPUTED, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED
from plain_loop import HOOKS, PER_HEAD, Change, Run, assert_close, logit_diff, loop, put_other, runs_of
from tiny_models import CONFIGS, PARALLEL, boot, bridge, random_model

# Six tokens, or five without the one that begins the text: more than the window of 4 of mistral and gemma2. The first
# difference is at the second letter, and a letter after it is equal.
PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")
DEAD_PATTERN = {"gpt_neo", "gptj", "opt"}


def activations_of(architecture):
    """What can be patched, known from the architecture and not from what the backend says."""
    missing = ({"resid_mid"} if architecture in PARALLEL else set()) | (
        {"pattern"} if architecture in DEAD_PATTERN else set()
    )
    return [name for name in HOOKS if name not in missing]


def finest_axes(activation):
    return ("layer", "head", "position") if activation in PER_HEAD else ("layer", "position")


def expected(raw, activation, axes, direction="denoise", pair=PAIR, heads=None):
    base, other = runs_of(raw, pair, direction)
    return loop(base, other, activation, axes, lambda logits: logit_diff(raw, logits, pair), heads)


@pytest.fixture(scope="module", params=["gpt2", "gemma2"])
def warm(request):
    """A model that has been found to run packed for every activation."""
    model = ib.load_model(bridge(request.param))
    for activation in HOOKS:
        assert ib.activation_patching(model, PAIR, activation=activation).provenance["executor"] == "packed"
    return model


def is_free(model):
    """Whether another thread could take its turn."""
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(model.lock.acquire, blocking=False).result()
        if taken:
            pool.submit(model.lock.release).result()
        return taken


@pytest.fixture
def fallback(monkeypatch):
    """Calling it makes later sweeps run as hooks through the whole model."""
    return lambda: monkeypatch.setattr("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test")


# The numbers


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_activation_equals_a_plain_loop(architecture, direction):
    raw = bridge(architecture)
    model = ib.load_model(raw)
    for activation in activations_of(architecture):
        axes, heads = finest_axes(activation), None
        if activation in PER_HEAD:  # one direction by position for one head, the other for all heads
            axes, heads = (axes, [1]) if direction == "denoise" else (axes[:2], None)
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes, direction=direction, heads=heads)
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        assert result.provenance["executor_reason"] is None
        assert result.complete and result.axes == axes
        assert_close(result.values, expected(raw, activation, axes, direction, heads=heads))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "bloom", "gpt_neox"])
def test_folded_weights_equal_a_plain_loop(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.enable_compatibility_mode()
    model = ib.load_model(raw)
    assert model.weights == "folded"
    for activation in activations_of(architecture):
        axes = finest_axes(activation)[:2]
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes)
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        assert_close(result.values, expected(raw, activation, axes))


@pytest.mark.parametrize("heads", [4, 2])
def test_a_mask_with_an_axis_of_heads_is_not_taken_for_one_of_prompts(heads):
    """MPT's blocks get a bias [head, 1, key]; a pair of equally long prompts runs as a batch of two."""
    config = transformers.MptConfig(d_model=32, n_heads=heads, n_layers=3, max_seq_len=64, vocab_size=257)
    torch.manual_seed(0)
    raw = boot(transformers.MptForCausalLM(config), "mpt")
    unequal = ib.PromptPair(clean="hi dear you", corrupt="hi sir yu", clean_answer="a", corrupt_answer="b")
    for pair in (unequal, PAIR, unequal, PAIR):  # what was found out on one kind of pair holds for the other
        result = ib.activation_patching(raw, pair, activation="resid_mid")
        assert result.complete
    assert_close(result.values, expected(raw, "resid_mid", result.axes))


# bfloat16 keeps 8 bits of a number: each of some twenty roundings on the way to the logits moves one by up to 1/512 of
# its size, and a loop of single runs is itself that far from the truth, since a batch adds up in another order. 1/32 of
# the largest logit is sixteen such roundings that all go one way.
BFLOAT16 = 1 / 32


@pytest.mark.parametrize("architecture", CONFIGS)
def test_half_precision_stays_within_its_own_rounding(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.original_model.to(torch.bfloat16)
    model = ib.load_model(raw)
    assert model.dtype == "bfloat16"
    base, other = runs_of(raw, PAIR)
    a = model.answer_ids("a")[0]
    largest = float(base.logits[-1].float().abs().max())
    for activation, axes in [("resid_pre", None), ("z", ("layer", "head")), ("mlp_post", None)]:
        result = ib.activation_patching(model, PAIR, activation=activation, axes=axes, metric="logit")
        assert result.provenance["executor"] == "packed", result.provenance["executor_reason"]
        values = loop(base, other, activation, result.axes, lambda logits: float(logits[a]))
        assert np.ptp(values) > 0
        np.testing.assert_allclose(result.values, values, atol=BFLOAT16 * largest, rtol=0)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "gpt_neox", "bloom"])
def test_with_and_without_a_token_that_begins_the_text(architecture):
    raw = boot(random_model(architecture), architecture)
    lengths = set()
    model = ib.load_model(raw)
    for prepend in (True, False):
        raw.cfg.default_prepend_bos = prepend
        for activation in ("resid_pre", "z"):
            axes = finest_axes(activation)[:2]
            result = ib.activation_patching(model, PAIR, activation=activation, axes=axes)
            assert (result.prompts["clean"].ids[0] == 256) == prepend
            lengths.add(len(result.prompts["clean"].ids))
            assert result.provenance["executor"] == "packed"
            assert_close(result.values, expected(raw, activation, axes))
    assert lengths == {5, 6}


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom"])
def test_prompts_of_one_token(architecture):
    raw = boot(random_model(architecture), architecture)
    raw.cfg.default_prepend_bos = False
    pair = PAIR.model_copy(update={"clean": "x", "corrupt": "y"})
    for activation in ("resid_pre", "embed", "mlp_out"):
        result = ib.activation_patching(raw, pair, activation=activation)
        assert result.values.shape == (1 if activation == "embed" else 3, 1)
        assert_close(result.values, expected(raw, activation, ("layer", "position"), pair=pair))


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_metric_is_read_at_any_position(architecture):
    """A patch to the right of what is read can't reach it, and a pass may have no row at all that is read."""
    raw = bridge(architecture)
    model = ib.load_model(raw)
    base, other = runs_of(raw, PAIR)
    at = len(base) - 3
    result = ib.activation_patching(model, PAIR, activation="attn_out", at=at, metric="logit_diff")
    assert result.provenance["executor"] == "packed"
    assert (result.state[:, at + 1 :] == UNCHANGED).all() and (result.normalized[:, at + 1 :] == 0).all()
    assert (result.state[:, at] == COMPUTED).all()
    a, b = model.answer_ids("a")[0], model.answer_ids("b")[0]
    for layer in range(3):
        for position in range(len(base)):
            logits = base.changed(Change("attn_out", layer, put_other(other, "attn_out", layer), [position]))[at]
            assert result.values[layer, position] == pytest.approx(float(logits[a] - logits[b]), abs=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "llama", "bloom"])
def test_the_fallback_gives_the_same_for_every_activation(architecture, fallback):
    model = ib.load_model(bridge(architecture))
    # a divergence is a difference of nearly equal numbers: its rounding is absolute
    tolerances = {"logit_diff": 1e-5, "kl": 2e-6, "prob@3": 1e-6}
    options = {"metric": ["logit_diff", "kl", ("prob", 3)], "top_k": 3}
    packed = {name: ib.activation_patching(model, PAIR, activation=name, **options) for name in HOOKS}
    fallback()
    for name, one in packed.items():
        whole = ib.activation_patching(model, PAIR, activation=name, **options)
        assert one.provenance["executor"] == "packed"
        assert (whole.provenance["executor"], whole.provenance["executor_reason"]) == ("hooks", "for a test")
        np.testing.assert_array_equal(whole.state, one.state)
        assert np.ptp(one.values) > 100 * tolerances["logit_diff"]
        for metric, tolerance in tolerances.items():
            values = one.measures[metric].values
            np.testing.assert_allclose(whole.measures[metric].values, values, atol=tolerance, rtol=0)
        np.testing.assert_allclose(whole.top.probs, one.top.probs, atol=1e-5)
    assert set(packed) == set(HOOKS) == set(ib.ACTIVATIONS)


# What is run, and in which order


def ran(monkeypatch):
    """Patched runs of each pass from now on."""
    passes = []
    real = Plan.run_packed
    monkeypatch.setattr(Plan, "run_packed", lambda plan, chosen: (passes.append(list(chosen)), real(plan, chosen))[1])
    return passes


def test_what_changes_nothing_is_not_run(warm, monkeypatch):
    """Left of the first difference nothing can differ; after it in the first layer equal letters have equal inputs."""
    passes = ran(monkeypatch)
    result = ib.activation_patching(warm, PAIR)
    same = np.array([True, True, False, False, True, False])  # <bos> h o/e l/x l o/q
    np.testing.assert_array_equal(result.state[0] == UNCHANGED, same)
    assert (result.state[1:, :2] == UNCHANGED).all() and (result.state[1:, 2:] == COMPUTED).all()
    assert sum(map(len, passes)) == (result.state == COMPUTED).sum() == 3 + 2 * 4
    assert (result.values[result.state == UNCHANGED] == np.float32(result.baselines["corrupt"])).all()


def test_a_sweep_of_nothing_but_equal_activations_runs_no_pass(warm, monkeypatch):
    passes = ran(monkeypatch)
    result = ib.activation_patching(warm, PAIR, activation="z", axes=("layer", "head", "position"), positions=[0, 1])
    assert passes == [] and (result.state == UNCHANGED).all() and (result.normalized == 0).all() and result.complete


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_what_is_not_run_has_exactly_no_effect_on_any_metric(metric, direction):
    axes = ("layer", "head", "position")
    result = ib.activation_patching(bridge("gpt2"), PAIR, activation="q", axes=axes, direction=direction, metric=metric)
    assert (result.state[:, :, :2] == UNCHANGED).all()
    base = np.float32(result.baselines["corrupt" if direction == "denoise" else "clean"])
    assert (result.values[result.state == UNCHANGED] == base).all()


def test_cells_come_in_the_order_of_the_axes_as_given(warm):
    steps = activation_patching.steps(warm, PAIR, layers=[2, 0, 1], positions=[4, 5, 2, 0], memory=1)
    first, *others = steps
    seen = [cell for step in others for cell in step.cells]
    assert len(others) > 5 and seen == sorted(seen)
    assert sorted(first.cells + seen) == list(range(12))
    assert [step.done for step in others] == list(np.cumsum([len(step.cells) for step in others]))
    assert all(step.total == len(seen) for step in others)
    assert others[-1].result.places == {"layer": [2, 0, 1], "position": [4, 5, 2, 0]}
    whole = ib.activation_patching(warm, PAIR)
    np.testing.assert_allclose(first.result.values, whole.values[[2, 0, 1]][:, [4, 5, 2, 0]], atol=1e-5)


def test_each_step_has_the_values_of_its_cells_and_of_no_others(warm):
    known: set[int] = set()
    for step in activation_patching.steps(warm, PAIR, activation="mlp_out", memory=1):
        assert not known & set(step.cells)
        known |= set(step.cells)
        state = step.result.state.ravel()
        assert {i for i, s in enumerate(state) if s != NOT_COMPUTED} == known
        assert np.isnan(step.result.values.ravel()[state == NOT_COMPUTED]).all()
        assert np.isfinite(step.result.values.ravel()[state != NOT_COMPUTED]).all()
        assert step.result.complete == step.result.provenance["complete"] == (step.done == step.total)


# Memory


@pytest.mark.parametrize(
    "activation, axes", [("resid_pre", None), ("pattern", ("layer", "head", "position", "source"))]
)
def test_little_memory_makes_small_passes_and_the_same_numbers(warm, activation, axes, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation=activation, axes=axes)
    passes = ran(monkeypatch)
    little = ib.activation_patching(warm, PAIR, activation=activation, axes=axes, memory=1)
    assert {len(runs) for runs in passes} == {1}
    assert_close(little.values, plenty.values)
    np.testing.assert_array_equal(little.state, plenty.state)


def test_passes_grow_with_the_memory_that_they_get(warm, monkeypatch):
    passes = ran(monkeypatch)
    counts = []
    for memory in (1, 200_000, None):
        passes.clear()
        ib.activation_patching(warm, PAIR, activation="z", axes=("layer", "head", "position"), memory=memory)
        counts.append(len(passes))
    assert counts[0] > counts[1] > counts[2] == 1


@pytest.mark.parametrize("memory", [0, -1, "much", True])
def test_memory_that_is_no_number_of_bytes_is_refused(memory):
    with pytest.raises(ValueError, match="how many bytes"):
        ib.activation_patching(bridge("gpt2"), PAIR, memory=memory)


def exhausted(monkeypatch, most, method="run_packed", problem=torch.OutOfMemoryError):
    """From now on a pass of more than so many rows of patched runs fails. Returns the rows of each that was tried."""
    tried = []
    real = getattr(Plan, method)

    def limited(plan, chosen):
        tried.append(plan.rows_of(chosen, method == "run_packed"))
        if tried[-1] > most:
            raise problem("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(plan, chosen)

    monkeypatch.setattr(Plan, method, limited)
    return tried


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_a_pass_that_does_not_fit_is_halved_and_run_again(warm, problem, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation="attn_out")
    hooks = hooks_on(warm.raw)
    tried = exhausted(monkeypatch, 9, problem=problem)
    result = ib.activation_patching(warm, PAIR, activation="attn_out")
    assert max(tried) > 9 and tried[0] > 2 * 9
    failed = [rows for rows in tried if rows > 9]
    assert all(after <= before // 2 for before, after in zip(failed, tried[1:])) and len(failed) < 5
    assert_close(result.values, plenty.values)
    np.testing.assert_array_equal(result.state, plenty.state)
    assert result.complete and result.provenance["executor"] == "packed" and hooks_on(warm.raw) == hooks


def test_the_fallback_shrinks_too(warm, fallback, monkeypatch):
    plenty = ib.activation_patching(warm, PAIR, activation="k")
    fallback()
    tried = exhausted(monkeypatch, 14, method="run_whole")
    result = ib.activation_patching(warm, PAIR, activation="k")
    assert max(tried) > 14 and result.complete
    assert_close(result.values, plenty.values)


def test_one_run_that_does_not_fit_alone_is_said_in_a_sentence(warm, monkeypatch):
    hooks = hooks_on(warm.raw)
    exhausted(monkeypatch, 3)  # the run that begins at the third position has four rows
    with pytest.raises(MemoryError, match=r"One patched run alone does not fit into memory\. Shorten the prompts"):
        ib.activation_patching(warm, PAIR)
    assert hooks_on(warm.raw) == hooks
    monkeypatch.undo()
    assert ib.activation_patching(warm, PAIR).complete


def test_another_error_of_a_pass_is_not_taken_for_a_lack_of_memory(warm, monkeypatch):
    hooks = hooks_on(warm.raw)

    def broken(plan, chosen):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Plan, "run_packed", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ib.activation_patching(warm, PAIR)
    assert hooks_on(warm.raw) == hooks


def test_a_lack_of_memory_at_the_first_try_says_nothing_about_the_model(monkeypatch):
    raw = ib.load_model(boot(random_model("gpt2"), "gpt2"))
    exhausted(monkeypatch, 0)
    once = ib.activation_patching(raw, PAIR)
    assert once.provenance["executor"] == "hooks" and "memory" in once.provenance["executor_reason"]
    monkeypatch.undo()
    again = ib.activation_patching(raw, PAIR)
    assert again.provenance["executor"] == "packed"
    assert_close(once.values, again.values)


# Falling back by itself


def test_blocks_that_can_not_be_called_alone_fall_back_and_say_why(monkeypatch):
    raw = boot(random_model("llama"), "llama")

    def refuses(*_, **__):
        raise TypeError("needs a friend")

    monkeypatch.setattr(executor, "run_packed", refuses)
    result = ib.activation_patching(raw, PAIR, activation="z")
    assert result.provenance["executor"] == "hooks"
    assert result.provenance["executor_reason"] == "its blocks can't be called one by one (TypeError: needs a friend)"
    assert_close(result.values, expected(raw, "z", ("layer", "head")))


def test_one_activation_that_differs_does_not_slow_down_the_others(monkeypatch):
    raw = ib.load_model(boot(random_model("gpt2"), "gpt2"))
    real = executor.difference
    monkeypatch.setattr(executor, "difference", lambda a, b: 1.0)
    assert ib.activation_patching(raw, PAIR, activation="q").provenance["executor"] == "hooks"
    monkeypatch.setattr(executor, "difference", real)
    assert ib.activation_patching(raw, PAIR, activation="k").provenance["executor"] == "packed"
    assert ib.activation_patching(raw, PAIR, activation="q").provenance["executor"] == "hooks"  # tried once


def test_a_model_without_calls_to_its_blocks_falls_back(monkeypatch):
    raw = boot(random_model("gpt2"), "gpt2")
    monkeypatch.setattr("interp_backend.engine.recording._RecordedRun.complete", lambda run: False)
    result = ib.activation_patching(raw, PAIR, activation="mlp_post")
    assert result.provenance["executor"] == "hooks" and "one after another" in result.provenance["executor_reason"]
    assert_close(result.values, expected(raw, "mlp_post", ("layer", "position")))


# Failures


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_not_a_number_names_the_layer_where_it_begins(architecture):
    raw = boot(random_model(architecture), architecture)
    hooks = hooks_on(raw)
    model = ib.load_model(raw)
    assert model.dead_hooks == []  # looked up while the model is well
    hooks = hooks_on(raw)
    weight = next(p for name, p in raw.original_model.named_parameters() if ".1." in name and p.ndim == 2)
    weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"not a number \(NaN\) from layer 1 on .* float32"):
        ib.activation_patching(model, PAIR)
    with pytest.raises(ValueError, match="from layer 1 on"):
        ib.patch_together(model, PAIR, [ib.Intervention("z", 0)])
    assert hooks_on(raw) == hooks


def test_not_a_number_in_the_unembedding_blames_no_layer():
    raw = boot(random_model("llama"), "llama")
    raw.original_model.lm_head.weight.data[:, 0] = float("nan")
    with pytest.raises(ValueError, match="in the unembedding"):
        ib.activation_patching(raw, PAIR)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_precision_that_the_device_lacks_is_refused_in_a_sentence(dtype):
    raw = boot(random_model("gpt2"), "gpt2")
    model = ib.load_model(raw)
    assert ib.activation_patching(model, PAIR).complete
    raw.original_model.to(dtype)
    for source in (raw, model):
        with pytest.raises(ValueError, match=r"cpu can't compute in float8.*Load the model in float32 or bfloat16\."):
            ib.activation_patching(source, PAIR)


def test_a_metric_that_raises_keeps_its_own_traceback_and_leaves_no_hook(warm):
    hooks = hooks_on(warm.raw)

    def metric(logits):
        if len(logits) == 2:  # the two unpatched runs
            return logits[:, 0]
        return logits[:, 10_000]

    with pytest.raises(ValueError, match="The metric metric failed: IndexError") as caught:
        ib.activation_patching(warm, PAIR, metric=metric)
    assert "return logits[:, 10_000]" in caught.value.traceback and "_measured" not in caught.value.traceback
    assert hooks_on(warm.raw) == hooks and ib.activation_patching(warm, PAIR).complete


@pytest.mark.parametrize("way", ["packed", "hooks"])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_early_leaves_no_hook_and_a_free_model(warm, way, taken, fallback):
    if way == "hooks":
        fallback()
    hooks = hooks_on(warm.raw)
    steps = activation_patching.steps(warm, PAIR, activation="v", memory=1)
    got = [next(steps) for _ in range(taken)]
    if got:
        assert got[-1].result.provenance["executor"] == way
    steps.close()
    assert hooks_on(warm.raw) == hooks
    assert is_free(warm)
    if got:
        result = got[-1].result
        assert not result.complete and result.provenance["complete"] is False
        assert ((result.state == NOT_COMPUTED) == np.isnan(result.values)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "z", "heads": [4]},
        {"activation": "resid_pre", "layers": [3]},
        {"activation": "resid_pre", "positions": [6]},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "neurons": [9999]},
        {"activation": "pattern", "axes": ("layer", "head", "position", "source"), "sources": [-7]},
        {"activation": "resid_pre", "window": 4},
        {"at": 6},
        {"value": ib.FromPrompt(text="longer than the pair")},
        {"value": ib.Add(vector=(1.0, 2.0))},
        {"metric": lambda logits: logits[0]},
    ],
)
def test_what_is_refused_on_the_way_leaves_no_hook_and_a_free_model(warm, options):
    hooks = hooks_on(warm.raw)
    with pytest.raises(ValueError) as caught:
        ib.activation_patching(warm, PAIR, **options)
    assert str(caught.value).endswith(".") and len(str(caught.value)) > 20
    assert hooks_on(warm.raw) == hooks
    assert is_free(warm)


@pytest.mark.parametrize("architecture", sorted(DEAD_PATTERN))
def test_a_dead_hook_names_the_models_that_have_it(architecture):
    for call in (
        lambda: ib.activation_patching(bridge(architecture), PAIR, activation="pattern"),
        lambda: ib.patch_together(bridge(architecture), PAIR, [ib.Intervention("pattern", 0)]),
    ):
        with pytest.raises(ValueError, match=r"never reach the output.*gpt_neo, gptj and opt.*Patch z, q, k or v"):
            call()


def test_a_run_is_the_models_own_whatever_is_read(warm):
    """The unpatched runs are the model's: baselines equal a plain run's."""
    result = ib.activation_patching(warm, PAIR)
    for side in ("clean", "corrupt"):
        value = logit_diff(warm.raw, Run(warm.raw, getattr(PAIR, side)).logits[-1], PAIR)
        assert result.baselines[side] == pytest.approx(value, abs=1e-5)
    assert NO_COUNTERPART not in result.state
