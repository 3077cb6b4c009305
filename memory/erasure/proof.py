"""The record of an erasure in the ledger: begun with ids, done with counts and hashes, never anything of what went.

Both entries together are the certificate. It names whom it was about only by a salted hash of the id.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import ledger
from memory.errors import UnknownCertificate
from memory.ports import Clock
from memory.tombstones import salted_hash

KIND = "erasure"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`done` is None for an erasure that was cut off and waits to be finished."""

    erasure_id: str
    seq: int  # of the entry that began it
    began_at: datetime
    begun: dict[str, Any]
    done_seq: int | None = None
    done_at: datetime | None = None
    done: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "erasure": self.erasure_id,
            "seq": self.seq,
            "began_at": self.began_at.isoformat(),
            "done_seq": self.done_seq,
            "done_at": self.done_at.isoformat() if self.done_at else None,
            **{key: value for key, value in self.begun.items() if key not in ("erasure", "state")},
            **{key: value for key, value in (self.done or {}).items() if key not in ("erasure", "state")},
        }


def salted(target_id: str, merged: Collection[str]) -> dict[str, Any]:
    """Hashes of the id, and of those merged into it, by which who has an id can tell that the certificate is about it."""
    salt = secrets.token_hex(16)
    others = sorted(salted_hash(salt, id_) for id_ in merged if id_ != target_id)
    return {"salt": salt, "target_sha256": salted_hash(salt, target_id), "merged_sha256": others}


def begin(session: Session, space_id: str, erasure_id: str, payload: Mapping[str, Any], clock: Clock) -> int:
    """The entry's number; part of the transaction that erases."""
    body = {"erasure": erasure_id, "state": "begun", **payload}
    return ledger.append(session, space_id, KIND, body, clock=clock).seq


def finish(session: Session, space_id: str, erasure_id: str, payload: Mapping[str, Any], clock: Clock) -> int:
    body = {"erasure": erasure_id, "state": "done", **payload}
    return ledger.append(session, space_id, KIND, body, clock=clock).seq


def certificates(database: Database, space_id: str) -> list[Certificate]:
    """Every erasure of the space, oldest first."""
    with database.reading() as session:
        rows = session.execute(
            select(tables.LedgerEntry.seq, tables.LedgerEntry.at, tables.LedgerEntry.payload)
            .where(tables.LedgerEntry.space_id == space_id, tables.LedgerEntry.kind == KIND)
            .order_by(tables.LedgerEntry.seq)
        ).all()
    done = {payload["erasure"]: (seq, at, payload) for seq, at, payload in rows if payload["state"] == "done"}
    return [
        Certificate(payload["erasure"], seq, at, payload, *done.get(payload["erasure"], ()))
        for seq, at, payload in rows
        if payload["state"] == "begun"
    ]


def certificate(database: Database, space_id: str, seq: int) -> Certificate:
    """The erasure that the ledger entry of that number began or finished; raises UnknownCertificate."""
    for found in certificates(database, space_id):
        if seq in (found.seq, found.done_seq):
            return found
    raise UnknownCertificate(seq)


def unfinished(database: Database, space_id: str) -> list[Certificate]:
    """Erasures that were cut off after their rows had gone."""
    return [found for found in certificates(database, space_id) if found.done is None]
