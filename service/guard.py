"""Who may talk to the daemon: a bearer token, or loopback with a look at the Host and Origin headers.

Without a token only this machine's own programs are meant. A page in the browser could still reach a loopback port - by
a name that resolves to it, or by posting a form - so requests whose Host or Origin is no loopback name are refused.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems
from service.callers import ENVIRONMENT, LOOPBACK
from service.metrics import Metrics

OPEN_PATHS = frozenset({"/healthz"})

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether the address or name means this machine only."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware: lets a request in or answers it, and counts it by its route, never by its words."""

    def __init__(self, app: ASGIApp, *, token: str, metrics: Metrics) -> None:
        self._app = app
        self._token = token
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, has_begun = time.monotonic(), 500, False

        async def counting_send(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
            await send(message)

        scope.setdefault("state", {})["caller"] = ENVIRONMENT if self._token else LOOPBACK
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, counting_send)
            else:
                headers = {"WWW-Authenticate": "Bearer"} if refusal["status"] == 401 else None
                await problems.response(refusal, headers)(scope, receive, counting_send)
        except Exception as error:  # the last catch: without words in the log, and the daemon goes on
            problems.log_unexpected(error)
            if not has_begun:
                await problems.response(problems.problem(error))(scope, receive, counting_send)
        finally:
            self._record(scope, status, time.monotonic() - started)

    def _refusal(self, scope: Scope) -> dict[str, Any] | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN_PATHS:
            return None
        if self._token:
            given = headers.get("authorization", "")
            if hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return None
            return problems.body(401, "give the daemon's token as `Authorization: Bearer TOKEN`")
        origin = headers.get("origin")
        if not is_loopback(_name(headers.get("host", ""))) or (
            origin is not None and not is_loopback(_name(re.sub(r"^[a-z]+://", "", origin)))
        ):
            return problems.body(403, "without a token only this machine is served, under a loopback name")
        return None

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.count("slowwave_requests_total", route=route, status=status)
        log.info("%s %s %d %.0f ms", scope["method"], route, status, seconds * 1000)


def _name(host: str) -> str:
    """The host without its port."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::\d+)?", host)
    return match[1] if match else ""
