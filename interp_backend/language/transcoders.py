"""Transcoders: sparse features that stand in for a model's MLPs, layer by layer or across layers.

A feature reads what its layer's MLP reads, and writes into the output of the MLP of the same layer (Dunefsky et al.
2024, arXiv:2406.11944) or of all layers from there on (cross-layer transcoders, Ameisen et al. 2025). Files differ in
what they do before and after their matrices: standardise the input, subtract a bias from it, scale the output. All of
that is affine, so it is folded into the rows and biases that are given out, and this is exactly the whole of it:

    pre = encoder_rows(layer, features) @ x[layer] + encoder_bias(layer, features)
    act = pre where the feature is active, else 0
    y[target] = sum of act * decoder_rows(layer, features)[target] + skip(target) @ x[target] + bias(target)

The matrices stay in their files. Each reading opens a file, copies the rows that are wanted, and closes it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from .loading import load_model
from .model import LanguageModel

NUMBERS_AT_ONCE = 2**23  # of an encoder, or of pre-activations

Kind = Literal["relu", "jumprelu", "topk", "signed topk"]
# What a layer of features can read: what it is, and the TransformerLens hook within the block from which it comes.
READS: dict[str, tuple[str, str]] = {
    "resid_mid": ("the residual stream between attention and MLP", "hook_resid_mid"),
    "normalized": ("what the MLP's norm makes of it before its gain and bias", "ln2.hook_scale"),
    "mlp_in": ("what the MLP reads, after its norm", "mlp.hook_in"),
    "resid_pre": ("the residual stream as it enters the block", "hook_resid_pre"),
    "resid_post": ("the residual stream as it leaves the block", "hook_resid_post"),
    "attn_out": ("what the attention layer writes", "hook_attn_out"),
    "mlp_out": ("what the MLP writes", "hook_mlp_out"),
}


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix [row, column], perhaps in a file.

    Attributes:
        opened: gives the matrix, in any precision. A memory-mapped file is closed when nothing refers to it any more.
        shape: its numbers of rows and columns.
        name: what to call it in an error.
    """

    opened: Callable[[], Tensor]
    shape: tuple[int, int]
    name: str

    def rows(self, which: slice | Tensor) -> Tensor:
        """Some rows, [row, column], in float32. Numbers of rows are on the CPU.

        Raises:
            ValueError: they are not finite numbers.
        """
        rows = self.opened()[which].float()
        self.refuse_infinite(rows)
        return rows

    def refuse_infinite(self, made: Tensor) -> None:
        """Raise ValueError if what was made of some rows is not finite numbers, which only such rows can cause."""
        if not torch.isfinite(made).all():
            raise ValueError(f"{self.name} is damaged: some of its numbers are not finite. Get the file again.")

    @staticmethod
    def of(values: Tensor, name: str) -> Matrix:
        """A matrix in memory."""
        return Matrix(lambda: values, (values.shape[0], values.shape[1]), name)


@dataclass(frozen=True, eq=False)
class Activation:
    """Which features are active. Whatever the kind, an active feature's activation is its pre-activation.

    Attributes:
        kind: "relu": those above zero. "jumprelu": those above their threshold. "topk": the `k` largest of a position,
            if they are above zero. "signed topk": the `k` largest, whatever their sign.
        threshold: for "jumprelu", [feature].
    """

    kind: Kind
    threshold: Tensor | None = None
    k: int | None = None


@dataclass(frozen=True, eq=False)
class Coder:
    """The features of one layer.

    Attributes:
        encoder: [feature, d_model].
        bias: [feature].
        decoders: by target layer, [feature, d_model].
        scale, shift: the encoder reads x * scale + shift, both [d_model]; None for 1 and 0.
    """

    encoder: Matrix
    bias: Tensor
    decoders: dict[int, Matrix]
    activation: Activation
    scale: Tensor | None = None
    shift: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """What all features together write into one layer.

    Attributes:
        bias: [d_model], after `scale`.
        skip: a matrix [d_model, d_model] that maps what the layer's own encoder reads; None for most.
        scale: what decoders and `skip` are multiplied by, [d_model]; None for 1.
    """

    bias: Tensor
    skip: Matrix | None = None
    scale: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Active:
    """The active features of one layer, sorted by position and then by feature.

    Attributes:
        positions, features: [n], int64.
        values: [n], float32: activations, which are also the pre-activations.
        shape: how many positions and features there are.
    """

    positions: Tensor
    features: Tensor
    values: Tensor
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.values)

    def dense(self) -> Tensor:
        """All activations, [position, feature]."""
        whole = self.values.new_zeros(self.shape)
        whole[self.positions, self.features] = self.values
        return whole


