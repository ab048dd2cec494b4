"""What is changed in a run: one small type that names what, where and with what.

`Intervention("z", layer=2, head=1, value=Zero())` removes a head. Every method that changes a run takes these, and a
result says in the same words what was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from .model import ACTIVATIONS, LanguageModel

Prompts = Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Kept:
    """Marks a field that is too large for a view: a view only knows whether there is one, and Python keeps it."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def kept(cls) -> tuple[str, ...]:
        """The fields that stay in Python."""
        return tuple(name for name, info in cls.model_fields.items() if any(isinstance(m, Kept) for m in info.metadata))

    def to_view(self) -> dict[str, Any]:
        """As JSON for a view: True in place of what stays in Python."""
        kept = {name: True for name in self.kept() if getattr(self, name) is not None}
        return {**self.model_dump(mode="json", exclude=set(self.kept())), **kept}


class FromOther(_Value):
    """The activation of the pair's other run: clean into corrupt (denoise) or corrupt into clean (noise).

    Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022 (arXiv:2202.05262).
    """

    model_config = ConfigDict(title="the other run")
    kind: Literal["other"] = "other"


class FromPrompt(_Value):
    """The activation of a run of any third prompt, as many tokens long as the prompt that is patched."""

    model_config = ConfigDict(title="a third prompt")
    kind: Literal["prompt"] = "prompt"
    text: Annotated[str, Field(title="prompt", min_length=1, max_length=200_000)]


class Zero(_Value):
    """Zeros: what is left without this part. Far from anything the model has seen; prefer `Mean` for conclusions."""

    model_config = ConfigDict(title="zero")
    kind: Literal["zero"] = "zero"


class Mean(_Value):
    """The mean activation over prompts (mean ablation; Wang et al. 2022, arXiv:2211.00593).

    Attributes:
        prompts: the data set.
        by_position: position by position, for prompts as long as the one that is patched; else one mean over all
            positions of prompts of any length, without the beginning-of-text token, whose activations are unlike any
            others.
    """

    model_config = ConfigDict(title="mean")
    kind: Literal["mean"] = "mean"
    prompts: Annotated[Prompts, Kept()]
    by_position: Annotated[bool, Field(title="for each position")] = True


class Resample(_Value):
    """Activations of prompts drawn at random (resampling ablation; Chan et al. 2022, causal scrubbing).

    Attributes:
        prompts: the data set; only prompts as long as the one that is patched are drawn.
        draws: how many are drawn, without putting back where there are enough. Every cell is patched from each, and its
            value is the mean.
        seed: of the drawing.
    """

    model_config = ConfigDict(title="resample")
    kind: Literal["resample"] = "resample"
    prompts: Annotated[Prompts, Kept()]
    draws: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0)] = 0


class Add(_Value):
    """A vector added to the activation (steering; Turner et al. 2023, arXiv:2308.10248).

    Attributes:
        vector: as long as the activation's last axis (d_model, d_head, or the neurons of a layer); None is the
            difference of the pair's two runs at the same place, other run minus the one that is patched.
        factor: what the vector is multiplied by.
    """

    model_config = ConfigDict(title="add the difference")
    kind: Literal["add"] = "add"
    vector: Annotated[tuple[Finite, ...] | None, Kept()] = None
    factor: Finite = 1.0


class Scale(_Value):
    """The activation times a factor: 0 removes it, 1 changes nothing."""

    model_config = ConfigDict(title="scale")
    kind: Literal["scale"] = "scale"
    factor: Finite


Value = Annotated[
    FromOther | FromPrompt | Zero | Mean | Resample | Add | Scale,
    Field(discriminator="kind"),
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
]


def _asked(value: type[_Value]) -> type[BaseModel]:
    """A value as a request may have it: for a field that stays in Python, whether to use it."""
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
    """The value that a request means.

    Args:
        kept: the fields that stay in Python, by name; what is not there is None.

    Raises:
        ValueError: a field that there is nothing for, with how to give it.
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
        layer: which block; 0 for `embed`.
        position: which token of the patched prompt, or several; negative ones count from the end; None is all. For
            `pattern` the destination, the position that looks.
        head: which head, for q, k, v, z and pattern; None is all.
        source: for `pattern`, the position (or several) that is looked at; None is the whole row.
        neuron: for `mlp_post`, which neuron or neurons; None is all.
        value: what to put there.
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
        # The first two may be given without their names. What is missing or unknown is for pydantic to say.
        first = {"activation": activation, "layer": layer}
        super().__init__(**{name: value for name, value in first.items() if value is not _MISSING}, **fields)


def as_value(value: Any) -> Value:
    """A value of an intervention from itself, a dictionary of its fields, or its kind.

    Raises:
        ValueError: anything else, with a sentence.
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


def check_activation(model: LanguageModel | None, activation: Any) -> str:
    """The activation, if it exists in this model and patching it can have an effect.

    Raises:
        ValueError: an unknown one, one that this model lacks, or one whose edits the model ignores.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"There is no activation {activation!r}. Choose one of {', '.join(ACTIVATIONS)}.")
    if model is not None and (reason := model.why_not(activation)):
        raise ValueError(reason)
    return activation


def in_range(name: str, index: Any, size: int, *, negative: bool = False) -> int:
    """An index of something that there are `size` of, negative ones counted from the end if allowed.

    Raises:
        ValueError: one that is out of range or no whole number.
    """
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise ValueError(f"A {name} is a whole number, not {index!r}.")
    lowest = -size if negative else 0
    if not lowest <= index < size:
        known = f"there are {size}, so give {lowest} to {size - 1}" if size > 1 else "there is one, so give 0"
        raise ValueError(f"There is no {name} {index}: {known}.")
    return int(index) % size


def as_heads(heads: Any, n_layers: int, n_heads: int) -> list[tuple[int, int]]:
    """Heads given as (layer, head) each.

    Raises:
        ValueError: something else, or a head that is not there.
    """
    given = list(heads) if isinstance(heads, Iterable) and not isinstance(heads, (str, bytes)) else [heads]
    if not all(isinstance(one, Iterable) and len(list(one)) == 2 for one in given):
        raise ValueError(f"Heads are given as a list of (layer, head), such as [(5, 1), (6, 9)], not {heads!r}.")
    return [(in_range("layer", layer, n_layers), in_range("head", head, n_heads)) for layer, head in given]


def as_tuple(value: int | Sequence[int] | None, everything: int) -> tuple[int, ...]:
    """One index, several, or None for all, as several."""
    if value is None:
        return tuple(range(everything))
    return tuple(value) if isinstance(value, Iterable) else (value,)
