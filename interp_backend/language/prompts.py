"""Prompt pairs: their texts, tokens and alignment, and warnings about them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..refusal import Refused
from .model import LanguageModel, refuse_half_characters

Side = Literal["clean", "corrupt"]
SIDES: tuple[Side, Side] = ("clean", "corrupt")
Level = Literal["error", "warning", "note"]
_Text = Annotated[str, Field(max_length=1_000)]
Answer = _Text | Annotated[tuple[_Text, ...], Field(max_length=1_000)]


class PromptPair(BaseModel):
    """A clean and a corrupt prompt, and the answer that should follow each.

    Attributes:
        clean: the prompt whose behaviour is to be explained.
        corrupt: the same prompt with the relevant word changed.
        clean_answer: the answer that should follow the clean prompt, with its leading space (`" Oslo"`).
            Several answers count as one: their logits are averaged, and their probabilities are added.
        corrupt_answer: the answer that should follow the corrupt prompt; the logit difference is clean minus corrupt.
        score_first_token: whether an answer of several tokens is scored by its first token, or refused by metrics that
            score one token.
        prepend_bos: whether both prompts begin with the model's beginning-of-text token; None does what TransformerLens
            does with the model, which may differ from what the model's own tokenizer does.
        alignment: pairs of corresponding positions (clean, corrupt), which increase in both prompts; None aligns
            prompts of equal length position by position, and others by the tokens that they share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: str = Field(max_length=200_000)
    corrupt: str = Field(max_length=200_000)
    clean_answer: Answer = ""
    corrupt_answer: Answer = ""
    score_first_token: bool = False
    prepend_bos: bool | None = None
    alignment: tuple[tuple[int, int], ...] | None = Field(default=None, max_length=100_000)

    @field_validator("clean", "corrupt", "clean_answer", "corrupt_answer", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else ():
            if isinstance(text, str):
                refuse_half_characters(text)
        return value

    if not TYPE_CHECKING:  # type checkers know from the fields that all arguments are named

        def __new__(cls, *unnamed: Any, **fields: Any) -> PromptPair:
            if unnamed:
                raise TypeError(
                    "A PromptPair takes its texts by name: "
                    "PromptPair(clean=..., corrupt=..., clean_answer=..., corrupt_answer=...)."
                )
            return super().__new__(cls)

    def answers(self, side: Side) -> tuple[str, ...]:
        """The non-empty answers of one side."""
        answer = getattr(self, f"{side}_answer")
        return tuple(filter(None, (answer,) if isinstance(answer, str) else answer))


# What Shift+Tab shows: pydantic's own signature spells out every limit of a field.
PromptPair.__signature__ = inspect.Signature(
    [
        one.replace(annotation=PromptPair.__annotations__[one.name])
        for one in inspect.signature(PromptPair).parameters.values()
    ]
)


class PairWarning(BaseModel):
    """A warning about a pair, with a message that says what to do.

    Attributes:
        code: a stable name for the kind of warning.
        level: "error" if patching is refused, "warning" if a number could mislead, "note" otherwise.
        field: the field of the pair that the warning is about, or None.
        fix: the corrected pair, with a label for the button that applies it; None if there is no automatic fix.
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
    """One column of two aligned prompts: a position in each prompt, or None where a prompt has a gap."""

    clean: int | None
    corrupt: int | None
    same: bool


@dataclass(frozen=True)
class TokenizedPair:
    """A pair as token ids and their texts, aligned and checked; no model run is needed for it."""

    pair: PromptPair
    ids: dict[str, list[int]]  # by field: clean, corrupt, clean_answer, corrupt_answer
    texts: dict[str, list[str]]
    starts: dict[str, list[int]]  # for each answer field: the index in its ids at which each answer begins
    columns: list[Column]
    warnings: list[PairWarning] = field(default_factory=list)
    appended: tuple[int, ...] = ()  # the tokens of the clean answer that `with_answer` has put after both prompts

    def answer_ids(self, side: Side) -> tuple[int, ...]:
        """The tokens by which the answers are scored: the first token of each answer, without duplicates."""
        field = f"{side}_answer"
        return tuple(dict.fromkeys(self.ids[field][start] for start in self.starts[field]))

    def counterparts(self, side: Side) -> list[int | None]:
        """For each position of one prompt, the corresponding position of the other prompt, or None."""
        other: Side = "corrupt" if side == "clean" else "clean"
        return [getattr(c, other) for c in self.columns if getattr(c, side) is not None]

    def whole_answer(self) -> tuple[int, ...]:
        """All tokens of the clean answer.

        Raises:
            ValueError: there are several clean answers.
        """
        if len(self.starts["clean_answer"]) > 1:
            raise ValueError(
                f"The pair has {len(self.starts['clean_answer'])} clean answers, and only one can be scored whole. "
                "Keep one of them, or score each by its first token."
            )
        return tuple(self.ids["clean_answer"])

    def with_answer(self, n_ctx: int) -> TokenizedPair:
        """The pair with the clean answer, except for its last token, appended to both prompts.

        A run then gives the logits that predict each token of the answer. The appended tokens correspond to each other.

        Raises:
            ValueError: there are several clean answers, or a prompt with the answer has more than `n_ctx` tokens.
        """
        appended = self.whole_answer()[:-1]
        ids, texts, columns = dict(self.ids), dict(self.texts), list(self.columns)
        for side in SIDES:
            if len(ids[side]) + len(appended) > n_ctx:
                raise ValueError(
                    f"The {side} prompt with the answer after it has {len(ids[side]) + len(appended)} tokens and the "
                    f"model reads at most {n_ctx}. Shorten the prompt."
                )
        for i in range(len(appended)):
            columns.append(Column(clean=len(ids["clean"]) + i, corrupt=len(ids["corrupt"]) + i, same=True))
        for side in SIDES:
            ids[side] = [*ids[side], *appended]
            texts[side] = [*texts[side], *texts["clean_answer"][: len(appended)]]
        return replace(self, ids=ids, texts=texts, columns=columns, appended=appended)

    @property
    def aligned_one_to_one(self) -> bool:
        """Whether every position corresponds to the same position of the other prompt."""
        return all(column.clean == column.corrupt for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """The tokens, the alignment and the warnings as plain JSON values, for the prompt pair editor."""
        parts: dict[str, dict[str, Any]] = {
            name: {"ids": self.ids[name], "tokens": self.texts[name]} for name in self.ids
        }
        for name, starts in self.starts.items():
            parts[name]["starts"] = starts
        return {
            **parts,
            "columns": [column.model_dump() for column in self.columns],
            "warnings": [warning.model_dump() for warning in self.warnings],
        }

    def refuse(self, needs: Sequence[str]) -> None:
        """Raise ValueError with the first error that forbids a run on this pair.

        Args:
            needs: the answers that the metric reads; errors about other answers are ignored.
        """
        for warning in self.warnings:
            about_answers = warning.field in ("clean_answer", "corrupt_answer")
            irrelevant = about_answers and (
                warning.field not in needs or (warning.code in _ABOUT_BOTH and len(needs) < 2)
            )
            if warning.level == "error" and not irrelevant:
                if warning.code == "several_tokens" and len(self.starts["clean_answer"]) == 1:
                    raise Refused(warning.message, "Score the whole clean answer", metric="answer_log_prob")
                raise ValueError(warning.message)


_ABOUT_BOTH = ("equal_answers", "equal_first_tokens")


def as_pair(pair: Any) -> PromptPair:
    """A PromptPair from a PromptPair or from a dictionary of its fields.

    Raises:
        ValueError: the dictionary has fields that a pair does not have.
        TypeError: the argument is neither a pair nor a dictionary.
    """
    if isinstance(pair, PromptPair):
        return pair
    if not isinstance(pair, dict):
        raise TypeError(
            f"A pair is a PromptPair(clean=..., corrupt=..., clean_answer=..., corrupt_answer=...), "
            f"not {type(pair).__name__}. Several go into a PromptPairs([...])."
        )
    try:
        return PromptPair.model_validate(pair)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def tokenize(model: LanguageModel, pair: PromptPair, whole_answer: bool = False) -> TokenizedPair:
    """Tokenise a pair with the model's own tokenizer, align the two prompts and check them.

    Args:
        whole_answer: whether the metric reads all tokens of an answer, so that it may have several.
    """
    ids: dict[str, list[int]] = {
        side: model.to_ids(text, pair.prepend_bos) if (text := getattr(pair, side)) else [] for side in SIDES
    }
    starts: dict[str, list[int]] = {}
    for side in SIDES:
        field, after = f"{side}_answer", getattr(pair, side)
        ids[field], starts[field] = [], []
        for answer in pair.answers(side):
            if tokens := model.answer_ids(answer, after):
                starts[field].append(len(ids[field]))
                ids[field] += tokens
    texts = {name: model.token_texts(tokens) for name, tokens in ids.items()}
    problem = _problem_of_alignment(pair, ids)
    alignment = None if problem else pair.alignment
    return TokenizedPair(
        pair=pair,
        ids=ids,
        texts=texts,
        starts=starts,
        columns=align(ids["clean"], ids["corrupt"], alignment),
        warnings=[*([problem] if problem else []), *_check(model, pair, ids, whole_answer)],
    )


def align(clean: list[int], corrupt: list[int], pairs: Sequence[tuple[int, int]] | None = None) -> list[Column]:
    """Align two token sequences.

    If `pairs` of corresponding positions are given, they decide. Otherwise sequences of equal length are aligned
    position by position, and others by their longest common runs. Where one word replaces another that has a different
    number of tokens, their last tokens correspond, because a model collects the meaning of a word there.
    """
    if pairs is None and len(clean) == len(corrupt):
        pairs = [(i, i) for i in range(len(clean))]
    elif pairs is None:
        pairs = []
        for _, a0, a1, b0, b1 in SequenceMatcher(None, clean, corrupt, autojunk=False).get_opcodes():
            both = min(a1 - a0, b1 - b0)
            pairs += zip(range(a1 - both, a1), range(b1 - both, b1))
    columns: list[Column] = []
    a = b = 0
    for next_a, next_b in [*pairs, (len(clean), len(corrupt))]:
        columns += [Column(clean=i, corrupt=None, same=False) for i in range(a, next_a)]
        columns += [Column(clean=None, corrupt=i, same=False) for i in range(b, next_b)]
        if next_a < len(clean) and next_b < len(corrupt):
            columns.append(Column(clean=next_a, corrupt=next_b, same=clean[next_a] == corrupt[next_b]))
        a, b = next_a + 1, next_b + 1
    return columns


def _problem_of_alignment(pair: PromptPair, ids: dict[str, list[int]]) -> PairWarning | None:
    pairs = pair.alignment
    if pairs is None:
        return None
    inside = all(0 <= a < len(ids["clean"]) and 0 <= b < len(ids["corrupt"]) for a, b in pairs)
    rising = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    if inside and rising:
        return None
    return PairWarning(
        code="bad_alignment",
        level="error",
        message=f"The alignment does not fit these prompts: it has to be pairs of a clean position (0 to "
        f"{len(ids['clean']) - 1}) and a corrupt one (0 to {len(ids['corrupt']) - 1}), both rising from pair to pair. "
        "Align them automatically, or correct it.",
        fix=_fix(pair, "Align automatically", "alignment", None),
    )


# Checks. Each yields warnings about one problem, the most severe first.


def _check(model: LanguageModel, pair: PromptPair, ids: dict[str, list[int]], whole_answer: bool):
    for side in SIDES:
        yield from _check_prompt(model, pair, side, ids[side])
    yield from _check_lengths(pair, ids)
    for side in SIDES:
        if not pair.answers(side):
            yield _no_answer(side)
        for answer in pair.answers(side):
            yield from _check_answer(model, pair, side, answer, whole_answer)
        yield from _check_same_token(model, pair, side)
    yield from _check_answers_differ(model, pair)


def _check_prompt(model: LanguageModel, pair: PromptPair, side: Side, ids: list[int]):
    text = getattr(pair, side)
    if not text:
        yield PairWarning(
            code="empty_prompt", level="error", field=side, message=f"The {side} prompt is empty. Type a prompt."
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
    if message := doubled_bos(model, side, ids):
        bos = str(model.raw.tokenizer.bos_token)
        yield PairWarning(
            code="doubled_bos",
            level="warning",
            field=side,
            message=message,
            fix=_fix(pair, f"Remove {bos}", side, text.removeprefix(bos)),
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


def doubled_bos(model: LanguageModel, side: str, ids: list[int]) -> str | None:
    """A warning if a text begins with the token that is put in front of it anyway."""
    if model.bos is None or ids[:2] != [model.bos[0]] * 2:
        return None
    name = "prompt" if side == "prompt" else f"{side} prompt"
    return (
        f"The {name} begins with {model.bos[1]}, which is put before every prompt anyway, so it is there twice. Remove "
        "it from the text."
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
    elif ids["clean"] == ids["corrupt"]:
        yield PairWarning(
            code="equal_tokens",
            level="error",
            field="corrupt",
            message="The two prompts are different texts, but this model's tokenizer makes the same tokens of them, so "
            "patching can change nothing. It may ignore case or accents, or know neither word. Change another word.",
        )
    elif clean != corrupt:
        yield PairWarning(
            code="unequal_lengths",
            level="note",
            message=f"The clean prompt has {clean} tokens and the corrupt one {corrupt}. They are aligned as shown; a "
            "token without a counterpart is not patched.",
        )


def _no_answer(side: Side) -> PairWarning:
    return PairWarning(
        code="no_answer",
        level="warning",
        field=f"{side}_answer",
        message=f"Without {'an' if side == 'clean' else 'a'} {'answer' if side == 'clean' else 'corrupt answer'} "
        "only KL divergence can be measured. Type the word that should come next, with its leading space.",
    )


def _check_answer(model: LanguageModel, pair: PromptPair, side: Side, answer: str, whole_answer: bool):
    name, prompt = f"{side}_answer", getattr(pair, side)
    tokens = model.token_texts(model.answer_ids(answer, prompt))
    if _misses_space(model, prompt, answer):
        yield PairWarning(
            code="no_leading_space",
            level="warning",
            field=name,
            message=f"The {side} answer “{answer}” has no leading space, so it is scored as the rest of the word "
            f"before it, not as a new word. Write “ {answer}”.",
            fix=_fix(pair, "Add the space", name, _with_space(getattr(pair, name), answer)),
        )
    if len(tokens) > 1 and not whole_answer:
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
                "Choose an answer of one token, score it by its first, or measure the log-probability of the whole "
                "answer.",
                fix=_fix(pair, "Score the first token", "score_first_token", True),
            )


def _check_same_token(model: LanguageModel, pair: PromptPair, side: Side):
    """Warn if two answers of one side are scored by the same token, which counts once."""
    by_token: dict[int, list[str]] = {}
    for answer in pair.answers(side):
        for token in model.answer_ids(answer, getattr(pair, side))[:1]:
            by_token.setdefault(token, []).append(answer)
    for token, answers in by_token.items():
        if len(answers) > 1:
            shown = " and ".join(f"“{answer}”" for answer in answers)
            yield PairWarning(
                code="same_token",
                level="warning",
                field=f"{side}_answer",
                message=f"The {side} answers {shown} are scored by the same token “{model.token_texts([token])[0]}”, "
                "which counts once.",
            )


def _with_space(field: str | tuple[str, ...], answer: str) -> str | tuple[str, ...]:
    spaced = f" {answer}"
    return spaced if isinstance(field, str) else tuple(spaced if one == answer else one for one in field)


def _misses_space(model: LanguageModel, prompt: str, answer: str) -> bool:
    """Whether an answer looks like a word of its own but would continue the prompt's last word.

    Only a tokenizer that makes one token of a space and the letters after it expects a space there: in Chinese, for
    example, it does not.
    """
    starts_word = (answer[0].isalpha() and prompt[-1:].isalnum()) or prompt[-1:] in tuple('.,;:!?”")')
    if not (answer[0].isalnum() and starts_word):
        return False
    spaced = model.answer_ids(f" {answer}", prompt)
    first = model.token_text(spaced[0]) if spaced else ""
    return first.startswith(f" {answer[0]}") and spaced != model.answer_ids(answer, prompt)


def _check_answers_differ(model: LanguageModel, pair: PromptPair):
    clean, corrupt = (
        {ids[0] for answer in pair.answers(side) if (ids := model.answer_ids(answer, getattr(pair, side)))}
        for side in SIDES
    )
    if not (shared := clean & corrupt):
        return
    token = model.token_text(min(shared))
    if len(clean) > 1 or len(corrupt) > 1:
        yield PairWarning(
            code="shared_answers",
            level="warning",
            field="corrupt_answer",
            message=f"“{token}” is an answer on both sides, so it can't tell them apart. Remove it from one side.",
        )
    elif pair.clean_answer == pair.corrupt_answer:
        yield PairWarning(
            code="equal_answers",
            level="error",
            field="corrupt_answer",
            message="The two answers are the same, so their logit difference is always zero. "
            "Give the answer that the corrupt prompt calls for.",
        )
    else:
        yield PairWarning(
            code="equal_first_tokens",
            level="error",
            field="corrupt_answer",
            message=f"Both answers begin with the token “{token}”, so their logit difference "
            "is always zero. Choose answers whose first tokens differ.",
        )


def _fix(pair: PromptPair, label: str, name: str, value: object) -> Fix:
    changed = {name: value, "alignment": None} if name in SIDES else {name: value}  # other text, other positions
    return Fix(label=label, pair=pair.model_copy(update=changed))


PairWarning.model_rebuild()
