"""One reading of facts: statements rewound, limited and resolved, and the facts that they make.

`memory.facts` asks for readings; nothing here is written or read back. What is read of single subjects is kept for the
next reading (`memory.kept_facts`); statements that were rewound or limited are resolved anew each time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from memory import fact_rows, families, kept_facts, moments, names
from memory.fact_rows import FactRow
from memory.perspective import visible_among
from memory.ports import Clock
from memory.registry import Registry
from memory.rewind import rewind
from memory.slot_views import HOLDING, Slot, by_slot, plain
from memory.types import Fact, FactStatus

__all__ = ["HOLDING", "Asked", "Choice", "Reading", "plain", "read", "statements"]


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


@dataclass(frozen=True)
class Reading:
    """Facts of every status; the statements they were made of, and which fact each is part of."""

    facts: Sequence[Fact]
    slots: Sequence[Slot]
    registry: Registry

    @cached_property
    def rows(self) -> Mapping[str, FactRow]:
        return {row.id: row for slot in self.slots for row in slot.rows}

    @cached_property
    def owners(self) -> Mapping[str, str]:
        return {item: owner for slot in self.slots for item, owner in slot.owners(self.registry).items()}

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
    slots = _slots(session, space_id, asked, subject_ids, predicates)
    at = asked.now
    if asked.as_of is None:  # where the history ends later than the clock says, its last message
        at = max([at, *(slot.latest for slot in slots if slot.latest is not None)])
    facts = [fact for slot in slots for fact in slot.facts(at, asked.registry)]
    return Reading(facts, slots, asked.registry)


def _slots(
    session: Session,
    space_id: str,
    asked: Asked,
    subject_ids: Collection[str] | None,
    predicates: Collection[str] | None,
) -> list[Slot]:
    zone, kept = fact_rows.timezone(session, space_id), kept_facts.of(session)
    if kept is None or subject_ids is None:
        named = (
            None if predicates is None else {name for item in predicates for name in families.sharing(item)}
        )
        rows = fact_rows.load(session, space_id, subject_ids=subject_ids, predicates=named)
        return by_slot(_limited(session, space_id, asked, rows, zone), zone)
    slots = kept.slots(session, space_id, subject_ids, zone)
    if predicates is not None:
        wanted = {families.slot(item) for item in predicates}
        slots = [slot for slot in slots if slot.name in wanted]
    if asked.known_to is None and asked.recorded_as_of is None:
        return slots
    told = [row for slot in slots for row in slot.rows]
    return by_slot(_limited(session, space_id, asked, told, zone), zone)


def statements(session: Session, space_id: str, subject_ids: Collection[str]) -> list[FactRow]:
    """Every statement about these subjects, whatever became of it, in no particular order."""
    kept = kept_facts.of(session)
    if kept is None:
        return fact_rows.load(session, space_id, subject_ids=subject_ids)
    slots = kept.slots(session, space_id, subject_ids, fact_rows.timezone(session, space_id))
    return [row for slot in slots for row in slot.rows]


def _limited(
    session: Session, space_id: str, asked: Asked, rows: list[FactRow], zone: tzinfo
) -> list[FactRow]:
    """The statements as the store stood to them then, and as that person heard them."""
    if asked.recorded_as_of is not None:
        rows = rewind(session, space_id, rows, asked.recorded_as_of)
    if asked.known_to is not None:
        heard = {item.episode_id for row in rows for item in row.evidence}
        visible = visible_among(session, space_id, asked.known_to, heard, asked.as_of)
        rows = fact_rows.limited_to(rows, visible, zone)
    return rows


def _by_subject(fact: Fact) -> tuple[Any, ...]:
    return (
        names.key(fact.subject),
        fact.subject_id,
        fact.predicate,
        fact.valid_from or datetime.min.replace(tzinfo=UTC),
        fact.id,
    )
