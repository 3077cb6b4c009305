"""Server-sent events: how a stream is written, and work whose progress is told while somebody waits for its result."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from consolidation.stage import Progress, no_progress
from service import problems
from service.spaces import App
from service.streams import Line, streamed

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Told = tuple[str, dict[str, Any]] | Exception  # an event's name and data, or what ended the stream
Steps = Callable[[str], Progress]  # a progress function for each named step


def event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def failed(error: Exception) -> str:
    """The last event of a stream that broke off."""
    if problems.is_unexpected(error):
        problems.log_unexpected(error)
    return event("problem", problems.problem(error))


def response(events: Iterator[str] | AsyncIterator[str]) -> StreamingResponse:
    heard = listened(events) if isinstance(events, Iterator) else events
    return StreamingResponse(heard, media_type=MEDIA_TYPE, headers=_HEADERS)


async def listened(events: Iterator[str]) -> AsyncIterator[str]:
    """The same for a response. Waiting for an event takes a thread of its own, none of those that answer requests."""
    own = CapacityLimiter(1)
    while (piece := await to_thread.run_sync(next, events, None, limiter=own)) is not None:
        yield piece


class Followed(StreamingResponse):
    """The events of work that goes on where nobody listens any more: `events` then has those that were not sent."""

    def __init__(self, events: Iterator[str]) -> None:
        self.events = events
        super().__init__(listened(events), media_type=MEDIA_TYPE, headers=_HEADERS)


def written(pieces: Iterable[Told]) -> Iterator[str]:
    """Events as they are sent; an error that ends the stream is a `problem`."""
    for piece in pieces:
        yield failed(piece) if isinstance(piece, Exception) else event(*piece)


def wants_events(request: Request) -> bool:
    return MEDIA_TYPE in request.headers.get("accept", "")


def followed(app: App, request: Request, work: Callable[[Steps], dict[str, Any]]) -> Response:
    """Do the work and answer with its result; as events `progress` `{step, done, total, note}` and `done` where asked.

    Work that somebody stopped listening to goes on in the space, which stays open: it ends as it would have.
    """
    if not wants_events(request):
        return JSONResponse(work(lambda _: no_progress))
    return Followed(written(streamed(lambda line: _do(work, line), "work", app.users)))


def _do(work: Callable[[Steps], dict[str, Any]], line: Line[Told]) -> None:
    def steps(name: str) -> Progress:
        def progress(done: int, total: int, note: str = "") -> None:
            line.tell(("progress", {"step": name, "done": done, "total": total, "note": note}))

        return progress

    line.put(("done", work(steps)))
