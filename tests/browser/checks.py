"""What must hold on every page: no complaint in the console, readable, accessible, nothing wider than the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

# A page tells of what its policy stopped only to those who listened before it began.
LISTEN = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective))"


def complaints_of(page: Page) -> list[str]:
    """A list that grows with every error on the console and every exception that nothing caught."""
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


@contextmanager
def offline_page(browser: Browser, saved: Path, width: int = 1100) -> Iterator[Page]:
    """A saved page in a browser without a network. By the end it has loaded nothing else, without an error."""
    context = browser.new_context(offline=True, viewport={"width": width, "height": 800}, device_scale_factor=2)
    page = context.new_page()
    page.add_init_script(LISTEN)
    complaints = complaints_of(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.goto(saved.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert requests == [saved.as_uri()]
    assert complaints == []


def screenshot(what: Locator | Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    what.screenshot(path=SCREENSHOTS / f"{name}.png")


def axe_violations(view: Locator) -> list[str]:
    """What axe-core finds wrong in a view, one line for each kind and element."""
    if not view.page.evaluate("() => 'axe' in window"):
        view.page.evaluate(AXE.read_text("utf-8"))
    return view.evaluate(
        """async (view) => {
          const { violations } = await axe.run(view);
          const says = (node) => `${node.html.slice(0, 200)} ${node.any.map((check) => check.message).join(' ')}`;
          return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${says(node)}`));
        }"""
    )


def expect_no_sideways_scrolling(page: Page, width: int = 400) -> None:
    """Make the page narrow, and wait until everything on it fits."""
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        """(width) => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return innerWidth === width && scrollWidth <= clientWidth;
        }""",
        arg=width,
    )
