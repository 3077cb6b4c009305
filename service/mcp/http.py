"""MCP over HTTP: our own tools at `/mcp`, those of the MCP memory server at `/mcp/memory`.

Behind the guard like every route: a token's space and scopes are those of its requests. No session is kept between
requests, so that nobody can take one over and a daemon that was started anew goes on; nothing is pushed, and a request to
listen is refused as the protocol provides for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.access.callers import Caller
from service.http.given import space_of
from service.mcp.memory import memory_server
from service.mcp.server import Context, Reach, own_server
from service.spaces import App, Spaces

MAX_BODY = 4 << 20  # bytes of one call


class Endpoint:
    """One server at one path; an ASGI application. Serves while `running`."""

    def __init__(self, path: str, server: Server[Any], spaces: Spaces) -> None:
        self.route = Route(path, self, include_in_schema=False)
        self._sessions = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=MAX_BODY)
        self._spaces = spaces

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._sessions.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.route  # by which the guard counts it
        if scope["method"] != "POST":
            refused = Response("post a request: no session is kept here", 405, {"Allow": "POST"})
            await refused(scope, receive, send)
            return
        request = Request(scope)
        name = space_of(request, request.state.caller) or self._spaces.default
        if not self._spaces.is_open(name):
            await run_in_threadpool(_open, self._spaces, name)
        request.state.space = name
        await self._sessions.handle_request(scope, receive, send)


class Endpoints:
    """Every MCP server of the daemon."""

    def __init__(self, spaces: Spaces, servers: Mapping[str, Server[Any]] | None = None) -> None:
        reach = reach_in(spaces)
        every = servers or {"/mcp": own_server(reach), "/mcp/memory": memory_server(reach)}
        self._endpoints = [Endpoint(path, server, spaces) for path, server in every.items()]

    @property
    def routes(self) -> list[Route]:
        return [endpoint.route for endpoint in self._endpoints]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for endpoint in self._endpoints:
                await stack.enter_async_context(endpoint.running())
            yield


def reach_in(spaces: Spaces) -> Reach:
    """The space and the caller of a request, as the guard found them."""

    @contextmanager
    def reach(context: Context) -> Iterator[tuple[App, Caller]]:
        assert context.request is not None  # over HTTP there is one
        state = context.request.state
        with spaces.use(state.space) as app:
            yield app, state.caller

    return reach


def _open(spaces: Spaces, name: str) -> None:
    with spaces.use(name):
        pass
