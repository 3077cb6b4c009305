"""Perspective: what a person can know. They know what was said in conversations they took part in.

Messages that a model wrote are nobody's knowledge unless asked for by `origins`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Episode, Participant
from memory.types import Fact

HEARD = ("observed", "inferred")
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters
_MANY = 20_000  # from here on it is quicker to fetch everything that the person could hear


def visible_query(
    space_id: str, person_id: str, as_of: datetime | None = None, origins: Sequence[str] = HEARD
) -> Select[str]:
    """Ids of the episodes that the person said or could hear, up to and including `as_of`."""
    took_part = select(Participant.conversation_id).where(
        Participant.space_id == space_id, Participant.node_id == person_id
    )
    query = select(Episode.id).where(
        Episode.space_id == space_id,
        Episode.origin.in_(origins),
        or_(Episode.conversation_id.in_(took_part), Episode.speaker_id == person_id),
    )
    return query if as_of is None else query.where(Episode.time <= as_of)


def visible_among(
    session: Session,
    space_id: str,
    person_id: str,
    episode_ids: Collection[str],
    as_of: datetime | None = None,
) -> set[str]:
    """Which of these episodes the person said or could hear, up to and including `as_of`."""
    query = visible_query(space_id, person_id, as_of)
    if len(episode_ids) > _MANY:
        return set(session.scalars(query)) & set(episode_ids)
    asked = sorted(set(episode_ids))
    return {
        found
        for start in range(0, len(asked), _CHUNK)
        for found in session.scalars(query.where(Episode.id.in_(asked[start : start + _CHUNK])))
    }


def said_to_one_among(session: Session, space_id: str, episode_ids: Collection[str]) -> set[str]:
    """Which of these episodes nobody could hear but whoever said it and one other, at most."""
    small = (
        select(Participant.conversation_id)
        .where(Participant.space_id == space_id)
        .group_by(Participant.conversation_id)
        .having(func.count() <= 2)
    )
    query = select(Episode.id).where(Episode.space_id == space_id, Episode.conversation_id.in_(small))
    asked = sorted(set(episode_ids))
    return {
        found
        for start in range(0, len(asked), _CHUNK)
        for found in session.scalars(query.where(Episode.id.in_(asked[start : start + _CHUNK])))
    }


def visible_episode_ids(
    database: Database,
    space_id: str,
    person_id: str,
    as_of: datetime | None = None,
    *,
    origins: Sequence[str] = HEARD,
) -> set[str]:
    """Ids of the episodes that the person said or could hear, up to and including `as_of`."""
    with database.reading() as session:
        return set(session.scalars(visible_query(space_id, person_id, as_of, origins)))


def knows(fact: Fact, visible: Collection[str]) -> bool:
    """Whether any message that the fact rests on is among the visible ones."""
    return any(episode_id in visible for episode_id in fact.evidence)
