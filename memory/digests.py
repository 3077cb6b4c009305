"""Digests: an old month of a conversation as those of its messages that tell most, read as who said what and when.

A digest is a node of kind `digest` with links to messages, and holds no word of its own: it cannot misquote, and what
is erased is gone from it. Which messages tell most is for `consolidation.digests` to say. A conversation of personas has
digests as well, of so many turns each; their origin is that of their lines, and no night makes or drops them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from db.tables import new_id
from memory import fact_rows, ledger
from memory.episodes import get_episodes
from memory.errors import UnknownDigest
from memory.fact_story import message_json
from memory.ports import Clock, utc_now
from memory.types import Episode

OLD = timedelta(days=90)  # between the end of a month and the newest message
LEAST = 20  # messages; what is shorter is read as it is
DIGEST = "digest"  # kind of node


@dataclass(frozen=True, slots=True)
class Stretch:
    """One month of one conversation: ids of its observed texts in time order, and when the first and the last was sent.

    Or some turns of a conversation of personas.
    """

    conversation_id: str
    part: str  # YYYY-MM in the space's time zone; of personas "turns 0-31"
    began_at: datetime
    ended_at: datetime
    episode_ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """The node's name, the same whenever the stretch is read, without anybody's words."""
        return f"{DIGEST} {self.conversation_id} {self.part}"

    @property
    def made_from(self) -> str:
        return hashlib.sha256("\n".join(self.episode_ids).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Digest:
    """`lines` are the messages that tell most, in time order; `n_messages` are all of the stretch."""

    id: str
    conversation_id: str
    conversation: str
    began_at: datetime
    ended_at: datetime
    n_messages: int
    made_at: datetime
    lines: tuple[Episode, ...]

    @property
    def origin(self) -> str:
        """That of its lines: `observed`, or `simulated` where personas said them."""
        return "simulated" if any(line.origin == "simulated" for line in self.lines) else "observed"


@dataclass(frozen=True, slots=True)
class Due:
    """Stretches without a digest of what they are now, and digests whose stretch is no more."""

    stretches: tuple[Stretch, ...]
    gone: tuple[str, ...]


def due(database: Database, space_id: str) -> Due:
    """What there is to do. Reads the ids of every old message, a month at a time, and no words."""
    with database.reading() as session:
        made = {
            row.name: (row.id, row.made_from)
            for row in session.execute(
                select(tables.Node.name, tables.Digest.id, tables.Digest.made_from)
                .join(tables.Node, tables.Node.id == tables.Digest.id)
                .where(tables.Digest.space_id == space_id, tables.Digest.id.not_in(_of_personas(space_id)))
            )
        }
        stretches, there = list[Stretch](), set[str]()
        for stretch in _stretches(session, space_id):
            there.add(stretch.name)
            if stretch.name not in made or made[stretch.name][1] != stretch.made_from:
                stretches.append(stretch)
    gone = sorted(node_id for name, (node_id, _) in made.items() if name not in there)
    return Due(tuple(stretches), tuple(gone))


def _of_personas(space_id: str) -> Select[str]:
    """Ids of the digests that hold what a persona said."""
    line, episode = tables.DigestLine, tables.Episode
    return (
        select(line.digest_id)
        .join(episode, episode.id == line.episode_id)
        .where(line.space_id == space_id, episode.origin == "simulated")
    )


def _stretches(session: Session, space_id: str) -> Iterator[Stretch]:
    """Old months with enough messages, by conversation and time."""
    zone, episode = fact_rows.timezone(session, space_id), tables.Episode
    said = episode.space_id == space_id, episode.origin == "observed", episode.kind == "text"
    newest = session.scalar(select(func.max(episode.time)).where(*said))
    if newest is None:
        return
    until = _month_begin(newest - OLD, zone)
    query = select(episode.conversation_id, episode.time, episode.id).where(*said, episode.time < until)
    rows = session.execute(
        query.order_by(episode.conversation_id, episode.time, episode.position, episode.id),
        execution_options={"yield_per": 10_000},
    )
    for (conversation_id, month), group in groupby(
        rows, lambda row: (row[0], f"{row[1].astimezone(zone):%Y-%m}")
    ):
        messages = list(group)
        if len(messages) >= LEAST:
            ids = tuple(episode_id for _, _, episode_id in messages)
            yield Stretch(conversation_id, month, messages[0][1], messages[-1][1], ids)


def _month_begin(time: datetime, zone: tzinfo) -> datetime:
    """When the month began that this moment lies in."""
    return time.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def write(
    session: Session,
    space_id: str,
    stretch: Stretch,
    lines: Sequence[str],
    *,
    run_id: str | None,
    clock: Clock = utc_now,
) -> str:
    """The id of the stretch's digest, which has these messages as its lines from now on."""
    query = select(tables.Node.id).where(
        tables.Node.space_id == space_id, tables.Node.kind == DIGEST, tables.Node.name_key == stretch.name
    )
    digest_id = session.scalar(query)
    if digest_id is None:
        digest_id = new_id()
        named = {"name": stretch.name, "name_key": stretch.name, "kind": DIGEST}
        session.add(tables.Node(id=digest_id, space_id=space_id, created_at=clock(), **named))
        session.flush()
    made = {
        "conversation_id": stretch.conversation_id,
        "began_at": stretch.began_at,
        "ended_at": stretch.ended_at,
        "n_messages": len(stretch.episode_ids),
        "made_from": stretch.made_from,
        "made_at": clock(),
    }
    session.merge(tables.Digest(id=digest_id, space_id=space_id, **made))
    session.flush()
    session.execute(delete(tables.DigestLine).where(tables.DigestLine.digest_id == digest_id))
    chosen = frozenset(lines)
    kept = [episode_id for episode_id in stretch.episode_ids if episode_id in chosen]
    session.add_all(
        tables.DigestLine(digest_id=digest_id, episode_id=episode_id, space_id=space_id)
        for episode_id in kept
    )
    session.flush()
    payload = {
        "digest": digest_id,
        "n_messages": len(stretch.episode_ids),
        "n_lines": len(kept),
        "made_from": stretch.made_from,
        "run": run_id,
    }
    ledger.append(session, space_id, DIGEST, payload, clock=clock)
    return digest_id


