"""Generic JSONL: one object per line with `time`, `speaker` and `text`.

`time` is ISO 8601 (without an offset: in the import's time zone) or a number of seconds or milliseconds since 1970.
A line whose speaker is null is a system line. `kind` (text, media, deleted) and `edited` may be given. Other keys are
passed over. Blank lines are allowed.
"""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import Any

from memory import names
from memory.errors import BrokenExport
from memory.importers.values import parse_time, whole_text
from memory.types import Export, Message, MessageKind

_KEYS = ("time", "speaker", "text")
_KINDS: dict[str, MessageKind] = {"text": "text", "media": "media", "deleted": "deleted"}


def looks_like(text: str) -> bool:
    """Whether the first line is an object with at least two of the three keys."""
    line = next((line for line in text.split("\n") if line.strip()), "")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and sum(key in row for key in _KEYS) >= 2


def parse(text: str, name: str, zone: tzinfo) -> list[Export]:
    """The file as one conversation; raises BrokenExport with the line that is damaged."""
    messages: list[Message] = []
    n_system = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _row(line, number, name)
        if row.get("kind") == "system" or not names.clean(whole_text(row["speaker"] or "")):
            n_system += 1
            continue
        try:
            messages.append(_message(row, zone))
        except (TypeError, ValueError, OverflowError) as error:
            raise BrokenExport(name, f"line {number} has no readable time or text") from error
    return [Export("jsonl", _conversation(messages, name), tuple(messages), n_system, ("JSON lines",))]


def _row(line: str, number: int, name: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BrokenExport(name, f"line {number}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise BrokenExport(name, f"line {number} is nested too deeply") from error
    if not isinstance(row, dict):
        raise BrokenExport(name, f"line {number} is no object")
    missing = [key for key in _KEYS if key not in row]
    if missing:
        raise BrokenExport(name, f"line {number} lacks {' and '.join(missing)}")
    return row


def _message(row: dict[str, Any], zone: tzinfo) -> Message:
    text = whole_text(row["text"] or "").strip()
    kind = _KINDS.get(str(row.get("kind", "text")), "text")
    return Message(
        time=parse_time(row["time"], zone),
        speaker=names.clean(whole_text(row["speaker"])),
        text=text,
        kind=kind if text or kind != "text" else "media",
        is_edited=bool(row.get("edited") or row.get("is_edited")),
        external_id=str(row["id"]) if row.get("id") is not None else None,
    )


def _conversation(messages: list[Message], name: str) -> str:
    speakers = {message.speaker for message in messages if message.speaker}
    return " & ".join(sorted(speakers, key=names.key)) if len(speakers) <= 2 else name
