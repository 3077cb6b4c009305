"""One reading of facts: statements rewound, limited and resolved, and the facts that they make.

`memory.facts` asks for readings; nothing here is written or read back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy.orm import Session

from memory import fact_rows, families, moments, names, permanence, values
from memory.fact_rows import ACCEPTED, FactRow
from memory.perspective import visible_among
from memory.ports import Clock
from memory.registry import LASTING, Registry
from memory.rewind import rewind
from memory.timeline import Resolved, resolve
from memory.types import Change, Fact, FactStatus

HOLDING: tuple[FactStatus, ...] = ("current", "candidate", "contested")


@dataclass(frozen=True, slots=True)
class Asked:
    """When, by whom and as recorded when; what is asked of every reading."""

    registry: Registry
    as_of: datetime | None
    known_to: str | None
    recorded_as_of: datetime | None
    clock: Clock

    def __post_init__(self) -> None:
        for moment in (self.as_of, self.recorded_as_of):
            if moment is not None:
                moments.checked(moment)

    @property
    def now(self) -> datetime:
        return self.as_of or self.recorded_as_of or self.clock()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which facts of a reading are asked for; None is all."""

    statuses: Collection[FactStatus]
    predicates: Collection[str] | None = None
    topic: str | None = None

    def takes(self, fact: Fact, registry: Registry) -> bool:
        return (
            fact.status in self.statuses
            and (self.predicates is None or fact.predicate in self.predicates)
            and (self.topic is None or registry.get(fact.predicate).topic == self.topic)
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Facts of every status; the statements they were made of, and which fact each is part of."""

    facts: Sequence[Fact]
    rows: Mapping[str, FactRow]
    owners: Mapping[str, str]

    def chosen(self, choice: Choice, registry: Registry) -> list[Fact]:
        """The facts of that choice, by subject, predicate and time."""
        return sorted((fact for fact in self.facts if choice.takes(fact, registry)), key=_by_subject)


def read(
    session: Session,
    space_id: str,
    asked: Asked,
    subject_ids: Collection[str] | None,
    predicates: Collection[str] | None,
) -> Reading:
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
    facts += [plain(row) for row in rows if row.state not in fact_rows.LIVE]
    owners = {row.id: row.id for row in rows} | {m: run.id for run in resolved for m in run.members}
    return Reading(facts, {row.id: row for row in rows}, owners)


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
    last_said = {run.id: max(fact_rows.last_said(rows[member]) for member in run.members) for run in resolved}
    return _newest_of_one(facts, last_said, registry)


def _newest_of_one(
    facts: list[Fact], last_said: Mapping[str, tuple[datetime, int]], registry: Registry
) -> list[Fact]:
    """Where an interlude was told of afterwards, only the value that began last holds during it; of two that began
    on one day, the one that was last spoken of."""

    def began(fact: Fact) -> tuple[Any, ...]:
        since = fact.valid_from or datetime.min.replace(tzinfo=UTC)
        return since, last_said[fact.id], values.normal(fact.object), fact.id

    newest: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        if _is_single(fact, registry):
            key = fact.subject_id, fact.predicate
            newest[key] = max(newest.get(key, fact), fact, key=began)
    return [
        replace(fact, status="past", is_stale=False)
        if _is_single(fact, registry) and newest[fact.subject_id, fact.predicate] is not fact
        else fact
        for fact in facts
    ]


def _is_single(fact: Fact, registry: Registry) -> bool:
    return fact.status in ("current", "candidate") and registry.get(fact.predicate).cardinality == "one"


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
    volatility = permanence.held(registry.get(row.predicate), row.volatility)
    return replace(
        plain(row),
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
        is_stale=status in HOLDING and _is_stale(said, LASTING[volatility], at),
        is_pinned=any(rows[member].pinned_at is not None for member in run.members),
        volatility=volatility,
    )


def _is_stale(said: Sequence[datetime], lasting: timedelta | None, at: datetime) -> bool:
    """Whether at that time nobody had said it, or said since when, for longer than such things last."""
    return lasting is not None and bool(said) and at - max(said) > lasting


def plain(row: FactRow) -> Fact:
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
        is_pinned=row.pinned_at is not None,
        volatility=row.volatility or "years",
    )
