"""Many patched runs in few passes.

`run_patched` takes a recorded base run and a set of edits for each patched run, and yields the logits of every run. A
patched run starts at the first layer and position that its edits change, many runs go through each block together
(`packing.py`), and only the requested positions and tokens are unembedded. If a model's blocks can't be called that
way, or give other numbers when they are, the same edits run as a batch through the whole model with hooks, which is
slower and gives the same numbers.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import torch
from torch import Tensor

from ..language.model import LanguageModel
from .edits import Edit, Edits, PatchedRun, changes, first_change
from .fused import fused
from .modules import read_out
from .packing import Start, run_packed
from .recording import Recording
from .turn import Turn
from .watch import Cancelled, current

# Rows in one pass. More rows take more memory without being faster: up to this number, a CPU's allocator reuses the
# memory of the widest tensors instead of requesting it from the system every time.
MOST_ROWS = {"cpu": 768}
MOST_ROWS_ELSEWHERE = 8192
# Rows in a pass of a sweep that streams its results: few in the first pass, so that the first cells appear at once, and
# then enough that computing with the weights takes longer than reading them.
FIRST_ROWS, LEAST_ROWS = 32, 256
SHARE_OF_MEMORY = 0.25


@dataclass(frozen=True, eq=False)
class Pass:
    """A batch of finished patched runs.

    Attributes:
        runs: their indices.
        logits: [run, read position, token]; a single row for all of them if they did not have to be run.
        ran: False for runs whose edits change nothing, so that their logits are the base run's.
    """

    runs: list[int]
    logits: Tensor
    ran: bool


def run_patched(
    turn: Turn,
    base: Recording,
    runs: Sequence[PatchedRun],
    *,
    read: Sequence[int],
    vocabulary: Sequence[int] | None = None,
    memory: int | None = None,
    why_not_packed: str | None = None,
    first_rows: int = FIRST_ROWS,
) -> Iterator[Pass]:
    """Run the base prompt once for each set of edits, in the order given.

    The current watch says how long a pass should take.

    Args:
        base: the recorded run whose activations are edited.
        runs: the edits of each patched run, at least one.
        read: the positions of the base prompt whose logits are returned, ascending.
        vocabulary: the tokens whose logits are returned; None is all tokens.
        memory: how many bytes a pass may take beyond the model; None is a quarter of the free memory.
        why_not_packed: the answer of `why_not_packed()` for this model; None runs packed.
        first_rows: how many rows the first pass has, if passes have a time.

    Yields:
        First all runs whose edits change nothing, which are not run; then one pass after another.

    Raises:
        Cancelled: the watch says that the computation is cancelled.
        MemoryError: a single run needs more memory than there is.
        RuntimeError: other code changed the model's hooks during a pass.
        ValueError: `memory` is not a number of bytes.
    """
    check_memory(memory)
    plan = Plan(turn.model, base, runs, list(read), vocabulary)
    packed = why_not_packed is None
    pass_ = plan.run_packed if packed else plan.run_whole
    yield Pass(plan.unchanged, plan.base_logits(), ran=False)
    waiting = [i for i in range(len(runs)) if plan.starts[i] is not None]
    # The user's hooks may be written for the first row of a batch. Then each pass has a single run.
    most = 1 if turn.users_hooks else plan.most_rows(memory, packed)
    rows = most if current().seconds is None else min(most, first_rows)
    while waiting:
        chosen = plan.take(waiting, rows, packed)
        began = time.perf_counter()
        try:
            logits = turn.run(lambda chosen=chosen: pass_(chosen))
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            rows = most = _smaller(plan, chosen, packed, problem)
            continue
        yield Pass(chosen, logits, ran=True)
        waiting = waiting[len(chosen) :]
        rows = _next_rows(rows, most, time.perf_counter() - began)


def check_memory(memory: Any) -> None:
    """Raise ValueError unless `memory` is a number of bytes or None."""
    number = isinstance(memory, (int, float)) and not isinstance(memory, bool)
    if memory is not None and not (number and memory > 0):
        raise ValueError(f"memory is how many bytes a pass may take, more than 0, not {memory!r}.")


def _next_rows(rows: int, most: int, took: float) -> int:
    """How many rows the next pass should have, given that a pass of `rows` rows took this many seconds."""
    seconds = current().seconds
    if seconds is None:
        return most
    return min(most, max(LEAST_ROWS, int(rows * min(8.0, seconds / max(took, 1e-4)))))


def is_out_of_memory(problem: Exception) -> bool:
    """Whether an error says that memory has run out."""
    text = str(problem).lower()
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def _smaller(plan: Plan, chosen: list[int], packed: bool, problem: Exception) -> int:
    """Half the rows of a pass that did not fit into memory. Frees its memory first."""
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
    """The patched runs of one base run, and where each begins to differ from it."""

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
        # A patch to the right of all read positions can't affect their logits.
        self.starts = [None if start and start.position > max(self.read) else start for start in starts]
        self.starts = [start and self._with_few_rows(run, start) for run, start in zip(self.runs, self.starts)]

    def _with_few_rows(self, run: PatchedRun, start: Start) -> Start:
        """The start with `few` set, if the run's first layer needs only a few of its rows."""
        first = [edit for edit in run if edit.layer == start.layer]
        positions = tuple(sorted({p for edit in first for p in edit.positions if p >= start.position}))
        few = len(positions) < len(self.base.tokens) - start.position
        unread = all(edit.activation not in ("resid_pre", "k", "v") for edit in first)
        return replace(start, few=positions) if few and unread else start

    @property
    def unchanged(self) -> list[int]:
        """The runs that change none of the logits that are read, so that these are the base run's."""
        return [i for i, start in enumerate(self.starts) if start is None]

    def rows_of(self, chosen: Iterable[int], packed: bool) -> int:
        return sum(self._width(i, packed) for i in chosen)

    def _width(self, i: int, packed: bool) -> int:
        start = self.starts[i]
        return len(self.base.tokens) - (start.position if packed and start is not None else 0)

    def base_logits(self) -> Tensor:
        """The base run's logits, [1, read position, token]. The base run was recorded with the same vocabulary."""
        return torch.stack([self.base.logits[position] for position in self.read])[None]

    def take(self, waiting: list[int], rows: int, packed: bool) -> list[int]:
        """The next runs, at least one, that have at most this many rows together."""
        taken, total = [], 0
        for i in waiting:
            total += self._width(i, packed)
            if taken and total > rows:
                break
            taken.append(i)
        return taken

    def most_rows(self, memory: int | None, packed: bool) -> int:
        """How many rows a pass may have, from a rough estimate of a row's bytes where a block is widest."""
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
        """Logits [run, read position, token], from the rows of all runs side by side."""
        order = sorted(chosen, key=lambda i: (self._begin(i).position, self._begin(i).full_from))
        device = self.base.tokens.device
        edits = Edits(self.model, [self._needed(i) for i in order], device)
        read = torch.tensor(self.read, device=device)
        with torch.no_grad(), fused(self.model), edits.written() as writer:
            resid = run_packed(self.model, self.base, [self._begin(i) for i in order], read, writer.set_layout)
            logits = read_out(self.model, resid, self.vocabulary)
        place = {i: at for at, i in enumerate(order)}
        return logits[torch.tensor([place[i] for i in chosen], device=device)]

    def _begin(self, i: int) -> Start:
        start = self.starts[i]
        # A run that changes nothing still needs a row: the last one of the last layer costs least.
        return start if start is not None else Start(self.model.n_layers - 1, len(self.base.tokens) - 1)

    def _needed(self, i: int) -> PatchedRun:
        """A run's edits from its first differing layer on; edits below it change nothing."""
        start = self.starts[i]
        return [] if start is None else [edit for edit in self.runs[i] if edit.layer >= start.layer]

    def run_whole(self, chosen: list[int]) -> Tensor:
        """Logits [run, read position, token], from the whole model with hooks on a batch of copies of the prompt."""
        edits = Edits(self.model, [self.runs[i] for i in chosen], self.base.tokens.device)
        with torch.no_grad(), edits.written():
            logits = self.model.raw(self.base.tokens.repeat(len(chosen), 1))[:, self.read]
        return logits if self.vocabulary is None else logits[..., list(self.vocabulary)]


