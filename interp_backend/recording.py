"""One unpatched run of a prompt, and what patched runs need of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model import Hook, LanguageModel
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
        logits: by position that was asked for, [d_vocab], in the model's own precision.
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
    turn: Turn, prompts: Sequence[Sequence[int]], names: Sequence[str], read: Sequence[Sequence[int]]
) -> list[Recording]:
    """Run some prompts, equally long ones together, and keep what patched runs need.

    Args:
        prompts: token ids.
        names: hook names whose activations to keep.
        read: for each prompt, the positions whose logits to keep, 0 or more.

    Raises:
        ValueError: a model in training mode, a precision that the device lacks, logits that are not numbers, or a hook
            that never fires.
    """
    turn.model.refuse_training_mode()
    turn.model.refuse_dtype()
    # A user's own hook may mean the first row of a batch: it gets what it would get in the user's own loop.
    most = 1 if turn.users_hooks else TOGETHER
    recordings: dict[int, Recording] = {}
    for length in sorted({len(prompt) for prompt in prompts}):
        chosen = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        for start in range(0, len(chosen), most):
            part = chosen[start : start + most]
            tokens = torch.tensor([prompts[i] for i in part], device=turn.model.device)
            positions = sorted({position for i in part for position in read[i]})
            made = turn.run(lambda tokens=tokens, positions=positions: _record(turn.model, tokens, names, positions))
            recordings.update(zip(part, made))
    return [recordings[i] for i in range(len(prompts))]


def _record(model: LanguageModel, tokens: Tensor, names: Sequence[str], read: list[int]) -> list[Recording]:
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        def hook(value: Tensor, hook: Any) -> None:
            # Cached tensors would be views that a later in-place edit changes: clone.
            kept[name] = value.detach().clone()

        return of_this_thread(hook)

    seam = _Seam(model, len(tokens))
    with (
        torch.no_grad(),
        model.raw.hooks(fwd_hooks=[(name, keep(name)) for name in names]),
        seam.watching(),
        _reading(model, read),
    ):
        logits = seam.run(tokens)
    _refuse_nan(model, logits, tokens, read)
    if silent := [name for name in names if name not in kept]:
        raise ValueError(f"The hook {silent[0]} never fires in this model. Choose another activation.")
    return [
        Recording(
            tokens=tokens[i],
            logits={position: logits[i, at].clone() for at, position in enumerate(read)},
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
        if isinstance(value, Tensor) and value.ndim > 1 and value.shape[0] % self.batch == 0 and value.shape[0] > 1:
            return value.chunk(self.batch)[i]  # some have an axis of prompts, bloom's alibi prompts x heads
        return value


@contextmanager
def _reading(model: LanguageModel, read: list[int]) -> Iterator[None]:
    """Unembed these positions alone."""

    def narrow(module: Any, args: tuple[Any, ...]) -> Any:
        return (args[0][:, read], *args[1:])

    handle = model.raw.unembed.register_forward_pre_hook(of_this_thread(narrow))
    try:
        yield
    finally:
        handle.remove()


def _refuse_nan(model: LanguageModel, logits: Tensor, tokens: Tensor, read: list[int]) -> None:
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
