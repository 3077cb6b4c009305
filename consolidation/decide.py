"""Stage `decide`: STORE, MERGE, CORRECT, REJECT or QUARANTINE for each fact that waits, with reasons in words.

Facts are decided in the order they were said, so that a change finds what it changes. Whether accepting comes to
a STORE, a MERGE or a CORRECT is the timeline's to say (`memory.decisions.decide`). What nobody could judge, and what
is weakly said against what is well supported, is quarantined and looked at again; it is never stored by default.
A batch and its ledger entries are one transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from consolidation.check import findings_of
from consolidation.implied import implied_ends
from consolidation.rivals import Rival, not_all_err, rival_of
from consolidation.stage import NightContext, NightSettings, Progress, StageResult
from db.tables import Fact as FactTable
from memory import values
from memory.decisions import Explain
from memory.facts import add_candidates, decide, list_decisions, sentence
from memory.registry import Registry
from memory.slots import Slots
from memory.types import Fact
from memory.waiting import WAITING, load_waiting, waiting_ids

BATCH = 64
SUPPORTED, UNCLEAR = "supported", "unclear"
MIN_CONTRARY = 0.65  # how sure a judge must be of a label other than "supported" for a REJECT
MIN_DERIVED = (
    0.7  # confidence from which a date reckoned from "tomorrow" is kept although no message spells it
)
WEAK = 0.75  # a newcomer said by one person, and no surer, does not stand up against what is better supported

Key = tuple[str, str, str]  # subject, predicate, value


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the findings speak for: ACCEPT | REJECT | QUARANTINE."""

    kind: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """How surely a fact is said: by all who say it together, and by how many."""

    confidence: float
    n_voices: int = 1
    is_date: bool = False  # the value is a date, which messages seldom spell out
    is_news: bool = False  # told as a change, a correction or an end


def propose(
    findings: Mapping[str, Any] | None, said: Said, settings: NightSettings, rival: Rival | None = None
) -> Proposal:
    """From the findings of one fact, from how surely it is said, and from the strongest of what it stands against."""
    if findings is None:
        return Proposal("QUARANTINE", ("nobody has looked at it yet",))
    if not findings["n_evidence"]:
        hostile = "its messages give orders to machines" if findings["n_hostile"] else "no message says it"
        return Proposal("REJECT", (hostile,))
    if findings["impossible"]:
        return Proposal("REJECT", (f"impossible: {findings['impossible']}",))
    support = findings["support"]
    if support["label"] is None:
        return Proposal("QUARANTINE", (f"no verdict: {support['reason']}",))
    is_reckoned = support["label"] == UNCLEAR and said.is_date and said.confidence >= MIN_DERIVED
    if support["label"] != SUPPORTED and not is_reckoned:
        kind = "REJECT" if support["confidence"] >= MIN_CONTRARY else "QUARANTINE"
        return Proposal(kind, (f"{support['label']}: {support['reason']}",))
    people = "1 person" if said.n_voices == 1 else f"{said.n_voices} people"
    voices = f"said by {people}, confidence {said.confidence:.2f}"
    if said.confidence < settings.min_confidence:
        return Proposal("QUARANTINE", (f"too little to tell: {voices}",))
    why = "its date is reckoned from when it was said" if is_reckoned else f"supported: {support['reason']}"
    if rival is None:
        return Proposal("ACCEPT", (why, voices))
    if rival.is_waiting or _is_weaker(said, rival):
        return Proposal("QUARANTINE", (f"it stands against {rival.told}", voices))
    return Proposal("ACCEPT", (why, voices, f"although it stands against {rival.told}"))


