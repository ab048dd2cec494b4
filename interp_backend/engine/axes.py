"""Which activations each layer of a model has, and why it lacks the others.

One rule, for every architecture: an activation is there if its hook fires, if the lengths of its axes are what the
model's configuration says (heads, key-value heads, width), and if its value is what the model's own modules compute
there. TransformerLens shows some activations under a familiar name and with another meaning: the "neurons" of a mixture
of experts are its output, for example. So the rule is tried out in one short run, and no list of architectures is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..language.model import ACTIVATIONS, Hook, LanguageModel
from .modules import OUTPUTS, first_module
from .own import Own
from .turn import Turn
from .watch import Cancelled

ATTENTION, MLP = ("attn_out", "z", "q", "k", "v", "pattern"), ("mlp_out", "mlp_post")
Absent = dict[str, dict[int, str]]


def find_absent(model: LanguageModel) -> tuple[Absent, bool]:
    """By activation, the layers that lack it, each with the reason; and whether the values could be checked.

    A user's hook may change values, or be written for one prompt. While there are any, only hooks are looked up.
    """
    absent: Absent = {}
    for name, layer in _places(model):
        if model.hook_name(name, layer) not in model.raw.hook_dict:
            absent.setdefault(name, {})[layer] = _no_hook(model, name, layer)
    if model.users_hooks():
        return absent, False
    with Turn(model) as turn:
        try:
            seen = turn.run(lambda: _Seen(model, absent))
        except Cancelled:
            raise
        except Exception as problem:  # some models boot, and can't run
            raise ValueError(f"This model can't be run ({type(problem).__name__}: {problem}).") from problem
    for name, layer in _places(model):
        if layer not in absent.get(name, {}) and (why := seen.why_not(name, layer)):
            absent.setdefault(name, {})[layer] = why
    if 0 in absent.get("resid_pre", {}):  # the embeddings are patched there
        absent["embed"] = {0: "it is patched in the first block's input, which TransformerLens does not show"}
    return absent, True


def _places(model: LanguageModel) -> Iterator[tuple[str, int]]:
    for name in ACTIVATIONS:
        yield from ((name, layer) for layer in range(1 if name == "embed" else model.n_layers))


def _no_hook(model: LanguageModel, name: str, layer: int) -> str:
    block = model.raw.blocks[layer]
    for part, names, words in (("attn", ATTENTION, "attention"), ("mlp", MLP, "MLP")):
        if name in names and getattr(block, part, None) is None:
            return f"TransformerLens shows no {words} in layer {layer}"
    if name == "resid_mid" and all(
        model.hook_name(one, layer) in model.raw.hook_dict for one in ("attn_out", "mlp_out")
    ):
        return "attention and MLP run side by side, so there is no residual stream between them"
    return f"TransformerLens has no hook for it in layer {layer}"


class _Seen:
    """What the hooks and the model's own modules have in a run of a few tokens, without the batch axis."""

    def __init__(self, model: LanguageModel, absent: Absent):
        self.model = model
        raw, cfg = model.raw, model.raw.cfg
        shared = None if getattr(cfg, "ungroup_grouped_query_attention", False) else cfg.n_key_value_heads
        self.heads, self.key_heads = model.n_heads, int(shared or model.n_heads)
        # The prompt's length differs from the numbers of heads, so that no axis is mistaken for another.
        self.length = next(n for n in (4, 3, 2) if n not in (self.heads, self.key_heads))
        self.hooked: dict[tuple[str, int], Tensor] = {}
        self.made: dict[tuple[str, int], Tensor] = {}  # by the modules of `_MODULES`
        hooks = [
            (model.hook_name(name, layer), self._keeping(name, layer))
            for name, layer in _places(model)
            if layer not in absent.get(name, {})
        ]
        for layer, block in enumerate(raw.blocks):
            own = {"block": block, **{name: _own_module(block, paths) for name, paths in _MODULES.items()}}
            for name, module in own.items():
                if module is not None:
                    module.register_forward_pre_hook(self._entering(f"{name} in", layer), with_kwargs=True)
                    module.register_forward_hook(self._leaving(f"{name} out", layer))
        tokens = torch.arange(self.length, device=model.device)[None] % int(cfg.d_vocab)
        with torch.no_grad(), raw.hooks(fwd_hooks=hooks):
            raw(tokens)
        streams = [float(one.abs().max()) for (name, _), one in self.made.items() if name == "block out"]
        self.stream, self.exact = max(streams, default=0.0), model.dtype in ("float32", "float64")

    def _keeping(self, name: str, layer: int) -> Hook:
        def keep(value: Any, hook: Any) -> None:
            if isinstance(value, Tensor):
                self.hooked[name, layer] = _copy(value[0])

        return Own(keep)

    def _entering(self, name: str, layer: int) -> Hook:
        return Own(lambda module, args, kwargs: self._keep(name, layer, [*args, *kwargs.values()]))

    def _leaving(self, name: str, layer: int) -> Hook:
        return Own(lambda module, args, out: self._keep(name, layer, out if isinstance(out, (tuple, list)) else [out]))

    def _keep(self, name: str, layer: int, values: Iterable[Any]) -> None:
        first = next((value for value in values if isinstance(value, Tensor)), None)
        if first is not None:
            self.made[name, layer] = _copy(first)

    # The rule

    def why_not(self, name: str, layer: int) -> str | None:
        """Why a layer's activation is not what its name says; None if it is."""
        value = self.hooked.get((name, layer))
        if value is None:
            return f"its hook never fires in layer {layer}"
        axes = self._axes(name)
        fits = value.ndim == len(axes) and all(have == size for have, size in zip(value.shape, axes.values()) if size)
        if not fits:
            have = ", ".join("position" if size == self.length else str(size) for size in value.shape)
            want = ", ".join(axis if axis in _FREE or not size else f"{size} {axis}s" for axis, size in axes.items())
            return f"TransformerLens gives [{have}] in layer {layer}, and not [{want}]"
        made = self._made(name, layer)
        if name == "mlp_post" and not made:
            return self._without_matrix(value, layer)
        if made and not any(self._same(value, one) for one in made):
            return f"what its hook gives in layer {layer} is not what the model's own modules compute there"
        return None

    def _without_matrix(self, neurons: Tensor, layer: int) -> str | None:
        """Why these are not a layer's neurons, given that no output matrix was seen to take them."""
        block, width = self.model.raw.blocks[layer], self.model.raw.cfg.d_mlp
        if hasattr(block.mlp, "original_component") and first_module(block, OUTPUTS["mlp"]) is None:
            return (
                f"no single matrix is shown through which layer {layer}'s neurons write (a mixture of experts has none)"
            )
        # A HookedTransformer, or a bridge that computes with folded weights itself.
        return None if neurons.shape[-1] == width else f"its hook gives {neurons.shape[-1]} of layer {layer}'s {width}"

    def _axes(self, name: str) -> dict[str, int | None]:
        """The axes of an activation and their lengths, where the configuration says them."""
        if name == "pattern":
            return {"head": self.heads, "destination": self.length, "source": self.length}
        if ACTIVATIONS[name].per_head:
            return {
                "position": self.length,
                "head": self.key_heads if name in ("k", "v") else self.heads,
                "entry": None,
            }
        if name == "mlp_post":  # the output matrix says how many; a bridge's configuration can be wrong
            return {"position": self.length, "neuron": None}
        return {"position": self.length, "number": self.model.d_model}

    def _made(self, name: str, layer: int) -> list[Tensor]:
        """What the model's modules computed in place of an activation, in each way in which it can be told."""
        if name in ("q", "k", "v"):
            return self._known((name + " out", layer))
        if name in ("z", "mlp_post"):
            return self._known(("heads in" if name == "z" else "neurons in", layer))
        if name in ("resid_pre", "resid_post"):
            return self._known(("block in" if name == "resid_pre" else "block out", layer))
        pre, mid, post, attn, mlp = (
            self.hooked.get((one, layer)) for one in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
        )
        if name == "resid_mid":
            return [*_sum(pre, attn), *_sum(post, mlp, -1)]
        if name == "attn_out":
            return [*self._known(("attn out", layer), ("heads out", layer)), *_sum(mid, pre, -1)]
        if name == "mlp_out":
            return [*self._known(("mlp out", layer), ("neurons out", layer)), *_sum(post, mid, -1)]
        return []

    def _known(self, *keys: tuple[str, int]) -> list[Tensor]:
        return [self.made[key] for key in keys if key in self.made]

    def _same(self, value: Tensor, made: Tensor) -> bool:
        if value.numel() != made.numel():
            return False
        if not torch.isfinite(made).all():
            return True  # nothing can be told; `record` says which layer overflows
        # A difference of two states of the residual stream has their rounding errors.
        relative, rounding = (1e-3, 1e-6) if self.exact else (3e-2, 1e-2)
        allowed = relative * float(made.abs().max()) + rounding * self.stream
        return bool((value.flatten() - made.flatten()).abs().max() <= allowed)


_FREE = ("position", "destination", "source", "entry")
# The modules whose inputs and outputs are compared with hooks. Where TransformerLens computes attention itself, it does
# not call transformers' own attention module, and the output matrix tells.
_MODULES = {
    "attn": ("attn",),
    "heads": OUTPUTS["attn"],
    **{name: (f"attn.{name}",) for name in ("q", "k", "v")},
    "mlp": ("mlp",),
    "neurons": OUTPUTS["mlp"],
}


def _own_module(block: Any, paths: Sequence[str]) -> torch.nn.Module | None:
    """The model's own module, inside TransformerLens's wrapper; None where there is no wrapper."""
    module = first_module(block, paths)
    wraps = any(hasattr(part, "original_component") for part in (module, block))
    return getattr(module, "original_component", module) if wraps else None


def _copy(value: Tensor) -> Tensor:
    return value.detach().to("cpu", torch.float32, copy=True)  # the layers of a model may be on several devices


def _sum(a: Tensor | None, b: Tensor | None, sign: int = 1) -> list[Tensor]:
    return [] if a is None or b is None or a.shape != b.shape else [a + sign * b]


# Only the engine runs models, and `model.absent` asks it here.
LanguageModel.find_absent = staticmethod(find_absent)
