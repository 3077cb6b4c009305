"""Patterns as the night keeps them: inferred facts whose value is a node of kind `pattern`. See ADR 20.

What is found is stored at once, by a decision with the counts as its reasons; what no longer shows ends on the day it
last did. What a person has rejected stays rejected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agents.patterns import LEAST_INTENSITY, Pattern, find_patterns
from consolidation.stage import NightContext
from db.engine import Database
from db.tables import Fact as FactTable
from db.tables import Node
from memory import values
from memory.emotions import list_tags
from memory.fact_rows import timezone
from memory.facts import HISTORY, HOLDING, add_candidates, decide, list_facts
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Episode, Fact, FactCandidate, FactStatus

PREDICATE, KIND = "pattern", "pattern"
TOLD, SHOWN = "pattern: told", "pattern: shown"  # rules
_Key = tuple[str, str]  # person id, normal form of the text


def refresh(context: NightContext, conversations: Mapping[str, Sequence[Episode]]) -> dict[str, float]:
    """How many patterns were found, stored anew and ended. Repeatable: what is known on the same messages adds nothing.

    `conversations`: observed messages by conversation, in time order.
    """
    felt = _felt(context)
    with context.database.reading() as session:
        zone = timezone(session, context.space_id)
    found = {key: find_patterns(episodes, felt, zone) for key, episodes in conversations.items()}
    known = list_patterns(
        context.database, context.space_id, context.tools.registry, statuses=HISTORY, clock=context.clock
    )
    with context.database.transaction() as session:
        writer = _Writer(context, session, known)
        n_new = sum(writer.store(pattern) for items in found.values() for pattern in items)
        n_ended = sum(writer.end(fact, max(said)) for fact, said in _vanished(conversations, found, known))
    n_found = sum(map(len, found.values()))
    return {"patterns": n_found, "patterns_new": n_new, "patterns_ended": n_ended}


def list_patterns(
    database: Database,
    space_id: str,
    registry: Registry,
    *,
    person_id: str | None = None,
    known_to: str | None = None,
    statuses: Collection[FactStatus] = HOLDING,
    clock: Clock = utc_now,
) -> list[Fact]:
    """Stored patterns by person; see `memory.facts.list_facts`."""
    return list_facts(
        database,
        space_id,
        registry,
        person_id=person_id,
        known_to=known_to,
        predicates=(PREDICATE,),
        statuses=statuses,
        clock=clock,
    )


def pattern_json(database: Database, patterns: Sequence[Fact]) -> list[dict[str, Any]]:
    """Patterns as other programs get them; `counts` are those of the night that first saw it, null where it was told."""
    with database.reading() as session:
        found = [(fact, session.get_one(FactTable, fact.id).check_result or {}) for fact in patterns]
    return [
        {
            "id": fact.id,
            "person": fact.subject,
            "pattern": fact.object,
            "kind": "shown" if fact.rule == SHOWN else "told",
            "confidence": fact.confidence,
            "since": fact.valid_from.isoformat() if fact.valid_from else None,
            "until": fact.valid_to.isoformat() if fact.valid_to else None,
            "counts": checked.get("pattern"),
            "evidence": list(fact.evidence),
        }
        for fact, checked in found
    ]


def reason_of(pattern: Pattern) -> str:
    """In words, without anybody's."""
    counts, n = pattern.counts, len(pattern.evidence)
    if counts is None:
        return f"said in {n} message{'s' * (n != 1)}"
    return (
        f"shown in {counts.k_when} of {counts.n_when} sessions, in {counts.k_else} of {counts.n_else} others "
        f"(p = {counts.p:.2g}, q = {counts.q:.2g})"
    )


