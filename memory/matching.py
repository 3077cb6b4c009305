"""Match the facts at hand against a question: readings, encoding, scores; best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory import names, values
from memory.asked import NEAR_EVENT, Asked
from memory.episodes import get_episodes
from memory.facts import sentence
from memory.index import Index
from memory.lookup import Match, Reading, best_first, readings
from memory.ports import FloatMatrix
from memory.questions import STAND_IN
from memory.scoring import Scorer
from memory.search import embeddings
from memory.search.predicates import PredicateMatcher
from memory.types import Fact
from memory.wordings import Wordings


@dataclass(frozen=True, slots=True)
class _Vectors:
    readings: FloatMatrix  # one row per reading: the question about the stand-in
    question: FloatMatrix  # the question as it is, times left out
    anchor: FloatMatrix | None


def warm(index: Index) -> None:
    """Encode the wordings that questions are held against, which else the first question of a home pays for."""
    _matcher(index).prepare(Wordings.load().names())


def _matcher(index: Index) -> PredicateMatcher:
    return PredicateMatcher(index.embedder, index.folder, STAND_IN)


def match(asked: Asked) -> list[Match]:
    """Every fact that some reading admits, scored; also finds the event that the question's anchor tells of."""
    if not asked.facts:
        return []
    dated = _first_said(asked) if asked.question.kind == "when" else {}
    scorer = Scorer(asked.question, asked.registry, asked.wordings, dated)
    found = readings(asked.question, asked.facts, asked.wordings)
    facts = _of_strangers(asked) if asked.question.strangers and not asked.question.mentions else asked.facts
    chosen = {i: scorer.candidates(reading, facts) for i, reading in enumerate(found)}
    involved = {fact.id: fact for group in chosen.values() for fact in group}
    if not involved:
        return []
    matcher = _matcher(asked.index)
    matcher.prepare({*asked.wordings.names(), *(fact.predicate for fact in involved.values())})
    rows = _rows(asked, list(involved.values()))
    vectors = _encode(asked, found)
    asked.event = _event(asked, vectors, rows)
    matches = []
    for i, reading in enumerate(found):
        if not chosen[i]:
            continue
        near = matcher.nearness(vectors.readings[i])
        best = max(near.values())
        for fact in chosen[i]:
            said = float(vectors.question @ rows[fact.id])
            matches.append(scorer.score(fact, reading, (near[fact.predicate], best), said))
    return best_first(matches)


def _of_strangers(asked: Asked) -> list[Fact]:
    """Facts that say every name of the question that is nobody's: "the interview at Sundrev Port"."""
    wanted = [names.key(name) for name in asked.question.strangers]
    said = {fact.id: f" {values.normal(fact.object)} {names.key(fact.subject)} " for fact in asked.facts}
    return [fact for fact in asked.facts if all(f" {name} " in said[fact.id] for name in wanted)]


def _first_said(asked: Asked) -> dict[str, datetime]:
    first = {fact.id: fact.evidence[0] for fact in asked.facts if fact.evidence}
    said = {e.id: e.time for e in get_episodes(asked.database, asked.space_id, list(set(first.values())))}
    return {fact_id: said[episode] for fact_id, episode in first.items() if episode in said}


def _rows(asked: Asked, facts: Sequence[Fact]) -> dict[str, FloatMatrix]:
    texts = {fact.id: sentence(fact) for fact in facts}
    made = embeddings.ensure(asked.database, asked.space_id, asked.index.embedder, "fact", texts)
    return dict(zip(texts, made, strict=True))


def _encode(asked: Asked, found: Sequence[Reading]) -> _Vectors:
    anchor = asked.question.anchor
    texts = [reading.asked for reading in found] + [asked.question.masked()]
    made = asked.index.vectors(texts + ([anchor.text] if anchor else []))
    n = len(found)
    rows = [made[text] for text in texts]
    return _Vectors(rows[:n], rows[n], made[anchor.text] if anchor else None)  # type: ignore[arg-type]


def _event(asked: Asked, vectors: _Vectors, rows: dict[str, FloatMatrix]) -> Fact | None:
    """The dated fact that the anchor's words tell of: the nearest in meaning."""
    if vectors.anchor is None:
        return None
    dated = [fact for fact in asked.live if fact.id in rows and fact.valid_from is not None]
    scored = [(float(vectors.anchor @ rows[fact.id]), fact.id, fact) for fact in dated]
    best = max(scored, key=lambda item: item[:2], default=None)
    return best[2] if best is not None and best[0] >= NEAR_EVENT else None
