"""Drives a real JupyterLab: its server, and a notebook with its kernel in a page."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from checks import complaints_of
from playwright.sync_api import Browser, Locator, Page
from playwright.sync_api import Error as FailedInPage
from playwright.sync_api import TimeoutError as WaitedTooLong

STARTING_SECONDS = 180
KERNEL_SECONDS = 180
# How JupyterLab reports a request of its own that was under way when the kernel restarted: nothing else cancels one.
OF_A_RESTART = "Error: Canceled future for"

# What a notebook in command mode would do something with: new cells above and below, another cell selected.
NOTEBOOK_KEYS = ("a", "b", "j", "k", "ArrowDown", "ArrowUp")


@dataclass(frozen=True)
class JupyterServer:
    url: str
    token: str
    notebooks: Path


@contextmanager
def jupyter_server(directory: Path, allow_origin: str) -> Iterator[JupyterServer]:
    """A server with nothing of this user's own settings, kernels and history, all of it inside `directory`."""
    homes = {
        name: directory / name.lower()
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    notebooks = directory / "notebooks"
    notebooks.mkdir()
    labconfig = homes["JUPYTER_CONFIG_DIR"] / "labconfig"
    labconfig.mkdir(parents=True)
    # Announcements ask a server on the internet, and cover the notebook with their question.
    (labconfig / "page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}', encoding="utf-8"
    )
    port, token = free_port(), secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--expose-app-in-browser"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        "--JupyterNotebookApp.expose_app_in_browser=True",
        *(f"--ServerApp.root_dir={notebooks}", f"--ServerApp.allow_origin={allow_origin}"),
    ]
    environment = {**os.environ, **{name: str(path) for name, path in homes.items()}}
    url = f"http://127.0.0.1:{port}"
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_it_answers(f"{url}/api", process)
            yield JupyterServer(url, token, notebooks)
        finally:
            process.terminate()  # ends its kernels too
            process.wait(STARTING_SECONDS)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"The Jupyter server did not answer at {url}; see server.log in its directory.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Before `restored` a command silently does nothing; before the kernel is idle there is nobody to ask.
WAIT_UNTIL_READY = """async (seconds) => {
  const giveUp = Date.now() + 1000 * seconds;
  const pause = async () => {
    if (Date.now() > giveUp) throw new Error('JupyterLab or its kernel did not get ready.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  };
  while (!window.jupyterapp) await pause();
  await jupyterapp.restored;
  while (!jupyterapp.shell.currentWidget?.sessionContext) await pause();
  const { sessionContext } = jupyterapp.shell.currentWidget;
  await sessionContext.ready;
  while (sessionContext.session?.kernel?.status !== 'idle') await pause();
}"""

# What the first cell says once it was interrupted, if it has not ended after some seconds.
RUN_FIRST_CELL = """async (seconds) => {
  const { content, sessionContext } = jupyterapp.shell.currentWidget;
  const run = jupyterapp.commands.execute('notebook:run-all-cells').then(() => 'done');
  const pause = (seconds) => new Promise((resolve) => setTimeout(() => resolve('late'), 1000 * seconds));
  if ((await Promise.race([run, pause(seconds)])) === 'done') return '';
  const { kernel } = sessionContext.session;
  const status = `kernel ${kernel?.status}, ${kernel?.connectionStatus}`;
  await kernel?.interrupt();
  await Promise.race([run, pause(10)]);
  return `${status}: ${JSON.stringify(content.widgets[0].model.toJSON().outputs)}`;
}"""

APPEND_AND_RUN = """async ([code, id]) => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  await jupyterapp.commands.execute('notebook:insert-cell-below');
  notebook.activeCell.node.id = id;
  notebook.activeCell.model.sharedModel.setSource(code);
  await jupyterapp.commands.execute('notebook:run-cell');
}"""

EXECUTE = """async ([code, seconds]) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const future = kernel.requestExecute({ code, store_history: false });
  let printed = '';
  let failed = '';
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'stream') printed += content.text;
    if (header.msg_type === 'error') failed = content.traceback.join('\\n');
  };
  const tooLong = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`The kernel was still busy after ${seconds} s with ${code}`)), 1000 * seconds);
  });
  await Promise.race([future.done, tooLong]);
  if (failed) throw new Error(failed);
  return printed.trim();
}"""

# Resolves once the code runs.
BEGIN = """(code) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const future = kernel.requestExecute({ code, store_history: false });
  return new Promise((resolve) => {
    future.onIOPub = ({ header }) => header.msg_type === 'stream' && resolve();
  });
}"""

# The first cell has imports, the model and the pair.
DELETE_ALL_CELLS_BUT_THE_FIRST = """() => {
  const { content } = jupyterapp.shell.currentWidget;
  content.model.sharedModel.deleteCellRange(1, content.widgets.length);
}"""

# As a view would send it, but with whatever content: through the widget's own channel.
SEND = """([model, data]) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  kernel._comms.get(model).send(data);
}"""


def until_there_is(file: Path) -> str:
    """Code that says that it runs, and then does until there is a file."""
    return (
        f"import pathlib, time\nprint('running')\nwhile not pathlib.Path({str(file)!r}).exists():\n    time.sleep(0.02)"
    )


