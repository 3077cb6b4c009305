"""What readouts found in messages: per concept a number in standard deviations of neutral text.

A reading belongs to one message and one readout, named by the sha256 over its files: numbers of different readouts
are never compared. It goes with its message, and when the message is reworded or loses a name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.ports import Clock

_CHUNK = 500  # ids per statement; SQLite bounds the number of parameters


@dataclass(frozen=True, slots=True)
class Reading:
    episode_id: str
    readout: str  # sha256 over its files
    concepts: Mapping[str, float]


def keep_readings(session: Session, space_id: str, readings: Sequence[Reading], *, clock: Clock) -> None:
    """Store them; what the same readout found earlier in the same message is replaced."""
    for start in range(0, len(readings), _CHUNK):
        part = {(one.episode_id, one.readout): one for one in readings[start : start + _CHUNK]}
        row = tables.Reading
        for readout in sorted({one.readout for one in part.values()}):
            ids = [episode_id for episode_id, name in part if name == readout]
            session.execute(delete(row).where(row.readout == readout, row.episode_id.in_(ids)))
        now = clock()
        session.execute(
            insert(row),
            [
                {
                    "episode_id": one.episode_id,
                    "readout": one.readout,
                    "space_id": space_id,
                    "concepts": dict(one.concepts),
                    "read_at": now,
                }
                for one in part.values()
            ],
        )


def list_readings(
    database: Database, space_id: str, *, readout: str | None = None, episodes: Collection[str] | None = None
) -> list[Reading]:
    """In the order of their messages' time; of one readout, and of these messages (ids), where asked."""
    row, said = tables.Reading, tables.Episode
    query = (
        select(row.episode_id, row.readout, row.concepts)
        .join(said, said.id == row.episode_id)
        .where(row.space_id == space_id)
        .order_by(said.time, said.position, said.id, row.readout)
    )
    if readout is not None:
        query = query.where(row.readout == readout)
    with database.reading() as session:
        found = [Reading(*one) for one in session.execute(query)]
    wanted = None if episodes is None else set(episodes)
    return found if wanted is None else [one for one in found if one.episode_id in wanted]
