"""Which messages the store has: by their keys, by the ids of their format, by speaker and time. Reads only."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.tables import Episode, EpisodeVersion, Source

_CHUNK = 5000  # values per query


class Stored(NamedTuple):
    """A message of the store, as far as it is compared."""

    id: str
    source_id: str
    position: int
    speaker_id: str
    time: datetime
    text: str
    kind: str
    key: str
    external_id: str | None


_COLUMNS = (
    Episode.id,
    Episode.source_id,
    Episode.position,
    Episode.speaker_id,
    Episode.time,
    Episode.text,
    Episode.kind,
    Episode.key,
    Episode.external_id,
)


def external_hash(external_id: str) -> str:
    """What is kept of a message's id in its format: ids of mails hold addresses."""
    return hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def by_key(session: Session, space_id: str, keys: Sequence[str]) -> dict[str, Stored]:
    """Of these keys those that messages have."""
    query = _query().where(Episode.space_id == space_id)
    return {
        row.key: row for part in _parts(keys) for row in _fetch(session, query.where(Episode.key.in_(part)))
    }


def former_keys(session: Session, space_id: str, keys: Sequence[str]) -> dict[str, str]:
    """Of these keys those that messages had before they were edited or deleted, with the ids of the messages."""
    version = EpisodeVersion
    query = select(version.key, version.episode_id).where(version.space_id == space_id)
    return {
        key: episode_id
        for part in _parts(keys)
        for key, episode_id in session.execute(query.where(version.key.in_(part)))
    }


def by_external(
    session: Session, conversation_id: str, kind: str, hashes: Sequence[str]
) -> dict[str, list[Stored]]:
    """The conversation's messages with these ids in the format `kind`."""
    found: dict[str, list[Stored]] = defaultdict(list)
    query = _query().join(Source, Source.id == Episode.source_id)
    query = query.where(Episode.conversation_id == conversation_id, Source.kind == kind)
    for part in _parts(hashes):
        for row in _fetch(session, query.where(Episode.external_id.in_(part))):
            found[row.external_id or ""].append(row)
    return found


def at_times(
    session: Session, space_id: str, conversation_id: str, times: Collection[datetime]
) -> dict[tuple[str, datetime], list[Stored]]:
    """The conversation's messages of these times, by speaker and time, in their order."""
    found: dict[tuple[str, datetime], list[Stored]] = defaultdict(list)
    query = _query().where(Episode.space_id == space_id, Episode.conversation_id == conversation_id)
    for part in _parts(sorted(times)):
        rows = query.where(Episode.time.in_(part)).order_by(Episode.position)
        for row in _fetch(session, rows):
            found[row.speaker_id, row.time].append(row)
    return found


def last_position(session: Session, source_id: str) -> int:
    """Of the last message that the source brought; -1 where it brought none."""
    last = session.scalar(select(func.max(Episode.position)).where(Episode.source_id == source_id))
    return -1 if last is None else last


def in_order(session: Session, conversation_id: str, kind: str, but_of: str) -> Iterator[tuple[str, str]]:
    """Ids and kinds of the conversation's messages that came with ids in the format `kind`, in time order.

    Those that the source `but_of` brought are left out.
    """
    query = (
        select(Episode.id, Episode.kind)
        .join(Source, Source.id == Episode.source_id)
        .where(
            Source.kind == kind,
            Episode.conversation_id == conversation_id,
            Episode.external_id.is_not(None),
            Episode.source_id != but_of,
        )
        .order_by(Episode.time, Episode.position, Episode.id)
    )
    for row in session.execute(query, execution_options={"yield_per": 2000}):
        yield row.id, row.kind


def _query() -> Select[*tuple[Any, ...]]:
    return select(*_COLUMNS)


def _fetch(session: Session, query: Select[*tuple[Any, ...]]) -> Iterator[Stored]:
    return (Stored(*row) for row in session.execute(query))


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