@dataclass(frozen=True)
class TranscoderFit:
    """How well transcoders stand in for a model's MLPs, on some texts.

    Attributes:
        l0: by layer, the mean number of active features at a position.
        explained: by target layer, the share of the variance of what the MLP writes that is explained, 1 at best.
        dead: by layer, how many features were never active.
        loss, replaced, zeroed: the mean loss, in nats per token, of the model, with every MLP replaced (each
            reading the replaced run itself), and with these MLPs writing zeros.
        tokens: how many tokens were predicted.
    """

    l0: dict[int, float]
    explained: dict[int, float]
    dead: dict[int, int]
    loss: float
    replaced: float
    zeroed: float
    tokens: int

    @property
    def recovered(self) -> float:
        """The share of the loss between MLPs of zeros and the model that the replaced MLPs win back."""
        return (self.zeroed - self.replaced) / (self.zeroed - self.loss)

    def __str__(self) -> str:
        layers = [
            f"layer {layer}: {self.l0[layer]:.1f} active, {self.dead[layer]} dead"
            + (f", {self.explained[layer]:.1%} explained" if layer in self.explained else "")
            for layer in self.l0
        ]
        loss = f"loss {self.loss:.3f}, replaced {self.replaced:.3f}, zeroed {self.zeroed:.3f} nats"
        return "\n".join([*layers, f"{loss} ({self.recovered:.1%} recovered, {self.tokens} tokens)"])


