"""Direct logit attribution: which component wrote the answer?

The residual stream is a sum: the embedding, and what every attention head and every MLP adds. With the scale of the
final norm frozen at its value in this run, norm and unembedding are affine, so the logit of an answer, or the
difference between two logits, is a sum over the same components and the biases (Elhage et al. 2021, "A mathematical
framework for transformer circuits"; Wang et al. 2022, arXiv:2211.00593).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.prompts import Last, ReadPrompts, read_prompts
from ..common.provenance import provenance
from ..common.signatures import OneOf
from ..engine.frozen_norm import Frozen
from ..engine.modules import logit_scale, norm_of, output_matrix
from ..engine.recording import record
from ..engine.turn import Turn
from ..language.interventions import in_range
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.prompts import PromptPair
from ..results.attribution import Attribution, AttributionSide
from ..results.step import Step

UNITS = {
    "layer": ("layer", "what each layer adds"),
    "component": ("component", "attention and MLP of each layer"),
    "head": ("head", "each attention head, and each MLP"),
    "neuron": ("neuron", "each neuron of the MLPs, and each attention layer"),
}
KINDS = ("embed", "pos_embed", "layer", "attn", "head", "attn_bias", "mlp", "neuron", "mlp_bias", "mixer", "bias")
Answer = str | int | Sequence[str | int]


@method
def direct_logit_attribution(
    model: Any,
    prompt: str | PromptPair,
    answer: Answer | None = None,
    wrong_answer: Answer | None = None,
    *,
    unit: Annotated[str, OneOf(UNITS, "unit")] = "component",
    position: int = -1,
    by_source: bool = False,
    last: Last = None,
    prepend_bos: bool | None = None,
) -> Iterator[Step[Attribution]]:
    """What each component of the model adds to a logit difference, or to one logit.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text, or a pair, whose prompts are both decomposed.
        answer: the token whose logit is decomposed, as a text of one token or as an id; several answers are averaged.
            The default is the clean answers of a pair.
        wrong_answer: the token whose logit is subtracted, or None. If `answer` is None, the default is the corrupt
            answers of the pair.
        unit: "layer", "component" (attention and MLP of each layer), "head", or "neuron". What a layer writes by
            other means (a state-space, convolution or recurrent layer) is one component, its "mixer". An MLP whose
            neurons can't be told apart (a mixture of experts) stays whole.
        position: the position that predicts the answer, negative if counted from the end; the same index in both
            prompts of a pair.
        last: read only this many tokens from the end of the prompt, after the token that begins the text.
        prepend_bos: whether the prompt begins with the beginning-of-text token, as in `PromptPair`.
        by_source: whether to split each head's contribution over source positions, as its pattern times its values
            through its output matrix.

    Returns:
        An `Attribution`: `values` [component] sum to the model's own logit difference, `total` (before the final
        softcap, where a model has one); `labels`, `kinds`, `layers` and `indices` say which component each is;
        `by_source` [layer, head, source position] sums over positions to the heads' values; NaN in layers without
        heads.

    Raises:
        ValueError: an answer has several tokens, the position is out of range, the prompt is empty or too long, or the
            model's residual stream or final norm can't be decomposed exactly.
    """
    model = load_model(model)
    prompts = read_prompts(model, prompt, last, prepend_bos)
    right, wrong = answers_of(model, prompts, answer, wrong_answer)
    began = time.perf_counter()
    taken: dict[str, _Apart] = {}
    with Turn(model) as turn:
        for side, tokens in prompts.ids.items():
            taken[side] = _Apart(turn, tokens, position, right, wrong, unit, by_source)
            left = (time.perf_counter() - began) / len(taken) * (len(prompts.ids) - len(taken))
            yield Step(len(taken), len(prompts.ids), left)
        origin = provenance(turn)
    first = next(iter(taken.values()))
    result = Attribution(
        params={
            "answer": model.token_texts(right),
            "wrong_answer": model.token_texts(wrong),
            "answer_ids": right,
            "wrong_answer_ids": wrong or None,
        },
        quantity="logit difference" if wrong else "logit",
        note="before the final softcap" if any(one.capped for one in taken.values()) else "",
        kinds=list(KINDS),
        kind=np.array([KINDS.index(part.kind) for part in first.parts], np.int32),
        layer=np.array([part.layer for part in first.parts], np.int32),
        index=np.array([part.index for part in first.parts], np.int32),
        sides={
            side: AttributionSide(
                text=prompts.texts[side],
                ids=prompts.ids[side],
                tokens=prompts.tokens[side],
                position=one.position,
                values=one.values,
                total=one.total,
                by_source=one.by_source,
            )
            for side, one in taken.items()
        },
        counterparts=prompts.counterparts,
        warnings=origin.pop("warnings") + prompts.warnings,
        provenance={**origin, "seconds": time.perf_counter() - began},
    )
    yield Step(len(prompts.ids), len(prompts.ids), 0.0, result)


def answers_of(
    model: LanguageModel, prompts: ReadPrompts, answer: Answer | None, wrong: Answer | None
) -> tuple[list[int], list[int]]:
    """The token ids of the answers whose logit is decomposed, and of the answers that are subtracted.

    Raises:
        ValueError: there is no answer, or an answer has several tokens.
    """
    tokenized, prompt = prompts.pair, prompts.first_text
    if answer is None and tokenized is not None:
        if not tokenized.pair.answers("clean"):
            raise ValueError("The pair has no clean answer. Give it one, or say which answer is meant: answer=...")
        tokenized.refuse(["clean_answer", "corrupt_answer"] if wrong is None else ["clean_answer"])
        right = list(tokenized.answer_ids("clean"))
        below = list(tokenized.answer_ids("corrupt")) if wrong is None else _ids(model, wrong, prompt)
        return right, _differing(right, below)
    if answer is None:
        raise ValueError('Say which answer: direct_logit_attribution(model, prompt, " Oslo").')
    right, below = _ids(model, answer, prompt), [] if wrong is None else _ids(model, wrong, prompt)
    return right, _differing(right, below)


def _differing(right: list[int], below: list[int]) -> list[int]:
    if set(right) & set(below):
        raise ValueError(
            "The answer and the wrong answer are the same token, so their difference is always zero. Give another."
        )
    return below


def _ids(model: LanguageModel, answer: Answer, prompt: str) -> list[int]:
    several = list(answer) if isinstance(answer, (list, tuple)) else [answer]
    if not several:
        raise ValueError("The list of answers is empty. Give one token or more.")
    return list(dict.fromkeys(model.one_token(one, prompt) for one in several))


@dataclass(frozen=True)
class _Part:
    """One component and its contribution; layer and index are -1 if the component has none."""

    kind: str
    layer: int
    index: int
    value: float


class _Apart:
    """The decomposition of one prompt's run at one position."""

    def __init__(
        self,
        turn: Turn,
        ids: list[int],
        position: int,
        right: list[int],
        wrong: list[int],
        unit: str,
        by_source: bool,
    ):
        self.turn, self.model, self.unit = turn, turn.model, unit
        self.position = in_range("position", position, len(ids), negative=True)
        # Later tokens can't influence the position, so they are not run.
        [self._run] = record(turn, [ids[: self.position + 1]], self._hooks(by_source), [[self.position]])
        self.by_source: np.ndarray | None = None
        turn.run(lambda: self._take_apart(right, wrong, by_source))

    def _hooks(self, by_source: bool) -> list[str]:
        model = self.model
        needed = ["resid_pre", "resid_post"]
        needed += ["z"] if self.unit == "head" or by_source else []
        needed += ["mlp_post"] if self.unit == "neuron" else []
        needed += ["pattern", "v"] if by_source else []
        for name in needed:
            if name in model.unavailable or (name.startswith("resid") and model.absent.get(name)):
                why = next(iter(model.absent[name].values()))
                remedy = "Use activation patching" if name.startswith("resid") else "Choose the unit component or layer"
                raise ValueError(f"This model has no {name}: {why}. {remedy}{', without by_source' * by_source}.")
        wanted = [*needed, "attn_out", "resid_mid", "mlp_out"]
        names = {model.hook_name(name, layer) for name in wanted for layer in model.layers_with(name)}
        return sorted(names | ({"hook_embed"} if self._adds_positions else set()))

    @property
    def _adds_positions(self) -> bool:
        return getattr(self.model.raw.cfg, "positional_embedding_type", None) == "standard"

    def _at(self, activation: str, layer: int) -> Tensor:
        """An activation at the position, float32."""
        return self._run.activations[self.model.hook_name(activation, layer)][self.position].float()

    def _take_apart(self, right: list[int], wrong: list[int], by_source: bool) -> None:
        final = self._at("resid_post", self.model.n_layers - 1)
        direction, shift = _direction(self.model, right, wrong)
        norm = Frozen.of(norm_of(self.model, "ln_final") or (lambda rows: rows), final, "the final norm")
        onto = norm.pulled_back(direction)  # a component's contribution is its dot product with this vector
        bias = float(norm.bias @ direction) + shift
        parts = self._embeddings(onto)
        sources = []
        for layer in range(self.model.n_layers):
            parts += self._layer(layer, onto, sources if by_source else None)
        parts.append(_Part("bias", -1, -1, bias))
        self.parts = parts
        self.values = np.array([part.value for part in parts], np.float32)
        logits = self._run.logits[self.position].float()
        own = float(logits[right].mean() - (logits[wrong].mean() if wrong else 0))
        whole = float(onto @ final) + bias
        self.capped = float(getattr(self.model.raw.cfg, "output_logits_soft_cap", 0) or 0) > 0
        self.total = whole if self.capped else own
        self._check(float(self.values.sum(dtype=np.float64)), logits)
        if by_source:
            self.by_source = np.stack(sources).astype(np.float32)

    def _check(self, total: float, logits: Tensor) -> None:
        """Raise ValueError if the parts do not sum to the total."""
        allowed = _tolerance(self.model) * max(1.0, float(logits.abs().max()))
        if not abs(total - self.total) <= allowed:
            raise ValueError(
                f"This model can't be decomposed: the components sum to {total:.4g} and the model's own value is "
                f"{self.total:.4g}. Its final norm or unembedding is of an unsupported kind."
            )

    # Parts

    def _embeddings(self, onto: Tensor) -> list[_Part]:
        first = self._at("resid_pre", 0)
        if not self._adds_positions:
            return [_Part("embed", -1, -1, float(onto @ first))]
        token = self._run.activations["hook_embed"][self.position].float()
        return [
            _Part("embed", -1, -1, float(onto @ token)),
            _Part("pos_embed", -1, -1, float(onto @ (first - token))),
        ]

    def _layer(self, layer: int, onto: Tensor, sources: list[np.ndarray] | None) -> list[_Part]:
        before, after = self._at("resid_pre", layer), self._at("resid_post", layer)
        if self.unit == "layer" and sources is None:
            return [_Part("layer", layer, -1, float(onto @ (after - before)))]
        attn, mlp = self._written(layer)
        whole = float(onto @ (after - before))
        of_attn, of_mlp = (0.0 if part is None else float(onto @ part) for part in (attn, mlp))
        heads = None
        if attn is not None and (self.unit == "head" or sources is not None):
            heads = self._heads(layer, onto, attn)
        if sources is not None:
            n_heads, length = self.model.n_heads, self.position + 1
            none = np.full((n_heads, length), np.nan, np.float32)  # a layer without heads
            sources.append(none if heads is None else self._sources(layer, heads[1]))
        if self.unit == "layer":
            return [_Part("layer", layer, -1, whole)]
        made = []
        if attn is not None:
            made.append(_Part("attn", layer, -1, of_attn))
        if heads is not None and self.unit == "head":
            each = heads[0].tolist()
            made = [_Part("head", layer, head, value) for head, value in enumerate(each)]
            made.append(_Part("attn_bias", layer, -1, of_attn - sum(each)))
        if attn is None or (mlp is None and not self._close(before + attn, after)):
            made.append(_Part("mixer", layer, -1, whole - of_attn - of_mlp))
        if mlp is None:
            return made
        if self.unit != "neuron" or not self._has("mlp_post", layer):
            return [*made, _Part("mlp", layer, -1, of_mlp)]
        neurons = self._neurons(layer, onto, mlp).tolist()
        made += [_Part("neuron", layer, neuron, value) for neuron, value in enumerate(neurons)]
        return [*made, _Part("mlp_bias", layer, -1, of_mlp - sum(neurons))]

    def _has(self, activation: str, layer: int) -> bool:
        return layer not in self.model.absent.get(activation, {})

    def _written(self, layer: int) -> tuple[Tensor | None, Tensor | None]:
        """What attention and MLP add to the residual stream; None for what can't be told from the rest of a layer.

        Raises:
            ValueError: what they write is not what the layer adds.
        """
        before, after = self._at("resid_pre", layer), self._at("resid_post", layer)
        attn = self._at("attn_out", layer) if self._has("attn_out", layer) else None
        mlp = self._at("mlp_out", layer) if self._has("mlp_out", layer) else None
        if self._has("resid_mid", layer):
            between = self._at("resid_mid", layer)
            beside = attn is None or not self._close(before + attn, between)  # a state-space layer, for example
            return None if beside else between - before, None if mlp is None else after - between
        if attn is None:
            return None, None
        if not self._close(after, before + attn + (0 if mlp is None else mlp)):
            raise ValueError(
                f"Layer {layer} adds something else to the residual stream than what its attention and its MLP write "
                "(a norm comes after them, for example), so they can't be told apart. Choose the unit layer."
            )
        return attn, None if mlp is None else after - before - attn

    def _close(self, a: Tensor, b: Tensor) -> bool:
        return bool((a - b).abs().max() <= _tolerance(self.model) * float(b.abs().max()))

    def _heads(self, layer: int, onto: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        """The contribution of each head [head], and the weight of each entry of its z in it, [head, d_head]."""
        z = self._at("z", layer)
        weight = self._entries(layer, "attn", z.reshape(-1), onto, added).view(z.shape)
        return (z * weight).sum(-1), weight

    def _neurons(self, layer: int, onto: Tensor, added: Tensor) -> Tensor:
        """The contribution of each neuron, [neuron]."""
        entries = self._at("mlp_post", layer)
        return entries * self._entries(layer, "mlp", entries, onto, added)

    def _entries(self, layer: int, part: str, entries: Tensor, onto: Tensor, added: Tensor) -> Tensor:
        """The contribution per unit of each entry of an output matrix's input. A norm may follow the matrix.

        Raises:
            ValueError: the output of the matrix (and the norm) is not what the layer adds to the residual stream.
        """
        name = f"layer {layer}'s {'heads' if part == 'attn' else 'neurons'}"
        write = output_matrix(self.model, layer, part)
        out = write(entries)
        post = norm_of(self.model, "ln1_post" if part == "attn" else "ln2_post", layer)
        if post is not None:
            if not out.any():  # the output is zero, for which a norm has no scale
                return torch.zeros_like(entries)
            after = Frozen.of(post, out, f"the norm after {name}")
            onto, out = after.pulled_back(onto), after.whole(out)
        # `added` is the difference between two states of the residual stream, so it has their rounding errors.
        rounding = 0.02 * _tolerance(self.model) * float(self._at("resid_post", layer).abs().max())
        allowed = 10 * _tolerance(self.model) * float(added.abs().max()) + rounding
        factor = 1.0
        if not self.turn.users_hooks and not torch.allclose(out, added, rtol=0, atol=allowed):
            # Granite multiplies what a layer adds.
            factor = float((out @ added / (out @ out).clamp(min=1e-30)).detach())
        if not torch.allclose(factor * out, added, rtol=0, atol=allowed):
            raise ValueError(
                f"What {name} write can't be told apart in this model: there is more between them and the residual "
                "stream than an output matrix and a norm. Choose the unit component or layer."
            )
        return _gradient(write, entries, factor * onto)

    def _sources(self, layer: int, weight: Tensor) -> np.ndarray:
        """The contribution of each head from each source position, [head, source].

        Raises:
            ValueError: the pattern times the values is not the model's own z.
        """
        run = self._run.activations
        pattern = run[self.model.hook_name("pattern", layer)][:, self.position].float()  # [head, source]
        values = run[self.model.hook_name("v", layer)].float()  # [source, kv head, d_head]
        values = values.repeat_interleave(len(pattern) // values.shape[1], dim=1)
        z = self._at("z", layer)
        mixed = torch.einsum("hs,shd->hd", pattern, values)
        if not torch.allclose(mixed, z, rtol=0, atol=10 * _tolerance(self.model) * float(z.abs().max() + 1)):
            raise ValueError(
                f"The pattern of layer {layer} times its values is not the output of its heads in this model, so they "
                "can't be split over source positions. Leave out by_source."
            )
        return torch.einsum("hs,shd,hd->hs", pattern, values, weight).cpu().numpy()


def _direction(model: LanguageModel, right: list[int], wrong: list[int]) -> tuple[Tensor, float]:
    """The direction of the logit difference before the unembedding, [d_model], and the contribution of the bias."""
    scale = logit_scale(model)
    unembed, bias = model.raw.W_U, model.raw.b_U  # [d_model, d_vocab], [d_vocab]
    direction = unembed[:, right].detach().float().mean(1)
    shift = float(bias[right].detach().float().mean())
    if wrong:
        direction = direction - unembed[:, wrong].detach().float().mean(1)
        shift -= float(bias[wrong].detach().float().mean())
    return scale * direction, scale * shift


def _gradient(function: Callable[[Tensor], Tensor], at: Tensor, onto: Tensor) -> Tensor:
    """For a linear function, the contribution of a unit of each input entry to a direction of the output."""
    with torch.inference_mode(False), torch.enable_grad():  # also if the caller is in inference mode
        entries = at.detach().clone().requires_grad_()
        [gradient] = torch.autograd.grad(function(entries) @ onto.clone(), entries)
    return gradient


def _tolerance(model: LanguageModel) -> float:
    return 1e-4 if model.dtype not in ("bfloat16", "float16") else 3e-2
