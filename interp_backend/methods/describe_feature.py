"""What a transcoder feature may mean: the tokens that it writes and reads, and its strongest examples in your texts.

The decoder through the unembedding, and embeddings through the encoder, need no text (Dunefsky et al. 2024,
arXiv:2406.11944); the examples are those of Bricken et al. 2023 ("Towards Monosemanticity").
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.provenance import provenance
from ..common.signatures import AskedAs, Count, Local
from ..engine.frozen_norm import Frozen
from ..engine.modules import logit_scale, norm_of, token_embeddings
from ..engine.transcoded import read_layer
from ..engine.turn import Turn
from ..engine.wiring import wiring_of
from ..language.interventions import in_range
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.prompts import doubled_bos
from ..language.transcoders import Transcoders, norm_centres
from ..results.feature_description import Example, FeatureDescription, WeighedToken
from ..results.step import Step, remaining
from .attribution_graph import described, transcoders_for

LONGEST = 1024  # tokens of a window: attention patterns grow with their square
POSITIONS_A_PASS = 1024
BINS = 20
KEPT_CHARACTERS = 20_000  # of texts among a result's parameters
VOCABULARY_AT_ONCE = 2**14  # rows of the embedding, columns of the unembedding


def _to_json(texts: Any) -> Any:
    """Texts as they are, unless they are a whole book: then the code of a result names the user's own object."""
    several = [texts] if isinstance(texts, str) else texts
    if several is None or sum(len(one) for one in several if isinstance(one, str)) <= KEPT_CHARACTERS:
        return texts if texts is None or isinstance(texts, str) else list(texts)
    return {"own": "texts"}


@method
def describe_feature(
    model: Any,
    layer: int,
    feature: int,
    texts: Annotated[str | Sequence[str] | None, AskedAs(str | list[str] | None, _to_json)] = None,
    transcoders: Annotated[Transcoders | None, Local()] = None,
    *,
    top_k: Annotated[int, Count("how many examples to keep", 1, 100)] = 10,
    tokens: Annotated[int, Count("how many tokens to list of each kind", 1, 100)] = 10,
    context: Annotated[int, Count("how many tokens to show on each side of an example", 0, 100)] = 12,
    prepend_bos: bool | None = None,
) -> Iterator[Step[FeatureDescription]]:
    """What a transcoder feature writes and reads, and where in your texts it is strongest.

    Args:
        model: a model that `load_model` returns or accepts.
        layer, feature: the feature.
        texts: a text or a list of texts in which to look for examples; None reads the weights alone. A text of more
            than 1,024 tokens, or more than the model reads, is cut into windows, each of which is run by itself after
            the token that begins a text, if there is one: so the first tokens of a window are read without what
            comes before them.
        transcoders: as in `attribution_graph`; sparse autoencoders do, too.
        top_k: how many examples to keep, at most one of each window.
        tokens: how many tokens to list that it promotes, suppresses, and is excited and inhibited by.
        context: how many tokens to show on each side of an example.
        prepend_bos: as in `attribution_graph`.

    Returns:
        A `FeatureDescription`. The first step has what is read from the weights, and the examples come as texts are
        read. A feature that is never active has no examples, which is a result too.

    Raises:
        ValueError: there is no such layer or feature, the texts are no texts or have no tokens, or the transcoders are
            not for this model.
    """
    model = load_model(model)
    transcoders = transcoders_for(model, transcoders)
    transcoders.check(model, whole=False)
    layer = in_range("layer", layer, model.n_layers)
    feature = in_range("feature", feature, transcoders.n_features(layer))
    windows = [] if texts is None else _windows(model, texts, prepend_bos)
    seen, total = _Seen(top_k, context), sum(window.length for window in windows)
    began = time.perf_counter()
    with Turn(model) as turn:
        weights = _from_weights(turn, transcoders, layer, feature, tokens)
        origin = provenance(turn)

        def result(complete: bool) -> FeatureDescription:
            return FeatureDescription(
                layer=layer,
                feature=feature,
                transcoders=described(transcoders),
                writes_to=list(transcoders.targets(layer)),
                **weights,
                **seen.fields(model),
                texts=1 if isinstance(texts, str) else len(texts or ()),
                warnings=_warnings(model, windows) + (seen.silent(layer, feature) if complete else []),
                provenance={**origin, "complete": complete, "seconds": time.perf_counter() - began},
            )

        if windows:
            yield Step(0, total, None, result(complete=False))
        for batch in _batches(windows):
            read = read_layer(turn, [window.ids for window in batch], transcoders.reads, layer)
            for window, x in zip(batch, read):
                seen.add(window, transcoders.activations(layer, feature, x).cpu().numpy())
            if seen.positions < total:
                left = remaining(time.perf_counter() - began, seen.positions, total)
                yield Step(seen.positions, total, left, result(complete=False))
        last = result(complete=True)
    yield Step(total, total, 0.0, last)


