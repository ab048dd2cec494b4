"""The logit lens: what the model would say if it stopped after this layer.

The residual stream after each layer is read through the model's own final norm and unembedding (nostalgebraist 2020,
"interpreting GPT: the logit lens"). The tuned lens puts a learnt affine map before them (Belrose et al. 2023,
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
from ..common.signatures import AskedAs, OneOf
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
    "tuned": ("tuned lens", "a learnt affine map for each layer before the final norm and the unembedding"),
}


def _lens_to_json(lens: Any) -> Any:
    return {"own": "lens"} if isinstance(lens, TunedLens) else lens or "logit"


BYTES_AT_ONCE = 30 << 20  # of logits; a handful of tensors of that size are alive at a time


@method
def logit_lens(
    model: Any,
    prompt: str | PromptPair,
    *,
    stream: Annotated[str, OneOf(STREAMS, "stream")] = "resid_post",
    targets: Annotated[Sequence[str | int] | None, Field(max_length=50)] = None,
    top_k: Annotated[int, Field(ge=1, le=1000)] = 10,
    lens: Annotated[Any, OneOf(LENSES, "lens"), AskedAs(None, _lens_to_json)] = "logit",
    last: Annotated[int | None, Field(ge=1)] = None,
) -> Iterator[Step[LogitLens]]:
    """What the model would say next after each layer, at every position.

    Args:
        model: what `load_model` gives or takes; not one in training mode.
        prompt: a text, or a pair, of which both prompts are read.
        stream: "resid_post", "resid_mid" or "resid_pre", the residual stream there; or "attn_out" or "mlp_out", what
            a layer adds, read alone. The first row is always the embedding, the last the model's own output.
        targets: tokens to follow through all cells, as texts of one token each or as ids; by default a pair's answers.
        top_k: how many of the likeliest tokens to keep, 1 or more.
        lens: "logit" for the logit lens; a `TunedLens` of your own; "tuned" for the one that comes with
            the embedded model.
        last: read a longer prompt's last so many tokens alone, after the one that begins the text.

    Returns:
        A `LogitLens`; `top_ids`, `top_logits` and `top_probs` [row, position, k], `entropy` and `kl_to_final` (nats)
        [row, position], `target_logit`, `target_prob` and `target_rank` [row, position, target]; `labels` of the rows.

    Raises:
        ValueError: an empty or too long prompt, a target of several tokens, a stream that this model lacks, a model
            without an unembedding to read through, activations that are not numbers, or a lens of another model.
    """
    model = load_model(model)
    texts, pair = texts_of_prompt(prompt)
    followed = targets_of(model, targets, pair, next(iter(texts.values())))
    top_k = _checked_top_k(model, top_k)
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


# What is asked for


def checked_lens(model: LanguageModel, lens: Any, stream: str) -> TunedLens | None:
    """The tuned lens that is meant, or None for the logit lens.

    Raises:
        ValueError: a lens of another model or kind, or none where one is asked for by name.
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
    """The texts by side, and the pair if it is one.

    Raises:
        ValueError, TypeError: what is neither a text nor a pair.
    """
    if isinstance(prompt, str):
        return {"prompt": prompt}, None
    pair = as_pair(prompt)
    return {"clean": pair.clean, "corrupt": pair.corrupt}, pair


def ids_of(model: LanguageModel, side: str, text: str, last: int | None = None) -> list[int]:
    """A prompt's token ids; only the last so many after the token that begins the text, if that is asked for.

    Raises:
        ValueError: an empty prompt, or one longer than the model reads.
    """
    name = "prompt" if side == "prompt" else f"{side} prompt"
    if not isinstance(text, str):
        raise ValueError(f"The {name} is a text, not {text!r}.")
    if not text:
        raise ValueError(f"The {name} is empty. Type it.")
    ids = model.to_ids(text)
    if not ids:
        raise ValueError(f"The {name} has no token in this model. Type another.")
    if last is not None and (isinstance(last, bool) or not hasattr(last, "__index__") or last < 1):
        raise ValueError(f"last is how many tokens of the prompt to read, 1 or more, not {last!r}.")
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
    """The followed tokens, each once; of a pair its answers, if nothing else is asked for.

    Raises:
        ValueError: a text of several tokens or none, or an id that the vocabulary does not have.
    """
    if targets is None and pair is not None:
        tokenized = tokenize(model, pair)
        ids = [token for side in ("clean", "corrupt") for token in tokenized.answer_ids(side)]
    elif isinstance(targets, (str, int)):
        raise ValueError(f"targets is a list of tokens to follow, such as [{targets!r}], not {targets!r}.")
    else:
        ids = [model.one_token(target, prompt) for target in targets or ()]
    return [Token(id=token, text=model.token_text(token)) for token in dict.fromkeys(ids)]


def _checked_top_k(model: LanguageModel, top_k: Any) -> int:
    if isinstance(top_k, bool) or not hasattr(top_k, "__index__") or not 1 <= top_k <= 1000:
        raise ValueError(f"top_k is how many of the likeliest tokens to keep, 1 to 1000, not {top_k!r}.")
    return min(int(top_k), int(model.raw.cfg.d_vocab))


