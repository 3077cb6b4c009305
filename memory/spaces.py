"""Spaces: one tenant each; everything else in the store belongs to exactly one."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from db.engine import Database
from db.tables import Space
from memory.errors import UnknownTimezone
from memory.ports import Clock, utc_now


def zone(name: str) -> tzinfo:
    """The time zone of that name; raises UnknownTimezone. UTC needs no zone data on the machine."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimezone(name) from error


def ensure_space(
    database: Database, name: str = "default", *, timezone: str = "UTC", clock: Clock = utc_now
) -> str:
    """The id of the space of that name, made once. A space that exists keeps the time zone it was made with."""
    zone(timezone)
    found = _find(database, name)
    if found is not None:
        return found
    try:
        with database.transaction() as session:
            space = Space(name=name, timezone=timezone, created_at=clock())
            session.add(space)
            session.flush()
            return space.id
    except IntegrityError:  # another process made it first
        found = _find(database, name)
        if found is None:
            raise
        return found


def _find(database: Database, name: str) -> str | None:
    with database.reading() as session:
        return session.scalar(select(Space.id).where(Space.name == name))
