"""Tombstones: what was erased and which consents were withdrawn, kept beside the store, so that no restore undoes it.

A backup is of one day. What was erased after it would come back with it, and a consent that was withdrawn would stand
again. The list `tombstones.jsonl` of a home says what happened: the ids of consents, and of what was erased the salted
hash that its certificate has. No words. It is made of the store's own records (`keep`), goes along with backups, and only
grows; `memory.restore` withdraws by it, and `service.entrances.forgetting.finish` erases by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import kept_lines, ledger

NAME = "tombstones.jsonl"
ERASED, WITHDRAWN, LIFTED = "erased", "withdrawn", "lifted"
Line = dict[str, Any]

_TABLES: Mapping[str, Any] = {
    "person": tables.Node,
    "fact": tables.Fact,
    "episode": tables.Episode,
    "source": tables.Source,
}


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erasure. `sha256s` are of the target's id, and of everybody's who went with a person as the same one."""

    erasure: str
    space: str
    at: str
    target: Literal["person", "fact", "episode", "source"]
    salt: str
    sha256s: tuple[str, ...]
    mentions: Literal["keep", "redact", "erase"]
    with_messages: bool


def salted_hash(salt: str, id_: str) -> str:
    return hashlib.sha256((salt + id_).encode()).hexdigest()


def keep(database: Database, home: Path) -> None:
    """Add to the home's list what the store knows of and the list does not. Idempotent."""
    with database.reading() as session:
        told = [*_erased(session), *_withdrawn(session)]
    known = {_key(line) for line in read(home)}
    for line in told:
        if _key(line) not in known:
            kept_lines.append(home / NAME, line)


def read(home: Path) -> list[Line]:
    return kept_lines.read(home / NAME)


def lifted(lines: Iterable[Line], since: datetime) -> list[Line]:
    """Lines by which erasures after that moment no longer hold: somebody wants back what they took."""
    return [
        {"what": LIFTED, "erasure": line["erasure"]}
        for line in lines
        if line["what"] == ERASED and datetime.fromisoformat(line["at"]) > since
    ]


def withdraw_again(connection: Connection, lines: Iterable[Line]) -> int:
    """Withdraw the consents of the list that stand in the store, with an entry of the ledger each; how many."""
    n = 0
    with Session(connection) as session:
        for line in lines:
            row = session.get(tables.Consent, line["consent"]) if line["what"] == WITHDRAWN else None
            if row is not None and row.withdrawn_at is None:
                row.withdrawn_at = datetime.fromisoformat(line["at"])
                told = {"consent": row.id, "person": row.person_id, "withdrawn": True}
                ledger.append(session, row.space_id, "consent", told)
                n += 1
        session.commit()  # into the transaction of the connection
    return n


def undone(session: Session, home: Path, space_id: str) -> list[tuple[Tombstone, list[str]]]:
    """Erasures of the space that the store knows nothing of, and the ids in it that they had taken: a restore brought them back."""
    lines = read(home)
    mine = [line for line in lines if line["what"] == ERASED and line["space"] == space_id]
    if not mine:
        return []
    settled = {line["erasure"] for line in lines if line["what"] == LIFTED}
    settled |= {line["erasure"] for line in _erased(session, space_id)}
    stones = [_tombstone(line) for line in mine if line["erasure"] not in settled]
    found = ((stone, list(_standing(session, stone))) for stone in stones)
    return [(stone, ids) for stone, ids in found if ids]


def _standing(session: Session, stone: Tombstone) -> Iterator[str]:
    mapped, wanted = _TABLES[stone.target], set(stone.sha256s)
    query = select(mapped.id).where(mapped.space_id == stone.space)
    if stone.target == "person":
        query = query.where(mapped.kind == "person")
    for id_ in session.scalars(query.execution_options(yield_per=10_000)):
        if salted_hash(stone.salt, id_) in wanted:
            yield id_


def _erased(session: Session, space_id: str | None = None) -> Iterator[Line]:
    entry = tables.LedgerEntry
    query = select(entry.space_id, entry.at, entry.payload).where(entry.kind == "erasure")
    if space_id is not None:
        query = query.where(entry.space_id == space_id)
    for space, at, payload in session.execute(query.order_by(entry.space_id, entry.seq)):
        if payload["state"] != "begun":
            continue
        stone = Tombstone(
            payload["erasure"],
            space,
            at.isoformat(),
            payload["target"],
            payload["salt"],
            (payload["target_sha256"], *payload.get("merged_sha256", ())),
            payload["mentions"] or "redact",
            bool(payload.get("with_messages")),
        )
        yield {"what": ERASED, **asdict(stone), "sha256s": list(stone.sha256s)}


def _withdrawn(session: Session) -> Iterator[Line]:
    consent = tables.Consent
    query = select(consent.id, consent.withdrawn_at).where(consent.withdrawn_at.is_not(None))
    for consent_id, at in session.execute(query.order_by(consent.withdrawn_at, consent.id)):
        if at is not None:
            yield {"what": WITHDRAWN, "consent": consent_id, "at": at.isoformat()}


def _tombstone(line: Line) -> Tombstone:
    told = {key: value for key, value in line.items() if key != "what"}
    return Tombstone(**{**told, "sha256s": tuple(line["sha256s"])})


def _key(line: Line) -> tuple[str, str]:
    return line["what"], line["consent"] if line["what"] == WITHDRAWN else line["erasure"]
