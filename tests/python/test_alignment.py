"""Prompts of unequal length: which position is patched from which, and where nothing is."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interp_backend as ib
from interp_backend import Add, Intervention, PromptPair
from interp_backend.engine.executor import Plan
from interp_backend.language.prompts import align
from interp_backend.results.effect_map import COMPUTED, NO_COUNTERPART, UNCHANGED, EffectMap
from plain_loop import EVERYTHING, PER_HEAD, Change, assert_close, logit_diff, runs_of
from tiny_models import boot, bridge, random_model

ANSWERS = {"clean_answer": "a", "corrupt_answer": "b"}
LONGER = PromptPair(clean="hi dear you", corrupt="hi sir yu", **ANSWERS)  # 12 and 10 tokens with the one that begins
EQUAL = PromptPair(clean="hollo", corrupt="hexlq", **ANSWERS)


@cache
def model_of(architecture="gpt2"):
    return ib.load_model(bridge(architecture))


def columns_of(pair, architecture="gpt2"):
    return [(column.clean, column.corrupt) for column in ib.tokenize(model_of(architecture), pair).columns]


def counterparts_of(pair, direction, architecture="gpt2"):
    """For each position of the patched prompt that of the other, or None: read off the columns."""
    made = {}
    for clean, corrupt in columns_of(pair, architecture):
        here, there = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
        if here is not None:
            made[here] = there
    return made


def aligned_change(base, other, counterparts, activation, layer, positions, head=EVERYTHING, shift=None):
    """The other run's value from the position that corresponds; nothing where none does."""
    source = other.activation(activation, layer)
    now = base.activation(activation, layer)
    positions = [p for p in positions if counterparts[p] is not None]
    where = iter(positions)

    def new(old, pick):
        position = next(where)
        value = pick(source, counterparts[position])
        return value if shift is None else old + shift * (value - pick(now))

    return Change(activation, layer, new, positions, head)


def loop(raw, pair, direction, result, counterparts, shift=None):
    """A plain loop over the cells of a result; NaN where no position has a counterpart."""
    base, other = runs_of(raw, pair, direction)
    activation = result.params["activation"]
    expected = np.full(result.values.shape, np.nan)
    for index in np.ndindex(expected.shape):
        at = {axis: result.places[axis][i] for axis, i in zip(result.axes, index)}
        positions = at.get("position", list(range(len(base))))
        positions = positions if isinstance(positions, list) else [positions]
        if all(counterparts[p] is None for p in positions):
            continue
        head = at.get("head", EVERYTHING)
        change = aligned_change(base, other, counterparts, activation, at["layer"], positions, head, shift)
        expected[index] = logit_diff(raw, base.changed(change)[-1], pair)
    return expected


def assert_equals_loop(result, expected):
    nowhere = np.isnan(expected)
    np.testing.assert_array_equal(result.state == NO_COUNTERPART, nowhere)
    np.testing.assert_array_equal(np.isnan(result.values), nowhere)
    assert_close(result.values[~nowhere], expected[~nowhere])


# Which position corresponds to which


@given(st.lists(st.integers(0, 4), max_size=14), st.lists(st.integers(0, 4), max_size=14))
def test_an_automatic_alignment_has_every_position_once_and_rises(clean, corrupt):
    columns = align(clean, corrupt)
    for side, tokens in (("clean", clean), ("corrupt", corrupt)):
        assert [getattr(c, side) for c in columns if getattr(c, side) is not None] == list(range(len(tokens)))
    pairs = [(c.clean, c.corrupt) for c in columns if c.clean is not None and c.corrupt is not None]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    assert all(c.clean is not None or c.corrupt is not None for c in columns)
    for c in columns:
        both = c.clean is not None and c.corrupt is not None
        assert c.same == (both and clean[c.clean] == corrupt[c.corrupt])
    if len(clean) == len(corrupt):
        assert pairs == [(i, i) for i in range(len(clean))]


