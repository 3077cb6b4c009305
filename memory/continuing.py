"""Which known conversations an export continues, also where it calls the chat or its people by other names.

A format that names chats by who spoke gives a chat's first part one name and the whole of it another: it is the same chat
where the people of one are among the people of the other and half of the messages at either end of the known part are in
the export. Somebody has another name now (a number became a contact, a nickname changed) where the words of the one who is
missing are in the export, at their times, under a name that nobody had; then that name becomes an alias, and messages keep
the keys they were stored under. The export is read once for this, and only where the space holds a chat of its format.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Alias, Conversation, Episode, Node, Participant, Source
from memory import names
from memory.crowds import find_people
from memory.episodes import message_key
from memory.importers.shape import Chats

_NAMED_BY_PEOPLE = frozenset(("whatsapp", "jsonl", "csv", "imessage"))
_N_COMPARED = 8  # messages at either end of a known conversation that are looked for in a new export
_N_SAMPLED = 400  # messages at either end among which each person's are looked for
_N_EACH = 12  # messages of each person that are looked for
_FEWEST = 3  # of somebody's messages must be found under another name
_SHARE = 0.8  # of those that are looked for

Said = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Known:
    """A conversation that the export goes on with. Names are as the export has them."""

    id: str
    renamed: dict[str, str]  # to the node of who had another name before
    key_names: dict[str, str]  # to the name under which this person's messages have their keys
    last: datetime  # when the export's newest message of it was sent
    until: datetime  # the same of what is known from this format


@dataclass(slots=True)
class _Chat:
    """A conversation of the store: its people, what was said at either end, and by whom, with the keys."""

    id: str
    name: str
    people: set[str]
    ends: tuple[list[tuple[str, Said]], list[tuple[str, Said]]]
    samples: dict[str, dict[Said, str]]  # by person: what they said, and its key

    def is_continued_by(self, speakers: set[str], found: set[tuple[str, Said]]) -> bool:
        if not (self.people <= speakers or speakers <= self.people):
            return False
        return any(end and 2 * sum(said in found for said in end) >= len(end) for end in self.ends)


@dataclass(slots=True)
class _Seen:
    """Of one conversation of the export: who speaks, until when, and who says which of the wanted messages."""

    last: datetime
    nodes: dict[str, str | None] = field(default_factory=dict)  # by name
    found: defaultdict[Said, set[str]] = field(default_factory=lambda: defaultdict(set))  # names


def continued(session: Session, space_id: str, export: Chats) -> dict[str, Known]:
    """From the export's name of a conversation to the known one that it continues."""
    chats = _chats(session, space_id, export.kind)
    if not chats:
        return {}
    wanted = {said for chat in chats for person in chat.samples.values() for said in person}
    wanted |= {said for chat in chats for end in chat.ends for _, said in end}
    shelf = _Shelf.of(chats, goes_by_title=export.kind not in _NAMED_BY_PEOPLE)
    found: dict[str, Known] = {}
    for conversation, seen in _look(session, space_id, export, wanted).items():
        chat = shelf.find(conversation, seen)
        if chat is not None:
            renamed, nodes = _identities(chat, seen)
            key_names = _key_names(session, chat, nodes)
            until = _until(session, chat.id, export.kind) or seen.last
            found[conversation] = Known(chat.id, renamed, key_names, seen.last, until)
    return found


def _until(session: Session, conversation_id: str, kind: str) -> datetime | None:
    """When the newest message of the conversation was sent that came in this format."""
    query = select(func.max(Episode.time)).join(Source, Source.id == Episode.source_id)
    return session.scalar(query.where(Episode.conversation_id == conversation_id, Source.kind == kind))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The known chats of one format, to be found by their titles or by what was said in them."""

    by_title: dict[str, _Chat]
    by_words: dict[Said, list[_Chat]]
    goes_by_title: bool  # whether a title that is known says enough

    @classmethod
    def of(cls, chats: Sequence[_Chat], *, goes_by_title: bool) -> _Shelf:
        by_words: dict[Said, list[_Chat]] = {}
        for chat in chats:
            for said in {said for end in chat.ends for _, said in end}:
                by_words.setdefault(said, []).append(chat)
        return cls({chat.name: chat for chat in chats}, by_words, goes_by_title)

    def find(self, conversation: str, seen: _Seen) -> _Chat | None:
        """A chat that has a title goes by it, unless no known one has it: then it may have been given another."""
        titled = self.by_title.get(conversation[:255])
        if titled is not None and self.goes_by_title:
            return titled
        near = {chat.id: chat for said in seen.found for chat in self.by_words.get(said, ())}
        for chat in sorted(near.values(), key=lambda chat: chat.name):
            _, nodes = _identities(chat, seen)
            said = {(nodes[name], said) for said, people in seen.found.items() for name in people}
            if chat.is_continued_by(set(nodes.values()), said):
                return chat
        return titled


def _identities(chat: _Chat, seen: _Seen) -> tuple[dict[str, str], dict[str, str]]:
    """Who was renamed, and everybody's node (or key, for somebody new), by the names of the export."""
    renamed = _renamed(chat, seen)
    nodes = {name: renamed.get(name) or node or names.key(name) for name, node in seen.nodes.items()}
    return renamed, nodes