def rows_of(model: LanguageModel, stream: str) -> tuple[list[str], list[str]]:
    """Labels of the rows, and the hook whose activation each of them is.

    Raises:
        ValueError: an unknown stream, or one that this model lacks.
    """
    OneOf(STREAMS, "stream").check(stream)
    if stream in model.unavailable:
        raise ValueError(model.unavailable[stream])
    last = model.n_layers - 1
    layers = {"resid_pre": range(1, last + 1), "resid_post": range(last)}.get(stream, range(last + 1))
    labels = ["emb", *map(str, layers), f"{last} out" if stream == "resid_post" else "out"]
    hooks = [model.hook_name(stream, layer) for layer in layers]
    return labels, [model.hook_name("resid_pre", 0), *hooks, model.hook_name("resid_post", last)]


def stack_of(turn: Turn, ids: list[int], hooks: list[str]) -> Tensor:
    """What is read, [row, position, d_model].

    Raises:
        ValueError: activations that are not numbers, with the row at which that begins.
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
    """For each position of the clean prompt that of the corrupt one; None if all are themselves, or of one prompt.

    Args:
        last: as in `logit_lens`; positions are then those among the tokens that are read.
    """
    if pair is None:
        return None
    tokenized = tokenize(model, pair)
    if last is None:
        return None if tokenized.aligned_one_to_one else tokenized.counterparts("clean")
    clean, corrupt = (_kept(model, tokenized.ids[side], last) for side in ("clean", "corrupt"))
    there = [tokenized.counterparts("clean")[at] for at in clean]
    made = [corrupt.index(at) if at in corrupt else None for at in there]
    return None if made == list(range(len(corrupt))) else made


def _kept(model: LanguageModel, ids: list[int], last: int | None) -> list[int]:
    """Positions that are read: all, or the first (if it begins every text) and the last so many."""
    begins = 1 if model.bos is not None and ids[:1] == [model.bos[0]] else 0
    return list(range(len(ids))) if last is None else [*range(begins), *range(begins, len(ids))[-last:]]


def _first_tokens(model: LanguageModel, pair: PromptPair) -> list[str]:
    """A sentence for each answer of several tokens, which is followed by its first."""
    said = []
    for side in ("clean", "corrupt"):
        for answer in pair.answers(side):
            tokens = model.token_texts(model.answer_ids(answer, getattr(pair, side)))
            if len(tokens) > 1:
                said.append(
                    f"The {side} answer “{answer}” is {len(tokens)} tokens; its first, “{tokens[0]}”, is followed."
                )
    return said


# Reading


class Reader:
    """Reads a stack of vectors column after column, so that few logits are alive at a time.

    Args:
        stack: [row, position, d_model]; its last row is what the model itself reads.
        targets: ids of the followed tokens.
        lens: a tuned lens, or None.
    """

    def __init__(self, turn: Turn, stack: Tensor, targets: Sequence[int], top_k: int, lens: Any):
        self.turn, self.model, self.stack, self.targets, self.top_k = turn, turn.model, stack, list(targets), top_k
        self._lens = lens
        n_rows, self.length, _ = stack.shape
        vocabulary = int(self.model.raw.cfg.d_vocab)
        self._rows = max(1, BYTES_AT_ONCE // (4 * vocabulary))  # vectors that are unembedded at a time
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
        """Keep what is wanted of some rows and columns, logits and log-probabilities [row, position, token]."""
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
        # Into the memory of the logits, which are no longer needed: new memory takes longer than the exponentials.
        probs = torch.exp(log_probs, out=logits)
        made["entropy"][at] = -_expected(probs, log_probs).cpu().numpy()


def _expected(probs: Tensor, log_probs: Tensor) -> Tensor:
    """Means [row, position] of log-probabilities [row, position, token] under distributions [..., position, token]."""
    terms = "pv,rpv->rp" if probs.ndim == 2 else "rpv,rpv->rp"
    mean = torch.einsum(terms, probs, log_probs)
    if torch.isnan(mean).any():  # a token that is ruled out: 0 times minus infinity
        mean = torch.einsum(terms, probs, log_probs.clamp(min=-1e30))
    return mean


_TOP = {"ids": np.int32, "logits": np.float32, "probs": np.float32}
_TARGET = {"logit": np.float32, "prob": np.float32, "rank": np.int32}


def _count(marked: Tensor) -> np.ndarray:
    """How many are marked along the last axis. On a CPU torch would first make numbers of eight bytes of them."""
    if marked.device.type != "cpu":
        return marked.sum(-1).int().cpu().numpy()
    rows = marked.reshape(-1, marked.shape[-1]).numpy()
    return np.array([np.count_nonzero(row) for row in rows], np.int32).reshape(marked.shape[:-1])


def trajectory(
    model: Any, result: LogitLens, side: str, position: int, ids: Sequence[int], lens: TunedLens | None
) -> LensArrays:
    """Some tokens through one column of a result, [row, 1, ...]: what it would have with these targets."""
    model = load_model(model)
    _, hooks = rows_of(model, result.params["stream"])
    with Turn(model) as turn:
        stack = stack_of(turn, result.sides[side].ids[: position + 1], hooks)[:, -1:]
        reader = Reader(turn, stack, ids, 1, lens)
        reader.read()
        return reader.arrays()
