"""ChatGPT's data export: `conversations.json`, a list of conversations, each a tree of turns.

What is read is the branch that the person saw last: from `current_node` up to the root. Wordings and answers that were
replaced are left out and told. What the model said is `simulated`; system and tool turns are system lines. The person is
nameless there and goes by `ReadOptions.me`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off
from memory.importers.values import whole_text
from memory.types import SYSTEM, Message, Row, Skipped

SPEAKER = "ChatGPT"


def looks_like(head: str) -> bool:
    return head.lstrip("\ufeff \t\r\n").startswith("[") and '"mapping"' in head and '"create_time"' in head


def read(file: File, options: ReadOptions) -> Reading:
    def rows() -> Iterator[Row]:
        try:
            with JsonStream(file) as stream:
                for number, conversation in enumerate(stream.elements()):
                    yield from _conversation(conversation, f"conversation {number}", options)
        except JsonDamage as damage:
            yield broken_off(damage)

    return Reading("chatgpt", ("ChatGPT export",), rows)


def _conversation(found: Any, place: str, options: ReadOptions) -> Iterator[Row]:
    try:
        mapping: Mapping[str, Any] = found["mapping"]
        title = names.clean(whole_text(found.get("title") or "")) or "conversation"
        began = found.get("create_time")
        branch = _branch(mapping, found.get("current_node"))
    except DAMAGE:
        yield Skipped(place, "no readable turns")
        return
    time = began
    for number, node in enumerate(branch):
        at = f"{place}, turn {number}"
        try:
            message = node.get("message")
            if message is None:
                continue
            time = message.get("create_time") or time
            yield _row(message, at, f"{SPEAKER}: {title}", time, options)
        except (*DAMAGE, OSError):
            yield Skipped(at, "no readable time, text or author")
    n_replaced = sum(_is_said(node) for node in mapping.values()) - sum(_is_said(node) for node in branch)
    for _ in range(n_replaced):
        yield Skipped(place, "a wording or an answer that was replaced by another")


def _branch(mapping: Mapping[str, Any], last: Any) -> list[Any]:
    """The turns from the root to `last`; to the newest one, where the export names none."""
    at = str(last) if last in mapping else (list(mapping) or [""])[-1]
    found: list[Any] = []
    seen: set[str] = set()
    while at in mapping and at not in seen:
        seen.add(at)
        found.append(mapping[at])
        at = str(mapping[at].get("parent"))
    return found[::-1]


def _is_said(node: Any) -> bool:
    try:
        return node["message"]["author"]["role"] in ("user", "assistant")
    except DAMAGE:
        return False


def _row(message: Mapping[str, Any], place: str, conversation: str, time: Any, options: ReadOptions) -> Row:
    role = message["author"]["role"]
    content = message["content"]
    if (message.get("metadata") or {}).get("is_visually_hidden_from_conversation"):
        return Skipped(place, SYSTEM)
    if role not in ("user", "assistant") or content.get("content_type") not in ("text", "multimodal_text"):
        return Skipped(place, SYSTEM)
    parts = content.get("parts") or ()
    text = "\n".join(whole_text(part) for part in parts if isinstance(part, str)).strip()
    if not text and not any(isinstance(part, dict) for part in parts):
        return Skipped(place, SYSTEM)
    return Message(
        datetime.fromtimestamp(time, UTC),
        options.me if role == "user" else SPEAKER,
        text or "<attachment>",
        "text" if text else "media",
        external_id=str(message["id"]) if message.get("id") else None,
        conversation=conversation,
        hearers=(options.me,),
        origin="observed" if role == "user" else "simulated",
    )
