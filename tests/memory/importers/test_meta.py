"""Messenger and Instagram, in the shape of "download your information" (JSON, 2025)."""

from __future__ import annotations

from typing import Any

from memory.importers.meta import repaired


def broken(text: str) -> str:
    """As the exporter writes it: every byte of the UTF-8 as a letter."""
    return text.encode().decode("latin-1")


def thread(*messages: dict[str, Any], title: str = "Zoë") -> dict[str, Any]:
    return {
        "participants": [{"name": broken("Zoë Ek")}, {"name": "Bo Rask"}],
        "messages": list(messages),
        "title": broken(title),
        "is_still_participant": True,
        "thread_path": "inbox/zoe_1",
        "magic_words": [],
    }


def message(text: str | None, at: int, sender: str = "Zoë Ek", **more: Any) -> dict[str, Any]:
    said = {} if text is None else {"content": broken(text)}
    return {"sender_name": broken(sender), "timestamp_ms": at * 1000, **said, **more}


def test_broken_utf8_is_read_back_and_the_oldest_comes_first(look: Any) -> None:
    found = look(
        thread(message("på båten 😀", 1700000060), message("hi", 1700000000, "Bo Rask")), "message_1.json"
    )
    assert found.said == [("Bo Rask", "hi"), ("Zoë Ek", "på båten 😀")]
    assert (found.kind, found.conversations) == ("messenger", ["Zoë"])
    assert found.messages[0].hearers == ("Zoë Ek", "Bo Rask")


def test_text_that_is_not_broken_stays() -> None:
    assert repaired("plain") == "plain"
    assert repaired("já está 😀") == "já está 😀"
    assert repaired("é") == "é"


def test_pages_of_a_thread_are_put_in_order_and_threads_stay_apart(look: Any) -> None:
    inbox = "your_instagram_activity/messages/inbox"
    found = look(
        {
            f"{inbox}/zoe_1/message_1.json": thread(message("newest", 1700000900)),
            f"{inbox}/zoe_1/message_2.json": thread(message("middle", 1700000500)),
            f"{inbox}/zoe_1/message_10.json": thread(message("oldest", 1700000100)),
            f"{inbox}/choir_2/message_1.json": thread(message("sing", 1700000300), title="Choir"),
            f"{inbox}/zoe_1/photos/1.jpg": b"\xff\xd8\xff\0",
        },
        is_zip=True,
    )
    assert [text for _, text in found.said] == ["sing", "oldest", "middle", "newest"]
    assert (found.kind, found.conversations) == ("instagram", ["Choir", "Zoë"])
    assert "1 of 5 files are no chats and were passed over" in found.notes


def test_media_calls_notices_and_unsent_messages_are_told_apart(look: Any) -> None:
    found = look(
        thread(
            message(None, 1700000005, is_unsent=True),
            message("Bo Rask named the group Choir.", 1700000004),
            message("Zoë called you.", 1700000003, call_duration=12),
            message(None, 1700000002, photos=[{"uri": "photos/1.jpg"}]),
            {"sender_name": "Bo Rask", "content": "no time"},
            message("hi", 1700000001),
        ),
        "message_1.json",
    )
    assert [(m.kind, m.text) for m in found.messages] == [
        ("text", "hi"),
        ("media", "<photo>"),
        ("deleted", ""),
    ]
    assert found.n_system == 2
    assert found.skipped == [("message 4", "no readable time, text or sender")]
