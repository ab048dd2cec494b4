"""What a bug report begins with: versions, the machine, and what is wrong with an installation."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

PLENTY = 1.0  # GB; the embedded model and a notebook need less


@dataclass
class Report:
    """What was found: `facts` by name, and what is wrong, each a sentence or two with the remedy."""

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        width = max(map(len, self.facts)) + 2
        facts = [f"{name:{width}}{fact}" for name, fact in self.facts.items()]
        return "\n".join([*facts, "", *(self.problems or ["Nothing wrong was found."])])


def doctor() -> None:
    """Print versions, the machine, and what is wrong with this installation. Begin a bug report with it."""
    print(report())


def report() -> Report:
    """Everything that `doctor` prints."""
    found = Report({"Python": platform.python_version(), "platform": platform.platform()})
    _packages(found)
    _kernel(found)
    _machine(found)
    _widgets(found)
    return found


def _packages(found: Report) -> None:
    """The version of each package that Hookscope's metadata asks for, and whether it is one that it asks for."""
    from packaging.requirements import Requirement

    from . import __version__

    found.facts["hookscope"] = __version__
    try:
        asked = [Requirement(text) for text in requires("hookscope") or []]
    except PackageNotFoundError:
        found.problems.append("Hookscope is imported from a folder and not installed: pip install -e . in that folder.")
        return
    for one in asked:
        optional = one.marker is not None and not one.marker.evaluate({"extra": ""})
        installed, wanted = _version(one.name), f"{one.name}{one.specifier}"
        found.facts[one.name] = installed or ("not installed, optional" if optional else "not installed")
        if installed is None and not optional:
            found.problems.append(f'{one.name} is not installed: pip install "{wanted}"')
        if installed is not None and not one.specifier.contains(installed, prereleases=True):
            found.problems.append(
                f"Hookscope was not tested with {one.name} {installed}, or is known to fail with it: "
                f'pip install "{wanted}"'
            )


def _kernel(found: Report) -> None:
    """How messages from a view reach Python, and what draws widgets on a page."""
    ipykernel = _version("ipykernel")
    if ipykernel is not None:
        found.facts["subshells"] = _subshells(ipykernel)
    manager, lab = _version("jupyterlab_widgets"), _version("jupyterlab")
    found.facts["widget manager"] = f"jupyterlab_widgets {manager}" if manager else "none in this environment"
    if manager is None and lab is not None:
        found.problems.append("JupyterLab shows widgets as text without their manager: pip install jupyterlab_widgets")
    elif lab is None:
        found.facts["widget manager"] += "; a JupyterLab that runs in another environment needs its own"


def _subshells(ipykernel: str) -> str:
    """What this version of ipykernel does with a click while a cell runs."""
    from packaging.version import Version

    release = Version(ipykernel).release
    if release < (7, 0):
        return "none in ipykernel 6: a widget waits until the running cell ends"
    repaired = "; Hookscope repairs that this release loses requests" if release < (7, 4) else ""
    ipython: Any = sys.modules.get("IPython")
    kernel = getattr(ipython and ipython.get_ipython(), "kernel", None)
    if kernel is None:
        return f"yes, in a notebook{repaired}"
    supported = getattr(kernel, "_supports_kernel_subshells", False)
    return f"yes{repaired}" if supported else "not in this kernel: a widget waits until the running cell ends"


def _machine(found: Report) -> None:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    found.facts["free memory"] = f"{free:.1f} GB"
    if free < PLENTY:
        found.problems.append(f"Less than {PLENTY:.0f} GB of memory is free: shut down other kernels or programs.")
    try:
        from interp_backend.engine.hardware import hardware

        found.facts.update(hardware())
    except Exception as problem:  # whatever a damaged installation raises
        found.problems.append(f"The methods can't be imported, most likely because of PyTorch: {_words(problem)}")


def _widgets(found: Report) -> None:
    """Whether every widget can be imported, and its script is there."""
    from . import bundles

    found.facts["bundles"] = f"{len([*bundles.STATIC.glob('*.js')])} in {bundles.STATIC}"
    try:
        package, panel = import_module("hookscope"), import_module("hookscope.panel").Panel
        public = [getattr(package, name) for name in dir(package)]
        views = [one.bundle for one in public if isinstance(one, type) and issubclass(one, panel)]
        for name in (*views, "circuitsvis", "report"):
            bundles.script(name)
    except Exception as problem:
        found.problems.append(f"Hookscope's widgets can't be made: {_words(problem)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"
