"""Signal Desktop by way of signal-export 3.x."""

from __future__ import annotations

import json
from typing import Any

import pytest


def line(sender: str, body: str, minute: int = 3, **more: Any) -> str:
    row = {
        "date": f"2025-03-12T18:{minute:02}:11",
        "sender": sender,
        "body": body,
        "quote": "",
        "sticker": None,
        "reactions": [],
        "attachments": [],
    }
    return json.dumps({**row, **more})


CHAT = "\n".join(
    [
        line("Me", "where are the keys?  "),
        line("Ana Berg", "under the mat  ", 4, quote="\n\n> where are the keys?\n\n"),
        line("Ana Berg", "  ", 5, attachments=[{"name": "a.jpg", "path": "media/a.jpg"}]),
        line("Ana Berg", "", 6, deleted=True),
        line("Me", "Outgoing voice call", 7, call=True),
        line("No-Sender", "?", 8),
        '{"date": "2025-03',
    ]
)


@pytest.mark.parametrize("is_zip", [False, True])
def test_the_folder_names_the_chat_and_its_copy_for_reading_is_passed_over(look: Any, is_zip: bool) -> None:
    found = look(
        {
            "Ana Berg/data.json": CHAT,
            "Ana Berg/chat.md": "[2025-03-12 18:03:11] Me: where are the keys?\n",
            "Ana Berg/index.html": "<html></html>",
            "Choir/data.json": line("Ana Berg", "la"),
        },
        is_zip=is_zip,
        me="Bo Rask",
        timezone="Europe/Oslo",
    )
    assert found.kind == "signal"
    assert found.conversations == ["Ana Berg", "Choir"]
    assert found.said == [
        ("Bo Rask", "where are the keys?"),
        ("Ana Berg", "> where are the keys?\n\nunder the mat"),
        ("Ana Berg", "<attachment>"),
        ("Ana Berg", ""),
        ("Ana Berg", "la"),
    ]
    assert [message.kind for message in found.messages[2:4]] == ["media", "deleted"]
    assert found.messages[0].time.isoformat() == "2025-03-12T18:03:11+01:00"


def test_calls_are_counted_and_what_cannot_be_read_is_told(look: Any) -> None:
    found = look({"Ana Berg/data.json": CHAT})
    assert found.n_system == 1
    assert [reason for _, reason in found.skipped] == [
        "no sender",
        "no JSON: Unterminated string starting at",
    ]
    assert found.skipped[1][0] == "line 7, column 10"
