"""What patching, zeroing and mean-ablating one place does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from interp_backend.common.method import Call
from interp_backend.language.interventions import Mean, Zero
from interp_backend.language.model import ACTIVATIONS, LanguageModel
from interp_backend.language.prompts import PromptPair, tokenize
from interp_backend.methods.activation_patching import Axis, activation_patching
from interp_backend.place import Place
from interp_backend.results.codec import finite_or_none
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.step import Step, last_result


@dataclass(frozen=True)
class PlaceCard:
    """The effects of three changes of one place, each in a run of its own.

    Attributes:
        prompts: of which the mean is taken.
    """

    model: LanguageModel
    pair: PromptPair
    place: Place
    prompts: tuple[str, ...]

    def calls(self) -> list[Call]:
        """For each change, the map that has the place as a cell."""
        return [*self._calls().values()]

    def _calls(self) -> dict[str, Call]:
        activation, axes = what_to_change(self.place)
        where = {"layers": [self.place.layer], "heads": [self.place.head] if "head" in axes else None}
        changes: dict[str, dict[str, Any]] = {
            "patched": {"direction": "denoise"},
            "zeroed": {"direction": "noise", "value": Zero()},
            "averaged": {"direction": "noise", "value": Mean(prompts=self.prompts, by_position=self._of_one_length)},
        }
        return {
            name: activation_patching.call(self.model, self.pair, activation=activation, axes=axes, **where, **how)
            for name, how in changes.items()
        }

    @property
    def _of_one_length(self) -> bool:
        """Whether a mean over the prompts exists at each position, and not only over all of them."""
        ids = tokenize(self.model, self.pair).ids
        return len(ids["clean"]) == len(ids["corrupt"])

    def steps(self) -> Iterator[Step[dict[str, Any]]]:
        activation, axes = what_to_change(self.place)
        card: dict[str, Any] = {
            "place": self.place.to_json(),
            "activation": activation,
            "positions": "position" in axes,
        }
        calls = self._calls()
        for done, (name, call) in enumerate(calls.items(), 1):
            card[name] = _effect(
                last_result(replace(call, arguments={**call.arguments, "top_k": 1}).steps()), self.place
            )
            yield Step(done, len(calls), None, dict(card))

    def to_json(self) -> dict[str, Any]:
        return {"method": "place_card", "params": self.place.to_json()}


def what_to_change(place: Place) -> tuple[str, tuple[Axis, ...]]:
    """The activation that stands for a place, and the axes of the map that has it as a cell.

    Raises:
        ValueError: the place names no layer.
    """
    if place.layer is None:
        raise ValueError("Pin a layer too, to see what changing this place does.")
    at: tuple[Axis, ...] = ("position",) if isinstance(place.position, int) else ()
    if place.head is not None:
        name = place.activation if place.activation in ("q", "k", "v", "z") else "z"
        return name, ("layer", "head", *at)
    known = place.activation in ACTIVATIONS and not ACTIVATIONS[place.activation].per_head
    name = place.activation if known and place.activation != "pattern" else "resid_post"
    return str(name), ("layer", "position")


def _effect(found: EffectMap, place: Place) -> dict[str, Any] | None:
    """One cell of a map: the effect, the metric, and the likeliest token; None if the map has no such cell."""
    at = found.find(place)
    if at is None or any(isinstance(index, slice) for index in at):
        return None
    values = {"effect": found.normalized[at], "value": found.values[at]}
    token = None if found.top is None else found.tokens.get(int(found.top.ids[at][0]))
    return {**{name: finite_or_none(float(one)) for name, one in values.items()}, "token": token}
