"""Telegram Desktop's `result.json`: one chat, or every chat of an account (`chats.list` and `left_chats.list`).

Text comes as a string or as a list of strings and entities. Service messages are counted, not kept. What somebody
forwarded is kept as a quotation of its author, since the words are not the sender's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off, people_of
from memory.importers.values import parse_time, whole_text
from memory.types import SYSTEM, Message, Row, Skipped

_MEDIA = (
    "photo",
    "sticker",
    "file",
    "location_information",
    "contact_information",
    "poll",
    "game_title",
    "invoice_information",
    "live_location_period_seconds",
    "place_name",
    "todo_list",
    "giveaway_information",
)


_WHOLE = re.compile(r'\s*\{\s*"about"|"(?:left_)?chats"\s*:\s*\{')
_ONE = re.compile(r'"type"\s*:\s*"[a-z_]+"')


def looks_like(head: str) -> bool:
    return bool(_WHOLE.search(head)) or ('"messages"' in head and bool(_ONE.search(head)))


def read(file: File, options: ReadOptions) -> Reading:
    """The chat, or every chat of the account, after one look through the file at what they are called."""
    chats = _survey(file)
    kinds = ", ".join(dict.fromkeys(chat.kind for chat in chats)) or "no chat"
    called = [chat.conversation for chat in chats]

    def rows() -> Iterator[Row]:
        try:
            with JsonStream(file) as stream:
                for chat in _chats(stream):
                    for number, message in enumerate(_messages(stream)):
                        place = f"message {number}" if len(called) == 1 else f"chat {chat}, message {number}"
                        yield _row(message, place, called[chat], options.zone)
        except JsonDamage as damage:
            yield broken_off(damage)

    return Reading("telegram", (f"Telegram Desktop, {kinds}",), rows)


def _chats(stream: JsonStream) -> Iterator[int]:
    """Stand before the object of each chat, by its number."""
    number = 0
    for key in stream.members():
        if key == "messages":  # a chat by itself; the caller reads it from within
            yield number
        elif key in ("chats", "left_chats"):
            for inner in stream.members():
                if inner == "list":
                    for _ in stream.places():
                        yield number
                        number += 1


def _messages(stream: JsonStream) -> Iterator[Any]:
    """The messages of the chat, or of the list of messages, before which the stream stands."""
    if stream.peek() == "[":
        yield from stream.elements()
        return
    for key in stream.members():
        if key == "messages":
            yield from stream.elements()


@dataclass(slots=True)
class _Chat:
    name: Any = None
    kind: str = "chat"
    id: Any = ""
    speakers: set[str] = field(default_factory=set)

    def take(self, key: str, stream: JsonStream) -> None:
        if key == "name":
            self.name = stream.value()
        elif key == "type":
            self.kind = str(stream.value())
        elif key == "id":
            self.id = stream.value()
        elif key == "messages":
            for message in stream.elements():
                with suppress(*DAMAGE):
                    if message.get("type") == "message" and len(self.speakers) < 8:
                        self.speakers.add(_speaker(message))

    @property
    def conversation(self) -> str:
        try:
            shown = names.clean(whole_text(self.name or ""))
        except DAMAGE:
            shown = ""
        if shown:
            return shown
        if self.kind == "saved_messages":
            return "Saved messages"
        return people_of(self.speakers, f"Chat {self.id}".strip())


def _survey(file: File) -> list[_Chat]:
    """The chats of the file in their order, as far as it can be read."""
    alone, chats = _Chat(), list[_Chat]()
    with suppress(JsonDamage), JsonStream(file) as stream:
        for key in stream.members():
            if key not in ("chats", "left_chats"):
                alone.take(key, stream)
                continue
            for inner in stream.members():
                for _ in stream.places() if inner == "list" else ():
                    chats.append(_Chat())
                    for part in stream.members():
                        chats[-1].take(part, stream)
    return chats or [alone]


def _row(row: Any, place: str, conversation: str, zone: tzinfo) -> Row:
    try:
        if row.get("type") != "message":
            return Skipped(place, SYSTEM)
        return replace(_message(row, zone), conversation=conversation)
    except DAMAGE:
        return Skipped(place, "no readable time, text or sender")


def _message(row: dict[str, Any], zone: tzinfo) -> Message:
    stamp = row.get("date_unixtime")
    time = datetime.fromtimestamp(int(stamp), UTC) if stamp else parse_time(row["date"], zone)
    text = _text(row.get("text") or "").strip()
    is_media = not text
    if is_media:
        text = f"<{_medium(row)}>"
    elif row.get("forwarded_from"):
        text = "\n> ".join([f"Forwarded from {row['forwarded_from']}:", *text.split("\n")])
    return Message(
        time=time,
        speaker=_speaker(row),
        text=text,
        kind="media" if is_media else "text",
        is_edited="edited" in row or "edited_unixtime" in row,
        external_id=str(row.get("id", "")) or None,
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(_text(part) for part in value)
    if isinstance(value, dict):
        return _text(value["text"])
    return whole_text(value)


def _medium(row: dict[str, Any]) -> str:
    kind = row.get("media_type") or next((key for key in _MEDIA if row.get(key) is not None), "media")
    words = str(kind).removesuffix("_information").removesuffix("_seconds").replace("_", " ")
    return f"{words} {row['sticker_emoji']}" if row.get("sticker_emoji") else words


def _speaker(row: dict[str, Any]) -> str:
    shown = names.clean(whole_text(row.get("from") or ""))
    return shown or f"Deleted account {row.get('from_id', '')}".strip()
