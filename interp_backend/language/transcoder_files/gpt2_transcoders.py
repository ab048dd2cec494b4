"""The layout of `pchlenski/gpt2-transcoders` (Dunefsky et al. 2024): one `.pt` file a layer, with its configuration.

They read the norm's output in a GPT-2 whose norms are folded into its weights, so before gain and bias, and were
trained on MLP outputs of centred weights. `W_enc` is [d_model, feature]; `b_dec` is subtracted from the input,
`b_dec_out` added to the output.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..transcoders import Activation, Coder, Target, Transcoders
from .stored import Config, Stored, parsed, unpickled

READ = re.compile(r"blocks\.(\d{1,4})\.ln2\.hook_normalized")
WRITTEN = re.compile(r"blocks\.(\d{1,4})\.hook_mlp_out")


class _Config(Config):
    hook_point: str
    out_hook_point: str
    is_transcoder: bool
    model_name: str | None = None


def read(paths: list[Path], name: str) -> Transcoders:
    """Read the files of some layers."""
    coders, ends, models, width = {}, {}, set(), 0
    for path in paths:
        state, fields = unpickled(path)
        config = parsed(_Config, fields, path)
        at, to = READ.fullmatch(config.hook_point), WRITTEN.fullmatch(config.out_hook_point)
        if not config.is_transcoder or not at or not to or at[1] != to[1]:
            raise ValueError(
                f"{path.name} reads {config.hook_point} and writes {config.out_hook_point}. Of this layout, "
                "transcoders from ln2.hook_normalized to hook_mlp_out of the same layer are read."
            )
        layer = int(at[1])
        if layer in coders:
            raise ValueError(f"Several files of {name} are of layer {layer}. Give a directory with one for each layer.")
        file = Stored(path, {key: tuple(value.shape) for key, value in state.items()})
        encoder = file.matrix("W_enc", transposed=True)
        width, decoder = encoder.shape[1], file.matrix("W_dec")
        shift = -file.vector("b_dec")
        coders[layer] = Coder(encoder, file.vector("b_enc"), {layer: decoder}, Activation("relu"), shift=shift)
        ends[layer] = Target(file.vector("b_dec_out"))
        models.add(config.model_name)
    if len(models) != 1:
        raise ValueError(f"The files of {name} are of several models: {', '.join(sorted(map(str, models)))}.")
    return Transcoders(
        name=name,
        layout="gpt2-transcoders",
        d_model=width,
        reads="normalized",
        writes="mlp_out",
        coders=coders,
        ends=ends,
        centred=True,
        folded=True,
        model_name=models.pop(),
    )
