"""The call that computes the map of a heatmap."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from interp_backend.common.method import Call
from interp_backend.language.interventions import as_value
from interp_backend.language.metrics import name_of
from interp_backend.results.agreement import TOP_SHARE
from interp_backend.results.effect_map import COMPUTED, EffectMap
from interp_backend.results.step import Step

LONG_SECONDS = 30  # a sweep that would take longer stops after the cells with the largest estimates


class MapCall(Call):
    """A sweep's call. It measures every metric that the pair has answers for, and shows the first metric.

    Args:
        stops: a sweep that takes long ends after the cells with the largest estimates.
    """

    stops: bool

    def __init__(self, call: Call, stops: bool = False):
        super().__init__(call.method, call.model, call.arguments)
        object.__setattr__(self, "stops", stops)  # a call is frozen

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MapCall) or (self.method, self.model) != (other.method, other.model):
            return False
        mine, theirs = dict(self.arguments), dict(other.arguments)
        metrics = [set(one.pop("metric", ())) for one in (mine, theirs)]
        # Another rule changes the estimates alone: the cells that were run stay as they are.
        rules = [one.pop("estimate", "none") == "none" for one in (mine, theirs)]
        return metrics[0] == metrics[1] and rules[0] == rules[1] and mine == theirs and self.stops == other.stops

    __hash__ = Call.__hash__

    @property
    def metric(self) -> str:
        """The name of the metric that is shown; empty for a method without one."""
        return name_of(self.arguments["metric"][0]) if "metric" in self.arguments else ""

    def calls(self) -> list[Call]:
        """The call for the shown metric alone."""
        plain = {"metric": self.arguments.get("metric", [None])[0], "top_k": 0}
        known = {name: plain.get(name, some) for name, some in self.arguments.items()}
        return [Call(self.method, self.model, known)]

    def steps(self) -> Iterator[Step[EffectMap]]:
        for step in super().steps():
            result = step.result
            if self.stops and result is not None and (result.state == COMPUTED).any() and _is_long(step):
                result.params["exact"] = _share_of(step)
                result.provenance["complete"] = True
                yield replace(step, total=step.done, seconds_left=0.0)
                return
            yield step

    def to_json(self) -> dict[str, Any]:
        """The result's JSON without fields that are too large for a view or that it has already."""
        asked = super().to_json()
        params = {name: part for name, part in asked["params"].items() if name not in ("pair", "pairs", "top_k")}
        if "metric" in params:
            params["metric"] = params["metric"][0]
        if "value" in params:
            params["value"] = as_value(self.arguments["value"]).to_view()
        return {**asked, "params": params}


def _share_of(step: Step[EffectMap]) -> float:
    """A share, with few digits, that gives as many cells as have been run."""
    shares = (round((step.done - 0.5) / step.total, digits) for digits in range(2, 17))
    return next(share for share in shares if math.ceil(share * step.total) == step.done)


def _is_long(step: Step[EffectMap]) -> bool:
    """Whether a sweep has run the cells with the largest estimates, and would run the others for long."""
    done_enough = step.done >= TOP_SHARE * step.total and step.done < step.total
    whole = len(step.cells) > 0  # between two steps with new cells, a data set has run its next ones in some pairs only
    return done_enough and whole and step.seconds_left is not None and step.seconds_left > LONG_SECONDS
