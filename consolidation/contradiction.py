"""What a statement stands against: stored facts of its slot, of another slot that excludes it, or that say otherwise.

Three kinds of finding. `same_slot`: another value of a one-at-a-time slot, which time decides (`memory.timeline`); or
another value in the very same message, which nothing decides. `implied`: an entry of `exclusions.toml`. `free_text`: for
predicates that the registry does not know, the nearest facts about the same subject, read by an entailment head where
there is one, and by a language model where the head is not sure. Found is recorded, never acted upon here: what a
finding of words alone can do is keep a newcomer waiting (`decide`), never retire what is stored.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from consolidation.exclusions import Exclusions
from consolidation.stage import NightContext
from db import tables
from memory import fact_rows, families, values
from memory.fact_views import plain
from memory.facts import sentence
from memory.registry import Registry
from memory.types import Fact
from memory.waiting import WAITING

Kind = Literal["same_slot", "implied", "free_text"]
Ruling = Literal["time decides", "contradicts", "unsure"]

MOST_COMPARED = 200  # newest stored facts of a subject among which the near ones are looked for
MOST_NEAR, NEAR = 3, 0.45  # of those, and the cosine from which they are near
SURE, MAYBE = (
    0.9,
    0.5,
)  # probability from which the head's contradiction counts, and from which it is asked again
CONTRADICTION = 2  # column of the head's answer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Against:
    """One finding. `confidence` is in [0, 1]; `why` names the entry or who read the words."""

    fact_id: str
    kind: Kind
    verdict: Ruling
    confidence: float
    why: str

    def as_json(self) -> dict[str, Any]:
        return {
            "against": self.fact_id,
            "kind": self.kind,
            "verdict": self.verdict,
            "confidence": round(self.confidence, 4),
            "why": self.why,
        }


@dataclass(slots=True)
class Contradictions:
    """Looks for what facts stand against, a batch at a time; what is stored must not change meanwhile."""

    context: NightContext
    exclusions: Exclusions = field(default_factory=Exclusions.load)
    _near: dict[str, list[Fact]] = field(default_factory=dict)  # subject -> its newest stored facts

    def as_json(self, found: Sequence[Against]) -> dict[str, Any]:
        """The findings of one fact, and who reads free text."""
        tools = (self.context.tools.entailer, self.context.tools.referee)
        readers = ", ".join(tool.name for tool in tools if tool is not None)
        return {"words_read_by": readers or "nobody: rules only", "found": [item.as_json() for item in found]}

    def of(self, session: Session, facts: Sequence[Fact]) -> dict[str, list[Against]]:
        """By the id of the fact; facts that stand against nothing have none."""
        found: dict[str, list[Against]] = defaultdict(list)
        stored = self._stored(session, facts)
        for fact in facts:
            for other in stored.get(fact.subject_id, ()):
                if against := self._by_rule(fact, other):
                    found[fact.id].append(against)
        for fact_id, against in self._in_same_message(session, facts):
            found[fact_id].append(against)
        for fact_id, against in self._in_words(session, facts):
            found[fact_id].append(against)
        return dict(found)

    # Rules

    def _stored(self, session: Session, facts: Sequence[Fact]) -> dict[str, list[Fact]]:
        """Stored facts by subject, of predicates that one of the facts could stand against."""
        registry = self.context.tools.registry
        wanted: set[str] = set()
        subjects: set[str] = set()
        for fact in facts:
            rivals = set(self.exclusions.counterparts(fact.predicate))
            if is_single(fact.predicate, registry):
                rivals.update(families.sharing(fact.predicate))
            if rivals:
                wanted |= rivals
                subjects.add(fact.subject_id)
        rows = _stored_rows(session, self.context.space_id, subjects, wanted) if wanted else []
        found: dict[str, list[Fact]] = defaultdict(list)
        for row in rows:
            found[row.subject_id].append(plain(row))
        return found

    def _by_rule(self, fact: Fact, other: Fact) -> Against | None:
        if other.id == fact.id or not _overlap(fact, other):
            return None
        if families.slot(fact.predicate) == families.slot(other.predicate):
            return _of_slot(fact, other, self.context.tools.registry)
        entry = self.exclusions.between(fact, other)
        return Against(other.id, "implied", "contradicts", 1.0, entry) if entry else None

    def _in_same_message(self, session: Session, facts: Sequence[Fact]) -> Iterable[tuple[str, Against]]:
        """Two values of a one-at-a-time slot, both told as what simply is since the same day, by the same messages."""
        registry = self.context.tools.registry
        plainly = [fact for fact in facts if _is_plain(fact) and is_single(fact.predicate, registry)]
        for fact, other in _told_together(session, self.context.space_id, plainly):
            is_of_one_time = fact.valid_from == other.valid_from
            if _is_plain(other) and is_of_one_time and not _is_same(fact, other, registry):
                yield fact.id, Against(other.id, "same_slot", "contradicts", 1.0, "in the same message")

    # Words

    def _in_words(self, session: Session, facts: Sequence[Fact]) -> Iterable[tuple[str, Against]]:
        entailer = self.context.tools.entailer
        registry = self.context.tools.registry
        asked = [fact for fact in facts if not registry.get(fact.predicate).is_known]
        if entailer is None and self.context.tools.referee is None:
            return
        pairs = [(fact, other) for fact in asked for other in self._nearest(session, fact)]
        if not pairs:
            return
        premises, hypotheses = [sentence(other) for _, other in pairs], [sentence(fact) for fact, _ in pairs]
        likely = [MAYBE] * len(pairs)
        if entailer is not None:
            likely = [float(row[CONTRADICTION]) for row in entailer.judge(premises, hypotheses)]
        for (fact, other), premise, hypothesis, share in zip(
            pairs, premises, hypotheses, likely, strict=True
        ):
            if share >= MAYBE and (against := self._read(other.id, premise, hypothesis, share)):
                yield fact.id, against

    def _read(self, fact_id: str, premise: str, hypothesis: str, share: float) -> Against | None:
        """The finding for one pair, by the language model where the head is not sure."""
        entailer, referee = self.context.tools.entailer, self.context.tools.referee
        if share < SURE and referee is not None:
            try:
                verdict = referee.compare(premise, hypothesis)
            except Exception as error:  # whatever breaks outside must not end the night
                log.warning("the referee failed: %s", type(error).__name__)
            else:
                if verdict.label is not None:
                    is_against = verdict.label == "contradiction"
                    reason = f"{referee.name}: {verdict.reason}"
                    return (
                        Against(fact_id, "free_text", _ruling(verdict.confidence), verdict.confidence, reason)
                        if is_against
                        else None
                    )
        if entailer is None:
            return None
        return Against(fact_id, "free_text", _ruling(share), share, entailer.name)

    def _nearest(self, session: Session, fact: Fact) -> list[Fact]:
        """Stored facts about the same subject that speak of the same matter."""
        others = [other for other in self._newest(session, fact.subject_id) if _overlap(fact, other)]
        registry = self.context.tools.registry
        others = [other for other in others if other.id != fact.id and not _is_same(fact, other, registry)]
        if not others:
            return []
        vectors = self.context.tools.embedder.encode([sentence(fact), *map(sentence, others)])
        near = sorted(zip(vectors[1:] @ vectors[0], range(len(others)), strict=True), reverse=True)
        return [others[place] for cosine, place in near[:MOST_NEAR] if cosine >= NEAR]

    def _newest(self, session: Session, subject_id: str) -> list[Fact]:
        if subject_id not in self._near:
            newest = (
                select(tables.Fact.id)
                .where(
                    tables.Fact.space_id == self.context.space_id,
                    tables.Fact.subject_id == subject_id,
                    tables.Fact.state == "stored",
                    tables.Fact.retracted_at.is_(None),
                )
                .order_by(tables.Fact.recorded_at.desc(), tables.Fact.id)
                .limit(MOST_COMPARED)
            )
            rows = fact_rows.load(session, self.context.space_id, ids=list(session.scalars(newest)))
            self._near[subject_id] = sorted(map(plain, rows), key=lambda fact: fact.id)
        return self._near[subject_id]


def is_single(predicate: str, registry: Registry) -> bool:
    """Whether one value holds at a time, by itself or in its family."""
    is_in_family = families.slot(predicate) != predicate
    return is_in_family or registry.get(predicate).cardinality == "one"


def _ruling(confidence: float) -> Ruling:
    return "contradicts" if confidence >= SURE else "unsure"


def _of_slot(fact: Fact, other: Fact, registry: Registry) -> Against | None:
    if fact.predicate == other.predicate:
        if not is_single(fact.predicate, registry) or _is_same(fact, other, registry):
            return None
        return Against(other.id, "same_slot", "time decides", 1.0, f"one {fact.predicate} at a time")
    first, second = (families.Value(item.predicate, item.object) for item in (other, fact))
    is_stage = families.stage(first.predicate) is not None and families.stage(second.predicate) is not None
    if is_stage or families.excludes(first, second, is_news=fact.change in ("update", "correct")):
        return Against(other.id, "implied", "time decides", 1.0, families.slot(fact.predicate))
    return None


def _is_same(fact: Fact, other: Fact, registry: Registry) -> bool:
    if fact.predicate != other.predicate:
        return False
    if fact.object_id is not None and fact.object_id == other.object_id:
        return True
    return values.is_same(fact.object, other.object, kind=registry.get(fact.predicate).object)


def _is_plain(fact: Fact) -> bool:
    return fact.change == "state" and fact.valid_to is None


def _overlap(fact: Fact, other: Fact) -> bool:
    """Whether there is a time of which both speak."""
    starts_late = (
        fact.valid_from is not None and other.valid_to is not None and fact.valid_from >= other.valid_to
    )
    ends_early = (
        fact.valid_to is not None and other.valid_from is not None and fact.valid_to <= other.valid_from
    )
    return fact.change != "end" and not starts_late and not ends_early


def _stored_rows(
    session: Session, space_id: str, subjects: Collection[str], predicates: Collection[str]
) -> list[fact_rows.FactRow]:
    rows = fact_rows.load(session, space_id, subject_ids=subjects, predicates=predicates, states=("stored",))
    kept = [row for row in rows if row.retracted_at is None]
    return sorted(kept, key=lambda row: (row.recorded_at, row.id))


def _told_together(session: Session, space_id: str, facts: Sequence[Fact]) -> Iterable[tuple[Fact, Fact]]:
    """Each of the facts with every other waiting one of its slot that rests on one of its messages."""
    told: dict[tuple[str, str, str], set[str]] = defaultdict(set)  # message, subject, predicate -> facts
    for part in fact_rows.chunks(sorted({episode_id for fact in facts for episode_id in fact.evidence})):
        query = (
            select(tables.Evidence.episode_id, tables.Fact.subject_id, tables.Fact.predicate, tables.Fact.id)
            .join(tables.Fact, tables.Fact.id == tables.Evidence.fact_id)
            .where(tables.Evidence.episode_id.in_(part), tables.Fact.state.in_(WAITING))
        )
        for *place, fact_id in session.execute(query):
            told[place[0], place[1], place[2]].add(fact_id)
    together = {fact_id for ids in told.values() if len(ids) > 1 for fact_id in ids}
    others = {row.id: plain(row) for row in fact_rows.load(session, space_id, ids=together)}
    for fact in facts:
        beside = {key for item in fact.evidence for key in told[item, fact.subject_id, fact.predicate]}
        yield from ((fact, others[fact_id]) for fact_id in sorted(beside - {fact.id}))
