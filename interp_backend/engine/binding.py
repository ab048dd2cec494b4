"""Interventions on one prompt as edits of its run, with the values that they write.

A binding has the patched run and the pair's other run. It runs the other prompts that its interventions name (third
prompts, data sets) once, and keeps the activations that they need. `edits` then turns an intervention into edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ..language.interventions import (
    Add,
    FromOther,
    FromPrompt,
    Intervention,
    Mean,
    Resample,
    Scale,
    Value,
    as_tuple,
    check_activation,
    drawn_prompts,
    in_range,
)
from ..language.model import ACTIVATIONS, LanguageModel
from .edits import Edit
from .own import Own
from .recording import Recording, record
from .turn import Turn


class Binding:
    """The runs that some interventions on a pair need.

    Attributes:
        base: the run that is patched.
        other: the pair's other run.
        draws: how often each patched run is repeated, each time with other prompts; 1 unless something is resampled.

    Args:
        base, other: recordings of the two runs, with the activations of `hook_names`.
        counterparts: for each position of the base prompt the corresponding position of the other prompt, or None.
        uses: pairs of an activation's name and the value that is written into it.
        prepend_bos: how the pair's prompts begin, and with them the prompts that values come from.
        appended: the tokens of an answer that follow the pair's prompts, and with them the prompts of values.
    """

    def __init__(
        self,
        turn: Turn,
        base: Recording,
        other: Recording,
        counterparts: Sequence[int | None],
        uses: Sequence[tuple[str, Value]],
        prepend_bos: bool | None = None,
        appended: Sequence[int] = (),
    ):
        self.turn, self.model = turn, turn.model
        self._prepend_bos, self._appended = prepend_bos, tuple(appended)
        self.counterparts = list(counterparts)
        self._uses = uses
        draws = {value.draws for _, value in uses if isinstance(value, Resample)} or {1}
        if len(draws) > 1:
            raise ValueError(
                "The interventions of one run resample with different numbers of draws. Give the same draws= to each."
            )
        self.draws = draws.pop()
        self._payloads: dict[Any, Tensor] = {}
        self._others: dict[tuple[str, ...], list[Recording]] = {}
        self._drawn: dict[Resample, list[Recording]] = {}
        self.base, self.other = base, other
        ids = base.tokens.tolist(), other.tokens.tolist()
        self._shared = _shared_prefix(*ids, self.counterparts)
        self._one_to_one = self.counterparts == list(range(len(other.tokens)))
        if not self._one_to_one and any(ACTIVATIONS[a].pattern and self.reads_other(v) for a, v in uses):
            raise ValueError(
                "A row of attention weights is patched as a whole, so both prompts need the same number of tokens, "
                "aligned one to one. Patch z, q, k or v, or choose prompts of one length."
            )

    def recordings(self) -> list[Recording]:
        """Every run that this binding holds."""
        return [self.base, self.other, *chain(*self._others.values())]

    def left_out(self, positions: Sequence[int], value: Value) -> int:
        """How many of these positions are not patched, because they have no counterpart in the other prompt."""
        return sum(self.counterparts[p] is None for p in positions) if self.reads_other(value) else 0

    def heads_of(self, activation: str) -> int:
        """How many heads an activation has. Keys and values may have fewer than queries."""
        now = self._now(activation, self.model.layers_with(activation)[0])
        return now.shape[0 if ACTIVATIONS[activation].pattern else 1]

    def entries_of(self, activation: str, layer: int) -> int:
        """How many neurons a layer has, or how many source positions a pattern has."""
        return self._now(activation, layer).shape[-1]

    def trials(self, activation: str) -> list[list[Edit]]:
        """A few runs with edits of one activation, which test whether packed runs give this model's own numbers."""
        length, kind = len(self.base.tokens), ACTIVATIONS[activation]
        trials, layers = [], self.model.layers_with(activation)
        for layer, position in (
            (layers[0], length // 2),
            (layers[len(layers) // 2], length // 3),
            (layers[-1], 0),
        ):
            name, layer = lowered(self.model, activation, layer)
            payload = self._now(name, layer).roll(1, 0) * 1.5
            positions = (position, length - 1)
            trials.append([Edit(name, layer, positions, "replace", payload, head=0 if kind.per_head else None)])
        return trials

    def together(self, interventions: Sequence[Intervention], draw: int = 0) -> list[Edit]:
        """The edits of one run with several interventions.

        If two of them change the same place, the second acts on the result of the first. They come in the order in
        which the model calls its hooks and, at the same hook, in the order given.
        """
        ordered = sorted(interventions, key=lambda one: _ORDER.get(one.activation, len(_ORDER)))
        embeds = [one for one in ordered if one.activation == "embed"]
        made = [edit for intervention in ordered[len(embeds) :] for edit in self.edits(intervention, draw)]
        single = [edit for one in embeds for edit in self.edits(one, draw)]
        return [*(single if len(embeds) < 2 else self._embedded(embeds, single, draw)), *made]

    def _embedded(self, embeds: Sequence[Intervention], single: list[Edit], draw: int) -> list[Edit]:
        """Several interventions on the embeddings, as one edit of the first block's input."""
        hook = self.model.hook_name("embed", 0)
        embedding = self.base.activations[hook].clone()
        for one in embeds:
            for edit in self.edits(one, draw):
                at = list(edit.positions)
                embedding[at] = self._written(hook, embedding, one.value, draw)[at]
        positions = tuple(sorted({position for edit in single for position in edit.positions}))
        return [Edit("resid_pre", 0, positions, "replace", self._after_embedding(embedding))] if positions else []

    def edits(self, intervention: Intervention, draw: int = 0) -> list[Edit]:
        """The edits of an intervention in one draw. Positions without a counterpart in the other prompt are not edited.

        Raises:
            ValueError: a layer, head, position or neuron that does not exist, or an activation that can't be patched.
        """
        model, length = self.model, len(self.base.tokens)
        activation = check_activation(model, intervention.activation)
        kind = ACTIVATIONS[activation]
        layer = in_range("layer", intervention.layer, 1 if activation == "embed" else model.n_layers)
        if why := model.why_not(activation, layer):
            raise ValueError(why)
        positions = tuple(
            in_range("position", p, length, negative=True) for p in as_tuple(intervention.position, length)
        )
        for field in ("position", "source", "neuron"):
            if getattr(intervention, field) == ():
                raise ValueError(
                    f"This intervention has an empty list of {field}s. Give one {field} or more, or None for all."
                )
        for field, fits in (("head", kind.per_head), ("source", kind.pattern), ("neuron", activation == "mlp_post")):
            if getattr(intervention, field) is not None and not fits:
                raise ValueError(f"{activation} has no {field}. Leave {field} out.")
        head = intervention.head
        if head is not None:
            head = in_range("head", head, self.heads_of(activation))
        field = "source" if kind.pattern else "neuron"
        entries = getattr(intervention, field)
        if entries is not None:
            size = self.entries_of(activation, layer)
            entries = tuple(in_range(field, e, size, negative=kind.pattern) for e in as_tuple(entries, size))
        heads = range(self.heads_of(activation)) if kind.pattern and head is None else [head]
        made = [self.edit(activation, layer, positions, h, entries, intervention.value, draw) for h in heads]
        return [edit for edit in made if edit is not None]

    def edit(
        self,
        activation: str,
        layer: int,
        positions: tuple[int, ...],
        head: int | None,
        entries: tuple[int, ...] | None,
        value: Value,
        draw: int = 0,
    ) -> Edit | None:
        """Like `edits`, for numbers that are known to be in range; None if no position has a counterpart."""
        if self.reads_other(value):
            positions = tuple(p for p in positions if self.counterparts[p] is not None)
            if not positions:
                return None
        name, at = lowered(self.model, activation, layer)
        if isinstance(value, Scale) and activation != "embed":
            return Edit(name, at, positions, "scale", None, value.factor, head, entries)
        payload = self._payload(activation, name, at, value, draw)
        if isinstance(value, Add) and activation != "embed":
            return Edit(name, at, positions, "add", payload, value.factor, head, entries)
        return Edit(name, at, positions, "replace", payload, 1.0, head, entries)

    def change(self, activation: str, layer: int, value: Value, draw: int = 0) -> tuple[str, Tensor]:
        """The hook of an activation, and by how much a value would change the activation there, [position, ...].

        It is exactly zero at positions without a counterpart in the other prompt, and before the first difference.
        """
        hook = self.model.hook_name(
            *((activation, 0) if activation == "embed" else lowered(self.model, activation, layer))
        )
        now = self.base.activations[hook]
        changed = self._written(hook, now, value, draw) - now
        if self.reads_other(value):
            axis = 1 if ACTIVATIONS[activation].pattern else 0
            same = [p for p, there in enumerate(self.counterparts) if p < self._shared or there is None]
            changed.index_fill_(axis, torch.tensor(same, dtype=torch.long, device=changed.device), 0)
        return hook, changed

    @staticmethod
    def reads_other(value: Value) -> bool:
        return isinstance(value, FromOther) or (isinstance(value, Add) and value.vector is None)

    # Values, with the shape of the base run's activation

    def _now(self, name: str, layer: int) -> Tensor:
        return self.base.activations[self.model.hook_name(name, layer)]

    def _payload(self, activation: str, name: str, layer: int, value: Value, draw: int) -> Tensor:
        key = (activation, name, layer, value, draw)
        if key not in self._payloads:
            if activation == "embed":
                hook = self.model.hook_name("embed", 0)
                now = self.base.activations[hook]
                self._payloads[key] = self._after_embedding(self._written(hook, now, value, draw))
            else:
                self._payloads[key] = self._value(self.model.hook_name(name, layer), value, draw)
            if self.reads_other(value) and self._shared:
                # Before the first difference the two runs agree up to rounding. With the base run's own numbers there,
                # patched runs that change nothing are known to do so.
                axis = 1 if ACTIVATIONS[activation].pattern else 0
                same = self._payloads[key].narrow(axis, 0, self._shared)
                if isinstance(value, Add) and activation != "embed":
                    same.zero_()
                else:
                    same.copy_(self._now(name, layer).narrow(axis, 0, self._shared))
        return self._payloads[key]

    def _written(self, hook: str, now: Tensor, value: Value, draw: int) -> Tensor:
        """The activation after the intervention, where `now` is the activation before it."""
        if isinstance(value, Scale):
            return now * value.factor
        payload = self._value(hook, value, draw)
        return now + value.factor * payload if isinstance(value, Add) else payload

    def _value(self, hook: str, value: Value, draw: int) -> Tensor:
        """The activation that replaces the base run's, or the vector that is added to it."""
        now = self.base.activations[hook]
        if isinstance(value, FromOther):
            return self._aligned(hook)
        if isinstance(value, FromPrompt):
            return self._third(value).activations[hook]
        if isinstance(value, Resample):
            return self._draw(value)[draw].activations[hook]
        if isinstance(value, Mean):
            return self._mean(value, hook).to(now.dtype).expand_as(now)
        if isinstance(value, Add):
            return self._aligned(hook) - now if value.vector is None else self._vector(value, now)
        return torch.zeros_like(now)

    def _aligned(self, hook: str) -> Tensor:
        """The other run's activation at the positions of the base prompt; arbitrary at those without a counterpart."""
        source = self.other.activations[hook]
        if self._one_to_one:
            return source.clone()
        return source[torch.tensor([c or 0 for c in self.counterparts], device=source.device)]

    def _vector(self, value: Add, now: Tensor) -> Tensor:
        vector = torch.tensor(value.vector, dtype=now.dtype, device=now.device)
        if vector.shape != now.shape[-1:]:
            raise ValueError(
                f"The steering vector has {len(vector)} numbers, but this activation has {now.shape[-1]}. Give as many."
            )
        return vector.expand_as(now)

    def _after_embedding(self, embedding: Tensor) -> Tensor:
        """The first block's input [position, d_model] for these token embeddings [position, d_model].

        Between the two, a model works position by position (it adds position embeddings, scales, or has a norm). So one
        run with all embeddings replaced gives the input for every position.
        """
        model, kept = self.model, []

        def write(value: Tensor, hook: Any) -> Tensor:
            value[0] = embedding
            return value

        def keep(value: Tensor, hook: Any) -> None:
            kept.append(value[0].detach().clone())

        hooks = [("hook_embed", Own(write)), (model.hook_name("resid_pre", 0), Own(keep))]

        def run() -> Tensor:
            with torch.no_grad(), model.raw.hooks(fwd_hooks=hooks):
                model.raw(self.base.tokens[None])
            return kept[-1]

        return self.turn.run(run)

    # Other prompts

    def _third(self, value: FromPrompt) -> Recording:
        return self._recorded((value.text,))[0]

    def _draw(self, value: Resample) -> list[Recording]:
        """Runs of prompts that are drawn at random for this base prompt, never the base prompt itself."""
        if value not in self._drawn:
            ids = {text: self._ids(text) for text in value.prompts}
            self._drawn[value] = self._recorded(tuple(drawn_prompts(value, self.base.tokens.tolist(), ids)))
        return self._drawn[value]

    def _recorded(self, texts: tuple[str, ...]) -> list[Recording]:
        """Runs of prompts that must be as long as the base prompt."""
        if texts not in self._others:
            for text in texts:
                if len(self._ids(text)) != len(self.base.tokens):
                    raise ValueError(
                        f"The prompt “{text}” has {len(self._ids(text))} tokens and the patched one "
                        f"{len(self.base.tokens)}, so their positions don't correspond. Give them the same length."
                    )
            names = list(self.base.activations)
            self._others[texts] = record(self.turn, [self._ids(text) for text in texts], names, [[]] * len(texts))
        return self._others[texts]

    def _ids(self, text: str) -> list[int]:
        memo, key = self.turn.memo, ("ids", text, self._prepend_bos)
        if key not in memo:
            memo[key] = self.model.to_ids(text, self._prepend_bos)
        return [*memo[key], *self._appended]

    def _mean(self, value: Mean, hook: str) -> Tensor:
        """The mean of an activation over prompts: [position, ...], or [1, ...] over all positions."""
        length = len(self.base.tokens) if value.by_position else None
        key = ("mean", value, tuple(self.base.activations), length, self._prepend_bos, self._appended)
        if key not in self.turn.memo:
            ids = [self._ids(text) for text in value.prompts]
            lengths = {len(prompt) for prompt in ids}
            if value.by_position and lengths != {len(self.base.tokens)}:
                raise ValueError(
                    f"A mean at each position needs prompts of {len(self.base.tokens)} tokens, as many as the patched "
                    f"prompt has. The data set's prompts have {', '.join(map(str, sorted(lengths)))}. Choose others, "
                    "or set by_position=False."
                )
            if not value.by_position and any(ACTIVATIONS[activation].pattern for activation, _ in self._uses):
                raise ValueError("Attention patterns can only be averaged at each position. Leave by_position=True.")
            names = list(self.base.activations)
            self.turn.memo[key] = _mean_activations(self.turn, ids, names, value.by_position)
        return self.turn.memo[key][hook]


# Activations whose edits `lowered` moves to the same hook, in the order in which a model computes them.
_ORDER = {"embed": 0, "resid_post": 1}


def hook_names(model: LanguageModel, activations: Sequence[str]) -> list[str]:
    """The names of the hooks whose activations have to be recorded for interventions on these activations."""
    places = {lowered(model, name, i) for name in activations for i in model.layers_with(name)}
    names = {model.hook_name(name, layer) for name, layer in places}
    return sorted(names | {model.hook_name("embed", 0)} if "embed" in activations else names)


def lowered(model: LanguageModel, activation: str, layer: int) -> tuple[str, int]:
    """The activation and layer at which an edit is written.

    A block's output is the next block's input, and edits of the embeddings are written into the first block's input.
    """
    if activation == "embed":
        return "resid_pre", 0
    if activation == "resid_post" and layer + 1 < model.n_layers:
        return "resid_pre", layer + 1
    return activation, layer


def _shared_prefix(a: Sequence[int], b: Sequence[int], counterparts: Sequence[int | None]) -> int:
    """How many positions from the start on have the same token in both prompts and are their own counterparts."""
    both = enumerate(zip(a, b, counterparts))
    return next((i for i, (x, y, there) in both if x != y or there != i), min(len(a), len(b)))


def _mean_activations(turn: Turn, prompts: list[list[int]], names: list[str], by_position: bool) -> dict[str, Tensor]:
    bos = turn.model.bos
    sums: dict[str, Tensor] = {}
    count = 0
    for start in range(0, len(prompts), 16):
        part = prompts[start : start + 16]
        for ids, recording in zip(part, record(turn, part, names, [[]] * len(part))):
            skip = 0 if by_position or bos is None or ids[0] != bos[0] or len(ids) == 1 else 1
            count += 1 if by_position else len(ids) - skip
            for name, value in recording.activations.items():
                value = value.float() if by_position else value[skip:].float().sum(0, keepdim=True)
                sums[name] = sums[name] + value if name in sums else value
    return {name: value / count for name, value in sums.items()}
