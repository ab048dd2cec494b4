"""Scripts that read one run: the logit lens, direct logit attribution, attention patterns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common.subject import subject_of
from ..engine.modules import logit_scale
from ..language.prompts import PromptPair
from ..methods.direct_logit_attribution import UNITS
from ..methods.logit_lens import STREAMS
from ..results.attention import AttentionPatterns
from ..results.attribution import Attribution
from ..results.lens import LogitLens
from ..results.sides import SidedResult
from .parts import (
    Lines,
    NoForm,
    Printed,
    Script,
    answers_code,
    bos_comment,
    filled,
    hook_of,
    indented,
    listed,
    numbers,
    tokens_code,
    writes,
)


def result_of(printed: Printed, family: type[Any]) -> Any:
    """The result, if it is of its method's family."""
    if not isinstance(printed.result, family):
        raise ValueError(f"This is printed from its result, a {family.__name__}: transformerlens_code(result).")
    return printed.result


def read_sides(printed: Printed, function: str, setup: Lines, body: Lines) -> Lines:
    """The tokens of the prompt or of both prompts, and a function of tokens whose body gives `values`."""
    result: SidedResult[Any] = printed.result
    subject = subject_of(printed.params)
    prepend = subject.prepend_bos if isinstance(subject, PromptPair) else None
    given = printed.params.get("prepend_bos")
    prepend = given if isinstance(given, bool) else prepend
    written = {name: tokens_code(side.text, side.ids, printed.model, prepend) for name, side in result.sides.items()}
    made = bos_comment(printed) if prepend is None else []
    if "prompt" in written:
        made.append(f"tokens = {written['prompt'][0]}{written['prompt'][1]}")
        call = f"values = {function}(tokens)"
    else:
        made += [f"{name} = {code}{comment}" for name, (code, comment) in written.items()]
        call = f'values = {{"clean": {function}(clean), "corrupt": {function}(corrupt)}}'
    return [*made, *setup, "", "", f"def {function}(tokens):", *indented(body), "", "", call]


# The logit lens


LENS = """
_, cache = model.run_with_cache(tokens)
stack = torch.stack([cache[name][0] for name in rows])  # [row, position, d_model]
# The model's own final norm, also for earlier rows, and its softcap or scale after the unembedding.
logits = model.unembed(model.ln_final(stack))
logits = model.adapter.apply_output_logits_transform(logits).float()
log_probs = logits.log_softmax(-1)
probs = log_probs.exp()
top = logits.topk($top_k, dim=-1)
values = {
    "top_ids": top.indices,
    "top_logits": top.values,
    "top_probs": probs.gather(-1, top.indices),
    "entropy": -(probs * log_probs).sum(-1),
    "kl_to_final": (probs[-1] * (log_probs[-1] - log_probs)).sum(-1),
}
"""

FOLLOWED = """
values["target_logit"] = logits[..., targets]
values["target_prob"] = probs[..., targets]
ranks = [(logits > logits[..., [target]]).sum(-1) for target in targets]
values["target_rank"] = torch.stack(ranks, dim=-1)  # 0 is the likeliest
"""


@writes("logit_lens")
def logit_lens(printed: Printed) -> Script:
    result: LogitLens = result_of(printed, LogitLens)
    if printed.params.get("lens", "logit") not in ("logit", None):
        raise NoForm(printed, "the translators of a tuned lens are no part of TransformerLens.")
    if any(place.activation not in STREAMS for place in result.row_places):
        raise ValueError("The result has rows that no lens reads. Run the method again.")
    names = [hook_of(str(place.activation)).format(place.layer) for place in result.row_places]
    setup = [
        "rows = [  # the embedding, the stream after each layer, and what the model itself reads",
        *(f"    {name!r}," for name in names),
        "]",
    ]
    targets, texts = [target.id for target in result.targets], [target.text for target in result.targets]
    if targets:
        known = printed.model is not None
        setup.append(f"targets = {answers_code(texts, targets, printed.model) if known else listed(targets)}")
    body = [
        *filled(LENS, top_k=result.top_ids.shape[-1]),
        *(filled(FOLLOWED) if targets else []),
        "return {name: value.cpu().numpy() for name, value in values.items()}",
    ]
    about = "what each row of the stack predicts at each position: arrays [row, position, ...] by name"
    return Script(about, read_sides(printed, "read", setup, body))


# Direct logit attribution