# A metric that lets a sweep begin, so that cells show, and stops it until `go_on` is set: a test that cancels has time.
PAUSED = """
import itertools
import threading

go_on = threading.Event()
calls = itertools.count()

def paused(logits):
    if next(calls) > 10:
        go_on.wait(60)
    return logits.max(-1).values

"""


class Notebook:
    """A page that shows widgets, the kernel behind it, and the errors on the page's console."""

    page: Page
    complaints: list[str]

    def python(self, code: str) -> str:
        """Run code in the kernel, without a cell; returns what the code printed."""
        raise NotImplementedError

    def value(self, expression: str) -> str:
        """The value of a Python expression, as `print` writes it."""
        return self.python(f"print({expression})")

    def expect(self, expression: str, value: object) -> None:
        """Wait until a Python expression has a value.

        A question asked right after a gesture may overtake the gesture's own message, which takes another channel. So
        there may not be yet what the expression names.
        """
        give_up = time.monotonic() + KERNEL_SECONDS
        while (found := self._found(expression)) != str(value):
            if time.monotonic() > give_up:
                raise AssertionError(f"{expression} is {found}, not {value}.")

    def _found(self, expression: str) -> str:
        try:
            return self.value(expression)
        except FailedInPage as problem:
            return problem.message


class Lab(Notebook):
    """A notebook in JupyterLab."""

    tree = "lab/tree"  # where the server has it
    at_start = ("application:toggle-left-area",)

    def __init__(self, browser: Browser, server: JupyterServer, name: str, setup: str, *, density: int = 2) -> None:
        path = server.notebooks / f"{name}.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(setup)], metadata=kernel), path)
        self.page = browser.new_page(viewport={"width": 1360, "height": 1000}, device_scale_factor=density)
        self.page.set_default_timeout(KERNEL_SECONDS * 1000)
        self.complaints = complaints_of(self.page)
        self._shown = 0
        self.page.goto(f"{server.url}/{self.tree}/{path.name}?reset&token={server.token}")
        self.page.evaluate(WAIT_UNTIL_READY, STARTING_SECONDS)
        for name in self.at_start:
            self.command(name)
        if stuck := self.page.evaluate(RUN_FIRST_CELL, KERNEL_SECONDS):
            # Seen once in hundreds of runs, with nothing that says why.
            print(f"The first cell did not end, and is run again. It was interrupted at: {stuck}", file=sys.stderr)
            stuck = self.page.evaluate(RUN_FIRST_CELL, KERNEL_SECONDS)
            assert not stuck, f"The first cell did not end. It was interrupted at: {stuck}"
        self.python("")  # returns once the first cell has

    def command(self, name: str, **arguments: object) -> None:
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => {})", [name, arguments]
        )

    def run(self, code: str) -> Locator:
        """Run code in a new cell at the end; returns the cell."""
        self._shown += 1
        cell = f"shown-{self._shown}"
        self.page.evaluate(APPEND_AND_RUN, [code, cell])
        return self.page.locator(f"#{cell}")

    def show(self, code: str) -> Locator:
        """Run code in a new cell at the end; returns the widget that it shows there."""
        cell = self.run(code)
        widget = cell.locator(".hs-root").first
        try:
            widget.wait_for()
        except WaitedTooLong:
            raise AssertionError(f"No widget, but: {cell.inner_text()}") from None
        return widget

    def clear(self) -> None:
        """Close every widget, and delete every cell that `show` has added."""
        self.python("import ipywidgets\nipywidgets.Widget.close_all()")
        self.page.evaluate(DELETE_ALL_CELLS_BUT_THE_FIRST)

    def python(self, code: str) -> str:
        return self.page.evaluate(EXECUTE, [code, KERNEL_SECONDS])

    @contextmanager
    def busy(self, over: Path) -> Iterator[None]:
        """While a cell runs; `over` is a file that is not there yet."""
        self.page.evaluate(BEGIN, until_there_is(over))
        try:
            yield
        finally:
            over.touch()

    @contextmanager
    def without_subshells(self) -> Iterator[None]:
        """While what a widget sends waits for the running cell, as it does in most notebooks."""
        setting = "jupyterapp.serviceManager.kernels.commsOverSubshells"
        before = self.page.evaluate(f"() => {setting}")
        self.page.evaluate(f"() => {{ {setting} = 'disabled' }}")
        try:
            yield
        finally:
            self.page.evaluate(f"(before) => {{ {setting} = before }}", before)

    def restart(self) -> None:
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.page.evaluate(WAIT_UNTIL_READY, STARTING_SECONDS)

    def send(self, widget: str, data: dict[str, object]) -> None:
        """Send a Python variable's widget what no view would send."""
        self.page.evaluate(SEND, [self.python(f"print({widget}.model_id)"), data])

    def set_theme(self, name: str) -> None:
        is_there = "(light) => document.body.dataset.jpThemeLight === light"
        light = str(name == "light").lower()
        if self.page.evaluate(is_there, light):
            return
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        self.page.wait_for_function(is_there, arg=light)

    def cells(self) -> list[int]:
        """How many cells there are, and which one is selected."""
        return self.page.evaluate(
            """() => {
              const notebook = jupyterapp.shell.currentWidget.content;
              return [notebook.widgets.length, notebook.activeCellIndex];
            }"""
        )


class Notebook7(Lab):
    """The same in Notebook 7, which the server of JupyterLab serves too."""

    tree = "notebooks"
    at_start = ()