def drop(session: Session, digest_ids: Collection[str]) -> None:
    """Remove digests whose stretch is no more, with their nodes. The messages stay."""
    for chunk in fact_rows.chunks(sorted(digest_ids)):
        session.execute(delete(tables.DigestLine).where(tables.DigestLine.digest_id.in_(chunk)))
        session.execute(delete(tables.Digest).where(tables.Digest.id.in_(chunk)))
        session.execute(delete(tables.Node).where(tables.Node.id.in_(chunk)))


def list_digests(
    database: Database,
    space_id: str,
    *,
    known_to: str | None = None,
    as_of: datetime | None = None,
    conversation_id: str | None = None,
    origin: str = "observed",
) -> list[Digest]:
    """Every digest by time; those of conversations that the person (an id) took part in, of what had ended by then."""
    query = _query(space_id, known_to, as_of)
    if conversation_id is not None:
        query = query.where(tables.Digest.conversation_id == conversation_id)
    with database.reading() as session:
        rows = list(session.execute(query))
    return [digest for digest in _read(database, space_id, rows) if digest.origin == origin]


def get_digest(
    database: Database,
    space_id: str,
    digest_id: str,
    *,
    known_to: str | None = None,
    as_of: datetime | None = None,
) -> Digest:
    """Raises UnknownDigest, also where the person cannot know it."""
    query = _query(space_id, known_to, as_of).where(tables.Digest.id == digest_id)
    with database.reading() as session:
        rows = list(session.execute(query))
    if not rows:
        raise UnknownDigest(digest_id)
    return _read(database, space_id, rows)[0]


