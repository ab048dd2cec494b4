"""Many interventions in few passes: the one place that runs a model.

`run_patched` takes a base run and patched runs, each a set of edits of activations, and yields the logits of each. A
patched run starts at the layer and position of its first edit that changes anything, many of them go through a block
together (`packing.py`), and only the positions and tokens that are asked for are unembedded. Where a model can't be run
so, or turns out to give other numbers so, the same edits run as a batch through the whole model with hooks: slower,
and the same numbers.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psutil
import torch
from torch import Tensor

from .model import ACTIVATIONS, Hook, LanguageModel
from .packing import Layout, RowsAlone, Start, run_packed
from .recording import Recording
from .turn import Turn, of_this_thread

# Tokens in one pass: past that, more memory and no more speed. On a CPU the widest tensors then still fit into memory
# that is used again, instead of being fetched from the system each time.
MOST_ROWS = {"cpu": 768}
MOST_ROWS_ELSEWHERE = 8192
# Of a sweep that streams: a small first pass, so that something is seen at once, and later none so small that reading
# the weights costs more than using them.
FIRST_ROWS, LEAST_ROWS = 32, 256
SHARE_OF_MEMORY = 0.25

Operation = Literal["replace", "add", "scale"]


@dataclass(frozen=True, eq=False)
class Edit:
    """One activation of a patched run that is changed.

    Attributes:
        activation: a key of `model.ACTIVATIONS`.
        layer: which block.
        positions: which tokens of the base prompt; for attention patterns, which destinations.
        operation: "replace" puts `payload` in; "add" adds `payload` times `factor`; "scale" multiplies by `factor`.
        payload: shaped as the base run's recorded activation, position for position; None to scale.
        factor: of "add" and "scale".
        head: which head, for activations that have heads; None is all of them, except for a pattern, which needs one.
        entries: which neurons, or which source positions of a pattern; None is all of them.
    """

    activation: str
    layer: int
    positions: tuple[int, ...]
    operation: Operation = "replace"
    payload: Tensor | None = None
    factor: float = 1.0
    head: int | None = None
    entries: tuple[int, ...] | None = None


PatchedRun = Sequence[Edit]


@dataclass(frozen=True, eq=False)
class Pass:
    """Some patched runs that are done.

    Attributes:
        runs: which, as indices.
        logits: [run, read position, token]; one row for all where nothing was run.
        ran: False for runs that change nothing, whose logits are the base run's.
    """

    runs: list[int]
    logits: Tensor
    ran: bool


@dataclass
class Limits:
    """How large a pass may be.

    Attributes:
        memory: bytes that a pass may take beyond the model; None is a quarter of what is free.
        seconds: what a pass should take, so that results stream and a cancel is quick; None is as large as fits.
    """

    memory: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError: memory that is no number of bytes."""
        number = isinstance(self.memory, (int, float)) and not isinstance(self.memory, bool)
        if self.memory is not None and not (number and self.memory > 0):
            raise ValueError(f"memory is how many bytes a pass may take, more than 0, not {self.memory!r}.")


def run_patched(
    turn: Turn,
    base: Recording,
    runs: Sequence[PatchedRun],
    *,
    read: Sequence[int],
    vocabulary: Sequence[int] | None = None,
    limits: Limits | None = None,
    why_not_packed: str | None = None,
) -> Iterator[Pass]:
    """Run the base prompt once for each set of edits, in the order given.

    Args:
        base: the recorded run whose activations are edited.
        runs: for each patched run its edits, one or more.
        read: positions of the base prompt whose logits are wanted, ascending.
        vocabulary: tokens whose logits are wanted; None is all of them.
        why_not_packed: what `why_not_packed()` said of this model; None runs packed.

    Yields:
        First the runs whose edits put back what is there, answered without running; then pass after pass.

    Raises:
        MemoryError: one run alone needs more memory than there is.
        RuntimeError: the model's hooks were changed by somebody else while it ran.
    """
    plan = Plan(turn.model, base, runs, list(read), vocabulary)
    packed = why_not_packed is None
    pass_ = plan.run_packed if packed else plan.run_whole
    limits = limits or Limits()
    yield Pass(plan.unchanged, plan.base_logits(), ran=False)
    waiting = [i for i in range(len(runs)) if plan.starts[i] is not None]
    # A user's own hook may mean the first row of a batch, or one position: then one run at a time.
    most = 1 if turn.users_hooks else plan.most_rows(limits.memory, packed)
    rows = most if limits.seconds is None else min(most, FIRST_ROWS)
    while waiting:
        chosen = plan.take(waiting, rows, packed)
        began = time.perf_counter()
        try:
            logits = turn.run(lambda chosen=chosen: pass_(chosen))
        except (RuntimeError, MemoryError) as problem:
            if not _is_out_of_memory(problem):
                raise
            rows = most = _smaller(plan, chosen, packed, problem)
            continue
        yield Pass(chosen, logits, ran=True)
        waiting = waiting[len(chosen) :]
        if limits.seconds is not None:
            pace = limits.seconds / max(time.perf_counter() - began, 1e-4)
            rows = min(most, max(LEAST_ROWS, int(rows * min(8.0, pace))))


