"""Generic JSONL: one object per line with `time`, `speaker` and `text`.

`time` is ISO 8601 (without an offset: in the import's time zone) or a number of seconds or milliseconds since 1970.
A line whose speaker is null is a system line. `kind` (text, media, deleted), `edited` and `origin` (simulated, where a
program wrote it) may be given. Other keys are passed over. Blank lines are allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.importers.values import parse_time, whole_text
from memory.types import SYSTEM, Message, MessageKind, Row, Skipped

_KEYS = ("time", "speaker", "text")
_KINDS: dict[str, MessageKind] = {"text": "text", "media": "media", "deleted": "deleted"}


def looks_like(head: str) -> bool:
    """Whether the first line is an object with at least two of the three keys."""
    line = next((line for line in head.split("\n") if line.strip()), "")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and sum(key in row for key in _KEYS) >= 2


def read(file: File, options: ReadOptions) -> Reading:
    """The file as one conversation, after one look through it at who speaks."""
    speakers: set[str] = set()
    for row in _rows(file, "", options.zone):
        if isinstance(row, Message) and len(speakers) < 3:
            speakers.add(row.speaker)
    conversation = people_of(speakers) if len(speakers) <= 2 else file.stem
    return Reading("jsonl", ("JSON lines",), lambda: _rows(file, conversation, options.zone))


def _rows(file: File, conversation: str, zone: tzinfo) -> Iterator[Row]:
    for number, line in enumerate(file.lines(), start=1):
        if line.strip("\ufeff \t\r"):
            yield _row(line, f"line {number}", conversation, zone)


def _row(line: str, place: str, conversation: str, zone: tzinfo) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return Skipped(f"{place}, column {error.colno}", f"no JSON: {error.msg}")
    except RecursionError:
        return Skipped(place, "nested too deeply")
    if not isinstance(row, dict):
        return Skipped(place, "no object")
    missing = [key for key in _KEYS if key not in row]
    if missing:
        return Skipped(place, f"it lacks {' and '.join(missing)}")
    try:
        if row.get("kind") == "system" or not names.clean(whole_text(row["speaker"] or "")):
            return Skipped(place, SYSTEM)
        return replace(_message(row, zone), conversation=conversation)
    except DAMAGE:
        return Skipped(place, "no readable time or text")


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
        origin="simulated" if row.get("origin") == "simulated" else "observed",
    )
