"""Episodes: the messages of every conversation, read in time order, and the turns of a live chat.

An episode's key tells whether a message is already in the store. It is made of the conversation, the speaker, the
time, what was said and which one it is among equals, so that a second export of a chat adds only what is new.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from db.tables import Conversation, Node, Participant, Source
from memory import feelings
from memory.emotions import add_tags
from memory.ports import Withhold
from memory.types import EmotionTag, Episode

_YEAR_ONE = datetime.min.replace(tzinfo=UTC)
_N_DIGEST = 54  # of the 64 digits of a key
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters

_COLUMNS = (
    tables.Episode.id,
    tables.Episode.conversation_id,
    tables.Episode.position,
    tables.Episode.speaker_id,
    Node.name,
    tables.Episode.time,
    tables.Episode.text,
    tables.Episode.kind,
    tables.Episode.is_edited,
    tables.Episode.origin,
)


def message_key(conversation_id: str, speaker: str, time: datetime, said: str, occurrence: int) -> str:
    """64 hex digits that identify a message. `speaker` is a name's key, `occurrence` counts equals from 0.

    The first ten are the seconds since the year 1, so that the index of keys grows at one end.
    """
    moment = stamp(time)
    return f"{seconds(moment)}{key_digest(conversation_id, speaker, moment, said, occurrence)}"


def key_digest(conversation_id: str, speaker: str, moment: str, said: str, occurrence: int) -> str:
    """What follows the seconds in a key; `moment` is the stamp of its time."""
    parts = f"{conversation_id}\x1f{speaker}\x1f{moment}\x1f{said}\x1f{occurrence}"
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:_N_DIGEST]


def stamp(time: datetime) -> str:
    """The time in UTC, as ISO 8601; stamps are ordered as their times are."""
    return time.astimezone(UTC).isoformat()


@lru_cache(maxsize=1024)
def seconds(moment: str) -> str:
    """Ten hex digits of the seconds since the year 1."""
    since = datetime.fromisoformat(moment) - _YEAR_ONE
    return f"{since.days * 86400 + since.seconds:010x}"


def dated_key(time: datetime, digest: str) -> str:
    """The key of a message of that time out of 64 hex digits that identify it."""
    return f"{seconds(stamp(time))}{digest[:_N_DIGEST]}"


def get_episodes(database: Database, space_id: str, ids: Iterable[str]) -> list[Episode]:
    """The episodes with those ids in time order; ids that are not in the space are left out."""
    wanted = list(dict.fromkeys(ids))
    found: list[Episode] = []
    with database.reading() as session:
        for start in range(0, len(wanted), _CHUNK):
            chosen = tables.Episode.id.in_(wanted[start : start + _CHUNK])
            found += _fetch(session, _query(space_id).where(chosen))
    return sorted(found, key=_order)


def newest_message(session: Session, space_id: str) -> datetime | None:
    """When somebody last spoke: where the space's own time ends."""
    query = select(func.max(tables.Episode.time)).where(tables.Episode.space_id == space_id)
    return session.scalar(query.where(tables.Episode.origin == "observed"))


def readable(episodes: Iterable[Episode], withhold: Withhold) -> list[Episode]:
    """In their order, without what no reader may see of each conversation; give conversations whole, in time order."""
    every = list(episodes)
    talks: dict[str, list[Episode]] = defaultdict(list)
    for episode in every:
        talks[episode.conversation_id].append(episode)
    withheld = {one for talk in talks.values() for one in withhold(talk)}
    return [episode for episode in every if episode.id not in withheld]


def list_episodes(
    database: Database,
    space_id: str,
    *,
    conversation_id: str | None = None,
    unread_by: str | None = None,
    origins: Collection[str] = ("observed",),
    kinds: Collection[str] = ("text",),
    until: datetime | None = None,
    speaker_id: str | None = None,
    heard_by: str | None = None,
    newest: int | None = None,
) -> list[Episode]:
    """Episodes in time order. `unread_by` keeps those that extractor has not read, `heard_by` those of conversations in which
    that person takes part; `until` is exclusive; `newest` bounds how many there are."""
    query = _query(space_id).where(tables.Episode.origin.in_(origins), tables.Episode.kind.in_(kinds))
    if conversation_id is not None:
        query = query.where(tables.Episode.conversation_id == conversation_id)
    if unread_by is not None:
        reader = tables.Episode.extracted_by
        query = query.where(or_(reader.is_(None), reader != unread_by))
    if until is not None:
        query = query.where(tables.Episode.time < until)
    if speaker_id is not None:
        query = query.where(tables.Episode.speaker_id == speaker_id)
    if heard_by is not None:
        talks = select(Participant.conversation_id).where(Participant.node_id == heard_by)
        query = query.where(tables.Episode.conversation_id.in_(talks))
    if newest is not None:
        query = query.order_by(
            tables.Episode.time.desc(), tables.Episode.position.desc(), tables.Episode.id.desc()
        ).limit(newest)
    with database.reading() as session:
        return sorted(_fetch(session, query), key=_order)


