"""The command `hookscope`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .doctor import doctor

_HERE = Path(__file__).parent
# A wheel has the notebooks in the package; a source tree has them at its root.
EXAMPLES = _HERE / "examples" if (_HERE / "examples").is_dir() else _HERE.parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(prog="hookscope", description="Interpretability of language models, by clicking.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("demo", help="patch the embedded model, and write a result and a picture")
    command.add_argument("folder", nargs="?", type=Path, default=Path("hookscope-demo"), help="where to write them")
    command.set_defaults(run=lambda given: _demo(given.folder))
    command = commands.add_parser("lab", help="open JupyterLab on a copy of the example notebooks")
    command.set_defaults(run=lambda given: lab())
    command = commands.add_parser("report", help="write what the views show of a pair into one page")
    _add_subject(command, required=True)
    command.add_argument("--title", help="the heading of the page")
    command.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the file to write")
    command.set_defaults(run=_report)
    command = commands.add_parser("run", help="do what a workbench's commands say, and print the results as JSON")
    command.add_argument("commands", help="a file of commands, or - for standard input")
    _add_subject(command, required=False)
    command.set_defaults(run=_run)
    command = commands.add_parser("doctor", help="print versions and what is wrong, for a bug report")
    command.set_defaults(run=lambda given: doctor())
    given = parser.parse_args()
    given.run(given)


def _add_subject(command: argparse.ArgumentParser, required: bool) -> None:
    command.add_argument("--model", help="a name or a directory; by default the embedded model")
    command.add_argument("--clean", required=required, help="the clean prompt")
    command.add_argument("--corrupt", required=required, help="the corrupt prompt")
    command.add_argument("--answer", default="", help="the clean prompt's answer, with its leading space")
    command.add_argument("--wrong", default="", help="the corrupt prompt's answer, with its leading space")


def _pair(given: argparse.Namespace) -> Any:
    from interp_backend import PromptPair  # imports torch

    return PromptPair(clean=given.clean, corrupt=given.corrupt, clean_answer=given.answer, corrupt_answer=given.wrong)


def _demo(folder: Path) -> None:
    from .demo import demo  # imports torch

    demo(folder)


def _report(given: argparse.Namespace) -> None:
    from interp_backend import load_model  # imports torch

    from .workbench import KINDS, Workbench

    try:
        model = load_model(given.model) if given.model else load_model()
        views = [name for name, (kind, *_) in KINDS.items() if kind.missing(model) is None]
        bench = Workbench(model, _pair(given), views=views)
        path = bench.report(given.title or "").save(given.output)
    except (ValueError, OSError) as problem:
        sys.exit(str(problem))
    print(f"Written: {path}")


def _run(given: argparse.Namespace) -> None:
    from .replays import replaying_anew  # imports torch

    if (given.clean is None) != (given.corrupt is None):
        sys.exit("Give both --clean and --corrupt, or neither for the pair of the commands.")
    # One command on each line, as soon as it is done; at the end perhaps what forbids the next one.
    problem: Exception | None = None
    separator = "["
    try:
        text = sys.stdin.read() if given.commands == "-" else Path(given.commands).read_text("utf-8")
        pair = None if given.clean is None else _pair(given)
        for done in replaying_anew(text, given.model, pair):
            print(f"{separator}\n{json.dumps(done.to_json(), allow_nan=False)}", end="", flush=True)
            separator = ","
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError) as error:
        problem = error
        print(f"{separator}\n{json.dumps({'error': str(error)})}", end="")
        separator = ","
    print("\n]" if separator == "," else "[]")
    if problem is not None:
        sys.exit(str(problem))


def lab() -> None:
    """Open JupyterLab on the tour, in a copy of the examples that belongs to the user."""
    if find_spec("jupyterlab") is None:
        sys.exit('JupyterLab is not installed here. Install it with: pip install "hookscope[lab]"')
    folder = Path("hookscope-examples")
    copy_examples(folder)
    print(f"The example notebooks are in {folder}, yours to change: files of yours are never replaced.", flush=True)
    # The address that JupyterLab prints leads to the tour too, for those whose browser is on another machine.
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.default_url=/lab/tree/tour.ipynb",
    ]
    if os.getuid() == 0:
        command.append("--allow-root")
    # JupyterLab takes this process's place, and so Ctrl-C: it asks, and ends its kernels.
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted


def copy_examples(folder: Path) -> None:
    """Copy the notebooks into a folder. A file that is there already stays as it is."""
    folder.mkdir(exist_ok=True)
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)


if __name__ == "__main__":
    main()
