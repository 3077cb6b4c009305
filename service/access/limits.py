"""How much one caller may ask: token buckets, and bodies that end in time and are not too large."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from service.settings import LimitSettings, Settings

MAX_KEYS = 10_000  # whose buckets are remembered
# where whole files are sent, and streams of them
UPLOADS = ("/v1/load", "/v1/imports", "/v1/uploads")
_CLOSE = {"Connection": "close"}  # the rest of the body is not read


class Buckets:
    """A token bucket for each key: `rate` a second, `burst` at once. Safe for threads; the oldest keys are forgotten."""

    def __init__(self, rate: float, burst: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._monotonic = rate, max(1.0, burst), monotonic
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """0.0 where one more may pass, else the seconds until then. A rate of 0 lets everything pass."""
        if self._rate <= 0:
            return 0.0
        with self._lock:
            now = self._monotonic()
            level, at = self._levels.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._rate)
            is_let = level >= 1.0
            self._levels[key] = (level - 1.0 if is_let else level, now)
            if len(self._levels) > MAX_KEYS:
                self._levels.popitem(last=False)
            return 0.0 if is_let else (1.0 - level) / self._rate


def oversized(scope: Scope, limits: LimitSettings) -> tuple[int, str] | None:
    """Status and reason where the address or the headers of a request are too long."""
    if 0 < limits.url_chars < len(scope["raw_path"] or scope["path"].encode()) + len(scope["query_string"]):
        return 414, f"the address is longer than {limits.url_chars} characters; send long texts in the body"
    headers = scope["headers"]
    if 0 < limits.headers < len(headers):
        return 431, f"a request has up to {limits.headers} headers here"
    if 0 < 1024 * limits.headers_kb < sum(len(name) + len(value) for name, value in headers):
        return 431, f"the headers of a request come to {limits.headers_kb} kB at most"
    return None


def bounded(scope: Scope, receive: Receive, settings: Settings) -> Receive:
    """`receive` that counts the body as it comes and gives up on one that is too large (413) or too slow (408)."""
    limits = settings.serve.limits
    if scope["path"].startswith(UPLOADS):
        body = _Body(limits, settings.imports.max_upload_mb << 20, "imports.max_upload_mb")
    else:
        body = _Body(limits, limits.body_kb << 10, "serve.limits.body_kb")

    async def bounded_receive() -> Message:
        if body.is_whole:  # what comes now is the end of the connection, whenever that is
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), body.patience_s())
        except TimeoutError as error:
            detail = f"the body came slower than {limits.body_kb_per_s:g} kB a second; send it again"
            raise HTTPException(408, detail, _CLOSE) from error
        body.take(message)
        return message

    body.check(_announced(scope))
    return bounded_receive


class _Body:
    """A body on its way."""

    def __init__(self, limits: LimitSettings, allowed: int, setting: str) -> None:
        self._limits, self._allowed, self._setting = limits, allowed, setting
        self._size, self._begun = 0, time.monotonic()
        self.is_whole = False

    def patience_s(self) -> float | None:
        """How long to wait for the next piece: never beyond the moment when so much should be there."""
        wait, rate = self._limits.body_wait_s, 1024 * self._limits.body_kb_per_s
        if wait <= 0:
            return None
        if rate <= 0:
            return wait
        due = self._begun + wait + self._size / rate
        return max(0.001, min(wait, due - time.monotonic()))

    def take(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        self.check(self._size)

    def check(self, size: int) -> None:
        if 0 < self._allowed < size:
            shown = f"the body is larger than {self._allowed >> 10} kB"
            raise HTTPException(413, f"{shown}; send less, or raise {self._setting}", _CLOSE)


def _announced(scope: Scope) -> int:
    """What the header says of the body's size; what it does not say is counted."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:19])
    return 0
