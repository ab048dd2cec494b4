"""Runs many patched runs in one pass: their rows form one long sequence, and each row attends to its own run.

A patch at layer l and position p changes nothing below l and nothing left of p. So a patched run consists of the rows
from p on and starts at layer l from the base run's input there. Its rows attend to the base run's keys and values left
of p, and to their own run's from p on. Everything in a block except attention works row by row, so the rows of many
runs, whatever their layers and positions, go through a block as one sequence `[1, row, d_model]`, and the block's
weights are read once.

A block is called just as the model itself would call it, except for two arguments. Those indexed by position (the mask,
rotary angles) are gathered for the rows, and the key-value cache is a `RowCache`. The cache returns tensors that stand
for the keys and values that each row attends to: a product with them is computed run by run, and has the usual shape
`[1, head, row, key position]`. So scaling, softcap, mask, softmax and hooks are the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..language.model import LanguageModel
from .kv_cache import pass_cache_by_old_name
from .recording import CACHE, BlockCall, Recording, first_of


@dataclass(frozen=True)
class Start:
    """Where a patched run begins to differ from the base run.

    Attributes:
        layer, position: the first layer and the first position at which it differs.
        few: if the run patches a few positions of that layer and no other position of the layer reads them (a head's
            or an MLP's output, unlike keys and values), those positions. Only their rows go through the layer, since
            the other rows are the same as in the base run. Otherwise empty.
    """

    layer: int
    position: int
    few: tuple[int, ...] = ()

    @property
    def full_from(self) -> int:
        """The first layer that all rows of the run go through."""
        return self.layer + bool(self.few)


class Layout:
    """Maps the rows of a pass to runs and positions.

    Runs with the same first position are next to each other, in the order in which they start, and each run has one row
    for every queried position from its first position on.

    Args:
        starts: where each run of the pass begins, sorted by first position and then by `full_from`.
        layer: the layer that the rows are about to enter; runs that begin later have no rows yet.
        queries: the positions that have rows, ascending.

    Attributes:
        positions: the position of each row.
        rows: how many rows there are.
        groups: for each first position (first position, number of runs, first row, rows of each run).
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
            running = sum(start.full_from <= layer for start in own)
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
        """The rows of these positions of these runs (numbered as in `starts`), -1 for those that have no row."""
        rank = torch.where(position < len(self._rank), self._rank[position.clamp(max=len(self._rank) - 1)], -1)
        start, skipped = self._row_of_run[run], self._skipped[run]
        return torch.where((start < 0) | (rank < skipped), -1, start + rank - skipped)


class FewRows:
    """The layout of the runs that send only a few rows through a layer, because they begin there (see `Start.few`)."""

    groups: tuple[
        tuple[int, int, int, int], ...
    ] = ()  # all keys and values that these rows attend to are the base run's

    def __init__(self, starts: Sequence[Start], layer: int, length: int, device: torch.device):
        cells = [(i, p) for i, start in enumerate(starts) if start.layer == layer for p in start.few]
        self.rows = len(cells)
        self.runs, self.positions = torch.tensor(cells, device=device, dtype=torch.long).reshape(-1, 2).T
        self._rows = torch.full((len(starts), length), -1, device=device)
        self._rows[self.runs, self.positions] = torch.arange(self.rows, device=device)

    def row(self, run: Tensor, position: Tensor) -> Tensor:
        """As `Layout.row`."""
        return self._rows[run, position]


class RowCache:
    """The key-value cache for one block: the base run's keys and values, and those of a layout's rows.

    `update` takes the rows' own keys and values, and returns tensors that stand for all that each row attends to.

    Attributes:
        queries: the layout of the rows that attend. It is that of the keys, except in the last block.
        keys_only: stop the block by raising `KeysReady` as soon as it has delivered its keys and values.
    """

    def __init__(self, base_keys: Tensor, base_values: Tensor, layout: Layout | FewRows):
        self._base = {"keys": base_keys, "values": base_values}  # [key-value head, position, d_head]
        self._own: dict[str, Tensor] = {}  # [key-value head, row, d_head]
        self._layout = layout
        self.queries = layout
        self.keys_only = False

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self._own:
            self._own = {"keys": keys[0], "values": values[0]}
        if self.keys_only:
            raise KeysReady
        return PerRow.of(self._base["keys"], self, "keys"), PerRow.of(self._base["values"], self, "values")

    def get_seq_length(self, *_: Any) -> int:
        return 0

    def scores(self, queries: Tensor) -> Tensor:
        """Products [head, row, key position] of queries [head, row, d_head] with the keys that each row attends to."""
        base, own = (keys_and_values["keys"].to(queries.dtype) for keys_and_values in (self._base, self._own))
        heads, rows, d_head = queries.shape
        folded = queries.reshape(base.shape[0], -1, d_head)  # heads that share keys, concatenated
        scores = torch.bmm(folded, base.transpose(1, 2)).view(heads, rows, -1)
        for first, runs, row, width, own_row, length in self._pairs():
            asked = self._by_run(queries[:, row : row + runs * width], runs, base.shape[0])
            keys = own[:, own_row : own_row + runs * length].reshape(-1, length, d_head)
            product = torch.bmm(asked, keys.transpose(1, 2))
            scores[:, row : row + runs * width, first:] = self._by_head(product, runs, width, heads)
        return scores

    def mixed(self, weights: Tensor) -> Tensor:
        """Sums [head, row, d_head] of the values that each row attends to, weighted by [head, row, key position]."""
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
        """For each first position: (position, runs, first query row, query rows per run, first key row, key rows)."""
        own = {first: (row, width) for first, _, row, width in self._layout.groups}
        return [(first, runs, row, width, *own[first]) for first, runs, row, width in self.queries.groups]

    @staticmethod
    def _by_run(rows: Tensor, runs: int, kv_heads: int) -> Tensor:
        """[head, run x row, n] as [key-value head x run, head of the group x row, n]."""
        split = rows.reshape(kv_heads, rows.shape[0] // kv_heads, runs, rows.shape[1] // runs, rows.shape[2])
        return split.transpose(1, 2).reshape(kv_heads * runs, -1, rows.shape[2])

    @staticmethod
    def _by_head(product: Tensor, runs: int, width: int, heads: int) -> Tensor:
        """The inverse of `_by_run`."""
        kv_heads = product.shape[0] // runs
        split = product.view(kv_heads, runs, heads // kv_heads, width, -1).transpose(1, 2)
        return split.reshape(heads, runs * width, -1)


class KeysReady(Exception):
    """The rows' keys and values are in the cache, and the rest of the block is not needed."""


class PerRow(Tensor):
    """Stands for the keys or values that each row attends to. Its shape and entries are those of the base run's.

    Reshaping, repeating (for grouped heads) and casting act on those entries; a matrix product is computed run by run.
    """

    cache: RowCache
    role: str

    @staticmethod
    def of(base: Tensor, cache: RowCache, role: str) -> PerRow:
        per_row = base[None].as_subclass(PerRow)
        per_row.cache, per_row.role = cache, role
        return per_row

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
            out.cache, out.role = source.cache, source.role
        return out

    def _times(self, other: Tensor) -> Tensor:
        flat = other[0] if other.ndim == 4 else other
        product = self.cache.scores(flat) if self.role == "keys" else self.cache.mixed(flat)
        return product[None] if other.ndim == 4 else product


def _baddbmm(input: Tensor, batch1: Tensor, batch2: PerRow, *, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    return beta * input + alpha * batch2._times(batch1)


class CausalBuffers(TorchFunctionMode):
    """Inside a `with` block, slices of a module's own causal mask (gpt_neo has one) have the rows of a layout."""

    def __init__(self, buffers: Iterable[Tensor], positions: Tensor):
        super().__init__()
        self._masks = {id(buffer) for buffer in buffers}
        self._positions = positions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__ and id(args[0]) in self._masks:
            mask, keys = args[0], args[1][-1]
            return mask[:, :, self._positions][..., keys]
        return func(*args, **(kwargs or {}))


def run_packed(
    model: LanguageModel,
    base: Recording,
    starts: Sequence[Start],
    read: Tensor,
    set_layout: Callable[[Layout | FewRows], None],
) -> Tensor:
    """The last block's output [run, read position, d_model] of patched runs.

    Args:
        starts: where each run begins, sorted by position and then by `full_from`.
        read: the positions whose output is returned, ascending.
        set_layout: called before each pass through a block with the layout of its rows, for the hooks that patch them.

    Left of a run's first position, the base run's output is returned.
    """
    pass_cache_by_old_name(model)
    length = base.tokens.shape[0]
    everywhere = torch.arange(length, device=read.device)
    rows, layout = base.last_resid[:0], None
    last = model.n_layers - 1
    out = base.last_resid[read].repeat(len(starts), 1, 1)
    few, changed = FewRows((), 0, length, read.device), base.last_resid[:0]  # of the layer below
    for layer in range(min(start.layer for start in starts), model.n_layers):
        entered = Layout(starts, layer, everywhere)
        rows = _enter(rows, layout, entered, base.blocks[layer].resid)
        rows[entered.row(few.runs, few.positions)] = changed
        layout = entered
        cache = RowCache(*base.keys_and_values[layer], layout)
        if layout.rows and layer < last:
            set_layout(layout)
            rows = call_block(model, layer, base.blocks[layer], rows, layout, cache)
        elif layout.rows:
            _last_block(model, base, starts, read, rows, layout, cache, set_layout, out)
        few, changed = FewRows(starts, layer, length, read.device), changed[:0]
        if few.rows:
            set_layout(few)
            resid = base.blocks[layer].resid[few.positions]
            changed = call_block(
                model, layer, base.blocks[layer], resid, few, RowCache(*base.keys_and_values[layer], few)
            )
    at = torch.full((length,), -1, device=read.device)
    at[read] = torch.arange(len(read), device=read.device)
    wanted = at[few.positions] >= 0
    out[few.runs[wanted], at[few.positions[wanted]]] = changed[wanted]
    return out


def _enter(rows: Tensor, before: Layout | None, now: Layout, base_rows: Tensor) -> Tensor:
    """The rows of the runs that began below, and of those that begin here, which are still the base run's."""
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
    cache: RowCache,
    set_layout: Callable[[Layout | FewRows], None],
    out: Tensor,
) -> None:
    """Run the last block: keys and values for all rows, everything else only for the rows that are read.

    The block's output is written into `out` [run, read position, d_model].
    """
    layer = model.n_layers - 1
    call = base.blocks[layer]
    wanted = Layout(starts, layer, read)
    index = layout.row(*wanted_rows(starts, read))
    asked = index >= 0
    if not asked.any():
        return
    asking = rows[index[asked]]  # copied before a hook writes into the rows in place
    if layout.rows > len(asking):
        set_layout(layout)
        cache.keys_only = True
        with suppress(KeysReady):
            call_block(model, layer, call, rows, layout, cache)
        cache.keys_only, cache.queries = False, wanted
    set_layout(wanted)
    out.view(-1, out.shape[-1])[asked] = call_block(model, layer, call, asking, wanted, cache)


def wanted_rows(starts: Sequence[Start], read: Tensor) -> tuple[Tensor, Tensor]:
    """All combinations of a run and a read position, as two tensors [run x read]."""
    runs = torch.arange(len(starts), device=read.device)
    return runs.repeat_interleave(len(read)), read.repeat(len(starts))


def call_block(
    model: LanguageModel,
    layer: int,
    call: BlockCall,
    rows: Tensor,
    layout: Layout | FewRows,
    cache: RowCache,
) -> Tensor:
    """Call one block on rows [row, d_model], as the model itself would."""
    length = call.resid.shape[0]

    def exchange(value: Any) -> Any:
        if value is CACHE:
            return cache
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
    return first_of(out)[0]


def _at_rows(value: Tensor, positions: Tensor, length: int) -> Tensor:
    """An argument of a block for rows at these positions; unchanged if it is not indexed by position."""
    if value.ndim == 4 and value.shape[-2] == length:  # a mask [1, 1, query, key]
        return value[:, :, positions]
    if value.ndim in (2, 3) and value.shape[1] == length:  # position numbers, rotary angles [1, position, ...]
        return value[:, positions]
    return value


def _own_masks(block: Any) -> list[Tensor]:
    return [buffer for buffer in block.buffers() if buffer.ndim == 4 and buffer.dtype == torch.bool]
