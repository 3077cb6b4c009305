"""Stage `decide`: STORE, MERGE, CORRECT, REJECT or QUARANTINE for each fact that waits, with reasons in words.

Facts are decided in the order they were said, so that a change finds what it changes. Whether accepting comes to
a STORE, a MERGE or a CORRECT is the timeline's to say (`memory.facts.fitting_kind`). What nobody could judge is
quarantined and looked at again; it is never stored by default. A batch and its ledger entries are one transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from consolidation.check import findings_of, waiting_facts
from consolidation.stage import NightContext, NightSettings, Progress, StageResult
from db.tables import Fact as FactTable
from memory import values
from memory.facts import decide, fitting_kind, list_decisions
from memory.types import Fact

BATCH = 32
SUPPORTED, UNCLEAR = "supported", "unclear"
MIN_CONTRARY = 0.65  # how sure a judge must be of a label other than "supported" for a REJECT
MIN_DERIVED = (
    0.7  # confidence from which a date reckoned from "tomorrow" is kept although no message spells it
)

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


def propose(
    findings: Mapping[str, Any] | None,
    said: Said,
    settings: NightSettings,
) -> Proposal:
    """From the findings of one fact, and from how surely it is said."""
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
    return Proposal("ACCEPT", (why, voices))


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: what is decided no longer waits. Counts are of the whole night, whatever was interrupted."""
    waiting = waiting_facts(context)
    recorded = findings_of(context)
    findings = {fact.id: recorded.get(fact.id) for fact in waiting}
    voices = _voices(waiting, findings)
    for start in range(0, len(waiting), BATCH):
        progress(start, len(waiting))
        with context.database.transaction() as session:
            for fact in waiting[start : start + BATCH]:
                is_date = context.tools.registry.get(fact.predicate).object == "date"
                said = _together(voices[_key(fact)], fact, is_date=is_date)
                proposal = propose(findings[fact.id], said, context.settings)
                _settle(context, session, fact, proposal)
    progress(len(waiting), len(waiting))
    made = Counter(
        row.kind for row in list_decisions(context.database, context.space_id, run_id=context.run_id)
    )
    kinds = ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE")
    counts: dict[str, float] = {"decided": sum(made.values())}
    counts |= {kind.lower(): made[kind] for kind in kinds}
    return StageResult(counts=counts, output={"n_decided": sum(made.values())})


def _settle(context: NightContext, session: Session, fact: Fact, proposal: Proposal) -> None:
    row = session.get(FactTable, fact.id)
    if row is None or row.state != fact.state:
        return  # erased, or decided by hand, since it was read
    kind, reasons = proposal.kind, list(proposal.reasons)
    if kind == "QUARANTINE" and fact.state == "quarantined":
        return
    if kind == "ACCEPT":
        kind, touched = fitting_kind(session, context.space_id, fact.id, context.tools.registry)
        if kind == "MERGE":
            reasons.append("the graph holds it already: its messages are added")
        elif touched:
            objects = [session.get_one(FactTable, fact_id).object for fact_id in touched]
            reasons.append(f"takes the place of {', '.join(objects)}")
        if fact.salience is not None and fact.salience < context.settings.min_salience:
            reasons.append(f"of little weight (salience {fact.salience:.2f}): kept, not trained")
    decide(
        session,
        context.space_id,
        fact.id,
        kind,
        reasons,
        context.tools.registry,
        run_id=context.run_id,
        clock=context.clock,
    )


def _key(fact: Fact) -> Key:
    return fact.subject_id, fact.predicate, values.normal(fact.object)


def _voices(
    waiting: Sequence[Fact], findings: Mapping[str, Mapping[str, Any] | None]
) -> dict[Key, dict[str, float]]:
    """Per statement, each person who says it (and is found to) with their surest saying of it."""
    voices: dict[Key, dict[str, float]] = defaultdict(dict)
    for fact in waiting:
        found = findings[fact.id]
        if found is not None and found["support"]["label"] == SUPPORTED:
            speaker = fact.asserted_by or ""
            voices[_key(fact)][speaker] = max(fact.confidence, voices[_key(fact)].get(speaker, 0.0))
    return voices


def _together(voices: Mapping[str, float], fact: Fact, *, is_date: bool) -> Said:
    """The confidence that not all of them err. Repeats by one person add nothing."""
    doubt = 1.0
    for confidence in voices.values():
        doubt *= 1.0 - min(1.0, max(0.0, confidence))
    return Said(max(fact.confidence, 1.0 - doubt), max(1, len(voices)), is_date)
