"""Every architecture that TransformerLens boots: its activations are what their names say, and patching them equals
plain loops. The residual stream and the heads are patched in the plain transformers model, by plain module hooks."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from architectures import DECODERS, EVERY, N_HEADS, booted, decoder

import interp_backend as ib
from executor_cases import PAIR
from plain_loop import Change, assert_close, logit_diff, put_other, runs_of

# Known from the architectures, and not from what the backend says.
LATENT = {
    "DeepseekV2ForCausalLM",
    "DeepseekV3ForCausalLM",
    "Glm4MoeLiteForCausalLM",
    "GlmMoeDsaForCausalLM",
    "YoutuForCausalLM",
}
HYBRID = {  # state-space, linear-attention or convolution layers below, attention in layer 1
    "Lfm2ForCausalLM",
    "Lfm2MoeForCausalLM",
    "BambaForCausalLM",
    "JambaForCausalLM",
    "GraniteMoeHybridForCausalLM",
    "OlmoHybridForCausalLM",
    "Qwen3NextForCausalLM",
    "Qwen3_5ForCausalLM",
    "Qwen3_5MoeForCausalLM",
}
NO_ATTENTION = {  # or none that TransformerLens shows
    "MambaForCausalLM",
    "FalconMambaForCausalLM",
    "Mamba2ForCausalLM",
    "RwkvForCausalLM",
    "NemotronHForCausalLM",
    "Zamba2ForCausalLM",
    "RecurrentGemmaForCausalLM",
}
STRANGE = {"DeepseekV4ForCausalLM", "HrmTextForCausalLM"}  # several residual streams; blocks that run several times


def layers_with(name, activation):
    """The layers that have an activation."""
    if name in NO_ATTENTION and activation != "resid_pre":
        return []
    if activation == "z" and (name in LATENT or name == "JetMoeForCausalLM"):
        return []  # one head's values are not next to each other; experts of heads
    if name in HYBRID and (activation == "z" or (activation == "attn_out" and name != "OlmoHybridForCausalLM")):
        return [1]
    if activation == "mlp_out" and name in ("boot_native, attention only", "GraniteMoeHybridForCausalLM"):
        return []  # it has no MLP; TransformerLens does not show it
    return [0, 1]


class Transformers:
    """The same weights in a plain transformers model, and one prompt's run with one place changed."""

    def __init__(self, name):
        self.model = decoder(name)
        mapping = booted(name).adapter.component_mapping["blocks"]
        self.blocks, self.parts = mapping.name, mapping.submodules

    def site(self, layer, activation):
        block = f"{self.blocks}.{layer}"
        if activation == "resid_pre":
            return self.model.get_submodule(block)
        attention = self.parts["attn"]
        return self.model.get_submodule(f"{block}.{attention.name}.{attention.submodules['o'].name}")

    @contextmanager
    def entering(self, module, change):
        """`change` gets what enters a module, [position, entry], and writes into it in place."""

        def hook(module, args, kwargs):
            into = args[0] if args else kwargs["hidden_states"]
            change(into.reshape(-1, into.shape[-1]))

        handle = module.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def entered(self, module, ids):
        """What enters a module, [position, entry]."""
        kept = []
        with self.entering(module, lambda value: kept.append(value.clone())):
            self.logits(ids)
        return kept[0]

    def logits(self, ids):
        with torch.no_grad():
            return self.model(ids).logits[0, -1]


def by_module_hooks(name, activation, layers):
    """By position for resid_pre, by head for z: [layer, cell]."""
    raw, plain = booted(name), Transformers(name)
    clean, corrupt = (raw.to_tokens(text) for text in (PAIR.clean, PAIR.corrupt))
    rows = []
    for layer in layers:
        module = plain.site(layer, activation)
        there = plain.entered(module, clean)
        width = there.shape[-1] // N_HEADS
        cells = range(clean.shape[1]) if activation == "resid_pre" else range(N_HEADS)
        row = []
        for cell in cells:
            at = (cell,) if activation == "resid_pre" else (slice(None), slice(cell * width, (cell + 1) * width))
            with plain.entering(module, lambda value, at=at, there=there: value[at].copy_(there[at])):
                row.append(logit_diff(raw, plain.logits(corrupt), PAIR))
        rows.append(row)
    return rows


def by_transformer_lens(name, activation, layers):
    base, other = runs_of(booted(name), PAIR)
    values = [
        base.changed(Change(activation, layer, put_other(other, activation, layer), at))[-1]
        for layer in layers
        for at in ([position] for position in range(len(base)))
    ]
    return torch.tensor([logit_diff(base.raw, logits, PAIR) for logits in values]).view(len(layers), -1).numpy()


@pytest.mark.parametrize("name", EVERY)
def test_patching_equals_plain_loops(name):
    if name in STRANGE:
        with pytest.raises(ValueError, match=r"no resid_pre|decoder-only"):
            ib.activation_patching(booted(name), PAIR)
        return
    for activation in ("resid_pre", "attn_out", "mlp_out", "z"):
        layers = layers_with(name, activation)
        if not layers:
            with pytest.raises(ValueError, match=f"This model has no {activation}: "):
                ib.activation_patching(booted(name), PAIR, activation=activation)
            continue
        result = ib.activation_patching(booted(name), PAIR, activation=activation)
        assert result.places["layer"] == layers
        plainly = name in DECODERS and activation in ("resid_pre", "z")
        loop = by_module_hooks if plainly else by_transformer_lens
        expected = loop(name, activation, layers) if activation != "z" or plainly else None
        if expected is not None:
            assert_close(result.values, expected)
