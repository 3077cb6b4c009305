"""Import a chat export: one file, one transaction, nothing twice.

A message is known by its conversation, speaker, time, words and its number among equals, so a longer export of the
same chat adds what is new and the same file adds nothing. A failure at any point, be it a full disk or a kill, leaves
nothing written. Facts and feelings are not read here; `memory.reading` does that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Conversation, Episode, Participant, Source, new_id
from memory import names
from memory.episodes import add_participants, ensure_conversation, message_key
from memory.importers import detect
from memory.people import find_node, get_or_create_node
from memory.ports import Clock, utc_now
from memory.spaces import zone
from memory.types import Export, ImportReport, Message

_CHUNK = 2000  # rows per insert, and messages per call of progress
_N_COMPARED = 8  # messages at either end of a known conversation that are looked for in a new export


class ImportProgress(Protocol):
    """Called as messages are stored; the note never holds anybody's words."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def read_exports(path: Path, *, timezone: str = "UTC") -> list[Export]:
    """Every chat in the file. Raises UnknownFormat, BrokenExport, EmptyChat, UnknownTimezone; OSError if unreadable."""
    return detect.read(path.read_bytes(), path.name, zone(timezone))


def read_export(path: Path, *, timezone: str = "UTC") -> Export:
    """The file's chat; of a file with many chats the largest, with a note that there are others."""
    exports = read_exports(path, timezone=timezone)
    largest = max(exports, key=lambda export: len(export.messages))
    if len(exports) == 1:
        return largest
    return replace(largest, notes=(*largest.notes, f"the largest of {len(exports)} chats in the file"))


def import_file(
    database: Database,
    space_id: str,
    path: Path,
    *,
    timezone: str = "UTC",
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> ImportReport:
    """Store the file's messages, its speakers as people, and who could hear what.

    Raises what `read_exports` raises, and StoreFull, always with nothing written.
    """
    raw = path.read_bytes()
    exports = detect.read(raw, path.name, zone(timezone))
    digest = hashlib.sha256(raw).hexdigest()
    with database.transaction() as session:
        known = session.scalar(select(Source.id).where(Source.space_id == space_id, Source.sha256 == digest))
        if known is not None:
            return _report(known, exports, [], n_new=0, notes=("this very file was imported before",))
        kind = exports[0].kind
        source = Source(space_id=space_id, kind=kind, name=path.name, sha256=digest, created_at=clock())
        session.add(source)
        session.flush()
        writer = _Writer(session, space_id, source.id, clock, progress, sum(len(e.messages) for e in exports))
        stored = [writer.store(export) for export in exports]
    return _report(source.id, exports, stored, n_new=sum(chat.n_new for chat in stored))


@dataclass(frozen=True, slots=True)
class _Stored:
    conversation: str
    n_new: int


@dataclass(slots=True)
class _Writer:
    """Writes the exports of one source within the caller's transaction."""

    session: Session
    space_id: str
    source_id: str
    clock: Clock
    progress: ImportProgress | None
    n_total: int
    n_done: int = 0

    def store(self, export: Export) -> _Stored:
        name = export.conversation[:255]
        conversation_id = _known_chat(self.session, self.space_id, export) or ensure_conversation(
            self.session, self.space_id, name
        )
        speakers = {message.speaker: "" for message in export.messages if message.speaker}
        for speaker in speakers:
            speakers[speaker] = get_or_create_node(
                self.session, self.space_id, speaker, is_speaker=True, clock=self.clock
            )
        add_participants(self.session, self.space_id, conversation_id, set(speakers.values()))
        n_new = self._add(export.messages, conversation_id, speakers)
        kept = self.session.get_one(Conversation, conversation_id).name
        return _Stored(kept, n_new)

    def _add(self, messages: Sequence[Message], conversation_id: str, speakers: dict[str, str]) -> int:
        known = set(
            self.session.scalars(select(Episode.key).where(Episode.conversation_id == conversation_id))
        )
        keys = message_keys(messages, conversation_id)
        n_new = 0
        for start in range(0, len(messages), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(messages)))
            fresh = [i for i in chunk if keys[i] not in known]
            rows = [
                self._row(messages[i], self.n_done + i - start, keys[i], conversation_id, speakers)
                for i in fresh
            ]
            if rows:
                self.session.connection().execute(insert(Episode), rows)
            n_new += len(rows)
            self.n_done += len(chunk)
            if self.progress is not None:
                self.progress(self.n_done, self.n_total, f"{n_new} new")
        return n_new

    def _row(
        self, message: Message, position: int, key: str, conversation_id: str, speakers: dict[str, str]
    ) -> dict[str, Any]:
        return {
            "id": new_id(),
            "space_id": self.space_id,
            "source_id": self.source_id,
            "conversation_id": conversation_id,
            "position": position,
            "speaker_id": speakers[message.speaker or ""],
            "time": message.time,
            "text": message.text,
            "kind": message.kind,
            "is_edited": message.is_edited,
            "origin": "observed",
            "key": key,
            "extracted_by": None,
        }


