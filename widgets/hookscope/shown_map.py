"""Helpers of the patch heatmap: its cells, the prompts of a data set, and the headings of a saved page."""

from __future__ import annotations

from typing import Any

from interp_backend.language.interventions import Add, Intervention, Scale
from interp_backend.language.pairs import PromptPairs
from interp_backend.place import Place
from interp_backend.results.codec import finite_or_none
from interp_backend.results.effect_map import EffectMap, TopTokens
from interp_backend.results.envelope import excerpt


def is_cell(result: EffectMap, place: Place) -> bool:
    """Whether a place names one cell of a map."""
    found = result.find(place)
    return found is not None and not any(isinstance(index, slice) for index in found)


def refuse_overlap(parts: list[list[Intervention]]) -> None:
    """Raise ValueError if cells share a place that is added to or scaled: one run would apply the change twice."""
    seen: set[tuple[Any, ...]] = set()
    for part in parts:
        places = {
            (one.layer, one.head, one.source, one.neuron, position)
            for one in part
            if isinstance(one.value, Add | Scale)
            for position in (one.position if isinstance(one.position, tuple) else (one.position,))
        }
        if seen & places:
            raise ValueError(
                "These cells overlap, and what they share would be changed twice in one run. Pick cells that lie "
                "further apart, or sweep with a window of one layer and without overlapping sets of positions."
            )
        seen |= places


def prompts_of(source: Any) -> tuple[str, ...]:
    """The prompts of a data set, which is a list of texts or PromptPairs."""
    if isinstance(source, PromptPairs):
        return tuple(dict.fromkeys(text for pair in source for text in (pair.clean, pair.corrupt)))
    return tuple(map(str, source)) if isinstance(source, (list, tuple)) else ()


def title_of(result: EffectMap) -> str:
    if result.pairs is not None:
        return f"Mean of {len(result.pairs.labels)} pairs, “{result.pairs.labels[0]}” the first"
    return f"“{excerpt(result.prompts['clean'].text)}” against “{excerpt(result.prompts['corrupt'].text)}”"


def answers_of(result: EffectMap) -> list[str]:
    """The answers that a map of one pair is measured by, for a caption. A result from a file may lack them."""
    named = [
        f"{' or '.join(f'“{answer}”' for answer in prompt.answers or [prompt.answer])} ({side})"
        for side, prompt in result.prompts.items()
        if prompt.answer is not None
    ]
    return [f"answers {' and '.join(named)}"] if named and result.pairs is None else []


def top_of_cell(top: TopTokens, cell: int) -> TopTokens:
    """The likely tokens of one cell, counted in C order, [k]."""
    k = top.ids.shape[-1]
    return TopTokens(**{name: getattr(top, name).reshape(-1, k)[cell] for name in ("ids", "logits", "probs")})


def joint_effect(cells: list[Place], result: EffectMap) -> dict[str, Any]:
    """The effect and likely tokens of cells that were patched in one run, beside each cell's own effect, as JSON.

    Args:
        result: of `patch_together`: the joint effect first, and then those of the cells.
    """
    joint, *singles = [finite_or_none(effect) for effect in result.normalized]
    known = [effect for effect in singles if effect is not None]
    top = None if result.top is None else top_of_cell(result.top, 0)
    return {
        "cells": [cell.to_json() for cell in cells],
        "metric": result.params["metric"],
        "value": finite_or_none(result.values[0]),
        "normalized": joint,
        "singles": singles,
        "sum": sum(known) if len(known) == len(cells) else None,
        "top": top and top.model_dump(mode="json"),
        "tokens": {} if top is None else {str(token): result.tokens[token] for token in top.ids.tolist()},
    }
