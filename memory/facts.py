"""Facts as they are read: the timeline view over accepted statements and candidates.

Nothing that was derived is read back; every reading resolves what was said anew (see docs/adr/0005 and 0011): over
all of it, over what one person could hear, or over what the store stood by on an earlier day. Writing lives in
`memory.candidates`, `memory.decisions` and `memory.statements`; functions of the first two are offered here as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, permanence
from memory.candidates import add_candidates
from memory.decisions import KINDS, decide, list_decisions, undo
from memory.errors import UnknownFact
from memory.fact_rows import FactRow
from memory.fact_views import HOLDING, Asked, Choice, Reading, plain, read
from memory.ports import Clock, utc_now
from memory.registry import Registry, Volatility
from memory.sensitive import kinds_of_fact
from memory.types import Fact, FactStatus
from memory.wordings import Wordings, fill

__all__ = [
    "ALL_STATUSES",
    "HISTORY",
    "HOLDING",
    "KINDS",
    "FactPage",
    "add_candidates",
    "candidates",
    "decide",
    "fact_json",
    "get_fact",
    "get_facts",
    "list_decisions",
    "list_facts",
    "page_facts",
    "sentence",
    "undo",
]

HISTORY: tuple[FactStatus, ...] = (*HOLDING, "past", "future", "retracted", "quarantined")
ALL_STATUSES: tuple[FactStatus, ...] = (
    *HISTORY,
    "rejected",
)
_FIRST_SUBJECTS, _MOST_SUBJECTS = 8, 400  # read together for a page


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
    topic: str | None = None,
    clock: Clock = utc_now,
) -> list[Fact]:
    """Facts by subject, predicate and time.

    `person_id` keeps facts about that subject. `as_of` asks what held then; without it, what holds now.
    `known_to` is a person id: the timeline that follows from the messages they could know, up to `as_of`; nothing
    else shows in it. `recorded_as_of` asks what this function said at that time, decisions included. Statuses tell
    what holds ("current" stored, "candidate" not decided yet, "contested") and what does not; HISTORY is what ever
    held and what was withdrawn. Raises UnreadableTime for a time without a zone.
    """
    asked = Asked(registry, as_of, known_to, recorded_as_of, clock)
    subjects = None if person_id is None else (person_id,)
    with database.reading() as session:
        reading = read(session, space_id, asked, subjects, predicates)
    return reading.chosen(Choice(statuses, predicates, topic), registry)


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
    topic: str | None = None,
    as_of: datetime | None = None,
    known_to: str | None = None,
    recorded_as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> FactPage:
    """Everybody's facts as `list_facts` gives them, `limit` at a time; only the subjects of the page are read.

    `after` is the id of the last fact of the page before. Raises UnknownFact where that is gone.
    """
    asked = Asked(registry, as_of, known_to, recorded_as_of, clock)
    choice = Choice(statuses, predicates, topic)
    found: list[Fact] = []
    with database.reading() as session:
        for subjects in _subjects(session, space_id, after):
            reading = read(session, space_id, asked, subjects, predicates)
            places = {node_id: place for place, node_id in enumerate(subjects)}
            page = sorted(reading.chosen(choice, registry), key=lambda fact: places[fact.subject_id])
            found += page if after is None else _following(page, after)
            after = None
            if len(found) > limit:
                break
    return FactPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _following(facts: Sequence[Fact], after: str) -> Sequence[Fact]:
    """What comes behind that fact; all of it where the fact is no longer among them."""
    position = next((i for i, fact in enumerate(facts) if fact.id == after), -1)
    return facts[position + 1 :]


def _subjects(session: Session, space_id: str, from_fact: str | None) -> Iterator[list[str]]:
    """Ids of the subjects by name, in growing parts; from the subject of that fact on."""
    key, node_id = tables.Node.name_key, tables.Node.id
    has_facts = select(tables.Fact.id).where(tables.Fact.subject_id == node_id).exists()
    query = select(key, node_id).where(tables.Node.space_id == space_id, has_facts).order_by(key, node_id)
    begin = None
    if from_fact is not None:
        first = _subject_of(session, space_id, from_fact)
        begin = or_(key > first[0], and_(key == first[0], node_id >= first[1]))
    n = _FIRST_SUBJECTS
    while True:
        part = session.execute((query if begin is None else query.where(begin)).limit(n)).all()
        if part:
            yield [row[1] for row in part]
        if len(part) < n:
            return
        last = part[-1]
        begin = or_(key > last[0], and_(key == last[0], node_id > last[1]))
        n = min(2 * n, _MOST_SUBJECTS)


def _subject_of(session: Session, space_id: str, fact_id: str) -> tuple[str, str]:
    row = session.execute(
        select(tables.Node.name_key, tables.Node.id)
        .join(tables.Fact, tables.Fact.subject_id == tables.Node.id)
        .where(tables.Fact.space_id == space_id, tables.Fact.id == fact_id)
    ).first()
    if row is None:
        raise UnknownFact(fact_id)
    return row[0], row[1]


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

    A statement that restates another fact comes as it was said, with that fact's status and its id in
    `superseded_by`.
    """
    asked = Asked(registry or _shipped_registry(), as_of, known_to, recorded_as_of, clock)
    if found := _get_facts(database, space_id, [fact_id], asked):
        return found[0]
    raise UnknownFact(fact_id)


