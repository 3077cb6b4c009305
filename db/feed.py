"""A long insert: the feed of changes is written once at its end instead of row by row, and more pages stay in memory.

On SQLite the trigger that notes a new row costs more than the row itself. Within the caller's transaction it is taken
away and put back as it was, so that nobody else ever sees the store without it, and a rollback restores it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import ColumnElement, insert, literal, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.engine import CACHE_KIB
from db.tables import Change, Episode

_CACHE_KIB = 2 * CACHE_KIB  # keys of messages are hashes: each row touches a far page of their index
_TRIGGER = "change_episode_insert"


@contextmanager
def episodes_noted_together(session: Session, new: ColumnElement[bool]) -> Iterator[None]:
    """Insert episodes inside; those for which `new` holds are in the feed afterwards. Others' stores note as they go."""
    made = _trigger(session)
    if made is None:
        yield
        return
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


def _trigger(session: Session) -> str | None:
    """How SQLite was told to make the trigger; None on other stores."""
    if session.get_bind().dialect.name != "sqlite":
        return None
    query = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    return session.execute(query, {"name": _TRIGGER}).scalar()
