"""The house's rules: who may import whom, what is banned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = sorted((ROOT / "interp_backend").rglob("*.py"))
WIDGETS = sorted((ROOT / "widgets").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules that a file imports, as full names."""
    found = set()
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            found.add(".".join([*base, *([node.module] if node.module else [])]))
    return found


@pytest.mark.parametrize("path", BACKEND, ids=lambda p: p.stem)
def test_the_backend_knows_no_notebook(path):
    banned = ("ipywidgets", "anywidget", "IPython", "traitlets", "hookscope")
    assert not [name for name in imports(path) if name.split(".")[0] in banned]


@pytest.mark.parametrize("path", WIDGETS, ids=lambda p: p.stem)
def test_widgets_run_no_torch(path):
    assert not [name for name in imports(path) if name.split(".")[0] in ("torch", "transformers", "transformer_lens")]


def room(module: str) -> str:
    """The folder of the backend that a module stands in."""
    return module.split(".")[1] if module.startswith("interp_backend.") else ""


def test_rooms_import_from_lower_floors_only():
    """The folders are the floors: whatever a room imports, directly or not, never leads back to it."""
    below: dict[str, set[str]] = {}
    for path in BACKEND:
        own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if path.parent != ROOT / "interp_backend" or path.stem != "__init__":
            below.setdefault(own, set()).update(room(name) for name in imports(path))
    below = {name: others - {name, ""} for name, others in below.items()}
    order = TopologicalSorter(below).static_order()
    assert set(order) == set(below)  # raises CycleError where two rooms import each other
    assert "engine" not in below["results"], "results know no model runs"


def test_importing_the_backend_loads_no_notebook():
    code = "import interp_backend, sys; print([m for m in ('ipywidgets', 'anywidget', 'IPython') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


def test_nothing_is_unpickled_and_no_remote_code_is_trusted():
    for path in BACKEND + WIDGETS:
        text = path.read_text("utf-8")
        assert not re.search(
            r"trust_remote_code\s*=\s*True|\bpickle\.|torch\.load\((?!.*weights_only=True\))|(?<![.\w])(eval|exec)\(",
            text,
        ), path


def test_lock_files_carry_no_download_addresses():
    for lock in ROOT.glob("**/package-lock.json"):
        if "node_modules" not in lock.parts:
            assert '"resolved"' not in lock.read_text("utf-8"), lock


def test_every_constraint_is_pinned():
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert not line or line.startswith("#") or "==" in line, line
