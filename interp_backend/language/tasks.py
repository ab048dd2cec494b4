"""Built-in prompt pairs to start from, grouped by the behaviour that they elicit.

Indirect objects: Wang et al. 2022 (arXiv:2211.00593). Induction: Olsson et al. 2022 (arXiv:2209.11895). Later
years: Hanna et al. 2023 (arXiv:2305.00586). Agreement: Linzen et al. 2016 (arXiv:1611.01368).
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import LanguageModel
from .prompts import PromptPair


@dataclass(frozen=True)
class Template:
    """A kind of prompt: its name, the label of its button, and its pairs."""

    name: str
    label: str
    pairs: list[PromptPair]


def templates(model: LanguageModel) -> list[Template]:
    """The built-in templates. The words of the induction pairs are single tokens of this model's vocabulary."""
    return [
        Template("capitals", "Capitals", [_capital(*facts) for facts in _CAPITALS]),
        Template("indirect_objects", "Indirect objects", [_indirect_object(*words) for words in _INDIRECT]),
        Template("induction", "Induction", _induction(model)),
        Template("years", "Years", [_years(*words) for words in _YEARS]),
        Template("agreement", "Agreement", [_agreement(*words) for words in _AGREEMENT]),
    ]


_CAPITALS = [
    ("Norway", "Oslo", "Sweden", "Stockholm"),
    ("France", "Paris", "Italy", "Rome"),
    ("Japan", "Tokyo", "China", "Beijing"),
]
_INDIRECT = [("Mary", "John", "store", "drink"), ("Tom", "Anna", "park", "book")]
_YEARS = [("war", "17", "43", "12"), ("war", "18", "61", "25")]
_AGREEMENT = [("keys", "key", "cabinet"), ("dogs", "dog", "house")]


def _capital(country: str, capital: str, other: str, other_capital: str) -> PromptPair:
    return PromptPair(
        clean=f"The capital of {country} is",
        corrupt=f"The capital of {other} is",
        clean_answer=f" {capital}",
        corrupt_answer=f" {other_capital}",
    )


def _indirect_object(receiver: str, giver: str, place: str, thing: str) -> PromptPair:
    opening = f"When {receiver} and {giver} went to the {place},"
    return PromptPair(
        clean=f"{opening} {giver} gave a {thing} to",
        corrupt=f"{opening} {receiver} gave a {thing} to",
        clean_answer=f" {receiver}",
        corrupt_answer=f" {giver}",
    )


def _years(noun: str, century: str, late: str, early: str) -> PromptPair:
    """The corrupt answer is a year between the two start years, so only the earlier start allows it."""
    between = f"{(int(late) + int(early)) // 2:02d}"
    after = f"{int(late) + 15:02d}"
    return PromptPair(
        clean=f"The {noun} lasted from the year {century}{late} to the year {century}",
        corrupt=f"The {noun} lasted from the year {century}{early} to the year {century}",
        clean_answer=after,
        corrupt_answer=between,
    )


def _agreement(plural: str, singular: str, attractor: str) -> PromptPair:
    return PromptPair(
        clean=f"The {plural} to the {attractor}",
        corrupt=f"The {singular} to the {attractor}",
        clean_answer=" are",
        corrupt_answer=" is",
    )


_WORDS = (
    "river stone lamp apple door table bread horse cloud music paper glass ship bird tree book drink park "
    "store school garden ring box cup key cat dog king child teacher letter window"
)


def _induction(model: LanguageModel) -> list[PromptPair]:
    """A sequence and the beginning of its repetition. The answer is the word that came next the first time."""
    words = [word for word in _WORDS.split() if len(model.answer_ids(f" {word}")) == 1]
    pairs = []
    for start in range(0, max(1, len(words) - 6), 6):
        a, b, c, d, e = (words[start : start + 6] + _WORDS.split())[:5]
        pairs.append(
            PromptPair(
                clean=f" {a} {b} {c} {d} {a} {b} {c}",
                corrupt=f" {a} {b} {c} {e} {a} {b} {c}",
                clean_answer=f" {d}",
                corrupt_answer=f" {e}",
            )
        )
    return pairs[:3]
