"""Which of a slot's facts a question means: the one that held then, the one before, the first.

Pure functions over facts of one timeline view. A fact whose start is no more than the day it was first mentioned is
taken to have held before that day as well, where nothing else did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from memory.registry import Registry
from memory.search.timephrases import TimePhrase
from memory.types import Fact

TIMELESS = ("retracted", "quarantined", "rejected")
DAWN = datetime.min.replace(tzinfo=UTC)


def start(fact: Fact) -> datetime:
    return fact.valid_from or DAWN


def holds(fact: Fact, moment: datetime) -> bool:
    """Whether the fact's interval contains the moment."""
    return start(fact) <= moment and (fact.valid_to is None or moment < fact.valid_to)


def at(facts: Sequence[Fact], moment: datetime, registry: Registry) -> list[Fact]:
    """What held at the moment; of a one-at-a-time predicate the value that began last."""
    holding = [fact for fact in facts if holds(fact, moment)]
    if not holding:
        later = sorted((f for f in facts if start(f) > moment and f.change == "state"), key=start)
        is_first = later and not any(start(f) <= moment for f in facts)
        holding = later[:1] if is_first and registry.get(later[0].predicate).volatility != "days" else []
    if (
        len(holding) > 1
        and registry.get(holding[0].predicate).cardinality == "one"
        and not _contested(holding)
    ):
        return [max(holding, key=lambda fact: (start(fact), fact.id))]
    return sorted(holding, key=lambda fact: (start(fact), fact.object, fact.id))


def during(facts: Sequence[Fact], phrase: TimePhrase, registry: Registry) -> list[Fact]:
    """What held at the phrase's moment, or else at any time within it; between two days, all that held."""
    moment = phrase.moment
    if phrase.is_span and phrase.start is not None and phrase.end is not None:
        return [
            f for f in facts if start(f) < phrase.end and (f.valid_to is None or f.valid_to > phrase.start)
        ]
    if moment is None:
        return []
    found = at(facts, moment, registry)
    if found or phrase.relation != "in" or phrase.start is None or phrase.end is None:
        return found
    return [f for f in facts if start(f) < phrase.end and (f.valid_to is None or f.valid_to > phrase.start)]


def earliest(facts: Sequence[Fact]) -> list[Fact]:
    return [min(facts, key=lambda fact: (start(fact), fact.id))]


def before(facts: Sequence[Fact], fact: Fact) -> list[Fact]:
    """The value that held last before that fact began."""
    earlier = [other for other in facts if other.id != fact.id and start(other) < start(fact)]
    return [max(earlier, key=lambda other: (start(other), other.id))] if earlier else []


def after(facts: Sequence[Fact], fact: Fact) -> list[Fact]:
    later = [other for other in facts if other.id != fact.id and start(other) > start(fact)]
    return [min(later, key=lambda other: (start(other), other.id))] if later else []


def latest_past(facts: Sequence[Fact], now: datetime) -> list[Fact]:
    """The value that ended last."""
    ended = [fact for fact in facts if fact.valid_to is not None and fact.valid_to <= now]
    return [max(ended, key=lambda fact: (fact.valid_to or DAWN, fact.id))] if ended else []


def next_after(facts: Sequence[Fact], now: datetime) -> list[Fact]:
    """The value that is to begin next."""
    return sorted((fact for fact in facts if start(fact) > now), key=lambda fact: (start(fact), fact.id))[:1]


def _contested(facts: Sequence[Fact]) -> bool:
    return any(fact.status == "contested" for fact in facts)
