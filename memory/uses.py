"""How often facts were asked for: a count and a time per fact, nothing of the question. The night's `score` reads it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, Thread

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.errors import DatabaseError
from db.tables import Fact, FactUse
from memory.fact_rows import chunks
from memory.ports import Clock, utc_now

HALF_LIFE_DAYS = 90.0
FULL = 10  # times from which on a fact is as asked for as any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Use:
    n: int
    last_at: datetime


def record(database: Database, space_id: str, fact_ids: Collection[str], *, clock: Clock = utc_now) -> int:
    """Count one more use of each, and return how many there were; ids that are no fact of the space are passed over."""
    return _record(database, space_id, dict.fromkeys(fact_ids, 1), clock())


def _record(database: Database, space_id: str, times: Mapping[str, int], now: datetime) -> int:
    with database.transaction() as session:
        known = [
            fact_id
            for part in chunks(sorted(times))
            for fact_id in session.scalars(
                select(Fact.id).where(Fact.space_id == space_id, Fact.id.in_(part))
            )
        ]
        for fact_id in known:
            _count(session, space_id, fact_id, times[fact_id], now)
    return len(known)


def _count(session: Session, space_id: str, fact_id: str, n: int, now: datetime) -> None:
    """Adds in the database, so that two who ask at once are both counted."""
    more = (
        update(FactUse)
        .where(FactUse.fact_id == fact_id)
        .values(n=FactUse.n + n, last_at=now)
        .returning(FactUse.fact_id)
    )
    if session.scalar(more):
        return
    try:
        with session.begin_nested():
            session.add(FactUse(fact_id=fact_id, space_id=space_id, n=n, last_at=now))
    except IntegrityError:  # somebody else asked first in this moment
        session.execute(more)


class UseCounter:
    """Counts behind the back of who asks, who waits for no writer. Safe for threads; settle it before the store is closed.

    What is asked for while it waits for a writer is counted in one transaction. A store that cannot be written now (busy,
    read only, full) keeps no answer back: what was asked for is not counted then.
    """

    def __init__(self, database: Database, space_id: str, *, clock: Clock = utc_now) -> None:
        self._database, self._space_id, self._clock = database, space_id, clock
        self._lock = Lock()
        self._waiting: Counter[str] = Counter()
        self._thread: Thread | None = None

    def add(self, fact_ids: Collection[str]) -> None:
        """One more use of each."""
        with self._lock:
            self._waiting.update(set(fact_ids))
            if self._thread is None and self._waiting:
                self._thread = Thread(target=self._write, name="uses", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Wait until all is counted."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _write(self) -> None:
        while True:
            with self._lock:
                times, self._waiting = self._waiting, Counter()
                if not times:
                    self._thread = None
                    return
            try:
                _record(self._database, self._space_id, times, self._clock())
            except (DatabaseError, DBAPIError) as error:
                log.info("what was asked for is not counted: %s", type(error).__name__)


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