# Texts


class _Window(NamedTuple):
    """A part of a text that is run by itself.

    Attributes:
        text: the index of the text.
        start: the position in the text of the first token after the prefix.
        ids: the token ids, those that begin every text first.
        prefix: how many tokens begin every text.
    """

    text: int
    start: int
    ids: list[int]
    prefix: int

    @property
    def length(self) -> int:
        """How many tokens of the text it has."""
        return len(self.ids) - self.prefix


def _windows(model: LanguageModel, texts: Any, prepend_bos: bool | None) -> list[_Window]:
    """The parts of all texts.

    Raises:
        ValueError: these are no texts, or they have no tokens.
    """
    several = [texts] if isinstance(texts, str) else texts
    if not isinstance(several, Sequence) or not all(isinstance(text, str) for text in several):
        raise ValueError(f"texts is a text or a list of texts, not {texts!r:.60}.")
    begins = model.prefix(prepend_bos)
    room = max(1, min(LONGEST, model.n_ctx) - len(begins))
    found = []
    for number, text in enumerate(several):
        ids = model.to_ids(text, prepend_bos) if text else []
        first = len(begins) if ids[: len(begins)] == begins else 0
        for start in range(first, len(ids), room):
            found.append(_Window(number, start, ids[:first] + ids[start : start + room], first))
    if not found:
        raise ValueError("There is nothing to read in these texts: give one or more that have tokens.")
    return found


