"""Which known conversation an export continues under another name, for formats that name chats by who spoke.

A chat's first part may hold one speaker and the whole of it three. It is the same chat where the people of one are
among the people of the other and half of the messages at either end of the known part are in the export. The export is
read once for this, and only where the space holds a chat of its format.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Episode, Participant, Source
from memory import names
from memory.importers.detect import Export
from memory.people import find_node

_KINDS = frozenset(("whatsapp", "jsonl", "csv"))  # that name a chat by who spoke
_N_COMPARED = 8  # messages at either end of a known conversation that are looked for in a new export

Said = tuple[str, datetime, str]  # who (node id, or a name's key), when, what


@dataclass(slots=True)
class _Known:
    """A conversation of the store: its people, and what was said at either end of it."""

    id: str
    people: set[str]
    ends: tuple[list[Said], list[Said]]

    def is_continued_by(self, speakers: set[str], found: set[Said]) -> bool:
        if not (self.people <= speakers or speakers <= self.people):
            return False
        return any(end and 2 * sum(said in found for said in end) >= len(end) for end in self.ends)


@dataclass(slots=True)
class _Seen:
    """Of one conversation of the export: who speaks, and which of the wanted messages it holds."""

    speakers: set[str] = field(default_factory=set)
    found: set[Said] = field(default_factory=set)


def continued(session: Session, space_id: str, export: Export) -> dict[str, str]:
    """From the export's name of a conversation to the id of the known one that it continues."""
    known = _known(session, space_id, export.kind) if export.kind in _KINDS else []
    if not known:
        return {}
    wanted = {said for chat in known for end in chat.ends for said in end}
    seen = _look(session, space_id, export, wanted)
    found: dict[str, str] = {}
    for conversation, chat in seen.items():
        for candidate in known:
            if candidate.is_continued_by(chat.speakers, chat.found):
                found[conversation] = candidate.id
                break
    return found


def _look(session: Session, space_id: str, export: Export, wanted: set[Said]) -> dict[str, _Seen]:
    """One pass over the export. People count by whom a name leads to: they may have been renamed or merged since."""
    times = {time for _, time, _ in wanted}
    nodes: dict[str, str] = {}
    seen: defaultdict[str, _Seen] = defaultdict(_Seen)
    for message in export.messages():
        node = nodes.get(message.speaker)
        if node is None:
            node = find_node(session, space_id, message.speaker) or names.key(message.speaker)
            nodes[message.speaker] = node
        chat = seen[message.conversation]
        chat.speakers.add(node)
        if message.kind == "text" and message.time in times:
            said = (node, message.time.astimezone(UTC), message.text)
            if said in wanted:
                chat.found.add(said)
    return seen


def _known(session: Session, space_id: str, kind: str) -> list[_Known]:
    query = (
        select(Episode.conversation_id)
        .join(Source, Source.id == Episode.source_id)
        .where(Episode.space_id == space_id, Source.kind == kind)
        .distinct()
    )
    return [_chat(session, conversation_id) for conversation_id in session.scalars(query).all()]


def _chat(session: Session, conversation_id: str) -> _Known:
    people = session.scalars(
        select(Participant.node_id).where(Participant.conversation_id == conversation_id)
    )
    query = (
        select(Episode.speaker_id, Episode.time, Episode.text)
        .where(Episode.conversation_id == conversation_id, Episode.kind == "text")
        .limit(_N_COMPARED)
    )
    first, last = (
        [(row.speaker_id, row.time, row.text) for row in session.execute(query.order_by(end))]
        for end in (Episode.time.asc(), Episode.time.desc())
    )
    return _Known(conversation_id, set(people), (first, last))
