"""How each layer reads the residual stream and writes into it: its norms and its heads' matrices, as plain tensors.

What a head or an MLP reads is the sum of what everything below it has written. To follow single paths of that sum, one
has to know which norm a layer reads it through, with which matrix each head reads and writes, and whether the MLP
reads what the attention of its own layer wrote. No list of architectures says it: each possibility is computed for
one short run and compared with what the model itself has there. A model that fits none of them is refused.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..language.model import LanguageModel
from .executor import difference
from .own import Own
from .turn import Turn

PARTS = ("q", "k", "v")


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        norm: the norm that queries, keys and values are read through; None reads the residual stream itself.
        read: for "q", "k" and "v", the matrix of each head [head, d_model, d_head]; keys and values may have fewer.
        read_bias: the same for the biases, [head, d_head].
        write: the matrix through which each head writes, [head, d_head, d_model].
        write_bias: what the attention layer adds beside its heads, [d_model]: it belongs to none of them.
        after: the norm of what the heads wrote together; None for most models.
        linears: for "q", "k", "v" and "o" the module that multiplies with these matrices.
        mlp: the MLP's module; None for a layer without one.
        mlp_norm: the norm that the MLP reads through; None reads the residual stream itself.
        own_norm: whether no other part of the layer reads through that norm.
        parallel: whether the MLP reads the layer's input, and so nothing of what the layer's own attention wrote.
    """

    norm: Any
    read: dict[str, Tensor]
    read_bias: dict[str, Tensor]
    write: Tensor
    write_bias: Tensor
    after: Any
    linears: dict[str, nn.Module]
    mlp: Any
    mlp_norm: Any
    own_norm: bool
    parallel: bool

    @property
    def heads(self) -> dict[str, int]:
        """How many heads have their own queries, keys and values."""
        return {part: len(matrix) for part, matrix in self.read.items()}

    def written(self, z: Tensor) -> Tensor:
        """What each head writes [head, ..., d_model], before any norm, from its mixed values z [..., head, d_head]."""
        return torch.einsum("...he,hed->h...d", z, self.write)

    def attention_out(self, heads: Tensor) -> Tensor:
        """What the attention layer adds to the residual stream, given what its heads write in all [..., d_model]."""
        whole = heads + self.write_bias
        return whole if self.after is None else through(self.after, whole)


def through(norm: Any, x: Tensor) -> Tensor:
    """A norm of x [..., d_model]."""
    return x if norm is None else norm(x.reshape(1, -1, x.shape[-1])).view_as(x)


# The graph: who writes, and what is read


def sender_names(wiring: Sequence[Layer]) -> list[str]:
    """The names of all nodes that write, in the order in which the model computes them."""
    names = ["input"]
    for at, layer in enumerate(wiring):
        names += [f"a{at}.h{head}" for head in range(layer.heads["q"])]
        names += [f"m{at}"] if layer.mlp is not None else []
    return names


def receiver_names(wiring: Sequence[Layer]) -> list[str]:
    """The names of all that is read. Heads that share keys and values have one input for all, named after the first."""
    names = []
    for at, layer in enumerate(wiring):
        for part, heads in layer.heads.items():
            shared = layer.heads["q"] // heads
            names += [f"a{at}.h{head * shared}<{part}>" for head in range(heads)]
        names += [f"m{at}"] if layer.mlp is not None else []
    return [*names, "logits"]


def writers(wiring: Sequence[Layer]) -> list[tuple[str, int]]:
    """The activations, with their layers, that say what every sender writes."""
    mlps = [("mlp_out", at) for at, layer in enumerate(wiring) if layer.mlp is not None]
    return [("resid_pre", 0), *(("z", at) for at in range(len(wiring))), *mlps]


class Reading(NamedTuple):
    """Receivers that are alike: the queries, keys or values of one layer, its MLP, or the logits.

    Attributes:
        layer, part: "q", "k", "v", "mlp" or "logits" of a layer; the logits are read after the last layer.
        columns: where they are among all receivers.
        before: how many senders they read: the first ones.
        row: the first of the senders that read here: the layer's heads, or its MLP.
    """

    layer: int
    part: str
    columns: slice
    before: int
    row: int


