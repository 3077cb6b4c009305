"""The ledger: an append-only chain of hashes over every decision and artifact of a space.

Each entry's hash covers the entry before it, so that a changed, missing or swapped row shows. Payloads carry
ids, counts and hashes, never anybody's words: erasure must not break the chain. `append` runs inside the
transaction whose act it records. What `verify` cannot see is a chain cut short at its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import LedgerEntry
from memory.ports import Clock, utc_now

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class LedgerRow:
    seq: int  # 1-based, without gaps
    hash: str
    prev_hash: str
    at: datetime
    kind: str
    payload: dict[str, Any]


def append(
    session: Session, space_id: str, kind: str, payload: Mapping[str, Any], *, clock: Clock = utc_now
) -> LedgerRow:
    """Add an entry at the end of the space's chain; commits or fails with the caller's transaction."""
    last = session.execute(
        select(LedgerEntry.seq, LedgerEntry.hash)
        .where(LedgerEntry.space_id == space_id)
        .order_by(LedgerEntry.seq.desc())
        .limit(1)
    ).first()
    seq, prev_hash = (last.seq + 1, last.hash) if last else (1, GENESIS)
    at = clock().astimezone(UTC)
    plain: dict[str, Any] = json.loads(_canonical(payload))
    row = LedgerRow(seq, entry_hash(prev_hash, seq, kind, plain, at), prev_hash, at, kind, plain)
    session.add(
        LedgerEntry(
            space_id=space_id, seq=seq, at=at, kind=kind, payload=plain, prev_hash=prev_hash, hash=row.hash
        )
    )
    session.flush()
    return row


def entry_hash(prev_hash: str, seq: int, kind: str, payload: Mapping[str, Any], at: datetime) -> str:
    """sha256 over the previous hash and the canonical JSON of seq, kind, payload and time (UTC)."""
    body = {"seq": seq, "kind": kind, "payload": payload, "at": at.astimezone(UTC).isoformat()}
    return hashlib.sha256((prev_hash + _canonical(body)).encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entries(
    database: Database, space_id: str, limit: int = 100, *, before: int | None = None
) -> list[LedgerRow]:
    """The newest entries, newest first; those before the entry of that number where asked."""
    with database.reading() as session:
        query = (
            select(LedgerEntry)
            .where(LedgerEntry.space_id == space_id)
            .order_by(LedgerEntry.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(LedgerEntry.seq < before)
        return [_row(entry) for entry in session.scalars(query)]


def _row(entry: LedgerEntry) -> LedgerRow:
    return LedgerRow(entry.seq, entry.hash, entry.prev_hash, entry.at, entry.kind, entry.payload)


def verify(database: Database, space_id: str) -> list[str]:
    """Recompute the chain. One line for each break; an empty list means that it is sound."""
    return [item.what for item in breaks(database, space_id)]


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold, and what is wrong there."""

    seq: int
    what: str


def breaks(database: Database, space_id: str) -> list[Break]:
    """Recompute the chain. Every break in order, so that the first entry that cannot be trusted comes first."""
    with database.reading() as session:
        query = select(LedgerEntry).where(LedgerEntry.space_id == space_id).order_by(LedgerEntry.seq)
        return list(_breaks(_row(entry) for entry in session.scalars(query).yield_per(1000)))


def _breaks(rows: Iterator[LedgerRow]) -> Iterator[Break]:
    seq, prev_hash = 0, GENESIS
    for row in rows:
        if row.seq != seq + 1:
            yield Break(seq + 1, f"ledger entry {seq + 1} is missing")
        elif row.prev_hash != prev_hash:
            yield Break(row.seq, f"ledger entry {row.seq} does not follow from the one before it")
        if row.hash != entry_hash(row.prev_hash, row.seq, row.kind, row.payload, row.at):
            yield Break(row.seq, f"ledger entry {row.seq} was changed after it was written")
        seq, prev_hash = row.seq, row.hash


def entry_json(row: LedgerRow) -> dict[str, Any]:
    """An entry as other programs get it."""
    return {
        "seq": row.seq,
        "at": row.at.isoformat(),
        "kind": row.kind,
        "hash": row.hash,
        "payload": row.payload,
    }


def verification_json(database: Database, space_id: str) -> dict[str, Any]:
    """What recomputing the chain found, as other programs get it."""
    found = breaks(database, space_id)
    newest = entries(database, space_id, limit=1)
    return {
        "sound": not found,
        "entries": newest[0].seq if newest else 0,
        "first_broken": found[0].seq if found else None,
        "problems": [{"seq": item.seq, "what": item.what} for item in found],
    }