def count_episodes(database: Database, space_id: str, conversation_id: str, *, origin: str) -> int:
    """How many texts of that origin the conversation has."""
    row = tables.Episode
    query = select(func.count()).where(row.space_id == space_id, row.conversation_id == conversation_id)
    with database.reading() as session:
        return session.scalar(query.where(row.origin == origin, row.kind == "text")) or 0


def episodes_near(database: Database, space_id: str, ids: Collection[str], span: timedelta) -> list[Episode]:
    """Observed texts sent within `span` of one of these in its conversation, these among them, in time order.

    What is read grows with the ids and with what was said around them, never with the length of a conversation.
    """
    wanted, found = sorted(ids), list[Episode]()
    said = tables.Episode.origin == "observed", tables.Episode.kind == "text"
    with database.reading() as session:
        told: list[tuple[datetime, str]] = []
        for start in range(0, len(wanted), _CHUNK):
            query = select(tables.Episode.time, tables.Episode.conversation_id).where(
                tables.Episode.space_id == space_id, tables.Episode.id.in_(wanted[start : start + _CHUNK])
            )
            told += [(time, conversation_id) for time, conversation_id in session.execute(query)]
        for first, last, conversations in _stretches(sorted(told), span):
            query_all = _query(space_id).where(*said, tables.Episode.time.between(first, last))
            found += _fetch(session, query_all.where(tables.Episode.conversation_id.in_(conversations)))
    return sorted(found, key=_order)


def _stretches(
    told: Sequence[tuple[datetime, str]], span: timedelta
) -> Iterator[tuple[datetime, datetime, list[str]]]:
    """Stretches of time that do not overlap, each with the conversations it is read for."""
    begin = 0
    for place, (time, _) in enumerate(told, 1):
        is_last = place == len(told)
        if is_last or told[place][0] - span > time + span or place - begin == _CHUNK:
            conversations = sorted({conversation_id for _, conversation_id in told[begin:place]})
            yield told[begin][0] - span, time + span, conversations
            begin = place


def still_unread(session: Session, episode_ids: Sequence[str], extractor_name: str) -> set[str]:
    """Those of the episodes that the extractor has not read; what another process read meanwhile is not among them."""
    reader = tables.Episode.extracted_by
    found: set[str] = set()
    for start in range(0, len(episode_ids), _CHUNK):
        query = select(tables.Episode.id).where(
            tables.Episode.id.in_(episode_ids[start : start + _CHUNK]),
            or_(reader.is_(None), reader != extractor_name),
        )
        found |= set(session.scalars(query))
    return found


def mark_read(session: Session, episode_ids: Sequence[str], extractor_name: str) -> None:
    """Record that the extractor has read these; part of the caller's transaction."""
    if not episode_ids:
        return
    statement = (
        update(tables.Episode)
        .where(tables.Episode.id == bindparam("episode"))
        .values(extracted_by=extractor_name)
    )
    session.connection().execute(statement, [{"episode": episode_id} for episode_id in episode_ids])
    session.expire_all()


def audience(database: Database, space_id: str) -> dict[str, frozenset[str]]:
    """Who could hear what: the participants' node ids of each conversation."""
    heard: dict[str, set[str]] = defaultdict(set)
    with database.reading() as session:
        rows = session.execute(
            select(Participant.conversation_id, Participant.node_id).where(Participant.space_id == space_id)
        ).all()
    for conversation_id, node_id in rows:
        heard[conversation_id].add(node_id)
    return {conversation_id: frozenset(people) for conversation_id, people in heard.items()}


