"""One unpatched run of a prompt, and what patched runs need of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..language.model import Hook, LanguageModel
from .turn import Turn, of_this_thread

TOGETHER = 16  # prompts in one pass
CACHE = object()  # stands for the key-value cache among the recorded arguments of a block


@dataclass(frozen=True)
class BlockCall:
    """The arguments that one block got for one prompt: its input [position, d_model], and the others."""

    resid: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """What one unpatched run of one prompt leaves behind.

    Attributes:
        tokens: [position].
        logits: by position that was asked for, [token], in the model's own precision.
        activations: by hook name, [position, ...]; attention patterns [head, position, key position].
        blocks: for each block, what it was called with; empty where blocks can't be run by hand.
        past: for each block its keys and values, each [kv head, position, d_head].
        last_resid: [position, d_model], what leaves the last block; empty without blocks.
    """

    tokens: Tensor
    logits: dict[int, Tensor]
    activations: dict[str, Tensor]
    blocks: list[BlockCall]
    past: list[tuple[Tensor, Tensor]]
    last_resid: Tensor


def record(
    turn: Turn,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    read: Sequence[Sequence[int]],
    vocabulary: Sequence[int] | None = None,
    reduced: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> list[Recording]:
    """Run some prompts, equally long ones together, and keep what patched runs need.

    Args:
        prompts: token ids.
        names: hook names whose activations to keep.
        read: for each prompt, the positions whose logits to keep, 0 or more.
        vocabulary: tokens whose logits to keep; None is all of them.
        reduced: by hook name, what to keep of an activation [prompt, ...] in its place, with the same first axis.

    Raises:
        ValueError: a model in training mode, a precision that the device lacks, logits that are not numbers, or a hook
            that never fires.
    """
    turn.model.refuse_training_mode()
    turn.model.refuse_dtype()
    keep = {**dict.fromkeys(names, _whole), **(reduced or {})}
    recordings: dict[int, Recording] = {}
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    while waiting:
        part = [i for i in waiting[: _most(turn)] if len(prompts[i]) == len(prompts[waiting[0]])]
        if len(part) == turn.model.n_heads:
            part = part[:1]  # else an argument with an axis of heads looks like one with an axis of prompts
        tokens = torch.tensor([prompts[i] for i in part], device=turn.model.device)
        positions = sorted({position for i in part for position in read[i]})
        reading = _Reading(turn.model, positions, vocabulary, whole=bool(turn.users_hooks))
        try:
            made = turn.run(lambda tokens=tokens, reading=reading: _record(turn.model, tokens, keep, reading))
        except _OneByOne:
            _one_by_one.add(turn.model.raw)
            continue
        recordings.update(zip(part, made))
        waiting = waiting[len(part) :]
    return [recordings[i] for i in range(len(prompts))]


# Raw models of which blocks get arguments that can't be told apart prompt by prompt (bloom's alibi, for example).
_one_by_one: weakref.WeakSet[Any] = weakref.WeakSet()


class _OneByOne(Exception):
    """The arguments of a block can't be told apart prompt by prompt."""


def _most(turn: Turn) -> int:
    """How many prompts may be run together."""
    # A user's own hook may mean the first row of a batch: it gets what it would get in the user's own loop.
    return 1 if turn.users_hooks or turn.model.raw in _one_by_one else TOGETHER


def _whole(value: Tensor) -> Tensor:
    # Cached tensors would be views that a later in-place edit changes: clone.
    return value.detach().clone()


def _record(
    model: LanguageModel, tokens: Tensor, wanted: Mapping[str, Callable[[Tensor], Tensor]], reading: _Reading
) -> list[Recording]:
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        def hook(value: Tensor, hook: Any) -> None:
            kept[name] = wanted[name](value)

        return of_this_thread(hook)

    seam = _Seam(model, len(tokens))
    with (
        torch.no_grad(),
        model.raw.hooks(fwd_hooks=[(name, keep(name)) for name in wanted]),
        seam.watching(),
        reading.narrowed(),
    ):
        logits = reading.of(seam.run(tokens))
    _refuse_nan(model, logits, tokens)
    if silent := [name for name in wanted if name not in kept]:
        raise ValueError(f"The hook {silent[0]} never fires in this model. Choose another activation.")
    return [
        Recording(
            tokens=tokens[i],
            logits={position: logits[i, at].clone() for at, position in enumerate(reading.positions)},
            activations={name: value[i if len(value) == len(tokens) else 0] for name, value in kept.items()},
            blocks=[call for call in seam.calls_of(i)],
            past=seam.past_of(i),
            last_resid=seam.outputs[-1][i] if seam.outputs else tokens.new_empty(0),
        )
        for i in range(len(tokens))
    ]


