"""The feed of changes: which rows of the tables an index has to read again, by one indexed query.

An index remembers the last change that it has seen and whose it was. That row itself is read again each time: where
it is gone or another's, the feed was trimmed too far or the store is another one, and everything is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Change
from memory.search.manifest import Folder, Manifest

MOST = 50_000  # changes that are applied one by one; of more, everything is read
KEPT = 100_000  # changes that are kept for indexes elsewhere


@dataclass(frozen=True, slots=True)
class Changes:
    seen: int
    seen_owner: str
    ids: dict[str, set[str]] = field(default_factory=dict)  # by kind; empty for no changes
    is_gap: bool = False  # the feed does not say what happened since

    def of(self, kind: str) -> Collection[str]:
        return self.ids.get(kind, ())


def position(session: Session, space_id: str) -> Changes:
    """Where the feed ends now."""
    last = session.execute(
        select(Change.seq, Change.owner_id)
        .where(Change.space_id == space_id)
        .order_by(Change.seq.desc())
        .limit(1)
    ).first()
    return Changes(*last) if last else Changes(0, "")


def since(session: Session, space_id: str, manifest: Manifest) -> Changes:
    """What changed after the manifest was written."""
    rows = session.execute(
        select(Change.seq, Change.kind, Change.owner_id)
        .where(Change.space_id == space_id, Change.seq >= manifest.seen)
        .order_by(Change.seq)
        .limit(MOST + 1)
    ).all()
    if manifest.seen:
        if not rows or (rows[0].seq, rows[0].owner_id) != (manifest.seen, manifest.seen_owner):
            return Changes(0, "", is_gap=True)
        rows = rows[1:]
    if not rows:
        return Changes(manifest.seen, manifest.seen_owner)
    if len(rows) >= MOST:
        return Changes(0, "", is_gap=True)
    ids: dict[str, set[str]] = defaultdict(set)
    for _, kind, owner_id in rows:
        ids[kind].add(owner_id)
    return Changes(rows[-1].seq, rows[-1].owner_id, dict(ids))


def trim(database: Database, space_id: str, home_index: Path) -> int:
    """Drop changes that every index of the space under this home has seen, but for the newest; how many."""
    manifest = Folder(home_index / space_id).read()
    if manifest is None or manifest.seen <= KEPT:
        return 0
    with database.reading() as session:
        kept_from = session.scalar(
            select(Change.seq)
            .where(Change.space_id == space_id, Change.seq <= manifest.seen)
            .order_by(Change.seq.desc())
            .offset(KEPT)
            .limit(1)
        )
        first = session.scalar(select(func.min(Change.seq)).where(Change.space_id == space_id))
    if kept_from is None or first is None or kept_from - first < KEPT:
        return 0
    with database.transaction() as session:
        dropped = session.execute(delete(Change).where(Change.space_id == space_id, Change.seq < kept_from))
    return int(getattr(dropped, "rowcount", 0))