@given(
    st.lists(st.integers(0, 9), max_size=6),
    st.lists(st.integers(0, 9), max_size=4),
    st.lists(st.integers(0, 9), max_size=6),
)
def test_what_both_begin_and_end_with_corresponds(start, more, end):
    """Tokens that one prompt has more in its middle leave gaps, and nothing else does."""
    if not more:
        return
    short, long = [10, *start, 11, *end], [10, *start, 12, *more, 11, *end]
    columns = align(long, short)
    pairs = [(c.clean, c.corrupt) for c in columns if c.clean is not None and c.corrupt is not None]
    assert len(pairs) == len(short) and all(long[a] == short[b] for a, b in pairs)
    assert pairs[0] == (0, 0) and pairs[-1] == (len(long) - 1, len(short) - 1)


def test_words_of_different_lengths_correspond_at_their_last_tokens():
    assert columns_of(LONGER) == [
        *((i, i) for i in range(4)),
        *[(4, None)],  # d of dear
        *[(5, 4), (6, 5), (7, 6)],  # ear, sir
        *[(8, 7), (9, 8)],  # the space, y
        *[(10, None), (11, 9)],  # o, u
    ]


@given(st.data())
def test_an_alignment_by_hand_is_kept(data):
    clean, corrupt = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    n = data.draw(st.integers(0, min(clean, corrupt)))
    one = sorted(data.draw(st.permutations(range(clean)))[:n])
    other = sorted(data.draw(st.permutations(range(corrupt)))[:n])
    pair = PromptPair(clean="x" * clean, corrupt="y" * corrupt, alignment=list(zip(one, other)), **ANSWERS)
    raw_ids = {side: model_of().to_ids(getattr(pair, side)) for side in ("clean", "corrupt")}
    columns = columns_of(pair)
    assert [(a, b) for a, b in columns if a is not None and b is not None] == list(zip(one, other))
    assert [a for a, _ in columns if a is not None] == list(range(len(raw_ids["clean"])))
    assert [b for _, b in columns if b is not None] == list(range(len(raw_ids["corrupt"])))
    assert PromptPair.model_validate_json(pair.model_dump_json()) == pair


BAD = [
    ((0, 0), (12, 9)),  # past the clean prompt's end
    ((0, 0), (11, 10)),  # past the corrupt one's
    ((-1, 0),),
    ((0, -1),),
    ((3, 3), (2, 4)),  # falling
    ((2, 4), (3, 3)),
    ((3, 3), (3, 4)),  # twice
    ((3, 3), (4, 3)),
]


@pytest.mark.parametrize("alignment", BAD)
def test_a_bad_alignment_is_refused_in_a_sentence_with_a_remedy(alignment):
    pair = LONGER.model_copy(update={"alignment": alignment})
    sentence = r"clean position \(0 to 11\) and a corrupt one \(0 to 9\).*Align them automatically"
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(model_of(), pair)
    with pytest.raises(ValueError, match=sentence):
        ib.patch_together(model_of(), pair, [Intervention("z", 0)])
    with pytest.raises(ValueError, match=f"Pair 1 .*{sentence}"):
        ib.activation_patching(model_of(), ib.PromptPairs([LONGER, pair]))
    warning = ib.tokenize(model_of(), pair).warnings[0]
    assert warning.code == "bad_alignment" and warning.fix.pair == LONGER


@pytest.mark.parametrize("alignment", ["all", [(1,)], [(0, 0, 0)], [("a", "b")], 5, [(0.5, 1)]])
def test_what_is_no_alignment_is_refused(alignment):
    with pytest.raises(ValueError, match="alignment"):
        ib.activation_patching(model_of(), {**LONGER.model_dump(), "alignment": alignment})


# The numbers

