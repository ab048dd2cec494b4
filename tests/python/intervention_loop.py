"""Interventions spelled out as changes of a plain loop's runs, and the prompts that their tests share."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

import interp_backend as ib
from interp_backend import Add, FromPrompt, Mean, Scale, Zero
from plain_loop import EVERYTHING, Change, Run
from tiny_models import bridge

PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")
LENGTH = 6  # with the token that begins the text
DATA = ("qwert", "zzyxw", "ha ha", "o-o-o")  # as long as the pair
LOOSE = ("ab", "cdefghij", "k")  # of other lengths
VECTOR = tuple(np.random.default_rng(0).normal(size=128).round(3).tolist())


@cache
def model_of(architecture):
    return ib.load_model(bridge(architecture))


@cache
def run_of(architecture, prompt):
    return Run(bridge(architecture), prompt)


def mean_of(architecture, value, activation, layer):
    """The mean over a data set, spelled out: [position, ...]."""
    runs = [run_of(architecture, text).activation(activation, layer) for text in value.prompts]
    if value.by_position:
        return torch.stack(runs).mean(0)
    everywhere = torch.cat([run[1:] for run in runs])  # both models here begin a text with a token of its own
    return everywhere.mean(0, keepdim=True).expand(LENGTH, *everywhere.shape[1:])


def new_of(architecture, base, other, activation, layer, value):
    """A `Change`'s `new` for a value, spelled out. All runs are made here: later this run's hooks would act on them."""
    now, there = base.activation(activation, layer), other.activation(activation, layer)
    if isinstance(value, FromPrompt):
        there = run_of(architecture, value.text).activation(activation, layer)
    if isinstance(value, Mean):
        there = mean_of(architecture, value, activation, layer)
    if isinstance(value, Add):
        shift = (there - now if value.vector is None else torch.tensor(value.vector).expand_as(now)) * value.factor
        return lambda old, pick: old + pick(shift)
    if isinstance(value, (Zero, Scale)):
        factor = getattr(value, "factor", 0)
        return lambda old, pick: old * factor
    return lambda old, pick: pick(there)


def change_of(architecture, base, other, one):
    """An intervention as a `Change`."""
    new = new_of(architecture, base, other, one.activation, one.layer, one.value)
    positions = range(len(base)) if one.position is None else one.position
    positions = [positions] if isinstance(positions, int) else positions
    entries = one.source if one.activation == "pattern" else one.neuron
    entries = EVERYTHING if entries is None else list(entries) if isinstance(entries, tuple) else entries
    head = EVERYTHING if one.head is None else one.head
    if one.activation == "pattern" and one.head is None and entries is not EVERYTHING:
        raise AssertionError("the loop's index would pair heads with sources")
    return Change(one.activation, one.layer, new, dict.fromkeys(p % len(base) for p in positions), head, entries)


def cells_of(result):
    for index in np.ndindex(result.values.shape):
        yield index, {axis: result.places[axis][i] for axis, i in zip(result.axes, index)}


def logits_of(architecture, base, other, interventions):
    """Of one run with all of them, at the last position."""
    return base.changed(*(change_of(architecture, base, other, one) for one in interventions))[-1]


def vector_for(architecture, activation):
    return VECTOR[: run_of(architecture, PAIR.clean).activation(activation, 0).shape[-1]]
