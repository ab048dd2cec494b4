"""Attention patterns: where each head attends, and how much it moves from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.head_measures import head_measures
from ..common.method import method
from ..common.provenance import provenance
from ..common.signatures import Count, OneOf
from ..engine.recording import Recording, record
from ..engine.turn import Turn
from ..engine.watch import check
from ..language.interventions import as_tuple, in_range
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.prompts import PromptPair
from ..refusal import Refused
from ..results.attention import QUANTITIES, AttentionPatterns, AttentionSide, Kind
from ..results.step import Step
from .logit_lens import counterparts_of, ids_of, texts_of_prompt

MOST_BYTES = 4 << 30  # the largest size of a result's values
SCORES_HOOK = "attn.hook_attn_scores"
_HELP = {
    "pattern": "the attention weights: where a head attends",
    "value_weighted": "the weights times the length of the value that is moved from there",
    "scores": "before the softmax",
    "output_norm": "what each position adds to the length of the head's output",
}
KINDS = {kind: (kind.replace("_", " "), f"{QUANTITIES[kind][0]}: {text}") for kind, text in _HELP.items()}


@method
def attention_patterns(
    model: Any,
    prompt: str | PromptPair,
    kind: Annotated[Kind, OneOf(KINDS, "kind")] = "pattern",
    *,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    last: Annotated[int | None, Count("how many tokens of the prompt to read")] = None,
) -> Iterator[Step[AttentionPatterns]]:
    """Where every head attends: the attention from each position (the destination) to each position (the source).

    Args:
        model: a model that `load_model` returns or accepts; not in training mode.
        prompt: a text, or a pair, whose prompts are both run.
        kind: the meaning of the value for one head, destination d and source s:
            "pattern": the attention weight A[d, s], which sums to one over the sources;
            "value_weighted": A[d, s] times the norm of the source's value vector after the output matrix, ‖v[s] W_O‖
            (Kobayashi et al. 2020, arXiv:2004.10102): attention to a position whose value is zero moves nothing;
            "scores": the input of the softmax, as in TransformerLens's hook_attn_scores;
            "output_norm": how much s adds to the norm of the head's output at d: the component of A[d, s] v[s] W_O
            along the head's whole output at d. It sums over the sources to the norm of that output, and is negative if
            a source works against it.
            Biases, and any norm between the heads and the residual stream (gemma2 has one), are left out.
        layers, heads: the indices of layers and heads; None means all.
        last: read only this many tokens from the end of the prompt, after the token that begins the text.

    Returns:
        An `AttentionPatterns`: `values` [layer, head, destination, source], NaN where `masked`. With grouped-query
        attention there is a pattern for every head, and `key_value_heads` has the key-value head that it reads.

    Raises:
        ValueError: the prompt is empty or too long, there are too many values, the model has no such layer or head,
            values are not numbers, or TransformerLens does not give this kind (such as scores) for the model.
    """
    model = load_model(model)
    texts, pair = texts_of_prompt(prompt)
    ids = {side: ids_of(model, side, text, last) for side, text in texts.items()}
    refuse_missing(model, kind)
    given = model.layers_with("pattern") if layers is None else as_tuple(layers, model.n_layers)
    chosen = _Heads(
        layers=sorted({in_range("layer", layer, model.n_layers) for layer in given}),
        heads=sorted({in_range("head", head, model.n_heads) for head in as_tuple(heads, model.n_heads)}),
    )
    refuse_missing(model, kind, chosen.layers)
    _refuse_too_many(chosen, [len(tokens) for tokens in ids.values()])
    began = time.perf_counter()
    sides: dict[str, AttentionSide] = {}
    with Turn(model) as turn:
        warnings = _warnings(model)
        for side, tokens in ids.items():
            values, masked, scores, found = _read(turn, tokens, kind, chosen)
            sides[side] = AttentionSide(
                text=texts[side],
                ids=tokens,
                tokens=model.token_texts(tokens),
                values=values,
                masked=masked,
                scores=scores,
            )
            warnings += [f"{side.capitalize()}: {warning}" if pair else warning for warning in found]
            left = (time.perf_counter() - began) / len(sides) * (len(ids) - len(sides))
            yield Step(len(sides), len(ids), left)
        origin = provenance(turn)
    result = AttentionPatterns(
        kind=kind,
        params={},
        layers=chosen.layers,
        heads=chosen.heads,
        key_value_heads=_key_value_heads(model, chosen.heads),
        sides=sides,
        counterparts=counterparts_of(model, pair, last),
        warnings=origin.pop("warnings") + warnings,
        provenance={**origin, "seconds": time.perf_counter() - began},
    )
    yield Step(len(ids), len(ids), 0.0, result)


@dataclass(frozen=True)
class _Heads:
    """The layers and heads that are read."""

    layers: list[int]
    heads: list[int]


def _refuse_too_many(chosen: _Heads, lengths: list[int]) -> None:
    """Raise ValueError if no heads are chosen, or if there are too many values, with a remedy."""
    if not chosen.layers or not chosen.heads:
        raise ValueError("layers and heads name at least one each; None is all.")
    count = len(chosen.layers) * len(chosen.heads)
    size = 4 * count * sum(length**2 for length in lengths)
    if size > MOST_BYTES:
        most = int((MOST_BYTES / (4 * count * len(lengths))) ** 0.5) - 1
        raise Refused(
            f"{count} heads at {max(lengths)} tokens would take {size / 2**30:.1f} GB, and at most "
            f"{MOST_BYTES >> 30} GB are kept. Read fewer heads (layers=[...], heads=[...]) or the prompt's last {most} "
            f"tokens: last={most}.",
            f"Read the last {most} tokens",
            last=most,
        )


def _warnings(model: LanguageModel) -> list[str]:
    why = model.why_not("pattern")
    return [] if why is None else [f"The patterns are the model's own, but patching them can't work. {why}"]


def _key_value_heads(model: LanguageModel, heads: list[int]) -> list[int] | None:
    shared = getattr(model.raw.cfg, "n_key_value_heads", None)
    if not shared or shared == model.n_heads:
        return None
    return [head // (model.n_heads // shared) for head in heads]


# Reading


def _read(
    turn: Turn, ids: list[int], kind: Kind, chosen: _Heads
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    """Values [layer, head, destination, source], masked [layer, destination, source], the heads' scores, warnings."""
    model = turn.model
    run, masks = _recorded(turn, ids, kind, chosen)
    shape = (len(chosen.layers), len(chosen.heads), len(ids), len(ids))
    values, masked = np.empty(shape, np.float32), np.empty((shape[0], *shape[2:]), np.uint8)
    measured, warnings = [], []
    for i, layer in enumerate(chosen.layers):
        check()
        pattern = run.activations.pop(model.hook_name("pattern", layer)).float()  # [head, destination, source]
        refuse_no_numbers(pattern, model.hook_name("pattern", layer))
        hidden = masks[layer]
        measured.append(head_measures(pattern, ids))
        warnings += _odd_rows(model, pattern, layer)
        computed = _VALUES_OF[kind](model, run, layer, chosen, pattern, hidden)
        values[i] = computed.masked_fill(hidden, torch.nan).cpu().numpy()
        masked[i] = hidden.cpu().numpy()
    names = measured[0] if measured else {}
    return values, masked, {name: np.stack([layer[name] for layer in measured]) for name in names}, warnings


