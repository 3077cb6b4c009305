"""iMessage as imessage-exporter (1.x to 4.x) writes it with `-f txt`: one file per conversation.

A message is a line with its time (and who read it when), a line with its sender, its words, and what was done to it
(tapbacks, effects). Replies stand a second time below what they answer, indented; those copies are left out. Times are
local. "Me" is who exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from memory import names
from memory.importers.files import File
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.types import SYSTEM, Message, MessageKind, Row, Skipped

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_HEAD = re.compile(
    r"\ufeff?(?P<month>[A-Z][a-z]{2}) (?P<day>\d{1,2}), (?P<year>\d{4}) +(?P<h>\d{1,2}):(?P<m>\d{2}):(?P<s>\d{2}) (?P<half>[AP]M)"
    r"(?: \(Read by .{1,80} after .{1,60}\))?(?P<rest>.*)"
)
_DONE = re.compile(
    r"This message responded to an earlier message\.|Sent with .{1,40}|This message was deleted from the conversation!|"
    r"Edited .{1,40} later: .*|Expressive: .*"
)
_UNSENT = re.compile(r".{1,80} unsent (?:this message part|a message).*")
_ATTACHED = re.compile(r"(?:~|\.{0,2}/|[A-Za-z]:\\|attachments/).*\.\w{2,5}|Attachment missing!.*")
MAX_LINES = 20_000  # of one message


def looks_like(head: str) -> bool:
    first = next((line for line in head.split("\n") if line.strip()), "")
    return _HEAD.fullmatch(first) is not None


def read(file: File, options: ReadOptions) -> Reading:
    """The conversation, after one look through the file at who speaks."""
    speakers: set[str] = set()
    for row in _rows(file, "", options):
        if isinstance(row, Message) and len(speakers) < 3:
            speakers.add(row.speaker)
    conversation = people_of(speakers) if len(speakers) == 2 else names.clean(file.stem)
    return Reading("imessage", ("imessage-exporter, txt",), lambda: _rows(file, conversation, options))


def _rows(file: File, conversation: str, options: ReadOptions) -> Iterator[Row]:
    head: re.Match[str] | None = None
    begun, body = 0, list[str]()
    for number, line in enumerate(file.lines(), start=1):
        found = _HEAD.fullmatch(line)
        if found is None:
            if head is None and line.strip():
                yield Skipped(f"line {number}", "no message begins before it")
            elif len(body) < MAX_LINES:
                body.append(line)
            continue
        if head is not None:
            yield _row(head, body, f"line {begun}", conversation, options)
        head, begun, body = found, number, []
    if head is not None:
        yield _row(head, body, f"line {begun}", conversation, options)


def _row(
    head: re.Match[str], body: Sequence[str], place: str, conversation: str, options: ReadOptions
) -> Row:
    if head["rest"].strip():
        return Skipped(place, SYSTEM)  # somebody renamed the conversation, or came or left
    sender = names.clean(body[0]) if body else ""
    if not sender:
        return Skipped(place, "no sender")
    try:
        time = _time(head).replace(tzinfo=options.zone)
    except DAMAGE:
        return Skipped(place, "no readable time")
    speaker = options.me if sender == "Me" else sender
    lines = _own_words(body[1:])
    text = "\n".join(line for line in lines if not _ATTACHED.fullmatch(line)).strip()
    is_edited = any(line.startswith("Edited ") and _DONE.fullmatch(line) for line in body)
    if not text and any(_UNSENT.fullmatch(line) for line in body):
        return Message(time, speaker, "", "deleted", conversation=conversation)
    kind: MessageKind = "text" if text else "media"
    return Message(time, speaker, text or "<attachment>", kind, is_edited, conversation=conversation)


def _own_words(lines: Sequence[str]) -> list[str]:
    """What was said, without copies of replies, tapbacks and notes of the exporter. The last edit holds."""
    kept: list[str] = []
    is_tapback = False
    for line in lines:
        is_tapback = (is_tapback or line.startswith("Tapbacks:")) and bool(line.strip())
        if is_tapback or line.startswith("    ") or _UNSENT.fullmatch(line):
            continue
        if line.startswith("Edited ") and _DONE.fullmatch(line):
            kept = [line.split(" later: ", 1)[1]]
        elif not _DONE.fullmatch(line):
            kept.append(line)
    return kept


def _time(head: re.Match[str]) -> datetime:
    """Without a zone; raises ValueError."""
    hour = int(head["h"]) % 12 + (12 if head["half"] == "PM" else 0)
    month = _MONTHS.index(head["month"]) + 1
    return datetime(int(head["year"]), month, int(head["day"]), hour, int(head["m"]), int(head["s"]))
