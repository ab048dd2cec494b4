"""What crosses between a view and Python: requests in, events out. Everything from a view is checked here.

A request is `{kind: "request", id, method, params}`, an event `{kind: "event", id, event, ...}` with the id of
the request that it belongs to. One table says which methods there are and what each takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ..language.interventions import Add, FromOther, FromPrompt, Scale, Zero
from ..language.model import ACTIVATIONS
from ..language.prompts import PromptPair
from ..methods.activation_patching import Direction
from ..results.attention import Kind
from ..results.codec import encode_array
from ..results.effect_map import EffectMap

Axis = Literal["layer", "head", "position", "source", "neuron"]
Cell = dict[Axis, int]


def _known(activation: str) -> str:
    if activation not in ACTIVATIONS:
        raise ValueError(f"there is no such activation; known: {', '.join(ACTIVATIONS)}")
    return activation


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FromMean(_Params):
    """A mean over the widget's data set: a view does not know its prompts."""

    kind: Literal["mean"]
    by_position: bool = True


class FromSamples(_Params):
    """Draws from the widget's data set."""

    kind: Literal["resample"]
    draws: int = Field(default=1, ge=1, le=100)
    seed: int = Field(default=0, ge=0, lt=2**32)


class AddVector(_Params):
    """The vector that the widget was given, times another factor: a view does not know the vector."""

    kind: Literal["add"]
    factor: float = Field(default=1.0, allow_inf_nan=False)
    vector: Literal[True]


def _kind(value: Any) -> Any:
    fields = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else {}
    return "vector" if fields.get("vector") is True else fields.get("kind")


ViewValue = Annotated[
    Annotated[FromOther, Tag("other")]
    | Annotated[FromPrompt, Tag("prompt")]
    | Annotated[Zero, Tag("zero")]
    | Annotated[FromMean, Tag("mean")]
    | Annotated[FromSamples, Tag("resample")]
    | Annotated[Add, Tag("add")]
    | Annotated[AddVector, Tag("vector")]
    | Annotated[Scale, Tag("scale")],
    Discriminator(_kind),
]


class ActivationPatchingParams(_Params):
    """A sweep: see `activation_patching`."""

    activation: Annotated[str, AfterValidator(_known)]
    axes: tuple[Axis, ...] = Field(min_length=2, max_length=4)
    metric: Annotated[str, Field(max_length=100)]  # the name of a user's own function is known to the widget alone
    direction: Direction
    value: ViewValue = FromOther()
    window: int = Field(default=1, ge=1, le=1000)
    at: int | None = None


class PatchTogetherParams(_Params):
    """Some cells of the shown map, patched in one run."""

    cells: list[Cell] = Field(min_length=2, max_length=500)


class OpenParams(_Params):
    """A cell of the shown map, whose parts are to be patched one by one."""

    cell: Cell


class CloseOpenedParams(_Params):
    """Put the opened cell away."""


Text = Annotated[str, Field(max_length=200_000)]
Word = Annotated[str, Field(min_length=1, max_length=1000)]


class LensParams(_Params):
    """A logit lens: see `logit_lens`. A view knows that there is a tuned lens, and not the lens."""

    stream: Annotated[str, Field(max_length=100)]
    lens: Literal["logit", "tuned"] = "logit"
    targets: list[Word] = Field(default_factory=list, max_length=20)
    top_k: int = Field(default=10, ge=1, le=100)
    last: int | None = Field(default=None, ge=1)


class ShowParams(_Params):
    """Another prompt in a view of one."""

    text: Text


class LensWindowParams(_Params):
    """Some columns of the shown lens, from start up to stop."""

    result: str
    side: Annotated[str, Field(max_length=10)]
    start: int = Field(ge=0)
    stop: int = Field(ge=1)


class TrajectoryParams(_Params):
    """Some tokens through all rows of one column of the shown lens."""

    result: str
    side: Annotated[str, Field(max_length=10)]
    position: int = Field(ge=0)
    ids: list[int] = Field(min_length=1, max_length=50)


class AttributeParams(_Params):
    """A direct logit attribution of the shown prompts."""

    answer: Word
    wrong_answer: Word | None = None
    position: int = -1