def refuse_missing(model: LanguageModel, kind: Kind = "pattern", layers: Sequence[int] = ()) -> None:
    """Raise ValueError if the model, or one of these layers, lacks an activation that has to be read."""
    for activation in ("pattern", *(("v", "z") if kind in ("value_weighted", "output_norm") else ())):
        for layer in (None, *layers):
            if why := model.why_lacking(activation, layer):
                raise ValueError(why)


def refuse_no_numbers(pattern: Tensor, hook: str) -> None:
    """Raise ValueError if a pattern holds NaN or infinity."""
    if not torch.isfinite(pattern).all():
        raise ValueError(
            f"The attention at {hook} is not a number (NaN) for this prompt. Load the model in float32: some models "
            "overflow in half precision."
        )


def _recorded(turn: Turn, ids: list[int], kind: Kind, chosen: _Heads) -> tuple[Recording, dict[int, Tensor]]:
    """The run with the activations of the chosen heads, and the mask [destination, source] of each layer."""
    model, picked = turn.model, chosen.heads
    every = len(picked) == model.n_heads
    kept: dict[str, Callable[[Tensor], Tensor]] = {}
    masks: dict[int, Tensor] = {}

    def pick(value: Tensor) -> Tensor:
        return (value if every else value[:, picked]).detach().clone()

    def take_scores(layer: int) -> Callable[[Tensor], Tensor]:
        def take(scores: Tensor) -> Tensor:
            if are_scores(hidden := far_below(scores[0, 0])):  # the same for all heads
                masks[layer] = hidden
            return pick(scores) if kind == "scores" else scores.new_empty(len(scores), 0)

        return take

    def take_pattern(layer: int) -> Callable[[Tensor], Tensor]:
        def take(pattern: Tensor) -> Tensor:
            if layer not in masks:  # from all heads, also if only a few are chosen
                masks[layer] = _seen_by_none(pattern[0])
            return pick(pattern)

        return take

    for layer in chosen.layers:
        kept[model.hook_name("pattern", layer)] = take_pattern(layer)
        if f"blocks.{layer}.{SCORES_HOOK}" in model.raw.hook_dict:
            kept[f"blocks.{layer}.{SCORES_HOOK}"] = take_scores(layer)
    more = ("v", "z") if kind in ("value_weighted", "output_norm") else ()
    [run] = record(turn, [ids], [model.hook_name(name, i) for name in more for i in chosen.layers], [[]], reduced=kept)
    return run, masks