CASES = {
    "resid_pre": ("layer", "position"),
    "resid_post": ("layer", "position"),
    "mlp_post": ("layer", "position"),
    "embed": ("layer", "position"),
    "z": ("layer", "head"),
    "k": ("layer", "head", "position"),
}


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bloom"])
def test_each_position_is_patched_from_its_counterpart(architecture, direction):
    raw, model = bridge(architecture), model_of(architecture)
    counterparts = counterparts_of(LONGER, direction, architecture)
    for activation, axes in CASES.items():
        chosen = {"layers": [1]} if activation in ("k", "mlp_post") else {}
        result = ib.activation_patching(model, LONGER, activation=activation, axes=axes, direction=direction, **chosen)
        assert result.provenance["executor"] == "packed" and result.complete
        assert result.counterparts == [counterparts[i] for i in range(len(counterparts))]
        assert_equals_loop(result, loop(raw, LONGER, direction, result, counterparts))
    if direction == "noise":
        assert None in result.counterparts


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
@pytest.mark.parametrize("pair", [LONGER, EQUAL], ids=["unequal", "equal"])
def test_an_alignment_by_hand_is_what_is_patched(architecture, pair):
    pair = pair.model_copy(update={"alignment": ((0, 0), (2, 1), (3, 4), (5, 5))})
    raw, model = bridge(architecture), model_of(architecture)
    for direction in ("denoise", "noise"):
        counterparts = counterparts_of(pair, direction)
        assert {a: b for a, b in counterparts.items() if b is not None} == (
            {0: 0, 1: 2, 4: 3, 5: 5} if direction == "denoise" else {0: 0, 2: 1, 3: 4, 5: 5}
        )
        for activation in ("resid_pre", "attn_out", "v"):
            axes = ("layer", "head", "position") if activation in PER_HEAD else None
            heads = [1] if activation in PER_HEAD else None
            result = ib.activation_patching(
                model, pair, activation=activation, axes=axes, heads=heads, direction=direction
            )
            assert_equals_loop(result, loop(raw, pair, direction, result, counterparts))


def test_without_a_token_that_begins_the_text_too():
    raw = boot(random_model("gpt2"), "gpt2")
    raw.cfg.default_prepend_bos = False
    model = ib.load_model(raw)
    tokenized = ib.tokenize(model, LONGER)
    counterparts = {c.corrupt: c.clean for c in tokenized.columns if c.corrupt is not None}
    assert len(counterparts) == 9
    result = ib.activation_patching(model, LONGER, activation="attn_out")
    assert_equals_loop(result, loop(raw, LONGER, "denoise", result, counterparts))


def test_the_fallback_and_little_memory_give_the_same(monkeypatch):
    model = model_of()
    for activation in CASES:
        options = {"activation": activation, "direction": "noise"}
        plenty = ib.activation_patching(model, LONGER, **options)
        little = ib.activation_patching(model, LONGER, memory=1, **options)
        with monkeypatch.context() as patch:
            patch.setattr("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test")
            whole = ib.activation_patching(model, LONGER, **options)
        assert whole.provenance["executor"] == "hooks"
        for other in (little, whole):
            np.testing.assert_array_equal(other.state, plenty.state)
            np.testing.assert_allclose(other.values, plenty.values, atol=1e-5)


def test_a_position_without_counterpart_is_not_run_and_not_zero(monkeypatch):
    model = model_of()
    ib.activation_patching(model, LONGER, direction="noise")  # whether it runs packed is tried once
    runs = []
    real = Plan.run_packed
    monkeypatch.setattr(Plan, "run_packed", lambda plan, chosen: (runs.extend(chosen), real(plan, chosen))[1])
    result = ib.activation_patching(model, LONGER, direction="noise", layers=[1], metric=["logit_diff", "prob"])
    nowhere = [4, 10]  # d of dear, o of you
    assert list(np.flatnonzero(result.state[0] == NO_COUNTERPART)) == nowhere
    assert (result.state[0] == UNCHANGED).sum() == 4  # all before the first difference
    assert len(runs) == (result.state == COMPUTED).sum() == 12 - 2 - 4
    for name in ("logit_diff", "prob"):
        assert (
            np.isnan(result.by_metric(name).values[0, nowhere]).all()
            and np.isnan(result.by_metric(name).normalized[0, nowhere]).all()
        )
        assert np.isfinite(np.delete(result.by_metric(name).values[0], nowhere)).all()
    assert result.complete and result.provenance["complete"]
    table = result.to_dataframe()
    assert list(table[table.state == "no counterpart"].position) == nowhere
    assert not set(result.top_cells(5).position) & set(nowhere)
    again = EffectMap.from_json(result.to_json())
    assert again.counterparts == result.counterparts and again.to_json() == result.to_json()


