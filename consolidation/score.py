"""Stage `score`: how much each candidate deserves the night, from named terms that anybody can look at.

Every term lies in [0, 1], so does their weighted mean, the salience; both are stored with the fact. Candidates,
quarantined facts and stored facts that nobody has scored yet are scored; nothing is decided here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from consolidation.stage import NightContext, Progress, StageResult
from db.tables import EmotionTag, Episode, Evidence, Fact
from memory.registry import Registry

# How near a topic or a rate of change is to who somebody is; topics that are not named count OTHER_TOPIC.
TOPICS = {
    "identity": 1.0,
    "family": 1.0,
    "relationships": 1.0,
    "health": 1.0,
    "home": 0.9,
    "work": 0.9,
    "pets": 0.7,
    "events": 0.6,
    "tastes": 0.6,
    "habits": 0.6,
    "possessions": 0.5,
    "contact": 0.5,
    "feelings": 0.4,
}
OTHER_TOPIC = 0.3
STAYS = {"never": 1.0, "years": 0.9, "months": 0.6, "days": 0.25}
HALF_LIFE_DAYS = {"never": math.inf, "years": 720.0, "months": 90.0, "days": 5.0}
BATCH = 500


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each term counts; only the proportions matter."""

    identity: float = 0.30
    novelty: float = 0.15
    emotion: float = 0.15
    support: float = 0.10
    connectedness: float = 0.10
    recency: float = 0.10
    confidence: float = 0.10


@dataclass(frozen=True, slots=True)
class Voice:
    """One message a fact rests on: who said it, when, and how strongly it was felt (0-10)."""

    speaker_id: str
    time: datetime
    intensity: float = 0.0


@dataclass(frozen=True, slots=True)
class Around:
    """What the graph holds around the facts that are scored."""

    newest: datetime | None  # time of the newest episode
    stored: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # slot -> object keys
    degree: Counter[str] = field(default_factory=Counter)  # node id -> facts that touch it


@dataclass(frozen=True, slots=True)
class Scored:
    """A fact as the terms see it."""

    subject_id: str
    predicate: str
    object_key: str
    object_id: str | None
    confidence: float


def terms_of(fact: Scored, voices: Sequence[Voice], around: Around, registry: Registry) -> dict[str, float]:
    """The named terms, each in [0, 1]."""
    predicate = registry.get(fact.predicate)
    return {
        "identity": TOPICS.get(predicate.topic, OTHER_TOPIC) * STAYS[predicate.volatility],
        "novelty": _novelty(fact, around),
        "emotion": max((voice.intensity for voice in voices), default=0.0) / 10.0,
        "support": _support(voices),
        "connectedness": _connectedness(fact, around),
        "recency": _recency(voices, around, HALF_LIFE_DAYS[predicate.volatility]),
        "confidence": min(1.0, max(0.0, fact.confidence)),
    }


def salience_of(terms: dict[str, float], weights: Weights | None = None) -> float:
    """Weighted mean of the terms, in [0, 1]."""
    by_name = asdict(weights or Weights())
    total = sum(by_name[name] * value for name, value in terms.items())
    return float(total / sum(by_name[name] for name in terms))


def _novelty(fact: Scored, around: Around) -> float:
    """New slot 1, another value in a known slot 0.8, a value that is stored already 0.1."""
    known = around.stored.get((fact.subject_id, fact.predicate), frozenset())
    if not known:
        return 1.0
    return 0.1 if fact.object_key in known else 0.8


def _support(voices: Sequence[Voice]) -> float:
    """Days and speakers, not messages: five hundred repeats of one person on one day are one voice."""
    days = len({(voice.speaker_id, voice.time.date()) for voice in voices})
    speakers = len({voice.speaker_id for voice in voices})
    return 0.0 if not days else 1.0 - 0.6 ** (days - 1 + 2 * (speakers - 1)) * 0.7


def _connectedness(fact: Scored, around: Around) -> float:
    """How many other facts touch what this one is about; 20 is as good as many."""
    touching = around.degree[fact.subject_id] + (around.degree[fact.object_id] if fact.object_id else 0)
    return min(1.0, math.log1p(touching) / math.log1p(20))


