"""State again what stays, from what is left: intervals, standing and merges as if the erased had never been said.

What was decided about the facts that stay still holds; what followed from erased ones goes. So a value that only an
erased fact had superseded holds again, and a statement merged into an erased one stands by itself. Decisions keep
neither an effect on an erased fact nor a reason that quotes one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory import decisions, fact_rows
from memory.erasure.chunks import chunked
from memory.ports import Clock
from memory.registry import Registry

LOST_REASON = "a reason was erased"


def first_said(session: Session, fact_ids: Collection[str]) -> dict[str, datetime]:
    """When each fact was first said, by its evidence."""
    first: dict[str, datetime] = {}
    said = select(tables.Evidence.fact_id, tables.Episode.time).join(
        tables.Episode, tables.Episode.id == tables.Evidence.episode_id
    )
    for part in chunked(tables.Evidence.fact_id, fact_ids):
        for fact_id, time in session.execute(said.where(part)):
            first[fact_id] = min(time, first.get(fact_id, time))
    return first


def mend_starts(session: Session, space_id: str, before: dict[str, datetime]) -> None:
    """A day that was no more than that of the first message moves to the first one that is left."""
    zone = fact_rows.timezone(session, space_id)
    for fact_id, time in first_said(session, before).items():
        told, day = fact_rows.day_of(before[fact_id], zone), fact_rows.day_of(time, zone)
        if told == day:
            continue
        fact = session.get_one(tables.Fact, fact_id)
        if fact.change == "end" and fact.stated_to is None and fact.valid_to == told:
            fact.valid_to = day
        elif fact.valid_from == told and (fact_rows.said_to(fact) or day) >= day:
            fact.valid_from = day


def state_again(
    session: Session,
    space_id: str,
    kept: Collection[str],
    gone: Collection[str],
    registry: Registry,
    clock: Clock,
) -> None:
    """Write down anew what follows in the slots of the facts that are kept."""
    for part in chunked(tables.Fact.superseded_by, gone):
        for fact in session.scalars(select(tables.Fact).where(tables.Fact.space_id == space_id, part)):
            if fact_rows.is_retracted(fact):  # taken back together with the erased one; it stays so
                fact.state = "stored"
            elif fact.state == "stored":  # what the erased one did to it goes with it
                fact.valid_to, fact.stated_to, fact.retracted_at = fact_rows.said_to(fact), None, None
            fact.superseded_by = None
    session.flush()
    subjects = {
        subject_id
        for part in chunked(tables.Fact.id, kept)
        for subject_id in session.scalars(select(tables.Fact.subject_id).where(part).distinct())
    }
    for subject_id in sorted(subjects):
        decisions.restate(session, space_id, subject_id, registry, clock=clock)


def clean_decisions(
    session: Session, kept: Collection[str], gone: Collection[str], quotes: Callable[[str], bool]
) -> set[str]:
    """Take effects on erased facts and reasons that quote them out of the others' decisions; the ids of those."""
    changed: set[str] = set()
    for part in chunked(tables.Decision.fact_id, kept):
        for row in session.scalars(select(tables.Decision).where(part)):
            effects = [item for item in row.effects if item["fact"] not in gone]
            reasons = [reason for reason in row.reasons if not quotes(str(reason))]
            if len(reasons) < len(row.reasons):
                reasons.append(LOST_REASON)
            if (effects, reasons) != (row.effects, row.reasons):
                row.effects, row.reasons = effects, reasons
                changed.add(row.id)
    session.flush()
    return changed


def recorded(session: Session, decision_ids: Collection[str]) -> list[list[str]]:
    """[decision, hash of its record as it is now] for the erasure's ledger entry."""
    return [
        [row.id, decisions.digest(row)]
        for part in chunked(tables.Decision.id, decision_ids)
        for row in session.scalars(select(tables.Decision).where(part).order_by(tables.Decision.id))
    ]
