"""Random transcoders for any model, and the edges of an attribution graph by autograd, as an oracle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp_backend.language.transcoders import Activation, Coder, Matrix, Target, Transcoders


def random_transcoders(
    raw: TransformerBridge,
    *,
    kind: str = "relu",
    cross: bool = False,
    skip: bool = False,
    reads: str = "mlp_in",
    features: int = 12,
    seed: int = 0,
) -> Transcoders:
    """Transcoders of all layers with random weights, of which about a third of the features are active."""
    layers, width = raw.cfg.n_layers, raw.cfg.d_model
    generator = torch.Generator().manual_seed(seed)

    def new(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    coders, ends = {}, {}
    for layer in range(layers):
        to = range(layer, layers) if cross else [layer]
        threshold = new(features).abs() if kind == "jumprelu" else None
        coders[layer] = Coder(
            encoder=Matrix.of(new(features, width), "encoder"),
            bias=new(features) - (0.3 if kind == "relu" else 0.0),
            decoders={target: Matrix.of(new(features, width), "decoder") for target in to},
            activation=Activation(kind, threshold, 3 if "topk" in kind else None),  # type: ignore[arg-type]
        )
        ends[layer] = Target(new(width), Matrix.of(new(width, width), "skip") if skip else None)
    folded = reads == "normalized"  # what the gain and bias of the norm did is in the encoder, as files have it
    return Transcoders("random", "trained", width, reads, "mlp_out", coders, ends, folded=folded)


@contextmanager
def frozen(raw: TransformerBridge) -> Iterator[None]:
    """No gradient flows through attention patterns or through the scales of norms."""
    softmax = torch.nn.functional.softmax
    norms = [
        getattr(block, name) for block in raw.blocks for name in ("ln1", "ln1_post", "ln2") if hasattr(block, name)
    ]
    norms += [raw.ln_final] if hasattr(raw, "ln_final") else []
    handles = [norm.register_forward_hook(_without_scale) for norm in norms]
    try:
        with patch("torch.nn.functional.softmax", lambda *a, **k: softmax(*a, **k).detach()):
            yield
    finally:
        for handle in handles:
            handle.remove()


def centred_and_scale(norm, x):
    """What a norm divides, and by what."""
    own = getattr(norm, "original_component", norm)
    eps = next((getattr(own, name) for name in ("eps", "variance_epsilon") if hasattr(own, name)), 1e-5)
    centred = x if norm.uses_rms_norm else x - x.mean(-1, keepdim=True)
    return centred, (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def rescaled(norm, out, scale, kept):
    """The output of a norm as if it divided by another number."""
    bias = getattr(getattr(norm, "original_component", norm), "bias", None)
    bias = 0 if bias is None else bias
    return (out - bias) * (scale / kept) + bias


def _without_scale(norm, args, out):
    _, scale = centred_and_scale(norm, args[0])
    return rescaled(norm, out, scale, scale.detach())


def edges_by_autograd(raw, ids, transcoders, run, features, tokens):
    """What each column adds to features (by their columns) and to the logits of tokens, minus the mean logit.

    The whole model is run, and every column is a vector times a number of which the gradient is taken.
    """
    strength = torch.ones(len(run.kinds), requires_grad=True)
    layers, length = range(raw.cfg.n_layers), len(ids)
    read: dict[int, Tensor] = {}
    plain: dict[str, Tensor] = {}
    names = ["hook_embed", "blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_mlp_out" for layer in layers)]
    with torch.no_grad():
        keep = [(name, lambda v, hook, n=name: plain.__setitem__(n, v[0].clone())) for name in names]
        raw.run_with_hooks(torch.tensor([ids]), fwd_hooks=keep)
    embedded = [plain["blocks.0.hook_resid_pre"]]
    if raw.cfg.positional_embedding_type == "standard":
        embedded = [plain["hook_embed"], embedded[0] - plain["hook_embed"]]
    own = {name: torch.nonzero(run.kinds == kind)[:, 0] for name, kind in (("error", 1), ("token", 2), ("place", 3))}

    def enter(value, hook):
        parts = [strength[own[name]][:, None] * one for name, one in zip(("token", "place"), embedded)]
        return sum(parts)[None]

    def note(layer):
        def keeping(value, hook):
            read[layer] = value[0]
            if transcoders.reads == "normalized":
                centred, scale = centred_and_scale(raw.blocks[layer].ln2, value[0])
                read[layer] = centred / scale.detach()

        return keeping

    def written(layer):
        def write(value, hook):
            out = transcoders.bias(layer).repeat(length, 1)
            for column, (source, position, feature) in enumerate(zip(run.layer, run.position, run.feature)):
                rows = transcoders.decoder_rows(int(source), feature[None])
                if layer in rows:
                    add = torch.zeros_like(out)
                    add[position] = rows[layer][0] * run.values[column]
                    out = out + strength[column] * add
            if (matrix := transcoders.skip(layer)) is not None:
                out = out + read[layer] @ matrix.T
            with torch.no_grad():
                error = plain[f"blocks.{layer}.hook_mlp_out"] - out
            return (out + strength[own["error"]][layer * length :][:length, None] * error)[None]

        return write

    name = {"mlp_in": "mlp.hook_in", "resid_mid": "hook_resid_mid", "normalized": "hook_resid_mid"}
    name = name[transcoders.reads]
    hooks = [("blocks.0.hook_resid_pre", enter)]
    hooks += [(f"blocks.{layer}.{name}", note(layer)) for layer in layers]
    hooks += [(f"blocks.{layer}.hook_mlp_out", written(layer)) for layer in layers]
    with frozen(raw):
        logits = raw.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)[0, -1]
    if (cap := float(getattr(raw.cfg, "output_logits_soft_cap", 0) or 0)) > 0:
        logits = cap * torch.atanh(logits / cap)  # logits before the softcap
    targets = []
    for column in features:
        layer, feature = int(run.layer[column]), run.feature[column][None]
        x = read[layer][run.position[column]]
        targets.append(transcoders.encoder_rows(layer, feature)[0] @ x + transcoders.encoder_bias(layer, feature)[0])
    targets += [logits[token] - logits.mean() for token in tokens]
    found = [torch.autograd.grad(one, strength, retain_graph=True)[0] for one in targets]
    return torch.stack(found), torch.stack(targets).detach()
