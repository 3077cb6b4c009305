"""One slot's statements, resolved, and the facts that they make at a moment; each is worked out once.

A slot is read by many threads and belongs to none: what it works out follows from its rows alone, so that two who work
it out at once come to the same. Nothing here reads the store; `memory.kept_facts` keeps slots between readings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any, cast

from memory import fact_rows, families, permanence, values
from memory.fact_rows import ACCEPTED, FactRow, Heard
from memory.registry import LASTING, Registry, Volatility
from memory.timeline import Resolved, resolve
from memory.types import Change, Fact, FactStatus

HOLDING: tuple[FactStatus, ...] = ("current", "candidate", "contested")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _View:
    """The slot's facts at every moment after `since` and before `until`."""

    since: datetime
    until: datetime
    facts: Sequence[Fact]


class Slot:
    """The statements about one subject that share a slot, of every state."""

    def __init__(self, name: str, rows: Iterable[FactRow], zone: tzinfo) -> None:
        self.name = name
        self.rows = tuple(rows)
        self._zone = zone
        self._resolved: tuple[Registry, Sequence[Resolved]] | None = None
        self._view: tuple[Registry, _View] | None = None

    @cached_property
    def latest(self) -> datetime | None:
        """When the last message was said that the slot's timeline rests on."""
        return max((row.evidence[-1].time for row in self._live() if row.evidence), default=None)

    def runs(self, registry: Registry) -> Sequence[Resolved]:
        kept = self._resolved
        if kept is None or kept[0] is not registry:
            said = (fact_rows.assertion(row, self._zone) for row in self._live())
            kept = self._resolved = registry, resolve(said, registry)
        return kept[1]

    def facts(self, at: datetime, registry: Registry) -> Sequence[Fact]:
        """The facts of every status as they are at that moment, those outside of the timeline among them."""
        kept = self._view
        if kept is None or kept[0] is not registry or not kept[1].since < at < kept[1].until:
            kept = self._view = registry, self._viewed(at, registry)
        return kept[1].facts

    def owners(self, registry: Registry) -> dict[str, str]:
        """The fact that each statement is part of."""
        own = {row.id: row.id for row in self.rows}
        return own | {member: run.id for run in self.runs(registry) for member in run.members}

    def without(self, fact_id: str) -> Slot:
        """The slot without that statement."""
        return Slot(self.name, (row for row in self.rows if row.id != fact_id), self._zone)

    def _live(self) -> Iterator[FactRow]:
        return (row for row in self.rows if row.state in fact_rows.LIVE)

    def _viewed(self, at: datetime, registry: Registry) -> _View:
        rows = {row.id: row for row in self.rows}
        told = [_told(run, rows, registry) for run in self.runs(registry)]
        moments = {moment for one in told for moment in one.moments}
        facts = _newest_of_one([_fact(one, rows, at) for one in told], told, rows, registry)
        facts += [plain(row) for row in self.rows if row.state not in fact_rows.LIVE]
        if at in moments:
            return _View(at, at, facts)
        return _View(
            max((moment for moment in moments if moment < at), default=_EARLIEST),
            min((moment for moment in moments if moment > at), default=_LATEST),
            facts,
        )


def by_slot(rows: Iterable[FactRow], zone: tzinfo) -> list[Slot]:
    """The statements by subject and slot."""
    found: dict[tuple[str, str], list[FactRow]] = defaultdict(list)
    for row in rows:
        found[row.subject_id, families.slot(row.predicate)].append(row)
    return [Slot(name, found[subject, name], zone) for subject, name in found]


@dataclass(frozen=True, slots=True)
class _Told:
    """A run with its messages, and the end of its freshness: until then it counts as said of late."""

    run: Resolved
    evidence: Sequence[Heard]  # oldest first
    is_pinned: bool
    volatility: Volatility
    fresh_until: datetime | None

    @property
    def moments(self) -> Iterator[datetime]:
        """When its status changes."""
        found = (self.run.valid_from, self.run.valid_to, self.fresh_until)
        return (moment for moment in found if moment is not None)


def _told(run: Resolved, rows: Mapping[str, FactRow], registry: Registry) -> _Told:
    members = [rows[member] for member in run.members]
    row = members[0]
    evidence = row.evidence if len(members) == 1 else _together(members)
    volatility = permanence.held(registry.get(row.predicate), row.volatility)
    said = [evidence[-1].time] if evidence else []
    said += [run.valid_from] if run.valid_from else []
    lasting = LASTING[volatility]
    return _Told(
        run,
        evidence,
        any(member.pinned_at is not None for member in members),
        volatility,
        _after(max(said), lasting) if said and lasting is not None else None,
    )


def _together(rows: Collection[FactRow]) -> list[Heard]:
    heard = {item.episode_id: item for row in rows for item in row.evidence}
    return sorted(heard.values(), key=lambda item: (item.time, item.position, item.episode_id))


def _after(moment: datetime, lasting: timedelta) -> datetime | None:
    """The end of that time; None beyond the calendar."""
    return moment + lasting if lasting < _LATEST - moment else None


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


def _fact(told: _Told, rows: Mapping[str, FactRow], at: datetime) -> Fact:
    run, row = told.run, rows[told.run.id]
    status = _status(run, row.state, at)
    retracted_at = row.retracted_at
    if run.is_retracted and retracted_at is None and run.superseded_by is not None:
        retracted_at = rows[run.superseded_by].recorded_at
    is_old = told.fresh_until is not None and at > told.fresh_until
    return replace(
        plain(row),
        object=run.object,
        object_id=run.object_id,
        valid_from=run.valid_from,
        valid_to=run.valid_to,
        retracted_at=retracted_at if run.is_retracted else None,
        status=status,
        confidence=run.confidence,
        evidence=tuple(item.episode_id for item in told.evidence),
        change=cast(Change, run.change),
        superseded_by=run.superseded_by,
        is_stale=is_old and status in HOLDING,
        is_pinned=told.is_pinned,
        volatility=told.volatility,
    )


def _newest_of_one(
    facts: list[Fact], told: Sequence[_Told], rows: Mapping[str, FactRow], registry: Registry
) -> list[Fact]:
    """Where an interlude was told of afterwards, only the value that began last holds during it; of two that began
    on one day, the one that was last spoken of."""
    single = {fact.id: one.run for fact, one in zip(facts, told, strict=True) if _is_single(fact, registry)}
    if len(single) < 2:
        return facts

    def began(fact: Fact) -> tuple[Any, ...]:
        said = max(fact_rows.last_said(rows[member]) for member in single[fact.id].members)
        return fact.valid_from or _EARLIEST, said, values.normal(fact.object), fact.id

    newest: dict[str, Fact] = {}
    for fact in facts:
        if fact.id in single:
            newest[fact.predicate] = max(newest.get(fact.predicate, fact), fact, key=began)
    return [
        replace(fact, status="past", is_stale=False)
        if fact.id in single and newest[fact.predicate] is not fact
        else fact
        for fact in facts
    ]


def _is_single(fact: Fact, registry: Registry) -> bool:
    return fact.status in ("current", "candidate") and registry.get(fact.predicate).cardinality == "one"


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
