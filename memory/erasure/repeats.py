"""Messages of a source that a later import brought again, told by the gaps that it left.

An import stores only what is new, under the message's place in its file. So the places that are missing were messages
that were known. Where exactly as many messages of the conversation were there before, and their times fit into the
gaps in order, they are the ones; they can stay with the later source. In any other case nothing is claimed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables

Place = tuple[str, int]  # source and position in it


def repeated(session: Session, source_id: str) -> dict[str, Place]:
    """Episode ids of the source, each with the place it has in the oldest later source that holds it."""
    source = session.get_one(tables.Source, source_id)
    episode = tables.Episode
    conversations = session.scalars(
        select(episode.conversation_id).where(episode.source_id == source_id).distinct()
    ).all()
    found: dict[str, Place] = {}
    for conversation_id in conversations:
        later = (
            select(tables.Source)
            .join(episode, episode.source_id == tables.Source.id)
            .where(
                episode.conversation_id == conversation_id,
                tables.Source.id != source_id,
                tables.Source.kind == source.kind,
                tables.Source.created_at >= source.created_at,
            )
            .distinct()
            .order_by(tables.Source.created_at.desc())
        )
        for other in session.scalars(later):
            found |= _known_to(session, other, conversation_id)
    own = set(session.scalars(select(episode.id).where(episode.source_id == source_id)))
    return {episode_id: place for episode_id, place in found.items() if episode_id in own}


def _known_to(session: Session, later: tables.Source, conversation_id: str) -> dict[str, Place]:
    """The messages that were there when the later source came, with the places of its gaps."""
    episode = tables.Episode
    fresh = session.execute(
        select(episode.position, episode.time, episode.conversation_id).where(episode.source_id == later.id)
    ).all()
    if {row.conversation_id for row in fresh} != {conversation_id}:
        return {}
    times: dict[int, datetime] = {row.position: row.time for row in fresh}
    last = max(times)
    gaps = [place for place in range(last) if place not in times]
    before = session.execute(
        select(episode.id, episode.time)
        .join(tables.Source, tables.Source.id == episode.source_id)
        .where(
            episode.conversation_id == conversation_id,
            episode.source_id != later.id,
            tables.Source.created_at <= later.created_at,
            episode.time <= times[last],
        )
        .order_by(episode.time, tables.Source.created_at, episode.position)
    ).all()
    if len(before) != len(gaps):
        return {}
    times |= {place: row.time for place, row in zip(gaps, before, strict=True)}
    in_order = [times[place] for place in range(last + 1)]
    if in_order != sorted(in_order):
        return {}
    return {row.id: (later.id, place) for place, row in zip(gaps, before, strict=True)}
