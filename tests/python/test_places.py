"""Which place of the model each cell, row, bar or entry of a result is, and where in a result a place is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import interp_backend as ib
from interp_backend import Place

EQUAL = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)
UNEQUAL = EQUAL.model_copy(update={"clean": "The big capital of Norway is"})


@cache
def swept(direction="denoise", pair=EQUAL, **options):
    return ib.activation_patching(ib.load_model(), pair, direction=direction, **options)


# Effect maps


@pytest.mark.parametrize("direction, side", [("denoise", "corrupt"), ("noise", "clean")])
def test_a_cell_is_a_place_of_the_patched_prompt(direction, side):
    result = swept(direction)
    assert result.place_of((2, 5)) == Place(activation="resid_pre", layer=2, position=5, side=side)
    assert result.place_of(2 * 6 + 5) == result.place_of((2, 5))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "z"},
        {"activation": "z", "axes": ("layer", "head", "position"), "layers": (3, 1), "positions": (-1, 2)},
        {"activation": "pattern", "axes": ("layer", "head", "position", "source"), "layers": (1,), "heads": (2,)},
        {"activation": "mlp_post", "axes": ("layer", "neuron"), "neurons": (7, 3)},
        {"activation": "embed"},
    ],
)
def test_every_cell_is_found_at_its_place(options):
    result = swept(**options)
    for index in np.ndindex(result.values.shape):
        assert result.find(result.place_of(index)) == index


def test_a_named_set_of_positions_is_a_tuple():
    result = ib.activation_patching(ib.load_model(), EQUAL, positions={"subject": [3, 4], "end": [-1]})
    assert result.place_of((1, 0)).position == (3, 4) and result.place_of((1, 1)).position == (5,)
    assert result.find(result.place_of((1, 0))) == (1, 0)
    assert result.find(Place(layer=2, position=4)) == (2, 0)  # a single position is in the set that has it
    assert result.find(Place(layer=2, position=1)) is None


def test_a_place_is_projected_onto_the_axes_that_a_map_has():
    heads = swept(activation="z")
    assert heads.find(Place(activation="pattern", layer=1, head=2, position=4, source=3)) == (1, 2)
    assert heads.find(Place(layer=1)) == heads.find({"layer": 1}) == (1, slice(None))
    with pytest.raises(ValueError, match="A place has no row"):
        heads.find({"row": 1})
    np.testing.assert_array_equal(heads.values[heads.find(Place(head=3))], heads.values[:, 3])
    assert heads.find(Place(position=4)) is None  # it says nothing of a head
    assert heads.find(Place(layer=99, head=0)) is None and heads.find(Place()) is None


def test_a_place_crosses_to_the_patched_prompt_by_the_alignment():
    for direction, patched, other in [("denoise", "corrupt", "clean"), ("noise", "clean", "corrupt")]:
        result = swept(direction, UNEQUAL)
        counterparts = result.counterparts
        assert counterparts is not None and counterparts != list(range(len(counterparts)))
        for here, there in enumerate(counterparts):
            if there is not None:
                assert result.find(Place(layer=1, position=there, side=other)) == (1, here)
            assert result.find(Place(layer=1, position=here, side=patched)) == (1, here)
        lost = set(range(len(result.prompts[other].ids))) - set(counterparts)
        assert all(result.find(Place(layer=1, position=at, side=other)) is None for at in lost)
        assert bool(lost) == (other == "clean")


def test_positions_of_a_data_set_count_from_the_end():
    mixed = ib.PromptPairs(
        [EQUAL, EQUAL.model_copy(update={"clean": UNEQUAL.clean, "corrupt": "The big capital of Sweden is"})]
    )
    result = ib.activation_patching(ib.load_model(), mixed)
    place = result.place_of((2, result.values.shape[1] - 1))
    assert place.position == -1 and result.find(place) == (2, result.values.shape[1] - 1)


def test_a_run_of_several_interventions_is_what_they_have_in_common():
    parts = [ib.Intervention("z", 1, head=2, position=3), ib.Intervention("z", 1, head=0)]
    result = ib.patch_together(ib.load_model(), EQUAL, parts)
    assert result.place_of(1) == Place(activation="z", layer=1, head=2, position=3, side="corrupt")
    assert result.place_of(0) == Place(activation="z", layer=1)
    assert result.find(Place(layer=1)) is None


# The lens


@pytest.mark.parametrize("stream", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_every_row_of_a_lens_is_an_activation(stream):
    model = ib.load_model()
    lens = ib.logit_lens(model, EQUAL, stream=stream)
    places, last = lens.row_places, model.n_layers - 1
    assert len(places) == len(lens.labels) == len(set(places))
    assert places[0] == Place(activation="resid_pre", layer=0)
    assert places[-1] == Place(activation="resid_post", layer=last)
    assert all(place.activation == stream for place in places[1:-1])
    for label, place in [*zip(lens.labels, places)][1:-1]:
        assert label == str(place.layer)
    assert lens.to_wire()["places"] == [place.to_json() for place in places]
    assert lens.to_wire(arrays=False)["places"] == lens.to_wire()["places"]
    for row, position in np.ndindex(len(places), 6):
        assert lens.find(lens.place_of(row, position, "corrupt")) == (row, position)


def test_a_place_of_another_view_is_found_in_the_lens():
    lens = ib.logit_lens(ib.load_model(), UNEQUAL)
    assert lens.find(Place(activation="z", layer=1, head=2, position=3, side="clean")) == (2, 3)
    assert lens.find(Place(activation="z", layer=3, head=2)) == (4, slice(None))
    assert lens.find(Place(position=-1)) == lens.find({"position": -1}) == (slice(None), 6)
    assert lens.find(Place(layer=9, position=1)) is None and lens.find(Place(layer=1, position=99)) is None
    assert lens.find(Place(head=1)) is None
    there = lens.counterparts.index(None)
    assert lens.find(Place(layer=0, position=there, side="clean"), "corrupt") is None
    assert lens.find(Place(layer=0, position=5, side="corrupt"), "difference") == (1, lens.counterparts.index(5))


# Attribution


def test_every_component_is_a_place():
    result = ib.direct_logit_attribution(ib.load_model(), EQUAL, unit="head")
    by_label = dict(zip(result.labels, result.places))
    assert by_label["head 2.1"] == Place(activation="z", layer=2, head=1)
    assert by_label["mlp 3"] == Place(activation="mlp_out", layer=3)
    assert by_label["embed"] == Place(activation="embed") and by_label["bias"] == Place()
    assert by_label["attn bias 1"] == Place(layer=1)
    assert result.to_wire()["places"] == [place.to_json() for place in result.places]
    for i, (label, place) in enumerate(by_label.items()):
        assert result.find(place) == (None if "bias" in label or label == "pos_embed" else i)
    neurons = ib.direct_logit_attribution(ib.load_model(), EQUAL, unit="neuron")
    at = neurons.labels.index("neuron 1.7")
    assert neurons.places[at] == Place(activation="mlp_post", layer=1, neuron=7)
    assert neurons.find(neurons.places[at]) == at


def test_a_place_is_found_in_the_component_that_it_belongs_to():
    found = {
        unit: ib.direct_logit_attribution(ib.load_model(), EQUAL, unit=unit) for unit in ("layer", "component", "head")
    }
    for unit, label in [("layer", "layer 1"), ("component", "attn 1"), ("head", "head 1.2")]:
        at = found[unit].find(Place(activation="pattern", layer=1, head=2, position=4, source=1, side="clean"))
        assert at is not None and found[unit].labels[at] == label
    for unit, label in [("layer", "layer 1"), ("component", "mlp 1"), ("head", "mlp 1")]:
        at = found[unit].find(Place(activation="mlp_post", layer=1, neuron=3))
        assert at is not None and found[unit].labels[at] == label
    assert found["head"].find(Place(activation="resid_pre", layer=1)) is None
    assert found["head"].find(Place(activation="z", layer=9, head=0)) is None


# Attention and head scores


def test_every_entry_of_attention_is_a_place():
    result = ib.attention_patterns(ib.load_model(), UNEQUAL, layers=[1, 3], heads=[0, 2])
    assert result.place_of((1, 1, 4, 2), "corrupt") == Place(
        activation="pattern", layer=3, head=2, position=4, source=2, side="corrupt"
    )
    assert result.place_of((0, 1)) == Place(activation="pattern", layer=1, head=2)
    for index in [(0, 0, 0, 0), (1, 1, 4, 2), (1, 0, 5, 5)]:
        for side in ("clean", "corrupt"):
            assert result.find(result.place_of(index, side)) == index
    assert result.find(Place(layer=3, head=2)) == (1, 1, slice(None), slice(None))
    assert result.find(Place(layer=2, head=2)) is None  # it was not read
    there = result.counterparts.index(None)
    assert result.find(Place(layer=3, head=2, source=there, side="clean"), "corrupt") is None
    alone = ib.attention_patterns(ib.load_model(), EQUAL.clean)
    assert alone.place_of((0, 0, 1, 1)).side is None and alone.find(Place(position=-1)) == (
        *[slice(None)] * 2,
        5,
        slice(None),
    )


def test_every_head_of_a_table_is_a_place():
    table = ib.head_scores(ib.load_model(), seeds=1)
    assert table.place_of(2, 3) == Place(layer=2, head=3)
    assert table.find(Place(activation="z", layer=2, head=3, position=4)) == (2, 3)
    assert table.find(Place(layer=7, head=0)) is None and table.find(Place(position=1)) is None


def test_a_position_that_counts_from_the_end_is_found(embedded, capitals):
    result = ib.activation_patching(embedded, capitals)
    assert result.find(Place(layer=2, position=-1)) == (2, result.values.shape[1] - 1)
    assert result.find(Place(layer=2, position=-99)) is None
