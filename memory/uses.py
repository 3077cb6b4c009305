"""How often facts were asked for: a count and a time per fact, nothing of the question. The night's `score` reads it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Fact, FactUse
from memory.fact_rows import chunks
from memory.ports import Clock, utc_now

HALF_LIFE_DAYS = 90.0
FULL = 10  # times from which on a fact is as asked for as any


@dataclass(frozen=True, slots=True)
class Use:
    n: int
    last_at: datetime


def record(database: Database, space_id: str, fact_ids: Collection[str], *, clock: Clock = utc_now) -> int:
    """Count one more use of each, and return how many there were; ids that are no fact of the space are passed over."""
    with database.transaction() as session:
        known = [
            fact_id
            for part in chunks(sorted(set(fact_ids)))
            for fact_id in session.scalars(
                select(Fact.id).where(Fact.space_id == space_id, Fact.id.in_(part))
            )
        ]
        for fact_id in known:
            _count(session, space_id, fact_id, clock())
    return len(known)


def _count(session: Session, space_id: str, fact_id: str, now: datetime) -> None:
    """Adds in the database, so that two who ask at once are both counted."""
    more = (
        update(FactUse)
        .where(FactUse.fact_id == fact_id)
        .values(n=FactUse.n + 1, last_at=now)
        .returning(FactUse.fact_id)
    )
    if session.scalar(more):
        return
    try:
        with session.begin_nested():
            session.add(FactUse(fact_id=fact_id, space_id=space_id, n=1, last_at=now))
    except IntegrityError:  # somebody else asked first in this moment
        session.execute(more)


def uses(session: Session, fact_ids: Sequence[str]) -> dict[str, Use]:
    """Of those that were ever asked for."""
    return {
        row.fact_id: Use(row.n, row.last_at)
        for part in chunks(sorted(set(fact_ids)))
        for row in session.scalars(select(FactUse).where(FactUse.fact_id.in_(part)))
    }


def asked_for(use: Use | None, now: datetime) -> float:
    """In [0, 1]: grows with the logarithm of the times, full at FULL; halves every HALF_LIFE_DAYS since the last one."""
    if use is None:
        return 0.0
    days = max(0.0, (now - use.last_at).total_seconds() / 86_400)
    often: float = min(1.0, math.log1p(use.n) / math.log1p(FULL))
    return often * math.exp2(-days / HALF_LIFE_DAYS)
