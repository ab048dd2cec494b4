"""Where Chromium is. `python tests/browser/find_chromium.py` installs Playwright's own where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ON_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_chromium() -> Path | None:
    """HOOKSCOPE_CHROMIUM, else a Chromium or Chrome of this machine, else the one that Playwright has installed."""
    chosen = os.environ.get("HOOKSCOPE_CHROMIUM")
    if chosen:
        return Path(chosen)
    installed = [Path(path) for name in NAMES if (path := shutil.which(name))]
    for path in [*installed, ON_MACOS]:
        if path.exists():
            return path
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def main() -> None:
    if find_chromium() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    print(find_chromium())


if __name__ == "__main__":
    main()