class _Writer:
    def __init__(self, context: NightContext, session: Session, known: Sequence[Fact]) -> None:
        self._context, self._session = context, session
        self._over = {_key_of(fact): fact for fact in known if fact.status == "past"}
        self._refused = _refused(session, context.space_id)

    def store(self, pattern: Pattern) -> int:
        """1 where it was news: a pattern, or more evidence of one."""
        key = pattern.person_id, values.normal(pattern.text)
        if not pattern.is_strong or key in self._refused:
            return 0
        is_return = key in self._over
        candidate = self._candidate(
            pattern.person_id,
            pattern.text,
            pattern.evidence,
            asserted_by=pattern.told_by,
            confidence=pattern.confidence,
            rule=TOLD if pattern.counts is None else SHOWN,
            change="update" if is_return else "state",
            is_inferred=pattern.counts is not None,
        )
        counts = None if pattern.counts is None else {"pattern": asdict(pattern.counts)}
        return self._add(candidate, reason_of(pattern), counts)

    def end(self, fact: Fact, last: datetime) -> int:
        """1 where it ended, on the day it last showed."""
        candidate = self._candidate(
            fact.subject_id,
            fact.object,
            fact.evidence,
            asserted_by=fact.asserted_by or fact.subject,
            confidence=fact.confidence,
            rule=SHOWN,
            change="end",
            valid_to=last,
            is_inferred=True,
        )
        return self._add(candidate, "no longer shown", None)

    def _candidate(self, person_id: str, text: str, evidence: Sequence[str], **told: Any) -> FactCandidate:
        return FactCandidate(
            subject=self._session.get_one(Node, person_id).name,
            predicate=PREDICATE,
            object=text,
            episode_ids=tuple(evidence),
            object_kind=KIND,
            **told,
        )

    def _add(self, candidate: FactCandidate, reason: str, counts: dict[str, Any] | None) -> int:
        context, session = self._context, self._session
        registry = context.tools.registry
        added = add_candidates(session, context.space_id, [candidate], registry, clock=context.clock)
        for fact_id in added:
            session.get_one(FactTable, fact_id).check_result = counts
            decide(
                session,
                context.space_id,
                fact_id,
                "STORE",
                [reason],
                registry,
                run_id=context.run_id,
                is_stated=True,
                clock=context.clock,
            )
        return len(added)


def _vanished(
    conversations: Mapping[str, Sequence[Episode]],
    found: Mapping[str, Sequence[Pattern]],
    known: Sequence[Fact],
) -> Iterator[tuple[Fact, list[datetime]]]:
    """Open counted patterns that the one conversation they rest on no longer shows, with the times of their messages."""
    place = {e.id: (key, e.time) for key, episodes in conversations.items() for e in episodes}
    for fact in known:
        if fact.status not in HOLDING or fact.rule != SHOWN or fact.valid_to is not None:
            continue
        resting = [place[item] for item in fact.evidence if item in place]
        where = {conversation for conversation, _ in resting}
        if len(where) != 1 or len(resting) < len(fact.evidence):
            continue
        shown = {(p.person_id, values.normal(p.text)) for p in found[where.pop()]}
        if _key_of(fact) not in shown:
            yield fact, [time for _, time in resting]


def _felt(context: NightContext) -> dict[str, dict[str, float]]:
    felt: dict[str, dict[str, float]] = defaultdict(dict)
    for tag in list_tags(context.database, context.space_id, min_intensity=LEAST_INTENSITY):
        known = felt[tag.episode_id]
        known[tag.concept] = max(tag.intensity, known.get(tag.concept, 0.0))
    return felt


def _key_of(fact: Fact) -> _Key:
    return fact.subject_id, values.normal(fact.object)


def _refused(session: Session, space_id: str) -> set[_Key]:
    """Patterns that a person turned down."""
    query = select(FactTable.subject_id, FactTable.object_key).where(
        FactTable.space_id == space_id,
        FactTable.predicate == PREDICATE,
        or_(FactTable.state == "rejected", FactTable.retracted_at.is_not(None)),
    )
    return {(subject_id, key) for subject_id, key in session.execute(query)}
