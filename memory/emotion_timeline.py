"""What somebody felt over time: emotion tags of their own messages, or what a readout read in them, by day, week, month or
year of a time zone. Counts and numbers; nobody's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.perspective import visible_query
from memory.spaces import zone as zone_of

By = Literal["day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Span:
    """Which messages of the person: `since` inclusive, `until` exclusive, those that `heard_by` (an id) could hear.

    `concepts`: those alone; empty is all.
    """

    person_id: str
    by: By = "month"
    timezone: str = "UTC"
    since: datetime | None = None
    until: datetime | None = None
    heard_by: str | None = None
    concepts: Collection[str] = ()


@dataclass(slots=True)
class _Bucket:
    n_messages: int = 0
    felt: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def tag_timeline(database: Database, space_id: str, span: Span) -> dict[str, Any]:
    """Of each concept the strongest intensity (0-10) that anybody judged in a message; `mean` is over those that have it."""
    said, tag = tables.Episode, tables.EmotionTag
    query = (
        select(said.time, tag.concept, func.max(tag.intensity))
        .join(tag, tag.episode_id == said.id)
        .where(*_own(space_id, span))
        .group_by(said.id, said.time, tag.concept)
    )
    with database.reading() as session:
        felt = [(time, ((concept, value),)) for time, concept, value in session.execute(query)]
        return _told(session, space_id, span, felt)


def reading_timeline(database: Database, space_id: str, span: Span, readout: str) -> dict[str, Any]:
    """What the readout (a sha256) found in the messages that it has read, in standard deviations of neutral text."""
    said, read = tables.Episode, tables.Reading
    query = (
        select(said.time, read.concepts)
        .join(read, read.episode_id == said.id)
        .where(*_own(space_id, span), read.readout == readout)
    )
    with database.reading() as session:
        felt = [(time, tuple(concepts.items())) for time, concepts in session.execute(query)]
        return _told(session, space_id, span, felt)


def _own(space_id: str, span: Span) -> list[ColumnElement[bool]]:
    said = tables.Episode
    wanted = [said.space_id == space_id, said.speaker_id == span.person_id, said.origin == "observed"]
    if span.since is not None:
        wanted.append(said.time >= span.since)
    if span.until is not None:
        wanted.append(said.time < span.until)
    if span.heard_by is not None:
        wanted.append(said.id.in_(visible_query(space_id, span.heard_by)))
    return wanted


def _told(
    session: Session,
    space_id: str,
    span: Span,
    felt: Iterable[tuple[datetime, tuple[tuple[str, float], ...]]],
) -> dict[str, Any]:
    zone, buckets = zone_of(span.timezone), defaultdict[date, _Bucket](_Bucket)
    begin = _BEGINS[span.by]
    for moment in session.scalars(select(tables.Episode.time).where(*_own(space_id, span))):
        buckets[begin(_day(moment, zone))].n_messages += 1
    for moment, values in felt:
        bucket = buckets[begin(_day(moment, zone))]
        for concept, value in values:
            if not span.concepts or concept in span.concepts:
                bucket.felt[concept].append(value)
    n_of: dict[str, int] = defaultdict(int)
    for bucket in buckets.values():
        for concept, numbers in bucket.felt.items():
            n_of[concept] += len(numbers)
    return {
        "by": span.by,
        "timezone": span.timezone,
        "concepts": sorted(n_of, key=lambda concept: (-n_of[concept], concept)),
        "buckets": [_bucket_json(day, span.by, zone, buckets[day]) for day in sorted(buckets)],
    }


def _bucket_json(day: date, by: By, zone: tzinfo, bucket: _Bucket) -> dict[str, Any]:
    return {
        "from": _moment(day, zone),
        "to": _moment(_next(day, by), zone),
        "messages": bucket.n_messages,
        "emotions": {
            concept: {
                "n": len(values),
                "mean": round(sum(values) / len(values), 3),
                "max": round(max(values), 3),
            }
            for concept, values in sorted(bucket.felt.items())
        },
    }


def _moment(day: date, zone: tzinfo) -> str:
    return datetime.combine(day, time(), zone).isoformat()


def _day(moment: datetime, zone: tzinfo) -> date:
    try:
        return moment.astimezone(zone).date()
    except OverflowError:  # the first day of the calendar, or the last
        return moment.date()


def _next(day: date, by: By) -> date:
    if by in ("day", "week"):
        return day + timedelta(days=1 if by == "day" else 7)
    if by == "month":
        return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day.replace(year=day.year + 1)


_BEGINS: dict[By, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "year": lambda day: day.replace(month=1, day=1),
}
