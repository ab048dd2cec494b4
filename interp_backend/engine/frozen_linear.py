"""A run as a linear map: attention patterns and the scales of norms are frozen, transcoders write in place of the MLPs.

What is written into the residual stream then reaches each later reader by a product of known matrices (Ameisen et al.
2025, "Circuit tracing"). So the effect of everything on a few readers is found in one pass down the layers: what the
readers read, as directions of the residual stream, is pulled back through one attention layer after another, and on the
way each writer's vector is multiplied by it. No gradient is computed and nothing is kept for one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..language.transcoders import Active, Transcoders, norm_centres
from .frozen_norm import FrozenRows
from .modules import logit_scale, module_dtype, norm_of, softcapped
from .recording import record
from .transcoded import read_hooks, what_is_read
from .turn import Turn
from .wiring import Layer, mlp_input, wiring_of

MOST_NUMBERS = 2**30  # of all vectors that active features write, in float32
FEATURE, ERROR, TOKEN, POSITION = range(4)  # the kinds of what is written, in the order of the columns


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """One layer of the linear map.

    Attributes:
        reads: the norm that its heads read through.
        pattern: [head, position, source position].
        value, value_bias: of each head that has its own values, [head, d_model, d_head] and [head, d_head].
        write: [head, d_head, d_model].
        write_bias: what the attention layer adds beside its heads, [d_model].
        after: the norm of what its heads write together; None for most models.
        read: how its features read the residual stream; None for a layer without an MLP.
        parallel: whether its MLP reads nothing of what its own attention wrote.
        skip: the linear part of its transcoder [d_model, d_model], in which a row is an output; None for most.
        bias: what its transcoder writes where no feature is active, [d_model].
        error: what its MLP wrote and its transcoder did not, [position, d_model].
    """

    reads: FrozenRows
    pattern: Tensor
    value: Tensor
    value_bias: Tensor
    write: Tensor
    write_bias: Tensor
    after: FrozenRows | None
    read: FrozenRows | None
    parallel: bool
    skip: Tensor | None
    bias: Tensor | None
    error: Tensor | None

    def heads_back(self, onto: Tensor) -> tuple[Tensor, Tensor]:
        """For each head, the directions of its values that these directions of the stream after it read.

        Args:
            onto: [row, position, d_model].

        Returns:
            [row, head, source position, d_head]; and what the biases beside the heads add, [row].
        """
        length, bias = onto.shape[1], onto.new_zeros(len(onto))
        if self.after is not None:
            bias = (onto @ self.after.bias).sum(1)
            onto = self.after.pulled_back(onto)
        bias = bias + (onto @ self.write_bias).sum(1)
        heads, size, width = self.write.shape
        entries = (onto @ self.write.reshape(heads * size, width).T).view(len(onto), length, heads, size)
        mixed = self.pattern[:, :length, :length].transpose(1, 2) @ entries.transpose(1, 2)
        return mixed, bias

    def attention_back(self, onto: Tensor) -> tuple[Tensor, Tensor]:
        """The directions of the stream before the attention layer that these directions after it read through it.

        Args:
            onto: [row, position, d_model].

        Returns:
            [row, position, d_model], and what the biases add, [row].
        """
        values, bias = self.heads_back(onto)
        own = len(self.value)
        values = values.view(len(onto), own, -1, *values.shape[2:]).sum(2)  # heads that share their values
        bias = bias + (values.sum(2) * self.value_bias).sum((1, 2))
        size = values.shape[-1]
        matrix = self.value.transpose(1, 2).reshape(own * size, -1)
        back = values.transpose(1, 2).flatten(2) @ matrix
        return self.reads.pulled_back(back), bias + (back @ self.reads.bias).sum(1)

    def each_head_back(self, onto: Tensor) -> tuple[Tensor, Tensor]:
        """The same for each head alone, [row, head, position, d_model] and [row, head]; a bias of no head is left out.

        Summed over heads, and with what `heads_back` says of biases, it is `attention_back`.
        """
        values, _ = self.heads_back(onto)
        shared = values.shape[1] // len(self.value)
        matrix, offset = self.value.repeat_interleave(shared, 0), self.value_bias.repeat_interleave(shared, 0)
        back = values @ matrix.transpose(1, 2)
        bias = (values.sum(2) * offset).sum(-1) + (back @ self.reads.bias).sum(2)
        return self.reads.pulled_back(back), bias


class Start(NamedTuple):
    """Readers, as directions of the residual stream.

    Attributes:
        layer: the layer of which they read the stream; the number of layers for the logits.
        early: whether they read it before the layer's attention, and not after it.
        onto: [row, position, d_model].
    """

    layer: int
    early: bool
    onto: Tensor


class Written(NamedTuple):
    """What is written into the stream after one layer's MLP at one position.

    Attributes:
        columns: the columns that write, as ranges without gaps.
        vectors: what they write, [column, d_model].
    """

    columns: list[range]
    vectors: Tensor


class FrozenRun:
    """One run of a prompt, its MLPs replaced by transcoders and what they miss, as a linear map.

    Attributes:
        tokens: the token ids.
        active: the active features by layer.
        layer, position, feature: of each active feature, in the order of layers, positions and features; the columns of
            `edges` begin with them.
        values: their activations, which are their pre-activations.
        kinds, column_layer, column_position: of every column, in the order of FEATURE, ERROR, TOKEN and POSITION; -1
            where there is none.
        logits: of the last position, before a softcap, [d_vocab].
        capped: whether the model's own logits differ from these by a softcap.
    """

    def __init__(self, turn: Turn, ids: Sequence[int], transcoders: Transcoders, most_active: int | None = None):
        """Run the prompt and read off everything.

        Args:
            most_active: how many active features there may be.

        Raises:
            ValueError: a layer of the model is not understood, its attention is more than a pattern times values, or
                the transcoders are not for this model.
            TooManyActive: there are more active features than allowed.
        """
        self.model, self.transcoders, self.tokens = turn.model, transcoders, list(ids)
        transcoders.check(self.model)
        wiring = wiring_of(turn)
        [self._run] = record(turn, [self.tokens], self._hooks(wiring), [[len(ids) - 1]])
        self.active: dict[int, Active] = {}
        self._encoded: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        turn.run(lambda: self._read(wiring, most_active))
        del self._run

    # What was recorded

    def _hooks(self, wiring: Sequence[Layer]) -> list[str]:
        names = ["resid_pre", "attn_out", "pattern", "v", "z"]
        hooks = {self.model.hook_name(name, layer) for name in names for layer in range(self.model.n_layers)}
        for layer in range(self.model.n_layers):
            if why := self.model.why_lacking("pattern", layer):
                raise ValueError(f"{why} An attribution graph needs the attention patterns.")
            if wiring[layer].mlp is not None:
                hooks |= {self.model.hook_name("mlp_out", layer), mlp_input(layer)}
        hooks |= {name for layer in self.transcoders.layers for name in read_hooks(self.transcoders.reads, layer)}
        hooks |= {self.model.hook_name("resid_post", self.model.n_layers - 1)}
        return sorted(hooks | ({"hook_embed"} if self.adds_positions else set()))

    @property
    def adds_positions(self) -> bool:
        """Whether the model adds embeddings of positions to those of tokens."""
        return getattr(self.model.raw.cfg, "positional_embedding_type", None) == "standard"

    def _at(self, activation: str, layer: int) -> Tensor:
        return self._run.activations[self.model.hook_name(activation, layer)].float()

    @torch.no_grad()
    def _read(self, wiring: Sequence[Layer], most_active: int | None) -> None:
        inputs = {}
        for layer in self.transcoders.layers:
            values = [self._run.activations[name] for name in read_hooks(self.transcoders.reads, layer)]
            inputs[layer] = what_is_read(self.model, self.transcoders.reads, layer, values)
        self.active = self._encode(inputs, most_active)
        self._number_columns()
        wrote = self.transcoders.reconstruct(inputs, self.active)
        self.readings = [{part: (one.read[part], one.read_bias[part]) for part in ("q", "k")} for one in wiring]
        self.layers = [self._layer(layer, one, inputs, wrote) for layer, one in enumerate(wiring)]
        self._note_writers()
        self._read_logits()

    def _encode(self, inputs: dict[int, Tensor], most_active: int | None) -> dict[int, Active]:
        """The active features of each layer. The first layers that have too many end it: those of all layers of a long
        prompt may not fit into memory."""
        active: dict[int, Active] = {}
        count = vectors = 0
        for layer, x in inputs.items():
            active[layer] = some = self.transcoders.encode(layer, x)
            count, vectors = count + len(some), vectors + len(some) * len(self.transcoders.targets(layer))
            if (most_active is not None and count > most_active) or vectors * self.model.d_model > MOST_NUMBERS:
                raise TooManyActive(count * len(inputs) // len(active), len(active) < len(inputs))
        return active

    def _layer(self, layer: int, wired: Layer, inputs: dict[int, Tensor], wrote: dict[int, Tensor]) -> FrozenLayer:
        pre, pattern = self._at("resid_pre", layer), self._at("pattern", layer)
        mid = pre + self._at("attn_out", layer)
        self._refuse_other_attention(layer, pattern)
        after = None
        if wired.after is not None:
            heads = wired.written(self._run.activations[self.model.hook_name("z", layer)]).sum(0) + wired.write_bias
            after = FrozenRows.of(self._rows(wired.after), heads.float(), f"the norm after layer {layer}'s attention")
        has_mlp = wired.mlp is not None and layer in wrote
        read = self._reading(layer, wired, pre if wired.parallel else mid, inputs) if layer in inputs else None
        skip = self.transcoders.skip(layer) if has_mlp else None
        return FrozenLayer(
            reads=self._norm(wired.norm, pre, f"the norm before layer {layer}'s attention"),
            pattern=pattern,
            value=wired.read["v"].float(),
            value_bias=wired.read_bias["v"].float(),
            write=wired.write.float(),
            write_bias=wired.write_bias.float(),
            after=after,
            read=read,
            parallel=wired.parallel,
            skip=None if skip is None else skip.to(pre),
            bias=self.transcoders.bias(layer).to(pre) if has_mlp else None,
            error=self._at("mlp_out", layer) - wrote[layer] if has_mlp else None,
        )

    def _rows(self, norm: Any) -> Callable[[Tensor], Tensor]:
        dtype = module_dtype(self.model)
        return lambda rows: norm(rows.to(dtype)[None])[0]

    def _norm(self, norm: Any, x: Tensor, name: str) -> FrozenRows:
        return FrozenRows.identity(x) if norm is None else FrozenRows.of(self._rows(norm), x, name)

    def _reading(self, layer: int, wired: Layer, x: Tensor, inputs: dict[int, Tensor]) -> FrozenRows:
        """How features read the stream x: itself, its norm before gain and bias, or what the MLP reads."""
        name = f"the norm before layer {layer}'s MLP"
        if self.transcoders.reads == "normalized":
            one, zero = torch.ones_like(x[0]), torch.zeros_like(x[0])
            return FrozenRows.fitted(one, zero, norm_centres(self.model, layer), x, inputs[layer], name)
        return self._norm(wired.mlp_norm if self.transcoders.reads == "mlp_in" else None, x, name)

    def _refuse_other_attention(self, layer: int, pattern: Tensor) -> None:
        """Raise ValueError if what the heads mixed is not their pattern times their values."""
        values, z = self._at("v", layer), self._at("z", layer)
        values = values.view(len(values), -1, z.shape[-1])
        mixed = torch.einsum("hqk,khe->qhe", pattern, values.repeat_interleave(z.shape[1] // values.shape[1], 1))
        if not torch.allclose(mixed, z.view_as(mixed), rtol=0, atol=1e-3 * float(z.abs().max() + 1e-6)):
            raise ValueError(
                f"The pattern of layer {layer} times its values is not the output of its heads in this model, so it "
                "can't be taken apart into features. Use activation patching."
            )

    # What is written

    def _number_columns(self) -> None:
        parts = [(layer, some) for layer, some in sorted(self.active.items())]
        self.layer = torch.cat([torch.full((len(some),), layer) for layer, some in parts])
        self.position = torch.cat([some.positions for _, some in parts]).cpu()
        self.feature = torch.cat([some.features for _, some in parts]).cpu()
        self.values = torch.cat([some.values for _, some in parts]).cpu()
        length, written = len(self.tokens), self.transcoders.written
        every = torch.arange(length)
        kinds = [(FEATURE, self.layer, self.position)]
        kinds += [(ERROR, torch.full((length,), layer), every) for layer in written]
        kinds += [(TOKEN, torch.full((length,), -1), every)]
        kinds += [(POSITION, torch.full((length,), -1), every)] if self.adds_positions else []
        self.kinds = torch.cat([torch.full((len(layers),), kind) for kind, layers, _ in kinds])
        self.column_layer = torch.cat([layers for _, layers, _ in kinds])
        self.column_position = torch.cat([positions for _, _, positions in kinds])
        self.first = {kind: int((self.kinds < kind).sum()) for kind in (ERROR, TOKEN, POSITION)}

    def _note_writers(self) -> None:
        """For each layer, all vectors that are written into the stream after its MLP, by position."""
        length = len(self.tokens)
        found: defaultdict[tuple[int, int], list[tuple[range, Tensor]]] = defaultdict(list)
        column = 0
        for layer, some in sorted(self.active.items()):
            positions, start = some.positions.cpu(), column
            column += len(some)
            features, which = some.features.cpu().unique(return_inverse=True)
            if not len(features):
                continue
            bounds = torch.searchsorted(positions, torch.arange(length + 1)).tolist()
            for target, rows in self.transcoders.decoder_rows(layer, features).items():
                for position, (first, last) in enumerate(itertools.pairwise(bounds)):
                    if last > first:
                        vectors = rows[which[first:last]] * some.values[first:last, None].cpu()
                        found[target, position].append((range(start + first, start + last), vectors))
        column = self.first[ERROR]
        for target in self.transcoders.written:
            error = self.layers[target].error
            for position in range(length if error is not None else 0):
                assert error is not None
                at = column + position
                found[target, position].append((range(at, at + 1), error[position : position + 1].cpu()))
            column += length
        device = self._run.tokens.device
        self.writers: dict[int, list[Written]] = {}
        for (target, _), parts in sorted(found.items()):
            columns, vectors = zip(*parts)
            self.writers.setdefault(target, []).append(Written([*columns], torch.cat(vectors).to(device)))
        first = self._at("resid_pre", 0)
        token = self._run.activations["hook_embed"].float() if self.adds_positions else first
        self.embedded = [token, *([first - token] if self.adds_positions else [])]

    def _read_logits(self) -> None:
        final = self._at("resid_post", self.model.n_layers - 1)
        norm = norm_of(self.model, "ln_final")
        self.final = FrozenRows.identity(final) if norm is None else FrozenRows.of(norm, final, "the final norm")
        self.capped = softcapped(self.model)
        [logits] = self._run.logits.values()
        self.shown_logits = logits.float().cpu()
        self.logit_scale = logit_scale(self.model)
        self.unembed, self.unembed_bias = self.model.raw.W_U.detach(), self.model.raw.b_U.detach()
        normed = final[-1:].to(module_dtype(self.model))
        normed = normed[0] if norm is None else norm(normed)[0]
        whole = self.logit_scale * (normed @ self.unembed + self.unembed_bias).float()
        self.logits = whole.cpu() if self.capped else self.shown_logits
        worst = float((whole.cpu() - self.logits).abs().max())
        if worst > 3e-2 * float(self.logits.abs().max()):
            raise ValueError(
                "This model's logits are not its unembedding times its final norm's output. Use activation patching."
            )

    # What reads

    def feature_start(self, layer: int, features: Sequence[int] | Tensor) -> tuple[Start, Tensor]:
        """Some active features of one layer, given by their columns; and their biases, [row].

        The start has as many positions as the last of these features needs.
        """
        at = torch.as_tensor(features)
        numbers, positions = self.feature[at], self.position[at]
        rows, bias = self._encoders(layer, numbers)
        read = self.layers[layer].read
        assert read is not None
        rows = rows.to(read.gain)
        bias = bias.to(rows) + rows @ read.bias
        onto = rows.new_zeros(len(at), int(positions.max()) + 1, rows.shape[1])
        onto[torch.arange(len(at)), positions] = read.pulled_back_at(rows, positions)
        return Start(layer, self.layers[layer].parallel, onto), bias

    def _encoders(self, layer: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and biases of the encoder. Those of all active features of a layer are read at once."""
        if layer not in self._encoded:
            every = self.feature[self.layer == layer].unique()
            rows, bias = self.transcoders.encoder_rows(layer, every), self.transcoders.encoder_bias(layer, every)
            self._encoded[layer] = (every, rows, bias)
        every, rows, bias = self._encoded[layer]
        at = torch.searchsorted(every, features)
        return rows[at], bias[at]

    def logit_start(self, tokens: Sequence[int]) -> tuple[Start, Tensor, Tensor]:
        """The logits of some tokens at the last position, minus the mean over all tokens: the readers, their biases and
        their values, [row] each."""
        at = torch.tensor(list(tokens), device=self.unembed.device)
        rows = self.logit_scale * (self.unembed[:, at] - self.unembed.mean(1, keepdim=True)).T.float()
        bias = self.logit_scale * (self.unembed_bias[at] - self.unembed_bias.mean()).float() + rows @ self.final.bias
        last = len(self.tokens) - 1
        onto = rows.new_zeros(len(at), last + 1, rows.shape[1])
        onto[:, last] = self.final.pulled_back_at(rows, torch.full((len(at),), last))
        values = self.logits[list(tokens)] - self.logits.mean()
        return Start(len(self.layers), False, onto), bias, values

    # The pass down the layers

    def edges(self, starts: Sequence[Start]) -> tuple[Tensor, Tensor]:
        """What every column and the biases add to what some readers read.

        Args:
            starts: the readers, those of the highest layers first.

        Returns:
            [row, column], and [row] for the biases of everything below a reader; its own is not in it.
        """
        carried = _Carried(self, starts)
        for layer in reversed(range(len(self.layers))):
            carried.through(layer)
        return carried.ended()

    def by_last_head(self, start: Start) -> tuple[Tensor, Tensor]:
        """What every column adds to what one reader reads, told apart by the last head on the way.

        Args:
            start: one reader.

        Returns:
            What comes through no head, [column]; and through each head, [layer, head, column].
        """
        direct = _Carried(self, [start], attention=False)
        for layer in reversed(range(len(self.layers))):
            direct.through(layer)
        starts = [
            Start(number, True, self.layers[number].each_head_back(onto)[0][0])
            for number, onto in direct.passed.items()
        ]
        found, _ = direct.ended()
        heads = torch.zeros(len(self.layers), self.model.n_heads, found.shape[1])
        if starts:
            through, _ = self.edges(starts)
            heads[list(direct.passed)] = through.view(len(starts), self.model.n_heads, -1)
        return found[0], heads

    def head_start(self, layer: int, part: str, head: int, position: int, onto: Tensor) -> tuple[Start, Tensor]:
        """A direction [d_head] of a head's queries ("q") or keys ("k") at a position, as a reader; and its bias."""
        matrix, bias = self.readings[layer][part]
        which = head * len(matrix) // self.model.n_heads
        row = (matrix[which].float() @ onto)[None]
        reads = self.layers[layer].reads
        spread = row.new_zeros(1, position + 1, row.shape[1])
        spread[:, position] = reads.pulled_back_at(row, torch.tensor([position]))
        return Start(layer, True, spread), bias[which].float() @ onto + row @ reads.bias


