import pytest
from checks import screenshot
from playwright.sync_api import expect

def test_x(vscode):
    heatmap = vscode.show("heatmap = hs.PatchHeatmap(model, pair)\nheatmap")
    editor = vscode.show("editor = hs.PromptPairEditor(model, pair)\neditor")
    expect(heatmap.locator('[data-hs="state"]')).to_have_attribute("data-status", "done")
    for t in ["dark","light","high-contrast","high-contrast-light"]:
        vscode.set_theme(t)
        expect(editor).to_have_attribute("data-hs-theme", "light" if "light" in t else "dark")
        vscode.page.locator("body").screenshot(path=f"/work/main/build/screenshots/vs-{t}.png")
