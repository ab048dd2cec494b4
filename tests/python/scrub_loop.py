"""Causal scrubbing the slow way: the recursion of the paper, with a run of the whole model for each node of the tree.

Nothing here is shared with interp_backend but the names of nodes and the table of draws: by path, whose run stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edge_loop import EdgeLoop, hf, norms_of


class ScrubLoop:
    """A hypothesis on some prompts of one length.

    Args:
        loops: of the prompts.
        edges, agree: of the hypothesis; `agree` by node.
        drawn: by path the datum that stands in for each datum.
        separately: whether what is not named was drawn one by one.
        unscrubbed: a node that whoever reads it reads from the reader's own datum.
    """

    def __init__(
        self,
        loops: Sequence[EdgeLoop],
        edges: Sequence[str],
        agree: Mapping[str, Any],
        drawn: Mapping[str, Sequence[int]],
        separately: bool = False,
        unscrubbed: str | None = None,
    ):
        self.loops, self.raw, self.parallel = loops, loops[0].raw, loops[0].parallel
        self.separately, self.unscrubbed = separately, unscrubbed
        self.edges, self.agree, self.drawn = {tuple(edge.split("->")) for edge in edges}, agree, drawn
        self.runs = 0

    def logits(self, datum: int) -> Tensor:
        """The scrubbed output on a datum, [token] at the last position."""
        stream = self.stream("logits", "logits", self.raw.cfg.n_layers, datum)
        last = f"blocks.{self.raw.cfg.n_layers - 1}.hook_resid_post"
        return self.run([(last, lambda value, hook: stream[None])], datum)[-1]

    def run(self, hooks: list[Any], datum: int) -> Tensor:
        self.runs += 1
        with torch.no_grad():
            return self.raw.run_with_hooks(self.loops[datum].tokens, fwd_hooks=hooks)[0]

    def own(self, path: str, node: str, datum: int) -> Tensor:
        """What a node writes in the run of the datum that was drawn at a path."""
        return self.loops[self.drawn[path][datum]].wrote[node]

    def is_whole(self, node: str) -> bool:
        parts = [f"{node}<{part}>" for part in "qkv"]
        read = any(receiver in (node, *parts) for _, receiver in self.edges)
        return not read and not any(part in self.agree for part in parts)

    def value(self, path: str, node: str, datum: int) -> Tensor:
        """What a node writes, [position, d_model]."""
        if self.is_whole(node):
            return self.own(path, node, datum)
        if node.startswith("m"):
            return self.mlp(path, node, datum)
        layer, head = (int(one) for one in node[1:].split(".h"))
        block, hooks, seen = self.raw.blocks[layer], [], {}

        def reading(part: str) -> Any:
            name = f"{node}<{part}>"
            inside = f"{path}/{name}"
            if name == self.unscrubbed:
                stream = self.whole(path, layer, datum)
            elif name in self.agree and not any(receiver == name for _, receiver in self.edges):
                stream = self.whole(inside, layer, datum)
            else:
                stream = self.stream(inside, name, layer, datum)

            def write(value: Tensor, hook: Any) -> Tensor:
                shared = self.raw.cfg.n_heads // value.shape[2]
                made = hf(getattr(block.attn, part))(norms_of(block, self.parallel)[0](stream[None]))
                value[:, :, head // shared] = made.view_as(value)[:, :, head // shared]
                return value

            return write

        hooks = [(f"blocks.{layer}.attn.hook_{part}", reading(part)) for part in "qkv"]
        hooks.append((f"blocks.{layer}.attn.hook_z", lambda value, hook: seen.update(z=value[0].clone())))
        self.run(hooks, datum)
        return self.loops[datum].head(layer, head, seen["z"])

    def mlp(self, path: str, node: str, datum: int) -> Tensor:
        layer, seen = int(node[1:]), {}
        stream = self.stream(path, node, layer + (0 if self.parallel else 0.5), datum)
        norm = norms_of(self.raw.blocks[layer], self.parallel)[1]
        hooks = [
            (f"blocks.{layer}.mlp.hook_in", lambda value, hook: norm(stream[None])),
            (f"blocks.{layer}.hook_mlp_out", lambda value, hook: seen.update(out=value[0].clone())),
        ]
        self.run(hooks, datum)
        return seen["out"]

    def stream(self, path: str, receiver: str, layers: float, datum: int) -> Tensor:
        """What a receiver reads, [position, d_model]; half a layer is its attention."""

        def of(sender: str) -> Tensor:
            if sender == self.unscrubbed:
                return self.own(path, sender, datum)
            if (sender, receiver) in self.edges:
                return self.value(f"{path}/{sender}", sender, datum)
            return self.own(f"{path}/others/{sender}" if self.separately else f"{path}/others", sender, datum)

        return self.added_up(of, layers)

    def whole(self, path: str, layers: float, datum: int) -> Tensor:
        return self.added_up(lambda sender: self.own(path, sender, datum), layers)

    def added_up(self, of: Any, layers: float) -> Tensor:
        total = of("input")
        for layer in range(self.raw.cfg.n_layers):
            block = self.raw.blocks[layer]
            if layer < layers:
                out = sum(of(f"a{layer}.h{head}") for head in range(self.raw.cfg.n_heads))
                nothing = torch.zeros_like(self.loops[0].at(f"blocks.{layer}.attn.hook_z").flatten(1)[None])
                with torch.no_grad():
                    out = out + hf(block.attn.o)(nothing)[0]
                    total = total + (hf(block.ln1_post)(out[None])[0] if hasattr(block, "ln1_post") else out)
            if layer + 0.5 < layers and f"m{layer}" in self.loops[0].wrote:
                total = total + of(f"m{layer}")
        return total
