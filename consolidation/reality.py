"""Whether a fact is possible at all: dates, ages, numbers, intervals, who can be whose. Rules, no model.

What nobody has heard of is never impossible: private facts are what a memory is for. Each rule returns a reason in
words, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from memory import values
from memory.registry import Predicate, Registry
from memory.types import Fact

OLDEST_YEARS = 120
FARTHEST_PLAN_YEARS = 60
MOST = {"age": 120.0, "number_of_children": 30.0}  # a predicate that counts people or years
ANY_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
NUMERIC_DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?")
BEFORE_BIRTH = frozenset(("hometown", "mother", "father", "sister", "brother", "grandmother", "grandfather"))


@dataclass(frozen=True, slots=True)
class World:
    """What a rule may know: the registry, the birthdays the graph holds, and when the words were said."""

    registry: Registry
    births: Mapping[str, date] = field(
        default_factory=dict
    )  # node id -> day of birth, where the year is known
    said: datetime | None = None  # the latest evidence of the fact


Rule = Callable[[Fact, Predicate, World], str | None]


def impossible(fact: Fact, world: World) -> str | None:
    """Why the fact cannot be, or None."""
    predicate = world.registry.get(fact.predicate)
    return next((reason for rule in RULES if (reason := rule(fact, predicate, world))), None)


def _interval(fact: Fact, _predicate: Predicate, _world: World) -> str | None:
    if fact.valid_from and fact.valid_to and fact.valid_to < fact.valid_from:
        return "it would end before it begins"
    return None


def _far_away(fact: Fact, _predicate: Predicate, world: World) -> str | None:
    if world.said is None:
        return None
    farthest = world.said + timedelta(days=365 * FARTHEST_PLAN_YEARS)
    if any(time is not None and time > farthest for time in (fact.valid_from, fact.valid_to)):
        return f"its dates lie more than {FARTHEST_PLAN_YEARS} years ahead of the words"
    return None


def _calendar(fact: Fact, predicate: Predicate, _world: World) -> str | None:
    """A date that no calendar has, such as 30 February."""
    if predicate.object != "date":
        return None
    if match := NUMERIC_DATE.fullmatch(fact.object.strip()):
        parts = int(match[1]), int(match[2]), int(match[3] or 1)
    elif day := values.as_day(fact.object):
        parts = day[0] or 2000, day[1], day[2]  # without a year, one that has a 29 February
    else:
        return None
    return None if _day(*parts) else "no calendar has that day"


def _birthday(fact: Fact, _predicate: Predicate, world: World) -> str | None:
    if fact.predicate != "birthday" or world.said is None:
        return None
    born = birth_of(fact.object)
    if born is None:
        return None
    if born > world.said.date():
        return "nobody is born after the words that tell of it"
    if (world.said.date() - born).days > OLDEST_YEARS * 366:
        return f"nobody is older than {OLDEST_YEARS}"
    return None


def _number(fact: Fact, predicate: Predicate, _world: World) -> str | None:
    if predicate.object != "number":
        return None
    match = ANY_NUMBER.search(values.normal(fact.object))
    if match is None:
        return None
    number = float(match[0].replace(",", "."))
    most = MOST.get(fact.predicate)
    if number < 0 or (most is not None and number > most):
        return f"{fact.predicate.replace('_', ' ')} cannot be {match[0]}"
    return None


def _age_and_birth(fact: Fact, _predicate: Predicate, world: World) -> str | None:
    """An age more than two years off the birthday the graph holds."""
    born = world.births.get(fact.subject_id)
    match = ANY_NUMBER.search(values.normal(fact.object)) if fact.predicate == "age" else None
    if born is None or match is None or world.said is None:
        return None
    years = ((fact.valid_from or world.said).date() - born).days / 365.25
    if abs(years - float(match[0].replace(",", "."))) > 2:
        return "the age does not fit the birthday"
    return None


def _before_birth(fact: Fact, _predicate: Predicate, world: World) -> str | None:
    born = world.births.get(fact.subject_id)
    if born is None or fact.valid_from is None or fact.predicate in BEFORE_BIRTH:
        return None
    if fact.valid_from.date() < born:
        return "it would begin before the birth of whom it is about"
    return None


def _oneself(fact: Fact, predicate: Predicate, _world: World) -> str | None:
    is_same = fact.object_id == fact.subject_id or fact.object.casefold() == fact.subject.casefold()
    if predicate.object == "person" and is_same:
        return "nobody is that to themselves"
    return None


RULES: tuple[Rule, ...] = (
    _interval,
    _far_away,
    _calendar,
    _birthday,
    _number,
    _age_and_birth,
    _before_birth,
    _oneself,
)


def birth_of(value: str) -> date | None:
    """The day of birth where the value names a whole date."""
    found = values.as_day(value)
    return _day(found[0], found[1], found[2]) if found and found[0] else None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return datetime(year, month, day, tzinfo=UTC).date()
    except ValueError:
        return None
