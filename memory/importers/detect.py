"""Which format an export is in, told by its content and never by its name; and the export, opened.

`open_files` is the one entrance for chats: files in, an `Export` out, whose rows can be read again and again. It raises
UnknownFormat, BrokenExport (with the place of the damage) and EmptyChat; what it gives holds at least one message. In a
folder or archive the files that are no chats are passed over and counted. Nothing is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from memory import feelings
from memory.errors import BrokenExport, EmptyChat, UnknownFormat
from memory.importers import (
    chatgpt,
    claude,
    csv_chat,
    discord,
    imessage_db,
    imessage_text,
    jsonl,
    locomo,
    mbox,
    meta,
    signal,
    slack,
    telegram,
    whatsapp,
)
from memory.importers.bots import NO_BOTS, SIMULATED
from memory.importers.documents import document
from memory.importers.files import File, Meter, digest, encoding_of
from memory.importers.shape import Reader, Reading, ReadOptions
from memory.types import SYSTEM, Message, Row, Skipped

FUTURE = timedelta(days=1)  # by which a message may be ahead of this machine's clock

LooksLike = Callable[[str], bool]

_JSON: tuple[tuple[LooksLike, Reader], ...] = (
    (signal.looks_like, signal.read),
    (jsonl.looks_like, jsonl.read),
    (chatgpt.looks_like, chatgpt.read),
    (claude.looks_like, claude.read),
    (locomo.looks_like, locomo.read),
    (meta.looks_like, meta.read),
    (discord.looks_like, discord.read),
    (telegram.looks_like, telegram.read),
)
_TEXT: tuple[tuple[LooksLike, Reader], ...] = (
    (whatsapp.looks_like, whatsapp.read),
    (imessage_text.looks_like, imessage_text.read),
    (mbox.looks_like, mbox.read),
    (csv_chat.looks_like, csv_chat.read),
)


@dataclass(frozen=True, slots=True)
class Export:
    """An export that is understood but not read: its rows come one at a time, from the beginning at each call."""

    kind: str  # the format, as sources are listed by
    name: str
    size_bytes: int
    notes: tuple[str, ...]  # what was understood: form, order of dates
    files: tuple[File, ...]
    meter: Meter
    readings: tuple[Reading, ...]
    options: ReadOptions

    def rows(self) -> Iterator[Row]:
        """Every message in the order of the files, and what is left out; at the end what was no text.

        Messages of bots are marked, messages from the future left out, tags of feelings taken off the texts.
        """
        limit = self.options.now + FUTURE
        wrote = None if self.options.bots is NO_BOTS else self.options.bots.wrote
        n_messages = 0
        for row in self._rows():
            if isinstance(row, Skipped):
                yield row
                continue
            n_messages += 1
            if row.time > limit:
                yield Skipped(
                    f"the {n_messages}. message", f"its time, in {row.time.year}, lies in the future"
                )
            else:
                said, tags = feelings.split(row.text)
                if tags:
                    row = replace(row, text=said, feelings=tags)
                if row.speaker.endswith(SIMULATED):
                    row = replace(row, speaker=row.speaker.removesuffix(SIMULATED), origin="simulated")
                yield replace(row, origin="simulated") if wrote is not None and wrote(row) else row

    def _rows(self) -> Iterator[Row]:
        n_before = self.meter.n_lost
        for number, reading in enumerate(self.readings, start=1):
            for row in reading.rows():
                if isinstance(row, Skipped) and len(self.readings) > 1:
                    row = Skipped(f"file {number}, {row.place}", row.reason)
                yield row
        n_lost = self.meter.n_lost - n_before
        if n_lost:
            yield Skipped("the file", f"{n_lost} places are no valid UTF-8; they read as \ufffd")

    def messages(self) -> Iterator[Message]:
        """The rows that are messages."""
        return (row for row in self.rows() if isinstance(row, Message))

    def sha256(self) -> str:
        """Of what was given: two exports of the same bytes are the same."""
        return digest(self.files)


def open_files(files: tuple[File, ...], name: str, meter: Meter, options: ReadOptions) -> Export:
    """The export that these files are. `name` is what was given: a file, a folder or an archive."""
    if not files:
        raise EmptyChat(name)
    readings = _readings(files, name, options)
    notes = tuple(dict.fromkeys(note for reading in readings for note in reading.notes))
    if len(files) == 1 and readings[0].kind != "mbox" and encoding_of(files[0].head()) == "cp1252":
        notes += ("it is no UTF-8; read as Windows-1252 (Western Europe)",)
    size = sum(file.size_bytes for file in files)
    export = Export(readings[0].kind, name, size, notes, files, meter, tuple(readings), options)
    _ensure_message(export)
    return export


def _readings(files: tuple[File, ...], name: str, options: ReadOptions) -> list[Reading]:
    if slack.belongs(files):
        return [slack.read(files, options)]
    if len(files) == 1:
        return [_reader(files[0], name)(files[0], options)]
    readings: list[Reading] = []
    for file in sorted(files, key=meta.page):
        if signal.is_copy(file, files):
            continue
        try:
            readings.append(_reader(file, name)(file, options))
        except (UnknownFormat, EmptyChat):
            continue  # pictures and settings lie beside chats
    if not readings:
        raise UnknownFormat(name)
    n_others = len(files) - len(readings)
    if n_others:
        note = f"{n_others} of {len(files)} files are no chats and were passed over"
        readings[0] = replace(readings[0], notes=(*readings[0].notes, note))
    return readings


def _ensure_message(export: Export) -> None:
    """Raises EmptyChat, or BrokenExport with the first damage, where no message can be read."""
    damage: Skipped | None = None
    for row in export.rows():
        if isinstance(row, Message):
            return
        if damage is None and row.reason != SYSTEM:
            damage = row
    if damage is not None:
        raise BrokenExport(export.name, f"{damage.place}: {damage.reason}")
    raise EmptyChat(export.name)


def _reader(file: File, name: str) -> Reader:
    """Raises UnknownFormat and EmptyChat under the name that was given."""
    if file.head().startswith(imessage_db.SIGNATURE):
        return imessage_db.read
    head = file.head_text()
    if not head.strip("\ufeff \t\r\n\0"):
        raise EmptyChat(name) if not file.head().strip(b"\xef\xbb\xbf \t\r\n\0") else UnknownFormat(name)
    is_json = re.match(r"[\s\ufeff]*(\{|\[\s*[{\"\]])", head) is not None
    for looks_like, reader in _JSON if is_json else _TEXT:
        if looks_like(head):
            return reader
    if is_json and file.size_bytes < len(file.head()) + 1:
        document(head, name)  # raises BrokenExport for what breaks off before its format can be told
    raise UnknownFormat(name)
