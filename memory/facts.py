"""Facts as they are read: the timeline view over stored facts and candidates.

Candidates do not touch stored facts; `list_facts` resolves both together each time (see docs/adr/0005), and the
night's `decide` persists what it accepts. Writing lives in `memory.candidates` and `memory.decisions`; their
functions are offered here as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any, cast

from db.engine import Database
from memory import fact_rows, names
from memory.candidates import add_candidates
from memory.decisions import KINDS, decide, fitting_kind, list_decisions, rewind, undo
from memory.errors import UnknownFact
from memory.fact_rows import FactRow
from memory.perspective import visible_query
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.timeline import Resolved, resolve
from memory.types import Change, Fact, FactStatus
from memory.wordings import Wordings, fill

__all__ = [
    "ALL_STATUSES",
    "HOLDING",
    "KINDS",
    "add_candidates",
    "candidates",
    "decide",
    "fact_json",
    "fitting_kind",
    "get_fact",
    "list_decisions",
    "list_facts",
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
    clock: Clock = utc_now,
) -> list[Fact]:
    """Facts by subject, predicate and time.

    `person_id` keeps facts about that subject. `as_of` asks what held then; without it, what holds now.
    `known_to` is a person id: the timeline that follows from the messages they could know, up to `as_of`.
    `recorded_as_of` asks what the store held at that time, decisions included. Statuses tell what holds
    ("current" stored, "candidate" not decided yet, "contested") and what does not; ALL_STATUSES is the history.
    """
    with database.reading() as session:
        zone = fact_rows.timezone(session, space_id)
        rows = fact_rows.load(session, space_id, subject_id=person_id)
        if recorded_as_of is not None:
            rows = rewind(session, space_id, rows, recorded_as_of)
        if known_to is not None:
            visible = set(session.scalars(visible_query(space_id, known_to, as_of)))
            rows = fact_rows.limited_to(rows, visible)
    live = [row for row in rows if row.state in fact_rows.LIVE]
    resolved = resolve((fact_rows.assertion(row, zone) for row in live), registry)
    at = as_of or _latest(live, clock)
    facts = _view(resolved, {row.id: row for row in live}, at, registry)
    facts += [_plain(row) for row in rows if row.state not in fact_rows.LIVE]
    return sorted((fact for fact in facts if fact.status in statuses), key=_by_subject)


def _latest(rows: Iterable[FactRow], clock: Clock) -> datetime:
    """Now; or the last message, where the history ends later than the clock says."""
    return max([clock(), *(row.evidence[-1].time for row in rows if row.evidence)])


def _by_subject(fact: Fact) -> tuple[Any, ...]:
    return (
        names.key(fact.subject),
        fact.predicate,
        fact.valid_from or datetime.min.replace(tzinfo=UTC),
        fact.id,
    )


def _view(
    resolved: Sequence[Resolved], rows: Mapping[str, FactRow], at: datetime, registry: Registry
) -> list[Fact]:
    facts = [_fact(run, [rows[member] for member in run.members], at) for run in resolved]
    return _newest_of_one(facts, registry)


def _newest_of_one(facts: list[Fact], registry: Registry) -> list[Fact]:
    """Where an interlude was told of afterwards, only the value that began last holds during it."""
    newest: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        if _is_single(fact, registry):
            key = fact.subject_id, fact.predicate
            newest[key] = max(newest.get(key, fact), fact, key=_began)
    return [
        replace(fact, status="past")
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
    return "current" if state == "stored" else "candidate"


def _fact(run: Resolved, members: Sequence[FactRow], at: datetime) -> Fact:
    row = members[0]
    heard = {item.episode_id: item for member in members for item in member.evidence}
    oldest_first = sorted(heard.values(), key=lambda item: (item.time, item.position, item.episode_id))
    return replace(
        _plain(row),
        object=run.object,
        object_id=run.object_id,
        valid_from=run.valid_from,
        valid_to=run.valid_to,
        retracted_at=row.retracted_at if run.is_retracted else None,
        status=_status(run, row.state, at),
        confidence=run.confidence,
        evidence=tuple(item.episode_id for item in oldest_first),
        change=cast(Change, run.change),
        superseded_by=run.superseded_by,
    )


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
        state=row.state,
        status="current" if row.state == "stored" else cast(FactStatus, row.state),
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
    clock: Clock = utc_now,
) -> Fact:
    """The fact as it stands in its timeline; raises UnknownFact.

    A candidate that restates another fact comes as it was said, with that fact's id in `superseded_by`.
    """
    registry = registry or _shipped_registry()
    with database.reading() as session:
        found = fact_rows.load(session, space_id, fact_id=fact_id)
        if not found:
            raise UnknownFact(fact_id)
        (row,) = found
        if row.state not in fact_rows.LIVE:
            return _plain(row)
        zone = fact_rows.timezone(session, space_id)
        slot = fact_rows.load_slot(session, space_id, row, fact_rows.LIVE)
    resolved = resolve((fact_rows.assertion(other, zone) for other in slot), registry)
    facts = _view(resolved, {other.id: other for other in slot}, _latest(slot, clock), registry)
    run = next(run for run in resolved if fact_id in run.members)
    if run.id != fact_id:
        return replace(_plain(row), superseded_by=run.id)
    return next(fact for fact in facts if fact.id == fact_id)


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
