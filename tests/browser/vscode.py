"""A VS Code notebook without VS Code: the widget manager of its notebook webview, in a page, with a real kernel.

`vscode/package.json` replaces what `@vscode/jupyter-ipywidgets8` says it depends on by a package of one function:
all of it is bundled in its one file, and the tree that it names does not install.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from checks import ROOT, complaints_of
from lab import KERNEL_SECONDS, JupyterServer, Notebook, until_there_is
from playwright.sync_api import Browser, Error, Locator

PARTS = Path(__file__).parent / "vscode"
MODULES = PARTS / "node_modules"

# The variables of VS Code's own themes that a widget may use, by the classes of the page's body.
THEMES = {
    "dark": ("vscode-dark", "#1f1f1f #cccccc #0078d4 #313131 #0078d4 #9d9d9d #f85149"),
    "light": ("vscode-light", "#ffffff #3b3b3b #005fb8 #ffffff #005fb8 #3b3b3b #f85149"),
    "high-contrast": (
        "vscode-high-contrast",
        "#000000 #ffffff #000000 #000000 #f38518 rgba(255,255,255,.7) #f48771 #6fc3df",
    ),
    "high-contrast-light": (
        "vscode-high-contrast-light vscode-high-contrast",
        "#ffffff #292929 #0f4a85 #ffffff #006bbd rgba(41,41,41,.7) #b5200d #0f4a85",
    ),
}
VARIABLES = (
    *("editor-background", "editor-foreground", "button-background", "input-background"),
    *("focusBorder", "descriptionForeground", "errorForeground", "contrastBorder"),
)


def install_parts() -> None:
    """From npm, once; the lock file says exactly what."""
    done = MODULES / ".package-lock.json"
    lock = PARTS / "package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=PARTS, check=True)


@contextmanager
def webview_server(directory: Path) -> Iterator[str]:
    """Serves the page and its scripts; yields its origin. The scripts have to be there once a page asks for them."""
    files = {
        "/": PARTS / "webview.html",
        "/harness.js": directory / "harness.js",
        "/require.js": MODULES / "requirejs" / "require.js",
        "/jquery.js": MODULES / "jquery" / "dist" / "jquery.js",
        "/ipywidgets.js": MODULES / "@vscode" / "jupyter-ipywidgets8" / "dist" / "ipywidgets.js",
    }

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            if path.startswith("/nbextensions/") and ".." not in path:
                return str(Path(sys.prefix, "share", "jupyter", path[1:]))
            return str(files.get(path, directory / "nothing"))

        def log_message(self, *_: Any) -> None:
            """The browser's console says what is missing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def build_harness(directory: Path) -> None:
    esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--format=esm", "--external:/ipywidgets.js", "--log-level=warning"]
    command = [esbuild, "harness.js", *options, f"--outfile={directory / 'harness.js'}"]
    subprocess.run(command, cwd=PARTS, check=True)


class Webview(Notebook):
    """The outputs of a notebook in VS Code, each below the other."""

    def __init__(self, browser: Browser, origin: str, server: JupyterServer, setup: str) -> None:
        self.page = browser.new_page(viewport={"width": 1100, "height": 1400}, device_scale_factor=2)
        self.page.set_default_timeout(KERNEL_SECONDS * 1000)
        self.complaints = complaints_of(self.page)
        self._shown = 0
        self.page.goto(origin)
        self.set_theme("dark")
        self.page.wait_for_function("() => window.harness")
        try:
            self._start(server, setup)
        except Error as problem:
            if "Kernel is dead" not in str(problem):
                raise
            self._start(server, setup)  # it found one of its ports taken in the meantime

    def _start(self, server: JupyterServer, setup: str) -> None:
        self.page.evaluate("([url, token]) => harness.start(url, token)", [server.url, server.token])
        self.python(setup)

    def python(self, code: str) -> str:
        return self.page.evaluate("([code, seconds]) => harness.execute(code, seconds)", [code, KERNEL_SECONDS])

    @contextmanager
    def busy(self, over: Path) -> Iterator[None]:
        """While a cell runs; `over` is a file that is not there yet."""
        self.page.evaluate("(code) => harness.begin(code)", until_there_is(over))
        try:
            yield
        finally:
            over.touch()

    def show(self, code: str) -> Locator:
        """Run code in a cell of its own; returns the widget that it shows."""
        self._shown += 1
        output = f"shown-{self._shown}"
        self.page.evaluate(
            """async ([code, seconds, id]) => {
              const output = document.createElement('div');
              output.className = 'cell-output-ipywidget-background';
              output.id = id;
              document.body.append(output);
              await harness.execute(code, seconds, output);
            }""",
            [code, KERNEL_SECONDS, output],
        )
        widget = self.page.locator(f"#{output} .hs-root")
        widget.wait_for()
        return widget

    def set_theme(self, name: str) -> None:
        classes, values = THEMES[name]
        self.page.evaluate(
            """([classes, variables]) => {
              document.documentElement.removeAttribute('style');
              for (const [name, value] of variables) document.documentElement.style.setProperty(name, value);
              document.body.className = classes;
            }""",
            [classes, [[f"--vscode-{name}", value] for name, value in zip(VARIABLES, values.split())]],
        )
