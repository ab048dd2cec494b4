"""A method's menus and fields come from its schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from hookscope.menus import menus_of, offered
from interp_backend import EffectMap, PromptPair
from interp_backend.common.method import METHODS, Method
from interp_backend.results.step import Step


def _menus():
    return menus_of(METHODS["activation_patching"], None, None, has_data_set=True)


def test_the_other_run_is_the_first_value_and_fields_have_bounds_and_help():
    values = _menus()["values"]
    assert [one["kind"] for one in values] == ["other", "prompt", "zero", "mean", "resample", "add", "scale"]
    draws, seed = next(one["fields"] for one in values if one["kind"] == "resample")
    assert (draws["name"], draws["type"], draws["least"], draws["most"], draws["default"]) == (
        "draws",
        "integer",
        1,
        1000,
        1,
    )
    assert draws["help"].startswith("how many prompts are drawn")
    assert (seed["least"], seed["most"]) == (0, None)


def test_window_and_at_are_fields_and_the_window_says_where_it_applies():
    menus = _menus()
    assert menus["window"]["applies"]["argument"] == "activation"
    assert "embed" not in menus["window"]["applies"]["values"]
    assert menus["at"]["type"] == "integer"


def test_what_python_chooses_gets_no_control_and_a_heatmap_estimates_first():
    menus = _menus()
    assert [(one["name"], one["default"]) for one in menus["fields"]] == [("estimate", "gradient"), ("exact", 1.0)]
    entry = next(one for one in menus["methods"] if one["name"] == "activation_patching")
    assert "top_k" not in entry["arguments"] and {"window", "at", "value"} <= set(entry["arguments"])
    assert [one["name"] for one in menus["methods"]] == list(offered())


def _toy(
    model: Any,
    pair: PromptPair,
    *,
    strength: float = 1.0,
    limit: Annotated[float | None, Field(ge=0)] = None,
    either: int | str | None = None,
) -> Iterator[Step[EffectMap]]:
    """A map with limits."""
    yield Step(1, 1)


def test_a_number_or_none_gets_a_field_that_may_be_empty():
    fields = menus_of(Method(_toy), None, None, has_data_set=False)["fields"]
    assert [(one["name"], one["type"], one["optional"]) for one in fields] == [
        ("strength", "number", False),
        ("limit", "number", True),
    ]
    assert (fields[1]["least"], fields[1]["most"], fields[1]["default"]) == (0, None, None)
