"""An unpatched run of a prompt, and everything that patched runs need from it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..language.model import Hook, LanguageModel
from .kv_cache import cache_argument, pass_cache_by_old_name
from .modules import can_unembed_some, unembed_some
from .own import Own
from .turn import Turn
from .watch import Cancelled

MOST_PROMPTS = 16  # in one pass
CACHE = object()  # stands for the key-value cache among the recorded arguments of a block


@dataclass(frozen=True)
class BlockCall:
    """The arguments of one block's call for one prompt: the residual stream [position, d_model], and the others."""

    resid: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """The recording of one unpatched run of one prompt.

    Attributes:
        tokens: the token ids, [position].
        logits: for each requested position the logits [token], in the model's own precision.
        activations: by hook name, [position, ...]; attention patterns are [head, position, source position].
        blocks: the call of each block; empty if the model's blocks can't be called one by one.
        keys_and_values: for each block its keys and its values, each [key-value head, position, d_head].
        last_resid: the last block's output, [position, d_model]; empty if `blocks` is.
    """

    tokens: Tensor
    logits: dict[int, Tensor]
    activations: dict[str, Tensor]
    blocks: list[BlockCall]
    keys_and_values: list[tuple[Tensor, Tensor]]
    last_resid: Tensor


def storages(recording: Recording) -> dict[int, int]:
    """The memory that a recording holds, in bytes by address. Prompts that were run together share some of it."""
    found: dict[int, int] = {}

    def add(part: Any) -> None:
        if isinstance(part, Tensor):
            storage = part.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(part, Mapping):
            add(list(part.values()))
        elif isinstance(part, BlockCall | Recording):
            add(vars(part))
        elif isinstance(part, list | tuple):
            for one in part:
                add(one)

    add(recording)
    return found


