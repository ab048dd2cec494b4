import pytest
from checks import screenshot
from contrast import hard_to_read
from playwright.sync_api import expect


def test_x(vscode):
    heatmap = vscode.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    editor = vscode.show("editor = hs.PromptPairEditor(model, pair)\neditor")
    expect(heatmap.locator('[data-hs="state"]')).to_have_attribute("data-status", "done")
    vscode.python("heatmap.selection={'layer':1,'position':5}")
    for t in ["dark", "light", "high-contrast", "high-contrast-light"]:
        vscode.set_theme(t)
        expect(editor).to_have_attribute("data-hs-theme", "light" if "light" in t else "dark")
        print(t, hard_to_read(heatmap))
        print(t, hard_to_read(editor))
    assert 0
