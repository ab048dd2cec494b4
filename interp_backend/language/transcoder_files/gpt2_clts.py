"""The layout of `ctigges/gpt2-clts`: `cfg.json`, one file of weights, and `norm_stats.json` beside or above them.

Inputs and outputs are standardised by the means and deviations in `norm_stats.json`. Decoders [d_model, feature] are
one for each pair of layers, or one for each target or each source ("tied").
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from ..transcoders import Activation, Coder, Target, Transcoders
from .stored import Config, Stored, parsed, read_json, stored

Positive = Annotated[int, Field(gt=0, le=100_000_000)]
STANDARDISED = ("mean_std", "auto", "estimated_mean_std")


class _Config(Config):
    num_layers: Annotated[int, Field(gt=0, le=1000)]
    num_features: Positive
    d_model: Positive
    activation_fn: Literal["jumprelu", "relu", "topk", "batchtopk"]
    normalization_method: str = "none"
    topk_k: float | None = None
    topk_mode: Literal["global", "per_layer"] = "global"
    decoder_tying: Literal["none", "per_source", "per_target"] = "none"
    skip_connection: bool = False
    tl_input_template: str | None = None
    mlp_input_template: str | None = None
    model_name: str | None = None


class _Moments(Config):
    mean: list[float]
    std: list[float]


class _Stats(Config):
    inputs: _Moments
    targets: _Moments


def read(directory: Path) -> Transcoders:
    """Read a directory with `cfg.json` and one safetensors file."""
    config = parsed(_Config, read_json(directory / "cfg.json"), directory / "cfg.json")
    [path] = directory.glob("*.safetensors")
    file = stored(path)
    extra = next((name for name in file.shapes if "feature_offset" in name or "feature_scale" in name), None)
    extra = extra or next((name for name in file.shapes if "per_target_" in name), None)
    if extra is not None:
        raise ValueError(f"{path.name} has a {extra}, which Hookscope does not know. Train or load a set without it.")
    layers = range(config.num_layers)
    stats = _stats(directory, config) if config.normalization_method in STANDARDISED else None
    if stats is None and config.normalization_method != "none":
        raise ValueError(f"{directory.name} normalises by {config.normalization_method[:80]}, which can't be read.")
    thresholds = _thresholds(file, config)
    coders, ends = {}, {}
    for layer in layers:
        name = f"encoder_module.encoders.{layer}"
        bias = file.vector(f"{name}.bias_param") if f"{name}.bias_param" in file else torch.zeros(config.num_features)
        decoders = {
            target: file.matrix(f"{_decoder(config, layer, target)}.weight", transposed=True)
            for target in layers
            if target >= layer
        }
        ends[layer] = _target(file, config, layer, None if stats is None else stats[layer])
        scale, shift = (None, None) if stats is None else _standardising(stats[layer].inputs)
        activation = _activation(config, None if thresholds is None else thresholds[layer])
        coders[layer] = Coder(file.matrix(f"{name}.weight"), bias, decoders, activation, scale, shift)
    return Transcoders(
        name=directory.name,
        layout="gpt2-clts",
        d_model=config.d_model,
        reads=_reads(config),
        writes="mlp_out",
        coders=coders,
        ends=ends,
        model_name=config.model_name,
    )


def _decoder(config: _Config, source: int, target: int) -> str:
    pair = {"none": f"{source}->{target}", "per_source": f"{source}", "per_target": f"{target}"}
    return f"decoder_module.decoders.{pair[config.decoder_tying]}"


def _target(file: Stored, config: _Config, target: int, stats: _Stats | None) -> Target:
    # A decoder that several sources share is applied once, to the sum of their activations, if it belongs to a target.
    sources = [target] if config.decoder_tying == "per_target" else range(target + 1)
    biases = [f"{_decoder(config, source, target)}.bias_param" for source in sources]
    bias = sum((file.vector(name) for name in biases if name in file), torch.zeros(config.d_model))
    skip = None
    if config.skip_connection:
        name = f"decoder_module.skip_weights.{target}"
        if name not in file:
            raise ValueError(f"{file.path.name} has skips between different layers, which Hookscope does not know.")
        skip = file.matrix(name)
    if stats is None:
        return Target(bias, skip)
    mean, scale = torch.tensor(stats.targets.mean), torch.tensor(stats.targets.std)
    return Target(bias * scale + mean, skip, scale)


def _standardising(moments: _Moments) -> tuple[Tensor, Tensor]:
    """The scale and the shift with which x * scale + shift has mean 0 and deviation 1."""
    mean, deviation = torch.tensor(moments.mean), torch.tensor(moments.std)
    return 1 / deviation, -mean / deviation


def _activation(config: _Config, threshold: Tensor | None) -> Activation:
    if config.activation_fn == "relu":
        return Activation("relu")
    if config.activation_fn == "jumprelu":
        return Activation("jumprelu", threshold)
    if config.activation_fn == "batchtopk":
        raise ValueError(
            "These transcoders choose their features over a whole batch (BatchTopK), so one position can't be encoded "
            "by itself. Convert them to JumpReLU, as their training code does after training."
        )
    if config.topk_mode == "global":
        raise ValueError(
            "These transcoders choose the largest features of all layers together, so one layer can't be encoded by "
            "itself. Choose a set with TopK in each layer (topk_mode: per_layer) or with JumpReLU."
        )
    if config.topk_k is None or not math.isfinite(config.topk_k) or config.topk_k <= 0:
        raise ValueError("cfg.json does not say how many features are active (topk_k).")
    share = config.topk_k < 1
    return Activation("signed topk", k=math.ceil(config.topk_k * config.num_features) if share else int(config.topk_k))


def _thresholds(file: Stored, config: _Config) -> Tensor | None:
    """By layer and feature, for JumpReLU."""
    if config.activation_fn != "jumprelu":
        return None
    shape = (config.num_layers, config.num_features)
    if file.shape("theta_manager.log_threshold") != shape:
        raise ValueError(f"{file.path.name} is damaged: it does not have a threshold for each of {shape} features.")
    return file.tensor("theta_manager.log_threshold").float().exp()


def _reads(config: _Config) -> str:
    """What the features read: the published sets read the residual stream, before the norm."""
    hook = config.tl_input_template or config.mlp_input_template or "hook_resid_mid"
    for ending, reads in (
        ("hook_resid_mid", "resid_mid"),
        ("hook_mlp_in", "resid_mid"),
        ("ln_2.input", "resid_mid"),
        ("post_attention_layernorm.input", "resid_mid"),
        ("mlp.hook_in", "mlp_in"),
        ("mlp.input", "mlp_in"),
        ("ln_2.output", "mlp_in"),
    ):
        if hook.endswith(ending):
            return reads
    raise ValueError(f"cfg.json says that the features read {hook[:200]!r}, which Hookscope does not know.")


def _stats(directory: Path, config: _Config) -> dict[int, _Stats]:
    path = next((one for one in (directory, directory.parent) if (one / "norm_stats.json").is_file()), directory)
    path = path / "norm_stats.json"
    data = read_json(path)
    try:
        stats = TypeAdapter(dict[int, _Stats]).validate_python({int(key): one for key, one in dict(data).items()})
    except (ValidationError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged: it does not have a mean and a deviation for each layer.") from None
    for layer in range(config.num_layers):
        moments = [] if layer not in stats else [stats[layer].inputs, stats[layer].targets]
        lists = [one for each in moments for one in (each.mean, each.std)]
        if not lists or any(len(one) != config.d_model for one in lists) or min(map(min, lists[1::2])) <= 0:
            raise ValueError(
                f"{path} has no mean and deviation above zero for each of the {config.d_model} entries of layer "
                f"{layer}."
            )
    return stats
