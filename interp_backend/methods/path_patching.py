"""Path patching: the effect of what one node writes on what chosen others read, exact, with all other paths frozen.

After Wang et al. 2022 (arXiv:2211.00593): first the receivers' inputs are computed with the sender's output from the
other run and everything else as in this run; then this run is made again, and the receivers read those inputs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import torch
from torch import Tensor

from ..common.method import method
from ..common.over_pairs import steps_over_pairs
from ..common.signatures import Local, OneOf
from ..common.sweep import BaseRuns, Sweep
from ..engine.binding import Binding
from ..engine.circuit_runs import Circuits, run_circuits, what_senders_write, why_not_packed
from ..engine.turn import Turn
from ..engine.wiring import Layer, readings, real_edges, receiver_names, sender_names, wiring_of, writers
from ..language.interventions import FromOther
from ..language.loading import load_model
from ..language.metrics import as_measures
from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, Side
from ..results.effect_map import COMPUTED, TOGETHER, UNCHANGED, EffectMap
from ..results.graph import inputs_of, parse_node
from ..results.step import Step, remaining
from .activation_patching import Direction, Metrics, readings_of, tokenize_all

OTHER = FromOther()
MLPS = {
    "frozen": ("frozen", "the direct paths alone"),
    "recomputed": ("recomputed", "also the paths through MLPs between the two, as in Wang et al. 2022"),
}


@method
def path_patching(
    model: Any,
    pair: PromptPair | PromptPairs,
    senders: Sequence[str] | None,
    receivers: Sequence[str],
    *,
    together: bool = False,
    direction: Direction = "denoise",
    mlps: Annotated[str, OneOf(MLPS, "choice for MLPs")] = "frozen",
    metric: Metrics = "logit_diff",
    at: int | None = None,
    memory: Annotated[int | None, Local()] = None,
) -> Iterator[Step[EffectMap]]:
    """Patch what one sender writes into what some receivers read, and into nothing else.

    Takes a run for each sender, from the first receiver on. Nothing is estimated.

    Args:
        model: a model that `load_model` returns or accepts.
        pair: a clean and a corrupt prompt, or `PromptPairs`, as in `activation_patching`.
        senders: nodes by name, each in a run of its own: "input" (what enters the first block), "a0.h1", "m0"; None for
            all.
        receivers: what is patched together in each run: "a2.h3<q>", "<k>" or "<v>", "a2.h3" for all three, "m2",
            "logits". Heads that share keys and values have the input of the first of them.
        together: patch all senders in one run, instead of each in its own.
        direction: as in `activation_patching`: from which run what the senders write is taken.
        mlps: whether MLPs between a sender and its receivers keep what they write in the patched run ("frozen"), or
            read the sender too ("recomputed").
        metric, at, memory: as in `activation_patching`.

    Returns:
        An `EffectMap` with the axis `sender`: `values` [sender] is the metric of the run in which the receivers read
        the sender's output from the other prompt. A sender that no receiver reads is unchanged. Senders together are
        one cell, "a0.h1 + m0".

    Raises:
        ValueError: as in `activation_patching`; or there is no such node; or single edges of the model can't be run.
    """
    model = load_model(model)
    measures, many = as_measures(metric), isinstance(pair, PromptPairs)
    side: Side = "corrupt" if direction == "denoise" else "clean"
    tokenized = tokenize_all(model, pair, measures)
    readings_ = readings_of(tokenized, side, at, measures, many)
    with Turn(model) as turn:
        ends = Ends.of(wiring_of(turn), senders, receivers, together)
        uses = [(name, OTHER) for name in dict.fromkeys(name for name, _ in writers(ends.wiring))]
        runs = BaseRuns(turn, tokenized, readings_, uses, 0)
        sweeps = [_Paths(runs, i, ends, mlps == "recomputed", memory) for i in range(len(tokenized))]
        if many:
            yield from steps_over_pairs(sweeps, [one.texts[side] for one in tokenized], [one.pair for one in tokenized])
        else:
            yield from sweeps[0].steps()


@dataclass(frozen=True)
class Ends:
    """The senders and the receivers of a call.

    Attributes:
        names: of the senders.
        senders, receivers: their indices in the graph.
        together: whether all senders are patched in one run.
    """

    wiring: Sequence[Layer]
    names: list[str]
    senders: list[int]
    receivers: list[int]
    together: bool = False

    @classmethod
    def of(cls, wiring: Sequence[Layer], senders: Any, receivers: Any, together: bool) -> Ends:
        """Raises ValueError: a name that is not in the graph, or no receivers."""
        writing, reading = sender_names(wiring), receiver_names(wiring)
        names = writing if senders is None else _names("senders", senders)
        for name in names:
            if parse_node(name).name not in writing:
                raise ValueError(f"{name} is no sender of this model: senders are input, a0.h0 to {writing[-1]}.")
        reads, columns = inputs_of(writing, reading), dict[int, None]()
        for name in _names("receivers", receivers):
            node = parse_node(name)
            if node.head is not None and not node.part and name in writing:
                columns.update(dict.fromkeys(reads[writing.index(name)].nonzero()[0].tolist()))
            elif name in reading:
                columns[reading.index(name)] = None
            else:
                raise ValueError(
                    f"{name} is no receiver of this model: receivers are a0.h0<q>, <k> and <v>, m0 and logits. Heads "
                    "that share keys have the input of the first of them."
                )
        return cls(wiring, names, [writing.index(name) for name in names], list(columns), together)

    @cached_property
    def real(self) -> Tensor:
        return real_edges(self.wiring)

    # The cells of a sweep

    @property
    def axes(self) -> tuple[str, ...]:
        return ("sender",)

    @property
    def places(self) -> dict[str, list[int | list[int]]]:
        return {}

    @property
    def labels(self) -> dict[str, list[str]]:
        return {"sender": [TOGETHER.join(self.names)] if self.together else self.names}

    @property
    def shape(self) -> tuple[int, ...]:
        return (1 if self.together else len(self.names),)

    def indices(self) -> Iterator[tuple[int, ...]]:
        return ((i,) for i in range(*self.shape))

    def left_out(self, binding: Binding, index: tuple[int, ...]) -> int:
        return binding.left_out(range(len(binding.base.tokens)), OTHER)


def _names(argument: str, given: Any) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ValueError(f'{argument} is a list of names such as ["a0.h1", "m0"], not {given!r}.')
    names = [parse_node(name).name for name in given]
    if len(set(names)) < len(names):
        raise ValueError(f"One of the {argument} is named twice. Name each once.")
    return names


@dataclass
class _Paths:
    """The runs of one pair."""

    runs: BaseRuns
    pair: int
    ends: Ends
    recomputed: bool
    memory: int | None
    began: float = field(default_factory=time.perf_counter)

    def steps(self) -> Iterator[Step[EffectMap]]:
        sweep = Sweep(self.runs, self.pair, 0, self.memory, self.began)
        binding, read = sweep.binding, sweep.readings.base_positions
        reason = why_not_packed(binding.turn, binding.base)
        result = sweep.empty_result({}, self.ends)
        result.provenance.update(executor="hooks" if reason else "packed", executor_reason=reason)
        added = self._added(binding, read)
        touched = torch.stack([(one != 0).flatten(1).any(1) for one in added.values()]).any(0)
        unchanged = (~touched).nonzero().flatten().tolist()
        base = torch.stack([binding.base.logits[position] for position in read])[None]
        sweep.write(result, unchanged, sweep.measure(base).numpy(), UNCHANGED)
        sweep.count_left_out(result, self.ends)
        to_run = touched.nonzero().flatten().tolist()
        yield sweep.step(result, unchanged, 0, len(to_run), None)
        live = self._all_edges(len(to_run), True)
        live[:, :, list(added)] = False
        circuits = self._circuits(binding, live, {column: one[to_run] for column, one in added.items()})
        started, done = time.perf_counter(), 0
        if not to_run:
            return
        for one in run_circuits(
            binding.turn, binding.base, circuits, read=read, vocabulary=sweep.vocabulary, memory=self.memory
        ):
            cells = [to_run[run] for run in one.runs]
            sweep.write(result, cells, sweep.measure(one.logits).numpy(), COMPUTED)
            done += len(cells)
            left = remaining(time.perf_counter() - started, done, len(to_run))
            yield sweep.step(result, cells, done, len(to_run), left)

    def _all_edges(self, circuits: int, live: bool) -> Tensor:
        return torch.full((circuits, *self.ends.real.shape), live, device=self.runs.turn.model.device)

    def _circuits(self, binding: Binding, live: Tensor, added: dict[int, Tensor]) -> Circuits:
        """Circuits whose edges that are not live carry what the patched run has there."""
        nothing = torch.zeros_like(binding.base.activations[binding.model.hook_name("resid_pre", 0)])
        return Circuits(live, nothing.expand(len(self.ends.real), *nothing.shape), True, added)

    def _added(self, binding: Binding, read: list[int]) -> dict[int, Tensor]:
        """By receiver, what it reads beside what it does in the patched run, [cell, position, d_model]."""
        moved, ends = self._moved(binding), self.ends
        mlps = [reading for reading in readings(ends.wiring) if reading.part == "mlp"] if self.recomputed else []
        columns = dict.fromkeys([*ends.receivers, *(one.columns.start for one in mlps)])
        reads = ends.real[ends.senders]
        each = {column: moved * reads[:, column, None, None] for column in columns}
        added = {column: one.sum(0, keepdim=True) if ends.together else one for column, one in each.items()}
        if not mlps:
            return added
        # All heads are frozen. MLPs and receivers read the sender and every MLP below but the sender itself.
        live = self._all_edges(ends.shape[0], False)
        for one in mlps:
            live[:, one.row, list(columns)] = True
        live[0 if ends.together else torch.arange(len(moved)), ends.senders] = False
        inputs = {column: torch.zeros_like(added[column]) for column in ends.receivers}
        circuits = self._circuits(binding, live, added)
        for _ in run_circuits(binding.turn, binding.base, circuits, read=read, memory=self.memory, inputs=inputs):
            pass
        return inputs

    def _moved(self, binding: Binding) -> Tensor:
        """What each sender's output from the other run adds to the residual stream, [sender, position, d_model].

        What heads of one layer add together is no sum where a norm follows them: there the first of them has all of it.
        """
        wiring, model, chosen = self.ends.wiring, binding.model, set(self.ends.senders)
        changes = {one: binding.change(*one, OTHER)[1] for one in writers(wiring)}
        moved = what_senders_write(wiring, changes)
        for reading in readings(wiring):
            if reading.part == "q" and wiring[reading.layer].after is not None:
                layer, heads = wiring[reading.layer], slice(reading.row, reading.row + wiring[reading.layer].heads["q"])
                z = binding.base.activations[model.hook_name("z", reading.layer)]
                if self.ends.together and (rows := [row for row in range(heads.start, heads.stop) if row in chosen]):
                    moved[rows[0]] = moved[rows].sum(0)
                    moved[rows[1:]] = 0
                moved[heads] = _after_norm(binding.turn, layer, layer.written(z).sum(0), moved[heads])
        return moved[self.ends.senders]


def _after_norm(turn: Turn, layer: Layer, whole: Tensor, changes: Tensor) -> Tensor:
    """By how much an attention layer's output changes if one head's does, for each head [head, position, d_model]."""

    def run() -> Tensor:
        with torch.no_grad():
            return layer.attention_out(whole + changes) - layer.attention_out(whole)

    return turn.run(run)