class SourcesParams(_Params):
    """Where one head of the shown attribution brought what it wrote from."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)


class AttentionParams(_Params):
    """Attention of another kind, or of a prompt's last tokens; what is None stays: see `attention_patterns`."""

    kind: Kind | None = None
    last: int | None = Field(default=None, ge=1)


class HeadsParams(_Params):
    """All numbers of some heads of the shown attention, each [layer, head]."""

    result: str
    side: Annotated[str, Field(max_length=10)]
    heads: list[tuple[int, int]] = Field(min_length=1, max_length=12)


class HeadScoresParams(_Params):
    """What kind of head each of them is, on repeated random tokens."""


class PatchHeadParams(_Params):
    """One head of the shown pair patched, at each position and at all of them."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)
    activation: Literal["z", "pattern"] = "z"


class AttributeHeadParams(_Params):
    """What one head writes towards an answer."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)
    answer: Word | None = None
    wrong_answer: Word | None = None


class HeadCircuitsParams(_Params):
    """The pairs of tokens that one head connects."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)
    circuit: Literal["ov", "qk"] = "ov"
    tokens: Literal["prompt", "all"] = "prompt"


class EditParams(_Params):
    """Another pair in the prompt pair editor."""

    pair: PromptPair


class FigurePartParams(_Params):
    """A part of a large figure of `hookscope.circuitsvis`: of one layer and neuron, say."""

    first: int = Field(ge=0)
    second: int = Field(ge=0)


class CancelParams(_Params):
    """Stop what this widget is running."""


METHODS: dict[str, type[_Params]] = {
    "activation_patching": ActivationPatchingParams,
    "patch_together": PatchTogetherParams,
    "open": OpenParams,
    "close_opened": CloseOpenedParams,
    "edit": EditParams,
    "lens": LensParams,
    "show": ShowParams,
    "lens_window": LensWindowParams,
    "trajectory": TrajectoryParams,
    "attribute": AttributeParams,
    "sources": SourcesParams,
    "figure_part": FigurePartParams,
    "attention": AttentionParams,
    "heads": HeadsParams,
    "head_scores": HeadScoresParams,
    "patch_head": PatchHeadParams,
    "attribute_head": AttributeHeadParams,
    "head_circuits": HeadCircuitsParams,
    "cancel": CancelParams,
}


@dataclass(frozen=True)
class Request:
    """A request that has been checked: `params` is of the class that `METHODS` names."""

    id: str
    method: str
    params: Any


class BadRequest(ValueError):
    """A request that can't be understood; `field` names what is wrong in it, `id` whose it is if it had one."""

    def __init__(self, message: str, field: str | None = None, id: str = ""):
        super().__init__(message)
        self.field = field
        self.id = id


def parse(message: Any) -> Request:
    """Check a message from a view.

    Raises:
        BadRequest: with a sentence that names the field.
    """
    if not isinstance(message, dict) or message.get("kind") != "request":
        raise BadRequest('A message from a view is an object with kind "request".', "kind")
    id = message.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= 100:
        raise BadRequest("A request needs an id, a text of 1 to 100 characters.", "id")
    method = message.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise BadRequest(f"There is no method {_short(method)}. Known: {', '.join(METHODS)}.", "method", id)
    try:
        return Request(id, method, METHODS[method].model_validate(message.get("params")))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "params"
        raise BadRequest(f"{field}: {first['msg']}, not {_short(first['input'])}.", field, id) from None


def event(id: str, kind: str, **content: Any) -> dict[str, Any]:
    return {"kind": "event", "id": id, "event": kind, **content}


def partial(id: str, sweep: str, result: EffectMap, cells: list[int]) -> dict[str, Any]:
    """Some cells of a result (flat, in C order) that have been computed, as an event."""
    top, shown = None, set()
    if result.top is not None:
        parts = {
            name: getattr(result.top, name).reshape(result.values.size, -1)[cells]
            for name in ("ids", "logits", "probs")
        }
        top = {name: encode_array(part) for name, part in parts.items()}
        shown = set(np.unique(parts["ids"]).tolist())
    return event(
        id,
        "partial",
        sweep=sweep,
        cells=encode_array(np.array(cells, np.int32)),
        values=encode_array(result.values.ravel()[cells]),
        normalized=encode_array(result.normalized_cells(cells)),
        top=top,
        tokens={str(token): result.tokens[token] for token in shown},
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
