"""What an erasure takes of the entities that agents keep (memory.entities).

An entity goes with the node that it is about, and with the note that says its type; where the channel or file goes that
notes came by, with the last of its notes. Observations and relations go with their notes, as rows of the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory.erasure.chunks import chunked
from memory.exchange.mcp_memory import KIND

if TYPE_CHECKING:
    from memory.erasure.reach import Reach


def find(session: Session, space_id: str, reach: Reach) -> None:
    """Add to the reach the entities that go, and their names."""
    entity = tables.MemoryEntity
    query = select(entity.id, entity.name).where(entity.space_id == space_id)
    found = [
        row
        for column, ids in ((entity.node_id, reach.nodes), (entity.episode_id, reach.unsaid))
        for part in chunked(column, ids)
        for row in session.execute(query.where(part))
    ]
    if _is_of_agents(session, reach):
        noted = select(tables.MemoryObservation.entity_id, tables.MemoryObservation.episode_id)
        kept = {
            entity_id
            for entity_id, episode_id in session.execute(
                noted.where(tables.MemoryObservation.space_id == space_id)
            )
            if episode_id not in reach.unsaid
        }
        found += [row for row in session.execute(query) if row.id not in kept]
    reach.entities = {row.id for row in found}
    reach.entity_names = {row.name for row in found}


def _is_of_agents(session: Session, reach: Reach) -> bool:
    """Whether a source of such notes is to be erased."""
    return reach.target.kind == "source" and session.get_one(tables.Source, reach.target.id).kind == KIND
