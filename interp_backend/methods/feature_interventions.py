"""Change features in the model itself, and see whether its attribution graph was right (Ameisen et al. 2025)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ..common.method import method
from ..common.prompts import Last, read_prompts
from ..common.provenance import provenance
from ..common.signatures import AskedAs, Count, Local, OneOf
from ..engine.feature_edits import feature_edits, frozen_patterns, last_logits
from ..engine.norm_scales import Scales
from ..engine.turn import Turn
from ..language.feature_changes import FeatureChange, as_changes
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.transcoders import Transcoders
from ..results.attribution_graph import AttributionGraph
from ..results.feature_effects import FeatureEffects
from ..results.sides import Prompt
from ..results.step import Step, remaining
from .attribution_graph import transcoders_for

Logits = tuple[Tensor, Tensor]  # the model's, and those before a softcap
FROZEN = {
    "nothing": ("nothing", "the changed run goes its own way from the first change on"),
    "attention": ("attention", "every head attends as in the unchanged run, as the graph assumes"),
    "attention and norms": (
        "attention and norms",
        "the scales of norms are kept too: only the MLPs respond otherwise than the graph assumes",
    ),
}


def _to_json(changes: Any) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", exclude_none=True) for one in as_changes(changes)]


@method
def feature_interventions(
    model: Any,
    prompt: str,
    changes: Annotated[Sequence[FeatureChange], AskedAs(list[FeatureChange], _to_json)],
    transcoders: Annotated[Transcoders | None, Local()] = None,
    *,
    graph: Annotated[AttributionGraph | None, Local()] = None,
    frozen: Annotated[str, OneOf(FROZEN, "choice of what is frozen")] = "nothing",
    top_k: Annotated[int, Count("how many of the likeliest tokens to list", 1, 100)] = 10,
    generate: Annotated[int, Count("how many tokens to generate", 0, 500)] = 0,
    temperature: float = 0.0,
    seed: Annotated[int, Count("where the random numbers begin", 0, 2**32 - 1)] = 0,
    last: Last = None,
    prepend_bos: bool | None = None,
) -> Iterator[Step[FeatureEffects]]:
    """Change the activations of features in the model's own run: its MLPs write what they write anyway, and in addition
    what the features would write after the change and did not before.

    Args:
        model: a model that `load_model` returns or accepts.
        prompt: a text.
        changes: one or more `FeatureChange`s, such as `graph.changes("3_120_5", scale=0)` gives.
        transcoders: as in `attribution_graph`.
        graph: an attribution graph of the prompt, whose own prediction of each change is put beside the measured one.
        frozen: what the changed run keeps of the unchanged one: nothing; every attention pattern; or those and the
            scale of every norm. Where tokens are generated, the unchanged run is the one of the same text.
        top_k: how many of the likeliest tokens to list, before and after.
        generate: how many tokens to generate, with and without the changes.
        temperature: 0 takes the likeliest token each time; else tokens are drawn.
        seed: where the random numbers of drawn tokens begin, the same with and without the changes.
        last, prepend_bos: as in `attribution_graph`. Positions are counted in what is read.

    Returns:
        A `FeatureEffects`. Steps come after the first token, and after each generated one.

    Raises:
        ValueError: there is no such feature or position, the graph is of another prompt, or attention or a norm
            can't be frozen.
    """
    model, changes = load_model(model), as_changes(changes)
    transcoders = transcoders_for(model, transcoders)
    transcoders.check(model, whole=False)
    prompts = read_prompts(model, prompt, last, prepend_bos)
    ids = prompts.ids["prompt"]
    if graph is not None and graph.prompt.ids != ids:
        raise ValueError(
            "This graph is of another prompt, or of another part of it. Make one of this prompt, with the same last: "
            "attribution_graph(model, prompt, last=last)."
        )
    if len(ids) + generate > model.n_ctx:
        raise ValueError(f"The prompt and {generate} tokens more are longer than the {model.n_ctx} the model reads.")
    choose = [_chooser(temperature, seed), _chooser(temperature, seed)]
    began = time.perf_counter()
    with Turn(model) as turn:
        runs = _Runs(turn, ids, transcoders, changes, frozen)
        before, (after, activations) = runs.plain(ids), runs.changed(ids)
        result = _compared(model, before, after, activations, graph, changes, top_k)
        result = result.model_copy(
            update={
                "prompt": Prompt(text=prompt, ids=ids, tokens=prompts.tokens["prompt"]),
                "provenance": {**provenance(turn), "complete": False},
            }
        )
        result.warnings.extend(prompts.warnings + _silent(changes, activations))
        texts: list[list[int]] = [list(ids), list(ids)]
        for done in range(generate):
            yield Step(done, generate, remaining(time.perf_counter() - began, done, generate), result)
            texts[0].append(choose[0]((before if done == 0 else runs.plain(texts[0]))[0]))
            texts[1].append(choose[1]((after if done == 0 else runs.changed(texts[1])[0])[0]))
            made = [model.token_texts(one[len(ids) :]) for one in texts]
            result = result.model_copy(update={"without": made[0], "with_changes": made[1]})
        result.provenance.update(complete=True, seconds=time.perf_counter() - began)
    yield Step(generate, generate, 0.0, result)


class _Runs:
    """The model's runs without and with the changes."""

    def __init__(
        self, turn: Turn, ids: list[int], transcoders: Transcoders, changes: Sequence[FeatureChange], frozen: str
    ):
        self.turn, self.length, self.transcoders, self.changes = turn, len(ids), transcoders, changes
        self.frozen = frozen

    def plain(self, ids: list[int]) -> Logits:
        return last_logits(self.turn, ids, [])

    def changed(self, ids: list[int]) -> tuple[Logits, Tensor]:
        """The logits, and the mean activations before and after."""
        edits, activations = feature_edits(self.turn, ids, self.length, self.transcoders, self.changes)
        edits += frozen_patterns(self.turn, ids) if self.frozen != "nothing" else []
        scales = Scales(self.turn, ids) if self.frozen == "attention and norms" else None
        return last_logits(self.turn, ids, edits, scales), activations


