"""Runs in which every input of a node is put together anew: from each sender what it wrote in some recorded run, or
what another run of the same pass makes of its own inputs.

All runs of a pass are a batch that goes through the model once. In a run only some heads and MLPs matter: those whose
inputs were put together. A head that is needed twice, with different inputs, is computed in two runs. What the rest of
a run computes nobody reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .exchanged import Exchanged
from .executor import check_memory
from .fused import fused
from .modules import read_out
from .own import Own
from .recording import Recording
from .turn import Turn
from .wiring import PARTS, Layer, Reading, readings, wiring_of, writers

MOST_NUMBERS = 2**21  # of what the heads of a layer read in a pass: with more, memory decides how long it takes
RECORDED = -1  # in place of the number of a run: what a sender wrote in a recorded run


@dataclass(frozen=True)
class Input:
    """What one node reads in one run: a sum over all senders before it.

    Attributes:
        layer, part: "q", "k", "v" or "mlp" of a layer, or "logits" after the last one.
        head: the head that reads; 0 for an MLP and for the logits.
        run: the number of the run.
        rows: for each sender, the row of a table that says whose recorded run it is taken from.
        runs: for each sender, the run of this pass in which it writes, or `RECORDED`.
    """

    layer: int
    part: str
    head: int
    run: int
    rows: tuple[int, ...]
    runs: tuple[int, ...]


class Written:
    """What all senders wrote in the recorded runs of prompts of one length.

    Attributes:
        tokens: [prompt, position].
    """

    def __init__(self, turn: Turn, recordings: Sequence[Recording]):
        self.turn, self.wiring = turn, wiring_of(turn)
        self.tokens = torch.stack([one.tokens for one in recordings])
        self._of = {
            one: torch.stack([run.activations[turn.model.hook_name(*one)] for run in recordings])
            for one in writers(self.wiring)
        }

    def of(self, activation: str, layer: int) -> Tensor:
        """An activation of `writers`, [prompt, position, ...]."""
        return self._of[activation, layer]


def run_sourced(
    written: Written,
    inputs: Sequence[Input],
    table: Tensor,
    *,
    vocabulary: Sequence[int] | None = None,
) -> Tensor:
    """Logits at the last position, [datum, token].

    Args:
        inputs: those of all nodes that are needed, the logits' one among them.
        table: [row, datum]: whose recorded run a row of `Input.rows` means for a datum.
        vocabulary: the tokens whose logits are wanted; None is all.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
    """
    return written.turn.run(partial(_run, written, inputs, table, vocabulary))


def most_data(turn: Turn, inputs: Sequence[Input], length: int, memory: int | None) -> int:
    """How many data of a length a pass of `run_sourced` may have."""
    check_memory(memory)
    wiring, runs = wiring_of(turn), max(1, _runs(inputs))
    widest = max(max(layer.heads.values()) for layer in wiring)
    numbers = runs * length * turn.model.d_model  # of one receiver of each run
    if memory is not None:
        return max(
            1, memory // (max(4, wiring[0].write.element_size()) * numbers * (2 * len(wiring) + 4 * widest + 12))
        )
    return max(1, MOST_NUMBERS // (numbers * widest))


def _runs(inputs: Sequence[Input]) -> int:
    """How many runs of each datum a pass has, beside the reading of the logits."""
    return 1 + max((one.run for one in inputs if one.part != "logits"), default=-1)


def _run(written: Written, inputs: Sequence[Input], table: Tensor, vocabulary: Sequence[int] | None) -> Tensor:
    model, runs = written.turn.model, _runs(inputs)
    with torch.no_grad(), fused(model):
        pass_ = _Sourced(written, inputs, table)
        if runs:
            pass_.patch()
            # Nobody reads these runs' own logits.
            unread = model.raw.unembed.register_forward_pre_hook(Own(lambda module, args: (args[0][:, :0], *args[1:])))
            with model.raw.hooks(fwd_hooks=pass_.hooks()):
                model.raw(written.tokens[table[0]].repeat(runs, 1))
            unread.remove()
            pass_.refuse_missed(0)
        (logits,) = [one for one in inputs if one.part == "logits"]
        return read_out(model, pass_.input(logits, slice(-1, None))[:, 0], vocabulary)


class _Sourced(Exchanged):
    """One pass: its rows are the data of the first run, then those of the second, and so on."""

    def __init__(self, written: Written, inputs: Sequence[Input], table: Tensor):
        super().__init__(written.turn.model, written.wiring)
        self.written, self.inputs, self.table = written, inputs, table
        self._before = {(one.layer, one.part): one.before for one in readings(written.wiring)}
        self._live: dict[tuple[str, int], Tensor] = {}  # [run, datum, position, ...], by activation and layer

    @property
    def rows(self) -> tuple[int, int]:
        return _runs(self.inputs) * self.table.shape[1], self.written.tokens.shape[1]

    def read(self, reading: Reading) -> Tensor:
        stream = self.written.of("resid_pre", 0)
        columns, data = reading.columns.stop - reading.columns.start, self.table.shape[1]
        made = stream.new_zeros(columns, _runs(self.inputs), data, *stream.shape[1:])
        for one in self.inputs:
            if (one.layer, one.part) == (reading.layer, reading.part):
                shared = 1 if one.part == "mlp" else self.wiring[one.layer].heads["q"] // columns
                made[one.head // shared, one.run] = self.input(one)
        return made.flatten(1, 2)

    def heads_wrote(self, reading: Reading, layer: Layer, z: Tensor) -> None:
        self._live["z", reading.layer] = z.unflatten(0, (-1, self.table.shape[1])).clone()

    def mlp_wrote(self, reading: Reading, out: Tensor) -> None:
        self._live["mlp_out", reading.layer] = out.unflatten(0, (-1, self.table.shape[1])).clone()

    def input(self, one: Input, at: slice = slice(None)) -> Tensor:
        """What a node reads, [datum, position, d_model].

        Args:
            at: the positions.
        """
        total = self._wrote("resid_pre", 0, one, 0, at)
        row, before = 1, self._before[one.layer, one.part]
        for number, layer in enumerate(self.wiring):
            if row >= before:
                break
            heads = layer.heads["q"]
            z = self._heads(number, one, range(row, row + heads), at)
            total = total + layer.attention_out(z.flatten(2) @ layer.write.flatten(0, 1))
            row += heads
            if layer.mlp is not None:
                if row < before:
                    total = total + self._wrote("mlp_out", number, one, row, at)
                row += 1
        return total

    def _wrote(self, activation: str, layer: int, one: Input, sender: int, at: slice) -> Tensor:
        """An activation that a sender of an input is made of, [datum, position, ...]."""
        if one.runs[sender] != RECORDED:
            return self._live[activation, layer][one.runs[sender]][:, at]
        return self.written.of(activation, layer)[:, at][self.table[one.rows[sender]]]

    def _heads(self, layer: int, one: Input, senders: range, at: slice) -> Tensor:
        """The mixed values of a layer's heads, each from its own source, [datum, position, head, d_head]."""
        sources = [(one.rows[sender], one.runs[sender]) for sender in senders]
        most = Counter(sources).most_common(1)[0][0]
        whole = self._wrote("z", layer, one, senders[sources.index(most)], at)
        if all(source == most for source in sources):
            return whole
        whole = whole.clone()
        for head, sender in enumerate(senders):
            if sources[head] != most:
                whole[:, :, head] = self._wrote("z", layer, one, sender, at)[:, :, head]
        return whole


def numbered(wiring: Sequence[Layer], nodes: Sequence[tuple[int, int | None]]) -> list[int]:
    """The run in which each of some nodes (layer and head, or None for an MLP) is computed.

    The same head is computed once in a run, and so are heads that share their keys and values: each has its own inputs.
    """
    taken: Counter[tuple[int, int | None]] = Counter()
    numbers = []
    for layer, head in nodes:
        heads = wiring[layer].heads
        shared = heads["q"] // min(heads[part] for part in PARTS)
        key = (layer, None if head is None else head // shared)
        numbers.append(taken[key])
        taken[key] += 1
    return numbers
