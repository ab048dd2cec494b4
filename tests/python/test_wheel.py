"""The wheel: built from the sources with fresh bundles, and enough by itself to show a widget."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hookscope as hs

ROOT = Path(__file__).parents[2]

SHOW = """
import hookscope as hs, interp_backend, sys
for package in (hs, interp_backend):
    assert package.__file__.startswith(sys.argv[1]), package.__file__
model = hs.load_model()
editor = hs.PromptPairEditor(model)
heatmap = hs.PatchHeatmap(model, editor)
assert editor.wait(60) and heatmap.wait(60)
assert heatmap.status == "done", heatmap.error
bundle, _ = heatmap._repr_mimebundle_()
assert "application/vnd.jupyter.widget-view+json" in bundle
assert len(heatmap._esm) > 1000
print(heatmap.save("map.html"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_bundles_examples_model_and_types_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names}
    assert packages == {"hookscope", "interp_backend", f"hookscope-{hs.__version__}.dist-info"}
    for needed in ("static/patch_heatmap.js", "static/prompt_pair_editor.js", "static/report.js", "py.typed"):
        assert f"hookscope/{needed}" in names
    assert {"interp_backend/pretrained/model.safetensors", "interp_backend/py.typed"} <= set(names)
    examples = {path.name for path in (ROOT / "examples").glob("*.ipynb")}
    assert {Path(name).name for name in names if name.startswith("hookscope/examples/")} == examples
    assert not [name for name in names if name.endswith((".map", ".ts", ".pyc", ".bin"))]


def test_the_wheel_alone_shows_a_widget(wheel, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW, str(site)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "map.html").stat().st_size > 10_000
