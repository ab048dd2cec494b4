"""The prompts that a method reads: a text or both prompts of a pair, as tokens, whole or their ends alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..language.model import LanguageModel
from ..language.prompts import SIDES, PromptPair, TokenizedPair, as_pair, doubled_bos, tokenize
from ..refusal import Refused
from .signatures import Count

Last = Annotated[int | None, Count("how many tokens of the prompt to read")]


@dataclass(frozen=True)
class ReadPrompts:
    """What `read_prompts` makes of a subject.

    Attributes:
        pair: the tokenised pair, or None for a text.
        texts, ids, tokens: by side, "prompt" or "clean" and "corrupt"; ids and tokens are those that are read.
        counterparts: for each position of the clean prompt its counterpart in the corrupt one, or None; None as a whole
            for a text, or if every position corresponds to itself.
        warnings: about the texts.
    """

    pair: TokenizedPair | None
    texts: dict[str, str]
    ids: dict[str, list[int]]
    tokens: dict[str, list[str]]
    counterparts: list[int | None] | None
    warnings: list[str]

    @property
    def first_text(self) -> str:
        return next(iter(self.texts.values()))


def read_prompts(
    model: LanguageModel, prompt: str | PromptPair, last: int | None = None, prepend_bos: bool | None = None
) -> ReadPrompts:
    """Tokenise what a method reads.

    Args:
        prompt: a text, or a pair.
        last: read only this many tokens from the end of each prompt, after the token that begins the text.
        prepend_bos: as in `PromptPair`; None leaves a pair as it is.

    Raises:
        ValueError: a prompt is empty, or longer than the model's context.
        TypeError: the argument is neither a text nor a pair.
    """
    if isinstance(prompt, str):
        tokenized, texts, ids = None, {"prompt": prompt}, {"prompt": model.to_ids(prompt, prepend_bos)}
    else:
        pair = as_pair(prompt)
        if prepend_bos is not None:
            pair = pair.model_copy(update={"prepend_bos": prepend_bos})
        tokenized = tokenize(model, pair)
        texts = {side: getattr(pair, side) for side in SIDES}
        ids = {side: tokenized.ids[side] for side in SIDES}
    kept = {side: _kept(model, ids[side], last) for side in ids}
    read = {side: [ids[side][at] for at in kept[side]] for side in ids}
    for side, tokens in read.items():
        _refuse_unreadable(model, side, texts[side], tokens)
    doubled = [doubled_bos(model, side, tokens) for side, tokens in read.items()]
    return ReadPrompts(
        pair=tokenized,
        texts=texts,
        ids=read,
        tokens={side: model.token_texts(tokens) for side, tokens in read.items()},
        counterparts=None if tokenized is None else _counterparts(tokenized, kept),
        warnings=[warning for warning in doubled if warning],
    )


def read_text(model: LanguageModel, text: str, last: int | None = None) -> list[int]:
    """The token ids of a single text that a method reads, as `read_prompts` reads it.

    Raises:
        ValueError: the prompt is not a text, is empty, or is longer than the model's context.
    """
    if not isinstance(text, str):
        raise ValueError(f"The prompt is a text, not {text!r}.")
    return read_prompts(model, text, last).ids["prompt"]


def _kept(model: LanguageModel, ids: list[int], last: int | None) -> list[int]:
    """The positions that are read: all, or the last ones and the first if its token begins every text."""
    begins = _begins(model, ids)
    return list(range(len(ids))) if last is None else [*range(begins), *range(begins, len(ids))[-last:]]


def _begins(model: LanguageModel, ids: list[int]) -> int:
    return int(model.bos is not None and ids[:1] == [model.bos[0]])


def _refuse_unreadable(model: LanguageModel, side: str, text: str, ids: list[int]) -> None:
    name = "prompt" if side == "prompt" else f"{side} prompt"
    if not text:
        raise ValueError(f"The {name} is empty. Type a text.")
    if not ids:
        raise ValueError(f"The {name} has no tokens in this model. Type another text.")
    if len(ids) > model.n_ctx:
        most = model.n_ctx - _begins(model, ids)
        raise Refused(
            f"The {name} has {len(ids)} tokens and the model reads at most {model.n_ctx}. Shorten it, or read its last "
            f"{most} tokens: last={most}.",
            f"Read the last {most} tokens",
            last=most,
        )


def _counterparts(pair: TokenizedPair, kept: dict[str, list[int]]) -> list[int | None] | None:
    there = [pair.counterparts("clean")[at] for at in kept["clean"]]
    counterparts = [kept["corrupt"].index(at) if at in kept["corrupt"] else None for at in there]
    return None if counterparts == list(range(len(kept["corrupt"]))) else counterparts
