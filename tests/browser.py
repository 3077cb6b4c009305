"""A real browser for pages: Chromium without a window, driven by WebDriver (https://www.w3.org/TR/webdriver2).

Nothing is installed for it: where the machine has no `chromium` and `chromedriver`, `a_browser` gives None.
"""

from __future__ import annotations

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

_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
_STARTS_S = 20.0


@dataclass(frozen=True)
class Browser:
    address: str  # of the session

    def open(self, page: Path) -> None:
        self._post("url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """What the script returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def press(self, keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, selector: str) -> None:
        found = self._post("element", {"using": "css selector", "value": selector})
        self._post(f"element/{next(iter(found.values()))}/click", {})

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
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = _post_when_up(f"{root}/session", wanted)
        yield Browser(f"{root}/session/{session['sessionId']}")
        request = urllib.request.Request(f"{root}/session/{session['sessionId']}", method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()
    finally:
        process.terminate()
        process.wait(timeout=20)


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
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]
