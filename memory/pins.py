"""Pin a fact: it never fades in ranking and every night that can train it does. The ledger gets an entry for each act.

A pin is on the whole fact, whichever of its statements was named; it stays when that fact is restated, and does not go
over to what supersedes or corrects it. It says nothing about what is true: no decision is made by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, ledger
from memory.errors import CannotDecide, UnknownFact
from memory.fact_views import Asked, read
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact, Person

_GONE = ("rejected", "retracted")


@dataclass(frozen=True, slots=True)
class Pinned:
    """`fact_id` is the fact that the named statement is part of; `is_new` where it was not so before."""

    fact_id: str
    is_pinned: bool
    is_new: bool


def pin(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Pinned:
    """Repeatable. Raises UnknownFact, or CannotDecide where the fact was rejected or taken back."""
    with database.transaction() as session:
        fact, _ = _whole(session, space_id, registry, fact_id, clock)
        if fact.status in _GONE:
            raise CannotDecide(fact_id, "a pin", fact.status)
        if not fact.is_pinned:
            session.get_one(tables.Fact, fact.id).pinned_at = clock()
            _record(session, space_id, "pin", fact.id, [fact.id], by, clock)
        return Pinned(fact.id, is_pinned=True, is_new=not fact.is_pinned)


def unpin(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Pinned:
    """Repeatable. Raises UnknownFact."""
    with database.transaction() as session:
        fact, members = _whole(session, space_id, registry, fact_id, clock)
        if fact.is_pinned:
            session.execute(update(tables.Fact).where(tables.Fact.id.in_(members)).values(pinned_at=None))
            _record(session, space_id, "unpin", fact.id, members, by, clock)
        return Pinned(fact.id, is_pinned=False, is_new=fact.is_pinned)


def pinned_facts(database: Database, space_id: str) -> list[str]:
    """Ids of the statements that carry a pin, the longest pinned first."""
    query = select(tables.Fact.id).where(tables.Fact.space_id == space_id, tables.Fact.pinned_at.is_not(None))
    with database.reading() as session:
        return list(session.scalars(query.order_by(tables.Fact.pinned_at, tables.Fact.id)))


def _whole(
    session: Session, space_id: str, registry: Registry, fact_id: str, clock: Clock
) -> tuple[Fact, list[str]]:
    """The fact that the statement is part of, and the ids of all its statements."""
    found = fact_rows.load(session, space_id, fact_id=fact_id)
    if not found:
        raise UnknownFact(fact_id)
    asked = Asked(registry, as_of=None, known_to=None, recorded_as_of=None, clock=clock)
    reading = read(session, space_id, asked, (found[0].subject_id,), (found[0].predicate,))
    owner = reading.owners[fact_id]
    members = [statement for statement, of in reading.owners.items() if of == owner]
    return next(fact for fact in reading.facts if fact.id == owner), members


def _record(
    session: Session,
    space_id: str,
    kind: str,
    fact_id: str,
    statements: list[str],
    by: Person,
    clock: Clock,
) -> None:
    """`statements` are those that carry the pin from now on, or that carry none."""
    session.flush()
    payload = {"fact": fact_id, "statements": sorted(statements), "by": by.id}
    ledger.append(session, space_id, kind, payload, clock=clock)
