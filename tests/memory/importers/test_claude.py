"""Claude's data export (2025)."""

from __future__ import annotations

import json
from typing import Any

CONVERSATIONS: list[dict[str, Any]] = [
    {
        "uuid": "c1",
        "name": "Glaze",
        "created_at": "2025-03-12T18:00:00.000000Z",
        "account": {"uuid": "u1"},
        "chat_messages": [
            {
                "uuid": "m1",
                "text": "what is ash glaze?",
                "content": [{"type": "text", "text": "what is ash glaze?"}],
                "sender": "human",
                "created_at": "2025-03-12T18:03:11.000000Z",
                "attachments": [],
            },
            {
                "uuid": "m2",
                "text": "",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "A glaze of wood ash."},
                    {"type": "tool_use", "name": "x", "input": {}},
                    {"type": "text", "text": "It runs."},
                ],
                "sender": "assistant",
                "created_at": "2025-03-12T18:03:21.000000Z",
            },
            {"uuid": "m3", "text": "", "content": [], "sender": "human", "created_at": "2025-03-12T18:04:00Z",
             "files": [{"file_name": "a.png"}]},
            {"uuid": "m4", "text": "late", "content": [], "sender": "human", "created_at": None},
        ],
    },
    {"uuid": "c2", "name": "", "chat_messages": []},
]  # fmt: skip


def test_texts_are_read_and_the_model_is_simulated(look: Any) -> None:
    found = look(json.dumps(CONVERSATIONS), "conversations.json", me="Ana Berg")
    assert found.kind == "claude"
    assert [(m.speaker, m.text, m.kind, m.origin) for m in found.messages] == [
        ("Ana Berg", "what is ash glaze?", "text", "observed"),
        ("Claude", "A glaze of wood ash.\n\nIt runs.", "text", "simulated"),
        ("Ana Berg", "<attachment>", "media", "observed"),
    ]
    assert found.conversations == ["Claude: Glaze"]
    assert found.skipped == [("conversation 0, message 3", "no readable time, text or sender")]


def test_the_zip_it_comes_in_is_read_in_place(look: Any) -> None:
    found = look({"conversations.json": CONVERSATIONS, "users.json": [{"uuid": "u1"}]}, is_zip=True)
    assert len(found.messages) == 3
    assert "1 of 2 files are no chats and were passed over" in found.notes
