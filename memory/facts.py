"""Facts as they are read: the timeline view over accepted statements and candidates.

Nothing that was derived is read back; every reading resolves what was said anew (see docs/adr/0005 and 0011): over
all of it, over what one person could hear, or over what the store stood by on an earlier day. Writing lives in
`memory.candidates`, `memory.decisions` and `memory.statements`; functions of the first two are offered here as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, families, names
from memory.candidates import add_candidates
from memory.decisions import KINDS, decide, fitting_kind, list_decisions, rewind, undo
from memory.errors import UnknownFact, UnreadableTime
from memory.fact_rows import ACCEPTED, FactRow
from memory.perspective import visible_among
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.timeline import Resolved, resolve
from memory.types import Change, Fact, FactStatus
from memory.wordings import Wordings, fill

__all__ = [
    "ALL_STATUSES",
    "HOLDING",
    "KINDS",
    "FactPage",
    "add_candidates",
    "candidates",
    "decide",
    "fact_json",
    "fitting_kind",
    "get_fact",
    "list_decisions",
    "list_facts",
    "page_facts",
    "sentence",
    "undo",
]

HOLDING: tuple[FactStatus, ...] = ("current", "candidate", "contested")
ALL_STATUSES: tuple[FactStatus, ...] = (
    *HOLDING,
    "past",
    "future",
    "retracted",
    "quarantined",
    "rejected",
)
_SUBJECTS = 200  # read together for a page


@dataclass(frozen=True, slots=True)
class _Asked:
    """When, by whom and as recorded when; what is asked of every reading."""

    registry: Registry
    as_of: datetime | None
    known_to: str | None
    recorded_as_of: datetime | None
    clock: Clock

    def __post_init__(self) -> None:
        for moment in (self.as_of, self.recorded_as_of):
            if moment is not None and moment.tzinfo is None:
                raise UnreadableTime(str(moment), "it names no time zone")

    @property
    def now(self) -> datetime:
        return self.as_of or self.recorded_as_of or self.clock()


def list_facts(
    database: Database,
    space_id: str,
    registry: Registry,
    *,
    person_id: str | None = None,
    as_of: datetime | None = None,
    known_to: str | None = None,
    recorded_as_of: datetime | None = None,
    statuses: Collection[FactStatus] = HOLDING,
    predicates: Collection[str] | None = None,
    clock: Clock = utc_now,
) -> list[Fact]:
    """Facts by subject, predicate and time.

    `person_id` keeps facts about that subject. `as_of` asks what held then; without it, what holds now.
    `known_to` is a person id: the timeline that follows from the messages they could know, up to `as_of`; nothing
    else shows in it. `recorded_as_of` asks what this function said at that time, decisions included. Statuses tell
    what holds ("current" stored, "candidate" not decided yet, "contested") and what does not; ALL_STATUSES is the
    history. Raises UnreadableTime for a time without a zone.
    """
    asked = _Asked(registry, as_of, known_to, recorded_as_of, clock)
    subjects = None if person_id is None else (person_id,)
    with database.reading() as session:
        reading = _read(session, space_id, asked, subjects, predicates)
    return reading.of(statuses, predicates)


@dataclass(frozen=True, slots=True)
class FactPage:
    """`next` is given as `after` for what follows; None at the end."""

    facts: tuple[Fact, ...]
    next: str | None


def page_facts(
    database: Database,
    space_id: str,
    registry: Registry,
    *,
    limit: int = 100,
    after: str | None = None,
    statuses: Collection[FactStatus] = HOLDING,
    predicates: Collection[str] | None = None,
    as_of: datetime | None = None,
    known_to: str | None = None,
    recorded_as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> FactPage:
    """Everybody's facts as `list_facts` gives them, `limit` at a time; only the subjects of the page are read.

    `after` is the id of the last fact of the page before. Raises UnknownFact where that is gone.
    """
    asked = _Asked(registry, as_of, known_to, recorded_as_of, clock)
    found: list[Fact] = []
    with database.reading() as session:
        place = None if after is None else _place(session, space_id, after)
        while len(found) <= limit:
            subjects = _subjects(session, space_id, place, is_included=not found and after is not None)
            if not subjects:
                break
            place = subjects[-1]
            reading = _read(session, space_id, asked, [node_id for _, node_id in subjects], predicates)
            page = reading.of(statuses, predicates)
            found += _following(page, after) if after is not None else page
            after = None
    return FactPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _following(facts: Sequence[Fact], after: str) -> Sequence[Fact]:
    """What comes behind that fact; all of it where the fact is no longer among them."""
    position = next((i for i, fact in enumerate(facts) if fact.id == after), -1)
    return facts[position + 1 :]


def _place(session: Session, space_id: str, fact_id: str) -> tuple[str, str]:
    """Where the fact's subject stands in the order of subjects."""
    row = session.execute(
        select(tables.Node.name_key, tables.Node.id)
        .join(tables.Fact, tables.Fact.subject_id == tables.Node.id)
        .where(tables.Fact.space_id == space_id, tables.Fact.id == fact_id)
    ).first()
    if row is None:
        raise UnknownFact(fact_id)
    return row[0], row[1]