def run_edited(
    turn: Turn, tokens: Sequence[int], edits: PatchedRun, prepare: Callable[[], None] = lambda: None
) -> Tensor:
    """Logits [position, d_vocab] of one run of the whole model with these edits.

    Args:
        prepare: puts further hooks on the model's modules, which act before the edits and are removed with them.

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
    """
    model = turn.model
    ids = torch.tensor([list(tokens)], device=model.device)

    def run() -> Tensor:
        prepare()
        with torch.no_grad(), Edits(model, [edits], model.device).written():
            return model.raw(ids)[0]

    return turn.run(run)


# Whether a model can be run packed


# Keyed by raw model, because each call may create a new `LanguageModel`.
_verdicts: weakref.WeakKeyDictionary[Any, dict[Any, str | None]] = weakref.WeakKeyDictionary()


def why_not_packed(turn: Turn, base: Recording, trials: Sequence[PatchedRun], key: Any) -> str | None:
    """None if packed runs give this model's own logits, otherwise the reason why they are not used.

    For each `key`, a few runs are compared once with the whole model with hooks.
    """
    if turn.users_hooks:
        return "the model carries hooks of your own, which may act outside its blocks"
    known = _verdicts.setdefault(turn.model.raw, {})
    key = (key, turn.model.weights, turn.model.dtype, str(turn.model.device))
    if key not in known:
        try:
            known[key] = turn.run(lambda: _try_packed(turn.model, base, trials))
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            return "there was not enough memory to call its blocks one by one"  # true only for now: not cached
    return known[key]


def _try_packed(model: LanguageModel, base: Recording, trials: Sequence[PatchedRun]) -> str | None:
    if not base.blocks:
        return "the model does not call its blocks one after another with a key-value cache"
    last = len(base.tokens) - 1
    some = list(range(0, model.d_vocab, max(1, model.d_vocab // 8)))
    plan = Plan(model, base, trials, [last], None)
    few = Plan(model, base, trials, [last], some)
    chosen = list(range(len(trials)))
    whole = plan.run_whole(chosen)
    try:
        worst = max(difference(plan.run_packed(chosen), whole), difference(few.run_packed(chosen), whole[..., some]))
    except Exception as problem:  # whatever the block raises, the fallback gives the right numbers
        if isinstance(problem, Cancelled) or is_out_of_memory(problem):
            raise
        return f"its blocks can't be called one by one ({type(problem).__name__}: {problem})"
    tolerance = 3e-2 if whole.dtype.itemsize < 4 else 1e-4  # half precision, or better
    return None if worst <= tolerance else f"its blocks called one by one differ from the whole model by {worst:.1e}"


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference between two tensors, relative to the second one's largest value."""
    scale = b.float().abs().max().clamp(min=1e-6)
    return float(((a.float() - b.float()).abs().max() / scale).nan_to_num(torch.inf))


def free_memory(device: torch.device) -> int:
    """How many bytes are free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
