"""Write the messages of one export within the caller's transaction: what is new is added, what changed is followed.

A message is known by its key (conversation, speaker, time, words, number among equals) or by the id that it has in its
format. A known id with other words is an edit. Where a format has no ids, a message that the app marks as edited or
deleted takes the place of the one at its time and speaker that is no longer in the export; so does one that begins with
all the words of the last message of a file that was cut. Older exports than what is known change nothing.
"""

from __future__ import annotations

import difflib
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from db.tables import Conversation, Episode, new_ids
from memory import known, names
from memory.continuing import Known
from memory.emotions import add_tags
from memory.episodes import add_participants, ensure_conversation, message_key
from memory.feelings import AUTHOR
from memory.importers.detect import Export
from memory.importers.tally import Tally
from memory.known import Stored
from memory.people import add_alias, get_or_create_node
from memory.ports import Clock
from memory.rewording import Rewriter, Words
from memory.types import EmotionTag, Message

CHUNK = 4000  # messages per look at what is known, per insert and per call of progress
BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)
_SLACK = timedelta(days=1)
_N_REMEMBERED = 40_000  # messages back in which equals are counted without a look into the store
_LONGEST_GAP = 50  # messages in a row that can have been deleted; more are a piece that the export lacks
_FEW = 5  # deletions that are believed in however small a chat
_MOST = 0.25  # of a chat's messages; where more are missing, the export was filtered
_PARTIAL = frozenset(
    ("mbox", "chatgpt", "claude", "locomo")
)  # formats in which a missing message tells nothing
_RENUMBERED = frozenset(("csv", "jsonl", "locomo"))  # formats whose ids may be another export's numbers
_CUT = "\ufffd \t\r\n"  # what a cut through a message leaves at its end

Watch = Callable[[int, int, str], None]


class Keys:
    """The keys of messages in their order, equals numbered from 0 among the last `_N_REMEMBERED` at least."""

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._newest_young = self._newest_old = self._newest_forgotten = BEFORE_ALL

    def next(self, message: Message, conversation_id: str, speaker: str) -> str:
        first = self.make(message, conversation_id, speaker, 0)
        n_before = self._young.get(first) or self._old.get(first, 0)
        self._young[first] = n_before + 1
        if message.time > self._newest_young:
            self._newest_young = message.time
        if len(self._young) >= _N_REMEMBERED:
            self._forget()
        return self.make(message, conversation_id, speaker, n_before) if n_before else first

    def may_repeat(self, message: Message) -> bool:
        """Whether an equal of it may be among those forgotten. Equals have equal times, give or take a clock's change."""
        return message.time - _SLACK <= self._newest_forgotten

    def _forget(self) -> None:
        self._newest_forgotten = max(self._newest_forgotten, self._newest_old)
        self._newest_old, self._newest_young = self._newest_young, BEFORE_ALL
        self._old, self._young = self._young, {}

    def make(self, message: Message, conversation_id: str, speaker: str, occurrence: int) -> str:
        """A medium counts by its place alone: exports name it differently."""
        said = message.text if message.kind == "text" else f"<{message.kind}>"
        return message_key(conversation_id, names.key(speaker), message.time, said, occurrence)


@dataclass(slots=True)
class Chat:
    """A conversation while it is written: its people by the names that the export has for them."""

    id: str
    name: str
    until: datetime  # of its newest message before this import
    known: Known | None = None
    people: dict[str, str] = field(default_factory=dict)
    newcomers: set[str] = field(default_factory=set)
    present: array[int] = field(default_factory=lambda: array("Q"))  # known messages that the export has

    def key_name(self, speaker: str) -> str:
        """The name under which this speaker's messages have their keys here."""
        return self.known.key_names.get(speaker, speaker) if self.known else speaker

    @property
    def is_followed(self) -> bool:
        """Whether what the export says of known messages is at least as new as what is known."""
        return self.known is not None and self.known.last >= self.until

    @property
    def is_outgrown(self) -> bool:
        """Whether the export goes on where what is known ends."""
        return self.known is not None and self.known.last > self.until


class _Arrival(NamedTuple):
    """A message of the export on its way into the store."""

    message: Message
    chat: Chat
    key: str
    place: int  # in the export


