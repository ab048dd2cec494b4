"""The provenance that every result carries."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..engine.turn import Turn


def provenance(turn: Turn) -> dict[str, Any]:
    """The model, when it was asked, the versions that affect numbers, and warnings about anything else that did."""
    warnings = []
    if hooks := turn.users_hooks:
        named = ", ".join(hooks[:3]) + (" and others" if len(hooks) > 3 else "")
        warnings.append(f"The model carries hooks of your own ({named}); they acted on every run.")
    return {
        "model": turn.model.describe(),
        "made": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {
            **{name: _version(name) for name in ("hookscope", "transformer_lens", "transformers", "torch")},
            "python": platform.python_version(),
        },
        "warnings": warnings,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that was not installed
        return None
