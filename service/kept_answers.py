"""Answers to POSTs that brought an `Idempotency-Key`: kept for a day, so that a repeated request is answered and not done again.

A key belongs to a space. What was refused or failed is not kept, since nothing was done. Every erasure takes all of them,
and what is answered while an erasure runs is not kept either: its row has gone by then. After a kill between the work and
its answer the request is done again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import delete, update
from starlette.concurrency import run_in_threadpool

from consolidation.lease import this_process
from db.tables import KeptAnswer
from service.errors import BadKey, KeyInUse, KeyOfAnother
from service.http_app import space_of
from service.scopes import admit

if TYPE_CHECKING:
    from service.spaces import App

KEPT_FOR = timedelta(days=1)
MAX_BYTES = 1 << 20  # of an answer that is kept
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class _Kept:
    status: int
    media_type: str
    body: str


async def answered_once(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    """What `handle` answers, or what it answered before. Raises BadKey, KeyInUse, KeyOfAnother, and what `handle` does."""
    key = request.headers["idempotency-key"]
    if not _KEY.fullmatch(key):
        raise BadKey
    await admit(request)
    digest = _digest(request, await request.body())
    spaces, caller = request.app.state.spaces, request.state.caller
    with spaces.use(space_of(request, caller)) as app:
        kept = await run_in_threadpool(_begin, app, key, digest)
        if kept is not None:
            headers = {"Idempotency-Replayed": "true"}
            return Response(kept.body, kept.status, headers, media_type=kept.media_type)
        try:
            answer = await handle(request)
        except BaseException:
            await run_in_threadpool(_release, app, key)
            raise
        if isinstance(answer, StreamingResponse):
            answer.body_iterator = _gathered(app, key, answer, answer.body_iterator)
        else:
            await run_in_threadpool(_end, app, key, answer, bytes(answer.body))
    return answer


def _digest(request: Request, body: bytes) -> str:
    said = f"{request.url.path}?{request.url.query}\0{request.headers.get('accept', '')}\0"
    return hashlib.sha256(said.encode() + body).hexdigest()


def _begin(app: App, key: str, digest: str) -> _Kept | None:
    """None where the request is to be done now."""
    services = app.services
    now = services.clock()
    with services.database.transaction() as session:
        session.execute(delete(KeptAnswer).where(KeptAnswer.at < now - KEPT_FOR))
        row = session.get(KeptAnswer, (services.space_id, key))
        if row is None:
            session.add(
                KeptAnswer(
                    space_id=services.space_id, key=key, request_sha256=digest, holder=this_process(), at=now
                )
            )
            return None
        if row.request_sha256 != digest:
            raise KeyOfAnother
        if row.status is not None:
            return _Kept(row.status, row.media_type or "application/json", row.body or "")
        if row.holder == this_process():
            raise KeyInUse
        row.holder, row.at = this_process(), now  # whoever held it has ended without an answer
        return None


def _end(app: App, key: str, answer: Response, body: bytes) -> None:
    media_type = answer.headers.get("content-type", "application/json")
    is_kept = 200 <= answer.status_code < 300 and len(body) <= MAX_BYTES
    if not is_kept:
        _release(app, key)
        return
    values = {"status": answer.status_code, "media_type": media_type, "body": body.decode()}
    with app.services.database.transaction() as session:
        session.execute(_ours(update(KeptAnswer), app, key).values(**values))


def _release(app: App, key: str) -> None:
    with app.services.database.transaction() as session:
        session.execute(_ours(delete(KeptAnswer), app, key))


def _ours(statement: Any, app: App, key: str) -> Any:
    return statement.where(
        KeptAnswer.space_id == app.services.space_id,
        KeptAnswer.key == key,
        KeptAnswer.status.is_(None),
        KeptAnswer.holder == this_process(),
    )


async def _gathered(
    app: App, key: str, answer: StreamingResponse, body: Any
) -> AsyncIterator[str | bytes | memoryview]:
    """The stream as it is; at its end it is kept as a whole, and a broken one is not."""
    parts: list[bytes] = []
    is_whole = False
    try:
        async for part in body:
            parts.append(part.encode() if isinstance(part, str) else bytes(part))
            yield part
        is_whole = not parts or b"event: problem\n" not in parts[-1]
    finally:
        if is_whole:
            await run_in_threadpool(_end, app, key, answer, b"".join(parts))
        else:
            await run_in_threadpool(_release, app, key)
