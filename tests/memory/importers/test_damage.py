"""Whatever is wrong with an export, a reader gives messages and reasons, or one error that says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory.errors import GraphError
from memory.importing import open_export
from memory.types import Message

ODD = (None, 1, 1e300, "\ud800", [1], {"a": 1}, True)
WHEN = "2025-03-12T18:03:11Z"
META = {
    "participants": [{"name": "Ana"}],
    "messages": [
        {"sender_name": "Ana", "timestamp_ms": 1700000000000, "content": "hi", "photos": [{"uri": "x"}]}
    ],
    "title": "Ana",
    "thread_path": "inbox/ana",
}
CHATGPT = [
    {
        "title": "t",
        "create_time": 1.0,
        "mapping": {
            "a": {
                "parent": None,
                "message": {
                    "id": "m",
                    "author": {"role": "user"},
                    "create_time": 1.0,
                    "content": {"content_type": "text", "parts": ["hi"]},
                    "metadata": {"is_visually_hidden_from_conversation": False},
                },
            }
        },
        "current_node": "a",
    }
]
CLAUDE = [
    {
        "name": "n",
        "chat_messages": [
            {
                "uuid": "u",
                "sender": "human",
                "created_at": WHEN,
                "text": "hi",
                "content": [{"type": "text", "text": "hi"}],
            }
        ],
    }
]
LOCOMO = [
    {
        "qa": [{"evidence": ["D1:1"]}],
        "conversation": {
            "speaker_a": "A",
            "speaker_b": "B",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [{"speaker": "A", "dia_id": "D1:1", "text": "hi", "blip_caption": "a boat"}],
        },
    }
]
SIGNAL = {
    "date": "2025-03-12T18:03:11",
    "sender": "Me",
    "body": "hi",
    "quote": "q",
    "attachments": [],
    "call": False,
}
SLACK: dict[str, Any] = {
    "users.json": [{"id": "U1", "name": "ana", "real_name": "Ana", "profile": {"display_name": "Ana"}}],
    "channels.json": [{"id": "C1", "name": "kiln", "members": ["U1"]}],
    "dms.json": [{"id": "D1", "members": ["U1"]}],
    "kiln/2025-03-12.json": [
        {
            "type": "message",
            "user": "U1",
            "text": "hi <@U1>",
            "ts": "1741802591.0",
            "user_profile": {"real_name": "A"},
        }
    ],
}
DOCUMENTS: dict[str, Any] = {
    "meta": META,
    "chatgpt": CHATGPT,
    "claude": CLAUDE,
    "locomo": LOCOMO,
    "signal": SIGNAL,
    "slack": SLACK,
}
TEXTS = {
    "csv": 'time,speaker,text\n2025-01-01,Ana,"a ""b"" c"\n13/02/2025 6:03 PM,Bo,d\n',
    "imessage": "May 17, 2022  5:29:42 PM\nAna Berg\nhi\n\nMay 17, 2022  5:30:42 PM\nMe\nho\nTapbacks:\nLoved by Ana\n",
    "mbox": "From a@x Wed Mar 12 18:03:11 2025\nFrom: Ana <a@x>\nTo: Bo <b@x>\nSubject: =?utf-8?q?b=C3=A5t?=\n"
    "Date: Wed, 12 Mar 2025 18:03:11 +0000\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
    "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\naGk=\n--x--\n",
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def write(folder: Path, name: str, document: Any) -> Path:
    if name != "slack":
        path = folder / "export.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path
    for inner, content in document.items() if isinstance(document, Mapping) else ():
        path = folder / "slack" / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder / "slack"


def read(path: Path) -> None:
    """Every row can be stored; or there is an error of one line."""
    try:
        for row in open_export(path, clock=lambda: datetime(2060, 1, 1, tzinfo=UTC)).rows():
            if isinstance(row, Message):
                row.text.encode()
                row.conversation.encode()
                assert row.speaker.encode()
                assert all(name.encode() for name in row.hearers)
                assert row.time.tzinfo is not None
                row.time.astimezone(UTC)
    except GraphError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_value_of_the_wrong_kind_anywhere_is_told_or_harmless(name: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(DOCUMENTS[name]))
    for owner, key in [*places(document)]:
        if name == "slack" and owner is document:
            continue
        kept = owner[key]
        for odd in ODD:
            owner[key] = odd
            read(write(tmp_path, name, document))
        owner[key] = kept


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_key_that_is_missing_is_told_or_harmless(name: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(DOCUMENTS[name]))
    for owner, key in [*places(document)]:
        if isinstance(owner, dict) and owner is not (document if name == "slack" else None):
            kept = owner.pop(key)
            read(write(tmp_path, name, document))
            owner[key] = kept


@pytest.mark.parametrize("name", [*DOCUMENTS, *TEXTS])
def test_a_file_that_ends_anywhere_is_told_or_harmless(name: str, tmp_path: Path) -> None:
    whole = TEXTS[name] if name in TEXTS else json.dumps(DOCUMENTS[name])
    path = tmp_path / "half"
    for end in range(1, len(whole), 3):
        path.write_text(whole[:end], encoding="utf-8")
        read(path)


@pytest.mark.parametrize("name", [*DOCUMENTS, *TEXTS])
def test_bytes_that_are_no_text_anywhere_are_told_or_harmless(name: str, tmp_path: Path) -> None:
    whole = (TEXTS[name] if name in TEXTS else json.dumps(DOCUMENTS[name])).encode()
    path = tmp_path / "odd"
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + b"\xff\0\xe9" + whole[at + 1 :])
        read(path)
