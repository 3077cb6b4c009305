"""Answers to POSTs that brought an `Idempotency-Key`: kept for a day, so that a repeated request is answered and not done again.

A key belongs to a space. What was refused or failed is not kept, since nothing was done, nor what ended because its
listener went. Work that goes on without one is kept when it ends. Every erasure takes all answers, and what is answered
while one runs is not kept either: its row has gone by then. Who holds a key renews it while the work lasts, so that after
a kill between the work and its answer the request is done again once LEASE has passed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from db.engine import Database
from db.errors import DatabaseError
from db.tables import KeptAnswer
from service import problems
from service.access.scopes import admit
from service.errors import BadKey, KeyInUse, KeyOfAnother
from service.http.events import Followed
from service.http.given import space_of

if TYPE_CHECKING:
    from service.spaces import App, Spaces

KEPT_FOR = timedelta(days=1)
LEASE = timedelta(minutes=1)  # of a key whose request is being answered
RENEW_EVERY_S = 15.0
MAX_BYTES = 1 << 20  # of an answer that is kept
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_HOLDER = (
    uuid.uuid4().hex
)  # this process: a container that was started anew has the pid and the host of the one before
_IN_WORK: set[tuple[str, str]] = set()  # spaces with keys that this process holds


@dataclass(frozen=True, slots=True)
class _Kept:
    status: int
    media_type: str
    body: str


async def keep(spaces: Spaces) -> None:
    """While the daemon runs: renew the keys of what it works at, and drop the answers whose day has passed.

    In threads of their own, since work can take all those of the routes.
    """
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        try:
            await asyncio.to_thread(renew, spaces.database, spaces.clock())
            await asyncio.to_thread(drop_old, spaces.database, spaces.clock())
        except Exception as error:  # a store that is busy now is not so at the next beat
            problems.log_unexpected(error)


def renew(database: Database, now: datetime) -> None:
    """Hold on to the keys of what this process works at."""
    for space_id, key in tuple(_IN_WORK):
        with database.transaction() as session:
            session.execute(_ours(update(KeptAnswer), space_id, key).values(at=now))


def drop_old(database: Database, now: datetime) -> None:
    """Every answer that was kept for its day, of all spaces."""
    with database.transaction() as session:
        _drop_old(session, now)


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
            await _whatever_comes(_release, app, key)
            raise
        if isinstance(answer, StreamingResponse):
            return _Gathered(app, key, answer)
        await _whatever_comes(_end, app, key, answer, bytes(answer.body))
    return answer


class _Gathered(StreamingResponse):
    """The stream as it is; once it has ended it is kept as a whole, and a broken one is not."""

    def __init__(self, app: App, key: str, answer: StreamingResponse) -> None:
        self._app, self._key, self._answer = app, key, answer
        self._parts: list[bytes] = []
        self._is_whole = False
        super().__init__(self._gathering(answer.body_iterator), answer.status_code)
        self.raw_headers = answer.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._is_whole or not isinstance(self._answer, Followed):
                await _whatever_comes(self._settle)
            else:  # nobody listens any more, and the work goes on
                threading.Thread(
                    target=self._hear_out, args=(self._answer,), name="kept", daemon=True
                ).start()

    async def _gathering(self, body: AsyncIterable[Any]) -> AsyncIterator[bytes]:
        async for part in body:
            self._parts.append(_encoded(part))
            yield self._parts[-1]
        self._is_whole = True

    def _hear_out(self, answer: Followed) -> None:
        try:
            self._parts.extend(map(_encoded, answer.events))
            self._is_whole = True
        finally:
            self._settle()

    def _settle(self) -> None:
        if self._is_whole and not (self._parts and b"event: problem\n" in self._parts[-1]):
            _end(self._app, self._key, self._answer, b"".join(self._parts))
        else:
            _release(self._app, self._key)


def _encoded(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else bytes(part)


async def _whatever_comes(settle: Callable[..., None], *given: Any) -> None:
    """Also where the request was cancelled, in which nothing else can be waited for."""
    with CancelScope(shield=True):
        await run_in_threadpool(settle, *given)


def _digest(request: Request, body: bytes) -> str:
    said = f"{request.url.path}?{request.url.query}\0{request.headers.get('accept', '')}\0"
    return hashlib.sha256(said.encode() + body).hexdigest()


def _begin(app: App, key: str, digest: str) -> _Kept | None:
    """None where the request is to be done now."""
    services = app.services
    try:
        with services.database.transaction() as session:
            kept = _found(session, services.space_id, key, digest, services.clock())
    except IntegrityError as error:  # somebody else was first
        raise KeyInUse from error
    if kept is None:
        _IN_WORK.add((services.space_id, key))
    return kept


def _found(session: Session, space_id: str, key: str, digest: str, now: datetime) -> _Kept | None:
    _drop_old(session, now)
    row = session.get(KeptAnswer, (space_id, key))
    if row is None:
        session.add(KeptAnswer(space_id=space_id, key=key, request_sha256=digest, holder=_HOLDER, at=now))
        return None
    if row.request_sha256 != digest:
        raise KeyOfAnother
    if row.status is not None:
        return _Kept(row.status, row.media_type or "application/json", row.body or "")
    if row.at >= now - LEASE:
        raise KeyInUse
    taken = session.execute(  # whoever held it has ended without an answer
        update(KeptAnswer)
        .where(KeptAnswer.space_id == space_id, KeptAnswer.key == key)
        .where(KeptAnswer.holder == row.holder, KeptAnswer.at == row.at)
        .values(holder=_HOLDER, at=now)
    )
    if getattr(taken, "rowcount", 0) != 1:
        raise KeyInUse
    return None


def _drop_old(session: Session, now: datetime) -> None:
    session.execute(delete(KeptAnswer).where(KeptAnswer.at < now - KEPT_FOR))


def _end(app: App, key: str, answer: Response, body: bytes) -> None:
    media_type = answer.headers.get("content-type", "application/json")
    is_kept = 200 <= answer.status_code < 300 and len(body) <= MAX_BYTES
    if not is_kept:
        _release(app, key)
        return
    values = {"status": answer.status_code, "media_type": media_type, "body": body.decode()}
    _settled(app, key, update(KeptAnswer).values(**values))


def _release(app: App, key: str) -> None:
    _settled(app, key, delete(KeptAnswer))


def _settled(app: App, key: str, statement: Any) -> None:
    services = app.services
    try:
        with services.database.transaction() as session:
            session.execute(_ours(statement, services.space_id, key))
    except (
        SQLAlchemyError,
        DatabaseError,
    ) as error:  # what was done is done; the key is free when its lease ends
        problems.log_unexpected(error)
    finally:
        _IN_WORK.discard((services.space_id, key))


def _ours(statement: Any, space_id: str, key: str) -> Any:
    return statement.where(
        KeptAnswer.space_id == space_id,
        KeptAnswer.key == key,
        KeptAnswer.status.is_(None),
        KeptAnswer.holder == _HOLDER,
    )
