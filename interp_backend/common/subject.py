"""The subject of a method: a prompt, a pair or many pairs, as Python objects, as JSON and as Python code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..language.pairs import PromptPairs
from ..language.prompts import PromptPair, as_pair

Subject = str | PromptPair | PromptPairs


def subject_to_json(name: str, subject: Any) -> dict[str, Any]:
    """A subject as an object with one entry, "prompt", "pair" or "pairs".

    Args:
        name: the name of the method's argument.
    """
    if subject is None or isinstance(subject, str):
        return {name: subject}
    if isinstance(subject, PromptPairs):
        return {"pairs": [pair.model_dump(mode="json") for pair in subject]}
    return {"pair": as_pair(subject).model_dump(mode="json")}


def subject_of(params: Mapping[str, Any]) -> Subject | None:
    """The prompt, the pair or the pairs in a result's parameters; None if they name none.

    Raises:
        ValueError: the entry is not a prompt, a pair or a list of pairs.
    """
    if params.get("pairs"):
        return PromptPairs([as_pair(pair) for pair in params["pairs"]])
    if params.get("pair"):
        return as_pair(params["pair"])
    prompt = params.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError(f"A prompt is text, not {prompt!r}.")
    return prompt


def subject_code(subject: Subject) -> tuple[str, list[str]]:
    """The variable that holds a subject in printed code, and the lines that define it."""
    if isinstance(subject, str):
        return "prompt", [f"prompt = {subject!r}"]
    if isinstance(subject, PromptPairs):
        pairs = [_indented(_pair(pair), 8) + "," for pair in subject]
        return "pairs", ["pairs = ib.PromptPairs(", "    [", *pairs, "    ]", ")"]
    return "pair", [f"pair = {_pair(subject)}"]


def _pair(pair: PromptPair) -> str:
    defaults = {name: field.default for name, field in PromptPair.model_fields.items()}
    arguments = [f"    {name}={value!r}," for name, value in pair if value != defaults[name]]
    return "\n".join(["ib.PromptPair(", *arguments, ")"])


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
