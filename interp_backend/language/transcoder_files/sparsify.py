"""EleutherAI's sparsify: a directory for each hookpoint, with `cfg.json` and `sae.safetensors`; TopK after a ReLU.

With `transcode` they map what a module reads to what it writes, here an MLP, perhaps with `W_skip`; without, they are
sparse autoencoders of what a module writes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..transcoders import Activation, Coder, Target, Transcoders
from .stored import Config, parsed, read_json, stored

HOOKPOINT = re.compile(r"(?:.*\.)?(?:h|layers|blocks)\.(\d{1,4})(\.mlp)?")


class _Config(Config):
    d_in: Annotated[int, Field(gt=0)]
    k: Annotated[int, Field(gt=0)]
    activation: str = "topk"
    transcode: bool = False
    signed: bool = False
    embed_skip: bool = False
    gram_lookup: bool = False
    n_targets: int = 0
    n_sources: int = 0


def read(directories: list[Path], name: str) -> Transcoders:
    """Read the directories of some hookpoints, all of the same kind."""
    coders, ends, kinds, width = {}, {}, set(), 0
    for directory in directories:
        config = parsed(_Config, read_json(directory / "cfg.json"), directory / "cfg.json")
        match = HOOKPOINT.fullmatch(directory.name)
        if match is None or (config.transcode and not match[2]):
            raise ValueError(
                f"{directory.name!r} is not the name of a layer or of its MLP, such as h.3.mlp or layers.3. Give the "
                "directory the name of its hookpoint again."
            )
        other = "embed_skip" if config.embed_skip else "gram_lookup" if config.gram_lookup else None
        other = other or ("cross-layer targets" if config.n_targets > 1 or config.n_sources > 1 else None)
        other = other or (None if config.activation == "topk" else f"the activation {config.activation[:40]!r}")
        if other:
            raise ValueError(f"{directory.name} has {other}, which Hookscope does not know. Choose a plain TopK set.")
        layer, file = int(match[1]), stored(directory / "sae.safetensors")
        encoder, bias = file.matrix("encoder.weight"), file.vector("b_dec")
        width = encoder.shape[1]
        activation = Activation("signed topk" if config.signed else "topk", k=config.k)
        coders[layer] = Coder(
            encoder,
            file.vector("encoder.bias"),
            {layer: file.matrix("W_dec")},
            activation,
            shift=None if config.transcode else -bias,
        )
        ends[layer] = Target(bias, file.matrix("W_skip") if "W_skip" in file else None)
        kinds.add(("mlp_in", "mlp_out") if config.transcode else ("mlp_out",) * 2 if match[2] else ("resid_post",) * 2)
    if len(kinds) != 1:
        raise ValueError(f"{name} has coders of different places. Give a directory with those of one kind.")
    [(reads, writes)] = kinds
    return Transcoders(name, "sparsify", width, reads, writes, coders, ends)
