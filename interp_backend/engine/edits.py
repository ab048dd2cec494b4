"""Edits: which activation of a patched run is changed, where and how; and the hooks that write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..language.model import ACTIVATIONS, Hook, LanguageModel
from .packing import Layout, RowsAlone, Start
from .recording import Recording
from .turn import of_this_thread

Operation = Literal["replace", "add", "scale"]


@dataclass(frozen=True, eq=False)
class Edit:
    """One activation of a patched run that is changed.

    Attributes:
        activation: a key of `model.ACTIVATIONS`.
        layer: which block.
        positions: which tokens of the base prompt; for attention patterns, which destinations.
        operation: "replace" puts `payload` in; "add" adds `payload` times `factor`; "scale" multiplies by `factor`.
        payload: shaped as the base run's recorded activation, position for position; None to scale.
        factor: of "add" and "scale".
        head: which head, for activations that have heads; None is all of them, except for a pattern, which needs one.
        entries: which neurons, or which source positions of a pattern; None is all of them.
    """

    activation: str
    layer: int
    positions: tuple[int, ...]
    operation: Operation = "replace"
    payload: Tensor | None = None
    factor: float = 1.0
    head: int | None = None
    entries: tuple[int, ...] | None = None


PatchedRun = Sequence[Edit]


def changes(model: LanguageModel, base: Recording, edit: Edit) -> Tensor:
    """Where an edit would change the base run: a Boolean for each entry but the last axis of its activation."""
    now = base.activations[model.hook_name(edit.activation, edit.layer)]
    if edit.operation == "replace":
        assert edit.payload is not None
        changed = now != edit.payload
    elif edit.operation == "add":
        assert edit.payload is not None
        changed = (edit.payload != 0).expand_as(now) & (edit.factor != 0)
    else:
        changed = (now != 0) & (edit.factor != 1)
    return changed if ACTIVATIONS[edit.activation].entries else changed.any(-1)


def first_change(run: PatchedRun, changed: Callable[[Edit], Any]) -> Start | None:
    """The first layer and the first position at which any edit of a run changes anything; None if none does."""
    layers, positions = [], []
    for edit in run:
        mask = changed(edit)
        kind = ACTIVATIONS[edit.activation]
        for position in edit.positions:
            index: list[Any] = [position]
            if kind.per_head:
                index.insert(0 if kind.pattern else 1, slice(None) if edit.head is None else edit.head)
            if kind.entries and edit.entries is not None:
                index.append(list(edit.entries))
            if mask[tuple(index)].any():
                positions.append(position)
                layers.append(edit.layer)
    return Start(min(layers), min(positions)) if layers else None


class Edits:
    """The edits of the runs of one pass, by hook, ready to be written."""

    def __init__(self, model: LanguageModel, runs: Sequence[PatchedRun], device: torch.device):
        self.model = model
        self._layout: Layout | RowsAlone | None = None
        self._fired: set[str] = set()
        by_hook: dict[str, dict[Any, list[tuple[int, Edit]]]] = {}
        nths: dict[tuple[int, str], int] = {}
        for run, edits in enumerate(runs):
            for edit in edits:
                hook = model.hook_name(edit.activation, edit.layer)
                # Edits of one run may meet in a place, where they are made one after another, in their order.
                nth = nths[run, hook] = nths.get((run, hook), -1) + 1
                kind = (nth, edit.operation, id(edit.payload), edit.factor, edit.head is None, edit.entries is None)
                by_hook.setdefault(hook, {}).setdefault(kind, []).append((run, edit))
        self._writes = {
            hook: [_Write(kinds[kind], device) for kind in sorted(kinds, key=lambda kind: kind[0])]
            for hook, kinds in by_hook.items()
        }

    def tell(self, layout: Layout | RowsAlone) -> None:
        """Which rows the next block has."""
        self._layout = layout

    @contextmanager
    def written(self) -> Iterator[Edits]:
        """Hooks that write the edits, into rows of the told layout or, without one, into the batch's own rows."""

        def hook_of(name: str) -> Hook:
            def hook(value: Tensor, hook: Any) -> Tensor:
                self._fired.add(name)
                # In place, not a copy: hook_resid_mid is the MLP norm's input, and a copy would miss the residual.
                for write in self._writes[name]:
                    write.into(value, self._layout)
                return value

            return of_this_thread(hook)

        with self.model.raw.hooks(fwd_hooks=[(name, hook_of(name)) for name in self._writes]):
            yield self
        if missed := self._writes.keys() - self._fired:
            raise RuntimeError(
                f"The patch at {min(missed)} was not made: the model's hooks were reset while it ran. Run this again."
            )


class _Write:
    """Edits of one hook that differ only in run, position, head and entries, as index tensors."""

    def __init__(self, edits: list[tuple[int, Edit]], device: torch.device):
        self.edit = edits[0][1]
        self.kind = ACTIVATIONS[self.edit.activation]
        cells = [
            (run, position, edit.head or 0, entry)
            for run, edit in edits
            for position in edit.positions
            for entry in (edit.entries if edit.entries is not None else (0,))
        ]
        self.run, self.position, self.head, self.entry = torch.tensor(cells, device=device).T

    def into(self, value: Tensor, layout: Layout | RowsAlone | None) -> None:
        run, position, head, entry = self.run, self.position, self.head, self.entry
        batch, row = run, position
        if layout is not None:
            row = layout.row(run, position)
            here = row >= 0
            row, position, head, entry = row[here], position[here], head[here], entry[here]
            batch = torch.zeros_like(row)
        edit = self.edit
        at = (batch, *self._index(row, head, entry))
        if edit.operation == "scale":
            value[at] = value[at] * edit.factor
            return
        assert edit.payload is not None
        payload = edit.payload[self._index(position, head, entry)].to(value.dtype)
        value[at] = payload if edit.operation == "replace" else value[at] + edit.factor * payload

    def _index(self, position: Tensor, head: Tensor, entry: Tensor) -> tuple[Any, ...]:
        """Where the edited places are in an activation without its first axis."""
        index = [position]
        if self.edit.head is not None:
            index.insert(0 if self.kind.pattern else 1, head)
        if self.edit.entries is not None:
            index.append(entry)
        return tuple(index)
