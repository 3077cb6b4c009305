"""Write a whole space as JSON lines: a header, the space, its records, and a trailer that shows a cut.

One snapshot of the store, read in pieces, so that the memory it takes does not grow with the space and nobody who
writes meanwhile is waited for. The same space gives the same bytes every time and on every kind of store: rows come
in a fixed order, and nothing tells when or where the file was written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import IO, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Space
from memory.exchange import records

_PIECE = 1000  # rows fetched at a time


class Progress(Protocol):
    """`done` of `total` rows, or bytes where rows cannot be counted."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""


def dump(
    database: Database,
    space_id: str,
    file: IO[bytes],
    *,
    vectors: bool = False,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write the space to the file; how many records of each type were written."""
    counts: dict[str, int] = {}
    for piece in lines(database, space_id, vectors=vectors, progress=progress, counts=counts):
        file.write(piece)
    return counts


def lines(
    database: Database,
    space_id: str,
    *,
    vectors: bool = False,
    progress: Progress = silent,
    counts: dict[str, int] | None = None,
) -> Iterator[bytes]:
    """The lines of the export, each with its end. `counts` is filled with the number of records of each type."""
    digest = hashlib.sha256()
    kinds = (*records.TYPES, records.VECTORS) if vectors else records.TYPES
    found: Counter[str] = Counter()
    with database.reading() as session:
        total = sum(_count(session, space_id, kind) for kind in kinds)
        header = {"type": "header", "format": records.FORMAT, "version": records.VERSION}
        for raw in (records.line(header), _space_line(session, space_id)):
            digest.update(raw)
            yield raw
        for kind in kinds:
            for raw in _rows(session, space_id, kind):
                digest.update(raw)
                found[kind] += 1
                yield raw
                if found.total() % _PIECE == 0:
                    progress(found.total(), total, kind)
    progress(found.total(), total)
    tally = {kind: found[kind] for kind in kinds}
    if counts is not None:
        counts.update(tally)
    yield records.line({"type": "trailer", "counts": tally, "sha256": digest.hexdigest()})


def _space_line(session: Session, space_id: str) -> bytes:
    query = select(*records.columns(records.SPACE)).where(Space.id == space_id)
    return records.encode(records.SPACE, session.execute(query).one()._mapping)


def _count(session: Session, space_id: str, kind: str) -> int:
    table = records.table(kind)
    return session.scalar(select(func.count()).select_from(table).where(table.c.space_id == space_id)) or 0


def _rows(session: Session, space_id: str, kind: str) -> Iterator[bytes]:
    table = records.table(kind)
    query = (
        select(*records.columns(kind))
        .where(table.c.space_id == space_id)
        .order_by(*records.order(kind, session.get_bind().dialect.name))
    )
    for row in session.execute(query, execution_options={"yield_per": _PIECE}):
        yield records.encode(kind, row._mapping)