class TooManyActive(ValueError):
    """More features are active than a graph can have.

    Attributes:
        count: how many are active.
        guessed: whether that is what the first layers' count comes to in all layers.
    """

    def __init__(self, count: int, guessed: bool):
        super().__init__(f"{count:,} features are active on this prompt.")
        self.count, self.guessed = count, guessed


class _Carried:
    """The directions that some readers read, on their way down."""

    def __init__(self, run: FrozenRun, starts: Sequence[Start], attention: bool = True):
        self.run, self.starts, self.attention = run, list(starts), attention
        self.passed: dict[int, Tensor] = {}  # without attention, what was read of the stream after each layer's
        rows, length = sum(len(s.onto) for s in starts), max(s.onto.shape[1] for s in starts)
        like = starts[0].onto
        self.onto = like.new_zeros(rows, length, like.shape[2])
        self.found, self.bias = torch.zeros(rows, len(run.kinds)), like.new_zeros(rows)
        self.live = 0
        self._take(len(run.layers), False)

    def _take(self, layer: int, early: bool) -> None:
        """Let the readers of this place join."""
        while self.starts and (self.starts[0].layer, self.starts[0].early) == (layer, early):
            onto = self.starts.pop(0).onto
            self.onto[self.live : self.live + len(onto), : onto.shape[1]] = onto
            self.live += len(onto)

    def through(self, number: int) -> None:
        """Down one layer."""
        layer = self.run.layers[number]
        skipped = self._mlp(number, layer)
        if not layer.parallel and skipped is not None:
            self.onto[: self.live] += skipped
        self._take(number, False)
        if self.live and not self.attention:
            self.passed[number] = self.onto[: self.live].clone()
        elif self.live:
            added, bias = layer.attention_back(self.onto[: self.live])
            self.bias[: self.live] += bias
            self.onto[: self.live] += added
        if layer.parallel and skipped is not None:
            self.onto[: self.live] += skipped
        self._take(number, True)

    def _mlp(self, number: int, layer: FrozenLayer) -> Tensor | None:
        """What is written in place of an MLP; and what is read through the linear part of the transcoder."""
        if not self.live or layer.bias is None:
            return None
        onto, found, length = self.onto[: self.live], self.found[: self.live], self.onto.shape[1]
        for position, (columns, vectors) in enumerate(self.run.writers[number][:length]):
            added, at = (onto[:, position] @ vectors.T).cpu(), 0
            for some in columns:
                found[:, some.start : some.stop] += added[:, at : at + len(some)]
                at += len(some)
        self.bias[: self.live] += (onto @ layer.bias).sum(1)
        if layer.skip is None or layer.read is None:
            return None
        read = onto @ layer.skip
        self.bias[: self.live] += (read @ layer.read.bias).sum(1)
        return layer.read.pulled_back(read)

    def ended(self) -> tuple[Tensor, Tensor]:
        for kind, vectors in zip((TOKEN, POSITION), self.run.embedded):
            first, length = self.run.first[kind], self.onto.shape[1]
            self.found[:, first : first + length] = torch.einsum("rpd,pd->rp", self.onto, vectors[:length]).cpu()
        return self.found, self.bias.cpu()
