"""The routes by which a space leaves and comes in, and the graph as nodes and edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.http.given import App, Given, as_moment
from service.http.receiving import pour
from service.jobs.uploads import Receiving

router = APIRouter(tags=["space"])

MEDIA_TYPE = "application/x-ndjson"
_PIECE = 64 * 1024  # bytes sent at a time


@router.get("/v1/export", response_class=StreamingResponse)
def export(app: Given, vectors: bool = False) -> StreamingResponse:
    """The whole space as JSON lines, as `slowwave export` writes it. Without its last line it is not whole."""
    from memory.exchange.dump import lines

    found = lines(app.services.database, app.services.space_id, vectors=vectors)
    headers = {"Content-Disposition": 'attachment; filename="slowwave.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(_pieces(found), media_type=MEDIA_TYPE, headers=headers)


@router.post("/v1/load")
async def load(app: Given, request: Request) -> dict[str, Any]:
    """Bring an export into the daemon's space, which must be empty (409). A damaged body (400) changes nothing.

    Until its end it lies with the space's uploads, within what they may take together (413).
    """
    receiving = await run_in_threadpool(app.jobs.spool.receive)
    try:
        await pour(request, receiving.write)
    except BaseException:
        await run_in_threadpool(receiving.give_up)
        raise
    return await run_in_threadpool(_load, app, receiving)


def _load(app: App, receiving: Receiving) -> dict[str, Any]:
    from memory.exchange.load import load as load_file

    with receiving.whole() as body, app.lock:
        report = load_file(app.services.database, app.services.space_id, body, "the body")
    return {
        "space": app.services.settings.space,
        "records": report.counts,
        "ledger_breaks": list(report.ledger_breaks),
        "missing_artifacts": app.services.missing_artifacts(),
    }


@router.get("/v1/graph")
def graph(
    app: Given,
    person: str | None = None,
    as_of: datetime | date | None = None,
    known_to: str | None = None,
    history: bool = False,
) -> dict[str, Any]:
    """People and how they are related, or one person and what is known about them, as nodes and edges."""
    from memory.exchange.network import node_link

    part = app.services.graph_part(
        person=person, as_of=as_moment(as_of), known_to=known_to, is_history=history
    )
    return node_link(part.graph)


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces of some size: each piece costs a change of threads."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
