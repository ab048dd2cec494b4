"""JupyterLab in Chromium for what runs outside pytest: benchmarks, and the pictures of the README."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from conftest import FLAGS
from find_chromium import find_chromium
from lab import Lab, jupyter_server
from playwright.sync_api import sync_playwright


@contextmanager
def labs() -> Iterator[Callable[..., Lab]]:
    """A function that opens notebooks on one server: `open_lab(name, setup, density=2)`, as `Lab` takes them."""
    with (
        tempfile.TemporaryDirectory() as directory,
        jupyter_server(Path(directory), "http://127.0.0.1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield partial(Lab, browser, server)
        browser.close()