APART = """
_, cache = model.run_with_cache(tokens)
at = {name: act[0, position].float() for name, act in cache.items() if act.shape[1] == tokens.shape[1]}
# With its scale frozen at this run's, the final norm is linear, and what a part of the stream adds a dot product.
direction = $direction
onto = direction$gain / cache["ln_final.hook_scale"][0, position]
"""
CENTRED = ["onto = onto - onto.mean()  # a LayerNorm subtracts the mean first"]


@writes("direct_logit_attribution")
def direct_logit_attribution(printed: Printed) -> Script:
    result: Attribution = result_of(printed, Attribution)
    model = printed.need_model("Which norm the model ends with is not in the result.")
    unit = printed.chosen("unit", UNITS)
    kinds = {result.kinds[int(kind)] for kind in result.kind}
    if "mixer" in kinds:
        raise NoForm(printed, "some of this model's layers write by other means than attention and MLP.")
    block = model.raw.blocks[0]
    posts = [name for name in ("ln1_post", "ln2_post") if hasattr(block, name)]
    config = getattr(getattr(model.raw, "original_model", None), "config", None)
    scaled = getattr(config, "residual_multiplier", 1) != 1
    if unit in ("head", "neuron") and (posts or scaled):
        raise NoForm(printed, f"between this model's {unit}s and its residual stream there is more than a matrix.")
    right = printed.params.get("answer_ids") or []
    wrong = printed.params.get("wrong_answer_ids") or []
    texts = {name: printed.params.get(name) or [] for name in ("answer", "wrong_answer")}
    if not isinstance(right, list) or not right or not isinstance(wrong, list):
        raise ValueError("The result does not say which answers it is of. Run the method again.")
    positions = {side.position for side in result.sides.values()}
    position = positions.pop() if len(positions) == 1 else printed.whole("position", -1)
    setup = [f"right = {_answers(printed, texts['answer'], right)}"]
    setup += [f"wrong = {_answers(printed, texts['wrong_answer'], wrong)}"] if wrong else []
    minus = " - model.W_U[:, wrong].mean(1)" if wrong else ""
    scale = float(f"{logit_scale(model):.6g}")
    direction = f"model.W_U[:, right].mean(1){minus}"
    body = [
        *filled(
            APART,
            direction=direction if scale == 1 else f"{scale!r} * ({direction})",  # some models scale their logits
            gain=_gain(printed),
        ),
        *(
            ["onto = onto - onto.mean()  # a LayerNorm subtracts the mean first"]
            if _norm(printed).startswith("LN")
            else []
        ),
        "parts = []",
        *_embeddings(kinds),
        "for layer in range(model.cfg.n_layers):",
        '    block = f"blocks.{layer}."',
        *indented(_layer(unit, kinds)),
        *_bias(_norm(printed), bool(wrong), scale),
        "return np.array([float(part) for part in parts])",
    ]
    setup.append(f"position = {position}")
    what = "logit difference" if wrong else "logit"
    about = f"what each component adds to the {what}, in the order of the result's labels"
    return Script(about, read_sides(printed, "attribute", setup, body))


def _norm(printed: Printed) -> str:
    """The kind of the model's final norm, as TransformerLens names it."""
    kind = str(getattr(printed.need_model("").raw.cfg, "normalization_type", ""))
    if kind not in ("LN", "RMS", "LNPre", "RMSPre"):
        raise NoForm(printed, f"this model's final norm ({kind or 'none'}) is neither a LayerNorm nor an RMSNorm.")
    return kind


def _gain(printed: Printed) -> str:
    """The factor of the final norm's weights. HookedTransformer has none where they are folded."""
    if _norm(printed).endswith("Pre"):
        return ""
    offset = getattr(printed.need_model("").raw.cfg, "rmsnorm_uses_offset", False)
    return " * (1 + model.ln_final.w)" if offset else " * model.ln_final.w"


def _answers(printed: Printed, texts: Any, ids: list[Any]) -> str:
    listed_ids = [int(token) for token in ids]
    texts = (
        texts if isinstance(texts, list) and len(texts) == len(ids) and all(isinstance(t, str) for t in texts) else None
    )
    return repr(listed_ids) if texts is None else answers_code(texts, listed_ids, printed.model)


def _embeddings(kinds: set[str]) -> Lines:
    if "pos_embed" not in kinds:
        return ['parts.append(at["blocks.0.hook_resid_pre"] @ onto)  # the embedding']
    return [
        'embed, first = at["hook_embed"], at["blocks.0.hook_resid_pre"]',
        "parts += [embed @ onto, (first - embed) @ onto]  # of the token and of the position",
    ]


