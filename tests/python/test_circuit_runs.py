"""Runs on a part of the graph: against a plain loop that spells out what every receiver reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import NATIVE, booted
from test_backward import state_of
from test_interrupts import own_on

import interp_backend as ib
from edge_loop import EdgeLoop, circuit_logits
from interp_backend.engine import circuit_runs
from interp_backend.engine.circuit_runs import Circuits, run_circuits, what_senders_write
from interp_backend.engine.recording import record
from interp_backend.engine.turn import Turn
from interp_backend.engine.wiring import receiver_names, sender_names, wiring_of, writers
from interp_backend.results.graph import edges_between
from plain_loop import assert_close
from tiny_models import CONFIGS, PARALLEL, boot, bridge, random_model

CLEAN, CORRUPT = [256, 70, 71, 72, 70, 73], [256, 70, 75, 72, 76, 73]
READ = [3, 5]


class Setting:
    """A model, the two runs, and what all senders write in them."""

    def __init__(self, model, parallel=False):
        self.model, self.raw = model, model.raw
        self.loops = [EdgeLoop(model.raw, tokens, parallel) for tokens in (CLEAN, CORRUPT)]
        with Turn(model) as turn:
            self.wiring = wiring_of(turn)
            names = [model.hook_name(*one) for one in writers(self.wiring)]
            self.runs = record(turn, [CLEAN, CORRUPT], names, [READ, READ])
        self.senders, self.receivers = sender_names(self.wiring), receiver_names(self.wiring)
        self.real = edges_between(self.senders, self.receivers, parallel)

    def written(self, run):
        return what_senders_write(
            self.wiring, {one: run.activations[self.model.hook_name(*one)] for one in writers(self.wiring)}
        )

    def run(self, live, change, is_run=True, **options):
        """Logits [circuit, read position, token]."""
        circuits = Circuits(torch.from_numpy(np.asarray(live)), change, is_run)
        logits = torch.empty(len(live), len(READ), self.model.d_vocab)
        with Turn(self.model) as turn:
            for one in run_circuits(turn, self.runs[0], circuits, read=READ, **options):
                logits[one.runs] = one.logits.float()
        return logits

    def expected(self, live, fixed):
        edges = [{(self.senders[i], self.receivers[j]) for i, j in np.argwhere(one & self.real)} for one in live]
        return torch.stack([circuit_logits(self.loops[0], one, fixed)[READ] for one in edges])

    def some(self, count=5, seed=0):
        """All edges, none, and random parts of them, among them one of the upper layers alone."""
        live = np.random.default_rng(seed).random((count, *self.real.shape)) < 0.5
        live[0], live[1], live[2, : len(live[2]) // 2] = True, False, True
        return live


@pytest.mark.parametrize("architecture", CONFIGS)
def test_equals_the_loop(architecture):
    setting = Setting(ib.load_model(bridge(architecture)), architecture in PARALLEL)
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    live = setting.some()
    logits = setting.run(live, change)
    assert_close(logits, setting.expected(live, setting.loops[1].wrote), 1e-4)
    assert_close(logits[0], setting.loops[0].logits[READ])
    assert_close(logits[1], setting.loops[1].logits[READ])
    # A reference that is no run of the model.
    zeros = {name: torch.zeros_like(wrote) for name, wrote in setting.loops[0].wrote.items()}
    logits = setting.run(live[2:], -setting.written(setting.runs[0]), is_run=False)
    assert_close(logits, setting.expected(live[2:], zeros), 1e-4)


@pytest.mark.parametrize("name", NATIVE)
def test_transformer_lens_own_models(name):
    setting = Setting(ib.load_model(booted(name)))
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    live = setting.some(4)
    assert_close(setting.run(live, change), setting.expected(live, setting.loops[1].wrote), 1e-4)


def test_packed_or_not_and_in_passes_of_any_size():
    setting = Setting(ib.load_model(bridge("gpt2")))
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    live = setting.some(6)
    at_once = setting.run(live, change)
    torch.testing.assert_close(setting.run(live, change, memory=1), at_once, atol=1e-5, rtol=1e-5)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(circuit_runs, "why_not_packed", lambda *_: "a test")
        torch.testing.assert_close(setting.run(live, change), at_once, atol=1e-5, rtol=1e-5)


def test_a_circuit_is_run_from_its_first_mixed_layer_and_position(monkeypatch):
    setting = Setting(ib.load_model(bridge("gpt2")))
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    starts = []
    real = circuit_runs.run_packed
    monkeypatch.setattr(
        circuit_runs,
        "run_packed",
        lambda model, base, begins, *rest: (starts.extend(begins), real(model, base, begins, *rest))[1],
    )
    live = np.ones((4, *setting.real.shape), bool)
    live[1, :, [setting.receivers.index("a1.h2<q>")]] = False
    live[2, :, [setting.receivers.index("m2")]] = False
    live[3, :, -1] = False
    setting.run(live[:1], change)  # tries whether the model can be run so
    starts.clear()
    setting.run(live, change)
    # The first circuit is the model, the third has an MLP of the corrupt run, and the last one mixes at the logits.
    assert [(start.layer, start.position) for start in starts] == [(1, 2)]
    starts.clear()
    setting.run(live, change, is_run=False)  # then an MLP that reads the reference alone writes something else
    assert [(start.layer, start.position) for start in starts] == [(1, 2), (2, 2)]


def test_node_circuits():
    """A node outside of the circuit is fixed for all that read it."""
    setting = Setting(ib.load_model(bridge("llama")))
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    inside = np.random.default_rng(1).random((3, len(setting.senders))) < 0.6
    live = np.broadcast_to(inside[:, :, None], (3, *setting.real.shape)).copy()
    assert_close(setting.run(live, change), setting.expected(live, setting.loops[1].wrote), 1e-4)


def test_half_precision():
    setting = Setting(ib.load_model(boot(random_model("llama").bfloat16(), "half")))
    full = Setting(ib.load_model(bridge("llama")))
    live, found = full.some(), []
    for one in (setting, full):
        found.append(one.run(live, one.written(one.runs[1]) - one.written(one.runs[0])).float())
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 0.1


def test_a_users_hook_is_refused():
    raw = boot(random_model("gpt2"), "hooked")
    setting = Setting(ib.load_model(raw))
    raw.add_hook("blocks.0.hook_resid_pre", lambda value, hook: value)
    with pytest.raises(ValueError, match="hooks of your own"):
        setting.run(setting.some(), setting.written(setting.runs[1]))


def test_a_module_that_is_passed_over_is_refused(monkeypatch):
    setting = Setting(ib.load_model(boot(random_model("gpt2"), "passed over")))
    monkeypatch.setattr(circuit_runs._Mixing, "_replace", staticmethod(lambda module, function: None))
    with pytest.raises(ValueError, match=r"Single edges of this model can't be run: .*Use activation patching"):
        setting.run(setting.some(), setting.written(setting.runs[1]))


def test_an_interrupt_at_any_line_leaves_nothing():
    from test_interrupts import Interrupter, is_free

    setting = Setting(ib.load_model(boot(random_model("gemma2"), "interrupted")))
    change = setting.written(setting.runs[1]) - setting.written(setting.runs[0])
    live = setting.some(3)
    expected = setting.run(live, change)
    before = state_of(setting.raw)
    interrupter = Interrupter({str(Path(circuit_runs.__file__))})
    interrupter.run(lambda: setting.run(live, change))
    places = list(interrupter.seen)
    assert len(places) > 60
    for place in places:
        with pytest.raises(KeyboardInterrupt):
            interrupter.run(lambda: setting.run(live, change), at=place)
        assert state_of(setting.raw) == before and not own_on(setting.raw), place
        assert is_free(setting.model.lock), place
    torch.testing.assert_close(setting.run(live, change), expected)
