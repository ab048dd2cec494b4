"""Train a tuned lens on your own texts, for small models (Belrose et al. 2023, arXiv:2303.08112)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..common.method import method
from ..common.signatures import Count
from ..engine.modules import module_dtype, read_out
from ..engine.turn import Turn
from ..engine.watch import check, current
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.tuned_lens import TunedLens, unembed_hash
from ..results.step import Step, remaining
from .logit_lens import rows_of, stack_of

POSITIONS_A_STEP = 512
LEARNING_RATE, WARMUP = 1e-3, 0.05
MOST_PARAMETERS = 200_000_000


@method
def train_tuned_lens(
    model: Any,
    texts: Sequence[str],
    *,
    steps: Annotated[int, Count("how many steps to train")] = 500,
    seed: int = 0,
    progress: bool = True,
) -> Iterator[Step[TunedLens]]:
    """Train a translator for each layer, so that the translated layer predicts what the model's output predicts.

    Each translator starts as the logit lens (all zeros) and minimises KL(final || lens) with Adam.

    Args:
        model: a model that `load_model` returns or accepts; its weights must not be folded.
        texts: texts like those that the lens will be used on; texts longer than the model's context are truncated.
        steps: how many steps to train; each step sees about 512 positions.
        seed: the seed for the order of the texts.
        progress: show a progress bar. An interrupt ends the training early and keeps the lens so far.

    Returns:
        A `TunedLens`. Every step of `.steps` has the lens as trained so far.

    Raises:
        ValueError: there are no texts, or the model is folded or too large.
    """
    model = load_model(model)
    training = _Training(model, prompts_of(model, texts), steps, seed)
    began = time.perf_counter()
    streams = current().seconds is not None  # then the caller shows the progress and handles interrupts
    with Turn(model) as turn, tqdm(total=steps, desc="tuned lens", unit="step", disable=streams or not progress) as bar:
        for done in range(1, steps + 1):
            try:
                lens = training.step(turn)
            except KeyboardInterrupt:
                if streams or done == 1:
                    raise
                return
            bar.set_postfix_str(f"loss {lens.loss:.3f} nats", refresh=False)
            bar.update()
            yield Step(done, steps, remaining(time.perf_counter() - began, done, steps), lens)


class _Training:
    """The translators, their optimizer, and the texts."""

    def __init__(self, model: LanguageModel, prompts: list[list[int]], steps: int, seed: int):
        if model.weights != "as trained":
            raise ValueError("A tuned lens is trained on a model with its weights as trained; this one's are folded.")
        if any(weight.is_inference() for weight in model.raw.parameters()):
            raise ValueError(
                "This model was made under torch.inference_mode(), so nothing can be trained through it. Load it "
                "outside of inference mode."
            )
        if model.n_layers * model.d_model**2 > MOST_PARAMETERS:
            raise ValueError(
                f"A lens for {model.n_layers} layers, {model.d_model} wide, is too large to train here. Train it "
                "with the tuned-lens package on a GPU, and load it."
            )
        self.model, self.prompts, self.steps, self.done = model, prompts, steps, 0
        self.generator = torch.Generator().manual_seed(seed)
        size = (model.n_layers, model.d_model)
        with torch.inference_mode(False):  # nothing can be trained in inference mode
            options: Any = {"device": model.device, "dtype": torch.float32, "requires_grad": True}
            self.weights, self.biases = torch.zeros(*size, model.d_model, **options), torch.zeros(*size, **options)
            self.optimizer = torch.optim.Adam([self.weights, self.biases], lr=LEARNING_RATE)
        self.hash = unembed_hash(model)
        _, self.hooks = rows_of(model, "resid_post")

    def step(self, turn: Turn) -> TunedLens:
        """Make one step of the optimizer, and return the lens after it."""
        with torch.inference_mode(False):
            drawn = _drawn(self.prompts, self.generator)
            stack = torch.cat([stack_of(turn, ids, self.hooks) for ids in drawn], dim=1).float()
            for group in self.optimizer.param_groups:
                group["lr"] = LEARNING_RATE * _pace(self.done, self.steps)
            loss = turn.run(lambda: _step(self.model, stack, self.weights, self.biases, self.optimizer))
        self.done += 1
        weights, biases = (part.detach().cpu().clone() for part in (self.weights, self.biases))
        return TunedLens(weights, biases, self.hash, self.model.name, loss)


def prompts_of(model: LanguageModel, texts: Any) -> list[list[int]]:
    """The token ids of texts to train on, truncated to the model's context.

    Raises:
        ValueError: these are no texts, or none has two tokens.
    """
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ValueError("texts is a list of texts to train on.")
    prompts = [model.to_ids(text)[: model.n_ctx] for text in texts if text]
    prompts = [ids for ids in prompts if len(ids) > 1]
    if not prompts:
        raise ValueError("There is nothing to train on: give one or more texts of at least two tokens.")
    return prompts


def _drawn(prompts: list[list[int]], generator: torch.Generator) -> list[list[int]]:
    """Random prompts with about as many positions as a step sees."""
    drawn: list[list[int]] = []
    while sum(map(len, drawn)) < POSITIONS_A_STEP:
        drawn.append(prompts[int(torch.randint(len(prompts), (1,), generator=generator))])
    return drawn


def _pace(step: int, steps: int) -> float:
    """The factor of the learning rate: a linear warm-up, and then a linear decay to zero."""
    return min((step + 1) / max(1, WARMUP * steps), 1 - step / steps)


def _step(model: LanguageModel, stack: Tensor, weights: Tensor, biases: Tensor, optimizer: Any) -> float:
    """Make one step on a stack [row, position, d_model]. Returns the mean over layers of KL(final || lens)."""
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