def _recency(voices: Sequence[Voice], around: Around, half_life_days: float) -> float:
    """Halves per half-life of the predicate, counted back from the newest message; what never changes keeps 1."""
    if not voices or around.newest is None:
        return 0.0
    age_days = max(0.0, (around.newest - max(voice.time for voice in voices)).total_seconds() / 86_400)
    return float(0.5 ** (age_days / half_life_days))


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: scoring again writes the same numbers."""
    with context.database.reading() as session:
        around = _around(session, context.space_id)
        ids = list(session.scalars(_unscored(context.space_id)))
    total = 0.0
    for start in range(0, len(ids), BATCH):
        progress(start, len(ids))
        with context.database.transaction() as session:
            total += _score(session, ids[start : start + BATCH], around, context.tools.registry)
    progress(len(ids), len(ids))
    counts = {"scored": len(ids), "mean_salience": round(total / len(ids), 3) if ids else 0.0}
    return StageResult(counts=counts, output={"n_scored": len(ids)})


def _unscored(space_id: str) -> Select[str]:
    waiting = or_(Fact.state.in_(("candidate", "quarantined")), Fact.salience.is_(None))
    return (
        select(Fact.id)
        .where(
            Fact.space_id == space_id,
            waiting,
            Fact.state.not_in(("rejected", "merged")),
            Fact.retracted_at.is_(None),
        )
        .order_by(Fact.recorded_at, Fact.id)
    )


def _around(session: Session, space_id: str) -> Around:
    stored: dict[tuple[str, str], set[str]] = {}
    degree: Counter[str] = Counter()
    columns = (Fact.subject_id, Fact.predicate, Fact.object_key, Fact.object_id, Fact.state)
    live = select(*columns).where(
        Fact.space_id == space_id, Fact.retracted_at.is_(None), Fact.state.not_in(("rejected", "merged"))
    )
    for subject_id, predicate, object_key, object_id, state in session.execute(live):
        degree.update(node for node in (subject_id, object_id) if node)
        if state == "stored":
            stored.setdefault((subject_id, predicate), set()).add(object_key)
    newest = session.scalar(select(func.max(Episode.time)).where(Episode.space_id == space_id))
    return Around(newest, {slot: frozenset(keys) for slot, keys in stored.items()}, degree)


def _score(session: Session, ids: Sequence[str], around: Around, registry: Registry) -> float:
    voices = _voices(session, ids)
    total = 0.0
    for row in session.scalars(select(Fact).where(Fact.id.in_(ids))):
        fact = Scored(row.subject_id, row.predicate, row.object_key, row.object_id, row.confidence)
        terms = terms_of(fact, voices.get(row.id, ()), around, registry)
        row.salience_terms = {name: round(value, 4) for name, value in terms.items()}
        row.salience = round(salience_of(terms), 4)
        total += row.salience
    return total


def _voices(session: Session, ids: Sequence[str]) -> dict[str, list[Voice]]:
    """Who said each fact, in its own words or in a statement that was merged into it."""
    keeper = case((Fact.state == "merged", Fact.superseded_by), else_=Fact.id)
    rows = list(
        session.execute(
            select(keeper, Episode.id, Episode.speaker_id, Episode.time)
            .join(Evidence, Evidence.fact_id == Fact.id)
            .join(Episode, Episode.id == Evidence.episode_id)
            .where(
                or_(Fact.id.in_(ids), and_(Fact.state == "merged", Fact.superseded_by.in_(ids))),
                Episode.origin == "observed",
            )
        )
    )
    felt = _felt(session, {row.id for row in rows})
    voices: dict[str, list[Voice]] = {}
    for fact_id, episode_id, speaker_id, time in rows:
        voices.setdefault(fact_id, []).append(Voice(speaker_id, time, felt.get(episode_id, 0.0)))
    return voices


def _felt(session: Session, episode_ids: Iterable[str]) -> dict[str, float]:
    strongest = select(EmotionTag.episode_id, func.max(EmotionTag.intensity)).where(
        EmotionTag.episode_id.in_(list(episode_ids))
    )
    return {
        episode_id: float(intensity)
        for episode_id, intensity in session.execute(strongest.group_by(EmotionTag.episode_id))
        if episode_id
    }