def get_facts(
    database: Database,
    space_id: str,
    fact_ids: Sequence[str],
    registry: Registry | None = None,
    *,
    as_of: datetime | None = None,
    known_to: str | None = None,
    clock: Clock = utc_now,
) -> list[Fact]:
    """Each as `get_fact` gives it, in the order of the ids, all in one reading; without those that raise there."""
    asked = Asked(registry or _shipped_registry(), as_of, known_to, None, clock)
    return _get_facts(database, space_id, fact_ids, asked)


def _get_facts(database: Database, space_id: str, fact_ids: Sequence[str], asked: Asked) -> list[Fact]:
    with database.reading() as session:
        slots = _slots_of(session, space_id, fact_ids)
        if not slots:
            return []
        subjects, predicates = {slot[0] for slot in slots}, {slot[1] for slot in slots}
        reading = read(session, space_id, asked, subjects, predicates)
    by_id = {fact.id: fact for fact in reading.facts}
    return [
        _as_it_stands(fact_id, by_id[reading.owners[fact_id]], reading)
        for fact_id in fact_ids
        if fact_id in reading.owners
    ]


def _slots_of(session: Session, space_id: str, fact_ids: Collection[str]) -> set[tuple[str, str]]:
    """Subject and predicate of each."""
    fact = tables.Fact
    query = select(fact.subject_id, fact.predicate).where(fact.space_id == space_id)
    return {
        (subject_id, predicate)
        for chunk in fact_rows.chunks(sorted(set(fact_ids)))
        for subject_id, predicate in session.execute(query.where(fact.id.in_(chunk)))
    }


def _as_it_stands(fact_id: str, owner: Fact, reading: Reading) -> Fact:
    if owner.id == fact_id:
        return owner
    return replace(plain(reading.rows[fact_id]), superseded_by=owner.id, status=owner.status)


@lru_cache(maxsize=1)
def _shipped_registry() -> Registry:
    return Registry.load()


def candidates(database: Database, space_id: str) -> list[Fact]:
    """Every fact that waits for a decision, each as it was said, in the order of saying."""
    with database.reading() as session:
        rows = fact_rows.load(session, space_id, states=("candidate",))
    return [plain(row) for row in sorted(rows, key=_order_of_saying)]


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
        "sensitive": list(kinds_of_fact(fact)),
        "kind": permanence.permanence(cast(Volatility, fact.volatility)),
    }


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat()


def sentence(fact: Fact) -> str:
    """The fact as an English statement, in the present tense: "Ines lives in Matosinhos."."""
    return sentence_of(fact.subject, fact.predicate, fact.object)


def sentence_of(subject: str, predicate: str, value: str) -> str:
    """The same for what is no fact yet."""
    template = Wordings.load().statements(predicate)[0]
    return fill(template, subject=subject, object=value, predicate=predicate)
