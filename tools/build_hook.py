"""Hatchling's hook: what is released always carries bundles that were built for it, or is not made at all."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install reads static/ from the source tree, where `make setup` has just built it.
        if version == "editable":
            return
        root = Path(self.root)
        # An sdist (which has PKG-INFO) carries the bundles that were built for it, so that its users need no Node.
        if not (root / "PKG-INFO").is_file():
            build(root)
        bundles = json.loads((root / "js/bundles.json").read_text("utf-8"))
        names = [f"{name}.js" for name in (*bundles["views"], "report")]
        missing = [name for name in names if not (root / "widgets/hookscope/static" / name).is_file()]
        if missing:
            raise RuntimeError(f"The build left out {', '.join(missing)}; the package would show no widget.")
        if self.target_name == "wheel":  # where `hookscope lab` takes them from
            notebooks = {str(path): f"hookscope/examples/{path.name}" for path in root.glob("examples/*.ipynb")}
            build_data["force_include"].update(notebooks)


def build(root: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("Building Hookscope from a clone needs npm for the bundles: install Node 20 or newer.")
    if not (root / "node_modules").is_dir():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=root, check=True)
    subprocess.run([npm, "run", "build"], cwd=root, check=True)
