"""The command `hookscope`: its demo, and the notebooks that it hands out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hookscope import cli

NOTEBOOKS = {path.name for path in (Path(__file__).parents[2] / "examples").glob("*.ipynb")}


def test_the_demo_prints_its_tables_and_writes_its_files(tmp_path):
    command = [sys.executable, "-m", "hookscope.cli", "demo"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    runs, cells = run.stdout.split("The five strongest:\n")
    assert [line.split()[6] for line in runs.splitlines() if "capital of" in line] == ["Oslo", "Stockholm"]
    assert cells.splitlines()[0].split() == ["layer", "position", "token", "logit", "difference", "recovered"]
    assert cells.splitlines()[1].split()[2] == "Sweden" and "hookscope lab" in cells
    assert {path.name for path in (tmp_path / "hookscope-demo").iterdir()} == {"result.json", "map.png"}


@pytest.fixture
def started(monkeypatch, tmp_path) -> list[list[str]]:
    """The commands that are started in place of JupyterLab, in an empty folder."""
    commands: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.os, "execv", lambda _, command: commands.append(command))
    monkeypatch.setattr(sys, "argv", ["hookscope", "lab"])
    return commands


def test_lab_opens_the_tour_in_a_copy_of_the_examples(started, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: name)
    cli.main()
    ((python, _, module, root, first, *_),) = started
    assert (python, module) == (sys.executable, "jupyterlab")
    folder = Path(root.removeprefix("--ServerApp.root_dir="))
    assert {path.name for path in folder.iterdir()} == NOTEBOOKS
    assert first == "--LabApp.default_url=/lab/tree/tour.ipynb"
    assert (folder / "tour.ipynb").read_bytes() == (cli.EXAMPLES / "tour.ipynb").read_bytes()


def test_lab_leaves_the_users_own_notebooks_alone(started, monkeypatch):
    mine = Path("hookscope-examples/tour.ipynb")
    mine.parent.mkdir()
    mine.write_text("mine")
    monkeypatch.setattr(cli, "find_spec", lambda name: name)
    cli.main()
    assert mine.read_text() == "mine" and {path.name for path in mine.parent.iterdir()} == NOTEBOOKS


def test_lab_without_jupyterlab_says_how_to_install_it(started, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r'pip install "hookscope\[lab\]"'):
        cli.main()
    assert not started and not Path("hookscope-examples").exists()


def test_a_report_is_written_without_a_notebook(tmp_path, monkeypatch, capsys):
    words = ["report", "--clean", "The capital of Norway is", "--corrupt", "The capital of Sweden is"]
    answers = ["--answer", " Oslo", "--wrong", " Stockholm", "--title", "Oslo", "-o", str(tmp_path / "oslo.html")]
    monkeypatch.setattr(sys, "argv", ["hookscope", *words, *answers])
    cli.main()
    assert "oslo.html" in capsys.readouterr().out
    text = (tmp_path / "oslo.html").read_text("utf-8")
    assert "<h1>Oslo</h1>" in text and text.count("data-view=") == 6


@pytest.mark.parametrize(("more", "says"), [(["--model", "no/such-model"], "no/such-model"), ([], "answer")])
def test_a_report_that_can_not_be_written_says_why(tmp_path, monkeypatch, more, says):
    words = ["report", "--clean", "The capital of Norway is", "--corrupt", "The capital of Sweden is"]
    monkeypatch.setattr(sys, "argv", ["hookscope", *words, *more, "-o", str(tmp_path / "oslo.html")])
    with pytest.raises(SystemExit, match=says):
        cli.main()
    assert list(tmp_path.iterdir()) == []
