"""What `hs.doctor()` says of an installation, and above all of a damaged one."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError

import pytest

import hookscope as hs
from hookscope import bundles

doctor = import_module("hookscope.doctor")  # `hookscope.doctor` is the function
ASKED = ["torch<2.14,>=2.4", "ipykernel!=7.4.0,<8", "jupyterlab>=4.2; extra == 'lab'", "gguf>=1; extra == 'gguf'"]


@pytest.fixture
def installed(monkeypatch) -> dict[str, str]:
    """The versions of an installation in which nothing is wrong; a test may change them."""
    versions = {"torch": "2.13.0+cpu", "ipykernel": "7.3.0", "jupyterlab": "4.4.0", "jupyterlab_widgets": "3.0.1"}

    def version(package: str) -> str:
        if package not in versions:
            raise PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(doctor, "requires", lambda package: ASKED)
    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "PLENTY", 0.0)
    return versions


def test_a_sound_installation_is_printed_with_nothing_wrong(installed, capsys):
    assert hs.doctor() is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["", "Nothing wrong was found."]
    facts = dict(re.split("  +", line, maxsplit=1) for line in lines[:-2])
    assert facts["hookscope"] == hs.__version__ and facts["torch"] == "2.13.0+cpu" and facts["dtype"] == "float32"
    assert facts["gguf"] == "not installed, optional"
    assert {"Python", "platform", "subshells", "widget manager", "device", "threads", "free memory"} <= set(facts)
    assert facts["bundles"] == f"{len([*bundles.STATIC.glob('*.js')])} in {bundles.STATIC}"


@pytest.mark.parametrize(
    "changed, said",
    [
        (
            {"torch": "2.14.0"},
            'not tested with torch 2.14.0, or is known to fail with it: pip install "torch<2.14,>=2.4"',
        ),
        ({"ipykernel": "7.4.0"}, "not tested with ipykernel 7.4.0"),
        ({"torch": None}, 'torch is not installed: pip install "torch<2.14,>=2.4"'),
        ({"jupyterlab_widgets": None}, "JupyterLab shows widgets as text without their manager: pip install"),
    ],
)
def test_a_wrong_version_or_a_missing_package_is_said_with_its_remedy(installed, changed, said):
    installed |= {name: version for name, version in changed.items() if version}
    for name in [name for name, version in changed.items() if version is None]:
        del installed[name]
    (problem,) = doctor.report().problems
    assert said in problem


def test_without_jupyterlab_the_widget_manager_may_be_elsewhere(installed):
    del installed["jupyterlab"], installed["jupyterlab_widgets"]
    found = doctor.report()
    assert "another environment" in found.facts["widget manager"] and not found.problems


@pytest.mark.parametrize(
    "ipykernel, said",
    [
        ("6.29.5", "none in ipykernel 6: a widget waits until the running cell ends"),
        ("7.3.0", "yes, in a notebook; Hookscope repairs that this release loses requests"),
        ("7.5.0rc1", "yes, in a notebook"),
    ],
)
def test_what_a_release_of_ipykernel_does_is_said(installed, ipykernel, said):
    installed["ipykernel"] = ipykernel
    assert doctor.report().facts["subshells"] == said


def test_a_source_tree_that_is_not_installed_is_named(installed, monkeypatch):
    def requires(package: str) -> list[str]:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "requires", requires)
    assert ["pip install -e ." in problem for problem in doctor.report().problems] == [True]


def test_missing_bundles_are_named_with_their_remedy(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(bundles, "STATIC", tmp_path)
    found = doctor.report()
    assert found.facts["bundles"] == f"0 in {tmp_path}"
    assert ["has not been built: run `npm ci && npm run build`" in problem for problem in found.problems] == [True]


def test_a_pytorch_that_does_not_import_is_named_and_the_rest_is_printed(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, "interp_backend.engine.hardware", None)
    found = doctor.report()
    assert ["most likely because of PyTorch" in problem for problem in found.problems] == [True]
    assert "free memory" in found.facts and "bundles" in found.facts


def test_little_memory_is_named(installed, monkeypatch):
    monkeypatch.setattr(doctor, "PLENTY", 1e6)
    assert ["memory is free: shut down" in problem for problem in doctor.report().problems] == [True]
