"""Nothing holds a widget that was closed and deleted, nor its model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from closed_widgets import KINDS, alive_after_close
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]

IN_A_KERNEL = """
from closed_widgets import KINDS, alive_after_close
from IPython.display import display

for kind in KINDS:
    print(kind, alive_after_close(kind, display))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_widget_is_freed_with_its_model(kind):
    assert alive_after_close(kind) == []


def test_a_closed_widget_is_freed_with_its_model_in_a_kernel():
    """There it has been displayed, and the kernel and ipywidgets have registered it."""
    manager = KernelManager(kernel_name="python3")
    path = os.pathsep.join([str(ROOT), str(ROOT / "widgets"), str(ROOT / "tests/python")])
    manager.start_kernel(env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"})
    client = manager.blocking_client()
    printed: list[str] = []
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        reply = client.execute_interactive(
            IN_A_KERNEL,
            timeout=300,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    assert [line for line in "".join(printed).splitlines() if line] == [f"{kind} []" for kind in KINDS]
