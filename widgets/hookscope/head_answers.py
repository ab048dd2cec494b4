"""What is asked of one head in an attention view, and the answers as they cross to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp_backend.language.prompts import PromptPair
from interp_backend.methods.activation_patching import activation_patching_steps
from interp_backend.results.attribution import Attribution
from interp_backend.results.codec import encode_array, finite_or_none
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.head_table import HeadPairs, TokenPair


@dataclass(frozen=True)
class PatchStep:
    """Some way into it: once it is over, the effects by position, and that of all positions at once."""

    result: EffectMap | None
    whole: EffectMap | None
    done: int
    total: int
    seconds_left: float | None


def patch_steps(model: Any, pair: PromptPair, layer: int, head: int, activation: str) -> Iterator[PatchStep]:
    """Denoising of one head: at all positions at once, then at each by itself."""
    asked = {"activation": activation, "layers": [layer], "heads": [head]}
    whole = None
    for step in activation_patching_steps(model, pair, axes=("layer", "head"), **asked):
        whole = step.result
        yield PatchStep(None, None, 0, 1, step.seconds_left)
    for step in activation_patching_steps(model, pair, axes=("layer", "head", "position"), **asked):
        over = step.result if step.result.complete else None
        yield PatchStep(over, whole, step.done, step.total, step.seconds_left)


def patched_to_wire(layer: int, head: int, activation: str, by_position: EffectMap, whole: EffectMap) -> dict[str, Any]:
    """What patching a head does, by position and at all of them."""
    return {
        "layer": layer,
        "head": head,
        "activation": activation,
        "label": by_position.metric_label,
        "scale_text": by_position.scale_text,
        "direction": by_position.params["direction"],
        "tokens": by_position.labels["position"],
        "effects": encode_array(np.ascontiguousarray(by_position.normalized[0, 0])),
        "state": encode_array(np.ascontiguousarray(by_position.state[0, 0])),
        "all": finite_or_none(float(whole.normalized[0, 0])),
        "warnings": by_position.provenance.get("warnings", []),
    }


def attributed_to_wire(layer: int, head: int, found: Attribution) -> dict[str, Any]:
    """What one head adds to the answer, in each prompt."""
    heads = found.kind == found.kinds.index("head")
    here = int(np.flatnonzero(heads & (found.layer == layer) & (found.index == head))[0])
    sides = {}
    for name, side in found.sides.items():
        sizes = np.abs(side.values)
        sides[name] = {
            "value": float(side.values[here]),
            "total": float(side.total),
            "rank": 1 + int((sizes[heads] > sizes[here]).sum()),
            "of": int(heads.sum()),
            "position": side.position,
            "tokens": side.tokens,
            "by_source": None
            if side.by_source is None
            else encode_array(np.ascontiguousarray(side.by_source[layer, head])),
        }
    return {
        "layer": layer,
        "head": head,
        "quantity": found.quantity,
        "answer": found.params["answer"],
        "wrong_answer": found.params["wrong_answer"],
        "note": found.note,
        "sides": sides,
        "warnings": found.warnings,
    }


def pairs_to_wire(layer: int, head: int, circuit: str, tokens: str, found: HeadPairs) -> dict[str, Any]:
    """Which tokens a head connects."""
    return {
        "layer": layer,
        "head": head,
        "circuit": circuit,
        "tokens": tokens,
        "pairs": [_pair_to_wire(pair) for pair in found.pairs],
        "lowest": [_pair_to_wire(pair) for pair in found.lowest],
        "note": found.note,
        "copying": found.copying,
    }


def _pair_to_wire(pair: TokenPair) -> dict[str, Any]:
    return {"source": pair.source, "target": pair.target, "value": pair.value}
