"""Interventions: which activation of a run is changed, where, and to which value.

`Intervention("z", layer=2, head=1, value=Zero())` ablates a head. Methods that change runs take interventions or their
parts, and results use the same names to describe the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from .model import ACTIVATIONS, LanguageModel

Prompts = Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Kept:
    """Marks a field that is too large for a view. Python keeps its value; a view learns only whether there is one."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def kept(cls) -> tuple[str, ...]:
        """The fields that stay in Python."""
        return tuple(name for name, info in cls.model_fields.items() if any(isinstance(m, Kept) for m in info.metadata))

    def to_view(self) -> dict[str, Any]:
        """As JSON for a view, with True in place of the fields that stay in Python."""
        kept = {name: True for name in self.kept() if getattr(self, name) is not None}
        return {**self.model_dump(mode="json", exclude=set(self.kept())), **kept}


class FromOther(_Value):
    """The activation of the pair's other run: clean into corrupt (denoise) or corrupt into clean (noise).

    Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022 (arXiv:2202.05262).
    """

    model_config = ConfigDict(title="the other run")
    kind: Literal["other"] = "other"


class FromPrompt(_Value):
    """The activation of a run of any third prompt, as many tokens long as the prompt that is patched.

    Attributes:
        text: the third prompt.
    """

    model_config = ConfigDict(title="a third prompt")
    kind: Literal["prompt"] = "prompt"
    text: Annotated[str, Field(title="prompt", min_length=1, max_length=200_000)]


class Zero(_Value):
    """Zeros: what is left without this part? Far from anything that the model has seen.

    Prefer `Mean` or `Resample` for conclusions.
    """

    model_config = ConfigDict(title="zero")
    kind: Literal["zero"] = "zero"


class Mean(_Value):
    """The mean activation over prompts (mean ablation; Wang et al. 2022, arXiv:2211.00593).

    Attributes:
        prompts: the data set.
        by_position: whether every position has its own mean, over prompts as long as the patched prompt. If not, there
            is one mean over all positions of prompts of any length, without the beginning-of-text token, whose
            activations are unlike all others.
    """

    model_config = ConfigDict(title="mean")
    kind: Literal["mean"] = "mean"
    prompts: Annotated[Prompts, Kept()]
    by_position: Annotated[bool, Field(title="for each position")] = True


class Resample(_Value):
    """Activations of prompts drawn at random (resampling ablation; Chan et al. 2022, causal scrubbing).

    Attributes:
        prompts: the data set; only prompts as long as the patched prompt are drawn.
        draws: how many prompts are drawn, without replacement if there are enough. Every cell is patched from each, and
            its value is the mean.
        seed: the seed of the random draw.
    """

    model_config = ConfigDict(title="resample")
    kind: Literal["resample"] = "resample"
    prompts: Annotated[Prompts, Kept()]
    draws: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0)] = 0


class Add(_Value):
    """A vector added to the activation (steering; Turner et al. 2023, arXiv:2308.10248).

    Attributes:
        vector: as long as the activation's last axis (d_model, d_head, or the neurons of a layer); None means the
            difference between the pair's two runs at the same place, the other run minus the patched run.
        factor: the number by which the vector is multiplied.
    """

    model_config = ConfigDict(title="add the difference")
    kind: Literal["add"] = "add"
    vector: Annotated[tuple[Finite, ...] | None, Kept()] = None
    factor: Finite = 1.0


class Scale(_Value):
    """The activation times a factor: 0 removes it, 1 changes nothing.

    Attributes:
        factor: the number by which the activation is multiplied.
    """

    model_config = ConfigDict(title="scale")
    kind: Literal["scale"] = "scale"
    factor: Finite


Value = Annotated[
    FromOther | FromPrompt | Zero | Mean | Resample | Add | Scale,
    Field(discriminator="kind"),
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
]


def _asked(value: type[_Value]) -> type[BaseModel]:
    """The pydantic model of a value in a request. A field that stays in Python becomes True (use it) or None."""
    kept: dict[str, Any] = {
        name: (Literal[True] | None, True if value.model_fields[name].is_required() else None) for name in value.kept()
    }
    if not kept:
        return value
    fields: dict[str, Any] = {
        name: (info.annotation, info) for name, info in value.model_fields.items() if name not in kept
    }
    config = ConfigDict(extra="forbid", title=value.model_config.get("title"))
    return create_model(f"{value.__name__}Request", __config__=config, __doc__=value.__doc__, **fields, **kept)


_VALUES: tuple[type[_Value], ...] = get_args(get_args(Value)[0])
AskedValue = Annotated[Union[tuple(map(_asked, _VALUES))], Field(discriminator="kind")]  # noqa: UP007


def as_asked(asked: BaseModel, kept: Mapping[str, Any]) -> Value:
    """The value that a request asks for.

    Args:
        kept: the values of the fields that stay in Python, by name.

    Raises:
        ValueError: the request uses a field that `kept` does not have.
    """
    fields = asked.model_dump()
    for name in [name for name, part in fields.items() if part is True and name in ("prompts", "vector")]:
        fields[name] = kept.get(name)
        if not fields[name]:
            raise ValueError(_MISSING_KEPT[name])
    return as_value(fields)


