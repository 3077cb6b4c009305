"""The guard before every route: who asks, from where, how often and how much; what was done goes on record.

A stream of events is on record at its end: as what its last event says, or `left` where its listener went before.

In order: the address and the headers are of a size (`limits`), the request comes from no foreign page and under no foreign
name (`origins`), somebody is behind it (`tokens`, `logins`, or a program of this machine), they ask no more than they may
(`limits`). What a route asks for is in `scopes`. The log gets routes, codes and times: no address, no token, no words.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory import audit
from service import problems
from service.access import limits, origins, scopes, tokens
from service.access.callers import ENVIRONMENT, LOOPBACK, Caller
from service.access.limits import Buckets
from service.access.logins import Logins
from service.access.origins import Refusal, is_loopback
from service.access.recording import Recorder
from service.spaces import Spaces

# served to anybody, before it is known who asks
_OPEN = frozenset({"/", "/healthz", "/readyz", "/favicon.ico", "/v1/login", "/v1/logout"})
_OPEN_FOLDER = "/page/"
_MOUNTED = "/mcp"  # is no route, and asks for `read` as a whole
_NEEDS_TOKEN = "give a token as `Authorization: Bearer TOKEN`; `slowwave token add` makes one"

log = logging.getLogger(__name__)


@dataclass
class Gate:
    """Who is let in: what the guard and the routes about tokens share."""

    spaces: Spaces
    token: str = ""  # of the environment
    used: dict[str, datetime] = field(default_factory=dict)  # tokens since they were last written down

    def __post_init__(self) -> None:
        serve = self.spaces.settings.serve
        self.recorder = Recorder(self.spaces.database, self.spaces.clock)
        self.logins = Logins(serve.login_hours, self.spaces.clock)
        self.needs_token = bool(self.token) or serve.token_required or not is_loopback(serve.host)
        self.names = {part.strip().lower() for part in serve.hosts.split(",")} - {""}
        bound = serve.limits
        self.rate = Buckets(bound.requests_per_s, bound.burst)
        self.failures = Buckets(bound.failures_per_minute / 60, bound.failures_per_minute)

    def caller_of(self, sha256: str) -> Caller | None:
        """Who has the token of that hash. Asks the store."""
        if self.token and sha256 == tokens.sha256_of(self.token):
            return ENVIRONMENT
        now = self.spaces.clock()
        found = tokens.find(self.spaces.database, sha256, now)
        if found is not None and found.token is not None:
            self.used[found.token] = now
        return found

    def write_down_uses(self) -> None:
        used, self.used = self.used, {}
        tokens.were_used(self.spaces.database, used)


class Guard:
    """ASGI middleware: lets a request in or answers it, counts it by its route, and records what it changed."""

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self._settings = gate.spaces.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._serve(scope, receive, _Answer(self._gate, scope, send))

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        state = scope.setdefault("state", {})
        state["caller"], state["gate"] = None, self._gate
        try:
            refusal = await self._refusal(scope)
            if refusal is None:
                await self._app(scope, limits.bounded(scope, receive, self._settings), answer.send)
            else:
                await answer.refuse(refusal.status, refusal.detail, dict(refusal.headers))
        except HTTPException as error:  # of what was mounted, and of a body that is announced too large
            await answer.refuse(error.status_code, str(error.detail), dict(error.headers or {}))
        except Exception as error:  # the last catch: without words in the log, and the daemon goes on
            problems.log_unexpected(error)
            await answer.tell(problems.problem(error))
        finally:
            await answer.end()
            answer.log()

    async def _refusal(self, scope: Scope) -> Refusal | None:
        serve = self._settings.serve
        too_large = limits.oversized(scope, serve.limits)
        if too_large is not None:
            return Refusal(*too_large)
        headers, method = Headers(scope=scope), scope["method"]
        has_bearer = "authorization" in headers
        refusal = self._foreign_name(headers) or (None if has_bearer else origins.other_page(headers, method))
        return refusal or await self._identify(scope, headers)

    def _foreign_name(self, headers: Headers) -> Refusal | None:
        """Where no token is asked for, or names are listed, a request is believed under those names only."""
        name, known = origins.host_name(headers.get("host", "")), self._gate.names
        if is_loopback(name) or name in known or (self._gate.needs_token and not known):
            return None
        said = "this machine is served, under a loopback name" if not known else "listed names are served"
        return Refusal(403, f"only {said}; add others to serve.hosts")

    async def _identify(self, scope: Scope, headers: Headers) -> Refusal | None:
        gate, state, address = self._gate, scope["state"], address_of(scope)
        sha256 = _presented(headers, gate.logins)
        if sha256 is not None:
            caller = await run_in_threadpool(gate.caller_of, sha256)
            if caller is None and not _is_open(scope["path"]):
                wait_s = gate.failures.take(address)
                return slow_down(wait_s) if wait_s else _unknown(f"this token is not valid; {_NEEDS_TOKEN}")
            state["caller"] = caller if "authorization" in headers or caller is None else _by_cookie(caller)
        elif self._is_own_program(headers):
            state["caller"] = LOOPBACK
            return None
        elif not _is_open(scope["path"]):
            return _unknown(_NEEDS_TOKEN)
        caller = state["caller"]
        if caller is not None and scope["path"].startswith(_MOUNTED) and not caller.may(scopes.READ):
            return Refusal(403, "this needs a token with the scope read")
        wait_s = gate.rate.take(f"{caller.token or caller.via if caller else ''} {address}")
        return slow_down(wait_s) if wait_s else None

    def _is_own_program(self, headers: Headers) -> bool:
        """Whether no token is needed: the daemon listens to this machine alone, and nobody passes requests on to it."""
        is_own = is_loopback(origins.host_name(headers.get("host", ""))) and not origins.is_passed_on(headers)
        return is_own and not self._gate.needs_token


class _Answer:
    """An answer on its way: gets its headers, and is sent once what it acknowledges is on record."""

    def __init__(self, gate: Gate, scope: Scope, send: Send) -> None:
        self._gate, self._scope, self._send = gate, scope, send
        self._began = time.monotonic()
        self._status, self._has_begun = 500, False
        self._is_streaming = False  # events, of which the last says how it ended
        self._outcome = 200

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._has_begun = message["status"], True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            origins.protect(headers, self._scope["path"])
            self._outcome = self._status
            self._is_streaming = headers.get("content-type", "").startswith("text/event-stream")
            if not self._is_streaming:
                await self._record(str(self._outcome))
        elif self._is_streaming:
            self._outcome = _told(message.get("body", b"")) or self._outcome
            if not message.get("more_body", False):
                self._is_streaming = False
                await self._record(str(self._outcome))
        await self._send(message)

    async def refuse(self, status: int, detail: str, headers: dict[str, str]) -> None:
        await self.tell(problems.body(status, detail), headers)

    async def tell(self, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """A problem, unless the answer has begun already."""
        if not self._has_begun:
            await problems.response(content, headers)(self._scope, _nothing, self.send)

    async def end(self) -> None:
        """Put on record what nobody heard out."""
        if self._is_streaming:
            with CancelScope(shield=True):
                await self._record("left")

    def log(self) -> None:
        route = getattr(self._scope.get("route"), "path", "other")
        seconds = time.monotonic() - self._began
        self._gate.spaces.metrics.request(route, self._status, seconds)
        log.info("%s %s %d %.0f ms", self._scope["method"], route, self._status, seconds * 1000)

    async def _record(self, outcome: str) -> None:
        caller: Caller | None = self._scope["state"]["caller"]
        route = f"{self._scope['method']} {getattr(self._scope.get('route'), 'path', '')}"
        is_plan = self._scope["state"].get("is_plan", False) and outcome == "200"
        if caller is None or is_plan or not scopes.is_recorded(route):
            return
        act = audit.Act(
            caller.via,
            route,
            outcome,
            caller.token,
            self._scope["state"].get("space_id"),
            audit.only_ids(self._scope.get("path_params", {})),
        )
        try:
            await self._gate.recorder.record(act)
        except (
            Exception
        ) as error:  # what was done is done; that it is not on record is said where somebody looks
            log.error("an act is not on record: %s", type(error).__name__)


def _told(part: bytes) -> int | None:
    """The status of the problem that ends a stream."""
    if not part.startswith(b"event: problem\n"):
        return None
    return int(json.loads(part.partition(b"data: ")[2])["status"])


def _presented(headers: Headers, logins: Logins) -> str | None:
    """The hash of the token that a request brings, in its header or by a login; an unknown login is none."""
    given = headers.get("authorization")
    if given is None:
        return logins.token_of(headers.get("cookie", ""))
    scheme, _, secret = given.partition(" ")
    return tokens.sha256_of(secret.strip() if scheme.lower() == "bearer" else "")


def _by_cookie(caller: Caller) -> Caller:
    return Caller("cookie", caller.scopes, caller.space, caller.token, caller.name)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def address_of(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def slow_down(wait_s: float) -> Refusal:
    seconds = max(1, math.ceil(wait_s))
    return Refusal(429, f"too many requests; come again in {seconds} s", {"Retry-After": str(seconds)})


def _unknown(detail: str) -> Refusal:
    return Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
