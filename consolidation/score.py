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

from agents.convictions import strength
from consolidation.stage import NightContext, Progress, SalienceWeights, StageResult
from db.tables import EmotionTag, Episode, Evidence, Fact, FactUse
from memory import permanence
from memory.decay import Held, decay
from memory.fact_rows import chunks
from memory.registry import Predicate, Registry
from memory.uses import Use, asked_for, uses
from memory.wordings import content_words

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
STRONGEST_LINE = 3.0  # weight of a line that tells most of who somebody is
FULL_WORDS = 20  # content words from which a message is as full as any
MOST_OF_WORDS = 0.5  # salience of a message on which no fact rests
BATCH = 500


@dataclass(frozen=True, slots=True)
class Voice:
    """One message a fact rests on: who said it, when, and how strongly it was felt (0-10)."""

    speaker_id: str
    time: datetime
    intensity: float = 0.0


@dataclass(slots=True)
class Around:
    """What the graph holds around the facts that are scored; filled in as they are."""

    newest: datetime | None  # time of the newest episode
    stored: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # slot -> object keys
    degree: Counter[str] = field(default_factory=Counter)  # node id -> facts that touch it
    seen: set[str] = field(default_factory=set)  # subjects whose slots are read
    now: datetime | None = None  # when it is scored


@dataclass(frozen=True, slots=True)
class Scored:
    """A fact as the terms see it."""

    subject_id: str
    predicate: str
    object_key: str
    object_id: str | None
    confidence: float
    is_pinned: bool = False
    use: Use | None = None
    known_novelty: float | None = None  # of a stored fact: how new it was when it came
    volatility: str | None = None  # where its words say otherwise than its predicate


def terms_of(fact: Scored, voices: Sequence[Voice], around: Around, registry: Registry) -> dict[str, float]:
    """The named terms, each in [0, 1]."""
    predicate = permanence.as_stated(registry.get(fact.predicate), fact.volatility)
    return {
        "identity": TOPICS.get(predicate.topic, OTHER_TOPIC) * STAYS[predicate.volatility],
        "novelty": _novelty(fact, around),
        "emotion": max((voice.intensity for voice in voices), default=0.0) / 10.0,
        "support": _support(voices),
        "connectedness": _connectedness(fact, around),
        "recency": _recency(fact, voices, around, predicate),
        "confidence": min(1.0, max(0.0, fact.confidence)),
        "asked": 0.0 if around.now is None else asked_for(fact.use, around.now),
    }


def salience_of(terms: dict[str, float], weights: SalienceWeights | None = None) -> float:
    """Weighted mean of the terms, in [0, 1]. Having been asked for only adds: most facts never are."""
    by_name = asdict(weights or SalienceWeights())
    total = sum(by_name[name] * value for name, value in terms.items())
    among = sum(by_name[name] for name in terms if name != "asked")
    return float(min(1.0, total / among)) if among else 0.0


@dataclass(frozen=True, slots=True)
class MessageWeights:
    """How much each term of a message counts on which no fact rests."""

    conviction: float = 0.4
    emotion: float = 0.3
    fullness: float = 0.3


def message_terms(text: str, intensity: float) -> dict[str, float]:
    """The terms of a message's own words, each in [0, 1]; `intensity` is its strongest emotion, 0-10.

    Conviction is how much they say of who speaks, by the strongest line that a constitution would take from them.
    """
    return {
        "conviction": min(1.0, strength(text) / STRONGEST_LINE),
        "emotion": min(1.0, intensity / 10.0),
        "fullness": min(1.0, len(content_words(text)) / FULL_WORDS),
    }


def salience_of_messages(session: Session, space_id: str, episode_ids: Sequence[str]) -> dict[str, float]:
    """In [0, 1]: the salience of the weightiest fact that rests on the message, else what its own words come to.

    A message without a fact stays under MOST_OF_WORDS: what was said for the talk's sake does not outweigh a fact.
    """
    found: dict[str, float] = {}
    for part in chunks(sorted(set(episode_ids))):
        found |= _salience_of_messages(session, space_id, part)
    return found


