"""The attention viewer: where every head looks, and what it does there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast, get_args

import numpy as np
import traitlets

from interp_backend.common.code import attention_code
from interp_backend.common.top_tokens import likeliest_next
from interp_backend.language.interventions import as_heads
from interp_backend.language.loading import load_model
from interp_backend.language.prompts import PromptPair
from interp_backend.methods.attention_patterns import AttentionStep, attention_patterns_steps
from interp_backend.methods.direct_logit_attribution import direct_logit_attribution_steps
from interp_backend.methods.head_circuits import PairsStep, head_circuits_steps
from interp_backend.methods.head_scores import ABOUT, ScoresStep, head_scores_steps
from interp_backend.methods.logit_lens import ids_of
from interp_backend.results.attention import QUANTITIES, AttentionPatterns, Kind
from interp_backend.results.attribution import Attribution
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.head_table import HeadPairs, HeadScores
from interp_backend.service.jobs import Job
from interp_backend.service.protocol import BadRequest, Request

from ._base import progress
from .attention_board import MARKS, SCALES, AttentionBoard, score_to_wire
from .following import FollowsEditor
from .head_answers import PatchStep, attributed_to_wire, pairs_to_wire, patch_steps, patched_to_wire
from .prompt_pair_editor import PromptPairEditor
from .traits import PairTrait

KINDS = {
    "pattern": "the attention weights: where a head looks",
    "value_weighted": "the weights times the length of what is brought from there",
    "scores": "before the softmax",
    "output_norm": "what each position adds to the length of the head's output",
}


NEEDS_PAIR = "Patching needs two prompts: AttentionViewer(model, hs.PromptPair(...))."
NO_SCORES = "TransformerLens does not give this model's attention scores."


class AttentionViewer(AttentionBoard, FollowsEditor):
    """Where every head looks: all of them small, some of them large, and the text they look at.

    Args:
        model: what `load_model` gives or takes.
        prompt: a text, a PromptPair, or a PromptPairEditor whose pair is then followed.
        kind, layers, heads, last: as in `interp_backend.attention_patterns`.
        side: of a pair, "clean", "corrupt" or "difference".
        scale: "linear", "log" or "row" (each destination by its own largest value).
        sort: "layer", or the name of a score.
        shown_layers: show these layers alone, of those that were read.
        marks: lines to draw: "induction", "previous", "duplicate".
        opened: heads to show large, [(layer, head), ...]; by default the one that most looks back.
        layer_zero: "bottom" or "top".

    Attributes:
        result: the `AttentionPatterns`, or None while the model still runs.
        head_scores: the `HeadScores` on repeated random tokens, or None before they are asked for.
        patch_result, attribution, pairs: the `EffectMap`, `Attribution` and `HeadPairs` of the last actions, or None.
        code: Python code of what is shown.
        status, progress, error: how the run is doing.
    """

    pair = PairTrait(allow_none=True, help="The two prompts, or None.")
    prompt = traitlets.Unicode(None, allow_none=True, help="The one prompt, or None for a pair.").tag(sync=True)
    kind = traitlets.Enum(list(get_args(Kind)), "pattern", help="What the values are.").tag(sync=True)
    code = traitlets.Unicode(help="Python code of what is shown.").tag(sync=True)
    head_patch = traitlets.Instance(dict, allow_none=True, help="One head patched.").tag(sync=True)
    head_attribution = traitlets.Instance(dict, allow_none=True, help="What one head writes.").tag(sync=True)
    head_circuits = traitlets.Instance(dict, allow_none=True, help="Pairs of tokens of one head.").tag(sync=True)

    def __init__(
        self,
        model: Any,
        prompt: str | PromptPair | PromptPairEditor,
        *,
        kind: Kind = "pattern",
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        last: int | None = None,
        side: str | None = None,
        scale: str = "linear",
        sort: str = "layer",
        shown_layers: Sequence[int] | None = None,
        marks: Sequence[str] = (),
        opened: Sequence[Sequence[int]] = (),
        layer_zero: str = "bottom",
    ) -> None:
        model = load_model(model)
        editor = prompt if isinstance(prompt, PromptPairEditor) else None
        shown = editor.pair if editor else prompt
        self._layers, self._heads, self._last = layers, heads, last
        self._own_last = last  # of every prompt; a view may ask for another of one
        self.head_scores: HeadScores | None = None
        self.patch_result: EffectMap | None = None
        self.attribution: Attribution | None = None
        self.pairs: HeadPairs | None = None
        self._ready = False
        one = isinstance(shown, str)
        super().__init__(
            model,
            pair=None if one else shown,
            prompt=shown if one else None,
            kind=kind,
            scale=scale,
            sort=sort,
            shown_layers=None if shown_layers is None else list(shown_layers),
            marks=[marks] if isinstance(marks, str) else list(marks),
            opened=[list(head) for head in as_heads(opened, model.n_layers, model.n_heads)],
            layer_zero=layer_zero,
        )
        self.side = side or ("prompt" if one else "clean")
        self.info = self._menus()
        self._ready = True
        self._follow(prompt)
        self.run()
        self._measure_for(sort)

    def _menus(self) -> dict[str, Any]:
        model, pair = self.model, self.pair
        answers = "Patching is measured by the answers: give the pair a clean and a corrupt answer."
        both = pair is not None and pair.answers("clean") and pair.answers("corrupt")
        return {
            "model": model.describe(),
            "kinds": [
                {
                    "name": kind,
                    "label": kind.replace("_", " "),
                    "help": f"{QUANTITIES[kind][0]}: {help}",
                    "reason": NO_SCORES if kind == "scores" and "pattern" in model.dead_hooks else None,
                }
                for kind, help in KINDS.items()
            ],
            "scales": [{"name": name, "label": label, "help": help} for name, label, help in SCALES],
            "marks": [{"name": name, "label": label, "help": help} for name, label, help in MARKS],
            "actions": {
                "patch": [
                    {"name": "z", "label": "z", "help": "what the head writes", "reason": model.why_not("z")},
                    {
                        "name": "pattern",
                        "label": "pattern",
                        "help": "where the head looks",
                        "reason": model.why_not("pattern"),
                    },
                ],
                "patch_reason": NEEDS_PAIR if pair is None else None if both else answers,
                "attribution_reason": None,
                "circuits_reason": None,
            },
        }

    # What users call

    def run(self) -> None:
        """Run the prompt again, as the traits describe."""
        self._look(self._new_id())

    def measure(self) -> None:
        """Score all heads on repeated random tokens; `head_scores` has them after `wait()`, and `sort` knows them."""
        self._measure(self._new_id())

    # Traits

    def _known_sides(self) -> list[str]:
        return ["prompt"] if self.pair is None else ["clean", "corrupt", "difference"]

    def scores_of(self, result: AttentionPatterns) -> list[dict[str, Any]]:
        """Those of the prompt; of random tokens too, once they were measured."""
        made, table = super().scores_of(result), self.head_scores
        if table is None:
            return made
        where = np.ix_(result.layers, result.heads)
        for name, part in table.scores.items():
            spread = table.spread[name][where] if name in table.spread else None
            made.append(score_to_wire(f"random:{name}", table.about[name], "random", part[where], spread))
        return made

    def _sorts(self) -> list[str]:
        """Those on random tokens too, which are measured once they are asked for."""
        return [*dict.fromkeys([*super()._sorts(), *(f"random:{name}" for name in ABOUT)])]

    @traitlets.observe("sort")
    def _on_sort(self, change: Any) -> None:
        if self._ready:
            self._measure_for(change["new"])

    def _measure_for(self, sort: str) -> None:
        if sort.startswith("random:") and self.head_scores is None:
            self.measure()

    @traitlets.observe("side")
    def _on_side(self, change: Any) -> None:
        shown: Any = self.head_circuits
        if shown is not None and shown["tokens"] == "prompt":
            self.head_circuits = None  # its tokens are those of the side that was shown

    @traitlets.observe("pair", "prompt", "kind")
    def _on_change(self, change: Any) -> None:
        if not self._ready:
            return
        if change["name"] in ("pair", "prompt"):
            self._other_prompt(change["name"])
        self._look(self._new_id())

    def _other_prompt(self, changed: str) -> None:
        """What belonged to the one that was shown goes."""
        ready, self._ready = self._ready, False
        try:
            if changed == "pair" and self.pair is not None:
                self.prompt = None
            elif changed == "prompt" and self.prompt is not None:
                self.pair = None
            self._last = self._own_last
            self.info = self._menus()
        finally:
            self._ready = ready

    # Requests

    def _answer(self, request: Request) -> None:
        params = request.params
        try:
            if request.method == "attention":
                self._choose(request)
            elif request.method == "show":
                if self.pair is not None:
                    raise ValueError("This view shows a pair: change it in its editor, or set .pair.")
                self._ready, self.prompt = False, params.text
                self._ready = True
                self._other_prompt("prompt")
                self._look(request.id)
            elif request.method == "head_scores":
                self._measure(request.id)
            elif request.method == "patch_head":
                self._patch(request.id, params.layer, params.head, params.activation)
            elif request.method == "attribute_head":
                self._attribute(request.id, params)
            elif request.method == "head_circuits":
                self._circuits(request.id, params)
            else:
                super()._answer(request)
        except BadRequest:
            raise
        except (ValueError, traitlets.TraitError) as problem:
            raise BadRequest(str(problem), None, request.id) from None

    def _choose(self, request: Request) -> None:
        kind, last = request.params.kind, request.params.last
        self._last = self._last if last is None else last
        self._ready, self.kind = False, self.kind if kind is None else kind
        self._ready = True
        self._look(request.id)

    # What runs

    @property
    def _prompt(self) -> str | PromptPair:
        return self.pair if self.pair is not None else self.prompt or ""

    def _look(self, id: str) -> None:
        steps = partial(
            attention_patterns_steps,
            self.model,
            self._prompt,
            cast(Kind, self.kind),
            layers=self._layers,
            heads=self._heads,
            last=self._last,
        )
        self.progress = progress(0, 0)
        self._submit(id, steps, partial(self._on_step, id))

    def _on_step(self, id: str, step: AttentionStep) -> None:
        self.progress = progress(step.done, step.total, step.seconds_left)
        if step.result is None:
            return
        self.head_patch = self.head_attribution = self.head_circuits = None
        self.patch_result = self.attribution = self.pairs = None
        self.show(id, step.result)
        self.code = attention_code(self.model.code, step.result.params)

    def _on_status(self, job: Job, id: str, on_end: Callable[[], None]) -> None:
        super()._on_status(job, id, on_end)
        over = job.status in ("error", "cancelled")
        if over and self.result is not None and self.kind != self.result.kind:
            self._ready, self.kind = False, self.result.kind  # of what is still shown
            self._ready = True

    def _measure(self, id: str) -> None:
        def show(step: ScoresStep) -> None:
            self.head_scores = step.result
            with self._showing:
                if self.result is not None:
                    self.scores = self.scores_of(self.result)
                    if self.sort not in ("layer", *(score["name"] for score in self.scores)):
                        self.sort = "layer"  # not of this model

        self._submit_aside(id, partial(head_scores_steps, self.model), show, lasting=True)

    def _asked(self, layer: int, head: int) -> tuple[str | PromptPair, int | None]:
        """The prompt that is shown, whatever runs or failed since, and how many of its last tokens are.

        Raises:
            ValueError: a head that is not shown.
        """
        result = self._shown()
        result.index_of(layer, head)
        pair = result.params["pair"]
        prompt = result.params["prompt"] if pair is None else PromptPair.model_validate(pair)
        return prompt, result.params["last"]

    def _patch(self, id: str, layer: int, head: int, activation: str) -> None:
        pair, last = self._asked(layer, head)
        if isinstance(pair, str):
            raise ValueError(NEEDS_PAIR)
        if last is not None:
            raise ValueError(
                f"This view shows the last {last} tokens, and patching runs whole prompts. Show a shorter pair to "
                "patch in it."
            )
        steps = partial(patch_steps, self.model, pair, layer, head, activation)

        def show(step: PatchStep) -> None:
            assert step.result is not None and step.whole is not None
            self.patch_result = step.result
            self.head_patch = patched_to_wire(layer, head, activation, step.result, step.whole)

        self._submit_aside(id, steps, show)

    def _attribute(self, id: str, params: Any) -> None:
        layer, head, model = params.layer, params.head, self.model
        prompt, last = self._asked(layer, head)

        def steps() -> Iterator[Any]:
            answer: Any = params.answer
            if answer is None and not (isinstance(prompt, PromptPair) and prompt.answers("clean")):
                text = prompt if isinstance(prompt, str) else prompt.clean
                answer = likeliest_next(model, ids_of(model, "prompt", text, last))
            yield from direct_logit_attribution_steps(
                model, prompt, answer, params.wrong_answer, unit="head", by_source=True, last=last
            )

        def show(step: Any) -> None:
            self.attribution = step.result
            self.head_attribution = attributed_to_wire(layer, head, step.result)

        self._submit_aside(id, steps, show)

    def _circuits(self, id: str, params: Any) -> None:
        _, last = self._asked(params.layer, params.head)
        text = self._shown().sides["clean" if self.side == "difference" else self.side].text
        text = text if params.tokens == "prompt" else None
        steps = partial(
            head_circuits_steps, self.model, params.layer, params.head, params.circuit, prompt=text, last=last
        )

        def show(step: PairsStep) -> None:
            assert step.result is not None
            self.pairs = step.result
            self.head_circuits = pairs_to_wire(params.layer, params.head, params.circuit, params.tokens, step.result)

        self._submit_aside(id, steps, show)
