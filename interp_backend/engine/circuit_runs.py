"""Runs on a part of the graph: each receiver reads its own mixture of what senders write in this run and in another.

A head's queries, a head's keys, an MLP and the logits each read a sum over all senders below. In a circuit's run some
terms of that sum are what the sender writes in this very run (the edge is live), and all others are fixed: what it
wrote in the reference, another run or a mean. So what a receiver reads is the reference's stream, plus a product of the
circuit's mask and of what the senders' live outputs differ by from their fixed ones.

The model's own code computes norms, attention and MLPs (`exchanged.py`). Many circuits go through each block together,
from the first layer and position on at which one of them differs from both runs (`packing.py`); where a model's blocks
can't be called so, the same happens in a batch through the whole model.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from ..language.model import LanguageModel
from .exchanged import Exchanged
from .executor import MOST_ROWS, MOST_ROWS_ELSEWHERE, SHARE_OF_MEMORY, Pass, check_memory, difference, free_memory
from .fused import fused
from .modules import read_out
from .packing import FewRows, Layout, Start, run_packed
from .recording import Recording
from .turn import Turn
from .watch import Cancelled
from .wiring import PARTS, Layer, Reading, readings, real_edges, wiring_of, writers

Outputs = Mapping[tuple[str, int], Tensor]  # by activation and layer, as of `writers`, [position, ...]


def what_senders_write(wiring: Sequence[Layer], outputs: Outputs) -> Tensor:
    """[sender, position, d_model], from activations or from differences of them; of heads before any norm."""
    made = [outputs["resid_pre", 0][None]]
    for at, layer in enumerate(wiring):
        made.append(layer.written(outputs["z", at]))
        if layer.mlp is not None:
            made.append(outputs["mlp_out", at][None])
    return torch.cat(made)


@dataclass(frozen=True, eq=False)
class Circuits:
    """Several circuits of one prompt.

    Attributes:
        live: [circuit, sender, receiver]: True where the edge carries what the sender writes in the circuit's own run.
        change: by how much what every sender writes in the reference differs from the base run, as of
            `what_senders_write`.
        is_run: whether the reference is a run of the model, so that a node that reads the reference alone writes what
            it writes there. Means and zeros are none.
        added: by receiver, what its circuits' runs read beside the mixture, [circuit, position, d_model].
        fixed_at: the positions at which edges that are not live carry the reference; at others every edge is live. None
            is all positions.
    """

    live: Tensor
    change: Tensor
    is_run: bool
    added: Mapping[int, Tensor] = field(default_factory=dict)
    fixed_at: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.live)


def run_circuits(
    turn: Turn,
    base: Recording,
    circuits: Circuits,
    *,
    read: Sequence[int],
    vocabulary: Sequence[int] | None = None,
    memory: int | None = None,
    inputs: Mapping[int, Tensor] | None = None,
) -> Iterator[Pass]:
    """Run the base prompt once for each circuit.

    A pass holds what all senders write, [circuit, sender, position, d_model], and one layer's mixtures,
    [circuit, receiver, position, d_model]; `memory` bounds the two.

    Args:
        base: the recorded run whose input is the circuits' own, with the activations of `writers`.
        read, vocabulary, memory: as in `run_patched`.
        inputs: by receiver, a tensor [circuit, position, d_model] in which is written how much what it reads differs
            from the reference's stream, where it was computed.

    Yields:
        One pass after another; `ran` is False for circuits for which no block had to be run.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
        ValueError: `memory` is not a number of bytes; or single edges of this model can't be run.
    """
    check_memory(memory)
    reason = why_not_packed(turn, base)
    plan = _Plan(
        turn.model, wiring_of(turn), base, circuits, list(read), vocabulary, reason is None, dict(inputs or {})
    )
    waiting = plan.order
    while waiting:
        chosen, waiting = waiting[: plan.most(memory)], waiting[plan.most(memory) :]
        logits = turn.run(partial(plan.run, chosen))
        yield Pass(chosen, logits, ran=plan.starts[chosen[0]] < turn.model.n_layers)


@dataclass
class _Plan:
    """The circuits of one call, and the layer and position at which each begins to differ from both runs."""

    model: LanguageModel
    wiring: Sequence[Layer]
    base: Recording
    circuits: Circuits
    read: list[int]
    vocabulary: Sequence[int] | None
    packed: bool
    inputs: dict[int, Tensor]
    from_below: bool = False  # run every circuit from the first layer and position on

    @cached_property
    def real(self) -> Tensor:
        return real_edges(self.wiring)

    @cached_property
    def reference(self) -> Tensor:
        """What every sender writes in the reference, [sender, position, d_model]."""
        seen = {one: self.base.activations[self.model.hook_name(*one)] for one in writers(self.wiring)}
        return what_senders_write(self.wiring, seen) + self.circuits.change

    @cached_property
    def first(self) -> int:
        """The first position at which anything can differ from the base run."""
        if self.from_below or not self.packed:
            return 0
        differs = (self.circuits.change != 0).any(-1).any(0)
        for added in self.circuits.added.values():
            differs = differs | (added != 0).any(-1).any(0)
        last = max(self.read)
        return min(int(differs.nonzero()[0]) if differs.any() else last, last)

    @cached_property
    def all_live(self) -> Tensor | None:
        """At which positions every edge is live, [position]; None if at none of them."""
        if self.circuits.fixed_at is None:
            return None
        live = torch.ones(len(self.base.tokens), dtype=torch.bool, device=self.reference.device)
        live[list(self.circuits.fixed_at)] = False
        return live

    @cached_property
    def as_base(self) -> Tensor:
        """Which senders write what they write in the base run, [circuit, sender], as far as that is known below a
        circuit's first layer; others write what they write in the reference."""
        return self._known[0]

    @cached_property
    def starts(self) -> list[int]:
        """The first layer that each circuit has to be run from."""
        return [0] * len(self.circuits) if self.from_below or not self.packed else self._known[1].tolist()

    @cached_property
    def order(self) -> list[int]:
        """The circuits, those that are run from the lowest layer first."""
        return sorted(range(len(self.circuits)), key=lambda i: self.starts[i])

    @cached_property
    def _known(self) -> tuple[Tensor, Tensor]:
        """Which senders write what the base run does, and each circuit's first layer with any that does neither."""
        live = self.circuits.live
        equal = (self.circuits.change == 0).flatten(1).all(1)
        base, reference = (torch.zeros_like(live[:, :, 0]) for _ in range(2))
        base[:, 0], reference[:, 0] = True, equal[0]
        starts = torch.full((len(live),), self.model.n_layers, device=live.device)
        for reading in readings(self.wiring)[:-1]:
            edges, before = live[:, : reading.before, reading.columns], slice(reading.before)
            as_base = torch.where(edges, base[:, before, None], equal[before, None]).all(1)
            as_reference = (~edges | reference[:, before, None]).all(1)
            if self.circuits.fixed_at is not None:
                as_base &= base[:, before].all(1, keepdim=True)
                as_reference &= reference[:, before].all(1, keepdim=True)
            for column, added in self.added_to(reading):
                untouched = (added == 0).flatten(1).all(1)
                as_base[:, column] &= untouched
                as_reference[:, column] &= untouched
            rows = self._rows(reading)
            if reading.part in ("q", "mlp"):
                base[:, rows] = reference[:, rows] = True
            shared = (rows.stop - rows.start) // as_base.shape[1]  # heads that read the same keys and values
            base[:, rows] &= as_base.repeat_interleave(shared, 1)
            reference[:, rows] &= as_reference.repeat_interleave(shared, 1)
            if reading.part in ("v", "mlp"):
                reference[:, rows] = reference[:, rows] & self.circuits.is_run | base[:, rows] & equal[rows]
                mixed = ~(base[:, rows] | reference[:, rows]).all(1)
                starts = torch.where(mixed, starts.clamp(max=reading.layer), starts)
        return base, starts

    def _rows(self, reading: Reading) -> slice:
        """The senders that read here: all heads of a layer, or its MLP."""
        return slice(reading.row, reading.row + (1 if reading.part == "mlp" else self.wiring[reading.layer].heads["q"]))

    def added_to(self, reading: Reading) -> Iterator[tuple[int, Tensor]]:
        """What is added to the inputs of some receivers, by their column among these."""
        for column, added in self.circuits.added.items():
            if reading.columns.start <= column < reading.columns.stop:
                yield column - reading.columns.start, added

    @cached_property
    def streams(self) -> dict[tuple[int, str], Tensor]:
        """The reference's residual stream [position, d_model] where the parts of each layer read it."""
        streams, stream = {}, self.reference[0]
        pre = stream
        for reading in readings(self.wiring):
            at, part = reading.layer, reading.part
            if part == "q":
                pre, layer = stream, self.wiring[at]
                heads = self.reference[reading.row : reading.row + layer.heads["q"]]
                stream = stream + layer.attention_out(heads.sum(0))
            attention = part in PARTS or (part == "mlp" and self.wiring[at].parallel)
            streams[at, part] = pre if attention else stream
            if part == "mlp":
                stream = stream + self.reference[reading.row]
        return streams

    def most(self, memory: int | None) -> int:
        """How many circuits a pass may have."""
        length = len(self.base.tokens) - self.first
        widest = 4 * max(sum(layer.heads.values()) for layer in self.wiring) + 12
        size = max(4, self.reference.element_size()) * length * self.model.d_model * (len(self.reference) + widest)
        budget = memory if memory is not None else SHARE_OF_MEMORY * free_memory(self.model.device)
        rows = MOST_ROWS.get(self.model.device.type, MOST_ROWS_ELSEWHERE)
        return max(1, min(rows // length, int(budget / size)))

    def run(self, chosen: list[int]) -> Tensor:
        """Logits [circuit, read position, token] of some circuits, in their order."""
        with torch.no_grad(), fused(self.model):
            mixing = _Mixing(self, chosen)
            running = [i for i in chosen if self.starts[i] < self.model.n_layers]
            if running:
                self._run_blocks(mixing, running)
            return read_out(self.model, mixing.final(), self.vocabulary)

    def _run_blocks(self, mixing: _Mixing, running: list[int]) -> None:
        mixing.patch()
        with self.model.raw.hooks(fwd_hooks=mixing.hooks()):
            if self.packed:
                starts = [Start(self.starts[i], self.first) for i in running]
                read = torch.tensor(self.read, device=self.base.tokens.device)
                run_packed(self.model, self.base, starts, read, mixing.set_layout)
            else:
                self.model.raw(self.base.tokens.repeat(len(running), 1))
        mixing.refuse_missed(min(self.starts[i] for i in running))


class _Mixing(Exchanged):
    """What receivers read in one pass, and what senders write in it.

    Attributes:
        delta: by how much what senders write differs from the reference, [circuit, sender, position, d_model], from the
            plan's first position on.
    """

    def __init__(self, plan: _Plan, chosen: list[int]):
        super().__init__(plan.model, plan.wiring)
        self.plan, self.chosen = plan, chosen
        self.live = plan.circuits.live[chosen] & plan.real
        self.change = plan.circuits.change[:, plan.first :]
        self.reference = plan.reference[:, plan.first :]
        self.delta = self.change.new_empty(len(chosen), *self.change.shape)
        rows = {reading.layer: reading.row for reading in reversed(self._readings)}
        for delta, i in zip(self.delta, chosen):
            known = slice(rows[plan.starts[i]])  # all others are written before they are read
            torch.mul(self.change[known], -plan.as_base[i, known, None, None].to(delta.dtype), out=delta[known])
        below = plan.as_base[chosen, : rows[min(plan.starts[i] for i in chosen)]]
        self._shared = below.shape[1] if bool((below == below[:1]).all()) else 0  # senders that write alike in all runs
        self.running, self.at = len(chosen), torch.arange(self.change.shape[1], device=self.change.device)
        self._plain = torch.ones(len(self.reference), dtype=torch.bool, device=self.change.device)
        self._normed: list[tuple[Layer, int]] = []  # layers with a norm after attention, and the row of the first head
        for reading in self._readings:
            if reading.part == "q" and (layer := plan.wiring[reading.layer]).after is not None:
                self._normed.append((layer, reading.row))
                self._plain[reading.row : reading.row + layer.heads["q"]] = False

    def set_layout(self, layout: Layout | FewRows) -> None:
        """Rows that the next block gets."""
        (_, self.running, _, width) = layout.groups[0]
        self.at = layout.positions[:width] - self.plan.first

    # What receivers read

    def read(self, reading: Reading) -> Tensor:
        """What some receivers read, [receiver, circuit, position, d_model]."""
        before, columns = reading.before, reading.columns
        mask = self.live[: self.running, :before, columns].transpose(1, 2).to(self.delta.dtype)
        delta = self.delta[: self.running, :before]
        if len(self.at) < delta.shape[2]:
            delta = delta[:, :, self.at]
        mixed = self._mixed(mask, delta)
        if self.plan.all_live is not None:
            whole = self._mixed(torch.ones_like(mask[:, :1]), delta)
            mixed = torch.where(self.plan.all_live[self.plan.first :][self.at][:, None], whole, mixed)
        for column, added in self.plan.added_to(reading):
            mixed[:, column] += added[self.chosen[: self.running]][:, self.plan.first :][:, self.at]
        self._keep(columns, mixed)
        stream = self.plan.streams[reading.layer, reading.part][self.plan.first :][self.at]
        by_receiver = mixed.transpose(0, 1)
        return torch.add(by_receiver, stream, out=mixed.new_empty(by_receiver.shape))  # contiguous, in one go

    def _mixed(self, mask: Tensor, delta: Tensor) -> Tensor:
        """What the live edges add to the reference's stream, [circuit, receiver, position, d_model].

        What senders that write alike in all runs add is computed once for receivers whose masks are alike too.
        """
        shared = min(self._shared, mask.shape[2])
        if not shared or len(mask) == 1:
            return self._summed(mask, delta)
        own = (mask[:, :, :shared] != mask[:1, :, :shared]).any(2).any(0)
        mixed = self._summed(mask[:1, :, :shared], delta[:1, :shared]).repeat(len(mask), 1, 1, 1)
        if own.any():
            mixed[:, own] = self._summed(mask[:, own, :shared], delta[:, :shared])
        return mixed if shared == mask.shape[2] else mixed.add_(self._summed(mask, delta, shared))

    def _summed(self, mask: Tensor, delta: Tensor, first: int = 0) -> Tensor:
        """What the live edges from some senders add, from the first of them on."""
        last = mask.shape[2]
        plain = mask * self._plain[:last] if self._normed else mask
        mixed = torch.bmm(plain[:, :, first:], delta[:, first:].flatten(2)).view(*mask.shape[:2], *delta.shape[2:])
        for layer, row in self._normed:
            if first <= row < last:
                mixed = mixed + self._through_norm(layer, row, mask, delta)
        return mixed

    def _through_norm(self, layer: Layer, row: int, mask: Tensor, delta: Tensor) -> Tensor:
        """What the heads of one layer add to each receiver's stream where a norm follows them."""
        heads = slice(row, row + layer.heads["q"])
        mixed = torch.bmm(mask[:, :, heads], delta[:, heads].flatten(2)).view(*mask.shape[:2], *delta.shape[2:])
        fixed = self.reference[heads].sum(0)[self.at]
        return layer.attention_out(fixed + mixed) - layer.attention_out(fixed)

    def _keep(self, columns: slice, mixed: Tensor) -> None:
        for column, kept in self.plan.inputs.items():
            if columns.start <= column < columns.stop:
                rows = torch.tensor(self.chosen[: self.running], device=kept.device)
                kept[rows[:, None], self.plan.first + self.at] = mixed[:, column - columns.start]

    def final(self) -> Tensor:
        """The residual stream that is unembedded, [circuit, read position, d_model]."""
        self.running = len(self.chosen)
        self.at = torch.tensor(self.plan.read, device=self.change.device) - self.plan.first
        # Left of the first difference all runs are the base run.
        early, self.at = self.at < 0, self.at.clamp(min=0)
        made = self.read(self._readings[-1])[0]
        if early.any():
            made[:, early] = self.plan.base.last_resid[self.plan.read][early].to(made.dtype)
        return made

    # What senders write

    def heads_wrote(self, reading: Reading, layer: Layer, z: Tensor) -> None:
        heads = slice(reading.row, reading.row + layer.heads["q"])
        self._note(heads, layer.written(z).transpose(0, 1) - self.reference[heads][:, self.at])

    def mlp_wrote(self, reading: Reading, out: Tensor) -> None:
        self._note(slice(reading.row, reading.row + 1), out[:, None] - self.reference[reading.row][self.at])

    @property
    def rows(self) -> tuple[int, int]:
        return self.running, len(self.at)

    def _note(self, rows: slice, delta: Tensor) -> None:
        whole = len(self.at) == self.delta.shape[2]
        self.delta[: self.running, rows][:, :, slice(None) if whole else self.at] = delta


# Whether a model can be run so


_verdicts: weakref.WeakKeyDictionary[Any, dict[Any, str | None]] = weakref.WeakKeyDictionary()


def why_not_packed(turn: Turn, base: Recording) -> str | None:
    """None if the blocks of a model can be called one by one for circuits, otherwise the reason why they are not.

    For each model, a few circuits are compared once with what they have to give.

    Raises:
        ValueError: single edges of this model can't be run either way.
    """
    if turn.users_hooks:
        raise ValueError(
            "The model carries hooks of your own, which would act on inputs that are mixed for each edge. Remove them, "
            "or use activation patching."
        )
    known = _verdicts.setdefault(turn.model.raw, {})
    key = (turn.model.weights, turn.model.dtype, str(turn.model.device))
    if key not in known:
        reason = _wrong(turn, base, packed=True) if base.blocks else "the model has no key-value cache"
        if reason is not None and (why := _wrong(turn, base, packed=False)):
            raise ValueError(f"Single edges of this model can't be run: {why}. Use activation patching.")
        known[key] = reason
    return known[key]


def _wrong(turn: Turn, base: Recording, packed: bool) -> str | None:
    """What is wrong with runs of circuits, tried with the base run and a reference that is far from it.

    If all edges are live, the circuit is the model. With half of them, a circuit that is run from its first differing
    layer on is the same as from the first layer.
    """
    wiring, read = wiring_of(turn), sorted(base.logits)
    seen = {one: base.activations[turn.model.hook_name(*one)].roll(1, 0) for one in writers(wiring)}
    wrote = what_senders_write(wiring, seen)
    live = torch.ones_like(real_edges(wiring)).repeat(2, 1, 1)
    live[1, ::2, live.shape[2] // 2 :] = False
    some = list(range(0, turn.model.d_vocab, max(1, turn.model.d_vocab // 8)))
    found = []
    try:
        for from_below in (True, False):
            circuits = Circuits(live, wrote.flip(1) - wrote, False)
            plan = _Plan(turn.model, wiring, base, circuits, read, some, packed, {}, from_below)
            found.append(turn.run(partial(plan.run, plan.order))[torch.tensor(plan.order).argsort()])
        whole = turn.run(partial(_plain_logits, turn.model, base.tokens))[read][:, some]
    except (Cancelled, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as problem:  # whatever a block raises, it can't be called so
        return f"{type(problem).__name__}: {problem}"
    worst = max(difference(found[0][0], whole), difference(found[1][1], found[0][1]))
    tolerance = 3e-2 if whole.dtype.itemsize < 4 else 1e-3
    return None if worst <= tolerance else f"circuits differ by {worst:.1e} from what they have to give"


def _plain_logits(model: LanguageModel, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model.raw(tokens[None])[0]
