"""circuit-tracer's layout: `config.yaml`, and for each layer `layer_i.safetensors`, or `W_enc_i` and `W_dec_i`.

Per-layer transcoders have `W_enc` and `W_dec` [feature, d_model], `b_enc`, `b_dec`, and perhaps
`activation_function.threshold` and `W_skip` [output, input]. Cross-layer ones have `W_dec_i` [feature, target, d_model]
for the targets from layer i on. This is also the layout that Hookscope writes.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..transcoders import Activation, Coder, Target, TranscoderFit, Transcoders
from .stored import Config, Stored, parsed, read_yaml, stored

INPUTS = {
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",  # TransformerLens's copy of it
    "mlp.hook_in": "mlp_in",
    "ln2.hook_normalized": "normalized",
}
OUTPUTS = ("hook_mlp_out", "mlp.hook_out")


class _Fit(Config):
    l0: dict[int, float]
    explained: dict[int, float]
    dead: dict[int, int]
    loss: float
    replaced: float
    zeroed: float
    tokens: int


class _Config(Config):
    model_kind: Literal["transcoder_set", "cross_layer_transcoder"]
    feature_input_hook: str
    feature_output_hook: str
    model_name: str | None = None
    transcoders: list[str] | None = None
    activation: Literal["relu", "jump_relu", "jumprelu", "topk"] | None = None
    k: Annotated[int, Field(gt=0)] | None = None
    # What Hookscope adds
    rectified: bool = False
    model_hash: str | None = None
    fit: _Fit | None = None


def read(directory: Path) -> Transcoders:
    """Read a directory with a `config.yaml`."""
    config = parsed(_Config, read_yaml(directory / "config.yaml"), directory / "config.yaml")
    if config.feature_input_hook not in INPUTS or config.feature_output_hook not in OUTPUTS:
        raise ValueError(
            f"{directory.name} reads {config.feature_input_hook} and writes {config.feature_output_hook}. Hookscope "
            f"knows transcoders that read {', '.join(INPUTS)} and write {' or '.join(OUTPUTS)}."
        )
    cross_layer = config.model_kind == "cross_layer_transcoder"
    coders, ends = _cross_layer(directory, config) if cross_layer else _per_layer(directory, config)
    return Transcoders(
        name=directory.name,
        layout="circuit-tracer",
        d_model=next(iter(coders.values())).encoder.shape[1],
        reads=INPUTS[config.feature_input_hook],
        writes="mlp_out",
        coders=coders,
        ends=ends,
        before_post_norm=config.feature_output_hook == "mlp.hook_out",
        model_name=config.model_name,
        model_hash=config.model_hash,
        fit=None if config.fit is None else TranscoderFit(**config.fit.model_dump()),
    )


def _per_layer(directory: Path, config: _Config) -> tuple[dict[int, Coder], dict[int, Target]]:
    coders, ends = {}, {}
    for layer, path in _paths(directory, config).items():
        file = stored(path)
        activation = _activation(file, "activation_function.threshold", config)
        coders[layer], ends[layer] = one_layer(file, layer, activation, decoder_transposed=False)
    return coders, ends


def one_layer(file: Stored, layer: int, activation: Activation, *, decoder_transposed: bool) -> tuple[Coder, Target]:
    """A per-layer transcoder with everything in one file."""
    encoder = file.matrix("W_enc")
    decoder = file.decoder("W_dec", *encoder.shape, transposed=decoder_transposed)
    skip = file.matrix("W_skip") if "W_skip" in file else None
    return Coder(encoder, file.vector("b_enc"), {layer: decoder}, activation), Target(file.vector("b_dec"), skip)


def _activation(file: Stored, threshold: str, config: _Config) -> Activation:
    if config.activation == "topk":
        if config.k is None:
            raise ValueError("config.yaml asks for TopK, but does not say which k. Add a line “k: …” to it.")
        return Activation("topk" if config.rectified else "signed topk", k=config.k)
    if config.activation != "relu" and threshold in file:
        return Activation("jumprelu", file.vector(threshold))
    if config.activation in ("jumprelu", "jump_relu"):
        raise ValueError(f"{file.path.name} has no {threshold}, although config.yaml asks for JumpReLU.")
    return Activation("relu")


def numbered(directory: Path, stem: str) -> dict[int, Path]:
    """The safetensors files of a directory that are called like this, with their layers."""
    pattern = re.compile(rf"{stem}_(\d{{1,4}})\.safetensors")
    found = ((pattern.fullmatch(path.name), path) for path in directory.glob(f"{stem}_*.safetensors"))
    return {int(match[1]): path for match, path in sorted(found, key=lambda one: one[1].name) if match}


def _paths(directory: Path, config: _Config) -> dict[int, Path]:
    if config.transcoders is None:
        paths = numbered(directory, "layer")
    else:
        paths = {layer: _inside(directory, name) for layer, name in enumerate(config.transcoders)}
    if not paths:
        raise ValueError(f"{directory} has a config.yaml, but no layer_0.safetensors or other layers.")
    return paths


def _inside(directory: Path, name: str) -> Path:
    """A file that a configuration names, which may only lie in the same directory."""
    path = (directory / name).resolve()
    if "://" in name or not path.is_relative_to(directory.resolve()) or path.suffix != ".safetensors":
        raise ValueError(
            f"config.yaml names the file {name[:200]!r}. Only safetensors in the same directory are read: download the "
            "files into it, as layer_0.safetensors and so on, and delete the list from config.yaml."
        )
    return path


def _cross_layer(directory: Path, config: _Config) -> tuple[dict[int, Coder], dict[int, Target]]:
    encoders, decoders = numbered(directory, "W_enc"), numbered(directory, "W_dec")
    count = len(encoders)
    if not count or set(encoders) != set(range(count)) or set(decoders) != set(encoders):
        raise ValueError(
            f"{directory} does not have W_enc_i.safetensors and W_dec_i.safetensors for every layer i from 0 on: it "
            f"has encoders {', '.join(map(str, sorted(encoders))) or 'of no layer'} and decoders "
            f"{', '.join(map(str, sorted(decoders))) or 'of no layer'}. Download the missing files."
        )
    coders, ends = {}, {}
    for layer in range(count):
        file, writes = stored(encoders[layer]), stored(decoders[layer])
        shape = writes.shape(f"W_dec_{layer}")
        if len(shape) != 3 or shape[1] != count - layer:
            raise ValueError(f"W_dec_{layer} is {shape}, and not [feature, {count - layer} targets, d_model].")
        if extra := [name for name in file.shapes if "skip" in name.lower()]:
            raise ValueError(f"{file.path.name} has a {extra[0]}, and this layout has no cross-layer skip.")
        targets = {
            layer + i: writes.matrix(f"W_dec_{layer}", of_target=i) for i in range(count - layer)
        }  # read by feature, so all targets of a feature lie side by side in the file
        activation = _activation(file, f"threshold_{layer}", config)
        coders[layer] = Coder(file.matrix(f"W_enc_{layer}"), file.vector(f"b_enc_{layer}"), targets, activation)
        ends[layer] = Target(file.vector(f"b_dec_{layer}"))
    return coders, ends


# Writing


def write(transcoders: Transcoders, directory: Path, dtype: torch.dtype) -> None:
    """Write a directory; see `Transcoders.save`."""
    import yaml
    from safetensors.torch import save_file

    config = _config_of(transcoders)
    directory.mkdir(parents=True, exist_ok=True)
    for layer in transcoders.layers:
        everything = torch.arange(transcoders.n_features(layer))
        encoder, decoders = transcoders.encoder_rows(layer, everything), transcoders.decoder_rows(layer, everything)
        bias, threshold = transcoders.encoder_bias(layer, everything), transcoders.coders[layer].activation.threshold
        end, skip = transcoders.bias(layer), transcoders.skip(layer)
        if transcoders.cross_layer:
            names = {"W_enc": f"W_enc_{layer}", "b_enc": f"b_enc_{layer}", "b_dec": f"b_dec_{layer}"}
            first, threshold_name = f"W_enc_{layer}.safetensors", f"threshold_{layer}"
            decoder = torch.stack([decoders[target] for target in transcoders.targets(layer)], 1)
            save_file({f"W_dec_{layer}": _exact(decoder, dtype)}, directory / f"W_dec_{layer}.safetensors")
            parts = {names["W_enc"]: encoder, names["b_enc"]: bias, names["b_dec"]: end}
        else:
            first, threshold_name = f"layer_{layer}.safetensors", "activation_function.threshold"
            parts = {"W_enc": encoder, "W_dec": decoders[layer], "b_enc": bias, "b_dec": end}
            parts |= {} if skip is None else {"W_skip": skip}
        parts |= {} if threshold is None else {threshold_name: threshold}
        save_file({name: _exact(part, dtype) for name, part in parts.items()}, directory / first)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (directory / "config.yaml").write_text(text, encoding="utf-8")


def _exact(part: Tensor, dtype: torch.dtype) -> Tensor:
    written = part.to(dtype).contiguous()
    if not torch.isfinite(written).all():
        raise ValueError(f"A weight is too large for {dtype}. Save the transcoders in float32.")
    return written


def _config_of(transcoders: Transcoders) -> dict[str, Any]:
    """The configuration file of transcoders.

    Raises:
        ValueError: the layout can't say what these are.
    """
    hook = next((hook for hook, reads in INPUTS.items() if reads == transcoders.reads), None)
    whole = transcoders.layers == transcoders.written
    if transcoders.cross_layer:
        whole &= transcoders.layers == tuple(range(len(transcoders.layers)))
    kinds = {(coder.activation.kind, coder.activation.k) for coder in transcoders.coders.values()}
    skips = transcoders.cross_layer and any(end.skip is not None for end in transcoders.ends.values())
    every = all(transcoders.targets(x) == tuple(range(x, len(transcoders.layers))) for x in transcoders.layers)
    if hook is None or transcoders.centred or transcoders.folded or not whole or len(kinds) != 1 or skips:
        raise ValueError(
            f"circuit-tracer's layout can't hold {transcoders.name}: it has one kind of activation for all layers, "
            "cross-layer ones of all layers from 0 on, no skip across layers, and no transcoders for folded or centred "
            "weights."
        )
    if transcoders.cross_layer and not every:
        raise ValueError(
            f"{transcoders.name} does not write from each layer into all later ones, so it can't be saved."
        )
    [(kind, k)] = kinds
    config: dict[str, Any] = {
        "model_name": transcoders.model_name or "",
        "model_kind": "cross_layer_transcoder" if transcoders.cross_layer else "transcoder_set",
        "feature_input_hook": hook,
        "feature_output_hook": "mlp.hook_out" if transcoders.before_post_norm else "hook_mlp_out",
        "scan": transcoders.name,
    }
    if kind != "jumprelu":  # which the thresholds say
        config |= {"activation": kind.removeprefix("signed ")} | ({} if k is None else {"k": k})
    config |= {"rectified": True} if kind == "topk" else {}
    config |= {} if transcoders.model_hash is None else {"model_hash": transcoders.model_hash}
    config |= {} if transcoders.fit is None else {"fit": dataclasses.asdict(transcoders.fit)}
    return config
