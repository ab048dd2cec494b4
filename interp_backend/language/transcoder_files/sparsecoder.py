"""The layout of `mntss/sparsecoder-sweep-gpt2`: one file a layer, or one for each layer's encoder and decoders.

Decoders are transposed, [d_model, feature]. Layer i of a cross-layer set has, in `decoder_layer_i`, `W_dec_from_j` for
every source layer j up to i. All read the residual stream before the MLP's norm, through a ReLU.
"""

from __future__ import annotations

from pathlib import Path

from ..transcoders import Activation, Coder, Matrix, Target, Transcoders
from .circuit_tracer import numbered, one_layer
from .stored import stored


def read(directory: Path) -> Transcoders:
    """Read a directory with `layer_i.safetensors`, or with `encoder_layer_i` and `decoder_layer_i`."""
    if numbered(directory, "encoder_layer"):
        coders, ends = _cross_layer(directory)
    else:
        files = {layer: stored(path) for layer, path in numbered(directory, "layer").items()}
        layers = {
            layer: one_layer(file, layer, Activation("relu"), decoder_transposed=True) for layer, file in files.items()
        }
        coders = {layer: coder for layer, (coder, _) in layers.items()}
        ends = {layer: end for layer, (_, end) in layers.items()}
    width = next(iter(coders.values())).encoder.shape[1]
    return Transcoders(directory.name, "sparsecoder-sweep", width, "resid_mid", "mlp_out", coders, ends)


def _cross_layer(directory: Path) -> tuple[dict[int, Coder], dict[int, Target]]:
    encoders, decoders = numbered(directory, "encoder_layer"), numbered(directory, "decoder_layer")
    if set(encoders) != set(decoders) or set(encoders) != set(range(len(encoders))):
        raise ValueError(f"{directory} does not have an encoder and a decoder for every layer from 0 on.")
    readers = {layer: stored(path) for layer, path in encoders.items()}
    writers = {layer: stored(path) for layer, path in decoders.items()}
    into: dict[int, dict[int, Matrix]] = {source: {} for source in readers}
    ends = {}
    for target, file in writers.items():
        for source in range(target + 1):
            shape = readers[source].matrix("W_enc").shape
            into[source][target] = file.decoder(f"W_dec_from_{source}", *shape, transposed=True)
        skip = file.matrix("W_skip") if "W_skip" in file else None
        ends[target] = Target(file.vector("b_dec"), skip)
    coders = {
        layer: Coder(file.matrix("W_enc"), file.vector("b_enc"), into[layer], Activation("relu"))
        for layer, file in readers.items()
    }
    return coders, ends
