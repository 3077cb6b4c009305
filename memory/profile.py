"""The card of one person: everything the graph holds of them, put in order; nothing is decided or stored here.

With `known_to` all of it is limited to what that person can know: facts, relations and numbers follow from the
messages they said or could hear, a principle shows where they could hear all that it rests on, a further name where
they heard it said. With `as_of` it is the card of that day.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Conversation, EmotionTag, Episode
from memory import consent, constitutions, fact_rows, names
from memory.fact_views import HOLDING, Asked, Choice, read
from memory.facts import fact_json
from memory.people import get_person
from memory.perspective import visible_query
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.relations import Relation, relations_within
from memory.types import Fact, Person, Principle

STRONGEST = 5  # concepts told of each month


@dataclass(frozen=True, slots=True)
class Felt:
    """A concept in the messages of a month: in how many, and how strong on the mean (0-10)."""

    concept: str
    n: int
    intensity: float


@dataclass(frozen=True, slots=True)
class Month:
    month: str  # 2025-03, in the space's time zone
    felt: tuple[Felt, ...]  # the strongest first: by the sum of their intensities


@dataclass(frozen=True, slots=True)
class Messages:
    """What they said themselves. `conversations`: name and number of messages, the most first."""

    n: int
    first: datetime | None
    last: datetime | None
    conversations: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    person: Person
    relations: tuple[Relation, ...]
    topics: Mapping[
        str, tuple[Fact, ...]
    ]  # what holds, by the registry's topics; people stand in `relations`
    contested: tuple[Fact, ...]
    months: tuple[Month, ...]
    constitution: tuple[Principle, ...]
    constitution_version: int
    messages: Messages
    has_consent: bool | None  # None where it is not the viewer's to know


def profile(
    database: Database,
    space_id: str,
    person_id: str,
    registry: Registry,
    *,
    as_of: datetime | None = None,
    known_to: str | None = None,
    clock: Clock = utc_now,
) -> Profile:
    """The person's card; raises UnknownPerson. Lists are in a fixed order."""
    person = get_person(database, space_id, person_id)
    limits = _Limits(space_id, person.id, as_of, known_to)
    asked = Asked(registry, as_of, known_to, None, clock)
    is_private = known_to is not None and known_to != person.id
    with database.reading() as session:
        facts = read(session, space_id, asked, (person.id,), None).chosen(Choice(HOLDING), registry)
        related = relations_within(session, space_id, asked, person_id=person.id)
        version, principles = constitutions.current_within(session, space_id, person.id)
        person = replace(person, aliases=tuple(limits.names_heard(session, person.aliases)))
        known = limits.visible_of(session, {one for item in principles for one in item.evidence})
        messages, months = _messages(session, limits), _months(session, limits)
        has_consent = None if is_private else consent.stands(session, space_id, person.id)
    told = {edge.fact_id for edge in related}
    return Profile(
        person=person,
        relations=tuple(related),
        topics=_by_topic([fact for fact in facts if fact.id not in told], registry),
        contested=tuple(fact for fact in facts if fact.status == "contested"),
        months=tuple(months),
        constitution=tuple(
            item
            for item in principles
            if known is None or (item.evidence and known.issuperset(item.evidence))
        ),
        constitution_version=version,
        messages=messages,
        has_consent=has_consent,
    )


def _by_topic(facts: Sequence[Fact], registry: Registry) -> dict[str, tuple[Fact, ...]]:
    found: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.status != "contested":
            found[registry.get(fact.predicate).topic].append(fact)
    return {
        topic: tuple(found[topic]) for topic in sorted(found, key=lambda topic: (topic == "other", topic))
    }


@dataclass(frozen=True, slots=True)
class _Limits:
    """Which messages count."""

    space_id: str
    person_id: str
    as_of: datetime | None
    known_to: str | None

    def spoken(self) -> list[ColumnElement[bool]]:
        """Conditions on an episode that the person said, and that the viewer could know by then."""
        return [Episode.speaker_id == self.person_id, Episode.origin == "observed", *self._seen()]

    def _seen(self) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [Episode.space_id == self.space_id]
        if self.as_of is not None:
            conditions.append(Episode.time <= self.as_of)
        if self.known_to is not None:
            conditions.append(Episode.id.in_(visible_query(self.space_id, self.known_to, self.as_of)))
        return conditions

    def visible_of(self, session: Session, episode_ids: Collection[str]) -> set[str] | None:
        """Those of the episodes that count; None where all do."""
        if self.known_to is None and self.as_of is None:
            return None
        wanted, found = sorted(episode_ids), set()
        for start in range(0, len(wanted), 500):
            chosen = Episode.id.in_(wanted[start : start + 500])
            found |= set(session.scalars(select(Episode.id).where(chosen, *self._seen())))
        return found

    def names_heard(self, session: Session, aliases: Sequence[str]) -> Iterator[str]:
        """The further names that the viewer heard said; their own they know."""
        for alias in aliases:
            if self.known_to in (None, self.person_id) or self._is_heard(session, alias):
                yield alias

    def _is_heard(self, session: Session, name: str) -> bool:
        is_said = or_(
            Episode.text.contains(name, autoescape=True),
            func.lower(Episode.text).contains(name.lower(), autoescape=True),
        )
        return session.scalar(select(Episode.id).where(is_said, *self._seen()).limit(1)) is not None