def _is_out_of_memory(problem: Exception) -> bool:
    text = str(problem).lower()
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def _smaller(plan: Plan, chosen: list[int], packed: bool, problem: Exception) -> int:
    """Half the rows of a pass that did not fit; what it had taken is given back first."""
    if len(chosen) == 1:
        raise MemoryError(
            "One patched run alone does not fit into memory. Shorten the prompts, use a smaller or half-precision "
            "model, or free some memory."
        ) from problem
    problem.__traceback__ = None  # it holds the tensors of the pass that failed
    if plan.model.device.type == "cuda":
        torch.cuda.empty_cache()
    return max(1, plan.rows_of(chosen, packed) // 2)


def changes(model: LanguageModel, base: Recording, edit: Edit) -> Tensor:
    """Where an edit would change the base run: a Boolean for each entry but the last axis of its activation."""
    now = base.activations[model.hook_name(edit.activation, edit.layer)]
    if edit.operation == "replace":
        assert edit.payload is not None
        changed = now != edit.payload
    elif edit.operation == "add":
        assert edit.payload is not None
        changed = (edit.payload != 0).expand_as(now) & (edit.factor != 0)
    else:
        changed = (now != 0) & (edit.factor != 1)
    return changed if ACTIVATIONS[edit.activation].entries else changed.any(-1)


@dataclass
class Plan:
    """Patched runs of one base run, and when each of them leaves it."""

    model: LanguageModel
    base: Recording
    runs: Sequence[PatchedRun]
    read: list[int]
    vocabulary: Sequence[int] | None
    starts: list[Start | None] = field(init=False)

    def __post_init__(self) -> None:
        known: dict[Any, Any] = {}

        def changed(edit: Edit) -> Any:
            key = (edit.activation, edit.layer, id(edit.payload), edit.operation, edit.factor)
            if key not in known:
                known[key] = changes(self.model, self.base, edit).cpu().numpy()
            return known[key]

        starts = [_start(run, changed) for run in self.runs]
        # What comes after the last position that is read can't reach it: such a run is the base run's too.
        self.starts = [None if start and start.position > max(self.read) else start for start in starts]
        self.starts = [start and self._alone(run, start) for run, start in zip(self.runs, self.starts)]

    def _alone(self, run: PatchedRun, start: Start) -> Start:
        """The start with the rows that its first layer needs, where those are few and nothing there reads them."""
        first = [edit for edit in run if edit.layer == start.layer]
        positions = tuple(sorted({p for edit in first for p in edit.positions if p >= start.position}))
        few = len(positions) < len(self.base.tokens) - start.position
        unread = all(edit.activation not in ("resid_pre", "k", "v") for edit in first)
        return replace(start, alone=positions) if few and unread else start

    @property
    def unchanged(self) -> list[int]:
        """Runs that change nothing that is read: their logits are the base run's."""
        return [i for i, start in enumerate(self.starts) if start is None]

    def rows_of(self, chosen: Iterable[int], packed: bool) -> int:
        return sum(self._width(i, packed) for i in chosen)

    def _width(self, i: int, packed: bool) -> int:
        start = self.starts[i]
        return len(self.base.tokens) - (start.position if packed and start is not None else 0)

    def base_logits(self) -> Tensor:
        """The base run's own logits, [1, read position, token]."""
        logits = torch.stack([self.base.logits[position] for position in self.read])[None]
        return logits if self.vocabulary is None else logits[..., list(self.vocabulary)]

    def take(self, waiting: list[int], rows: int, packed: bool) -> list[int]:
        """The next runs that have at most so many rows together; one at least."""
        taken, total = [], 0
        for i in waiting:
            total += self._width(i, packed)
            if taken and total > rows:
                break
            taken.append(i)
        return taken

    def most_rows(self, memory: int | None, packed: bool) -> int:
        """How many rows a pass may have, by a rough count of what a row takes at the widest place of a block."""
        cfg, length = self.model.raw.cfg, len(self.base.tokens)
        width = 12 * self.model.d_model + 3 * (getattr(cfg, "d_mlp", None) or 4 * self.model.d_model)
        attention = 4 * self.model.n_heads * length
        tokens = len(self.read) * (len(self.vocabulary) if self.vocabulary is not None else int(cfg.d_vocab))
        shortest = min((self._width(i, packed) for i in range(len(self.runs))), default=1)
        logits = 3 * tokens / shortest if packed else 2 * int(cfg.d_vocab)
        bytes_a_row = max(4, self.base.last_resid.element_size()) * (width + attention + logits)
        budget = memory if memory is not None else SHARE_OF_MEMORY * free_memory(self.model.device)
        return max(1, min(MOST_ROWS.get(self.model.device.type, MOST_ROWS_ELSEWHERE), int(budget / bytes_a_row)))

    # A pass

    def run_packed(self, chosen: list[int]) -> Tensor:
        """Logits [run, read position, token]: rows of all runs side by side, block by block."""
        order = sorted(chosen, key=lambda i: (self._begin(i).position, self._begin(i).joins))
        device = self.base.tokens.device
        edits = Edits(self.model, [self._needed(i) for i in order], device)
        read = torch.tensor(self.read, device=device)
        with torch.no_grad(), edits.written() as writer:
            resid = run_packed(self.model, self.base, [self._begin(i) for i in order], read, writer.tell)
            logits = read_out(self.model, resid, self.vocabulary)
        place = {i: at for at, i in enumerate(order)}
        return logits[torch.tensor([place[i] for i in chosen], device=device)]

    def _begin(self, i: int) -> Start:
        start = self.starts[i]
        # A run without effect still has its row: it starts where it costs least.
        return start if start is not None else Start(self.model.n_layers - 1, len(self.base.tokens) - 1)

    def _needed(self, i: int) -> PatchedRun:
        """A run's edits without those below the layer at which it starts: they put back what is there."""
        start = self.starts[i]
        return [] if start is None else [edit for edit in self.runs[i] if edit.layer >= start.layer]

    def run_whole(self, chosen: list[int]) -> Tensor:
        """The same by running the whole model, with hooks, on a batch of copies of the prompt."""
        edits = Edits(self.model, [self.runs[i] for i in chosen], self.base.tokens.device)
        with torch.no_grad(), edits.written():
            logits = self.model.raw(self.base.tokens.repeat(len(chosen), 1))[:, self.read]
        return logits if self.vocabulary is None else logits[..., list(self.vocabulary)]


def _start(run: PatchedRun, changed: Callable[[Edit], Any]) -> Start | None:
    """The first layer and the first position at which any edit of a run changes anything; None if none does."""
    layers, positions = [], []
    for edit in run:
        mask = changed(edit)
        kind = ACTIVATIONS[edit.activation]
        for position in edit.positions:
            index: list[Any] = [position]
            if kind.per_head:
                index.insert(0 if kind.pattern else 1, slice(None) if edit.head is None else edit.head)
            if kind.entries and edit.entries is not None:
                index.append(list(edit.entries))
            if mask[tuple(index)].any():
                positions.append(position)
                layers.append(edit.layer)
    return Start(min(layers), min(positions)) if layers else None


class Edits:
    """The edits of the runs of one pass, by hook, ready to be written."""

    def __init__(self, model: LanguageModel, runs: Sequence[PatchedRun], device: torch.device):
        self.model = model
        self._layout: Layout | RowsAlone | None = None
        self._fired: set[str] = set()
        by_hook: dict[str, dict[Any, list[tuple[int, Edit]]]] = {}
        nths: dict[tuple[int, str], int] = {}
        for run, edits in enumerate(runs):
            for edit in edits:
                hook = model.hook_name(edit.activation, edit.layer)
                # Edits of one run may meet in a place, where they are made one after another, in their order.
                nth = nths[run, hook] = nths.get((run, hook), -1) + 1
                kind = (nth, edit.operation, id(edit.payload), edit.factor, edit.head is None, edit.entries is None)
                by_hook.setdefault(hook, {}).setdefault(kind, []).append((run, edit))
        self._writes = {
            hook: [_Write(kinds[kind], device) for kind in sorted(kinds, key=lambda kind: kind[0])]
            for hook, kinds in by_hook.items()
        }

    def tell(self, layout: Layout | RowsAlone) -> None:
        """Which rows the next block has."""
        self._layout = layout

    @contextmanager
    def written(self) -> Iterator[Edits]:
        """Hooks that write the edits, into rows of the told layout or, without one, into the batch's own rows."""

        def hook_of(name: str) -> Hook:
            def hook(value: Tensor, hook: Any) -> Tensor:
                self._fired.add(name)
                # In place, not a copy: hook_resid_mid is the MLP norm's input, and a copy would miss the residual.
                for write in self._writes[name]:
                    write.into(value, self._layout)
                return value

            return of_this_thread(hook)

        with self.model.raw.hooks(fwd_hooks=[(name, hook_of(name)) for name in self._writes]):
            yield self
        if missed := self._writes.keys() - self._fired:
            raise RuntimeError(
                f"The patch at {min(missed)} was not made: the model's hooks were reset while it ran. Run this again."
            )


class _Write:
    """Edits of one hook that differ only in run, position, head and entries, as index tensors."""

    def __init__(self, edits: list[tuple[int, Edit]], device: torch.device):
        self.edit = edits[0][1]
        self.kind = ACTIVATIONS[self.edit.activation]
        cells = [
            (run, position, edit.head or 0, entry)
            for run, edit in edits
            for position in edit.positions
            for entry in (edit.entries if edit.entries is not None else (0,))
        ]
        self.run, self.position, self.head, self.entry = torch.tensor(cells, device=device).T

    def into(self, value: Tensor, layout: Layout | RowsAlone | None) -> None:
        run, position, head, entry = self.run, self.position, self.head, self.entry
        batch, row = run, position
        if layout is not None:
            row = layout.row(run, position)
            here = row >= 0
            row, position, head, entry = row[here], position[here], head[here], entry[here]
            batch = torch.zeros_like(row)
        edit = self.edit
        at = (batch, *self._index(row, head, entry))
        if edit.operation == "scale":
            value[at] = value[at] * edit.factor
            return
        assert edit.payload is not None
        payload = edit.payload[self._index(position, head, entry)].to(value.dtype)
        value[at] = payload if edit.operation == "replace" else value[at] + edit.factor * payload

    def _index(self, position: Tensor, head: Tensor, entry: Tensor) -> tuple[Any, ...]:
        """Where the edited places are in an activation without its first axis."""
        index = [position]
        if self.edit.head is not None:
            index.insert(0 if self.kind.pattern else 1, head)
        if self.edit.entries is not None:
            index.append(entry)
        return tuple(index)


def read_out(model: LanguageModel, resid: Tensor, vocabulary: Sequence[int] | None) -> Tensor:
    """Logits [..., token] from the last block's output [..., d_model]: final norm, unembedding, softcap."""
    raw = model.raw
    normed = raw.ln_final(resid) if hasattr(raw, "ln_final") else resid
    if vocabulary is None:
        logits = raw.unembed(normed)
    else:
        linear = raw.unembed.original_component
        chosen = torch.tensor(list(vocabulary), device=resid.device)
        bias = None if linear.bias is None else linear.bias[chosen]
        logits = torch.nn.functional.linear(normed, linear.weight[chosen], bias)
    return raw.adapter.apply_output_logits_transform(logits)


# Whether a model may be run so


# By the raw model: its wrapper may be made anew for every call.
_verdicts: weakref.WeakKeyDictionary[Any, dict[Any, str | None]] = weakref.WeakKeyDictionary()


def why_not_packed(turn: Turn, base: Recording, trials: Sequence[PatchedRun], key: Any) -> str | None:
    """None where packed runs of this model give its own logits; else why not.

    Tried once for each `key`, with a few runs, against the whole model with hooks.
    """
    if turn.users_hooks:
        return "the model carries hooks of the user's own, which may reach outside its blocks"
    known = _verdicts.setdefault(turn.model.raw, {})
    key = (key, turn.model.weights, turn.model.dtype, str(turn.model.device))
    if key not in known:
        try:
            known[key] = turn.run(lambda: _try_packed(turn.model, base, trials))
        except (RuntimeError, MemoryError) as problem:
            if not _is_out_of_memory(problem):
                raise
            return "there was no memory to try its blocks on their own"  # which says nothing about the model
    return known[key]


def _try_packed(model: LanguageModel, base: Recording, trials: Sequence[PatchedRun]) -> str | None:
    if not base.blocks:
        return "the model does not run its blocks one after another with a key-value cache"
    last = len(base.tokens) - 1
    some = list(range(0, int(model.raw.cfg.d_vocab), max(1, int(model.raw.cfg.d_vocab) // 8)))
    plan = Plan(model, base, trials, [last], None)
    few = Plan(model, base, trials, [last], some)
    chosen = list(range(len(trials)))
    whole = plan.run_whole(chosen)
    try:
        worst = max(difference(plan.run_packed(chosen), whole), difference(few.run_packed(chosen), whole[..., some]))
    except Exception as problem:  # whatever a foreign block raises, the fallback is right
        if _is_out_of_memory(problem):
            raise
        return f"its blocks can't be called on their own ({type(problem).__name__}: {problem})"
    tolerance = 1e-4 if whole.dtype == torch.float32 else 3e-2
    return None if worst <= tolerance else f"its blocks called one by one differ from the whole by {worst:.1e}"


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors, in units of the second's largest value."""
    scale = b.float().abs().max().clamp(min=1e-6)
    return float(((a.float() - b.float()).abs().max() / scale).nan_to_num(torch.inf))


def free_memory(device: torch.device) -> int:
    """Bytes that are free where a model runs."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
