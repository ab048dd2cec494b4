"""Firefox, headless and without a network, driven by WebDriver BiDi: Playwright's Firefox is a download of its own."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websocket import WebSocket, create_connection

NAMES = ("firefox-esr", "firefox")
ON_MACOS = Path("/Applications/Firefox.app/Contents/MacOS/firefox")
SECONDS = 60  # to wait for what a page should show
READY = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
# A proxy that is not there: whatever the page, or Firefox itself, asks of a network fails.
OFFLINE = {
    "network.proxy.type": 1,
    **{f"network.proxy.{kind}": "127.0.0.1" for kind in ("http", "ssl", "socks")},
    **{f"network.proxy.{kind}_port": 9 for kind in ("http", "ssl", "socks")},
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
WATCHED = ["log.entryAdded", "network.beforeRequestSent", "browsingContext.userPromptOpened"]


def find_firefox() -> Path | None:
    """HOOKSCOPE_FIREFOX, else a Firefox of this machine."""
    chosen = os.environ.get("HOOKSCOPE_FIREFOX")
    if chosen:
        return Path(chosen)
    installed = [Path(path) for name in NAMES if (path := shutil.which(name))]
    return next((path for path in [*installed, ON_MACOS] if path.exists()), None)


class Firefox:
    """One page, and what was noticed on it.

    Attributes:
        events: the messages on its console, its requests and its dialogs, as BiDi's own objects.
    """

    def __init__(self, socket: WebSocket):
        self._socket, self._ids = socket, itertools.count(1)
        self.events: list[dict[str, Any]] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=WATCHED)
        self._context = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        id = next(self._ids)
        self._socket.send(json.dumps({"id": id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("type") == "event":
                self.events.append(message)
            elif message["id"] == id:
                assert message["type"] == "success", f"{method}: {message.get('message')}"
                return message["result"]

    def open(self, path: Path, width: int = 1100, height: int = 800) -> None:
        viewport = {"width": width, "height": height}
        self.call("browsingContext.setViewport", context=self._context, viewport=viewport)
        self.events.clear()
        self.call("browsingContext.navigate", context=self._context, url=path.as_uri(), wait="complete")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON; a promise is awaited."""
        wrapped = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        target = {"context": self._context}
        answer = self.call("script.evaluate", expression=wrapped, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer.get("exceptionDetails", {}).get("text")
        return json.loads(answer["result"]["value"])

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true; returns its value."""
        return self.value(
            f"""new Promise((resolve, reject) => {{
              const start = performance.now();
              const look = () => {{
                const value = {expression};
                if (value) resolve(value);
                else if (performance.now() - start < {SECONDS * 1000}) requestAnimationFrame(look);
                else reject(Error('waited in vain for ' + {json.dumps(expression)}));
              }};
              look();
            }})"""
        )

    def move(self, selector: str, x: float = 0.5, y: float = 0.5, click: bool = False) -> None:
        """Point at a place in an element, in shares of its size; and click there."""
        # Once it stands still: a page unpacks its data, and fits its views to its width, after it was loaded.
        at = self.wait_for(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              if (!element) return null;
              element.scrollIntoView({{ block: 'center' }});
              const box = element.getBoundingClientRect();
              const now = [box.x, box.y, box.width, box.height];
              const still = box.width > 0 && String(window.before) === String(now);
              window.before = now;
              return still && [box.x + {x} * box.width, box.y + {y} * box.height].map(Math.round);
            }})()"""
        )
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "x": at[0], "y": at[1]}]
        if click:
            actions += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        source = {"type": "pointer", "id": "mouse", "actions": actions}
        self.call("input.performActions", context=self._context, actions=[source])

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        self.move(selector, x, y, click=True)

    def choose(self, selector: str, label: str) -> None:
        """Choose an entry of a menu by what it begins with."""
        self.value(
            f"""(() => {{
              const menu = document.querySelector({json.dumps(selector)});
              const entries = [...menu.options].map((entry) => entry.textContent);
              menu.selectedIndex = entries.findIndex((text) => text.startsWith({json.dumps(label)}));
              menu.dispatchEvent(new Event('change', {{ bubbles: true }}));
            }})()"""
        )

    def complaints(self, saved: Path) -> list[str]:
        """Errors on the console, dialogs, and requests beside that for the page itself, since it was opened."""
        found = []
        for event in self.events:
            said, method = event["params"], event["method"]
            # Firefox itself loads an empty font, from a data: address, which asks nobody.
            url = said["request"]["url"] if method == "network.beforeRequestSent" else ""
            if url and url != saved.as_uri() and not url.startswith("data:"):
                found.append(f"request {url:.200}")
            elif method == "log.entryAdded" and said["level"] in ("error", "warn"):
                found.append(f"{said['level']} {said['text']}")
            elif method == "browsingContext.userPromptOpened":
                found.append(f"dialog {said['message']}")
        return found

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = self.call("browsingContext.captureScreenshot", context=self._context, origin="document")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def firefox(program: Path, profile: Path) -> Iterator[Firefox]:
    """A Firefox with a profile of its own, an empty folder."""
    prefs = "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in OFFLINE.items())
    (profile / "user.js").write_text(prefs, encoding="utf-8")
    command = [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr
        try:
            address = next((found[1] for line in process.stderr if (found := READY.search(line))), None)
            assert address, "Firefox ended before it could be driven."
            socket = create_connection(f"{address}/session", timeout=SECONDS + 10, suppress_origin=True)
            yield Firefox(socket)
            socket.close()
        finally:
            process.terminate()
