"""Commands: what a person does in a workbench, as JSON that can be listed, replayed and printed as code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interp_backend.common.method import Call

MOST = 10_000  # commands in one list
KEPT = {"snapshot": "kept as", "restore": "back to", "forget": "dropped"}


class Command(BaseModel):
    """One thing that a person did.

    Attributes:
        view: the name of the view, as its tab says it ("Lens", "Patching 2"); None for the workbench itself, or for the
            first view that knows the request.
        do: the request, or "set" for choices that need no computation.
        params: of the request; or the choices, by the names of the view's traits.
    """

    model_config = ConfigDict(extra="forbid")

    view: str | None = Field(default=None, max_length=100)
    do: str = Field(min_length=1, max_length=100)
    params: dict[str, Any] = {}

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=self.view is None)


def as_commands(given: Any) -> list[Command]:
    """Commands from objects, from a list of dictionaries, or from JSON text.

    Raises:
        ValueError: something that is no command.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise ValueError("The commands are no JSON: a list of objects with do, view and params.") from None
    if not isinstance(given, (list, tuple)) or len(given) > MOST:
        raise ValueError(f"Commands are a list of at most {MOST} objects with do, view and params.")
    commands: list[Command] = []
    for number, one in enumerate(given, 1):
        try:
            commands.append(one if isinstance(one, Command) else Command.model_validate(one))
        except (ValidationError, RecursionError) as problem:
            words = problem.errors(include_url=False)[0]["msg"] if isinstance(problem, ValidationError) else "too deep"
            raise ValueError(f"Command {number} can't be read: {words}. It has do, view and params.") from None
    return commands


def calls_of(asked: Any) -> list[Call]:
    """The calls of public methods that something a view has asked for is made of."""
    if hasattr(asked, "calls"):
        return asked.calls()
    return [asked] if isinstance(asked, Call) else []


def words_of(command: Command, before: Mapping[str, Any]) -> str:
    """A command in a few words.

    Args:
        before: what its parameters were, which are named only if they change; and the `method` whose result is shown.
    """
    changed = {name: some for name, some in command.params.items() if before.get(name) != some}
    if command.do == "set" and set(changed) == {"selection"}:
        return "unpinned" if changed["selection"] is None else f"pinned {_place(changed['selection'])}"
    if command.do == "edit":
        pair = command.params["pair"]
        return f"“{pair.get('clean', '')}” against “{pair.get('corrupt', '')}”"
    if command.do in KEPT:
        return f"{KEPT[command.do]} {command.params['name']}"
    what = "" if command.do in ("set", before.get("method")) else command.do.replace("_", " ")
    return " ".join(part for part in (what, _listed(changed)) if part) or "again"


def _place(place: Mapping[str, Any]) -> str:
    """`layer 2, position 5 of resid_pre`."""
    parts = {name: some for name, some in place.items() if name not in ("activation", "side")}
    return " of ".join(part for part in (_listed(parts), str(place.get("activation", ""))) if part)


def _listed(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_short(some)}" for name, some in params.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind") or _listed(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _cut(", ".join(map(_short, value)) or "none")
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    text = str(value)
    return _cut(f"“{text}”" if text != text.strip() else text)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def as_file(commands: Iterable[Command]) -> str:
    """Commands as the JSON of a file, one on each line."""
    return "[\n" + ",\n".join(json.dumps(one.to_json(), ensure_ascii=False) for one in commands) + "\n]\n"