def _is_weaker(said: Said, rival: Rival) -> bool:
    return not said.is_news and said.n_voices == 1 and said.confidence < min(WEAK, rival.support)


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: what is decided no longer waits. Counts are of the whole night, whatever was interrupted."""
    with context.database.reading() as session:
        ids = waiting_ids(session, context.space_id)
        voices = _voices(session, context.space_id)
    for start in range(0, len(ids), BATCH):
        progress(start, len(ids))
        with context.database.transaction() as session:
            part = ids[start : start + BATCH]
            recorded, slots = findings_of(session, part), Slots(session, context.space_id, part)
            table = _Table(context, session, slots, {row.id: row for row in session.scalars(_rows(part))})
            for fact in load_waiting(session, context.space_id, part):
                findings = recorded.get(fact.id)
                said = _together(voices.get(_key(fact), {}), fact, context.tools.registry)
                rival = rival_of(session, context.space_id, findings) if findings else None
                table.settle(fact, propose(findings, said, context.settings, rival))
    progress(len(ids), len(ids))
    made = Counter(
        row.kind for row in list_decisions(context.database, context.space_id, run_id=context.run_id)
    )
    kinds = ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE")
    counts: dict[str, float] = {"decided": sum(made.values())}
    counts |= {kind.lower(): made[kind] for kind in kinds}
    return StageResult(counts=counts, output={"n_decided": sum(made.values())})


def _rows(ids: Sequence[str]) -> Select[FactTable]:
    return select(FactTable).where(FactTable.id.in_(ids))


@dataclass(frozen=True, slots=True)
class _Table:
    """What the decisions of one transaction share; `rows` are held so that the session need not read them again."""

    context: NightContext
    session: Session
    slots: Slots
    rows: Mapping[str, FactTable]

    def settle(self, fact: Fact, proposal: Proposal) -> None:
        row = self.rows.get(fact.id)
        if row is None or row.state != fact.state:
            return  # erased, or decided by hand, since it was read
        kind, reasons = proposal.kind, list(proposal.reasons)
        if kind == "QUARANTINE" and fact.state == "quarantined":
            return
        if kind == "ACCEPT":
            kind = "STORE"
            if fact.salience is not None and fact.salience < self.context.settings.min_salience:
                reasons.append(f"of little weight (salience {fact.salience:.2f}): kept, not trained")
        self._decide(fact.id, kind, reasons, explain=self._explain)
        if proposal.kind == "ACCEPT":
            self._end_what_it_ends(fact)

    def _explain(self, kind: str, touched: tuple[str, ...]) -> list[str]:
        if kind == "MERGE":
            return ["the graph holds it already: its messages are added"]
        objects = [self.session.get_one(FactTable, fact_id).object for fact_id in touched]
        return [f"takes the place of {', '.join(objects)}"] if objects else []

    def _end_what_it_ends(self, fact: Fact) -> None:
        """Ends in other slots, each a statement with a decision of its own."""
        space_id, registry = self.context.space_id, self.context.tools.registry
        ends = implied_ends(self.session, fact, space_id, registry)
        for fact_id in add_candidates(self.session, space_id, ends, registry, clock=self.context.clock):
            self._decide(fact_id, "MERGE", [f"follows from: {sentence(fact)}"], is_stated=True)

    def _decide(
        self,
        fact_id: str,
        kind: str,
        reasons: Sequence[str],
        *,
        is_stated: bool = False,
        explain: Explain | None = None,
    ) -> None:
        decide(
            self.session,
            self.context.space_id,
            fact_id,
            kind,
            reasons,
            self.context.tools.registry,
            run_id=self.context.run_id,
            is_stated=is_stated,
            explain=explain,
            slots=self.slots,
            clock=self.context.clock,
        )


def _key(fact: Fact) -> Key:
    return fact.subject_id, fact.predicate, values.normal(fact.object)


def _voices(session: Session, space_id: str) -> dict[Key, dict[str, float]]:
    """Per waiting statement, each person who says it (and is found to) with their surest saying of it."""
    query = select(
        FactTable.subject_id,
        FactTable.predicate,
        FactTable.object_key,
        FactTable.asserted_by,
        FactTable.confidence,
        FactTable.check_result,
    ).where(FactTable.space_id == space_id, FactTable.state.in_(WAITING), FactTable.check_result.is_not(None))
    voices: dict[Key, dict[str, float]] = defaultdict(dict)
    for subject_id, predicate, object_key, speaker, confidence, findings in session.execute(query):
        if findings["support"]["label"] == SUPPORTED:
            said = voices[subject_id, predicate, object_key]
            said[speaker or ""] = max(confidence, said.get(speaker or "", 0.0))
    return voices


def _together(voices: Mapping[str, float], fact: Fact, registry: Registry) -> Said:
    """The confidence that not all of them err. Repeats by one person add nothing."""
    confidence = max(fact.confidence, not_all_err(voices.values()))
    return Said(
        confidence=confidence,
        n_voices=max(1, len(voices)),
        is_date=registry.get(fact.predicate).object == "date" or values.as_day(fact.object) is not None,
        is_news=fact.change != "state",
    )
