"""Signal Desktop as signal-export (3.x) writes it: `CHAT/data.json`, one message per line, beside `chat.md` and `media/`.

Each line has `date` (ISO 8601, local), `sender` ("Me" for who exported), `body`, `quote`, `sticker`, `reactions`,
`attachments`, and in newer versions `deleted` and `call`. The folder is the chat's name. Calls are system lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.importers.values import parse_time, whole_text
from memory.types import SYSTEM, Message, Row, Skipped

_KEYS = ("date", "sender", "body", "attachments")


def looks_like(head: str) -> bool:
    line = next((line for line in head.split("\n") if line.strip()), "")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return all(f'"{key}"' in line for key in (*_KEYS, "reactions"))
    return isinstance(row, dict) and all(key in row for key in _KEYS)


def is_copy(file: File, files: tuple[File, ...]) -> bool:
    """Whether the file holds for reading what `data.json` beside it holds for programs."""
    path = PurePosixPath(file.name)
    others = {other.name for other in files}
    return path.name in ("chat.md", "index.html", "index.md") and str(path.with_name("data.json")) in others


def read(file: File, options: ReadOptions) -> Reading:
    around = file.path.parent.name if file.path.name == file.name else ""  # else the path is not its owner's
    folder = PurePosixPath(file.name).parent.name or around

    def rows() -> Iterator[Row]:
        for number, line in enumerate(file.lines(), start=1):
            if line.strip():
                yield _row(line, f"line {number}", folder or people_of((), "Signal"), options)

    return Reading("signal", ("Signal Desktop by signal-export",), rows)


def _row(line: str, place: str, conversation: str, options: ReadOptions) -> Row:
    try:
        row: Any = json.loads(line)
        sender = names.clean(whole_text(row["sender"] or ""))
        if row.get("call"):
            return Skipped(place, SYSTEM)
        if not sender or sender == "No-Sender":
            return Skipped(place, "no sender")
        time = parse_time(row["date"], options.zone)
        speaker = options.me if sender == "Me" else sender
        if row.get("deleted"):
            return Message(time, speaker, "", "deleted", conversation=conversation)
        quote = whole_text(row.get("quote") or "").strip()
        body = whole_text(row.get("body") or "").strip()
        text = f"{quote}\n\n{body}" if quote and body else body
        medium = "sticker" if row.get("sticker") else "attachment"
        return Message(
            time, speaker, text or f"<{medium}>", "text" if text else "media", conversation=conversation
        )
    except RecursionError:
        return Skipped(place, "nested too deeply")
    except json.JSONDecodeError as error:
        return Skipped(f"{place}, column {error.colno}", f"no JSON: {error.msg}")
    except DAMAGE:
        return Skipped(place, "no readable time, text or sender")
