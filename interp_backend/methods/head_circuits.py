"""The two circuits of a head, from its weights: what it attends to (QK), and what it then writes (OV).

After Elhage et al. (2021), "A mathematical framework for transformer circuits": between tokens, QK is
W_E W_Q W_K^T W_E^T and OV is W_E W_V W_O W_U. The gains of the norms are folded into the matrices; their scales, all
biases and the positions are left out, and so is everything that lower layers add to the embeddings. The unembedding is
centred over the vocabulary, because a softmax ignores what raises all logits equally.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.prompts import Last, read_text
from ..common.signatures import Count, OneOf
from ..engine.frozen_norm import Frozen
from ..engine.modules import norm_of, token_embeddings
from ..engine.turn import Turn
from ..language.interventions import in_range
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..results.head_table import HeadPairs, TokenPair
from ..results.step import Step

CIRCUITS = {
    "ov": ("OV", "what a head writes when it attends to a token: the tokens whose logits it raises"),
    "qk": ("QK", "which tokens a head attends to"),
}
NUMBERS_AT_ONCE = 16 << 20  # entries of the matrix of all pairs that are computed at a time


@method
def head_circuits(
    model: Any,
    layer: int,
    head: int,
    circuit: Annotated[str, OneOf(CIRCUITS, "circuit")] = "ov",
    *,
    prompt: str | None = None,
    last: Last = None,
    top_k: Annotated[int, Count("how many pairs to keep", 1, 1000)] = 10,
) -> Iterator[Step[HeadPairs]]:
    """The pairs of tokens that a head connects most strongly, by its weights alone.

    Args:
        model: a model that `load_model` returns or accepts.
        layer, head: the head.
        circuit: "ov": from a source token that the head attends to, to the token whose logit this raises; "qk": from a
            destination token to the source token that it attends to.
        prompt: restrict the first token of a pair to the tokens of a text, and for "qk" the second token too; by
            default both range over the whole vocabulary.
        last: use only this many tokens from the end of the text, and the token that begins it.
        top_k: how many pairs to keep at each end, 1 to 1000.

    Returns:
        A `HeadPairs`: `pairs`, the largest first, and `lowest`, the smallest first.

    Raises:
        ValueError: the model has no such head, or its weights do not give the circuit.
    """
    model = load_model(model)
    layer, head = in_range("layer", layer, model.n_layers), in_range("head", head, model.n_heads)
    if why := model.why_lacking("z", layer):
        raise ValueError(why)
    in_prompt = None if prompt is None else sorted(set(read_text(model, prompt, last)))
    with Turn(model), torch.no_grad():
        circuits = Circuits(model)
        vocabulary = len(circuits.embedded)
        left, right = circuits.factors(layer, head, circuit)  # [token, d_head], [d_head, token]
        rows = list(range(vocabulary)) if in_prompt is None else in_prompt
        columns = None if in_prompt is None or circuit == "ov" else torch.tensor(in_prompt, device=left.device)
        right = right if columns is None else right[:, columns]
        best = _Extremes(top_k)
        at_once = max(1, NUMBERS_AT_ONCE // vocabulary)
        began = time.perf_counter()
        # A few rows first: their extremes rule out most entries of the other rows.
        for start, stop in pairwise(dict.fromkeys([0, *range(min(16, at_once), len(rows), at_once), len(rows)])):
            part = rows[start:stop]
            products = left[part] @ right
            best.take(products, part, columns)
            yield Step(stop, len(rows), (time.perf_counter() - began) / stop * (len(rows) - stop))
        copying = float(circuits.copying(layer)[head]) if circuit == "ov" else None
    result = HeadPairs(
        params={"layer": layer, "head": head, "circuit": circuit, "prompt": prompt, "last": last, "top_k": top_k},
        pairs=_pairs(model, best.highest),
        lowest=_pairs(model, best.lowest),
        copying=copying,
        note=circuits.note(circuit),
    )
    yield Step(len(rows), len(rows), 0.0, result)


def _pairs(model: LanguageModel, found: Sequence[tuple[float, int, int]]) -> list[TokenPair]:
    return [
        TokenPair(source_id=a, source=model.token_text(a), target_id=b, target=model.token_text(b), value=value)
        for value, a, b in found
    ]


class _Extremes:
    """The largest and smallest entries of a matrix that is computed a few rows at a time."""

    def __init__(self, k: int):
        self.k = k
        self.highest: list[tuple[float, int, int]] = []
        self.lowest: list[tuple[float, int, int]] = []

    def take(self, part: Tensor, rows: list[int], columns: Tensor | None) -> None:
        for sign, known in ((1, self.highest), (-1, self.lowest)):
            ends = part.amax(1) if sign > 0 else -part.amin(1)
            least = sign * known[-1][0] if len(known) == self.k else -torch.inf
            better = (ends > least).nonzero()[:, 0]  # rows with an entry beyond the known extremes
            entries = sign * part[better]
            values, flat = entries.flatten().topk(min(self.k, entries.numel()))
            for value, at in zip(values.tolist(), flat.tolist()):
                row, column = divmod(at, part.shape[1])
                token = column if columns is None else int(columns[column])
                known.append((sign * value, rows[int(better[row])], token))
            known.sort(key=lambda one: (-sign * one[0], one[1], one[2]))
            del known[self.k :]


class Circuits:
    """The weights of a model's heads, with the gains of the norms folded in.

    Attributes:
        embedded: the embedding that each token adds to the residual stream, [token, d_model], float32.

    Raises:
        ValueError: the model does not have these weights.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        raw = model.raw
        layers = model.layers_with("pattern")
        for name, layer in [("v", layer) for layer in layers] or [("pattern", None)]:
            if why := model.why_lacking(name, layer):
                raise ValueError(f"This model's weights do not give its heads' circuits. {why}")
        try:
            embedded, unembed = raw.W_E.detach().float(), raw.W_U.detach().float()
            shapes = [tuple(getattr(raw.blocks[layers[0]].attn, name).shape) for name in ("W_Q", "W_K", "W_V", "W_O")]
        except (AttributeError, ValueError, RuntimeError) as problem:
            raise ValueError(f"This model's weights do not give its heads' circuits ({problem}).") from None
        if embedded.shape[1] != model.d_model or unembed.shape[0] != model.d_model or any(len(s) != 3 for s in shapes):
            raise ValueError("This model's embedding or heads are not of the model's width: it has no plain circuits.")
        known = min(len(embedded), len(raw.tokenizer))  # further rows have no token
        self.embedded, unembed = token_embeddings(model)[:known], unembed[:, :known]
        # A softmax ignores what raises all logits equally.
        self.unembed = unembed - unembed.mean(1, keepdim=True)
        self._final = self._norm("ln_final", None, "the final norm")

    def copying(self, layer: int) -> np.ndarray:
        """The eigenvalue score of each head's OV circuit, [head], from -1 to 1; 0 if the circuit is zero."""
        with torch.no_grad():
            values, writes = (
                self._read(layer, "W_V"),
                self._write(layer),
            )  # [head, d_model, d_head], [head, d_head, d_model]
            onto = writes @ self._into_itself @ values  # has the same nonzero eigenvalues
            eigenvalues = torch.linalg.eigvals(onto.double())
            sizes = eigenvalues.abs().sum(-1)
            score = eigenvalues.real.sum(-1) / sizes.clamp(min=1e-300)
            reach = writes.norm(dim=(1, 2)) * self._into_itself.norm() * values.norm(dim=(1, 2))
        return torch.where(sizes > 1e-6 * reach, score, 0).float().cpu().numpy()  # anything smaller is rounding

    def written(self, layer: int, tokens: list[int]) -> Tensor:
        """How much a unit of each entry of a head's value adds to the logits of these tokens, [head, d_head, token]."""
        return self._write(layer) @ self.unembed[:, tokens]

    def factors(self, layer: int, head: int, circuit: str) -> tuple[Tensor, Tensor]:
        """Two matrices, [token, d_head] and [d_head, token], whose product is the circuit.

        Raises:
            ValueError: the model normalises queries and keys, so its weights alone do not give the QK circuit.
        """
        if circuit == "ov":
            return self.embedded @ self._read(layer, "W_V")[head], self._write(layer)[head] @ self.unembed
        for name in ("q", "k"):
            if why := self.model.why_lacking(name, layer):
                raise ValueError(f"{why} The circuit ov needs none.")
        attention = self.model.raw.blocks[layer].attn
        if any(getattr(attention, name, None) is not None for name in ("q_norm", "k_norm")):
            raise ValueError(
                "This model's queries and keys pass a norm of their own, so its weights alone do not say what a head "
                "attends to. Choose the circuit ov."
            )
        queries, keys = self.embedded @ self._read(layer, "W_Q")[head], self.embedded @ self._read(layer, "W_K")[head]
        return queries / queries.shape[1] ** 0.5, keys.T

    def note(self, circuit: str) -> str:
        """A sentence about the terms that the numbers leave out."""
        common = "From the token embeddings alone: biases, the norms' scales and what lower layers add are left out"
        return f"{common}." if circuit == "ov" else f"{common}, and positions too. Divided by \u221ad_head."

    @cached_property
    def _into_itself(self) -> Tensor:
        """The unembedding followed by the embedding of the same tokens, [d_model, d_model]."""
        return self.unembed @ self.embedded

    def _norm(self, name: str, layer: int | None, called: str) -> Callable[[Tensor], Tensor]:
        """A norm without its scale and bias, as a function of rows [..., d_model]: gain, and centring if it centres."""
        return Frozen.unscaled(self.model, norm_of(self.model, name, layer), called).whole

    def _read(self, layer: int, name: str) -> Tensor:
        """An input matrix of each head with the norm's gain folded in, [head, d_model, d_head]."""
        block = self.model.raw.blocks[layer]
        weight = getattr(block.attn, name).detach().float()
        weight = weight.repeat_interleave(self.model.n_heads // len(weight), dim=0)
        norm = self._norm("ln1", layer, f"the norm of layer {layer}")
        folded = norm(
            torch.eye(self.model.d_model, device=weight.device, dtype=torch.float32)
        )  # row i is the norm's output for unit vector i
        return folded @ weight

    def _write(self, layer: int) -> Tensor:
        """The output matrix of each head with the gains of later norms folded in, [head, d_head, d_model]."""
        block = self.model.raw.blocks[layer]
        after = self._norm("ln1_post", layer, f"the norm after layer {layer}'s heads")
        return self._final(after(block.attn.W_O.detach().float()))