def readings(wiring: Sequence[Layer]) -> list[Reading]:
    """All receivers in their order."""
    made, column, row = [], 0, 1
    for at, layer in enumerate(wiring):
        for part, heads in layer.heads.items():
            made.append(Reading(at, part, slice(column, column + heads), row, row))
            column += heads
        mlp = row + layer.heads["q"]
        if layer.mlp is not None:
            made.append(Reading(at, "mlp", slice(column, column + 1), row if layer.parallel else mlp, mlp))
            column += 1
        row = mlp + (layer.mlp is not None)
    return [*made, Reading(len(wiring), "logits", slice(column, column + 1), row, row)]


def real_edges(wiring: Sequence[Layer]) -> Tensor:
    """Which senders each receiver reads, [sender, receiver], on the model's device."""
    every = readings(wiring)
    real = torch.zeros(every[-1].before, every[-1].columns.stop, dtype=torch.bool, device=wiring[0].write.device)
    for reading in every:
        real[: reading.before, reading.columns] = True
    return real


# Recognising


class _Found(NamedTuple):
    """By which names a layer's norms were recognised."""

    norm: str | None
    after: str | None
    mlp_norm: str | None
    parallel: bool


# By the raw model: names and no modules, which would keep the model alive.
_known: weakref.WeakKeyDictionary[Any, dict[Any, list[_Found]]] = weakref.WeakKeyDictionary()


def wiring_of(turn: Turn) -> list[Layer]:
    """Every layer of a model.

    Raises:
        ValueError: a layer is not understood; the message says what about it.
    """
    model = turn.model
    known = _known.setdefault(model.raw, {})
    key = (model.weights, model.dtype, str(model.device))
    if key not in known:
        _refuse_absent(model)
        known[key] = turn.run(lambda: [*_recognised(model)])
    return [_layer(model, layer, found) for layer, found in enumerate(known[key])]


def _refuse_absent(model: LanguageModel) -> None:
    if not hasattr(model.raw, "adapter"):
        raise _not_understood("it is not a TransformerBridge", "Load it as one")
    for layer in range(model.n_layers):
        names = ["resid_pre", "q", "k", "v", "z", "attn_out", "resid_post"]
        if getattr(model.raw.blocks[layer], "mlp", None) is not None:
            names.append("mlp_out")
        for name in names:
            if why := model.absent.get(name, {}).get(layer):
                raise _not_understood(f"it has no {name} in layer {layer}: {why}")


def _not_understood(why: str, instead: str = "Use activation patching") -> ValueError:
    return ValueError(f"The edges of this model are not known, because {why}. {instead}.")


def _layer(model: LanguageModel, layer: int, found: _Found) -> Layer:
    block = model.raw.blocks[layer]
    linears = {part: _linear(block, part, layer) for part in (*PARTS, "o")}
    d_head = _matrix(linears["o"]).shape[0] // model.n_heads
    read = {part: _matrix(linears[part]) for part in PARTS}
    return Layer(
        norm=_named(block, found.norm),
        read={part: matrix.view(len(matrix), -1, d_head).transpose(0, 1) for part, matrix in read.items()},
        read_bias={part: _bias(linears[part], read[part].shape[1]).view(-1, d_head) for part in PARTS},
        write=_matrix(linears["o"]).reshape(model.n_heads, d_head, -1),
        write_bias=_bias(linears["o"], model.d_model),
        after=_named(block, found.after),
        linears=linears,
        mlp=getattr(block, "mlp", None),
        mlp_norm=_named(block, found.mlp_norm),
        own_norm=found.mlp_norm is not None and found.mlp_norm != found.norm,
        parallel=found.parallel,
    )


def _named(block: Any, name: str | None) -> Any:
    return None if name is None else getattr(block, name)


def _linear(block: Any, part: str, layer: int) -> nn.Module:
    module = getattr(getattr(block.attn, part, None), "original_component", None)
    if not isinstance(getattr(module, "weight", None), Tensor):
        raise _not_understood(f"layer {layer} shows no matrix of its heads' {part}")
    assert isinstance(module, nn.Module)
    return module


