"""The actions on one head in an attention view: their calls, and their results as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from interp_backend.common.method import Call
from interp_backend.common.prompts import read_prompts
from interp_backend.common.top_tokens import likeliest_next
from interp_backend.language.prompts import PromptPair
from interp_backend.methods.activation_patching import activation_patching
from interp_backend.methods.direct_logit_attribution import direct_logit_attribution
from interp_backend.methods.head_scores import induction_heads
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array, finite_or_none
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.head_table import HeadPairs
from interp_backend.results.step import Step


@dataclass(frozen=True)
class HeadPatch:
    """Denoise one head at all positions at once, and then at each position alone. The result is both maps."""

    model: Any
    pair: PromptPair
    layer: int
    head: int
    activation: str

    def calls(self) -> list[Call]:
        """The map by position, and that of the whole head."""
        asked: dict[str, Any] = {"activation": self.activation, "layers": [self.layer], "heads": [self.head]}
        by_axes = (("layer", "head", "position"), ("layer", "head"))
        return [activation_patching.call(self.model, self.pair, axes=axes, **asked) for axes in by_axes]

    def steps(self) -> Iterator[Step[tuple[EffectMap, EffectMap]]]:
        positions, at_all = self.calls()
        whole = None
        for step in at_all.steps():
            whole = step.result
            yield Step(0, 1, step.seconds_left)
        for step in positions.steps():
            by_position = step.result
            assert by_position is not None and whole is not None
            both = (by_position, whole) if by_position.complete else None
            yield Step(step.done, step.total, step.seconds_left, both)


@dataclass(frozen=True)
class HeadAttribution:
    """The attribution of an answer to all heads; without a known answer, of the likeliest token."""

    model: Any
    prompt: str | PromptPair
    answer: str | None
    wrong_answer: str | None
    last: int | None
    prepend_bos: bool | None

    def calls(self) -> list[Call]:
        answer: Any = self.answer
        if answer is None and not (isinstance(self.prompt, PromptPair) and self.prompt.answers("clean")):
            ids = read_prompts(self.model, self.prompt, self.last, self.prepend_bos).ids
            answer = likeliest_next(self.model, next(iter(ids.values())))
        how: dict[str, Any] = {"unit": "head", "by_source": True, "last": self.last, "prepend_bos": self.prepend_bos}
        return [direct_logit_attribution.call(self.model, self.prompt, answer, self.wrong_answer, **how)]

    def steps(self) -> Iterator[Step[Attribution]]:
        [call] = self.calls()
        yield from call.steps()


@dataclass(frozen=True)
class HeadRoles:
    """Name heads by what they do on repeated random tokens; no names if that can't be measured in this model."""

    model: Any

    def steps(self) -> Iterator[Step[list[dict[str, Any]]]]:
        # Nobody asked for the names, so whatever prevents them, such as a short context or a user's hook that expects
        # the shown prompt, is no error of the view.
        try:
            for step in induction_heads.steps(self.model, seeds=2):
                roles = None if step.result is None else roles_to_wire(step.result)
                yield Step(step.done, step.total, step.seconds_left, roles)
        except (ValueError, RuntimeError, IndexError):
            yield Step(1, 1, 0.0, [])


def roles_to_wire(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The heads of `induction_heads` that have a role, with the score that gives it, as JSON."""
    named = table[table["role"] != ""]
    return [
        {
            "layer": int(row["layer"]),
            "head": int(row["head"]),
            "role": row["role"],
            "score": float(row["induction" if row["role"] == "induction" else "previous_token"]),
        }
        for _, row in named.iterrows()
    ]


def patched_to_wire(layer: int, head: int, activation: str, by_position: EffectMap, whole: EffectMap) -> dict[str, Any]:
    """The effects of patching a head, by position and at all positions, as JSON."""
    return {
        "layer": layer,
        "head": head,
        "activation": activation,
        "label": by_position.metric_label,
        "scale_text": by_position.scale_text,
        "direction": by_position.params["direction"],
        "tokens": by_position.labels["position"],
        "effects": encode_array(by_position.normalized[0, 0]),
        "state": encode_array(by_position.state[0, 0]),
        "all": finite_or_none(float(whole.normalized[0, 0])),
        "warnings": by_position.provenance.get("warnings", []),
    }


def attributed_to_wire(layer: int, head: int, found: Attribution) -> dict[str, Any]:
    """The contribution of one head to the answer in each prompt, as JSON."""
    heads = found.kind == found.kinds.index("head")
    here = int(np.flatnonzero(heads & (found.layer == layer) & (found.index == head))[0])
    sides = {}
    for name, side in found.sides.items():
        sizes = np.abs(side.values)
        sides[name] = {
            "value": float(side.values[here]),
            "total": float(side.total),
            "rank": 1 + int((sizes[heads] > sizes[here]).sum()),
            "of": int(heads.sum()),
            "position": side.position,
            "tokens": side.tokens,
            "by_source": None if side.by_source is None else encode_array(side.by_source[layer, head]),
        }
    return {
        "layer": layer,
        "head": head,
        "quantity": found.quantity,
        "answer": found.params["answer"],
        "wrong_answer": found.params["wrong_answer"],
        "note": found.note,
        "sides": sides,
        "warnings": found.warnings,
    }


def pairs_to_wire(layer: int, head: int, circuit: str, tokens: str, found: HeadPairs) -> dict[str, Any]:
    """The pairs of tokens that a head connects, as JSON."""
    shown = {"source", "target", "value"}
    return {
        "layer": layer,
        "head": head,
        "circuit": circuit,
        "tokens": tokens,
        "pairs": [pair.model_dump(include=shown) for pair in found.pairs],
        "lowest": [pair.model_dump(include=shown) for pair in found.lowest],
        "note": found.note,
        "copying": found.copying,
    }