def far_below(scores: Tensor) -> Tensor:
    """Marks the scores of masked entries: the lowest number of their precision, or minus infinity."""
    return scores < (-6e4 if scores.dtype == torch.float16 else -1e9)


def are_scores(hidden: Tensor) -> bool:
    """Whether the entries far below the others [destination, source] include those of a causal mask.

    On gpt_neo, gptj and opt they do not, because the scores' hook has the pattern there.
    """
    return bool(hidden[_ahead(hidden)].all())


def _ahead(square: Tensor) -> Tensor:
    """Marks the sources after their destination."""
    return torch.ones_like(square, dtype=torch.bool).triu(1)


def _seen_by_none(pattern: Tensor) -> Tensor:
    """The mask of a layer from its pattern [head, destination, source], for models without scores.

    Later sources are masked, and so are sources further away than the furthest source that any head attends to. A
    single zero entry may be an underflow, so it does not count as masked.
    """
    ahead = _ahead(pattern[0])
    if (pattern[:, ahead] != 0).any():
        return torch.zeros_like(ahead)  # the attention is not causal
    at = torch.arange(len(ahead), device=pattern.device)
    distance = at[:, None] - at
    return ahead | (distance > int(distance[(pattern != 0).any(0)].max()))


def _odd_rows(model: LanguageModel, pattern: Tensor, layer: int) -> list[str]:
    """A warning if attention does not sum to one."""
    off = (pattern.sum(-1) - 1).abs().amax(-1)  # [head]
    allowed = 2e-2 if model.dtype in ("bfloat16", "float16") else 1e-3
    if not (off > allowed).any():
        return []
    worst = int(off.argmax())
    return [
        f"Layer {layer}: attention does not sum to one in {int((off > allowed).sum())} of the heads (off by up to "
        f"{float(off[worst]):.2g}). Either the model gives some of it to a sink, or a hook of yours edits it."
    ]


# Kinds, as functions of model, run, layer, chosen heads, pattern [head, destination, source] and mask. They return
# values with the pattern's shape.


def _pattern(*asked: Any) -> Tensor:
    return asked[4]


def _scores(
    model: LanguageModel, run: Recording, layer: int, chosen: _Heads, pattern: Tensor, hidden: Tensor
) -> Tensor:
    name = f"blocks.{layer}.{SCORES_HOOK}"
    scores = run.activations.get(name, pattern)
    told = all(are_scores(far_below(one)) for one in scores)
    scores = scores.float()
    seen = scores.masked_fill(hidden, -torch.inf)
    allowed = 2e-2 if model.dtype in ("bfloat16", "float16") else 1e-4
    if not told or not torch.allclose(seen.softmax(-1), pattern, rtol=0, atol=allowed):
        raise ValueError(
            f"TransformerLens does not give this model's attention scores ({model.architecture or model.name}): what "
            f"its hook_attn_scores has in layer {layer} does not become the pattern by a softmax. Choose the kind "
            "pattern."
        )
    return scores


def _value_weighted(
    model: LanguageModel, run: Recording, layer: int, chosen: _Heads, pattern: Tensor, hidden: Tensor
) -> Tensor:
    return pattern * _brought(model, run, layer, chosen, pattern).norm(dim=-1)[:, None]


def _output_norm(
    model: LanguageModel, run: Recording, layer: int, chosen: _Heads, pattern: Tensor, hidden: Tensor
) -> Tensor:
    brought = _brought(model, run, layer, chosen, pattern)
    written = pattern @ brought  # [head, destination, d_model]
    along = torch.nn.functional.normalize(written, dim=-1)
    return pattern * (along @ brought.transpose(1, 2))


_VALUES_OF: dict[str, Callable[..., Tensor]] = {
    "pattern": _pattern,
    "scores": _scores,
    "value_weighted": _value_weighted,
    "output_norm": _output_norm,
}


def _brought(model: LanguageModel, run: Recording, layer: int, chosen: _Heads, pattern: Tensor) -> Tensor:
    """Value vectors after the output matrix, [head, source, d_model], float32.

    Raises:
        ValueError: the output of the model's heads is not their pattern times their values.
    """
    values = run.activations[model.hook_name("v", layer)].float()  # [source, kv head, d_head]
    z = run.activations[model.hook_name("z", layer)].float()[:, chosen.heads]  # [destination, head, d_head]
    values = values.repeat_interleave(model.n_heads // values.shape[1], dim=1)[:, chosen.heads]
    mixed = torch.einsum("hds,she->dhe", pattern, values)
    allowed = 3e-2 if model.dtype in ("bfloat16", "float16") else 1e-3
    if not torch.allclose(mixed, z, rtol=0, atol=allowed * float(torch.maximum(z.abs().max(), mixed.abs().max()))):
        raise ValueError(
            f"The pattern of layer {layer} times its values is not the output of its heads in this model, so there is "
            "no telling what they move from where. Choose the kind pattern."
        )
    return torch.einsum("she,hem->hsm", values, model.raw.blocks[layer].attn.W_O[chosen.heads].detach().float())
