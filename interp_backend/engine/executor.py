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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import torch
from torch import Tensor

from ..language.model import LanguageModel
from .edits import Edit, Edits, PatchedRun, changes, first_change
from .fused import fused
from .packing import Start, run_packed
from .recording import Recording, can_unembed_some, unembed_some
from .turn import Turn

# Tokens in one pass: past that, more memory and no more speed. On a CPU the widest tensors then still fit into memory
# that is used again, instead of being fetched from the system each time.
MOST_ROWS = {"cpu": 768}
MOST_ROWS_ELSEWHERE = 8192
# Of a sweep that streams: a small first pass, so that something is seen at once, and later none so small that reading
# the weights costs more than using them.
FIRST_ROWS, LEAST_ROWS = 32, 256
SHARE_OF_MEMORY = 0.25


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

        starts = [first_change(run, changed) for run in self.runs]
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
        """The base run's own logits, [1, read position, token]: it was recorded with the same vocabulary."""
        return torch.stack([self.base.logits[position] for position in self.read])[None]

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
        with torch.no_grad(), fused(self.model), edits.written() as writer:
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


def read_out(model: LanguageModel, resid: Tensor, vocabulary: Sequence[int] | None) -> Tensor:
    """Logits [..., token] from the last block's output [..., d_model]: final norm, unembedding, softcap."""
    raw = model.raw
    normed = raw.ln_final(resid) if hasattr(raw, "ln_final") else resid
    if vocabulary is not None and can_unembed_some(model):
        return unembed_some(model, normed, vocabulary)
    logits = raw.adapter.apply_output_logits_transform(raw.unembed(normed))
    return logits if vocabulary is None else logits[..., list(vocabulary)]


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
    tolerance = 3e-2 if whole.dtype.itemsize < 4 else 1e-4  # half precision, or better
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
