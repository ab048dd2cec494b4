"""The house's rules: who may import whom, what is banned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import hookscope as hs
import interp_backend as ib

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


def loaded_by(code: str, *packages: str) -> list[str]:
    """Which of these packages a new process has imported after it ran some code."""
    code = f"{code}; import sys; print(*[name for name in {packages} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_using_the_backend_loads_no_notebook():
    assert loaded_by("from interp_backend import load_model", "torch", "ipywidgets", "anywidget", "IPython") == [
        "torch"
    ]


@pytest.mark.parametrize("package", ["hookscope", "interp_backend"])
def test_an_import_alone_loads_nothing_heavy(package):
    heavy = ("torch", "transformers", "transformer_lens", "pandas", "matplotlib", "numpy", "pydantic", "ipywidgets")
    assert loaded_by(f"import {package}; dir({package})", *heavy) == []


def test_a_widget_class_loads_no_transformers():
    packages = ("anywidget", "transformers", "transformer_lens", "matplotlib")
    assert loaded_by("import hookscope; hookscope.PatchHeatmap", *packages) == ["anywidget"]


def test_the_module_of_a_widget_knows_every_method_and_the_engine():
    """Also where it is the first that is imported, and nobody has used `interp_backend` itself."""
    code = """
from hookscope.menus import METHODS
from interp_backend.language.model import LanguageModel
LanguageModel.find_absent, LanguageModel.find_dead_hooks
print(*METHODS)"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == set(ib.METHODS)


@pytest.mark.parametrize("package", [hs, ib], ids=lambda one: one.__name__)
def test_what_a_package_exports_is_there_and_nothing_else(package):
    exported = {name: getattr(package, name) for name in package.__all__}
    assert set(exported) <= set(dir(package)) and "load_model" in exported
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'load_modle'"):
        package.load_modle  # noqa: B018


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


# Only the engine calls a model


RUNNING = {"hooks", "forward", "run_with_hooks", "run_with_cache", "generate", "logit_readout"}
REGISTERING = {"register_forward_hook", "register_forward_pre_hook", "add_hook", "add_perma_hook"}
# What may be called on a raw model, or on what is reached from it: none of these runs a module.
HARMLESS = {"detach", "parameters", "modules", "named_modules", "named_parameters", "to_tokens"}
NO_MODULES = {"tokenizer", "cfg", "hook_dict"}


def is_of_a_model(node: ast.AST, tainted: set[str]) -> bool:
    """Whether an expression is a raw model or a part of one: `model.raw`, `raw.blocks[0]`, `getattr(raw, ...)`."""
    while True:
        if isinstance(node, ast.Attribute):
            if node.attr in NO_MODULES:
                return False
            if node.attr == "raw":
                return True
            node = node.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            node = node.args[0]
        else:
            return isinstance(node, ast.Name) and node.id in tainted


def model_calls(source: str) -> list[int]:
    """The lines of a module that call a model, a module of one, or a function that runs one."""
    tree = ast.parse(source)
    tainted = {"raw"}
    for _ in range(3):  # a name of a name of a name
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and is_of_a_model(node.value, tainted):
                tainted |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        called = is_of_a_model(node.func, tainted) and name not in HARMLESS
        if called or name in RUNNING | REGISTERING:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", [p for p in BACKEND if p.parent.name != "engine"] + WIDGETS, ids=lambda p: p.stem)
def test_only_the_engine_calls_a_model(path):
    lines = model_calls(path.read_text("utf-8"))
    assert not lines, f"{path.name} calls a model in line {lines}: move that into a function of the engine"


@pytest.mark.parametrize(
    "source",
    [
        "model.raw(tokens)",
        "self.model.raw.ln_final(rows)",
        "block = model.raw.blocks[layer]\nblock(rows)",
        "block = model.raw.blocks[layer]\nnorm = getattr(block, 'ln1', None)\nnorm(rows)",
        "def f(raw):\n    return raw.unembed(x)",
        "with model.raw.hooks(fwd_hooks=hooks):\n    pass",
        "logit_readout(model.raw, vectors)",
        "module.register_forward_hook(print)",
    ],
)
def test_a_call_of_a_model_is_recognised(source):
    assert model_calls(source)
