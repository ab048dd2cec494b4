"""One fused torch call for functions that models compute as a chain of elementwise calls.

GPT-2 and models like it write the tanh form of GELU as eight elementwise calls, and TransformerLens writes a layer norm
as nine. Every such call reads and writes the whole tensor, and together they take a sixth of a sweep's time. torch has
a fused call for each of the two, which gives the same values up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from ..language.model import LanguageModel
from .own import Own, remove_own


@contextmanager
def fused(model: LanguageModel) -> Iterator[None]:
    """Make this thread's runs of the model use the fused calls inside a `with` block.

    No hook inside a fused module is called, such as `ln.hook_scale` and `ln.hook_normalized`.
    """
    # Imported here because TransformerLens 2 has no bridges, and because both are slow to import. A model that runs
    # packed is a bridge, and has imported them already.
    from transformer_lens.model_bridge.generalized_components import normalization
    from transformers.activations import NewGELUActivation

    patched: list[nn.Module] = []
    try:
        for module in model.raw.modules():
            name, function = "_python_norm_forward", None
            if type(module) is NewGELUActivation:
                name, function = "forward", _tanh_gelu
            elif type(module) is normalization.NormalizationBridge and type(module.original_component) is nn.LayerNorm:
                function = _norm(module, module.weight, module.original_component.bias)
            elif type(module) is normalization.LayerNormPreBridge:
                function = _norm(module, None, None)
            if function is not None and name not in vars(module):  # leave other code's patch in place
                patched.append(module)
                setattr(module, name, Own(function, otherwise=getattr(module, name)))
        yield
    finally:
        remove_own(patched)


def _tanh_gelu(x: Tensor) -> Tensor:
    return gelu(x, approximate="tanh")


def _norm(module: Any, weight: Tensor | None, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    eps = getattr(module.config, "eps", 1e-5)  # the default of TransformerLens

    def norm(x: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], weight, bias, eps)

    return norm
