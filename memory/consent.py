"""Consent: who agreed that a person is simulated, and when. Without a standing record no persona speaks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Consent, Node
from memory import ledger
from memory.ports import Clock, utc_now


def record(
    database: Database,
    space_id: str,
    person_id: str,
    *,
    agreed_by: str,
    note: str = "",
    clock: Clock = utc_now,
) -> str:
    """Keep that `agreed_by` agreed. Returns the record's id; the ledger gets an entry without the note."""
    if not agreed_by.strip():
        raise ValueError("a consent needs the name of who agreed")
    with database.transaction() as session:
        row = Consent(
            space_id=space_id,
            person_id=person_id,
            agreed_by=agreed_by.strip(),
            note=note,
            agreed_at=clock(),
        )
        session.add(row)
        session.flush()
        ledger.append(session, space_id, "consent", {"consent": row.id, "person": person_id}, clock=clock)
        return row.id


def withdraw(database: Database, space_id: str, person_id: str, *, clock: Clock = utc_now) -> int:
    """End every standing consent for the person and for who was merged into them; returns how many there were."""
    with database.transaction() as session:
        merged = session.scalars(select(Node.id).where(Node.merged_into == person_id)).all()
        rows = [row for one in (person_id, *merged) for row in session.scalars(_standing(space_id, one))]
        for row in rows:
            row.withdrawn_at = clock()
            payload = {"consent": row.id, "person": person_id, "withdrawn": True}
            ledger.append(session, space_id, "consent", payload, clock=clock)
        return len(rows)


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    agreed_by: str
    note: str
    agreed_at: datetime
    withdrawn_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "by": self.agreed_by,
            "note": self.note,
            "at": self.agreed_at.isoformat(),
            "withdrawn": self.withdrawn_at.isoformat() if self.withdrawn_at else None,
        }


def records(database: Database, space_id: str, person_id: str) -> list[Record]:
    """Every consent for the person and for who was merged into them, the newest first."""
    merged = select(Node.id).where(Node.merged_into == person_id)
    query = select(Consent).where(
        Consent.space_id == space_id, or_(Consent.person_id == person_id, Consent.person_id.in_(merged))
    )
    with database.reading() as session:
        return [
            Record(row.id, row.agreed_by, row.note, row.agreed_at, row.withdrawn_at)
            for row in session.scalars(query.order_by(Consent.agreed_at.desc(), Consent.id))
        ]


def has_consent(database: Database, space_id: str, person_id: str) -> bool:
    """Whether a consent stands, and neither they nor who was merged into them withdrew after it was given."""
    with database.reading() as session:
        return stands(session, space_id, person_id)


def stands(session: Session, space_id: str, person_id: str) -> bool:
    """`has_consent` within a reading or a transaction."""
    given = session.scalar(_standing(space_id, person_id).with_only_columns(func.max(Consent.agreed_at)))
    merged = select(Node.id).where(Node.merged_into == person_id)
    withdrawn = session.scalar(
        select(func.max(Consent.withdrawn_at)).where(
            Consent.space_id == space_id,
            or_(Consent.person_id == person_id, Consent.person_id.in_(merged)),
        )
    )
    return given is not None and (withdrawn is None or withdrawn < given)


def _standing(space_id: str, person_id: str) -> Select[Consent]:
    return select(Consent).where(
        Consent.space_id == space_id, Consent.person_id == person_id, Consent.withdrawn_at.is_(None)
    )