def append_turn(
    database: Database,
    space_id: str,
    *,
    conversation: str,
    speaker_id: str,
    text: str,
    origin: str,
    time: datetime,
    participants: Collection[str] = (),
) -> Episode:
    """Add one turn to a live conversation of that name; the speaker and `participants` (node ids) are who hears it.

    The conversation and its source are made by the first turn. Every call adds an episode, also for equal words. Tags
    of feelings at the end of the text are taken off it and kept as their author's.
    """
    with database.transaction() as session:
        conversation_id = ensure_conversation(session, space_id, conversation)
        add_participants(session, space_id, conversation_id, {speaker_id, *participants})
        return add_turn(
            session, space_id, conversation_id, speaker_id=speaker_id, text=text, origin=origin, time=time
        )


def add_turn(
    session: Session,
    space_id: str,
    conversation_id: str,
    *,
    speaker_id: str,
    text: str,
    origin: str,
    time: datetime,
) -> Episode:
    """`append_turn` within a transaction, to a conversation that is there and in which the speaker takes part."""
    said, felt = feelings.split(text)
    source_id = _ensure_channel(session, space_id, conversation_id, time)
    position = next_position(session, source_id)
    row = tables.Episode(
        space_id=space_id,
        source_id=source_id,
        conversation_id=conversation_id,
        position=position,
        speaker_id=speaker_id,
        time=time,
        text=said,
        origin=origin,
        key=message_key(f"turn:{source_id}", speaker_id, time, said, position),
    )
    session.add(row)
    session.flush()
    add_tags(session, space_id, [EmotionTag(row.id, *tag, feelings.AUTHOR) for tag in felt])
    return _fetch(session, _query(space_id).where(tables.Episode.id == row.id))[0]


def next_position(session: Session, source_id: str) -> int:
    """The position of the next message of that source."""
    last = session.scalar(
        select(func.max(tables.Episode.position)).where(tables.Episode.source_id == source_id)
    )
    return 0 if last is None else last + 1


def conversation_id_of(database: Database, space_id: str, name: str) -> str | None:
    """The id of the conversation of that name, or None."""
    query = select(tables.Conversation.id).where(
        tables.Conversation.space_id == space_id, tables.Conversation.name == name
    )
    with database.reading() as session:
        return session.scalar(query)


def ensure_conversation(session: Session, space_id: str, name: str) -> str:
    """The id of the conversation of that name, made if there is none."""
    found = session.scalar(
        select(Conversation.id).where(Conversation.space_id == space_id, Conversation.name == name)
    )
    if found is not None:
        return found
    row = Conversation(space_id=space_id, name=name)
    session.add(row)
    session.flush()
    return row.id


def add_participants(session: Session, space_id: str, conversation_id: str, people: Collection[str]) -> None:
    """Let these people (node ids) take part in the conversation; who already does stays."""
    wanted = sorted(set(people))
    known: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        is_in = Participant.node_id.in_(wanted[start : start + _CHUNK])
        query = select(Participant.node_id).where(Participant.conversation_id == conversation_id, is_in)
        known |= set(session.scalars(query))
    shared = {"conversation_id": conversation_id, "space_id": space_id}
    rows = [shared | {"node_id": node_id} for node_id in wanted if node_id not in known]
    if rows:
        session.connection().execute(insert(Participant), rows)


def _ensure_channel(session: Session, space_id: str, conversation_id: str, time: datetime) -> str:
    digest = hashlib.sha256(f"channel:{conversation_id}".encode()).hexdigest()
    found = session.scalar(select(Source.id).where(Source.space_id == space_id, Source.sha256 == digest))
    if found is not None:
        return found
    name = session.get_one(Conversation, conversation_id).name
    row = Source(space_id=space_id, kind="chat", name=name, sha256=digest, created_at=time)
    session.add(row)
    session.flush()
    return row.id


def _query(space_id: str) -> Select[*tuple[Any, ...]]:
    return (
        select(*_COLUMNS)
        .join(Node, Node.id == tables.Episode.speaker_id)
        .where(tables.Episode.space_id == space_id)
    )


def _fetch(session: Session, query: Select[*tuple[Any, ...]]) -> list[Episode]:
    return [Episode(*row) for row in session.execute(query)]


def _order(episode: Episode) -> tuple[datetime, str, int, str]:
    return episode.time, episode.conversation_id, episode.position, episode.id
