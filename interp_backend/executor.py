"""Many interventions in few passes: the one place that runs a model.

A patch at layer l changes nothing below layer l. So a prompt is run once and every block's input kept
(`record`); each patched run then starts at its own layer, in one batch with the runs that are already under
way (`run_patches`). Where a model's blocks can't be called so, the same patches run as a batch through the
whole model with hooks: slower, and the same numbers. `how_blocks_run` decides by trying, not by name.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model import ACTIVATIONS, Hook, LanguageModel
from .turn import Turn, of_this_thread

FIRST_BATCH = 8
TARGET_SECONDS = 0.025  # of one pass: batches double below half of it, so that cells stream and a cancel is quick
MAX_ROWS = 2048  # tokens in one pass: past that, more memory and no more speed

_verdicts: weakref.WeakKeyDictionary[LanguageModel, str | None] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Patch:
    """One place of a run whose activation is replaced.

    Attributes:
        activation: a key of `model.ACTIVATIONS`.
        layer: which block.
        position: which token; None replaces all positions.
        head: which head, for activations that have heads; None replaces all of them.
    """

    activation: str
    layer: int
    position: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Run:
    """What one unpatched run of one prompt leaves behind.

    Attributes:
        tokens: [1, position].
        logits: [d_vocab] at the last position, in the model's own precision.
        activations: by hook name, [position, ...].
        blocks: for each block, what it was called with; empty if blocks can't be run by hand.
    """

    tokens: Tensor
    logits: Tensor
    activations: dict[str, Tensor]
    blocks: list[BlockCall]


@dataclass(frozen=True)
class BlockCall:
    """The arguments that one block got: its input [1, position, d_model] and whatever else."""

    resid: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def repeated(self, batch: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The other arguments, for a batch of the same prompt."""
        args = tuple(_repeat(value, batch) for value in self.args)
        return args, {name: _repeat(value, batch) for name, value in self.kwargs.items()}


def record(turn: Turn, ids: list[int], activations: Sequence[str] = ()) -> Run:
    """Run one prompt and keep what patched runs need: block inputs, chosen activations, last logits.

    Raises:
        ValueError: a model in training mode, logits that are not numbers, or an activation whose hook never fires.
    """
    return turn.run(lambda: _record(turn.model, ids, activations))


def _record(model: LanguageModel, ids: list[int], activations: Sequence[str]) -> Run:
    model.refuse_training_mode()
    tokens = torch.tensor([ids], device=model.device)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        # Cached tensors would be views that a later in-place edit changes: clone.
        def hook(value: Tensor, hook: Any) -> None:
            kept[name] = value[0].detach().clone()

        return hook

    names = [model.hook_name(activation, i) for activation in activations for i in range(model.n_layers)]
    with (
        torch.no_grad(),
        model.raw.hooks(fwd_hooks=[(name, of_this_thread(keep(name))) for name in names]),
        _calls_of_blocks(model) as blocks,
    ):
        logits = model.raw(tokens)[0, -1]
    if torch.isnan(logits).any():
        raise ValueError(
            "The model's logits are not numbers (NaN) for this prompt. Load it in float32: some models overflow in "
            "half precision."
        )
    if silent := [name for name in names if name not in kept]:
        raise ValueError(f"The hook {silent[0]} never fires in this model. Choose another activation.")
    return Run(tokens, logits.detach().clone(), kept, blocks)


