"""Emotion tags on episodes: a concept, an intensity of 0-10, and who judged it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.types import EmotionTag


def add_tags(session: Session, space_id: str, tags: Sequence[EmotionTag]) -> int:
    """Store the tags; the same judge's earlier intensity for an episode and concept is replaced.

    Returns how many rows are new. Raises ValueError for an intensity outside 0-10.
    """
    wrong = next((tag for tag in tags if not 0 <= tag.intensity <= 10), None)
    if wrong is not None:
        raise ValueError(f"the intensity {wrong.intensity} of {wrong.concept} is outside 0-10")
    known = _known(session, space_id, tags)
    n_new = 0
    for tag in tags:
        row = known.get((tag.episode_id, tag.concept, tag.judge))
        if row is None:
            row = tables.EmotionTag(
                space_id=space_id, episode_id=tag.episode_id, concept=tag.concept, judge=tag.judge
            )
            session.add(row)
            known[tag.episode_id, tag.concept, tag.judge] = row
            n_new += 1
        row.intensity = float(tag.intensity)
    session.flush()
    return n_new


def forget_tags(session: Session, space_id: str, episode_ids: Sequence[str]) -> None:
    """Take every judge's tags off these episodes, those of their authors too."""
    tag = tables.EmotionTag
    for start in range(0, len(episode_ids), 500):
        ids = episode_ids[start : start + 500]
        session.execute(delete(tag).where(tag.space_id == space_id, tag.episode_id.in_(ids)))


def _known(
    session: Session, space_id: str, tags: Sequence[EmotionTag]
) -> dict[tuple[str, str, str], tables.EmotionTag]:
    episode_ids = sorted({tag.episode_id for tag in tags})
    found: dict[tuple[str, str, str], tables.EmotionTag] = {}
    for start in range(0, len(episode_ids), 500):
        query = select(tables.EmotionTag).where(
            tables.EmotionTag.space_id == space_id,
            tables.EmotionTag.episode_id.in_(episode_ids[start : start + 500]),
        )
        for row in session.scalars(query):
            found[row.episode_id or "", row.concept, row.judge] = row
    return found


def list_tags(
    database: Database, space_id: str, *, concept: str | None = None, min_intensity: float = 0
) -> list[EmotionTag]:
    """Tags on episodes in time order; of one concept, and of at least this intensity, where asked."""
    query = (
        select(tables.EmotionTag)
        .join(tables.Episode, tables.Episode.id == tables.EmotionTag.episode_id)
        .where(tables.EmotionTag.space_id == space_id, tables.EmotionTag.intensity >= min_intensity)
        .order_by(tables.Episode.time, tables.Episode.position, tables.EmotionTag.concept)
    )
    if concept is not None:
        query = query.where(tables.EmotionTag.concept == concept)
    with database.reading() as session:
        return [
            EmotionTag(row.episode_id or "", row.concept, row.intensity, row.judge)
            for row in session.scalars(query)
        ]
