"""How one person's persona speaks where it is not said for a turn: numbers by name, without anybody's words."""

from __future__ import annotations

from collections.abc import Mapping

from db import tables
from db.engine import Database
from memory.ports import Clock, utc_now


def get_sampling(database: Database, space_id: str, person_id: str) -> dict[str, float]:
    """What was set for the person; empty where nothing was."""
    with database.reading() as session:
        row = session.get(tables.PersonaSetting, person_id)
        return dict(row.sampling) if row is not None and row.space_id == space_id else {}


def set_sampling(
    database: Database,
    space_id: str,
    person_id: str,
    sampling: Mapping[str, float],
    *,
    clock: Clock = utc_now,
) -> None:
    """In the place of what was set before; an empty mapping takes it away."""
    with database.transaction() as session:
        row = session.get(tables.PersonaSetting, person_id)
        if row is not None:
            session.delete(row)
            session.flush()
        if sampling:
            session.add(
                tables.PersonaSetting(
                    person_id=person_id, space_id=space_id, sampling=dict(sampling), set_at=clock()
                )
            )
