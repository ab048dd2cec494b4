"""Values and interventions on their way through JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interp_backend import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from interp_backend.language.interventions import as_value

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
prompts = st.lists(texts, min_size=1, max_size=3).map(tuple)
any_value = st.one_of(
    st.just(FromOther()),
    st.just(Zero()),
    st.builds(FromPrompt, text=texts),
    st.builds(Mean, prompts=prompts, by_position=st.booleans()),
    st.builds(Resample, prompts=prompts, draws=st.integers(1, 1000), seed=st.integers(0, 2**40)),
    st.builds(Add, vector=st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple)),
    st.builds(Scale, factor=st.floats(allow_nan=False, allow_infinity=False)),
)
several = st.none() | st.integers(-9, 9) | st.lists(st.integers(-9, 9), max_size=3).map(tuple)


@given(any_value)
def test_a_value_survives_json(value):
    assert as_value(type(value).model_validate_json(value.model_dump_json())) == value
    assert as_value(value.model_dump()) == as_value(value.model_dump(mode="json")) == value


@given(
    st.builds(
        Intervention,
        st.text(max_size=9),
        st.integers(),
        position=several,
        head=st.none() | st.integers(),
        source=several,
        neuron=several,
        value=any_value,
    )
)
def test_an_intervention_survives_json(one):
    again = Intervention.model_validate_json(one.model_dump_json())
    assert again == one and hash(again) == hash(one)
    assert Intervention.model_validate(one.model_dump()) == one
    assert Intervention(**one.model_dump()) == one


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '{"activation": "z"}',
        '{"layer": 0}',
        '{"activation": "z", "layer": 0, "self": 1}',
        '{"activation": "z", "layer": 0, "value": {"kind": "other", "text": "x"}}',
        '{"activation": "z", "layer": 0, "value": {"kind": "scale", "factor": "NaN"}}',
        '{"activation": "z", "layer": 0, "value": {"kind": "mean", "prompts": "abc"}}',
        '{"activation": "z", "layer": 1.5}',
        '{"activation": "z", "layer": 0, "position": "all"}',
    ],
)
def test_what_is_no_intervention_is_refused_by_validation_alone(text):
    with pytest.raises(ValidationError):
        Intervention.model_validate_json(text)


def test_an_intervention_is_written_with_or_without_names():
    assert Intervention("z", 1) == Intervention(activation="z", layer=1) == Intervention("z", layer=1)
    assert Intervention("z", 1).value == FromOther()
    assert Intervention("z", 1, value="zero").value == Zero()
    with pytest.raises(ValidationError):
        Intervention("z")
    with pytest.raises(ValidationError):
        Intervention("z", 0, where=3)
