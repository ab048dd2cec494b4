"""Small transcoder sets in the layouts in which people share them, written file by file, and their plain formulas.

Each function writes a directory and returns, for each layer's input, what its activations and its outputs have to be.
The formulas are those of the layouts' own software, in float64, and share nothing with interp_backend.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

D, F, L = 8, 20, 3  # width, features of a layer, layers


@dataclass
class Plain:
    """What a set has to do.

    Attributes:
        acts: by layer, activations [position, feature] of what the layer reads [position, d_model].
        outs: from all layers' inputs, what is written into each layer.
    """

    acts: Callable[[int, Tensor], Tensor]
    outs: Callable[[dict[int, Tensor]], dict[int, Tensor]]


class Numbers:
    """Random weights, the same ones each time, in float32."""

    def __init__(self, seed: int = 0):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)


def topk(pre: Tensor, k: int, relu: bool) -> Tensor:
    pre = pre.relu() if relu else pre
    kept = torch.zeros_like(pre)
    for row, values in enumerate(pre):
        for feature in values.argsort(descending=True)[:k]:
            kept[row, feature] = values[feature]
    return kept


def per_layer(acts: Callable[[int, Tensor], Tensor], out: Callable[[int, Tensor, Tensor], Tensor]) -> Plain:
    return Plain(acts, lambda xs: {layer: out(layer, acts(layer, x), x) for layer, x in xs.items()})


def circuit_tracer(to: Path, activation: str = "jumprelu", hook: str = "hook_resid_mid", layers: int = L) -> Plain:
    new = Numbers()
    config = {"model_name": "m", "model_kind": "transcoder_set", "scan": "s"}
    config |= {"feature_input_hook": hook, "feature_output_hook": "hook_mlp_out"}
    config |= {"relu": {"activation": "relu"}, "topk": {"activation": "topk", "k": 4}}.get(activation, {})
    (to / "config.yaml").write_text(yaml.safe_dump(config))
    states = []
    for layer in range(layers):
        state = {"W_enc": new(F, D), "W_dec": new(F, D), "b_enc": new(F), "b_dec": new(D), "W_skip": new(D, D)}
        if activation == "jumprelu":
            state["activation_function.threshold"] = new(F).abs()
        save_file(state, to / f"layer_{layer}.safetensors")
        states.append({name: part.double() for name, part in state.items()})

    def acts(layer: int, x: Tensor) -> Tensor:
        s = states[layer]
        pre = x @ s["W_enc"].T + s["b_enc"]
        if activation == "topk":
            return topk(pre, 4, relu=False)
        return pre * (pre > s["activation_function.threshold"]) if activation == "jumprelu" else pre.relu()

    return per_layer(acts, lambda i, a, x: a @ states[i]["W_dec"] + states[i]["b_dec"] + x @ states[i]["W_skip"].T)


def circuit_tracer_clt(to: Path) -> Plain:
    new = Numbers(1)
    config = {"model_kind": "cross_layer_transcoder", "scan": "s"}
    config |= {"feature_input_hook": "hook_resid_mid", "feature_output_hook": "hook_mlp_out"}
    (to / "config.yaml").write_text(yaml.safe_dump(config))
    encoders = [(new(F, D), new(F), new(D), new(F).abs()) for _ in range(L)]
    decoders = [new(F, L - layer, D) for layer in range(L)]
    for i, (encoder, bias, end, threshold) in enumerate(encoders):
        state = {f"W_enc_{i}": encoder, f"b_enc_{i}": bias, f"b_dec_{i}": end, f"threshold_{i}": threshold}
        save_file(state, to / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": decoders[i]}, to / f"W_dec_{i}.safetensors")

    def acts(layer: int, x: Tensor) -> Tensor:
        encoder, bias, _, threshold = (part.double() for part in encoders[layer])
        pre = x @ encoder.T + bias
        return pre * (pre > threshold)

    def outs(xs: dict[int, Tensor]) -> dict[int, Tensor]:
        sums = {target: encoders[target][2].double().expand_as(xs[target]).clone() for target in range(L)}
        for source in range(L):
            for target in range(source, L):
                sums[target] += acts(source, xs[source]) @ decoders[source][:, target - source].double()
        return sums

    return Plain(acts, outs)


def sweep(to: Path) -> Plain:
    """`mntss/sparsecoder-sweep-gpt2`, per layer, with a skip; decoders are transposed."""
    new, states = Numbers(2), []
    for layer in range(L):
        state = {"W_enc": new(F, D), "W_dec": new(D, F), "b_enc": new(F), "b_dec": new(D), "W_skip": new(D, D)}
        save_file(state, to / f"layer_{layer}.safetensors")
        states.append({name: part.double() for name, part in state.items()})
    return per_layer(
        lambda i, x: (x @ states[i]["W_enc"].T + states[i]["b_enc"]).relu(),
        lambda i, a, x: a @ states[i]["W_dec"].T + states[i]["b_dec"] + x @ states[i]["W_skip"].T,
    )


def sweep_clt(to: Path) -> Plain:
    """The same repository's cross-layer sets: each layer's decoders, by source."""
    new = Numbers(3)
    encoders = [(new(F, D), new(F)) for _ in range(L)]
    decoders = [{source: new(D, F) for source in range(target + 1)} for target in range(L)]
    ends = [(new(D), new(D, D)) for _ in range(L)]
    for i in range(L):
        save_file({"W_enc": encoders[i][0], "b_enc": encoders[i][1]}, to / f"encoder_layer_{i}.safetensors")
        state = {f"W_dec_from_{source}": part for source, part in decoders[i].items()}
        save_file({**state, "b_dec": ends[i][0], "W_skip": ends[i][1]}, to / f"decoder_layer_{i}.safetensors")

    def acts(layer: int, x: Tensor) -> Tensor:
        return (x @ encoders[layer][0].double().T + encoders[layer][1].double()).relu()

    def outs(xs: dict[int, Tensor]) -> dict[int, Tensor]:
        return {
            target: ends[target][0].double()
            + xs[target] @ ends[target][1].double().T
            + sum(acts(source, xs[source]) @ part.double().T for source, part in decoders[target].items())
            for target in range(L)
        }

    return Plain(acts, outs)


def config_class() -> type:
    """The class of the configuration in gpt2-transcoders' files, in a module that only those who write them have."""
    module = sys.modules.get("sae_training.config")
    if module is None:
        sys.modules["sae_training"], module = ModuleType("sae_training"), ModuleType("sae_training.config")
        sys.modules["sae_training.config"] = module
        module.LanguageModelSAERunnerConfig = type(
            "LanguageModelSAERunnerConfig", (), {"__module__": "sae_training.config"}
        )
    return module.LanguageModelSAERunnerConfig


