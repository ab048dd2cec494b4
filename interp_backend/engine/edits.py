"""Edits: which activations a patched run changes, where and how, and the hooks that write these changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..language.model import ACTIVATIONS, Hook, LanguageModel
from .own import Own
from .packing import FewRows, Layout, Start
from .recording import Recording

Operation = Literal["replace", "add", "scale"]


@dataclass(frozen=True, eq=False)
class Edit:
    """A change that a patched run makes to one activation.

    Attributes:
        activation: a key of `model.ACTIVATIONS`.
        layer: the number of the block.
        positions: positions in the base prompt; for attention patterns the destinations.
        operation: "replace" writes `payload`; "add" adds `payload` times `factor`; "scale" multiplies by `factor`.
        payload: a tensor with the shape of the base run's recorded activation; None for "scale".
        factor: the factor of "add" and "scale".
        head: the head to change, in activations that have heads. None changes all; a pattern needs a number.
        entries: the neurons to change, or the source positions of a pattern; None changes all.
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
    """Where an edit would change the base run, as Booleans shaped like its activation.

    They lack the last axis unless the single entries of that axis can be edited.
    """
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
    """The first layer and position at which a run differs from the base run; None if its edits change nothing.

    Args:
        run: the edits of the run.
        changed: `changes` of an edit.
    """
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
    """All edits of the runs in one pass, grouped by hook."""

    def __init__(self, model: LanguageModel, runs: Sequence[PatchedRun], device: torch.device):
        self.model = model
        self._layout: Layout | FewRows | None = None
        self._fired: set[str] = set()
        by_hook: dict[str, dict[Any, list[tuple[int, Edit]]]] = {}
        nths: dict[tuple[int, str], int] = {}
        for run, edits in enumerate(runs):
            for edit in edits:
                hook = model.hook_name(edit.activation, edit.layer)
                # Two edits of one run may change the same place. Then they are applied one after the other, in order.
                nth = nths[run, hook] = nths.get((run, hook), -1) + 1
                kind = (nth, edit.operation, id(edit.payload), edit.factor, edit.head is None, edit.entries is None)
                by_hook.setdefault(hook, {}).setdefault(kind, []).append((run, edit))
        self._writes = {
            hook: [_Write(kinds[kind], device) for kind in sorted(kinds, key=lambda kind: kind[0])]
            for hook, kinds in by_hook.items()
        }

    def set_layout(self, layout: Layout | FewRows) -> None:
        """Set the layout of the rows for the next block."""
        self._layout = layout

    @contextmanager
    def written(self) -> Iterator[Edits]:
        """Write the edits during a run in a `with` block, into the layout's rows or, without one, into a batch."""

        def hook_of(name: str) -> Hook:
            def hook(value: Tensor, hook: Any) -> Tensor:
                self._fired.add(name)
                # In place: a bridge has hook_resid_mid on the MLP norm's input, and a returned copy would change that
                # input alone and not the residual stream.
                for write in self._writes[name]:
                    write.into(value, self._layout)
                return value

            return Own(hook)

        with self.model.raw.hooks(fwd_hooks=[(name, hook_of(name)) for name in self._writes]):
            yield self
        if missed := self._writes.keys() - self._fired:
            raise RuntimeError(
                f"The patch at {min(missed)} was lost, since the model's hooks were reset while it ran. Run this again."
            )


class _Write:
    """Edits of one hook that differ only in run, position, head and entries. These indices are kept as tensors."""

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

    def into(self, value: Tensor, layout: Layout | FewRows | None) -> None:
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
        """The index of the edited places in an activation without its first axis."""
        index = [position]
        if self.edit.head is not None:
            index.insert(0 if self.kind.pattern else 1, head)
        if self.edit.entries is not None:
            index.append(entry)
        return tuple(index)
