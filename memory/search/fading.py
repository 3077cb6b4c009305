"""What time takes from the facts among the hits: some of their score, by what `memory.decay` has left of each.

Only facts fade; a message is what was said, whenever that was. Time is the space's own: it ends with the newest
message, so that nothing fades while nobody speaks. Read from the tables for the best units alone, after everything
else was scored, so that a pin counts at once and no index has to know of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Fact
from memory.decay import Held, decay
from memory.registry import Registry
from memory.search import units

# Taken from the score of a fact of which nothing is left: a fifth of what the speaker or the words of a question weigh
# (memory.search.fuse), so that of two facts that answer alike the one that is alive comes first, and no more than that.
FADING = 0.5


def retained(
    session: Session,
    registry: Registry,
    fact_ids: Iterable[str],
    at: datetime,
    visible: Collection[str] | None = None,
) -> dict[str, float]:
    """What is left of each fact, in [0, 1]. Of `visible` messages only, where given; then no pin shows either."""
    found: dict[str, float] = {}
    for part in units.in_chunks(fact_ids):
        heard = units.heard(session, part)
        pinned = _pinned(session, part) if visible is None else frozenset()
        for fact_id, predicate in session.execute(select(Fact.id, Fact.predicate).where(Fact.id.in_(part))):
            said = [
                datetime.fromtimestamp(item.time, UTC)
                for item in heard.get(fact_id, ())
                if visible is None or item.episode_id in visible
            ]
            held = Held(registry.get(predicate), said, is_pinned=fact_id in pinned)
            found[fact_id] = decay(held, at)
    return found


def _pinned(session: Session, fact_ids: Collection[str]) -> frozenset[str]:
    """Those that carry a pin, or of which a restatement does."""
    is_pinned = Fact.pinned_at.is_not(None)
    own = select(Fact.id).where(Fact.id.in_(fact_ids), is_pinned)
    merged = select(Fact.superseded_by).where(
        Fact.superseded_by.in_(fact_ids), is_pinned, Fact.state == "merged"
    )
    return frozenset(fact_id for query in (own, merged) for fact_id in session.scalars(query) if fact_id)
