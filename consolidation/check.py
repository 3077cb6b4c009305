"""Stage `check`: what speaks for and against each undecided fact, kept with it; nothing is decided here.

Three kinds of evidence, each with its own verdict. Support: does the judge find the statement in the messages and
those around them; messages that talk to machines are no evidence. Reality: is it possible at all, by rule
(`reality.py`). Contradiction: what it stands against among the facts that bear on it (`contradiction.py`).
Nothing fails open: a judge that is away, breaks or answers nonsense leaves no support. Facts are read in batches
with the messages around their evidence, so that a night costs what is new and not what is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from agents.judges import OVER
from agents.pasted import is_pasted
from consolidation.contradiction import Against, Contradictions
from consolidation.reality import World, birth_of, impossible
from consolidation.runs import digest
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.surroundings import Surroundings
from db.tables import Fact as FactTable
from memory.fact_rows import chunks
from memory.facts import sentence
from memory.ports import Judge
from memory.registry import Registry
from memory.types import Episode, Fact, Verdict
from memory.waiting import load_waiting, waiting_ids

TRIES_BEFORE_AWAY = 3  # failures in a row after which the judge counts as away for the rest of the night
BATCH = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the check found of one fact. `label` is None where no judge could say."""

    label: str | None
    reason: str
    confidence: float
    impossible: str | None
    n_evidence: int  # messages that count: observed and not talking to machines
    n_hostile: int
    evidence_hash: str  # of the evidence that was looked at

    def as_json(self) -> dict[str, Any]:
        return {
            "support": {"label": self.label, "reason": self.reason, "confidence": round(self.confidence, 4)},
            "impossible": self.impossible,
            "n_evidence": self.n_evidence,
            "n_hostile": self.n_hostile,
            "evidence_hash": self.evidence_hash,
        }


