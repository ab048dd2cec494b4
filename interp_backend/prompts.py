"""Prompt pairs: what a user types, what the tokenizer makes of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .model import LanguageModel

Side = Literal["clean", "corrupt"]
Level = Literal["error", "warning", "note"]


class PromptPair(BaseModel):
    """A clean and a corrupt prompt, and the token that should follow each.

    Attributes:
        clean: the prompt whose behaviour is to be explained.
        corrupt: the same with the one thing changed that matters.
        clean_answer: what should follow the clean prompt, with its leading space (`" Oslo"`).
        corrupt_answer: what should follow the corrupt one; the logit difference is clean minus corrupt.
        score_first_token: an answer of several tokens is scored by its first one. Off, it is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: str = Field(max_length=200_000)
    corrupt: str = Field(max_length=200_000)
    clean_answer: str = Field(default="", max_length=1_000)
    corrupt_answer: str = Field(default="", max_length=1_000)
    score_first_token: bool = False


class PairWarning(BaseModel):
    """Something about a pair that its author should know, in words that say what to do.

    Attributes:
        code: a stable name for the kind of warning.
        level: "error" where patching is refused, "warning" where a number could mislead, "note" otherwise.
        field: the field of the pair that it is about, if one.
        fix: the pair as it would be, put right, with a label for the button that does it.
    """

    code: str
    level: Level
    message: str
    field: str | None = None
    fix: Fix | None = None


class Fix(BaseModel):
    label: str
    pair: PromptPair


class Column(BaseModel):
    """One column of two aligned prompts: a position in each, or None where that prompt has a gap."""

    clean: int | None
    corrupt: int | None
    same: bool


@dataclass(frozen=True)
class TokenizedPair:
    """A pair as token ids and their texts, aligned and checked; no model run is needed for it."""

    pair: PromptPair
    ids: dict[str, list[int]]  # by field: clean, corrupt, clean_answer, corrupt_answer
    texts: dict[str, list[str]]
    columns: list[Column]
    warnings: list[PairWarning] = field(default_factory=list)

    def answer_id(self, side: Side) -> int | None:
        """The token that an answer is scored by: its first; None without an answer."""
        ids = self.ids[f"{side}_answer"]
        return ids[0] if ids else None

    def to_json(self) -> dict[str, Any]:
        """What the prompt pair editor shows, as plain JSON values."""
        parts = {name: {"ids": self.ids[name], "tokens": self.texts[name]} for name in self.ids}
        return {
            **parts,
            "columns": [column.model_dump() for column in self.columns],
            "warnings": [warning.model_dump() for warning in self.warnings],
        }

    def refuse(self, needs: Sequence[str], *, equal_lengths: bool) -> None:
        """Raise ValueError with the first error that forbids a run on this pair.

        Args:
            needs: the answers that the metric reads; what is wrong with others forbids nothing.
            equal_lengths: whether both prompts need the same number of tokens.
        """
        for warning in self.warnings:
            about_answers = warning.field in ("clean_answer", "corrupt_answer")
            irrelevant = about_answers and (
                warning.field not in needs or (warning.code in _ABOUT_BOTH and len(needs) < 2)
            )
            if warning.level != "error" or irrelevant:
                continue
            if equal_lengths or warning.code != "unequal_lengths":
                raise ValueError(warning.message)


_ABOUT_BOTH = ("equal_answers", "equal_first_tokens")


def as_pair(pair: Any) -> PromptPair:
    """A PromptPair, or a dictionary of its fields as one.

    Raises:
        ValueError: a dictionary whose fields are not a pair's.
        TypeError: anything else.
    """
    if isinstance(pair, PromptPair):
        return pair
    if not isinstance(pair, dict):
        raise TypeError(
            f"A pair is a PromptPair(clean=..., corrupt=..., clean_answer=..., corrupt_answer=...), "
            f"not {type(pair).__name__}."
        )
    try:
        return PromptPair.model_validate(pair)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def tokenize(model: LanguageModel, pair: PromptPair) -> TokenizedPair:
    """Tokenise a pair with the model's own tokenizer, align the two prompts and check them."""
    ids = {
        "clean": model.to_ids(pair.clean) if pair.clean else [],
        "corrupt": model.to_ids(pair.corrupt) if pair.corrupt else [],
        "clean_answer": model.answer_ids(pair.clean_answer, pair.clean) if pair.clean_answer else [],
        "corrupt_answer": model.answer_ids(pair.corrupt_answer, pair.corrupt) if pair.corrupt_answer else [],
    }
    texts = {name: model.token_texts(tokens) for name, tokens in ids.items()}
    return TokenizedPair(
        pair=pair,
        ids=ids,
        texts=texts,
        columns=align(ids["clean"], ids["corrupt"]),
        warnings=list(_check(model, pair, ids, texts)),
    )


def align(clean: list[int], corrupt: list[int]) -> list[Column]:
    """Put two token sequences under each other: position by position where they are equally long,
    else by their longest common runs, with gaps."""
    if len(clean) == len(corrupt):
        return [Column(clean=i, corrupt=i, same=a == b) for i, (a, b) in enumerate(zip(clean, corrupt))]
    columns: list[Column] = []
    for _, a0, a1, b0, b1 in SequenceMatcher(None, clean, corrupt, autojunk=False).get_opcodes():
        for i in range(max(a1 - a0, b1 - b0)):
            a = a0 + i if a0 + i < a1 else None
            b = b0 + i if b0 + i < b1 else None
            same = a is not None and b is not None and clean[a] == corrupt[b]
            columns.append(Column(clean=a, corrupt=b, same=same))
    return columns


