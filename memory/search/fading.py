"""What time takes from the facts among the hits: some of their score, by what `memory.decay` has left of each.

Only facts fade; a message is what was said, whenever that was. Time is the space's own: it ends with the newest
message, so that nothing fades while nobody speaks. Read from the tables for the best units alone, after everything
else was scored, so that a pin counts at once and no index has to know of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.orm import Session

from db.tables import Episode, Evidence, Fact
from memory import permanence
from memory.decay import Held, decay, is_lasting
from memory.perspective import HEARD
from memory.registry import Predicate, Registry
from memory.search import units

# Taken from the score of a fact of which nothing is left: a fifth of what the speaker or the words of a question weigh
# (memory.search.fuse), so that of two facts that answer alike the one that is alive comes first, and no more than that.
FADING = 0.5

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_FACT = select(Fact.id, Fact.predicate, Fact.pinned_at, Fact.volatility).where(Fact.id.in_(_IDS))
_MERGED = select(Fact.id, Fact.superseded_by, Fact.pinned_at).where(
    Fact.superseded_by.in_(_IDS), Fact.state == "merged"
)
_TOLD = (
    select(Evidence.fact_id, Episode.id, Episode.time)
    .join(Episode, Episode.id == Evidence.episode_id)
    .where(Evidence.fact_id.in_(_IDS), Episode.origin.in_(HEARD))
)


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
        found |= _retained(session, registry, part, at, visible)
    return found


def _retained(
    session: Session,
    registry: Registry,
    fact_ids: Collection[str],
    at: datetime,
    visible: Collection[str] | None,
) -> dict[str, float]:
    keeper = {fact_id: fact_id for fact_id in fact_ids}  # of each statement, the fact that it is part of
    pinned: set[str] = set()
    predicates: dict[str, Predicate] = {}
    for fact_id, name, pinned_at, volatility in session.execute(_FACT, {"ids": fact_ids}):
        predicates[fact_id] = permanence.as_stated(registry.get(name), volatility)
        if pinned_at is not None:
            pinned.add(fact_id)
    for statement, kept, pinned_at in session.execute(_MERGED, {"ids": fact_ids}):
        keeper[statement] = kept or statement
        if pinned_at is not None:
            pinned.add(keeper[statement])
    held = {
        fact_id: Held(predicate, (), is_pinned=visible is None and fact_id in pinned)
        for fact_id, predicate in predicates.items()
    }
    fading = {fact_id for fact_id, item in held.items() if not is_lasting(item)}
    said: dict[str, list[datetime]] = defaultdict(list)
    told = [statement for statement, fact_id in keeper.items() if fact_id in fading]
    for part in units.in_chunks(told):
        for statement, episode_id, time in session.execute(_TOLD, {"ids": part}):
            if visible is None or episode_id in visible:
                said[keeper[statement]].append(time)
    return {
        fact_id: decay(replace(item, said=said[fact_id]), at) if fact_id in fading else 1.0
        for fact_id, item in held.items()
    }