def _salience_of_messages(session: Session, space_id: str, episode_ids: Sequence[str]) -> dict[str, float]:
    resting = (
        select(Evidence.episode_id, func.max(Fact.salience))
        .join(Fact, Fact.id == Evidence.fact_id)
        .where(Evidence.episode_id.in_(episode_ids), Fact.state != "rejected", Fact.salience.is_not(None))
        .group_by(Evidence.episode_id)
    )
    by_fact = {episode_id: value or 0.0 for episode_id, value in session.execute(resting)}
    felt = _felt(session, episode_ids)
    said = select(Episode.id, Episode.text).where(Episode.space_id == space_id, Episode.id.in_(episode_ids))
    return {
        episode_id: max(
            by_fact.get(episode_id, 0.0),
            MOST_OF_WORDS * _mean(message_terms(text, felt.get(episode_id, 0.0))),
        )
        for episode_id, text in session.execute(said)
    }


def _mean(terms: dict[str, float]) -> float:
    weights = asdict(MessageWeights())
    return float(sum(weights[name] * value for name, value in terms.items()) / sum(weights.values()))


def _novelty(fact: Scored, around: Around) -> float:
    """New slot 1, another value in a known slot 0.8, a value that is stored already 0.1."""
    if fact.known_novelty is not None:
        return fact.known_novelty
    known = around.stored.get((fact.subject_id, fact.predicate), set())
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


def _recency(fact: Scored, voices: Sequence[Voice], around: Around, predicate: Predicate) -> float:
    """What time had left of it when the newest message was sent, see `memory.decay`."""
    if not voices or around.newest is None:
        return 0.0
    held = Held(predicate, [voice.time for voice in voices], is_pinned=fact.is_pinned)
    return decay(held, around.newest)


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: scoring again writes the same numbers."""
    with context.database.reading() as session:
        ids = list(session.scalars(_unscored(context.space_id)))
        newest = session.scalar(select(func.max(Episode.time)).where(Episode.space_id == context.space_id))
    around = Around(newest, now=context.clock())
    total = 0.0
    for start in range(0, len(ids), BATCH):
        progress(start, len(ids))
        with context.database.transaction() as session:
            rows = session.scalars(select(Fact).where(Fact.id.in_(ids[start : start + BATCH]))).all()
            _look_around(session, context.space_id, rows, around)
            total += _score(session, rows, around, context)
    progress(len(ids), len(ids))
    counts = {"scored": len(ids), "mean_salience": round(total / len(ids), 3) if ids else 0.0}
    return StageResult(counts=counts, output={"n_scored": len(ids)})


def _unscored(space_id: str) -> Select[str]:
    """Undecided, never scored, or asked for since."""
    asked = Fact.id.in_(select(FactUse.fact_id).where(FactUse.space_id == space_id))
    waiting = or_(Fact.state.in_(("candidate", "quarantined")), Fact.salience.is_(None), asked)
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


def _look_around(session: Session, space_id: str, rows: Sequence[Fact], around: Around) -> None:
    """Fill in what is stored of the subjects and how many facts touch the nodes; each is read once a night."""
    live = Fact.space_id == space_id, Fact.retracted_at.is_(None), Fact.state.not_in(("rejected", "merged"))
    subjects = {row.subject_id for row in rows} - around.seen
    for part in chunks(sorted(subjects)):
        slots = select(Fact.subject_id, Fact.predicate, Fact.object_key).where(
            *live, Fact.subject_id.in_(part), Fact.state == "stored"
        )
        for subject_id, predicate, object_key in session.execute(slots):
            around.stored.setdefault((subject_id, predicate), set()).add(object_key)
    around.seen |= subjects
    nodes = {node for row in rows for node in (row.subject_id, row.object_id) if node} - around.degree.keys()
    for part in chunks(sorted(nodes)):
        for column in (Fact.subject_id, Fact.object_id):
            touching = select(column, func.count()).where(*live, column.in_(part)).group_by(column)
            around.degree.update({node: n for node, n in session.execute(touching) if node})
    around.degree.update(dict.fromkeys(nodes - around.degree.keys(), 0))


def _score(session: Session, rows: Sequence[Fact], around: Around, context: NightContext) -> float:
    ids = [row.id for row in rows]
    voices, asked = _voices(session, ids), uses(session, ids)
    total = 0.0
    for row in rows:
        was = (row.salience_terms or {}).get("novelty") if row.state == "stored" else None
        fact = Scored(
            row.subject_id,
            row.predicate,
            row.object_key,
            row.object_id,
            row.confidence,
            is_pinned=row.pinned_at is not None,
            use=asked.get(row.id),
            known_novelty=was,
            volatility=row.volatility,
        )
        terms = terms_of(fact, voices.get(row.id, ()), around, context.tools.registry)
        row.salience_terms = {name: round(value, 4) for name, value in terms.items()}
        row.salience = round(salience_of(terms, context.settings.salience), 4)
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
