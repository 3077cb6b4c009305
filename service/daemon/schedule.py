"""What the store keeps of each space's nights for the daemon: plain values in the table `schedule`, a row per space.

It is the queue as well: a space whose row has `waits_since` waits for its turn, the longest wait first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from db import tables
from db.engine import Database
from memory.waiting import WAITING


@dataclass(frozen=True, slots=True)
class Schedule:
    """As the table; `wanted` holds seed, minutes, model and fresh of the night that waits, where one was asked for."""

    space_id: str
    settled_until: datetime
    idle_at: datetime | None = None
    tried_at: datetime | None = None
    asked_by: str | None = None
    outcome: str | None = None
    error: str | None = None
    run_id: str | None = None
    waits_since: datetime | None = None
    waits_for: str | None = None
    wanted: Mapping[str, Any] | None = None


def known(database: Database, space_id: str) -> Schedule | None:
    with database.reading() as session:
        row = session.get(tables.Schedule, space_id)
        return None if row is None else _told(row)


def ensure(database: Database, space_id: str, now: datetime) -> Schedule:
    """The space's row; a space that no daemon has looked after owes nothing for the time before."""
    found = known(database, space_id)
    if found is not None:
        return found
    with database.transaction() as session:
        row = session.get(tables.Schedule, space_id)
        if row is None:
            row = tables.Schedule(space_id=space_id, settled_until=now, wanted={})
            session.add(row)
        session.flush()
        return _told(row)


def settle(database: Database, space_id: str, **values: Any) -> None:
    """Change the row's columns."""
    with database.transaction() as session:
        session.execute(update(tables.Schedule).where(tables.Schedule.space_id == space_id).values(**values))


def wait_in_line(
    database: Database,
    space_id: str,
    asked_by: str,
    wanted: Mapping[str, Any],
    now: datetime,
    **settled: Any,
) -> None:
    """Take a place in the queue. Who waits already keeps the place, for what is wanted now.

    `settled` are columns that change with it, in the same transaction.
    """
    row = ensure(database, space_id, now)
    settle(
        database,
        space_id,
        waits_since=row.waits_since or now,
        waits_for=asked_by,
        wanted=dict(wanted),
        **settled,
    )


def leave_line(database: Database, space_id: str, **settled: Any) -> None:
    """Give the place up; `settled` as above."""
    settle(database, space_id, waits_since=None, waits_for=None, wanted={}, **settled)


def queue(database: Database) -> list[Schedule]:
    """The spaces whose night waits for its turn, the longest wait first."""
    row = tables.Schedule
    query = select(row).where(row.waits_since.is_not(None)).order_by(row.waits_since, row.space_id)
    with database.reading() as session:
        return [_told(found) for found in session.scalars(query)]


def last_begun(database: Database, space_id: str) -> datetime | None:
    """When the newest night of the space began, whoever began it."""
    row = tables.SleepRun
    with database.reading() as session:
        return session.scalar(select(func.max(row.started_at)).where(row.space_id == space_id))


def count_new(database: Database, space_id: str, since: datetime | None) -> int:
    """How much has come since: facts that wait for a decision, and messages that nobody has read."""
    fact, episode = tables.Fact, tables.Episode
    facts = select(func.count()).where(fact.space_id == space_id, fact.state.in_(WAITING))
    if since is not None:
        facts = facts.where(fact.recorded_at > since)
    unread = select(func.count()).where(
        episode.space_id == space_id,
        episode.origin == "observed",
        episode.kind == "text",
        episode.extracted_by.is_(None),
    )
    with database.reading() as session:
        return (session.scalar(facts) or 0) + (session.scalar(unread) or 0)


def _told(row: tables.Schedule) -> Schedule:
    return Schedule(
        row.space_id,
        row.settled_until,
        row.idle_at,
        row.tried_at,
        row.asked_by,
        row.outcome,
        row.error,
        row.run_id,
        row.waits_since,
        row.waits_for,
        row.wanted,
    )