def record(
    turn: Turn,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    read: Sequence[Sequence[int]],
    vocabulary: Sequence[int] | None = None,
    reduced: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> list[Recording]:
    """Run prompts without patches; those of equal length run in one batch.

    Args:
        prompts: the token ids of each prompt.
        names: names of hooks whose activations to keep.
        read: for each prompt the positions whose logits to keep; the list may be empty.
        vocabulary: the tokens whose logits to keep; None keeps all.
        reduced: by hook name, a function of the activation [prompt, ...] whose result is kept in its place. The first
            axis of that result must be the prompts' too.

    Raises:
        ValueError: the model is in training mode, the device can't compute in the weights' precision, the logits are
            not numbers, or a hook never fires.
    """
    turn.model.refuse_training_mode()
    turn.model.refuse_dtype()
    keep = {**dict.fromkeys(names, _copy), **(reduced or {})}
    recordings: dict[int, Recording] = {}
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    cached = turn.model.raw not in _cacheless
    while waiting:
        batch = [i for i in waiting[: _batch_size(turn)] if len(prompts[i]) == len(prompts[waiting[0]])]
        if len(batch) == turn.model.n_heads:
            batch = batch[
                :1
            ]  # otherwise an argument with an axis of heads could be mistaken for one with an axis of prompts
        tokens = torch.tensor([prompts[i] for i in batch], device=turn.model.device)
        positions = sorted({position for i in batch for position in read[i]})
        readout = Readout(turn.model, positions, vocabulary, everything=bool(turn.users_hooks))
        try:
            pass_ = partial(_record, turn.model, tokens, keep, readout, cached)
            recorded = turn.run(pass_)
        except _Inseparable:
            _inseparable.add(turn.model.raw)
            continue
        except _NoCache:
            cached = False
            continue
        if not cached:
            _cacheless.add(turn.model.raw)
        recordings.update(zip(batch, recorded))
        waiting = waiting[len(batch) :]
    return [recordings[i] for i in range(len(prompts))]


# Raw models whose blocks get arguments that can't be split by prompt (such as bloom's alibi) run one prompt per pass.
_inseparable: weakref.WeakSet[Any] = weakref.WeakSet()


# Raw models that can't be run with a plain key-value cache: TransformerLens's own, and those with state-space or
# convolution layers. They run as their user would run them.
_cacheless: weakref.WeakSet[Any] = weakref.WeakSet()


class _Inseparable(Exception):
    """An argument of a block can't be split by prompt."""


class _NoCache(Exception):
    """A run with a key-value cache failed."""


def _batch_size(turn: Turn) -> int:
    """How many prompts may be run in one batch."""
    # The user's hooks may be written for the first row of a batch, and must see what they see in the user's own loop.
    return 1 if turn.users_hooks or turn.model.raw in _inseparable else MOST_PROMPTS


def _copy(value: Tensor) -> Tensor:
    return value.detach().clone()  # without the copy, a later edit in place would change the recording


def _record(
    model: LanguageModel,
    tokens: Tensor,
    wanted: Mapping[str, Callable[[Tensor], Tensor]],
    readout: Readout,
    cached: bool,
) -> list[Recording]:
    kept: dict[str, Tensor] = {}

    def keeping(name: str) -> Hook:
        def keep(value: Tensor, hook: Any) -> None:
            kept[name] = wanted[name](value)

        return Own(keep)

    run = _RecordedRun(model, len(tokens), cached)
    with torch.no_grad(), model.raw.hooks(fwd_hooks=[(name, keeping(name)) for name in wanted]):
        run.add_hooks()
        readout.add_hook()
        logits = readout.of(run.logits(tokens))
    refuse_nan(model, logits, tokens)
    if silent := [name for name in wanted if name not in kept]:
        raise ValueError(f"The hook {silent[0]} never fires in this model. Choose another activation.")
    return [
        Recording(
            tokens=tokens[i],
            logits={position: logits[i, at].clone() for at, position in enumerate(readout.positions)},
            activations={name: value[i if len(value) == len(tokens) else 0] for name, value in kept.items()},
            blocks=run.calls_of(i),
            keys_and_values=run.keys_and_values_of(i),
            last_resid=run.outputs[-1][i] if run.outputs else tokens.new_empty(0),
        )
        for i in range(len(tokens))
    ]


class _RecordedRun:
    """A run of a bridge's underlying model, with a key-value cache where it takes one, and how its blocks were called.

    Its hooks stay on the model until the pass ends, when the turn removes them.
    """

    def __init__(self, model: LanguageModel, batch: int, cached: bool):
        self.model, self.batch, self.cached = model, batch, cached
        self.cache: Any = None
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.outputs: list[Tensor] = []

    def add_hooks(self) -> None:
        for block in self.model.raw.blocks:
            block.register_forward_pre_hook(Own(self._called), with_kwargs=True)
            block.register_forward_hook(Own(self._returned))

    def logits(self, tokens: Tensor) -> Tensor:
        """Logits [prompt, read position, d_vocab]."""
        original = getattr(self.model.raw, "original_model", None)
        if original is None or not self.cached:  # a HookedTransformer has no such cache
            return self.model.raw(tokens)
        from transformers import DynamicCache

        pass_cache_by_old_name(self.model)
        self.cache = DynamicCache()  # without a config it keeps all positions, even if attention has a window
        try:
            return original(tokens, use_cache=True, **{cache_argument(original.forward): self.cache}).logits
        except (Cancelled, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as problem:  # whatever it is, it comes again if the cache was not the reason
            raise _NoCache from problem

    def _called(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args and isinstance(args[0], Tensor):
            self.calls.append(((args[0].detach().clone(), *args[1:]), dict(kwargs)))

    def _returned(self, module: Any, args: Any, out: Any) -> None:
        self.outputs[:] = [first_of(out).detach().clone()]

    def complete(self) -> bool:
        """Whether every block was called once, and wrote its keys and values into the cache."""
        layers = getattr(self.cache, "layers", [])
        filled = all(getattr(layer, "keys", None) is not None for layer in layers)
        return len(self.calls) == self.model.n_layers == len(layers) and filled

    def calls_of(self, i: int) -> list[BlockCall]:
        """The calls of all blocks for one prompt of the batch; nothing if they can't be repeated."""
        if not self.complete():
            return []
        return [
            BlockCall(args[0][i], self._of(args[1:], i), {name: self._of(v, i) for name, v in kwargs.items()})
            for args, kwargs in self.calls
        ]

    def keys_and_values_of(self, i: int) -> list[tuple[Tensor, Tensor]]:
        return [(layer.keys[i], layer.values[i]) for layer in self.cache.layers] if self.complete() else []

    def _of(self, value: Any, i: int) -> Any:
        """An argument of a block for one prompt of the batch."""
        if value is self.cache and value is not None:
            return CACHE
        if isinstance(value, (tuple, list)):
            return tuple(self._of(item, i) for item in value)
        if self.batch > 1 and isinstance(value, Tensor) and value.ndim > 1 and value.shape[0] > 1:
            if len(value) != self.batch:
                raise _Inseparable
            return value[i : i + 1]
        return value


def first_of(out: Any) -> Tensor:
    """The residual stream in what a block returns, which may be a tuple or, in GPT-1, a list."""
    return out[0] if isinstance(out, (tuple, list)) else out


class Readout:
    """Which logits of a run are kept. The others are not computed.

    Args:
        positions, vocabulary: the positions and tokens whose logits are kept; None is all tokens.
        everything: compute all logits anyway, because the user's hooks may read them.
    """

    def __init__(self, model: LanguageModel, positions: list[int], vocabulary: Sequence[int] | None, everything: bool):
        self.model, self.positions, self.vocabulary, self.everything = model, positions, vocabulary, everything
        self._by_row = vocabulary is not None and not everything and can_unembed_some(model)
        self._normed: Tensor | None = None  # the final norm's output at these positions

    def add_hook(self) -> None:
        """Until the end of this pass, unembed only these positions, or none if `of` unembeds the few tokens."""

        def narrow(module: Any, args: tuple[Any, ...]) -> Any:
            if self.everything:
                return args
            rows = args[0][:, self.positions]
            if self._by_row:
                self._normed, rows = rows, rows[:, :0]
            return (rows, *args[1:])

        self.model.raw.unembed.register_forward_pre_hook(Own(narrow))

    def of(self, logits: Tensor) -> Tensor:
        """The kept logits [prompt, read position, token], from the logits that such a run returned."""
        if self._by_row:
            assert self._normed is not None and self.vocabulary is not None
            return unembed_some(self.model, self._normed, self.vocabulary)
        kept = logits[:, self.positions] if self.everything else logits
        return kept if self.vocabulary is None else kept[..., list(self.vocabulary)]


def refuse_nan(model: LanguageModel, logits: Tensor, tokens: Tensor) -> None:
    """Raise ValueError if logits are not numbers. The message names the first layer in which that is so."""
    if not torch.isnan(logits).any():
        return
    first: list[int] = []

    def finding(layer: int) -> Hook:
        def find(module: Any, args: Any, out: Any) -> None:
            if not first and torch.isnan(first_of(out)).any():
                first.append(layer)

        return Own(find)

    for layer, block in enumerate(model.raw.blocks):
        block.register_forward_hook(finding(layer))
    with torch.no_grad():
        model.raw(tokens)
    where = f"from layer {first[0]} on" if first else "in the unembedding"
    raise ValueError(
        f"The model's output is not a number (NaN) {where} for this prompt. Load it in float32: some models overflow "
        "in half precision."
    )
