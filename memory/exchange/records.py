"""The lines of an export: which tables hold a space's knowledge, in which order, and how a row becomes JSON.

A record is one JSON object with `type` (the table's name) and the row's columns; `space_id` is left out, since a file
holds one space. Times are ISO 8601 in UTC, bytes are base64, nested JSON stays as it is. Reading a record back checks
every value against its column, so that a damaged line is refused with what is wrong and nothing of it is written.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from sqlalchemy import JSON, Column, RowMapping, Table, TypeDecorator

from db.tables import Base

FORMAT = "slowwave"
VERSION = 2  # 1 had keys of messages without their times

SPACE = "space"  # the second line of a file

# Parents before children, so that a file can be loaded from its first line to its last.
TYPES = (
    "source",
    "conversation",
    "node",
    "alias",
    "person_merge",
    "edge",
    "participant",
    "episode",
    "episode_version",
    "memory_graph",
    "memory_entity",
    "memory_observation",
    "memory_relation",
    "sleep_run",
    "stage_run",
    "fact",
    "evidence",
    "fact_use",
    "digest",
    "digest_line",
    "emotion_tag",
    "reading",
    "principle",
    "constitution",
    "consent",
    "persona_setting",
    "chat_session",
    "chat_turn",
    "turn_fact",
    "claim",
    "decision",
    "artifact",
    "pointer",
    "example",
    "exam_answer",
    "ledger",
)
VECTORS = "embedding"  # only where they are asked for: they can be made again
LEFT_OUT = frozenset(
    {"lease", "change", "pending", "schedule", "job", "token", "act", "kept_answer"}
)  # who works now; what the indexes and extractors must read

_ORDER = {"episode": ("time", "id"), "ledger": ("seq",)}
_MAX_INTEGER = 2**63 - 1
_UNFIT = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of surrogate pairs


class BadRecord(ValueError):
    """Why a line is no record; whoever knows the line's number makes an error of it."""


def table(kind: str) -> Table:
    return Base.metadata.tables[kind]


@lru_cache(maxsize=64)
def columns(kind: str) -> tuple[Column[Any], ...]:
    """The columns that a record of this type holds, in the table's order."""
    unsaid = "id" if kind == SPACE else "space_id"
    return tuple(column for column in table(kind).columns if column.name != unsaid)


def order(kind: str, dialect: str) -> list[Any]:
    """The order of rows in an export, the same on every kind of store: by bytes, not by a language's alphabet."""
    own = table(kind)
    names = _ORDER.get(kind) or tuple(column.name for column in own.primary_key.columns)
    chosen = [own.c[name] for name in names if name != "space_id"]
    if dialect != "postgresql":
        return chosen
    return [column.collate("C") if _python_type(column) is str else column for column in chosen]


def _python_type(column: Column[Any]) -> type:
    kind = column.type
    return (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type


def encode(kind: str, row: RowMapping) -> bytes:
    """The record as one line, with its end."""
    return line({"type": kind} | {column.name: _plain(row[column.name]) for column in columns(kind)})


def line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair in nested JSON
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def parse(raw: bytes) -> dict[str, Any]:
    """The line as an object with a `type`; raises BadRecord."""
    try:
        record = json.loads(raw)
    except UnicodeDecodeError as error:
        raise BadRecord("it is no UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadRecord(f"the JSON is malformed at column {error.colno} ({error.msg})") from error
    except RecursionError as error:
        raise BadRecord("the JSON is nested too deeply") from error
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise BadRecord("it is no object with a type")
    return record


def decode(kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a record, for an insert; raises BadRecord.

    A column that the record lacks gets its default, if the table has one: the file may be older than the table.
    """
    known = columns(kind)
    unknown = set(record) - {column.name for column in known} - {"type"}
    if unknown:
        raise BadRecord(f"{kind} has no {' or '.join(sorted(unknown))} in this version of slowwave")
    row = {}
    for column in known:
        if column.name in record:
            row[column.name] = _value(column, record[column.name])
        elif column.default is not None and column.default.is_scalar:
            row[column.name] = column.default.arg  # type: ignore[attr-defined]
        elif column.nullable:
            row[column.name] = None
        else:
            raise BadRecord(f"{kind} lacks {column.name}")
    if kind == VECTORS:
        _check_vector(row)
    elif kind == "artifact":
        _check_path(row["path"])
    return row


def _check_path(path: str) -> None:
    """Files of artifacts lie in the home folder: an export of somebody else's must not name any other."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise BadRecord("path leads out of the home folder")


def _check_vector(row: Mapping[str, Any]) -> None:
    if len(row["vector"]) != 4 * row["width"]:
        raise BadRecord("vector is not of its width")
    if not np.isfinite(np.frombuffer(row["vector"], "<f4")).all():
        raise BadRecord("vector holds what is no finite number")


def _value(column: Column[Any], value: Any) -> Any:
    if value is None:
        if not column.nullable:
            raise BadRecord(f"{column.name} is null")
        return None
    if isinstance(column.type, JSON):
        return value
    kind = _python_type(column)
    if kind is str:
        return _text(column.name, value, getattr(column.type, "length", None))
    return _READERS[kind](column.name, value)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRecord(f"{name} is not true or false")
    return value


def _time(name: str, value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadRecord(f"{name} is no time") from error
    if time.tzinfo is None:
        raise BadRecord(f"{name} is a time without a zone")
    return time.astimezone(UTC)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_INTEGER:
        raise BadRecord(f"{name} is no whole number that the store can hold")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(f"{name} is no number")
    number = float(value) if abs(value) < 1e308 else math.inf
    if not math.isfinite(number):
        raise BadRecord(f"{name} is no finite number")
    return number


def _bytes(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadRecord(f"{name} is no base64") from error


def _text(name: str, value: Any, length: int | None) -> str:
    if not isinstance(value, str):
        raise BadRecord(f"{name} is no text")
    if _UNFIT.search(value):
        raise BadRecord(f"{name} holds a character that no text can hold")
    if length is not None and len(value) > length:
        raise BadRecord(f"{name} is longer than {length} characters")
    return value


_READERS: dict[type, Callable[[str, Any], Any]] = {
    bool: _truth,
    int: _integer,
    float: _number,
    datetime: _time,
    bytes: _bytes,
}