_MISSING_KEPT = {
    "prompts": "There is no data set to take values from. Give one: PatchHeatmap(..., dataset=[...]).",
    "vector": "There is no vector to add. Give one: PatchHeatmap(..., value=Add(vector=[...])).",
}
_VALUE = TypeAdapter(Value)
_MISSING = object()


class Intervention(BaseModel):
    """One change of a run.

    Attributes:
        activation: a key of `ACTIVATIONS`, in TransformerLens's short names.
        layer: the block; 0 for `embed`.
        position: one or several positions of the patched prompt, negative if counted from the end; None means all. For
            `pattern`, the destination.
        head: the head, for q, k, v, z and pattern; None means all heads.
        source: for `pattern`, one or several positions that are attended to; None means the whole row.
        neuron: for `mlp_post`, one or several neurons; None means all neurons.
        value: the value that is patched in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: str
    layer: int
    position: int | tuple[int, ...] | None = None
    head: int | None = None
    source: int | tuple[int, ...] | None = None
    neuron: int | tuple[int, ...] | None = None
    value: Value = FromOther()

    def __init__(self, /, activation: Any = _MISSING, layer: Any = _MISSING, **fields: Any) -> None:
        # The first two arguments may be positional. pydantic reports missing and unknown ones.
        first = {"activation": activation, "layer": layer}
        super().__init__(**{name: value for name, value in first.items() if value is not _MISSING}, **fields)


def as_value(value: Any) -> Value:
    """Convert a value, a dictionary of its fields, or the name of its kind to a value of an intervention.

    Raises:
        ValueError: the argument is none of these.
    """
    try:
        return _VALUE.validate_python(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        kinds = "other, prompt, zero, mean, resample, add, scale"
        raise ValueError(
            f"The value to patch in is not understood{f' ({where})' if where else ''}: {first['msg']}. It is one of "
            f"FromOther(), FromPrompt(text), Zero(), Mean(prompts), Resample(prompts), Add(...), Scale(factor), or a "
            f"dictionary with kind ({kinds}) and their fields."
        ) from None


def drawn_prompts(value: Resample, base: Sequence[int], ids: Mapping[str, Sequence[int]]) -> list[str]:
    """The prompts that a `Resample` draws for a prompt: as long as it is, and never the prompt itself.

    Args:
        base: the tokens of the prompt that is patched.
        ids: the tokens of each prompt of the data set.

    Raises:
        ValueError: there is none to draw.
    """
    base = list(base)
    fitting = [text for text in value.prompts if len(ids[text]) == len(base) and list(ids[text]) != base]
    if not fitting:
        raise ValueError(
            f"No other prompt of the data set has {len(base)} tokens, as many as the patched one, so there is "
            "nothing to draw from. Add prompts of that length."
        )
    again = len(fitting) < value.draws
    chosen = np.random.default_rng([value.seed, *base]).choice(len(fitting), value.draws, replace=again)
    return [fitting[i] for i in chosen]


def check_activation(model: LanguageModel | None, activation: Any) -> str:
    """Return the activation if it exists in this model and patching it can have an effect.

    Raises:
        ValueError: the activation is unknown, the model lacks it, or the model ignores edits of it.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"There is no activation {activation!r}. Choose one of {', '.join(ACTIVATIONS)}.")
    if model is not None and (reason := model.why_not(activation)):
        raise ValueError(reason)
    return activation


def in_range(name: str, index: Any, size: int, *, negative: bool = False) -> int:
    """An index below `size`; a negative index counts from the end if that is allowed.

    Raises:
        ValueError: the index is out of range or not a whole number.
    """
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise ValueError(f"A {name} is a whole number, not {index!r}.")
    lowest = -size if negative else 0
    if not lowest <= index < size:
        known = f"there are {size}, so give {lowest} to {size - 1}" if size > 1 else "there is only one, so give 0"
        raise ValueError(f"There is no {name} {index}: {known}.")
    return int(index) % size


def as_heads(heads: Any, n_layers: int, n_heads: int) -> list[tuple[int, int]]:
    """Check a list of heads (layer, head).

    Raises:
        ValueError: the argument is something else, or the model has no such head.
    """
    given = list(heads) if isinstance(heads, Iterable) and not isinstance(heads, (str, bytes)) else [heads]
    if not all(isinstance(pair, Iterable) and len(list(pair)) == 2 for pair in given):
        raise ValueError(f"Heads are given as a list of (layer, head), such as [(5, 1), (6, 9)], not {heads!r}.")
    return [(in_range("layer", layer, n_layers), in_range("head", head, n_heads)) for layer, head in given]


def as_tuple(value: int | Sequence[int] | None, everything: int) -> tuple[int, ...]:
    """One index, several indices, or None for all, as a tuple of indices."""
    if value is None:
        return tuple(range(everything))
    return tuple(value) if isinstance(value, Iterable) else (value,)
