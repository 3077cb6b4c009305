"""What time leaves of a fact: a number to rank by. Nothing is ever deleted for it.

Retention halves once per half-life, p = 2^(-age / h), the form that Settles and Meeder give Ebbinghaus's curve ("A
Trainable Spaced Repetition Model for Language Learning", ACL 2016, eq. 1). Said again, a fact lasts longer by as much
as had faded by then: h <- h * (1 + (EASE - 1) * (1 - p)). So repeats in one breath add nothing and repeats far apart add
most, which is the spacing effect (Cepeda et al., Psychological Bulletin 132, 2006). EASE is the factor by which
SuperMemo's SM-2 first lengthens an interval (Wozniak 1990).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from memory.registry import Predicate, Volatility

HALF_LIFE: Mapping[Volatility, timedelta | None] = {  # of what was said once; None never fades
    "never": None,
    "years": timedelta(days=720),
    "months": timedelta(days=90),
    "days": timedelta(days=5),
}
EASE = 2.5
MOST = 16.0  # no half-life grows beyond so many times its first length
LASTING_TOPICS = frozenset({"health", "identity", "safety"})  # never fade, but for what changes within days


@dataclass(frozen=True, slots=True)
class Held:
    """What decides how fast a fact fades. `said` holds a time for each message that says it, in any order."""

    predicate: Predicate
    said: Sequence[datetime]
    is_pinned: bool = False


def decay(held: Held, at: datetime) -> float:
    """The share of the fact that is left at that time, in [0, 1]; what was not said by then counts for nothing.

    1 for what is pinned, for what never changes and for lasting topics, whenever it was said.
    """
    if is_lasting(held):
        return 1.0
    said = sorted(moment for moment in held.said if moment <= at)
    return _retention(at - said[-1], half_life(held, at)) if said else 0.0


def is_lasting(held: Held) -> bool:
    """Whether the fact never fades."""
    predicate = held.predicate
    is_of_lasting_topic = predicate.topic in LASTING_TOPICS and predicate.volatility != "days"
    return held.is_pinned or is_of_lasting_topic or HALF_LIFE[predicate.volatility] is None


def half_life(held: Held, at: datetime) -> timedelta | None:
    """How long after it was last said half of the fact is left; None for ever."""
    first = HALF_LIFE[held.predicate.volatility]
    if first is None or is_lasting(held):
        return None
    said = sorted(moment for moment in held.said if moment <= at)
    grown = first
    for before, again in pairwise(said):
        faded = 1.0 - _retention(again - before, grown)
        grown = min(first * MOST, grown * (1.0 + (EASE - 1.0) * faded))
    return grown


def _retention(age: timedelta, half: timedelta | None) -> float:
    return 1.0 if half is None else float(0.5 ** (age / half))
