"""SAELens: a directory for each layer with `cfg.json` and `sae_weights.safetensors`.

Sparse autoencoders of the residual stream, of an MLP's output or of attention's, and per-layer transcoders. `W_enc` is
[d_in, feature]. Models were loaded by TransformerLens with centred weights, unless the file says otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..transcoders import Activation, Coder, Target, Transcoders
from .stored import Config, Stored, parsed, read_json, stored

HOOK = re.compile(r"blocks\.(\d{1,4})\.(.+)")
PLACES = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_mlp_out": "mlp_out",
    "hook_attn_out": "attn_out",
    "hook_mlp_in": "resid_mid",
    "mlp.hook_in": "mlp_in",
    "ln2.hook_normalized": "normalized",
}
TRANSCODERS = {"transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"}


class _Meta(Config):
    hook_name: str | None = None
    hook_name_out: str | None = None
    model_name: str | None = None
    model_class_name: str | None = None
    model_from_pretrained_kwargs: dict[str, Any] | None = None


class _Config(_Meta):
    d_in: Annotated[int, Field(gt=0)]
    d_sae: Annotated[int, Field(gt=0)]
    architecture: str = "standard"
    activation_fn: str | None = None
    activation_fn_str: str | None = None
    activation_fn_kwargs: dict[str, Any] | None = None
    k: int | float | None = None
    apply_b_dec_to_input: bool = True
    normalize_activations: str | None = "none"
    finetuning_scaling_factor: bool = False
    rescale_acts_by_decoder_norm: bool = False
    metadata: _Meta | None = None


def read(directories: list[Path], name: str, centred: bool | None) -> Transcoders:
    """Read the directories of some layers, all of the same kind.

    Args:
        centred: whether the model had centred weights; None does as the files say.
    """
    coders, ends, kinds, width = {}, {}, set(), 0
    for directory in directories:
        config = parsed(_Config, read_json(directory / "cfg.json"), directory / "cfg.json")
        where = config.metadata if config.hook_name is None and config.metadata is not None else config
        hook = where.hook_name or ""
        transcodes = config.architecture in TRANSCODERS
        at, to = (
            HOOK.fullmatch(hook),
            HOOK.fullmatch((where.hook_name_out or config.hook_name_out or "") if transcodes else hook),
        )
        if not at or not to or at[1] != to[1] or at[2] not in PLACES or to[2] not in PLACES:
            raise ValueError(
                f"{directory.name} reads {hook[:200]!r}. Coders of {', '.join(PLACES)} are read, whose output "
                "belongs to the same layer."
            )
        layer, file = int(at[1]), stored(directory / "sae_weights.safetensors")
        if layer in coders:
            raise ValueError(f"{name} has several coders of layer {layer}. Give the directory of one of them.")
        coders[layer], ends[layer] = _coder(file, config, layer, transcodes)
        width = config.d_in
        kinds.add((PLACES[at[2]], PLACES[to[2]], _is_centred(where), where.model_name))
    if len(kinds) != 1:
        raise ValueError(f"{name} has coders of different places or models. Give a directory with those of one kind.")
    [(reads, writes, says, model_name)] = kinds
    centred = says if centred is None else centred
    return Transcoders(
        name=name,
        layout="saelens",
        d_model=width,
        reads=reads,
        writes=writes,
        coders=coders,
        ends=ends,
        centred=centred,
        folded=centred,
        model_name=model_name,
    )


def _is_centred(where: _Meta) -> bool:
    """Whether TransformerLens centred the weights of the model: its default, where its own class loaded the model."""
    options = where.model_from_pretrained_kwargs or {}
    return (
        where.model_class_name in (None, "HookedTransformer")
        and options.get("center_writing_weights", True) is not False
        and not options.get("no_processing", False)
    )


def _coder(file: Stored, config: _Config, layer: int, transcodes: bool) -> tuple[Coder, Target]:
    unknown = None
    if config.normalize_activations not in (None, "none"):
        unknown = f"normalises its input ({config.normalize_activations[:60]})"
    elif config.finetuning_scaling_factor or "scaling_factor" in file:
        unknown = "has a scaling factor for its activations"
    elif config.rescale_acts_by_decoder_norm:
        unknown = "rescales its activations by the norms of its decoder"
    if unknown:
        raise ValueError(
            f"The coder in {file.path.parent.name} {unknown}. Fold that into its weights with SAELens, and save it "
            "again."
        )
    encoder, bias = file.matrix("W_enc", transposed=True), file.vector("b_dec")
    shift = -bias if config.apply_b_dec_to_input and not transcodes else None
    coder = Coder(encoder, file.vector("b_enc"), {layer: file.matrix("W_dec")}, _activation(file, config), shift=shift)
    return coder, Target(bias, file.matrix("W_skip") if "W_skip" in file else None)


def _activation(file: Stored, config: _Config) -> Activation:
    if "threshold" in file and config.architecture != "gated":
        # SAELens has a ReLU before the threshold, so a threshold below zero acts like zero.
        return Activation("jumprelu", file.vector("threshold").clamp(min=0))
    chosen = config.activation_fn or config.activation_fn_str or "relu"
    if config.architecture == "topk" or (config.architecture == "standard" and chosen == "topk"):
        k = config.k if config.k is not None else (config.activation_fn_kwargs or {}).get("k")
        if not isinstance(k, int) or isinstance(k, bool) or k <= 0:
            raise ValueError(f"cfg.json in {file.path.parent.name} does not say how many features are active (k).")
        return Activation("topk", k=k)
    if config.architecture in {"standard", *TRANSCODERS} and chosen == "relu":
        return Activation("relu")
    raise ValueError(
        f"The coder in {file.path.parent.name} has the architecture {config.architecture[:40]!r} with {chosen[:40]!r}. "
        "Only ReLU, JumpReLU and TopK are read."
    )
