"""A real browser for tests: Chromium, driven through chromedriver by the WebDriver protocol (W3C, June 2018)."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Right": "\ue014", "Delete": "\ue017"}


def missing() -> str | None:
    """Return what is not installed, as a reason to skip a test."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


class ScriptError(RuntimeError):
    """A script failed in the page."""


class Browser:
    """A browser with a profile of its own in `folder`, in a language such as `en-US`."""

    def __init__(self, folder: Path, language: str = "en-US") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._session = ""
        try:
            self._wait_for_driver()
            options = {
                "binary": shutil.which("chromium"),
                "args": [*_FLAGS, f"--user-data-dir={folder}"],
                "prefs": {"intl.accept_languages": language},
            }
            capabilities = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            self._session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and its driver."""
        if self._session:
            self._call("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait(10)

    def open(self, address: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._command("POST", "/url", {"url": address})

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in CSS pixels, as on a device of that size."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, theme: str) -> None:
        """Set the theme that the system prefers: `light` or `dark`."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def devtools(self, name: str, **parameters: Any) -> Any:
        """Run a command of Chromium's own protocol."""
        return self._command("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script: str) -> Any:
        """Return what a script returns in the page."""
        return self._command("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, condition: str, seconds: float = 10.0) -> Any:
        """Return the value of an expression in the page as soon as it is true.

        An expression that fails counts as not true yet: between two pages there is no `document.body`.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                value, failure = self.run(f"return {condition}"), None
            except ScriptError as error:
                value, failure = None, error
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {seconds:.0f} s: {condition}") from failure
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click an element."""
        self._command("POST", f"/element/{self._element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self._command("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def press(self, *names: str) -> None:
        """Press and release keys, one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": KEYS[name]} for name in names for kind in ("keyDown", "keyUp")]
        self._command("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def drag(self, selector: str, right: int, down: int) -> None:
        """Drag an element with the mouse by a number of CSS pixels."""
        origin = {_ELEMENT: self._element(selector)}
        actions = [
            {"type": "pointerMove", "duration": 0, "origin": origin, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 50, "origin": "pointer", "x": right, "y": down},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self._command("POST", "/actions", {"actions": [mouse]})

    def screenshot(self) -> bytes:
        """Return the whole page as PNG."""
        return base64.b64decode(self.devtools("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def console_errors(self) -> list[str]:
        """Return what the console of the browser has said since the last call, apart from plain notes."""
        entries = self._command("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def _element(self, selector: str) -> str:
        found = self._command("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def _command(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        return self._call(method, self._session + path, content)

    def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, None if content is None else json.dumps(content))
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            kind = ScriptError if value["error"] == "javascript error" else RuntimeError
            raise kind(f"{path}: {value['message']}")
        return value

    def _wait_for_driver(self) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("chromedriver does not answer")
