"""Where Chromium is. `python tests/browser/find_chromium.py` installs one where there is none: from the machine's
package manager, else Playwright's own."""

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
    if find_chromium() is None and not install_from_packages():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    print(find_chromium())


def install_from_packages() -> bool:
    """Have this machine's package manager install Chromium, where that needs no password. True if there is one now."""
    if shutil.which("apt-get") is None:
        return False
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]):
        try:
            subprocess.run([*root, *command], check=True, stdout=subprocess.DEVNULL)
        except (subprocess.CalledProcessError, FileNotFoundError):
            return False
    return find_chromium() is not None


if __name__ == "__main__":
    main()
