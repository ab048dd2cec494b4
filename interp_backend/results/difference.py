"""One effect map minus another: what a difference has of both, and which maps can be subtracted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .codec import Floats
from .envelope import Record, excerpt

if TYPE_CHECKING:
    from .effect_map import EffectMap

MINUS = " \u2212 "
LONG_TITLE = 60  # characters, above a picture


class Term(Record):
    """One of the two maps of a difference.

    Attributes:
        name: the map, in the few words that tell it from the other.
        effects: its normalized effects, [*axes]; NaN where it has none.
        values: its raw values, [*axes]; NaN where it has none.
        metric_label: its metric in words.
        method, params, provenance: how it was made.
    """

    name: str
    effects: Floats
    values: Floats
    metric_label: str
    method: str = ""
    params: dict[str, Any]
    provenance: dict[str, Any] = Field(default_factory=dict)


def refuse_unlike(first: EffectMap, second: EffectMap) -> None:
    """Raise ValueError, with a sentence that says why, for two maps that can't be subtracted cell by cell."""
    if first.terms is not None or second.terms is not None:
        raise ValueError("One of these maps is a difference itself. Subtract two maps that a method has returned.")
    if first.axes != second.axes:
        ours, theirs = (" and ".join(one.axes) for one in (first, second))
        raise ValueError(f"One map is by {ours} and the other by {theirs}. Subtract maps with the same axes.")
    for axis in first.axes:
        ours, theirs = first.indices_of(axis), second.indices_of(axis)
        if len(ours) != len(theirs):
            sizes = f"{len(ours)} and {len(theirs)}"
            raise ValueError(f"The {axis} axes of these maps have {sizes} entries. Subtract maps of one size.")
        if ours != theirs:
            raise ValueError(f"The {axis}s of these maps are not the same. Subtract maps of the same {axis}s.")
    if first.metric_label != second.metric_label and not (first.scale_text and second.scale_text):
        raise ValueError(
            f"One map measures {first.metric_label} and the other {second.metric_label}, and without a scale from 0 "
            "to 1 in both there is no common unit. Subtract maps of one metric."
        )


def names_of(first: EffectMap, second: EffectMap) -> tuple[str, str]:
    """Two maps in the few words that tell them apart."""
    every = [dict(_aspects(one)) for one in (first, second)]
    apart = [name for name in every[0] if every[0][name] != every[1][name]]
    for enough, further in (("model", "weights"), ("clean", "corrupt")):
        if enough in apart and further in apart:
            apart.remove(further)
    ours, theirs = (", ".join(filter(None, (aspects[name] for name in apart))) for aspects in every)
    if not ours or not theirs:
        return "first map", "second map"
    several = len(apart) > 1  # then a name has commas
    return (f"({ours})", f"({theirs})") if several else (ours, theirs)


def _aspects(one: EffectMap) -> Iterator[tuple[str, str]]:
    """What a map may differ in from another, each in words; every map has the same ones."""
    model, params = one.provenance.get("model", {}), one.params
    yield "model", str(model.get("name") or "")
    yield "weights", f"weights {str(model.get('weights_hash'))[:6]}"
    yield "activation", patched_words(one.method, params)
    yield "how", how_words(params)
    yield "value", _value_words(params)
    yield "window", f"window {params.get('window', 1)}"
    yield "metric", one.metric_label
    yield "at", "read at the end" if params.get("at") is None else f"read at {params['at']}"
    yield "rules", str(params.get("rules", "run"))
    for side in ("clean", "corrupt"):
        text = f"\u201c{excerpt(one.prompts[side].text, 40)}\u201d"
        yield side, text if one.pairs is None else f"mean of {len(one.pairs.labels)} pairs, {text} the first"


def _value_words(params: Mapping[str, Any]) -> str:
    value = params.get("value")
    known = value.items() if isinstance(value, Mapping) else ()
    told = [(name, part) for name, part in known if name in ("factor", "text", "draws", "seed", "by_position")]
    return ", ".join(f"{name} {part!s:.40}" for name, part in told)


def patched_words(method: str, params: Mapping[str, Any]) -> str:
    return str(params.get("activation", method))


def how_words(params: Mapping[str, Any]) -> str:
    """Which value is patched into which run."""
    denoise, value = params.get("direction") == "denoise", params.get("value")
    kind = value.get("kind", "other") if isinstance(value, Mapping) else "other"
    if kind == "other":
        return "clean into corrupt" if denoise else "corrupt into clean"
    return f"{kind} in the {'corrupt' if denoise else 'clean'} run"


def metric_words(first: str, second: str) -> str:
    """What the numbers of a difference are, from the labels of the two metrics."""
    return f"difference in {first}" if first == second else f"difference in effect ({first}{MINUS}{second})"


def difference_headline(first: Term, second: Term, breaks: bool = False) -> str:
    """The two maps, and what they have in common.

    Args:
        breaks: on three lines if it is long.
    """
    ours, theirs = (
        [patched_words(one.method, one.params), how_words(one.params), one.metric_label] for one in (first, second)
    )
    shared = ", ".join(words for words, other in zip(ours, theirs) if words == other)
    headline = ", ".join(filter(None, [first.name + MINUS + second.name, shared]))
    if not breaks or len(headline) <= LONG_TITLE:
        return headline
    return f"{first.name}\n{MINUS.lstrip()}{second.name}\n{shared}".rstrip()


# How to read the numbers of a difference.
DIFFERENCE_SCALE = (
    "0 is no difference; above 0, the first map's patch moves the model further towards the clean answer."
)


def shared_provenance(first: EffectMap, second: EffectMap) -> dict[str, Any]:
    """What a difference says of how both maps were made; each term has the whole of its own."""
    models = [one.provenance.get("model", {}) for one in (first, second)]
    names = [str(model.get("name") or "unnamed model") for model in models]
    said = {name: first.provenance[name] for name in ("versions",) if name in first.provenance}
    said["model"] = models[0] if models[0] == models[1] else {"name": MINUS.join(names)}
    said["complete"] = all(one.provenance.get("complete") is not False for one in (first, second))
    said["warnings"] = list(dict.fromkeys([*first.every_warning(), *second.every_warning()]))
    return said
