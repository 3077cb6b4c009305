"""A real browser for pages: Chromium without a window, driven by WebDriver (https://www.w3.org/TR/webdriver2).

Nothing is installed for it: where the machine has no `chromium` and `chromedriver`, `a_browser` gives None.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_STARTS_S = 90.0
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"  # as WebDriver names keys


@dataclass(frozen=True)
class Browser:
    address: str  # of the session

    def open(self, page: Path | str) -> None:
        self._post("url", {"url": page if isinstance(page, str) else page.as_uri()})

    def reload(self) -> None:
        self._post("refresh", {})

    def run(self, script: str, *given: Any) -> Any:
        """What the script returns; `given` are its `arguments`. A promise is waited for."""
        return self._post("execute/sync", {"script": script, "args": list(given)})

    def wait(self, condition: str, *given: Any, seconds: float = 90.0) -> Any:
        """What the expression is once it is true."""
        until = time.monotonic() + seconds
        while not (found := self.run(f"return {condition}", *given)):
            if time.monotonic() > until:
                raise TimeoutError(f"not true after {seconds:.0f} s: {condition}")
            time.sleep(0.04)
        return found

    def look(self, *, width: int, height: int, is_dark: bool) -> None:
        """The size of the window in CSS pixels, a phone's as well, and the colours that the user prefers."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700},
        )
        colours = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [colours]})

    def picture(self, path: Path) -> Path:
        """The whole page as a PNG file."""
        taken = self._devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": False})
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def console(self) -> list[str]:
        """Warnings and errors of the console since it was last asked for."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] != "INFO"]

    def requests(self) -> list[str]:
        """The address of every request since it was last asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def press(self, keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, selector: str) -> None:
        found = self._post("element", {"using": "css selector", "value": selector})
        self._post(f"element/{next(iter(found.values()))}/click", {})

    def write(self, selector: str, text: str) -> None:
        found = self._post("element", {"using": "css selector", "value": selector})
        self._post(f"element/{next(iter(found.values()))}/value", {"text": text})

    def _log(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._post("se/log", {"type": kind})
        return found

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _post(f"{self.address}/{path}", body)


@contextmanager
def a_browser(downloads: Path, arguments: Sequence[str] = _ARGUMENTS) -> Iterator[Browser | None]:
    """What a page saves goes into the folder `downloads`."""
    driver, program = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        root = f"http://127.0.0.1:{port}"
        options = {
            "binary": program,
            "args": list(arguments),
            "prefs": {"download.default_directory": str(downloads)},
        }
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": logs}}}
        session = _post_when_up(f"{root}/session", wanted)
        yield Browser(f"{root}/session/{session['sessionId']}")
        request = urllib.request.Request(f"{root}/session/{session['sessionId']}", method="DELETE")
        urllib.request.urlopen(request, timeout=90).close()
    finally:
        process.terminate()
        process.wait(timeout=90)


def _post_when_up(address: str, body: dict[str, Any]) -> Any:
    until = time.monotonic() + _STARTS_S
    while True:
        try:
            return _post(address, body)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _post(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        address, json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]
