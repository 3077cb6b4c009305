"""Messages and conversations a page at a time, for whoever looks through them; what was said is found by `search`."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.errors import UnknownCursor, UnknownEpisode
from memory.perspective import visible_query
from memory.types import EmotionTag

Origin = Literal["observed", "inferred", "simulated"]
_NEVER = datetime.min.replace(tzinfo=UTC)  # when one in which nobody has spoken was spoken in
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters
ORIGINS: tuple[Origin, ...] = ("observed", "inferred", "simulated")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages; ids of people, conversations and sources, `since` inclusive, `until` exclusive.

    `heard_by`: what that person said or could hear. `is_newest_first` turns the order of time round.
    """

    speaker_id: str | None = None
    conversation_id: str | None = None
    source_id: str | None = None
    heard_by: str | None = None
    origins: Sequence[Origin] = ("observed",)
    since: datetime | None = None
    until: datetime | None = None
    is_newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message with where it came from, and its emotion tags by any judge."""

    id: str
    time: datetime
    speaker: str
    text: str
    kind: str
    is_edited: bool
    origin: str
    conversation_id: str
    conversation: str
    source_id: str
    tags: tuple[EmotionTag, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "time": self.time.isoformat(),
            "speaker": self.speaker,
            "text": self.text,
            "kind": self.kind,
            "edited": self.is_edited,
            "origin": self.origin,
            "conversation": {"id": self.conversation_id, "name": self.conversation},
            "source": self.source_id,
            "emotions": [
                {"concept": tag.concept, "intensity": tag.intensity, "judge": tag.judge} for tag in self.tags
            ],
        }


@dataclass(frozen=True, slots=True)
class MessagePage:
    """`next` is the `after` of the following page; None on the last."""

    messages: tuple[Message, ...]
    next: str | None


def page_messages(
    database: Database, space_id: str, choice: Choice, *, limit: int, after: str | None = None
) -> MessagePage:
    """The chosen messages in time order. `after` holds where the page before ended, also when that message is erased.

    Raises UnknownCursor for an `after` that no page gave.
    """
    query = _chosen(space_id, choice)
    if after is not None:
        query = query.where(_behind(*_place(after), is_newest_first=choice.is_newest_first))
    time, id_ = tables.Episode.time, tables.Episode.id
    order = (time.desc(), id_.desc()) if choice.is_newest_first else (time, id_)
    with database.reading() as session:
        rows = [Message(*row) for row in session.execute(query.order_by(*order).limit(limit + 1))]
        page = _with_tags(session, rows[:limit])
    last = page[-1] if len(rows) > limit else None
    return MessagePage(tuple(page), _cursor(last.time, last.id) if last else None)


def get_message(database: Database, space_id: str, message_id: str) -> Message:
    """One message, of whatever origin. Raises UnknownEpisode."""
    query = _rows(space_id).where(tables.Episode.id == message_id)
    with database.reading() as session:
        rows = [Message(*row) for row in session.execute(query)]
        if not rows:
            raise UnknownEpisode(message_id)
        return _with_tags(session, rows)[0]


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """`next` is the `after` of the following page; None on the last."""

    conversations: list[dict[str, Any]]
    next: str | None


def page_conversations(
    database: Database, space_id: str, *, limit: int, after: str | None = None
) -> ConversationPage:
    """Conversations with who takes part, how much was said and when; the one that was spoken in last comes first.

    `after` holds where the page before ended; one that is spoken in meanwhile moves to the front and is in no later page.
    Raises UnknownCursor.
    """
    talk, said = tables.Conversation, tables.Episode
    query = (
        select(talk.id, talk.name, func.count(said.id), func.min(said.time), func.max(said.time))
        .outerjoin(said, said.conversation_id == talk.id)
        .where(talk.space_id == space_id)
        .group_by(talk.id, talk.name)
    )
    with database.reading() as session:
        rows = session.execute(query).all()
        people = _participants(session, space_id)
    before = _place(after) if after is not None else None
    places = {row[0]: (row[4] or _NEVER, row[0]) for row in rows}
    behind = [row for row in rows if before is None or places[row[0]] < before]
    behind.sort(key=lambda row: places[row[0]], reverse=True)
    found = [
        {
            "id": id_,
            "name": name,
            "people": people.get(id_, []),
            "messages": n,
            "first": first.isoformat() if first else None,
            "last": last.isoformat() if last else None,
        }
        for id_, name, n, first, last in behind[:limit]
    ]
    is_more = len(behind) > limit
    return ConversationPage(found, _cursor(*places[behind[limit - 1][0]]) if is_more else None)


def _participants(session: Session, space_id: str) -> dict[str, list[str]]:
    part, node = tables.Participant, tables.Node
    query = (
        select(part.conversation_id, node.name)
        .join(node, node.id == part.node_id)
        .where(part.space_id == space_id)
        .order_by(node.name)
    )
    found: dict[str, list[str]] = defaultdict(list)
    for conversation_id, name in session.execute(query):
        found[conversation_id].append(name)
    return found


def _chosen(space_id: str, choice: Choice) -> Select[*tuple[Any, ...]]:
    said = tables.Episode
    wanted: list[ColumnElement[bool]] = [said.origin.in_(choice.origins)]
    equals = (
        (said.speaker_id, choice.speaker_id),
        (said.conversation_id, choice.conversation_id),
        (said.source_id, choice.source_id),
    )
    wanted += [column == value for column, value in equals if value is not None]
    if choice.heard_by is not None:
        heard = visible_query(space_id, choice.heard_by, origins=choice.origins)
        wanted.append(said.id.in_(heard))
    if choice.since is not None:
        wanted.append(said.time >= choice.since)
    if choice.until is not None:
        wanted.append(said.time < choice.until)
    return _rows(space_id).where(*wanted)


def _rows(space_id: str) -> Select[*tuple[Any, ...]]:
    said, talk = tables.Episode, tables.Conversation
    return (
        select(
            said.id,
            said.time,
            tables.Node.name,
            said.text,
            said.kind,
            said.is_edited,
            said.origin,
            said.conversation_id,
            talk.name,
            said.source_id,
        )
        .join(tables.Node, tables.Node.id == said.speaker_id)
        .join(talk, talk.id == said.conversation_id)
        .where(said.space_id == space_id)
    )


def _behind(time: datetime, id_: str, *, is_newest_first: bool) -> ColumnElement[bool]:
    said = tables.Episode
    if is_newest_first:
        return or_(said.time < time, and_(said.time == time, said.id < id_))
    return or_(said.time > time, and_(said.time == time, said.id > id_))


def _with_tags(session: Session, messages: Sequence[Message]) -> list[Message]:
    tag = tables.EmotionTag
    query = select(tag.episode_id, tag.concept, tag.intensity, tag.judge).order_by(tag.concept, tag.judge)
    found: dict[str, list[EmotionTag]] = defaultdict(list)
    for start in range(0, len(messages), _CHUNK):
        ids = [message.id for message in messages[start : start + _CHUNK]]
        for episode_id, concept, intensity, judge in session.execute(query.where(tag.episode_id.in_(ids))):
            found[episode_id or ""].append(EmotionTag(episode_id or "", concept, intensity, judge))
    return [replace(message, tags=tuple(found[message.id])) for message in messages]


def _cursor(time: datetime, id_: str) -> str:
    said = f"{time.astimezone(UTC).isoformat()} {id_}"
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        said = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, id_ = said.split(" ")
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise UnknownCursor(cursor)
        return moment.astimezone(UTC), id_
    except (ValueError, OverflowError) as error:
        raise UnknownCursor(cursor) from error
