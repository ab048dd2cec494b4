"""Runs along chosen edges the slow way: one run of the whole model with hooks for each, and every input spelled out.

What a receiver reads is computed by the original transformers modules inside the bridge, one head at a time. Nothing
here is shared with interp_backend but the names of edges.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor


def hf(module: Any) -> Any:
    return module.original_component


def norms_of(block: Any, parallel: bool) -> tuple[Any, Any]:
    """The norms before attention and before the MLP."""
    return hf(block.ln1), hf(block.ln2) if hasattr(block, "ln2") else hf(block.ln1)


class EdgeLoop:
    """One prompt on a bridge: what every sender writes, and runs in which receivers read something else.

    Attributes:
        wrote: by sender, what it adds to the residual stream [position, d_model]; of a head before any norm that
            follows attention.
    """

    def __init__(self, raw: Any, tokens: Any, parallel: bool):
        self.raw, self.parallel = raw, parallel
        self.tokens = tokens if isinstance(tokens, Tensor) else torch.tensor([tokens])
        with torch.no_grad():
            logits, self.cache = raw.run_with_cache(self.tokens)
        self.logits = logits[0]
        self.wrote = {"input": self.at("blocks.0.hook_resid_pre")}
        for layer in range(raw.cfg.n_layers):
            for head in range(raw.cfg.n_heads):
                self.wrote[f"a{layer}.h{head}"] = self.head(layer, head, self.at(f"blocks.{layer}.attn.hook_z"))
            if f"blocks.{layer}.hook_mlp_out" in self.cache:
                self.wrote[f"m{layer}"] = self.at(f"blocks.{layer}.hook_mlp_out")

    def at(self, hook: str) -> Tensor:
        return self.cache[hook][0]

    def head(self, layer: int, head: int, z: Tensor) -> Tensor:
        """What one head writes, [position, d_model]: the output matrix applied to nothing but its mixed values."""
        alone = torch.zeros_like(z)
        alone[:, head] = z[:, head]
        o = hf(self.raw.blocks[layer].attn.o)
        with torch.no_grad():
            return (o(alone.flatten(1)[None]) - o(torch.zeros_like(alone).flatten(1)[None]))[0]

    def change(self, sender: str, change: Tensor) -> Tensor:
        """What a change [position, d_model] of a sender's output adds to the residual stream."""
        layer = int(sender[1 : sender.index(".")]) if sender.startswith("a") else None
        block = None if layer is None else self.raw.blocks[layer]
        if block is None or not hasattr(block, "ln1_post"):
            return change
        o = hf(block.attn.o)
        with torch.no_grad():
            before = o(self.at(f"blocks.{layer}.attn.hook_z").flatten(1)[None])
            return (hf(block.ln1_post)(before + change) - hf(block.ln1_post)(before))[0]

    def logits_with(self, added: dict[str, Tensor], frozen: bool = False) -> Tensor:
        """The last position's logits if receivers read the residual stream with something added [position, d_model].

        Args:
            frozen: what is read is otherwise that of this prompt's own run; else that of the run with the changes.
        """
        places = [(layer, n) for layer in range(self.raw.cfg.n_layers) for n in ("hook_resid_pre", "hook_attn_out")]
        seen = {f"{name} {layer}": self.at(f"blocks.{layer}.{name}")[None] for layer, name in places}
        hooks = [] if frozen else [(f"blocks.{i}.{name}", self._keeping(seen, f"{name} {i}")) for i, name in places]
        for receiver, one in added.items():
            if receiver == "logits":
                last = f"blocks.{self.raw.cfg.n_layers - 1}.hook_resid_post"
                own = self.at(last)[None]
                hooks.append((last, lambda v, hook, one=one, own=own: (own if frozen else v) + one))
            elif receiver.startswith("m"):
                layer = int(receiver[1:])
                hooks.append((f"blocks.{layer}.mlp.hook_in", self._mlp(seen, layer, one)))
            else:
                layer, rest = receiver[1:].split(".h")
                head, part = rest[:-3], rest[-2]
                hooks.append((f"blocks.{layer}.attn.hook_{part}", self._qkv(seen, int(layer), int(head), part, one)))
        with torch.no_grad():
            return self.raw.run_with_hooks(self.tokens, fwd_hooks=hooks)[0, -1]

    def _keeping(self, seen: dict[str, Tensor], name: str) -> Any:
        return lambda value, hook: seen.__setitem__(name, value.clone())

    def _mlp(self, seen: dict[str, Tensor], layer: int, added: Tensor) -> Any:
        norm = norms_of(self.raw.blocks[layer], self.parallel)[1]

        def write(value: Tensor, hook: Any) -> Tensor:
            stream = seen[f"hook_resid_pre {layer}"]
            stream = stream if self.parallel else stream + seen[f"hook_attn_out {layer}"]
            return norm(stream + added)

        return write

    def _qkv(self, seen: dict[str, Tensor], layer: int, head: int, part: str, added: Tensor) -> Any:
        block = self.raw.blocks[layer]
        norm = norms_of(block, self.parallel)[0]

        def write(value: Tensor, hook: Any) -> Tensor:
            shared = self.raw.cfg.n_heads // value.shape[2]
            made = hf(getattr(block.attn, part))(norm(seen[f"hook_resid_pre {layer}"] + added))
            value[:, :, head // shared] = made.view_as(value)[:, :, head // shared]
            return value

        return write


def circuit_logits(
    loop: EdgeLoop, live: set[tuple[str, str]], fixed: dict[str, Tensor], fixed_at: list[int] | None = None
) -> Tensor:
    """Logits [position, token] of a run in which each receiver reads its own sum over senders.

    Args:
        live: edges along which what the sender writes in this run flows; along others flows what `fixed` has of it.
        fixed_at: the positions where that is so; at others what is written in this run flows along all. None is all.
    """
    raw, wrote = loop.raw, {"input": loop.wrote["input"]}

    def stream(receiver: str, layers: float) -> Tensor:
        """What a receiver reads of the residual stream; half a layer is its attention."""

        def of(sender: str) -> Tensor:
            if (sender, receiver) in live:
                return wrote[sender]
            if fixed_at is None:
                return fixed[sender]
            mixed = wrote[sender].clone()
            mixed[fixed_at] = fixed[sender][fixed_at]
            return mixed

        total = of("input")
        for layer in range(raw.cfg.n_layers):
            o, block = hf(raw.blocks[layer].attn.o), raw.blocks[layer]
            if layer < layers:
                out = sum(of(f"a{layer}.h{head}") for head in range(raw.cfg.n_heads))
                out = out + o(torch.zeros_like(loop.at(f"blocks.{layer}.attn.hook_z").flatten(1)[None]))[0]
                total = total + (hf(block.ln1_post)(out[None])[0] if hasattr(block, "ln1_post") else out)
            if layer + 0.5 < layers and f"m{layer}" in fixed:
                total = total + of(f"m{layer}")
        return total[None]

    def heads(layer: int, part: str) -> Any:
        block = raw.blocks[layer]

        def write(value: Tensor, hook: Any) -> Tensor:
            shared = raw.cfg.n_heads // value.shape[2]
            for head in range(value.shape[2]):
                read = norms_of(block, loop.parallel)[0](stream(f"a{layer}.h{head * shared}<{part}>", layer))
                value[:, :, head] = hf(getattr(block.attn, part))(read).view_as(value)[:, :, head]
            return value

        return write

    def wrote_mlp(layer: int, value: Tensor, hook: Any) -> None:
        wrote[f"m{layer}"] = value[0].clone()

    def wrote_heads(layer: int) -> Any:
        def keep(value: Tensor, hook: Any) -> None:
            wrote.update({f"a{layer}.h{head}": loop.head(layer, head, value[0]) for head in range(value.shape[2])})

        return keep

    def into_mlp(layer: int) -> Any:
        norm = norms_of(raw.blocks[layer], loop.parallel)[1]
        return lambda value, hook: norm(stream(f"m{layer}", layer + (0 if loop.parallel else 0.5)))

    hooks: list[Any] = []
    for layer in range(raw.cfg.n_layers):
        at = f"blocks.{layer}"
        hooks += [(f"{at}.attn.hook_{part}", heads(layer, part)) for part in "qkv"]
        hooks.append((f"{at}.attn.hook_z", wrote_heads(layer)))
        if f"m{layer}" in fixed:
            hooks.append((f"{at}.mlp.hook_in", into_mlp(layer)))
            hooks.append((f"{at}.hook_mlp_out", partial(wrote_mlp, layer)))
    hooks.append((f"blocks.{raw.cfg.n_layers - 1}.hook_resid_post", lambda v, hook: stream("logits", raw.cfg.n_layers)))
    with torch.no_grad():
        return raw.run_with_hooks(loop.tokens, fwd_hooks=hooks)[0]