def gpt2_transcoders(to: Path, layers: int = L, **changed: object) -> Plain:
    new, states = Numbers(4), []
    for layer in range(layers):
        config = config_class()()
        config.hook_point, config.out_hook_point = f"blocks.{layer}.ln2.hook_normalized", f"blocks.{layer}.hook_mlp_out"
        config.is_transcoder, config.model_name, config.dtype = True, "gpt2-small", torch.float32
        config.device = torch.device("cpu")
        vars(config).update(changed)
        state = {"W_enc": new(D, F), "b_enc": new(F), "W_dec": new(F, D), "b_dec": new(D), "b_dec_out": new(D)}
        torch.save({"cfg": config, "state_dict": state}, to / f"final_{layer}.pt")
        states.append({name: part.double() for name, part in state.items()})
    return per_layer(
        lambda i, x: ((x - states[i]["b_dec"]) @ states[i]["W_enc"] + states[i]["b_enc"]).relu(),
        lambda i, a, x: a @ states[i]["W_dec"] + states[i]["b_dec_out"],
    )


def gpt2_clts(to: Path, activation: str = "jumprelu", tying: str = "none", **changed: object) -> Plain:
    new = Numbers(5)
    config = {"num_layers": L, "num_features": F, "d_model": D, "activation_fn": activation}
    config |= {"normalization_method": "mean_std", "decoder_tying": tying, "topk_k": 4, "topk_mode": "per_layer"}
    config |= {"skip_connection": tying != "none", "model_name": "gpt2"}
    (to / "cfg.json").write_text(json.dumps(config | changed))
    stats = {i: {part: {"mean": new(D), "std": new(D).abs() + 0.5} for part in ("inputs", "targets")} for i in range(L)}
    as_json = {
        str(i): {part: {name: v.tolist() for name, v in m.items()} for part, m in one.items()}
        for i, one in stats.items()
    }
    (to / "norm_stats.json").write_text(json.dumps(as_json))
    state = {"theta_manager.log_threshold": new(L, F)} if activation == "jumprelu" else {}
    for i in range(L):
        state |= {f"encoder_module.encoders.{i}.weight": new(F, D), f"encoder_module.encoders.{i}.bias_param": new(F)}
        if tying != "none":
            state[f"decoder_module.skip_weights.{i}"] = new(D, D)
    names = [str(i) for i in range(L)] if tying != "none" else [f"{s}->{t}" for s in range(L) for t in range(s, L)]
    for name in names:
        state |= {
            f"decoder_module.decoders.{name}.weight": new(D, F),
            f"decoder_module.decoders.{name}.bias_param": new(D),
        }
    save_file(state, to / "clt.safetensors")
    w = {name: part.double() for name, part in state.items()}
    moments = {i: {p: (m["mean"].double(), m["std"].double()) for p, m in one.items()} for i, one in stats.items()}

    def standard(layer: int, x: Tensor) -> Tensor:
        mean, deviation = moments[layer]["inputs"]
        return (x - mean) / deviation

    def acts(layer: int, x: Tensor) -> Tensor:
        name = f"encoder_module.encoders.{layer}"
        pre = standard(layer, x) @ w[f"{name}.weight"].T + w[f"{name}.bias_param"]
        if activation == "topk":
            return topk(pre, 4, relu=False)
        return pre * (pre > w["theta_manager.log_threshold"][layer].exp()) if activation == "jumprelu" else pre.relu()

    def outs(xs: dict[int, Tensor]) -> dict[int, Tensor]:
        found = {}
        for target in range(L):
            whole = torch.zeros_like(xs[target])
            if tying == "per_target":  # applied once, to the sum of all activations
                name, summed = f"decoder_module.decoders.{target}", sum(acts(s, xs[s]) for s in range(target + 1))
                whole += summed @ w[f"{name}.weight"].T + w[f"{name}.bias_param"]
            else:
                for source in range(target + 1):
                    name = f"decoder_module.decoders.{source if tying == 'per_source' else f'{source}->{target}'}"
                    whole += acts(source, xs[source]) @ w[f"{name}.weight"].T + w[f"{name}.bias_param"]
            if tying != "none":
                whole += standard(target, xs[target]) @ w[f"decoder_module.skip_weights.{target}"].T
            mean, deviation = moments[target]["targets"]
            found[target] = whole * deviation + mean
        return found

    return Plain(acts, outs)


