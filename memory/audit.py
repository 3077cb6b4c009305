"""The audit log: who did what through an entrance, when, and how it ended; an append-only chain over the whole store.

An act names a route or a command, and ids: never anybody's words, so that erasure leaves it alone. Each entry's hash
covers the one before it, as in the ledger; what `breaks` cannot see is a chain cut short at its end. What was decided
about facts and artifacts is in the ledger of each space; reading is in neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from db import tables
from db.engine import Database
from memory.ledger import GENESIS, entry_hash
from memory.ports import Clock, utc_now

_ID = re.compile(r"[0-9a-f]{16,64}")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Act:
    """`via` is loopback, environment, token, cookie, command or daemon; `outcome` a status of HTTP, done, failed,
    or left: a stream whose listener went before its end."""

    via: str
    what: str
    outcome: str
    token_id: str | None = None
    space_id: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int  # 1-based, without gaps
    at: datetime
    act: Act
    prev_hash: str
    hash: str


def only_ids(named: Mapping[str, Any]) -> dict[str, str]:
    """What stands under `seq` or a name that ends in `_id` and looks like one; under other names stand people's words.

    A person, a tag or a token may be called by digits alone, so that how a value looks is not enough.
    """
    return {name: str(value) for name, value in named.items() if _is_id(name, str(value))}


def _is_id(name: str, value: str) -> bool:
    pattern = _NUMBER if name == "seq" else _ID
    return (name == "seq" or name.endswith("_id")) and pattern.fullmatch(value) is not None


def record(database: Database, act: Act, *, clock: Clock = utc_now) -> Entry:
    """Add an act at the end of the chain, in a transaction of its own."""
    return record_all(database, [(clock(), act)])[0]


def record_all(database: Database, acts: Sequence[tuple[datetime, Act]]) -> list[Entry]:
    """Add acts, each with its time, at the end of the chain in their order: all in one transaction, or none."""
    rows: list[tables.Act] = []
    with database.transaction() as session:
        last = session.execute(
            select(tables.Act.seq, tables.Act.hash).order_by(tables.Act.seq.desc()).limit(1)
        ).first()
        seq, prev_hash = (last.seq, last.hash) if last else (0, GENESIS)
        for at, act in acts:
            row = tables.Act(
                seq=(seq := seq + 1),
                space_id=act.space_id,
                at=at.astimezone(UTC),
                via=act.via,
                token_id=act.token_id,
                what=act.what[:128],
                ids=only_ids(act.ids),
                outcome=act.outcome,
                prev_hash=prev_hash,
            )
            prev_hash = row.hash = _hash(row)
            rows.append(row)
        session.add_all(rows)
    return [_entry(row) for row in rows]


def entries(
    database: Database, limit: int = 100, *, before: int | None = None, space_id: str | None = None
) -> list[Entry]:
    """The newest entries, newest first; those before the one of that number, and of one space, where asked."""
    query = select(tables.Act).order_by(tables.Act.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(tables.Act.seq < before)
    if space_id is not None:
        query = query.where(tables.Act.space_id == space_id)
    with database.reading() as session:
        return [_entry(row) for row in session.scalars(query)]


def breaks(database: Database) -> list[str]:
    """Recompute the chain. One line for each break; an empty list means that it is sound."""
    with database.reading() as session:
        query = select(tables.Act).order_by(tables.Act.seq)
        return list(_breaks(iter(session.scalars(query).yield_per(1000))))


def _breaks(rows: Iterator[tables.Act]) -> Iterator[str]:
    seq, prev_hash = 0, GENESIS
    for row in rows:
        if row.seq != seq + 1:
            yield f"audit entry {seq + 1} is missing"
        elif row.prev_hash != prev_hash:
            yield f"audit entry {row.seq} does not follow from the one before it"
        if row.hash != _hash(row):
            yield f"audit entry {row.seq} was changed after it was written"
        seq, prev_hash = row.seq, row.hash


def _hash(row: tables.Act) -> str:
    payload = {
        "via": row.via,
        "token": row.token_id,
        "space": row.space_id,
        "ids": row.ids,
        "outcome": row.outcome,
    }
    return entry_hash(row.prev_hash, row.seq, row.what, payload, row.at)


def _entry(row: tables.Act) -> Entry:
    act = Act(row.via, row.what, row.outcome, row.token_id, row.space_id, row.ids)
    return Entry(row.seq, row.at, act, row.prev_hash, row.hash)