def _look(session: Session, space_id: str, export: Chats, wanted: set[Said]) -> dict[str, _Seen]:
    """One pass over the export. People count by whom a name leads to: they may have been renamed or merged since."""
    times = {time for time, _ in wanted}
    seen: dict[str, _Seen] = {}
    for message in export.messages():
        chat = seen.get(message.conversation)
        if chat is None:
            chat = seen[message.conversation] = _Seen(message.time)
        elif message.time > chat.last:
            chat.last = message.time
        name = message.speaker
        chat.nodes[name] = None
        if message.kind == "text" and message.time in times:
            said = (message.time.astimezone(UTC), message.text)
            if said in wanted:
                chat.found[said].add(name)
    known = find_people(session, space_id, {name for chat in seen.values() for name in chat.nodes})
    for chat in seen.values():
        chat.nodes = {name: known.get(name) for name in chat.nodes}
    return seen


def _renamed(chat: _Chat, seen: _Seen) -> dict[str, str]:
    """Names that lead to nobody, with the person whose words they say and who is missing; one to one."""
    missing = chat.people - {node for node in seen.nodes.values() if node}
    found: dict[str, str] = {}
    for person in missing:
        samples = chat.samples.get(person, {})
        says = Counter(name for said in samples for name in seen.found.get(said, ()) if not seen.nodes[name])
        for name, n in says.most_common(1):
            if n >= _FEWEST and n >= _SHARE * len(samples):
                found[name] = "" if name in found else person
    return {name: person for name, person in found.items() if person}


def _key_names(session: Session, chat: _Chat, nodes: dict[str, str]) -> dict[str, str]:
    """For people whose stored keys are under another name than the export's: that name."""
    found: dict[str, str] = {}
    for name, node in nodes.items():
        if not (samples := chat.samples.get(node)):
            continue
        for candidate in (name, *_called(session, node)):
            if _fits(candidate, chat.id, samples):
                if names.key(candidate) != names.key(name):
                    found[name] = candidate
                break
    return found


def _fits(name: str, conversation_id: str, samples: dict[Said, str]) -> bool:
    keys = set(samples.values())
    return any(message_key(conversation_id, names.key(name), *said, 0) in keys for said in samples)


def _called(session: Session, node: str) -> Iterable[str]:
    """Every name of the person, and of those merged into them."""
    ids = [node, *session.scalars(select(Node.id).where(Node.merged_into == node))]
    return [
        *session.scalars(select(Node.name).where(Node.id.in_(ids))),
        *session.scalars(select(Alias.name).where(Alias.node_id.in_(ids))),
    ]


def _chats(session: Session, space_id: str, kind: str) -> list[_Chat]:
    query = (
        select(Conversation.id, Conversation.name)
        .join(Episode, Episode.conversation_id == Conversation.id)
        .join(Source, Source.id == Episode.source_id)
        .where(Episode.space_id == space_id, Source.kind == kind)
        .distinct()
        .order_by(Conversation.name)
    )
    return [_chat(session, *row) for row in session.execute(query).all()]


def _chat(session: Session, conversation_id: str, name: str) -> _Chat:
    people = session.scalars(
        select(Participant.node_id).where(Participant.conversation_id == conversation_id)
    )
    query = (
        select(Episode.speaker_id, Episode.time, Episode.text, Episode.key)
        .where(Episode.conversation_id == conversation_id, Episode.kind == "text")
        .limit(_N_SAMPLED)
    )
    first, last = (
        session.execute(query.order_by(end)).all() for end in (Episode.time.asc(), Episode.time.desc())
    )
    samples: defaultdict[str, dict[Said, str]] = defaultdict(dict)
    for row in (*first, *last):
        if len(samples[row.speaker_id]) < _N_EACH:
            samples[row.speaker_id][row.time, row.text] = row.key
    ends = tuple(
        [(row.speaker_id, (row.time, row.text)) for row in rows[:_N_COMPARED]] for rows in (first, last)
    )
    return _Chat(conversation_id, name, set(people), (ends[0], ends[1]), dict(samples))