class _Seam:
    """A run of a bridge's own model with a key-value cache, and what its blocks were called with."""

    def __init__(self, model: LanguageModel, batch: int):
        self.model, self.batch = model, batch
        self.cache: Any = None
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.outputs: list[Tensor] = []

    def run(self, tokens: Tensor) -> Tensor:
        """Logits [prompt, read position, d_vocab]."""
        original = getattr(self.model.raw, "original_model", None)
        if original is None:  # HookedTransformer
            return self.model.raw(tokens)
        from transformers import DynamicCache

        self.cache = DynamicCache()  # without a config it keeps all positions, also where attention has a window
        return original(tokens, past_key_values=self.cache, use_cache=True).logits

    @contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        for block in self.model.raw.blocks:
            handles.append(block.register_forward_pre_hook(of_this_thread(self._called), with_kwargs=True))
            handles.append(block.register_forward_hook(of_this_thread(self._returned)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _called(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args and isinstance(args[0], Tensor):
            self.calls.append(((args[0].detach().clone(), *args[1:]), dict(kwargs)))

    def _returned(self, module: Any, args: Any, out: Any) -> None:
        self.outputs[:] = [(out[0] if isinstance(out, tuple) else out).detach().clone()]

    def complete(self) -> bool:
        """Whether every block was called once, and left its keys and values in the cache."""
        layers = getattr(self.cache, "layers", [])
        filled = all(getattr(layer, "keys", None) is not None for layer in layers)
        return len(self.calls) == self.model.n_layers == len(layers) and filled

    def calls_of(self, i: int) -> list[BlockCall]:
        if not self.complete():
            return []
        return [
            BlockCall(args[0][i], self._part(args[1:], i), {name: self._part(v, i) for name, v in kwargs.items()})
            for args, kwargs in self.calls
        ]

    def past_of(self, i: int) -> list[tuple[Tensor, Tensor]]:
        return [(layer.keys[i], layer.values[i]) for layer in self.cache.layers] if self.complete() else []

    def _part(self, value: Any, i: int) -> Any:
        """An argument of a block for one prompt of the batch."""
        if value is self.cache and value is not None:
            return CACHE
        if isinstance(value, (tuple, list)):
            return tuple(self._part(item, i) for item in value)
        if self.batch > 1 and isinstance(value, Tensor) and value.ndim > 1 and value.shape[0] > 1:
            if len(value) != self.batch:
                raise _OneByOne
            return value[i : i + 1]
        return value


class _Reading:
    """Which logits of a run are kept: the others need not be computed.

    Args:
        positions, vocabulary: where, and of which tokens; None is all tokens.
        whole: compute all the same, for a user's hook that may look at them.
    """

    def __init__(self, model: LanguageModel, positions: list[int], vocabulary: Sequence[int] | None, whole: bool):
        self.model, self.positions, self.vocabulary, self.whole = model, positions, vocabulary, whole
        self._few = vocabulary is not None and not whole and can_unembed_some(model)
        self._normed: Tensor | None = None  # what would have been unembedded

    @contextmanager
    def narrowed(self) -> Iterator[None]:
        """Runs in it unembed these positions alone; nothing at all where few tokens are wanted."""

        def narrow(module: Any, args: tuple[Any, ...]) -> Any:
            if self.whole:
                return args
            rows = args[0][:, self.positions]
            if self._few:
                self._normed, rows = rows, rows[:, :0]
            return (rows, *args[1:])

        handle = self.model.raw.unembed.register_forward_pre_hook(of_this_thread(narrow))
        try:
            yield
        finally:
            handle.remove()

    def of(self, logits: Tensor) -> Tensor:
        """What is kept [prompt, read position, token] of what such a run returned."""
        if self._few:
            assert self._normed is not None and self.vocabulary is not None
            return unembed_some(self.model, self._normed, self.vocabulary)
        kept = logits[:, self.positions] if self.whole else logits
        return kept if self.vocabulary is None else kept[..., list(self.vocabulary)]


def can_unembed_some(model: LanguageModel) -> bool:
    """Whether single rows of the unembedding can be used: it is a plain matrix."""
    return isinstance(getattr(model.raw.unembed, "original_component", None), torch.nn.Linear)


def unembed_some(model: LanguageModel, normed: Tensor, vocabulary: Sequence[int]) -> Tensor:
    """Logits [..., token] of some tokens, softcap included, from what leaves the final norm [..., d_model]."""
    linear = model.raw.unembed.original_component
    chosen = torch.tensor(list(vocabulary), device=normed.device)
    bias = None if linear.bias is None else linear.bias[chosen]
    logits = torch.nn.functional.linear(normed, linear.weight[chosen], bias)
    return model.raw.adapter.apply_output_logits_transform(logits)


def _refuse_nan(model: LanguageModel, logits: Tensor, tokens: Tensor) -> None:
    """Raise ValueError if logits are not numbers, and say in which layer that began."""
    if not torch.isnan(logits).any():
        return
    first: list[int] = []

    def look(layer: int) -> Hook:
        def hook(module: Any, args: Any, out: Any) -> None:
            if not first and torch.isnan(out[0] if isinstance(out, tuple) else out).any():
                first.append(layer)

        return of_this_thread(hook)

    handles = [block.register_forward_hook(look(layer)) for layer, block in enumerate(model.raw.blocks)]
    try:
        with torch.no_grad():
            model.raw(tokens)
    finally:
        for handle in handles:
            handle.remove()
    where = f"from layer {first[0]} on" if first else "in the unembedding"
    raise ValueError(
        f"The model's output is not a number (NaN) {where} for this prompt. Load it in float32: some models overflow "
        "in half precision."
    )
