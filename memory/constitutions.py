"""Constitutions: versioned principles of one person, each with the episodes it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import ledger
from memory.ports import Clock, utc_now
from memory.types import Principle


def write(
    session: Session,
    space_id: str,
    person_id: str,
    principles: Sequence[Principle],
    *,
    run_id: str | None,
    clock: Clock = utc_now,
) -> int:
    """The version that now holds: a new one, or the present one where nothing changed (order aside).

    0 means that the person has none: a constitution without principles is not written.
    """
    version = _version(session, space_id, person_id)
    present = _principles(session, space_id, person_id, version)
    if not principles or set(principles) == set(present):
        return version
    version += 1
    for principle in dict.fromkeys(principles):
        session.add(
            tables.Principle(
                space_id=space_id,
                person_id=person_id,
                version=version,
                kind=principle.kind,
                text=principle.text,
                evidence=list(principle.evidence),
                created_at=clock(),
                run_id=run_id,
            )
        )
    session.flush()
    payload = {"person": person_id, "version": version, "n_principles": len(principles), "run": run_id}
    ledger.append(session, space_id, "constitution", payload, clock=clock)
    return version


def current(database: Database, space_id: str, person_id: str) -> list[Principle]:
    """The newest version: values, principles, habits, speech, limits, each by its text."""
    with database.reading() as session:
        return _principles(session, space_id, person_id, _version(session, space_id, person_id))


def current_version(session: Session, space_id: str, person_id: str) -> int:
    """The number of the version that holds; 0 where there is none."""
    return _version(session, space_id, person_id)


def _version(session: Session, space_id: str, person_id: str) -> int:
    query = select(func.max(tables.Principle.version)).where(
        tables.Principle.space_id == space_id, tables.Principle.person_id == person_id
    )
    return session.scalar(query) or 0


_ORDER = ("value", "principle", "habit", "speech", "limit")


def _principles(session: Session, space_id: str, person_id: str, version: int) -> list[Principle]:
    query = select(tables.Principle).where(
        tables.Principle.space_id == space_id,
        tables.Principle.person_id == person_id,
        tables.Principle.version == version,
    )
    found = [Principle(row.kind, row.text, tuple(row.evidence)) for row in session.scalars(query)]
    rank = {kind: position for position, kind in enumerate(_ORDER)}
    return sorted(found, key=lambda item: (rank.get(item.kind, len(rank)), item.text))
