"""The story of one fact: who said it, what it took the place of, what took its place, what was decided.

For a viewer (`known_to`) the story is told from what they could hear: no decision, no statement and no message that
they know nothing of is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.engine import Database
from memory import fact_rows
from memory.decisions import DecisionRow, decisions_about
from memory.episodes import get_episodes
from memory.errors import UnknownFact
from memory.fact_views import Asked, plain, read
from memory.facts import fact_json
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.sensitive import kinds
from memory.types import Episode, Fact


@dataclass(frozen=True, slots=True)
class FactStory:
    """`statements` are what the fact is made of, each as it was said, the first said first."""

    fact: Fact
    statements: tuple[Fact, ...]
    evidence: tuple[Episode, ...]
    supersedes: tuple[Fact, ...]
    superseded_by: Fact | None
    contests: tuple[Fact, ...]
    decisions: tuple[DecisionRow, ...]


def tell(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    *,
    as_of: datetime | None = None,
    known_to: str | None = None,
    recorded_as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> FactStory:
    """The story of the fact that the statement of that id is part of. Raises UnknownFact, also where `known_to`
    cannot know it."""
    asked = Asked(registry, as_of, known_to, recorded_as_of, clock)
    with database.reading() as session:
        found = fact_rows.load(session, space_id, fact_id=fact_id)
        if not found:
            raise UnknownFact(fact_id)
        row = found[0]
        reading = read(session, space_id, asked, (row.subject_id,), (row.predicate,))
        if fact_id not in reading.owners:
            raise UnknownFact(fact_id)
        by_id = {fact.id: fact for fact in reading.facts}
        fact = by_id[reading.owners[fact_id]]
        members = [row for row in reading.rows.values() if reading.owners[row.id] == fact.id]
        members.sort(key=lambda row: (row.evidence[0].time if row.evidence else row.recorded_at, row.id))
        ids = {member.id for member in members}
        made = [] if known_to else decisions_about(session, space_id, row.subject_id, row.predicate, ids)
    return FactStory(
        fact=fact,
        statements=tuple(plain(row) for row in members),
        evidence=tuple(get_episodes(database, space_id, fact.evidence)),
        supersedes=tuple(other for other in reading.facts if other.superseded_by == fact.id),
        superseded_by=by_id.get(fact.superseded_by or ""),
        contests=tuple(contesting(fact, reading.facts)),
        decisions=tuple(row for row in made if recorded_as_of is None or row.decided_at <= recorded_as_of),
    )


def contesting(fact: Fact, others: Sequence[Fact]) -> list[Fact]:
    """Those of the same slot that a contested fact stands against."""
    if fact.status != "contested":
        return []
    return [other for other in others if other.status == "contested" and other.id != fact.id]


def story_json(story: FactStory) -> dict[str, Any]:
    """The story as other programs get it."""
    fact = story.fact
    return {
        **fact_json(fact),
        "recorded_at": fact.recorded_at.isoformat(),
        "retracted_at": fact.retracted_at.isoformat() if fact.retracted_at else None,
        "origin": fact.origin,
        "rule": fact.rule,
        "said_by": fact.asserted_by,
        "superseded_by": fact_json(story.superseded_by) if story.superseded_by else None,
        "supersedes": [fact_json(other) for other in story.supersedes],
        "contested_with": [fact_json(other) for other in story.contests],
        "statements": [
            {"said_by": said.asserted_by, "recorded_at": said.recorded_at.isoformat(), **fact_json(said)}
            for said in story.statements
        ],
        "pinned": fact.is_pinned,
        "messages": [message_json(episode) for episode in story.evidence],
        "decisions": [decision_json(row) for row in story.decisions],
    }


def message_json(episode: Episode) -> dict[str, Any]:
    """A message as other programs get it."""
    return {
        "episode": episode.id,
        "speaker": episode.speaker,
        "time": episode.time.isoformat(),
        "text": episode.text,
        "sensitive": list(kinds(episode.text)),
    }


def decision_json(row: DecisionRow) -> dict[str, Any]:
    """A decision as other programs get it."""
    return {
        "id": row.id,
        "run": row.run_id,
        "decision": row.kind,
        "fact": row.fact_id,
        "reasons": [str(reason) for reason in row.reasons],
        "decided_at": row.decided_at.isoformat(),
        "undone": row.undone_at is not None,
    }