@dataclass(frozen=True, eq=False)
class Transcoders:
    """Transcoders, or sparse autoencoders, of some or all layers of a model. `load_transcoders` reads them from files.

    Attributes:
        name: their name in views and errors.
        layout: the kind of files that they come from, or "trained".
        d_model: the width of the residual stream.
        reads: what a layer's features read, a key of `READS`.
        writes: what their outputs stand for: "mlp_out", except for sparse autoencoders, which write what they read.
        coders: the features by layer.
        ends: what is written, by target layer.
        centred: whether what is read and written is meant minus its mean over d_model, as in a model whose writing
            weights are centred. After LayerNorms that mean has no effect, so nothing is lost: it is part of what
            the transcoders leave unexplained.
        folded: whether they were made for a model with its norms folded into its weights.
        before_post_norm: whether the output stands for what the MLP gives before a norm of its own, in models that
            have one (Gemma 2).
        model_name: the name of the model, as the files give it.
        model_hash: `LanguageModel.weights_hash` of the model that they were trained on; None if the files don't say.
        fit: how well they fit on the text that they were tried on; None for most files.
    """

    name: str
    layout: str
    d_model: int
    reads: str
    writes: str
    coders: dict[int, Coder]
    ends: dict[int, Target]
    centred: bool = False
    folded: bool = False
    before_post_norm: bool = False
    model_name: str | None = None
    model_hash: str | None = None
    fit: TranscoderFit | None = None

    def __post_init__(self) -> None:
        for layer, coder in self.coders.items():
            _check_coder(self, layer, coder)
        for layer, end in self.ends.items():
            for vector in (end.bias, end.scale):
                if vector is not None and vector.shape != (self.d_model,):
                    raise ValueError(f"{self.name} is damaged: the bias of layer {layer} is not {self.d_model} wide.")
            if end.skip is not None and end.skip.shape != (self.d_model, self.d_model):
                raise ValueError(f"{self.name} is damaged: the skip of layer {layer} is not d_model by d_model.")

    def __repr__(self) -> str:
        kind = "cross-layer transcoders" if self.cross_layer else "transcoders"
        kind = "sparse autoencoders" if self.reads == self.writes else kind
        widths = sorted({self.n_features(layer) for layer in self.layers})
        of = f" of {self.model_name}" if self.model_name else ""
        counts = " or ".join(f"{width:,}" for width in widths)
        return f"{len(self.layers)} {kind}{of} ({self.name!r}), {counts} features each, reading {self.reads}"

    # What there is

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that have features."""
        return tuple(sorted(self.coders))

    @property
    def written(self) -> tuple[int, ...]:
        """The layers that are written into."""
        return tuple(sorted(self.ends))

    @property
    def cross_layer(self) -> bool:
        """Whether features write into later layers than their own."""
        return any(set(coder.decoders) != {layer} for layer, coder in self.coders.items())

    def n_features(self, layer: int) -> int:
        """How many features a layer has."""
        return self._coder(layer).encoder.shape[0]

    def targets(self, layer: int) -> tuple[int, ...]:
        """The layers that a layer's features write into."""
        return tuple(sorted(self._coder(layer).decoders))

    @cached_property
    def weights_hash(self) -> str:
        """The first half of a SHA-256 of all shapes and biases, and of 64 rows of each matrix, evenly spread."""
        digest = hashlib.sha256(f"{self.reads} {self.writes} {self.centred} {self.folded}".encode())
        for name, part in self._parts():
            digest.update(f"{name} {tuple(part.shape)}".encode())
            if isinstance(part, Matrix):
                part = part.rows(torch.linspace(0, part.shape[0] - 1, min(64, part.shape[0])).long())
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def _parts(self) -> Iterator[tuple[str, Matrix | Tensor]]:
        for layer, coder in sorted(self.coders.items()):
            kind = coder.activation
            parts = {"encoder": coder.encoder, "bias": coder.bias, "scale": coder.scale, "shift": coder.shift}
            parts |= {f"to {target}": matrix for target, matrix in sorted(coder.decoders.items())}
            parts |= {f"{kind.kind} {kind.k}": coder.bias[:0], "threshold": kind.threshold}
            yield from ((f"{layer} {name}", part) for name, part in parts.items() if part is not None)
        for layer, end in sorted(self.ends.items()):
            parts = {"out bias": end.bias, "out scale": end.scale, "skip": end.skip}
            yield from ((f"{layer} {name}", part) for name, part in parts.items() if part is not None)

    # Reading

    def encode(self, layer: int, x: Tensor) -> Active:
        """The active features of one layer.

        The encoder is read in blocks of features, so that neither it nor all pre-activations are ever in memory.

        Args:
            x: what the layer's features read, [position, d_model].

        Raises:
            ValueError: there are no features in this layer, x has another width, or a number is not finite.
        """
        coder, x = self._coder(layer), self._vectors(layer, x)
        z = self._mapped(coder, x)
        count, block = coder.encoder.shape[0], max(1, NUMBERS_AT_ONCE // max(len(x), self.d_model))
        best: tuple[Tensor, Tensor] | None = None  # of TopK, the largest so far and whose they are
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for start in range(0, count, block):
            which = slice(start, min(start + block, count))
            rows = coder.encoder.opened()[which].float().to(x.device)
            pre = torch.nn.functional.linear(z, rows, coder.bias[which].to(x.device))
            coder.encoder.refuse_infinite(pre)  # cheaper than looking at all rows
            if coder.activation.k is None:
                threshold = coder.activation.threshold
                least = 0.0 if threshold is None else threshold[which].to(x.device)
                positions, features = (pre > least).nonzero(as_tuple=True)
                found.append((positions, features + start, pre[positions, features]))
            else:
                best = _larger(best, pre, start, coder.activation.k)
        if best is not None:
            values, features = best
            kept = values > 0 if coder.activation.kind == "topk" else values != 0
            positions = kept.nonzero(as_tuple=True)[0]
            found = [(positions, features[kept], values[kept])]
        positions, features, values = (torch.cat(parts) for parts in zip(*found))
        order = (positions * count + features).argsort()
        return Active(positions[order], features[order], values[order], (len(x), count))

    def activations(self, layer: int, feature: int, x: Tensor) -> Tensor:
        """The activation of one feature at each position, 0 where it is not active: [position], as `encode` gives it.

        Unless features compete for a position (TopK), its row of the encoder alone is read.

        Args:
            x: as in `encode`.

        Raises:
            ValueError: as `encode`, or the layer has no such feature.
        """
        coder, which = self._coder(layer), self._known(layer, torch.tensor([feature]))
        if coder.activation.k is not None:
            active = self.encode(layer, x)
            here, found = active.features == feature, active.values.new_zeros(len(x))
            found[active.positions[here]] = active.values[here]
            return found
        z = self._mapped(coder, self._vectors(layer, x))
        pre = torch.nn.functional.linear(z, coder.encoder.rows(which).to(z), coder.bias[which].to(z))[:, 0]
        threshold = coder.activation.threshold
        least = 0.0 if threshold is None else threshold[which].to(pre)
        return torch.where(pre > least, pre, 0.0)

    def encoder_rows(self, layer: int, features: Tensor) -> Tensor:
        """What features read, as directions in x: [feature, d_model]. Only these rows are read from the file."""
        coder = self._coder(layer)
        rows = coder.encoder.rows(self._known(layer, features))
        rows = rows if coder.scale is None else rows * coder.scale
        return rows - rows.mean(-1, keepdim=True) if self.centred else rows

    def encoder_bias(self, layer: int, features: Tensor) -> Tensor:
        """The pre-activation of features where x is zero, [feature]."""
        coder, features = self._coder(layer), self._known(layer, features)
        bias = coder.bias[features]
        return bias if coder.shift is None else bias + coder.encoder.rows(features) @ coder.shift

    def decoder_rows(self, layer: int, features: Tensor) -> dict[int, Tensor]:
        """What features of a layer write when their activation is 1: by target layer, [feature, d_model]."""
        coder, features = self._coder(layer), self._known(layer, features)
        rows = {target: coder.decoders[target].rows(features) for target in self.targets(layer)}
        scales = {target: self.ends[target].scale for target in rows}
        return {t: one if (scale := scales[t]) is None else one * scale for t, one in rows.items()}

    def skip(self, target: int) -> Tensor | None:
        """The linear map [d_model, d_model] from what a layer reads to what is written into it; None for most."""
        end = self.ends[target]
        if end.skip is None:
            return None
        coder, matrix = self._coder(target), end.skip.rows(slice(None))
        matrix = matrix if end.scale is None else matrix * end.scale[:, None]
        matrix = matrix if coder.scale is None else matrix * coder.scale
        return matrix - matrix.mean(-1, keepdim=True) if self.centred else matrix

    def bias(self, target: int) -> Tensor:
        """What is written into a layer where no feature is active and x is zero, [d_model]."""
        end = self.ends[target]
        shift = None if end.skip is None else self._coder(target).shift
        if end.skip is None or shift is None:
            return end.bias
        moved = end.skip.rows(slice(None)) @ shift
        return end.bias + (moved if end.scale is None else moved * end.scale)

    # Reconstructing

    def reconstruct(
        self, inputs: Mapping[int, Tensor], active: Mapping[int, Active] | None = None
    ) -> dict[int, Tensor]:
        """What the transcoders write.

        Args:
            inputs: by layer, what its features read, [position, d_model]. Features of layers that are not given do not
                write, and only layers that are given are reconstructed.
            active: by layer, its active features, which may have been changed; by default `encode` of the inputs.

        Returns:
            By target layer, [position, d_model].
        """
        active = active or {}
        whole = {t: self.bias(t).to(x).expand_as(x).clone() for t, x in inputs.items() if t in self.ends}
        for target in whole:
            if (matrix := self.skip(target)) is not None:
                whole[target] += torch.nn.functional.linear(inputs[target], matrix.to(inputs[target]))
        for layer in sorted(set(inputs) & set(self.coders)):
            found = active[layer] if layer in active else self.encode(layer, inputs[layer])
            for target, part in self.decode(layer, found).items():
                if target in whole:
                    whole[target] += part.to(whole[target])
        return whole

    def decode(self, layer: int, active: Active) -> dict[int, Tensor]:
        """What the active features of one layer write, without any bias: by target layer, [position, d_model]."""
        out = {target: active.values.new_zeros(active.shape[0], self.d_model) for target in self.targets(layer)}
        features, which = active.features.unique(return_inverse=True)
        block = max(1, NUMBERS_AT_ONCE // (self.d_model * len(out)))
        for start in range(0, len(features), block):
            here = (which >= start) & (which < start + block)
            rows = self.decoder_rows(layer, features[start : start + block])
            # A product with a small dense matrix is faster than adding up rows one by one.
            dense = active.values.new_zeros(active.shape[0], len(features[start : start + block]))
            dense[active.positions[here], which[here] - start] = active.values[here]
            for target, directions in rows.items():
                out[target] += dense @ directions.to(dense)
        return out

    # Which model they are for

    def check(self, model: Any, *, whole: bool = True) -> None:
        """Raise ValueError unless these are transcoders for this model.

        Args:
            model: a model that `load_model` returns or accepts.
            whole: whether they have to replace every MLP of the model.
        """
        model = load_model(model)
        last = max(*self.layers, *self.written)
        if self.d_model != model.d_model or last >= model.n_layers:
            raise ValueError(
                f"{self.name} is for a model of {last + 1} layers or more, {self.d_model} wide, and {model.name} has "
                f"{model.n_layers} layers, {model.d_model} wide. Load the transcoders of this model."
            )
        if self.model_hash is not None and self.model_hash != model.weights_hash:
            raise ValueError(
                f"{self.name} was trained on another model ({self.model_name}): the hash of its weights differs from "
                "this one's. Load the transcoders of this model, or train some: train_transcoders(model, texts)."
            )
        if model.weights == "folded" and not self.folded:
            raise ValueError(
                f"{self.name} reads a model with its weights as trained, and this one's norms are folded into its "
                "weights (and they are centred). Load the model without folding."
            )
        self._check_hooks(model)
        if whole:
            self._check_whole(model)

    def _check_hooks(self, model: LanguageModel) -> None:
        for layer in self.layers:
            needed = "resid_mid" if self.reads == "normalized" else self.reads
            why = model.why_lacking(needed, layer) if needed != "mlp_in" else None
            if not why and f"blocks.{layer}.{READS[self.reads][1]}" not in model.raw.hook_dict:
                why = f"This model has no {READS[self.reads][1]} in layer {layer}."
            if why:
                raise ValueError(f"{self.name} can't read this model. {why}")
        block = model.raw.blocks[self.layers[0]]
        if self.before_post_norm and hasattr(block, "ln2_post"):
            raise ValueError(
                f"{self.name} writes what the MLP gives before its post-norm (mlp.hook_out), and {model.name} has "
                "such a norm. Load transcoders that write hook_mlp_out."
            )
        centres = norm_centres(model, self.layers[0])
        if self.centred and not centres:
            raise ValueError(
                f"{self.name} is read as one for centred weights, and the norms of {model.name} do not centre. If it "
                "was made for the model as it is, load it with centred=False."
            )
        if self.reads == "normalized" and not self.folded and centres:
            raise ValueError(
                f"{self.name} reads ln2.hook_normalized of a model with a LayerNorm, which some versions of "
                "TransformerLens give before its gain and bias, and some after. Only files that say that the norm was "
                "folded can be read."
            )

    def _check_whole(self, model: LanguageModel) -> None:
        if self.writes != "mlp_out" or self.reads == self.writes:
            raise ValueError(
                f"{self.name} are sparse autoencoders of {self.writes}, which replace no MLP. Load transcoders."
            )
        missing = sorted(set(model.layers_with("mlp_out")) - set(self.written))
        if missing:
            raise ValueError(
                f"{self.name} has no transcoder for layer {', '.join(map(str, missing))} of {model.name}, and every "
                "MLP has to be replaced. Load the whole set: give the directory that holds all its layers."
            )

    # Within

    def _coder(self, layer: int) -> Coder:
        if layer not in self.coders:
            have = ", ".join(map(str, self.layers))
            raise ValueError(f"{self.name} has no features in layer {layer}, only in {have}.")
        return self.coders[layer]

    def _known(self, layer: int, features: Tensor) -> Tensor:
        """Numbers of features on the CPU, if the layer has them all."""
        features = torch.as_tensor(features, dtype=torch.int64).cpu()
        count = self.n_features(layer)
        if features.ndim != 1 or bool(((features < 0) | (features >= count)).any()):
            raise ValueError(f"The features of layer {layer} are numbered from 0 to {count - 1}, in a flat list.")
        return features

    def _vectors(self, layer: int, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise ValueError(f"{self.name} reads [position, {self.d_model}] in layer {layer}, not {tuple(x.shape)}.")
        x = x.detach().float()
        if not torch.isfinite(x).all():
            raise ValueError(
                f"The activations that {self.name} reads in layer {layer} are not numbers. Load the model in float32."
            )
        return x

    def _mapped(self, coder: Coder, x: Tensor) -> Tensor:
        """What the encoder's matrix multiplies."""
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        x = x if coder.scale is None else x * coder.scale.to(x)
        return x if coder.shift is None else x + coder.shift.to(x)

    # Keeping

    def save(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> Path:
        """Write a directory in circuit-tracer's layout, with what is folded into rows and biases.

        Args:
            dtype: the precision of the numbers in the files.

        Raises:
            ValueError: that layout can't say what these are, or a number is too large for the precision.
        """
        from .transcoder_files import circuit_tracer

        circuit_tracer.write(self, Path(directory), dtype)
        return Path(directory)

    def with_fit(self, fit: TranscoderFit) -> Transcoders:
        """The same transcoders, with how well they fit."""
        return replace(self, fit=fit)


def _larger(best: tuple[Tensor, Tensor] | None, pre: Tensor, start: int, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each position and whose they are, after one more block of features."""
    features = torch.arange(start, start + pre.shape[1], device=pre.device).expand_as(pre)
    if best is not None:
        pre, features = torch.cat([best[0], pre], 1), torch.cat([best[1], features], 1)
    values, which = pre.topk(min(k, pre.shape[1]), dim=1)
    return values, features.gather(1, which)


def _check_coder(whole: Transcoders, layer: int, coder: Coder) -> None:
    """Raise ValueError if the shapes of a layer's features do not fit together."""
    count, width = coder.encoder.shape
    vectors = {"bias": coder.bias, "threshold": coder.activation.threshold}
    wide = {"input scale": coder.scale, "input shift": coder.shift}
    fits = width == whole.d_model and count > 0 and set(coder.decoders) <= set(whole.ends)
    fits = fits and all(one is None or one.shape == (count,) for one in vectors.values())
    fits = fits and all(one is None or one.shape == (width,) for one in wide.values())
    for target, matrix in coder.decoders.items():
        if not fits or target < layer or matrix.shape != (count, width):
            fits = False
    if not fits:
        raise ValueError(
            f"{whole.name} is damaged: the shapes of its encoder, decoder and biases in layer {layer} do not fit "
            f"together with {count} features and a width of {whole.d_model}."
        )
    for name, vector in (vectors | wide).items():
        if vector is not None and not torch.isfinite(vector).all():
            raise ValueError(f"{whole.name} is damaged: the {name} of layer {layer} is not finite numbers.")


def norm_centres(model: LanguageModel, layer: int) -> bool:
    """Whether the norm that a layer's MLP reads through subtracts the mean: a LayerNorm does, an RMS norm does not."""
    rms = getattr(getattr(model.raw.blocks[layer], "ln2", None), "uses_rms_norm", None)
    if rms is None:  # HookedTransformer
        rms = str(getattr(model.raw.cfg, "normalization_type", "")).startswith("RMS")
    return not rms


def embedded_transcoders(model: Any) -> Transcoders | None:
    """The transcoders that come with the embedded model; None for any other model."""
    from .transcoder_files import load_transcoders

    model = load_model(model)
    found = load_transcoders()
    return found if found.model_hash == model.weights_hash else None
