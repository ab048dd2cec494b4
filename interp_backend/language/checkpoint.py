"""Check that a checkpoint and its tokenizer are complete, because transformers fills gaps with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class UnfitCheckpoint(ValueError):
    """A file that can't be loaded, with a sentence that says why and what to do."""


class WholeModel:
    """An auto class that refuses incomplete weights, for `TransformerBridge.boot_transformers(model_class=...)`."""

    @staticmethod
    def from_pretrained(source: str, *, config: Any, **arguments: Any) -> Any:
        from transformer_lens.model_bridge.sources.transformers import (
            determine_architecture_from_hf_config,
            get_hf_model_class_for_architecture,
        )

        auto_class: Any = get_hf_model_class_for_architecture(determine_architecture_from_hf_config(config))
        # Tensors of other sizes are reported along with the missing ones, instead of ending in a traceback.
        raw, found = auto_class.from_pretrained(
            source, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
        )
        refuse_incomplete(raw, found)
        return raw


def refuse_incomplete(raw: Any, found: dict[str, Any]) -> None:
    """Raise ValueError unless the tensors of a checkpoint are exactly those of the model.

    Args:
        raw: the transformers model.
        found: what `from_pretrained` reports with `output_loading_info`. It leaves out tied weights, and buffers that
            the architecture is known to ignore.
    """
    of_model = {name for part in (raw, getattr(raw, "base_model", raw)) for name, _ in part.named_children()}
    extra = [
        name for name in found["unexpected_keys"] if name.split(".")[0] in of_model
    ]  # a value head changes nothing
    mismatched = [f"{name} ({_shape(there)}, not {_shape(wanted)})" for name, there, wanted in found["mismatched_keys"]]
    problems = [
        f"{says} {_named(names)}"
        for says, names in (
            ("it lacks", sorted(found["missing_keys"])),
            ("these have another shape than its config says:", sorted(mismatched)),
            ("its config leaves no room for", sorted(extra)),
        )
        if names
    ]
    if problems:
        raise UnfitCheckpoint(
            f"The checkpoint does not fit its config: {'; '.join(problems)}. It would run with random or left-out "
            "weights. Save it again with save_pretrained, or correct config.json."
        )


def refuse_empty(raw: Any) -> None:
    """Raise ValueError for a model without layers, or a tokenizer that knows no text."""
    if int(raw.cfg.n_layers) < 1:
        raise UnfitCheckpoint("The model's config has no layers. Correct the number of layers in it.")
    tokenizer = raw.tokenizer
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise UnfitCheckpoint(
            "The tokenizer has no vocabulary: its files (tokenizer.json, or vocab.json and merges.txt, or "
            "tokenizer.model) are missing. Save it beside the model with tokenizer.save_pretrained."
        )


def _named(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:4]) + (f" and {len(first) - 4} more" if len(first) > 4 else "")


def _shape(size: Any) -> str:
    return "×".join(map(str, size)) or "a single number"
