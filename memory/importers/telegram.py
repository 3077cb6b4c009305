"""Telegram Desktop's `result.json`: one chat, or every chat of an account (`chats.list` and `left_chats.list`).

Text comes as a string or as a list of strings and entities. Service messages are counted, not kept. What somebody
forwarded is kept as a quotation of its author, since the words are not the sender's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

from memory import names
from memory.errors import BrokenExport
from memory.importers.values import parse_time, whole_text
from memory.types import Export, Message

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


def looks_like(document: dict[str, Any]) -> bool:
    if isinstance(document.get("chats"), dict) or isinstance(document.get("left_chats"), dict):
        return True
    return isinstance(document.get("messages"), list) and "channel" not in document and "type" in document


def parse(document: dict[str, Any], name: str, zone: tzinfo) -> list[Export]:
    """One export per chat that holds messages; raises BrokenExport with the number of the message that is damaged."""
    exports = [_chat(chat, name, zone) for chat in _chats(document)]
    return [export for export in exports if export.messages]


def _chats(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "messages" in document:
        yield document
        return
    for part in ("chats", "left_chats"):
        yield from (document.get(part) or {}).get("list") or []


def _chat(chat: dict[str, Any], name: str, zone: tzinfo) -> Export:
    messages: list[Message] = []
    n_system = 0
    for number, row in enumerate(chat.get("messages") or []):
        try:
            if row.get("type") != "message":
                n_system += 1
            else:
                messages.append(_message(row, zone))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise BrokenExport(name, f"message {number} has no readable {_field(error)}") from error
    notes = (f"Telegram Desktop, {chat.get('type', 'chat')}",)
    return Export("telegram", _conversation(chat, messages), tuple(messages), n_system, notes)


def _field(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) else "time or text"


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


def _conversation(chat: dict[str, Any], messages: list[Message]) -> str:
    shown = names.clean(whole_text(chat.get("name") or ""))
    if shown:
        return shown
    if chat.get("type") == "saved_messages":
        return "Saved messages"
    speakers = {message.speaker for message in messages if message.speaker}
    return " & ".join(sorted(speakers, key=names.key)) or f"Chat {chat.get('id', '')}".strip()