def _layer(unit: str, kinds: set[str]) -> Lines:
    """What the parts of a layer add."""
    if unit == "layer":
        return ['parts.append((at[block + "hook_resid_post"] - at[block + "hook_resid_pre"]) @ onto)']
    lines = ['attn = at[block + "hook_attn_out"] @ onto']
    if unit == "head":
        lines += [
            'heads = torch.einsum("he,hem,m->h", at[block + "attn.hook_z"], model.W_O[layer].float(), onto)',
            "parts += [*heads, attn - heads.sum()]  # the rest is the bias",
        ]
    else:
        lines.append("parts.append(attn)")
    if "mlp" in kinds or "neuron" in kinds:
        lines.append('mlp = at[block + "hook_mlp_out"] @ onto')
        if unit == "neuron":
            lines += [
                'neurons = at[block + "mlp.hook_post"] * (model.W_out[layer].float() @ onto)',
                "parts += [*neurons, mlp - neurons.sum()]  # the rest is the bias",
            ]
        else:
            lines.append("parts.append(mlp)")
    return lines


def _bias(kind: str, wrong: bool, scale: float) -> Lines:
    minus = " - model.b_U[wrong].mean()" if wrong else ""
    unembedding = f"model.b_U[right].mean(){minus}"
    unembedding = f"({unembedding}) * {scale!r}" if scale != 1 else unembedding
    norm = "direction @ model.ln_final.b + " if kind == "LN" else ""
    return [f"parts.append({norm}{unembedding})"]


# Attention


@writes("attention_patterns")
def attention_patterns(printed: Printed) -> Script:
    result: AttentionPatterns = result_of(printed, AttentionPatterns)
    kind = result.kind
    reach = _reach(printed, result)
    setup = [f"layers, heads = {numbers(result.layers)}, {listed(result.heads)}"]
    local = any(reach)
    if local:
        setup.append(f"reach = {reach!r}  # by layer: how many sources a destination sees, None for all before it")
    hook = "attn_scores" if kind == "scores" else "pattern"
    layer = [
        *filled('\nvalues = cache[f"blocks.{layer}.attn.hook_$hook"][0, heads].float()', hook=hook),
        *(filled(MOVED) if kind in MEASURED else []),
        *MEASURED.get(kind, []),
        "seen = back >= 0",
        *(["if reach[i] is not None:", "    seen &= back < reach[i]"] if local else []),
        "made.append(values.masked_fill(~seen, torch.nan))  # a mask is no zero",
    ]
    body = [
        "_, cache = model.run_with_cache(tokens)",
        "place = torch.arange(tokens.shape[1], device=tokens.device)",
        "back = place[:, None] - place  # [destination, source]",
        "made = []",
        "for i, layer in enumerate(layers):" if local else "for layer in layers:",
        *indented(layer),
        "return torch.stack(made).cpu().numpy()",
    ]
    about = f"the {kind.replace('_', ' ')} of each head: [layer, head, destination, source], NaN where it is masked"
    return Script(about, read_sides(printed, "read", setup, body))


MOVED = """
v = cache[f"blocks.{layer}.attn.hook_v"][0].float()  # [source, head, d_head]
v = v.repeat_interleave(model.cfg.n_heads // v.shape[1], dim=1)[:, heads]  # heads may share values
moved = torch.einsum("she,hem->hsm", v, model.W_O[layer, heads].float())  # what each source hands over
"""
MEASURED = {
    "value_weighted": ["values = values * moved.norm(dim=-1)[:, None]"],
    "output_norm": [
        "along = torch.nn.functional.normalize(values @ moved, dim=-1)  # the direction of the head's output",
        "values = values * (along @ moved.transpose(1, 2))",
    ],
}


def _reach(printed: Printed, result: AttentionPatterns) -> list[int | None]:
    """By layer, how many sources a destination sees; None for all up to itself."""
    found: list[int | None] = [None] * len(result.layers)
    for side in result.sides.values():
        at = np.arange(len(side.ids))
        back = at[:, None] - at
        for i, masked in enumerate(side.masked.astype(bool)):
            reach = int(back[~masked].max(initial=0)) + 1
            if not np.array_equal(masked, (back < 0) | (back >= reach)):
                raise NoForm(
                    printed, f"the mask of layer {result.layers[i]} is not that of causal or of local attention."
                )
            if reach < len(at):
                found[i] = reach
    return found
