"""Single modules of a model as functions of vectors: norms, output matrices, the unembedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from ..language.model import LanguageModel

Rows = Callable[[Tensor], Tensor]


def module_dtype(model: LanguageModel) -> torch.dtype:
    """The precision in which the model's modules compute."""
    return next(model.raw.unembed.parameters()).dtype


# The unembedding


def read_out(model: LanguageModel, resid: Tensor, vocabulary: Sequence[int] | None) -> Tensor:
    """Logits [..., token] from the last block's output [..., d_model]: final norm, unembedding, softcap."""
    raw = model.raw
    normed = raw.ln_final(resid) if hasattr(raw, "ln_final") else resid
    if vocabulary is not None and can_unembed_some(model):
        return unembed_some(model, normed, vocabulary)
    logits = raw.adapter.apply_output_logits_transform(raw.unembed(normed))
    return logits if vocabulary is None else logits[..., list(vocabulary)]


def read_out_checked(model: LanguageModel, resid: Tensor) -> Tensor:
    """Logits [..., token] in float32, as `read_out`, by TransformerLens's own function, which refuses some models.

    Raises:
        ValueError: the model can't be read through its final norm and unembedding.
    """
    try:
        from transformer_lens.tools.analysis import logit_readout
    except ImportError:
        raise ValueError("The logit lens needs TransformerLens 4.3 or newer. Update it.") from None
    try:
        return logit_readout(model.raw, resid, chunk_size=resid.shape[:-1].numel()).values.float()
    except NotImplementedError as problem:
        raise ValueError(f"This model can't be read through its unembedding: {problem}") from None


def can_unembed_some(model: LanguageModel) -> bool:
    """Whether the unembedding is a plain matrix, whose rows can be used one by one."""
    return isinstance(getattr(model.raw.unembed, "original_component", None), torch.nn.Linear)


def unembed_some(model: LanguageModel, normed: Tensor, vocabulary: Sequence[int]) -> Tensor:
    """Logits [..., token] of some tokens, softcap included, from the final norm's output [..., d_model]."""
    linear = model.raw.unembed.original_component
    chosen = torch.tensor(list(vocabulary), device=normed.device)
    bias = None if linear.bias is None else linear.bias[chosen]
    logits = torch.nn.functional.linear(normed, linear.weight[chosen], bias)
    return model.raw.adapter.apply_output_logits_transform(logits)


def logit_scale(model: LanguageModel) -> float:
    """What a small logit is multiplied by after the unembedding: not 1 in Granite and Cohere, for example."""
    adapter = getattr(model.raw, "adapter", None)
    if adapter is None:  # HookedTransformer
        return 1.0
    small = torch.tensor([-1e-3, 1e-3], device=model.device, dtype=torch.float32)  # a softcap leaves it as it is
    below, above = adapter.apply_output_logits_transform(small).tolist()
    return (above - below) / 2e-3


def softcapped(model: LanguageModel) -> bool:
    """Whether a softcap makes the logits smaller than the unembedding gives them."""
    return float(getattr(model.raw.cfg, "output_logits_soft_cap", 0) or 0) > 0


# Other modules


def norm_of(model: LanguageModel, name: str, layer: int | None = None) -> Rows | None:
    """A norm as a function of rows [row, d_model]; None if the model does not have it.

    Args:
        name: "ln_final", or the name of a norm in a block, such as "ln1" or "ln1_post".
        layer: the number of that block.
    """
    owner = model.raw if layer is None else model.raw.blocks[layer]
    norm = getattr(owner, name, None)
    if norm is None:
        return None
    dtype = module_dtype(model)
    return lambda rows: norm(rows.to(dtype)[None])[0]


def output_matrix(model: LanguageModel, layer: int, part: str) -> Rows:
    """The matrix through which a layer's heads or neurons write, as a function of a vector [entry], in float32.

    Args:
        part: "attn" for the heads, "mlp" for the neurons.

    Raises:
        ValueError: the model has no such module.
    """
    module = first_module(model.raw.blocks[layer], OUTPUTS[part])
    if module is None:
        raise ValueError(
            "TransformerLens gives no output matrix for this model's layers, so heads and neurons can't be told apart. "
            "Choose the unit component or layer, or load the model as a TransformerBridge."
        )
    dtype = next(module.parameters()).dtype
    weights = _own_weights(module)

    def write(entries: Tensor) -> Tensor:
        entries = entries.to(dtype)[None, None]
        out = module(entries) if weights is None else torch.func.functional_call(module, weights, (entries,))
        return out.flatten().float()  # some modules return fewer axes

    return write


# Where a block's output matrices are. A dense layer in a model with experts has a plain MLP, in which TransformerLens
# names no output matrix.
OUTPUTS = {"attn": ("attn.o",), "mlp": ("mlp.out", "mlp.original_component.down_proj")}


def first_module(block: Any, paths: Sequence[str]) -> torch.nn.Module | None:
    """The first of these modules of a block that it has."""
    for path in paths:
        try:
            module = attrgetter(path)(block)
        except AttributeError:
            continue
        if isinstance(module, torch.nn.Module):
            return module
    return None


def _own_weights(module: torch.nn.Module) -> dict[str, Tensor] | None:
    """Copies of weights that autograd can't use, because the model was made in inference mode; None for others."""
    if not any(weight.is_inference() for weight in module.parameters()):
        return None
    with torch.inference_mode(False):
        return {name: weight.clone() for name, weight in module.named_parameters()}


def token_embeddings(model: LanguageModel, which: slice = slice(None)) -> Tensor:
    """What each token adds to the residual stream, [token, d_model], float32; of all tokens or of some."""
    after: Any = getattr(model.raw, "embed_ln", None)  # bloom's norm of the embeddings
    embedded = model.raw.W_E.detach()[which]
    return embedded.float() if after is None else after(embedded[None])[0].detach().float()
