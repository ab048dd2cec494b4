"""The patch heatmap in JupyterLab, with a kernel and the embedded model."""

import pytest
from checks import axe_violations, screenshot
from lab import Lab
from playwright.sync_api import Locator, expect


@pytest.fixture(scope="module")
def heatmap(notebook: Lab) -> Locator:
    return notebook.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")


def test_first_sweep(lab, heatmap):
    expect(heatmap.locator('[data-hs="state"]')).to_have_attribute("data-status", "done")
    screenshot(heatmap, "x")
    screenshot(lab.page, "y")
    lab.set_theme("dark")
    screenshot(heatmap, "x-dark")
    assert axe_violations(heatmap) == []
