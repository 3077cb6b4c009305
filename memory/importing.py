"""Import a chat export: read one message at a time, one transaction, nothing twice.

A message is known by its conversation, speaker, time, words and its number among equals, so a longer export of the
same chat adds what is new and the same file adds nothing. A failure at any point, be it a full disk or a kill, leaves
nothing written. Memory grows with the people and conversations of an export, not with its messages. Facts and feelings
are not read here; `memory.reading` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.feed import episodes_noted_together
from db.tables import Conversation, Episode, Source, new_ids
from memory import names
from memory.continuing import Known, continued
from memory.emotions import add_tags
from memory.episodes import add_participants, ensure_conversation, message_key
from memory.feelings import AUTHOR
from memory.importers import detect
from memory.importers.bots import NO_BOTS, Bots
from memory.importers.detect import Export
from memory.importers.files import Meter, gather
from memory.importers.shape import ReadOptions
from memory.importers.tally import Tally
from memory.people import add_alias, get_or_create_node
from memory.ports import Clock, utc_now
from memory.spaces import zone
from memory.types import EmotionTag, ImportReport, Message

_CHUNK = 4000  # messages per look at what is known, per insert and per call of progress
_BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)
_SLACK = timedelta(days=1)
_N_REMEMBERED = 40_000  # messages back in which equals are counted without a look into the store


class ImportProgress(Protocol):
    """Called as bytes are read; the note never holds anybody's words."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person may say about an export."""

    timezone: str = "UTC"  # of times that carry no zone of their own
    me: str = "Me"  # the name of who made it, in formats that do not give it
    bots: Bots = NO_BOTS


