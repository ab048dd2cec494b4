"""Functions that models write as many elementwise calls, in one call each.

GPT-2 and its kin write the tanh form of GELU as eight calls, and TransformerLens a layer norm as nine, each of which
walks through memory: together a sixth of a sweep's time. torch has both as one call, equal to rounding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm
from transformers.activations import NewGELUActivation

from ..language.model import LanguageModel


@contextmanager
def fused(model: LanguageModel) -> Iterator[None]:
    """While it is entered, this thread's runs of the model take the one call for the many.

    Nothing may listen to, or edit, what is inside: `ln.hook_scale` and `ln.hook_normalized` are not called.
    """
    # Here, since TransformerLens 2 has no bridges; its models are not run so.
    from transformer_lens.model_bridge.generalized_components import normalization

    exchanged = []
    for module in model.raw.modules():
        if type(module) is NewGELUActivation:
            exchanged.append((module, "forward", lambda x: gelu(x, approximate="tanh")))
        elif type(module) is normalization.NormalizationBridge and type(module.original_component) is nn.LayerNorm:
            exchanged.append(
                (module, "_python_norm_forward", _norm(module, module.weight, module.original_component.bias))
            )
        elif type(module) is normalization.LayerNormPreBridge:
            exchanged.append((module, "_python_norm_forward", _norm(module, None, None)))
    for module, name, function in exchanged:
        setattr(module, name, _of_this_thread(function, getattr(module, name)))
    try:
        yield
    finally:
        for module, name, _ in exchanged:
            delattr(module, name)


def _norm(module: Any, weight: Tensor | None, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    eps = getattr(module.config, "eps", 1e-5)  # as TransformerLens has it

    def norm(x: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], weight, bias, eps)

    return norm


def _of_this_thread(function: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    owner = threading.get_ident()

    def chosen(*args: Any) -> Any:
        return function(*args) if threading.get_ident() == owner else original(*args)

    return chosen
