"""Messages between a view and Python: requests in, events out. Everything that comes from a view is checked here.

A request is `{kind: "request", id, method, params}`. An event is `{kind: "event", id, event, ...}` with the id of its
request. Every request is answered by `accepted` at once, and by `result`, `error` or `cancelled` at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from ..results.codec import encode_array
from ..results.effect_map import EffectMap


class BadRequest(ValueError):
    """A request that does not validate.

    Attributes:
        field: the part of the request that is wrong, or None.
        id: the id of the request, or "" if it has none.
    """

    def __init__(self, message: str, field: str | None = None, id: str = ""):
        super().__init__(message)
        self.field = field
        self.id = id


@dataclass(frozen=True)
class Request:
    """A validated request.

    Attributes:
        params: an instance of the method's pydantic model.
    """

    id: str
    method: str
    params: Any


def parse(message: Any, methods: Mapping[str, type[BaseModel]]) -> Request:
    """Validate a message from a view.

    Args:
        methods: the pydantic model of each request that the view may send, by method name.

    Raises:
        BadRequest: the message is not a valid request.
    """
    if not isinstance(message, dict) or message.get("kind") != "request":
        raise BadRequest('A message from a view is an object with kind "request".', "kind")
    id = message.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= 100:
        raise BadRequest("A request needs an id, a text of 1 to 100 characters.", "id")
    method = message.get("method")
    if not isinstance(method, str) or method not in methods:
        raise BadRequest(f"There is no method {_short(method)}. Known: {', '.join(methods)}.", "method", id)
    try:
        return Request(id, method, methods[method].model_validate(message.get("params")))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "params"
        raise BadRequest(f"{field}: {first['msg']}, not {_short(first['input'])}.", field, id) from None
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"The parameters of {method} can't be read: {_short(str(problem))}.", "params", id) from None


def request(id: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "request", "id": id, "method": method, "params": dict(params)}


def event(id: str, kind: str, **content: Any) -> dict[str, Any]:
    return {"kind": "event", "id": id, "event": kind, **content}


def partial(id: str, result: EffectMap, cells: Sequence[int]) -> dict[str, Any]:
    """An event of a task with newly computed cells of its map; `cells` are flat indices in C order."""
    top, tokens, agree = None, {}, result.agreement
    at = np.array(cells, np.int32)
    if result.top is not None:
        parts = {
            name: getattr(result.top, name).reshape(result.values.size, -1)[at] for name in ("ids", "logits", "probs")
        }
        top = {name: encode_array(part) for name, part in parts.items()}
        tokens = {str(token): result.tokens[token] for token in np.unique(parts["ids"]).tolist()}
    return event(
        id,
        "partial",
        cells=encode_array(at),
        values=encode_array(result.values.ravel()[at]),
        normalized=encode_array(result.normalized_cells(at)),
        state=encode_array(result.state.ravel()[at]),
        agreement=agree and agree.model_dump(mode="json"),
        top=top,
        tokens=tokens,
    )


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = "something nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."
