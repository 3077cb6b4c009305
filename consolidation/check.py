"""Stage `check`: what speaks for and against each undecided fact, kept with it; nothing is decided here.

Three kinds of evidence, each with its own verdict. Support: does the judge find the statement in the messages and
those around them. Reality: is it possible at all, by rule. Hostility: messages that talk to machines are no
evidence. Contradiction with the graph is the timeline's matter and is settled where it is decided (`decide`).
Nothing fails open: a judge that is away, breaks or answers nonsense leaves no support.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select, update

from consolidation.instructions import addresses_machines
from consolidation.reality import World, birth_of, impossible
from consolidation.runs import digest
from consolidation.stage import NightContext, Progress, StageResult
from db.tables import Fact as FactTable
from memory.episodes import list_episodes
from memory.facts import candidates, list_facts, sentence
from memory.ports import Judge
from memory.registry import Registry
from memory.types import Episode, Fact, FactStatus, Verdict

BEFORE, AFTER = 2, 3  # messages of the same conversation that the judge sees around each piece of evidence
MOST_SEEN = 16
TRIES_BEFORE_AWAY = 3  # failures in a row after which the judge counts as away for the rest of the night
BATCH = 64

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

    def supports(self, statement: str, episodes: Sequence[Episode]) -> Verdict:
        if self._failures >= TRIES_BEFORE_AWAY:
            return Verdict(None, "the judge is away")
        try:
            verdict = self._judge.supports(statement, episodes)
        except Exception as error:  # whatever breaks outside must not store anything, nor end the night
            log.warning("the judge failed: %s", type(error).__name__)
            verdict = Verdict(None, f"the judge failed ({type(error).__name__})")
        self._failures = 0 if verdict.label is not None else self._failures + 1
        return verdict


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable, and cheap when repeated: a fact whose evidence was judged already is not judged again."""
    waiting = waiting_facts(context)
    looked_at = findings_of(context)
    births = _births(context)
    judge = PatientJudge(context.tools.judge)
    n_away = n_judged = n_impossible = 0
    surroundings = Surroundings(list_episodes(context.database, context.space_id) if waiting else [])
    for start in range(0, len(waiting), BATCH):
        found: dict[str, Findings] = {}
        for fact in waiting[start : start + BATCH]:
            progress(start + len(found), len(waiting))
            if is_settled(looked_at.get(fact.id), fact):
                continue
            findings = examine(fact, surroundings, judge, context.tools.registry, births)
            found[fact.id] = findings
            n_judged += 1
            n_away += findings.label is None and findings.impossible is None and findings.n_evidence > 0
            n_impossible += findings.impossible is not None
        _keep(context, found)
    progress(len(waiting), len(waiting))
    counts = {
        "looked_at": len(waiting),
        "judged": n_judged,
        "without_verdict": n_away,
        "impossible": n_impossible,
    }
    return StageResult(counts=dict(counts), output=dict(counts))


def examine(
    fact: Fact,
    surroundings: Surroundings,
    judge: PatientJudge,
    registry: Registry,
    births: Mapping[str, date],
) -> Findings:
    evidence = surroundings.of(fact.evidence)
    sound = [episode for episode in evidence if not addresses_machines(episode.text)]
    said = max((episode.time for episode in sound), default=None)
    reason = impossible(fact, World(registry, births, said))
    if not sound:
        verdict = Verdict(None, "no message counts as evidence")
    elif reason is not None:
        verdict = Verdict(None, "not asked: it is impossible")
    else:
        verdict = judge.supports(sentence(fact), surroundings.around(sound))
    return Findings(
        label=verdict.label,
        reason=verdict.reason,
        confidence=verdict.confidence,
        impossible=reason,
        n_evidence=len(sound),
        n_hostile=len(evidence) - len(sound),
        evidence_hash=hash_of(fact.evidence),
    )


def hash_of(evidence: Iterable[str]) -> str:
    """Names a set of messages; a verdict holds only for the evidence it was given on."""
    return digest(sorted(evidence))[:16]


def waiting_facts(context: NightContext) -> list[Fact]:
    """Candidates in the order of saying, then what earlier nights quarantined."""
    only: tuple[FactStatus, ...] = ("quarantined",)
    quarantined = list_facts(
        context.database, context.space_id, context.tools.registry, statuses=only, clock=context.clock
    )
    return candidates(context.database, context.space_id) + quarantined


def is_settled(findings: Mapping[str, Any] | None, fact: Fact) -> bool:
    """Whether the fact was judged on the evidence it has now; a verdict that nobody gave settles nothing."""
    if not findings or findings.get("evidence_hash") != hash_of(fact.evidence):
        return False
    return findings["support"]["label"] is not None or findings["impossible"] is not None


def findings_of(context: NightContext) -> dict[str, dict[str, Any]]:
    """What is recorded of facts that wait for a decision, by id."""
    recorded = select(FactTable.id, FactTable.check_result).where(
        FactTable.space_id == context.space_id,
        FactTable.state.in_(("candidate", "quarantined")),
        FactTable.check_result.is_not(None),
    )
    with context.database.reading() as session:
        return {row.id: row.check_result for row in session.execute(recorded) if row.check_result}


def _births(context: NightContext) -> dict[str, date]:
    """Days of birth that the graph holds, where the year is known."""
    known = select(FactTable.subject_id, FactTable.object).where(
        FactTable.space_id == context.space_id,
        FactTable.predicate == "birthday",
        FactTable.state == "stored",
        FactTable.retracted_at.is_(None),
    )
    with context.database.reading() as session:
        found = {row.subject_id: birth_of(row.object) for row in session.execute(known)}
    return {subject: born for subject, born in found.items() if born is not None}


def _keep(context: NightContext, found: Mapping[str, Findings]) -> None:
    with context.database.transaction() as session:
        for fact_id, findings in found.items():
            session.execute(
                update(FactTable).where(FactTable.id == fact_id).values(check_result=findings.as_json())
            )


class Surroundings:
    """Observed messages by id, each with its place in its conversation."""

    def __init__(self, episodes: Iterable[Episode]) -> None:
        self._by_conversation: dict[str, list[Episode]] = defaultdict(list)
        self._place: dict[str, tuple[str, int]] = {}
        for episode in episodes:
            line = self._by_conversation[episode.conversation_id]
            self._place[episode.id] = (episode.conversation_id, len(line))
            line.append(episode)

    def of(self, ids: Iterable[str]) -> list[Episode]:
        places = (self._place[key] for key in ids if key in self._place)
        return [self._by_conversation[conversation][index] for conversation, index in places]

    def around(self, evidence: Sequence[Episode]) -> list[Episode]:
        """The evidence and its neighbours in time order; of too many, the latest."""
        seen: dict[str, Episode] = {}
        for episode in evidence:
            conversation, index = self._place[episode.id]
            line = self._by_conversation[conversation]
            for neighbour in line[max(0, index - BEFORE) : index + AFTER + 1]:
                if not addresses_machines(neighbour.text):
                    seen[neighbour.id] = neighbour
        return sorted(seen.values(), key=lambda item: (item.time, item.position))[-MOST_SEEN:]
