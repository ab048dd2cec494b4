"""Many patched runs in one pass: their rows side by side in one long sequence, each attending to its own past.

A patch at layer l and position p changes nothing below l and nothing left of p. So a patched run consists of the rows
from p on, starts at layer l from the base run's own input, and attends to the base run's keys and values left of p and
to its own from p on. Everything in a block but attention works row by row, so the rows of many runs, whatever their
layers and positions, go through a block as one sequence `[1, row, d_model]`, and its weights are read once.

A block is called as the model itself would call it, with two things exchanged: arguments that are indexed by position
(mask, rotary angles) are gathered for the rows, and the key-value cache is ours. What it returns stands for the keys
and values of every row's own past: a product with it is computed run by run, and has the shape that it always has,
`[1, head, row, key position]`. So scale, softcap, mask, softmax and hooks are the model's own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..language.model import LanguageModel
from .recording import CACHE, BlockCall, Recording


@dataclass(frozen=True)
class Start:
    """Where a patched run leaves the base run.

    Attributes:
        layer, position: the first that it changes.
        alone: positions that are all that it changes in that layer, where nothing there reads them: a head's output or
            an MLP's, unlike keys and values. Its other rows then leave the layer as the base run's do.
    """

    layer: int
    position: int
    alone: tuple[int, ...] = ()

    @property
    def joins(self) -> int:
        """The first layer that all of its rows go through."""
        return self.layer + bool(self.alone)


class Layout:
    """Which row of a pass is which position of which run.

    Runs of one first position stand together, in the order in which they start, and each has one row for every
    queried position from its first one on.

    Attributes:
        starts: of all runs of the pass, sorted by first position and then by the layer at which they join.
        queries: positions that have rows, ascending.
        groups: (first position, runs, first row, rows of a run), in order.
    """

    def __init__(self, starts: Sequence[Start], layer: int, queries: Tensor):
        device = queries.device
        self.queries = queries
        self._rank = torch.full((int(queries[-1]) + 1,), -1, device=device)
        self._rank[queries] = torch.arange(len(queries), device=device)
        self.groups: list[tuple[int, int, int, int]] = []
        row_of_run, skipped, positions, row = [], [], [], 0
        for first in sorted({start.position for start in starts}):
            own = [start for start in starts if start.position == first]
            running = sum(start.joins <= layer for start in own)
            before = int((queries < first).sum())
            width = len(queries) - before
            row_of_run += [row + i * width if i < running else -1 for i in range(len(own))]
            skipped += [before] * len(own)
            if running:
                self.groups.append((first, running, row, width))
                positions.append(queries[before:].repeat(running))
            row += running * width
        self.positions = torch.cat([queries[:0], *positions])
        self._row_of_run = torch.tensor(row_of_run, device=device)
        self._skipped = torch.tensor(skipped, device=device)
        self.rows = row

    def row(self, run: Tensor, position: Tensor) -> Tensor:
        """The rows of some positions of some runs (numbered as in `starts`); -1 where one has none."""
        rank = torch.where(position < len(self._rank), self._rank[position.clamp(max=len(self._rank) - 1)], -1)
        start, skipped = self._row_of_run[run], self._skipped[run]
        return torch.where((start < 0) | (rank < skipped), -1, start + rank - skipped)


class RowsAlone:
    """A layout of runs in their first layer, where only some of their rows change anything: those, and no others."""

    groups: tuple[tuple[int, int, int, int], ...] = ()  # none has keys and values of its own: they are the base run's

    def __init__(self, starts: Sequence[Start], layer: int, length: int, device: torch.device):
        cells = [(i, p) for i, start in enumerate(starts) if start.layer == layer for p in start.alone]
        self.rows = len(cells)
        self.runs, self.positions = torch.tensor(cells, device=device, dtype=torch.long).reshape(-1, 2).T
        self._rows = torch.full((len(starts), length), -1, device=device)
        self._rows[self.runs, self.positions] = torch.arange(self.rows, device=device)

    def row(self, run: Tensor, position: Tensor) -> Tensor:
        """As `Layout.row`."""
        return self._rows[run, position]


class Attention:
    """The keys and values of one layer: the base run's, and those of the rows of a layout.

    It is the cache that a block gets. `update` takes the rows' own keys and values and gives what stands for all.
    """

    def __init__(self, base_keys: Tensor, base_values: Tensor, layout: Layout | RowsAlone):
        self._base = {"keys": base_keys, "values": base_values}  # [kv head, position, d_head]
        self._own: dict[str, Tensor] = {}  # [kv head, row, d_head]
        self._layout = layout
        self.queries = layout  # whose rows ask; in the last block only those that are read
        self.only_fill = False

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self._own:
            self._own = {"keys": keys[0], "values": values[0]}
        if self.only_fill:
            raise Filled
        return Past.of(self._base["keys"], self, "keys"), Past.of(self._base["values"], self, "values")

    def get_seq_length(self, *_: Any) -> int:
        return 0

    def scores(self, queries: Tensor) -> Tensor:
        """Products [head, row, key position] of queries [head, row, d_head] with the keys of each row's own past."""
        base, own = (part["keys"].to(queries.dtype) for part in (self._base, self._own))
        heads, rows, d_head = queries.shape
        folded = queries.reshape(base.shape[0], -1, d_head)  # heads that share keys, one after another
        scores = torch.bmm(folded, base.transpose(1, 2)).view(heads, rows, -1)
        for first, runs, row, width, own_row, length in self._pairs():
            asked = self._by_run(queries[:, row : row + runs * width], runs, base.shape[0])
            keys = own[:, own_row : own_row + runs * length].reshape(-1, length, d_head)
            product = torch.bmm(asked, keys.transpose(1, 2))
            scores[:, row : row + runs * width, first:] = self._by_head(product, runs, width, heads)
        return scores

    def mixed(self, weights: Tensor) -> Tensor:
        """Weighted sums [head, row, d_head] of the values of each row's own past; weights [head, row, key position]."""
        base, own = self._base["values"].to(weights.dtype), self._own["values"].to(weights.dtype)
        heads, rows, length = weights.shape
        groups = self._pairs()
        prefix = weights
        if groups:
            first_of_row = torch.cat([weights.new_full((n * width,), first) for first, n, _, width, _, _ in groups])
            later = torch.arange(length, device=weights.device) >= first_of_row[:, None]
            prefix = weights.masked_fill(later, 0)
        mixed = torch.bmm(prefix.reshape(base.shape[0], -1, length), base).view(heads, rows, -1)
        for first, runs, row, width, own_row, own_length in groups:
            used = self._by_run(weights[:, row : row + runs * width, first:], runs, base.shape[0])
            values = own[:, own_row : own_row + runs * own_length].reshape(-1, own_length, own.shape[-1])
            mixed[:, row : row + runs * width] += self._by_head(torch.bmm(used, values), runs, width, heads)
        return mixed

    def _pairs(self) -> list[tuple[int, int, int, int, int, int]]:
        """For each first position: it, runs, first asking row and asking rows a run, first own row and own rows."""
        own = {first: (row, width) for first, _, row, width in self._layout.groups}
        return [(first, runs, row, width, *own[first]) for first, runs, row, width in self.queries.groups]

    @staticmethod
    def _by_run(rows: Tensor, runs: int, kv_heads: int) -> Tensor:
        """[head, run x row, n] as [kv head x run, head of the group x row, n]."""
        split = rows.reshape(kv_heads, rows.shape[0] // kv_heads, runs, rows.shape[1] // runs, rows.shape[2])
        return split.transpose(1, 2).reshape(kv_heads * runs, -1, rows.shape[2])

    @staticmethod
    def _by_head(product: Tensor, runs: int, width: int, heads: int) -> Tensor:
        """The inverse of `_by_run`."""
        kv_heads = product.shape[0] // runs
        split = product.view(kv_heads, runs, heads // kv_heads, width, -1).transpose(1, 2)
        return split.reshape(heads, runs * width, -1)


class Filled(Exception):
    """The rows' keys and values are known; nothing else of this block is wanted."""


class Past(Tensor):
    """Stands for the keys or values of every row's own past, and looks like the base run's.

    Reshaping, repeating (grouped heads) and conversion act on the look alone. A product is computed run by run.
    """

    attention: Attention
    role: str

    @staticmethod
    def of(look: Tensor, attention: Attention, role: str) -> Past:
        past = look[None].as_subclass(Past)
        past.attention, past.role = attention, role
        return past

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("matmul", "__matmul__", "bmm") and isinstance(args[1], cls):
            return args[1]._times(args[0])
        if name == "baddbmm":
            return _baddbmm(*args, **(kwargs or {}))
        out = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(out, cls):
            source = next(arg for arg in args if isinstance(arg, cls))
            out.attention, out.role = source.attention, source.role
        return out

    def _times(self, other: Tensor) -> Tensor:
        flat = other[0] if other.ndim == 4 else other
        product = self.attention.scores(flat) if self.role == "keys" else self.attention.mixed(flat)
        return product[None] if other.ndim == 4 else product


def _baddbmm(input: Tensor, batch1: Tensor, batch2: Past, *, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    return beta * input + alpha * batch2._times(batch1)


class CausalBuffers(TorchFunctionMode):
    """While it is entered, slices of a module's own causal mask (gpt_neo has one) give the rows of a layout."""

    def __init__(self, buffers: Iterable[Tensor], positions: Tensor):
        super().__init__()
        self._masks = {id(buffer) for buffer in buffers}
        self._positions = positions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__ and id(args[0]) in self._masks:
            mask, keys = args[0], args[1][-1]
            return mask[:, :, self._positions][..., keys]
        return func(*args, **(kwargs or {}))


def run_packed(model: LanguageModel, base: Recording, starts: Sequence[Start], read: Tensor, tell: Any) -> Tensor:
    """The last block's output [run, read position, d_model] of patched runs.

    Args:
        starts: sorted by position, then by layer.
        read: positions whose output is wanted, ascending.
        tell: called with the layout of each pass through a block before it, for the hooks that write the patches.

    Rows of `read` left of a run's first position are the base run's.
    """
    length = base.tokens.shape[0]
    everywhere = torch.arange(length, device=read.device)
    rows, layout = base.last_resid[:0], None
    last = model.n_layers - 1
    out = base.last_resid[read].repeat(len(starts), 1, 1)
    alone, changed = RowsAlone((), 0, length, read.device), base.last_resid[:0]  # of the layer before
    for layer in range(min(start.layer for start in starts), model.n_layers):
        entered = Layout(starts, layer, everywhere)
        rows = _enter(rows, layout, entered, base.blocks[layer].resid)
        rows[entered.row(alone.runs, alone.positions)] = changed
        layout = entered
        attention = Attention(*base.past[layer], layout)
        if layout.rows and layer < last:
            tell(layout)
            rows = call_block(model, layer, base.blocks[layer], rows, layout, attention)
        elif layout.rows:
            _last_block(model, base, starts, read, rows, layout, attention, tell, out)
        alone, changed = RowsAlone(starts, layer, length, read.device), changed[:0]
        if alone.rows:
            tell(alone)
            resid = base.blocks[layer].resid[alone.positions]
            own = Attention(*base.past[layer], alone)
            changed = call_block(model, layer, base.blocks[layer], resid, alone, own)
    at = torch.full((length,), -1, device=read.device)
    at[read] = torch.arange(len(read), device=read.device)
    wanted = at[alone.positions] >= 0
    out[alone.runs[wanted], at[alone.positions[wanted]]] = changed[wanted]
    return out


def _enter(rows: Tensor, before: Layout | None, now: Layout, base_rows: Tensor) -> Tensor:
    """Rows of the runs that are under way, and of those that start here, which begin as the base run's."""
    if before is not None and before.rows == now.rows:
        return rows
    old = {first: (row, runs) for first, runs, row, _ in before.groups} if before is not None else {}
    parts = []
    for first, runs, _, width in now.groups:
        row, running = old.get(first, (0, 0))
        if running:
            parts.append(rows[row : row + running * width])
        if runs > running:
            parts.append(base_rows[first:].repeat(runs - running, 1))
    return torch.cat([rows[:0], *parts])


def _last_block(
    model: LanguageModel,
    base: Recording,
    starts: Sequence[Start],
    read: Tensor,
    rows: Tensor,
    layout: Layout,
    attention: Attention,
    tell: Any,
    out: Tensor,
) -> None:
    """Keys and values of all rows, and all else for the rows that are read: nothing else reaches the logits.

    Writes what leaves the block into `out` [run, read position, d_model].
    """
    layer = model.n_layers - 1
    call = base.blocks[layer]
    wanted = Layout(starts, layer, read)
    index = layout.row(*wanted_rows(starts, read))
    asked = index >= 0
    if not asked.any():
        return
    asking = rows[index[asked]]  # before a hook writes into them in place
    if layout.rows > len(asking):
        tell(layout)
        attention.only_fill = True
        with suppress(Filled):
            call_block(model, layer, call, rows, layout, attention)
        attention.only_fill, attention.queries = False, wanted
    tell(wanted)
    out.view(-1, out.shape[-1])[asked] = call_block(model, layer, call, asking, wanted, attention)


def wanted_rows(starts: Sequence[Start], read: Tensor) -> tuple[Tensor, Tensor]:
    """Every run with every read position: two tensors [run x read]."""
    runs = torch.arange(len(starts), device=read.device)
    return runs.repeat_interleave(len(read)), read.repeat(len(starts))


def call_block(
    model: LanguageModel,
    layer: int,
    call: BlockCall,
    rows: Tensor,
    layout: Layout | RowsAlone,
    attention: Attention,
) -> Tensor:
    """One block on rows [row, d_model], as the model itself would call it."""
    length = call.resid.shape[0]

    def exchange(value: Any) -> Any:
        if value is CACHE:
            return attention
        if isinstance(value, tuple):
            return tuple(exchange(item) for item in value)
        return _at_rows(value, layout.positions, length) if isinstance(value, Tensor) else value

    block = model.raw.blocks[layer]
    args, kwargs = exchange(call.args), {name: exchange(value) for name, value in call.kwargs.items()}
    masks = _own_masks(block)
    if masks:
        with CausalBuffers(masks, layout.positions):
            out = block(rows[None], *args, **kwargs)
    else:
        out = block(rows[None], *args, **kwargs)
    return (out[0] if isinstance(out, tuple) else out)[0]


def _at_rows(value: Tensor, positions: Tensor, length: int) -> Tensor:
    """An argument of a block that is indexed by position, for rows at some positions; others as they are."""
    if value.ndim == 4 and value.shape[-2] == length:  # a mask [1, 1, query, key]
        return value[:, :, positions]
    if value.ndim in (2, 3) and value.shape[1] == length:  # position numbers, rotary angles [1, position, ...]
        return value[:, positions]
    return value


def _own_masks(block: Any) -> list[Tensor]:
    return [buffer for buffer in block.buffers() if buffer.ndim == 4 and buffer.dtype == torch.bool]
