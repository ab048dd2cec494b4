"""Prints as JSON what js/wire/requests.ts is generated from by `npm run wire`.

`types` is one JSON schema of what views send: every request by its name, and a place. `constants` are the numbers that
Python and the views both use: the schema version and the states of cells.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hookscope import (
    AttentionViewer,
    CircuitGraph,
    FeatureGraph,
    LogitLensGrid,
    PatchHeatmap,
    PromptPairEditor,
    Workbench,
)
from hookscope.circuitsvis.token_values import TokenValues
from interp_backend import METHODS
from interp_backend.place import Place
from interp_backend.results.effect_map import CellState
from interp_backend.results.envelope import SCHEMA_VERSION

WIDGETS = (
    PromptPairEditor,
    PatchHeatmap,
    LogitLensGrid,
    AttentionViewer,
    CircuitGraph,
    FeatureGraph,
    Workbench,
    TokenValues,
)


def requests() -> dict[str, type[BaseModel]]:
    """The model of every request, by the request's name; where a widget narrows a method's request, the widget's."""
    found = {name: method.request for name, method in METHODS.items()}
    of_widgets: dict[str, type[BaseModel]] = {}
    for widget in WIDGETS:
        for name, function in widget.actions().items():
            model = vars(function)["request"]
            if of_widgets.setdefault(name, model).model_json_schema() != model.model_json_schema():
                raise ValueError(f"Two widgets take different requests under the name {name!r}: rename one of them.")
    return {**found, **of_widgets}


def wire_schema() -> dict[str, Any]:
    """An object with a property for each request, and the definitions that they and views need."""
    models = requests()
    schemas, definitions = models_json_schema([(model, "validation") for model in (*models.values(), Place)])
    defs = {name: _tagged(_plain(one)) for name, one in definitions["$defs"].items()}
    place = defs["Place"]["properties"]
    # What is None is left out of a place; see Place.to_json.
    defs["Place"]["properties"] = {name: _without_null(one) for name, one in place.items()}
    properties = {name: {"$ref": schemas[model, "validation"]["$ref"]} for name, model in sorted(models.items())}
    return {
        "title": "Requests",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(properties),
        "$defs": defs,
    }


def _plain(schema: Any) -> Any:
    """A schema without what says nothing of its type: labels, help and defaults; and tuples as they are in JSON."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"title", "description", "default", "discriminator", "appliesTo", "choicesBy", "maxItems", "minItems"}
    kept = {
        name: {key: _plain(one) for key, one in part.items()} if name == "properties" else _plain(part)
        for name, part in schema.items()
        if name not in dropped
    }
    if "prefixItems" in kept:  # the older word for a tuple, which the generator of types knows
        kept["items"] = kept.pop("prefixItems")
        kept["minItems"] = kept["maxItems"] = len(kept["items"])
    if "oneOf" in kept or "anyOf" in kept:
        kept.pop("type", None)
    return kept


def _tagged(model: dict[str, Any]) -> dict[str, Any]:
    """A model whose tag is required: it says which model of a union this is, so a request can't leave it out."""
    tags = [name for name, one in model.get("properties", {}).items() if isinstance(one.get("const"), str)]
    return {**model, "required": [*tags, *model.get("required", [])]}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    return schema if not choices else choices[0] if len(choices) == 1 else {"anyOf": choices}


if __name__ == "__main__":
    constants = {"SCHEMA_VERSION": SCHEMA_VERSION} | {state.name: state.value for state in CellState}
    print(json.dumps({"types": wire_schema(), "constants": constants}))