def message_keys(messages: Iterable[Message], conversation_id: str) -> list[str]:
    """One key per message, in order. A medium counts by its place alone: exports name it differently."""
    seen: Counter[tuple[str, datetime, str]] = Counter()
    keys = []
    folded: dict[str, str] = {}
    for message in messages:
        speaker = message.speaker or ""
        if speaker not in folded:
            folded[speaker] = names.key(speaker)
        said = message.text if message.kind == "text" else f"<{message.kind}>"
        identity = (folded[speaker], message.time, said)
        keys.append(message_key(conversation_id, *identity, seen[identity]))
        seen[identity] += 1
    return keys


def _known_chat(session: Session, space_id: str, export: Export) -> str | None:
    """The conversation this export continues under another name, for formats that name chats by who spoke.

    A chat's first part may hold one speaker and the whole of it three. It is the same chat where the people of one are
    among the people of the other and half of the messages at either end of the known part are in the export.
    """
    chats = _chats_of(session, space_id, export.kind) if export.kind in ("whatsapp", "jsonl") else []
    if not chats:
        return None
    # by who a name leads to: they may have been renamed, or merged into somebody, since
    nodes = {
        name: find_node(session, space_id, name) or names.key(name)
        for name in {message.speaker for message in export.messages if message.speaker}
    }
    speakers = set(nodes.values())
    said = {
        (nodes.get(message.speaker or "", ""), message.time.astimezone(UTC), message.text)
        for message in export.messages
        if message.kind == "text"
    }
    for conversation_id in chats:
        people = set(
            session.scalars(select(Participant.node_id).where(Participant.conversation_id == conversation_id))
        )
        if (people <= speakers or speakers <= people) and _overlaps(session, conversation_id, said):
            return conversation_id
    return None


def _chats_of(session: Session, space_id: str, kind: str) -> list[str]:
    query = (
        select(Episode.conversation_id)
        .join(Source, Source.id == Episode.source_id)
        .where(Episode.space_id == space_id, Source.kind == kind)
        .distinct()
    )
    return list(session.scalars(query))


def _overlaps(session: Session, conversation_id: str, said: set[tuple[str, datetime, str]]) -> bool:
    query = (
        select(Episode.speaker_id, Episode.time, Episode.text)
        .where(Episode.conversation_id == conversation_id, Episode.kind == "text")
        .limit(_N_COMPARED)
    )
    for end in (Episode.time.asc(), Episode.time.desc()):
        sample = [tuple(row) for row in session.execute(query.order_by(end))]
        if sample and 2 * sum(row in said for row in sample) >= len(sample):
            return True
    return False


def _report(
    source_id: str,
    exports: Sequence[Export],
    stored: Sequence[_Stored],
    *,
    n_new: int,
    notes: tuple[str, ...] = (),
) -> ImportReport:
    messages = [message for export in exports for message in export.messages]
    chats = [chat.conversation for chat in stored] or [export.conversation for export in exports]
    times = [message.time.astimezone(UTC) for message in messages]
    return ImportReport(
        source_id=source_id,
        kind=exports[0].kind,
        conversation=chats[0] if len(chats) == 1 else f"{len(chats)} chats",
        n_messages=len(messages),
        n_new=n_new,
        n_system=sum(export.n_system for export in exports),
        people=tuple(dict.fromkeys(message.speaker for message in messages if message.speaker)),
        first=min(times),
        last=max(times),
        notes=tuple(dict.fromkeys(note for export in exports for note in export.notes)) + notes,
    )