def _batches(windows: Sequence[_Window]) -> Iterator[list[_Window]]:
    """Windows of one length, as many as a pass takes."""
    by_length: dict[int, list[_Window]] = {}
    for window in windows:
        by_length.setdefault(len(window.ids), []).append(window)
    for length, alike in by_length.items():
        size = max(1, POSITIONS_A_PASS // length)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _warnings(model: LanguageModel, windows: Sequence[_Window]) -> list[str]:
    doubled = (doubled_bos(model, "prompt", window.ids) for window in windows)
    return [warning for warning in doubled if warning][:1]


@dataclass
class _Seen:
    """What the texts that were read so far say.

    Attributes:
        best: a heap of the strongest examples, the weakest first; of equals, the last in the texts.
    """

    top_k: int
    context: int
    positions: int = 0
    at_start: float | None = None
    values: list[np.ndarray] = field(default_factory=list)
    best: list[tuple[tuple[float, int, int], _Window, np.ndarray]] = field(default_factory=list)

    def add(self, window: _Window, activations: np.ndarray) -> None:
        """Note a window, given the activation at each of its tokens."""
        if window.prefix:  # the same in every window, since nothing stands before it
            self.at_start = float(activations[0])
        own = activations[window.prefix :]
        self.positions += len(own)
        self.values.append(own[own != 0])
        at = int(np.abs(own).argmax())
        if not own[at]:
            return
        start, stop = max(0, at - self.context), at + self.context + 1
        cut = _Window(window.text, window.start + start, window.ids[window.prefix :][start:stop], at - start)
        rank = (abs(float(own[at])), -window.text, -(window.start + at))
        push = heapq.heappush if len(self.best) < self.top_k else heapq.heappushpop
        push(self.best, (rank, cut, own[start:stop].copy()))

    def fields(self, model: LanguageModel) -> dict[str, Any]:
        """The part of the result that comes from texts."""
        values = np.concatenate(self.values) if self.values else np.empty(0, np.float32)
        self.values = [values]
        counts, edges = np.histogram(values, BINS, _span(values)) if len(values) else (np.empty(0), np.empty(0))
        return {
            "examples": [
                Example(
                    text=cut.text,
                    start=cut.start,
                    at=cut.prefix,
                    ids=cut.ids,
                    tokens=model.token_texts(cut.ids),
                    activations=activations,
                )
                for _, cut, activations in sorted(self.best, key=lambda one: one[0], reverse=True)
            ],
            "positions": self.positions,
            "active": len(values),
            "at_start": self.at_start,
            "counts": counts.astype(np.int32),
            "edges": edges.astype(np.float32),
        }

    def silent(self, layer: int, feature: int) -> list[str]:
        """A warning if the feature is active nowhere."""
        if not self.positions or any(map(len, self.values)):
            return []
        where = "at the token that begins every text alone" if self.at_start else "nowhere in these texts"
        return [f"Feature {feature} of layer {layer} is active {where}. Give other texts, or more of them."]


def _span(values: np.ndarray) -> tuple[float, float]:
    """The ends of a histogram: from zero, unless there are activations of both signs."""
    return min(0.0, float(values.min())), max(0.0, float(values.max()))


# Weights


@torch.no_grad()
def _from_weights(turn: Turn, transcoders: Transcoders, layer: int, feature: int, count: int) -> dict[str, Any]:
    """The part of the result that comes from weights."""
    model, which = turn.model, torch.tensor([feature])
    known = min(model.d_vocab, len(model.raw.tokenizer))  # further rows have no token
    blocks = [slice(at, at + VOCABULARY_AT_ONCE) for at in range(0, model.d_vocab, VOCABULARY_AT_ONCE)]
    if model.raw.W_E.shape[1] != model.d_model or model.raw.W_U.shape[0] != model.d_model:
        raise ValueError(
            "This model's embeddings are not of the model's width, so its features write and read no tokens."
        )
    final = Frozen.unscaled(model, norm_of(model, "ln_final"), "the final norm")
    row = sum(transcoders.decoder_rows(layer, which).values())[0].to(final.gain)  # type: ignore[index]
    row = final.whole(row)
    unembed = model.raw.W_U.detach()
    logits = logit_scale(model) * torch.cat([row @ unembed[:, some].float() for some in blocks])
    promoted, suppressed = _ends(model, (logits - logits.mean())[:known], count)
    onto, note = _reading(turn, transcoders, layer, transcoders.encoder_rows(layer, which)[0].to(row))
    excited, inhibited = [], []
    if onto is not None:
        onto = onto * _embedding_scale(turn, known)
        added = torch.cat([token_embeddings(model, some) @ onto for some in blocks])
        excited, inhibited = _ends(model, added[:known], count)
    return {
        "promoted": promoted,
        "suppressed": suppressed,
        "excited_by": excited,
        "inhibited_by": inhibited,
        "note": "Logits minus their mean over the vocabulary, for an activation of 1, by the direct path: through the "
        f"final norm's gain, but not divided by its scale, which differs from position to position. {note}",
    }


def _embedding_scale(turn: Turn, known: int) -> float:
    """By how much a model multiplies its embeddings before the first layer: not 1 in Gemma and Granite, for example."""
    few = torch.linspace(0, known - 1, min(8, known)).long().tolist()
    entering = torch.cat(read_layer(turn, [[token] for token in few], "resid_pre", 0))
    embedded = torch.cat([token_embeddings(turn.model, slice(token, token + 1)) for token in few])
    entering, embedded = entering - entering.mean(0), embedded - embedded.mean(0)  # positions add the same to each
    return float((entering * embedded).sum() / embedded.pow(2).sum().clamp(min=1e-30))


def _reading(turn: Turn, transcoders: Transcoders, layer: int, row: Tensor) -> tuple[Tensor | None, str]:
    """The direction of the residual stream that an encoder's row reads, if it reads that; and what to know about it."""
    reads, model = transcoders.reads, turn.model
    if reads in ("attn_out", "mlp_out"):
        return None, f"It reads {reads} and not the residual stream, so embeddings say nothing about its encoder."
    norm = Frozen.unscaled(model, None, "no norm")
    if reads == "normalized":
        norm = Frozen(norm.gain, norm.bias, 1.0, norm_centres(model, layer))
    elif reads == "mlp_in":
        try:
            found = wiring_of(turn)[layer].mlp_norm
        except ValueError as problem:
            return None, f"How its encoder reads embeddings is not known. {problem}"
        name = f"the norm before layer {layer}'s MLP"
        norm = Frozen.unscaled(model, None if found is None else lambda rows: found(rows[None])[0], name)
    scale = "" if reads.startswith("resid") else ", not divided by the scale of the norm that it reads through"
    lower = "" if layer == 0 else ", as if lower layers passed embeddings on unchanged"
    return norm.pulled_back(row), f"Embeddings through its encoder, without positions and biases{scale}{lower}."


def _ends(model: LanguageModel, values: Tensor, count: int) -> tuple[list[WeighedToken], list[WeighedToken]]:
    """The tokens of the largest values, and of the smallest; of equal ones the first in the vocabulary."""
    found = []
    for descending in (True, False):
        ids = values.sort(descending=descending, stable=True).indices[:count].tolist()
        found.append([WeighedToken(id=i, text=model.token_text(i), value=float(values[i])) for i in ids])
    return found[0], found[1]