def test_no_counterpart_anywhere_leaves_nothing_to_run():
    result = ib.activation_patching(model_of(), LONGER.model_copy(update={"alignment": ()}), activation="z")
    assert (result.state == NO_COUNTERPART).all() and np.isnan(result.values).all() and result.complete
    assert set(result.counterparts) == {None}


def test_a_named_set_is_patched_where_it_has_counterparts():
    raw, model = bridge("gpt2"), model_of()
    sets = {"dear": [4, 5, 6, 7], "d": [4], "d and o": [4, 10], "end": [-2, -1]}
    result = ib.activation_patching(model, LONGER, activation="mlp_out", direction="noise", positions=sets)
    np.testing.assert_array_equal(result.state == NO_COUNTERPART, [[False, True, True, False]] * 3)
    assert_equals_loop(result, loop(raw, LONGER, "noise", result, counterparts_of(LONGER, "noise")))


def test_adding_the_difference_of_both_runs_needs_counterparts_too():
    raw, model = bridge("gpt2"), model_of()
    result = ib.activation_patching(
        model, LONGER, activation="resid_mid", direction="noise", value=Add(factor=0.5), layers=[0, 2]
    )
    counterparts = counterparts_of(LONGER, "noise")
    assert_equals_loop(result, loop(raw, LONGER, "noise", result, counterparts, shift=0.5))


@pytest.mark.parametrize(
    "value", ["zero", Add(vector=(1.0,) * 32), ib.Scale(factor=2), ib.FromPrompt(text="hi dear yuu")]
)
def test_values_that_come_from_elsewhere_need_no_counterpart(value):
    result = ib.activation_patching(model_of(), LONGER, activation="resid_pre", direction="noise", value=value)
    assert NO_COUNTERPART not in result.state and np.isfinite(result.values).all()


def test_several_interventions_follow_the_alignment():
    raw = bridge("llama")
    base, other = runs_of(raw, LONGER, "noise")
    counterparts = counterparts_of(LONGER, "noise", "llama")
    ones = [
        Intervention("resid_pre", 1, position=(4, 6)),  # of which one has a counterpart
        Intervention("z", 2, head=1),
        Intervention("mlp_out", 0, position=10),  # which has none
    ]
    result = ib.patch_together(model_of("llama"), LONGER, ones, direction="noise")

    def stream():
        return aligned_change(base, other, counterparts, "resid_pre", 1, [4, 6])

    def head():
        return aligned_change(base, other, counterparts, "z", 2, range(12), 1)

    expected = [base.changed(stream(), head()), base.changed(stream()), base.changed(head())]
    assert_close(result.values[:3], [logit_diff(raw, logits[-1], LONGER) for logits in expected])
    assert result.state[3] == NO_COUNTERPART and np.isnan(result.values[3])


