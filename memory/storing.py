"""Write the messages of one export within the caller's transaction: what is new is added, what changed is followed.

A batch is written while the next one is read; what the store may have already is settled first (`memory.settling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.feed import Inserter, NewEpisode
from db.tables import Conversation, Episode, clean_text, new_ids
from memory import known
from memory.arrivals import BEFORE_ALL, Arrival, Chat, Keys
from memory.continuing import Known
from memory.crowds import Speakers
from memory.emotions import add_tags
from memory.episodes import add_participants, ensure_conversation
from memory.feelings import AUTHOR
from memory.importers.shape import Chats
from memory.importers.tally import Tally
from memory.people import add_alias
from memory.ports import Clock
from memory.rewording import Rewriter
from memory.settling import Settler
from memory.types import EmotionTag, Message, Skipped

CHUNK = 4000  # messages per look at what is known, per insert and per call of progress
_MAX_CHARS = 8 << 20  # of a batch

Watch = Callable[[int, int, str], None]


@dataclass(slots=True)
class Writer:
    """Writes one source. What it counts is told by the import's report."""

    session: Session
    space_id: str
    source_id: str
    clock: Clock
    kind: str  # of the export
    continued: dict[str, Known]
    inserter: Inserter
    n_new: int = 0
    tally: Tally = field(default_factory=Tally)
    chats: dict[str, Chat] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)  # names that are new to somebody, with their nodes
    rewriter: Rewriter = field(init=False)
    settler: Settler = field(init=False)
    _keys: Keys = field(default_factory=Keys)
    _nodes: dict[str, str] = field(default_factory=dict)
    _speakers: Speakers = field(init=False)
    _n_done: int = 0

    def __post_init__(self) -> None:
        self._speakers = Speakers(self.session, self.space_id, self.clock)
        self.rewriter = Rewriter(self.session, self.space_id, self.source_id, self.clock)
        self.settler = Settler(self.session, self.space_id, self.source_id, self.kind, self.rewriter)

    def store(self, export: Chats, watch: Watch | None) -> None:
        """Every message of the export, and what its absence tells of known ones."""
        begun, batch, n_chars = export.meter.n_bytes, list[Message](), 0
        add = self.tally.add
        for row in export.rows():
            add(row)
            if isinstance(row, Skipped):
                continue
            batch.append(row)
            n_chars += len(row.text)
            if len(batch) >= CHUNK or n_chars > _MAX_CHARS:
                batch, n_chars = self._write_all_but_the_last_moment(batch), 0
                if watch is not None:
                    done = min(export.meter.n_bytes - begun, export.size_bytes)
                    watch(done, export.size_bytes, f"{self.n_new} new")
        self._write(batch)
        self.inserter.wait()
        if self.tally.is_whole:
            for chat in {chat.id: chat for chat in self.chats.values()}.values():
                self.settler.delete_missing(chat)
        if watch is not None:
            watch(export.size_bytes, export.size_bytes, f"{self.n_new} new")

    def _write_all_but_the_last_moment(self, batch: list[Message]) -> list[Message]:
        """What was said at one time is compared together, so the messages of the last time wait for the next batch."""
        end, last = len(batch), batch[-1].time
        while end and batch[end - 1].time == last:
            end -= 1
        end = end or len(batch)
        self._write(batch[:end])
        return batch[end:]

    def _write(self, batch: Sequence[Message]) -> None:
        self._meet(batch)
        arrival, chats = self._keys.arrival, self.chats
        arrivals = [
            arrival(message, chats[message.conversation], place)
            for place, message in enumerate(batch, self._n_done)
        ]
        self._n_done += len(batch)
        doubtful = [item for item in arrivals if self._keys.is_doubtful(item)]
        if not doubtful:
            self._insert(arrivals)
            return
        self.inserter.wait()
        settled = self.settler.settle(doubtful)
        found = (settled.get(item.place, item) for item in arrivals)
        self._insert([item for item in found if item is not None])

    def _insert(self, fresh: Sequence[Arrival]) -> None:
        if not fresh:
            return
        ids = new_ids(len(fresh))
        self.inserter.insert([_row(item, own_id) for item, own_id in zip(fresh, ids, strict=True)])
        self.n_new += len(fresh)
        tags = [
            EmotionTag(own_id, name, intensity, AUTHOR)
            for item, own_id in zip(fresh, ids, strict=True)
            if item.message.feelings
            for name, intensity in item.message.feelings
        ]
        if tags:  # what people wrote behind their words about how they felt
            self.inserter.wait()
            add_tags(self.session, self.space_id, tags)

    def _meet(self, batch: Sequence[Message]) -> None:
        """Open the conversations of the messages, and let everybody whom they name take part."""
        newcomers: dict[str, dict[str, None]] = {}  # by conversation: names, in their order
        people: dict[str, dict[str, str]] = {name: chat.people for name, chat in self.chats.items()}
        for message in batch:
            there = people.get(message.conversation, {})
            if message.speaker not in there or message.hearers:
                new = newcomers.setdefault(message.conversation, {})
                new.update((name, None) for name in (message.speaker, *message.hearers) if name not in there)
        if not any(newcomers.values()):
            return
        self.inserter.wait()
        for conversation in newcomers:
            if conversation not in self.chats:
                self.chats[conversation] = self._open(conversation)
        unmet = {name: None for new in newcomers.values() for name in new if name not in self._nodes}
        self._nodes |= self._speakers.get_or_create(unmet)
        for conversation, new in newcomers.items():
            chat = self.chats[conversation]
            chat.people |= {name: self._nodes[name] for name in new}
            add_participants(self.session, self.space_id, chat.id, [self._nodes[name] for name in new])

    def _open(self, conversation: str) -> Chat:
        continued = self.continued.get(conversation)
        if continued is None:
            found = ensure_conversation(self.session, self.space_id, conversation[:255])
        else:
            found = continued.id
            for name, node_id in continued.renamed.items():
                add_alias(self.session, self.space_id, node_id, name)
                self.renamed[name] = node_id
        newest = self.session.scalar(select(func.max(Episode.time)).where(Episode.conversation_id == found))
        name = self.session.get_one(Conversation, found).name
        return Chat(found, name, newest or BEFORE_ALL, continued)


def _row(item: Arrival, own_id: str) -> NewEpisode:
    message, chat, key, place, moment = item
    fraction = moment[19:26] if moment[19] == "." else ".000000"
    return NewEpisode(
        own_id,
        chat.id,
        place,
        chat.people[message.speaker],
        f"{moment[:10]} {moment[11:19]}{fraction}",
        clean_text(message.text),
        message.kind,
        message.is_edited,
        message.origin,
        key,
        known.external_hash(message.external_id) if message.external_id else None,
    )
