"""The records that a child writes of what it read: JSON lines, each within LINE_BYTES, a last one that says how many.

Whoever reads them believes no line: what is no record of this form is BadLine. A line is a list that begins with its sign:
`head`, `m`essage, `s`kipped, `thing`, `note`, `relation`, `end`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from memory.importers.files import Meter
from memory.types import Message, Row, Skipped

LINE_BYTES = 4 << 20
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_KINDS = frozenset(("text", "media", "deleted", "system"))
_ORIGINS = frozenset(("observed", "simulated"))


class BadLine(Exception):
    """What a child wrote is not of this form; the text holds nobody's words."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was understood before the first record. `is_notebook`: another program's memory, no chat."""

    kind: str
    notes: tuple[str, ...]
    is_notebook: bool = False


def write(out: IO[bytes], sign: str, *values: Any) -> bool:
    """Write one record; False, and nothing written, where it is longer than a line may be."""
    line = _ENCODE((sign, *values)).encode("utf-8", "replace")
    if len(line) >= LINE_BYTES:
        return False
    out.write(line + b"\n")
    return True


def message_values(row: Message) -> tuple[Any, ...]:
    return (
        row.time.isoformat(),
        row.speaker,
        row.text,
        row.kind,
        row.is_edited,
        row.external_id,
        row.conversation,
        row.hearers,
        row.origin,
        row.feelings,
    )


def read_head(path: Path) -> Head:
    """Raises BadLine."""
    with path.open("rb") as stream:
        sign, *values = _record(stream.readline(LINE_BYTES))
    try:
        kind, notes, is_notebook = values
        if sign != "head":
            raise ValueError
        return Head(_text(kind)[:32], tuple(map(_text, notes)), bool(is_notebook))
    except (TypeError, ValueError) as error:
        raise BadLine("its first line is none") from error


def read_rows(path: Path, meter: Meter) -> Iterator[Row]:
    """Every message and what was left out, as it was written. Raises BadLine, also where the end is missing."""
    for sign, values in read_records(path, meter):
        if sign == "m":
            yield _message(values)
        elif sign == "s":
            yield _skipped(values)


def read_records(path: Path, meter: Meter) -> Iterator[tuple[str, list[Any]]]:
    """Sign and values of every record behind the head. Raises BadLine, also where the end is missing."""
    n_records, is_whole = 0, False
    with path.open("rb") as stream:
        meter.add(len(stream.readline(LINE_BYTES)))
        while line := stream.readline(LINE_BYTES):
            meter.add(len(line))
            sign, *values = _record(line)
            if sign == "end":
                is_whole = values == [n_records]
                break
            n_records += 1
            yield sign, values
    if not is_whole:
        raise BadLine("its end is missing")


def _record(line: bytes) -> list[Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine("a line is no JSON") from error
    if not isinstance(record, list) or not record or not isinstance(record[0], str):
        raise BadLine("a line is no record")
    return record


def _message(values: list[Any]) -> Message:
    try:
        time, speaker, text, kind, is_edited, external_id, conversation, hearers, origin, feelings = values
        if kind not in _KINDS or origin not in _ORIGINS:
            raise ValueError
        return Message(
            _moment(time),
            _text(speaker),
            _text(text),
            kind,
            bool(is_edited),
            None if external_id is None else _text(external_id),
            _text(conversation),
            tuple(map(_text, hearers)),
            origin,
            tuple((_text(name), float(intensity)) for name, intensity in feelings),
        )
    except (TypeError, ValueError) as error:
        raise BadLine("a message lacks something") from error


def _skipped(values: list[Any]) -> Skipped:
    try:
        place, reason = values
        return Skipped(_text(place), _text(reason))
    except (TypeError, ValueError) as error:
        raise BadLine("a row lacks something") from error


def _moment(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