@dataclass(slots=True)
class Writer:
    """Writes one source. What it counts is told by the import's report."""

    session: Session
    space_id: str
    source_id: str
    clock: Clock
    kind: str  # of the export
    continued: dict[str, Known]
    n_new: int = 0
    n_missing: int = 0  # known messages that the export lacks without having been deleted, as it seems
    tally: Tally = field(default_factory=Tally)
    chats: dict[str, Chat] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)  # names that are new to somebody, with their nodes
    rewriter: Rewriter = field(init=False)
    _keys: Keys = field(default_factory=Keys)
    _nodes: dict[str, str] = field(default_factory=dict)
    _n_done: int = 0

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.session, self.space_id, self.source_id, self.clock)

    def store(self, export: Export, watch: Watch | None) -> None:
        """Every message of the export, and what its absence tells of known ones."""
        begun, batch = export.meter.n_bytes, list[Message]()
        for row in export.rows():
            self.tally.add(row)
            if isinstance(row, Message):
                batch.append(row)
                if len(batch) >= CHUNK:
                    batch = self._write_all_but_the_last_moment(batch)
                    if watch is not None:
                        done = min(export.meter.n_bytes - begun, export.size_bytes)
                        watch(done, export.size_bytes, f"{self.n_new} new")
        self._write(batch)
        if self.kind not in _PARTIAL and not self.tally.skipped:
            for chat in {chat.id: chat for chat in self.chats.values()}.values():
                self._delete_missing(chat)
        if watch is not None:
            watch(export.size_bytes, export.size_bytes, f"{self.n_new} new")

    def _write_all_but_the_last_moment(self, batch: list[Message]) -> list[Message]:
        """What was said at one time is compared together, so the messages of the last time wait for the next batch."""
        end = len(batch)
        while end and batch[end - 1].time == batch[-1].time:
            end -= 1
        end = end or len(batch)
        self._write(batch[:end])
        return batch[end:]

    def _write(self, batch: Sequence[Message]) -> None:
        arrivals = [
            _Arrival(message, chat, self._keys.next(message, chat.id, chat.key_name(message.speaker)), place)
            for place, (message, chat) in enumerate(
                ((message, self._chat(message)) for message in batch), self._n_done
            )
        ]
        self._n_done += len(batch)
        for chat in {item.chat.id: item.chat for item in arrivals if item.chat.newcomers}.values():
            add_participants(self.session, self.space_id, chat.id, chat.newcomers)
            chat.newcomers.clear()
        doubtful = [
            item
            for item in arrivals
            if item.message.time - _SLACK <= item.chat.until or self._keys.may_repeat(item.message)
        ]
        known_places = self._settle(doubtful) if doubtful else {}
        self._insert([known_places.get(item.place, item) for item in arrivals])

    # What is known

    def _settle(self, doubtful: Sequence[_Arrival]) -> dict[int, _Arrival | None]:
        """By place: None for what is known, an arrival under a free key for what only looks known."""
        found: dict[int, _Arrival | None] = {}
        stored = known.by_key(self.session, self.space_id, [item.key for item in doubtful])
        former = known.former_keys(self.session, self.space_id, [item.key for item in doubtful])
        by_id = self._by_external(doubtful)
        seen, loose = set[str](), list[_Arrival]()
        taken = {item.key for item in doubtful}
        for item in doubtful:
            row = by_id.get(item.place)
            if row is not None:
                self._compare(item, row, is_former=item.key in former)
            elif (row := stored.get(item.key)) is not None and self._is_another(item, row):
                found[item.place] = self._under_a_free_key(item, taken)
                continue
            elif row is not None:
                self._name(item, row)
            elif item.key in former:
                seen.add(former[item.key])
                found[item.place] = None
                continue
            else:
                loose.append(item)
                continue
            found[item.place] = None
            seen.add(row.id)
            if row.external_id or item.message.external_id:
                item.chat.present.append(_short(row.id))
        for place in self._take_places([item for item in loose if item.chat.known], seen):
            found[place] = None
        return found

    def _is_another(self, item: _Arrival, row: Stored) -> bool:
        """Whether a message with the same key is an equal of this very file from long before, or has an id of its own."""
        if row.source_id == self.source_id:
            return True
        external_id = item.message.external_id
        has_ids = row.external_id is not None and external_id is not None and self.kind not in _RENUMBERED
        return has_ids and known.external_hash(external_id or "") != row.external_id

    def _by_external(self, doubtful: Sequence[_Arrival]) -> dict[int, Stored]:
        """By place: the known message that has the same id in its format, and is the same one."""
        asked: dict[str, dict[int, str]] = defaultdict(dict)
        for item in doubtful:
            if item.message.external_id and item.chat.until > BEFORE_ALL:
                asked[item.chat.id][item.place] = known.external_hash(item.message.external_id)
        rows = {
            chat_id: known.by_external(self.session, chat_id, list(set(hashes.values())))
            for chat_id, hashes in asked.items()
        }
        found: dict[int, Stored] = {}
        for item in doubtful:
            own = asked.get(item.chat.id, {}).get(item.place)
            for row in rows[item.chat.id].get(own, ()) if own else ():
                is_theirs = row.speaker_id == item.chat.people[item.message.speaker]
                is_same = row.text == item.message.text or (is_theirs and row.time == item.message.time)
                if is_same and row.source_id != self.source_id:
                    found[item.place] = row
                    break
        return found

    def _compare(self, item: _Arrival, row: Stored, *, is_former: bool) -> None:
        """Take over what the export says in place of what is known, where it is newer."""
        message = item.message
        same_words = message.text == row.text or message.kind == "media" == row.kind
        if (same_words and message.kind == row.kind) or not item.chat.is_followed:
            return
        if not item.chat.is_outgrown and (is_former or _is_cut_of(message.text, row.text)):
            return
        self._reword(item, row)

    def _reword(self, item: _Arrival, row: Stored) -> None:
        message = item.message
        key = (
            self._free_key(item, set()) if known.by_key(self.session, self.space_id, [item.key]) else item.key
        )
        self.rewriter.reword(row.id, Words(message.text, message.kind, message.is_edited, key))
        self._tag([(row.id, message)])

    def _name(self, item: _Arrival, row: Stored) -> None:
        """Let a message that came without its id have it."""
        if item.message.external_id and row.external_id is None:
            hashed = known.external_hash(item.message.external_id)
            self.session.execute(update(Episode).where(Episode.id == row.id).values(external_id=hashed))

    def _take_places(self, loose: Sequence[_Arrival], seen: set[str]) -> set[int]:
        """Places of messages that stand where a known one stood that is not in the export any more."""
        by_chat: dict[str, list[_Arrival]] = defaultdict(list)
        for item in loose:
            if item.message.external_id is None and item.message.time <= item.chat.until:
                by_chat[item.chat.id].append(item)
        found: set[int] = set()
        for chat_id, items in by_chat.items():
            times = {item.message.time.astimezone(UTC) for item in items}
            there = known.at_times(self.session, self.space_id, chat_id, times)
            for item in items:
                slot = item.chat.people[item.message.speaker], item.message.time.astimezone(UTC)
                pool = [
                    row
                    for row in there.get(slot, ())
                    if row.id not in seen
                    and row.kind in ("text", "media")
                    and row.source_id != self.source_id
                ]
                row = self._meant(item, pool) if pool else None
                if row is not None:
                    seen.add(row.id)
                    found.add(item.place)
        return found

    def _meant(self, item: _Arrival, pool: Sequence[Stored]) -> Stored | None:
        """Which of the messages that are missing this one stands for; it takes that one's place where it is newer."""
        message, chat = item.message, item.chat
        if chat.is_followed and message.kind == "deleted":
            row: Stored | None = pool[0]
        elif chat.is_followed and message.is_edited:
            row = max(pool, key=lambda row: _likeness(row.text, message.text))
        else:
            row = next((row for row in pool if self._was_cut(row, item)), None)
        if row is not None:
            self._reword(item, row)
            return row
        if not chat.is_outgrown:  # this file is the one that was cut
            return next((row for row in pool if _is_cut_of(message.text, row.text)), None)
        return None

    def _was_cut(self, row: Stored, item: _Arrival) -> bool:
        return (
            item.chat.is_followed
            and _is_cut_of(row.text, item.message.text)
            and known.is_last_of_source(self.session, row)
        )

    # What is gone

    def _delete_missing(self, chat: Chat) -> None:
        """Mark known messages as deleted that the export leaves out between two that it has."""
        if not chat.is_followed or not chat.present:
            return
        present = np.sort(np.frombuffer(chat.present, np.uint64))
        gone, gap, n_seen, n_missing = list[str](), list[str](), 0, 0
        for episode_id, kind in known.in_order(self.session, chat.id, self.source_id):
            short = _short(episode_id)
            at = int(np.searchsorted(present, np.uint64(short)))
            if at < len(present) and int(present[at]) == short:
                if n_seen and len(gap) <= _LONGEST_GAP:
                    gone += gap
                elif n_seen:
                    n_missing += len(gap)
                n_seen += 1
                gap = []
            elif n_seen and kind != "deleted":
                gap.append(episode_id)
        if len(gone) > max(_FEW, _MOST * (n_seen + len(gone))):
            n_missing, gone = n_missing + len(gone), []
        self.n_missing += n_missing
        for episode_id in gone:
            self.rewriter.delete(episode_id)

    # What is new

    def _insert(self, items: Iterable[_Arrival | None]) -> None:
        fresh = [item for item in items if item is not None]
        if not fresh:
            return
        ids = new_ids(len(fresh))
        rows = [self._row(item, own_id) for item, own_id in zip(fresh, ids, strict=True)]
        self.session.connection().execute(insert(Episode), rows)
        self._tag([(own_id, item.message) for item, own_id in zip(fresh, ids, strict=True)])
        self.n_new += len(rows)

    def _tag(self, stored: Iterable[tuple[str, Message]]) -> None:
        """Keep what people wrote behind their words about how they felt."""
        tags = [
            EmotionTag(episode_id, name, intensity, AUTHOR)
            for episode_id, message in stored
            for name, intensity in message.feelings
        ]
        if tags:
            add_tags(self.session, self.space_id, tags)

    def _chat(self, message: Message) -> Chat:
        chat = self.chats.get(message.conversation)
        if chat is None:
            chat = self.chats[message.conversation] = self._open(message.conversation)
        for name in (message.speaker, *message.hearers):
            if name not in chat.people:
                chat.people[name] = self._node(name)
                chat.newcomers.add(chat.people[name])
        return chat

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

    def _node(self, name: str) -> str:
        if name not in self._nodes:
            self._nodes[name] = get_or_create_node(
                self.session, self.space_id, name, is_speaker=True, clock=self.clock
            )
        return self._nodes[name]

    def _under_a_free_key(self, item: _Arrival, taken: set[str]) -> _Arrival:
        """The arrival with a key that no message has."""
        key = self._free_key(item, taken)
        taken.add(key)
        return item._replace(key=key)

    def _free_key(self, item: _Arrival, taken: set[str]) -> str:
        occurrence = 1
        while True:
            key = self._keys.make(
                item.message, item.chat.id, item.chat.key_name(item.message.speaker), occurrence
            )
            if key not in taken and not known.by_key(self.session, self.space_id, [key]):
                return key
            occurrence += 1

    def _row(self, item: _Arrival, own_id: str) -> dict[str, Any]:
        message, chat = item.message, item.chat
        return {
            "id": own_id,
            "space_id": self.space_id,
            "source_id": self.source_id,
            "conversation_id": chat.id,
            "position": item.place,
            "speaker_id": chat.people[message.speaker],
            "time": message.time,
            "text": message.text,
            "kind": message.kind,
            "is_edited": message.is_edited,
            "origin": message.origin,
            "key": item.key,
            "extracted_by": None,
            "external_id": known.external_hash(message.external_id) if message.external_id else None,
        }


def _short(episode_id: str) -> int:
    """64 bits that stand for the id."""
    return int.from_bytes(hashlib.blake2b(episode_id.encode(), digest_size=8).digest(), "big")


def _is_cut_of(part: str, whole: str) -> bool:
    """Whether the one text is how the other begins, as where a file was cut."""
    kept = part.rstrip(_CUT)
    return len(kept) < len(whole.rstrip(_CUT)) and whole.startswith(kept)


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one[:1000], other[:1000], autojunk=False).ratio()
