"""The key-value cache as an argument, whatever the installed version of transformers calls it.

transformers 5.24 renamed the argument `past_key_values` to `cache`. TransformerLens 4.3 looks for the old name alone,
so its attention modules would ignore the cache that a block passes to them.
"""

from __future__ import annotations

import inspect
from typing import Any

from ..language.model import LanguageModel
from .own import Own

OLD, NEW = "past_key_values", "cache"


def cache_argument(forward: Any) -> str:
    """What the forward method of a transformers model calls its key-value cache."""
    return NEW if NEW in inspect.signature(forward).parameters else OLD


def pass_cache_by_old_name(model: LanguageModel) -> None:
    """Until this pass ends, give TransformerLens's attention modules the cache under the name that they look for."""
    # Imported here because TransformerLens 2 has no bridges; its models are not run with a cache.
    from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge

    for block in model.raw.blocks:
        for module in block.modules():
            # The base class's own forward calls the attention of transformers, which takes the new name.
            if isinstance(module, AttentionBridge) and type(module).forward is not AttentionBridge.forward:
                module.register_forward_pre_hook(Own(_renamed), with_kwargs=True)


def _renamed(module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if kwargs.get(NEW) is None:
        return None
    return args, {OLD if name == NEW else name: value for name, value in kwargs.items()}
