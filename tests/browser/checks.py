"""What must hold on every page: no complaint in the console, readable, accessible, nothing wider than the page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


def complaints_of(page: Page) -> list[str]:
    """A list that grows with every error on the console and every exception that nothing caught."""
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def screenshot(what: Locator | Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    what.screenshot(path=SCREENSHOTS / f"{name}.png")


def axe_violations(view: Locator) -> list[str]:
    """What axe-core finds wrong in a view, one line for each kind and element."""
    view.page.evaluate(AXE.read_text("utf-8"))
    return view.evaluate(
        """async (view) => {
          const { violations } = await axe.run(view);
          const says = (node) => `${node.html.slice(0, 200)} ${node.any.map((check) => check.message).join(' ')}`;
          return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${says(node)}`));
        }"""
    )


def wider_than_its_page(page: Page) -> float:
    """By how many pixels one could scroll sideways."""
    return page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
