"""Spaces: one tenant each; everything else in the store belongs to exactly one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.errors import BadSpaceName, SpaceExists, UnknownSpace, UnknownTimezone
from memory.ports import Clock, utc_now

_NAME = re.compile(r"\w(?:[\w .-]{0,62}\w)?")


@dataclass(frozen=True, slots=True)
class Space:
    id: str
    name: str
    timezone: str
    created_at: datetime


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
            return _add(session, name, timezone, clock)
    except IntegrityError:  # another process made it first
        found = _find(database, name)
        if found is None:
            raise
        return found


def create_space(database: Database, name: str, *, timezone: str = "UTC", clock: Clock = utc_now) -> Space:
    """A new space. Raises BadSpaceName, SpaceExists, UnknownTimezone."""
    zone(timezone)
    if not _NAME.fullmatch(name):
        raise BadSpaceName(name)
    try:
        with database.transaction() as session:
            _add(session, name, timezone, clock)
    except IntegrityError as error:
        raise SpaceExists(name) from error
    return find_space(database, name)


def find_space(database: Database, name: str) -> Space:
    """The space of that name; raises UnknownSpace."""
    with database.reading() as session:
        row = session.scalar(select(tables.Space).where(tables.Space.name == name))
        if row is None:
            raise UnknownSpace(name)
        return _told(row)


def list_spaces(database: Database) -> list[Space]:
    """Every space of the store, by name."""
    with database.reading() as session:
        return [_told(row) for row in session.scalars(select(tables.Space).order_by(tables.Space.name))]


def _told(row: tables.Space) -> Space:
    return Space(row.id, row.name, row.timezone, row.created_at)


def _add(session: Session, name: str, timezone: str, clock: Clock) -> str:
    space = tables.Space(name=name, timezone=timezone, created_at=clock())
    session.add(space)
    session.flush()
    return space.id


def _find(database: Database, name: str) -> str | None:
    with database.reading() as session:
        return session.scalar(select(tables.Space.id).where(tables.Space.name == name))