def newest_of_personas(
    database: Database, space_id: str, conversation_id: str, *, before: datetime | None = None
) -> Digest | None:
    """The newest digest of what personas said in that conversation, of those that ended before that moment; None if none did."""
    digest, line, episode = tables.Digest, tables.DigestLine, tables.Episode
    said = select(line.episode_id).join(episode, episode.id == line.episode_id)
    is_of_personas = said.where(line.digest_id == digest.id, episode.origin == "simulated").exists()
    query = _query(space_id, None, None).where(digest.conversation_id == conversation_id, is_of_personas)
    if before is not None:
        query = query.where(digest.ended_at < before)
    newest = query.order_by(None).order_by(digest.ended_at.desc(), digest.id).limit(1)
    with database.reading() as session:
        rows = list(session.execute(newest))
    return _read(database, space_id, rows)[0] if rows else None


def read_digests(database: Database, space_id: str, ids: Collection[str]) -> list[Digest]:
    """Those of the ids that are digests of the space."""
    with database.reading() as session:
        rows = [
            row
            for chunk in fact_rows.chunks(sorted(ids))
            for row in session.execute(_query(space_id, None, None).where(tables.Digest.id.in_(chunk)))
        ]
    return _read(database, space_id, rows)


def _query(space_id: str, known_to: str | None, as_of: datetime | None) -> Any:
    digest = tables.Digest
    query = (
        select(digest, tables.Conversation.name)
        .join(tables.Conversation, tables.Conversation.id == digest.conversation_id)
        .where(digest.space_id == space_id)
        .order_by(digest.began_at, digest.id)
    )
    if as_of is not None:
        query = query.where(digest.ended_at <= as_of)
    if known_to is None:
        return query
    part = tables.Participant
    took_part = select(part.conversation_id).where(part.space_id == space_id, part.node_id == known_to)
    return query.where(digest.conversation_id.in_(took_part))


def _read(database: Database, space_id: str, rows: Sequence[Any]) -> list[Digest]:
    lines = _lines(database, [row[0].id for row in rows])
    said = {
        episode.id: episode
        for episode in get_episodes(database, space_id, [item for ids in lines.values() for item in ids])
    }
    return [
        Digest(
            id=row.id,
            conversation_id=row.conversation_id,
            conversation=conversation,
            began_at=row.began_at,
            ended_at=row.ended_at,
            n_messages=row.n_messages,
            made_at=row.made_at,
            lines=tuple(sorted((said[item] for item in lines.get(row.id, ()) if item in said), key=_order)),
        )
        for row, conversation in rows
    ]


def _order(episode: Episode) -> tuple[datetime, int, str]:
    return episode.time, episode.position, episode.id


def _lines(database: Database, digest_ids: Sequence[str]) -> Mapping[str, list[str]]:
    line, found = tables.DigestLine, defaultdict[str, list[str]](list)
    with database.reading() as session:
        for chunk in fact_rows.chunks(digest_ids):
            rows = select(line.digest_id, line.episode_id).where(line.digest_id.in_(chunk))
            for digest_id, episode_id in session.execute(rows):
                found[digest_id].append(episode_id)
    return found


def holding(
    session: Session,
    space_id: str,
    sessions: Sequence[tuple[str, datetime]],
    *,
    known_to: str | None = None,
    as_of: datetime | None = None,
) -> list[str | None]:
    """For each session, by its conversation and when it began, the digest that holds it."""
    spans: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for row, _ in session.execute(_query(space_id, known_to, as_of)):
        spans[row.conversation_id].append((row.began_at, row.ended_at, row.id))
    return [
        next((digest for begin, end, digest in spans[conversation] if begin <= time <= end), None)
        for conversation, time in sessions
    ]


def digest_json(digest: Digest) -> dict[str, Any]:
    """A digest as other programs get it."""
    return {
        "id": digest.id,
        "conversation": digest.conversation,
        "from": digest.began_at.isoformat(),
        "to": digest.ended_at.isoformat(),
        "messages": digest.n_messages,
        "made_at": digest.made_at.isoformat(),
        "lines": [message_json(episode) for episode in digest.lines],
    }
