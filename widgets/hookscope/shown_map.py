"""Helpers of the patch heatmap: its cells, the prompts of a data set, and the title of a saved page."""

from __future__ import annotations

from typing import Any

from interp_backend.language.interventions import Add, Intervention, Scale
from interp_backend.language.pairs import PromptPairs
from interp_backend.place import Place
from interp_backend.results.effect_map import EffectMap


def is_cell(result: EffectMap, place: Place) -> bool:
    """Whether a place names one cell of a map."""
    found = result.find(place)
    return found is not None and not any(isinstance(index, slice) for index in found)


def refuse_overlap(parts: list[list[Intervention]]) -> None:
    """Raise ValueError if cells share a place that is added to or scaled: one run would do that twice."""
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
    return f"“{result.prompts['clean'].text}” against “{result.prompts['corrupt'].text}”"


def caption_of(result: EffectMap) -> str:
    """The model and the answers of a saved map. A result from a file may lack them."""
    model = result.provenance.get("model", {})
    answers = [
        f"{' or '.join(f'“{answer}”' for answer in prompt.answers or [prompt.answer])} ({side})"
        for side, prompt in result.prompts.items()
        if prompt.answer is not None
    ]
    parts = [str(model.get("name", "")), f"weights {model['weights']}" if "weights" in model else ""]
    said = f"answers {' and '.join(answers)}" if answers and result.pairs is None else ""
    return " · ".join(filter(None, [*parts, said]))
