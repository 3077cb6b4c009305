"""Where messages come from: imports and live channels, as they can be listed and erased."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from db import tables
from db.engine import Database


@dataclass(frozen=True, slots=True)
class Source:
    id: str
    kind: str  # the format that it came in (whatsapp, slack, ...), chat or note
    name: str
    created_at: datetime
    n_episodes: int  # messages that it brought and that are still here

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.id,
            "kind": self.kind,
            "name": self.name,
            "messages": self.n_episodes,
            "imported": self.created_at.isoformat(),
        }


def list_sources(database: Database, space_id: str) -> list[Source]:
    """The space's sources, oldest first."""
    source, episode = tables.Source, tables.Episode
    query = (
        select(source.id, source.kind, source.name, source.created_at, func.count(episode.id))
        .outerjoin(episode, episode.source_id == source.id)
        .where(source.space_id == space_id)
        .group_by(source.id, source.kind, source.name, source.created_at)
        .order_by(source.created_at, source.id)
    )
    with database.reading() as session:
        return [Source(*row) for row in session.execute(query)]
