"""Leases: one holder at a time for a named piece of work; an expired lease may be taken over."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.errors import LeaseHeld
from db.tables import Lease


def acquire(database: Database, name: str, holder: str, *, now: datetime, ttl_s: float) -> None:
    """Take or renew the lease. It may be taken if it is free, expired, or already this holder's.

    Raises LeaseHeld with the holder's name otherwise.
    """
    expires = now + timedelta(seconds=ttl_s)
    try:
        with database.transaction() as session:
            row = session.get(Lease, name)
            if row is None:
                session.add(Lease(name=name, holder=holder, acquired_at=now, expires_at=expires))
            elif row.holder == holder or row.expires_at <= now:
                _take(session, row, holder, now, expires)
            else:
                raise LeaseHeld(name, row.holder)
    except IntegrityError as error:  # somebody else inserted first
        raise LeaseHeld(name, holder_of(database, name) or "another process") from error


def _take(session: Session, row: Lease, holder: str, now: datetime, expires: datetime) -> None:
    taken = session.execute(
        update(Lease)
        .where(Lease.name == row.name, Lease.holder == row.holder, Lease.expires_at == row.expires_at)
        .values(holder=holder, acquired_at=now, expires_at=expires)
    )
    if getattr(taken, "rowcount", 0) != 1:
        raise LeaseHeld(row.name, row.holder)


def release(database: Database, name: str, holder: str) -> None:
    """Give the lease back; somebody else's lease is left alone."""
    with database.transaction() as session:
        session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))


def holder_of(database: Database, name: str, *, now: datetime | None = None) -> str | None:
    """Who holds the lease; with `now`, only a holder whose lease has not expired."""
    query = select(Lease.holder).where(Lease.name == name)
    if now is not None:
        query = query.where(Lease.expires_at > now)
    with database.reading() as session:
        return session.scalar(query)
