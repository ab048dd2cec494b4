"""Random tokens, repeated: the text in which nothing but looking back can help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas
import torch

from ..common.method import method
from ..engine.edits import Edit
from ..engine.executor import run_edited
from ..engine.turn import Turn
from ..language.interventions import as_heads
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..results.step import Step


def random_tokens(model: LanguageModel, count: int, rng: np.random.Generator, *, tails: float = 0.0) -> list[int]:
    """Ordinary tokens of the vocabulary, all different, drawn with equal chances.

    Args:
        tails: leave out this share of them at each end, or as many as can be spared: vocabularies are numbered from
            common to rare.

    Raises:
        ValueError: a vocabulary with fewer ordinary tokens.
    """
    tokenizer = model.raw.tokenizer
    special = {int(token) for token in tokenizer.all_special_ids}
    ordinary = [token for token in range(min(len(tokenizer), int(model.raw.cfg.d_vocab))) if token not in special]
    if len(ordinary) < count:
        raise ValueError(f"This vocabulary has {len(ordinary)} ordinary tokens, and {count} different ones are drawn.")
    out = min(round(tails * len(ordinary)), (len(ordinary) - count) // 2)
    ordinary = ordinary[out : len(ordinary) - out]
    return [ordinary[i] for i in rng.choice(len(ordinary), count, replace=False)]


def sequence(model: LanguageModel, *parts: list[int]) -> list[int]:
    """Tokens one after another, after the one that begins every text, if the model has one."""
    begin = [] if model.bos is None else [model.bos[0]]
    return [*begin, *(token for part in parts for token in part)]


def fitting_length(model: LanguageModel, length: Any, times: int = 2) -> int:
    """How many tokens are repeated: as many as asked, if the model's context holds them so many times.

    Raises:
        ValueError: fewer than 2, no whole number, or a context that is too short for any.
    """
    if isinstance(length, bool) or not hasattr(length, "__index__") or length < 2:
        raise ValueError(f"length is how many random tokens are repeated, 2 or more, not {length!r}.")
    most = (model.n_ctx - 1) // times
    if most < 2:
        raise ValueError(f"This model reads {model.n_ctx} tokens at once, too few to repeat random tokens.")
    return min(int(length), most)


def checked_seeds(seeds: Any, least: int = 1) -> int:
    """Raise ValueError for a number of seeds that is none."""
    if isinstance(seeds, bool) or not hasattr(seeds, "__index__") or not least <= seeds <= 1000:
        raise ValueError(f"seeds is how many random sequences are drawn, {least} to 1000, not {seeds!r}.")
    return int(seeds)


@method
def repeated_token_loss(
    model: Any, ablate: Sequence[tuple[int, int]] = (), *, length: int = 50, seeds: int = 5
) -> Iterator[Step[pandas.DataFrame]]:
    """How well random tokens that come twice are predicted the second time, with some heads ablated.

    The first time nothing can predict them; the second time a model that looks back can (Olsson et al. 2022,
    arXiv:2209.11895). The tokens are the same for every choice of heads.

    Args:
        model: what `load_model` gives or takes.
        ablate: heads (layer, head) whose output, z, is set to zero at all positions.
        length: how many tokens are repeated; fewer where the context is shorter.
        seeds: how many sequences are drawn.

    Returns:
        One row a seed: `first` and `second`, the mean loss of the tokens' first and second time, in nats. The first
        token of the second time is not counted, since nothing tells that the repetition begins; nor is the very first
        one, in a model without a token that begins a text.

    Raises:
        ValueError: a head that is not there, or a context that is too short.
    """
    model = load_model(model)
    model.refuse_training_mode()
    heads = as_heads(ablate, model.n_layers, model.n_heads)
    length, seeds = fitting_length(model, length), checked_seeds(seeds)
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
    """The loss of every token but the first, in nats."""
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
