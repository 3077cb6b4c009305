"""Fact rows with their evidence, read into values that the timeline understands. Nothing here decides.

A row is one statement as it was said, with the store's standing on it. State `stored` is the statement that carries
a run, `merged` one that was accepted as a restatement of the run in `superseded_by`. Where a successor ended or
withdrew a stored fact, `superseded_by` names it, `valid_to` is where that left it and `stated_to` keeps the end that
was said. All this is derived by `memory.timeline` each time and only written down; what was said is never changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session, aliased

from db import tables
from memory import families, spaces
from memory.timeline import Assertion

ACCEPTED = ("stored", "merged")
LIVE = ("candidate", *ACCEPTED)  # states that the timeline knows of
_RANK = {"stored": 0, "merged": 1, "candidate": 2}
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters


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
    stated_to: datetime | None
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
    pinned_at: datetime | None
    volatility: str | None
    evidence: tuple[Heard, ...] = ()  # oldest first


_JOINED = ("subject", "asserter_id", "asserted_by", "evidence")
_COLUMNS = tuple(item.name for item in fields(FactRow) if item.name not in _JOINED)


def load(
    session: Session,
    space_id: str,
    *,
    subject_ids: Collection[str] | None = None,
    predicates: Collection[str] | None = None,
    fact_id: str | None = None,
    ids: Collection[str] | None = None,
    states: Collection[str] | None = None,
) -> list[FactRow]:
    """Facts of the space with their evidence, in no particular order."""
    wanted: list[ColumnElement[bool]] = [tables.Fact.space_id == space_id]
    if predicates is not None:
        wanted.append(tables.Fact.predicate.in_(sorted(predicates)))
    if fact_id is not None:
        wanted.append(tables.Fact.id == fact_id)
    if states is not None:
        wanted.append(tables.Fact.state.in_(sorted(states)))
    if ids is not None:
        return [
            row
            for chunk in chunks(sorted(ids))
            for row in _load(session, [*wanted, tables.Fact.id.in_(chunk)])
        ]
    if subject_ids is None:
        return _load(session, wanted)
    return [
        row
        for chunk in chunks(sorted(subject_ids))
        for row in _load(session, [*wanted, tables.Fact.subject_id.in_(chunk)])
    ]


@lru_cache(maxsize=1)
def _columns() -> Select[*tuple[Any, ...]]:
    """Made once: with aliases, making the query costs more than asking it."""
    subject, asserter = aliased(tables.Node), aliased(tables.Node)
    columns = [getattr(tables.Fact, name) for name in _COLUMNS]
    return (
        select(subject.name, asserter.id, asserter.name, *columns)
        .join(subject, subject.id == tables.Fact.subject_id)
        .outerjoin(asserter, asserter.id == tables.Fact.asserted_by)
    )


def _load(session: Session, wanted: list[ColumnElement[bool]]) -> list[FactRow]:
    rows = session.execute(_columns().where(*wanted)).all()
    heard = _evidence(session, wanted) if rows else {}
    return [
        FactRow(
            subject=subject_name,
            asserter_id=asserter_id,
            asserted_by=asserter_name,
            evidence=tuple(heard.get(values[0], ())),
            **dict(zip(_COLUMNS, values, strict=True)),
        )
        for subject_name, asserter_id, asserter_name, *values in rows
    ]


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in parts that fit into one query."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


@lru_cache(maxsize=1)
def _heard() -> Select[*tuple[Any, ...]]:
    return (
        select(
            tables.Evidence.fact_id,
            tables.Episode.id,
            tables.Episode.time,
            tables.Episode.position,
            tables.Episode.conversation_id,
        )
        .join(tables.Episode, tables.Episode.id == tables.Evidence.episode_id)
        .join(tables.Fact, tables.Fact.id == tables.Evidence.fact_id)
        .order_by(tables.Episode.time, tables.Episode.position, tables.Episode.id)
    )


def _evidence(session: Session, wanted: list[ColumnElement[bool]]) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    for fact_id, episode_id, time, position, conversation_id in session.execute(_heard().where(*wanted)):
        found[fact_id].append(Heard(episode_id, time, position, conversation_id))
    return found


def load_slot(session: Session, space_id: str, row: FactRow, states: Collection[str]) -> list[FactRow]:
    """The facts that share the row's slot in time, of these states."""
    return load(
        session,
        space_id,
        subject_ids=(row.subject_id,),
        predicates=families.sharing(row.predicate),
        states=states,
    )


def said_to(row: FactRow | tables.Fact) -> datetime | None:
    """The end that was said, whatever a successor made of it."""
    return row.stated_to if row.state == "stored" and row.superseded_by is not None else row.valid_to


def is_retracted(row: FactRow | tables.Fact) -> bool:
    """Whether a decision took the statement itself back, rather than another statement withdrawing it."""
    return row.retracted_at is not None and (row.state == "merged" or row.superseded_by is None)


def limited_to(rows: Collection[FactRow], visible: Collection[str], zone: tzinfo) -> list[FactRow]:
    """The statements as somebody heard them who knows only these episodes, and nothing that the store made of them.

    A statement without a visible message is left out, and so is one that the store decided against. A day that was
    only the day of the first message becomes the day of the first visible one.
    """
    kept = []
    for row in rows:
        heard = tuple(item for item in row.evidence if item.episode_id in visible)
        if not heard or row.state not in LIVE or is_retracted(row):
            continue
        told, day = day_of(row.evidence[0].time, zone), day_of(heard[0].time, zone)
        valid_from, valid_to = row.valid_from, said_to(row)
        kept.append(
            replace(
                row,
                valid_from=day if valid_from == told else valid_from,
                valid_to=day if row.change == "end" and valid_to == told else valid_to,
                stated_to=None,
                state="candidate" if row.state == "candidate" else "stored",
                superseded_by=None,
                retracted_at=None,
                is_contested=False,
                salience=None,
                salience_terms=None,
                pinned_at=None,
                evidence=heard,
            )
        )
    return kept


def timezone(session: Session, space_id: str) -> tzinfo:
    """The space's time zone, in which its days begin. Read once per session: it does not change."""
    key = "time zone", space_id
    if key not in session.info:
        name = session.connection().execute(_zone(), {"space_id": space_id}).scalar_one()
        session.info[key] = spaces.zone(name)
    zone: tzinfo = session.info[key]
    return zone


@lru_cache(maxsize=1)
def _zone() -> Select[str]:
    return select(tables.Space.timezone).where(tables.Space.id == bindparam("space_id"))


def day_of(time: datetime, zone: tzinfo) -> datetime:
    """The calendar day of that moment in the zone, as midnight UTC."""
    local = time.astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def last_said(row: FactRow) -> tuple[datetime, int]:
    """Time and position of its latest message; when it was recorded, where it has none."""
    return _moments(row)[-1]


def _moments(row: FactRow) -> list[tuple[datetime, int]]:
    return [(heard.time, heard.position) for heard in row.evidence] or [(row.recorded_at, 0)]


def assertion(row: FactRow, zone: tzinfo) -> Assertion:
    """What was said in the row, as the timeline sees it."""
    moments = _moments(row)
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
        valid_to=said_to(row),
        change=row.change,
        corrects=row.corrects,
        asserted_by=row.asserter_id,
        confidence=row.confidence,
        rank=_RANK[row.state],
        is_retracted=is_retracted(row),
        retracted_with=row.superseded_by if is_retracted(row) else None,
        evidence=tuple(heard.episode_id for heard in row.evidence),
        conversations=frozenset(heard.conversation_id for heard in row.evidence),
    )