def sparsify(to: Path, transcode: bool = True, **changed: object) -> Plain:
    new, states = Numbers(6), []
    for layer in range(L):
        directory = to / (f"h.{layer}.mlp" if transcode else f"layers.{layer}")
        directory.mkdir()
        config = {"d_in": D, "k": 4, "num_latents": F, "activation": "topk", "transcode": transcode}
        (directory / "cfg.json").write_text(json.dumps(config | {"skip_connection": transcode} | changed))
        state = {"encoder.weight": new(F, D), "encoder.bias": new(F), "W_dec": new(F, D), "b_dec": new(D)}
        state |= {"W_skip": new(D, D)} if transcode else {}
        save_file(state, directory / "sae.safetensors")
        states.append({name: part.double() for name, part in state.items()})

    def acts(layer: int, x: Tensor) -> Tensor:
        s = states[layer]
        return topk((x if transcode else x - s["b_dec"]) @ s["encoder.weight"].T + s["encoder.bias"], 4, relu=True)

    def out(layer: int, a: Tensor, x: Tensor) -> Tensor:
        whole = a @ states[layer]["W_dec"] + states[layer]["b_dec"]
        return whole + x @ states[layer]["W_skip"].T if transcode else whole

    return per_layer(acts, out)


def saelens(to: Path, architecture: str = "standard", hook: str = "hook_resid_pre", **changed: object) -> Plain:
    """One SAE of layer 1, made for centred weights."""
    new = Numbers(7)
    config = {
        "d_in": D,
        "d_sae": F,
        "architecture": architecture,
        "hook_name": f"blocks.1.{hook}",
        "model_name": "gpt2",
    }
    config |= {"activation_fn_str": "relu", "apply_b_dec_to_input": True, "normalize_activations": "none", "k": 4}
    (to / "cfg.json").write_text(json.dumps(config | changed))
    state = {"W_enc": new(D, F), "b_enc": new(F), "W_dec": new(F, D), "b_dec": new(D)}
    state |= {"threshold": new(F)} if architecture == "jumprelu" else {}
    save_file(state, to / "sae_weights.safetensors")
    s = {name: part.double() for name, part in state.items()}

    def acts(layer: int, x: Tensor) -> Tensor:
        assert layer == 1
        pre = (x - x.mean(-1, keepdim=True) - s["b_dec"]) @ s["W_enc"] + s["b_enc"]  # of centred weights
        if architecture == "topk":
            return topk(pre, 4, relu=True)
        return pre.relu() * (pre > s["threshold"]) if architecture == "jumprelu" else pre.relu()

    return per_layer(acts, lambda i, a, x: a @ s["W_dec"] + s["b_dec"])
