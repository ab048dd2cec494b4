"""The slow way, written out: one run of the whole model for each patched run. What the backend is compared with.

Nothing here is shared with interp_backend: hooks, indices and values are spelled out a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

HOOKS = {
    "embed": "hook_embed",
    "resid_pre": "blocks.{}.hook_resid_pre",
    "resid_mid": "blocks.{}.hook_resid_mid",
    "resid_post": "blocks.{}.hook_resid_post",
    "attn_out": "blocks.{}.hook_attn_out",
    "mlp_out": "blocks.{}.hook_mlp_out",
    "mlp_post": "blocks.{}.mlp.hook_post",
    "z": "blocks.{}.attn.hook_z",
    "q": "blocks.{}.attn.hook_q",
    "k": "blocks.{}.attn.hook_k",
    "v": "blocks.{}.attn.hook_v",
    "pattern": "blocks.{}.attn.hook_pattern",
}
PER_HEAD = ("z", "q", "k", "v", "pattern")
EVERYTHING = Ellipsis


@dataclass
class Change:
    """`new(old, pick)` gives what is written at each position; `pick(tensor)` is another run's value of that place."""

    activation: str
    layer: int
    new: Callable[[Tensor, Callable[..., Tensor]], Tensor]
    positions: Iterable[int]
    head: Any = EVERYTHING
    entries: Any = EVERYTHING

    def place(self, position: int) -> tuple[Any, ...]:
        if self.activation == "pattern":
            return (self.head, position, self.entries)
        if self.activation in PER_HEAD:
            return (position, self.head)
        return (position, self.entries)

    def hook(self) -> tuple[str, Callable[..., Tensor]]:
        def write(value: Tensor, hook: Any) -> Tensor:
            for position in self.positions:

                def pick(tensor: Tensor, at: int = position) -> Tensor:
                    return tensor[self.place(at)]

                value[0][self.place(position)] = self.new(value[0][self.place(position)], pick)
            return value

        return HOOKS[self.activation].format(self.layer), write


class Run:
    """One prompt on a bridge: its tokens, logits [position, token], and every activation without its batch."""

    def __init__(self, raw: Any, prompt: str):
        self.raw, self.tokens = raw, raw.to_tokens(prompt)
        with torch.no_grad():
            logits, self._cache = raw.run_with_cache(self.tokens)
        self.logits = logits[0]

    def __len__(self) -> int:
        return self.tokens.shape[1]

    def activation(self, activation: str, layer: int) -> Tensor:
        return self._cache[HOOKS[activation].format(layer)][0]

    def changed(self, *changes: Change) -> Tensor:
        """Logits [position, token] of this prompt with all changes made in one run."""
        with torch.no_grad():
            return self.raw.run_with_hooks(self.tokens, fwd_hooks=[change.hook() for change in changes])[0]


def runs_of(raw: Any, pair: Any, direction: str = "denoise") -> tuple[Run, Run]:
    """The run that is patched, and the other."""
    clean, corrupt = Run(raw, pair.clean), Run(raw, pair.corrupt)
    return (corrupt, clean) if direction == "denoise" else (clean, corrupt)


def put_other(other: Run, activation: str, layer: int) -> Callable[..., Tensor]:
    """A change's `new`: what the other run has at the same place."""
    return lambda old, pick: pick(other.activation(activation, layer))


def token(raw: Any, text: str) -> int:
    (one,) = raw.tokenizer(text, add_special_tokens=False)["input_ids"]
    return one


def logit_diff(raw: Any, logits: Tensor, pair: Any) -> float:
    """Of logits [token]."""
    return float(logits[token(raw, pair.clean_answer)] - logits[token(raw, pair.corrupt_answer)])


def loop(
    base: Run,
    other: Run,
    activation: str,
    axes: tuple[str, ...],
    measure: Callable[[Tensor], float],
    heads: Iterable[int] | None = None,
) -> np.ndarray:
    """`measure` of the last position's logits for every cell of a sweep from the other run; of some heads alone."""
    n_layers = 1 if activation == "embed" else base.raw.cfg.n_layers
    shape = base.activation(activation, 0).shape
    n_heads = 0 if activation not in PER_HEAD else shape[0 if activation == "pattern" else 1]
    sizes = {"layer": n_layers, "head": n_heads, "position": len(base), "source": len(base), "neuron": shape[-1]}
    places = {axis: list(range(size)) for axis, size in sizes.items()}
    if heads is not None:
        places["head"] = list(heads)
    values = np.empty([len(places[axis]) for axis in axes])
    for index in np.ndindex(values.shape):
        at = {axis: places[axis][i] for axis, i in zip(axes, index)}
        change = Change(
            activation,
            at["layer"],
            put_other(other, activation, at["layer"]),
            [at["position"]] if "position" in at else range(len(base)),
            at.get("head", EVERYTHING),
            at.get("source", at.get("neuron", EVERYTHING)),
        )
        values[index] = measure(base.changed(change)[-1])
    return values


def assert_close(values: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Equal in units of the largest expected value, not-a-number where it is expected."""
    expected = np.asarray(expected, dtype=np.float64)
    scale = np.nanmax(np.abs(expected))
    assert scale > 1e-3, "a model in which nothing happens tests nothing"
    np.testing.assert_allclose(values, expected, atol=tolerance * scale, rtol=0)