def _matrix(linear: Any) -> Tensor:
    """The matrix of a linear module, [input, output]."""
    weight = linear.weight.detach()
    return weight if type(linear).__name__ == "Conv1D" else weight.T


def _bias(linear: Any, size: int) -> Tensor:
    bias = getattr(linear, "bias", None)
    return linear.weight.new_zeros(size) if bias is None else bias.detach()


def _recognised(model: LanguageModel) -> Iterator[_Found]:
    seen: dict[str, Tensor] = {}

    def keeping(name: str) -> Any:
        return Own(lambda value, hook: seen.__setitem__(name, value.detach()[0].clone()))

    activations = ("resid_pre", "q", "k", "v", "z", "attn_out", "mlp_out", "resid_post")
    names = {(name, layer): model.hook_name(name, layer) for name in activations for layer in range(model.n_layers)}
    names |= {("mlp_in", layer): mlp_input(layer) for layer in range(model.n_layers)}
    there = [name for name in names.values() if name in model.raw.hook_dict]
    tokens = torch.arange(4, device=model.device)[None] % model.d_vocab
    with torch.no_grad():
        with model.raw.hooks(fwd_hooks=[(name, keeping(name)) for name in there]):
            model.raw(tokens)
        for layer in range(model.n_layers):
            yield _recognise(model, layer, {name: seen.get(names[name, layer]) for name, at in names if at == layer})


def mlp_input(layer: int) -> str:
    """The hook of what an MLP reads, after its norm."""
    return f"blocks.{layer}.mlp.hook_in"


def _recognise(model: LanguageModel, layer: int, seen: dict[str, Any]) -> _Found:
    """How a layer is wired, given its activations [position, ...] in one run."""
    block = model.raw.blocks[layer]

    def same(made: Tensor, name: str) -> bool:
        tolerance = 1e-3 if made.dtype.itemsize >= 4 else 5e-2
        there = seen[name]
        return (
            there is not None and made.numel() == there.numel() and difference(made.view_as(there), there) < tolerance
        )

    def fits(norm: str | None) -> bool:
        wired = _layer(model, layer, _Found(norm, None, None, False))
        x = through(wired.norm, seen["resid_pre"])
        made = {p: torch.einsum("td,hde->the", x, wired.read[p]) + wired.read_bias[p] for p in PARTS}
        return all(same(made[part], part) for part in PARTS)

    norms = [norm for norm in ("ln1", None) if norm is None or hasattr(block, norm)]
    norm = next((norm for norm in norms if fits(norm)), "none")
    if norm == "none":
        raise _not_understood(f"the queries, keys and values of layer {layer} are not a matrix times its input")
    after = "ln1_post" if hasattr(block, "ln1_post") else None
    attention = _layer(model, layer, _Found(norm, after, None, False))
    wrote = attention.attention_out(attention.written(seen["z"]).sum(0))
    mid = seen["resid_pre"] + wrote
    if attention.mlp is None:
        mlp_norm, parallel, whole = None, False, mid
    else:
        mlp_norm, parallel = _mlp_reads(block, layer, seen["resid_pre"], mid, same)
        whole = mid + seen["mlp_out"]
    if not same(wrote, "attn_out") or not same(whole, "resid_post"):
        raise _not_understood(f"what the heads and the MLP of layer {layer} write does not add up to its output")
    return _Found(norm, after, mlp_norm, parallel)


def _mlp_reads(block: Any, layer: int, pre: Tensor, mid: Tensor, same: Any) -> tuple[str | None, bool]:
    """The norm that an MLP reads through, and whether it reads the layer's input."""
    for norm, parallel in (("ln2", False), ("ln2", True), ("ln1", True), (None, False), (None, True)):
        if norm is not None and not hasattr(block, norm):
            continue
        if same(through(_named(block, norm), pre if parallel else mid), "mlp_in"):
            return norm, parallel
    raise _not_understood(f"the MLP of layer {layer} reads something else than a norm of the residual stream")
