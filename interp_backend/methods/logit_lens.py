"""The logit lens: what the model would predict if it stopped after this layer.

The residual stream after each layer is read through the model's own final norm and unembedding (nostalgebraist 2020,
"interpreting GPT: the logit lens"). The tuned lens puts a learned affine map before them (Belrose et al. 2023,
arXiv:2303.08112).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..common.method import method
from ..common.provenance import provenance
from ..common.signatures import AskedAs, Count, OneOf
from ..common.top_tokens import texts_of
from ..engine.modules import read_out, read_out_checked
from ..engine.recording import record
from ..engine.turn import Turn
from ..engine.watch import check
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.prompts import PromptPair, as_pair, tokenize
from ..language.tuned_lens import TunedLens, embedded_lens
from ..refusal import Refused
from ..results.lens import LensArrays, LensSide, LogitLens, Token
from ..results.step import Step

STREAMS = {
    "resid_pre": ("resid_pre", "the residual stream as it enters each block"),
    "resid_mid": ("resid_mid", "the residual stream between attention and MLP"),
    "resid_post": ("resid_post", "the residual stream as it leaves each block"),
    "attn_out": ("attn_out", "what each attention layer adds, read alone"),
    "mlp_out": ("mlp_out", "what each MLP adds, read alone"),
}
LENSES = {
    "logit": ("logit lens", "the model's own final norm and unembedding"),
    "tuned": ("tuned lens", "a learned affine map for each layer before the final norm and the unembedding"),
}


def _lens_to_json(lens: Any) -> Any:
    return {"own": "lens"} if isinstance(lens, TunedLens) else lens or "logit"


BYTES_AT_ONCE = 30 << 20  # bytes of logits; a few tensors of this size are alive at a time


@method
def logit_lens(
    model: Any,
    prompt: str | PromptPair,
    *,
    stream: Annotated[str, OneOf(STREAMS, "stream")] = "resid_post",
    targets: Annotated[Sequence[str | int] | None, Field(max_length=50)] = None,
    top_k: Annotated[int, Count("how many of the likeliest tokens to keep", 1, 1000)] = 10,
    lens: Annotated[Any, OneOf(LENSES, "lens"), AskedAs(None, _lens_to_json)] = "logit",
    last: Annotated[int | None, Count("how many tokens of the prompt to read")] = None,
) -> Iterator[Step[LogitLens]]:
    """What the model would predict next after each layer, at every position.

    Args:
        model: a model that `load_model` returns or accepts; not in training mode.
        prompt: a text, or a pair, whose prompts are both read.
        stream: "resid_post", "resid_mid" or "resid_pre" read the residual stream there; "attn_out" and "mlp_out" read
            only what a layer adds. The first row is always the embedding, and the last the model's own output.
        targets: tokens to follow through all cells, as texts of one token each or as ids; by default a pair's answers.
        top_k: how many of the likeliest tokens to keep, 1 or more.
        lens: "logit" for the logit lens; your own `TunedLens`; or "tuned" for the tuned lens that comes with the
            embedded model.
        last: read only this many tokens from the end of the prompt, after the token that begins the text.

    Returns:
        A `LogitLens`; `top_ids`, `top_logits` and `top_probs` [row, position, k], `entropy` and `kl_to_final` (nats)
        [row, position], `target_logit`, `target_prob` and `target_rank` [row, position, target]; `labels` of the rows.

    Raises:
        ValueError: the prompt is empty or too long, a target has several tokens, the model lacks the stream or an
            unembedding, activations are not numbers, or the lens belongs to another model.
    """
    model = load_model(model)
    texts, pair = texts_of_prompt(prompt)
    followed = targets_of(model, targets, pair, next(iter(texts.values())))
    top_k = min(top_k, int(model.raw.cfg.d_vocab))
    labels, hooks = rows_of(model, stream)
    lens = checked_lens(model, lens, stream)
    ids = {side: ids_of(model, side, text, last) for side, text in texts.items()}
    with Turn(model) as turn:
        began = time.perf_counter()
        arrays: dict[str, LensArrays] = {}
        done, total = 0, len(labels) * sum(map(len, ids.values()))
        yield Step(done, total)
        for side, tokens in ids.items():
            stack = stack_of(turn, tokens, hooks)
            yield Step(done, total)
            reader = Reader(turn, stack, [token.id for token in followed], top_k, lens)
            while not reader.complete:
                reader.read()
                so_far = done + reader.cells
                left = (time.perf_counter() - began) / so_far * (total - so_far)
                yield Step(so_far, total, left)
            done += reader.cells
            arrays[side] = reader.arrays()
        shown = [part.top_ids for part in arrays.values()]
        result = LogitLens(
            params={} if targets is None else {"targets_ids": [token.id for token in followed]},
            labels=labels,
            sides={
                side: LensSide(text=texts[side], ids=ids[side], tokens=model.token_texts(ids[side]), arrays=part)
                for side, part in arrays.items()
            },
            counterparts=counterparts_of(model, pair, last),
            targets=followed,
            tokens={**texts_of(model, *shown), **{token.id: token.text for token in followed}},
            provenance={**provenance(turn), "seconds": time.perf_counter() - began},
        )
        result.warnings += result.provenance.pop("warnings")
        if targets is None and pair is not None:
            result.warnings += _first_tokens(model, pair)
    yield Step(total, total, 0.0, result)


# Arguments


def checked_lens(model: LanguageModel, lens: Any, stream: str) -> TunedLens | None:
    """The tuned lens that the argument asks for, or None for the logit lens.

    Raises:
        ValueError: the lens belongs to another model, or "tuned" is asked for and no lens comes with the model.
    """
    if lens is None or lens == "logit":
        return None
    if lens == "tuned":
        lens = embedded_lens(model)
        if lens is None:
            raise ValueError(
                "No tuned lens comes with this model. Load one, lens=ib.TunedLens.load(directory), or train one, "
                "lens=ib.train_tuned_lens(model, texts)."
            )
    if not isinstance(lens, TunedLens):
        raise ValueError(f'lens is None, "tuned" or a TunedLens, not {lens!r}.')
    lens.refuse_other(model, stream)
    return lens


def texts_of_prompt(prompt: Any) -> tuple[dict[str, str], PromptPair | None]:
    """The texts by side, and the pair if the prompt is a pair.

    Raises:
        ValueError, TypeError: the argument is neither a text nor a pair.
    """
    if isinstance(prompt, str):
        return {"prompt": prompt}, None
    pair = as_pair(prompt)
    return {"clean": pair.clean, "corrupt": pair.corrupt}, pair


def ids_of(model: LanguageModel, side: str, text: str, last: int | None = None) -> list[int]:
    """The token ids of a prompt; with `last`, only those of its last tokens, after the token that begins the text.

    Raises:
        ValueError: the prompt is empty, or longer than the model's context.
    """
    name = "prompt" if side == "prompt" else f"{side} prompt"
    if not isinstance(text, str):
        raise ValueError(f"The {name} is a text, not {text!r}.")
    if not text:
        raise ValueError(f"The {name} is empty. Type a text.")
    ids = model.to_ids(text)
    if not ids:
        raise ValueError(f"The {name} has no tokens in this model. Type another text.")
    kept = _kept(model, ids, last)
    begins = kept[:1] == [0] and model.bos is not None and ids[0] == model.bos[0]
    ids = [ids[at] for at in kept]
    if len(ids) > model.n_ctx:
        most = model.n_ctx - begins
        raise Refused(
            f"The {name} has {len(ids)} tokens and the model reads at most {model.n_ctx}. Shorten it, or read its last "
            f"{most} tokens: last={most}.",
            f"Read the last {most} tokens",
            last=most,
        )
    return ids


def targets_of(
    model: LanguageModel, targets: Sequence[str | int] | None, pair: PromptPair | None, prompt: str
) -> list[Token]:
    """The followed tokens without duplicates; by default the answers of a pair.

    Raises:
        ValueError: a text is not exactly one token, or the vocabulary has no such id.
    """
    if targets is None and pair is not None:
        tokenized = tokenize(model, pair)
        ids = [token for side in ("clean", "corrupt") for token in tokenized.answer_ids(side)]
    elif isinstance(targets, (str, int)):
        raise ValueError(f"targets is a list of tokens to follow, such as [{targets!r}], not {targets!r}.")
    else:
        ids = [model.one_token(target, prompt) for target in targets or ()]
    return [Token(id=token, text=model.token_text(token)) for token in dict.fromkeys(ids)]


def rows_of(model: LanguageModel, stream: str) -> tuple[list[str], list[str]]:
    """The labels of the rows, and the hook from which each row is read.

    Raises:
        ValueError: the stream is unknown, or this model lacks it.
    """
    OneOf(STREAMS, "stream").check(stream)
    last = model.n_layers - 1
    for name, layer in ((stream, None), ("resid_pre", 0), ("resid_post", last)):
        if why := model.why_lacking(name, layer):
            raise ValueError(why)
    layers = {"resid_pre": range(1, last + 1), "resid_post": range(last)}.get(stream, range(last + 1))
    layers = [layer for layer in layers if layer in model.layers_with(stream)]
    ends = stream == "resid_post" or layers[-1:] != [last]  # the last block's output is labelled with its layer
    labels = ["emb", *map(str, layers), f"{last} out" if ends else "out"]
    hooks = [model.hook_name(stream, layer) for layer in layers]
    return labels, [model.hook_name("resid_pre", 0), *hooks, model.hook_name("resid_post", last)]


def stack_of(turn: Turn, ids: list[int], hooks: list[str]) -> Tensor:
    """The activations that are read, [row, position, d_model].

    Raises:
        ValueError: activations are not numbers; the message names the first such row.
    """
    [run] = record(turn, [ids], sorted(set(hooks)), [[]])
    stack = torch.stack([run.activations[hook] for hook in hooks])
    bad = ~torch.isfinite(stack).flatten(1).all(1)
    if bad.any():
        raise ValueError(
            f"The activations are not numbers (NaN, or infinite) from {hooks[int(bad.nonzero()[0])]} on for this "
            "prompt. Load the model in float32: some models overflow in half precision."
        )
    return stack


def counterparts_of(model: LanguageModel, pair: PromptPair | None, last: int | None = None) -> list[int | None] | None:
    """For each position of the clean prompt, its counterpart in the corrupt prompt, or None.

    The whole list is None for a single prompt, or if every position corresponds to itself.

    Args:
        last: as in `logit_lens`; positions are then counted among the tokens that are read.
    """
    if pair is None:
        return None
    tokenized = tokenize(model, pair)
    if last is None:
        return None if tokenized.aligned_one_to_one else tokenized.counterparts("clean")
    clean, corrupt = (_kept(model, tokenized.ids[side], last) for side in ("clean", "corrupt"))
    there = [tokenized.counterparts("clean")[at] for at in clean]
    counterparts = [corrupt.index(at) if at in corrupt else None for at in there]
    return None if counterparts == list(range(len(corrupt))) else counterparts


def _kept(model: LanguageModel, ids: list[int], last: int | None) -> list[int]:
    """The positions that are read: all, or the last ones and the first if its token begins every text."""
    begins = 1 if model.bos is not None and ids[:1] == [model.bos[0]] else 0
    return list(range(len(ids))) if last is None else [*range(begins), *range(begins, len(ids))[-last:]]


def _first_tokens(model: LanguageModel, pair: PromptPair) -> list[str]:
    """A warning for each answer of several tokens, of which only the first token is followed."""
    warnings = []
    for side in ("clean", "corrupt"):
        for answer in pair.answers(side):
            tokens = model.token_texts(model.answer_ids(answer, getattr(pair, side)))
            if len(tokens) > 1:
                warnings.append(
                    f"The {side} answer “{answer}” is {len(tokens)} tokens; its first, “{tokens[0]}”, is followed."
                )
    return warnings


# Reading


class Reader:
    """Reads a stack of vectors column by column, so that few logits are alive at a time.

    Args:
        stack: [row, position, d_model]; its last row is the input of the model's final norm.
        targets: the ids of the followed tokens.
        lens: a tuned lens, or None.
    """

    def __init__(self, turn: Turn, stack: Tensor, targets: Sequence[int], top_k: int, lens: Any):
        self.turn, self.model, self.stack, self.targets, self.top_k = turn, turn.model, stack, list(targets), top_k
        self._lens = lens
        n_rows, self.length, _ = stack.shape
        vocabulary = int(self.model.raw.cfg.d_vocab)
        self._rows = max(1, BYTES_AT_ONCE // (4 * vocabulary))  # the number of vectors that are unembedded at a time
        self._columns = max(1, min(self.length, self._rows))
        self._next = 0
        cells = (n_rows, self.length)
        self._made = {
            **{f"top_{name}": np.empty((*cells, top_k), kind) for name, kind in _TOP.items()},
            **{name: np.empty(cells, np.float32) for name in ("entropy", "kl_to_final")},
            **{f"target_{name}": np.empty((*cells, len(self.targets)), kind) for name, kind in _TARGET.items()},
        }

    @property
    def complete(self) -> bool:
        return self._next >= self.length

    @property
    def cells(self) -> int:
        """How many cells have been read."""
        return self._next * len(self.stack)

    def arrays(self) -> LensArrays:
        return LensArrays(**self._made)

    def read(self) -> None:
        """Read the next columns."""
        start, stop = self._next, min(self._next + self._columns, self.length)
        with torch.no_grad():
            self.turn.run(lambda: self._read(start, stop))
        self._next = stop

    def _read(self, start: int, stop: int) -> None:
        last = len(self.stack) - 1
        final = read_out_checked(self.model, self.stack[last:, start:stop])
        log_probs = final.log_softmax(-1)
        if torch.isnan(log_probs).any():
            raise ValueError(
                "The model's output is not a number (NaN) in the final norm or the unembedding. Load it in float32: "
                "some models overflow in half precision."
            )
        final_probs = log_probs[0].exp()
        self._final_cross = _expected(final_probs, log_probs)[0]
        self._write(final, log_probs, final_probs, last, start, stop)
        rows = max(1, self._rows // (stop - start))
        for row in range(0, last, rows):
            check()
            vectors = self._translated(row, min(row + rows, last), start, stop)
            logits = read_out(self.model, vectors.to(self.model.raw.W_U.dtype), None).float()
            self._write(logits, logits.log_softmax(-1), final_probs, row, start, stop)

    def _translated(self, row: int, stop_row: int, start: int, stop: int) -> Tensor:
        vectors = self.stack[row:stop_row, start:stop]
        if self._lens is None:
            return vectors
        return torch.stack([self._lens.translate(row + i, vector) for i, vector in enumerate(vectors)])

    def _write(self, logits: Tensor, log_probs: Tensor, final_probs: Tensor, row: int, start: int, stop: int) -> None:
        """Keep the readings of some rows and columns, from logits and log-probabilities [row, position, token]."""
        at = slice(row, row + len(logits)), slice(start, stop)
        made = self._made
        top, ids = logits.topk(self.top_k, dim=-1)
        made["top_ids"][at], made["top_logits"][at] = ids.int().cpu(), top.cpu()
        made["top_probs"][at] = log_probs.gather(-1, ids).exp().cpu()
        # KL(final || row) = sum p_final log p_final - sum p_final log p_row
        made["kl_to_final"][at] = (self._final_cross - _expected(final_probs, log_probs)).clamp(min=0).cpu()
        if self.targets:
            known = logits[..., self.targets]
            made["target_logit"][at] = known.cpu()
            made["target_prob"][at] = log_probs[..., self.targets].exp().cpu()
            for i in range(len(self.targets)):
                made["target_rank"][(*at, i)] = _count(logits > known[..., i : i + 1])
        # This overwrites the logits, which are no longer needed: allocating memory takes longer than the exponentials.
        probs = torch.exp(log_probs, out=logits)
        made["entropy"][at] = -_expected(probs, log_probs).cpu().numpy()


def _expected(probs: Tensor, log_probs: Tensor) -> Tensor:
    """Means [row, position] of log-probabilities [row, position, token] under distributions [..., position, token]."""
    terms = "pv,rpv->rp" if probs.ndim == 2 else "rpv,rpv->rp"
    mean = torch.einsum(terms, probs, log_probs)
    if torch.isnan(mean).any():  # a token with probability 0 gives 0 times minus infinity
        mean = torch.einsum(terms, probs, log_probs.clamp(min=-1e30))
    return mean


_TOP = {"ids": np.int32, "logits": np.float32, "probs": np.float32}
_TARGET = {"logit": np.float32, "prob": np.float32, "rank": np.int32}


def _count(marked: Tensor) -> np.ndarray:
    """Count the marked entries along the last axis. On a CPU, torch would first convert them to eight bytes each."""
    if marked.device.type != "cpu":
        return marked.sum(-1).int().cpu().numpy()
    rows = marked.reshape(-1, marked.shape[-1]).numpy()
    return np.array([np.count_nonzero(row) for row in rows], np.int32).reshape(marked.shape[:-1])


def trajectory(
    model: Any, result: LogitLens, side: str, position: int, ids: Sequence[int], lens: TunedLens | None
) -> LensArrays:
    """The readings of one column of a result with these tokens as targets, [row, 1, ...]."""
    model = load_model(model)
    _, hooks = rows_of(model, result.params["stream"])
    with Turn(model) as turn:
        stack = stack_of(turn, result.sides[side].ids[: position + 1], hooks)[:, -1:]
        reader = Reader(turn, stack, ids, 1, lens)
        reader.read()
        return reader.arrays()
