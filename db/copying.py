"""Every row of the store as lines of JSON, and back: what backups are made of.

One form for every kind of store. A table's columns are written with their kinds, so that rows of an older revision can
be loaded into a schema of that revision and migrated from there. Leases, jobs and the feed of changes are left
out: who worked then does not work now, what was uploaded then is not there, and the indexes are made anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    Table,
    Text,
    TypeDecorator,
    column,
    func,
    insert,
    select,
    table,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from db.tables import Base, Float32Vector, UtcDateTime

LEFT_OUT = ("lease", "change", "job")
PIECE = 1000  # rows fetched and inserted at a time

Columns = Sequence[tuple[str, str]]  # name, and kind as in KINDS

KINDS: dict[str, TypeEngine[Any]] = {
    "text": Text(),
    "integer": BigInteger(),
    "number": Float(),
    "truth": Boolean(),
    "time": UtcDateTime(),
    "json": JSON(none_as_null=True),
    "vector": Float32Vector(),
}
_OUT: dict[str, Callable[[Any], Any]] = {
    "time": datetime.isoformat,
    "vector": lambda value: base64.b64encode(value).decode(),
}
_IN: dict[str, Callable[[Any], Any]] = {
    "time": datetime.fromisoformat,
    "vector": lambda value: base64.b64decode(value, validate=True),
}


def copied_tables() -> list[Table]:
    """The tables of a copy, those that others refer to first."""
    return [item for item in Base.metadata.sorted_tables if item.name not in LEFT_OUT]


def columns_of(item: Table) -> list[tuple[str, str]]:
    return [(found.name, _kind(found)) for found in item.columns]


def _kind(found: Column[Any]) -> str:
    kind = found.type.impl_instance if isinstance(found.type, TypeDecorator) else found.type
    if isinstance(found.type, Float32Vector):
        return "vector"
    if isinstance(kind, JSON):
        return "json"
    if isinstance(kind, DateTime):
        return "time"
    if isinstance(kind, Boolean):
        return "truth"
    if isinstance(kind, Integer):
        return "integer"
    return "number" if isinstance(kind, Float) else "text"


def count_rows(session: Session, item: Table) -> int:
    return session.scalar(select(func.count()).select_from(item)) or 0


def dump_rows(session: Session, item: Table) -> Iterator[bytes]:
    """The table's rows, a JSON array and a line end each, fetched in pieces."""
    encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    changed = [(at, _OUT[kind]) for at, (_, kind) in enumerate(columns_of(item)) if kind in _OUT]
    query = select(*item.columns).execution_options(yield_per=PIECE)
    for row in session.execute(query):
        values = list(row)
        for at, change in changed:
            if values[at] is not None:
                values[at] = change(values[at])
        yield encode(values).encode() + b"\n"


def load_rows(connection: Connection, name: str, columns: Columns, lines: Iterable[bytes]) -> Iterator[int]:
    """Insert lines of `dump_rows`; yields how many rows went in, piece by piece. Raises ValueError for a bad line."""
    target = table(name, *(column(item, KINDS[kind]) for item, kind in columns))
    names = [item for item, _ in columns]
    changed = [(at, _IN[kind]) for at, (_, kind) in enumerate(columns) if kind in _IN]
    piece: list[dict[str, Any]] = []
    for line in lines:
        values = json.loads(line)
        for at, change in changed:
            if values[at] is not None:
                values[at] = change(values[at])
        piece.append(dict(zip(names, values, strict=True)))
        if len(piece) == PIECE:
            connection.execute(insert(target), piece)
            yield len(piece)
            piece = []
    if piece:
        connection.execute(insert(target), piece)
        yield len(piece)


@contextmanager
def quiet_feed(connection: Connection) -> Iterator[None]:
    """Keep the triggers of the feed silent within the transaction: what is loaded is no change."""
    if connection.dialect.name == "postgresql":
        watched = connection.scalars(
            text(
                "SELECT DISTINCT event_object_table FROM information_schema.triggers "
                "WHERE trigger_schema = current_schema() AND trigger_name LIKE 'change\\_%'"
            )
        ).all()
        for name in watched:
            connection.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
        yield
        for name in watched:
            connection.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))
        return
    triggers = connection.execute(
        text(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'change\\_%' ESCAPE '\\'"
        )
    ).all()
    for name, _ in triggers:
        connection.execute(text(f"DROP TRIGGER {name}"))
    yield
    for _, statement in triggers:
        connection.exec_driver_sql(statement)


def drop_everything(connection: Connection) -> None:
    """Drop every table, trigger and function of ours on Postgres, within the transaction; others' stay."""
    for item in [*reversed(Base.metadata.sorted_tables), table("alembic_version")]:
        connection.execute(text(f"DROP TABLE IF EXISTS {item.name} CASCADE"))
    functions = connection.scalars(
        text(
            "SELECT proname FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace "
            "WHERE nspname = current_schema() AND proname LIKE 'note\\_%\\_change'"
        )
    ).all()
    for name in functions:
        connection.execute(text(f"DROP FUNCTION {name}()"))