def test_a_metric_compares_with_the_counterpart_of_its_position():
    raw, model = bridge("gpt2"), model_of()
    base, other = runs_of(raw, LONGER, "denoise")
    result = ib.activation_patching(model, LONGER, activation="attn_out", metric=[("kl", 5), "kl"])
    # position 5 of the corrupt prompt (i of sir) corresponds to 6 of the clean one (a of dear)
    for name, here, there in (("kl@5", 5, 6), ("kl", -1, -1)):
        p, q = other.logits[there].log_softmax(-1), base.logits[here].log_softmax(-1)
        assert result.by_metric(name).baselines["corrupt"] == pytest.approx(float((p.exp() * (p - q)).sum()), abs=1e-5)
        assert result.by_metric(name).baselines["clean"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("at", [4, -8, 10])
def test_a_metric_at_a_position_without_counterpart_is_refused_in_a_sentence(at):
    sentence = r"Position .* of the clean prompt has no counterpart in the other.*or align the prompts"
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(model_of(), LONGER, direction="noise", at=at)
    with pytest.raises(ValueError, match=sentence):
        ib.activation_patching(model_of(), LONGER, direction="noise", metric=["logit_diff", ("prob", at)])


PATTERN = "row of attention weights is patched as a whole.*Patch z, q, k or v, or choose prompts of one length"


@pytest.mark.parametrize("value", ["other", Add()], ids=["other", "add"])
@pytest.mark.parametrize(
    "pair", [LONGER, EQUAL.model_copy(update={"alignment": ((0, 0), (1, 2))})], ids=["unequal", "by hand"]
)
def test_a_pattern_of_unequal_prompts_is_refused_in_a_sentence(pair, value):
    for axes in (("layer", "head"), ("layer", "head", "position", "source")):
        with pytest.raises(ValueError, match=PATTERN):
            ib.activation_patching(model_of(), pair, activation="pattern", axes=axes, value=value)
    with pytest.raises(ValueError, match=PATTERN):
        ib.patch_together(model_of(), pair, [Intervention("z", 0), Intervention("pattern", 1, value=value)])
    assert ib.activation_patching(model_of(), pair, activation="pattern", value="zero").complete


def test_equally_long_prompts_say_nothing_of_counterparts():
    assert ib.activation_patching(model_of(), EQUAL).counterparts is None
    by_hand = EQUAL.model_copy(update={"alignment": tuple((i, i) for i in range(6))})
    result = ib.activation_patching(model_of(), by_hand, activation="pattern")
    assert result.counterparts is None
    plain = ib.activation_patching(model_of(), EQUAL, activation="pattern")
    np.testing.assert_array_equal(result.values, plain.values)


@settings(max_examples=12)
@given(st.data())
def test_any_alignment_gives_what_a_plain_loop_gives(data):
    clean, corrupt = data.draw(st.integers(2, 6)), data.draw(st.integers(2, 6))
    n = data.draw(st.integers(1, min(clean, corrupt)))
    one = sorted(data.draw(st.permutations(range(clean)))[:n])
    other = sorted(data.draw(st.permutations(range(corrupt)))[:n])
    letters = st.text("abcdefgh", min_size=1)
    pair = PromptPair(
        clean=(data.draw(letters) * clean)[: clean - 1] + "y",
        corrupt=(data.draw(letters) * corrupt)[: corrupt - 1] + "z",
        alignment=data.draw(st.just(list(zip(one, other)))),
        **ANSWERS,
    )
    direction, activation = (
        data.draw(st.sampled_from(["denoise", "noise"])),
        data.draw(st.sampled_from(["k", "resid_pre"])),
    )
    counterparts = counterparts_of(pair, direction)
    result = ib.activation_patching(model_of(), pair, activation=activation, direction=direction, layers=[0, 2])
    assert_equals_loop(result, loop(bridge("gpt2"), pair, direction, result, counterparts))


def test_a_cell_says_how_many_of_its_positions_have_no_counterpart():
    result = ib.activation_patching(model_of(), LONGER, activation="z", direction="noise")
    lonely = result.counterparts.count(None)
    assert lonely and (result.unpatched == lonely).all()
    both = ib.activation_patching(model_of(), LONGER, direction="noise", positions={"all": range(12), "last": [-1]})
    assert (both.unpatched == [lonely, 0]).all()
    single = ib.activation_patching(model_of(), LONGER, direction="noise")
    assert single.unpatched is None and (single.state == NO_COUNTERPART).any()
    again = ib.EffectMap.from_json(both.to_json())
    np.testing.assert_array_equal(again.unpatched, both.unpatched)
