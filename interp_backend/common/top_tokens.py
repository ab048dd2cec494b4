"""The likeliest next tokens of a run, as every view lists them."""

from __future__ import annotations

import numpy as np
import torch

from ..engine.recording import record
from ..engine.turn import Turn
from ..language.model import LanguageModel
from ..results.effect_map import TopTokens


def top_tokens(logits: torch.Tensor, k: int) -> TopTokens:
    """The k likeliest tokens of logits [..., d_vocab]: ids, logits and probabilities, each [..., k]."""
    logits = logits.float()
    values, ids = logits.topk(min(k, logits.shape[-1]), dim=-1)
    probs = (values - logits.logsumexp(-1, keepdim=True)).exp()
    return TopTokens(ids=ids.to(torch.int32).cpu().numpy(), logits=values.cpu().numpy(), probs=probs.cpu().numpy())


def texts_of(model: LanguageModel, *ids: np.ndarray) -> dict[int, str]:
    """The text of every token whose id occurs in these arrays."""
    unique = {int(token) for array in ids for token in np.unique(array)}
    return {token: model.token_text(token) for token in sorted(unique)}


def likeliest_next(model: LanguageModel, ids: list[int]) -> int:
    """The id of the most likely next token."""
    with Turn(model) as turn:
        [run] = record(turn, [ids], [], [[len(ids) - 1]])
    return int(run.logits[len(ids) - 1].argmax())
