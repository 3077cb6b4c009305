"""MCP over standard input and output: `slowwave mcp`, one space for whoever started the process.

Nothing but the protocol is written to standard output; the log goes to standard error, without words.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp.server.lowlevel import NotificationOptions
from mcp.server.stdio import stdio_server

from memory.entities.files import take_in_file
from memory.entities.graph import Graph
from service.access.callers import LOOPBACK, Caller
from service.mcp.memory import Stores, memory_server
from service.mcp.server import Context, own_server
from service.settings import Settings
from service.spaces import App, Spaces

FILE = "MEMORY_FILE_PATH"  # where the MCP memory server keeps everything
TALK_TIMEOUT_S, NIGHT_TIMEOUT_S = 10.0, 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """Which tools: our own, or those of the MCP memory server; its search by words alone where it is exact."""

    is_memory_server: bool = False
    is_exact: bool = False


def run_stdio(settings: Settings, served: Served) -> None:
    """Serve until standard input ends. Raises what opening the store raises, and BrokenExport for a damaged file."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with closing(Spaces(settings)) as spaces, spaces.use() as app:
        if served.is_memory_server:
            take_over(app, os.environ)
        try:
            anyio.run(_serve, app, served)
        finally:
            spaces.end(talk_timeout_s=TALK_TIMEOUT_S, night_timeout_s=NIGHT_TIMEOUT_S)


def take_over(app: App, environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Bring in the memory server's own file, once: where one is named, is there, and nothing is kept here yet."""
    named = environment.get(FILE, "")
    path = Path(named)
    store = Stores().of(app)
    if not named or not path.is_file() or store.look(Graph.whole).entities:
        return None
    n_entities, n_relations = take_in_file(store, path)
    log.warning("took in %d entities and %d relations of the file in %s", n_entities, n_relations, FILE)
    return n_entities, n_relations


async def _serve(app: App, served: Served) -> None:
    @contextmanager
    def reach(_: Context) -> Iterator[tuple[App, Caller]]:
        yield app, LOOPBACK

    if served.is_memory_server:
        server = memory_server(reach, is_exact=served.is_exact, can_push=True)
    else:
        server = own_server(reach)
    options = server.create_initialization_options(NotificationOptions())
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, options)
