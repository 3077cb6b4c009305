"""Perspective: what a person can know. They know what was said in conversations they took part in.

Messages that a model wrote are nobody's knowledge unless asked for by `origins`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, or_, select

from db.engine import Database
from db.tables import Episode, Participant
from memory.types import Fact

HEARD = ("observed", "inferred")


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
