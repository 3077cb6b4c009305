"""Messenger's and Instagram's "download your information" as JSON: `messages/inbox/THREAD/message_1.json` and further pages.

One reader for both: they have one shape. Text is UTF-8 whose bytes were written as if each were a letter of Latin-1; it
is read back. Within a file the newest message comes first, and page 1 is the newest; both are turned round. A page holds
10,000 messages at most, so a page is read whole. Reactions and calls are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off, people_of
from memory.importers.values import whole_text
from memory.types import SYSTEM, Message, MessageKind, Row, Skipped

_MEDIA = ("photos", "videos", "audio_files", "gifs", "sticker", "files", "share")
_PAGE = re.compile(r"message_(\d+)\.json")
_NEWS = re.compile(
    r"(?i).{1,80} (?:named the group|left the group|added .{1,80} to the group|changed the (?:theme|group photo)|"
    r"set the (?:nickname|quick reaction|emoji)|created the group|turned (?:on|off) ).*|"
    r".{1,80}reacted .{1,10} to your message|liked a message"
)


def looks_like(head: str) -> bool:
    return '"participants"' in head and ('"sender_name"' in head or '"thread_path"' in head)


def page(file: File) -> tuple[str, int]:
    """What to order pages by: the thread, then its oldest page first. 0 for other files."""
    path = PurePosixPath(file.name)
    match = _PAGE.fullmatch(path.name)
    return str(path.parent), -int(match[1]) if match else 0


def read(file: File, options: ReadOptions) -> Reading:
    """One page of one thread."""
    kind = "instagram" if "instagram" in f"{file.path.name}/{file.name}".lower() else "messenger"

    def rows() -> Iterator[Row]:
        thread, damage = _load(file)
        people = [name for entry in thread.get("participants", ()) if (name := _person(entry))]
        title = names.clean(repaired(thread.get("title") or "")) or people_of(people, file.stem)
        messages = thread.get("messages", ())
        for number in reversed(range(len(messages))):
            yield _row(messages[number], f"message {number}", title, tuple(people))
        if damage is not None:
            yield broken_off(damage)

    return Reading(kind, ("Messenger and Instagram, JSON",), rows)


def _load(file: File) -> tuple[dict[str, Any], JsonDamage | None]:
    """The thread as far as it can be read, its messages as they came."""
    found: dict[str, Any] = {"messages": []}
    try:
        with JsonStream(file) as stream:
            for key in stream.members():
                if key == "messages":
                    for message in stream.elements():
                        found["messages"].append(message)
                elif key in ("participants", "title"):
                    found[key] = stream.value()
    except JsonDamage as damage:
        return _checked(found), damage
    return _checked(found), None


def _checked(thread: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(thread.get("participants", []), list):
        thread["participants"] = []
    if not isinstance(thread.get("title", ""), str):
        thread["title"] = ""
    return thread


def _person(entry: Any) -> str:
    try:
        return names.clean(repaired(entry["name"]))
    except DAMAGE:
        return ""


def _row(row: Any, place: str, conversation: str, people: tuple[str, ...]) -> Row:
    try:
        speaker = names.clean(repaired(row["sender_name"]))
        time = datetime.fromtimestamp(row["timestamp_ms"] / 1000, UTC)
        text = repaired(row.get("content") or "").strip()
        if row.get("call_duration") is not None or (text and _NEWS.fullmatch(text)):
            return Skipped(place, SYSTEM)
        medium = next((key for key in _MEDIA if row.get(key)), "media")
        if row.get("is_unsent"):
            return Message(time, speaker, "", "deleted", conversation=conversation, hearers=people)
        if not speaker:
            return Skipped(place, "no sender")
        said = text or f"<{medium.removesuffix('s').replace('_', ' ')}>"
        kind: MessageKind = "text" if text else "media"
        return Message(time, speaker, said, kind, conversation=conversation, hearers=people)
    except (*DAMAGE, OSError):
        return Skipped(place, "no readable time, text or sender")


def repaired(value: Any) -> str:
    """The text with letters that are bytes of UTF-8 read as UTF-8; what is none stays as it is."""
    text = whole_text(value)
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
