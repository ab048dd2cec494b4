"""Runs along chosen edges the slow way: one run of the whole model with hooks for each, and every input spelled out.

What a receiver reads is computed by the original transformers modules inside the bridge, one head at a time. Nothing
here is shared with interp_backend but the names of edges.
"""

from __future__ import annotations

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

    def logits_with(self, added: dict[str, Tensor]) -> Tensor:
        """The last position's logits if receivers read the residual stream with something added [position, d_model]."""
        seen: dict[str, Tensor] = {}
        hooks = [
            (f"blocks.{layer}.{name}", self._keeping(seen, f"{name} {layer}"))
            for layer in range(self.raw.cfg.n_layers)
            for name in ("hook_resid_pre", "hook_attn_out")
        ]
        for receiver, one in added.items():
            if receiver == "logits":
                hooks.append((f"blocks.{self.raw.cfg.n_layers - 1}.hook_resid_post", lambda v, hook, one=one: v + one))
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