def _subjects(
    session: Session, space_id: str, after: tuple[str, str] | None, *, is_included: bool
) -> list[tuple[str, str]]:
    """The next subjects by name, as (key, id)."""
    key, node_id = tables.Node.name_key, tables.Node.id
    has_facts = select(tables.Fact.id).where(tables.Fact.subject_id == node_id).exists()
    query = select(key, node_id).where(tables.Node.space_id == space_id, has_facts)
    if after is not None:
        is_behind = node_id >= after[1] if is_included else node_id > after[1]
        query = query.where(or_(key > after[0], and_(key == after[0], is_behind)))
    return [(row[0], row[1]) for row in session.execute(query.order_by(key, node_id).limit(_SUBJECTS))]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Facts of every status; the statements they were made of, and which fact each is part of."""

    facts: Sequence[Fact]
    rows: Mapping[str, FactRow]
    owners: Mapping[str, str]

    def of(self, statuses: Collection[FactStatus], predicates: Collection[str] | None) -> list[Fact]:
        chosen = (
            fact
            for fact in self.facts
            if fact.status in statuses and (predicates is None or fact.predicate in predicates)
        )
        return sorted(chosen, key=_by_subject)


def _read(
    session: Session,
    space_id: str,
    asked: _Asked,
    subject_ids: Collection[str] | None,
    predicates: Collection[str] | None,
) -> _Reading:
    """What is found in the slots of these predicates, in no particular order."""
    zone = fact_rows.timezone(session, space_id)
    slots = None if predicates is None else {name for item in predicates for name in families.sharing(item)}
    rows = fact_rows.load(session, space_id, subject_ids=subject_ids, predicates=slots)
    if asked.recorded_as_of is not None:
        rows = rewind(session, space_id, rows, asked.recorded_as_of)
    if asked.known_to is not None:
        heard = {item.episode_id for row in rows for item in row.evidence}
        visible = visible_among(session, space_id, asked.known_to, heard, asked.as_of)
        rows = fact_rows.limited_to(rows, visible, zone)
    live = {row.id: row for row in rows if row.state in fact_rows.LIVE}
    resolved = resolve((fact_rows.assertion(row, zone) for row in live.values()), asked.registry)
    at = asked.now if asked.as_of else _latest(live.values(), asked.now)
    facts = _view(resolved, live, at, asked.registry)
    facts += [_plain(row) for row in rows if row.state not in fact_rows.LIVE]
    owners = {row.id: row.id for row in rows} | {m: run.id for run in resolved for m in run.members}
    return _Reading(facts, {row.id: row for row in rows}, owners)


def _latest(rows: Iterable[FactRow], now: datetime) -> datetime:
    """Now; or the last message, where the history ends later than the clock says."""
    return max([now, *(row.evidence[-1].time for row in rows if row.evidence)])


def _by_subject(fact: Fact) -> tuple[Any, ...]:
    return (
        names.key(fact.subject),
        fact.subject_id,
        fact.predicate,
        fact.valid_from or datetime.min.replace(tzinfo=UTC),
        fact.id,
    )


def _view(
    resolved: Sequence[Resolved], rows: Mapping[str, FactRow], at: datetime, registry: Registry
) -> list[Fact]:
    facts = [_fact(run, rows, at, registry) for run in resolved]
    return _newest_of_one(facts, registry)


def _newest_of_one(facts: list[Fact], registry: Registry) -> list[Fact]:
    """Where an interlude was told of afterwards, only the value that began last holds during it."""
    newest: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        if _is_single(fact, registry):
            key = fact.subject_id, fact.predicate
            newest[key] = max(newest.get(key, fact), fact, key=_began)
    return [
        replace(fact, status="past", is_stale=False)
        if _is_single(fact, registry) and newest[fact.subject_id, fact.predicate] is not fact
        else fact
        for fact in facts
    ]


def _is_single(fact: Fact, registry: Registry) -> bool:
    return fact.status in ("current", "candidate") and registry.get(fact.predicate).cardinality == "one"


def _began(fact: Fact) -> tuple[datetime, str]:
    return (fact.valid_from or datetime.min.replace(tzinfo=UTC), fact.id)


def _status(run: Resolved, state: str, at: datetime) -> FactStatus:
    if run.is_retracted:
        return "retracted"
    if run.valid_to is not None and run.valid_to <= at:
        return "past"
    if run.valid_from is not None and run.valid_from > at:
        return "future"
    if run.is_contested:
        return "contested"
    return "current" if state in ACCEPTED else "candidate"


def _fact(run: Resolved, rows: Mapping[str, FactRow], at: datetime, registry: Registry) -> Fact:
    row = rows[run.id]
    heard = {item.episode_id: item for member in run.members for item in rows[member].evidence}
    oldest_first = sorted(heard.values(), key=lambda item: (item.time, item.position, item.episode_id))
    status = _status(run, row.state, at)
    retracted_at = row.retracted_at
    if run.is_retracted and retracted_at is None and run.superseded_by is not None:
        retracted_at = rows[run.superseded_by].recorded_at
    said = [item.time for item in oldest_first] + ([run.valid_from] if run.valid_from else [])
    lasting = registry.get(row.predicate).lasting
    return replace(
        _plain(row),
        object=run.object,
        object_id=run.object_id,
        valid_from=run.valid_from,
        valid_to=run.valid_to,
        retracted_at=retracted_at if run.is_retracted else None,
        status=status,
        confidence=run.confidence,
        evidence=tuple(item.episode_id for item in oldest_first),
        change=cast(Change, run.change),
        superseded_by=run.superseded_by,
        is_stale=status in HOLDING and _is_stale(said, lasting, at),
    )


def _is_stale(said: Sequence[datetime], lasting: timedelta | None, at: datetime) -> bool:
    """Whether at that time nobody had said it, or said since when, for longer than such things last."""
    return lasting is not None and bool(said) and at - max(said) > lasting


def _plain(row: FactRow) -> Fact:
    """The row as it stands in the table, outside every timeline."""
    return Fact(
        id=row.id,
        subject_id=row.subject_id,
        subject=row.subject,
        predicate=row.predicate,
        object=row.object,
        object_id=row.object_id,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_at=row.recorded_at,
        retracted_at=row.retracted_at,
        state="stored" if row.state in ACCEPTED else row.state,
        status="current" if row.state in ACCEPTED else cast(FactStatus, row.state),
        confidence=row.confidence,
        origin=row.origin,
        rule=row.rule,
        asserted_by=row.asserted_by,
        evidence=tuple(heard.episode_id for heard in row.evidence),
        change=cast(Change, row.change),
        corrects=row.corrects,
        superseded_by=row.superseded_by,
        salience=row.salience,
        salience_terms=row.salience_terms,
    )


def get_fact(
    database: Database,
    space_id: str,
    fact_id: str,
    registry: Registry | None = None,
    *,
    as_of: datetime | None = None,
    known_to: str | None = None,
    recorded_as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> Fact:
    """The fact as it stands in its timeline; raises UnknownFact, also where `known_to` cannot know it.

    A statement that restates another fact comes as it was said, with that fact's id in `superseded_by`.
    """
    asked = _Asked(registry or _shipped_registry(), as_of, known_to, recorded_as_of, clock)
    with database.reading() as session:
        found = fact_rows.load(session, space_id, fact_id=fact_id)
        if not found:
            raise UnknownFact(fact_id)
        reading = _read(session, space_id, asked, (found[0].subject_id,), (found[0].predicate,))
    if fact_id not in reading.owners:
        raise UnknownFact(fact_id)
    owner = reading.owners[fact_id]
    if owner != fact_id:
        return replace(_plain(reading.rows[fact_id]), superseded_by=owner)
    return next(fact for fact in reading.facts if fact.id == fact_id)


@lru_cache(maxsize=1)
def _shipped_registry() -> Registry:
    return Registry.load()


def candidates(database: Database, space_id: str) -> list[Fact]:
    """Every fact that waits for a decision, each as it was said, in the order of saying."""
    with database.reading() as session:
        rows = fact_rows.load(session, space_id, states=("candidate",))
    return [_plain(row) for row in sorted(rows, key=_order_of_saying)]


def _order_of_saying(row: FactRow) -> tuple[Any, ...]:
    said = row.evidence[0] if row.evidence else None
    return (
        said.time if said else row.recorded_at,
        said.position if said else 0,
        row.change == "correct",
        row.id,
    )


def fact_json(fact: Fact) -> dict[str, Any]:
    """The fact as other programs get it. Days as YYYY-MM-DD, moments with their time; null is open or unknown."""
    return {
        "id": fact.id,
        "subject": fact.subject,
        "predicate": fact.predicate,
        "object": fact.object,
        "valid_from": _iso(fact.valid_from),
        "valid_to": _iso(fact.valid_to),
        "confidence": round(fact.confidence, 4),
        "evidence": list(fact.evidence),
        "status": fact.status,
        "stale": fact.is_stale,
    }


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat()


def sentence(fact: Fact) -> str:
    """The fact as an English statement, in the present tense: "Ines lives in Matosinhos."."""
    template = Wordings.load().statements(fact.predicate)[0]
    return fill(template, subject=fact.subject, object=fact.object, predicate=fact.predicate)