def _messages(session: Session, limits: _Limits) -> Messages:
    query = (
        select(Conversation.name, func.count(), func.min(Episode.time), func.max(Episode.time))
        .join(Conversation, Conversation.id == Episode.conversation_id)
        .where(*limits.spoken())
        .group_by(Conversation.id, Conversation.name)
    )
    rows = sorted(session.execute(query).all(), key=lambda row: (-row[1], names.key(row[0])))
    return Messages(
        n=sum(row[1] for row in rows),
        first=min((row[2] for row in rows), default=None),
        last=max((row[3] for row in rows), default=None),
        conversations=tuple((row[0], row[1]) for row in rows),
    )


def _months(session: Session, limits: _Limits) -> list[Month]:
    """One for each month in which the person felt something; where several judges tagged a message, their mean."""
    zone = fact_rows.timezone(session, limits.space_id)
    query = (
        select(Episode.time, Episode.id, EmotionTag.concept, EmotionTag.intensity)
        .join(EmotionTag, EmotionTag.episode_id == Episode.id)
        .where(*limits.spoken())
    )
    felt: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    month_of: dict[str, str] = {}  # a message is felt in several ways
    for time, episode_id, concept, intensity in session.execute(query):
        month = month_of.get(episode_id) or month_of.setdefault(episode_id, _month(time.astimezone(zone)))
        felt[month, concept][episode_id].append(intensity)
    months: dict[str, list[Felt]] = defaultdict(list)
    for (month, concept), messages in felt.items():
        means = [sum(judged) / len(judged) for judged in messages.values()]
        months[month].append(Felt(concept, len(means), sum(means) / len(means)))
    return [
        Month(month, tuple(sorted(months[month], key=lambda one: (-one.n * one.intensity, one.concept))))
        for month in sorted(months)
    ]


def _month(local: datetime) -> str:
    return f"{local.year:04}-{local.month:02}"


@dataclass(frozen=True, slots=True)
class Line:
    """One concept over the months of a card: `line` has a bar for each month, `heights` what the bars stand for."""

    concept: str
    line: str
    heights: tuple[float, ...]  # sum of the intensities in that month
    n: int
    intensity: float


_BARS = " ▁▂▃▄▅▆▇█"


def sparklines(months: Sequence[Month], n: int = STRONGEST) -> list[Line]:
    """The strongest concepts of the whole time, the strongest first; months without any message have no bar."""
    span = list(_every_month(months[0].month, months[-1].month)) if months else []
    felt = {(month.month, one.concept): one for month in months for one in month.felt}
    lines = []
    for concept in {one.concept for month in months for one in month.felt}:
        of = [felt.get((month, concept)) for month in span]
        heights = tuple(one.n * one.intensity if one else 0.0 for one in of)
        total = sum(one.n for one in of if one)
        top = max(heights) or 1.0
        line = "".join(_BARS[math.ceil(height / top * (len(_BARS) - 1))] for height in heights)
        lines.append(Line(concept, line, heights, total, sum(heights) / total))
    return sorted(lines, key=lambda one: (-sum(one.heights), one.concept))[:n]


def _every_month(first: str, last: str) -> Iterator[str]:
    """Months from the first to the last, both included."""
    year, month = map(int, first.split("-"))
    while f"{year:04}-{month:02}" <= last:
        yield f"{year:04}-{month:02}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def profile_json(card: Profile) -> dict[str, Any]:
    """The card as other programs get it; each month with its STRONGEST concepts."""
    return {
        "id": card.person.id,
        "name": card.person.name,
        "aliases": list(card.person.aliases),
        "speaks": card.person.is_speaker,
        "relations": [relation_json(edge) for edge in card.relations],
        "facts": {topic: [fact_json(fact) for fact in facts] for topic, facts in card.topics.items()},
        "contested": [fact_json(fact) for fact in card.contested],
        "emotions": [
            {
                "month": month.month,
                "felt": [
                    {"concept": one.concept, "messages": one.n, "intensity": round(one.intensity, 2)}
                    for one in month.felt[:STRONGEST]
                ],
            }
            for month in card.months
        ],
        "constitution": {
            "version": card.constitution_version,
            "principles": [
                {"kind": item.kind, "text": item.text, "about": item.about, "messages": len(item.evidence)}
                for item in card.constitution
            ],
        },
        "messages": {
            "count": card.messages.n,
            "first": _iso(card.messages.first),
            "last": _iso(card.messages.last),
            "conversations": [{"name": name, "messages": n} for name, n in card.messages.conversations],
        },
        "consent": card.has_consent,
    }


def relation_json(edge: Relation) -> dict[str, Any]:
    """`object` is `predicate` of `subject`; days as YYYY-MM-DD, null where open or unknown."""
    return {
        "subject": edge.subject.name,
        "predicate": edge.predicate,
        "object": edge.object.name,
        "valid_from": edge.valid_from.date().isoformat() if edge.valid_from else None,
        "valid_to": edge.valid_to.date().isoformat() if edge.valid_to else None,
        "status": edge.status,
        "inverse": edge.is_inverse,
        "fact": edge.fact_id,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
