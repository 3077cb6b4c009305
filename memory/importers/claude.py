"""Claude's data export: `conversations.json`, a list of conversations with their `chat_messages`.

What the model said is `simulated`. Of its blocks the texts are kept; tools and thoughts are not. The person goes by
`ReadOptions.me`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off
from memory.importers.values import parse_time, whole_text
from memory.types import SYSTEM, Message, Row, Skipped

SPEAKER = "Claude"


def looks_like(head: str) -> bool:
    return head.lstrip("\ufeff \t\r\n").startswith("[") and '"chat_messages"' in head


def read(file: File, options: ReadOptions) -> Reading:
    def rows() -> Iterator[Row]:
        try:
            with JsonStream(file) as stream:
                for number, conversation in enumerate(stream.elements()):
                    yield from _conversation(conversation, f"conversation {number}", options)
        except JsonDamage as damage:
            yield broken_off(damage)

    return Reading("claude", ("Claude export",), rows)


def _conversation(found: Any, place: str, options: ReadOptions) -> Iterator[Row]:
    try:
        title = names.clean(whole_text(found.get("name") or "")) or "conversation"
        messages = list(found["chat_messages"])
    except DAMAGE:
        yield Skipped(place, "no readable messages")
        return
    for number, message in enumerate(messages):
        at = f"{place}, message {number}"
        try:
            yield _row(message, at, f"{SPEAKER}: {title}", options)
        except DAMAGE:
            yield Skipped(at, "no readable time, text or sender")


def _row(message: Mapping[str, Any], place: str, conversation: str, options: ReadOptions) -> Row:
    sender = message["sender"]
    if sender not in ("human", "user", "assistant"):
        return Skipped(place, SYSTEM)
    blocks = message.get("content") or ()
    texts = [
        whole_text(block["text"]) for block in blocks if block.get("type") == "text" and block.get("text")
    ]
    text = "\n\n".join(texts).strip() or whole_text(message.get("text") or "").strip()
    has_files = bool(message.get("attachments") or message.get("files"))
    if not text and not has_files:
        return Skipped(place, SYSTEM)
    is_person = sender != "assistant"
    return Message(
        parse_time(message["created_at"], options.zone),
        options.me if is_person else SPEAKER,
        text or "<attachment>",
        "text" if text else "media",
        external_id=str(message["uuid"]) if message.get("uuid") else None,
        conversation=conversation,
        hearers=(options.me,),
        origin="observed" if is_person else "simulated",
    )
