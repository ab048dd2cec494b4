"""A package's public names, imported when the first of them is used: torch alone takes more than a second."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_exports(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package that writes its exports for type checkers only.

    Each line `from module import name as name` in the package's `if TYPE_CHECKING:` is an export. The first name that
    is used imports them all, because methods register themselves when they are imported, and the engine completes
    `LanguageModel`.

    Args:
        package, file: `__name__` and `__file__` of the package.
    """
    block = next(node for node in ast.parse(Path(file).read_text("utf-8")).body if isinstance(node, ast.If))
    lines = [line for line in block.body if isinstance(line, ast.ImportFrom)]
    origins = {one.name: "." * line.level + (line.module or "") for line in lines for one in line.names}

    def get(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(package)
        vars(module).update({one: getattr(import_module(origin, package), one) for one, origin in origins.items()})
        return vars(module)[name]

    return get, lambda: sorted({*vars(import_module(package)), *origins}), list(origins)
