"""A long insert of episodes: batches go into SQLite beside the caller's own work, the feed of changes at the end.

On SQLite the trigger that notes a new row costs more than the row itself. Within the caller's transaction it is taken
away and put back as it was, so that nobody else ever sees the store without it, and a rollback restores it as well. A
batch is one statement, which lets go of Python's lock while it runs: on a second core the caller reads on meanwhile.
Other stores take each batch as they take any insert, and note as they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from sqlalchemy import ColumnElement, insert, literal, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.engine import CACHE_KIB
from db.tables import Change, Episode

_CACHE_KIB = 2 * CACHE_KIB  # more pages than otherwise: each row touches an index of every kind
_TRIGGER = "change_episode_insert"
_PER_STATEMENT = 1000  # rows; SQLite takes 32,766 values


class NewEpisode(NamedTuple):
    """What differs from one row of a source to the next.

    `time` is UTC, written as SQLite keeps it: `2025-03-12 18:03:00.000000`; `text` is clean (`clean_text`).
    """

    id: str
    conversation_id: str
    position: int
    speaker_id: str
    time: str
    text: str
    kind: str
    is_edited: bool
    origin: str
    key: str
    external_id: str | None


class Inserter(Protocol):
    """Takes batches. Before anybody else uses the session, `wait` for the last one; it raises what went wrong."""

    def insert(self, rows: Sequence[NewEpisode]) -> None: ...

    def wait(self) -> None: ...


@contextmanager
def inserting_episodes(session: Session, space_id: str, source_id: str) -> Iterator[Inserter]:
    """Insert episodes of one source, extracted by nobody yet; all of them are in the feed afterwards."""
    same = {"space_id": space_id, "source_id": source_id}
    if session.get_bind().dialect.name != "sqlite":
        yield _Plain(session, same)
        return
    with _noted_together(session, Episode.source_id == source_id), ThreadPoolExecutor(1) as worker:
        beside = _Beside(session, same, worker)
        yield beside
        beside.wait()


class _Plain:
    def __init__(self, session: Session, same: dict[str, str]) -> None:
        self._session, self._same = session, same

    def insert(self, rows: Sequence[NewEpisode]) -> None:
        values = [
            {**self._same, **row._asdict(), "time": datetime.fromisoformat(row.time).replace(tzinfo=UTC)}
            for row in rows
        ]
        self._session.connection().execute(insert(Episode), values)

    def wait(self) -> None:
        """Nothing is under way."""


class _Beside:
    """One batch at a time is on its way into SQLite."""

    def __init__(self, session: Session, same: dict[str, str], worker: ThreadPoolExecutor) -> None:
        self._connection, self._worker, self._same = session.connection(), worker, tuple(same.values())
        self._columns = ", ".join((*same, *NewEpisode._fields))
        self._under_way: Future[None] | None = None

    def insert(self, rows: Sequence[NewEpisode]) -> None:
        self.wait()
        self._under_way = self._worker.submit(self._write, rows)

    def wait(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _write(self, rows: Sequence[NewEpisode]) -> None:
        for start in range(0, len(rows), _PER_STATEMENT):
            part = rows[start : start + _PER_STATEMENT]
            values = tuple(value for row in part for value in (*self._same, *row))
            self._connection.exec_driver_sql(self._statement(len(part)), values)

    def _statement(self, n: int) -> str:
        row = f"({', '.join('?' * (len(self._same) + len(NewEpisode._fields)))})"
        return f"INSERT INTO episode ({self._columns}) VALUES {', '.join([row] * n)}"


@contextmanager
def _noted_together(session: Session, new: ColumnElement[bool]) -> Iterator[None]:
    made = session.execute(
        text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name"), {"name": _TRIGGER}
    ).scalar_one()
    session.execute(text(f"DROP TRIGGER {_TRIGGER}"))
    session.execute(text(f"PRAGMA cache_size = -{_CACHE_KIB}"))
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # what went wrong inside is what is told
            session.execute(text(f"PRAGMA cache_size = -{CACHE_KIB}"))
    rows = select(Episode.space_id, literal("episode"), Episode.id).where(new)
    session.execute(insert(Change).from_select(["space_id", "kind", "owner_id"], rows))
    session.connection().exec_driver_sql(made)
