"""Small exports of every format that is read, made up here: what `bench.uploads` breaks."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DB = """
CREATE TABLE handle (ROWID INTEGER PRIMARY KEY, id TEXT);
CREATE TABLE chat (ROWID INTEGER PRIMARY KEY, display_name TEXT, chat_identifier TEXT);
CREATE TABLE chat_handle_join (chat_id INTEGER, handle_id INTEGER);
CREATE TABLE chat_message_join (chat_id INTEGER, message_id INTEGER);
CREATE TABLE message (ROWID INTEGER PRIMARY KEY, guid TEXT, text TEXT, attributedBody BLOB, date INTEGER,
    is_from_me INTEGER, handle_id INTEGER, associated_message_type INTEGER, item_type INTEGER, date_edited INTEGER,
    date_retracted INTEGER);
INSERT INTO handle VALUES (1, '+15550000001');
INSERT INTO chat VALUES (1, 'Rowing', 'chat77');
INSERT INTO chat_handle_join VALUES (1, 1);
INSERT INTO message VALUES (1, 'a', 'on the pier', NULL, 700000000000000000, 0, 1, 0, 0, 0, 0);
INSERT INTO message VALUES (2, 'b', 'at six', NULL, 700000060000000000, 1, 0, 0, 0, 0, 0);
INSERT INTO chat_message_join VALUES (1, 1), (1, 2);
"""
_SAID = ("We row at six.", "My sister lives in Faro.", "😀 så bra", "bring the ropes, please", "no")
_PEOPLE = ("Ines Roy", "Tom Ek")


def seeds() -> dict[str, tuple[str, bytes]]:
    """By format: what the file is called, and its bytes."""
    made: dict[str, tuple[str, bytes]] = {
        "whatsapp": ("WhatsApp Chat with Ines Roy.txt", _lines("{d:02}/03/2025, 18:0{n} - {who}: {text}")),
        "whatsapp-ios": ("_chat.txt", _lines("[{d:02}.03.25, 18:0{n}:11] {who}: {text}")),
        "csv": ("kiln.csv", b"time,speaker,text\n" + _lines('2025-03-{d:02}T18:0{n}:00,{who},"{text}"')),
        "jsonl": ("lines.jsonl", _rows("time", "speaker", "text")),
        "mcp-memory": ("memory.jsonl", _memory()),
        "imessage": ("chat.db", _database()),
        "imessage-text": (
            "t.txt",
            _lines("Mar {d}, 2025  5:3{n}:10 PM\n{who}\n{text}\n"),
        ),
        "mbox": ("Inbox", _mail()),
    }
    for name, value in _documents().items():
        made[name] = (f"{name}.json", json.dumps(value).encode())
    for name, files in _archives().items():
        made[name] = (f"{name}.zip", packed(files))
    return made


def packed(files: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def _lines(form: str) -> bytes:
    said = enumerate(_SAID)
    return "".join(
        form.format(d=12 + n, n=n, who=_PEOPLE[n % 2], text=text) + "\n" for n, text in said
    ).encode()


def _rows(time: str, speaker: str, text: str) -> bytes:
    rows = [
        {time: f"2025-03-12T18:0{n}:00Z", speaker: _PEOPLE[n % 2], text: said, "id": str(n)}
        for n, said in enumerate(_SAID)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def _memory() -> bytes:
    rows = [
        {"type": "entity", "name": "Ines_Roy", "entityType": "person", "observations": list(_SAID[:2])},
        {"type": "entity", "name": "Faro", "entityType": "place", "observations": []},
        {"type": "relation", "from": "Ines_Roy", "to": "Faro", "relationType": "visits"},
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.db"
        store = sqlite3.connect(path)
        store.executescript(_DB)
        store.commit()
        store.close()
        return path.read_bytes()


def _mail() -> bytes:
    return b"".join(
        f"From {who.split()[0]} Wed Mar 12 18:0{n}:11 2025\nFrom: {who} <p{n % 2}@example.org>\n"
        f"To: Bo <bo@example.org>\nSubject: boat {n}\nDate: Wed, 12 Mar 2025 18:0{n}:11 +0100\nMessage-ID: <{n}@x>\n"
        f"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n"
        f"{text}\n--b--\n\n".encode()
        for n, text in enumerate(_SAID)
        for who in (_PEOPLE[n % 2],)
    )


def _documents() -> dict[str, Any]:
    return {
        "telegram": {
            "name": "Ines Roy",
            "type": "personal_chat",
            "id": 99,
            "messages": [
                {
                    "id": n,
                    "type": "message",
                    "date": f"2025-03-12T18:0{n}:11",
                    "date_unixtime": str(1741798991 + 60 * n),
                    "from": _PEOPLE[n % 2],
                    "from_id": f"user{n % 2}",
                    "text": [text, {"type": "bold", "text": "!"}],
                }
                for n, text in enumerate(_SAID)
            ],
        },
        "discord": {
            "guild": {"id": "1", "name": "Potters"},
            "channel": {"id": "2", "type": "GuildTextChat", "name": "glaze"},
            "messages": [
                {
                    "id": str(n),
                    "type": "Default",
                    "timestamp": f"2025-03-12T18:0{n}:00+01:00",
                    "content": text,
                    "author": {"id": str(n % 2), "name": _PEOPLE[n % 2], "isBot": False},
                    "attachments": [],
                }
                for n, text in enumerate(_SAID)
            ],
        },
        "chatgpt": [
            {
                "title": "Dough",
                "create_time": 1741802591.5,
                "mapping": {
                    "r": {"id": "r", "message": None, "parent": None, "children": ["q"]},
                    "q": _turn("user", "how long?", "r"),
                    "a": _turn("assistant", "four hours", "q"),
                },
                "current_node": "a",
            }
        ],
        "claude": [
            {
                "uuid": "c1",
                "name": "Glaze",
                "created_at": "2025-03-12T18:00:00Z",
                "chat_messages": [
                    {
                        "uuid": str(n),
                        "text": text,
                        "content": [{"type": "text", "text": text}],
                        "sender": ("human", "assistant")[n % 2],
                        "created_at": f"2025-03-12T18:0{n}:11Z",
                    }
                    for n, text in enumerate(_SAID)
                ],
            }
        ],
        "locomo": [
            {
                "sample_id": "conv-1",
                "conversation": {
                    "speaker_a": "Ines",
                    "speaker_b": "Tom",
                    "session_1_date_time": "1:56 pm on 8 May, 2023",
                    "session_1": [
                        {"speaker": ("Ines", "Tom")[n % 2], "dia_id": f"D1:{n}", "text": text}
                        for n, text in enumerate(_SAID)
                    ],
                },
            }
        ],
        "mem0": {
            "results": [
                {
                    "id": str(n),
                    "memory": text,
                    "user_id": "ines",
                    "created_at": f"2025-03-12T18:0{n}:00Z",
                    "hash": "x",
                }
                for n, text in enumerate(_SAID)
            ]
        },
    }


def _turn(role: str, text: str, parent: str) -> dict[str, Any]:
    message = {
        "author": {"role": role},
        "create_time": 1741802592.0,
        "content": {"content_type": "text", "parts": [text]},
    }
    return {"id": text, "message": message, "parent": parent, "children": []}


def _archives() -> dict[str, dict[str, Any]]:
    thread = {
        "participants": [{"name": name} for name in _PEOPLE],
        "messages": [
            {"sender_name": _PEOPLE[n % 2], "timestamp_ms": 1741798991000 + n, "content": text}
            for n, text in enumerate(_SAID)
        ],
        "title": "Ines",
        "thread_path": "inbox/ines_1",
    }
    slack = {
        "users.json": [{"id": "U1", "name": "ines", "profile": {"real_name": "Ines Roy"}}],
        "channels.json": [{"id": "C1", "name": "kiln", "members": ["U1"]}],
        "kiln/2025-03-12.json": [
            {"type": "message", "user": "U1", "text": text, "ts": f"174180259{n}.0001"}
            for n, text in enumerate(_SAID)
        ],
    }
    signal = "\n".join(
        json.dumps(
            {
                "date": f"2025-03-12T18:0{n}:11",
                "sender": ("Me", "Ines")[n % 2],
                "body": text,
                "quote": "",
                "sticker": None,
                "reactions": [],
                "attachments": [],
            }
        )
        for n, text in enumerate(_SAID)
    )
    return {
        "messenger": {
            "messages/inbox/ines_1/message_1.json": thread,
            "messages/photo.jpg": b"\xff\xd8\xff\0",
        },
        "slack": slack,
        "signal": {"Ines Roy/data.json": signal.encode(), "Ines Roy/chat.md": b"copy"},
        "imessage-zip": {"Library/chat.db": _database()},
    }