def _compared(
    model: LanguageModel,
    run: Logits,
    changed: Logits,
    activations: Tensor,
    graph: AttributionGraph | None,
    changes: Sequence[FeatureChange],
    top_k: int,
) -> FeatureEffects:
    (before, plain), (after, moved_to) = run, changed
    predicted = {} if graph is None else graph.predicted(changes)
    likeliest = [logits.topk(min(top_k, len(logits))).indices.tolist() for logits in (before, after)]
    tokens = list(dict.fromkeys([*predicted, *likeliest[0], *likeliest[1]]))
    moved = (moved_to - moved_to.mean()) - (plain - plain.mean())  # before a softcap, as in the graph
    return FeatureEffects(
        prompt=Prompt(text="", ids=[], tokens=[]),
        tokens=np.array(tokens, np.int32),
        texts=model.token_texts(tokens),
        before=before.softmax(-1)[tokens].numpy(),
        after=after.softmax(-1)[tokens].numpy(),
        measured=moved[tokens].numpy(),
        predicted=np.array([predicted.get(token, np.nan) for token in tokens], np.float32),
        activations=activations.numpy(),
    )


def _silent(changes: Sequence[FeatureChange], activations: Tensor) -> list[str]:
    """A warning about changes that change nothing."""
    same = [one for one, (now, new) in zip(changes, activations.tolist()) if now == new]
    if not same:
        return []
    first = same[0]
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    return [
        f"Feature {first.feature} of layer {first.layer}{more} is not active where it is changed, or stays the same."
    ]


def _chooser(temperature: float, seed: int) -> Callable[[Tensor], int]:
    """Picks the next token from logits [d_vocab]."""
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 <= temperature < 100:
        raise ValueError(f"temperature is 0 for the likeliest token, or a number up to 100, not {temperature!r:.40}.")
    generator = torch.Generator().manual_seed(seed)

    def choose(logits: Tensor) -> int:
        if not temperature:
            return int(logits.argmax())
        return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))

    return choose
