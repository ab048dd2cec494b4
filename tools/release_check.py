"""Check what is about to be released: build an sdist, and from it a wheel, and run the wheel in a clean environment.

    python tools/release_check.py [PYTHON ...]

Checks with each interpreter that is named, by default with the one that runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

MEASURED = """
import time
began = time.perf_counter()
import hookscope as hs
print(f"import hookscope {time.perf_counter() - began:.2f} s", end=", ")
assert hs.__version__ == "{version}", hs.__version__
hs.PromptPairEditor(hs.load_model())
print(f"first widget, with the embedded model, after {time.perf_counter() - began:.2f} s")
"""


def main() -> None:
    dist = Path(tempfile.mkdtemp())
    # `build` makes the wheel from the unpacked sdist, which has no node_modules: the sdist brings its bundles.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT, cwd=ROOT)
    (wheel,) = dist.glob("*.whl")
    version = wheel.name.split("-")[1]
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text("utf-8"):
        sys.exit(f"CHANGELOG.md has no section [{version}].")
    for python in sys.argv[1:] or [sys.executable]:
        check(python, wheel, version)
    print(f"\nSound: {', '.join(path.name for path in dist.iterdir())}, in {dist}")


def check(python: str, wheel: Path, version: str) -> None:
    """Install the wheel into a new environment of an interpreter, and run what it brings."""
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "venv", f"{folder}/venv", cwd=folder)
        bin = Path(folder) / "venv/bin"
        run(bin / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
        run(bin / "hookscope", "doctor", cwd=folder)
        run(bin / "hookscope", "demo", cwd=folder)
        for _ in range(2):  # the second time from compiled files
            run(bin / "python", "-c", MEASURED.replace("{version}", version), cwd=folder)


def run(*command: str | Path, cwd: str | Path) -> None:
    """Run a command outside the clone, so that it can see nothing of it; end the check if it fails."""
    print("\n$", *[word for word in command if "\n" not in str(word)], flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run([*map(str, command)], cwd=cwd, env=environment | {"HF_HUB_OFFLINE": "1"}).returncode:
        sys.exit(f"Failed: {command[0]}")


if __name__ == "__main__":
    main()
