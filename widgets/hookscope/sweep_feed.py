"""How one sweep reaches the view: its frame, then cells as they come, then all of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from interp_backend.common.sweep import Step
from interp_backend.results.effect_map import EffectMap
from interp_backend.service import protocol

from ._base import progress

if TYPE_CHECKING:
    from .patch_heatmap import PatchHeatmap

SECONDS_BETWEEN_PARTIALS = 0.04  # a view draws no faster, and a slow host chokes on more
SECONDS_BETWEEN_MEANS = 0.25  # a mean over pairs goes to the view as a whole


class SweepFeed:
    """One sweep on its way. A later one has its own: nothing of this one can end up under its name."""

    def __init__(self, heatmap: PatchHeatmap, id: str):
        self._heatmap, self._id = heatmap, id
        self._result: EffectMap | None = None
        self._unsent: list[int] = []
        self._reached = progress(0, 0)
        self._last_sent = 0.0

    def take(self, step: Step) -> None:
        """The next step: the first has the frame of the map, and the cells that need no run."""
        heatmap = self._heatmap
        if self._result is None:
            heatmap.sweep_id = self._id
            heatmap.show(step.result, draft=True)
        elif step.result.pairs is None:
            self._unsent += step.cells
        self._result = step.result
        self._reached = progress(step.done, step.total)
        now = time.perf_counter()
        pause = SECONDS_BETWEEN_PARTIALS if step.result.pairs is None else SECONDS_BETWEEN_MEANS
        if now - self._last_sent < pause and step.done not in (0, step.total):
            return
        self._last_sent = now
        heatmap.progress = progress(step.done, step.total, step.seconds_left)
        if self._unsent:
            heatmap.send(protocol.partial(self._id, heatmap.sweep_id, step.result, self._unsent))
            self._unsent = []
        elif step.result.pairs is not None and step.cells and step.done < step.total:
            heatmap.show(step.result.model_copy(), draft=True)

    def end(self) -> None:
        """The sweep is over: show all of it, if it ever began."""
        self._heatmap.progress = self._reached
        if self._result is not None:
            self._heatmap.show(self._result.model_copy())  # another object, so that the view gets all of it
