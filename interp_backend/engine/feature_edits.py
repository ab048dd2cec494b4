"""Changes of features as edits of a model's own run: what the MLPs write, plus what features now write more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..language.feature_changes import FeatureChange
from ..language.transcoders import Active, Transcoders
from .edits import Edit
from .executor import run_edited
from .modules import logit_scale, softcapped
from .norm_scales import Scales
from .own import Own
from .recording import record
from .transcoded import read_transcoded
from .turn import Turn

TOO_LARGE = "With these changes the model's numbers are too large to be computed with."


def feature_edits(
    turn: Turn, ids: Sequence[int], length: int, transcoders: Transcoders, changes: Sequence[FeatureChange]
) -> tuple[list[Edit], Tensor]:
    """Edits that change features in the run of a prompt.

    Args:
        ids: the tokens of the prompt, and those that were generated after it.
        length: how many of them are the prompt's.

    Returns:
        The edits; and for each change the mean activation before and after over its positions, [change, 2]. Changes of
        one feature at one position are made one after the other.

    Raises:
        ValueError: the prompt has no such position, the transcoders no such feature, or a change is too large.
    """
    for layer in {one.layer for one in changes}:
        transcoders.n_features(layer)  # refuses layers without features
    [(inputs, _)] = read_transcoded(turn, [list(ids)], transcoders)
    active = {layer: transcoders.encode(layer, inputs[layer]) for layer in sorted({one.layer for one in changes})}
    added: dict[int, Tensor] = {}
    acts: dict[tuple[int, int], Tensor] = {}  # by layer and feature, after the changes so far
    seen = []
    for one in changes:
        rows = transcoders.decoder_rows(one.layer, torch.tensor([one.feature]))
        positions = sorted(set(one.positions(length, len(ids))))
        place = one.layer, one.feature
        if place not in acts:
            acts[place] = _activations(active[one.layer], one.feature)
        now = acts[place][positions]
        new = torch.tensor([one.new(value) for value in now.tolist()])
        acts[place][positions] = new
        seen.append(torch.stack([now.mean(), new.mean()]))
        for target, row in rows.items():
            added.setdefault(target, torch.zeros(len(ids), transcoders.d_model))
            added[target][positions] += (new - now)[:, None] * row[0]
    if not all(torch.isfinite(one).all() for one in [*added.values(), *seen]):
        raise ValueError(f"{TOO_LARGE} Change the features by less.")
    return [_adding(turn, target, vectors) for target, vectors in added.items()], torch.stack(seen)


def _activations(active: Active, feature: int) -> Tensor:
    """The activations of one feature, [position], on the CPU."""
    at = active.features == feature
    found = torch.zeros(active.shape[0])
    found[active.positions[at].cpu()] = active.values[at].cpu()
    return found


def _adding(turn: Turn, layer: int, vectors: Tensor) -> Edit:
    positions = tuple(vectors.any(-1).nonzero()[:, 0].tolist())
    payload = vectors.to(turn.model.device, getattr(torch, turn.model.dtype))
    return Edit("mlp_out", layer, positions, "add", payload)


def frozen_patterns(turn: Turn, ids: Sequence[int]) -> list[Edit]:
    """Edits that keep every attention pattern as it is in the unchanged run.

    Raises:
        ValueError: the model's patterns can't be edited.
    """
    model = turn.model
    for layer in range(model.n_layers):
        if why := model.why_not("pattern", layer):
            raise ValueError(f"Attention can't be frozen. {why}")
    names = [model.hook_name("pattern", layer) for layer in range(model.n_layers)]
    [run] = record(turn, [list(ids)], names, [[]])
    everywhere = tuple(range(len(ids)))
    return [
        Edit("pattern", layer, everywhere, "replace", run.activations[name], head=head)
        for layer, name in enumerate(names)
        for head in range(model.n_heads)
    ]


def last_logits(
    turn: Turn, ids: Sequence[int], edits: Sequence[Edit], scales: Scales | None = None
) -> tuple[Tensor, Tensor]:
    """Logits [d_vocab] of the last position in float32, on the CPU: the model's, and those before a final softcap.

    They are the same in a model without a softcap.

    Args:
        scales: of norms, which the run keeps; by default it has its own.

    Raises:
        ValueError: the edits are so large that the logits are not finite.
    """
    model, uncapped = turn.model, []

    def prepare() -> None:
        uncapped.clear()
        model.raw.unembed.register_forward_hook(Own(lambda module, args, out: uncapped.append(out[0, -1])))
        if scales is not None:
            scales.keep()

    shown = run_edited(turn, ids, [edit for edit in edits if edit.positions], prepare)[-1].float().cpu()
    if edits and not torch.isfinite(shown).all():
        raise ValueError(f"{TOO_LARGE} Change the features by less.")
    return shown, logit_scale(model) * uncapped[0].float().cpu() if softcapped(model) else shown
