"""What a patch heatmap shows: which cells it has, whose prompts, and how a saved page is headed."""

from __future__ import annotations

import operator
from typing import Any

import traitlets

from interp_backend.common.cells import place_of
from interp_backend.language.interventions import Add, Intervention, Scale
from interp_backend.language.pairs import PromptPairs
from interp_backend.language.prompts import PromptPair
from interp_backend.results.effect_map import EffectMap


def valid_selection(selection: Any, result: EffectMap | None) -> dict[str, int] | None:
    """A selection that names a cell of the result, or None. Raises TraitError for any other."""
    if selection is None:
        return None
    if result is None:
        raise traitlets.TraitError("Nothing can be pinned before there is a result.")
    if not fits(selection, result):
        raise traitlets.TraitError(f"There is no cell {selection} in a map of {', '.join(result.axes)}.")
    return {axis: operator.index(selection[axis]) for axis in result.axes}


def fits(selection: dict[str, Any], result: EffectMap) -> bool:
    whole = all(hasattr(index, "__index__") and not isinstance(index, bool) for index in selection.values())
    if set(selection) != set(result.axes) or not whole:
        return False
    try:
        for axis in result.axes:
            place_of(result, axis, operator.index(selection[axis]))
    except ValueError:
        return False
    return True


def refuse_overlap(parts: list[list[Intervention]]) -> None:
    """Raise ValueError where cells share a place that is added to or scaled: together it would be done twice."""
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
    """The prompts of a data set: texts, or both sides of pairs."""
    if isinstance(source, PromptPairs):
        return tuple(dict.fromkeys(text for pair in source for text in (pair.clean, pair.corrupt)))
    return tuple(map(str, source)) if isinstance(source, (list, tuple)) else ()


def pair_of(result: EffectMap) -> PromptPair | PromptPairs:
    """The pair or pairs that a result is of."""
    if pairs := result.params.get("pairs"):
        return PromptPairs(pairs)
    if pair := result.params.get("pair"):
        return PromptPair.model_validate(pair)
    clean, corrupt = result.prompts["clean"], result.prompts["corrupt"]
    return PromptPair(
        clean=clean.text,
        corrupt=corrupt.text,
        clean_answer=clean.answer or "",
        corrupt_answer=corrupt.answer or "",
    )


def pair_params(pair: PromptPair | PromptPairs) -> dict[str, Any]:
    if isinstance(pair, PromptPairs):
        return {"pairs": [one.model_dump(mode="json") for one in pair]}
    return {"pair": pair.model_dump(mode="json")}


def title_of(result: EffectMap) -> str:
    if result.pairs is not None:
        return f"Mean of {len(result.pairs.labels)} pairs, “{result.pairs.labels[0]}” the first"
    return f"“{result.prompts['clean'].text}” against “{result.prompts['corrupt'].text}”"


def caption_of(result: EffectMap) -> str:
    """Which model and answers a saved map is about. A result from a file may say less than ours do."""
    model = result.provenance.get("model", {})
    answers = [
        f"{' or '.join(f'“{answer}”' for answer in prompt.answers or [prompt.answer])} ({side})"
        for side, prompt in result.prompts.items()
        if prompt.answer is not None
    ]
    parts = [str(model.get("name", "")), f"weights {model['weights']}" if "weights" in model else ""]
    said = f"answers {' and '.join(answers)}" if answers and result.pairs is None else ""
    return " · ".join(filter(None, [*parts, said]))
