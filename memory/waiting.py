"""What waits for a decision, in the order of saying: ids first, facts in parts, so that a night need not hold them all.

Each fact comes as it was said, outside every timeline. Nothing here reads what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Episode, Evidence, Fact
from memory import fact_rows
from memory.fact_views import plain
from memory.types import Fact as FactValue

WAITING = ("candidate", "quarantined")

_RANK = {
    "state": 0,
    "end": 1,
    "update": 2,
    "correct": 3,
}  # within one message: first what was, then what became of it

_Order = tuple[datetime, int, int, str, str, str]


def waiting_ids(session: Session, space_id: str, states: Sequence[str] = WAITING) -> list[str]:
    """Ids of what waits: candidates first, then what was quarantined, each in the order of saying."""
    query = (
        select(
            Fact.id,
            Fact.state,
            Fact.change,
            Fact.predicate,
            Fact.object_key,
            Fact.recorded_at,
            Episode.time,
            Episode.position,
        )
        .outerjoin(Evidence, Evidence.fact_id == Fact.id)
        .outerjoin(Episode, Episode.id == Evidence.episode_id)
        .where(Fact.space_id == space_id, Fact.state.in_(states))
    )
    first: dict[str, _Order] = {}
    is_quarantined: dict[str, bool] = {}
    for fact_id, state, change, predicate, key, recorded_at, time, position in session.execute(query):
        said = (time or recorded_at, position or 0, _RANK[change], predicate, key, fact_id)
        first[fact_id] = min(said, first.get(fact_id, said))
        is_quarantined[fact_id] = state == "quarantined"
    return sorted(first, key=lambda fact_id: (is_quarantined[fact_id], first[fact_id]))


def load_waiting(session: Session, space_id: str, ids: Sequence[str]) -> list[FactValue]:
    """Those of the facts that still wait, in the order of the ids."""
    rows = {row.id: row for row in fact_rows.load(session, space_id, ids=ids, states=WAITING)}
    return [plain(rows[fact_id]) for fact_id in ids if fact_id in rows]
