"""iMessage's own database, in the shape of macOS 13 and later (the columns that are read)."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory.errors import BrokenExport
from memory.importers.imessage_db import apple_time, attributed_text

TABLES = """
CREATE TABLE handle (ROWID INTEGER PRIMARY KEY, id TEXT);
CREATE TABLE chat (ROWID INTEGER PRIMARY KEY, display_name TEXT, chat_identifier TEXT);
CREATE TABLE chat_handle_join (chat_id INTEGER, handle_id INTEGER);
CREATE TABLE chat_message_join (chat_id INTEGER, message_id INTEGER);
CREATE TABLE message (
    ROWID INTEGER PRIMARY KEY, guid TEXT, text TEXT, attributedBody BLOB, date INTEGER, is_from_me INTEGER,
    handle_id INTEGER, associated_message_type INTEGER, item_type INTEGER, date_edited INTEGER, date_retracted INTEGER
);
INSERT INTO handle VALUES (1, '+15550000001'), (2, 'bo@example.org');
INSERT INTO chat VALUES (1, '', '+15550000001'), (2, 'Rowing', 'chat77');
INSERT INTO chat_handle_join VALUES (1, 1), (2, 1), (2, 2);
"""
NS = 1_000_000_000


def archived(text: str) -> bytes:
    """A typedstream as NSArchiver writes it, up to and past the string."""
    raw = text.encode()
    size = bytes([len(raw)]) if len(raw) < 0x80 else b"\x81" + len(raw).to_bytes(2, "little")
    return (
        b"\x04\x0bstreamtyped\x81\xe8\x03\x84\x01@\x84\x84\x84\x12NSAttributedString\x00\x84\x84\x08NSObject\x00"
        b"\x85\x92\x84\x84\x84\x08NSString\x01\x94\x84\x01+"
        + size
        + raw
        + b"\x86\x84\x02iI\x01\x05\x92\x84\x84"
    )


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., bytes]:
    """The bytes of a database with these messages: (chat, text, archived text, seconds, from me, handle, kinds)."""

    def make(*messages: tuple[Any, ...]) -> bytes:
        path = tmp_path / "chat.db"
        with sqlite3.connect(path) as made:
            made.executescript(TABLES)
            for number, (chat, text, blob, seconds, is_mine, handle, *rest) in enumerate(messages, start=1):
                associated, item, edited, retracted = (*rest, 0, 0, 0, 0)[:4]
                made.execute(
                    "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        number,
                        f"g{number}",
                        text,
                        blob,
                        seconds,
                        is_mine,
                        handle,
                        associated,
                        item,
                        edited,
                        retracted,
                    ),
                )
                if chat:
                    made.execute("INSERT INTO chat_message_join VALUES (?, ?)", (chat, number))
        made.close()
        return path.read_bytes()

    return make


def test_words_come_from_either_column_and_people_from_their_chats(look: Any, store: Any) -> None:
    raw = store(
        (2, None, archived("see you at the pier 🚣 " + "é" * 200), 700_000_000 * NS, 0, 2),
        (1, "hi", None, 600_000_000 * NS, 0, 1),
        (1, None, archived("hello"), 600_000_060 * NS, 1, 0),
    )
    found = look(raw, "chat.db", me="Ana Berg")
    assert found.kind == "imessage"
    assert found.said == [
        ("+15550000001", "hi"),
        ("Ana Berg", "hello"),
        ("bo@example.org", "see you at the pier 🚣 " + "é" * 200),
    ]
    assert found.conversations == ["+15550000001 & Ana Berg", "Rowing"]
    assert found.messages[-1].hearers == ("Ana Berg", "+15550000001", "bo@example.org")


def test_tapbacks_renames_and_what_was_taken_back(look: Any, store: Any) -> None:
    raw = store(
        (1, "hi", None, 600_000_000 * NS, 0, 1),
        (1, "Loved “hi”", None, 600_000_001 * NS, 1, 0, 2000),
        (1, None, None, 600_000_002 * NS, 1, 0, 0, 2),
        (1, None, None, 600_000_003 * NS, 0, 1, 0, 0, 600_000_009 * NS, 600_000_009 * NS),
        (1, "\ufffc", None, 600_000_004 * NS, 0, 1),
        (None, "lost", None, 600_000_005 * NS, 0, 1),
        (1, "never", None, 0, 0, 1),
    )
    found = look(raw)
    assert [(m.kind, m.text) for m in found.messages] == [
        ("text", "hi"),
        ("deleted", ""),
        ("media", "<attachment>"),
    ]
    assert found.n_system == 2
    assert found.skipped == [
        ("message 7", "no readable time or text"),
        ("message 6", "it belongs to no conversation"),
    ]


@pytest.mark.parametrize("value", [694224000, 694224000 * NS])
def test_times_count_from_2001_in_seconds_or_nanoseconds(value: int) -> None:
    assert apple_time(value) == datetime(2023, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("blob", [None, b"", b"NSString", b"no string", b"NSString\x01\x94\x84\x01+"])
def test_a_blob_without_a_string_has_no_words(blob: bytes | None) -> None:
    assert attributed_text(blob) == ""


def test_a_database_in_pieces_is_refused(look: Any, store: Any) -> None:
    raw = store((1, "hi", None, 600_000_000 * NS, 0, 1))
    with pytest.raises(BrokenExport):
        look(raw[:5000], "half.db")


def test_a_database_whose_names_are_no_text_is_refused(look: Any, store: Any) -> None:
    raw = store((1, "hi", None, 600_000_000 * NS, 0, 1))
    with pytest.raises(BrokenExport):
        look(raw.replace(b"CREATE TABLE handle", b"CREATE TABL\xff handle"), "odd.db")


def test_a_database_in_an_archive_is_unpacked_while_it_is_read(
    look: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    raw = store((1, "hi", None, 600_000_000 * NS, 0, 1))
    found = look({"Library/chat.db": raw, "a.txt": "x"}, is_zip=True)
    assert (found.kind, found.said) == ("imessage", [("+15550000001", "hi")])
    gc.collect()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_database_too_large_to_unpack_is_refused(
    look: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.importers.imessage_db.MAX_UNPACKED", 1000)
    with pytest.raises(BrokenExport, match="unpack it"):
        look({"chat.db": store((1, "hi", None, 600_000_000 * NS, 0, 1))}, is_zip=True)
