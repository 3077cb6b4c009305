"""iMessage's own store: `chat.db` of macOS, `sms.db` of an iOS backup. It is opened for reading only, also in an archive.

A message's words stand in `text`, since macOS 13 mostly in `attributedBody` alone: an NSAttributedString archived as a
typedstream, of which the string itself is read. Times count from 2001 in seconds, since macOS 10.13 in nanoseconds.
Tapbacks are no messages; renames and people who come or go are system lines. Names are telephone numbers and addresses.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from memory import names
from memory.errors import BrokenExport, UnknownFormat
from memory.importers.files import File
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.importers.values import whole_text
from memory.types import SYSTEM, Message, MessageKind, Row, Skipped

SIGNATURE = b"SQLite format 3\0"
_APPLE_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
MAX_UNPACKED = 8 << 30  # bytes of a database that are unpacked from an archive
_FIRST_NS = 10**11  # a number this large counts nanoseconds (as seconds it would be the year 5169)
_OPTIONAL = (
    "attributedBody",
    "associated_message_type",
    "item_type",
    "date_edited",
    "date_retracted",
    "guid",
)


def read(file: File, options: ReadOptions) -> Reading:
    """Every conversation of the store, in order of time. One in an archive is unpacked for as long as it is read."""
    if file.member is not None:
        file = _unpacked(file)
    try:
        with closing(_connect(file)) as store:
            columns = {row[1] for row in store.execute("PRAGMA table_info(message)")}
            if not {"ROWID", "text", "date", "is_from_me", "handle_id"} - {"ROWID"} <= columns:
                raise UnknownFormat(file.name)
            chats = _chats(store, options)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise BrokenExport(file.name, "the database cannot be read") from error
    return Reading("imessage", ("iMessage database",), lambda: _rows(file, columns, chats, options))


def _unpacked(file: File) -> File:
    """The database as a file of its own, which goes with the last that knows of it."""
    if file.size_bytes > MAX_UNPACKED:
        why = f"{file.name} is a database of more than {MAX_UNPACKED >> 30} GiB in an archive; unpack it"
        raise BrokenExport(file.path.name, why)
    handle, name = tempfile.mkstemp(prefix="slowwave-", suffix=".db")
    path = Path(name)
    try:
        with open(handle, "wb") as copy, file.open() as packed:
            shutil.copyfileobj(packed, copy, 1 << 20)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    unpacked = _UnpackedFile(file.name, file.size_bytes, path, None, file.meter)
    weakref.finalize(unpacked, path.unlink, missing_ok=True)
    return unpacked


class _UnpackedFile(File):
    """A file that can be watched for when nobody needs it any more."""

    __slots__ = ("__weakref__",)


def _connect(file: File) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.path))}?mode=ro", uri=True)


def _chats(store: sqlite3.Connection, options: ReadOptions) -> dict[int, tuple[str, tuple[str, ...]]]:
    """By row: the conversation's name, and who takes part."""
    members: dict[int, list[str]] = {}
    query = (
        "SELECT j.chat_id, h.id FROM chat_handle_join j JOIN handle h ON h.ROWID = j.handle_id ORDER BY 1, 2"
    )
    for chat, handle in store.execute(query):
        members.setdefault(chat, []).append(names.clean(str(handle)))
    found = {}
    for row, shown, identifier in store.execute("SELECT ROWID, display_name, chat_identifier FROM chat"):
        people = (options.me, *members.get(row, ()))
        own = people_of(people) if len(people) <= 3 else names.clean(str(identifier or "chat"))
        found[row] = (names.clean(str(shown or "")) or own, people)
    return found


def _rows(
    file: File, columns: set[str], chats: dict[int, tuple[str, tuple[str, ...]]], options: ReadOptions
) -> Iterator[Row]:
    extra = ", ".join(f"m.{name}" if name in columns else f"NULL AS {name}" for name in _OPTIONAL)
    query = (
        f"SELECT m.ROWID AS row, m.text, m.date, m.is_from_me, h.id AS handle, j.chat_id AS chat, {extra} "
        "FROM message m LEFT JOIN handle h ON h.ROWID = m.handle_id "
        "LEFT JOIN chat_message_join j ON j.message_id = m.ROWID ORDER BY m.date, m.ROWID"
    )
    try:
        with closing(_connect(file)) as store:
            store.row_factory = sqlite3.Row
            store.text_factory = lambda raw: raw.decode(errors="replace")
            for row in store.execute(query):
                yield _row(row, chats, options)
    except sqlite3.DatabaseError:
        yield Skipped("the database", "it breaks off; nothing after it is read")
    file.meter.add(file.size_bytes)


def _row(row: sqlite3.Row, chats: dict[int, tuple[str, tuple[str, ...]]], options: ReadOptions) -> Row:
    place = f"message {row['row']}"
    if (row["associated_message_type"] or 0) >= 1000 or row["item_type"]:
        return Skipped(place, SYSTEM)
    if row["chat"] not in chats:
        return Skipped(place, "it belongs to no conversation")
    conversation, people = chats[row["chat"]]
    try:
        time = apple_time(row["date"])
        speaker = options.me if row["is_from_me"] else names.clean(str(row["handle"] or ""))
        if not speaker:
            return Skipped(place, "no sender")
        text = whole_text(row["text"] or attributed_text(row["attributedBody"]) or "")
    except DAMAGE:
        return Skipped(place, "no readable time or text")
    text = text.replace("\ufffc", "").strip()
    is_gone = not text and bool(row["date_retracted"] or row["date_edited"])
    kind: MessageKind = "deleted" if is_gone else "text" if text else "media"
    return Message(
        time,
        speaker,
        text or ("" if is_gone else "<attachment>"),
        kind,
        bool(row["date_edited"]),
        row["guid"],
        conversation,
        people,
    )


def apple_time(value: Any) -> datetime:
    """The moment; raises TypeError, ValueError or OverflowError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a time is a number")
    seconds = value / 1e9 if abs(value) >= _FIRST_NS else value
    if seconds <= 0:
        raise ValueError("no time was written down")
    return _APPLE_EPOCH + timedelta(seconds=seconds)


def attributed_text(blob: bytes | None) -> str:
    """The string of a typedstream's NSAttributedString; "" where there is none.

    After the class name come its ancestry and a `+` (the type of a counted string), then the length: one byte, or 0x81
    and two bytes, or 0x82 and four, little end first; then that many bytes of UTF-8.
    """
    if not blob:
        return ""
    at = blob.find(b"NSString")
    at = blob.find(b"+", at, at + 32) + 1 if at >= 0 else 0
    if not at or at >= len(blob):
        return ""
    width = {0x81: 2, 0x82: 4}.get(blob[at], 0)
    length = int.from_bytes(blob[at + 1 : at + 1 + width], "little") if width else blob[at]
    begin = at + 1 + width
    return blob[begin : begin + length].decode("utf-8", "replace")