class PatientJudge:
    """A judge whose failures are verdicts without a label; after a few in a row it is not asked again."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._failures = 0

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        if self._failures >= TRIES_BEFORE_AWAY:
            return Verdict(None, "the judge is away")
        try:
            verdict = self._judge.supports(statement, episodes, evidence)
        except Exception as error:  # whatever breaks outside must not store anything, nor end the night
            log.warning("the judge failed: %s", type(error).__name__)
            verdict = Verdict(None, f"the judge failed ({type(error).__name__})")
        self._failures = 0 if verdict.label is not None else self._failures + 1
        return verdict


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable, and cheap when repeated: a fact whose evidence was judged already is not judged again."""
    with context.database.reading() as session:
        ids = waiting_ids(session, context.space_id)
    judge, contradictions = PatientJudge(context.tools.judge), Contradictions(context)
    counts = dict.fromkeys(("looked_at", "judged", "without_verdict", "impossible", "contradicted"), 0)
    for start in range(0, len(ids), BATCH):
        batch = _read(context, contradictions, ids[start : start + BATCH])
        found: dict[str, dict[str, Any]] = {}
        try:
            for place, fact in enumerate(batch.facts):
                progress(start + place, len(ids))
                findings = _look_at(batch, fact, judge, context.tools.registry)
                findings["contradiction"] = contradictions.as_json(batch.against.get(fact.id, ()))
                _count(counts, findings, is_new=fact.id not in batch.settled)
                if findings != batch.recorded.get(fact.id):
                    found[fact.id] = findings
        finally:
            _keep(context, found)  # of a night that is stopped as well: judges can be slow
    progress(len(ids), len(ids))
    return StageResult(counts=dict(counts), output=dict(counts))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Facts with all that is needed to look at them; `settled` are judged on the evidence they have."""

    facts: Sequence[Fact]
    recorded: Mapping[str, dict[str, Any]]
    settled: frozenset[str]
    births: Mapping[str, date]
    against: Mapping[str, Sequence[Against]]
    surroundings: Surroundings


def _read(context: NightContext, contradictions: Contradictions, ids: Sequence[str]) -> _Batch:
    with context.database.reading() as session:
        facts = load_waiting(session, context.space_id, ids)
        recorded = findings_of(session, ids)
        births = _births(session, context.space_id, {fact.subject_id for fact in facts})
        against = contradictions.of(session, facts)
    settled = frozenset(fact.id for fact in facts if is_settled(recorded.get(fact.id), fact))
    evidence = {episode_id for fact in facts if fact.id not in settled for episode_id in fact.evidence}
    surroundings = Surroundings.of_evidence(context.database, context.space_id, evidence)
    return _Batch(facts, recorded, settled, births, against, surroundings)


def _look_at(batch: _Batch, fact: Fact, judge: PatientJudge, registry: Registry) -> dict[str, Any]:
    if fact.id in batch.settled:
        return dict(batch.recorded[fact.id])
    return examine(fact, batch.surroundings, judge, registry, batch.births).as_json()


def _count(counts: dict[str, int], findings: Mapping[str, Any], *, is_new: bool) -> None:
    is_without_verdict = (
        findings["support"]["label"] is None and findings["impossible"] is None and findings["n_evidence"] > 0
    )
    against = findings["contradiction"]["found"]
    counts["looked_at"] += 1
    counts["judged"] += is_new
    counts["without_verdict"] += is_new and is_without_verdict
    counts["impossible"] += is_new and findings["impossible"] is not None
    counts["contradicted"] += any(item["verdict"] == "contradicts" for item in against)


def examine(
    fact: Fact,
    surroundings: Surroundings,
    judge: PatientJudge,
    registry: Registry,
    births: Mapping[str, date],
) -> Findings:
    """Support and reality; the judge is not asked about what cannot be."""
    evidence = surroundings.of(fact.evidence)
    sound = [episode for episode in evidence if not is_pasted(episode.text)]
    said = max((episode.time for episode in sound), default=None)
    reason = impossible(fact, World(registry, births, said))
    if not sound:
        verdict = Verdict(None, "no message counts as evidence")
    elif reason is not None:
        verdict = Verdict(None, "not asked: it is impossible")
    else:
        own = {episode.id for episode in sound}
        verdict = judge.supports(_statement(fact, said), surroundings.around(sound), own)
    return Findings(
        label=verdict.label,
        reason=verdict.reason,
        confidence=verdict.confidence,
        impossible=reason,
        n_evidence=len(sound),
        n_hostile=len(evidence) - len(sound),
        evidence_hash=hash_of(fact.evidence),
    )


def _statement(fact: Fact, said: datetime | None) -> str:
    """The fact in words; where its own messages tell that it ended, they say so."""
    is_over = fact.change == "end" or (
        fact.valid_to is not None and said is not None and fact.valid_to <= said
    )
    return f"{sentence(fact).removesuffix('.')}{OVER}." if is_over else sentence(fact)


def hash_of(evidence: Iterable[str]) -> str:
    """Names a set of messages; a verdict holds only for the evidence it was given on."""
    return digest(sorted(evidence))[:16]


def is_settled(findings: Mapping[str, Any] | None, fact: Fact) -> bool:
    """Whether the fact was judged on the evidence it has now; a verdict that nobody gave settles nothing."""
    if not findings or findings.get("evidence_hash") != hash_of(fact.evidence):
        return False
    return findings["support"]["label"] is not None or findings["impossible"] is not None


def findings_of(session: Session, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is recorded of these facts, by id."""
    found: dict[str, dict[str, Any]] = {}
    for part in chunks(sorted(ids)):
        recorded = select(FactTable.id, FactTable.check_result).where(
            FactTable.id.in_(part), FactTable.check_result.is_not(None)
        )
        found |= {row.id: row.check_result for row in session.execute(recorded) if row.check_result}
    return found


def _births(session: Session, space_id: str, subjects: Collection[str]) -> dict[str, date]:
    """Days of birth that the graph holds of these, where the year is known."""
    found: dict[str, date] = {}
    for part in chunks(sorted(subjects)):
        known = select(FactTable.subject_id, FactTable.object).where(
            FactTable.space_id == space_id,
            FactTable.subject_id.in_(part),
            FactTable.predicate == "birthday",
            FactTable.state == "stored",
            FactTable.retracted_at.is_(None),
        )
        births = ((row.subject_id, birth_of(row.object)) for row in session.execute(known))
        found |= {subject: born for subject, born in births if born is not None}
    return found


def _keep(context: NightContext, found: Mapping[str, dict[str, Any]]) -> None:
    if not found:
        return
    statement = (
        update(FactTable).where(FactTable.id == bindparam("fact")).values(check_result=bindparam("found"))
    )
    rows = [{"fact": fact_id, "found": findings} for fact_id, findings in found.items()]
    with context.database.transaction() as session:
        session.connection().execute(statement, rows)