def open_export(
    path: Path,
    options: ImportOptions | None = None,
    *,
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> Export:
    """The export in the file, folder or zip archive, understood but not read.

    Raises UnknownFormat, BrokenExport, EmptyChat, ZipInZip, UnknownTimezone; OSError if unreadable.
    """
    chosen = options or ImportOptions()
    asked = ReadOptions(zone(chosen.timezone), clock(), chosen.me, chosen.bots)
    meter = Meter()
    files = gather(path, meter)
    total = sum(file.size_bytes for file in files)
    if progress is not None:
        meter.watch = lambda done: progress(min(done, total), total, "looking through")
    export = detect.open_files(files, path.name, meter, asked)
    meter.watch = None
    return export


def import_export(
    database: Database,
    space_id: str,
    export: Export,
    *,
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> ImportReport:
    """Store the export's messages, its speakers as people, and who could hear what.

    Raises StoreFull with nothing written. The very same bytes are not stored again.
    """
    digest = export.sha256()
    writer: _Writer | None = None
    with database.transaction() as session:
        known = session.scalar(select(Source.id).where(Source.space_id == space_id, Source.sha256 == digest))
        if known is None:
            source = Source(
                space_id=space_id, kind=export.kind, name=export.name, sha256=digest, created_at=clock()
            )
            session.add(source)
            session.flush()
            writer = _Writer(session, space_id, source.id, clock, continued(session, space_id, export))
            with episodes_noted_together(session, Episode.source_id == source.id):
                writer.store(export, progress)
    if writer is None:
        return _report(str(known), export, _tally(export), notes=("this very file was imported before",))
    return _report(writer.source_id, export, writer.tally, stored=writer)


def import_file(
    database: Database,
    space_id: str,
    path: Path,
    *,
    timezone: str = "UTC",
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> ImportReport:
    """Open and import. Raises what `open_export` and `import_export` raise, always with nothing written."""
    export = open_export(path, ImportOptions(timezone))
    return import_export(database, space_id, export, clock=clock, progress=progress)


def _tally(export: Export) -> Tally:
    tally = Tally()
    for row in export.rows():
        tally.add(row)
    return tally


class _Keys:
    """The keys of messages in their order, equals numbered from 0 among the last `_N_REMEMBERED` at least."""

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._newest_young = self._newest_old = self._newest_forgotten = _BEFORE_ALL

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
        self._newest_old, self._newest_young = self._newest_young, _BEFORE_ALL
        self._old, self._young = self._young, {}

    def make(self, message: Message, conversation_id: str, speaker: str, occurrence: int) -> str:
        """A medium counts by its place alone: exports name it differently."""
        said = message.text if message.kind == "text" else f"<{message.kind}>"
        return message_key(conversation_id, names.key(speaker), message.time, said, occurrence)


@dataclass(slots=True)
class _Chat:
    """A conversation while it is written: its people by the names that the export has for them."""

    id: str
    name: str
    until: datetime  # of its newest message before this import
    known: Known | None = None
    people: dict[str, str] = field(default_factory=dict)
    newcomers: set[str] = field(default_factory=set)

    def key_name(self, speaker: str) -> str:
        """The name under which this speaker's messages have their keys here."""
        return self.known.key_names.get(speaker, speaker) if self.known else speaker


@dataclass(slots=True)
class _Writer:
    """Writes one source within the caller's transaction."""

    session: Session
    space_id: str
    source_id: str
    clock: Clock
    continued: dict[str, Known]
    n_new: int = 0
    tally: Tally = field(default_factory=Tally)
    chats: dict[str, _Chat] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)  # names that are new to somebody, with their nodes
    _keys: _Keys = field(default_factory=_Keys)
    _nodes: dict[str, str] = field(default_factory=dict)
    _n_done: int = 0

    def store(self, export: Export, progress: ImportProgress | None) -> None:
        begun, batch = export.meter.n_bytes, list[Message]()
        for row in export.rows():
            self.tally.add(row)
            if isinstance(row, Message):
                batch.append(row)
            if len(batch) == _CHUNK:
                self._write(batch)
                batch.clear()
                if progress is not None:
                    done = min(export.meter.n_bytes - begun, export.size_bytes)
                    progress(done, export.size_bytes, f"{self.n_new} new")
        self._write(batch)
        if progress is not None:
            progress(export.size_bytes, export.size_bytes, f"{self.n_new} new")

    def _write(self, batch: Sequence[Message]) -> None:
        chats = [self._chat(message) for message in batch]
        keys = [
            self._keys.next(message, chat.id, chat.key_name(message.speaker))
            for message, chat in zip(batch, chats, strict=True)
        ]
        for chat in {chat.id: chat for chat in chats if chat.newcomers}.values():
            add_participants(self.session, self.space_id, chat.id, chat.newcomers)
            chat.newcomers.clear()
        doubtful = [
            key
            for message, chat, key in zip(batch, chats, keys, strict=True)
            if message.time - _SLACK <= chat.until or self._keys.may_repeat(message)
        ]
        known, taken = self._known(doubtful), set(keys)
        fresh = []
        for place, (message, chat, key) in enumerate(zip(batch, chats, keys, strict=True), self._n_done):
            if known.get(key) == self.source_id:  # an equal of this very file, from long before
                key = self._free_key(message, chat, taken)
                taken.add(key)
            elif key in known:
                continue
            fresh.append((message, chat, key, place))
        ids = new_ids(len(fresh))
        rows = [self._row(*each, own_id) for each, own_id in zip(fresh, ids, strict=True)]
        if rows:
            self.session.connection().execute(insert(Episode), rows)
            self._tag([(own_id, message) for (message, *_), own_id in zip(fresh, ids, strict=True)])
        self.n_new += len(rows)
        self._n_done += len(batch)

    def _tag(self, stored: Sequence[tuple[str, Message]]) -> None:
        """Keep what people wrote behind their words about how they felt."""
        tags = [
            EmotionTag(episode_id, name, intensity, AUTHOR)
            for episode_id, message in stored
            for name, intensity in message.feelings
        ]
        if tags:
            add_tags(self.session, self.space_id, tags)

    def _chat(self, message: Message) -> _Chat:
        chat = self.chats.get(message.conversation)
        if chat is None:
            chat = self.chats[message.conversation] = self._open(message.conversation)
        for name in (message.speaker, *message.hearers):
            if name not in chat.people:
                chat.people[name] = self._node(name)
                chat.newcomers.add(chat.people[name])
        return chat

    def _open(self, conversation: str) -> _Chat:
        known = self.continued.get(conversation)
        if known is None:
            found = ensure_conversation(self.session, self.space_id, conversation[:255])
        else:
            found = known.id
            for name, node_id in known.renamed.items():
                add_alias(self.session, self.space_id, node_id, name)
                self.renamed[name] = node_id
        newest = self.session.scalar(select(func.max(Episode.time)).where(Episode.conversation_id == found))
        name = self.session.get_one(Conversation, found).name
        return _Chat(found, name, newest or _BEFORE_ALL, known)

    def _node(self, name: str) -> str:
        if name not in self._nodes:
            self._nodes[name] = get_or_create_node(
                self.session, self.space_id, name, is_speaker=True, clock=self.clock
            )
        return self._nodes[name]

    def _known(self, keys: Sequence[str]) -> dict[str, str]:
        """Of these keys the ones that the store has, with their sources."""
        query = select(Episode.key, Episode.source_id).where(
            Episode.space_id == self.space_id, Episode.key.in_(keys)
        )
        return {row.key: row.source_id for row in self.session.execute(query)} if keys else {}

    def _free_key(self, message: Message, chat: _Chat, taken: set[str]) -> str:
        occurrence = 1
        while True:
            key = self._keys.make(message, chat.id, chat.key_name(message.speaker), occurrence)
            if key not in taken and not self._known([key]):
                return key
            occurrence += 1

    def _row(self, message: Message, chat: _Chat, key: str, position: int, own_id: str) -> dict[str, Any]:
        return {
            "id": own_id,
            "space_id": self.space_id,
            "source_id": self.source_id,
            "conversation_id": chat.id,
            "position": position,
            "speaker_id": chat.people[message.speaker],
            "time": message.time,
            "text": message.text,
            "kind": message.kind,
            "is_edited": message.is_edited,
            "origin": message.origin,
            "key": key,
            "extracted_by": None,
        }


def _report(
    source_id: str,
    export: Export,
    tally: Tally,
    *,
    stored: _Writer | None = None,
    notes: tuple[str, ...] = (),
) -> ImportReport:
    chats = list(dict.fromkeys(chat.name for chat in stored.chats.values())) if stored else list(tally.chats)
    n_simulated = sum(chat.n_simulated for chat in tally.chats.values())
    bots = (f"{n_simulated} messages were written by programs and are no evidence",) if n_simulated else ()
    n_renamed = len(stored.renamed) if stored else 0
    renamed = (f"{n_renamed} people go by another name than before; it is an alias now",) if n_renamed else ()
    return ImportReport(
        source_id=source_id,
        kind=export.kind,
        conversation=chats[0] if len(chats) == 1 else f"{len(chats)} chats",
        n_messages=tally.n_messages,
        n_new=stored.n_new if stored else 0,
        n_system=tally.n_system,
        people=tally.people,
        first=tally.first,
        last=tally.last,
        notes=export.notes + bots + renamed + notes,
        skipped=tally.skipped,
    )
