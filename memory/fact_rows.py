"""Fact rows with their evidence, read into values that the timeline understands. Nothing here decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db import tables
from memory import families, spaces
from memory.timeline import Assertion

LIVE = ("candidate", "stored")  # states that the timeline knows of


@dataclass(frozen=True, slots=True)
class Heard:
    """One message a fact rests on."""

    episode_id: str
    time: datetime
    position: int
    conversation_id: str


@dataclass(frozen=True, slots=True)
class FactRow:
    id: str
    subject_id: str
    subject: str
    predicate: str
    object: str
    object_key: str
    object_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    recorded_at: datetime
    retracted_at: datetime | None
    state: str
    change: str
    corrects: str | None
    confidence: float
    origin: str
    rule: str
    asserter_id: str | None
    asserted_by: str | None  # name
    is_contested: bool
    superseded_by: str | None
    salience: float | None
    salience_terms: dict[str, Any] | None
    evidence: tuple[Heard, ...] = ()  # oldest first


_JOINED = ("subject", "asserter_id", "asserted_by", "evidence")
_COLUMNS = tuple(item.name for item in fields(FactRow) if item.name not in _JOINED)


def load(
    session: Session,
    space_id: str,
    *,
    subject_id: str | None = None,
    predicates: Collection[str] | None = None,
    fact_id: str | None = None,
    states: Collection[str] | None = None,
) -> list[FactRow]:
    """Facts of the space with their evidence, in no particular order."""
    wanted = [tables.Fact.space_id == space_id]
    if subject_id is not None:
        wanted.append(tables.Fact.subject_id == subject_id)
    if predicates is not None:
        wanted.append(tables.Fact.predicate.in_(sorted(predicates)))
    if fact_id is not None:
        wanted.append(tables.Fact.id == fact_id)
    if states is not None:
        wanted.append(tables.Fact.state.in_(sorted(states)))
    subject, asserter = aliased(tables.Node), aliased(tables.Node)
    rows = session.execute(
        select(tables.Fact, subject.name, asserter.id, asserter.name)
        .join(subject, subject.id == tables.Fact.subject_id)
        .outerjoin(asserter, asserter.id == tables.Fact.asserted_by)
        .where(*wanted)
    ).all()
    heard = _evidence(session, wanted) if rows else {}
    return [
        FactRow(
            **{column: getattr(fact, column) for column in _COLUMNS},
            subject=subject_name,
            asserter_id=asserter_id,
            asserted_by=asserter_name,
            evidence=tuple(heard.get(fact.id, ())),
        )
        for fact, subject_name, asserter_id, asserter_name in rows
    ]


def _evidence(session: Session, wanted: list[Any]) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    query = (
        select(
            tables.Evidence.fact_id,
            tables.Episode.id,
            tables.Episode.time,
            tables.Episode.position,
            tables.Episode.conversation_id,
        )
        .join(tables.Episode, tables.Episode.id == tables.Evidence.episode_id)
        .join(tables.Fact, tables.Fact.id == tables.Evidence.fact_id)
        .where(*wanted)
        .order_by(tables.Episode.time, tables.Episode.position, tables.Episode.id)
    )
    for fact_id, episode_id, time, position, conversation_id in session.execute(query):
        found[fact_id].append(Heard(episode_id, time, position, conversation_id))
    return found


def load_slot(session: Session, space_id: str, row: FactRow, states: Collection[str]) -> list[FactRow]:
    """The facts that share the row's slot in time, of these states."""
    return load(
        session,
        space_id,
        subject_id=row.subject_id,
        predicates=families.sharing(row.predicate),
        states=states,
    )


def limited_to(rows: list[FactRow], visible: Collection[str]) -> list[FactRow]:
    """The rows as somebody sees them who knows only these episodes; rows they have no evidence for are left out."""
    kept = []
    for row in rows:
        evidence = tuple(heard for heard in row.evidence if heard.episode_id in visible)
        if evidence:
            kept.append(replace(row, evidence=evidence))
    return kept


def timezone(session: Session, space_id: str) -> tzinfo:
    """The space's time zone, in which its days begin."""
    return spaces.zone(session.get_one(tables.Space, space_id).timezone)


def day_of(time: datetime, zone: tzinfo) -> datetime:
    """The calendar day of that moment in the zone, as midnight UTC."""
    local = time.astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def assertion(row: FactRow, zone: tzinfo) -> Assertion:
    """The row as the timeline sees it."""
    moments = [(heard.time, heard.position) for heard in row.evidence] or [(row.recorded_at, 0)]
    return Assertion(
        id=row.id,
        subject_id=row.subject_id,
        predicate=row.predicate,
        object=row.object,
        said=moments[0],
        last_said=moments[-1],
        day=day_of(moments[0][0], zone),
        object_id=row.object_id,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        change=row.change,
        corrects=row.corrects,
        asserted_by=row.asserter_id,
        confidence=row.confidence,
        is_stored=row.state == "stored",
        is_retracted=row.retracted_at is not None,
        superseded_by=row.superseded_by,
        evidence=tuple(heard.episode_id for heard in row.evidence),
        conversations=frozenset(heard.conversation_id for heard in row.evidence),
    )