# The checks. Each yields warnings about one thing, worst first.


def _check(model: LanguageModel, pair: PromptPair, ids: dict[str, list[int]], texts: dict[str, list[str]]):
    for side in ("clean", "corrupt"):
        yield from _check_prompt(model, pair, side, ids[side])
    yield from _check_lengths(pair, ids)
    for side in ("clean", "corrupt"):
        yield from _check_answer(model, pair, side, texts[f"{side}_answer"])
    yield from _check_answers_differ(pair, ids, texts)


def _check_prompt(model: LanguageModel, pair: PromptPair, side: Side, ids: list[int]):
    text = getattr(pair, side)
    if not text:
        yield PairWarning(
            code="empty_prompt", level="error", field=side, message=f"The {side} prompt is empty. Type it."
        )
        return
    if len(ids) > model.n_ctx:
        yield PairWarning(
            code="too_long",
            level="error",
            field=side,
            message=f"The {side} prompt has {len(ids)} tokens and the model reads at most {model.n_ctx}. "
            f"Shorten it by {len(ids) - model.n_ctx}.",
        )
    if model.bos is not None and ids[:2] == [model.bos[0]] * 2:
        yield PairWarning(
            code="doubled_bos",
            level="warning",
            field=side,
            message=f"The {side} prompt begins with {model.bos[1]}, which is put before every prompt anyway, "
            "so it is there twice. Remove it from the text.",
            fix=_fix(pair, f"Remove {model.bos[1]}", side, text.removeprefix(model.bos[1])),
        )
    if text != text.rstrip(" ") and text.strip():
        yield PairWarning(
            code="trailing_space",
            level="warning",
            field=side,
            message=f"The {side} prompt ends with a space, which becomes its own token: models expect the "
            "space at the start of the next word. Remove it, and begin the answer with it.",
            fix=_fix(pair, "Remove the space", side, text.rstrip(" ")),
        )


def _check_lengths(pair: PromptPair, ids: dict[str, list[int]]):
    if not pair.clean or not pair.corrupt:
        return
    clean, corrupt = len(ids["clean"]), len(ids["corrupt"])
    if pair.clean == pair.corrupt:
        yield PairWarning(
            code="equal_prompts",
            level="error",
            field="corrupt",
            message="The two prompts are the same, so patching can change nothing. Change the word in the "
            "corrupt one whose effect you want to see.",
        )
    elif clean != corrupt:
        yield PairWarning(
            code="unequal_lengths",
            level="error",
            message=f"The clean prompt has {clean} tokens and the corrupt one {corrupt}, so their positions "
            "don't correspond. Choose a word that is as many tokens long.",
        )


def _check_answer(model: LanguageModel, pair: PromptPair, side: Side, tokens: list[str]):
    name, prompt, answer = f"{side}_answer", getattr(pair, side), getattr(pair, f"{side}_answer")
    if not answer:
        yield PairWarning(
            code="no_answer",
            level="warning",
            field=name,
            message=f"Without {'an' if side == 'clean' else 'a'} {'answer' if side == 'clean' else 'corrupt answer'} "
            "only KL divergence can be measured. Type the word that should come next, with its leading space.",
        )
        return
    if _misses_space(model, prompt, answer):
        yield PairWarning(
            code="no_leading_space",
            level="warning",
            field=name,
            message=f"The {side} answer “{answer}” has no leading space, so it is scored as the rest of the word "
            f"before it, not as a new word. Write “ {answer}”.",
            fix=_fix(pair, "Add the space", name, f" {answer}"),
        )
    if len(tokens) > 1:
        shown = " + ".join(f"“{token}”" for token in tokens)
        if pair.score_first_token:
            yield PairWarning(
                code="first_token",
                level="note",
                field=name,
                message=f"The {side} answer is {len(tokens)} tokens ({shown}) and is scored by its first.",
            )
        else:
            yield PairWarning(
                code="several_tokens",
                level="error",
                field=name,
                message=f"The {side} answer is {len(tokens)} tokens ({shown}), and one forward pass scores one. "
                "Choose an answer of one token, or score it by its first.",
                fix=_fix(pair, "Score the first token", "score_first_token", True),
            )


def _misses_space(model: LanguageModel, prompt: str, answer: str) -> bool:
    """Whether an answer looks like a word of its own but would continue the prompt's last word."""
    starts_word = (answer[0].isalpha() and prompt[-1:].isalnum()) or prompt[-1:] in tuple('.,;:!?”")')
    spaced = model.answer_ids(f" {answer}", prompt)
    return answer[0].isalnum() and starts_word and spaced != model.answer_ids(answer, prompt)


def _check_answers_differ(pair: PromptPair, ids: dict[str, list[int]], texts: dict[str, list[str]]):
    clean, corrupt = ids["clean_answer"], ids["corrupt_answer"]
    if not clean or not corrupt:
        return
    if pair.clean_answer == pair.corrupt_answer:
        yield PairWarning(
            code="equal_answers",
            level="error",
            field="corrupt_answer",
            message="The two answers are the same, so their logit difference is always zero. "
            "Give the answer that the corrupt prompt calls for.",
        )
    elif clean[0] == corrupt[0]:
        yield PairWarning(
            code="equal_first_tokens",
            level="error",
            field="corrupt_answer",
            message=f"Both answers begin with the token “{texts['clean_answer'][0]}”, so their logit difference "
            "is always zero. Choose answers whose first tokens differ.",
        )


def _fix(pair: PromptPair, label: str, name: str, value: object) -> Fix:
    return Fix(label=label, pair=pair.model_copy(update={name: value}))


PairWarning.model_rebuild()
