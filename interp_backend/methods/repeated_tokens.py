"""Repeated random tokens: sequences that can only be predicted by attending to the first repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import pandas
import torch

from ..common.method import method
from ..common.signatures import Count
from ..engine.edits import Edit
from ..engine.executor import run_edited
from ..engine.turn import Turn
from ..language.interventions import as_heads
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..results.step import Step

Length = Annotated[int, Count("how many random tokens are repeated", 2)]
DRAWN = "how many random sequences are drawn"
Seeds = Annotated[int, Count(DRAWN, 1, 1000)]


def random_tokens(model: LanguageModel, count: int, rng: np.random.Generator, *, tails: float = 0.0) -> list[int]:
    """Different ordinary tokens of the vocabulary, drawn uniformly.

    Args:
        tails: leave out this share of the tokens at each end, or as many as possible: vocabularies are numbered from
            common to rare tokens.

    Raises:
        ValueError: the vocabulary has too few ordinary tokens.
    """
    tokenizer = model.raw.tokenizer
    special = {int(token) for token in tokenizer.all_special_ids}
    ordinary = [token for token in range(min(len(tokenizer), model.d_vocab)) if token not in special]
    if len(ordinary) < count:
        raise ValueError(f"This vocabulary has {len(ordinary)} ordinary tokens, but {count} different ones are needed.")
    out = min(round(tails * len(ordinary)), (len(ordinary) - count) // 2)
    ordinary = ordinary[out : len(ordinary) - out]
    return [ordinary[i] for i in rng.choice(len(ordinary), count, replace=False)]


def sequence(model: LanguageModel, *parts: list[int]) -> list[int]:
    """The parts one after another, after the tokens that the model puts in front of every prompt."""
    return [*model.prefix(), *(token for part in parts for token in part)]


def fitting_length(model: LanguageModel, length: int, times: int = 2) -> int:
    """How many tokens are repeated: `length`, or as many as fit into the model's context with all their repeats.

    Raises:
        ValueError: the context is too short.
    """
    most = (model.n_ctx - 1) // times
    if most < 2:
        raise ValueError(f"This model reads {model.n_ctx} tokens at once, too few to repeat random tokens.")
    return min(length, most)


@method
def repeated_token_loss(
    model: Any, ablate: Sequence[tuple[int, int]] = (), *, length: Length = 50, seeds: Seeds = 5
) -> Iterator[Step[pandas.DataFrame]]:
    """The loss on random tokens at their first and second occurrence, with heads ablated.

    Nothing can predict the tokens the first time. The second time, a model that attends to the first time can (Olsson
    et al. 2022, arXiv:2209.11895). The tokens are the same for every choice of heads.

    Args:
        model: a model that `load_model` returns or accepts.
        ablate: heads (layer, head) whose output, z, is set to zero at all positions.
        length: how many tokens are repeated; fewer if the context is shorter.
        seeds: how many sequences are drawn.

    Returns:
        One row for each seed: `first` and `second` are the mean losses, in nats, of the tokens' first and second
        occurrence. The first token of the second half is not counted, because nothing signals the repetition. In a
        model without a token that begins a text, the very first token is not counted either.

    Raises:
        ValueError: the model has no such head, or its context is too short.
    """
    model = load_model(model)
    model.refuse_training_mode()
    heads = as_heads(ablate, model.n_layers, model.n_heads)
    length = fitting_length(model, length)
    rows = []
    with Turn(model) as turn:
        for seed in range(seeds):
            tokens = random_tokens(model, length, np.random.default_rng(seed))
            ids = sequence(model, tokens, tokens)
            losses = _losses(turn, ids, heads)
            rows.append({"seed": seed, "first": losses[:-length].mean(), "second": losses[1 - length :].mean()})
            yield Step(seed + 1, seeds, None)
    yield Step(seeds, seeds, 0.0, pandas.DataFrame(rows))


def _losses(turn: Turn, ids: list[int], ablated: list[tuple[int, int]]) -> np.ndarray:
    """The loss on every token except the first, in nats."""
    everywhere = tuple(range(len(ids)))
    edits = [Edit("z", layer, everywhere, "scale", factor=0.0, head=head) for layer, head in ablated]
    logits = run_edited(turn, ids, edits)[:-1].float()
    if torch.isnan(logits).any():
        raise ValueError(
            "The model's output is not a number (NaN) on random tokens. Load it in float32: some models overflow in "
            "half precision."
        )
    targets = torch.tensor(ids[1:], device=logits.device)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none").cpu().numpy().astype(np.float64)