def run_patches(turn: Turn, base: Run, source: Run, patches: Sequence[Patch]) -> Iterator[tuple[list[int], Tensor]]:
    """Run the base prompt once a patch, with that place's activation taken from the source run.

    Both runs need the same number of tokens and the patched activations recorded. Yields the indices of
    some patches and their logits [patch, d_vocab] at the last position, until all are done; batches grow
    while a pass takes less than half of `TARGET_SECONDS`.
    """
    run_chunk = _run_blocks if why_not_by_hand(turn, base) is None else _run_whole
    # A user's own hook may mean its first row, or one position: it gets what it would get in the user's own loop.
    most = 1 if turn.users_hooks else max(1, MAX_ROWS // base.tokens.shape[1])
    batch, start = FIRST_BATCH, 0
    while start < len(patches):
        chunk = patches[start : start + min(batch, most)]
        began = time.perf_counter()
        logits = turn.run(lambda chunk=chunk: run_chunk(turn.model, base, source, chunk))
        yield list(range(start, start + len(chunk))), logits
        start += len(chunk)
        if time.perf_counter() - began < TARGET_SECONDS / 2:
            batch *= 2


def unchanged(base: Run, source: Run, model: LanguageModel, patch: Patch) -> bool:
    """Whether a patch would put back exactly what is there, so that its effect is exactly zero."""
    name = model.hook_name(patch.activation, patch.layer)
    index = _index(patch)
    return torch.equal(base.activations[name][index], source.activations[name][index])


def why_not_by_hand(turn: Turn, run: Run) -> str | None:
    """None where the model's blocks, called one by one, give the model's own logits; else why not.

    Tried once a model, with two copies of a recorded run.
    """
    if turn.users_hooks:
        return "the model carries hooks of the user's own, which may reach outside its blocks"
    if turn.model not in _verdicts:
        _verdicts[turn.model] = turn.run(lambda: _try_by_hand(turn.model, run))
    return _verdicts[turn.model]


def _try_by_hand(model: LanguageModel, run: Run) -> str | None:
    if len(run.blocks) != model.n_layers:
        return "the model does not run its blocks one after another"
    try:
        with torch.no_grad():
            resid = run.blocks[0].resid.repeat(2, 1, 1)
            for layer in range(model.n_layers):
                resid = _run_block(model, run, layer, resid)
            logits = _read_out(model, resid[:, -1:])
    except Exception as problem:  # whatever a foreign block raises, the fallback is right
        return f"a block can't be called on its own ({type(problem).__name__}: {problem})"
    scale = run.logits.float().abs().max().clamp(min=1e-6)
    tolerance = 1e-4 if run.logits.dtype == torch.float32 else 2e-2
    worst = float(((logits.float() - run.logits.float()).abs().max() / scale).nan_to_num(torch.inf))
    return None if worst <= tolerance else f"its blocks called one by one differ from the whole by {worst:.1e}"


# A pass, block by block


def _run_blocks(model: LanguageModel, base: Run, source: Run, patches: Sequence[Patch]) -> Tensor:
    """Logits [patch, d_vocab]. Rows of the batch enter at their own layer, so they are sorted by it."""
    order = sorted(range(len(patches)), key=lambda i: patches[i].layer)
    ordered = [patches[i] for i in order]
    first = ordered[0].layer
    resid = base.blocks[first].resid[:0]
    with torch.no_grad(), _patching(model, source, ordered):
        for layer in range(first, model.n_layers):
            entering = sum(patch.layer == layer for patch in ordered)
            if entering:
                resid = torch.cat([resid, base.blocks[layer].resid.expand(entering, -1, -1)])
            resid = _run_block(model, base, layer, resid)
        logits = _read_out(model, resid[:, -1:])
    return logits[torch.argsort(torch.tensor(order, device=logits.device))]


def _run_block(model: LanguageModel, base: Run, layer: int, resid: Tensor) -> Tensor:
    args, kwargs = base.blocks[layer].repeated(resid.shape[0])
    out = model.raw.blocks[layer](resid, *args, **kwargs)
    return out[0] if isinstance(out, tuple) else out  # the bridge gives a tuple, HookedTransformer a tensor


def _read_out(model: LanguageModel, resid: Tensor) -> Tensor:
    """Logits [run, d_vocab] from the last block's output [run, 1, d_model]: final norm, unembedding, softcap."""
    raw = model.raw
    logits = raw.unembed(raw.ln_final(resid) if hasattr(raw, "ln_final") else resid)
    adapter = getattr(raw, "adapter", None)
    if adapter is not None:
        logits = adapter.apply_output_logits_transform(logits)
    elif getattr(raw.cfg, "output_logits_soft_cap", -1) > 0:
        cap = raw.cfg.output_logits_soft_cap
        logits = cap * torch.tanh(logits / cap)
    return logits[:, -1]


def _run_whole(model: LanguageModel, base: Run, source: Run, patches: Sequence[Patch]) -> Tensor:
    """Logits [patch, d_vocab] by running the whole model on a batch of copies of the prompt."""
    with torch.no_grad(), _patching(model, source, patches):
        return model.raw(base.tokens.repeat(len(patches), 1))[:, -1]


@contextmanager
def _patching(model: LanguageModel, source: Run, patches: Sequence[Patch]) -> Iterator[None]:
    """One hook for each place of the model that any patch touches; patch i writes into row i of the batch."""
    by_name: dict[str, list[tuple[int, Patch]]] = {}
    for row, patch in enumerate(patches):
        by_name.setdefault(model.hook_name(patch.activation, patch.layer), []).append((row, patch))
    fired: set[str] = set()

    def write(name: str, writes: list[tuple[int, Patch]]) -> Hook:
        def hook(value: Tensor, hook: Any) -> Tensor:
            fired.add(name)
            # In place, not a copy: hook_resid_mid is the MLP norm's input, and a copy would miss the residual.
            for row, patch in writes:
                index = _index(patch)
                value[(row, *index)] = source.activations[name][index]
            return value

        return of_this_thread(hook)

    with model.raw.hooks(fwd_hooks=[(name, write(name, writes)) for name, writes in by_name.items()]):
        yield
    if missed := by_name.keys() - fired:
        raise RuntimeError(
            f"The patch at {min(missed)} was not made: the model's hooks were reset while it ran. Run this again."
        )


def _index(patch: Patch) -> tuple[slice | int, ...]:
    """Where a patch is in an activation [position, ...] or [position, head, ...]."""
    position = slice(None) if patch.position is None else patch.position
    if not ACTIVATIONS[patch.activation].per_head or patch.head is None:
        return (position,)
    return (position, patch.head)


@contextmanager
def _calls_of_blocks(model: LanguageModel) -> Iterator[list[BlockCall]]:
    """Collect what each block is called with, without the key-value cache: a patched run has its own keys."""
    calls: list[BlockCall] = []

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args and isinstance(args[0], Tensor):
            others = tuple(None if _is_cache(value) else value for value in args[1:])
            named = {name: None if _is_cache(value) else value for name, value in kwargs.items()}
            if "use_cache" in named:
                named["use_cache"] = False
            calls.append(BlockCall(args[0].detach().clone(), others, named))

    handles = [block.register_forward_pre_hook(of_this_thread(keep), with_kwargs=True) for block in model.raw.blocks]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _is_cache(value: Any) -> bool:
    return hasattr(value, "update") and hasattr(value, "get_seq_length")


def _repeat(value: Any, batch: int) -> Any:
    """An argument of a block for `batch` copies of a prompt: tensors along their first axis, tuples within."""
    if isinstance(value, Tensor) and value.ndim > 1:
        return value.repeat(batch, *[1] * (value.ndim - 1))
    if isinstance(value, (tuple, list)):
        return type(value)(_repeat(item, batch) for item in value)
    return value
