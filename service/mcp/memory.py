"""The MCP memory server on a space: its nine tools and its resource, with the same schemas and the same answers."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import anyio.to_thread
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from memory.entities.store import EntityStore
from memory.errors import UnknownEntity
from service import problems
from service.access.callers import Caller
from service.entrances.audit import record_tool
from service.errors import EXPECTED, one_line
from service.mcp import memory_calls, memory_interface
from service.mcp.memory_interface import RESOURCE, BadCall
from service.mcp.server import Context, Reach, bare_server
from service.spaces import App

_SHOWN = types.Resource(
    uri=RESOURCE,
    name="knowledge-graph",
    title="Knowledge Graph",
    description="The full knowledge graph with all entities and relations",
    mime_type="application/json",
)


class Stores:
    """The entities of each space, kept in memory between calls. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[str, EntityStore] = {}

    def of(self, app: App) -> EntityStore:
        services = app.services
        with self._lock:
            if services.space_id not in self._stores:
                self._stores[services.space_id] = EntityStore(
                    services.database, services.space_id, services.registry, clock=services.clock
                )
            return self._stores[services.space_id]


def memory_server(reach: Reach, *, is_exact: bool = False, can_push: bool = False) -> Server[Any]:
    """`is_exact`: search by words alone. `can_push`: whoever subscribes to the graph hears of its changes."""
    stores = Stores()
    listening: set[str] = set()

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(memory_interface.tools().values()))

    async def call_tool(context: Context, asked: types.CallToolRequestParams) -> dict[str, Any]:
        given = {} if asked.arguments is None else asked.arguments
        work = partial(_call, reach, context, stores, asked.name, given, is_exact)
        result = await anyio.to_thread.run_sync(work)
        if asked.name in memory_calls.CHANGES and RESOURCE in listening and "isError" not in result:
            await context.session.send_resource_updated(RESOURCE)
        return result

    async def list_resources(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[_SHOWN])

    async def list_templates(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[])

    async def read(context: Context, asked: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if str(asked.uri) != RESOURCE:
            raise MCPError(types.INVALID_PARAMS, f"MCP error -32602: Resource {asked.uri} not found")
        work = partial(_call, reach, context, stores, "read_graph", {}, is_exact)
        result = await anyio.to_thread.run_sync(work)
        text = result["content"][0]["text"]
        if "isError" in result:
            raise MCPError(types.INVALID_REQUEST, text)
        shown = types.TextResourceContents(uri=RESOURCE, mime_type="application/json", text=text)
        return types.ReadResourceResult(contents=[shown])

    async def subscribe(_: Context, asked: types.SubscribeRequestParams) -> types.EmptyResult:
        listening.add(str(asked.uri))
        return types.EmptyResult()

    async def unsubscribe(_: Context, asked: types.UnsubscribeRequestParams) -> types.EmptyResult:
        listening.discard(str(asked.uri))
        return types.EmptyResult()

    push = {"on_subscribe_resource": subscribe, "on_unsubscribe_resource": unsubscribe} if can_push else {}
    return bare_server(
        "slowwave memory",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read,
        **push,
    )


def _call(
    reach: Reach, context: Context, stores: Stores, name: str, given: dict[str, Any], is_exact: bool
) -> dict[str, Any]:
    """The answer as the memory server words it, also where it refuses."""
    try:
        memory_interface.check(name, given)
        with reach(context) as (app, caller):
            scope = "write" if name in memory_calls.CHANGES else "read"
            if not caller.may(scope):
                if scope != "read":
                    record_tool(app, caller, name, "failed")
                return _refused(f"this token may not {scope}; ask whoever keeps the daemon for one that may")
            if scope == "read":
                return _answered(*_said(app, stores.of(app), name, given, is_exact))
            return _answered(*_changed(app, caller, stores.of(app), name, given))
    except (BadCall, UnknownEntity) as error:
        return _refused(str(error))
    except EXPECTED as error:
        return _refused(one_line(error))
    except Exception as error:  # the connection goes on; words stay out of the log and of the answer
        problems.log_unexpected(error)
        return _refused("something went wrong inside; the log of slowwave has the place")


def _changed(
    app: App, caller: Caller, store: EntityStore, name: str, given: dict[str, Any]
) -> memory_calls.Said:
    """What a call that changes something says, on record however it ends."""
    try:
        said = memory_calls.CALLS[name](store, given)
    except Exception:
        record_tool(app, caller, name, "failed")
        raise
    record_tool(app, caller, name)
    return said


def _said(
    app: App, store: EntityStore, name: str, given: dict[str, Any], is_exact: bool
) -> memory_calls.Said:
    text, found = memory_calls.CALLS[name](store, given)
    if name == "search_nodes" and not is_exact and not found["entities"]:
        query = given["query"]
        if memory_calls.is_question(query):
            return memory_calls.search_nearest(app, store, query)
    return text, found


def _answered(text: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "structuredContent": found}


def _refused(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}
