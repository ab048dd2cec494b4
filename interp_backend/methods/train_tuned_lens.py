"""Training a tuned lens on one's own texts (Belrose et al. 2023, arXiv:2303.08112), for small models."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..engine.modules import module_dtype, read_out
from ..engine.turn import Turn
from ..engine.watch import check
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.tuned_lens import TunedLens, unembed_hash
from .logit_lens import rows_of, stack_of

POSITIONS_A_STEP = 512
LEARNING_RATE, WARMUP = 1e-3, 0.05
MOST_PARAMETERS = 200_000_000


@dataclass(frozen=True)
class TrainingStep:
    """Some way into the training.

    Attributes:
        lens: as far as it is trained.
        loss: mean over layers of KL(final || lens) of the last step, in nats.
    """

    lens: TunedLens
    loss: float
    done: int
    total: int
    seconds_left: float | None


def train_tuned_lens(
    model: Any, texts: Sequence[str], *, steps: int = 500, seed: int = 0, progress: bool = True
) -> TunedLens:
    """Train a translator for each layer, so that through it the layer says what the model says in the end.

    Each starts as the logit lens (all zeros) and minimises KL(final || lens) with Adam.

    Args:
        model: what `load_model` gives or takes; with weights as trained.
        texts: whatever the model is to be looked at with; longer ones are cut at the model's context.
        steps: how many steps; each sees about 512 positions.
        seed: of the order of the texts.
        progress: show how far it is. An interrupt ends the training early and keeps what is learnt.

    Raises:
        ValueError: no texts, a folded model, or one that is too large to be trained here.
    """
    lens: TunedLens | None = None
    try:
        with (
            torch.inference_mode(False),  # in which nothing could be trained
            tqdm(total=steps, desc="tuned lens", unit="step", disable=not progress) as bar,
        ):
            for step in train_tuned_lens_steps(model, texts, steps=steps, seed=seed):
                lens = step.lens
                bar.set_postfix_str(f"loss {step.loss:.3f} nats", refresh=False)
                bar.update()
    except KeyboardInterrupt:
        if lens is None:
            raise
    assert lens is not None
    return lens


def train_tuned_lens_steps(
    model: Any, texts: Sequence[str], *, steps: int = 500, seed: int = 0
) -> Iterator[TrainingStep]:
    """`train_tuned_lens` in steps. Whoever stops early keeps the last step's lens."""
    model = load_model(model)
    prompts = _prompts(model, texts)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is how many steps to train, 1 or more, not {steps!r}.")
    if model.weights != "as trained":
        raise ValueError("A tuned lens is trained on a model with its weights as trained; this one's are folded.")
    if model.n_layers * model.d_model**2 > MOST_PARAMETERS:
        raise ValueError(
            f"A lens for {model.n_layers} layers, {model.d_model} wide, is too large to be trained here. Train it with "
            "the tuned-lens package on a GPU, and load it."
        )
    generator = torch.Generator().manual_seed(seed)
    weights = torch.zeros(model.n_layers, model.d_model, model.d_model, device=model.device, requires_grad=True)
    biases = torch.zeros(model.n_layers, model.d_model, device=model.device, requires_grad=True)
    optimizer = torch.optim.Adam([weights, biases], lr=LEARNING_RATE)
    _, hooks = rows_of(model, "resid_post")
    began, hash_ = time.perf_counter(), unembed_hash(model)
    with Turn(model) as turn:
        for step in range(steps):
            stack = torch.cat([stack_of(turn, ids, hooks) for ids in _drawn(prompts, generator)], dim=1)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * _pace(step, steps)
            loss = turn.run(lambda stack=stack: _step(model, stack.float(), weights, biases, optimizer))
            left = (time.perf_counter() - began) / (step + 1) * (steps - step - 1)
            lens = TunedLens(weights.detach().cpu().clone(), biases.detach().cpu().clone(), hash_, model.name)
            yield TrainingStep(lens, loss, step + 1, steps, left)


def _prompts(model: LanguageModel, texts: Any) -> list[list[int]]:
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ValueError("texts is a list of texts to train on.")
    prompts = [model.to_ids(text)[: model.n_ctx] for text in texts if text]
    prompts = [ids for ids in prompts if len(ids) > 1]
    if not prompts:
        raise ValueError("There is nothing to train on: give one text or more, of two tokens at least.")
    return prompts


def _drawn(prompts: list[list[int]], generator: torch.Generator) -> list[list[int]]:
    """Prompts at random, of about as many positions as a step sees."""
    drawn: list[list[int]] = []
    while sum(map(len, drawn)) < POSITIONS_A_STEP:
        drawn.append(prompts[int(torch.randint(len(prompts), (1,), generator=generator))])
    return drawn


def _pace(step: int, steps: int) -> float:
    """The share of the learning rate: up, then down to nothing."""
    return min((step + 1) / max(1, WARMUP * steps), 1 - step / steps)


def _step(model: LanguageModel, stack: Tensor, weights: Tensor, biases: Tensor, optimizer: Any) -> float:
    """One step on a stack [row, position, d_model]; the mean over layers of KL(final || lens)."""
    with torch.no_grad():
        final = _log_probs(model, stack[-1])
        probs = final.exp()
    optimizer.zero_grad()
    total = 0.0
    for layer in range(model.n_layers):  # one layer's logits at a time
        check()
        with torch.enable_grad():
            translated = stack[layer] + torch.nn.functional.linear(stack[layer], weights[layer], biases[layer])
            loss = (probs * (final - _log_probs(model, translated))).sum(-1).mean()
            [by_weight, by_bias] = torch.autograd.grad(loss, [weights, biases])
        weights.grad = by_weight if weights.grad is None else weights.grad + by_weight
        biases.grad = by_bias if biases.grad is None else biases.grad + by_bias
        total += float(loss.detach())
    optimizer.step()
    return total / model.n_layers


def _log_probs(model: LanguageModel, vectors: Tensor) -> Tensor:
    return read_out(model, vectors.to(module_dtype(model))[None], None)[0].float().log_softmax(-1)
