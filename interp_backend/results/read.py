"""Reading a result from JSON without knowing its class."""

from __future__ import annotations

from typing import Any

from .attention import AttentionPatterns
from .attribution import Attribution
from .attribution_graph import AttributionGraph
from .effect_map import EffectMap
from .envelope import BaseResult, parse_json, refuse_other_version
from .faithfulness import Faithfulness
from .feature_description import FeatureDescription
from .feature_effects import FeatureEffects
from .graph import Graph
from .head_table import HeadPairs, HeadScores
from .lens import LogitLens
from .robustness import Robustness
from .scrubbing import Scrubbing

FAMILIES: dict[str, type[BaseResult]] = {
    family.model_fields["family"].default: family
    for family in (
        EffectMap,
        LogitLens,
        Attribution,
        AttentionPatterns,
        HeadScores,
        HeadPairs,
        Graph,
        Faithfulness,
        Robustness,
        Scrubbing,
        AttributionGraph,
        FeatureEffects,
        FeatureDescription,
    )
}
# Results of older versions name their method alone, and those of patching have no family's method.
_BY_METHOD = {family.model_fields["method"].default: name for name, family in FAMILIES.items() if name != "effect_map"}


def read_result(text: str | bytes) -> BaseResult:
    """Read any result's JSON: what `to_json` wrote, or what a widget or a page stored.

    Returns:
        An `EffectMap`, `LogitLens`, `Attribution`, `AttentionPatterns`, `HeadScores`, `HeadPairs`, `Graph`,
        `Faithfulness`, `Robustness`, `Scrubbing`, `AttributionGraph`, `FeatureEffects` or `FeatureDescription`.

    Raises:
        ValueError: text that is not JSON, another schema version, a family of results that this version does not
            know, or a missing, unknown or wrong field.
    """
    return result_from_wire(parse_json(text))


def result_from_wire(wire: Any) -> BaseResult:
    """`read_result` for an object that is already parsed."""
    refuse_other_version(wire)
    family = wire.get("family") or _BY_METHOD.get(str(wire.get("method")), "effect_map")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"This Hookscope knows no results of the family {family!r:.40}. Update Hookscope.")
    return FAMILIES[family].from_wire(wire)
